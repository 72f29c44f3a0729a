/*
 * The one door for TCP state changes, and the life of a tcb.
 *
 * A tcb is freed when the connection is over and nobody holds it: in tcb_end, time_wait_enter
 * or tcp_close, whichever comes last.
 */
#include "tcp.h"

#include <errno.h>

/* Which changes RFC 9293 figure 5 and sections 3.10.1 to 3.10.8 know: bit `to` of row `from`. */
#define TO(state) (1u << (state))
static const uint16_t allowed[TCP_STATE_COUNT] = {
	[TCP_CLOSED] = TO(TCP_SYN_SENT) | TO(TCP_SYN_RECEIVED),
	[TCP_LISTEN] = TO(TCP_CLOSED),
	[TCP_SYN_SENT] = TO(TCP_SYN_RECEIVED) | TO(TCP_ESTABLISHED) | TO(TCP_CLOSED),
	[TCP_SYN_RECEIVED] = TO(TCP_ESTABLISHED) | TO(TCP_FIN_WAIT_1) | TO(TCP_CLOSED),
	[TCP_ESTABLISHED] = TO(TCP_FIN_WAIT_1) | TO(TCP_CLOSE_WAIT) | TO(TCP_CLOSED),
	[TCP_FIN_WAIT_1] = TO(TCP_FIN_WAIT_2) | TO(TCP_CLOSING) | TO(TCP_TIME_WAIT) | TO(TCP_CLOSED),
	[TCP_FIN_WAIT_2] = TO(TCP_TIME_WAIT) | TO(TCP_CLOSED),
	[TCP_CLOSE_WAIT] = TO(TCP_LAST_ACK) | TO(TCP_CLOSED),
	[TCP_CLOSING] = TO(TCP_TIME_WAIT) | TO(TCP_CLOSED),
	[TCP_LAST_ACK] = TO(TCP_CLOSED),
	[TCP_TIME_WAIT] = TO(TCP_CLOSED),
};

/* Nothing of it, to look at. */
const struct extra extra_none;

struct extra *conn_extra(struct conn *c)
{
	struct extra **extra = c->at_rest ? &c->extra : &c->tcb->extra;

	if (*extra)
		return *extra;
	*extra = mem_take(&c->sock.stack->mem, MEM_SOCKET, POOL_EXTRA, sizeof(**extra));
	if (*extra) {
		(*extra)->conn = c;
		(*extra)->timer.kind = TIMER_REST;
	}
	return *extra;
}

/* The graph of `allowed` has no way that is longer than STACK_HISTORY. */
void tcb_note(struct tcb *t, uint32_t ms, enum tcp_state from, enum tcp_state to, enum tcp_cause cause)
{
	struct conn *c = t->conn;
	struct tcp_change change = {(uint8_t)to, (uint8_t)cause};
	unsigned n = c->history_count;

	if (n == 0)
		c->history_first = (uint8_t)from;
	if (n < HISTORY_EARLY) {
		c->history[n] = change;
		c->second_ms = ms;
	} else if (n < STACK_HISTORY) {
		c->late[n - HISTORY_EARLY] = change;
		c->late_ms[n - HISTORY_EARLY] = ms;
	} else {
		return;
	}
	c->history_count = (n + 1) & 0x7fu;
}

void tcb_set_state(struct tcb *t, enum tcp_state state, enum tcp_cause cause)
{
	struct stack *s = tcb_stack(t);
	enum tcp_state from = tcb_state(t);

	if (from == state)
		return;
	if (!(allowed[from] & TO(state))) {
		s->wrong = "a state change that RFC 9293 does not know";
		return;
	}
	tcb_note(t, to_ms(s->now), from, state, cause);
	fastopen_state_change(t, from, state, cause);
	t->conn->sock.pcb.state = (unsigned)state & 0xfu;
	COUNT(s, tcp_transitions);
}

bool tcp_state_receives(enum tcp_state state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT_1 || state == TCP_FIN_WAIT_2;
}

void tcb_init(struct tcb *t, struct conn *c)
{
	struct stack *s = c->sock.stack;

	t->conn = c;
	t->stack = s;
	t->timer.kind = TIMER_TCB;
	for (unsigned i = 0; i < TCB_TIMER_COUNT; i++)
		t->deadline[i] = TCB_NEVER;
	t->last_received = s->now;
	tcp_buffers_init(t);
	t->mtu = s->cfg.mtu;
	t->mss_peer = TCP_MSS_DEFAULT;
	t->mss = TCP_MSS_DEFAULT;
	t->cc_ops = cc_find(s->cfg.congestion_control);
	rtt_init(&t->rtt, s->cfg.rto_initial);
	t->reorder_steps = 1;
	t->challenge_ms = to_ms(s->now);
	t->quick = s->cfg.quick_acks;
	tcb_take_options(t);
}

struct tcb *tcb_new(struct stack *s, uint32_t owner, void *user)
{
	struct conn *c = mem_take(&s->mem, MEM_SOCKET, POOL_CONN, sizeof(*c));
	struct tcb *t = c ? mem_take(&s->mem, MEM_SOCKET, POOL_TCB, sizeof(*t)) : NULL;

	if (!t) {
		mem_give(&s->mem, MEM_SOCKET, POOL_CONN, c, sizeof(*c));
		return NULL;
	}
	sock_init(&c->sock, s, PCB_TCB, owner, user);
	c->created = s->now;
	c->tcb = t;
	tcb_init(t, c);
	return t;
}

void tcb_clean(struct tcb *t)
{
	if (!t->dirty_link)
		return;
	*t->dirty_link = t->dirty_next;
	if (t->dirty_next)
		t->dirty_next->dirty_link = t->dirty_link;
	else
		tcb_stack(t)->dirty_tail = t->dirty_link;
	t->dirty_link = NULL;
}

void tcb_memory_free(struct tcb *t)
{
	struct mem *m = &tcb_stack(t)->mem;

	tcp_ooo_clear(t);
	scoreboard_clear(&t->board, m);
	recovery_free(t);
	records_clear(t);
	byteq_clear(&t->sndq, m, MEM_SEND);
	byteq_clear(&t->rcvq, m, MEM_RECV);
	tcp_cc_free(t);
	tcp_mtu_free(t);
}

void tcb_free(struct tcb *t)
{
	struct conn *c = t->conn;

	tcb_timers_stop(t);
	tcb_clean(t);
	sock_event_cancel(&c->sock);
	tcb_memory_free(t);
	conn_leave(t);
	conn_free(c);
}

void tcb_event(struct tcb *t, unsigned events)
{
	if (t->held)
		sock_event(&t->conn->sock, events);
}

/* Under another key. Whoever is to accept it still wants to know the peer: then only our port goes, and no packet has port 0. */
static void tcb_park(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	table_remove(&s->table, &t->conn->sock.pcb);
	if (!t->listener) {
		sock_park(&t->conn->sock);
		return;
	}
	t->conn->sock.pcb.lport = 0;
	table_insert(&s->table, &t->conn->sock.pcb);
}

/* Its key is for others from now on; the handle stays good, data not yet read too, and both ends' addresses are known. */
static void tcb_pass(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	tcb_timers_stop(t);
	tcp_ooo_clear(t);
	scoreboard_clear(&t->board, &s->mem);
	recovery_free(t);
	records_clear(t);
	byteq_clear(&t->sndq, &s->mem, MEM_SEND);
	tcp_mtu_free(t);
	if (t->detached)
		return;
	t->detached = true;
	if (!table_pass(&s->table, &t->conn->sock.pcb))
		tcb_park(t);
}

/*
 * In the accept queue with data that we have acknowledged: whoever accepts it can read that, and
 * then learns of the end, as on the host.
 */
static bool ended_with_data(const struct tcb *t, enum tcp_cause cause)
{
	return t->listener && t->rcvq.len > 0 && !t->detached &&
	       (cause == CAUSE_RST_RECEIVED || cause == CAUSE_ICMP);
}

void tcb_end(struct tcb *t, int error, enum tcp_cause cause)
{
	bool kept = ended_with_data(t, cause);

	tcb_set_state(t, TCP_CLOSED, cause);
	sock_ended(&t->conn->sock);
	if (t->listener && !kept)
		listener_unqueue(t);
	if (!t->held && !kept) {
		tcb_free(t);
		return;
	}
	tcb_pass(t);
	t->conn->sock.error = error;
	tcb_event(t, error ? STACK_EVENT_ERROR : STACK_EVENT_CLOSED);
}

void tcb_dirty(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	if (t->dirty_link)
		return;
	t->dirty_next = NULL;
	t->dirty_link = s->dirty_tail;
	*s->dirty_tail = t;
	s->dirty_tail = &t->dirty_next;
}
