/* The rings that an owner shares with the daemon: their arithmetic, and that nobody sleeps over what has come. */
#include "suite.h"

#include "client/ring.h"

#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#define SIZE BYWAY_RING_LEAST

START_TEST(sizes_are_powers_of_two_within_bounds)
{
	ck_assert(byway_ring_size_ok(BYWAY_RING_LEAST));
	ck_assert(byway_ring_size_ok(BYWAY_RING_DEFAULT));
	ck_assert(byway_ring_size_ok(BYWAY_RING_MOST));
	ck_assert(!byway_ring_size_ok(0));
	ck_assert(!byway_ring_size_ok(BYWAY_RING_LEAST / 2));
	ck_assert(!byway_ring_size_ok(BYWAY_RING_LEAST + 1));
	ck_assert(!byway_ring_size_ok(3 * BYWAY_RING_LEAST));
	ck_assert(!byway_ring_size_ok((uint64_t)BYWAY_RING_MOST * 2));
	ck_assert(!byway_ring_size_ok((uint64_t)1 << 40));
	ck_assert_uint_eq(byway_ring_memory(SIZE), BYWAY_RING_PAGE + 2 * (size_t)SIZE);
}
END_TEST

START_TEST(positions_that_cannot_be_are_found_out)
{
	uint32_t filled;

	ck_assert(ring_filled(100, 100, SIZE, &filled) && filled == 0);
	ck_assert(ring_filled(100 + SIZE, 100, SIZE, &filled) && filled == SIZE);
	ck_assert(!ring_filled(101 + SIZE, 100, SIZE, &filled)); /* more than there is room for */
	ck_assert(!ring_filled(100, 101, SIZE, &filled));        /* read what was not written */
	ck_assert(!ring_filled(100 + ((uint64_t)1 << 32), 100, SIZE, &filled));
	ck_assert(!ring_filled(UINT64_MAX, 0, SIZE, &filled));
}
END_TEST

START_TEST(room_is_a_quarter)
{
	ck_assert(ring_roomy(0, SIZE));
	ck_assert(ring_roomy(SIZE - SIZE / 4, SIZE));
	ck_assert(!ring_roomy(SIZE - SIZE / 4 + 1, SIZE));
	ck_assert(!ring_roomy(SIZE, SIZE));
}
END_TEST

START_TEST(pieces_meet_at_the_end_of_the_ring)
{
	static uint8_t ring[SIZE];
	struct iovec iov[2];

	ck_assert_uint_eq(ring_pieces(ring, SIZE, 5, 0, iov), 0);
	ck_assert_uint_eq(iov[0].iov_len + iov[1].iov_len, 0);
	ck_assert_uint_eq(ring_pieces(ring, SIZE, 5, 10, iov), 1);
	ck_assert_ptr_eq(iov[0].iov_base, ring + 5);
	ck_assert_uint_eq(iov[0].iov_len, 10);
	ck_assert_uint_eq(iov[1].iov_len, 0);
	ck_assert_uint_eq(ring_pieces(ring, SIZE, SIZE - 10, 10, iov), 1);
	ck_assert_uint_eq(ring_pieces(ring, SIZE, (uint64_t)7 * SIZE - 10, 30, iov), 2);
	ck_assert_ptr_eq(iov[0].iov_base, ring + SIZE - 10);
	ck_assert_uint_eq(iov[0].iov_len, 10);
	ck_assert_ptr_eq(iov[1].iov_base, ring);
	ck_assert_uint_eq(iov[1].iov_len, 20);
	ck_assert_uint_eq(ring_pieces(ring, SIZE, 3, SIZE, iov), 2);
	ck_assert_uint_eq(iov[0].iov_len + iov[1].iov_len, SIZE);
}
END_TEST

START_TEST(only_who_waits_for_it_is_woken_and_once)
{
	_Atomic uint32_t waits = 0;

	ck_assert(!ring_wake(&waits, BYWAY_RING_DATA | BYWAY_RING_ROOM));
	ring_wait(&waits, BYWAY_RING_ROOM);
	ck_assert(!ring_wake(&waits, BYWAY_RING_DATA));
	ck_assert(ring_wake(&waits, BYWAY_RING_ROOM));
	ck_assert(!ring_wake(&waits, BYWAY_RING_ROOM));
	ring_wait(&waits, BYWAY_RING_DATA | BYWAY_RING_ROOM);
	ck_assert(ring_wake(&waits, BYWAY_RING_DATA));
	ck_assert(!ring_wake(&waits, BYWAY_RING_ROOM)); /* it looks at everything when it wakes */
	ring_wait(&waits, BYWAY_RING_DATA);
	ring_wait_over(&waits);
	ck_assert(!ring_wake(&waits, BYWAY_RING_DATA));
}
END_TEST

/* ---- two threads, of which each sleeps whenever it can ---- */

#define BYTES 3000000u

struct both {
	struct byway_ring_way way;
	_Atomic uint32_t reader_waits, writer_waits;
	sem_t reader, writer;
	uint8_t ring[SIZE];
};

static uint32_t filled_now(struct both *b)
{
	uint32_t filled;

	ck_assert(ring_filled(atomic_load(&b->way.head), atomic_load(&b->way.tail), SIZE, &filled));
	return filled;
}

static void *write_all(void *arg)
{
	struct both *b = arg;

	for (uint64_t at = 0; at < BYTES;) {
		uint32_t room = SIZE - filled_now(b), len = 1 + (uint32_t)(at * 7919 % 3000);
		struct iovec iov[2];
		if (room == 0) {
			ring_wait(&b->writer_waits, BYWAY_RING_ROOM);
			if (!ring_roomy(filled_now(b), SIZE))
				sem_wait(&b->writer);
			ring_wait_over(&b->writer_waits);
			continue;
		}
		len = len < room ? len : room;
		ring_pieces(b->ring, SIZE, at, len, iov);
		for (unsigned p = 0, n = 0; p < 2; p++)
			for (size_t i = 0; i < iov[p].iov_len; i++, n++)
				((uint8_t *)iov[p].iov_base)[i] = (uint8_t)((at + n) * 31 >> 3);
		at += len;
		ring_publish(&b->way.head, at);
		if (ring_wake(&b->reader_waits, BYWAY_RING_DATA))
			sem_post(&b->reader);
	}
	return NULL;
}

static void read_all(struct both *b)
{
	for (uint64_t at = 0; at < BYTES;) {
		uint32_t n = filled_now(b);
		struct iovec iov[2];
		if (n == 0) {
			ring_wait(&b->reader_waits, BYWAY_RING_DATA);
			if (filled_now(b) == 0)
				sem_wait(&b->reader);
			ring_wait_over(&b->reader_waits);
			continue;
		}
		ring_pieces(b->ring, SIZE, at, n, iov);
		for (unsigned p = 0, k = 0; p < 2; p++)
			for (size_t i = 0; i < iov[p].iov_len; i++, k++)
				ck_assert_uint_eq(((uint8_t *)iov[p].iov_base)[i], (uint8_t)((at + k) * 31 >> 3));
		at += n;
		ring_publish(&b->way.tail, at);
		if (ring_roomy(filled_now(b), SIZE) && ring_wake(&b->writer_waits, BYWAY_RING_ROOM))
			sem_post(&b->writer);
	}
}

START_TEST(nobody_sleeps_over_what_has_come)
{
	static struct both b;
	pthread_t writer;

	for (unsigned i = 0; i < 5; i++) {
		memset(&b, 0, sizeof(b));
		sem_init(&b.reader, 0, 0);
		sem_init(&b.writer, 0, 0);
		ck_assert_int_eq(pthread_create(&writer, NULL, write_all, &b), 0);
		read_all(&b);
		ck_assert_int_eq(pthread_join(writer, NULL), 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring");

	suite_add(s, "sizes_are_powers_of_two_within_bounds", sizes_are_powers_of_two_within_bounds);
	suite_add(s, "positions_that_cannot_be_are_found_out", positions_that_cannot_be_are_found_out);
	suite_add(s, "room_is_a_quarter", room_is_a_quarter);
	suite_add(s, "pieces_meet_at_the_end_of_the_ring", pieces_meet_at_the_end_of_the_ring);
	suite_add(s, "only_who_waits_for_it_is_woken_and_once", only_who_waits_for_it_is_woken_and_once);
	suite_add(s, "nobody_sleeps_over_what_has_come", nobody_sleeps_over_what_has_come);
	return suite_run(s);
}
