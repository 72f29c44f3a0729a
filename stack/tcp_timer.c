/*
 * TCP's timers. A tcb has several deadlines and one timer on the wheel, which is never later
 * than the soonest deadline: moving a deadline away costs nothing, the timer fires once in
 * vain and is set again.
 */
#include "tcp.h"

#include <errno.h>

#define AHEAD_MAX SECONDS(250000) /* half of what 32 bits of ticks can tell; a keepalive looks again then */
#define SHED_BACKOFF 3u /* doublings of the timeout: the peer has let that much time pass */

void tcb_timer_set(struct tcb *t, enum tcb_timer which, stack_time at)
{
	struct stack *s = tcb_stack(t);

	at = min_u64(at, s->now + AHEAD_MAX) + (1u << WHEEL_TICK_SHIFT) - 1;
	at -= at % (1u << WHEEL_TICK_SHIFT);
	t->deadline[which] = (uint32_t)(at >> WHEEL_TICK_SHIFT);
	if (t->deadline[which] == TCB_NEVER)
		t->deadline[which] = 0; /* a tick later */
	if (!timer_armed(&t->timer) || at < t->timer.at)
		timer_set(&s->wheel, &t->timer, at);
}

stack_time tcb_deadline(const struct tcb *t, enum tcb_timer which)
{
	stack_time tick = tcb_stack(t)->now >> WHEEL_TICK_SHIFT;

	if (!tcb_timer_runs(t, which))
		return STACK_NEVER;
	return (tick + (stack_time)(int64_t)(int32_t)(t->deadline[which] - (uint32_t)tick)) << WHEEL_TICK_SHIFT;
}

void tcb_timer_stop(struct tcb *t, enum tcb_timer which)
{
	t->deadline[which] = TCB_NEVER;
}

void tcb_timers_stop(struct tcb *t)
{
	for (unsigned i = 0; i < TCB_TIMER_COUNT; i++)
		t->deadline[i] = TCB_NEVER;
	timer_cancel(&tcb_stack(t)->wheel, &t->timer);
}

/* RFC 9293 3.8.3, the user timeout: how long until it has passed since nothing moves; STACK_NEVER: there is none. */
static stack_time user_timeout_left(const struct tcb *t)
{
	uint32_t limit = sock_options(&t->conn->sock)->user_timeout_ms, gone = to_ms(tcb_stack(t)->now) - t->stalled_ms;

	if (limit == 0 || !t->stalled)
		return STACK_NEVER;
	return gone < limit ? MILLISECONDS(limit - gone) : 0;
}

/* Nothing has moved for `already` microseconds, if that was not known before. */
static void note_stall(struct tcb *t, stack_time already)
{
	if (t->stalled)
		return;
	t->stalled = true;
	t->stalled_ms = to_ms(tcb_stack(t)->now - min_u64(already, tcb_stack(t)->now));
}

/* A timeout from now, but not later than the user's. */
static stack_time timeout_at(const struct tcb *t)
{
	const struct stack *s = tcb_stack(t);

	return s->now + min_u64(rtt_timeout(&t->rtt, s->cfg.rto_max), user_timeout_left(t));
}

void tcb_rexmt_start(struct tcb *t)
{
	tcb_timer_set(t, TCB_REXMT, timeout_at(t));
}

static stack_time keepalive_due(const struct tcb *t)
{
	return t->last_received + MILLISECONDS(sock_options(&t->conn->sock)->keepalive_idle_ms);
}

void tcb_keepalive_start(struct tcb *t)
{
	if (t->keepalive && tcb_state(t) >= TCP_ESTABLISHED && !t->detached)
		tcb_timer_set(t, TCB_KEEPALIVE, max_u64(tcb_stack(t)->now, keepalive_due(t)));
	else
		tcb_timer_stop(t, TCB_KEEPALIVE);
}

bool tcb_fin_wait_2_start(struct tcb *t)
{
	int32_t linger2 = sock_options(&t->conn->sock)->linger2_ms;
	stack_time wait = linger2 > 0 ? MILLISECONDS((uint32_t)linger2) : tcb_stack(t)->cfg.fin_wait_2;

	if (linger2 < 0) {
		tcp_send_rst(t);
		tcb_end(t, 0, CAUSE_RST_SENT);
		return false;
	}
	tcb_timer_set(t, TCB_FIN_WAIT_2, tcb_stack(t)->now + wait);
	return true;
}

static void give_up(struct tcb *t)
{
	COUNT(tcb_stack(t), tcp_aborts_timeout);
	if (tcb_state(t) == TCP_SYN_SENT || tcb_state(t) == TCP_SYN_RECEIVED)
		COUNT(tcb_stack(t), tcp_attempt_fails);
	tcb_end(t, t->soft_error ? t->soft_error : ETIMEDOUT, CAUSE_TIMEOUT);
}

/* RFC 9293 3.8.3: R2 in retransmissions, less of them for one whose owner is gone. */
static unsigned retry_limit(const struct tcb *t)
{
	const struct stack_config *c = &tcb_stack(t)->cfg;
	const struct sock_options *o = sock_options(&t->conn->sock);

	if (t->fastopen_pending)
		return c->synack_retries;
	if (!t->syn_acked)
		return o->syn_retries ? o->syn_retries : c->syn_retries;
	return t->user_closed ? c->orphan_retries : c->data_retries;
}

/*
 * R2 is passed. RFC 9293 3.8.3: it is the application's to set: its time, where it has set one, counts
 * instead of the number of retransmissions; for a SYN both do.
 */
static bool may_give_up(const struct tcb *t)
{
	if (sock_options(&t->conn->sock)->user_timeout_ms && t->syn_acked)
		return user_timeout_left(t) == 0;
	return t->retries >= retry_limit(t) || user_timeout_left(t) == 0;
}

/*
 * Row T13: with most of the stack's memory out, a connection that stands still and holds more
 * than its share of it is ended, so that those that move can go on. True: it is gone.
 */
static bool shed(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	size_t limit = s->mem.total_limit, held = byteq_memory(&t->sndq) + byteq_memory(&t->rcvq);

	if (s->mem.total < limit / 8 * 7 || t->rtt.backoff < SHED_BACKOFF || held <= limit / (s->sockets + 1))
		return false;
	COUNT(s, tcp_aborts_memory);
	tcp_abort(t, CAUSE_NO_MEMORY, ENOBUFS);
	return true;
}

/* RFC 6298 5.4 to 5.7 and RFC 5681 3.1. */
static void rexmt_timeout(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	if (tcb_deadline(t, TCB_LOSS_PROBE) <= s->now && sack_probe_timeout(t))
		return; /* RFC 8985 7.2: a probe that is due by now goes first */
	if (may_give_up(t)) {
		give_up(t);
		return;
	}
	if (shed(t))
		return;
	note_stall(t, rtt_timeout(&t->rtt, s->cfg.rto_max));
	if (t->retries < UINT8_MAX)
		t->retries++;
	COUNT(s, tcp_timeouts);
	rtt_back_off(&t->rtt);
	if (!t->syn_acked || t->fastopen_pending) { /* early data goes again when the handshake is complete */
		tcp_send_syn(t);
		return;
	}
	undo_begin(t);
	tcp_mtu_timeout(t);
	if (t->sack_on)
		sack_timeout(t);
	else
		newreno_timeout(t);
	frto_start(t);
	tcp_cc_timeout(t);
	ecn_reduced(t);
	if (t->recovery != RECOVERY_LOSS || seq_gt(t->snd_nxt, t->recover))
		t->recover = t->snd_nxt;
	t->recovery = RECOVERY_LOSS;
	t->dupacks = 0;
	tcb_rexmt_start(t);
	tcb_dirty(t);
}

/* RFC 9293 3.8.6.1: probes for ever while they are answered; each answer clears `retries`. */
static void persist_timeout(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	if (t->sndq.len == 0 && t->want_write && !t->fin_queued) { /* there was no memory for the writer: it tries again */
		tcp_wake_writer(t);
		return;
	}
	if (t->override) { /* RFC 9293 3.8.6.2.1: the override timeout */
		t->push_all = true;
		t->unpushed = false; /* nobody knows when more will follow */
		tcb_dirty(t);
		return;
	}
	/* Answers keep a connection that somebody wants; the window of an orphan has to open (RFC 1122 4.2.2.17, 4.2.3.5). */
	if (may_give_up(t) || (t->user_closed && t->rtt.backoff >= retry_limit(t))) {
		give_up(t);
		return;
	}
	if (shed(t))
		return;
	note_stall(t, 0);
	if (t->retries < UINT8_MAX)
		t->retries++;
	rtt_back_off(&t->rtt);
	COUNT(s, tcp_zero_window_probes);
	tcp_send_probe(t, false);
	tcb_timer_set(t, TCB_PERSIST, timeout_at(t));
}

/* RFC 9293 3.8.4. */
static void keepalive_timeout(struct tcb *t)
{
	const struct sock_options *o = sock_options(&t->conn->sock);
	struct stack *s = tcb_stack(t);
	stack_time idle_until = keepalive_due(t);

	if (!t->keepalive)
		return;
	if (tcb_flight(t) > 0 || t->sndq.len > 0) /* MUST-26: only while nothing is on its way; retransmission sees to that */
		idle_until = s->now + MILLISECONDS(o->keepalive_idle_ms);
	if (t->keepalive_sent == 0 && idle_until > s->now) {
		tcb_timer_set(t, TCB_KEEPALIVE, idle_until);
		return;
	}
	if (o->user_timeout_ms ? t->keepalive_sent > 0 && s->now - t->last_received >= MILLISECONDS(o->user_timeout_ms)
			       : t->keepalive_sent >= o->keepalive_probes) {
		give_up(t);
		return;
	}
	if (t->keepalive_sent < UINT8_MAX)
		t->keepalive_sent++;
	COUNT(s, tcp_keepalives);
	tcp_send_probe(t, true);
	tcb_timer_set(t, TCB_KEEPALIVE, s->now + MILLISECONDS(o->keepalive_interval_ms));
}

/* True: the tcb may be gone. */
static bool deadline_passed(struct tcb *t, enum tcb_timer which)
{
	t->deadline[which] = TCB_NEVER;
	switch (which) {
	case TCB_REXMT:
		rexmt_timeout(t);
		return true;
	case TCB_PERSIST:
		persist_timeout(t);
		return true;
	case TCB_DELACK:
		delack_timeout(t);
		return false;
	case TCB_KEEPALIVE:
		keepalive_timeout(t);
		return true;
	case TCB_LOSS_PROBE:
		sack_probe_timeout(t);
		return false;
	case TCB_REORDER:
		sack_reorder_timeout(t);
		return false;
	case TCB_PACE:
		tcb_dirty(t);
		return false;
	case TCB_FIN_WAIT_2:
		tcb_end(t, 0, CAUSE_FIN_WAIT_2_OVER);
		return true;
	case TCB_REST:
		return tcb_rest(t);
	case TCB_TIMER_COUNT:
		break;
	}
	return false;
}

static void rearm(struct tcb *t)
{
	stack_time soonest = STACK_NEVER;

	for (unsigned i = 0; i < TCB_TIMER_COUNT; i++)
		soonest = min_u64(soonest, tcb_deadline(t, (enum tcb_timer)i));
	if (soonest != STACK_NEVER)
		timer_set(&tcb_stack(t)->wheel, &t->timer, soonest);
}

void tcp_timer(struct stack *s, struct timer *timer)
{
	struct tcb *t = CONTAINER_OF(timer, struct tcb, timer);

	for (unsigned i = 0; i < TCB_TIMER_COUNT; i++) {
		if (tcb_deadline(t, (enum tcb_timer)i) > s->now)
			continue;
		/* One that may end the connection goes last: the others fire at the next tick. */
		if (i != TCB_DELACK && i != TCB_LOSS_PROBE && i != TCB_REORDER && i != TCB_PACE)
			timer_set(&s->wheel, timer, s->now);
		if (deadline_passed(t, (enum tcb_timer)i))
			return;
	}
	rearm(t);
}
