/*
 * BBR (draft-ietf-ccwg-bbr) and the delivery rate that it is fed with, against a path that the
 * test models: a sender paced and bounded as the algorithm says, a bottleneck with a queue, ACKs
 * for each segment.
 */
#include "stack/cc.h"
#include "suite.h"

#define MSS 1448u
#define SECOND UINT64_C(1000000)
#define RING 8192u

struct packet {
	uint64_t sent, back; /* back: when its ACK arrives */
	struct rate_mark mark;
	bool lost;
};

static struct {
	struct cc c;
	struct rate rate;
	uint64_t now, free_at, next_send, app_gap;
	uint64_t bandwidth, delay; /* bytes a second; both ways, microseconds */
	uint64_t queue;            /* bytes */
	uint64_t together;         /* ACKs come at multiples of this time; 0: each when it is due */
	unsigned drop_each;        /* one segment of so many is lost; 0: none */
	unsigned sent;
	uint64_t delivered;
	uint32_t flight, most, least; /* in flight now; its extremes since measure() */
	uint32_t min_rtt;
	struct packet ring[RING];
	unsigned head, tail;
	unsigned seen;             /* modes, bit by bit, since measure() */
	uint64_t slowest, fastest; /* pacing rate, since measure() */
} m;

static const char *const modes[] = {"startup", "drain", "probe-bw-down", "probe-bw-cruise", "probe-bw-refill",
				    "probe-bw-up", "probe-rtt"};
enum { STARTUP, DRAIN, DOWN, CRUISE, REFILL, UP, PROBE_RTT };

static struct cc_bbr_info info(void)
{
	struct cc_bbr_info out;

	cc_bbr.info(&m.c, &out);
	return out;
}

static bool in(unsigned mode)
{
	return strcmp(info().mode, modes[mode]) == 0;
}

static void setup(void)
{
	memset(&m, 0, sizeof(m));
	m.now = 1000 * SECOND;
	m.bandwidth = 1250000;
	m.delay = 40000;
	m.queue = 1000000;
	m.min_rtt = UINT32_MAX;
	m.c.bbr = calloc(1, cc_bbr.state_size);
	cc_bbr.init(&m.c, MSS, m.delay, m.now);
}

static void teardown(void)
{
	free(m.c.bbr);
}

static void send_one(void)
{
	struct packet *p = &m.ring[m.tail++ % RING];
	uint64_t start = m.free_at > m.now ? m.free_at : m.now;

	*p = (struct packet){.sent = m.now};
	rate_sent(&m.rate, m.now, m.flight, MSS, &p->mark);
	m.flight += MSS;
	p->lost = (start - m.now) * m.bandwidth / SECOND > m.queue || (m.drop_each && ++m.sent % m.drop_each == 0);
	if (!p->lost)
		m.free_at = start + MSS * SECOND / m.bandwidth;
	p->back = m.free_at + m.delay;
	if (m.together)
		p->back += m.together - p->back % m.together;
	m.next_send = m.now + (m.app_gap ? m.app_gap : MSS * SECOND / m.c.pacing_rate);
	if (m.app_gap)
		rate_limited(&m.rate, m.flight);
}

/* The ACK of one, or that it is missing: told by the next. */
static void come_back(void)
{
	struct packet *p = &m.ring[m.head++ % RING];
	struct rate_sample r;

	m.flight -= MSS;
	if (p->lost) {
		m.rate.lost += MSS;
		return;
	}
	m.delivered += MSS;
	if ((uint32_t)(m.now - p->sent) < m.min_rtt)
		m.min_rtt = (uint32_t)(m.now - p->sent);
	rate_acked(&m.rate, MSS, &p->mark, p->sent, m.min_rtt, m.now, &r);
	r.flight = m.flight;
	r.cwnd_limited = m.flight + 2 * MSS > m.c.cwnd;
	r.recovery = r.sent_lost > 0;
	cc_bbr.rate(&m.c, &r, MSS);
}

static void measure(void)
{
	m.seen = 0;
	m.most = 0;
	m.least = UINT32_MAX;
	m.slowest = UINT64_MAX;
	m.fastest = 0;
}

static void note(void)
{
	for (unsigned i = 0; i < 7; i++)
		m.seen |= in(i) ? 1u << i : 0;
	m.most = m.flight > m.most ? m.flight : m.most;
	m.least = m.flight < m.least ? m.flight : m.least;
	m.slowest = m.c.pacing_rate < m.slowest ? m.c.pacing_rate : m.slowest;
	m.fastest = m.c.pacing_rate > m.fastest ? m.c.pacing_rate : m.fastest;
}

/* Lets the path work until that time, or until a mode is reached. Returns the goodput, bytes a second. */
static uint64_t play(uint64_t time, int mode)
{
	uint64_t began = m.now, until = m.now + time, before = m.delivered;

	while (m.now < until && (mode < 0 || !in((unsigned)mode))) {
		uint64_t ack = m.head != m.tail ? m.ring[m.head % RING].back : UINT64_MAX;
		uint64_t out = m.flight + MSS <= m.c.cwnd ? (m.next_send > m.now ? m.next_send : m.now) : UINT64_MAX;

		m.now = ack <= out ? ack : out;
		if (ack <= out)
			come_back();
		else
			send_one();
		note();
	}
	return (m.delivered - before) * SECOND / (m.now - began);
}

static void check_near(uint64_t value, uint64_t wanted, unsigned percent)
{
	ck_assert_msg(value * 100 >= wanted * (100 - percent) && value * 100 <= wanted * (100 + percent),
		      "%llu is not within %u %% of %llu", (unsigned long long)value, percent, (unsigned long long)wanted);
}

START_TEST(startup_doubles_the_rate_until_the_path_is_full)
{
	uint64_t first = m.c.pacing_rate;

	check_near(first, (uint64_t)10 * MSS * SECOND / m.delay * 277 / 100, 1);
	ck_assert_uint_eq(info().pacing_gain, 709);
	measure();
	play(2 * SECOND, DRAIN);
	ck_assert(in(DRAIN));
	check_near(info().bw, m.bandwidth, 3);
	ck_assert_uint_ge(m.fastest, m.bandwidth * 2);
	/* doubling from 10 segments to 50 KB, and three rounds to believe it */
	ck_assert_uint_le(m.now - 1000 * SECOND, 16 * m.delay);
}
END_TEST

START_TEST(drain_empties_the_queue_that_startup_made)
{
	uint32_t bdp = (uint32_t)(m.bandwidth * m.delay / SECOND);

	play(2 * SECOND, DRAIN);
	ck_assert_uint_gt(m.flight, bdp + 5 * MSS);
	ck_assert_uint_lt(m.c.pacing_rate, m.bandwidth / 2);
	play(2 * SECOND, CRUISE); /* nothing is left to do in "down" */
	ck_assert(in(CRUISE));
	ck_assert_uint_le(m.flight, bdp + 5 * MSS);
	check_near(info().min_rtt, m.delay, 10);
}
END_TEST

/* Others fill the queue, or the bandwidth was estimated too high: what is in flight does not fall. */
START_TEST(drain_ends_after_three_rounds)
{
	unsigned rounds = 0;

	while (!in(DRAIN))
		play(m.delay / 4, -1);
	while (in(DRAIN) && rounds < 20) {
		struct rate_sample r = {
			.prior_delivered = m.rate.delivered, .acked = 10 * MSS, .bytes = 10 * MSS, .interval = (uint32_t)m.delay,
			.sent_flight = 10000 * MSS, .flight = 10000 * MSS, .rtt = (uint32_t)m.delay,
		};

		m.rate.delivered += 10 * MSS;
		m.now += m.delay;
		r.delivered = m.rate.delivered;
		r.now = m.now;
		cc_bbr.rate(&m.c, &r, MSS);
		rounds++;
	}
	ck_assert_uint_ge(rounds, 3);
	ck_assert_uint_le(rounds, 5);
}
END_TEST

START_TEST(probe_bw_goes_through_its_phases)
{
	play(2 * SECOND, DRAIN);
	play(10 * SECOND, CRUISE);
	ck_assert(in(CRUISE));
	ck_assert_uint_eq(info().pacing_gain, 256);
	play(10 * SECOND, REFILL);
	ck_assert(in(REFILL));
	play(10 * SECOND, UP);
	ck_assert(in(UP));
	ck_assert_uint_eq(info().pacing_gain, 320);
	play(10 * SECOND, DOWN);
	ck_assert(in(DOWN));
	ck_assert_uint_eq(info().pacing_gain, 230);
}
END_TEST

/* The full rate, with little in the queue. */
START_TEST(steady_state_fills_the_path_and_no_more)
{
	uint64_t goodput;

	play(3 * SECOND, -1);
	measure();
	goodput = play(30 * SECOND, -1);
	check_near(goodput, m.bandwidth, 5);
	ck_assert_uint_le(m.most, 3 * m.bandwidth * m.delay / SECOND);
	ck_assert_uint_eq(m.seen & (1u << STARTUP | 1u << DRAIN), 0);
}
END_TEST

START_TEST(probe_rtt_drains_the_pipe_every_five_seconds)
{
	uint32_t bdp = (uint32_t)(m.bandwidth * m.delay / SECOND);

	play(8 * SECOND, PROBE_RTT);
	ck_assert(in(PROBE_RTT));
	measure();
	play(SECOND, CRUISE);
	ck_assert(in(CRUISE));
	ck_assert_uint_le(m.least, bdp * 6 / 10);
	check_near(info().bw, m.bandwidth, 5); /* the small flight was not taken for the path's rate */
}
END_TEST

/* A queue of others made the RTT look longer; when it has gone, the least is found again. */
START_TEST(a_longer_path_is_believed_after_ten_seconds)
{
	play(3 * SECOND, -1);
	m.delay = 80000;
	play(3 * SECOND, -1);
	check_near(info().min_rtt, 40000, 10);
	play(20 * SECOND, -1);
	check_near(info().min_rtt, 80000, 10);
}
END_TEST

START_TEST(more_bandwidth_is_found)
{
	play(5 * SECOND, -1);
	m.bandwidth *= 2;
	play(20 * SECOND, -1);
	check_near(info().bw, m.bandwidth, 10);
}
END_TEST

START_TEST(less_bandwidth_is_accepted)
{
	play(5 * SECOND, -1);
	m.bandwidth /= 2; /* nothing is lost that would tell */
	play(20 * SECOND, -1);
	check_near(info().bw, m.bandwidth, 15);
}
END_TEST

START_TEST(application_limited_periods_do_not_lower_the_bandwidth)
{
	play(5 * SECOND, -1);
	check_near(info().bw, m.bandwidth, 5);
	m.app_gap = 50000; /* 29 kB/s: a fortieth */
	play(30 * SECOND, -1);
	check_near(info().bw, m.bandwidth, 5);
}
END_TEST

START_TEST(application_limited_startup_does_not_end_it)
{
	m.app_gap = 20000;
	play(10 * SECOND, -1);
	ck_assert(in(STARTUP) || in(PROBE_RTT));
	m.app_gap = 0;
	play(5 * SECOND, -1);
	check_near(info().bw, m.bandwidth, 5);
}
END_TEST

/* Its small flight is not the path's: a STARTUP that it came into goes on. */
START_TEST(probe_rtt_does_not_end_startup)
{
	m.app_gap = 20000;
	play(8 * SECOND, PROBE_RTT);
	ck_assert(in(PROBE_RTT));
	m.app_gap = 0;
	play(SECOND, STARTUP);
	ck_assert(in(STARTUP));
	play(2 * SECOND, DRAIN);
	check_near(info().bw, m.bandwidth, 5);
}
END_TEST

/* One in two hundred is below LossThresh (2 %). */
START_TEST(a_little_loss_does_not_slow_it_down)
{
	m.drop_each = 200;
	play(5 * SECOND, -1);
	check_near(play(20 * SECOND, -1), m.bandwidth, 10);
}
END_TEST

START_TEST(a_shallow_queue_bounds_what_is_in_flight)
{
	m.queue = 10 * MSS;
	play(20 * SECOND, -1);
	ck_assert_uint_ne(info().inflight_hi, UINT32_MAX);
	ck_assert_uint_le(info().inflight_hi, m.bandwidth * m.delay / SECOND + 40 * MSS);
	check_near(play(20 * SECOND, -1), m.bandwidth, 15);
}
END_TEST

/* A round trip of 4 ms, and a link that lets ACKs through every 40: two windows of the path's would wait most of the time. */
START_TEST(acks_that_come_together_find_room)
{
	m.delay = 4000;
	m.together = 40000;
	play(3 * SECOND, -1);
	check_near(play(2 * SECOND, -1), m.bandwidth, 15);
}
END_TEST

START_TEST(timeout_leaves_one_segment)
{
	play(5 * SECOND, -1);
	cc_bbr.timed_out(&m.c, m.flight, MSS, true, m.now);
	ck_assert_uint_eq(m.c.cwnd, MSS);
	ck_assert_uint_ge(m.c.ssthresh, m.bandwidth * m.delay / SECOND);
	play(5 * SECOND, -1);
	ck_assert_uint_ge(m.c.cwnd, m.bandwidth * m.delay / SECOND);
}
END_TEST

START_TEST(after_an_idle_time_it_paces_at_the_bandwidth_and_probes_no_rtt)
{
	play(4 * SECOND, -1);
	while (m.head != m.tail) { /* all comes back */
		m.now = m.ring[m.head % RING].back;
		come_back();
	}
	m.now += 20 * SECOND;
	rate_limited(&m.rate, 0);
	cc_bbr.unused(&m.c, 10 * MSS, m.now);
	check_near(m.c.pacing_rate, m.bandwidth, 6);
	measure();
	play(3 * m.delay, -1);
	ck_assert_uint_eq(m.seen & 1u << PROBE_RTT, 0);
}
END_TEST

/* ---- rate.h ---- */

START_TEST(rate_is_that_of_the_slower_of_sending_and_acknowledging)
{
	struct rate r = {0};
	struct rate_mark first, last;
	struct rate_sample s;

	rate_sent(&r, 1000000, 0, 10000, &first);
	rate_sent(&r, 1010000, 10000, 10000, &last);
	rate_acked(&r, 10000, &first, 1000000, 0, 1100000, &s);
	ck_assert_uint_eq(s.interval, 100000);
	ck_assert_uint_eq(s.bytes, 10000);
	ck_assert_uint_eq(s.rtt, 100000);
	/* the second ACK comes at once: what went out in 10 ms cannot have been delivered faster */
	rate_acked(&r, 10000, &last, 1010000, 0, 1100010, &s);
	ck_assert_uint_eq(s.bytes, 20000);
	ck_assert_uint_eq(s.interval, 100010);
	ck_assert_uint_eq(rate_of(s.bytes, s.interval), 199980);
}
END_TEST

START_TEST(rate_shorter_than_the_least_rtt_is_no_measurement)
{
	struct rate r = {0};
	struct rate_mark a;
	struct rate_sample s;

	rate_sent(&r, 1000000, 0, 1000, &a);
	rate_acked(&r, 1000, &a, 1000000, 20000, 1005000, &s);
	ck_assert_uint_eq(s.interval, 0);
	ck_assert_uint_eq(r.interval, 0);
}
END_TEST

START_TEST(rate_marks_what_the_application_held_back)
{
	struct rate r = {0};
	struct rate_mark a, b;
	struct rate_sample s;

	rate_sent(&r, 1000000, 0, 1000, &a);
	rate_limited(&r, 1000);
	rate_sent(&r, 1001000, 1000, 1000, &b);
	ck_assert(!a.limited);
	ck_assert(b.limited);
	rate_acked(&r, 1000, &a, 1000000, 0, 1100000, &s);
	ck_assert(r.is_limited); /* until what was sent after that comes back */
	rate_acked(&r, 1000, &b, 1001000, 0, 1200000, &s);
	ck_assert(s.limited);
	ck_assert(!r.is_limited);
	ck_assert_uint_eq(rate_of(r.bytes, r.interval), 10000); /* a limited sample does not lower what is shown */
}
END_TEST

START_TEST(rate_counts_wrap)
{
	struct rate r = {.delivered = UINT32_MAX - 499, .delivered_us = UINT32_MAX - 99};
	struct rate_mark a;
	struct rate_sample s;
	uint64_t now = (UINT64_C(1) << 32) * 5 - 100;

	rate_sent(&r, now, 0, 1000, &a);
	rate_acked(&r, 1000, &a, now, 0, now + 1000, &s);
	ck_assert_uint_eq(s.bytes, 1000);
	ck_assert_uint_eq(s.interval, 1000);
	ck_assert_uint_eq(s.rtt, 1000);
}
END_TEST

START_TEST(quantum_is_a_millisecond_in_whole_segments)
{
	ck_assert_uint_eq(cc_send_quantum(100000, MSS), MSS);
	ck_assert_uint_eq(cc_send_quantum(1000000, MSS), 2 * MSS);
	ck_assert_uint_eq(cc_send_quantum(12500000, MSS), 8 * MSS);
	ck_assert_uint_eq(cc_send_quantum(UINT32_MAX - 1, MSS), 45 * MSS);
	ck_assert_uint_eq(cc_send_quantum(UINT32_MAX - 1, 65000), 2 * 65000);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("bbr");

	ADD(startup_doubles_the_rate_until_the_path_is_full);
	ADD(drain_empties_the_queue_that_startup_made);
	ADD(drain_ends_after_three_rounds);
	ADD(probe_bw_goes_through_its_phases);
	ADD(steady_state_fills_the_path_and_no_more);
	ADD(probe_rtt_drains_the_pipe_every_five_seconds);
	ADD(a_longer_path_is_believed_after_ten_seconds);
	ADD(more_bandwidth_is_found);
	ADD(less_bandwidth_is_accepted);
	ADD(application_limited_periods_do_not_lower_the_bandwidth);
	ADD(application_limited_startup_does_not_end_it);
	ADD(probe_rtt_does_not_end_startup);
	ADD(a_little_loss_does_not_slow_it_down);
	ADD(a_shallow_queue_bounds_what_is_in_flight);
	ADD(acks_that_come_together_find_room);
	ADD(timeout_leaves_one_segment);
	ADD(after_an_idle_time_it_paces_at_the_bandwidth_and_probes_no_rtt);
	ADD(rate_is_that_of_the_slower_of_sending_and_acknowledging);
	ADD(rate_shorter_than_the_least_rtt_is_no_measurement);
	ADD(rate_marks_what_the_application_held_back);
	ADD(rate_counts_wrap);
	ADD(quantum_is_a_millisecond_in_whole_segments);
	return suite_run(s);
}
