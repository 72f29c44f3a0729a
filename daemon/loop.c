/*
 * The loop, and what stands between it and the stack. Two sets of descriptors: those that carry
 * data (the link, owners' pairs) are watched here, with one system call for a batch of them;
 * everything else (control socket, signals, timers of minutes) is an sd_event loop, whose own
 * descriptor is one of ours. A turn waits, serves what is ready, and ends with one pass: timers
 * and output (so that a batch of segments is answered by one ACK), then the sockets that became
 * ready, until nothing is left. The stack's next deadline is how long the next turn waits at
 * most, so no timer is ever set for a segment. One of the kernel's is set where that deadline is
 * some way off, and then left alone while the deadline moves on (wait_ready).
 *
 * Between turns the sd_event loop has armed all that it knows. Who changes one of its timers from
 * outside of its own callbacks says so with loop_touched.
 *
 * Whoever gives the stack something from outside of a turn's data calls daemon_kick.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define PASS_ROUNDS 16
#define PASS_EVENTS 4096
#define TURNS_OF_EVENTS 8 /* of the sd_event loop before data has its turn */
#define LOOKS_AT_ALL 4u   /* looks of busy polling of which one is at all descriptors, the others at the link alone, if there are no owners */
#define FAR 2000u /* microseconds to a deadline that may come late by what a turn takes, and is worth a timer */
#define STATUS_INTERVAL 1000000u /* microseconds between two status lines */

stack_time daemon_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (stack_time)t.tv_sec * 1000000u + (stack_time)t.tv_nsec / 1000u;
}

void daemon_kick(struct daemon *d)
{
	d->work = true;
}

/* ---- descriptors ---- */

int loop_watch(struct daemon *d, struct watch *w, int fd, uint32_t events, watch_ready *ready, void *arg)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	*w = (struct watch){ready, arg, fd, events};
	if (epoll_ctl(d->poll, EPOLL_CTL_ADD, fd, &e) == 0)
		return 0;
	w->ready = NULL;
	return -errno;
}

void loop_rewatch(struct daemon *d, struct watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	if (w->events == events && !(events & EPOLLET))
		return;
	w->events = events;
	epoll_ctl(d->poll, EPOLL_CTL_MOD, w->fd, &e);
}

void loop_unwatch(struct daemon *d, struct watch *w)
{
	if (w->ready)
		epoll_ctl(d->poll, EPOLL_CTL_DEL, w->fd, NULL);
	loop_forget(d, w);
}

void loop_forget(struct daemon *d, struct watch *w)
{
	if (!w->ready)
		return;
	w->ready = NULL;
	for (int i = d->served; i < d->ready_count; i++)
		if (d->ready[i].data.ptr == w)
			d->ready[i].data.ptr = NULL;
}

void loop_touched(struct daemon *d)
{
	d->touched = true;
}

/* ---- the status line ---- */

/* What the status line says, of one worker or of all. */
static uint64_t connections(const struct daemon *d)
{
	return d->connections + (d->worker == 0 ? workers_connections(d) : 0);
}

void loop_status(struct daemon *d)
{
	char addresses[160] = "", one[INET6_ADDRSTRLEN];
	struct stack_address_info a;
	unsigned long long count = connections(d);

	d->status_waits = false;
	d->status_sent = daemon_now();
	d->status_connections = count;
	if (d->worker > 0) {
		worker_ring(d);
		return;
	}
	for (size_t i = 0; i < 3 && stack_address_get(d->stack, i, &a); i++) {
		size_t used = strlen(addresses);
		snprintf(addresses + used, sizeof(addresses) - used, "%s%s/%u%s", used ? ", " : "",
			 addr_text(&a.addr, one), a.prefix, a.conflict ? " (in use by another host)" : "");
	}
	sd_notifyf(0, "STATUS=%s on %s, %llu connection%s", addresses, link_name(d->link), count, count == 1 ? "" : "s");
}

static int on_status(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	loop_status(arg);
	return 0;
}

/* At most one line a second, and none while nothing changes. */
static void status_changed(struct daemon *d)
{
	stack_time due = d->status_sent + STATUS_INTERVAL;

	if (connections(d) == d->status_connections || d->status_waits)
		return;
	if (daemon_now() >= due) {
		loop_status(d);
		return;
	}
	sd_event_source_set_time(d->status_timer, due);
	sd_event_source_set_enabled(d->status_timer, SD_EVENT_ONESHOT);
	d->status_waits = true;
	loop_touched(d);
}

/* ---- the pass ---- */

static void report_conflict(struct daemon *d, const struct stack_event *event)
{
	char text[INET6_ADDRSTRLEN];
	const uint8_t *m = event->mac;

	daemon_log(LOG_WARNING, "address %s is claimed by another host, %02x:%02x:%02x:%02x:%02x:%02x (RFC 5227)",
		   addr_text(&event->addr, text), m[0], m[1], m[2], m[3], m[4], m[5]);
	loop_status(d);
}

static void dispatch(struct daemon *d, const struct stack_event *event)
{
	struct endpoint *e = event->user;

	if ((event->events & STACK_EVENT_CONFLICT) && d->worker == 0) /* every stack hears of it */
		report_conflict(d, event);
	if (event->sock && e)
		e->ops->event(e, event);
}

static bool dispatch_events(struct daemon *d)
{
	struct stack_event event;
	unsigned n;

	for (n = 0; n < PASS_EVENTS && stack_next_event(d->stack, &event); n++)
		dispatch(d, &event);
	return n > 0;
}

void loop_accept(struct daemon *d)
{
	struct stack_event event;

	while (stack_next_accept(d->stack, &event))
		dispatch(d, &event);
}

static void pass(struct daemon *d)
{
	bool work = true;

	dispatch_events(d); /* first: what it has to say, and the room that it makes, goes with the ACK */
	rings_serve(d);
	for (unsigned i = 0; work && i < PASS_ROUNDS; i++) {
		if (!d->timely)
			d->now = daemon_now();
		d->timely = false;
		work = stack_run(d->stack, d->now);
		work |= dispatch_events(d); /* of timers and of output, which nothing else would wake us for */
	}
	d->work = work;
	status_changed(d);
	if (d->stopping && d->worker > 0)
		worker_passed(d);
	else if (d->stopping && loop_idle(d) && workers_idle(d)) {
		sd_event_exit(d->loop, 0);
		loop_touched(d);
	}
}

/* True to go on: this socket is nothing that anybody waits for. */
static bool is_settled(void *arg, const struct stack_sock_info *info)
{
	bool *idle = arg;

	*idle = info->proto != STACK_TCP || info->state == TCP_CLOSED || info->state == TCP_LISTEN ||
		info->state == TCP_TIME_WAIT;
	return *idle;
}

bool loop_idle(struct daemon *d)
{
	uint64_t cursor = 0;
	bool idle = true;

	while (idle && stack_walk(d->stack, &cursor, 1024, is_settled, &idle))
		;
	return idle;
}

/* ---- turns ---- */

/* Serves the sd_event loop until it is idle and armed, or for its share of the time. */
static void run_events(struct daemon *d)
{
	d->touched = false;
	for (unsigned i = 0; i < TURNS_OF_EVENTS; i++) {
		int served = sd_event_run(d->loop, 0);
		if (served < 0 || sd_event_get_state(d->loop) == SD_EVENT_FINISHED)
			d->finished = true;
		if (served <= 0)
			return;
	}
	d->touched = true;
}

static void on_events(void *daemon, uint32_t events)
{
	struct daemon *d = daemon;

	(void)events;
	d->touched = true;
}

static int milliseconds(const struct timespec *t)
{
	return t->tv_sec < INT_MAX / 1000 ? (int)t->tv_sec * 1000 + (int)((t->tv_nsec + 999999) / 1000000) : INT_MAX;
}

static int wait_for(struct daemon *d, const struct timespec *most)
{
	int n = epoll_pwait2(d->poll, d->ready, LOOP_BATCH, most, NULL);

	if (n < 0 && errno == ENOSYS) /* Linux before 5.11: milliseconds, and not too early */
		n = epoll_wait(d->poll, d->ready, LOOP_BATCH,
			       most ? milliseconds(most) : -1);
	return n > 0 ? n : 0;
}

/*
 * [Worker] BusyPoll=: looks again and again for a while after the last work, as waking up takes longer. At the
 * link most of the time: a read that finds nothing takes less time than to ask for what is ready. But where
 * owners' pairs may be ready as well, each look is at all of them: an answer of theirs came 10 us later.
 */
static int spin(struct daemon *d, stack_time deadline)
{
	const struct timespec none = {0};
	int n = 0;

	d->now = daemon_now();
	for (unsigned i = 0; n == 0 && d->now < d->busy_until && d->now < deadline; i++) {
		if (rings_busy(d)) {
			d->work = true;
			d->busy_until = d->now + d->config.busy_poll;
			break;
		}
		if (d->index || i % LOOKS_AT_ALL == 0) {
			n = wait_for(d, &none);
		} else if (link_poll(d)) {
			d->busy_until = d->now + d->config.busy_poll;
			break;
		}
		d->now = daemon_now();
	}
	return n;
}

static struct timespec duration(stack_time t)
{
	return (struct timespec){.tv_sec = (time_t)(t / 1000000), .tv_nsec = (long)(t % 1000000) * 1000};
}

static void on_alarm(void *daemon, uint32_t events)
{
	struct daemon *d = daemon;

	(void)events;
	d->alarm_at = STACK_NEVER;
	d->work |= stack_deadline(d->stack) <= d->now;
}

/* True: the alarm ends the wait in time. It may do so too early, which costs a turn, but no more than one for each alarm. */
static bool alarm_is_set(struct daemon *d, stack_time deadline)
{
	const struct itimerspec at = {.it_value = duration(deadline)};

	if (d->alarm_at <= deadline)
		return true;
	if (deadline < d->now + FAR || timerfd_settime(d->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) != 0)
		return false;
	d->alarm_at = deadline;
	return true;
}

/*
 * Until something is ready or the stack has a deadline, which makes a pass due. In a conversation
 * the deadline is a retransmission that each answer puts off again. A wait with a time limit arms
 * a timer and disarms it, 0.3 us in all; the alarm stays as it is until it has rung.
 */
static int wait_ready(struct daemon *d)
{
	stack_time deadline = stack_deadline(d->stack), now, left;
	struct timespec most;
	int n;

	if (d->work || d->touched)
		return wait_for(d, &(struct timespec){0});
	if (d->config.busy_poll && ((n = spin(d, deadline)) > 0 || d->work))
		return n;
	if (!rings_quiet(d)) {
		d->work = true;
		return wait_for(d, &(struct timespec){0});
	}
	d->count.naps++;
	if (deadline == STACK_NEVER || alarm_is_set(d, deadline))
		return wait_for(d, NULL);
	now = daemon_now();
	left = deadline > now ? deadline - now : 0;
	most = duration(left);
	n = wait_for(d, &most);
	d->work = n == 0 || left == 0;
	return n;
}

static void serve(struct daemon *d)
{
	for (d->served = 0; d->served < d->ready_count;) {
		struct watch *w = d->ready[d->served].data.ptr;
		uint32_t events = d->ready[d->served++].events;
		if (w)
			w->ready(w->arg, events);
	}
	d->timely = d->timely && d->ready_count <= 1 && !d->touched;
	d->ready_count = 0;
	if (d->touched)
		run_events(d);
	if (d->work)
		pass(d);
	while (!d->work && !d->touched && link_read_on(d))
		pass(d);
}

bool loop_poll(struct daemon *d)
{
	d->work |= stack_deadline(d->stack) <= daemon_now() || rings_busy(d);
	d->ready_count = wait_for(d, &(struct timespec){0});
	if (d->ready_count == 0 && !d->work && !d->touched)
		return false;
	d->now = daemon_now();
	serve(d);
	return true;
}

static void alarm_close(struct daemon *d)
{
	if (d->alarm_fd >= 0)
		close(d->alarm_fd);
	d->alarm_fd = -1;
}

/* Without one every wait has a time limit. */
static void alarm_open(struct daemon *d)
{
	d->alarm_at = STACK_NEVER;
	d->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (d->alarm_fd >= 0 && loop_watch(d, &d->alarm, d->alarm_fd, EPOLLIN | EPOLLET, on_alarm, d) != 0) /* never read */
		alarm_close(d);
}

int loop_run(struct daemon *d)
{
	int status = EXIT_FAILURE;

	alarm_open(d);
	d->touched = true;
	while (!d->finished) {
		d->count.turns++;
		d->ready_count = wait_ready(d);
		d->now = daemon_now();
		if (d->ready_count > 0 && d->config.busy_poll)
			d->busy_until = daemon_now() + d->config.busy_poll;
		serve(d);
	}
	alarm_close(d);
	sd_event_get_exit_code(d->loop, &status);
	return status;
}

int loop_start(struct daemon *d)
{
	prctl(PR_SET_TIMERSLACK, 1UL); /* pacing is a matter of microseconds */
	d->poll = epoll_create1(EPOLL_CLOEXEC);
	if (d->poll < 0)
		return -errno;
	int error = sd_event_add_time(d->loop, &d->status_timer, CLOCK_MONOTONIC, 0, 0, on_status, d);
	if (error >= 0)
		error = sd_event_source_set_enabled(d->status_timer, SD_EVENT_OFF);
	if (error >= 0)
		error = loop_watch(d, &d->events, sd_event_get_fd(d->loop), EPOLLIN, on_events, d);
	return error;
}

void loop_end(struct daemon *d)
{
	sd_event_source_disable_unref(d->status_timer);
	sd_event_unref(d->loop);
	if (d->poll >= 0)
		close(d->poll);
}
