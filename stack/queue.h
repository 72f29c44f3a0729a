/*
 * A queue of bytes in chunks. It owns memory only while it holds something; the writer fills
 * lent space in place, and the reader gets pieces that point into it: nothing is copied twice.
 *
 * Invariants: len is the sum of the chunks' end - start; no chunk is empty, except the last
 * while space is lent; len == 0 and nothing lent means head == NULL.
 */
#ifndef BYWAY_STACK_QUEUE_H
#define BYWAY_STACK_QUEUE_H

#include "mem.h"
#include <sys/uio.h>

struct chunk {
	struct chunk *next;
	uint32_t size;       /* bytes of data[] */
	uint32_t start, end; /* valid bytes are data[start..end) */
	uint8_t data[];
};

struct byteq {
	struct chunk *head, *tail;
	uint32_t len; /* bytes held */
};

/* Chunk sizes, header included: the first of an empty queue is that at most, those of a stream are large. */
#define CHUNK_FIRST 4096u
#define CHUNK_LARGE 65536u

/*
 * Lends at most `want` bytes of free space in up to *iov_count pieces (sets it), allocating as
 * needed. Returns the bytes lent; 0 when out of budget. Must be followed by byteq_commit.
 */
size_t byteq_lend(struct byteq *q, struct mem *m, enum mem_class class, size_t want,
		  struct iovec *iov, unsigned *iov_count);
/* The first n bytes of what was lent are now held; frees chunks left empty. */
void byteq_commit(struct byteq *q, struct mem *m, enum mem_class class, size_t n);
/* Copies; returns the bytes stored (fewer than n when out of budget). Chunks of a small queue are small. */
size_t byteq_append(struct byteq *q, struct mem *m, enum mem_class class, const void *data, size_t n);
/* Pieces of [offset, offset + n) in up to *iov_count pieces (sets it); returns their bytes. */
size_t byteq_gather(const struct byteq *q, size_t offset, size_t n, struct iovec *iov, unsigned *iov_count);
/* Copies out [offset, offset + n); returns the bytes copied. */
size_t byteq_copy(const struct byteq *q, size_t offset, void *out, size_t n);
/* Drops the first n bytes (n <= len), frees chunks as they empty. */
void byteq_consume(struct byteq *q, struct mem *m, enum mem_class class, size_t n);
/* Moves all of `from` behind `to`, without copying more than a few bytes; its memory is rebooked. */
void byteq_splice(struct byteq *to, enum mem_class to_class, struct byteq *from,
		  enum mem_class from_class, struct mem *m);
void byteq_clear(struct byteq *q, struct mem *m, enum mem_class class);
/* Bytes of memory behind it, chunk headers included. */
size_t byteq_memory(const struct byteq *q);
/* NULL or which invariant does not hold. */
const char *byteq_check(const struct byteq *q);

#endif
