/*
 * byway, the command: what its subcommands share. One file a subcommand; format.c and parse.c
 * know nothing of the daemon and are tested by themselves.
 *
 * Exit status: 0 all went well, 1 it did not, 2 wrong usage.
 */
#ifndef BYWAY_CLI_H
#define BYWAY_CLI_H

#include "client/byway.h"
#include "client/talk.h"

#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>

#define CLI_OK 0
#define CLI_FAILURE 1
#define CLI_USAGE 2

/* What was said before the subcommand. */
struct cli {
	const char *socket; /* --socket, or NULL */
	int status;         /* of a command that ends while it parses its options */
};

struct command {
	const char *name;
	const char *arguments; /* one line */
	const char *summary;   /* one line */
	const char *help;      /* options and what else there is to know */
	int (*run)(struct cli *cli, const struct command *self, int argc, char **argv);
};
extern const struct command command_list, command_show, command_stats, command_status, command_connect,
	command_listen, command_kill, command_run, command_resolve;

/* ---- main.c ---- */

/* Options that every subcommand takes: the end of its table for getopt_long. */
#define CLI_OPTION_SOCKET 0x1000
#define CLI_OPTIONS \
	{"socket", required_argument, NULL, CLI_OPTION_SOCKET}, {"help", no_argument, NULL, 'h'}, {0}
/*
 * The next option of a subcommand, or -1 at the end. --socket is seen to here; after --help
 * and after a wrong option it is CLI_OPTION_END, and cli->status is the exit status.
 */
#define CLI_OPTION_END 0x1001
int cli_option(struct cli *cli, const struct command *self, int argc, char **argv, const char *letters,
	       const struct option *options);
/* "byway: NAME: what is wrong", and where help is; returns CLI_USAGE. */
int cli_usage(const struct command *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "byway: what went wrong"; returns CLI_FAILURE. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A conversation with the daemon, or NULL after saying why there is none. */
struct byway *cli_open(const struct cli *cli);
/* The words for errno after a call of libbyway failed, with the daemon's own when they say more. */
const char *cli_reason(const struct byway *b, char *out, size_t size);

/* ---- format.c ---- */

/* How long the texts get at most, with the terminating zero. */
#define FORMAT_ADDRESS 72
#define FORMAT_NUMBER 32
#define FORMAT_TEXT 80
/* "198.18.0.2:7", "*:7", "[2001:db8::1]:7"; "*:*" when nothing is set. */
const char *format_address(char *out, const struct byway_address *a);
/* "1,234,567" */
const char *format_count(char *out, uint64_t n);
/* "1,460 bytes", "67,108,864 bytes (64.0 MiB)" */
const char *format_bytes(char *out, uint64_t n);
/* Microseconds: "850 us", "12.3 ms", "4.20 s", "3 min 20 s", "2 h 5 min", "3 d 4 h" */
const char *format_usec(char *out, uint64_t usec);
/* "3735928559 (ISS+1,461)"; base NULL: the number alone. */
const char *format_seq(char *out, uint32_t seq, const uint32_t *base, const char *name);
/* The name of a state by its number in sock_diag: "ESTABLISHED", UDP: "UNCONN". */
const char *format_state(unsigned state, bool udp);
/* A JSON string with its quotes, as is right for any bytes that are UTF-8. */
void format_json_string(FILE *out, const char *text, size_t len);

/* ---- parse.c ---- */

/* The states of a list "LISTEN,estab" as bits 1 << number in sock_diag; 0: *bad, of *bad_len bytes, is no state. */
uint32_t parse_states(const char *list, const char **bad, int *bad_len);
/* 0 to 65535 */
bool parse_port(const char *text, uint16_t *port);
bool parse_id(const char *text, uint64_t *id);
/* "198.18.0.2", numeric only */
bool parse_address(const char *text, struct in_addr *out);
/* "198.18.0.2:80" or without a port, which is then 0 */
bool parse_endpoint(const char *text, struct sockaddr_in *out);
struct prefix {
	struct in_addr addr;
	unsigned len; /* bits */
};
/* "198.18.0.0/15", or an address alone (/32) */
bool parse_prefix(const char *text, struct prefix *out);
bool prefix_contains(const struct prefix *p, const struct byway_address *a);

/* ---- join.c ---- */

/* What standard input and output are joined with. */
struct join {
	int fd;               /* a descriptor of the stack */
	bool datagram;        /* message boundaries count */
	bool unconnected;     /* a datagram descriptor without a peer: answers go to who wrote last */
	int linger;           /* milliseconds that a datagram socket is read on after the end of input, -1: for ever */
	const char *name;     /* for messages: "connection to 198.18.0.1 port 7" */
};
/* Until both directions have ended. The exit status. */
int join(const struct join *j);

#endif
