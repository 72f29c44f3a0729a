/*
 * What workers share: nothing. Each thread has a stack that is one shard of many (stack_config.shard), and
 * a stack at the other end of a wire in memory. Both have the same addresses in every thread; the
 * peer connects from ports whose segments the link's steering program gives to that shard, so that
 * a shard sees what would come through its queue of a TAP. No system call on the way: what N threads do
 * beside what one does is what the stack's own sharing, the processor's caches and the machine leave of it.
 *
 *      shards bulk|rr|crr|loop THREADS SECONDS [UNITS]
 *
 * bulk: segments of 1,448 bytes on four connections; rr: a byte there and back on 64; crr: connect, a byte
 * there and back, close from both sides, 64 at once. loop: arithmetic alone, which shows what the machine
 * has for so many threads. Each thread ends after so many seconds or units. Prints how many units a
 * second all of them did together, and the processor's time that one took, which what else runs on the
 * machine moves less.
 */
#include "daemon/daemon.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 4096
#define FRAME 2048
#define CONNECTIONS 64
#define SEGMENT 1448           /* bytes of data, with timestamps */
#define BULK_WINDOW (256u << 10) /* of each connection, so that all that is under way fits the wire, and a cache */
#define TIME_WAIT 100000u      /* microseconds: or the peer would run out of ports within one of its seconds */
#define PORT 7
#define THREADS_MAX WORKERS_MAX

struct wire {
	uint8_t (*frame)[FRAME];
	size_t len[QUEUE];
	unsigned count;
};

struct shard;

/* One end of the wire. */
struct end {
	struct shard *shard;
	struct stack *stack;
	struct wire out;
};

/* A connection, as its peer has it. */
struct conn {
	struct sock *sock; /* NULL: not yet, or ended */
	bool connected;
};

struct work;
struct shard {
	struct end here, peer;
	struct conn conn[CONNECTIONS];
	const struct work *work;
	const struct steer *steer;
	unsigned index;     /* among the shards */
	stack_time now;     /* virtual */
	uint64_t units;     /* done */
	uint64_t most;      /* it ends with so many */
	double seconds, cpu; /* it took */
	pthread_t thread;
};

struct work {
	const char *name;
	unsigned connections;
	stack_time step;    /* microseconds that a round trip takes */
	uint64_t unit;      /* bytes, or what else counts as one */
	void (*drive)(struct shard *s);               /* before each round trip; NULL: its events drive it */
	void (*connected)(struct shard *s, struct conn *c);
	bool talks;         /* what is taken is answered by as much, and the answer by the next request */
	bool ends;          /* with one byte there and back, and another connection follows */
};

static atomic_bool stop;

static void must(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "shards: %s\n", what);
	_exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the wire ---- */

static bool transmit(void *context, const struct stack_output *o)
{
	struct end *e = context;
	struct wire *w = &e->out;
	size_t len = 0;

	if (w->count == QUEUE || o->len > FRAME)
		return false;
	for (unsigned i = 0; i < o->iov_count; i++) {
		memcpy(w->frame[w->count] + len, o->iov[i].iov_base, o->iov[i].iov_len);
		len += o->iov[i].iov_len;
	}
	w->len[w->count++] = len;
	return true;
}

static void run(struct end *e)
{
	while (stack_run(e->stack, e->shard->now))
		;
}

/* Everything that waits on the wire of `from`. */
static void carry(struct end *from, struct end *to)
{
	struct wire *w = &from->out;

	for (unsigned i = 0; i < w->count; i++) {
		struct stack_frame f = {.data = w->frame[i], .len = w->len[i], .csum_good = true};

		stack_input(to->stack, to->shard->now, &f);
	}
	w->count = 0;
	run(to);
}

/* ---- what programs do ---- */

/* So many bytes, whatever they are. */
static void say(struct sock *sock, stack_time now, size_t len)
{
	struct iovec iov[8];
	unsigned pieces = 8;

	stack_send_commit(sock, now, stack_send_space(sock, len, iov, &pieces));
}

/* Straight from the frame. */
static size_t on_receive(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	struct end *e = context;
	struct shard *s = e->shard;

	(void)user;
	(void)data;
	if (e == &s->peer && s->work->ends)
		return 0; /* it closes, which is not to be done from here */
	if (e == &s->here ? !s->work->talks : s->work->talks)
		s->units += len;
	if (s->work->talks)
		say(sock, s->now, len);
	return len;
}

/* What came before anybody took it. */
static size_t drain(struct sock *sock, stack_time now)
{
	struct iovec iov[8];
	unsigned pieces = 8;
	size_t len, sum = 0;

	while ((len = stack_recv_peek(sock, iov, &pieces)) > 0) {
		stack_recv_consume(sock, now, len);
		sum += len;
		pieces = 8;
	}
	return sum;
}

static void serve(struct shard *s, struct sock *sock)
{
	size_t len = drain(sock, s->now);

	if (len > 0 && s->work->talks)
		say(sock, s->now, len);
	else
		s->units += len;
}

/* The server's side. */
static void on_event_here(struct shard *s, const struct stack_event *event)
{
	struct sock *sock = event->sock;

	if (event->events & STACK_EVENT_ACCEPT) {
		while ((sock = stack_accept(event->sock))) {
			stack_set_user(sock, s);
			serve(s, sock);
		}
	} else if (event->events & (STACK_EVENT_CLOSED | STACK_EVENT_ERROR)) {
		stack_close(sock, s->now);
	} else {
		serve(s, sock);
		if (event->events & STACK_EVENT_EOF)
			stack_shutdown(sock, s->now);
	}
}

static void open_conn(struct shard *s, struct conn *c)
{
	const uint8_t four[4] = {198, 18, 0, 2};
	const struct stack_endpoint server = {.addr = stack_addr_v4(four), .port = PORT};

	*c = (struct conn){.sock = stack_socket(s->peer.stack, STACK_TCP, 0, c)};
	must(c->sock && stack_connect(&c->sock, s->now, &server) == 0, "a connection cannot be opened");
}

static void on_event_peer(struct shard *s, const struct stack_event *event)
{
	struct conn *c = event->user;

	if (event->events & STACK_EVENT_CONNECTED) {
		c->connected = true;
		if (s->work->connected)
			s->work->connected(s, c);
	}
	if (s->work->ends && (event->events & STACK_EVENT_READABLE) && drain(c->sock, s->now) > 0)
		stack_shutdown(c->sock, s->now);
	if (event->events & (STACK_EVENT_CLOSED | STACK_EVENT_ERROR)) {
		must(s->work->ends && !(event->events & STACK_EVENT_ERROR), "a connection has failed");
		s->units++;
		stack_close(c->sock, s->now);
		open_conn(s, c);
	}
}

static void look(struct end *e, void (*on_event)(struct shard *s, const struct stack_event *event))
{
	struct stack_event event;

	while (stack_next_event(e->stack, &event))
		on_event(e->shard, &event);
}

/* ---- works ---- */

static void fill(struct shard *s)
{
	for (unsigned i = 0; i < s->work->connections; i++)
		if (s->conn[i].connected)
			say(s->conn[i].sock, s->now, BULK_WINDOW);
}

static void ask(struct shard *s, struct conn *c)
{
	say(c->sock, s->now, 1);
}

static const struct work works[] = {
	{.name = "bulk", .connections = 4, .step = 50, .unit = SEGMENT, .drive = fill},
	{.name = "rr", .connections = CONNECTIONS, .step = 50, .unit = 1, .connected = ask, .talks = true},
	{.name = "crr", .connections = CONNECTIONS, .step = 1000, .unit = 1, .connected = ask, .talks = true, .ends = true},
	{.name = "loop", .unit = 1},
};

static const struct work *work_called(const char *name)
{
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		if (strcmp(works[i].name, name) == 0)
			return &works[i];
	return NULL;
}

static void round_trip(struct shard *s)
{
	if (s->work->drive)
		s->work->drive(s);
	run(&s->peer);
	carry(&s->peer, &s->here);
	look(&s->here, on_event_here);
	run(&s->here);
	carry(&s->here, &s->peer);
	look(&s->peer, on_event_peer);
	s->now += s->work->step;
}

/* What the compiler cannot foresee, and the next number. */
static uint64_t calculate(uint64_t x)
{
	for (unsigned i = 0; i < 1000; i++)
		x = x * 6364136223846793005u + 1442695040888963407u + (x >> 13);
	return x;
}

static void *work_on(void *shard)
{
	struct shard *s = shard;
	uint64_t most = s->most * s->work->unit, number = 1;
	double start = seconds(CLOCK_MONOTONIC), before = seconds(CLOCK_THREAD_CPUTIME_ID);

	while (s->units < most && !atomic_load_explicit(&stop, memory_order_relaxed)) {
		if (s->work->connections > 0) {
			round_trip(s);
		} else {
			number = calculate(number);
			s->units += number != 0;
		}
	}
	s->cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - before;
	s->seconds = seconds(CLOCK_MONOTONIC) - start;
	return NULL;
}

/* ---- beginning and end ---- */

/* stack_ops.ours of the peer: its segments go to this shard. */
static bool goes_here(void *context, const struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	const struct end *e = context;
	uint32_t from, to;

	memcpy(&from, local->addr.byte + 12, sizeof(from));
	memcpy(&to, remote->addr.byte + 12, sizeof(to));
	return steer_worker(e->shard->steer, ntohl(from), ntohl(to), (uint32_t)local->port << 16 | remote->port) ==
	       e->shard->index;
}

static void start_end(struct end *e, struct shard *s, uint8_t last, bool peer)
{
	const struct stack_ops ops = {.transmit = transmit, .receive = on_receive, .ours = peer ? goes_here : NULL};
	const uint8_t four[4] = {198, 18, 0, last};
	const struct stack_addr addr = stack_addr_v4(four);
	struct stack_config c;

	stack_config_default(&c);
	c.link = STACK_LINK_IP;
	c.offload = STACK_OFFLOAD_CSUM; /* nobody sums: the receiver is told that it is good */
	c.seed[0] = last;
	c.time_wait = TIME_WAIT;
	c.recv_buffer = c.recv_buffer_max = BULK_WINDOW;
	if (!peer) {
		c.shard = (uint8_t)s->index;
		c.shards = (uint8_t)s->steer->workers;
	}
	e->shard = s;
	e->stack = stack_new(&c, &ops, e, s->now);
	e->out.frame = calloc(QUEUE, FRAME);
	must(e->stack && e->out.frame && stack_address_add(e->stack, s->now, &addr, 24) == 0, "no stack");
}

static struct shard *shard_new(const struct work *work, const struct steer *steer, unsigned index, uint64_t most)
{
	const struct stack_endpoint local = {.port = PORT};
	struct shard *s = calloc(1, sizeof(*s));

	must(s, "out of memory");
	*s = (struct shard){.work = work, .steer = steer, .index = index, .most = most};
	start_end(&s->here, s, 2, false);
	start_end(&s->peer, s, 1, true);
	struct sock *listener = stack_socket(s->here.stack, STACK_TCP, 0, s);
	must(listener && stack_bind(listener, &local) == 0 && stack_listen(&listener, CONNECTIONS) == 0, "no listener");
	for (unsigned i = 0; i < work->connections; i++)
		open_conn(s, &s->conn[i]);
	return s;
}

static void shard_free(struct shard *s)
{
	stack_free(s->here.stack);
	stack_free(s->peer.stack);
	free(s->here.out.frame);
	free(s->peer.out.frame);
	free(s);
}

/* Each thread's, with its own clock, as they do not end at the same moment. */
static void report(const struct work *work, struct shard **shard, unsigned count)
{
	double rate = 0, units = 0, cpu = 0;

	for (unsigned i = 0; i < count; i++) {
		double done = (double)shard[i]->units / (double)work->unit;

		rate += done / shard[i]->seconds;
		units += done;
		cpu += shard[i]->cpu;
	}
	printf("rate %.0f /s cost %.2f ns\n", rate, cpu / units * 1e9);
}

static void run_all(struct shard **shard, unsigned count, double time)
{
	for (unsigned i = 0; i < count; i++)
		must(pthread_create(&shard[i]->thread, NULL, work_on, shard[i]) == 0, "no thread");
	if (time > 0)
		usleep((useconds_t)(time * 1e6));
	atomic_store(&stop, time > 0);
	for (unsigned i = 0; i < count; i++)
		pthread_join(shard[i]->thread, NULL);
}

int main(int argc, char **argv)
{
	const struct work *work = argc >= 4 ? work_called(argv[1]) : NULL;
	struct steer steer = {.workers = argc > 2 ? (unsigned)atoi(argv[2]) : 0, .key = {1, 2654435761, 40503, 69069}};
	uint64_t most = argc > 4 ? strtoull(argv[4], NULL, 10) : UINT64_MAX / SEGMENT;
	struct shard *shard[THREADS_MAX];

	if (!work || steer.workers < 1 || steer.workers > THREADS_MAX)
		return fprintf(stderr, "usage: shards bulk|rr|crr|loop THREADS SECONDS [UNITS]\n"), 2;
	for (unsigned i = 0; i < steer.workers; i++)
		shard[i] = shard_new(work, &steer, i, most);
	run_all(shard, steer.workers, atof(argv[3]));
	report(work, shard, steer.workers);
	for (unsigned i = 0; i < steer.workers; i++)
		shard_free(shard[i]);
	return 0;
}
