/* poll and epoll over the stack's sockets. */
#include "tests/packetdrill/calls.h"

#include <errno.h>
#include <linux/tcp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <string.h>

#define MILLISECOND 1000u

static bool has_data(const struct file *f)
{
	struct iovec iov;
	unsigned count = 1;

	return stack_recv_peek(f->sock, &iov, &count) > 0;
}

/* SO_RCVLOWAT */
static bool enough_data(struct world *w, struct file *f)
{
	int left = 0;

	if (stack_at_mark(f->sock))
		return has_data(f);
	return stack_ioctl(f->sock, SIOCINQ, &left) == 0 && left >= option_number(w, f, SOL_SOCKET, SO_RCVLOWAT);
}

static bool at_end(struct world *w, const struct file *f)
{
	return f->read_shut || (!has_data(f) && stack_recv(f->sock, w->now, NULL, 0) == 0);
}

/* The peer will send no more, whether or not it has all been read. */
static bool fin_came(const struct world *w, const struct file *f)
{
	struct stack_tcb_info t;

	stack_tcb_held(f->sock, w->now, &t);
	return t.fin_received;
}

static bool write_ended(struct world *w, const struct file *f)
{
	return stack_send(f->sock, w->now, NULL, 0) == -EPIPE;
}

short file_ready(struct world *w, struct file *f)
{
	short bits = f->error ? POLLERR : 0;
	bool end;

	if (f->epoll)
		return 0;
	if (f->sends_count != f->sends_told && zerocopy_done(w, f) > 0) {
		uint32_t done = f->sends_told + zerocopy_done(w, f);

		bits |= POLLERR;
		f->news += done != f->sends_seen;
		f->sends_seen = done;
	}
	if (f->listening)
		return next_accepted(f) ? POLLIN | POLLRDNORM : 0;
	if (f->dead)
		return (short)(bits | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP);
	if (f->deferred)
		return POLLOUT | POLLWRNORM;
	if (f->connecting)
		return bits;
	if (!f->connected)
		return POLLOUT | POLLWRNORM | POLLHUP;
	end = at_end(w, f);
	if (enough_data(w, f) || end)
		bits |= POLLIN | POLLRDNORM;
	if (stack_urgent_waits(f->sock))
		bits |= POLLPRI;
	if (stack_send_ready(f->sock) || write_ended(w, f))
		bits |= POLLOUT | POLLWRNORM;
	if (end || fin_came(w, f))
		bits |= POLLRDHUP;
	if (end && write_ended(w, f))
		bits |= POLLHUP;
	return bits;
}

static stack_time until(const struct world *w, int milliseconds)
{
	return milliseconds < 0 ? STACK_NEVER : w->now + (stack_time)milliseconds * MILLISECOND;
}

/* ---- poll ---- */

struct poll_call {
	struct pollfd *fds;
	nfds_t count;
};

static ptrdiff_t poll_once(struct world *w, struct file *unused, void *argument)
{
	struct poll_call *call = argument;
	ptrdiff_t ready = 0;

	(void)unused;
	for (nfds_t i = 0; i < call->count; i++) {
		struct pollfd *p = &call->fds[i];
		struct file *f = file_get(w, p->fd);

		p->revents = f ? (short)(file_ready(w, f) & (p->events | POLLERR | POLLHUP)) : POLLNVAL;
		ready += p->revents != 0;
	}
	return ready ? ready : -EAGAIN;
}

int call_poll(void *context, struct pollfd *fds, nfds_t count, int timeout)
{
	struct poll_call call = {fds, count};
	struct world *w = context;
	ptrdiff_t result;

	world_lock(w);
	result = call_blocking(w, NULL, poll_once, &call, false, until(w, timeout));
	world_unlock(w);
	return (int)call_result(result == -EAGAIN ? 0 : result);
}

/* ---- epoll ---- */

int call_epoll_create(void *context, int size)
{
	struct world *w = context;
	struct file *f;

	if (size <= 0)
		return (int)call_result(-EINVAL);
	world_lock(w);
	f = file_new(w);
	if (f)
		f->epoll = true;
	world_unlock(w);
	return (int)call_result(f ? f->fd : -EMFILE);
}

static struct watch *find_watch(struct file *set, int fd)
{
	for (unsigned i = 0; i < set->watches; i++)
		if (set->watch[i].fd == fd)
			return &set->watch[i];
	return NULL;
}

static int control(struct world *w, struct file *set, int op, int fd, const struct epoll_event *event)
{
	struct watch *watch;

	if (!set || !file_get(w, fd))
		return -EBADF;
	if (!set->epoll)
		return -EINVAL;
	watch = find_watch(set, fd);
	if (op == EPOLL_CTL_ADD) {
		if (watch)
			return -EEXIST;
		if (set->watches == EPOLL_WATCHES)
			return -ENOSPC;
		watch = &set->watch[set->watches++];
	} else if (!watch) {
		return -ENOENT;
	}
	if (op == EPOLL_CTL_DEL)
		*watch = set->watch[--set->watches];
	else
		*watch = (struct watch){.fd = fd, .event = *event};
	return 0;
}

int call_epoll_ctl(void *context, int epfd, int op, int fd, struct epoll_event *event)
{
	struct world *w = context;
	int result;

	world_lock(w);
	result = control(w, file_get(w, epfd), op, fd, event);
	world_unlock(w);
	return (int)call_result(result);
}

struct epoll_call {
	struct epoll_event *events;
	int count;
};

/* What to tell about one descriptor now; remembers it. */
static uint32_t report(struct world *w, struct watch *watch)
{
	struct file *f = file_get(w, watch->fd);
	uint32_t wanted = watch->event.events, bits;

	if (!f || wanted == EPOLLONESHOT)
		return 0;
	bits = (uint32_t)(unsigned short)file_ready(w, f) & (wanted | EPOLLERR | EPOLLHUP);
	if (wanted & EPOLLET) {
		bool news = bits & ~watch->reported || watch->news != f->news;

		watch->reported = bits;
		watch->news = f->news;
		if (!news)
			return 0;
	}
	if (bits && wanted & EPOLLONESHOT)
		watch->event.events = EPOLLONESHOT;
	return bits;
}

static ptrdiff_t epoll_once(struct world *w, struct file *set, void *argument)
{
	struct epoll_call *call = argument;
	int found = 0;

	for (unsigned i = 0; i < set->watches && found < call->count; i++) {
		struct watch *watch = &set->watch[i];
		uint32_t bits = report(w, watch);

		if (bits)
			call->events[found++] = (struct epoll_event){.events = bits, .data = watch->event.data};
	}
	return found ? found : -EAGAIN;
}

int call_epoll_wait(void *context, int epfd, struct epoll_event *events, int count, int timeout)
{
	struct epoll_call call = {events, count};
	struct world *w = context;
	struct file *set;
	ptrdiff_t result = -EBADF;

	world_lock(w);
	set = file_get(w, epfd);
	if (set)
		result = set->epoll ? call_blocking(w, set, epoll_once, &call, false, until(w, timeout)) : -EINVAL;
	world_unlock(w);
	return (int)call_result(result == -EAGAIN ? 0 : result);
}
