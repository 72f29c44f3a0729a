/*
 * TIME-WAIT in a compact form: what answers late segments for 2 MSL (RFC 9293 3.4.2), and no
 * buffers. All wait equally long, so they stand in one list, oldest first, behind one timer.
 */
#include "tcp.h"

#define POINTER_MASK ((UINT64_C(1) << 48) - 1)

static struct time_wait *to_pointer(uint64_t bits)
{
	return (struct time_wait *)(uintptr_t)bits;
}

static void list_append(struct stack *s, struct time_wait *w)
{
	w->next = 0;
	w->previous = (uintptr_t)s->tw_tail & POINTER_MASK;
	if (s->tw_tail)
		s->tw_tail->next = (uintptr_t)w & POINTER_MASK;
	else
		s->tw_head = w;
	s->tw_tail = w;
}

static void list_remove(struct stack *s, struct time_wait *w)
{
	struct time_wait *next = to_pointer(w->next), *previous = to_pointer(w->previous);

	if (previous)
		previous->next = w->next;
	else
		s->tw_head = next;
	if (next)
		next->previous = w->previous;
	else
		s->tw_tail = previous;
}

/* Milliseconds of 32 bits to the time that they mean: not long before or after now. */
stack_time time_wait_expires(const struct stack *s, const struct time_wait *w)
{
	return MILLISECONDS(s->now / 1000 + (stack_time)(int64_t)(int32_t)(w->expires_ms - to_ms(s->now)));
}

static void arm(struct stack *s)
{
	stack_time expires = s->tw_head ? time_wait_expires(s, s->tw_head) : 0;

	if (!s->tw_head)
		timer_cancel(&s->wheel, &s->tw_timer);
	else if (!timer_armed(&s->tw_timer) || s->tw_timer.at != expires)
		timer_set(&s->wheel, &s->tw_timer, expires);
}

static void start(struct stack *s, struct time_wait *w)
{
	w->expires_ms = to_ms(s->now + s->cfg.time_wait + 999);
	list_append(s, w);
	arm(s);
}

void time_wait_free(struct stack *s, struct time_wait *w)
{
	list_remove(s, w);
	arm(s);
	table_remove(&s->table, &w->pcb);
	s->time_wait_count--;
	COUNT(s, tcp_transitions);
	mem_give(&s->mem, MEM_TIME_WAIT, POOL_TIME_WAIT, w, sizeof(*w));
}

void time_wait_timer(struct stack *s)
{
	while (s->tw_head && time_wait_expires(s, s->tw_head) <= s->now)
		time_wait_free(s, s->tw_head);
	arm(s);
}

/* A full table drops its oldest entry: that one has waited longest. */
static struct time_wait *time_wait_new(struct stack *s)
{
	struct time_wait *w;

	if (s->time_wait_count >= s->cfg.time_wait_max && s->tw_head) {
		COUNT(s, tcp_time_wait_full);
		time_wait_free(s, s->tw_head);
	}
	w = mem_take(&s->mem, MEM_TIME_WAIT, POOL_TIME_WAIT, sizeof(*w));
	if (to_pointer((uintptr_t)w & POINTER_MASK) == w)
		return w;
	mem_give(&s->mem, MEM_TIME_WAIT, POOL_TIME_WAIT, w, sizeof(*w));
	return NULL;
}

static void hand_over(struct tcb *t, struct time_wait *w)
{
	struct stack *s = tcb_stack(t);

	w->pcb = t->conn->sock.pcb;
	w->pcb.kind = PCB_TIME_WAIT;
	w->rcv_nxt = t->rcv_nxt;
	w->snd_nxt = t->snd_nxt;
	w->ts_recent = t->ts_recent;
	w->ts_on = t->ts_on;
	w->window = (uint16_t)min_u32((t->rcv_adv.v - t->rcv_nxt.v) >> t->rcv_scale, TCP_WINDOW_UNSCALED);
	table_replace(&s->table, &t->conn->sock.pcb, &w->pcb);
	t->detached = true;
	s->time_wait_count++;
	COUNT(s, tcp_time_wait);
	start(s, w);
}

void time_wait_enter(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	struct time_wait *w;

	if (t->ack_now)
		tcp_send_ack(t);
	sock_ended(&t->conn->sock);
	if (t->listener)
		listener_unqueue(t);
	w = time_wait_new(s);
	if (w)
		hand_over(t, w);
	else
		COUNT(s, tcp_time_wait_full);
	if (!t->held) {
		tcb_free(t);
		return;
	}
	tcb_timers_stop(t);
	tcb_clean(t);
	tcp_ooo_clear(t); /* a duplicate that came with the last segment is reported by nobody any more */
	t->ack_now = false;
	if (!w)
		table_remove(&s->table, &t->conn->sock.pcb);
	t->detached = true;
	sock_park(&t->conn->sock);
	sock_event(&t->conn->sock, STACK_EVENT_CLOSED);
}

static void reply(struct stack *s, const struct time_wait *w)
{
	struct tcp_segment seg = {
		.seq = w->snd_nxt, .ack = w->rcv_nxt, .flags = TCP_ACK, .window = w->window,
	};

	if (w->ts_on) {
		seg.opt.has_timestamp = true;
		seg.opt.ts_value = ts_now(s, tcp_ts_offset(s, &w->pcb));
		seg.opt.ts_echo = w->ts_recent;
	}
	tcp_send_bare(s, &w->pcb, &seg);
}

/* RFC 6191 2: a SYN that is certainly newer than the connection that waits. */
static bool may_reuse(const struct time_wait *w, const struct tcp_segment *seg)
{
	if (w->ts_on && seg->opt.has_timestamp && seg->opt.ts_value != w->ts_recent)
		return (int32_t)(seg->opt.ts_value - w->ts_recent) > 0;
	return seq_gt(seg->seq, w->rcv_nxt);
}

/* RFC 9293 3.10.7.4 in TIME-WAIT. RST is ignored (RFC 1337 3, fix F1). */
void time_wait_segment(struct stack *s, struct time_wait *w, const struct ip_info *ip, struct tcp_segment *seg)
{
	struct listener *l;
	seq32 floor = w->snd_nxt;

	if (seg->flags & TCP_RST) {
		COUNT(s, tcp_in_rst_ignored);
		return;
	}
	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN && may_reuse(w, seg)) {
		struct stack_endpoint local = pcb_local(&w->pcb), remote = pcb_remote(&w->pcb);

		l = listener_find(s, &local, &remote);
		if (l) {
			COUNT(s, tcp_time_wait_reused);
			time_wait_free(s, w);
			listener_syn(l, ip, seg, true, floor);
			return;
		}
	}
	if (seg->flags & TCP_FIN) { /* the peer did not get our last ACK: "restart the 2 MSL time-wait timeout" */
		list_remove(s, w);
		start(s, w);
	}
	if (tcp_seg_len(seg) > 0 || !seq_eq(seg->seq, w->rcv_nxt))
		reply(s, w);
}
