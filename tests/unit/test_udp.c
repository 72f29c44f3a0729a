/*
 * UDP sockets (rows U1 to U3, RFC 1122 4.1): delivery, queues and their budgets, errors from
 * ICMP, and what a caller may ask for.
 */
#include "net_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct net net;
static uint8_t data[65536];

static struct stack_endpoint at(const struct stack_addr *addr, uint16_t port)
{
	return (struct stack_endpoint){*addr, port};
}

/* A datagram to our port 7000 with the header's bytes in the test's hand. */
static void feed_from(struct net *n, uint16_t sport, uint16_t len_field, uint16_t checksum, size_t payload)
{
	struct udp_header h = {.sport = sport, .dport = 7000, .len = len_field};
	uint8_t p[256] = {0};

	udp_write(p, &h, checksum);
	feed_ip(n, (struct ip4_header){.src = n->peer, .dst = n->us, .proto = IP_PROTO_UDP}, p, UDP_HEADER + payload);
}

static void feed_header(struct net *n, uint16_t len_field, uint16_t checksum, size_t payload)
{
	feed_from(n, 5000, len_field, checksum, payload);
}

/* ---- U1 ---- */

START_TEST(row_U1_lengths_and_checksums)
{
	struct sock *sock;
	uint8_t zero[8] = {0};

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	for (uint16_t len = 0; len < UDP_HEADER; len++)
		feed_header(&net, len, 0, 20);
	feed_header(&net, UDP_HEADER + 21, 0, 20); /* above the packet's */
	feed_header(&net, 65535, 0, 20);
	for (size_t len = 0; len < UDP_HEADER; len++)
		feed_ip(&net, (struct ip4_header){.src = net.peer, .dst = net.us, .proto = IP_PROTO_UDP}, zero, len);
	feed_udp(&net, &net.peer, &net.us, 0, "x", 1); /* port 0 */
	ck_assert_uint_eq(count_of(&net, "udp.in_bad"), 8 + 2 + 8 + 1);
	feed_header(&net, UDP_HEADER + 20, 0x1234, 20);
	ck_assert_uint_eq(count_of(&net, "udp.in_bad_checksum"), 1);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), -EAGAIN);
	expect_silence(&net);
	feed_header(&net, UDP_HEADER + 10, 0, 20); /* no checksum; what is behind the length is no payload */
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 10);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* ---- U2 ---- */

/* RFC 768: nobody waits for an answer. */
START_TEST(from_port_0_is_delivered)
{
	struct stack_endpoint from;
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	feed_from(&net, 0, UDP_HEADER + 20, 0, 20);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), &from), 20);
	ck_assert_uint_eq(from.port, 0);
	ck_assert_int_eq(stack_sendto(sock, net.now, &from, data, 1), -EINVAL);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(row_U2_closed_port)
{
	struct stack_addr directed = addr_of(0, 255);
	struct icmp4_header h;
	struct ip4_header quoted;
	const uint8_t *p;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	feed_udp(&net, &net.peer, &net.us, 7000, "hello", 5);
	p = take_icmp(&net, &h, &len);
	ck_assert_uint_eq(h.type, ICMP_UNREACHABLE);
	ck_assert_uint_eq(h.code, ICMP_PORT_UNREACHABLE);
	ck_assert_uint_eq(len, 20 + 8 + 5);
	ck_assert_ptr_null(ip4_parse(p, len, &quoted));
	ck_assert_mem_eq(p + 28, "hello", 5);
	feed_udp(&net, &net.peer, &directed, 7000, "hello", 5);
	expect_silence(&net);
	ck_assert_uint_eq(count_of(&net, "udp.in_no_port"), 2);
	for (int i = 0; i < 2000; i++)
		feed_udp(&net, &net.peer, &net.us, 7000, "hello", 5);
	ck_assert_uint_le(count_of(&net, "icmp.errors_out"), net.s->cfg.icmp_burst);
	ck_assert_uint_ge(count_of(&net, "icmp.rate_limited"), 1800);
	net_end(&net);
}
END_TEST

/* ---- U3 ---- */

static uint64_t drops_of(struct net *n, const struct sock *sock)
{
	struct stack_sock_info info;

	ck_assert(stack_find(n->s, stack_id(sock), &info));
	return info.drops;
}

START_TEST(row_U3_faster_than_the_reader)
{
	struct sock *slow, *other;
	uint64_t taken = 0;

	net_start(&net, NULL);
	slow = udp_bound(&net, 7000);
	other = udp_bound(&net, 7001);
	set_int(&net, slow, SOL_SOCKET, SO_RCVBUF, 5000);
	for (int i = 0; i < 1000; i++)
		feed_udp(&net, &net.peer, &net.us, 7000, data, 500);
	ck_assert_uint_le(memory_of(&net, MEM_RECV), 10000);
	feed_udp(&net, &net.peer, &net.us, 7001, "fine", 4);
	ck_assert_int_eq(stack_recvfrom(other, data, sizeof(data), NULL), 4);
	ck_assert_uint_eq(drops_of(&net, other), 0);
	while (stack_recvfrom(slow, data, sizeof(data), NULL) == 500)
		taken++;
	ck_assert_uint_ge(taken, 15);
	ck_assert_uint_eq(drops_of(&net, slow), 1000 - taken);
	ck_assert_uint_eq(count_of(&net, "udp.in_queue_full"), 1000 - taken);
	ck_assert_uint_eq(count_of(&net, "udp.in"), taken + 1);
	feed_udp(&net, &net.peer, &net.us, 7000, data, 500); /* and there is room again */
	ck_assert_int_eq(stack_recvfrom(slow, data, sizeof(data), NULL), 500);
	stack_close(slow, net.now);
	stack_close(other, net.now);
	net_end(&net);
}
END_TEST

static void one_megabyte(struct stack_config *c)
{
	c->mem_total = 1u << 20;
}

/* Each of these sockets may hold as much as the whole stack has: another still gets its datagrams. */
START_TEST(row_U3_a_full_queue_leaves_memory_to_others)
{
	struct sock *slow[4], *other;

	net_start(&net, one_megabyte);
	for (uint16_t i = 0; i < ARRAY_SIZE(slow); i++)
		slow[i] = udp_bound(&net, (uint16_t)(7000 + i));
	other = udp_bound(&net, 8000);
	for (uint16_t i = 0; i < ARRAY_SIZE(slow); i++)
		for (unsigned n = 0; n < 2000; n++)
			feed_udp(&net, &net.peer, &net.us, (uint16_t)(7000 + i), data, 1000);
	feed_udp(&net, &net.peer, &net.us, 8000, data, 1400);
	ck_assert_int_eq(stack_recvfrom(other, data, sizeof(data), NULL), 1400);
	for (uint16_t i = 0; i < ARRAY_SIZE(slow); i++)
		stack_close(slow[i], net.now);
	stack_close(other, net.now);
	net_end(&net);
}
END_TEST

START_TEST(row_U3_empty_datagrams_cost_too)
{
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	set_int(&net, sock, SOL_SOCKET, SO_RCVBUF, 5000);
	for (int i = 0; i < 1000; i++)
		feed_udp(&net, &net.peer, &net.us, 7000, NULL, 0);
	ck_assert_uint_le(memory_of(&net, MEM_RECV), 10000);
	ck_assert_uint_gt(drops_of(&net, sock), 500);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 0);
	stack_close(sock, net.now); /* with the rest unread: net_end looks for it */
	net_end(&net);
}
END_TEST

/* ---- delivery ---- */

START_TEST(order_and_sender_are_kept)
{
	struct stack_endpoint from;
	struct stack_event e;
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	feed_udp(&net, &net.peer, &net.us, 7000, "first", 5);
	feed_udp(&net, &net.peer, &net.us, 7000, "second", 6);
	ck_assert(stack_next_event(net.s, &e));
	ck_assert(e.sock == sock && e.events == STACK_EVENT_READABLE);
	ck_assert_int_eq(stack_recvfrom(sock, data, 2, &from), 5); /* cut, but the length is told */
	ck_assert_mem_eq(data, "fi", 2);
	ck_assert(addr_eq(&from.addr, &net.peer) && from.port == 5000);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 6);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), -EAGAIN);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* Connected before bound to an address before bound to any. */
START_TEST(the_most_exact_socket_gets_it)
{
	struct stack_addr second = addr_of(1, 2), other = addr_of(0, 9), directed = addr_of(0, 255);
	struct stack_endpoint any_7000 = {.port = 7000}, to_peer;
	struct sock *any, *bound, *connected;

	net_start(&net, NULL);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &second, 24), 0);
	connected = udp_bound(&net, 7000);
	to_peer = at(&net.peer, 5000);
	ck_assert_int_eq(stack_connect(&connected, net.now, &to_peer), 0);
	bound = udp_bound(&net, 7000);
	feed_udp(&net, &net.peer, &net.us, 7000, "x", 1);
	ck_assert_int_eq(stack_recvfrom(connected, data, 1, NULL), 1);
	feed_udp(&net, &other, &net.us, 7000, "x", 1);
	ck_assert_int_eq(stack_recvfrom(bound, data, 1, NULL), 1);
	stack_close(bound, net.now);
	any = stack_socket(net.s, STACK_UDP, 0, NULL);
	ck_assert_int_eq(stack_bind(any, &any_7000), 0);
	feed_udp(&net, &net.peer, &second, 7000, "x", 1);
	ck_assert_int_eq(stack_recvfrom(any, data, 1, NULL), 1);
	feed_udp(&net, &net.peer, &directed, 7000, "x", 1);
	ck_assert_int_eq(stack_recvfrom(any, data, 1, NULL), 1);
	ck_assert_int_eq(stack_recvfrom(connected, data, 1, NULL), -EAGAIN);
	stack_close(any, net.now);
	stack_close(connected, net.now);
	net_end(&net);
}
END_TEST

/* What the datagram op sees. */
static struct offer {
	unsigned count;
	bool take;
	size_t len;
	struct stack_endpoint from;
	struct stack_arrival how;
} offer;

static bool take_datagram(void *context, struct sock *sock, void *user, const struct stack_endpoint *from,
			  const struct stack_arrival *how, const void *bytes, size_t len)
{
	(void)context;
	(void)sock;
	(void)user;
	(void)bytes;
	offer.count++;
	offer.len = len;
	offer.from = *from;
	offer.how = *how;
	return offer.take;
}

START_TEST(datagrams_are_offered_first)
{
	struct stack_addr directed = addr_of(0, 255);
	struct stack_endpoint any_7000 = {.port = 7000};
	struct sock *sock;

	net_start(&net, NULL);
	net.s->ops.datagram = take_datagram;
	offer = (struct offer){.take = true};
	sock = stack_socket(net.s, STACK_UDP, 0, NULL);
	ck_assert_int_eq(stack_bind(sock, &any_7000), 0);
	feed_udp(&net, &net.peer, &directed, 7000, "nobody", 6); /* no user: stored */
	ck_assert_uint_eq(offer.count, 0);
	stack_set_user(sock, &net);
	feed_udp(&net, &net.peer, &directed, 7000, "behind it", 9); /* order is kept */
	ck_assert_uint_eq(offer.count, 0);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 6);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 9);
	feed_udp(&net, &net.peer, &directed, 7000, "offered", 7);
	ck_assert_uint_eq(offer.count, 1);
	ck_assert_uint_eq(offer.len, 7);
	ck_assert(addr_eq(&offer.from.addr, &net.peer) && offer.from.port == 5000);
	ck_assert(addr_eq(&offer.how.to, &directed));
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), -EAGAIN);
	offer.take = false;
	feed_udp(&net, &net.peer, &directed, 7000, "kept", 4);
	ck_assert_uint_eq(offer.count, 2);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 4);
	ck_assert_uint_eq(count_of(&net, "udp.in"), 4);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* ---- sending ---- */

START_TEST(sending_chooses_port_and_address)
{
	struct stack_endpoint to;
	struct stack_sock_info info;
	struct udp_header h;
	struct ip4_header ip;
	struct sock *sock;
	const uint8_t *p;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	to = at(&net.peer, 53);
	sock = stack_socket(net.s, STACK_UDP, 7, NULL);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "query", 5), 5);
	p = take_ip(&net, &ip, &len);
	ck_assert(addr_eq(&ip.src, &net.us));
	ck_assert_ptr_null(udp_parse(p, len, &ip.src, &ip.dst, false, &h));
	ck_assert_uint_eq(h.dport, 53);
	ck_assert_uint_ge(h.sport, net.s->cfg.port_first);
	ck_assert_mem_eq(p + UDP_HEADER, "query", 5);
	ck_assert(stack_find(net.s, stack_id(sock), &info));
	ck_assert_uint_eq(info.local.port, h.sport);
	feed_udp(&net, &net.peer, &net.us, h.sport, "answer", 6);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 6);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(what_cannot_be_sent)
{
	struct stack_addr directed = addr_of(0, 255), far = addr_of(9, 9);
	struct stack_endpoint to, here;
	struct sock *sock, *tcp;

	net_start(&net, NULL);
	sock = udp_bound(&net, 7000);
	to = at(&net.peer, 9);
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, "x", 1), -EDESTADDRREQ);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, data, 65508), -EMSGSIZE);
	to = at(&far, 9);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), -ENETUNREACH);
	to = at(&net.peer, 0);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), -EINVAL);
	to = at(&directed, 9);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), -EACCES);
	ck_assert_int_eq(stack_connect(&sock, net.now, &to), -EACCES);
	ck_assert_uint_eq(count_of(&net, "udp.out"), 0);
	expect_silence(&net);
	set_int(&net, sock, SOL_SOCKET, SO_BROADCAST, 1);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), 1);
	ck_assert_mem_eq(take_frame(&net)->data, broadcast_mac, 6);
	here = at(&net.us, 7000);
	ck_assert_int_eq(stack_sendto(sock, net.now, &here, data, 65507), 65507);
	net_run(&net);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 65507);
	tcp = stack_socket(net.s, STACK_TCP, 0, NULL);
	ck_assert_int_eq(stack_sendto(tcp, net.now, &here, "x", 1), -EOPNOTSUPP);
	ck_assert_int_eq(stack_recvfrom(tcp, data, 1, NULL), -EOPNOTSUPP);
	stack_close(tcp, net.now);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(a_socket_bound_to_broadcast_has_an_own_source)
{
	struct stack_addr directed = addr_of(0, 255);
	struct stack_endpoint here, to;
	struct ip4_header ip;
	struct sock *sock;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	here = at(&directed, 7000);
	to = at(&net.peer, 9);
	sock = stack_socket(net.s, STACK_UDP, 0, NULL);
	ck_assert_int_eq(stack_bind(sock, &here), 0);
	feed_udp(&net, &net.peer, &directed, 7000, "x", 1);
	ck_assert_int_eq(stack_recvfrom(sock, data, 1, NULL), 1);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), 1);
	take_ip(&net, &ip, &len);
	ck_assert(addr_eq(&ip.src, &net.us));
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(one_peer_for_one_pair)
{
	struct stack_endpoint to;
	struct sock *a, *b;

	net_start(&net, NULL);
	to = at(&net.peer, 9);
	a = udp_bound(&net, 7000);
	ck_assert_int_eq(stack_connect(&a, net.now, &to), 0);
	b = udp_bound(&net, 7000); /* free again: the other one is connected */
	ck_assert_int_eq(stack_connect(&b, net.now, &to), -EADDRINUSE);
	ck_assert_int_eq(stack_connect(&a, net.now, &to), 0); /* the same once more */
	stack_close(a, net.now);
	ck_assert_int_eq(stack_connect(&b, net.now, &to), 0);
	stack_close(b, net.now);
	net_end(&net);
}
END_TEST

/* ---- sizes ---- */

static void discover(struct sock *sock, int how)
{
	set_int(&net, sock, IPPROTO_IP, IP_MTU_DISCOVER, how);
}

/* Sends so many bytes: the packets that go out, `*df` of the first, and the largest; or a negative errno. */
static int packets(struct sock *sock, size_t len, bool *df, uint16_t *largest)
{
	ptrdiff_t sent = stack_sendto(sock, net.now, NULL, data, len);
	int count = 0;

	if (sent < 0)
		return (int)sent;
	*largest = 0;
	for (; net.read < net.count; count++) {
		struct ip4_header ip;
		size_t size;

		take_ip(&net, &ip, &size);
		*df = count == 0 ? ip.dont_fragment : *df;
		*largest = (uint16_t)max_u32(*largest, ip.total_len);
	}
	return count;
}

static struct sock *connected_to_peer(void)
{
	struct stack_endpoint to = at(&net.peer, 9);
	struct sock *sock = udp_bound(&net, 7000);

	ck_assert_int_eq(stack_connect(&sock, net.now, &to), 0);
	return sock;
}

/* ip(7): what goes whole and what in fragments, as on the host. */
START_TEST(df_is_as_the_option_says)
{
	static const struct { int discover; bool df; int large; } row[] = {
		{IP_PMTUDISC_DONT, false, 2}, {IP_PMTUDISC_WANT, true, 2}, {IP_PMTUDISC_DO, true, -EMSGSIZE},
		{IP_PMTUDISC_PROBE, true, -EMSGSIZE}, {IP_PMTUDISC_INTERFACE, false, -EMSGSIZE}, {IP_PMTUDISC_OMIT, false, 2},
	};
	struct sock *sock;
	uint16_t largest;
	bool df;

	net_start(&net, NULL);
	know_peer(&net);
	sock = connected_to_peer();
	ck_assert_int_eq(packets(sock, 1472, &df, &largest), 1);
	ck_assert(df); /* WANT is how a socket begins */
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		discover(sock, row[i].discover);
		ck_assert_int_eq(packets(sock, 1472, &df, &largest), 1);
		ck_assert_msg(df == row[i].df, "%d", row[i].discover);
		ck_assert_int_eq(packets(sock, 1473, &df, &largest), row[i].large);
		ck_assert(row[i].large < 0 || !df);
	}
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

static int path_mtu(struct sock *sock)
{
	int mtu = 0;
	size_t len = sizeof(mtu);

	ck_assert_int_eq(stack_getsockopt(sock, net.now, IPPROTO_IP, IP_MTU, &mtu, &len), 0);
	return mtu;
}

/* Sends 1,000 bytes, about which a router says that so much passes; the error that the socket has of it. */
static int too_big(struct sock *sock, uint16_t mtu)
{
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, data, 1000), 1000);
	const struct capture *c = take_frame(&net);
	feed_icmp(&net, &net.peer, &net.us, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, mtu, c->data + ETH_HEADER,
		  c->len - ETH_HEADER);
	return (int)stack_sendto(sock, net.now, NULL, data, 10);
}

/* Who asked for no discovery is told, but what may be forged changes nothing for anybody; nor does what cannot be. */
START_TEST(a_narrow_path_is_not_learned_from_who_sends_without_df)
{
	struct sock *sock;

	net_start(&net, NULL);
	know_peer(&net);
	sock = connected_to_peer();
	for (int how = IP_PMTUDISC_INTERFACE; how <= IP_PMTUDISC_OMIT; how++) {
		discover(sock, IP_PMTUDISC_WANT);
		ck_assert_int_eq(stack_sendto(sock, net.now, NULL, data, 1000), 1000);
		const struct capture *c = take_frame(&net);
		discover(sock, how); /* it went with DF, or somebody says so */
		feed_icmp(&net, &net.peer, &net.us, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, 800, c->data + ETH_HEADER,
			  c->len - ETH_HEADER);
		ck_assert_int_eq(stack_sendto(sock, net.now, NULL, data, 10), -EMSGSIZE);
		ck_assert_uint_eq(path_mtu_of_datagrams(net.s, &net.peer), 1500);
	}
	ck_assert(!udp_too_big((struct udp_sock *)(void *)sock, &(struct stack_endpoint){.addr = net.peer},
			       &(struct net_error){.error = EMSGSIZE, .mtu = 800, .whole = 1501}));
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(a_narrow_path_is_learned)
{
	struct sock *sock;
	uint16_t largest = 0;
	bool df = false;

	net_start(&net, NULL);
	know_peer(&net);
	sock = connected_to_peer();
	ck_assert_int_eq(too_big(sock, 1200), 10); /* it was smaller */
	forget(&net);
	ck_assert_int_eq(path_mtu(sock), 1500);
	ck_assert_int_eq(too_big(sock, 800), -EMSGSIZE);
	ck_assert_int_eq(path_mtu(sock), 800);
	ck_assert_uint_eq(path_mtu_get(net.s, &net.peer), 1500); /* not for TCP, which sees what is in flight */
	ck_assert_int_eq(packets(sock, 1000, &df, &largest), 2);
	ck_assert(!df && largest <= 800);
	ck_assert_int_eq(packets(sock, 772, &df, &largest), 1);
	ck_assert(df);
	discover(sock, IP_PMTUDISC_DO);
	ck_assert_int_eq(packets(sock, 773, &df, &largest), -EMSGSIZE);
	discover(sock, IP_PMTUDISC_PROBE);
	ck_assert_int_eq(packets(sock, 1472, &df, &largest), 1);
	ck_assert(df);
	ck_assert_int_eq(too_big(sock, 0), -EMSGSIZE); /* an old router; the floor, where nothing has DF */
	ck_assert_int_eq(path_mtu(sock), 552);
	discover(sock, IP_PMTUDISC_WANT);
	ck_assert_int_eq(packets(sock, 100, &df, &largest), 1);
	ck_assert(!df);
	net_pass(&net, SECONDS(601));
	forget(&net);
	know_peer(&net);
	ck_assert_int_eq(packets(sock, 1472, &df, &largest), 1);
	ck_assert(df);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* ---- errors ---- */

/* An ICMP error about the datagram that `c` captured, from the peer. */
static void feed_error(struct net *n, const struct capture *c, uint8_t type, uint8_t code)
{
	feed_icmp(n, &n->peer, &n->us, type, code, 0, c->data + ETH_HEADER, c->len - ETH_HEADER);
}

START_TEST(errors_reach_a_connected_socket)
{
	static const struct { uint8_t type, code; int error; } row[] = {
		{ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, ECONNREFUSED},
		{ICMP_UNREACHABLE, ICMP_HOST_UNREACHABLE, EHOSTUNREACH},
		{ICMP_UNREACHABLE, ICMP_NET_UNREACHABLE, ENETUNREACH},
		{ICMP_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE, ENOPROTOOPT},
		{ICMP_TIME_EXCEEDED, 0, EHOSTUNREACH},
		{ICMP_PARAMETER_PROBLEM, 0, EPROTO},
	};
	struct stack_endpoint to;
	struct sock *sock;

	net_start(&net, NULL);
	know_peer(&net);
	to = at(&net.peer, 9);
	sock = udp_bound(&net, 7000);
	ck_assert_int_eq(stack_connect(&sock, net.now, &to), 0);
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		int error = 0;

		ck_assert_int_eq(stack_sendto(sock, net.now, NULL, "x", 1), 1);
		feed_error(&net, take_frame(&net), row[i].type, row[i].code);
		ck_assert(events_of(&net, sock, &error) & STACK_EVENT_ERROR);
		ck_assert_int_eq(error, row[i].error);
		ck_assert_int_eq(stack_sendto(sock, net.now, NULL, "x", 1), -row[i].error);
	}
	ck_assert_uint_eq(count_of(&net, "icmp.in_errors"), ARRAY_SIZE(row));
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(errors_that_do_not_fit_are_ignored)
{
	struct stack_addr other = addr_of(0, 9);
	struct stack_endpoint to, elsewhere;
	const struct capture *c;
	uint8_t forged[64];
	struct sock *sock, *bound;
	uint64_t ignored;

	net_start(&net, NULL);
	know_peer(&net);
	to = at(&net.peer, 9);
	elsewhere = at(&net.peer, 10);
	bound = udp_bound(&net, 7001);
	sock = udp_bound(&net, 7000);
	ck_assert_int_eq(stack_connect(&sock, net.now, &to), 0);
	stack_sendto(sock, net.now, &elsewhere, "x", 1); /* quotes another peer */
	feed_error(&net, take_frame(&net), ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE);
	stack_sendto(bound, net.now, &to, "x", 1); /* not connected */
	feed_error(&net, take_frame(&net), ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE);
	stack_sendto(sock, net.now, NULL, "x", 1);
	c = take_frame(&net);
	feed_error(&net, c, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED); /* that was small */
	feed_error(&net, c, ICMP_UNREACHABLE, 99);
	memcpy(forged, c->data + ETH_HEADER, c->len - ETH_HEADER);
	memcpy(forged + 12, other.byte + 12, 4); /* not from us */
	ignored = count_of(&net, "icmp.in_ignored");
	feed_icmp(&net, &net.peer, &net.us, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, forged, c->len - ETH_HEADER);
	ck_assert_uint_eq(count_of(&net, "icmp.in_ignored"), ignored + 1);
	ck_assert_uint_eq(events_of(&net, sock, NULL) & STACK_EVENT_ERROR, 0);
	ck_assert_int_eq(stack_recvfrom(sock, data, 1, NULL), -EAGAIN);
	ck_assert_int_eq(stack_recvfrom(bound, data, 1, NULL), -EAGAIN);
	stack_close(sock, net.now);
	stack_close(bound, net.now);
	net_end(&net);
}
END_TEST

/* Between our own sockets a closed port is refused, and nobody outside can fake that. */
START_TEST(errors_between_ourselves)
{
	static const uint8_t localhost[4] = {127, 0, 0, 1};
	struct stack_addr loopback = stack_addr_v4(localhost);
	struct ip4_header quoted = {.src = loopback, .dst = loopback, .total_len = 29, .ttl = 64, .proto = IP_PROTO_UDP};
	struct stack_endpoint here = {loopback, 7000}, there = {loopback, 9};
	uint8_t forged[29] = {0};
	struct sock *sock;

	net_start(&net, NULL);
	sock = stack_socket(net.s, STACK_UDP, 0, NULL);
	ck_assert_int_eq(stack_bind(sock, &here), 0);
	ck_assert_int_eq(stack_connect(&sock, net.now, &there), 0);
	ip4_write(forged, &quoted);
	udp_write(forged + 20, &(struct udp_header){.sport = 7000, .dport = 9, .len = 9}, 0);
	feed_icmp(&net, &net.peer, &net.us, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, forged, sizeof(forged));
	ck_assert_uint_eq(count_of(&net, "icmp.in_ignored"), 1);
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, "x", 1), 1);
	net_run(&net);
	ck_assert_int_eq(stack_recvfrom(sock, data, 1, NULL), -ECONNREFUSED);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* An error that a call has returned is not told by an event too; that the socket was killed, always. */
START_TEST(errors_and_events_agree)
{
	struct stack_endpoint to;
	const struct capture *c;
	struct sock *sock;
	int error = 0;

	net_start(&net, NULL);
	know_peer(&net);
	to = at(&net.peer, 9);
	sock = udp_bound(&net, 7000);
	ck_assert_int_eq(stack_connect(&sock, net.now, &to), 0);
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, "x", 1), 1);
	c = take_frame(&net);
	feed_error(&net, c, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE);
	ck_assert_int_eq(stack_recvfrom(sock, data, 1, NULL), -ECONNREFUSED);
	ck_assert_uint_eq(events_of(&net, sock, NULL), 0);
	ck_assert_int_eq(stack_destroy(net.s, net.now, stack_id(sock)), 0);
	feed_error(&net, c, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE);
	ck_assert_int_eq(stack_recvfrom(sock, data, 1, NULL), -EAGAIN);
	ck_assert_uint_eq(events_of(&net, sock, &error), STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ECONNABORTED);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

static void few_sockets(struct stack_config *c)
{
	c->sockets_max = 3;
}

START_TEST(sockets_are_bounded)
{
	struct sock *sock[3];

	net_start(&net, few_sockets);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(sock[i] = stack_socket(net.s, STACK_UDP, 0, NULL));
	ck_assert_ptr_null(stack_socket(net.s, STACK_UDP, 0, NULL));
	stack_close(sock[0], net.now);
	ck_assert_ptr_nonnull(sock[0] = stack_socket(net.s, STACK_UDP, 0, NULL));
	for (int i = 0; i < 3; i++)
		stack_close(sock[i], net.now);
	net_end(&net);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("udp");

	suite_add(s, "U1 lengths and checksums", row_U1_lengths_and_checksums);
	suite_add(s, "from port 0 is delivered", from_port_0_is_delivered);
	suite_add(s, "U2 closed port", row_U2_closed_port);
	suite_add(s, "U3 faster than the reader", row_U3_faster_than_the_reader);
	suite_add(s, "U3 a full queue leaves memory to others", row_U3_a_full_queue_leaves_memory_to_others);
	suite_add(s, "U3 empty datagrams cost too", row_U3_empty_datagrams_cost_too);
	suite_add(s, "order and sender are kept", order_and_sender_are_kept);
	suite_add(s, "the most exact socket gets it", the_most_exact_socket_gets_it);
	suite_add(s, "datagrams are offered first", datagrams_are_offered_first);
	suite_add(s, "sending chooses port and address", sending_chooses_port_and_address);
	suite_add(s, "what cannot be sent", what_cannot_be_sent);
	suite_add(s, "a socket bound to broadcast has an own source", a_socket_bound_to_broadcast_has_an_own_source);
	suite_add(s, "one peer for one pair", one_peer_for_one_pair);
	suite_add(s, "DF is as the option says", df_is_as_the_option_says);
	suite_add(s, "a narrow path is learned", a_narrow_path_is_learned);
	suite_add(s, "a narrow path is not learned from who sends without df", a_narrow_path_is_not_learned_from_who_sends_without_df);
	suite_add(s, "errors reach a connected socket", errors_reach_a_connected_socket);
	suite_add(s, "errors that do not fit are ignored", errors_that_do_not_fit_are_ignored);
	suite_add(s, "errors between ourselves", errors_between_ourselves);
	suite_add(s, "errors and events agree", errors_and_events_agree);
	suite_add(s, "sockets are bounded", sockets_are_bounded);
	return suite_run(s);
}
