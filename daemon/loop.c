/*
 * Between the event loop and the stack. Whoever gives the stack something calls daemon_kick;
 * one pass then runs after everything else that was ready: timers and output (so that a batch
 * of segments is answered by one ACK), then the sockets that became ready, until nothing is
 * left. The timer is armed for the stack's next deadline and left alone while that only moves
 * away: an early wake-up is harmless, setting a timer for each segment is not free.
 */
#include "daemon/daemon.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define PASS_ROUNDS 16
#define PASS_EVENTS 4096
#define STATUS_INTERVAL 1000000u /* microseconds between two status lines */

stack_time daemon_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (stack_time)t.tv_sec * 1000000u + (stack_time)t.tv_nsec / 1000u;
}

void daemon_kick(struct daemon *d)
{
	if (!d->passing)
		sd_event_source_set_enabled(d->pass, SD_EVENT_ONESHOT);
}

/* ---- the status line ---- */

void loop_status(struct daemon *d)
{
	char addresses[160] = "", one[INET6_ADDRSTRLEN];
	struct stack_address_info a;

	for (size_t i = 0; i < 3 && stack_address_get(d->stack, i, &a); i++) {
		size_t used = strlen(addresses);
		snprintf(addresses + used, sizeof(addresses) - used, "%s%s/%u%s", used ? ", " : "",
			 addr_text(&a.addr, one), a.prefix, a.conflict ? " (in use by another host)" : "");
	}
	d->status_sent = daemon_now();
	d->status_connections = d->connections;
	sd_notifyf(0, "STATUS=%s on %s, %llu connection%s", addresses, link_name(d->link),
		   (unsigned long long)d->connections, d->connections == 1 ? "" : "s");
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
	stack_time now = daemon_now(), due = d->status_sent + STATUS_INTERVAL;

	if (d->connections == d->status_connections)
		return;
	if (now >= due) {
		loop_status(d);
		return;
	}
	sd_event_source_set_time(d->status_timer, due);
	sd_event_source_set_enabled(d->status_timer, SD_EVENT_ONESHOT);
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

static bool dispatch_events(struct daemon *d)
{
	struct stack_event event;
	unsigned n;

	for (n = 0; n < PASS_EVENTS && stack_next_event(d->stack, &event); n++) {
		struct endpoint *e = event.user;
		if (event.events & STACK_EVENT_CONFLICT)
			report_conflict(d, &event);
		if (event.sock && e)
			e->ops->event(e, &event);
	}
	return n > 0;
}

static void arm_deadline(struct daemon *d)
{
	stack_time deadline = stack_deadline(d->stack);

	if (deadline >= d->deadline_armed)
		return;
	d->deadline_armed = deadline;
	sd_event_source_set_time(d->deadline, deadline);
	sd_event_source_set_enabled(d->deadline, SD_EVENT_ONESHOT);
}

static int on_pass(sd_event_source *source, void *arg)
{
	struct daemon *d = arg;
	bool work = true;

	(void)source;
	d->passing = true;
	for (unsigned i = 0; work && i < PASS_ROUNDS; i++) {
		work = stack_run(d->stack, daemon_now());
		work |= dispatch_events(d);
	}
	d->passing = false;
	if (work)
		daemon_kick(d);
	arm_deadline(d);
	status_changed(d);
	if (d->stopping && loop_idle(d))
		sd_event_exit(d->loop, 0);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *arg)
{
	struct daemon *d = arg;

	(void)usec;
	d->deadline_armed = STACK_NEVER;
	return on_pass(source, d);
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

int loop_start(struct daemon *d)
{
	int error = sd_event_add_defer(d->loop, &d->pass, on_pass, d);

	d->deadline_armed = STACK_NEVER;
	if (error >= 0)
		error = sd_event_add_time(d->loop, &d->deadline, CLOCK_MONOTONIC, 0, 1, on_deadline, d);
	if (error >= 0)
		error = sd_event_source_set_enabled(d->deadline, SD_EVENT_OFF);
	if (error >= 0)
		error = sd_event_add_time(d->loop, &d->status_timer, CLOCK_MONOTONIC, 0, 0, on_status, d);
	if (error >= 0)
		error = sd_event_source_set_enabled(d->status_timer, SD_EVENT_OFF);
	return error;
}
