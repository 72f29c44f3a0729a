/*
 * bywayd: one event loop that joins a link (TAP or TUN), a stack, the control socket and the
 * owners' descriptors. Nothing here blocks: every descriptor is non-blocking, every queue is
 * bounded, every pass over a list does a bounded amount of work.
 */
#ifndef BYWAY_DAEMON_H
#define BYWAY_DAEMON_H

#include "client/protocol.h"
#include "daemon/access.h"
#include "stack/stack.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-event.h>

struct endpoint;
struct control;
struct link;
struct host;
struct services;
struct forwards;
struct account;
struct workers;
struct owner_index;
struct owner_sources;

/* ---- config.c: the configuration file (libinih), --set, defaults, checks ---- */
#define CONFIG_ADDRESSES 16
#define CONFIG_ROUTES 32
#define CONFIG_RESOLVERS 3 /* as resolv.conf(5) has them */
struct config_prefix { struct stack_addr addr; uint8_t prefix; };
struct config_route { struct config_prefix dest; struct stack_addr gateway; };
#define CONFIG_FORWARDS 16
#define CONFIG_NAME_MAX 32
enum place_type { PLACE_NONE, PLACE_TCP, PLACE_UDP, PLACE_UNIX };
struct config_place {
	enum place_type type;
	bool has_addr;
	struct stack_endpoint at; /* PLACE_TCP, PLACE_UDP */
	char path[108];           /* PLACE_UNIX */
};
struct config_forward {
	char name[CONFIG_NAME_MAX];
	struct config_place listen, connect; /* Listen=, Connect= */
	bool proxy;                 /* ProxyProtocol=no: a PROXY header of version 2 before the data */
	bool inwards;               /* the stack listens and the host is connected to; else the other way round */
};
struct config {
	/* [Link] */
	bool tun;                   /* Type=tap|tun */
	char link_name[16]; /* Name=byway0 */
	unsigned mtu;               /* MTU=1500 */
	bool offload;               /* Offload=yes */
	uint8_t mac[6];             /* MACAddress=, all zero: made from the name and machine id */
	struct config_prefix host;  /* HostAddress=198.18.0.1/24, put on the host's side */
	bool has_host;
	/* [Network] */
	struct config_prefix address[CONFIG_ADDRESSES]; /* Address=198.18.0.2/24, may repeat */
	unsigned addresses;
	struct stack_addr gateway;  /* Gateway=, any: none */
	struct config_route route[CONFIG_ROUTES]; /* Route=DEST/LEN GATEWAY, may repeat */
	unsigned routes;
	struct stack_endpoint resolver[CONFIG_RESOLVERS]; /* DNS=, may repeat: name servers */
	unsigned resolvers;
	/* [Control] */
	char socket_path[108];      /* Socket=/run/byway/control.sock */
	char group[64];             /* Group=byway */
	unsigned sockets_per_user;  /* SocketsPerUser=10000, endpoints of one user id */
	size_t ring_memory;         /* RingMemory=256M, bytes of all owners' rings */
	bool sandbox;               /* Sandbox=yes */
	/* [Worker] */
	unsigned workers;           /* Count=1 */
	uint64_t busy_poll;         /* BusyPoll=0, microseconds of looking for work before sleeping; 0: none */
	/* [Access] */
	struct access access;
	/* [Services] yes|no */
	bool echo, discard, daytime, chargen;
	/* [Stack], [TCP]: keys map onto struct stack_config */
	struct stack_config stack;
	unsigned backlog;           /* [TCP] Backlog=128, default of BYWAY_LISTEN */
	/* [Forward "NAME"] */
	struct config_forward forward[CONFIG_FORWARDS];
	unsigned forwards;
};
#define CONFIG_EXIT 78 /* EX_CONFIG of sysexits.h */
/*
 * Prints what is wrong, with file, line and remedy, on standard error; false: exit with
 * CONFIG_EXIT. path NULL: no file, defaults. Overrides are "Section.Key=value".
 */
bool config_load(struct config *c, const char *path, char *const *overrides, unsigned override_count);
/* The same from an open stream that is called `name` in messages; NULL: no file. */
bool config_read(struct config *c, FILE *file, const char *name, char *const *overrides,
		 unsigned override_count);
/* "198.18.0.2" from a mapped address; `text` holds INET6_ADDRSTRLEN bytes and is returned. */
const char *addr_text(const struct stack_addr *addr, char *text);

/* ---- log.c ---- */
/* To standard error, one line; priority LOG_ERR ... LOG_DEBUG of syslog.h, marked for the journal when that reads. */
void daemon_log(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- loop.c: descriptors that carry data ---- */
typedef void watch_ready(void *arg, uint32_t events); /* of epoll_ctl(2) */
struct watch {
	watch_ready *ready; /* NULL: watches nothing */
	void *arg;          /* of ready */
	int fd;
	uint32_t events;    /* waited for */
};
#define LOOP_BATCH 64 /* descriptors served in a turn */

/* ---- counters: X(identifier, "name", "what it counts"); names are stable ---- */
#define DAEMON_COUNTERS(X) \
	X(turns, "daemon.turns", "turns of the loop") \
	X(naps, "daemon.waits", "turns that began with nothing to do, so that the daemon slept or would have") \
	X(link_reads, "daemon.link_reads", "system calls that read a frame") \
	X(link_reads_empty, "daemon.link_reads_empty", "system calls that found none") \
	X(syn_rests, "daemon.syn_rests", "times that SYNs were left waiting for connections in use, under a flood") \
	X(link_writes, "daemon.link_writes", "system calls that wrote a frame") \
	X(owner_reads, "daemon.owner_reads", "system calls that read what owners of connections wrote") \
	X(owner_read_bytes, "daemon.owner_read_bytes", "bytes that they brought") \
	X(owner_writes, "daemon.owner_writes", "system calls that wrote to owners of connections") \
	X(owner_write_bytes, "daemon.owner_write_bytes", "bytes that they took") \
	X(owner_writes_full, "daemon.owner_writes_full", "of these calls those that found too little room") \
	X(ring_reads, "daemon.ring_reads", "times that bytes were taken out of rings of owners") \
	X(ring_read_bytes, "daemon.ring_read_bytes", "bytes that these were") \
	X(ring_writes, "daemon.ring_writes", "times that bytes were put into rings of owners") \
	X(ring_write_bytes, "daemon.ring_write_bytes", "bytes that these were") \
	X(ring_bells, "daemon.ring_bells", "system calls that woke owners of rings, which slept") \
	X(ring_knocks, "daemon.ring_knocks", "times that owners of rings woke us") \
	X(ring_lies, "daemon.ring_lies", "connections that ended because their owner wrote nonsense into its ring") \
	X(ring_memory, "daemon.ring_memory", "bytes of rings in use now") \
	X(inbox_drops, "daemon.inbox_drops", "frames that the first worker had no room for at the one they are for")
struct daemon_counters {
#define FIELD(identifier, name, help) uint64_t identifier; /* see there */
	DAEMON_COUNTERS(FIELD)
#undef FIELD
};

/* What the daemon has so much of for all users together, owner.c. */
enum owner_share {
	SHARE_WIDE,   /* our ends of owners' pairs with more room than at first, owner_pair.c */
	SHARE_ROOMY,  /* owners' ends with more room than others */
	SHARE_CORKED, /* bytes of datagrams that wait for their rest, owner_cork.c */
	SHARE_RINGS,  /* bytes of memory shared with owners, owner_ring.c */
};
#define OWNER_SHARES 4

/* ---- the daemon ---- */
/* One for each worker ([Worker] Count=): the first is the whole daemon, the others are what carries data (worker.h). */
struct daemon {
	struct workers *workers;   /* NULL: it is the only one */
	unsigned worker;           /* which it is; 0: the first */
	struct config config;
	const char *config_path;   /* NULL: no file */
	char *const *overrides;    /* of --set, applied again at a reload */
	unsigned override_count;
	sd_event *loop;            /* everything but data */
	int poll;                  /* epoll of what carries data, and of `loop` */
	struct watch events;       /* of `loop` */
	struct epoll_event ready[LOOP_BATCH]; /* of the turn in hand */
	int ready_count, served;   /* of them */
	struct daemon_counters count;
	int alarm_fd;              /* timerfd: ends a wait (loop.c) */
	struct watch alarm;
	stack_time alarm_at;       /* when it rings; STACK_NEVER: it is not set */
	bool timely;               /* `now` was read for the one frame of this turn: no need to read it again */
	stack_time busy_until;     /* BusyPoll=: sleeps not before */
	stack_time now;            /* when the turn in hand began, or its pass: as good as the clock for what takes no time */
	bool work;                 /* the stack was given something, or has more to do: a pass is due */
	bool touched;              /* `loop` has something to do or to arm */
	bool finished;             /* `loop` has ended */
	struct stack *stack;
	struct link *link;
	struct control *control;
	struct host *host;
	stack_time started;
	uint64_t endpoint_count;
	struct endpoint *endpoints; /* list of all */
	uint64_t connections;       /* TCP connections among the endpoints, for the status line */
	struct services *services;
	struct forwards *forwards;
	struct account *accounts;   /* endpoints by user, owner.c */
	struct owner_index *index;  /* endpoints by inode, owner_index.c; NULL: none yet */
	struct owner_sources *sources; /* senders of datagrams as files, owner_source.c; NULL: none yet */
	size_t shared[OWNER_SHARES]; /* what all users have of it; the first worker's, owner.c */
	struct ring *rings;         /* of owners, at which something happens; owner_ring.c */
	uint64_t files_given;       /* of those, what lies beside datagrams that no owner has read, at most */
	sd_event_source *status_timer; /* a status line that waits for its second to pass */
	bool status_waits;          /* for that */
	stack_time status_sent;     /* when the last status line went out */
	uint64_t status_connections; /* what it said */
	const struct options_wanted *wanted; /* of the socket that the request in hand opens; NULL: nothing special */
	bool stopping;              /* SIGTERM came: ends when the last connection has */
	sd_event_source *stop_timer; /* the end of patience with that */
	sd_event_source *watchdog;  /* with several workers, watchdog.c; NULL: there is none */
	uint64_t watchdog_time;     /* the service manager's, microseconds */
};

/* daemon.c: everything between the options and the exit. The process's exit status. */
int daemon_main(struct daemon *d);

/* ---- loop.c ---- */
/* Makes the loop around d->loop. 0 or -errno. */
int loop_start(struct daemon *d);
/* Until sd_event_exit of d->loop; returns its code. */
int loop_run(struct daemon *d);
/* One turn that does not wait; false: there was nothing to do. For tests. */
bool loop_poll(struct daemon *d);
void loop_end(struct daemon *d);
/* `ready` is called with `arg` when fd has one of `events`. The watch stays where it is until loop_unwatch. 0 or -errno. */
int loop_watch(struct daemon *d, struct watch *w, int fd, uint32_t events, watch_ready *ready, void *arg);
/* Other events; an edge that is there counts anew. */
void loop_rewatch(struct daemon *d, struct watch *w, uint32_t events);
/* Never called again, in this turn either. One that watches nothing is fine. */
void loop_unwatch(struct daemon *d, struct watch *w);
/* The same just before its descriptor is closed, of which there is no copy. */
void loop_forget(struct daemon *d, struct watch *w);
/* A timer of d->loop was set, or its end asked for, outside of its own callbacks. */
void loop_touched(struct daemon *d);
/* After a frame: has it completed a handshake? Then its listener's owner hears of it at once. */
void loop_accept(struct daemon *d);
/* The status line of the service, at once. */
void loop_status(struct daemon *d);
/* No connection is left that a peer or owner would miss. */
bool loop_idle(struct daemon *d);
/* Monotonic clock, microseconds. */
stack_time daemon_now(void);
/* One to answer from: of the stack, loopback included, and neither broadcast nor multicast. */
static inline bool daemon_address_is_ours(struct daemon *d, const struct stack_addr *addr)
{
	struct stack_way way;

	return stack_route_find(d->stack, addr, &way) == 0 && way.kind == STACK_WAY_LOCAL;
}
/* Something was given to the stack: have stack_run, events and deadline seen to before the loop sleeps. */
void daemon_kick(struct daemon *d);

/* ---- link.c: the TAP or TUN, with IFF_VNET_HDR and offloads where the kernel has them ---- */
/* For all workers. 0 or negative errno, logged; -ENOTSUP: [Worker] Count= is more than can be had. */
int link_open(struct daemon *d);
unsigned link_offload(const struct link *l); /* STACK_OFFLOAD_* */
bool link_transmit(void *daemon, const struct stack_output *out); /* stack_ops.transmit */
int link_start(struct daemon *d);         /* begins to read */
bool link_poll(struct daemon *d);         /* takes one frame in, if there is one */
/*
 * After a pass: the same, where frames come one by one and the next is likely to be there already. It is on a
 * core that the sender shares: our answer wakes it, and it runs before us. True a few times in a row at most.
 */
bool link_read_on(struct daemon *d);
void link_close(struct daemon *d);
const char *link_name(const struct link *l);

/* ---- steer.c: which queue of the link a frame comes through ---- */
#define WORKERS_MAX 16
/* Each worker has two queues: 2 i is that of worker i, and 2 i + 1 that of the SYNs for it. */
struct steer {
	unsigned workers;
	uint64_t key[4]; /* random, so that nobody outside can choose a worker; not used with one worker */
};
/* The worker whose is the TCP connection of a segment: addresses, and source and destination port, in host order. */
unsigned steer_worker(const struct steer *s, uint32_t source, uint32_t destination, uint32_t ports);
/* The descriptor of the eBPF program for a TAP's or TUN's frames, or negative errno. */
int steer_program(bool tun, const struct steer *s);

/* ---- host.c: the host's side of the link by rtnetlink (libmnl): address, MTU, up ---- */
int host_configure(struct daemon *d);     /* 0 or negative errno, logged */
/* Watches for the host's side being set down, changed or removed, and reports it. */
int host_watch(struct daemon *d);
void host_close(struct daemon *d);

/* ---- watchdog.c: the service manager's; 0 or negative errno ---- */
int watchdog_start(struct daemon *d);
void watchdog_end(struct daemon *d);

/* ---- service.c: echo, discard, daytime, chargen inside the stack ---- */
/* Opens those that the configuration has and that are not open, closes the others. 0 or negative errno, logged. */
int services_start(struct daemon *d);
void services_stop(struct daemon *d);

/* ---- forward.c: servers of the host on the stack's addresses, and the other way round ---- */
/* Opens all of them; 0 or negative errno, logged. Host ports below 1024 need their privilege now. */
int forwards_start(struct daemon *d);
/* No new connections; those there are live on. */
void forwards_stop(struct daemon *d);
/* After the last connection is gone. */
void forwards_free(struct daemon *d);

/* ---- endpoint.c: one socket of the stack and the owner's end of it ---- */

/* Who opened it, from SO_PEERCRED of the control connection. */
struct owner { uid_t uid; gid_t gid; pid_t pid; char comm[16]; };

struct endpoint_ops;
/*
 * What the stack's user pointer points to, for services and owners alike. The daemon hands each
 * stack event and each offered payload to the endpoint's operations.
 */
struct endpoint {
	const struct endpoint_ops *ops;
	struct daemon *daemon;
	struct sock *sock;             /* NULL once it is closed; of many, what a service's connections share */
	struct endpoint *next, *previous;
	struct owner owner;
	const char *service;           /* NULL: an owner's */
	bool connection;               /* a TCP connection, for the daemon's count */
	ino_t inode;                   /* of the owner's descriptor; 0: none */
	struct endpoint *same_bucket;  /* owner_index.c */
	bool guarded;                  /* somebody holds a copy of our end (BYWAY_SOCK_GUARD) */
	uint8_t family;                /* AF_INET or AF_INET6: what the owner asked for, kept for it */
};
struct endpoint_ops {
	void (*event)(struct endpoint *e, const struct stack_event *event);
	size_t (*receive)(struct endpoint *e, struct sock *sock, const void *data, size_t len); /* may be NULL */
	bool (*datagram)(struct endpoint *e, const struct stack_endpoint *from, const struct stack_arrival *how,
			 const void *data, size_t len); /* may be NULL */
	/* Ends it: data taken so far and FIN, or RST when `abort`. Frees the endpoint, now or later. */
	void (*close)(struct endpoint *e, bool abort);
	/* bytes that the daemon holds for the owner beside the stack's own queues; may be NULL */
	void (*queued)(struct endpoint *e, uint64_t *recv_q, uint64_t *send_q);
	/* of the daemon's end of a pair; NULL: there is no owner */
	struct watch *(*watch)(struct endpoint *e);
};
void endpoint_link(struct daemon *d, struct endpoint *e);   /* into d->endpoints; daemon, ops and sock are set */
void endpoint_unlink(struct daemon *d, struct endpoint *e);

/*
 * Opening for an owner. On success *fd is the owner's descriptor (the caller passes it on and
 * closes its copy). Failure: negative errno, and *why says it in words.
 */
/* Called exactly once for a connect: error 0 and a descriptor that the callee takes, or a positive errno. */
typedef void connect_done(void *arg, int error, const char *why, int fd, struct endpoint *e);
struct endpoint *owner_connect(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
			       const struct stack_endpoint *remote, bool nodelay,
			       connect_done *done, void *arg, int *error, const char **why);
/* The one who waits is gone: aborts the handshake; done is not called. */
void owner_connect_cancel(struct endpoint *e);
/* Non-blocking: the descriptor at once, parked so that it polls writable when connected. */
int owner_connect_nonblock(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
			   const struct stack_endpoint *remote, bool nodelay, int *fd,
			   struct endpoint **e, const char **why);
int owner_listen(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
		 unsigned backlog, int *fd, struct endpoint **e, const char **why);
int owner_datagram(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
		   const struct stack_endpoint *remote, bool broadcast, int *fd,
		   struct endpoint **e, const char **why);
/* ---- owner_socket.c: a socket that learns later what it is ---- */
int owner_sock_open(struct daemon *d, const struct owner *who, enum stack_proto proto, uint8_t family, int *fd,
		 struct endpoint **e, const char **why);
int owner_sock_bind(struct endpoint *e, const struct stack_endpoint *local, const char **why);
/* *e is replaced. */
int owner_sock_listen(struct endpoint **e, unsigned backlog, const char **why);
/*
 * Does not wait. remote NULL: a UDP socket without a peer again. `first`, unless it is NULL, goes with
 * the SYN of a TCP socket as far as it can: first->iov_len is how much then.
 */
int owner_sock_connect(struct endpoint *e, const struct stack_endpoint *remote, struct iovec *first, const char **why);
int owner_sock_send(struct endpoint *e, const struct stack_endpoint *remote, const struct stack_departure *how,
		    const void *data, size_t len, bool more, const char **why);
/* The error that is pending on a datagram socket, positive, which is cleared by it; 0: none, or another socket. */
int owner_sock_pending(struct endpoint *e);
/* As stack_recverr. */
ptrdiff_t owner_sock_recverr(struct endpoint *e, struct byway_failure *out, void *data, size_t len);
/* One of its socket's options was set by request. */
void owner_sock_option_set(struct endpoint *e);
enum byway_sock_state owner_sock_state(const struct endpoint *e);
/* A copy of our end, for the caller to give away (BYWAY_SOCK_GUARD), or -errno. */
int owner_sock_guard(struct endpoint *e);
/*
 * ---- owner_ring.c ----
 * From now on its bytes go through rings of *size bytes (0: the default, which it becomes), shared by the
 * descriptors fd, which are the caller's (BYWAY_SOCK_RING). 0 or -errno and why.
 */
int owner_sock_ring(struct endpoint *e, uint64_t *size, int fd[BYWAY_RING_DESCRIPTORS], const char **why);
/* A look at the rings at which something happens; true: there was something to do. */
bool rings_serve(struct daemon *d);
/* There is something to do at them. */
bool rings_busy(struct daemon *d);
/* The loop is about to sleep: their owners are to wake it. False: there is something to do first. */
bool rings_quiet(struct daemon *d);
/* ---- owner_index.c ---- */
/* The endpoint whose owner's descriptor has this inode, or NULL. */
struct endpoint *owner_find(struct daemon *d, ino_t inode);
/* How the endpoint with this inode, which is gone, ended for `uid` (a positive errno); said once, then 0. */
int owner_epitaph(struct daemon *d, ino_t inode, uid_t uid);
/* Drops every owner's connection; FIN first unless `abort`. */
void endpoints_close_all(struct daemon *d, bool abort);

/* ---- control_option.c ---- */
/* BYWAY_A_OPTIONS and BYWAY_A_DATA of a request. */
struct options_wanted {
	const uint8_t *data;
	size_t len;
	const void *first; /* bytes for the peer; NULL: none */
	size_t first_len;
};
/* Sets them all. 0 or -errno and why. */
int options_apply(struct sock *sock, const struct options_wanted *wanted, const char **why);

/* ---- control.c, diag.c: the control socket ---- */
void diag_ended(void *daemon, const struct stack_tcb_info *last); /* stack_ops.ended */
int control_open(struct daemon *d); /* from socket activation, or makes the socket */
/* access.c: the configuration has changed; what everybody may do is found again. */
void access_reload(struct control *k);
void control_close(struct daemon *d);
struct sockaddr_un;
/* Removes the socket file of a program that is gone. 0, or -EADDRINUSE when it is in use, logged with the key that names it. */
int control_clear_path(const struct sockaddr_un *addr, int type, const char *key);
/* A socket file of ours to [Control] Group=, if there is such a group; logged when that fails. */
void control_give_to_group(struct daemon *d, const char *path);

/* ---- sandbox.c: what is left of privileges after the link is up (libcap-ng, libseccomp); starts the other workers ---- */
int sandbox_enter(struct daemon *d);

#endif
