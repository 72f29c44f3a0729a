/*
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406).
 *
 * After a reduction the window follows W(t) = C * (t - K)^3 + W_max: fast back towards the
 * window of the last loss, slowly around it, fast beyond. Where Reno would be faster (short
 * round trips, small windows) it does as Reno does. Slow start ends before a loss when the
 * least RTT of a round has grown: first growth is cut to a quarter (conservative slow start),
 * and if the RTT stays up for five rounds, congestion avoidance begins.
 *
 * Integers throughout: C = 0.4 segments a second cubed, beta = 0.7; time in milliseconds.
 */
#include "cc.h"
#include "types.h"

#define BETA_NUM 7u /* beta_cubic = 7/10 (RFC 9438 4.6) */
#define BETA_DEN 10u
#define ALPHA_NUM 9u /* 3 * (1 - beta) / (1 + beta) = 9/17 (RFC 9438 4.3) */
#define ALPHA_DEN 17u

#define MIN_SAMPLES 8u        /* RFC 9406 4.3 */
#define CSS_DIVISOR 4u
#define CSS_ROUNDS 5u
#define RTT_THRESH_MIN 4000u  /* microseconds */
#define RTT_THRESH_MAX 16000u

/* The next ACK in congestion avoidance begins an epoch. Of the first slow start nothing is needed then. */
static void epoch_forget(struct cc *c)
{
	c->cubic.w_est = 0;
}

static void round_reset(struct cc *c)
{
	c->cubic.rtt_now = UINT32_MAX;
	c->cubic.samples = 0;
}

static void cubic_init(struct cc *c, uint32_t mss, uint64_t srtt, uint64_t now)
{
	(void)srtt;
	(void)now;
	*c = (struct cc){.cwnd = cc_initial_window(mss), .ssthresh = CC_SSTHRESH_NONE};
	c->cubic.rtt_last = UINT32_MAX;
	round_reset(c);
}

/* ---- slow start ---- */

/* RFC 9406 4.2: at a round's end in conservative slow start, at a sample otherwise. */
static void cubic_sample(struct cc *c, uint32_t rtt, bool round)
{
	if (c->ssthresh != CC_SSTHRESH_NONE) /* RFC 9406 4.3: the first slow start only */
		return;
	if (round) {
		c->cubic.rtt_last = c->cubic.rtt_now;
		round_reset(c);
		if (c->cubic.css_rounds > 0 && ++c->cubic.css_rounds > CSS_ROUNDS) {
			c->ssthresh = c->cwnd;
			epoch_forget(c);
			return;
		}
	}
	c->cubic.rtt_now = min_u32(c->cubic.rtt_now, rtt);
	if (c->cubic.samples < MIN_SAMPLES)
		c->cubic.samples++;
	if (c->cubic.samples < MIN_SAMPLES || c->cubic.rtt_last == UINT32_MAX)
		return;
	if (c->cubic.css_rounds > 0) {
		if (c->cubic.rtt_now < c->cubic.rtt_baseline)
			c->cubic.css_rounds = 0; /* it was jitter: slow start goes on */
	} else {
		uint32_t thresh = min_u32(max_u32(c->cubic.rtt_last / 8, RTT_THRESH_MIN), RTT_THRESH_MAX);

		if (c->cubic.rtt_now >= c->cubic.rtt_last + thresh) {
			c->cubic.rtt_baseline = c->cubic.rtt_now;
			c->cubic.css_rounds = 1;
		}
	}
}

/* How much one ACK may count for is the caller's to say. */
static void slow_start(struct cc *c, uint32_t acked)
{
	bool conservative = c->ssthresh == CC_SSTHRESH_NONE && c->cubic.css_rounds > 0;

	c->cwnd += conservative ? acked / CSS_DIVISOR : acked;
}

/* ---- congestion avoidance ---- */

/* The largest r with r^3 <= n. */
static uint32_t cube_root(uint64_t n)
{
	uint64_t r = 0;

	for (int bit = 20; bit >= 0; bit--) {
		uint64_t next = r | UINT64_C(1) << bit;

		if (next * next * next <= n)
			r = next;
	}
	return (uint32_t)r;
}

/* RFC 9438 4.2: K = cbrt((W_max - cwnd_epoch) / C), in milliseconds: 1e9 / 0.4 = 2.5e9 a segment. */
static void epoch_start(struct cc *c, uint32_t mss, uint32_t now_ms)
{
	uint32_t below = c->cubic.w_max > c->cwnd ? (c->cubic.w_max - c->cwnd) / mss : 0;

	c->cubic.epoch_ms = c->cubic.last_ms = now_ms;
	c->cubic.k_ms = cube_root(below * UINT64_C(2500000000));
	c->cubic.origin = max_u32(c->cubic.w_max, c->cwnd);
	c->cubic.w_est = c->cwnd;
	c->cubic.est_acked = 0;
	c->acked = 0;
}

/* W_cubic at t milliseconds from the epoch, bytes, between cwnd and half as much again (RFC 9438 4.2). */
static uint32_t curve(const struct cc *c, uint32_t mss, uint64_t t)
{
	int64_t d = (int64_t)min_u64(t, 1000000) - c->cubic.k_ms;
	int64_t segments = d * d / 1000 * d / 2500000; /* 0.4 * (d / 1000)^3 */
	int64_t w = (int64_t)c->cubic.origin + segments * mss;
	uint32_t most = c->cwnd + c->cwnd / 2;

	if (w <= (int64_t)c->cwnd)
		return c->cwnd;
	return w > (int64_t)most ? most : (uint32_t)w;
}

/* RFC 9438 4.3: one segment for cwnd / alpha acknowledged bytes, and for cwnd once it is past the prior window. */
static void reno_estimate(struct cc *c, uint32_t acked, uint32_t mss)
{
	bool past = c->cubic.w_est >= c->cubic.prior;
	uint64_t need = past ? c->cwnd : (uint64_t)c->cwnd * ALPHA_DEN / ALPHA_NUM;

	c->cubic.est_acked += acked;
	if (c->cubic.est_acked >= need) {
		c->cubic.est_acked -= (uint32_t)need;
		c->cubic.w_est += mss;
	}
}

static void avoid_congestion(struct cc *c, uint32_t acked, uint32_t mss, uint64_t now, uint64_t srtt)
{
	uint32_t now_ms = (uint32_t)(now / 1000), target;

	if (c->cubic.w_est == 0)
		epoch_start(c, mss, now_ms);
	c->cubic.last_ms = now_ms;
	target = curve(c, mss, (uint32_t)(now_ms - c->cubic.epoch_ms) + srtt / 1000);
	reno_estimate(c, acked, mss);
	/* RFC 9438 4.4: (target - cwnd) / cwnd for each byte acknowledged */
	c->acked += (uint32_t)((uint64_t)acked * (target - c->cwnd) / c->cwnd);
	if (c->acked >= mss) {
		uint32_t whole = c->acked - c->acked % mss;

		c->acked -= whole;
		c->cwnd += whole;
	}
	c->cwnd = max_u32(c->cwnd, c->cubic.w_est);
}

/* RFC 9438 4.2: time while the application held back does not count. */
static void held_back(struct cc *c, uint64_t now)
{
	uint32_t now_ms = (uint32_t)(now / 1000);

	if (c->ssthresh == CC_SSTHRESH_NONE || c->cubic.w_est == 0)
		return;
	c->cubic.epoch_ms += now_ms - c->cubic.last_ms;
	c->cubic.last_ms = now_ms;
}

static void cubic_acked(struct cc *c, uint32_t acked, uint32_t mss, bool limited, uint64_t now, uint64_t srtt)
{
	if (!limited) {
		held_back(c, now);
		return;
	}
	if (c->cwnd < c->ssthresh)
		slow_start(c, min_u32(acked, CC_CWND_MAX));
	else
		avoid_congestion(c, min_u32(acked, c->cwnd), mss, now, srtt);
	c->cwnd = min_u32(c->cwnd, CC_CWND_MAX);
}

/* ---- reduction ---- */

/*
 * RFC 9438 4.6 and 4.7: multiplicative decrease, and fast convergence. Of the window and not of what is in
 * flight, which for an application that sends now and then is much less than the path takes: a window that
 * is not used does not grow here, and falls (RFC 7661). After a timeout more may be in flight.
 */
static void reduce(struct cc *c, uint32_t flight, uint32_t mss)
{
	uint32_t cwnd = c->cwnd;

	c->cubic.w_max = cwnd < c->cubic.w_max ? cwnd / 20 * 17 : cwnd; /* (1 + beta) / 2 */
	c->cubic.prior = cwnd;
	epoch_forget(c);
	c->ssthresh = max_u32(max_u32(flight, cwnd) / BETA_DEN * BETA_NUM, 2 * mss);
	c->acked = 0;
}

static void cubic_lost(struct cc *c, uint32_t flight, uint32_t mss, uint64_t now)
{
	(void)now;
	reduce(c, flight, mss);
	c->cwnd = c->ssthresh + 3 * mss; /* RFC 5681 3.2: three segments have left the network */
}

static void cubic_timed_out(struct cc *c, uint32_t flight, uint32_t mss, bool first, uint64_t now)
{
	(void)now;
	if (first)
		reduce(c, flight, mss);
	c->cubic.w_max = 0; /* RFC 9438 4.8: K = 0, and the plateau is where slow start ends */
	epoch_forget(c);
	c->cwnd = mss;
}

static void cubic_unused(struct cc *c, uint32_t cwnd, uint64_t now)
{
	(void)now;
	cc_shrink(c, cwnd);
	if (c->ssthresh != CC_SSTHRESH_NONE)
		epoch_forget(c);
}

const struct cc_ops cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.acked = cubic_acked,
	.lost = cubic_lost,
	.timed_out = cubic_timed_out,
	.unused = cubic_unused,
	.sample = cubic_sample,
};

static const struct cc_ops *const all[] = {&cc_cubic, &cc_newreno, &cc_bbr};

unsigned cc_number(const struct cc_ops *ops)
{
	unsigned i = 0;

	while (all[i] != ops)
		i++;
	return i;
}

const struct cc_ops *cc_by_number(unsigned number)
{
	return all[number];
}

const struct cc_ops *cc_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}
