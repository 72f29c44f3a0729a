/*
 * The service manager's watchdog (WatchdogSec=, sd_watchdog_enabled(3)). With one worker it is the event
 * loop's own. With several the main thread tells that all is well only when every other worker has
 * turned since it last did, and then asks them anew: one that hangs stops it, and an idle one is woken
 * twice in the manager's time. It takes no lock for that, as a worker that hangs may hold its own.
 */
#include "daemon/worker.h"

#include <systemd/sd-daemon.h>

#define WAITS 8 /* parts of the manager's time; how long to wait for an answer before looking again */

static void ask(struct daemon *d)
{
	for (unsigned i = 1; i < worker_count(d); i++)
		worker_ask(d, i);
}

static bool all_answered(struct daemon *d)
{
	bool all = true;

	for (unsigned i = 1; i < worker_count(d); i++)
		all = all && worker_answered(d, i);
	return all;
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg)
{
	struct daemon *d = arg;
	bool well = all_answered(d);

	(void)usec;
	if (well) {
		sd_notify(0, "WATCHDOG=1");
		ask(d);
	}
	sd_event_source_set_time_relative(source, well ? d->watchdog_time / 2 : d->watchdog_time / WAITS);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int watchdog_start(struct daemon *d)
{
	if (!d->workers)
		return sd_event_set_watchdog(d->loop, true);
	if (sd_watchdog_enabled(0, &d->watchdog_time) <= 0)
		return 0;
	return sd_event_add_time_relative(d->loop, &d->watchdog, CLOCK_MONOTONIC, d->watchdog_time / 2,
					  d->watchdog_time / WAITS, on_time, d);
}

void watchdog_end(struct daemon *d)
{
	d->watchdog = sd_event_source_disable_unref(d->watchdog);
}
