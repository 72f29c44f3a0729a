/*
 * A local process that holds sockets of the stack by <byway.h>, for what the CLI cannot show:
 * a listener that never accepts, one process with hundreds of connections, unconnected UDP.
 *
 *      owner listen PORT BACKLOG   listens and never accepts
 *      owner echo PORT BACKLOG     answers every connection with what it sends, until killed
 *      owner options ADDRESS PORT  connects, sets and gets options, and says what it got
 *      owner udp PORT              answers every datagram with itself, until killed
 *
 * Says "ready" when the socket is open. Ends with status 1 and a text when something fails.
 */
#include "client/byway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "owner: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static struct sockaddr_in any_address(const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static int open_listener(struct byway *b, const char *port, const char *backlog)
{
	struct sockaddr_in local = any_address(port);
	int fd = byway_listen(b, (const void *)&local, sizeof(local), atoi(backlog));

	if (fd < 0)
		fail(byway_error(b));
	ready();
	return fd;
}

/* Writes all; a peer that has gone is no reason to end. */
static void write_all(int fd, const char *data, ssize_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, (size_t)len, MSG_NOSIGNAL);
		if (n < 0)
			return;
		data += n;
		len -= n;
	}
}

/* True: the connection has ended and was closed. */
static bool echo_once(int fd)
{
	char data[65536];
	ssize_t n = read(fd, data, sizeof(data));

	if (n > 0) {
		write_all(fd, data, n);
		return false;
	}
	close(fd);
	return true;
}

static void accept_one(struct pollfd *fds, nfds_t *count)
{
	int fd = byway_accept(fds[0].fd, NULL, NULL, 0);

	if (fd < 0)
		fail("byway_accept");
	if (*count == CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	fds[(*count)++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void serve(int listener)
{
	static struct pollfd fds[CONNECTIONS_MAX];
	nfds_t count = 1;

	fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
	while (poll(fds, count, -1) >= 0) {
		for (nfds_t i = count - 1; i > 0; i--)
			if (fds[i].revents && echo_once(fds[i].fd))
				fds[i] = fds[--count];
		if (fds[0].revents)
			accept_one(fds, &count);
	}
	fail("poll");
}

static void serve_datagrams(struct byway *b, const char *port)
{
	struct sockaddr_in local = any_address(port), from;
	int fd = byway_datagram(b, (const void *)&local, sizeof(local), NULL, 0, 0);
	char data[65536];

	if (fd < 0)
		fail(byway_error(b));
	ready();
	for (;;) {
		socklen_t from_len = sizeof(from);
		ssize_t n = byway_recvfrom(fd, data, sizeof(data), 0, (void *)&from, &from_len);
		if (n < 0)
			fail("byway_recvfrom");
		byway_sendto(fd, data, (size_t)n, 0, (const void *)&from, from_len);
	}
}

/* A socket, but none of the stack's. */
static int foreign_socket(void)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
		fail("socketpair");
	return fd[0];
}

static int option(struct byway *b, int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (byway_getsockopt(b, fd, level, name, &value, &len) < 0)
		fail(byway_error(b));
	return value;
}

static void preset(struct byway *b, int level, int name, int value)
{
	if (byway_presetsockopt(b, level, name, &value, sizeof(value)) < 0)
		fail(byway_error(b));
}

static int show_options(struct byway *b, const char *address, const char *port)
{
	struct sockaddr_in to = any_address(port);
	int on = 1, queued = -1;

	inet_pton(AF_INET, address, &to.sin_addr);
	preset(b, IPPROTO_TCP, TCP_MAXSEG, 1000);
	preset(b, IPPROTO_TCP, TCP_KEEPIDLE, 17);
	int fd = byway_connect(b, (const void *)&to, sizeof(to), NULL, 0, 0);
	if (fd < 0)
		fail(byway_error(b));
	if (byway_setsockopt(b, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		fail(byway_error(b));
	if (byway_ioctl(b, fd, SIOCOUTQ, &queued) < 0)
		fail(byway_error(b));
	printf("maxseg %d keepidle %d nodelay %d type %d unsent %d\n", option(b, fd, IPPROTO_TCP, TCP_MAXSEG),
	       option(b, fd, IPPROTO_TCP, TCP_KEEPIDLE), option(b, fd, IPPROTO_TCP, TCP_NODELAY),
	       option(b, fd, SOL_SOCKET, SO_TYPE), queued);
	if (byway_setsockopt(b, fd, IPPROTO_TCP, 4711, &on, sizeof(on)) < 0)
		printf("unknown: %s\n", strerror(errno));
	if (byway_setsockopt(b, foreign_socket(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		printf("not the stack's: %s\n", strerror(errno));
	preset(b, IPPROTO_TCP, TCP_MAXSEG, 1);
	if (byway_connect(b, (const void *)&to, sizeof(to), NULL, 0, 0) < 0)
		printf("preset: %s\n", strerror(errno));
	return 0;
}

/* Connects with `text` and shows what comes back. */
static int ask(struct byway *b, const char *address, const char *port, const char *text)
{
	struct sockaddr_in to = any_address(port);
	char answer[200];
	ssize_t n;

	inet_pton(AF_INET, address, &to.sin_addr);
	int fd = byway_connect_data(b, (const void *)&to, sizeof(to), NULL, 0, 0, text, strlen(text));
	if (fd < 0)
		fail(byway_error(b));
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, answer, sizeof(answer))) > 0)
		fwrite(answer, 1, (size_t)n, stdout);
	putchar('\n');
	close(fd);
	byway_close(b);
	return 0;
}

int main(int argc, char **argv)
{
	struct byway *b = byway_open(NULL);

	if (!b)
		fail("byway_open");
	if (argc == 4 && strcmp(argv[1], "listen") == 0) {
		open_listener(b, argv[2], argv[3]);
		for (;;)
			pause();
	}
	if (argc == 4 && strcmp(argv[1], "echo") == 0)
		serve(open_listener(b, argv[2], argv[3]));
	if (argc == 4 && strcmp(argv[1], "options") == 0) {
		int status = show_options(b, argv[2], argv[3]);
		byway_close(b);
		return status;
	}
	if (argc == 5 && strcmp(argv[1], "ask") == 0)
		return ask(b, argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "udp") == 0)
		serve_datagrams(b, argv[2]);
	fputs("usage: owner listen|echo PORT BACKLOG, owner options ADDRESS PORT, owner udp PORT\n", stderr);
	return 2;
}
