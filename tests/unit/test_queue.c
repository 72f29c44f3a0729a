/* The byte queue against a plain array, under budgets, and its edges one by one. */
#include "stack/queue.h"
#include "stack/types.h"
#include "suite.h"

#define MODEL_MAX 400000u
#define CLASS MEM_SEND

/* A queue and the array that it must equal. */
struct model {
	struct byteq q;
	struct mem m;
	uint64_t random;
	uint32_t len;
	uint8_t bytes[MODEL_MAX];
};

static struct model model; /* too large for the stack */

static void model_start(uint64_t seed, size_t budget)
{
	model.q = (struct byteq){0};
	model.m = (struct mem){.total_limit = budget};
	model.random = seed;
	model.len = 0;
}

static void model_end(void)
{
	byteq_clear(&model.q, &model.m, CLASS);
	ck_assert_ptr_null(model.q.head);
	ck_assert_ptr_null(model.q.tail);
	ck_assert_uint_eq(model.m.total, 0);
}

static void model_check(void)
{
	ck_assert_ptr_null((const void *)byteq_check(&model.q));
	ck_assert_uint_eq(model.q.len, model.len);
	ck_assert_uint_eq(byteq_memory(&model.q), model.m.used[CLASS]);
	ck_assert_uint_le(model.m.total, model.m.total_limit);
	ck_assert(model.len != 0 || model.q.head == NULL);
}

static void random_fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)test_random(&model.random);
}

/* Fills what was lent, commits a random part of it. */
static void model_lend(uint32_t want)
{
	struct iovec iov[6];
	unsigned max = 1 + test_below(&model.random, ARRAY_SIZE(iov)), count = max;
	size_t lent = byteq_lend(&model.q, &model.m, CLASS, want, iov, &count), sum = 0;
	uint32_t commit = lent == 0 ? 0 : test_below(&model.random, (uint32_t)lent + 1);

	ck_assert_uint_le(count, max);
	ck_assert_uint_le(lent, want);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_uint_gt(iov[i].iov_len, 0);
		random_fill(iov[i].iov_base, iov[i].iov_len);
		memcpy(model.bytes + model.len + sum, iov[i].iov_base, iov[i].iov_len);
		sum += iov[i].iov_len;
	}
	ck_assert_uint_eq(sum, lent);
	byteq_commit(&model.q, &model.m, CLASS, commit);
	model.len += commit;
}

static void model_append(uint32_t n)
{
	size_t stored;

	random_fill(model.bytes + model.len, n);
	stored = byteq_append(&model.q, &model.m, CLASS, model.bytes + model.len, n);
	ck_assert_uint_le(stored, n);
	model.len += (uint32_t)stored;
}

static void model_consume(uint32_t n)
{
	byteq_consume(&model.q, &model.m, CLASS, n);
	memmove(model.bytes, model.bytes + n, model.len - n);
	model.len -= n;
}

static void model_gather(void)
{
	struct iovec iov[20];
	uint32_t offset = test_below(&model.random, model.len + 10), n = test_below(&model.random, 70000);
	unsigned max = 1 + test_below(&model.random, ARRAY_SIZE(iov)), count = max;
	size_t got = byteq_gather(&model.q, offset, n, iov, &count), at = offset;

	ck_assert_uint_le(count, max);
	if (count < max)
		ck_assert_uint_eq(got, offset >= model.len ? 0 : min_u32(n, model.len - offset));
	for (unsigned i = 0; i < count; i++) {
		ck_assert(memcmp(model.bytes + at, iov[i].iov_base, iov[i].iov_len) == 0);
		at += iov[i].iov_len;
	}
	ck_assert_uint_eq(at - offset, got);
}

static void model_copy(void)
{
	static uint8_t out[70000];
	uint32_t offset = test_below(&model.random, model.len + 10);
	uint32_t n = test_below(&model.random, sizeof(out));
	size_t got = byteq_copy(&model.q, offset, out, n);

	ck_assert_uint_eq(got, offset >= model.len ? 0 : min_u32(n, model.len - offset));
	ck_assert(memcmp(out, model.bytes + offset, got) == 0);
}

static void model_step(void)
{
	uint32_t room = MODEL_MAX - model.len, size = 1u << test_below(&model.random, 17);

	switch (test_below(&model.random, 6)) {
	case 0:
		model_lend(min_u32(room, test_below(&model.random, size + 1)));
		break;
	case 1:
		model_append(min_u32(room, test_below(&model.random, size + 1)));
		break;
	case 2:
	case 3:
		model_consume(min_u32(model.len, test_below(&model.random, size + 1)));
		break;
	case 4:
		model_gather();
		break;
	case 5:
		model_copy();
		break;
	}
	model_check();
}

static void model_run(uint64_t seed, size_t budget, int steps)
{
	model_start(seed, budget);
	for (int i = 0; i < steps; i++)
		model_step();
	model_end();
}

START_TEST(random_steps_equal_an_array)
{
	for (uint64_t seed = 1; seed <= 20; seed++)
		model_run(seed, SIZE_MAX, 800);
}
END_TEST

START_TEST(random_steps_within_budgets)
{
	uint64_t failures = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		model_run(seed * 77, 1000 * seed, 300);
		failures += model.m.failures;
	}
	ck_assert_uint_gt(failures, 100);
}
END_TEST

START_TEST(no_budget_lends_nothing)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = 100};
	struct iovec iov[4];
	unsigned count = 4;

	ck_assert_uint_eq(byteq_lend(&q, &m, CLASS, 1000, iov, &count), 0);
	ck_assert_uint_eq(count, 0);
	byteq_commit(&q, &m, CLASS, 0);
	ck_assert_ptr_null(q.head);
	ck_assert_uint_eq(byteq_append(&q, &m, CLASS, "x", 1), 0);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(commit_of_nothing_returns_memory)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};
	struct iovec iov[4];
	unsigned count = 4;

	ck_assert_uint_eq(byteq_lend(&q, &m, CLASS, 100000, iov, &count), 100000);
	ck_assert_uint_gt(m.total, 100000);
	byteq_commit(&q, &m, CLASS, 0);
	ck_assert_uint_eq(m.total, 0);
	ck_assert_ptr_null(q.head);
}
END_TEST

START_TEST(first_chunk_is_small_and_streams_have_large_ones)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};
	struct iovec iov[4];
	unsigned count = 4;

	byteq_lend(&q, &m, CLASS, 1000000, iov, &(unsigned){1});
	byteq_commit(&q, &m, CLASS, 10);
	ck_assert_uint_eq(m.total, CHUNK_FIRST);
	ck_assert_uint_gt(byteq_lend(&q, &m, CLASS, 1000000, iov, &count), 150000);
	ck_assert_uint_eq(count, 4);
	ck_assert_uint_eq(m.total, CHUNK_FIRST + 3 * CHUNK_LARGE);
	byteq_commit(&q, &m, CLASS, 0);
	byteq_clear(&q, &m, CLASS);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(one_stored_byte_is_cheap)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};

	ck_assert_uint_eq(byteq_append(&q, &m, CLASS, "x", 1), 1);
	ck_assert_uint_le(m.total, 512);
	byteq_clear(&q, &m, CLASS);
}
END_TEST

START_TEST(who_wants_little_gets_little)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};
	struct iovec iov;

	ck_assert_uint_eq(byteq_lend(&q, &m, CLASS, 1, &iov, &(unsigned){1}), 1);
	ck_assert_uint_le(m.total, 512);
	byteq_commit(&q, &m, CLASS, 1);
	ck_assert_uint_eq(byteq_lend(&q, &m, CLASS, 3000, &iov, &(unsigned){1}), 256 - sizeof(struct chunk) - 1);
	byteq_commit(&q, &m, CLASS, 0);
	byteq_clear(&q, &m, CLASS);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(trickle_needs_few_chunks)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};
	struct iovec iov[12];
	unsigned count = 12;

	for (int i = 0; i < 4000; i++)
		ck_assert_uint_eq(byteq_append(&q, &m, CLASS, "0123456789", 10), 10);
	ck_assert_uint_eq(byteq_gather(&q, 0, 40000, iov, &count), 40000);
	ck_assert_uint_le(count, 10);
	ck_assert_uint_le(m.total, 2 * 40000 + CHUNK_FIRST);
	byteq_clear(&q, &m, CLASS);
}
END_TEST

START_TEST(pieces_point_into_the_queue)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};
	struct iovec lent, got;
	unsigned count = 1;

	byteq_lend(&q, &m, CLASS, 100, &lent, &count);
	byteq_commit(&q, &m, CLASS, 100);
	count = 1;
	ck_assert_uint_eq(byteq_gather(&q, 7, 50, &got, &count), 50);
	ck_assert_ptr_eq(got.iov_base, (uint8_t *)lent.iov_base + 7);
	byteq_clear(&q, &m, CLASS);
}
END_TEST

/* Appends `n` bytes of one value. */
static void append_value(struct byteq *q, struct mem *m, enum mem_class class, uint8_t value, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(byteq_append(q, m, class, &value, 1), 1);
}

START_TEST(splice_moves_bytes_and_booking)
{
	for (uint32_t a = 0; a <= 5000; a += 2500) {
		for (uint32_t b = 0; b <= 5000; b += 2500) {
			struct byteq to = {0}, from = {0};
			struct mem m = {.total_limit = SIZE_MAX};
			uint8_t out[10000];

			append_value(&to, &m, MEM_RECV, 'a', a);
			append_value(&from, &m, MEM_OOO, 'b', b);
			byteq_splice(&to, MEM_RECV, &from, MEM_OOO, &m);
			ck_assert_ptr_null((const void *)byteq_check(&to));
			ck_assert_ptr_null(from.head);
			ck_assert_uint_eq(from.len, 0);
			ck_assert_uint_eq(m.used[MEM_OOO], 0);
			ck_assert_uint_eq(m.used[MEM_RECV], byteq_memory(&to));
			ck_assert_uint_eq(byteq_copy(&to, 0, out, sizeof(out)), a + b);
			for (uint32_t i = 0; i < a + b; i++)
				ck_assert_uint_eq(out[i], i < a ? 'a' : 'b');
			append_value(&to, &m, MEM_RECV, 'c', 1);
			ck_assert_ptr_null((const void *)byteq_check(&to));
			byteq_clear(&to, &m, MEM_RECV);
			ck_assert_uint_eq(m.total, 0);
		}
	}
}
END_TEST

/* Bytes that come one by one, the last first, cost about as much memory as bytes that come in order. */
START_TEST(row_T8_single_bytes_last_first_share_chunks)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};
	uint8_t out[5000];

	for (uint32_t i = 0; i < sizeof(out); i++) {
		struct byteq first = {0};

		append_value(&first, &m, MEM_OOO, (uint8_t)i, 1);
		byteq_splice(&first, MEM_OOO, &q, MEM_OOO, &m);
		q = first;
		ck_assert_ptr_null((const void *)byteq_check(&q));
	}
	ck_assert_uint_le(m.used[MEM_OOO], 2 * sizeof(out));
	ck_assert_uint_eq(m.used[MEM_OOO], byteq_memory(&q));
	ck_assert_uint_eq(byteq_copy(&q, 0, out, sizeof(out)), sizeof(out));
	for (uint32_t i = 0; i < sizeof(out); i++)
		ck_assert_uint_eq(out[i], (uint8_t)(sizeof(out) - 1 - i));
	byteq_clear(&q, &m, MEM_OOO);
	ck_assert_uint_eq(m.total, 0);
}
END_TEST

START_TEST(check_finds_what_is_wrong)
{
	struct byteq q = {0};
	struct mem m = {.total_limit = SIZE_MAX};
	struct chunk *tail;

	append_value(&q, &m, CLASS, 'x', 3);
	q.len++;
	ck_assert_ptr_nonnull((const void *)byteq_check(&q));
	q.len--;
	q.head->start = q.head->end;
	ck_assert_ptr_nonnull((const void *)byteq_check(&q));
	q.head->start = 0;
	q.head->end = q.head->size + 1;
	ck_assert_ptr_nonnull((const void *)byteq_check(&q));
	q.head->end = 3;
	tail = q.tail;
	q.tail = NULL;
	ck_assert_ptr_nonnull((const void *)byteq_check(&q));
	q.tail = tail;
	ck_assert_ptr_null((const void *)byteq_check(&q));
	byteq_clear(&q, &m, CLASS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("queue");

	suite_add(s, "random_steps_equal_an_array", random_steps_equal_an_array);
	suite_add(s, "random_steps_within_budgets", random_steps_within_budgets);
	suite_add(s, "no_budget_lends_nothing", no_budget_lends_nothing);
	suite_add(s, "commit_of_nothing_returns_memory", commit_of_nothing_returns_memory);
	suite_add(s, "first_chunk_is_small_and_streams_have_large_ones",
		  first_chunk_is_small_and_streams_have_large_ones);
	suite_add(s, "one_stored_byte_is_cheap", one_stored_byte_is_cheap);
	suite_add(s, "who_wants_little_gets_little", who_wants_little_gets_little);
	suite_add(s, "trickle_needs_few_chunks", trickle_needs_few_chunks);
	suite_add(s, "pieces_point_into_the_queue", pieces_point_into_the_queue);
	suite_add(s, "splice_moves_bytes_and_booking", splice_moves_bytes_and_booking);
	suite_add(s, "row_T8_single_bytes_last_first_share_chunks", row_T8_single_bytes_last_first_share_chunks);
	suite_add(s, "check_finds_what_is_wrong", check_finds_what_is_wrong);
	return suite_run(s);
}
