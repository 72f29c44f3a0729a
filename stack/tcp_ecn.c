/*
 * Explicit congestion notification (RFC 3168): a router marks instead of dropping, the receiver
 * echoes (ECE), the sender reduces once a round trip and says so (CWR).
 */
#include "tcp.h"

/* 6.1.3: the receiver. CWR first: a mark on the same packet is newer. */
static void receive_mark(struct tcb *t, const struct ip_info *ip, const struct tcp_segment *seg)
{
	if (seg->flags & TCP_CWR)
		t->ecn_echo = false;
	if (seg->len > 0 && (ip->tos & IP_ECN_MASK) == IP_CE) {
		COUNT(tcb_stack(t), tcp_ecn_ce_in);
		t->ecn_echo = true;
		t->ack_now = true; /* congestion is not news to sit on */
		tcb_dirty(t);
	}
}

void ecn_reduced(struct tcb *t)
{
	t->ecn_point = t->snd_nxt;
	t->ecn_cwr = t->ecn_on;
}

/* An echo of a mark that the last reduction has answered: nothing is acknowledged that was sent after it. */
static bool answered_already(const struct tcb *t, seq32 ack)
{
	return t->ecn_point.v - t->snd_una.v <= tcb_flight(t) && seq_leq(ack, t->ecn_point);
}

/* 6.1.2: the sender reacts as to one lost packet, once a window; as there, with SACK the window goes down by and by. */
static void receive_echo(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	uint32_t cwnd = t->cc.cwnd;
	bool spread = t->sack_on && !t->cc_ops->rate;

	if (!(seg->flags & TCP_ECE) || t->recovery != RECOVERY_OPEN || answered_already(t, seg->ack))
		return;
	COUNT(s, tcp_ecn_reductions);
	t->cc_ops->lost(&t->cc, tcp_cc_flight(t), t->mss, s->now);
	if (spread && sack_mark(t, cwnd))
		return;
	t->cc.cwnd = min_u32(cwnd, max_u32(t->cc.ssthresh, t->mss));
	ecn_reduced(t);
}

void ecn_input(struct tcb *t, const struct ip_info *ip, const struct tcp_segment *seg)
{
	receive_mark(t, ip, seg);
	if ((seg->flags & TCP_ACK) && seq_geq(seg->ack, t->snd_una) && seq_leq(seg->ack, t->snd_nxt))
		receive_echo(t, seg);
}

/* 6.1.4, 6.1.5: ECT on new data only, never on retransmissions or pure ACKs. */
uint8_t ecn_output(struct tcb *t, struct tcp_segment *seg, bool new_data)
{
	if (!t->ecn_on)
		return 0;
	if (t->ecn_echo)
		seg->flags |= TCP_ECE;
	if (!new_data)
		return 0;
	if (t->ecn_cwr)
		seg->flags |= TCP_CWR;
	t->ecn_cwr = false;
	return IP_ECT0;
}
