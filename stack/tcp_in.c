/*
 * TCP input in the order of RFC 9293 3.10.7: one function for each numbered check.
 */
#include "tcp.h"

#include <errno.h>

enum verdict {
	GO_ON,  /* the next check */
	DROPPED /* done with the segment; the tcb may be gone */
};

#define PAWS_IDLE_MS (24u * 24 * 3600 * 1000) /* RFC 7323 5.5: a timestamp older than this says nothing */

/* ---- 3.10.7.3: SYN-SENT ---- */

static void refuse_ack(struct tcb *t, const struct tcp_segment *seg)
{
	struct tcp_segment rst = {.seq = seg->ack, .flags = TCP_RST};

	tcp_send_bare(tcb_stack(t), &t->conn->sock.pcb, &rst);
}

/*
 * RFC 7323 3.2: an echo is of a timestamp of ours, and of this connection only those since its SYN
 * are. Another one makes the SYN-ACK an old one, or not the peer's. 0 is in some hosts' first segments.
 */
static bool echo_is_ours(const struct tcb *t, const struct tcp_segment *seg)
{
	uint32_t now = ts_now(tcb_stack(t), t->ts_offset), since = to_ms(tcb_stack(t)->now) - to_ms(t->conn->created);

	return !t->ts_on || !seg->opt.has_timestamp || seg->opt.ts_echo == 0 || now - seg->opt.ts_echo <= since;
}

/* First: "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset"; second: RST; third: neither SYN nor RST. */
static enum verdict syn_sent_check(struct tcb *t, const struct tcp_segment *seg)
{
	bool acceptable = (seg->flags & TCP_ACK) && seq_gt(seg->ack, t->iss) && seq_leq(seg->ack, t->snd_nxt) &&
			  echo_is_ours(t, seg);

	if ((seg->flags & TCP_ACK) && !acceptable) {
		if (!(seg->flags & TCP_RST))
			refuse_ack(t, seg);
		else
			COUNT(tcb_stack(t), tcp_in_rst_ignored);
		return DROPPED;
	}
	if (seg->flags & TCP_RST) {
		if (acceptable) {
			COUNT(tcb_stack(t), tcp_in_rst);
			COUNT(tcb_stack(t), tcp_attempt_fails);
			tcb_end(t, ECONNREFUSED, CAUSE_RST_RECEIVED);
		} else {
			COUNT(tcb_stack(t), tcp_in_rst_ignored);
		}
		return DROPPED;
	}
	return (seg->flags & TCP_SYN) && (acceptable || !(seg->flags & TCP_FIN)) ? GO_ON : DROPPED;
}

/* Options and the start of the receive sequence space, from the peer's SYN. */
static void take_syn(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	const struct tcp_options *o = &seg->opt;

	t->irs = seg->seq;
	t->rcv_nxt = t->last_ack_sent = t->rcv_up = seq_add(seg->seq, 1);
	t->rcv_adv = seq_add(t->rcv_nxt, min_u32(tcp_receive_space(t), TCP_WINDOW_UNSCALED));
	t->ws_on = t->ws_on && o->has_window_scale;
	t->snd_scale = t->ws_on ? o->window_scale & 15u : 0;
	if (!t->ws_on)
		t->rcv_scale = 0;
	t->sack_on = t->sack_on && o->sack_permitted;
	/* RFC 3168 6.1.1: agreed on when our last SYN asked and the answer is ECE alone. */
	t->ecn_on = t->ecn_on && t->retries == 0 &&
		    (seg->flags & (TCP_ACK | TCP_ECE | TCP_CWR)) == (TCP_ACK | TCP_ECE);
	t->ts_on = t->ts_on && o->has_timestamp;
	t->ts_recent = o->ts_value;
	t->ts_recent_ms = to_ms(s->now);
	t->mss_peer = o->has_mss ? o->mss : TCP_MSS_DEFAULT;
	tcp_set_mss(t);
	t->snd_wnd = t->max_snd_wnd = seg->window; /* never scaled in a SYN (RFC 7323 2.2) */
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
}

/* Fourth: SYN. With an ACK of ours the connection is made; without, both have opened at once. */
static void syn_sent_segment(struct tcb *t, const struct ip_info *ip, struct tcp_segment *seg)
{
	if (syn_sent_check(t, seg) == DROPPED)
		return;
	take_syn(t, seg);
	if (!(seg->flags & TCP_ACK)) {
		tcb_set_state(t, TCP_SYN_RECEIVED, CAUSE_SYN_RECEIVED);
		t->retries = 0;
		tcp_send_syn(t);
		return;
	}
	tcb_established(t, CAUSE_SYN_ACK_RECEIVED);
	fastopen_syn_acked(t, seg);
	t->ack_now = true;
	tcb_dirty(t);
	if (seg->len == 0 && !(seg->flags & TCP_FIN))
		return;
	seg->flags = (uint8_t)(seg->flags & ~TCP_SYN);
	seg->seq = t->rcv_nxt;
	tcp_segment_arrives(t, ip, seg);
}

void tcb_start_sending(struct tcb *t)
{
	t->syn_acked = true;
	t->snd_una = t->snd_small = seq_add(t->iss, 1);
	t->snd_rtx = t->snd_nxt;
	t->recover = t->iss;
	t->round_end = t->flight_end = t->ecn_point = t->reorder_until = t->snd_nxt;
}

void tcb_established(struct tcb *t, enum tcp_cause cause)
{
	struct stack *s = tcb_stack(t);
	bool lost = t->retries > 0, early = t->fastopen_pending;

	tcb_set_state(t, TCP_ESTABLISHED, cause);
	if (early)
		COUNT(s, tcp_passive_opens);
	else
		tcb_start_sending(t);
	t->retries = 0;
	t->stalled = false;
	t->data_received_ms = to_ms(s->now); /* as if: silence counts from here */
	tcb_timer_stop(t, TCB_REXMT);
	if (t->rtt_timing)
		tcp_rtt_take(t, s->now - t->rtt_started);
	else if (lost)
		rtt_init(&t->rtt, max_u64(s->cfg.rto_initial, SECONDS(3))); /* RFC 6298 5.7 */
	t->rtt_timing = false;
	tcp_receive_tune_start(t);
	if (!early) {
		tcp_mtu_start(t);
		tcp_cc_start(t);
	}
	if (lost)
		t->cc.cwnd = t->mss; /* RFC 5681 3.1: a lost SYN */
	if (tcb_flight(t) > 0)
		tcb_rexmt_start(t);
	tcb_keepalive_start(t);
	if (!early)
		tcb_event(t, STACK_EVENT_CONNECTED | STACK_EVENT_WRITABLE);
	if (t->fin_queued)
		tcb_set_state(t, TCP_FIN_WAIT_1, t->user_closed ? CAUSE_CLOSE : CAUSE_SHUTDOWN);
	tcb_dirty(t);
}

/* ---- 3.10.7.4: the synchronized states ---- */

/*
 * RFC 7323 5.3 R1. A segment without a timestamp "SHOULD" be dropped (3.2); it is not, as the host does
 * not: a middlebox that strips the option would end the connection without a word, and whoever forges
 * a segment hits a timestamp that passes every other time anyway.
 */
static enum verdict check_timestamp(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	bool fresh;

	if (!t->ts_on || !seg->opt.has_timestamp || (seg->flags & TCP_RST))
		return GO_ON;
	fresh = (int32_t)(seg->opt.ts_value - t->ts_recent) >= 0;
	if (!fresh && to_ms(s->now) - t->ts_recent_ms < PAWS_IDLE_MS) {
		COUNT(s, tcp_in_paws);
		tcp_send_ack(t);
		return DROPPED;
	}
	return GO_ON;
}

/* RFC 5961 5.2: what the peer can acknowledge. */
static bool ack_in_range(const struct tcb *t, const struct tcp_segment *seg)
{
	return !seq_gt(seg->ack, t->snd_nxt) && !seq_lt(seg->ack, seq_sub(t->snd_una, t->max_snd_wnd));
}

/*
 * RFC 7323 5.3 R3, for a segment that is in the window (R2). One that check_ack drops is not the
 * peer's: with a timestamp far ahead it would make PAWS drop all that the peer sends.
 */
static void take_timestamp(struct tcb *t, const struct tcp_segment *seg)
{
	if (!t->ts_on || !seg->opt.has_timestamp || (seg->flags & TCP_RST) || seq_gt(seg->seq, t->last_ack_sent))
		return;
	if (!(seg->flags & TCP_ACK) || !ack_in_range(t, seg))
		return;
	t->ts_recent = seg->opt.ts_value;
	t->ts_recent_ms = to_ms(tcb_stack(t)->now);
}

/*
 * The four cases of the table in 3.10.7.4, first. But an empty segment may stand at the window's
 * right edge: when both directions have filled the window and lost it, that is where the ACKs
 * are, and each side would answer the other's for ever.
 */
static bool in_window(const struct tcb *t, const struct tcp_segment *seg)
{
	uint32_t len = seg->flags & TCP_RST ? 0 : tcp_seg_len(seg), window = t->rcv_adv.v - t->rcv_nxt.v;

	if (len == 0)
		return seg->seq.v - t->rcv_nxt.v <= window;
	return seq_in(seg->seq, t->rcv_nxt, window) || seq_in(seq_add(seg->seq, len - 1), t->rcv_nxt, window);
}

/* RFC 2883 4: the next ACK reports it. */
static void duplicate_came(struct tcb *t, seq32 left, seq32 right)
{
	COUNT(tcb_stack(t), tcp_in_duplicate);
	tcp_ooo_duplicate(t, left, right);
}

/* "Segments with higher beginning sequence numbers SHOULD be held"; what is outside the window is cut off. */
static void cut_to_window(struct tcb *t, struct tcp_segment *seg)
{
	uint32_t window = t->rcv_adv.v - t->rcv_nxt.v;

	if (seq_lt(seg->seq, t->rcv_nxt)) {
		uint32_t old = t->rcv_nxt.v - seg->seq.v;

		old = min_u32(old, seg->len);
		if (old > 0)
			duplicate_came(t, seg->seq, t->rcv_nxt);
		if (seg->flags & TCP_URG)
			urgent_cut(seg, old);
		seg->data += old;
		seg->len -= old;
		seg->seq = t->rcv_nxt;
	}
	if (seg->seq.v - t->rcv_nxt.v + seg->len > window) {
		seg->len = window - (seg->seq.v - t->rcv_nxt.v);
		seg->flags = (uint8_t)(seg->flags & ~TCP_FIN);
	}
}

/* First: the sequence number. */
static enum verdict check_sequence(struct tcb *t, struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);

	if (in_window(t, seg))
		return GO_ON;
	if (seg->flags & TCP_RST) {
		COUNT(s, tcp_in_rst_ignored);
		return DROPPED;
	}
	if (seq_leq(seq_add(seg->seq, tcp_seg_len(seg)), t->rcv_nxt))
		duplicate_came(t, seg->seq, seq_add(seg->seq, tcp_seg_len(seg)));
	else
		COUNT(s, tcp_in_window);
	/*
	 * "If the RCV.WND is zero, no segments will be acceptable, but special allowance should be
	 * made to accept valid ACKs": a probe is answered, its ACK is used, its data is not.
	 */
	if (seq_eq(seg->seq, t->rcv_nxt) && !(seg->flags & TCP_SYN)) {
		t->ack_now = true;
		tcb_dirty(t);
		seg->len = 0;
		seg->flags = (uint8_t)(seg->flags & ~TCP_FIN);
		return GO_ON;
	}
	/* Both opened at once, and the peer has not heard our SYN: an ACK alone would tell it nothing. */
	if (tcb_state(t) == TCP_SYN_RECEIVED && (seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		t->rtt_timing = false; /* Karn: which of them will be answered is not known */
		tcp_send_syn(t);
	} else if (tcp_seg_len(seg) == 0) {
		tcp_challenge_ack(t); /* limited: two sides that disagree must not answer each other for ever */
	} else {
		tcp_send_ack(t);
	}
	return DROPPED;
}

/* Second: RST, as RFC 5961 3.2 wants it: exactly at RCV.NXT, or a challenge. */
static enum verdict check_rst(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	enum tcp_state state = tcb_state(t);
	bool over = state == TCP_CLOSING || state == TCP_LAST_ACK;

	if (!(seg->flags & TCP_RST))
		return GO_ON;
	if (!seq_eq(seg->seq, t->rcv_nxt)) {
		COUNT(s, tcp_in_rst_ignored);
		tcp_challenge_ack(t);
		return DROPPED;
	}
	COUNT(s, tcp_in_rst);
	if (state == TCP_SYN_RECEIVED) {
		COUNT(s, tcp_attempt_fails);
		tcb_end(t, t->fastopen_pending ? ECONNRESET : ECONNREFUSED, CAUSE_RST_RECEIVED);
	} else {
		tcb_end(t, over ? 0 : ECONNRESET, CAUSE_RST_RECEIVED);
	}
	return DROPPED;
}

/* Fourth: SYN in a synchronized state gets a challenge ACK (RFC 5961 4.2). */
static enum verdict check_syn(struct tcb *t, const struct tcp_segment *seg)
{
	if (!(seg->flags & TCP_SYN))
		return GO_ON;
	tcp_challenge_ack(t);
	return DROPPED;
}

/* Fifth, SYN-RECEIVED: "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED state". */
static enum verdict check_ack_of_syn(struct tcb *t, const struct tcp_segment *seg)
{
	if (tcb_state(t) != TCP_SYN_RECEIVED)
		return GO_ON;
	if (seq_leq(seg->ack, t->iss) || seq_gt(seg->ack, t->snd_nxt)) {
		refuse_ack(t, seg);
		return DROPPED;
	}
	t->snd_wnd = (uint32_t)seg->window << t->snd_scale;
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
	tcb_established(t, CAUSE_ACK_OF_SYN);
	if (t->fastopen)
		fastopen_both_opened(t);
	return GO_ON;
}

static bool is_duplicate_ack(const struct tcb *t, const struct tcp_segment *seg)
{
	return seq_eq(seg->ack, t->snd_una) && seg->len == 0 && !(seg->flags & (TCP_SYN | TCP_FIN)) &&
	       tcb_flight(t) > 0 && (uint32_t)seg->window << t->snd_scale == t->snd_wnd;
}

/* What the ACK of our FIN leads to. */
static enum verdict after_fin_acked(struct tcb *t)
{
	if (!tcp_fin_acked(t))
		return GO_ON;
	switch (tcb_state(t)) {
	case TCP_FIN_WAIT_1:
		tcb_set_state(t, TCP_FIN_WAIT_2, CAUSE_ACK_OF_FIN);
		return t->user_closed && !tcb_fin_wait_2_start(t) ? DROPPED : GO_ON;
	case TCP_CLOSING:
		tcb_set_state(t, TCP_TIME_WAIT, CAUSE_ACK_OF_FIN);
		time_wait_enter(t);
		return DROPPED;
	case TCP_LAST_ACK:
		tcb_end(t, 0, CAUSE_ACK_OF_FIN);
		return DROPPED;
	case TCP_CLOSED: case TCP_LISTEN: case TCP_SYN_SENT: case TCP_SYN_RECEIVED: case TCP_ESTABLISHED:
	case TCP_FIN_WAIT_2: case TCP_CLOSE_WAIT: case TCP_TIME_WAIT:
		break;
	}
	return GO_ON;
}

/* Fifth: ACK. "if the ACK bit is off, drop the segment"; range as RFC 5961 5.2. */
static enum verdict check_ack(struct tcb *t, const struct tcp_segment *seg)
{
	bool duplicate;

	if (!(seg->flags & TCP_ACK))
		return DROPPED;
	if (check_ack_of_syn(t, seg) == DROPPED)
		return DROPPED;
	if (!ack_in_range(t, seg)) {
		COUNT(tcb_stack(t), tcp_in_bad_ack);
		tcp_challenge_ack(t);
		return DROPPED;
	}
	duplicate = is_duplicate_ack(t, seg);
	if (seq_geq(seg->ack, t->snd_una))
		tcp_update_window(t, seg);
	if (seq_geq(seg->ack, t->snd_una))
		tcp_ack(t, seg, duplicate);
	else if (t->sack_on && seg->opt.sack_count > 0) /* overtaken by a later ACK, but its blocks may be news */
		sack_ack(t, seg, 0, false);
	return after_fin_acked(t);
}

/* Seventh: the segment's text. "Data after close" resets (RFC 9293 3.6.1, RFC 1122 4.2.2.13). */
static enum verdict take_text(struct tcb *t, struct tcp_segment *seg)
{
	if (seg->len == 0 || !tcp_state_receives(tcb_state(t)))
		return GO_ON;
	if (t->user_closed) {
		COUNT(tcb_stack(t), tcp_in_after_close);
		tcp_answer_rst(t, seg);
		tcb_end(t, 0, CAUSE_RST_SENT);
		return DROPPED;
	}
	tcp_receive_text(t, seg);
	return GO_ON;
}

/* Eighth: FIN, once everything before it has come. */
static void take_fin(struct tcb *t, const struct tcp_segment *seg)
{
	seq32 fin = seq_add(seg->seq, seg->len);
	bool here = (seg->flags & TCP_FIN) && seq_eq(fin, t->rcv_nxt);

	if (t->fin_received || !tcp_state_receives(tcb_state(t)))
		return;
	if ((seg->flags & TCP_FIN) && seq_gt(fin, t->rcv_nxt)) {
		tcp_ooo_fin(t, fin);
		t->ack_now = true; /* RFC 5681 4.2: the peer hears of the gap */
		tcb_dirty(t);
	}
	if (!here && !tcb_fin_kept(t))
		return;
	t->fin_received = true;
	t->rcv_nxt = seq_add(t->rcv_nxt, 1);
	t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt);
	tcp_ooo_clear(t);
	t->ack_now = true;
	tcb_dirty(t);
	tcb_event(t, STACK_EVENT_EOF);
	switch (tcb_state(t)) {
	case TCP_ESTABLISHED:
		tcb_set_state(t, TCP_CLOSE_WAIT, CAUSE_FIN_RECEIVED);
		break;
	case TCP_FIN_WAIT_1:
		tcb_set_state(t, TCP_CLOSING, CAUSE_FIN_RECEIVED);
		break;
	case TCP_FIN_WAIT_2:
		tcb_set_state(t, TCP_TIME_WAIT, CAUSE_FIN_RECEIVED);
		time_wait_enter(t);
		break;
	case TCP_CLOSED: case TCP_LISTEN: case TCP_SYN_SENT: case TCP_SYN_RECEIVED:
	case TCP_CLOSE_WAIT: case TCP_CLOSING: case TCP_LAST_ACK: case TCP_TIME_WAIT:
		break;
	}
}

/*
 * Header prediction: the next data of a peer to whom we have nothing in flight, and all else as it
 * was. The checks below find nothing in it; what they do for it is done here.
 */
static bool is_predicted(const struct tcb *t, const struct tcp_segment *seg)
{
	return tcb_state(t) == TCP_ESTABLISHED && (seg->flags & ~TCP_PSH) == TCP_ACK && seq_eq(seg->seq, t->rcv_nxt) &&
	       seg->len > 0 && seg->len <= t->rcv_adv.v - t->rcv_nxt.v && seq_eq(seg->ack, t->snd_una) &&
	       tcb_flight(t) == 0 && seg->opt.sack_count == 0 && !t->user_closed && !t->ecn_on && !t->ooo && !t->rec &&
	       t->snd_wnd > 0 && (uint32_t)seg->window << t->snd_scale == t->snd_wnd &&
	       (!t->ts_on || (seg->opt.has_timestamp && (int32_t)(seg->opt.ts_value - t->ts_recent) >= 0));
}

static void take_predicted(struct tcb *t, struct tcp_segment *seg)
{
	take_timestamp(t, seg);
	t->snd_wl1 = seq_max(t->snd_wl1, seg->seq);
	t->snd_wl2 = seg->ack;
	tcp_receive_text(t, seg);
}

void tcp_segment_arrives(struct tcb *t, const struct ip_info *ip, struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);

	t->conn->segments_in++;
	t->last_received = s->now;
	t->keepalive_sent = 0;
	if (is_predicted(t, seg)) {
		take_predicted(t, seg);
		return;
	}
	if (check_timestamp(t, seg) == DROPPED || check_sequence(t, seg) == DROPPED)
		return;
	take_timestamp(t, seg);
	if (check_rst(t, seg) == DROPPED || check_syn(t, seg) == DROPPED)
		return;
	if (t->ecn_on)
		ecn_input(t, ip, seg);
	cut_to_window(t, seg);
	if (check_ack(t, seg) == DROPPED)
		return;
	if (seg->flags & TCP_URG) /* sixth */
		urgent_input(t, seg);
	if (take_text(t, seg) == DROPPED)
		return;
	take_fin(t, seg);
}

/* ---- where a segment goes ---- */

static void to_connection(struct stack *s, struct pcb *p, const struct ip_info *ip, struct tcp_segment *seg)
{
	switch ((enum pcb_kind)p->kind) {
	case PCB_TCB: {
		struct tcb *t = conn_wake(CONTAINER_OF(p, struct conn, sock.pcb));

		if (!t)
			COUNT(s, tcp_in_no_memory);
		else if (tcb_state(t) == TCP_SYN_SENT)
			syn_sent_segment(t, ip, seg);
		else
			tcp_segment_arrives(t, ip, seg);
		break;
	}
	case PCB_HALF:
		half_open_segment(s, CONTAINER_OF(p, struct half_open, pcb), ip, seg);
		break;
	case PCB_TIME_WAIT:
		time_wait_segment(s, CONTAINER_OF(p, struct time_wait, pcb), ip, seg);
		break;
	case PCB_BOUND:
	case PCB_LISTEN:
	case PCB_UDP:
	case PCB_PING:
		break; /* their keys have no remote address */
	}
}

void tcp_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len)
{
	struct tcp_segment seg;
	const char *bad = tcp_parse(p, len, &ip->src, &ip->dst, ip->csum_good, &seg);
	struct listener *l;
	struct pcb *pcb;

	COUNT(s, tcp_in);
	if (bad) {
		if (strstr(bad, "checksum"))
			COUNT(s, tcp_in_bad_checksum);
		else
			COUNT(s, tcp_in_bad);
		return;
	}
	if (seg.sport == 0 || seg.dport == 0 || ip->broadcast) {
		COUNT(s, tcp_in_bad);
		return;
	}
	seg.gso_size = ip->gso_udp ? 0 : ip->gso_size;
	pcb = table_find(&s->table, STACK_TCP, &ip->dst, seg.dport, &ip->src, seg.sport);
	if (pcb) {
		to_connection(s, pcb, ip, &seg);
		return;
	}
	l = listener_find(s, &(struct stack_endpoint){ip->dst, seg.dport}, &(struct stack_endpoint){ip->src, seg.sport});
	if (l) {
		listener_segment(l, ip, &seg);
		return;
	}
	COUNT(s, tcp_in_no_socket);
	tcp_refuse(s, ip, &seg);
}
