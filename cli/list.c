/* byway list: the table of sockets. The column names, and their lower case in JSON, are stable. */
#include "cli/cli.h"
#include "cli/sockets.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum column {
	COL_ID, COL_PROTO, COL_STATE, COL_RECV_Q, COL_SEND_Q, COL_LOCAL, COL_PEER, COL_UID, COL_PID, COL_PROCESS,
	COL_INODE, COL_COUNT
};

static const struct {
	const char *name;
	bool number;
} columns[COL_COUNT] = {
	[COL_ID] = {"ID", true},         [COL_PROTO] = {"PROTO", false},   [COL_STATE] = {"STATE", false},
	[COL_RECV_Q] = {"RECV-Q", true}, [COL_SEND_Q] = {"SEND-Q", true},  [COL_LOCAL] = {"LOCAL", false},
	[COL_PEER] = {"PEER", false},    [COL_UID] = {"UID", true},        [COL_PID] = {"PID", true},
	[COL_PROCESS] = {"PROCESS", false}, [COL_INODE] = {"INODE", true},
};

#define COLUMNS_DEFAULT COL_INODE /* all before it */
#define COLUMNS_MAX 32            /* a column may be shown twice */

struct options {
	enum column shown[COLUMNS_MAX];
	size_t shown_count;
	bool json, raw, noheadings;
	unsigned protocols; /* SOCKETS_*; 0: all */
	uint32_t states;
	bool has_port, has_prefix;
	uint16_t port;
	struct prefix prefix;
};

/* ---- options ---- */

static int column_find(const char *name, size_t len)
{
	for (int i = 0; i < COL_COUNT; i++)
		if (strlen(columns[i].name) == len && strncasecmp(columns[i].name, name, len) == 0)
			return i;
	return -1;
}

static int output_fail(const struct command *self, const char *name, size_t len)
{
	char valid[256] = "";

	for (int i = 0; i < COL_COUNT; i++) {
		size_t used = strlen(valid);
		snprintf(valid + used, sizeof(valid) - used, "%s%s", i ? ", " : "", columns[i].name);
	}
	return cli_usage(self, "there is no column \"%.*s\"; the columns are %s", (int)len, name, valid);
}

static int parse_output(const struct command *self, struct options *o, const char *list)
{
	o->shown_count = 0;
	for (const char *at = list;; at++) {
		size_t len = strcspn(at, ",");
		int found = column_find(at, len);
		if (found < 0)
			return output_fail(self, at, len);
		if (o->shown_count == COLUMNS_MAX)
			return cli_usage(self, "more than %d columns", COLUMNS_MAX);
		o->shown[o->shown_count++] = (enum column)found;
		at += len;
		if (!*at)
			return CLI_OK;
	}
}

static int parse_state_option(const struct command *self, struct options *o, const char *list)
{
	const char *bad;
	int bad_len;

	o->states = parse_states(list, &bad, &bad_len);
	if (o->states)
		return CLI_OK;
	return cli_usage(self, "there is no state \"%.*s\"; the states are LISTEN, SYN-SENT, SYN-RECEIVED, "
			 "ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT, CLOSED, "
			 "UNCONN; and all, connected, synchronized", bad_len, bad);
}

static int option_take(const struct command *self, struct options *o, int c)
{
	switch (c) {
	case 'o': return parse_output(self, o, optarg);
	case 's': return parse_state_option(self, o, optarg);
	case 'J': o->json = true; return CLI_OK;
	case 'r': o->raw = true; return CLI_OK;
	case 'n': o->noheadings = true; return CLI_OK;
	case 't': o->protocols |= SOCKETS_TCP; return CLI_OK;
	case 'u': o->protocols |= SOCKETS_UDP; return CLI_OK;
	case 'p':
		o->has_port = parse_port(optarg, &o->port);
		return o->has_port ? CLI_OK : cli_usage(self, "\"%s\" is not a port (0 to 65535)", optarg);
	case 'a':
		o->has_prefix = parse_prefix(optarg, &o->prefix);
		return o->has_prefix ? CLI_OK : cli_usage(self, "\"%s\" is not an address (198.18.0.2) or a "
							  "network (198.18.0.0/15)", optarg);
	default: return CLI_USAGE;
	}
}

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'}, {"json", no_argument, NULL, 'J'},
	{"raw", no_argument, NULL, 'r'},          {"noheadings", no_argument, NULL, 'n'},
	{"state", required_argument, NULL, 's'},  {"port", required_argument, NULL, 'p'},
	{"address", required_argument, NULL, 'a'}, {"tcp", no_argument, NULL, 't'},
	{"udp", no_argument, NULL, 'u'},          CLI_OPTIONS,
};

/* False: cli->status is the exit status. */
static bool options_parse(struct cli *cli, const struct command *self, struct options *o, int argc, char **argv)
{
	int c;

	*o = (struct options){.states = UINT32_MAX, .shown_count = COLUMNS_DEFAULT};
	for (size_t i = 0; i < COLUMNS_DEFAULT; i++)
		o->shown[i] = (enum column)i;
	while ((c = cli_option(cli, self, argc, argv, "o:Jrns:p:a:tuh", long_options)) != -1) {
		if (c == CLI_OPTION_END)
			return false;
		cli->status = option_take(self, o, c);
		if (cli->status != CLI_OK)
			return false;
	}
	if (optind < argc)
		cli->status = cli_usage(self, "\"%s\" is one word too many", argv[optind]);
	if (o->json && o->raw)
		cli->status = cli_usage(self, "--json and --raw exclude each other");
	if (!o->protocols)
		o->protocols = SOCKETS_ALL;
	return cli->status == CLI_OK;
}

/* ---- the table ---- */

static bool row_wanted(const struct options *o, const struct socket_row *row)
{
	if (o->has_port && row->local.port != o->port && row->remote.port != o->port)
		return false;
	return !o->has_prefix || prefix_contains(&o->prefix, &row->local) || prefix_contains(&o->prefix, &row->remote);
}

/* A cell's text; NULL: empty. */
static const char *cell(const struct socket_row *row, enum column column, char out[FORMAT_ADDRESS])
{
	uint64_t number = 0;

	switch (column) {
	case COL_PROTO: return row->protocol == IPPROTO_TCP ? "tcp" : row->protocol == IPPROTO_UDP ? "udp" : "ping";
	case COL_STATE: return format_state(row->state, row->protocol != IPPROTO_TCP);
	case COL_LOCAL: return format_address(out, &row->local);
	case COL_PEER: return format_address(out, &row->remote);
	case COL_PROCESS: return row->process[0] ? row->process : NULL;
	case COL_ID: number = row->id; break;
	case COL_RECV_Q: number = row->recv_q; break;
	case COL_SEND_Q: number = row->send_q; break;
	case COL_UID: number = row->uid; break;
	case COL_PID:
		if (!row->pid)
			return NULL;
		number = row->pid;
		break;
	case COL_INODE:
		if (!row->inode)
			return NULL;
		number = row->inode;
		break;
	case COL_COUNT: return NULL;
	}
	snprintf(out, FORMAT_ADDRESS, "%" PRIu64, number);
	return out;
}

static int table_add_columns(struct libscols_table *table, const struct options *o)
{
	for (size_t i = 0; i < o->shown_count; i++) {
		bool number = columns[o->shown[i]].number;
		struct libscols_column *c = scols_table_new_column(table, columns[o->shown[i]].name, 0,
								   number ? SCOLS_FL_RIGHT : 0);
		if (!c || scols_column_set_json_type(c, number ? SCOLS_JSON_NUMBER : SCOLS_JSON_STRING) < 0)
			return -1;
	}
	return 0;
}

static int table_add_row(struct libscols_table *table, const struct options *o, const struct socket_row *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char text[FORMAT_ADDRESS];

	if (!line)
		return -1;
	for (size_t i = 0; i < o->shown_count; i++) {
		const char *data = cell(row, o->shown[i], text);
		if (data && scols_line_set_data(line, i, data) < 0)
			return -1;
	}
	return 0;
}

static int table_fill(struct libscols_table *table, const struct options *o, const struct socket_table *t)
{
	scols_table_set_name(table, "sockets");
	scols_table_enable_json(table, o->json);
	scols_table_enable_raw(table, o->raw);
	scols_table_enable_noheadings(table, o->noheadings);
	if (table_add_columns(table, o) < 0)
		return -1;
	for (size_t i = 0; i < t->count; i++)
		if (row_wanted(o, &t->rows[i]) && table_add_row(table, o, &t->rows[i]) < 0)
			return -1;
	return 0;
}

static int table_show(const struct options *o, const struct socket_table *t)
{
	struct libscols_table *table = scols_new_table();
	int error = table ? table_fill(table, o, t) : -1;

	/* An empty table has headings, too; libsmartcols prints them only above lines. */
	if (!error && scols_table_get_nlines(table) == 0 && !o->json && !o->noheadings)
		for (size_t i = 0; i < o->shown_count; i++)
			printf("%s%c", columns[o->shown[i]].name, i + 1 < o->shown_count ? ' ' : '\n');
	else if (!error)
		error = scols_print_table(table);
	scols_unref_table(table);
	return error ? cli_fail("cannot print the table: %s", strerror(ENOMEM)) : CLI_OK;
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	struct socket_table t;
	struct options o;
	char why[320];

	setlocale(LC_CTYPE, "");
	if (!options_parse(cli, self, &o, argc, argv))
		return cli->status;
	struct byway *b = cli_open(cli);
	if (!b)
		return CLI_FAILURE;
	int error = sockets_read(b, &t, o.protocols, o.states);
	if (error)
		cli->status = cli_fail("cannot read the sockets: %s", cli_reason(b, why, sizeof(why)));
	byway_close(b);
	if (error)
		return cli->status;
	sockets_find_processes(&t);
	cli->status = table_show(&o, &t);
	sockets_free(&t);
	return cli->status;
}

const struct command command_list = {
	.name = "list",
	.arguments = "[OPTIONS]",
	.summary = "Shows the sockets of the stack, one a line",
	.help = "Of a listening socket RECV-Q and SEND-Q are the accept queue's length and limit,\n"
		"of others bytes. PID and PROCESS are who has the socket open now; [name] is a\n"
		"service of the daemon.\n\n"
		"  -s, --state NAMES     only these states: LISTEN, ESTABLISHED, TIME-WAIT, ...;\n"
		"                        also all, connected, synchronized; separated by commas\n"
		"  -p, --port N          only this port, local or the peer's\n"
		"  -a, --address A[/N]   only this address or network, local or the peer's\n"
		"  -t, --tcp             only TCP\n"
		"  -u, --udp             only UDP\n"
		"  -o, --output LIST     these columns: ID, PROTO, STATE, RECV-Q, SEND-Q, LOCAL, PEER,\n"
		"                        UID, PID, PROCESS, INODE\n"
		"  -J, --json            as JSON: {\"sockets\": [...]}\n"
		"  -r, --raw             columns separated by one space, nothing padded\n"
		"  -n, --noheadings      without the first line\n",
	.run = run,
};
