/*
 * A TCP connection of an owner: bytes between the stack and a stream pair, and what each
 * side's end means to the other.
 *
 * From the stack: payload goes straight from the frame into the pair; what the pair does not
 * take is stored by the stack and follows when the pair has room. From the owner: the pair is
 * read straight into the send queue, as long as that has room.
 *
 * How an owner comes to see ECONNRESET: AF_UNIX reports it to the other end of a socket that
 * is closed while something in it is unread. So one byte is always left unread. It begins as
 * a byte that we park through the owner's end before handing it over; later it is the last
 * byte of what the owner wrote, which was read (MSG_PEEK) but not removed. `seen` counts
 * these bytes. Ending in order removes them first. AF_UNIX cannot show any other error, so an
 * owner sees ECONNRESET for a timeout, too; the exact errno of a failed connect travels on
 * the control socket.
 *
 * How a connection in progress looks: the owner's end is filled with parked bytes until it
 * does not poll writable (unix_writable: more than a quarter of the send buffer in use), and
 * the last of them, by itself, stays as the byte above when the others are removed.
 *
 * When the owner has asked for a ring (owner_ring.c), bytes go through that, and what lies in the pair
 * by then goes first. All else is as it was: the pair's end is the owner's, and its unread byte stays.
 *
 * A forwarded connection (forward.c) has a socket of the host in place of a pair. There SO_LINGER
 * makes the RST, and no byte is left unread: it would hold the whole buffer that it came in, and
 * the host's TCP would keep its window closed.
 */
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <errno.h>
#include <limits.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARKED (BYWAY_SEND_BUFFER / 2 + 1) /* bytes: more than a quarter of the buffer that the kernel makes of it */
#define PARKED_IDLE 1024 /* the same of the least buffer that there is */
#define LOAN_PIECES PAIR_PIECES
#define WATCHED (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET) /* and EPOLLOUT while the pair is full */
#define WATCHED_RING (EPOLLRDHUP | EPOLLET)
#define DIRECT_MIN 8192u /* bytes of a segment worth a call of its own */
#define LOOK 4096u       /* a longer message is worth a question for its length, and is read */
#define SEEN_KEEP 16u    /* most bytes that stay unread */
#define LOTS 8u          /* reads of one owner's pair in a turn */
#define LOT (4 * 65160u) /* bytes of each, at most: full frames, which the cache holds */
#define WORTH 16384u     /* bytes that are worth a call of their own */

static const struct endpoint_ops stream_ops;

static struct stream *stream_of(struct endpoint *e)
{
	return (struct stream *)(void *)e;
}

/* ---- beginning and end ---- */

/* Puts the first unread byte into the pair, and before it, when it is parked, enough to fill it. */
static int park(struct stream *s, enum parking parking)
{
	static const char filler[PARKED];
	int size = parking == PARK_IDLE ? 1 : parking == PARK_NONE ? pair_room(s) : (int)BYWAY_SEND_BUFFER;

	setsockopt(s->owner_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (parking != PARK_NONE) {
		ssize_t n = send(s->owner_fd, filler, parking == PARK_IDLE ? PARKED_IDLE : sizeof(filler),
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
		s->seen = (uint32_t)n;
	}
	if (send(s->owner_fd, filler, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return -errno;
	s->seen++;
	return 0;
}

struct stream *stream_new(struct daemon *d, const struct owner *who, bool nonblock, enum parking parking, int *error,
			  const char **why)
{
	int fd[2], one = 1;
	struct stream *s = owner_new(d, who, sizeof(*s), SOCK_STREAM, nonblock, fd, error, why);

	if (!s)
		return NULL;
	s->fd = fd[0];
	s->owner_fd = fd[1];
	s->endpoint.ops = &stream_ops;
	s->endpoint.connection = true;
	/* So that an urgent byte is found where it is written, and does not stick in the queue. */
	setsockopt(s->fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	*error = park(s, parking);
	if (*error) {
		*why = "the daemon cannot fill a socket pair";
		stream_free(s, false);
		return NULL;
	}
	return s;
}

struct stream *stream_adopt(struct daemon *d, const struct owner *who, int fd, const char *service, int *error)
{
	const char *why;
	int one = 1;
	struct stream *s = owner_new_bare(d, who, sizeof(*s), error, &why);

	if (!s) {
		close(fd);
		return NULL;
	}
	s->fd = fd;
	s->owner_fd = -1;
	s->foreign = true;
	s->endpoint.ops = &stream_ops;
	s->endpoint.connection = true;
	s->endpoint.service = service;
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* the sender has waited already, if it wanted to */
	return s;
}

void stream_attach(struct stream *s, struct sock *sock)
{
	s->endpoint.sock = sock;
	stack_set_user(sock, &s->endpoint);
	endpoint_link(s->endpoint.daemon, &s->endpoint);
}

static ssize_t receive(int fd, struct iovec *iov, unsigned count)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};

	return recvmsg(fd, &m, MSG_DONTWAIT);
}

/* Removes the first n bytes of what we can read: all pieces of the read lie in one place. */
static void discard(struct stream *s, size_t n)
{
	char junk[4096];
	struct iovec iov[32];

	while (n > 0) {
		unsigned pieces = 0;
		for (size_t left = n; left > 0 && pieces < sizeof(iov) / sizeof(iov[0]); pieces++) {
			iov[pieces] = (struct iovec){junk, left < sizeof(junk) ? left : sizeof(junk)};
			left -= iov[pieces].iov_len;
		}
		ssize_t got = receive(s->fd, iov, pieces);
		if (got <= 0)
			return;
		n -= (size_t)got;
	}
}

static void count_read(struct stream *s, size_t bytes)
{
	s->endpoint.daemon->count.owner_reads++;
	s->endpoint.daemon->count.owner_read_bytes += bytes;
}

/* Of what was seen only the last byte stays. */
static void leave_last(struct stream *s)
{
	discard(s, s->seen - 1);
	s->seen = 1;
}

void stream_free(struct stream *s, bool reset)
{
	struct daemon *d = s->endpoint.daemon;

	if (!reset)
		discard(s, s->seen);
	else if (s->foreign)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	if (s->listener)
		listener_forget(s->listener, s);
	worker_forget(d, &s->endpoint);
	if (s->endpoint.sock)
		endpoint_unlink(d, &s->endpoint);
	/* A watch ends with the last copy of its descriptor, which is ours unless there is a guard. */
	if (s->endpoint.guarded)
		loop_unwatch(d, &s->watch);
	else
		loop_forget(d, &s->watch);
	free(s->deferred);
	pair_forget(s);
	ring_free(s, !reset ? 0 : s->error ? s->error : ECONNRESET);
	owner_close(&s->endpoint, s->fd);
	if (s->owner_fd >= 0)
		close(s->owner_fd);
	owner_free(&s->endpoint);
}

void stream_abort(struct stream *s)
{
	stack_abort(s->endpoint.sock, daemon_now());
	daemon_kick(s->endpoint.daemon);
	stream_free(s, true);
}

/* The stack sends what it has, and FIN; RST instead when received data is left unread. */
static void stream_close(struct stream *s, bool reset)
{
	stack_close(s->endpoint.sock, daemon_now());
	daemon_kick(s->endpoint.daemon);
	stream_free(s, reset);
}

/* ---- from the stack to the owner ---- */

static bool stack_has_data(struct stream *s)
{
	struct iovec iov;
	unsigned pieces = 1;

	return stack_recv_peek(s->endpoint.sock, &iov, &pieces) > 0;
}

/* Whether a byte that could not be given to the owner may be forgotten. */
static bool unwanted(struct stream *s)
{
	struct pollfd p = {.fd = s->fd};

	/*
	 * EPIPE without a hangup is the owner's shutdown(SHUT_RD): it wants no more, which TCP has
	 * no word for. After a close the data stays in the stack, which makes it an RST.
	 */
	return errno == EPIPE && poll(&p, 1, 0) == 0;
}

/*
 * The pair is full: the loop says when it has room. An edge is enough where it is waited for
 * already; asking anew finds room that came meanwhile.
 */
static void wait_for_room(struct stream *s)
{
	s->full = true;
	if (s->ring)
		ring_wants_room(s);
	else if (s->watch.ready && !(s->watch.events & EPOLLOUT))
		loop_rewatch(s->endpoint.daemon, &s->watch, WATCHED | EPOLLOUT);
}

static ssize_t give_ring(struct stream *s, const struct iovec *iov, size_t len)
{
	struct daemon_counters *count = &s->endpoint.daemon->count;
	size_t n = ring_put(s, iov, len);

	count->ring_writes++;
	count->ring_write_bytes += n;
	if (n < len)
		wait_for_room(s);
	return (ssize_t)n;
}

/*
 * Returns the bytes that the pair took, which may be none; less than 0: the owner will never take any (unwanted).
 * `iov` is used up.
 */
static ssize_t give(struct stream *s, struct iovec *iov, size_t len)
{
	struct daemon_counters *count = &s->endpoint.daemon->count;

	if (s->ring)
		return give_ring(s, iov, len);
	len = len < PAIR_MOST ? len : PAIR_MOST;
	ssize_t n = pair_send(s->fd, iov, len);

	count->owner_writes++;
	if (n < 0 && unwanted(s))
		return -1;
	if (n < 0)
		n = 0;
	s->given += (size_t)n;
	count->owner_write_bytes += (size_t)n;
	if ((size_t)n < len) {
		count->owner_writes_full++;
		wait_for_room(s);
	}
	return n;
}

/* Small segments are stored, and follow with others of the same turn in one call; into a ring there is none. */
static size_t on_receive(struct endpoint *e, struct sock *sock, const void *data, size_t len)
{
	struct stream *s = stream_of(e);
	struct iovec iov = {(void *)(uintptr_t)data, len};

	(void)sock;
	if (s->gone || !s->connected || s->full || (len < DIRECT_MIN && !s->ring))
		return 0;
	ssize_t n = give(s, &iov, len);
	return n < 0 ? len : (size_t)n;
}

/* A socket pair has a mark of its own for it; a ring has none, there it is in line. False: not now. */
static bool give_urgent(struct stream *s, uint8_t byte)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (s->ring)
		return give(s, &(struct iovec){&byte, 1}, 1) == 1;
	ssize_t n = send(s->fd, &byte, 1, flags | MSG_OOB);
	if (n != 1 && errno == EOPNOTSUPP) /* a kernel without it (CONFIG_AF_UNIX_OOB): in line, rather than never */
		n = send(s->fd, &byte, 1, flags);
	if (n == 1 || unwanted(s))
		return true;
	wait_for_room(s);
	return false;
}

/* An urgent byte whose turn it is. False: not now. */
static bool push_urgent(struct stream *s)
{
	struct sock *sock = s->endpoint.sock;
	uint8_t byte;

	if (!stack_at_mark(sock) || stack_recv_urgent(sock, &byte, true) != 1)
		return true;
	if (!give_urgent(s, byte))
		return false;
	stack_recv_urgent(sock, &byte, false);
	s->given++;
	return true;
}

/* Gives the owner what the stack has stored, then the end of file if it is time. */
static void push(struct stream *s)
{
	struct sock *sock = s->endpoint.sock;
	struct iovec iov[LOAN_PIECES];
	unsigned pieces = LOAN_PIECES;
	size_t waiting;

	if (!s->connected)
		return;
	while (!s->full && push_urgent(s) && (waiting = stack_recv_peek(sock, iov, &pieces)) > 0) {
		ssize_t n = give(s, iov, waiting);
		size_t done = n < 0 ? waiting : (size_t)n;
		if (done == 0)
			return;
		stack_recv_consume(sock, daemon_now(), done);
		daemon_kick(s->endpoint.daemon);
		pieces = LOAN_PIECES;
	}
	if (s->eof && !s->eof_told && !s->full) {
		s->eof_told = true;
		if (s->ring)
			ring_end(s);
		else
			shutdown(s->fd, SHUT_WR);
	}
}

/* ---- from the owner to the stack ---- */

size_t stream_fresh(const struct stream *s)
{
	int readable = 0;

	if (ioctl(s->fd, FIONREAD, &readable) != 0 || (uint32_t)readable <= s->seen)
		return 0;
	return (size_t)readable - s->seen;
}

/* Makes iov (pieces, total bytes as given) `cut` bytes shorter. Returns where the first byte cut away belongs. */
static void *shorten(struct iovec *iov, unsigned *pieces, size_t len)
{
	unsigned i = 0;

	while (i < *pieces && len >= iov[i].iov_len)
		len -= iov[i++].iov_len;
	if (i == *pieces)
		return NULL;
	void *end = (char *)iov[i].iov_base + len;
	iov[i].iov_len = len;
	*pieces = len > 0 ? i + 1 : i;
	return end;
}

/* The next byte that the owner's end would give us is an urgent one. */
static bool urgent_next(struct stream *s)
{
	int at = 0;

	return s->urgent && ioctl(s->fd, SIOCATMARK, &at) == 0 && at;
}

/*
 * A short message is looked at and stays where it is, which takes one call. It goes when a few
 * bytes lie there: each may be a message by itself, and they count against the owner's buffer.
 * True: there may be more than was looked at.
 */
static bool look(struct stream *s)
{
	struct sock *sock = s->endpoint.sock;
	char junk[SEEN_KEEP];
	struct iovec iov[3] = {{junk, s->seen}};
	unsigned pieces = 2;
	size_t space = stack_send_space(sock, LOOK, iov + 1, &pieces);
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = pieces + 1};
	ssize_t n = space > 0 ? recvmsg(s->fd, &m, MSG_PEEK | MSG_DONTWAIT) : 0;
	size_t fresh = n > (ssize_t)s->seen ? (size_t)n - s->seen : 0;

	stack_send_commit(sock, daemon_now(), fresh);
	count_read(s, fresh);
	if (fresh == 0)
		return false;
	daemon_kick(s->endpoint.daemon);
	s->seen += (uint32_t)fresh;
	if (s->seen > SEEN_KEEP)
		leave_last(s);
	return fresh == space;
}

/*
 * Reads one loan of send-queue space full, as far as the owner has written. When that takes
 * all there is, the last byte of a pair is only looked at. False: nothing more to be had now.
 */
static bool take(struct stream *s)
{
	struct sock *sock = s->endpoint.sock;
	char junk[SEEN_KEEP];
	struct iovec iov[LOAN_PIECES + 1] = {{junk, s->seen}};
	unsigned pieces = LOAN_PIECES;
	size_t fresh = stream_fresh(s), taken = 0, space;

	if (fresh == 0)
		return false;
	s->bulk = fresh >= LOOK;
	bool urgent = s->seen == 0 && urgent_next(s);
	if (urgent)
		fresh = 1;
	space = stack_send_space(sock, fresh < LOT ? fresh : LOT, iov + 1, &pieces);
	if (space == 0)
		return false;
	bool all = space >= fresh && !s->foreign;
	size_t want = s->seen + (all ? fresh - 1 : space);
	unsigned total = pieces + 1;
	void *last = shorten(iov, &total, want);
	ssize_t n = want > 0 ? receive(s->fd, iov, total) : 0;
	if (n >= (ssize_t)s->seen) {
		taken = (size_t)n - s->seen;
		s->seen = 0;
	} else if (n > 0) {
		s->seen -= (uint32_t)n;
	}
	if (all && (size_t)n == want && recv(s->fd, last, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
		taken++;
		s->seen = 1;
	}
	stack_send_commit(sock, daemon_now(), taken);
	count_read(s, taken);
	if (taken > 0 && (urgent || (s->seen == 1 && urgent_next(s)))) {
		stack_send_urgent(sock);
		s->urgent = false;
	}
	daemon_kick(s->endpoint.daemon);
	/* With more behind it: it goes while it is in the processor's cache, not when all of that has been read. */
	if (taken < fresh && taken >= WORTH) {
		stack_send_more(sock);
		stack_send_now(sock, daemon_now());
	}
	return n > 0 || taken > 0;
}

/* A look ends before an urgent byte, which is only found by reading. */
static void pull_pair(struct stream *s, unsigned most)
{
	unsigned lots = 0;

	if (!s->foreign && !s->bulk && !s->urgent && !look(s))
		return;
	while (lots < most && take(s))
		lots++;
	if (lots == most) /* and others have their turn; the edge comes again */
		loop_rewatch(s->endpoint.daemon, &s->watch, s->watch.events);
	s->urgent = s->urgent && stream_fresh(s) > 0;
}

/* What the owner has written, as far as the send queue has room; as much as has its turn, or `all`. */
static void pull_lots(struct stream *s, bool all)
{
	if (!s->ring || !ring_in_use(s))
		pull_pair(s, all ? UINT_MAX : LOTS);
	if (s->ring)
		ring_take(s, all);
}

/* Nothing that it has written is left to be taken. */
static bool drained(struct stream *s)
{
	return s->ring ? ring_drained(s) : stream_fresh(s) == 0;
}

/* Takes what the owner wrote as far as the send queue has room, then its end. False: the stream is gone. */
static bool pull(struct stream *s)
{
	if (s->deferred && (s->half_closed || stream_fresh(s) > 0))
		return stream_deferred_start(s);
	if (!s->connected || s->finished)
		return true;
	pull_lots(s, false);
	if (!s->half_closed || !drained(s))
		return true;
	if (s->gone) {
		stream_close(s, false);
		return false;
	}
	s->finished = true;
	stack_shutdown(s->endpoint.sock, daemon_now());
	daemon_kick(s->endpoint.daemon);
	return true;
}

/* ---- readiness ---- */

/* It has no connection yet, and has written nothing: no byte of which it was told that it goes. */
static bool nothing_promised(const struct stream *s)
{
	bool under_way = s->connecting || s->deferred || s->foreign;

	return !s->connected && !s->promised && !(under_way && stream_fresh(s) > 0);
}

/* True when the owner is gone and that was dealt with: the stream does not exist any more. */
static bool owner_gone(struct stream *s, uint32_t events)
{
	if (!(events & EPOLLHUP))
		return false;
	s->gone = s->half_closed = true;
	/* EPOLLERR: it closed with data unread in its end. RFC 9293 3.6.1 (RFC 1122 4.2.2.13): RST. */
	if ((events & EPOLLERR) || nothing_promised(s) || stack_has_data(s) ||
	    (s->ring && ring_left_unread(s))) {
		stream_abort(s);
		return true;
	}
	if (s->finished) {
		stream_close(s, false);
		return true;
	}
	return false;
}

/* False: nobody waits for it any more, so it is not to wake us again. */
static bool room_came(struct stream *s)
{
	bool awaited = s->full;

	s->full = false;
	if (awaited)
		pair_widen(s);
	else
		loop_rewatch(s->endpoint.daemon, &s->watch, WATCHED);
	return awaited;
}

/* There is room for what waits. */
static bool push_more(struct stream *s)
{
	push(s);
	if (!s->closed || stack_has_data(s))
		return true;
	stream_close(s, false);
	return false;
}

static void on_io(void *stream, uint32_t events)
{
	struct stream *s = stream;

	if (s->listener && (events & EPOLLHUP) && listener_unread(s->listener))
		events |= EPOLLERR; /* closed with its listener: nobody ever had it */
	if (events & EPOLLRDHUP)
		s->half_closed = true;
	if (owner_gone(s, events))
		return;
	if (events & EPOLLPRI)
		s->urgent = true;
	if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP)) && !pull(s))
		return;
	if ((events & EPOLLOUT) && !s->ring && room_came(s) && s->connected)
		push_more(s);
}

bool stream_serve(struct stream *s, bool room)
{
	if (room)
		s->full = false;
	return pull(s) && (!room || push_more(s));
}

void stream_to_ring(struct stream *s)
{
	s->full = false;
	pair_narrow(s);
	loop_rewatch(s->endpoint.daemon, &s->watch, WATCHED_RING);
	if (s->eof_told)
		ring_end(s);
	push(s);
	s->urgent = true; /* perhaps: nobody looks for such a byte in the pair any more */
	if (!ring_in_use(s))
		pull_pair(s, UINT_MAX); /* nor for what lies there */
	ring_take(s, false);
}

int stream_watch(struct stream *s)
{
	return loop_watch(s->endpoint.daemon, &s->watch, s->fd, WATCHED | (s->full ? EPOLLOUT : 0), on_io, s);
}

void stream_unpark(struct stream *s)
{
	if (s->seen > 1)
		leave_last(s);
}

bool stream_connected(struct stream *s)
{
	s->connecting = false;
	s->connected = true;
	stream_unpark(s);
	push(s);
	return pull(s);
}

/* With data as far as the SYN can carry it; without any it asks for a cookie, if the owner will want one. */
static int open_connection(struct stream *s, const struct stack_endpoint *remote, struct iovec *first)
{
	struct sock **sock = &s->endpoint.sock;
	int cookie = 0;
	size_t len = sizeof(cookie);
	ptrdiff_t n;

	stack_getsockopt(*sock, daemon_now(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &cookie, &len);
	if (!first && !cookie)
		return stack_connect(sock, daemon_now(), remote);
	n = stack_connect_data(sock, daemon_now(), remote, first ? first->iov_base : NULL, first ? first->iov_len : 0);
	if (first && n >= 0)
		first->iov_len = (size_t)n;
	s->promised = first && n > 0;
	return n < 0 ? (int)n : 0;
}

int stream_connect(struct stream *s, const struct stack_endpoint *remote, struct iovec *first, const char **why)
{
	bool deferred = s->deferred != NULL;
	int parked;

	/* What lies there was written to a socket without a peer, or parks it. */
	if (!deferred && ioctl(s->fd, FIONREAD, &parked) == 0)
		s->seen = (uint32_t)parked;
	if (!deferred && !first && stream_defer(s, remote))
		return 0;
	int error = deferred ? 0 : stream_place(s, remote);
	if (!error)
		error = open_connection(s, remote, first);
	if (error) {
		if (!deferred)
			stream_home(s);
		*why = owner_error(error);
		return error;
	}
	stack_set_user(s->endpoint.sock, &s->endpoint);
	s->connecting = true;
	s->endpoint.connection = true;
	s->endpoint.daemon->connections++;
	daemon_kick(s->endpoint.daemon);
	return 0;
}

/* ---- events of the stack ---- */

static void on_error(struct stream *s, int error)
{
	connect_done *done = s->done;
	void *arg = s->arg;

	if (done) {
		s->done = NULL;
		done(arg, error, owner_error(error), -1, &s->endpoint);
	} else if (s->connected) {
		s->full = false;
		push(s);
	}
	stream_failed(s, error);
}

void stream_failed(struct stream *s, int error)
{
	index_bury(&s->endpoint, error);
	s->error = error;
	stream_close(s, true);
}

/* The handshake that somebody waited for is done: they get the owner's end. */
static bool tell_connected(struct stream *s)
{
	connect_done *done = s->done;
	int fd = s->owner_fd;

	if (!done)
		return true;
	s->done = NULL;
	s->owner_fd = -1;
	int error = stream_watch(s);
	if (error < 0) {
		close(fd);
		done(s->arg, -error, "the daemon cannot watch a descriptor", -1, &s->endpoint);
		stream_abort(s);
		return false;
	}
	done(s->arg, 0, NULL, fd, &s->endpoint);
	return true;
}

static void on_event(struct endpoint *e, const struct stack_event *event)
{
	struct stream *s = stream_of(e);

	if (s->done && worker_alone(e->daemon)) { /* who waits is the main thread's */
		worker_keep_event(e, event);
		return;
	}
	if (event->events & STACK_EVENT_ERROR) {
		on_error(s, event->error);
		return;
	}
	if ((event->events & STACK_EVENT_CONNECTED) && (!tell_connected(s) || !stream_connected(s)))
		return;
	if (s->gone && (event->events & STACK_EVENT_READABLE)) {
		stream_abort(s); /* data for an owner that has closed: RST, as the host does */
		return;
	}
	if (event->events & STACK_EVENT_EOF)
		s->eof = true;
	if (event->events & (STACK_EVENT_READABLE | STACK_EVENT_URGENT | STACK_EVENT_EOF))
		push(s);
	if ((event->events & STACK_EVENT_WRITABLE) && !pull(s))
		return;
	if (event->events & STACK_EVENT_CLOSED) {
		s->closed = true;
		if (!stack_has_data(s))
			stream_close(s, false);
	}
}

/* ---- the other operations ---- */

static void on_close(struct endpoint *e, bool abort)
{
	struct stream *s = stream_of(e);

	if (s->done) {
		connect_done *done = s->done;
		s->done = NULL;
		done(s->arg, ECONNABORTED, "the daemon is ending", -1, e);
	}
	if (abort || !s->connected) {
		stream_abort(s);
		return;
	}
	s->full = false;
	push(s);
	pull_lots(s, true);
	if (!drained(s)) { /* what it wrote is cut off, which must not look like its end */
		stream_abort(s);
		return;
	}
	stream_close(s, false);
}

static void on_queued(struct endpoint *e, uint64_t *recv_q, uint64_t *send_q)
{
	struct stream *s = stream_of(e);

	if (s->ring)
		ring_queued(s, recv_q, send_q);
	*recv_q += owner_unread(e->daemon, s->fd, e->inode, s->given);
	*send_q += stream_fresh(s);
}

static struct watch *on_watch(struct endpoint *e)
{
	return &stream_of(e)->watch;
}

static const struct endpoint_ops stream_ops = {
	.event = on_event,
	.receive = on_receive,
	.close = on_close,
	.queued = on_queued,
	.watch = on_watch,
};

bool endpoint_is_stream(const struct endpoint *e)
{
	return e->ops == &stream_ops;
}
