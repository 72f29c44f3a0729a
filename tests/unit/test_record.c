/* Ends of records in the send queue (MSG_EOR): no segment crosses one, first sent or sent again. */
#include "tcp_fixture.h"

#include <linux/tcp.h>
#include <netinet/in.h>

static struct fixture f;
static const uint8_t data[20000];

static void setup(void)
{
	fixture_start(&f, NULL);
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void teardown(void) { fixture_end(&f); }

static void record(size_t len)
{
	ck_assert_int_eq(stack_send(f.sock, f.now, data, len), (ptrdiff_t)len);
	stack_send_record_end(f.sock);
}

START_TEST(each_record_begins_a_segment)
{
	record(2000);
	record(300);
	stack_send(f.sock, f.now, data, 400);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 2000);
	expect(&f, TCP_ACK, 2001, 1, 300);
	expect(&f, TCP_ACK, 2301, 1, 400);
	feed(&f, TCP_ACK, 1, 2701, 0);
	ck_assert_ptr_null(tcb_now(&f)->records);
}
END_TEST

START_TEST(records_sent_again_stay_apart)
{
	record(300);
	stack_send(f.sock, f.now, data, 400);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 300);
	expect(&f, TCP_ACK, 301, 1, 400);
	pass(&f, SECONDS(2));
	expect(&f, TCP_ACK, 1, 1, 300);
	feed(&f, TCP_ACK, 1, 301, 0);
	expect(&f, TCP_ACK, 301, 1, 400);
}
END_TEST

START_TEST(the_fin_waits_for_the_last_record)
{
	record(300);
	record(400);
	stack_shutdown(f.sock, f.now);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 300);
	expect(&f, TCP_ACK | TCP_FIN, 301, 1, 400);
}
END_TEST

START_TEST(marks_are_bounded)
{
	for (unsigned i = 0; i < 100; i++)
		record(10);
	run(&f);
	for (unsigned i = 0; i < 32; i++)
		expect(&f, TCP_ACK, 1 + 10 * i, 1, 10);
	expect(&f, TCP_ACK, 321, 1, 680);
}
END_TEST

START_TEST(nagle_does_not_hold_a_record_that_others_follow)
{
	set_int(&f, f.sock, IPPROTO_TCP, TCP_NODELAY, 0);
	record(300);
	record(400);
	stack_send(f.sock, f.now, data, 500);
	run(&f);
	ck_assert(expect(&f, TCP_ACK, 1, 1, 300)->seg.flags & TCP_PSH);
	ck_assert(expect(&f, TCP_ACK, 301, 1, 400)->seg.flags & TCP_PSH);
	expect_nothing(&f);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("record");

	ADD(each_record_begins_a_segment);
	ADD(records_sent_again_stay_apart);
	ADD(the_fin_waits_for_the_last_record);
	ADD(marks_are_bounded);
	ADD(nagle_does_not_hold_a_record_that_others_follow);
	return suite_run(s);
}
