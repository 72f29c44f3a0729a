/*
 * libstack: a TCP/IP stack as a pure library.
 *
 * Bytes and the time go in; bytes, events and the next deadline come out.
 * There is no system call, no clock, no thread and no writable static in here:
 * everything hangs off `struct stack`, and a process can hold thousands.
 *
 * The loop of a user:
 *
 *      stack_input(s, now, &frame);            for each frame of a batch
 *      stack_run(s, now);                      timers, then output: one ACK a batch
 *      while (stack_next_event(s, &event)) ... sockets that became ready
 *      wait until stack_deadline(s) or the next frame
 *
 * Units: time in microseconds of any monotonic clock; lengths in bytes; ports in
 * host byte order; addresses in network byte order. Functions that can fail
 * return 0 or a negative errno unless they say otherwise.
 */
#ifndef BYWAY_STACK_H
#define BYWAY_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct stack; /* one TCP/IP stack */
struct stack_tcb_info;
struct sock;  /* one socket of it; valid from its making to stack_close or stack_abort */

typedef uint64_t stack_time; /* microseconds */
#define STACK_NEVER UINT64_MAX

/* An address, 16 bytes in network order; IPv4 is mapped (::ffff:a.b.c.d). All zero: any. */
struct stack_addr {
	uint8_t byte[16];
};

struct stack_endpoint {
	struct stack_addr addr;
	uint16_t port; /* host order; 0: any */
};

/* How a datagram came. */
struct stack_arrival {
	struct stack_addr to; /* where it was sent to: an address of ours, a broadcast or multicast address */
	uint8_t ttl, tos;     /* of its IP header */
	uint16_t segment;     /* not 0: several datagrams of so many bytes, the last may have less (UDP_GRO) */
};

/* ---- configuration ---- */

enum stack_link_type {
	STACK_LINK_ETHERNET, /* Ethernet II frames (TAP) */
	STACK_LINK_IP        /* bare IP packets (TUN) */
};

/* What the link does for us on the way out; without these, software at the link's edge does. */
#define STACK_OFFLOAD_CSUM (1u << 0) /* fills in a TCP or UDP checksum */
#define STACK_OFFLOAD_TSO4 (1u << 1) /* cuts a TCP segment into frames of gso_size payload; needs CSUM */
#define STACK_OFFLOAD_USO4 (1u << 2) /* the same with UDP datagrams */

/* How an address is defended against a second user of it (RFC 5227). */
enum stack_probe {
	STACK_PROBE_OFF,        /* announce only */
	STACK_PROBE_OPTIMISTIC, /* used at once, probed meanwhile; a conflict is reported */
	STACK_PROBE_STRICT      /* RFC 5227 2.1.1: not used before the probes went unanswered */
};

/* Explicit congestion notification (RFC 3168). */
enum stack_ecn {
	STACK_ECN_OFF,
	STACK_ECN_ACCEPT, /* when the peer asks for it */
	STACK_ECN_ASK     /* in our own connects too */
};

/* Path MTU without ICMP (RFC 4821). */
enum stack_mtu_probing {
	STACK_MTU_PROBE_OFF,
	STACK_MTU_PROBE_BLACK_HOLE, /* once full segments get no answer at all */
	STACK_MTU_PROBE_ALWAYS      /* every connection begins small and works its way up */
};

/* Uses of TCP Fast Open (RFC 7413); the numbers are those of the host's sysctl. */
#define STACK_FASTOPEN_CLIENT 1u            /* stack_connect_data may be used */
#define STACK_FASTOPEN_SERVER 2u            /* listeners with a limit may take data in a SYN */
#define STACK_FASTOPEN_CLIENT_NO_COOKIE 4u  /* sends data without having a cookie */
#define STACK_FASTOPEN_SERVER_NO_COOKIE 0x200u /* takes data without a cookie */
#define STACK_FASTOPEN_ALL_LISTENERS 0x400u /* listeners get their backlog for a limit */

/* Keys that a server makes cookies with: the first one. The second checks those made before. */
struct stack_fastopen_keys {
	uint8_t key[2][16];
	uint8_t count; /* 0: none, others are used */
};

#define STACK_IOV_MAX 12
#define STACK_TCP_PAYLOAD_MAX 65160u /* most payload in one TCP segment inside the stack */
#define STACK_UDP_SEGMENTS 128u      /* most datagrams in one frame, and in one call (UDP_SEGMENT) */

/* One frame for the link. Valid only during the call of `transmit`. */
struct stack_output {
	struct iovec iov[STACK_IOV_MAX]; /* the frame: headers in scratch, payload in the send buffer */
	unsigned iov_count;
	size_t len;           /* sum of iov */
	bool csum_partial;    /* link must sum from csum_start to the end and store at csum_start + csum_offset; */
	uint16_t csum_start;  /* the field holds the pseudo header's sum (as virtio-net's NEEDS_CSUM) */
	uint16_t csum_offset;
	uint16_t gso_size;    /* not 0: cut the payload into pieces of this many bytes (implies csum_partial) */
	uint16_t header_len;  /* link, IP and transport headers together, when gso_size is set */
	bool gso_udp;         /* the pieces are UDP datagrams, not TCP segments */
};

/* What the stack calls. None of them may call back into the stack, except where noted. */
struct stack_ops {
	/* Sends a frame. False: the link could not take it (counted, dropped). */
	bool (*transmit)(void *context, const struct stack_output *out);
	/*
	 * In-order TCP payload straight out of a frame. Returns how many of the bytes the reader
	 * took; the rest is stored. Called only while nothing is stored. May use stack_send_space
	 * and stack_send_commit on the same socket. `sock` and `user` as given to stack_socket.
	 * May be NULL: everything is stored.
	 */
	size_t (*receive)(void *context, struct sock *sock, void *user, const void *data, size_t len);
	/* The same for one datagram: true when taken, false to have it queued. May be NULL. */
	bool (*datagram)(void *context, struct sock *sock, void *user,
			 const struct stack_endpoint *from, const struct stack_arrival *how,
			 const void *data, size_t len);
	/*
	 * A socket has come to its end: a connection is closed, reset or in TIME-WAIT, another socket
	 * was closed. It has the addresses that it had, state TCP_CLOSED and no user. Called while
	 * stack_watch_ends is on. May be NULL.
	 */
	void (*ended)(void *context, const struct stack_tcb_info *last);
	/*
	 * Of several stacks that share an address: is this the one that gets what comes for a
	 * connection between the two? A port that the stack chooses is such a one. May be NULL: it is.
	 */
	bool (*ours)(void *context, const struct stack_endpoint *local, const struct stack_endpoint *remote);
	/*
	 * An IPv4 packet, whole, that came in fragments: true when another stack was given it, for
	 * which it is. May be NULL.
	 */
	bool (*elsewhere)(void *context, const uint8_t *packet, size_t len);
};

/* Filled by stack_config_default; a zeroed one is not valid. */
struct stack_config {
	uint8_t seed[32]; /* every secret and every random choice comes from it */
	enum stack_link_type link;
	uint8_t mac[6];   /* our hardware address, STACK_LINK_ETHERNET */
	uint16_t mtu;     /* bytes of IP packet, 68 to 65535 */
	unsigned offload; /* STACK_OFFLOAD_* */
	enum stack_probe probe;
	uint8_t shard, shards; /* it is one of so many that share an address: ids of its sockets are `shard` modulo `shards` */

	/* memory budgets, bytes */
	size_t mem_total;      /* everything of this stack */
	uint32_t send_buffer;  /* one socket's send queue with its bookkeeping, at first */
	uint32_t recv_buffer;  /* one socket's receive queue, at first: the largest window offered */
	uint32_t send_buffer_max; /* as far as they grow by themselves; below the first size: they do not */
	uint32_t recv_buffer_max; /* it decides the window scale */
	size_t mem_ooo;        /* out-of-order data, all sockets */
	size_t mem_fragments;  /* incomplete IP datagrams */
	uint32_t half_open_max;  /* connections in SYN-RECEIVED, all listeners */
	uint32_t time_wait_max;  /* connections in TIME-WAIT */
	uint32_t sockets_max;    /* everything else */
	uint32_t neighbours_max; /* ARP cache entries */

	/* TCP */
	uint16_t port_first, port_last; /* ephemeral ports (RFC 6056) */
	uint8_t syn_retries;    /* retransmissions of our SYN before ETIMEDOUT */
	uint8_t synack_retries; /* the same of a SYN-ACK */
	uint8_t data_retries;   /* the same of data and FIN (RFC 9293 R2) */
	uint8_t orphan_retries; /* the same after the owner has closed */
	stack_time rto_min, rto_max, rto_initial;
	stack_time rto_margin; /* the RTO is so much above the smoothed round-trip time, at least: for ACKs that are held back */
	stack_time delayed_ack;
	stack_time probe_ack_delay; /* a lone segment is probed for so much later: its ACK may be delayed */
	uint8_t quick_acks;     /* segments acknowledged at once when data begins to come, so that the peer's window grows */
	stack_time time_wait;   /* 2 MSL */
	stack_time fin_wait_2;  /* limit after the owner has closed */
	stack_time keepalive_idle, keepalive_interval;
	uint8_t keepalive_probes;
	bool timestamps, window_scaling, sack;
	enum stack_ecn ecn;
	enum stack_mtu_probing mtu_probing;
	char congestion_control[16]; /* "cubic", "newreno", "bbr" */
	bool pacing; /* of algorithms that do not ask for it too */
	uint32_t notsent_lowat; /* bytes that may wait to be sent, unless TCP_NOTSENT_LOWAT says otherwise; 0: as the send buffer has room */
	uint8_t slow_start_limit; /* segments that one ACK may let slow start grow by, without pacing; 0: no limit */
	uint8_t frame_segments; /* a large frame has so many at least, where the window allows, however low the rate */
	unsigned fastopen;         /* STACK_FASTOPEN_* */
	struct stack_fastopen_keys fastopen_keys; /* count 0: made from the seed, and changed twice a day */
	uint8_t fastopen_seed[16]; /* of several shards: that seed, the same for all, as each has to know the others' cookies */
	stack_time rest_after; /* of silence until an idle connection gives back the memory that only traffic needs */
	stack_time fastopen_pause; /* no Fast Open to a server where it failed; doubles with each failure. 0: never */

	/* rate limits: events in a second, and burst */
	uint32_t icmp_rate, icmp_burst;
	uint32_t rst_rate, rst_burst;

	uint8_t ttl; /* of packets sent */
};

void stack_config_default(struct stack_config *config);
bool stack_congestion_control_known(const char *name);

/* ---- the stack ---- */

/* NULL when memory is short or the configuration is not valid. `context` goes to the ops. */
struct stack *stack_new(const struct stack_config *config, const struct stack_ops *ops,
			void *context, stack_time now);
/* Frees everything at once; sends nothing. */
void stack_free(struct stack *s);

/* A received frame with what the link knows of it. */
struct stack_frame {
	const uint8_t *data;
	size_t len;
	bool csum_good;    /* transport checksum verified, or not needed */
	uint16_t gso_size; /* not 0: several segments of this payload merged into one */
	bool gso_udp;      /* these are UDP datagrams; else TCP segments. Of another transport's packet gso_size says nothing */
};
void stack_input(struct stack *s, stack_time now, const struct stack_frame *frame);

/* Runs timers that are due and sends what is ready. Bounded; true: call again (work is left). */
bool stack_run(struct stack *s, stack_time now);

/* When stack_run must be called next at the latest; STACK_NEVER: only after an input. */
stack_time stack_deadline(const struct stack *s);

/* Aborts or closes everything in order: each connection gets FIN (or RST when `abort`). */
void stack_shutdown_all(struct stack *s, stack_time now, bool abort);
/* stack_close for every TCP connection that has this for its user pointer. Returns how many there were. */
uint64_t stack_close_all(struct stack *s, stack_time now, const void *user);

/* Takes effect for new connections and sockets. Budgets, retries, timers; not link, seed, tables. */
void stack_reconfigure(struct stack *s, const struct stack_config *config);

/* ---- addresses, routes, neighbours ---- */

int stack_address_add(struct stack *s, stack_time now, const struct stack_addr *addr, uint8_t prefix);
int stack_address_remove(struct stack *s, const struct stack_addr *addr);
struct stack_address_info {
	struct stack_addr addr;
	uint8_t prefix;    /* bits of the IPv4 address, 0 to 32 */
	bool tentative;    /* being probed */
	bool conflict;     /* somebody else claims it */
};
/* The i-th address; false past the last. */
bool stack_address_get(const struct stack *s, size_t i, struct stack_address_info *out);

/* gateway all zero: on the link. -EEXIST, -ENOSPC, -ENETUNREACH (gateway not on the link). */
int stack_route_add(struct stack *s, const struct stack_addr *dest, uint8_t prefix,
		    const struct stack_addr *gateway);
int stack_route_remove(struct stack *s, const struct stack_addr *dest, uint8_t prefix);
struct stack_route_info {
	struct stack_addr dest, gateway, source;
	uint8_t prefix;
	bool from_address; /* made by stack_address_add */
};
bool stack_route_get(const struct stack *s, size_t i, struct stack_route_info *out);
/*
 * As stack_route_add, with the source to use (all zero: chosen; -EADDRNOTAVAIL: not one of ours). `replace`: a
 * route to the same prefix that stack_route_add made is changed.
 */
int stack_route_set(struct stack *s, const struct stack_route_info *route, bool replace);

/* How a packet would go. */
struct stack_way {
	enum { STACK_WAY_UNICAST, STACK_WAY_LOCAL, STACK_WAY_BROADCAST, STACK_WAY_MULTICAST } kind;
	struct stack_addr source;  /* that it would have */
	struct stack_addr gateway; /* all zero: its destination is on the link, or ourselves */
};
/* 0 or -ENETUNREACH. */
int stack_route_find(struct stack *s, const struct stack_addr *dest, struct stack_way *out);

enum stack_neigh_state {
	STACK_NEIGH_INCOMPLETE,
	STACK_NEIGH_REACHABLE,
	STACK_NEIGH_STALE,
	STACK_NEIGH_PROBE,
	STACK_NEIGH_FAILED,
	STACK_NEIGH_PERMANENT /* set by stack_neigh_set: stays, whatever the link says */
};
struct stack_neigh_info {
	struct stack_addr addr;
	uint8_t mac[6];
	enum stack_neigh_state state;
	stack_time updated; /* when it last changed */
	uint32_t queued;    /* packets that wait */
};
bool stack_neigh_get(const struct stack *s, size_t i, struct stack_neigh_info *out);
/* By its address; false: there is none. */
bool stack_neigh_find(struct stack *s, const struct stack_addr *addr, struct stack_neigh_info *out);
/*
 * Makes or changes an entry; state: PERMANENT, REACHABLE or STALE. -EINVAL: another state, or an
 * address that no neighbour can have. -EOPNOTSUPP: STACK_LINK_IP has no neighbours. -ENOBUFS:
 * half of the cache is permanent, or memory is short.
 */
int stack_neigh_set(struct stack *s, stack_time now, const struct stack_addr *addr, const uint8_t mac[6],
		    enum stack_neigh_state state);
/* -ENOENT. What waits for it is dropped. */
int stack_neigh_remove(struct stack *s, stack_time now, const struct stack_addr *addr);
const char *stack_neigh_state_name(enum stack_neigh_state state);

/* ---- sockets ---- */

/* STACK_PING: ICMP echo requests and the replies to them, each a whole ICMP message; the port is their identifier. */
enum stack_proto { STACK_TCP, STACK_UDP, STACK_PING };

enum tcp_state {
	TCP_CLOSED, TCP_LISTEN, TCP_SYN_SENT, TCP_SYN_RECEIVED, TCP_ESTABLISHED,
	TCP_FIN_WAIT_1, TCP_FIN_WAIT_2, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_LAST_ACK, TCP_TIME_WAIT
};
#define TCP_STATE_COUNT 11
const char *stack_tcp_state_name(enum tcp_state state); /* "FIN-WAIT-1" */

/*
 * A socket that is neither bound nor connected. `owner` is carried to every connection that
 * comes of it and shown in stack_sock_info (a uid, for instance); the stack does not read it.
 * NULL when the budget is spent.
 */
struct sock *stack_socket(struct stack *s, enum stack_proto proto, uint32_t owner, void *user);
void stack_set_user(struct sock *sock, void *user);
void *stack_user(const struct sock *sock);
uint64_t stack_id(const struct sock *sock);

/* Port 0 chooses one (RFC 6056). -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL (bound already). */
int stack_bind(struct sock *sock, const struct stack_endpoint *local);

/*
 * Turns the (bound) socket into a listening one. `*sock` is replaced. backlog: the accept
 * queue's limit in connections, at least 1. Again on a listening socket: sets the limit.
 */
int stack_listen(struct sock **sock, uint32_t backlog);
/* The next established connection or NULL. Its user pointer is NULL until stack_set_user. */
struct sock *stack_accept(struct sock *listener);

/*
 * TCP: starts the handshake; `*sock` is replaced; STACK_EVENT_CONNECTED or _ERROR follows.
 * UDP: fixes the peer. Chooses local address and port when unbound.
 * -ENETUNREACH, -EADDRNOTAVAIL, -EISCONN, -ENOBUFS, -EINVAL.
 */
int stack_connect(struct sock **sock, stack_time now, const struct stack_endpoint *remote);

/*
 * TCP Fast Open (RFC 7413), client: as stack_connect, and the SYN carries what it can of `data`.
 * Returns the bytes taken, in order from the first; 0 when no cookie is known yet, and the SYN
 * asks for one. What was not taken may be sent with stack_send at once. -EOPNOTSUPP: switched off.
 * With TCP_FASTOPEN_NO_COOKIE a cookie is neither needed nor asked for.
 */
ptrdiff_t stack_connect_data(struct sock **sock, stack_time now, const struct stack_endpoint *remote,
			     const void *data, size_t len);
/* Would a SYN to there carry data? */
bool stack_fastopen_known(const struct sock *sock, const struct stack_endpoint *remote);
/* Forgets all cookies that servers gave us, and what failed. */
void stack_fastopen_forget(struct stack *s);
/* Why Fast Open did not work in a connection of ours; the numbers are those of the host's tcp_info. */
enum stack_fastopen_failure {
	STACK_FASTOPEN_NO_FAILURE,
	STACK_FASTOPEN_NO_COOKIE,      /* there was none */
	STACK_FASTOPEN_DATA_NOT_ACKED, /* the SYN-ACK did not take all of it */
	STACK_FASTOPEN_SYN_AGAIN       /* the SYN had to go again, without data */
};

/*
 * TCP send: the stack lends free space of its send queue, at most `want` bytes; the caller
 * fills it from the start and commits what it filled (0 is fine). One loan at a time, and it
 * must be committed before any other call on the stack. Returns the bytes lent.
 */
size_t stack_send_space(struct sock *sock, size_t want, struct iovec *iov, unsigned *iov_count);
void stack_send_commit(struct sock *sock, stack_time now, size_t len);
/* So much room that poll(2) would say so; STACK_EVENT_WRITABLE comes no sooner. */
bool stack_send_ready(const struct sock *sock);
/* Copies; returns the bytes taken, -EPIPE after shutdown, -ENOTCONN, or the socket's error. */
ptrdiff_t stack_send(struct sock *sock, stack_time now, const void *data, size_t len);

/*
 * More is to follow what was written last (MSG_MORE): of that, what fills no segment waits for the next write,
 * an ACK, or 200 ms, and nothing of it is pushed (RFC 9293 3.9.1.2).
 */
void stack_send_more(struct sock *sock);
/*
 * For a writer that has more at hand: what is queued goes as far as the windows let it, now and not with stack_run.
 * Runs no timer and looks at nothing that came, so nothing else of the stack moves.
 */
void stack_send_now(struct sock *sock, stack_time now);
/* What is queued so far ends a record (MSG_EOR): no segment carries bytes from both sides of that. */
void stack_send_record_end(struct sock *sock);

/* TCP receive: what is stored in order, up to `*iov_count` pieces; returns their bytes. */
size_t stack_recv_peek(struct sock *sock, struct iovec *iov, unsigned *iov_count);
void stack_recv_consume(struct sock *sock, stack_time now, size_t len);
/* Copies; 0: end of stream, -EAGAIN: nothing yet, or the socket's error. */
ptrdiff_t stack_recv(struct sock *sock, stack_time now, void *data, size_t len);

/*
 * Urgent data. What is read in order ends at the mark, where the last urgent byte is. Without
 * SO_OOBINLINE that byte is not read in order; it is read with stack_recv_urgent once, until the
 * reader has passed the mark.
 */
/* 1; -EAGAIN: it has not come yet; -EINVAL: there is none, it was read, or SO_OOBINLINE. */
int stack_recv_urgent(struct sock *sock, uint8_t *byte, bool peek);
/* It has come, and nobody has read it (POLLPRI). */
bool stack_urgent_waits(const struct sock *sock);
/* What is read next is behind the mark (SIOCATMARK). */
bool stack_at_mark(const struct sock *sock);
/* What is queued so far ends with an urgent byte (MSG_OOB). */
void stack_send_urgent(struct sock *sock);

/* UDP. `to` NULL: the connected peer. -EMSGSIZE, -ENETUNREACH, -EDESTADDRREQ, -ENOBUFS, or a pending error. */
ptrdiff_t stack_sendto(struct sock *sock, stack_time now, const struct stack_endpoint *to,
		       const void *data, size_t len);
/* Takes the oldest datagram; returns its whole length (may exceed `len`), -EAGAIN, or a pending error. */
ptrdiff_t stack_recvfrom(struct sock *sock, void *data, size_t len, struct stack_endpoint *from);
/* The same, and how it came; a pending error stays pending (SO_ERROR). */
ptrdiff_t stack_recvmsg(struct sock *sock, void *data, size_t len, struct stack_endpoint *from,
			struct stack_arrival *how);

/* What one datagram has in place of what its socket has. */
struct stack_departure {
	struct stack_addr source; /* any: as it comes; else -ENETUNREACH when it is not one of ours */
	uint8_t ttl;              /* 0: the socket's */
	int16_t tos;              /* -1: the socket's */
	bool keep_error;          /* a pending error stays pending, and is no reason not to send */
	bool has_segment;         /* not the socket's UDP_SEGMENT, but */
	uint16_t segment;         /* bytes of each datagram that the data is cut into; 0: it is one */
};
ptrdiff_t stack_sendmsg(struct sock *sock, stack_time now, const struct stack_endpoint *to,
			const struct stack_departure *how, const void *data, size_t len);

/* An ICMP error about a datagram that was sent, as IP_RECVERR keeps it. */
struct stack_failure {
	int error;                  /* errno, positive */
	uint8_t type, code;         /* of the ICMP message */
	uint32_t info;              /* the next hop's MTU, with EMSGSIZE */
	struct stack_addr offender; /* who said so */
	struct stack_endpoint to;   /* where the datagram was sent to */
};
/*
 * Takes the oldest error of a socket with IP_RECVERR, and what it quotes of the datagram's
 * payload; returns the quote's whole length, or -EAGAIN. Pending (SO_ERROR) is the next one then.
 */
ptrdiff_t stack_recverr(struct sock *sock, struct stack_failure *out, void *data, size_t len);

/* FIN after what is queued (half close). */
int stack_shutdown(struct sock *sock, stack_time now);
/* The owner is gone: RST when received data was not read (RFC 9293 3.6.1), FIN otherwise. The handle dies. */
void stack_close(struct sock *sock, stack_time now);
/* RST at once (RFC 9293 3.10.5). The handle dies. */
void stack_abort(struct sock *sock, stack_time now);
/* Kills by id whatever it is, half-open and TIME-WAIT too; a held socket gets ECONNABORTED. -ENOENT. */
int stack_destroy(struct stack *s, stack_time now, uint64_t id);

/*
 * setsockopt(2) and getsockopt(2) with the host's numbers (SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP,
 * IPPROTO_UDP) and the host's meaning; 0 or the host's error: -EINVAL, -ENOPROTOOPT, -ENOENT, -ENOTCONN, -EPERM,
 * -ENOMEM, ... A socket that is not connected yet takes its options along to the connection,
 * a listening one gives them to those that it accepts. What makes calls block (SO_RCVTIMEO,
 * SO_SNDTIMEO, the waiting of SO_LINGER) is the caller's.
 */
int stack_setsockopt(struct sock *sock, stack_time now, int level, int name, const void *value, size_t len);
/* *len: the bytes there is room for, then those filled in. */
int stack_getsockopt(struct sock *sock, stack_time now, int level, int name, void *value, size_t *len);
/* `to`, which may be of another stack and is not connected, gets what was set on `from`. 0 or -ENOMEM. */
int stack_copy_options(struct sock *to, const struct sock *from);
/* ioctl(2) for SIOCINQ, SIOCATMARK, SIOCOUTQ and SIOCOUTQNSD. -EINVAL: listening; -ENOTTY: another request. */
int stack_ioctl(const struct sock *sock, unsigned long request, int *value);

/* ---- events ---- */

#define STACK_EVENT_CONNECTED (1u << 0) /* our connect succeeded */
#define STACK_EVENT_READABLE  (1u << 1) /* data was stored */
#define STACK_EVENT_WRITABLE  (1u << 2) /* the send queue has room again */
#define STACK_EVENT_EOF       (1u << 3) /* the peer's FIN came and all data before it is stored or taken */
#define STACK_EVENT_ERROR     (1u << 4) /* see `error`: the connection is gone */
#define STACK_EVENT_ACCEPT    (1u << 5) /* the accept queue is not empty */
#define STACK_EVENT_CLOSED    (1u << 6) /* both directions ended in order */
#define STACK_EVENT_URGENT    (1u << 8) /* stack_urgent_waits */
#define STACK_EVENT_CONFLICT  (1u << 7) /* no socket: another host claims one of our addresses */

struct stack_event {
	struct sock *sock; /* NULL: about the stack itself */
	void *user;
	unsigned events;
	int error;         /* a positive errno, with STACK_EVENT_ERROR */
	struct stack_addr addr; /* STACK_EVENT_CONFLICT */
	uint8_t mac[6];
};
bool stack_next_event(struct stack *s, struct stack_event *event);
/*
 * The same if it is a listener's. Who asks after each frame accepts a connection before its data
 * comes, which then goes straight to the reader.
 */
bool stack_next_accept(struct stack *s, struct stack_event *event);

/* ---- looking in ---- */

struct stack_sock_info {
	uint64_t id;
	enum stack_proto proto;
	enum tcp_state state; /* UDP: TCP_ESTABLISHED when connected, else TCP_CLOSED, as the host shows it */
	struct stack_endpoint local, remote;
	uint64_t recv_q; /* bytes not read; listening: accept queue's length */
	uint64_t send_q; /* bytes not acknowledged; listening: accept queue's limit */
	uint32_t owner;
	uint32_t half_open; /* listening: connections in SYN-RECEIVED */
	void *user;      /* NULL: nobody holds it (half-open, TIME-WAIT, closed by its owner, not accepted) */
	uint64_t drops;  /* datagrams dropped for lack of room; connections refused by a full queue */
	bool port_chosen; /* nobody asked for the local port: the stack chose it, or it is a listener's */
};

/*
 * Visits sockets from `*cursor` (start with 0) until `visit` returns false or about `batch`
 * were seen; false when the walk is complete. Sockets that live through the whole walk are
 * seen at least once, even when the table grows meanwhile. `visit` must not change sockets.
 */
bool stack_walk(struct stack *s, uint64_t *cursor, size_t batch,
		bool (*visit)(void *arg, const struct stack_sock_info *info), void *arg);
/*
 * The socket with this id is the one with these addresses, if that is so: then stack_find, stack_tcb
 * and stack_destroy of it have not to look through the table, up to the next stack_name.
 */
void stack_name(struct stack *s, enum stack_proto proto, const struct stack_endpoint *local,
		const struct stack_endpoint *remote, uint64_t id);
/* By its id: looks through the table. */
bool stack_find(struct stack *s, uint64_t id, struct stack_sock_info *out);
/* The socket itself, bound or not, if it has a user pointer; else NULL. */
struct sock *stack_sock(struct stack *s, uint64_t id);
/* The same of a socket that is held, at once. */
void stack_info(const struct sock *sock, struct stack_sock_info *out);
enum tcp_state stack_state(const struct sock *sock); /* of it the state alone */

enum stack_timer {
	STACK_TIMER_REXMT, STACK_TIMER_PERSIST, STACK_TIMER_DELACK, STACK_TIMER_KEEPALIVE,
	STACK_TIMER_FIN_WAIT_2, STACK_TIMER_LOSS_PROBE, STACK_TIMER_REORDER, STACK_TIMER_PACE, STACK_TIMER_TIME_WAIT
};
#define STACK_TIMER_COUNT 9
const char *stack_timer_name(enum stack_timer timer);

#define STACK_HISTORY 8
struct stack_change {
	stack_time at;
	enum tcp_state from, to;
	const char *cause; /* static text: "SYN received" */
};

/* One control block, every field (RFC 9293 3.3.1 names). Fields that a compact form lacks are 0. */
struct stack_tcb_info {
	struct stack_sock_info sock;
	const char *form; /* "full", "half-open", "time-wait", "listen", "bound", "udp" */
	stack_time created;
	/* send sequence space */
	uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_up, snd_wl1, snd_wl2, max_snd_wnd;
	/* receive sequence space */
	uint32_t irs, rcv_nxt, rcv_wnd, rcv_up, rcv_adv;
	uint8_t snd_scale, rcv_scale;
	/* sizes */
	uint16_t mss_send, mss_recv, mss_peer, mtu;
	/* congestion control and recovery */
	const char *cc_name, *recovery; /* "open", "fast-recovery", "loss", "cwr" */
	uint32_t cwnd, ssthresh, flight, recover, dupacks;
	uint32_t sacked, lost; /* bytes in flight that the peer has, and that are taken for lost */
	bool reordering;       /* seen on this path */
	uint64_t pacing_rate;   /* bytes a second; 0: not paced */
	uint64_t delivery_rate; /* the last measurement, bytes a second; 0: none */
	bool delivery_limited;  /* which the application held back: the path may do more */
	const char *bbr_mode;   /* "startup", "probe-bw-cruise"; NULL: another algorithm */
	uint64_t bbr_bw;        /* bytes a second */
	uint32_t bbr_min_rtt;   /* microseconds */
	uint32_t bbr_pacing_gain, bbr_cwnd_gain; /* times 256 */
	uint64_t bbr_inflight_hi, bbr_inflight_lo; /* bytes; 0: not bounded */
	/* times, microseconds */
	uint64_t srtt, rttvar, rto, rtt_min;
	uint32_t backoff, retries;
	stack_time timer[STACK_TIMER_COUNT]; /* when due; STACK_NEVER: not running */
	/* buffers, bytes */
	uint64_t send_buffer, recv_buffer, ooo_bytes, memory;
	uint32_t rcv_space; /* bytes that the reader took in the best round trip so far */
	uint32_t rcv_rtt;   /* round-trip time as the receiver sees it, microseconds; 0: not measured */
	uint16_t mtu_high, mtu_probe; /* largest path MTU that may pass, and the probe in flight; 0: no search */
	uint32_t ooo_ranges;
	/* counters */
	uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retransmitted;
	uint64_t segments_in, segments_out, retransmissions, dupacks_in, ooo_in;
	/* options */
	bool opt_timestamps, opt_window_scaling, opt_sack, opt_ecn, nodelay, keepalive;
	bool fin_sent, fin_received, user_closed;
	bool syn_data;            /* data in a SYN was taken (RFC 7413), ours or the peer's */
	uint8_t fastopen_failure; /* enum stack_fastopen_failure */
	int error;
	bool listened;         /* for stack_ops.ended: it was a listener */
	struct stack_change history[STACK_HISTORY]; /* oldest first */
	unsigned history_count;
	/* for tcp_info: times of the last ones, bytes in flight that were sent again, and counts of segments */
	stack_time last_data_sent, last_data_received, last_ack_received;
	uint32_t sent_again, data_segments_in, data_segments_out, delivered, delivered_ce, dsacks_in, reorder_seen;
	uint32_t reorder_degree; /* most segments that data was overtaken by; 0: none was */
	uint32_t probes;         /* keepalives or window probes that were not answered */
	uint32_t window_clamp, ato; /* bytes; microseconds */
	uint16_t mss_seen;       /* the largest segment that came */
	uint64_t pacing_limit;   /* SO_MAX_PACING_RATE, bytes a second; UINT64_MAX: none */
	uint64_t busy, window_limited, buffer_limited; /* microseconds: of sending, of them held up by either */
};
struct tcp_info;
/* The host's struct tcp_info (linux/tcp.h) of it, as getsockopt(TCP_INFO) has it. */
void stack_tcp_info(const struct stack_tcb_info *t, stack_time now, struct tcp_info *out);
bool stack_tcb(struct stack *s, stack_time now, uint64_t id, struct stack_tcb_info *out);
/* The same of a socket that is held, at once, and even when its connection has ended. */
void stack_tcb_held(const struct sock *sock, stack_time now, struct stack_tcb_info *out);
/* The same of a socket that stack_walk shows, from inside `visit` too: found by its addresses. */
bool stack_tcb_of(struct stack *s, stack_time now, const struct stack_sock_info *info, struct stack_tcb_info *out);

/* Whether stack_ops.ended is called. Off at first. */
void stack_watch_ends(struct stack *s, bool on);

/* Counters: a fixed list; names are stable, "tcp.retransmissions". */
size_t stack_counter_count(void);
const char *stack_counter_name(size_t i);
const char *stack_counter_help(size_t i);
uint64_t stack_counter(const struct stack *s, size_t i);
/* Payload that connections have sent and received so far, bytes: whether they are in use. */
uint64_t stack_bytes_moved(const struct stack *s);
/* As many connections are being opened as may be: a further SYN is answered by a cookie. */
bool stack_half_open_full(const struct stack *s);
/* Memory in use by class, and the limit; name NULL past the last. */
const char *stack_memory(const struct stack *s, size_t i, uint64_t *used, uint64_t *limit);

/* Checks the invariants of the socket (all of the stack when NULL): NULL, or what is wrong. For tests. */
const char *stack_check(struct stack *s);

/* ---- addresses ---- */

static inline bool stack_addr_is_any(const struct stack_addr *a)
{
	static const struct stack_addr any, any4 = {{[10] = 0xff, [11] = 0xff}};

	return memcmp(a, &any, sizeof(any)) == 0 || memcmp(a, &any4, sizeof(any4)) == 0;
}

/* From an IPv4 address in network byte order. */
static inline struct stack_addr stack_addr_v4(const void *four_bytes)
{
	const uint8_t *b = four_bytes;
	return (struct stack_addr){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]}};
}

#endif
