/*
 * What is in flight: one record for each stretch of sequence space that went out together
 * (RFC 2018 5, RFC 8985 5.2). It knows times and sequence numbers, and nothing of sockets.
 *
 * Invariants: records are in order, touch each other, and cover exactly SND.UNA to SND.NXT;
 * sacked, lost and count are their sums; a record is never SACKED and LOST at once.
 * Records that were sent at one time, or are SACKED, are merged with their neighbours; what is
 * sent is not told apart finer than in 400ths of what is in flight and of a round trip. There are never more than
 * SCOREBOARD_MAX: past that SACK blocks that would split one are ignored, so the work for one
 * ACK is bounded (rows T7, CVE-2019-11477).
 */
#ifndef BYWAY_STACK_SCOREBOARD_H
#define BYWAY_STACK_SCOREBOARD_H

#include "mem.h"
#include "rate.h"
#include "types.h"

#define SCOREBOARD_MAX 2048u

#define SENT_SACKED (1u << 0) /* the receiver has it */
#define SENT_LOST (1u << 1)   /* taken for lost, not sent again yet */
#define SENT_AGAIN (1u << 2)  /* sent more than once (Karn) */

struct sent {
	struct sent *next;
	seq32 seq, end;
	uint64_t at; /* microseconds, of the last transmission */
	struct rate_mark mark; /* the same */
	uint32_t began; /* when the first of it went out: low bits of the clock */
	uint8_t flags;
};

struct scoreboard {
	struct sent *head, *tail;
	uint32_t sacked, lost; /* bytes */
	uint32_t count;        /* records */
};

/* What an ACK told: the most recently sent of what was newly delivered (RFC 8985 6.2, steps 1 to 3). */
struct delivery {
	uint32_t bytes;   /* newly acknowledged or SACKed */
	bool any;         /* at and end are valid */
	uint64_t at;      /* when the newest of it was sent */
	seq32 end;
	struct rate_mark mark; /* the same */
	seq32 lowest_end; /* of what was sent once: smallest end, for reordering */
	seq32 lowest;     /* and smallest start */
	bool any_once;
	uint64_t once_at; /* when the earliest of that went out */
	seq32 fack;       /* highest end delivered */
	uint64_t again_at; /* of what was sent more than once: when the oldest of it last was; 0: nothing was */
};

/* [seq, end) goes out for the first time, on a path whose round trip is rtt; 0: not known. */
void scoreboard_sent(struct scoreboard *b, struct mem *m, seq32 seq, seq32 end, uint64_t now, uint64_t rtt);
/* Everything before una has arrived. `doubt`: a retransmission delivered sooner after its sending is not believed. */
void scoreboard_acked(struct scoreboard *b, struct mem *m, seq32 una, uint64_t now, uint64_t doubt,
		      struct delivery *d);
/* [left, right) has arrived out of order; the caller has checked that it lies in flight. */
void scoreboard_sacked(struct scoreboard *b, struct mem *m, seq32 left, seq32 right, uint64_t now,
		       uint64_t doubt, struct delivery *d);
/*
 * RFC 8985 6.2, step 5: what was sent before (at, end) and has waited longer than `wait` is
 * lost. Returns the bytes newly lost; *next: how long until the next one, 0: none waits;
 * *again: some of it had been sent again already.
 */
uint32_t scoreboard_detect(struct scoreboard *b, uint64_t at, seq32 end, uint64_t wait, uint64_t now,
			   uint64_t *next, bool *again);
/* Everything not SACKED is lost. When the first record is SACKED the receiver has reneged: forget SACKs. */
void scoreboard_all_lost(struct scoreboard *b);
/* After a timeout (RFC 8985 6.3): of that the `first` bytes are lost, and what went out by `until`. */
void scoreboard_timed_out(struct scoreboard *b, struct mem *m, uint32_t first, uint64_t until);
/* A recovery was spurious: nothing is lost. */
void scoreboard_none_lost(struct scoreboard *b);
/* The byte at seq is taken for lost, and has not gone again. */
bool scoreboard_is_lost(const struct scoreboard *b, seq32 seq);
/* The first stretch to send again, or NULL. */
const struct sent *scoreboard_first_lost(const struct scoreboard *b);
/* `len` bytes from `seq`, the start of a record, go out again. Returns their record, or NULL. */
struct sent *scoreboard_resent(struct scoreboard *b, struct mem *m, seq32 seq, uint32_t len, uint64_t now);
/* Where the last `len` bytes or less in flight begin, split off as a record of their own if they can be. */
seq32 scoreboard_last_piece(struct scoreboard *b, struct mem *m, uint32_t len);
void scoreboard_clear(struct scoreboard *b, struct mem *m);
/* Bytes that are believed to be in the network (RFC 6675 4, "pipe"). */
static inline uint32_t scoreboard_pipe(const struct scoreboard *b, uint32_t flight)
{
	return flight - b->sacked - b->lost;
}
/* NULL or which invariant does not hold. */
const char *scoreboard_check(const struct scoreboard *b, seq32 una, seq32 nxt);

#endif
