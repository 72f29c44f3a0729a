/*
 * [Forward "NAME"] in the configuration: Listen= and Connect= are places, written as
 *
 *      tcp:PORT   tcp:ADDRESS:PORT   udp:PORT   udp:ADDRESS:PORT   unix:/PATH
 *
 * One of the two is on the stack and the other on the host. Which: a listening place without
 * an address, or with an address of [Network] Address=, is the stack's, and every other the
 * host's.
 */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "Forward \""

bool config_forward_name(const char *section, size_t len, char name[CONFIG_NAME_MAX])
{
	size_t prefix = strlen(PREFIX);

	if (len < prefix + 2 || len - prefix - 1 >= CONFIG_NAME_MAX || strncmp(section, PREFIX, prefix) != 0 ||
	    section[len - 1] != '"')
		return false;
	memcpy(name, section + prefix, len - prefix - 1);
	name[len - prefix - 1] = '\0';
	return !strpbrk(name, "\". ");
}

static bool parse_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*port = (uint16_t)n;
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n >= 1 && n <= 65535;
}

static bool parse_internet(const char *text, struct config_place *p)
{
	char address[INET_ADDRSTRLEN] = "";
	const char *colon = strchr(text, ':');
	uint8_t v4[4];

	if (!colon)
		return parse_port(text, &p->at.port);
	if ((size_t)(colon - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(colon - text));
	if (inet_pton(AF_INET, address, v4) != 1 || !parse_port(colon + 1, &p->at.port))
		return false;
	p->at.addr = stack_addr_v4(v4);
	p->has_addr = true;
	return true;
}

static const char *parse_place(const char *text, struct config_place *p)
{
	*p = (struct config_place){.type = PLACE_NONE};
	if (strncmp(text, "unix:/", 6) == 0 && strlen(text + 5) < sizeof(p->path)) {
		p->type = PLACE_UNIX;
		snprintf(p->path, sizeof(p->path), "%s", text + 5);
		return NULL;
	}
	bool tcp = strncmp(text, "tcp:", 4) == 0;
	if ((!tcp && strncmp(text, "udp:", 4) != 0) || !parse_internet(text + 4, p))
		return "is not a place; write tcp:PORT, tcp:ADDRESS:PORT, udp:PORT, udp:ADDRESS:PORT or unix:/PATH";
	p->type = tcp ? PLACE_TCP : PLACE_UDP;
	return NULL;
}

static struct config_forward *find(struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->forwards; i++)
		if (strcmp(c->forward[i].name, name) == 0)
			return &c->forward[i];
	if (c->forwards == CONFIG_FORWARDS)
		return NULL;
	struct config_forward *f = &c->forward[c->forwards++];
	snprintf(f->name, sizeof(f->name), "%s", name);
	return f;
}

const char *config_forward(struct config *c, const char *forward, const char *key, const char *text, bool replace)
{
	struct config_forward *f = find(c, forward);

	if (!f)
		return "is one forward too many; there may be 16";
	if (strcmp(key, "ProxyProtocol") == 0) {
		f->proxy = strcmp(text, "yes") == 0;
		return f->proxy || strcmp(text, "no") == 0 ? NULL : "is neither yes nor no; write yes or no";
	}
	bool listen = strcmp(key, "Listen") == 0;
	if (!listen && strcmp(key, "Connect") != 0)
		return "is no key of a forward; it has Listen=, Connect=, ProxyProtocol=";
	struct config_place *p = listen ? &f->listen : &f->connect;
	if (p->type != PLACE_NONE && !replace)
		return "is given twice; keep one of them";
	return parse_place(text, p);
}

static bool is_ours(const struct config *c, const struct config_place *p)
{
	for (unsigned i = 0; i < c->addresses; i++)
		if (memcmp(&c->address[i].addr, &p->at.addr, sizeof(p->at.addr)) == 0)
			return true;
	return false;
}

const char *config_forward_check(const struct config *c, struct config_forward *f)
{
	if (f->listen.type == PLACE_NONE || f->connect.type == PLACE_NONE)
		return "a forward needs both Listen= and Connect=";
	f->inwards = f->listen.type != PLACE_UNIX && (!f->listen.has_addr || is_ours(c, &f->listen));
	if ((f->listen.type == PLACE_UDP) != (f->connect.type == PLACE_UDP))
		return "UDP goes to UDP only; make both udp:";
	if (!f->inwards && f->connect.type == PLACE_UNIX)
		return "neither end is the stack's; Listen= needs a port or an address of [Network] Address=";
	if (f->connect.type != PLACE_UNIX && !f->connect.has_addr)
		return "Connect= needs an address: tcp:ADDRESS:PORT";
	if (f->inwards && is_ours(c, &f->connect))
		return "both ends are the stack's; one of them must be the host's";
	if (f->proxy && !f->inwards)
		return "ProxyProtocol= is for connections that come from the stack";
	return NULL;
}
