/*
 * Chunked byte queue; its invariants stand in queue.h.
 *
 * While space is lent, chunks that hold nothing yet hang behind `tail`, which stays the last
 * chunk with data (or the first lent one of an empty queue): so commit knows where the loan
 * began without remembering it.
 */
#include "queue.h"

#include "types.h"

/* The smallest chunk, header included. */
#define CHUNK_SMALL MEM_SPARE

static uint32_t chunk_free_space(const struct chunk *c)
{
	return c->size - c->end;
}

static void chunk_free(struct chunk *c, struct mem *m, enum mem_class class)
{
	mem_free(m, class, c, sizeof(*c) + c->size);
}

/*
 * `bytes` header included; halved until the budget allows it, and near its end so that nobody
 * holds much more memory than bytes. NULL: not even a small one fits.
 */
static struct chunk *chunk_new(struct mem *m, enum mem_class class, size_t bytes)
{
	struct chunk *c;

	while (bytes > CHUNK_SMALL && bytes > mem_share(m, 0) / 4)
		bytes = bytes / 2 > CHUNK_SMALL ? bytes / 2 : CHUNK_SMALL;
	while (!(c = mem_alloc_raw(m, class, bytes)))
		if ((bytes /= 2) < CHUNK_SMALL)
			return NULL;
	c->next = NULL;
	c->size = (uint32_t)(bytes - sizeof(*c));
	c->start = c->end = 0;
	return c;
}

/* Room for `n` bytes, header included. */
static size_t chunk_size_for(size_t n)
{
	return (n + sizeof(struct chunk) + CHUNK_SMALL - 1) & ~(size_t)(CHUNK_SMALL - 1);
}

/* Twice the chunk before it, or what is wanted, whichever is more: few chunks behind a stream. */
static size_t chunk_size_after(const struct chunk *c, size_t want)
{
	size_t fit = chunk_size_for(want), twice = 2 * ((size_t)c->size + sizeof(*c));

	return min_size(fit > twice ? fit : twice, CHUNK_LARGE);
}

static size_t lend(struct byteq *q, struct mem *m, enum mem_class class, size_t want, size_t first_most,
		   struct iovec *iov, unsigned *iov_count)
{
	size_t lent = 0;
	unsigned max = *iov_count, n = 0;
	struct chunk *c = q->tail;

	want = min_size(want, UINT32_MAX - q->len);
	if (!c && want != 0 && max != 0)
		q->head = q->tail = c = chunk_new(m, class, min_size(first_most, chunk_size_for(want)));
	while (c && lent < want && n < max) {
		size_t piece = min_size(chunk_free_space(c), want - lent);

		if (piece != 0)
			iov[n++] = (struct iovec){c->data + c->end, piece};
		lent += piece;
		if (lent < want && n < max)
			c->next = chunk_new(m, class, chunk_size_after(c, want - lent));
		c = c->next;
	}
	*iov_count = n;
	return lent;
}

size_t byteq_lend(struct byteq *q, struct mem *m, enum mem_class class, size_t want, struct iovec *iov,
		  unsigned *iov_count)
{
	return lend(q, m, class, want, CHUNK_FIRST, iov, iov_count);
}

static void free_behind_tail(struct byteq *q, struct mem *m, enum mem_class class)
{
	struct chunk *c = q->tail->next;

	q->tail->next = NULL;
	while (c) {
		struct chunk *next = c->next;

		chunk_free(c, m, class);
		c = next;
	}
}

void byteq_commit(struct byteq *q, struct mem *m, enum mem_class class, size_t n)
{
	struct chunk *c = q->tail;

	if (!c)
		return;
	q->len += (uint32_t)n;
	for (;;) {
		uint32_t filled = (uint32_t)min_size(chunk_free_space(c), n);

		c->end += filled;
		n -= filled;
		if (n == 0)
			break;
		q->tail = c = c->next;
	}
	if (c->next)
		free_behind_tail(q, m, class);
	if (q->len == 0) {
		chunk_free(q->head, m, class);
		q->head = q->tail = NULL;
	}
}

size_t byteq_append(struct byteq *q, struct mem *m, enum mem_class class, const void *data, size_t n)
{
	size_t done = 0;

	while (done < n) {
		struct iovec iov[8];
		unsigned count = ARRAY_SIZE(iov);
		const uint8_t *from = (const uint8_t *)data + done;
		size_t lent = lend(q, m, class, n - done, CHUNK_LARGE, iov, &count);

		if (lent == 0)
			break;
		for (unsigned i = 0; i < count; i++) {
			memcpy(iov[i].iov_base, from, iov[i].iov_len);
			from += iov[i].iov_len;
		}
		byteq_commit(q, m, class, lent);
		done += lent;
	}
	return done;
}

size_t byteq_gather(const struct byteq *q, size_t offset, size_t n, struct iovec *iov, unsigned *iov_count)
{
	unsigned max = *iov_count, count = 0;
	size_t total = 0;

	for (struct chunk *c = q->head; c && n != 0 && count < max; c = c->next) {
		size_t held = c->end - c->start, piece;

		if (offset >= held) {
			offset -= held;
			continue;
		}
		piece = min_size(held - offset, n);
		iov[count++] = (struct iovec){c->data + c->start + offset, piece};
		offset = 0;
		n -= piece;
		total += piece;
	}
	*iov_count = count;
	return total;
}

size_t byteq_copy(const struct byteq *q, size_t offset, void *out, size_t n)
{
	size_t done = 0;

	for (const struct chunk *c = q->head; c && done < n; c = c->next) {
		size_t held = c->end - c->start, piece;

		if (offset >= held) {
			offset -= held;
			continue;
		}
		piece = min_size(held - offset, n - done);
		memcpy((uint8_t *)out + done, c->data + c->start + offset, piece);
		offset = 0;
		done += piece;
	}
	return done;
}

void byteq_consume(struct byteq *q, struct mem *m, enum mem_class class, size_t n)
{
	q->len -= (uint32_t)n;
	while (n != 0) {
		struct chunk *c = q->head;
		size_t held = c->end - c->start;

		if (n < held) {
			c->start += (uint32_t)n;
			return;
		}
		n -= held;
		q->head = c->next;
		if (!q->head)
			q->tail = NULL;
		chunk_free(c, m, class);
	}
}

/*
 * What arrives a few bytes at a time, last byte first, would cost a chunk for each piece (row T8):
 * a small first piece of `from` goes into the free end of `to` instead.
 */
static void splice_small_piece(struct byteq *to, struct byteq *from, enum mem_class from_class, struct mem *m)
{
	const struct chunk *c = from->head;
	uint32_t n = c->end - c->start;

	if (!to->tail || n > CHUNK_SMALL || n > chunk_free_space(to->tail))
		return;
	memcpy(to->tail->data + to->tail->end, c->data + c->start, n);
	to->tail->end += n;
	to->len += n;
	byteq_consume(from, m, from_class, n);
}

void byteq_splice(struct byteq *to, enum mem_class to_class, struct byteq *from, enum mem_class from_class,
		  struct mem *m)
{
	if (!from->head)
		return;
	splice_small_piece(to, from, from_class, m);
	if (!from->head)
		return;
	if (from_class != to_class)
		mem_move(m, from_class, to_class, byteq_memory(from));
	if (to->tail)
		to->tail->next = from->head;
	else
		to->head = from->head;
	to->tail = from->tail;
	to->len += from->len;
	*from = (struct byteq){0};
}

void byteq_clear(struct byteq *q, struct mem *m, enum mem_class class)
{
	byteq_consume(q, m, class, q->len);
}

size_t byteq_memory(const struct byteq *q)
{
	size_t bytes = 0;

	for (const struct chunk *c = q->head; c; c = c->next)
		bytes += sizeof(*c) + c->size;
	return bytes;
}

const char *byteq_check(const struct byteq *q)
{
	uint64_t held = 0;
	const struct chunk *last = NULL;

	for (const struct chunk *c = q->head; c; c = c->next) {
		if (c->start > c->end || c->end > c->size)
			return "chunk bounds";
		if (c->start == c->end)
			return "empty chunk";
		held += c->end - c->start;
		last = c;
	}
	if (last != q->tail)
		return "queue tail is not its last chunk";
	return held == q->len ? NULL : "queue length is not the sum of its chunks";
}
