/*
 * Ping sockets, how datagrams come and go (stack_recvmsg, stack_sendmsg), and the errors that
 * IP_RECVERR keeps.
 */
#include "net_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct net net;
static uint8_t data[65536];

/* An echo request with an identifier that is not the socket's. */
static const uint8_t request[] = {ICMP_ECHO, 0, 0xde, 0xad, 0xbe, 0xef, 0, 3, 'p', 'i', 'n', 'g'};

static struct sock *ping_new(uint16_t id)
{
	struct sock *sock = stack_socket(net.s, STACK_PING, 0, &net);

	ck_assert_ptr_nonnull(sock);
	ck_assert_int_eq(stack_bind(sock, &(struct stack_endpoint){.port = id}), 0);
	return sock;
}

static void feed_reply(uint16_t id, uint16_t seq)
{
	feed_icmp(&net, &net.peer, &net.us, ICMP_ECHO_REPLY, 0, (uint32_t)id << 16 | seq, "ping", 4);
}

START_TEST(requests_have_the_identifier_of_the_socket)
{
	struct stack_endpoint to;
	struct icmp4_header h;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	to = (struct stack_endpoint){.addr = net.peer};
	struct sock *sock = ping_new(77);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, request, sizeof(request)), sizeof(request));
	const uint8_t *p = take_icmp(&net, &h, &len); /* checks the sum */
	ck_assert_uint_eq(h.type, ICMP_ECHO);
	ck_assert_uint_eq(h.rest, 77u << 16 | 3);
	ck_assert(len == 4 && memcmp(p, "ping", 4) == 0);
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, request, sizeof(request)), -EDESTADDRREQ);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, request, 7), -EINVAL);
	memcpy(data, request, sizeof(request));
	data[0] = ICMP_ECHO_REPLY;
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, data, sizeof(request)), -EINVAL);
	data[0] = ICMP_ECHO;
	data[1] = 1;
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, data, sizeof(request)), -EINVAL);
	expect_silence(&net);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(replies_go_to_their_identifier)
{
	struct stack_endpoint from;
	struct stack_arrival how;

	net_start(&net, NULL);
	struct sock *one = ping_new(0), *two = ping_new(0);
	struct stack_sock_info a, b;
	stack_info(one, &a);
	stack_info(two, &b);
	ck_assert(a.proto == STACK_PING && a.local.port != 0 && a.local.port != b.local.port);
	feed_reply(b.local.port, 9);
	ck_assert_int_eq(stack_recvmsg(one, data, sizeof(data), &from, &how), -EAGAIN);
	ck_assert_int_eq(stack_recvmsg(two, data, sizeof(data), &from, &how), 12);
	ck_assert(data[0] == ICMP_ECHO_REPLY && load16(data + 4) == b.local.port && load16(data + 6) == 9);
	ck_assert(addr_eq(&from.addr, &net.peer) && from.port == 0);
	ck_assert(addr_eq(&how.to, &net.us) && how.ttl == 64);
	/* requests from outside are the stack's; a reply that nobody asked for is nobody's */
	feed_icmp(&net, &net.peer, &net.us, ICMP_ECHO, 0, (uint32_t)b.local.port << 16, "ping", 4);
	ck_assert_int_eq(stack_recvmsg(two, data, sizeof(data), NULL, NULL), -EAGAIN);
	uint64_t ignored = count_of(&net, "icmp.in_ignored");
	feed_reply((uint16_t)(a.local.port ^ b.local.port ^ 1), 9);
	ck_assert_uint_eq(count_of(&net, "icmp.in_ignored"), ignored + 1);
	/* the port of UDP is another */
	struct sock *udp = udp_bound(&net, b.local.port);
	struct sock *three = stack_socket(net.s, STACK_PING, 0, &net);
	ck_assert_int_eq(stack_bind(three, &(struct stack_endpoint){.port = b.local.port}), -EADDRINUSE);
	stack_close(udp, net.now);
	stack_close(three, net.now);
	stack_close(one, net.now);
	stack_close(two, net.now);
	forget(&net);
	net_end(&net);
}
END_TEST

/* The last frame, quoted by an error from `by`. */
static void feed_error(const struct stack_addr *by, uint8_t type, uint8_t code)
{
	const struct capture *c = take_frame(&net);

	feed_icmp(&net, by, &net.us, type, code, 0, c->data + ETH_HEADER, c->len - ETH_HEADER);
}

START_TEST(errors_of_a_ping)
{
	struct stack_endpoint to;
	struct stack_addr router;
	struct stack_failure f;
	int error;

	net_start(&net, NULL);
	know_peer(&net);
	to = (struct stack_endpoint){.addr = net.peer};
	router = addr_of(0, 9);
	struct sock *sock = ping_new(77);
	stack_sendto(sock, net.now, &to, request, sizeof(request));
	feed_error(&router, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE);
	ck_assert_uint_eq(events_of(&net, sock, &error), 0); /* not connected, and did not ask */
	set_int(&net, sock, IPPROTO_IP, IP_RECVERR, 1);
	stack_sendto(sock, net.now, &to, request, sizeof(request));
	feed_error(&router, ICMP_TIME_EXCEEDED, 0);
	ck_assert_uint_eq(events_of(&net, sock, &error), STACK_EVENT_ERROR);
	ck_assert_int_eq(error, EHOSTUNREACH);
	ck_assert_int_eq(stack_recverr(sock, &f, data, sizeof(data)), sizeof(request));
	ck_assert(f.error == EHOSTUNREACH && f.type == ICMP_TIME_EXCEEDED && f.code == 0);
	ck_assert(addr_eq(&f.offender, &router) && addr_eq(&f.to.addr, &net.peer));
	ck_assert(data[0] == ICMP_ECHO && load16(data + 4) == 77 && memcmp(data + 8, "ping", 4) == 0);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, request, sizeof(request)), sizeof(request)); /* nothing pending */
	forget(&net);
	/* connected: what is hard, as without asking */
	set_int(&net, sock, IPPROTO_IP, IP_RECVERR, 0);
	ck_assert_int_eq(stack_connect(&sock, net.now, &to), 0);
	stack_sendto(sock, net.now, NULL, request, sizeof(request));
	feed_error(&router, ICMP_TIME_EXCEEDED, 0);
	ck_assert_uint_eq(events_of(&net, sock, &error), 0);
	stack_sendto(sock, net.now, NULL, request, sizeof(request));
	feed_error(&router, ICMP_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE);
	ck_assert_uint_eq(events_of(&net, sock, &error), STACK_EVENT_ERROR);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(kept_errors_are_bounded_and_told_in_order)
{
	struct stack_endpoint to;
	struct stack_failure f;
	unsigned n;

	net_start(&net, NULL);
	know_peer(&net);
	to = (struct stack_endpoint){.addr = net.peer, .port = 5000};
	struct sock *sock = udp_bound(&net, 7000);
	set_int(&net, sock, IPPROTO_IP, IP_RECVERR, 1);
	static const struct stack_departure how = {.tos = -1, .keep_error = true};
	for (n = 0; n < 100; n++) {
		uint8_t byte = (uint8_t)n;
		ck_assert_int_eq(stack_sendmsg(sock, net.now, &to, &how, &byte, 1), 1);
		feed_error(&net.peer, ICMP_UNREACHABLE, n == 0 ? ICMP_HOST_UNREACHABLE : ICMP_PORT_UNREACHABLE);
	}
	for (n = 0; stack_recverr(sock, &f, data, sizeof(data)) == 1; n++) {
		ck_assert_uint_eq(data[0], n);
		ck_assert_int_eq(f.error, n == 0 ? EHOSTUNREACH : ECONNREFUSED);
		ck_assert(f.to.port == 5000 && addr_eq(&f.to.addr, &net.peer));
	}
	ck_assert(n > 0 && n < 100);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), 1); /* the last was told: nothing is pending */
	feed_error(&net.peer, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE);
	set_int(&net, sock, IPPROTO_IP, IP_RECVERR, 0);
	ck_assert_int_eq(stack_recverr(sock, &f, data, sizeof(data)), -EAGAIN);
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), -ECONNREFUSED);
	stack_close(sock, net.now);
	forget(&net);
	net_end(&net);
}
END_TEST

START_TEST(one_datagram_goes_its_own_way)
{
	struct stack_endpoint to;
	struct stack_addr second = addr_of(0, 3), not_ours = addr_of(0, 4);
	struct stack_departure how = {.ttl = 3, .tos = 0x23};
	struct ip4_header h;
	size_t len;

	net_start(&net, NULL);
	know_peer(&net);
	to = (struct stack_endpoint){.addr = net.peer, .port = 5000};
	ck_assert_int_eq(stack_address_add(net.s, net.now, &second, 24), 0);
	net_pass(&net, SECONDS(20));
	forget(&net);
	know_peer(&net);
	struct sock *sock = stack_socket(net.s, STACK_UDP, 0, &net);
	how.source = second;
	ck_assert_int_eq(stack_sendmsg(sock, net.now, &to, &how, "x", 1), 1);
	take_ip(&net, &h, &len);
	ck_assert(addr_eq(&h.src, &second) && h.ttl == 3 && h.tos == 0x20); /* ECN is not the owner's */
	ck_assert_int_eq(stack_sendto(sock, net.now, &to, "x", 1), 1);
	take_ip(&net, &h, &len);
	ck_assert(addr_eq(&h.src, &net.us) && h.ttl == 64 && h.tos == 0);
	how.source = not_ours;
	ck_assert_int_eq(stack_sendmsg(sock, net.now, &to, &how, "x", 1), -ENETUNREACH);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ping");

	suite_add(s, "requests have the identifier of the socket", requests_have_the_identifier_of_the_socket);
	suite_add(s, "replies go to their identifier", replies_go_to_their_identifier);
	suite_add(s, "errors of a ping", errors_of_a_ping);
	suite_add(s, "kept errors are bounded and told in order", kept_errors_are_bounded_and_told_in_order);
	suite_add(s, "one datagram goes its own way", one_datagram_goes_its_own_way);
	return suite_run(s);
}
