/*
 * Pacing: a burst of about a millisecond at a time, at the rate that the socket, the algorithm or
 * the window gives; what the peer needs first does not wait. And what becomes of a window that is
 * not used (RFC 2861, 7661), and the choice of an algorithm on a living connection.
 */
#include "tcp_fixture.h"

#include <errno.h>
#include <sys/socket.h>

static struct fixture f;
static const uint8_t zeros[200000];

static void cubic(struct stack_config *c)
{
	strcpy(c->congestion_control, "cubic");
	c->window_scaling = true;
}

static void cubic_paced(struct stack_config *c)
{
	cubic(c);
	c->pacing = true;
}

static void bbr(struct stack_config *c)
{
	strcpy(c->congestion_control, "bbr");
}

static void bbr_without_sack(struct stack_config *c)
{
	bbr(c);
	c->sack = false;
}

static void setup(void) { fixture_start(&f, cubic); }
static void teardown(void) { fixture_end(&f); }

/* A connection with SACK and a large window, whose handshake took `rtt`. */
static void connect_with(void (*change)(struct stack_config *c), stack_time rtt)
{
	struct tcp_segment syn = {
		.seq = seq_make(PEER_ISS), .flags = TCP_SYN, .window = 60000,
		.opt = {.has_mss = true, .mss = PEER_MSS, .sack_permitted = true, .has_window_scale = true, .window_scale = 4},
	};

	if (change) {
		fixture_end(&f);
		fixture_start(&f, change);
	}
	bring_to(&f, TCP_LISTEN);
	feed_segment(&f, &syn, 0);
	f.now += rtt;
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	stack_set_user(f.sock, &f);
	f.sent_count = f.sent_read = 0;
}

static void write_bytes(size_t len)
{
	ck_assert_int_eq(stack_send(f.sock, f.now, zeros, len), (ptrdiff_t)len);
	run(&f);
}

/* ACKs what has been sent so far. */
static void ack_all(void)
{
	feed(&f, TCP_ACK, 1, snd_nxt_rel(&f), 0);
}

/* An ACK with one SACK block. */
static void feed_sack(uint32_t ack, uint32_t left, uint32_t right)
{
	uint32_t iss = tcb_now(&f)->iss.v;
	struct tcp_segment seg = {
		.seq = seq_make(PEER_ISS + 1), .flags = TCP_ACK, .window = 60000, .ack = seq_make(iss + ack),
	};

	seg.opt.sack_count = 1;
	seg.opt.sack[0].left = seq_make(iss + left);
	seg.opt.sack[0].right = seq_make(iss + right);
	feed_segment(&f, &seg, 0);
}

/* What went out since: bytes, and the largest burst. */
static uint32_t taken(uint32_t *largest)
{
	uint32_t sum = 0;

	while (f.sent_read < f.sent_count) {
		uint32_t len = take(&f)->seg.len;

		sum += len;
		if (largest && len > *largest)
			*largest = len;
	}
	f.sent_read = f.sent_count = 0;
	return sum;
}

static void limit_to(uint32_t rate)
{
	ck_assert_int_eq(stack_setsockopt(&tcb_now(&f)->conn->sock, f.now, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)), 0);
}

/* 1 MB/s, 20 ms at a time, with a window that is far larger. */
START_TEST(socket_limit_spreads_what_is_sent)
{
	uint32_t largest = 0;

	connect_with(NULL, 1000);
	tcb_now(&f)->cc.cwnd = 1000000;
	limit_to(1000000);
	write_bytes(180000);
	ck_assert_uint_le(taken(NULL), 2 * tcb_now(&f)->mss);
	for (unsigned i = 0; i < 6; i++) {
		uint32_t sum = 0;

		for (unsigned j = 0; j < 200; j++) { /* a loop that looks every 100 us */
			f.now += 100;
			run(&f);
			sum += taken(&largest);
		}
		ck_assert_uint_ge(sum, 17000);
		ck_assert_uint_le(sum, 23000);
	}
	ck_assert_uint_le(largest, 2 * tcb_now(&f)->mss);
}
END_TEST

START_TEST(no_limit_is_no_pacing)
{
	connect_with(NULL, 1000);
	tcb_now(&f)->cc.cwnd = 150000;
	write_bytes(150000);
	ck_assert_uint_eq(taken(NULL), 150000);
	ck_assert_uint_eq(tcp_pacing_rate(tcb_now(&f)), PACING_UNLIMITED);
	ck_assert(!tcb_timer_runs(tcb_now(&f), TCB_PACE));
}
END_TEST

START_TEST(limit_taken_away_lets_go)
{
	connect_with(NULL, 1000);
	tcb_now(&f)->cc.cwnd = 150000;
	limit_to(10000);
	write_bytes(100000);
	ck_assert_uint_le(taken(NULL), PEER_MSS);
	limit_to(PACING_UNLIMITED);
	run(&f);
	ck_assert_uint_ge(taken(NULL), 98000);
}
END_TEST

/* Twice the window a round trip in slow start: the initial one in 10 ms of 20. */
/* Rows T14, L4: a byte a second must not keep what a process left behind for a day. */
START_TEST(limit_of_an_owner_that_is_gone_holds_little)
{
	uint32_t sum = 0, iss;

	connect_with(NULL, 1000);
	iss = tcb_now(&f)->iss.v;
	limit_to(1);
	write_bytes(100000);
	sum += taken(NULL);
	stack_close(f.sock, f.now);
	f.sock = NULL;
	for (unsigned i = 0; i < 20000 && sum < 100000; i++) {
		struct tcp_segment ack = {
			.seq = seq_make(PEER_ISS + 1), .flags = TCP_ACK, .window = 60000, .ack = seq_make(iss + 1 + sum),
		};

		feed_segment(&f, &ack, 0);
		pass(&f, MILLISECONDS(10));
		sum += taken(NULL);
	}
	ck_assert_uint_ge(sum, 100000);
}
END_TEST

START_TEST(configured_pacing_spreads_the_window_over_the_round_trip)
{
	connect_with(cubic_paced, 20000);
	ck_assert_uint_eq(tcp_pacing_rate(tcb_now(&f)), (uint64_t)tcb_now(&f)->cc.cwnd * 2 * 50);
	write_bytes(50000);
	ck_assert_uint_le(taken(NULL), 2 * tcb_now(&f)->mss);
	for (unsigned i = 0; i < 30; i++) {
		f.now += 256;
		run(&f);
	}
	ck_assert_uint_le(taken(NULL), tcb_now(&f)->cc.cwnd * 9 / 10);
	pass(&f, 5000);
	ck_assert_uint_ge(tcb_flight(tcb_now(&f)), tcb_now(&f)->cc.cwnd - tcb_now(&f)->mss);
}
END_TEST

START_TEST(late_loop_makes_up_no_more_than_two_milliseconds)
{
	connect_with(NULL, 1000);
	tcb_now(&f)->cc.cwnd = 1000000;
	limit_to(10000000);
	write_bytes(180000);
	taken(NULL);
	f.now += 8000;
	run(&f);
	ck_assert_uint_ge(f.sent_count, 2);
	ck_assert_uint_le(taken(NULL), 20000 + 11000);
}
END_TEST

START_TEST(lost_head_goes_at_once)
{
	uint32_t mss;

	connect_with(NULL, 1000);
	mss = tcb_now(&f)->mss;
	write_bytes(10 * mss);
	taken(NULL);
	f.now += 10000;
	limit_to(1000); /* a segment in more than a second */
	write_bytes(50000);
	pass(&f, 1000);
	tcb_now(&f)->pace_at = f.now + SECONDS(5);
	taken(NULL);
	feed_sack(1, 1 + mss, 1 + 9 * mss);
	ck_assert_uint_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	expect(&f, TCP_ACK, 1, 1, mss);
	expect_nothing(&f);
}
END_TEST

START_TEST(bbr_is_paced_from_the_first_window_on)
{
	uint32_t mss, rate;

	connect_with(bbr, 20000);
	mss = tcb_now(&f)->mss;
	rate = tcp_pacing_rate(tcb_now(&f));
	ck_assert_uint_ge(rate, (uint64_t)10 * mss * 50 * 27 / 10);
	write_bytes(50000);
	ck_assert_uint_le(taken(NULL), cc_send_quantum(rate, mss));
	ck_assert(tcb_timer_runs(tcb_now(&f), TCB_PACE));
}
END_TEST

/* Each round trip acknowledges all; the rate that the stack measures is that of the test. */
static void rounds(unsigned n, stack_time rtt)
{
	while (n-- > 0) {
		if (tcb_now(&f)->sndq.len < 60000)
			write_bytes(100000);
		pass(&f, rtt);
		ack_all();
	}
}

START_TEST(bbr_learns_from_acks_with_sack)
{
	struct stack_tcb_info t;

	connect_with(bbr, 20000);
	rounds(12, 20000);
	ck_assert(stack_tcb(f.s, f.now, stack_id(f.sock), &t));
	ck_assert_uint_gt(t.delivery_rate, 500000);
	ck_assert_uint_gt(t.bbr_bw, 500000);
	ck_assert_uint_eq(t.pacing_rate, t.bbr_bw * t.bbr_pacing_gain / 256 * 99 / 100);
	ck_assert_ptr_nonnull(t.bbr_mode);
	ck_assert_uint_gt(t.cwnd, 20 * t.mss_send);
}
END_TEST

START_TEST(bbr_learns_without_sack_too)
{
	struct stack_tcb_info t;

	connect_with(bbr_without_sack, 20000);
	rounds(12, 20000);
	ck_assert(stack_tcb(f.s, f.now, stack_id(f.sock), &t));
	ck_assert(!t.opt_sack);
	ck_assert_uint_gt(t.bbr_bw, 500000);
	ck_assert_uint_gt(t.cwnd, 20 * t.mss_send);
}
END_TEST

START_TEST(bbr_after_a_loss_goes_back_to_its_window)
{
	uint32_t cwnd, una, mss;

	connect_with(bbr, 20000);
	rounds(12, 20000);
	mss = tcb_now(&f)->mss;
	write_bytes(60000);
	pass(&f, 19000);
	cwnd = tcb_now(&f)->cc.cwnd;
	una = tcb_now(&f)->snd_una.v - tcb_now(&f)->iss.v;
	feed_sack(una, una + mss, una + 20 * mss);
	ck_assert_uint_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd); /* no reduction: one loss is not the path's word */
	pass(&f, 20000);
	ack_all();
	ck_assert_uint_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
}
END_TEST

/* The window that STARTUP has come to while a loss was repaired is not taken back with the last of it. */
START_TEST(bbr_that_grows_while_it_repairs_keeps_what_it_has)
{
	uint32_t grown, una, mss, more;

	connect_with(bbr, 20000);
	write_bytes(60000);
	pass(&f, 19000);
	una = tcb_now(&f)->snd_una.v - tcb_now(&f)->iss.v;
	mss = tcb_now(&f)->mss;
	feed_sack(una, una + mss, una + 5 * mss);
	pass(&f, 19000);
	more = snd_nxt_rel(&f);
	feed_sack(una, una + mss, more - mss);
	pass(&f, 19000);
	ck_assert_uint_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_str_eq(tcb_now(&f)->cc_ops->name, "bbr");
	grown = tcb_now(&f)->cc.cwnd;
	ck_assert_uint_gt(grown, tcb_now(&f)->cc.ssthresh);
	feed(&f, TCP_ACK, 1, more, 0);
	ck_assert_uint_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, grown);
}
END_TEST

/* Draft 5.6.4.4, RestoreCwnd: and so it is after a timeout. */
START_TEST(bbr_after_a_timeout_goes_back_to_its_window)
{
	uint32_t cwnd;

	connect_with(bbr, 20000);
	rounds(12, 20000);
	while (tcb_now(&f)->sndq.len > 0) {
		pass(&f, 20000);
		ack_all();
	}
	write_bytes(1000); /* less than the window is, and all of it goes again */
	cwnd = tcb_now(&f)->cc.cwnd;
	pass(&f, SECONDS(1));
	ck_assert_uint_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	ck_assert_uint_lt(tcb_now(&f)->cc.cwnd, cwnd);
	ack_all();
	ck_assert_uint_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
}
END_TEST

START_TEST(bbr_without_memory_is_cubic)
{
	connect_with(bbr, 1000);
	fixture_end(&f);
	fixture_start(&f, bbr);
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	/* room for the control block, and none for the state */
	f.s->mem.total_limit = f.s->mem.total + sizeof(struct conn) + sizeof(struct tcb) + cc_bbr.state_size / 2;
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_str_eq(tcb_now(&f)->cc_ops->name, "cubic");
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, 10 * PEER_MSS);
}
END_TEST

/* ---- choosing ---- */

START_TEST(algorithm_changes_on_a_living_connection)
{
	uint32_t cwnd;

	connect_with(NULL, 10000);
	rounds(3, 10000);
	cwnd = tcb_now(&f)->cc.cwnd;
	ck_assert_int_eq(tcp_cc_change(tcb_now(&f), "vegas"), -ENOENT);
	ck_assert_int_eq(tcp_cc_change(tcb_now(&f), "bbr"), 0);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert(tcb_now(&f)->paced);
	rounds(3, 10000);
	ck_assert_int_eq(tcp_cc_change(tcb_now(&f), "newreno"), 0);
	ck_assert(!tcb_now(&f)->paced);
	rounds(3, 10000);
	ck_assert_int_eq(tcp_cc_change(tcb_now(&f), "newreno"), 0);
}
END_TEST

START_TEST(algorithm_chosen_before_the_connection_is)
{
	bring_to(&f, TCP_SYN_SENT);
	ck_assert_int_eq(tcp_cc_change(tcb_now(&f), "bbr"), 0);
	feed(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	ck_assert_ptr_nonnull(tcb_now(&f)->cc.bbr);
	ck_assert_uint_gt(tcp_pacing_rate(tcb_now(&f)), 0);
}
END_TEST

/* ---- a window that is not used ---- */

static uint32_t grown(void)
{
	rounds(4, 10000);
	pass(&f, 10000);
	ack_all();
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, 50 * PEER_MSS);
	return tcb_now(&f)->cc.cwnd;
}

START_TEST(window_halves_with_each_rto_of_silence)
{
	uint32_t cwnd;

	connect_with(NULL, 10000);
	rounds(5, 10000);
	while (tcb_now(&f)->sndq.len > 0) {
		pass(&f, 10000);
		ack_all();
	}
	cwnd = tcb_now(&f)->cc.cwnd;
	f.now += 2 * rtt_timeout(&tcb_now(&f)->rtt, SECONDS(120)) + 10000;
	write_bytes(1000);
	ck_assert_uint_le(tcb_now(&f)->cc.cwnd, cwnd / 4);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd / 4 - 1);
	ack_all();
	f.now += SECONDS(100);
	write_bytes(1000);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cc_initial_window(tcb_now(&f)->mss));
}
END_TEST

START_TEST(window_that_the_application_does_not_fill_falls)
{
	uint32_t before;

	connect_with(NULL, 10000);
	before = grown();
	while (tcb_now(&f)->sndq.len > 0) {
		pass(&f, 10000);
		ack_all();
	}
	before = tcb_now(&f)->cc.cwnd;
	for (unsigned i = 0; i < 60; i++) { /* 600 ms: more than an RTO */
		write_bytes(1000);
		pass(&f, 10000);
		ack_all();
	}
	ck_assert_uint_lt(tcb_now(&f)->cc.cwnd, before);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cc_initial_window(tcb_now(&f)->mss));
}
END_TEST

START_TEST(rfc7661_window_does_not_grow_unless_it_is_used)
{
	uint32_t cwnd;

	connect_with(NULL, 10000);
	cwnd = tcb_now(&f)->cc.cwnd;
	for (unsigned i = 0; i < 20; i++) {
		write_bytes(4000);
		f.now += 1000;
		ack_all();
	}
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cwnd);
}
END_TEST

/* The whole window in one burst, acknowledged piece by piece: it was in use all the same. */
START_TEST(window_in_use_counts_for_the_round_trip)
{
	uint32_t mss, cwnd;

	connect_with(NULL, 10000);
	mss = tcb_now(&f)->mss;
	cwnd = tcb_now(&f)->cc.cwnd;
	write_bytes(10 * mss);
	f.now += 10000;
	for (uint32_t i = 2; i <= 10; i += 2)
		feed(&f, TCP_ACK, 1, 1 + i * mss, 0);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cwnd + 10 * mss);
}
END_TEST

/* RFC 9406 4.2: SND.NXT at a round's start, acknowledged, is its end. */
START_TEST(hystart_round_ends_with_what_was_out_at_its_start)
{
	uint32_t mss, end;

	connect_with(NULL, 10000);
	mss = tcb_now(&f)->mss;
	write_bytes(40 * mss);
	f.now += 10000;
	feed(&f, TCP_ACK, 1, 1 + 2 * mss, 0);
	end = tcb_now(&f)->round_end.v;
	ck_assert_uint_eq(end - tcb_now(&f)->iss.v, 1 + 10 * mss);
	feed(&f, TCP_ACK, 1, 1 + 8 * mss, 0);
	ck_assert_uint_eq(tcb_now(&f)->round_end.v, end);
	feed(&f, TCP_ACK, 1, 1 + 10 * mss, 0);
	ck_assert_uint_gt(tcb_now(&f)->round_end.v - end, 8 * mss);
}
END_TEST

/* What goes out in one frame: with `cwnd` and a round trip of so many microseconds, slow start over or not. */
static uint32_t frame(uint32_t cwnd, uint32_t rtt, bool slow_start)
{
	struct tcb *t = tcb_now(&f);

	t->cc.cwnd = cwnd;
	t->cc.ssthresh = slow_start ? UINT32_MAX : 1;
	t->rtt.min = rtt;
	t->rtt.srtt = 8 * rtt;
	return tcp_frame_limit(t);
}

START_TEST(frame_is_a_millisecond_of_the_rate)
{
	uint32_t mss;

	connect_with(NULL, 10000);
	mss = tcb_now(&f)->mss;
	ck_assert_uint_eq(frame(10 * mss, 40000, true), 2 * mss);     /* 500 segments a second: the least */
	ck_assert_uint_eq(frame(205 * mss, 40000, true), 10 * mss);   /* twice the window a round trip */
	ck_assert_uint_eq(frame(205 * mss, 40000, false), 6 * mss);   /* 1.2 times */
	ck_assert_uint_le(frame(4000000, 40000, false), STACK_TCP_PAYLOAD_MAX);
	ck_assert_uint_gt(frame(4000000, 40000, false), STACK_TCP_PAYLOAD_MAX - mss);
}
END_TEST

static void want_large_packets(struct stack_config *c)
{
	c->mtu = 40040;
	c->window_scaling = true;
}

/* Two segments of 40,000 bytes are more than a frame may hold, however slow the path. */
START_TEST(frame_is_never_longer_than_may_be)
{
	struct tcp_segment syn = {
		.seq = {PEER_ISS}, .flags = TCP_SYN, .window = 60000,
		.opt = {.has_mss = true, .mss = 40000, .has_window_scale = true, .window_scale = 6},
	};

	fixture_end(&f);
	fixture_start(&f, want_large_packets);
	bring_to(&f, TCP_LISTEN);
	feed_segment(&f, &syn, 0);
	f.now += MILLISECONDS(20);
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	tcb_now(&f)->cc.cwnd = 800000;
	ck_assert_uint_le(tcp_frame_limit(tcb_now(&f)), STACK_TCP_PAYLOAD_MAX);
	f.sent_read = f.sent_count = 0;
	stack_send(f.sock, f.now, zeros, sizeof(zeros));
	run(&f);
	ck_assert_uint_gt(f.sent_count, 0);
	while (f.sent_read < f.sent_count)
		ck_assert_uint_le(take(&f)->seg.len, STACK_TCP_PAYLOAD_MAX);
}
END_TEST

START_TEST(frame_to_a_near_peer_is_large)
{
	uint32_t mss;

	connect_with(NULL, 10000);
	mss = tcb_now(&f)->mss;
	ck_assert_uint_eq(frame(1000000, 100, false), STACK_TCP_PAYLOAD_MAX);
	ck_assert_uint_eq(frame(20 * mss, 500, false), 10 * mss); /* half of the window, so that ACKs come meanwhile */
	ck_assert_uint_gt(frame(100 * mss, 1000, false), 40 * mss);
	ck_assert_uint_eq(frame(3 * mss, 1000, false), mss * 3 / 2);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("pacing");

	ADD(socket_limit_spreads_what_is_sent);
	ADD(no_limit_is_no_pacing);
	ADD(limit_taken_away_lets_go);
	ADD(limit_of_an_owner_that_is_gone_holds_little);
	ADD(configured_pacing_spreads_the_window_over_the_round_trip);
	ADD(late_loop_makes_up_no_more_than_two_milliseconds);
	ADD(lost_head_goes_at_once);
	ADD(bbr_is_paced_from_the_first_window_on);
	ADD(bbr_learns_from_acks_with_sack);
	ADD(bbr_learns_without_sack_too);
	ADD(bbr_after_a_loss_goes_back_to_its_window);
	ADD(bbr_that_grows_while_it_repairs_keeps_what_it_has);
	ADD(bbr_after_a_timeout_goes_back_to_its_window);
	ADD(bbr_without_memory_is_cubic);
	ADD(algorithm_changes_on_a_living_connection);
	ADD(algorithm_chosen_before_the_connection_is);
	ADD(window_halves_with_each_rto_of_silence);
	ADD(window_that_the_application_does_not_fill_falls);
	ADD(rfc7661_window_does_not_grow_unless_it_is_used);
	ADD(window_in_use_counts_for_the_round_trip);
	ADD(hystart_round_ends_with_what_was_out_at_its_start);
	ADD(frame_is_a_millisecond_of_the_rate);
	ADD(frame_is_never_longer_than_may_be);
	ADD(frame_to_a_near_peer_is_large);
	return suite_run(s);
}
