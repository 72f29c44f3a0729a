/* byway stats: every counter of the stack, by layer. The layer is what stands before the first point of a name. */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTERS_MAX 1024
#define NAME_MAX_LEN 48

struct counter {
	char name[NAME_MAX_LEN];
	char help[112];
	uint64_t value;
};

struct counters {
	struct counter *item;
	size_t count;
};

/* ---- reading ---- */

static void copy_string(char *out, size_t size, const struct nlattr *a)
{
	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		snprintf(out, size, "%s", mnl_attr_get_str(a));
}

static int take_part(const struct nlattr *a, void *arg)
{
	struct counter *c = arg;

	if (mnl_attr_get_type(a) == BYWAY_A_NAME)
		copy_string(c->name, sizeof(c->name), a);
	else if (mnl_attr_get_type(a) == BYWAY_A_HELP)
		copy_string(c->help, sizeof(c->help), a);
	else if (mnl_attr_get_type(a) == BYWAY_A_VALUE && mnl_attr_get_payload_len(a) == sizeof(uint64_t))
		c->value = mnl_attr_get_u64(a);
	return MNL_CB_OK;
}

static int take_counter(const struct nlattr *a, void *arg)
{
	struct counters *all = arg;

	if (mnl_attr_get_type(a) != BYWAY_A_COUNTER)
		return MNL_CB_OK;
	if (all->count == COUNTERS_MAX)
		return MNL_CB_ERROR;
	struct counter *c = &all->item[all->count++];
	return mnl_attr_parse_nested(a, take_part, c);
}

static int take_stats(const struct nlmsghdr *m, void *arg)
{
	return m->nlmsg_type == BYWAY_STATS ? mnl_attr_parse(m, 0, take_counter, arg) : MNL_CB_ERROR;
}

/* ---- showing ---- */

static size_t layer_length(const struct counter *c)
{
	return strcspn(c->name, ".");
}

static bool in_layer(const struct counter *c, const char *layer)
{
	return !layer || (strlen(layer) == layer_length(c) && strncmp(c->name, layer, strlen(layer)) == 0);
}

static bool same_layer(const struct counter *a, const struct counter *b)
{
	return layer_length(a) == layer_length(b) && strncmp(a->name, b->name, layer_length(a)) == 0;
}

struct options {
	const char *layer; /* NULL: all */
	bool json, nonzero;
};

static bool wanted(const struct options *o, const struct counter *c)
{
	return in_layer(c, o->layer) && (c->value || !o->nonzero);
}

static void print_text(const struct options *o, const struct counters *all)
{
	const struct counter *before = NULL;
	char number[FORMAT_NUMBER];

	for (size_t i = 0; i < all->count; i++) {
		const struct counter *c = &all->item[i];
		int layer = (int)layer_length(c);
		if (!wanted(o, c))
			continue;
		if (!before || !same_layer(before, c))
			printf("%s%.*s\n", before ? "\n" : "", layer, c->name);
		printf("  %-24s %20s  %s\n", c->name[layer] ? c->name + layer + 1 : c->name,
		       format_count(number, c->value), c->help);
		before = c;
	}
}

static void print_json(const struct options *o, const struct counters *all)
{
	const char *before = "";

	fputs("{\n   \"counters\": [", stdout);
	for (size_t i = 0; i < all->count; i++) {
		const struct counter *c = &all->item[i];
		if (!wanted(o, c))
			continue;
		printf("%s\n      {\"layer\": ", before);
		format_json_string(stdout, c->name, layer_length(c));
		fputs(", \"name\": ", stdout);
		format_json_string(stdout, c->name, strlen(c->name));
		printf(", \"value\": %" PRIu64 ", \"help\": ", c->value);
		format_json_string(stdout, c->help, strlen(c->help));
		putchar('}');
		before = ",";
	}
	puts("\n   ]\n}");
}

static bool layer_known(const struct counters *all, const char *layer)
{
	for (size_t i = 0; i < all->count; i++)
		if (in_layer(&all->item[i], layer))
			return true;
	return false;
}

static int layer_fail(const struct command *self, const struct counters *all, const char *layer)
{
	char valid[256] = "";

	for (size_t i = 0; i < all->count; i++) {
		size_t used = strlen(valid);
		if (i == 0 || !same_layer(&all->item[i - 1], &all->item[i]))
			snprintf(valid + used, sizeof(valid) - used, "%s%.*s", i ? ", " : "",
				 (int)layer_length(&all->item[i]), all->item[i].name);
	}
	return cli_usage(self, "there is no layer \"%s\"; the layers are %s", layer, valid);
}

static int stats(struct byway *b, const struct command *self, const struct options *o)
{
	struct counters all = {.item = calloc(COUNTERS_MAX, sizeof(struct counter))};
	int status = CLI_OK;
	char why[320];

	if (!all.item)
		return cli_fail("out of memory");
	if (talk_exchange(b, talk_begin(b, BYWAY_GET_STATS, NLM_F_DUMP), take_stats, &all, NULL) < 0)
		status = cli_fail("cannot read the counters: %s", cli_reason(b, why, sizeof(why)));
	else if (!layer_known(&all, o->layer))
		status = layer_fail(self, &all, o->layer);
	else if (o->json)
		print_json(o, &all);
	else
		print_text(o, &all);
	free(all.item);
	return status;
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'J'},
						{"nonzero", no_argument, NULL, 'z'}, CLI_OPTIONS};
	struct options o = {0};
	int c;

	while ((c = cli_option(cli, self, argc, argv, "Jzh", options)) != -1) {
		if (c == CLI_OPTION_END)
			return cli->status;
		o.json |= c == 'J';
		o.nonzero |= c == 'z';
	}
	if (optind + 1 < argc)
		return cli_usage(self, "\"%s\" is one word too many", argv[optind + 1]);
	o.layer = argv[optind];
	struct byway *b = cli_open(cli);
	if (!b)
		return CLI_FAILURE;
	int status = stats(b, self, &o);
	byway_close(b);
	return status;
}

const struct command command_stats = {
	.name = "stats",
	.arguments = "[OPTIONS] [LAYER]",
	.summary = "Shows the counters of the stack, by layer",
	.help = "LAYER is what stands before the point in a counter's name: tcp, ip4, arp, ...\n\n"
		"  -z, --nonzero         without counters that are zero\n"
		"  -J, --json            as JSON: {\"counters\": [{\"layer\", \"name\", \"value\", \"help\"}]}\n",
	.run = run,
};
