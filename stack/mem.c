/*
 * Memory with budgets: the one place where the stack allocates.
 *
 * Invariants: total is the sum of used[]; used[] counts what callers asked for, so freeing with
 * the same size brings it back to where it was. A refusal changes nothing but `failures`.
 */
#include "mem.h"

#include "types.h"
#include <assert.h>
#include <stdlib.h>

/* Bytes of pools that no block uses. */
static size_t pool_room(const struct mem *m)
{
	size_t size = (size_t)m->chunks * POOL_CHUNK;

	return size > m->pooled ? size - m->pooled : 0;
}

/* `room`: bytes that nobody is charged for, which count here. */
static bool fits(const struct mem *m, enum mem_class class, size_t size, size_t room)
{
	size_t limit = m->limit[class], total = m->total + room;

	if (limit != 0 && (m->used[class] > limit || size > limit - m->used[class]))
		return false;
	return total <= m->total_limit && size <= m->total_limit - total;
}

static bool mem_fits(const struct mem *m, enum mem_class class, size_t size)
{
	return fits(m, class, size, pool_room(m));
}

/* What a pool has room for needs no more than is there. */
static bool pool_fits(const struct mem *m, enum mem_class class, enum mem_pool pool, size_t size)
{
	return pool_has_room(&m->pool[pool]) ? fits(m, class, size, 0) : mem_fits(m, class, size);
}

static void *mem_charge(struct mem *m, enum mem_class class, size_t size, void *p)
{
	if (!p) {
		m->failures++;
		return NULL;
	}
	m->used[class] += size;
	m->total += size;
	return p;
}

void *mem_alloc(struct mem *m, enum mem_class class, size_t size)
{
	return mem_charge(m, class, size, mem_fits(m, class, size) ? calloc(1, size) : NULL);
}

static void *spare_take(struct mem *m)
{
	void *p = m->spare;

	m->spare = NULL;
	return p;
}

void *mem_alloc_raw(struct mem *m, enum mem_class class, size_t size)
{
	void *p = NULL;

	if (mem_fits(m, class, size))
		p = size == MEM_SPARE && m->spare ? spare_take(m) : malloc(size);
	return mem_charge(m, class, size, p);
}

static void *pool_take_raw(struct mem *m, enum mem_pool pool, size_t size)
{
	struct pool *from = &m->pool[pool];
	uint32_t had = max_u32(from->chunks, 1);
	void *p = pool_take(from, size);

	m->chunks += max_u32(from->chunks, 1) - had;
	m->pooled += p ? size : 0;
	return p;
}

static void *pool_take_zeroed(struct mem *m, enum mem_pool pool, size_t size)
{
	void *p = pool_take_raw(m, pool, size);

	return p ? memset(p, 0, size) : NULL;
}

void *mem_take(struct mem *m, enum mem_class class, enum mem_pool pool, size_t size)
{
	return mem_charge(m, class, size, pool_fits(m, class, pool, size) ? pool_take_zeroed(m, pool, size) : NULL);
}

void *mem_take_raw(struct mem *m, enum mem_class class, enum mem_pool pool, size_t size)
{
	return mem_charge(m, class, size, pool_fits(m, class, pool, size) ? pool_take_raw(m, pool, size) : NULL);
}

void *mem_take_always(struct mem *m, enum mem_class class, enum mem_pool pool, size_t size)
{
	return mem_charge(m, class, size, pool_take_zeroed(m, pool, size));
}

void mem_give(struct mem *m, enum mem_class class, enum mem_pool pool, void *p, size_t size)
{
	if (!p)
		return;
	struct pool *to = &m->pool[pool];
	uint32_t had = max_u32(to->chunks, 1);

	m->used[class] -= size;
	m->total -= size;
	m->pooled -= size;
	pool_give(to, p);
	m->chunks -= had - max_u32(to->chunks, 1);
}

void mem_done(struct mem *m)
{
	for (unsigned i = 0; i < MEM_POOL_COUNT; i++)
		pool_done(&m->pool[i]);
	free(spare_take(m));
}

void mem_free(struct mem *m, enum mem_class class, void *p, size_t size)
{
	if (!p)
		return;
	m->used[class] -= size;
	m->total -= size;
	if (size == MEM_SPARE && !m->spare && !POOL_PLAIN)
		m->spare = p;
	else
		free(p);
}

size_t mem_share(const struct mem *m, size_t held)
{
	size_t spare = m->total_limit > m->total ? m->total_limit - m->total : 0;
	size_t kept = m->total_limit / 16 + held;
	size_t share = spare > kept ? (spare - kept) / 2 : 0;
	size_t small = held < MEM_SMALL_QUEUE ? min_size(MEM_SMALL_QUEUE - held, spare / 2) : 0;

	return small > share ? small : share;
}

void mem_move(struct mem *m, enum mem_class from, enum mem_class to, size_t size)
{
	m->used[from] -= size;
	m->used[to] += size;
}

const char *mem_class_name(enum mem_class class)
{
	static const char *const names[] = {
		[MEM_SOCKET] = "sockets",     [MEM_SEND] = "send",           [MEM_RECV] = "receive",
		[MEM_OOO] = "out-of-order",   [MEM_HALF] = "half-open",      [MEM_TIME_WAIT] = "time-wait",
		[MEM_FRAGMENT] = "fragments", [MEM_NEIGHBOUR] = "neighbours", [MEM_LOOPBACK] = "loopback",
		[MEM_TABLE] = "table",
		[MEM_FASTOPEN] = "fastopen",
	};
	static_assert(ARRAY_SIZE(names) == MEM_CLASS_COUNT, "a class without a name");

	return names[class];
}
