/* See world.h: the calls of local processes, chosen by the input. */
#include "world.h"

#include <linux/udp.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum action {
	ACT_SEND, ACT_FILL, ACT_RECEIVE, ACT_CONSUME, ACT_SHUTDOWN, ACT_CLOSE, ACT_ABORT, ACT_ACCEPT,
	ACT_CONNECT, ACT_CONNECT_SELF, ACT_LISTEN, ACT_DATAGRAM, ACT_SENDTO, ACT_RECVFROM, ACT_OPTION,
	ACT_DESTROY, ACT_ADDRESS, ACT_ROUTE, ACT_RECONFIGURE, ACT_PING, ACT_SENDMSG, ACT_RECVERR, ACT_SEND_URGENT,
	ACT_RECV_URGENT, ACT_CONNECT_DATA, ACT_COUNT
};

static const uint8_t payload[20000];

struct slot *world_slot(struct world *w)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (!w->slot[i].sock)
			return &w->slot[i];
	return NULL;
}

void world_close(struct world *w, struct slot *slot, bool abort)
{
	if (!slot->sock)
		return;
	if (abort)
		stack_abort(slot->sock, w->now);
	else
		stack_close(slot->sock, w->now);
	*slot = (struct slot){.sock = NULL};
}

/* A socket in a free slot; NULL when there is no slot or no memory. */
static struct slot *open_socket(struct world *w, enum stack_proto proto)
{
	struct slot *slot = world_slot(w);

	if (!slot)
		return NULL;
	slot->sock = stack_socket(w->s, proto, 0, slot);
	return slot->sock ? slot : NULL;
}

static void open_listener(struct world *w, uint16_t port, uint32_t backlog)
{
	struct stack_endpoint local = {.port = port};
	struct slot *slot = open_socket(w, STACK_TCP);

	if (!slot)
		return;
	if (stack_bind(slot->sock, &local) == 0 && stack_listen(&slot->sock, backlog) == 0)
		slot->listening = true;
}

static void open_connection(struct world *w, const uint8_t to[4], uint16_t lport, uint16_t rport)
{
	struct stack_endpoint local = {.port = lport}, remote = {.addr = stack_addr_v4(to), .port = rport};
	struct slot *slot = open_socket(w, STACK_TCP);

	if (!slot)
		return;
	if (lport)
		stack_bind(slot->sock, &local);
	if (stack_connect(&slot->sock, w->now, &remote) != 0)
		world_close(w, slot, false);
}

static void open_datagram(struct world *w, uint16_t lport, uint16_t rport)
{
	struct stack_endpoint local = {.port = lport}, remote = {.addr = stack_addr_v4(world_peer), .port = rport};
	struct slot *slot = open_socket(w, STACK_UDP);

	if (!slot)
		return;
	stack_bind(slot->sock, &local);
	if (rport)
		stack_connect(&slot->sock, w->now, &remote);
}

/* The first bytes go with the SYN as far as they can (RFC 7413). */
static void open_with_data(struct world *w, uint16_t len, uint8_t rport)
{
	struct stack_endpoint remote = {.addr = stack_addr_v4(world_peer), .port = rport};
	struct slot *slot = open_socket(w, STACK_TCP);
	ptrdiff_t n;

	if (!slot)
		return;
	n = stack_connect_data(&slot->sock, w->now, &remote, payload, len % sizeof(payload));
	FUZZ_CHECK(n <= (ptrdiff_t)(len % sizeof(payload)), "%td bytes of %u went with a SYN", n, len);
	if (n < 0)
		world_close(w, slot, false);
}

/* A ping socket that keeps errors; with a peer or without, its identifier is 1000 or chosen. */
static void open_ping(struct world *w, uint16_t n, uint8_t x)
{
	struct stack_endpoint local = {.port = n & 1 ? 1000 : 0}, remote = {.addr = stack_addr_v4(world_peer)};
	struct slot *slot = open_socket(w, STACK_PING);
	int yes = 1;

	if (!slot)
		return;
	stack_bind(slot->sock, &local);
	if (x & 1)
		stack_connect(&slot->sock, w->now, &remote);
	if (x & 2)
		stack_setsockopt(slot->sock, w->now, IPPROTO_IP, IP_RECVERR, &yes, sizeof(yes));
}

void world_open_sockets(struct world *w)
{
	open_listener(w, 80, 3);
	open_connection(w, world_peer, 5000, 6000);
	open_datagram(w, 53, 0);
	open_datagram(w, 1000, 2000);
}

void world_accept(struct world *w, struct slot *listener)
{
	struct slot *slot = world_slot(w);
	struct sock *sock = slot && listener->sock && listener->listening ? stack_accept(listener->sock) : NULL;

	if (!sock)
		return;
	slot->sock = sock;
	stack_set_user(sock, slot);
}

/* ---- data ---- */

static void fill_in_place(struct world *w, struct sock *sock, uint16_t want, uint8_t less)
{
	struct iovec iov[4];
	unsigned count = ARRAY_SIZE(iov);
	size_t lent = stack_send_space(sock, want, iov, &count), sum = 0;

	for (unsigned i = 0; i < count; i++) {
		memset(iov[i].iov_base, 'x', iov[i].iov_len);
		sum += iov[i].iov_len;
	}
	FUZZ_CHECK(sum == lent && lent <= want, "%zu bytes lent, %zu in pieces, %u wanted", lent, sum, want);
	stack_send_commit(sock, w->now, lent > less ? lent - less : 0);
}

static void send_datagram(struct world *w, struct sock *sock, uint16_t len, uint8_t to)
{
	struct stack_endpoint remote = {.addr = stack_addr_v4(world_peer), .port = 2000};

	remote.addr.byte[15] = to;
	stack_sendto(sock, w->now, to ? &remote : NULL, payload, len % sizeof(payload));
}

/* From an address, with a TTL and a TOS that the input chooses; an echo request, which a ping socket takes. */
static void send_departing(struct world *w, struct sock *sock, uint16_t n, uint8_t x)
{
	static const uint8_t request[200] = {8};
	struct stack_endpoint remote = {.addr = stack_addr_v4(world_peer), .port = n & 0xf};
	struct stack_departure how = {.ttl = (uint8_t)(n >> 8), .tos = x & 1 ? x : -1, .keep_error = x & 2};
	uint8_t from[4] = {192, 0, 2, x};

	if (x & 4)
		how.source = stack_addr_v4(from);
	stack_sendmsg(sock, w->now, x & 8 ? NULL : &remote, &how, request, n % sizeof(request));
}

static void take_failure(struct sock *sock, uint16_t n)
{
	uint8_t buffer[600];
	struct stack_failure f;
	ptrdiff_t len = stack_recverr(sock, &f, buffer, n % sizeof(buffer));

	FUZZ_CHECK(len < 0 || (f.error > 0 && len <= (ptrdiff_t)sizeof(buffer)), "an error of %td bytes", len);
}

static void take_urgent(struct sock *sock, uint8_t x)
{
	uint8_t byte;
	int n = stack_recv_urgent(sock, &byte, x & 1);

	FUZZ_CHECK(n <= 1, "%d urgent bytes", n);
	stack_at_mark(sock);
	stack_urgent_waits(sock);
}

static void receive_datagram(struct sock *sock)
{
	uint8_t buffer[2000];
	struct stack_endpoint from;

	stack_recvfrom(sock, buffer, sizeof(buffer), &from);
}

static void consume(struct world *w, struct sock *sock, uint16_t n)
{
	struct iovec iov[4];
	unsigned count = ARRAY_SIZE(iov);
	size_t there = stack_recv_peek(sock, iov, &count);

	stack_recv_consume(sock, w->now, n < there ? n : there);
}

/* ---- the stack ---- */

static void destroy(struct world *w, unsigned n)
{
	struct stack_tcb_info tcb;

	if (world_connection(w, n, &tcb))
		FUZZ_CHECK(stack_destroy(w->s, w->now, tcb.sock.id) == 0, "a socket that was listed is not found");
}

static void change_address(struct world *w, uint8_t last, bool add)
{
	uint8_t four[4] = {192, 0, 2, last};
	struct stack_addr addr = stack_addr_v4(four);

	if (add)
		stack_address_add(w->s, w->now, &addr, 24);
	else if (stack_address_remove(w->s, &addr) == 0)
		w->was_ours[last] = true;
}

static void change_route(struct world *w, uint8_t prefix, bool add)
{
	uint8_t four[4] = {198, 18, 1, 0};
	struct stack_addr dest = stack_addr_v4(four), gateway = stack_addr_v4(world_gateway);

	if (add)
		stack_route_add(w->s, &dest, prefix, &gateway);
	else
		stack_route_remove(w->s, &dest, prefix);
}

/* Larger or smaller buffers from now on; the memory budget only grows, so that it can be checked. */
static void reconfigure(struct world *w, uint16_t n)
{
	w->config.send_buffer = 2048 + n;
	w->config.recv_buffer = 2048u + (n & 0xffu) * 1024;
	w->config.data_retries = (uint8_t)(1 + n % 6);
	stack_reconfigure(w->s, &w->config);
}

/* Any option of any level with a small number, and what the stack says of it. */
static void change_option(struct world *w, struct sock *sock, uint16_t n, uint8_t x)
{
	static const int level[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP};
	bool udp = x % 8 == 7;
	int name = udp ? UDP_SEGMENT + n % 2 : n % 80, of = udp ? IPPROTO_UDP : level[x % 3], value[2] = {n >> 7, x};
	uint8_t answer[512];
	size_t len = sizeof(answer);

	stack_setsockopt(sock, w->now, of, name, value, x % 5 == 0 ? x % (sizeof(value) + 1) : sizeof(value));
	stack_getsockopt(sock, w->now, of, name, answer, &len);
}

/* ---- choosing ---- */

static void act_on_stream(struct world *w, struct slot *slot, enum action act, uint16_t n, uint8_t x)
{
	static uint8_t buffer[65536];

	switch (act) {
	case ACT_SEND: stack_send(slot->sock, w->now, payload, n % sizeof(payload)); break;
	case ACT_FILL: fill_in_place(w, slot->sock, n, x); break;
	case ACT_RECEIVE: stack_recv(slot->sock, w->now, buffer, n); break;
	case ACT_CONSUME: consume(w, slot->sock, n); break;
	case ACT_SHUTDOWN: stack_shutdown(slot->sock, w->now); break;
	case ACT_CLOSE: world_close(w, slot, false); break;
	case ACT_ABORT: world_close(w, slot, true); break;
	case ACT_ACCEPT: world_accept(w, slot); break;
	case ACT_SENDTO: send_datagram(w, slot->sock, n, x); break;
	case ACT_RECVFROM: receive_datagram(slot->sock); break;
	case ACT_OPTION: change_option(w, slot->sock, n, x); break;
	case ACT_SENDMSG: send_departing(w, slot->sock, n, x); break;
	case ACT_RECVERR: take_failure(slot->sock, n); break;
	case ACT_RECV_URGENT: take_urgent(slot->sock, x); break;
	case ACT_SEND_URGENT:
		if (stack_send(slot->sock, w->now, payload, n % 3000u) > 0)
			stack_send_urgent(slot->sock);
		break;
	case ACT_CONNECT: case ACT_PING: case ACT_CONNECT_DATA: case ACT_CONNECT_SELF: case ACT_LISTEN: case ACT_DATAGRAM: case ACT_DESTROY:
	case ACT_ADDRESS: case ACT_ROUTE: case ACT_RECONFIGURE: case ACT_COUNT:
		break;
	}
}

static bool act_on_stack(struct world *w, enum action act, uint16_t n, uint8_t x)
{
	static const uint8_t ourselves[4] = {127, 0, 0, 1};

	switch (act) {
	case ACT_CONNECT: open_connection(w, world_peer, 0, n); return true;
	case ACT_CONNECT_SELF: open_connection(w, x & 1 ? ourselves : world_us, 0, x & 2 ? n : 80); return true;
	case ACT_LISTEN: open_listener(w, n, x); return true;
	case ACT_DATAGRAM: open_datagram(w, n, x); return true;
	case ACT_DESTROY: destroy(w, n); return true;
	case ACT_ADDRESS: change_address(w, x, n & 1); return true;
	case ACT_ROUTE: change_route(w, x, n & 1); return true;
	case ACT_RECONFIGURE: reconfigure(w, n); return true;
	case ACT_PING: open_ping(w, n, x); return true;
	case ACT_CONNECT_DATA: open_with_data(w, n, x); return true;
	case ACT_SEND: case ACT_FILL: case ACT_RECEIVE: case ACT_CONSUME: case ACT_SHUTDOWN: case ACT_CLOSE:
	case ACT_ABORT: case ACT_ACCEPT: case ACT_SENDTO: case ACT_RECVFROM: case ACT_OPTION: case ACT_SENDMSG:
	case ACT_RECVERR: case ACT_SEND_URGENT: case ACT_RECV_URGENT: case ACT_COUNT:
		break;
	}
	return false;
}

void world_owner_act(struct world *w, struct input *in)
{
	enum action act = (enum action)(input_u8(in) % ACT_COUNT);
	struct slot *slot = &w->slot[input_u8(in) % SLOTS];
	uint16_t n = input_u16(in);
	uint8_t x = input_u8(in);

	if (!act_on_stack(w, act, n, x) && slot->sock)
		act_on_stream(w, slot, act, n, x);
}
