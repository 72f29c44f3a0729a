/*
 * Who may do what. The caller is who the kernel says that it is: SO_PEERCRED and SO_PEERGROUPS
 * of its conversation, as they were when it connected. Root and the daemon's own user may do
 * everything, so that no configuration locks the administrator out.
 *
 * What is asked for at every request is kept in struct client and found again at a reload; the
 * ports and addresses are looked up when somebody binds.
 */
#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_PRIVILEGED 1024 /* ports below it need a permission of their own */

/* ---- credentials ---- */

/* The supplementary groups of the other end, however many; none when they cannot be had. */
static void read_groups(struct client *c)
{
	socklen_t len = 0;

	/* Asked without room, the kernel says how much it takes. */
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		return;
	c->gids = malloc(len);
	if (!c->gids || getsockopt(c->fd, SOL_SOCKET, SO_PEERGROUPS, c->gids, &len) < 0)
		return;
	c->gid_count = len / sizeof(gid_t);
}

static bool in_group(const struct client *c, gid_t wanted)
{
	if (c->owner.gid == wanted)
		return true;
	for (size_t i = 0; i < c->gid_count; i++)
		if (c->gids[i] == wanted)
			return true;
	return false;
}

static bool listed(const struct access_list *list, const struct client *c)
{
	if (list->all)
		return true;
	for (unsigned i = 0; i < list->count; i++)
		if (list->who[i].group ? in_group(c, list->who[i].id) : c->owner.uid == list->who[i].id)
			return true;
	return false;
}

/* What the configuration that is in force gives this client. */
static void grant(struct client *c)
{
	const struct control *k = c->control;
	const struct access *a = &k->daemon->config.access;

	c->admin = c->owner.uid == 0 || c->owner.uid == geteuid() || listed(&a->administer, c);
	c->sees_all = c->admin || listed(&a->see, c);
	c->opener = c->admin || (a->open.given ? listed(&a->open, c) : k->has_group && in_group(c, k->group));
}

int access_identify(struct client *c)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	c->owner = (struct owner){.uid = cred.uid, .gid = cred.gid, .pid = cred.pid};
	read_groups(c);
	grant(c);
	return 0;
}

void access_reload(struct control *k)
{
	for (struct client *c = k->clients; c; c = c->next)
		grant(c);
}

bool access_beyond_group(const struct access *a)
{
	return a->see.given || a->open.given || a->privileged.given || a->administer.given || a->ports || a->addresses;
}

/* ---- sockets that there are ---- */

bool client_may_see(const struct client *c, uint32_t uid)
{
	return c->admin || c->sees_all || c->owner.uid == uid;
}

bool client_may_change(const struct client *c, uint32_t uid)
{
	return c->admin || c->owner.uid == uid;
}

/* ---- opening ---- */

int opener_check(struct request *q)
{
	const struct client *c = q->client;
	const struct config *config = &q->daemon->config;

	if (c->opener)
		return 0;
	if (config->access.open.given)
		return request_deny(q, -EACCES, "user %u may not open sockets: [Access] Open= does not name it",
				    c->owner.uid);
	return request_deny(q, -EACCES, "user %u may not open sockets: only root and members of group %s may",
			    c->owner.uid, config->group);
}

/* Some rule names the port; *mine: one of them is for this client. */
static bool port_named(const struct access *a, const struct client *c, uint16_t port, bool *mine)
{
	bool named = false;

	for (unsigned i = 0; i < a->ports; i++)
		for (unsigned j = 0; j < a->port[i].count; j++) {
			if (port < a->port[i].range[j].first || port > a->port[i].range[j].last)
				continue;
			named = true;
			*mine |= listed(&a->port[i].who, c);
		}
	return named;
}

static int port_check(struct request *q, uint16_t port)
{
	const struct access *a = &q->daemon->config.access;
	const struct client *c = q->client;
	bool mine = false, named = port_named(a, c, port, &mine);

	if (port == 0 || c->admin || mine)
		return 0;
	if (port < PORT_PRIVILEGED && listed(&a->privileged, c))
		return 0;
	if (named)
		return request_deny(q, -EACCES, "user %u may not use port %u: [Access] BindPorts= keeps it for others",
				    c->owner.uid, port);
	if (port >= PORT_PRIVILEGED)
		return 0;
	return request_deny(q, -EACCES, "user %u may not use port %u: ports below %u are root's", c->owner.uid, port,
			    PORT_PRIVILEGED);
}

static bool rule_names(const struct access_addresses *rule, const struct stack_addr *address)
{
	for (unsigned i = 0; i < rule->count; i++)
		if (memcmp(&rule->address[i], address, sizeof(*address)) == 0)
			return true;
	return false;
}

/* A rule keeps the address for others, and none gives it to this client. */
static bool address_kept(const struct access *a, const struct client *c, const struct stack_addr *address)
{
	bool kept = false;

	for (unsigned i = 0; i < a->addresses; i++) {
		if (!rule_names(&a->address[i], address))
			continue;
		if (listed(&a->address[i].who, c))
			return false;
		kept = true;
	}
	return kept;
}

/* A socket at all addresses hears those that are kept for others, too. */
static const struct stack_addr *any_kept(const struct access *a, const struct client *c)
{
	for (unsigned i = 0; i < a->addresses; i++)
		for (unsigned j = 0; j < a->address[i].count; j++)
			if (address_kept(a, c, &a->address[i].address[j]))
				return &a->address[i].address[j];
	return NULL;
}

int access_bind(struct request *q, const struct stack_endpoint *local)
{
	const struct access *a = &q->daemon->config.access;
	const struct client *c = q->client;
	const struct stack_addr *kept = NULL;
	char text[INET6_ADDRSTRLEN];
	int error = port_check(q, local->port);

	if (error || c->admin)
		return error;
	if (!stack_addr_is_any(&local->addr))
		kept = address_kept(a, c, &local->addr) ? &local->addr : NULL;
	else if (local->port != 0) /* a port that the stack chooses is nobody's service */
		kept = any_kept(a, c);
	if (!kept)
		return 0;
	return request_deny(q, -EACCES, "user %u may not use address %s: [Access] BindAddresses= keeps it for others",
			    c->owner.uid, addr_text(kept, text));
}
