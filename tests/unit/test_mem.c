/* Budgets: a refusal changes nothing, and freeing brings every figure back. */
#include "stack/mem.h"
#include "stack/types.h"
#include "suite.h"

static struct mem make(size_t total)
{
	return (struct mem){.total_limit = total};
}

START_TEST(alloc_is_zeroed_and_charged)
{
	struct mem m = make(1000);
	uint8_t *p = mem_alloc(&m, MEM_SEND, 100);

	ck_assert_ptr_nonnull(p);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(p[i], 0);
	ck_assert_uint_eq(m.used[MEM_SEND], 100);
	ck_assert_uint_eq(m.total, 100);
	mem_free(&m, MEM_SEND, p, 100);
	ck_assert_uint_eq(m.used[MEM_SEND], 0);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(total_limit_is_exact)
{
	struct mem m = make(100);
	void *p = mem_alloc_raw(&m, MEM_RECV, 100);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_null(mem_alloc_raw(&m, MEM_SEND, 1));
	ck_assert_uint_eq(m.failures, 1);
	ck_assert_uint_eq(m.total, 100);
	mem_free(&m, MEM_RECV, p, 100);
	ck_assert_ptr_null(mem_alloc(&m, MEM_SEND, 101));
	ck_assert_uint_eq(m.failures, 2);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(class_limit_is_exact)
{
	struct mem m = make(1000);
	void *p;

	m.limit[MEM_OOO] = 10;
	ck_assert_ptr_null(mem_alloc(&m, MEM_OOO, 11));
	p = mem_alloc(&m, MEM_OOO, 10);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_null(mem_alloc(&m, MEM_OOO, 1));
	mem_free(&m, MEM_OOO, p, 10);
	p = mem_alloc(&m, MEM_SEND, 500);
	ck_assert_ptr_nonnull(p);
	mem_free(&m, MEM_SEND, p, 500);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(huge_sizes_do_not_wrap)
{
	struct mem m = make(1000);
	void *p = mem_alloc(&m, MEM_SEND, 10);

	m.limit[MEM_OOO] = 500;
	ck_assert_ptr_null(mem_alloc(&m, MEM_SEND, SIZE_MAX));
	ck_assert_ptr_null(mem_alloc_raw(&m, MEM_OOO, SIZE_MAX - 5));
	ck_assert_uint_eq(m.total, 10);
	mem_free(&m, MEM_SEND, p, 10);
}
END_TEST

START_TEST(move_rebooks_without_refusal)
{
	struct mem m = make(100);
	void *p;

	m.limit[MEM_RECV] = 5;
	p = mem_alloc(&m, MEM_OOO, 60);
	mem_move(&m, MEM_OOO, MEM_RECV, 60);
	ck_assert_uint_eq(m.used[MEM_OOO], 0);
	ck_assert_uint_eq(m.used[MEM_RECV], 60);
	ck_assert_uint_eq(m.total, 60);
	/* over its limit now: even one byte more is refused */
	ck_assert_ptr_null(mem_alloc(&m, MEM_RECV, 1));
	mem_free(&m, MEM_RECV, p, 60);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(lowered_limit_refuses)
{
	struct mem m = make(100);
	void *p = mem_alloc(&m, MEM_SEND, 80);

	m.total_limit = 50;
	ck_assert_ptr_null(mem_alloc(&m, MEM_SEND, 1));
	mem_free(&m, MEM_SEND, p, 80);
}
END_TEST

START_TEST(free_null_is_fine)
{
	struct mem m = make(100);

	mem_free(&m, MEM_SEND, NULL, 50);
	ck_assert_uint_eq(m.total, 0);
	ck_assert_uint_eq(m.used[MEM_SEND], 0);
}
END_TEST

START_TEST(every_class_has_its_own_name)
{
	for (int a = 0; a < MEM_CLASS_COUNT; a++) {
		ck_assert_ptr_nonnull(mem_class_name(a));
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(mem_class_name(a), mem_class_name(b));
	}
}
END_TEST

/* A queue may be as long as what is left for all others: with what it may still take, it is just that. */
START_TEST(share_is_as_much_as_is_left_for_others)
{
	struct mem m = make(160000);
	void *p = mem_alloc(&m, MEM_SEND, 50000);

	ck_assert_uint_eq(mem_share(&m, 0), 50000);
	ck_assert_uint_eq(mem_share(&m, 50000), 25000);
	ck_assert_uint_eq(mem_share(&m, 100000), 0);
	ck_assert_uint_eq(mem_share(&m, 200000), 0);
	mem_free(&m, MEM_SEND, p, 50000);
	p = mem_alloc(&m, MEM_SEND, 150000); /* the last sixteenth */
	ck_assert_uint_eq(mem_share(&m, 0), MEM_SMALL_QUEUE);
	ck_assert_uint_eq(mem_share(&m, MEM_SMALL_QUEUE - 48), 48);
	ck_assert_uint_eq(mem_share(&m, MEM_SMALL_QUEUE), 0);
	m.total_limit = 150100;
	ck_assert_uint_eq(mem_share(&m, 0), 50);
	m.total_limit = 100000;
	ck_assert_uint_eq(mem_share(&m, 0), 0);
	mem_free(&m, MEM_SEND, p, 150000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mem");

	suite_add(s, "alloc_is_zeroed_and_charged", alloc_is_zeroed_and_charged);
	suite_add(s, "total_limit_is_exact", total_limit_is_exact);
	suite_add(s, "class_limit_is_exact", class_limit_is_exact);
	suite_add(s, "huge_sizes_do_not_wrap", huge_sizes_do_not_wrap);
	suite_add(s, "move_rebooks_without_refusal", move_rebooks_without_refusal);
	suite_add(s, "lowered_limit_refuses", lowered_limit_refuses);
	suite_add(s, "free_null_is_fine", free_null_is_fine);
	suite_add(s, "every_class_has_its_own_name", every_class_has_its_own_name);
	suite_add(s, "share_is_as_much_as_is_left_for_others", share_is_as_much_as_is_left_for_others);
	return suite_run(s);
}
