/*
 * Between a connection and its congestion control: choosing the algorithm and holding its state,
 * the samples it is fed with, and what becomes of a window that is not used.
 */
#include "tcp.h"

#include <errno.h>

/* ---- the algorithm ---- */

static void state_free(struct tcb *t)
{
	if (t->cc_ops->state_size && t->syn_acked)
		mem_free(&tcb_stack(t)->mem, MEM_SOCKET, t->cc.bbr, t->cc_ops->state_size);
}

void tcp_cc_free(struct tcb *t)
{
	state_free(t);
	t->cc_ops = &cc_newreno; /* it has no state, and nothing is sent any more */
}

/* A socket that asks for a limit, or a configuration that wants it, is paced whatever the algorithm. */
static void decide_pacing(struct tcb *t)
{
	t->paced = t->cc_ops->rate || tcb_stack(t)->cfg.pacing || sock_options(&t->conn->sock)->pacing_limit < PACING_UNLIMITED;
}

static bool start(struct tcb *t, const struct cc_ops *ops)
{
	struct stack *s = tcb_stack(t);
	struct bbr *state = NULL;

	if (ops->state_size && !(state = mem_alloc(&s->mem, MEM_SOCKET, ops->state_size)))
		return false;
	t->cc = (struct cc){.bbr = state};
	t->cc_ops = ops;
	ops->init(&t->cc, t->mss, t->rtt.srtt / 8, s->now);
	decide_pacing(t);
	return true;
}

void tcp_cc_start(struct tcb *t)
{
	t->cwnd_ms = to_ms(tcb_stack(t)->now);
	if (!start(t, t->cc_ops))
		start(t, &cc_cubic); /* what needs no memory */
}

void tcp_cc_resume(struct tcb *t, const struct cc_ops *ops, uint32_t cwnd, uint32_t ssthresh)
{
	start(t, ops);
	t->cc.cwnd = cwnd;
	t->cc.ssthresh = ssthresh;
}

int tcp_cc_change(struct tcb *t, const char *name)
{
	const struct cc_ops *ops = cc_find(name), *old_ops = t->cc_ops;
	struct cc old = t->cc;

	if (!ops)
		return -ENOENT;
	if (ops == t->cc_ops)
		return 0;
	if (t->detached) /* nothing is sent any more */
		return 0;
	if (!t->syn_acked) {
		t->cc_ops = ops;
		return 0;
	}
	if (!start(t, ops))
		return -ENOMEM;
	t->cc.cwnd = old.cwnd;
	t->cc.ssthresh = old.ssthresh;
	if (old_ops->state_size)
		mem_free(&tcb_stack(t)->mem, MEM_SOCKET, old.bbr, old_ops->state_size);
	if (!t->sack_on)
		scoreboard_clear(&t->board, &tcb_stack(t)->mem);
	if (t->rec)
		t->rec->cc = t->cc; /* it remembers the other algorithm's state */
	tcb_dirty(t);
	return 0;
}

void tcp_pacing_changed(struct tcb *t)
{
	decide_pacing(t);
	tcp_pace_again(t);
}

/* ---- delivery rate ---- */

void tcp_rate_ack(struct tcb *t, const struct delivery *d)
{
	struct rate_sample r;

	rate_acked(&t->rate, d->bytes, d->any ? &d->mark : NULL, d->at, t->rtt.min == UINT32_MAX ? 0 : t->rtt.min,
		   tcb_stack(t)->now, &r);
	if (!t->cc_ops->rate)
		return;
	r.flight = tcb_pipe(t);
	r.cwnd_limited = t->cwnd_limited;
	r.recovery = t->recovery != RECOVERY_OPEN;
	t->cc_ops->rate(&t->cc, &r, t->mss);
}

void tcp_rate_ack_plain(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	struct delivery d = {0};

	if (!t->cc_ops->rate)
		return;
	scoreboard_acked(&t->board, &s->mem, t->snd_una, s->now, 0, &d);
	tcp_rate_ack(t, &d);
}

/* ---- growth ---- */

/* RFC 9406 4.3: without pacing, what slow start lets out for one ACK is a burst, and has a limit. */
void tcp_cc_acked(struct tcb *t, uint32_t acked, bool limited)
{
	struct stack *s = tcb_stack(t);

	if (!t->paced && s->cfg.slow_start_limit && t->cc.cwnd < t->cc.ssthresh)
		acked = min_u32(acked, s->cfg.slow_start_limit * (uint32_t)t->mss);
	t->cc_ops->acked(&t->cc, acked, t->mss, limited, s->now, t->rtt.srtt / 8);
}

/* ---- a window that is not used ---- */

uint32_t tcp_cc_flight(const struct tcb *t)
{
	return t->cwnd_limited ? t->cc.cwnd : min_u32(t->cc.cwnd, max_u32(tcb_flight(t), t->max_flight));
}

/*
 * RFC 5681 3.1. What fast recovery has reduced is reduced again only if it has seen a retransmission lost (4.3). The
 * loss window is one segment beside what is on its way, which with SACK is known.
 */
void tcp_cc_timeout(struct tcb *t)
{
	bool repairing = t->recovery != RECOVERY_OPEN;
	bool first = !repairing || (t->recovery == RECOVERY_FAST && t->rec && t->rec->twice);

	t->cc_ops->timed_out(&t->cc, repairing ? t->cc.ssthresh : tcp_cc_flight(t), t->mss, first, tcb_stack(t)->now);
	if (t->sack_on)
		t->cc.cwnd += tcb_pipe(t);
}

/* RFC 2861 3.1: half for each RTO of silence, down to the initial window (RFC 5681 4.1). */
void tcp_cc_idle(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint64_t rto = rtt_timeout(&t->rtt, s->cfg.rto_max), idle = s->now - t->last_sent;
	uint32_t cwnd = t->cc.cwnd, floor = min_u32(cwnd, cc_initial_window(t->mss));

	if (idle <= rto || t->last_sent == 0)
		return;
	for (; idle > rto && cwnd > floor; idle -= rto)
		cwnd /= 2;
	t->cc_ops->unused(&t->cc, max_u32(cwnd, floor), s->now);
	t->cwnd_ms = to_ms(s->now);
	t->last_sent = s->now; /* once for one silence, even when nothing goes out yet */
}

/* RFC 2861 3.1: half of what was not used in an RTO is given up. */
static void give_up_half(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint32_t used = max_u32(t->max_flight, cc_initial_window(t->mss));

	if (used < t->cc.cwnd && t->recovery == RECOVERY_OPEN && !t->cc_ops->rate)
		t->cc_ops->unused(&t->cc, used + (t->cc.cwnd - used) / 2, s->now);
	t->cwnd_ms = to_ms(s->now);
}

void tcp_cwnd_used(struct tcb *t, bool full, bool nothing_left)
{
	struct stack *s = tcb_stack(t);
	uint32_t flight = tcb_flight(t);

	if (full || (!t->cwnd_limited && flight > t->max_flight) || seq_geq(t->snd_una, t->flight_end)) {
		t->cwnd_limited = full;
		t->max_flight = flight;
		t->flight_end = t->snd_nxt;
	}
	if (nothing_left)
		rate_limited(&t->rate, tcb_pipe(t));
	if (t->cwnd_limited)
		t->cwnd_ms = to_ms(s->now);
	else if (to_ms(s->now) - t->cwnd_ms >= to_ms(rtt_timeout(&t->rtt, s->cfg.rto_max)))
		give_up_half(t);
}
