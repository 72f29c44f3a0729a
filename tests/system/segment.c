/*
 * Many UDP datagrams with one call, and what comes of them: UDP_SEGMENT and UDP_GRO, for the host's
 * sockets and those of byway run.
 *
 *   segment send ADDRESS PORT SIZE COUNT CALLS HOW    CALLS times COUNT datagrams of SIZE bytes, the last
 *                                                     of a call 1 byte shorter. HOW they are sent: single,
 *                                                     control (a message), option (of the socket), owner
 *                                                     (the same, through libbyway)
 *   segment receive PORT SECONDS HOW                  single, together (UDP_GRO), or owner (the same, which
 *                                                     has no effect)
 *
 * Both print how many datagrams there were, and a sum over their bytes that does not depend on
 * their order; the receiver also with how many calls it took them. It ends when nothing more came for
 * SECONDS, or nothing at all for ten.
 */
#include "client/byway.h"

#include <arpa/inet.h>
#include <linux/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 65536

static unsigned char message[MESSAGE];
static unsigned long datagrams, calls;
static uint64_t sum;

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

static void count(const unsigned char *data, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u ^ len;

	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 0x100000001b3u;
	sum += h;
	datagrams++;
}

/* ---- sending ---- */

#define PAUSE 20000 /* microseconds between two calls: nothing else holds a sender of datagrams back */

static size_t fill(unsigned long call, size_t size, size_t n)
{
	size_t len = size * n - 1;

	for (size_t i = 0; i < len; i++)
		message[i] = (unsigned char)(call * 31 + i * 7 + i / 251);
	return len;
}

static void send_single(int fd, size_t len, size_t size)
{
	for (size_t at = 0; at < len; at += size)
		if (send(fd, message + at, len - at < size ? len - at : size, 0) < 0)
			die("send");
}

static void send_control(int fd, const struct sockaddr_in *to, size_t len, size_t size)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
	struct msghdr m = {
		.msg_name = (void *)(uintptr_t)to, .msg_namelen = sizeof(*to), .msg_iov = &(struct iovec){message, len},
		.msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	uint16_t segment = (uint16_t)size;

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	if (sendmsg(fd, &m, 0) != (ssize_t)len)
		die("sendmsg");
}

/* A descriptor of the stack's, with an option of UDP. */
static int owner(const struct sockaddr_in *local, const struct sockaddr_in *remote, int name, int value)
{
	struct byway *b = byway_open(NULL);
	int fd = b ? byway_datagram(b, (const void *)local, local ? sizeof(*local) : 0, (const void *)remote,
				    remote ? sizeof(*remote) : 0, 0) : -1;

	if (fd < 0 || byway_setsockopt(b, fd, IPPROTO_UDP, name, &value, sizeof(value)) != 0)
		die("libbyway");
	byway_close(b);
	return fd;
}

static void send_all(const struct sockaddr_in *to, size_t size, size_t n, unsigned long times, const char *how)
{
	bool control = strcmp(how, "control") == 0, ours = strcmp(how, "owner") == 0, option = ours || strcmp(how, "option") == 0;
	int segment = (int)size;
	int fd = ours ? owner(NULL, to, UDP_SEGMENT, segment) : socket(AF_INET, SOCK_DGRAM, 0);

	if (!control && !ours && connect(fd, (const void *)to, sizeof(*to)) != 0)
		die("connect");
	if (option && !ours && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) != 0)
		die("UDP_SEGMENT");
	for (unsigned long i = 0; i < times; i++) {
		size_t len = fill(i, size, n);
		if (control)
			send_control(fd, to, len, size);
		else if (!option)
			send_single(fd, len, size);
		else if (send(fd, message, len, 0) != (ssize_t)len)
			die("send");
		for (size_t at = 0; at < len; at += size)
			count(message + at, len - at < size ? len - at : size);
		usleep(PAUSE);
	}
}

/* ---- receiving ---- */

/* The size of each of the datagrams in a message; 0: there is one. */
static size_t segment_of(struct msghdr *m)
{
	int segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	return (size_t)segment;
}

static void receive_owner(int fd)
{
	ssize_t n;

	for (; (n = byway_recvfrom(fd, message, sizeof(message), 0, NULL, NULL)) > 0; calls++)
		count(message, (size_t)n);
}

static void receive_all(int fd)
{
	for (;;) {
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
		struct msghdr m = {.msg_iov = &(struct iovec){message, sizeof(message)}, .msg_iovlen = 1,
				   .msg_control = control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &m, 0);
		if (n < 0)
			return;
		calls++;
		size_t len = (size_t)n, segment = segment_of(&m);
		for (size_t at = 0; at < len; at += segment) {
			if (segment == 0 || segment > len)
				segment = len;
			count(message + at, len - at < segment ? len - at : segment);
		}
	}
}

static void receive(int port, int seconds, const char *how)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval limit = {.tv_sec = seconds};
	bool ours = strcmp(how, "owner") == 0;
	int fd = ours ? owner(&a, NULL, UDP_GRO, 1) : socket(AF_INET, SOCK_DGRAM, 0), one = 1, room = 16 << 20;

	if (!ours && bind(fd, (void *)&a, sizeof(a)) != 0)
		die("bind");
	if (strcmp(how, "together") == 0 && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)) != 0)
		die("UDP_GRO");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)); /* the sender does not wait */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 10000);
	if (ours)
		receive_owner(fd);
	else
		receive_all(fd);
	close(fd);
}

static void used(double since)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	fprintf(stderr, "%.3f s, cpu %.3f s\n", now() - since,
		(double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

int main(int argc, char **argv)
{
	double start = now();

	if (argc == 8 && strcmp(argv[1], "send") == 0) {
		struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
		inet_pton(AF_INET, argv[2], &to.sin_addr);
		send_all(&to, (size_t)atoi(argv[4]), (size_t)atoi(argv[5]), (unsigned long)atol(argv[6]), argv[7]);
		used(start);
	} else if (argc == 5 && strcmp(argv[1], "receive") == 0) {
		receive(atoi(argv[2]), atoi(argv[3]), argv[4]);
		used(start);
	} else {
		return 2;
	}
	printf("%lu datagrams, sum %016llx\n", datagrams, (unsigned long long)sum);
	if (calls)
		printf("%lu calls\n", calls);
	return 0;
}
