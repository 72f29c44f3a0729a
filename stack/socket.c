/*
 * Sockets of either protocol: making, binding, and the calls that go on to TCP or UDP.
 *
 * Every socket is in the demultiplexing table all its life, so that it can be found and listed.
 * One that has no port yet, or whose place TIME-WAIT has taken, is parked under a key that no
 * packet can have: port 0 and its own id for a remote address.
 */
#include "tcp.h"

#include <errno.h>

bool sock_admit(struct stack *s)
{
	if (s->sockets >= s->cfg.sockets_max)
		return false;
	s->sockets++;
	return true;
}

void sock_park(struct sock *sock)
{
	struct pcb *p = &sock->pcb;

	p->local_v4 = p->remote_v4 = 0;
	p->local = 0;
	p->remote = (uint32_t)p->id;
	p->lport = p->rport = 0;
	table_insert(&sock->stack->table, p);
}

void sock_init(struct sock *sock, struct stack *s, enum pcb_kind kind, uint32_t owner, void *user)
{
	sock->stack = s;
	sock->user = user;
	sock->pcb.kind = (unsigned)kind & 7u;
	sock->pcb.state = TCP_CLOSED;
	sock->pcb.owner = owner;
	sock->pcb.id = PCB_ID(shard_next_id(s));
}

struct sock *stack_socket(struct stack *s, enum stack_proto proto, uint32_t owner, void *user)
{
	struct sock *sock;

	if (proto != STACK_TCP)
		return udp_new(s, proto, owner, user);
	if (!sock_admit(s))
		return NULL;
	sock = mem_take(&s->mem, MEM_SOCKET, POOL_SOCK, sizeof(*sock));
	if (!sock) {
		s->sockets--;
		return NULL;
	}
	sock_init(sock, s, PCB_BOUND, owner, user);
	sock_park(sock);
	return sock;
}

void stack_set_user(struct sock *sock, void *user)
{
	sock->user = user;
}

void *stack_user(const struct sock *sock)
{
	return sock->user;
}

enum tcp_state stack_state(const struct sock *sock)
{
	return (enum tcp_state)sock->pcb.state;
}

uint64_t stack_id(const struct sock *sock)
{
	return sock->pcb.id;
}

int stack_bind(struct sock *sock, const struct stack_endpoint *local)
{
	static const struct stack_endpoint nobody;
	struct stack *s = sock->stack;
	bool datagram = pcb_is_datagram(&sock->pcb);
	uint16_t port = local->port;
	int error = port_check_address(sock, &local->addr);

	if (error)
		return error;
	if ((sock->pcb.kind != PCB_BOUND && !datagram) || sock->pcb.lport || sock->pcb.rport)
		return -EINVAL;
	error = port_check(sock, local);
	if (error)
		return error;
	if (port == 0)
		port = port_choose(s, pcb_proto(&sock->pcb), &local->addr, &nobody);
	if (port == 0)
		return -EADDRINUSE;
	table_remove(&s->table, &sock->pcb);
	pcb_set_local(&sock->pcb, stack_addr_is_any(&local->addr) ? &nobody.addr : &local->addr);
	sock->pcb.lport = port;
	sock->pcb.port_given = local->port != 0;
	pcb_set_remote(&sock->pcb, &nobody.addr);
	table_insert(&s->table, &sock->pcb);
	return 0;
}

int stack_listen(struct sock **sock, uint32_t backlog)
{
	struct sock *old = *sock;
	struct listener *l;
	int error;

	if (backlog == 0)
		backlog = 1;
	if (old->pcb.kind == PCB_LISTEN) {
		CONTAINER_OF(old, struct listener, sock)->accept_limit = backlog;
		return 0;
	}
	if (old->pcb.kind != PCB_BOUND || old->pcb.lport == 0)
		return -EINVAL;
	error = port_check_listen(old);
	if (error)
		return error;
	l = listener_new(old->stack, old, backlog);
	if (!l)
		return -ENOBUFS;
	*sock = &l->sock;
	return 0;
}

struct sock *stack_accept(struct sock *listener)
{
	struct tcb *t;

	if (listener->pcb.kind != PCB_LISTEN)
		return NULL;
	t = listener_accept(CONTAINER_OF(listener, struct listener, sock));
	return t ? &t->conn->sock : NULL;
}

int stack_connect(struct sock **sock, stack_time now, const struct stack_endpoint *remote)
{
	struct sock *old = *sock;
	struct stack_endpoint local = pcb_local(&old->pcb);

	stack_at(old->stack, now);
	if ((remote->port == 0 && old->pcb.kind != PCB_PING) || stack_addr_is_any(&remote->addr))
		return pcb_is_datagram(&old->pcb) ? -EINVAL : -ECONNREFUSED;
	switch ((enum pcb_kind)old->pcb.kind) {
	case PCB_UDP:
	case PCB_PING:
		return udp_connect(old, remote);
	case PCB_BOUND:
		return tcp_connect(sock, &local, remote, NULL);
	case PCB_TCB:
	case PCB_LISTEN:
	case PCB_HALF:
	case PCB_TIME_WAIT:
		break;
	}
	return -EISCONN;
}

int stack_shutdown(struct sock *sock, stack_time now)
{
	struct tcb *t;

	stack_at(sock->stack, now);
	if (sock->pcb.kind != PCB_TCB)
		return -ENOTCONN;
	t = tcb_of(sock);
	if (!t)
		return -ENOBUFS;
	tcp_shutdown(t, CAUSE_SHUTDOWN);
	return 0;
}

/* Its tcb, to end it; without memory for that it ends at once: the peer is told when it next sends something. */
static struct tcb *tcb_to_end(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (!t)
		conn_free(conn_of(sock));
	return t;
}

void sock_bound_free(struct sock *sock)
{
	struct stack *s = sock->stack;

	table_remove(&s->table, &sock->pcb);
	sock_event_cancel(sock);
	sock_options_free(sock);
	s->sockets--;
	mem_give(&s->mem, MEM_SOCKET, POOL_SOCK, sock, sizeof(*sock));
}

void stack_close(struct sock *sock, stack_time now)
{
	struct tcb *t;

	stack_at(sock->stack, now);
	sock->user = NULL;
	switch ((enum pcb_kind)sock->pcb.kind) {
	case PCB_BOUND:
		sock_bound_free(sock);
		break;
	case PCB_LISTEN:
		sock_ended(sock);
		listener_close(CONTAINER_OF(sock, struct listener, sock));
		break;
	case PCB_TCB:
		t = tcb_to_end(sock);
		if (t)
			tcp_close(t);
		break;
	case PCB_UDP:
	case PCB_PING:
		sock_ended(sock);
		udp_close(sock);
		break;
	case PCB_HALF:
	case PCB_TIME_WAIT:
		break; /* nobody holds these */
	}
}

void stack_abort(struct sock *sock, stack_time now)
{
	struct tcb *t;

	if (sock->pcb.kind != PCB_TCB) {
		stack_close(sock, now);
		return;
	}
	stack_at(sock->stack, now);
	sock->user = NULL;
	t = tcb_to_end(sock);
	if (!t)
		return;
	t->held = false;
	tcp_abort(t, CAUSE_ABORT, 0);
}
