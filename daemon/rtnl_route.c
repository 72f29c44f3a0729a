/*
 * Routes in rtnetlink's words: the table, the way to one destination (`ip route get`), and what
 * the administrator adds and deletes.
 *
 * The stack has one table (main) of unicast routes without metric; what asks for more is
 * refused. Errors are the kernel's: EEXIST, ESRCH, ENOENT, ENETUNREACH, ENODEV.
 */
#include "daemon/rtnl.h"
#include "daemon/worker.h"

#include <errno.h>
#include <string.h>

enum row { DST, GATEWAY, OIF, PREFSRC, PRIORITY, TABLE, ROWS };
static const struct rtnl_attribute rows[ROWS] = {
	[DST] = {RTA_DST, 4, "RTA_DST"}, [GATEWAY] = {RTA_GATEWAY, 4, "RTA_GATEWAY"}, [OIF] = {RTA_OIF, 4, "RTA_OIF"},
	[PREFSRC] = {RTA_PREFSRC, 4, "RTA_PREFSRC"}, [PRIORITY] = {RTA_PRIORITY, 4, "RTA_PRIORITY"},
	[TABLE] = {RTA_TABLE, 4, "RTA_TABLE"},
};

/* ---- the table ---- */

void rtnl_put_route(struct reply *r, uint16_t type, const struct stack_route_info *info)
{
	bool gateway = !stack_addr_is_any(&info->gateway);
	struct rtmsg *m = reply_message(r, type, sizeof(*m));

	m->rtm_family = AF_INET;
	m->rtm_dst_len = info->prefix;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = info->from_address ? RTPROT_KERNEL : RTPROT_STATIC;
	m->rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	m->rtm_type = RTN_UNICAST;
	reply_u32(r, RTA_TABLE, RT_TABLE_MAIN);
	if (info->prefix)
		rtnl_put_ip4(r, RTA_DST, &info->dest);
	if (gateway)
		rtnl_put_ip4(r, RTA_GATEWAY, &info->gateway);
	if (!stack_addr_is_any(&info->source))
		rtnl_put_ip4(r, RTA_PREFSRC, &info->source);
	reply_u32(r, RTA_OIF, LINK_INDEX);
}

bool rtnl_route_step(struct client *c, struct reply *r)
{
	struct stack_route_info info;

	while (!reply_full(r)) {
		if (!stack_route_get(c->control->daemon->stack, (size_t)c->dump.cursor++, &info))
			return false;
		rtnl_put_route(r, RTM_NEWROUTE, &info);
	}
	return true;
}

/* ---- one destination ---- */

static uint8_t way_type(const struct stack_way *way)
{
	switch (way->kind) {
	case STACK_WAY_UNICAST: return RTN_UNICAST;
	case STACK_WAY_LOCAL: return RTN_LOCAL;
	case STACK_WAY_BROADCAST: return RTN_BROADCAST;
	case STACK_WAY_MULTICAST: return RTN_MULTICAST;
	}
	return RTN_UNSPEC;
}

static void put_way(struct reply *r, const struct stack_addr *dest, const struct stack_way *way, uint32_t uid)
{
	bool local = way->kind == STACK_WAY_LOCAL;
	struct rtmsg *m = reply_message(r, RTM_NEWROUTE, sizeof(*m));
	struct rta_cacheinfo cache = {0};

	m->rtm_family = AF_INET;
	m->rtm_dst_len = 32;
	m->rtm_table = local || way->kind == STACK_WAY_BROADCAST ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = way_type(way);
	m->rtm_flags = RTM_F_CLONED | (local ? 0x80000000u : 0); /* RTCF_LOCAL */
	reply_u32(r, RTA_TABLE, m->rtm_table);
	rtnl_put_ip4(r, RTA_DST, dest);
	reply_u32(r, RTA_OIF, local ? LINK_LO : LINK_INDEX);
	rtnl_put_ip4(r, RTA_PREFSRC, &way->source);
	if (!stack_addr_is_any(&way->gateway))
		rtnl_put_ip4(r, RTA_GATEWAY, &way->gateway);
	reply_u32(r, RTA_UID, uid);
	reply_put(r, RTA_CACHEINFO, sizeof(cache), &cache);
}

static bool is_ours(const struct daemon *d, const struct stack_addr *addr)
{
	struct stack_address_info info;

	for (size_t i = 0; stack_address_get(d->stack, i, &info); i++)
		if (memcmp(&info.addr, addr, sizeof(*addr)) == 0)
			return true;
	return false;
}

int rtnl_route_get(struct request *q)
{
	static const struct rtnl_attribute asked[] = {
		{RTA_DST, 4, "RTA_DST"}, {RTA_OIF, 4, "RTA_OIF"}, {RTA_SRC, 4, "RTA_SRC"}, {RTA_IIF, 4, "RTA_IIF"},
	};
	const struct rtmsg *m = mnl_nlmsg_get_payload(q->head);
	const struct nlattr *found[4];
	struct stack_way way;
	struct reply r;

	if (mnl_nlmsg_get_payload_len(q->head) < sizeof(*m))
		return request_fail(q, -EINVAL, "RTM_GETROUTE is cut short");
	if (m->rtm_family != AF_INET)
		return rtnl_fail(q, -EAFNOSUPPORT, "there is IPv4 only");
	int error = rtnl_attributes(q, sizeof(*m), asked, 4, false, found);
	if (error)
		return error;
	struct stack_addr dest = rtnl_address(found[0]), source = rtnl_address(found[2]);
	if (found[3])
		return rtnl_fail(q, -EOPNOTSUPP, "the stack does not forward: a route has no incoming interface");
	if (found[1] && mnl_attr_get_u32(found[1]) != LINK_LO)
		error = rtnl_link_check(q, mnl_attr_get_u32(found[1]));
	if (error)
		return error;
	if (found[2] && !is_ours(q->daemon, &source))
		return rtnl_fail(q, -EINVAL, "the source is not an address of the stack");
	if (stack_route_find(q->daemon->stack, &dest, &way) != 0)
		return rtnl_fail(q, -ENETUNREACH, "no route leads there");
	if (found[2])
		way.source = source;
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	put_way(&r, &dest, &way, q->client->owner.uid);
	reply_send(&r, -1);
	return 0;
}

/* ---- changing ---- */

/* The route that a request is about, and that the stack has such routes. */
static int route_wanted(struct request *q, const struct nlattr **found, struct stack_route_info *out)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(q->head);
	int error = rtnl_attributes(q, sizeof(*m), rows, ROWS, true, found);

	if (error)
		return error;
	if (m->rtm_family != AF_INET)
		return rtnl_fail(q, -EAFNOSUPPORT, "there is IPv4 only");
	uint32_t table = found[TABLE] ? mnl_attr_get_u32(found[TABLE]) : m->rtm_table;
	if (table != RT_TABLE_MAIN && table != RT_TABLE_UNSPEC)
		return rtnl_fail(q, -EOPNOTSUPP, "there is the table main only");
	if (m->rtm_type != RTN_UNICAST && m->rtm_type != RTN_UNSPEC)
		return rtnl_fail(q, -EOPNOTSUPP, "there are unicast routes only");
	if (m->rtm_tos || m->rtm_src_len || (m->rtm_flags & RTNH_F_ONLINK) ||
	    (found[PRIORITY] && mnl_attr_get_u32(found[PRIORITY])))
		return rtnl_fail(q, -EOPNOTSUPP, "routes have no TOS, source prefix, metric or onlink");
	*out = (struct stack_route_info){.dest = rtnl_address(found[DST]), .gateway = rtnl_address(found[GATEWAY]),
					 .source = rtnl_address(found[PREFSRC]), .prefix = m->rtm_dst_len};
	return found[OIF] ? rtnl_link_check(q, mnl_attr_get_u32(found[OIF])) : 0;
}

static void put_new(struct reply *r, const void *arg)
{
	rtnl_put_route(r, RTM_NEWROUTE, arg);
}

static void put_deleted(struct reply *r, const void *arg)
{
	rtnl_put_route(r, RTM_DELROUTE, arg);
}

static int why_not(struct request *q, int error)
{
	if (error == -EINVAL)
		return rtnl_fail(q, error, "the destination has bits beyond its prefix");
	if (error == -ENETUNREACH)
		return rtnl_fail(q, error, "the gateway is in no prefix of the stack's addresses, or the stack has none");
	if (error == -EEXIST)
		return rtnl_fail(q, error, "there is a route to this prefix");
	if (error == -EADDRNOTAVAIL)
		return rtnl_fail(q, -EINVAL, "the source is not an address of the stack");
	return rtnl_fail(q, error, "the route is not made: the table is full");
}

int rtnl_route_new(struct request *q)
{
	const struct nlattr *found[ROWS];
	struct stack_route_info route, now;
	struct stack *all[WORKERS_MAX];
	uint16_t flags = q->head->nlmsg_flags;
	int error = route_wanted(q, found, &route);

	if (error)
		return error;
	if (!found[GATEWAY] && !found[OIF])
		return rtnl_fail(q, -ENODEV, "a route needs a gateway (via) or a link (dev)");
	if (!(flags & NLM_F_CREATE) && !network_route_present(q->daemon->stack, &route, &now))
		return rtnl_fail(q, -ENOENT, "there is no route to this prefix");
	error = network_route_set(all, worker_stacks(q->daemon, all), &route, (flags & NLM_F_REPLACE) != 0);
	if (error)
		return why_not(q, error);
	if (network_route_present(q->daemon->stack, &route, &now))
		control_notify(q->client->control, NETLINK_ROUTE, RTNLGRP_IPV4_ROUTE, NULL, put_new, &now);
	return 0;
}

int rtnl_route_delete(struct request *q)
{
	const struct nlattr *found[ROWS];
	struct stack_route_info route, now;
	int error = route_wanted(q, found, &route);

	if (error)
		return error;
	if (!network_route_present(q->daemon->stack, &route, &now) ||
	    (found[GATEWAY] && memcmp(&now.gateway, &route.gateway, sizeof(now.gateway)) != 0))
		return rtnl_fail(q, -ESRCH, "there is no such route");
	error = stack_route_remove(q->daemon->stack, &route.dest, route.prefix);
	if (error == -EPERM)
		return rtnl_fail(q, error, "the route belongs to an address and goes with it");
	if (error)
		return rtnl_fail(q, error, "the route is not deleted");
	for (unsigned i = 1; i < worker_count(q->daemon); i++)
		stack_route_remove(worker_at(q->daemon, i)->stack, &route.dest, route.prefix);
	control_notify(q->client->control, NETLINK_ROUTE, RTNLGRP_IPV4_ROUTE, NULL, put_deleted, &now);
	return 0;
}
