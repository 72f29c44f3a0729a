/* TCP Fast Open (RFC 7413): cookies, data in the SYN both ways, what strangers can cost, and what a client remembers. */
#include "tcp_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

static struct fixture f;
static uint8_t cookie[TCP_FASTOPEN_MAX], data[4000];
static uint8_t cookie_len;

static void both(struct stack_config *c)
{
	c->fastopen = STACK_FASTOPEN_CLIENT | STACK_FASTOPEN_SERVER;
}

static void setup(void)
{
	fixture_start(&f, both);
	cookie_len = 0;
}

static void teardown(void)
{
	stack_fastopen_forget(f.s);
	fixture_end(&f);
}

/* ---- a server ---- */

static void listen_with(int limit)
{
	bring_to(&f, TCP_LISTEN);
	set_int(&f, f.listener, IPPROTO_TCP, TCP_FASTOPEN, limit);
}

/* A SYN with the option, holding `len` bytes of cookie, and data; `from`: added to the peer's ISS. */
static void feed_syn(uint32_t from, uint8_t len, uint32_t bytes)
{
	struct tcp_segment seg = {
		.seq = seq_make(PEER_ISS + from), .flags = TCP_SYN, .window = PEER_WINDOW,
		.opt = {.has_mss = true, .mss = PEER_MSS, .has_fastopen = true, .fastopen_len = len},
	};

	memcpy(seg.opt.fastopen, cookie, len);
	feed_segment(&f, &seg, bytes);
}

/* The cookie that the server gives. */
static void ask_cookie(void)
{
	const struct captured *c;

	feed_syn(0, 0, 0);
	c = expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert(c->seg.opt.has_fastopen);
	cookie_len = c->seg.opt.fastopen_len;
	ck_assert_uint_eq(cookie_len, 8);
	memcpy(cookie, c->seg.opt.fastopen, cookie_len);
	feed(&f, TCP_RST, 1, 0, 0);
}

static uint64_t count(const char *name)
{
	for (size_t i = 0; i < stack_counter_count(); i++)
		if (strcmp(stack_counter_name(i), name) == 0)
			return stack_counter(f.s, i);
	ck_abort_msg("no counter %s", name);
	return 0;
}

static void accept_early(void)
{
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_int_eq(state_now(&f), TCP_SYN_RECEIVED);
}

START_TEST(a_good_cookie_delivers_data_before_the_handshake)
{
	listen_with(4);
	ask_cookie();
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	accept_early();
	ck_assert_int_eq(stack_recv(f.sock, f.now, data, sizeof(data)), 100);
	ck_assert_int_eq(stack_send(f.sock, f.now, data, 1000), 1000);
	run(&f);
	expect(&f, TCP_ACK, 1, 101, 1000);
	feed(&f, TCP_ACK, 101, 1001, 0);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
	ck_assert_uint_eq(tcb_of(f.sock)->snd_una.v, tcb_of(f.sock)->snd_nxt.v);
}
END_TEST

START_TEST(a_forged_cookie_gets_a_new_one_and_its_data_is_not_taken)
{
	listen_with(4);
	ask_cookie();
	cookie[3] ^= 1;
	feed_syn(0, cookie_len, 100);
	ck_assert(expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0)->seg.opt.has_fastopen);
	ck_assert_ptr_null(stack_accept(f.listener));
	ck_assert_uint_eq(count("tcp.fastopen_cookies_bad"), 1);
}
END_TEST

START_TEST(without_a_limit_there_is_no_fast_open)
{
	bring_to(&f, TCP_LISTEN);
	feed_syn(0, 0, 100);
	ck_assert(!expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0)->seg.opt.has_fastopen);
}
END_TEST

START_TEST(the_option_comes_back_in_the_form_in_which_it_came)
{
	struct tcp_segment seg = {
		.seq = seq_make(PEER_ISS), .flags = TCP_SYN, .window = PEER_WINDOW,
		.opt = {.has_fastopen = true, .fastopen_experimental = true},
	};
	const struct captured *c;

	listen_with(4);
	feed_segment(&f, &seg, 0);
	c = expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert(c->seg.opt.has_fastopen && c->seg.opt.fastopen_experimental);
}
END_TEST

START_TEST(a_cookie_of_the_key_before_is_good_and_is_replaced)
{
	const struct captured *c;

	listen_with(4);
	ask_cookie();
	pass(&f, SECONDS(12 * 3600));
	feed_syn(0, cookie_len, 100);
	c = expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	ck_assert(c->seg.opt.has_fastopen);
	ck_assert_int_ne(memcmp(c->seg.opt.fastopen, cookie, 8), 0);
}
END_TEST

START_TEST(a_cookie_two_keys_old_is_refused)
{
	listen_with(4);
	ask_cookie();
	pass(&f, SECONDS(24 * 3600));
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
}
END_TEST

START_TEST(a_key_in_second_place_is_still_good)
{
	uint8_t key[2][16] = {{1, 2, 3}}, first[8];

	listen_with(4);
	ck_assert_int_eq(stack_setsockopt(f.listener, f.now, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 16), 0);
	ask_cookie();
	memcpy(first, cookie, 8);
	memcpy(key[1], key[0], 16);
	key[0][0] = 99;
	ck_assert_int_eq(stack_setsockopt(f.listener, f.now, IPPROTO_TCP, TCP_FASTOPEN_KEY, key, 32), 0);
	feed_syn(0, 8, 10);
	ck_assert_int_ne(memcmp(expect(&f, TCP_SYN | TCP_ACK, 0, 11, 0)->seg.opt.fastopen, first, 8), 0);
}
END_TEST

START_TEST(row_S5_past_the_limit_there_is_an_ordinary_handshake)
{
	listen_with(1);
	ask_cookie();
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	f.peer.byte[15] = (uint8_t)(f.peer.byte[15] + 1); /* another client: its cookie is another one */
	ask_cookie();
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert_uint_eq(count("tcp.fastopen_full"), 1);
}
END_TEST

START_TEST(row_S1_early_connections_count_with_the_half_open_ones)
{
	listen_with(4);
	ask_cookie();
	f.s->cfg.half_open_max = 1;
	f.s->half_open_count++; /* one that somebody else holds */
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	f.s->half_open_count--;
	ck_assert_uint_eq(f.s->fastopen_pending, 0);
}
END_TEST

START_TEST(a_reset_frees_its_slot_only_after_a_minute)
{
	listen_with(1);
	ask_cookie();
	feed_syn(0, cookie_len, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	feed(&f, TCP_RST, 1, 0, 0);
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 1, 0);
	feed(&f, TCP_RST, 1, 0, 0);
	pass(&f, SECONDS(61));
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
}
END_TEST

START_TEST(reset_before_accept_leaves_the_data_to_be_read)
{
	listen_with(4);
	ask_cookie();
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	feed(&f, TCP_RST, 101, 0, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_int_eq(stack_recv(f.sock, f.now, data, sizeof(data)), 100);
	ck_assert_int_eq(stack_recv(f.sock, f.now, data, sizeof(data)), -ECONNRESET);
}
END_TEST

START_TEST(the_syn_ack_goes_again_and_then_is_given_up)
{
	listen_with(4);
	ask_cookie();
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	accept_early();
	stack_send(f.sock, f.now, data, 500);
	run(&f);
	expect(&f, TCP_ACK, 1, 101, 500);
	for (unsigned i = 0; i < f.s->cfg.synack_retries; i++) {
		pass(&f, (SECONDS(1) << i) + MILLISECONDS(1));
		expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0); /* and not the data */
	}
	pass(&f, SECONDS(70));
	expect_nothing(&f);
	ck_assert_int_eq(state_now(&f), TCP_CLOSED);
	ck_assert_uint_eq(f.s->fastopen_pending, 0);
}
END_TEST

START_TEST(a_syn_sent_again_without_data_gets_the_same_answer)
{
	listen_with(4);
	ask_cookie();
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	feed(&f, TCP_SYN, 0, 0, 0);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	feed(&f, TCP_ACK, 101, 1, 0);
	f.sock = stack_accept(f.listener);
	ck_assert_ptr_nonnull(f.sock);
	ck_assert_int_eq(state_now(&f), TCP_ESTABLISHED);
}
END_TEST

START_TEST(a_close_before_the_handshake_sends_its_fin_after_it)
{
	listen_with(4);
	ask_cookie();
	feed_syn(0, cookie_len, 100);
	expect(&f, TCP_SYN | TCP_ACK, 0, 101, 0);
	accept_early();
	stack_recv(f.sock, f.now, data, sizeof(data));
	stack_shutdown(f.sock, f.now);
	run(&f);
	expect_nothing(&f);
	feed(&f, TCP_ACK, 101, 1, 0);
	expect(&f, TCP_FIN | TCP_ACK, 1, 101, 0);
}
END_TEST

/* ---- a client ---- */

static ptrdiff_t open_with(size_t len)
{
	struct stack_endpoint remote = {.addr = f.peer, .port = PEER_PORT};
	ptrdiff_t taken;

	if (f.sock)
		stack_abort(f.sock, f.now);
	run(&f);
	while (f.sent_read < f.sent_count)
		take(&f);
	f.sock = stack_socket(f.s, STACK_TCP, 0, &f);
	taken = stack_connect_data(&f.sock, f.now, &remote, data, len);
	run(&f);
	return taken;
}

static void feed_syn_ack(uint32_t ack, uint8_t len)
{
	struct tcp_segment seg = {
		.seq = seq_make(PEER_ISS), .ack = seq_add(tcb_of(f.sock)->iss, ack), .flags = TCP_SYN | TCP_ACK,
		.window = PEER_WINDOW,
		.opt = {.has_mss = true, .mss = 1000, .has_fastopen = len > 0, .fastopen_len = len},
	};

	memset(seg.opt.fastopen, 0x5a, len);
	feed_segment(&f, &seg, 0);
}

static void learn_cookie(void)
{
	ck_assert_int_eq(open_with(100), 0);
	feed_syn_ack(1, 8);
}

START_TEST(the_first_connect_asks_for_a_cookie_and_the_next_carries_data)
{
	const struct captured *c;

	ck_assert_int_eq(open_with(100), 0);
	c = expect(&f, TCP_SYN, 0, 0, 0);
	ck_assert(c->seg.opt.has_fastopen);
	ck_assert_uint_eq(c->seg.opt.fastopen_len, 0);
	feed_syn_ack(1, 8);
	/* no more than the server's MSS allows, less 40 bytes of options */
	ck_assert_int_eq(open_with(3000), 960);
	c = expect(&f, TCP_SYN, 0, 0, 960);
	ck_assert_uint_eq(c->seg.opt.fastopen_len, 8);
	feed_syn_ack(961, 0);
	expect(&f, TCP_ACK, 961, 1, 0);
	ck_assert(tcb_of(f.sock)->syn_data);
	ck_assert_uint_eq(tcb_of(f.sock)->sndq.len, 0);
}
END_TEST

START_TEST(data_that_the_syn_ack_does_not_take_goes_again_at_once)
{
	learn_cookie();
	ck_assert_int_eq(open_with(500), 500);
	expect(&f, TCP_SYN, 0, 0, 500);
	feed_syn_ack(1, 8);
	expect(&f, TCP_ACK, 1, 1, 500);
	ck_assert_uint_eq(tcb_of(f.sock)->fastopen_failure, STACK_FASTOPEN_DATA_NOT_ACKED);
	feed(&f, TCP_ACK, 1, 501, 0);
	ck_assert_uint_eq(tcb_of(f.sock)->sndq.len, 0);
}
END_TEST

START_TEST(a_part_that_was_taken_does_not_go_again)
{
	learn_cookie();
	open_with(500);
	expect(&f, TCP_SYN, 0, 0, 500);
	feed_syn_ack(201, 8);
	expect(&f, TCP_ACK, 201, 1, 300);
}
END_TEST

START_TEST(sent_again_the_syn_has_neither_data_nor_cookie)
{
	const struct captured *c;

	learn_cookie();
	open_with(500);
	expect(&f, TCP_SYN, 0, 0, 500);
	pass(&f, SECONDS(1) + MILLISECONDS(1));
	c = expect(&f, TCP_SYN, 0, 0, 0);
	ck_assert(!c->seg.opt.has_fastopen);
	feed_syn_ack(1, 0);
	expect(&f, TCP_ACK, 1, 1, 500);
	ck_assert_uint_eq(tcb_of(f.sock)->fastopen_failure, STACK_FASTOPEN_SYN_AGAIN);
}
END_TEST

START_TEST(where_it_failed_it_rests_twice_as_long_each_time)
{
	learn_cookie();
	for (unsigned i = 0; i < 3; i++) {
		stack_time rest = SECONDS(60) << i;

		ck_assert_int_eq(open_with(500), 500);
		pass(&f, SECONDS(1));
		feed_syn_ack(1, 0);
		pass(&f, rest - SECONDS(2));
		ck_assert_int_eq(open_with(500), 0); /* a plain one: it does not even ask */
		ck_assert(!expect(&f, TCP_SYN, 0, 0, 0)->seg.opt.has_fastopen);
		pass(&f, SECONDS(2));
	}
	ck_assert_int_eq(open_with(500), 500);
}
END_TEST

START_TEST(a_server_that_ignores_the_option_is_asked_in_the_older_form_once)
{
	ck_assert_int_eq(open_with(0), 0);
	ck_assert(!expect(&f, TCP_SYN, 0, 0, 0)->seg.opt.fastopen_experimental);
	feed_syn_ack(1, 0);
	open_with(0);
	ck_assert(expect(&f, TCP_SYN, 0, 0, 0)->seg.opt.fastopen_experimental);
	feed_syn_ack(1, 0);
	for (unsigned i = 0; i < 3; i++) {
		open_with(0);
		ck_assert(!expect(&f, TCP_SYN, 0, 0, 0)->seg.opt.fastopen_experimental);
		feed_syn_ack(1, 0);
	}
}
END_TEST

START_TEST(the_memory_of_servers_is_bounded_and_forgets_the_one_used_longest_ago)
{
	struct fastopen_memory m;
	struct tcp_options o = {.has_fastopen = true, .fastopen_len = 8};
	struct pcb p = {.local_v4 = 1, .local = addr_word(&f.us), .remote_v4 = 1, .rport = 1};
	uint64_t used;

	for (uint32_t i = 0; i < 256; i++) {
		p.remote = htonl(0xc6120000u + i);
		fastopen_learn(f.s, &p, 1000, &o);
	}
	used = f.s->mem.used[MEM_FASTOPEN];
	p.remote = htonl(0xc6120000u);
	fastopen_recall(f.s, &p, &m);
	ck_assert_uint_eq(m.cookie_len, 8);
	p.remote = htonl(0xc6130000u); /* one more: the second goes, the first was just used */
	fastopen_learn(f.s, &p, 1000, &o);
	p.remote = htonl(0xc6120001u);
	fastopen_recall(f.s, &p, &m);
	ck_assert_uint_eq(m.cookie_len, 0);
	p.remote = htonl(0xc6120000u);
	fastopen_recall(f.s, &p, &m);
	ck_assert_uint_eq(m.cookie_len, 8);
	ck_assert_uint_eq(f.s->mem.used[MEM_FASTOPEN], used);
}
END_TEST

START_TEST(switched_off_a_connect_with_data_is_refused)
{
	f.s->cfg.fastopen = 0;
	ck_assert_int_eq(open_with(10), -EOPNOTSUPP);
}
END_TEST

#define ADD(test) suite_add_fixture(s, #test, test, 1, setup, teardown)

int main(void)
{
	Suite *s = suite_create("fastopen");

	ADD(a_good_cookie_delivers_data_before_the_handshake);
	ADD(a_forged_cookie_gets_a_new_one_and_its_data_is_not_taken);
	ADD(without_a_limit_there_is_no_fast_open);
	ADD(the_option_comes_back_in_the_form_in_which_it_came);
	ADD(a_cookie_of_the_key_before_is_good_and_is_replaced);
	ADD(a_cookie_two_keys_old_is_refused);
	ADD(a_key_in_second_place_is_still_good);
	ADD(row_S5_past_the_limit_there_is_an_ordinary_handshake);
	ADD(row_S1_early_connections_count_with_the_half_open_ones);
	ADD(a_reset_frees_its_slot_only_after_a_minute);
	ADD(reset_before_accept_leaves_the_data_to_be_read);
	ADD(the_syn_ack_goes_again_and_then_is_given_up);
	ADD(a_syn_sent_again_without_data_gets_the_same_answer);
	ADD(a_close_before_the_handshake_sends_its_fin_after_it);
	ADD(the_first_connect_asks_for_a_cookie_and_the_next_carries_data);
	ADD(data_that_the_syn_ack_does_not_take_goes_again_at_once);
	ADD(a_part_that_was_taken_does_not_go_again);
	ADD(sent_again_the_syn_has_neither_data_nor_cookie);
	ADD(where_it_failed_it_rests_twice_as_long_each_time);
	ADD(a_server_that_ignores_the_option_is_asked_in_the_older_form_once);
	ADD(the_memory_of_servers_is_bounded_and_forgets_the_one_used_longest_ago);
	ADD(switched_off_a_connect_with_data_is_refused);
	return suite_run(s);
}
