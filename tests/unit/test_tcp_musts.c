/*
 * Requirements of TCP's RFCs that no scenario shows by the way: each test is a row or two of
 * docs/rfc.md.
 */
#include "tcp_fixture.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define HOURS(n) (SECONDS(3600) * (n))

static struct fixture f;

static void setup(void) { fixture_start(&f, NULL); }
static void teardown(void) { fixture_end(&f); }

static void restart(void (*change)(struct stack_config *c))
{
	fixture_end(&f);
	fixture_start(&f, change);
}

static void want_timestamps(struct stack_config *c) { c->timestamps = true; }
static void want_ecn(struct stack_config *c) { c->ecn = STACK_ECN_ASK; }
static void want_ttl(struct stack_config *c) { c->ttl = 7; }
static void want_another_seed(struct stack_config *c) { c->seed[31] = 1; }
static void want_two_ports(struct stack_config *c) { c->port_first = 2000, c->port_last = 2001; }

static void want_scaling(struct stack_config *c)
{
	c->window_scaling = true;
	c->recv_buffer = 1 << 20;
}

static struct stack_endpoint peer_at(uint16_t port) { return (struct stack_endpoint){.addr = f.peer, .port = port}; }

static void send_bytes(uint32_t bytes)
{
	static uint8_t data[100000];

	ck_assert_int_eq(stack_send(f.sock, f.now, data, bytes), (ptrdiff_t)bytes);
	run(&f);
}

static void forget_sent(void) { f.sent_read = f.sent_count = 0; }

/* An ACK with a window of the test's choice. */
static void feed_window(uint32_t ack, uint16_t window)
{
	struct tcp_segment seg = {.seq = tcb_now(&f)->rcv_nxt, .flags = TCP_ACK, .window = window};

	seg.ack = seq_add(tcb_now(&f)->iss, ack);
	feed_segment(&f, &seg, 0);
}

/* Time until the stack sends something. */
static stack_time until_sent(void)
{
	stack_time start = f.now;

	forget_sent();
	while (f.sent_count == 0) {
		ck_assert_uint_ne(stack_deadline(f.s), STACK_NEVER);
		f.now = max_u64(stack_deadline(f.s), f.now);
		run(&f);
	}
	return f.now - start;
}

/* A socket that has just sent its SYN to the peer. */
static struct sock *open_to(const struct stack_endpoint *remote, int *error)
{
	struct sock *sock = stack_socket(f.s, STACK_TCP, 0, &f);

	ck_assert_ptr_nonnull(sock);
	*error = stack_connect(&sock, f.now, remote);
	run(&f);
	return sock;
}

/* ---- opening (RFC 9293, 6528, 6056) ---- */

/* The first sequence number of a connect to the peer, by a stack of its own. */
static uint32_t first_number(void (*change)(struct stack_config *c), uint16_t port)
{
	struct stack_endpoint local = {.addr = f.us, .port = 3000}, remote = peer_at(port);
	uint32_t iss;

	restart(change);
	local.addr = f.us;
	f.sock = stack_socket(f.s, STACK_TCP, 0, &f);
	ck_assert_int_eq(stack_bind(f.sock, &local), 0);
	ck_assert_int_eq(stack_connect(&f.sock, f.now, &remote), 0);
	run(&f);
	iss = take(&f)->seg.seq.v;
	stack_abort(f.sock, f.now);
	f.sock = NULL;
	forget_sent();
	return iss;
}

START_TEST(initial_sequence_numbers_depend_on_the_secret)
{
	uint32_t once = first_number(NULL, 4000), other_port = first_number(NULL, 4001);
	uint32_t other_secret = first_number(want_another_seed, 4000), other_both = first_number(want_another_seed, 4001);

	ck_assert_uint_eq(once, first_number(NULL, 4000)); /* the same clock, the same secret */
	ck_assert_uint_ne(once, other_secret);
	/* what one connection tells of another is not the same under another secret */
	ck_assert_uint_ne(other_port - once, other_both - other_secret);
}
END_TEST

START_TEST(connect_of_what_is_open_fails)
{
	const struct stack_endpoint remote = peer_at(4001);

	bring_to(&f, TCP_ESTABLISHED);
	ck_assert_int_eq(stack_connect(&f.sock, f.now, &remote), -EISCONN);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	expect_nothing(&f);
}
END_TEST

START_TEST(listening_leaves_a_connection_on_the_port_alone)
{
	struct stack_endpoint local = {.addr = f.us, .port = OUR_PORT};
	struct sock *second;

	bring_to(&f, TCP_ESTABLISHED);
	stack_close(f.listener, f.now);
	f.listener = NULL;
	second = stack_socket(f.s, STACK_TCP, 0, &f);
	set_int(&f, second, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(&f, f.sock, SOL_SOCKET, SO_REUSEADDR, 1);
	ck_assert_int_eq(stack_bind(second, &local), 0);
	ck_assert_int_eq(stack_listen(&second, 8), 0);
	f.listener = second;
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	feed(&f, TCP_ACK, 1, 1, 5);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 5);
	ck_assert_ptr_null(stack_accept(second));
}
END_TEST

START_TEST(a_connection_keeps_the_address_that_it_began_with)
{
	static const uint8_t second[4] = {192, 0, 2, 9};
	const struct stack_addr addr = stack_addr_v4(second), first = f.us;

	ck_assert_int_eq(stack_address_add(f.s, f.now, &addr, 24), 0);
	f.us = addr; /* the fixture's peer talks to this one */
	bring_to(&f, TCP_ESTABLISHED);
	send_bytes(5);
	ck_assert_mem_eq(&take(&f)->ip.src, &addr, sizeof(addr));
	feed(&f, TCP_ACK | TCP_FIN, 1, 6, 0);
	ck_assert_mem_eq(&take(&f)->ip.src, &addr, sizeof(addr));
	ck_assert_mem_ne(&first, &addr, sizeof(addr));
}
END_TEST

START_TEST(connect_to_many_at_once_fails)
{
	static const uint8_t to[][4] = {{255, 255, 255, 255}, {192, 0, 2, 255}, {224, 0, 0, 1}, {239, 255, 255, 255}};
	const struct stack_endpoint remote = {.addr = stack_addr_v4(to[_i]), .port = 80};
	int error;
	struct sock *sock = open_to(&remote, &error);

	ck_assert_int_eq(error, -ENETUNREACH);
	expect_nothing(&f);
	stack_close(sock, f.now);
}
END_TEST

START_TEST(a_syn_to_many_at_once_is_ignored)
{
	static const uint8_t to[][4] = {{255, 255, 255, 255}, {192, 0, 2, 255}, {224, 0, 0, 1}};
	const struct stack_addr us = f.us;
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = PEER_WINDOW};

	bring_to(&f, TCP_LISTEN);
	f.us = stack_addr_v4(to[_i]);
	feed_segment(&f, &syn, 0);
	f.us = us;
	expect_nothing(&f);
	ck_assert_uint_eq(f.s->half_open_count, 0);
	feed_segment(&f, &syn, 0); /* and this one is not */
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
}
END_TEST

START_TEST(a_reset_in_syn_received_leaves_the_listener)
{
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN, 0, 0, 0);
	take(&f);
	ck_assert_uint_eq(f.s->half_open_count, 1);
	feed(&f, TCP_RST, 1, 0, 0);
	ck_assert_uint_eq(f.s->half_open_count, 0);
	expect_nothing(&f);
	feed(&f, TCP_SYN, 7, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 8, 0);
}
END_TEST

/* As often as a listener may ask for: the pauses grow to their maximum and stay there. */
START_TEST(a_syn_ack_sent_again_very_often_keeps_its_pauses)
{
	stack_time last = 0;

	bring_to(&f, TCP_LISTEN);
	set_int(&f, f.listener, IPPROTO_TCP, TCP_SYNCNT, 127);
	feed(&f, TCP_SYN, 0, 0, 0);
	for (int i = 0; i < 127; i++) {
		stack_time pause = until_sent();

		ck_assert_uint_ge(pause + MILLISECONDS(10), last);
		last = pause;
	}
	ck_assert_uint_ge(last, SECONDS(100));
}
END_TEST

START_TEST(ports_to_one_server_follow_each_other)
{
	const struct stack_endpoint remote = peer_at(4000), other = peer_at(4001);
	struct sock *sock[3];
	uint16_t port[3];
	int error;

	for (int i = 0; i < 3; i++) {
		sock[i] = open_to(i < 2 ? &remote : &other, &error);
		ck_assert_int_eq(error, 0);
		port[i] = take(&f)->seg.sport;
	}
	ck_assert_uint_eq(port[1], port[0] + 1);
	ck_assert_uint_ne(port[2], port[1] + 1); /* another start for another destination */
	for (int i = 0; i < 3; i++)
		stack_abort(sock[i], f.now);
}
END_TEST

START_TEST(a_port_whose_connection_waits_in_time_wait_is_not_chosen)
{
	const struct stack_endpoint remote = peer_at(PEER_PORT);
	struct sock *sock[2];
	uint16_t taken;
	int error;

	restart(want_two_ports);
	f.sock = open_to(&remote, &error);
	taken = f.sock->pcb.lport;
	feed(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	stack_shutdown(f.sock, f.now);
	run(&f);
	feed(&f, TCP_FIN | TCP_ACK, 1, 2, 0);
	ck_assert_uint_eq(f.s->time_wait_count, 1);
	forget_sent();
	for (int i = 0; i < 2; i++) {
		sock[i] = open_to(&remote, &error);
		ck_assert_int_eq(error, i == 0 ? 0 : -EADDRNOTAVAIL);
	}
	ck_assert_uint_ne(take(&f)->seg.sport, taken);
	stack_abort(sock[0], f.now);
	stack_close(sock[1], f.now);
}
END_TEST

/* ---- keepalive ---- */

START_TEST(without_being_asked_there_is_no_keepalive)
{
	bring_to(&f, TCP_ESTABLISHED);
	pass(&f, HOURS(24));
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

START_TEST(keepalive_begins_after_two_hours)
{
	bring_to(&f, TCP_ESTABLISHED);
	set_int(&f, f.sock, SOL_SOCKET, SO_KEEPALIVE, 1);
	ck_assert_uint_ge(until_sent(), HOURS(2));
	expect(&f, TCP_ACK, 0, 1, 0);
}
END_TEST

/* ---- windows ---- */

START_TEST(a_window_taken_back_from_data_in_flight_is_probed_without_end)
{
	int error = 0;

	bring_to(&f, TCP_ESTABLISHED);
	send_bytes(4380);
	feed_window(1, 0);
	for (int i = 0; i < 100; i++) { /* for hours */
		ck_assert_uint_le(until_sent(), SECONDS(120) + 1000);
		feed_window(1, 0);
	}
	ck_assert_uint_eq(events_now(&f, &error) & STACK_EVENT_ERROR, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	feed_window(1, 8760);
	feed_window(4381, 8760);
	ck_assert_uint_eq(tcb_now(&f)->sndq.len, 0);
}
END_TEST

START_TEST(the_window_of_a_syn_is_not_scaled)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = PEER_WINDOW};
	const struct stack_endpoint remote = peer_at(5000);
	struct captured *c;
	int error;

	restart(want_scaling);
	bring_to(&f, TCP_LISTEN);
	syn.opt.has_window_scale = true;
	syn.opt.window_scale = 3;
	feed_segment(&f, &syn, 0);
	c = take(&f);
	ck_assert(c->seg.opt.has_window_scale);
	ck_assert_uint_ge(c->seg.opt.window_scale, 1);
	ck_assert_uint_ge(c->seg.window, 60000);
	f.sock = open_to(&remote, &error);
	c = take(&f);
	ck_assert_uint_ge(c->seg.opt.window_scale, 1);
	ck_assert_uint_ge(c->seg.window, 60000);
}
END_TEST

/* Single bytes, which no scaled window can follow: the edge stands still rather than move left. */
START_TEST(scaling_does_not_move_the_windows_edge_left)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = PEER_WINDOW};
	uint32_t edge = 0;

	restart(want_scaling);
	bring_to(&f, TCP_LISTEN);
	syn.opt.has_window_scale = true;
	feed_segment(&f, &syn, 0);
	forget_sent();
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	for (uint32_t i = 0; i < 200; i++) {
		feed(&f, TCP_ACK, 1 + 3 * i, 1, 3);
		pass(&f, MILLISECONDS(250));
		while (f.sent_read < f.sent_count) {
			const struct tcp_segment *seg = &take(&f)->seg;
			uint32_t now = seg->ack.v - PEER_ISS + ((uint32_t)seg->window << tcb_now(&f)->rcv_scale);

			ck_assert_uint_ge(now, edge);
			edge = now;
		}
	}
	ck_assert_uint_gt(edge, 600);
}
END_TEST

/* ---- acknowledging ---- */

START_TEST(a_batch_is_answered_by_one_ack_after_all_of_it)
{
	bring_to(&f, TCP_ESTABLISHED);
	f.batch = true;
	for (uint32_t i = 0; i < 8; i++)
		feed(&f, TCP_ACK, 1 + i * 1460, 1, 1460);
	expect_nothing(&f);
	run(&f);
	expect(&f, TCP_ACK, 1, 1 + 8 * 1460, 0);
	expect_nothing(&f);
}
END_TEST

/* ---- below TCP ---- */

START_TEST(the_ttl_is_as_configured)
{
	restart(want_ttl);
	bring_to(&f, TCP_ESTABLISHED);
	send_bytes(5);
	ck_assert_uint_eq(take(&f)->ip.ttl, 7);
	set_int(&f, f.sock, IPPROTO_IP, IP_TTL, 9); /* and the socket's own */
	send_bytes(5);
	forget_sent();
	until_sent();
	ck_assert_uint_eq(take(&f)->ip.ttl, 9);
}
END_TEST

START_TEST(segments_are_not_to_be_fragmented)
{
	bring_to(&f, TCP_ESTABLISHED);
	send_bytes(5);
	ck_assert(take(&f)->ip.dont_fragment);
	feed(&f, TCP_ACK | TCP_FIN, 1, 6, 0);
	ck_assert(take(&f)->ip.dont_fragment);
}
END_TEST

/* ---- retransmission timeout (RFC 6298) ---- */

START_TEST(an_ack_of_new_data_restarts_the_timeout)
{
	stack_time rto;

	bring_to(&f, TCP_ESTABLISHED);
	send_bytes(2920);
	rto = rtt_timeout(&tcb_now(&f)->rtt, SECONDS(120));
	pass(&f, rto / 2);
	forget_sent();
	feed(&f, TCP_ACK, 1, 1461, 0);
	rto = rtt_timeout(&tcb_now(&f)->rtt, SECONDS(120)); /* the ACK was a sample */
	ck_assert_uint_ge(until_sent() + 1000, rto);
	expect(&f, TCP_ACK, 1461, 1, 1460);
}
END_TEST

START_TEST(after_a_lost_syn_the_timeout_is_three_seconds_and_the_window_one_segment)
{
	const struct stack_endpoint remote = peer_at(PEER_PORT);
	int error;

	f.sock = open_to(&remote, &error);
	forget_sent();
	until_sent(); /* the SYN again */
	forget_sent();
	feed(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	forget_sent();
	ck_assert_uint_eq(rtt_timeout(&tcb_now(&f)->rtt, SECONDS(120)), SECONDS(3));
	send_bytes(14600);
	expect(&f, TCP_ACK, 1, 1, 1460);
	expect_nothing(&f);
}
END_TEST

/* ---- congestion control without SACK (RFC 5681, 6582) ---- */

START_TEST(each_further_duplicate_ack_opens_the_window_by_a_segment)
{
	uint32_t cwnd;

	bring_to_flight(&f, false, 10);
	for (int i = 0; i < 3; i++)
		feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	cwnd = tcb_now(&f)->cc.cwnd;
	feed(&f, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cwnd + PEER_MSS);
}
END_TEST

START_TEST(recover_begins_at_the_initial_sequence_number)
{
	bring_to(&f, TCP_ESTABLISHED);
	ck_assert_uint_le(tcb_now(&f)->recover.v - tcb_now(&f)->iss.v, 1);
}
END_TEST

START_TEST(limited_transmit_respects_the_peers_window)
{
	bring_to_flight(&f, false, 10);
	feed_window(1, 14600); /* all of it in flight */
	forget_sent();
	stack_send(f.sock, f.now, "more", 4);
	run(&f);
	for (int i = 0; i < 2; i++)
		feed_window(1, 14600);
	expect_nothing(&f);
}
END_TEST

/* ---- SACK (RFC 2018, 2883, 9937, 5682) ---- */

START_TEST(no_sack_to_a_peer_that_has_not_permitted_it)
{
	bring_to(&f, TCP_ESTABLISHED); /* the fixture's handshake has no SACK-permitted */
	feed(&f, TCP_ACK, 1461, 1, 1460);
	ck_assert_uint_eq(expect(&f, TCP_ACK, 1, 1, 0)->seg.opt.sack_count, 0);
}
END_TEST

START_TEST(a_duplicate_inside_a_range_is_reported_with_the_range)
{
	const struct tcp_segment *seg;

	bring_to_flight(&f, true, 0);
	for (uint32_t i = 1; i < 4; i++)
		feed(&f, TCP_ACK, 1 + i * 1460, 1, 1460);
	forget_sent();
	feed(&f, TCP_ACK, 1 + 2 * 1460, 1, 1460);
	seg = &take(&f)->seg;
	ck_assert_uint_eq(seg->opt.sack_count, 2);
	ck_assert_uint_eq(seg->opt.sack[0].left.v - PEER_ISS, 1 + 2 * 1460);
	ck_assert_uint_eq(seg->opt.sack[0].right.v - PEER_ISS, 1 + 3 * 1460);
	ck_assert_uint_eq(seg->opt.sack[1].left.v - PEER_ISS, 1 + 1 * 1460);
	ck_assert_uint_eq(seg->opt.sack[1].right.v - PEER_ISS, 1 + 4 * 1460);
}
END_TEST

START_TEST(a_first_block_inside_the_second_is_a_duplicate_report)
{
	struct tcp_segment seg = {.flags = TCP_ACK, .window = PEER_WINDOW};
	uint32_t first;

	bring_to_flight(&f, true, 10);
	first = tcb_now(&f)->iss.v + 1;
	seg.seq = tcb_now(&f)->rcv_nxt;
	seg.ack = seq_make(first);
	seg.opt.sack_count = 2;
	seg.opt.sack[0].left = seq_make(first + 3 * 1460);
	seg.opt.sack[0].right = seq_make(first + 4 * 1460);
	seg.opt.sack[1].left = seq_make(first + 5 * 1460); /* beside it: two ranges */
	seg.opt.sack[1].right = seq_make(first + 6 * 1460);
	feed_segment(&f, &seg, 0);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_dsacks_in], 0);
	seg.opt.sack[1].left = seq_make(first + 2 * 1460); /* around it */
	feed_segment(&f, &seg, 0);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_dsacks_in], 1);
}
END_TEST

START_TEST(recovery_starts_from_what_is_in_flight)
{
	bring_to_flight(&f, true, 10);
	feed_sack_of(&f, 0, 1, 2);
	feed_sack_of(&f, 0, 1, 3);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	feed_sack_of(&f, 0, 1, 5); /* now the first is lost: two were SACKed before, two are by this */
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_eq(tcb_now(&f)->rec->flight, 8 * 1460);
}
END_TEST

START_TEST(an_ack_that_delivers_nothing_changes_nothing)
{
	uint32_t cwnd;

	bring_to_flight(&f, true, 10);
	feed_sack_of(&f, 0, 1, 5);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	cwnd = tcb_now(&f)->cc.cwnd;
	forget_sent();
	feed_sack_of(&f, 0, 1, 5);
	feed_sack_of(&f, 0, 0, 0);
	ck_assert_uint_eq(tcb_now(&f)->cc.cwnd, cwnd);
	expect_nothing(&f);
}
END_TEST

START_TEST(a_timeout_in_fast_recovery_is_not_taken_for_spurious)
{
	bring_to_flight(&f, true, 10);
	feed_sack_of(&f, 0, 1, 5);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	for (int i = 0; i < 100 && tcb_now(&f)->recovery != RECOVERY_LOSS; i++)
		until_sent();
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	ck_assert(!tcb_now(&f)->rec || tcb_now(&f)->rec->frto == FRTO_OFF);
}
END_TEST

/* The first block of the next ACK, relative to PEER_ISS. */
static void expect_block(uint32_t left, uint32_t right)
{
	const struct tcp_segment *seg = &take(&f)->seg;

	ck_assert_uint_ge(seg->opt.sack_count, 1);
	ck_assert_uint_eq(seg->opt.sack[0].left.v - PEER_ISS, left);
	ck_assert_uint_eq(seg->opt.sack[0].right.v - PEER_ISS, right);
}

START_TEST(what_finds_no_room_is_not_reported_and_what_was_stored_stays)
{
	struct mem *m;

	bring_to_flight(&f, true, 0);
	m = &f.s->mem;
	feed(&f, TCP_ACK, 101, 1, 100);
	expect_block(101, 201);
	m->limit[MEM_OOO] = m->used[MEM_OOO];
	feed(&f, TCP_ACK, 5001, 1, 1460);
	expect_block(101, 201);
	ck_assert_uint_eq(f.s->counter[COUNT_tcp_in_ooo_dropped], 1);
	m->limit[MEM_OOO] = 0;
	feed(&f, TCP_ACK, 5001, 1, 1460);
	expect_block(5001, 6461);
	feed(&f, TCP_ACK, 1, 1, 100);
	ck_assert_uint_eq(rcv_nxt_rel(&f), 201); /* the stored range counted */
}
END_TEST

START_TEST(of_several_duplicates_in_a_segment_the_last_is_reported)
{
	bring_to_flight(&f, true, 0);
	feed(&f, TCP_ACK, 201, 1, 100);
	feed(&f, TCP_ACK, 401, 1, 100);
	forget_sent();
	feed(&f, TCP_ACK, 201, 1, 300); /* the middle of it is new */
	expect_block(401, 501);
	feed(&f, TCP_ACK, 1, 1, 500); /* what this repeats is not told */
	ck_assert_uint_eq(take(&f)->seg.opt.sack_count, 0);
	ck_assert_uint_eq(rcv_nxt_rel(&f), 501);
}
END_TEST

/* Seven of ten are lost: in flight is less than ssthresh. */
START_TEST(below_ssthresh_only_a_safe_ack_lets_one_segment_more_out)
{
	uint64_t before;

	bring_to_flight(&f, true, 10);
	feed_sack_of(&f, 0, 7, 10);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_lt(tcb_now(&f)->board.lost + 3 * 1460, 10 * 1460);
	before = tcb_now(&f)->rec->out;
	ck_assert_uint_eq(before, 3 * 1460);
	feed_sack_of(&f, 0, 1, 2); /* the second has come: no progress of SND.UNA */
	ck_assert_uint_eq(tcb_now(&f)->rec->out - before, 1460);
	before = tcb_now(&f)->rec->out;
	feed_sack_of(&f, 2, 7, 10); /* the first, too */
	ck_assert_uint_eq(tcb_now(&f)->rec->out - before, 2 * 1460);
}
END_TEST

START_TEST(a_smaller_path_mtu_costs_no_window)
{
	uint32_t cwnd, ssthresh;
	struct tcb *t;

	bring_to_flight(&f, true, 10);
	t = tcb_now(&f);
	cwnd = t->cc.cwnd;
	ssthresh = t->cc.ssthresh;
	tcp_mtu_too_big(t, 1000);
	run(&f);
	expect(&f, TCP_ACK, 1, 1, 10 * 1460); /* it goes again, in smaller pieces */
	ck_assert_uint_eq(t->mss, 960);
	ck_assert_uint_eq(t->cc.cwnd, cwnd);
	ck_assert_uint_eq(t->cc.ssthresh, ssthresh);
	ck_assert_int_eq(t->recovery, RECOVERY_OPEN);
}
END_TEST

/* ---- timestamps (RFC 7323, 6191) ---- */

static void connect_with_timestamps(void)
{
	restart(want_timestamps);
	f.timestamps = true;
	f.ts = 5000;
	bring_to(&f, TCP_ESTABLISHED);
	ck_assert(tcb_now(&f)->ts_on);
}

START_TEST(timestamps_are_in_every_segment)
{
	connect_with_timestamps();
	send_bytes(5);
	ck_assert(take(&f)->seg.opt.has_timestamp);
	feed(&f, TCP_ACK, 1461, 6, 1460); /* out of order: a bare ACK */
	ck_assert(take(&f)->seg.opt.has_timestamp);
	stack_shutdown(f.sock, f.now);
	run(&f);
	ck_assert(take(&f)->seg.opt.has_timestamp);
	feed(&f, TCP_ACK, 1, 7, 1460);
	feed(&f, TCP_FIN | TCP_ACK, 2921, 7, 0);
	forget_sent();
	ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
	f.now += SECONDS(1);
	feed(&f, TCP_FIN | TCP_ACK, 2921, 7, 0);
	ck_assert(take(&f)->seg.opt.has_timestamp);
}
END_TEST

START_TEST(the_echo_of_a_timestamp_comes_with_an_ack_only)
{
	struct captured *c;
	struct tcp_segment syn_ack = {.seq = {PEER_ISS}, .flags = TCP_SYN | TCP_ACK, .window = PEER_WINDOW};

	restart(want_timestamps);
	bring_to(&f, TCP_CLOSED);
	f.sock = stack_socket(f.s, STACK_TCP, 0, &f);
	ck_assert_int_eq(stack_connect(&f.sock, f.now, &(struct stack_endpoint){f.peer, PEER_PORT}), 0);
	c = take(&f);
	ck_assert(c->seg.opt.has_timestamp);
	ck_assert_uint_eq(c->seg.opt.ts_echo, 0);
	syn_ack.ack = seq_add(c->seg.seq, 1);
	syn_ack.opt.has_timestamp = true;
	syn_ack.opt.ts_value = 777;
	syn_ack.opt.ts_echo = c->seg.opt.ts_value;
	feed_segment(&f, &syn_ack, 0);
	ck_assert_uint_eq(take(&f)->seg.opt.ts_echo, 777);
}
END_TEST

START_TEST(the_timestamp_clock_ticks_every_millisecond)
{
	uint32_t first;

	connect_with_timestamps();
	send_bytes(5);
	first = take(&f)->seg.opt.ts_value;
	f.now += MILLISECONDS(17);
	send_bytes(5);
	feed(&f, TCP_ACK, 1, 6, 0);
	ck_assert_uint_eq(take(&f)->seg.opt.ts_value - first, 17);
}
END_TEST

START_TEST(a_timestamp_of_24_days_ago_counts_no_more)
{
	connect_with_timestamps();
	f.ts = 4000; /* older than the last one */
	feed(&f, TCP_ACK, 1, 1, 5);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 0);
	pass(&f, HOURS(24) * 25);
	feed(&f, TCP_ACK, 1, 1, 5);
	ck_assert_uint_eq(tcb_now(&f)->rcvq.len, 5);
}
END_TEST

START_TEST(each_connection_has_a_timestamp_clock_of_its_own)
{
	const struct stack_endpoint a = peer_at(4000), b = peer_at(4001);
	struct sock *sock[2];
	uint32_t ts;
	int error;

	restart(want_timestamps);
	sock[0] = open_to(&a, &error);
	ts = take(&f)->seg.opt.ts_value;
	sock[1] = open_to(&b, &error);
	ck_assert_uint_ne(take(&f)->seg.opt.ts_value, ts);
	stack_abort(sock[0], f.now);
	stack_abort(sock[1], f.now);
}
END_TEST

START_TEST(a_later_timestamp_opens_anew_out_of_time_wait)
{
	struct tcp_segment syn = {.flags = TCP_SYN, .window = PEER_WINDOW};
	const bool later = _i;

	restart(want_timestamps);
	f.timestamps = true;
	f.ts = 5000;
	bring_to(&f, TCP_TIME_WAIT);
	syn.seq = seq_make(PEER_ISS - 1000); /* its number alone would not do */
	syn.opt.has_timestamp = true;
	syn.opt.ts_value = later ? 5001 : 4999;
	f.timestamps = false;
	feed_segment(&f, &syn, 0);
	if (later)
		ck_assert_uint_eq(take(&f)->seg.flags, TCP_SYN | TCP_ACK);
	else
		ck_assert_int_eq(state_now(&f), TCP_TIME_WAIT);
}
END_TEST

/* ---- ECN (RFC 3168) ---- */

static void connect_with_ecn(void)
{
	restart(want_ecn);
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN | TCP_ECE | TCP_CWR, 0, 0, 0);
	ck_assert_uint_eq(take(&f)->ip.tos & IP_ECN_MASK, 0); /* the SYN-ACK is not marked capable */
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert(tcb_now(&f)->ecn_on);
	forget_sent();
}

START_TEST(a_syn_with_one_of_the_flags_asks_for_nothing)
{
	restart(want_ecn);
	bring_to(&f, TCP_LISTEN);
	feed(&f, TCP_SYN | (_i ? TCP_ECE : TCP_CWR), 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
}
END_TEST

START_TEST(a_syn_ack_with_both_flags_grants_nothing)
{
	const struct stack_endpoint remote = peer_at(PEER_PORT);
	int error;

	restart(want_ecn);
	f.sock = open_to(&remote, &error);
	ck_assert_uint_eq(take(&f)->ip.tos & IP_ECN_MASK, 0); /* nor is the SYN marked */
	feed(&f, TCP_SYN | TCP_ACK | TCP_ECE | TCP_CWR, 0, 1, 0);
	ck_assert(!tcb_now(&f)->ecn_on);
}
END_TEST

START_TEST(a_mark_on_the_segment_with_cwr_begins_anew)
{
	connect_with_ecn();
	f.tos = IP_CE;
	feed(&f, TCP_ACK, 1, 1, 1460);
	ck_assert(tcb_now(&f)->ecn_echo);
	feed(&f, TCP_ACK | TCP_CWR, 1461, 1, 1460);
	ck_assert(tcb_now(&f)->ecn_echo);
	f.tos = IP_ECT0;
	feed(&f, TCP_ACK | TCP_CWR, 2921, 1, 1460);
	ck_assert(!tcb_now(&f)->ecn_echo);
}
END_TEST

START_TEST(a_mark_outside_the_window_is_ignored)
{
	connect_with_ecn();
	f.tos = IP_CE;
	feed(&f, TCP_ACK, 1 + 70000, 1, 1460);
	ck_assert(!tcb_now(&f)->ecn_echo);
	feed(&f, TCP_ACK, 1, 1, 1460);
	ck_assert(tcb_now(&f)->ecn_echo);
}
END_TEST

START_TEST(a_window_probe_is_not_marked_capable)
{
	struct captured *c;

	connect_with_ecn();
	feed_window(1, 0);
	send_bytes(5);
	expect_nothing(&f);
	until_sent();
	c = take(&f);
	ck_assert_uint_eq(c->ip.tos & IP_ECN_MASK, 0);
	ck_assert_uint_eq(c->seg.flags & TCP_CWR, 0);
}
END_TEST

/* ---- */

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)
#define ADD_LOOP(test, runs) suite_add_fixture(s, #test, test, runs, setup, teardown)

static void add_connection_tests(Suite *s)
{
	ADD(initial_sequence_numbers_depend_on_the_secret);
	ADD(connect_of_what_is_open_fails);
	ADD(listening_leaves_a_connection_on_the_port_alone);
	ADD(a_connection_keeps_the_address_that_it_began_with);
	ADD_LOOP(connect_to_many_at_once_fails, 4);
	ADD_LOOP(a_syn_to_many_at_once_is_ignored, 3);
	ADD(a_reset_in_syn_received_leaves_the_listener);
	ADD(a_syn_ack_sent_again_very_often_keeps_its_pauses);
	ADD(ports_to_one_server_follow_each_other);
	ADD(a_port_whose_connection_waits_in_time_wait_is_not_chosen);
	ADD(without_being_asked_there_is_no_keepalive);
	ADD(keepalive_begins_after_two_hours);
	ADD(a_window_taken_back_from_data_in_flight_is_probed_without_end);
	ADD(the_window_of_a_syn_is_not_scaled);
	ADD(scaling_does_not_move_the_windows_edge_left);
	ADD(a_batch_is_answered_by_one_ack_after_all_of_it);
	ADD(the_ttl_is_as_configured);
	ADD(segments_are_not_to_be_fragmented);
}

static void add_recovery_tests(Suite *s)
{
	ADD(an_ack_of_new_data_restarts_the_timeout);
	ADD(after_a_lost_syn_the_timeout_is_three_seconds_and_the_window_one_segment);
	ADD(each_further_duplicate_ack_opens_the_window_by_a_segment);
	ADD(recover_begins_at_the_initial_sequence_number);
	ADD(limited_transmit_respects_the_peers_window);
	ADD(no_sack_to_a_peer_that_has_not_permitted_it);
	ADD(a_duplicate_inside_a_range_is_reported_with_the_range);
	ADD(a_first_block_inside_the_second_is_a_duplicate_report);
	ADD(recovery_starts_from_what_is_in_flight);
	ADD(an_ack_that_delivers_nothing_changes_nothing);
	ADD(a_timeout_in_fast_recovery_is_not_taken_for_spurious);
	ADD(what_finds_no_room_is_not_reported_and_what_was_stored_stays);
	ADD(of_several_duplicates_in_a_segment_the_last_is_reported);
	ADD(below_ssthresh_only_a_safe_ack_lets_one_segment_more_out);
	ADD(a_smaller_path_mtu_costs_no_window);
}

static void add_option_tests(Suite *s)
{
	ADD(timestamps_are_in_every_segment);
	ADD(the_echo_of_a_timestamp_comes_with_an_ack_only);
	ADD(the_timestamp_clock_ticks_every_millisecond);
	ADD(a_timestamp_of_24_days_ago_counts_no_more);
	ADD(each_connection_has_a_timestamp_clock_of_its_own);
	ADD_LOOP(a_later_timestamp_opens_anew_out_of_time_wait, 2);
	ADD_LOOP(a_syn_with_one_of_the_flags_asks_for_nothing, 2);
	ADD(a_syn_ack_with_both_flags_grants_nothing);
	ADD(a_mark_on_the_segment_with_cwr_begins_anew);
	ADD(a_mark_outside_the_window_is_ignored);
	ADD(a_window_probe_is_not_marked_capable);
}

int main(void)
{
	Suite *s = suite_create("tcp_musts");

	add_connection_tests(s);
	add_recovery_tests(s);
	add_option_tests(s);
	return suite_run(s);
}
