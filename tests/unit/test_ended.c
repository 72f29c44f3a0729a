/* stack_ops.ended: who watches hears of every end of a socket once, with its last addresses. */
#include "tcp_fixture.h"

static struct fixture f;

static struct {
	unsigned count;
	struct stack_tcb_info last;
} heard;

static void on_ended(void *context, const struct stack_tcb_info *last)
{
	ck_assert_ptr_eq(context, &f);
	heard.count++;
	heard.last = *last;
}

static void start(enum tcp_state state)
{
	fixture_start(&f, NULL);
	heard.count = 0;
	f.s->ops.ended = on_ended;
	stack_watch_ends(f.s, true);
	bring_to(&f, state);
}

static void expect_end_of_connection(void)
{
	ck_assert_uint_eq(heard.count, 1);
	ck_assert_int_eq(heard.last.sock.proto, STACK_TCP);
	ck_assert_int_eq(heard.last.sock.state, TCP_CLOSED);
	ck_assert_ptr_null(heard.last.sock.user);
	ck_assert(addr_eq(&heard.last.sock.local.addr, &f.us) && heard.last.sock.local.port == OUR_PORT);
	ck_assert(addr_eq(&heard.last.sock.remote.addr, &f.peer) && heard.last.sock.remote.port == PEER_PORT);
}

START_TEST(a_reset_is_an_end)
{
	start(TCP_ESTABLISHED);
	ck_assert_uint_eq(heard.count, 0);
	feed(&f, TCP_RST, 1, 0, 0);
	expect_end_of_connection();
	stack_close(f.sock, f.now);
	f.sock = NULL;
	ck_assert_uint_eq(heard.count, 1);
	fixture_end(&f);
}
END_TEST

START_TEST(time_wait_is_an_end)
{
	start(TCP_TIME_WAIT);
	expect_end_of_connection();
	pass(&f, SECONDS(300));
	ck_assert_uint_eq(heard.count, 1);
	fixture_end(&f);
}
END_TEST

START_TEST(who_does_not_watch_hears_nothing)
{
	start(TCP_ESTABLISHED);
	stack_watch_ends(f.s, false);
	feed(&f, TCP_RST, 1, 0, 0);
	ck_assert_uint_eq(heard.count, 0);
	fixture_end(&f);
}
END_TEST

START_TEST(a_closed_udp_socket_is_an_end)
{
	struct stack_endpoint local = {f.us, 53};
	struct sock *sock, *unbound;

	start(TCP_ESTABLISHED);
	local.addr = f.us;
	sock = stack_socket(f.s, STACK_UDP, 1000, &f);
	unbound = stack_socket(f.s, STACK_UDP, 1000, &f);
	ck_assert_int_eq(stack_bind(sock, &local), 0);
	stack_close(unbound, f.now); /* never had an address */
	ck_assert_uint_eq(heard.count, 0);
	stack_close(sock, f.now);
	ck_assert_uint_eq(heard.count, 1);
	ck_assert_int_eq(heard.last.sock.proto, STACK_UDP);
	ck_assert_uint_eq(heard.last.sock.local.port, 53);
	ck_assert_uint_eq(heard.last.sock.owner, 1000);
	fixture_end(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ended");

	suite_add(s, "a reset is an end", a_reset_is_an_end);
	suite_add(s, "TIME-WAIT is an end", time_wait_is_an_end);
	suite_add(s, "who does not watch hears nothing", who_does_not_watch_hears_nothing);
	suite_add(s, "a closed UDP socket is an end", a_closed_udp_socket_is_an_end);
	return suite_run(s);
}
