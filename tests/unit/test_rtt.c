/* RFC 6298, rule by rule. */
#include "stack/rtt.h"
#include "suite.h"

#define RTO_MIN 200000u
#define RTO_MAX 60000000u

static const struct rtt_limits limits = {RTO_MIN, RTO_MAX, 0};

START_TEST(rfc6298_2_1_initial)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	ck_assert_uint_eq(rtt_timeout(&r, RTO_MAX), 1000000);
	ck_assert_uint_eq(r.srtt, 0);
	ck_assert_uint_eq(r.min, UINT32_MAX);
}
END_TEST

START_TEST(rfc6298_2_2_first_sample)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	rtt_sample(&r, 400000, &limits);
	ck_assert_uint_eq(r.srtt / 8, 400000);
	ck_assert_uint_eq(r.rttvar / 4, 200000);
	/* SRTT + 4 RTTVAR */
	ck_assert_uint_eq(rtt_timeout(&r, RTO_MAX), 1200000);
	ck_assert_uint_eq(r.min, 400000);
}
END_TEST

START_TEST(rfc6298_2_3_next_samples)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	rtt_sample(&r, 400000, &limits);
	rtt_sample(&r, 480000, &limits);
	/* RTTVAR = 3/4 * 200 + 1/4 * 80 = 170 ms; SRTT = 7/8 * 400 + 1/8 * 480 = 410 ms */
	ck_assert_uint_eq(r.rttvar / 4, 170000);
	ck_assert_uint_eq(r.srtt / 8, 410000);
	ck_assert_uint_eq(r.rto, 410000 + 4 * 170000);
	rtt_sample(&r, 10000, &limits);
	/* the variation grows with a sample below the mean too */
	ck_assert_uint_eq(r.rttvar / 4, 127500 + 100000);
	ck_assert_uint_eq(r.srtt / 8, 410000 - 400000 / 8);
	ck_assert_uint_eq(r.min, 10000);
}
END_TEST

START_TEST(rfc6298_2_3_granularity)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	for (int i = 0; i < 200; i++)
		rtt_sample(&r, 5000, &(struct rtt_limits){.max = RTO_MAX});
	/* the variation has died out: the clock's granularity remains */
	ck_assert_uint_eq(r.rto, 5000 + 256);
}
END_TEST

START_TEST(rfc6298_2_4_minimum)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	rtt_sample(&r, 100, &limits);
	ck_assert_uint_eq(r.rto, RTO_MIN);
}
END_TEST

/* A floor for the variation, where one is wanted: an ACK that is held back comes on top of the round trip. */
START_TEST(margin_is_on_top_of_the_round_trip)
{
	struct rtt_limits wide = {RTO_MIN, RTO_MAX, 150000};
	struct rtt r;

	rtt_init(&r, 1000000);
	for (int i = 0; i < 200; i++)
		rtt_sample(&r, 250000, &wide);
	ck_assert_uint_eq(r.rto, 250000 + 150000);
	rtt_init(&r, 1000000);
	rtt_sample(&r, 100, &wide);
	ck_assert_uint_eq(r.rto, RTO_MIN);
}
END_TEST

START_TEST(rfc6298_2_5_maximum)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	rtt_sample(&r, 50000000, &limits);
	ck_assert_uint_eq(r.rto, RTO_MAX);
}
END_TEST

START_TEST(rfc6298_5_5_backoff_doubles)
{
	struct rtt r;
	uint64_t expected = 1000000;

	rtt_init(&r, 1000000);
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(rtt_timeout(&r, RTO_MAX), expected);
		rtt_back_off(&r);
		expected *= 2;
	}
	for (int i = 0; i < 300; i++)
		rtt_back_off(&r);
	ck_assert_uint_eq(rtt_timeout(&r, RTO_MAX), RTO_MAX);
	rtt_reset_backoff(&r);
	ck_assert_uint_eq(rtt_timeout(&r, RTO_MAX), 1000000);
}
END_TEST

START_TEST(sample_ends_the_backoff)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	rtt_back_off(&r);
	rtt_back_off(&r);
	rtt_sample(&r, 100000, &limits);
	ck_assert_uint_eq(r.backoff, 0);
	ck_assert_uint_eq(rtt_timeout(&r, RTO_MAX), 300000);
}
END_TEST

START_TEST(extreme_samples_do_not_overflow)
{
	static const uint64_t samples[] = {UINT64_MAX, 0, UINT64_MAX, UINT64_MAX, 1, 0, 0, UINT32_MAX, 0};
	struct rtt r;

	rtt_init(&r, UINT64_MAX);
	ck_assert_uint_eq(rtt_timeout(&r, RTO_MAX), RTO_MAX);
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
			rtt_sample(&r, samples[i], &limits);
			ck_assert_uint_ge(r.rto, RTO_MIN);
			ck_assert_uint_le(r.rto, RTO_MAX);
			ck_assert_uint_ge(r.srtt, 1);
			ck_assert_uint_le(r.srtt / 8, UINT32_MAX / 16);
			ck_assert_uint_le(r.rttvar / 4, UINT32_MAX / 16);
		}
	}
}
END_TEST

START_TEST(converges_on_a_steady_path)
{
	struct rtt r;

	rtt_init(&r, 1000000);
	rtt_sample(&r, 900000, &(struct rtt_limits){.max = RTO_MAX});
	for (int i = 0; i < 300; i++)
		rtt_sample(&r, 20000, &(struct rtt_limits){.max = RTO_MAX});
	ck_assert_uint_ge(r.srtt / 8, 20000);
	ck_assert_uint_le(r.srtt / 8, 20001);
	ck_assert_uint_le(r.rto, 20000 + 300);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rtt");

	suite_add(s, "rfc6298_2_1_initial", rfc6298_2_1_initial);
	suite_add(s, "rfc6298_2_2_first_sample", rfc6298_2_2_first_sample);
	suite_add(s, "rfc6298_2_3_next_samples", rfc6298_2_3_next_samples);
	suite_add(s, "rfc6298_2_3_granularity", rfc6298_2_3_granularity);
	suite_add(s, "rfc6298_2_4_minimum", rfc6298_2_4_minimum);
	suite_add(s, "margin_is_on_top_of_the_round_trip", margin_is_on_top_of_the_round_trip);
	suite_add(s, "rfc6298_2_5_maximum", rfc6298_2_5_maximum);
	suite_add(s, "rfc6298_5_5_backoff_doubles", rfc6298_5_5_backoff_doubles);
	suite_add(s, "sample_ends_the_backoff", sample_ends_the_backoff);
	suite_add(s, "extreme_samples_do_not_overflow", extreme_samples_do_not_overflow);
	suite_add(s, "converges_on_a_steady_path", converges_on_a_steady_path);
	return suite_run(s);
}
