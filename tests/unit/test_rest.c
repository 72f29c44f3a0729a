/* Connections at rest: what they cost, and that nothing shows of it to the peer, the holder or who looks in. */
#include "tcp_fixture.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

static struct fixture f;

static void want_timestamps(struct stack_config *c) { c->timestamps = true; }

static void setup(void)
{
	int error;

	fixture_start(&f, want_timestamps);
	f.timestamps = true;
	f.ts = 1000;
	f.reader_takes = true;
	bring_to(&f, TCP_ESTABLISHED);
	stack_set_user(f.sock, &f);
	feed(&f, TCP_ACK, 1, 1, 1000);
	stack_send(f.sock, f.now, "0123456789", 10);
	run(&f);
	pass(&f, MILLISECONDS(10));
	feed(&f, TCP_ACK, 1001, 11, 0);
	events_now(&f, &error);
	f.sent_read = f.sent_count = 0;
}

static void teardown(void) { fixture_end(&f); }
static bool at_rest(void) { return conn_of(f.sock)->at_rest; }

static void drain_sent(void) { f.sent_read = f.sent_count = 0; }

static void let_rest(void)
{
	pass(&f, SECONDS(3));
	expect_nothing(&f);
	ck_assert(at_rest());
}

START_TEST(sizes)
{
	/* These are promises: the memory of a million connections, of a flood's answer, of servers that close first. */
	ck_assert_uint_le(sizeof(struct conn), 224);
	ck_assert_uint_le(sizeof(struct conn) + sizeof(struct tcb), 800);
	ck_assert_uint_eq(sizeof(struct tcb) % POOL_LINE, 0);
	ck_assert(POOL_PLAIN || (uintptr_t)tcb_now(&f) % POOL_LINE == 0);
	ck_assert_uint_le(sizeof(struct half_open), 80);
	ck_assert_uint_le(sizeof(struct time_wait), 64);
	ck_assert_uint_le(sizeof(struct listener), 144);
}
END_TEST

START_TEST(silence_gives_memory_back)
{
	size_t before = f.s->mem.used[MEM_SOCKET];

	ck_assert(!at_rest());
	let_rest();
	ck_assert_uint_eq(before - f.s->mem.used[MEM_SOCKET], sizeof(struct tcb));
	ck_assert_uint_eq(stack_deadline(f.s), STACK_NEVER);
}
END_TEST

/* All that stack_tcb tells but the times that pass, and what only says how it was in the end of a round trip. */
START_TEST(it_looks_the_same)
{
	struct stack_tcb_info before, after;

	stack_tcb_held(f.sock, f.now, &before);
	let_rest();
	stack_tcb_held(f.sock, f.now, &after);
	ck_assert(at_rest());
	ck_assert_uint_eq(before.memory - after.memory, sizeof(struct tcb));
	after.memory = before.memory;
	after.snd_wl1 = before.snd_wl1;
	after.rcv_up = before.rcv_up;
	after.recover = before.recover;
	before.pacing_rate = after.pacing_rate;
	ck_assert_mem_eq(&before, &after, sizeof(after));
}
END_TEST

START_TEST(a_segment_wakes)
{
	let_rest();
	feed(&f, TCP_ACK, 1001, 11, 500);
	ck_assert(!at_rest());
	ck_assert_uint_eq(f.reader_took, 1500);
	pass(&f, MILLISECONDS(300));
	expect(&f, TCP_ACK, 11, 1501, 0);
	let_rest();
}
END_TEST

START_TEST(a_call_wakes)
{
	let_rest();
	ck_assert_int_eq(stack_send(f.sock, f.now, "abc", 3), 3);
	run(&f);
	expect(&f, TCP_ACK, 11, 1001, 3);
	feed(&f, TCP_ACK, 1001, 14, 0);
	let_rest();
	stack_shutdown(f.sock, f.now);
	run(&f);
	expect(&f, TCP_ACK | TCP_FIN, 14, 1001, 0);
}
END_TEST

START_TEST(looking_does_not_wake)
{
	struct tcp_info info;
	size_t len = sizeof(info);
	uint8_t byte;
	int n;

	let_rest();
	ck_assert_int_eq(stack_getsockopt(f.sock, f.now, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	ck_assert_uint_eq(info.tcpi_bytes_received, 1000);
	ck_assert_int_eq(stack_recv(f.sock, f.now, &byte, 1), -EAGAIN);
	ck_assert_int_eq(stack_ioctl(f.sock, SIOCOUTQ, &n), 0);
	ck_assert_int_eq(n, 0);
	ck_assert(at_rest());
}
END_TEST

START_TEST(a_keepalive_comes_all_the_same)
{
	set_int(&f, f.sock, IPPROTO_TCP, TCP_KEEPIDLE, 20);
	set_int(&f, f.sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	let_rest();
	pass(&f, SECONDS(16));
	expect_nothing(&f);
	pass(&f, SECONDS(2));
	expect(&f, TCP_ACK, 10, 1001, 0);
	feed(&f, TCP_ACK, 1001, 11, 0);
	let_rest();
}
END_TEST

START_TEST(what_waits_does_not_rest)
{
	stack_send(f.sock, f.now, "abc", 3);
	pass(&f, SECONDS(3));
	ck_assert(!at_rest());
	feed(&f, TCP_ACK, 1001, 14, 0);
	f.sent_read = f.sent_count = 0;
	let_rest();
	f.reader_takes = false;
	feed(&f, TCP_ACK, 1001, 14, 10); /* nobody reads it */
	pass(&f, SECONDS(3));
	ck_assert(!at_rest());
}
END_TEST

START_TEST(timestamps_go_on)
{
	let_rest();
	f.ts--;
	feed(&f, TCP_ACK, 1001, 11, 500); /* PAWS: older than the last */
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_in_paws], 1);
	ck_assert_uint_eq(f.reader_took, 1000);
}
END_TEST

/* A segment needs room to wake it; without, it is dropped and comes again. */
START_TEST(no_memory_to_wake)
{
	size_t limit = f.s->mem.total_limit;

	let_rest();
	f.s->mem.total_limit = f.s->mem.total;
	feed(&f, TCP_ACK, 1001, 11, 500);
	ck_assert(at_rest());
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_in_no_memory], 1);
	f.s->mem.total_limit = limit;
	feed(&f, TCP_ACK, 1001, 11, 500);
	ck_assert_uint_eq(f.reader_took, 1500);
}
END_TEST

/* Who holds it can always end it. */
START_TEST(no_memory_to_close)
{
	let_rest();
	f.s->mem.total_limit = f.s->mem.total;
	stack_close(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	expect(&f, TCP_ACK | TCP_FIN, 11, 1001, 0);
}
END_TEST

START_TEST(it_can_be_destroyed)
{
	int error;

	let_rest();
	ck_assert_int_eq(stack_destroy(f.s, f.now, stack_id(f.sock)), 0);
	expect(&f, TCP_ACK | TCP_RST, 11, 1001, 0);
	ck_assert_uint_eq(events_now(&f, &error), STACK_EVENT_ERROR);
	ck_assert_int_eq(error, ECONNABORTED);
}
END_TEST

/* With its addresses said beside its id, a socket is found without looking through all; with wrong ones too, but slowly. */
START_TEST(a_name_leads_to_it_and_ends_with_it)
{
	struct stack_endpoint local = pcb_local(&f.sock->pcb), remote = pcb_remote(&f.sock->pcb), other = remote;
	uint64_t id = stack_id(f.sock);
	struct stack_sock_info info;

	other.port++;
	stack_name(f.s, STACK_TCP, &local, &other, id);
	ck_assert_ptr_null(f.s->table.named);
	stack_name(f.s, STACK_TCP, &local, &remote, id + 1);
	ck_assert_ptr_null(f.s->table.named);
	stack_name(f.s, STACK_TCP, &local, &remote, id);
	ck_assert_ptr_eq(f.s->table.named, &f.sock->pcb);
	ck_assert(stack_find(f.s, id, &info));
	ck_assert_uint_eq(info.id, id);
	ck_assert(stack_find(f.s, stack_id(f.listener), &info));
	ck_assert_uint_eq(info.state, TCP_LISTEN);
	let_rest();
	ck_assert_ptr_eq(f.s->table.named, &f.sock->pcb);
	stack_abort(f.sock, f.now);
	f.sock = NULL;
	run(&f);
	drain_sent();
	ck_assert_ptr_null(f.s->table.named);
	ck_assert(!stack_find(f.s, id, &info));
}
END_TEST

START_TEST(all_of_one_holder_are_closed)
{
	struct stack_sock_info info;
	uint64_t id = stack_id(f.sock);
	int other;

	let_rest();
	ck_assert_ptr_eq(stack_sock(f.s, id), f.sock);
	ck_assert_ptr_null(stack_sock(f.s, id + 1000));
	ck_assert_uint_eq(stack_close_all(f.s, f.now, &other), 0);
	ck_assert_uint_eq(stack_close_all(f.s, f.now, &f), 1); /* the listener's is the same, and it stays */
	f.sock = NULL;
	run(&f);
	expect(&f, TCP_ACK | TCP_FIN, 11, 1001, 0);
	ck_assert_ptr_null(stack_sock(f.s, id));
	ck_assert(stack_find(f.s, id, &info));
	ck_assert_uint_eq(info.state, TCP_FIN_WAIT_1);
	ck_assert_ptr_nonnull(stack_sock(f.s, stack_id(f.listener)));
	ck_assert_uint_eq(stack_close_all(f.s, f.now, &f), 0);
}
END_TEST

static uint8_t seed;
static void want_seed(struct stack_config *c) { c->seed[0] = seed; }

/* What is in TIME-WAIT for a holder has the same number; wherever the table has the two, the holder's is found. */
START_TEST(held_in_time_wait_is_found_by_id)
{
	for (seed = 1; seed < 40; seed++) {
		fixture_end(&f);
		fixture_start(&f, want_seed);
		bring_to(&f, TCP_ESTABLISHED);
		stack_set_user(f.sock, &f);
		uint64_t id = stack_id(f.sock);
		stack_shutdown(f.sock, f.now);
		run(&f);
		expect(&f, TCP_ACK | TCP_FIN, 1, 1, 0);
		feed(&f, TCP_ACK, 1, 2, 0);
		feed(&f, TCP_ACK | TCP_FIN, 1, 2, 0);
		expect(&f, TCP_ACK, 2, 2, 0);
		ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
		ck_assert_ptr_eq(stack_sock(f.s, id), f.sock);
		ck_assert_ptr_eq(stack_sock(f.s, id), f.sock);
	}
}
END_TEST

#define CROWD 150u /* more than are closed at a time */

START_TEST(a_crowd_of_one_holder_is_closed)
{
	struct stack_addr peer = f.peer;
	struct sock *established = f.sock;
	int holder;

	f.sock = NULL;
	for (uint32_t i = 0; i < CROWD; i++) {
		f.peer.byte[15] = (uint8_t)(100 + i);
		feed(&f, TCP_SYN, 0, 0, 0);
		feed(&f, TCP_ACK, 1, 1, 0);
		struct sock *sock = stack_accept(f.listener);
		ck_assert_ptr_nonnull(sock);
		stack_set_user(sock, &holder);
		pass(&f, i == CROWD / 2 ? SECONDS(3) : 0); /* half of them rest */
		drain_sent();
	}
	ck_assert_uint_eq(stack_close_all(f.s, f.now, &holder), CROWD);
	ck_assert_uint_eq(stack_close_all(f.s, f.now, &holder), 0);
	run(&f);
	drain_sent();
	f.sock = established;
	f.peer = peer;
}
END_TEST

#define QUEUED 6u

static void reset_queued(uint32_t i)
{
	f.peer.byte[15] = (uint8_t)(100 + i);
	feed(&f, TCP_RST, 1, 0, 0);
}

/* Connections that die in the accept queue, in its middle and at its ends; stack_check counts what is left. */
START_TEST(the_accept_queue_loses_any)
{
	struct listener *l = CONTAINER_OF(f.listener, struct listener, sock);
	struct stack_addr peer = f.peer;
	struct sock *established = f.sock;

	f.sock = NULL;
	for (uint32_t i = 0; i < QUEUED; i++) {
		f.peer.byte[15] = (uint8_t)(100 + i);
		feed(&f, TCP_SYN, 0, 0, 0);
		feed(&f, TCP_ACK, 1, 1, 0);
	}
	ck_assert_uint_eq(l->accept_length, QUEUED);
	reset_queued(2);
	reset_queued(0);
	reset_queued(5);
	ck_assert_uint_eq(l->accept_length, QUEUED - 3);
	for (uint32_t i = 1; i < 5; i += i == 1 ? 2 : 1) { /* 1, 3, 4 */
		struct sock *sock = stack_accept(f.listener);

		ck_assert_ptr_nonnull(sock);
		ck_assert_uint_eq(pcb_remote_addr(&sock->pcb).byte[15], 100 + i);
		stack_abort(sock, f.now);
	}
	ck_assert_ptr_null(stack_accept(f.listener));
	ck_assert_ptr_eq(l->accept_tail, &l->accept_head);
	run(&f);
	drain_sent();
	f.sock = established;
	f.peer = peer;
}
END_TEST

/* RFC 7323 5.5: TS.Recent is void after 24 days. Probes that wake the connection are no news of it. */
START_TEST(timestamps_end_after_24_days_of_probes)
{
	const stack_time day = SECONDS(24 * 3600);
	const uint32_t day_ms = 24 * 3600 * 1000;

	let_rest();
	for (uint32_t days = 1; days <= 25; days++) {
		f.now += day;
		run(&f);
		f.ts = 1000 + days * day_ms;
		if (days < 25)
			feed(&f, TCP_ACK, 1000, 11, 0); /* RCV.NXT - 1: the peer's keepalive */
		pass(&f, SECONDS(5));
	}
	f.reader_took = 0;
	feed(&f, TCP_ACK, 1001, 11, 10);
	ck_assert_uint_eq(f.reader_took, 10);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("rest");

	ADD(sizes);
	ADD(silence_gives_memory_back);
	ADD(it_looks_the_same);
	ADD(a_segment_wakes);
	ADD(a_call_wakes);
	ADD(looking_does_not_wake);
	ADD(a_keepalive_comes_all_the_same);
	ADD(what_waits_does_not_rest);
	ADD(timestamps_go_on);
	ADD(timestamps_end_after_24_days_of_probes);
	ADD(no_memory_to_wake);
	ADD(no_memory_to_close);
	ADD(it_can_be_destroyed);
	ADD(a_name_leads_to_it_and_ends_with_it);
	ADD(the_accept_queue_loses_any);
	ADD(all_of_one_holder_are_closed);
	ADD(held_in_time_wait_is_found_by_id);
	ADD(a_crowd_of_one_holder_is_closed);
	return suite_run(s);
}
