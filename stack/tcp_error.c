/*
 * ICMP errors about our segments (RFC 9293 3.9.2.2, RFC 5927): only those that quote a sequence
 * number in flight count; they end a connection that is being opened, and no other.
 */
#include "tcp.h"

#include <errno.h>

/* Our SYN was too big for the data in it (RFC 7413 4.1.3.1): it goes again without. */
static void syn_too_big(struct tcb *t, uint16_t mtu)
{
	uint16_t before = t->mtu;

	tcp_mtu_too_big(t, mtu);
	if (t->mtu == before)
		return;
	t->snd_rtx = t->snd_nxt;
	t->fastopen_failure = STACK_FASTOPEN_SYN_AGAIN;
	tcp_send_syn(t);
}

static void tcb_error(struct tcb *t, seq32 seq, const struct net_error *e)
{
	struct stack *s = tcb_stack(t);
	enum tcp_state state = tcb_state(t);
	seq32 first = t->fastopen_pending ? t->iss : t->snd_una;

	if (!seq_in(seq, first, t->snd_nxt.v - first.v)) {
		COUNT(s, icmp_in_ignored);
		return;
	}
	if (e->error == EMSGSIZE) {
		if (t->syn_acked)
			tcp_mtu_too_big(t, e->mtu);
		else if (state == TCP_SYN_SENT && tcb_flight(t) > 1)
			syn_too_big(t, e->mtu);
		return;
	}
	if (state == TCP_SYN_SENT || state == TCP_SYN_RECEIVED) {
		COUNT(s, tcp_attempt_fails);
		tcb_end(t, e->error, CAUSE_ICMP);
		return;
	}
	t->soft_error = (int16_t)e->error;
}

void tcp_error(struct stack *s, const struct stack_endpoint *local, const struct stack_endpoint *remote,
	       seq32 seq, const struct net_error *e)
{
	struct pcb *p = table_find(&s->table, STACK_TCP, &local->addr, local->port, &remote->addr, remote->port);

	if (p && p->kind == PCB_TCB) { /* of one at rest, all that was sent has arrived */
		struct tcb *t = conn_tcb(CONTAINER_OF(p, struct conn, sock.pcb));

		if (t)
			tcb_error(t, seq, e);
		else
			COUNT(s, icmp_in_ignored);
		return;
	}
	if (p && p->kind == PCB_HALF) {
		struct half_open *h = CONTAINER_OF(p, struct half_open, pcb);

		if (e->hard && seq_eq(seq, h->iss)) {
			COUNT(s, tcp_attempt_fails);
			half_open_free(s, h);
			return;
		}
	}
	COUNT(s, icmp_in_ignored);
}
