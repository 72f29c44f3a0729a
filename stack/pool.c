/*
 * Pools of blocks of one size.
 *
 * A chunk is what comes from the system's allocator. It begins with struct pool_chunk, then come slabs:
 * stretches of SLAB bytes, aligned to that, so that a block's address tells its slab, and the slab's
 * first word its chunk:
 *
 *   | struct pool_chunk | gap | chunk, block, block, ... | chunk, block, ... | ...
 *                             ^ multiple of SLAB          ^ multiple of SLAB
 *
 * Invariants: a chunk with room stands in the list of its level, one that is full in none, one that is
 * empty in none but as `empty`; `spare` is a block that counts as used, alone in the only chunk. Blocks
 * come out of the fullest level, so that chunks in which few are left run empty and go back. Pages of a
 * slab that no block has been taken of yet are not touched.
 */
#include "pool.h"

#include <stdlib.h>

#if POOL_PLAIN

void *pool_take(struct pool *p, size_t size)
{
	(void)p;
	return malloc(size);
}

void pool_give(struct pool *p, void *block)
{
	(void)p;
	free(block);
}

bool pool_has_room(const struct pool *p)
{
	(void)p;
	return false;
}

void pool_done(struct pool *p)
{
	(void)p;
}

#else

#define SLAB ((size_t)16 << 10)

struct slab {
	struct pool_chunk *chunk;
};

struct pool_chunk {
	struct pool_chunk *next, **link; /* in its level's list; link NULL: in none */
	void *given;                     /* blocks that were given back; the first word of each leads to the next */
	uint8_t *fresh, *end;            /* blocks that were never taken: of this slab, which ends there */
	uint32_t used, capacity;         /* blocks */
	uint32_t from, to;               /* from <= used < to: its level is right */
};

static void chunk_unlink(struct pool_chunk *c)
{
	if (!c->link)
		return;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->link = NULL;
}

static void chunk_link(struct pool_chunk **head, struct pool_chunk *c)
{
	c->next = *head;
	c->link = head;
	if (c->next)
		c->next->link = &c->next;
	*head = c;
}

static uint8_t *first_slab(const struct pool_chunk *c)
{
	uintptr_t end = (uintptr_t)(c + 1);

	return (uint8_t *)((end + SLAB - 1) & ~(uintptr_t)(SLAB - 1));
}

/* Where a slab's first block is: blocks of whole cache lines are aligned to them. */
static size_t slab_head(size_t size)
{
	return size % POOL_LINE == 0 ? POOL_LINE : sizeof(struct slab);
}

static uint32_t slab_blocks(size_t size)
{
	return (uint32_t)((SLAB - slab_head(size)) / size);
}

static struct pool_chunk *chunk_new(struct pool *p, size_t size)
{
	struct pool_chunk *c = malloc(POOL_CHUNK);

	if (!c)
		return NULL;
	*c = (struct pool_chunk){0};
	c->fresh = c->end = first_slab(c);
	c->capacity = (uint32_t)((size_t)((uint8_t *)c + POOL_CHUNK - c->fresh) / SLAB) * slab_blocks(size);
	p->chunks++;
	return c;
}

static void chunk_free(struct pool *p, struct pool_chunk *c)
{
	p->chunks--;
	free(c);
}

/* Its number of blocks has left the bounds of its level. */
static void chunk_move(struct pool *p, struct pool_chunk *c)
{
	uint32_t quarter = c->capacity / POOL_LEVELS, level = c->used / quarter;

	chunk_unlink(c);
	if (level >= POOL_LEVELS)
		level = POOL_LEVELS - 1;
	c->from = level == 0 ? 1 : level * quarter;
	c->to = level == POOL_LEVELS - 1 ? c->capacity : (level + 1) * quarter;
	if (c->used == c->capacity) {
		c->from = c->to = c->capacity;
		return;
	}
	if (c->used > 0) {
		chunk_link(&p->level[level], c);
		return;
	}
	c->from = c->to = 0;
	if (p->empty)
		chunk_free(p, c);
	else
		p->empty = c;
}

/* The chunk that the next block comes out of, with all chunks full. */
static struct pool_chunk *chunk_next(struct pool *p, size_t size)
{
	struct pool_chunk *c = p->empty ? p->empty : chunk_new(p, size);

	p->empty = NULL;
	return c;
}

/* The next slab begins. */
static void slab_start(struct pool_chunk *c, size_t size)
{
	uintptr_t slab = ((uintptr_t)c->end + SLAB - 1) & ~(uintptr_t)(SLAB - 1);

	((struct slab *)slab)->chunk = c;
	c->fresh = (uint8_t *)slab + slab_head(size);
	c->end = c->fresh + slab_blocks(size) * size;
}

void *pool_take(struct pool *p, size_t size)
{
	struct pool_chunk *c = NULL;
	void *block = p->spare;

	if (block) {
		p->spare = NULL;
		return block;
	}
	for (unsigned i = POOL_LEVELS; i-- > 0 && !c;)
		c = p->level[i];
	if (!c && !(c = chunk_next(p, size)))
		return NULL;
	block = c->given;
	if (block) {
		c->given = *(void **)block;
	} else {
		if (c->fresh == c->end)
			slab_start(c, size);
		block = c->fresh;
		c->fresh += size;
	}
	if (++c->used >= c->to)
		chunk_move(p, c);
	return block;
}

static struct pool_chunk *chunk_of(void *block)
{
	return ((struct slab *)((uintptr_t)block & ~(uintptr_t)(SLAB - 1)))->chunk;
}

static void give(struct pool *p, struct pool_chunk *c, void *block)
{
	*(void **)block = c->given;
	c->given = block;
	if (--c->used < c->from)
		chunk_move(p, c);
}

/* The only block comes and goes (the record for the one segment in flight): its chunk is not made empty each time. */
void pool_give(struct pool *p, void *block)
{
	struct pool_chunk *c = chunk_of(block);

	if (c->used == 1 && p->chunks == 1)
		p->spare = block;
	else
		give(p, c, block);
}

bool pool_has_room(const struct pool *p)
{
	bool room = p->empty || p->spare;

	for (unsigned i = 0; i < POOL_LEVELS && !room; i++)
		room = p->level[i] != NULL;
	return room;
}

void pool_done(struct pool *p)
{
	if (p->spare)
		give(p, chunk_of(p->spare), p->spare);
	p->spare = NULL;
	if (p->empty)
		chunk_free(p, p->empty);
	p->empty = NULL;
}

#endif
