/* See world.h: making, running, checking and ending the world. */
#include "world.h"

#define SECOND 1000000u
#define ROUNDS_MAX 5000u    /* of stack_run for one input: more means that it never rests */
#define DEADLINES_MAX 400u  /* that one passing of time stops at */
#define LAST_SECONDS 400u   /* in which every state must have ended by itself */
#define PEER_PORT 4000

const uint8_t world_us[4] = {192, 0, 2, 1}, world_peer[4] = {192, 0, 2, 2}, world_gateway[4] = {192, 0, 2, 254};
const uint8_t world_peer_mac[6] = {2, 0, 0, 0, 0, 2};

/* ---- checks ---- */

static void check_memory(struct world *w)
{
	uint64_t used, limit;
	const char *name;

	for (size_t i = 0; (name = stack_memory(w->s, i, &used, &limit)); i++)
		FUZZ_CHECK(limit == 0 || used <= limit, "%s: %llu bytes of %llu", name, (unsigned long long)used,
			   (unsigned long long)limit);
}

static void check(struct world *w)
{
	const char *wrong = stack_check(w->s);

	FUZZ_CHECK(!wrong, "%s", wrong);
	check_memory(w);
}

static bool is_held(const struct world *w, const struct sock *sock)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (w->slot[i].sock == sock)
			return true;
	return false;
}

static void take_events(struct world *w)
{
	struct stack_event event;

	for (unsigned i = 0; stack_next_event(w->s, &event); i++) {
		FUZZ_CHECK(i < ROUNDS_MAX, "events without end");
		if (event.sock && event.user)
			FUZZ_CHECK(is_held(w, event.sock), "an event of a socket that was closed");
		if (event.events & STACK_EVENT_ERROR)
			FUZZ_CHECK(event.error > 0, "an error event without an error");
	}
}

/* ---- running ---- */

static void input(struct world *w, const uint8_t *data, size_t len, bool csum_good, uint16_t gso_size, bool gso_udp)
{
	uint8_t *copy = malloc(len ? len : 1); /* of its own, so that its end is watched */
	struct stack_frame frame = {.data = copy, .len = len, .csum_good = csum_good, .gso_size = gso_size, .gso_udp = gso_udp};

	memcpy(copy, data, len);
	stack_input(w->s, w->now, &frame);
	free(copy);
}

static void answer_arp(struct world *w)
{
	uint8_t frame[ETH_HEADER + ARP_SIZE];
	struct eth_header eth = {.type = ETH_TYPE_ARP};
	struct arp_packet reply = {.op = ARP_REPLY, .target = stack_addr_v4(world_us)};

	memcpy(eth.dst, w->config.mac, 6);
	memcpy(eth.src, world_peer_mac, 6);
	memcpy(reply.sender_mac, world_peer_mac, 6);
	memcpy(reply.target_mac, w->config.mac, 6);
	while (w->wanted_count > 0) {
		reply.sender = w->wanted[--w->wanted_count];
		eth_write(frame, &eth);
		arp_write(frame + ETH_HEADER, &reply);
		input(w, frame, sizeof(frame), false, 0, false);
	}
}

void world_settle(struct world *w)
{
	unsigned rounds = 0;

	do {
		FUZZ_CHECK(rounds++ < ROUNDS_MAX, "the stack does not come to rest");
		answer_arp(w);
		take_events(w);
	} while (stack_run(w->s, w->now) || stack_deadline(w->s) <= w->now || w->wanted_count > 0);
	take_events(w);
	check(w);
}

void world_frame(struct world *w, const uint8_t *data, size_t len, bool csum_good, uint16_t gso_size, bool gso_udp, bool run)
{
	input(w, data, len, csum_good, gso_size, gso_udp);
	if (run)
		world_settle(w);
}

void world_pass(struct world *w, stack_time time)
{
	stack_time end = w->now + time;

	world_settle(w);
	for (unsigned i = 0; i < DEADLINES_MAX && stack_deadline(w->s) <= end; i++) {
		w->now = stack_deadline(w->s);
		world_settle(w);
	}
	w->now = end;
	world_settle(w);
}

/* ---- finding connections ---- */

struct found {
	struct stack_sock_info info[CONNECTIONS_MAX];
	unsigned count;
};

static bool note_connection(void *arg, const struct stack_sock_info *info)
{
	struct found *f = arg;

	if (info->proto == STACK_TCP && info->remote.port != 0 && f->count < CONNECTIONS_MAX)
		f->info[f->count++] = *info;
	return true;
}

static int by_id(const void *a, const void *b)
{
	const struct stack_sock_info *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

bool world_connection(struct world *w, unsigned n, struct stack_tcb_info *out)
{
	struct found f = {.count = 0};
	uint64_t cursor = 0;

	while (stack_walk(w->s, &cursor, CONNECTIONS_MAX, note_connection, &f))
		;
	if (f.count == 0)
		return false;
	qsort(f.info, f.count, sizeof(f.info[0]), by_id);
	n = n == CONNECTION_NEWEST ? f.count - 1 : n % f.count;
	return stack_tcb_of(w->s, w->now, &f.info[n], out);
}

/* ---- the start ---- */

static bool reader(void *context, size_t len)
{
	const struct world *w = context;

	return w->takes && len > 0;
}

static size_t receive(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	(void)sock, (void)user, (void)data;
	return reader(context, len) ? len : 0;
}

static bool datagram(void *context, struct sock *sock, void *user, const struct stack_endpoint *from,
		     const struct stack_arrival *how, const void *data, size_t len)
{
	(void)sock, (void)user, (void)from, (void)how, (void)data;
	return reader(context, len);
}

/* Small tables and short times, so that their ends are reached. */
static void configure(struct world *w, uint8_t a, uint8_t b)
{
	struct stack_config *c = &w->config;

	stack_config_default(c);
	memcpy(c->seed, "the same in every run of a target", sizeof(c->seed));
	c->link = a & 1 ? STACK_LINK_IP : STACK_LINK_ETHERNET;
	c->timestamps = !(a & 2);
	c->window_scaling = !(a & 4);
	c->sack = !(b & 32);
	strcpy(c->congestion_control, b & 64 ? b & 128 ? "bbr" : "newreno" : "cubic");
	c->pacing = b & 128;
	c->offload = a & 8 ? STACK_OFFLOAD_CSUM : 0;
	c->offload |= (a & 24) == 24 ? STACK_OFFLOAD_TSO4 | STACK_OFFLOAD_USO4 : 0;
	c->mem_total = a & 32 ? 64u << 10 : 8u << 20;
	c->send_buffer = c->recv_buffer = 128u << 10;
	c->mem_ooo = c->mem_fragments = 64u << 10;
	c->half_open_max = c->time_wait_max = c->neighbours_max = 6;
	c->sockets_max = 24;
	c->probe = b & 2 ? STACK_PROBE_STRICT : b & 4 ? STACK_PROBE_OFF : STACK_PROBE_OPTIMISTIC;
	c->mtu = b & 8 ? 576 : b & 16 ? 65535 : 1500;
	c->rto_max = 8 * SECOND;
	c->time_wait = c->fin_wait_2 = 4 * SECOND;
	c->syn_retries = c->synack_retries = c->orphan_retries = 3;
	c->data_retries = 5;
	w->ethernet = c->link == STACK_LINK_ETHERNET;
	w->takes = a & 64;
	w->abrupt = a & 128;
	w->resolves = !(b & 1);
}

/* A segment of the peer in the handshake that brings the first connection to ESTABLISHED. */
static void peer_segment(struct world *w, uint8_t flags, uint32_t ack)
{
	static const uint32_t peer_iss = 0xfffffff0u; /* wraps early */
	uint8_t frame[ETH_HEADER + IP4_HEADER + TCP_HEADER + TCP_OPTIONS_MAX];
	struct eth_header eth = {.type = ETH_TYPE_IP4};
	struct tcp_segment seg = {
		.sport = PEER_PORT, .dport = 80, .flags = flags, .window = 60000, .ack = seq_make(ack),
		.seq = seq_make(flags & TCP_SYN ? peer_iss : peer_iss + 1),
	};
	struct ip4_header ip = {.src = stack_addr_v4(world_peer), .dst = stack_addr_v4(world_us), .ttl = 64,
				.proto = IP_PROTO_TCP};
	size_t at = w->ethernet ? ETH_HEADER : 0;

	seg.opt.has_timestamp = w->config.timestamps;
	seg.opt.ts_value = 1000;
	seg.opt.has_mss = seg.opt.has_window_scale = flags & TCP_SYN;
	seg.opt.sack_permitted = flags & TCP_SYN;
	seg.opt.mss = 1460;
	seg.opt.window_scale = 2;
	memcpy(eth.dst, w->config.mac, 6);
	memcpy(eth.src, world_peer_mac, 6);
	eth_write(frame, &eth);
	ip.total_len = (uint16_t)(IP4_HEADER + tcp_header_size(&seg));
	ip4_write(frame + at, &ip);
	tcp_write(frame + at + IP4_HEADER, &seg, 0);
	world_frame(w, frame, at + ip.total_len, true, 0, false, true);
}

static void establish(struct world *w)
{
	struct stack_tcb_info tcb;

	peer_segment(w, TCP_SYN, 0);
	/* The newest connection is the one just begun; without memory there may be none. */
	for (unsigned i = 0; i < 4 && world_connection(w, i, &tcb); i++)
		if (tcb.sock.remote.port == PEER_PORT) {
			peer_segment(w, TCP_ACK, tcb.iss + 1);
			break;
		}
	world_accept(w, &w->slot[0]);
}

void world_start(struct world *w, struct input *in)
{
	static const struct stack_addr any = {{[10] = 0xff, [11] = 0xff}};
	static const uint8_t second[4] = {198, 18, 0, 2};
	struct stack_ops ops = {.transmit = world_transmit, .receive = receive, .datagram = datagram};
	struct stack_addr us = stack_addr_v4(world_us), other = stack_addr_v4(second),
			  gateway = stack_addr_v4(world_gateway);
	uint8_t a = input_u8(in);

	memset(w, 0, sizeof(*w));
	configure(w, a, input_u8(in));
	w->now = 1000 * SECOND;
	w->s = stack_new(&w->config, &ops, w, w->now);
	FUZZ_CHECK(w->s, "the stack cannot be made");
	FUZZ_CHECK(stack_address_add(w->s, w->now, &us, 24) == 0, "no address");
	FUZZ_CHECK(stack_address_add(w->s, w->now, &other, 24) == 0, "no second address");
	FUZZ_CHECK(stack_route_add(w->s, &any, 0, &gateway) == 0, "no route");
	world_pass(w, 20 * SECOND); /* RFC 5227's probes and announcements */
	world_open_sockets(w);
	world_settle(w);
	establish(w);
}

/* ---- the end ---- */

static bool note_any(void *arg, const struct stack_sock_info *info)
{
	*(const char **)arg = stack_tcp_state_name(info->state);
	return true;
}

/* Tables and pools live as long as the stack; everything else must be given back. */
static void check_nothing_left(struct world *w)
{
	static const char *const stays[] = {"table", "half-open", "neighbours", "fastopen"};
	const char *name, *state = NULL;
	uint64_t used, limit, cursor = 0;

	while (stack_walk(w->s, &cursor, CONNECTIONS_MAX, note_any, &state))
		;
	FUZZ_CHECK(!state, "a socket is left in %s", state);
	for (size_t i = 0; (name = stack_memory(w->s, i, &used, &limit)) && strcmp(name, "total") != 0; i++) {
		bool fixed = false;

		for (size_t j = 0; j < ARRAY_SIZE(stays); j++)
			fixed |= strcmp(name, stays[j]) == 0;
		FUZZ_CHECK(fixed || used == 0, "%llu bytes of %s are left", (unsigned long long)used, name);
	}
}

void world_end(struct world *w)
{
	if (!w->abrupt) {
		for (unsigned i = 0; i < SLOTS; i++)
			world_close(w, &w->slot[i], false);
		w->resolves = false;
		for (unsigned i = 0; i < LAST_SECONDS; i += 40)
			world_pass(w, 40 * SECOND);
		check_nothing_left(w);
	}
	stack_free(w->s);
}
