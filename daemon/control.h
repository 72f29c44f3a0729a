/*
 * The control socket, as its own files see it: control.c (listener), control_client.c
 * (conversations, queues, answers), control_request.c (parsing, errors), access.c (who may do what),
 * control_open.c (connect, listen, datagram), control_info.c (control block, counters,
 * status), control_option.c (socket options), control_notify.c (subscribers), rtnl.h and its
 * files (rtnetlink), diag.h and its files (sock_diag).
 *
 * Invariants:
 * - A client's requests are read only while nothing waits to be sent to it and no dump of its
 *   own is running. So its queue holds the answers of one turn at most, and a client that
 *   does not read stops itself.
 * - A dump makes one packet a turn, when the one before has been taken by the kernel.
 * - A client is freed in one place, at the end of its turn; others only shut its socket down.
 */
#ifndef BYWAY_DAEMON_CONTROL_H
#define BYWAY_DAEMON_CONTROL_H

#include "client/protocol.h"
#include "daemon/daemon.h"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>

#define CONTROL_CLIENTS 1024        /* conversations at once */
#define CONTROL_CLIENTS_RESERVED 64 /* of them kept for the administrator */
#define CONTROL_CLIENTS_UID 128     /* of them for one ordinary user */
#define CONTROL_PENDING 1024        /* connects of one conversation in flight */
#define CONTROL_TURN 16             /* what one client's requests may cost in a turn of the loop */
#define CONTROL_QUEUE 65536         /* bytes waiting for a client past which no request of it is begun */
#define CONTROL_STALL 30000000      /* microseconds that a client may leave its answers unread */
#define CONTROL_PACKET 32768        /* bytes past which no message is added to a packet of answers */
#define CONTROL_MESSAGE 8192        /* the most that one answer takes */

struct client;
struct reply;

/* An answer that the kernel had no room for yet. */
struct packet {
	struct packet *next;
	int fd[BYWAY_RING_DESCRIPTORS]; /* that go along */
	unsigned fds;
	size_t len;
	uint8_t data[]; /* netlink messages */
};

/* An answer of many messages in progress. */
struct dump {
	bool (*step)(struct client *c, struct reply *r); /* adds about a packet; false: that was all. NULL: no dump */
	uint32_t seq;
	uint64_t cursor;              /* of the step */
	unsigned worker;              /* whose sockets it is at */
	struct inet_diag_req_v2 diag; /* what is asked for, sock_diag only */
	struct diag_program *filter;  /* and its filter, or NULL; allocated */
};

/* A connect whose handshake is under way. */
struct pending {
	struct client *client;
	struct pending *next, **link;
	struct endpoint *endpoint;
	uint32_t seq;
	bool starting, ended; /* inside owner_connect; done was called already */
};

/* One conversation on the control socket. */
struct client {
	struct control *control;
	struct client *next, **link;
	int fd;
	struct watch watch; /* of fd */
	struct owner owner; /* who is at the other end */
	gid_t *gids;        /* its supplementary groups; NULL: none */
	size_t gid_count;
	bool admin;         /* an administrator: sees and does everything */
	bool sees_all;      /* may look at everybody's sockets */
	bool opener;        /* may open sockets */
	bool netlink;       /* BYWAY_NETLINK was said: the two below count, and only that protocol is spoken */
	uint8_t netlink_protocol; /* NETLINK_ROUTE or NETLINK_SOCK_DIAG */
	uint32_t netlink_port;    /* nlmsg_pid of the answers */
	uint32_t groups;          /* multicast groups that it listens to: group n is bit n - 1 */
	struct packet *out, **out_tail;
	size_t out_bytes;
	stack_time moved; /* its last turn, or when an answer began to wait */
	uint8_t *rest;        /* messages of the last packet that wait for the next turn */
	size_t rest_len;
	struct dump dump;
	struct pending *pending;
	unsigned pending_count;
};

struct control {
	struct daemon *daemon;
	int fd; /* the listening socket */
	bool bound; /* made by us, not by socket activation: its file is ours to remove */
	dev_t file_dev;
	ino_t file_inode;
	sd_event_source *source;
	sd_event_source *retry; /* accepts again after running out of descriptors */
	sd_event_source *stall; /* looks for clients that do not read */
	struct client *clients;
	unsigned client_count;
	gid_t group; /* whose members open sockets */
	bool has_group;
	stack_time logged_since; /* clients were complained about since then */
	unsigned logged;
	uint8_t *in;  /* BYWAY_MESSAGE_MAX bytes: the packet in hand */
	uint8_t *out; /* BYWAY_MESSAGE_MAX bytes: the answer in hand */
	uint8_t *notice; /* CONTROL_MESSAGE bytes: a message for subscribers; NULL: there never were any */
};

/* ---- control_client.c: conversations and answers ---- */

/* A conversation on fd, which is taken. */
void client_new(struct control *k, int fd);
/* Ends it now; never from inside its own turn, there it is client_hang_up. */
void client_free(struct client *c);
/* There is work for it, as soon as it reads. */
bool client_busy(const struct client *c);
/* Looks in a while whether anybody leaves answers unread. */
void control_watch(struct control *k);
/* The next turn of the loop frees it. */
void client_hang_up(struct client *c);

/* A packet of answers being built in control->out. One at a time. */
struct reply {
	struct client *client;
	uint32_t seq;
	uint16_t flags;        /* of every message, NLM_F_MULTI for a dump */
	uint8_t *buffer;       /* control->out; control->notice for a message to subscribers */
	size_t len;            /* finished messages */
	struct nlmsghdr *head; /* the message in hand */
};
void reply_open(struct reply *r, struct client *c, uint32_t seq, uint16_t flags);
/* Begins a message (ends the one before) and returns its fixed header of `header` bytes, zeroed. */
void *reply_message(struct reply *r, uint16_t type, size_t header);
/* Attributes of the message in hand. */
void reply_put(struct reply *r, uint16_t type, size_t len, const void *data);
void reply_u32(struct reply *r, uint16_t type, uint32_t value);
void reply_u64(struct reply *r, uint16_t type, uint64_t value);
void reply_string(struct reply *r, uint16_t type, const char *text); /* NULL: nothing */
void reply_address(struct reply *r, uint16_t type, const struct stack_endpoint *endpoint);
/* True: the packet is as full as it should get. */
bool reply_full(const struct reply *r);
/* Sends or queues what was built. fd (or -1) goes along and is closed here in any case. */
void reply_send(struct reply *r, int fd);
/* The same with several. */
void reply_send_all(struct reply *r, const int *fd, unsigned fds);
/* NLMSG_ERROR with an extended-ack text; bad_attr: offset in the request of what is wrong, or 0. */
void reply_error(struct client *c, const struct nlmsghdr *request, int error, const char *text, uint32_t bad_attr);

/* Begins a dump; its first packet is made in this turn. */
void dump_start(struct client *c, uint32_t seq, bool (*step)(struct client *c, struct reply *r));

/* ---- control_request.c ---- */

/* A request in hand, already checked against its row in the table. */
struct request {
	struct client *client;
	struct daemon *daemon;
	const struct nlmsghdr *head;
	const struct nlattr *attr[BYWAY_A_MAX]; /* of Byway's own messages, by type */
	uint32_t bad_attr;                      /* offset of the attribute that is wrong */
	char text[192];                         /* what is wrong, in words */
};
/* Answers the message, now or later. Its cost: looking a socket up by its id takes a whole turn. */
unsigned request_handle(struct client *c, const struct nlmsghdr *head);
/* Keeps the words for the answer; returns `error`. */
int request_fail(struct request *q, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for what the caller may not do: logged too. */
int request_deny(struct request *q, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* False: enough was logged about clients in this second. */
bool control_may_log(struct control *k);
bool request_flag(const struct request *q, enum byway_attr attr);

/* ---- access.c: who may do what ---- */

/* Who is at the other end, and what it may do. 0 or -errno. */
int access_identify(struct client *c);
/* The configuration names others than [Control] Group=: everybody may reach the socket, and is judged by the daemon. */
bool access_beyond_group(const struct access *a);
/* The caller may bind to it (all zero: to whatever there is): 0, or -EACCES after request_deny. */
int access_bind(struct request *q, const struct stack_endpoint *local);
/* The caller may open sockets: 0, or -EACCES after request_deny. */
int opener_check(struct request *q);
/* True when the caller may look at sockets of `uid`. */
bool client_may_see(const struct client *c, uint32_t uid);
/* True when the caller may kill and change them. */
bool client_may_change(const struct client *c, uint32_t uid);

/* ---- handlers: 0 when answered (now or later), or a negative errno after request_fail ---- */

int control_connect(struct request *q);   /* control_open.c */
int control_listen(struct request *q);
int control_datagram(struct request *q);
void pending_cancel_all(struct client *c); /* the client is gone */
int control_sock_open(struct request *q); /* control_socket.c */
int control_sock_bind(struct request *q);
int control_sock_listen(struct request *q);
int control_sock_connect(struct request *q);
int control_sock_send(struct request *q);
int control_sock_get(struct request *q);
int control_sock_error(struct request *q);
int control_sock_recverr(struct request *q);
int control_sock_shutdown(struct request *q);
int control_sock_guard(struct request *q);
int control_sock_ring(struct request *q);
int control_netlink(struct request *q);
int control_get_tcb(struct request *q);   /* control_info.c */
int control_get_stats(struct request *q);
int control_get_status(struct request *q);
int control_netlink_groups(struct request *q); /* control_notify.c */
int rtnl_get(struct request *q);          /* rtnl.c */
int rtnl_change(struct request *q);       /* rtnl_change.c */
int control_set_option(struct request *q); /* control_option.c */
int control_get_option(struct request *q);
int diag_get(struct request *q);          /* diag.c */
int diag_destroy(struct request *q);

/* ---- control_notify.c: netlink's multicast groups ---- */

/*
 * A message for everybody who listens to the group: `put` adds it. seen: who may see it, NULL:
 * all. Who leaves its messages unread misses this one; nothing waits.
 */
void control_notify(struct control *k, uint8_t protocol, unsigned group,
		    bool (*seen)(const struct client *c, const void *arg),
		    void (*put)(struct reply *r, const void *arg), const void *arg);
/* Somebody came or went: what subscribers are to be told of is found out again. */
void control_groups_changed(struct control *k);

/* ---- control_open.c, for control_socket.c ---- */

/* LOCAL and REMOTE (all zero: not given), and that the caller may use them. 0 or after request_fail. */
int request_addresses(struct request *q, struct stack_endpoint *local, struct stack_endpoint *remote);
/* BACKLOG, the default or the most there is. */
unsigned request_backlog(const struct request *q);

/* The daemon's endpoint behind a socket of the stack, or NULL. */
static inline struct endpoint *sock_endpoint(const struct stack_sock_info *info)
{
	return info->user;
}
/* Adds what the daemon holds for the owner to the stack's own queue lengths (diag.c). */
void sock_queues(const struct stack_sock_info *info, uint64_t *recv_q, uint64_t *send_q);

#endif
