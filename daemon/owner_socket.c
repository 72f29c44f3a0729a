/*
 * A socket that is opened step by step, as socket(2), bind(2), listen(2) and connect(2) do it:
 * for programs that were written for the host's sockets (`byway run`). The owner's descriptor
 * is made by the first step and stays: a stream pair, on which a listener's messages and a
 * connection's bytes both travel well, or a sequenced-packet pair for datagrams.
 *
 * Until it is connected a stream is parked: it does not poll writable (owner_stream.c).
 */
#include "daemon/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct endpoint *new_stream(struct daemon *d, const struct owner *who, int *fd, int *error, const char **why)
{
	struct stream *s = stream_new(d, who, false, PARK_IDLE, error, why);

	if (!s)
		return NULL;
	struct sock *sock = stack_socket(d->stack, STACK_TCP, who->uid, NULL);
	if (!sock) {
		*error = -ENOBUFS;
		*why = owner_error(ENOBUFS);
		stream_free(s, false);
		return NULL;
	}
	s->endpoint.connection = false; /* nothing that a peer would miss */
	stream_attach(s, sock);
	*error = stream_watch(s);
	if (*error < 0) {
		*why = "the daemon cannot watch a descriptor";
		stream_abort(s);
		return NULL;
	}
	*error = 0;
	*fd = s->owner_fd;
	s->owner_fd = -1;
	return &s->endpoint;
}

int owner_sock_open(struct daemon *d, const struct owner *who, enum stack_proto proto, uint8_t family, int *fd,
		 struct endpoint **e, const char **why)
{
	int error = 0;

	*e = proto == STACK_TCP ? new_stream(d, who, fd, &error, why) : datagram_new(d, who, proto, fd, &error, why);
	if (*e)
		(*e)->family = family;
	return error;
}

int owner_sock_bind(struct endpoint *e, const struct stack_endpoint *local, const char **why)
{
	int error = endpoint_is_datagram(e) ? datagram_bind(e, local) : owner_take(e->daemon, e->sock, local);

	if (error)
		*why = owner_error(error);
	return error;
}

int owner_sock_listen(struct endpoint **e, unsigned backlog, const char **why)
{
	int error = 0;

	*why = "the socket is connected, or is not a TCP socket";
	if (endpoint_is_listener(*e))
		return listener_set_backlog(*e, backlog);
	if (!endpoint_is_stream(*e))
		return -EOPNOTSUPP;
	struct stream *s = (struct stream *)(void *)*e;
	if (s->connected || s->connecting || s->deferred)
		return -EINVAL;
	struct endpoint *l = listener_from_stream(s, backlog, &error, why);
	if (l)
		*e = l;
	return error;
}

int owner_sock_connect(struct endpoint *e, const struct stack_endpoint *remote, struct iovec *first, const char **why)
{
	if (endpoint_is_datagram(e))
		return datagram_connect(e, remote, why);
	*why = "the socket is listening, connecting or connected already";
	if (endpoint_is_listener(e))
		return -EISCONN;
	if (!endpoint_is_stream(e) || !remote)
		return -EAFNOSUPPORT;
	struct stream *s = (struct stream *)(void *)e;
	if (s->connected)
		return -EISCONN;
	return s->connecting || s->deferred ? -EALREADY : stream_connect(s, remote, first, why);
}

int owner_sock_send(struct endpoint *e, const struct stack_endpoint *remote, const struct stack_departure *how,
		    const void *data, size_t len, bool more, const char **why)
{
	if (!endpoint_is_datagram(e)) {
		*why = "not a UDP or ping socket";
		return -EOPNOTSUPP;
	}
	int error = datagram_send(e, remote, how, data, len, more);
	daemon_kick(e->daemon);
	if (error)
		*why = owner_error(error);
	return error;
}

int owner_sock_pending(struct endpoint *e)
{
	int error = 0;
	size_t len = sizeof(error);

	if (endpoint_is_datagram(e))
		stack_getsockopt(e->sock, daemon_now(), SOL_SOCKET, SO_ERROR, &error, &len);
	return error;
}

ptrdiff_t owner_sock_recverr(struct endpoint *e, struct byway_failure *out, void *data, size_t len)
{
	struct stack_failure f;
	ptrdiff_t n = stack_recverr(e->sock, &f, data, len);

	if (n < 0)
		return n;
	*out = (struct byway_failure){.to = owner_address(&f.to), .error = (uint32_t)f.error, .info = f.info,
				      .type = f.type, .code = f.code};
	memcpy(out->offender.addr, f.offender.byte, sizeof(out->offender.addr));
	return n;
}

void owner_sock_option_set(struct endpoint *e)
{
	if (endpoint_is_datagram(e))
		datagram_options_changed(e);
	if (endpoint_is_listener(e))
		listener_options_changed(e);
}

enum byway_sock_state owner_sock_state(const struct endpoint *e)
{
	if (endpoint_is_listener(e))
		return BYWAY_SOCK_LISTENING;
	if (endpoint_is_datagram(e))
		return datagram_connected(e) ? BYWAY_SOCK_CONNECTED : BYWAY_SOCK_NEW;
	const struct stream *s = (const struct stream *)(const void *)e;
	if (s->connected || s->deferred)
		return BYWAY_SOCK_CONNECTED;
	return s->connecting ? BYWAY_SOCK_CONNECTING : BYWAY_SOCK_NEW;
}

/* It shares the file's flags with ours: whoever has it can make it blocking, so nothing here rests on O_NONBLOCK. */
int owner_sock_guard(struct endpoint *e)
{
	enum byway_sock_state state = owner_sock_state(e);
	int fd;

	if (state == BYWAY_SOCK_CONNECTED || state == BYWAY_SOCK_CONNECTING)
		return -EISCONN;
	if (endpoint_is_listener(e))
		fd = listener_descriptor(e);
	else if (endpoint_is_datagram(e))
		fd = datagram_descriptor(e);
	else if (endpoint_is_stream(e))
		fd = ((const struct stream *)(const void *)e)->fd;
	else
		return -EOPNOTSUPP;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	e->guarded = true;
	return fd;
}
