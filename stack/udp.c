/*
 * UDP (RFC 768, RFC 1122 4.1).
 *
 * A socket is in the demultiplexing table all its life: parked, bound to (address, port) or
 * (any, port), or connected to one peer. A datagram goes to the most exact match.
 *
 * Invariant: queued is the memory of the datagrams in the queue, and at most the limit that
 * held when the last of them came.
 */
#include "checksum.h"
#include "net.h"

#include <errno.h>

#define PAYLOAD_MAX (UINT16_MAX - IP4_HEADER - UDP_HEADER)
#define CSUM_OFFSET 6
#define QUEUE_LIMIT (1u << 20) /* bytes; a datagram queue does not grow by itself, so it may be larger at first */

/* A datagram that waits for its reader. */
struct datagram {
	struct datagram *next;
	struct stack_endpoint from;
	uint32_t len; /* payload bytes */
	uint8_t data[];
};

static const struct stack_endpoint nobody;

static struct udp_sock *udp_of(struct sock *sock)
{
	return CONTAINER_OF(sock, struct udp_sock, sock);
}

static bool connected(const struct sock *sock)
{
	return sock->pcb.state == TCP_ESTABLISHED;
}

/* ---- the queue ---- */

static size_t datagram_size(size_t len)
{
	return sizeof(struct datagram) + len;
}

/* Row U3: what comes faster than the owner reads is dropped, and counted by socket. */
static bool enqueue(struct stack *s, struct udp_sock *u, const struct stack_endpoint *from,
		    const uint8_t *data, size_t len)
{
	size_t size = datagram_size(len);
	struct datagram *d;

	if (u->queued + size > u->limit || size > mem_share(&s->mem, u->queued) ||
	    !(d = mem_alloc_raw(&s->mem, MEM_RECV, size))) {
		COUNT(s, udp_in_full);
		u->drops++;
		return false;
	}
	d->next = NULL;
	d->from = *from;
	d->len = (uint32_t)len;
	memcpy(d->data, data, len);
	if (u->tail)
		u->tail->next = d;
	else
		u->head = d;
	u->tail = d;
	u->queued += (uint32_t)size;
	sock_event(&u->sock, STACK_EVENT_READABLE);
	return true;
}

static void dequeue(struct stack *s, struct udp_sock *u)
{
	struct datagram *d = u->head;

	u->head = d->next;
	if (!u->head)
		u->tail = NULL;
	u->queued -= (uint32_t)datagram_size(d->len);
	mem_free(&s->mem, MEM_RECV, d, datagram_size(d->len));
}

/* ---- in ---- */

static struct udp_sock *demux(struct stack *s, const struct stack_endpoint *local,
			      const struct stack_endpoint *remote)
{
	const struct stack_addr *any = &nobody.addr;
	struct pcb *p = table_find(&s->table, true, &local->addr, local->port, &remote->addr, remote->port);

	if (!p)
		p = table_find(&s->table, true, &local->addr, local->port, any, 0);
	if (!p)
		p = table_find(&s->table, true, any, local->port, any, 0);
	return p ? CONTAINER_OF(p, struct udp_sock, sock.pcb) : NULL;
}

static void deliver(struct stack *s, struct udp_sock *u, const struct stack_endpoint *from,
		    const struct stack_endpoint *to, const uint8_t *data, size_t len)
{
	struct sock *sock = &u->sock;
	bool taken = !u->head && sock->user && s->ops.datagram &&
		     s->ops.datagram(s->context, sock, sock->user, from, to, data, len);

	if (taken || enqueue(s, u, from, data, len)) {
		COUNT(s, udp_in);
		u->in++;
	}
}

void udp_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len)
{
	struct udp_header h;
	const char *wrong = udp_parse(p, len, &ip->src, &ip->dst, ip->csum_good, &h);
	struct stack_endpoint from, to;
	struct udp_sock *u;

	if (wrong == wire_bad_checksum) {
		COUNT(s, udp_in_bad_checksum);
		return;
	}
	if (wrong || h.dport == 0) {
		COUNT(s, udp_in_bad);
		return;
	}
	from = (struct stack_endpoint){ip->src, h.sport};
	to = (struct stack_endpoint){ip->dst, h.dport};
	u = demux(s, &to, &from);
	if (u) {
		deliver(s, u, &from, &to, p + UDP_HEADER, h.len - UDP_HEADER);
		return;
	}
	COUNT(s, udp_in_no_port);
	icmp4_error(s, ip, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0); /* RFC 1122 4.1.3.1 */
}

void udp_error(struct stack *s, const struct stack_endpoint *local, const struct stack_endpoint *remote,
	       const struct net_error *e)
{
	struct pcb *p = table_find(&s->table, true, &local->addr, local->port, &remote->addr, remote->port);
	struct sock *sock;

	/* We send without DF, so that "too big" is forged or somebody's mistake. */
	if (!p || e->error == EMSGSIZE)
		return;
	sock = CONTAINER_OF(p, struct sock, pcb);
	if (sock->error == ECONNABORTED) /* killed, which its holder still has to hear */
		return;
	sock->error = e->error; /* RFC 1122 4.1.3.3: all errors are passed up */
	sock_event(sock, STACK_EVENT_ERROR);
}

/* A pending error, once: no event tells it afterwards. Negative errno or 0. */
static int take_error(struct sock *sock)
{
	int error = sock->error;

	if (error == 0 || error == ECONNABORTED) /* that one is for the event: the holder must close */
		return 0;
	sock->error = 0;
	sock->events &= ~STACK_EVENT_ERROR;
	if (sock->events == 0)
		sock_event_cancel(sock);
	return -error;
}

/* ---- out ---- */

/* A port of its own for a socket that sends or connects before it was bound; 0 or a negative errno. */
static int bind_if_needed(struct sock *sock, const struct stack_addr *local, const struct stack_endpoint *remote)
{
	struct pcb *p = &sock->pcb;
	uint16_t port;

	if (p->lport != 0)
		return 0;
	port = port_choose(sock->stack, true, local, remote);
	if (port == 0)
		return -EADDRNOTAVAIL;
	table_remove(&sock->stack->table, p);
	p->local = p->remote = nobody.addr;
	p->lport = port;
	table_insert(&sock->stack->table, p);
	return 0;
}

/* The route to `remote`, and whether this socket may use it. */
static int route_to(struct sock *sock, const struct stack_endpoint *remote, struct route_result *out)
{
	int error;

	*out = (struct route_result){.source = sock->pcb.local};
	if (address_is_broadcast(sock->stack, &out->source) || address_is_multicast(&out->source))
		out->source = nobody.addr; /* bound there to receive; RFC 1122 3.2.1.3: never a source */
	error = route_lookup(sock->stack, &remote->addr, out);
	if (error)
		return error;
	return out->broadcast && !udp_of(sock)->broadcast ? -EACCES : 0;
}

static int output(struct sock *sock, const struct stack_endpoint *to, const struct stack_addr *src,
		  const void *data, size_t len)
{
	struct stack *s = sock->stack;
	struct udp_header h = {
		.sport = sock->pcb.lport, .dport = to->port, .len = (uint16_t)(UDP_HEADER + len),
	};
	struct ip_params params = {
		.src = *src, .dst = to->addr, .proto = IP_PROTO_UDP,
		.ttl = sock_ttl(sock), .tos = sock_options(sock)->tos,
		.may_broadcast = udp_of(sock)->broadcast,
	};
	struct tx tx;

	tx_init(&tx);
	udp_write(tx_push(&tx, UDP_HEADER), &h,
		  checksum_fold(checksum_pseudo(src, &to->addr, IP_PROTO_UDP, h.len)));
	tx.transport = tx.start;
	tx.csum_partial = true;
	tx.csum_offset = CSUM_OFFSET;
	if (len > 0)
		tx_add(&tx, data, len);
	return ip_output(s, &tx, &params);
}

ptrdiff_t stack_sendto(struct sock *sock, stack_time now, const struct stack_endpoint *to,
		       const void *data, size_t len)
{
	struct stack_endpoint peer = {sock->pcb.remote, sock->pcb.rport};
	struct route_result route;
	int error;

	if (sock->pcb.kind != PCB_UDP)
		return -EOPNOTSUPP;
	sock->stack->now = now;
	error = take_error(sock);
	if (error)
		return error;
	if (len > PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!to && !connected(sock))
		return -EDESTADDRREQ;
	if (!to)
		to = &peer;
	if (to->port == 0)
		return -EINVAL;
	error = route_to(sock, to, &route);
	if (!error)
		error = bind_if_needed(sock, &route.source, to);
	if (!error)
		error = output(sock, to, &route.source, data, len);
	if (error)
		return error;
	udp_of(sock)->out++;
	COUNT(sock->stack, udp_out);
	return (ptrdiff_t)len;
}

ptrdiff_t stack_recvfrom(struct sock *sock, void *data, size_t len, struct stack_endpoint *from)
{
	struct udp_sock *u;
	ptrdiff_t whole;
	int error;

	if (sock->pcb.kind != PCB_UDP)
		return -EOPNOTSUPP;
	u = udp_of(sock);
	error = take_error(sock);
	if (error)
		return error;
	if (!u->head)
		return -EAGAIN;
	whole = (ptrdiff_t)u->head->len;
	if (len > 0)
		memcpy(data, u->head->data, min_size(len, u->head->len));
	if (from)
		*from = u->head->from;
	dequeue(sock->stack, u);
	return whole;
}

/* ---- sockets ---- */

struct sock *udp_new(struct stack *s, uint32_t owner, void *user)
{
	struct udp_sock *u;

	if (!sock_admit(s))
		return NULL;
	u = mem_alloc(&s->mem, MEM_SOCKET, sizeof(*u));
	if (!u) {
		s->sockets--;
		return NULL;
	}
	sock_init(&u->sock, s, PCB_UDP, owner, user);
	u->limit = max_u32(s->cfg.recv_buffer, min_u32(s->cfg.recv_buffer_max, QUEUE_LIMIT));
	sock_park(&u->sock);
	return &u->sock;
}

int udp_connect(struct sock *sock, const struct stack_endpoint *remote)
{
	struct stack *s = sock->stack;
	struct pcb *p = &sock->pcb;
	struct route_result route;
	struct pcb *other;
	int error;

	if (remote->port == 0)
		return -EINVAL;
	error = route_to(sock, remote, &route);
	if (!error)
		error = bind_if_needed(sock, &route.source, remote);
	if (error)
		return error;
	other = table_find(&s->table, true, &route.source, p->lport, &remote->addr, remote->port);
	if (other && other != p)
		return -EADDRINUSE;
	table_remove(&s->table, p);
	p->local = route.source;
	p->remote = remote->addr;
	p->rport = remote->port;
	p->state = TCP_ESTABLISHED;
	table_insert(&s->table, p);
	return 0;
}

void udp_close(struct sock *sock)
{
	struct stack *s = sock->stack;
	struct udp_sock *u = udp_of(sock);

	while (u->head)
		dequeue(s, u);
	table_remove(&s->table, &sock->pcb);
	sock_event_cancel(sock);
	sock_options_free(sock);
	s->sockets--;
	mem_free(&s->mem, MEM_SOCKET, u, sizeof(*u));
}
