/*
 * Connections at rest. What a connection needs while something moves through it - deadlines,
 * marks in the sequence space, the scoreboard, congestion control in its course - says nothing
 * when all is acknowledged, read, and silent: then the control block goes, and struct rest keeps
 * what a new one cannot know. The next segment, or the next call of the holder's, makes it again.
 *
 * Invariants: a connection at rest is ESTABLISHED and held; nothing is in flight, queued, stored
 * or waiting, no event is queued, and the only deadline is the keepalive's. To the peer nothing shows of it.
 *
 * What is lost: the course of congestion avoidance (the window and ssthresh stay, RFC 5681 4.1
 * asks no more after an idle time), and how far an ACK was delayed, which delack_data_received
 * finds anew after a silence.
 */
#include "tcp.h"

/* X(field): the same in struct tcb and struct rest. */
#define KEPT(X)                                                                                     \
	X(send_limit) X(recv_limit) X(rcv_space) X(rcv_rtt) X(data_received_ms) X(ts_recent_ms)                    \
	X(mss_peer) X(mtu) X(mss_seen) X(syn_bytes)                \
	X(reorder_steps) X(reorder_persist) X(quick) X(ts_on) X(ws_on) X(sack_on) X(ecn_on)         \
	X(pingpong) X(reordering) X(mtu_carried) X(send_fixed) X(recv_fixed) X(fastopen)            \
	X(syn_data) X(fastopen_failure)

/* What is in sock.spare. */
enum { SPARE_SND_UNA, SPARE_SND_WND, SPARE_MAX_SND_WND, SPARE_RCV_NXT, SPARE_RCV_ADV, SPARE_TS_RECENT };

/* ---- to rest ---- */

/* Does a deadline run but those that may at rest? */
static bool waits_for_time(const struct tcb *t)
{
	for (unsigned i = 0; i < TCB_TIMER_COUNT; i++)
		if (i != TCB_KEEPALIVE && i != TCB_REST && tcb_timer_runs(t, (enum tcb_timer)i))
			return true;
	return false;
}

/* All that was sent is acknowledged, and nobody is to hear of a loss, a gap or a mark. */
static bool sender_rests(const struct tcb *t)
{
	return tcb_flight(t) == 0 && t->sndq.len == 0 && !t->want_write && !t->fin_queued && !t->fastopen_pending &&
	       !t->board.head && !t->probe_out && !t->records && !t->mtu_search && t->recovery == RECOVERY_OPEN &&
	       t->retries == 0 && t->keepalive_sent == 0 && t->snd_wnd > 0 && !t->ecn_cwr && !t->soft_error &&
	       t->cc_ops->state_size == 0 && t->pace_at <= tcb_stack(t)->now;
}

static bool receiver_rests(const struct tcb *t)
{
	return t->rcvq.len == 0 && t->urgent == URGENT_NONE && !t->ooo && !t->ack_now && !t->ecn_echo && seq_eq(t->last_ack_sent, t->rcv_nxt);
}

/* ISS and IRS come out of what has passed; these were before the first byte. */
static seq32 first_of(seq32 next, uint64_t bytes)
{
	return seq_sub(next, (uint32_t)bytes + 1);
}

static bool may_rest(const struct tcb *t)
{
	const struct conn *c = t->conn;
	const struct sock *sock = &c->sock;

	if (c->history_count > HISTORY_EARLY) /* both opened at once: what is noted of that lies where the rest would */
		return false;
	if (!seq_eq(t->iss, first_of(t->snd_una, c->bytes_acked)) || !seq_eq(t->irs, first_of(t->rcv_nxt, c->bytes_received)))
		return false;
	return tcb_state(t) == TCP_ESTABLISHED && t->held && !t->listener && !t->detached && !t->dirty_link &&
	       !sock->event_link && !sock->error && sender_rests(t) && receiver_rests(t) && !waits_for_time(t);
}

static void pack(const struct tcb *t, struct conn *c)
{
	struct rest *r = &c->rest;

	c->sock.spare[SPARE_SND_UNA] = t->snd_una.v;
	c->sock.spare[SPARE_SND_WND] = t->snd_wnd;
	c->sock.spare[SPARE_MAX_SND_WND] = t->max_snd_wnd;
	c->sock.spare[SPARE_TS_RECENT] = t->ts_recent;
	c->sock.spare[SPARE_RCV_NXT] = t->rcv_nxt.v;
	c->sock.spare[SPARE_RCV_ADV] = t->rcv_adv.v;
	*r = (struct rest){
		.srtt = t->rtt.srtt, .rttvar = t->rtt.rttvar, .rtt_min = t->rtt.min,
		.cc = (uint8_t)cc_number(t->cc_ops), .cwnd = t->cc.cwnd, .ssthresh = t->cc.ssthresh,
		.snd_scale = t->snd_scale & 15u, .rcv_scale = t->rcv_scale & 15u,
		.delivery_rate = rate_of(t->rate.bytes, t->rate.interval), .rate_limited = t->rate.was_limited,
		.last_received_ms = to_ms(t->last_received), .last_sent_ms = to_ms(t->last_sent),
	};
#define TAKE(field) r->field = t->field;
	KEPT(TAKE)
#undef TAKE
}

/* The keepalive has a timer of its own then. False: no memory for it. */
static bool hand_over_keepalive(struct tcb *t)
{
	struct extra *extra = tcb_timer_runs(t, TCB_KEEPALIVE) ? conn_extra(t->conn) : NULL;

	if (extra)
		timer_set(&tcb_stack(t)->wheel, &extra->timer, tcb_deadline(t, TCB_KEEPALIVE));
	return extra || !tcb_timer_runs(t, TCB_KEEPALIVE);
}

void tcb_rest_later(struct tcb *t)
{
	if (tcb_state(t) == TCP_ESTABLISHED && !tcb_timer_runs(t, TCB_REST))
		tcb_timer_set(t, TCB_REST, tcb_stack(t)->now + tcb_stack(t)->cfg.rest_after);
}

void conn_leave(struct tcb *t)
{
	struct conn *c = t->conn;

	c->extra = t->extra;
	c->at_rest = true;
	mem_give(&tcb_stack(t)->mem, MEM_SOCKET, POOL_TCB, t, sizeof(*t));
}

bool tcb_rest(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	struct conn *c = t->conn;
	stack_time due = max_u64(t->last_received, t->last_sent) + s->cfg.rest_after;

	if (due > s->now) {
		tcb_timer_set(t, TCB_REST, due);
		return false;
	}
	if (!may_rest(t) || !hand_over_keepalive(t))
		return false; /* whatever changes that looks here again */
	tcb_timers_stop(t);
	pack(t, c);
	tcb_memory_free(t);
	conn_leave(t);
	COUNT(s, tcp_rests);
	return true;
}

/* ---- and back ---- */

/* Marks in the sequence space: all past. */
static void set_marks(struct tcb *t)
{
	t->snd_nxt = t->snd_rtx = t->snd_small = t->snd_wl2 = t->snd_una;
	t->recover = seq_sub(t->snd_una, 1);
	t->round_end = t->flight_end = t->ecn_point = t->reorder_until = t->snd_una;
	t->rcv_up = t->last_ack_sent = t->snd_wl1 = t->rcv_taken = t->rcv_nxt;
}

static void set_times(struct tcb *t, const struct rest *r)
{
	stack_time now = tcb_stack(t)->now;

	t->last_received = from_ms(now, r->last_received_ms);
	t->last_sent = t->conn->data_out > 0 ? from_ms(now, r->last_sent_ms) : 0;
	t->rtt_started = now;
	t->cwnd_ms = to_ms(now);
	t->ato_ms = t->conn->data_in > 0; /* there has been data; the rest delack_data_received finds */
	t->rcv_began = (uint32_t)now;
	if (t->ts_on)
		return;
	t->rcv_mark = t->rcv_adv.v;
	t->rcv_mark_at = t->rcv_began;
}

static void set_sequences(struct tcb *t, const struct conn *c)
{
	t->snd_una = seq_make(c->sock.spare[SPARE_SND_UNA]);
	t->snd_wnd = c->sock.spare[SPARE_SND_WND];
	t->max_snd_wnd = c->sock.spare[SPARE_MAX_SND_WND];
	t->ts_recent = c->sock.spare[SPARE_TS_RECENT];
	t->ts_offset = tcp_ts_offset(t->stack, &c->sock.pcb);
	t->rcv_nxt = seq_make(c->sock.spare[SPARE_RCV_NXT]);
	t->rcv_adv = seq_make(c->sock.spare[SPARE_RCV_ADV]);
	t->iss = first_of(t->snd_una, c->bytes_acked);
	t->irs = first_of(t->rcv_nxt, c->bytes_received);
	t->bytes_sent = c->bytes_acked;
	set_marks(t);
}

static void unpack(struct tcb *t, struct conn *c)
{
	const struct rest *r = &c->rest;
	const struct stack_config *cfg = &c->sock.stack->cfg;

	tcb_init(t, c);
#define TAKE(field) t->field = r->field;
	KEPT(TAKE)
#undef TAKE
	t->held = t->syn_acked = true;
	t->snd_scale = r->snd_scale;
	t->rcv_scale = r->rcv_scale;
	set_sequences(t, c);
	set_times(t, r);
	tcp_set_mss(t);
	rtt_resume(&t->rtt, r->srtt, r->rttvar, r->rtt_min,
		   &(struct rtt_limits){.min = cfg->rto_min, .max = cfg->rto_max, .margin = cfg->rto_margin});
	t->rate.bytes = r->delivery_rate;
	t->rate.interval = r->delivery_rate ? SECONDS(1) : 0;
	t->rate.was_limited = r->rate_limited;
	tcp_cc_resume(t, cc_by_number(r->cc), r->cwnd, r->ssthresh);
}

static struct tcb *make(struct conn *c, struct tcb *t)
{
	struct extra *extra = c->extra;

	if (!t)
		return NULL;
	unpack(t, c);
	c->at_rest = false;
	c->tcb = t;
	t->extra = extra;
	c->sock.event_next = NULL;
	c->sock.event_link = NULL;
	c->sock.events = 0;
	c->sock.error = 0;
	if (extra)
		timer_cancel(&t->stack->wheel, &extra->timer);
	tcb_keepalive_start(t);
	tcb_rest_later(t);
	return t;
}

struct tcb *conn_make(struct conn *c)
{
	return make(c, mem_take(&c->sock.stack->mem, MEM_SOCKET, POOL_TCB, sizeof(struct tcb)));
}

struct tcb *tcb_of(struct sock *sock)
{
	struct conn *c = conn_of(sock);

	if (sock->pcb.kind != PCB_TCB)
		return NULL;
	return !c->at_rest ? c->tcb : make(c, mem_take_always(&sock->stack->mem, MEM_SOCKET, POOL_TCB, sizeof(struct tcb)));
}

const struct tcb *conn_look(const struct conn *c, struct tcb *room)
{
	if (!c->at_rest)
		return c->tcb;
	*room = (struct tcb){0};
	unpack(room, (struct conn *)(uintptr_t)c);
	if (c->extra && timer_armed(&c->extra->timer))
		room->deadline[TCB_KEEPALIVE] = (uint32_t)(c->extra->timer.at >> WHEEL_TICK_SHIFT);
	return room;
}

/* ---- the rest of its life ---- */

void conn_free(struct conn *c)
{
	struct stack *s = c->sock.stack;

	if (c->extra)
		timer_cancel(&s->wheel, &c->extra->timer);
	mem_give(&s->mem, MEM_SOCKET, POOL_EXTRA, c->extra, sizeof(*c->extra));
	if (c->sock.pcb.hashed)
		table_remove(&s->table, &c->sock.pcb);
	sock_options_free(&c->sock);
	s->sockets--;
	mem_give(&s->mem, MEM_SOCKET, POOL_CONN, c, sizeof(*c));
}

/* The keepalive is due. */
void conn_timer(struct stack *s, struct timer *timer)
{
	struct tcb *t = conn_wake(CONTAINER_OF(timer, struct extra, timer)->conn);

	if (!t)
		timer_set(&s->wheel, timer, s->now + SECONDS(1)); /* no memory: it can wait */
}
