/*
 * Urgent data (RFC 9293 3.8.5, RFC 6093) as the host has it: the last byte in front of the urgent
 * pointer is the urgent one, and where it is in the stream is the mark. Only the newest mark is kept.
 *
 * Received data stays in the receive queue as it came. With SO_OOBINLINE the byte is read with it;
 * else a reader that goes past the mark leaves the byte out, and MSG_OOB reads it as long as nobody
 * has. In both a read that begins in front of the mark ends there.
 *
 * Invariant: while there is a mark, it is not behind what was read. It is at RCV.UP - 1.
 */
#include "tcp.h"

#include <errno.h>

/* ---- receiving ---- */

static seq32 mark_of(const struct tcb *t)
{
	return seq_sub(t->rcv_up, 1);
}

/* Bytes in the receive queue in front of the mark. False: there is no mark, or it has not come yet. */
static bool mark_at(const struct tcb *t, uint32_t *before)
{
	seq32 reader = seq_sub(t->rcv_nxt, t->rcvq.len + t->fin_received);

	*before = mark_of(t).v - reader.v;
	return t->urgent != URGENT_NONE && *before < t->rcvq.len;
}

static bool left_out(const struct tcb *t)
{
	return !sock_options(&t->conn->sock)->oob_inline;
}

void urgent_input(struct tcb *t, const struct tcp_segment *seg)
{
	/* A pointer of 0 would be to the byte before: the host takes it for the first. */
	seq32 mark = seq_add(seg->seq, max_u32(seg->urgent, 1) - 1);
	uint32_t before;

	if (!tcp_state_receives(tcb_state(t)) || seq_lt(mark, t->rcv_nxt))
		return;
	if (t->urgent != URGENT_NONE && seq_leq(mark, mark_of(t)))
		return;
	/* What the reader stands before stays left out; a byte further on is now one like the others. */
	if (left_out(t) && mark_at(t, &before) && before == 0)
		byteq_consume(&t->rcvq, &tcb_stack(t)->mem, MEM_RECV, 1);
	t->rcv_up = seq_add(mark, 1);
	t->urgent = URGENT_UNREAD;
}

void urgent_arrived(struct tcb *t, seq32 from, uint32_t n)
{
	if (seq_in(mark_of(t), from, n))
		tcb_event(t, STACK_EVENT_URGENT);
}

void urgent_cut(struct tcp_segment *seg, uint32_t old)
{
	if (seg->urgent > old)
		seg->urgent = (uint16_t)(seg->urgent - old);
	else
		seg->flags = (uint8_t)(seg->flags & ~TCP_URG);
}

uint32_t urgent_readable(const struct tcb *t, uint32_t *skip)
{
	uint32_t before;

	*skip = 0;
	if (!mark_at(t, &before))
		return t->rcvq.len;
	if (before > 0)
		return before;
	*skip = left_out(t);
	return t->rcvq.len - *skip;
}

uint32_t urgent_unread(const struct tcb *t)
{
	uint32_t before;

	return t->rcvq.len - (t->urgent == URGENT_READ && mark_at(t, &before));
}

uint32_t urgent_in_front(const struct tcb *t)
{
	uint32_t before;

	return left_out(t) && mark_at(t, &before) ? before : t->rcvq.len;
}

/* The reader takes n bytes: with those that it leaves out. */
uint32_t urgent_passed(struct tcb *t, uint32_t n)
{
	uint32_t before;

	if (n == 0 || !mark_at(t, &before) || n <= before)
		return n;
	t->urgent = URGENT_NONE;
	return n + left_out(t);
}

/* NULL: it is at rest and has nothing, or no connection. */
static struct tcb *reader(const struct sock *sock)
{
	return sock->pcb.kind == PCB_TCB ? conn_tcb(conn_of_const(sock)) : NULL;
}

bool stack_urgent_waits(const struct sock *sock)
{
	const struct tcb *t = reader(sock);
	uint32_t before;

	return t && t->urgent == URGENT_UNREAD && mark_at(t, &before);
}

bool stack_at_mark(const struct sock *sock)
{
	const struct tcb *t = reader(sock);
	uint32_t before;

	return t && mark_at(t, &before) && before == 0;
}

int stack_recv_urgent(struct sock *sock, uint8_t *byte, bool peek)
{
	struct tcb *t = reader(sock);
	uint32_t before;

	if (sock->pcb.kind != PCB_TCB)
		return -ENOTCONN;
	if (!t || t->urgent != URGENT_UNREAD || !left_out(t))
		return -EINVAL;
	if (!mark_at(t, &before))
		return -EAGAIN;
	byteq_copy(&t->rcvq, before, byte, 1);
	if (!peek)
		t->urgent = URGENT_READ;
	return 1;
}

/* ---- sending ---- */

void stack_send_urgent(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (!t || t->sndq.len == 0)
		return;
	t->snd_up = seq_add(tcb_queue_seq(t), t->sndq.len);
	t->urgent_out = true;
	tcb_dirty(t);
}

void urgent_output(struct tcb *t, struct tcp_segment *seg)
{
	if (seq_geq(t->snd_una, t->snd_up)) {
		t->urgent_out = false;
	} else if (seq_lt(seg->seq, t->snd_up)) {
		seg->flags |= TCP_URG;
		seg->urgent = (uint16_t)min_u32(t->snd_up.v - seg->seq.v, UINT16_MAX);
	}
}
