/*
 * Ethernet, ARP and the defence of our addresses (RFC 826, RFC 5227; rows E1 to E5), as an
 * exchange of frames in virtual time.
 */
#include "net_fixture.h"

#include <errno.h>

static struct net net;

/* A connected UDP socket to the peer, and one datagram sent. */
static struct sock *talk(struct net *n, const struct stack_addr *to, const char *text)
{
	struct sock *sock = stack_socket(n->s, STACK_UDP, 0, n);

	ck_assert_int_eq(stack_connect(&sock, n->now, &(struct stack_endpoint){*to, 7}), 0);
	ck_assert_int_eq(stack_sendto(sock, n->now, NULL, text, strlen(text)), (ptrdiff_t)strlen(text));
	return sock;
}

static void say(struct net *n, struct sock *sock, const char *text)
{
	ck_assert_int_eq(stack_sendto(sock, n->now, NULL, text, strlen(text)), (ptrdiff_t)strlen(text));
	net_run(n);
}

/* The next frame: UDP with this payload, to this hardware address. */
static void expect_udp(struct net *n, const uint8_t mac[6], const char *text)
{
	struct ip4_header h;
	size_t len;
	const uint8_t *p;

	ck_assert_msg(n->read < n->count, "the stack sent nothing");
	ck_assert_mem_eq(n->sent[n->read % CAPTURE_MAX].data, mac, 6);
	p = take_ip(n, &h, &len);
	ck_assert_uint_eq(h.proto, IP_PROTO_UDP);
	ck_assert_uint_eq(len, UDP_HEADER + strlen(text));
	ck_assert_mem_eq(p + UDP_HEADER, text, strlen(text));
}

static enum stack_neigh_state peer_state(struct net *n)
{
	struct stack_neigh_info info;

	ck_assert(neighbour_of(n, &n->peer, &info));
	return info.state;
}

/* ---- E1 ---- */

START_TEST(row_E1_frames_not_for_us)
{
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 77}, group[6] = {1, 0, 0x5e, 0, 0, 1};
	uint8_t frame[ETH_HEADER] = {2, 0, 0, 0, 0, 1};

	net_start(&net, NULL);
	for (size_t len = 0; len < ETH_HEADER; len++)
		feed_frame(&net, frame, len);
	ck_assert_uint_eq(count_of(&net, "link.in_short"), ETH_HEADER);
	feed_ethernet(&net, our_mac, 0x86dd, "x", 1);
	feed_ethernet(&net, our_mac, 0x0026, "x", 1); /* IEEE 802.3 length */
	ck_assert_uint_eq(count_of(&net, "link.in_unknown_type"), 2);
	feed_ethernet(&net, other, ETH_TYPE_IP4, "x", 1);
	feed_ethernet(&net, group, ETH_TYPE_IP4, "x", 1);
	ck_assert_uint_eq(count_of(&net, "link.in_not_ours"), 2);
	ck_assert_uint_eq(count_of(&net, "ip4.in"), 0);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* ---- E2 ---- */

START_TEST(row_E2_malformed_arp_is_dropped)
{
	static const struct { size_t at; uint8_t value; } change[] = {
		{1, 6}, {2, 0x86}, {4, 5}, {5, 16}, {7, 9}, {8, 1}, {8, 0xff}, {14, 224}, {14, 255}, {14, 127},
	};
	struct arp_packet a = {.op = ARP_REQUEST, .sender_mac = {2, 0, 0, 0, 0, 2}};
	uint8_t p[ARP_SIZE];

	net_start(&net, NULL);
	a.sender = net.peer;
	a.target = net.us;
	for (size_t i = 0; i < ARRAY_SIZE(change); i++) {
		arp_write(p, &a);
		p[change[i].at] = change[i].value;
		feed_ethernet(&net, broadcast_mac, ETH_TYPE_ARP, p, sizeof(p));
	}
	a.sender = addr_of(0, 255); /* the directed broadcast */
	arp_write(p, &a);
	feed_ethernet(&net, broadcast_mac, ETH_TYPE_ARP, p, sizeof(p));
	feed_ethernet(&net, broadcast_mac, ETH_TYPE_ARP, p, sizeof(p) - 1);
	ck_assert_uint_eq(count_of(&net, "arp.in_bad"), ARRAY_SIZE(change) + 2);
	ck_assert_uint_eq(neighbour_total(&net), 0);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

/* ---- answering and asking ---- */

START_TEST(requests_for_us_are_answered)
{
	struct stack_addr other = addr_of(0, 3);
	struct stack_neigh_info info;
	struct arp_packet a;

	net_start(&net, NULL);
	feed_arp(&net, ARP_REQUEST, peer_mac, &net.peer, &net.us);
	ck_assert_mem_eq(net.sent[net.read % CAPTURE_MAX].data, peer_mac, 6);
	a = take_arp(&net);
	ck_assert_uint_eq(a.op, ARP_REPLY);
	ck_assert(addr_eq(&a.sender, &net.us) && addr_eq(&a.target, &net.peer));
	ck_assert_mem_eq(a.target_mac, peer_mac, 6);
	ck_assert(neighbour_of(&net, &net.peer, &info));
	ck_assert_mem_eq(info.mac, peer_mac, 6);
	feed_arp(&net, ARP_REQUEST, peer_mac, &net.peer, &other);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

START_TEST(a_request_from_another_network_makes_no_entry)
{
	struct stack_addr far = addr_of(9, 9);

	net_start(&net, NULL);
	feed_arp(&net, ARP_REQUEST, peer_mac, &far, &net.us);
	ck_assert_uint_eq(neighbour_total(&net), 0);
	net_end(&net);
}
END_TEST

START_TEST(a_packet_waits_for_the_answer)
{
	struct arp_packet a;
	struct sock *sock;

	net_start(&net, NULL);
	sock = talk(&net, &net.peer, "hello");
	a = take_arp(&net);
	ck_assert_uint_eq(a.op, ARP_REQUEST);
	ck_assert(addr_eq(&a.target, &net.peer) && addr_eq(&a.sender, &net.us));
	expect_silence(&net);
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	expect_udp(&net, peer_mac, "hello");
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_REACHABLE);
	say(&net, sock, "again");
	expect_udp(&net, peer_mac, "again");
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(an_idle_cache_has_no_timers)
{
	struct sock *sock;

	net_start(&net, NULL);
	sock = talk(&net, &net.peer, "hello");
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	ck_assert_uint_eq(stack_deadline(net.s), STACK_NEVER);
	net_pass(&net, SECONDS(31));
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_STALE);
	ck_assert_uint_eq(stack_deadline(net.s), STACK_NEVER);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* Brings the peer's entry to STALE with a socket that talks to it. */
static struct sock *make_stale(struct net *n)
{
	struct sock *sock = talk(n, &n->peer, "hello");

	feed_arp(n, ARP_REPLY, peer_mac, &n->peer, &n->us);
	net_pass(n, SECONDS(31));
	forget(n);
	return sock;
}

START_TEST(a_stale_entry_is_probed_when_used)
{
	struct sock *sock;

	net_start(&net, NULL);
	sock = make_stale(&net);
	say(&net, sock, "used");
	expect_udp(&net, peer_mac, "used");
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_PROBE);
	net_pass(&net, MILLISECONDS(4900));
	expect_silence(&net);
	net_pass(&net, MILLISECONDS(200));
	ck_assert_mem_eq(net.sent[net.read % CAPTURE_MAX].data, peer_mac, 6); /* unicast */
	ck_assert_uint_eq(take_arp(&net).op, ARP_REQUEST);
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_REACHABLE);
	ck_assert_uint_eq(stack_deadline(net.s), STACK_NEVER);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(a_probe_without_answer_ends_the_entry)
{
	struct sock *sock;

	net_start(&net, NULL);
	sock = make_stale(&net);
	say(&net, sock, "used");
	net_pass(&net, SECONDS(9));
	ck_assert_uint_eq(count_of(&net, "arp.requests_out"), 1 + 3);
	ck_assert_uint_eq(neighbour_total(&net), 0);
	forget(&net);
	say(&net, sock, "anew");
	ck_assert_mem_eq(net.sent[net.read % CAPTURE_MAX].data, broadcast_mac, 6);
	ck_assert_uint_eq(take_arp(&net).op, ARP_REQUEST);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(advice_from_above_confirms)
{
	struct sock *sock;

	net_start(&net, NULL);
	sock = make_stale(&net);
	say(&net, sock, "used");
	forget(&net);
	ip_confirm(net.s, &net.us, &net.peer);
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_REACHABLE);
	net_pass(&net, SECONDS(20));
	expect_silence(&net);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(a_new_hardware_address_is_tried_first)
{
	static const uint8_t new_mac[6] = {2, 0, 0, 0, 0, 99};
	struct stack_neigh_info info;
	struct sock *sock;

	net_start(&net, NULL);
	sock = talk(&net, &net.peer, "hello");
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	feed_arp(&net, ARP_REQUEST, new_mac, &net.peer, &net.peer); /* gratuitous, entry known */
	ck_assert(neighbour_of(&net, &net.peer, &info));
	ck_assert_mem_eq(info.mac, new_mac, 6);
	ck_assert_int_eq(info.state, STACK_NEIGH_STALE);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(a_probe_answered_by_another_is_tried_again)
{
	static const uint8_t new_mac[6] = {2, 0, 0, 0, 0, 99};
	struct sock *sock;

	net_start(&net, NULL);
	sock = make_stale(&net);
	say(&net, sock, "used");
	net_pass(&net, MILLISECONDS(5100));
	forget(&net);
	feed_arp(&net, ARP_REPLY, new_mac, &net.peer, &net.us);
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_STALE);
	say(&net, sock, "there");
	expect_udp(&net, new_mac, "there");
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(answers_are_rate_limited)
{
	net_start(&net, NULL);
	for (int i = 0; i < 3000; i++)
		feed_arp(&net, ARP_REQUEST, peer_mac, &net.peer, &net.us);
	ck_assert_uint_eq(count_of(&net, "arp.replies_out") + count_of(&net, "arp.rate_limited"), 3000);
	ck_assert_uint_le(count_of(&net, "arp.replies_out"), 100);
	ck_assert_uint_ge(count_of(&net, "arp.replies_out"), 50);
	net_end(&net);
}
END_TEST

/* ---- E3 ---- */

START_TEST(row_E3_unsolicited_reply_makes_no_entry)
{
	net_start(&net, NULL);
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	ck_assert_uint_eq(neighbour_total(&net), 0);
	ck_assert_uint_eq(count_of(&net, "arp.in_unsolicited"), 1);
	expect_silence(&net);
	net_end(&net);
}
END_TEST

START_TEST(row_E3_unsolicited_reply_confirms_nothing)
{
	struct sock *sock;

	net_start(&net, NULL);
	sock = make_stale(&net);
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_STALE);
	ck_assert_uint_eq(count_of(&net, "arp.in_unsolicited"), 1);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(row_E3_flood_of_announcements_makes_no_entry)
{
	net_start(&net, NULL);
	for (uint32_t i = 0; i < 65536; i++) {
		struct stack_addr a = addr_of((uint8_t)(i >> 8), (uint8_t)i);

		if (!addr_eq(&a, &net.us))
			feed_arp(&net, ARP_REQUEST, peer_mac, &a, &a);
	}
	ck_assert_uint_eq(neighbour_total(&net), 0);
	ck_assert_uint_eq(memory_of(&net, MEM_NEIGHBOUR), 0);
	net_end(&net);
}
END_TEST

/* Everybody of a /16 asks for us. */
START_TEST(row_E3_flood_of_requests_spares_used_entries)
{
	struct sock *sock;

	net_start_bare(&net, NULL);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &net.us, 16), 0);
	net_pass(&net, SECONDS(10));
	forget(&net);
	sock = talk(&net, &net.peer, "hello");
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	for (uint32_t i = 256; i < 65535; i++) {
		struct stack_addr a = addr_of((uint8_t)(i >> 8), (uint8_t)i);

		feed_arp(&net, ARP_REQUEST, peer_mac, &a, &net.us);
		forget(&net);
	}
	ck_assert_uint_eq(neighbour_total(&net), net.s->cfg.neighbours_max);
	ck_assert_uint_gt(count_of(&net, "arp.cache_full"), 60000);
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_REACHABLE);
	say(&net, sock, "still here");
	expect_udp(&net, peer_mac, "still here");
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* ---- E4 and RFC 5227 ---- */

static const uint8_t thief_mac[6] = {2, 0, 0, 0, 0, 66};

/* Somebody announces our address. */
static void claim(struct net *n)
{
	feed_arp(n, ARP_REQUEST, thief_mac, &n->us, &n->us);
}

START_TEST(row_E4_defended_once_in_ten_seconds)
{
	struct stack_event e;
	struct arp_packet a;

	net_start(&net, NULL);
	for (int i = 0; i < 9; i++) {
		claim(&net);
		net_pass(&net, SECONDS(1));
	}
	a = take_arp(&net);
	ck_assert(addr_eq(&a.sender, &net.us) && addr_eq(&a.target, &net.us));
	expect_silence(&net);
	ck_assert_uint_eq(count_of(&net, "arp.conflicts"), 9);
	ck_assert(stack_next_event(net.s, &e));
	ck_assert(e.events == STACK_EVENT_CONFLICT && e.sock == NULL && addr_eq(&e.addr, &net.us));
	ck_assert_mem_eq(e.mac, thief_mac, 6);
	ck_assert(!stack_next_event(net.s, &e));
	net_pass(&net, SECONDS(2));
	claim(&net);
	take_arp(&net);
	ck_assert_uint_eq(count_of(&net, "arp.defences"), 2);
	ck_assert_uint_eq(neighbour_total(&net), 0);
	net_end(&net);
}
END_TEST

START_TEST(row_E4_our_own_frames_are_no_conflict)
{
	struct stack_event e;

	net_start(&net, NULL);
	feed_arp(&net, ARP_REQUEST, our_mac, &net.us, &net.us);
	ck_assert_uint_eq(count_of(&net, "arp.conflicts"), 0);
	ck_assert(!stack_next_event(net.s, &e));
	net_end(&net);
}
END_TEST

static void strict(struct stack_config *c)
{
	c->probe = STACK_PROBE_STRICT;
}

static void optimistic(struct stack_config *c)
{
	c->probe = STACK_PROBE_OPTIMISTIC;
}

/* Three probes 1 to 2 s apart, two announcements 2 s apart, and their times. */
static void expect_probes_and_announcements(struct net *n)
{
	struct arp_packet a[5];
	stack_time at[5];

	for (int i = 0; i < 5; i++) {
		ck_assert_msg(n->read < n->count, "frame %d missing", i);
		at[i] = n->sent[n->read % CAPTURE_MAX].at;
		a[i] = take_arp(n);
		ck_assert(addr_eq(&a[i].target, &n->us));
		ck_assert_int_eq(stack_addr_is_any(&a[i].sender), i < 3);
	}
	for (int i = 1; i < 5; i++) {
		stack_time gap = at[i] - at[i - 1];

		ck_assert_uint_ge(gap, i < 3 ? SECONDS(1) : SECONDS(2));
		ck_assert_uint_le(gap, SECONDS(2) + MILLISECONDS(10));
	}
	expect_silence(n);
}

static bool routable(struct net *n, struct stack_addr dst)
{
	struct route_result r = {0};

	return route_lookup(n->s, &dst, &r) == 0;
}

START_TEST(strict_probing_before_use)
{
	struct stack_address_info info;

	net_start_bare(&net, strict);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &net.us, 24), 0);
	ck_assert(stack_address_get(net.s, 0, &info) && info.tentative);
	ck_assert(!address_is_ours(net.s, &net.us, true));
	ck_assert(!routable(&net, net.us) && !routable(&net, net.peer) && !routable(&net, addr_of(0, 255)));
	feed_arp(&net, ARP_REQUEST, peer_mac, &net.peer, &net.us);
	expect_silence(&net);
	net_pass(&net, SECONDS(20));
	ck_assert(stack_address_get(net.s, 0, &info) && !info.tentative);
	expect_probes_and_announcements(&net);
	ck_assert_uint_eq(stack_deadline(net.s), STACK_NEVER);
	know_peer(&net);
	net_end(&net);
}
END_TEST

START_TEST(optimistic_probing_while_in_use)
{
	net_start_bare(&net, optimistic);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &net.us, 24), 0);
	ck_assert(address_is_ours(net.s, &net.us, false));
	ck_assert_uint_eq(net.count, 1); /* the first probe at once */
	net_pass(&net, SECONDS(20));
	expect_probes_and_announcements(&net);
	net_end(&net);
}
END_TEST

/* RFC 5227 2.1.1: a claim, or somebody else's probe, while we probe. */
START_TEST(row_E4_conflict_while_probing)
{
	static const uint8_t four[4] = {0};
	struct stack_addr any = stack_addr_v4(four);

	for (int other_probes = 0; other_probes < 2; other_probes++) {
		struct stack_address_info info;
		struct stack_event e;

		net_start_bare(&net, strict);
		ck_assert_int_eq(stack_address_add(net.s, net.now, &net.us, 24), 0);
		net_pass(&net, SECONDS(2));
		forget(&net);
		feed_arp(&net, ARP_REQUEST, thief_mac, other_probes ? &any : &net.us, &net.us);
		net_pass(&net, SECONDS(20));
		expect_silence(&net);
		ck_assert(stack_address_get(net.s, 0, &info) && info.tentative && info.conflict);
		ck_assert(!address_is_ours(net.s, &net.us, true));
		ck_assert(stack_next_event(net.s, &e) && e.events == STACK_EVENT_CONFLICT);
		net_end(&net);
	}
}
END_TEST

START_TEST(a_probe_for_our_address_is_answered)
{
	static const uint8_t four[4] = {0};
	struct stack_addr any = stack_addr_v4(four);

	net_start(&net, NULL);
	feed_arp(&net, ARP_REQUEST, thief_mac, &any, &net.us);
	ck_assert_uint_eq(take_arp(&net).op, ARP_REPLY);
	ck_assert_uint_eq(neighbour_total(&net), 0);
	net_end(&net);
}
END_TEST

/* ---- E5 ---- */

START_TEST(row_E5_few_packets_wait)
{
	static const char *const text[] = {"one", "two", "three", "four", "five"};
	struct stack_neigh_info info;
	struct sock *sock;

	net_start(&net, NULL);
	sock = talk(&net, &net.peer, text[0]);
	for (int i = 1; i < 5; i++)
		say(&net, sock, text[i]);
	ck_assert(neighbour_of(&net, &net.peer, &info));
	ck_assert_uint_eq(info.queued, 3);
	ck_assert_uint_eq(count_of(&net, "arp.queue_drops"), 2);
	take_arp(&net);
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	for (int i = 2; i < 5; i++) /* the oldest went first */
		expect_udp(&net, peer_mac, text[i]);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(row_E5_sender_learns_of_it)
{
	int error = 0;
	struct sock *sock;

	net_start(&net, NULL);
	sock = talk(&net, &net.peer, "hello");
	net_pass(&net, MILLISECONDS(2900));
	ck_assert_uint_eq(events_of(&net, sock, &error) & STACK_EVENT_ERROR, 0);
	net_pass(&net, MILLISECONDS(200));
	ck_assert_uint_eq(count_of(&net, "arp.requests_out"), 3);
	ck_assert_uint_eq(count_of(&net, "arp.failed"), 1);
	ck_assert(events_of(&net, sock, &error) & STACK_EVENT_ERROR);
	ck_assert_int_eq(error, EHOSTUNREACH);
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_FAILED);
	ck_assert_int_eq(stack_recvfrom(sock, NULL, 0, NULL), -EHOSTUNREACH);
	ck_assert_int_eq(stack_recvfrom(sock, NULL, 0, NULL), -EAGAIN);

	say(&net, sock, "at once"); /* fails without another request */
	net_pass(&net, MILLISECONDS(10));
	ck_assert(events_of(&net, sock, &error) & STACK_EVENT_ERROR);
	ck_assert_uint_eq(count_of(&net, "arp.requests_out"), 3);
	ck_assert_int_eq(stack_sendto(sock, net.now, NULL, "x", 1), -EHOSTUNREACH);

	net_pass(&net, SECONDS(4)); /* and is tried anew later */
	say(&net, sock, "anew");
	ck_assert_uint_eq(count_of(&net, "arp.requests_out"), 4);
	feed_arp(&net, ARP_REPLY, peer_mac, &net.peer, &net.us);
	ck_assert_int_eq(peer_state(&net), STACK_NEIGH_REACHABLE);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(row_E5_tcp_connect_learns_of_it)
{
	struct sock *sock;
	int error = 0;

	net_start(&net, NULL);
	sock = stack_socket(net.s, STACK_TCP, 0, &net);
	ck_assert_int_eq(stack_connect(&sock, net.now, &(struct stack_endpoint){net.peer, 80}), 0);
	net_pass(&net, SECONDS(4));
	ck_assert(events_of(&net, sock, &error) & STACK_EVENT_ERROR);
	ck_assert_int_eq(error, EHOSTUNREACH);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

/* Large packets to a whole network that does not answer. */
START_TEST(row_E5_waiting_packets_are_bounded)
{
	static char big[1400];
	struct sock *sock;
	size_t most = 0;

	net_start_bare(&net, NULL);
	ck_assert_int_eq(stack_address_add(net.s, net.now, &net.us, 16), 0);
	sock = stack_socket(net.s, STACK_UDP, 0, &net);
	for (uint32_t i = 256; i < 5000; i++) {
		struct stack_endpoint to = {addr_of((uint8_t)(i >> 8), (uint8_t)i), 7};

		for (int k = 0; k < 4; k++)
			stack_sendto(sock, net.now, &to, big, sizeof(big));
		most = memory_of(&net, MEM_NEIGHBOUR) > most ? memory_of(&net, MEM_NEIGHBOUR) : most;
		forget(&net);
	}
	ck_assert_uint_le(most, net.s->mem.limit[MEM_NEIGHBOUR]);
	ck_assert_uint_le(neighbour_total(&net), net.s->cfg.neighbours_max);
	ck_assert_uint_gt(count_of(&net, "arp.queue_drops"), 4000);
	stack_close(sock, net.now);
	net_pass(&net, SECONDS(10));
	forget(&net);
	net_end(&net);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("arp");

	suite_add(s, "E1 frames not for us", row_E1_frames_not_for_us);
	suite_add(s, "E2 malformed ARP is dropped", row_E2_malformed_arp_is_dropped);
	suite_add(s, "requests for us are answered", requests_for_us_are_answered);
	suite_add(s, "a request from another network makes no entry", a_request_from_another_network_makes_no_entry);
	suite_add(s, "a packet waits for the answer", a_packet_waits_for_the_answer);
	suite_add(s, "an idle cache has no timers", an_idle_cache_has_no_timers);
	suite_add(s, "a stale entry is probed when used", a_stale_entry_is_probed_when_used);
	suite_add(s, "a probe without answer ends the entry", a_probe_without_answer_ends_the_entry);
	suite_add(s, "advice from above confirms", advice_from_above_confirms);
	suite_add(s, "a new hardware address is tried first", a_new_hardware_address_is_tried_first);
	suite_add(s, "a probe answered by another is tried again", a_probe_answered_by_another_is_tried_again);
	suite_add(s, "answers are rate-limited", answers_are_rate_limited);
	suite_add(s, "E3 unsolicited reply makes no entry", row_E3_unsolicited_reply_makes_no_entry);
	suite_add(s, "E3 unsolicited reply confirms nothing", row_E3_unsolicited_reply_confirms_nothing);
	suite_add(s, "E3 flood of announcements makes no entry", row_E3_flood_of_announcements_makes_no_entry);
	suite_add(s, "E3 flood of requests spares used entries", row_E3_flood_of_requests_spares_used_entries);
	suite_add(s, "E4 defended once in ten seconds", row_E4_defended_once_in_ten_seconds);
	suite_add(s, "E4 our own frames are no conflict", row_E4_our_own_frames_are_no_conflict);
	suite_add(s, "strict probing before use", strict_probing_before_use);
	suite_add(s, "optimistic probing while in use", optimistic_probing_while_in_use);
	suite_add(s, "E4 conflict while probing", row_E4_conflict_while_probing);
	suite_add(s, "a probe for our address is answered", a_probe_for_our_address_is_answered);
	suite_add(s, "E5 few packets wait", row_E5_few_packets_wait);
	suite_add(s, "E5 sender learns of it", row_E5_sender_learns_of_it);
	suite_add(s, "E5 TCP connect learns of it", row_E5_tcp_connect_learns_of_it);
	suite_add(s, "E5 waiting packets are bounded", row_E5_waiting_packets_are_bounded);
	return suite_run(s);
}
