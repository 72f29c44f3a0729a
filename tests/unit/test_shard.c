/*
 * What several stacks with one address need of a stack: ids and ports that are its own, packets in
 * fragments that are another's, and sockets copied from one to the other. And the function by
 * which the daemon chooses the worker of a connection, and those by which it changes all of them or none.
 */
#include "daemon/worker.h"
#include "net_fixture.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

static struct net net;

static void second_of_three(struct stack_config *c)
{
	c->shard = 1;
	c->shards = 3;
}

START_TEST(ids_tell_the_stack)
{
	struct sock *a, *b;

	net_start(&net, second_of_three);
	a = stack_socket(net.s, STACK_TCP, 0, NULL);
	b = stack_socket(net.s, STACK_UDP, 0, NULL);
	ck_assert_uint_eq(stack_id(a) % 3, 1);
	ck_assert_uint_eq(stack_id(b) % 3, 1);
	ck_assert_uint_ne(stack_id(a), stack_id(b));
	stack_close(a, net.now);
	stack_close(b, net.now);
	net_end(&net);
}
END_TEST

/* Every eighth port. */
static bool every_eighth(void *context, const struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	(void)context;
	ck_assert_uint_eq(remote->port, 7);
	return local->port % 8 == 3;
}

START_TEST(a_port_is_chosen_whose_answers_come_here)
{
	struct stack_endpoint to = {addr_of(0, 1), 7};
	struct stack_sock_info info;
	struct sock *sock;

	net_start(&net, NULL);
	net.s->ops.ours = every_eighth;
	for (unsigned i = 0; i < 50; i++) {
		sock = stack_socket(net.s, STACK_TCP, 0, NULL);
		ck_assert_int_eq(stack_connect(&sock, net.now, &to), 0);
		stack_info(sock, &info);
		ck_assert_uint_eq(info.local.port % 8, 3);
		stack_abort(sock, net.now);
	}
	net.s->ops.ours = NULL;
	forget(&net);
	net_end(&net);
}
END_TEST

static size_t whole_len;
static bool takes;
static bool elsewhere(void *context, const uint8_t *packet, size_t len)
{
	struct ip4_header h;

	(void)context;
	ck_assert_ptr_null(ip4_parse(packet, len, &h));
	ck_assert_uint_eq(h.proto, IPPROTO_UDP);
	whole_len = len;
	return takes;
}

static void feed_in_two(struct net *n, uint16_t id)
{
	uint8_t datagram[32] = {5000 >> 8, 5000 & 0xff, 7 >> 8, 7, 0, sizeof(datagram)}; /* checksum 0: none */
	struct ip4_header h = {.src = n->peer, .dst = n->us, .proto = IPPROTO_UDP, .id = id, .more_fragments = true};

	feed_ip(n, h, datagram, 16);
	h.more_fragments = false;
	h.fragment_offset = 16;
	feed_ip(n, h, datagram + 16, 16);
}

START_TEST(a_packet_in_fragments_may_be_another_stacks)
{
	struct sock *sock;
	uint8_t data[64];

	net_start(&net, NULL);
	net.s->ops.elsewhere = elsewhere;
	sock = udp_bound(&net, 7);
	takes = true;
	feed_in_two(&net, 1);
	ck_assert_uint_eq(whole_len, 20 + 32);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), -EAGAIN);
	takes = false;
	feed_in_two(&net, 2);
	ck_assert_int_eq(stack_recvfrom(sock, data, sizeof(data), NULL), 24);
	stack_close(sock, net.now);
	forget(&net);
	net_end(&net);
}
END_TEST

START_TEST(options_are_copied_to_another_stack)
{
	static struct net other;
	struct sock *from, *to;
	int value = 0;
	size_t len = sizeof(value);

	net_start(&net, NULL);
	net_start(&other, NULL);
	from = stack_socket(net.s, STACK_TCP, 0, NULL);
	to = stack_socket(other.s, STACK_TCP, 0, NULL);
	set_int(&net, from, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	ck_assert_int_eq(stack_copy_options(to, from), 0);
	stack_close(from, net.now);
	ck_assert_int_eq(stack_getsockopt(to, other.now, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
	ck_assert_int_eq(value, 77);
	from = stack_socket(net.s, STACK_TCP, 0, NULL);
	ck_assert_int_eq(stack_copy_options(to, from), 0); /* nothing set: the defaults again */
	ck_assert_int_eq(stack_getsockopt(to, other.now, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
	ck_assert_int_eq(value, 7200);
	stack_close(from, net.now);
	stack_close(to, other.now);
	net_end(&net);
	net_end(&other);
}
END_TEST

static uint8_t secret;

static void one_of_two(struct stack_config *c)
{
	c->shards = 2;
	c->seed[0] = secret++;
	c->fastopen_seed[0] = 42;
}

/* Whichever of them gets the next SYN, it knows the cookie; all else each has for itself. */
START_TEST(cookies_of_fast_open_are_made_with_one_key)
{
	static struct net other;

	net_start(&net, one_of_two);
	net_start(&other, one_of_two);
	ck_assert_mem_eq(net.s->key_fastopen, other.s->key_fastopen, sizeof(net.s->key_fastopen));
	ck_assert_mem_ne(net.s->key_isn, other.s->key_isn, sizeof(net.s->key_isn));
	net_end(&net);
	net_end(&other);
}
END_TEST

/* Ports of one client in a row, as a host chooses them, come to all workers in like numbers, whatever the key. */
START_TEST(connections_are_spread)
{
	struct steer s = {.key = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93}};

	for (s.workers = 1; s.workers <= WORKERS_MAX; s.workers++) {
		unsigned count[WORKERS_MAX] = {0}, connections = 1000 * s.workers;

		for (uint32_t i = 0; i < connections; i++)
			count[steer_worker(&s, 0xc6120001, 0xc6120002, (32768 + 2 * i) << 16 | 80)]++;
		for (unsigned i = 0; i < s.workers; i++)
			ck_assert(count[i] > 800 && count[i] < 1200);
	}
}
END_TEST

static struct net two[2];

static void two_neighbours(struct stack_config *c)
{
	c->neighbours_max = 2;
}

static void start_two(struct stack *all[2])
{
	for (unsigned i = 0; i < 2; i++) {
		net_start(&two[i], two_neighbours);
		all[i] = two[i].s;
	}
}

static void end_two(void)
{
	for (unsigned i = 0; i < 2; i++) {
		forget(&two[i]);
		net_end(&two[i]);
	}
}

START_TEST(an_address_that_one_refuses_none_has)
{
	const struct stack_addr addr = addr_of(0, 99);
	struct stack_address_info info;
	struct stack *all[2];

	start_two(all);
	ck_assert_int_eq(stack_address_add(all[1], two[1].now, &addr, 24), 0);
	ck_assert_int_eq(network_address_add(all, 2, &addr, 24), -EEXIST);
	for (size_t i = 0; stack_address_get(all[0], i, &info); i++)
		ck_assert_mem_ne(&info.addr, &addr, sizeof(addr));
	ck_assert_int_eq(stack_address_remove(all[1], &addr), 0);
	ck_assert_int_eq(network_address_add(all, 2, &addr, 24), 0);
	ck_assert_int_eq(stack_address_remove(all[0], &addr), 0);
	ck_assert_int_eq(stack_address_remove(all[1], &addr), 0);
	end_two();
}
END_TEST

START_TEST(a_route_that_one_refuses_is_in_all_as_it_was)
{
	const uint8_t net4[4] = {192, 0, 2, 0};
	struct stack_route_info wanted = {.dest = stack_addr_v4(net4), .gateway = addr_of(0, 9), .prefix = 24}, now;
	struct stack_addr gateway = addr_of(0, 8);
	struct stack *all[2];

	start_two(all);
	ck_assert_int_eq(stack_route_add(all[1], &wanted.dest, 24, &gateway), 0);
	ck_assert_int_eq(network_route_set(all, 2, &wanted, false), -EEXIST);
	ck_assert(!network_route_present(all[0], &wanted, &now));
	ck_assert_int_eq(stack_route_add(all[0], &wanted.dest, 24, &gateway), 0);
	ck_assert_int_eq(stack_address_add(all[1], two[1].now, &wanted.gateway, 24), 0); /* no gateway there */
	ck_assert_int_eq(network_route_set(all, 2, &wanted, true), -ENETUNREACH);
	ck_assert(network_route_present(all[0], &wanted, &now));
	ck_assert_mem_eq(&now.gateway, &gateway, sizeof(gateway));
	end_two();
}
END_TEST

START_TEST(a_neighbour_that_one_has_no_room_for_is_as_it_was)
{
	static const uint8_t old[6] = {2, 0, 0, 0, 0, 1}, new[6] = {2, 0, 0, 0, 0, 2};
	const struct stack_addr a = addr_of(0, 20), b = addr_of(0, 21);
	struct stack_neigh_info info;
	struct stack *all[2];

	start_two(all);
	ck_assert_int_eq(stack_neigh_set(all[1], two[1].now, &a, old, STACK_NEIGH_PERMANENT), 0);
	ck_assert_int_eq(network_neigh_set(all, 2, &b, new, STACK_NEIGH_PERMANENT), -ENOBUFS);
	ck_assert(!stack_neigh_find(all[0], &b, &info));
	ck_assert_int_eq(stack_neigh_set(all[0], two[0].now, &b, old, STACK_NEIGH_REACHABLE), 0);
	ck_assert_int_eq(network_neigh_set(all, 2, &b, new, STACK_NEIGH_PERMANENT), -ENOBUFS);
	ck_assert(stack_neigh_find(all[0], &b, &info));
	ck_assert_mem_eq(info.mac, old, sizeof(old));
	ck_assert_uint_eq(info.state, STACK_NEIGH_REACHABLE);
	end_two();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shard");

	suite_add(s, "ids tell the stack", ids_tell_the_stack);
	suite_add(s, "a port is chosen whose answers come here", a_port_is_chosen_whose_answers_come_here);
	suite_add(s, "a packet in fragments may be another stack's", a_packet_in_fragments_may_be_another_stacks);
	suite_add(s, "options are copied to another stack", options_are_copied_to_another_stack);
	suite_add(s, "cookies of Fast Open are made with one key", cookies_of_fast_open_are_made_with_one_key);
	suite_add(s, "connections are spread", connections_are_spread);
	suite_add(s, "an address that one refuses none has", an_address_that_one_refuses_none_has);
	suite_add(s, "a route that one refuses is in all as it was", a_route_that_one_refuses_is_in_all_as_it_was);
	suite_add(s, "a neighbour that one has no room for is as it was", a_neighbour_that_one_has_no_room_for_is_as_it_was);
	return suite_run(s);
}
