/*
 * The timing wheel against a plain list: never early, never late, whatever the jumps.
 *
 * Loops over all timers collect a verdict and assert once: each assertion of Check costs a write.
 */
#include "stack/types.h"
#include "stack/wheel.h"
#include "suite.h"

#define TICK (UINT64_C(1) << WHEEL_TICK_SHIFT)
#define HORIZON (TICK << (6 * WHEEL_LEVELS))
#define TIMERS 300

/* Timers and when they should fire; UINT64_MAX: not armed. */
struct model {
	struct wheel w;
	struct timer timer[TIMERS];
	uint64_t at[TIMERS];
	uint64_t now, random;
	unsigned fired;
};

static struct model model;

static void model_start(uint64_t seed, uint64_t now)
{
	model = (struct model){.now = now, .random = seed};
	wheel_init(&model.w, now);
	for (unsigned i = 0; i < TIMERS; i++)
		model.at[i] = UINT64_MAX;
}

static uint64_t tick_up(uint64_t at)
{
	return (at + TICK - 1) & ~(TICK - 1);
}

static bool is_due(unsigned i)
{
	return model.at[i] != UINT64_MAX && tick_up(model.at[i]) <= model.now;
}

/* From microseconds to beyond the horizon, all magnitudes alike. */
static uint64_t random_delay(unsigned bits)
{
	return test_random(&model.random) >> (64 - 1 - test_below(&model.random, bits));
}

static void model_set(unsigned i, uint64_t at)
{
	timer_set(&model.w, &model.timer[i], at);
	model.at[i] = at;
}

static void model_cancel(unsigned i)
{
	timer_cancel(&model.w, &model.timer[i]);
	model.at[i] = UINT64_MAX;
}

static void model_pop(void)
{
	bool late = false;
	struct timer *t;

	while ((t = wheel_expire(&model.w, model.now))) {
		unsigned i = (unsigned)(t - model.timer);

		ck_assert_msg(is_due(i), "fired early");
		ck_assert(!timer_armed(t));
		model.at[i] = UINT64_MAX;
		model.fired++;
		/* what owners do while timers fire: cancel others and arm again, also due ones */
		if (test_below(&model.random, 4) == 0)
			model_cancel(test_below(&model.random, TIMERS));
		if (test_below(&model.random, 4) == 0)
			model_set(i, model.now + 1 + random_delay(30));
	}
	for (unsigned i = 0; i < TIMERS; i++)
		late |= is_due(i);
	ck_assert_msg(!late, "did not fire");
}

static void model_check(void)
{
	uint64_t armed = 0, first = UINT64_MAX;
	bool agree = true;

	for (unsigned i = 0; i < TIMERS; i++) {
		agree &= timer_armed(&model.timer[i]) == (model.at[i] != UINT64_MAX);
		armed += model.at[i] != UINT64_MAX;
		first = min_u64(first, model.at[i]);
	}
	ck_assert(agree);
	ck_assert_uint_eq(model.w.armed, armed);
	if (armed == 0)
		ck_assert_uint_eq(wheel_next(&model.w), UINT64_MAX);
	else
		ck_assert_uint_le(wheel_next(&model.w), max_u64(tick_up(first), model.now));
}

static void model_step(unsigned delay_bits, unsigned jump_bits)
{
	unsigned i = test_below(&model.random, TIMERS);

	switch (test_below(&model.random, 5)) {
	case 0:
	case 1:
		model_set(i, model.now + random_delay(delay_bits));
		break;
	case 2:
		model_set(i, model.now - min_u64(model.now, random_delay(20)));
		break;
	case 3:
		model_cancel(i);
		break;
	case 4:
		model.now += random_delay(jump_bits);
		model_pop();
		break;
	}
	model_check();
}

START_TEST(random_steps_equal_a_list)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		model_start(seed, seed * 123456789);
		for (unsigned i = 0; i < 1500; i++)
			model_step(24, 18);
		ck_assert_uint_gt(model.fired, 50);
	}
}
END_TEST

START_TEST(random_steps_beyond_the_horizon)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		model_start(seed * 31, seed);
		for (unsigned i = 0; i < 1500; i++)
			model_step(44, 42);
		ck_assert_uint_gt(model.fired, 50);
	}
}
END_TEST

/* Goes from one wheel_next to the next, as a daemon does; returns the steps needed. */
static unsigned run_by_next(struct timer *expected, uint64_t at)
{
	unsigned steps = 0;

	for (;;) {
		uint64_t next = wheel_next(&model.w);
		struct timer *t;

		ck_assert_uint_ne(next, UINT64_MAX);
		ck_assert(steps == 0 || next > model.now);
		model.now = max_u64(model.now, next);
		t = wheel_expire(&model.w, model.now);
		steps++;
		if (t) {
			ck_assert_ptr_eq(t, expected);
			ck_assert_uint_eq(model.now, tick_up(at));
			return steps;
		}
	}
}

START_TEST(next_reaches_each_time_in_a_few_steps)
{
	model_start(1, 0);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t at;

		model_start(i + 1, random_delay(40));
		at = tick_up(model.now) + 1 + random_delay(38);
		timer_set(&model.w, &model.timer[0], at);
		ck_assert_uint_le(run_by_next(&model.timer[0], at), 2 * WHEEL_LEVELS);
		ck_assert_uint_eq(wheel_next(&model.w), UINT64_MAX);
	}
}
END_TEST

START_TEST(beyond_the_horizon_waits_and_fires)
{
	model_start(3, 5000);
	timer_set(&model.w, &model.timer[0], 10 * HORIZON + 77);
	ck_assert_uint_le(run_by_next(&model.timer[0], 10 * HORIZON + 77), 40);
}
END_TEST

START_TEST(far_jump_visits_timers_not_ticks)
{
	model_start(5, 0);
	for (unsigned i = 0; i < TIMERS; i++)
		model_set(i, random_delay(50));
	/* 2^47 ticks: a loop over ticks or over horizons would never come back */
	model.now = UINT64_C(1) << 55;
	for (unsigned i = 0; i < TIMERS; i++)
		ck_assert_ptr_nonnull(wheel_expire(&model.w, model.now));
	ck_assert_ptr_null(wheel_expire(&model.w, model.now));
	ck_assert_uint_eq(wheel_next(&model.w), UINT64_MAX);
}
END_TEST

START_TEST(never_before_its_time)
{
	for (uint64_t at = 10 * TICK - 2; at <= 10 * TICK + 2; at++) {
		model_start(7, 0);
		timer_set(&model.w, &model.timer[0], at);
		ck_assert_uint_eq(wheel_next(&model.w), tick_up(at));
		ck_assert_ptr_null(wheel_expire(&model.w, tick_up(at) - 1));
		ck_assert_ptr_eq(wheel_expire(&model.w, tick_up(at)), &model.timer[0]);
	}
}
END_TEST

START_TEST(past_fires_at_the_next_expire)
{
	model_start(9, 100 * TICK + 17);
	timer_set(&model.w, &model.timer[0], 3);
	ck_assert_uint_le(wheel_next(&model.w), 100 * TICK + 17);
	ck_assert_ptr_eq(wheel_expire(&model.w, 100 * TICK + 17), &model.timer[0]);
	ck_assert_ptr_null(wheel_expire(&model.w, 100 * TICK + 17));
}
END_TEST

START_TEST(set_moves_an_armed_timer)
{
	model_start(11, 0);
	timer_set(&model.w, &model.timer[0], 1000 * TICK);
	timer_set(&model.w, &model.timer[0], 5 * TICK);
	ck_assert_uint_eq(model.w.armed, 1);
	ck_assert_ptr_eq(wheel_expire(&model.w, 5 * TICK), &model.timer[0]);
	ck_assert_ptr_null(wheel_expire(&model.w, 5000 * TICK));
}
END_TEST

START_TEST(cancel_what_is_due_and_not_yet_popped)
{
	struct timer *first;
	unsigned other;

	model_start(13, 0);
	timer_set(&model.w, &model.timer[0], TICK);
	timer_set(&model.w, &model.timer[1], TICK);
	first = wheel_expire(&model.w, 2 * TICK);
	ck_assert_ptr_nonnull(first);
	other = first == &model.timer[0];
	timer_cancel(&model.w, &model.timer[other]);
	ck_assert_ptr_null(wheel_expire(&model.w, 3 * TICK));
	ck_assert_uint_eq(model.w.armed, 0);
	timer_cancel(&model.w, &model.timer[other]);
	ck_assert_uint_eq(model.w.armed, 0);
}
END_TEST

START_TEST(kind_survives_and_times_are_clamped)
{
	model_start(15, 0);
	model.timer[0].kind = TIMER_ADDRESS;
	timer_set(&model.w, &model.timer[0], UINT64_MAX);
	ck_assert_uint_eq(model.timer[0].kind, TIMER_ADDRESS);
	ck_assert_uint_eq(model.timer[0].at, (UINT64_C(1) << 56) - 1);
	ck_assert_ptr_null(wheel_expire(&model.w, UINT64_C(1) << 50));
	ck_assert_ptr_eq(wheel_expire(&model.w, UINT64_C(1) << 56), &model.timer[0]);
}
END_TEST

START_TEST(earlier_ticks_come_first)
{
	model_start(17, 0);
	for (unsigned i = 0; i < 60; i++)
		timer_set(&model.w, &model.timer[i], (60 - i) * TICK);
	for (unsigned i = 60; i-- > 0;)
		ck_assert_ptr_eq(wheel_expire(&model.w, 60 * TICK), &model.timer[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wheel");

	suite_add(s, "random_steps_equal_a_list", random_steps_equal_a_list);
	suite_add(s, "random_steps_beyond_the_horizon", random_steps_beyond_the_horizon);
	suite_add(s, "next_reaches_each_time_in_a_few_steps", next_reaches_each_time_in_a_few_steps);
	suite_add(s, "beyond_the_horizon_waits_and_fires", beyond_the_horizon_waits_and_fires);
	suite_add(s, "far_jump_visits_timers_not_ticks", far_jump_visits_timers_not_ticks);
	suite_add(s, "never_before_its_time", never_before_its_time);
	suite_add(s, "past_fires_at_the_next_expire", past_fires_at_the_next_expire);
	suite_add(s, "set_moves_an_armed_timer", set_moves_an_armed_timer);
	suite_add(s, "cancel_what_is_due_and_not_yet_popped", cancel_what_is_due_and_not_yet_popped);
	suite_add(s, "kind_survives_and_times_are_clamped", kind_survives_and_times_are_clamped);
	suite_add(s, "earlier_ticks_come_first", earlier_ticks_come_first);
	return suite_run(s);
}
