/*
 * NewReno's windows: RFC 5681 with appropriate byte counting (RFC 3465) and the initial window
 * of RFC 6928. Recovery itself (RFC 6582) is the caller's.
 *
 * Invariants: cwnd is at least one segment and at most CC_CWND_MAX; ssthresh at least two segments.
 */
#include "cc.h"

#include "types.h"

/* RFC 5681 3.1, equation 4 */
static uint32_t half_flight(uint32_t flight, uint32_t mss)
{
	return max_u32(flight / 2, 2 * mss);
}

static void newreno_init(struct cc *c, uint32_t mss, uint64_t srtt, uint64_t now)
{
	(void)srtt;
	(void)now;
	*c = (struct cc){.cwnd = cc_initial_window(mss), .ssthresh = CC_SSTHRESH_NONE};
}

/*
 * RFC 3465 2.2 and 2.3: by what was acknowledged, at most L segments an ACK; L is 2, and 1 in a
 * slow start that follows a loss.
 */
static void slow_start(struct cc *c, uint32_t acked, uint32_t mss)
{
	uint32_t limit = c->ssthresh == CC_SSTHRESH_NONE ? 2 * mss : mss;

	c->cwnd += min_u32(acked, limit);
}

/* RFC 3465 2.1: one segment for each window acknowledged. */
static void congestion_avoidance(struct cc *c, uint32_t acked, uint32_t mss)
{
	c->acked += min_u32(acked, c->cwnd);
	if (c->acked >= c->cwnd) {
		c->acked -= c->cwnd;
		c->cwnd += mss;
	}
}

static void newreno_acked(struct cc *c, uint32_t acked, uint32_t mss, bool limited, uint64_t now, uint64_t srtt)
{
	(void)now;
	(void)srtt;
	if (!limited)
		return;
	if (c->cwnd < c->ssthresh)
		slow_start(c, acked, mss);
	else
		congestion_avoidance(c, acked, mss);
	c->cwnd = min_u32(c->cwnd, CC_CWND_MAX);
}

/* RFC 5681 3.2, steps 2 and 3: three segments have left the network. */
static void newreno_lost(struct cc *c, uint32_t flight, uint32_t mss, uint64_t now)
{
	(void)now;
	c->ssthresh = half_flight(flight, mss);
	c->cwnd = c->ssthresh + 3 * mss;
	c->acked = 0;
}

static void newreno_timed_out(struct cc *c, uint32_t flight, uint32_t mss, bool first, uint64_t now)
{
	(void)now;
	if (first)
		c->ssthresh = half_flight(flight, mss);
	c->cwnd = mss;
	c->acked = 0;
}

static void newreno_unused(struct cc *c, uint32_t cwnd, uint64_t now)
{
	(void)now;
	cc_shrink(c, cwnd);
}

const struct cc_ops cc_newreno = {
	.name = "newreno",
	.init = newreno_init,
	.acked = newreno_acked,
	.lost = newreno_lost,
	.timed_out = newreno_timed_out,
	.unused = newreno_unused,
};
