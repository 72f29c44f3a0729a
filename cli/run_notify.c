/*
 * The supervisor's loop: a trapped call comes in, its handler says what it returns, or that the
 * kernel goes on with it, or what it waits for. Nothing but the exchange with the daemon (which
 * answers at once) blocks, so no process waits for another.
 *
 * A signal interrupts a call that waits for its answer; with SA_RESTART it comes again as a new
 * one. What was done for the first is kept for a while and given to the second, so that nothing
 * is done twice and no accepted connection is lost.
 */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1UL
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#define WAITS_MAX 65536   /* calls that wait at once */
#define CHECK 100         /* milliseconds between looks for calls that were interrupted, while any waits */
#define EVENTS 64

/* A call that waits. */
struct wait {
	struct call call;
	run_handler *handler;
	int64_t deadline;         /* microseconds, INT64_MAX: none */
	uint64_t cookie;          /* of the socket, whose place in the table may be another's by now */
	struct wait *next, **link;
};

/* What an epoll event points to, besides a struct wait. */
static char notify_mark, signals_mark, parent_mark;

static const struct {
	int nr;
	bool fd;
	run_handler *handler;
} handlers[] = {
	{SYS_socket, false, on_socket},
	{SYS_bind, true, on_bind},
	{SYS_listen, true, on_listen},
	{SYS_connect, true, on_connect},
	{SYS_accept, true, on_accept},
	{SYS_accept4, true, on_accept4},
	{SYS_shutdown, true, on_shutdown},
	{SYS_getsockname, true, on_getsockname},
	{SYS_getpeername, true, on_getpeername},
	{SYS_getsockopt, true, on_getsockopt},
	{SYS_setsockopt, true, on_setsockopt},
	{SYS_ioctl, true, on_ioctl},
	{SYS_openat, false, on_openat},
	{SYS_sendto, true, on_sendto},
	{SYS_sendmsg, true, on_sendmsg},
	{SYS_sendmmsg, true, on_sendmmsg},
	{SYS_recvfrom, true, on_recvfrom},
	{SYS_recvmsg, true, on_recvmsg},
	{SYS_recvmmsg, true, on_recvmmsg},
	{SYS_io_uring_setup, false, on_io_uring_setup},
};

run_handler *run_find_handler(int nr, bool *fd_arg)
{
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (handlers[i].nr != nr)
			continue;
		*fd_arg = handlers[i].fd;
		return handlers[i].handler;
	}
	return NULL;
}

void run_note(struct run *run, unsigned kind, const char *format, ...)
{
	va_list args;

	if (!run->verbose || (run->noted & 1ull << kind))
		return;
	run->noted |= 1ull << kind;
	fputs("byway: run: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static int64_t now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- answers ---- */

static int send_result(struct run *run, uint64_t id, int64_t result)
{
	struct seccomp_notif_resp resp = {.id = id};

	if (result == RUN_CONTINUE)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0)
		resp.error = (int32_t)result;
	else
		resp.val = result;
	return ioctl(run->notify, SECCOMP_IOCTL_NOTIF_SEND, &resp) == 0 ? 0 : -errno;
}

/* Installs fd in the caller, whose call returns its number. */
static int send_descriptor(struct run *run, uint64_t id, int fd, uint32_t flags)
{
	struct seccomp_notif_addfd add = {
		.id = id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = (uint32_t)fd, .newfd_flags = flags,
	};

	if (ioctl(run->notify, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0)
		return 0;
	return errno == EINPROGRESS ? 0 : -errno;
}

static void replay_drop(struct replay *r)
{
	if (r->used && r->fd >= 0)
		close(r->fd);
	r->used = false;
}

/* The caller was interrupted: it has the answer when it comes back. */
static void replay_keep(const struct call *c, int64_t result, int fd)
{
	struct replay *r = &c->run->replay[c->run->replay_next++ % RUN_REPLAYS];

	replay_drop(r);
	*r = (struct replay){.used = true, .tid = c->tid, .data = c->data, .result = result, .fd = fd,
			     .fd_flags = c->result_flags};
}

/* Whether an answer goes stale: what is asked again may have changed, and nothing was done. */
static bool worth_keeping(const struct call *c, int64_t result)
{
	switch (c->data.nr) {
	case SYS_bind:
	case SYS_listen:
	case SYS_connect:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
		return result != RUN_CONTINUE && result != -EAGAIN;
	default:
		return false;
	}
}

static void answer(struct call *c, int64_t result)
{
	if (result != RUN_INSTALL) {
		if (send_result(c->run, c->id, result) == -ENOENT && worth_keeping(c, result))
			replay_keep(c, result, -1);
		return;
	}
	int error = send_descriptor(c->run, c->id, c->result_fd, c->result_flags);
	/* ESRCH: the signal came while the caller was taking it. */
	if ((error == -ENOENT || error == -ESRCH) && c->data.nr != SYS_socket) {
		replay_keep(c, RUN_INSTALL, c->result_fd);
		return;
	}
	close(c->result_fd);
	if (error)
		send_result(c->run, c->id, error);
}

/* True: the call is one that was interrupted, and has its answer now. */
static bool replayed(struct call *c)
{
	for (unsigned i = 0; i < RUN_REPLAYS; i++) {
		struct replay *r = &c->run->replay[i];
		if (!r->used || r->tid != c->tid || memcmp(&r->data, &c->data, sizeof(c->data)) != 0)
			continue;
		r->used = false;
		c->result_fd = r->fd;
		c->result_flags = r->fd_flags;
		answer(c, r->result);
		return true;
	}
	return false;
}

/* ---- waiting ---- */

static void wait_free(struct run *run, struct wait *w)
{
	/* Others hold the same socket: closing our descriptor would leave it watched. */
	epoll_ctl(run->epoll, EPOLL_CTL_DEL, w->call.fd, NULL);
	close(w->call.fd);
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	run->wait_count--;
	free(w);
}

/* Takes the call's descriptor. False: too many wait. */
static bool wait_begin(const struct call *c, run_handler *handler)
{
	struct run *run = c->run;
	struct epoll_event event = {.events = c->wait_events};
	struct wait *w = run->wait_count < WAITS_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return false;
	w->call = *c;
	w->handler = handler;
	w->deadline = c->wait_limit ? now_usec() + c->wait_limit : INT64_MAX;
	w->cookie = c->sock->cookie;
	w->next = run->waits;
	w->link = &run->waits;
	if (w->next)
		w->next->link = &w->next;
	run->waits = w;
	run->wait_count++;
	event.data.ptr = w;
	epoll_ctl(run->epoll, EPOLL_CTL_ADD, c->fd, &event);
	return true;
}

/* Handles the call again. */
static void wait_turn(struct run *run, struct wait *w, bool expired)
{
	if (!call_valid(&w->call)) {
		wait_free(run, w);
		return;
	}
	struct call c = w->call;
	c.woken = true;
	c.expired = expired;
	if (c.sock->cookie != w->cookie)
		c.sock = table_find(run, c.fd);
	int64_t result = c.sock ? w->handler(&c) : -EBADF;
	if (result == RUN_WAIT && !expired)
		return;
	answer(&c, result == RUN_WAIT ? -EAGAIN : result);
	wait_free(run, w);
}

/* Calls whose time is up, and those whose caller waits no more. */
static void wait_check(struct run *run)
{
	int64_t now = run->waits ? now_usec() : 0;
	bool look = now >= run->next_check;
	struct wait *next;

	for (struct wait *w = run->waits; w; w = next) {
		next = w->next;
		if (w->deadline <= now || (look && !call_valid(&w->call)))
			wait_turn(run, w, true);
	}
	if (look)
		run->next_check = now + CHECK * 1000;
}

static int next_timeout(const struct run *run)
{
	int64_t now = now_usec(), least = CHECK;

	if (!run->waits)
		return -1;
	for (const struct wait *w = run->waits; w; w = w->next)
		if ((w->deadline - now) / 1000 + 1 < least)
			least = (w->deadline - now) / 1000 + 1;
	return least > 0 ? (int)least : 0;
}

/* ---- calls ---- */

/* The copy of the descriptor that the call is about, and what is known of it. False: none of ours. */
static bool call_open(struct call *c)
{
	int fd = tracee_descriptor(c->run, c->tid, call_int(c, 0));

	if (fd < 0) {
		if (fd == -EPERM)
			run_note(c->run, 0, "process %d does not let itself be looked into (PR_SET_DUMPABLE): "
				 "its calls go to the host", (int)c->tid);
		return false;
	}
	c->fd = fd;
	c->sock = table_find(c->run, fd);
	return c->sock != NULL;
}

static void call_handle(struct call *c)
{
	bool fd_arg = false;
	run_handler *handler = run_find_handler(c->data.nr, &fd_arg);

	if (replayed(c))
		return;
	int64_t result = handler && (!fd_arg || call_open(c)) ? handler(c) : RUN_CONTINUE;
	if (result == RUN_WAIT) {
		if (wait_begin(c, handler))
			return;
		result = -ENOBUFS;
	}
	answer(c, result);
	if (c->fd >= 0)
		close(c->fd);
}

static void on_notify(struct run *run)
{
	struct seccomp_notif notif = {0};

	if (ioctl(run->notify, SECCOMP_IOCTL_NOTIF_RECV, &notif) < 0)
		return; /* ENOENT: the caller is gone already */
	struct call c = {.run = run, .id = notif.id, .tid = (pid_t)notif.pid, .data = notif.data,
			 .fd = -1, .result_fd = -1};
	call_handle(&c);
}

/* ---- processes ---- */

/* Reaps what ended; the program's own status goes to the parent, and its number may be another's from then on. */
static void reap(int flags, int parent, pid_t *child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, flags)) > 0) {
		if (pid != *child)
			continue;
		*child = 0;
		if (write(parent, &status, sizeof(status)) < 0)
			return;
	}
}

static void on_child(int signals, int parent, pid_t *child)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		;
	reap(WNOHANG, parent, child);
}

static bool watch(struct run *run, int fd, void *mark)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};

	return epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Waits dispatched in this round may be freed by one another: each is looked for first. */
static struct wait *wait_alive(const struct run *run, const void *p)
{
	for (struct wait *w = run->waits; w; w = w->next)
		if (w == p)
			return w;
	return NULL;
}

/* False: the last process is gone. */
static bool dispatch(struct run *run, const struct epoll_event *e, int signals, int *parent, pid_t *child)
{
	struct wait *w;

	if (e->data.ptr == &notify_mark) {
		if (e->events & EPOLLIN)
			on_notify(run);
		return !(e->events & EPOLLHUP);
	}
	if (e->data.ptr == &signals_mark) {
		on_child(signals, *parent, child);
	} else if (e->data.ptr == &parent_mark) {
		/* The parent stands for the program: killed, it takes the program along. */
		epoll_ctl(run->epoll, EPOLL_CTL_DEL, *parent, NULL);
		if (*child > 0)
			kill(*child, SIGKILL);
	} else if ((w = wait_alive(run, e->data.ptr)) != NULL) {
		wait_turn(run, w, false);
	} else if (tracee_over(run, e->data.ptr)) {
		run->next_check = 0; /* what it waited for is over */
	} else {
		guard_over(run, e->data.ptr);
	}
	return true;
}

int notify_loop(struct run *run, int signals, int parent, pid_t child)
{
	struct epoll_event events[EVENTS];

	/* The caller runs on, on our processor, as soon as it has its answer (Linux 6.6; others do without). */
	ioctl(run->notify, SECCOMP_IOCTL_NOTIF_SET_FLAGS, (unsigned long)SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run->epoll < 0 || !watch(run, run->notify, &notify_mark) || !watch(run, signals, &signals_mark) ||
	    !watch(run, parent, &parent_mark))
		return -errno;
	for (;;) {
		int n = epoll_wait(run->epoll, events, EVENTS, next_timeout(run));
		for (int i = 0; i < n; i++)
			if (!dispatch(run, &events[i], signals, &parent, &child)) {
				reap(0, parent, &child); /* all are dead, if not buried */
				return 0;
			}
		wait_check(run);
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}
