/*
 * BBR version 3 (draft-ietf-ccwg-bbr): sends at the rate at which the path has delivered, and
 * keeps about as much in flight as the path holds without a queue. Four phases: STARTUP doubles
 * the rate until it no longer grows, DRAIN empties the queue that this made, PROBE_BW cycles
 * (down, cruise, refill, up) look for more bandwidth now and then, PROBE_RTT drains the pipe
 * every five seconds to see the path's delay. Loss bounds what is kept in flight: a long-term
 * bound from probing, a short-term one until the next probe.
 *
 * Left out of the draft: ECN beyond RFC 3168 (a mark is taken as a loss), and the interpolation
 * of the flight at which loss began (InflightAtLoss). What is sent again is not counted twice
 * against cwnd: the caller's "in the network" leaves out what is lost.
 *
 * Invariants: cwnd is at least MIN_PIPE segments except after a timeout, and at most
 * CC_CWND_MAX; a pacing rate is set from init on. The state is out of line, so that connections
 * that do not use it do not carry it.
 */
#include "cc.h"
#include "types.h"

#define UNIT 256u                 /* gains are multiples of 1/256 */
#define STARTUP_PACING_GAIN 709u  /* 2.77: 4 ln 2 (draft 2.5) */
#define DRAIN_PACING_GAIN 128u    /* 0.5 (5.3.2) */
#define DRAIN_ROUNDS 3u           /* no longer than that (5.3.2) */
#define CWND_GAIN 512u            /* 2 */
#define UP_CWND_GAIN 576u         /* 2.25 */
#define UP_PACING_GAIN 320u       /* 1.25 */
#define DOWN_PACING_GAIN 230u     /* 0.90 */
#define PROBE_RTT_CWND_GAIN 128u  /* 0.5 */
#define BETA 179u                 /* 0.7 (2.8) */
#define LOSS_PERCENT 2u           /* LossThresh */
#define HEADROOM_PERCENT 15u
#define PACING_MARGIN_PERCENT 1u
#define FULL_BW_ROUNDS 3u
#define STARTUP_LOSSES 6u         /* StartupFullLossCnt */
#define MIN_PIPE 4u               /* segments (2.8) */
#define RENO_ROUNDS_MAX 63u
#define EXTRA_ACKED_ROUNDS 10u
#define MIN_RTT_FILTER 10000000u  /* microseconds */
#define PROBE_RTT_INTERVAL 5000000u
#define PROBE_RTT_DURATION 200000u
#define NONE UINT32_MAX

enum mode { STARTUP, DRAIN, PROBE_DOWN, PROBE_CRUISE, PROBE_REFILL, PROBE_UP, PROBE_RTT };
enum ack_phase { ACKS_INIT, ACKS_REFILLING, ACKS_STARTING, ACKS_FEEDBACK, ACKS_STOPPING };

/* Names as in the draft (2.3 to 2.16). Rates in bytes a second, marks of `delivered` wrap. */
struct bbr {
	uint64_t probe_rtt_min_stamp, min_rtt_stamp, cycle_stamp, probe_rtt_done_stamp; /* 0: not set */
	uint64_t extra_acked_start;
	uint32_t mss;
	uint32_t max_bw[2];            /* of this cycle of probing and of the last */
	uint32_t bw_shortterm, inflight_shortterm; /* NONE: not bounded */
	uint32_t inflight_longterm;
	uint32_t bw_latest, inflight_latest;
	uint32_t full_bw;
	uint32_t min_rtt, probe_rtt_min_delay; /* NONE: not known */
	uint32_t next_round, loss_round;       /* of `delivered` */
	uint32_t trust_after;          /* samples of what was sent before `delivered` was this are not of a full pipe */
	uint32_t lost_seen;            /* of the sample's `lost` */
	uint32_t round_lost, round_delivered; /* `lost`, `delivered` when this round began */
	uint32_t extra_acked[2], extra_acked_delivered;
	uint32_t probe_up_acks, probe_up_count; /* bytes */
	uint32_t bw_probe_wait;        /* microseconds */
	uint32_t prior_cwnd;
	uint32_t random;
	uint16_t extra_acked_rounds;   /* in the newer half of the filter */
	uint16_t rounds_since_probe;   /* in DRAIN: since it began */
	uint16_t loss_events;          /* ACKs of this round that found losses */
	uint8_t mode, ack_phase;
	uint8_t full_bw_count, probe_up_rounds;
	bool full_bw_reached, full_bw_now;
	bool round_start, loss_round_start, loss_in_round;
	bool recovery_round;           /* the whole of this round was spent in recovery */
	bool probe_samples;            /* this flight may tell that inflight_longterm is too high */
	bool probe_rtt_round_done, distrust, idle_restart;
};

/* ---- what follows from the model ---- */

static bool in_probe_bw(const struct bbr *b)
{
	return b->mode >= PROBE_DOWN && b->mode <= PROBE_UP;
}

static bool probing_bw(const struct bbr *b)
{
	return b->mode == STARTUP || b->mode == PROBE_REFILL || b->mode == PROBE_UP;
}

static uint32_t pacing_gain(const struct bbr *b)
{
	switch ((enum mode)b->mode) {
	case STARTUP:
		return STARTUP_PACING_GAIN;
	case DRAIN:
		return DRAIN_PACING_GAIN;
	case PROBE_DOWN:
		return DOWN_PACING_GAIN;
	case PROBE_UP:
		return UP_PACING_GAIN;
	case PROBE_CRUISE:
	case PROBE_REFILL:
	case PROBE_RTT:
		break;
	}
	return UNIT;
}

static uint32_t cwnd_gain(const struct bbr *b)
{
	if (b->mode == PROBE_RTT)
		return PROBE_RTT_CWND_GAIN;
	return b->mode == PROBE_UP ? UP_CWND_GAIN : CWND_GAIN;
}

static uint32_t max_bw(const struct bbr *b)
{
	return max_u32(b->max_bw[0], b->max_bw[1]);
}

static uint32_t bandwidth(const struct bbr *b)
{
	return min_u32(max_bw(b), b->bw_shortterm);
}

static uint32_t min_pipe(const struct bbr *b)
{
	return MIN_PIPE * b->mss;
}

static uint32_t bdp_multiple(const struct bbr *b, uint32_t bw, uint32_t gain)
{
	if (b->min_rtt == NONE)
		return cc_initial_window(b->mss);
	return (uint32_t)min_u64((uint64_t)bw * b->min_rtt / 1000000 * gain / UNIT, CC_CWND_MAX);
}

/* Draft 5.6.4.2: room for what is sent and acknowledged in pieces. */
static uint32_t quantization(const struct cc *c, uint32_t inflight)
{
	const struct bbr *b = c->bbr;

	inflight = max_u32(inflight, 3 * cc_send_quantum(c->pacing_rate, b->mss));
	inflight = max_u32(inflight, min_pipe(b));
	return b->mode == PROBE_UP ? inflight + 2 * b->mss : inflight;
}

static uint32_t inflight_at(const struct cc *c, uint32_t gain)
{
	return quantization(c, bdp_multiple(c->bbr, bandwidth(c->bbr), gain));
}

static uint32_t target_inflight(const struct cc *c)
{
	return min_u32(bdp_multiple(c->bbr, bandwidth(c->bbr), UNIT), c->cwnd);
}

static uint32_t with_headroom(const struct bbr *b)
{
	if (b->inflight_longterm == NONE)
		return NONE;
	return max_u32(b->inflight_longterm - max_u32(b->mss, b->inflight_longterm / 100 * HEADROOM_PERCENT), min_pipe(b));
}

/* Enough to keep flows apart; nobody gains by guessing it. */
static uint32_t next_random(struct bbr *b)
{
	b->random = b->random * 1664525u + 1013904223u;
	return b->random >> 8;
}

/* ---- pacing rate ---- */

static void set_pacing_rate(struct cc *c, uint32_t gain)
{
	uint64_t rate = (uint64_t)bandwidth(c->bbr) * gain / UNIT * (100 - PACING_MARGIN_PERCENT) / 100;

	rate = max_u64(min_u64(rate, NONE - 1), 1);
	if (c->bbr->full_bw_reached || rate > c->pacing_rate)
		c->pacing_rate = (uint32_t)rate;
}

/* ---- small steps of the state machine ---- */

static void start_round(struct bbr *b, uint32_t delivered)
{
	b->next_round = delivered;
}

static void reset_full_bw(struct bbr *b, uint32_t bw)
{
	b->full_bw = bw;
	b->full_bw_count = 0;
	b->full_bw_now = false;
}

static void reset_congestion_signals(struct bbr *b)
{
	b->loss_in_round = false;
	b->bw_latest = b->inflight_latest = 0;
}

static void reset_short_term(struct bbr *b)
{
	b->bw_shortterm = b->inflight_shortterm = NONE;
}

static void save_cwnd(struct cc *c, bool recovery)
{
	struct bbr *b = c->bbr;

	b->prior_cwnd = recovery || b->mode == PROBE_RTT ? max_u32(b->prior_cwnd, c->cwnd) : c->cwnd;
}

static void raise_slope(struct cc *c)
{
	struct bbr *b = c->bbr;
	uint64_t growth = (uint64_t)b->mss << b->probe_up_rounds;

	b->probe_up_rounds = (uint8_t)min_u32(b->probe_up_rounds + 1u, 30);
	b->probe_up_count = (uint32_t)max_u64((uint64_t)c->cwnd * b->mss / growth, b->mss);
}

/* ---- PROBE_BW (draft 5.3.3) ---- */

static void start_down(struct cc *c, uint64_t now, uint32_t delivered)
{
	struct bbr *b = c->bbr;

	reset_congestion_signals(b);
	b->probe_up_count = NONE;
	b->rounds_since_probe = (uint16_t)(next_random(b) & 1);
	b->bw_probe_wait = 2000000 + next_random(b) % 1000000;
	b->cycle_stamp = now;
	b->ack_phase = ACKS_STOPPING;
	start_round(b, delivered);
	b->mode = PROBE_DOWN;
}

static void start_refill(struct bbr *b, uint32_t delivered)
{
	reset_short_term(b);
	b->probe_up_rounds = 0;
	b->probe_up_acks = 0;
	b->ack_phase = ACKS_REFILLING;
	start_round(b, delivered);
	b->mode = PROBE_REFILL;
}

static void start_up(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	b->ack_phase = ACKS_STARTING;
	start_round(b, r->delivered);
	reset_full_bw(b, rate_of(r->bytes, r->interval));
	b->mode = PROBE_UP;
	b->cycle_stamp = r->now;
	raise_slope(c);
}

/* After so many rounds a Reno flow would have had its loss: no longer than that, to coexist. */
static bool time_to_probe(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	return r->now > b->cycle_stamp + b->bw_probe_wait ||
	       b->rounds_since_probe >= min_u32(target_inflight(c) / b->mss, RENO_ROUNDS_MAX);
}

static bool time_to_cruise(struct cc *c, uint32_t flight)
{
	return flight <= with_headroom(c->bbr) && flight <= quantization(c, bdp_multiple(c->bbr, max_bw(c->bbr), UNIT));
}

static bool time_to_go_down(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	if (r->cwnd_limited && c->cwnd >= b->inflight_longterm) {
		reset_full_bw(b, rate_of(r->bytes, r->interval)); /* the bound holds it back, not the path */
		return false;
	}
	return b->full_bw_now;
}

static bool inflight_too_high(const struct rate_sample *r)
{
	return r->sent_flight > 0 && (uint64_t)r->sent_lost * 100 > (uint64_t)r->sent_flight * LOSS_PERCENT;
}

static void handle_inflight_too_high(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	b->probe_samples = false;
	if (!r->limited)
		b->inflight_longterm = max_u32(r->sent_flight, (uint32_t)((uint64_t)target_inflight(c) * BETA / UNIT));
	if (b->mode == PROBE_UP)
		start_down(c, r->now, r->delivered);
}

/* 5.3.3.5: faster from round to round, as long as the bound is what holds the flow back. */
static void probe_upward(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	if (!r->cwnd_limited || c->cwnd < b->inflight_longterm)
		return;
	b->probe_up_acks += r->acked;
	if (b->probe_up_acks >= b->probe_up_count) {
		uint32_t steps = b->probe_up_acks / b->probe_up_count;

		b->probe_up_acks -= steps * b->probe_up_count;
		b->inflight_longterm = min_u32(b->inflight_longterm + steps * b->mss, CC_CWND_MAX);
	}
	if (b->round_start)
		raise_slope(c);
}

static void adapt_long_term(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	if (b->ack_phase == ACKS_STARTING && b->round_start)
		b->ack_phase = ACKS_FEEDBACK; /* from here on what comes back was sent while probing */
	if (b->ack_phase == ACKS_STOPPING && b->round_start) {
		b->ack_phase = ACKS_INIT;
		b->probe_samples = false;
		if (in_probe_bw(b) && !r->limited) { /* the end of a cycle: what was seen before the last one is forgotten */
			b->max_bw[1] = b->max_bw[0];
			b->max_bw[0] = 0;
		}
	}
	if (inflight_too_high(r)) {
		if (b->probe_samples)
			handle_inflight_too_high(c, r);
		return;
	}
	if (b->inflight_longterm == NONE)
		return;
	if (r->sent_flight > b->inflight_longterm)
		b->inflight_longterm = r->sent_flight;
	if (b->mode == PROBE_UP)
		probe_upward(c, r);
}

static void update_cycle(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	if (!b->full_bw_reached)
		return;
	adapt_long_term(c, r);
	switch ((enum mode)b->mode) {
	case PROBE_DOWN:
		if (time_to_probe(c, r))
			start_refill(b, r->delivered);
		else if (time_to_cruise(c, r->flight))
			b->mode = PROBE_CRUISE;
		break;
	case PROBE_CRUISE:
		if (time_to_probe(c, r))
			start_refill(b, r->delivered);
		break;
	case PROBE_REFILL: /* one round: the pipe is full again before more is tried */
		if (b->round_start) {
			b->probe_samples = true;
			start_up(c, r);
		}
		break;
	case PROBE_UP:
		if (time_to_go_down(c, r))
			start_down(c, r->now, r->delivered);
		break;
	case STARTUP:
	case DRAIN:
	case PROBE_RTT:
		break;
	}
}

/* ---- model: bandwidth, rounds, loss (5.5) ---- */

static void update_round(struct bbr *b, const struct rate_sample *r)
{
	b->round_start = r->sent_flight > 0 && (int32_t)(r->prior_delivered - b->next_round) >= 0;
	if (!b->round_start)
		return;
	start_round(b, r->delivered);
	b->rounds_since_probe = (uint16_t)min_u32(b->rounds_since_probe + 1u, UINT16_MAX);
}

/* A sample of an application-limited time counts when it is more, and cannot make a cycle end: so it never lowers. */
static void update_max_bw(struct bbr *b, const struct rate_sample *r)
{
	b->max_bw[0] = max_u32(b->max_bw[0], rate_of(r->bytes, r->interval));
}

/* 5.5.10.3: once a round trip in which something was lost, while not probing. */
static void lower_bounds(struct cc *c)
{
	struct bbr *b = c->bbr;

	if (probing_bw(b) || !b->loss_in_round)
		return;
	if (b->bw_shortterm == NONE)
		b->bw_shortterm = max_bw(b);
	if (b->inflight_shortterm == NONE)
		b->inflight_shortterm = c->cwnd;
	b->bw_shortterm = max_u32(b->bw_latest, (uint32_t)((uint64_t)b->bw_shortterm * BETA / UNIT));
	b->inflight_shortterm = max_u32(b->inflight_latest, (uint32_t)((uint64_t)b->inflight_shortterm * BETA / UNIT));
}

static void update_signals(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	b->bw_latest = max_u32(b->bw_latest, rate_of(r->bytes, r->interval));
	b->inflight_latest = max_u32(b->inflight_latest, r->bytes);
	b->loss_round_start = r->sent_flight > 0 && (int32_t)(r->prior_delivered - b->loss_round) >= 0;
	if (b->loss_round_start)
		b->loss_round = r->delivered;
	if (r->lost != b->lost_seen) {
		b->loss_in_round = true;
		b->loss_events++;
		b->lost_seen = r->lost;
	}
	if (!b->loss_round_start)
		return;
	lower_bounds(c);
	b->loss_in_round = false;
}

/* After the state machine has used them, the signals of the next round begin. */
static void advance_signals(struct bbr *b, const struct rate_sample *r)
{
	if (!b->loss_round_start)
		return;
	b->bw_latest = rate_of(r->bytes, r->interval);
	b->inflight_latest = r->bytes;
}

/* 5.5.9: how much more than the rate accounts for is acknowledged at once. */
static void update_aggregation(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;
	uint64_t expected = (uint64_t)bandwidth(b) * (r->now - b->extra_acked_start) / 1000000;

	if (b->round_start && ++b->extra_acked_rounds >= (b->full_bw_reached ? EXTRA_ACKED_ROUNDS / 2 : 1)) {
		b->extra_acked_rounds = 0;
		b->extra_acked[1] = b->extra_acked[0];
		b->extra_acked[0] = 0;
	}
	if (b->extra_acked_delivered <= expected) {
		b->extra_acked_delivered = 0;
		b->extra_acked_start = r->now;
		expected = 0;
	}
	b->extra_acked_delivered += r->acked;
	if (b->extra_acked_delivered > expected)
		b->extra_acked[0] = max_u32(b->extra_acked[0],
					    min_u32(b->extra_acked_delivered - (uint32_t)expected, c->cwnd));
}

/* ---- STARTUP and DRAIN (5.3.1, 5.3.2) ---- */

static void check_full_bw(struct bbr *b, const struct rate_sample *r)
{
	uint32_t bw = rate_of(r->bytes, r->interval);

	if (b->full_bw_now || !b->round_start || r->limited || bw == 0)
		return;
	if (bw >= (uint64_t)b->full_bw * 5 / 4) {
		reset_full_bw(b, bw);
		return;
	}
	b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
	b->full_bw_reached |= b->full_bw_now;
}

/* 5.3.1.3: a whole round in recovery, with more than LossThresh lost in several places. */
static void check_startup_loss(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;
	uint32_t lost = r->lost - b->round_lost, delivered = r->delivered - b->round_delivered;

	if (!r->recovery)
		b->recovery_round = false;
	if (!b->round_start)
		return;
	if (b->mode == STARTUP && b->recovery_round && b->loss_events >= STARTUP_LOSSES &&
	    (uint64_t)lost * 100 > (uint64_t)(lost + delivered) * LOSS_PERCENT) {
		b->full_bw_reached = true;
		b->inflight_longterm = max_u32(bdp_multiple(b, max_bw(b), UNIT), b->inflight_latest);
	}
	b->round_lost = r->lost;
	b->round_delivered = r->delivered;
	b->loss_events = 0;
	b->recovery_round = r->recovery;
}

static void check_startup_and_drain(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	check_startup_loss(c, r);
	if (b->mode == STARTUP && b->full_bw_reached) {
		b->mode = DRAIN;
		b->rounds_since_probe = 0;
	}
	if (b->mode == DRAIN && (r->flight <= inflight_at(c, UNIT) || b->rounds_since_probe > DRAIN_ROUNDS))
		start_down(c, r->now, r->delivered);
}

/* ---- PROBE_RTT (5.3.4) ---- */

static bool update_min_rtt(struct bbr *b, const struct rate_sample *r)
{
	bool expired = r->now > b->probe_rtt_min_stamp + PROBE_RTT_INTERVAL;

	if (r->rtt > 0 && (r->rtt < b->probe_rtt_min_delay || expired)) {
		b->probe_rtt_min_delay = r->rtt;
		b->probe_rtt_min_stamp = r->now;
	}
	if (b->probe_rtt_min_delay < b->min_rtt || r->now > b->min_rtt_stamp + MIN_RTT_FILTER) {
		b->min_rtt = b->probe_rtt_min_delay;
		b->min_rtt_stamp = b->probe_rtt_min_stamp;
	}
	return expired;
}

static void exit_probe_rtt(struct cc *c, uint64_t now, uint32_t delivered)
{
	struct bbr *b = c->bbr;

	b->probe_rtt_min_stamp = now;
	b->probe_rtt_done_stamp = 0;
	c->cwnd = max_u32(c->cwnd, b->prior_cwnd);
	reset_short_term(b);
	b->mode = STARTUP;
	if (b->full_bw_reached) {
		start_down(c, now, delivered);
		b->mode = PROBE_CRUISE;
	}
}

static uint32_t probe_rtt_cwnd(struct cc *c)
{
	return max_u32(bdp_multiple(c->bbr, bandwidth(c->bbr), PROBE_RTT_CWND_GAIN), min_pipe(c->bbr));
}

static void handle_probe_rtt(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;

	b->distrust = true;
	b->trust_after = r->delivered + r->flight;
	if (b->probe_rtt_done_stamp == 0) {
		if (r->flight > probe_rtt_cwnd(c))
			return;
		b->probe_rtt_done_stamp = r->now + PROBE_RTT_DURATION;
		b->probe_rtt_round_done = false;
		start_round(b, r->delivered);
		return;
	}
	b->probe_rtt_round_done |= b->round_start;
	if (b->probe_rtt_round_done && r->now > b->probe_rtt_done_stamp)
		exit_probe_rtt(c, r->now, r->delivered);
}

static void check_probe_rtt(struct cc *c, const struct rate_sample *r, bool expired)
{
	struct bbr *b = c->bbr;

	if (b->mode != PROBE_RTT && expired && !b->idle_restart) {
		save_cwnd(c, r->recovery);
		b->mode = PROBE_RTT;
		b->probe_rtt_done_stamp = 0;
		b->ack_phase = ACKS_STOPPING;
		start_round(b, r->delivered);
	}
	if (b->mode == PROBE_RTT)
		handle_probe_rtt(c, r);
	if (r->acked > 0)
		b->idle_restart = false;
}

/* ---- cwnd (5.6.4) ---- */

static uint32_t model_cap(struct cc *c)
{
	struct bbr *b = c->bbr;
	uint32_t cap = NONE;

	if (in_probe_bw(b) && b->mode != PROBE_CRUISE)
		cap = b->inflight_longterm;
	else if (b->mode == PROBE_RTT || b->mode == PROBE_CRUISE)
		cap = with_headroom(b);
	cap = max_u32(min_u32(cap, b->inflight_shortterm), min_pipe(b));
	return b->mode == PROBE_RTT ? min_u32(cap, probe_rtt_cwnd(c)) : cap;
}

static void set_cwnd(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;
	uint32_t extra = max_u32(b->extra_acked[0], b->extra_acked[1]);
	uint32_t most = quantization(c, bdp_multiple(b, bandwidth(b), cwnd_gain(b)) + extra);

	if (b->full_bw_reached)
		c->cwnd = min_u32(c->cwnd + r->acked, most);
	else if (c->cwnd < most || c->cwnd < cc_initial_window(b->mss))
		c->cwnd += r->acked;
	c->cwnd = max_u32(c->cwnd, min_pipe(b));
	c->cwnd = min_u32(min_u32(c->cwnd, model_cap(c)), CC_CWND_MAX);
}

/* ---- the table ---- */

static void bbr_init(struct cc *c, uint32_t mss, uint64_t srtt, uint64_t now)
{
	struct bbr *b = c->bbr;
	uint64_t nominal = (uint64_t)cc_initial_window(mss) * 1000000 / (srtt ? srtt : 1000); /* 5.6.2 */

	*c = (struct cc){.cwnd = cc_initial_window(mss), .ssthresh = CC_SSTHRESH_NONE, .bbr = b};
	*b = (struct bbr){
		.mss = mss, .mode = STARTUP,
		.bw_shortterm = NONE, .inflight_shortterm = NONE, .inflight_longterm = NONE,
		.min_rtt = srtt ? (uint32_t)min_u64(srtt, NONE - 1) : NONE,
		.min_rtt_stamp = now, .probe_rtt_min_stamp = now, .extra_acked_start = now,
		.random = (uint32_t)(now * 2654435761u + srtt),
	};
	b->probe_rtt_min_delay = b->min_rtt;
	c->pacing_rate = (uint32_t)min_u64(nominal * STARTUP_PACING_GAIN / UNIT, NONE - 1);
}

static void update_model(struct cc *c, const struct rate_sample *r)
{
	struct bbr *b = c->bbr;
	bool expired;

	update_round(b, r);
	update_max_bw(b, r);
	update_signals(c, r);
	update_aggregation(c, r);
	check_full_bw(b, r);
	check_startup_and_drain(c, r);
	update_cycle(c, r);
	expired = update_min_rtt(b, r);
	check_probe_rtt(c, r, expired);
	advance_signals(b, r);
}

static void bbr_rate(struct cc *c, const struct rate_sample *sample, uint32_t mss)
{
	struct bbr *b = c->bbr;
	struct rate_sample r = *sample;

	b->mss = mss;
	if (b->distrust && (int32_t)(r.prior_delivered - b->trust_after) >= 0)
		b->distrust = false;
	r.limited |= b->distrust; /* 5.3.4.3: by PROBE_RTT's small flight, if not by the application */
	update_model(c, &r);
	if (max_bw(b) > 0)
		set_pacing_rate(c, pacing_gain(b));
	set_cwnd(c, &r);
}

static void bbr_acked(struct cc *c, uint32_t acked, uint32_t mss, bool limited, uint64_t now, uint64_t srtt)
{
	(void)c, (void)acked, (void)mss, (void)limited, (void)now, (void)srtt; /* the samples tell all of it */
}

/* Losses come with the samples; a mark (RFC 3168) is noted here as one. */
static void bbr_lost(struct cc *c, uint32_t flight, uint32_t mss, uint64_t now)
{
	(void)flight, (void)mss, (void)now;
	save_cwnd(c, false);
	c->bbr->loss_in_round = true;
	c->ssthresh = c->bbr->prior_cwnd;
}

/* 5.6.4.4: one segment, and the caller adds what is still on its way. */
static void bbr_timed_out(struct cc *c, uint32_t flight, uint32_t mss, bool first, uint64_t now)
{
	(void)flight, (void)now;
	save_cwnd(c, !first);
	c->bbr->loss_in_round = true;
	c->ssthresh = c->bbr->prior_cwnd;
	c->cwnd = mss;
}

/* 5.4.1: a rate at which the path would deliver, and no RTT probe: the pipe has just been empty. */
static void bbr_unused(struct cc *c, uint32_t cwnd, uint64_t now)
{
	struct bbr *b = c->bbr;

	(void)cwnd;
	b->idle_restart = true;
	b->extra_acked_start = now;
	b->extra_acked_delivered = 0;
	if (in_probe_bw(b))
		set_pacing_rate(c, UNIT);
	else if (b->mode == PROBE_RTT && b->probe_rtt_done_stamp != 0 && now > b->probe_rtt_done_stamp)
		exit_probe_rtt(c, now, b->next_round);
}

static void bbr_info(const struct cc *c, struct cc_bbr_info *out)
{
	static const char *const name[] = {
		[STARTUP] = "startup", [DRAIN] = "drain", [PROBE_DOWN] = "probe-bw-down",
		[PROBE_CRUISE] = "probe-bw-cruise", [PROBE_REFILL] = "probe-bw-refill",
		[PROBE_UP] = "probe-bw-up", [PROBE_RTT] = "probe-rtt",
	};
	const struct bbr *b = c->bbr;

	*out = (struct cc_bbr_info){
		.mode = name[b->mode], .bw = bandwidth(b), .min_rtt = b->min_rtt == NONE ? 0 : b->min_rtt,
		.pacing_gain = pacing_gain(b), .cwnd_gain = cwnd_gain(b),
		.inflight_hi = b->inflight_longterm, .inflight_lo = b->inflight_shortterm,
	};
}

const struct cc_ops cc_bbr = {
	.name = "bbr",
	.state_size = sizeof(struct bbr),
	.init = bbr_init,
	.acked = bbr_acked,
	.lost = bbr_lost,
	.timed_out = bbr_timed_out,
	.unused = bbr_unused,
	.rate = bbr_rate,
	.info = bbr_info,
};
