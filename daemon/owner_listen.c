/*
 * A listening socket of an owner: a sequenced-packet pair on which each message is a struct
 * byway_accepted and brings one connection's descriptor.
 *
 * One message is under way at a time: the next connection leaves the stack's accept queue when
 * the owner has taken the one before (nothing of ours is left in the pair, SIOCOUTQ). So the
 * backlog that the owner asked for is the real one, and a connection waits where RECV-Q shows
 * it. When the owner closes, what it has not taken is reset, as the host does.
 *
 * With several workers each has a listener, with a socket of its stack and a descriptor of the same
 * pair. They are a group: still one message is under way, whoever finds the pair empty sends
 * the next. The first worker's is the one that is shown, with the queues of all. The backlog is
 * each one's, as with SO_REUSEPORT: who divided it would refuse connections that fit.
 */
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY 100000u /* microseconds until an accept that found no descriptors is tried again */

struct listener;

/* The listeners of all workers on one pair. */
struct listener_group {
	pthread_mutex_t lock; /* of the pair: who looks whether it is empty, and sends; and of what is here */
	unsigned users;
	struct listener *holder; /* who has sent the last message */
	struct listener *member[WORKERS_MAX]; /* by worker; NULL: it has ended */
};

struct listener {
	struct endpoint endpoint;
	struct listener_group *group; /* NULL: there is one worker */
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

/* ---- the group ---- */

static void group_lock(const struct listener *l)
{
	if (l->group)
		pthread_mutex_lock(&l->group->lock);
}

static void group_unlock(const struct listener *l)
{
	if (l->group)
		pthread_mutex_unlock(&l->group->lock);
}

/* A message that lies in the pair is this one's. */
static bool has_sent_last(const struct listener *l)
{
	group_lock(l);
	bool last = !l->group || l->group->holder == l;
	group_unlock(l);
	return last;
}

static void group_leave(struct listener *l)
{
	struct listener_group *g = l->group;

	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	g->member[l->endpoint.daemon->worker] = NULL;
	bool last = --g->users == 0;
	pthread_mutex_unlock(&g->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* That of the same pair in another worker; NULL: there is none. For the main thread, which holds them all. */
static struct listener *member_of(const struct listener *l, unsigned worker)
{
	return l->group ? l->group->member[worker] : NULL;
}

bool listener_unread(const struct listener *l)
{
	struct pollfd p = {.fd = l->fd};

	return has_sent_last(l) && poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
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
	group_leave(l);
	owner_close(&l->endpoint, l->fd);
	if (d->worker > 0)
		free(l); /* the first worker's is the one that counts for its user */
	else
		owner_free(&l->endpoint);
}

/* The owner has closed, or we do: what lies in the pair was seen by nobody. */
static void listener_end(struct listener *l, bool unread)
{
	struct stream *s = has_sent_last(l) ? l->outstanding : NULL;

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
	if (l->group)
		l->group->holder = l;
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

static void offer_next(struct listener *l)
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

static void offer(struct listener *l)
{
	group_lock(l);
	offer_next(l);
	group_unlock(l);
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
	unsigned workers = worker_count(e->daemon);
	struct daemon *d = e->daemon;

	(void)abort;
	for (unsigned i = 0; i < workers; i++) {
		struct listener *other = i != d->worker ? member_of(l, i) : NULL;
		if (other)
			listener_end(other, message_waits(other));
	}
	listener_end(l, message_waits(l));
}

static void on_queued(struct endpoint *e, uint64_t *recv_q, uint64_t *send_q)
{
	struct stack_sock_info info;

	(void)send_q;
	*recv_q += message_waits(listener_of(e));
	for (unsigned i = 1; i < worker_count(e->daemon); i++) {
		struct listener *other = member_of(listener_of(e), i);
		if (!other)
			continue;
		stack_info(other->endpoint.sock, &info);
		*recv_q += info.recv_q;
	}
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

#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* A listener of another worker beside the first one's, of which it gets a descriptor, options, address and backlog. */
static int join(struct listener *first, struct daemon *d, unsigned backlog)
{
	struct listener *l = calloc(1, sizeof(*l));
	int error = -ENOMEM;

	if (!l)
		return error;
	l->endpoint = (struct endpoint){.ops = &listener_ops, .daemon = d, .owner = first->endpoint.owner,
					.family = first->endpoint.family};
	l->fd = fcntl(first->fd, F_DUPFD_CLOEXEC, 0);
	struct sock *sock = l->fd >= 0 ? worker_copy_socket(d, first->endpoint.sock, &error) : NULL;
	if (sock)
		error = stack_listen(&sock, backlog);
	if (sock && !error)
		error = loop_watch(d, &l->watch, l->fd, WATCHED, on_io, l);
	if (sock && error)
		stack_close(sock, daemon_now());
	if (!sock || error) {
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		return error;
	}
	l->endpoint.sock = sock;
	stack_set_user(sock, &l->endpoint);
	endpoint_link(d, &l->endpoint);
	l->group = first->group;
	l->group->member[d->worker] = l;
	l->group->users++;
	return 0;
}

/* The first worker's listener, which is open, gets those of the others beside it. 0 or -errno and why; then it has none. */
static int spread(struct listener *l, unsigned backlog, const char **why)
{
	struct daemon *d = l->endpoint.daemon;
	int error = 0;

	if (worker_count(d) == 1)
		return 0;
	l->group = calloc(1, sizeof(*l->group));
	if (!l->group) {
		*why = "the daemon is out of memory";
		return -ENOMEM;
	}
	pthread_mutex_init(&l->group->lock, NULL);
	l->group->users = 1;
	l->group->member[0] = l;
	for (unsigned i = 1; i < worker_count(d) && !error; i++)
		error = join(l, worker_at(d, i), backlog);
	if (error)
		*why = owner_error(error);
	return error;
}

int listener_set_backlog(struct endpoint *e, unsigned backlog)
{
	int error = stack_listen(&e->sock, backlog);

	for (unsigned i = 1; i < worker_count(e->daemon) && !error; i++) {
		struct listener *other = member_of(listener_of(e), i);
		error = other ? stack_listen(&other->endpoint.sock, backlog) : 0;
	}
	return error;
}

void listener_destroy(struct endpoint *e)
{
	stack_destroy(e->daemon->stack, daemon_now(), stack_id(e->sock));
	for (unsigned i = 0; i < worker_count(e->daemon); i++) {
		struct listener *other = i != e->daemon->worker ? member_of(listener_of(e), i) : NULL;
		if (other)
			stack_destroy(other->endpoint.daemon->stack, daemon_now(), stack_id(other->endpoint.sock));
	}
}

void listener_options_changed(struct endpoint *e)
{
	for (unsigned i = 1; i < worker_count(e->daemon); i++) {
		struct listener *other = member_of(listener_of(e), i);
		if (other)
			stack_copy_options(other->endpoint.sock, e->sock);
	}
}

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
		error = loop_watch(d, &l->watch, l->fd, WATCHED, on_io, l);
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
	if (!error)
		error = spread(l, backlog ? backlog : d->config.backlog, why);
	if (error) {
		on_close(&l->endpoint, true);
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
	*error = stream_home(s); /* where a connect that failed may not have left it */
	if (*error) {
		*why = owner_error(*error);
		return NULL;
	}
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
	*error = loop_watch(d, &l->watch, fd, WATCHED, on_io, l);
	if (*error < 0)
		*why = "the daemon cannot watch a descriptor";
	else
		*error = spread(l, backlog, why);
	if (*error >= 0)
		return &l->endpoint;
	on_close(&l->endpoint, true);
	return NULL;
}
