/*
 * Sending and receiving with addresses, and all of sendmsg, recvmsg and their plurals, since a
 * filter cannot see whether those bring an address: where they do not, and the descriptor
 * carries bytes as they are, the kernel goes on with them.
 *
 * A datagram to an address goes to the daemon as a message, whose answer is the host's errno. A
 * datagram that arrives lies in the descriptor, its sender beside it as a file (protocol.h).
 */
#include "cli/run.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DATA_MAX 65536 /* bytes of one datagram */
#define PAYLOAD_MAX 65507 /* the same of one that can be sent */
#define MESSAGES_MAX 1024 /* of sendmmsg and recvmmsg, as the host has it */

static int message_read(const struct call *c, uint64_t at, struct message *m)
{
	if (!tracee_read(c, at, &m->head, sizeof(m->head)))
		return -EFAULT;
	if (m->head.msg_iovlen > RUN_PIECES)
		return -EMSGSIZE;
	m->pieces = m->head.msg_iovlen;
	if (m->pieces && !tracee_read(c, (uintptr_t)m->head.msg_iov, m->piece, m->pieces * sizeof(m->piece[0])))
		return -EFAULT;
	return 0;
}

static size_t message_size(const struct message *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->pieces; i++)
		n += m->piece[i].iov_len < DATA_MAX ? m->piece[i].iov_len : DATA_MAX;
	return n;
}

/* ---- sending ---- */

static int64_t send_stream(struct call *c, const void *data, size_t len, int flags)
{
	ssize_t n = send(c->fd, data, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0 || errno != EAGAIN || (flags & MSG_DONTWAIT) || !descriptor_blocks(c->fd))
		return n >= 0 ? n : -errno;
	if (c->expired)
		return -EAGAIN;
	c->wait_events = EPOLLOUT;
	c->wait_limit = descriptor_patience(c->fd, SO_SNDTIMEO);
	return RUN_WAIT;
}

/* The rest of the datagram is to come. */
static bool more_follows(const struct run_socket *s, int flags)
{
	return (flags & MSG_MORE) && run_is_datagram(s) && !s->ping;
}

/* Where a datagram goes: the address given, or the peer, or where its beginning goes (any). 0 or -errno. */
static int destination(struct call *c, uint64_t name, uint32_t name_len, int flags, struct byway_address *to)
{
	struct run_socket *s = c->sock;

	*to = s->remote;
	if (name && name_len) {
		int error = address_read(c, name, name_len, s->family, -ENETUNREACH, to);
		if (error)
			return error > 0 ? -EAFNOSUPPORT : error;
		address_there(to);
	} else if (s->kind != RUN_UDP_PEER) {
		return more_follows(s, flags) ? 0 : -EDESTADDRREQ;
	}
	if (to->port == 0 && !s->ping)
		return -EINVAL;
	names_there(c->run, s, to);
	return 0;
}

/* Gathered bytes with an address, or with control messages, by the kind of the socket. */
static int64_t send_bytes(struct call *c, const struct message *m, size_t len, int flags,
			  const struct byway_departure *how)
{
	static uint8_t data[DATA_MAX];
	struct run_socket *s = c->sock;
	struct byway_address to;

	bool opens = (flags & MSG_FASTOPEN) && (s->kind == RUN_TCP || s->kind == RUN_FAILED || c->woken);
	if (!opens && (s->kind == RUN_TCP || s->kind == RUN_LISTENER || s->kind == RUN_FAILED))
		return -EPIPE;
	if (!opens && (flags & MSG_FASTOPEN) && s->kind == RUN_CONNECTED)
		return -EISCONN;
	bool udp = run_is_datagram(s);
	if (udp && (flags & MSG_OOB))
		return -EOPNOTSUPP;
	if (udp && len > PAYLOAD_MAX)
		return -EMSGSIZE;
	ssize_t n = tracee_gather(c, m->piece, m->pieces, data, len < DATA_MAX ? len : DATA_MAX);
	if (n < 0)
		return n;
	if (opens)
		return connect_and_send(c, (uintptr_t)m->head.msg_name, m->head.msg_namelen, &(struct iovec){data, (size_t)n},
					!(flags & MSG_DONTWAIT) && descriptor_blocks(c->fd));
	if (!udp)
		return send_stream(c, data, (size_t)n, flags);
	int error = destination(c, (uintptr_t)m->head.msg_name, m->head.msg_namelen, flags, &to);
	if (!error)
		error = daemon_send(c->run, s->inode, &to, how, more_follows(s, flags), data, (size_t)n);
	return error ? error : n;
}

int64_t on_sendto(struct call *c)
{
	struct message m;

	m.head = (struct msghdr){.msg_name = (void *)(uintptr_t)c->data.args[4], .msg_namelen = (uint32_t)c->data.args[5]};
	m.piece[0] = (struct iovec){(void *)(uintptr_t)c->data.args[1], c->data.args[2]};
	m.pieces = 1;
	if (c->data.args[4] == 0 && !more_follows(c->sock, call_int(c, 3)))
		return RUN_CONTINUE; /* MSG_MORE of another kind of socket */
	return send_bytes(c, &m, c->data.args[2], call_int(c, 3), NULL);
}

/* A message without an address goes as it is, if the descriptor has somebody at its other end. */
static bool sends_plain(const struct run_socket *s, const struct msghdr *m, int flags)
{
	if (more_follows(s, flags) || s->kind == RUN_UDP || (s->kind == RUN_UDP_PEER && m->msg_controllen > 0))
		return false;
	return !m->msg_name || m->msg_namelen == 0;
}

static int64_t send_message(struct call *c, const struct message *m, int flags)
{
	if (run_is_datagram(c->sock)) {
		struct byway_departure how = {0};
		bool any = false;
		int error = control_read(c, &m->head, &how, &any);
		return error ? error : send_bytes(c, m, message_size(m), flags, any ? &how : NULL);
	}
	if (m->head.msg_name && m->head.msg_namelen)
		return send_bytes(c, m, message_size(m), flags, NULL);
	/* Among others with addresses: by hand. */
	static uint8_t data[DATA_MAX];
	ssize_t n = tracee_gather(c, m->piece, m->pieces, data, message_size(m) < DATA_MAX ? message_size(m) : DATA_MAX);
	return n < 0 ? n : send_stream(c, data, (size_t)n, flags);
}

int64_t on_sendmsg(struct call *c)
{
	struct message m;
	int error = message_read(c, c->data.args[1], &m);

	if (error)
		return error;
	if (!sends_plain(c->sock, &m.head, call_int(c, 2)))
		return send_message(c, &m, call_int(c, 2));
	error = run_is_datagram(c->sock) ? datagram_error(c) : 0;
	return error ? error : RUN_CONTINUE;
}

static uint64_t nth_message(const struct call *c, unsigned i)
{
	return c->data.args[1] + i * sizeof(struct mmsghdr);
}

static bool write_count(const struct call *c, unsigned i, int64_t n)
{
	unsigned len = (unsigned)n;

	return tracee_write(c, nth_message(c, i) + offsetof(struct mmsghdr, msg_len), &len, sizeof(len));
}

/* All of them can go as they are. */
static bool all_plain(const struct call *c, unsigned count)
{
	struct mmsghdr m;

	for (unsigned i = 0; i < count; i++)
		if (!tracee_read(c, nth_message(c, i), &m, sizeof(m)) || !sends_plain(c->sock, &m.msg_hdr, call_int(c, 3)))
			return false;
	return true;
}

int64_t on_sendmmsg(struct call *c)
{
	unsigned count = (unsigned)c->data.args[2], sent = 0;
	struct message m;

	if (count > MESSAGES_MAX)
		count = MESSAGES_MAX;
	if (all_plain(c, count)) {
		int error = run_is_datagram(c->sock) ? datagram_error(c) : 0;
		return error ? error : RUN_CONTINUE;
	}
	for (; sent < count; sent++) {
		int64_t n = message_read(c, nth_message(c, sent), &m);
		if (n == 0)
			n = send_message(c, &m, call_int(c, 3) | MSG_DONTWAIT);
		if (n < 0)
			return sent ? sent : n;
		if (!write_count(c, sent, n))
			return -EFAULT;
	}
	return sent;
}

/* ---- receiving ---- */

/* What came: bytes, and who sent them. */
struct received {
	uint8_t data[DATA_MAX];
	ssize_t len;
	struct sockaddr_in6 from;
	uint32_t from_len;
	struct arrival how;
};

/* 0, -EAGAIN and other errors. */
static int receive(struct call *c, int flags, struct received *r)
{
	struct byway_address from = c->sock->remote;

	r->len = datagram_receive(c, r->data, sizeof(r->data), flags & (MSG_PEEK | MSG_OOB), &r->how);
	if (r->len < 0)
		return (int)r->len;
	if (r->how.known)
		from = r->how.source.from;
	if (c->sock->ping)
		from.port = 0;
	names_back(c->run, c->sock, &from);
	r->from_len = c->sock->kind == RUN_NETLINK ? netlink_sender(&r->from)
						   : address_make(&r->from, c->sock->family, &from);
	return 0;
}

static int64_t receive_wait(struct call *c, int flags, int error)
{
	if (error != -EAGAIN || (flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) || c->expired || !descriptor_blocks(c->fd))
		return error;
	c->wait_events = EPOLLIN;
	c->wait_limit = descriptor_patience(c->fd, SO_RCVTIMEO);
	return RUN_WAIT;
}

static bool is_stream(const struct run_socket *s)
{
	return !run_is_datagram(s) && s->kind != RUN_NETLINK;
}

int64_t on_recvfrom(struct call *c)
{
	static struct received r;
	struct iovec piece = {(void *)(uintptr_t)c->data.args[1], c->data.args[2]};
	int flags = call_int(c, 3);

	/* The host tells no address on a stream; the kernel sets the length to 0 here, too. */
	if (is_stream(c->sock))
		return RUN_CONTINUE;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	int error = receive(c, flags, &r);
	if (error)
		return receive_wait(c, flags, error);
	ssize_t n = tracee_scatter(c, &piece, 1, r.data, (size_t)r.len < piece.iov_len ? (size_t)r.len : piece.iov_len);
	if (n < 0)
		return n;
	error = address_copy(c, c->data.args[4], c->data.args[5], &r.from, r.from_len);
	return error ? error : flags & MSG_TRUNC ? r.len : n;
}

/* Into the caller's message at `at`. The bytes, or -errno. */
static int64_t receive_message(struct call *c, uint64_t at, int flags)
{
	static struct received r;
	struct message m;
	int error = message_read(c, at, &m);
	size_t room;

	if (!error && (flags & MSG_ERRQUEUE)) {
		int64_t n = failure_receive(c, &m, flags);
		return n >= 0 && !tracee_write(c, at, &m.head, sizeof(m.head)) ? -EFAULT : n;
	}
	if (!error)
		error = receive(c, flags, &r);
	if (error)
		return error;
	room = message_size(&m);
	ssize_t n = tracee_scatter(c, m.piece, m.pieces, r.data, (size_t)r.len < room ? (size_t)r.len : room);
	if (n < 0)
		return n;
	m.head.msg_flags = (size_t)r.len > room ? MSG_TRUNC : 0;
	error = control_write(c, &m.head, &r.how);
	if (error)
		return error;
	if (m.head.msg_name) {
		uint32_t len = m.head.msg_namelen < r.from_len ? m.head.msg_namelen : r.from_len;
		if (!tracee_write(c, (uintptr_t)m.head.msg_name, &r.from, len))
			return -EFAULT;
		m.head.msg_namelen = r.from_len;
	}
	if (!tracee_write(c, at, &m.head, sizeof(m.head)))
		return -EFAULT;
	return flags & MSG_TRUNC ? r.len : n;
}

int64_t on_recvmsg(struct call *c)
{
	int flags = call_int(c, 2);

	if (is_stream(c->sock))
		return flags & MSG_ERRQUEUE ? -EAGAIN : RUN_CONTINUE;
	return receive_wait(c, flags, (int)receive_message(c, c->data.args[1], flags));
}

int64_t on_recvmmsg(struct call *c)
{
	unsigned count = (unsigned)c->data.args[2], got = 0;
	int flags = call_int(c, 3);

	if (is_stream(c->sock))
		return RUN_CONTINUE;
	if (count > MESSAGES_MAX)
		count = MESSAGES_MAX;
	for (; got < count; got++) {
		int64_t n = receive_message(c, nth_message(c, got), flags);
		if (n < 0)
			return got ? got : receive_wait(c, flags, (int)n);
		if (!write_count(c, got, n))
			return -EFAULT;
	}
	return got;
}
