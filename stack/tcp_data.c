/*
 * The receive side: in-order data to its reader, out-of-order data into ranges, the window.
 *
 * Invariants of the ranges: sorted, neither touching nor overlapping, all beyond rcv_nxt;
 * bytes and ranges are their sums.
 */
#include "tcp.h"

/* ---- window ---- */

uint32_t tcp_receive_space(const struct tcb *t)
{
	uint32_t space = t->recv_limit > t->rcvq.len ? t->recv_limit - t->rcvq.len : 0;
	uint32_t clamp = sock_options(&t->conn->sock)->window_clamp;

	if (clamp)
		space = min_u32(space, clamp);

	return (uint32_t)min_size(space, mem_share(&tcb_stack(t)->mem, t->rcvq.len));
}

static uint32_t right_edge_room(const struct tcb *t)
{
	return seq_gt(t->rcv_adv, t->rcv_nxt) ? t->rcv_adv.v - t->rcv_nxt.v : 0;
}

/*
 * RFC 9293 3.8.6.2.2: min(Fr * RCV.BUFF, Eff.snd.MSS), by which the right edge moves at least. The
 * buffer is what memory allows: else a window that shortage has closed would never open again.
 */
static uint32_t window_step(const struct tcb *t, uint32_t space, uint32_t segments)
{
	return min_u32((space + t->rcvq.len) / 2, segments * tcp_mss_announced(tcb_stack(t)));
}

/* The right edge moves only in steps worth a segment, and never left; and not before the handshake is complete (RFC 7413). */
uint16_t tcp_window_field(struct tcb *t)
{
	uint32_t offered = right_edge_room(t), space = tcp_receive_space(t);
	uint32_t step = window_step(t, space, 1);
	uint32_t window = space >= offered + step && !t->fastopen_pending ? space : offered;
	uint32_t field = window >> t->rcv_scale;

	if (field << t->rcv_scale < offered)
		field++;
	field = min_u32(field, TCP_WINDOW_UNSCALED);
	t->rcv_adv = seq_max(t->rcv_adv, seq_add(t->rcv_nxt, field << t->rcv_scale));
	return (uint16_t)field;
}

/* Two doublings of the best round trip so far: no sender in slow start is held up before the next ACK tells it of more. */
static bool plenty(const struct tcb *t, uint32_t offered)
{
	return offered > t->recv_limit / 2 || (!t->recv_fixed && offered >= 4 * (uint64_t)t->rcv_space);
}

/* What the window field cannot say is no news: without scaling a large buffer has always more than it. */
void tcp_window_update(struct tcb *t)
{
	uint32_t offered = right_edge_room(t);
	uint32_t space = min_u32(tcp_receive_space(t), TCP_WINDOW_UNSCALED << t->rcv_scale);
	uint32_t step = window_step(t, space, 2);

	if (!tcp_state_receives(tcb_state(t)) || plenty(t, offered) || space < offered + step)
		return;
	t->ack_now = true;
	tcb_dirty(t);
}

/* ---- out of order ---- */

static seq32 range_end(const struct ooo_range *r)
{
	return seq_add(r->seq, r->data.len);
}

/* Takes r out of those that took something in last, and NULL the place that nobody has. */
static void latest_forget(struct ooo *o, const struct ooo_range *r)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < OOO_LATEST; i++)
		if (o->latest[i] != r)
			o->latest[kept++] = o->latest[i];
	while (kept < OOO_LATEST)
		o->latest[kept++] = NULL;
}

static void latest_note(struct ooo *o, struct ooo_range *r)
{
	if (o->latest[0] == r)
		return;
	latest_forget(o, r);
	memmove(&o->latest[1], &o->latest[0], sizeof(o->latest) - sizeof(o->latest[0]));
	o->latest[0] = r;
}

static void range_unlink(struct tcb *t, struct ooo_range **link)
{
	struct ooo_range *r = *link;

	*link = r->next;
	latest_forget(t->ooo, r);
	t->ooo->ranges--;
	t->ooo->bytes -= r->data.len;
}

static void range_free(struct tcb *t, struct ooo_range *r)
{
	struct mem *m = &tcb_stack(t)->mem;

	byteq_clear(&r->data, m, MEM_OOO);
	mem_give(m, MEM_OOO, POOL_OOO_RANGE, r, sizeof(*r));
}

static struct ooo *ooo_get(struct tcb *t)
{
	if (!t->ooo)
		t->ooo = mem_take(&tcb_stack(t)->mem, MEM_OOO, POOL_OOO, sizeof(*t->ooo));
	return t->ooo;
}

static void ooo_free(struct tcb *t)
{
	mem_give(&tcb_stack(t)->mem, MEM_OOO, POOL_OOO, t->ooo, sizeof(*t->ooo));
	t->ooo = NULL;
}

void tcp_ooo_trim(struct tcb *t)
{
	if (t->ooo && !t->ooo->head && !t->ooo->fin && seq_eq(t->ooo->dsack_left, t->ooo->dsack_right))
		ooo_free(t);
}

void tcp_ooo_duplicate(struct tcb *t, seq32 left, seq32 right)
{
	if (!t->sack_on || !ooo_get(t))
		return;
	t->ooo->dsack_left = left;
	t->ooo->dsack_right = right;
}

void tcp_ooo_fin(struct tcb *t, seq32 fin)
{
	if (!ooo_get(t))
		return;
	if (!t->ooo->fin)
		t->ooo->fin_seq = fin;
	t->ooo->fin = true;
	t->ooo->recent = t->ooo->fin_seq;
}

void tcp_ooo_clear(struct tcb *t)
{
	while (tcb_ranges(t)) {
		struct ooo_range *r = t->ooo->head;

		range_unlink(t, &t->ooo->head);
		range_free(t, r);
	}
	ooo_free(t);
}

static bool ranges_full(const struct ooo *o)
{
	return o->ranges >= OOO_RANGES_LEAST && (o->ranges >= OOO_RANGES_MAX || o->bytes / TCP_MSS_DEFAULT < o->ranges);
}

static struct ooo_range *range_insert(struct tcb *t, struct ooo_range **link, seq32 seq)
{
	struct ooo_range *r;

	if (ranges_full(t->ooo))
		return NULL;
	r = mem_take(&tcb_stack(t)->mem, MEM_OOO, POOL_OOO_RANGE, sizeof(*r));
	if (!r)
		return NULL;
	r->seq = seq;
	r->next = *link;
	*link = r;
	t->ooo->ranges++;
	return r;
}

/* Joins r with the next range when they touch. */
static void range_join(struct tcb *t, struct ooo_range *r)
{
	struct ooo_range *next = r->next;

	if (!next || !seq_eq(range_end(r), next->seq))
		return;
	range_unlink(t, &r->next);
	t->ooo->bytes += next->data.len;
	byteq_splice(&r->data, MEM_OOO, &next->data, MEM_OOO, &tcb_stack(t)->mem);
	range_free(t, next);
}

struct ooo_range *tcp_ooo_range(const struct tcb *t, seq32 seq)
{
	struct ooo_range *last = t->ooo ? t->ooo->latest[0] : NULL, *r = NULL;

	for (struct ooo_range *i = last && seq_leq(last->seq, seq) ? last : tcb_ranges(t); i && seq_leq(i->seq, seq); i = i->next)
		r = i;
	return r;
}

/* Stores the part of [seq, seq + len) that comes before the next range; returns the bytes dealt with, 0: no room. */
static uint32_t ooo_store_piece(struct tcb *t, seq32 seq, const uint8_t *data, uint32_t len)
{
	struct ooo_range *r = tcp_ooo_range(t, seq), *next = r ? r->next : tcb_ranges(t);
	uint32_t n = next ? min_u32(len, next->seq.v - seq.v) : len;
	uint32_t stored;

	if (r && seq_lt(seq, range_end(r))) { /* there already */
		n = min_u32(len, range_end(r).v - seq.v);
		tcp_ooo_duplicate(t, seq, seq_add(seq, n));
		return n;
	}
	if (!r || !seq_eq(range_end(r), seq))
		r = range_insert(t, r ? &r->next : &t->ooo->head, seq);
	if (!r)
		return 0;
	stored = (uint32_t)byteq_append(&r->data, &tcb_stack(t)->mem, MEM_OOO, data, n);
	t->ooo->bytes += stored;
	COUNT_ADD(tcb_stack(t), tcp_in_copied_bytes, stored);
	if (r->data.len == 0) {
		struct ooo_range **link = &t->ooo->head;

		while (*link != r)
			link = &(*link)->next;
		range_unlink(t, link);
		range_free(t, r);
		return 0;
	}
	if (stored == n)
		range_join(t, r);
	latest_note(t->ooo, r);
	return stored;
}

static void ooo_store(struct tcb *t, seq32 seq, const uint8_t *data, uint32_t len)
{
	struct stack *s = tcb_stack(t);

	COUNT_EXTRA(t, ooo_in, 1);
	COUNT(s, tcp_in_out_of_order);
	if (!ooo_get(t) || len > mem_share(&s->mem, t->ooo->bytes)) {
		tcp_ooo_trim(t);
		COUNT(s, tcp_in_ooo_dropped);
		return;
	}
	t->ooo->recent = seq;
	while (len > 0) {
		uint32_t n = ooo_store_piece(t, seq, data, len);

		if (n == 0) {
			tcp_ooo_trim(t);
			COUNT(s, tcp_in_ooo_dropped);
			return;
		}
		seq = seq_add(seq, n);
		data += n;
		len -= n;
	}
}

/* Moves what has become in-order to the receive queue. */
static void ooo_deliver(struct tcb *t)
{
	struct mem *m = &tcb_stack(t)->mem;

	while (tcb_ranges(t) && seq_leq(t->ooo->head->seq, t->rcv_nxt)) {
		struct ooo_range *r = t->ooo->head;
		uint32_t old = min_u32(t->rcv_nxt.v - r->seq.v, r->data.len);

		range_unlink(t, &t->ooo->head);
		byteq_consume(&r->data, m, MEM_OOO, old);
		t->rcv_nxt = seq_add(t->rcv_nxt, r->data.len);
		t->conn->bytes_received += r->data.len;
		COUNT_ADD(tcb_stack(t), tcp_in_bytes, r->data.len);
		if (t->urgent != URGENT_NONE)
			urgent_arrived(t, seq_sub(t->rcv_nxt, r->data.len), r->data.len);
		if (r->data.len > 0) {
			byteq_splice(&t->rcvq, MEM_RECV, &r->data, MEM_OOO, m);
			tcb_event(t, STACK_EVENT_READABLE);
		}
		range_free(t, r);
	}
	tcp_ooo_trim(t);
}

/* ---- in order ---- */

/* To the reader first, straight from the frame; what it does not take is stored. Returns the bytes kept. */
static uint32_t deliver(struct tcb *t, const uint8_t *data, uint32_t len)
{
	struct stack *s = tcb_stack(t);
	uint32_t taken = 0, stored;

	if (t->urgent == URGENT_NONE && t->held && t->rcvq.len == 0 && s->ops.receive && t->conn->sock.user)
		taken = (uint32_t)s->ops.receive(s->context, &t->conn->sock, t->conn->sock.user, data, len);
	if (taken == len)
		return taken;
	stored = (uint32_t)byteq_append(&t->rcvq, &s->mem, MEM_RECV, data + taken, len - taken);
	COUNT_ADD(s, tcp_in_copied_bytes, stored);
	if (stored > 0 && t->rcvq.len >= sock_options(&t->conn->sock)->recv_lowat)
		tcb_event(t, STACK_EVENT_READABLE);
	if (t->urgent != URGENT_NONE)
		urgent_arrived(t, t->rcv_nxt, stored);
	if (taken + stored < len)
		COUNT(s, tcp_in_no_memory);
	return taken + stored;
}

/* RFC 9293 3.10.7.4, seventh. The segment has been cut to the window. */
void tcp_receive_text(struct tcb *t, struct tcp_segment *seg)
{
	struct stack *s = tcb_stack(t);
	bool hole = tcb_ranges(t) != NULL;
	uint32_t kept, size = seg->gso_size && seg->len > seg->gso_size ? seg->gso_size : min_u32(seg->len, UINT16_MAX);

	t->conn->data_in += seg->len <= size ? 1 : (seg->len + size - 1) / size;
	t->mss_seen = (uint16_t)max_u32(t->mss_seen, size);

	if (!seq_eq(seg->seq, t->rcv_nxt)) {
		ooo_store(t, seg->seq, seg->data, seg->len);
		delack_quick(t);
		tcp_send_ack(t); /* each one: a duplicate ACK for the sender (RFC 5681 4.2) */
		return;
	}
	delack_data_received(t);
	kept = deliver(t, seg->data, seg->len);
	t->rcv_nxt = seq_add(t->rcv_nxt, kept);
	t->conn->bytes_received += kept;
	COUNT_ADD(s, tcp_in_bytes, kept);
	ooo_deliver(t);
	if (tcp_receive_sample_due(t, seg))
		tcp_receive_sample(t, seg);
	if (tcp_receive_tune_due(t))
		tcp_receive_tune(t);
	if (hole || kept < seg->len) {
		t->ack_now = true;
		tcb_dirty(t);
	} else {
		delack_start(t, kept);
	}
}
