/* byway connect: opens a connection and joins it to standard input and output. */
#include "cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
	bool udp;
	bool has_source;
	struct sockaddr_in source, peer;
	int wait; /* milliseconds that UDP is read on after the end of input */
};

/* The descriptor, or -1 after saying what went wrong. The conversation ends: the descriptor needs it no more. */
static int open_socket(const struct cli *cli, const struct options *o, const char *address, const char *port)
{
	const struct sockaddr *source = o->has_source ? (const void *)&o->source : NULL;
	struct byway *b = cli_open(cli);
	char why[320];
	int fd;

	if (!b)
		return -1;
	if (o->udp)
		fd = byway_datagram(b, source, sizeof(o->source), (const void *)&o->peer, sizeof(o->peer), 0);
	else
		fd = byway_connect(b, (const void *)&o->peer, sizeof(o->peer), source, sizeof(o->source), 0);
	if (fd < 0)
		cli_fail("connect to %s port %s: %s", address, port, cli_reason(b, why, sizeof(why)));
	byway_close(b);
	return fd;
}

static bool parse_seconds(const char *text, int *milliseconds)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0 && s <= 86400))
		return false;
	*milliseconds = (int)(s * 1000);
	return true;
}

static int option_take(const struct command *self, struct options *o, int c)
{
	if (c == 'u')
		o->udp = true;
	else if (c == 's') {
		o->has_source = true;
		if (!parse_endpoint(optarg, &o->source))
			return cli_usage(self, "\"%s\" is not an address or ADDRESS:PORT", optarg);
	} else if (!parse_seconds(optarg, &o->wait))
		return cli_usage(self, "\"%s\" is not a number of seconds", optarg);
	return CLI_OK;
}

static int parse_peer(const struct command *self, struct options *o, int argc, char **argv)
{
	uint16_t port;

	if (optind + 2 != argc)
		return cli_usage(self, "an address and a port are needed");
	o->peer = (struct sockaddr_in){.sin_family = AF_INET};
	if (!parse_address(argv[optind], &o->peer.sin_addr))
		return cli_usage(self, "\"%s\" is not an IPv4 address (names are not looked up)", argv[optind]);
	if (!parse_port(argv[optind + 1], &port) || port == 0)
		return cli_usage(self, "\"%s\" is not a port (1 to 65535)", argv[optind + 1]);
	o->peer.sin_port = htons(port);
	return CLI_OK;
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"udp", no_argument, NULL, 'u'},
						{"source", required_argument, NULL, 's'},
						{"wait", required_argument, NULL, 'w'}, CLI_OPTIONS};
	struct options o = {.wait = 1000};
	char name[64];
	int c;

	while ((c = cli_option(cli, self, argc, argv, "us:w:h", options)) != -1) {
		if (c == CLI_OPTION_END)
			return cli->status;
		if (option_take(self, &o, c) != CLI_OK)
			return CLI_USAGE;
	}
	if (parse_peer(self, &o, argc, argv) != CLI_OK)
		return CLI_USAGE;
	int fd = open_socket(cli, &o, argv[optind], argv[optind + 1]);
	if (fd < 0)
		return CLI_FAILURE;
	snprintf(name, sizeof(name), "connection to %s port %s", argv[optind], argv[optind + 1]);
	int status = join(&(struct join){.fd = fd, .datagram = o.udp, .linger = o.wait, .name = name});
	close(fd);
	return status;
}

const struct command command_connect = {
	.name = "connect",
	.arguments = "[OPTIONS] ADDRESS PORT",
	.summary = "Opens a connection, joined to standard input and output",
	.help = "The end of input closes our direction; what the peer still sends is written out.\n"
		"It ends when both directions have; at a terminal, when the peer's has.\n\n"
		"  -u, --udp             UDP: what one read of the input gives is one datagram\n"
		"  -s, --source A[:PORT] our own address, and port\n"
		"  -w, --wait SECONDS    UDP: end when nothing came for so long after the end of\n"
		"                        input (default 1)\n",
	.run = run,
};
