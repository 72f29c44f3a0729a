/*
 * libbyway: what <byway.h> promises. Each call is one request to the daemon and one answer
 * with a descriptor; byway_accept, byway_sendto and byway_recvfrom speak to a descriptor
 * alone. No state but struct byway, no signal is raised.
 */
#include "client/byway.h"

#include "client/protocol.h"
#include "client/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the conversation ---- */

static const char *socket_path(const char *path)
{
	const char *env;

	if (path)
		return path;
	env = getenv("BYWAY_SOCKET");
	return env && env[0] ? env : BYWAY_SOCKET_DEFAULT;
}

static int connect_path(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const void *)&addr, sizeof(addr)) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

struct byway *byway_open(const char *path)
{
	struct byway *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->fd = connect_path(socket_path(path));
	if (b->fd >= 0)
		return b;
	int error = errno;
	free(b);
	errno = error;
	return NULL;
}

void byway_close(struct byway *b)
{
	if (!b)
		return;
	close(b->fd);
	free(b);
}

const char *byway_error(const struct byway *b)
{
	return b && b->error[0] ? b->error : "no error";
}

uint64_t byway_last_id(const struct byway *b)
{
	return b->last_id;
}

int byway_last_local(const struct byway *b, struct sockaddr *local, socklen_t *local_len)
{
	if (b->last_id == 0) {
		errno = ENOTCONN;
		return -1;
	}
	talk_address_to(local, local_len, &b->local);
	return 0;
}

/* ---- opening ---- */

static int put_address(struct byway *b, struct nlmsghdr *m, uint16_t type, const struct sockaddr *sa, socklen_t len)
{
	struct byway_address a;

	if (!sa)
		return 0;
	if (!talk_address_from(&a, sa, len))
		return talk_fail(b, EAFNOSUPPORT, "the address is not an IPv4 address");
	mnl_attr_put(m, type, sizeof(a), &a);
	return 0;
}

static void put_flag(struct nlmsghdr *m, uint16_t type, unsigned set)
{
	if (set)
		mnl_attr_put(m, type, 0, NULL);
}

static int take_socket_attr(const struct nlattr *a, void *arg)
{
	struct byway *b = arg;

	if (mnl_attr_get_type(a) == BYWAY_A_ID && mnl_attr_get_payload_len(a) == sizeof(uint64_t))
		b->last_id = mnl_attr_get_u64(a);
	if (mnl_attr_get_type(a) == BYWAY_A_LOCAL && mnl_attr_get_payload_len(a) == sizeof(b->local))
		memcpy(&b->local, mnl_attr_get_payload(a), sizeof(b->local));
	return MNL_CB_OK;
}

static int take_socket(const struct nlmsghdr *m, void *arg)
{
	if (m->nlmsg_type != BYWAY_SOCKET)
		return MNL_CB_ERROR;
	return mnl_attr_parse(m, 0, take_socket_attr, arg);
}

/*
 * Blocking or not is a property of what the descriptor stands for: it is set, whatever it was. A fresh one
 * has no other flag that can be set.
 */
static int set_blocking(int fd, unsigned flags)
{
	return fcntl(fd, F_SETFL, flags & BYWAY_NONBLOCK ? O_NONBLOCK : 0);
}

/* The descriptor that answers the request. */
static int talk_descriptor(struct byway *b, struct nlmsghdr *m, unsigned flags)
{
	int fd;

	b->last_id = 0;
	option_put_presets(b, m);
	if (talk_exchange(b, m, take_socket, b, &fd) < 0)
		return -1;
	if (fd < 0)
		return talk_fail(b, EMFILE, "no descriptor came with the answer: too many are open");
	if (set_blocking(fd, flags) < 0) {
		close(fd);
		return talk_fail(b, errno, strerror(errno));
	}
	return fd;
}

int byway_connect(struct byway *b, const struct sockaddr *remote, socklen_t remote_len,
		  const struct sockaddr *local, socklen_t local_len, unsigned flags)
{
	return byway_connect_data(b, remote, remote_len, local, local_len, flags, NULL, 0);
}

int byway_connect_data(struct byway *b, const struct sockaddr *remote, socklen_t remote_len,
		       const struct sockaddr *local, socklen_t local_len, unsigned flags,
		       const void *data, size_t len)
{
	struct nlmsghdr *m = talk_begin(b, BYWAY_CONNECT, 0);

	if (flags & ~(BYWAY_NODELAY | BYWAY_NONBLOCK))
		return talk_fail(b, EINVAL, "a flag is unknown");
	if (!remote)
		return talk_fail(b, EDESTADDRREQ, "a peer's address is needed");
	if (len > BYWAY_CONNECT_DATA_MAX)
		return talk_fail(b, EMSGSIZE, "so much data cannot come with a connect");
	mnl_attr_put_u8(m, BYWAY_A_PROTOCOL, IPPROTO_TCP);
	if (put_address(b, m, BYWAY_A_REMOTE, remote, remote_len) < 0 ||
	    put_address(b, m, BYWAY_A_LOCAL, local, local_len) < 0)
		return -1;
	if (len > 0)
		mnl_attr_put(m, BYWAY_A_DATA, len, data);
	put_flag(m, BYWAY_A_NODELAY, flags & BYWAY_NODELAY);
	put_flag(m, BYWAY_A_NONBLOCK, flags & BYWAY_NONBLOCK);
	return talk_descriptor(b, m, flags);
}

int byway_listen(struct byway *b, const struct sockaddr *local, socklen_t local_len, int backlog)
{
	struct nlmsghdr *m = talk_begin(b, BYWAY_LISTEN, 0);

	if (!local)
		return talk_fail(b, EINVAL, "an address is needed");
	if (put_address(b, m, BYWAY_A_LOCAL, local, local_len) < 0)
		return -1;
	if (backlog > 0)
		mnl_attr_put_u32(m, BYWAY_A_BACKLOG, (uint32_t)backlog);
	return talk_descriptor(b, m, 0);
}

int byway_datagram(struct byway *b, const struct sockaddr *local, socklen_t local_len,
		   const struct sockaddr *remote, socklen_t remote_len, unsigned flags)
{
	struct nlmsghdr *m = talk_begin(b, BYWAY_DATAGRAM, 0);

	if (flags & ~(BYWAY_BROADCAST | BYWAY_NONBLOCK))
		return talk_fail(b, EINVAL, "a flag is unknown");
	if (put_address(b, m, BYWAY_A_LOCAL, local, local_len) < 0 ||
	    put_address(b, m, BYWAY_A_REMOTE, remote, remote_len) < 0)
		return -1;
	put_flag(m, BYWAY_A_BROADCAST, flags & BYWAY_BROADCAST);
	return talk_descriptor(b, m, flags);
}

/* ---- descriptors ---- */

/* The descriptor of an accepted connection; -1 and errno. */
static int accept_message(int listener, struct byway_accepted *accepted)
{
	struct iovec iov = {.iov_base = accepted, .iov_len = sizeof(*accepted)};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(listener, &msg, MSG_CMSG_CLOEXEC);
	int fd = -1;

	if (n < 0)
		return -1;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (fd >= 0 && n == sizeof(*accepted))
		return fd;
	if (fd >= 0)
		close(fd);
	/* End of file: the daemon is gone. Cut short: no room for the descriptor in this process. */
	errno = n == 0 ? EINVAL : msg.msg_flags & MSG_CTRUNC ? EMFILE : EBADMSG;
	return -1;
}

int byway_accept(int listener, struct sockaddr *remote, socklen_t *remote_len, unsigned flags)
{
	struct byway_accepted accepted;
	int fd = accept_message(listener, &accepted);

	if (fd < 0)
		return -1;
	talk_address_to(remote, remote_len, &accepted.remote);
	if (set_blocking(fd, flags) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

ssize_t byway_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	struct byway_datagram head = {0};
	struct iovec iov[2] = {{.iov_base = &head, .iov_len = sizeof(head)},
			       {.iov_base = (void *)(uintptr_t)data, .iov_len = len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (!to) {
		errno = EDESTADDRREQ;
		return -1;
	}
	if (!talk_address_from(&head.peer, to, to_len)) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	ssize_t n = sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
	return n < 0 ? n : n - (ssize_t)sizeof(head);
}

ssize_t byway_recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *from, socklen_t *from_len)
{
	struct byway_datagram head;
	struct iovec iov[2] = {{.iov_base = &head, .iov_len = sizeof(head)}, {.iov_base = data, .iov_len = len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n = recvmsg(fd, &msg, flags);

	if (n <= 0)
		return n;
	if (n < (ssize_t)sizeof(head)) {
		errno = EBADMSG;
		return -1;
	}
	talk_address_to(from, from_len, &head.peer);
	return n - (ssize_t)sizeof(head);
}
