/* NewReno's windows: RFC 5681, 3465, 6928. */
#include "stack/cc.h"
#include "suite.h"

#define MSS 1460u

static struct cc start(uint32_t mss)
{
	struct cc c;

	cc_newreno.init(&c, mss, 0, 0);
	return c;
}

static void acked(struct cc *c, uint32_t n)
{
	cc_newreno.acked(c, n, MSS, true, 0, 0);
}

START_TEST(rfc6928_initial_window)
{
	ck_assert_uint_eq(start(1460).cwnd, 14600);
	ck_assert_uint_eq(start(536).cwnd, 5360);
	ck_assert_uint_eq(start(8960).cwnd, 2 * 8960);
	ck_assert_uint_eq(start(2000).cwnd, 14600);
	ck_assert_uint_eq(start(1460).ssthresh, UINT32_MAX);
}
END_TEST

START_TEST(rfc3465_slow_start_by_bytes)
{
	struct cc c = start(MSS);
	uint32_t w = c.cwnd;

	acked(&c, 100);
	ck_assert_uint_eq(c.cwnd, w + 100);
	acked(&c, MSS);
	ck_assert_uint_eq(c.cwnd, w + 100 + MSS);
	/* L = 2 segments an ACK */
	acked(&c, 40 * MSS);
	ck_assert_uint_eq(c.cwnd, w + 100 + 3 * MSS);
}
END_TEST

START_TEST(rfc3465_slow_start_after_loss_is_slower)
{
	struct cc c = start(MSS);

	cc_newreno.timed_out(&c, 20 * MSS, MSS, true, 0);
	acked(&c, 2 * MSS);
	ck_assert_uint_eq(c.cwnd, 2 * MSS);
}
END_TEST

/* ACKs of `piece` bytes for one window. */
static void ack_window(struct cc *c, uint32_t piece)
{
	uint32_t left = c->cwnd;

	while (left > 0) {
		uint32_t n = left < piece ? left : piece;

		acked(c, n);
		left -= n;
	}
}

START_TEST(rfc3465_congestion_avoidance_one_segment_a_window)
{
	struct cc c = start(MSS);

	c.cwnd = c.ssthresh = 20 * MSS;
	acked(&c, 20 * MSS - 1);
	ck_assert_uint_eq(c.cwnd, 20 * MSS);
	acked(&c, 1);
	ck_assert_uint_eq(c.cwnd, 21 * MSS);
	ack_window(&c, 2 * MSS);
	ck_assert_uint_eq(c.cwnd, 22 * MSS);
}
END_TEST

START_TEST(t9_ack_division_gains_nothing)
{
	struct cc whole = start(MSS), divided = start(MSS);

	whole.cwnd = whole.ssthresh = divided.cwnd = divided.ssthresh = 20 * MSS;
	for (int i = 0; i < 10; i++) {
		ack_window(&whole, MSS);
		ack_window(&divided, 10);
	}
	ck_assert_uint_eq(whole.cwnd, 30 * MSS);
	ck_assert_uint_eq(divided.cwnd, whole.cwnd);
}
END_TEST

START_TEST(rfc7661_no_growth_when_not_limited)
{
	struct cc c = start(MSS), before = c;

	cc_newreno.acked(&c, 5 * MSS, MSS, false, 0, 0);
	ck_assert_uint_eq(c.cwnd, before.cwnd);
	c.ssthresh = c.cwnd;
	for (int i = 0; i < 100; i++)
		cc_newreno.acked(&c, c.cwnd, MSS, false, 0, 0);
	ck_assert_uint_eq(c.cwnd, before.cwnd);
	ck_assert_uint_eq(c.acked, 0);
}
END_TEST

START_TEST(rfc5681_3_2_fast_retransmit)
{
	struct cc c = start(MSS);

	c.cwnd = 20 * MSS;
	cc_newreno.lost(&c, 20 * MSS, MSS, 0);
	ck_assert_uint_eq(c.ssthresh, 10 * MSS);
	ck_assert_uint_eq(c.cwnd, 13 * MSS);
	cc_newreno.lost(&c, MSS, MSS, 0);
	ck_assert_uint_eq(c.ssthresh, 2 * MSS);
}
END_TEST

START_TEST(rfc5681_3_1_timeout)
{
	struct cc c = start(MSS);

	cc_newreno.timed_out(&c, 20 * MSS, MSS, true, 0);
	ck_assert_uint_eq(c.ssthresh, 10 * MSS);
	ck_assert_uint_eq(c.cwnd, MSS);
	/* the second time for one loss: ssthresh stays */
	cc_newreno.timed_out(&c, MSS, MSS, false, 0);
	ck_assert_uint_eq(c.ssthresh, 10 * MSS);
	cc_newreno.timed_out(&c, 3 * MSS, MSS, true, 0);
	ck_assert_uint_eq(c.ssthresh, 2 * MSS);
}
END_TEST

START_TEST(unused_window_falls_and_slow_start_may_go_back)
{
	struct cc c = start(MSS);

	c.cwnd = 100 * MSS;
	c.ssthresh = 50 * MSS;
	cc_newreno.unused(&c, 10 * MSS, 0);
	ck_assert_uint_eq(c.cwnd, 10 * MSS);
	ck_assert_uint_eq(c.ssthresh, 75 * MSS);
}
END_TEST

START_TEST(window_does_not_overflow)
{
	struct cc c = start(MSS);

	c.cwnd = UINT32_C(1) << 30;
	acked(&c, UINT32_MAX);
	ck_assert_uint_eq(c.cwnd, UINT32_C(1) << 30);
	c.ssthresh = c.cwnd;
	for (int i = 0; i < 10; i++)
		acked(&c, UINT32_MAX);
	ck_assert_uint_eq(c.cwnd, UINT32_C(1) << 30);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cc");

	suite_add(s, "rfc6928_initial_window", rfc6928_initial_window);
	suite_add(s, "rfc3465_slow_start_by_bytes", rfc3465_slow_start_by_bytes);
	suite_add(s, "rfc3465_slow_start_after_loss_is_slower", rfc3465_slow_start_after_loss_is_slower);
	suite_add(s, "rfc3465_congestion_avoidance_one_segment_a_window",
		  rfc3465_congestion_avoidance_one_segment_a_window);
	suite_add(s, "t9_ack_division_gains_nothing", t9_ack_division_gains_nothing);
	suite_add(s, "rfc7661_no_growth_when_not_limited", rfc7661_no_growth_when_not_limited);
	suite_add(s, "rfc5681_3_2_fast_retransmit", rfc5681_3_2_fast_retransmit);
	suite_add(s, "rfc5681_3_1_timeout", rfc5681_3_1_timeout);
	suite_add(s, "unused_window_falls_and_slow_start_may_go_back", unused_window_falls_and_slow_start_may_go_back);
	suite_add(s, "window_does_not_overflow", window_does_not_overflow);
	return suite_run(s);
}
