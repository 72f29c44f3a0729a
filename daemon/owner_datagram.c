/*
 * A UDP or ping socket of an owner: a sequenced-packet pair keeps the boundaries (and, other than a
 * datagram pair, tells when the owner is gone). Unconnected, each message begins with struct
 * byway_datagram; connected, it is the payload.
 *
 * Opened step by step (owner_socket.c), messages are payload always, and the sender travels
 * beside it as a file while there is no peer, or while the owner asks how datagrams came. Those that
 * came together stay so if it asks for that (UDP_GRO): the file says how long each is. There an
 * empty message with a file tells of an ICMP error.
 *
 * What the owner does not read fills the pair, then the socket's queue in the stack, then is
 * dropped and counted there (bad-inputs U3). What the stack cannot send is dropped, as UDP may:
 * the pair has no way to tell the owner of an error without ending.
 */
#include "daemon/owner.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 32 /* beside the messages that lie in one pair */
#define DATAGRAM_MAX (sizeof(struct byway_datagram) + 65536)
#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define TURN 64 /* datagrams from one owner before others have their turn */

struct datagram {
	struct endpoint endpoint;
	struct watch watch; /* of fd */
	int fd;         /* our end */
	bool connected; /* messages are payload alone */
	bool beside;    /* unconnected: the sender is beside the message, not in it */
	bool tells;     /* the owner asks how datagrams came: beside them, with a peer, too */
	bool bound;     /* the owner bound it, so it stays bound without a peer */
	bool full;      /* the pair takes no more: what comes waits in the stack, in order */
	uint16_t files; /* that went beside messages since the pair was empty */
	uint64_t given; /* bytes that the owner's end was given */
	struct cork *cork; /* a datagram of which more is to come (MSG_MORE) */
};

static struct datagram *datagram_of(struct endpoint *e)
{
	return (struct datagram *)(void *)e;
}

static void datagram_free(struct datagram *u)
{
	struct daemon *d = u->endpoint.daemon;

	if (u->endpoint.sock) {
		stack_close(u->endpoint.sock, daemon_now());
		endpoint_unlink(d, &u->endpoint);
		daemon_kick(d);
	}
	loop_unwatch(d, &u->watch);
	owner_close(&u->endpoint, u->fd);
	d->files_given -= u->files;
	cork_free(&u->cork, &u->endpoint);
	owner_free(&u->endpoint);
}

/* ---- to the owner ---- */

/*
 * The kernel lets a user have as many descriptors on their way in messages as RLIMIT_NOFILE says,
 * whoever should take them, and then passes none: no connection could be handed over any more
 * because somebody does not read. So what lies in one pair is bounded, and all of it to half.
 */
static bool files_left(struct datagram *u)
{
	struct daemon *d = u->endpoint.daemon;
	struct rlimit limit;
	int memory = 0;

	if (u->files > 0 && ioctl(u->fd, SIOCOUTQ, &memory) == 0 && memory <= 1) {
		d->files_given -= u->files;
		u->files = 0;
	}
	return u->files < FILES_MAX && getrlimit(RLIMIT_NOFILE, &limit) == 0 && d->files_given < limit.rlim_cur / 2;
}

/* What comes has a file beside it. */
static bool has_files(const struct datagram *u)
{
	return u->beside && (!u->connected || u->tells);
}

/* The payload, and a file that tells of it. */
static ssize_t give_beside(struct datagram *u, const struct byway_source *source, const void *data, size_t len)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int file = files_left(u) ? source_file(u->endpoint.daemon, source) : -1;

	if (file < 0 && u->files > 0) { /* it waits until the owner has read what lies there */
		errno = EAGAIN;
		return -1;
	}
	if (file < 0 && source->segment) { /* nobody could tell where each of them ends: lost, as UDP may */
		errno = ENOBUFS;
		return -1;
	}
	if (file >= 0) {
		memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control.space);
	}
	ssize_t n = sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (file >= 0 && n >= 0) {
		u->files++;
		u->endpoint.daemon->files_given++;
	}
	return n;
}

/* The sender in front of the payload, when messages have that. */
static ssize_t give_within(struct datagram *u, const struct stack_endpoint *from, const void *data, size_t len)
{
	struct byway_datagram header = {owner_address(from)};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)data, len}};
	struct msghdr m = {.msg_iov = u->connected ? iov + 1 : iov, .msg_iovlen = u->connected ? 1 : 2};

	return sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* False: the pair is full. */
static bool give(struct datagram *u, const struct stack_endpoint *from, const struct stack_arrival *how,
		 const void *data, size_t len)
{
	struct byway_source source = {
		.from = owner_address(from), .ttl = how->ttl, .tos = how->tos, .segment = how->segment,
	};

	memcpy(source.to.addr, how->to.byte, sizeof(source.to.addr));
	ssize_t n = has_files(u) ? give_beside(u, &source, data, len) : give_within(u, from, data, len);

	if (n > 0)
		u->given += (size_t)n;
	/* Any other error: the owner reads no more (EPIPE) or the kernel has no memory. The datagram is lost. */
	return n >= 0 || errno != EAGAIN;
}

static bool on_datagram(struct endpoint *e, const struct stack_endpoint *from, const struct stack_arrival *how,
			const void *data, size_t len)
{
	struct datagram *u = datagram_of(e);

	if (!u->full && !give(u, from, how, data, len))
		u->full = true;
	return !u->full;
}

/* AF_UNIX is writable while a quarter of its buffer is in use at most: the largest datagram fits then. */
static bool has_room(struct datagram *u)
{
	struct pollfd p = {.fd = u->fd, .events = POLLOUT};

	if (has_files(u) && !files_left(u) && u->files > 0)
		return false;
	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* What waited in the stack, while there is room. */
static void push(struct datagram *u)
{
	uint8_t data[65536];
	struct stack_endpoint from;
	struct stack_arrival how;

	for (u->full = !has_room(u); !u->full; u->full = !has_room(u)) {
		ssize_t n = stack_recvmsg(u->endpoint.sock, data, sizeof(data), &from, &how);
		if (n == -EAGAIN)
			return;
		if (n >= 0)
			give(u, &from, &how, data, (size_t)n);
	}
}

/* ---- from the owner ---- */

static void send_to(struct datagram *u, const struct stack_endpoint *to, const uint8_t *data, size_t len)
{
	/* An ICMP error that is pending would be told in place of sending; nobody is there to be told. */
	static const struct stack_departure how = {.tos = -1, .keep_error = true};

	if (u->cork)
		cork_write(&u->cork, &u->endpoint, to, &how, data, len, false);
	else
		stack_sendmsg(u->endpoint.sock, daemon_now(), to, &how, data, len);
}

static void send_one(struct datagram *u, const uint8_t *message, size_t len)
{
	struct byway_datagram header;
	struct stack_endpoint to;

	if (u->connected || u->cork) {
		send_to(u, NULL, message, len);
		return;
	}
	if (u->beside || len < sizeof(header))
		return;
	memcpy(&header, message, sizeof(header));
	to.port = header.peer.port;
	memcpy(to.addr.byte, header.peer.addr, sizeof(to.addr.byte));
	send_to(u, &to, message + sizeof(header), len - sizeof(header));
}

/* The owner writes no more. */
static bool closed(const struct datagram *u)
{
	struct pollfd p = {.fd = u->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP);
}

/* True when the owner may have written more than one turn's worth. */
static bool pull(struct datagram *u)
{
	uint8_t message[DATAGRAM_MAX];

	for (unsigned i = 0; i < TURN; i++) {
		ssize_t n = recv(u->fd, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == ECONNRESET)
			continue; /* it closed with something unread: said once, before what it wrote */
		if (n < 0 || (n == 0 && closed(u)))
			return false;
		if ((size_t)n <= sizeof(message))
			send_one(u, message, (size_t)n);
	}
	return true;
}

int datagram_send(struct endpoint *e, const struct stack_endpoint *to, const struct stack_departure *how, const void *data,
		  size_t len, bool more)
{
	struct datagram *u = datagram_of(e);

	if (more && !u->cork)
		pull(u); /* what was written before is no part of it */
	if (more || u->cork)
		return cork_write(&u->cork, e, to, how, data, len, more);
	ptrdiff_t n = stack_sendmsg(e->sock, daemon_now(), to, how, data, len);
	return n < 0 ? (int)n : 0;
}

static void on_io(void *datagram, uint32_t events)
{
	struct datagram *u = datagram;

	if (events & EPOLLOUT)
		push(u);
	bool more = pull(u);
	daemon_kick(u->endpoint.daemon);
	if (more)
		loop_rewatch(u->endpoint.daemon, &u->watch, WATCHED); /* resets the edge */
	else if (events & EPOLLHUP)
		datagram_free(u);
}

/* ---- operations ---- */

/* An ICMP error is pending: an owner that takes messages with what is beside them asks for it. */
static void tell_error(struct datagram *u, int error)
{
	struct byway_source source = {.error = (uint32_t)error};

	if (u->beside && !u->full && files_left(u))
		give_beside(u, &source, NULL, 0);
}

static void on_event(struct endpoint *e, const struct stack_event *event)
{
	struct datagram *u = datagram_of(e);

	if (event->events & STACK_EVENT_READABLE)
		push(u);
	if (!(event->events & STACK_EVENT_ERROR))
		return;
	if (event->error == ECONNABORTED) /* somebody killed the socket */
		datagram_free(u);
	else
		tell_error(u, event->error);
}

static void on_close(struct endpoint *e, bool abort)
{
	(void)abort;
	datagram_free(datagram_of(e));
}

static void on_queued(struct endpoint *e, uint64_t *recv_q, uint64_t *send_q)
{
	struct datagram *u = datagram_of(e);
	int waiting = 0;

	*recv_q += owner_unread(e->daemon, u->fd, e->inode, u->given);
	if (ioctl(u->fd, FIONREAD, &waiting) == 0 && waiting > 0)
		*send_q += (uint64_t)waiting;
}

static struct watch *on_watch(struct endpoint *e)
{
	return &datagram_of(e)->watch;
}

static const struct endpoint_ops datagram_ops = {
	.event = on_event,
	.datagram = on_datagram,
	.close = on_close,
	.queued = on_queued,
	.watch = on_watch,
};

/* ---- opening ---- */

/* Binds and connects as asked. 0 or -errno and why. */
static int set_up(struct daemon *d, struct sock **sock, const struct stack_endpoint *local, const struct stack_endpoint *remote,
		  bool broadcast, const char **why)
{
	static const struct stack_endpoint any;
	static const int yes = 1;
	int error = 0;

	if (local || !remote)
		error = owner_take(d, *sock, local ? local : &any);
	if (!error && broadcast)
		error = stack_setsockopt(*sock, daemon_now(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof(yes));
	if (!error && remote)
		error = stack_connect(sock, daemon_now(), remote);
	if (error)
		*why = owner_error(error);
	return error;
}

static int datagram_start(struct datagram *u, const struct stack_endpoint *local,
			  const struct stack_endpoint *remote, bool broadcast, const char **why)
{
	struct daemon *d = u->endpoint.daemon;
	int error;
	struct sock *sock = owner_socket(d, &u->endpoint.owner, STACK_UDP, &error, why);

	if (!sock)
		return error;
	error = set_up(d, &sock, local, remote, broadcast, why);
	if (!error) {
		*why = "the daemon cannot watch a descriptor";
		error = loop_watch(d, &u->watch, u->fd, WATCHED, on_io, u);
	}
	if (error < 0) {
		stack_close(sock, daemon_now());
		return error;
	}
	u->connected = remote != NULL;
	u->endpoint.sock = sock;
	stack_set_user(sock, &u->endpoint);
	endpoint_link(d, &u->endpoint);
	datagram_options_changed(&u->endpoint);
	return 0;
}

int owner_datagram(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
		   const struct stack_endpoint *remote, bool broadcast, int *fd,
		   struct endpoint **e, const char **why)
{
	int pair[2], error;
	struct datagram *u = owner_new(d, who, sizeof(*u), SOCK_SEQPACKET, false, pair, &error, why);

	if (!u)
		return error;
	u->fd = pair[0];
	u->endpoint.ops = &datagram_ops;
	error = datagram_start(u, local, remote, broadcast, why);
	if (error) {
		datagram_free(u);
		close(pair[1]);
		return error;
	}
	*fd = pair[1];
	*e = &u->endpoint;
	return 0;
}

/* ---- step by step ---- */

struct endpoint *datagram_new(struct daemon *d, const struct owner *who, enum stack_proto proto, int *fd, int *error,
			      const char **why)
{
	int pair[2];
	struct datagram *u = owner_new(d, who, sizeof(*u), SOCK_SEQPACKET, false, pair, error, why);

	if (!u)
		return NULL;
	u->fd = pair[0];
	u->beside = true;
	u->endpoint.ops = &datagram_ops;
	struct sock *sock = stack_socket(d->stack, proto, who->uid, &u->endpoint);
	if (sock) {
		u->endpoint.sock = sock;
		endpoint_link(d, &u->endpoint);
	}
	*error = sock ? loop_watch(d, &u->watch, u->fd, WATCHED, on_io, u) : -ENOBUFS;
	if (*error < 0) {
		*why = sock ? "the daemon cannot watch a descriptor" : owner_error(ENOBUFS);
		datagram_free(u);
		close(pair[1]);
		return NULL;
	}
	*error = 0;
	*fd = pair[1];
	return &u->endpoint;
}

/* A socket of the stack knows no way back from a peer: another takes its place, with its port if the owner bound it. */
static int disconnect(struct datagram *u)
{
	struct daemon *d = u->endpoint.daemon;
	struct stack_sock_info info;
	struct sock *sock;

	stack_info(u->endpoint.sock, &info);
	sock = stack_socket(d->stack, info.proto, u->endpoint.owner.uid, &u->endpoint);
	if (!sock)
		return -ENOBUFS;
	if (stack_copy_options(sock, u->endpoint.sock) < 0) {
		stack_close(sock, daemon_now());
		return -ENOBUFS;
	}
	stack_close(u->endpoint.sock, daemon_now());
	u->endpoint.sock = sock;
	u->connected = false;
	return u->bound ? stack_bind(sock, &info.local) : 0;
}

int datagram_connect(struct endpoint *e, const struct stack_endpoint *remote, const char **why)
{
	struct datagram *u = datagram_of(e);
	int error = 0;

	if (remote)
		error = stack_connect(&e->sock, daemon_now(), remote);
	else if (u->connected)
		error = disconnect(u);
	if (error)
		*why = owner_error(error);
	else
		u->connected = remote != NULL;
	return error;
}

int datagram_bind(struct endpoint *e, const struct stack_endpoint *local)
{
	int error = owner_take(e->daemon, e->sock, local);

	if (!error)
		datagram_of(e)->bound = true;
	return error;
}

void datagram_options_changed(struct endpoint *e)
{
	static const struct {
		int level, name;
	} asks[] = {{IPPROTO_IP, IP_PKTINFO}, {IPPROTO_IP, IP_RECVTTL}, {IPPROTO_IP, IP_RECVTOS}, {IPPROTO_UDP, UDP_GRO}};
	static const int no = 0;
	struct datagram *u = datagram_of(e);

	u->tells = false;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		int value = 0;
		size_t len = sizeof(value);
		stack_getsockopt(e->sock, daemon_now(), asks[i].level, asks[i].name, &value, &len);
		u->tells |= value != 0;
	}
	/* Datagrams together are of no use to who cannot be told how long each is. */
	if (u->tells && !u->beside)
		stack_setsockopt(e->sock, daemon_now(), IPPROTO_UDP, UDP_GRO, &no, sizeof(no));
}

bool datagram_connected(const struct endpoint *e)
{
	return ((const struct datagram *)(const void *)e)->connected;
}

bool endpoint_is_datagram(const struct endpoint *e)
{
	return e->ops == &datagram_ops;
}

int datagram_descriptor(const struct endpoint *e)
{
	return ((const struct datagram *)(const void *)e)->fd;
}
