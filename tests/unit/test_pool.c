/* Pools: blocks do not overlap, memory goes back when blocks do, and few left blocks do not hold much of it. */
#include "stack/pool.h"

#include "stack/mem.h"
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

START_TEST(blocks_are_zeroed_and_charged)
{
	struct mem m = {.total_limit = 150};
	uint8_t *p = mem_take(&m, MEM_SEND, POOL_SENT, 100);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(m.used[MEM_SEND], 100);
	memset(p, 0xff, 100);
	ck_assert_ptr_null(mem_take(&m, MEM_SEND, POOL_SENT, 100));
	ck_assert_uint_eq(m.failures, 1);
	mem_give(&m, MEM_SEND, POOL_SENT, p, 100);
	ck_assert_uint_eq(m.total, 0);
	p = mem_take_always(&m, MEM_SEND, POOL_SENT, 100);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(p[i], 0);
	mem_give(&m, MEM_SEND, POOL_SENT, p, 100);
	mem_give(&m, MEM_SEND, POOL_SENT, NULL, 100);
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
	suite_add(s, "blocks_are_zeroed_and_charged", blocks_are_zeroed_and_charged);
	return suite_run(s);
}
