/*
 * What a connection finds out for itself: how large its buffers should be, and how large the
 * packets of its path may be. And that a reload in the middle of a handshake breaks nothing.
 */
#include "tcp_fixture.h"

#include <sys/socket.h>

static struct fixture f;

static void want_growth(struct stack_config *c)
{
	c->timestamps = c->window_scaling = true;
	c->recv_buffer = 60000;
	c->recv_buffer_max = 4 << 20;
	c->send_buffer = 60000;
	c->send_buffer_max = 1 << 20;
}

static void want_growth_without_timestamps(struct stack_config *c)
{
	want_growth(c);
	c->timestamps = false;
}

static void want_probing_always(struct stack_config *c)
{
	want_growth(c);
	c->mtu_probing = STACK_MTU_PROBE_ALWAYS;
}

static void want_no_probing(struct stack_config *c)
{
	want_growth(c);
	c->mtu_probing = STACK_MTU_PROBE_OFF;
}

static void setup(void) { fixture_start(&f, want_growth); }
static void teardown(void) { fixture_end(&f); }

static void restart(void (*change)(struct stack_config *c))
{
	fixture_end(&f);
	fixture_start(&f, change);
}

#define RTT MILLISECONDS(10)
#define WINDOW 60000u /* of the peer, scaled by 4 */

static struct tcp_segment peer_syn(void)
{
	struct tcp_segment syn = {.seq = {PEER_ISS}, .flags = TCP_SYN, .window = WINDOW};

	syn.opt.has_mss = syn.opt.sack_permitted = syn.opt.has_window_scale = true;
	syn.opt.mss = PEER_MSS;
	syn.opt.window_scale = 2;
	return syn;
}

/* A connection that the peer opened, with all options, and a round trip of 10 ms. */
static void start_by(const struct tcp_segment *by)
{
	struct tcp_segment syn = *by;

	bring_to(&f, TCP_LISTEN);
	f.timestamps = f.s->cfg.timestamps;
	f.ts = 1000;
	feed_segment(&f, &syn, 0);
	f.now += RTT;
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	stack_set_user(f.sock, &f);
	f.sent_read = f.sent_count = 0;
}

static void start(void)
{
	struct tcp_segment syn = peer_syn();

	start_by(&syn);
}

/* One round trip in which the peer sends `bytes`, all of them read at once when the reader takes them. */
static void round_trip(uint32_t bytes)
{
	f.now += RTT;
	for (uint32_t at = 0, n; at < bytes; at += n) {
		struct tcp_segment seg = {
			.seq = tcb_now(&f)->rcv_nxt, .ack = tcb_now(&f)->snd_nxt, .flags = TCP_ACK, .window = WINDOW,
		};

		n = min_u32(bytes - at, 14480);
		if (f.timestamps) {
			seg.opt.has_timestamp = true;
			seg.opt.ts_value = ++f.ts;
			seg.opt.ts_echo = ts_now(f.s, tcb_now(&f)->ts_offset) - to_ms(RTT);
		}
		feed_segment(&f, &seg, n);
	}
	run(&f);
	f.sent_read = f.sent_count = 0;
}

static uint32_t recv_limit(void) { return tcb_now(&f)->recv_limit; }

static void set_buffer(int name, int bytes)
{
	ck_assert_int_eq(stack_setsockopt(f.sock, f.now, SOL_SOCKET, name, &bytes, sizeof(bytes)), 0);
}

/* ---- the receive buffer ---- */

static void grow_by_reading(void)
{
	start();
	f.reader_takes = true;
	ck_assert_uint_eq(recv_limit(), 60000);
	for (uint32_t bytes = 14480; bytes < 1u << 20; bytes *= 2) {
		round_trip(bytes);
		/* what slow start brings next, but for a piece, since here a round comes all at once */
		ck_assert_uint_ge(tcb_now(&f)->rcv_adv.v - tcb_now(&f)->rcv_nxt.v, 2 * bytes / 10 * 9);
	}
	ck_assert_uint_le(recv_limit(), 4u << 20);
	ck_assert_uint_ge(tcb_now(&f)->rcv_rtt, RTT / 2);
	ck_assert_uint_le(tcb_now(&f)->rcv_rtt, RTT * 2);
}

START_TEST(receive_window_stays_ahead_of_slow_start)
{
	grow_by_reading();
}
END_TEST

START_TEST(receive_window_grows_without_timestamps)
{
	restart(want_growth_without_timestamps);
	grow_by_reading();
}
END_TEST

START_TEST(receive_buffer_stops_at_its_maximum)
{
	start();
	f.reader_takes = true;
	for (uint32_t bytes = 14480; bytes <= 4u << 20; bytes *= 2)
		round_trip(min_u32(bytes, tcb_now(&f)->rcv_adv.v - tcb_now(&f)->rcv_nxt.v));
	ck_assert_uint_eq(recv_limit(), 4u << 20);
	ck_assert_uint_eq(tcb_now(&f)->rcv_scale, tcp_window_scale(4u << 20));
}
END_TEST

START_TEST(slow_reader_gets_no_larger_buffer)
{
	start();
	for (unsigned i = 0; i < 20; i++) {
		struct tcb *t = tcb_now(&f);

		round_trip(min_u32(14480, t->rcv_adv.v - t->rcv_nxt.v));
		stack_recv_consume(f.sock, f.now, 2000);
	}
	ck_assert_uint_eq(recv_limit(), 60000);
	ck_assert_uint_le(tcb_now(&f)->rcvq.len, 60000);
}
END_TEST

START_TEST(receive_buffer_that_the_owner_set_stays)
{
	start();
	f.reader_takes = true;
	set_buffer(SO_RCVBUF, 35000); /* doubled, as on the host */
	for (unsigned i = 0; i < 10; i++)
		round_trip(50000);
	ck_assert_uint_eq(recv_limit(), 70000);
}
END_TEST

START_TEST(receive_buffer_does_not_grow_past_memory)
{
	struct stack_config small;

	start();
	small = f.s->cfg;
	small.mem_total = f.s->mem.total + 400000;
	stack_reconfigure(f.s, &small);
	f.reader_takes = true;
	for (uint32_t bytes = 14480; bytes < 1u << 20; bytes *= 2)
		round_trip(min_u32(bytes, tcb_now(&f)->rcv_adv.v - tcb_now(&f)->rcv_nxt.v));
	ck_assert_uint_le(recv_limit(), 200000);
}
END_TEST

/* ---- the send buffer ---- */

/* What a queue for a wide window counts by: the largest segment there is. */
#define PIECE (STACK_TCP_PAYLOAD_MAX - STACK_TCP_PAYLOAD_MAX % tcb_now(&f)->mss)

/* Offers more than there is room for. Returns what was taken. */
static size_t offer(void)
{
	static uint8_t data[2 << 20];
	ptrdiff_t n = stack_send(f.sock, f.now, data, sizeof(data));

	ck_assert_int_ge(n, 0);
	run(&f);
	return (size_t)n;
}

static uint64_t counted(enum stack_counter_id id) { return f.s->counter[id]; }

/* A probe of the path MTU awaits its fate. */
static bool probe_out(void)
{
	return counted(COUNT_tcp_mtu_probes) > counted(COUNT_tcp_mtu_probes_passed) + counted(COUNT_tcp_mtu_probes_lost);
}

/* The peer acknowledges all that is in flight, piece by piece, but stops when a probe goes out. */
static void ack_all(void)
{
	struct tcb *t = tcb_now(&f);
	seq32 all = t->snd_nxt;

	f.now += RTT;
	while (seq_lt(t->snd_una, all) && !probe_out()) {
		struct tcp_segment seg = {.seq = t->rcv_nxt, .flags = TCP_ACK, .window = WINDOW};

		seg.ack = seq_add(t->snd_una, min_u32(all.v - t->snd_una.v, 2u * t->mss));
		f.sent_read = f.sent_count = 0;
		feed_segment(&f, &seg, 0);
	}
}

START_TEST(send_buffer_grows_with_cwnd)
{
	start();
	ck_assert_uint_eq(offer(), PIECE); /* begun, so it is filled */
	for (unsigned i = 0; i < 4; i++) {
		ack_all();
		offer();
	}
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, 100000);
	ck_assert_uint_ge(tcb_now(&f)->send_limit, tcb_now(&f)->cc.cwnd);
	ck_assert_uint_le(tcb_now(&f)->send_limit, 2 * tcb_now(&f)->cc.cwnd / 16 * 17);
	for (unsigned i = 0; i < 30; i++) {
		ack_all();
		offer();
	}
	ck_assert_uint_le(tcb_now(&f)->send_limit, 1u << 20);
}
END_TEST

START_TEST(send_buffer_that_the_owner_set_stays)
{
	start();
	set_buffer(SO_SNDBUF, 25000); /* doubled, as on the host */
	ck_assert_uint_eq(offer(), PIECE);
	for (unsigned i = 0; i < 5; i++) {
		ack_all();
		offer();
	}
	ck_assert_uint_eq(tcb_now(&f)->send_limit, 50000);
}
END_TEST

START_TEST(writer_is_woken_when_a_third_is_free)
{
	struct tcp_segment ack = {.flags = TCP_ACK, .window = WINDOW};
	uint32_t before;

	start();
	set_buffer(SO_SNDBUF, 60000); /* doubled, as on the host */
	ck_assert_uint_eq(offer(), 2 * PIECE);
	ck_assert(!stack_send_ready(f.sock));
	events_now(&f, NULL);
	ack.seq = tcb_now(&f)->rcv_nxt;
	do {
		before = tcb_now(&f)->sndq.len;
		ack.ack = seq_add(tcb_now(&f)->snd_una, tcb_now(&f)->mss);
		f.sent_read = f.sent_count = 0;
		feed_segment(&f, &ack, 0);
	} while (!(events_now(&f, NULL) & STACK_EVENT_WRITABLE));
	ck_assert(stack_send_ready(f.sock));
	ck_assert_uint_gt(before + 2 * 1024, 80000);
	ck_assert_uint_le(tcb_now(&f)->sndq.len + 2 * 1024, 80000);
	ck_assert_uint_eq(offer() % tcb_now(&f)->mss, 0);
}
END_TEST

/* ---- path MTU without ICMP ---- */

/* The timeout `n` times in a row, without an answer. */
static void timeouts(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		tcb_timer_stop(tcb_now(&f), TCB_LOSS_PROBE);
		pass(&f, tcb_deadline(tcb_now(&f), TCB_REXMT) - f.now + MILLISECONDS(1));
	}
}

/* A black hole that has just been noticed, and the base size gets through. */
static void fall_into_black_hole(void)
{
	start();
	offer();
	timeouts(2);
	f.sent_read = f.sent_count = 0;
	ack_all();
	tcb_now(&f)->reordering = false; /* what the whole flight's late ACK looks like, and no matter here */
}

START_TEST(two_timeouts_of_full_segments_mean_a_black_hole)
{
	start();
	offer();
	timeouts(1);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1500);
	f.sent_read = f.sent_count = 0;
	timeouts(1);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
	ck_assert_uint_eq(take(&f)->seg.len, 1012); /* at once */
	timeouts(2);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
	timeouts(1);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 552);
	timeouts(3);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 552);
	ck_assert_uint_eq(counted(COUNT_tcp_mtu_black_holes), 2);
}
END_TEST

START_TEST(path_that_has_carried_full_segments_gets_a_third_timeout)
{
	start();
	offer();
	ack_all();
	timeouts(2);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1500);
	timeouts(1);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
}
END_TEST

/* A quarter of all segments went again: seven timeouts in a row happen by chance once in ten thousand times. */
START_TEST(path_that_loses_much_gets_seven_timeouts)
{
	start();
	offer();
	ack_all();
	tcb_now(&f)->conn->data_out = 900;
	tcb_now(&f)->conn->retransmissions = 300;
	timeouts(6);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1500);
	timeouts(1);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
}
END_TEST

START_TEST(small_segments_say_nothing_of_a_black_hole)
{
	static const uint8_t data[400];

	start();
	stack_send(f.sock, f.now, data, sizeof(data));
	run(&f);
	timeouts(6);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1500);
}
END_TEST

START_TEST(no_probing_when_it_is_off)
{
	restart(want_no_probing);
	start();
	offer();
	timeouts(4);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1500);
	ck_assert_ptr_null(tcb_now(&f)->mtu_search);
}
END_TEST

/* The next probe; the rest of the data is acknowledged until it comes. Nothing sent behind it is taken. */
static struct captured *next_probe(void)
{
	for (unsigned i = 0; i < 200; i++) {
		while (probe_out()) {
			struct captured *c = take(&f);

			if (c->seg.len > tcb_now(&f)->mss && c->seg.len <= 1448)
				return c;
		}
		f.sent_read = f.sent_count = 0;
		offer();
		if (!probe_out())
			ack_all();
	}
	ck_abort_msg("no probe");
	return NULL;
}

START_TEST(probe_that_passes_raises_the_mtu)
{
	struct tcp_segment ack = {.flags = TCP_ACK, .window = WINDOW};
	struct captured *probe;

	fall_into_black_hole();
	probe = next_probe();
	ck_assert_uint_eq(probe->seg.len, 1448); /* the whole of it first: perhaps it was an outage */
	ck_assert_uint_eq(probe->ip.total_len, 1500);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
	ack.seq = tcb_now(&f)->rcv_nxt;
	ack.ack = seq_add(probe->seg.seq, probe->seg.len);
	feed_segment(&f, &ack, 0);
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1500);
	ck_assert_uint_eq(tcb_now(&f)->mss, 1448);
	ck_assert_uint_eq(counted(COUNT_tcp_mtu_probes_passed), 1);
}
END_TEST

/* All that was sent before the probe arrives, and behind it all from `skip` bytes on. */
static void lose(const struct captured *probe, uint32_t skip)
{
	struct tcp_segment ack = {.flags = TCP_ACK, .window = WINDOW, .seq = tcb_now(&f)->rcv_nxt, .ack = probe->seg.seq};

	feed_segment(&f, &ack, 0); /* makes room for what goes behind it */
	f.now += RTT;
	ack.opt = (struct tcp_options){.sack_count = 1};
	ack.opt.sack[0].left = seq_add(probe->seg.seq, probe->seg.len + skip);
	ack.opt.sack[0].right = tcb_now(&f)->snd_nxt;
	f.sent_read = f.sent_count;
	feed_segment(&f, &ack, 0);
}

START_TEST(lost_probe_is_no_congestion)
{
	struct captured *probe;
	uint32_t cwnd, ssthresh, again = 0;
	seq32 seq;

	fall_into_black_hole();
	probe = next_probe();
	seq = probe->seg.seq;
	uint64_t fast = counted(COUNT_tcp_fast_retransmits);
	cwnd = tcb_now(&f)->cc.cwnd;
	ssthresh = tcb_now(&f)->cc.ssthresh;
	lose(probe, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	ck_assert_uint_ge(tcb_now(&f)->cc.cwnd, cwnd);
	ck_assert_uint_eq(tcb_now(&f)->cc.ssthresh, ssthresh);
	ck_assert_uint_eq(tcb_now(&f)->board.lost, 0); /* its data has gone again */
	while (f.sent_read < f.sent_count) {
		struct captured *c = take(&f);

		if (seq_eq(c->seg.seq, seq))
			again = c->seg.len;
	}
	ck_assert_uint_eq(again, 1448);
	ck_assert_uint_eq(counted(COUNT_tcp_fast_retransmits), fast);
	ck_assert_uint_eq(counted(COUNT_tcp_mtu_probes_lost), 1);
	ack_all();
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
	ck_assert_uint_lt(next_probe()->seg.len, 1448);
}
END_TEST

/* What has passed before may have been lost by accident: only the third probe's loss tells that it is too large now. */
START_TEST(lost_probe_of_a_size_that_has_passed_goes_again)
{
	struct captured *probe;

	start();
	offer();
	ack_all();
	timeouts(3);
	f.sent_read = f.sent_count = 0;
	ack_all();
	for (unsigned i = 0; i < 2; i++) {
		lose(next_probe(), 0);
		pass(&f, RTT); /* what comes late would come now */
		ack_all();
	}
	probe = next_probe();
	ck_assert_uint_eq(probe->seg.len, 1448);
	lose(probe, 0);
	pass(&f, RTT);
	ack_all();
	ck_assert_uint_lt(next_probe()->seg.len, 1448);
}
END_TEST

START_TEST(lost_probes_are_eight_round_trips_apart)
{
	stack_time lost_at, eight;

	fall_into_black_hole();
	for (int i = 0; i < 3; i++) {
		lose(next_probe(), 0);
		lost_at = f.now;
		eight = tcb_now(&f)->rtt.srtt;
		pass(&f, RTT);
		f.sent_read = f.sent_count = 0;
		ack_all();
		while (!probe_out()) {
			f.sent_read = f.sent_count = 0;
			offer();
			ack_all();
		}
		ck_assert_uint_ge(f.now - lost_at, eight);
		f.sent_read = 0;
	}
}
END_TEST

START_TEST(timeout_takes_the_size_of_a_probe_for_too_large)
{
	fall_into_black_hole();
	ck_assert_uint_eq(next_probe()->seg.len, 1448);
	timeouts(1);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_LOSS);
	ck_assert_uint_le(tcb_now(&f)->cc.cwnd, 2 * 1012);
	ck_assert_uint_eq(counted(COUNT_tcp_mtu_probes_lost), 1);
	f.sent_read = f.sent_count = 0;
	ack_all();
	ck_assert_uint_lt(next_probe()->seg.len, 1448);
}
END_TEST

START_TEST(without_sack_a_size_that_was_lowered_stays)
{
	struct tcp_segment syn = peer_syn();

	syn.opt.sack_permitted = false;
	start_by(&syn);
	offer();
	timeouts(2);
	for (int i = 0; i < 200; i++) {
		f.sent_read = f.sent_count = 0;
		f.now += SECONDS(10);
		offer();
		ack_all();
	}
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
	ck_assert_uint_eq(counted(COUNT_tcp_mtu_probes), 0);
}
END_TEST

START_TEST(probe_lost_with_other_data_is_congestion)
{
	fall_into_black_hole();
	lose(next_probe(), 1012);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
	ck_assert_uint_eq(counted(COUNT_tcp_mtu_probes_lost), 1);
}
END_TEST

START_TEST(router_that_names_the_mtu_bounds_the_search)
{
	struct tcb *t;

	fall_into_black_hole();
	next_probe();
	t = tcb_now(&f);
	tcp_mtu_too_big(t, 1400);
	ck_assert_uint_eq(t->mtu, 1064);
	ck_assert_uint_eq(counted(COUNT_tcp_mtu_probes_lost), 1);
	for (unsigned i = 0; i < 20; i++)
		ack_all();
	ck_assert_uint_eq(next_probe()->ip.total_len, 1400);
}
END_TEST

START_TEST(probe_lost_twice_is_congestion)
{
	struct captured *probe;

	fall_into_black_hole();
	probe = next_probe();
	lose(probe, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_OPEN);
	offer();
	f.now += MILLISECONDS(1);
	run(&f);
	offer();
	lose(probe, 0);
	f.now += 2 * RTT;
	lose(probe, 0);
	ck_assert_int_eq(tcb_now(&f)->recovery, RECOVERY_FAST);
}
END_TEST

START_TEST(always_begins_with_the_base_size)
{
	restart(want_probing_always);
	start();
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1064);
	ck_assert_uint_eq(next_probe()->seg.len, 1448);
}
END_TEST

START_TEST(next_connection_knows_the_black_hole_for_ten_minutes)
{
	fall_into_black_hole();
	ck_assert_uint_eq(path_mtu_get(f.s, &f.peer), 1064);
	f.s->now += 599 * SECONDS(1);
	ck_assert_uint_eq(path_mtu_get(f.s, &f.peer), 1064);
	f.s->now += 2 * SECONDS(1);
	ck_assert_uint_eq(path_mtu_get(f.s, &f.peer), 1500);
}
END_TEST

START_TEST(connection_begins_with_the_path_mtu_that_is_known)
{
	f.s->now = f.now;
	path_mtu_set(f.s, &f.peer, 1280);
	start();
	ck_assert_uint_eq(tcb_now(&f)->mtu, 1280);
	ck_assert_uint_eq(tcb_now(&f)->mss, 1228);
}
END_TEST

/* ---- a reload in the middle of a handshake ---- */

static void without_options(void)
{
	struct stack_config c = f.s->cfg;

	c.window_scaling = c.timestamps = c.sack = false;
	c.ecn = STACK_ECN_OFF;
	c.recv_buffer = 4096;
	c.recv_buffer_max = 4096;
	stack_reconfigure(f.s, &c);
}

START_TEST(reload_between_syn_and_syn_ack_changes_nothing)
{
	struct tcp_segment answer = peer_syn();
	uint8_t scale;

	bring_to(&f, TCP_SYN_SENT);
	scale = tcb_now(&f)->rcv_scale;
	ck_assert_uint_gt(scale, 0);
	without_options();
	answer.flags |= TCP_ACK;
	answer.ack = tcb_now(&f)->snd_nxt;
	answer.opt.has_timestamp = true;
	answer.opt.ts_value = 1;
	feed_segment(&f, &answer, 0);
	ck_assert(tcb_now(&f)->ws_on && tcb_now(&f)->ts_on && tcb_now(&f)->sack_on);
	ck_assert_uint_eq(tcb_now(&f)->rcv_scale, scale);
	ck_assert(take(&f)->seg.opt.has_timestamp);
	f.timestamps = true;
	f.ts = 2;
}
END_TEST

START_TEST(syn_sent_again_after_a_reload_says_the_same)
{
	struct tcp_segment first;

	bring_to(&f, TCP_CLOSED);
	bring_to(&f, TCP_SYN_SENT);
	f.sent_read = 0;
	without_options();
	pass(&f, SECONDS(2));
	f.sent_read = f.sent_count - 1;
	first = take(&f)->seg;
	ck_assert_uint_eq(first.flags & TCP_SYN, TCP_SYN);
	ck_assert(first.opt.has_window_scale && first.opt.has_timestamp && first.opt.sack_permitted);
}
END_TEST

START_TEST(window_of_the_syn_ack_holds_through_a_reload)
{
	struct tcp_segment syn = peer_syn();

	bring_to(&f, TCP_LISTEN);
	f.timestamps = true;
	f.ts = 1;
	feed_segment(&f, &syn, 0);
	ck_assert_uint_eq(take(&f)->seg.window, 60000);
	without_options();
	feed(&f, TCP_ACK, 1, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_uint_ge(tcb_now(&f)->rcv_adv.v - tcb_now(&f)->rcv_nxt.v, 60000);
}
END_TEST

static void want_one_half_open(struct stack_config *c)
{
	want_growth(c);
	c->half_open_max = 1;
}

/* A SYN from another port of the peer's; true: it got an entry. */
static bool syn_from(uint16_t port)
{
	uint64_t cookies = counted(COUNT_tcp_cookies_sent);
	uint8_t packet[40];
	struct ip4_header ip = {.src = f.peer, .dst = f.us, .header_len = 20, .total_len = 40, .ttl = 64, .proto = IP_PROTO_TCP};
	struct tcp_segment syn = {.seq = {7}, .flags = TCP_SYN, .window = 1000, .sport = port, .dport = OUR_PORT};

	ip4_write(packet, &ip);
	tcp_write(packet + 20, &syn, 0);
	feed_packet(&f, packet, sizeof(packet), true);
	return counted(COUNT_tcp_cookies_sent) == cookies;
}

START_TEST(half_open_limit_can_be_raised)
{
	struct stack_config c;

	restart(want_one_half_open);
	bring_to(&f, TCP_LISTEN);
	ck_assert(syn_from(5000));
	ck_assert(!syn_from(5001));
	c = f.s->cfg;
	c.half_open_max = 3;
	stack_reconfigure(f.s, &c);
	ck_assert(syn_from(5002));
	ck_assert(syn_from(5003));
	ck_assert(!syn_from(5004));
	c.half_open_max = 2;
	stack_reconfigure(f.s, &c);
	ck_assert(!syn_from(5005));
	ck_assert_uint_eq(f.s->half_pool_size, 3);
}
END_TEST

START_TEST(cookie_keeps_its_scale_through_a_reload)
{
	struct tcp_segment syn = peer_syn();
	struct captured *answer;
	uint8_t scale;

	restart(want_one_half_open);
	bring_to(&f, TCP_LISTEN);
	ck_assert(syn_from(5000));
	f.timestamps = true;
	f.ts = 1;
	f.sent_read = f.sent_count;
	feed_segment(&f, &syn, 0);
	answer = take(&f);
	scale = answer->seg.opt.window_scale;
	without_options();
	syn = (struct tcp_segment){.seq = {PEER_ISS + 1}, .flags = TCP_ACK, .window = 100, .ack = seq_add(answer->seg.seq, 1)};
	syn.opt.has_timestamp = true;
	syn.opt.ts_value = 2;
	syn.opt.ts_echo = answer->seg.opt.ts_value;
	feed_segment(&f, &syn, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert(tcb_now(&f)->ws_on && tcb_now(&f)->ts_on && tcb_now(&f)->sack_on);
	ck_assert_uint_eq(tcb_now(&f)->rcv_scale, scale);
	ck_assert_uint_eq(tcb_now(&f)->snd_scale, 2);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("tcp-tuning");

	ADD(receive_window_stays_ahead_of_slow_start);
	ADD(receive_window_grows_without_timestamps);
	ADD(receive_buffer_stops_at_its_maximum);
	ADD(slow_reader_gets_no_larger_buffer);
	ADD(receive_buffer_that_the_owner_set_stays);
	ADD(receive_buffer_does_not_grow_past_memory);
	ADD(send_buffer_grows_with_cwnd);
	ADD(send_buffer_that_the_owner_set_stays);
	ADD(writer_is_woken_when_a_third_is_free);
	ADD(two_timeouts_of_full_segments_mean_a_black_hole);
	ADD(path_that_has_carried_full_segments_gets_a_third_timeout);
	ADD(path_that_loses_much_gets_seven_timeouts);
	ADD(small_segments_say_nothing_of_a_black_hole);
	ADD(no_probing_when_it_is_off);
	ADD(probe_that_passes_raises_the_mtu);
	ADD(lost_probe_is_no_congestion);
	ADD(lost_probe_of_a_size_that_has_passed_goes_again);
	ADD(lost_probes_are_eight_round_trips_apart);
	ADD(timeout_takes_the_size_of_a_probe_for_too_large);
	ADD(without_sack_a_size_that_was_lowered_stays);
	ADD(probe_lost_with_other_data_is_congestion);
	ADD(router_that_names_the_mtu_bounds_the_search);
	ADD(probe_lost_twice_is_congestion);
	ADD(always_begins_with_the_base_size);
	ADD(next_connection_knows_the_black_hole_for_ten_minutes);
	ADD(connection_begins_with_the_path_mtu_that_is_known);
	ADD(reload_between_syn_and_syn_ack_changes_nothing);
	ADD(syn_sent_again_after_a_reload_says_the_same);
	ADD(window_of_the_syn_ack_holds_through_a_reload);
	ADD(half_open_limit_can_be_raised);
	ADD(cookie_keeps_its_scale_through_a_reload);
	return suite_run(s);
}
