/*
 * One request: which kinds there are, what each must and may carry, and who may make it.
 * Every length is checked here, before a handler sees the message; a handler finds its
 * attributes in request.attr and only has to make sense of their values.
 *
 * Attributes are never looked into more than one level deep, so nesting costs nothing.
 */
#include "daemon/control.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define BIT(attr) (1u << (attr))
static_assert(BYWAY_A_MAX <= 32, "attributes fit a bit mask");

#define LOGGED_PER_SECOND 5 /* lines about clients, so that nobody floods the journal */

/* What a request looks like. */
struct form {
	uint16_t type;
	const char *name;
	size_t header;  /* bytes of fixed header that it begins with */
	uint32_t needs; /* attributes of enum byway_attr, as bits */
	uint32_t takes; /* more of them */
	unsigned cost;  /* of the CONTROL_TURN that a client has in a turn */
	int (*handle)(struct request *q);
	bool admin; /* for the administrator only */
};

static const struct form forms[] = {
	{BYWAY_CONNECT, "BYWAY_CONNECT", 0, BIT(BYWAY_A_PROTOCOL) | BIT(BYWAY_A_REMOTE),
	 BIT(BYWAY_A_LOCAL) | BIT(BYWAY_A_NODELAY) | BIT(BYWAY_A_NONBLOCK) | BIT(BYWAY_A_OPTIONS) |
	 BIT(BYWAY_A_DATA), 1, control_connect},
	{BYWAY_LISTEN, "BYWAY_LISTEN", 0, BIT(BYWAY_A_LOCAL), BIT(BYWAY_A_BACKLOG) | BIT(BYWAY_A_OPTIONS), 1,
	 control_listen},
	{BYWAY_DATAGRAM, "BYWAY_DATAGRAM", 0, 0,
	 BIT(BYWAY_A_LOCAL) | BIT(BYWAY_A_REMOTE) | BIT(BYWAY_A_BROADCAST) | BIT(BYWAY_A_OPTIONS), 1, control_datagram},
	{BYWAY_SOCK_OPEN, "BYWAY_SOCK_OPEN", 0, BIT(BYWAY_A_PROTOCOL) | BIT(BYWAY_A_FAMILY), 0, 1, control_sock_open},
	{BYWAY_SOCK_BIND, "BYWAY_SOCK_BIND", 0, BIT(BYWAY_A_INODE) | BIT(BYWAY_A_LOCAL), 0, 1, control_sock_bind},
	{BYWAY_SOCK_LISTEN, "BYWAY_SOCK_LISTEN", 0, BIT(BYWAY_A_INODE), BIT(BYWAY_A_BACKLOG), 1, control_sock_listen},
	{BYWAY_SOCK_CONNECT, "BYWAY_SOCK_CONNECT", 0, BIT(BYWAY_A_INODE),
	 BIT(BYWAY_A_REMOTE) | BIT(BYWAY_A_DATA), 1, control_sock_connect},
	{BYWAY_SOCK_SEND, "BYWAY_SOCK_SEND", 0,
	 BIT(BYWAY_A_INODE) | BIT(BYWAY_A_REMOTE) | BIT(BYWAY_A_DATA), BIT(BYWAY_A_DEPARTURE) | BIT(BYWAY_A_MORE), 1,
	 control_sock_send},
	{BYWAY_SOCK_GET, "BYWAY_SOCK_GET", 0, BIT(BYWAY_A_INODE), 0, 1, control_sock_get},
	{BYWAY_SOCK_ERROR, "BYWAY_SOCK_ERROR", 0, BIT(BYWAY_A_INODE), 0, 1, control_sock_error},
	{BYWAY_SOCK_RECVERR, "BYWAY_SOCK_RECVERR", 0, BIT(BYWAY_A_INODE), 0, 1, control_sock_recverr},
	{BYWAY_SOCK_SHUTDOWN, "BYWAY_SOCK_SHUTDOWN", 0, BIT(BYWAY_A_INODE), 0, 1, control_sock_shutdown},
	{BYWAY_NETLINK, "BYWAY_NETLINK", 0, BIT(BYWAY_A_PROTOCOL), BIT(BYWAY_A_VALUE), 1, control_netlink},
	{BYWAY_GET_TCB, "BYWAY_GET_TCB", 0, BIT(BYWAY_A_ID), 0, CONTROL_TURN, control_get_tcb},
	{BYWAY_GET_STATS, "BYWAY_GET_STATS", 0, 0, 0, 1, control_get_stats},
	{BYWAY_GET_STATUS, "BYWAY_GET_STATUS", 0, 0, 0, 1, control_get_status},
	{BYWAY_NETLINK_GROUPS, "BYWAY_NETLINK_GROUPS", 0, BIT(BYWAY_A_VALUE), 0, 1, control_netlink_groups},
	{BYWAY_SOCK_GUARD, "BYWAY_SOCK_GUARD", 0, BIT(BYWAY_A_INODE), 0, 1, control_sock_guard},
	{BYWAY_SOCK_RING, "BYWAY_SOCK_RING", 0, BIT(BYWAY_A_INODE), BIT(BYWAY_A_VALUE), CONTROL_TURN, control_sock_ring},
	{SOCK_DIAG_BY_FAMILY, "SOCK_DIAG_BY_FAMILY", sizeof(struct sock_diag_req), 0, 0, CONTROL_TURN, diag_get},
	{SOCK_DESTROY, "SOCK_DESTROY", sizeof(struct inet_diag_req_v2), 0, 0, CONTROL_TURN, diag_destroy},
	{RTM_GETADDR, "RTM_GETADDR", sizeof(struct rtgenmsg), 0, 0, 1, rtnl_get},
	{RTM_GETLINK, "RTM_GETLINK", sizeof(struct rtgenmsg), 0, 0, 1, rtnl_get},
	{RTM_GETROUTE, "RTM_GETROUTE", sizeof(struct rtgenmsg), 0, 0, 1, rtnl_get},
	{RTM_GETNEIGH, "RTM_GETNEIGH", sizeof(struct rtgenmsg), 0, 0, 1, rtnl_get},
	{RTM_GETRULE, "RTM_GETRULE", sizeof(struct rtgenmsg), 0, 0, 1, rtnl_get},
	{RTM_NEWADDR, "RTM_NEWADDR", sizeof(struct ifaddrmsg), 0, 0, 1, rtnl_change, true},
	{RTM_DELADDR, "RTM_DELADDR", sizeof(struct ifaddrmsg), 0, 0, 1, rtnl_change, true},
	{RTM_NEWROUTE, "RTM_NEWROUTE", sizeof(struct rtmsg), 0, 0, 1, rtnl_change, true},
	{RTM_DELROUTE, "RTM_DELROUTE", sizeof(struct rtmsg), 0, 0, 1, rtnl_change, true},
	{RTM_NEWNEIGH, "RTM_NEWNEIGH", sizeof(struct ndmsg), 0, 0, 1, rtnl_change, true},
	{RTM_DELNEIGH, "RTM_DELNEIGH", sizeof(struct ndmsg), 0, 0, 1, rtnl_change, true},
	{RTM_NEWLINK, "RTM_NEWLINK", sizeof(struct ifinfomsg), 0, 0, 1, rtnl_change, true},
	{RTM_SETLINK, "RTM_SETLINK", sizeof(struct ifinfomsg), 0, 0, 1, rtnl_change, true},
	{RTM_DELLINK, "RTM_DELLINK", sizeof(struct ifinfomsg), 0, 0, 1, rtnl_change, true},
	{BYWAY_SET_OPTION, "BYWAY_SET_OPTION", 0, BIT(BYWAY_A_OPTION_LEVEL) | BIT(BYWAY_A_OPTION_NAME),
	 BIT(BYWAY_A_ID) | BIT(BYWAY_A_INODE) | BIT(BYWAY_A_OPTION_VALUE), CONTROL_TURN, control_set_option},
	{BYWAY_GET_OPTION, "BYWAY_GET_OPTION", 0, BIT(BYWAY_A_OPTION_LEVEL) | BIT(BYWAY_A_OPTION_NAME),
	 BIT(BYWAY_A_ID) | BIT(BYWAY_A_INODE) | BIT(BYWAY_A_OPTION_LENGTH), CONTROL_TURN, control_get_option},
};

/* Attributes that a request may carry: how they are called in an error text, and their size. */
static const struct {
	const char *name;
	uint16_t size;
	bool shorter; /* or less */
} attributes[BYWAY_A_MAX] = {
	[BYWAY_A_PROTOCOL] = {"PROTOCOL", sizeof(uint8_t)},
	[BYWAY_A_LOCAL] = {"LOCAL", sizeof(struct byway_address)},
	[BYWAY_A_REMOTE] = {"REMOTE", sizeof(struct byway_address)},
	[BYWAY_A_BACKLOG] = {"BACKLOG", sizeof(uint32_t)},
	[BYWAY_A_NODELAY] = {"NODELAY", 0},
	[BYWAY_A_NONBLOCK] = {"NONBLOCK", 0},
	[BYWAY_A_BROADCAST] = {"BROADCAST", 0},
	[BYWAY_A_ID] = {"ID", sizeof(uint64_t)},
	[BYWAY_A_INODE] = {"INODE", sizeof(uint64_t)},
	[BYWAY_A_OPTION_LEVEL] = {"OPTION_LEVEL", sizeof(uint32_t)},
	[BYWAY_A_OPTION_NAME] = {"OPTION_NAME", sizeof(uint32_t)},
	[BYWAY_A_OPTION_VALUE] = {"OPTION_VALUE", BYWAY_OPTION_VALUE_MAX, .shorter = true},
	[BYWAY_A_OPTION_LENGTH] = {"OPTION_LENGTH", sizeof(uint32_t)},
	[BYWAY_A_OPTIONS] = {"OPTIONS", BYWAY_OPTIONS_MAX, .shorter = true},
	[BYWAY_A_VALUE] = {"VALUE", sizeof(uint64_t)},
	[BYWAY_A_FAMILY] = {"FAMILY", sizeof(uint8_t)},
	[BYWAY_A_DEPARTURE] = {"DEPARTURE", sizeof(struct byway_departure)},
	[BYWAY_A_DATA] = {"DATA", UINT16_MAX, .shorter = true},
	[BYWAY_A_MORE] = {"MORE", 0},
};

/* ---- errors ---- */

int request_fail(struct request *q, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(q->text, sizeof(q->text), format, args);
	va_end(args);
	return error;
}

bool control_may_log(struct control *k)
{
	stack_time now = daemon_now();

	if (now - k->logged_since >= 1000000) {
		k->logged_since = now;
		k->logged = 0;
	}
	return k->logged++ < LOGGED_PER_SECOND;
}

int request_deny(struct request *q, int error, const char *format, ...)
{
	const struct owner *who = &q->client->owner;
	va_list args;

	va_start(args, format);
	vsnprintf(q->text, sizeof(q->text), format, args);
	va_end(args);
	if (control_may_log(q->client->control))
		daemon_log(LOG_NOTICE, "control: refused to %s (pid %d, uid %u): %s", who->comm[0] ? who->comm : "a process",
			   (int)who->pid, who->uid, q->text);
	return error;
}

/* ---- attributes ---- */

bool request_flag(const struct request *q, enum byway_attr attr)
{
	return q->attr[attr] != NULL;
}

static const char *attribute_name(uint16_t type)
{
	return type < BYWAY_A_MAX && attributes[type].name ? attributes[type].name : NULL;
}

static int attribute_fail(struct request *q, const struct nlattr *a, const char *what)
{
	uint16_t type = mnl_attr_get_type(a);
	const char *name = attribute_name(type);

	q->bad_attr = (uint32_t)((const char *)a - (const char *)q->head);
	if (name)
		return request_fail(q, -EINVAL, "attribute %s %s", name, what);
	return request_fail(q, -EINVAL, "attribute %u %s", type, what);
}

/* Attributes with numbers that this daemon does not know are skipped, as the protocol says. */
static int attribute_take(struct request *q, const struct form *form, const struct nlattr *a)
{
	uint16_t type = mnl_attr_get_type(a);
	char what[64];

	if (type >= BYWAY_A_MAX)
		return 0;
	if (!attributes[type].name || !(BIT(type) & (form->needs | form->takes))) {
		snprintf(what, sizeof(what), "does not belong in %s", form->name);
		return attribute_fail(q, a, what);
	}
	if (q->attr[type])
		return attribute_fail(q, a, "is given twice");
	uint16_t len = mnl_attr_get_payload_len(a), size = attributes[type].size;
	if (attributes[type].shorter ? len > size : len != size) {
		snprintf(what, sizeof(what), "has %u bytes, not %u%s", len, size, attributes[type].shorter ? " or less" : "");
		return attribute_fail(q, a, what);
	}
	q->attr[type] = a;
	return 0;
}

static int attributes_parse(struct request *q, const struct form *form)
{
	const char *end = (const char *)q->head + q->head->nlmsg_len;
	const struct nlattr *a = mnl_nlmsg_get_payload_offset(q->head, form->header);

	for (; mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a)) {
		int error = attribute_take(q, form, a);
		if (error)
			return error;
	}
	if ((const char *)a >= end)
		return 0;
	if (end - (const char *)a < (ptrdiff_t)sizeof(*a))
		return request_fail(q, -EINVAL, "the message ends inside an attribute header");
	return attribute_fail(q, a, a->nla_len < sizeof(*a) ? "is shorter than its header"
							    : "runs past the end of the message");
}

static int attributes_complete(struct request *q, const struct form *form)
{
	for (uint16_t type = 0; type < BYWAY_A_MAX; type++)
		if ((form->needs & BIT(type)) && !q->attr[type])
			return request_fail(q, -EINVAL, "%s lacks the attribute %s", form->name,
					    attribute_name(type));
	return 0;
}

/* ---- requests ---- */

/* A conversation that speaks one netlink protocol knows the messages of no other. */
static bool form_spoken(const struct client *c, const struct form *form)
{
	bool diag = form->handle == diag_get || form->handle == diag_destroy;

	if (!c->netlink)
		return true;
	if (form->type == BYWAY_NETLINK_GROUPS)
		return true;
	return form->header > 0 && diag == (c->netlink_protocol == NETLINK_SOCK_DIAG);
}

static const struct form *form_find(const struct client *c, uint16_t type)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (forms[i].type == type && form_spoken(c, &forms[i]))
			return &forms[i];
	return NULL;
}

static int request_run(struct request *q, const struct form *form)
{
	int error = 0;

	if (!form)
		return request_fail(q, -EOPNOTSUPP, "Operation not supported: message type %u is not known",
				    q->head->nlmsg_type);
	if (!(q->head->nlmsg_flags & NLM_F_REQUEST))
		return request_fail(q, -EINVAL, "%s without NLM_F_REQUEST", form->name);
	if (mnl_nlmsg_get_payload_len(q->head) < form->header)
		return request_fail(q, -EINVAL, "%s has %zu bytes after its header, not %zu", form->name,
				    mnl_nlmsg_get_payload_len(q->head), form->header);
	if (form->admin && !q->client->admin)
		return request_deny(q, -EPERM, "Operation not permitted: %s is for the administrator", form->name);
	/* What follows the fixed header of the kernel's own families is theirs to name; none of it is used. */
	if (form->header == 0)
		error = attributes_parse(q, form);
	if (!error)
		error = attributes_complete(q, form);
	return error ? error : form->handle(q);
}

unsigned request_handle(struct client *c, const struct nlmsghdr *head)
{
	struct request q = {.client = c, .daemon = c->control->daemon, .head = head};
	const struct form *form = form_find(c, head->nlmsg_type);
	int error = request_run(&q, form);

	if (error)
		reply_error(c, head, error, q.text[0] ? q.text : strerror(-error), q.bad_attr);
	return form ? form->cost : 1;
}
