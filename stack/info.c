/* Looking in: lists of sockets, one control block, memory, and the checks that tests run. */
#include "tcp.h"

#include <errno.h>

/* A parked socket has an unusable key, one that is past has left it to others: they are not shown. */
static bool parked(const struct pcb *p)
{
	return p->lport == 0 || p->past;
}

static void *holder(const struct pcb *p)
{
	if (p->kind == PCB_HALF || p->kind == PCB_TIME_WAIT)
		return NULL;
	return CONTAINER_OF(p, struct sock, pcb)->user;
}

static void fill_conn(const struct conn *c, struct stack_sock_info *out)
{
	out->recv_q = c->at_rest ? 0 : c->tcb->rcvq.len;
	out->send_q = c->at_rest ? 0 : c->tcb->sndq.len;
}

static void fill(const struct pcb *p, struct stack_sock_info *out)
{
	*out = (struct stack_sock_info){
		.id = p->id, .proto = pcb_proto(p),
		.state = (enum tcp_state)p->state, .local = pcb_local(p), .remote = pcb_remote(p),
		.owner = p->owner, .user = holder(p), .port_chosen = !p->port_given,
	};
	switch ((enum pcb_kind)p->kind) {
	case PCB_LISTEN: {
		const struct listener *l = CONTAINER_OF(p, struct listener, sock.pcb);

		out->recv_q = l->accept_length;
		out->send_q = l->accept_limit;
		out->half_open = l->half_open;
		out->drops = l->refused;
		break;
	}
	case PCB_TCB:
		fill_conn(CONTAINER_OF(p, struct conn, sock.pcb), out);
		break;
	case PCB_UDP:
	case PCB_PING: {
		const struct udp_sock *u = CONTAINER_OF(p, struct udp_sock, sock.pcb);

		out->recv_q = u->queued;
		out->drops = u->drops;
		out->state = (enum tcp_state)p->state;
		if (p->kind == PCB_PING)
			out->remote = u->peer;
		break;
	}
	case PCB_BOUND:
	case PCB_HALF:
	case PCB_TIME_WAIT:
		break;
	}
}

struct walk {
	bool (*visit)(void *arg, const struct stack_sock_info *info);
	void *arg;
};

static bool walk_visit(void *arg, struct pcb *p)
{
	struct walk *w = arg;
	struct stack_sock_info info;

	if (parked(p))
		return true;
	fill(p, &info);
	return w->visit(w->arg, &info);
}

bool stack_walk(struct stack *s, uint64_t *cursor, size_t batch,
		bool (*visit)(void *arg, const struct stack_sock_info *info), void *arg)
{
	struct walk w = {visit, arg};

	return table_walk(&s->table, cursor, batch, walk_visit, &w);
}

struct search {
	uint64_t id;
	struct pcb *found;
	bool held; /* the one that somebody holds: a parked one, rather than what is in TIME-WAIT for it */
};

static bool search_visit(void *arg, struct pcb *p)
{
	struct search *search = arg;

	if (p->id == search->id && (search->held ? holder(p) != NULL : !parked(p)))
		search->found = p;
	return search->found == NULL;
}

static struct pcb *pcb_search(struct stack *s, uint64_t id, bool held)
{
	struct search search = {.id = id, .found = s->table.named, .held = held};
	uint64_t cursor = 0;

	if (search.found && (search.found->id != id || (held && !holder(search.found))))
		search.found = NULL;
	while (!search.found && table_walk(&s->table, &cursor, SIZE_MAX, search_visit, &search))
		;
	return search.found;
}

static struct pcb *pcb_by_id(struct stack *s, uint64_t id)
{
	return pcb_search(s, id, false);
}

void stack_name(struct stack *s, enum stack_proto proto, const struct stack_endpoint *local,
		const struct stack_endpoint *remote, uint64_t id)
{
	struct pcb *p = table_find(&s->table, proto, &local->addr, local->port, &remote->addr, remote->port);

	while (p && p->id != id)
		p = table_find_next(p);
	if (p && !parked(p))
		s->table.named = p;
}

bool stack_find(struct stack *s, uint64_t id, struct stack_sock_info *out)
{
	const struct pcb *p = pcb_by_id(s, id);

	if (p)
		fill(p, out);
	return p != NULL;
}

struct sock *stack_sock(struct stack *s, uint64_t id)
{
	struct pcb *p = pcb_search(s, id, true);

	return p && holder(p) ? CONTAINER_OF(p, struct sock, pcb) : NULL;
}

/* ---- one control block ---- */

static const char *recovery_name(enum tcp_recovery recovery)
{
	switch (recovery) {
	case RECOVERY_OPEN:
		return "open";
	case RECOVERY_FAST:
		return "fast-recovery";
	case RECOVERY_CWR:
		return "cwr";
	case RECOVERY_LOSS:
		return "loss";
	}
	return "?";
}

static void conn_history(const struct conn *c, stack_time now, struct stack_tcb_info *out)
{
	uint8_t from = c->history_first;

	out->history_count = c->history_count;
	for (unsigned i = 0; i < c->history_count; i++) {
		unsigned late = i - HISTORY_EARLY;
		const struct tcp_change *change = i < HISTORY_EARLY ? &c->history[i] : &c->late[late];

		out->history[i] = (struct stack_change){
			i == 0 ? c->created : from_ms(now, i < HISTORY_EARLY ? c->second_ms : c->late_ms[late]),
			(enum tcp_state)from, (enum tcp_state)change->state,
			tcp_cause_name((enum tcp_cause)change->cause),
		};
		from = change->state;
	}
}

static void tcb_sequences(const struct tcb *t, struct stack_tcb_info *out)
{
	out->iss = t->iss.v;
	out->snd_una = t->snd_una.v;
	out->snd_nxt = t->snd_nxt.v;
	out->snd_wnd = t->snd_wnd;
	out->snd_up = t->urgent_out ? t->snd_up.v : t->iss.v + 1;
	out->snd_wl1 = t->snd_wl1.v;
	out->snd_wl2 = t->snd_wl2.v;
	out->max_snd_wnd = t->max_snd_wnd;
	out->irs = t->irs.v;
	out->rcv_nxt = t->rcv_nxt.v;
	out->rcv_wnd = t->rcv_adv.v - t->rcv_nxt.v;
	out->rcv_up = t->rcv_up.v;
	out->rcv_adv = t->rcv_adv.v;
	out->snd_scale = t->snd_scale;
	out->rcv_scale = t->rcv_scale;
	out->mss_send = t->mss;
	out->mss_recv = tcp_mss_offered(&t->conn->sock);
	out->mss_peer = t->mss_peer;
	tcp_mtu_info(t, out);
}

static void tcb_control(const struct tcb *t, struct stack_tcb_info *out)
{
	out->cc_name = t->cc_ops->name;
	out->recovery = recovery_name((enum tcp_recovery)t->recovery);
	out->cwnd = t->cc.cwnd;
	out->ssthresh = t->cc.ssthresh;
	out->flight = tcb_flight(t);
	out->recover = t->recover.v;
	out->sacked = t->board.sacked;
	out->lost = t->board.lost;
	out->reordering = t->reordering;
	out->reorder_degree = conn_noted(t->conn)->reorder_degree;
	out->reorder_seen = conn_noted(t->conn)->reorder_seen;
	out->dupacks = t->dupacks;
	out->srtt = t->rtt.srtt / 8;
	out->rttvar = t->rtt.rttvar / 4;
	out->rtt_min = t->rtt.min == UINT32_MAX ? 0 : t->rtt.min;
	out->rto = rtt_timeout(&t->rtt, tcb_stack(t)->cfg.rto_max);
	out->backoff = t->rtt.backoff;
	out->retries = t->retries;
	for (unsigned i = 0; i <= TCB_PACE; i++)
		out->timer[i] = tcb_deadline(t, (enum tcb_timer)i);
}

/* What only struct tcp_info has. */
static void tcb_times(const struct tcb *t, stack_time now, struct stack_tcb_info *out)
{
	out->last_data_sent = t->last_sent;
	out->last_data_received = t->syn_acked ? from_ms(now, t->data_received_ms) : 0;
	out->mss_seen = t->mss_seen ? t->mss_seen : (uint16_t)min_u32(t->mss, TCP_MSS_DEFAULT);
	out->last_ack_received = t->last_received;
	out->data_segments_in = t->conn->data_in;
	out->data_segments_out = t->conn->data_out;
	for (const struct sent *r = t->board.head; r; r = r->next)
		out->sent_again += r->flags & SENT_AGAIN && !(r->flags & (SENT_SACKED | SENT_LOST)) ? r->end.v - r->seq.v : 0;
	if (t->mss)
		out->delivered = (uint32_t)((t->conn->bytes_acked - t->syn_bytes + t->board.sacked + t->mss - 1) / t->mss);
	if (t->syn_acked && !t->fastopen_pending)
		out->delivered++; /* our SYN, with what it carried */
	out->probes = t->keepalive_sent;
	if (tcb_timer_runs(t, TCB_PERSIST) && !t->override)
		out->probes = t->retries;
	out->window_limited = tcp_limited(t, LIMIT_WINDOW);
	out->buffer_limited = tcp_limited(t, LIMIT_BUFFER);
	out->busy = tcp_limited(t, LIMIT_NONE) + out->window_limited + out->buffer_limited;
	out->ato = (uint32_t)tcb_stack(t)->cfg.delayed_ack;
	out->window_clamp = sock_options(&t->conn->sock)->window_clamp;
	out->pacing_limit = sock_options(&t->conn->sock)->pacing_limit;
}

static void tcb_rates(const struct tcb *t, struct stack_tcb_info *out)
{
	struct cc_bbr_info bbr;

	if (!t->syn_acked)
		return;
	out->delivery_rate = rate_of(t->rate.bytes, t->rate.interval);
	out->delivery_limited = t->rate.was_limited;
	out->pacing_rate = tcp_pacing_rate(t) == PACING_UNLIMITED ? 0 : tcp_pacing_rate(t);
	if (!t->cc_ops->info)
		return;
	t->cc_ops->info(&t->cc, &bbr);
	out->bbr_mode = bbr.mode;
	out->bbr_bw = bbr.bw;
	out->bbr_min_rtt = bbr.min_rtt;
	out->bbr_pacing_gain = bbr.pacing_gain;
	out->bbr_cwnd_gain = bbr.cwnd_gain;
	out->bbr_inflight_hi = bbr.inflight_hi == UINT32_MAX ? 0 : bbr.inflight_hi;
	out->bbr_inflight_lo = bbr.inflight_lo == UINT32_MAX ? 0 : bbr.inflight_lo;
}

static void tcb_details(const struct tcb *t, stack_time now, struct stack_tcb_info *out)
{
	out->form = "full";
	out->created = t->conn->created;
	tcb_sequences(t, out);
	tcb_control(t, out);
	tcb_rates(t, out);
	out->send_buffer = t->send_limit;
	out->recv_buffer = t->recv_limit;
	out->rcv_space = t->rcv_space;
	out->rcv_rtt = t->rcv_rtt;
	out->ooo_bytes = t->ooo ? t->ooo->bytes : 0;
	out->ooo_ranges = t->ooo ? t->ooo->ranges : 0;
	out->memory = sizeof(*t->conn) + (t->conn->at_rest ? 0 : sizeof(*t));
	out->memory += conn_noted(t->conn) == &extra_none ? 0 : sizeof(struct extra);
	out->memory += byteq_memory(&t->sndq) + byteq_memory(&t->rcvq);
	out->memory += t->syn_acked ? t->cc_ops->state_size : 0;
	out->memory += t->board.count * sizeof(struct sent) + tcp_mtu_memory(t);
	out->memory += (t->ooo ? sizeof(*t->ooo) : 0) + (t->rec ? sizeof(*t->rec) : 0);
	for (const struct ooo_range *r = tcb_ranges(t); r; r = r->next)
		out->memory += sizeof(*r) + byteq_memory(&r->data);
	out->bytes_sent = t->bytes_sent;
	out->bytes_acked = t->conn->bytes_acked;
	out->bytes_received = t->conn->bytes_received;
	out->bytes_retransmitted = conn_noted(t->conn)->bytes_retransmitted;
	out->segments_in = t->conn->segments_in;
	out->segments_out = t->conn->segments_out;
	out->retransmissions = t->conn->retransmissions;
	out->dupacks_in = conn_noted(t->conn)->dupacks_in;
	out->ooo_in = conn_noted(t->conn)->ooo_in;
	out->opt_timestamps = t->ts_on;
	out->opt_window_scaling = t->ws_on;
	out->opt_sack = t->sack_on;
	out->opt_ecn = t->ecn_on;
	out->nodelay = t->nodelay;
	out->keepalive = t->keepalive;
	out->fin_sent = t->fin_sent;
	tcb_times(t, now, out);
	out->fin_received = t->fin_received;
	out->user_closed = t->user_closed;
	out->syn_data = t->syn_data;
	out->fastopen_failure = t->fastopen_failure;
	out->error = t->conn->at_rest ? 0 : t->conn->sock.error ? t->conn->sock.error : t->soft_error;
	conn_history(t->conn, now, out);
}

static void half_open_details(const struct stack *s, const struct half_open *h, struct stack_tcb_info *out)
{
	out->form = "half-open";
	out->created = from_ms(s->now, h->created_ms);
	out->iss = out->snd_una = h->iss.v;
	out->snd_nxt = h->iss.v + 1;
	out->irs = h->irs.v;
	out->rcv_nxt = h->irs.v + 1;
	out->snd_scale = h->snd_scale;
	out->mss_peer = h->mss;
	out->mtu = s->cfg.mtu;
	out->opt_timestamps = h->ts_on;
	out->opt_window_scaling = h->ws_on;
	out->retries = h->retries;
	out->timer[STACK_TIMER_REXMT] = timer_armed(&h->timer) ? h->timer.at : STACK_NEVER;
	out->memory = sizeof(*h);
	out->history_count = 1;
	out->history[0] = (struct stack_change){
		out->created, TCP_LISTEN, TCP_SYN_RECEIVED, tcp_cause_name(CAUSE_SYN_RECEIVED),
	};
}

static void time_wait_details(const struct stack *s, const struct time_wait *w, struct stack_tcb_info *out)
{
	stack_time expires = time_wait_expires(s, w);

	out->form = "time-wait";
	out->created = expires > s->cfg.time_wait ? expires - s->cfg.time_wait : 0;
	out->snd_una = out->snd_nxt = w->snd_nxt.v;
	out->rcv_nxt = w->rcv_nxt.v;
	out->mtu = s->cfg.mtu;
	out->opt_timestamps = w->ts_on;
	out->timer[STACK_TIMER_TIME_WAIT] = expires;
	out->memory = sizeof(*w);
}

void stack_info(const struct sock *sock, struct stack_sock_info *out)
{
	fill(&sock->pcb, out);
}

static void pcb_details(struct stack *s, stack_time now, const struct pcb *p, struct stack_tcb_info *out)
{
	stack_at(s, now);
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < STACK_TIMER_COUNT; i++)
		out->timer[i] = STACK_NEVER;
	fill(p, &out->sock);
	switch ((enum pcb_kind)p->kind) {
	case PCB_BOUND:
		out->form = "bound";
		out->memory = sizeof(struct sock);
		break;
	case PCB_LISTEN:
		out->form = "listen";
		out->memory = sizeof(struct listener);
		break;
	case PCB_HALF:
		half_open_details(s, CONTAINER_OF(p, struct half_open, pcb), out);
		break;
	case PCB_TCB: {
		struct tcb room;

		tcb_details(conn_look(CONTAINER_OF(p, const struct conn, sock.pcb), &room), now, out);
		break;
	}
	case PCB_TIME_WAIT:
		time_wait_details(s, CONTAINER_OF(p, struct time_wait, pcb), out);
		break;
	case PCB_UDP:
	case PCB_PING:
		out->form = p->kind == PCB_UDP ? "udp" : "ping";
		out->memory = sizeof(struct udp_sock) + out->sock.recv_q;
		out->error = CONTAINER_OF(p, struct sock, pcb)->error;
		break;
	}
}

void stack_tcb_held(const struct sock *sock, stack_time now, struct stack_tcb_info *out)
{
	pcb_details(sock->stack, now, &sock->pcb, out);
}

bool stack_tcb(struct stack *s, stack_time now, uint64_t id, struct stack_tcb_info *out)
{
	const struct pcb *p = pcb_by_id(s, id);

	if (p)
		pcb_details(s, now, p, out);
	return p != NULL;
}

bool stack_tcb_of(struct stack *s, stack_time now, const struct stack_sock_info *info, struct stack_tcb_info *out)
{
	const struct pcb *p = table_find(&s->table, info->proto, &info->local.addr, info->local.port,
					 &info->remote.addr, info->remote.port);

	/* Several sockets may have one key (bound ones); the first need not be this. */
	if (!p || p->id != info->id)
		return stack_tcb(s, now, info->id, out);
	pcb_details(s, now, p, out);
	return true;
}

const char *stack_memory(const struct stack *s, size_t i, uint64_t *used, uint64_t *limit)
{
	if (i > MEM_CLASS_COUNT)
		return NULL;
	if (i == MEM_CLASS_COUNT) {
		*used = s->mem.total;
		*limit = s->mem.total_limit;
		return "total";
	}
	*used = s->mem.used[i];
	*limit = s->mem.limit[i] ? s->mem.limit[i] : s->mem.total_limit;
	return mem_class_name((enum mem_class)i);
}

/* ---- ends ---- */

void stack_watch_ends(struct stack *s, bool on)
{
	s->watch_ends = on;
}

void sock_ended(struct sock *sock)
{
	struct stack *s = sock->stack;
	struct stack_tcb_info last;

	if (!s->watch_ends || !s->ops.ended || parked(&sock->pcb))
		return;
	stack_tcb_held(sock, s->now, &last);
	last.sock.state = TCP_CLOSED;
	last.sock.user = NULL;
	last.listened = sock->pcb.kind == PCB_LISTEN;
	s->ops.ended(s->context, &last);
}

/* ---- killing ---- */

static void half_open_reset(struct stack *s, struct half_open *h)
{
	struct tcp_segment rst = {.seq = seq_add(h->iss, 1), .flags = TCP_RST};

	tcp_send_bare(s, &h->pcb, &rst);
	half_open_free(s, h);
}

int stack_destroy(struct stack *s, stack_time now, uint64_t id)
{
	struct pcb *p = pcb_by_id(s, id);

	if (!p)
		return -ENOENT;
	stack_at(s, now);
	switch ((enum pcb_kind)p->kind) {
	case PCB_TCB: {
		struct tcb *t = tcb_of(CONTAINER_OF(p, struct sock, pcb));

		if (!t)
			return -ENOBUFS;
		tcp_abort(t, CAUSE_DESTROYED, ECONNABORTED);
		break;
	}
	case PCB_HALF:
		half_open_reset(s, CONTAINER_OF(p, struct half_open, pcb));
		break;
	case PCB_TIME_WAIT:
		time_wait_free(s, CONTAINER_OF(p, struct time_wait, pcb));
		break;
	case PCB_BOUND:
	case PCB_LISTEN:
	case PCB_UDP:
	case PCB_PING: { /* its holder closes it */
		struct sock *sock = CONTAINER_OF(p, struct sock, pcb);

		sock->error = ECONNABORTED;
		sock_event(sock, STACK_EVENT_ERROR);
		break;
	}
	}
	return 0;
}

#define BATCH 64u

struct batch {
	struct tcb *tcb[BATCH];
	unsigned count;
	bool abort;
};

static bool batch_visit(void *arg, struct pcb *p)
{
	struct batch *b = arg;
	struct tcb *t = tcb_of(CONTAINER_OF(p, struct sock, pcb));

	if (t && !t->detached && (b->abort || !t->fin_queued))
		b->tcb[b->count++] = t;
	return b->count < BATCH;
}

void stack_shutdown_all(struct stack *s, stack_time now, bool abort)
{
	struct batch b;
	uint64_t cursor = 0;

	stack_at(s, now);
	do { /* what has been closed batch_visit takes no more: the walk stands still where it was full */
		b = (struct batch){.abort = abort};
		while (b.count < BATCH && table_walk(&s->table, &cursor, SIZE_MAX, batch_visit, &b))
			;
		for (unsigned i = 0; i < b.count; i++) {
			b.tcb[i]->user_closed |= !b.tcb[i]->held;
			if (abort || s->mem.total > s->mem.total_limit) /* no room for all of them to end in order */
				tcp_abort(b.tcb[i], CAUSE_ABORT, ECONNABORTED);
			else
				tcp_shutdown(b.tcb[i], CAUSE_CLOSE);
		}
	} while (b.count == BATCH);
}

struct holders {
	const void *user;
	struct sock *sock[BATCH];
	unsigned count;
};

static bool holders_visit(void *arg, struct pcb *p)
{
	struct holders *h = arg;

	if (p->kind == PCB_TCB && holder(p) == h->user)
		h->sock[h->count++] = CONTAINER_OF(p, struct sock, pcb);
	return h->count < BATCH;
}

uint64_t stack_close_all(struct stack *s, stack_time now, const void *user)
{
	struct holders h;
	uint64_t cursor = 0, closed = 0;

	do { /* what has been closed has no user any more */
		h = (struct holders){.user = user};
		while (h.count < BATCH && table_walk(&s->table, &cursor, SIZE_MAX, holders_visit, &h))
			;
		for (unsigned i = 0; i < h.count; i++)
			stack_close(h.sock[i], now);
		closed += h.count;
	} while (h.count == BATCH);
	return closed;
}

/* ---- invariants ---- */

static const char *check_ranges(const struct tcb *t)
{
	uint32_t bytes = 0, count = 0;

	for (const struct ooo_range *r = tcb_ranges(t); r; r = r->next) {
		if (byteq_check(&r->data))
			return byteq_check(&r->data);
		if (r->data.len == 0 || seq_leq(r->seq, t->rcv_nxt))
			return "out-of-order range empty or not beyond RCV.NXT";
		if (r->next && seq_geq(seq_add(r->seq, r->data.len), r->next->seq))
			return "out-of-order ranges touch or overlap";
		bytes += r->data.len;
		count++;
	}
	return !t->ooo || (bytes == t->ooo->bytes && count == t->ooo->ranges) ? NULL : "out-of-order sums are wrong";
}

static const char *check_conn(const struct conn *c)
{
	struct tcb room;
	const struct tcb *t = conn_look(c, &room);
	seq32 end = seq_add(tcb_queue_seq(t), t->sndq.len + (t->fin_sent && !tcp_fin_acked(t) ? 1u : 0u));
	const char *bad = byteq_check(&t->sndq);

	if (t->conn != c || t->stack != c->sock.stack)
		return "a connection and its control block do not know each other";
	if (!bad)
		bad = byteq_check(&t->rcvq);
	if (!bad)
		bad = check_ranges(t);
	if (bad)
		return bad;
	if (t->detached)
		return t->sndq.len > 0 || t->ooo ? "an ended connection holds memory" : NULL;
	if (seq_gt(t->snd_una, t->snd_rtx) || seq_gt(t->snd_rtx, t->snd_nxt))
		return "SND.UNA <= snd_rtx <= SND.NXT does not hold";
	if (t->syn_acked && seq_gt(t->snd_nxt, end))
		return "SND.NXT is beyond the send queue";
	if (t->sack_on && t->board.head && scoreboard_check(&t->board, t->snd_una, t->snd_nxt))
		return scoreboard_check(&t->board, t->snd_una, t->snd_nxt);
	if (seq_gt(t->rcv_nxt, t->rcv_adv))
		return "RCV.NXT is beyond the window";
	if (t->urgent != URGENT_NONE && seq_leq(t->rcv_up, seq_sub(t->rcv_nxt, t->rcvq.len + t->fin_received)))
		return "the mark is behind the reader";
	if (t->syn_acked && t->cc.cwnd < t->mss / 2)
		return "cwnd is too small to send";
	if (tcb_flight(t) > 0 && !tcb_timer_runs(t, TCB_REXMT))
		return "data in flight and no retransmission timer";
	for (unsigned i = 0; !c->at_rest && i < TCB_TIMER_COUNT; i++)
		if (tcb_timer_runs(t, (enum tcb_timer)i) &&
		    (!timer_armed(&t->timer) || t->timer.at > max_u64(tcb_deadline(t, (enum tcb_timer)i), tcb_stack(t)->now)))
			return "a deadline without its timer";
	return t->fin_queued && t->conn->sock.pcb.state == TCP_ESTABLISHED ? "FIN queued in ESTABLISHED" : NULL;
}

static const char *check_listener(const struct listener *l)
{
	uint32_t n = 0;

	for (struct sock *sock = l->accept_head; sock; sock = sock->event_next, n++)
		if (conn_of(sock)->at_rest || conn_of(sock)->tcb->listener != l)
			return "a queued connection does not know its listener";
	return n == l->accept_length && n <= l->accept_limit ? NULL : "accept queue's length is wrong";
}

struct check {
	const char *bad;
	uint32_t sockets; /* of those that sock_admit counts */
};

static bool check_visit(void *arg, struct pcb *p)
{
	struct check *c = arg;

	c->sockets += p->kind != PCB_HALF && p->kind != PCB_TIME_WAIT;
	if (p->kind == PCB_TCB)
		c->bad = check_conn(CONTAINER_OF(p, struct conn, sock.pcb));
	else if (p->kind == PCB_LISTEN)
		c->bad = check_listener(CONTAINER_OF(p, struct listener, sock.pcb));
	return c->bad == NULL;
}

const char *stack_check(struct stack *s)
{
	struct check c = {.bad = s->wrong};
	uint64_t cursor = 0;
	size_t sum = 0;

	while (!c.bad && table_walk(&s->table, &cursor, SIZE_MAX, check_visit, &c))
		;
	for (unsigned i = 0; i < MEM_CLASS_COUNT; i++)
		sum += s->mem.used[i];
	if (!c.bad && sum != s->mem.total)
		c.bad = "memory classes do not add up";
	if (!c.bad && c.sockets != s->sockets)
		c.bad = "sockets are counted wrong";
	return c.bad;
}
