/* See scoreboard.h. */
#include "scoreboard.h"

#define SHARE 400u /* less than SCOREBOARD_MAX: SACK splits records, too */

static uint32_t length(const struct sent *r)
{
	return r->end.v - r->seq.v;
}

static void record_free(struct scoreboard *b, struct mem *m, struct sent *r)
{
	b->count--;
	mem_give(m, MEM_SEND, POOL_SENT, r, sizeof(*r));
}

/* Takes the record's bytes out of, or into, the sums. */
static void sums(struct scoreboard *b, const struct sent *r, bool add)
{
	uint32_t n = add ? length(r) : 0u - length(r);

	if (r->flags & SENT_SACKED)
		b->sacked += n;
	if (r->flags & SENT_LOST)
		b->lost += n;
}

static void set_flags(struct scoreboard *b, struct sent *r, unsigned set, unsigned clear)
{
	sums(b, r, false);
	r->flags = (uint8_t)((r->flags & ~clear) | set);
	sums(b, r, true);
}

static bool alike(const struct sent *a, const struct sent *b)
{
	if (a->flags & b->flags & SENT_SACKED)
		return true; /* their times no longer matter */
	return a->flags == b->flags && a->at == b->at;
}

/* Merges r with what follows it as long as they are alike. */
static void merge_after(struct scoreboard *b, struct mem *m, struct sent *r)
{
	while (r->next && alike(r, r->next)) {
		struct sent *gone = r->next;

		r->end = gone->end;
		r->next = gone->next;
		if (b->tail == gone)
			b->tail = r;
		record_free(b, m, gone);
	}
}

/*
 * May the last record take in what goes out now? What went out at this moment; and with much in
 * flight what went out a little while ago, by a SHARE of it and of a round trip at most: the time that
 * it gets is a little late, so it is never lost too soon, and there is always room to split. Later
 * still, after a pause, would make the round trip of what went out before look short.
 */
static bool tail_takes(const struct scoreboard *b, seq32 end, uint64_t now, uint64_t rtt)
{
	const struct sent *tail = b->tail;

	if (!tail || tail->flags != 0)
		return false;
	return tail->at == now || (end.v - tail->seq.v <= (end.v - b->head->seq.v) / SHARE &&
				   (uint32_t)now - tail->began <= rtt / SHARE);
}

void scoreboard_sent(struct scoreboard *b, struct mem *m, seq32 seq, seq32 end, uint64_t now, uint64_t rtt)
{
	struct sent *r;

	if (tail_takes(b, end, now, rtt)) {
		b->tail->end = end;
		b->tail->at = now;
		return;
	}
	r = b->count < SCOREBOARD_MAX || !b->tail ? mem_take_raw(m, MEM_SEND, POOL_SENT, sizeof(*r)) : NULL;
	if (!r) {
		/* The last record takes it in: later than it was sent, so never lost too soon. */
		if (b->tail) {
			set_flags(b, b->tail, 0, SENT_SACKED | SENT_LOST);
			b->tail->end = end;
			b->tail->at = now;
		}
		return;
	}
	*r = (struct sent){.seq = seq, .end = end, .at = now, .began = (uint32_t)now};
	if (b->tail)
		b->tail->next = r;
	else
		b->head = r;
	b->tail = r;
	b->count++;
}

/* Splits r at `at`, which lies inside it. False: no room. */
static bool split(struct scoreboard *b, struct mem *m, struct sent *r, seq32 at)
{
	struct sent *rest = b->count < SCOREBOARD_MAX ? mem_take_raw(m, MEM_SEND, POOL_SENT, sizeof(*rest)) : NULL;

	if (!rest)
		return false;
	*rest = *r;
	rest->seq = r->end = at;
	r->next = rest;
	if (b->tail == r)
		b->tail = rest;
	b->count++;
	return true;
}

static bool sent_after(uint64_t at1, seq32 end1, uint64_t at2, seq32 end2)
{
	return at1 > at2 || (at1 == at2 && seq_gt(end1, end2));
}

/* RFC 8985 6.2, steps 2 and 3, for one record that has arrived up to `end`. */
static void delivered(struct delivery *d, const struct sent *r, seq32 end, uint64_t now, uint64_t doubt)
{
	bool again = r->flags & SENT_AGAIN;

	d->bytes += end.v - r->seq.v;
	d->fack = d->any || d->any_once ? seq_max(d->fack, end) : end;
	if (!again && (!d->any_once || seq_lt(end, d->lowest_end)))
		d->lowest_end = end;
	if (!again && (!d->any_once || seq_lt(r->seq, d->lowest)))
		d->lowest = r->seq;
	if (!again && (!d->any_once || r->at < d->once_at))
		d->once_at = r->at;
	d->any_once = d->any_once || !again;
	if (again && (d->again_at == 0 || r->at < d->again_at))
		d->again_at = r->at;
	if (again && now - r->at < doubt)
		return; /* an ACK of the first transmission, most likely */
	if (!d->any || sent_after(r->at, end, d->at, d->end)) {
		d->at = r->at;
		d->end = end;
		d->mark = r->mark;
		d->any = true;
	}
}

void scoreboard_acked(struct scoreboard *b, struct mem *m, seq32 una, uint64_t now, uint64_t doubt,
		      struct delivery *d)
{
	while (b->head && seq_lt(b->head->seq, una)) {
		struct sent *r = b->head;
		seq32 end = seq_lt(una, r->end) ? una : r->end;

		if (!(r->flags & SENT_SACKED))
			delivered(d, r, end, now, doubt);
		sums(b, r, false);
		r->seq = end;
		sums(b, r, true);
		if (length(r) > 0)
			break;
		b->head = r->next;
		if (!b->head)
			b->tail = NULL;
		record_free(b, m, r);
	}
}

void scoreboard_sacked(struct scoreboard *b, struct mem *m, seq32 left, seq32 right, uint64_t now,
		       uint64_t doubt, struct delivery *d)
{
	struct sent *r = b->head, *first = r;

	for (; r && seq_leq(r->end, left); r = r->next)
		first = r; /* it may become one with what is SACKED now */
	for (; r && seq_lt(r->seq, right); r = r->next) {
		if (r->flags & SENT_SACKED)
			continue;
		if (seq_lt(r->seq, left)) {
			if (!split(b, m, r, left))
				break;
			continue; /* the rest comes next */
		}
		if (seq_gt(r->end, right) && !split(b, m, r, right))
			break;
		delivered(d, r, r->end, now, doubt);
		set_flags(b, r, SENT_SACKED, SENT_LOST);
	}
	for (r = first; r && seq_lt(r->seq, right); r = r->next)
		if (r->flags & SENT_SACKED)
			merge_after(b, m, r);
}

uint32_t scoreboard_detect(struct scoreboard *b, uint64_t at, seq32 end, uint64_t wait, uint64_t now,
			   uint64_t *next, bool *again)
{
	uint32_t before = b->lost;

	*next = 0;
	*again = false;
	for (struct sent *r = b->head; r; r = r->next) {
		if ((r->flags & (SENT_SACKED | SENT_LOST)))
			continue;
		if (!sent_after(at, end, r->at, r->end)) {
			if (!(r->flags & SENT_AGAIN))
				break; /* nothing behind it went out sooner, be it for the second time */
			continue;
		}
		/* What went out this very moment is not lost: to ourselves, the answer comes in no time. */
		if (r->at == now)
			continue;
		if (r->at + wait <= now) {
			set_flags(b, r, SENT_LOST, 0);
			*again = *again || (r->flags & SENT_AGAIN);
			continue;
		}
		*next = max_u64(*next, r->at + wait - now);
	}
	return b->lost - before;
}

/* The first record is lost, and what was sent by `until`. */
static void mark_lost(struct scoreboard *b, uint64_t until)
{
	bool reneged = b->head && (b->head->flags & SENT_SACKED);

	for (struct sent *r = b->head; r; r = r->next) {
		if (reneged)
			set_flags(b, r, 0, SENT_SACKED);
		if (!(r->flags & SENT_SACKED) && (r == b->head || r->at <= until))
			set_flags(b, r, SENT_LOST, 0);
	}
}

void scoreboard_all_lost(struct scoreboard *b)
{
	mark_lost(b, UINT64_MAX);
}

void scoreboard_timed_out(struct scoreboard *b, struct mem *m, uint32_t first, uint64_t until)
{
	if (b->head && b->head->at > until && length(b->head) > first)
		split(b, m, b->head, seq_add(b->head->seq, first));
	mark_lost(b, until);
}

void scoreboard_none_lost(struct scoreboard *b)
{
	for (struct sent *r = b->head; r; r = r->next)
		set_flags(b, r, 0, SENT_LOST);
}

const struct sent *scoreboard_first_lost(const struct scoreboard *b)
{
	const struct sent *r = b->lost > 0 ? b->head : NULL;

	while (r && !(r->flags & SENT_LOST))
		r = r->next;
	return r;
}

bool scoreboard_is_lost(const struct scoreboard *b, seq32 seq)
{
	for (const struct sent *r = b->head; r && seq_leq(r->seq, seq); r = r->next)
		if (seq_lt(seq, r->end))
			return r->flags & SENT_LOST;
	return false;
}

struct sent *scoreboard_resent(struct scoreboard *b, struct mem *m, seq32 seq, uint32_t len, uint64_t now)
{
	struct sent *r = b->head;

	while (r && !seq_eq(r->seq, seq))
		r = r->next;
	if (!r)
		return NULL;
	if (len < length(r))
		split(b, m, r, seq_add(seq, len)); /* without room the whole record counts as sent again */
	set_flags(b, r, SENT_AGAIN, SENT_LOST);
	r->at = now;
	return r;
}

seq32 scoreboard_last_piece(struct scoreboard *b, struct mem *m, uint32_t len)
{
	struct sent *r = b->tail;

	if (length(r) > len)
		split(b, m, r, seq_sub(r->end, len));
	return b->tail->seq;
}

void scoreboard_clear(struct scoreboard *b, struct mem *m)
{
	while (b->head) {
		struct sent *r = b->head;

		b->head = r->next;
		record_free(b, m, r);
	}
	*b = (struct scoreboard){0};
}

const char *scoreboard_check(const struct scoreboard *b, seq32 una, seq32 nxt)
{
	uint32_t sacked = 0, lost = 0, count = 0;
	seq32 at = una;

	for (const struct sent *r = b->head; r; r = r->next, count++) {
		if (!seq_eq(r->seq, at) || seq_leq(r->end, r->seq))
			return "scoreboard records do not touch";
		if ((r->flags & SENT_SACKED) && (r->flags & SENT_LOST))
			return "scoreboard record both SACKED and lost";
		sacked += r->flags & SENT_SACKED ? length(r) : 0;
		lost += r->flags & SENT_LOST ? length(r) : 0;
		at = r->end;
	}
	if (b->head && !seq_eq(at, nxt))
		return "scoreboard does not end at SND.NXT";
	if (!b->head && !seq_eq(una, nxt))
		return "in flight, but not on the scoreboard";
	return sacked == b->sacked && lost == b->lost && count == b->count ? NULL : "scoreboard sums are wrong";
}
