/*
 * TCP headers and options (RFC 9293 3.1 and 3.2, RFC 7323 2 and 3, RFC 2018 3, RFC 7413 4.1.1).
 * A segment that parsed has its header inside the packet; each option in it was complete and
 * of the right length. The first option that is not ends option parsing (row T6).
 */
#include "../checksum.h"
#include "wire.h"

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WINDOW_SCALE = 3,
	OPT_SACK_PERMITTED = 4,
	OPT_SACK = 5,
	OPT_TIMESTAMP = 8,
	OPT_FASTOPEN = 34,
	OPT_EXPERIMENT = 254 /* RFC 6994: two bytes after the length say whose */
};
enum {
	LEN_MSS = 4,
	LEN_WINDOW_SCALE = 3,
	LEN_SACK_PERMITTED = 2,
	LEN_SACK_HEAD = 2,
	LEN_SACK_BLOCK = 8,
	LEN_TIMESTAMP = 10,
	LEN_FASTOPEN = 2,           /* without the cookie */
	LEN_FASTOPEN_EXPERIMENT = 4
};
#define FASTOPEN_EXPERIMENT 0xf989u
#define FASTOPEN_MIN 4u
#define WINDOW_SCALE_MAX 14u /* RFC 7323 2.3 */

static bool mss_parse(const uint8_t *p, size_t len, bool syn, struct tcp_options *out)
{
	if (len != LEN_MSS)
		return false;
	if (syn) { /* RFC 9293 3.2: only in a SYN; else ignored */
		out->has_mss = true;
		out->mss = load16(p + 2);
	}
	return true;
}

static bool window_scale_parse(const uint8_t *p, size_t len, bool syn, struct tcp_options *out)
{
	if (len != LEN_WINDOW_SCALE)
		return false;
	if (syn) { /* RFC 7323 2.2: MUST NOT count in a segment without SYN */
		out->has_window_scale = true;
		out->window_scale = (uint8_t)min_u32(p[2], WINDOW_SCALE_MAX);
	}
	return true;
}

static bool sack_parse(const uint8_t *p, size_t len, bool syn, struct tcp_options *out)
{
	size_t count = (len - LEN_SACK_HEAD) / LEN_SACK_BLOCK;

	if (count == 0 || (len - LEN_SACK_HEAD) % LEN_SACK_BLOCK != 0)
		return false;
	if (syn)
		return true;
	out->sack_count = (uint8_t)min_size(count, ARRAY_SIZE(out->sack));
	for (size_t i = 0; i < out->sack_count; i++) {
		const uint8_t *block = p + LEN_SACK_HEAD + i * LEN_SACK_BLOCK;

		out->sack[i].left = seq_make(load32(block));
		out->sack[i].right = seq_make(load32(block + 4));
	}
	return true;
}

static bool timestamp_parse(const uint8_t *p, size_t len, struct tcp_options *out)
{
	if (len != LEN_TIMESTAMP)
		return false;
	out->has_timestamp = true;
	out->ts_value = load32(p + 2);
	out->ts_echo = load32(p + 6);
	return true;
}

/* A cookie that is not as RFC 7413 4.1.1 has it is passed over, as an option unknown to us. */
static void fastopen_parse(const uint8_t *cookie, size_t len, bool experimental, struct tcp_options *out)
{
	if (len % 2 != 0 || (len != 0 && len < FASTOPEN_MIN) || len > TCP_FASTOPEN_MAX)
		return;
	out->has_fastopen = true;
	out->fastopen_experimental = experimental;
	out->fastopen_len = (uint8_t)len;
	memcpy(out->fastopen, cookie, len);
}

/* One option of `len` bytes, 2 or more, that are all there. False: malformed. */
static bool option_parse(const uint8_t *p, size_t len, bool syn, struct tcp_options *out)
{
	switch (p[0]) {
	case OPT_MSS:
		return mss_parse(p, len, syn, out);
	case OPT_WINDOW_SCALE:
		return window_scale_parse(p, len, syn, out);
	case OPT_SACK_PERMITTED:
		if (len == LEN_SACK_PERMITTED)
			out->sack_permitted = syn;
		return len == LEN_SACK_PERMITTED;
	case OPT_SACK:
		return sack_parse(p, len, syn, out);
	case OPT_TIMESTAMP:
		return timestamp_parse(p, len, out);
	case OPT_FASTOPEN:
		if (syn)
			fastopen_parse(p + LEN_FASTOPEN, len - LEN_FASTOPEN, false, out);
		return true;
	case OPT_EXPERIMENT:
		if (syn && len >= LEN_FASTOPEN_EXPERIMENT && load16(p + 2) == FASTOPEN_EXPERIMENT)
			fastopen_parse(p + LEN_FASTOPEN_EXPERIMENT, len - LEN_FASTOPEN_EXPERIMENT, true, out);
		return true;
	}
	return true; /* RFC 9293 3.2, MUST-6: an unknown option is skipped */
}

/* What most segments have, as RFC 7323 appendix A lays it out: NOP, NOP, timestamps. */
static bool only_timestamp(const uint8_t *p, size_t len)
{
	static const uint8_t head[4] = {OPT_NOP, OPT_NOP, OPT_TIMESTAMP, LEN_TIMESTAMP};

	return len == 2 + LEN_TIMESTAMP && memcmp(p, head, sizeof(head)) == 0;
}

void tcp_options_parse(const uint8_t *p, size_t len, bool syn, struct tcp_options *out)
{
	/* What has a flag or a count needs no value without it. */
	memset(out, 0, offsetof(struct tcp_options, sack));
	if (only_timestamp(p, len)) {
		timestamp_parse(p + 2, LEN_TIMESTAMP, out);
		return;
	}
	while (len > 0 && p[0] != OPT_END) {
		size_t size = 1;

		if (p[0] != OPT_NOP) {
			/* RFC 9293 3.2, MUST-7: be ready for an illegal length, never loop on it. */
			if (len < 2 || p[1] < 2 || p[1] > len)
				return;
			size = p[1];
			if (!option_parse(p, size, syn, out))
				return;
		}
		p += size;
		len -= size;
	}
}

const char *tcp_parse(const uint8_t *p, size_t len, const struct stack_addr *src,
		      const struct stack_addr *dst, bool csum_good, struct tcp_segment *out)
{
	size_t header;

	if (len < TCP_HEADER)
		return "segment shorter than a TCP header";
	header = (p[12] >> 4) * 4u;
	if (header < TCP_HEADER || header > len)
		return "TCP data offset";
	if (!csum_good) {
		uint64_t sum = checksum_pseudo(src, dst, IP_PROTO_TCP, len);

		if (checksum_finish(checksum_add(sum, p, len)) != 0)
			return wire_bad_checksum;
	}
	out->sport = load16(p);
	out->dport = load16(p + 2);
	out->seq = seq_make(load32(p + 4));
	out->ack = seq_make(load32(p + 8));
	out->flags = p[13];
	out->window = load16(p + 14);
	out->urgent = load16(p + 18);
	tcp_options_parse(p + TCP_HEADER, header - TCP_HEADER, out->flags & TCP_SYN, &out->opt);
	out->data = p + header;
	out->len = (uint32_t)(len - header);
	out->gso_size = 0;
	return NULL;
}

/*
 * ---- writing: each option is padded with NOPs in front to a multiple of 4, and in the order
 * that Linux has; SACK-permitted takes the place of the padding of the timestamps after it, and
 * the NOPs of Fast Open, which is the last, follow it ----
 */

/* Without padding; 0: no such option. */
static size_t fastopen_size(const struct tcp_options *o)
{
	if (!o->has_fastopen)
		return 0;
	return (size_t)(o->fastopen_experimental ? LEN_FASTOPEN_EXPERIMENT : LEN_FASTOPEN) + o->fastopen_len;
}

static size_t fixed_options_size(const struct tcp_options *o)
{
	size_t size = 0;

	size += o->has_mss ? LEN_MSS : 0;
	size += o->has_timestamp ? 2 + LEN_TIMESTAMP : 0;
	size += o->sack_permitted && !o->has_timestamp ? 2 + LEN_SACK_PERMITTED : 0;
	size += o->has_window_scale ? 1 + LEN_WINDOW_SCALE : 0;
	size += (fastopen_size(o) + 3) & ~(size_t)3;
	return size;
}

/* As many SACK blocks as there is room for. */
static size_t sack_fit(const struct tcp_options *o)
{
	size_t room = TCP_OPTIONS_MAX - fixed_options_size(o);

	if (o->sack_count == 0 || room < 2 + LEN_SACK_HEAD + LEN_SACK_BLOCK)
		return 0;
	return min_size(o->sack_count, (room - 2 - LEN_SACK_HEAD) / LEN_SACK_BLOCK);
}

size_t tcp_header_size(const struct tcp_segment *s)
{
	size_t blocks = sack_fit(&s->opt);
	size_t sack = blocks ? 2 + LEN_SACK_HEAD + blocks * LEN_SACK_BLOCK : 0;

	return TCP_HEADER + fixed_options_size(&s->opt) + sack;
}

/* Kind and length; returns where the value goes. */
static uint8_t *option_head(uint8_t *p, uint8_t kind, size_t len)
{
	*p++ = kind;
	*p++ = (uint8_t)len;
	return p;
}

/* The same, padded to a multiple of 4. */
static uint8_t *option_begin(uint8_t *p, uint8_t kind, size_t len)
{
	for (size_t pad = (4 - len % 4) % 4; pad > 0; pad--)
		*p++ = OPT_NOP;
	return option_head(p, kind, len);
}

static void sack_write(uint8_t *p, const struct tcp_options *o)
{
	size_t blocks = sack_fit(o);

	if (blocks == 0)
		return;
	p = option_begin(p, OPT_SACK, LEN_SACK_HEAD + blocks * LEN_SACK_BLOCK);
	for (size_t i = 0; i < blocks; i++, p += LEN_SACK_BLOCK) {
		store32(p, o->sack[i].left.v);
		store32(p + 4, o->sack[i].right.v);
	}
}

static void fastopen_write(uint8_t *p, const struct tcp_options *o)
{
	size_t size = fastopen_size(o);

	if (size == 0)
		return;
	p = option_head(p, o->fastopen_experimental ? OPT_EXPERIMENT : OPT_FASTOPEN, size);
	if (o->fastopen_experimental) {
		store16(p, FASTOPEN_EXPERIMENT);
		p += 2;
	}
	memcpy(p, o->fastopen, o->fastopen_len);
	memset(p + o->fastopen_len, OPT_NOP, (4 - size % 4) % 4);
}

static void options_write(uint8_t *p, const struct tcp_options *o)
{
	if (o->has_mss) {
		p = option_begin(p, OPT_MSS, LEN_MSS);
		store16(p, o->mss);
		p += 2;
	}
	if (o->sack_permitted && !o->has_timestamp)
		p = option_begin(p, OPT_SACK_PERMITTED, LEN_SACK_PERMITTED);
	if (o->has_timestamp) {
		if (o->sack_permitted)
			p = option_head(option_head(p, OPT_SACK_PERMITTED, LEN_SACK_PERMITTED),
					OPT_TIMESTAMP, LEN_TIMESTAMP);
		else
			p = option_begin(p, OPT_TIMESTAMP, LEN_TIMESTAMP);
		store32(p, o->ts_value);
		store32(p + 4, o->ts_echo);
		p += 8;
	}
	if (o->has_window_scale) {
		p = option_begin(p, OPT_WINDOW_SCALE, LEN_WINDOW_SCALE);
		*p++ = o->window_scale;
	}
	fastopen_write(p, o); /* in a SYN, which has no SACK blocks */
	sack_write(p, o);
}

void tcp_write(uint8_t *p, const struct tcp_segment *s, uint16_t checksum)
{
	store16(p, s->sport);
	store16(p + 2, s->dport);
	store32(p + 4, s->seq.v);
	store32(p + 8, s->ack.v);
	p[12] = (uint8_t)(tcp_header_size(s) / 4 << 4);
	p[13] = s->flags;
	store16(p + 14, s->window);
	store16(p + 16, checksum);
	store16(p + 18, s->urgent);
	options_write(p + TCP_HEADER, &s->opt);
}

void tcp_cut(uint8_t *p, uint32_t offset, bool last)
{
	unsigned flags = p[13];

	if (offset > 0)
		flags &= ~TCP_CWR; /* RFC 3168 6.1.2: once in a window of data */
	if (!last)
		flags &= ~(TCP_FIN | TCP_PSH);
	p[13] = (uint8_t)flags;
	store32(p + 4, load32(p + 4) + offset);
}
