/* See tcp_fixture.h. */
#include "tcp_fixture.h"

#include "stack/checksum.h"

#include <stdio.h>

static bool capture(void *context, const struct stack_output *out)
{
	struct fixture *f = context;
	static uint8_t packet[80000];
	size_t len = 0;
	struct captured *e;

	for (unsigned i = 0; i < out->iov_count; i++) {
		memcpy(packet + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += out->iov[i].iov_len;
	}
	ck_assert_uint_eq(len, out->len);
	ck_assert_uint_lt(f->sent_count, SENT_MAX);
	e = &f->sent[f->sent_count];
	ck_assert_ptr_null(ip4_parse(packet, len, &e->ip));
	if (e->ip.proto != IP_PROTO_TCP)
		return true;
	ck_assert_ptr_null(tcp_parse(packet + e->ip.header_len, len - e->ip.header_len, &e->ip.src, &e->ip.dst,
				     true, &e->seg));
	if (e->seg.len > 0)
		memcpy(e->data, e->seg.data, e->seg.len);
	f->sent_count++;
	return true;
}

static size_t reader(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	struct fixture *f = context;

	(void)sock;
	(void)user;
	(void)data;
	if (!f->reader_takes)
		return 0;
	f->reader_took += len;
	return len;
}

void fixture_start(struct fixture *f, void (*change)(struct stack_config *c))
{
	static const uint8_t us[4] = {192, 0, 2, 1}, peer[4] = {192, 0, 2, 2};
	struct stack_ops ops = {.transmit = capture, .receive = reader};
	struct stack_config c;

	memset(f, 0, sizeof(*f));
	f->sent = calloc(SENT_MAX, sizeof(*f->sent));
	f->now = 1000000000;
	stack_config_default(&c);
	c.link = STACK_LINK_IP;
	c.offload = STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
	c.recv_buffer = 60000;
	c.send_buffer = 200000;
	c.recv_buffer_max = c.send_buffer_max = 0; /* they do not grow */
	c.timestamps = false;
	c.quick_acks = 0;
	c.window_scaling = false;
	memcpy(c.congestion_control, "newreno", 8);
	memcpy(c.seed, "a seed for tests", 16);
	if (change)
		change(&c);
	f->s = stack_new(&c, &ops, f, f->now);
	ck_assert_ptr_nonnull(f->s);
	f->us = stack_addr_v4(us);
	f->peer = stack_addr_v4(peer);
	ck_assert_int_eq(stack_address_add(f->s, f->now, &f->us, 24), 0);
}

/* Nothing but the pools and tables that live as long as the stack may be left. */
static void check_memory(struct fixture *f)
{
	for (size_t i = 0;; i++) {
		uint64_t used, limit;
		const char *name = stack_memory(f->s, i, &used, &limit);

		if (!name || i == MEM_CLASS_COUNT)
			break;
		if (i != MEM_TABLE && i != MEM_HALF && i != MEM_NEIGHBOUR)
			ck_assert_msg(used == 0, "%llu bytes of %s left", (unsigned long long)used, name);
	}
}

void fixture_end(struct fixture *f)
{
	const char *bad = stack_check(f->s);

	ck_assert_msg(!bad, "%s", bad);
	if (f->sock)
		stack_abort(f->sock, f->now);
	if (f->listener)
		stack_close(f->listener, f->now);
	stack_shutdown_all(f->s, f->now, true);
	pass(f, 300 * SECONDS(1));
	check_memory(f);
	stack_free(f->s);
	free(f->sent);
}

void feed_packet(struct fixture *f, const uint8_t *packet, size_t len, bool csum_good)
{
	struct stack_frame frame = {.data = packet, .len = len, .csum_good = csum_good};
	const char *bad;

	stack_input(f->s, f->now, &frame);
	if (f->batch)
		return;
	while (stack_run(f->s, f->now))
		;
	bad = stack_check(f->s);
	ck_assert_msg(!bad, "%s", bad);
}

/* The control block of a connection, which stays at rest if it is. */
static const struct tcb *seen(const struct sock *sock)
{
	static struct tcb room;

	return conn_look(conn_of_const(sock), &room);
}

void feed_segment(struct fixture *f, struct tcp_segment *seg, uint32_t len)
{
	static uint8_t packet[70000];
	size_t header;
	struct ip4_header ip = {.src = f->peer, .dst = f->us, .header_len = 20, .ttl = 64, .proto = IP_PROTO_TCP, .tos = f->tos};

	if (f->timestamps && !seg->opt.has_timestamp) {
		seg->opt.has_timestamp = true;
		seg->opt.ts_value = f->ts;
		if ((seg->flags & TCP_ACK) && f->sock && f->sock->pcb.kind == PCB_TCB)
			seg->opt.ts_echo = ts_now(f->s, seen(f->sock)->ts_offset);
	}
	seg->sport = PEER_PORT;
	if (seg->dport == 0)
		seg->dport = f->sock ? f->sock->pcb.lport ? f->sock->pcb.lport : OUR_PORT : OUR_PORT;
	header = tcp_header_size(seg);
	ip.total_len = (uint16_t)(20 + header + len);
	ip4_write(packet, &ip);
	tcp_write(packet + 20, seg, 0);
	for (uint32_t i = 0; i < len; i++)
		packet[20 + header + i] = (uint8_t)(seg->seq.v + i);
	feed_packet(f, packet, ip.total_len, true);
}

/* Our ISS, from whatever form the connection has. */
static uint32_t our_iss(struct fixture *f)
{
	struct pcb *p = table_find(&f->s->table, STACK_TCP, &f->us, f->sock && f->sock->pcb.lport ? f->sock->pcb.lport : OUR_PORT,
				   &f->peer, PEER_PORT);

	if (!p)
		return 0;
	if (p->kind == PCB_HALF)
		return CONTAINER_OF(p, struct half_open, pcb)->iss.v;
	if (p->kind == PCB_TCB)
		return seen(CONTAINER_OF(p, struct sock, pcb))->iss.v;
	if (f->sock)
		return seen(f->sock)->iss.v;
	return 0;
}

void feed(struct fixture *f, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	struct tcp_segment seg = {
		.seq = seq_make(PEER_ISS + seq), .flags = flags, .window = PEER_WINDOW,
		.ack = seq_make((flags & TCP_ACK) ? our_iss(f) + ack : 0),
	};

	if (flags & TCP_SYN) {
		seg.opt.has_mss = true;
		seg.opt.mss = PEER_MSS;
	}
	feed_segment(f, &seg, len);
}

void run(struct fixture *f)
{
	while (stack_run(f->s, f->now))
		;
}

void pass(struct fixture *f, stack_time time)
{
	stack_time end = f->now + time;

	for (unsigned i = 0; i < 100000; i++) {
		stack_time next = stack_deadline(f->s);

		if (next > end)
			break;
		if (next > f->now)
			f->now = next;
		run(f);
		if (f->sent_read == f->sent_count)
			f->sent_read = f->sent_count = 0;
	}
	f->now = end;
	run(f);
}

struct captured *take(struct fixture *f)
{
	ck_assert_msg(f->sent_read < f->sent_count, "the stack sent nothing");
	return &f->sent[f->sent_read++];
}

void expect_nothing(struct fixture *f)
{
	if (f->sent_read < f->sent_count) {
		const struct tcp_segment *seg = &f->sent[f->sent_read].seg;

		ck_abort_msg("sent flags %#x, %u bytes, where nothing was due", seg->flags, seg->len);
	}
	f->sent_read = f->sent_count = 0;
}

struct captured *expect(struct fixture *f, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	struct captured *e = take(f);
	uint32_t iss = our_iss(f);

	ck_assert_uint_eq(e->seg.flags & ~TCP_PSH, flags);
	ck_assert_uint_eq(e->seg.len, len);
	if (flags & TCP_ACK)
		ck_assert_uint_eq(e->seg.ack.v - PEER_ISS, ack);
	if (iss != 0)
		ck_assert_uint_eq(e->seg.seq.v - iss, seq);
	return e;
}

struct tcb *tcb_now(struct fixture *f)
{
	ck_assert_ptr_nonnull(f->sock);
	ck_assert_int_eq(f->sock->pcb.kind, PCB_TCB);
	return tcb_of(f->sock);
}

enum tcp_state state_now(struct fixture *f)
{
	uint16_t port = f->sock && f->sock->pcb.lport ? f->sock->pcb.lport : OUR_PORT;
	struct pcb *p = table_find(&f->s->table, STACK_TCP, &f->us, port, &f->peer, PEER_PORT);

	return p ? (enum tcp_state)p->state : TCP_CLOSED;
}

unsigned events_now(struct fixture *f, int *error)
{
	struct stack_event e;
	unsigned events = 0;

	while (stack_next_event(f->s, &e)) {
		if (e.sock != f->sock)
			continue;
		events |= e.events;
		if (error && (e.events & STACK_EVENT_ERROR))
			*error = e.error;
	}
	return events;
}

static void drain(struct fixture *f)
{
	f->sent_read = f->sent_count = 0;
}

static void start_listening(struct fixture *f)
{
	struct stack_endpoint local = {.addr = f->us, .port = OUR_PORT};

	f->listener = stack_socket(f->s, STACK_TCP, 0, f);
	ck_assert_int_eq(stack_bind(f->listener, &local), 0);
	ck_assert_int_eq(stack_listen(&f->listener, 8), 0);
}

static void start_connecting(struct fixture *f)
{
	struct stack_endpoint local = {.addr = f->us, .port = OUR_PORT}, remote = {.addr = f->peer, .port = PEER_PORT};

	f->sock = stack_socket(f->s, STACK_TCP, 0, f);
	ck_assert_int_eq(stack_bind(f->sock, &local), 0);
	ck_assert_int_eq(stack_connect(&f->sock, f->now, &remote), 0);
	run(f);
}

static void handshake(struct fixture *f)
{
	start_listening(f);
	feed(f, TCP_SYN, 0, 0, 0);
	feed(f, TCP_ACK, 1, 1, 0);
	f->sock = stack_accept(f->listener);
	ck_assert_ptr_nonnull(f->sock);
	stack_set_user(f->sock, f);
}

void bring_to(struct fixture *f, enum tcp_state state)
{
	switch (state) {
	case TCP_CLOSED:
		return;
	case TCP_LISTEN:
		start_listening(f);
		return;
	case TCP_SYN_SENT:
		start_connecting(f);
		break;
	case TCP_SYN_RECEIVED: /* of a full control block: both open at once */
		start_connecting(f);
		feed(f, TCP_SYN, 0, 0, 0);
		break;
	case TCP_ESTABLISHED:
		handshake(f);
		break;
	case TCP_FIN_WAIT_1:
	case TCP_FIN_WAIT_2:
	case TCP_CLOSING:
	case TCP_TIME_WAIT:
		handshake(f);
		stack_shutdown(f->sock, f->now);
		run(f);
		if (state == TCP_CLOSING)
			feed(f, TCP_FIN | TCP_ACK, 1, 1, 0);
		else if (state != TCP_FIN_WAIT_1)
			feed(f, TCP_ACK, 1, 2, 0);
		if (state == TCP_TIME_WAIT)
			feed(f, TCP_FIN | TCP_ACK, 1, 2, 0);
		break;
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
		handshake(f);
		feed(f, TCP_FIN | TCP_ACK, 1, 1, 0);
		if (state == TCP_LAST_ACK) {
			stack_shutdown(f->sock, f->now);
			run(f);
		}
		break;
	}
	ck_assert_int_eq(state_now(f), state);
	events_now(f, NULL);
	drain(f);
}

uint32_t rcv_nxt_rel(struct fixture *f)
{
	return seen(f->sock)->rcv_nxt.v - PEER_ISS;
}

uint32_t snd_nxt_rel(struct fixture *f)
{
	return seen(f->sock)->snd_nxt.v - seen(f->sock)->iss.v;
}

void bring_to_flight(struct fixture *f, bool sack, uint32_t segments)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = PEER_WINDOW};
	static uint8_t data[100000];

	bring_to(f, TCP_LISTEN);
	f->timestamps = f->s->cfg.timestamps;
	f->ts = 1000;
	syn.opt.has_mss = true;
	syn.opt.sack_permitted = sack;
	syn.opt.mss = PEER_MSS;
	feed_segment(f, &syn, 0);
	ck_assert(take(f)->seg.opt.sack_permitted == sack);
	f->now += MILLISECONDS(10);
	feed(f, TCP_ACK, 1, 1, 0);
	f->sock = stack_accept(f->listener);
	ck_assert_ptr_nonnull(f->sock);
	drain(f);
	stack_send(f->sock, f->now, data, segments * tcb_now(f)->mss);
	run(f);
	drain(f);
	f->now += MILLISECONDS(10);
}

void feed_sack_of(struct fixture *f, uint32_t ack, uint32_t left, uint32_t right)
{
	struct tcp_segment seg = {.seq = tcb_now(f)->rcv_nxt, .flags = TCP_ACK, .window = PEER_WINDOW};
	uint32_t first = tcb_now(f)->iss.v + 1, mss = tcb_now(f)->mss;

	seg.ack = seq_make(first + ack * mss);
	if (right > left) {
		seg.opt.sack_count = 1;
		seg.opt.sack[0].left = seq_make(first + left * mss);
		seg.opt.sack[0].right = seq_make(first + right * mss);
	}
	feed_segment(f, &seg, 0);
}

void set_int(struct fixture *f, struct sock *sock, int level, int name, int value)
{
	ck_assert_int_eq(stack_setsockopt(sock, f->now, level, name, &value, sizeof(value)), 0);
}
