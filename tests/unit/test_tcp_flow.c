/*
 * TCP in time: retransmission, windows, acknowledgement policy, the queues behind listen,
 * ICMP errors, options. Single segments with the peer played by the test.
 */
#include "tcp_fixture.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct fixture f;

static void setup(void) { fixture_start(&f, NULL); }
static void teardown(void) { fixture_end(&f); }

static void want_all_options(struct stack_config *c)
{
	c->timestamps = true;
	c->window_scaling = true;
	c->recv_buffer = 1 << 20;
}

static void want_short_queues(struct stack_config *c)
{
	c->half_open_max = 4;
}

static void want_no_offload(struct stack_config *c)
{
	c->offload = 0;
}

static void restart(void (*change)(struct stack_config *c))
{
	fixture_end(&f);
	fixture_start(&f, change);
}

/* Time until the stack sends something again. */
static stack_time until_sent(struct fixture *fix)
{
	stack_time start = fix->now;

	fix->sent_read = fix->sent_count = 0;
	for (unsigned i = 0; i < 10000 && fix->sent_count == 0; i++) {
		stack_time next = stack_deadline(fix->s);

		ck_assert_uint_ne(next, STACK_NEVER);
		fix->now = max_u64(next, fix->now);
		run(fix);
	}
	return fix->now - start;
}

static void about(stack_time got, stack_time want)
{
	ck_assert_uint_ge(got + 1000, want);
	ck_assert_uint_le(got, want + want / 50 + 2000);
}

static void fill_window(struct fixture *fix, uint32_t bytes)
{
	static uint8_t data[100000];

	ck_assert_int_eq(stack_send(fix->sock, fix->now, data, bytes), (ptrdiff_t)bytes);
	run(fix);
}

/* ---- retransmission ---- */

START_TEST(syn_is_sent_again_with_backoff_until_etimedout)
{
	int error = 0;

	bring_to(&f, TCP_SYN_SENT);
	for (unsigned i = 0; i < 6; i++) {
		about(until_sent(&f), SECONDS(1) << i);
		expect(&f, TCP_SYN, 0, 0, 0);
	}
	pass(&f, SECONDS(65));
	ck_assert_uint_eq(events_now(&f, &error), STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ETIMEDOUT);
}
END_TEST

START_TEST(syn_ack_is_sent_again_and_the_half_open_ends)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	take(&f);
	for (unsigned i = 0; i < 5; i++) {
		about(until_sent(&f), SECONDS(1) << i);
		expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	}
	pass(&f, SECONDS(40));
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
	ck_assert_uint_eq(f.s->half_open_count, 0);
}
END_TEST

/* A caller that reads the clock once a turn may come with a time from before the last call's. */
START_TEST(time_does_not_go_back)
{
	bring_to(&f, TCP_ESTABLISHED);
	stack_send(f.sock, f.now, "hello", 5);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 5);
	f.now -= 200;
	feed(&f, TCP_ACK, 1, 6, 0);
	ck_assert_uint_le(tcb_now(&f)->rtt.srtt / 8, SECONDS(1));
	ck_assert_uint_le(rtt_timeout(&tcb_now(&f)->rtt, SECONDS(120)), SECONDS(3));
	f.now += 200;
	expect_nothing(&f);
}
END_TEST

START_TEST(data_is_sent_again_with_backoff_until_etimedout)
{
	stack_time rto;
	int error = 0;

	bring_to(&f, TCP_ESTABLISHED);
	stack_send(f.sock, f.now, "hello", 5);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 5);
	rto = rtt_timeout(&tcb_now(&f)->rtt, SECONDS(120));
	for (unsigned i = 0; i < 15; i++) {
		about(until_sent(&f), min_u64(rto << i, SECONDS(120)));
		expect(&f, TCP_ACK, 1, 1, 5);
	}
	pass(&f, SECONDS(125));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ETIMEDOUT);
}
END_TEST

START_TEST(timeout_collapses_the_window_and_slow_starts)
{
	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 14600);
	f.sent_read = f.sent_count = 0;
	until_sent(&f);
	expect(&f, TCP_ACK, 1, 1, 1460);
	expect_nothing(&f);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, 1460);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, 7300);
	feed(&f, TCP_ACK, 1, 1461, 0);
	expect(&f, TCP_ACK, 1461, 1, 2920);
	feed(&f, TCP_ACK, 1, 14601, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
}
END_TEST

START_TEST(third_duplicate_ack_retransmits)
{
	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 14600);
	f.sent_read = f.sent_count = 0;
	feed(&f, TCP_ACK, 1, 1461, 0);
	feed(&f, TCP_ACK, 1, 1461, 0);
	feed(&f, TCP_ACK, 1, 1461, 0);
	expect_nothing(&f);
	feed(&f, TCP_ACK, 1, 1461, 0);
	expect(&f, TCP_ACK, 1461, 1, 1460);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	/* A partial ACK: the next hole goes at once (RFC 6582 3.2, step 3). */
	feed(&f, TCP_ACK, 1, 4381, 0);
	expect(&f, TCP_ACK, 4381, 1, 1460);
	feed(&f, TCP_ACK, 1, 14601, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_le(tcb_now(&f)->cc.cwnd, tcb_now(&f)->cc.ssthresh);
}
END_TEST

START_TEST(first_two_duplicate_acks_let_out_new_data)
{
	uint32_t cwnd;

	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 29200);
	expect(&f, TCP_ACK, 1, 1, 7300);
	expect(&f, TCP_ACK, 7301, 1, 7300);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed(&f, TCP_ACK, 1, 1, 0);
	expect(&f, TCP_ACK, 14601, 1, 1460);
	feed(&f, TCP_ACK, 1, 1, 0);
	expect(&f, TCP_ACK, 16061, 1, 1460);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cwnd);
	feed(&f, TCP_ACK, 1, 1, 0);
	expect(&f, TCP_ACK, 1, 1, 1460);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, 7300); /* half of what was out without them */
}
END_TEST

START_TEST(karns_algorithm_takes_no_sample_from_a_retransmission)
{
	uint32_t before;

	bring_to(&f, TCP_ESTABLISHED);
	before = tcb_now(&f)->rtt.srtt;
	stack_send(f.sock, f.now, "hello", 5);
	run(&f);
	until_sent(&f);
	f.now += MILLISECONDS(150);
	feed(&f, TCP_ACK, 1, 6, 0);
	ck_assert_uint_eq(tcb_now(&f)->rtt.srtt, before);
	ck_assert_uint_eq(tcb_now(&f)->rtt.backoff, 1);
}
END_TEST

/* ---- Nagle, silly window, persist ---- */

START_TEST(nagle_holds_the_second_small_segment_until_the_ack)
{
	bring_to(&f, TCP_ESTABLISHED);
	stack_send(f.sock, f.now, "a", 1);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 1);
	stack_send(f.sock, f.now, "b", 1);
	stack_send(f.sock, f.now, "c", 1);
	run(&f);
	expect_nothing(&f);
	feed(&f, TCP_ACK, 1, 2, 0);
	expect(&f, TCP_ACK, 2, 1, 2);
}
END_TEST

START_TEST(nodelay_sends_small_segments_at_once)
{
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_NODELAY, 1);
	stack_send(f.sock, f.now, "a", 1);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 1);
	stack_send(f.sock, f.now, "b", 1);
	run(&f);
	expect(&f, TCP_ACK, 2, 1, 1);
}
END_TEST

/* An ACK with a window of its own. */
static void feed_window(uint32_t ack, uint16_t window)
{
	struct tcp_segment seg = {.seq = tcb_now(&f)->rcv_nxt, .flags = TCP_ACK, .window = window};

	seg.ack = seq_make(tcb_now(&f)->iss.v + ack);
	feed_segment(&f, &seg, 0);
}

START_TEST(send_now_leaves_the_rest_and_the_timers_alone)
{
	static const char data[3 * PEER_MSS];

	bring_to(&f, TCP_ESTABLISHED);
	uint32_t seq = snd_nxt_rel(&f), ack = rcv_nxt_rel(&f);
	stack_send(f.sock, f.now, data, 2 * PEER_MSS + 100);
	stack_send_more(f.sock);
	stack_send_now(f.sock, f.now);
	expect(&f, TCP_ACK, seq, ack, 2 * PEER_MSS);
	expect_nothing(&f);
	f.now += SECONDS(5); /* a retransmission is due, and is stack_run's */
	stack_send(f.sock, f.now, data, PEER_MSS - 100);
	stack_send_now(f.sock, f.now);
	expect(&f, TCP_ACK, seq + 2 * PEER_MSS, ack, PEER_MSS);
	expect_nothing(&f);
	stack_send_now(f.sock, f.now); /* nothing new */
	expect_nothing(&f);
	run(&f);
	expect(&f, TCP_ACK, seq, ack, PEER_MSS);
}
END_TEST

START_TEST(silly_window_is_not_used_until_the_override)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed_window(1, 100);
	fill_window(&f, 5000);
	expect_nothing(&f);
	about(until_sent(&f), MILLISECONDS(200));
	expect(&f, TCP_ACK, 1, 1, 100);
}
END_TEST

START_TEST(row_T13_zero_window_is_probed_for_ever_with_backoff)
{
	stack_time last = 0;

	bring_to(&f, TCP_ESTABLISHED);
	feed_window(1, 0);
	stack_send(f.sock, f.now, "hello", 5);
	run(&f);
	for (unsigned i = 0; i < 40; i++) {
		stack_time wait = until_sent(&f);

		ck_assert_uint_ge(wait + 1000, last);
		ck_assert_uint_le(wait, SECONDS(123));
		last = wait;
		expect(&f, TCP_ACK, 0, 1, 0);
		feed_window(1, 0);
		f.sent_read = f.sent_count = 0;
	}
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	feed_window(1, 1000);
	expect(&f, TCP_ACK, 1, 1, 5);
}
END_TEST

/* As long as there is memory a closed window may stay closed; then who holds most of it ends. */
START_TEST(row_T13_zero_window_ends_when_memory_runs_out)
{
	static const uint8_t block[1000];
	int error = 0;

	bring_to(&f, TCP_ESTABLISHED);
	feed_window(1, 0);
	while (stack_send(f.sock, f.now, block, sizeof(block)) > 0)
		;
	for (unsigned i = 0; i < 5; i++) {
		until_sent(&f);
		feed_window(1, 0);
	}
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	f.s->mem.total_limit = f.s->mem.total;
	until_sent(&f);
	ck_assert(take(&f)->seg.flags & TCP_RST);
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ENOBUFS);
}
END_TEST

START_TEST(zero_window_probes_that_nobody_answers_end_it)
{
	int error = 0;

	bring_to(&f, TCP_ESTABLISHED);
	feed_window(1, 0);
	stack_send(f.sock, f.now, "hello", 5);
	run(&f);
	pass(&f, SECONDS(3600));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ETIMEDOUT);
}
END_TEST

START_TEST(row_T10_window_shrunk_below_what_is_in_flight)
{
	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 14600);
	f.sent_read = f.sent_count = 0;
	feed_window(1461, 100);
	expect_nothing(&f);
	until_sent(&f);
	expect(&f, TCP_ACK, 1461, 1, 1460);
	feed_window(14601, PEER_WINDOW);
	ck_assert_uint_eq(tcb_now(&f)->sndq.len, 0);
}
END_TEST

START_TEST(receiver_opens_the_window_in_large_steps_only)
{
	uint8_t buffer[60000];
	uint16_t closed;

	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 59000);
	closed = take(&f)->seg.window;
	ck_assert_uint_le(closed, 1000);
	stack_recv(f.sock, f.now, buffer, 100);
	run(&f);
	expect_nothing(&f);
	feed(&f, TCP_ACK, 59001, 1, 10); /* an ACK that goes anyway does not open it by 100 either */
	pass(&f, MILLISECONDS(30));
	f.now += MILLISECONDS(30);
	run(&f);
	ck_assert_uint_eq(take(&f)->seg.window, closed - 10);
	stack_recv(f.sock, f.now, buffer, 10000);
	run(&f);
	ck_assert_uint_ge(take(&f)->seg.window, 11000);
}
END_TEST

START_TEST(window_never_shrinks)
{
	uint32_t edge = 0;

	bring_to(&f, TCP_ESTABLISHED);
	for (uint32_t at = 1; at < 50000; at += 1000) {
		struct captured *e;

		feed(&f, TCP_ACK, at, 1, 1000);
		if (f.sent_read == f.sent_count)
			continue;
		e = take(&f);
		ck_assert_uint_ge(e->seg.ack.v - PEER_ISS + e->seg.window, edge);
		edge = e->seg.ack.v - PEER_ISS + e->seg.window;
	}
	ck_assert_uint_gt(edge, 0);
}
END_TEST

/* ---- sizes and options ---- */

START_TEST(large_segment_leaves_whole_for_a_link_that_cuts)
{
	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 14600);
	expect(&f, TCP_ACK, 1, 1, 7300); /* half of the congestion window */
	expect(&f, TCP_ACK, 7301, 1, 7300);
	expect_nothing(&f);
}
END_TEST

START_TEST(large_segment_is_cut_in_software_otherwise)
{
	restart(want_no_offload);
	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 14600);
	for (uint32_t i = 0; i < 10; i++)
		expect(&f, TCP_ACK, 1 + 1460 * i, 1, 1460);
	expect_nothing(&f);
}
END_TEST

START_TEST(row_T6_absurd_mss_gets_a_floor)
{
	static const uint16_t values[] = {0, 1, 48};
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = PEER_WINDOW};

	syn.opt.has_mss = true;
	syn.opt.mss = values[_i];
	bring_to(&f, TCP_LISTEN);
	feed_segment(&f, &syn, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_uint_ge(tcb_now(&f)->mss, TCP_MSS_MIN);
}
END_TEST

START_TEST(no_mss_option_means_536)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = PEER_WINDOW};

	bring_to(&f, TCP_LISTEN);
	feed_segment(&f, &syn, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_uint_eq(tcb_now(&f)->mss, 536);
}
END_TEST

/* A handshake by a peer with timestamps and a window scale of its choice. */
static void handshake_with_options(uint8_t scale)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = 1000};
	struct tcp_segment ack = {.seq = {PEER_ISS + 1}, .flags = TCP_ACK, .window = 1000};
	struct captured *e;

	restart(want_all_options);
	bring_to(&f, TCP_LISTEN);
	f.timestamps = true;
	f.ts = 5000;
	syn.opt.has_mss = syn.opt.has_window_scale = true;
	syn.opt.mss = PEER_MSS;
	syn.opt.window_scale = scale;
	feed_segment(&f, &syn, 0);
	e = expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert(e->seg.opt.has_window_scale && e->seg.opt.has_timestamp);
	ck_assert_uint_eq(e->seg.opt.ts_echo, 5000);
	ack.ack = seq_add(e->seg.seq, 1);
	feed_segment(&f, &ack, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
}

START_TEST(window_scale_is_used_after_the_syn)
{
	handshake_with_options(7);
	ck_assert_uint_eq(tcb_now(&f)->snd_wnd, 1000u << 7);
	ck_assert_uint_eq(tcb_now(&f)->mss, 1448);
	feed(&f, TCP_ACK, 1, 1, 3000);
	ck_assert_uint_ge((uint32_t)take(&f)->seg.window << tcb_now(&f)->rcv_scale, 1000000);
}
END_TEST

START_TEST(row_T10_window_scale_above_14_is_14)
{
	handshake_with_options(15);
	ck_assert_uint_eq(tcb_now(&f)->snd_scale, 14);
}
END_TEST

START_TEST(row_T11_old_timestamp_is_dropped_with_an_ack)
{
	handshake_with_options(0);
	f.ts = 6000;
	feed(&f, TCP_ACK, 1, 1, 100);
	f.ts = 5999;
	feed(&f, TCP_ACK, 101, 1, 100);
	expect(&f, TCP_ACK, 1, 101, 0);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 100);
}
END_TEST

START_TEST(row_T11_segment_outside_the_window_never_updates_ts_recent)
{
	handshake_with_options(0);
	f.ts = 100000;
	feed(&f, TCP_ACK, 3000000, 1, 100);
	ck_assert_uint_eq(tcb_now(&f)->ts_recent, 5000);
}
END_TEST

START_TEST(row_T11_old_data_sent_again_never_updates_ts_recent)
{
	handshake_with_options(0);
	f.ts = 6000;
	feed(&f, TCP_ACK, 1, 1, 100);
	pass(&f, SECONDS(1)); /* the delayed ACK goes out */
	f.ts = 100000;
	feed(&f, TCP_ACK, 1, 1, 100);
	ck_assert_uint_eq(tcb_now(&f)->ts_recent, 6000);
}
END_TEST

START_TEST(row_T9_ack_division_does_not_inflate_the_window)
{
	uint32_t cwnd;

	bring_to(&f, TCP_ESTABLISHED);
	cwnd = tcb_now(&f)->cc.cwnd;
	fill_window(&f, 14600);
	for (uint32_t i = 1; i <= 1460; i++)
		feed(&f, TCP_ACK, 1, 1 + i, 0);
	ck_assert_uint_le(tcb_now(&f)->cc.cwnd, cwnd + 1460);
}
END_TEST

/* ---- keepalive ---- */

START_TEST(keepalive_asks_and_gives_up)
{
	int error = 0;

	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_int(&f, f.sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	about(until_sent(&f), SECONDS(10));
	expect(&f, TCP_ACK, 0, 1, 0);
	feed(&f, TCP_ACK, 1, 1, 0); /* it answers */
	about(until_sent(&f), SECONDS(10));
	about(until_sent(&f), SECONDS(1));
	about(until_sent(&f), SECONDS(1));
	pass(&f, SECONDS(2));
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ETIMEDOUT);
}
END_TEST

START_TEST(keepalive_waits_while_data_is_unacknowledged)
{
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPIDLE, 1);
	set_int(&f, f.sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	for (unsigned i = 0; i < 4; i++) { /* the peer is alive, and acknowledges nothing */
		stack_send(f.sock, f.now, "x", 1);
		run(&f);
		pass(&f, MILLISECONDS(900));
	}
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_keepalives], 0);
}
END_TEST

/* ---- ends ---- */

START_TEST(row_T4_challenge_acks_are_limited_by_connection)
{
	bring_to(&f, TCP_ESTABLISHED);
	for (unsigned i = 0; i < 100; i++)
		feed(&f, TCP_SYN, 5, 0, 0);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_challenge_acks], 1);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_challenges_limited], 99);
	f.now += MILLISECONDS(40);
	feed(&f, TCP_SYN, 5, 0, 0);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_challenge_acks], 2);
}
END_TEST

START_TEST(rst_with_data_is_accepted_at_zero_window)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 60000);
	feed(&f, TCP_RST, 60001, 0, 10);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
}
END_TEST


START_TEST(fin_wait_2_of_a_closed_owner_ends)
{
	bring_to(&f, TCP_FIN_WAIT_2);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	pass(&f, SECONDS(61));
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
}
END_TEST

START_TEST(close_with_unread_data_resets)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 100);
	f.sent_read = f.sent_count = 0;
	stack_close(f.sock, f.now);
	f.sock = NULL;
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, TCP_RST);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
}
END_TEST

START_TEST(close_sends_what_is_queued_and_then_fin)
{
	bring_to(&f, TCP_ESTABLISHED);
	stack_send(f.sock, f.now, "last words", 10);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	expect(&f, TCP_ACK | TCP_FIN, 1, 1, 10);
	feed(&f, TCP_ACK, 1, 12, 0);
	ck_assert_int_eq(state_now(&f), TCP_FIN_WAIT_2);
}
END_TEST

START_TEST(shutdown_in_syn_sent_sends_fin_after_the_handshake)
{
	bring_to(&f, TCP_SYN_SENT);
	stack_shutdown(f.sock, f.now);
	feed(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	expect(&f, TCP_ACK | TCP_FIN, 1, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_FIN_WAIT_1);
}
END_TEST

START_TEST(row_T14_peer_vanishes_and_every_state_ends)
{
	static const enum tcp_state states[] = {
		TCP_SYN_SENT, TCP_SYN_RECEIVED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2,
		TCP_CLOSING, TCP_LAST_ACK, TCP_TIME_WAIT, TCP_ESTABLISHED, TCP_CLOSE_WAIT,
	};

	bring_to(&f, states[_i]);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	pass(&f, SECONDS(3600));
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
}
END_TEST

/* ---- the two queues ---- */

START_TEST(row_S5_full_accept_queue_makes_the_handshake_wait)
{
	struct stack_sock_info info;
	struct sock *l;

	bring_to(&f, TCP_LISTEN);
	l = f.listener;
	ck_assert_int_eq(stack_listen(&l, 1), 0);
	for (uint16_t i = 0; i < 3; i++) {
		f.peer.byte[15] = (uint8_t)(10 + i);
		feed(&f, TCP_SYN, 0, 0, 0);
		if (i == 0)
			feed(&f, TCP_ACK, 1, 1, 0);
	}
	ck_assert(stack_find(f.s, stack_id(f.listener), &info));
	ck_assert_uint_eq(info.recv_q, 1);
	ck_assert_uint_eq(info.send_q, 1);
	ck_assert_uint_eq(info.drops, 2);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_accept_full], 2);
	f.sock = stack_accept(f.listener);
	feed(&f, TCP_SYN, 0, 0, 0);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
}
END_TEST

START_TEST(row_S5_final_ack_waits_for_room)
{
	bring_to(&f, TCP_LISTEN);
	stack_listen(&f.listener, 1);
	feed(&f, TCP_SYN, 0, 0, 0);
	f.peer.byte[15] = 9;
	feed(&f, TCP_SYN, 0, 0, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.peer.byte[15] = 2;
	feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
	stack_abort(stack_accept(f.listener), f.now);
	feed(&f, TCP_ACK, 1, 1, 5);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

START_TEST(handshake_without_memory_costs_no_socket)
{
	size_t limit;
	uint32_t sockets;

	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	limit = f.s->mem.total_limit;
	sockets = f.s->sockets;
	f.s->mem.total_limit = f.s->mem.total;
	for (unsigned i = 0; i < 10; i++)
		feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(f.s->sockets, sockets);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_aborts_memory], 10);
	f.s->mem.total_limit = limit;
	feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

START_TEST(half_open_table_is_bounded)
{
	restart(want_short_queues);
	bring_to(&f, TCP_LISTEN);
	for (uint8_t i = 10; i < 20; i++) {
		f.peer.byte[15] = i;
		feed(&f, TCP_SYN, 0, 0, 0);
	}
	ck_assert_uint_eq(f.s->half_open_count, 4);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_half_open_full], 6);
}
END_TEST

/* Fills the half-open table with four strangers, who never answer. */
static void flood(void)
{
	for (uint8_t i = 10; i < 14; i++) {
		f.peer.byte[15] = i;
		feed(&f, TCP_SYN, 0, 0, 0);
	}
	f.peer.byte[15] = 2;
	f.sent_read = f.sent_count = 0;
}

START_TEST(row_S1_past_the_half_open_table_cookies_make_connections)
{
	struct tcp_segment ack = {.seq = {PEER_ISS + 1}, .flags = TCP_ACK, .window = 5000};
	size_t before;

	restart(want_short_queues);
	bring_to(&f, TCP_LISTEN);
	flood();
	before = f.s->mem.total;
	for (unsigned i = 0; i < 1000; i++) {
		f.sent_read = f.sent_count = 0;
		feed(&f, TCP_SYN, 0, 0, 0);
	}
	ck_assert_uint_eq(f.s->mem.total, before);
	ck_assert_uint_eq(f.s->half_open_count, 4);
	ack.ack = seq_add(take(&f)->seg.seq, 1);
	feed_segment(&f, &ack, 20);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	ck_assert_uint_eq(tcb_now(&f)->mss, 1460);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 20);
}
END_TEST

static void want_cookies_with_options(struct stack_config *c)
{
	c->half_open_max = 4;
	want_all_options(c);
}

START_TEST(row_S1_cookies_carry_options_in_timestamps)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = 1000};
	struct tcp_segment ack = {.seq = {PEER_ISS + 1}, .flags = TCP_ACK, .window = 1000};
	struct captured *e;

	restart(want_cookies_with_options);
	bring_to(&f, TCP_LISTEN);
	flood();
	f.timestamps = true;
	f.ts = 777;
	syn.opt.has_mss = syn.opt.has_window_scale = syn.opt.sack_permitted = true;
	syn.opt.mss = 1400;
	syn.opt.window_scale = 9;
	feed_segment(&f, &syn, 0);
	e = take(&f);
	ack.ack = seq_add(e->seg.seq, 1);
	ack.opt.has_timestamp = true;
	ack.opt.ts_value = 778;
	ack.opt.ts_echo = e->seg.opt.ts_value;
	feed_segment(&f, &ack, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_uint_eq(tcb_now(&f)->snd_scale, 9);
	ck_assert_uint_eq(tcb_now(&f)->snd_wnd, 1000u << 9);
	ck_assert(tcb_now(&f)->sack_on && tcb_now(&f)->ts_on && tcb_now(&f)->ws_on);
	ck_assert_uint_eq(tcb_now(&f)->mss_peer, 1400);
}
END_TEST

/* 0: forged; 1: another MSS in it; 2: another peer's; 3: too late. */
START_TEST(row_S4_bad_cookies_are_refused)
{
	struct tcp_segment ack = {.seq = {PEER_ISS + 1}, .flags = TCP_ACK, .window = 5000};

	restart(want_short_queues);
	bring_to(&f, TCP_LISTEN);
	flood();
	feed(&f, TCP_SYN, 0, 0, 0);
	ack.ack = seq_add(take(&f)->seg.seq, 1);
	switch (_i) {
	case 0:
		ack.ack = seq_add(ack.ack, 4711);
		break;
	case 1:
		ack.ack = seq_add(ack.ack, 1u << 24);
		break;
	case 2:
		f.peer.byte[15] = 77;
		break;
	case 3:
		f.now += SECONDS(200);
		break;
	}
	run(&f);
	f.sent_read = f.sent_count = 0;
	feed_segment(&f, &ack, 0);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, TCP_RST);
	ck_assert_ptr_null(stack_accept(f.listener));
}
END_TEST

START_TEST(row_S4_cookie_with_a_later_segment_makes_nothing_and_resets_nothing)
{
	struct tcp_segment later = {.seq = {PEER_ISS + 1461}, .flags = TCP_ACK, .window = 5000};

	restart(want_short_queues);
	bring_to(&f, TCP_LISTEN);
	flood();
	feed(&f, TCP_SYN, 0, 0, 0);
	later.ack = seq_add(take(&f)->seg.seq, 1);
	feed_segment(&f, &later, 100);
	expect_nothing(&f);
	ck_assert_ptr_null(stack_accept(f.listener));
	later.seq = seq_make(PEER_ISS + 1);
	feed_segment(&f, &later, 100);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
}
END_TEST

START_TEST(no_cookie_is_believed_when_none_was_sent)
{
	struct tcp_segment ack = {.seq = {PEER_ISS + 1}, .flags = TCP_ACK, .window = 5000, .ack = {12345}};

	bring_to(&f, TCP_LISTEN);
	feed_segment(&f, &ack, 0);
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, TCP_RST);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_cookies_bad], 0);
}
END_TEST

START_TEST(closing_a_listener_resets_what_nobody_accepted)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sent_read = f.sent_count = 0;
	stack_close(f.listener, f.now);
	f.listener = NULL;
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, TCP_RST);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
}
END_TEST

/* ---- what only a long or an odd life shows ---- */

#define DAYS(n) (SECONDS(86400) * (n))

START_TEST(handshake_on_a_machine_that_is_up_for_long)
{
	bring_to(&f, TCP_LISTEN);
	f.now += DAYS(60); /* more milliseconds than 32 bits hold */
	feed(&f, TCP_SYN, 0, 0, 0);
	f.now += MILLISECONDS(10);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_uint_le(tcb_now(&f)->rtt.srtt / 8, MILLISECONDS(11));
	ck_assert_uint_le(f.now - tcb_now(&f)->conn->created, MILLISECONDS(11));
}
END_TEST

START_TEST(challenge_after_a_month_of_silence)
{
	bring_to(&f, TCP_ESTABLISHED);
	f.now += DAYS(30);
	run(&f);
	feed(&f, TCP_SYN, 1, 0, 0);
	expect(&f, TCP_ACK, 1, 1, 0);
}
END_TEST

START_TEST(small_segment_after_gigabytes_of_full_ones_does_not_wait)
{
	bring_to(&f, TCP_ESTABLISHED);
	tcb_now(&f)->snd_small = seq_sub(tcb_now(&f)->snd_una, 0x80000100u);
	stack_send(f.sock, f.now, "a", 1);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 1);
}
END_TEST

START_TEST(fast_retransmit_after_gigabytes_without_a_loss)
{
	bring_to(&f, TCP_ESTABLISHED);
	tcb_now(&f)->recover = seq_sub(tcb_now(&f)->snd_una, 0x80000100u);
	fill_window(&f, 14600);
	feed(&f, TCP_ACK, 1, 1461, 0);
	f.sent_read = f.sent_count = 0;
	for (unsigned i = 0; i < 3; i++)
		feed(&f, TCP_ACK, 1, 1461, 0);
	expect(&f, TCP_ACK, 1461, 1, 1460);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
}
END_TEST

START_TEST(zero_window_that_opens_a_crack_is_used_at_the_override)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed_window(1, 0);
	fill_window(&f, 5000);
	for (unsigned i = 0; i < 6; i++) { /* the probes are far apart by now */
		until_sent(&f);
		f.sent_read = f.sent_count = 0;
		feed_window(1, 0);
	}
	feed_window(1, 100);
	about(until_sent(&f), MILLISECONDS(200));
	expect(&f, TCP_ACK, 1, 1, 100);
}
END_TEST

START_TEST(fin_at_a_zero_window_is_probed_for_a_writer_that_had_waited)
{
	struct iovec iov[8];
	unsigned count = ARRAY_SIZE(iov);

	bring_to(&f, TCP_ESTABLISHED);
	feed_window(1, 0);
	stack_send_space(f.sock, 1000000, iov, &count); /* more than there is: it waits */
	stack_send_commit(f.sock, f.now, 0);
	stack_shutdown(f.sock, f.now);
	run(&f);
	for (unsigned i = 0; i < 3; i++) {
		until_sent(&f);
		expect(&f, TCP_ACK, 0, 1, 0);
	}
}
END_TEST

START_TEST(connection_that_ends_before_it_is_accepted_leaves_the_queue)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	stack_shutdown_all(f.s, f.now, false);
	run(&f);
	feed(&f, TCP_FIN | TCP_ACK, 1, 2, 0);
	ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
	ck_assert_ptr_null(stack_accept(f.listener));
}
END_TEST

/* Other events wait; the listener's is fetched first, and then nothing that the next segment brings is stored. */
START_TEST(who_accepts_after_each_segment_gets_the_data_without_a_copy)
{
	struct stack_event event;
	uint64_t copied = f.s->counter[COUNT_tcp_in_copied_bytes];
	struct sock *other = stack_socket(f.s, STACK_TCP, 0, NULL);

	bring_to(&f, TCP_LISTEN);
	f.reader_takes = true;
	sock_event(other, STACK_EVENT_WRITABLE);
	feed(&f, TCP_SYN, 0, 0, 0);
	ck_assert(!stack_next_accept(f.s, &event));
	feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert(stack_next_accept(f.s, &event));
	ck_assert_ptr_eq(event.sock, f.listener);
	ck_assert_uint_eq(event.events, STACK_EVENT_ACCEPT);
	f.sock = stack_accept(f.listener);
	stack_set_user(f.sock, &f);
	feed(&f, TCP_ACK, 1, 1, 100);
	ck_assert_uint_eq(f.reader_took, 100);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_in_copied_bytes], copied);
	ck_assert(!stack_next_accept(f.s, &event));
	feed(&f, TCP_ACK | TCP_FIN, 101, 1, 0);
	ck_assert(!stack_next_accept(f.s, &event)); /* they are others' */
	ck_assert(stack_next_event(f.s, &event) && event.sock == other);
	ck_assert(stack_next_event(f.s, &event) && event.sock == f.sock);
	stack_close(other, f.now);
}
END_TEST

/* Its holder has the handle of the connection that was reset; its addresses and ports are free for the next. */
START_TEST(an_ended_connection_that_is_held_is_in_nobodys_way)
{
	struct sock *old;

	bring_to(&f, TCP_ESTABLISHED);
	old = f.sock;
	feed(&f, TCP_RST, rcv_nxt_rel(&f), 0, 0);
	ck_assert_int_eq(stack_state(old), TCP_CLOSED);
	f.sent_read = f.sent_count = 0;
	feed(&f, TCP_SYN, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_ptr_ne(f.sock, old);
	stack_close(old, f.now);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

/* All with the same addresses and ports, and unread: each is accepted with its data, and none is in the way of the next. */
START_TEST(many_ended_connections_of_one_peer_wait_to_be_accepted)
{
	struct iovec iov;
	unsigned pieces;

	bring_to(&f, TCP_LISTEN);
	for (unsigned i = 0; i < 3; i++) {
		f.sent_read = f.sent_count = 0;
		feed(&f, TCP_SYN, 0, 0, 0);
		expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
		feed(&f, TCP_ACK, 1, 1, 10 + i);
		feed(&f, TCP_RST, 11 + i, 0, 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		f.sock = stack_accept(f.listener);
		ck_assert_ptr_nonnull(f.sock);
		pieces = 1;
		ck_assert_uint_eq(stack_recv_peek(f.sock, &iov, &pieces), 10 + i);
		stack_close(f.sock, f.now);
	}
	f.sock = NULL;
	ck_assert_ptr_null(stack_accept(f.listener));
}
END_TEST

START_TEST(abort_in_last_ack_with_data_unsent_resets)
{
	struct tcp_segment fin = {.flags = TCP_FIN | TCP_ACK, .window = 0};

	bring_to(&f, TCP_ESTABLISHED);
	fin.seq = tcb_now(&f)->rcv_nxt;
	fin.ack = tcb_now(&f)->snd_nxt;
	feed_segment(&f, &fin, 0);
	stack_send(f.sock, f.now, "hello", 5);
	stack_shutdown(f.sock, f.now);
	run(&f);
	ck_assert_int_eq(state_now(&f), TCP_LAST_ACK);
	f.sent_read = f.sent_count = 0;
	stack_abort(f.sock, f.now);
	f.sock = NULL;
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, TCP_RST);
}
END_TEST

START_TEST(close_in_last_ack_with_data_unread_resets)
{
	bring_to(&f, TCP_ESTABLISHED);
	feed(&f, TCP_FIN | TCP_ACK, 1, 1, 50);
	stack_shutdown(f.sock, f.now);
	run(&f);
	ck_assert_int_eq(state_now(&f), TCP_LAST_ACK);
	f.sent_read = f.sent_count = 0;
	stack_close(f.sock, f.now);
	f.sock = NULL;
	ck_assert_uint_eq(take(&f)->seg.flags & TCP_RST, TCP_RST);
}
END_TEST

START_TEST(window_scale_stays_as_announced_through_a_reload)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = PEER_WINDOW};
	struct stack_config larger;
	uint8_t announced;

	bring_to(&f, TCP_LISTEN);
	larger = f.s->cfg;
	larger.window_scaling = true;
	stack_reconfigure(f.s, &larger);
	syn.opt.has_window_scale = true;
	feed_segment(&f, &syn, 0);
	announced = take(&f)->seg.opt.window_scale;
	larger.recv_buffer = 1u << 24;
	stack_reconfigure(f.s, &larger);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_uint_eq(tcb_now(&f)->rcv_scale, announced);
}
END_TEST

START_TEST(closed_handle_is_in_no_event)
{
	struct stack_event e;

	bring_to(&f, TCP_ESTABLISHED);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	feed(&f, TCP_FIN | TCP_ACK, 1, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_CLOSING);
	ck_assert(!stack_next_event(f.s, &e));
}
END_TEST

/* ---- ICMP ---- */

static void icmp_about_us(uint8_t type, uint8_t code, uint32_t rest, uint32_t seq_rel)
{
	uint8_t packet[256], quoted[28];
	struct ip4_header inner = {.src = f.us, .dst = f.peer, .header_len = 20, .total_len = 1500, .ttl = 60,
				   .proto = IP_PROTO_TCP, .dont_fragment = true};
	struct ip4_header outer = {.src = f.peer, .dst = f.us, .header_len = 20, .ttl = 64, .proto = IP_PROTO_ICMP};
	struct icmp4_header h = {type, code, rest};

	ip4_write(quoted, &inner);
	store16(quoted + 20, OUR_PORT);
	store16(quoted + 22, PEER_PORT);
	store32(quoted + 24, tcb_of(f.sock)->iss.v + seq_rel);
	outer.total_len = 20 + 8 + sizeof(quoted);
	ip4_write(packet, &outer);
	icmp4_write(packet + 20, &h, quoted, sizeof(quoted));
	memcpy(packet + 28, quoted, sizeof(quoted));
	feed_packet(&f, packet, outer.total_len, false);
}

START_TEST(icmp_unreachable_ends_an_open_with_the_hosts_errno)
{
	static const struct { uint8_t code; int error; } rules[] = {
		{ICMP_HOST_UNREACHABLE, EHOSTUNREACH}, {ICMP_NET_UNREACHABLE, ENETUNREACH},
		{ICMP_PORT_UNREACHABLE, ECONNREFUSED},
	};
	int error = 0;

	bring_to(&f, TCP_SYN_SENT);
	icmp_about_us(ICMP_UNREACHABLE, rules[_i].code, 0, 0);
	ck_assert_uint_eq(events_now(&f, &error), STACK_EVENT_ERROR);
	ck_assert_int_eq(error, rules[_i].error);
}
END_TEST

START_TEST(row_C4_error_outside_what_is_in_flight_is_ignored)
{
	uint64_t before;

	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 14600);
	before = f.s->counter[COUNT_icmp_in_ignored];
	icmp_about_us(ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, 600, 14601);
	icmp_about_us(ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, 600, 0);
	icmp_about_us(ICMP_SOURCE_QUENCH, 0, 0, 1);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1500);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, 14600);
	ck_assert_uint_ge(f.s->counter[COUNT_icmp_in_ignored], before + 3);
}
END_TEST

START_TEST(row_C5_hard_error_while_established_is_soft)
{
	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 1460);
	icmp_about_us(ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0, 1);
	icmp_about_us(ICMP_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE, 0, 1);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	ck_assert_uint_eq(events_now(&f, NULL) & STACK_EVENT_ERROR, 0);
}
END_TEST

START_TEST(row_C5_next_hop_mtu_has_a_floor)
{
	static const uint16_t values[] = {0, 68, 551};

	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 14600);
	icmp_about_us(ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, values[_i], 1);
	ck_assert_uint_ge(tcb_now(&f)->mtu, 552);
	ck_assert_uint_le(tcb_now(&f)->mtu, 1500);
}
END_TEST

START_TEST(fragmentation_needed_sends_again_in_smaller_segments)
{
	bring_to(&f, TCP_ESTABLISHED);
	fill_window(&f, 2920);
	f.sent_read = f.sent_count = 0;
	icmp_about_us(ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, 1000, 1);
	ck_assert_uint_eq(tcb_now(&f)->mss, 960);
	ck_assert_uint_eq(take(&f)->seg.seq.v, tcb_now(&f)->iss.v + 1);
}
END_TEST

/* ---- numbers ---- */

START_TEST(row_S3_initial_sequence_numbers_differ_by_connection_and_grow_with_time)
{
	struct pcb a = {.lport = 80, .rport = 1000}, b = {.lport = 80, .rport = 1001};
	seq32 first = tcp_isn(f.s, &a), other = tcp_isn(f.s, &b);

	ck_assert_uint_ne(first.v, other.v);
	f.s->now += SECONDS(1);
	ck_assert_int_eq(seq_diff(tcp_isn(f.s, &a), first), 250000);
}
END_TEST

START_TEST(ephemeral_ports_stay_in_their_range)
{
	static const struct stack_addr any;
	struct stack_endpoint remote = {.addr = f.peer, .port = 80};
	uint16_t first = port_choose(f.s, STACK_TCP, &any, &remote), previous = first;
	bool differ = false;

	for (unsigned i = 0; i < 1000; i++) {
		uint16_t port = port_choose(f.s, STACK_TCP, &any, &remote);

		ck_assert_uint_ge(port, 49152);
		differ |= port != previous;
		previous = port;
	}
	ck_assert(differ);
}
END_TEST

START_TEST(bind_refuses_what_is_taken_or_not_ours)
{
	struct stack_endpoint any = {.port = 1234}, ours = {.addr = f.us, .port = 1234}, theirs = {.addr = f.peer, .port = 1};
	struct sock *a = stack_socket(f.s, STACK_TCP, 0, NULL), *b = stack_socket(f.s, STACK_TCP, 0, NULL);

	ck_assert_int_eq(stack_bind(a, &any), 0);
	ck_assert_int_eq(stack_bind(b, &ours), -EADDRINUSE);
	ck_assert_int_eq(stack_bind(b, &theirs), -EADDRNOTAVAIL);
	stack_close(a, f.now);
	ck_assert_int_eq(stack_bind(b, &ours), 0);
	stack_close(b, f.now);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)
#define ADD_LOOP(test, runs) suite_add_fixture(s, #test, test, runs, setup, teardown)

static void add_time(Suite *s)
{
	ADD(syn_is_sent_again_with_backoff_until_etimedout);
	ADD(syn_ack_is_sent_again_and_the_half_open_ends);
	ADD(time_does_not_go_back);
	ADD(data_is_sent_again_with_backoff_until_etimedout);
	ADD(timeout_collapses_the_window_and_slow_starts);
	ADD(third_duplicate_ack_retransmits);
	ADD(first_two_duplicate_acks_let_out_new_data);
	ADD(karns_algorithm_takes_no_sample_from_a_retransmission);
	ADD(nagle_holds_the_second_small_segment_until_the_ack);
	ADD(nodelay_sends_small_segments_at_once);
	ADD(send_now_leaves_the_rest_and_the_timers_alone);
	ADD(silly_window_is_not_used_until_the_override);
	ADD(row_T13_zero_window_is_probed_for_ever_with_backoff);
	ADD(row_T13_zero_window_ends_when_memory_runs_out);
	ADD(zero_window_probes_that_nobody_answers_end_it);
	ADD(row_T10_window_shrunk_below_what_is_in_flight);
	ADD(receiver_opens_the_window_in_large_steps_only);
	ADD(window_never_shrinks);
	ADD(keepalive_asks_and_gives_up);
	ADD(keepalive_waits_while_data_is_unacknowledged);
	ADD(row_T4_challenge_acks_are_limited_by_connection);
	ADD(rst_with_data_is_accepted_at_zero_window);
	ADD(fin_wait_2_of_a_closed_owner_ends);
	ADD(close_with_unread_data_resets);
	ADD(close_sends_what_is_queued_and_then_fin);
	ADD(shutdown_in_syn_sent_sends_fin_after_the_handshake);
	ADD_LOOP(row_T14_peer_vanishes_and_every_state_ends, 9);
}

static void add_rest(Suite *s)
{
	ADD(large_segment_leaves_whole_for_a_link_that_cuts);
	ADD(large_segment_is_cut_in_software_otherwise);
	ADD_LOOP(row_T6_absurd_mss_gets_a_floor, 3);
	ADD(no_mss_option_means_536);
	ADD(window_scale_is_used_after_the_syn);
	ADD(row_T10_window_scale_above_14_is_14);
	ADD(row_T11_old_timestamp_is_dropped_with_an_ack);
	ADD(row_T11_segment_outside_the_window_never_updates_ts_recent);
	ADD(row_T11_old_data_sent_again_never_updates_ts_recent);
	ADD(row_T9_ack_division_does_not_inflate_the_window);
	ADD(row_S5_full_accept_queue_makes_the_handshake_wait);
	ADD(row_S5_final_ack_waits_for_room);
	ADD(handshake_without_memory_costs_no_socket);
	ADD(half_open_table_is_bounded);
	ADD(row_S1_past_the_half_open_table_cookies_make_connections);
	ADD(row_S1_cookies_carry_options_in_timestamps);
	ADD_LOOP(row_S4_bad_cookies_are_refused, 4);
	ADD(row_S4_cookie_with_a_later_segment_makes_nothing_and_resets_nothing);
	ADD(no_cookie_is_believed_when_none_was_sent);
	ADD(closing_a_listener_resets_what_nobody_accepted);
	ADD_LOOP(icmp_unreachable_ends_an_open_with_the_hosts_errno, 3);
	ADD(row_C4_error_outside_what_is_in_flight_is_ignored);
	ADD(row_C5_hard_error_while_established_is_soft);
	ADD_LOOP(row_C5_next_hop_mtu_has_a_floor, 3);
	ADD(fragmentation_needed_sends_again_in_smaller_segments);
	ADD(row_S3_initial_sequence_numbers_differ_by_connection_and_grow_with_time);
	ADD(ephemeral_ports_stay_in_their_range);
	ADD(bind_refuses_what_is_taken_or_not_ours);
}

START_TEST(a_syn_ack_that_echoes_another_timestamp_is_refused)
{
	struct tcp_segment answer = {.seq = {PEER_ISS}, .flags = TCP_SYN | TCP_ACK, .window = 1000};
	uint32_t ours;

	restart(want_all_options);
	bring_to(&f, TCP_SYN_SENT);
	ours = ts_now(f.s, tcb_now(&f)->ts_offset);
	answer.ack = seq_add(tcb_now(&f)->iss, 1);
	answer.opt.has_timestamp = true;
	for (int i = 0; i < 2; i++) {
		answer.opt.ts_echo = i ? ours + 1 : ours - 1; /* before the SYN, and not yet */
		feed_segment(&f, &answer, 0);
		expect(&f, TCP_RST, 1, 0, 0);
		ck_assert_int_eq(state_now(&f), TCP_SYN_SENT);
	}
	answer.opt.ts_echo = ours;
	feed_segment(&f, &answer, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

static void add_life(Suite *s)
{
	ADD(handshake_on_a_machine_that_is_up_for_long);
	ADD(challenge_after_a_month_of_silence);
	ADD(small_segment_after_gigabytes_of_full_ones_does_not_wait);
	ADD(fast_retransmit_after_gigabytes_without_a_loss);
	ADD(zero_window_that_opens_a_crack_is_used_at_the_override);
	ADD(fin_at_a_zero_window_is_probed_for_a_writer_that_had_waited);
	ADD(connection_that_ends_before_it_is_accepted_leaves_the_queue);
	ADD(who_accepts_after_each_segment_gets_the_data_without_a_copy);
	ADD(an_ended_connection_that_is_held_is_in_nobodys_way);
	ADD(many_ended_connections_of_one_peer_wait_to_be_accepted);
	ADD(abort_in_last_ack_with_data_unsent_resets);
	ADD(close_in_last_ack_with_data_unread_resets);
	ADD(window_scale_stays_as_announced_through_a_reload);
	ADD(closed_handle_is_in_no_event);
	ADD(a_syn_ack_that_echoes_another_timestamp_is_refused);
}

int main(void)
{
	Suite *s = suite_create("tcp-flow");

	add_time(s);
	add_rest(s);
	add_life(s);
	return suite_run(s);
}
