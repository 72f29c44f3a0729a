/*
 * byway run, what its files share: run.c (processes, exit status), run_filter.c (which calls are
 * trapped), run_notify.c (the supervisor's loop), run_tracee.c (a process's memory and
 * descriptors), run_table.c (what is known of a descriptor), run_daemon.c (requests),
 * run_address.c, run_guard.c (listening sockets outlive the daemon), and the calls by kind: run_socket.c, run_accept.c, run_datagram.c,
 * run_option.c, run_interface.c, run_netlink.c.
 *
 * The state of a socket is the daemon's, found by the descriptor's inode; the supervisor keeps
 * a bounded cache of it, and of the processes it serves no more than pidfds. So dup, fork, exec,
 * SCM_RIGHTS and close need no help.
 */
#ifndef BYWAY_RUN_H
#define BYWAY_RUN_H

#include "cli/cli.h"

#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* ---- what is known of a descriptor ---- */

enum run_kind {
	RUN_FOREIGN,    /* not one of ours */
	RUN_TCP,        /* neither listening nor connected */
	RUN_LISTENER,
	RUN_CONNECTING,
	RUN_CONNECTED,
	RUN_FAILED,     /* a connect ended with an error */
	RUN_UDP,
	RUN_UDP_PEER,   /* connected */
	RUN_NETLINK
};

/* Bits: control messages that the program has asked for, and errors to be kept. */
enum run_tells {
	RUN_TELLS_PKTINFO = 1, RUN_TELLS_TTL = 2, RUN_TELLS_TOS = 4, RUN_TELLS_ERRORS = 8, RUN_TELLS_SEGMENT = 16
};

#define RUN_OPTIONS 4 /* options of one socket that are remembered: those of IPv6, which the stack has not */

struct run_option {
	uint16_t level, name; /* name 0: free */
	int32_t value;
};

/* ---- name servers, run_names.c ---- */

#define NAMES_PORT 53
#define NAMES_SERVERS 3 /* as resolv.conf(5) has them */

struct names {
	struct byway_address server[NAMES_SERVERS]; /* [Network] DNS= */
	unsigned servers;
	struct byway_address host[NAMES_SERVERS];   /* of the host's resolv.conf */
	unsigned hosts;
};

struct run_socket {
	uint64_t cookie;   /* SO_COOKIE, never used twice; 0: free */
	uint64_t inode;
	uint8_t kind;      /* enum run_kind */
	uint8_t family;    /* AF_INET or AF_INET6, as the program asked for it */
	bool v6_only;      /* IPV6_V6ONLY: bound to ::, it hears nothing */
	bool mute;         /* bound that way */
	bool ping;         /* RUN_UDP and RUN_UDP_PEER: a ping socket */
	bool on_device;    /* SO_BINDTODEVICE */
	bool tells_known;
	uint8_t tells;     /* enum run_tells: what of a datagram recvmsg shows; valid if tells_known */
	uint8_t netlink;   /* its protocol, RUN_NETLINK */
	uint32_t port_id;  /* RUN_NETLINK */
	uint32_t groups;   /* RUN_NETLINK: multicast groups that it listens to */
	struct byway_address local, remote;
	struct byway_address asked[NAMES_SERVERS]; /* whom the program asked when it got DNS= i; port 0: nobody */
	struct run_option option[RUN_OPTIONS];
};

/* ---- the supervisor ---- */

struct wait;
struct table;
struct guard;

#define RUN_TRACEES 256

/* A thread that has called. */
struct tracee {
	pid_t tid; /* 0: free */
	int pidfd;
};

#define RUN_REPLAYS 64

/* An answer that found nobody: a signal had interrupted the call, which comes again. */
struct replay {
	bool used;
	pid_t tid;
	struct seccomp_data data;
	int64_t result;
	int fd;        /* to be installed as the result; -1: none */
	uint32_t fd_flags;
};

struct run {
	struct byway *byway;   /* the conversation with the daemon */
	const char *path;      /* of the control socket, NULL: the default */
	bool verbose;
	uint64_t noted;        /* kinds of notes that were made, one bit each */
	int notify;            /* seccomp's */
	int epoll;
	int filler;            /* a file of zeros (run_socket.c), -1: not made yet */
	struct names names;
	struct table *table;
	struct wait *waits;
	unsigned wait_count;
	int64_t next_check;    /* microseconds: when calls that wait are looked after (run_notify.c) */
	struct guard *guards;
	long guard_count;
	struct tracee tracees[RUN_TRACEES];
	struct replay replay[RUN_REPLAYS];
	unsigned replay_next;
};

/* One trapped call. */
struct call {
	struct run *run;
	uint64_t id;
	pid_t tid;
	struct seccomp_data data;
	int fd;                  /* our copy of the descriptor that it is about, or -1 */
	struct run_socket *sock; /* what is known of it, or NULL */
	bool repeated;           /* a connect to what is connecting already */
	bool woken, expired;     /* handled again: its wait is over; its time is up */
	uint32_t wait_events;    /* EPOLL*, with RUN_WAIT */
	int64_t wait_limit;      /* microseconds from its beginning, 0: none */
	size_t done;             /* bytes that went with the SYN */
	int result_fd;           /* to be installed as the result, with RUN_INSTALL; taken */
	uint32_t result_flags;   /* O_CLOEXEC or 0 */
};

/* What a handler returns beside a result (0 and above) or a negative errno. */
#define RUN_CONTINUE INT64_MIN      /* the kernel carries the call out as it stands */
#define RUN_WAIT (INT64_MIN + 1)    /* again when call->fd has call->wait_events */
#define RUN_INSTALL (INT64_MIN + 2) /* call->result_fd becomes the caller's */

typedef int64_t run_handler(struct call *c);

/* UDP and ping sockets. */
static inline bool run_is_datagram(const struct run_socket *s)
{
	return s->kind == RUN_UDP || s->kind == RUN_UDP_PEER;
}

static inline int call_int(const struct call *c, unsigned i)
{
	return (int)c->data.args[i];
}

/* ---- run.c ---- */
/* Runs a program as byway run does; its exit status. */
int run_start(const struct cli *cli, char **argv);

/* ---- run_filter.c ---- */
/* In the process that will be the program: loads the filter. The notification descriptor or -errno. */
int filter_load(bool proc); /* proc: opening of files, too (run_proc.c) */

/* ---- run_notify.c ---- */
/* Serves until the last process with the filter is gone. `child` and `parent`: as run.c has them. */
int notify_loop(struct run *run, int signals, int parent, pid_t child);
/* Says once, with --verbose, what cannot be done. `kind`: 0 to 63. */
void run_note(struct run *run, unsigned kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The handler of a system call; *fd_arg: its first argument is a descriptor. NULL: none. */
run_handler *run_find_handler(int nr, bool *fd_arg);

/* ---- run_tracee.c ---- */
/* A copy of descriptor `fd` of the thread, or -errno. */
int tracee_descriptor(struct run *run, pid_t tid, int fd);
/* What epoll marks so has ended: true when it is a thread. */
bool tracee_over(struct run *run, const void *mark);
/* Memory of the caller. False: not readable or writable, or the call is over. */
bool tracee_read(const struct call *c, uint64_t from, void *to, size_t len);
bool tracee_write(const struct call *c, uint64_t to, const void *from, size_t len);
/* Reads what may be anything when the call is over: what is done with it has to look after that. */
bool tracee_peek(const struct call *c, uint64_t from, void *to, size_t len);
/* A value, and the length that is told of it, as getsockname(2) and getsockopt(2) give them. */
bool tracee_give(const struct call *c, uint64_t to, const void *from, uint32_t len, uint64_t len_at, uint32_t told);
/* The same by pieces, at most `len` bytes; the bytes moved, or -errno. */
ssize_t tracee_gather(const struct call *c, const struct iovec *from, size_t pieces, void *to, size_t len);
ssize_t tracee_scatter(const struct call *c, const struct iovec *to, size_t pieces, const void *from, size_t len);
/* The caller still waits. */
bool call_valid(const struct call *c);

/* The flags that the thread's descriptor was opened with, O_CLOEXEC among them; 0: not to be had. */
int tracee_flags(pid_t tid, int fd);

/* ---- run_table.c ---- */
struct table *table_new(void);
/* What is known of a copy of a descriptor; asks the daemon when nothing is. NULL: not one of ours. */
struct run_socket *table_find(struct run *run, int fd);
/* A zeroed place for the socket behind `fd`, with its keys; `inode` 0: to be found out. Another's may be lost for it. */
struct run_socket *table_add(struct run *run, int fd, uint64_t inode);

/* ---- run_daemon.c ---- */
struct sock_reply {
	struct byway_address local, remote;
	uint8_t protocol, family, state;
	uint32_t error;
	uint64_t inode;
	void *value;        /* where an option's value or what is quoted goes, or NULL */
	uint32_t value_len; /* the room there, then its bytes */
	struct byway_failure failure;
	uint64_t taken;
};
/* Each 0 or -errno; `out` may be NULL. */
int daemon_open(struct run *run, uint8_t protocol, uint8_t family, int *fd, uint64_t *inode);
int daemon_bind(struct run *run, uint64_t inode, const struct byway_address *local, struct sock_reply *out);
int daemon_listen(struct run *run, uint64_t inode, uint32_t backlog, struct sock_reply *out);
/* `first`, unless it is NULL, goes with the SYN; out->taken is how much of it. */
int daemon_connect(struct run *run, uint64_t inode, const struct byway_address *remote, const struct iovec *first,
		   struct sock_reply *out);
int daemon_shutdown(struct run *run, uint64_t inode);
int daemon_send(struct run *run, uint64_t inode, const struct byway_address *remote, const struct byway_departure *how,
		bool more, const void *data, size_t len);
/* The oldest error that IP_RECVERR keeps; *len: the room for what is quoted, then its bytes. */
int daemon_recverr(struct run *run, uint64_t inode, struct byway_failure *out, void *data, uint32_t *len);
int daemon_get(struct run *run, uint64_t inode, struct sock_reply *out);
int daemon_set_option(struct run *run, uint64_t inode, int level, int name, const void *value, uint32_t len);
/* *len: the room, then the bytes. */
int daemon_get_option(struct run *run, uint64_t inode, int level, int name, void *value, uint32_t *len);
int daemon_last_error(struct run *run, uint64_t inode, struct sock_reply *out);
/* *fd: what run_guard.c keeps. */
int daemon_guard(struct run *run, uint64_t inode, int *fd);
/* A conversation of its own that speaks a netlink protocol: its descriptor or -errno. */
int daemon_netlink(struct run *run, uint8_t protocol, uint32_t port_id);

/* ---- run_names.c ---- */
/* What the daemon and resolv.conf say. 0, or -1 with errno. */
int names_read(struct byway *b, struct names *n);
/* The same for a run; says with --verbose where names come from when there is no DNS=. */
void names_start(struct run *run);
/* A destination that is one of the host's name servers becomes one of the stack's. */
void names_there(const struct run *run, struct run_socket *s, struct byway_address *to);
/* And back: the one that the program asked. */
void names_back(const struct run *run, const struct run_socket *s, struct byway_address *from);

/* ---- run_address.c ---- */
/*
 * The address that an argument points to, for a socket of `family`. 0, 1 for AF_UNSPEC (`out` is
 * what it is as IPv4), or -errno; `other` is the error for an IPv6 address that is not the stack's.
 */
int address_read(const struct call *c, uint64_t at, uint32_t len, uint8_t family, int other,
		 struct byway_address *out);
/* As getsockname(2): value and length through pointers. 0 or -errno. */
int address_write(const struct call *c, uint64_t at, uint64_t len_at, uint8_t family, const struct byway_address *a);
/* The same as a struct sockaddr; its length. */
unsigned address_make(struct sockaddr_in6 *out, uint8_t family, const struct byway_address *a);
/* A prepared one, cut at the room there is. */
int address_copy(const struct call *c, uint64_t at, uint64_t len_at, const void *sa, uint32_t size);

/* All zero as a destination is the loopback address, as on the host. */
void address_there(struct byway_address *a);
bool address_is_any(const struct byway_address *a);

/* ---- run_guard.c ---- */
/* A socket listens, or is a server's for datagrams: once for each. */
void guard_keep(struct run *run, const struct run_socket *s);
/* It is a client's now. */
void guard_drop(struct run *run, const struct run_socket *s);
/* What epoll marks so has hung up: when it is a guard, it is given up. */
void guard_over(struct run *run, const void *mark);

/* ---- calls ---- */
/* Connects a TCP socket with the first bytes of what is to be sent (MSG_FASTOPEN). What the call returns. */
int64_t connect_and_send(struct call *c, uint64_t name, uint32_t name_len, const struct iovec *data, bool wait);
bool descriptor_blocks(int fd);
/* Microseconds of SO_RCVTIMEO or SO_SNDTIMEO, 0: none. */
int64_t descriptor_patience(int fd, int option);

/*
 * recvmsg without waiting; *descriptor is what came along (SCM_RIGHTS), or -1. The bytes of the
 * whole message (MSG_TRUNC), or -errno.
 */
ssize_t receive_beside(int fd, void *data, size_t len, int flags, int *descriptor);

run_handler on_socket, on_bind, on_listen, on_connect, on_shutdown, on_getsockname, on_getpeername; /* run_socket.c */
run_handler on_accept, on_accept4;                                              /* run_accept.c */
run_handler on_sendto, on_sendmsg, on_sendmmsg, on_recvfrom, on_recvmsg, on_recvmmsg; /* run_datagram.c */
run_handler on_getsockopt, on_setsockopt, on_ioctl;                             /* run_option.c */

/* A message of the caller: its header, and its pieces. */
#define RUN_PIECES 1024 /* of one message's gather list: as many as there may be (IOV_MAX) */
struct message {
	struct msghdr head;
	struct iovec piece[RUN_PIECES];
	size_t pieces;
};

/* run_control.c: what travels beside datagrams */
#define RUN_CONTROL 256 /* bytes of control messages that are looked at */
/* What came with a datagram; an error's message is none. */
struct arrival {
	struct byway_source source;
	bool known;            /* the source is */
	_Alignas(8) char stamp[128]; /* a control message of the kernel's about the time, as it is */
	size_t stamp_len;
};
/* A datagram without waiting, or the error that is pending. The bytes of all of it, or -errno. */
ssize_t datagram_receive(struct call *c, void *data, size_t len, int flags, struct arrival *a);
/* The error that is pending and was not taken yet, 0 or -errno. */
int datagram_error(struct call *c);
/* Control messages of a datagram, into the caller's message. 0 or -EFAULT. */
int control_write(struct call *c, struct msghdr *m, const struct arrival *a);
/* Those that go along with one to be sent: 0, or -errno as the host has it. `any`: there is something in `out`. */
int control_read(struct call *c, const struct msghdr *m, struct byway_departure *out, bool *any);
/* recvmsg(MSG_ERRQUEUE). The bytes of what is quoted, or -errno. */
int64_t failure_receive(struct call *c, struct message *m, int flags);
/* An option was set: perhaps one of those that say what recvmsg shows. */
void control_option_set(struct run_socket *s, int level, int name, int value);

/* run_interface.c: SIOCGIF*, SO_BINDTODEVICE */
int64_t device_set(struct call *c);
int64_t device_get(struct call *c);
int64_t interface_ioctl(struct call *c, unsigned request);

run_handler on_io_uring_setup; /* run_uring.c */

/* run_proc.c */
bool proc_wanted(const char *program); /* it reads sums in /proc/net */
run_handler on_openat;

/* run_netlink.c */
int64_t netlink_socket(struct call *c, int type, int protocol);
int64_t netlink_bind(struct call *c);
int64_t netlink_name(struct call *c, bool peer);
int64_t netlink_setsockopt(struct call *c);
int64_t netlink_getsockopt(struct call *c);
/* struct sockaddr_nl of the kernel, for what is received. */
unsigned netlink_sender(struct sockaddr_in6 *out);

#endif
