/*
 * Local ports: is one free, and which to choose (RFC 6056 3.3.3, algorithm 3: a keyed hash of
 * the connection gives each destination a start of its own, and a counter moves on from it).
 */
#include "core.h"
#include "net.h"

#include <errno.h>

static const struct stack_addr any_addr;

static bool taken(const struct stack *s, bool udp, const struct stack_addr *local, uint16_t port)
{
	return table_find(&s->table, udp, local, port, &any_addr, 0) != NULL;
}

/* Is the port bound on any address of ours? */
static bool taken_somewhere(const struct stack *s, bool udp, uint16_t port)
{
	static const uint8_t localhost[4] = {127, 0, 0, 1};
	const struct stack_addr loopback = stack_addr_v4(localhost);

	if (taken(s, udp, &any_addr, port) || taken(s, udp, &loopback, port))
		return true;
	for (size_t i = 0; i < ADDRESS_MAX; i++)
		if (s->address[i].used && taken(s, udp, &s->address[i].addr, port))
			return true;
	return false;
}

int port_check(struct stack *s, bool udp, const struct stack_endpoint *local)
{
	bool any = stack_addr_is_any(&local->addr);

	if (!any && !address_is_ours(s, &local->addr, true) &&
	    !(udp && address_is_broadcast(s, &local->addr)))
		return -EADDRNOTAVAIL;
	if (local->port == 0)
		return 0;
	if (any ? taken_somewhere(s, udp, local->port)
		: taken(s, udp, &local->addr, local->port) || taken(s, udp, &any_addr, local->port))
		return -EADDRINUSE;
	return 0;
}

uint16_t port_choose(struct stack *s, bool udp, const struct stack_addr *local,
		     const struct stack_endpoint *remote)
{
	struct { struct stack_addr local, remote; uint16_t rport, udp; } in;
	uint32_t range = (uint32_t)s->cfg.port_last - s->cfg.port_first + 1;
	uint32_t offset;

	memset(&in, 0, sizeof(in));
	in.local = *local;
	in.remote = remote->addr;
	in.rport = remote->port;
	in.udp = udp;
	offset = (uint32_t)keyed_hash(s->key_port, &in, sizeof(in));
	for (uint32_t i = 0; i < range; i++) {
		uint16_t port = (uint16_t)(s->cfg.port_first + (offset + s->port_counter++) % range);

		if (taken_somewhere(s, udp, port))
			continue;
		if (remote->port && table_find(&s->table, udp, local, port, &remote->addr, remote->port))
			continue;
		return port;
	}
	return 0;
}
