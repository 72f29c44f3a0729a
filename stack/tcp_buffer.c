/*
 * How large the buffers of a connection are. Both begin modest and grow while that makes the
 * connection faster; neither ever shrinks, and a size that the owner has set stays as it is.
 *
 * Receiving (dynamic right-sizing): what the reader takes in one round trip is what the sender
 * gets through in one. So the window is kept at twice of that, and while it still rises, at
 * twice of what the rise leads to in the next two round trips: one passes until the sender
 * hears of the window, another until its data is here. A slow reader takes little, so its
 * window, and the memory that a sender can make us hold, stay small.
 *
 * The receiver's round-trip time comes from timestamps (RFC 7323 4), without them from the time
 * that a whole window takes to come, and before either from the handshake.
 *
 * Sending: the queue holds what is in flight and as much again, to be sent when it is
 * acknowledged: twice cwnd.
 *
 * The send buffer is memory, which is what SO_SNDBUF means on the host: the queue counts as pieces,
 * each of what one large segment to this peer would be, and each with a head. A piece may be begun
 * while the memory of the others is below the limit, and one that is begun may be filled. So a
 * write takes as much as it takes there, which may be more than the limit by a part of a piece.
 * TCP_NOTSENT_LOWAT holds back whole pieces in the same way.
 */
#include "tcp.h"

#define LIMIT_MAX (1u << 30)
#define LIMIT_MIN 2048u
#define PIECE_HEAD 1024u /* bytes that a piece counts for beside its data; the host's heads have about that */
#define SLACK_SEGMENTS 16u /* what a round trip may bring more than the one before, in slow start's beginning */

uint32_t tcp_send_limit_max(const struct stack *s)
{
	return max_u32(s->cfg.send_buffer, s->cfg.send_buffer_max);
}

uint32_t tcp_recv_limit_max(const struct stack *s)
{
	return max_u32(s->cfg.recv_buffer, s->cfg.recv_buffer_max);
}

uint32_t sock_recv_limit_max(const struct sock *sock)
{
	uint32_t wish = sock_options(sock)->recv_buffer;

	return wish ? wish : tcp_recv_limit_max(sock->stack);
}

void tcp_set_send_limit(struct tcb *t, uint64_t bytes)
{
	t->send_limit = (uint32_t)max_u64(min_u64(bytes, LIMIT_MAX), LIMIT_MIN);
	t->send_fixed = true;
}

void tcp_set_recv_limit(struct tcb *t, uint64_t bytes)
{
	t->recv_limit = (uint32_t)max_u64(min_u64(bytes, LIMIT_MAX), LIMIT_MIN);
	t->recv_fixed = true;
}

void tcp_buffers_init(struct tcb *t)
{
	const struct stack_config *c = &tcb_stack(t)->cfg;

	t->send_limit = c->send_buffer;
	t->recv_limit = c->recv_buffer;
	t->recv_fixed = tcp_recv_limit_max(tcb_stack(t)) == c->recv_buffer;
	t->send_fixed = tcp_send_limit_max(tcb_stack(t)) == c->send_buffer;
}

void tcp_receive_tune_start(struct tcb *t)
{
	t->rcv_space = cc_initial_window(tcp_mss_announced(tcb_stack(t)));
	t->rcv_taken = t->rcv_nxt;
	t->rcv_began = (uint32_t)tcb_stack(t)->now;
	t->rcv_rtt = t->rtt.srtt / 8;
	if (t->ts_on)
		return;
	t->rcv_mark = t->rcv_adv.v;
	t->rcv_mark_at = t->rcv_began;
}

/* ---- the receiver's round-trip time; tcp_receive_sample_due has been true ---- */

/* A full segment only: a small one may have waited for its writer, and its echo with it. */
static void sample_echo(struct tcb *t, const struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	uint32_t ms = ts_now(s, t->ts_offset) - seg->opt.ts_echo, rtt;

	if (seg->opt.ts_echo == 0 || seg->len < TCP_MSS_DEFAULT)
		return;
	t->rcv_mark = seg->opt.ts_echo;
	if (ms > to_ms(s->cfg.rto_max))
		return;
	rtt = ms > 0 ? ms * 1000 : 1000; /* below the clock's grain the handshake knows better */
	if (ms == 0 && t->rtt.srtt > 0)
		rtt = min_u32(rtt, t->rtt.srtt / 8);
	t->rcv_rtt = t->rcv_rtt ? t->rcv_rtt - t->rcv_rtt / 8 + rtt / 8 : rtt;
}

/* It takes a round trip at least until all has come that the window allowed when the sample began. */
static void sample_window(struct tcb *t)
{
	uint32_t now = (uint32_t)tcb_stack(t)->now, rtt = now - t->rcv_mark_at;

	if (rtt > 0 && (t->rcv_rtt == 0 || rtt < t->rcv_rtt))
		t->rcv_rtt = rtt;
	t->rcv_mark = t->rcv_adv.v;
	t->rcv_mark_at = now;
}

void tcp_receive_sample(struct tcb *t, const struct tcp_segment *seg)
{
	if (t->ts_on)
		sample_echo(t, seg);
	else
		sample_window(t);
}

/* ---- growth ---- */

/* The window that is worth having after a round trip in which the reader took `taken` bytes. */
static void grow_receive(struct tcb *t, uint32_t taken)
{
	struct stack *s = tcb_stack(t);
	uint64_t rise = taken - t->rcv_space;
	uint64_t limit = 2 * (taken + 2 * rise) + SLACK_SEGMENTS * tcp_mss_announced(s);

	limit = min_u64(limit, tcp_recv_limit_max(s));
	limit = min_u64(limit, (uint64_t)TCP_WINDOW_UNSCALED << t->rcv_scale);
	limit = min_u64(limit, t->rcvq.len + mem_share(&s->mem, t->rcvq.len));
	if (limit > t->recv_limit)
		t->recv_limit = (uint32_t)limit;
}

void tcp_receive_tune(struct tcb *t)
{
	uint32_t now = (uint32_t)tcb_stack(t)->now;
	seq32 reader = seq_sub(t->rcv_nxt, t->rcvq.len);
	uint32_t taken = reader.v - t->rcv_taken.v;

	if (t->rcv_rtt == 0)
		return;
	if (taken > t->rcv_space) {
		grow_receive(t, taken);
		t->rcv_space = taken;
	}
	t->rcv_taken = reader;
	t->rcv_began = now;
}

/* ---- sending ---- */

/* Half of the widest window that the peer has had: while one half is on its way, the other is filled. */
static uint32_t piece_size(const struct tcb *t)
{
	uint32_t window = t->max_snd_wnd > TCP_MSS_DEFAULT ? t->max_snd_wnd / 2 : t->max_snd_wnd;
	uint32_t size = t->syn_acked ? min_u32(window, STACK_TCP_PAYLOAD_MAX) : STACK_TCP_PAYLOAD_MAX;

	return size > t->mss ? size - size % t->mss : t->mss;
}

/* What `len` bytes of the queue count for. */
static uint64_t queue_memory(uint32_t piece, uint64_t len)
{
	return len + (len + piece - 1) / piece * PIECE_HEAD;
}

static uint32_t unsent_limit(const struct tcb *t)
{
	uint32_t lowat = sock_options(&t->conn->sock)->notsent_lowat;

	return lowat ? lowat : tcb_stack(t)->cfg.notsent_lowat;
}

size_t tcp_send_room(const struct tcb *t)
{
	uint32_t piece = piece_size(t), unsent = tcp_unsent(t), begun = unsent % piece, lowat = unsent_limit(t);
	uint32_t fill = begun ? piece - begun : 0;
	uint64_t memory = queue_memory(piece, (uint64_t)t->sndq.len + fill), pieces = 0;

	if (memory < t->send_limit)
		pieces = (t->send_limit - memory + piece + PIECE_HEAD - 1) / (piece + PIECE_HEAD);
	unsent += fill;
	if (lowat)
		pieces = min_u64(pieces, unsent < lowat ? ((uint64_t)lowat - unsent + piece - 1) / piece : 0);
	return fill + (size_t)pieces * piece;
}

/* A third of the memory is free, and what is unsent is less than half of what may be. */
bool tcp_send_ready(const struct tcb *t)
{
	uint32_t lowat = unsent_limit(t);
	uint64_t memory = queue_memory(piece_size(t), t->sndq.len);

	return memory + memory / 2 <= t->send_limit && (lowat == 0 || 2 * (uint64_t)tcp_unsent(t) < lowat);
}

void tcp_send_tune(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint64_t limit = queue_memory(piece_size(t), 2 * (uint64_t)t->cc.cwnd);

	if (t->send_fixed || limit <= t->send_limit)
		return;
	limit = min_u64(limit, tcp_send_limit_max(s));
	limit = min_u64(limit, t->sndq.len + mem_share(&s->mem, t->sndq.len));
	if (limit > t->send_limit)
		t->send_limit = (uint32_t)limit;
}
