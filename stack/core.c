/*
 * The stack as a whole: its making and end, the run that drives timers and output, events.
 */
#include "core.h"

#include "net.h"
#include "tcp.h"

#include <sodium.h>
#include <stdlib.h>

/* Work of one stack_run, so that the caller's loop stays responsive. */
#define RUN_TIMERS 4096u
#define RUN_OUTPUTS 1024u
#define RUN_LOOPBACK 256u

void stack_config_default(struct stack_config *c)
{
	*c = (struct stack_config){
		.link = STACK_LINK_ETHERNET,
		.mac = {0x02, 0, 0, 0, 0, 1},
		.mtu = 1500,
		.probe = STACK_PROBE_OPTIMISTIC,
		.mem_total = 256u << 20,
		.send_buffer = 128u << 10,
		.recv_buffer = 128u << 10,
		.send_buffer_max = 16u << 20, /* 1 Gbit/s over 100 ms are 12.5 MB */
		.recv_buffer_max = 16u << 20,
		.mem_ooo = 32u << 20,
		.mem_fragments = 1u << 20,
		.half_open_max = 1024,
		.time_wait_max = 16384,
		.sockets_max = 65536,
		.neighbours_max = 1024,
		.shards = 1,
		.port_first = 49152,
		.port_last = 65535,
		.syn_retries = 6,
		.synack_retries = 5,
		.data_retries = 15,
		.orphan_retries = 8,
		.rto_min = MILLISECONDS(200),
		.rto_max = SECONDS(120),
		.rto_initial = SECONDS(1),
		.delayed_ack = MILLISECONDS(40),
		.probe_ack_delay = MILLISECONDS(50),
		.time_wait = SECONDS(60),
		.fin_wait_2 = SECONDS(60),
		.keepalive_idle = SECONDS(7200),
		.keepalive_interval = SECONDS(75),
		.keepalive_probes = 9,
		.quick_acks = 16,
		.frame_segments = 2,
		.slow_start_limit = 8,
		.congestion_control = "cubic",
		.timestamps = true,
		.window_scaling = true,
		.sack = true,
		.ecn = STACK_ECN_ACCEPT,
		.mtu_probing = STACK_MTU_PROBE_BLACK_HOLE,
		.fastopen = STACK_FASTOPEN_CLIENT,
		.fastopen_pause = SECONDS(60),
		.rest_after = SECONDS(1),
		.icmp_rate = 1000,
		.icmp_burst = 200,
		.rst_rate = 1000,
		.rst_burst = 500,
		.ttl = 64,
	};
}

bool stack_congestion_control_known(const char *name)
{
	return cc_find(name) != NULL;
}

static bool config_valid(const struct stack_config *c)
{
	return c->mtu >= 68 && c->port_first > 0 && c->port_first <= c->port_last &&
	       c->send_buffer >= 2048 && c->recv_buffer >= 2048 && c->recv_buffer <= 1u << 30 && c->recv_buffer_max <= 1u << 30 &&
	       c->rto_min > 0 && c->rto_min <= c->rto_max && c->ttl > 0 && c->neighbours_max > 0 &&
	       c->half_open_max > 0 && c->shard < c->shards && c->fastopen_keys.count <= 2 && cc_find(c->congestion_control) && c->sockets_max > 0;
}

/* Separate keys for separate uses, from one seed. */
static void derive_keys(struct stack *s, uint8_t table_key[16])
{
	struct { uint8_t *key; uint64_t number; } const keys[] = {
		{s->key_random, 1}, {s->key_isn, 2}, {s->key_port, 3}, {s->key_ip_id, 4},
		{s->reasm_key, 5}, {table_key, 6}, {s->key_fastopen, 7},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint64_t in[3] = {keys[i].number, 0, 0}, out[2];

		memcpy(&in[1], s->cfg.seed + 16, 16);
		out[0] = keyed_hash(s->cfg.seed, in, sizeof(in));
		in[0] |= 1u << 8;
		out[1] = keyed_hash(s->cfg.seed, in, sizeof(in));
		memcpy(keys[i].key, out, 16);
	}
	if (s->cfg.shards > 1)
		memcpy(s->key_fastopen, s->cfg.fastopen_seed, sizeof(s->key_fastopen));
}

static void set_budgets(struct stack *s)
{
	struct stack_config *c = &s->cfg;
	struct mem *m = &s->mem;

	/* What strangers can fill most easily is never all of it. */
	c->mem_ooo = min_size(c->mem_ooo, c->mem_total / 4);
	c->mem_fragments = min_size(c->mem_fragments, c->mem_total / 4);
	m->total_limit = c->mem_total;
	m->limit[MEM_OOO] = c->mem_ooo;
	m->limit[MEM_FRAGMENT] = c->mem_fragments;
	m->limit[MEM_TIME_WAIT] = c->time_wait_max * sizeof(struct time_wait);
	m->limit[MEM_NEIGHBOUR] = c->neighbours_max * (size_t)256 + (256u << 10);
	m->limit[MEM_LOOPBACK] = 4u << 20;
}

struct stack *stack_new(const struct stack_config *config, const struct stack_ops *ops,
			void *context, stack_time now)
{
	struct stack *s;
	uint8_t table_key[16];

	if (!config_valid(config))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->cfg = *config;
	s->ops = *ops;
	s->context = context;
	s->now = now;
	sock_options_default(s);
	s->next_id = 1;
	s->events_tail = &s->events;
	s->dirty_tail = &s->dirty;
	s->loop_tail = &s->loop_head;
	s->tw_timer.kind = TIMER_TIME_WAIT;
	s->cookie_scale = tcp_window_scale(tcp_recv_limit_max(s));
	set_budgets(s);
	derive_keys(s, table_key);
	wheel_init(&s->wheel, now);
	if (!table_init(&s->table, &s->mem, table_key)) {
		free(s);
		return NULL;
	}
	s->port_counter = (uint32_t)random_u64(s);
	return s;
}

uint64_t keyed_hash(const uint8_t key[16], const void *data, size_t len)
{
	uint64_t out;

	crypto_shorthash((unsigned char *)&out, data, len, key);
	return out;
}

uint64_t random_u64(struct stack *s)
{
	uint64_t n = s->random_n++;

	return keyed_hash(s->key_random, &n, sizeof(n));
}

/* ---- events ---- */

void sock_event(struct sock *sock, unsigned events)
{
	struct stack *s = sock->stack;

	sock->events |= events;
	if (sock->event_link)
		return;
	sock->event_next = NULL;
	sock->event_link = s->events_tail;
	*s->events_tail = sock;
	s->events_tail = &sock->event_next;
}

void sock_event_first(struct sock *sock, unsigned events)
{
	struct stack *s = sock->stack;

	sock->events |= events;
	if (sock->event_link || !s->events) {
		sock_event(sock, 0);
		return;
	}
	sock->event_next = s->events;
	sock->event_link = &s->events;
	sock->event_next->event_link = &sock->event_next;
	s->events = sock;
}

void sock_event_cancel(struct sock *sock)
{
	if (!sock->event_link)
		return;
	*sock->event_link = sock->event_next;
	if (sock->event_next)
		sock->event_next->event_link = sock->event_link;
	else
		sock->stack->events_tail = sock->event_link;
	sock->event_link = NULL;
	sock->events = 0;
}

bool stack_next_event(struct stack *s, struct stack_event *event)
{
	struct sock *sock = s->events;

	if (s->has_notice) {
		*event = s->notice;
		s->has_notice = false;
		return true;
	}
	if (!sock)
		return false;
	*event = (struct stack_event){
		.sock = sock, .user = sock->user, .events = sock->events, .error = sock->error,
	};
	sock_event_cancel(sock);
	return true;
}

bool stack_next_accept(struct stack *s, struct stack_event *event)
{
	return s->events && s->events->pcb.kind == PCB_LISTEN && !s->has_notice && stack_next_event(s, event);
}

/* ---- running ---- */

static void dispatch_timer(struct stack *s, struct timer *t)
{
	switch ((enum timer_kind)t->kind) {
	case TIMER_TCB:
		tcp_timer(s, t);
		break;
	case TIMER_HALF_OPEN:
		half_open_timer(s, t);
		break;
	case TIMER_TIME_WAIT:
		time_wait_timer(s);
		break;
	case TIMER_NEIGHBOUR:
		arp_timer(s, t);
		break;
	case TIMER_REASSEMBLY:
		reasm_timer(s, t);
		break;
	case TIMER_ADDRESS:
		arp_address_timer(s, t);
		break;
	case TIMER_REST:
		conn_timer(s, t);
		break;
	}
}

static bool run_timers(struct stack *s)
{
	for (unsigned i = 0; i < RUN_TIMERS; i++) {
		struct timer *t = wheel_expire(&s->wheel, s->now);

		if (!t)
			return false;
		dispatch_timer(s, t);
	}
	return true;
}

static bool run_output(struct stack *s)
{
	for (unsigned i = 0; i < RUN_OUTPUTS && s->dirty; i++) {
		struct tcb *t = s->dirty;

		tcb_clean(t);
		if (tcp_output(t))
			tcb_dirty(t);
	}
	return s->dirty != NULL;
}

bool stack_run(struct stack *s, stack_time now)
{
	bool more;

	stack_at(s, now);
	more = run_timers(s);
	more |= run_output(s);
	if (s->loop_head) {
		loopback_run(s, RUN_LOOPBACK);
		more |= run_output(s);
	}
	return more || s->loop_head || wheel_next(&s->wheel) <= now; /* output may have made a timer due */
}

void stack_input(struct stack *s, stack_time now, const struct stack_frame *frame)
{
	stack_at(s, now);
	link_input(s, frame);
}

stack_time stack_deadline(const struct stack *s)
{
	if (s->dirty || s->loop_head)
		return s->now;
	return wheel_next(&s->wheel);
}

void stack_reconfigure(struct stack *s, const struct stack_config *config)
{
	struct stack_config old = s->cfg;

	if (!config_valid(config))
		return;
	s->cfg = *config;
	memcpy(s->cfg.seed, old.seed, sizeof(old.seed));
	memcpy(s->cfg.mac, old.mac, sizeof(old.mac));
	s->cfg.link = old.link;
	s->cfg.mtu = old.mtu;
	s->cfg.offload = old.offload;
	sock_options_default(s);
	set_budgets(s);
	if (s->half_slabs)
		half_open_pool_grow(s);
}

/* ---- the end ---- */

#define COLLECT 64u

struct collection {
	struct pcb *pcb[COLLECT];
	unsigned count;
};

static bool collect(void *arg, struct pcb *p)
{
	struct collection *c = arg;

	if (c->count < COLLECT)
		c->pcb[c->count++] = p;
	return c->count < COLLECT;
}

static void conn_release(struct stack *s, struct conn *c)
{
	struct tcb *t = conn_tcb(c);
	struct extra *extra = t ? t->extra : c->extra;

	if (t)
		tcb_memory_free(t);
	mem_give(&s->mem, MEM_SOCKET, POOL_TCB, t, sizeof(*t));
	mem_give(&s->mem, MEM_SOCKET, POOL_EXTRA, extra, sizeof(*extra));
	sock_options_free(&c->sock);
	mem_give(&s->mem, MEM_SOCKET, POOL_CONN, c, sizeof(*c));
}

static void pcb_release(struct stack *s, struct pcb *p)
{
	if (!pcb_is_datagram(p))
		table_remove(&s->table, p);
	switch ((enum pcb_kind)p->kind) {
	case PCB_BOUND:
		sock_options_free(CONTAINER_OF(p, struct sock, pcb));
		mem_give(&s->mem, MEM_SOCKET, POOL_SOCK, p, sizeof(struct sock));
		break;
	case PCB_LISTEN:
		sock_options_free(CONTAINER_OF(p, struct sock, pcb));
		mem_free(&s->mem, MEM_SOCKET, p, sizeof(struct listener));
		break;
	case PCB_HALF:
		break; /* in the pool */
	case PCB_TCB:
		conn_release(s, CONTAINER_OF(p, struct conn, sock.pcb));
		break;
	case PCB_TIME_WAIT:
		mem_give(&s->mem, MEM_TIME_WAIT, POOL_TIME_WAIT, p, sizeof(struct time_wait));
		break;
	case PCB_UDP:
	case PCB_PING:
		udp_close(CONTAINER_OF(p, struct sock, pcb));
		break;
	}
}

/* Some entries of the table, further on each time; 0: there are no more. */
static unsigned table_take(struct stack *s, uint64_t *cursor, struct collection *c)
{
	c->count = 0;
	while (c->count == 0 && table_walk(&s->table, cursor, COLLECT, collect, c))
		;
	return c->count;
}

void stack_free(struct stack *s)
{
	struct collection c;
	uint64_t cursor = 0;

	if (!s)
		return;
	/* These cancel their timers, which are linked with those of control blocks: before the blocks go. */
	arp_free(s);
	reasm_free(s);
	while (table_take(s, &cursor, &c) > 0)
		for (unsigned i = 0; i < c.count; i++)
			pcb_release(s, c.pcb[i]);
	half_open_pool_free(s);
	stack_fastopen_forget(s);
	loopback_free(s);
	table_done(&s->table);
	mem_done(&s->mem);
	free(s);
}
