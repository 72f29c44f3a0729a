/*
 * TCP_FASTOPEN_CONNECT of an owner that opens its socket step by step: connect says at once that
 * it is done, and what the owner writes first goes with the SYN (RFC 7413), when the stack has
 * a cookie for the peer. The bytes are read from the pair as any, but the last byte of those that
 * went stays there as the unread one (owner_stream.c).
 */
#include "daemon/owner.h"

#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

bool stream_defer(struct stream *s, const struct stack_endpoint *remote)
{
	static const struct stack_endpoint any;
	struct sock *sock = s->endpoint.sock;
	int wanted = 0;
	size_t len = sizeof(wanted);

	stack_getsockopt(sock, daemon_now(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &wanted, &len);
	if (!wanted || !stack_fastopen_known(sock, remote))
		return false;
	s->deferred = malloc(sizeof(*s->deferred));
	if (!s->deferred)
		return false;
	*s->deferred = *remote;
	stack_bind(sock, &any); /* for getsockname; one that the owner has bound stays as it is */
	if (stream_place(s, remote) < 0) {
		free(s->deferred);
		s->deferred = NULL;
		return false;
	}
	stream_unpark(s);
	return true;
}

/* What the owner has written, after `seen` bytes that were handled, is looked at. The bytes. */
static size_t look(const struct stream *s, uint8_t *data, size_t room)
{
	uint8_t junk[8]; /* `seen` is 1 here */
	struct iovec iov[] = {{junk, s->seen}, {data, room}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n = s->seen <= sizeof(junk) ? recvmsg(s->fd, &m, MSG_PEEK | MSG_DONTWAIT) : 0;

	return n > (ssize_t)s->seen ? (size_t)n - s->seen : 0;
}

bool stream_deferred_start(struct stream *s)
{
	uint8_t data[BYWAY_CONNECT_DATA_MAX];
	struct iovec first = {data, look(s, data, sizeof(data))};
	const char *why;
	int error = stream_connect(s, s->deferred, &first, &why);

	free(s->deferred);
	s->deferred = NULL;
	if (error) {
		stream_failed(s, -error);
		return false;
	}
	s->seen += (uint32_t)first.iov_len;
	stream_unpark(s);
	return true;
}
