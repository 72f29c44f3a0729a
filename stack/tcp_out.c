/*
 * TCP output: what may be sent now, and the building of segments.
 *
 * A segment may carry up to TCP_PAYLOAD_MAX bytes, a multiple of the MSS; the link, or software
 * at its edge, cuts it. Payload is never copied here: segments point into the send queue.
 */
#include "checksum.h"
#include "tcp.h"

#include <netinet/in.h>

#define CHALLENGE_MS 20u /* mean time between challenge ACKs of one connection (RFC 5961 7) */
#define OUTPUT_BURST 16u /* large segments of one connection in a row; others come next */

/* ---- building ---- */

static void set_timestamp(const struct stack *s, struct tcp_segment *seg, uint32_t offset, uint32_t recent)
{
	seg->opt.has_timestamp = true;
	seg->opt.ts_value = ts_now(s, offset);
	seg->opt.ts_echo = (seg->flags & TCP_ACK) ? recent : 0;
}

/* Of a connection its own, before that its listener's. */
static const struct sock_options *pcb_options(struct stack *s, const struct pcb *p)
{
	struct stack_endpoint local, remote;
	const struct listener *l;

	if (p->kind == PCB_TCB)
		return sock_options(CONTAINER_OF(p, const struct sock, pcb));
	local = pcb_local(p);
	remote = pcb_remote(p);
	l = p->kind == PCB_HALF ? listener_find(s, &local, &remote) : NULL;
	return l ? sock_options(&l->sock) : &s->defaults;
}

/* Pushes the header on a packet whose payload is in place, with the pseudo header's sum for the link to go on from. */
static int push_and_send(struct stack *s, struct tx *tx, const struct pcb *p, const struct sock_options *o,
			 const struct tcp_segment *seg, uint8_t tos)
{
	size_t header = tcp_header_size(seg);
	struct ip_params params = {
		.src = pcb_local_addr(p), .dst = pcb_remote_addr(p), .proto = IP_PROTO_TCP,
		.ttl = o->ttl ? o->ttl : s->cfg.ttl, .tos = tos | o->tos,
		.dont_fragment = o->mtu_discover != IP_PMTUDISC_DONT,
	};
	uint64_t sum = checksum_pseudo(&params.src, &params.dst, IP_PROTO_TCP, header + tx->data_len);

	tcp_write(tx_push(tx, header), seg, checksum_fold(sum));
	tx->transport = tx->start;
	tx->csum_partial = true;
	tx->csum_offset = 16;
	COUNT(s, tcp_out);
	return ip_output(s, tx, &params);
}

static int send_bare(struct stack *s, const struct sock_options *o, const struct pcb *from, struct tcp_segment *seg)
{
	struct tx tx;

	tx_init(&tx);
	seg->sport = from->lport;
	seg->dport = from->rport;
	if (seg->flags & TCP_RST)
		COUNT(s, tcp_out_rst);
	return push_and_send(s, &tx, from, o, seg, 0);
}

int tcp_send_bare(struct stack *s, const struct pcb *from, struct tcp_segment *seg)
{
	return send_bare(s, pcb_options(s, from), from, seg);
}

int tcp_send_from(const struct sock *sock, const struct pcb *from, struct tcp_segment *seg)
{
	return send_bare(sock->stack, sock_options(sock), from, seg);
}

void tcp_refuse(struct stack *s, const struct ip_info *ip, const struct tcp_segment *seg)
{
	struct pcb from = {.lport = seg->dport, .rport = seg->sport};
	struct tcp_segment rst = {.flags = TCP_RST};

	if ((seg->flags & TCP_RST) || ip->broadcast)
		return;
	if (!ip->loopback && !limit_allow(&s->rst_limit, s->now, s->cfg.rst_rate, s->cfg.rst_burst)) {
		COUNT(s, tcp_rst_limited);
		return;
	}
	pcb_set_local(&from, &ip->dst);
	pcb_set_remote(&from, &ip->src);
	if (seg->flags & TCP_ACK) {
		rst.seq = seg->ack;
	} else {
		rst.flags |= TCP_ACK;
		rst.ack = seq_add(seg->seq, tcp_seg_len(seg));
	}
	tcp_send_bare(s, &from, &rst);
}

/* What every segment of a synchronized connection says of the receive side. */
static void fill_ack(struct tcb *t, struct tcp_segment *seg)
{
	seg->sport = t->conn->sock.pcb.lport;
	seg->dport = t->conn->sock.pcb.rport;
	seg->flags |= TCP_ACK;
	seg->window = tcp_window_field(t);
	seg->ack = t->rcv_nxt;
	if (t->ts_on)
		set_timestamp(tcb_stack(t), seg, t->ts_offset, t->ts_recent);
}

/* An ACK has gone out, alone or on a segment. */
static void ack_sent(struct tcb *t)
{
	t->ack_now = false;
	t->ack_bytes = 0;
	t->last_ack_sent = t->rcv_nxt;
	if (t->quick > 0)
		t->quick--;
	tcb_timer_stop(t, TCB_DELACK);
}

static int send_segment(struct tcb *t, struct tx *tx, struct tcp_segment *seg, bool new_data)
{
	uint8_t tos = ecn_output(t, seg, new_data);

	if (t->urgent_out)
		urgent_output(t, seg);
	fill_ack(t, seg);
	if (t->sack_on && tx->data_len + TCP_OPTIONS_MAX <= t->mss) /* where it does not make the segment too long */
		sack_fill(t, &seg->opt);
	ack_sent(t);
	t->conn->segments_out++;
	return push_and_send(tcb_stack(t), tx, &t->conn->sock.pcb, sock_options(&t->conn->sock), seg, tos);
}

static void send_empty(struct tcb *t, seq32 seq)
{
	struct tcp_segment seg = {.seq = seq};
	struct tx tx;

	tx_init(&tx);
	send_segment(t, &tx, &seg, false);
}

void tcp_send_ack(struct tcb *t)
{
	send_empty(t, t->snd_nxt);
}

void tcp_challenge_ack(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	if (t->challenge_ms - to_ms(s->now) - 1 < 2 * CHALLENGE_MS) { /* it is soon to come, not long past */
		COUNT(s, tcp_challenges_limited);
		return;
	}
	/* By connection, and at random: nobody outside can count them (CVE-2016-5696, row T4). */
	t->challenge_ms = to_ms(s->now) + CHALLENGE_MS / 2 + (uint32_t)(random_u64(s) % CHALLENGE_MS);
	COUNT(s, tcp_challenge_acks);
	tcp_send_ack(t);
}

/* An old sequence number makes the peer answer with an ACK (RFC 9293 3.8.4, 3.8.6.1). */
void tcp_send_probe(struct tcb *t, bool keepalive)
{
	send_empty(t, seq_sub(keepalive ? t->snd_nxt : t->snd_una, 1));
}

static void send_rst(struct tcb *t, struct tcp_segment *seg)
{
	if (t->ts_on) /* RFC 7323 3.2: SHOULD */
		set_timestamp(tcb_stack(t), seg, t->ts_offset, t->ts_recent);
	tcp_send_bare(tcb_stack(t), &t->conn->sock.pcb, seg);
}

void tcp_send_rst(struct tcb *t)
{
	send_rst(t, &(struct tcp_segment){.seq = t->snd_nxt, .ack = t->rcv_nxt, .flags = TCP_RST | TCP_ACK});
}

void tcp_answer_rst(struct tcb *t, const struct tcp_segment *to)
{
	send_rst(t, &(struct tcp_segment){.seq = to->ack, .flags = TCP_RST});
}

/* ---- sizes ---- */

uint8_t tcp_window_scale(uint32_t buffer)
{
	uint8_t scale = 0;

	while (scale < 14 && (buffer >> scale) > TCP_WINDOW_UNSCALED)
		scale++;
	return scale;
}

static uint16_t mss_of_mtu(uint32_t mtu)
{
	return (uint16_t)(max_u32(mtu, IP4_HEADER + TCP_HEADER + TCP_MSS_MIN) - IP4_HEADER - TCP_HEADER);
}

/* RFC 9293 3.7.1: from the link's MTU. */
uint16_t tcp_mss_announced(const struct stack *s)
{
	return mss_of_mtu(s->cfg.mtu);
}

uint16_t tcp_mss_offered(const struct sock *sock)
{
	uint16_t mss = tcp_mss_announced(sock->stack), wish = sock_options(sock)->maxseg;

	return wish && wish < mss ? wish : mss;
}

uint16_t tcp_mss_for(const struct tcb *t, uint16_t mtu)
{
	uint32_t mss = min_u32(max_u32(t->mss_peer, TCP_MSS_MIN), mss_of_mtu(mtu));
	uint16_t wish = sock_options(&t->conn->sock)->maxseg;

	if (wish)
		mss = min_u32(mss, wish);
	return (uint16_t)(mss - (t->ts_on ? 12 : 0));
}

/* RFC 9293 3.7.1: Eff.snd.MSS, less the options in every segment (RFC 6691). */
void tcp_set_mss(struct tcb *t)
{
	t->mss = tcp_mss_for(t, t->mtu);
}

/* ---- SYN ---- */

/* The SYN and, in the first of ours, the data that Fast Open lets it carry. */
static void send_syn_with(struct tcb *t, struct tcp_segment *seg, uint32_t len)
{
	struct tx tx;

	tx_init(&tx);
	if (len > 0) {
		tx.data_count = TX_PIECES;
		tx.data_len = (uint32_t)byteq_gather(&t->sndq, 0, len, tx.data, &tx.data_count);
		t->bytes_sent += len;
		COUNT_ADD(tcb_stack(t), tcp_out_bytes, len);
	}
	seg->sport = t->conn->sock.pcb.lport;
	seg->dport = t->conn->sock.pcb.rport;
	push_and_send(tcb_stack(t), &tx, &t->conn->sock.pcb, sock_options(&t->conn->sock), seg, 0);
}

void tcp_send_syn(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	bool answer = tcb_state(t) != TCP_SYN_SENT, first = seq_eq(t->snd_nxt, t->iss);
	uint32_t len = first && t->fastopen ? t->sndq.len : 0;
	struct tcp_segment seg = {
		.seq = t->iss, .flags = TCP_SYN,
		.window = (uint16_t)min_u32(tcp_receive_space(t), TCP_WINDOW_UNSCALED),
	};

	if (answer) {
		seg.flags |= TCP_ACK;
		seg.ack = t->rcv_nxt;
	}
	seg.opt.has_mss = true;
	seg.opt.mss = tcp_mss_offered(&t->conn->sock);
	if (t->fastopen) /* what is too long for the path one way is likely to be so the other way */
		seg.opt.mss = (uint16_t)min_u32(seg.opt.mss, mss_of_mtu(t->mtu));
	/* RFC 3168 6.1.1; a SYN sent again asks no more: something on the path may drop it for that (6.1.1.1) */
	if (t->ecn_on && (answer || t->retries == 0))
		seg.flags |= answer ? TCP_ECE : TCP_ECE | TCP_CWR;
	seg.opt.sack_permitted = t->sack_on;
	seg.opt.has_window_scale = t->ws_on;
	seg.opt.window_scale = t->rcv_scale;
	if (t->ts_on)
		set_timestamp(s, &seg, t->ts_offset, t->ts_recent);
	if (answer && t->fastopen_offer && t->retries == 0)
		fastopen_offer(s, &t->conn->sock.pcb, t->fastopen_experimental, &seg.opt);
	if (first) {
		fastopen_syn_option(t, &seg.opt);
		t->snd_nxt = t->snd_rtx = seq_add(t->iss, 1 + len);
		t->rtt_timing = true;
		t->rtt_seq = t->snd_nxt;
		t->rtt_started = s->now;
	} else if (t->retries > 0) {
		t->conn->retransmissions++;
		COUNT(s, tcp_retransmissions);
		t->rtt_timing = false;
	}
	if (answer)
		t->rcv_adv = seq_max(t->rcv_adv, seq_add(t->rcv_nxt, seg.window));
	ack_sent(t);
	t->conn->segments_out++;
	tcb_rexmt_start(t);
	send_syn_with(t, &seg, len);
}

/* ---- data ---- */

/* What one step of output would send. */
struct plan {
	seq32 seq;
	uint32_t len;    /* payload bytes */
	bool fin;
	bool again;      /* a retransmission */
	bool held_back;  /* there is something, but the window, Nagle or pacing holds it */
	bool paced;      /* it is pacing */
	bool probe;      /* one segment of more than the MSS, to try the path */
};

static uint32_t bytes_between(seq32 from, seq32 to)
{
	return seq_gt(to, from) ? to.v - from.v : 0;
}

/* RFC 9293 3.7.4 (Nagle) and 3.8.6.2.1 (silly window): may a segment go that is not full? */
static bool small_allowed(const struct tcb *t, uint32_t len, uint32_t queued, bool fin)
{
	if (t->push_all)
		return true;
	if (len == queued && (t->cork || t->more) && !fin)
		return false;
	if (len == queued) /* all there is: Nagle's question */
		return t->nodelay || fin || t->urgent_out || !tcb_awaited(t, t->snd_small);
	return len >= t->max_snd_wnd / 2 && len > 0;
}

/* RFC 3042 2, without SACK: what the first two duplicate ACKs say has left the network. */
static uint32_t limited_transmit(const struct tcb *t)
{
	return t->sack_on || t->recovery != RECOVERY_OPEN ? 0 : min_u32(t->dupacks, 2) * t->mss;
}

/* How much the congestion window lets out beside what is in the network. */
static uint32_t congestion_room(const struct tcb *t)
{
	uint32_t pipe = tcb_pipe(t);

	if (frto_waits(t))
		return frto_room(t);
	pipe -= min_u32(pipe, limited_transmit(t));
	return t->cc.cwnd > pipe ? t->cc.cwnd - pipe : 0;
}

/* How much of `len` bytes from `seq` one segment may hold. */
static uint32_t of_record(const struct tcb *t, seq32 seq, uint32_t len)
{
	if (t->urgent_out) /* the pointer counts from the segment that has it: no frame that is cut later */
		len = min_u32(len, t->mss);
	return t->records ? records_limit(t, seq, len) : len;
}

/* A part of what has been sent already: a whole number of segments, unless it is its end. */
static void plan_again(const struct tcb *t, struct plan *p, seq32 seq, uint32_t len, uint32_t room)
{
	seq32 end = seq_add(tcb_queue_seq(t), t->sndq.len);
	uint32_t data = min_u32(len, bytes_between(seq, end)); /* without the FIN */

	data = of_record(t, seq, data);
	p->seq = seq;
	p->again = true;
	p->len = min_u32(min_u32(data, room), STACK_TCP_PAYLOAD_MAX);
	if (p->len < data && p->len >= t->mss)
		p->len -= p->len % t->mss;
	p->fin = t->fin_sent && seq_eq(seq_add(seq, p->len), end) && len > p->len && room > p->len;
}

/* RFC 9293 3.10.7.4 knows no SACK: from snd_rtx on. The first segment goes whatever the window is by now. */
static void plan_from_snd_rtx(const struct tcb *t, struct plan *p)
{
	uint32_t outstanding = t->snd_rtx.v - t->snd_una.v;
	uint32_t window = min_u32(t->cc.cwnd, t->snd_wnd);
	uint32_t room = window > outstanding ? window - outstanding : 0;

	plan_again(t, p, t->snd_rtx, bytes_between(t->snd_rtx, t->snd_nxt),
		   outstanding == 0 ? max_u32(room, t->mss) : room);
}

/* What the scoreboard says is lost, as far as the congestion window goes; something always goes when nothing is out. */
static void plan_lost(const struct tcb *t, struct plan *p, const struct sent *lost)
{
	uint32_t room = congestion_room(t);

	if (room < t->mss && scoreboard_pipe(&t->board, tcb_flight(t)) == 0)
		room = t->mss;
	plan_again(t, p, lost->seq, lost->end.v - lost->seq.v, room);
	if (p->len < t->mss && p->len < of_record(t, lost->seq, lost->end.v - lost->seq.v - (p->fin ? 1u : 0u))) {
		p->len = 0; /* not in crumbs */
		p->fin = false;
	}
}

/* How much of what was not sent yet both windows let out. */
static uint32_t new_room(const struct tcb *t)
{
	uint32_t flight = tcb_flight(t);

	return min_u32(congestion_room(t), t->snd_wnd > flight ? t->snd_wnd - flight : 0);
}

/* CWR is on one segment only. */
static uint32_t frame_limit(const struct tcb *t)
{
	return t->ecn_cwr ? t->mss : tcp_frame_limit(t);
}

/*
 * Of `all` bytes that may go now. A frame of one segment costs as much as a long one: two that go together, and
 * alone, are of like size.
 */
static uint32_t frame_len(const struct tcb *t, uint32_t all)
{
	uint32_t limit = frame_limit(t), mss = t->mss;

	if (all <= limit || all - limit >= 2 * mss || limit <= 2 * mss || t->last_sent == tcb_stack(t)->now)
		return min_u32(all, limit);
	return all / mss == limit / mss + 1 ? (all / mss + 1) / 2 * mss : limit;
}

static void plan_new(const struct tcb *t, struct plan *p)
{
	seq32 end = seq_add(tcb_queue_seq(t), t->sndq.len);
	uint32_t flight = tcb_flight(t), all = bytes_between(t->snd_nxt, end), queued = of_record(t, t->snd_nxt, all);
	uint32_t window = t->snd_wnd > flight ? t->snd_wnd - flight : 0, room = new_room(t);

	p->seq = t->snd_nxt;
	p->len = min_u32(queued, room);
	if (p->len > t->mss)
		p->len = frame_len(t, p->len);
	p->fin = t->fin_queued && !t->fin_sent && !t->fastopen_pending && p->len == all &&
		 window > p->len; /* no matter to congestion */
	if (p->len > t->mss && !(p->len == queued && small_allowed(t, p->len, queued, p->fin))) {
		p->len -= p->len % t->mss;
		p->fin = p->fin && p->len == queued;
	}
	if (p->len < t->mss && p->len > 0 && !(p->len == queued && queued < all) && /* a record's end: nothing is added to it */
	    !small_allowed(t, p->len, queued, p->fin)) {
		p->len = 0;
		p->fin = false;
	}
	p->held_back = p->len == 0 && !p->fin && (queued > 0 || (t->fin_queued && !t->fin_sent));
}

/* A burst of what is paced, in its time. A FIN alone need not wait. */
static void pace_plan(const struct tcb *t, struct plan *p)
{
	uint32_t room = tcp_pace_room(t, p->again && seq_eq(p->seq, t->snd_una));

	if (p->len <= room)
		return;
	p->len = room;
	p->fin = false;
	p->held_back = p->paced = room == 0;
}

/* RFC 4821 7.4: a probe goes whole, and only when enough goes behind it; until the window has room, nothing goes. */
static void plan_probe(struct tcb *t, struct plan *p)
{
	uint32_t len = tcp_mtu_probe_len(t);
	seq32 end = seq_add(tcb_queue_seq(t), t->sndq.len);

	if (len == 0 || of_record(t, t->snd_nxt, bytes_between(t->snd_nxt, end)) < tcp_mtu_probe_needs(t, len))
		return;
	p->probe = new_room(t) >= len;
	if (!p->probe && tcb_flight(t) == 0)
		return; /* no ACK will come that makes room */
	p->held_back = !p->probe;
	p->len = p->probe ? len : 0;
	p->fin = false;
}

static void make_plan(struct tcb *t, struct plan *p)
{
	const struct sent *lost = t->sack_on ? scoreboard_first_lost(&t->board) : NULL;

	*p = (struct plan){0};
	if (frto_waits(t))
		plan_new(t, p);
	else if (lost)
		plan_lost(t, p, lost);
	else if (seq_lt(t->snd_rtx, t->snd_nxt))
		plan_from_snd_rtx(t, p);
	else
		plan_new(t, p);
	if (t->paced)
		pace_plan(t, p);
	if (t->mtu_search && !p->again && !p->paced)
		plan_probe(t, p);
}

static void sent_again(struct tcb *t, const struct plan *p, seq32 end)
{
	struct stack *s = tcb_stack(t);
	struct sent *r;

	undo_resent(t, p->len);
	if (!t->sack_on) {
		t->snd_rtx = end;
		return;
	}
	r = scoreboard_resent(&t->board, &s->mem, p->seq, p->len + p->fin, s->now);
	if (r)
		rate_sent(&t->rate, s->now, tcb_pipe(t) - (p->len + p->fin), p->len, &r->mark);
}

static void account(struct tcb *t, const struct plan *p)
{
	struct stack *s = tcb_stack(t);
	seq32 end = seq_add(p->seq, p->len + p->fin);
	uint32_t segments = p->len > t->mss ? (p->len + t->mss - 1) / t->mss : 1, pipe = tcb_pipe(t);

	if (t->paced)
		tcp_pace_sent(t, p->len);
	if (p->again) {
		t->conn->retransmissions += segments;
		COUNT_EXTRA(t, bytes_retransmitted, p->len);
		COUNT_ADD(s, tcp_retransmissions, segments);
		t->rtt_timing = false;
		sent_again(t, p, end);
		return;
	}
	t->conn->data_out += segments;
	t->last_sent = s->now;
	if (p->len > 0)
		delack_data_sent(t);
	t->bytes_sent += p->len;
	COUNT_ADD(s, tcp_out_bytes, p->len);
	if (p->fin)
		t->fin_sent = true;
	if (p->len > 0 && (p->len < t->mss || p->len % t->mss) && !p->probe)
		t->snd_small = end;
	if (seq_eq(t->snd_rtx, t->snd_nxt))
		t->snd_rtx = end;
	t->snd_nxt = end;
	if (t->sack_on || t->cc_ops->rate) { /* what there was no memory to note before is noted now */
		scoreboard_sent(&t->board, &s->mem, t->board.head ? p->seq : t->snd_una, end, s->now,
				t->rtt.srtt / 8);
		if (t->board.tail)
			rate_sent(&t->rate, s->now, pipe, p->len, &t->board.tail->mark);
	}
	if (t->rec)
		t->rec->out += p->len;
	if (!t->sack_on && !t->rtt_timing && t->recovery == RECOVERY_OPEN) {
		t->rtt_timing = true;
		t->rtt_seq = end;
		t->rtt_started = s->now;
	}
}

/* With it more than half of the peer's widest window has gone without: no reader should have to wait for more. */
static bool push_due(const struct tcb *t, const struct plan *p)
{
	return !p->again && t->not_pushed + p->len > min_u32(t->max_snd_wnd / 2, UINT16_MAX);
}

/*
 * RFC 9293 3.9.1.2: with all there is, unless more was said to follow; also with a burst, new or again, which
 * the peer need not hold back to add to.
 */
static bool pushed(const struct tcb *t, const struct plan *p, seq32 end)
{
	seq32 last = seq_add(p->seq, p->len);

	if (seq_eq(last, end))
		return !t->unpushed || p->fin;
	if (t->records && record_ends(t, last))
		return true;
	return !t->cork && !t->unpushed && (p->len > t->mss || push_due(t, p));
}

static void send_plan(struct tcb *t, struct plan *p)
{
	struct tcp_segment seg = {.seq = p->seq};
	seq32 end = seq_add(tcb_queue_seq(t), t->sndq.len);
	struct tx tx;
	bool push;

	tx_init(&tx);
	if (p->len > 0) {
		tx.data_count = TX_PIECES;
		tx.data_len = (uint32_t)byteq_gather(&t->sndq, p->seq.v - tcb_queue_seq(t).v, p->len,
						     tx.data, &tx.data_count);
		p->fin = p->fin && tx.data_len == p->len;
		p->len = tx.data_len;
	}
	if (p->probe)
		tcp_mtu_probe_sent(t, p->seq, p->len);
	else if (p->len > t->mss)
		tx.gso_size = t->mss;
	if (p->fin)
		seg.flags |= TCP_FIN;
	push = p->len > 0 && pushed(t, p, end);
	if (push)
		seg.flags |= TCP_PSH;
	if (!p->again)
		t->not_pushed = push ? 0 : (uint16_t)min_u32(t->not_pushed + p->len, UINT16_MAX);
	account(t, p);
	t->push_all = false;
	t->override = false;
	tcb_timer_stop(t, TCB_PERSIST);
	if (!tcb_timer_runs(t, TCB_REXMT))
		tcb_rexmt_start(t);
	send_segment(t, &tx, &seg, p->len > 0 && !p->again);
}

void tcp_retransmit_head(struct tcb *t)
{
	seq32 end = seq_add(tcb_queue_seq(t), t->sndq.len);
	uint32_t queued = bytes_between(t->snd_una, end);
	seq32 rtx = t->snd_rtx;
	struct plan p = {.seq = t->snd_una, .again = true};

	t->rtx_one = false;
	if (tcb_flight(t) == 0)
		return; /* the rest of the batch acknowledged it all */
	p.len = min_u32(of_record(t, t->snd_una, min_u32(queued, t->mss)), tcb_flight(t));
	p.fin = t->fin_sent && p.len == queued;
	if (p.len == 0 && !p.fin)
		return;
	send_plan(t, &p);
	t->snd_rtx = seq_max(rtx, seq_add(t->snd_una, p.len + p.fin));
}

/* One segment that has not been sent, as far as the peer's window goes. */
static void plan_new_probe(const struct tcb *t, struct plan *p)
{
	uint32_t flight = tcb_flight(t), unsent = bytes_between(t->snd_nxt, seq_add(tcb_queue_seq(t), t->sndq.len));
	uint32_t window = t->snd_wnd > flight ? t->snd_wnd - flight : 0, len = min_u32(unsent, t->mss);

	if (window < len || window == 0)
		return;
	p->seq = t->snd_nxt;
	p->len = len;
	p->fin = t->fin_queued && !t->fin_sent && len == unsent && window > len;
}

/* RFC 8985 7.3: outside the congestion window. */
bool tcp_send_loss_probe(struct tcb *t)
{
	struct plan p = {0};
	seq32 from;

	plan_new_probe(t, &p);
	if (p.len == 0 && !p.fin) {
		from = scoreboard_last_piece(&t->board, &tcb_stack(t)->mem, t->mss);
		plan_again(t, &p, from, t->snd_nxt.v - from.v, UINT32_MAX);
	}
	if (p.len > 0 || p.fin)
		send_plan(t, &p);
	return p.again;
}

/* Nothing is in flight that an ACK could come for, so a timer must look after what is held back. */
static void watch_window(struct tcb *t, const struct plan *p)
{
	t->pace_waits = p->paced;
	if (p->paced) {
		tcb_timer_set(t, TCB_PACE, t->pace_at);
		return;
	}
	if (!p->held_back || tcb_flight(t) > 0 || tcb_timer_runs(t, TCB_PERSIST))
		return;
	t->override = t->snd_wnd > 0;
	tcb_timer_set(t, TCB_PERSIST, tcb_stack(t)->now +
		      (t->override ? MILLISECONDS(200) : rtt_timeout(&t->rtt, tcb_stack(t)->cfg.rto_max)));
}

/* Whether it was the window that ended the output, or the application that has nothing more. */
static void window_use(struct tcb *t, const struct plan *p)
{
	bool full = congestion_room(t) < t->mss;

	tcp_cwnd_used(t, full, !full && !p->held_back && p->len == 0);
}

/* There is nothing left that a plan could be made of. */
static bool all_is_out(const struct tcb *t)
{
	return seq_eq(t->snd_nxt, seq_add(tcb_queue_seq(t), t->sndq.len + t->fin_sent)) && t->fin_queued == t->fin_sent &&
	       seq_eq(t->snd_rtx, t->snd_nxt) && t->board.lost == 0;
}

bool tcp_output(struct tcb *t)
{
	struct plan p = {0};
	unsigned sent = 0;

	if (t->syn_acked && tcb_state(t) != TCP_CLOSED && !t->detached) {
		if (t->rtx_one)
			tcp_retransmit_head(t);
		if (tcb_flight(t) == 0 && t->sndq.len > 0)
			tcp_cc_idle(t);
		for (; sent < OUTPUT_BURST; sent++) {
			make_plan(t, &p);
			if (p.len == 0 && !p.fin)
				break;
			send_plan(t, &p);
			if (all_is_out(t)) {
				p = (struct plan){0};
				sent++;
				break;
			}
		}
		watch_window(t, &p);
		if (sent > 0 && t->want_write)
			tcp_wake_writer(t);
		if (sent > 0) {
			if (!t->fastopen_pending)
				sack_schedule_probe(t);
			window_use(t, &p);
		}
	}
	tcp_chrono(t);
	if (!tcb_timer_runs(t, TCB_REST))
		tcb_rest_later(t);
	if (t->ack_now && !t->detached)
		tcp_send_ack(t);
	return sent == OUTPUT_BURST;
}
