/*
 * A connection whose bytes go through memory that it shares with its owner (client/ring.h says how),
 * in place of the pair. The pair stays: its end is the end of the owner.
 *
 * From the stack, payload is copied once, out of the frame into the ring. From the owner, it is copied
 * out of the ring into the send queue, so much in a turn that others have theirs.
 *
 * The owner may write anything into that memory at any time. So our positions are here and are only
 * shown there, what is read there is checked before it is used, and bytes are copied and nothing else.
 * The memory cannot be made shorter (seals), so touching it is safe, where the kernel overcommits (the
 * manual says what to do where not). An owner whose positions cannot be true loses that connection.
 *
 * The bells: `bell` is our end of a pair of its own, rung by one byte with MSG_DONTWAIT, which is ours
 * alone: an eventfd has its O_NONBLOCK in common with the owner, who could make us wait. `knock`, an
 * eventfd, is the owner's for us; it is only watched, and never read.
 *
 * What the owner can do with the memory itself: punch holes. The pages come back empty when they are
 * touched, but a touch waits as long as a punch takes. So after a turn that took long it is asked whether
 * all is there that has been written (is_punched).
 *
 * A ring is active from when something happens with it until the loop is about to sleep: then it says
 * what it waits for (rings_quiet). While it is active every pass looks at it, and nobody knocks.
 */
#include "client/ring.h"
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TURN (256u << 10) /* bytes out of a ring in a turn */
#define IDLE_PASSES 64u   /* in which there was nothing for a ring: it is looked at no more, and has to be knocked for */
#define SLOW_TURN 5000u   /* microseconds */

struct ring {
	struct stream *stream;
	struct byway_ring_page *page; /* shared with the owner */
	uint8_t *in, *out;            /* so are these: the rings, to the owner and from it */
	uint32_t size;                /* bytes of either */
	uint64_t in_head, out_tail;   /* ours; the page's are copies */
	int memory;                   /* what `page` maps */
	int bell;                     /* wakes the owner, who has the other end */
	int knock;                    /* eventfd: the owner's for us */
	struct watch watch;           /* of knock */
	struct ring *next, **link;    /* of daemon.rings */
	bool active;                  /* in that list */
	uint8_t idle;                 /* passes without work while it is */
	uint32_t news;                /* enum byway_ring_wait: what has come for the owner, which was not told yet */
	bool pair_first;              /* what the owner wrote before there was a ring lies in the pair */
	bool blocked;                 /* the send queue has no room; STACK_EVENT_WRITABLE will say when */
	bool lied;                    /* the owner's positions cannot be true */
};

/* ---- the list of active ones ---- */

static void activate(struct ring *r)
{
	struct daemon *d = r->stream->endpoint.daemon;

	if (r->active)
		return;
	ring_wait_over(&r->page->daemon_waits);
	r->active = true;
	r->idle = 0;
	r->next = d->rings;
	r->link = &d->rings;
	if (r->next)
		r->next->link = &r->next;
	d->rings = r;
}

static void deactivate(struct ring *r)
{
	if (!r->active)
		return;
	r->active = false;
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
}

/* ---- positions ---- */

static void lie(struct ring *r)
{
	if (!r->lied)
		r->stream->endpoint.daemon->count.ring_lies++;
	r->lied = true;
	activate(r);
	daemon_kick(r->stream->endpoint.daemon);
}

/* Bytes that the owner has not read. */
static uint32_t unread(struct ring *r)
{
	uint32_t filled;

	if (ring_filled(r->in_head, atomic_load(&r->page->in.tail), r->size, &filled))
		return filled;
	lie(r);
	return r->size;
}

/* Bytes that it has written and we have not taken. */
static uint32_t written(struct ring *r)
{
	uint32_t filled;

	if (ring_filled(atomic_load(&r->page->out.head), r->out_tail, r->size, &filled))
		return filled;
	lie(r);
	return 0;
}

/* ---- bells ---- */

static void ring_bell(struct ring *r)
{
	/* When it is full it polls readable anyway. */
	if (send(r->bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		r->stream->endpoint.daemon->count.ring_bells++;
}

/* Wakes the owner if it sleeps and waits for what there is. */
static void tell(struct ring *r)
{
	uint32_t news = r->news;

	r->news = 0;
	if ((news & BYWAY_RING_ROOM) && !ring_roomy(written(r), r->size))
		news &= ~(uint32_t)BYWAY_RING_ROOM;
	if (news && ring_wake(&r->page->owner_waits, news))
		ring_bell(r);
}

/* ---- bytes ---- */

size_t ring_put(struct stream *s, const struct iovec *iov, size_t len)
{
	struct ring *r = s->ring;
	uint32_t room = r->size - unread(r);
	size_t done = 0;

	len = len < room ? len : room;
	for (; done < len; iov++) {
		struct iovec to[2];
		uint32_t n = (uint32_t)(iov->iov_len < len - done ? iov->iov_len : len - done);
		ring_pieces(r->in, r->size, r->in_head + done, n, to);
		memcpy(to[0].iov_base, iov->iov_base, to[0].iov_len);
		memcpy(to[1].iov_base, (const char *)iov->iov_base + to[0].iov_len, to[1].iov_len);
		done += n;
	}
	if (done == 0)
		return 0;
	r->in_head += done;
	ring_publish(&r->page->in.head, r->in_head);
	r->news |= BYWAY_RING_DATA;
	activate(r);
	daemon_kick(s->endpoint.daemon);
	return done;
}

void ring_wants_room(struct stream *s)
{
	activate(s->ring);
}

/* One loan of send-queue space full of at most `most` bytes. Returns what it took; 0: nothing to be had now. */
static uint32_t take_some(struct stream *s, uint32_t most)
{
	struct ring *r = s->ring;
	struct iovec to[PAIR_PIECES], from[2];
	unsigned pieces = PAIR_PIECES;
	uint32_t waiting = written(r), done = 0, space;

	waiting = waiting < most ? waiting : most;
	space = waiting > 0 ? (uint32_t)stack_send_space(s->endpoint.sock, waiting, to, &pieces) : 0;
	r->blocked = waiting > 0 && space == 0;
	if (space == 0)
		return 0;
	for (unsigned i = 0; i < pieces; i++) {
		uint32_t n = (uint32_t)to[i].iov_len;
		ring_pieces(r->out, r->size, r->out_tail + done, n, from);
		memcpy(to[i].iov_base, from[0].iov_base, from[0].iov_len);
		memcpy((char *)to[i].iov_base + from[0].iov_len, from[1].iov_base, from[1].iov_len);
		done += n;
	}
	stack_send_commit(s->endpoint.sock, daemon_now(), done);
	r->out_tail += done;
	ring_publish(&r->page->out.tail, r->out_tail);
	r->news |= BYWAY_RING_ROOM;
	return done;
}

void ring_take(struct stream *s, bool all)
{
	struct ring *r = s->ring;
	struct daemon *d = s->endpoint.daemon;
	uint32_t most = all ? r->size : TURN, taken = 0, n;

	if (r->pair_first && stream_fresh(s) > 0)
		return;
	r->pair_first = false;
	/* First: it is written after the last of the bytes. */
	bool end = atomic_load(&r->page->out.end) != 0;
	while (taken < most && (n = take_some(s, most - taken)) > 0)
		taken += n;
	if (taken > 0) {
		d->count.ring_reads++;
		d->count.ring_read_bytes += taken;
		activate(r);
		daemon_kick(d);
	}
	if (end && written(r) == 0)
		s->half_closed = true;
}

bool ring_drained(struct stream *s)
{
	return !s->ring->pair_first && written(s->ring) == 0 && !s->ring->lied;
}

bool ring_left_unread(struct stream *s)
{
	return unread(s->ring) > 0 || atomic_load(&s->ring->page->unread) != 0;
}

bool ring_in_use(const struct stream *s)
{
	return s->ring && !s->ring->pair_first;
}

void ring_queued(struct stream *s, uint64_t *recv_q, uint64_t *send_q)
{
	*recv_q += unread(s->ring);
	*send_q += written(s->ring);
}

void ring_end(struct stream *s)
{
	atomic_store(&s->ring->page->in.end, 1);
	s->ring->news |= BYWAY_RING_DATA;
	activate(s->ring);
	daemon_kick(s->endpoint.daemon);
}

/* ---- turns ---- */

static void on_knock(void *stream, uint32_t events)
{
	struct stream *s = stream;

	(void)events;
	s->endpoint.daemon->count.ring_knocks++;
	activate(s->ring);
	daemon_kick(s->endpoint.daemon);
}

/* There is room in it for what waits, or for nothing but the news that all is over. */
static bool room_is_used(struct ring *r)
{
	return (r->stream->full || r->stream->closed) && ring_roomy(unread(r), r->size);
}

/* It wants to be looked at: bytes that it could take, or room for what waits. */
static bool has_work(struct ring *r)
{
	struct stream *s = r->stream;

	if (r->lied || r->news || room_is_used(r))
		return true;
	if (!r->pair_first && !s->finished) {
		if (written(r) > 0 ? !r->blocked : s->half_closed || atomic_load(&r->page->out.end) != 0)
			return true;
	}
	return r->lied; /* which these looks may have found */
}

/* Says what it waits for, and is not active any more; false: there is something. */
static bool rest(struct ring *r)
{
	uint32_t data = r->blocked ? 0 : BYWAY_RING_DATA, room = r->stream->full ? BYWAY_RING_ROOM : 0;

	ring_wait(&r->page->daemon_waits, data | room);
	if (has_work(r)) {
		ring_wait_over(&r->page->daemon_waits);
		return false;
	}
	deactivate(r);
	return true;
}

/* Less lies there than has gone through it. */
static bool is_punched(const struct ring *r)
{
	uint64_t in = r->in_head < r->size ? r->in_head : r->size, out = r->out_tail < r->size ? r->out_tail : r->size;
	struct stat st;

	return fstat(r->memory, &st) == 0 && (uint64_t)st.st_blocks * 512 < in + out;
}

/* Touching their memory may have made the turn long. */
static void suspect(struct daemon *d)
{
	for (struct ring *r = d->rings; r; r = r->next)
		if (is_punched(r))
			lie(r);
}

/* False: the stream is gone. */
static bool serve(struct ring *r)
{
	struct stream *s = r->stream;

	if (r->lied) {
		stream_abort(s);
		return false;
	}
	return stream_serve(s, room_is_used(r));
}

bool rings_serve(struct daemon *d)
{
	bool work = false;

	if (d->rings && daemon_now() > d->now + SLOW_TURN)
		suspect(d);
	for (struct ring *r = d->rings, *next; r; r = next) {
		next = r->next;
		if (!has_work(r)) {
			if (++r->idle >= IDLE_PASSES)
				rest(r);
			continue;
		}
		r->idle = 0;
		if (serve(r)) {
			tell(r);
			work = true;
		}
	}
	return work;
}

bool rings_busy(struct daemon *d)
{
	for (struct ring *r = d->rings; r; r = r->next)
		if (has_work(r))
			return true;
	return false;
}

bool rings_quiet(struct daemon *d)
{
	bool quiet = true;

	for (struct ring *r = d->rings, *next; r; r = next) {
		next = r->next;
		quiet &= rest(r);
	}
	return quiet;
}

/* ---- beginning and end ---- */

/* The memory, sealed and mapped; fd, or -errno and why. */
static int make_memory(struct ring *r, const char **why)
{
	size_t size = byway_ring_memory(r->size);
	int fd = memfd_create("byway-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	*why = "the daemon cannot make shared memory";
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
		void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at != MAP_FAILED) {
			r->page = at;
			r->in = (uint8_t *)at + BYWAY_RING_PAGE;
			r->out = r->in + r->size;
			r->memory = fcntl(fd, F_DUPFD_CLOEXEC, 0);
			if (r->memory >= 0)
				return fd;
		}
	}
	int error = -errno;
	close(fd);
	return error;
}

static int make_bells(struct ring *r, int fd[BYWAY_RING_DESCRIPTORS], const char **why)
{
	int pair[2];

	*why = "the daemon is out of file descriptors (LimitNOFILE=)";
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r->bell = pair[0];
	fd[1] = pair[1];
	r->knock = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->knock < 0)
		return -errno;
	fd[2] = fcntl(r->knock, F_DUPFD_CLOEXEC, 0);
	if (fd[2] < 0)
		return -errno;
	return loop_watch(r->stream->endpoint.daemon, &r->watch, r->knock, EPOLLIN | EPOLLET, on_knock, r->stream);
}

static void close_all(int *fd, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static void ring_destroy(struct ring *r)
{
	struct endpoint *e = &r->stream->endpoint;

	deactivate(r);
	/* The owner has copies of this one. */
	loop_unwatch(e->daemon, &r->watch);
	close_all((int[]){r->bell, r->knock, r->memory}, 3);
	if (r->page && r->stream->gone) /* it may have kept the memory, which counts no more from now on */
		madvise(r->page, byway_ring_memory(r->size), MADV_REMOVE);
	if (r->page)
		munmap(r->page, byway_ring_memory(r->size));
	share_return(e, SHARE_RINGS, byway_ring_memory(r->size));
	e->daemon->count.ring_memory -= byway_ring_memory(r->size);
	free(r);
}

static int ring_new(struct stream *s, uint32_t size, int fd[BYWAY_RING_DESCRIPTORS], const char **why)
{
	struct ring *r = calloc(1, sizeof(*r));

	*why = "the daemon is out of memory";
	if (!r)
		return -ENOMEM;
	*r = (struct ring){.stream = s, .size = size, .memory = -1, .bell = -1, .knock = -1};
	if (!share_take(&s->endpoint, SHARE_RINGS, byway_ring_memory(size))) {
		*why = "rings have as much memory as [Control] RingMemory= allows, or this user's have half of what is left";
		free(r);
		return -ENOBUFS;
	}
	s->endpoint.daemon->count.ring_memory += byway_ring_memory(size);
	fd[0] = make_memory(r, why);
	int error = fd[0] < 0 ? fd[0] : make_bells(r, fd, why);
	if (!error) {
		s->ring = r;
		return 0;
	}
	close_all(fd, BYWAY_RING_DESCRIPTORS);
	ring_destroy(r);
	return error;
}

/* May it have one? 0 or -errno and why. */
static int may_have(const struct endpoint *e, uint64_t size, const char **why)
{
	const struct stream *s = (const struct stream *)(const void *)e;

	*why = "not a TCP socket of an owner that has a peer";
	if (!endpoint_is_stream(e))
		return -EOPNOTSUPP;
	if (!s->connected || s->foreign || s->gone)
		return -ENOTCONN;
	*why = "the connection has its rings already";
	if (s->ring)
		return -EBUSY;
	*why = "a ring's size is a power of two from 64 KiB to 4 MiB";
	return byway_ring_size_ok(size) ? 0 : -EINVAL;
}

int owner_sock_ring(struct endpoint *e, uint64_t *size, int fd[BYWAY_RING_DESCRIPTORS], const char **why)
{
	struct stream *s = (struct stream *)(void *)e;

	if (*size == 0)
		*size = BYWAY_RING_DEFAULT;
	int error = may_have(e, *size, why);
	if (error)
		return error;
	for (unsigned i = 0; i < BYWAY_RING_DESCRIPTORS; i++)
		fd[i] = -1;
	if (ring_new(s, (uint32_t)*size, fd, why) != 0)
		return -ENOBUFS; /* whatever it is: of ours, and the owner may go on without */
	/* What it has written goes first; what lies in its end it reads first. */
	s->ring->pair_first = true;
	activate(s->ring);
	stream_to_ring(s);
	daemon_kick(e->daemon);
	return 0;
}

void ring_free(struct stream *s, int error)
{
	struct ring *r = s->ring;

	if (!r)
		return;
	s->ring = NULL;
	atomic_store(&r->page->error, (uint32_t)error);
	atomic_store(&r->page->closed, 1);
	if (ring_wake(&r->page->owner_waits, BYWAY_RING_DATA | BYWAY_RING_ROOM))
		ring_bell(r);
	ring_destroy(r);
}
