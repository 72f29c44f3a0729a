/* Pools: blocks do not overlap, memory goes back when blocks do, and few left blocks do not hold much of it. */
#include "stack/pool.h"

#include "stack/mem.h"
#include "stack/types.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS 20000u
#define SIZE 248u
#define CHUNK_BLOCKS (POOL_CHUNK / SIZE) /* and a few less, for headers */

static uint8_t *block[BLOCKS];
static struct pool pool;

static void take_all(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		block[i] = pool_take(&pool, SIZE);
		ck_assert_ptr_nonnull(block[i]);
		memset(block[i], (int)(i & 0xff), SIZE);
	}
}

static void give(uint32_t i)
{
	uint8_t as_it_was[SIZE];

	memset(as_it_was, (int)(i & 0xff), SIZE);
	ck_assert_mem_eq(block[i], as_it_was, SIZE);
	pool_give(&pool, block[i]);
	block[i] = NULL;
}

START_TEST(blocks_keep_what_is_in_them)
{
	take_all(BLOCKS);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		ck_assert_uint_eq((uintptr_t)block[i] % 8, 0);
		give(i);
	}
	pool_done(&pool);
}
END_TEST

/* In each order: only one chunk is kept, and that goes at the end. */
START_TEST(chunks_go_back)
{
	for (uint32_t step = 1; step < 8; step += 2) { /* none divides BLOCKS but 1 and 5 */
		uint32_t at = 0;

		take_all(BLOCKS);
		if (!POOL_PLAIN)
			ck_assert_uint_ge(pool.chunks, BLOCKS / CHUNK_BLOCKS);
		for (uint32_t i = 0; i < BLOCKS; i++, at = (at + step) % BLOCKS) {
			while (!block[at])
				at = (at + 1) % BLOCKS;
			give(at);
		}
		ck_assert_uint_le(pool.chunks, 1);
	}
	pool_done(&pool);
	ck_assert_uint_eq(pool.chunks, 0);
}
END_TEST

/* One block in 16 stays; what comes then fills the chunks that are fullest, and the others run empty. */
START_TEST(sparse_chunks_drain)
{
	uint32_t seed = 1, full;

	take_all(BLOCKS);
	full = pool.chunks;
	for (uint32_t i = 0; i < BLOCKS; i++)
		if (i % 16)
			give(i);
	for (uint32_t round = 0; round < 8 * BLOCKS; round++) { /* the population is the same, its members change */
		uint32_t i = (seed = seed * 1664525u + 1013904223u) >> 8, n = i % BLOCKS;

		if (!block[n])
			continue;
		give(n);
		block[n] = pool_take(&pool, SIZE);
		memset(block[n], (int)(n & 0xff), SIZE);
	}
	ck_assert_uint_le(pool.chunks, full / 4);
	for (uint32_t i = 0; i < BLOCKS; i += 16)
		give(i);
	pool_done(&pool);
	ck_assert_uint_eq(pool.chunks, 0);
}
END_TEST

/* Coming and going at a chunk's border does not ask the system each time. */
START_TEST(the_border_is_quiet)
{
	uint32_t n = 0, most;

	do
		block[n++] = pool_take(&pool, SIZE);
	while (pool.chunks < 2 && !POOL_PLAIN && n < BLOCKS);
	most = pool.chunks;
	for (int i = 0; i < 1000; i++) {
		pool_give(&pool, block[n - 1]);
		ck_assert_uint_eq(pool.chunks, most);
		block[n - 1] = pool_take(&pool, SIZE);
		ck_assert_uint_eq(pool.chunks, most);
	}
	while (n > 0)
		pool_give(&pool, block[--n]);
	pool_done(&pool);
}
END_TEST

/* Each size is aligned for a pointer, and one that is a multiple of a cache line to that. */
START_TEST(blocks_of_each_size_are_aligned)
{
	static const size_t size[] = {8, 40, 64, 136, 576, 4096};

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
		uint8_t *last = NULL;
		for (unsigned n = 0; n < 300; n++) {
			block[n] = pool_take(&pool, size[i]);
			ck_assert_uint_eq((uintptr_t)block[n] % sizeof(void *), 0);
			ck_assert(POOL_PLAIN || size[i] % POOL_LINE || (uintptr_t)block[n] % POOL_LINE == 0);
			memset(block[n], (int)n, size[i]);
			last = block[n];
		}
		ck_assert_ptr_nonnull(last);
		for (unsigned n = 0; n < 300; n++) {
			ck_assert_uint_eq(block[n][0], (uint8_t)n);
			ck_assert_uint_eq(block[n][size[i] - 1], (uint8_t)n);
			pool_give(&pool, block[n]);
		}
		pool_done(&pool);
	}
}
END_TEST

#define LIMIT (4u << 20)

/* One block stays in each chunk: what the chunks hold beside counts when another kind is asked for. */
START_TEST(room_that_nobody_uses_is_in_the_budget)
{
	static void *kept[2 * LIMIT / SIZE];
	struct mem m = {.total_limit = LIMIT};
	uint32_t n = 0;

	while ((kept[n] = mem_take(&m, MEM_SEND, POOL_SENT, SIZE)))
		n++;
	ck_assert_uint_ge(n, LIMIT / SIZE * 9 / 10);
	for (uint32_t i = 0; i < n; i++)
		if (i % 400) {
			mem_give(&m, MEM_SEND, POOL_SENT, kept[i], SIZE);
			kept[i] = NULL;
		}
	for (uint32_t i = 0; i < n; i++)
		if (!kept[i] && !(kept[i] = mem_take(&m, MEM_SOCKET, POOL_TIME_WAIT, SIZE)))
			break;
	void *same = mem_take(&m, MEM_SEND, POOL_SENT, SIZE);
	ck_assert(POOL_PLAIN || same); /* this kind has room */
	mem_give(&m, MEM_SEND, POOL_SENT, same, SIZE);
	size_t held = (size_t)(m.pool[POOL_SENT].chunks + m.pool[POOL_TIME_WAIT].chunks) * POOL_CHUNK;
	ck_assert_uint_le(held, LIMIT + 3 * POOL_CHUNK);
	for (uint32_t i = 0; i < n; i++)
		mem_give(&m, i % 400 ? MEM_SOCKET : MEM_SEND, i % 400 ? POOL_TIME_WAIT : POOL_SENT, kept[i], SIZE);
	ck_assert_uint_eq(m.total, 0);
	ck_assert_uint_eq(m.pooled, 0);
	mem_done(&m);
	ck_assert_uint_eq(m.chunks, 0);
}
END_TEST

START_TEST(blocks_are_zeroed_and_charged)
{
	struct mem m = {.total_limit = 150};
	uint8_t *p = mem_take(&m, MEM_SEND, POOL_SENT, 104);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(m.used[MEM_SEND], 104);
	memset(p, 0xff, 104);
	ck_assert_ptr_null(mem_take(&m, MEM_SEND, POOL_SENT, 104));
	ck_assert_uint_eq(m.failures, 1);
	mem_give(&m, MEM_SEND, POOL_SENT, p, 104);
	ck_assert_uint_eq(m.total, 0);
	p = mem_take_always(&m, MEM_SEND, POOL_SENT, 104);
	for (int i = 0; i < 104; i++)
		ck_assert_uint_eq(p[i], 0);
	mem_give(&m, MEM_SEND, POOL_SENT, p, 104);
	mem_give(&m, MEM_SEND, POOL_SENT, NULL, 104);
	ck_assert_uint_eq(m.total, 0);
	mem_done(&m);
	ck_assert_uint_eq(m.pool[POOL_SENT].chunks, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool");

	suite_add(s, "blocks_keep_what_is_in_them", blocks_keep_what_is_in_them);
	suite_add(s, "chunks_go_back", chunks_go_back);
	suite_add(s, "sparse_chunks_drain", sparse_chunks_drain);
	suite_add(s, "the_border_is_quiet", the_border_is_quiet);
	suite_add(s, "blocks_of_each_size_are_aligned", blocks_of_each_size_are_aligned);
	suite_add(s, "room_that_nobody_uses_is_in_the_budget", room_that_nobody_uses_is_in_the_budget);
	suite_add(s, "blocks_are_zeroed_and_charged", blocks_are_zeroed_and_charged);
	return suite_run(s);
}
