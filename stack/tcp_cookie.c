/*
 * SYN cookies (RFC 4987 3.6): when the half-open table is full, our initial sequence number
 * carries what the final ACK must bring back, and nothing is kept.
 *
 *   ISN = H1(connection) + (minute << 27 | MSS << 24 | H3(connection, peer's ISN, minute, MSS) << 12
 *                            | H2(connection, minute, MSS))
 *
 * with 5 bits of the minute, 3 bits of an index into a table of MSS values and 12 bits of each
 * keyed hash, so that a cookie is good for its connection, its MSS and about two minutes
 * (row S4). H2 alone tells a later segment of a connection whose first ones were lost: that
 * is dropped and not reset, because only the first one tells the peer's ISN.
 *
 * With timestamps, the low 6 bits of ours carry window scale, SACK and ECN; without them such
 * a connection has none of these.
 */
#include "tcp.h"

#define MINUTE SECONDS(64)
#define MINUTE_BITS 31u
#define HASH_BITS 0xfffu
#define OPTION_BITS 0x3fu
#define OPTION_SACK 0x10u
#define OPTION_ECN 0x20u
#define OPTION_NO_SCALE 0x0fu

static const uint16_t mss_values[8] = {128, 536, 1220, 1300, 1400, 1440, 1460, 8960};

struct cookie_input {
	struct stack_addr local, remote;
	uint16_t lport, rport;
	uint32_t irs, minute, mss;
};

static uint32_t hash(const struct stack *s, const struct pcb *p, seq32 irs, uint32_t minute, uint32_t mss)
{
	struct cookie_input in;

	memset(&in, 0, sizeof(in));
	in.local = pcb_local_addr(p);
	in.remote = pcb_remote_addr(p);
	in.lport = p->lport;
	in.rport = p->rport;
	in.irs = irs.v;
	in.minute = minute;
	in.mss = mss;
	return (uint32_t)keyed_hash(s->key_isn, &in, sizeof(in));
}

static uint32_t minute_now(const struct stack *s)
{
	return (uint32_t)(s->now / MINUTE) + 1; /* 0 marks H1 */
}

static uint32_t value(const struct stack *s, const struct pcb *p, seq32 irs, uint32_t minute, uint32_t mss)
{
	uint32_t first = hash(s, p, irs, minute, mss + 1) & HASH_BITS;
	uint32_t any = hash(s, p, seq_make(0), minute, mss + 1 + ARRAY_SIZE(mss_values)) & HASH_BITS;

	return (minute & MINUTE_BITS) << 27 | mss << 24 | first << 12 | any;
}

seq32 cookie_make(struct stack *s, struct half_open *h)
{
	uint32_t mss = 0;

	while (mss + 1 < ARRAY_SIZE(mss_values) && mss_values[mss + 1] <= h->mss)
		mss++;
	s->cookie_sent = s->now;
	COUNT(s, tcp_cookies_sent);
	return seq_make(hash(s, &h->pcb, seq_make(0), 0, 0) + value(s, &h->pcb, h->irs, minute_now(s), mss));
}

uint32_t cookie_timestamp(const struct stack *s, const struct half_open *h)
{
	uint32_t options = (h->ws_on ? h->snd_scale : OPTION_NO_SCALE) | (h->sack_ok ? OPTION_SACK : 0) |
			   (h->ecn_ok ? OPTION_ECN : 0);
	uint32_t ts = ts_now(s, tcp_ts_offset(s, &h->pcb)), carried = (ts & ~OPTION_BITS) | options;

	return carried > ts ? carried - OPTION_BITS - 1 : carried; /* never ahead of the clock */
}

/* What the acknowledged ISN is; *mss: what it carries. */
static enum cookie_verdict verdict(const struct stack *s, const struct pcb *p, seq32 irs, seq32 isn, uint16_t *mss)
{
	uint32_t carried = isn.v - hash(s, p, seq_make(0), 0, 0);
	uint32_t index = carried >> 24 & 7, age = (minute_now(s) - (carried >> 27)) & MINUTE_BITS;
	uint32_t differs = value(s, p, irs, minute_now(s) - age, index) ^ carried;

	*mss = mss_values[index];
	if (age > 1 || (differs & HASH_BITS))
		return COOKIE_BAD;
	return differs ? COOKIE_LATER_SEGMENT : COOKIE_GOOD;
}

enum cookie_verdict cookie_check(struct stack *s, const struct ip_info *ip, const struct tcp_segment *seg,
				 struct half_open *h)
{
	uint32_t options = seg->opt.ts_echo & OPTION_BITS;
	enum cookie_verdict v;

	if (s->cookie_sent == 0 || s->now - s->cookie_sent > 2 * MINUTE)
		return COOKIE_BAD;
	*h = (struct half_open){
		.pcb = {
			.lport = seg->dport, .rport = seg->sport,
			.kind = PCB_HALF, .state = TCP_SYN_RECEIVED,
		},
		.iss = seq_sub(seg->ack, 1), .irs = seq_sub(seg->seq, 1),
		.created_ms = to_ms(s->now),
		.retransmitted = true, /* when the SYN-ACK went out is not known */
	};
	pcb_set_local(&h->pcb, &ip->dst);
	pcb_set_remote(&h->pcb, &ip->src);
	v = verdict(s, &h->pcb, h->irs, h->iss, &h->mss);
	if (v != COOKIE_GOOD) {
		COUNT(s, tcp_cookies_bad);
		return v;
	}
	if (seg->opt.has_timestamp) { /* what was agreed on holds, whatever the configuration says by now */
		h->ts_on = true;
		h->ts_recent = seg->opt.ts_value;
		h->sack_ok = options & OPTION_SACK;
		h->ecn_ok = options & OPTION_ECN;
		h->ws_on = (options & OPTION_NO_SCALE) != OPTION_NO_SCALE;
		h->snd_scale = h->ws_on ? options & OPTION_NO_SCALE : 0;
		h->rcv_scale = h->ws_on ? s->cookie_scale & 15u : 0;
	}
	COUNT(s, tcp_cookies_good);
	return COOKIE_GOOD;
}
