/* Recoveries that were not needed, what they leave behind, and measuring while they last. */
#include "tcp_fixture.h"

static struct fixture f;

static void want_sack(struct stack_config *c) { (void)c; }
static void want_timestamps(struct stack_config *c) { c->timestamps = true; }
static void setup(void) { fixture_start(&f, want_sack); }
static void teardown(void) { fixture_end(&f); }

static uint32_t mss; /* payload bytes of a full segment */

static void start(bool sack, uint32_t segments)
{
	bring_to_flight(&f, sack, segments);
	mss = tcb_now(&f)->mss;
}

static void feed_sack(uint32_t ack, uint32_t left, uint32_t right) { feed_sack_of(&f, ack, left, right); }

static void time_out(void)
{
	for (unsigned i = 0; i < 1000 && tcb_now(&f)->recovery != RECOVERY_LOSS; i++) {
		f.now = max_u64(stack_deadline(f.s), f.now);
		run(&f);
	}
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	f.sent_read = f.sent_count = 0;
	f.now += MILLISECONDS(2); /* sooner than an answer to what went again could come */
}

static uint64_t undos(void) { return f.s->counter[COUNT_tcp_undos]; }

START_TEST(original_delivered_after_a_timeout_ends_it)
{
	uint32_t cwnd;

	start(true, 10);
	cwnd = tcb_now(&f)->cc.cwnd;
	time_out();
	feed_sack(3, 0, 0); /* two of these never went again */
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_eq(undos(), 1);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert_uint_eq(tcb_now(&f)->board.lost, 0);
	ck_assert_ptr_null(tcb_now(&f)->rec);
}
END_TEST

START_TEST(without_sack_the_second_ack_ends_it)
{
	start(false, 12);
	time_out();
	feed_sack(1, 0, 0);
	expect(&f, TCP_ACK, 1 + 10 * mss, 1, mss);
	expect(&f, TCP_ACK, 1 + 11 * mss, 1, mss);
	expect_nothing(&f);
	feed_sack(2, 0, 0);
	ck_assert_uint_eq(undos(), 1);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	expect_nothing(&f);
}
END_TEST

START_TEST(duplicate_after_the_new_data_means_a_real_loss)
{
	start(false, 20);
	time_out();
	feed_sack(1, 0, 0);
	f.sent_read = f.sent_count = 0;
	feed_sack(1, 0, 0);
	expect(&f, TCP_ACK, 1 + mss, 1, 2 * mss);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	ck_assert_uint_eq(undos(), 0);
}
END_TEST

START_TEST(timestamps_undo_without_sack_too)
{
	struct tcp_segment seg = {.flags = TCP_ACK, .window = PEER_WINDOW};
	uint32_t original;

	fixture_end(&f);
	fixture_start(&f, want_timestamps);
	start(false, 10);
	original = ts_now(f.s, tcb_now(&f)->ts_offset);
	time_out();
	seg.seq = tcb_now(&f)->rcv_nxt;
	seg.ack = seq_add(tcb_now(&f)->iss, 1 + 3 * mss);
	seg.opt.has_timestamp = true;
	seg.opt.ts_value = f.ts;
	seg.opt.ts_echo = original;
	feed_segment(&f, &seg, 0);
	ck_assert_uint_eq(undos(), 1);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
}
END_TEST

static void feed_dsack(uint32_t ack, uint32_t left, uint32_t right)
{
	feed_sack(ack, left, right); /* below the acknowledgment: a duplicate */
}

START_TEST(every_retransmission_a_duplicate_undoes_the_recovery)
{
	uint32_t cwnd;

	start(true, 10);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed_sack(0, 2, 8);
	for (uint32_t i = 8; i < 10; i++)
		feed_sack(0, 2, i + 1);
	f.now += MILLISECONDS(5);
	feed_sack(10, 0, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_lt(tcb_now(&f)->cc.cwnd, cwnd);
	feed_dsack(10, 0, 1);
	ck_assert_uint_eq(undos(), 0);
	feed_dsack(10, 1, 2);
	ck_assert_uint_eq(undos(), 1);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert_ptr_null(tcb_now(&f)->rec);
}
END_TEST

START_TEST(loss_probe_that_was_not_needed_undoes_nothing)
{
	uint32_t ssthresh;

	start(true, 4);
	ssthresh = tcb_now(&f)->cc.ssthresh;
	for (unsigned i = 0; i < 100 && f.s->counter[COUNT_tcp_loss_probes] == 0; i++) {
		f.now = max_u64(stack_deadline(f.s), f.now);
		run(&f);
	}
	tcb_now(&f)->rec->start = tcb_now(&f)->snd_una; /* as of an earlier recovery */
	feed_dsack(4, 3, 4);
	ck_assert_uint_eq(undos(), 0);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, ssthresh);
}
END_TEST

START_TEST(state_of_a_recovery_goes_a_round_trip_after_it)
{
	static const uint8_t more[1000];

	start(true, 10);
	feed_sack(0, 1, 4);
	ck_assert_ptr_nonnull(tcb_now(&f)->rec);
	f.now += MILLISECONDS(10);
	feed_sack(10, 0, 0);
	ck_assert_ptr_nonnull(tcb_now(&f)->rec); /* for a D-SACK */
	stack_send(f.sock, f.now, more, sizeof(more));
	run(&f);
	f.now += MILLISECONDS(10);
	feed(&f, TCP_ACK, 1, 1 + 10 * mss + 1000, 0);
	ck_assert_ptr_null(tcb_now(&f)->rec);
}
END_TEST

START_TEST(without_memory_there_is_a_recovery_but_no_undo)
{
	size_t limit;

	start(true, 10);
	limit = f.s->mem.limit[MEM_SEND];
	feed_sack(0, 1, 3); /* the records that the blocks need */
	f.s->mem.limit[MEM_SEND] = 1;
	feed_sack(0, 1, 10);
	f.s->mem.limit[MEM_SEND] = limit;
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_ptr_null(tcb_now(&f)->rec);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, tcb_now(&f)->cc.ssthresh);
	feed_sack(10, 0, 0);
	feed_dsack(10, 0, 1);
	ck_assert_uint_eq(undos(), 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
}
END_TEST

START_TEST(lost_retransmission_reduces_twice)
{
	start(true, 12);
	feed_sack(0, 1, 9);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, 5 * mss);
	f.now += MILLISECONDS(11);
	feed_sack(0, 1, 10);
	f.now += MILLISECONDS(20);
	feed_sack(0, 1, 11); /* sent after the retransmission, and it has come */
	ck_assert_uint_ge(conn_noted(tcb_now(&f)->conn)->bytes_retransmitted, 2 * mss);
	f.now += MILLISECONDS(10);
	feed(&f, TCP_ACK, 1, tcb_now(&f)->snd_nxt.v - tcb_now(&f)->iss.v, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_le(tcb_now(&f)->cc.ssthresh, 5 * mss / 2);
}
END_TEST

START_TEST(reordering_window_is_forgotten_after_16_recoveries)
{
	start(true, 10);
	feed_sack(10, 0, 0);
	feed_dsack(10, 9, 10);
	ck_assert_uint_eq(tcb_now(&f)->reorder_steps, 2);
	for (uint32_t i = 0; i < 16; i++) {
		static const uint8_t more[1000];
		uint32_t una = tcb_now(&f)->snd_una.v - tcb_now(&f)->iss.v;

		ck_assert_uint_eq(tcb_now(&f)->reorder_steps, 2);
		stack_send(f.sock, f.now, more, sizeof(more));
		run(&f);
		f.sent_read = f.sent_count = 0;
		time_out();
		f.now += MILLISECONDS(10);
		feed(&f, TCP_ACK, 1, una + 1000, 0);
		f.now += SECONDS(1);
	}
	ck_assert_uint_eq(tcb_now(&f)->reorder_steps, 1);
}
END_TEST

START_TEST(rtt_is_measured_by_sacks)
{
	uint32_t srtt;

	start(true, 10);
	srtt = tcb_now(&f)->rtt.srtt;
	f.now += MILLISECONDS(40); /* 50 in all, where the handshake took 10 */
	feed_sack(0, 5, 6);
	ck_assert_uint_gt(tcb_now(&f)->rtt.srtt, srtt);
	srtt = tcb_now(&f)->rtt.srtt;
	feed_sack(0, 5, 7);
	ck_assert_uint_eq(tcb_now(&f)->rtt.srtt, srtt); /* once a round trip */
}
END_TEST

START_TEST(rtt_of_what_went_again_is_measured_by_timestamps)
{
	uint32_t srtt;

	fixture_end(&f);
	fixture_start(&f, want_timestamps);
	start(true, 1);
	srtt = tcb_now(&f)->rtt.srtt;
	time_out();
	f.now += MILLISECONDS(150);
	feed_sack(1, 0, 0); /* echoes the clock of the last transmission, so it is no guess */
	ck_assert_uint_gt(tcb_now(&f)->rtt.srtt, srtt + MILLISECONDS(100));
	ck_assert_uint_lt(tcb_now(&f)->rtt.srtt, srtt + MILLISECONDS(200));
	ck_assert_uint_eq(tcb_now(&f)->rtt.backoff, 0);
}
END_TEST

START_TEST(hole_that_is_filled_delivers_all_behind_it_at_once)
{
	uint8_t got[400];

	start(true, 1);
	f.sent_read = f.sent_count = 0;
	feed(&f, TCP_ACK, 101, 1, 100);
	feed(&f, TCP_ACK, 301, 1, 100);
	events_now(&f, NULL);
	feed(&f, TCP_ACK, 1, 1, 100);
	ck_assert(events_now(&f, NULL) & STACK_EVENT_READABLE);
	ck_assert_int_eq(stack_recv(f.sock, f.now, got, sizeof(got)), 200);
	ck_assert_uint_eq(rcv_nxt_rel(&f), 201);
	take(&f);
	take(&f);
	expect(&f, TCP_ACK, 1 + mss, 201, 0);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("tcp-undo");

	ADD(original_delivered_after_a_timeout_ends_it);
	ADD(without_sack_the_second_ack_ends_it);
	ADD(duplicate_after_the_new_data_means_a_real_loss);
	ADD(timestamps_undo_without_sack_too);
	ADD(every_retransmission_a_duplicate_undoes_the_recovery);
	ADD(loss_probe_that_was_not_needed_undoes_nothing);
	ADD(state_of_a_recovery_goes_a_round_trip_after_it);
	ADD(without_memory_there_is_a_recovery_but_no_undo);
	ADD(lost_retransmission_reduces_twice);
	ADD(reordering_window_is_forgotten_after_16_recoveries);
	ADD(rtt_is_measured_by_sacks);
	ADD(rtt_of_what_went_again_is_measured_by_timestamps);
	ADD(hole_that_is_filled_delivers_all_behind_it_at_once);
	return suite_run(s);
}
