/*
 * What calls on sockets cost a program: medians in nanoseconds, on whatever sockets it has (the host's, or, under
 * byway run, the stack's).
 *
 *      calls ADDRESS [ROUNDS]     an address of its own
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 100000

enum { SOCKET, CONNECT, ACCEPT4, SETSOCKOPT, GETSOCKNAME, SENDMSG, WRITE, CLOSE, CALLS };
static const char *const names[CALLS] = {"socket", "connect", "accept4", "setsockopt", "getsockname", "sendmsg-unix",
					 "write", "close"};
static int64_t cost[CALLS][ROUNDS_MAX];

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void must(bool right, const char *what)
{
	if (right)
		return;
	perror(what);
	exit(1);
}

/* What a call takes is put down; its result is the caller's. */
#define TIMED(which, call) \
	({ \
		int64_t before = now(); \
		long result = (call); \
		cost[which][round] = now() - before; \
		must(result >= 0, names[which]); \
		(int)result; \
	})

static void one_round(int round, int listener, const struct sockaddr_in *to, int other)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	int one = 1;
	char x = 0;
	struct iovec byte = {&x, 1};
	struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1};
	struct pollfd p = {.fd = listener, .events = POLLIN};
	char junk;

	int client = TIMED(SOCKET, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	TIMED(CONNECT, connect(client, (const void *)to, sizeof(*to)));
	must(poll(&p, 1, 5000) == 1, "poll");
	int server = TIMED(ACCEPT4, accept4(listener, (void *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC));
	TIMED(SETSOCKOPT, setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	len = sizeof(name);
	TIMED(GETSOCKNAME, getsockname(client, (void *)&name, &len));
	TIMED(SENDMSG, sendmsg(other, &message, 0));
	must(recv(other, &junk, 1, MSG_DONTWAIT) < 0, "recv"); /* it went to the other end */
	TIMED(WRITE, write(client, &x, 1));
	TIMED(CLOSE, close(client));
	close(server);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int rounds = argc > 2 ? atoi(argv[2]) : 1000, pair[2];
	char junk[16];

	if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1)
		return 2;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	must(bind(listener, (const void *)&at, sizeof(at)) == 0 && listen(listener, 128) == 0, "listen");
	must(getsockname(listener, (void *)&at, &len) == 0, "getsockname");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	for (int i = 0; i < rounds; i++) {
		one_round(i, listener, &at, pair[0]);
		must(recv(pair[1], junk, sizeof(junk), 0) == 1, "recv");
	}
	for (int i = 0; i < CALLS; i++) {
		qsort(cost[i], (size_t)rounds, sizeof(cost[i][0]), by_size);
		printf("%s %lld\n", names[i], (long long)cost[i][rounds / 2]);
	}
	return 0;
}
