/*
 * Endpoints of local processes, what their files share: owner.c (socket pairs, budgets),
 * owner_stream.c (a TCP connection's data), owner_pair.c (how it goes into a pair),
 * owner_ring.c (through memory shared with the owner in its place), owner_connect.c (opening one),
 * owner_listen.c (listening sockets), owner_datagram.c (UDP), owner_cork.c (what of it waits for
 * more), owner_socket.c (sockets that are opened step by step), owner_index.c (endpoints by inode),
 * owner_source.c (senders of datagrams).
 *
 * An owner holds one end of an AF_UNIX pair, the daemon the other. The daemon never keeps a
 * copy of the owner's end once it is handed over: the end of the last copy is how it learns
 * that the owner is gone.
 */
#ifndef BYWAY_DAEMON_OWNER_H
#define BYWAY_DAEMON_OWNER_H

#include "client/protocol.h"
#include "daemon/daemon.h"

/*
 * A zeroed object of `size` bytes that begins with a struct endpoint (its daemon, owner and
 * inode are set), counted against its user, with an AF_UNIX pair of `type`: fd[0] is ours and
 * non-blocking, fd[1] the owner's. NULL, *error (negative) and why.
 */
void *owner_new(struct daemon *d, const struct owner *who, size_t size, int type, bool nonblock, int fd[2],
		int *error, const char **why);
/* The same without a pair. */
void *owner_new_bare(struct daemon *d, const struct owner *who, size_t size, int *error, const char **why);
/*
 * Takes so much of what all users share, for the user of the endpoint, and gives it back before that is freed.
 * False: nobody has more of it than he leaves free, so that there is always some for the next.
 */
bool share_take(struct endpoint *e, enum owner_share what, size_t amount);
void share_return(struct endpoint *e, enum owner_share what, size_t amount);
/* Closes our end of a pair. A guard does not keep the owner's end up, unless it is the daemon that ends. */
void owner_close(const struct endpoint *e, int fd);
/* The object only; descriptors and the stack's socket are the caller's. */
void owner_free(struct endpoint *e);
/*
 * Bytes of payload waiting in the owner's end `inode`, not yet read by it. `fd` is our end,
 * `most` an upper bound (bytes ever given to it).
 */
uint64_t owner_unread(struct daemon *d, int fd, ino_t inode, uint64_t most);

/* A zeroed object of `size` bytes takes the place of `old` (freed): its beginning is the same, and its count. NULL: no memory. */
void *owner_become(struct endpoint *old, size_t size);

/* ---- owner_index.c ---- */

/* 0 or -ENOMEM. */
int index_add(struct endpoint *e);
void index_remove(struct endpoint *e);
/* What owner_epitaph says of it later. */
void index_bury(struct endpoint *e, int error);
void index_free(struct daemon *d);

/* ---- owner_source.c ---- */

/* A file that says who sent a datagram and how it came (protocol.h), kept for the next that is the same; -1: none to be had. */
int source_file(struct daemon *d, const struct byway_source *source);
void source_free(struct daemon *d);

/* In words, for `why` and the log. */
const char *owner_error(int error);

struct byway_address owner_address(const struct stack_endpoint *e);
/* A socket of the stack with the options that the request in hand asks for. NULL, *error and why. */
struct sock *owner_socket(struct daemon *d, const struct owner *who, enum stack_proto proto, int *error,
			  const char **why);
/* Binds a fresh socket if `local` asks for anything. 0 or -errno and why. */
int owner_bind(struct daemon *d, struct sock *sock, const struct stack_endpoint *local, const char **why);
/* As stack_bind; what an owner has closed by now is in nobody's way. */
int owner_take(struct daemon *d, struct sock *sock, const struct stack_endpoint *local);

/* ---- owner_stream.c ---- */

struct listener;

/* A TCP connection of an owner. */
struct stream {
	struct endpoint endpoint;
	struct watch watch;       /* of fd, once the owner has its end */
	int fd;                   /* our end */
	int owner_fd;             /* the owner's, until it is handed over; then -1 */
	uint32_t seen;            /* bytes at the head of what we can read that are parked or were handled already */
	bool foreign;             /* `fd` is a socket of the host and not one end of a pair */
	bool connecting;          /* the owner has its end, and the handshake is under way */
	struct stack_endpoint *deferred; /* where it goes with the first bytes that the owner writes; NULL: nowhere */
	bool promised;            /* the SYN takes bytes along: who closes before it is answered has them sent all the same */
	bool connected;           /* data may flow */
	bool half_closed;         /* the owner sends no more (EPOLLRDHUP) */
	bool gone;                /* the owner has closed (EPOLLHUP) */
	bool finished;            /* all that the owner sent is in the stack, and its FIN */
	bool full;                /* the pair takes no more: EPOLLOUT is awaited */
	bool bulk;                /* the owner writes more at a time than is looked at */
	bool wide;                /* our end of the pair has more room than at first */
	bool roomy;               /* the owner's end has had it from the beginning */
	bool eof;                 /* the peer's FIN came */
	bool eof_told;            /* and the owner sees it */
	bool urgent;              /* the owner has written an urgent byte that was not found yet */
	bool closed;              /* the stack is through with both directions */
	int error;                /* errno that it has ended with; 0: none that we know */
	uint64_t given;           /* bytes that the owner's end was given */
	connect_done *done;       /* who waits for the handshake, or NULL */
	void *arg;                /* theirs; or the forward */
	struct ring *ring;        /* through which bytes go, in place of the pair; NULL: they go through the pair */
	struct listener *listener; /* whose message carries the owner's end, not taken yet; or NULL */
};

/* Whether the owner's end polls writable before stream_connected. */
enum parking {
	PARK_NONE,      /* it does */
	PARK_IDLE,      /* not, with the least buffer: who connects widens it (protocol.h) */
	PARK_CONNECTING /* not, with the buffer that a connection has */
};
/*
 * A stream whose pair exists but that has no socket of the stack yet; counted against `who`.
 * NULL, *error and why.
 */
struct stream *stream_new(struct daemon *d, const struct owner *who, bool nonblock, enum parking parking, int *error,
			  const char **why);
/*
 * The same around a stream socket of the host, which it takes, in place of a pair (closed on
 * failure). `service` names it in the table. NULL and *error.
 */
struct stream *stream_adopt(struct daemon *d, const struct owner *who, int fd, const char *service, int *error);
/* Gives it its socket and enters it into the list. */
void stream_attach(struct stream *s, struct sock *sock);
/* The owner gets its end (the caller sends it): begins to watch ours. 0 or -errno. */
int stream_watch(struct stream *s);
/* The handshake is done: data flows. False: the stream is gone. */
bool stream_connected(struct stream *s);
/* Ends it without a word to the peer (no socket, or one that died already). `reset`: the owner sees ECONNRESET. */
void stream_free(struct stream *s, bool reset);
/* RST to the peer, ECONNRESET to the owner. */
void stream_abort(struct stream *s);

/* An idle stream of owner_sock_open begins its handshake. 0 or -errno and why. */
int stream_connect(struct stream *s, const struct stack_endpoint *remote, struct iovec *first, const char **why);
/* Something has come in its ring; `room`: and there is room for what waits. False: the stream is gone. */
bool stream_serve(struct stream *s, bool room);
/* It has a ring from now on: what waits and what has been told goes there. */
void stream_to_ring(struct stream *s);
/* What lies in the pair goes, but for one byte: it polls writable. */
void stream_unpark(struct stream *s);
/* Bytes that the owner has written and nobody has handled. */
size_t stream_fresh(const struct stream *s);
/* A handshake that waits for data (TCP_FASTOPEN_CONNECT) cannot begin: the owner's end is reset. */
void stream_failed(struct stream *s, int error);

/* ---- owner_pair.c ---- */

#define PAIR_MOST 500000u /* bytes that go into a pair at a time */
#define PAIR_PIECES 8u    /* of which these may consist */

/* `len` bytes, PAIR_MOST at most, out of `iov`, which is used up. Returns what the pair took, or -1 and errno. */
ssize_t pair_send(int fd, struct iovec *iov, size_t len);
/* What is to be the owner's SO_SNDBUF: it has not got its end yet. */
int pair_room(struct stream *s);
/* It was full, and the owner has read most of that. */
void pair_widen(struct stream *s);
/* Nothing more goes into our end. */
void pair_narrow(struct stream *s);
/* It is about to be closed. */
void pair_forget(struct stream *s);

/* ---- owner_ring.c: of streams that have a ring ---- */

/* As much of `iov` (`len` bytes) as there is room. */
size_t ring_put(struct stream *s, const struct iovec *iov, size_t len);
/* There was no room: stream_serve is called when there is. */
void ring_wants_room(struct stream *s);
/* The peer has said all. */
void ring_end(struct stream *s);
/* Into the send queue, as much as has its turn or `all`; and whether that was all for ever (stream.half_closed). */
void ring_take(struct stream *s, bool all);
/* Nothing is left there to be taken. */
bool ring_drained(struct stream *s);
/* The owner has not read all that it was given. */
bool ring_left_unread(struct stream *s);
/* Nothing is left in the pair that goes before it. */
bool ring_in_use(const struct stream *s);
void ring_queued(struct stream *s, uint64_t *recv_q, uint64_t *send_q);
/* The stream goes; `error` (positive, or 0) is what its owner finds. One without a ring is fine. */
void ring_free(struct stream *s, int error);

/* ---- worker_place.c ---- */

/* Before it connects: to the worker that `remote` asks for. 0 or -errno. */
int stream_place(struct stream *s, const struct stack_endpoint *remote);
/* Back to the first, as long as it has not connected. 0 or -errno: then it stays where it is. */
int stream_home(struct stream *s);

/* ---- owner_fastopen.c ---- */

/* The owner wants its first bytes in the SYN, and they could go there: they are waited for. */
bool stream_defer(struct stream *s, const struct stack_endpoint *remote);
/* They are there: connects. False: the stream is gone. */
bool stream_deferred_start(struct stream *s);
bool endpoint_is_stream(const struct endpoint *e);

/* ---- owner_datagram.c ---- */

struct endpoint *datagram_new(struct daemon *d, const struct owner *who, enum stack_proto proto, int *fd, int *error,
			      const char **why);
int datagram_connect(struct endpoint *e, const struct stack_endpoint *remote, const char **why);
int datagram_bind(struct endpoint *e, const struct stack_endpoint *local);
bool datagram_connected(const struct endpoint *e);
bool endpoint_is_datagram(const struct endpoint *e);
/* An option of its socket was set: those that ask how datagrams came are the daemon's, too. */
void datagram_options_changed(struct endpoint *e);
int datagram_descriptor(const struct endpoint *e);
/* One datagram to `to`, or with `more` the beginning of one. 0 or a negative errno. */
int datagram_send(struct endpoint *e, const struct stack_endpoint *to, const struct stack_departure *how, const void *data,
		  size_t len, bool more);

/* ---- owner_cork.c ---- */

/* What waits for the rest of its datagram; NULL: nothing. */
struct cork;
/*
 * Adds to what waits, or begins with it, and sends it unless `more` is to come. 0 or a negative errno:
 * nothing waits any more then.
 */
int cork_write(struct cork **cork, struct endpoint *e, const struct stack_endpoint *to, const struct stack_departure *how,
	       const void *data, size_t len, bool more);
void cork_free(struct cork **cork, struct endpoint *e);

/* ---- owner_listen.c ---- */

/* A bound stream of owner_sock_open becomes a listener with the same descriptors; it is gone then. NULL, *error and why. */
struct endpoint *listener_from_stream(struct stream *s, unsigned backlog, int *error, const char **why);
bool endpoint_is_listener(const struct endpoint *e);
/* As stack_listen on one that listens. */
int listener_set_backlog(struct endpoint *e, unsigned backlog);
/* As stack_destroy, in all workers. */
void listener_destroy(struct endpoint *e);
/* An option of its socket was set: those of all workers have it. */
void listener_options_changed(struct endpoint *e);
/* Our end of its pair. */
int listener_descriptor(const struct endpoint *e);

/* The stream in its message is no more. */
void listener_forget(struct listener *l, struct stream *s);
/* The owner has closed the listening descriptor with a message unread. */
bool listener_unread(const struct listener *l);

#endif
