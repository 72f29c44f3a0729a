/* Opening a TCP connection for an owner: waiting for the handshake, or not. */
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <errno.h>
#include <linux/tcp.h>
#include <sys/socket.h>

/*
 * With the first bytes for the peer: in the SYN as far as Fast Open lets it carry them (RFC 7413),
 * the rest and otherwise all of them as soon as the handshake is complete.
 */
static int connect_with_data(struct sock **sock, const struct stack_endpoint *remote, const struct options_wanted *w)
{
	const uint8_t *data = w->first;
	ptrdiff_t taken = stack_connect_data(sock, daemon_now(), remote, data, w->first_len);

	if (taken == -EOPNOTSUPP)
		taken = stack_connect(sock, daemon_now(), remote);
	if (taken < 0)
		return (int)taken;
	if ((size_t)taken == w->first_len)
		return 0;
	return stack_send(*sock, daemon_now(), data + taken, w->first_len - (size_t)taken) ==
	       (ptrdiff_t)w->first_len - taken ? 0 : -ENOBUFS;
}

static int connect_to(struct daemon *d, struct sock **sock, const struct stack_endpoint *remote)
{
	const struct options_wanted *wanted = worker_first(d)->wanted;

	if (wanted && wanted->first)
		return connect_with_data(sock, remote, wanted);
	return stack_connect(sock, daemon_now(), remote);
}

/* A bound socket on its way to `remote`. NULL, *error and why. */
static struct sock *start_connect(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
				  const struct stack_endpoint *remote, bool nodelay, int *error, const char **why)
{
	static const int yes = 1;
	struct sock *sock = owner_socket(d, who, STACK_TCP, error, why);

	if (!sock)
		return NULL;
	if (nodelay)
		stack_setsockopt(sock, daemon_now(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	*error = owner_bind(d, sock, local, why);
	if (!*error) {
		*error = connect_to(d, &sock, remote);
		if (*error)
			*why = owner_error(*error);
	}
	if (*error) {
		stack_close(sock, daemon_now());
		return NULL;
	}
	daemon_kick(d);
	return sock;
}

struct endpoint *owner_connect(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
			       const struct stack_endpoint *remote, bool nodelay,
			       connect_done *done, void *arg, int *error, const char **why)
{
	struct stream *s;
	struct sock *sock;

	d = worker_for(d, local, remote);
	s = stream_new(d, who, false, PARK_NONE, error, why);
	if (!s)
		return NULL;
	sock = start_connect(d, who, local, remote, nodelay, error, why);
	if (!sock) {
		stream_free(s, false);
		return NULL;
	}
	s->done = done;
	s->arg = arg;
	stream_attach(s, sock);
	return &s->endpoint;
}

void owner_connect_cancel(struct endpoint *e)
{
	struct stream *s = (struct stream *)(void *)e;

	s->done = NULL;
	stream_abort(s);
}

int owner_connect_nonblock(struct daemon *d, const struct owner *who, const struct stack_endpoint *local,
			   const struct stack_endpoint *remote, bool nodelay, int *fd,
			   struct endpoint **e, const char **why)
{
	const struct options_wanted *wanted = worker_first(d)->wanted;
	int error;
	struct stream *s;
	struct sock *sock;

	d = worker_for(d, local, remote);
	s = stream_new(d, who, true, PARK_CONNECTING, &error, why);
	if (!s)
		return error;
	sock = start_connect(d, who, local, remote, nodelay, &error, why);
	if (!sock) {
		stream_free(s, false);
		return error;
	}
	stream_attach(s, sock);
	s->connecting = true;
	s->promised = wanted && wanted->first_len > 0;
	error = stream_watch(s);
	if (error < 0) {
		*why = "the daemon cannot watch a descriptor";
		stream_abort(s);
		return error;
	}
	*fd = s->owner_fd;
	s->owner_fd = -1;
	*e = &s->endpoint;
	return 0;
}
