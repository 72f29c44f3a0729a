/*
 * Ping sockets: ICMP echo (RFC 792, RFC 1122 3.2.2.6) for owners who may not send raw packets.
 * A message is a whole ICMP message. What an owner sends must be an echo request; the stack puts
 * the socket's identifier in place of its own, so that nobody can have another's replies, and
 * sums it. Received are the replies with that identifier, as they came.
 *
 * The identifier is the socket's port, chosen and shared as ports are. A connected socket stays
 * in the table as if it had no peer: its identifier is its own, whoever answers.
 */
#include "net.h"

#include <errno.h>

int ping_check(const uint8_t *p, size_t len)
{
	return len < ICMP_HEADER || p[0] != ICMP_ECHO || p[1] != 0 ? -EINVAL : 0;
}

void ping_header(uint8_t head[ICMP_HEADER], const uint8_t *p, size_t len, uint16_t id)
{
	struct icmp4_header h = {.type = ICMP_ECHO, .rest = (uint32_t)id << 16 | load16(p + 6)};

	icmp4_write(head, &h, p + ICMP_HEADER, len - ICMP_HEADER);
}

bool ping_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len)
{
	struct udp_sock *u = udp_find(s, STACK_PING, &ip->dst, load16(p + 4));
	struct stack_endpoint from = {.addr = ip->src};

	if (u)
		udp_deliver(s, u, &from, &(struct stack_arrival){.to = ip->dst, .ttl = ip->ttl, .tos = ip->tos}, p, len);
	return u != NULL;
}

void ping_error(struct stack *s, const struct stack_addr *local, const struct stack_addr *remote, uint16_t id,
		const struct net_error *e)
{
	struct udp_sock *u = udp_find(s, STACK_PING, local, id);

	if (u && e->error == EMSGSIZE && !udp_too_big(u, &(struct stack_endpoint){.addr = *remote}, e))
		return;
	/* As the host has it: without IP_RECVERR only what will not go away by itself. */
	if (u && (e->hard || e->error == EMSGSIZE || sock_options(&u->sock)->recv_err))
		udp_failed(u, &(struct stack_endpoint){.addr = *remote}, e);
}
