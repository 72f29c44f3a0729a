/* byway status: the daemon itself: its link, its addresses, how long it has run. */
#include "cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define ADDRESSES_MAX 64
#define RESOLVERS_MAX 3

struct status {
	char version[32], link_name[32], link_type[16];
	uint32_t mtu;
	uint64_t uptime; /* microseconds */
	char address[ADDRESSES_MAX][32];
	unsigned addresses;
	char resolver[RESOLVERS_MAX][FORMAT_ADDRESS]; /* [Network] DNS= */
	unsigned resolvers;
};

static void copy_string(char *out, size_t size, const struct nlattr *a)
{
	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		snprintf(out, size, "%s", mnl_attr_get_str(a));
}

static void take_resolver(struct status *s, const struct nlattr *a)
{
	struct byway_address address;

	if (mnl_attr_get_payload_len(a) != sizeof(address) || s->resolvers == RESOLVERS_MAX)
		return;
	memcpy(&address, mnl_attr_get_payload(a), sizeof(address));
	format_address(s->resolver[s->resolvers++], &address);
}

static int take_attribute(const struct nlattr *a, void *arg)
{
	struct status *s = arg;

	switch (mnl_attr_get_type(a)) {
	case BYWAY_A_VERSION: copy_string(s->version, sizeof(s->version), a); break;
	case BYWAY_A_LINK_NAME: copy_string(s->link_name, sizeof(s->link_name), a); break;
	case BYWAY_A_LINK_TYPE: copy_string(s->link_type, sizeof(s->link_type), a); break;
	case BYWAY_A_LINK_MTU:
		if (mnl_attr_get_payload_len(a) == sizeof(uint32_t))
			s->mtu = mnl_attr_get_u32(a);
		break;
	case BYWAY_A_RESOLVER: take_resolver(s, a); break;
	case BYWAY_A_UPTIME:
		if (mnl_attr_get_payload_len(a) == sizeof(uint64_t))
			s->uptime = mnl_attr_get_u64(a);
		break;
	}
	return MNL_CB_OK;
}

static int take_status(const struct nlmsghdr *m, void *arg)
{
	return m->nlmsg_type == BYWAY_STATUS ? mnl_attr_parse(m, 0, take_attribute, arg) : MNL_CB_ERROR;
}

static int take_address(const struct nlmsghdr *m, void *arg)
{
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(m);
	struct status *s = arg;
	const struct nlattr *a;
	char text[INET_ADDRSTRLEN];

	if (m->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(m) < sizeof(*head))
		return MNL_CB_ERROR;
	if (head->ifa_scope == RT_SCOPE_HOST)
		return MNL_CB_OK; /* that of lo */
	mnl_attr_for_each(a, m, sizeof(*head)) {
		if (mnl_attr_get_type(a) != IFA_LOCAL || mnl_attr_get_payload_len(a) != sizeof(struct in_addr) ||
		    s->addresses == ADDRESSES_MAX)
			continue;
		inet_ntop(AF_INET, mnl_attr_get_payload(a), text, sizeof(text));
		snprintf(s->address[s->addresses++], sizeof(s->address[0]), "%s/%u", text, head->ifa_prefixlen);
	}
	return MNL_CB_OK;
}

static int read_status(struct byway *b, struct status *s)
{
	if (talk_exchange(b, talk_begin(b, BYWAY_GET_STATUS, 0), take_status, s, NULL) < 0)
		return -1;
	struct nlmsghdr *m = talk_begin(b, RTM_GETADDR, NLM_F_DUMP);
	struct rtgenmsg *family = mnl_nlmsg_put_extra_header(m, sizeof(*family));
	family->rtgen_family = AF_INET;
	return talk_exchange(b, m, take_address, s, NULL);
}

static void print_text(const struct status *s)
{
	char text[FORMAT_TEXT];

	printf("  version    %s\n", s->version);
	printf("  running    %s\n", format_usec(text, s->uptime));
	printf("  link       %s (%s, MTU %u bytes)\n", s->link_name, s->link_type, s->mtu);
	for (unsigned i = 0; i < s->addresses; i++)
		printf("  %-10s %s\n", i ? "" : "addresses", s->address[i]);
	for (unsigned i = 0; i < s->resolvers; i++)
		printf("  %-10s %s\n", i ? "" : "names by", s->resolver[i]);
	if (!s->resolvers)
		printf("  %-10s %s\n", "names by", "the host's resolv.conf");
}

static void json_member(const char *key, const char *text)
{
	printf("      \"%s\": ", key);
	format_json_string(stdout, text, strlen(text));
	puts(",");
}

/* `count` texts of `size` bytes each. */
static void json_list(const char *key, const char *text, size_t size, unsigned count, const char *end)
{
	printf("      \"%s\": [", key);
	for (unsigned i = 0; i < count; i++) {
		fputs(i ? ", " : "", stdout);
		format_json_string(stdout, text + i * size, strlen(text + i * size));
	}
	printf("]%s\n", end);
}

static void print_json(const struct status *s)
{
	puts("{\n   \"status\": {");
	json_member("version", s->version);
	printf("      \"uptime\": %" PRIu64 ",\n", s->uptime);
	json_member("link-name", s->link_name);
	json_member("link-type", s->link_type);
	printf("      \"link-mtu\": %u,\n", s->mtu);
	json_list("addresses", s->address[0], sizeof(s->address[0]), s->addresses, ",");
	json_list("resolvers", s->resolver[0], sizeof(s->resolver[0]), s->resolvers, "");
	puts("   }\n}");
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'J'}, CLI_OPTIONS};
	struct status s = {0};
	bool json = false;
	char why[320];
	int c;

	while ((c = cli_option(cli, self, argc, argv, "Jh", options)) != -1) {
		if (c == CLI_OPTION_END)
			return cli->status;
		json = true;
	}
	if (optind < argc)
		return cli_usage(self, "\"%s\" is one word too many", argv[optind]);
	struct byway *b = cli_open(cli);
	if (!b)
		return CLI_FAILURE;
	int status = CLI_OK;
	if (read_status(b, &s) < 0)
		status = cli_fail("cannot read the status: %s", cli_reason(b, why, sizeof(why)));
	else if (json)
		print_json(&s);
	else
		print_text(&s);
	byway_close(b);
	return status;
}

const struct command command_status = {
	.name = "status",
	.arguments = "[--json]",
	.summary = "Shows the daemon's version, link and addresses",
	.help = "  -J, --json            as JSON: {\"status\": {...}}; uptime in microseconds\n",
	.run = run,
};
