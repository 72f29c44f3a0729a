/* Loss recovery with SACK: RACK, TLP, PRR, undo, and the blocks we report ourselves. */
#include "tcp_fixture.h"

static struct fixture f;

static void want_sack(struct stack_config *c)
{
	c->timestamps = true;
}

static void setup(void) { fixture_start(&f, want_sack); }
static void teardown(void) { fixture_end(&f); }

#define MSS 1448u /* with timestamps */

static void start(uint32_t segments) { bring_to_flight(&f, true, segments); }
static void feed_sack(uint32_t ack, uint32_t left, uint32_t right) { feed_sack_of(&f, ack, left, right); }

/* What is acknowledged already came once more: the last segment before SND.UNA. */
static void feed_dsack(void)
{
	struct tcp_segment seg = {.seq = tcb_now(&f)->rcv_nxt, .flags = TCP_ACK, .window = PEER_WINDOW};

	seg.ack = tcb_now(&f)->snd_una;
	seg.opt.sack_count = 1;
	seg.opt.sack[0].left = seq_sub(seg.ack, MSS);
	seg.opt.sack[0].right = seg.ack;
	feed_segment(&f, &seg, 0);
}

START_TEST(three_segments_sacked_mean_a_loss_at_once)
{
	start(10);
	feed_sack(0, 1, 4);
	expect(&f, TCP_ACK, 1, 1, MSS);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, 5 * MSS);
	feed_sack(10, 0, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, 5 * MSS);
}
END_TEST

/* Several ACKs come in one batch, and nothing has been sent in answer to the first when the last tells of a loss. */
START_TEST(flight_at_a_loss_is_that_before_the_batch)
{
	start(10);
	f.batch = true;
	feed_sack(6, 0, 0);
	feed_sack(6, 7, 10);
	f.batch = false;
	run(&f);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_ge(tcb_now(&f)->cc.ssthresh, 5 * MSS);
}
END_TEST

/* RFC 5681 3.2, step 2: what limited transmit has added does not make the reduction smaller. */
START_TEST(limited_transmit_does_not_count_as_flight)
{
	static const uint8_t more[10 * MSS];

	start(10);
	stack_send(f.sock, f.now, more, sizeof(more));
	run(&f);
	feed_sack(0, 1, 2);
	feed_sack(0, 1, 3);
	ck_assert_uint_eq(tcb_flight(tcb_now(&f)), 12 * MSS);
	feed_sack(0, 1, 4);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, 5 * MSS);
}
END_TEST

START_TEST(one_segment_sacked_waits_for_the_reordering_window)
{
	start(10);
	feed_sack(0, 1, 2);
	expect_nothing(&f);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_ne(tcb_deadline(tcb_now(&f), TCB_REORDER), STACK_NEVER);
	f.now += MILLISECONDS(3);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, MSS);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
}
END_TEST

START_TEST(reordering_that_resolves_itself_costs_nothing)
{
	uint32_t cwnd;

	start(10);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed_sack(0, 1, 2);
	f.now += MILLISECONDS(1);
	feed_sack(2, 0, 0);
	f.now += MILLISECONDS(5);
	run(&f);
	ck_assert_uint_eq(tcb_now(&f)->conn->retransmissions, 0);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert(tcb_now(&f)->reordering);
}
END_TEST

START_TEST(only_the_holes_go_again)
{
	start(10);
	feed_sack(0, 1, 3);
	f.sent_read = f.sent_count = 0;
	feed_sack(0, 4, 10);
	while (f.sent_read < f.sent_count) {
		uint32_t at = take(&f)->seg.seq.v - tcb_now(&f)->iss.v - 1;

		ck_assert_msg(at == 0 || at == 3 * MSS || at >= 10 * MSS, "sent again what was SACKED: %u", at);
	}
	ck_assert_uint_eq(tcb_now(&f)->board.lost, 0);
}
END_TEST

START_TEST(prr_does_not_burst)
{
	start(10);
	feed_sack(0, 1, 4);
	ck_assert_uint_le(conn_noted(tcb_now(&f)->conn)->bytes_retransmitted, 2 * MSS);
	for (uint32_t i = 5; i <= 10; i++) {
		uint64_t before = tcb_now(&f)->rec->out;

		feed_sack(0, 1, i);
		ck_assert_uint_le(tcb_now(&f)->rec->out - before, 2 * MSS);
	}
}
END_TEST

START_TEST(lost_tail_is_probed_long_before_the_timeout)
{
	stack_time sent_at;

	start(4);
	sent_at = f.now - MILLISECONDS(10);
	feed_sack(1, 0, 0);
	for (unsigned i = 0; i < 100 && f.sent_count == 0; i++) {
		f.now = max_u64(stack_deadline(f.s), f.now);
		run(&f);
	}
	expect(&f, TCP_ACK, 1 + 3 * MSS, 1, MSS);
	ck_assert_uint_le(f.now - sent_at, MILLISECONDS(60));
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_loss_probes], 1);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_timeouts], 0);
	/* The probe's SACK shows the holes before it. */
	f.now += MILLISECONDS(10);
	feed_sack(1, 3, 4);
	f.now += MILLISECONDS(10);
	run(&f);
	expect(&f, TCP_ACK, 1 + MSS, 1, MSS);
	feed_sack(2, 3, 4);
	expect(&f, TCP_ACK, 1 + 2 * MSS, 1, MSS);
}
END_TEST

START_TEST(probe_that_repaired_a_loss_halves_the_window_and_no_more)
{
	start(10);
	feed_sack(6, 0, 0);
	f.sent_read = f.sent_count = 0;
	for (unsigned i = 0; i < 100 && f.sent_count == 0; i++) {
		f.now = max_u64(stack_deadline(f.s), f.now);
		run(&f);
	}
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_loss_probes], 1);
	f.now += MILLISECONDS(10);
	feed_sack(10, 0, 0);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, 2 * MSS); /* half of the four in flight */
	ck_assert_uint_le(tcb_now(&f)->cc.cwnd, 3 * MSS);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, 2 * MSS);
}
END_TEST

START_TEST(duplicates_widen_the_reordering_window_at_any_sequence_number)
{
	start(4);
	feed_sack(4, 0, 0);
	feed_dsack();
	ck_assert_uint_eq(tcb_now(&f)->reorder_steps, 2);
	feed_dsack();
	ck_assert_uint_le(tcb_now(&f)->reorder_steps, 3);
}
END_TEST

START_TEST(timeout_sends_again_only_what_was_not_sacked)
{
	start(10);
	feed_sack(0, 8, 10);
	f.sent_read = f.sent_count = 0;
	f.now += SECONDS(2);
	run(&f);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	feed_sack(8, 0, 0);
	ck_assert_uint_eq(tcb_now(&f)->board.sacked, 2 * MSS);
	feed_sack(10, 0, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_le(conn_noted(tcb_now(&f)->conn)->bytes_retransmitted, 8 * MSS);
}
END_TEST

/* In fast recovery; the head's retransmission gets no answer, while new data behind it is SACKed. */
static void start_without_an_answer_to_the_retransmission(uint32_t rounds)
{
	static const uint8_t more[30 * MSS];

	start(10);
	stack_send(f.sock, f.now, more, sizeof(more));
	run(&f);
	for (uint32_t end = 4; end < 4 + rounds; end++)
		feed_sack(0, 1, end);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
}

/* RFC 8985 6.3; and the loss window is beside what is on its way. */
START_TEST(timeout_leaves_alone_what_went_out_a_moment_ago)
{
	uint32_t nxt;

	start_without_an_answer_to_the_retransmission(6);
	pass(&f, rtt_timeout(&tcb_now(&f)->rtt, SECONDS(60)) - 2000);
	nxt = snd_nxt_rel(&f);
	feed_sack(0, 1, 10);
	ck_assert_uint_gt(snd_nxt_rel(&f), nxt);
	f.sent_read = f.sent_count = 0;
	pass(&f, 4000);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	expect(&f, TCP_ACK, 1, 1, MSS);
	expect_nothing(&f);
	ck_assert_uint_ge(scoreboard_pipe(&tcb_now(&f)->board, tcb_flight(tcb_now(&f))), 2 * MSS);
}
END_TEST

/* What the peer has SACKed is no flight: a window that was reduced does not become larger by a timeout. */
START_TEST(timeout_in_fast_recovery_raises_no_ssthresh)
{
	start_without_an_answer_to_the_retransmission(12);
	ck_assert_uint_gt(tcb_flight(tcb_now(&f)), 14 * MSS);
	pass(&f, SECONDS(2));
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, 5 * MSS);
}
END_TEST

/* So many segments, with the timestamp that they had when they went out first. */
static void acked_late(uint32_t segments, uint32_t echo)
{
	struct tcp_segment seg = {.seq = tcb_now(&f)->rcv_nxt, .flags = TCP_ACK, .window = PEER_WINDOW};

	seg.ack = seq_add(tcb_now(&f)->iss, 1 + segments * MSS);
	seg.opt.has_timestamp = true;
	seg.opt.ts_value = f.ts;
	seg.opt.ts_echo = echo;
	feed_segment(&f, &seg, 0);
}

START_TEST(spurious_timeout_is_undone_by_timestamps)
{
	uint32_t cwnd, original;

	start(10);
	cwnd = tcb_now(&f)->cc.cwnd;
	original = ts_now(f.s, tcb_now(&f)->ts_offset);
	f.now += SECONDS(2);
	run(&f); /* a loss probe first */
	f.now += SECONDS(2);
	run(&f);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	acked_late(5, original);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_undos], 1);
}
END_TEST

/* RFC 4015 3. */
START_TEST(what_was_late_makes_the_timeout_longer)
{
	uint32_t rto, original;

	start(10);
	rto = tcb_now(&f)->rtt.rto;
	original = ts_now(f.s, tcb_now(&f)->ts_offset);
	f.now += SECONDS(2);
	run(&f);
	f.now += SECONDS(2);
	run(&f);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	acked_late(1, original); /* of what went again: nothing is measured by it */
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_eq(tcb_now(&f)->rtt.rto, rto);
	acked_late(5, original);
	ck_assert_uint_gt(tcb_now(&f)->rtt.rto, rto + SECONDS(1));
}
END_TEST

/* Nothing sent once is acknowledged for long where much is lost; the backoff must not outlive each loss. */
START_TEST(timestamp_of_a_retransmission_ends_the_backoff)
{
	struct tcp_segment seg = {.flags = TCP_ACK, .window = PEER_WINDOW};

	start(10);
	for (unsigned i = 0; i < 3; i++) { /* a loss probe goes before the first timeout */
		f.now = tcb_deadline(tcb_now(&f), TCB_REXMT);
		run(&f);
	}
	ck_assert_uint_eq(tcb_now(&f)->rtt.backoff, 2);
	seg.seq = tcb_now(&f)->rcv_nxt;
	seg.ack = seq_add(tcb_now(&f)->iss, 1 + MSS);
	seg.opt.has_timestamp = true;
	seg.opt.ts_value = f.ts;
	seg.opt.ts_echo = ts_now(f.s, tcb_now(&f)->ts_offset);
	f.now += MILLISECONDS(10);
	feed_segment(&f, &seg, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	ck_assert_uint_eq(tcb_now(&f)->rtt.backoff, 0);
	ck_assert_uint_le(tcb_now(&f)->rtt.srtt / 8, MILLISECONDS(11));
}
END_TEST

START_TEST(row_T7_bad_blocks_are_ignored)
{
	struct tcp_segment seg = {.flags = TCP_ACK, .window = PEER_WINDOW};
	seq32 first;

	start(10);
	first = seq_add(tcb_now(&f)->iss, 1);
	seg.seq = tcb_now(&f)->rcv_nxt;
	seg.ack = first;
	seg.opt.sack_count = 3;
	seg.opt.sack[0].left = seq_add(first, 5 * MSS);
	seg.opt.sack[0].right = seq_add(first, 3 * MSS); /* left >= right */
	seg.opt.sack[1].left = seq_add(first, 8 * MSS);
	seg.opt.sack[1].right = seq_add(first, 30 * MSS); /* never sent */
	seg.opt.sack[2].left = seq_sub(first, 5000); /* before SND.UNA */
	seg.opt.sack[2].right = seq_add(first, MSS);
	feed_segment(&f, &seg, 0);
	ck_assert_uint_eq(tcb_now(&f)->board.sacked, 0);
	expect_nothing(&f);
}
END_TEST

START_TEST(our_blocks_begin_with_the_latest_segment)
{
	struct captured *e;

	start(1);
	f.sent_read = f.sent_count = 0;
	feed(&f, TCP_ACK, 101, 1, 100);
	e = take(&f);
	ck_assert_uint_eq(e->seg.opt.sack_count, 1);
	ck_assert_uint_eq(e->seg.opt.sack[0].left.v - PEER_ISS, 101);
	ck_assert_uint_eq(e->seg.opt.sack[0].right.v - PEER_ISS, 201);
	feed(&f, TCP_ACK, 501, 1, 100);
	e = take(&f);
	ck_assert_uint_eq(e->seg.opt.sack[0].left.v - PEER_ISS, 501);
	ck_assert_uint_eq(e->seg.opt.sack[1].left.v - PEER_ISS, 101);
	feed(&f, TCP_ACK, 301, 1, 100);
	e = take(&f);
	ck_assert_uint_eq(e->seg.opt.sack_count, 3);
	ck_assert_uint_eq(e->seg.opt.sack[0].left.v - PEER_ISS, 301);
}
END_TEST

/* RFC 2018 4: each block is told three times, so that the loss of two ACKs hides nothing. */
START_TEST(blocks_are_repeated_in_the_order_in_which_they_were_told)
{
	static const uint32_t came[] = {101, 901, 701, 301, 501}, next[] = {501, 301, 701, 901};
	struct captured *e = NULL;

	start(1);
	f.sent_read = f.sent_count = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(came); i++) {
		feed(&f, TCP_ACK, came[i], 1, 100);
		e = take(&f);
	}
	ck_assert_uint_ge(e->seg.opt.sack_count, 3);
	for (unsigned i = 0; i < e->seg.opt.sack_count; i++)
		ck_assert_uint_eq(e->seg.opt.sack[i].left.v - PEER_ISS, next[i]);
}
END_TEST

START_TEST(range_that_grows_is_told_first_and_the_rest_keeps_its_order)
{
	static const uint32_t came[] = {101, 901, 701, 301, 801}, next[] = {701, 301, 101};
	struct captured *e = NULL;

	start(1);
	f.sent_read = f.sent_count = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(came); i++) {
		feed(&f, TCP_ACK, came[i], 1, 100);
		e = take(&f);
	}
	ck_assert_uint_eq(e->seg.opt.sack_count, 3); /* 701 to 1001: it has taken 901 in */
	ck_assert_uint_eq(e->seg.opt.sack[0].right.v - PEER_ISS, 1001);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(e->seg.opt.sack[i].left.v - PEER_ISS, next[i]);
}
END_TEST

START_TEST(duplicate_is_reported_once)
{
	struct captured *e;

	start(1);
	feed(&f, TCP_ACK, 1, 1, 100);
	f.sent_read = f.sent_count = 0;
	feed(&f, TCP_ACK, 1, 1, 100);
	e = take(&f);
	ck_assert_uint_eq(e->seg.opt.sack_count, 1);
	ck_assert_uint_eq(e->seg.opt.sack[0].left.v - PEER_ISS, 1);
	ck_assert_uint_eq(e->seg.opt.sack[0].right.v - PEER_ISS, 101);
	feed(&f, TCP_ACK, 301, 1, 100);
	ck_assert_uint_eq(take(&f)->seg.opt.sack[0].left.v - PEER_ISS, 301);
}
END_TEST

START_TEST(probe_that_repaired_a_loss_halves_the_window_once)
{
	static const uint8_t more[10 * MSS];
	uint32_t cwnd;

	start(4);
	feed_sack(3, 0, 0);
	pass(&f, MILLISECONDS(100));
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_loss_probes], 1);
	cwnd = tcb_now(&f)->cc.cwnd;
	stack_send(f.sock, f.now, more, sizeof(more));
	run(&f);
	f.now += MILLISECONDS(10);
	feed_sack(8, 0, 0); /* beyond what was out when the probe went */
	ck_assert_uint_lt(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, 2 * MSS);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed_sack(14, 0, 0);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
}
END_TEST

/* RFC 8985 7.4: an ACK of no more than was out may have been on its way already. */
START_TEST(without_timestamps_only_later_data_tells_what_a_probe_did)
{
	uint32_t cwnd;

	start(4);
	tcb_now(&f)->ts_on = f.timestamps = false;
	feed_sack(3, 0, 0);
	pass(&f, MILLISECONDS(100));
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_loss_probes], 1);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed_sack(4, 0, 0);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert(tcb_now(&f)->probe_out);
	feed_dsack(); /* the probe was not needed, says the receiver */
	ck_assert(!tcb_now(&f)->probe_out);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
}
END_TEST

START_TEST(duplicates_widen_the_reordering_window_after_gigabytes_too)
{
	start(4);
	feed_sack(2, 0, 0);
	tcb_now(&f)->reorder_until = seq_add(tcb_now(&f)->snd_una, 0x7fffff00u);
	feed_dsack();
	ck_assert_uint_eq(tcb_now(&f)->reorder_steps, 2);
	feed_dsack(); /* once a round trip */
	ck_assert_uint_eq(tcb_now(&f)->reorder_steps, 2);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("tcp-recovery");

	ADD(three_segments_sacked_mean_a_loss_at_once);
	ADD(flight_at_a_loss_is_that_before_the_batch);
	ADD(limited_transmit_does_not_count_as_flight);
	ADD(one_segment_sacked_waits_for_the_reordering_window);
	ADD(reordering_that_resolves_itself_costs_nothing);
	ADD(only_the_holes_go_again);
	ADD(prr_does_not_burst);
	ADD(lost_tail_is_probed_long_before_the_timeout);
	ADD(probe_that_repaired_a_loss_halves_the_window_and_no_more);
	ADD(duplicates_widen_the_reordering_window_at_any_sequence_number);
	ADD(timeout_sends_again_only_what_was_not_sacked);
	ADD(timeout_leaves_alone_what_went_out_a_moment_ago);
	ADD(timeout_in_fast_recovery_raises_no_ssthresh);
	ADD(spurious_timeout_is_undone_by_timestamps);
	ADD(what_was_late_makes_the_timeout_longer);
	ADD(timestamp_of_a_retransmission_ends_the_backoff);
	ADD(row_T7_bad_blocks_are_ignored);
	ADD(our_blocks_begin_with_the_latest_segment);
	ADD(blocks_are_repeated_in_the_order_in_which_they_were_told);
	ADD(range_that_grows_is_told_first_and_the_rest_keeps_its_order);
	ADD(duplicate_is_reported_once);
	ADD(probe_that_repaired_a_loss_halves_the_window_once);
	ADD(without_timestamps_only_later_data_tells_what_a_probe_did);
	ADD(duplicates_widen_the_reordering_window_after_gigabytes_too);
	return suite_run(s);
}
