/*
 * Sockets of owners among several workers. One that has no peer yet is the first worker's, so that
 * two that want the same port meet there. It moves when it connects, to the worker that its port
 * and its peer make it be of; nothing of it has been sent until then.
 */
#include "daemon/worker.h"
#include "daemon/owner.h"

#include <errno.h>
#include <sys/socket.h>

/*
 * As `sock` with an address, in another stack. NULL and *error. `judged`: as its options would have it;
 * else connections from there do not matter.
 */
static struct sock *copy(struct stack *to, const struct sock *sock, const struct stack_endpoint *local, bool judged,
			 int *error)
{
	static const int yes = 1;
	struct stack_sock_info info;

	stack_info(sock, &info);
	struct sock *new = stack_socket(to, STACK_TCP, info.owner, NULL);
	*error = new ? 0 : -ENOBUFS;
	if (new)
		*error = stack_copy_options(new, sock);
	if (!*error && !judged)
		*error = stack_setsockopt(new, daemon_now(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (!*error && local->port != 0)
		*error = stack_bind(new, local);
	if (!*error && !judged)
		*error = stack_copy_options(new, sock);
	if (!*error)
		return new;
	if (new)
		stack_close(new, daemon_now());
	return NULL;
}

/* The port was found free in all of them, or is one that the first has chosen: connections from there do not matter. */
struct sock *worker_copy_socket(struct daemon *to, const struct sock *sock, int *error)
{
	struct stack_sock_info info;

	stack_info(sock, &info);
	return copy(to->stack, sock, &info.local, false, error);
}

int worker_may_bind(struct daemon *d, const struct sock *sock, const struct stack_endpoint *local)
{
	struct stack_sock_info info;
	int error = 0;

	stack_info(sock, &info);
	if (info.proto != STACK_TCP)
		return 0; /* the first worker has them all */
	for (unsigned i = 0; i < worker_count(d) && !error; i++) {
		struct daemon *other = worker_at(d, i);
		struct sock *probe = other != d ? copy(other->stack, sock, local, true, &error) : NULL;
		if (probe)
			stack_close(probe, daemon_now());
	}
	return error;
}

/* The stream with its socket, its descriptor and its name in the table to another worker. On failure it stays. */
static int move(struct stream *s, struct daemon *to)
{
	struct endpoint *e = &s->endpoint;
	struct daemon *from = e->daemon;
	int error;
	struct sock *sock = worker_copy_socket(to, e->sock, &error);

	if (!sock)
		return error;
	loop_unwatch(from, &s->watch);
	e->daemon = to;
	error = stream_watch(s);
	e->daemon = from;
	if (error < 0) {
		stack_close(sock, daemon_now());
		stream_watch(s); /* it has just had that place */
		return error;
	}
	endpoint_unlink(from, e);
	index_remove(e);
	stack_close(e->sock, daemon_now());
	e->daemon = to;
	if (index_add(e) < 0)
		e->inode = 0; /* no memory: nobody can name it */
	stream_attach(s, sock);
	return 0;
}

int stream_home(struct stream *s)
{
	struct daemon *first = worker_first(s->endpoint.daemon);

	return s->endpoint.daemon == first ? 0 : move(s, first);
}

int stream_place(struct stream *s, const struct stack_endpoint *remote)
{
	struct daemon *d = s->endpoint.daemon, *to;
	struct stack_sock_info info;

	if (!d->workers)
		return 0;
	stack_info(s->endpoint.sock, &info);
	if (info.local.port == 0 && !stack_addr_is_any(&info.local.addr))
		return 0; /* IP_BIND_ADDRESS_NO_PORT: it gets a port that suits */
	to = worker_for(d, &info.local, remote);
	return to == d ? 0 : move(s, to);
}
