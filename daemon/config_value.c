/*
 * How values are written in the configuration: yes/no, whole numbers, sizes (64K, 4M),
 * durations as systemd writes them (200ms, 2s, 1min 30s; a plain number is seconds),
 * addresses, prefixes. Each function stores the value or says what is wrong with the text;
 * nothing is rounded or guessed.
 */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* In the unit that fits best, for messages. */
static void text_in_units(uint64_t value, const struct unit *units, size_t count, char *out, size_t size)
{
	const struct unit *best = &units[0];

	for (size_t i = 1; i < count; i++)
		if (value != 0 && value % units[i].factor == 0)
			best = &units[i];
	snprintf(out, size, "%" PRIu64 "%s", value / best->factor, best->name);
}

static const struct unit duration_units[] = {
	{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"min", 60000000}, {"h", 3600000000u}, {"d", 86400000000u},
};
static const struct unit size_units[] = {{"", 1}, {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}};
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Digits and the unit behind them; moves *text on. False: neither a number nor a known unit, or too large. */
static bool number_with_unit(const char **text, const struct unit *units, size_t count,
			     uint64_t plain, uint64_t *out)
{
	char name[8] = "";
	char *end;
	size_t len = 0;
	uint64_t factor = plain;

	if (!isdigit((unsigned char)**text))
		return false;
	unsigned long long number = strtoull(*text, &end, 10);
	while (isalpha((unsigned char)*end) && len < sizeof(name) - 1)
		name[len++] = *end++;
	if (len > 0) {
		factor = 0;
		for (size_t i = 0; i < count; i++)
			if (strcmp(units[i].name, name) == 0)
				factor = units[i].factor;
	}
	if (factor == 0 || __builtin_mul_overflow((uint64_t)number, factor, out))
		return false;
	*text = end;
	return true;
}

static const char *store(struct config *c, const struct config_key *key, uint64_t value)
{
	char *field = (char *)c + key->offset;

	if (value < key->min || value > key->max)
		return "is out of range";
	switch (key->width) {
	case 1: *(uint8_t *)field = (uint8_t)value; break;
	case 2: *(uint16_t *)(void *)field = (uint16_t)value; break;
	case 4: *(uint32_t *)(void *)field = (uint32_t)value; break;
	case 8: *(uint64_t *)(void *)field = value; break;
	}
	return NULL;
}

const char *config_bool(struct config *c, const struct config_key *key, const char *text, bool first)
{
	static const char *const word[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};

	(void)first;
	for (size_t i = 0; i < COUNT_OF(word); i++)
		for (unsigned value = 0; value < 2; value++)
			if (strcmp(text, word[i][value]) == 0) {
				*((bool *)c + key->offset) = value;
				return NULL;
			}
	return "is neither yes nor no";
}

const char *config_number(struct config *c, const struct config_key *key, const char *text, bool first)
{
	uint64_t value;

	(void)first;
	if (!number_with_unit(&text, NULL, 0, 1, &value) || *text != '\0')
		return "is not a whole number";
	return store(c, key, value);
}

const char *config_size(struct config *c, const struct config_key *key, const char *text, bool first)
{
	uint64_t value;

	(void)first;
	if (!number_with_unit(&text, size_units, COUNT_OF(size_units), 1, &value) || *text != '\0')
		return "is not a size";
	return store(c, key, value);
}

const char *config_duration(struct config *c, const struct config_key *key, const char *text, bool first)
{
	uint64_t sum = 0, part;

	(void)first;
	do {
		if (!number_with_unit(&text, duration_units, COUNT_OF(duration_units), 1000000, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return "is not a time";
		text += strspn(text, " ");
	} while (*text != '\0');
	return store(c, key, sum);
}

const char *config_string(struct config *c, const struct config_key *key, const char *text, bool first)
{
	(void)first;
	if (text[0] == '\0')
		return "is empty";
	if (strlen(text) >= key->max)
		return "is too long";
	strcpy((char *)c + key->offset, text);
	return NULL;
}

const char *config_link_type(struct config *c, const struct config_key *key, const char *text, bool first)
{
	(void)key;
	(void)first;
	if (strcmp(text, "tap") != 0 && strcmp(text, "tun") != 0)
		return "is no type of link";
	c->tun = strcmp(text, "tun") == 0;
	return NULL;
}

/* The kernel's rule (dev_valid_name), and no '%', which asks it to choose a number. */
const char *config_link_name(struct config *c, const struct config_key *key, const char *text, bool first)
{
	if (strpbrk(text, "/:% \t") || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return "is not a name for an interface";
	return config_string(c, key, text, first);
}

const char *config_mac(struct config *c, const struct config_key *key, const char *text, bool first)
{
	unsigned b[6];
	int used = 0;

	(void)key;
	(void)first;
	memset(c->mac, 0, sizeof(c->mac));
	if (text[0] == '\0')
		return NULL;
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &used) != 6 ||
	    text[used] != '\0')
		return "is not a hardware address";
	if (b[0] & 1)
		return "is a group address";
	for (unsigned i = 0; i < 6; i++)
		c->mac[i] = (uint8_t)b[i];
	return NULL;
}

/* ---- addresses ---- */

static uint32_t addr_v4(const struct stack_addr *addr)
{
	uint32_t v;

	memcpy(&v, &addr->byte[12], 4);
	return ntohl(v);
}

static uint32_t mask_of(uint8_t prefix)
{
	return prefix == 0 ? 0 : ~0u << (32 - prefix);
}

bool config_same_prefix(const struct stack_addr *a, const struct stack_addr *b, uint8_t prefix)
{
	return ((addr_v4(a) ^ addr_v4(b)) & mask_of(prefix)) == 0;
}

static const char *parse_addr(const char *text, struct stack_addr *out)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) != 1)
		return "is not an IPv4 address";
	*out = stack_addr_v4(&v4);
	return NULL;
}

/* A.B.C.D/LEN; nothing behind it. */
static const char *parse_prefix(const char *text, struct config_prefix *out)
{
	char addr[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;

	if (!slash || len >= sizeof(addr))
		return "is not ADDRESS/LENGTH";
	memcpy(addr, text, len);
	addr[len] = '\0';
	const char *digits = slash + 1;
	uint64_t prefix;
	if (!number_with_unit(&digits, NULL, 0, 1, &prefix) || *digits != '\0' || prefix > 32)
		return "has no prefix length from 0 to 32";
	out->prefix = (uint8_t)prefix;
	return parse_addr(addr, &out->addr);
}

/* An address that a host can have (RFC 1122 3.2.1.3): no multicast, loopback, broadcast, or network number. */
static const char *check_host_address(const struct config_prefix *p)
{
	uint32_t v = addr_v4(&p->addr), host = ~mask_of(p->prefix);

	if (p->prefix == 0)
		return "has prefix length 0, which would be every address there is";
	if (v >> 24 == 0 || v >> 24 == 127 || v >> 28 >= 0xe)
		return "is not an address that a host can have";
	if (p->prefix < 31 && ((v & host) == 0 || (v & host) == host))
		return "is the network's or the broadcast address, not a host's";
	return NULL;
}

static const char *parse_host_prefix(const char *text, struct config_prefix *out)
{
	const char *wrong = parse_prefix(text, out);

	return wrong ? wrong : check_host_address(out);
}

const char *config_host(struct config *c, const struct config_key *key, const char *text, bool first)
{
	(void)key;
	(void)first;
	c->has_host = text[0] != '\0';
	return c->has_host ? parse_host_prefix(text, &c->host) : NULL;
}

const char *config_address(struct config *c, const struct config_key *key, const char *text, bool first)
{
	struct config_prefix p;
	const char *wrong = parse_host_prefix(text, &p);

	(void)key;
	if (wrong)
		return wrong;
	if (first)
		c->addresses = 0;
	for (unsigned i = 0; i < c->addresses; i++)
		if (memcmp(&c->address[i].addr, &p.addr, sizeof(p.addr)) == 0)
			return "is there already";
	if (c->addresses == CONFIG_ADDRESSES)
		return "is one address too many";
	c->address[c->addresses++] = p;
	return NULL;
}

const char *config_gateway(struct config *c, const struct config_key *key, const char *text, bool first)
{
	(void)key;
	(void)first;
	if (text[0] == '\0') {
		c->gateway = (struct stack_addr){{0}};
		return NULL;
	}
	return parse_addr(text, &c->gateway);
}

const char *config_route(struct config *c, const struct config_key *key, const char *text, bool first)
{
	char dest[64];
	struct config_route r;
	size_t len = strcspn(text, " \t");

	(void)key;
	if (first)
		c->routes = 0;
	if (text[len] == '\0' || len >= sizeof(dest))
		return "is not DESTINATION/LENGTH GATEWAY";
	if (c->routes == CONFIG_ROUTES)
		return "is one route too many";
	memcpy(dest, text, len);
	dest[len] = '\0';
	const char *wrong = parse_prefix(dest, &r.dest);
	if (wrong)
		return wrong;
	if ((addr_v4(&r.dest.addr) & ~mask_of(r.dest.prefix)) != 0)
		return "has bits set behind the prefix";
	wrong = parse_addr(text + len + strspn(text + len, " \t"), &r.gateway);
	if (!wrong)
		c->route[c->routes++] = r;
	return wrong;
}

const char *config_congestion_control(struct config *c, const struct config_key *key, const char *text, bool first)
{
	(void)key;
	(void)first;
	if (!stack_congestion_control_known(text))
		return "is not an algorithm";
	snprintf(c->stack.congestion_control, sizeof(c->stack.congestion_control), "%s", text);
	return NULL;
}

/* One of the names; its place in the list, or -1. */
static int choose(const char *text, const char *const *name, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, name[i]) == 0)
			return (int)i;
	return -1;
}

const char *config_probe(struct config *c, const struct config_key *key, const char *text, bool first)
{
	static const char *const name[] = {
		[STACK_PROBE_OFF] = "off",
		[STACK_PROBE_OPTIMISTIC] = "optimistic",
		[STACK_PROBE_STRICT] = "strict",
	};
	int chosen = choose(text, name, COUNT_OF(name));

	(void)key;
	(void)first;
	if (chosen < 0)
		return "is no way of probing";
	c->stack.probe = (enum stack_probe)chosen;
	return NULL;
}

const char *config_ecn(struct config *c, const struct config_key *key, const char *text, bool first)
{
	static const char *const name[] = {
		[STACK_ECN_OFF] = "off",
		[STACK_ECN_ACCEPT] = "accept",
		[STACK_ECN_ASK] = "ask",
	};
	int chosen = choose(text, name, COUNT_OF(name));

	(void)key;
	(void)first;
	if (chosen < 0)
		return "is not a use of ECN";
	c->stack.ecn = (enum stack_ecn)chosen;
	return NULL;
}

const char *config_mtu_probing(struct config *c, const struct config_key *key, const char *text, bool first)
{
	static const char *const name[] = {
		[STACK_MTU_PROBE_OFF] = "off",
		[STACK_MTU_PROBE_BLACK_HOLE] = "black-hole",
		[STACK_MTU_PROBE_ALWAYS] = "always",
	};
	int chosen = choose(text, name, COUNT_OF(name));

	(void)key;
	(void)first;
	if (chosen < 0)
		return "is no way of probing";
	c->stack.mtu_probing = (enum stack_mtu_probing)chosen;
	return NULL;
}

const char *config_fastopen(struct config *c, const struct config_key *key, const char *text, bool first)
{
	static const char *const name[] = {"off", "client", "server", "both"};
	static const unsigned server = STACK_FASTOPEN_SERVER | STACK_FASTOPEN_ALL_LISTENERS;
	static const unsigned uses[] = {0, STACK_FASTOPEN_CLIENT, server, STACK_FASTOPEN_CLIENT | server};
	int chosen = choose(text, name, COUNT_OF(name));

	(void)key;
	(void)first;
	if (chosen < 0)
		return "is not a use of TCP Fast Open";
	c->stack.fastopen = uses[chosen];
	return NULL;
}

const char *config_ports(struct config *c, const struct config_key *key, const char *text, bool first)
{
	uint64_t low, high;

	(void)key;
	(void)first;
	if (!number_with_unit(&text, NULL, 0, 1, &low) || *text++ != '-' ||
	    !number_with_unit(&text, NULL, 0, 1, &high) || *text != '\0')
		return "is not FIRST-LAST";
	if (low < 1024 || high > 65535)
		return "is outside 1024-65535";
	if (low > high)
		return "runs backwards";
	c->stack.port_first = (uint16_t)low;
	c->stack.port_last = (uint16_t)high;
	return NULL;
}

void config_expects(const struct config_key *key, char *out, size_t size)
{
	char low[32], high[32];

	if (key->expects) {
		snprintf(out, size, "%s", key->expects);
	} else if (key->parse == config_bool) {
		snprintf(out, size, "write yes or no");
	} else if (key->parse == config_duration) {
		text_in_units(key->min, duration_units, COUNT_OF(duration_units), low, sizeof(low));
		text_in_units(key->max, duration_units, COUNT_OF(duration_units), high, sizeof(high));
		snprintf(out, size, "write a time from %s to %s, such as 200ms, 2s or 1min 30s", low, high);
	} else if (key->parse == config_size) {
		text_in_units(key->min, size_units, COUNT_OF(size_units), low, sizeof(low));
		text_in_units(key->max, size_units, COUNT_OF(size_units), high, sizeof(high));
		snprintf(out, size, "write a size in bytes from %s to %s, such as 64K or 4M", low, high);
	} else {
		snprintf(out, size, "write a whole number from %" PRIu64 " to %" PRIu64, key->min, key->max);
	}
}

const char *addr_text(const struct stack_addr *addr, char *text)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool v4 = memcmp(addr->byte, mapped, sizeof(mapped)) == 0;

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr->byte + 12 : addr->byte, text, INET6_ADDRSTRLEN);
	return text;
}
