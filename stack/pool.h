/*
 * Pools: blocks of one size each, for what is small and comes and goes often. A block has no header,
 * taking and giving back cost a few instructions, and memory that is not used any more goes back to
 * the system, which a heap that mixes long-lived blocks with short-lived ones does not do.
 *
 * Built with AddressSanitizer each block is the allocator's own, so that use after free is found.
 */
#ifndef BYWAY_STACK_POOL_H
#define BYWAY_STACK_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_PLAIN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_PLAIN 1
#endif
#endif
#ifndef POOL_PLAIN
#define POOL_PLAIN 0
#endif

#define POOL_LEVELS 4u
/*
 * Bytes of a chunk. The system's allocator gets as much by a mapping of its own, which goes back when
 * the chunk does; less one page's worth of headers, so that it fills its pages.
 */
#define POOL_CHUNK ((144u << 10) - 64)

#define POOL_LARGEST 4096u /* bytes of a block */
#define POOL_LINE 64u /* bytes of a cache line: a block whose size is a multiple of it is aligned to it */

struct pool_chunk;

/* All zero: a pool that holds nothing. */
struct pool {
	struct pool_chunk *level[POOL_LEVELS]; /* chunks with room, [i]: i quarters of their blocks are in use, or more */
	struct pool_chunk *empty;              /* one, kept for the next block; or NULL */
	void *spare;                           /* what is kept instead, where no other block is in use; or NULL */
	uint32_t chunks;                       /* all of them */
};

/* A block, not zeroed; NULL: out of memory. `size` is the same in all calls for a pool, a multiple of a pointer's, and POOL_LARGEST at most. */
void *pool_take(struct pool *p, size_t size);
void pool_give(struct pool *p, void *block);
/* The next block comes out of a chunk that is there. */
bool pool_has_room(const struct pool *p);
/* Gives back what is kept; every block has been given back before. */
void pool_done(struct pool *p);

#endif
