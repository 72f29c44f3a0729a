/*
 * What a recovery needs and nobody else: the state of before, to which a recovery that was not
 * needed goes back. Three things tell that it was not:
 *
 *   Eifel   the ACK echoes a timestamp from before the first retransmission (RFC 3522, 4015)
 *   D-SACK  the receiver reports each retransmission as a duplicate (RFC 2883; RFC 3708 4)
 *   F-RTO   after a timeout, what was sent once and before it is acknowledged (RFC 5682)
 *
 * The state is allocated when a recovery or a loss probe begins and lives until a round trip
 * after its end, when the last D-SACK must have come. Without memory for it there is no undo.
 */
#include "tcp.h"

void recovery_free(struct tcb *t)
{
	mem_give(&tcb_stack(t)->mem, MEM_SEND, POOL_RECOVERY, t->rec, sizeof(*t->rec));
	t->rec = NULL;
}

struct recovery *recovery_get(struct tcb *t)
{
	if (!t->rec)
		t->rec = mem_take(&tcb_stack(t)->mem, MEM_SEND, POOL_RECOVERY, sizeof(*t->rec));
	return t->rec;
}

void undo_begin(struct tcb *t)
{
	struct recovery *r;

	if (tcb_repairing(t) || !(r = recovery_get(t)))
		return;
	r->cc = t->cc;
	if (t->recovery == RECOVERY_CWR) /* what a mark has taken stays taken */
		r->cc.cwnd = max_u32(t->cc.ssthresh, t->mss);
	r->undo = true;
	r->ts = 0;
	r->start = t->snd_una;
	r->doubtful = t->probe_out && r->probe_again ? t->mss : 0;
}

void undo_resent(struct tcb *t, uint32_t len)
{
	struct recovery *r = t->rec;

	if (!r || t->recovery == RECOVERY_OPEN) /* a loss probe: no window was reduced for it */
		return;
	r->out += len;
	if (t->recovery == RECOVERY_CWR)
		return;
	r->doubtful += len;
	if (r->ts == 0)
		r->ts = ts_now(tcb_stack(t), t->ts_offset);
}

void undo_end(struct tcb *t)
{
	t->recovery = RECOVERY_OPEN;
	if (!t->rec)
		return;
	t->rec->frto = FRTO_OFF;
	t->rec->end = t->snd_nxt;
	if (t->rec->doubtful == 0 && !t->probe_out)
		recovery_free(t);
}

void undo_forget(struct tcb *t)
{
	if (t->rec && t->recovery == RECOVERY_OPEN && !t->probe_out && !tcb_awaited(t, t->rec->end) &&
	    !seq_eq(t->snd_una, t->rec->end))
		recovery_free(t);
}

/* RFC 4015 3. */
static void undo(struct tcb *t)
{
	struct recovery *r = t->rec;

	COUNT(tcb_stack(t), tcp_undos);
	r->cc.cwnd = max_u32(t->cc.cwnd, r->cc.cwnd);
	t->cc = r->cc;
	t->reordering = true;
	t->rack_at = 0; /* it may be the time of a retransmission, by which all before would be lost */
	rtt_reset_backoff(&t->rtt);
	scoreboard_none_lost(&t->board);
	t->snd_rtx = t->snd_nxt;
	t->rtx_one = false;
	t->dupacks = 0;
	t->recovery = RECOVERY_OPEN;
	if (t->probe_out) /* its fields are still in use */
		*r = (struct recovery){.probe_flight = r->probe_flight, .probe_end = r->probe_end,
				       .probe_ts = r->probe_ts, .probe_again = r->probe_again};
	else
		recovery_free(t);
}

void undo_by_timestamp(struct tcb *t, const struct tcp_segment *seg, stack_time again_at)
{
	struct recovery *r = t->rec;
	bool repaired_before; /* what had been sent again before this recovery has a timestamp from before, too */

	if (!r || !r->undo || !t->ts_on || t->recovery == RECOVERY_OPEN || r->ts == 0 || seg->opt.ts_echo == 0)
		return;
	repaired_before = again_at != 0 && (int32_t)(to_ms(again_at) + t->ts_offset - r->ts) < 0;
	if ((int32_t)(seg->opt.ts_echo - r->ts) < 0 && !repaired_before)
		undo(t);
	else
		r->undo = false; /* the retransmission was needed */
}

void undo_by_dsack(struct tcb *t, seq32 left, seq32 right)
{
	struct recovery *r = t->rec;

	if (!r || r->doubtful == 0 || seq_lt(left, r->start) || seq_gt(right, t->snd_nxt) || seq_geq(left, right))
		return;
	r->doubtful -= min_u32(r->doubtful, right.v - left.v);
	if (r->doubtful == 0 && r->ts != 0 && t->board.lost == 0)
		undo(t);
}

/* ---- F-RTO ---- */

void frto_start(struct tcb *t)
{
	if (t->rec && t->recovery != RECOVERY_FAST)
		t->rec->frto = FRTO_HEAD;
}

/* Step 2b: is there something new to send, and may it go? */
static bool new_data_may_go(const struct tcb *t)
{
	uint32_t flight = tcb_flight(t), unsent = seq_add(tcb_queue_seq(t), t->sndq.len).v - t->snd_nxt.v;

	return !t->fin_sent && unsent >= t->mss && t->snd_wnd >= flight + t->mss;
}

void frto_ack(struct tcb *t, bool original, bool moved)
{
	struct recovery *r = t->rec;

	if (!r || r->frto == FRTO_OFF || t->recovery != RECOVERY_LOSS)
		return;
	if (original || (r->frto == FRTO_NEW && moved && !t->sack_on)) {
		undo(t); /* step 3b */
	} else if (r->frto == FRTO_HEAD && moved && seq_lt(t->snd_una, t->recover) && new_data_may_go(t)) {
		r->frto = FRTO_NEW;
		t->recover = t->snd_nxt;
	} else if (moved || r->frto == FRTO_NEW || !t->sack_on) {
		r->frto = FRTO_OFF; /* steps 2a, 3a */
	}
}

uint32_t frto_room(const struct tcb *t)
{
	uint32_t sent = t->snd_nxt.v - t->recover.v;

	return sent < 2u * t->mss ? 2u * t->mss - sent : 0;
}
