/*
 * IPv4, reassembly, ICMP, routes, the link's edge and loopback (rows I1 to I6, C1 to C3), as
 * an exchange of packets in virtual time.
 */
#include "net_fixture.h"

#include <errno.h>
#include <netinet/in.h>

static struct net net;

static void bare_ip(struct stack_config *c)
{
	c->link = STACK_LINK_IP;
}

/* An echo request from `src` to `dst` that would be answered. */
static void ping(struct net *n, const struct stack_addr *src, const struct stack_addr *dst)
{
	feed_icmp(n, src, dst, ICMP_ECHO, 0, 0x00010002, "ping", 4);
}

/* A raw IP packet, header first, in a frame to us. */
static void feed_raw(struct net *n, const uint8_t *p, size_t len)
{
	feed_ethernet(n, our_mac, ETH_TYPE_IP4, p, len);
}

static void fix_sum(uint8_t *p)
{
	size_t header = (p[0] & 15) * 4u;

	store16(p + 10, 0);
	store16(p + 10, checksum_finish(checksum_add(0, p, header)));
}

/* An echo request as a raw packet of 60 bytes, with `padding` bytes behind it; returns its size. */
static size_t raw_ping(struct net *n, uint8_t *p, size_t padding)
{
	struct ip4_header h = {.src = n->peer, .dst = n->us, .total_len = 60, .ttl = 64, .proto = IP_PROTO_ICMP};
	struct icmp4_header icmp = {.type = ICMP_ECHO};

	memset(p, 0, 60 + padding);
	ip4_write(p, &h);
	icmp4_write(p + 20, &icmp, p + 28, 32);
	return 60 + padding;
}

/* ---- I1 ---- */

START_TEST(row_I1_malformed_headers)
{
	static const struct { size_t at; uint8_t value; } change[] = {
		{0, 0x65}, {0, 0x44}, {0, 0x40}, {3, 19}, {3, 61}, {2, 4}, {8, 0},
	};
	uint8_t p[64];

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t i = 0; i < ARRAY_SIZE(change); i++) {
		size_t len = raw_ping(&net, p, 0);

		p[change[i].at] = change[i].value;
		if ((p[0] & 15) >= 5)
			fix_sum(p);
		feed_raw(&net, p, len);
	}
	for (size_t len = 0; len < 20; len++)
		feed_raw(&net, p, len);
	ck_assert_uint_eq(count_of(&net, "ip4.in_bad_header"), ARRAY_SIZE(change) + 20);
	raw_ping(&net, p, 0);
	p[10] ^= 1;
	feed_raw(&net, p, 60);
	ck_assert_uint_eq(count_of(&net, "ip4.in_bad_checksum"), 1);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

START_TEST(row_I1_padding_is_cut_off)
{
	struct icmp4_header h;
	uint8_t p[64];
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	len = raw_ping(&net, p, 4);
	memset(p + 60, 0xff, 4);
	feed_raw(&net, p, len);
	take_icmp(&net, &h, &len);
	ck_assert_uint_eq(h.type, ICMP_ECHO_REPLY);
	ck_assert_uint_eq(len, 32);
	net_end(&net);
}
END_TEST

/* ---- I2 ---- */

START_TEST(row_I2_impossible_sources)
{
	static const uint8_t bad[][4] = {
		{255, 255, 255, 255}, {198, 18, 0, 255}, {224, 0, 0, 1}, {239, 1, 2, 3},
		{127, 0, 0, 1}, {127, 9, 9, 9}, {0, 0, 0, 0}, {0, 1, 2, 3}, {198, 18, 0, 2},
	};

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct stack_addr src = stack_addr_v4(bad[i]);

		ping(&net, &src, &net.us);
	}
	ck_assert_uint_eq(count_of(&net, "ip4.in_bad_source"), ARRAY_SIZE(bad));
	ck_assert_uint_eq(count_of(&net, "ip4.delivered"), 0);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* A SYN from our own address and port to ourselves. */
START_TEST(row_I2_land)
{
	struct tcp_segment seg = {.sport = 80, .dport = 80, .flags = TCP_SYN, .window = 1000};
	struct sock *sock;
	uint8_t p[20];

	net_start(&net, NULL);
	sock = stack_socket(net.s, STACK_TCP, 0, &net);
	ck_assert_int_eq(stack_bind(sock, &(struct stack_endpoint){net.us, 80}), 0);
	ck_assert_int_eq(stack_listen(&sock, 5), 0);
	tcp_write(p, &seg, 0);
	tcp_write(p, &seg, checksum_finish(checksum_add(checksum_pseudo(&net.us, &net.us, 6, 20), p, 20)));
	feed_ip(&net, (struct ip4_header){.src = net.us, .dst = net.us, .proto = IP_PROTO_TCP}, p, 20);
	ck_assert_uint_eq(count_of(&net, "tcp.in"), 0);
	ck_assert_uint_eq(count_of(&net, "ip4.in_bad_source"), 1);
	expect_silence(&net);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(destinations_that_are_not_ours)
{
	static const uint8_t other[][4] = {{198, 18, 0, 3}, {127, 0, 0, 1}, {224, 0, 0, 1}, {8, 8, 8, 8}};
	uint8_t p[64];

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		struct stack_addr dst = stack_addr_v4(other[i]);

		ping(&net, &net.peer, &dst);
	}
	/* RFC 1122 3.3.6: unicast in a broadcast frame */
	feed_ethernet(&net, broadcast_mac, ETH_TYPE_IP4, p, raw_ping(&net, p, 0));
	ck_assert_uint_eq(count_of(&net, "ip4.in_not_ours"), ARRAY_SIZE(other) + 1);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* ---- I3 ---- */

/* An echo request with 4 or more bytes of options. */
static void feed_options(struct net *n, const uint8_t *options, size_t len)
{
	uint8_t p[128];

	raw_ping(n, p, 0);
	memmove(p + 20 + len, p + 20, 40);
	memcpy(p + 20, options, len);
	p[0] = (uint8_t)(0x40 | (5 + len / 4));
	store16(p + 2, (uint16_t)(60 + len));
	fix_sum(p);
	feed_raw(n, p, 60 + len);
}

static void expect_parameter_problem(struct net *n, uint8_t pointer)
{
	struct icmp4_header h;
	size_t len;
	const uint8_t *quote = take_icmp(n, &h, &len);

	ck_assert_uint_eq(h.type, ICMP_PARAMETER_PROBLEM);
	ck_assert_uint_eq(h.code, 0);
	ck_assert_uint_eq(h.rest >> 24, pointer);
	ck_assert_uint_ge(len, 28);
	ck_assert_uint_eq(quote[0] >> 4, 4);
	expect_silence(n);
}

START_TEST(row_I3_options)
{
	static const uint8_t source_route[8] = {1, 131, 7, 4, 1, 2, 3, 4}, strict[8] = {137, 7, 4, 1, 2, 3, 4, 0};
	static const uint8_t zero[4] = {7, 0, 4, 0}, one[4] = {7, 1, 4, 0}, past[4] = {7, 9, 4, 0};
	static const uint8_t good[8] = {7, 7, 4, 0, 0, 0, 0, 0};
	struct icmp4_header h;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	feed_options(&net, source_route, 8);
	expect_parameter_problem(&net, 21);
	feed_options(&net, strict, 8);
	expect_parameter_problem(&net, 20);
	feed_options(&net, zero, 4);
	expect_parameter_problem(&net, 21);
	feed_options(&net, one, 4);
	expect_parameter_problem(&net, 21);
	feed_options(&net, past, 4);
	expect_parameter_problem(&net, 21);
	ck_assert_uint_eq(count_of(&net, "ip4.in_options"), 5);
	feed_options(&net, good, 8);
	take_icmp(&net, &h, &len);
	ck_assert_uint_eq(h.type, ICMP_ECHO_REPLY);
	net_end(&net);
}
END_TEST

START_TEST(row_I3_errors_quote_a_bounded_part)
{
	static uint8_t big[1400];
	struct icmp4_header h;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	feed_udp(&net, &net.peer, &net.us, 9999, big, sizeof(big));
	take_icmp(&net, &h, &len);
	ck_assert_uint_eq(h.type, ICMP_UNREACHABLE);
	ck_assert_uint_eq(IP4_HEADER + ICMP_HEADER + len, 576);
	net_end(&net);
}
END_TEST

/* ---- fragments ---- */

/* UDP to port 7000, as the payload that gets cut up. */
static size_t make_datagram(struct net *n, uint8_t *p, size_t data)
{
	struct udp_header h = {.sport = 5000, .dport = 7000, .len = (uint16_t)(UDP_HEADER + data)};
	uint64_t sum = checksum_pseudo(&n->peer, &n->us, IP_PROTO_UDP, h.len);

	for (size_t i = 0; i < data; i++)
		p[UDP_HEADER + i] = (uint8_t)(i * 7 + i / 256);
	udp_write(p, &h, 0);
	udp_write(p, &h, checksum_finish(checksum_add(sum, p, h.len)));
	return h.len;
}

struct cut {
	struct stack_addr src;
	uint16_t id;
	uint8_t proto;
};

static void feed_fragment_of(struct net *n, struct cut c, const uint8_t *p, size_t offset, size_t len, bool more)
{
	struct ip4_header h = {
		.src = c.src, .dst = n->us, .proto = c.proto, .id = c.id,
		.fragment_offset = (uint16_t)offset, .more_fragments = more,
	};

	feed_ip(n, h, p, len);
}

static void feed_fragment(struct net *n, uint16_t id, const uint8_t *p, size_t offset, size_t len, bool more)
{
	feed_fragment_of(n, (struct cut){n->peer, id, IP_PROTO_UDP}, p + offset, offset, len, more);
}

/* The whole datagram in pieces of `step`, in order. */
static void feed_cut(struct net *n, struct cut c, const uint8_t *p, size_t total, size_t step)
{
	for (size_t offset = 0; offset < total; offset += step) {
		size_t len = min_size(step, total - offset);

		feed_fragment_of(n, c, p + offset, offset, len, offset + len < total);
	}
}

/* The next datagram on the socket is the one that make_datagram made. */
static void expect_datagram(struct sock *sock, const uint8_t *p, size_t data)
{
	static uint8_t got[65536];

	ck_assert_int_eq(stack_recvfrom(sock, got, sizeof(got), NULL), (ptrdiff_t)data);
	ck_assert_mem_eq(got, p + UDP_HEADER, data);
}

static void expect_no_datagram(struct net *n, struct sock *sock)
{
	ck_assert_int_eq(stack_recvfrom(sock, NULL, 0, NULL), -EAGAIN);
	ck_assert_uint_eq(n->s->reassembly_count, 0);
	ck_assert_uint_eq(memory_of(n, MEM_FRAGMENT), 0);
}

static uint8_t whole[70000]; /* room for pieces that end beyond a datagram */

/* A datagram in two fragments with these ECN fields: the ECN field of what comes out; -1: nothing does. */
static int reassembled_mark(struct net *n, uint8_t first, uint8_t second)
{
	uint8_t packet[2][IP4_HEADER + 64] = {0}, *out = NULL;
	int mark = -1;

	for (unsigned i = 0; i < 2; i++) {
		struct ip4_header h = {
			.src = n->peer, .dst = n->us, .header_len = IP4_HEADER, .ttl = 64, .proto = IP_PROTO_UDP, .id = 77,
			.total_len = sizeof(packet[i]), .fragment_offset = (uint16_t)(64 * i), .more_fragments = i == 0,
			.tos = i ? second : first,
		};
		size_t len;

		ip4_write(packet[i], &h);
		if (reasm_input(n->s, &h, packet[i], &out, &len)) {
			mark = out[1] & 3;
			reasm_release(n->s, out, len);
		}
	}
	return mark;
}

START_TEST(a_mark_on_any_fragment_marks_the_datagram)
{
	net_start(&net, NULL);
	ck_assert_int_eq(reassembled_mark(&net, 2, 2), 2);
	ck_assert_int_eq(reassembled_mark(&net, 2, 3), 3);
	ck_assert_int_eq(reassembled_mark(&net, 3, 2), 3);
	ck_assert_int_eq(reassembled_mark(&net, 0, 0), 0);
	ck_assert_int_eq(reassembled_mark(&net, 0, 3), -1); /* nobody would answer to the mark */
	net_end(&net);
}
END_TEST

/* Any cut, any order, with copies: the same datagram comes out. */
START_TEST(fragments_in_any_order)
{
	uint64_t seed = 5;
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	for (uint16_t round = 0; round < 300; round++) {
		size_t data = 400 + test_below(&seed, 3000), total = make_datagram(&net, whole, data);
		struct { size_t offset, len; } part[64];
		size_t parts = 0, at = 0;

		while (at < total) {
			size_t len = 8 * (8 + test_below(&seed, 40));

			len = min_size(len, total - at);
			part[parts].offset = at;
			part[parts++].len = len;
			at += len;
		}
		for (size_t i = 0; i < parts; i++) { /* Fisher and Yates */
			size_t k = i + test_below(&seed, (uint32_t)(parts - i));
			size_t o = part[i].offset, l = part[i].len;

			part[i] = part[k];
			part[k].offset = o;
			part[k].len = l;
			for (size_t copies = i + 1 < parts ? 1 + test_below(&seed, 2) : 1; copies > 0; copies--)
				feed_fragment(&net, round, whole, part[i].offset, part[i].len,
					      part[i].offset + part[i].len < total);
		}
		expect_datagram(sock, whole, data);
		expect_no_datagram(&net, sock);
	}
	ck_assert_uint_eq(count_of(&net, "ip4.reassembled"), 300);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(the_largest_datagram)
{
	struct sock *sock;
	size_t total;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	total = make_datagram(&net, whole, 65507);
	feed_cut(&net, (struct cut){net.peer, 1, IP_PROTO_UDP}, whole, total, 1480);
	expect_datagram(sock, whole, 65507);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(datagrams_do_not_mix)
{
	struct stack_addr other = addr_of(0, 9);
	struct sock *sock;
	size_t total;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	total = make_datagram(&net, whole, 1000);
	feed_fragment(&net, 1, whole, 0, 504, true);
	feed_fragment(&net, 2, whole, 504, total - 504, false);
	feed_fragment_of(&net, (struct cut){other, 1, IP_PROTO_UDP}, whole + 504, 504, total - 504, false);
	feed_fragment_of(&net, (struct cut){net.peer, 1, 99}, whole + 504, 504, total - 504, false);
	ck_assert_uint_eq(net.s->reassembly_count, 4);
	ck_assert_int_eq(stack_recvfrom(sock, NULL, 0, NULL), -EAGAIN);
	feed_fragment(&net, 1, whole, 504, total - 504, false);
	expect_datagram(sock, whole, 1000);
	ck_assert_uint_eq(net.s->reassembly_count, 3);
	for (uint8_t i = 20; i < 220; i++) /* some of them hash to one slot */
		feed_fragment_of(&net, (struct cut){addr_of(0, i), 1, IP_PROTO_UDP}, whole, 0, 504, true);
	ck_assert_uint_eq(net.s->reassembly_count, 203);
	net_pass(&net, SECONDS(31));
	forget(&net);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* ---- I4 ---- */

struct shape {
	uint16_t offset, len;
	bool more;
};

/* Feeds these fragments of one datagram, and then all of it but the first: nothing may come of it, or be left. */
static void expect_dropped(const struct shape *shape, size_t count, const char *counter)
{
	struct sock *sock;
	uint64_t before;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	make_datagram(&net, whole, 2000);
	before = count_of(&net, counter);
	for (size_t i = 0; i < count; i++)
		feed_fragment(&net, 1, whole, shape[i].offset, shape[i].len, shape[i].more);
	ck_assert_uint_eq(count_of(&net, counter), before + 1);
	expect_no_datagram(&net, sock);
	stack_close(sock, net.now);
	net_end(&net);
}
#define DROPPED(counter, ...) \
	expect_dropped((const struct shape[]){__VA_ARGS__}, ARRAY_SIZE(((const struct shape[]){__VA_ARGS__})), counter)

START_TEST(row_I4_overlaps_drop_the_datagram)
{
	DROPPED("ip4.fragments_overlap", {0, 800, true}, {792, 800, true});
	DROPPED("ip4.fragments_overlap", {792, 800, true}, {0, 800, true});
	DROPPED("ip4.fragments_overlap", {0, 800, true}, {0, 808, true});
	DROPPED("ip4.fragments_overlap", {0, 800, true}, {8, 80, true}); /* teardrop: inside */
	DROPPED("ip4.fragments_overlap", {800, 80, true}, {0, 1600, true}); /* around */
	DROPPED("ip4.fragments_overlap", {0, 800, true}, {1600, 8, true}, {800, 808, true});
}
END_TEST

START_TEST(row_I4_same_place_other_bytes)
{
	uint8_t other[800] = {1};
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	make_datagram(&net, whole, 2000);
	feed_fragment(&net, 1, whole, 800, 800, true);
	feed_fragment_of(&net, (struct cut){net.peer, 1, IP_PROTO_UDP}, other, 800, 800, true);
	ck_assert_uint_eq(count_of(&net, "ip4.fragments_overlap"), 1);
	expect_no_datagram(&net, sock);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(row_I4_impossible_pieces)
{
	DROPPED("ip4.fragments_dropped", {65528, 8, false});              /* ping of death */
	DROPPED("ip4.fragments_dropped", {0, 800, true}, {64800, 800, true});
	DROPPED("ip4.fragments_dropped", {0, 801, true});                 /* not a multiple of 8 */
	DROPPED("ip4.fragments_dropped", {800, 80, true}, {0, 799, true});
	DROPPED("ip4.fragments_dropped", {800, 0, false});                /* nothing in it */
	DROPPED("ip4.fragments_dropped", {800, 80, false}, {1600, 80, true});  /* behind the end */
	DROPPED("ip4.fragments_dropped", {800, 80, false}, {1600, 80, false}); /* two ends */
	DROPPED("ip4.fragments_dropped", {1600, 80, true}, {800, 80, false});
}
END_TEST

START_TEST(row_I4_tcp_header_in_pieces)
{
	struct cut c;
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	c = (struct cut){net.peer, 1, IP_PROTO_TCP};
	feed_fragment_of(&net, c, whole, 0, 16, true); /* first fragment cut inside the header */
	ck_assert_uint_eq(count_of(&net, "ip4.fragments_dropped"), 1);
	feed_fragment_of(&net, c, whole, 0, 24, true);
	feed_fragment_of(&net, c, whole, 8, 24, false); /* overwrites the flags */
	ck_assert_uint_eq(count_of(&net, "ip4.fragments_dropped"), 2);
	feed_fragment_of(&net, c, whole, 16, 24, false);
	ck_assert_uint_eq(count_of(&net, "ip4.fragments_dropped"), 3);
	ck_assert_uint_eq(count_of(&net, "tcp.in"), 0);
	expect_no_datagram(&net, sock);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(row_I4_too_many_fragments)
{
	struct sock *sock;
	size_t total;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	total = make_datagram(&net, whole, 64 * 8 - UDP_HEADER);
	feed_cut(&net, (struct cut){net.peer, 1, IP_PROTO_UDP}, whole, total, 8);
	expect_datagram(sock, whole, 64 * 8 - UDP_HEADER);
	total = make_datagram(&net, whole, 65 * 8 - UDP_HEADER);
	feed_cut(&net, (struct cut){net.peer, 2, IP_PROTO_UDP}, whole, total, 8);
	expect_no_datagram(&net, sock);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* ---- I5 ---- */

START_TEST(row_I5_timeout_is_reported)
{
	struct icmp4_header h;
	size_t len;
	const uint8_t *quote;

	net_start(&net, NULL);
	know_peer(&net);
	make_datagram(&net, whole, 2000);
	feed_fragment(&net, 1, whole, 0, 800, true);
	feed_fragment(&net, 2, whole, 800, 800, true);
	net_pass(&net, MILLISECONDS(29900));
	ck_assert_uint_eq(net.s->reassembly_count, 2);
	net_pass(&net, MILLISECONDS(200));
	ck_assert_uint_eq(net.s->reassembly_count, 0);
	ck_assert_uint_eq(count_of(&net, "ip4.fragments_timeout"), 2);
	quote = take_icmp(&net, &h, &len); /* RFC 1122 3.3.2: only where the first fragment came */
	ck_assert_uint_eq(h.type, ICMP_TIME_EXCEEDED);
	ck_assert_uint_eq(h.code, 1);
	ck_assert_uint_eq(len, 548);
	ck_assert_mem_eq(quote + 20, whole, 528);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* One source sends fragments that never complete; another's datagram gets through all the while. */
START_TEST(row_I5_a_source_crowds_out_only_itself)
{
	struct stack_addr attacker = addr_of(0, 77);
	uint64_t seed = 9;
	struct sock *sock;
	size_t total, most = 0;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	total = make_datagram(&net, whole, 3000);
	feed_fragment(&net, 1, whole, 0, 1480, true);
	for (uint32_t i = 0; i < 20000; i++) {
		struct cut c = {attacker, (uint16_t)i, IP_PROTO_UDP};

		feed_fragment_of(&net, c, whole, 8 * test_below(&seed, 7000), 1480, true);
		most = memory_of(&net, MEM_FRAGMENT) > most ? memory_of(&net, MEM_FRAGMENT) : most;
	}
	ck_assert_uint_le(most, net.s->cfg.mem_fragments / 4 + 4096);
	ck_assert_uint_le(net.s->reassembly_count, 64 + 1);
	ck_assert_uint_gt(most, 64 * 1480);
	feed_fragment(&net, 1, whole, 1480, total - 1480, false);
	expect_datagram(sock, whole, 3000);
	forget(&net);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* Large fragments of one datagram, to reach the share in bytes. */
START_TEST(row_I5_share_of_bytes)
{
	struct stack_addr attacker = addr_of(0, 77);
	size_t most = 0;

	net_start(&net, NULL);
	for (uint16_t id = 0; id < 60; id++) {
		feed_cut(&net, (struct cut){attacker, id, IP_PROTO_UDP}, whole, 44 * 1480, 1480);
		feed_fragment_of(&net, (struct cut){attacker, (uint16_t)(id + 1000), IP_PROTO_UDP}, whole, 8000, 1480, true);
		for (unsigned i = 0; i < 40; i++)
			feed_fragment_of(&net, (struct cut){attacker, (uint16_t)(id + 2000), IP_PROTO_UDP}, whole, 1480 * i, 1480, true);
		most = memory_of(&net, MEM_FRAGMENT) > most ? memory_of(&net, MEM_FRAGMENT) : most;
	}
	ck_assert_uint_le(most, net.s->cfg.mem_fragments / 4 + 65536);
	forget(&net);
	net_end(&net);
}
END_TEST

START_TEST(row_I5_many_sources_are_bounded)
{
	uint64_t seed = 10;
	struct sock *sock;
	size_t total, most = 0;
	uint32_t datagrams = 0;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	for (uint32_t i = 0; i < 50000; i++) {
		struct cut c = {addr_of((uint8_t)(1 + i % 200), (uint8_t)(i >> 8)), (uint16_t)i, IP_PROTO_UDP};

		feed_fragment_of(&net, c, whole, 8 * test_below(&seed, 7000), 1480, true);
		most = memory_of(&net, MEM_FRAGMENT) > most ? memory_of(&net, MEM_FRAGMENT) : most;
		datagrams = max_u32(datagrams, net.s->reassembly_count);
	}
	ck_assert_uint_le(most, net.s->cfg.mem_fragments);
	ck_assert_uint_eq(datagrams, 256);
	total = make_datagram(&net, whole, 3000); /* and one that completes still does */
	feed_cut(&net, (struct cut){net.peer, 1, IP_PROTO_UDP}, whole, total, 1480);
	expect_datagram(sock, whole, 3000);
	net_pass(&net, SECONDS(31));
	ck_assert_uint_eq(memory_of(&net, MEM_FRAGMENT), 0);
	ck_assert_uint_eq(stack_deadline(net.s) < net.now + SECONDS(60), false);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

static void small_budget(struct stack_config *c)
{
	c->mem_fragments = 16384;
}

START_TEST(row_I5_small_budget_holds)
{
	struct sock *sock;
	size_t total;

	net_start(&net, small_budget);
	sock = udp_bound(&net, 7000);
	for (uint32_t i = 0; i < 5000; i++) {
		struct cut c = {addr_of((uint8_t)(1 + i % 200), (uint8_t)i), (uint16_t)i, IP_PROTO_UDP};

		feed_fragment_of(&net, c, whole, 1480, 1480, true);
		if (memory_of(&net, MEM_FRAGMENT) > 16384)
			ck_abort_msg("over the budget");
	}
	total = make_datagram(&net, whole, 2000);
	feed_cut(&net, (struct cut){net.peer, 1, IP_PROTO_UDP}, whole, total, 1480);
	expect_datagram(sock, whole, 2000);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* A datagram in two halves; between them others use up the budget. True: it came through. */
static bool survives(const struct stack_addr *small)
{
	size_t total;
	bool came;

	net_start(&net, small_budget);
	total = make_datagram(&net, whole, 1000);
	feed_fragment_of(&net, (struct cut){*small, 1, IP_PROTO_UDP}, whole, 0, 504, true);
	for (uint16_t i = 0; i < 12; i++) {
		struct cut c = {addr_of(9, (uint8_t)(i / 2)), i, IP_PROTO_UDP};

		feed_fragment_of(&net, c, whole, 1480, 1480, true);
	}
	ck_assert_uint_gt(count_of(&net, "ip4.fragments_dropped"), 0);
	feed_fragment_of(&net, (struct cut){*small, 1, IP_PROTO_UDP}, whole + 504, 504, total - 504, false);
	came = count_of(&net, "ip4.reassembled") == 1;
	forget(&net);
	net_end(&net);
	return came;
}

/* The budget is out: who uses most pays, not who came first and uses little (unless both hash to one slot). */
START_TEST(row_I5_the_largest_user_pays)
{
	unsigned survivors = 0;

	for (uint8_t i = 0; i < 50; i++) {
		struct stack_addr small = addr_of(0, (uint8_t)(10 + i));

		survivors += survives(&small);
	}
	ck_assert_uint_ge(survivors, 44);
}
END_TEST

/* A large datagram whose pieces take their time, among small ones of many sources that never complete. */
START_TEST(row_I5_small_datagrams_spare_a_large_one)
{
	struct sock *sock;
	size_t total, at = 0;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	total = make_datagram(&net, whole, 14800 - UDP_HEADER);
	for (uint16_t i = 0; i < 1000; i++) {
		struct cut c = {addr_of((uint8_t)(1 + i % 200), (uint8_t)(i / 200)), i, IP_PROTO_UDP};

		feed_fragment_of(&net, c, whole, 8, 8, true);
		if (i >= 900 && i % 10 == 0) {
			feed_fragment_of(&net, (struct cut){net.peer, 9999, IP_PROTO_UDP}, whole + at, at, 1480,
					 at + 1480 < total);
			at += 1480;
		}
	}
	ck_assert_uint_gt(count_of(&net, "ip4.fragments_dropped"), 700);
	expect_datagram(sock, whole, 14800 - UDP_HEADER);
	forget(&net);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* ---- I6 ---- */

START_TEST(row_I6_unknown_protocols)
{
	static const uint8_t proto[] = {4, 41, 253}; /* IP in IP, IPv6 in IP, unknown */
	struct icmp4_header h;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t i = 0; i < ARRAY_SIZE(proto); i++) {
		const uint8_t *quote;

		feed_ip(&net, (struct ip4_header){.src = net.peer, .dst = net.us, .proto = proto[i]}, whole, 40);
		quote = take_icmp(&net, &h, &len);
		ck_assert_uint_eq(h.type, ICMP_UNREACHABLE);
		ck_assert_uint_eq(h.code, ICMP_PROTOCOL_UNREACHABLE);
		ck_assert_uint_eq(len, 60);
		ck_assert_uint_eq(quote[9], proto[i]);
	}
	for (int i = 0; i < 2000; i++)
		feed_ip(&net, (struct ip4_header){.src = net.peer, .dst = net.us, .proto = 4}, whole, 40);
	ck_assert_uint_le(count_of(&net, "icmp.errors_out"), net.s->cfg.icmp_burst);
	ck_assert_uint_gt(count_of(&net, "icmp.rate_limited"), 1500);
	net_end(&net);
}
END_TEST

/* ---- ICMP ---- */

START_TEST(echo_of_any_size)
{
	static const size_t size[] = {0, 1, 4, 56, 1472};
	struct icmp4_header h;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t i = 0; i < sizeof(whole); i++)
		whole[i] = (uint8_t)(i * 31);
	for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
		const uint8_t *p;

		feed_icmp(&net, &net.peer, &net.us, ICMP_ECHO, 0, 0xabcd0001, whole, size[i]);
		p = take_icmp(&net, &h, &len);
		ck_assert_uint_eq(h.type, ICMP_ECHO_REPLY);
		ck_assert_uint_eq(h.rest, 0xabcd0001);
		ck_assert_uint_eq(len, size[i]);
		ck_assert_mem_eq(p, whole, len);
	}
	net_end(&net);
}
END_TEST

/* A request in fragments gets an answer in fragments, which a second stack puts together. */
START_TEST(echo_of_64_kib)
{
	static uint8_t packet[65515];
	static uint8_t joined[65536];
	struct icmp4_header h = {.type = ICMP_ECHO, .rest = 77};
	size_t total = 0, len;

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t i = 0; i < sizeof(packet); i++)
		packet[i] = (uint8_t)(i * 31 + i / 99);
	icmp4_write(packet, &h, packet + ICMP_HEADER, sizeof(packet) - ICMP_HEADER);
	feed_cut(&net, (struct cut){net.peer, 1, IP_PROTO_ICMP}, packet, sizeof(packet), 1480);
	while (net.read < net.count) {
		struct ip4_header ip;
		const uint8_t *p = take_ip(&net, &ip, &len);

		ck_assert_uint_le(ip.total_len, 1500);
		ck_assert_uint_eq(ip.fragment_offset, total);
		ck_assert_int_eq(ip.more_fragments, total + len < sizeof(packet));
		memcpy(joined + total, p, len);
		total += len;
	}
	ck_assert_uint_eq(total, sizeof(packet));
	ck_assert_ptr_null(icmp4_parse(joined, total, false, &h));
	ck_assert_uint_eq(h.type, ICMP_ECHO_REPLY);
	ck_assert_mem_eq(joined + ICMP_HEADER, packet + ICMP_HEADER, total - ICMP_HEADER);
	net_end(&net);
}
END_TEST

START_TEST(row_C1_short_messages)
{
	uint8_t quote[64] = {0};
	uint8_t short_echo[7] = {ICMP_ECHO};

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t len = 0; len < ICMP_HEADER; len++)
		feed_ip(&net, (struct ip4_header){.src = net.peer, .dst = net.us, .proto = IP_PROTO_ICMP}, short_echo, len);
	ck_assert_uint_eq(count_of(&net, "icmp.in_bad"), 8);
	ip4_write(quote, &(struct ip4_header){.src = net.us, .dst = net.peer, .total_len = 40, .ttl = 64, .proto = 17});
	for (size_t len = 0; len < 28; len++)
		feed_icmp(&net, &net.peer, &net.us, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, quote, len);
	ck_assert_uint_eq(count_of(&net, "icmp.in_bad"), 8 + 28);
	feed_icmp(&net, &net.peer, &net.us, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, quote, 28);
	ck_assert_uint_eq(count_of(&net, "icmp.in_bad"), 8 + 28);
	ck_assert_uint_eq(count_of(&net, "icmp.in_errors"), 1);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

START_TEST(row_C1_bad_checksum)
{
	uint8_t p[64];

	net_start(&net, NULL);
	know_peer(&net);
	raw_ping(&net, p, 0);
	p[40] ^= 1;
	feed_raw(&net, p, 60);
	ck_assert_uint_eq(count_of(&net, "icmp.in_bad"), 1);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* A packet that makes us send an error, in a given disguise. */
START_TEST(row_C2_no_answer)
{
	struct stack_addr directed = addr_of(0, 255);
	struct stack_addr limited = stack_addr_v4(broadcast_mac);
	static const uint8_t route[4] = {131, 3, 4, 0};
	uint8_t p[128];

	net_start(&net, NULL);
	know_peer(&net);
	ping(&net, &net.peer, &directed);
	ping(&net, &net.peer, &limited);
	ck_assert_uint_eq(count_of(&net, "icmp.echo_in"), 2);
	feed_udp(&net, &net.peer, &directed, 9999, "x", 1);
	feed_ip(&net, (struct ip4_header){.src = net.peer, .dst = limited, .proto = 4}, "12345678", 8);
	ck_assert_uint_eq(count_of(&net, "ip4.in_unknown_protocol"), 1);
	/* an error message with bad options: an error about an error */
	raw_ping(&net, p, 0);
	memmove(p + 24, p + 20, 40);
	memcpy(p + 20, route, 4);
	p[24] = ICMP_UNREACHABLE;
	p[0] = 0x46;
	store16(p + 2, 64);
	fix_sum(p);
	feed_raw(&net, p, 64);
	/* a later fragment with bad options */
	p[24] = ICMP_ECHO;
	store16(p + 6, 100);
	fix_sum(p);
	feed_raw(&net, p, 64);
	ck_assert_uint_eq(count_of(&net, "ip4.in_options"), 2);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* Answers to a burst, with the seed's last byte changed. */
static uint8_t seed_byte;
static void seeded(struct stack_config *c)
{
	c->seed[0] = seed_byte;
}

static uint64_t answers_to_burst(bool errors)
{
	uint64_t answers;

	net_start(&net, seeded);
	know_peer(&net);
	for (int i = 0; i < 2000; i++) {
		if (errors)
			feed_udp(&net, &net.peer, &net.us, 9999, "x", 1);
		else
			ping(&net, &net.peer, &net.us);
	}
	answers = count_of(&net, errors ? "icmp.errors_out" : "icmp.echo_replies_out");
	ck_assert_uint_eq(net.count - net.read, answers);
	ck_assert_uint_eq(count_of(&net, "icmp.rate_limited"), 2000 - answers);
	forget(&net);
	net_end(&net);
	return answers;
}

START_TEST(row_C3_answers_are_limited)
{
	for (int errors = 0; errors < 2; errors++) {
		uint64_t answers = answers_to_burst(errors);

		ck_assert_uint_le(answers, 200);
		ck_assert_uint_ge(answers, 50);
	}
}
END_TEST

START_TEST(row_C3_the_limit_cannot_be_measured)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (seed_byte = 1; seed_byte <= 8; seed_byte++) {
		uint64_t answers = answers_to_burst(true);

		least = min_u64(least, answers);
		most = max_u64(most, answers);
	}
	ck_assert_uint_gt(most, least);
}
END_TEST

START_TEST(row_C3_the_limit_refills)
{
	net_start(&net, NULL);
	know_peer(&net);
	for (int i = 0; i < 500; i++)
		ping(&net, &net.peer, &net.us);
	forget(&net);
	net_pass(&net, SECONDS(1));
	ping(&net, &net.peer, &net.us);
	ck_assert_uint_eq(net.count - net.read, 1);
	forget(&net);
	net_end(&net);
}
END_TEST

START_TEST(redirect_quench_and_unknown_types_are_ignored)
{
	static const uint8_t type[] = {ICMP_ECHO_REPLY, ICMP_SOURCE_QUENCH, ICMP_REDIRECT, 13, 17, 200};
	uint8_t quote[28] = {0};

	net_start(&net, NULL);
	know_peer(&net);
	ip4_write(quote, &(struct ip4_header){.src = net.us, .dst = net.peer, .total_len = 40, .ttl = 64, .proto = 17});
	for (size_t i = 0; i < ARRAY_SIZE(type); i++)
		feed_icmp(&net, &net.peer, &net.us, type[i], 0, 0, quote, sizeof(quote));
	ck_assert_uint_eq(count_of(&net, "icmp.in_ignored"), ARRAY_SIZE(type));
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* ---- sending: fragments, checksums, segments ---- */

static struct sock *udp_to_peer(struct net *n)
{
	struct sock *sock = udp_bound(n, 6000);

	ck_assert_int_eq(stack_connect(&sock, n->now, &(struct stack_endpoint){n->peer, 7000}), 0);
	return sock;
}

START_TEST(what_must_not_be_fragmented_is_refused)
{
	static const uint8_t data[1481];
	struct tx tx;

	net_start(&net, NULL);
	know_peer(&net);
	for (size_t len = 1480; len <= 1481; len++) {
		struct ip_params params = {.src = net.us, .dst = net.peer, .proto = 253, .ttl = 64, .dont_fragment = true};

		tx_init(&tx);
		tx.transport = tx.start;
		tx_add(&tx, data, len);
		ck_assert_int_eq(ip_output(net.s, &tx, &params), len <= 1480 ? 0 : -EMSGSIZE);
	}
	take_frame(&net);
	expect_silence(&net);
	ck_assert_uint_eq(count_of(&net, "ip4.out_too_big"), 1);
	net_end(&net);
}
END_TEST

START_TEST(large_datagrams_are_fragmented)
{
	static uint8_t joined[65536], data[5000];
	struct stack_addr us = addr_of(0, 2);
	struct udp_header h;
	struct sock *sock;
	size_t total = 0, len;
	uint16_t id = 0;

	net_start(&net, NULL);
	know_peer(&net);
	sock = udp_to_peer(&net);
	memset(data, 'q', sizeof(data));
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, data, sizeof(data)), sizeof(data));
	while (net.read < net.count) {
		struct ip4_header ip;
		const uint8_t *p = take_ip(&net, &ip, &len);

		ck_assert(!ip.dont_fragment);
		ck_assert_uint_le(ip.total_len, 1500);
		ck_assert(total == 0 || ip.id == id);
		id = ip.id;
		memcpy(joined + ip.fragment_offset, p, len);
		total += len;
	}
	ck_assert_uint_eq(total, UDP_HEADER + sizeof(data));
	ck_assert_ptr_null(udp_parse(joined, total, &us, &net.peer, false, &h));
	ck_assert_mem_eq(joined + UDP_HEADER, data, sizeof(data));
	ck_assert_uint_eq(count_of(&net, "ip4.fragments_out"), 4);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* RFC 6864: no identification comes twice soon. */
START_TEST(identifications_differ)
{
	static uint8_t seen[65536];
	unsigned twice = 0, in_order = 0, last = 0;
	struct sock *sock;

	net_start(&net, bare_ip);
	sock = udp_to_peer(&net);
	set_int(&net, sock, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < 65536; i++) {
		uint16_t id;

		stack_sendto(sock, net.now, NULL, "x", 1);
		id = load16(net.sent[(net.count - 1) % CAPTURE_MAX].data + 4);
		forget(&net);
		twice += seen[id];
		seen[id] = 1;
		in_order += id == (uint16_t)(last + 1);
		last = id;
	}
	ck_assert_uint_eq(twice, 0);
	ck_assert_uint_lt(in_order, 100);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* The payload whose UDP checksum comes out as 0. */
START_TEST(udp_checksum_zero_is_sent_as_ones)
{
	struct stack_addr us = addr_of(0, 2);
	struct udp_header h;
	struct sock *sock;
	uint8_t data[2] = {0, 0};
	const uint8_t *p;
	struct ip4_header ip;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	sock = udp_to_peer(&net);
	stack_sendto(sock, net.now, NULL, data, 2);
	p = take_ip(&net, &ip, &len);
	ck_assert_uint_eq(len, 10);
	memcpy(data, p + 6, 2); /* adding the checksum itself makes the sum all ones */
	stack_sendto(sock, net.now, NULL, data, 2);
	p = take_ip(&net, &ip, &len);
	ck_assert_uint_eq(load16(p + 6), 0xffff);
	ck_assert_ptr_null(udp_parse(p, len, &us, &net.peer, false, &h));
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

static unsigned offload_now;
static void with_offload(struct stack_config *c)
{
	c->offload = offload_now;
}

static void with_offload_ip(struct stack_config *c)
{
	c->link = STACK_LINK_IP;
	c->offload = offload_now;
}

#define GSO_LEN 10000u
#define GSO_SIZE 1448u

/* A large TCP segment in odd pieces, as the transport hands it to IP. */
static void send_large_segment(struct net *n, const uint8_t *data)
{
	static const size_t piece[] = {1, 2999, 3, 1444, 5553};
	struct tcp_segment seg = {
		.sport = 80, .dport = 4000, .seq = {0xffffff00}, .ack = {5},
		.flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR, .window = 1000,
		.opt = {.has_timestamp = true, .ts_value = 1, .ts_echo = 2},
	};
	struct ip_params params = {
		.src = n->us, .dst = n->peer, .proto = IP_PROTO_TCP, .ttl = 64, .dont_fragment = true,
	};
	struct tx tx;

	tx_init(&tx);
	for (size_t i = 0; i < ARRAY_SIZE(piece); data += piece[i++])
		tx_add(&tx, data, piece[i]);
	ck_assert_uint_eq(tx.data_len, GSO_LEN);
	tx.gso_size = GSO_SIZE;
	tcp_write(tx_push(&tx, 32), &seg, checksum_fold(checksum_pseudo(&n->us, &n->peer, IP_PROTO_TCP, 32 + GSO_LEN)));
	tx.transport = tx.start;
	tx.csum_partial = true;
	tx.csum_offset = 16;
	ck_assert_int_eq(ip_output(n->s, &tx, &params), 0);
}

/* Finishes a checksum as a link would that was asked to. */
static void link_checksum(struct capture *c)
{
	uint8_t *p = c->data + c->out.csum_start;

	store16(p + c->out.csum_offset, checksum_finish(checksum_add(0, p, c->len - c->out.csum_start)));
}

static void check_pieces(struct net *n, const uint8_t *data, bool link_sums)
{
	uint32_t offset = 0;
	unsigned i = 0;

	for (; n->read < n->count; i++) {
		struct capture *c = &n->sent[n->read % CAPTURE_MAX];
		struct ip4_header ip;
		struct tcp_segment seg;
		const uint8_t *p;
		size_t len;
		bool last;

		ck_assert_int_eq(c->out.csum_partial, link_sums);
		ck_assert_uint_eq(c->out.gso_size, 0);
		if (link_sums)
			link_checksum(c);
		p = take_ip(n, &ip, &len);
		ck_assert_uint_eq(ip.id, i);
		ck_assert_ptr_null(tcp_parse(p, len, &n->us, &n->peer, false, &seg));
		last = offset + seg.len == GSO_LEN;
		ck_assert_uint_eq(seg.len, last ? GSO_LEN % GSO_SIZE : GSO_SIZE);
		ck_assert_uint_eq(seg.seq.v, 0xffffff00 + offset);
		ck_assert_uint_eq(seg.flags, TCP_ACK | (last ? TCP_PSH | TCP_FIN : 0) | (i == 0 ? TCP_CWR : 0));
		ck_assert_mem_eq(seg.data, data + offset, seg.len);
		offset += seg.len;
	}
	ck_assert_uint_eq(offset, GSO_LEN);
	ck_assert_uint_eq(i, 7);
}

START_TEST(segments_are_cut_in_software)
{
	static uint8_t data[GSO_LEN];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 200);
	for (int i = 0; i < 4; i++) {
		bool link_sums = i & 1, ethernet = i & 2;

		offload_now = link_sums ? STACK_OFFLOAD_CSUM : 0;
		net_start(&net, ethernet ? with_offload : with_offload_ip);
		if (ethernet)
			know_peer(&net);
		send_large_segment(&net, data);
		check_pieces(&net, data, link_sums);
		ck_assert_uint_eq(count_of(&net, "link.segmented"), 1);
		net_end(&net);
	}
}
END_TEST

START_TEST(segments_are_left_to_the_link)
{
	static uint8_t data[GSO_LEN];
	struct capture *c;
	struct ip4_header ip;
	struct tcp_segment seg;

	offload_now = STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
	net_start(&net, with_offload_ip);
	send_large_segment(&net, data);
	ck_assert_uint_eq(net.count - net.read, 1);
	c = &net.sent[net.read % CAPTURE_MAX];
	ck_assert(c->out.csum_partial);
	ck_assert_uint_eq(c->out.gso_size, GSO_SIZE);
	ck_assert_uint_eq(c->out.header_len, 52);
	ck_assert_uint_eq(c->out.csum_start, 20);
	ck_assert_uint_eq(c->out.csum_offset, 16);
	link_checksum(c);
	ck_assert_ptr_null(ip4_parse(c->data, c->len, &ip));
	ck_assert_ptr_null(tcp_parse(c->data + 20, c->len - 20, &net.us, &net.peer, false, &seg));
	ck_assert_uint_eq(seg.len, GSO_LEN);
	forget(&net);
	net_end(&net);
}
END_TEST

START_TEST(a_link_that_takes_nothing_is_counted)
{
	struct sock *sock;

	net_start(&net, bare_ip);
	sock = udp_to_peer(&net);
	net.refuse = true;
	stack_sendto(sock, net.now, NULL, "x", 1);
	ck_assert_uint_eq(count_of(&net, "link.out_failed"), 1);
	ck_assert_uint_eq(count_of(&net, "link.out"), 0);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(a_bare_ip_link)
{
	uint8_t v6 = 0x60;

	net_start(&net, bare_ip);
	ping(&net, &net.peer, &net.us);
	ck_assert_uint_eq(net.count - net.read, 1);
	forget(&net);
	feed_frame(&net, &v6, 1);
	ck_assert_uint_eq(count_of(&net, "link.in_unknown_type"), 1);
	feed_frame(&net, &v6, 0);
	ck_assert_uint_eq(count_of(&net, "link.in_short"), 1);
	ck_assert_uint_eq(count_of(&net, "arp.announcements_out"), 0);
	net_end(&net);
}
END_TEST

/* ---- loopback ---- */

START_TEST(packets_to_ourselves)
{
	static const uint8_t localhost[4] = {127, 0, 0, 1};
	struct stack_endpoint from;
	struct sock *a, *b;
	uint8_t got[8];

	net_start(&net, NULL);
	a = udp_bound(&net, 1);
	b = stack_socket(net.s, STACK_UDP, 0, NULL);
	ck_assert_int_eq(stack_sendto(b, net.now, &(struct stack_endpoint){net.us, 1}, "self", 4), 4);
	net_run(&net);
	ck_assert_int_eq(stack_recvfrom(a, got, sizeof(got), &from), 4);
	ck_assert(addr_eq(&from.addr, &net.us));
	stack_close(a, net.now);
	a = stack_socket(net.s, STACK_UDP, 0, NULL);
	ck_assert_int_eq(stack_bind(a, &(struct stack_endpoint){stack_addr_v4(localhost), 2}), 0);
	ck_assert_int_eq(stack_sendto(b, net.now, &(struct stack_endpoint){stack_addr_v4(localhost), 2}, "self", 4), 4);
	net_run(&net);
	ck_assert_int_eq(stack_recvfrom(a, got, sizeof(got), NULL), 4);
	ck_assert_uint_eq(count_of(&net, "link.loopback"), 2);
	/* RFC 1122 3.2.1.3 (g): such a source stays inside */
	ck_assert_int_eq(stack_sendto(a, net.now, &(struct stack_endpoint){net.peer, 7}, "x", 1), -ENETUNREACH);
	expect_silence(&net);
	stack_close(a, net.now);
	stack_close(b, net.now);
	net_end(&net);
}
END_TEST

START_TEST(large_segments_to_ourselves_stay_large)
{
	static const uint8_t data[3000];
	struct tx tx;

	net_start(&net, NULL);
	for (size_t len = 1448; len <= 3000; len += 1552) {
		tx_init(&tx);
		tx_add(&tx, data, len);
		tx.gso_size = 1448;
		loopback_output(net.s, &tx);
	}
	ck_assert_uint_eq(net.s->loop_head->gso_size, 0);
	ck_assert_uint_eq(net.s->loop_head->next->gso_size, 1448);
	net_end(&net);
}
END_TEST

START_TEST(loopback_is_bounded)
{
	static uint8_t data[60000];
	struct sock *a, *b;

	net_start(&net, NULL);
	a = udp_bound(&net, 1);
	b = stack_socket(net.s, STACK_UDP, 0, NULL);
	for (int i = 0; i < 200; i++)
		stack_sendto(b, net.now, &(struct stack_endpoint){net.us, 1}, data, sizeof(data));
	ck_assert_uint_le(memory_of(&net, MEM_LOOPBACK), net.s->mem.limit[MEM_LOOPBACK]);
	ck_assert_uint_gt(count_of(&net, "link.loopback_drops"), 0);
	net_run(&net);
	ck_assert_uint_eq(memory_of(&net, MEM_LOOPBACK), 0);
	stack_close(a, net.now);
	stack_close(b, net.now);
	net_end(&net);
}
END_TEST

/* ---- addresses and routes ---- */

static const struct stack_addr nowhere;

static int lookup(struct net *n, const struct stack_addr *dst, struct route_result *out)
{
	*out = (struct route_result){0};
	return route_lookup(n->s, dst, out);
}

START_TEST(longest_prefix_wins)
{
	struct stack_addr gateway = addr_of(0, 254), other_gateway = addr_of(0, 253);
	struct stack_addr net16 = addr_of(0, 0), net24 = addr_of(7, 0), host = addr_of(7, 7);
	struct route_result r;

	net_start(&net, NULL);
	ck_assert_int_eq(lookup(&net, &host, &r), -ENETUNREACH);
	ck_assert_int_eq(stack_route_add(net.s, &nowhere, 0, &gateway), 0);
	ck_assert_int_eq(lookup(&net, &host, &r), 0);
	ck_assert(addr_eq(&r.next_hop, &gateway) && addr_eq(&r.source, &net.us));
	ck_assert_int_eq(stack_route_add(net.s, &net16, 16, &other_gateway), 0);
	ck_assert_int_eq(lookup(&net, &host, &r), 0);
	ck_assert(addr_eq(&r.next_hop, &other_gateway));
	ck_assert_int_eq(stack_route_add(net.s, &net24, 24, &nowhere), 0);
	ck_assert_int_eq(lookup(&net, &host, &r), 0);
	ck_assert(addr_eq(&r.next_hop, &host));
	ck_assert_int_eq(lookup(&net, &net.peer, &r), 0);
	ck_assert(addr_eq(&r.next_hop, &net.peer));
	ck_assert_int_eq(stack_route_remove(net.s, &net24, 24), 0);
	ck_assert_int_eq(stack_route_remove(net.s, &net24, 24), -ESRCH);
	ck_assert_int_eq(lookup(&net, &host, &r), 0);
	ck_assert(addr_eq(&r.next_hop, &other_gateway));
	net_end(&net);
}
END_TEST

/* What was found last is remembered, but not beyond the route and the address that it came from. */
START_TEST(a_way_ends_with_its_route_and_its_address)
{
	struct stack_addr gateway = addr_of(0, 254), net24 = addr_of(7, 0), host = addr_of(7, 7);
	struct route_result r;

	net_start(&net, NULL);
	ck_assert_int_eq(stack_route_add(net.s, &net24, 24, &gateway), 0);
	ck_assert_int_eq(lookup(&net, &host, &r), 0);
	ck_assert_int_eq(stack_route_remove(net.s, &net24, 24), 0);
	ck_assert_int_eq(lookup(&net, &host, &r), -ENETUNREACH);
	ck_assert_int_eq(lookup(&net, &net.us, &r), 0);
	ck_assert(r.loopback);
	r.source = host; /* the caller's, which is kept */
	ck_assert_int_eq(route_lookup(net.s, &net.us, &r), 0);
	ck_assert(addr_eq(&r.source, &host));
	ck_assert_int_eq(lookup(&net, &net.us, &r), 0);
	ck_assert(addr_eq(&r.source, &net.us));
	ck_assert_int_eq(stack_address_remove(net.s, &net.us), 0);
	ck_assert_int_eq(lookup(&net, &net.us, &r), -ENETUNREACH);
	net_end(&net);
}
END_TEST

START_TEST(routes_that_cannot_be)
{
	struct stack_addr gateway = addr_of(0, 254), far = addr_of(9, 9), broadcast = addr_of(0, 255);
	struct stack_addr net24 = addr_of(7, 0), host_bits = addr_of(7, 1);

	net_start(&net, NULL);
	ck_assert_int_eq(stack_route_add(net.s, &net24, 24, &far), -ENETUNREACH);
	ck_assert_int_eq(stack_route_add(net.s, &net24, 24, &net.us), -ENETUNREACH);
	ck_assert_int_eq(stack_route_add(net.s, &net24, 24, &broadcast), -ENETUNREACH);
	ck_assert_int_eq(stack_route_add(net.s, &host_bits, 24, &gateway), -EINVAL);
	ck_assert_int_eq(stack_route_add(net.s, &net24, 33, &gateway), -EINVAL);
	ck_assert_int_eq(stack_route_add(net.s, &net24, 24, &gateway), 0);
	ck_assert_int_eq(stack_route_add(net.s, &net24, 24, &gateway), -EEXIST);
	net_end(&net);
}
END_TEST

START_TEST(an_address_takes_its_routes_with_it)
{
	struct stack_addr gateway = addr_of(0, 254);
	struct stack_route_info info;
	struct route_result r;

	net_start(&net, NULL);
	ck_assert_int_eq(stack_route_add(net.s, &nowhere, 0, &gateway), 0);
	ck_assert(stack_route_get(net.s, 1, &info) && !stack_route_get(net.s, 2, &info));
	ck_assert_int_eq(stack_address_remove(net.s, &net.us), 0);
	ck_assert(!stack_route_get(net.s, 0, &info));
	ck_assert_int_eq(lookup(&net, &net.peer, &r), -ENETUNREACH);
	ck_assert_int_eq(stack_address_remove(net.s, &net.us), -EADDRNOTAVAIL);
	net_end(&net);
}
END_TEST

/* What was found out for one packet of a row holds for the next only as long as our addresses stay. */
START_TEST(packets_in_a_row_are_checked_when_addresses_change)
{
	net_start(&net, NULL);
	for (unsigned i = 0; i < 3; i++)
		feed_udp(&net, &net.peer, &net.us, 9, "x", 1);
	ck_assert_uint_eq(count_of(&net, "ip4.in_not_ours") + count_of(&net, "ip4.in_bad_source"), 0);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &net.peer, 24), 0); /* now the packet is from ourselves */
	feed_udp(&net, &net.peer, &net.us, 9, "x", 1);
	ck_assert_uint_eq(count_of(&net, "ip4.in_bad_source"), 1);
	ck_assert_int_eq(stack_address_remove(net.s, &net.peer), 0);
	feed_udp(&net, &net.peer, &net.us, 9, "x", 1);
	ck_assert_int_eq(stack_address_remove(net.s, &net.us), 0);
	feed_udp(&net, &net.peer, &net.us, 9, "x", 1);
	ck_assert_uint_eq(count_of(&net, "ip4.in_not_ours"), 1);
	net_end(&net);
}
END_TEST

START_TEST(addresses_that_cannot_be)
{
	static const struct { uint8_t a[4], prefix; int error; } row[] = {
		{{0, 0, 0, 0}, 24, -EINVAL}, {{127, 0, 0, 1}, 8, -EINVAL}, {{224, 0, 0, 1}, 24, -EINVAL},
		{{255, 255, 255, 255}, 32, -EINVAL}, {{198, 18, 5, 255}, 24, -EINVAL}, {{198, 18, 5, 0}, 24, -EINVAL},
		{{198, 18, 5, 1}, 33, -EINVAL}, {{198, 18, 5, 1}, 255, -EINVAL}, {{198, 18, 0, 2}, 24, -EEXIST},
		{{198, 18, 6, 0}, 31, 0}, {{198, 18, 6, 255}, 32, 0},
	};

	net_start(&net, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct stack_addr a = stack_addr_v4(row[i].a);

		ck_assert_msg(stack_address_add(net.s, net.now, &a, row[i].prefix) == row[i].error, "row %zu", i);
	}
	net_end(&net);
}
END_TEST

START_TEST(several_addresses)
{
	struct stack_addr second = addr_of(1, 2), neighbour = addr_of(1, 9), third = addr_of(0, 3);
	struct stack_addr more;
	struct route_result r;

	net_start(&net, NULL);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &second, 24), 0);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &third, 24), 0);
	ck_assert_int_eq(lookup(&net, &neighbour, &r), 0);
	ck_assert(addr_eq(&r.source, &second));
	ck_assert_int_eq(lookup(&net, &third, &r), 0);
	ck_assert(r.loopback);
	for (uint8_t i = 3; i < ADDRESS_MAX; i++) {
		more = addr_of(2, i);
		ck_assert_int_eq(stack_address_add(net.s, net.now, &more, 32), 0);
	}
	more = addr_of(3, 1);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &more, 32), -ENOSPC);
	ck_assert_int_eq(stack_address_remove(net.s, &second), 0); /* and only what goes through it */
	ck_assert_int_eq(lookup(&net, &neighbour, &r), -ENETUNREACH);
	ck_assert_int_eq(lookup(&net, &net.peer, &r), 0);
	net_end(&net);
}
END_TEST

START_TEST(kinds_of_destination)
{
	static const uint8_t group[4] = {239, 1, 2, 3};
	struct stack_addr directed = addr_of(0, 255), limited = stack_addr_v4(broadcast_mac);
	struct stack_addr multicast = stack_addr_v4(group), pair = addr_of(6, 0), other = addr_of(6, 1);
	struct ip_params params = {.dst = directed, .proto = 99, .ttl = 1};
	struct route_result r;
	struct tx tx;

	net_start(&net, NULL);
	ck_assert(lookup(&net, &directed, &r) == 0 && r.broadcast && addr_eq(&r.source, &net.us));
	ck_assert(lookup(&net, &limited, &r) == 0 && r.broadcast);
	ck_assert(lookup(&net, &multicast, &r) == 0 && r.broadcast);
	ck_assert(lookup(&net, &net.us, &r) == 0 && r.loopback);
	ck_assert_int_eq(lookup(&net, &nowhere, &r), -ENETUNREACH);
	tx_init(&tx);
	ck_assert_int_eq(ip_output(net.s, &tx, &params), -EACCES);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &pair, 31), 0); /* RFC 3021 */
	ck_assert(lookup(&net, &other, &r) == 0 && !r.broadcast);
	net_end(&net);
}
END_TEST

/* ---- the rate limit by itself ---- */

START_TEST(token_bucket)
{
	struct limit l = {0};
	unsigned allowed = 0;

	for (int i = 0; i < 100; i++)
		allowed += limit_allow(&l, SECONDS(5), 10, 7);
	ck_assert_uint_eq(allowed, 7);
	for (int i = 1; i <= 1000; i++)
		allowed += limit_allow(&l, SECONDS(5) + MILLISECONDS(10) * (stack_time)i, 10, 7);
	ck_assert_uint_eq(allowed, 7 + 100);
	ck_assert(!limit_allow(&l, SECONDS(1), 10, 7)); /* time that goes back brings nothing */
	allowed = 0;
	for (int i = 0; i < 100; i++)
		allowed += limit_allow(&l, UINT64_MAX - 1, UINT32_MAX, 7);
	ck_assert_uint_eq(allowed, 7);
}
END_TEST

static void add_ip(Suite *s)
{
	suite_add(s, "I1 malformed headers", row_I1_malformed_headers);
	suite_add(s, "I1 padding is cut off", row_I1_padding_is_cut_off);
	suite_add(s, "I2 impossible sources", row_I2_impossible_sources);
	suite_add(s, "I2 LAND", row_I2_land);
	suite_add(s, "destinations that are not ours", destinations_that_are_not_ours);
	suite_add(s, "I3 options", row_I3_options);
	suite_add(s, "I3 errors quote a bounded part", row_I3_errors_quote_a_bounded_part);
	suite_add(s, "I6 unknown protocols", row_I6_unknown_protocols);
}

static void add_fragments(Suite *s)
{
	suite_add(s, "a mark on any fragment marks the datagram", a_mark_on_any_fragment_marks_the_datagram);
	suite_add(s, "fragments in any order", fragments_in_any_order);
	suite_add(s, "the largest datagram", the_largest_datagram);
	suite_add(s, "datagrams do not mix", datagrams_do_not_mix);
	suite_add(s, "I4 overlaps drop the datagram", row_I4_overlaps_drop_the_datagram);
	suite_add(s, "I4 same place, other bytes", row_I4_same_place_other_bytes);
	suite_add(s, "I4 impossible pieces", row_I4_impossible_pieces);
	suite_add(s, "I4 TCP header in pieces", row_I4_tcp_header_in_pieces);
	suite_add(s, "I4 too many fragments", row_I4_too_many_fragments);
	suite_add(s, "I5 timeout is reported", row_I5_timeout_is_reported);
	suite_add(s, "I5 a source crowds out only itself", row_I5_a_source_crowds_out_only_itself);
	suite_add(s, "I5 share of bytes", row_I5_share_of_bytes);
	suite_add(s, "I5 many sources are bounded", row_I5_many_sources_are_bounded);
	suite_add(s, "I5 small budget holds", row_I5_small_budget_holds);
	suite_add(s, "I5 the largest user pays", row_I5_the_largest_user_pays);
	suite_add(s, "I5 small datagrams spare a large one", row_I5_small_datagrams_spare_a_large_one);
}

static void add_icmp(Suite *s)
{
	suite_add(s, "echo of any size", echo_of_any_size);
	suite_add(s, "echo of 64 KiB", echo_of_64_kib);
	suite_add(s, "C1 short messages", row_C1_short_messages);
	suite_add(s, "C1 bad checksum", row_C1_bad_checksum);
	suite_add(s, "C2 no answer", row_C2_no_answer);
	suite_add(s, "C3 answers are limited", row_C3_answers_are_limited);
	suite_add(s, "C3 the limit cannot be measured", row_C3_the_limit_cannot_be_measured);
	suite_add(s, "C3 the limit refills", row_C3_the_limit_refills);
	suite_add(s, "redirect, quench and unknown types are ignored", redirect_quench_and_unknown_types_are_ignored);
}

static void add_sending(Suite *s)
{
	suite_add(s, "large datagrams are fragmented", large_datagrams_are_fragmented);
	suite_add(s, "what must not be fragmented is refused", what_must_not_be_fragmented_is_refused);
	suite_add(s, "identifications differ", identifications_differ);
	suite_add(s, "UDP checksum zero is sent as ones", udp_checksum_zero_is_sent_as_ones);
	suite_add(s, "segments are cut in software", segments_are_cut_in_software);
	suite_add(s, "segments are left to the link", segments_are_left_to_the_link);
	suite_add(s, "a link that takes nothing is counted", a_link_that_takes_nothing_is_counted);
	suite_add(s, "a bare IP link", a_bare_ip_link);
	suite_add(s, "packets to ourselves", packets_to_ourselves);
	suite_add(s, "large segments to ourselves stay large", large_segments_to_ourselves_stay_large);
	suite_add(s, "loopback is bounded", loopback_is_bounded);
	suite_add(s, "token bucket", token_bucket);
}

/* A source and a destination of zeros are no pair that was looked at before (row I2). */
START_TEST(row_I2_nobody_to_nobody_is_dropped)
{
	static const uint8_t zeros[4];
	const struct stack_addr nobody = stack_addr_v4(zeros);
	uint64_t dropped;

	net_start(&net, NULL);
	know_peer(&net);
	stack_address_remove(net.s, &net.us);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &net.us, 24), 0);
	dropped = count_of(&net, "ip4.in_bad_source") + count_of(&net, "ip4.in_not_ours");
	feed_icmp(&net, &nobody, &nobody, ICMP_ECHO, 0, 1, "ping", 4);
	ck_assert_uint_eq(count_of(&net, "ip4.in_bad_source") + count_of(&net, "ip4.in_not_ours"), dropped + 1);
	net_end(&net);
}
END_TEST

START_TEST(a_prefix_without_a_broadcast_address_has_none)
{
	static const uint8_t zeros[4];
	const struct stack_addr nobody = stack_addr_v4(zeros);
	uint64_t dropped;

	net_start_bare(&net, NULL);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &net.us, 32), 0);
	net_pass(&net, SECONDS(5));
	dropped = count_of(&net, "ip4.in_not_ours");
	feed_udp(&net, &net.peer, &nobody, 7777, "x", 1);
	ck_assert_uint_eq(count_of(&net, "ip4.in_not_ours"), dropped + 1);
	net_end(&net);
}
END_TEST

static void add_routes(Suite *s)
{
	suite_add(s, "longest prefix wins", longest_prefix_wins);
	suite_add(s, "a way ends with its route and its address", a_way_ends_with_its_route_and_its_address);
	suite_add(s, "routes that cannot be", routes_that_cannot_be);
	suite_add(s, "an address takes its routes with it", an_address_takes_its_routes_with_it);
	suite_add(s, "packets in a row are checked when addresses change", packets_in_a_row_are_checked_when_addresses_change);
	suite_add(s, "addresses that cannot be", addresses_that_cannot_be);
	suite_add(s, "several addresses", several_addresses);
	suite_add(s, "kinds of destination", kinds_of_destination);
	suite_add(s, "I2: nobody to nobody is dropped", row_I2_nobody_to_nobody_is_dropped);
	suite_add(s, "a prefix without a broadcast address has none", a_prefix_without_a_broadcast_address_has_none);
}

int main(void)
{
	Suite *s = suite_create("net");

	add_ip(s);
	add_fragments(s);
	add_icmp(s);
	add_sending(s);
	add_routes(s);
	return suite_run(s);
}
