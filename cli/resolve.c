/*
 * byway resolve: the addresses of a name, asked through the stack. It starts itself again under
 * byway run and asks with the C library's resolver, as programs there do; one name server after
 * the other, so that it can tell which one answered.
 */
#include "cli/run.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX 65535 /* bytes of an answer over TCP, RFC 1035 4.2.2 */
#define INSIDE "BYWAY_RESOLVE_INSIDE" /* in the environment: this is the second start */

static uint64_t now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The answers of section "answer" that are aliases or addresses; their number. */
static unsigned print_answers(const uint8_t *answer, int len)
{
	char text[INET6_ADDRSTRLEN], alias[NS_MAXDNAME];
	unsigned found = 0;
	ns_msg message;
	ns_rr rr;

	if (ns_initparse(answer, len, &message) < 0)
		return 0;
	for (int i = 0; i < ns_msg_count(message, ns_s_an) && ns_parserr(&message, ns_s_an, i, &rr) == 0; i++) {
		if (ns_rr_type(rr) == ns_t_a && ns_rr_rdlen(rr) == 4) {
			printf("  %-10s %s\n", "address", inet_ntop(AF_INET, ns_rr_rdata(rr), text, sizeof(text)));
			found++;
		} else if (ns_rr_type(rr) == ns_t_cname &&
			   ns_name_uncompress(answer, answer + len, ns_rr_rdata(rr), alias, sizeof(alias)) > 0) {
			printf("  %-10s %s\n", "alias", alias);
		}
	}
	return found;
}

/* True: this server has answered, if only that there is no such name; *status says how that went. */
static bool ask(res_state state, const char *name, bool configured, int *status)
{
	static uint8_t answer[ANSWER_MAX];
	char server[INET_ADDRSTRLEN], time[FORMAT_TEXT];
	uint64_t before = now_usec();

	inet_ntop(AF_INET, &state->nsaddr_list[0].sin_addr, server, sizeof(server));
	int len = res_nsearch(state, name, ns_c_in, ns_t_a, answer, sizeof(answer));
	if (len < 0 && state->res_h_errno == TRY_AGAIN) {
		fprintf(stderr, "byway: resolve: %s does not answer\n", server);
		return false;
	}
	if (len >= 0 && print_answers(answer, len < ANSWER_MAX ? len : ANSWER_MAX) > 0)
		*status = CLI_OK;
	else
		*status = cli_fail("resolve: %s: %s", name,
				   state->res_h_errno == HOST_NOT_FOUND ? "there is no such name" : "it has no IPv4 address");
	printf("  %-10s %s (%s)\n", "server", server, configured ? "[Network] DNS=" : "the host's resolv.conf");
	printf("  %-10s %s\n", "time", format_usec(time, now_usec() - before));
	return true;
}

static void set_server(res_state state, const struct byway_address *server)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	talk_address_to((void *)&sa, &len, server);
	state->nsaddr_list[0] = sa;
	state->nscount = 1;
}

/* Under byway run. */
static int resolve(struct byway *b, const char *name)
{
	struct __res_state state;
	struct names n;
	int status = CLI_FAILURE;

	memset(&state, 0, sizeof(state));
	if (names_read(b, &n) < 0)
		return cli_fail("resolve: %s", strerror(errno));
	if (res_ninit(&state) != 0)
		return cli_fail("resolve: the C library's resolver does not start");
	unsigned count = n.servers ? n.servers : n.hosts;
	bool answered = false;
	for (unsigned i = 0; i < count && !answered; i++) {
		set_server(&state, n.servers ? &n.server[i] : &n.host[i]);
		answered = ask(&state, name, n.servers > 0, &status);
	}
	res_nclose(&state);
	if (count == 0)
		return cli_fail("resolve: there is no name server; set [Network] DNS= of bywayd.conf");
	return answered ? status : cli_fail("resolve: %s: no name server answers", name);
}

static int start_again(struct cli *cli, const char *name)
{
	char program[] = "/proc/self/exe", command[] = "resolve", copy[NS_MAXDNAME];
	char *argv[] = {program, command, copy, NULL};

	snprintf(copy, sizeof(copy), "%s", name);
	setenv(INSIDE, "1", 1);
	if (cli->socket)
		setenv("BYWAY_SOCKET", cli->socket, 1);
	return run_start(cli, argv);
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {CLI_OPTIONS};

	if (cli_option(cli, self, argc, argv, "h", options) != -1)
		return cli->status;
	if (optind + 1 != argc)
		return cli_usage(self, "one name is needed");
	if (strlen(argv[optind]) >= NS_MAXDNAME)
		return cli_usage(self, "the name is too long");
	if (!getenv(INSIDE))
		return start_again(cli, argv[optind]);
	struct byway *b = cli_open(cli);
	if (!b)
		return CLI_FAILURE;
	int status = resolve(b, argv[optind]);
	byway_close(b);
	return status;
}

const struct command command_resolve = {
	.name = "resolve",
	.arguments = "NAME",
	.summary = "Asks the stack's name server for a name's addresses",
	.help = "Shows the IPv4 addresses, the server that answered, and how long it took.\n\n",
	.run = run,
};
