/*
 * Netlink's multicast groups on the control socket: a conversation says which it listens to
 * (BYWAY_NETLINK_GROUPS) and is told of what happens meanwhile, in messages that nobody asked
 * for (sequence number 0).
 *
 * Nothing is kept for who does not read: past CONTROL_QUEUE bytes a subscriber misses messages.
 */
#include "daemon/control.h"
#include "daemon/worker.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>

#define GROUP(n) (1u << ((n) - 1))
#define GROUPS_ENDS (GROUP(SKNLGRP_INET_TCP_DESTROY) | GROUP(SKNLGRP_INET_UDP_DESTROY))

void control_groups_changed(struct control *k)
{
	bool ends = false;

	for (const struct client *c = k->clients; c && !ends; c = c->next)
		ends = c->netlink_protocol == NETLINK_SOCK_DIAG && (c->groups & GROUPS_ENDS);
	for (unsigned i = 0; i < worker_count(k->daemon); i++)
		stack_watch_ends(worker_at(k->daemon, i)->stack, ends);
}

int control_netlink_groups(struct request *q)
{
	struct client *c = q->client;

	if (!c->netlink)
		return request_fail(q, -EINVAL, "BYWAY_NETLINK_GROUPS before BYWAY_NETLINK");
	if (!c->control->notice)
		c->control->notice = malloc(CONTROL_MESSAGE);
	if (!c->control->notice)
		return request_fail(q, -ENOMEM, "the daemon is out of memory");
	c->groups = (uint32_t)mnl_attr_get_u64(q->attr[BYWAY_A_VALUE]);
	control_groups_changed(c->control);
	return 0;
}

void control_notify(struct control *k, uint8_t protocol, unsigned group,
		    bool (*seen)(const struct client *c, const void *arg),
		    void (*put)(struct reply *r, const void *arg), const void *arg)
{
	struct reply r;

	for (struct client *c = k ? k->clients : NULL; c; c = c->next) {
		if (!c->netlink || c->netlink_protocol != protocol || !(c->groups & GROUP(group)) ||
		    c->out_bytes >= CONTROL_QUEUE || (seen && !seen(c, arg)))
			continue;
		reply_open(&r, c, 0, 0);
		r.buffer = k->notice;
		put(&r, arg);
		r.head->nlmsg_pid = 0; /* nobody asked */
		reply_send(&r, -1);
	}
}
