/*
 * The stack's link, addresses, routes and neighbours, told as the kernel tells its own:
 * rtnetlink dumps (rtnetlink(7)), read only.
 *
 * The one link is number LINK_INDEX; its name, MTU and hardware address are the daemon's side
 * of the TAP or TUN as the stack sees them.
 */
#include "daemon/control.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define LINK_INDEX 1
#define CLOCK_TICKS 100 /* USER_HZ, the unit of nda_cacheinfo */

static const void *ip4_of(const struct stack_addr *a)
{
	return a->byte + 12;
}

static void put_ip4(struct reply *r, uint16_t type, const struct stack_addr *a)
{
	reply_put(r, type, 4, ip4_of(a));
}

/* ---- link ---- */

static uint64_t counter_by_name(const struct stack *s, const char *name)
{
	for (size_t i = 0; i < stack_counter_count(); i++)
		if (strcmp(stack_counter_name(i), name) == 0)
			return stack_counter(s, i);
	return 0;
}

static void put_link_stats(struct reply *r, const struct stack *s)
{
	struct rtnl_link_stats64 stats = {
		.rx_packets = counter_by_name(s, "link.in"),
		.rx_bytes = counter_by_name(s, "link.in_bytes"),
		.tx_packets = counter_by_name(s, "link.out"),
		.tx_bytes = counter_by_name(s, "link.out_bytes"),
		.tx_dropped = counter_by_name(s, "link.out_failed"),
		.rx_errors = counter_by_name(s, "link.in_short"),
		.rx_dropped = counter_by_name(s, "link.in_unknown_type"),
	};

	reply_put(r, IFLA_STATS64, sizeof(stats), &stats);
}

static void put_link(struct reply *r, const struct daemon *d)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const uint8_t up = IF_OPER_UP;

	struct ifinfomsg *m = reply_message(r, RTM_NEWLINK, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_type = d->config.tun ? ARPHRD_NONE : ARPHRD_ETHER;
	m->ifi_index = LINK_INDEX;
	m->ifi_flags = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | (d->config.tun ? IFF_POINTOPOINT | IFF_NOARP : IFF_BROADCAST);
	reply_string(r, IFLA_IFNAME, link_name(d->link));
	reply_u32(r, IFLA_MTU, d->config.mtu);
	reply_put(r, IFLA_OPERSTATE, sizeof(up), &up);
	if (!d->config.tun) {
		reply_put(r, IFLA_ADDRESS, sizeof(d->config.stack.mac), d->config.stack.mac);
		reply_put(r, IFLA_BROADCAST, sizeof(broadcast), broadcast);
	}
	put_link_stats(r, d->stack);
}

static bool link_step(struct client *c, struct reply *r)
{
	put_link(r, c->control->daemon);
	return false;
}

/* One link by its number or name, as `ip` asks when it wants the name of a number. */
static int link_get(struct request *q)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(q->head);
	const char *name = link_name(q->daemon->link);
	const struct nlattr *a;
	struct reply r;

	if (mnl_nlmsg_get_payload_len(q->head) < sizeof(*m))
		return request_fail(q, -EINVAL, "RTM_GETLINK is cut short");
	a = mnl_nlmsg_get_payload_offset(q->head, sizeof(*m));
	for (; mnl_attr_ok(a, (int)((const char *)q->head + q->head->nlmsg_len - (const char *)a)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == IFLA_IFNAME &&
		    (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0 || strcmp(mnl_attr_get_str(a), name) != 0))
			return request_fail(q, -ENODEV, "there is one link, %s", name);
	if (m->ifi_index != 0 && m->ifi_index != LINK_INDEX)
		return request_fail(q, -ENODEV, "there is one link, number %d", LINK_INDEX);
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	put_link(&r, q->daemon);
	reply_send(&r, -1);
	return 0;
}

/* ---- addresses ---- */

static bool address_step(struct client *c, struct reply *r)
{
	const struct daemon *d = c->control->daemon;
	struct stack_address_info info;

	while (!reply_full(r)) {
		if (!stack_address_get(d->stack, (size_t)c->dump.cursor++, &info))
			return false;
		struct ifaddrmsg *m = reply_message(r, RTM_NEWADDR, sizeof(*m));
		m->ifa_family = AF_INET;
		m->ifa_prefixlen = info.prefix;
		m->ifa_flags = (uint8_t)(IFA_F_PERMANENT | (info.tentative ? IFA_F_TENTATIVE : 0) |
					 (info.conflict ? IFA_F_DADFAILED : 0));
		m->ifa_scope = RT_SCOPE_UNIVERSE;
		m->ifa_index = LINK_INDEX;
		put_ip4(r, IFA_ADDRESS, &info.addr);
		put_ip4(r, IFA_LOCAL, &info.addr);
		reply_string(r, IFA_LABEL, link_name(d->link));
	}
	return true;
}

/* ---- routes ---- */

static void put_route(struct reply *r, const struct stack_route_info *info)
{
	bool gateway = !stack_addr_is_any(&info->gateway);
	struct rtmsg *m = reply_message(r, RTM_NEWROUTE, sizeof(*m));

	m->rtm_family = AF_INET;
	m->rtm_dst_len = info->prefix;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = info->from_address ? RTPROT_KERNEL : RTPROT_STATIC;
	m->rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	m->rtm_type = RTN_UNICAST;
	reply_u32(r, RTA_TABLE, RT_TABLE_MAIN);
	if (info->prefix)
		put_ip4(r, RTA_DST, &info->dest);
	if (gateway)
		put_ip4(r, RTA_GATEWAY, &info->gateway);
	if (!stack_addr_is_any(&info->source))
		put_ip4(r, RTA_PREFSRC, &info->source);
	reply_u32(r, RTA_OIF, LINK_INDEX);
}

static bool route_step(struct client *c, struct reply *r)
{
	struct stack_route_info info;

	while (!reply_full(r)) {
		if (!stack_route_get(c->control->daemon->stack, (size_t)c->dump.cursor++, &info))
			return false;
		put_route(r, &info);
	}
	return true;
}

/* ---- neighbours ---- */

static uint16_t neigh_state(enum stack_neigh_state state)
{
	switch (state) {
	case STACK_NEIGH_INCOMPLETE: return NUD_INCOMPLETE;
	case STACK_NEIGH_REACHABLE: return NUD_REACHABLE;
	case STACK_NEIGH_STALE: return NUD_STALE;
	case STACK_NEIGH_PROBE: return NUD_PROBE;
	case STACK_NEIGH_FAILED: return NUD_FAILED;
	}
	return NUD_NONE;
}

static void put_neigh(struct reply *r, const struct stack_neigh_info *info)
{
	struct nda_cacheinfo cache = {
		.ndm_updated = (uint32_t)((daemon_now() - info->updated) * CLOCK_TICKS / 1000000),
	};
	struct ndmsg *m = reply_message(r, RTM_NEWNEIGH, sizeof(*m));

	m->ndm_family = AF_INET;
	m->ndm_ifindex = LINK_INDEX;
	m->ndm_state = neigh_state(info->state);
	m->ndm_type = RTN_UNICAST;
	put_ip4(r, NDA_DST, &info->addr);
	if (info->state != STACK_NEIGH_INCOMPLETE && info->state != STACK_NEIGH_FAILED)
		reply_put(r, NDA_LLADDR, sizeof(info->mac), info->mac);
	reply_put(r, NDA_CACHEINFO, sizeof(cache), &cache);
}

static bool neigh_step(struct client *c, struct reply *r)
{
	struct stack_neigh_info info;

	while (!reply_full(r)) {
		if (!stack_neigh_get(c->control->daemon->stack, (size_t)c->dump.cursor++, &info))
			return false;
		put_neigh(r, &info);
	}
	return true;
}

/* ---- the request ---- */

static bool nothing_step(struct client *c, struct reply *r)
{
	(void)c, (void)r;
	return false;
}

int control_route_get(struct request *q)
{
	const struct rtgenmsg *m = mnl_nlmsg_get_payload(q->head);
	bool (*step)(struct client *, struct reply *) = nothing_step;

	if ((q->head->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) {
		if (q->head->nlmsg_type == RTM_GETLINK)
			return link_get(q);
		return request_fail(q, -EOPNOTSUPP, "addresses, routes and neighbours come as dumps (NLM_F_DUMP) only");
	}
	if (q->head->nlmsg_type == RTM_GETLINK)
		step = link_step;
	else if (m->rtgen_family != AF_UNSPEC && m->rtgen_family != AF_INET)
		step = nothing_step; /* no such addresses here */
	else if (q->head->nlmsg_type == RTM_GETADDR)
		step = address_step;
	else if (q->head->nlmsg_type == RTM_GETROUTE)
		step = route_step;
	else if (q->head->nlmsg_type == RTM_GETNEIGH)
		step = neigh_step;
	dump_start(q->client, q->head->nlmsg_seq, step);
	return 0;
}
