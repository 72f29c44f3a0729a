/*
 * The memory that a connection's owner and the daemon share after BYWAY_SOCK_RING, and the arithmetic
 * of it: used by both.
 *
 * A page of positions, then two rings of bytes, `in` (to the owner) and `out` (from it). Positions count
 * bytes from the beginning and never wrap; a ring's size is a power of two. Each side writes positions of
 * its own only and keeps them in memory of its own too: of what it reads here it believes nothing but the
 * other side's position, and that only if it can be true (ring_filled). Bytes may change while they are
 * read, so they are copied and not looked at.
 *
 * Who has nothing to do says what it waits for (ring_wait), looks again, and sleeps; who has moved its
 * position looks whether the other waits (ring_wake), and rings its bell if so. All four steps are
 * sequentially consistent, so it cannot be that the one saw no bytes and the other saw nobody waiting.
 * Nobody rings while both are awake.
 */
#ifndef BYWAY_RING_H
#define BYWAY_RING_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BYWAY_RING_LEAST (64u << 10) /* bytes of one ring */
#define BYWAY_RING_MOST (4u << 20)
#define BYWAY_RING_DEFAULT (1u << 20)
#define BYWAY_RING_PAGE 4096u /* bytes before the rings */

/* One ring's positions. What two sides write lies on two cache lines. */
struct byway_ring_way {
	_Alignas(64) _Atomic uint64_t head; /* bytes that the writer has put in so far */
	_Atomic uint32_t end;               /* of the writer: there will be no more; written after the last `head` */
	_Alignas(64) _Atomic uint64_t tail; /* bytes that the reader has taken so far */
};

enum byway_ring_wait {
	BYWAY_RING_DATA = 1, /* for bytes, or their end */
	BYWAY_RING_ROOM = 2  /* for a quarter of the ring to be free */
};

struct byway_ring_page {
	struct byway_ring_way in, out;
	_Alignas(64) _Atomic uint32_t owner_waits;  /* enum byway_ring_wait as bits; who rings takes them away */
	_Alignas(64) _Atomic uint32_t daemon_waits;
	_Alignas(64) _Atomic uint32_t error; /* of the daemon: errno that the connection ended with; before `closed` */
	_Atomic uint32_t closed;             /* of the daemon: it has done with the connection; after all else */
	_Atomic uint32_t unread;             /* of the owner: of what came before there were rings, not all was read */
};
static_assert(sizeof(struct byway_ring_page) <= BYWAY_RING_PAGE, "positions fit their page");
static_assert(offsetof(struct byway_ring_page, out) == 128 && offsetof(struct byway_ring_page, owner_waits) == 256 &&
	      offsetof(struct byway_ring_page, error) == 384, "byway_ring_page is part of the protocol");

static inline size_t byway_ring_memory(uint32_t size)
{
	return BYWAY_RING_PAGE + 2 * (size_t)size;
}

static inline bool byway_ring_size_ok(uint64_t size)
{
	return size >= BYWAY_RING_LEAST && size <= BYWAY_RING_MOST && (size & (size - 1)) == 0;
}

/* Bytes between the positions of a ring's writer and reader; false: they cannot be true. */
static inline bool ring_filled(uint64_t head, uint64_t tail, uint32_t size, uint32_t *filled)
{
	*filled = (uint32_t)(head - tail);
	return head - tail <= size;
}

/* Enough room for a writer that waits for it. */
static inline bool ring_roomy(uint32_t filled, uint32_t size)
{
	return size - filled >= size / 4;
}

/* The `len` bytes of a ring from position `at` on. Returns the pieces. */
static inline unsigned ring_pieces(uint8_t *ring, uint32_t size, uint64_t at, uint32_t len, struct iovec iov[2])
{
	uint32_t offset = (uint32_t)at & (size - 1), first = size - offset < len ? size - offset : len;

	iov[0] = (struct iovec){ring + offset, first};
	iov[1] = (struct iovec){ring, len - first};
	return len > first ? 2 : len > 0;
}

/* A position moves on. */
static inline void ring_publish(_Atomic uint64_t *position, uint64_t to)
{
	atomic_store(position, to);
}

/* To be followed by another look at the other side's position. */
static inline void ring_wait(_Atomic uint32_t *waits, uint32_t what)
{
	atomic_fetch_or(waits, what);
}

/* Not any more. */
static inline void ring_wait_over(_Atomic uint32_t *waits)
{
	if (atomic_load_explicit(waits, memory_order_relaxed) != 0)
		atomic_store_explicit(waits, 0, memory_order_relaxed);
}

/* After ring_publish: the other side waits for one of `what`, and is to be woken, by this call alone. */
static inline bool ring_wake(_Atomic uint32_t *waits, uint32_t what)
{
	return (atomic_load(waits) & what) != 0 && atomic_exchange(waits, 0) != 0;
}

#endif
