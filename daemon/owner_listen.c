/*
 * A listening socket of an owner: a sequenced-packet pair on which each message is a struct
 * byway_accepted and brings one connection's descriptor.
 *
 * One message is under way at a time: the next connection leaves the stack's accept queue when
 * the owner has taken the one before (nothing of ours is left in the pair, SIOCOUTQ). So the
 * backlog that the owner asked for is the real one, and a connection waits where RECV-Q shows
 * it. When the owner closes, what it has not taken is reset, as the host does.
 */
#include "daemon/owner.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY 100000u /* microseconds until an accept that found no descriptors is tried again */

struct listener {
	struct endpoint endpoint;
	struct watch watch;         /* of fd */
	sd_event_source *retry;     /* NULL: not out of descriptors */
	int fd;                     /* our end */
	struct stream *outstanding; /* in the message that the owner has not taken; NULL: none, or it has ended */
};

static struct listener *listener_of(struct endpoint *e)
{
	return (struct listener *)(void *)e;
}

void listener_forget(struct listener *l, struct stream *s)
{
	if (l->outstanding == s)
		l->outstanding = NULL;
}

bool listener_unread(const struct listener *l)
{
	struct pollfd p = {.fd = l->fd};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

/*
 * A message lies in the pair. The kernel wakes us for its end while it still charges us one byte
 * (sock_wfree), and does not wake us again for that byte: it counts as nothing.
 */
static bool message_waits(const struct listener *l)
{
	int memory = 0;

	return ioctl(l->fd, SIOCOUTQ, &memory) == 0 && memory > 1;
}

static void listener_free(struct listener *l)
{
	struct daemon *d = l->endpoint.daemon;

	if (l->outstanding)
		l->outstanding->listener = NULL;
	if (l->endpoint.sock) {
		stack_close(l->endpoint.sock, daemon_now());
		endpoint_unlink(d, &l->endpoint);
		daemon_kick(d);
	}
	loop_unwatch(d, &l->watch);
	sd_event_source_disable_unref(l->retry);
	owner_close(&l->endpoint, l->fd);
	owner_free(&l->endpoint);
}

/* The owner has closed, or we do: what lies in the pair was seen by nobody. */
static void listener_end(struct listener *l, bool unread)
{
	struct stream *s = l->outstanding;

	listener_free(l);
	if (s && unread)
		stream_abort(s);
}

/* ---- handing connections over ---- */

static struct byway_accepted message_about(const struct stream *s, struct sock *sock)
{
	struct byway_accepted m = {.id = stack_id(sock), .inode = s->endpoint.inode};
	struct stack_sock_info info;

	stack_info(sock, &info);
	m.local = owner_address(&info.local);
	m.remote = owner_address(&info.remote);
	return m;
}

/* One message with one descriptor. */
static bool send_message(int fd, struct byway_accepted *m, int descriptor)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {m, sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1,
			   .msg_control = &control, .msg_controllen = sizeof(control.space)};

	memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(descriptor));
	return sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*m);
}

/* The owner's end of `s`, which holds a connection, goes into the pair. */
static void hand_over(struct listener *l, struct stream *s, struct sock *sock)
{
	struct byway_accepted m = message_about(s, sock);

	stream_attach(s, sock);
	s->connected = true;
	if (stream_watch(s) < 0 || !send_message(l->fd, &m, s->owner_fd)) {
		stream_abort(s);
		return;
	}
	close(s->owner_fd);
	s->owner_fd = -1;
	s->listener = l;
	l->outstanding = s;
}

static bool connection_waits(struct listener *l)
{
	struct stack_sock_info info;

	stack_info(l->endpoint.sock, &info);
	return info.recv_q > 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *arg);

/* Out of descriptors, of the user's budget or of memory: the connection waits in the stack meanwhile. */
static void try_later(struct listener *l, const char *why)
{
	if (l->retry)
		return;
	daemon_log(LOG_WARNING, "a connection to a listener of %s (pid %d) waits: %s", l->endpoint.owner.comm,
		   (int)l->endpoint.owner.pid, why);
	sd_event_add_time_relative(l->endpoint.daemon->loop, &l->retry, CLOCK_MONOTONIC, RETRY, 0, on_retry, l);
	loop_touched(l->endpoint.daemon);
}

static void offer(struct listener *l)
{
	struct daemon *d = l->endpoint.daemon;
	const char *why = "";
	int error;

	if (message_waits(l))
		return;
	if (l->outstanding) {
		l->outstanding->listener = NULL;
		l->outstanding = NULL;
	}
	if (!connection_waits(l))
		return;
	struct stream *s = stream_new(d, &l->endpoint.owner, false, PARK_NONE, &error, &why);
	if (!s) {
		try_later(l, why);
		return;
	}
	s->endpoint.family = l->endpoint.family;
	struct sock *sock = stack_accept(l->endpoint.sock);
	daemon_kick(d);
	if (sock)
		hand_over(l, s, sock);
	else
		stream_free(s, false);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *arg)
{
	struct listener *l = arg;
	int error;
	const char *why = "";

	(void)usec;
	struct stream *s = stream_new(l->endpoint.daemon, &l->endpoint.owner, false, PARK_NONE, &error, &why);
	if (!s) {
		sd_event_source_set_time_relative(source, RETRY);
		return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	stream_free(s, false);
	l->retry = sd_event_source_disable_unref(l->retry);
	offer(l);
	return 0;
}

/* ---- operations ---- */

static void on_io(void *listener, uint32_t events)
{
	struct listener *l = listener;

	if (events & EPOLLHUP)
		listener_end(l, (events & EPOLLERR) != 0);
	else if (events & EPOLLOUT)
		offer(l);
}

static void on_event(struct endpoint *e, const struct stack_event *event)
{
	struct listener *l = listener_of(e);

	if (event->events & STACK_EVENT_ERROR)
		listener_end(l, message_waits(l));
	else if (event->events & STACK_EVENT_ACCEPT)
		offer(l);
}

static void on_close(struct endpoint *e, bool abort)
{
	struct listener *l = listener_of(e);

	(void)abort;
	listener_end(l, message_waits(l));
}

static void on_queued(struct endpoint *e, uint64_t *recv_q, uint64_t *send_q)
{
	(void)send_q;
	*recv_q += message_waits(listener_of(e));
}

static struct watch *on_watch(struct endpoint *e)
{
	return &listener_of(e)->watch;
}

static const struct endpoint_ops listener_ops = {
	.event = on_event,
	.close = on_close,
	.queued = on_queued,
	.watch = on_watch,
};

/* ---- opening ---- */

/* Binds, listens, watches. 0 or -errno and why. */
static int listener_start(struct listener *l, const struct stack_endpoint *local, unsigned backlog, const char **why)
{
	struct daemon *d = l->endpoint.daemon;
	int error;
	struct sock *sock = owner_socket(d, &l->endpoint.owner, STACK_TCP, &error, why);

	if (!sock)
		return error;
	error = owner_take(d, sock, local);
	if (!error)
		error = stack_listen(&sock, backlog ? backlog : d->config.backlog);
	if (!error)
		error = loop_watch(d, &l->watch, l->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_io, l);
	if (error < 0) {
		*why = owner_error(error);
		stack_close(sock, daemon_now());
		return error;
	}
	l->endpoint.sock = sock;
	stack_set_user(sock, &l->endpoint);
	endpoint_link(d, &l->endpoint);
	return 0;
}

int owner_listen(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
		 unsigned backlog, int *fd, struct endpoint **e, const char **why)
{
	int pair[2], error, least = 1; /* the kernel has a floor for it */
	struct listener *l = owner_new(d, who, sizeof(*l), SOCK_SEQPACKET, false, pair, &error, why);

	if (!l)
		return error;
	l->fd = pair[0];
	l->endpoint.ops = &listener_ops;
	setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	error = listener_start(l, local, backlog, why);
	if (error) {
		listener_free(l);
		close(pair[1]);
		return error;
	}
	*fd = pair[1];
	*e = &l->endpoint;
	return 0;
}

bool endpoint_is_listener(const struct endpoint *e)
{
	return e->ops == &listener_ops;
}

int listener_descriptor(const struct endpoint *e)
{
	return ((const struct listener *)(const void *)e)->fd;
}

/* Its socket listens, bound to a port of the stack's choice when the owner did not bind it. */
static int stream_listen(struct stream *s, unsigned backlog, const char **why)
{
	static const struct stack_endpoint any;
	struct stack_sock_info info;
	int error = 0;

	stack_info(s->endpoint.sock, &info);
	if (info.local.port == 0)
		error = stack_bind(s->endpoint.sock, &any);
	if (!error)
		error = stack_listen(&s->endpoint.sock, backlog);
	if (error)
		*why = owner_error(error);
	return error;
}

struct endpoint *listener_from_stream(struct stream *s, unsigned backlog, int *error, const char **why)
{
	struct daemon *d = s->endpoint.daemon;
	int fd = s->fd, least = 1;

	*error = stream_listen(s, backlog, why);
	if (*error)
		return NULL;
	loop_unwatch(d, &s->watch);
	endpoint_unlink(d, &s->endpoint);
	struct listener *l = owner_become(&s->endpoint, sizeof(*l));
	if (!l) {
		endpoint_link(d, &s->endpoint);
		stream_abort(s);
		*error = -ENOMEM;
		*why = "the daemon is out of memory";
		return NULL;
	}
	l->fd = fd;
	l->endpoint.ops = &listener_ops;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	stack_set_user(l->endpoint.sock, &l->endpoint);
	endpoint_link(d, &l->endpoint);
	*error = loop_watch(d, &l->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_io, l);
	if (*error >= 0) {
		*error = 0;
		return &l->endpoint;
	}
	*why = "the daemon cannot watch a descriptor";
	listener_free(l);
	return NULL;
}
