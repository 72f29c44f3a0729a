/*
 * Pacing: what is sent leaves in bursts of about a millisecond, each at its time. A connection is
 * paced when its algorithm asks for a rate, when the socket has a limit, or by configuration. One
 * that is not has its frames cut to the same measure, so that others' find their place in between.
 *
 * The timing wheel ticks every 256 microseconds and the caller's loop may be later still; what
 * was missed while segments waited for their time is made up for, so that the mean is right.
 */
#include "tcp.h"

#define CATCH_UP MILLISECONDS(2) /* no more than that: a late loop must not become a burst */
#define NEAR 512u                /* microseconds of round trip: frames need not be small for this peer's sake */
#define ORPHAN_SECONDS 60u       /* a limit whose owner is gone may make its data last about so long (row T14) */

/* For algorithms that have no rate of their own: twice the window a round trip in slow start, then 1.2 times. */
static uint32_t rate_of_window(const struct tcb *t, uint32_t rtt)
{
	uint64_t percent = t->cc.cwnd < t->cc.ssthresh ? 200 : 120;

	return rtt ? (uint32_t)min_u64(t->cc.cwnd * percent * 10000 / rtt, PACING_UNLIMITED) : PACING_UNLIMITED;
}

static uint64_t limit_of_owner(const struct tcb *t)
{
	uint64_t limit = sock_options(&t->conn->sock)->pacing_limit;

	return t->user_closed ? max_u64(limit, max_u32(t->sndq.len / ORPHAN_SECONDS, t->mss)) : limit;
}

/* What the algorithm wants, paced or not. */
static uint32_t rate_of_algorithm(const struct tcb *t, uint32_t rtt)
{
	return t->cc.pacing_rate ? t->cc.pacing_rate : rate_of_window(t, rtt);
}

uint32_t tcp_pacing_rate(const struct tcb *t)
{
	bool limited_only = !t->cc_ops->rate && !tcb_stack(t)->cfg.pacing;

	if (!t->paced)
		return PACING_UNLIMITED;
	return (uint32_t)min_u64(limited_only ? PACING_UNLIMITED : rate_of_algorithm(t, t->rtt.srtt / 8), limit_of_owner(t));
}

/* The nearer the peer, the more: all that a frame holds below 512 microseconds, half of it for each 512 more. */
static uint32_t frame_of_distance(const struct tcb *t)
{
	uint32_t halves = t->rtt.min / NEAR;

	return halves < 32 ? STACK_TCP_PAYLOAD_MAX >> halves : 0;
}

uint32_t tcp_frame_limit(const struct tcb *t)
{
	uint32_t rtt = max_u32(t->rtt.srtt / 8, t->rack_rtt); /* SRTT has a sample a round trip, and lags */
	uint32_t half = max_u32(min_u32(t->cc.cwnd, t->max_snd_wnd) / 2, t->mss);
	uint32_t least = tcb_stack(t)->cfg.frame_segments * t->mss, bytes;

	if (t->rtt.min < NEAR || half <= least || t->paced) /* what is paced has its own measure */
		return min_u32(half, STACK_TCP_PAYLOAD_MAX);
	bytes = (uint32_t)min_u64((uint64_t)rate_of_algorithm(t, rtt) / 1024 + frame_of_distance(t), STACK_TCP_PAYLOAD_MAX);
	return min_u32(half, min_u32(max_u32(bytes - bytes % t->mss, least), STACK_TCP_PAYLOAD_MAX));
}

uint32_t tcp_pace_room(const struct tcb *t, bool head)
{
	uint32_t rate = tcp_pacing_rate(t);

	if (rate == PACING_UNLIMITED)
		return UINT32_MAX;
	if (tcb_stack(t)->now < t->pace_at)
		return head ? t->mss : 0;
	return cc_send_quantum(rate, t->mss);
}

void tcp_pace_again(struct tcb *t)
{
	t->pace_at = min_u64(t->pace_at, tcb_stack(t)->now + SECONDS(1));
	tcb_dirty(t);
}

void tcp_pace_sent(struct tcb *t, uint32_t len)
{
	uint64_t now = tcb_stack(t)->now, from = t->pace_waits && now > CATCH_UP ? now - CATCH_UP : now;
	uint32_t rate = tcp_pacing_rate(t);

	if (rate == PACING_UNLIMITED)
		return;
	t->pace_at = max_u64(t->pace_at, from) + len * UINT64_C(1000000) / max_u32(rate, 1);
}
