/* byway kill: ends a socket at once, as `ss --kill` does: a connection is reset, a listener closed. */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>

static int destroy(struct byway *b, uint64_t id)
{
	struct nlmsghdr *m = talk_begin(b, SOCK_DESTROY, NLM_F_ACK);
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(m, sizeof(*req));

	req->sdiag_family = AF_INET;
	req->sdiag_protocol = IPPROTO_TCP;
	req->id.idiag_cookie[0] = (uint32_t)id;
	req->id.idiag_cookie[1] = (uint32_t)(id >> 32);
	return talk_exchange(b, m, NULL, NULL, NULL);
}

static int kill_one(struct byway *b, uint64_t id)
{
	char why[320];

	if (destroy(b, id) == 0)
		return CLI_OK;
	if (errno == ENOENT)
		return cli_fail("there is no socket %" PRIu64, id);
	return cli_fail("cannot kill socket %" PRIu64 ": %s", id, cli_reason(b, why, sizeof(why)));
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {CLI_OPTIONS};
	uint64_t id;

	if (cli_option(cli, self, argc, argv, "h", options) != -1)
		return cli->status;
	if (optind == argc)
		return cli_usage(self, "a socket's ID is needed (the first column of byway list)");
	for (int i = optind; i < argc; i++)
		if (!parse_id(argv[i], &id))
			return cli_usage(self, "\"%s\" is not an ID (the first column of byway list)", argv[i]);
	struct byway *b = cli_open(cli);
	if (!b)
		return CLI_FAILURE;
	int status = CLI_OK;
	for (int i = optind; i < argc; i++)
		if (parse_id(argv[i], &id) && kill_one(b, id) != CLI_OK)
			status = CLI_FAILURE;
	byway_close(b);
	return status;
}

const struct command command_kill = {
	.name = "kill",
	.arguments = "ID...",
	.summary = "Ends sockets at once: a connection is reset, a listener closed",
	.help = "ID is the first column of byway list.\n\n",
	.run = run,
};
