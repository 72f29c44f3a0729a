/*
 * Local ports: is one free, and which to choose (RFC 6056 3.3.3, algorithm 3: a keyed hash of
 * the connection gives each destination a start of its own, and a counter moves on from it).
 */
#include "core.h"
#include "net.h"

#include <errno.h>

static const struct stack_addr any_addr;

static bool taken(struct stack *s, enum stack_proto proto, const struct stack_addr *local, uint16_t port)
{
	return table_find(&s->table, proto, local, port, &any_addr, 0) != NULL;
}

/* Is the port bound on any address of ours? */
static bool taken_somewhere(struct stack *s, enum stack_proto proto, uint16_t port)
{
	static const uint8_t localhost[4] = {127, 0, 0, 1};
	const struct stack_addr loopback = stack_addr_v4(localhost);

	if (taken(s, proto, &any_addr, port) || taken(s, proto, &loopback, port))
		return true;
	for (size_t i = 0; i < ADDRESS_MAX; i++)
		if (s->address[i].used && taken(s, proto, &s->address[i].addr, port))
			return true;
	return false;
}

/* As the host has it: both must have asked for sharing, by address and not listening, or by port and of one user. */
static bool may_share(const struct sock *a, const struct sock *b)
{
	const struct sock_options *x = sock_options(a), *y = sock_options(b);
	bool datagram = pcb_is_datagram(&a->pcb);

	if (x->reuse_addr && y->reuse_addr && (datagram || b->pcb.kind != PCB_LISTEN))
		return true;
	return x->reuse_port && y->reuse_port && a->pcb.owner == b->pcb.owner;
}

/* Somebody else is bound to exactly this, and will not share it. */
static bool refused_at(const struct sock *sock, const struct stack_addr *addr, uint16_t port)
{
	struct pcb *p = table_find(&sock->stack->table, pcb_proto(&sock->pcb), addr, port, &any_addr, 0);

	for (; p; p = table_find_next(p))
		if (p != &sock->pcb && !may_share(sock, CONTAINER_OF(p, struct sock, pcb)))
			return true;
	return false;
}

/* The same of every address that `addr` overlaps with. */
static bool refused(const struct sock *sock, const struct stack_addr *addr, uint16_t port)
{
	static const uint8_t localhost[4] = {127, 0, 0, 1};
	const struct stack_addr loopback = stack_addr_v4(localhost);
	struct stack *s = sock->stack;

	if (refused_at(sock, &any_addr, port))
		return true;
	if (!stack_addr_is_any(addr))
		return refused_at(sock, addr, port);
	for (size_t i = 0; i < ADDRESS_MAX; i++)
		if (s->address[i].used && refused_at(sock, &s->address[i].addr, port))
			return true;
	return refused_at(sock, &loopback, port);
}

struct port_search {
	const struct stack_endpoint *local;
	bool found;
};

static bool search_visit(void *arg, struct pcb *p)
{
	struct port_search *search = arg;

	search->found = !pcb_is_datagram(p) && p->rport != 0 && !p->past && p->lport == search->local->port &&
			(stack_addr_is_any(&search->local->addr) || (p->local_v4 && p->local == addr_word(&search->local->addr)));
	return !search->found;
}

/* A connection uses the port, be it in TIME-WAIT. Only one without SO_REUSEADDR asks. Looks through all only if one has the port. */
static bool connected_from(struct stack *s, const struct stack_endpoint *local)
{
	struct port_search search = {.local = local};
	uint64_t cursor = 0;

	if (!table_port_used(&s->table, local->port))
		return false;
	while (!search.found && table_walk(&s->table, &cursor, SIZE_MAX, search_visit, &search))
		continue;
	return search.found;
}

int port_check_listen(const struct sock *sock)
{
	struct stack_endpoint local = {pcb_local_addr(&sock->pcb), sock->pcb.lport};
	struct stack *s = sock->stack;
	const struct stack_addr *addr[] = {&local.addr, &any_addr};

	for (size_t i = 0; i < ARRAY_SIZE(addr); i++)
		for (struct pcb *p = table_find(&s->table, STACK_TCP, addr[i], local.port, &any_addr, 0); p; p = table_find_next(p))
			if (p->kind == PCB_LISTEN && !may_share(sock, CONTAINER_OF(p, struct sock, pcb)))
				return -EADDRINUSE;
	return 0;
}

int port_check_address(const struct sock *sock, const struct stack_addr *addr)
{
	const struct stack *s = sock->stack;
	bool ours = stack_addr_is_any(addr) || (sock_options(sock)->freebind && addr_is_v4(addr)) || address_is_ours(s, addr, true) ||
		    (pcb_is_datagram(&sock->pcb) && address_is_broadcast(s, addr));

	return ours ? 0 : -EADDRNOTAVAIL;
}

int port_check(const struct sock *sock, const struct stack_endpoint *local)
{
	struct stack *s = sock->stack;

	if (local->port == 0)
		return 0;
	if (refused(sock, &local->addr, local->port))
		return -EADDRINUSE;
	if (!pcb_is_datagram(&sock->pcb) && !sock_options(sock)->reuse_addr && connected_from(s, local))
		return -EADDRINUSE;
	return 0;
}

static bool comes_here(const struct stack *s, const struct stack_addr *local, uint16_t port,
		       const struct stack_endpoint *remote)
{
	const struct stack_endpoint here = {*local, port};

	return !s->ops.ours || s->ops.ours(s->context, &here, remote);
}

uint16_t port_choose(struct stack *s, enum stack_proto proto, const struct stack_addr *local,
		     const struct stack_endpoint *remote)
{
	struct { struct stack_addr local, remote; uint16_t rport, proto; } in;
	uint32_t range = (uint32_t)s->cfg.port_last - s->cfg.port_first + 1;
	uint32_t offset;

	memset(&in, 0, sizeof(in));
	in.local = *local;
	in.remote = remote->addr;
	in.rport = remote->port;
	in.proto = (uint16_t)proto;
	offset = (uint32_t)keyed_hash(s->key_port, &in, sizeof(in));
	for (uint32_t i = 0; i < range; i++) {
		uint16_t port = (uint16_t)(s->cfg.port_first + (offset + s->port_counter++) % range);

		if (taken_somewhere(s, proto, port))
			continue;
		if (remote->port && table_find(&s->table, proto, local, port, &remote->addr, remote->port))
			continue;
		if (remote->port && proto == STACK_TCP && !comes_here(s, local, port, remote))
			continue;
		return port;
	}
	return 0;
}
