/*
 * Path MTU without ICMP (RFC 4821, RFC 8899): routers that drop what is too big and say nothing.
 *
 * Down: a second timeout in a row of full segments, or the third on a path that has carried
 * them, is taken for a black hole, and segments shrink to a size that passes nearly everywhere;
 * at the fifth, to the least there is. Where much is lost anyway so many timeouts happen by
 * themselves: there it takes as many as its losses would explain once in ten thousand times.
 *
 * Up: one segment of the connection's own data is sent larger than the others. If it is
 * acknowledged, that is the new size; if it alone is lost, that is no sign of congestion
 * (RFC 4821 7.6.2), and it goes again in pieces. The first probe is as large as can be, since
 * what looked like a black hole may have been an outage; then the range is halved. When it is
 * found, ten minutes pass before the next search.
 *
 * Probing needs SACK, which tells that the probe and nothing else was lost. Without SACK a
 * lowered size stays.
 *
 * Invariants: tcb.mtu has passed or is the base; probe is 0 or tcb.mtu < probe <= high;
 * [start, start + len) is the last probe's data while it is not acknowledged.
 */
#include "tcp.h"

#define MTU_BASE 1064u              /* a segment of 1024 bytes without options */
#define SEARCH_END 8u               /* a range so small is not worth another probe */
#define SEARCH_AGAIN SECONDS(600)   /* RFC 4821 7.3, RFC 1191 6.3 */
#define SEGMENTS_BEHIND 3u          /* RFC 4821 7.4: they tell soon that a probe is lost */
#define TIMEOUTS 2u                 /* in a row, for the step down to the base */
#define TIMEOUTS_AT_BASE 5u         /* the same below it: few paths are so narrow, many peers just gone */

#define TIMEOUTS_MAX 7u             /* on no path more than that */
#define PROBES 3u                   /* RFC 8899 5.1.2, MAX_PROBES: of a size that has passed before */
#define CHANCE 100u                 /* in a million: a row of losses that is no accident */

struct mtu_search {
	stack_time next; /* no probe before */
	seq32 start;     /* of the last probe's data */
	uint32_t len;    /* of it, bytes; 0: acknowledged */
	uint16_t high;   /* the largest size that may pass, bytes of IP packet */
	uint16_t probe;  /* the size that is being tried; 0: none */
	uint8_t tries;   /* so many more losses of this size may be accidents */
	bool whole;      /* `high` itself comes first */
	bool black_hole; /* why it began */
};

static uint16_t ceiling(const struct tcb *t)
{
	uint32_t peer = max_u32(t->mss_peer, TCP_MSS_MIN) + IP4_HEADER + TCP_HEADER;

	return (uint16_t)min_u32(min_u32(tcb_stack(t)->cfg.mtu, peer), STACK_TCP_PAYLOAD_MAX);
}

static uint16_t floor_of(const struct tcb *t)
{
	return (uint16_t)min_u32(tcb_stack(t)->cfg.mtu, TCP_MTU_MIN);
}

/* What is around the payload of a packet. */
static uint16_t overhead(const struct tcb *t)
{
	return IP4_HEADER + TCP_HEADER + (t->ts_on ? 12 : 0);
}

static bool enabled(const struct tcb *t)
{
	return tcb_stack(t)->cfg.mtu_probing != STACK_MTU_PROBE_OFF;
}

/* A search that starts at `next`. Without memory there is none. */
static void search(struct tcb *t, stack_time next, bool black_hole)
{
	if (!t->mtu_search)
		t->mtu_search = mem_alloc(&tcb_stack(t)->mem, MEM_SOCKET, sizeof(*t->mtu_search));
	if (!t->mtu_search)
		return;
	t->mtu_search->next = next;
	t->mtu_search->high = ceiling(t);
	t->mtu_search->probe = 0;
	t->mtu_search->tries = 0;
	t->mtu_search->whole = true;
	t->mtu_search->black_hole = black_hole;
}

void tcp_mtu_free(struct tcb *t)
{
	mem_free(&tcb_stack(t)->mem, MEM_SOCKET, t->mtu_search, sizeof(*t->mtu_search));
	t->mtu_search = NULL;
}

size_t tcp_mtu_memory(const struct tcb *t)
{
	return t->mtu_search ? sizeof(*t->mtu_search) : 0;
}

void tcp_mtu_info(const struct tcb *t, struct stack_tcb_info *out)
{
	const struct mtu_search *m = t->mtu_search;

	out->mtu = t->mtu;
	if (!m)
		return;
	out->mtu_high = m->high;
	out->mtu_probe = m->probe;
}

void tcp_mtu_start(struct tcb *t)
{
	struct stack *s = tcb_stack(t);

	if (s->cfg.mtu_probing == STACK_MTU_PROBE_ALWAYS && t->mtu > MTU_BASE) {
		t->mtu = MTU_BASE;
		tcp_set_mss(t);
		search(t, s->now, false);
	} else if (enabled(t) && t->mtu < ceiling(t)) {
		search(t, s->now + SEARCH_AGAIN, false); /* another connection's finding */
	}
}

/* ---- down ---- */

void tcp_mtu_confirmed(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	struct stack_addr peer = pcb_remote_addr(&t->conn->sock.pcb);

	t->mtu_carried = true;
	if (t->mtu_search && t->mtu_search->black_hole && t->mtu < path_mtu_get(s, &peer))
		path_mtu_set(s, &peer, t->mtu);
}

/* The probe did not get through: too large, or it was an accident. */
static void failed(struct tcb *t)
{
	struct mtu_search *m = t->mtu_search;

	COUNT(tcb_stack(t), tcp_mtu_probes_lost);
	if (m->tries > 0) {
		m->tries--;
	} else {
		m->high = (uint16_t)(m->probe - 1);
		m->whole = false;
	}
	m->probe = 0;
	m->next = tcb_stack(t)->now + t->rtt.srtt; /* 8 SRTT: lost probes stay rare */
}

/*
 * So many timeouts in a row are no accident on a path that has carried full segments: `at_least`,
 * or more where segments are lost all the time. Those of the row itself tell nothing of that.
 */
static unsigned timeouts_needed(const struct tcb *t, unsigned at_least)
{
	uint32_t lost = t->conn->retransmissions - min_u32(t->conn->retransmissions, t->retries);
	uint64_t chance = 1000000;
	unsigned n = 0;

	for (; n < TIMEOUTS_MAX && chance >= CHANCE; n++)
		chance = chance * lost / max_u32(t->conn->data_out + lost, 1);
	return max_u32(n, at_least);
}

void tcp_mtu_timeout(struct tcb *t)
{
	struct stack *s = tcb_stack(t);
	uint32_t packet = min_u32(tcb_flight(t), t->mss) + overhead(t); /* as large as those that do not come through */
	uint32_t base = packet > MTU_BASE ? MTU_BASE : floor_of(t);
	unsigned needed = packet > MTU_BASE ? TIMEOUTS : TIMEOUTS_AT_BASE;

	if (t->mtu_search && t->mtu_search->probe)
		failed(t); /* nothing else came through either, so cwnd is reduced as always (RFC 4821 7.6.3) */
	if (t->mtu_carried)
		needed = timeouts_needed(t, needed + 1);
	if (!enabled(t) || packet <= base || t->retries < needed)
		return;
	COUNT(s, tcp_mtu_black_holes);
	t->mtu = (uint16_t)base;
	tcp_set_mss(t);
	search(t, s->now, true);
	if (t->mtu_search && t->mtu_carried)
		t->mtu_search->tries = PROBES - 1;
	t->mtu_carried = false;
}

void tcp_mtu_too_big(struct tcb *t, uint16_t mtu)
{
	struct stack_addr peer = pcb_remote_addr(&t->conn->sock.pcb);
	struct stack *s = tcb_stack(t);

	mtu = (uint16_t)max_u32(mtu, floor_of(t));
	if (t->mtu_search && mtu < t->mtu_search->high) {
		if (t->mtu_search->probe > mtu)
			failed(t);
		t->mtu_search->high = (uint16_t)max_u32(mtu, t->mtu);
		t->mtu_search->whole = true; /* the router has named it */
	}
	if (mtu >= t->mtu)
		return;
	t->mtu = mtu;
	tcp_set_mss(t);
	path_mtu_set(s, &peer, mtu);
	if (enabled(t))
		search(t, s->now + SEARCH_AGAIN, false);
	if (t->sack_on)
		scoreboard_all_lost(&t->board);
	else
		t->snd_rtx = t->snd_una;
	t->rtt_timing = false;
	tcb_dirty(t);
}

/* ---- up ---- */

/* The size to try now; 0: none. */
static uint16_t next_size(struct tcb *t)
{
	struct mtu_search *m = t->mtu_search;

	if (m->probe || m->len > 0 || tcb_stack(t)->now < m->next)
		return 0;
	if (m->high >= t->mtu + SEARCH_END || (m->whole && m->high > t->mtu))
		return m->whole ? m->high : (uint16_t)((m->high + t->mtu + 1) / 2);
	if (ceiling(t) > t->mtu)
		search(t, tcb_stack(t)->now + SEARCH_AGAIN, false);
	else
		tcp_mtu_free(t);
	return 0;
}

uint32_t tcp_mtu_probe_len(struct tcb *t)
{
	uint32_t len, behind = SEGMENTS_BEHIND * t->mss;
	uint16_t size;

	if (!t->sack_on || t->recovery != RECOVERY_OPEN || t->board.sacked > 0 || t->ecn_cwr)
		return 0;
	size = next_size(t);
	if (size == 0)
		return 0;
	len = tcp_mss_for(t, size);
	return len > t->mss && t->cc.cwnd >= len + behind && t->snd_wnd >= len + behind ? len : 0;
}

uint32_t tcp_mtu_probe_needs(const struct tcb *t, uint32_t len)
{
	return len + SEGMENTS_BEHIND * t->mss;
}

void tcp_mtu_probe_sent(struct tcb *t, seq32 seq, uint32_t len)
{
	struct mtu_search *m = t->mtu_search;

	COUNT(tcb_stack(t), tcp_mtu_probes);
	m->start = seq;
	m->len = len;
	m->probe = (uint16_t)(len + overhead(t));
}

void tcp_mtu_acked(struct tcb *t)
{
	struct stack_addr peer = pcb_remote_addr(&t->conn->sock.pcb);
	struct mtu_search *m = t->mtu_search;
	struct stack *s = tcb_stack(t);

	if (m->len == 0 || seq_lt(t->snd_una, seq_add(m->start, m->len)))
		return;
	m->len = 0;
	if (!m->probe)
		return;
	COUNT(s, tcp_mtu_probes_passed);
	t->mtu = m->probe;
	m->probe = 0;
	m->tries = 0;
	m->whole = false;
	tcp_set_mss(t);
	if (path_mtu_get(s, &peer) < t->mtu)
		path_mtu_set(s, &peer, t->mtu);
}

void tcp_mtu_lost(struct tcb *t)
{
	struct mtu_search *m = t->mtu_search;

	if (m->probe && scoreboard_is_lost(&t->board, m->start))
		failed(t);
}

bool tcp_mtu_excused(const struct tcb *t)
{
	const struct mtu_search *m = t->mtu_search;
	const struct sent *lost = scoreboard_first_lost(&t->board);

	return m && m->len > 0 && lost && seq_eq(lost->seq, m->start) && t->board.lost <= m->len &&
	       !(lost->flags & SENT_AGAIN);
}
