/* Sequence arithmetic at the wrap (RFC 9293 3.4), big-endian integers. */
#include "stack/types.h"
#include "suite.h"

/* Places around which everything must look the same. */
static const uint32_t places[] = {0, 1, 1000, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffff0, 0xffffffff};

START_TEST(order_is_the_same_everywhere)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		seq32 a = seq_make(places[i]), next = seq_add(a, 1), far = seq_add(a, 0x7fffffff);

		ck_assert(seq_eq(a, a) && seq_leq(a, a) && seq_geq(a, a) && !seq_lt(a, a) && !seq_gt(a, a));
		ck_assert(seq_lt(a, next) && seq_leq(a, next) && seq_gt(next, a) && seq_geq(next, a));
		ck_assert(!seq_eq(a, next) && !seq_gt(a, next) && !seq_geq(a, next));
		ck_assert(seq_lt(a, far) && seq_gt(far, a));
	}
}
END_TEST

START_TEST(add_sub_and_diff_agree)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (uint32_t n = 0; n < 100000; n += 9973) {
			seq32 a = seq_make(places[i]), b = seq_add(a, n);

			ck_assert_int_eq(seq_diff(b, a), (int32_t)n);
			ck_assert_int_eq(seq_diff(a, b), -(int32_t)n);
			ck_assert(seq_eq(seq_sub(b, n), a));
		}
	}
}
END_TEST

START_TEST(wrap_is_where_it_is)
{
	seq32 last = seq_make(0xffffffff), first = seq_make(0);

	ck_assert(seq_eq(seq_add(last, 1), first));
	ck_assert(seq_lt(last, first) && seq_gt(first, last));
	ck_assert(seq_eq(seq_max(last, first), first));
	ck_assert(seq_eq(seq_max(first, last), first));
	ck_assert_int_eq(seq_diff(first, last), 1);
}
END_TEST

START_TEST(window_membership)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		seq32 start = seq_make(places[i]);

		ck_assert(seq_in(start, start, 10));
		ck_assert(seq_in(seq_add(start, 9), start, 10));
		ck_assert(!seq_in(seq_add(start, 10), start, 10));
		ck_assert(!seq_in(seq_sub(start, 1), start, 10));
		ck_assert(!seq_in(start, start, 0));
	}
}
END_TEST

START_TEST(big_endian_bytes)
{
	static const uint8_t bytes[] = {0x81, 0x02, 0x83, 0x04};
	uint8_t out[4];

	ck_assert_uint_eq(load16(bytes), 0x8102);
	ck_assert_uint_eq(load32(bytes), 0x81028304);
	store16(out, 0x8102);
	ck_assert(memcmp(out, bytes, 2) == 0);
	store32(out, 0x81028304);
	ck_assert(memcmp(out, bytes, 4) == 0);
	ck_assert_uint_eq(be16_get(be16_make(0xfffe)), 0xfffe);
	ck_assert_uint_eq(be32_get(be32_make(0xfffefdfc)), 0xfffefdfc);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("seq");

	suite_add(s, "order_is_the_same_everywhere", order_is_the_same_everywhere);
	suite_add(s, "add_sub_and_diff_agree", add_sub_and_diff_agree);
	suite_add(s, "wrap_is_where_it_is", wrap_is_where_it_is);
	suite_add(s, "window_membership", window_membership);
	suite_add(s, "big_endian_bytes", big_endian_bytes);
	return suite_run(s);
}
