/* socket, bind, listen, connect, shutdown, getsockname, getpeername of programs under byway run. */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

bool descriptor_blocks(int fd)
{
	return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

int64_t descriptor_patience(int fd, int option)
{
	struct timeval t = {0};
	socklen_t len = sizeof(t);

	if (getsockopt(fd, SOL_SOCKET, option, &t, &len) < 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

/* ---- socket ---- */

/* The transport that socket(2) asks for, or -errno as the host has it. */
static int transport_of(struct call *c, int domain, int type, int protocol)
{
	if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
		return IPPROTO_TCP;
	if (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))
		return IPPROTO_UDP;
	if (domain == AF_INET && type == SOCK_DGRAM && protocol == IPPROTO_ICMP)
		return IPPROTO_ICMP;
	if (type == SOCK_RAW) {
		run_note(c->run, 1, "raw sockets are not to be had");
		return -EPERM;
	}
	if (type < 0 || type > SOCK_PACKET || protocol < 0 || protocol > IPPROTO_MPTCP)
		return -EINVAL;
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	run_note(c->run, 2, "protocol %d is not to be had on sockets of type %d", protocol, type);
	return -EPROTONOSUPPORT;
}

int64_t on_socket(struct call *c)
{
	int domain = call_int(c, 0), flags = call_int(c, 1), protocol = call_int(c, 2);
	int type = flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), fd = -1;

	c->result_flags = flags & SOCK_CLOEXEC ? O_CLOEXEC : 0;
	if (domain == AF_NETLINK)
		return netlink_socket(c, flags, protocol);
	if (domain != AF_INET && domain != AF_INET6)
		return RUN_CONTINUE;
	int transport = transport_of(c, domain, type, protocol);
	if (transport < 0)
		return transport;
	uint64_t inode;
	int error = daemon_open(c->run, (uint8_t)transport, (uint8_t)domain, &fd, &inode);
	if (error)
		return error;
	if (flags & SOCK_NONBLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK); /* a fresh one has no other flag */
	struct run_socket *s = table_add(c->run, fd, inode);
	s->family = (uint8_t)domain;
	s->kind = transport == IPPROTO_TCP ? RUN_TCP : RUN_UDP;
	s->ping = transport == IPPROTO_ICMP;
	s->tells_known = true;
	c->result_fd = fd;
	return RUN_INSTALL;
}

/* ---- bind, listen ---- */

int64_t on_bind(struct call *c)
{
	struct run_socket *s = c->sock;
	struct byway_address a;
	struct sock_reply r = {0};

	if (s->kind == RUN_NETLINK)
		return netlink_bind(c);
	int error = address_read(c, c->data.args[1], (uint32_t)c->data.args[2], s->family, -EADDRNOTAVAIL, &a);
	if (error > 0 && (s->family != AF_INET || !address_is_any(&a)))
		return -EAFNOSUPPORT;
	if (error < 0)
		return error;
	if (s->v6_only && s->family == AF_INET6 && address_is_any(&a)) {
		/* IPv6 alone: there is none, so it hears nothing, and leaves the port to others. */
		s->mute = true;
		s->local = a;
	} else {
		error = daemon_bind(c->run, s->inode, &a, &r);
		if (error)
			return error;
		s->local = r.local;
	}
	if (s->kind == RUN_UDP)
		guard_keep(c->run, s);
	return 0;
}

/* Servers set their backlog anew as often as they like: there is one guard. */
static void listens(struct call *c)
{
	if (c->sock->kind != RUN_LISTENER)
		guard_keep(c->run, c->sock);
	c->sock->kind = RUN_LISTENER;
}

int64_t on_listen(struct call *c)
{
	struct run_socket *s = c->sock;
	int backlog = call_int(c, 1);
	struct sock_reply r = {0};

	if (run_is_datagram(s) || s->kind == RUN_NETLINK)
		return -EOPNOTSUPP;
	if (s->kind != RUN_TCP && s->kind != RUN_LISTENER)
		return -EINVAL;
	if (s->mute) {
		listens(c);
		return 0;
	}
	int error = daemon_listen(c->run, s->inode, backlog < 1 ? 1 : (uint32_t)backlog, &r);
	if (!error) {
		s->local = r.local;
		listens(c);
	}
	return error;
}

/* ---- connect ---- */

/* The connect is through: a descriptor that has not hung up is connected; of others the daemon knows more. */
static int connect_result(struct call *c, int events)
{
	struct sock_reply r = {0};
	int native = 0;
	socklen_t len = sizeof(native);

	if (!(events & (POLLHUP | POLLERR)) ||
	    (daemon_get(c->run, c->sock->inode, &r) == 0 && r.state == BYWAY_SOCK_CONNECTED)) {
		c->sock->kind = RUN_CONNECTED;
		return 0;
	}
	c->sock->kind = RUN_FAILED;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &native, &len); /* clears ECONNRESET, which stands for it */
	if (daemon_last_error(c->run, c->sock->inode, &r) == 0 && r.error)
		return -(int)r.error;
	return native ? -native : -ECONNABORTED;
}

/* What is to be seen of it (POLLOUT at least); 0: it is not through. */
static int connect_through(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

/*
 * Nobody says when a connect that did not wait is through. A descriptor that is writable is; one
 * that is not may be connected and full, which only the daemon can tell apart.
 */
static bool is_connected(struct call *c)
{
	struct run_socket *s = c->sock;
	struct sock_reply r = {0};

	if (s->kind == RUN_CONNECTING && daemon_get(c->run, s->inode, &r) == 0 && r.state == BYWAY_SOCK_CONNECTED) {
		s->kind = RUN_CONNECTED;
		s->local = r.local;
	}
	return s->kind == RUN_CONNECTED;
}

static int64_t connect_wait(struct call *c)
{
	int events = c->woken ? connect_through(c->fd) : 0;

	if (events)
		return connect_result(c, events);
	if (c->expired)
		return c->repeated ? -EALREADY : -EINPROGRESS;
	c->wait_events = EPOLLOUT;
	c->wait_limit = descriptor_patience(c->fd, SO_SNDTIMEO);
	return RUN_WAIT;
}

static int64_t connect_again(struct call *c)
{
	int events = connect_through(c->fd);

	c->repeated = true;
	if (events)
		return connect_result(c, events);
	return descriptor_blocks(c->fd) ? connect_wait(c) : -EALREADY;
}

/*
 * Puts a fresh socket in the place of one that has ended, under the same number. Copies of the
 * descriptor (dup, fork) and epoll sets keep the old one.
 */
static int renew(struct call *c)
{
	struct run *run = c->run;
	struct run_socket was = *c->sock, *s;
	uint64_t inode;
	int fd, flags = tracee_flags(c->tid, call_int(c, 0));
	int error = daemon_open(run, IPPROTO_TCP, was.family, &fd, &inode);

	if (error)
		return error;
	if (!descriptor_blocks(c->fd))
		fcntl(fd, F_SETFL, O_NONBLOCK);
	struct seccomp_notif_addfd add = {
		.id = c->id, .flags = SECCOMP_ADDFD_FLAG_SETFD, .srcfd = (uint32_t)fd,
		.newfd = (uint32_t)call_int(c, 0), .newfd_flags = flags & O_CLOEXEC ? O_CLOEXEC : 0,
	};
	if (ioctl(run->notify, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	close(c->fd);
	c->fd = fd;
	s = table_add(run, fd, inode);
	was.cookie = s->cookie;
	was.inode = s->inode;
	*s = was;
	s->kind = RUN_TCP;
	s->local = s->remote = (struct byway_address){0};
	c->sock = s;
	return 0;
}

/*
 * The send buffer of a connection, filled so that the descriptor does not poll writable before
 * the handshake is done. The bytes are a file's pages, so they are neither copied nor stored.
 */
static int widen(struct run *run, int fd)
{
	int size = BYWAY_SEND_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
		return -errno;
	if (run->filler < 0) {
		run->filler = memfd_create("byway-filler", MFD_CLOEXEC);
		if (run->filler < 0 || ftruncate(run->filler, BYWAY_SEND_BUFFER) < 0)
			return -errno;
	}
	off_t at = 0;
	do
		if (sendfile(fd, run->filler, &at, BYWAY_SEND_BUFFER / 2 + 1) <= 0)
			return errno == EPIPE ? -ENETDOWN : -ENOBUFS; /* EPIPE: the daemon that made it is gone */
	while (connect_through(fd) && at < (off_t)BYWAY_SEND_BUFFER);
	return 0;
}

/* Begins it. 0 or -errno; c->done: bytes of `first` that went along. */
static int connect_begin(struct call *c, const struct byway_address *to, const struct iovec *first)
{
	struct run_socket *s = c->sock;
	struct sock_reply r = {0};
	struct byway_address server = *to;
	int error = widen(c->run, c->fd);

	names_there(c->run, s, &server);
	if (!error)
		error = daemon_connect(c->run, s->inode, &server, first, &r);
	if (error)
		return error;
	/* Connected at once: the handshake waits for the first bytes (TCP_FASTOPEN_CONNECT). */
	s->kind = r.state == BYWAY_SOCK_CONNECTED ? RUN_CONNECTED : RUN_CONNECTING;
	s->local = r.local;
	s->remote = *to;
	c->done = (size_t)r.taken;
	return 0;
}

static int64_t connect_stream(struct call *c, const struct byway_address *to)
{
	int error = connect_begin(c, to, NULL);

	if (error || c->sock->kind == RUN_CONNECTED)
		return error;
	return descriptor_blocks(c->fd) ? connect_wait(c) : -EINPROGRESS;
}

/* The handshake is over: the bytes that did not go with the SYN follow, as far as there is room. */
static int64_t send_rest(struct call *c, const struct iovec *data)
{
	ssize_t n = c->done < data->iov_len ? send(c->fd, (const char *)data->iov_base + c->done, data->iov_len - c->done,
						   MSG_DONTWAIT | MSG_NOSIGNAL)
					    : 0;

	if (n < 0 && c->done == 0)
		return -errno;
	return (int64_t)c->done + (n > 0 ? n : 0);
}

int64_t connect_and_send(struct call *c, uint64_t name, uint32_t name_len, const struct iovec *data, bool wait)
{
	struct run_socket *s = c->sock;
	struct byway_address to;
	int64_t result;

	if (!c->woken) {
		int error = address_read(c, name, name_len, s->family, -ENETUNREACH, &to);
		if (error)
			return error > 0 ? -EOPNOTSUPP : error;
		address_there(&to);
		if (to.port == 0)
			return -ECONNREFUSED;
		if (s->kind == RUN_FAILED)
			error = renew(c);
		if (!error)
			error = connect_begin(c, &to, data);
		if (error)
			return error;
		if (!wait)
			return c->done > 0 ? (int64_t)c->done : -EINPROGRESS;
	}
	result = connect_wait(c);
	return result == 0 ? send_rest(c, data) : result;
}

static int64_t connect_datagram(struct call *c, struct byway_address *to)
{
	struct run_socket *s = c->sock;
	struct sock_reply r = {0};
	if (to)
		names_there(c->run, s, to);
	int error = daemon_connect(c->run, s->inode, to, NULL, &r);
	if (error)
		return error;
	if (to)
		guard_drop(c->run, s);
	s->kind = to ? RUN_UDP_PEER : RUN_UDP;
	s->local = r.local;
	s->remote = r.remote;
	if (s->ping && to)
		s->remote = *to; /* with a port that means nothing, if there is one */
	names_back(c->run, s, &s->remote);
	return 0;
}

int64_t on_connect(struct call *c)
{
	struct run_socket *s = c->sock;
	struct byway_address to;

	if (s->kind == RUN_NETLINK)
		return 0;
	if (c->woken)
		return connect_wait(c);
	int error = address_read(c, c->data.args[1], (uint32_t)c->data.args[2], s->family, -ENETUNREACH, &to);
	if (error < 0)
		return error;
	address_there(&to);
	if (run_is_datagram(s))
		return connect_datagram(c, error ? NULL : &to);
	if (error)
		return s->kind == RUN_TCP ? 0 : renew(c);
	if (s->kind == RUN_CONNECTING)
		return connect_again(c);
	if (s->kind == RUN_LISTENER || s->kind == RUN_CONNECTED)
		return -EISCONN;
	if (to.port == 0)
		return -ECONNREFUSED;
	if (s->kind == RUN_FAILED)
		error = renew(c);
	return error ? error : connect_stream(c, &to);
}

/* ---- shutdown ---- */

int64_t on_shutdown(struct call *c)
{
	switch ((enum run_kind)c->sock->kind) {
	case RUN_CONNECTED:
	case RUN_UDP_PEER:
	case RUN_FOREIGN:
		return RUN_CONTINUE;
	case RUN_CONNECTING:
		return is_connected(c) || connect_through(c->fd) ? RUN_CONTINUE : -ENOTCONN;
	case RUN_NETLINK:
		return -EOPNOTSUPP;
	case RUN_TCP:
	case RUN_FAILED:
	case RUN_UDP:
		return -ENOTCONN;
	case RUN_LISTENER:
		break;
	}
	if (call_int(c, 1) == SHUT_WR)
		return 0;
	int error = daemon_shutdown(c->run, c->sock->inode);
	if (!error)
		c->sock->kind = RUN_FAILED;
	return error;
}

/* ---- names ---- */

int64_t on_getsockname(struct call *c)
{
	struct run_socket *s = c->sock;
	struct sock_reply r = {0};

	if (s->kind == RUN_NETLINK)
		return netlink_name(c, false);
	/* Sending binds a UDP socket, which only the daemon knows. */
	if (s->kind == RUN_UDP && s->local.port == 0 && !s->mute && daemon_get(c->run, s->inode, &r) == 0)
		s->local = r.local;
	return address_write(c, c->data.args[1], c->data.args[2], s->family, &s->local);
}

static bool hung_up(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1;
}

int64_t on_getpeername(struct call *c)
{
	struct run_socket *s = c->sock;

	if (s->kind == RUN_NETLINK)
		return netlink_name(c, true);
	if (!is_connected(c) && (s->kind != RUN_UDP_PEER || s->remote.port == 0))
		return -ENOTCONN;
	if (s->kind == RUN_CONNECTED && hung_up(c->fd) && daemon_get(c->run, s->inode, NULL) == -ENOENT)
		return -ENOTCONN;
	return address_write(c, c->data.args[1], c->data.args[2], s->family, &s->remote);
}
