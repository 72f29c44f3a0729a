/*
 * Many UDP datagrams with one header: what an owner sends with UDP_SEGMENT is cut by the link or
 * by ourselves, and what the link brings merged reaches its reader one by one, or together with
 * UDP_GRO. What a link says of a frame may be wrong.
 */
#include "net_fixture.h"

#include <errno.h>
#include <linux/udp.h>
#include <netinet/in.h>

#define SIZE 1200u
#define LONG (7 * SIZE + 300) /* seven and a shorter one */

static struct net net;
static uint8_t data[65536], got[65536];
static unsigned offload_now;
static bool had[65536]; /* identifications */

static void with_offload(struct stack_config *c)
{
	c->link = STACK_LINK_IP;
	c->offload = offload_now;
}

static void start(unsigned offload)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 200);
	offload_now = offload;
	memset(had, 0, sizeof(had));
	net_start(&net, with_offload);
}

static void end(struct sock *sock)
{
	stack_close(sock, net.now);
	net_end(&net);
}

/* A socket with the peer's port 5000 for a peer. */
static struct sock *to_peer(void)
{
	struct stack_endpoint remote = {net.peer, 5000};
	struct sock *sock = udp_bound(&net, 7000);

	ck_assert_int_eq(stack_connect(&sock, net.now, &remote), 0);
	return sock;
}

static ptrdiff_t send_cut(struct sock *sock, uint16_t segment, size_t len)
{
	struct stack_departure how = {.tos = -1, .has_segment = true, .segment = segment};

	return stack_sendmsg(sock, net.now, NULL, &how, data, len);
}

/* ---- out ---- */

/* Finishes a checksum as a link would that was asked to. */
static void link_sums(struct capture *c)
{
	uint8_t *p = c->data + c->out.csum_start;

	if (c->out.csum_partial)
		store16(p + c->out.csum_offset, checksum_finish(checksum_add(0, p, c->len - c->out.csum_start)));
}



/* The next frame must be one datagram: these bytes, a good checksum, an identification that none had unless it has DF. */
static void take_datagram(const uint8_t *bytes, size_t size)
{
	struct capture *c = &net.sent[net.read % CAPTURE_MAX];
	struct ip4_header ip;
	struct udp_header h;
	const uint8_t *p;
	size_t len;

	link_sums(c);
	ck_assert_uint_eq(c->out.gso_size, 0);
	p = take_ip(&net, &ip, &len);
	ck_assert(ip.dont_fragment || !had[ip.id]);
	had[ip.id] |= !ip.dont_fragment;
	ck_assert_ptr_null(udp_parse(p, len, &net.us, &net.peer, false, &h));
	ck_assert_uint_ne(load16(p + 6), 0);
	ck_assert_uint_eq(h.len, UDP_HEADER + size);
	ck_assert_uint_eq(len, h.len);
	ck_assert_uint_eq(h.sport, 7000);
	ck_assert_uint_eq(h.dport, 5000);
	ck_assert_mem_eq(p + UDP_HEADER, bytes, size);
}

static void take_row(size_t len, size_t size)
{
	for (size_t at = 0; at < len; at += size)
		take_datagram(data + at, min_size(size, len - at));
	expect_silence(&net);
}

START_TEST(a_row_is_cut_in_software)
{
	static const unsigned offload[] = {0, STACK_OFFLOAD_CSUM, STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4};

	for (size_t i = 0; i < ARRAY_SIZE(offload); i++) {
		start(offload[i]);
		struct sock *sock = to_peer();
		ck_assert_int_eq(send_cut(sock, SIZE, LONG), LONG);
		ck_assert_uint_eq(net.count - net.read, 8);
		take_row(LONG, SIZE);
		ck_assert_uint_eq(count_of(&net, "udp.out"), 8);
		ck_assert_uint_eq(count_of(&net, "link.segmented"), 1);
		ck_assert_int_eq(send_cut(sock, SIZE, 2 * SIZE), 2 * SIZE); /* no shorter one */
		ck_assert_int_eq(send_cut(sock, 1, 3), 3);
		for (size_t at = 0; at < 2 * SIZE; at += SIZE)
			take_datagram(data + at, SIZE);
		take_row(3, 1);
		end(sock);
	}
}
END_TEST

START_TEST(no_two_datagrams_of_rows_have_one_identification)
{
	start(0);
	struct sock *sock = to_peer();

	set_int(&net, sock, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(send_cut(sock, 10, 75), 75);
		take_row(75, 10);
	}
	end(sock);
}
END_TEST

/* As the host does: a row of more than the path's MTU has DF only where the socket insists. */
START_TEST(df_of_rows)
{
	static const struct { int discover; bool small, large; } row[] = {
		{IP_PMTUDISC_DONT, false, false}, {IP_PMTUDISC_WANT, true, false}, {IP_PMTUDISC_DO, true, true},
		{IP_PMTUDISC_PROBE, true, true}, {IP_PMTUDISC_INTERFACE, false, false}, {IP_PMTUDISC_OMIT, false, false},
	};

	start(0);
	struct sock *sock = to_peer();
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		set_int(&net, sock, IPPROTO_IP, IP_MTU_DISCOVER, row[i].discover);
		ck_assert_int_eq(send_cut(sock, 100, 300), 300);
		ck_assert_int_eq(send_cut(sock, SIZE, LONG), LONG);
		for (unsigned k = 0; k < 3 + 8; k++) {
			struct ip4_header ip;
			size_t len;

			take_ip(&net, &ip, &len);
			ck_assert_msg(ip.dont_fragment == (k < 3 ? row[i].small : row[i].large), "%d, datagram %u", row[i].discover, k);
		}
	}
	end(sock);
}
END_TEST

START_TEST(a_row_is_left_to_the_link)
{
	start(STACK_OFFLOAD_CSUM | STACK_OFFLOAD_USO4);
	struct sock *sock = to_peer();
	struct capture *c = &net.sent[net.read % CAPTURE_MAX];
	struct udp_header h;

	ck_assert_int_eq(send_cut(sock, SIZE, LONG), LONG);
	ck_assert_uint_eq(net.count - net.read, 1);
	ck_assert(c->out.csum_partial && c->out.gso_udp);
	ck_assert_uint_eq(c->out.gso_size, SIZE);
	ck_assert_uint_eq(c->out.header_len, IP4_HEADER + UDP_HEADER);
	ck_assert_uint_eq(c->out.csum_start, IP4_HEADER);
	ck_assert_uint_eq(c->out.csum_offset, 6);
	link_sums(c);
	ck_assert_ptr_null(udp_parse(c->data + IP4_HEADER, c->len - IP4_HEADER, &net.us, &net.peer, false, &h));
	ck_assert_uint_eq(h.len, UDP_HEADER + LONG);
	ck_assert_uint_eq(count_of(&net, "link.segmented"), 0);
	forget(&net);
	ck_assert_int_eq(send_cut(sock, SIZE, SIZE), SIZE); /* a single one is cut by nobody */
	take_row(SIZE, SIZE);
	end(sock);
}
END_TEST

START_TEST(a_call_or_the_socket_says_the_size)
{
	start(0);
	struct sock *sock = to_peer();

	set_int(&net, sock, IPPROTO_UDP, UDP_SEGMENT, 500);
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, data, 1300), 1300);
	take_row(1300, 500);
	ck_assert_int_eq(send_cut(sock, 600, 1300), 1300);
	take_row(1300, 600);
	ck_assert_int_eq(send_cut(sock, 0, 1300), 1300); /* none, whatever the socket has */
	take_row(1300, 1300);
	set_int(&net, sock, IPPROTO_UDP, UDP_SEGMENT, 0);
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, data, 1300), 1300);
	take_row(1300, 1300);
	end(sock);
}
END_TEST

START_TEST(rows_that_are_refused)
{
	start(0);
	struct sock *sock = to_peer();

	ck_assert_int_eq(send_cut(sock, 1473, 1473), -EMSGSIZE); /* a datagram of that size would be fragmented */
	ck_assert_int_eq(send_cut(sock, 1473, 2000), -EMSGSIZE);
	ck_assert_int_eq(send_cut(sock, 1473, 1000), 1000);
	take_row(1000, 1000);
	ck_assert_int_eq(send_cut(sock, 1472, 2000), 2000);
	take_row(2000, 1472);
	ck_assert_int_eq(send_cut(sock, 10, 10 * STACK_UDP_SEGMENTS + 1), -EINVAL);
	ck_assert_int_eq(send_cut(sock, 10, 10 * STACK_UDP_SEGMENTS), 10 * STACK_UDP_SEGMENTS);
	take_row(10 * STACK_UDP_SEGMENTS, 10);
	ck_assert_int_eq(send_cut(sock, 1400, 65508), -EMSGSIZE);
	ck_assert_int_eq(send_cut(sock, 1400, 65507), 65507);
	take_row(65507, 1400);
	end(sock);
}
END_TEST

START_TEST(options_as_the_host_has_them)
{
	static const int bad[] = {-1, 65536};
	int value = 7;
	size_t len = sizeof(value);

	start(0);
	struct sock *sock = to_peer(), *tcp = stack_socket(net.s, STACK_TCP, 0, NULL), *ping = stack_socket(net.s, STACK_PING, 0, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(stack_setsockopt(sock, net.now, IPPROTO_UDP, UDP_SEGMENT, &bad[i], sizeof(bad[i])), -EINVAL);
	ck_assert_int_eq(stack_setsockopt(sock, net.now, IPPROTO_UDP, UDP_SEGMENT, &value, 2), -EINVAL);
	ck_assert_int_eq(stack_getsockopt(sock, net.now, IPPROTO_UDP, UDP_SEGMENT, &value, &len), 0);
	ck_assert_int_eq(value, 0);
	set_int(&net, sock, IPPROTO_UDP, UDP_SEGMENT, 65535);
	ck_assert_int_eq(stack_getsockopt(sock, net.now, IPPROTO_UDP, UDP_SEGMENT, &value, &len), 0);
	ck_assert_int_eq(value, 65535);
	set_int(&net, sock, IPPROTO_UDP, UDP_GRO, 9);
	ck_assert_int_eq(stack_getsockopt(sock, net.now, IPPROTO_UDP, UDP_GRO, &value, &len), 0);
	ck_assert_int_eq(value, 1);
	ck_assert_int_eq(stack_setsockopt(tcp, net.now, IPPROTO_UDP, UDP_SEGMENT, &value, sizeof(value)), -ENOPROTOOPT);
	ck_assert_int_eq(stack_setsockopt(ping, net.now, IPPROTO_UDP, UDP_GRO, &value, sizeof(value)), -ENOPROTOOPT);
	stack_close(tcp, net.now);
	stack_close(ping, net.now);
	end(sock);
}
END_TEST

/* ---- in ---- */

/* A frame to our port 7000 of which the link says this. */
static void feed_merged(size_t payload, uint16_t gso_size, bool gso_udp)
{
	struct ip4_header ip = {.src = net.peer, .dst = net.us, .header_len = IP4_HEADER, .ttl = 64, .proto = IP_PROTO_UDP,
				.total_len = (uint16_t)(IP4_HEADER + UDP_HEADER + payload)};
	struct udp_header h = {.sport = 5000, .dport = 7000, .len = (uint16_t)(UDP_HEADER + payload)};
	uint8_t *p = malloc(ip.total_len); /* exactly, so that the sanitizer sees reads past the end */
	struct stack_frame frame = {.data = p, .len = ip.total_len, .csum_good = true, .gso_size = gso_size, .gso_udp = gso_udp};

	ip4_write(p, &ip);
	udp_write(p + IP4_HEADER, &h, 0x1234);
	memcpy(p + IP4_HEADER + UDP_HEADER, data, payload);
	stack_input(net.s, net.now, &frame);
	net_run(&net);
	free(p);
}

/* The next of the socket's datagrams is these bytes; `segment` as UDP_GRO tells it. */
static void expect(struct sock *sock, const uint8_t *bytes, size_t len, uint16_t segment)
{
	struct stack_arrival how;

	ck_assert_int_eq(stack_recvmsg(sock, got, sizeof(got), NULL, &how), (ptrdiff_t)len);
	ck_assert_mem_eq(got, bytes, len);
	ck_assert_uint_eq(how.segment, segment);
}

static void expect_row(struct sock *sock, size_t len, size_t size)
{
	for (size_t at = 0; at < len; at += size)
		expect(sock, data + at, min_size(size, len - at), 0);
	ck_assert_int_eq(stack_recvfrom(sock, got, sizeof(got), NULL), -EAGAIN);
}

START_TEST(a_merged_frame_is_many_datagrams)
{
	start(0);
	struct sock *sock = udp_bound(&net, 7000);

	feed_merged(LONG, SIZE, true);
	expect_row(sock, LONG, SIZE);
	ck_assert_uint_eq(count_of(&net, "udp.in"), 8);
	ck_assert_uint_eq(count_of(&net, "ip4.in"), 1);
	feed_merged(STACK_UDP_SEGMENTS, 1, true);
	expect_row(sock, STACK_UDP_SEGMENTS, 1);
	end(sock);
}
END_TEST

START_TEST(who_asks_gets_them_together)
{
	start(0);
	struct sock *sock = udp_bound(&net, 7000);

	set_int(&net, sock, IPPROTO_UDP, UDP_GRO, 1);
	feed_merged(LONG, SIZE, true);
	feed_merged(100, 0, false);
	feed_merged(100, 100, true); /* a single one */
	expect(sock, data, LONG, SIZE);
	expect(sock, data, 100, 0);
	expect(sock, data, 100, 0);
	ck_assert_uint_eq(count_of(&net, "udp.in"), 10);
	end(sock);
}
END_TEST

static unsigned offered, taken_at_most;

static bool offer(void *context, struct sock *sock, void *user, const struct stack_endpoint *from,
		  const struct stack_arrival *how, const void *bytes, size_t len)
{
	(void)context, (void)sock, (void)user, (void)from;
	if (offered == taken_at_most)
		return false;
	ck_assert_uint_eq(how->segment, 0);
	ck_assert_mem_eq(bytes, data + offered * SIZE, len);
	offered++;
	return true;
}

START_TEST(what_the_reader_does_not_take_of_a_row_waits_in_order)
{
	start(0);
	net.s->ops.datagram = offer;
	offered = 0;
	taken_at_most = 3;
	struct sock *sock = udp_bound(&net, 7000);

	feed_merged(LONG, SIZE, true);
	ck_assert_uint_eq(offered, 3);
	for (size_t at = 3 * SIZE; at < LONG; at += SIZE)
		expect(sock, data + at, min_size(SIZE, LONG - at), 0);
	end(sock);
}
END_TEST

START_TEST(a_link_that_says_what_is_not_so)
{
	start(0);
	struct sock *sock = udp_bound(&net, 7000);

	feed_merged(LONG, 0, true); /* merged of nothing: it is one */
	expect(sock, data, LONG, 0);
	feed_merged(LONG, 65535, true);
	expect(sock, data, LONG, 0);
	feed_merged(LONG, SIZE, false); /* segments of TCP, it says */
	expect(sock, data, LONG, 0);
	feed_merged(0, SIZE, true);
	expect(sock, data, 0, 0);
	ck_assert_uint_eq(count_of(&net, "udp.in_bad"), 0);
	feed_merged(STACK_UDP_SEGMENTS + 1, 1, true);
	feed_merged(65507, 1, true);
	ck_assert_uint_eq(count_of(&net, "udp.in_bad"), 2);
	ck_assert_int_eq(stack_recvfrom(sock, got, sizeof(got), NULL), -EAGAIN);
	expect_silence(&net);
	end(sock);
}
END_TEST

START_TEST(nobody_is_told_once)
{
	start(0);
	feed_merged(LONG, SIZE, true);
	ck_assert_uint_eq(net.count - net.read, 1); /* one frame came, one "port unreachable" goes */
	forget(&net);
	net_end(&net);
}
END_TEST

START_TEST(a_row_to_ourselves)
{
	start(0);
	struct sock *sock = udp_bound(&net, 7000), *from = udp_bound(&net, 7001);
	struct stack_endpoint to = {net.us, 7000};
	struct stack_departure how = {.tos = -1, .has_segment = true, .segment = 2000}; /* no link has a say in it */

	ck_assert_int_eq(stack_sendmsg(from, net.now, &to, &how, data, 9000), 9000);
	net_run(&net);
	expect_row(sock, 9000, 2000);
	set_int(&net, sock, IPPROTO_UDP, UDP_GRO, 1);
	ck_assert_int_eq(stack_sendmsg(from, net.now, &to, &how, data, 9000), 9000);
	net_run(&net);
	expect(sock, data, 9000, 2000);
	stack_close(from, net.now);
	end(sock);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("segment");

	suite_add(s, "a row is cut in software", a_row_is_cut_in_software);
	suite_add(s, "no two datagrams of rows have one identification", no_two_datagrams_of_rows_have_one_identification);
	suite_add(s, "DF of rows", df_of_rows);
	suite_add(s, "a row is left to the link", a_row_is_left_to_the_link);
	suite_add(s, "a call or the socket says the size", a_call_or_the_socket_says_the_size);
	suite_add(s, "rows that are refused", rows_that_are_refused);
	suite_add(s, "options as the host has them", options_as_the_host_has_them);
	suite_add(s, "a merged frame is many datagrams", a_merged_frame_is_many_datagrams);
	suite_add(s, "who asks gets them together", who_asks_gets_them_together);
	suite_add(s, "what the reader does not take of a row waits in order", what_the_reader_does_not_take_of_a_row_waits_in_order);
	suite_add(s, "a link that says what is not so", a_link_that_says_what_is_not_so);
	suite_add(s, "nobody is told once", nobody_is_told_once);
	suite_add(s, "a row to ourselves", a_row_to_ourselves);
	return suite_run(s);
}
