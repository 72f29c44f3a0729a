/*
 * Loss recovery for a peer without SACK: NewReno (RFC 6582) and slow start after a timeout
 * (RFC 5681). Everything in flight at a timeout counts as lost and goes again from snd_rtx.
 */
#include "tcp.h"

#define DUPACK_THRESHOLD 3u /* RFC 5681 3.2 */

/* RFC 6582 3.2: an ACK of new data during fast recovery. True: the retransmission timer restarts. */
static bool ack_in_fast_recovery(struct tcb *t, uint32_t acked)
{
	bool first_partial;

	if (seq_geq(t->snd_una, t->recover)) {
		t->cc.cwnd = min_u32(t->cc.ssthresh, max_u32(tcb_flight(t), t->mss) + t->mss);
		undo_end(t);
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

bool newreno_ack(struct tcb *t, const struct tcp_segment *seg, uint32_t acked, bool limited)
{
	undo_by_timestamp(t, seg, 0);
	frto_ack(t, false, true);
	undo_forget(t);
	switch ((enum tcp_recovery)t->recovery) {
	case RECOVERY_FAST:
		return ack_in_fast_recovery(t, acked);
	case RECOVERY_LOSS:
		if (seq_geq(t->snd_una, t->recover))
			undo_end(t);
		tcp_cc_acked(t, acked, true);
		t->dupacks = 0;
		return true;
	case RECOVERY_OPEN: case RECOVERY_CWR:
		t->recover = seq_sub(t->snd_una, 1); /* it is past, and must not fall 2^31 behind */
		/* what duplicate ACKs have told of has let out segments already (RFC 3042) */
		acked -= min_u32(acked, min_u32(t->dupacks, DUPACK_THRESHOLD - 1) * t->mss);
		tcp_cc_acked(t, acked, limited);
		t->dupacks = 0;
		return true;
	}
	return true;
}

/* RFC 5681 3.2, RFC 6582 3.2: the caller has made sure that it is a duplicate ACK. */
void newreno_duplicate(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	if (t->recovery == RECOVERY_LOSS) {
		frto_ack(t, false, false);
		tcb_dirty(t);
		return;
	}
	if (t->recovery == RECOVERY_FAST) {
		t->cc.cwnd += t->mss;
		tcb_dirty(t);
		return;
	}
	if (++t->dupacks < DUPACK_THRESHOLD)
		tcb_dirty(t); /* step 1: limited transmit */
	if (t->dupacks != DUPACK_THRESHOLD || seq_leq(t->snd_una, t->recover))
		return;
	COUNT(s, tcp_fast_retransmits);
	undo_begin(t);
	/* Step 2: without what limited transmit has sent past the window. */
	t->cc_ops->lost(&t->cc, tcp_cc_flight(t), t->mss, s->now);
	ecn_reduced(t);
	t->recover = t->snd_nxt;
	t->recovery = RECOVERY_FAST;
	t->rtt_timing = false;
	t->rtx_one = true;
	t->rate.lost += t->mss;
	tcb_rexmt_start(t);
	tcb_dirty(t);
}

void newreno_timeout(struct tcb *t)
{
	t->rate.lost += t->snd_rtx.v - t->snd_una.v;
	t->snd_rtx = t->snd_una;
	t->rtx_one = false;
}
