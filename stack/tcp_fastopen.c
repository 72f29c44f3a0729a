/*
 * TCP Fast Open (RFC 7413): data in the SYN, both sides.
 *
 * Server. A client's cookie is a MAC of both addresses, so nothing is kept for it. A SYN with a
 * good one makes a full control block at once, in SYN-RECEIVED and in the accept queue: its
 * data can be read and answered before the handshake is complete. Since that costs memory
 * before the client is known to be there (5.1), a listener has no more than `fastopen_limit` of
 * them, and all listeners together no more than the half-open table has room; what is above
 * gets an ordinary handshake (rows S1, S5). A slot that a RST frees stays taken for a minute: a
 * cookie's thief could otherwise have the host that he names free it for him (5.1).
 *
 * In SYN-RECEIVED such a block has SND.UNA at ISS + 1 as if the SYN were acknowledged; while
 * `fastopen_pending` the retransmission timer sends the SYN-ACK, and nothing else goes again.
 *
 * Client. fastopen_cache.c remembers cookies. The SYN carries data once; sent again it is a
 * plain one, since a box on the way may have dropped it for what it carried (4.1.3.1).
 *
 * Cookies expire with their key (4.1.2). Unless keys are configured, they come from the seed
 * and the time, and the one before is good too.
 */
#include "tcp.h"

#include <errno.h>

#define COOKIE_LEN 8u
#define KEY_LIFE SECONDS(12 * 3600) /* a cookie is good for one to two of these */
#define RESET_HOLD SECONDS(60)      /* how long a slot stays taken after a RST */

_Static_assert(sizeof(((struct stack_fastopen_keys *)0)->key[0]) == 16, "a key of SipHash");

/* ---- cookies ---- */

const struct stack_fastopen_keys *fastopen_keys(const struct sock *sock)
{
	const struct stack_fastopen_keys *own = &sock_options(sock)->fastopen_keys;

	return own->count ? own : &sock->stack->cfg.fastopen_keys;
}

static void key_of_period(const struct stack *s, uint64_t period, uint8_t key[16])
{
	uint64_t in[2] = {period, 0}, out[2];

	out[0] = keyed_hash(s->key_fastopen, in, sizeof(in));
	in[1] = 1;
	out[1] = keyed_hash(s->key_fastopen, in, sizeof(in));
	memcpy(key, out, 16);
}

/* The key that makes cookies (0), and the one that checks those of before (1). */
static bool key_get(const struct listener *l, unsigned which, uint8_t key[16])
{
	const struct stack *s = l->sock.stack;
	const struct stack_fastopen_keys *keys = fastopen_keys(&l->sock);

	if (keys->count == 0)
		key_of_period(s, (uint64_t)(s->now / KEY_LIFE) + 1 - which, key);
	else if (which < keys->count)
		memcpy(key, keys->key[which], 16);
	else
		return false;
	return true;
}

/*
 * SipHash of the client's address and ours, as the host makes it: with the same key, a cookie of
 * the host is good here and the other way round.
 */
static void cookie_of(const uint8_t key[16], const struct stack_addr *client, const struct stack_addr *us,
		      uint8_t cookie[COOKIE_LEN])
{
	uint8_t in[8];
	uint64_t out;

	memcpy(in, client->byte + 12, 4);
	memcpy(in + 4, us->byte + 12, 4);
	out = keyed_hash(key, in, sizeof(in));
	for (unsigned i = 0; i < COOKIE_LEN; i++)
		cookie[i] = (uint8_t)(out >> (8 * i));
}

/* Is it one of ours? *old: made with the key of before. */
static bool cookie_good(const struct listener *l, const struct ip_info *ip, const struct tcp_options *o, bool *old)
{
	for (unsigned which = 0; which < 2; which++) {
		uint8_t key[16], cookie[COOKIE_LEN], differs = 0;

		if (o->fastopen_len != COOKIE_LEN || !key_get(l, which, key))
			return false;
		cookie_of(key, &ip->src, &ip->dst, cookie);
		for (unsigned i = 0; i < COOKIE_LEN; i++) /* in the same time whatever differs */
			differs |= cookie[i] ^ o->fastopen[i];
		*old = which > 0;
		if (differs == 0)
			return true;
	}
	return false;
}

void fastopen_offer(struct stack *s, const struct pcb *p, bool experimental, struct tcp_options *o)
{
	struct stack_endpoint local = pcb_local(p), remote = pcb_remote(p);
	const struct listener *l = listener_find(s, &local, &remote);
	uint8_t key[16];

	if (!l || !key_get(l, 0, key))
		return;
	o->has_fastopen = true;
	o->fastopen_experimental = experimental;
	o->fastopen_len = COOKIE_LEN;
	cookie_of(key, &remote.addr, &local.addr, o->fastopen);
	COUNT(s, tcp_fastopen_cookies_sent);
}

/* ---- server ---- */

/* How many connections it may have open early. */
static uint32_t limit_of(const struct listener *l)
{
	uint32_t own = sock_options(&l->sock)->fastopen_limit;

	return own || !(l->sock.stack->cfg.fastopen & STACK_FASTOPEN_ALL_LISTENERS) ? own : l->accept_limit;
}

/*
 * RFC 7413 5.1, PendingFastOpenRequests. Of listeners that share a port (SO_REUSEPORT), one that
 * comes or goes moves connections from one count to another: none is above all of them.
 */
static bool slot_free(struct listener *l)
{
	struct stack *s = l->sock.stack;

	l->fastopen_pending = min_u32(l->fastopen_pending, s->fastopen_pending);
	if (s->now >= l->fastopen_held_until)
		l->fastopen_held = 0;
	return l->fastopen_pending + l->fastopen_held < limit_of(l) &&
	       s->fastopen_pending + s->half_open_count < s->cfg.half_open_max;
}

static void take_syn_data(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	uint32_t kept = (uint32_t)byteq_append(&t->rcvq, &s->mem, MEM_RECV, seg->data, seg->len);

	t->syn_data = kept > 0;
	t->rcv_nxt = seq_add(t->rcv_nxt, kept);
	t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt);
	t->conn->bytes_received += kept;
	COUNT_ADD(s, tcp_in_bytes, kept);
}

/* RFC 7413 4.2.1: the connection is there, the handshake is not. */
static bool open_early(struct listener *l, const struct tcp_segment *seg, const struct half_open *h)
{
	struct stack *s = l->sock.stack;
	struct tcb *t = tcb_from_half_open(s, h, l, seg);

	if (!t)
		return false;
	t->fastopen_pending = true;
	t->fastopen_offer = h->fastopen_offer;
	t->fastopen_experimental = h->fastopen_experimental;
	t->snd_wnd = t->max_snd_wnd = seg->window; /* never scaled in a SYN (RFC 7323 2.2) */
	t->snd_wl2 = t->iss;
	t->rtt_started = s->now;
	tcb_start_sending(t);
	tcp_mtu_start(t);
	tcp_cc_start(t);
	table_insert(&s->table, &t->conn->sock.pcb);
	l->fastopen_pending++;
	s->fastopen_pending++;
	COUNT(s, tcp_fastopen_passive);
	take_syn_data(t, seg);
	tcp_send_syn(t);
	sock_event(&l->sock, STACK_EVENT_ACCEPT);
	return true;
}

bool fastopen_syn(struct listener *l, const struct ip_info *ip, const struct tcp_segment *seg, struct half_open *h)
{
	struct stack *s = l->sock.stack;
	const struct tcp_options *o = &seg->opt;
	bool no_cookie = (sock_options(&l->sock)->fastopen_no_cookie || (s->cfg.fastopen & STACK_FASTOPEN_SERVER_NO_COOKIE)) && seg->len > 0;
	bool old = false;

	if (!(s->cfg.fastopen & STACK_FASTOPEN_SERVER) || limit_of(l) == 0 || !(o->has_fastopen || no_cookie))
		return false;
	h->fastopen_experimental = o->fastopen_experimental;
	if (!no_cookie && !cookie_good(l, ip, o, &old)) {
		if (o->fastopen_len > 0)
			COUNT(s, tcp_fastopen_cookies_bad);
		h->fastopen_offer = true; /* 4.2.1: with a cookie, and the data not acknowledged */
		return false;
	}
	if (!slot_free(l)) {
		COUNT(s, tcp_fastopen_full);
		return false;
	}
	h->fastopen_offer = old;
	return open_early(l, seg, h);
}

/* The handshake of one that was opened early is complete, or will never be. */
static void early_over(struct tcb *t, enum tcp_cause cause)
{
	struct stack *s = tcb_stack(t);
	struct stack_endpoint local = pcb_local(&t->conn->sock.pcb), remote = pcb_remote(&t->conn->sock.pcb);
	struct listener *l = listener_find(s, &local, &remote);

	t->fastopen_pending = false;
	s->fastopen_pending--;
	if (!l || l->fastopen_pending == 0)
		return;
	l->fastopen_pending--;
	if (cause != CAUSE_RST_RECEIVED)
		return;
	l->fastopen_held++;
	l->fastopen_held_until = s->now + RESET_HOLD;
}

/* ---- client ---- */

/* Whether a SYN to there carries data, and how much; false: it does not, *m says with what it asks. */
static bool data_allowed(struct stack *s, const struct pcb *p, bool no_cookie, struct fastopen_memory *m)
{
	fastopen_recall(s, p, m);
	if (m->paused)
		return false;
	return no_cookie || m->cookie_len > 0;
}

static bool without_cookie(const struct sock *sock)
{
	return sock_options(sock)->fastopen_no_cookie || (sock->stack->cfg.fastopen & STACK_FASTOPEN_CLIENT_NO_COOKIE);
}

void fastopen_open(struct tcb *t, struct fastopen_request *r)
{
	struct stack *s = tcb_stack(t);
	struct fastopen_memory m;
	uint32_t room;

	t->fastopen_no_cookie = without_cookie(&t->conn->sock);
	if (!data_allowed(s, &t->conn->sock.pcb, t->fastopen_no_cookie, &m)) {
		t->fastopen = !m.paused;
		t->fastopen_failure = STACK_FASTOPEN_NO_COOKIE;
		return;
	}
	t->fastopen = true;
	room = min_u32(tcp_mss_offered(&t->conn->sock), t->mtu - min_u32(t->mtu, IP4_HEADER + TCP_HEADER));
	if (m.mss > 0)
		room = min_u32(room, m.mss);
	/* 4.1.3: what the server's MSS allows, less all that options may take */
	room = room > TCP_OPTIONS_MAX ? room - TCP_OPTIONS_MAX : 0;
	r->taken = byteq_append(&t->sndq, &s->mem, MEM_SEND, r->data, min_size(r->len, room));
}

void fastopen_syn_option(struct tcb *t, struct tcp_options *o)
{
	struct fastopen_memory m;

	if (!t->fastopen || t->fastopen_no_cookie)
		return;
	fastopen_recall(tcb_stack(t), &t->conn->sock.pcb, &m);
	o->has_fastopen = true;
	o->fastopen_experimental = m.experimental;
	o->fastopen_len = m.cookie_len;
	memcpy(o->fastopen, m.cookie, m.cookie_len);
}

/* 4.1.3: what the SYN-ACK did not acknowledge goes again at once. */
static void send_rest_again(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	t->fastopen_failure = t->conn->retransmissions ? STACK_FASTOPEN_SYN_AGAIN : STACK_FASTOPEN_DATA_NOT_ACKED;
	record_add(t, t->snd_nxt); /* it was pushed, and is again */
	if (!t->sack_on) {
		t->snd_rtx = t->snd_una;
		return;
	}
	scoreboard_sent(&t->board, &s->mem, t->snd_una, t->snd_nxt, t->rtt_started, 0);
	scoreboard_all_lost(&t->board);
}

static void remember(struct tcb *t, const struct tcp_options *o, uint32_t sent, bool all)
{
	struct stack *s = tcb_stack(t);
	const struct pcb *p = &t->conn->sock.pcb;
	const struct tcp_options nothing = {0};
	bool cookie;

	if (t->fastopen_no_cookie) /* 4.1.1: a cookie is the answer to a request, and there was none */
		o = &nothing;
	cookie = o->has_fastopen && o->fastopen_len > 0;
	fastopen_learn(s, p, t->mss_peer, o);
	if (sent > 0 && all)
		fastopen_worked(s, p);
	else if (!cookie && (sent > 0 || t->conn->retransmissions > 0))
		fastopen_failed(s, p);
	else if (!cookie && !t->fastopen_no_cookie)
		fastopen_ignored(s, p);
}

void fastopen_syn_acked(struct tcb *t, const struct tcp_segment *seg)
{
	uint32_t sent = t->snd_nxt.v - t->snd_una.v, acked = seg->ack.v - t->snd_una.v;

	if (!t->fastopen)
		return;
	t->pingpong = t->sndq.len > sent; /* what was written since goes now: ACKs can wait for the like (as the host) */
	byteq_consume(&t->sndq, &tcb_stack(t)->mem, MEM_SEND, acked);
	t->snd_una = seg->ack;
	t->snd_rtx = t->snd_nxt;
	t->conn->bytes_acked += acked;
	t->syn_bytes = (uint16_t)acked;
	t->syn_data = sent > 0 && acked == sent;
	if (acked < sent)
		send_rest_again(t);
	else
		tcb_timer_stop(t, TCB_REXMT);
	remember(t, &seg->opt, sent, t->syn_data);
}

void fastopen_both_opened(struct tcb *t)
{
	if (t->sack_on && tcb_flight(t) > 0)
		scoreboard_sent(&t->board, &tcb_stack(t)->mem, t->snd_una, t->snd_nxt, tcb_stack(t)->now, 0);
}

void fastopen_state_change(struct tcb *t, enum tcp_state from, enum tcp_state to, enum tcp_cause cause)
{
	if (t->fastopen_pending && from == TCP_SYN_RECEIVED)
		early_over(t, cause);
	if (t->fastopen && from == TCP_SYN_SENT && to == TCP_CLOSED && (cause == CAUSE_TIMEOUT || cause == CAUSE_ICMP))
		fastopen_failed(tcb_stack(t), &t->conn->sock.pcb);
}

/* ---- the user's side ---- */

bool stack_fastopen_known(const struct sock *sock, const struct stack_endpoint *remote)
{
	struct stack *s = sock->stack;
	struct stack_addr local = pcb_local_addr(&sock->pcb);
	struct route_result route = {.source = local};
	struct pcb p = {.rport = remote->port};
	struct fastopen_memory m;

	if (!(s->cfg.fastopen & STACK_FASTOPEN_CLIENT) || route_lookup(s, &remote->addr, &route))
		return false;
	pcb_set_local(&p, stack_addr_is_any(&local) ? &route.source : &local);
	pcb_set_remote(&p, &remote->addr);
	return data_allowed(s, &p, without_cookie(sock), &m);
}

ptrdiff_t stack_connect_data(struct sock **sock, stack_time now, const struct stack_endpoint *remote,
			     const void *data, size_t len)
{
	struct sock *old = *sock;
	struct stack_endpoint local = pcb_local(&old->pcb);
	struct fastopen_request request = {.data = data, .len = len};
	int error;

	stack_at(old->stack, now);
	if (!(old->stack->cfg.fastopen & STACK_FASTOPEN_CLIENT))
		return -EOPNOTSUPP;
	if (remote->port == 0 || stack_addr_is_any(&remote->addr))
		return -ECONNREFUSED;
	if (old->pcb.kind != PCB_BOUND)
		return -EISCONN;
	error = tcp_connect(sock, &local, remote, &request);
	return error ? error : (ptrdiff_t)request.taken;
}
