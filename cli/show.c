/*
 * byway show: one control block, group by group. What there is to show, its order, its labels
 * and its units are the table BYWAY_TCB_FIELDS of client/protocol.h; nothing is listed twice.
 */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 32
#define LABEL_WIDTH 28

struct field {
	const char *key, *label;
	enum byway_tcb_group group;
	enum byway_unit unit;
};

static const struct field fields[BYWAY_TCB_MAX] = {
#define FIELD(id, key, label, group, unit) [BYWAY_TCB_##id] = {key, label, BYWAY_GROUP_##group, BYWAY_UNIT_##unit},
	BYWAY_TCB_FIELDS(FIELD)
#undef FIELD
};

static const char *const group_titles[BYWAY_GROUP_COUNT] = {
#define TITLE(id, title) [BYWAY_GROUP_##id] = title,
	BYWAY_TCB_GROUPS(TITLE)
#undef TITLE
};

/* The answer, by attribute; what is absent is NULL. */
struct block {
	const struct nlattr *attr[BYWAY_TCB_MAX];
	const struct nlattr *change[CHANGES_MAX];
	unsigned changes;
};

/* ---- reading ---- */

static bool field_valid(enum byway_unit unit, const struct nlattr *a)
{
	size_t len = mnl_attr_get_payload_len(a);

	switch (unit) {
	case BYWAY_UNIT_STRING:
		return mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0;
	case BYWAY_UNIT_ADDRESS:
		return len == sizeof(struct byway_address);
	case BYWAY_UNIT_CHANGE:
		return len >= sizeof(struct byway_change);
	case BYWAY_UNIT_NONE:
	case BYWAY_UNIT_SEND_SEQ:
	case BYWAY_UNIT_RECV_SEQ:
	case BYWAY_UNIT_BYTES:
	case BYWAY_UNIT_USEC:
	case BYWAY_UNIT_SEGMENTS:
	case BYWAY_UNIT_SHIFT:
	case BYWAY_UNIT_TIMER:
	case BYWAY_UNIT_BOOL:
	case BYWAY_UNIT_ERRNO:
		return len == sizeof(uint64_t);
	}
	return false;
}

static int take_field(const struct nlattr *a, void *arg)
{
	struct block *block = arg;
	uint16_t type = mnl_attr_get_type(a);

	if (type == BYWAY_TCB_UNSPEC || type >= BYWAY_TCB_MAX)
		return MNL_CB_OK;
	if (!field_valid(fields[type].unit, a))
		return MNL_CB_ERROR;
	if (type == BYWAY_TCB_CHANGE && block->changes < CHANGES_MAX)
		block->change[block->changes++] = a;
	block->attr[type] = a;
	return MNL_CB_OK;
}

static int take_block(const struct nlmsghdr *m, void *arg)
{
	return m->nlmsg_type == BYWAY_TCB ? mnl_attr_parse(m, 0, take_field, arg) : MNL_CB_ERROR;
}

static uint64_t number_of(const struct block *block, unsigned type)
{
	return block->attr[type] ? mnl_attr_get_u64(block->attr[type]) : 0;
}

static struct byway_change change_of(const struct nlattr *a, const char **cause, int *cause_len)
{
	struct byway_change c;

	memcpy(&c, mnl_attr_get_payload(a), sizeof(c));
	c.from[sizeof(c.from) - 1] = c.to[sizeof(c.to) - 1] = 0;
	*cause = (const char *)mnl_attr_get_payload(a) + sizeof(c);
	*cause_len = (int)(mnl_attr_get_payload_len(a) - sizeof(c));
	return c;
}

/* ---- for people ---- */

static const char *format_relative(char *out, const struct block *block, uint64_t n, unsigned base, const char *name)
{
	uint32_t start = (uint32_t)number_of(block, base);

	return format_seq(out, (uint32_t)n, block->attr[base] ? &start : NULL, name);
}

static const char *format_error(char *out, uint64_t n)
{
	snprintf(out, FORMAT_TEXT, "%s", strerror((int)n));
	return out;
}

static const char *format_plain(char *out, uint64_t n, const char *what)
{
	char count[FORMAT_NUMBER];

	snprintf(out, FORMAT_TEXT, "%s%s", format_count(count, n), what);
	return out;
}

static const char *format_number(char *out, const struct block *block, unsigned type)
{
	uint64_t n = number_of(block, type);

	switch (fields[type].unit) {
	case BYWAY_UNIT_SEND_SEQ:
		return type == BYWAY_TCB_ISS ? format_seq(out, (uint32_t)n, NULL, NULL)
					     : format_relative(out, block, n, BYWAY_TCB_ISS, "ISS");
	case BYWAY_UNIT_RECV_SEQ:
		return type == BYWAY_TCB_IRS ? format_seq(out, (uint32_t)n, NULL, NULL)
					     : format_relative(out, block, n, BYWAY_TCB_IRS, "IRS");
	case BYWAY_UNIT_BYTES: return format_bytes(out, n);
	case BYWAY_UNIT_USEC:
	case BYWAY_UNIT_TIMER: return format_usec(out, n);
	case BYWAY_UNIT_SEGMENTS: return format_plain(out, n, "");
	case BYWAY_UNIT_SHIFT: return format_plain(out, n, n == 1 ? " bit" : " bits");
	case BYWAY_UNIT_BOOL: return n ? "yes" : "no";
	case BYWAY_UNIT_ERRNO: return format_error(out, n);
	case BYWAY_UNIT_NONE:
	case BYWAY_UNIT_STRING:
	case BYWAY_UNIT_ADDRESS:
	case BYWAY_UNIT_CHANGE: break;
	}
	snprintf(out, FORMAT_TEXT, "%" PRIu64, n);
	return out;
}

static const char *format_field(char *out, const struct block *block, unsigned type)
{
	struct byway_address address;

	if (fields[type].unit == BYWAY_UNIT_STRING)
		return mnl_attr_get_str(block->attr[type]);
	if (fields[type].unit != BYWAY_UNIT_ADDRESS)
		return format_number(out, block, type);
	memcpy(&address, mnl_attr_get_payload(block->attr[type]), sizeof(address));
	return format_address(out, &address);
}

static void print_history(const struct block *block)
{
	char ago[FORMAT_TEXT];

	for (unsigned i = 0; i < block->changes; i++) {
		const char *cause;
		int len;
		struct byway_change c = change_of(block->change[i], &cause, &len);
		printf("  %11s ago  %-12s -> %-12s %.*s\n", format_usec(ago, c.ago), c.from, c.to, len, cause);
	}
}

static bool group_has_fields(const struct block *block, unsigned group)
{
	for (unsigned type = 1; type < BYWAY_TCB_MAX; type++)
		if (block->attr[type] && fields[type].group == group)
			return true;
	return false;
}

static void print_group(const struct block *block, unsigned group)
{
	char text[FORMAT_TEXT];

	for (unsigned type = 1; type < BYWAY_TCB_MAX; type++) {
		if (!block->attr[type] || fields[type].group != group)
			continue;
		if (fields[type].unit == BYWAY_UNIT_CHANGE)
			print_history(block);
		else
			printf("  %-*s  %s\n", LABEL_WIDTH, fields[type].label, format_field(text, block, type));
	}
}

static void print_block(const struct block *block)
{
	const char *before = "";

	for (unsigned group = 0; group < BYWAY_GROUP_COUNT; group++) {
		if (!group_has_fields(block, group))
			continue;
		printf("%s%s\n", before, group_titles[group]);
		print_group(block, group);
		before = "\n";
	}
}

/* ---- for programs ---- */

static void json_text(const char *text)
{
	format_json_string(stdout, text, strlen(text));
}

static void json_history(const struct block *block)
{
	putchar('[');
	for (unsigned i = 0; i < block->changes; i++) {
		const char *cause;
		int len;
		struct byway_change c = change_of(block->change[i], &cause, &len);
		printf("%s\n         {\"ago\": %" PRIu64 ", \"from\": ", i ? "," : "", c.ago);
		json_text(c.from);
		fputs(", \"to\": ", stdout);
		json_text(c.to);
		fputs(", \"cause\": ", stdout);
		format_json_string(stdout, cause, (size_t)len);
		putchar('}');
	}
	fputs("\n      ]", stdout);
}

static void json_value(const struct block *block, unsigned type)
{
	enum byway_unit unit = fields[type].unit;
	char text[FORMAT_TEXT];

	if (unit == BYWAY_UNIT_CHANGE)
		json_history(block);
	else if (unit == BYWAY_UNIT_STRING || unit == BYWAY_UNIT_ADDRESS)
		json_text(format_field(text, block, type));
	else if (unit == BYWAY_UNIT_BOOL)
		fputs(number_of(block, type) ? "true" : "false", stdout);
	else
		printf("%" PRIu64, number_of(block, type));
}

static void json_block(const struct block *block)
{
	const char *before = "";

	fputs("{\n   \"socket\": {", stdout);
	for (unsigned type = 1; type < BYWAY_TCB_MAX; type++) {
		if (!block->attr[type])
			continue;
		printf("%s\n      \"%s\": ", before, fields[type].key);
		json_value(block, type);
		before = ",";
	}
	puts("\n   }\n}");
}

/* ---- the command ---- */

static int show(struct byway *b, uint64_t id, bool json)
{
	struct nlmsghdr *m = talk_begin(b, BYWAY_GET_TCB, 0);
	struct block block = {0};
	char why[320];

	mnl_attr_put_u64(m, BYWAY_A_ID, id);
	if (talk_exchange(b, m, take_block, &block, NULL) < 0) {
		if (errno == ENOENT)
			return cli_fail("there is no socket %" PRIu64, id);
		return cli_fail("cannot show socket %" PRIu64 ": %s", id, cli_reason(b, why, sizeof(why)));
	}
	if (json)
		json_block(&block);
	else
		print_block(&block);
	return CLI_OK;
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'J'}, CLI_OPTIONS};
	bool json = false;
	uint64_t id;
	int c;

	while ((c = cli_option(cli, self, argc, argv, "Jh", options)) != -1) {
		if (c == CLI_OPTION_END)
			return cli->status;
		json = true;
	}
	if (optind + 1 != argc)
		return cli_usage(self, "one socket's ID is needed (the first column of byway list)");
	if (!parse_id(argv[optind], &id))
		return cli_usage(self, "\"%s\" is not an ID (the first column of byway list)", argv[optind]);
	struct byway *b = cli_open(cli);
	if (!b)
		return CLI_FAILURE;
	int status = show(b, id, json);
	byway_close(b);
	return status;
}

const struct command command_show = {
	.name = "show",
	.arguments = "ID [--json]",
	.summary = "Shows one socket's control block, all of it",
	.help = "ID is the first column of byway list. Sequence numbers are shown as they are and\n"
		"relative to the initial ones (ISS, IRS). What a form of control block does not\n"
		"have (half-open, TIME-WAIT) is left out.\n\n"
		"  -J, --json            as JSON: {\"socket\": {...}}; times in microseconds, sizes in\n"
		"                        bytes, sequence numbers as they are\n",
	.run = run,
};
