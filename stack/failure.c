/*
 * Errors about datagrams that a socket with IP_RECVERR has sent, kept until its owner asks
 * (stack_recverr): what the ICMP message said, who sent it, and the payload as far as it is quoted.
 * Bounded by number, and by the stack's memory for received data, since anybody can send them.
 */
#include "net.h"

#include <errno.h>

#define FAILURES_MAX 32
#define QUOTE_MAX 576 /* bytes of payload; an ICMP message quotes no more as a rule (RFC 1812 4.3.2.3) */

struct failure {
	struct failure *next;
	struct stack_failure what;
	uint32_t len;
	uint8_t data[];
};

static size_t failure_size(size_t len)
{
	return sizeof(struct failure) + len;
}

/* An echo request is quoted with its header, which its owner has written. */
static size_t header_of(const struct udp_sock *u)
{
	return u->sock.pcb.kind == PCB_PING ? 0 : UDP_HEADER;
}

void failure_keep(struct udp_sock *u, const struct stack_endpoint *to, const struct net_error *e)
{
	struct mem *mem = &u->sock.stack->mem;
	size_t skip = header_of(u), len = e->quoted_len > skip ? min_size(e->quoted_len - skip, QUOTE_MAX) : 0;
	struct failure **at = &u->failures, *f;
	unsigned count = 0;

	for (; *at; at = &(*at)->next)
		count++;
	if (count >= FAILURES_MAX || failure_size(len) > mem_share(mem, u->queued))
		return;
	f = mem_alloc_raw(mem, MEM_RECV, failure_size(len));
	if (!f)
		return;
	*f = (struct failure){.len = (uint32_t)len, .what = {
		.error = e->error, .type = e->type, .code = e->code, .info = e->mtu, .offender = e->offender, .to = *to,
	}};
	if (len > 0)
		memcpy(f->data, e->quoted + skip, len);
	*at = f;
}

static void failure_drop(struct udp_sock *u)
{
	struct failure *f = u->failures;

	u->failures = f->next;
	mem_free(&u->sock.stack->mem, MEM_RECV, f, failure_size(f->len));
}

void failure_free_all(struct udp_sock *u)
{
	while (u->failures)
		failure_drop(u);
}

ptrdiff_t stack_recverr(struct sock *sock, struct stack_failure *out, void *data, size_t len)
{
	struct udp_sock *u = udp_of(sock);
	ptrdiff_t whole;

	if (!pcb_is_datagram(&sock->pcb) || !u->failures)
		return -EAGAIN;
	*out = u->failures->what;
	whole = (ptrdiff_t)u->failures->len;
	if (len > 0 && whole > 0)
		memcpy(data, u->failures->data, min_size(len, (size_t)whole));
	failure_drop(u);
	if (sock->error != ECONNABORTED)
		sock->error = u->failures ? u->failures->what.error : 0;
	return whole;
}
