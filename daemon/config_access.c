/*
 * The keys of [Access] (access.h): lists of users and @groups, by name or number. Names become
 * numbers here, so that a name that nobody has is a mistake in the configuration and not a
 * rule that never fits.
 */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 512 /* bytes of one value */
#define BLANKS " \t"

/* A whole number up to `max`, with nothing behind it. */
static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoul(text, &end, 10);
	return *end == '\0' && errno == 0 && *out <= max;
}

static const char *parse_id(const char *word, bool *is_group, uint32_t *id)
{
	unsigned long number;

	*is_group = word[0] == '@';
	word += *is_group;
	/* The number with all bits set means "none" to the kernel. */
	if (parse_number(word, UINT32_MAX - 1, &number)) {
		*id = (uint32_t)number;
		return NULL;
	}
	const struct group *g = *is_group ? getgrnam(word) : NULL;
	const struct passwd *p = *is_group ? NULL : getpwnam(word);
	if (!g && !p)
		return *is_group ? "names a group that there is not" : "names a user that there is not";
	*id = g ? g->gr_gid : p->pw_uid;
	return NULL;
}

/* One user, @group or "all" more. */
static const char *list_add(struct access_list *list, const char *word)
{
	if (strcmp(word, "all") == 0) {
		list->all = true;
		return NULL;
	}
	if (list->count == ACCESS_NAMES)
		return "has more than 16 users and groups";
	bool group;
	uint32_t id;
	const char *wrong = parse_id(word, &group, &id);
	if (wrong)
		return wrong;
	list->who[list->count].group = group;
	list->who[list->count++].id = id;
	return NULL;
}

/* Words between `between`, each given to `add`; `text` is written to. */
static const char *each_word(char *text, const char *between, const char *(*add)(void *arg, const char *word), void *arg)
{
	const char *wrong = NULL;
	char *rest = NULL;

	for (char *word = strtok_r(text, between, &rest); word && !wrong; word = strtok_r(NULL, between, &rest))
		wrong = add(arg, word);
	return wrong;
}

static const char *add_who(void *arg, const char *word)
{
	return list_add(arg, word);
}

static const char *parse_list(const char *text, size_t len, struct access_list *list)
{
	char copy[WORDS_MAX];

	*list = (struct access_list){.given = true};
	if (len >= sizeof(copy))
		return "is too long";
	memcpy(copy, text, len);
	copy[len] = '\0';
	return each_word(copy, BLANKS, add_who, list);
}

const char *config_who(struct config *c, const struct config_key *key, const char *text, bool first)
{
	struct access_list *list = (void *)((char *)c + key->offset);

	(void)first;
	if (list == &c->access.see && strcmp(text, "own") == 0)
		text = "";
	return parse_list(text, strlen(text), list);
}

/* "WHO: WHAT": the list is read, `copy` becomes WHAT. */
static const char *parse_rule(const char *text, struct access_list *list, char copy[WORDS_MAX])
{
	const char *colon = strchr(text, ':');

	if (!colon || colon == text)
		return "does not say for whom";
	if (strlen(colon + 1) >= WORDS_MAX)
		return "is too long";
	strcpy(copy, colon + 1);
	return parse_list(text, (size_t)(colon - text), list);
}

static const char *add_range(void *arg, const char *word)
{
	struct access_ports *rule = arg;
	char low[8] = "";
	size_t len = strcspn(word, "-");
	unsigned long first, last;

	if (rule->count == ACCESS_RANGES)
		return "has more than 16 ports and ranges";
	if (len >= sizeof(low))
		return "is not a list of ports";
	memcpy(low, word, len);
	if (!parse_number(low, UINT16_MAX, &first) || !parse_number(word[len] ? word + len + 1 : low, UINT16_MAX, &last) ||
	    first == 0)
		return "is not a list of ports";
	if (first > last)
		return "has a range that runs backwards";
	rule->range[rule->count].first = (uint16_t)first;
	rule->range[rule->count++].last = (uint16_t)last;
	return NULL;
}

const char *config_bind_ports(struct config *c, const struct config_key *key, const char *text, bool first)
{
	struct access_ports rule = {0};
	char what[WORDS_MAX];
	const char *wrong = parse_rule(text, &rule.who, what);

	(void)key;
	if (!wrong)
		wrong = each_word(what, BLANKS ",", add_range, &rule);
	if (wrong)
		return wrong;
	if (first)
		c->access.ports = 0;
	if (rule.count == 0 || c->access.ports == ACCESS_RULES)
		return rule.count ? "is one rule too many" : "names no port";
	c->access.port[c->access.ports++] = rule;
	return NULL;
}

static const char *add_address(void *arg, const char *word)
{
	struct access_addresses *rule = arg;
	struct in_addr v4;

	if (rule->count == ACCESS_RANGES)
		return "has more than 16 addresses";
	if (inet_pton(AF_INET, word, &v4) != 1)
		return "has what is not an IPv4 address";
	rule->address[rule->count++] = stack_addr_v4(&v4);
	return NULL;
}

const char *config_bind_addresses(struct config *c, const struct config_key *key, const char *text, bool first)
{
	struct access_addresses rule = {0};
	char what[WORDS_MAX];
	const char *wrong = parse_rule(text, &rule.who, what);

	(void)key;
	if (!wrong)
		wrong = each_word(what, BLANKS ",", add_address, &rule);
	if (wrong)
		return wrong;
	if (first)
		c->access.addresses = 0;
	if (rule.count == 0 || c->access.addresses == ACCESS_RULES)
		return rule.count ? "is one rule too many" : "names no address";
	c->access.address[c->access.addresses++] = rule;
	return NULL;
}

#define DNS_PORT 53 /* RFC 1035 4.2 */

const char *config_dns(struct config *c, const struct config_key *key, const char *text, bool first)
{
	struct in_addr v4;

	(void)key;
	if (first)
		c->resolvers = 0;
	if (text[0] == '\0')
		return NULL;
	if (inet_pton(AF_INET, text, &v4) != 1)
		return "is not an IPv4 address";
	if (ntohl(v4.s_addr) >> 24 == 127)
		return "is on the loopback, where the stack does not reach the host's name server";
	if (c->resolvers == CONFIG_RESOLVERS)
		return "is one name server too many";
	c->resolver[c->resolvers++] = (struct stack_endpoint){.addr = stack_addr_v4(&v4), .port = DNS_PORT};
	return NULL;
}
