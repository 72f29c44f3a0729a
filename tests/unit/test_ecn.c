/* Explicit congestion notification (RFC 3168): negotiation, marks, echo, reduction. */
#include "tcp_fixture.h"

static struct fixture f;

static void want_ecn(struct stack_config *c)
{
	c->ecn = STACK_ECN_ASK;
}

static void want_none(struct stack_config *c)
{
	c->ecn = STACK_ECN_OFF;
}

static void setup(void) { fixture_start(&f, want_ecn); }
static void teardown(void) { fixture_end(&f); }

static void accept_connection(void)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN | TCP_ECE | TCP_CWR, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK | TCP_ECE, 0, 1, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert(tcb_now(&f)->ecn_on);
}

static void send(uint32_t bytes)
{
	static uint8_t data[100000];

	stack_send(f.sock, f.now, data, bytes);
	run(&f);
}

START_TEST(a_peer_that_does_not_ask_gets_none)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
}
END_TEST

START_TEST(a_syn_sent_again_without_the_flags_takes_nothing_back)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN | TCP_ECE | TCP_CWR, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK | TCP_ECE, 0, 1, 0);
	feed(&f, TCP_SYN, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK | TCP_ECE, 0, 1, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert(tcb_now(&f)->ecn_on);
}
END_TEST

START_TEST(switched_off_it_is_not_granted)
{
	fixture_end(&f);
	fixture_start(&f, want_none);
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN | TCP_ECE | TCP_CWR, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
}
END_TEST

START_TEST(our_connect_asks_and_stops_asking_when_sent_again)
{
	struct stack_endpoint remote = {.addr = f.peer, .port = PEER_PORT};

	f.sock = stack_socket(f.s, STACK_TCP, 0, &f);
	ck_assert_int_eq(stack_connect(&f.sock, f.now, &remote), 0);
	ck_assert_uint_eq(take(&f)->seg.flags, TCP_SYN | TCP_ECE | TCP_CWR);
	f.now += SECONDS(1) + 1000;
	run(&f);
	ck_assert_uint_eq(take(&f)->seg.flags, TCP_SYN);
	feed(&f, TCP_SYN | TCP_ACK | TCP_ECE, 0, 1, 0);
	ck_assert(!tcb_now(&f)->ecn_on);
}
END_TEST

START_TEST(our_connect_is_granted)
{
	struct stack_endpoint remote = {.addr = f.peer, .port = PEER_PORT};

	f.sock = stack_socket(f.s, STACK_TCP, 0, &f);
	ck_assert_int_eq(stack_connect(&f.sock, f.now, &remote), 0);
	take(&f);
	feed(&f, TCP_SYN | TCP_ACK | TCP_ECE, 0, 1, 0);
	ck_assert(tcb_now(&f)->ecn_on);
}
END_TEST

START_TEST(a_mark_never_raises_a_window_of_one_segment)
{
	accept_connection();
	tcb_now(&f)->cc.cwnd = tcb_now(&f)->mss;
	send(1460);
	feed(&f, TCP_ACK | TCP_ECE, 1, 1461, 0);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, tcb_now(&f)->mss);
}
END_TEST

START_TEST(only_new_data_is_marked_capable)
{
	accept_connection();
	send(1000);
	ck_assert_uint_eq(take(&f)->ip.tos & 3, IP_ECT0);
	f.now += SECONDS(1);
	run(&f);
	ck_assert_uint_eq(take(&f)->ip.tos & 3, 0); /* sent again */
	feed(&f, TCP_ACK, 1, 1001, 1460);
	feed(&f, TCP_ACK, 1461, 1001, 1460);
	ck_assert_uint_eq(take(&f)->ip.tos & 3, 0); /* a pure ACK */
}
END_TEST

START_TEST(a_mark_is_echoed_until_the_peer_has_reduced)
{
	accept_connection();
	f.tos = IP_CE;
	feed(&f, TCP_ACK, 1, 1, 100);
	expect(&f, TCP_ACK | TCP_ECE, 1, 101, 0);
	f.tos = IP_ECT0;
	feed(&f, TCP_ACK, 101, 1, 1460);
	feed(&f, TCP_ACK, 1561, 1, 1460);
	expect(&f, TCP_ACK | TCP_ECE, 1, 3021, 0);
	feed(&f, TCP_ACK | TCP_CWR, 3021, 1, 1460);
	feed(&f, TCP_ACK, 4481, 1, 1460);
	expect(&f, TCP_ACK, 1, 5941, 0);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_ecn_ce_in], 1);
}
END_TEST

START_TEST(an_echo_reduces_once_a_window_and_cwr_says_so)
{
	uint32_t cwnd;

	accept_connection();
	send(14600);
	take(&f);
	take(&f);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed(&f, TCP_ACK | TCP_ECE, 1, 1461, 0);
	ck_assert_uint_lt(tcb_now(&f)->cc.cwnd, cwnd);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed(&f, TCP_ACK | TCP_ECE, 1, 2921, 0);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_ecn_reductions], 1);
	ck_assert_uint_eq(tcb_now(&f)->conn->retransmissions, 0);
	feed(&f, TCP_ACK, 1, 14601, 0);
	send(5000);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_CWR, TCP_CWR);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_CWR, 0);
}
END_TEST

/* The peer goes on echoing in what it sends, while we have nothing to send that could say CWR. */
START_TEST(an_echo_of_the_same_mark_does_not_reduce_again)
{
	accept_connection();
	send(14600);
	feed(&f, TCP_ACK | TCP_ECE, 1, 14601, 0);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_ecn_reductions], 1);
	for (uint32_t i = 0; i < 3; i++)
		feed(&f, TCP_ACK | TCP_ECE, 1 + i * 100, 14601, 100);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_ecn_reductions], 1);
}
END_TEST

START_TEST(a_mark_after_gigabytes_without_one_counts)
{
	accept_connection();
	tcb_now(&f)->ecn_point = seq_add(tcb_now(&f)->snd_una, 0x7fffff00u); /* long ago */
	send(14600);
	feed(&f, TCP_ACK | TCP_ECE, 1, 1461, 0);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_ecn_reductions], 1);
}
END_TEST

/* RFC 3168 6.1.2: CWR for any reduction, so that marks of the same congestion are not answered again. */
START_TEST(a_reduction_for_a_loss_says_cwr_too)
{
	accept_connection();
	send(14600);
	feed(&f, TCP_ACK, 1, 1461, 0);
	f.sent_read = f.sent_count = 0;
	for (unsigned i = 0; i < 3; i++)
		feed(&f, TCP_ACK, 1, 1461, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_CWR, 0); /* not on what is sent again */
	feed(&f, TCP_ACK | TCP_ECE, 1, 14601, 0);
	feed(&f, TCP_ACK | TCP_ECE, 1, 14601, 100);
	f.sent_read = f.sent_count = 0;
	send(1000);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_CWR, TCP_CWR);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_ecn_reductions], 0);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("ecn");

	ADD(a_peer_that_does_not_ask_gets_none);
	ADD(a_syn_sent_again_without_the_flags_takes_nothing_back);
	ADD(switched_off_it_is_not_granted);
	ADD(our_connect_asks_and_stops_asking_when_sent_again);
	ADD(our_connect_is_granted);
	ADD(a_mark_never_raises_a_window_of_one_segment);
	ADD(only_new_data_is_marked_capable);
	ADD(a_mark_is_echoed_until_the_peer_has_reduced);
	ADD(an_echo_reduces_once_a_window_and_cwr_says_so);
	ADD(an_echo_of_the_same_mark_does_not_reduce_again);
	ADD(a_mark_after_gigabytes_without_one_counts);
	ADD(a_reduction_for_a_loss_says_cwr_too);
	return suite_run(s);
}
