/* What every unit test program does in the same way: one suite, one case a test function. */
#ifndef BYWAY_TESTS_UNIT_SUITE_H
#define BYWAY_TESTS_UNIT_SUITE_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

/* A case of its own for each test, so that reports name it. */
static inline void suite_add(Suite *s, const char *name, const TTest *test)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test);
	suite_add_tcase(s, tc);
}

/* The same with a fixture around each run; _i counts 0 to runs - 1. */
static inline void suite_add_fixture(Suite *s, const char *name, const TTest *test, int runs,
				     SFun setup, SFun teardown)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test, 0, runs);
	suite_add_tcase(s, tc);
}

static inline int suite_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* xorshift64*: the same sequence everywhere. *state must not be 0. */
static inline uint64_t test_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static inline uint32_t test_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((test_random(state) >> 32) % n);
}

#endif
