/*
 * The configuration: defaults, then the file (libinih), then --set, then the checks that
 * concern several keys. One table says which keys there are. Everything is checked before
 * anything starts; the first mistake is reported as
 *
 *      bywayd: FILE:LINE: [Section] Key=value: what is wrong; remedy
 *
 * and nothing is half applied. A key that may not repeat must not appear twice in the file;
 * --set replaces what the file says.
 */
#include "daemon/config.h"
#include "client/protocol.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) .offset = offsetof(struct config, field), .width = sizeof(((struct config *)0)->field)
#define BOOL(sec, key, field) {.section = sec, .name = key, .parse = config_bool, AT(field)}
#define NUMBER(sec, key, field, low, high) \
	{.section = sec, .name = key, .parse = config_number, .min = low, .max = high, AT(field)}
#define SIZE(sec, key, field, low, high) \
	{.section = sec, .name = key, .parse = config_size, .min = low, .max = high, AT(field)}
#define DURATION(sec, key, field, low, high) \
	{.section = sec, .name = key, .parse = config_duration, .min = low, .max = high, AT(field)}
#define TEXT(sec, key, field, how, text) \
	{.section = sec, .name = key, .parse = how, .max = sizeof(((struct config *)0)->field), \
	 .expects = text, AT(field)}

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define MS(n) ((uint64_t)(n) * 1000)
#define SEC(n) ((uint64_t)(n) * 1000000)
#define PREFIX_EXPECTED "write ADDRESS/LENGTH, such as 198.18.0.2/24"
#define WHO_EXPECTED "users and @groups by name or number, such as root alice @web, at most 16"

static const struct config_key keys[] = {
	{.section = "Link", .name = "Type", .parse = config_link_type, .expects = "write tap or tun"},
	TEXT("Link", "Name", link_name, config_link_name, "write 1 to 15 characters without '/', ':', '%' or blanks"),
	NUMBER("Link", "MTU", mtu, 68, 65535),
	BOOL("Link", "Offload", offload),
	TEXT("Link", "MACAddress", mac, config_mac, "write a unicast hardware address, such as 02:00:5e:10:00:02, or nothing"),
	TEXT("Link", "HostAddress", host, config_host, "write ADDRESS/LENGTH, such as 198.18.0.1/24, or nothing for none"),
	{.section = "Network", .name = "Address", .parse = config_address, .repeats = true,
	 .expects = PREFIX_EXPECTED ", at most 16 and each once"},
	TEXT("Network", "Gateway", gateway, config_gateway, "write an IPv4 address, such as 198.18.0.1, or nothing for none"),
	{.section = "Network", .name = "Route", .parse = config_route, .repeats = true,
	 .expects = "write DESTINATION/LENGTH GATEWAY, such as 10.0.0.0/8 198.18.0.9, at most 32"},
	{.section = "Network", .name = "DNS", .parse = config_dns, .repeats = true,
	 .expects = "write the IPv4 address of a name server, such as 198.18.0.1, at most 3, or nothing for none"},
	TEXT("Control", "Socket", socket_path, config_string, "write a path of 1 to 107 bytes"),
	TEXT("Control", "Group", group, config_string, "write the name of a group"),
	NUMBER("Control", "SocketsPerUser", sockets_per_user, 1, 10000000),
	SIZE("Control", "RingMemory", ring_memory, 0, GIB(1024)),
	BOOL("Control", "Sandbox", sandbox),
	NUMBER("Worker", "Count", workers, 1, WORKERS_MAX),
	DURATION("Worker", "BusyPoll", busy_poll, 0, SEC(1)),
	TEXT("Access", "See", access.see, config_who, "write own, all, or " WHO_EXPECTED),
	TEXT("Access", "Open", access.open, config_who, "write all, nothing, or " WHO_EXPECTED),
	TEXT("Access", "BindPrivileged", access.privileged, config_who, "write all, nothing, or " WHO_EXPECTED),
	TEXT("Access", "Administer", access.administer, config_who, "write " WHO_EXPECTED),
	{.section = "Access", .name = "BindPorts", .parse = config_bind_ports, .repeats = true,
	 .expects = "write WHO: PORTS, such as @web: 80,443,8000-8099, at most 16"},
	{.section = "Access", .name = "BindAddresses", .parse = config_bind_addresses, .repeats = true,
	 .expects = "write WHO: ADDRESSES, such as @web: 198.18.0.3, at most 16"},
	BOOL("Services", "Echo", echo),
	BOOL("Services", "Discard", discard),
	BOOL("Services", "Daytime", daytime),
	BOOL("Services", "Chargen", chargen),
	SIZE("Stack", "Memory", stack.mem_total, MIB(1), GIB(1024)),
	NUMBER("Stack", "SocketsMax", stack.sockets_max, 1, 100000000),
	NUMBER("Stack", "HalfOpenMax", stack.half_open_max, 1, 100000000),
	NUMBER("Stack", "TimeWaitMax", stack.time_wait_max, 1, 100000000),
	NUMBER("Stack", "TTL", stack.ttl, 1, 255),
	{.section = "Stack", .name = "AddressProbe", .parse = config_probe,
	 .expects = "write off, optimistic or strict"},
	SIZE("TCP", "SendBuffer", stack.send_buffer, KIB(4), GIB(1)),
	SIZE("TCP", "SendBufferMax", stack.send_buffer_max, KIB(4), GIB(1)),
	SIZE("TCP", "NotSentLowat", stack.notsent_lowat, 0, GIB(1)),
	SIZE("TCP", "ReceiveBuffer", stack.recv_buffer, KIB(4), GIB(1)),
	SIZE("TCP", "ReceiveBufferMax", stack.recv_buffer_max, KIB(4), GIB(1)),
	{.section = "TCP", .name = "PortRange", .parse = config_ports,
	 .expects = "write FIRST-LAST, such as 49152-65535, from 1024 up"},
	NUMBER("TCP", "SynRetries", stack.syn_retries, 0, 30),
	NUMBER("TCP", "SynAckRetries", stack.synack_retries, 0, 30),
	NUMBER("TCP", "DataRetries", stack.data_retries, 1, 30),
	DURATION("TCP", "MinRTO", stack.rto_min, MS(1), SEC(60)),
	DURATION("TCP", "MaxRTO", stack.rto_max, SEC(1), SEC(3600)),
	DURATION("TCP", "InitialRTO", stack.rto_initial, MS(10), SEC(60)),
	DURATION("TCP", "DelayedAck", stack.delayed_ack, 0, MS(499)),
	DURATION("TCP", "TimeWait", stack.time_wait, MS(1), SEC(600)),
	DURATION("TCP", "FinWait2", stack.fin_wait_2, MS(100), SEC(3600)),
	DURATION("TCP", "KeepAliveIdle", stack.keepalive_idle, SEC(1), SEC(864000)),
	DURATION("TCP", "KeepAliveInterval", stack.keepalive_interval, SEC(1), SEC(86400)),
	NUMBER("TCP", "KeepAliveProbes", stack.keepalive_probes, 1, 100),
	NUMBER("TCP", "Backlog", backlog, 1, 1000000),
	BOOL("TCP", "Timestamps", stack.timestamps),
	BOOL("TCP", "WindowScaling", stack.window_scaling),
	BOOL("TCP", "Sack", stack.sack),
	{.section = "TCP", .name = "ECN", .parse = config_ecn, .expects = "write off, accept or ask"},
	{.section = "TCP", .name = "MTUProbing", .parse = config_mtu_probing, .expects = "write off, black-hole or always"},
	TEXT("TCP", "CongestionControl", stack.congestion_control, config_congestion_control, "write cubic, newreno or bbr"),
	BOOL("TCP", "Pacing", stack.pacing),
	{.section = "TCP", .name = "FastOpen", .parse = config_fastopen, .expects = "write off, client, server or both"},
	NUMBER("ICMP", "Rate", stack.icmp_rate, 1, 10000000),
	NUMBER("ICMP", "Burst", stack.icmp_burst, 1, 10000000),
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_SET };

/* One reading. */
struct reader {
	struct config *config;
	FILE *file;
	const char *name;    /* of the file, for messages */
	unsigned line;       /* the last one that was read */
	bool failed;         /* something was reported: the rest is skipped */
	const char *override; /* the --set in hand, or NULL */
	struct {
		enum source source;   /* where the value comes from */
		unsigned line;        /* in the file */
		const char *override; /* of --set */
	} origin[KEYS];
	unsigned forward_line[CONFIG_FORWARDS]; /* of the last key of each */
};

/* "bywayd: FILE:LINE: " or "bywayd: --set Section.Key=value: ", then the message. */
static void report(struct reader *r, unsigned line, const char *override, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void report(struct reader *r, unsigned line, const char *override, const char *format, ...)
{
	va_list args;

	r->failed = true;
	if (override)
		fprintf(stderr, "bywayd: --set %s: ", override);
	else if (line > 0)
		fprintf(stderr, "bywayd: %s:%u: ", r->name, line);
	else
		fprintf(stderr, "bywayd: %s: ", r->name ? r->name : "defaults");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- the file, line by line ---- */

#define SECTIONS "[Link], [Network], [Control], [Access], [Services], [Stack], [TCP], [ICMP], [Forward \"NAME\"]"

static bool section_known(const char *name, size_t len)
{
	char forward[CONFIG_NAME_MAX];

	if (config_forward_name(name, len, forward))
		return true;
	for (size_t i = 0; i < KEYS; i++)
		if (strlen(keys[i].section) == len && strncmp(keys[i].section, name, len) == 0)
			return true;
	return false;
}

/* A section without keys never reaches the handler, so headings are checked here. */
static void check_heading(struct reader *r, const char *line)
{
	line += strspn(line, " \t");
	if (line[0] != '[')
		return;
	size_t len = strcspn(line + 1, "]\r\n");
	if (line[1 + len] != ']')
		report(r, r->line, NULL, "[%.*s: the heading does not end; write [Section]", (int)len, line + 1);
	else if (!section_known(line + 1, len))
		report(r, r->line, NULL, "[%.*s]: no such section; write one of " SECTIONS, (int)len, line + 1);
}

/* An ini_reader that counts lines and refuses what libinih would silently split or cut. */
static char *read_line(char *buffer, int size, void *arg)
{
	struct reader *r = arg;

	if (r->failed || !fgets(buffer, size, r->file))
		return NULL;
	r->line++;
	size_t len = strlen(buffer);
	if (len > 0 && buffer[len - 1] != '\n' && !feof(r->file)) {
		report(r, r->line, NULL, "the line is longer than %d bytes or holds a zero byte; shorten it", size - 2);
		return NULL;
	}
	check_heading(r, buffer);
	return r->failed ? NULL : buffer;
}

static const struct config_key *find_key(const char *section, const char *name, size_t *index)
{
	for (*index = 0; *index < KEYS; (*index)++)
		if (strcmp(keys[*index].section, section) == 0 && strcmp(keys[*index].name, name) == 0)
			return &keys[*index];
	return NULL;
}

static void report_unknown(struct reader *r, const char *section, const char *name, const char *value)
{
	char known[600] = "";

	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0) {
			size_t used = strlen(known);
			snprintf(known + used, sizeof(known) - used, "%s%s=", used ? ", " : "", keys[i].name);
		}
	if (known[0])
		report(r, r->line, r->override, "[%s] %s=%s: no such key; this section has %s", section, name, value, known);
	else if (section[0])
		report(r, r->line, r->override, "[%s] %s=%s: no such section; write one of " SECTIONS, section, name, value);
	else
		report(r, r->line, r->override, "%s=%s: stands outside of any section; write one of " SECTIONS " above it",
		       name, value);
}

/* True: the section is a forward's, and the key was seen to. */
static bool set_forward(struct reader *r, const char *section, const char *name, const char *value)
{
	char forward[CONFIG_NAME_MAX];

	if (!config_forward_name(section, strlen(section), forward))
		return false;
	const char *wrong = config_forward(r->config, forward, name, value, r->override != NULL);
	if (wrong)
		report(r, r->line, r->override, "[%s] %s=%s: %s", section, name, value, wrong);
	for (unsigned i = 0; i < r->config->forwards; i++)
		if (strcmp(r->config->forward[i].name, forward) == 0)
			r->forward_line[i] = r->override ? 0 : r->line;
	return true;
}

/* One key from the file or from --set. */
static void set_key(struct reader *r, const char *section, const char *name, const char *value)
{
	size_t i;

	if (set_forward(r, section, name, value))
		return;
	char expected[160];
	const struct config_key *key = find_key(section, name, &i);
	enum source source = r->override ? SOURCE_SET : SOURCE_FILE;

	if (!key) {
		report_unknown(r, section, name, value);
		return;
	}
	bool first = r->origin[i].source != source;
	if (!first && !key->repeats && source == SOURCE_FILE) {
		report(r, r->line, NULL, "[%s] %s=%s: given twice, first in line %u; keep one of them",
		       section, name, value, r->origin[i].line);
		return;
	}
	r->origin[i].source = source;
	r->origin[i].line = r->override ? 0 : r->line;
	r->origin[i].override = r->override;
	const char *wrong = key->parse(r->config, key, value, first);
	if (!wrong)
		return;
	config_expects(key, expected, sizeof(expected));
	report(r, r->line, r->override, "[%s] %s=%s: %s; %s", section, name, value, wrong, expected);
}

static int on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;

	if (!r->failed)
		set_key(r, section, name, value ? value : "");
	return !r->failed;
}

static void read_file(struct reader *r)
{
	int line = ini_parse_stream(read_line, r, on_key, r);

	if (!r->failed && line > 0)
		report(r, (unsigned)line, NULL, "neither a [Section] nor a Key=value; correct it or begin it with #");
	if (!r->failed && ferror(r->file))
		report(r, 0, NULL, "cannot be read: %s", strerror(errno));
}

static void apply_override(struct reader *r, const char *text)
{
	char copy[512];
	char *dot, *equals;

	r->override = text;
	if (strlen(text) >= sizeof(copy)) {
		report(r, 0, text, "too long; at most %zu bytes", sizeof(copy) - 1);
		return;
	}
	strcpy(copy, text);
	equals = strchr(copy, '=');
	dot = equals ? memchr(copy, '.', (size_t)(equals - copy)) : NULL;
	if (!dot) {
		report(r, 0, text, "not Section.Key=value; write for example --set Link.MTU=1400");
		return;
	}
	*dot = *equals = '\0';
	set_key(r, copy, dot + 1, equals + 1);
}

/* ---- what several keys must agree on ---- */

/* Reports a conflict at the key that was set last (by source), the first of the two when both are defaults. */
static void report_at(struct reader *r, const char *section, const char *a, const char *b, const char *text)
{
	size_t i, j;

	find_key(section, a, &i);
	if (b && find_key(strcmp(b, "Address") == 0 ? "Network" : section, b, &j) &&
	    r->origin[j].source > r->origin[i].source)
		i = j;
	report(r, r->origin[i].line, r->origin[i].override, "[%s] %s=: %s", keys[i].section, keys[i].name, text);
}

/* The address of ours in whose prefix `addr` lies, or NULL. */
static const struct config_prefix *on_link(const struct config *c, const struct stack_addr *addr)
{
	for (unsigned i = 0; i < c->addresses; i++)
		if (config_same_prefix(&c->address[i].addr, addr, c->address[i].prefix))
			return &c->address[i];
	return NULL;
}

static bool is_ours(const struct config *c, const struct stack_addr *addr)
{
	for (unsigned i = 0; i < c->addresses; i++)
		if (memcmp(&c->address[i].addr, addr, sizeof(*addr)) == 0)
			return true;
	return false;
}

static void check_host(struct reader *r)
{
	struct config *c = r->config;

	if (!c->has_host)
		return;
	const struct config_prefix *ours = on_link(c, &c->host.addr);
	if (is_ours(c, &c->host.addr))
		report_at(r, "Link", "HostAddress", "Address",
			  "the host and the stack have the same address; give the stack another in [Network] Address=");
	else if (!ours || !config_same_prefix(&ours->addr, &c->host.addr, c->host.prefix))
		report_at(r, "Link", "HostAddress", "Address",
			  "the host's address and the stack's are not in one prefix, so they could not talk; "
			  "set [Link] HostAddress= and [Network] Address= to neighbours, such as 198.18.0.1/24 and 198.18.0.2/24");
}

static void check_gateways(struct reader *r)
{
	struct config *c = r->config;
	static const char text[] = "the gateway is not a neighbour; it must lie in the prefix of an [Network] Address= "
				   "and not be that address";

	if (!stack_addr_is_any(&c->gateway) && (!on_link(c, &c->gateway) || is_ours(c, &c->gateway)))
		report_at(r, "Network", "Gateway", "Address", text);
	for (unsigned i = 0; i < c->routes && !r->failed; i++)
		if (!on_link(c, &c->route[i].gateway) || is_ours(c, &c->route[i].gateway))
			report_at(r, "Network", "Route", "Address", text);
}

#define TAP_MTU_MAX (65535 - 14) /* the kernel's limit: the frame has an Ethernet header */

static void check_all(struct reader *r)
{
	struct config *c = r->config;

	if (!c->tun && c->mtu > TAP_MTU_MAX)
		report_at(r, "Link", "MTU", "Type", "a TAP carries at most 65521 bytes; lower MTU= or write Type=tun");
	else if (c->stack.rto_min > c->stack.rto_max)
		report_at(r, "TCP", "MinRTO", "MaxRTO", "MinRTO= is above MaxRTO=; lower it");
	else if (c->stack.rto_initial > c->stack.rto_max)
		report_at(r, "TCP", "InitialRTO", "MaxRTO", "InitialRTO= is above MaxRTO=; lower it");
	if (!r->failed)
		check_host(r);
	if (!r->failed)
		check_gateways(r);
	for (unsigned i = 0; i < c->forwards && !r->failed; i++) {
		const char *wrong = config_forward_check(c, &c->forward[i]);
		if (wrong)
			report(r, r->forward_line[i], NULL, "[Forward \"%s\"]: %s", c->forward[i].name, wrong);
	}
}

/* ---- the whole ---- */

static void set_defaults(struct config *c)
{
	static const uint8_t host[] = {198, 18, 0, 1}, ours[] = {198, 18, 0, 2};

	*c = (struct config){
		.link_name = "byway0",
		.mtu = 1500,
		.offload = true,
		.host = {stack_addr_v4(host), 24},
		.has_host = true,
		.address = {{stack_addr_v4(ours), 24}},
		.addresses = 1,
		.socket_path = BYWAY_SOCKET_DEFAULT,
		.group = "byway",
		.sockets_per_user = 10000,
		.ring_memory = MIB(256),
		.workers = 1,
		.sandbox = true,
		.backlog = 128,
	};
	stack_config_default(&c->stack);
}

bool config_read(struct config *c, FILE *file, const char *name, char *const *overrides, unsigned override_count)
{
	struct reader r = {.config = c, .file = file, .name = name};

	set_defaults(c);
	if (file)
		read_file(&r);
	for (unsigned i = 0; i < override_count && !r.failed; i++)
		apply_override(&r, overrides[i]);
	if (!r.failed)
		check_all(&r);
	return !r.failed;
}

bool config_load(struct config *c, const char *path, char *const *overrides, unsigned override_count)
{
	FILE *file = NULL;

	if (path) {
		file = fopen(path, "re");
		if (!file) {
			fprintf(stderr, "bywayd: %s: cannot be read: %s; name a file that can with --config, "
				"or --config /dev/null for the defaults\n", path, strerror(errno));
			return false;
		}
	}
	bool good = config_read(c, file, path, overrides, override_count);
	if (file)
		fclose(file);
	return good;
}
