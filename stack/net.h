/*
 * The way of a packet between transport and link.
 *
 * Out: a transport fills a struct tx (header pushed into its scratch space, payload as a
 * gather list) and calls ip_output; IP pushes its header, routes, fragments; arp_output finds
 * the neighbour and pushes the Ethernet header; link_output does what the link cannot
 * (checksum, segmentation) and transmits.
 *
 * In: link_input -> arp_input or ip4_input -> reassembly -> icmp4_input, udp_input, tcp_input.
 */
#ifndef BYWAY_STACK_NET_H
#define BYWAY_STACK_NET_H

#include "core.h"
#include "wire/wire.h"

/* ---- a packet being built ---- */

#define TX_HEADROOM 160u
#define TX_PIECES (STACK_IOV_MAX - 1)

struct tx {
	uint8_t head[TX_HEADROOM]; /* headers grow down from the end */
	uint16_t start;            /* first byte in use; headers are head[start..TX_HEADROOM) */
	uint16_t transport;        /* where the transport header starts in head[] */
	bool csum_partial;         /* sum from `transport` to the end, store at transport + csum_offset */
	uint8_t csum_offset;
	struct iovec data[TX_PIECES];
	unsigned data_count;
	uint32_t data_len;         /* sum of data */
	uint16_t gso_size;         /* payload of one frame when data_len exceeds it, else 0 */
};

static inline void tx_init(struct tx *tx)
{
	tx->start = tx->transport = TX_HEADROOM;
	tx->csum_partial = false;
	tx->csum_offset = 0;
	tx->data_count = 0;
	tx->data_len = 0;
	tx->gso_size = 0;
}

/* n bytes in front of what is there; the caller has made sure that they fit. */
static inline uint8_t *tx_push(struct tx *tx, size_t n)
{
	tx->start = (uint16_t)(tx->start - n);
	return tx->head + tx->start;
}

static inline void tx_add(struct tx *tx, const void *data, size_t len)
{
	tx->data[tx->data_count++] = (struct iovec){(void *)(uintptr_t)data, len};
	tx->data_len += (uint32_t)len;
}

/* The packet from tx->start on, into `out`. */
void tx_copy(const struct tx *tx, uint8_t *out);
/* Completes a partial checksum in software. */
void tx_finish_checksum(struct tx *tx);
/* Pieces of [offset, offset + len); returns how many, at most `count`. */
unsigned iov_slice(const struct iovec *in, unsigned count, size_t offset, size_t len, struct iovec *out);

/* ---- link.c ---- */
void link_input(struct stack *s, const struct stack_frame *frame);
/* A complete frame: does the checksum or the segmentation if the link cannot, then transmits. */
void link_output(struct stack *s, struct tx *tx);
/* A complete IP packet to ourselves: copied to the loopback queue. */
void loopback_output(struct stack *s, struct tx *tx);
/* Delivers packets to ourselves, at most `max`. True when some are left. */
bool loopback_run(struct stack *s, unsigned max);
void loopback_free(struct stack *s);

/* ---- route.c ---- */
/* 0, or -ENETUNREACH. out->source is set by the caller: any: chosen; else kept. */
int route_lookup(struct stack *s, const struct stack_addr *dst, struct route_result *out);
/* Anything that it depends on has changed. */
static inline void routes_changed(struct stack *s) { s->way.known = false; }
/* One of ours that packets may be sent to and from (not tentative); 127.0.0.0/8 too when `loopback`. */
bool address_is_ours(const struct stack *s, const struct stack_addr *addr, bool loopback);
/* 255.255.255.255, or the directed broadcast of a prefix of ours. */
bool address_is_broadcast(const struct stack *s, const struct stack_addr *addr);
bool address_is_multicast(const struct stack_addr *addr);
bool address_is_loopback(const struct stack_addr *addr);
struct address *address_find(struct stack *s, const struct stack_addr *addr);

/* ---- pmtu.c ---- */
/* The MTU of the path to dst as far as it is known, at most the link's. */
uint16_t path_mtu_get(struct stack *s, const struct stack_addr *dst);
void path_mtu_set(struct stack *s, const struct stack_addr *dst, uint16_t mtu);
/* The same for datagrams; nothing may pass whole at the least, so that there they go without DF. */
#define PATH_MTU_MIN 552u /* as the host's net.ipv4.route.min_pmtu */
uint16_t path_mtu_of_datagrams(struct stack *s, const struct stack_addr *dst);
/* An ICMP message says so of a datagram to dst; mtu 0: not how much would pass. */
void path_mtu_too_big(struct stack *s, const struct stack_addr *dst, uint16_t mtu);

/* ---- arp.c ---- */
void arp_input(struct stack *s, const uint8_t *p, size_t len);
/* Pushes the Ethernet header and sends, or queues while the neighbour is resolved. On STACK_LINK_IP just sends. */
void arp_output(struct stack *s, const struct stack_addr *next_hop, bool broadcast, struct tx *tx);
/* Upper layers know that the neighbour answers (RFC 1122 2.3.2.1: advice from higher layers). */
void arp_confirm(struct stack *s, const struct stack_addr *next_hop);
/* Probes and announces a new address of ours (RFC 5227 2.1, 2.3). */
void arp_address_start(struct stack *s, struct address *a);
void arp_timer(struct stack *s, struct timer *t);         /* TIMER_NEIGHBOUR */
void arp_address_timer(struct stack *s, struct timer *t); /* TIMER_ADDRESS */
void arp_free(struct stack *s);

/* ---- ip4.c ---- */
/* A packet from the link or from ourselves; `broadcast`: the frame was a link-layer group frame. */
struct ip4_packet {
	const uint8_t *data;  /* IP header first */
	size_t len;           /* may have padding */
	bool csum_good, broadcast, loopback, gso_udp;
	uint32_t gso_size;
};
void ip4_input(struct stack *s, const struct ip4_packet *p);

struct ip_params {
	struct stack_addr src; /* any: chosen by the route (then the checksum must not be partial yet) */
	struct stack_addr dst;
	uint8_t proto, ttl, tos;
	bool dont_fragment;
	bool may_broadcast;
	uint16_t mtu;          /* fragments are no larger, bytes; 0: as the link takes them */
};
/*
 * Sends a transport packet: routes, pushes the IP header, fragments when allowed.
 * 0, -ENETUNREACH, -EMSGSIZE (too big and dont_fragment), -EACCES (broadcast not allowed).
 */
int ip_output(struct stack *s, struct tx *tx, const struct ip_params *params);
/* The identification of a packet that may be fragmented on its way. */
uint16_t ip4_next_id(struct stack *s);
/* A transport knows that packets from src arrive at dst: the neighbour on the way is there. */
void ip_confirm(struct stack *s, const struct stack_addr *src, const struct stack_addr *dst);

/* What a transport gets. `ip`: the received IP header and 8 bytes or more behind it, for ICMP errors. */
struct ip_info {
	struct stack_addr src, dst;
	const uint8_t *ip;  /* start of the IP header */
	size_t ip_len;      /* bytes of the packet from there */
	uint8_t ttl, tos;
	bool csum_good, broadcast, loopback;
	bool gso_udp;      /* gso_size is of UDP datagrams, not of TCP segments */
	uint32_t gso_size; /* as the link says, which a transport has to check */
};

/* ---- reasm.c ---- */
/*
 * Takes a fragment. When it completes the datagram: true, *out points to a buffer of the whole
 * packet (header and payload, header fields fixed up) of *out_len bytes that the caller frees
 * with reasm_release.
 */
bool reasm_input(struct stack *s, const struct ip4_header *h, const uint8_t *packet,
		 uint8_t **out, size_t *out_len);
void reasm_release(struct stack *s, uint8_t *packet, size_t len);
void reasm_timer(struct stack *s, struct timer *t);
void reasm_free(struct stack *s);

/* ---- icmp4.c ---- */
void icmp4_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len);
/* An error about the packet in `ip`, if RFC 1122 3.2.2 allows one; rate-limited (counted). */
void icmp4_error(struct stack *s, const struct ip_info *ip, enum icmp4_type type, uint8_t code, uint32_t rest);
/*
 * An error about a packet that we sent, quoted from its IP header: to its transport. From icmp4_input and, for
 * a neighbour that does not answer, from arp.c (type ICMP_UNREACHABLE, code ICMP_HOST_UNREACHABLE, local).
 * `offender`: who says so; NULL: ourselves.
 */
void icmp4_deliver_error(struct stack *s, const struct stack_addr *offender, const uint8_t *quoted, size_t len,
			 uint8_t type, uint8_t code, uint32_t rest);

/* The error that an ICMP error means to a transport (RFC 1122 3.2.2.1, 4.2.3.9). */
struct net_error {
	int error;      /* errno, positive: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, EPROTO, ... */
	bool hard;      /* port or protocol unreachable */
	uint16_t mtu;   /* EMSGSIZE: the next hop's MTU, 0 unknown */
	uint16_t whole; /* bytes of the packet that it is about, if that had DF; else 0 */
	uint8_t type, code;         /* of the ICMP message */
	struct stack_addr offender; /* its sender; our own for a neighbour that does not answer */
	const uint8_t *quoted;      /* what it quotes behind the IP header */
	size_t quoted_len;
};

/* ---- udp.c ---- */
struct udp_sock {
	struct sock sock;
	struct datagram *head, *tail;
	struct failure *failures; /* failure.c: oldest first; NULL: none */
	struct stack_endpoint peer; /* of a connected ping socket, which stays in the table as if it had none */
	uint32_t queued, limit; /* bytes, headers of the queue included */
	bool broadcast;         /* may send to broadcast addresses */
	uint64_t drops, in, out;
};
void udp_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len);
/* Local and remote are as in our packet's header: local is our side. */
void udp_error(struct stack *s, const struct stack_endpoint *local, const struct stack_endpoint *remote,
	       const struct net_error *e);
/* That one to there was too big, which is learned. True: its socket is told. */
bool udp_too_big(const struct udp_sock *u, const struct stack_endpoint *to, const struct net_error *e);
struct sock *udp_new(struct stack *s, enum stack_proto proto, uint32_t owner, void *user);
int udp_connect(struct sock *sock, const struct stack_endpoint *remote);
void udp_close(struct sock *sock);
/* To its owner or into its queue. */
void udp_deliver(struct stack *s, struct udp_sock *u, const struct stack_endpoint *from,
		 const struct stack_arrival *how, const uint8_t *data, size_t len);
/* An error about something that it sent to `to`. */
void udp_failed(struct udp_sock *u, const struct stack_endpoint *to, const struct net_error *e);
/* Bound to exactly this or to any address, and not connected; NULL: nobody. */
struct udp_sock *udp_find(struct stack *s, enum stack_proto proto, const struct stack_addr *addr, uint16_t port);

static inline struct udp_sock *udp_of(struct sock *sock)
{
	return CONTAINER_OF(sock, struct udp_sock, sock);
}

/* ---- ping.c ---- */
/* An echo reply, its checksum verified. False: nobody asked. */
bool ping_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len);
/* An error about an echo request with this identifier. */
void ping_error(struct stack *s, const struct stack_addr *local, const struct stack_addr *remote, uint16_t id,
		const struct net_error *e);
/* 0, or what is wrong with the message that an owner wants to send: -EINVAL. */
int ping_check(const uint8_t *p, size_t len);
/* Its header with the identifier `id` and its checksum. */
void ping_header(uint8_t head[ICMP_HEADER], const uint8_t *p, size_t len, uint16_t id);

/* ---- failure.c ---- */
/* Keeps the error, if there is room. */
void failure_keep(struct udp_sock *u, const struct stack_endpoint *to, const struct net_error *e);
void failure_free_all(struct udp_sock *u);

/* ---- tcp (tcp_in.c) ---- */
void tcp_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len);
void tcp_error(struct stack *s, const struct stack_endpoint *local, const struct stack_endpoint *remote,
	       seq32 seq, const struct net_error *e);

#endif
