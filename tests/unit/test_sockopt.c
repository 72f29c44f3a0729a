/* Socket options: each one's range and error as the host has them (tcp(7), socket(7), ip(7)), and what it does. */
#include "tcp_fixture.h"

#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct fixture f;

static void setup(void)
{
	fixture_start(&f, NULL);
}

static void teardown(void)
{
	fixture_end(&f);
}

static int set(struct sock *sock, int level, int name, int value)
{
	return stack_setsockopt(sock, f.now, level, name, &value, sizeof(value));
}

static int get(struct sock *sock, int level, int name)
{
	int value = -12345;
	size_t len = sizeof(value);

	ck_assert_int_eq(stack_getsockopt(sock, f.now, level, name, &value, &len), 0);
	ck_assert_uint_eq(len, sizeof(value));
	return value;
}

static struct sock *bare(void)
{
	return stack_socket(f.s, STACK_TCP, 7, NULL);
}

/* ---- values ---- */

/* What the host takes, what it makes of it, and what it refuses: each row was put to a Linux 6.18 (SO_PRIORITY above 6 as root, which may). */
static const struct {
	int level, name, value, error, then;
} values[] = {
	{IPPROTO_TCP, TCP_NODELAY, 5, 0, 1},
	{IPPROTO_TCP, TCP_CORK, 1, 0, 1},
	{IPPROTO_TCP, TCP_KEEPIDLE, 0, -EINVAL, 7200},
	{IPPROTO_TCP, TCP_KEEPIDLE, 32767, 0, 32767},
	{IPPROTO_TCP, TCP_KEEPIDLE, 32768, -EINVAL, 7200},
	{IPPROTO_TCP, TCP_KEEPINTVL, 0, -EINVAL, 75},
	{IPPROTO_TCP, TCP_KEEPINTVL, 3, 0, 3},
	{IPPROTO_TCP, TCP_KEEPCNT, 0, -EINVAL, 9},
	{IPPROTO_TCP, TCP_KEEPCNT, 127, 0, 127},
	{IPPROTO_TCP, TCP_KEEPCNT, 128, -EINVAL, 9},
	{IPPROTO_TCP, TCP_SYNCNT, 0, -EINVAL, 6},
	{IPPROTO_TCP, TCP_SYNCNT, 3, 0, 3},
	{IPPROTO_TCP, TCP_SYNCNT, 128, -EINVAL, 6},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, -1, -EINVAL, 0},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, 1500, 0, 1500},
	{IPPROTO_TCP, TCP_MAXSEG, 87, -EINVAL, 536},
	{IPPROTO_TCP, TCP_MAXSEG, 88, 0, 88},
	{IPPROTO_TCP, TCP_MAXSEG, 32768, -EINVAL, 536},
	{IPPROTO_TCP, TCP_MAXSEG, 0, 0, 536},
	{IPPROTO_TCP, TCP_LINGER2, -7, 0, -1},
	{IPPROTO_TCP, TCP_LINGER2, 10, 0, 10},
	{IPPROTO_TCP, TCP_LINGER2, 121, 0, 120},
	{IPPROTO_TCP, TCP_LINGER2, 0, 0, 60},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, 1, 0, 1},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, 2, 0, 3},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, 8, 0, 15},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, -1, 0, 0},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 0, 0},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, 1, 0, 1152},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000, 0, 20000},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4000, 0, 4000},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, -1, 0, -1},
	{IPPROTO_TCP, TCP_INQ, 1, 0, 1},
	{IPPROTO_TCP, TCP_INQ, 2, -EINVAL, 0},
	{IPPROTO_TCP, TCP_INQ, -1, -EINVAL, 0},
	{IPPROTO_TCP, TCP_INFO, 1, -ENOPROTOOPT, INT_MIN},
	{IPPROTO_TCP, 4711, 1, -ENOPROTOOPT, INT_MIN},
	{SOL_SOCKET, SO_REUSEADDR, 2, 0, 1},
	{SOL_SOCKET, SO_REUSEPORT, 1, 0, 1},
	{SOL_SOCKET, SO_KEEPALIVE, 1, 0, 1},
	{SOL_SOCKET, SO_OOBINLINE, 1, 0, 1},
	{SOL_SOCKET, SO_PRIORITY, 6, 0, 6},
	{SOL_SOCKET, SO_PRIORITY, 7, -EPERM, 0},
	{SOL_SOCKET, SO_SNDBUF, 0, 0, 4608},
	{SOL_SOCKET, SO_SNDBUF, 10000, 0, 20000},
	{SOL_SOCKET, SO_RCVBUF, 0, 0, 2304},
	{SOL_SOCKET, SO_RCVBUF, 10000, 0, 20000},
	{SOL_SOCKET, SO_RCVLOWAT, 0, 0, 1},
	{SOL_SOCKET, SO_RCVLOWAT, 100, 0, 100},
	{SOL_SOCKET, SO_SNDLOWAT, 1, -ENOPROTOOPT, 1},
	{SOL_SOCKET, SO_ERROR, 1, -ENOPROTOOPT, 0},
	{SOL_SOCKET, SO_TYPE, 1, -ENOPROTOOPT, SOCK_STREAM},
	{SOL_SOCKET, SO_PROTOCOL, 1, -ENOPROTOOPT, IPPROTO_TCP},
	{SOL_SOCKET, SO_DOMAIN, 1, -ENOPROTOOPT, AF_INET},
	{SOL_SOCKET, SO_ACCEPTCONN, 1, -ENOPROTOOPT, 0},
	{IPPROTO_TCP, TCP_FASTOPEN, -1, -EINVAL, 0},
	{IPPROTO_TCP, TCP_FASTOPEN, 5, 0, 5},
	{IPPROTO_TCP, TCP_FASTOPEN, 5000, 0, 4096},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1, 0, 1},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 2, -EINVAL, 0},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1, 0, 1},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, -1, -EINVAL, 0},
	{IPPROTO_IP, IP_TTL, 0, -EINVAL, 64},
	{IPPROTO_IP, IP_TTL, 256, -EINVAL, 64},
	{IPPROTO_IP, IP_TTL, 255, 0, 255},
	{IPPROTO_IP, IP_TTL, -1, 0, 64},
	{IPPROTO_IP, IP_TOS, 0x13, 0, 0x10},
	{IPPROTO_IP, IP_RECVTOS, 1, 0, 1},
	{IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, 0, IP_PMTUDISC_DONT},
	{IPPROTO_IP, IP_MTU_DISCOVER, 6, -EINVAL, IP_PMTUDISC_WANT},
	{IPPROTO_IP, IP_MTU, 1, -ENOPROTOOPT, INT_MIN},
};

START_TEST(option_values_are_the_host_s)
{
	struct sock *sock = bare();

	ck_assert_msg(set(sock, values[_i].level, values[_i].name, values[_i].value) == values[_i].error,
		      "row %d: another error", _i);
	if (values[_i].then != INT_MIN)
		ck_assert_int_eq(get(sock, values[_i].level, values[_i].name), values[_i].then);
	stack_close(sock, f.now);
}
END_TEST

START_TEST(option_lengths_are_the_host_s)
{
	struct sock *sock = bare();
	uint8_t byte = 32, out[300];
	struct linger linger = {1, 5};
	size_t len = sizeof(out);

	ck_assert_int_eq(stack_setsockopt(sock, f.now, IPPROTO_TCP, TCP_NODELAY, &byte, 1), -EINVAL);
	ck_assert_int_eq(stack_setsockopt(sock, f.now, SOL_SOCKET, SO_REUSEADDR, &byte, 0), -EINVAL);
	ck_assert_int_eq(stack_setsockopt(sock, f.now, SOL_SOCKET, SO_LINGER, &linger, 4), -EINVAL);
	ck_assert_int_eq(stack_setsockopt(sock, f.now, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	ck_assert_int_eq(stack_setsockopt(sock, f.now, IPPROTO_IP, IP_TOS, &byte, 1), 0); /* ip(7): a byte will do */
	ck_assert_int_eq(get(sock, IPPROTO_IP, IP_TOS), 32);
	len = 1;
	ck_assert_int_eq(stack_getsockopt(sock, f.now, IPPROTO_IP, IP_TOS, out, &len), 0);
	ck_assert_uint_eq(len, 1);
	ck_assert_uint_eq(out[0], 32);
	len = sizeof(out);
	ck_assert_int_eq(stack_getsockopt(sock, f.now, SOL_SOCKET, SO_LINGER, out, &len), 0);
	ck_assert_uint_eq(len, sizeof(linger));
	ck_assert_mem_eq(out, &linger, sizeof(linger));
	len = 2;
	ck_assert_int_eq(stack_getsockopt(sock, f.now, SOL_SOCKET, SO_MEMINFO, out, &len), 0);
	ck_assert_uint_eq(len, 2);
	len = 4;
	ck_assert_int_eq(stack_getsockopt(sock, f.now, SOL_SOCKET, SO_COOKIE, out, &len), -EINVAL);
	len = 4;
	ck_assert_int_eq(stack_getsockopt(sock, f.now, IPPROTO_IP, IP_MTU, out, &len), -ENOTCONN);
	stack_close(sock, f.now);
}
END_TEST

static int set_cc(struct sock *sock, const char *name)
{
	return stack_setsockopt(sock, f.now, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name));
}

static void check_cc(struct sock *sock, const char *name)
{
	char text[32] = "";
	size_t len = sizeof(text);

	ck_assert_int_eq(stack_getsockopt(sock, f.now, IPPROTO_TCP, TCP_CONGESTION, text, &len), 0);
	ck_assert_uint_eq(len, 16);
	ck_assert_str_eq(text, name);
}

START_TEST(congestion_control_is_chosen_by_socket)
{
	uint32_t cwnd;

	bring_to(&f, TCP_ESTABLISHED);
	check_cc(f.sock, "reno");
	ck_assert_int_eq(set_cc(f.sock, "no such"), -ENOENT);
	ck_assert_int_eq(stack_setsockopt(f.sock, f.now, IPPROTO_TCP, TCP_CONGESTION, "", 0), -EINVAL);
	tcb_now(&f)->cc.cwnd = cwnd = 77777;
	ck_assert_int_eq(set_cc(f.sock, "cubic"), 0);
	check_cc(f.sock, "cubic");
	ck_assert_ptr_eq(tcb_now(&f)->cc_ops, &cc_cubic);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert_int_eq(set_cc(f.sock, "reno"), 0);
	ck_assert_ptr_eq(tcb_now(&f)->cc_ops, &cc_newreno);
}
END_TEST

START_TEST(fast_open_is_chosen_before_there_is_a_connection)
{
	uint8_t key[33] = {1}, back[64];
	size_t len = sizeof(back);
	struct sock *sock = bare();

	ck_assert_int_eq(stack_setsockopt(sock, f.now, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 15), -EINVAL);
	ck_assert_int_eq(stack_setsockopt(sock, f.now, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 33), -EINVAL);
	ck_assert_int_eq(stack_getsockopt(sock, f.now, IPPROTO_TCP, TCP_FASTOPEN_KEY, back, &len), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(stack_setsockopt(sock, f.now, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 32), 0);
	len = sizeof(back);
	ck_assert_int_eq(stack_getsockopt(sock, f.now, IPPROTO_TCP, TCP_FASTOPEN_KEY, back, &len), 0);
	ck_assert_uint_eq(len, 32);
	ck_assert_mem_eq(back, key, 32);
	stack_close(sock, f.now);
	bring_to(&f, TCP_LISTEN);
	ck_assert_int_eq(set(f.listener, IPPROTO_TCP, TCP_FASTOPEN, 5), 0);
	ck_assert_int_eq(set(f.listener, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), -EINVAL);
	ck_assert_int_eq(set(f.listener, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1), 0);
}
END_TEST

START_TEST(fast_open_is_not_chosen_when_there_is_one)
{
	bring_to(&f, TCP_ESTABLISHED);
	ck_assert_int_eq(set(f.sock, IPPROTO_TCP, TCP_FASTOPEN, 5), -EINVAL);
	ck_assert_int_eq(set(f.sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), -EINVAL);
	ck_assert_int_eq(set(f.sock, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1), -EINVAL);
}
END_TEST

START_TEST(udp_has_no_tcp_options)
{
	struct sock *sock = stack_socket(f.s, STACK_UDP, 0, NULL);

	ck_assert_int_eq(set(sock, IPPROTO_TCP, TCP_NODELAY, 1), -ENOPROTOOPT);
	ck_assert_int_eq(get(sock, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	ck_assert_int_eq(get(sock, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	stack_close(sock, f.now);
}
END_TEST

/* ---- where they go ---- */

START_TEST(options_go_along_to_the_connection)
{
	struct stack_endpoint to = {f.peer, PEER_PORT};

	f.sock = bare();
	ck_assert_int_eq(set(f.sock, IPPROTO_TCP, TCP_MAXSEG, 1000), 0);
	ck_assert_int_eq(set(f.sock, IPPROTO_TCP, TCP_NODELAY, 1), 0);
	ck_assert_int_eq(set(f.sock, SOL_SOCKET, SO_SNDBUF, 5000), 0);
	ck_assert_int_eq(set(f.sock, IPPROTO_IP, IP_TTL, 33), 0);
	ck_assert_int_eq(set(f.sock, IPPROTO_IP, IP_TOS, 0x20), 0);
	ck_assert_int_eq(stack_connect(&f.sock, f.now, &to), 0);
	run(&f);
	struct captured *syn = take(&f);
	ck_assert_uint_eq(syn->seg.opt.mss, 1000);
	ck_assert_uint_eq(syn->ip.ttl, 33);
	ck_assert_uint_eq(syn->ip.tos, 0x20);
	ck_assert(tcb_now(&f)->nodelay);
	ck_assert_uint_eq(tcb_now(&f)->send_limit, 10000);
}
END_TEST

static void listen_with(int level, int name, int value)
{
	struct stack_endpoint local = {f.us, OUR_PORT};

	f.listener = bare();
	ck_assert_int_eq(set(f.listener, level, name, value), 0);
	ck_assert_int_eq(stack_bind(f.listener, &local), 0);
	ck_assert_int_eq(stack_listen(&f.listener, 8), 0);
}

/* The peer's SYN, and our answer. */
static struct captured *syn_to_listener(void)
{
	struct tcp_segment syn = {.seq = seq_make(PEER_ISS), .flags = TCP_SYN, .window = PEER_WINDOW};

	syn.opt.has_mss = true;
	syn.opt.mss = PEER_MSS;
	feed_segment(&f, &syn, 0);
	return take(&f);
}

static void answer(const struct captured *synack, uint32_t len)
{
	struct tcp_segment ack = {.seq = seq_make(PEER_ISS + 1), .ack = seq_add(synack->seg.seq, 1), .flags = TCP_ACK,
				  .window = PEER_WINDOW};

	feed_segment(&f, &ack, len);
}

START_TEST(accepted_connections_have_the_listener_s_options)
{
	struct captured synack;

	listen_with(IPPROTO_TCP, TCP_MAXSEG, 700);
	ck_assert_int_eq(set(f.listener, IPPROTO_TCP, TCP_USER_TIMEOUT, 1234), 0);
	synack = *syn_to_listener();
	ck_assert_uint_eq(synack.seg.opt.mss, 700);
	answer(&synack, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_uint_eq(tcb_now(&f)->mss, 700);
	ck_assert_int_eq(get(f.sock, IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
	/* and from then on each has its own */
	ck_assert_int_eq(set(f.sock, IPPROTO_TCP, TCP_USER_TIMEOUT, 99), 0);
	ck_assert_int_eq(get(f.listener, IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
	ck_assert_int_eq(get(f.listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
}
END_TEST

/* ---- what they do ---- */

START_TEST(cork_holds_small_segments_until_it_is_pulled)
{
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_CORK, 1);
	stack_send(f.sock, f.now, "a", 1);
	run(&f);
	expect_nothing(&f);
	stack_send(f.sock, f.now, "b", 1);
	run(&f);
	expect_nothing(&f);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_CORK, 0);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 2);
}
END_TEST

START_TEST(cork_lets_go_after_200_ms)
{
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_CORK, 1);
	stack_send(f.sock, f.now, "a", 1);
	pass(&f, MILLISECONDS(195));
	expect_nothing(&f);
	pass(&f, MILLISECONDS(10));
	expect(&f, TCP_ACK, 1, 1, 1);
}
END_TEST

START_TEST(cork_does_not_hold_the_fin)
{
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_CORK, 1);
	stack_send(f.sock, f.now, "a", 1);
	stack_shutdown(f.sock, f.now);
	run(&f);
	expect(&f, TCP_ACK | TCP_FIN, 1, 1, 1);
}
END_TEST

START_TEST(user_timeout_ends_a_connection_that_nothing_acknowledges)
{
	int error = 0;
	stack_time start;

	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	stack_send(f.sock, f.now, "a", 1);
	start = f.now;
	run(&f);
	pass(&f, MILLISECONDS(4900));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, 0);
	pass(&f, MILLISECONDS(200));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ETIMEDOUT);
	ck_assert_uint_le(f.now - start, MILLISECONDS(5200));
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(user_timeout_holds_for_a_closed_window_that_is_answered)
{
	int error = 0;
	struct tcp_segment shut = {.flags = TCP_ACK, .window = 0};

	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_USER_TIMEOUT, 3000);
	for (unsigned i = 0; i < 40; i++) { /* every probe is answered: the window is closed */
		shut.seq = seq_make(PEER_ISS + 1);
		shut.ack = seq_add(tcb_now(&f)->iss, 1);
		feed_segment(&f, &shut, 0);
		if (i == 0)
			stack_send(f.sock, f.now, "a", 1);
		run(&f);
		pass(&f, MILLISECONDS(100));
		if (f.sock->pcb.state == TCP_CLOSED)
			break;
	}
	pass(&f, SECONDS(2));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ETIMEDOUT);
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(user_timeout_counts_instead_of_keepalive_probes)
{
	int error = 0;

	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPCNT, 100);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_USER_TIMEOUT, 3500);
	set_int(&f, f.sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	pass(&f, MILLISECONDS(3300));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, 0);
	pass(&f, SECONDS(1));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(syncnt_limits_the_retransmissions_of_a_syn)
{
	struct stack_endpoint to = {f.peer, PEER_PORT};
	unsigned syns = 0;
	int error = 0;

	f.sock = bare();
	set_int(&f, f.sock, IPPROTO_TCP, TCP_SYNCNT, 2);
	ck_assert_int_eq(stack_connect(&f.sock, f.now, &to), 0);
	pass(&f, SECONDS(20));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ETIMEDOUT);
	for (; f.sent_read < f.sent_count; f.sent_read++)
		syns += f.sent[f.sent_read].seg.flags == TCP_SYN;
	ck_assert_uint_eq(syns, 3);
}
END_TEST

START_TEST(defer_accept_waits_for_data)
{
	struct captured synack;

	listen_with(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	synack = *syn_to_listener();
	answer(&synack, 0);
	ck_assert_ptr_null(stack_accept(f.listener));
	pass(&f, MILLISECONDS(900));
	expect_nothing(&f);
	answer(&synack, 10);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(defer_accept_ends_with_a_syn_ack_whose_ack_is_taken)
{
	struct captured synack;

	listen_with(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3); /* two timeouts: 1 s and 2 s */
	synack = *syn_to_listener();
	answer(&synack, 0);
	pass(&f, MILLISECONDS(2900));
	expect_nothing(&f);
	pass(&f, MILLISECONDS(200));
	ck_assert_uint_eq(take(&f)->seg.flags, TCP_SYN | TCP_ACK);
	answer(&synack, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
}
END_TEST

START_TEST(linger2_negative_resets_in_fin_wait_2)
{
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_LINGER2, -1);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	struct captured fin = *take(&f);
	ck_assert(fin.seg.flags & TCP_FIN);
	struct tcp_segment ack = {.seq = seq_make(PEER_ISS + 1), .ack = seq_add(fin.seg.seq, 1), .flags = TCP_ACK,
				  .window = PEER_WINDOW, .dport = fin.seg.sport};
	feed_segment(&f, &ack, 0);
	ck_assert(take(&f)->seg.flags & TCP_RST);
}
END_TEST

START_TEST(linger_zero_resets_at_close)
{
	struct linger linger = {1, 0};

	bring_to(&f, TCP_ESTABLISHED);
	ck_assert_int_eq(stack_setsockopt(f.sock, f.now, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	ck_assert(take(&f)->seg.flags & TCP_RST);
}
END_TEST

START_TEST(quickack_sends_what_waits_and_comes_back)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 10);
	expect_nothing(&f);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_QUICKACK, 1);
	run(&f);
	expect(&f, TCP_ACK, 1, 11, 0);
	feed(&f, TCP_ACK, 11, 1, 10);
	expect(&f, TCP_ACK, 1, 21, 0);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_QUICKACK, 0);
	ck_assert_int_eq(get(f.sock, IPPROTO_TCP, TCP_QUICKACK), 0);
	feed(&f, TCP_ACK, 21, 1, 10);
	expect_nothing(&f);
}
END_TEST

START_TEST(notsent_lowat_keeps_the_rest_with_the_writer)
{
	static uint8_t data[200000];
	uint32_t cwnd;
	int error;

	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4000);
	cwnd = tcb_now(&f)->cc.cwnd;
	/* One piece of half the peer's window, for nothing was unsent when it was begun. */
	ck_assert_int_eq(stack_send(f.sock, f.now, data, sizeof(data)), 29200);
	ck_assert_int_eq(stack_send(f.sock, f.now, data, sizeof(data)), 0);
	events_now(&f, &error);
	run(&f);
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_WRITABLE, 0);
	ck_assert_int_eq(stack_send(f.sock, f.now, data, sizeof(data)), cwnd); /* it is filled up */
	f.sent_read = f.sent_count;
	feed(&f, TCP_ACK, 1, 1 + cwnd, 0); /* the rest goes out */
	feed(&f, TCP_ACK, 1, 1 + 2 * cwnd, 0);
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_WRITABLE, STACK_EVENT_WRITABLE);
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(window_clamp_bounds_what_is_advertised)
{
	struct captured synack;

	listen_with(IPPROTO_TCP, TCP_WINDOW_CLAMP, 5000);
	synack = *syn_to_listener();
	ck_assert_uint_le(synack.seg.window, 5000);
	answer(&synack, 1460);
	f.sock = stack_accept(f.listener);
	stack_recv_consume(f.sock, f.now, 1460);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_QUICKACK, 1);
	run(&f);
	ck_assert_uint_le(take(&f)->seg.window, 5000);
	ck_assert_int_eq(set(f.sock, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0), -EINVAL);
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(so_error_is_told_once)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_RST, 1, 1, 0);
	ck_assert_int_eq(get(f.sock, SOL_SOCKET, SO_ERROR), ECONNRESET);
	ck_assert_int_eq(get(f.sock, SOL_SOCKET, SO_ERROR), 0);
}
END_TEST

START_TEST(queue_ioctls_count_bytes)
{
	int value = -1;

	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 10);
	ck_assert_int_eq(stack_ioctl(f.sock, SIOCINQ, &value), 0);
	ck_assert_int_eq(value, 10);
	stack_send(f.sock, f.now, "abc", 3);
	ck_assert_int_eq(stack_ioctl(f.sock, SIOCOUTQNSD, &value), 0);
	ck_assert_int_eq(value, 3);
	run(&f);
	ck_assert_int_eq(stack_ioctl(f.sock, SIOCOUTQNSD, &value), 0);
	ck_assert_int_eq(value, 0);
	ck_assert_int_eq(stack_ioctl(f.sock, SIOCOUTQ, &value), 0);
	ck_assert_int_eq(value, 3);
	ck_assert_int_eq(stack_ioctl(f.listener, SIOCINQ, &value), -EINVAL);
	ck_assert_int_eq(stack_ioctl(f.sock, 0x1234, &value), -ENOTTY);
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(tcp_info_says_how_the_connection_is)
{
	struct tcp_info info;
	size_t len = sizeof(info);

	bring_to(&f, TCP_ESTABLISHED);
	stack_send(f.sock, f.now, "abc", 3);
	run(&f);
	feed(&f, TCP_ACK, 1, 1, 10);
	ck_assert_int_eq(stack_getsockopt(f.sock, f.now, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	ck_assert_uint_eq(len, sizeof(info));
	ck_assert_uint_eq(info.tcpi_state, 1);
	ck_assert_uint_eq(info.tcpi_unacked, 1);
	ck_assert_uint_eq(info.tcpi_snd_cwnd, tcb_now(&f)->cc.cwnd / tcb_now(&f)->mss);
	ck_assert_uint_eq(info.tcpi_bytes_received, 10);
	ck_assert_uint_eq(info.tcpi_data_segs_in, 1);
	ck_assert_uint_eq(info.tcpi_data_segs_out, 1);
	ck_assert_uint_eq(info.tcpi_bytes_sent, 3);
	len = 8;
	ck_assert_int_eq(stack_getsockopt(f.sock, f.now, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	ck_assert_uint_eq(len, 8);
	f.sent_read = f.sent_count;
}
END_TEST

/* ---- ports ---- */

static struct sock *bound(uint32_t owner, uint16_t port, int name, int *error)
{
	struct stack_endpoint local = {f.us, port};
	struct sock *sock = stack_socket(f.s, STACK_TCP, owner, NULL);

	if (name)
		set_int(&f, sock, SOL_SOCKET, name, 1);
	*error = stack_bind(sock, &local);
	return sock;
}

START_TEST(reuseaddr_shares_with_others_that_do_not_listen)
{
	int error;
	struct sock *a = bound(1, 7000, SO_REUSEADDR, &error), *b = bound(1, 7000, SO_REUSEADDR, &error), *c;

	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(stack_listen(&a, 1), 0);
	ck_assert_int_eq(stack_listen(&b, 1), -EADDRINUSE);
	c = bound(1, 7000, SO_REUSEADDR, &error);
	ck_assert_int_eq(error, -EADDRINUSE);
	stack_close(a, f.now);
	stack_close(b, f.now);
	stack_close(c, f.now);
}
END_TEST

START_TEST(without_reuseaddr_a_port_in_time_wait_is_taken)
{
	int error;
	struct sock *a;

	bring_to(&f, TCP_TIME_WAIT);
	if (f.listener)
		stack_close(f.listener, f.now);
	f.listener = NULL;
	a = bound(0, OUR_PORT, 0, &error);
	ck_assert_int_eq(error, -EADDRINUSE);
	stack_close(a, f.now);
	a = bound(0, OUR_PORT, SO_REUSEADDR, &error);
	ck_assert_int_eq(error, 0);
	stack_close(a, f.now);
}
END_TEST

START_TEST(freebind_takes_an_address_that_is_not_ours_yet)
{
	struct stack_endpoint local = {f.peer, 7000};
	struct sock *sock = bare();

	ck_assert_int_eq(stack_bind(sock, &local), -EADDRNOTAVAIL);
	set_int(&f, sock, IPPROTO_IP, IP_FREEBIND, 1);
	local.addr.byte[0] = 0x20; /* none of IPv4: control blocks have no room for it */
	ck_assert_int_eq(stack_bind(sock, &local), -EADDRNOTAVAIL);
	local.addr = f.peer;
	ck_assert_int_eq(stack_bind(sock, &local), 0);
	stack_close(sock, f.now);
}
END_TEST

START_TEST(reuseport_spreads_over_listeners_of_one_user)
{
	struct sock *l[3], *other, *accepted;
	unsigned got[3] = {0};
	int error;

	for (unsigned i = 0; i < 3; i++) {
		l[i] = bound(1, OUR_PORT, SO_REUSEPORT, &error);
		ck_assert_int_eq(error, 0);
		ck_assert_int_eq(stack_listen(&l[i], 200), 0);
	}
	other = bound(2, OUR_PORT, SO_REUSEPORT, &error);
	ck_assert_int_eq(error, -EADDRINUSE); /* another user's */
	stack_close(other, f.now);
	for (uint8_t i = 1; i <= 90; i++) {
		if (i == f.us.byte[15])
			continue;
		f.peer.byte[15] = i;
		struct captured synack = *syn_to_listener();
		answer(&synack, 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		while ((accepted = stack_accept(l[i]))) {
			got[i]++;
			stack_abort(accepted, f.now);
		}
		stack_close(l[i], f.now);
		ck_assert_uint_gt(got[i], 10);
	}
	ck_assert_uint_eq(got[0] + got[1] + got[2], 89);
	f.sent_read = f.sent_count;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sockopt");
	TCase *tc = tcase_create("options");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, option_values_are_the_host_s, 0, (int)ARRAY_SIZE(values));
	tcase_add_test(tc, option_lengths_are_the_host_s);
	tcase_add_test(tc, congestion_control_is_chosen_by_socket);
	tcase_add_test(tc, fast_open_is_chosen_before_there_is_a_connection);
	tcase_add_test(tc, fast_open_is_not_chosen_when_there_is_one);
	tcase_add_test(tc, udp_has_no_tcp_options);
	tcase_add_test(tc, options_go_along_to_the_connection);
	tcase_add_test(tc, accepted_connections_have_the_listener_s_options);
	tcase_add_test(tc, cork_holds_small_segments_until_it_is_pulled);
	tcase_add_test(tc, cork_lets_go_after_200_ms);
	tcase_add_test(tc, cork_does_not_hold_the_fin);
	tcase_add_test(tc, user_timeout_ends_a_connection_that_nothing_acknowledges);
	tcase_add_test(tc, user_timeout_holds_for_a_closed_window_that_is_answered);
	tcase_add_test(tc, user_timeout_counts_instead_of_keepalive_probes);
	tcase_add_test(tc, syncnt_limits_the_retransmissions_of_a_syn);
	tcase_add_test(tc, defer_accept_waits_for_data);
	tcase_add_test(tc, defer_accept_ends_with_a_syn_ack_whose_ack_is_taken);
	tcase_add_test(tc, linger2_negative_resets_in_fin_wait_2);
	tcase_add_test(tc, linger_zero_resets_at_close);
	tcase_add_test(tc, quickack_sends_what_waits_and_comes_back);
	tcase_add_test(tc, notsent_lowat_keeps_the_rest_with_the_writer);
	tcase_add_test(tc, window_clamp_bounds_what_is_advertised);
	tcase_add_test(tc, so_error_is_told_once);
	tcase_add_test(tc, queue_ioctls_count_bytes);
	tcase_add_test(tc, tcp_info_says_how_the_connection_is);
	tcase_add_test(tc, reuseaddr_shares_with_others_that_do_not_listen);
	tcase_add_test(tc, without_reuseaddr_a_port_in_time_wait_is_taken);
	tcase_add_test(tc, freebind_takes_an_address_that_is_not_ours_yet);
	tcase_add_test(tc, reuseport_spreads_over_listeners_of_one_user);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
