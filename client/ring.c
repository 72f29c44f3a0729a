/*
 * libbyway: a connection whose bytes go through memory shared with the daemon (client/ring.h). One
 * request makes it; then bytes move without a system call, but for a bell when the other side sleeps
 * and a wait when there is nothing to do.
 *
 * What we wait with is an epoll descriptor. The daemon's bell is in it, a byte for each time that it
 * rang, and the connection's own descriptor, which hangs up when the daemon is gone.
 */
#include "client/ring.h"
#include "client/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLISH (64u << 10) /* bytes of a longer write that the daemon sees at a time */
#define EMPTY_LOOKS 256u    /* that find nothing, without any wait between, before the descriptor is asked */

struct byway_ring {
	struct byway_ring_page *page; /* shared with the daemon */
	uint8_t *in, *out;            /* so are these */
	uint32_t size;                /* bytes of either */
	uint64_t in_tail, out_head;   /* ours; the page's are copies */
	int fd;                       /* the connection's descriptor */
	int ear;                      /* epoll: the daemon's bell and `fd` */
	int bell;                     /* a byte comes when the daemon rings */
	int knock;                    /* eventfd: wakes the daemon */
	uint8_t *rest;                /* what came before there was a ring, allocated; NULL: nothing is left of it */
	size_t rest_at, rest_len;
	unsigned empty;               /* looks in a row that found nothing */
	bool nonblock;                /* the descriptor was, when this began */
	bool armed;                   /* byway_ring_poll has found nothing, and the daemon is to ring */
	bool shut;                    /* we have said all */
	bool told;                    /* of the error */
	bool gone;                    /* the daemon has closed the descriptor */
};

/* ---- what the daemon says ---- */

/* Bytes in the ring to be read. */
static uint32_t waiting(const struct byway_ring *r)
{
	uint32_t filled;

	return ring_filled(atomic_load(&r->page->in.head), r->in_tail, r->size, &filled) ? filled : 0;
}

static uint32_t used(const struct byway_ring *r)
{
	uint32_t filled;

	return ring_filled(r->out_head, atomic_load(&r->page->out.tail), r->size, &filled) ? filled : r->size;
}

/* The connection is over, in order or not, or the daemon is. */
static bool over(const struct byway_ring *r)
{
	return r->gone || atomic_load(&r->page->closed) != 0;
}

/* The errno with which it ended, once; then 0. A daemon that is gone without a word is like a reset. */
static int take_error(struct byway_ring *r)
{
	uint32_t error = atomic_load(&r->page->error);

	if (error == 0 && r->gone && atomic_load(&r->page->closed) == 0)
		error = ECONNRESET;
	if (r->told || error == 0)
		return 0;
	r->told = true;
	return (int)error;
}

static void wake(struct byway_ring *r, uint32_t what)
{
	static const uint64_t one = 1;

	if (ring_wake(&r->page->daemon_waits, what) && write(r->knock, &one, sizeof(one)) < 0)
		return; /* full: it is readable anyway */
}

/* ---- waiting ---- */

/* One wait for a bell or the end of the daemon; timeout 0: only takes away what has rung. 0, or -1 and errno. */
static int listen_for(struct byway_ring *r, int timeout)
{
	struct epoll_event e[2];
	char rung[64];
	int n = epoll_wait(r->ear, e, 2, timeout);

	for (int i = 0; i < n; i++)
		if (e[i].events & (EPOLLHUP | EPOLLERR))
			r->gone = true;
	if (n > 0)
		while (recv(r->bell, rung, sizeof(rung), MSG_DONTWAIT) == (ssize_t)sizeof(rung))
			continue;
	ring_wait_over(&r->page->owner_waits);
	r->armed = false;
	return n < 0 ? -1 : 0;
}

/* As poll(2) has them: what is so now. */
static short ready(const struct byway_ring *r)
{
	bool end = atomic_load(&r->page->in.end) != 0, ended = over(r);
	short events = 0;

	if (r->rest || waiting(r) > 0 || end || ended)
		events |= POLLIN;
	if (ended || (!r->shut && ring_roomy(used(r), r->size)))
		events |= POLLOUT;
	if (ended)
		events |= POLLHUP;
	if (ended && !r->told && (r->gone || atomic_load(&r->page->error) != 0))
		events |= POLLERR;
	return events;
}

/* Says what is waited for; true: it is there already. */
static bool arm(struct byway_ring *r, short events)
{
	uint32_t what = ((events & POLLIN) ? BYWAY_RING_DATA : 0u) | ((events & POLLOUT) ? BYWAY_RING_ROOM : 0u);

	ring_wait(&r->page->owner_waits, what);
	if (!(ready(r) & (events | POLLHUP)))
		return false;
	ring_wait_over(&r->page->owner_waits);
	return true;
}

/* Nothing to be had now: waits, if that is wanted. 0 to look again, -1 and errno. */
static int wait_for(struct byway_ring *r, short events, int flags)
{
	if (r->nonblock || (flags & MSG_DONTWAIT)) {
		if (!r->armed && ++r->empty % EMPTY_LOOKS == 0)
			listen_for(r, 0);
		errno = EAGAIN;
		return -1;
	}
	return arm(r, events) ? 0 : listen_for(r, -1);
}

int byway_ring_fd(const struct byway_ring *r)
{
	return r->ear;
}

short byway_ring_poll(struct byway_ring *r, short events)
{
	if (r->armed)
		listen_for(r, 0);
	short now = ready(r) & (events | POLLHUP | POLLERR);
	if (now || arm(r, events))
		return now ? now : ready(r) & (events | POLLHUP | POLLERR);
	r->armed = true;
	return 0;
}

/* ---- reading ---- */

/* How much there is to read, as recv(2) says it: 0 at the end, or -1 and errno. `flags`: MSG_DONTWAIT. */
static ssize_t readable(struct byway_ring *r, int flags)
{
	for (;;) {
		if (r->rest)
			return (ssize_t)(r->rest_len - r->rest_at);
		/* First: they are written after the last byte. */
		bool end = atomic_load(&r->page->in.end) != 0, ended = over(r);
		uint32_t n = waiting(r);
		if (n > 0) {
			r->empty = 0;
			return (ssize_t)n;
		}
		int error = ended ? take_error(r) : 0;
		if (error) {
			errno = error;
			return -1;
		}
		if (end || ended)
			return 0;
		if (wait_for(r, POLLIN, flags) < 0)
			return -1;
	}
}

ssize_t byway_ring_peek(struct byway_ring *r, struct iovec iov[2])
{
	ssize_t n = readable(r, MSG_DONTWAIT);

	iov[0] = iov[1] = (struct iovec){NULL, 0};
	if (n > 0 && r->rest)
		iov[0] = (struct iovec){r->rest + r->rest_at, (size_t)n};
	else if (n > 0)
		ring_pieces(r->in, r->size, r->in_tail, (uint32_t)n, iov);
	return n;
}

static void consume_rest(struct byway_ring *r, size_t len)
{
	r->rest_at += len;
	if (r->rest_at < r->rest_len)
		return;
	free(r->rest);
	r->rest = NULL;
	atomic_store(&r->page->unread, 0);
}

int byway_ring_consume(struct byway_ring *r, size_t len)
{
	if (len > (r->rest ? r->rest_len - r->rest_at : waiting(r))) {
		errno = EINVAL;
		return -1;
	}
	if (r->rest) {
		consume_rest(r, len);
		return 0;
	}
	r->in_tail += len;
	ring_publish(&r->page->in.tail, r->in_tail);
	if (ring_roomy(waiting(r), r->size))
		wake(r, BYWAY_RING_ROOM);
	return 0;
}

ssize_t byway_ring_read(struct byway_ring *r, void *data, size_t len, int flags)
{
	struct iovec iov[2];
	ssize_t n;

	if (len == 0)
		return 0;
	n = readable(r, flags);
	if (n <= 0)
		return n;
	byway_ring_peek(r, iov);
	size_t first = iov[0].iov_len < len ? iov[0].iov_len : len;
	size_t second = iov[1].iov_len < len - first ? iov[1].iov_len : len - first;
	memcpy(data, iov[0].iov_base, first);
	if (second > 0)
		memcpy((char *)data + first, iov[1].iov_base, second);
	if (!(flags & MSG_PEEK))
		byway_ring_consume(r, first + second);
	return (ssize_t)(first + second);
}

/* ---- writing ---- */

/* How much may be written, at least 1, or -1 and errno. */
static ssize_t writable(struct byway_ring *r, int flags)
{
	for (;;) {
		int error = r->shut ? EPIPE : over(r) ? take_error(r) : 0;
		if (!error && over(r))
			error = EPIPE;
		if (error) {
			errno = error;
			return -1;
		}
		uint32_t room = r->size - used(r);
		if (room > 0) {
			r->empty = 0;
			return (ssize_t)room;
		}
		if (wait_for(r, POLLOUT, flags) < 0)
			return -1;
	}
}

ssize_t byway_ring_lend(struct byway_ring *r, struct iovec iov[2])
{
	ssize_t n = writable(r, MSG_DONTWAIT);

	iov[0] = iov[1] = (struct iovec){NULL, 0};
	if (n > 0)
		ring_pieces(r->out, r->size, r->out_head, (uint32_t)n, iov);
	return n;
}

int byway_ring_commit(struct byway_ring *r, size_t len)
{
	if (r->shut || len > r->size - used(r)) {
		errno = EINVAL;
		return -1;
	}
	r->out_head += len;
	ring_publish(&r->page->out.head, r->out_head);
	wake(r, BYWAY_RING_DATA);
	return 0;
}

ssize_t byway_ring_write(struct byway_ring *r, const void *data, size_t len, int flags)
{
	size_t done = 0;

	while (done < len) {
		struct iovec iov[2];
		ssize_t n = writable(r, flags);
		if (n < 0)
			return done > 0 ? (ssize_t)done : -1;
		if ((size_t)n > len - done)
			n = (ssize_t)(len - done);
		if (n > (ssize_t)PUBLISH)
			n = PUBLISH;
		ring_pieces(r->out, r->size, r->out_head, (uint32_t)n, iov);
		memcpy(iov[0].iov_base, (const char *)data + done, iov[0].iov_len);
		memcpy(iov[1].iov_base, (const char *)data + done + iov[0].iov_len, iov[1].iov_len);
		byway_ring_commit(r, (size_t)n);
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* ---- beginning and end ---- */

int byway_ring_shutdown(struct byway_ring *r, int how)
{
	if (how != SHUT_WR) {
		errno = EINVAL;
		return -1;
	}
	if (r->shut)
		return 0;
	r->shut = true;
	atomic_store(&r->page->out.end, 1);
	wake(r, BYWAY_RING_DATA);
	return 0;
}

/* All but the connection's descriptor. */
static void ring_drop(struct byway_ring *r)
{
	const int fd[] = {r->ear, r->bell, r->knock};

	for (unsigned i = 0; i < sizeof(fd) / sizeof(fd[0]); i++)
		if (fd[i] >= 0)
			close(fd[i]);
	if (r->page)
		munmap(r->page, byway_ring_memory(r->size));
	free(r->rest);
	free(r);
}

void byway_ring_close(struct byway_ring *r)
{
	if (!r)
		return;
	close(r->fd);
	ring_drop(r);
}

/* What lies in our end of the pair came before what is in the ring. 0, or -1 and errno. */
static int read_rest(struct byway_ring *r)
{
	int one = 1;
	size_t room = 0;
	ssize_t n;

	setsockopt(r->fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	do {
		if (r->rest_len == room) {
			uint8_t *more = realloc(r->rest, room = room ? 2 * room : PUBLISH);
			if (!more)
				return -1;
			r->rest = more;
		}
		n = recv(r->fd, r->rest + r->rest_len, room - r->rest_len, MSG_DONTWAIT);
		r->rest_len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (r->rest_len > 0) {
		atomic_store(&r->page->unread, 1);
		return 0;
	}
	free(r->rest);
	r->rest = NULL;
	return 0;
}

/* Takes the descriptors over, and what is left in `fd`. 0, or -1 and errno. */
static int ring_open(struct byway_ring *r, int fd, uint64_t size, int memory)
{
	struct epoll_event end = {.events = 0}, rung = {.events = EPOLLIN}; /* EPOLLHUP and EPOLLERR always come */
	int status = fcntl(fd, F_GETFL);

	r->size = (uint32_t)size;
	void *at = byway_ring_size_ok(size) ? mmap(NULL, byway_ring_memory(r->size), PROT_READ | PROT_WRITE, MAP_SHARED,
						   memory, 0) : MAP_FAILED;
	if (at == MAP_FAILED)
		return -1;
	r->page = at;
	r->in = (uint8_t *)at + BYWAY_RING_PAGE;
	r->out = r->in + r->size;
	r->fd = fd;
	r->nonblock = status >= 0 && (status & O_NONBLOCK) != 0;
	if (epoll_ctl(r->ear, EPOLL_CTL_ADD, fd, &end) < 0 || epoll_ctl(r->ear, EPOLL_CTL_ADD, r->bell, &rung) < 0)
		return -1;
	return read_rest(r);
}

static int take_size_attr(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == BYWAY_A_VALUE && mnl_attr_get_payload_len(a) == sizeof(uint64_t))
		*(uint64_t *)arg = mnl_attr_get_u64(a);
	return MNL_CB_OK;
}

static int take_size(const struct nlmsghdr *m, void *arg)
{
	return m->nlmsg_type == BYWAY_SOCKET ? mnl_attr_parse(m, 0, take_size_attr, arg) : MNL_CB_ERROR;
}

/* The daemon's answer to the request; 0, or -1 and errno. *lost: it may have carried it out all the same. */
static int ask(struct byway *b, int fd, uint64_t *size, int came[BYWAY_RING_DESCRIPTORS], bool *lost)
{
	struct nlmsghdr *m = talk_begin(b, BYWAY_SOCK_RING, 0);
	struct stat st;

	if (fstat(fd, &st) < 0)
		return talk_fail(b, errno, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return talk_fail(b, ENOTSOCK, "the descriptor is not a socket");
	mnl_attr_put_u64(m, BYWAY_A_INODE, st.st_ino);
	mnl_attr_put_u64(m, BYWAY_A_VALUE, *size);
	if (talk_exchange_all(b, m, take_size, size, came, BYWAY_RING_DESCRIPTORS) < 0) {
		*lost = !b->refused;
		return -1;
	}
	if (came[BYWAY_RING_DESCRIPTORS - 1] >= 0)
		return 0;
	for (unsigned i = 0; i < BYWAY_RING_DESCRIPTORS; i++)
		if (came[i] >= 0)
			close(came[i]);
	*lost = true;
	return talk_fail(b, EMFILE, "not all descriptors came with the answer: too many are open");
}

/* Before the daemon changes over, whatever else may fail here. NULL and errno. */
static struct byway_ring *ring_new(void)
{
	struct byway_ring *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->bell = r->knock = -1;
	r->ear = epoll_create1(EPOLL_CLOEXEC);
	if (r->ear >= 0)
		return r;
	free(r);
	return NULL;
}

struct byway_ring *byway_ring(struct byway *b, int fd, size_t size)
{
	struct byway_ring *r = ring_new();
	uint64_t granted = size;
	int came[BYWAY_RING_DESCRIPTORS], error;
	bool lost = false;

	if (!r) {
		talk_fail(b, errno, strerror(errno));
		return NULL;
	}
	if (ask(b, fd, &granted, came, &lost) == 0) {
		r->bell = came[1];
		r->knock = came[2];
		int opened = ring_open(r, fd, granted, came[0]);
		error = errno;
		close(came[0]);
		if (opened == 0)
			return r;
		talk_fail(b, error, strerror(error));
		lost = true;
	}
	error = errno;
	if (lost) /* the daemon has changed over, or may have: nothing more can be had of the connection */
		shutdown(fd, SHUT_RDWR);
	ring_drop(r);
	errno = error;
	return NULL;
}
