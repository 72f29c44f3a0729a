/* Workers beside the first: their threads, their locks, their mail in both directions. The rules are in worker.h. */
#include "daemon/worker.h"
#include "daemon/owner.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define INBOX_MAX 64u  /* frames; more are dropped, as by any full queue */
#define INBOX_ARP 16u  /* of them, places that only ARP gets: without neighbours nothing goes */
#define ENDS_MAX 1024u /* ended sockets that nobody has been told of; later ones are not told */

/* A frame from the first worker. */
struct parcel {
	struct parcel *next;
	size_t len;
	bool csum_good;
	uint8_t data[];
};

/* For the main thread: an event of the endpoint, or a socket's last words. */
struct note {
	struct note *next;
	struct endpoint *endpoint; /* NULL: it is the latter */
	union {
		struct stack_event event;
		struct stack_tcb_info last;
	};
};

struct worker {
	struct daemon daemon;
	pthread_t thread;
	bool running;
	sem_t started;
	atomic_bool turned;    /* since worker_ask */
	pthread_mutex_t next;  /* who comes next waits here, so that a busy worker lets the main thread in */
	pthread_mutex_t turn;  /* held while it works; all below is under it, but for the inbox */
	bool asleep;           /* or about to: it has to be woken */
	bool quit;
	int wake;              /* eventfd */
	struct watch woken;
	pthread_mutex_t inbox_lock;
	struct parcel *inbox, **inbox_tail;
	unsigned inbox_count;
	struct note *notes, **notes_tail;
	unsigned ends;         /* of the notes */
	bool rung;             /* the main thread will look */
	bool idle_told;
	uint64_t connections;  /* the main thread's: as of its last look */
};

/* What the first worker has for the others to ring it by, and what they share. */
struct bell {
	struct workers workers;
	pthread_mutex_t shared;
	int fd; /* eventfd */
	struct watch watch;
};

static struct bell *bell_of(const struct daemon *d)
{
	return (struct bell *)(void *)d->workers;
}

static struct worker *self(const struct daemon *d)
{
	return d->workers->of[d->worker];
}

unsigned worker_count(const struct daemon *d)
{
	return d->workers ? d->workers->count : 1;
}

struct daemon *worker_first(struct daemon *d)
{
	return d->workers ? d->workers->first : d;
}

struct daemon *worker_at(struct daemon *d, unsigned i)
{
	return i == 0 ? worker_first(d) : &d->workers->of[i]->daemon;
}

struct daemon *worker_of(struct daemon *d, uint64_t id)
{
	return worker_at(d, (unsigned)(id % worker_count(d)));
}

bool worker_alone(const struct daemon *d)
{
	return d->worker > 0 && d->workers->holds == 0;
}

/* Counted up, so that an edge is there whether or not somebody has read it. */
static void ring(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0 && errno == EAGAIN)
		return; /* it has never been looked at: it is readable anyway */
}

/* ---- locks ---- */

static void enter(struct worker *w)
{
	pthread_mutex_lock(&w->next);
	pthread_mutex_lock(&w->turn);
	pthread_mutex_unlock(&w->next);
}

void workers_hold(struct daemon *d)
{
	if (!d->workers || d->workers->holds > 0) {
		if (d->workers)
			d->workers->holds++;
		return;
	}
	for (unsigned i = 1; i < d->workers->count; i++) {
		enter(d->workers->of[i]);
		d->workers->of[i]->daemon.now = daemon_now(); /* it may have slept for long */
	}
	d->workers->holds = 1;
}

void workers_release(struct daemon *d)
{
	if (!d->workers || --d->workers->holds > 0)
		return;
	for (unsigned i = 1; i < d->workers->count; i++) {
		struct worker *w = d->workers->of[i];
		bool asleep = w->asleep;

		w->daemon.work = true; /* whatever was done to it */
		pthread_mutex_unlock(&w->turn);
		if (asleep)
			ring(w->wake);
	}
}

void workers_lock(struct daemon *d)
{
	if (d->workers)
		pthread_mutex_lock(&bell_of(d)->shared);
}

void workers_unlock(struct daemon *d)
{
	if (d->workers)
		pthread_mutex_unlock(&bell_of(d)->shared);
}

/* ---- to the main thread ---- */

void worker_ring(struct daemon *d)
{
	struct worker *w = self(d);

	if (w->rung)
		return;
	w->rung = true;
	ring(bell_of(d)->fd);
}

static struct note *note_new(struct daemon *d)
{
	struct worker *w = self(d);
	struct note *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	*w->notes_tail = n;
	w->notes_tail = &n->next;
	worker_ring(d);
	return n;
}

void worker_keep_event(struct endpoint *e, const struct stack_event *event)
{
	struct note *n = self(e->daemon)->notes;

	while (n && n->endpoint != e)
		n = n->next;
	if (!n)
		n = note_new(e->daemon);
	if (!n)
		return;
	unsigned before = n->event.events;
	n->endpoint = e;
	if (before == 0 || (event->events & STACK_EVENT_ERROR))
		n->event = *event;
	n->event.events = before | event->events;
}

void worker_keep_end(struct daemon *d, const struct stack_tcb_info *last)
{
	struct note *n = self(d)->ends < ENDS_MAX ? note_new(d) : NULL;

	if (!n)
		return;
	n->last = *last;
	self(d)->ends++;
}

void worker_forget(struct daemon *d, const struct endpoint *e)
{
	struct worker *w = d->worker > 0 ? self(d) : NULL;

	for (struct note **link = w ? &w->notes : NULL; link && *link;) {
		struct note *n = *link;
		if (n->endpoint != e) {
			link = &n->next;
			continue;
		}
		*link = n->next;
		if (!*link)
			w->notes_tail = link;
		free(n);
	}
}

void worker_passed(struct daemon *d)
{
	struct worker *w = self(d);

	if (w->idle_told || !loop_idle(d))
		return;
	w->idle_told = true;
	worker_ring(d);
}

/* What one of them has left for the main thread. */
static void read_notes(struct worker *w)
{
	struct note *n;

	w->rung = false;
	w->connections = w->daemon.connections;
	while ((n = w->notes)) {
		w->notes = n->next;
		if (!w->notes)
			w->notes_tail = &w->notes;
		if (n->endpoint) {
			n->endpoint->ops->event(n->endpoint, &n->event);
		} else {
			w->ends--;
			diag_ended(w->daemon.workers->first, &n->last);
		}
		free(n);
	}
}

static void on_bell(void *daemon, uint32_t events)
{
	struct daemon *d = daemon;

	(void)events;
	workers_hold(d);
	for (unsigned i = 1; i < d->workers->count; i++)
		read_notes(d->workers->of[i]);
	workers_release(d);
	daemon_kick(d); /* the pass sees to the status line, and to the end */
}

uint64_t workers_connections(const struct daemon *d)
{
	uint64_t sum = 0;

	for (unsigned i = 1; i < worker_count(d); i++)
		sum += d->workers->of[i]->connections;
	return sum;
}

bool workers_idle(struct daemon *d)
{
	bool idle = true;

	workers_hold(d);
	for (unsigned i = 1; i < worker_count(d) && idle; i++)
		idle = loop_idle(worker_at(d, i));
	workers_release(d);
	return idle;
}

/* ---- from the main thread ---- */

static bool inbox_has_room(struct worker *w, bool arp)
{
	pthread_mutex_lock(&w->inbox_lock);
	bool room = w->inbox_count < (arp ? INBOX_MAX : INBOX_MAX - INBOX_ARP);
	pthread_mutex_unlock(&w->inbox_lock);
	return room;
}

/* It takes all that there is, so only the first of them has to wake it. */
static void inbox_add(struct worker *w, struct parcel *p)
{
	p->next = NULL;
	pthread_mutex_lock(&w->inbox_lock);
	bool first = !w->inbox;
	*w->inbox_tail = p;
	w->inbox_tail = &p->next;
	w->inbox_count++;
	pthread_mutex_unlock(&w->inbox_lock);
	if (first)
		ring(w->wake);
}

void worker_give(struct daemon *d, unsigned i, bool arp, const void *head, size_t head_len,
		 const struct stack_frame *frame)
{
	struct worker *w = d->workers->of[i];
	/* Nobody else adds, so the room stays. */
	struct parcel *p = inbox_has_room(w, arp) ? malloc(sizeof(*p) + head_len + frame->len) : NULL;

	if (!p) {
		d->count.inbox_drops++;
		return;
	}
	p->len = head_len + frame->len;
	p->csum_good = frame->csum_good;
	if (head_len > 0)
		memcpy(p->data, head, head_len);
	memcpy(p->data + head_len, frame->data, frame->len);
	inbox_add(w, p);
}

/* It wakes up even if it has nothing to do. */
void worker_ask(struct daemon *d, unsigned i)
{
	struct worker *w = d->workers->of[i];

	atomic_store_explicit(&w->turned, false, memory_order_relaxed);
	ring(w->wake);
}

bool worker_answered(struct daemon *d, unsigned i)
{
	return atomic_load_explicit(&d->workers->of[i]->turned, memory_order_relaxed);
}

static struct parcel *inbox_empty(struct worker *w)
{
	pthread_mutex_lock(&w->inbox_lock);
	struct parcel *p = w->inbox;
	w->inbox = NULL;
	w->inbox_tail = &w->inbox;
	w->inbox_count = 0;
	pthread_mutex_unlock(&w->inbox_lock);
	return p;
}

static void on_wake(void *worker, uint32_t events)
{
	struct worker *w = worker;

	(void)events;
	for (struct parcel *p = inbox_empty(w), *next; p; p = next) {
		next = p->next;
		stack_input(w->daemon.stack, daemon_now(),
			    &(struct stack_frame){.data = p->data, .len = p->len, .csum_good = p->csum_good});
		free(p);
	}
	daemon_kick(&w->daemon);
}

/* ---- the thread ---- */

static void sleep_until(const struct daemon *d, stack_time deadline)
{
	struct pollfd p = {.fd = d->poll, .events = POLLIN};
	stack_time now = daemon_now(), left = deadline > now ? deadline - now : 0;
	struct timespec t = {.tv_sec = (time_t)(left / 1000000), .tv_nsec = (long)(left % 1000000) * 1000};

	ppoll(&p, 1, deadline == STACK_NEVER ? NULL : &t, NULL);
}

/* Busy, or it has been a moment ago ([Worker] BusyPoll=). */
static bool stays_awake(struct daemon *d, bool busy)
{
	if (busy && d->config.busy_poll)
		d->busy_until = daemon_now() + d->config.busy_poll;
	return busy || (d->config.busy_poll && daemon_now() < d->busy_until);
}

static void *run(void *worker)
{
	struct worker *w = worker;
	struct daemon *d = &w->daemon;
	stack_time deadline;

	sem_post(&w->started);
	for (bool quit = false; !quit;) {
		enter(w);
		w->asleep = false;
		atomic_store_explicit(&w->turned, true, memory_order_relaxed);
		bool busy = !w->quit && loop_poll(d);
		w->asleep = !stays_awake(d, busy) && rings_quiet(d);
		d->count.turns += busy;
		d->count.naps += w->asleep;
		bool sleeps = w->asleep;
		deadline = stack_deadline(d->stack);
		quit = w->quit;
		pthread_mutex_unlock(&w->turn);
		if (sleeps && !quit)
			sleep_until(d, deadline);
	}
	return NULL;
}

int workers_run(struct daemon *d)
{
	for (unsigned i = 1; i < worker_count(d); i++) {
		struct worker *w = d->workers->of[i];
		int error = pthread_create(&w->thread, NULL, run, w);

		if (error) {
			daemon_log(LOG_ERR, "a thread for [Worker] Count= cannot be had: %s", strerror(error));
			return -error;
		}
		w->running = true;
		while (sem_wait(&w->started) != 0 && errno == EINTR)
			continue;
	}
	return 0;
}

void workers_end(struct daemon *d)
{
	workers_hold(d);
	for (unsigned i = 1; i < worker_count(d); i++)
		d->workers->of[i]->quit = true;
	workers_release(d);
	for (unsigned i = 1; i < worker_count(d); i++) {
		struct worker *w = d->workers->of[i];

		while (d->workers->holds > 0)
			workers_release(d); /* of a start that has failed */
		if (w->running)
			pthread_join(w->thread, NULL);
		w->running = false;
	}
	workers_hold(d);
}

/* ---- beginning and end ---- */

void worker_share(const struct daemon *d, struct stack_config *c)
{
	unsigned n = worker_count(d);

	c->shard = (uint8_t)d->worker;
	c->shards = (uint8_t)n;
	if (n == 1)
		return;
	c->mem_total /= n;
	c->mem_ooo /= n;
	c->half_open_max = (c->half_open_max + n - 1) / n;
	c->time_wait_max = (c->time_wait_max + n - 1) / n;
	c->sockets_max = (c->sockets_max + n - 1) / n;
	c->rst_rate = (c->rst_rate + n - 1) / n;
	c->rst_burst = (c->rst_burst + n - 1) / n;
	c->icmp_rate = (c->icmp_rate + n - 1) / n;
	memcpy(c->fastopen_seed, d->workers->fastopen_seed, sizeof(c->fastopen_seed));
}

static int worker_new(struct daemon *first, unsigned i)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	first->workers->of[i] = w;
	w->daemon = (struct daemon){.workers = first->workers, .worker = i, .config = first->config, .poll = -1,
				    .started = first->started, .touched = true};
	w->inbox_tail = &w->inbox;
	w->notes_tail = &w->notes;
	sem_init(&w->started, 0, 0);
	pthread_mutex_init(&w->next, NULL);
	pthread_mutex_init(&w->turn, NULL);
	pthread_mutex_init(&w->inbox_lock, NULL);
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int error = w->wake < 0 ? -errno : sd_event_new(&w->daemon.loop);
	if (error >= 0)
		error = loop_start(&w->daemon);
	if (error >= 0)
		error = loop_watch(&w->daemon, &w->woken, w->wake, EPOLLIN | EPOLLET, on_wake, w);
	return error < 0 ? error : 0;
}

static int bell_new(struct daemon *d)
{
	struct bell *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->workers.first = d;
	b->workers.count = 1;
	b->workers.steer.workers = d->config.workers;
	pthread_mutex_init(&b->shared, NULL);
	b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->workers = &b->workers;
	if (b->fd < 0)
		return -errno;
	if (getrandom(b->workers.steer.key, sizeof(b->workers.steer.key), 0) < 0 ||
	    getrandom(b->workers.fastopen_seed, sizeof(b->workers.fastopen_seed), 0) < 0)
		return -errno;
	return loop_watch(d, &b->watch, b->fd, EPOLLIN | EPOLLET, on_bell, d);
}

int workers_new(struct daemon *d)
{
	if (d->config.workers <= 1)
		return 0;
	mallopt(M_ARENA_MAX, (int)d->config.workers); /* one each; also, no question about processors once there is a filter */
	int error = bell_new(d);
	for (unsigned i = 1; i < d->config.workers && !error; i++) {
		error = worker_new(d, i);
		d->workers->count += d->workers->of[i] != NULL;
	}
	if (error)
		daemon_log(LOG_ERR, "[Worker] Count=: %s", strerror(-error));
	workers_hold(d);
	return error;
}

static void worker_free(struct worker *w)
{
	for (struct parcel *p = inbox_empty(w), *next; p; p = next) {
		next = p->next;
		free(p);
	}
	for (struct note *n = w->notes, *next; n; n = next) {
		next = n->next;
		free(n);
	}
	loop_end(&w->daemon);
	if (w->wake >= 0)
		close(w->wake);
	pthread_mutex_unlock(&w->turn);
	pthread_mutex_destroy(&w->next);
	pthread_mutex_destroy(&w->turn);
	pthread_mutex_destroy(&w->inbox_lock);
	sem_destroy(&w->started);
	free(w);
}

void workers_free(struct daemon *d)
{
	struct bell *b = d->workers ? bell_of(d) : NULL;

	if (!b)
		return;
	for (unsigned i = 1; i < b->workers.count; i++)
		worker_free(b->workers.of[i]);
	loop_unwatch(d, &b->watch);
	if (b->fd >= 0)
		close(b->fd);
	pthread_mutex_destroy(&b->shared);
	free(b);
	d->workers = NULL;
}
