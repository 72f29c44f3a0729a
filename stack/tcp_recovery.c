/*
 * Loss recovery with SACK: RACK-TLP (RFC 8985) finds losses by time, and
 * proportional rate reduction (RFC 9937) sets the window while they are repaired. How a recovery
 * that was not needed is undone is in tcp_undo.c.
 *
 * State: RECOVERY_OPEN until something is taken for lost; RECOVERY_FAST until SND.UNA reaches
 * `recover`; RECOVERY_LOSS the same after a timeout, in slow start; RECOVERY_CWR the same after a
 * mark (RFC 3168), with PRR and nothing to repair.
 */
#include "tcp.h"

#define DUPACK_THRESHOLD 3u      /* RFC 8985 6.2, step 4 */
#define REORDER_STEPS_MAX 32u
#define REORDER_PERSIST 16u     /* RFC 8985 6.2, step 4: recoveries */
#define PROBE_MIN MILLISECONDS(5) /* no probe sooner: the wheel and the peer have their grain */

/* ---- the receiver's side: blocks to report ---- */

static void add_block(struct tcp_options *o, seq32 left, seq32 right)
{
	if (o->sack_count == ARRAY_SIZE(o->sack))
		return;
	o->sack[o->sack_count].left = left;
	o->sack[o->sack_count].right = right;
	o->sack_count++;
}

/* Sequence numbers of a range: with the FIN that came early, if it follows. */
static uint32_t range_length(const struct tcb *t, const struct ooo_range *r)
{
	return r->data.len + (t->ooo->fin && seq_eq(t->ooo->fin_seq, seq_add(r->seq, r->data.len)));
}

static void add_range(struct tcp_options *o, const struct tcb *t, const struct ooo_range *r)
{
	add_block(o, r->seq, seq_add(r->seq, range_length(t, r)));
}

static bool has_range(const struct tcp_options *o, const struct ooo_range *r)
{
	for (unsigned i = 0; i < o->sack_count; i++)
		if (seq_eq(o->sack[i].left, r->seq))
			return true;
	return false;
}

/*
 * RFC 2018 4: the block with the latest segment comes first, and then those that were told last, so that the
 * loss of an ACK hides nothing; RFC 2883 4: a duplicate before it.
 */
void sack_fill(struct tcb *t, struct tcp_options *o)
{
	const struct ooo_range *recent, *end;
	struct ooo *ooo = t->ooo;

	if (!ooo)
		return;
	recent = tcp_ooo_range(t, ooo->recent);
	end = ooo->fin ? tcp_ooo_range(t, ooo->fin_seq) : NULL;
	if (!seq_eq(ooo->dsack_left, ooo->dsack_right))
		add_block(o, ooo->dsack_left, ooo->dsack_right);
	ooo->dsack_left = ooo->dsack_right;
	if (recent && !seq_in(ooo->recent, recent->seq, range_length(t, recent)))
		recent = NULL;
	if (ooo->fin && seq_eq(ooo->recent, ooo->fin_seq) && !(end && range_length(t, end) > end->data.len))
		add_block(o, ooo->fin_seq, seq_add(ooo->fin_seq, 1));
	if (recent)
		add_range(o, t, recent);
	for (unsigned i = 0; i < OOO_LATEST && ooo->latest[i]; i++)
		if (!has_range(o, ooo->latest[i]))
			add_range(o, t, ooo->latest[i]);
	for (const struct ooo_range *r = ooo->head; r && o->sack_count < ARRAY_SIZE(o->sack); r = r->next)
		if (!has_range(o, r))
			add_range(o, t, r);
	tcp_ooo_trim(t);
}

/* ---- the sender's side ---- */

static uint32_t pipe_now(const struct tcb *t)
{
	return scoreboard_pipe(&t->board, tcb_flight(t));
}

static uint64_t rtt_least(const struct tcb *t)
{
	return t->rtt.min == UINT32_MAX ? 0 : t->rtt.min;
}

/* RFC 2883 5: the first block reports a duplicate if it is old, or inside the second. */
static bool is_dsack(const struct tcp_options *o, seq32 ack)
{
	if (o->sack_count == 0)
		return false;
	if (seq_lt(o->sack[0].left, ack))
		return true;
	return o->sack_count > 1 && seq_geq(o->sack[0].left, o->sack[1].left) &&
	       seq_leq(o->sack[0].right, o->sack[1].right);
}

/* Marks what the blocks tell. Bad ones are ignored (row T7). True: one of them reports a duplicate. */
static bool take_blocks(struct tcb *t, const struct tcp_segment *seg, struct delivery *d)
{
	struct stack *s = tcb_stack(t);
	const struct tcp_options *o = &seg->opt;
	bool dsack = is_dsack(o, seg->ack);

	for (unsigned i = dsack ? 1 : 0; i < o->sack_count; i++) {
		seq32 left = o->sack[i].left, right = o->sack[i].right;

		if (seq_geq(left, right) || seq_leq(left, t->snd_una) || seq_gt(right, t->snd_nxt))
			continue;
		scoreboard_sacked(&t->board, &s->mem, left, right, s->now, rtt_least(t), d);
	}
	if (dsack) {
		COUNT(s, tcp_dsacks_in);
		undo_by_dsack(t, o->sack[0].left, o->sack[0].right);
	}
	return dsack;
}

/* What came after later data: how far it was overtaken is for those who look in, RACK asks only whether. */
static void note_reordering(struct tcb *t, seq32 lowest)
{
	uint32_t segments = (t->fack.v - lowest.v + t->mss - 1) / t->mss;
	struct extra *extra = conn_extra(t->conn);

	t->reordering = true;
	if (!extra)
		return;
	extra->reorder_degree = (uint16_t)max_u32(extra->reorder_degree, min_u32(segments, UINT16_MAX));
	if (extra->reorder_seen < UINT16_MAX)
		extra->reorder_seen++;
}

/* RFC 8985 6.2, steps 2 and 3. */
static void rack_update(struct tcb *t, const struct delivery *d, bool dsack)
{
	bool newer = d->at > t->rack_at || (d->at == t->rack_at && seq_gt(d->end, t->rack_end));

	if (d->any_once && t->fack.v != 0 && seq_lt(d->lowest_end, t->fack))
		note_reordering(t, d->lowest);
	if (d->bytes > 0)
		t->fack = t->rack_at ? seq_max(t->fack, d->fack) : d->fack;
	if (d->any && newer) {
		t->rack_at = d->at;
		t->rack_end = d->end;
		t->rack_rtt = (uint32_t)min_u64(tcb_stack(t)->now - d->at, UINT32_MAX);
		tcp_cc_sample(t, t->rack_rtt);
	}
	if (dsack && !tcb_awaited(t, t->reorder_until)) { /* once a round trip */
		t->reorder_steps = (uint8_t)min_u32(t->reorder_steps + 1u, REORDER_STEPS_MAX);
		t->reorder_persist = REORDER_PERSIST;
		t->reorder_until = t->snd_nxt;
	}
}

/* RFC 8985 6.2, step 4: how long a segment may be overtaken before it counts as lost. */
static uint64_t reorder_window(const struct tcb *t)
{
	uint64_t window = rtt_least(t) / 4 * t->reorder_steps;

	if (!t->reordering && (tcb_repairing(t) || t->board.sacked >= DUPACK_THRESHOLD * t->mss))
		return 0;
	return min_u64(window, t->rtt.srtt / 8);
}

/* Step 5. Returns the bytes newly lost. */
static uint32_t detect(struct tcb *t, bool *again)
{
	struct stack *s = tcb_stack(t);
	uint64_t next;
	uint32_t lost;

	*again = false;

	if (t->rack_at == 0)
		return 0;
	lost = scoreboard_detect(&t->board, t->rack_at, t->rack_end, t->rack_rtt + reorder_window(t), s->now, &next, again);
	t->rate.lost += lost;
	if (next > 0)
		tcb_timer_set(t, TCB_REORDER, s->now + next);
	else
		tcb_timer_stop(t, TCB_REORDER);
	if (lost > 0 && t->mtu_search)
		tcp_mtu_lost(t);
	return lost;
}

/* ---- entering, window during, leaving ---- */

/* Proportional rate reduction begins: `gone` bytes of what was in flight have just been delivered (RFC 9937 6.1). */
static void reduction_start(struct tcb *t, uint32_t gone)
{
	struct recovery *r = t->rec;

	t->recover = t->snd_nxt;
	if (!r)
		return;
	r->delivered = r->out = 0;
	r->flight = max_u32(tcb_flight(t) - t->board.sacked + gone, 1);
	r->twice = false;
}

static void enter_recovery(struct tcb *t, uint32_t gone)
{
	struct stack *s = tcb_stack(t);

	COUNT(s, tcp_fast_retransmits);
	undo_begin(t);
	if (t->recovery != RECOVERY_CWR) { /* RFC 3168 6.1.2: once a window, for marks and losses together */
		t->cc_ops->lost(&t->cc, tcp_cc_flight(t), t->mss, s->now);
		ecn_reduced(t);
	}
	reduction_start(t, gone);
	t->recovery = RECOVERY_FAST;
	t->rtt_timing = false;
	t->probe_out = false;
	tcb_timer_stop(t, TCB_LOSS_PROBE);
	tcb_rexmt_start(t);
}

/*
 * RFC 5681 4.3: the loss of a retransmission is a second indication of congestion. It is answered
 * when this recovery is over, by which time the first reduction has been carried out.
 */
static void reduce_twice(struct tcb *t, bool lost_again)
{
	if (lost_again && t->recovery == RECOVERY_FAST && t->rec && !t->cc_ops->rate) /* else cwnd is its own */
		t->rec->twice = true;
}

bool sack_mark(struct tcb *t, uint32_t cwnd)
{
	if (cwnd <= max_u32(t->cc.ssthresh, t->mss) || !recovery_get(t))
		return false;
	t->cc.cwnd = cwnd;
	t->rec->undo = false;
	t->rec->doubtful = 0;
	reduction_start(t, 0);
	ecn_reduced(t);
	t->recovery = RECOVERY_CWR;
	return true;
}

/* RFC 9937 6.2. safe: SafeACK, SND.UNA advances and no more is lost. */
static void reduce(struct tcb *t, uint32_t delivered, bool safe)
{
	uint32_t pipe = pipe_now(t), ssthresh = t->cc.ssthresh, may;
	struct recovery *r = t->rec;

	if (t->cc_ops->rate) /* cwnd is its own */
		return;
	if (!r) { /* no memory: the reduction is not spread */
		t->cc.cwnd = max_u32(ssthresh, t->mss);
		return;
	}
	if (delivered == 0 && r->out > 0)
		return;
	r->delivered += delivered;
	if (pipe > ssthresh) {
		uint64_t target = ((uint64_t)r->delivered * ssthresh + r->flight - 1) / r->flight;

		may = target > r->out ? (uint32_t)target - r->out : 0;
	} else {
		may = max_u32(r->delivered > r->out ? r->delivered - r->out : 0, delivered);
		may = min_u32(may + (safe ? t->mss : 0), ssthresh - pipe);
	}
	if (r->out == 0 && t->recovery != RECOVERY_CWR) /* "Force a fast retransmit upon entering recovery" */
		may = max_u32(may, t->mss);
	t->cc.cwnd = max_u32(pipe + may, t->mss);
}

static void leave(struct tcb *t)
{
	if (t->cc_ops->rate) /* it owns cwnd: no less than before (RestoreCwnd, draft-ietf-ccwg-bbr 5.6.4.4) */
		t->cc.cwnd = max_u32(t->cc.cwnd, t->cc.ssthresh);
	else if (t->recovery != RECOVERY_LOSS)
		t->cc.cwnd = max_u32(t->cc.ssthresh, t->mss);
	if (t->recovery == RECOVERY_FAST && t->rec && t->rec->twice) {
		t->cc_ops->lost(&t->cc, t->cc.cwnd, t->mss, tcb_stack(t)->now);
		t->cc.cwnd = max_u32(t->cc.ssthresh, t->mss);
	}
	if (t->recovery != RECOVERY_CWR && t->reorder_persist > 0 && --t->reorder_persist == 0)
		t->reorder_steps = 1;
	undo_end(t);
}

/*
 * RFC 8985 7.4: the answer to a loss probe. Had it repaired a loss, the window must shrink for
 * it; a probe with new data has repaired nothing, its SACK shows what is missing.
 */
static void probe_answered(struct tcb *t, const struct tcp_segment *seg, uint32_t acked, bool dsack)
{
	struct recovery *r = t->rec;
	bool stamped = t->ts_on && seg->opt.ts_echo != 0;
	bool early = stamped && r && (int32_t)(seg->opt.ts_echo - r->probe_ts) < 0;

	if (!t->probe_out || !r || seq_lt(t->snd_una, r->probe_end))
		return;
	if (r->probe_again && acked > 0 && !stamped && !dsack && seq_eq(t->snd_una, r->probe_end))
		return; /* the ACK of the probe or one that was on its way: what comes next tells */
	t->probe_out = false;
	if (!r->probe_again || acked == 0 || dsack || early || t->recovery != RECOVERY_OPEN)
		return;
	t->cc_ops->lost(&t->cc, r->probe_flight, t->mss, tcb_stack(t)->now);
	ecn_reduced(t);
	t->cc.cwnd = max_u32(t->cc.ssthresh, t->mss);
}

static void after_detection(struct tcb *t, const struct delivery *d, uint32_t acked, uint32_t lost, bool limited)
{
	switch ((enum tcp_recovery)t->recovery) {
	case RECOVERY_OPEN:
		if (t->board.lost > 0 && !tcp_mtu_excused(t)) {
			enter_recovery(t, d->bytes);
			reduce(t, d->bytes, false);
		} else if (acked > 0) {
			/* what was SACKed before has left the network then: it lets nothing out twice */
			tcp_cc_acked(t, min_u32(acked, d->bytes), limited);
		}
		break;
	case RECOVERY_CWR:
		if (t->board.lost > 0 && !tcp_mtu_excused(t))
			enter_recovery(t, d->bytes);
		reduce(t, d->bytes, false); /* nothing was lost that there is to make up for */
		break;
	case RECOVERY_FAST:
		reduce(t, d->bytes, acked > 0 && lost == 0);
		break;
	case RECOVERY_LOSS:
		if (acked > 0)
			tcp_cc_acked(t, acked, true);
		break;
	}
}

/* RFC 6298 with every ACK's news, once a round trip: by SACK or ACK of what was sent once, else by its timestamp. */
static void take_sample(struct tcb *t, const struct tcp_segment *seg, const struct delivery *d, uint32_t acked)
{
	if (d->any_once && !(acked > 0 && d->again_at != 0))
		tcp_rtt_sample(t, d->once_at);
	else if (acked > 0)
		tcp_rtt_by_timestamp(t, seg);
}

void sack_ack(struct tcb *t, const struct tcp_segment *seg, uint32_t acked, bool limited)
{
	struct stack *s = tcb_stack(t);
	struct delivery d = {0};
	bool probing = t->probe_out; /* a duplicate is our probe's doing then, not reordering's */
	bool again;
	uint32_t lost;
	bool dsack;

	if (acked > 0)
		scoreboard_acked(&t->board, &s->mem, t->snd_una, s->now, rtt_least(t), &d);
	dsack = take_blocks(t, seg, &d);
	probe_answered(t, seg, acked, dsack);
	if (acked > 0)
		undo_by_timestamp(t, seg, d.again_at);
	frto_ack(t, d.any_once && seq_leq(d.lowest_end, t->recover), acked > 0);
	take_sample(t, seg, &d, acked);
	rack_update(t, &d, dsack && !probing);
	if (t->recovery != RECOVERY_OPEN && seq_geq(t->snd_una, t->recover)) {
		if (t->recovery == RECOVERY_LOSS)
			limited = true; /* slow start goes on */
		else
			acked = 0; /* this ACK ended the recovery; the window grows from the next */
		leave(t);
	}
	undo_forget(t);
	lost = detect(t, &again);
	reduce_twice(t, again);
	after_detection(t, &d, acked, lost, limited);
	if (d.bytes > 0 || lost > 0)
		tcp_rate_ack(t, &d);
	tcb_dirty(t);
}

/* ---- timers ---- */

/* RFC 8985 6.3: what went out a moment ago is still on its way. */
void sack_timeout(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint64_t wait = t->rack_rtt + reorder_window(t);

	t->rate.lost -= t->board.lost;
	scoreboard_timed_out(&t->board, &s->mem, t->mss, s->now - min_u64(wait, s->now));
	t->rate.lost += t->board.lost;
	t->rtx_one = t->board.head == NULL; /* there was no memory to note what is in flight */
	t->probe_out = false;
	tcb_timer_stop(t, TCB_LOSS_PROBE);
	tcb_timer_stop(t, TCB_REORDER);
}

void sack_reorder_timeout(struct tcb *t)
{
	struct delivery d = {0};
	bool again;
	uint32_t lost = detect(t, &again);

	reduce_twice(t, again);
	if (lost > 0)
		after_detection(t, &d, 0, lost, false);
	tcb_dirty(t);
}

/* RFC 8985 7.2. */
void sack_schedule_probe(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint64_t wait = t->rtt.srtt ? t->rtt.srtt / 4 : s->cfg.rto_initial; /* twice SRTT */

	if (!t->sack_on || tcb_repairing(t) || t->board.sacked > 0 || t->probe_out || tcb_flight(t) == 0)
		return;
	if (tcb_flight(t) <= t->mss) /* the ACK of a single segment may be delayed */
		wait += s->cfg.probe_ack_delay;
	wait = max_u64(wait, PROBE_MIN);
	tcb_timer_set(t, TCB_LOSS_PROBE, min_u64(s->now + wait, tcb_deadline(t, TCB_REXMT)));
}

bool sack_probe_timeout(struct tcb *t)
{
	struct recovery *r;

	tcb_timer_stop(t, TCB_LOSS_PROBE);
	if (!t->sack_on || tcb_repairing(t) || tcb_flight(t) == 0 || t->probe_out || !t->board.tail ||
	    t->board.sacked > 0 || !(r = recovery_get(t)))
		return false;
	COUNT(tcb_stack(t), tcp_loss_probes);
	r->probe_flight = tcb_flight(t);
	r->probe_ts = ts_now(tcb_stack(t), t->ts_offset);
	r->probe_again = tcp_send_loss_probe(t);
	r->probe_end = t->snd_nxt;
	t->probe_out = true;
	tcb_rexmt_start(t);
	return true;
}
