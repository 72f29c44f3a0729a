/*
 * A client for echo-server: sends standard input to it and prints what comes back.
 *
 *      echo-client ADDRESS PORT
 *
 * "plain:" says how each step is written with the host's own sockets. Both directions are
 * waited for at once, with poll(2): a client that first sends everything and then reads would
 * wait for ever once both buffers are full.
 */
#include <byway.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_SIZE 16384

/*
 * plain: fd = socket(AF_INET, SOCK_STREAM, 0);
 *        connect(fd, (struct sockaddr *)&to, sizeof(to));
 */
static int open_connection(const char *address, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct byway *b = byway_open(NULL); /* plain: nothing, the kernel is always there */

	if (!b)
		err(1, "bywayd cannot be reached");
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		errx(2, "%s is not an IPv4 address", address);
	int fd = byway_connect(b, (struct sockaddr *)&to, sizeof(to), NULL, 0, 0);
	if (fd < 0)
		err(1, "connecting to %s port %u: %s", address, port, byway_error(b));
	byway_close(b); /* the descriptor stays */
	return fd;
}

static void write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err(1, "write");
		data += n;
		len -= (size_t)n;
	}
}

/* What was read and is on its way to the server. */
struct outgoing {
	size_t have, sent;
	bool ended; /* standard input is at its end */
	char data[BUFFER_SIZE];
};

/* plain: shutdown(fd, SHUT_WR), the same: the server sees the end, and we still read. */
static void refill(int fd, struct outgoing *out)
{
	ssize_t n = read(STDIN_FILENO, out->data, sizeof(out->data));

	if (n < 0)
		err(1, "standard input");
	out->have = (size_t)n;
	out->sent = 0;
	out->ended = n == 0;
	if (out->ended)
		shutdown(fd, SHUT_WR);
}

/* plain: the same. Sends what there is room for. */
static void send_some(int fd, struct outgoing *out)
{
	ssize_t n = send(fd, out->data + out->sent, out->have - out->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		err(1, "send");
	if (n > 0)
		out->sent += (size_t)n;
}

int main(int argc, char **argv)
{
	static struct outgoing out;
	static char in[BUFFER_SIZE];

	if (argc != 3)
		errx(2, "usage: echo-client ADDRESS PORT");
	int fd = open_connection(argv[1], (uint16_t)atoi(argv[2]));
	for (;;) {
		bool waiting = out.sent < out.have;
		struct pollfd ready[2] = {
			{.fd = fd, .events = (short)(POLLIN | (waiting ? POLLOUT : 0))},
			{.fd = waiting || out.ended ? -1 : STDIN_FILENO, .events = POLLIN},
		};

		if (poll(ready, 2, -1) < 0)
			err(1, "poll");
		if (ready[1].revents)
			refill(fd, &out);
		if (ready[0].revents & POLLOUT)
			send_some(fd, &out);
		if (!(ready[0].revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		ssize_t n = recv(fd, in, sizeof(in), 0);
		if (n < 0)
			err(1, "recv");
		if (n == 0)
			break;
		write_all(STDOUT_FILENO, in, (size_t)n);
	}
	close(fd);
	return 0;
}
