/*
 * Both ends of a connection whose owner has rings: this end through libbyway, the other a socket of the
 * host. Each argument is a scene; it fails with a text and status 1.
 *
 *      ring SCENE [SIZE]           SIZE: bytes of a ring, 0: the default
 *
 * Those that wait for somebody to act say "ready" first. ERRNO is what "wait" has to end with, KEEPALIVE
 * switches that on, MEBIBYTES is how much "bytes" and "awake" move each way.
 */
#include "client/byway.h"
#include "client/ring.h"
#include "client/talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST "198.18.0.1"
#define BLOCK 200000u
#define PATIENCE 20000 /* milliseconds */

#define check(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static struct byway *byway;
static size_t ring_size;
static uint64_t bytes_each_way = 64u << 20;

static _Noreturn void fail(int line, const char *what)
{
	fprintf(stderr, "ring: line %d: not so: %s (%s; %s)\n", line, what, strerror(errno), byway_error(byway));
	_exit(1);
}

/* ---- a connection ---- */

struct ends {
	int host, stack; /* descriptors */
	struct byway_ring *ring;
	struct sockaddr_in at; /* where the host listens */
};

static struct ends connected(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	struct ends e = {0};
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, HOST, &a.sin_addr);
	check(bind(listener, (void *)&a, sizeof(a)) == 0 && listen(listener, 1) == 0);
	check(getsockname(listener, (void *)&a, &len) == 0);
	e.stack = byway_connect(byway, (void *)&a, sizeof(a), NULL, 0, 0);
	check(e.stack >= 0);
	e.host = accept(listener, NULL, NULL);
	check(e.host >= 0);
	close(listener);
	e.at = a;
	return e;
}

static struct ends with_ring(void)
{
	struct ends e = connected();

	e.ring = byway_ring(byway, e.stack, ring_size);
	check(e.ring);
	return e;
}

/* ---- bytes that say where they belong ---- */

static uint8_t byte_at(uint64_t position)
{
	return (uint8_t)((position * 0x9e3779b97f4a7c15u) >> 56);
}

static void fill(uint8_t *data, size_t len, uint64_t position)
{
	for (size_t i = 0; i < len; i++)
		data[i] = byte_at(position + i);
}

static bool is_right(const uint8_t *data, size_t len, uint64_t position)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != byte_at(position + i))
			return false;
	return true;
}

static uint32_t any(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* As many bytes from `position` on as go without waiting, `most` at most. */
static uint64_t write_some(int fd, uint64_t position, uint64_t most)
{
	uint8_t data[4096];
	uint64_t done = 0;

	while (done < most) {
		size_t len = most - done < sizeof(data) ? (size_t)(most - done) : sizeof(data);
		fill(data, len, position + done);
		ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		check(n > 0);
		done += (uint64_t)n;
	}
	return done;
}

/* All until the end, which has to be at `to`. */
static void host_reads(int fd, uint64_t from, uint64_t to)
{
	static uint8_t data[BLOCK];
	ssize_t n;

	for (; (n = recv(fd, data, sizeof(data), 0)) > 0; from += (uint64_t)n)
		check(is_right(data, (size_t)n, from));
	check(n == 0 && from == to);
}

static void ring_writes(struct byway_ring *r, uint64_t from, uint64_t to)
{
	uint8_t data[4096];

	for (; from < to; from += sizeof(data)) {
		size_t len = to - from < sizeof(data) ? (size_t)(to - from) : sizeof(data);
		fill(data, len, from);
		check(byway_ring_write(r, data, len, 0) == (ssize_t)len);
	}
}

static void ring_reads(struct byway_ring *r, uint64_t from, uint64_t to)
{
	uint8_t data[5000];

	while (from < to) {
		ssize_t n = byway_ring_read(r, data, to - from < sizeof(data) ? (size_t)(to - from) : sizeof(data), 0);
		check(n > 0 && is_right(data, (size_t)n, from));
		from += (uint64_t)n;
	}
}

/* Until it is full, and so is all behind it. Returns the bytes. */
static uint64_t fill_ring(struct byway_ring *r)
{
	uint8_t data[4096];
	uint64_t done = 0;

	for (unsigned quiet = 0; quiet < 20;) {
		fill(data, sizeof(data), done);
		ssize_t n = byway_ring_write(r, data, sizeof(data), MSG_DONTWAIT);
		check(n > 0 || errno == EAGAIN);
		done += n > 0 ? (uint64_t)n : 0;
		quiet = n > 0 ? 0 : quiet + 1;
		usleep(n > 0 ? 0 : 10000);
	}
	return done;
}

static void wait_for_ring(struct byway_ring *r, short events)
{
	struct pollfd p = {.fd = byway_ring_fd(r), .events = POLLIN};

	while (!byway_ring_poll(r, events))
		check(poll(&p, 1, PATIENCE) == 1);
}

static void is_over(struct byway_ring *r, int error)
{
	char c = 0;

	check(byway_ring_read(r, &c, 1, 0) == -1 && errno == error);
	check(byway_ring_read(r, &c, 1, 0) == 0);
	check(byway_ring_write(r, &c, 1, 0) == -1 && errno == EPIPE);
	check(byway_ring_poll(r, POLLIN) & POLLHUP);
}

/* ---- scenes ---- */

static void *host_writer(void *arg)
{
	const struct ends *e = arg;
	static uint8_t data[BLOCK];
	uint32_t seed = 1;
	uint64_t at = 0;

	while (at < bytes_each_way) {
		size_t len = 1 + any(&seed) % sizeof(data);
		len = len < bytes_each_way - at ? len : (size_t)(bytes_each_way - at);
		fill(data, len, at);
		check(send(e->host, data, len, MSG_NOSIGNAL) == (ssize_t)len);
		at += len;
	}
	check(shutdown(e->host, SHUT_WR) == 0);
	return NULL;
}

static void *host_reader(void *arg)
{
	const struct ends *e = arg;

	host_reads(e->host, 0, bytes_each_way);
	return NULL;
}

/* One step of reading, by a copy or in place. Returns the bytes; 0: the end, -1: not now. */
static ssize_t read_step(struct byway_ring *r, uint64_t at, uint32_t *seed)
{
	static uint8_t data[BLOCK];
	struct iovec iov[2];
	ssize_t n;

	if (any(seed) % 2) {
		n = byway_ring_read(r, data, 1 + any(seed) % sizeof(data), MSG_DONTWAIT);
		check(n <= 0 || is_right(data, (size_t)n, at));
		return n;
	}
	n = byway_ring_peek(r, iov);
	if (n <= 0)
		return n;
	check((size_t)n == iov[0].iov_len + iov[1].iov_len);
	check(is_right(iov[0].iov_base, iov[0].iov_len, at));
	check(is_right(iov[1].iov_base, iov[1].iov_len, at + iov[0].iov_len));
	n = 1 + (ssize_t)(any(seed) % (uint32_t)n);
	check(byway_ring_consume(r, (size_t)n) == 0);
	return n;
}

static ssize_t write_step(struct byway_ring *r, uint64_t at, uint32_t *seed)
{
	static uint8_t data[BLOCK];
	uint64_t left = bytes_each_way - at;
	size_t want = 1 + any(seed) % BLOCK;
	struct iovec iov[2];
	ssize_t n;

	want = want < left ? want : (size_t)left;
	if (any(seed) % 2) {
		fill(data, want, at);
		return byway_ring_write(r, data, want, MSG_DONTWAIT);
	}
	n = byway_ring_lend(r, iov);
	if (n <= 0)
		return n;
	check((size_t)n == iov[0].iov_len + iov[1].iov_len);
	want = want < (size_t)n ? want : (size_t)n;
	fill(iov[0].iov_base, iov[0].iov_len < want ? iov[0].iov_len : want, at);
	if (want > iov[0].iov_len)
		fill(iov[1].iov_base, want - iov[0].iov_len, at + iov[0].iov_len);
	check(byway_ring_commit(r, want) == 0);
	return (ssize_t)want;
}

/* Both ways at once, pieces of all sizes, every call; each direction ends by itself. */
static void scene_bytes(void)
{
	struct ends e = with_ring();
	pthread_t reader, writer;
	uint64_t got = 0, sent = 0;
	uint32_t seed = 7;
	bool reading = true, writing = true;

	check(pthread_create(&reader, NULL, host_reader, &e) == 0 && pthread_create(&writer, NULL, host_writer, &e) == 0);
	while (reading || writing) {
		ssize_t in = reading ? read_step(e.ring, got, &seed) : -1;
		ssize_t out = writing ? write_step(e.ring, sent, &seed) : -1;
		check(in >= 0 || !reading || errno == EAGAIN || out >= 0);
		got += in > 0 ? (uint64_t)in : 0;
		sent += out > 0 ? (uint64_t)out : 0;
		reading = reading && in != 0;
		if (writing && sent == bytes_each_way) {
			writing = false;
			check(byway_ring_shutdown(e.ring, SHUT_WR) == 0);
		} else if (in < 0 && out < 0 && (reading || writing)) {
			wait_for_ring(e.ring, (short)((reading ? POLLIN : 0) | (writing ? POLLOUT : 0)));
		}
	}
	check(got == bytes_each_way);
	check(pthread_join(reader, NULL) == 0 && pthread_join(writer, NULL) == 0);
	byway_ring_close(e.ring);
}

/* Calls that wait; one byte there and back. */
static void scene_turns(void)
{
	struct ends e = with_ring();

	for (unsigned i = 0; i < 2000; i++) {
		uint8_t c = byte_at(i), back = 0;
		check(byway_ring_write(e.ring, &c, 1, 0) == 1);
		check(recv(e.host, &back, 1, 0) == 1 && back == c);
		check(send(e.host, &back, 1, 0) == 1);
		check(byway_ring_read(e.ring, &back, 1, MSG_PEEK) == 1 && back == c);
		check(byway_ring_read(e.ring, &back, 1, 0) == 1 && back == c);
	}
	byway_ring_close(e.ring);
}

/* Half closes, ours first; and what is queued goes before a close. */
static void scene_end(void)
{
	struct ends e = with_ring();
	char c;

	check(byway_ring_read(e.ring, &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	ring_writes(e.ring, 0, 100000);
	check(byway_ring_shutdown(e.ring, SHUT_RD) == -1 && errno == EINVAL);
	check(byway_ring_shutdown(e.ring, SHUT_WR) == 0);
	check(byway_ring_write(e.ring, "x", 1, 0) == -1 && errno == EPIPE);
	check(byway_ring_commit(e.ring, 1) == -1 && errno == EINVAL);
	host_reads(e.host, 0, 100000);
	check(write_some(e.host, 0, 50000) == 50000 && shutdown(e.host, SHUT_WR) == 0);
	ring_reads(e.ring, 0, 50000);
	check(byway_ring_read(e.ring, &c, 1, 0) == 0 && byway_ring_read(e.ring, &c, 1, 0) == 0);
	check(byway_ring_poll(e.ring, POLLIN) & POLLIN);
	byway_ring_close(e.ring);

	e = with_ring();
	check(shutdown(e.host, SHUT_WR) == 0);
	wait_for_ring(e.ring, POLLIN);
	check(byway_ring_read(e.ring, &c, 1, 0) == 0);
	uint64_t sent = fill_ring(e.ring);
	check(sent > BYWAY_RING_LEAST);
	byway_ring_close(e.ring);
	host_reads(e.host, 0, sent);
}

/* What came before it can be read, then the error, then the end. */
static void scene_reset(void)
{
	struct ends e = with_ring();
	struct linger now = {.l_onoff = 1};
	struct pollfd p = {.events = POLLIN};

	check(send(e.host, "last", 4, 0) == 4);
	wait_for_ring(e.ring, POLLIN);
	check(setsockopt(e.host, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0 && close(e.host) == 0);
	p.fd = byway_ring_fd(e.ring);
	check(poll(&p, 1, PATIENCE) == 1);
	char data[8];
	check(byway_ring_read(e.ring, data, sizeof(data), 0) == 4 && memcmp(data, "last", 4) == 0);
	is_over(e.ring, ECONNRESET);
	byway_ring_close(e.ring);
}

/* RFC 1122 4.2.2.13: RST when the owner closes with something unread. */
static void scene_unread(void)
{
	struct ends e = with_ring();
	char c;

	check(send(e.host, "unread", 6, 0) == 6);
	wait_for_ring(e.ring, POLLIN);
	byway_ring_close(e.ring);
	check(recv(e.host, &c, 1, 0) == -1 && errno == ECONNRESET);

	/* The same with what came before there was a ring. */
	e = connected();
	check(send(e.host, "unread", 6, 0) == 6);
	check(poll(&(struct pollfd){.fd = e.stack, .events = POLLIN}, 1, PATIENCE) == 1);
	e.ring = byway_ring(byway, e.stack, ring_size);
	check(e.ring && byway_ring_read(e.ring, &c, 1, 0) == 1 && c == 'u');
	byway_ring_close(e.ring);
	check(recv(e.host, &c, 1, 0) == -1 && errno == ECONNRESET);
}

/* Bytes wait in the pair, in both directions and up to the brim, when the ring is made. */
static void scene_before(void)
{
	struct ends e = connected();
	uint64_t out = 0, in = 0, more;
	int quiet = 0;

	while (quiet < 20) { /* until nothing goes any more: the host's, the stack's and the pair's buffers are full */
		more = write_some(e.stack, out, 1u << 20);
		out += more;
		uint64_t got = write_some(e.host, in, 1u << 20);
		in += got;
		quiet = more + got > 0 ? 0 : quiet + 1;
		usleep(10000);
	}
	e.ring = byway_ring(byway, e.stack, ring_size);
	check(e.ring && out > 100000 && in > 100000);
	pid_t host = fork();
	if (host == 0) {
		close(e.stack); /* or the connection would not end with the other copy */
		host_reads(e.host, 0, out + 500000);
		_exit(0);
	}
	ring_writes(e.ring, out, out + 500000);
	ring_reads(e.ring, 0, in);
	check(write_some(e.host, in, 1000) == 1000);
	ring_reads(e.ring, in, in + 1000);
	byway_ring_close(e.ring);
	int status;
	check(waitpid(host, &status, 0) == host && status == 0);
}

/* An end that was there before the ring. */
static void scene_ended(void)
{
	struct ends e = connected();
	char c;

	check(send(e.host, "a", 1, 0) == 1 && shutdown(e.host, SHUT_WR) == 0);
	check(poll(&(struct pollfd){.fd = e.stack, .events = POLLRDHUP}, 1, PATIENCE) == 1);
	e.ring = byway_ring(byway, e.stack, ring_size);
	check(e.ring && byway_ring_read(e.ring, &c, 1, 0) == 1 && byway_ring_read(e.ring, &c, 1, 0) == 0);
	byway_ring_close(e.ring);

	e = connected();
	check(write(e.stack, "b", 1) == 1 && shutdown(e.stack, SHUT_WR) == 0);
	e.ring = byway_ring(byway, e.stack, ring_size);
	check(e.ring && recv(e.host, &c, 1, 0) == 1 && recv(e.host, &c, 1, 0) == 0);
	byway_ring_close(e.ring);
}

/* Both ends were there, and what had come was more than the pair holds: it is read, and then all is over. */
static void scene_over(void)
{
	struct ends e = connected();
	uint64_t in = 0;
	char c;

	for (int quiet = 0; in < 400000 && quiet < 20; usleep(10000)) {
		uint64_t more = write_some(e.host, in, 400000 - in);
		in += more;
		quiet = more > 0 ? 0 : quiet + 1;
	}
	check(shutdown(e.host, SHUT_WR) == 0 && shutdown(e.stack, SHUT_WR) == 0 && recv(e.host, &c, 1, 0) == 0);
	usleep(100000);
	e.ring = byway_ring(byway, e.stack, ring_size);
	check(e.ring);
	ring_reads(e.ring, 0, in);
	check(byway_ring_read(e.ring, &c, 1, 0) == 0);
	while (!(byway_ring_poll(e.ring, 0) & POLLHUP))
		check(poll(&(struct pollfd){.fd = byway_ring_fd(e.ring), .events = POLLIN}, 1, PATIENCE) == 1);
	byway_ring_close(e.ring);
}

/* There is no mark: an urgent byte comes where it belongs. */
static void scene_urgent(void)
{
	struct ends e = with_ring();
	char data[6] = "";

	check(send(e.host, "ab", 2, 0) == 2 && send(e.host, "!", 1, MSG_OOB) == 1 && send(e.host, "cd", 2, 0) == 2);
	for (size_t n = 0; n < 5;) {
		ssize_t got = byway_ring_read(e.ring, data + n, 5 - n, 0);
		check(got > 0);
		n += (size_t)got;
	}
	check(strcmp(data, "ab!cd") == 0);
	byway_ring_close(e.ring);

	/* One that waits in the pair goes first. */
	int one = 1;
	for (unsigned i = 0; i < 50; i++) {
		e = connected();
		check(setsockopt(e.host, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)) == 0);
		check(send(e.stack, "!", 1, MSG_OOB) == 1);
		e.ring = byway_ring(byway, e.stack, ring_size);
		check(e.ring && byway_ring_write(e.ring, "ef", 2, 0) == 2);
		memset(data, 0, sizeof(data));
		for (ssize_t n = 0; n < 3;) {
			ssize_t got = recv(e.host, data + n, (size_t)(3 - n), 0);
			check(got > 0);
			n += got;
		}
		check(strcmp(data, "!ef") == 0);
		byway_ring_close(e.ring);
		close(e.host);
	}
}

static void refuses(int fd, size_t size, int error)
{
	check(!byway_ring(byway, fd, size) && errno == error);
}

static void scene_refused(void)
{
	struct ends e = with_ring();
	struct sockaddr_in any_port = {.sin_family = AF_INET};
	int file = open("/dev/null", O_RDONLY), pair[2];

	refuses(e.stack, 0, EBUSY);
	byway_ring_close(e.ring);
	refuses(file, 0, ENOTSOCK);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	refuses(pair[0], 0, ENOENT);
	int udp = byway_datagram(byway, (void *)&any_port, sizeof(any_port), NULL, 0, 0);
	refuses(udp, 0, EOPNOTSUPP);
	int listener = byway_listen(byway, (void *)&any_port, sizeof(any_port), 0);
	refuses(listener, 0, EOPNOTSUPP);
	e = connected();
	refuses(e.stack, 1000, EINVAL);
	refuses(e.stack, 100000, EINVAL);
	refuses(e.stack, 8u << 20, EINVAL);
	check(write(e.stack, "still", 5) == 5); /* it is as it was */
	char data[5];
	check(recv(e.host, data, 5, MSG_WAITALL) == 5);
	/* A handshake under way is no connection; to the class E nothing ever is. */
	inet_pton(AF_INET, "198.18.0.77", &e.at.sin_addr);
	int connecting = byway_connect(byway, (void *)&e.at, sizeof(e.at), NULL, 0, BYWAY_NONBLOCK);
	refuses(connecting, 0, ENOTCONN);
}

/* The budget of a user: two rings of 64 KiB each way, and what is given back can be had again. */
static void scene_budget(void)
{
	struct ends a, b, c;

	ring_size = 65536;
	a = with_ring();
	b = with_ring();
	c = connected();
	refuses(c.stack, 65536, ENOBUFS);
	byway_ring_close(a.ring);
	for (unsigned i = 0; i < 100 && !c.ring; i++) { /* the daemon looks at what was closed when it has its turn */
		c.ring = byway_ring(byway, c.stack, 65536);
		usleep(c.ring ? 0 : 10000);
	}
	check(c.ring);
	byway_ring_close(b.ring);
	byway_ring_close(c.ring);
}

static void scene_queues(void)
{
	struct ends e = with_ring();
	int in = 0;

	check(write_some(e.host, 0, 12345) == 12345);
	for (unsigned i = 0; i < 500 && in != 12345; i++) {
		check(byway_ioctl(byway, e.stack, SIOCINQ, &in) == 0);
		usleep(in == 12345 ? 0 : 10000);
	}
	check(in == 12345);
	puts("ready");
	fflush(stdout);
	pause();
}

/* ---- those that somebody else ends ---- */

static void announce(void)
{
	puts("ready");
	fflush(stdout);
}

static void scene_wait(void)
{
	struct ends e = with_ring();

	int on = getenv("KEEPALIVE") != NULL;

	check(byway_setsockopt(byway, e.stack, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
	announce();
	is_over(e.ring, getenv("ERRNO") ? atoi(getenv("ERRNO")) : ECONNRESET);
	byway_ring_close(e.ring);
}

static void scene_sleep(void)
{
	struct ends e = with_ring();
	struct pollfd p = {.fd = byway_ring_fd(e.ring), .events = POLLIN};

	check(byway_ring_poll(e.ring, POLLIN) == 0);
	announce();
	check(poll(&p, 1, -1) == 1);
	check(byway_ring_poll(e.ring, POLLIN) & POLLIN);
	is_over(e.ring, ECONNRESET);
}

static void scene_hold(void)
{
	struct ends e = with_ring();

	check(write_some(e.host, 0, 1) == 1);
	ring_reads(e.ring, 0, 1);
	announce();
	pause();
}

/* The owner is killed: what it had written arrives, then the end; or RST when it had not read all. */
static void scene_killed(void)
{
	for (unsigned unread = 0; unread < 2; unread++) {
		struct ends e = connected();
		char c;
		if (unread)
			check(send(e.host, "unread", 6, 0) == 6);
		pid_t owner = fork();
		if (owner == 0) {
			close(e.host);
			e.ring = byway_ring(byway, e.stack, ring_size);
			check(e.ring);
			if (unread)
				wait_for_ring(e.ring, POLLIN);
			else
				ring_writes(e.ring, 0, 60000);
			raise(SIGKILL);
		}
		close(e.stack);
		check(waitpid(owner, NULL, 0) == owner);
		if (unread)
			check(recv(e.host, &c, 1, 0) == -1 && errno == ECONNRESET);
		else
			host_reads(e.host, 0, 60000);
		close(e.host);
	}
}

/* Awake all the time: nobody has to be woken. */
static void scene_awake(void)
{
	struct ends e = with_ring();
	pthread_t writer;
	uint64_t got = 0;
	struct iovec iov[2];
	ssize_t n;

	check(pthread_create(&writer, NULL, host_writer, &e) == 0);
	while ((n = byway_ring_peek(e.ring, iov)) != 0) {
		check(n > 0 || errno == EAGAIN);
		if (n > 0)
			byway_ring_consume(e.ring, (size_t)n);
		got += n > 0 ? (uint64_t)n : 0;
	}
	check(got == bytes_each_way && pthread_join(writer, NULL) == 0);
	byway_ring_close(e.ring);
}

/* ---- owners that do not keep the rules ---- */

struct raw {
	struct ends ends;
	int fd[BYWAY_RING_DESCRIPTORS];
	struct byway_ring_page *page;
	size_t size;
};

static int take_nothing(const struct nlmsghdr *m, void *arg)
{
	(void)m;
	(void)arg;
	return MNL_CB_OK;
}

static struct raw raw_ring(void)
{
	struct raw r = {.ends = connected(), .size = byway_ring_memory(BYWAY_RING_LEAST)};
	struct nlmsghdr *m = talk_begin(byway, BYWAY_SOCK_RING, 0);
	struct stat st;

	check(fstat(r.ends.stack, &st) == 0);
	mnl_attr_put_u64(m, BYWAY_A_INODE, st.st_ino);
	mnl_attr_put_u64(m, BYWAY_A_VALUE, BYWAY_RING_LEAST);
	check(talk_exchange_all(byway, m, take_nothing, NULL, r.fd, BYWAY_RING_DESCRIPTORS) == 0);
	/* What is the daemon's own in it, the owner could make it pay for: an epoll descriptor's places, for one. */
	check(fstat(r.fd[1], &st) == 0 && S_ISSOCK(st.st_mode));
	r.page = mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd[0], 0);
	check(r.page != MAP_FAILED);
	return r;
}

static void knock(const struct raw *r)
{
	uint64_t one = 1;

	check(write(r->fd[2], &one, sizeof(one)) == sizeof(one));
}

/* The connection ends with RST, and its owner is told. */
static void is_thrown_out(struct raw *r)
{
	char c;

	check(poll(&(struct pollfd){.fd = r->ends.stack, .events = 0}, 1, PATIENCE) == 1);
	check(recv(r->ends.host, &c, 1, 0) == -1 && errno == ECONNRESET);
	check(atomic_load(&r->page->closed) == 1 && atomic_load(&r->page->error) == ECONNRESET);
}

static void scene_lies(void)
{
	struct raw r = raw_ring();

	atomic_store(&r.page->out.head, BYWAY_RING_LEAST + 1); /* more than there is */
	knock(&r);
	is_thrown_out(&r);
	r = raw_ring();
	atomic_store(&r.page->out.head, UINT64_MAX); /* backwards */
	knock(&r);
	is_thrown_out(&r);
	r = raw_ring();
	atomic_store(&r.page->in.tail, 1); /* read what never came */
	check(send(r.ends.host, "x", 1, 0) == 1);
	is_thrown_out(&r);
	r = raw_ring();
	memset(r.page, 0xff, r.size); /* all of it */
	knock(&r);
	is_thrown_out(&r);
}

/* The memory stays as long as it is; a hole in it, and a position that comes back, harm nobody else. */
static void scene_memory(void)
{
	struct raw r = raw_ring();

	check(ftruncate(r.fd[0], 0) == -1 && errno == EPERM);
	check(ftruncate(r.fd[0], 1 << 30) == -1 && errno == EPERM);
	check(fcntl(r.fd[0], F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
	check(fallocate(r.fd[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)r.size) == 0);
	knock(&r);
	for (unsigned i = 0; i < 200; i++) {
		atomic_store(&r.page->out.head, i * 4096);
		atomic_store(&r.page->in.tail, 0);
		knock(&r);
		fallocate(r.fd[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)r.size);
		send(r.ends.host, "0123456789", 10, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}

static void *puncher(void *raw)
{
	const struct raw *r = raw;

	while (fallocate(r->fd[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)r->size) == 0)
		if (atomic_load(&r->page->closed))
			break;
	return NULL;
}

/* Holes all the time, made by four at once, where the daemon reads and writes all the time. */
static void scene_holes(void)
{
	static struct raw r;
	pthread_t thread;

	r = raw_ring();
	announce();
	for (unsigned i = 0; i < 4; i++)
		check(pthread_create(&thread, NULL, puncher, &r) == 0);
	for (uint64_t head = 0;;) {
		char data[65536];
		uint64_t tail = atomic_load(&r.page->out.tail);
		if (tail <= head && head - tail <= BYWAY_RING_LEAST)
			atomic_store(&r.page->out.head, head = tail + BYWAY_RING_LEAST);
		atomic_store(&r.page->in.tail, atomic_load(&r.page->in.head));
		knock(&r);
		if (recv(r.ends.host, data, sizeof(data), MSG_DONTWAIT) == 0 || send(r.ends.host, data, sizeof(data), MSG_NOSIGNAL | MSG_DONTWAIT) == 0)
			check(poll(NULL, 0, 1) == 0);
	}
}

/* Bells that ring all the time, one that is full, and one made to block: the daemon goes on. */
static void scene_bells(void)
{
	struct raw r = raw_ring(), full = raw_ring();
	uint64_t most = UINT64_MAX - 1;

	for (unsigned i = 0; i < 100000; i++)
		knock(&r);
	check(write(full.fd[2], &most, sizeof(most)) == sizeof(most));
	check(write(full.fd[2], &most, sizeof(most)) == -1 && errno == EAGAIN);
	check(fcntl(full.fd[2], F_SETFL, 0) == 0);
	check(fcntl(r.fd[1], F_SETFL, 0) == 0);
	for (unsigned i = 0; i < 1000; i++) { /* always asleep: it is rung for each, and never looks */
		atomic_store(&r.page->owner_waits, BYWAY_RING_DATA | BYWAY_RING_ROOM);
		check(send(r.ends.host, "x", 1, 0) == 1);
	}
	announce();
	pause();
}

/* It reads nothing: its peer's window closes. */
static void scene_deaf(void)
{
	struct ends e = with_ring();
	uint64_t at = 0;

	for (unsigned quiet = 0; quiet < 30; usleep(10000)) {
		uint64_t n = write_some(e.host, at, 1u << 20);
		quiet = n > 0 ? 0 : quiet + 1;
		at += n;
		check(at < 64u << 20);
	}
	announce();
	pause();
}

static const struct {
	const char *name;
	void (*play)(void);
} scenes[] = {
	{"bytes", scene_bytes}, {"turns", scene_turns}, {"end", scene_end}, {"reset", scene_reset},
	{"unread", scene_unread}, {"before", scene_before}, {"ended", scene_ended}, {"refused", scene_refused},
	{"budget", scene_budget}, {"queues", scene_queues}, {"wait", scene_wait}, {"sleep", scene_sleep},
	{"hold", scene_hold}, {"killed", scene_killed}, {"awake", scene_awake}, {"lies", scene_lies},
	{"over", scene_over}, {"holes", scene_holes}, {"urgent", scene_urgent}, {"memory", scene_memory}, {"bells", scene_bells}, {"deaf", scene_deaf},
};

int main(int argc, char **argv)
{
	ring_size = argc > 2 ? (size_t)atoi(argv[2]) : 0;
	if (getenv("MEBIBYTES"))
		bytes_each_way = (uint64_t)atoi(getenv("MEBIBYTES")) << 20;
	byway = byway_open(NULL);
	if (!byway)
		return perror("byway_open"), 1;
	for (size_t i = 0; argc > 1 && i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (strcmp(scenes[i].name, argv[1]) == 0) {
			scenes[i].play();
			byway_close(byway);
			return 0;
		}
	}
	return fprintf(stderr, "ring: no scene of that name\n"), 2;
}
