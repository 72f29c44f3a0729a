/*
 * The shared object that lets packetdrill run its scripts against libstack:
 *
 *      packetdrill --so_filename=libbyway-packetdrill.so --local_ip=198.18.0.2 SCRIPT
 *
 * packetdrill loads it, calls packetdrill_interface_init, and from then on makes its system
 * calls through the table it got. The table's layout is packetdrill's; everything else is ours.
 *
 * Code in a script's %{ }% and packetdrill's cleaning up call getsockopt and close of the C
 * library on our descriptors. When this object is preloaded as well (LD_PRELOAD), those calls
 * come here too; without, such scripts fail and close() closes a descriptor on /dev/null.
 */
#include "tests/packetdrill/calls.h"
#include "tests/packetdrill/interface.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define SETTINGS_MAX 16384

/* For the preloaded functions, which get no context. One process runs one script. */
static struct world *the_world;

/* ---- the frame of a call ---- */

ptrdiff_t call_result(ptrdiff_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

ptrdiff_t call_blocking(struct world *w, struct file *f, attempt try, void *argument, bool nonblock, stack_time until)
{
	for (;;) {
		ptrdiff_t result = try(w, f, argument);
		int error;

		world_step(w);
		if (result != -EAGAIN || nonblock)
			return result;
		error = world_wait(w, until);
		if (error)
			return error;
	}
}

/* The settings that a stand-in for sysctl has written down since it was last read. */
static void settings_read(struct world *w)
{
	const char *path = getenv("BYWAY_SYSCTL");
	FILE *file = path ? fopen(path, "re") : NULL;
	static char text[SETTINGS_MAX];
	size_t len;

	if (!file)
		return;
	fseek(file, w->settings_read, SEEK_SET);
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	if (len == 0)
		return;
	text[len] = '\0';
	w->settings_read += (long)len;
	settings_apply(w, text);
	stack_reconfigure(w->stack, &w->config);
}

/* Looks the descriptor up, makes one try, lets the stack answer. */
static ptrdiff_t call_once(void *context, int fd, attempt try, void *argument)
{
	struct world *w = context;
	struct file *f;
	ptrdiff_t result = -EBADF;

	world_lock(w);
	settings_read(w);
	f = file_get(w, fd);
	if (f && f->epoll)
		result = -ENOTSOCK;
	else if (f)
		result = call_blocking(w, f, try, argument, true, w->now);
	world_unlock(w);
	return call_result(result);
}

static bool endpoint_from(const struct sockaddr *addr, socklen_t len, struct stack_endpoint *out)
{
	if (addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)addr;

		out->addr = stack_addr_v4(&in->sin_addr);
		out->port = ntohs(in->sin_port);
		return true;
	}
	return false;
}

static void endpoint_to(const struct stack_endpoint *e, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e->port)};

	memcpy(&in.sin_addr, e->addr.byte + 12, 4);
	memcpy(addr, &in, *len < sizeof(in) ? *len : sizeof(in));
	*len = sizeof(in);
}

/* ---- making connections ---- */

static int call_socket(void *context, int domain, int type, int protocol)
{
	struct world *w = context;
	struct file *f = NULL;
	int error = 0;

	if (domain != AF_INET)
		error = -EAFNOSUPPORT;
	else if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM ||
		 (protocol != 0 && protocol != IPPROTO_TCP))
		error = -EPROTONOSUPPORT;
	if (error)
		return (int)call_result(error);
	world_lock(w);
	settings_read(w);
	f = file_new(w);
	if (f) {
		f->sock = stack_socket(w->stack, STACK_TCP, 0, f);
		f->nonblock = type & SOCK_NONBLOCK;
	}
	world_unlock(w);
	return (int)call_result(f ? f->fd : -EMFILE);
}

struct name_call {
	const struct sockaddr *addr;
	socklen_t len;
};

static ptrdiff_t bind_once(struct world *w, struct file *f, void *argument)
{
	struct name_call *call = argument;
	struct stack_endpoint local;

	(void)w;
	if (!endpoint_from(call->addr, call->len, &local))
		return call->len < sizeof(struct sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
	return stack_bind(f->sock, &local);
}

static int call_bind(void *context, int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)call_once(context, fd, bind_once, &(struct name_call){addr, len});
}

static ptrdiff_t listen_once(struct world *w, struct file *f, void *argument)
{
	int backlog = *(int *)argument;
	int error = stack_listen(&f->sock, backlog > 0 ? (uint32_t)backlog : 1);

	(void)w;
	if (error)
		return error;
	stack_set_user(f->sock, f);
	f->listening = true;
	return 0;
}

static int call_listen(void *context, int fd, int backlog)
{
	return (int)call_once(context, fd, listen_once, &backlog);
}

struct sock *next_accepted(struct file *f)
{
	if (!f->accepted)
		f->accepted = stack_accept(f->sock);
	return f->accepted;
}

struct accept_call {
	struct sockaddr *addr;
	socklen_t *len;
};

static ptrdiff_t accept_once(struct world *w, struct file *f, void *argument)
{
	struct accept_call *call = argument;
	struct stack_sock_info info;
	struct file *new;

	if (!f->listening)
		return -EINVAL;
	if (!next_accepted(f))
		return -EAGAIN;
	new = file_new(w);
	if (!new)
		return -EMFILE;
	new->sock = f->accepted;
	f->accepted = NULL;
	new->connected = true;
	new->zerocopy = f->zerocopy;
	stack_set_user(new->sock, new);
	stack_info(new->sock, &info);
	if (call->addr)
		endpoint_to(&info.remote, call->addr, call->len);
	return new->fd;
}

/* A call that blocks unless the descriptor or the call says no. */
static ptrdiff_t call_maybe_blocking(void *context, int fd, attempt try, void *argument, bool dontwait, bool receiving)
{
	struct world *w = context;
	struct file *f;
	ptrdiff_t result = -EBADF;

	world_lock(w);
	settings_read(w);
	f = file_get(w, fd);
	if (f && f->epoll)
		result = -ENOTSOCK;
	else if (f) {
		stack_time limit = receiving ? f->recv_timeout : f->send_timeout;

		result = call_blocking(w, f, try, argument, f->nonblock || dontwait,
				       limit ? w->now + limit : STACK_NEVER);
	}
	world_unlock(w);
	return result;
}

static int call_accept(void *context, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct accept_call call = {addr, len};

	return (int)call_result(call_maybe_blocking(context, fd, accept_once, &call, false, true));
}

struct connect_call {
	struct name_call name;
	bool started; /* by this call */
};

static ptrdiff_t connect_start(struct world *w, struct file *f, const struct name_call *name)
{
	struct stack_endpoint remote;
	int error;

	if (!endpoint_from(name->addr, name->len, &remote))
		return name->len < sizeof(struct sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
	if (f->connecting)
		return -EALREADY;
	if (f->connected || f->listening || f->deferred)
		return -EISCONN;
	if (fastopen_connect_waits(w, f, &remote))
		return 0;
	if (option_number(w, f, IPPROTO_TCP, TCP_FASTOPEN_CONNECT)) {
		ptrdiff_t result = fastopen_connect(w, f, &remote, NULL, 0);

		return result < 0 ? result : -EAGAIN;
	}
	error = stack_connect(&f->sock, w->now, &remote);
	if (error)
		return error;
	stack_set_user(f->sock, f);
	f->connecting = true;
	return -EAGAIN;
}

static ptrdiff_t connect_once(struct world *w, struct file *f, void *argument)
{
	struct connect_call *call = argument;
	int error;

	if (!call->started && !f->error) {
		call->started = true;
		return connect_start(w, f, &call->name);
	}
	if (f->connecting)
		return -EAGAIN;
	error = f->error;
	f->error = 0;
	return -error;
}

static int call_connect(void *context, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct connect_call call = {.name = {addr, len}};
	ptrdiff_t result = call_maybe_blocking(context, fd, connect_once, &call, false, false);

	return (int)call_result(result == -EAGAIN ? -EINPROGRESS : result);
}

/* ---- data ---- */

struct io {
	const struct iovec *iov;
	int count;
	int flags;
	size_t done;
	const struct sockaddr *to; /* MSG_FASTOPEN: where to */
	socklen_t to_len;
	bool opening; /* this call has sent the SYN */
	bool waiting; /* for room in the send buffer */
};

static size_t io_total(const struct io *io)
{
	size_t total = 0;

	for (int i = 0; i < io->count; i++)
		total += io->iov[i].iov_len;
	return total;
}

/* What the host finds when it copies. */
static bool io_bad(const struct io *io)
{
	for (int i = 0; i < io->count; i++)
		if (!io->iov[i].iov_base && io->iov[i].iov_len)
			return true;
	return false;
}

/* The piece at `at` bytes from the start. */
static struct iovec io_at(const struct io *io, size_t at)
{
	int i = 0;

	while (i < io->count && at >= io->iov[i].iov_len)
		at -= io->iov[i++].iov_len;
	if (i == io->count)
		return (struct iovec){0};
	return (struct iovec){(char *)io->iov[i].iov_base + at, io->iov[i].iov_len - at};
}

static ptrdiff_t take_error(struct file *f, ptrdiff_t otherwise)
{
	int error = f->error;

	f->error = 0;
	return error ? -error : otherwise;
}

static ptrdiff_t peek(struct file *f, const struct io *io)
{
	struct iovec from[64];
	unsigned count = 64;
	size_t done = 0, total = io_total(io);

	stack_recv_peek(f->sock, from, &count);
	for (unsigned i = 0; i < count && done < total; i++)
		for (size_t at = 0; at < from[i].iov_len && done < total;) {
			struct iovec to = io_at(io, done);
			size_t left = from[i].iov_len - at, n = left < to.iov_len ? left : to.iov_len;

			memcpy(to.iov_base, (char *)from[i].iov_base + at, n);
			done += n;
			at += n;
		}
	return done ? (ptrdiff_t)done : -EAGAIN;
}

/* What is there, in order. */
static ptrdiff_t take(struct world *w, struct file *f, struct io *io)
{
	while (io->done < io_total(io)) {
		if (io->done && stack_at_mark(f->sock))
			return 0;
		struct iovec to = io_at(io, io->done);
		ptrdiff_t n = stack_recv(f->sock, w->now, to.iov_base, to.iov_len);

		if (n <= 0)
			return n;
		io->done += (size_t)n;
	}
	return 0;
}

static ptrdiff_t receive_once(struct world *w, struct file *f, void *argument)
{
	struct io *io = argument;
	ptrdiff_t result;

	if (f->connecting || f->deferred)
		return -EAGAIN;
	if (f->listening || (!f->connected && !f->dead))
		return -ENOTCONN;
	if (io_total(io) == 0)
		return 0;
	if (io->flags & MSG_PEEK) {
		result = peek(f, io);
		if (result > 0)
			return result;
		result = stack_recv(f->sock, w->now, NULL, 0);
	} else {
		result = take(w, f, io);
	}
	if (io->done == io_total(io) || (io->done && (result != -EAGAIN || !(io->flags & MSG_WAITALL))))
		return (ptrdiff_t)io->done;
	if (f->error || f->dead)
		return take_error(f, 0);
	return f->read_shut ? 0 : result;
}

/* MSG_OOB never waits. */
static ptrdiff_t receive_urgent_once(struct world *w, struct file *f, void *argument)
{
	struct io *io = argument;
	uint8_t byte;
	int result;

	(void)w;
	if (!f->connected)
		return -ENOTCONN;
	result = stack_recv_urgent(f->sock, &byte, io->flags & MSG_PEEK);
	if (result == 1 && io_total(io) > 0)
		memcpy(io_at(io, 0).iov_base, &byte, 1);
	return result;
}

static ptrdiff_t call_receive(void *context, int fd, const struct iovec *iov, int count, int flags)
{
	struct io io = {.iov = iov, .count = count, .flags = flags};
	ptrdiff_t result;

	if (flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_OOB))
		return call_result(-EOPNOTSUPP);
	if (io_bad(&io))
		return call_result(-EFAULT);
	if (flags & MSG_OOB)
		return call_once(context, fd, receive_urgent_once, &io);
	result = call_maybe_blocking(context, fd, receive_once, &io, flags & MSG_DONTWAIT, true);
	return call_result(result < 0 && io.done ? (ptrdiff_t)io.done : result);
}

/* Where the SYN goes that MSG_FASTOPEN or a connect before asked for. */
static int opening_to(const struct file *f, const struct io *io, struct stack_endpoint *remote)
{
	if (f->deferred) {
		*remote = f->remote;
		return 0;
	}
	if (!io->to)
		return -EDESTADDRREQ;
	if (io->to_len < sizeof(struct sockaddr_in))
		return -EINVAL;
	return endpoint_from(io->to, io->to_len, remote) ? 0 : -EOPNOTSUPP;
}

static bool io_waits(const struct file *f, const struct io *io)
{
	return !f->nonblock && !(io->flags & MSG_DONTWAIT);
}

/* As the host: without waiting only what the SYN carries; else all of it, when the connection is made. */
static ptrdiff_t send_opening(struct world *w, struct file *f, struct io *io)
{
	struct stack_endpoint remote;
	size_t total = io_total(io);
	char *data = malloc(total + 1);
	ptrdiff_t taken = data ? opening_to(f, io, &remote) : -ENOMEM;

	for (size_t at = 0; data && at < total;) {
		struct iovec from = io_at(io, at);

		memcpy(data + at, from.iov_base, from.iov_len);
		at += from.iov_len;
	}
	if (taken == 0)
		taken = fastopen_connect(w, f, &remote, data, total);
	if (taken >= 0) {
		io->opening = true;
		io->done = (size_t)taken;
	}
	if (taken >= 0 && io_waits(f, io)) {
		io->done += (size_t)stack_send(f->sock, w->now, data + taken, total - (size_t)taken);
		taken = -EAGAIN;
	} else if (taken == 0) {
		taken = -EINPROGRESS;
	}
	free(data);
	return taken;
}

/* What there is room for. As on a host, what is sent meanwhile leaves room behind it. */
static ptrdiff_t send_queued(struct world *w, struct file *f, struct io *io)
{
	bool again = false;

	while (io->done < io_total(io)) {
		struct iovec from = io_at(io, io->done);
		ptrdiff_t n = stack_send(f->sock, w->now, from.iov_base, from.iov_len);

		if (n < 0 || (n == 0 && again))
			return n == 0 ? -EAGAIN : n;
		io->done += (size_t)n;
		again = n == 0;
		if (again)
			world_output(w);
	}
	return (ptrdiff_t)io->done;
}

static ptrdiff_t send_some(struct world *w, struct file *f, struct io *io)
{
	ptrdiff_t result;

	if (f->error) {
		if (!f->connected)
			io->done = 0; /* what was queued for a connection that never was */
		return take_error(f, 0);
	}
	if (!io->opening && (f->deferred || ((io->flags & MSG_FASTOPEN) && !f->connected && !f->dead)))
		return f->connecting ? -EALREADY : send_opening(w, f, io);
	if (f->connecting)
		return -EAGAIN;
	if (!f->connected || f->dead)
		return -EPIPE;
	if (io->waiting && !stack_send_ready(f->sock))
		return -EAGAIN;
	result = send_queued(w, f, io);
	io->waiting = result == -EAGAIN;
	return result;
}

static ptrdiff_t send_once(struct world *w, struct file *f, void *argument)
{
	struct io *io = argument;
	size_t before = io->done;
	ptrdiff_t result = send_some(w, f, io);

	f->queued += io->done - before;
	if ((io->flags & MSG_OOB) && io->done == io_total(io) && result > 0)
		stack_send_urgent(f->sock);
	if ((io->flags & MSG_EOR) && io->done == io_total(io) && result > 0)
		stack_send_record_end(f->sock);
	if ((io->flags & MSG_MORE) && io->done == io_total(io) && result > 0)
		stack_send_more(f->sock);
	if (io->done && (result > 0 || !io_waits(f, io)))
		timestamping_sent(f);
	if ((io->flags & MSG_ZEROCOPY) && io->done && (result > 0 || (result == -EAGAIN && !io_waits(f, io))))
		zerocopy_sent(f);
	return result;
}

static ptrdiff_t call_transmit(void *context, int fd, const struct iovec *iov, int count, int flags,
			       const struct sockaddr *to, socklen_t to_len)
{
	struct io io = {.iov = iov, .count = count, .flags = flags, .to = to, .to_len = to_len};
	ptrdiff_t result;

	if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_FASTOPEN | MSG_ZEROCOPY | MSG_EOR | MSG_OOB))
		return call_result(-EOPNOTSUPP);
	if (io_bad(&io))
		return call_result(-EFAULT);
	result = call_maybe_blocking(context, fd, send_once, &io, flags & MSG_DONTWAIT, false);
	return call_result(result < 0 && io.done ? (ptrdiff_t)io.done : result);
}

static ssize_t call_recv(void *context, int fd, void *data, size_t len, int flags)
{
	return call_receive(context, fd, &(struct iovec){data, len}, 1, flags);
}

static ssize_t call_read(void *context, int fd, void *data, size_t len)
{
	return call_recv(context, fd, data, len, 0);
}

static ssize_t call_readv(void *context, int fd, const struct iovec *iov, int count)
{
	return call_receive(context, fd, iov, count, 0);
}

static ssize_t call_recvfrom(void *context, int fd, void *data, size_t len, int flags,
			     struct sockaddr *from, socklen_t *from_len)
{
	(void)from;
	*from_len = 0; /* a stream tells no address */
	return call_recv(context, fd, data, len, flags);
}

/* TCP_INQ: how many bytes are left to read, and 1 for the end when there is nothing else. */
static void put_inq(struct world *w, int fd, struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct file *f;
	int left = 0;

	world_lock(w);
	f = file_get(w, fd);
	if (f && c && msg->msg_controllen >= CMSG_SPACE(sizeof(left)) && option_number(w, f, IPPROTO_TCP, TCP_INQ)) {
		stack_ioctl(f->sock, SIOCINQ, &left);
		if (left == 0 && stack_recv(f->sock, w->now, NULL, 0) == 0)
			left = 1;
		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(left)), .cmsg_level = IPPROTO_TCP, .cmsg_type = TCP_CM_INQ};
		memcpy(CMSG_DATA(c), &left, sizeof(left));
		msg->msg_controllen = CMSG_SPACE(sizeof(left));
	} else {
		msg->msg_controllen = 0;
	}
	world_unlock(w);
}

static ptrdiff_t error_queue_once(struct world *w, struct file *f, void *argument)
{
	ptrdiff_t result = timestamping_receive(f, argument);

	return result == -EAGAIN ? zerocopy_receive(w, f, argument) : result;
}

static ssize_t call_recvmsg(void *context, int fd, struct msghdr *msg, int flags)
{
	ssize_t n;

	if (flags & MSG_ERRQUEUE)
		return call_once(context, fd, error_queue_once, msg);
	n = call_receive(context, fd, msg->msg_iov, (int)msg->msg_iovlen, flags);
	msg->msg_namelen = 0;
	msg->msg_flags = 0;
	if (n < 0)
		return n;
	put_inq(context, fd, msg);
	return n;
}

static ssize_t call_send(void *context, int fd, const void *data, size_t len, int flags)
{
	return call_transmit(context, fd, &(struct iovec){(void *)data, len}, 1, flags, NULL, 0);
}

static ssize_t call_write(void *context, int fd, const void *data, size_t len)
{
	return call_send(context, fd, data, len, 0);
}

static ssize_t call_writev(void *context, int fd, const struct iovec *iov, int count)
{
	return call_transmit(context, fd, iov, count, 0, NULL, 0);
}

static ssize_t call_sendto(void *context, int fd, const void *data, size_t len, int flags,
			   const struct sockaddr *to, socklen_t to_len)
{
	return call_transmit(context, fd, &(struct iovec){(void *)data, len}, 1, flags, to, to_len);
}

static ssize_t call_sendmsg(void *context, int fd, const struct msghdr *msg, int flags)
{
	if (msg->msg_controllen)
		return call_result(-EOPNOTSUPP);
	return call_transmit(context, fd, msg->msg_iov, (int)msg->msg_iovlen, flags, msg->msg_name, msg->msg_namelen);
}

/* ---- the rest of a socket's calls ---- */

static int call_fcntl(void *context, int fd, int command, ...)
{
	struct world *w = context;
	struct file *f;
	ptrdiff_t result = -EINVAL;
	va_list arguments;

	world_lock(w);
	f = file_get(w, fd);
	va_start(arguments, command);
	if (!f) {
		result = -EBADF;
	} else if (command == F_GETFL) {
		result = O_RDWR | (f->nonblock ? O_NONBLOCK : 0);
	} else if (command == F_SETFL) {
		f->nonblock = va_arg(arguments, int) & O_NONBLOCK;
		result = 0;
	}
	va_end(arguments);
	world_unlock(w);
	return (int)call_result(result);
}

struct ioctl_call {
	unsigned long request;
	int *value;
};

static ptrdiff_t ioctl_once(struct world *w, struct file *f, void *argument)
{
	struct ioctl_call *call = argument;

	(void)w;
	return stack_ioctl(f->sock, call->request, call->value);
}

static int call_ioctl(void *context, int fd, unsigned long request, ...)
{
	struct ioctl_call call = {.request = request};
	va_list arguments;

	va_start(arguments, request);
	call.value = va_arg(arguments, int *);
	va_end(arguments);
	return (int)call_once(context, fd, ioctl_once, &call);
}

/* SO_LINGER with a time: close waits until the peer has acknowledged everything, our FIN too. */
static ptrdiff_t lingered(struct world *w, struct file *f, void *argument)
{
	struct stack_tcb_info t;

	(void)argument;
	stack_tcb_held(f->sock, w->now, &t);
	return t.sock.state == TCP_FIN_WAIT_1 || t.sock.state == TCP_CLOSING || t.sock.state == TCP_LAST_ACK ? -EAGAIN : 0;
}

static void linger(struct world *w, struct file *f)
{
	struct linger time = {0};
	size_t len = sizeof(time);
	int unread = 0;

	stack_getsockopt(f->sock, w->now, SOL_SOCKET, SO_LINGER, &time, &len);
	stack_ioctl(f->sock, SIOCINQ, &unread);
	if (!time.l_onoff || time.l_linger == 0 || unread > 0 || !f->connected || f->dead)
		return;
	stack_shutdown(f->sock, w->now);
	call_blocking(w, f, lingered, NULL, f->nonblock, w->now + (stack_time)time.l_linger * 1000000);
}

static int call_close(void *context, int fd)
{
	struct world *w = context;
	struct file *f;

	world_lock(w);
	f = file_get(w, fd);
	if (f) {
		if (!f->epoll)
			linger(w, f);
		file_free(w, f);
		world_step(w);
	}
	world_unlock(w);
	return f ? 0 : (int)syscall(SYS_close, fd);
}

static ptrdiff_t shutdown_once(struct world *w, struct file *f, void *argument)
{
	int how = *(int *)argument;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (!f->connected || f->dead)
		return -ENOTCONN;
	if (how != SHUT_WR)
		f->read_shut = true;
	return how == SHUT_RD ? 0 : stack_shutdown(f->sock, w->now);
}

static int call_shutdown(void *context, int fd, int how)
{
	return (int)call_once(context, fd, shutdown_once, &how);
}

struct option_call {
	int level, name;
	const void *in;
	void *out;
	socklen_t *len;
};

static ptrdiff_t set_once(struct world *w, struct file *f, void *argument)
{
	struct option_call *call = argument;

	return option_set(w, f, call->level, call->name, call->in, *call->len);
}

static int call_setsockopt(void *context, int fd, int level, int name, const void *value, socklen_t len)
{
	return (int)call_once(context, fd, set_once, &(struct option_call){level, name, value, NULL, &len});
}

static ptrdiff_t get_once(struct world *w, struct file *f, void *argument)
{
	struct option_call *call = argument;

	return option_get(w, f, call->level, call->name, call->out, call->len);
}

static int call_getsockopt(void *context, int fd, int level, int name, void *value, socklen_t *len)
{
	return (int)call_once(context, fd, get_once, &(struct option_call){level, name, NULL, value, len});
}

/* ---- the link and the clock ---- */

static int call_netdev_send(void *context, const void *data, size_t len)
{
	struct world *w = context;

	world_lock(w);
	world_input(w, data, len);
	world_unlock(w);
	return 0;
}

/* There is no limit of time: what is not due yet is waited for. No bytes: nothing will ever come. */
static int call_netdev_receive(void *context, void *data, size_t *len, long long *microseconds)
{
	struct world *w = context;
	struct packet *p;

	world_lock(w);
	while (!w->head && world_deadline(w) != STACK_NEVER)
		world_advance(w, world_deadline(w));
	p = w->head;
	if (!p) {
		*len = 0;
	} else {
		w->head = p->next;
		if (!w->head)
			w->tail = &w->head;
		*len = p->len < *len ? p->len : *len;
		memcpy(data, p->data, *len);
		*microseconds = (long long)p->at;
		free(p);
	}
	world_unlock(w);
	return 0;
}

/* In this time a thread that has left its call notes the outcome, for which it needs a lock of packetdrill's. */
static int call_usleep(void *context, useconds_t microseconds)
{
	struct world *w = context;
	bool left;

	world_lock(w);
	world_advance(w, w->now + microseconds);
	left = w->left;
	w->left = false;
	world_unlock(w);
	if (left)
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	return 0;
}

/* Moves the clock by its smallest step: packetdrill spins on it shortly before an event. */
static int call_gettimeofday(void *context, struct timeval *tv, struct timezone *tz)
{
	struct world *w = context;

	(void)tz;
	world_lock(w);
	if (!world_left(w))
		world_advance(w, w->now + 1);
	tv->tv_sec = (time_t)(w->now / 1000000);
	tv->tv_usec = (suseconds_t)(w->now % 1000000);
	world_unlock(w);
	return 0;
}

/* ---- pipes: real ones; only splice has to know both kinds ---- */

static int call_pipe(void *context, int fds[2])
{
	(void)context;
	return pipe(fds);
}

static bool at_mark(struct world *w, int fd)
{
	struct file *f;
	bool at;

	world_lock(w);
	f = file_get(w, fd);
	at = f && !f->epoll && stack_at_mark(f->sock);
	world_unlock(w);
	return at;
}

static int call_splice(void *context, int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned flags)
{
	char data[65536];
	bool from_stack = file_get(context, in);
	ssize_t n;

	(void)in_at;
	(void)out_at;
	if (len > sizeof(data))
		len = sizeof(data);
	if (from_stack && at_mark(context, in))
		return 0; /* urgent data is no stream's: it stops here */
	n = from_stack ? call_recv(context, in, data, len, flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0)
		       : read(in, data, len);
	if (n <= 0)
		return (int)n;
	return (int)(file_get(context, out) ? call_write(context, out, data, (size_t)n) : write(out, data, (size_t)n));
}

/* ---- what packetdrill finds ---- */

static void call_free(void *context)
{
	the_world = NULL;
	world_free(context);
}

EXPORT void packetdrill_interface_init(const char *flags, struct packetdrill_interface *table)
{
	the_world = world_new(flags);
	if (!the_world) {
		fprintf(stderr, "libbyway-packetdrill: wrong settings: %s\n", flags ? flags : "");
		exit(EXIT_FAILURE);
	}
	*table = (struct packetdrill_interface){
		.userdata = the_world, .free = call_free,
		.socket = call_socket, .bind = call_bind, .listen = call_listen, .accept = call_accept,
		.connect = call_connect, .read = call_read, .readv = call_readv, .recv = call_recv,
		.recvfrom = call_recvfrom, .recvmsg = call_recvmsg, .write = call_write,
		.writev = call_writev, .send = call_send, .sendto = call_sendto, .sendmsg = call_sendmsg,
		.fcntl = call_fcntl, .ioctl = call_ioctl, .close = call_close, .shutdown = call_shutdown,
		.getsockopt = call_getsockopt, .setsockopt = call_setsockopt, .poll = call_poll,
		.netdev_send = call_netdev_send, .netdev_receive = call_netdev_receive,
		.usleep = call_usleep, .gettimeofday = call_gettimeofday,
		.epoll_create = call_epoll_create, .epoll_ctl = call_epoll_ctl, .epoll_wait = call_epoll_wait,
		.pipe = call_pipe, .splice = call_splice,
	};
}

/* ---- the C library's functions, when preloaded ---- */

static bool is_ours(int fd)
{
	return the_world && file_get(the_world, fd);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	if (is_ours(fd))
		return call_getsockopt(the_world, fd, level, name, value, len);
	return (int)syscall(SYS_getsockopt, fd, level, name, value, len);
}

EXPORT ssize_t sendfile(int out, int in, off_t *at, size_t len)
{
	char data[65536];
	ssize_t n;

	if (!is_ours(out))
		return syscall(SYS_sendfile, out, in, at, len);
	if (len > sizeof(data))
		len = sizeof(data);
	n = at ? pread(in, data, len, *at) : read(in, data, len);
	if (n > 0)
		n = call_write(the_world, out, data, (size_t)n);
	if (n > 0 && at)
		*at += n;
	return n;
}

/* sendfile() as programs know it that were not built for large files, as this one is. */
EXPORT ssize_t sendfile_plain(int out, int in, off_t *at, size_t len) __asm__("sendfile");
ssize_t sendfile_plain(int out, int in, off_t *at, size_t len)
{
	return sendfile(out, in, at, len);
}

EXPORT int close(int fd)
{
	return is_ours(fd) ? call_close(the_world, fd) : (int)syscall(SYS_close, fd);
}
