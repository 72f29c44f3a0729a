/*
 * The send side's reaction to acknowledgements: RTT (RFC 6298), congestion window (RFC 5681),
 * NewReno recovery (RFC 6582), recovery after a timeout, and the send window.
 *
 * Another way of recovery (SACK, RACK) replaces ack_in_recovery and tcp_ack_duplicate.
 */
#include "tcp.h"

#define DUPACK_THRESHOLD 3u /* RFC 5681 3.2 */

bool tcp_fin_acked(const struct tcb *t)
{
	return t->fin_sent && seq_eq(t->snd_una, t->snd_nxt);
}

static void take_sample(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	if (!t->rtt_timing || seq_lt(t->snd_una, t->rtt_seq))
		return;
	t->rtt_timing = false;
	rtt_sample(&t->rtt, s->now - t->rtt_started, s->cfg.rto_min, s->cfg.rto_max);
}

/* RFC 6582 3.2: an ACK of new data during fast recovery. True: the retransmission timer restarts. */
static bool ack_in_fast_recovery(struct tcb *t, uint32_t acked)
{
	bool first_partial;

	if (seq_geq(t->snd_una, t->recover)) {
		t->cc.cwnd = min_u32(t->cc.ssthresh, max_u32(tcb_flight(t), t->mss) + t->mss);
		t->recovery = RECOVERY_OPEN;
		t->dupacks = 0;
		return true;
	}
	t->cc.cwnd = t->cc.cwnd > acked ? t->cc.cwnd - acked : 0;
	if (acked >= t->mss)
		t->cc.cwnd += t->mss;
	t->cc.cwnd = max_u32(t->cc.cwnd, t->mss);
	t->rtx_one = true;
	first_partial = t->dupacks != 0;
	t->dupacks = 0; /* from now on only a mark that the first partial ACK was seen */
	return first_partial;
}

static bool ack_in_recovery(struct tcb *t, uint32_t acked, bool limited)
{
	struct stack *s = tcb_stack(t);

	switch ((enum tcp_recovery)t->recovery) {
	case RECOVERY_FAST:
		return ack_in_fast_recovery(t, acked);
	case RECOVERY_LOSS:
		if (seq_geq(t->snd_una, t->recover))
			t->recovery = RECOVERY_OPEN;
		t->cc_ops->acked(&t->cc, acked, t->mss, true, s->now, t->rtt.srtt / 8);
		t->dupacks = 0;
		return true;
	case RECOVERY_OPEN:
		t->cc_ops->acked(&t->cc, acked, t->mss, limited, s->now, t->rtt.srtt / 8);
		t->dupacks = 0;
		return true;
	}
	return true;
}

void tcp_wake_writer(struct tcb *t)
{
	if (!t->want_write || t->sndq.len > t->send_limit / 4 * 3)
		return;
	t->want_write = false;
	sock_event(&t->sock, STACK_EVENT_WRITABLE);
}

/* SND.UNA < SEG.ACK =< SND.NXT (RFC 9293 3.10.7.4, fifth). */
void tcp_ack_advance(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	uint32_t acked = seg->ack.v - t->snd_una.v;
	uint32_t data = min_u32(acked, t->sndq.len); /* the rest is the FIN */
	bool limited = tcb_flight(t) + t->mss >= t->cc.cwnd || tcb_flight(t) * 2 >= t->cc.cwnd;

	byteq_consume(&t->sndq, &s->mem, MEM_SEND, data);
	t->snd_una = seg->ack;
	t->snd_rtx = seq_max(t->snd_rtx, t->snd_una);
	t->bytes_acked += data;
	t->retries = 0;
	t->soft_error = 0;
	take_sample(t);
	if (ack_in_recovery(t, acked, limited) && tcb_flight(t) > 0)
		tcb_rexmt_start(t);
	if (tcb_flight(t) == 0)
		tcb_timer_stop(t, TCB_REXMT);
	tcp_wake_writer(t);
	tcb_dirty(t);
}

/* RFC 5681 3.2, RFC 6582 3.2: the caller has made sure that it is a duplicate ACK. */
void tcp_ack_duplicate(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	t->dupacks_in++;
	if (t->recovery == RECOVERY_LOSS)
		return;
	if (t->recovery == RECOVERY_FAST) {
		t->cc.cwnd += t->mss;
		tcb_dirty(t);
		return;
	}
	if (++t->dupacks != DUPACK_THRESHOLD || seq_leq(t->snd_una, t->recover))
		return;
	COUNT(s, tcp_fast_retransmits);
	t->cc_ops->lost(&t->cc, tcb_flight(t), t->mss, s->now);
	t->recover = t->snd_nxt;
	t->recovery = RECOVERY_FAST;
	t->rtt_timing = false;
	t->rtx_one = true;
	tcb_rexmt_start(t);
	tcb_dirty(t);
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
		if (t->snd_wnd == 0)
			rtt_reset_backoff(&t->rtt);
		tcb_dirty(t);
	}
	t->snd_wnd = window;
	t->max_snd_wnd = max_u32(t->max_snd_wnd, window);
}
