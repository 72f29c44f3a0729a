/*
 * The send side's reaction to acknowledgements: what leaves the send queue, RTT (RFC 6298), the
 * send window. What an ACK means for loss and congestion is tcp_newreno.c's or, with SACK,
 * tcp_recovery.c's.
 */
#include "tcp.h"

bool tcp_fin_acked(const struct tcb *t)
{
	return t->fin_sent && seq_eq(t->snd_una, t->snd_nxt);
}

void tcp_rtt_take(struct tcb *t, uint64_t rtt)
{
	const struct stack_config *c = &tcb_stack(t)->cfg;

	rtt_sample(&t->rtt, rtt, &(struct rtt_limits){.min = c->rto_min, .max = c->rto_max, .margin = c->rto_margin});
}

/*
 * A measurement of what went out at `sent`. More than one of a round trip would make the filter's
 * memory shorter than RFC 6298 means it (RFC 7323 4.2), so what went out before the last is left.
 */
void tcp_rtt_sample(struct tcb *t, stack_time sent)
{
	struct stack *s = tcb_stack(t);

	if (sent < t->rtt_started)
		return;
	tcp_rtt_take(t, s->now - sent);
	t->rtt_started = s->now;
}

/*
 * RFC 7323 4.1: the echo of an ACK for new data is of the first segment it acknowledges, so delay
 * at the receiver counts, and be it of a retransmission. Where much is lost no other sample comes
 * about, and a backoff that no sample ends grows from loss to loss. When it was the ACK that was
 * lost the echo is the first transmission's and the time holds our own waiting: more than a
 * timeout is not believed. Timestamps are in milliseconds: one more keeps it an upper bound.
 */
void tcp_rtt_by_timestamp(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	uint64_t elapsed = MILLISECONDS((uint64_t)(ts_now(s, t->ts_offset) - seg->opt.ts_echo) + 1);

	if (t->ts_on && seg->opt.ts_echo != 0 && elapsed <= t->rtt.rto)
		tcp_rtt_sample(t, s->now - elapsed);
}

/* Without SACK: one segment is timed (Karn: none that was sent again), else its timestamp tells. */
static void take_sample(struct tcb *t, const struct tcp_segment *seg)
{
	stack_time sent = t->rtt_started;

	if (t->sack_on)
		return;
	if (!t->rtt_timing) {
		tcp_rtt_by_timestamp(t, seg);
	} else if (seq_geq(t->snd_una, t->rtt_seq)) {
		t->rtt_timing = false;
		tcp_rtt_sample(t, sent);
		tcp_cc_sample(t, (uint32_t)min_u64(tcb_stack(t)->now - sent, UINT32_MAX));
	}
}

void tcp_cc_sample(struct tcb *t, uint32_t rtt)
{
	bool round = seq_geq(t->snd_una, t->round_end);

	if (round)
		t->round_end = t->snd_nxt;
	if (t->cc_ops->sample)
		t->cc_ops->sample(&t->cc, rtt, round);
}

uint32_t tcp_unsent(const struct tcb *t)
{
	seq32 end = seq_add(tcb_queue_seq(t), t->sndq.len), from = t->syn_acked ? t->snd_nxt : tcb_queue_seq(t);

	return seq_gt(end, from) ? end.v - from.v : 0;
}

void tcp_wake_writer(struct tcb *t)
{
	if (!t->want_write)
		return;
	if (!tcp_send_ready(t))
		tcp_send_tune(t);
	if (!tcp_send_ready(t))
		return;
	t->want_write = false;
	tcb_event(t, STACK_EVENT_WRITABLE);
}

/* RFC 1122 2.3.2.1, RFC 4861 7.3.1: progress shows that the neighbour on the way is there. Once a second is enough. */
static void confirm_path(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint16_t second = (uint16_t)(s->now / SECONDS(1));
	struct stack_addr local, remote;

	if (second == t->confirm_s)
		return;
	t->confirm_s = second;
	local = pcb_local_addr(&t->conn->sock.pcb);
	remote = pcb_remote_addr(&t->conn->sock.pcb);
	ip_confirm(s, &local, &remote);
}

/* SND.UNA < SEG.ACK =< SND.NXT (RFC 9293 3.10.7.4, fifth). Returns the bytes acknowledged. */
static uint32_t advance(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	uint32_t acked = seg->ack.v - t->snd_una.v;
	uint32_t data = min_u32(acked, t->sndq.len); /* the rest is the FIN */

	byteq_consume(&t->sndq, &s->mem, MEM_SEND, data);
	t->snd_una = seg->ack;
	t->snd_rtx = seq_max(t->snd_rtx, t->snd_una);
	if (t->records)
		records_acked(t);
	t->conn->bytes_acked += data;
	t->retries = 0;
	t->stalled = t->more = false;
	t->soft_error = 0;
	if (!t->mtu_carried && acked >= t->mss)
		tcp_mtu_confirmed(t);
	if (t->mtu_search)
		tcp_mtu_acked(t);
	take_sample(t, seg);
	confirm_path(t);
	tcp_wake_writer(t);
	tcb_dirty(t);
	return acked;
}

/* An ACK of nothing new, and nothing is in flight that it could tell of: data that the peer sends has one in each segment. */
static bool nothing_to_learn(const struct tcb *t, const struct tcp_segment *seg)
{
	return tcb_flight(t) == 0 && seg->opt.sack_count == 0 && t->recovery == RECOVERY_OPEN && !t->rec;
}

void tcp_ack(struct tcb *t, const struct tcp_segment *seg, bool duplicate)
{
	bool limited = tcp_cwnd_limited(t);
	bool restart = true;
	uint32_t acked = 0;

	if (t->ecn_on && (seg->flags & TCP_ECE))
		limited = false; /* RFC 3168 6.1.2: no growth on an ACK that reports congestion */
	if (duplicate)
		COUNT_EXTRA(t, dupacks_in, 1);
	if (seq_gt(seg->ack, t->snd_una))
		acked = advance(t, seg);
	if (t->sack_on && (acked > 0 || !nothing_to_learn(t, seg)))
		sack_ack(t, seg, acked, limited);
	else if (t->sack_on)
		return;
	else if (acked > 0)
		restart = newreno_ack(t, seg, acked, limited);
	else if (duplicate)
		newreno_duplicate(t);
	if (!t->sack_on && acked > 0)
		tcp_rate_ack_plain(t);
	if (tcb_flight(t) == 0) {
		tcb_timer_stop(t, TCB_REXMT);
		tcb_timer_stop(t, TCB_LOSS_PROBE);
	} else if (acked > 0 && restart) {
		tcb_rexmt_start(t);
		sack_schedule_probe(t);
	}
}

/*
 * "If SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK), set SND.WND". Also when it
 * acknowledges something new: a retransmission has an old sequence number, but its acknowledgment
 * is certainly newer, and the window counts from there.
 */
void tcp_update_window(struct tcb *t, const struct tcp_segment *seg)
{
	uint32_t window = (uint32_t)seg->window << t->snd_scale;

	if (!seq_gt(seg->ack, t->snd_una) && !seq_lt(t->snd_wl1, seg->seq) &&
	    !(seq_eq(t->snd_wl1, seg->seq) && seq_leq(t->snd_wl2, seg->ack)))
		return;
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
	if (window == 0)
		t->retries = 0; /* it answers: a closed window is no reason to give up (RFC 9293 3.8.6.1) */
	if (window > t->snd_wnd) {
		if (t->snd_wnd == 0) {
			t->stalled = false;
			rtt_reset_backoff(&t->rtt);
			if (t->sndq.len > 0) /* no more probes; output decides what to wait for */
				tcb_timer_stop(t, TCB_PERSIST);
		}
		tcb_dirty(t);
	}
	t->snd_wnd = window;
	t->max_snd_wnd = max_u32(t->max_snd_wnd, window);
}
