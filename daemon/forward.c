/*
 * Forwards: a server of the host on an address of the stack ([Forward] Listen=tcp:80
 * Connect=tcp:127.0.0.1:8080), and the other way round (Listen=unix:/run/ssh
 * Connect=tcp:198.18.0.1:22).
 *
 * A forwarded TCP connection is a stream (owner_stream.c) whose descriptor is the host's own
 * socket instead of one end of a pair: half-close, reset and backpressure pass through because
 * both mean the same by them. Inwards the connection of the stack is accepted first and the
 * host's server is then connected to; data waits in the stack meanwhile. When the server
 * cannot be reached the client is reset.
 *
 * Everything that needs a privilege is opened before the sandbox, so forwards do not change
 * at a reload.
 */
#include "daemon/forward.h"
#include "daemon/worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPT_TURN 64       /* the host's connections taken in one turn of the loop */
#define ACCEPT_RETRY 200000u /* microseconds until accepting again when descriptors ran out */
#define COMPLAINT 10000000u  /* microseconds between two lines about one forward */

struct forwards {
	unsigned count;
	struct forward list[CONFIG_FORWARDS];
};

static struct forward *forward_of(struct endpoint *e)
{
	return (struct forward *)(void *)e;
}

void forward_failed(struct forward *f, int error)
{
	stack_time now = daemon_now();

	f->failures++;
	if (f->complained != 0 && now - f->complained < COMPLAINT)
		return;
	daemon_log(LOG_WARNING, "forward %s: %s (%u since the last such line)", f->config.name,
		   strerror(error < 0 ? -error : error), f->failures);
	f->complained = now;
	f->failures = 0;
}

struct owner forward_owner(void)
{
	return (struct owner){.uid = geteuid(), .gid = getegid(), .pid = getpid(), .comm = "bywayd"};
}

/* ---- the host's side ---- */

socklen_t forward_host_address(const struct config_place *p, union host_address *out)
{
	memset(out, 0, sizeof(*out));
	if (p->type == PLACE_UNIX) {
		out->un.sun_family = AF_UNIX;
		memcpy(out->un.sun_path, p->path, sizeof(out->un.sun_path));
		return sizeof(out->un);
	}
	out->in.sin_family = AF_INET;
	out->in.sin_port = htons(p->at.port);
	memcpy(&out->in.sin_addr, p->at.addr.byte + 12, 4);
	return sizeof(out->in);
}

int forward_host_socket(const struct config_place *p)
{
	int type = (p->type == PLACE_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
	int fd = socket(p->type == PLACE_UNIX ? AF_UNIX : AF_INET, type, 0);

	return fd < 0 ? -errno : fd;
}

/* ---- inwards: from the stack to a server of the host ---- */

/* The PROXY protocol's header, version 2: the addresses of the client and of the stack. */
struct proxy_header {
	uint8_t signature[12];
	uint8_t version_command; /* 2 and PROXY */
	uint8_t family;          /* AF_INET and STREAM */
	uint16_t length;         /* of what follows, big-endian */
	uint8_t source[4], destination[4];
	uint16_t source_port, destination_port; /* big-endian */
};
static_assert(sizeof(struct proxy_header) == 28, "the header has no padding");

static bool send_proxy_header(const struct stream *s)
{
	struct proxy_header h = {
		.signature = "\r\n\r\n\0\r\nQUIT\n",
		.version_command = 0x21,
		.family = 0x11,
		.length = htons(12),
	};
	struct stack_sock_info info;

	stack_info(s->endpoint.sock, &info);
	memcpy(h.source, info.remote.addr.byte + 12, 4);
	memcpy(h.destination, info.local.addr.byte + 12, 4);
	h.source_port = htons(info.remote.port);
	h.destination_port = htons(info.local.port);
	return send(s->fd, &h, sizeof(h), MSG_NOSIGNAL) == (ssize_t)sizeof(h);
}

/* The connect to the server has ended, well or not. */
static void on_server(void *stream, uint32_t events)
{
	struct stream *s = stream;
	struct forward *f = s->arg;
	socklen_t size = sizeof(int);
	int error = 0;

	(void)events;
	loop_unwatch(s->endpoint.daemon, &s->watch);
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (!error && f->config.proxy && !send_proxy_header(s))
		error = EPIPE;
	if (!error && stream_watch(s) < 0)
		error = ENOMEM;
	if (error) {
		forward_failed(f, error);
		stream_abort(s);
		return;
	}
	stream_connected(s);
}

/* A socket on its way to the server; negative errno. */
static int dial(const struct config_place *p)
{
	union host_address to;
	socklen_t len = forward_host_address(p, &to);
	int fd = forward_host_socket(p);

	if (fd >= 0 && connect(fd, &to.any, len) != 0 && errno != EINPROGRESS) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static void forward_in(struct forward *f, struct sock *sock)
{
	struct daemon *d = f->endpoint.daemon;
	const struct owner who = forward_owner();
	int fd = dial(&f->config.connect), error = fd;
	struct stream *s = fd >= 0 ? stream_adopt(d, &who, fd, f->endpoint.service, &error) : NULL;

	if (s) {
		s->arg = f;
		stream_attach(s, sock);
		error = loop_watch(d, &s->watch, fd, EPOLLOUT, on_server, s);
		if (error >= 0)
			return;
		stream_abort(s);
	} else {
		stack_abort(sock, daemon_now());
	}
	forward_failed(f, error);
}

static void on_event(struct endpoint *e, const struct stack_event *event)
{
	struct sock *sock;

	if (event->events & STACK_EVENT_ERROR) {
		e->ops->close(e, true);
		return;
	}
	while ((sock = stack_accept(e->sock)))
		forward_in(forward_of(e), sock);
}

void forward_door_close(struct endpoint *e, bool abort)
{
	(void)abort;
	if (!e->sock)
		return;
	stack_close(e->sock, daemon_now());
	endpoint_unlink(e->daemon, e);
	e->sock = NULL;
	daemon_kick(e->daemon);
}

static const struct endpoint_ops door_ops = {
	.event = on_event,
	.close = forward_door_close,
};

static int listen_on_stack(struct forward *f)
{
	struct daemon *d = f->endpoint.daemon;
	const struct owner who = {0};
	const char *why;
	int error;
	struct sock *sock = owner_socket(d, &who, STACK_TCP, &error, &why);

	if (!sock)
		return error;
	error = stack_bind(sock, &f->config.listen.at);
	if (!error)
		error = stack_listen(&sock, BACKLOG);
	if (error) {
		stack_close(sock, daemon_now());
		return error;
	}
	f->endpoint.ops = &door_ops;
	f->endpoint.sock = sock;
	stack_set_user(sock, &f->endpoint);
	endpoint_link(d, &f->endpoint);
	return 0;
}

/* ---- outwards: from a client on the host to a server that the stack reaches ---- */

static void forward_out_on(struct daemon *d, struct forward *f, int fd)
{
	const struct owner who = forward_owner();
	int error;
	struct stream *s = stream_adopt(d, &who, fd, f->endpoint.service, &error);

	if (!s) {
		forward_failed(f, error);
		return;
	}
	struct sock *sock = stack_socket(d->stack, STACK_TCP, who.uid, NULL);
	error = sock ? stack_connect(&sock, daemon_now(), &f->config.connect.at) : -ENOBUFS;
	if (error) {
		if (sock)
			stack_close(sock, daemon_now());
		stream_free(s, true);
		forward_failed(f, error);
		return;
	}
	stream_attach(s, sock);
	daemon_kick(d);
	if (stream_watch(s) < 0)
		stream_abort(s);
}

/* On any worker. */
static void forward_out(struct forward *f, int fd)
{
	struct daemon *d = f->endpoint.daemon;

	workers_hold(d);
	forward_out_on(worker_for(d, NULL, &f->config.connect.at), f, fd);
	workers_release(d);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *arg)
{
	struct forward *f = arg;

	(void)usec;
	sd_event_source_set_floating(source, 0);
	sd_event_source_unref(source);
	return sd_event_source_set_enabled(f->source, SD_EVENT_ON);
}

static int on_host_client(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct forward *f = arg;

	(void)source;
	(void)events;
	for (unsigned i = 0; i < ACCEPT_TURN; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client >= 0) {
			forward_out(f, client);
			continue;
		}
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return 0;
		/* Out of descriptors: the backlog waits a moment, rather than waking the loop for ever. */
		forward_failed(f, errno);
		sd_event_source_set_enabled(f->source, SD_EVENT_OFF);
		return sd_event_add_time_relative(f->endpoint.daemon->loop, NULL, CLOCK_MONOTONIC, ACCEPT_RETRY, 0,
						  on_retry, f);
	}
	return 0;
}

/* 0 or negative errno. A socket file of a daemon that is gone is replaced. */
static int bind_on_host(struct forward *f)
{
	union host_address at;
	socklen_t len = forward_host_address(&f->config.listen, &at);
	int one = 1;

	if (f->config.listen.type == PLACE_UNIX) {
		mode_t mask = umask(0117);
		int error = control_clear_path(&at.un, SOCK_STREAM, "a forward's Listen=");
		if (!error)
			error = bind(f->fd, &at.any, len) != 0 ? -errno : 0;
		umask(mask);
		if (!error)
			control_give_to_group(f->endpoint.daemon, at.un.sun_path);
		return error;
	}
	setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return bind(f->fd, &at.any, len) != 0 ? -errno : 0;
}

static int listen_on_host(struct forward *f)
{
	f->fd = forward_host_socket(&f->config.listen);
	if (f->fd < 0)
		return f->fd;
	int error = bind_on_host(f);
	if (!error && f->config.listen.type != PLACE_UDP && listen(f->fd, BACKLOG) != 0)
		error = -errno;
	if (!error && f->config.listen.type != PLACE_UDP)
		error = sd_event_add_io(f->endpoint.daemon->loop, &f->source, f->fd, EPOLLIN, on_host_client, f);
	return error < 0 ? error : 0;
}

/* ---- all of them ---- */

static int forward_start(struct forward *f)
{
	int error = 0;

	if (!f->config.inwards)
		error = listen_on_host(f);
	if (!error && f->config.listen.type == PLACE_UDP)
		return forward_udp_start(f);
	if (!error && f->config.inwards)
		error = listen_on_stack(f);
	return error;
}

int forwards_start(struct daemon *d)
{
	struct forwards *all = calloc(1, sizeof(*all));
	int error = 0;

	if (!all)
		return -ENOMEM;
	d->forwards = all;
	for (unsigned i = 0; i < d->config.forwards && !error; i++) {
		const struct config_forward *c = &d->config.forward[i];
		if (d->worker > 0 && (!c->inwards || c->listen.type == PLACE_UDP))
			continue; /* its door is the first worker's alone */
		struct forward *f = &all->list[all->count++];
		*f = (struct forward){.config = d->config.forward[i], .fd = -1};
		f->endpoint.daemon = d;
		f->endpoint.service = f->config.name;
		error = forward_start(f);
		if (error)
			daemon_log(LOG_ERR, "[Forward \"%s\"] Listen=: %s", f->config.name, strerror(-error));
	}
	return error;
}

static void forward_stop(struct forward *f)
{
	forward_door_close(&f->endpoint, false);
	if (f->sessions)
		forward_udp_stop(f);
	f->source = sd_event_source_disable_unref(f->source);
	if (f->fd >= 0) {
		close(f->fd);
		f->fd = -1;
		if (f->config.listen.type == PLACE_UNIX)
			unlink(f->config.listen.path);
	}
}

void forwards_stop(struct daemon *d)
{
	for (unsigned i = 0; d->forwards && i < d->forwards->count; i++)
		forward_stop(&d->forwards->list[i]);
}

void forwards_free(struct daemon *d)
{
	forwards_stop(d);
	free(d->forwards);
	d->forwards = NULL;
}
