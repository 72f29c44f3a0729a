/*
 * Wire formats: what is written is read back, each malformed header is refused by the check
 * that is meant for it, and nothing is read past the end (buffers are as large as their
 * contents, so that the address sanitizer sees it).
 */
#include "stack/checksum.h"
#include "stack/wire/wire.h"
#include "suite.h"

static const uint8_t us4[4] = {198, 18, 0, 2}, peer4[4] = {198, 18, 0, 1};

/* ---- helpers ---- */

/* A copy on the heap of exactly this size. */
static uint8_t *exact(const void *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (len > 0)
		memcpy(copy, p, len);
	return copy;
}

static bool addr_same(const struct stack_addr *a, const uint8_t *four)
{
	struct stack_addr b = stack_addr_v4(four);

	return memcmp(a, &b, sizeof(b)) == 0;
}

/* ---- Ethernet and ARP ---- */

START_TEST(ethernet_round_trip)
{
	struct eth_header in = {{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}, ETH_TYPE_ARP}, out;
	uint8_t p[ETH_HEADER];

	eth_write(p, &in);
	ck_assert_ptr_null(eth_parse(p, sizeof(p), &out));
	ck_assert_mem_eq(out.dst, in.dst, 6);
	ck_assert_mem_eq(out.src, in.src, 6);
	ck_assert_uint_eq(out.type, in.type);
	for (size_t len = 0; len < sizeof(p); len++)
		ck_assert_ptr_nonnull(eth_parse(p, len, &out));
}
END_TEST

static void arp_good(uint8_t *p)
{
	struct arp_packet a = {
		.op = ARP_REQUEST, .sender_mac = {2, 0, 0, 0, 0, 9}, .target_mac = {2, 0, 0, 0, 0, 8},
		.sender = stack_addr_v4(peer4), .target = stack_addr_v4(us4),
	};

	arp_write(p, &a);
}

START_TEST(arp_round_trip)
{
	uint8_t p[ARP_SIZE];
	struct arp_packet out;

	arp_good(p);
	ck_assert_ptr_null(arp_parse(p, sizeof(p), &out));
	ck_assert_uint_eq(out.op, ARP_REQUEST);
	ck_assert(addr_same(&out.sender, peer4) && addr_same(&out.target, us4));
	ck_assert_uint_eq(out.sender_mac[5], 9);
	ck_assert_uint_eq(out.target_mac[5], 8);
}
END_TEST

/* Row E2: one byte of a good packet changed. */
START_TEST(row_E2_arp_malformed)
{
	static const struct { size_t at; uint8_t value; } change[] = {
		{0, 1}, {1, 6}, {2, 0x86}, {3, 1}, {4, 5}, {5, 16}, {6, 1}, {7, 0}, {7, 3},
		{8, 1}, {8, 0xff}, {14, 0}, {14, 127}, {14, 224}, {14, 239}, {14, 255},
	};
	struct arp_packet out;
	uint8_t p[ARP_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(change); i++) {
		arp_good(p);
		p[change[i].at] = change[i].value;
		ck_assert_msg(arp_parse(p, sizeof(p), &out), "byte %zu", change[i].at);
	}
	arp_good(p);
	memset(p + 8, 0, 6);
	ck_assert_ptr_nonnull(arp_parse(p, sizeof(p), &out));
	for (size_t len = 0; len < ARP_SIZE; len++) {
		uint8_t *cut = exact(p, len);

		ck_assert_ptr_nonnull(arp_parse(cut, len, &out));
		free(cut);
	}
}
END_TEST

START_TEST(arp_probe_has_no_sender)
{
	uint8_t p[ARP_SIZE];
	struct arp_packet out;

	arp_good(p);
	memset(p + 14, 0, 4);
	ck_assert_ptr_null(arp_parse(p, sizeof(p), &out));
	p[7] = ARP_REPLY;
	ck_assert_ptr_nonnull(arp_parse(p, sizeof(p), &out));
}
END_TEST

/* ---- IPv4 ---- */

static struct ip4_header ip4_good(void)
{
	return (struct ip4_header){
		.src = stack_addr_v4(peer4), .dst = stack_addr_v4(us4), .header_len = 20, .total_len = 60,
		.id = 0xabcd, .fragment_offset = 1480, .more_fragments = true, .ttl = 63, .proto = 17, .tos = 0x10,
	};
}

static void ip4_sum(uint8_t *p, size_t header_len)
{
	store16(p + 10, 0);
	store16(p + 10, checksum_finish(checksum_add(0, p, header_len)));
}

START_TEST(ip4_round_trip)
{
	struct ip4_header in = ip4_good(), out;
	uint8_t p[64] = {0};

	ip4_write(p, &in);
	ck_assert_ptr_null(ip4_parse(p, sizeof(p), &out)); /* 4 bytes of padding are fine */
	ck_assert(addr_same(&out.src, peer4) && addr_same(&out.dst, us4));
	ck_assert_uint_eq(out.header_len, 20);
	ck_assert_uint_eq(out.total_len, 60);
	ck_assert_uint_eq(out.id, 0xabcd);
	ck_assert_uint_eq(out.fragment_offset, 1480);
	ck_assert(out.more_fragments && !out.dont_fragment);
	ck_assert_uint_eq(out.ttl, 63);
	ck_assert_uint_eq(out.proto, 17);
	ck_assert_uint_eq(out.tos, 0x10);
}
END_TEST

START_TEST(row_I1_ip4_malformed)
{
	static const struct { size_t at; uint8_t value; } change[] = {
		{0, 0x65},           /* version */
		{0, 0x44}, {0, 0x40}, {0, 0x4f}, /* header length below 5, above what is there */
		{3, 19}, {3, 0},     /* total length below the header's */
		{3, 61}, {2, 0xff},  /* above the packet's */
		{8, 0},              /* TTL */
	};
	struct ip4_header in = ip4_good(), out;
	uint8_t p[60];

	for (size_t i = 0; i < ARRAY_SIZE(change); i++) {
		const char *wrong;
		size_t len = i == 3 ? 44 : 60;

		memset(p, 0, sizeof(p));
		in.total_len = (uint16_t)len;
		ip4_write(p, &in);
		p[change[i].at] = change[i].value;
		ip4_sum(p, 20);
		wrong = ip4_parse(p, len, &out);
		ck_assert_msg(wrong && wrong != wire_bad_checksum, "change %zu: %s", i, wrong ? wrong : "accepted");
	}
	for (size_t len = 0; len < IP4_HEADER; len++) {
		uint8_t *cut = exact(p, len);

		ck_assert_ptr_nonnull(ip4_parse(cut, len, &out));
		free(cut);
	}
}
END_TEST

START_TEST(row_I1_ip4_bit_flips)
{
	struct ip4_header in = ip4_good(), out;
	bool refused = true;
	uint8_t p[60] = {0};

	ip4_write(p, &in);
	for (size_t bit = 0; bit < IP4_HEADER * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		refused &= ip4_parse(p, sizeof(p), &out) != NULL;
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	ck_assert(refused);
	p[10] ^= 1;
	ck_assert_ptr_eq(ip4_parse(p, sizeof(p), &out), wire_bad_checksum);
}
END_TEST

START_TEST(ip4_quoted_may_be_cut_short)
{
	struct ip4_header in = ip4_good(), out;
	uint8_t p[28] = {0};

	ip4_write(p, &in);
	ck_assert_ptr_nonnull(ip4_parse(p, 28, &out));
	ck_assert_ptr_null(ip4_parse_quoted(p, 28, &out));
	ck_assert_ptr_nonnull(ip4_parse_quoted(p, 27, &out));
	ck_assert_ptr_nonnull(ip4_parse_quoted(p, 19, &out));
	p[0] = 0x46;
	ck_assert_ptr_nonnull(ip4_parse_quoted(p, 28, &out));
}
END_TEST

START_TEST(ip4_made_whole)
{
	struct ip4_header in = ip4_good(), out;
	uint8_t p[40] = {0};

	in.dont_fragment = true;
	ip4_write(p, &in);
	ip4_make_whole(p, 40, 3);
	ck_assert_ptr_null(ip4_parse(p, sizeof(p), &out));
	ck_assert_uint_eq(out.total_len, 40);
	ck_assert_uint_eq(out.id, 0xabcd + 3);
	ck_assert(out.dont_fragment && !out.more_fragments && out.fragment_offset == 0);
}
END_TEST

/* Options behind a 20-byte header. */
static enum ip4_option_result options(const uint8_t *bytes, size_t len, uint8_t *pointer)
{
	uint8_t *p = malloc(IP4_HEADER + len);
	enum ip4_option_result result;

	memset(p, 0, IP4_HEADER);
	memcpy(p + IP4_HEADER, bytes, len);
	result = ip4_check_options(p, IP4_HEADER + len, pointer);
	free(p);
	return result;
}
#define OPTIONS(pointer, ...) options((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), pointer)

START_TEST(row_I3_ip4_options)
{
	uint8_t at = 0;

	ck_assert_int_eq(OPTIONS(&at, 1, 1, 1, 0), IP4_OPTIONS_GOOD);
	ck_assert_int_eq(OPTIONS(&at, 7, 7, 4, 0, 0, 0, 0, 0), IP4_OPTIONS_GOOD); /* record route */
	ck_assert_int_eq(OPTIONS(&at, 0, 131, 3, 4), IP4_OPTIONS_GOOD); /* behind the end */
	ck_assert_int_eq(OPTIONS(&at, 1, 131, 3, 4), IP4_OPTIONS_SOURCE_ROUTE);
	ck_assert_uint_eq(at, 21);
	ck_assert_int_eq(OPTIONS(&at, 137, 7, 4, 1, 2, 3, 4, 0), IP4_OPTIONS_SOURCE_ROUTE);
	ck_assert_uint_eq(at, 20);
	ck_assert_int_eq(OPTIONS(&at, 7, 0, 0, 0), IP4_OPTIONS_BAD); /* would loop */
	ck_assert_uint_eq(at, 21);
	ck_assert_int_eq(OPTIONS(&at, 7, 1, 0, 0), IP4_OPTIONS_BAD);
	ck_assert_int_eq(OPTIONS(&at, 7, 5, 0, 0), IP4_OPTIONS_BAD); /* past the header */
	ck_assert_int_eq(OPTIONS(&at, 1, 1, 1, 7), IP4_OPTIONS_BAD); /* no length byte */
	ck_assert_uint_eq(at, 23);
}
END_TEST

START_TEST(row_I3_ip4_options_at_random)
{
	uint64_t seed = 7;
	unsigned seen[3] = {0};

	for (int round = 0; round < 50000; round++) {
		uint8_t bytes[40], at = 0;
		size_t len = 4 * (1 + test_below(&seed, 10));
		enum ip4_option_result result;

		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(test_below(&seed, 4) ? test_below(&seed, 8) : test_random(&seed));
		result = options(bytes, len, &at);
		if (result != IP4_OPTIONS_GOOD && (at < IP4_HEADER || at >= IP4_HEADER + len))
			ck_abort_msg("pointer outside the options");
		seen[result]++;
	}
	ck_assert(seen[IP4_OPTIONS_GOOD] > 0 && seen[IP4_OPTIONS_BAD] > 0 && seen[IP4_OPTIONS_SOURCE_ROUTE] > 0);
}
END_TEST

/* ---- ICMP ---- */

START_TEST(icmp_round_trip)
{
	struct icmp4_header in = {.type = ICMP_ECHO, .code = 0, .rest = 0x12345678}, out;
	uint8_t p[ICMP_HEADER + 5];

	memcpy(p + ICMP_HEADER, "hello", 5);
	icmp4_write(p, &in, p + ICMP_HEADER, 5);
	ck_assert_ptr_null(icmp4_parse(p, sizeof(p), false, &out));
	ck_assert_uint_eq(out.type, ICMP_ECHO);
	ck_assert_uint_eq(out.rest, 0x12345678);
	p[12] ^= 1;
	ck_assert_ptr_eq(icmp4_parse(p, sizeof(p), false, &out), wire_bad_checksum);
	ck_assert_ptr_null(icmp4_parse(p, sizeof(p), true, &out));
}
END_TEST

START_TEST(row_C1_icmp_short)
{
	static const uint8_t zeros[ICMP_HEADER];
	struct icmp4_header out;

	for (size_t len = 0; len < ICMP_HEADER; len++) {
		uint8_t *cut = exact(zeros, len);

		ck_assert_ptr_nonnull(icmp4_parse(cut, len, true, &out));
		free(cut);
	}
}
END_TEST

/* ---- UDP ---- */

static void udp_good(uint8_t *p, size_t len, const struct stack_addr *src, const struct stack_addr *dst)
{
	struct udp_header h = {.sport = 5000, .dport = 7, .len = (uint16_t)len};
	uint64_t sum = checksum_pseudo(src, dst, IP_PROTO_UDP, len);

	memset(p + UDP_HEADER, 'x', len - UDP_HEADER);
	udp_write(p, &h, 0);
	udp_write(p, &h, checksum_finish(checksum_add(sum, p, len)));
}

START_TEST(udp_round_trip)
{
	struct stack_addr src = stack_addr_v4(peer4), dst = stack_addr_v4(us4);
	struct udp_header out;
	uint8_t p[30] = {0};

	udp_good(p, 27, &src, &dst);
	ck_assert_ptr_null(udp_parse(p, sizeof(p), &src, &dst, false, &out));
	ck_assert_uint_eq(out.sport, 5000);
	ck_assert_uint_eq(out.dport, 7);
	ck_assert_uint_eq(out.len, 27);
}
END_TEST

START_TEST(row_U1_udp_malformed)
{
	struct stack_addr src = stack_addr_v4(peer4), dst = stack_addr_v4(us4);
	struct udp_header out;
	uint8_t p[27];

	udp_good(p, sizeof(p), &src, &dst);
	for (size_t len = 0; len < UDP_HEADER; len++) {
		uint8_t *cut = exact(p, len);

		ck_assert_ptr_nonnull(udp_parse(cut, len, &src, &dst, true, &out));
		free(cut);
	}
	for (uint16_t len = 0; len < 60; len++) {
		bool fits = len >= UDP_HEADER && len <= sizeof(p);

		udp_good(p, sizeof(p), &src, &dst);
		store16(p + 4, len);
		ck_assert_int_eq(udp_parse(p, sizeof(p), &src, &dst, true, &out) == NULL, fits);
	}
}
END_TEST

START_TEST(row_U1_udp_checksum)
{
	struct stack_addr src = stack_addr_v4(peer4), dst = stack_addr_v4(us4), other = dst;
	struct stack_addr v6 = {{0x20, 0x01, 0x0d, 0xb8}};
	struct udp_header out;
	uint8_t p[27];

	udp_good(p, sizeof(p), &src, &dst);
	other.byte[15]++;
	ck_assert_ptr_eq(udp_parse(p, sizeof(p), &src, &other, false, &out), wire_bad_checksum);
	p[20] ^= 4;
	ck_assert_ptr_eq(udp_parse(p, sizeof(p), &src, &dst, false, &out), wire_bad_checksum);
	ck_assert_ptr_null(udp_parse(p, sizeof(p), &src, &dst, true, &out));
	store16(p + 6, 0); /* left out */
	ck_assert_ptr_null(udp_parse(p, sizeof(p), &src, &dst, false, &out));
	ck_assert_ptr_eq(udp_parse(p, sizeof(p), &v6, &v6, false, &out), wire_bad_checksum);
	/* not even where a checksum of 0 would be the right one: it is sent as 0xffff */
	udp_good(p, sizeof(p), &v6, &v6);
	store16(p + 8, (uint16_t)((load16(p + 8) + load16(p + 6)) % 0xffff));
	store16(p + 6, 0xffff);
	ck_assert_ptr_null(udp_parse(p, sizeof(p), &v6, &v6, false, &out));
	store16(p + 6, 0);
	ck_assert_ptr_eq(udp_parse(p, sizeof(p), &v6, &v6, false, &out), wire_bad_checksum);
}
END_TEST

START_TEST(quoted_ports_need_eight_bytes)
{
	const uint8_t p[8] = {0x13, 0x88, 0, 7, 1, 2, 3, 4};
	struct quoted_ports q;

	ck_assert(!quoted_parse(p, 7, &q));
	ck_assert(quoted_parse(p, 8, &q));
	ck_assert_uint_eq(q.sport, 5000);
	ck_assert_uint_eq(q.dport, 7);
	ck_assert_uint_eq(q.seq.v, 0x01020304);
}
END_TEST

/* ---- TCP ---- */

static struct stack_addr tcp_src, tcp_dst;

/* Writes the segment with a good checksum in front of `payload` bytes; returns the length. */
static size_t tcp_good(uint8_t *p, const struct tcp_segment *seg, size_t payload)
{
	size_t header = tcp_header_size(seg), len = header + payload;
	uint64_t sum;

	tcp_src = stack_addr_v4(peer4);
	tcp_dst = stack_addr_v4(us4);
	sum = checksum_pseudo(&tcp_src, &tcp_dst, IP_PROTO_TCP, len);
	memset(p + header, 'y', payload);
	tcp_write(p, seg, 0);
	tcp_write(p, seg, checksum_finish(checksum_add(sum, p, len)));
	return len;
}

/* Combinations of all options, by bits. */
static struct tcp_segment tcp_example(unsigned bits)
{
	struct tcp_segment seg = {
		.sport = 4000, .dport = 80, .seq = {0xfffffff0}, .ack = {0x01020304}, .window = 0xfedc,
		.urgent = 0x1234, .flags = TCP_ACK | TCP_PSH | TCP_URG,
	};

	if (bits & 1) {
		seg.flags |= TCP_SYN;
		seg.opt.has_mss = bits & 2;
		seg.opt.mss = 1460;
		seg.opt.has_window_scale = bits & 4;
		seg.opt.window_scale = 7;
		seg.opt.sack_permitted = bits & 8;
	} else {
		seg.opt.sack_count = (uint8_t)(bits >> 1 & 3);
		for (unsigned i = 0; i < seg.opt.sack_count; i++) {
			seg.opt.sack[i].left = seq_make(1000 * i);
			seg.opt.sack[i].right = seq_make(1000 * i + 500);
		}
	}
	seg.opt.has_timestamp = bits & 16;
	seg.opt.ts_value = 0xa1b2c3d4;
	seg.opt.ts_echo = 0x11223344;
	return seg;
}

static void options_same(const struct tcp_options *a, const struct tcp_options *b)
{
	ck_assert_int_eq(a->has_mss, b->has_mss);
	ck_assert(!a->has_mss || a->mss == b->mss);
	ck_assert_int_eq(a->has_window_scale, b->has_window_scale);
	ck_assert(!a->has_window_scale || a->window_scale == b->window_scale);
	ck_assert_int_eq(a->sack_permitted, b->sack_permitted);
	ck_assert_int_eq(a->has_timestamp, b->has_timestamp);
	ck_assert(!a->has_timestamp || (a->ts_value == b->ts_value && a->ts_echo == b->ts_echo));
	ck_assert_uint_eq(a->sack_count, b->sack_count);
	ck_assert_mem_eq(a->sack, b->sack, a->sack_count * sizeof(a->sack[0]));
}

START_TEST(tcp_round_trip)
{
	for (unsigned bits = 0; bits < 32; bits++) {
		struct tcp_segment in = tcp_example(bits), out;
		uint8_t p[100];
		size_t len = tcp_good(p, &in, 9);

		ck_assert_uint_eq(tcp_header_size(&in) % 4, 0);
		ck_assert_ptr_null(tcp_parse(p, len, &tcp_src, &tcp_dst, false, &out));
		ck_assert_uint_eq(out.sport, 4000);
		ck_assert_uint_eq(out.dport, 80);
		ck_assert(seq_eq(out.seq, in.seq) && seq_eq(out.ack, in.ack));
		ck_assert_uint_eq(out.flags, in.flags);
		ck_assert_uint_eq(out.window, 0xfedc);
		ck_assert_uint_eq(out.urgent, 0x1234);
		ck_assert_uint_eq(out.len, 9);
		ck_assert_uint_eq(out.data[8], 'y');
		options_same(&in.opt, &out.opt);
	}
}
END_TEST

START_TEST(tcp_sack_blocks_fit)
{
	struct tcp_segment seg = {.flags = TCP_ACK, .opt = {.sack_count = 4}};

	ck_assert_uint_eq(tcp_header_size(&seg), 20 + 36);
	seg.opt.has_timestamp = true; /* RFC 2018 3: then three */
	ck_assert_uint_eq(tcp_header_size(&seg), 60);
}
END_TEST

START_TEST(row_T6_tcp_data_offset)
{
	struct tcp_segment in = tcp_example(0), out;
	uint8_t p[60];
	size_t len = tcp_good(p, &in, 10);

	for (unsigned words = 0; words < 16; words++) {
		p[12] = (uint8_t)(words << 4);
		ck_assert_int_eq(tcp_parse(p, len, &tcp_src, &tcp_dst, true, &out) == NULL,
				 words >= 5 && words * 4 <= len);
	}
	for (size_t n = 0; n < TCP_HEADER; n++) {
		uint8_t *cut = exact(p, n);

		ck_assert_ptr_nonnull(tcp_parse(cut, n, &tcp_src, &tcp_dst, true, &out));
		free(cut);
	}
}
END_TEST

START_TEST(row_T15_tcp_bit_flips)
{
	struct tcp_segment in = tcp_example(31), out;
	uint8_t p[100];
	size_t len = tcp_good(p, &in, 20);
	bool refused = true;

	for (size_t bit = 0; bit < len * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		refused &= tcp_parse(p, len, &tcp_src, &tcp_dst, false, &out) != NULL;
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	ck_assert(refused);
	tcp_dst.byte[15]++; /* wrong pseudo header */
	ck_assert_ptr_eq(tcp_parse(p, len, &tcp_src, &tcp_dst, false, &out), wire_bad_checksum);
}
END_TEST

static struct tcp_options parsed(const uint8_t *bytes, size_t len, bool syn)
{
	uint8_t *p = exact(bytes, len);
	struct tcp_options out;

	memset(&out, 0xa5, sizeof(out));
	tcp_options_parse(p, len, syn, &out);
	free(p);
	return out;
}
#define PARSED(syn, ...) parsed((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), syn)

START_TEST(row_T6_tcp_options_malformed)
{
	/* A good timestamp option comes behind: it is not seen once a malformed one ended parsing. */
#define TS 8, 10, 1, 2, 3, 4, 5, 6, 7, 8
	ck_assert(PARSED(true, TS).has_timestamp);
	ck_assert(PARSED(true, 1, 1, TS).has_timestamp);
	ck_assert(PARSED(true, 99, 4, 0, 0, TS).has_timestamp); /* unknown: skipped */
	ck_assert(!PARSED(true, 0, TS).has_timestamp);
	ck_assert(!PARSED(true, 99, 0, TS).has_timestamp);
	ck_assert(!PARSED(true, 99, 1, TS).has_timestamp);
	ck_assert(!PARSED(true, 99, 13, TS).has_timestamp); /* past the end */
	ck_assert(!PARSED(true, 2, 3, 1, TS).has_timestamp);
	ck_assert(!PARSED(true, 3, 2, TS).has_timestamp);
	ck_assert(!PARSED(true, 4, 3, 1, TS).has_timestamp);
	ck_assert(!PARSED(true, 5, 2, TS).has_timestamp);
	ck_assert(!PARSED(true, 5, 9, 1, 2, 3, 4, 5, 6, 7, TS).has_timestamp);
	ck_assert(!PARSED(true, 8, 9, 1, 2, 3, 4, 5, 6, 7).has_timestamp);
	ck_assert(!PARSED(true, 1, 8).has_timestamp); /* no length byte */
#undef TS
}
END_TEST

START_TEST(tcp_options_only_where_they_count)
{
	ck_assert(PARSED(true, 2, 4, 5, 0xb4).has_mss);
	ck_assert_uint_eq(PARSED(true, 2, 4, 5, 0xb4).mss, 1460);
	ck_assert(!PARSED(false, 2, 4, 5, 0xb4).has_mss);
	ck_assert(PARSED(true, 3, 3, 5).has_window_scale);
	ck_assert(!PARSED(false, 3, 3, 5).has_window_scale); /* row T10 */
	ck_assert_uint_eq(PARSED(true, 3, 3, 15).window_scale, 14);
	ck_assert_uint_eq(PARSED(true, 3, 3, 255).window_scale, 14);
	ck_assert(PARSED(true, 4, 2).sack_permitted);
	ck_assert(!PARSED(false, 4, 2).sack_permitted);
	ck_assert_uint_eq(PARSED(false, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2).sack_count, 1);
	ck_assert_uint_eq(PARSED(true, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2).sack_count, 0);
}
END_TEST

START_TEST(row_T6_tcp_options_at_random)
{
	uint64_t seed = 11;
	uint8_t bytes[TCP_OPTIONS_MAX];
	unsigned with_timestamp = 0;
	bool good = true;

	for (int round = 0; round < 100000; round++) {
		size_t len = test_below(&seed, TCP_OPTIONS_MAX + 1);
		struct tcp_options o;

		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(test_below(&seed, 3) ? test_below(&seed, 12) : test_random(&seed));
		o = parsed(bytes, len, round % 2);
		good &= o.sack_count <= 4 && o.window_scale <= 14;
		with_timestamp += o.has_timestamp;
	}
	ck_assert(good);
	ck_assert_uint_gt(with_timestamp, 0);
}
END_TEST

START_TEST(tcp_cut_in_pieces)
{
	struct tcp_segment in = {.seq = {0xffffff00}, .flags = TCP_ACK | TCP_FIN | TCP_PSH | TCP_CWR}, out;
	uint8_t p[20];

	tcp_write(p, &in, 0);
	tcp_cut(p, 0, false);
	ck_assert_ptr_null(tcp_parse(p, 20, NULL, NULL, true, &out));
	ck_assert_uint_eq(out.flags, TCP_ACK | TCP_CWR);
	tcp_write(p, &in, 0);
	tcp_cut(p, 0x200, false);
	ck_assert_ptr_null(tcp_parse(p, 20, NULL, NULL, true, &out));
	ck_assert_uint_eq(out.flags, TCP_ACK);
	ck_assert_uint_eq(out.seq.v, 0x100);
	tcp_write(p, &in, 0);
	tcp_cut(p, 0x200, true);
	ck_assert_ptr_null(tcp_parse(p, 20, NULL, NULL, true, &out));
	ck_assert_uint_eq(out.flags, TCP_ACK | TCP_FIN | TCP_PSH);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wire");

	suite_add(s, "Ethernet: round trip", ethernet_round_trip);
	suite_add(s, "ARP: round trip", arp_round_trip);
	suite_add(s, "E2 ARP: malformed", row_E2_arp_malformed);
	suite_add(s, "ARP: a probe has no sender", arp_probe_has_no_sender);
	suite_add(s, "IPv4: round trip", ip4_round_trip);
	suite_add(s, "I1 IPv4: malformed", row_I1_ip4_malformed);
	suite_add(s, "I1 IPv4: bit flips", row_I1_ip4_bit_flips);
	suite_add(s, "IPv4: quoted, cut short", ip4_quoted_may_be_cut_short);
	suite_add(s, "IPv4: made whole", ip4_made_whole);
	suite_add(s, "I3 IPv4: options", row_I3_ip4_options);
	suite_add(s, "I3 IPv4: options at random", row_I3_ip4_options_at_random);
	suite_add(s, "ICMP: round trip", icmp_round_trip);
	suite_add(s, "C1 ICMP: short", row_C1_icmp_short);
	suite_add(s, "UDP: round trip", udp_round_trip);
	suite_add(s, "U1 UDP: malformed", row_U1_udp_malformed);
	suite_add(s, "U1 UDP: checksum", row_U1_udp_checksum);
	suite_add(s, "quoted ports need eight bytes", quoted_ports_need_eight_bytes);
	suite_add(s, "TCP: round trip", tcp_round_trip);
	suite_add(s, "TCP: SACK blocks fit", tcp_sack_blocks_fit);
	suite_add(s, "T6 TCP: data offset", row_T6_tcp_data_offset);
	suite_add(s, "T15 TCP: bit flips", row_T15_tcp_bit_flips);
	suite_add(s, "T6 TCP: malformed options", row_T6_tcp_options_malformed);
	suite_add(s, "TCP: options only where they count", tcp_options_only_where_they_count);
	suite_add(s, "T6 TCP: options at random", row_T6_tcp_options_at_random);
	suite_add(s, "TCP: cut in pieces", tcp_cut_in_pieces);
	return suite_run(s);
}
