/*
 * An echo server for many clients, in one thread, with poll(2).
 *
 *      echo-server PORT
 *
 * The steps are those of every course on sockets; "plain:" says how each is written with the
 * host's own. What differs is how descriptors are made: byway_open, byway_listen and
 * byway_accept. From then on they are read, written, polled and closed as any descriptor.
 *
 * A client that sends and does not read gets no more attention than its buffer is large: while
 * bytes wait for it nothing is read from it, so TCP's window tells it to stop.
 */
#include <byway.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX 1000
#define BUFFER_SIZE 16384

struct client {
	size_t have, sent; /* bytes in `data`, and those of them that went back */
	char data[BUFFER_SIZE];
};

/* Place 0 is the listening socket; client i is behind pollfd i, for i from 1. */
static struct pollfd ready[1 + CLIENTS_MAX];
static struct client *client[1 + CLIENTS_MAX];
static nfds_t count = 1;

/*
 * plain: fd = socket(AF_INET, SOCK_STREAM, 0);
 *        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
 *        bind(fd, (struct sockaddr *)&local, sizeof(local));
 *        listen(fd, 128);
 */
static int start_listening(struct byway *b, uint16_t port)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = byway_listen(b, (struct sockaddr *)&local, sizeof(local), 128);

	if (fd < 0)
		err(1, "listening on port %u: %s", port, byway_error(b));
	return fd;
}

/* plain: fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC); */
static void welcome(int listener)
{
	int fd = byway_accept(listener, NULL, NULL, BYWAY_NONBLOCK);

	if (fd < 0 && errno == EINVAL)
		errx(1, "the daemon is gone");
	if (fd < 0)
		return; /* it has gone again, or there are no descriptors left */
	client[count] = malloc(sizeof(*client[count]));
	if (!client[count]) {
		close(fd);
		return;
	}
	client[count]->have = client[count]->sent = 0;
	ready[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/* plain: the same. The last client takes the place that becomes free. */
static void farewell(nfds_t i)
{
	close(ready[i].fd);
	free(client[i]);
	count--;
	ready[i] = ready[count];
	client[i] = client[count];
}

/* plain: recv and send, the same. False: the client is through, or lost. */
static bool serve(int fd, struct client *c)
{
	ssize_t n;

	if (c->have == 0) {
		n = recv(fd, c->data, sizeof(c->data), 0);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR); /* 0: it will send no more */
		c->have = (size_t)n;
	}
	n = send(fd, c->data + c->sent, c->have - c->sent, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->sent += (size_t)n;
	if (c->sent == c->have)
		c->sent = c->have = 0;
	return true;
}

/* One round: whoever has something is served; whoever waits for room is asked about room. */
static void turn(void)
{
	ready[0].events = count <= CLIENTS_MAX ? POLLIN : 0; /* full: new clients wait in the backlog */
	if (poll(ready, count, -1) < 0) {
		if (errno == EINTR)
			return;
		err(1, "poll");
	}
	/* Backwards, as a farewell puts the last client, which has been looked at, into the place. */
	for (nfds_t i = count - 1; i > 0; i--) {
		if (ready[i].revents && !serve(ready[i].fd, client[i]))
			farewell(i);
		else
			ready[i].events = client[i]->have ? POLLOUT : POLLIN;
	}
	if (ready[0].revents)
		welcome(ready[0].fd);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: echo-server PORT");
	struct byway *b = byway_open(NULL); /* plain: nothing, the kernel is always there */
	if (!b)
		err(1, "bywayd cannot be reached");
	ready[0].fd = start_listening(b, (uint16_t)atoi(argv[1]));
	byway_close(b); /* descriptors stay */
	for (;;)
		turn();
}
