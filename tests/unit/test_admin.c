/*
 * What an administrator does to the network layer at run time: permanent neighbours, entries
 * taken out, routes changed, and the way to one destination.
 */
#include "net_fixture.h"

#include <errno.h>

static struct net net;

static const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 9};

static void send_to(struct net *n, struct sock *sock, const struct stack_addr *addr)
{
	struct stack_endpoint to = {*addr, 7};

	ck_assert_int_ge(stack_sendto(sock, n->now, &to, "x", 1), 0);
	net_run(n);
}

/* The next frame goes to this hardware address. */
static void expect_to(struct net *n, const uint8_t mac[6])
{
	ck_assert_mem_eq(take_frame(n)->data, mac, 6);
}

START_TEST(a_permanent_neighbour_needs_no_request)
{
	struct stack_addr addr = addr_of(0, 9);
	struct stack_neigh_info info;
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 5000);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &addr, other_mac, STACK_NEIGH_PERMANENT), 0);
	send_to(&net, sock, &addr);
	expect_to(&net, other_mac);
	feed_arp(&net, ARP_REQUEST, peer_mac, &addr, &net.us); /* claims another hardware address */
	forget(&net);
	net_pass(&net, SECONDS(100));
	send_to(&net, sock, &addr);
	expect_to(&net, other_mac);
	net_pass(&net, SECONDS(100));
	expect_silence(&net); /* nobody probes it */
	ck_assert(stack_neigh_find(net.s, &addr, &info));
	ck_assert_int_eq(info.state, STACK_NEIGH_PERMANENT);
	ck_assert_str_eq(stack_neigh_state_name(info.state), "PERMANENT");
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(an_entry_is_taken_out)
{
	struct stack_neigh_info info;
	struct sock *sock;

	net_start(&net, NULL);
	know_peer(&net);
	sock = udp_bound(&net, 5000);
	ck_assert_int_eq(stack_neigh_remove(net.s, net.now, &net.peer), 0);
	ck_assert(!stack_neigh_find(net.s, &net.peer, &info));
	ck_assert_int_eq(stack_neigh_remove(net.s, net.now, &net.peer), -ENOENT);
	send_to(&net, sock, &net.peer); /* asks again, and what waits goes with the entry */
	ck_assert_uint_eq(take_arp(&net).op, ARP_REQUEST);
	ck_assert_int_eq(stack_neigh_remove(net.s, net.now, &net.peer), 0);
	ck_assert_uint_eq(count_of(&net, "arp.queue_drops"), 1);
	net_pass(&net, SECONDS(10));
	expect_silence(&net);
	stack_close(sock, net.now);
	net_end(&net);
}
END_TEST

START_TEST(setting_an_entry_sends_what_waits)
{
	struct sock *sock;

	net_start(&net, NULL);
	sock = udp_bound(&net, 5000);
	send_to(&net, sock, &net.peer);
	take_arp(&net);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &net.peer, other_mac, STACK_NEIGH_REACHABLE), 0);
	expect_to(&net, other_mac);
	net_pass(&net, SECONDS(31));
	send_to(&net, sock, &net.peer);
	expect_to(&net, other_mac); /* stale by now: used, and probed */
	net_pass(&net, SECONDS(6));
	ck_assert_uint_eq(take_arp(&net).op, ARP_REQUEST);
	stack_close(sock, net.now);
	net_pass(&net, SECONDS(10));
	forget(&net);
	net_end(&net);
}
END_TEST

START_TEST(neighbours_that_cannot_be)
{
	const struct stack_addr broadcast = addr_of(0, 255), addr = addr_of(0, 9);

	net_start(&net, NULL);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &net.us, other_mac, STACK_NEIGH_PERMANENT), -EINVAL);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &broadcast, other_mac, STACK_NEIGH_PERMANENT), -EINVAL);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &addr, broadcast_mac, STACK_NEIGH_PERMANENT), -EINVAL);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &addr, other_mac, STACK_NEIGH_FAILED), -EINVAL);
	ck_assert_uint_eq(neighbour_total(&net), 0);
	net_end(&net);
}
END_TEST

static void few_neighbours(struct stack_config *c)
{
	c->neighbours_max = 16;
}

/* Permanent entries are not crowded out, and leave room for others. */
START_TEST(permanent_entries_are_spared_and_bounded)
{
	struct stack_neigh_info info;

	net_start(&net, few_neighbours);
	for (uint8_t i = 10; i < 18; i++) {
		struct stack_addr addr = addr_of(0, i);
		ck_assert_int_eq(stack_neigh_set(net.s, net.now, &addr, other_mac, STACK_NEIGH_PERMANENT), 0);
	}
	struct stack_addr more = addr_of(0, 18);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &more, other_mac, STACK_NEIGH_PERMANENT), -ENOBUFS);
	for (uint8_t i = 100; i < 200; i++) {
		struct stack_addr addr = addr_of(0, i);
		feed_arp(&net, ARP_REQUEST, peer_mac, &addr, &net.us);
		forget(&net);
	}
	for (uint8_t i = 10; i < 18; i++) {
		struct stack_addr addr = addr_of(0, i);
		ck_assert(stack_neigh_find(net.s, &addr, &info));
	}
	ck_assert_uint_eq(neighbour_total(&net), 16);
	struct stack_addr first = addr_of(0, 10);
	ck_assert_int_eq(stack_neigh_remove(net.s, net.now, &first), 0);
	ck_assert_int_eq(stack_neigh_set(net.s, net.now, &more, other_mac, STACK_NEIGH_PERMANENT), 0);
	net_end(&net);
}
END_TEST

START_TEST(the_way_to_a_destination)
{
	const struct stack_addr far = {{[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1}};
	const struct stack_addr broadcast = addr_of(0, 255), nowhere = {{0}};
	struct stack_way way;

	net_start(&net, NULL);
	ck_assert_int_eq(stack_route_find(net.s, &net.peer, &way), 0);
	ck_assert_int_eq(way.kind, STACK_WAY_UNICAST);
	ck_assert(addr_eq(&way.source, &net.us) && stack_addr_is_any(&way.gateway));
	ck_assert_int_eq(stack_route_find(net.s, &net.us, &way), 0);
	ck_assert_int_eq(way.kind, STACK_WAY_LOCAL);
	ck_assert_int_eq(stack_route_find(net.s, &broadcast, &way), 0);
	ck_assert_int_eq(way.kind, STACK_WAY_BROADCAST);
	ck_assert_int_eq(stack_route_find(net.s, &far, &way), -ENETUNREACH);
	ck_assert_int_eq(stack_route_find(net.s, &nowhere, &way), -ENETUNREACH);
	ck_assert_int_eq(stack_route_add(net.s, &nowhere, 0, &net.peer), 0);
	ck_assert_int_eq(stack_route_find(net.s, &far, &way), 0);
	ck_assert(addr_eq(&way.gateway, &net.peer));
	net_end(&net);
}
END_TEST

START_TEST(a_route_is_replaced)
{
	struct stack_addr second = addr_of(0, 4), gateway = addr_of(0, 5);
	struct stack_route_info route = {.prefix = 24, .gateway = net.peer}, got;

	net_start(&net, NULL);
	route.dest = (struct stack_addr){{[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2}};
	route.gateway = net.peer;
	ck_assert_int_eq(stack_address_add(net.s, net.now, &second, 24), 0);
	ck_assert_int_eq(stack_route_set(net.s, &route, false), 0);
	ck_assert_int_eq(stack_route_set(net.s, &route, false), -EEXIST);
	route.gateway = gateway;
	route.source = second;
	ck_assert_int_eq(stack_route_set(net.s, &route, true), 0);
	ck_assert(stack_route_get(net.s, 2, &got));
	ck_assert(addr_eq(&got.gateway, &gateway) && addr_eq(&got.source, &second));
	ck_assert(!stack_route_get(net.s, 3, &got));
	route.source = addr_of(0, 99);
	ck_assert_int_eq(stack_route_set(net.s, &route, true), -EADDRNOTAVAIL);
	route.source = (struct stack_addr){{0}};
	route.dest = addr_of(0, 0);
	ck_assert_int_eq(stack_route_set(net.s, &route, true), -EEXIST); /* the address's own */
	net_pass(&net, SECONDS(20));
	forget(&net);
	net_end(&net);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("admin");

	suite_add(s, "a permanent neighbour needs no request", a_permanent_neighbour_needs_no_request);
	suite_add(s, "an entry is taken out", an_entry_is_taken_out);
	suite_add(s, "setting an entry sends what waits", setting_an_entry_sends_what_waits);
	suite_add(s, "neighbours that cannot be", neighbours_that_cannot_be);
	suite_add(s, "permanent entries are spared and bounded", permanent_entries_are_spared_and_bounded);
	suite_add(s, "the way to a destination", the_way_to_a_destination);
	suite_add(s, "a route is replaced", a_route_is_replaced);
	return suite_run(s);
}
