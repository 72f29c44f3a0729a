/*
 * What bywayd, libbyway and the CLI say to each other. The one header that all three share.
 *
 * The control socket is SOCK_SEQPACKET; each packet holds one or more netlink messages
 * (struct nlmsghdr, attributes as struct nlattr, host byte order), handled with libmnl.
 * A request has NLM_F_REQUEST; its answers carry its nlmsg_seq. Errors are NLMSG_ERROR with a
 * negative errno and, always, the text NLMSGERR_ATTR_MSG (NLM_F_ACK_TLVS). Requests may be
 * in flight together; a CONNECT is answered when the handshake has ended.
 *
 * Looking at sockets is sock_diag, as the kernel speaks it: SOCK_DIAG_BY_FAMILY with struct
 * inet_diag_req_v2 (NLM_F_DUMP, or by idiag_cookie), answered by struct inet_diag_msg, where
 * idiag_cookie is the socket's id (low word first), idiag_inode the owner's endpoint
 * descriptor's inode, and attributes beyond the kernel's are enum byway_diag_attr.
 * SOCK_DESTROY with idiag_cookie kills. Addresses, links, routes and neighbours are
 * rtnetlink's RTM_GET*, RTM_NEW* and RTM_DEL*.
 *
 * Readers skip attributes they do not know; numbers are never used twice.
 */
#ifndef BYWAY_PROTOCOL_H
#define BYWAY_PROTOCOL_H

#include <assert.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BYWAY_SOCKET_DEFAULT "/run/byway/control.sock"
#define BYWAY_MESSAGE_MAX 66560 /* bytes of one packet on the control socket; the largest datagram fits */

/*
 * A whole message lies within `left` bytes. (libmnl's mnl_nlmsg_ok compares signed: it takes a
 * length of 2^31 and above for a small one.)
 */
static inline bool byway_message_ok(const struct nlmsghdr *m, size_t left)
{
	return left >= sizeof(*m) && m->nlmsg_len >= sizeof(*m) && m->nlmsg_len <= left;
}

/* nlmsg_type of Byway's own family; no fixed header, attributes follow nlmsghdr. */
enum byway_type {
	BYWAY_CONNECT = 0x100, /* PROTOCOL, REMOTE, [LOCAL], [NODELAY], [NONBLOCK], [OPTIONS], [DATA] -> BYWAY_SOCKET + descriptor */
	BYWAY_LISTEN,          /* LOCAL, [BACKLOG], [OPTIONS] -> BYWAY_SOCKET + listening descriptor */
	BYWAY_DATAGRAM,        /* [LOCAL], [REMOTE], [BROADCAST], [OPTIONS] -> BYWAY_SOCKET + datagram descriptor */
	BYWAY_SOCKET,          /* answer: ID, LOCAL, [REMOTE]; one descriptor by SCM_RIGHTS */
	BYWAY_GET_TCB,         /* ID -> BYWAY_TCB */
	BYWAY_TCB,             /* answer: attributes of enum byway_tcb_attr */
	BYWAY_GET_STATS,       /* -> BYWAY_STATS, several messages with NLM_F_MULTI, then NLMSG_DONE */
	BYWAY_STATS,           /* answer: nested COUNTER attributes */
	BYWAY_GET_STATUS,      /* -> BYWAY_STATUS */
	BYWAY_STATUS,          /* answer: VERSION, LINK_NAME, LINK_MTU, LINK_TYPE, UPTIME, RESOLVER */
	BYWAY_SET_OPTION,      /* ID or INODE, OPTION_LEVEL, OPTION_NAME, [OPTION_VALUE] -> NLMSG_ERROR, 0: done */
	BYWAY_GET_OPTION,      /* ID or INODE, OPTION_LEVEL, OPTION_NAME, [OPTION_LENGTH] -> BYWAY_OPTION */
	BYWAY_OPTION,          /* answer: OPTION_VALUE */

	/*
	 * A socket that is made first and learns later what it is, as socket(2) has it. It is known
	 * by the inode of the owner's descriptor, which stays the same, so whoever holds the
	 * descriptor can name it. Each is answered at once by BYWAY_SOCKET (no descriptor but with
	 * SOCK_OPEN) with ID, LOCAL, [REMOTE], PROTOCOL, FAMILY, STATE.
	 */
	BYWAY_SOCK_OPEN = 0x140, /* PROTOCOL, FAMILY -> and a descriptor (SOCK_STREAM for TCP, else SOCK_SEQPACKET) */
	BYWAY_SOCK_BIND,         /* INODE, LOCAL */
	BYWAY_SOCK_LISTEN,       /* INODE, [BACKLOG]; struct byway_accepted follow on the descriptor */
	BYWAY_SOCK_CONNECT,      /* INODE, [REMOTE], [DATA]; does not wait. Without REMOTE: a UDP socket loses its peer. With DATA
				    (TCP Fast Open) the answer has VALUE: how many bytes of it the SYN carries; the rest is not taken */
	BYWAY_SOCK_SEND,         /* INODE, REMOTE, DATA, [DEPARTURE, MORE]: one datagram of a UDP or ping socket */
	BYWAY_SOCK_GET,          /* INODE */
	BYWAY_SOCK_ERROR,        /* INODE -> ERROR alone: what SO_ERROR says, which is cleared by it */
	BYWAY_SOCK_SHUTDOWN,     /* INODE: it listens no more, its descriptor ends -> NLMSG_ERROR 0 */
	BYWAY_NETLINK,           /* PROTOCOL: NETLINK_ROUTE or NETLINK_SOCK_DIAG, VALUE: port id -> NLMSG_ERROR 0 */
	BYWAY_NETLINK_GROUPS,    /* VALUE: multicast groups to listen to, group n is bit n - 1 -> no answer */
	BYWAY_SOCK_RECVERR,      /* INODE -> FAILURE, DATA (what is quoted): takes the oldest error that IP_RECVERR keeps */
	BYWAY_SOCK_GUARD,        /* INODE -> and a copy of the daemon's end, see below */
	BYWAY_SOCK_RING          /* INODE, [VALUE]: bytes of each ring -> VALUE and BYWAY_RING_DESCRIPTORS, see below */
};

/*
 * A guard is a copy of the daemon's end of a socket that is not connected. While somebody holds it, the end of the
 * daemon is not the end of the owner's descriptor: that does not hang up, and nothing comes. It is for programs that
 * would try again and again to accept from what has hung up, and says by hanging up itself that it is of no more use:
 * the owner has closed, or somebody has ended the socket.
 */

/*
 * Rings: from this answer on the bytes of a connection go through memory that daemon and owner share (client/ring.h),
 * and no more through its descriptor, whose end is still the end. What lies in the owner's end of it by then is read
 * before what is in the ring; what the owner wrote there goes before what it writes into the ring. The descriptors that
 * come along are the memory, one end of a stream pair that gets a byte when the daemon rings, and an eventfd to ring
 * the daemon by.
 */
#define BYWAY_RING_DESCRIPTORS 3

/*
 * A conversation that began with BYWAY_NETLINK speaks that one netlink protocol and, but for
 * BYWAY_NETLINK_GROUPS, nothing else (the numbers of the two overlap: RTM_NEWADDR is SOCK_DIAG_BY_FAMILY, RTM_DELADDR is
 * SOCK_DESTROY), and its answers carry the port id as nlmsg_pid, as the kernel's do.
 */

/*
 * SO_SNDBUF of the owner's end of a connection, bytes (the kernel doubles it). A quarter of that
 * is more than any one message of the kernel's takes (48 KiB of send, 64 KiB of sendfile, and
 * overhead): the last byte written is left unread (owner_stream.c) and keeps its message in the
 * buffer, which must still poll writable. A TCP descriptor of BYWAY_SOCK_OPEN begins with the
 * least buffer and does not poll writable; who sends BYWAY_SOCK_CONNECT sets this first, and
 * fills the descriptor until it does not poll writable again. What lies there is thrown away.
 */
#define BYWAY_SEND_BUFFER (160u << 10)

/* BYWAY_A_STATE of a socket made by BYWAY_SOCK_OPEN, or of any other that has an inode. */
enum byway_sock_state {
	BYWAY_SOCK_NEW,        /* TCP: neither listening nor connected; UDP: no peer */
	BYWAY_SOCK_LISTENING,
	BYWAY_SOCK_CONNECTING,
	BYWAY_SOCK_CONNECTED
};

/*
 * Socket options are setsockopt(2)'s and getsockopt(2)'s: the host's levels, names, values and
 * errors. A level of the protocol's own asks for what ioctl(2) tells of a socket: the option's
 * name is SIOCINQ, SIOCOUTQ or SIOCOUTQNSD, its value an int; what waits in the descriptors
 * between owner and daemon is counted.
 */
#define BYWAY_LEVEL_IOCTL 0x42570000
#define BYWAY_OPTION_VALUE_MAX 512 /* bytes */

/*
 * BYWAY_A_OPTIONS: options that a socket is to have before it is opened, one after another; each is
 * this and then its value, filled up to a multiple of 8 bytes. The first that fails ends the request.
 */
struct byway_option {
	int32_t level, name;
	uint32_t len; /* of the value */
	uint32_t reserved;
};
static_assert(sizeof(struct byway_option) == 16, "byway_option is part of the protocol");
#define BYWAY_OPTIONS_MAX 768 /* bytes of BYWAY_A_OPTIONS */

enum byway_attr {
	BYWAY_A_UNSPEC,
	BYWAY_A_PROTOCOL,  /* u8: IPPROTO_TCP or IPPROTO_UDP; with SOCK_OPEN IPPROTO_ICMP too: a ping socket */
	BYWAY_A_LOCAL,     /* struct byway_address */
	BYWAY_A_REMOTE,    /* struct byway_address */
	BYWAY_A_BACKLOG,   /* u32, connections */
	BYWAY_A_NODELAY,   /* flag */
	BYWAY_A_NONBLOCK,  /* flag: answer at once; the descriptor polls writable when connected */
	BYWAY_A_BROADCAST, /* flag */
	BYWAY_A_ID,        /* u64 */
	BYWAY_A_COUNTER,   /* nested: NAME, VALUE, HELP */
	BYWAY_A_NAME,      /* string */
	BYWAY_A_VALUE,     /* u64 */
	BYWAY_A_HELP,      /* string */
	BYWAY_A_VERSION,   /* string */
	BYWAY_A_LINK_NAME, /* string */
	BYWAY_A_LINK_MTU,  /* u32, bytes */
	BYWAY_A_LINK_TYPE, /* string: "tap", "tun" */
	BYWAY_A_UPTIME,    /* u64, microseconds */
	BYWAY_A_INODE,         /* u64: of the owner's endpoint descriptor, in place of ID */
	BYWAY_A_OPTION_LEVEL,  /* u32: SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, BYWAY_LEVEL_IOCTL */
	BYWAY_A_OPTION_NAME,   /* u32 */
	BYWAY_A_OPTION_VALUE,  /* up to BYWAY_OPTION_VALUE_MAX bytes */
	BYWAY_A_OPTION_LENGTH, /* u32: the most bytes wanted; absent: all */
	BYWAY_A_OPTIONS,       /* struct byway_option, repeated; up to BYWAY_OPTIONS_MAX bytes */
	BYWAY_A_FAMILY,        /* u8: AF_INET or AF_INET6, as the owner asked for it; kept, not looked at */
	BYWAY_A_STATE,         /* u8: enum byway_sock_state */
	BYWAY_A_ERROR,         /* u32: errno */
	BYWAY_A_DATA,          /* bytes: a datagram's payload; what goes along with a connect, up to BYWAY_CONNECT_DATA_MAX */
	BYWAY_A_RESOLVER,      /* struct byway_address: a name server of [Network] DNS=, repeated */
	BYWAY_A_FAILURE,       /* struct byway_failure */
	BYWAY_A_DEPARTURE,     /* struct byway_departure */
	BYWAY_A_MORE,          /* flag: what is sent next belongs to the same datagram, which waits for it (MSG_MORE) */
	BYWAY_A_MAX
};

#define BYWAY_CONNECT_DATA_MAX 1460 /* bytes: as much as a SYN carries on most paths */

/* An address and port. */
struct byway_address {
	uint8_t addr[16]; /* network order, IPv4 mapped; all zero: any */
	uint16_t port;    /* host order */
	uint16_t reserved[3];
};
static_assert(sizeof(struct byway_address) == 24, "byway_address is part of the protocol");

/* One message on a listening descriptor; the accepted connection's descriptor comes along. */
struct byway_accepted {
	uint64_t id;
	struct byway_address local, remote;
	uint64_t inode;        /* of the descriptor */
	uint8_t reserved[192]; /* zero; makes one waiting message fill the descriptor's queue */
};
static_assert(sizeof(struct byway_accepted) == 256, "byway_accepted is part of the protocol");

/*
 * On an unconnected datagram descriptor each message starts with this: the sender of what is
 * read, the destination of what is written. On a connected one messages are payload alone.
 */
struct byway_datagram {
	struct byway_address peer;
};

/*
 * On a datagram descriptor made by BYWAY_SOCK_OPEN messages are payload alone. While it has no
 * peer, or an option that asks how datagrams came (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, UDP_GRO), a
 * descriptor comes with each of them: a file that holds a struct byway_source. Who does not ask
 * does not see it. What is written there goes to the peer; to any other address it goes by
 * BYWAY_SOCK_SEND.
 *
 * An empty message whose file has `error` is no datagram: an error is pending, which
 * BYWAY_SOCK_ERROR tells unless something else was faster.
 */
struct byway_source {
	struct byway_address from;
	struct byway_address to; /* without port */
	uint8_t ttl, tos;
	uint16_t segment; /* not 0: several datagrams of so many bytes, the last may have less (UDP_GRO) */
	uint32_t error;
};
static_assert(sizeof(struct byway_source) == 56, "byway_source is part of the protocol");

/* What one datagram has in place of what its socket has. */
struct byway_departure {
	struct byway_address source; /* without port; any: as it comes */
	uint8_t ttl;                 /* 0: the socket's */
	uint8_t has_tos, tos;
	uint8_t has_segment;         /* not the socket's UDP_SEGMENT, but */
	uint16_t segment;            /* bytes of each datagram that DATA is cut into; 0: it is one */
	uint8_t reserved[2];
};
static_assert(sizeof(struct byway_departure) == 32, "byway_departure is part of the protocol");

/* An ICMP error about a datagram that was sent. */
struct byway_failure {
	struct byway_address offender; /* who said so, without port */
	struct byway_address to;       /* where the datagram was sent to */
	uint32_t error;                /* errno */
	uint32_t info;                 /* the next hop's MTU, with EMSGSIZE */
	uint8_t type, code;            /* of the ICMP message */
	uint8_t reserved[6];
};
static_assert(sizeof(struct byway_failure) == 64, "byway_failure is part of the protocol");

/* Attributes in a SOCK_DIAG_BY_FAMILY answer, past the kernel's. */
enum byway_diag_attr {
	BYWAY_DIAG_PID = 0x1000, /* u32: the process that opened the socket */
	BYWAY_DIAG_COMM,         /* string: its name then */
	BYWAY_DIAG_SERVICE,      /* string: the daemon's own service ("echo") that holds it */
	BYWAY_DIAG_DROPS         /* u64: datagrams or connections dropped for lack of room */
};

/* How a TCB field is shown. */
enum byway_unit {
	BYWAY_UNIT_NONE,     /* plain number (u64) */
	BYWAY_UNIT_SEND_SEQ, /* u32 sequence number, also shown relative to ISS */
	BYWAY_UNIT_RECV_SEQ, /* the same, relative to IRS */
	BYWAY_UNIT_BYTES,
	BYWAY_UNIT_USEC,
	BYWAY_UNIT_SEGMENTS,
	BYWAY_UNIT_SHIFT,    /* bits of a window scale */
	BYWAY_UNIT_TIMER,    /* microseconds left; absent when not running */
	BYWAY_UNIT_BOOL,
	BYWAY_UNIT_STRING,
	BYWAY_UNIT_ADDRESS,  /* struct byway_address */
	BYWAY_UNIT_CHANGE,   /* struct byway_change, repeated, oldest first */
	BYWAY_UNIT_ERRNO
};

/* One state change. Followed in the attribute by the cause, a string without terminator. */
struct byway_change {
	uint64_t ago;   /* microseconds */
	char from[16], to[16]; /* state names, zero-terminated */
};

/*
 * The control block, in the order and groups in which `byway show` prints it:
 * X(IDENTIFIER, "json-key", "Label", GROUP, UNIT). Everything numeric travels as u64.
 * A field that this form of the socket does not have is absent.
 */
#define BYWAY_TCB_FIELDS(X) \
	X(ID, "id", "socket id", IDENTITY, NONE) \
	X(PROTOCOL, "protocol", "protocol", IDENTITY, STRING) \
	X(STATE, "state", "state", IDENTITY, STRING) \
	X(FORM, "form", "form of the control block", IDENTITY, STRING) \
	X(LOCAL, "local", "local address", IDENTITY, ADDRESS) \
	X(REMOTE, "peer", "peer address", IDENTITY, ADDRESS) \
	X(UID, "uid", "owner's user id", IDENTITY, NONE) \
	X(PID, "pid", "opened by process", IDENTITY, NONE) \
	X(PROCESS, "process", "process name", IDENTITY, STRING) \
	X(INODE, "inode", "endpoint descriptor's inode", IDENTITY, NONE) \
	X(AGE, "age", "age", IDENTITY, USEC) \
	X(ERROR, "error", "error", IDENTITY, ERRNO) \
	X(ISS, "iss", "ISS", SEND, SEND_SEQ) \
	X(SND_UNA, "snd-una", "SND.UNA", SEND, SEND_SEQ) \
	X(SND_NXT, "snd-nxt", "SND.NXT", SEND, SEND_SEQ) \
	X(SND_WND, "snd-wnd", "SND.WND", SEND, BYTES) \
	X(SND_UP, "snd-up", "SND.UP", SEND, SEND_SEQ) \
	X(SND_WL1, "snd-wl1", "SND.WL1", SEND, RECV_SEQ) \
	X(SND_WL2, "snd-wl2", "SND.WL2", SEND, SEND_SEQ) \
	X(MAX_SND_WND, "max-snd-wnd", "largest window seen", SEND, BYTES) \
	X(SND_SCALE, "snd-scale", "window scale", SEND, SHIFT) \
	X(IRS, "irs", "IRS", RECEIVE, RECV_SEQ) \
	X(RCV_NXT, "rcv-nxt", "RCV.NXT", RECEIVE, RECV_SEQ) \
	X(RCV_WND, "rcv-wnd", "RCV.WND", RECEIVE, BYTES) \
	X(RCV_UP, "rcv-up", "RCV.UP", RECEIVE, RECV_SEQ) \
	X(RCV_ADV, "rcv-adv", "right edge advertised", RECEIVE, RECV_SEQ) \
	X(RCV_SCALE, "rcv-scale", "window scale", RECEIVE, SHIFT) \
	X(MSS_SEND, "mss-send", "MSS in use, sending", SIZES, BYTES) \
	X(MSS_RECV, "mss-recv", "MSS announced to the peer", SIZES, BYTES) \
	X(MSS_PEER, "mss-peer", "MSS announced by the peer", SIZES, BYTES) \
	X(MTU, "mtu", "path MTU", SIZES, BYTES) \
	X(CC, "congestion-control", "algorithm", CONGESTION, STRING) \
	X(RECOVERY, "recovery", "recovery", CONGESTION, STRING) \
	X(CWND, "cwnd", "cwnd", CONGESTION, BYTES) \
	X(SSTHRESH, "ssthresh", "ssthresh", CONGESTION, BYTES) \
	X(FLIGHT, "flight", "in flight", CONGESTION, BYTES) \
	X(SACKED, "sacked", "in flight, but SACKed", CONGESTION, BYTES) \
	X(LOST, "lost", "in flight, taken for lost", CONGESTION, BYTES) \
	X(REORDERING, "reordering", "reordering seen", CONGESTION, BOOL) \
	X(RECOVER, "recover", "recovery point", CONGESTION, SEND_SEQ) \
	X(DUPACKS, "dupacks", "duplicate ACKs now", CONGESTION, NONE) \
	X(SRTT, "srtt", "SRTT", TIMES, USEC) \
	X(RTTVAR, "rttvar", "RTTVAR", TIMES, USEC) \
	X(RTT_MIN, "rtt-min", "least RTT", TIMES, USEC) \
	X(RTO, "rto", "RTO", TIMES, USEC) \
	X(BACKOFF, "backoff", "backoff doublings", TIMES, NONE) \
	X(RETRIES, "retries", "retransmissions in a row", TIMES, NONE) \
	X(TIMER_REXMT, "timer-retransmit", "retransmit timer", TIMERS, TIMER) \
	X(TIMER_PERSIST, "timer-persist", "persist timer", TIMERS, TIMER) \
	X(TIMER_DELACK, "timer-delayed-ack", "delayed-ACK timer", TIMERS, TIMER) \
	X(TIMER_KEEPALIVE, "timer-keepalive", "keepalive timer", TIMERS, TIMER) \
	X(TIMER_FIN_WAIT_2, "timer-fin-wait-2", "FIN-WAIT-2 timer", TIMERS, TIMER) \
	X(TIMER_LOSS_PROBE, "timer-loss-probe", "loss-probe timer", TIMERS, TIMER) \
	X(TIMER_REORDER, "timer-reorder", "reordering timer", TIMERS, TIMER) \
	X(TIMER_TIME_WAIT, "timer-time-wait", "TIME-WAIT timer", TIMERS, TIMER) \
	X(RECV_Q, "recv-q", "not read by the owner", BUFFERS, BYTES) \
	X(SEND_Q, "send-q", "written, not acknowledged", BUFFERS, BYTES) \
	X(ACCEPT_LENGTH, "accept-queue", "accept queue", BUFFERS, NONE) \
	X(ACCEPT_LIMIT, "accept-limit", "accept queue's limit", BUFFERS, NONE) \
	X(HALF_OPEN, "half-open", "handshakes under way", BUFFERS, NONE) \
	X(SEND_BUFFER, "send-buffer", "send queue's limit", BUFFERS, BYTES) \
	X(RECV_BUFFER, "recv-buffer", "receive queue's limit", BUFFERS, BYTES) \
	X(OOO_BYTES, "out-of-order", "stored out of order", BUFFERS, BYTES) \
	X(OOO_RANGES, "out-of-order-ranges", "in ranges", BUFFERS, NONE) \
	X(MEMORY, "memory", "memory of this socket", BUFFERS, BYTES) \
	X(BYTES_SENT, "bytes-sent", "bytes sent", COUNTERS, BYTES) \
	X(BYTES_ACKED, "bytes-acked", "bytes acknowledged", COUNTERS, BYTES) \
	X(BYTES_RECEIVED, "bytes-received", "bytes received", COUNTERS, BYTES) \
	X(BYTES_RETRANSMITTED, "bytes-retransmitted", "bytes retransmitted", COUNTERS, BYTES) \
	X(SEGMENTS_IN, "segments-in", "segments received", COUNTERS, SEGMENTS) \
	X(SEGMENTS_OUT, "segments-out", "segments sent", COUNTERS, SEGMENTS) \
	X(RETRANSMISSIONS, "retransmissions", "retransmissions", COUNTERS, SEGMENTS) \
	X(DUPACKS_IN, "dupacks-in", "duplicate ACKs received", COUNTERS, SEGMENTS) \
	X(OOO_IN, "out-of-order-in", "received out of order", COUNTERS, SEGMENTS) \
	X(DROPS, "drops", "dropped for lack of room", COUNTERS, NONE) \
	X(OPT_TIMESTAMPS, "timestamps", "timestamps", OPTIONS, BOOL) \
	X(OPT_WINDOW_SCALING, "window-scaling", "window scaling", OPTIONS, BOOL) \
	X(OPT_SACK, "sack", "SACK", OPTIONS, BOOL) \
	X(OPT_ECN, "ecn", "ECN", OPTIONS, BOOL) \
	X(NODELAY, "nodelay", "no delay (Nagle off)", OPTIONS, BOOL) \
	X(KEEPALIVE, "keepalive", "keepalive", OPTIONS, BOOL) \
	X(CHANGE, "history", "last state changes", HISTORY, CHANGE) \
	X(TIMER_PACE, "timer-pacing", "pacing timer", TIMERS, TIMER) \
	X(PACING_RATE, "pacing-rate", "pacing rate, a second", CONGESTION, BYTES) \
	X(DELIVERY_RATE, "delivery-rate", "delivery rate, a second", CONGESTION, BYTES) \
	X(DELIVERY_LIMITED, "delivery-limited", "held back by the application", CONGESTION, BOOL) \
	X(BBR_MODE, "bbr-mode", "BBR's phase", CONGESTION, STRING) \
	X(BBR_BW, "bbr-bandwidth", "BBR's bandwidth, a second", CONGESTION, BYTES) \
	X(BBR_MIN_RTT, "bbr-min-rtt", "BBR's least RTT", CONGESTION, USEC) \
	X(BBR_PACING_GAIN, "bbr-pacing-gain", "pacing gain, 256ths", CONGESTION, NONE) \
	X(BBR_CWND_GAIN, "bbr-cwnd-gain", "cwnd gain, 256ths", CONGESTION, NONE) \
	X(BBR_INFLIGHT_HI, "bbr-inflight-hi", "long-term bound in flight", CONGESTION, BYTES) \
	X(BBR_INFLIGHT_LO, "bbr-inflight-lo", "short-term bound in flight", CONGESTION, BYTES) \
	X(RCV_SPACE, "rcv-space", "read in the best round trip", BUFFERS, BYTES) \
	X(RCV_RTT, "rcv-rtt", "RTT as the receiver sees it", TIMES, USEC) \
	X(MTU_HIGH, "mtu-high", "path MTU searched up to", SIZES, BYTES) \
	X(MTU_PROBE, "mtu-probe", "path MTU being tried", SIZES, BYTES) \
	X(SYN_DATA, "syn-data", "data in the SYN (Fast Open)", OPTIONS, BOOL) \
	X(WORKER, "worker", "worker", IDENTITY, NONE)

/* Groups, in order: X(IDENTIFIER, "Title") */
#define BYWAY_TCB_GROUPS(X) \
	X(IDENTITY, "Identity and owner") \
	X(SEND, "Send sequence space (RFC 9293 3.3.1)") \
	X(RECEIVE, "Receive sequence space (RFC 9293 3.3.1)") \
	X(SIZES, "Segment sizes") \
	X(CONGESTION, "Congestion control") \
	X(TIMES, "Round-trip time and timeout") \
	X(TIMERS, "Timers running") \
	X(BUFFERS, "Buffers") \
	X(COUNTERS, "Counters") \
	X(OPTIONS, "Options") \
	X(HISTORY, "Last state changes")

enum byway_tcb_attr {
	BYWAY_TCB_UNSPEC,
#define BYWAY_TCB_ENUM(id, key, label, group, unit) BYWAY_TCB_##id,
	BYWAY_TCB_FIELDS(BYWAY_TCB_ENUM)
#undef BYWAY_TCB_ENUM
	BYWAY_TCB_MAX
};

enum byway_tcb_group {
#define BYWAY_GROUP_ENUM(id, title) BYWAY_GROUP_##id,
	BYWAY_TCB_GROUPS(BYWAY_GROUP_ENUM)
#undef BYWAY_GROUP_ENUM
	BYWAY_GROUP_COUNT
};

#endif
