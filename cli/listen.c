/* byway listen: waits for a connection and joins it to standard input and output. */
#include "cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
	bool udp, keep;
	struct sockaddr_in local;
};

/* Who chose port 0 has to be told which one it became. */
static void announce(const struct byway *b, const struct options *o)
{
	struct sockaddr_in local;
	socklen_t len = sizeof(local);
	char text[INET_ADDRSTRLEN];

	if (o->local.sin_port != 0 || byway_last_local(b, (void *)&local, &len) < 0)
		return;
	fprintf(stderr, "byway: listening on %s port %u\n", inet_ntop(AF_INET, &local.sin_addr, text, sizeof(text)),
		ntohs(local.sin_port));
}

static int open_socket(const struct cli *cli, const struct options *o)
{
	const struct sockaddr *local = (const void *)&o->local;
	struct byway *b = cli_open(cli);
	char why[320];
	int fd;

	if (!b)
		return -1;
	if (o->udp)
		fd = byway_datagram(b, local, sizeof(o->local), NULL, 0, 0);
	else
		fd = byway_listen(b, local, sizeof(o->local), 0);
	if (fd < 0)
		cli_fail("listen on port %u: %s", ntohs(o->local.sin_port), cli_reason(b, why, sizeof(why)));
	else
		announce(b, o);
	byway_close(b);
	return fd;
}

/* The next connection and its name, or -1 after saying what went wrong. */
static int accept_one(int listener, char *name, size_t size)
{
	struct sockaddr_in peer;
	socklen_t len;
	char text[INET_ADDRSTRLEN];
	int fd;

	do {
		len = sizeof(peer);
		fd = byway_accept(listener, (void *)&peer, &len, 0);
		/* The descriptor may be shared with another reader, and non-blocking for its sake. */
		if (fd < 0 && errno == EAGAIN)
			poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, -1);
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0) {
		cli_fail("accept: %s", errno == EINVAL ? "the daemon is gone" : strerror(errno));
		return -1;
	}
	snprintf(name, size, "connection from %s port %u",
		 inet_ntop(AF_INET, &peer.sin_addr, text, sizeof(text)), ntohs(peer.sin_port));
	return fd;
}

static int serve(int listener, const struct options *o)
{
	char name[64];
	int status;

	do {
		int fd = accept_one(listener, name, sizeof(name));
		if (fd < 0)
			return CLI_FAILURE;
		if (!o->keep)
			close(listener);
		status = join(&(struct join){.fd = fd, .name = name});
		close(fd);
	} while (o->keep);
	return status;
}

static int parse_local(const struct command *self, struct options *o, int argc, char **argv)
{
	uint16_t port;

	if (optind + 1 != argc && optind + 2 != argc)
		return cli_usage(self, "a port is needed, or an address and a port");
	o->local = (struct sockaddr_in){.sin_family = AF_INET};
	if (optind + 2 == argc && !parse_address(argv[optind], &o->local.sin_addr))
		return cli_usage(self, "\"%s\" is not an IPv4 address", argv[optind]);
	if (!parse_port(argv[argc - 1], &port))
		return cli_usage(self, "\"%s\" is not a port (0 to 65535)", argv[argc - 1]);
	o->local.sin_port = htons(port);
	if (o->udp && o->keep)
		return cli_usage(self, "--keep is for TCP");
	return CLI_OK;
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"udp", no_argument, NULL, 'u'},
						{"keep", no_argument, NULL, 'k'}, CLI_OPTIONS};
	struct options o = {0};
	int c;

	while ((c = cli_option(cli, self, argc, argv, "ukh", options)) != -1) {
		if (c == CLI_OPTION_END)
			return cli->status;
		o.udp |= c == 'u';
		o.keep |= c == 'k';
	}
	if (parse_local(self, &o, argc, argv) != CLI_OK)
		return CLI_USAGE;
	int fd = open_socket(cli, &o);
	if (fd < 0)
		return CLI_FAILURE;
	if (!o.udp)
		return serve(fd, &o);
	int status = join(&(struct join){.fd = fd, .datagram = true, .unconnected = true, .linger = -1,
					 .name = "UDP socket"});
	close(fd);
	return status;
}

const struct command command_listen = {
	.name = "listen",
	.arguments = "[OPTIONS] [ADDRESS] PORT",
	.summary = "Waits for a connection, joined to standard input and output",
	.help = "Without ADDRESS on all addresses of the stack; port 0 takes a free one and says\n"
		"which. After the first connection no other is taken. The end of input closes our\n"
		"direction; it ends when both directions have.\n\n"
		"  -u, --udp             UDP: what comes is written out, what is read goes to whoever\n"
		"                        wrote last; until killed\n"
		"  -k, --keep            take one connection after the other, until killed\n",
	.run = run,
};
