/*
 * When received data is acknowledged (RFC 9293 3.8.6.3, RFC 5681 4.2).
 *
 * At least every second full segment is, at the end of the batch. A lone segment waits for
 * company, or for an answer of ours that takes the ACK along; how long follows the gaps between
 * segments, from cfg.delayed_ack up to 200 ms. But the first segments of a connection, and what
 * comes after a gap or a long silence, are acknowledged one by one: there the peer is in slow
 * start and grows by ACKs, so delay costs it round trips; hosts do the same.
 */
#include "tcp.h"

#define DELAY_MAX_MS 200u  /* RFC 9293 3.8.6.3: less than 500 */

static uint32_t delay_min_ms(const struct tcb *t)
{
	return max_u32(to_ms(tcb_stack(t)->cfg.delayed_ack), 1); /* 0 means that no data has come */
}

void delack_quick(struct tcb *t)
{
	uint32_t window = (t->rcv_adv.v - t->rcv_nxt.v) / (2u * t->mss);

	t->quick = (uint8_t)max_u32(t->quick, min_u32(max_u32(window, 2), tcb_stack(t)->cfg.quick_acks));
	t->pingpong = false;
}

/* The delay goes towards twice the gap that was seen; after a silence as long as a timeout the peer begins anew. */
void delack_data_received(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint32_t least = delay_min_ms(t), gap = to_ms(s->now) - t->data_received_ms, ato = t->ato_ms;

	if (ato == 0) { /* the first; `quick` is as cfg or TCP_QUICKACK has it */
		ato = least;
	} else if (gap <= least / 2) {
		ato = ato / 2 + least / 2;
	} else if (gap < ato) {
		ato = ato / 2 + gap;
	} else if (gap > rtt_timeout(&t->rtt, s->cfg.rto_max) / 1000) {
		delack_quick(t);
	}
	t->ato_ms = (uint16_t)max_u32(min_u32(ato, DELAY_MAX_MS), least);
	t->data_received_ms = to_ms(s->now);
}

/* An answer within the delay: more will come, and ACKs of their own are not needed. */
void delack_data_sent(struct tcb *t)
{
	if (t->ato_ms > 0 && to_ms(tcb_stack(t)->now) - t->data_received_ms < t->ato_ms)
		t->pingpong = true;
}

/* "At once" is the end of the batch; but a batch may be longer than the window, and who has filled it must not wait. */
void delack_start(struct tcb *t, uint32_t len)
{
	struct stack *s = tcb_stack(t);

	t->ack_bytes += len;
	if (t->ack_bytes >= max_u32(t->recv_limit / 4, 2u * t->mss)) {
		tcp_send_ack(t);
	} else if (t->ack_bytes >= 2u * t->mss || (t->quick > 0 && !t->pingpong) || s->cfg.delayed_ack == 0) {
		t->ack_now = true;
		tcb_dirty(t);
	} else if (!tcb_timer_runs(t, TCB_DELACK)) {
		tcb_timer_set(t, TCB_DELACK, s->now + MILLISECONDS(t->ato_ms));
	}
}

/* Nothing came to go with the ACK, so to wait longer would not have helped. */
void delack_timeout(struct tcb *t)
{
	COUNT(tcb_stack(t), tcp_delayed_acks);
	t->ato_ms = (uint16_t)delay_min_ms(t);
	t->pingpong = false;
	t->ack_now = true;
	tcb_dirty(t);
}
