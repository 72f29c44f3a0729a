/*
 * The small services inside the stack, TCP and UDP: echo (RFC 862), discard (RFC 863),
 * daytime (RFC 867) and chargen (RFC 864). They show the stack by itself, without an owner or
 * a socket pair: payload goes from the received frame into the send queue.
 *
 * UDP: nothing is answered to a port of these services (two of them would talk for ever) or
 * when the request went to a broadcast address.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOAN 65536u     /* bytes of the send queue filled at a time */
#define LOAN_PIECES 8
#define LINE 74u        /* chargen: 72 characters, CR, LF */
#define CHARSET 95u     /* chargen: the printing characters of ASCII, from the blank on */
#define PATTERN (LINE * CHARSET) /* bytes after which chargen repeats itself */
#define BACKLOG 1024u
#define UNSENT (128 << 10) /* bytes made before they can go: more would leave the processor's cache first */

struct talker;

struct service {
	const char *name;
	uint16_t port;
	/* A connection is new; NULL: nothing to do then. */
	void (*start)(struct sock *sock);
	/* There may be room to send; NULL: has nothing of its own to say. */
	void (*produce)(struct talker *t);
	/* Payload of which it returns how much it took. */
	size_t (*consume)(struct sock *sock, const void *data, size_t len);
	/* The peer has said all: answer with FIN. Else go on until the peer closes, which comes as RST. */
	bool ends_with_peer;
	/* An answer to a datagram: its length, 0 for none. `data` holds the request and room for 64 KiB. */
	size_t (*answer)(uint8_t *data, size_t len);
};

/* A TCP connection of a service that has something of its own to say. */
struct talker {
	struct endpoint endpoint;
	const struct service *service;
	uint32_t at; /* chargen: where in the pattern it is */
};

/*
 * A service's listening or datagram socket. Of a connection that only answers, all that there is to
 * know the stack knows: all of them are one endpoint, and cost nothing here.
 */
struct door {
	struct endpoint endpoint;
	const struct service *service;
	struct endpoint guests; /* of TCP: what their user pointers point to; in no list */
};

#define SERVICES 4
struct services {
	struct door tcp[SERVICES], udp[SERVICES];
	uint8_t datagram[65536]; /* the one in hand */
	uint8_t pattern[PATTERN]; /* chargen's, whole */
};

/* The time of this turn of the loop. */
static stack_time now_of(struct sock *sock)
{
	const struct endpoint *e = stack_user(sock);

	return e->daemon->now;
}

/* ---- bytes to send ---- */

/* Lends space, has `fill` write into each piece, commits. Returns the bytes; 0: no room now. */
static size_t produce(struct sock *sock, size_t want, void (*fill)(void *arg, uint8_t *out, size_t len), void *arg)
{
	struct iovec iov[LOAN_PIECES];
	unsigned pieces = LOAN_PIECES;
	size_t lent = stack_send_space(sock, want, iov, &pieces);

	for (unsigned i = 0; i < pieces; i++)
		fill(arg, iov[i].iov_base, iov[i].iov_len);
	stack_send_commit(sock, now_of(sock), lent);
	return lent;
}

static void copy(void *arg, uint8_t *out, size_t len)
{
	const uint8_t **from = arg;

	memcpy(out, *from, len);
	*from += len;
}

/* What fits of `data` goes into the send queue. */
static size_t send_bytes(struct sock *sock, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t done = 0, n;

	while (done < len && (n = produce(sock, len - done, copy, &from)) > 0)
		done += n;
	return done;
}

/* ---- the services ---- */

static size_t take_all(struct sock *sock, const void *data, size_t len)
{
	(void)sock;
	(void)data;
	return len;
}

static size_t no_answer(uint8_t *data, size_t len)
{
	(void)data;
	(void)len;
	return 0;
}

static size_t same_answer(uint8_t *data, size_t len)
{
	(void)data;
	return len;
}

/* RFC 867 leaves the form open: "Saturday, November 21, 2026 12:00:00-UTC". */
static size_t daytime_answer(uint8_t *data, size_t len)
{
	time_t now = time(NULL);
	struct tm tm;

	(void)len;
	gmtime_r(&now, &tm);
	return strftime((char *)data, 128, "%A, %B %d, %Y %H:%M:%S-UTC\r\n", &tm);
}

static void daytime_start(struct sock *sock)
{
	uint8_t text[128];

	send_bytes(sock, text, daytime_answer(text, 0));
	stack_shutdown(sock, daemon_now());
}

/* RFC 864: lines of 72 characters, each line begins one character further on in the set. */
static uint8_t chargen_byte(uint32_t at)
{
	uint32_t line = at / LINE, column = at % LINE;

	if (column >= LINE - 2)
		return column == LINE - 2 ? '\r' : '\n';
	return (uint8_t)(' ' + (line + column) % CHARSET);
}

static void chargen_fill(void *arg, uint8_t *out, size_t len)
{
	struct talker *t = arg;
	const uint8_t *pattern = t->endpoint.daemon->services->pattern;

	for (size_t done = 0, n; done < len; done += n) {
		n = PATTERN - t->at < len - done ? PATTERN - t->at : len - done;
		memcpy(out + done, pattern + t->at, n);
		t->at = (uint32_t)((t->at + n) % PATTERN);
	}
}

static void chargen_produce(struct talker *t)
{
	while (produce(t->endpoint.sock, LOAN, chargen_fill, t) == LOAN)
		;
}

/* RFC 864: 0 to 512 characters, at random; here whole lines, as many as the second of the clock says. */
static size_t chargen_answer(uint8_t *data, size_t len)
{
	size_t lines = 1 + (size_t)time(NULL) % 6;

	(void)len;
	for (uint32_t i = 0; i < lines * LINE; i++)
		data[i] = chargen_byte(i);
	return lines * LINE;
}

static const struct service services[SERVICES] = {
	{.name = "echo", .port = 7, .consume = send_bytes, .ends_with_peer = true, .answer = same_answer},
	{.name = "discard", .port = 9, .consume = take_all, .ends_with_peer = true, .answer = no_answer},
	{.name = "daytime", .port = 13, .start = daytime_start, .consume = take_all, .ends_with_peer = true,
	 .answer = daytime_answer},
	{.name = "chargen", .port = 19, .produce = chargen_produce, .consume = take_all,
	 .answer = chargen_answer},
};

/* ---- connections ---- */

/* Data that was stored; true when nothing is left. */
static bool drain(const struct service *service, struct sock *sock)
{
	struct iovec iov;
	unsigned pieces = 1;

	while (stack_recv_peek(sock, &iov, &pieces) > 0) {
		size_t n = service->consume(sock, iov.iov_base, iov.iov_len);
		if (n == 0)
			return false;
		stack_recv_consume(sock, now_of(sock), n);
		pieces = 1;
	}
	return true;
}

/* The peer has said all, and so have we: our FIN. */
static void answer_end(const struct service *service, struct sock *sock)
{
	if (stack_state(sock) == TCP_CLOSE_WAIT && service->ends_with_peer)
		stack_shutdown(sock, now_of(sock));
}

/* ---- those that only answer ---- */

static struct door *door_of_guests(struct endpoint *e)
{
	return (struct door *)(void *)((char *)e - offsetof(struct door, guests));
}

static size_t on_guest_receive(struct endpoint *e, struct sock *sock, const void *data, size_t len)
{
	return door_of_guests(e)->service->consume(sock, data, len);
}

static void on_guest_event(struct endpoint *e, const struct stack_event *event)
{
	const struct service *service = door_of_guests(e)->service;

	if (event->events & (STACK_EVENT_ERROR | STACK_EVENT_CLOSED)) {
		stack_close(event->sock, e->daemon->now);
		e->daemon->connections--;
		daemon_kick(e->daemon);
		return;
	}
	if (drain(service, event->sock))
		answer_end(service, event->sock);
}

static const struct endpoint_ops guest_ops = {
	.event = on_guest_event,
	.receive = on_guest_receive,
};

static void guest_start(struct door *door, struct sock *sock)
{
	stack_set_user(sock, &door->guests);
	door->guests.daemon->connections++;
	if (door->service->start)
		door->service->start(sock);
}

/* ---- those that talk ---- */

static struct talker *talker_of(struct endpoint *e)
{
	return (struct talker *)(void *)e;
}

static void talker_end(struct talker *t, bool abort)
{
	if (abort)
		stack_abort(t->endpoint.sock, daemon_now());
	else
		stack_close(t->endpoint.sock, t->endpoint.daemon->now);
	endpoint_unlink(t->endpoint.daemon, &t->endpoint);
	daemon_kick(t->endpoint.daemon);
	free(t);
}

static size_t on_talker_receive(struct endpoint *e, struct sock *sock, const void *data, size_t len)
{
	return talker_of(e)->service->consume(sock, data, len);
}

static void on_talker_event(struct endpoint *e, const struct stack_event *event)
{
	struct talker *t = talker_of(e);

	if (event->events & (STACK_EVENT_ERROR | STACK_EVENT_CLOSED)) {
		talker_end(t, false);
		return;
	}
	if (drain(t->service, e->sock))
		answer_end(t->service, e->sock);
	t->service->produce(t);
}

static void on_talker_close(struct endpoint *e, bool abort)
{
	talker_end(talker_of(e), abort);
}

static const struct endpoint_ops talker_ops = {
	.event = on_talker_event,
	.receive = on_talker_receive,
	.close = on_talker_close,
};

static void talker_start(struct door *door, struct sock *sock)
{
	struct talker *t = calloc(1, sizeof(*t));

	if (!t) {
		stack_abort(sock, daemon_now());
		return;
	}
	t->service = door->service;
	t->endpoint = (struct endpoint){.ops = &talker_ops, .daemon = door->endpoint.daemon, .sock = sock,
					.service = door->service->name, .connection = true};
	stack_set_user(sock, &t->endpoint);
	endpoint_link(door->endpoint.daemon, &t->endpoint);
	t->service->produce(t);
}

/* ---- doors ---- */

static struct door *door_of(struct endpoint *e)
{
	return (struct door *)(void *)e;
}

static void on_tcp_event(struct endpoint *e, const struct stack_event *event)
{
	struct door *door = door_of(e);
	struct sock *sock;

	if (event->events & STACK_EVENT_ERROR) {
		e->ops->close(e, true);
		return;
	}
	while ((sock = stack_accept(e->sock)))
		(door->service->produce ? talker_start : guest_start)(door, sock);
}

/* A port whose owner would answer to our answer. */
static bool is_service_port(uint16_t port)
{
	for (unsigned i = 0; i < SERVICES; i++)
		if (services[i].port == port)
			return true;
	return false;
}

/* True: dealt with, by dropping it. Answering is not allowed from here and follows in on_udp_event. */
static bool on_udp_datagram(struct endpoint *e, const struct stack_endpoint *from, const struct stack_arrival *how,
			    const void *data, size_t len)
{
	(void)data;
	(void)len;
	return is_service_port(from->port) || !daemon_address_is_ours(e->daemon, &how->to);
}

static void on_udp_event(struct endpoint *e, const struct stack_event *event)
{
	struct door *door = door_of(e);
	struct services *all = e->daemon->services;
	struct stack_endpoint from;
	struct stack_arrival how;
	ptrdiff_t n;

	if ((event->events & STACK_EVENT_ERROR) && event->error == ECONNABORTED) {
		e->ops->close(e, true);
		return;
	}
	while ((n = stack_recvmsg(e->sock, all->datagram, sizeof(all->datagram), &from, &how)) != -EAGAIN) {
		struct stack_departure from_there = {.source = how.to, .tos = -1, .keep_error = true};
		size_t len = n >= 0 ? door->service->answer(all->datagram, (size_t)n) : 0;
		if (len > 0 || (n == 0 && door->service->answer == same_answer))
			stack_sendmsg(e->sock, daemon_now(), &from, &from_there, all->datagram, len);
	}
}

static void on_door_close(struct endpoint *e, bool abort)
{
	(void)abort;
	if (!e->sock)
		return;
	stack_close(e->sock, daemon_now());
	endpoint_unlink(e->daemon, e);
	e->sock = NULL;
	daemon_kick(e->daemon);
}

static const struct endpoint_ops tcp_ops = {
	.event = on_tcp_event,
	.close = on_door_close,
};
static const struct endpoint_ops udp_ops = {
	.event = on_udp_event,
	.datagram = on_udp_datagram,
	.close = on_door_close,
};

/* ---- starting and stopping ---- */

static int door_open(struct daemon *d, struct door *door, const struct service *service, enum stack_proto proto)
{
	const struct stack_endpoint local = {.port = service->port};
	struct sock *sock = stack_socket(d->stack, proto, 0, NULL);
	static const int yes = 1, unsent = UNSENT;
	int error = sock ? 0 : -ENOBUFS;

	if (!error)
		error = stack_setsockopt(sock, daemon_now(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (!error && proto == STACK_TCP && service->produce)
		error = stack_setsockopt(sock, daemon_now(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	if (!error)
		error = stack_bind(sock, &local);
	if (!error && proto == STACK_TCP)
		error = stack_listen(&sock, BACKLOG);
	if (error) {
		daemon_log(LOG_ERR, "service %s, %s port %u: %s", service->name, proto == STACK_TCP ? "TCP" : "UDP",
			   service->port, strerror(-error));
		if (sock)
			stack_close(sock, daemon_now());
		return error;
	}
	door->service = service;
	door->endpoint = (struct endpoint){.ops = proto == STACK_TCP ? &tcp_ops : &udp_ops, .daemon = d, .sock = sock,
					   .service = service->name};
	door->guests = (struct endpoint){.ops = &guest_ops, .daemon = d, .service = service->name};
	stack_set_user(sock, &door->endpoint);
	endpoint_link(d, &door->endpoint);
	return 0;
}

/* Opens or closes a door that is not as wanted. */
static int door_set(struct daemon *d, struct door *door, bool wanted, const struct service *service,
		    enum stack_proto proto)
{
	if (wanted && !door->endpoint.sock)
		return door_open(d, door, service, proto);
	if (!wanted)
		on_door_close(&door->endpoint, false);
	return 0;
}

static struct services *services_new(void)
{
	struct services *all = calloc(1, sizeof(*all));

	for (uint32_t i = 0; all && i < PATTERN; i++)
		all->pattern[i] = chargen_byte(i);
	return all;
}

int services_start(struct daemon *d)
{
	const struct config *c = &d->config;
	const bool wanted[SERVICES] = {c->echo, c->discard, c->daytime, c->chargen};
	int error = 0;

	if (!d->services)
		d->services = services_new();
	if (!d->services)
		return -ENOMEM;
	for (unsigned i = 0; i < SERVICES && !error; i++) {
		error = door_set(d, &d->services->tcp[i], wanted[i], &services[i], STACK_TCP);
		if (!error)
			error = door_set(d, &d->services->udp[i], wanted[i] && d->worker == 0, &services[i], STACK_UDP);
	}
	return error;
}

void services_stop(struct daemon *d)
{
	for (unsigned i = 0; d->services && i < SERVICES; i++) {
		on_door_close(&d->services->tcp[i].endpoint, false);
		d->connections -= stack_close_all(d->stack, daemon_now(), &d->services->tcp[i].guests);
		on_door_close(&d->services->udp[i].endpoint, false);
	}
	free(d->services);
	d->services = NULL;
}
