/*
 * UDP (RFC 768, RFC 1122 4.1), and what sockets for datagrams share: ping.c has what is different
 * with echo requests, failure.c the errors that IP_RECVERR keeps.
 *
 * A socket is in the demultiplexing table all its life: parked, bound to (address, port) or
 * (any, port), or connected to one peer. A datagram goes to the most exact match.
 *
 * Several datagrams may travel together, as long as all but the last are of one size: in a frame,
 * where the link can (virtio-net's USO), and between a socket and its owner, when that asks for it
 * (UDP_SEGMENT, UDP_GRO of the host). One header, one look-up and one route do for all of them.
 *
 * Invariant: queued is the memory of the datagrams in the queue, and at most the limit that
 * held when the last of them came.
 */
#include "checksum.h"
#include "net.h"

#include <errno.h>
#include <netinet/in.h>

#define PAYLOAD_MAX (UINT16_MAX - IP4_HEADER - UDP_HEADER)
#define CSUM_OFFSET 6
#define QUEUE_LIMIT (1u << 20) /* bytes; a datagram queue does not grow by itself, so it may be larger at first */

/* A datagram that waits for its reader. */
struct datagram {
	struct datagram *next;
	struct stack_endpoint from;
	struct stack_arrival how;
	uint32_t len; /* payload bytes */
	uint8_t data[];
};

static const struct stack_endpoint nobody;

static bool connected(const struct sock *sock)
{
	return sock->pcb.state == TCP_ESTABLISHED;
}

/* ---- the queue ---- */

/* Datagrams of `segment` bytes that make up `len`; 0: it is one. */
static uint32_t pieces(size_t len, uint32_t segment)
{
	return segment && len > segment ? (uint32_t)((len + segment - 1) / segment) : 1;
}

static size_t datagram_size(size_t len)
{
	return sizeof(struct datagram) + len;
}

/* Row U3: what comes faster than the owner reads is dropped, and counted by socket. */
static bool enqueue(struct stack *s, struct udp_sock *u, const struct stack_endpoint *from,
		    const struct stack_arrival *how, const uint8_t *data, size_t len)
{
	size_t size = datagram_size(len);
	struct datagram *d;

	if (u->queued + size > u->limit || size > mem_share(&s->mem, u->queued) ||
	    !(d = mem_alloc_raw(&s->mem, MEM_RECV, size))) {
		COUNT_ADD(s, udp_in_full, pieces(len, how->segment));
		u->drops += pieces(len, how->segment);
		return false;
	}
	d->next = NULL;
	d->from = *from;
	d->how = *how;
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

struct udp_sock *udp_find(struct stack *s, enum stack_proto proto, const struct stack_addr *addr, uint16_t port)
{
	const struct stack_addr *any = &nobody.addr;
	struct pcb *p = table_find(&s->table, proto, addr, port, any, 0);

	if (!p)
		p = table_find(&s->table, proto, any, port, any, 0);
	return p ? CONTAINER_OF(p, struct udp_sock, sock.pcb) : NULL;
}

static struct udp_sock *demux(struct stack *s, const struct stack_endpoint *local,
			      const struct stack_endpoint *remote)
{
	struct pcb *p = table_find(&s->table, STACK_UDP, &local->addr, local->port, &remote->addr, remote->port);

	return p ? CONTAINER_OF(p, struct udp_sock, sock.pcb) : udp_find(s, STACK_UDP, &local->addr, local->port);
}

void udp_deliver(struct stack *s, struct udp_sock *u, const struct stack_endpoint *from,
		 const struct stack_arrival *how, const uint8_t *data, size_t len)
{
	struct sock *sock = &u->sock;
	bool taken = !u->head && sock->user && s->ops.datagram &&
		     s->ops.datagram(s->context, sock, sock->user, from, how, data, len);

	if (!taken && !enqueue(s, u, from, how, data, len))
		return;
	u->in += pieces(len, how->segment);
	if (sock->pcb.kind == PCB_UDP)
		COUNT_ADD(s, udp_in, pieces(len, how->segment));
}

/* What came in one frame: as it is, or one by one to who does not ask for it. */
static void deliver_row(struct stack *s, struct udp_sock *u, const struct stack_endpoint *from,
			struct stack_arrival *how, const uint8_t *data, size_t len, uint32_t segment)
{
	if (len <= segment || segment == 0) {
		udp_deliver(s, u, from, how, data, len);
	} else if (sock_options(&u->sock)->merged) {
		how->segment = (uint16_t)segment;
		udp_deliver(s, u, from, how, data, len);
	} else {
		for (size_t at = 0; at < len; at += segment)
			udp_deliver(s, u, from, how, data + at, min_size(segment, len - at));
	}
}

void udp_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len)
{
	struct udp_header h;
	const char *wrong = udp_parse(p, len, &ip->src, &ip->dst, ip->csum_good, &h);
	struct stack_endpoint from, to;
	uint32_t segment = ip->gso_udp ? ip->gso_size : 0;
	struct udp_sock *u;

	if (wrong == wire_bad_checksum) {
		COUNT(s, udp_in_bad_checksum);
		return;
	}
	/* A sender may put as many into one frame as the host lets it; more would be work for one frame without bound. */
	if (wrong || h.dport == 0 || pieces(h.len - UDP_HEADER, segment) > STACK_UDP_SEGMENTS) {
		COUNT(s, udp_in_bad);
		return;
	}
	from = (struct stack_endpoint){ip->src, h.sport};
	to = (struct stack_endpoint){ip->dst, h.dport};
	u = demux(s, &to, &from);
	if (u) {
		deliver_row(s, u, &from, &(struct stack_arrival){.to = ip->dst, .ttl = ip->ttl, .tos = ip->tos},
			    p + UDP_HEADER, h.len - UDP_HEADER, segment);
		return;
	}
	COUNT(s, udp_in_no_port);
	icmp4_error(s, ip, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0); /* RFC 1122 4.1.3.1 */
}

void udp_error(struct stack *s, const struct stack_endpoint *local, const struct stack_endpoint *remote,
	       const struct net_error *e)
{
	struct udp_sock *u = demux(s, local, remote);

	if (u && (e->error != EMSGSIZE || udp_too_big(u, remote, e)))
		udp_failed(u, remote, e);
}

bool udp_too_big(const struct udp_sock *u, const struct stack_endpoint *to, const struct net_error *e)
{
	uint8_t discover = sock_options(&u->sock)->mtu_discover;
	struct stack *s = u->sock.stack;

	/* Forged, or somebody's mistake. */
	if (e->whole <= max_u32(e->mtu, PATH_MTU_MIN) || e->whole > s->cfg.mtu)
		return false;
	if (discover < IP_PMTUDISC_INTERFACE) /* the others are for who wants to hear nothing of this */
		path_mtu_too_big(s, &to->addr, e->mtu);
	return discover != IP_PMTUDISC_DONT; /* it was before that was said */
}

/* Who has no peer is told only when it asks for it: the error may be about any of those that it has sent to. */
void udp_failed(struct udp_sock *u, const struct stack_endpoint *to, const struct net_error *e)
{
	bool keep = sock_options(&u->sock)->recv_err;

	if (!keep && !connected(&u->sock))
		return;
	if (keep)
		failure_keep(u, to, e);
	if (u->sock.error == ECONNABORTED) /* killed, which its holder still has to hear */
		return;
	u->sock.error = e->error; /* RFC 1122 4.1.3.3: all errors are passed up */
	sock_event(&u->sock, STACK_EVENT_ERROR);
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
	port = port_choose(sock->stack, pcb_proto(p), local, remote);
	if (port == 0)
		return -EADDRNOTAVAIL;
	table_remove(&sock->stack->table, p);
	pcb_set_local(p, &nobody.addr);
	pcb_set_remote(p, &nobody.addr);
	p->lport = port;
	table_insert(&sock->stack->table, p);
	return 0;
}

/* The route to `remote` from `source` (any: the socket's), and whether this socket may use it. */
static int route_to(struct sock *sock, const struct stack_addr *source, const struct stack_endpoint *remote,
		    struct route_result *out)
{
	int error;

	if (!stack_addr_is_any(source) && !address_is_ours(sock->stack, source, true))
		return -ENETUNREACH;
	*out = (struct route_result){.source = stack_addr_is_any(source) ? pcb_local_addr(&sock->pcb) : *source};
	if (address_is_broadcast(sock->stack, &out->source) || address_is_multicast(&out->source))
		out->source = nobody.addr; /* bound there to receive; RFC 1122 3.2.1.3: never a source */
	error = route_lookup(sock->stack, &remote->addr, out);
	if (error)
		return error;
	return out->broadcast && !udp_of(sock)->broadcast ? -EACCES : 0;
}

static void udp_head(struct tx *tx, const struct sock *sock, const struct stack_addr *src,
		     const struct stack_endpoint *to, size_t len)
{
	struct udp_header h = {
		.sport = sock->pcb.lport, .dport = to->port, .len = (uint16_t)(UDP_HEADER + len),
	};

	udp_write(tx_push(tx, UDP_HEADER), &h,
		  checksum_fold(checksum_pseudo(src, &to->addr, IP_PROTO_UDP, h.len)));
	tx->csum_partial = true;
	tx->csum_offset = CSUM_OFFSET;
}

/* Bytes of each datagram, when the socket or this call says that the data is to be cut; else 0. */
static uint16_t segment_of(const struct sock *sock, const struct stack_departure *how)
{
	if (sock->pcb.kind != PCB_UDP)
		return 0;
	return how->has_segment ? how->segment : sock_options(sock)->segment;
}

/* IP_MTU_DISCOVER (ip(7)): the largest packet to there that is not to be cut up by us. */
static uint16_t path_limit(const struct sock *sock, const struct stack_addr *to)
{
	bool by_path = sock_options(sock)->mtu_discover < IP_PMTUDISC_PROBE;

	return by_path ? path_mtu_of_datagrams(sock->stack, to) : sock->stack->cfg.mtu;
}

/* The same: what is larger is the sender's mistake. */
static bool stays_whole(const struct sock *sock)
{
	uint8_t discover = sock_options(sock)->mtu_discover;

	return discover >= IP_PMTUDISC_DO && discover != IP_PMTUDISC_OMIT;
}

/* The same: DF. Of a row of datagrams it is as if it were one of that size, as with the host. */
static bool unfragmented(const struct sock *sock, size_t packet, uint16_t limit)
{
	uint8_t discover = sock_options(sock)->mtu_discover;

	return discover == IP_PMTUDISC_DO || discover == IP_PMTUDISC_PROBE ||
	       (discover == IP_PMTUDISC_WANT && packet <= limit && limit > PATH_MTU_MIN);
}

/* Of a packet with so many bytes of a datagram. */
static size_t packet_size(const struct sock *sock, size_t len)
{
	return len + IP4_HEADER + (sock->pcb.kind == PCB_PING ? 0 : UDP_HEADER);
}

/* The host's limits of UDP_SEGMENT: none of the datagrams is fragmented, and there are not too many. And those of IP_MTU_DISCOVER. */
static int size_check(const struct sock *sock, const struct stack_addr *to, const struct route_result *route,
		      uint32_t segment, size_t len)
{
	size_t largest = packet_size(sock, segment ? min_size(segment, len) : len);

	if ((segment || stays_whole(sock)) && !route->loopback && largest > path_limit(sock, to))
		return -EMSGSIZE;
	return segment && len > (size_t)segment * STACK_UDP_SEGMENTS ? -EINVAL : 0;
}

static int output(struct sock *sock, const struct stack_endpoint *to, const struct stack_addr *src,
		  const struct stack_departure *how, const uint8_t *data, size_t len)
{
	bool ping = sock->pcb.kind == PCB_PING;
	struct ip_params params = {
		.src = *src, .dst = to->addr, .proto = ping ? IP_PROTO_ICMP : IP_PROTO_UDP,
		.ttl = how->ttl ? how->ttl : sock_ttl(sock),
		.tos = how->tos >= 0 ? (uint8_t)(how->tos & 0xfc) : sock_options(sock)->tos,
		.may_broadcast = udp_of(sock)->broadcast, .mtu = path_limit(sock, &to->addr),
	};
	struct tx tx;

	params.dont_fragment = unfragmented(sock, packet_size(sock, len), params.mtu);
	tx_init(&tx);
	if (ping)
		ping_header(tx_push(&tx, ICMP_HEADER), data, len, sock->pcb.lport);
	else
		udp_head(&tx, sock, src, to, len);
	tx.transport = tx.start;
	tx.gso_size = len > segment_of(sock, how) ? segment_of(sock, how) : 0;
	if (len > (ping ? ICMP_HEADER : 0))
		tx_add(&tx, data + (ping ? ICMP_HEADER : 0), len - (ping ? ICMP_HEADER : 0));
	return ip_output(sock->stack, &tx, &params);
}

/* What can be told without a route. 0 or a negative errno. */
static int send_check(struct sock *sock, const struct stack_endpoint *to, const struct stack_departure *how,
		      const void *data, size_t len)
{
	int error = how->keep_error ? 0 : take_error(sock);

	if (error)
		return error;
	if (len > PAYLOAD_MAX)
		return -EMSGSIZE;
	if (sock->pcb.kind == PCB_PING)
		error = ping_check(data, len);
	if (!error && !to && !connected(sock))
		return -EDESTADDRREQ;
	return !error && to && to->port == 0 && sock->pcb.kind == PCB_UDP ? -EINVAL : error;
}

ptrdiff_t stack_sendmsg(struct sock *sock, stack_time now, const struct stack_endpoint *to,
			const struct stack_departure *how, const void *data, size_t len)
{
	struct stack_endpoint peer = {pcb_remote_addr(&sock->pcb), sock->pcb.rport};
	struct route_result route;
	int error;

	if (!pcb_is_datagram(&sock->pcb))
		return -EOPNOTSUPP;
	stack_at(sock->stack, now);
	error = send_check(sock, to, how, data, len);
	if (error)
		return error;
	if (!to)
		to = sock->pcb.kind == PCB_PING ? &udp_of(sock)->peer : &peer;
	error = route_to(sock, &how->source, to, &route);
	if (!error)
		error = bind_if_needed(sock, &route.source, to);
	if (!error)
		error = size_check(sock, &to->addr, &route, segment_of(sock, how), len);
	if (!error)
		error = output(sock, to, &route.source, how, data, len);
	if (error)
		return error;
	udp_of(sock)->out += pieces(len, segment_of(sock, how));
	if (sock->pcb.kind == PCB_UDP)
		COUNT_ADD(sock->stack, udp_out, pieces(len, segment_of(sock, how)));
	return (ptrdiff_t)len;
}

ptrdiff_t stack_sendto(struct sock *sock, stack_time now, const struct stack_endpoint *to,
		       const void *data, size_t len)
{
	static const struct stack_departure plain = {.tos = -1};

	return stack_sendmsg(sock, now, to, &plain, data, len);
}

ptrdiff_t stack_recvfrom(struct sock *sock, void *data, size_t len, struct stack_endpoint *from)
{
	int error = pcb_is_datagram(&sock->pcb) ? take_error(sock) : 0;

	return error ? error : stack_recvmsg(sock, data, len, from, NULL);
}

ptrdiff_t stack_recvmsg(struct sock *sock, void *data, size_t len, struct stack_endpoint *from,
			struct stack_arrival *how)
{
	struct udp_sock *u;
	ptrdiff_t whole;

	if (!pcb_is_datagram(&sock->pcb))
		return -EOPNOTSUPP;
	u = udp_of(sock);
	if (!u->head)
		return -EAGAIN;
	whole = (ptrdiff_t)u->head->len;
	if (len > 0)
		memcpy(data, u->head->data, min_size(len, u->head->len));
	if (from)
		*from = u->head->from;
	if (how)
		*how = u->head->how;
	dequeue(sock->stack, u);
	return whole;
}

/* ---- sockets ---- */

struct sock *udp_new(struct stack *s, enum stack_proto proto, uint32_t owner, void *user)
{
	struct udp_sock *u;

	if (!sock_admit(s))
		return NULL;
	u = mem_alloc(&s->mem, MEM_SOCKET, sizeof(*u));
	if (!u) {
		s->sockets--;
		return NULL;
	}
	sock_init(&u->sock, s, proto == STACK_UDP ? PCB_UDP : PCB_PING, owner, user);
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

	if (remote->port == 0 && p->kind == PCB_UDP)
		return -EINVAL;
	error = route_to(sock, &nobody.addr, remote, &route);
	if (!error)
		error = bind_if_needed(sock, &route.source, remote);
	if (error)
		return error;
	if (p->kind == PCB_PING) {
		udp_of(sock)->peer = *remote;
		p->state = TCP_ESTABLISHED;
		return 0;
	}
	other = table_find(&s->table, STACK_UDP, &route.source, p->lport, &remote->addr, remote->port);
	if (other && other != p)
		return -EADDRINUSE;
	table_remove(&s->table, p);
	pcb_set_local(p, &route.source);
	pcb_set_remote(p, &remote->addr);
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
	failure_free_all(u);
	table_remove(&s->table, &sock->pcb);
	sock_event_cancel(sock);
	sock_options_free(sock);
	s->sockets--;
	mem_free(&s->mem, MEM_SOCKET, u, sizeof(*u));
}
