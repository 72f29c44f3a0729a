/*
 * Names: programs ask the name servers that the host's resolv.conf gives them, and those may be
 * out of the stack's reach, as the host's 127.0.0.53 always is. Where the configuration has DNS=, what
 * goes to port 53 of such a server goes to one of those instead, and what comes from there
 * seems to come from the one that was asked; resolvers compare. So the C libraries, Go and all
 * that speak DNS by themselves work, over UDP and TCP, and no file needs to be trapped.
 */
#include "cli/run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

#define NOTE_NAMES 20

static bool same_server(const struct byway_address *a, const struct byway_address *b)
{
	return a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static bool is_loopback(const struct byway_address *a)
{
	static const uint8_t loopback[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};

	return memcmp(a->addr, loopback, sizeof(loopback)) == 0;
}

/* ---- what there is ---- */

static int take_attribute(const struct nlattr *a, void *arg)
{
	struct names *n = arg;

	if (mnl_attr_get_type(a) == BYWAY_A_RESOLVER && n->servers < NAMES_SERVERS &&
	    mnl_attr_get_payload_len(a) == sizeof(n->server[0]))
		memcpy(&n->server[n->servers++], mnl_attr_get_payload(a), sizeof(n->server[0]));
	return MNL_CB_OK;
}

static int take_status(const struct nlmsghdr *m, void *arg)
{
	return m->nlmsg_type == BYWAY_STATUS ? mnl_attr_parse(m, 0, take_attribute, arg) : MNL_CB_ERROR;
}

/* What the C library makes of resolv.conf: 127.0.0.1 when that names nobody. */
static void read_host(struct names *n)
{
	struct __res_state state;

	memset(&state, 0, sizeof(state));
	if (res_ninit(&state) != 0)
		return;
	for (int i = 0; i < state.nscount && n->hosts < NAMES_SERVERS; i++)
		n->hosts += talk_address_from(&n->host[n->hosts], (void *)&state.nsaddr_list[i],
					      sizeof(state.nsaddr_list[i]));
	res_nclose(&state);
}

int names_read(struct byway *b, struct names *n)
{
	memset(n, 0, sizeof(*n));
	read_host(n);
	return talk_exchange(b, talk_begin(b, BYWAY_GET_STATUS, 0), take_status, n, NULL);
}

void names_start(struct run *run)
{
	struct names *n = &run->names;
	char text[FORMAT_ADDRESS];

	if (names_read(run->byway, n) < 0 || n->servers)
		return;
	if (n->hosts == 0)
		run_note(run, NOTE_NAMES, "names: there is no name server: neither DNS= nor the host's resolv.conf has one");
	else if (is_loopback(&n->host[0]))
		run_note(run, NOTE_NAMES, "names: %s of the host's resolv.conf is the host's loopback, which the stack does "
			 "not reach; set [Network] DNS=", format_address(text, &n->host[0]));
	else
		run_note(run, NOTE_NAMES, "names: by %s of the host's resolv.conf, asked through the stack",
			 format_address(text, &n->host[0]));
}

/* ---- there and back ---- */

void names_there(const struct run *run, struct run_socket *s, struct byway_address *to)
{
	const struct names *n = &run->names;
	unsigned i = 0;

	if (n->servers == 0 || to->port != NAMES_PORT)
		return;
	while (i < n->hosts && !same_server(&n->host[i], to))
		i++;
	if (i == n->hosts)
		return; /* the program knows a server of its own */
	i %= n->servers;
	s->asked[i] = *to;
	*to = n->server[i];
}

void names_back(const struct run *run, const struct run_socket *s, struct byway_address *from)
{
	const struct names *n = &run->names;

	for (unsigned i = 0; i < n->servers; i++)
		if (s->asked[i].port && same_server(&n->server[i], from)) {
			*from = s->asked[i];
			return;
		}
}
