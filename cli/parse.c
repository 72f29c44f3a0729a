/* What a person types: addresses, ports, prefixes, names of states. Numbers only; no name is looked up. */
#include "cli/cli.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STATE(n) (1u << (n))
#define ALL 0xffeu
#define SYNCHRONIZED (ALL & ~(STATE(2) | STATE(3) | STATE(7) | STATE(10)))

/* Numbers of sock_diag by the names of the RFC, and those of the host's ss. */
static const struct {
	const char *name;
	uint32_t states;
} state_names[] = {
	{"ESTABLISHED", STATE(1)},  {"estab", STATE(1)},
	{"SYN-SENT", STATE(2)},
	{"SYN-RECEIVED", STATE(3)}, {"syn-recv", STATE(3)},
	{"FIN-WAIT-1", STATE(4)},
	{"FIN-WAIT-2", STATE(5)},
	{"TIME-WAIT", STATE(6)},
	{"CLOSED", STATE(7)},       {"close", STATE(7)},    {"UNCONN", STATE(7)}, {"unconnected", STATE(7)},
	{"CLOSE-WAIT", STATE(8)},
	{"LAST-ACK", STATE(9)},
	{"LISTEN", STATE(10)},      {"listening", STATE(10)},
	{"CLOSING", STATE(11)},
	{"all", ALL},
	{"connected", ALL & ~(STATE(7) | STATE(10))},
	{"synchronized", SYNCHRONIZED},
};

static uint32_t parse_state(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++)
		if (strlen(state_names[i].name) == len && strncasecmp(state_names[i].name, name, len) == 0)
			return state_names[i].states;
	return 0;
}

uint32_t parse_states(const char *list, const char **bad, int *bad_len)
{
	uint32_t all = 0;

	for (const char *at = list;; at++) {
		size_t len = strcspn(at, ",");
		uint32_t one = parse_state(at, len);
		if (!one) {
			*bad = at;
			*bad_len = (int)len;
			return 0;
		}
		all |= one;
		at += len;
		if (!*at)
			return all;
	}
}

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && !*end && *out <= max;
}

bool parse_port(const char *text, uint16_t *port)
{
	uint64_t n;

	if (!parse_number(text, UINT16_MAX, &n))
		return false;
	*port = (uint16_t)n;
	return true;
}

bool parse_id(const char *text, uint64_t *id)
{
	return parse_number(text, UINT64_MAX, id) && *id != 0;
}

bool parse_address(const char *text, struct in_addr *out)
{
	return inet_pton(AF_INET, text, out) == 1;
}

/* The part of text before `mark`, or all of it; *rest is behind the mark, or NULL. False: too long for an address. */
static bool split_address(const char *text, char mark, char host[INET_ADDRSTRLEN], const char **rest)
{
	const char *at = strchr(text, mark);
	size_t len = at ? (size_t)(at - text) : strlen(text);

	*rest = at ? at + 1 : NULL;
	if (len >= INET_ADDRSTRLEN)
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	return true;
}

bool parse_endpoint(const char *text, struct sockaddr_in *out)
{
	char host[INET_ADDRSTRLEN];
	const char *rest;
	uint16_t port = 0;

	*out = (struct sockaddr_in){.sin_family = AF_INET};
	if (!split_address(text, ':', host, &rest) || !parse_address(host, &out->sin_addr) ||
	    (rest && !parse_port(rest, &port)))
		return false;
	out->sin_port = htons(port);
	return true;
}

bool parse_prefix(const char *text, struct prefix *out)
{
	char host[INET_ADDRSTRLEN];
	const char *rest;
	uint64_t len = 32;

	if (!split_address(text, '/', host, &rest) || !parse_address(host, &out->addr) ||
	    (rest && !parse_number(rest, 32, &len)))
		return false;
	out->len = (unsigned)len;
	return true;
}

bool prefix_contains(const struct prefix *p, const struct byway_address *a)
{
	uint32_t mask = p->len ? UINT32_MAX << (32 - p->len) : 0, addr;

	memcpy(&addr, a->addr + 12, sizeof(addr));
	return ((ntohl(addr) ^ ntohl(p->addr.s_addr)) & mask) == 0;
}
