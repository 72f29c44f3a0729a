/*
 * Many connections of the kernel's TCP at once, to services 9 (discard) and 19 (chargen) of one
 * or more peers, and what each peer's connections got through.
 *
 *   flows in|out SECONDS COUNT ADDRESS[@START] [ADDRESS[@START] ...]
 *
 * COUNT connections to each address; those with @START begin so many seconds later. What counts
 * is the last half of SECONDS: slow start and the late one's catching up are over. Out counts what
 * the peer has acknowledged, not what was written. One line an address: ADDRESS Mbit/s.
 * CONGESTION_CONTROL in the environment is used when it is set (of ours; the peer does as it likes).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
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

#define BLOCK 262144
#define PEERS_MAX 8
#define FLOWS_MAX 256

struct flow {
	int fd;
	uint64_t received, counted_from; /* bytes */
};

struct peer {
	char name[64];
	double start;
	bool started;
	struct flow *flow;
};

static char block[BLOCK];
static bool out;
static unsigned flow_count; /* of each peer */
static int poller;

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

static void flow_open(struct flow *f, const struct sockaddr_in *to)
{
	struct epoll_event e = {.events = out ? EPOLLOUT : EPOLLIN, .data.ptr = f};
	const char *algorithm = getenv("CONGESTION_CONTROL");

	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (f->fd >= 0 && algorithm &&
	    setsockopt(f->fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, (socklen_t)strlen(algorithm)) < 0)
		die(algorithm);
	if (f->fd < 0 || (connect(f->fd, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS))
		die("connect");
	if (epoll_ctl(poller, EPOLL_CTL_ADD, f->fd, &e) < 0)
		die("epoll_ctl");
}

static void peer_start(struct peer *p)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(out ? 9 : 19)};

	p->started = true;
	if (inet_pton(AF_INET, p->name, &to.sin_addr) != 1)
		die(p->name);
	for (unsigned i = 0; i < flow_count; i++)
		flow_open(&p->flow[i], &to);
}

static void flow_move(struct flow *f)
{
	ssize_t n = out ? write(f->fd, block, sizeof(block)) : read(f->fd, block, sizeof(block));

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("a connection ended");
	if (n > 0 && !out)
		f->received += (uint64_t)n;
}

/* Bytes that have arrived so far. */
static uint64_t flow_progress(const struct flow *f)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	if (!out)
		return f->received;
	if (getsockopt(f->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		die("TCP_INFO");
	return info.tcpi_bytes_acked;
}

static void move_until(double end)
{
	struct epoll_event e[64];
	double left;

	while ((left = end - now()) > 0) {
		int n = epoll_wait(poller, e, 64, (int)(left * 1000) + 1);

		for (int i = 0; i < n; i++)
			flow_move(e[i].data.ptr);
	}
}

static void peer_parse(struct peer *p, const char *text)
{
	const char *at = strchr(text, '@');

	snprintf(p->name, sizeof(p->name), "%.*s", (int)(at ? (size_t)(at - text) : strlen(text)), text);
	p->start = at ? atof(at + 1) : 0;
	p->flow = calloc(flow_count, sizeof(struct flow));
	if (!p->flow)
		die("calloc");
}

/* In order of their start, which is the order they are given in. */
static void start_all(struct peer *peer, unsigned count, double zero)
{
	for (unsigned i = 0; i < count; i++) {
		if (peer[i].start > 0)
			move_until(zero + peer[i].start);
		peer_start(&peer[i]);
	}
}

static void report(struct peer *p, double seconds)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < flow_count; i++)
		bytes += flow_progress(&p->flow[i]) - p->flow[i].counted_from;
	printf("%s %.2f Mbit/s\n", p->name, (double)bytes * 8 / seconds / 1e6);
}

int main(int argc, char **argv)
{
	struct peer peer[PEERS_MAX] = {0};
	unsigned peers = argc > 4 ? (unsigned)argc - 4 : 0;
	double seconds, zero;

	if (peers == 0 || peers > PEERS_MAX || (strcmp(argv[1], "in") != 0 && strcmp(argv[1], "out") != 0))
		return fprintf(stderr, "usage: flows in|out SECONDS COUNT ADDRESS[@START]...\n"), 2;
	signal(SIGPIPE, SIG_IGN);
	out = strcmp(argv[1], "out") == 0;
	seconds = atof(argv[2]);
	flow_count = (unsigned)atoi(argv[3]);
	if (flow_count < 1 || flow_count > FLOWS_MAX)
		return fprintf(stderr, "flows: 1 to %u connections\n", FLOWS_MAX), 2;
	poller = epoll_create1(0);
	for (unsigned i = 0; i < peers; i++)
		peer_parse(&peer[i], argv[4 + i]);
	zero = now();
	start_all(peer, peers, zero);
	move_until(zero + seconds / 2);
	for (unsigned i = 0; i < peers; i++)
		for (unsigned j = 0; j < flow_count; j++)
			peer[i].flow[j].counted_from = flow_progress(&peer[i].flow[j]);
	move_until(zero + seconds);
	for (unsigned i = 0; i < peers; i++)
		report(&peer[i], seconds / 2);
	return 0;
}
