/* The user's calls of RFC 9293 3.10.1 to 3.10.5: OPEN, SEND, RECEIVE, CLOSE, ABORT. */
#include "tcp.h"

#include <errno.h>

/* ---- OPEN ---- */

/* Local address and port, and that nobody has this connection yet. */
static int choose_local(struct stack *s, struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	struct route_result route = {.source = local->addr};
	int error = route_lookup(s, &remote->addr, &route);

	if (error)
		return error;
	if (route.broadcast)
		return -ENETUNREACH; /* RFC 9293 3.9.2.3: never to a broadcast or multicast address */
	if (stack_addr_is_any(&local->addr))
		local->addr = route.source;
	if (local->port == 0)
		local->port = port_choose(s, STACK_TCP, &local->addr, remote);
	if (local->port == 0 ||
	    table_find(&s->table, STACK_TCP, &local->addr, local->port, &remote->addr, remote->port))
		return -EADDRNOTAVAIL;
	return 0;
}

int tcp_connect(struct sock **sock, const struct stack_endpoint *bound, const struct stack_endpoint *remote,
		struct fastopen_request *fastopen)
{
	struct sock *old = *sock;
	struct stack *s = old->stack;
	struct stack_endpoint local = *bound;
	int error = choose_local(s, &local, remote);
	struct tcb *t;

	if (error)
		return error;
	t = tcb_new(s, old->pcb.owner, old->user);
	if (!t)
		return -ENOBUFS;
	t->conn->sock.pcb.id = old->pcb.id;
	pcb_set_local(&t->conn->sock.pcb, &local.addr);
	t->conn->sock.pcb.lport = local.port;
	t->conn->sock.pcb.port_given = old->pcb.port_given;
	pcb_set_remote(&t->conn->sock.pcb, &remote->addr);
	t->conn->sock.pcb.rport = remote->port;
	t->held = true;
	t->iss = tcp_isn(s, &t->conn->sock.pcb);
	t->ts_offset = tcp_ts_offset(s, &t->conn->sock.pcb);
	t->snd_una = t->snd_nxt = t->snd_rtx = t->recover = t->iss;
	t->conn->sock.options = old->options;
	old->options = NULL;
	tcb_take_options(t);
	t->mtu = path_mtu_get(s, &remote->addr);
	/* What our SYN offers, whatever the configuration says by the time that it is answered. */
	t->ws_on = s->cfg.window_scaling;
	t->ts_on = s->cfg.timestamps;
	t->sack_on = s->cfg.sack;
	t->ecn_on = s->cfg.ecn == STACK_ECN_ASK;
	t->rcv_scale = t->ws_on ? tcp_window_scale(sock_recv_limit_max(&t->conn->sock)) & 15u : 0;
	s->sockets++; /* sock_bound_free gives back the old one's */
	sock_bound_free(old);
	table_insert(&s->table, &t->conn->sock.pcb);
	*sock = &t->conn->sock;
	COUNT(s, tcp_active_opens);
	tcb_set_state(t, TCP_SYN_SENT, CAUSE_ACTIVE_OPEN);
	if (fastopen)
		fastopen_open(t, fastopen);
	tcp_send_syn(t);
	return 0;
}

/* ---- SEND ---- */

static bool may_send(const struct tcb *t)
{
	enum tcp_state state = tcb_state(t);

	return !t->fin_queued && (state == TCP_SYN_SENT || state == TCP_SYN_RECEIVED ||
				  state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT);
}

/* What fits into the send queue of `want` bytes or more, which may become larger for it; an empty one has room for a segment. */
static size_t room_for(struct tcb *t, size_t want)
{
	size_t room;

	if (t->sndq.len == 0 && want <= t->mss)
		return want;
	room = tcp_send_room(t);
	if (want <= room)
		return room;
	tcp_send_tune(t);
	return tcp_send_room(t);
}

size_t stack_send_space(struct sock *sock, size_t want, struct iovec *iov, unsigned *iov_count)
{
	struct tcb *t = tcb_of(sock);
	size_t room, share, lent;

	if (!t || !may_send(t)) {
		*iov_count = 0;
		return 0;
	}
	room = room_for(t, want);
	share = mem_share(&sock->stack->mem, t->sndq.len);
	lent = byteq_lend(&t->sndq, &sock->stack->mem, MEM_SEND, min_size(want, min_size(room, share)), iov, iov_count);
	if (lent < want)
		t->want_write = true;
	/* No memory, and no ACK will come that could wake the writer: a timer does. */
	if (lent == 0 && room > 0 && want > 0 && t->sndq.len == 0)
		tcb_timer_set(t, TCB_PERSIST, sock->stack->now + MILLISECONDS(200));
	return lent;
}

void stack_send_commit(struct sock *sock, stack_time now, size_t len)
{
	struct tcb *t = tcb_of(sock);

	if (!t)
		return;
	stack_at(sock->stack, now);
	byteq_commit(&t->sndq, &sock->stack->mem, MEM_SEND, len);
	t->more = t->unpushed = false;
	if (len > 0)
		tcb_dirty(t);
}

bool stack_send_ready(const struct sock *sock)
{
	const struct conn *c = conn_of_const(sock);

	return sock->pcb.kind == PCB_TCB && (c->at_rest || (may_send(c->tcb) && tcp_send_ready(c->tcb)));
}

void stack_send_more(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (sock->pcb.kind == PCB_TCB)
		t->more = t->unpushed = true;
}

void stack_send_now(struct sock *sock, stack_time now)
{
	struct tcb *t = tcb_of(sock);

	if (!t || !t->dirty_link)
		return;
	stack_at(sock->stack, now);
	tcb_clean(t);
	if (tcp_output(t))
		tcb_dirty(t);
}

ptrdiff_t stack_send(struct sock *sock, stack_time now, const void *data, size_t len)
{
	const uint8_t *from = data;
	struct tcb *t = tcb_of(sock);
	size_t done = 0;

	if (!t && sock->pcb.kind == PCB_TCB)
		return -ENOBUFS;
	if (sock->error)
		return -sock->error;
	if (!t)
		return -ENOTCONN;
	if (!may_send(t))
		return -EPIPE;
	while (done < len) {
		struct iovec iov[8];
		unsigned count = ARRAY_SIZE(iov);
		size_t lent = stack_send_space(sock, len - done, iov, &count);

		for (unsigned i = 0, at = 0; i < count; at += (unsigned)iov[i].iov_len, i++)
			memcpy(iov[i].iov_base, from + done + at, iov[i].iov_len);
		stack_send_commit(sock, now, lent);
		done += lent;
		if (lent == 0)
			break;
	}
	return (ptrdiff_t)done;
}

/* ---- RECEIVE ---- */

/* What it has for its reader; NULL: nothing, for it is at rest, or no connection. */
static struct tcb *reader(struct sock *sock)
{
	return sock->pcb.kind == PCB_TCB ? conn_tcb(conn_of(sock)) : NULL;
}

size_t stack_recv_peek(struct sock *sock, struct iovec *iov, unsigned *iov_count)
{
	const struct tcb *t = reader(sock);
	uint32_t skip, n;

	if (!t) {
		*iov_count = 0;
		return 0;
	}
	n = urgent_readable(t, &skip);
	return byteq_gather(&t->rcvq, skip, n, iov, iov_count);
}

void stack_recv_consume(struct sock *sock, stack_time now, size_t len)
{
	struct tcb *t = reader(sock);

	if (!t)
		return;
	stack_at(sock->stack, now);
	len = urgent_passed(t, (uint32_t)min_size(len, t->rcvq.len));
	byteq_consume(&t->rcvq, &sock->stack->mem, MEM_RECV, min_size(len, t->rcvq.len));
	if (t->detached)
		return;
	if (tcp_receive_tune_due(t))
		tcp_receive_tune(t);
	tcp_window_update(t);
	tcb_rest_later(t);
}

ptrdiff_t stack_recv(struct sock *sock, stack_time now, void *data, size_t len)
{
	struct tcb *t = reader(sock);
	uint32_t skip;
	size_t n;

	if (sock->pcb.kind != PCB_TCB)
		return -ENOTCONN;
	if (!t)
		return -EAGAIN;
	n = min_size(len, urgent_readable(t, &skip));
	n = byteq_copy(&t->rcvq, skip, data, n);
	if (n > 0) {
		stack_recv_consume(sock, now, n);
		return (ptrdiff_t)n;
	}
	if (sock->error)
		return -sock->error;
	return t->fin_received || tcb_state(t) == TCP_CLOSED ? 0 : -EAGAIN;
}

/* ---- CLOSE and ABORT ---- */

void tcp_shutdown(struct tcb *t, enum tcp_cause cause)
{
	if (t->fin_queued)
		return;
	switch (tcb_state(t)) {
	case TCP_ESTABLISHED:
		tcb_set_state(t, TCP_FIN_WAIT_1, cause);
		break;
	case TCP_CLOSE_WAIT:
		tcb_set_state(t, TCP_LAST_ACK, cause);
		break;
	case TCP_SYN_SENT:
	case TCP_SYN_RECEIVED: /* "queue for processing after entering ESTABLISHED state" */
		break;
	case TCP_CLOSED: case TCP_LISTEN: case TCP_FIN_WAIT_1: case TCP_FIN_WAIT_2:
	case TCP_CLOSING: case TCP_LAST_ACK: case TCP_TIME_WAIT:
		return;
	}
	t->fin_queued = true;
	tcb_dirty(t);
}

void tcp_abort(struct tcb *t, enum tcp_cause cause, int error)
{
	switch (tcb_state(t)) {
	case TCP_SYN_RECEIVED: case TCP_ESTABLISHED: case TCP_FIN_WAIT_1: case TCP_FIN_WAIT_2:
	case TCP_CLOSE_WAIT:
		tcp_send_rst(t);
		break;
	case TCP_CLOSING: case TCP_LAST_ACK: /* in the RFC these have sent all there is */
		if (!t->fin_sent)
			tcp_send_rst(t);
		break;
	case TCP_CLOSED: case TCP_LISTEN: case TCP_SYN_SENT: case TCP_TIME_WAIT:
		break;
	}
	tcb_end(t, error, cause);
}

void tcp_close(struct tcb *t)
{
	const struct sock_options *linger = sock_options(&t->conn->sock);
	enum tcp_state state = tcb_state(t);

	t->held = false;
	t->user_closed = true;
	sock_event_cancel(&t->conn->sock);
	if (state == TCP_CLOSED || state == TCP_TIME_WAIT || t->detached) {
		tcb_free(t);
	} else if (state == TCP_SYN_SENT) {
		tcb_end(t, 0, CAUSE_CLOSE);
	} else if (linger->linger && linger->linger_s == 0) { /* socket(7): what is queued is thrown away */
		tcp_abort(t, CAUSE_CLOSE, 0);
	} else if (urgent_unread(t) > 0) { /* RFC 9293 3.6.1: the peer must learn that its data was lost */
		COUNT(tcb_stack(t), tcp_aborts_unread);
		tcp_send_rst(t);
		tcb_end(t, 0, CAUSE_CLOSE);
	} else if (state == TCP_FIN_WAIT_2) {
		tcb_fin_wait_2_start(t);
	} else {
		tcp_pace_again(t);
		tcp_shutdown(t, CAUSE_CLOSE);
	}
}
