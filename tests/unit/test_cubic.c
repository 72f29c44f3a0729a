/* CUBIC (RFC 9438) and HyStart++ (RFC 9406), as a state machine in virtual time. */
#include "stack/cc.h"
#include "suite.h"

#define MSS 1460u
#define SECOND UINT64_C(1000000)

static struct cc c;

static void setup(void) { cc_cubic.init(&c, MSS, 0, 0); }
static void teardown(void) {}

/* Acknowledges whole windows, one a round trip, until `until`. */
static uint64_t grow(uint64_t now, uint64_t until, uint64_t rtt)
{
	for (; now < until; now += rtt)
		for (uint32_t left = c.cwnd / MSS; left > 0; left--)
			cc_cubic.acked(&c, MSS, MSS, true, now, rtt);
	return now;
}

START_TEST(slow_start_doubles_each_round)
{
	ck_assert_uint_eq(c.cwnd, 10 * MSS);
	grow(0, 1, 1);
	ck_assert_uint_eq(c.cwnd, 20 * MSS);
}
END_TEST

START_TEST(loss_leaves_seven_tenths)
{
	c.cwnd = 100 * MSS;
	cc_cubic.lost(&c, 100 * MSS, MSS, 0);
	ck_assert_uint_eq(c.ssthresh, 70 * MSS);
}
END_TEST

/* W_max = 1000 segments: K = cbrt(1000 * 0.3 / 0.4) = 9.09 s. */
START_TEST(window_is_back_at_w_max_after_k)
{
	c.cwnd = 1000 * MSS;
	cc_cubic.lost(&c, 1000 * MSS, MSS, 0);
	c.cwnd = c.ssthresh;
	grow(SECOND, 5 * SECOND, SECOND / 10);
	ck_assert_uint_gt(c.cwnd, 900 * MSS);
	ck_assert_uint_lt(c.cwnd, 1000 * MSS);
	grow(5 * SECOND, SECOND + 9090000, SECOND / 10);
	ck_assert_uint_ge(c.cwnd, 985 * MSS);
	ck_assert_uint_le(c.cwnd, 1005 * MSS);
	grow(SECOND + 9090000, 20 * SECOND, SECOND / 10);
	ck_assert_uint_gt(c.cwnd, 1200 * MSS);
}
END_TEST

START_TEST(second_loss_below_w_max_gives_way)
{
	c.cwnd = 100 * MSS;
	cc_cubic.lost(&c, 100 * MSS, MSS, 0);
	ck_assert_uint_eq(c.cubic.w_max, 100 * MSS);
	c.cwnd = 80 * MSS;
	cc_cubic.lost(&c, 80 * MSS, MSS, 0);
	ck_assert_uint_eq(c.cubic.w_max, 68 * MSS);
}
END_TEST

/* At a round trip of 1 ms the curve is far slower than Reno's segment a window. */
START_TEST(short_round_trips_grow_as_reno)
{
	c.cwnd = 20 * MSS;
	cc_cubic.lost(&c, 20 * MSS, MSS, 0);
	c.cwnd = c.ssthresh;
	grow(SECOND, SECOND + 100000, 1000);
	ck_assert_uint_ge(c.cwnd, 14 * MSS + 50 * MSS);
}
END_TEST

START_TEST(application_limited_does_not_grow)
{
	uint32_t before = c.cwnd;

	for (unsigned i = 0; i < 100; i++)
		cc_cubic.acked(&c, MSS, MSS, false, i, 1000);
	ck_assert_uint_eq(c.cwnd, before);
}
END_TEST

static void round_of(uint32_t rtt)
{
	for (unsigned i = 0; i < 10; i++)
		cc_cubic.sample(&c, rtt, i == 0);
}

START_TEST(rising_rtt_ends_slow_start_after_five_rounds)
{
	round_of(20000);
	round_of(20000);
	ck_assert_uint_eq(c.cubic.css_rounds, 0);
	round_of(30000);
	ck_assert_uint_eq(c.cubic.css_rounds, 1);
	ck_assert_uint_eq(c.ssthresh, CC_SSTHRESH_NONE);
	for (unsigned i = 0; i < 5; i++)
		round_of(31000);
	ck_assert_uint_eq(c.ssthresh, c.cwnd);
}
END_TEST

START_TEST(rtt_that_falls_again_resumes_slow_start)
{
	round_of(20000);
	round_of(20000);
	round_of(30000);
	round_of(20000);
	ck_assert_uint_eq(c.cubic.css_rounds, 0);
	ck_assert_uint_eq(c.ssthresh, CC_SSTHRESH_NONE);
}
END_TEST

START_TEST(after_hystart_an_idle_restart_slow_starts_in_full)
{
	for (unsigned i = 0; i < 2; i++)
		round_of(20000);
	for (unsigned i = 0; i < 7; i++)
		round_of(31000);
	c.ssthresh = 100 * MSS;
	cc_cubic.unused(&c, 10 * MSS, 0);
	for (unsigned i = 0; i < 3; i++)
		round_of(31000);
	ck_assert_uint_eq(c.ssthresh, 100 * MSS);
	cc_cubic.acked(&c, MSS, MSS, true, 1, 1);
	ck_assert_uint_eq(c.cwnd, 11 * MSS);
}
END_TEST

START_TEST(after_a_timeout_the_curve_starts_at_the_window)
{
	c.cwnd = 1000 * MSS;
	cc_cubic.timed_out(&c, 1000 * MSS, MSS, true, SECOND);
	c.cwnd = c.ssthresh;
	grow(2 * SECOND, 3 * SECOND, SECOND / 10);
	ck_assert_uint_eq(c.cubic.k_ms, 0);
	ck_assert_uint_lt(c.cwnd, 720 * MSS);
}
END_TEST

START_TEST(conservative_slow_start_grows_by_a_quarter)
{
	uint32_t before = c.cwnd;

	c.cubic.css_rounds = 1;
	cc_cubic.acked(&c, 4 * MSS, MSS, true, 1, 1);
	ck_assert_uint_eq(c.cwnd, before + MSS);
}
END_TEST

/* Far past the plateau the curve is steep: half a window a round trip is the most. */
START_TEST(window_grows_by_half_a_round_trip_at_most)
{
	uint32_t before;

	c.cwnd = 100 * MSS;
	cc_cubic.lost(&c, 100 * MSS, MSS, 0);
	c.cwnd = c.ssthresh;
	grow(SECOND, SECOND + 1000, SECOND);
	before = c.cwnd;
	grow(100 * SECOND, 100 * SECOND + 1, SECOND);
	ck_assert_uint_gt(c.cwnd, before + before / 4);
	ck_assert_uint_le(c.cwnd, before + before / 4 * 3); /* the bound moves along with cwnd */
}
END_TEST

/* Below the earlier window one segment for 17/9 windows, then one for each. */
START_TEST(reno_estimate_is_faster_past_the_earlier_window)
{
	uint32_t slow, fast;

	c.cwnd = 20 * MSS;
	cc_cubic.lost(&c, 20 * MSS, MSS, 0);
	c.cwnd = c.ssthresh;
	grow(SECOND, SECOND + 4000, 1000);
	slow = c.cubic.w_est;
	grow(SECOND + 4000, SECOND + 8000, 1000);
	slow = c.cubic.w_est - slow;
	grow(SECOND + 8000, SECOND + 24000, 1000);
	fast = c.cubic.w_est;
	ck_assert_uint_ge(fast, c.cubic.prior);
	grow(SECOND + 24000, SECOND + 28000, 1000);
	fast = c.cubic.w_est - fast;
	ck_assert_uint_ge(slow, MSS);
	ck_assert_uint_le(slow, 3 * MSS);
	ck_assert_uint_ge(fast, 3 * MSS);
}
END_TEST

START_TEST(timeout_leaves_one_segment_and_seven_tenths)
{
	c.cwnd = 100 * MSS;
	cc_cubic.timed_out(&c, 100 * MSS, MSS, true, SECOND);
	ck_assert_uint_eq(c.cwnd, MSS);
	ck_assert_uint_eq(c.ssthresh, 70 * MSS);
	cc_cubic.timed_out(&c, MSS, MSS, false, 2 * SECOND);
	ck_assert_uint_eq(c.ssthresh, 70 * MSS);
}
END_TEST

START_TEST(after_hystart_the_curve_starts_at_the_window)
{
	for (unsigned i = 0; i < 2; i++)
		round_of(20000);
	for (unsigned i = 0; i < 7; i++)
		round_of(31000);
	ck_assert_uint_eq(c.ssthresh, c.cwnd);
	grow(SECOND, SECOND + 1, 1000);
	ck_assert_uint_eq(c.cubic.k_ms, 0);
	ck_assert_uint_ge(c.cubic.origin, c.ssthresh);
	ck_assert_uint_le(c.cubic.origin, c.ssthresh + MSS);
}
END_TEST

/* The curve stands still while the application has nothing to send, and goes on where it was. */
START_TEST(time_held_back_by_the_application_does_not_count)
{
	struct cc other;

	c.cwnd = 1000 * MSS;
	cc_cubic.lost(&c, 1000 * MSS, MSS, 0);
	c.cwnd = c.ssthresh;
	grow(SECOND, 12 * SECOND, SECOND / 10);
	ck_assert_uint_gt(c.cwnd, 1000 * MSS); /* past the plateau */
	other = c;
	for (unsigned i = 0; i < 600; i++)
		cc_cubic.acked(&c, MSS, MSS, false, 12 * SECOND + i * SECOND / 10, SECOND / 10);
	grow(72 * SECOND, 75 * SECOND, SECOND / 10);
	struct cc held = c;

	c = other;
	grow(12 * SECOND, 15 * SECOND, SECOND / 10);
	ck_assert_uint_ge(held.cwnd, c.cwnd - 20 * MSS);
	ck_assert_uint_le(held.cwnd, c.cwnd + 20 * MSS);
}
END_TEST

/* 9406 4.3: an eighth more, but at least 4 ms and at most 16; eight samples. */
START_TEST(hystart_constants)
{
	round_of(10000);
	round_of(10000);
	round_of(13900);
	ck_assert_uint_eq(c.cubic.css_rounds, 0);
	setup();
	round_of(10000);
	round_of(10000);
	round_of(14100);
	ck_assert_uint_eq(c.cubic.css_rounds, 1);
	setup();
	round_of(400000);
	round_of(400000);
	round_of(417000);
	ck_assert_uint_eq(c.cubic.css_rounds, 1);
	setup();
	round_of(20000);
	round_of(20000);
	for (unsigned i = 0; i < 7; i++)
		cc_cubic.sample(&c, 40000, i == 0);
	ck_assert_uint_eq(c.cubic.css_rounds, 0);
}
END_TEST

/* 9438 4.6: an application that has little in flight does not lose the window that the path takes. */
START_TEST(reduction_is_of_the_window)
{
	c.cwnd = 10 * MSS;
	cc_cubic.lost(&c, 3 * MSS, MSS, 0);
	ck_assert_uint_eq(c.ssthresh, 7 * MSS);
	setup();
	c.cwnd = 2 * MSS; /* a second timeout, and what went out before the first is in flight still */
	cc_cubic.timed_out(&c, 10 * MSS, MSS, true, 0);
	ck_assert_uint_eq(c.ssthresh, 7 * MSS);
}
END_TEST

START_TEST(algorithms_are_found_by_name)
{
	ck_assert_ptr_eq(cc_find("cubic"), &cc_cubic);
	ck_assert_ptr_eq(cc_find("newreno"), &cc_newreno);
	ck_assert_ptr_eq(cc_find("bbr"), &cc_bbr);
	ck_assert_ptr_null(cc_find("vegas"));
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("cubic");

	ADD(slow_start_doubles_each_round);
	ADD(reduction_is_of_the_window);
	ADD(loss_leaves_seven_tenths);
	ADD(window_is_back_at_w_max_after_k);
	ADD(second_loss_below_w_max_gives_way);
	ADD(short_round_trips_grow_as_reno);
	ADD(application_limited_does_not_grow);
	ADD(rising_rtt_ends_slow_start_after_five_rounds);
	ADD(rtt_that_falls_again_resumes_slow_start);
	ADD(conservative_slow_start_grows_by_a_quarter);
	ADD(after_hystart_an_idle_restart_slow_starts_in_full);
	ADD(after_a_timeout_the_curve_starts_at_the_window);
	ADD(window_grows_by_half_a_round_trip_at_most);
	ADD(reno_estimate_is_faster_past_the_earlier_window);
	ADD(timeout_leaves_one_segment_and_seven_tenths);
	ADD(after_hystart_the_curve_starts_at_the_window);
	ADD(time_held_back_by_the_application_does_not_count);
	ADD(hystart_constants);
	ADD(algorithms_are_found_by_name);
	return suite_run(s);
}
