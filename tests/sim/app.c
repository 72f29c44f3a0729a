/*
 * Ends of connections. They act on events alone, never by looking: one that is told nothing does
 * nothing, so a stack that forgets an event fails the run.
 */
#include "app.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define PIECES 6

static bool too_late(uint64_t at, uint64_t now)
{
	return at <= now;
}

/* ---- the bytes of a stream ---- */

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void stream_fill(uint64_t key, uint64_t offset, uint8_t *out, size_t n)
{
	uint64_t word = mix(key + offset / 8) >> offset % 8 * 8;

	for (size_t i = 0; i < n; i++) {
		out[i] = (uint8_t)word;
		word >>= 8;
		if (++offset % 8 == 0)
			word = mix(key + offset / 8);
	}
}

static bool stream_equal(uint64_t key, uint64_t offset, const uint8_t *data, size_t n)
{
	uint8_t expected[512];

	while (n > 0) {
		size_t piece = n < sizeof(expected) ? n : sizeof(expected);

		stream_fill(key, offset, expected, piece);
		if (memcmp(expected, data, piece) != 0)
			return false;
		data += piece;
		offset += piece;
		n -= piece;
	}
	return true;
}

/* ---- one end ---- */

static struct end *peer_of(struct end *e)
{
	return &e->conn->end[e == &e->conn->end[0]];
}

static const char *end_name(const struct end *e)
{
	return e == &e->conn->end[0] ? "client" : "server";
}

static void end_trace(struct end *e, const char *what)
{
	sim_trace(e->app->sim, ".%u %s %u %s, sent %" PRIu64 "/%u received %" PRIu64 "/%u", e->node->index + 1, end_name(e),
		  e->conn->port, what, e->sent, e->plan.total, e->received, peer_of(e)->plan.total);
}

enum tcp_state end_state(struct end *e)
{
	struct stack_sock_info info;

	return e->id && stack_find(e->node->stack, e->id, &info) ? info.state : TCP_CLOSED;
}

static void end_got(struct end *e, const void *data, size_t n)
{
	struct sim *sim = e->app->sim;

	if (e->received + n > peer_of(e)->plan.total)
		sim_fail(sim, "%s %u received more than was sent", end_name(e), e->conn->port);
	else if (!stream_equal(peer_of(e)->key, e->received, data, n))
		sim_fail(sim, "%s %u received wrong bytes at %" PRIu64, end_name(e), e->conn->port, e->received);
	else if (e->got_eof && n > 0 && e->received + n > peer_of(e)->sent)
		sim_fail(sim, "%s %u received data after the end", end_name(e), e->conn->port);
	e->received += n;
}

void end_close(struct end *e)
{
	end_trace(e, "closes");
	stack_close(e->sock, e->app->sim->now);
	sim_touch(e->node);
	e->sock = NULL;
	e->done = true;
}

static void end_abort(struct end *e)
{
	end_trace(e, "aborts");
	stack_abort(e->sock, e->app->sim->now);
	sim_touch(e->node);
	e->sock = NULL;
	e->done = true;
}

/* The socket gets its error as an event. */
static void end_kill(struct end *e)
{
	int error = stack_destroy(e->node->stack, e->app->sim->now, e->id);

	end_trace(e, "is killed");
	if (error)
		sim_fail(e->app->sim, "stack_destroy: %d", error);
	sim_touch(e->node);
	e->plan.close = CLOSE_NEVER;
}

void end_shutdown(struct end *e)
{
	int error = stack_shutdown(e->sock, e->app->sim->now);

	end_trace(e, "shuts down");
	if (error)
		sim_fail(e->app->sim, "stack_shutdown: %d", error);
	sim_touch(e->node);
	e->shut = true;
}

static size_t read_stored(struct end *e, uint32_t most)
{
	uint64_t now = e->app->sim->now;
	struct iovec iov[PIECES];
	unsigned count = 1 + sim_below(e->app->sim, PIECES);
	size_t total = stack_recv_peek(e->sock, iov, &count), taken = 0;

	for (unsigned i = 0; i < count && taken < most; i++) {
		size_t n = iov[i].iov_len < most - taken ? iov[i].iov_len : most - taken;

		end_got(e, iov[i].iov_base, n);
		taken += n;
	}
	if (total > 0)
		stack_recv_consume(e->sock, now, taken);
	return taken;
}

static size_t read_copied(struct end *e, uint32_t most)
{
	uint8_t data[4096];
	ptrdiff_t n = stack_recv(e->sock, e->app->sim->now, data, most < sizeof(data) ? most : sizeof(data));

	if (n <= 0)
		return 0;
	end_got(e, data, (size_t)n);
	return (size_t)n;
}

static void end_read(struct end *e)
{
	struct sim *sim = e->app->sim;

	while (e->readable && too_late(e->next_read, sim->now) && !sim->failed) {
		uint32_t most = sim_between(sim, 1, e->plan.read_max);
		size_t n = e->plan.lend ? read_stored(e, most) : read_copied(e, most);

		sim_touch(e->node);
		if (n == 0)
			e->readable = false;
		else if (e->plan.read_gap)
			e->next_read = sim->now + e->plan.read_gap;
	}
}

static size_t write_lent(struct end *e, size_t want)
{
	struct iovec iov[PIECES];
	unsigned count = 1 + sim_below(e->app->sim, PIECES);
	size_t lent = stack_send_space(e->sock, want, iov, &count), filled = 0;

	for (unsigned i = 0; i < count; i++) {
		stream_fill(e->key, e->sent + filled, iov[i].iov_base, iov[i].iov_len);
		filled += iov[i].iov_len;
	}
	if (filled != lent)
		sim_fail(e->app->sim, "stack_send_space says %zu and lends %zu", lent, filled);
	/* sometimes less is there than was hoped for */
	if (lent > 1 && sim_chance(e->app->sim, 100000))
		lent = sim_between(e->app->sim, 1, (uint32_t)lent);
	stack_send_commit(e->sock, e->app->sim->now, lent);
	return lent;
}

static ptrdiff_t write_copied(struct end *e, size_t want)
{
	uint8_t data[65536];

	if (want > sizeof(data))
		want = sizeof(data);
	stream_fill(e->key, e->sent, data, want);
	return stack_send(e->sock, e->app->sim->now, data, want);
}

static void end_write(struct end *e)
{
	struct sim *sim = e->app->sim;

	while (e->writable && e->sent < e->plan.total && too_late(e->next_write, sim->now)) {
		uint64_t left = e->plan.total - e->sent;
		uint32_t want = sim_between(sim, 1, e->plan.write_max);
		ptrdiff_t n;

		if (want > left)
			want = (uint32_t)left;
		n = e->plan.lend ? (ptrdiff_t)write_lent(e, want) : write_copied(e, want);
		sim_touch(e->node);
		if (n < 0 && n != -EAGAIN) {
			e->writable = false;
			if (!e->conn->may_fail)
				sim_fail(sim, "%s %u: stack_send: %td", end_name(e), e->conn->port, n);
			return;
		}
		if (n <= 0) {
			e->writable = false;
			return;
		}
		e->sent += (uint64_t)n;
		if (e->plan.write_gap)
			e->next_write = sim->now + e->plan.write_gap;
	}
}

static void end_finish(struct end *e)
{
	bool sent = e->sent == e->plan.total, received = e->received == peer_of(e)->plan.total;

	if (!too_late(e->plan.shut_at, e->app->sim->now))
		return;
	e->plan.shut_at = 0;
	switch (e->plan.close) {
	case CLOSE_WHEN_SENT:
		if (sent && !e->shut)
			end_shutdown(e);
		break;
	case CLOSE_AFTER_PEER:
		if (sent && e->got_eof && !e->readable && !e->shut)
			end_shutdown(e);
		break;
	case CLOSE_AND_FORGET:
		if (sent && received)
			end_close(e);
		break;
	case CLOSE_ABORT:
		if (e->sent >= e->plan.close_at || e->received >= e->plan.close_at)
			end_abort(e);
		break;
	case CLOSE_UNREAD:
		if (e->sent >= e->plan.close_at || e->received >= e->plan.close_at)
			end_close(e);
		break;
	case CLOSE_KILLED:
		if (!e->got_closed && (e->sent >= e->plan.close_at || e->received >= e->plan.close_at))
			end_kill(e);
		break;
	case CLOSE_NEVER:
		break;
	}
	if (e->sock && e->got_closed && (received || (e->conn->may_fail && !e->readable)))
		end_close(e);
}

static void end_pump(struct end *e)
{
	if (!e->sock || !e->connected || e->app->sim->failed)
		return;
	e->poked = false;
	end_read(e);
	end_write(e);
	end_finish(e);
}

static void end_failed(struct end *e, int error)
{
	struct sim *sim = e->app->sim;

	end_trace(e, "got an error");
	if (!e->conn->may_fail)
		sim_fail(sim, "%s %u: %s, sent %" PRIu64 "/%u received %" PRIu64 "/%u", end_name(e), e->conn->port,
			 strerror(error), e->sent, e->plan.total, e->received, peer_of(e)->plan.total);
	e->error = error;
	end_close(e);
}

static void end_event(struct end *e, const struct stack_event *event)
{
	struct sim *sim = e->app->sim;

	if (!e->sock || event->sock != e->sock) {
		sim_fail(sim, "%s %u: an event for a socket that was given back", end_name(e), e->conn->port);
		return;
	}
	if (event->events & STACK_EVENT_CONNECTED) {
		end_trace(e, "connected");
		e->connected = e->writable = true;
	}
	if (event->events & STACK_EVENT_READABLE)
		e->readable = true;
	if (event->events & STACK_EVENT_WRITABLE)
		e->writable = true;
	if (event->events & STACK_EVENT_EOF) {
		end_trace(e, "got the end");
		e->got_eof = true;
	}
	if (event->events & STACK_EVENT_CLOSED)
		e->got_closed = true;
	if (event->events & STACK_EVENT_ERROR) {
		end_read(e);
		end_failed(e, event->error);
	}
	end_pump(e);
}

/* ---- opening ---- */

static void set_int(struct end *e, int level, int name, int value)
{
	stack_setsockopt(e->sock, e->app->sim->now, level, name, &value, sizeof(value));
}

static void end_options(struct end *e)
{
	set_int(e, IPPROTO_TCP, TCP_NODELAY, e->plan.nodelay);
	if (!e->plan.keepalive)
		return;
	set_int(e, IPPROTO_TCP, TCP_KEEPIDLE, (int)(e->plan.keepalive / SIM_SECOND));
	set_int(e, IPPROTO_TCP, TCP_KEEPINTVL, (int)(e->plan.keepalive / 4 / SIM_SECOND));
	set_int(e, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* With as much of the stream as the SYN carries. */
static int connect_with_data(struct end *e, const struct stack_endpoint *remote)
{
	uint8_t data[2000];
	size_t n = e->plan.total < sizeof(data) ? e->plan.total : sizeof(data);
	ptrdiff_t taken;

	stream_fill(e->key, 0, data, n);
	taken = stack_connect_data(&e->sock, e->app->sim->now, remote, data, n);
	if (taken < 0)
		return (int)taken;
	e->sent = (uint64_t)taken;
	return 0;
}

static void end_connect(struct end *e, uint16_t local_port, uint16_t remote_port)
{
	struct sim *sim = e->app->sim;
	struct stack_endpoint local = {.port = local_port}, remote = {peer_of(e)->node->addr, remote_port};
	int error;

	sim_touch(e->node);
	e->sock = stack_socket(e->node->stack, STACK_TCP, 0, e);
	error = e->sock ? 0 : -ENOBUFS;
	if (!error && local_port)
		error = stack_bind(e->sock, &local);
	if (!error)
		error = e->plan.fastopen ? connect_with_data(e, &remote) : stack_connect(&e->sock, sim->now, &remote);
	if (error) {
		if (!e->conn->may_fail)
			sim_fail(sim, "%s %u: connect: %d", end_name(e), e->conn->port, error);
		if (e->sock)
			stack_close(e->sock, sim->now);
		e->sock = NULL;
		e->error = -error;
		e->done = true;
		return;
	}
	e->id = stack_id(e->sock);
	end_options(e);
}

static void conn_listen(struct conn *c)
{
	struct sim_node *node = c->end[1].node;
	struct stack_endpoint local = {.port = c->port};
	int error, one = 1;

	c->listener = stack_socket(node->stack, STACK_TCP, 0, c);
	error = c->listener ? stack_setsockopt(c->listener, node->sim->now, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) : -ENOBUFS;
	if (!error)
		error = stack_bind(c->listener, &local);
	if (!error)
		error = stack_listen(&c->listener, c->backlog);
	if (error && !c->may_fail)
		sim_fail(c->app->sim, "listen: %d", error);
	sim_touch(node);
}

static void conn_accept(struct conn *c)
{
	struct end *e = &c->end[1];
	struct sock *sock;

	while ((sock = stack_accept(c->listener))) {
		sim_touch(e->node);
		if (e->sock || e->done) {
			if (!c->may_fail)
				sim_fail(c->app->sim, "one connection was accepted twice");
			stack_close(sock, c->app->sim->now);
			continue;
		}
		e->sock = sock;
		e->id = stack_id(sock);
		stack_set_user(sock, e);
		end_options(e);
		e->connected = e->writable = e->readable = true;
		end_trace(e, "accepted");
		end_pump(e);
	}
}

static void conn_start(struct conn *c)
{
	c->started = true;
	if (c->simultaneous) {
		end_connect(&c->end[1], c->port, (uint16_t)(c->port + 100));
		end_connect(&c->end[0], (uint16_t)(c->port + 100), c->port);
	} else {
		conn_listen(c);
		end_connect(&c->end[0], c->end[0].plan.local_port, c->port);
	}
}

/* ---- datagrams ---- */

#define DATAGRAM_HEADER 4
#define DATAGRAM_LINGER (5 * SIM_SECOND) /* from the last one sent to the end of the sockets */

static void datagram_got(struct datagrams *u, const uint8_t *data, size_t n)
{
	uint32_t sequence;

	if (n < DATAGRAM_HEADER) {
		sim_fail(u->app->sim, "a datagram was cut");
		return;
	}
	memcpy(&sequence, data, sizeof(sequence));
	if (sequence >= u->sequence || !stream_equal(u->key + sequence * UINT64_C(100000), 0, data + 4, n - 4))
		sim_fail(u->app->sim, "a datagram has wrong bytes");
	else if (u->seen[sequence % sizeof(u->seen)]++ && !u->may_repeat)
		sim_fail(u->app->sim, "a datagram came twice");
	u->received++;
}

static void datagram_send(struct datagrams *u)
{
	struct sim *sim = u->app->sim;
	struct stack_endpoint to = {u->to->addr, UDP_PORT};
	uint8_t data[65536];
	size_t n = sim_between(sim, DATAGRAM_HEADER, u->size_max);
	ptrdiff_t sent;

	memcpy(data, &u->sequence, sizeof(u->sequence));
	stream_fill(u->key + u->sequence * UINT64_C(100000), 0, data + 4, n - 4);
	u->sequence++;
	u->left--;
	sent = stack_sendto(u->out, sim->now, &to, data, n);
	sim_touch(u->from);
	sim_trace(sim, ".%u sends a datagram of %zu bytes: %td", u->from->index + 1, n, sent);
	if (sent == -ENOBUFS)
		u->lost_for_room++;
	else if (sent != (ptrdiff_t)n)
		sim_fail(sim, "stack_sendto of %zu bytes: %td", n, sent);
	u->next = sim->now + (u->left > 0 ? u->gap : DATAGRAM_LINGER);
}

static void datagrams_event(struct datagrams *u, const struct stack_event *event)
{
	uint8_t data[65536];
	struct stack_endpoint from;
	ptrdiff_t n;

	if (event->sock != u->in || !(event->events & STACK_EVENT_READABLE))
		return;
	while ((n = stack_recvfrom(u->in, data, sizeof(data), &from)) >= 0)
		datagram_got(u, data, (size_t)n);
}

void app_datagrams(struct app *app, struct sim_node *from, struct sim_node *to, uint32_t count, uint32_t size_max)
{
	struct datagrams *u = &app->udp;
	struct stack_endpoint local = {.port = UDP_PORT};

	*u = (struct datagrams){
		.kind = APP_UDP, .app = app, .from = from, .to = to, .key = sim_random(app->sim), .left = count,
		.size_max = size_max, .gap = sim_between(app->sim, 1, 20000), .next = app->sim->now,
	};
	u->out = stack_socket(from->stack, STACK_UDP, 0, u);
	u->in = stack_socket(to->stack, STACK_UDP, 0, u);
	if (!u->in || !u->out || stack_bind(u->in, &local) != 0)
		sim_fail(app->sim, "no datagram sockets");
}

/* ---- the application of a run ---- */

static void on_event(void *context, struct sim_node *node, const struct stack_event *event)
{
	struct app *app = context;
	enum app_kind *kind = event->user;

	if (!event->sock)
		sim_fail(app->sim, "node %u reports an address conflict", node->index + 1);
	if (!kind)
		return; /* not accepted yet */
	switch (*kind) {
	case APP_END:
		end_event(event->user, event);
		break;
	case APP_LISTENER:
		if (event->events & STACK_EVENT_ACCEPT)
			conn_accept(event->user);
		break;
	case APP_UDP:
		datagrams_event(event->user, event);
		break;
	}
}

static size_t on_receive(void *context, struct sim_node *node, struct sock *sock, void *user, const void *data, size_t len)
{
	struct app *app = context;
	struct end *e = user;
	size_t n = len;

	(void)node;
	if (*(enum app_kind *)user != APP_END || sock != e->sock) {
		sim_fail(app->sim, "data for a socket that was given back");
		return len;
	}
	if (e->plan.take == TAKE_NOTHING || e->plan.read_gap)
		return 0;
	if (e->plan.take == TAKE_SOME)
		n = sim_below(app->sim, (uint32_t)len + 1);
	end_got(e, data, n);
	e->poked = true;
	/* an echo writes right here */
	if (e->plan.lend && e->connected && e->writable && e->sent < e->plan.total && !e->plan.write_gap)
		e->sent += write_lent(e, e->plan.total - e->sent < 3000 ? e->plan.total - e->sent : 3000);
	return n;
}

static bool on_datagram(void *context, struct sim_node *node, void *user, const struct stack_endpoint *from,
			const void *data, size_t len)
{
	struct datagrams *u = user;

	(void)context;
	(void)node;
	(void)from;
	if (!u->direct)
		return false;
	datagram_got(u, data, len);
	return true;
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t end_next(const struct end *e)
{
	uint64_t next = STACK_NEVER;

	if (!e->sock || !e->connected)
		return next;
	if (e->poked)
		return e->app->sim->now;
	if (e->readable)
		next = e->next_read;
	if (e->writable && e->sent < e->plan.total)
		next = earliest(next, e->next_write);
	if (e->plan.shut_at)
		next = earliest(next, e->plan.shut_at);
	return next;
}

static uint64_t on_next(void *context)
{
	const struct app *app = context;
	uint64_t next = app->udp.over || !app->udp.app ? STACK_NEVER : app->udp.next;

	for (unsigned i = 0; i < app->conn_count; i++) {
		const struct conn *c = &app->conn[i];

		next = earliest(next, c->started ? earliest(end_next(&c->end[0]), end_next(&c->end[1])) : c->start);
	}
	return next;
}

static void on_run(void *context)
{
	struct app *app = context;
	uint64_t now = app->sim->now;

	if (app->udp.left > 0 && too_late(app->udp.next, now))
		datagram_send(&app->udp);
	else if (app->udp.app && too_late(app->udp.next, now))
		app->udp.over = true;
	for (unsigned i = 0; i < app->conn_count; i++) {
		struct conn *c = &app->conn[i];

		if (!c->started && too_late(c->start, now))
			conn_start(c);
		for (unsigned j = 0; j < 2; j++)
			if (too_late(end_next(&c->end[j]), now))
				end_pump(&c->end[j]);
	}
}

void app_init(struct app *app, struct sim *sim)
{
	memset(app, 0, sizeof(*app));
	app->sim = sim;
	sim->app = (struct sim_app){
		.context = app, .event = on_event, .receive = on_receive, .datagram = on_datagram, .next = on_next, .run = on_run,
	};
}

struct conn *app_conn(struct app *app, struct sim_node *from, struct sim_node *to, uint64_t start)
{
	unsigned i = app->conn_count++;
	struct conn *c = &app->conn[i];

	*c = (struct conn){.kind = APP_LISTENER, .app = app, .port = (uint16_t)(APP_PORT + i), .backlog = 1, .start = start};
	for (unsigned j = 0; j < 2; j++) {
		c->end[j] = (struct end){
			.kind = APP_END, .app = app, .conn = c, .node = j ? to : from, .key = sim_random(app->sim),
			.plan = {.write_max = 65536, .read_max = 65536},
		};
	}
	return c;
}

/* A connection that ended before anybody accepted it has no server end. */
static bool end_finished(struct conn *c, unsigned j)
{
	return c->end[j].done || (j == 1 && c->may_fail && c->end[0].done && !c->end[1].sock &&
				  end_state(&c->end[0]) == TCP_CLOSED);
}

bool app_finished(struct app *app)
{
	for (unsigned i = 0; i < app->conn_count; i++)
		for (unsigned j = 0; j < 2; j++)
			if (!end_finished(&app->conn[i], j))
				return false;
	return app->udp.over || !app->udp.app;
}

void conn_close_listener(struct conn *c)
{
	if (!c->listener)
		return;
	stack_close(c->listener, c->app->sim->now);
	sim_touch(c->end[1].node);
	c->listener = NULL;
}

void app_close_listeners(struct app *app)
{
	for (unsigned i = 0; i < app->conn_count; i++)
		conn_close_listener(&app->conn[i]);
	if (!app->udp.app)
		return;
	stack_close(app->udp.in, app->sim->now);
	stack_close(app->udp.out, app->sim->now);
}

static void verify_end(struct end *e)
{
	struct sim *sim = e->app->sim;

	if (e->received != peer_of(e)->plan.total)
		sim_fail(sim, "%s %u received %" PRIu64 " of %u bytes", end_name(e), e->conn->port, e->received,
			 peer_of(e)->plan.total);
	if (e->plan.close != CLOSE_AND_FORGET && (!e->got_eof || !e->got_closed))
		sim_fail(sim, "%s %u did not see the end", end_name(e), e->conn->port);
}

void app_verify(struct app *app)
{
	for (unsigned i = 0; i < app->conn_count; i++)
		for (unsigned j = 0; j < 2; j++)
			if (!app->conn[i].may_fail)
				verify_end(&app->conn[i].end[j]);
}
