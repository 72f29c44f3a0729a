/* byway: finds the subcommand, and what all of them share. Without one it is `byway list`. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct command *const commands[] = {
	&command_list, &command_show, &command_stats, &command_status, &command_connect, &command_listen,
	&command_kill, &command_run, &command_resolve,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* ---- errors ---- */

int cli_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("byway: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return CLI_FAILURE;
}

int cli_usage(const struct command *self, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "byway: %s: ", self->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry: byway %s --help\n", self->name);
	return CLI_USAGE;
}

const char *cli_reason(const struct byway *b, char *out, size_t size)
{
	const char *words = strerror(errno), *said = byway_error(b);

	/* A refusal needs no explanation. */
	if (errno == ECONNREFUSED || strcasecmp(words, said) == 0)
		snprintf(out, size, "%s", words);
	else
		snprintf(out, size, "%s (%s)", words, said);
	return out;
}

struct byway *cli_open(const struct cli *cli)
{
	const char *env = getenv("BYWAY_SOCKET");
	const char *path = cli->socket ? cli->socket : env && env[0] ? env : BYWAY_SOCKET_DEFAULT;
	struct byway *b = byway_open(path);

	if (b)
		return b;
	if (errno == EACCES)
		cli_fail("cannot reach bywayd at %s: %s; only root and members of its group may (usermod -aG byway USER)",
			 path, strerror(errno));
	else
		cli_fail("cannot reach bywayd at %s: %s; is it running? (systemctl start bywayd, or --socket PATH)",
			 path, strerror(errno));
	return NULL;
}

/* ---- help ---- */

static int help_all(FILE *out)
{
	fputs("Usage: byway [--socket PATH] [COMMAND] [ARGUMENTS]\n"
	      "Looks into the Byway TCP/IP stack, and opens connections on it.\n\nCommands:\n", out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\nWithout a command it is byway list.\n\n"
	      "      --socket PATH  the daemon's control socket, instead of $BYWAY_SOCKET\n"
	      "                     or " BYWAY_SOCKET_DEFAULT "\n"
	      "  -h, --help         this text; byway COMMAND --help tells more\n"
	      "  -V, --version      the version\n\n"
	      "Exit status: 0 all went well, 1 it did not, 2 wrong usage.\n", out);
	return CLI_OK;
}

static void help_command(const struct command *c)
{
	printf("Usage: byway %s %s\n%s.\n\n%s", c->name, c->arguments, c->summary, c->help);
	puts("      --socket PATH     the daemon's control socket\n"
	     "  -h, --help            this text");
}

/* ---- options ---- */

int cli_option(struct cli *cli, const struct command *self, int argc, char **argv, const char *letters,
	       const struct option *options)
{
	int c;

	while ((c = getopt_long(argc, argv, letters, options, NULL)) == CLI_OPTION_SOCKET)
		cli->socket = optarg;
	if (c == 'h') {
		help_command(self);
		cli->status = CLI_OK;
		return CLI_OPTION_END;
	}
	if (c == '?' || c == ':') {
		/* getopt_long has said what is wrong. */
		fprintf(stderr, "Try: byway %s --help\n", self->name);
		cli->status = CLI_USAGE;
		return CLI_OPTION_END;
	}
	return c;
}

/*
 * Options before the subcommand. The index of what follows them: a subcommand, an option of
 * `list`, or the end; -1: that was all, cli->status is the exit status.
 */
static int global_options(struct cli *cli, char **argv)
{
	int i = 1;

	for (; argv[i]; i++) {
		const char *a = argv[i];
		if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0) {
			cli->status = help_all(stdout);
			return -1;
		}
		if (strcmp(a, "-V") == 0 || strcmp(a, "--version") == 0) {
			puts("byway " BYWAY_VERSION);
			return -1;
		}
		if (strncmp(a, "--socket=", 9) == 0)
			cli->socket = a + 9;
		else if (strcmp(a, "--socket") == 0 && argv[i + 1])
			cli->socket = argv[++i];
		else
			break;
	}
	return i;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* Output that could not be written is a failure. */
static int finish(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_fail("standard output: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	struct cli cli = {.status = CLI_OK};
	const struct command *command = &command_list;
	int at = global_options(&cli, argv);

	if (at < 0)
		return finish(cli.status);
	if (argv[at] && argv[at][0] != '-') {
		command = find_command(argv[at]);
		if (!command) {
			cli_fail("there is no command \"%s\"", argv[at]);
			fputs("Try: byway --help\n", stderr);
			return CLI_USAGE;
		}
	} else {
		at--; /* the options are list's */
	}
	/* getopt_long begins its messages with this. */
	argv[at] = argv[0];
	return finish(command->run(&cli, command, argc - at, argv + at));
}
