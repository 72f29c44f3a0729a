/*
 * accept and accept4: the next connection lies as a message in the listening descriptor
 * (struct byway_accepted), which therefore polls readable. It is taken through our copy of the
 * descriptor, so it does not matter which of the processes that share it asks.
 */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

ssize_t receive_beside(int fd, void *data, size_t len, int flags, int *descriptor)
{
	struct iovec iov = {data, len};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
			   .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	const struct cmsghdr *head = n < 0 ? NULL : CMSG_FIRSTHDR(&m);

	*descriptor = -1;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(descriptor, CMSG_DATA(head), sizeof(*descriptor));
	return n < 0 ? -errno : n;
}

/* The connection's descriptor, or -errno. */
static int take(int listener, struct byway_accepted *accepted)
{
	int fd;
	ssize_t n = receive_beside(listener, accepted, sizeof(*accepted), 0, &fd);

	if (n == -ECONNRESET || n == 0)
		return -EINVAL; /* the end of the daemon is the end of listening */
	if (n < 0)
		return (int)n;
	if (fd >= 0 && n == sizeof(*accepted))
		return fd;
	if (fd >= 0)
		close(fd);
	return -EMFILE;
}

static int64_t deliver(struct call *c, int fd, const struct byway_accepted *a, int flags)
{
	uint8_t family = c->sock->family;

	if (flags & SOCK_NONBLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	struct run_socket *s = table_add(c->run, fd, a->inode);
	s->kind = RUN_CONNECTED;
	s->family = family;
	s->local = a->local;
	s->remote = a->remote;
	int error = c->data.args[1] ? address_write(c, c->data.args[1], c->data.args[2], family, &a->remote) : 0;
	if (error) {
		close(fd);
		return error;
	}
	c->result_fd = fd;
	c->result_flags = flags & SOCK_CLOEXEC ? O_CLOEXEC : 0;
	return RUN_INSTALL;
}

static int64_t accept_one(struct call *c, int flags)
{
	struct byway_accepted a;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	if (run_is_datagram(c->sock) || c->sock->kind == RUN_NETLINK)
		return -EOPNOTSUPP;
	if (c->sock->kind != RUN_LISTENER)
		return -EINVAL;
	if (!call_valid(c))
		return -EINTR; /* nobody to give a connection to */
	int fd = take(c->fd, &a);
	if (fd >= 0)
		return deliver(c, fd, &a, flags);
	if (fd != -EAGAIN || c->expired || !descriptor_blocks(c->fd))
		return fd;
	c->wait_events = EPOLLIN;
	c->wait_limit = descriptor_patience(c->fd, SO_RCVTIMEO);
	return RUN_WAIT;
}

int64_t on_accept(struct call *c)
{
	return accept_one(c, 0);
}

int64_t on_accept4(struct call *c)
{
	return accept_one(c, call_int(c, 3));
}
