/*
 * libbyway: connections of the Byway stack for any program.
 *
 * Each call returns an ordinary file descriptor whose other end is in bywayd: read, write,
 * poll, shutdown, close, dup, fork and passing it on all work. Descriptors are close-on-exec.
 * Calls return -1 and set errno as the host's own sockets would: ECONNREFUSED, ETIMEDOUT,
 * ENETUNREACH (no route), EHOSTUNREACH (no neighbour), EADDRINUSE, EADDRNOTAVAIL, EACCES,
 * EAFNOSUPPORT, ENOBUFS; and ENOENT or ECONNREFUSED from byway_open when no daemon listens.
 * Addresses are struct sockaddr_in, or struct sockaddr_in6 with a mapped IPv4 address.
 * A struct byway may be used by one thread at a time; descriptors may be used by any.
 */
#ifndef BYWAY_H
#define BYWAY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct byway; /* a conversation with the daemon */

/* path NULL: $BYWAY_SOCKET, or /run/byway/control.sock. NULL and errno on failure. */
struct byway *byway_open(const char *path);
/* Descriptors stay valid. NULL is fine. */
void byway_close(struct byway *b);
/* What the daemon said about the last failure ("no route to 203.0.113.7"); never NULL. */
const char *byway_error(const struct byway *b);

#define BYWAY_NODELAY (1u << 0)  /* Nagle's algorithm off */
#define BYWAY_NONBLOCK (1u << 1) /* returns at once, descriptor non-blocking; writable when connected */
#define BYWAY_BROADCAST (1u << 2) /* UDP: may send to broadcast addresses */

/* Opens a TCP connection and waits for the handshake. local may be NULL. A stream descriptor, or -1. */
int byway_connect(struct byway *b, const struct sockaddr *remote, socklen_t remote_len,
		  const struct sockaddr *local, socklen_t local_len, unsigned flags);

/*
 * The same, and `len` bytes of data, 1 to 1460, are the first that the peer gets. When the daemon has the
 * server's cookie for TCP Fast Open they go in the SYN, a round trip earlier; a SYN may come to the server
 * twice, so this is for requests that do no harm when they are repeated. EMSGSIZE: too many bytes.
 */
int byway_connect_data(struct byway *b, const struct sockaddr *remote, socklen_t remote_len,
		       const struct sockaddr *local, socklen_t local_len, unsigned flags,
		       const void *data, size_t len);

/* A listening descriptor, readable when a connection waits for byway_accept. backlog 0: the daemon's default. */
int byway_listen(struct byway *b, const struct sockaddr *local, socklen_t local_len, int backlog);

/*
 * The next connection of a listening descriptor; blocks unless it is non-blocking (EAGAIN).
 * remote and remote_len as in accept(2), may be NULL. Needs no struct byway. EINVAL: the
 * daemon is gone, nothing will come any more.
 */
int byway_accept(int listener, struct sockaddr *remote, socklen_t *remote_len, unsigned flags);

/*
 * A UDP descriptor that keeps message boundaries. remote not NULL: connected; messages are
 * payload. Otherwise use byway_sendto and byway_recvfrom. Either address may be NULL.
 * flags: BYWAY_NONBLOCK, BYWAY_BROADCAST.
 */
int byway_datagram(struct byway *b, const struct sockaddr *local, socklen_t local_len,
		   const struct sockaddr *remote, socklen_t remote_len, unsigned flags);
ssize_t byway_sendto(int fd, const void *data, size_t len, int flags,
		     const struct sockaddr *to, socklen_t to_len);
ssize_t byway_recvfrom(int fd, void *data, size_t len, int flags,
		       struct sockaddr *from, socklen_t *from_len);

/*
 * setsockopt(2), getsockopt(2) and, for SIOCINQ, SIOCOUTQ and SIOCOUTQNSD, ioctl(2) on the stack's
 * socket behind a descriptor: the host's levels, names, values and errors. The descriptor's user
 * and root may. ENOENT: it is no descriptor of a socket that the stack still has.
 */
int byway_setsockopt(struct byway *b, int fd, int level, int name, const void *value, socklen_t len);
int byway_getsockopt(struct byway *b, int fd, int level, int name, void *value, socklen_t *len);
int byway_ioctl(struct byway *b, int fd, unsigned long request, int *value);
/*
 * An option for the next socket that byway_connect, byway_listen or byway_datagram opens: set before
 * it binds, listens or connects, as TCP_MAXSEG and SO_REUSEPORT need it. That call forgets it, and
 * fails if the option does. ENOBUFS: too many. byway_listen always has SO_REUSEADDR.
 */
int byway_presetsockopt(struct byway *b, int level, int name, const void *value, socklen_t len);

/*
 * Rings: the second way for the bytes of a TCP connection, through memory that is shared with the daemon.
 * They cost no system call while both sides are awake, and it is faster; the descriptor does not carry them
 * any more then, so it is for programs that call what follows in place of read, write and poll.
 *
 * byway_ring takes over a connected stream descriptor; what waits in it in either direction is not lost.
 * size: bytes each way, a power of two from 64 KiB to 4 MiB; 0: 1 MiB. The memory is the daemon's to give.
 * NULL, and the descriptor is as it was: ENOTCONN, EOPNOTSUPP (not TCP), EBUSY (it has a ring), EINVAL (size),
 * ENOBUFS (a budget is spent), ENOENT (not a descriptor of the stack, or another user's). EMFILE and ENOMEM are
 * of this process, ETIMEDOUT, EPIPE and ECONNRESET of the conversation: the connection may be lost then, and has ended.
 *
 * Used by one thread at a time, and by one process: after fork(2) one of the two.
 */
struct byway_ring;

struct byway_ring *byway_ring(struct byway *b, int fd, size_t size);
/* Closes its descriptor too: FIN, or RST when something was not read. NULL is fine. */
void byway_ring_close(struct byway_ring *r);

/*
 * As recv(2) and send(2) on the host's sockets, the descriptor's O_NONBLOCK as it was when the ring was made:
 * 0 at the end, ECONNRESET, ETIMEDOUT, EPIPE, EAGAIN; no signal. flags: MSG_DONTWAIT, and MSG_PEEK to read.
 */
ssize_t byway_ring_read(struct byway_ring *r, void *data, size_t len, int flags);
ssize_t byway_ring_write(struct byway_ring *r, const void *data, size_t len, int flags);

/*
 * The same without a copy and without waiting. peek: what there is to read, in up to two pieces (the other is
 * empty), until byway_ring_consume takes `len` bytes of it; returns as read does. lend: room to write into,
 * until byway_ring_commit sends the first `len` bytes of it; returns the bytes, or -1 as write does. consume and
 * commit: -1 and EINVAL for more than there is.
 */
ssize_t byway_ring_peek(struct byway_ring *r, struct iovec iov[2]);
int byway_ring_consume(struct byway_ring *r, size_t len);
ssize_t byway_ring_lend(struct byway_ring *r, struct iovec iov[2]);
int byway_ring_commit(struct byway_ring *r, size_t len);

/*
 * For event loops. poll: which of `events` (POLLIN, POLLOUT) are so now, and POLLHUP and POLLERR. When it
 * returns 0, byway_ring_fd polls readable (POLLIN) as soon as there may be one of them; then ask again, and
 * also after any other call of these that has waited.
 */
short byway_ring_poll(struct byway_ring *r, short events);
int byway_ring_fd(const struct byway_ring *r);

/* how: SHUT_WR. What was written goes, then FIN. */
int byway_ring_shutdown(struct byway_ring *r, int how);

/* After the last call that made a descriptor: its socket's id, and our own address. */
uint64_t byway_last_id(const struct byway *b);
int byway_last_local(const struct byway *b, struct sockaddr *local, socklen_t *local_len);

#ifdef __cplusplus
}
#endif

#endif
