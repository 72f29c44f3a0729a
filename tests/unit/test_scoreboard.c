/* The scoreboard of what is in flight: marking, splitting, merging, detection; and a random model. */
#include "stack/scoreboard.h"
#include "suite.h"

static struct mem mem;
static struct scoreboard b;

static void setup(void)
{
	mem = (struct mem){.total_limit = 4 << 20};
	b = (struct scoreboard){0};
}

static void teardown(void)
{
	scoreboard_clear(&b, &mem);
	ck_assert_uint_eq(mem.total, 0);
}

static void check(uint32_t una, uint32_t nxt)
{
	const char *bad = scoreboard_check(&b, seq_make(una), seq_make(nxt));

	ck_assert_msg(!bad, "%s", bad);
}

#define RTT 10000u

static void sent(uint32_t seq, uint32_t end, uint64_t now)
{
	scoreboard_sent(&b, &mem, seq_make(seq), seq_make(end), now, RTT);
}

static uint32_t sacked(uint32_t left, uint32_t right, uint64_t now)
{
	struct delivery d = {0};

	scoreboard_sacked(&b, &mem, seq_make(left), seq_make(right), now, 0, &d);
	return d.bytes;
}

START_TEST(sent_together_is_one_record)
{
	sent(0, 1000, 5);
	sent(1000, 2000, 5);
	sent(2000, 3000, 6);
	ck_assert_uint_eq(b.count, 2);
	check(0, 3000);
}
END_TEST

START_TEST(acked_takes_from_the_front_and_may_cut)
{
	struct delivery d = {0};

	sent(0, 1000, 1);
	sent(1000, 2000, 2);
	scoreboard_acked(&b, &mem, seq_make(1500), 10, 0, &d);
	ck_assert_uint_eq(d.bytes, 1500);
	ck_assert_uint_eq(d.at, 2);
	ck_assert_uint_eq(b.count, 1);
	check(1500, 2000);
}
END_TEST

START_TEST(sacked_splits_and_merges)
{
	sent(0, 10000, 1);
	ck_assert_uint_eq(sacked(2000, 3000, 5), 1000);
	ck_assert_uint_eq(b.count, 3);
	ck_assert_uint_eq(sacked(2000, 3000, 5), 0);
	ck_assert_uint_eq(sacked(3000, 4000, 6), 1000);
	ck_assert_uint_eq(b.count, 3);
	ck_assert_uint_eq(b.sacked, 2000);
	ck_assert_uint_eq(scoreboard_pipe(&b, 10000), 8000);
	check(0, 10000);
}
END_TEST

START_TEST(detect_marks_what_was_sent_before_and_waited)
{
	uint64_t next;
	bool again;

	sent(0, 1000, 100);
	sent(1000, 2000, 200);
	sent(2000, 3000, 300);
	sacked(2000, 3000, 400);
	ck_assert_uint_eq(scoreboard_detect(&b, 300, seq_make(3000), 250, 400, &next, &again), 1000);
	ck_assert_uint_eq(next, 50);
	ck_assert_uint_eq(scoreboard_first_lost(&b)->seq.v, 0);
	ck_assert_uint_eq(scoreboard_detect(&b, 300, seq_make(3000), 250, 450, &next, &again), 1000);
	ck_assert_uint_eq(b.lost, 2000);
	check(0, 3000);
}
END_TEST

START_TEST(resent_is_in_the_network_again)
{
	sent(0, 3000, 1);
	scoreboard_all_lost(&b);
	ck_assert_uint_eq(scoreboard_pipe(&b, 3000), 0);
	scoreboard_resent(&b, &mem, seq_make(0), 1000, 50);
	ck_assert_uint_eq(scoreboard_pipe(&b, 3000), 1000);
	ck_assert_uint_eq(scoreboard_first_lost(&b)->seq.v, 1000);
	check(0, 3000);
}
END_TEST

START_TEST(early_ack_of_a_retransmission_says_nothing_of_its_time)
{
	struct delivery d = {0};

	sent(0, 1000, 1);
	scoreboard_all_lost(&b);
	scoreboard_resent(&b, &mem, seq_make(0), 1000, 100);
	scoreboard_acked(&b, &mem, seq_make(1000), 110, 50, &d);
	ck_assert_uint_eq(d.bytes, 1000);
	ck_assert(!d.any);
}
END_TEST

START_TEST(reneging_forgets_sacks)
{
	sent(0, 3000, 1);
	sacked(0, 1000, 2);
	scoreboard_all_lost(&b);
	ck_assert_uint_eq(b.sacked, 0);
	ck_assert_uint_eq(b.lost, 3000);
	check(0, 3000);
}
END_TEST

START_TEST(timeout_takes_what_has_waited_and_the_first_segment)
{
	sent(0, 3000, 300);
	sent(3000, 5000, 100);
	sent(5000, 9000, 400);
	scoreboard_timed_out(&b, &mem, 1000, 200);
	ck_assert_uint_eq(b.lost, 1000 + 2000);
	ck_assert_uint_eq(scoreboard_first_lost(&b)->end.v, 1000);
	check(0, 9000);
}
END_TEST

START_TEST(row_T7_thousands_of_blocks_are_bounded)
{
	sent(0, 1000000, 1);
	for (uint32_t i = 0; i < 20000; i++)
		sacked(10 + i * 40, 20 + i * 40, 2);
	ck_assert_uint_le(b.count, SCOREBOARD_MAX);
	check(0, 1000000);
}
END_TEST

/* Ten thousand segments, each at its own time: SACK still finds a hole, and the times are right to a 400th. */
START_TEST(long_fat_path_leaves_room_for_sack)
{
	enum { SEGMENTS = 10000, MSS = 1448 };
	uint64_t next;
	bool again;

	for (uint32_t i = 0; i < SEGMENTS; i++)
		sent(i * MSS, (i + 1) * MSS, 1000 + i);
	ck_assert_uint_lt(b.count, SCOREBOARD_MAX - 100);
	for (uint32_t i = 1; i < SEGMENTS; i++)
		if (i % 100)
			ck_assert_uint_eq(sacked(i * MSS, (i + 1) * MSS, 20000 + i), MSS);
	ck_assert_uint_eq(scoreboard_detect(&b, 10999, seq_make(SEGMENTS * MSS), 100, 30000, &next, &again),
			  SEGMENTS / 100 * MSS);
	for (const struct sent *r = b.head; r; r = r->next)
		if (r->flags & SENT_LOST)
			ck_assert_uint_le(r->at - (1000 + r->seq.v / MSS), SEGMENTS / 400);
	check(0, SEGMENTS * MSS);
}
END_TEST

/* Against one byte of state for each sequence number. */
/* A record that takes in what goes out after a pause would say that the ACK of its first part came in no time. */
START_TEST(what_goes_out_after_a_pause_has_its_own_time)
{
	struct delivery d = {0};

	for (uint32_t i = 0; i < 1000; i++)
		sent(i * 1000, (i + 1) * 1000, 1000);
	sent(1000000, 1001000, 2000);
	sent(1001000, 1002000, 2000 + RTT * 9 / 10);
	scoreboard_acked(&b, &mem, seq_make(1001000), 2000 + RTT, 0, &d);
	ck_assert(d.any);
	ck_assert_uint_eq(d.at, 2000);
}
END_TEST

START_TEST(random_operations_agree_with_a_model)
{
	enum { N = 4000 };
	static uint8_t flags[N];
	uint64_t random = 77 + (uint64_t)_i;
	uint32_t una = 0, nxt = 0, base = 0xfffffc00u;

	memset(flags, 0, sizeof(flags));
	for (unsigned step = 0; step < 400; step++) {
		uint32_t a = una + (nxt > una ? test_below(&random, nxt - una) : 0), expect_sacked = 0, expect_lost = 0;
		struct delivery d = {0};

		switch (test_below(&random, 6)) {
		case 0:
		case 1:
			a = nxt + 1 + test_below(&random, 60);
			if (a >= N)
				break;
			sent(base + nxt, base + a, step);
			nxt = a;
			break;
		case 2:
			scoreboard_acked(&b, &mem, seq_make(base + a), step, 0, &d);
			una = a;
			break;
		case 3: {
			uint32_t right = a + 1 + test_below(&random, 100);

			right = right > nxt ? nxt : right;
			if (a >= right || b.count > SCOREBOARD_MAX - 4)
				break;
			sacked(base + a, base + right, step);
			for (uint32_t i = a; i < right; i++)
				flags[i] = SENT_SACKED;
			break;
		}
		case 4:
			if (b.head && !(b.head->flags & SENT_SACKED) && test_below(&random, 4) == 0) {
				scoreboard_all_lost(&b);
				for (uint32_t i = una; i < nxt; i++)
					flags[i] = flags[i] & SENT_SACKED ? SENT_SACKED : SENT_LOST;
			}
			break;
		case 5: {
			const struct sent *lost = scoreboard_first_lost(&b);
			uint32_t len = lost ? lost->end.v - lost->seq.v : 0, from = lost ? lost->seq.v - base : 0;

			if (!lost)
				break;
			len = 1 + test_below(&random, len);
			scoreboard_resent(&b, &mem, lost->seq, len, step);
			memset(flags + from, 0, len);
			break;
		}
		}
		for (uint32_t i = una; i < nxt; i++) {
			expect_sacked += flags[i] & SENT_SACKED ? 1 : 0;
			expect_lost += flags[i] & SENT_LOST ? 1 : 0;
		}
		ck_assert_uint_eq(b.sacked, expect_sacked);
		ck_assert_uint_eq(b.lost, expect_lost);
		check(base + una, base + nxt);
	}
}
END_TEST

#define ADD(test, runs) suite_add_fixture(s, #test, test, runs, setup, teardown)

int main(void)
{
	Suite *s = suite_create("scoreboard");

	ADD(sent_together_is_one_record, 1);
	ADD(acked_takes_from_the_front_and_may_cut, 1);
	ADD(sacked_splits_and_merges, 1);
	ADD(detect_marks_what_was_sent_before_and_waited, 1);
	ADD(resent_is_in_the_network_again, 1);
	ADD(early_ack_of_a_retransmission_says_nothing_of_its_time, 1);
	ADD(reneging_forgets_sacks, 1);
	ADD(timeout_takes_what_has_waited_and_the_first_segment, 1);
	ADD(row_T7_thousands_of_blocks_are_bounded, 1);
	ADD(long_fat_path_leaves_room_for_sack, 1);
	ADD(what_goes_out_after_a_pause_has_its_own_time, 1);
	ADD(random_operations_agree_with_a_model, 50);
	return suite_run(s);
}
