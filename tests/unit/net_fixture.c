/* See net_fixture.h. */
#include "net_fixture.h"

const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
const uint8_t broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct stack_addr addr_of(uint8_t x, uint8_t y)
{
	const uint8_t four[4] = {198, 18, x, y};

	return stack_addr_v4(four);
}

/* ---- start and end ---- */

static bool capture(void *context, const struct stack_output *out)
{
	struct net *n = context;
	struct capture *c = &n->sent[n->count % CAPTURE_MAX];
	size_t len = 0;

	if (n->refuse)
		return false;
	if (n->count - n->read >= CAPTURE_MAX)
		ck_abort_msg("more frames than the fixture holds");
	free(c->data);
	c->data = malloc(out->len);
	for (unsigned i = 0; i < out->iov_count; i++) {
		memcpy(c->data + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += out->iov[i].iov_len;
	}
	if (len != out->len)
		ck_abort_msg("len is not the sum of the pieces");
	c->len = len;
	c->at = n->now;
	c->out = *out;
	n->count++;
	return true;
}

void net_start_bare(struct net *n, void (*change)(struct stack_config *c))
{
	struct stack_ops ops = {.transmit = capture};
	struct stack_config c;

	memset(n, 0, sizeof(*n));
	n->now = SECONDS(1000);
	n->us = addr_of(0, 2);
	n->peer = addr_of(0, 1);
	stack_config_default(&c);
	memcpy(c.mac, our_mac, 6);
	memcpy(c.seed, "a seed for tests of the network", 31);
	c.probe = STACK_PROBE_OFF;
	if (change)
		change(&c);
	n->s = stack_new(&c, &ops, n, n->now);
	ck_assert_ptr_nonnull(n->s);
}

void net_start(struct net *n, void (*change)(struct stack_config *c))
{
	net_start_bare(n, change);
	ck_assert_int_eq(stack_address_add(n->s, n->now, &n->us, 24), 0);
	net_pass(n, SECONDS(10));
	forget(n);
}

void net_end(struct net *n)
{
	static const enum mem_class empty[] = {MEM_FRAGMENT, MEM_LOOPBACK, MEM_RECV, MEM_SEND, MEM_SOCKET};

	net_pass(n, SECONDS(300));
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		ck_assert_msg(memory_of(n, empty[i]) == 0, "%zu bytes of %s left", memory_of(n, empty[i]),
			      mem_class_name(empty[i]));
	ck_assert_uint_eq(n->s->sockets, 0);
	stack_free(n->s);
	for (size_t i = 0; i < CAPTURE_MAX; i++)
		free(n->sent[i].data);
}

void net_run(struct net *n)
{
	for (int i = 0; i < 100000 && stack_run(n->s, n->now); i++)
		;
}

void net_pass(struct net *n, stack_time time)
{
	stack_time end = n->now + time;

	for (int i = 0; i < 100000 && stack_deadline(n->s) <= end; i++) {
		n->now = max_u64(n->now, stack_deadline(n->s));
		net_run(n);
	}
	n->now = end;
	net_run(n);
}

uint64_t count_of(const struct net *n, const char *name)
{
	for (size_t i = 0; i < stack_counter_count(); i++)
		if (strcmp(stack_counter_name(i), name) == 0)
			return stack_counter(n->s, i);
	ck_abort_msg("no counter %s", name);
}

size_t memory_of(const struct net *n, enum mem_class class)
{
	return n->s->mem.used[class];
}

/* ---- in ---- */

void feed_frame(struct net *n, const void *frame, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1); /* so that the sanitizer sees reads past the end */
	struct stack_frame f = {.data = exact, .len = len};

	memcpy(exact, frame, len);
	stack_input(n->s, n->now, &f);
	net_run(n);
	free(exact);
}

void feed_ethernet(struct net *n, const uint8_t dst[6], uint16_t type, const void *payload, size_t len)
{
	struct eth_header eth = {.type = type};
	uint8_t *frame = malloc(ETH_HEADER + len);

	memcpy(eth.dst, dst, 6);
	memcpy(eth.src, peer_mac, 6);
	eth_write(frame, &eth);
	if (len > 0)
		memcpy(frame + ETH_HEADER, payload, len);
	feed_frame(n, frame, ETH_HEADER + len);
	free(frame);
}

void feed_arp(struct net *n, uint16_t op, const uint8_t mac[6], const struct stack_addr *sender,
	      const struct stack_addr *target)
{
	struct arp_packet a = {.op = op, .sender = *sender, .target = *target};
	uint8_t p[ARP_SIZE];

	memcpy(a.sender_mac, mac, 6);
	if (op == ARP_REPLY)
		memcpy(a.target_mac, our_mac, 6);
	arp_write(p, &a);
	feed_ethernet(n, op == ARP_REPLY ? our_mac : broadcast_mac, ETH_TYPE_ARP, p, sizeof(p));
}

void feed_ip(struct net *n, struct ip4_header h, const void *payload, size_t len)
{
	uint8_t *p = malloc(IP4_HEADER + len);

	h.header_len = IP4_HEADER;
	h.total_len = (uint16_t)(IP4_HEADER + len);
	h.ttl = h.ttl ? h.ttl : 64;
	ip4_write(p, &h);
	if (len > 0)
		memcpy(p + IP4_HEADER, payload, len);
	if (n->s->cfg.link == STACK_LINK_IP)
		feed_frame(n, p, IP4_HEADER + len);
	else
		feed_ethernet(n, our_mac, ETH_TYPE_IP4, p, IP4_HEADER + len);
	free(p);
}

void feed_udp(struct net *n, const struct stack_addr *src, const struct stack_addr *dst, uint16_t dport,
	      const void *data, size_t len)
{
	struct udp_header h = {.sport = 5000, .dport = dport, .len = (uint16_t)(UDP_HEADER + len)};
	uint64_t sum = checksum_pseudo(src, dst, IP_PROTO_UDP, h.len);
	uint8_t *p = malloc(h.len);

	udp_write(p, &h, 0);
	if (len > 0)
		memcpy(p + UDP_HEADER, data, len);
	udp_write(p, &h, checksum_finish(checksum_add(sum, p, h.len)));
	feed_ip(n, (struct ip4_header){.src = *src, .dst = *dst, .proto = IP_PROTO_UDP}, p, h.len);
	free(p);
}

void feed_icmp(struct net *n, const struct stack_addr *src, const struct stack_addr *dst,
	       uint8_t type, uint8_t code, uint32_t rest, const void *payload, size_t len)
{
	struct icmp4_header h = {.type = type, .code = code, .rest = rest};
	uint8_t *p = malloc(ICMP_HEADER + len);

	if (len > 0)
		memcpy(p + ICMP_HEADER, payload, len);
	icmp4_write(p, &h, p + ICMP_HEADER, len);
	feed_ip(n, (struct ip4_header){.src = *src, .dst = *dst, .proto = IP_PROTO_ICMP}, p, ICMP_HEADER + len);
	free(p);
}

void know_peer(struct net *n)
{
	feed_arp(n, ARP_REQUEST, peer_mac, &n->peer, &n->us);
	ck_assert_uint_eq(take_arp(n).op, ARP_REPLY);
}

/* ---- out ---- */

const struct capture *take_frame(struct net *n)
{
	ck_assert_msg(n->read < n->count, "the stack sent nothing");
	return &n->sent[n->read++ % CAPTURE_MAX];
}

void expect_silence(struct net *n)
{
	ck_assert_msg(n->read == n->count, "the stack sent %u frames", n->count - n->read);
}

void forget(struct net *n)
{
	n->read = n->count;
}

struct arp_packet take_arp(struct net *n)
{
	const struct capture *c = take_frame(n);
	struct arp_packet a;
	struct eth_header eth;

	ck_assert_ptr_null(eth_parse(c->data, c->len, &eth));
	ck_assert_uint_eq(eth.type, ETH_TYPE_ARP);
	ck_assert_ptr_null(arp_parse(c->data + ETH_HEADER, c->len - ETH_HEADER, &a));
	ck_assert_mem_eq(a.sender_mac, our_mac, 6);
	return a;
}

const uint8_t *take_ip(struct net *n, struct ip4_header *h, size_t *len)
{
	const struct capture *c = take_frame(n);
	size_t link = n->s->cfg.link == STACK_LINK_ETHERNET ? ETH_HEADER : 0;
	struct eth_header eth;

	if (link) {
		ck_assert_ptr_null(eth_parse(c->data, c->len, &eth));
		ck_assert_uint_eq(eth.type, ETH_TYPE_IP4);
	}
	ck_assert_ptr_null(ip4_parse(c->data + link, c->len - link, h));
	ck_assert_uint_eq(h->total_len, c->len - link);
	*len = (size_t)(h->total_len - h->header_len);
	return c->data + link + h->header_len;
}

const uint8_t *take_icmp(struct net *n, struct icmp4_header *h, size_t *len)
{
	struct ip4_header ip;
	const uint8_t *p = take_ip(n, &ip, len);

	ck_assert_uint_eq(ip.proto, IP_PROTO_ICMP);
	ck_assert_ptr_null(icmp4_parse(p, *len, false, h));
	*len -= ICMP_HEADER;
	return p + ICMP_HEADER;
}

/* ---- looking ---- */

bool neighbour_of(const struct net *n, const struct stack_addr *addr, struct stack_neigh_info *out)
{
	for (size_t i = 0; stack_neigh_get(n->s, i, out); i++)
		if (addr_eq(&out->addr, addr))
			return true;
	return false;
}

size_t neighbour_total(const struct net *n)
{
	struct stack_neigh_info info;
	size_t i = 0;

	while (stack_neigh_get(n->s, i, &info))
		i++;
	return i;
}

struct sock *udp_bound(struct net *n, uint16_t port)
{
	struct sock *sock = stack_socket(n->s, STACK_UDP, 0, n);

	ck_assert_ptr_nonnull(sock);
	ck_assert_int_eq(stack_bind(sock, &(struct stack_endpoint){n->us, port}), 0);
	return sock;
}

unsigned events_of(struct net *n, const struct sock *sock, int *error)
{
	struct stack_event e;
	unsigned all = 0;

	while (stack_next_event(n->s, &e)) {
		if (e.sock != sock)
			continue;
		all |= e.events;
		if (error && (e.events & STACK_EVENT_ERROR))
			*error = e.error;
	}
	return all;
}

void set_int(struct net *f, struct sock *sock, int level, int name, int value)
{
	ck_assert_int_eq(stack_setsockopt(sock, f->now, level, name, &value, sizeof(value)), 0);
}
