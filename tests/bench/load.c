/*
 * A load tool for both ends of a measurement.
 *
 *   load serve [SECONDS [BASE]]    discard on 9, chargen on 19, echo on 7, each port BASE higher;
 *                                  CONGESTION_CONTROL in the environment names its algorithm
 *   load out ADDRESS SECONDS       writes to discard: bytes a second
 *   load in ADDRESS SECONDS        reads from chargen
 *   load skip ADDRESS SECONDS N    as in, N at once, and has the kernel throw the bytes away: a client that costs little
 *   load rr ADDRESS SECONDS        one byte to echo and back, TCP_NODELAY: p50 and p99
 *   load crr ADDRESS SECONDS N     connect to echo, one byte each way, close, N at once
 *   load hold ADDRESS SECONDS N    N connections to discard that stay idle; prints when all are there
 *
 * ADDRESS is IPv4, or IPv4+BASE. The calls are the kernel's, and those of the Byway stack when
 * BYWAY_SOCKET names its control socket (serve, out, in and rr): then this is an owner. With BYWAY_RING
 * in the environment (bytes, 0: the default) the server's connections have rings.
 * Prints one line: NAME VALUE UNIT [NAME VALUE UNIT]. Every run ends by itself.
 */
#include "client/byway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 131072
#define LOT 262144       /* bytes that a reader that skips is woken for */
#define MOUTHFUL 1048576 /* and takes at most */
#define SAMPLES_MAX 2000000
#define SERVE_SECONDS 300
#define SERVE_BACKLOG 1024

static char block[BLOCK];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	const char *base = strchr(text, '+');
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port + (base ? atoi(base) : 0)))};
	char ip[INET_ADDRSTRLEN];

	snprintf(ip, sizeof(ip), "%.*s", (int)strcspn(text, "+"), text);
	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(text);
	return a;
}

/* With BYWAY_SOCKET in the environment: a connection of the Byway stack, as its owner. */
static int dial_owner(const struct sockaddr_in *a)
{
	struct byway *b = byway_open(NULL);
	int fd = b ? byway_connect(b, (const struct sockaddr *)a, sizeof(*a), NULL, 0, BYWAY_NODELAY) : -1;

	if (fd < 0)
		die("byway_connect");
	byway_close(b);
	return fd;
}

static int dial(const struct sockaddr_in *a)
{
	int fd, one = 1;

	if (getenv("BYWAY_SOCKET"))
		return dial_owner(a);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* ---- the client's side ---- */

static void bulk(const char *to, double seconds, bool out)
{
	struct sockaddr_in a = address(to, out ? 9 : 19);
	int fd = dial(&a);
	double start = now(), end = start + seconds, last = start;
	uint64_t bytes = 0;

	while (last < end) {
		ssize_t n = out ? write(fd, block, sizeof(block)) : read(fd, block, sizeof(block));

		if (n <= 0)
			die("transfer");
		bytes += (uint64_t)n;
		last = now();
	}
	close(fd);
	printf("bulk %.3f Gbit/s bytes %llu B\n", (double)bytes * 8 / (last - start) / 1e9, (unsigned long long)bytes);
}

/* What has come, up to MOUTHFUL bytes, without copying it (tcp(7), MSG_TRUNC). */
static uint64_t skip_some(int fd)
{
	ssize_t n = recv(fd, NULL, MOUTHFUL, MSG_TRUNC | MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("transfer");
	return n > 0 ? (uint64_t)n : 0;
}

/* A connection that wakes its reader for a lot of bytes only. */
static void dial_sluggish(const struct sockaddr_in *a, int poller)
{
	int fd = dial(a), lot = LOT;
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lot, sizeof(lot));
	epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

static void skip(const char *to, double seconds, int count)
{
	struct sockaddr_in a = address(to, 19);
	int poller = epoll_create1(0);
	double start, last;
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		dial_sluggish(&a, poller);
	start = last = now();
	while (last < start + seconds) {
		struct epoll_event e[64];
		int n = epoll_wait(poller, e, 64, 1000);

		if (n <= 0)
			die("skip stalled");
		for (int i = 0; i < n; i++)
			bytes += skip_some(e[i].data.fd);
		last = now();
	}
	printf("bulk %.3f Gbit/s bytes %llu B\n", (double)bytes * 8 / (last - start) / 1e9, (unsigned long long)bytes);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void round_trips(const char *to, double seconds)
{
	struct sockaddr_in a = address(to, 7);
	int fd = dial(&a);
	double *sample = malloc(SAMPLES_MAX * sizeof(*sample)), end = now() + seconds, start;
	size_t n = 0;
	char byte = 'x';

	if (!sample)
		die("malloc");
	do {
		start = now();
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			die("round trip");
		sample[n++] = (now() - start) * 1e6;
	} while (start < end && n < SAMPLES_MAX);
	qsort(sample, n, sizeof(*sample), compare);
	printf("p50 %.1f us p99 %.1f us count %zu trips\n", sample[n / 2], sample[n * 99 / 100], n);
	free(sample);
	close(fd);
}

/* One of the connections of crr: connecting, waiting for its byte, waiting for the end. */
struct job { int fd; int step; };

static void job_start(struct job *j, const struct sockaddr_in *a, int poller)
{
	struct epoll_event e = {.events = EPOLLOUT, .data.ptr = j};

	j->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	j->step = 0;
	if (j->fd < 0 || (connect(j->fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno != EINPROGRESS))
		die("connect");
	epoll_ctl(poller, EPOLL_CTL_ADD, j->fd, &e);
}

/* True: the connection has ended in order. */
static bool job_step(struct job *j, int poller)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = j};
	char byte = 'x';
	ssize_t n;

	if (j->step == 0) {
		if (write(j->fd, &byte, 1) != 1)
			die("crr write");
		epoll_ctl(poller, EPOLL_CTL_MOD, j->fd, &e);
		j->step = 1;
		return false;
	}
	n = read(j->fd, &byte, 1);
	if (n < 0)
		die("crr read");
	if (n == 1) {
		shutdown(j->fd, SHUT_WR);
		return false;
	}
	close(j->fd);
	return true;
}

static void connections(const char *to, double seconds, int jobs)
{
	struct sockaddr_in a = address(to, 7);
	struct job *job = calloc((size_t)jobs, sizeof(*job));
	int poller = epoll_create1(0);
	double start = now(), end = start + seconds;
	uint64_t done = 0;

	for (int i = 0; i < jobs; i++)
		job_start(&job[i], &a, poller);
	while (now() < end) {
		struct epoll_event e[64];
		int n = epoll_wait(poller, e, 64, 1000);

		if (n <= 0)
			die("crr stalled");
		for (int i = 0; i < n; i++) {
			struct job *j = e[i].data.ptr;

			if (job_step(j, poller)) {
				done++;
				job_start(j, &a, poller);
			}
		}
	}
	printf("crr %.0f /s count %llu connections\n", (double)done / (now() - start), (unsigned long long)done);
	free(job);
}

/* What an idle connection takes is looked at from outside, after the line is printed. */
static void hold(const char *to, double seconds, int count)
{
	struct sockaddr_in a = address(to, 9);

	for (int i = 0; i < count; i++)
		dial(&a);
	printf("held %d connections\n", count);
	fflush(stdout);
	for (double end = now() + seconds; now() < end;)
		sleep(1);
}

/* ---- the server's side: the same services over the kernel's TCP, or as an owner ---- */

static int listen_owner(const struct sockaddr_in *a)
{
	struct byway *b = byway_open(NULL);
	int fd = b ? byway_listen(b, (const struct sockaddr *)a, sizeof(*a), SERVE_BACKLOG) : -1;

	if (fd < 0)
		die("byway_listen");
	byway_close(b);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	const char *algorithm = getenv("CONGESTION_CONTROL");
	int fd, one = 1;

	if (getenv("BYWAY_SOCKET"))
		return listen_owner(&a);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (algorithm && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, (socklen_t)strlen(algorithm)) < 0)
		die(algorithm);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, SERVE_BACKLOG) < 0)
		die("listen");
	return fd;
}

static int accept_on(int listener)
{
	int fd, one = 1;

	if (getenv("BYWAY_SOCKET"))
		return byway_accept(listener, NULL, NULL, BYWAY_NODELAY | BYWAY_NONBLOCK);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* A listener, or a connection to be served: port tells the service. */
struct peer { int fd; uint16_t port; bool listening; struct byway_ring *ring; };

static void give_ring(struct peer *p)
{
	static struct byway *b;

	if (!b)
		b = byway_open(NULL);
	p->ring = b ? byway_ring(b, p->fd, (size_t)atoi(getenv("BYWAY_RING"))) : NULL;
	if (!p->ring)
		die("byway_ring");
	p->fd = byway_ring_fd(p->ring);
}

/* As long as there is something to do: with one connection at a time nobody else waits. */
static void serve_ring(struct peer *p)
{
	short events = p->port == 19 ? POLLOUT : POLLIN;
	ssize_t n;

	do {
		n = p->port == 19 ? byway_ring_write(p->ring, block, sizeof(block), 0)
				  : byway_ring_read(p->ring, block, sizeof(block), 0);
		if (n > 0 && p->port == 7)
			n = byway_ring_write(p->ring, block, (size_t)n, 0);
	} while (n > 0 || (n < 0 && errno == EAGAIN && byway_ring_poll(p->ring, events)));
	if (n < 0 && errno == EAGAIN)
		return;
	byway_ring_close(p->ring);
	free(p);
}

static void accept_peer(int poller, const struct peer *listener)
{
	int fd = accept_on(listener->fd);
	struct peer *p;
	struct epoll_event e = {.events = listener->port == 19 ? EPOLLOUT : EPOLLIN};

	if (fd < 0)
		return;
	p = calloc(1, sizeof(*p));
	if (!p)
		die("calloc");
	*p = (struct peer){.fd = fd, .port = listener->port};
	if (getenv("BYWAY_RING")) {
		give_ring(p);
		e.events = EPOLLIN;
	}
	e.data.ptr = p;
	epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &e);
	if (p->ring)
		serve_ring(p);
}

static void serve_peer(struct peer *p)
{
	if (p->ring) {
		serve_ring(p);
		return;
	}
	ssize_t n = p->port == 19 ? write(p->fd, block, sizeof(block)) : read(p->fd, block, sizeof(block));

	if (n > 0 && p->port == 7)
		n = write(p->fd, block, (size_t)n);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	close(p->fd);
	free(p);
}

static void serve(double seconds, int base)
{
	struct peer listener[3] = {{.port = 7}, {.port = 9}, {.port = 19}};
	int poller = epoll_create1(0);
	double end = now() + seconds;

	for (int i = 0; i < 3; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listener[i]};

		listener[i].fd = listen_on((uint16_t)(listener[i].port + base));
		listener[i].listening = true;
		epoll_ctl(poller, EPOLL_CTL_ADD, listener[i].fd, &e);
	}
	while (now() < end) {
		struct epoll_event e[64];
		int n = epoll_wait(poller, e, 64, 1000);

		for (int i = 0; i < n; i++) {
			struct peer *p = e[i].data.ptr;

			if (p->listening)
				accept_peer(poller, p);
			else
				serve_peer(p);
		}
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *to = argc > 2 ? argv[2] : NULL;
	double seconds = argc > 3 ? atof(argv[3]) : 3;
	int count = argc > 4 ? atoi(argv[4]) : 1;

	signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "serve") == 0)
		serve(to ? atof(to) : SERVE_SECONDS, argc > 3 ? atoi(argv[3]) : 0);
	else if (to && strcmp(what, "out") == 0)
		bulk(to, seconds, true);
	else if (to && strcmp(what, "in") == 0)
		bulk(to, seconds, false);
	else if (to && strcmp(what, "skip") == 0)
		skip(to, seconds, count);
	else if (to && strcmp(what, "rr") == 0)
		round_trips(to, seconds);
	else if (to && strcmp(what, "crr") == 0)
		connections(to, seconds, count);
	else if (to && strcmp(what, "hold") == 0)
		hold(to, seconds, count);
	else
		return fprintf(stderr, "usage: load serve [SECONDS [BASE]] | out|in|skip|rr|crr|hold ADDRESS [SECONDS [N]]\n"), 2;
	return 0;
}
