/*
 * A local process that holds sockets of the stack by <byway.h>, for what the CLI cannot show:
 * a listener that never accepts, one process with hundreds of connections, unconnected UDP.
 *
 *      owner listen PORT BACKLOG   listens and never accepts
 *      owner echo PORT BACKLOG     answers every connection with what it sends, until killed
 *      owner udp PORT              answers every datagram with itself, until killed
 *
 * Says "ready" when the socket is open. Ends with status 1 and a text when something fails.
 */
#include "client/byway.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	if (argc == 3 && strcmp(argv[1], "udp") == 0)
		serve_datagrams(b, argv[2]);
	fputs("usage: owner listen|echo PORT BACKLOG, owner udp PORT\n", stderr);
	return 2;
}
