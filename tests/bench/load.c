/*
 * A load tool for both ends of a measurement.
 *
 *   load serve                     discard on 9, chargen on 19, echo on 7 (the kernel's TCP);
 *                                  CONGESTION_CONTROL in the environment names its algorithm
 *   load out ADDRESS SECONDS       writes to discard: bytes a second
 *   load in ADDRESS SECONDS        reads from chargen
 *   load rr ADDRESS SECONDS        one byte to echo and back, TCP_NODELAY: p50 and p99
 *   load crr ADDRESS SECONDS N     connect to echo, one byte each way, close, N at once
 *
 * out, in and rr go through the Byway stack when BYWAY_SOCKET names its control socket.
 * Prints one line: NAME VALUE UNIT [NAME VALUE UNIT]. Every run ends by itself.
 */
#include "client/byway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
#define SAMPLES_MAX 2000000
#define SERVE_SECONDS 300

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
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
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
	printf("bulk %.3f Gbit/s\n", (double)bytes * 8 / (last - start) / 1e9);
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
	printf("p50 %.1f us p99 %.1f us\n", sample[n / 2], sample[n * 99 / 100]);
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
	printf("crr %.0f /s\n", (double)done / (now() - start));
	free(job);
}

/* ---- the reference's side: the same services over the kernel's TCP ---- */

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
	const char *algorithm = getenv("CONGESTION_CONTROL");

	if (algorithm && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, (socklen_t)strlen(algorithm)) < 0)
		die(algorithm);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0)
		die("listen");
	return fd;
}

struct peer { int fd; uint16_t port; bool listening; };

static void accept_peer(int poller, const struct peer *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK), one = 1;
	struct peer *p;
	struct epoll_event e = {.events = listener->port == 19 ? EPOLLOUT : EPOLLIN};

	if (fd < 0)
		return;
	p = calloc(1, sizeof(*p));
	if (!p)
		die("calloc");
	*p = (struct peer){.fd = fd, .port = listener->port};
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	e.data.ptr = p;
	epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

static void serve_peer(struct peer *p)
{
	ssize_t n = p->port == 19 ? write(p->fd, block, sizeof(block)) : read(p->fd, block, sizeof(block));

	if (n > 0 && p->port == 7)
		n = write(p->fd, block, (size_t)n);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	close(p->fd);
	free(p);
}

static void serve(void)
{
	struct peer listener[3] = {{.port = 7}, {.port = 9}, {.port = 19}};
	int poller = epoll_create1(0);
	double end = now() + SERVE_SECONDS;

	for (int i = 0; i < 3; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listener[i]};

		listener[i].fd = listen_on(listener[i].port);
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
	const char *what = argc > 1 ? argv[1] : "";
	double seconds = argc > 3 ? atof(argv[3]) : 3;

	signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "serve") == 0)
		serve();
	else if (argc > 2 && strcmp(what, "out") == 0)
		bulk(argv[2], seconds, true);
	else if (argc > 2 && strcmp(what, "in") == 0)
		bulk(argv[2], seconds, false);
	else if (argc > 2 && strcmp(what, "rr") == 0)
		round_trips(argv[2], seconds);
	else if (argc > 2 && strcmp(what, "crr") == 0)
		connections(argv[2], seconds, argc > 4 ? atoi(argv[4]) : 1);
	else
		return fprintf(stderr, "usage: load serve | out|in|rr|crr ADDRESS [SECONDS [JOBS]]\n"), 2;
	return 0;
}
