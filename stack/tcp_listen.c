/*
 * Passive opens: the two queues behind `listen`.
 *
 * A SYN makes a half-open entry (SYN-RECEIVED) out of a pool that the first listener allocates:
 * a stranger's SYN never allocates memory. The final ACK turns it into a tcb in the listener's
 * accept queue. While that queue is full, SYNs are dropped and final ACKs wait, as on the host:
 * the peer sends again, and meets room or gives up (ETIMEDOUT).
 *
 * When the pool is used up, SYN cookies take over (tcp_cookie.c).
 *
 * A half-open entry finds its listener through the table; one whose listener has gone dies at
 * its next segment or timeout.
 */
#include "tcp.h"

#include <errno.h>

#define DOUBLINGS_MAX 16u /* of the time between two SYN-ACKs: past any rto_max, and short of the clock's width */

/* F(connection, secret): the same for all connections with these addresses and ports. */
static uint64_t connection_hash(const struct stack *s, const struct pcb *p)
{
	const struct flow_key key = flow_key_of(p);

	if (memcmp(&s->numbered, &key, sizeof(key)) == 0)
		return s->numbered_hash;
	return keyed_hash(s->key_isn, &key, FLOW_KEY_LEN);
}

/* RFC 6528: M + F(connection, secret), M ticking every 4 microseconds. */
seq32 tcp_isn(struct stack *s, const struct pcb *p)
{
	s->numbered_hash = connection_hash(s, p); /* tcp_ts_offset is next */
	s->numbered = flow_key_of(p);
	return seq_make((uint32_t)s->numbered_hash + (uint32_t)(s->now / 4));
}

/* The hash's other half: timestamps go on from one connection to the next, as RFC 6191 needs it. */
uint32_t tcp_ts_offset(const struct stack *s, const struct pcb *p)
{
	return (uint32_t)(connection_hash(s, p) >> 32);
}

/* ---- the listener ---- */

static size_t slab_size(uint32_t count)
{
	return sizeof(struct half_slab) + count * sizeof(struct half_open);
}

bool half_open_pool_grow(struct stack *s)
{
	uint32_t n = s->cfg.half_open_max - min_u32(s->cfg.half_open_max, s->half_pool_size);
	struct half_slab *slab;

	if (n == 0)
		return true;
	slab = mem_alloc(&s->mem, MEM_HALF, slab_size(n));
	if (!slab)
		return false;
	slab->count = n;
	slab->next = s->half_slabs;
	s->half_slabs = slab;
	s->half_pool_size += n;
	for (uint32_t i = 0; i < n; i++) {
		slab->entry[i].pcb.hash_next = s->half_free ? &s->half_free->pcb : NULL;
		s->half_free = &slab->entry[i];
	}
	return true;
}

void half_open_pool_free(struct stack *s)
{
	while (s->half_slabs) {
		struct half_slab *slab = s->half_slabs;

		s->half_slabs = slab->next;
		mem_free(&s->mem, MEM_HALF, slab, slab_size(slab->count));
	}
}

struct listener *listener_new(struct stack *s, struct sock *bound, uint32_t backlog)
{
	bool ready = s->half_slabs || half_open_pool_grow(s);
	struct listener *l = ready ? mem_alloc(&s->mem, MEM_SOCKET, sizeof(*l)) : NULL;

	if (!l)
		return NULL;
	sock_event_cancel(bound);
	l->sock = *bound;
	l->sock.pcb.kind = PCB_LISTEN;
	l->sock.pcb.state = TCP_LISTEN;
	l->sock.event_link = NULL;
	l->accept_tail = &l->accept_head;
	l->accept_limit = backlog;
	s->listeners_at_one += l->sock.pcb.local_v4;
	table_replace(&s->table, &bound->pcb, &l->sock.pcb);
	mem_give(&s->mem, MEM_SOCKET, POOL_SOCK, bound, sizeof(*bound));
	return l;
}

/* The `skip`-th listener at exactly this address after `p`; *count: how many there are from there on. */
static struct listener *listener_nth(struct pcb *p, uint32_t skip, uint32_t *count)
{
	struct listener *found = NULL;

	for (*count = 0; p; p = table_find_next(p)) {
		if (p->kind != PCB_LISTEN)
			continue;
		if ((*count)++ == skip)
			found = CONTAINER_OF(p, struct listener, sock.pcb);
	}
	return found;
}

static struct listener *listener_at(struct stack *s, const struct stack_addr *addr, uint16_t port,
				    const struct stack_endpoint *remote)
{
	static const struct stack_addr any;
	struct pcb *p = table_find(&s->table, STACK_TCP, addr, port, &any, 0);
	uint32_t count;
	struct listener *l = listener_nth(p, 0, &count);

	if (count > 1)
		l = listener_nth(p, (uint32_t)(keyed_hash(s->key_port, remote, sizeof(*remote)) % count), &count);
	return l;
}

struct listener *listener_find(struct stack *s, const struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	static const struct stack_addr any;
	struct listener *l = s->listeners_at_one > 0 ? listener_at(s, &local->addr, local->port, remote) : NULL;

	return l ? l : listener_at(s, &any, local->port, remote);
}

static struct listener *listener_of(struct stack *s, const struct half_open *h)
{
	struct stack_endpoint local = pcb_local(&h->pcb), remote = pcb_remote(&h->pcb);

	return listener_find(s, &local, &remote);
}

/* ---- the accept queue ---- */

/* Whoever waits there is not at rest. */
static struct tcb *listener_first(const struct listener *l)
{
	return l->accept_head ? conn_of(l->accept_head)->tcb : NULL;
}

static void listener_queue(struct listener *l, struct tcb *t)
{
	struct sock *sock = &t->conn->sock;

	t->listener = l;
	sock->event_next = NULL;
	sock->event_link = l->accept_tail;
	*l->accept_tail = sock;
	l->accept_tail = &sock->event_next;
	l->accept_length++;
}

struct tcb *listener_accept(struct listener *l)
{
	struct tcb *t = listener_first(l);

	if (!t)
		return NULL;
	listener_unqueue(t);
	t->held = true;
	if (l->accept_head)
		sock_event(&l->sock, STACK_EVENT_ACCEPT);
	if (t->rcvq.len > 0)
		sock_event(&t->conn->sock, STACK_EVENT_READABLE);
	if (t->fin_received)
		sock_event(&t->conn->sock, STACK_EVENT_EOF);
	if (t->conn->sock.error)
		sock_event(&t->conn->sock, STACK_EVENT_ERROR);
	return t;
}

void listener_unqueue(struct tcb *t)
{
	struct listener *l = t->listener;
	struct sock *sock = &t->conn->sock;

	*sock->event_link = sock->event_next;
	if (sock->event_next)
		sock->event_next->event_link = sock->event_link;
	else
		l->accept_tail = sock->event_link;
	sock->event_link = NULL;
	l->accept_length--;
	t->listener = NULL;
}

/* RFC 9293 3.10.4: connections that nobody accepted are reset. */
void listener_close(struct listener *l)
{
	struct stack *s = l->sock.stack;

	while (l->accept_head)
		tcp_abort(listener_first(l), CAUSE_CLOSE, 0);
	table_remove(&s->table, &l->sock.pcb);
	s->listeners_at_one -= l->sock.pcb.local_v4;
	sock_event_cancel(&l->sock);
	sock_options_free(&l->sock);
	s->sockets--;
	mem_free(&s->mem, MEM_SOCKET, l, sizeof(*l));
}

/* ---- half-open connections ---- */

/* l: its listener, NULL: that is gone. */
static void drop(struct stack *s, struct half_open *h, struct listener *l)
{
	timer_cancel(&s->wheel, &h->timer);
	if (h->pcb.hashed)
		table_remove(&s->table, &h->pcb);
	if (l && l->half_open > 0)
		l->half_open--;
	s->half_open_count--;
	h->pcb.hash_next = s->half_free ? &s->half_free->pcb : NULL;
	s->half_free = h;
}

void half_open_free(struct stack *s, struct half_open *h)
{
	drop(s, h, listener_of(s, h));
}

/* The window that its listener's connections begin with, bytes. */
static uint32_t first_window(const struct listener *l)
{
	uint32_t clamp = sock_options(&l->sock)->window_clamp, window = sock_recv_buffer(&l->sock);

	return min_u32(clamp ? min_u32(window, clamp) : window, TCP_WINDOW_UNSCALED);
}

static void half_open_reply(struct stack *s, const struct listener *l, const struct half_open *h, uint8_t flags)
{
	bool syn = flags & TCP_SYN;
	uint8_t scale = syn ? 0 : h->rcv_scale; /* never in a SYN (RFC 7323 2.2) */
	struct tcp_segment seg = {
		.seq = syn ? h->iss : seq_add(h->iss, 1),
		.ack = seq_add(h->irs, 1),
		.flags = (uint8_t)(flags | TCP_ACK),
		.window = (uint16_t)(h->rcv_wnd >> scale),
	};

	if (syn) {
		seg.flags |= h->ecn_ok ? TCP_ECE : 0;
		seg.opt.has_mss = true;
		seg.opt.mss = tcp_mss_offered(&l->sock);
		seg.opt.sack_permitted = h->sack_ok;
		seg.opt.has_window_scale = h->ws_on;
		seg.opt.window_scale = h->rcv_scale;
		if (h->fastopen_offer && !h->retransmitted)
			fastopen_offer(s, &h->pcb, h->fastopen_experimental, &seg.opt);
	}
	if (h->ts_on) {
		seg.opt.has_timestamp = true;
		seg.opt.ts_value = h->cookie ? cookie_timestamp(s, h) : ts_now(s, tcp_ts_offset(s, &h->pcb));
		seg.opt.ts_echo = h->ts_recent;
	}
	tcp_send_from(&l->sock, &h->pcb, &seg);
}

static void half_open_arm(struct stack *s, struct half_open *h)
{
	stack_time wait = min_u64(s->cfg.rto_initial << min_u32(h->retries, DOUBLINGS_MAX), s->cfg.rto_max);

	timer_set(&s->wheel, &h->timer, s->now + wait);
}

static bool half_open_expired(const struct listener *l, const struct half_open *h)
{
	const struct sock_options *o = sock_options(&l->sock);

	if (h->retries < (o->syn_retries ? o->syn_retries : l->sock.stack->cfg.synack_retries))
		return false;
	return !h->deferred || h->retries >= o->defer_accept;
}

/*
 * TCP_DEFER_ACCEPT: a peer whose ACK came is asked nothing more while its data may still come; when
 * that time is over, a last SYN-ACK makes it acknowledge again, and that ACK is accepted.
 */
void half_open_timer(struct stack *s, struct timer *timer)
{
	struct half_open *h = CONTAINER_OF(timer, struct half_open, timer);
	struct listener *l = listener_of(s, h);

	if (!l || half_open_expired(l, h)) {
		COUNT(s, tcp_attempt_fails);
		drop(s, h, l);
		return;
	}
	if (!h->deferred || h->retries + 1 >= sock_options(&l->sock)->defer_accept) {
		h->retransmitted = true;
		COUNT(s, tcp_retransmissions);
		half_open_reply(s, l, h, TCP_SYN);
	}
	h->retries++;
	half_open_arm(s, h);
}

/* What a SYN asks for, wherever it is kept. */
static struct half_open from_syn(struct stack *s, const struct listener *l, const struct ip_info *ip,
				 const struct tcp_segment *seg)
{
	struct half_open h = {
		.pcb = {
			.id = PCB_ID(shard_next_id(s)), .lport = seg->dport, .rport = seg->sport, .owner = l->sock.pcb.owner, .kind = PCB_HALF,
			.state = TCP_SYN_RECEIVED,
		},
		.timer = {.kind = TIMER_HALF_OPEN},
		.irs = seg->seq,
		.created_ms = to_ms(s->now),
		.ts_recent = seg->opt.ts_value,
		.mss = seg->opt.has_mss ? seg->opt.mss : TCP_MSS_DEFAULT,
		.rcv_wnd = (uint16_t)first_window(l),
		.snd_scale = seg->opt.window_scale & 15u,
		.ts_on = seg->opt.has_timestamp && s->cfg.timestamps,
		.ws_on = seg->opt.has_window_scale && s->cfg.window_scaling,
		.sack_ok = seg->opt.sack_permitted && s->cfg.sack,
		.ecn_ok = (seg->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR) && s->cfg.ecn != STACK_ECN_OFF,
	};

	pcb_set_local(&h.pcb, &ip->dst);
	pcb_set_remote(&h.pcb, &ip->src);
	h.rcv_scale = h.ws_on ? tcp_window_scale(sock_recv_limit_max(&l->sock)) & 15u : 0;
	return h;
}

static struct half_open *half_open_new(struct stack *s, const struct half_open *from)
{
	struct half_open *h = s->half_free;

	if (!h || s->half_open_count >= s->cfg.half_open_max)
		return NULL;
	s->half_free = h->pcb.hash_next ? CONTAINER_OF(h->pcb.hash_next, struct half_open, pcb) : NULL;
	*h = *from;
	s->half_open_count++;
	return h;
}

/* No room: the answer carries all that would have been kept. */
static void answer_with_cookie(struct stack *s, const struct listener *l, struct half_open *h)
{
	COUNT(s, tcp_half_open_full);
	h->iss = cookie_make(s, h);
	if (!h->ts_on) /* there is nothing to carry them */
		h->ws_on = h->sack_ok = h->ecn_ok = false;
	h->rcv_scale = h->ws_on ? s->cookie_scale & 15u : 0;
	h->cookie = true;
	h->fastopen_offer = false;
	half_open_reply(s, l, h, TCP_SYN);
}

void listener_syn(struct listener *l, const struct ip_info *ip, const struct tcp_segment *seg,
		  bool floor_set, seq32 floor)
{
	struct stack *s = l->sock.stack;
	struct half_open syn, *h;

	if (l->accept_length >= l->accept_limit) {
		COUNT(s, tcp_accept_full);
		l->refused++;
		return;
	}
	syn = from_syn(s, l, ip, seg);
	syn.iss = tcp_isn(s, &syn.pcb);
	if (floor_set && seq_leq(syn.iss, floor))
		syn.iss = seq_add(floor, 1 + (uint32_t)(random_u64(s) & 0xffff));
	if (fastopen_syn(l, ip, seg, &syn))
		return;
	h = half_open_new(s, &syn);
	if (!h) {
		answer_with_cookie(s, l, &syn);
		return;
	}
	l->half_open++;
	table_insert(&s->table, &h->pcb);
	half_open_reply(s, l, h, TCP_SYN);
	half_open_arm(s, h);
}

struct tcb *tcb_from_half_open(struct stack *s, const struct half_open *h, struct listener *l,
			       const struct tcp_segment *seg)
{
	struct stack_addr remote = pcb_remote_addr(&h->pcb);
	struct tcb *t;

	if (!sock_admit(s))
		return NULL;
	t = tcb_new(s, h->pcb.owner, NULL);
	if (!t) {
		s->sockets--;
		return NULL;
	}
	sock_options_inherit(&t->conn->sock, &l->sock);
	tcb_take_options(t);
	t->conn->sock.pcb = h->pcb;
	t->conn->sock.pcb.kind = PCB_TCB;
	t->conn->sock.pcb.hash_next = NULL;
	t->conn->sock.pcb.hashed = false;
	t->conn->created = from_ms(s->now, h->created_ms);
	t->iss = h->iss;
	t->snd_nxt = t->snd_rtx = seq_add(h->iss, 1);
	t->irs = h->irs;
	t->rcv_nxt = t->last_ack_sent = t->rcv_up = seq_add(h->irs, 1);
	t->rcv_adv = seq_add(t->rcv_nxt, h->rcv_wnd);
	t->mtu = path_mtu_get(s, &remote);
	t->mss_peer = h->mss;
	t->ts_on = h->ts_on;
	t->ts_recent = h->ts_recent;
	t->ts_recent_ms = h->created_ms;
	t->ts_offset = tcp_ts_offset(s, &h->pcb);
	t->ws_on = h->ws_on;
	t->sack_on = h->sack_ok;
	t->ecn_on = h->ecn_ok;
	t->snd_scale = h->ws_on ? h->snd_scale : 0;
	t->rcv_scale = h->rcv_scale;
	t->snd_wnd = t->max_snd_wnd = (uint32_t)seg->window << t->snd_scale;
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
	t->retries = h->retries;
	t->rtt_timing = !h->retransmitted;
	t->rtt_started = t->conn->created;
	tcp_set_mss(t);
	tcb_note(t, h->created_ms, TCP_LISTEN, TCP_SYN_RECEIVED, CAUSE_SYN_RECEIVED);
	listener_queue(l, t);
	return t;
}

static void handshake_done(struct listener *l, struct tcb *t, const struct ip_info *ip, struct tcp_segment *seg)
{
	struct stack *s = l->sock.stack;

	tcb_established(t, CAUSE_ACK_OF_SYN);
	COUNT(s, tcp_passive_opens);
	sock_event_first(&l->sock, STACK_EVENT_ACCEPT);
	tcp_segment_arrives(t, ip, seg);
}

/* An ACK to a listener: the last of a handshake that a cookie carried? True: dealt with. */
static bool accept_cookie(struct listener *l, const struct ip_info *ip, const struct tcp_segment *seg)
{
	struct stack *s = l->sock.stack;
	struct tcp_segment copy = *seg;
	struct half_open h;
	struct tcb *t;

	switch (cookie_check(s, ip, seg, &h)) {
	case COOKIE_BAD:
		return false;
	case COOKIE_LATER_SEGMENT:
		return true; /* the first will come again */
	case COOKIE_GOOD:
		break;
	}
	h.pcb.id = PCB_ID(shard_next_id(s));
	h.pcb.owner = l->sock.pcb.owner;
	h.rcv_wnd = (uint16_t)first_window(l);
	if (l->accept_length >= l->accept_limit) {
		COUNT(s, tcp_accept_full);
		l->refused++;
		return true; /* it will come again */
	}
	t = tcb_from_half_open(s, &h, l, seg);
	if (!t) {
		COUNT(s, tcp_aborts_memory);
		return true;
	}
	table_insert(&s->table, &t->conn->sock.pcb);
	handshake_done(l, t, ip, &copy);
	return true;
}


/* RFC 9293 3.10.7.2, LISTEN: first RST, second ACK, third SYN, fourth anything else. */
void listener_segment(struct listener *l, const struct ip_info *ip, const struct tcp_segment *seg)
{
	struct stack *s = l->sock.stack;

	if (seg->flags & TCP_RST) {
		COUNT(s, tcp_in_rst_ignored);
		return;
	}
	if (seg->flags & TCP_ACK) {
		if ((seg->flags & TCP_SYN) || !accept_cookie(l, ip, seg))
			tcp_refuse(s, ip, seg);
		return;
	}
	if (!(seg->flags & TCP_SYN) || (seg->flags & TCP_FIN)) {
		COUNT(s, tcp_in_bad);
		return;
	}
	listener_syn(l, ip, seg, false, seq_make(0));
}

/* Checks one to four of 3.10.7.4 in SYN-RECEIVED; true: the segment may complete the handshake. */
static bool half_open_acceptable(struct stack *s, struct listener *l, struct half_open *h,
				 const struct tcp_segment *seg)
{
	seq32 rcv_nxt = seq_add(h->irs, 1);

	if ((seg->flags & TCP_SYN) && !(seg->flags & (TCP_ACK | TCP_RST)) && seq_eq(seg->seq, h->irs)) {
		half_open_reply(s, l, h, TCP_SYN); /* the peer sent its SYN again */
		return false;
	}
	if (!seq_in(seg->seq, rcv_nxt, h->rcv_wnd)) {
		if (!(seg->flags & TCP_RST))
			half_open_reply(s, l, h, 0);
		return false;
	}
	if (seg->flags & TCP_RST) {
		if (seq_eq(seg->seq, rcv_nxt)) {
			COUNT(s, tcp_in_rst);
			COUNT(s, tcp_attempt_fails);
			drop(s, h, l);
		} else {
			COUNT(s, tcp_in_rst_ignored);
			half_open_reply(s, l, h, 0);
		}
		return false;
	}
	if (seg->flags & TCP_SYN) {
		COUNT(s, tcp_challenge_acks);
		half_open_reply(s, l, h, 0);
		return false;
	}
	if (h->ts_on && seg->opt.has_timestamp && (int32_t)(seg->opt.ts_value - h->ts_recent) < 0) {
		COUNT(s, tcp_in_paws);
		half_open_reply(s, l, h, 0);
		return false;
	}
	return seg->flags & TCP_ACK;
}

/* TCP_DEFER_ACCEPT: the handshake is complete when data comes, or that has been waited for long enough. */
static bool defer(const struct listener *l, struct half_open *h, const struct tcp_segment *seg)
{
	if (tcp_seg_len(seg) > 0 || h->retries >= sock_options(&l->sock)->defer_accept)
		return false;
	h->deferred = true;
	return true;
}

void half_open_segment(struct stack *s, struct half_open *h, const struct ip_info *ip, struct tcp_segment *seg)
{
	struct listener *l = listener_of(s, h);
	struct tcb *t;

	if (!l) {
		tcp_refuse(s, ip, seg);
		drop(s, h, l);
		return;
	}
	if (!half_open_acceptable(s, l, h, seg))
		return;
	if (!seq_eq(seg->ack, seq_add(h->iss, 1))) {
		tcp_refuse(s, ip, seg);
		return;
	}
	if (defer(l, h, seg))
		return;
	if (l->accept_length >= l->accept_limit) {
		COUNT(s, tcp_accept_full);
		if (!h->blocked)
			l->refused++;
		h->blocked = true;
		return;
	}
	t = tcb_from_half_open(s, h, l, seg);
	if (!t) {
		COUNT(s, tcp_aborts_memory);
		return;
	}
	t->conn->sock.pcb.hashed = h->pcb.hashed;
	table_replace(&s->table, &h->pcb, &t->conn->sock.pcb);
	drop(s, h, l);
	handshake_done(l, t, ip, seg);
}
