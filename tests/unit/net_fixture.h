/*
 * A stack on an Ethernet (or bare IP link) whose other stations the test plays itself: frames
 * go in by feed_*, and what the stack sends is captured and taken out one by one.
 *
 * The stack is 198.18.0.2/24, its peer 198.18.0.1; the broadcast address is 198.18.0.255.
 */
#ifndef BYWAY_TESTS_NET_FIXTURE_H
#define BYWAY_TESTS_NET_FIXTURE_H

#include "stack/checksum.h"
#include "stack/net.h"
#include "suite.h"

#define CAPTURE_MAX 4096

struct capture {
	uint8_t *data;
	size_t len;
	stack_time at;
	struct stack_output out; /* iov not valid any more */
};

struct net {
	struct stack *s;
	stack_time now;
	struct stack_addr us, peer;
	struct capture sent[CAPTURE_MAX]; /* oldest first */
	unsigned count, read;
	bool refuse;                      /* the link takes nothing */
};

extern const uint8_t our_mac[6], peer_mac[6], broadcast_mac[6];

/* 198.18.x.y */
struct stack_addr addr_of(uint8_t x, uint8_t y);

/* change may be NULL. Our address is announced and settled, and the captures are empty. */
void net_start(struct net *n, void (*change)(struct stack_config *c));
/* The same without any address. */
void net_start_bare(struct net *n, void (*change)(struct stack_config *c));
/* Fails when fragments, loopback packets, datagrams or sockets were left. */
void net_end(struct net *n);
/* Runs all that comes due within this time. */
void net_pass(struct net *n, stack_time time);
void net_run(struct net *n);
uint64_t count_of(const struct net *n, const char *name);
size_t memory_of(const struct net *n, enum mem_class class);

/* Any frame. */
void feed_frame(struct net *n, const void *frame, size_t len);
/* A link-layer frame around `payload`. */
void feed_ethernet(struct net *n, const uint8_t dst[6], uint16_t type, const void *payload, size_t len);
void feed_arp(struct net *n, uint16_t op, const uint8_t mac[6], const struct stack_addr *sender,
	      const struct stack_addr *target);
/* An IP packet; header_len, total_len, ttl (when 0) are filled in. */
void feed_ip(struct net *n, struct ip4_header h, const void *payload, size_t len);
/* A UDP datagram from the peer's port 5000 with a good checksum. */
void feed_udp(struct net *n, const struct stack_addr *src, const struct stack_addr *dst, uint16_t dport,
	      const void *data, size_t len);
void feed_icmp(struct net *n, const struct stack_addr *src, const struct stack_addr *dst,
	       uint8_t type, uint8_t code, uint32_t rest, const void *payload, size_t len);
/* The peer becomes known, by a request for us; the answer is taken. */
void know_peer(struct net *n);

/* The next frame the stack sent; fails the test when there is none. */
const struct capture *take_frame(struct net *n);
void expect_silence(struct net *n);
/* The next frame must be ARP. */
struct arp_packet take_arp(struct net *n);
/* The next frame must be an IP packet; returns its payload. */
const uint8_t *take_ip(struct net *n, struct ip4_header *h, size_t *len);
/* The next frame must be ICMP; returns what follows its header. */
const uint8_t *take_icmp(struct net *n, struct icmp4_header *h, size_t *len);
void forget(struct net *n); /* all that was sent */

/* Finds an entry in the neighbour table. */
bool neighbour_of(const struct net *n, const struct stack_addr *addr, struct stack_neigh_info *out);
size_t neighbour_total(const struct net *n);
/* A UDP socket bound to (us, port); `user` not NULL. */
struct sock *udp_bound(struct net *n, uint16_t port);
/* The events of one socket, all others dropped; *error: with STACK_EVENT_ERROR. */
unsigned events_of(struct net *n, const struct sock *sock, int *error);

/* setsockopt with an int; fails the test when the stack refuses it. */
void set_int(struct net *f, struct sock *sock, int level, int name, int value);

#endif
