/*
 * RFC 9293 3.10.7, SEGMENT ARRIVES: one test a rule, in the RFC's order; a rule that holds in
 * several states is run in each of them.
 */
#include "tcp_fixture.h"

#include <errno.h>
#include <linux/sockios.h>

static struct fixture f;

static const enum tcp_state synchronized[] = {
	TCP_SYN_RECEIVED, TCP_ESTABLISHED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK,
};
#define SYNCHRONIZED ((int)ARRAY_SIZE(synchronized))

static void setup(void) { fixture_start(&f, NULL); }
static void teardown(void) { fixture_end(&f); }

/* ---- 3.10.7.1 CLOSED ---- */

START_TEST(closed_rst_is_discarded)
{
	feed(&f, TCP_RST, 5, 0, 0);
	feed(&f, TCP_RST | TCP_ACK, 5, 7, 0);
	expect_nothing(&f);
}
END_TEST

START_TEST(closed_without_ack_gets_rst_with_ack)
{
	struct captured *e;

	feed(&f, TCP_SYN, 0, 0, 10);
	e = expect(&f, TCP_RST | TCP_ACK, 0, 11, 0);
	ck_assert_uint_eq(e->seg.seq.v, 0);
}
END_TEST

START_TEST(closed_with_ack_gets_rst_at_that_ack)
{
	struct tcp_segment seg = {.seq = {77}, .ack = {123456}, .flags = TCP_ACK};
	struct captured *e;

	feed_segment(&f, &seg, 3);
	e = expect(&f, TCP_RST, 0, 0, 0);
	ck_assert_uint_eq(e->seg.seq.v, 123456);
}
END_TEST

/* ---- 3.10.7.2 LISTEN ---- */

START_TEST(listen_rst_is_ignored)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_RST, 0, 0, 0);
	expect_nothing(&f);
}
END_TEST

START_TEST(listen_ack_gets_rst)
{
	struct tcp_segment seg = {.seq = {1}, .ack = {99}, .flags = TCP_ACK};

	bring_to(&f, TCP_LISTEN);
	feed_segment(&f, &seg, 0);
	ck_assert_uint_eq(expect(&f, TCP_RST, 0, 0, 0)->seg.seq.v, 99);
}
END_TEST

START_TEST(listen_syn_gets_syn_ack)
{
	struct captured *e;

	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	e = expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert(e->seg.opt.has_mss);
	ck_assert_uint_eq(e->seg.opt.mss, 1460);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
}
END_TEST

START_TEST(row_S2_listen_nonsense_makes_no_state)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN | TCP_FIN, 0, 0, 0);
	feed(&f, TCP_SYN | TCP_RST, 0, 0, 0);
	feed(&f, 0, 0, 0, 0);
	feed(&f, TCP_FIN | TCP_URG | TCP_PSH, 0, 0, 0);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
	ck_assert_uint_eq(f.s->half_open_count, 0);
}
END_TEST

/* ---- 3.10.7.3 SYN-SENT ---- */

START_TEST(syn_sent_unacceptable_ack_gets_rst)
{
	bring_to(&f, TCP_SYN_SENT);
	feed(&f, TCP_SYN | TCP_ACK, 0, 2, 0);
	expect(&f, TCP_RST, 2, 0, 0);
	feed(&f, TCP_ACK, 0, 0, 0);
	expect(&f, TCP_RST, 0, 0, 0);
	ck_assert_int_eq(state_now(&f), TCP_SYN_SENT);
}
END_TEST

START_TEST(syn_sent_rst_with_good_ack_refuses)
{
	int error = 0;

	bring_to(&f, TCP_SYN_SENT);
	feed(&f, TCP_RST | TCP_ACK, 0, 1, 0);
	ck_assert_uint_eq(events_now(&f, &error), STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ECONNREFUSED);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
	expect_nothing(&f);
}
END_TEST

START_TEST(row_T5_syn_sent_rst_with_wrong_or_no_ack_is_ignored)
{
	bring_to(&f, TCP_SYN_SENT);
	feed(&f, TCP_RST | TCP_ACK, 0, 5, 0);
	feed(&f, TCP_RST, 0, 0, 0);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), TCP_SYN_SENT);
}
END_TEST

START_TEST(syn_sent_syn_ack_establishes)
{
	bring_to(&f, TCP_SYN_SENT);
	feed(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	expect(&f, TCP_ACK, 1, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	ck_assert_uint_eq(events_now(&f, NULL) & STACK_EVENT_CONNECTED, STACK_EVENT_CONNECTED);
	ck_assert_uint_eq(tcb_now(&f)->mss, 1460);
}
END_TEST

START_TEST(syn_sent_syn_alone_is_simultaneous_open)
{
	bring_to(&f, TCP_SYN_SENT);
	feed(&f, TCP_SYN, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
	feed(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

START_TEST(syn_sent_neither_syn_nor_rst_is_dropped)
{
	bring_to(&f, TCP_SYN_SENT);
	feed(&f, TCP_ACK, 0, 1, 5);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), TCP_SYN_SENT);
}
END_TEST

/* ---- 3.10.7.4, first: the sequence number ---- */

START_TEST(sequence_outside_window_gets_ack_and_is_dropped)
{
	enum tcp_state state = synchronized[_i];
	uint32_t rcv, snd;

	bring_to(&f, state);
	rcv = rcv_nxt_rel(&f);
	snd = snd_nxt_rel(&f);
	feed(&f, TCP_ACK, rcv + 70000, snd, 10);
	expect(&f, TCP_ACK, snd, rcv, 0);
	expect_nothing(&f);
	feed(&f, TCP_RST, rcv + 70000, 0, 0);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), state);
	ck_assert_uint_eq(rcv_nxt_rel(&f), rcv);
}
END_TEST

START_TEST(sequence_duplicate_gets_ack)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 100);
	pass(&f, SECONDS(1));
	f.sent_read = f.sent_count = 0;
	feed(&f, TCP_ACK, 1, 1, 100);
	expect(&f, TCP_ACK, 1, 101, 0);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 100);
}
END_TEST

START_TEST(sequence_partly_old_gives_only_what_is_new)
{
	uint8_t got[200];

	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 100);
	feed(&f, TCP_ACK, 51, 1, 100);
	ck_assert_int_eq(stack_recv(f.sock, f.now, got, sizeof(got)), 150);
	for (unsigned i = 0; i < 150; i++)
		ck_assert_uint_eq(got[i], (uint8_t)((i < 100 ? PEER_ISS + 1 : PEER_ISS + 1) + i));
}
END_TEST

START_TEST(sequence_beyond_the_window_is_cut)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 40000);
	feed(&f, TCP_ACK | TCP_FIN, 40001, 1, 30000);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 60000);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

START_TEST(sequence_zero_window_probe_is_answered_and_its_ack_used)
{
	bring_to(&f, TCP_ESTABLISHED);
	stack_send(f.sock, f.now, "x", 1);
	feed(&f, TCP_ACK, 1, 1, 60000);
	f.sent_read = f.sent_count = 0;
	feed(&f, TCP_ACK, 60001, 2, 1);
	ck_assert_uint_eq(expect(&f, TCP_ACK, 2, 60001, 0)->seg.window, 0);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 60000);
	ck_assert_uint_eq(tcb_flight(tcb_now(&f)), 0);
}
END_TEST

/* ---- second: RST ---- */

START_TEST(row_T1_rst_at_rcv_nxt_resets)
{
	enum tcp_state state = synchronized[_i];
	int error = 0;

	bring_to(&f, state);
	feed(&f, TCP_RST, rcv_nxt_rel(&f), 0, 0);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
	if (state == TCP_CLOSING || state == TCP_LAST_ACK) {
		ck_assert_uint_eq(events_now(&f, &error), STACK_EVENT_CLOSED);
		return;
	}
	ck_assert_uint_eq(events_now(&f, &error), STACK_EVENT_ERROR);
	ck_assert_int_eq(error, state == TCP_SYN_RECEIVED ? ECONNREFUSED : ECONNRESET);
}
END_TEST

START_TEST(row_T1_rst_in_window_gets_challenge_ack)
{
	enum tcp_state state = synchronized[_i];

	bring_to(&f, state);
	if (tcb_of(f.sock)->rcv_adv.v - tcb_of(f.sock)->rcv_nxt.v < 10)
		return;
	feed(&f, TCP_RST, rcv_nxt_rel(&f) + 5, 0, 0);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, 0);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), state);
}
END_TEST

/* ---- fourth: SYN ---- */

START_TEST(row_T2_syn_gets_challenge_ack)
{
	enum tcp_state state = synchronized[_i];
	uint32_t rcv;

	bring_to(&f, state);
	rcv = rcv_nxt_rel(&f);
	feed(&f, TCP_SYN, rcv + 5, 0, 0);
	ck_assert_uint_eq(take(&f)->seg.flags & (TCP_RST | TCP_ACK), TCP_ACK);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), state);
	ck_assert_uint_eq(rcv_nxt_rel(&f), rcv);
}
END_TEST

/* ---- fifth: ACK ---- */

START_TEST(ack_bit_off_is_dropped)
{
	enum tcp_state state = synchronized[_i];

	bring_to(&f, state);
	feed(&f, 0, rcv_nxt_rel(&f), 0, 20);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), state);
	ck_assert_uint_eq(tcb_of(f.sock)->rcvq.len, 0);
}
END_TEST

START_TEST(ack_syn_received_bad_gets_rst)
{
	bring_to(&f, TCP_SYN_RECEIVED);
	feed(&f, TCP_ACK, 1, 7, 0);
	expect(&f, TCP_RST, 7, 0, 0);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
}
END_TEST

START_TEST(ack_half_open_bad_gets_rst)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	take(&f);
	feed(&f, TCP_ACK, 1, 7, 0);
	expect(&f, TCP_RST, 7, 0, 0);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
}
END_TEST

START_TEST(ack_half_open_good_makes_a_connection)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_ptr_null(stack_accept(f.listener));
}
END_TEST

START_TEST(ack_of_what_was_never_sent_gets_ack)
{
	enum tcp_state state = synchronized[_i];
	uint32_t snd;

	bring_to(&f, state);
	if (state == TCP_SYN_RECEIVED)
		return; /* ack_syn_received_bad_gets_rst */
	snd = snd_nxt_rel(&f);
	feed(&f, TCP_ACK, rcv_nxt_rel(&f), snd + 1, 0);
	expect(&f, TCP_ACK, snd, rcv_nxt_rel(&f), 0);
	ck_assert_int_eq(state_now(&f), state);
}
END_TEST

START_TEST(row_T3_ack_far_behind_is_discarded_with_its_data)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1u - PEER_WINDOW - 2, 100);
	expect(&f, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 0);
}
END_TEST

START_TEST(ack_advances_snd_una_and_frees_the_queue)
{
	bring_to(&f, TCP_ESTABLISHED);
	stack_send(f.sock, f.now, "hello", 5);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 5);
	feed(&f, TCP_ACK, 1, 6, 0);
	ck_assert_uint_eq(tcb_now(&f)->sndq.len, 0);
	ck_assert_uint_eq(tcb_now(&f)->snd_una.v, tcb_now(&f)->iss.v + 6);
	ck_assert_uint_eq(tcb_deadline(tcb_now(&f), TCB_REXMT), STACK_NEVER);
}
END_TEST

START_TEST(ack_older_by_wl1_does_not_change_the_window)
{
	struct tcp_segment newer = {.seq = {PEER_ISS + 21}, .flags = TCP_ACK, .window = 1000};
	struct tcp_segment older = {.seq = {PEER_ISS + 1}, .flags = TCP_ACK, .window = 9};

	bring_to(&f, TCP_ESTABLISHED);
	newer.ack = older.ack = tcb_now(&f)->snd_nxt;
	feed_segment(&f, &newer, 10); /* overtook the other on the way */
	ck_assert_uint_eq(tcb_now(&f)->snd_wnd, 1000);
	feed_segment(&f, &older, 20);
	ck_assert_uint_eq(tcb_now(&f)->snd_wnd, 1000);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 30);
}
END_TEST

START_TEST(ack_of_fin_in_fin_wait_1_enters_fin_wait_2)
{
	bring_to(&f, TCP_FIN_WAIT_1);
	feed(&f, TCP_ACK, 1, 2, 0);
	ck_assert_int_eq(state_now(&f), TCP_FIN_WAIT_2);
}
END_TEST

START_TEST(ack_of_fin_in_closing_enters_time_wait)
{
	bring_to(&f, TCP_CLOSING);
	feed(&f, TCP_ACK, 2, 2, 0);
	ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
	expect_nothing(&f); /* an ACK is not acknowledged */
}
END_TEST

START_TEST(ack_of_fin_in_last_ack_closes)
{
	bring_to(&f, TCP_LAST_ACK);
	feed(&f, TCP_ACK, 2, 2, 0);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
	ck_assert_uint_eq(events_now(&f, NULL) & STACK_EVENT_CLOSED, STACK_EVENT_CLOSED);
}
END_TEST

START_TEST(time_wait_answers_a_repeated_fin_and_restarts)
{
	stack_time before;

	bring_to(&f, TCP_TIME_WAIT);
	before = time_wait_expires(f.s, f.s->tw_head);
	f.now += SECONDS(10);
	feed(&f, TCP_FIN | TCP_ACK, 1, 2, 0);
	expect(&f, TCP_ACK, 2, 2, 0);
	ck_assert_uint_eq(time_wait_expires(f.s, f.s->tw_head), before + SECONDS(10));
}
END_TEST

START_TEST(row_T5_time_wait_ignores_rst)
{
	bring_to(&f, TCP_TIME_WAIT);
	feed(&f, TCP_RST, 2, 0, 0);
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
}
END_TEST

START_TEST(time_wait_ends_after_2_msl)
{
	bring_to(&f, TCP_TIME_WAIT);
	pass(&f, SECONDS(59));
	ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
	pass(&f, SECONDS(2));
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
}
END_TEST

START_TEST(time_wait_newer_syn_is_a_new_connection)
{
	uint32_t old = 0;

	bring_to(&f, TCP_TIME_WAIT);
	old = f.s->tw_head->snd_nxt.v;
	feed(&f, TCP_SYN, 100000, 0, 0);
	ck_assert_int_gt(seq_diff(take(&f)->seg.seq, seq_make(old)), 0);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
}
END_TEST

START_TEST(time_wait_older_syn_gets_ack)
{
	bring_to(&f, TCP_TIME_WAIT);
	feed(&f, TCP_SYN, 0u - 1000, 0, 0);
	expect(&f, TCP_ACK, 2, 2, 0);
	ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
}
END_TEST

/* ---- sixth: URG ---- */

/* The peer's next 10 bytes, with this urgent pointer. */
static void feed_urgent(uint16_t pointer)
{
	struct tcp_segment seg = {.flags = TCP_ACK | TCP_URG, .urgent = pointer, .window = 1000};

	seg.seq = tcb_now(&f)->rcv_nxt;
	seg.ack = tcb_now(&f)->snd_nxt;
	feed_segment(&f, &seg, 10);
	f.sent_read = f.sent_count;
}

static int at_mark(void)
{
	int value = -1;

	ck_assert_int_eq(stack_ioctl(f.sock, SIOCATMARK, &value), 0);
	return value;
}

static ptrdiff_t read_all(void)
{
	char data[100];

	return stack_recv(f.sock, f.now, data, sizeof(data));
}

START_TEST(row_T12_urgent_pointer_past_the_segment_or_zero_holds_nothing_up)
{
	uint8_t byte;

	bring_to(&f, TCP_ESTABLISHED);
	feed_urgent(60000);
	ck_assert_int_eq(stack_recv_urgent(f.sock, &byte, false), -EAGAIN);
	ck_assert(!stack_urgent_waits(f.sock));
	ck_assert_int_eq(read_all(), 10);
	feed_urgent(0); /* older than that */
	ck_assert_int_eq(read_all(), 10);
	ck_assert_int_eq(at_mark(), 0);
}
END_TEST

START_TEST(urgent_byte_is_left_out_and_its_mark_ends_a_read)
{
	uint8_t byte;

	bring_to(&f, TCP_ESTABLISHED);
	feed_urgent(4);
	ck_assert_uint_eq(events_now(&f, NULL) & STACK_EVENT_URGENT, STACK_EVENT_URGENT);
	ck_assert_int_eq(at_mark(), 0);
	ck_assert_int_eq(read_all(), 3);
	ck_assert_int_eq(at_mark(), 1);
	ck_assert(stack_urgent_waits(f.sock));
	ck_assert_int_eq(stack_recv_urgent(f.sock, &byte, false), 1);
	ck_assert_int_eq(stack_recv_urgent(f.sock, &byte, false), -EINVAL);
	ck_assert_int_eq(read_all(), 6);
	ck_assert_int_eq(at_mark(), 0);
	ck_assert_int_eq(read_all(), -EAGAIN);
}
END_TEST

/* One that was not read is a byte like the others then, unless the reader stands before it. */
START_TEST(of_two_urgent_bytes_the_newer_counts)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed_urgent(2);
	feed_urgent(6);
	ck_assert_int_eq(read_all(), 15);
	ck_assert_int_eq(at_mark(), 1);
	feed_urgent(8);
	ck_assert_int_eq(read_all(), 11);
	ck_assert_int_eq(read_all(), 2);
}
END_TEST

START_TEST(urgent_byte_that_comes_twice_is_urgent_once)
{
	struct tcp_segment seg = {.flags = TCP_ACK | TCP_URG, .urgent = 4, .window = 1000};

	bring_to(&f, TCP_ESTABLISHED);
	seg.seq = tcb_now(&f)->rcv_nxt;
	seg.ack = tcb_now(&f)->snd_nxt;
	feed_segment(&f, &seg, 10);
	ck_assert_int_eq(read_all(), 3);
	ck_assert_int_eq(read_all(), 6);
	feed_segment(&f, &seg, 20); /* again, and as much behind it */
	ck_assert(!stack_urgent_waits(f.sock));
	ck_assert_int_eq(read_all(), 10);
	f.sent_read = f.sent_count;
}
END_TEST

START_TEST(urgent_byte_that_was_read_is_not_unread_data)
{
	uint8_t byte;

	bring_to(&f, TCP_ESTABLISHED);
	feed_urgent(10);
	ck_assert_int_eq(read_all(), 9);
	ck_assert_int_eq(stack_recv_urgent(f.sock, &byte, false), 1);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	expect(&f, TCP_FIN | TCP_ACK, 1, 11, 0);
}
END_TEST

/* ---- seventh: text ---- */

START_TEST(text_is_delivered_where_data_may_come)
{
	static const enum tcp_state states[] = {TCP_ESTABLISHED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2};

	bring_to(&f, states[_i]);
	feed(&f, TCP_ACK, 1, 1, 50);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 50);
	ck_assert_uint_eq(events_now(&f, NULL) & STACK_EVENT_READABLE, STACK_EVENT_READABLE);
}
END_TEST

START_TEST(text_after_the_peers_fin_is_ignored)
{
	static const enum tcp_state states[] = {TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK};

	bring_to(&f, states[_i]);
	feed(&f, TCP_ACK, 2, 1, 50);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 0);
	ck_assert_int_eq(state_now(&f), states[_i]);
}
END_TEST

START_TEST(text_goes_to_the_reader_before_it_is_stored)
{
	bring_to(&f, TCP_ESTABLISHED);
	f.reader_takes = true;
	feed(&f, TCP_ACK, 1, 1, 500);
	ck_assert_uint_eq(f.reader_took, 500);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 0);
	ck_assert_uint_eq(f.s->mem.used[MEM_RECV], 0);
}
END_TEST

START_TEST(text_one_segment_is_acknowledged_later_two_at_once)
{
	bring_to(&f, TCP_ESTABLISHED);
	tcb_now(&f)->ato_ms = 40; /* not the first data */
	tcb_now(&f)->data_received_ms = (uint32_t)(f.now / 1000);
	feed(&f, TCP_ACK, 1, 1, 1460);
	expect_nothing(&f);
	feed(&f, TCP_ACK, 1461, 1, 1460);
	expect(&f, TCP_ACK, 1, 2921, 0);
	feed(&f, TCP_ACK, 2921, 1, 10);
	expect_nothing(&f);
	f.now += MILLISECONDS(41);
	run(&f);
	expect(&f, TCP_ACK, 1, 2931, 0);
}
END_TEST

START_TEST(text_out_of_order_is_kept_and_acknowledged_at_once)
{
	uint8_t got[300];

	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 101, 1, 100);
	expect(&f, TCP_ACK, 1, 1, 0);
	feed(&f, TCP_ACK, 201, 1, 100);
	expect(&f, TCP_ACK, 1, 1, 0);
	feed(&f, TCP_ACK, 1, 1, 100);
	expect(&f, TCP_ACK, 1, 301, 0);
	ck_assert_int_eq(stack_recv(f.sock, f.now, got, sizeof(got)), 300);
	for (unsigned i = 0; i < 300; i++)
		ck_assert_uint_eq(got[i], (uint8_t)(PEER_ISS + 1 + i));
	ck_assert_ptr_null(tcb_now(&f)->ooo);
}
END_TEST

/* Segments of `len` bytes with a byte missing between any two; how many stretches are kept. */
static unsigned kept_of(uint32_t segments, uint32_t len)
{
	bring_to(&f, TCP_ESTABLISHED);
	for (uint32_t i = 0; i < segments; i++) {
		feed(&f, TCP_ACK, 2 + i * (len + 1), 1, len);
		f.sent_read = f.sent_count = 0;
	}
	return tcb_now(&f)->ooo->ranges;
}

START_TEST(row_T8_single_bytes_with_gaps_make_few_ranges)
{
	ck_assert_uint_eq(kept_of(2000, 1), OOO_RANGES_LEAST);
}
END_TEST

START_TEST(full_segments_with_gaps_are_all_kept)
{
	ck_assert_uint_eq(kept_of(80, 700), 80);
}
END_TEST

START_TEST(text_for_an_owner_that_closed_gets_rst)
{
	bring_to(&f, TCP_ESTABLISHED);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	take(&f);
	feed(&f, TCP_ACK, 1, 1, 10);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, TCP_RST);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
}
END_TEST

/* ---- eighth: FIN ---- */

START_TEST(fin_changes_state)
{
	static const struct { enum tcp_state from, to; } rules[] = {
		{TCP_SYN_RECEIVED, TCP_CLOSE_WAIT}, {TCP_ESTABLISHED, TCP_CLOSE_WAIT},
		{TCP_FIN_WAIT_1, TCP_CLOSING}, {TCP_FIN_WAIT_2, TCP_TIME_WAIT},
		{TCP_CLOSE_WAIT, TCP_CLOSE_WAIT}, {TCP_CLOSING, TCP_CLOSING}, {TCP_LAST_ACK, TCP_LAST_ACK},
	};
	uint32_t rcv;

	bring_to(&f, rules[_i].from);
	rcv = rcv_nxt_rel(&f);
	feed(&f, TCP_FIN | TCP_ACK, rcv, 1, 0);
	ck_assert_int_eq(state_now(&f), rules[_i].to);
	if (_i < 4) {
		ck_assert_uint_eq(take(&f)->seg.ack.v - PEER_ISS, rcv + 1);
		ck_assert_uint_eq(events_now(&f, NULL) & STACK_EVENT_EOF, STACK_EVENT_EOF);
	}
}
END_TEST

START_TEST(fin_with_ack_of_ours_in_fin_wait_1_enters_time_wait)
{
	bring_to(&f, TCP_FIN_WAIT_1);
	feed(&f, TCP_FIN | TCP_ACK, 1, 2, 0);
	ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
	expect(&f, TCP_ACK, 2, 2, 0);
}
END_TEST

START_TEST(fin_out_of_order_waits)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_FIN | TCP_ACK, 11, 1, 10);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 10); /* the FIN need not come again */
	ck_assert_int_eq(state_now(&f), TCP_CLOSE_WAIT);
	ck_assert_uint_eq(rcv_nxt_rel(&f), 22);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)
#define ADD_LOOP(test, runs) suite_add_fixture(s, #test, test, runs, setup, teardown)

int main(void)
{
	Suite *s = suite_create("tcp-rules");

	ADD(closed_rst_is_discarded);
	ADD(closed_without_ack_gets_rst_with_ack);
	ADD(closed_with_ack_gets_rst_at_that_ack);
	ADD(listen_rst_is_ignored);
	ADD(listen_ack_gets_rst);
	ADD(listen_syn_gets_syn_ack);
	ADD(row_S2_listen_nonsense_makes_no_state);
	ADD(syn_sent_unacceptable_ack_gets_rst);
	ADD(syn_sent_rst_with_good_ack_refuses);
	ADD(row_T5_syn_sent_rst_with_wrong_or_no_ack_is_ignored);
	ADD(syn_sent_syn_ack_establishes);
	ADD(syn_sent_syn_alone_is_simultaneous_open);
	ADD(syn_sent_neither_syn_nor_rst_is_dropped);
	ADD_LOOP(sequence_outside_window_gets_ack_and_is_dropped, SYNCHRONIZED);
	ADD(sequence_duplicate_gets_ack);
	ADD(sequence_partly_old_gives_only_what_is_new);
	ADD(sequence_beyond_the_window_is_cut);
	ADD(sequence_zero_window_probe_is_answered_and_its_ack_used);
	ADD_LOOP(row_T1_rst_at_rcv_nxt_resets, SYNCHRONIZED);
	ADD_LOOP(row_T1_rst_in_window_gets_challenge_ack, SYNCHRONIZED);
	ADD_LOOP(row_T2_syn_gets_challenge_ack, SYNCHRONIZED);
	ADD_LOOP(ack_bit_off_is_dropped, SYNCHRONIZED);
	ADD(ack_syn_received_bad_gets_rst);
	ADD(ack_half_open_bad_gets_rst);
	ADD(ack_half_open_good_makes_a_connection);
	ADD_LOOP(ack_of_what_was_never_sent_gets_ack, SYNCHRONIZED);
	ADD(row_T3_ack_far_behind_is_discarded_with_its_data);
	ADD(ack_advances_snd_una_and_frees_the_queue);
	ADD(ack_older_by_wl1_does_not_change_the_window);
	ADD(ack_of_fin_in_fin_wait_1_enters_fin_wait_2);
	ADD(ack_of_fin_in_closing_enters_time_wait);
	ADD(ack_of_fin_in_last_ack_closes);
	ADD(time_wait_answers_a_repeated_fin_and_restarts);
	ADD(row_T5_time_wait_ignores_rst);
	ADD(time_wait_ends_after_2_msl);
	ADD(time_wait_newer_syn_is_a_new_connection);
	ADD(time_wait_older_syn_gets_ack);
	ADD(row_T12_urgent_pointer_past_the_segment_or_zero_holds_nothing_up);
	ADD(urgent_byte_is_left_out_and_its_mark_ends_a_read);
	ADD(of_two_urgent_bytes_the_newer_counts);
	ADD(urgent_byte_that_comes_twice_is_urgent_once);
	ADD(urgent_byte_that_was_read_is_not_unread_data);
	ADD_LOOP(text_is_delivered_where_data_may_come, 3);
	ADD_LOOP(text_after_the_peers_fin_is_ignored, 3);
	ADD(text_goes_to_the_reader_before_it_is_stored);
	ADD(text_one_segment_is_acknowledged_later_two_at_once);
	ADD(text_out_of_order_is_kept_and_acknowledged_at_once);
	ADD(row_T8_single_bytes_with_gaps_make_few_ranges);
	ADD(full_segments_with_gaps_are_all_kept);
	ADD(text_for_an_owner_that_closed_gets_rst);
	ADD_LOOP(fin_changes_state, 7);
	ADD(fin_with_ack_of_ours_in_fin_wait_1_enters_time_wait);
	ADD(fin_out_of_order_waits);
	return suite_run(s);
}
