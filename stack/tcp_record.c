/*
 * Ends of records in the send queue (MSG_EOR, and of a SYN's data that goes again): no segment
 * carries bytes from both sides of one.
 *
 * The peer sees nothing of it, TCP being a stream; it is for senders that want each record's
 * last segment to themselves. Marks beyond RECORDS_MAX in one queue are dropped: a segment may
 * then hold two records, which is all that can go wrong.
 */
#include "tcp.h"

#include <assert.h>

#define RECORDS_MAX 32u

/* Ends not acknowledged yet, in order. */
struct records {
	_Alignas(void *) seq32 end[RECORDS_MAX]; /* as a pool asks for */
	uint32_t count;
};
static_assert(sizeof(struct records) % sizeof(void *) == 0, "a block of a pool");

void record_add(struct tcb *t, seq32 end)
{
	struct records *r = t->records;
	uint32_t at;

	if (!r)
		r = t->records = mem_take(&tcb_stack(t)->mem, MEM_SEND, POOL_RECORDS, sizeof(*r));
	if (!r || r->count == RECORDS_MAX)
		return;
	for (at = r->count; at > 0 && seq_gt(r->end[at - 1], end); at--)
		r->end[at] = r->end[at - 1];
	r->end[at] = end;
	r->count++;
}

void stack_send_record_end(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (t && t->sndq.len > 0)
		record_add(t, seq_add(tcb_queue_seq(t), t->sndq.len));
}

uint32_t records_limit(const struct tcb *t, seq32 seq, uint32_t len)
{
	for (uint32_t i = 0; i < t->records->count; i++)
		if (seq_gt(t->records->end[i], seq))
			return min_u32(len, t->records->end[i].v - seq.v);
	return len;
}

bool record_ends(const struct tcb *t, seq32 seq)
{
	for (uint32_t i = 0; i < t->records->count; i++)
		if (seq_eq(t->records->end[i], seq))
			return true;
	return false;
}

void records_acked(struct tcb *t)
{
	struct records *r = t->records;
	uint32_t gone = 0;

	while (gone < r->count && seq_leq(r->end[gone], t->snd_una))
		gone++;
	r->count -= gone;
	memmove(r->end, r->end + gone, r->count * sizeof(r->end[0]));
	if (r->count == 0)
		records_clear(t);
}

void records_clear(struct tcb *t)
{
	mem_give(&tcb_stack(t)->mem, MEM_SEND, POOL_RECORDS, t->records, sizeof(*t->records));
	t->records = NULL;
}
