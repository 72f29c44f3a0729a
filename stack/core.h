/* struct stack and what all its modules share. Only files of stack/ include it. */
#ifndef BYWAY_STACK_CORE_H
#define BYWAY_STACK_CORE_H

#include "counters.h"
#include "mem.h"
#include "pcb.h"
#include "queue.h"
#include "stack.h"
#include "table.h"
#include "types.h"
#include "wheel.h"

#define SECONDS(n) ((stack_time)(n) * 1000000u)
#define MILLISECONDS(n) ((stack_time)(n) * 1000u)

#define ADDRESS_MAX 16
#define ROUTE_MAX 64
#define NEIGHBOUR_BUCKETS 256
#define REASM_SLOTS 64

struct cc_ops;

/*
 * What setsockopt can change. A socket on which nothing was changed shares its stack's own, the
 * defaults. sockopt.c knows which option is which field, and whom a change concerns.
 */
struct sock_options {
	uint32_t users;                   /* sockets that share it */
	const struct cc_ops *cc_ops;      /* NULL: the stack's */
	uint64_t pacing_limit;            /* bytes a second; UINT64_MAX: none */
	uint32_t send_buffer, recv_buffer; /* bytes; 0: the stack's, not chosen by the owner */
	uint32_t keepalive_idle_ms, keepalive_interval_ms;
	uint32_t user_timeout_ms;         /* RFC 5482; 0: none, the count of retransmissions decides */
	uint32_t notsent_lowat;           /* bytes; 0: none */
	uint32_t window_clamp;            /* bytes; 0: none */
	uint32_t recv_lowat;              /* bytes, at least 1 */
	int32_t linger2_ms;               /* of FIN-WAIT-2; 0: the stack's, -1: none at all */
	uint32_t linger_s;                /* valid while `linger` */
	uint32_t fastopen_limit;          /* of a listener: connections opened early at a time; 0: what the stack says */
	struct stack_fastopen_keys fastopen_keys; /* count 0: the stack's */
	uint16_t maxseg;                  /* bytes; 0: the link's */
	uint16_t segment;                 /* bytes of each datagram that one call sends (UDP_SEGMENT); 0: it sends one */
	uint8_t keepalive_probes;
	uint8_t syn_retries;              /* 0: the stack's */
	uint8_t defer_accept;             /* timeouts of the SYN-ACK to wait for data; 0: not at all */
	uint8_t ttl;                      /* 0: the stack's */
	uint8_t tos;                      /* ECN bits are 0 */
	uint8_t mtu_discover;             /* IP_PMTUDISC_* */
	uint8_t priority;                 /* remembered only: the link has one queue */
	bool nodelay, cork, keepalive, inq, reuse_addr, reuse_port, linger, broadcast, recv_tos, freebind;
	bool recv_ttl, packet_info;       /* remembered only: every datagram tells how it came */
	bool recv_err;                    /* errors about datagrams are kept (IP_RECVERR) */
	bool merged;                      /* the reader takes datagrams that came in one frame together (UDP_GRO) */
	bool fastopen_connect, fastopen_no_cookie;
	bool oob_inline;                  /* the urgent byte is read with the others */
};

/* A socket that somebody holds: the head of struct tcb, listener and udp_sock; by itself PCB_BOUND. */
struct sock {
	struct pcb pcb;
	struct stack *stack;
	void *user;
	union {
		struct {
			struct sock *event_next, **event_link; /* in stack->events; link NULL: not queued */
			uint32_t events;               /* STACK_EVENT_* not yet fetched */
			int32_t error;                 /* positive errno of what ended it, or pending (UDP) */
		};
		uint32_t spare[6]; /* of a connection at rest, which has neither events nor an error: tcp_rest.c */
	};
	struct sock_options *options;          /* NULL: the stack's defaults */
};

/* Token bucket: `rate` events a second, at most `burst` at once. */
struct limit {
	stack_time last;
	uint64_t tokens; /* millionths of an event */
};
#define LIMIT_EVENT 1000000u /* tokens of one event: one microsecond brings `rate` tokens */
bool limit_allow(struct limit *l, stack_time now, uint32_t rate, uint32_t burst);

struct address {
	struct stack_addr addr;
	uint32_t broadcast; /* its prefix's directed broadcast; 0: there is none (RFC 3021) */
	uint8_t prefix;
	bool used, tentative, conflict;
	uint8_t probes_left, announcements_left;
	stack_time defended; /* last defence; 0: never */
	struct timer timer;
};

struct route {
	struct stack_addr dest, gateway, source;
	uint8_t prefix;
	bool used, from_address;
};

/* The way to a destination (route.c). */
struct route_result {
	struct stack_addr source;   /* our address to use */
	struct stack_addr next_hop; /* the neighbour */
	bool loopback;              /* the destination is ourselves */
	bool broadcast;             /* limited or directed broadcast, or multicast */
};

/* What route_lookup found last, until an address or a route changes. */
struct way {
	bool known;
	struct stack_addr dst;
	struct route_result route;
};

/* A packet on its way to ourselves. */
struct loop_packet {
	struct loop_packet *next;
	uint32_t len;
	uint16_t gso_size;
	bool gso_udp;
	uint8_t data[];
};

/* What is known of the path to a destination (pmtu.c). */
struct path_mtu {
	struct stack_addr dst;
	stack_time expires; /* 0: free */
	uint16_t mtu;       /* bytes of IP packet */
};
#define PATH_MTU_MAX 64
struct path_mtus {
	struct path_mtu place[PATH_MTU_MAX];
	stack_time until; /* all of them have expired then */
};

struct neighbour;
struct reassembly;
/* Incomplete datagrams of the sources that hash here. */
struct reasm_slot {
	struct reassembly *oldest; /* oldest first */
	uint32_t count;            /* datagrams */
	size_t bytes;              /* memory that they use */
};
struct time_wait;
struct fastopen_peer;
struct listener;
struct tcb;
struct half_open;
struct half_slab;

struct stack {
	struct stack_config cfg;
	struct sock_options defaults; /* what a new socket has, from cfg */
	struct stack_ops ops;
	void *context;
	stack_time now; /* of the call in progress, or of an earlier one that was told of a later time */
	uint64_t counter[COUNTER_COUNT];
	struct mem mem;
	struct wheel wheel;
	struct table table;
	uint64_t next_id;
	uint32_t sockets;  /* sockets and full connections */
	uint64_t random_n; /* of random_u64 */
	uint8_t key_random[16], key_isn[16], key_port[16], key_ip_id[16], key_fastopen[16];

	struct sock *events, **events_tail;
	struct stack_event notice; /* STACK_EVENT_CONFLICT waiting to be fetched */
	bool has_notice;
	bool watch_ends; /* stack_ops.ended is wanted */

	/* link and network */
	struct address address[ADDRESS_MAX];
	size_t address_top; /* none is used from here on */
	uint64_t good_pair; /* IPv4 source and destination of the last packet that was for us; 0: an address has changed since */
	struct route route[ROUTE_MAX];
	size_t route_top; /* the same */
	struct way way;   /* of the last packet that went out */
	struct neighbour *neighbours; /* arp.c: the last used of a ring */
	struct neighbour *neighbour_bucket[NEIGHBOUR_BUCKETS];
	uint32_t neighbour_count;
	uint32_t neighbour_permanent; /* of them in STACK_NEIGH_PERMANENT */
	struct limit arp_limit;
	struct loop_packet *loop_head, **loop_tail;
	struct reasm_slot reasm_slot[REASM_SLOTS]; /* reasm.c */
	uint32_t reassembly_count;
	uint8_t reasm_key[16];
	struct limit icmp_limit;
	struct path_mtus path_mtus, datagram_path_mtus; /* pmtu.c: what TCP has learned, and what is said of datagrams */
	uint16_t ip_id_counter; /* enciphered, it is the identification of packets that may be fragmented */

	/* TCP */
	struct tcb *dirty, **dirty_tail;    /* connections with something to send */
	struct time_wait *tw_head, *tw_tail; /* oldest first: all wait equally long */
	struct timer tw_timer;
	uint32_t time_wait_count, half_open_count;
	struct flow_key numbered; /* the connection whose hash for tcp_isn was made last; no port: none yet */
	uint64_t numbered_hash;
	uint32_t listeners_at_one; /* listeners that are bound to one address */
	struct half_slab *half_slabs; /* room for half-open ones: the first comes with the first listener */
	struct half_open *half_free;
	uint32_t half_pool_size;      /* entries in all slabs */
	uint8_t cookie_scale;         /* window scale of SYN cookies, which have no room for it: never changed */
	stack_time cookie_sent; /* the last SYN cookie; 0: never */
	uint32_t fastopen_pending; /* opened early, the handshake not complete */
	struct fastopen_peer *fastopen_peers; /* fastopen_cache.c; NULL: not used yet */
	uint64_t fastopen_uses;
	struct limit rst_limit;
	uint32_t port_counter;
	const char *wrong; /* a defect of ours that was noticed; stack_check reports it */
};

/*
 * A call begins. Callers read the clock once for several calls, so one may come with a time from before
 * the last one's; here it never goes back.
 */
static inline void stack_at(struct stack *s, stack_time now)
{
	if (now > s->now)
		s->now = now;
}

/* Those of several stacks differ (stack_config.shards). */
static inline uint64_t shard_next_id(struct stack *s)
{
	return s->next_id++ * s->cfg.shards + s->cfg.shard;
}

/* A number that nobody outside can predict (SipHash of a counter, keyed from the seed). */
uint64_t random_u64(struct stack *s);
/* SipHash-2-4 of `len` bytes under one of the stack's keys. */
uint64_t keyed_hash(const uint8_t key[16], const void *data, size_t len);

/* Queues events for stack_next_event. */
void sock_event(struct sock *sock, unsigned events);
/* The same, and it is the next. */
void sock_event_first(struct sock *sock, unsigned events);
void sock_event_cancel(struct sock *sock);
/* Fills the head of a new socket and counts it. False: no room (nothing was done). */
bool sock_admit(struct stack *s);
void sock_init(struct sock *sock, struct stack *s, enum pcb_kind kind, uint32_t owner, void *user);
/* Puts a socket that has no address into the table under a key that no packet can have. */
void sock_park(struct sock *sock);
/* Tells stack_ops.ended, if it is wanted; while the socket still has its addresses. */
void sock_ended(struct sock *sock);
/* The end of a PCB_BOUND. */
void sock_bound_free(struct sock *sock);

/* ---- sockopt.c ---- */
static inline const struct sock_options *sock_options(const struct sock *sock)
{
	return sock->options ? sock->options : &sock->stack->defaults;
}
static inline uint8_t sock_ttl(const struct sock *sock)
{
	return sock_options(sock)->ttl ? sock_options(sock)->ttl : sock->stack->cfg.ttl;
}
/* The receive queue's limit as the owner or else the configuration has it, bytes. */
static inline uint32_t sock_recv_buffer(const struct sock *sock)
{
	return sock_options(sock)->recv_buffer ? sock_options(sock)->recv_buffer : sock->stack->cfg.recv_buffer;
}
void sock_options_default(struct stack *s);
/* A new connection gets what its listener has: they share it until one of them changes something. */
void sock_options_inherit(struct sock *to, const struct sock *from);
void sock_options_free(struct sock *sock);

/* May the socket have this address (IP_FREEBIND)? 0 or -EADDRNOTAVAIL. */
int port_check_address(const struct sock *sock, const struct stack_addr *addr);
/* And this port there (SO_REUSEADDR, SO_REUSEPORT)? 0 or -EADDRINUSE. */
int port_check(const struct sock *sock, const struct stack_endpoint *local);
/* May it listen there? */
int port_check_listen(const struct sock *sock);
/* Chooses a port (RFC 6056 3.3.3, algorithm 3); remote may be any. 0: none is free. */
uint16_t port_choose(struct stack *s, enum stack_proto proto, const struct stack_addr *local,
		     const struct stack_endpoint *remote);

#endif
