/*
 * Forwarded datagrams. UDP has no connections, so each client has a session: a socket of its
 * own on the far side, by which the answers find back. Sessions are found by the client's
 * address and the one that it asked, end after a minute of silence, and the one silent for longest
 * makes room for a new one, so that a stranger who makes up addresses costs a bounded number of sockets.
 *
 * Inwards a session has a socket of the host, connected to the server, and its answers come from the
 * address that was asked (RFC 1122 4.1.3.5); outwards one of the stack, and the host's door has one
 * address. A datagram that cannot be passed on is lost, as UDP may lose it.
 */
#include "daemon/forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SESSIONS_MAX 1024
#define BUCKETS 256
#define SILENCE 60000000u /* microseconds after which a session ends */
#define TURN 64           /* datagrams from one socket in a turn of the loop */
#define DATAGRAM_MAX 65536

struct session {
	struct endpoint endpoint;  /* outwards: the stack's socket */
	struct forward *forward;
	struct watch watch;        /* inwards: of fd */
	int fd;                    /* inwards: the host's socket; -1 outwards */
	struct stack_endpoint client;
	struct stack_addr asked;   /* inwards: the address of ours that it wrote to; any: a broadcast */
	stack_time used;
	struct session *chain;     /* the same bucket */
	struct session *older, *newer;
};

struct sessions {
	struct session *bucket[BUCKETS];
	struct session *oldest, *newest;
	unsigned count;
	sd_event_source *expiry; /* runs while there are sessions */
	uint8_t data[DATAGRAM_MAX];
};

static const struct stack_addr nobody;

/* ---- the list ---- */

static struct session **bucket_of(struct sessions *all, const struct stack_endpoint *client)
{
	uint32_t h = client->port;

	for (size_t i = 0; i < sizeof(client->addr.byte); i++)
		h = h * 31 + client->addr.byte[i];
	return &all->bucket[h % BUCKETS];
}

static bool same(const struct stack_endpoint *a, const struct stack_endpoint *b)
{
	return a->port == b->port && memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

static void list_append(struct sessions *all, struct session *s)
{
	s->newer = NULL;
	s->older = all->newest;
	*(all->newest ? &all->newest->newer : &all->oldest) = s;
	all->newest = s;
}

static void list_remove(struct sessions *all, struct session *s)
{
	*(s->older ? &s->older->newer : &all->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &all->newest) = s->older;
}

static struct session *find(struct sessions *all, const struct stack_endpoint *client, const struct stack_addr *asked)
{
	struct session *s = *bucket_of(all, client);

	while (s && !(same(&s->client, client) && memcmp(&s->asked, asked, sizeof(*asked)) == 0))
		s = s->chain;
	return s;
}

static void touch(struct session *s)
{
	s->used = daemon_now();
	list_remove(s->forward->sessions, s);
	list_append(s->forward->sessions, s);
}

static void session_free(struct session *s)
{
	struct sessions *all = s->forward->sessions;
	struct session **link = bucket_of(all, &s->client);

	while (*link != s)
		link = &(*link)->chain;
	*link = s->chain;
	list_remove(all, s);
	all->count--;
	loop_unwatch(s->endpoint.daemon, &s->watch);
	if (s->fd >= 0)
		close(s->fd);
	if (s->endpoint.sock) {
		stack_close(s->endpoint.sock, daemon_now());
		endpoint_unlink(s->endpoint.daemon, &s->endpoint);
		daemon_kick(s->endpoint.daemon);
	}
	free(s);
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *arg)
{
	struct sessions *all = arg;
	stack_time now = daemon_now();

	(void)usec;
	while (all->oldest && now - all->oldest->used >= SILENCE)
		session_free(all->oldest);
	if (!all->oldest)
		return 0;
	sd_event_source_set_time(source, all->oldest->used + SILENCE);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static struct session *session_new(struct forward *f, const struct stack_endpoint *client, const struct stack_addr *asked)
{
	struct sessions *all = f->sessions;
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	if (all->count == SESSIONS_MAX)
		session_free(all->oldest);
	s->forward = f;
	s->fd = -1;
	s->client = *client;
	s->asked = *asked;
	s->used = daemon_now();
	s->endpoint.daemon = f->endpoint.daemon;
	s->endpoint.service = f->endpoint.service;
	struct session **bucket = bucket_of(all, client);
	s->chain = *bucket;
	*bucket = s;
	list_append(all, s);
	if (all->count++ == 0) {
		sd_event_source_set_time(all->expiry, s->used + SILENCE);
		sd_event_source_set_enabled(all->expiry, SD_EVENT_ONESHOT);
		loop_touched(f->endpoint.daemon);
	}
	return s;
}

/* ---- inwards: the door is the stack's ---- */

/* Answers of the server. */
static void on_server(void *session, uint32_t events)
{
	struct session *s = session;
	struct sessions *all = s->forward->sessions;
	struct stack_departure how = {.source = s->asked, .tos = -1};

	(void)events;
	for (unsigned i = 0; i < TURN; i++) {
		ssize_t n = recv(s->fd, all->data, sizeof(all->data), 0);
		if (n < 0)
			break; /* nothing more; or the server's port is closed, which the client learns by silence */
		touch(s);
		stack_sendmsg(s->forward->endpoint.sock, daemon_now(), &s->client, &how, all->data, (size_t)n);
	}
	daemon_kick(s->endpoint.daemon);
}

static struct session *session_in(struct forward *f, const struct stack_endpoint *client, const struct stack_addr *asked)
{
	union host_address to;
	socklen_t len = forward_host_address(&f->config.connect, &to);
	int fd = forward_host_socket(&f->config.connect);
	struct session *s = fd < 0 || connect(fd, &to.any, len) != 0 ? NULL : session_new(f, client, asked);

	if (s && loop_watch(f->endpoint.daemon, &s->watch, fd, EPOLLIN, on_server, s) == 0) {
		s->fd = fd;
		return s;
	}
	forward_failed(f, errno);
	if (fd >= 0)
		close(fd);
	if (s)
		session_free(s);
	return NULL;
}

static bool on_client(struct endpoint *e, const struct stack_endpoint *from, const struct stack_arrival *how,
		      const void *data, size_t len)
{
	struct forward *f = (struct forward *)(void *)e;
	const struct stack_addr *asked = daemon_address_is_ours(e->daemon, &how->to) ? &how->to : &nobody;
	struct session *s = find(f->sessions, from, asked);

	if (!s)
		s = session_in(f, from, asked);
	if (s) {
		touch(s);
		send(s->fd, data, len, MSG_NOSIGNAL);
	}
	return true;
}

static void door_event(struct endpoint *e, const struct stack_event *event)
{
	if ((event->events & STACK_EVENT_ERROR) && event->error == ECONNABORTED)
		e->ops->close(e, true);
}

/* Somebody killed it: the sessions have no way back to their clients any more. */
static void door_close(struct endpoint *e, bool abort)
{
	const struct sessions *all = ((struct forward *)(void *)e)->sessions;

	forward_door_close(e, abort);
	while (all->oldest)
		session_free(all->oldest);
}

static const struct endpoint_ops door_ops = {
	.event = door_event,
	.datagram = on_client,
	.close = door_close,
};

static int open_door(struct forward *f)
{
	struct daemon *d = f->endpoint.daemon;
	struct sock *sock = stack_socket(d->stack, STACK_UDP, 0, NULL);
	int error = sock ? stack_bind(sock, &f->config.listen.at) : -ENOBUFS;

	if (error) {
		if (sock)
			stack_close(sock, daemon_now());
		return error;
	}
	f->endpoint.ops = &door_ops;
	f->endpoint.sock = sock;
	stack_set_user(sock, &f->endpoint);
	endpoint_link(d, &f->endpoint);
	return 0;
}

/* ---- outwards: the door is the host's ---- */

/* Answers of a server that the stack reaches. */
static bool on_answer(struct endpoint *e, const struct stack_endpoint *from, const struct stack_arrival *how,
		      const void *data, size_t len)
{
	struct session *s = (struct session *)(void *)e;
	struct sockaddr_in client = {.sin_family = AF_INET, .sin_port = htons(s->client.port)};

	(void)from;
	(void)how;
	memcpy(&client.sin_addr, s->client.addr.byte + 12, 4);
	touch(s);
	sendto(s->forward->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT, (void *)&client, sizeof(client));
	return true;
}

static void session_event(struct endpoint *e, const struct stack_event *event)
{
	if ((event->events & STACK_EVENT_ERROR) && event->error == ECONNABORTED)
		session_free((struct session *)(void *)e);
}

static void session_close(struct endpoint *e, bool abort)
{
	(void)abort;
	session_free((struct session *)(void *)e);
}

static const struct endpoint_ops session_ops = {
	.event = session_event,
	.datagram = on_answer,
	.close = session_close,
};

static struct session *session_out(struct forward *f, const struct stack_endpoint *client)
{
	struct daemon *d = f->endpoint.daemon;
	struct sock *sock = stack_socket(d->stack, STACK_UDP, forward_owner().uid, NULL);
	int error = sock ? stack_connect(&sock, daemon_now(), &f->config.connect.at) : -ENOBUFS;
	struct session *s = error ? NULL : session_new(f, client, &nobody);

	if (!s) {
		if (sock)
			stack_close(sock, daemon_now());
		forward_failed(f, error ? error : ENOMEM);
		return NULL;
	}
	s->endpoint.ops = &session_ops;
	s->endpoint.sock = sock;
	stack_set_user(sock, &s->endpoint);
	endpoint_link(d, &s->endpoint);
	return s;
}

static int on_host_datagram(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct forward *f = arg;
	struct sessions *all = f->sessions;

	(void)source;
	(void)events;
	for (unsigned i = 0; i < TURN; i++) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, all->data, sizeof(all->data), MSG_DONTWAIT, (void *)&from, &size);
		if (n < 0)
			break;
		struct stack_endpoint client = {stack_addr_v4(&from.sin_addr), ntohs(from.sin_port)};
		struct session *s = find(all, &client, &nobody);
		if (!s)
			s = session_out(f, &client);
		if (!s)
			continue;
		touch(s);
		stack_sendto(s->endpoint.sock, daemon_now(), NULL, all->data, (size_t)n);
	}
	daemon_kick(f->endpoint.daemon);
	return 0;
}

/* ---- both ---- */

int forward_udp_start(struct forward *f)
{
	sd_event *loop = f->endpoint.daemon->loop;
	struct sessions *all = calloc(1, sizeof(*all));
	int error;

	if (!all)
		return -ENOMEM;
	f->sessions = all;
	error = sd_event_add_time(loop, &all->expiry, CLOCK_MONOTONIC, 0, 1000000, on_expiry, all);
	if (error >= 0)
		error = sd_event_source_set_enabled(all->expiry, SD_EVENT_OFF);
	if (error >= 0 && f->config.inwards)
		error = open_door(f);
	else if (error >= 0)
		error = sd_event_add_io(loop, &f->source, f->fd, EPOLLIN, on_host_datagram, f);
	return error < 0 ? error : 0;
}

void forward_udp_stop(struct forward *f)
{
	struct sessions *all = f->sessions;

	while (all->oldest)
		session_free(all->oldest);
	sd_event_source_disable_unref(all->expiry);
	free(all);
	f->sessions = NULL;
}
