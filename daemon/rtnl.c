/*
 * The stack's links, addresses and neighbours, told as the kernel tells its own (rtnetlink(7)):
 * whole, or the one that is asked for.
 *
 * What a dump is asked to leave out is sent all the same; programs that ask look at what comes,
 * as they have to with kernels that cannot filter.
 */
#include "daemon/rtnl.h"
#include "daemon/worker.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <string.h>

#define CLOCK_TICKS 100 /* USER_HZ, the unit of nda_cacheinfo */

/* ---- for all ---- */

int rtnl_attributes(struct request *q, size_t header, const struct rtnl_attribute *rows, size_t count, bool strict,
		    const struct nlattr **found)
{
	const char *end = (const char *)q->head + q->head->nlmsg_len;
	const struct nlattr *a = mnl_nlmsg_get_payload_offset(q->head, header);

	memset(found, 0, count * sizeof(*found));
	for (; mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a)) {
		size_t i = 0;

		while (i < count && rows[i].type != mnl_attr_get_type(a))
			i++;
		q->bad_attr = (uint32_t)((const char *)a - (const char *)q->head);
		if (i == count && strict)
			return request_fail(q, -EOPNOTSUPP, "attribute %u is not supported here", mnl_attr_get_type(a));
		if (i < count && rows[i].size && mnl_attr_get_payload_len(a) != rows[i].size)
			return request_fail(q, -EINVAL, "attribute %s has %u bytes, not %u", rows[i].name,
					    mnl_attr_get_payload_len(a), rows[i].size);
		if (i < count)
			found[i] = a;
	}
	q->bad_attr = 0;
	return 0;
}

struct stack_addr rtnl_address(const struct nlattr *a)
{
	return a ? stack_addr_v4(mnl_attr_get_payload(a)) : (struct stack_addr){0};
}

int rtnl_fail(struct request *q, int error, const char *what)
{
	return request_fail(q, error, "%s: %s", strerror(-error), what);
}

int rtnl_link_check(struct request *q, uint32_t index)
{
	if (index == 0 || index == LINK_INDEX)
		return 0;
	if (index == LINK_LO)
		return rtnl_fail(q, -EOPNOTSUPP, "lo is the stack's own and stays as it is");
	return rtnl_fail(q, -ENODEV, "there are lo and the link to the outside");
}

void rtnl_put_ip4(struct reply *r, uint16_t type, const struct stack_addr *a)
{
	reply_put(r, type, 4, a->byte + 12);
}

/* ---- link ---- */

/* Of all workers. */
static uint64_t counter_by_name(struct daemon *d, const char *name)
{
	uint64_t sum = 0;
	size_t i = 0;

	while (i < stack_counter_count() && strcmp(stack_counter_name(i), name) != 0)
		i++;
	for (unsigned k = 0; k < worker_count(d) && i < stack_counter_count(); k++)
		sum += stack_counter(worker_at(d, k)->stack, i);
	return sum;
}

static void put_link_stats(struct reply *r, struct daemon *d)
{
	struct rtnl_link_stats64 stats = {
		.rx_packets = counter_by_name(d, "link.in"),
		.rx_bytes = counter_by_name(d, "link.in_bytes"),
		.tx_packets = counter_by_name(d, "link.out"),
		.tx_bytes = counter_by_name(d, "link.out_bytes"),
		.tx_dropped = counter_by_name(d, "link.out_failed"),
		.rx_errors = counter_by_name(d, "link.in_short"),
		.rx_dropped = counter_by_name(d, "link.in_unknown_type"),
	};

	reply_put(r, IFLA_STATS64, sizeof(stats), &stats);
}

/* What both links have: nothing waits in a queue of theirs. */
static void put_link_state(struct reply *r, uint32_t mtu, uint8_t operstate)
{
	const uint8_t carrier = 1;

	reply_u32(r, IFLA_MTU, mtu);
	reply_u32(r, IFLA_TXQLEN, 0);
	reply_u32(r, IFLA_GROUP, 0);
	reply_string(r, IFLA_QDISC, "noqueue");
	reply_put(r, IFLA_OPERSTATE, sizeof(operstate), &operstate);
	reply_put(r, IFLA_CARRIER, sizeof(carrier), &carrier);
}

/* Packets to ourselves: each is sent and received at once. */
static void put_lo(struct reply *r, struct daemon *d)
{
	static const uint8_t none[6];
	uint64_t packets = counter_by_name(d, "link.loopback");
	struct rtnl_link_stats64 stats = {
		.rx_packets = packets, .tx_packets = packets, .tx_dropped = counter_by_name(d, "link.loopback_drops"),
	};
	struct ifinfomsg *m = reply_message(r, RTM_NEWLINK, sizeof(*m));

	m->ifi_type = ARPHRD_LOOPBACK;
	m->ifi_index = LINK_LO;
	m->ifi_flags = IFF_LOOPBACK | IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
	reply_string(r, IFLA_IFNAME, "lo");
	put_link_state(r, 65535, IF_OPER_UNKNOWN);
	reply_put(r, IFLA_ADDRESS, sizeof(none), none);
	reply_put(r, IFLA_BROADCAST, sizeof(none), none);
	reply_put(r, IFLA_STATS64, sizeof(stats), &stats);
}

static void put_link(struct reply *r, struct daemon *d)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct ifinfomsg *m = reply_message(r, RTM_NEWLINK, sizeof(*m));
	m->ifi_family = AF_UNSPEC;
	m->ifi_type = d->config.tun ? ARPHRD_NONE : ARPHRD_ETHER;
	m->ifi_index = LINK_INDEX;
	m->ifi_flags = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | (d->config.tun ? IFF_POINTOPOINT | IFF_NOARP : IFF_BROADCAST);
	reply_string(r, IFLA_IFNAME, link_name(d->link));
	put_link_state(r, d->config.mtu, IF_OPER_UP);
	if (!d->config.tun) {
		reply_put(r, IFLA_ADDRESS, sizeof(d->config.stack.mac), d->config.stack.mac);
		reply_put(r, IFLA_BROADCAST, sizeof(broadcast), broadcast);
	}
	put_link_stats(r, d);
}

static bool link_step(struct client *c, struct reply *r)
{
	put_lo(r, c->control->daemon);
	put_link(r, c->control->daemon);
	return false;
}

static uint32_t link_by_name(const struct daemon *d, const struct nlattr *name)
{
	if (mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0)
		return 0;
	if (strcmp(mnl_attr_get_str(name), "lo") == 0)
		return LINK_LO;
	return strcmp(mnl_attr_get_str(name), link_name(d->link)) == 0 ? LINK_INDEX : 0;
}

/* One link by its number or name, as `ip` asks when it wants the name of a number. */
static int link_get(struct request *q)
{
	static const struct rtnl_attribute rows[] = {{IFLA_IFNAME, 0, "IFLA_IFNAME"}, {IFLA_ALT_IFNAME, 0, "IFLA_ALT_IFNAME"}};
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(q->head);
	const struct nlattr *found[2];
	uint32_t index;
	struct reply r;

	if (mnl_nlmsg_get_payload_len(q->head) < sizeof(*m))
		return request_fail(q, -EINVAL, "RTM_GETLINK is cut short");
	int error = rtnl_attributes(q, sizeof(*m), rows, 2, false, found);
	if (error)
		return error;
	const struct nlattr *name = found[0] ? found[0] : found[1];
	index = name ? link_by_name(q->daemon, name) : (uint32_t)m->ifi_index;
	if ((index != LINK_LO && index != LINK_INDEX) || (m->ifi_index && (uint32_t)m->ifi_index != index))
		return rtnl_fail(q, -ENODEV, "there are lo and the link to the outside");
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	if (index == LINK_LO)
		put_lo(&r, q->daemon);
	else
		put_link(&r, q->daemon);
	reply_send(&r, -1);
	return 0;
}

/* ---- addresses ---- */

/* 255.255.255.0 of 24, in network order. */
static void put_broadcast(struct reply *r, const struct stack_address_info *info)
{
	struct stack_addr last = info->addr;

	if (info->prefix > 30)
		return; /* RFC 3021 */
	for (unsigned bit = info->prefix; bit < 32; bit++)
		last.byte[12 + bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	rtnl_put_ip4(r, IFA_BROADCAST, &last);
}

static void put_address_state(struct reply *r, struct ifaddrmsg *m, uint32_t flags, const char *label)
{
	struct ifa_cacheinfo forever = {.ifa_prefered = UINT32_MAX, .ifa_valid = UINT32_MAX};

	m->ifa_flags = (uint8_t)flags;
	reply_string(r, IFA_LABEL, label);
	reply_u32(r, IFA_FLAGS, flags);
	reply_put(r, IFA_CACHEINFO, sizeof(forever), &forever);
}

void rtnl_put_address(struct reply *r, uint16_t type, const struct stack_address_info *info)
{
	struct ifaddrmsg *m = reply_message(r, type, sizeof(*m));
	uint32_t flags = IFA_F_PERMANENT | (info->tentative ? IFA_F_TENTATIVE : 0u) |
			 (info->conflict ? IFA_F_DADFAILED : 0u);

	m->ifa_family = AF_INET;
	m->ifa_prefixlen = info->prefix;
	m->ifa_scope = RT_SCOPE_UNIVERSE;
	m->ifa_index = LINK_INDEX;
	rtnl_put_ip4(r, IFA_ADDRESS, &info->addr);
	rtnl_put_ip4(r, IFA_LOCAL, &info->addr);
	put_broadcast(r, info);
	put_address_state(r, m, flags, link_name(r->client->control->daemon->link));
}

static void put_lo_address(struct reply *r)
{
	const struct stack_addr localhost = stack_addr_v4((const uint8_t[]){127, 0, 0, 1});
	struct ifaddrmsg *m = reply_message(r, RTM_NEWADDR, sizeof(*m));

	m->ifa_family = AF_INET;
	m->ifa_prefixlen = 8;
	m->ifa_scope = RT_SCOPE_HOST;
	m->ifa_index = LINK_LO;
	rtnl_put_ip4(r, IFA_ADDRESS, &localhost);
	rtnl_put_ip4(r, IFA_LOCAL, &localhost);
	put_address_state(r, m, IFA_F_PERMANENT, "lo");
}

static bool address_step(struct client *c, struct reply *r)
{
	struct stack_address_info info;

	if (c->dump.cursor == 0)
		put_lo_address(r);
	while (!reply_full(r)) {
		if (!stack_address_get(c->control->daemon->stack, (size_t)c->dump.cursor++, &info))
			return false;
		rtnl_put_address(r, RTM_NEWADDR, &info);
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
	case STACK_NEIGH_PERMANENT: return NUD_PERMANENT;
	}
	return NUD_NONE;
}

void rtnl_put_neigh(struct reply *r, uint16_t type, const struct stack_neigh_info *info)
{
	struct nda_cacheinfo cache = {
		.ndm_updated = (uint32_t)((daemon_now() - info->updated) * CLOCK_TICKS / 1000000),
	};
	struct ndmsg *m = reply_message(r, type, sizeof(*m));

	m->ndm_family = AF_INET;
	m->ndm_ifindex = LINK_INDEX;
	m->ndm_state = neigh_state(info->state);
	m->ndm_type = RTN_UNICAST;
	rtnl_put_ip4(r, NDA_DST, &info->addr);
	if (info->state != STACK_NEIGH_INCOMPLETE && info->state != STACK_NEIGH_FAILED)
		reply_put(r, NDA_LLADDR, sizeof(info->mac), info->mac);
	reply_put(r, NDA_CACHEINFO, sizeof(cache), &cache);
}

/* Workers find their neighbours themselves: one of those before this one knows it, too. */
static bool told_before(struct daemon *d, unsigned worker, const struct stack_addr *addr)
{
	struct stack_neigh_info info;
	bool told = false;

	for (unsigned i = 0; i < worker && !told; i++)
		told = stack_neigh_find(worker_at(d, i)->stack, addr, &info);
	return told;
}

static bool neigh_step(struct client *c, struct reply *r)
{
	struct daemon *d = c->control->daemon;
	struct stack_neigh_info info;

	while (!reply_full(r)) {
		if (stack_neigh_get(worker_at(d, c->dump.worker)->stack, (size_t)c->dump.cursor++, &info)) {
			if (!told_before(d, c->dump.worker, &info.addr))
				rtnl_put_neigh(r, RTM_NEWNEIGH, &info);
			continue;
		}
		c->dump.cursor = 0;
		if (++c->dump.worker == worker_count(d))
			return false;
	}
	return true;
}

/* One neighbour by its address. */
static int neigh_get(struct request *q)
{
	static const struct rtnl_attribute rows[] = {{NDA_DST, 4, "NDA_DST"}};
	const struct ndmsg *m = mnl_nlmsg_get_payload(q->head);
	struct stack_neigh_info info;
	const struct nlattr *dst;
	struct reply r;

	if (mnl_nlmsg_get_payload_len(q->head) < sizeof(*m))
		return request_fail(q, -EINVAL, "RTM_GETNEIGH is cut short");
	int error = rtnl_attributes(q, sizeof(*m), rows, 1, false, &dst);
	if (!error)
		error = rtnl_link_check(q, (uint32_t)m->ndm_ifindex);
	if (error)
		return error;
	struct stack_addr addr = rtnl_address(dst);
	if (m->ndm_family != AF_INET || !dst || !stack_neigh_find(q->daemon->stack, &addr, &info))
		return rtnl_fail(q, -ENOENT, "this neighbour is not known");
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	rtnl_put_neigh(&r, RTM_NEWNEIGH, &info);
	reply_send(&r, -1);
	return 0;
}

/* ---- the request ---- */

static bool nothing_step(struct client *c, struct reply *r)
{
	(void)c, (void)r;
	return false;
}

/* What the dump goes through; of families that the stack has not: nothing. */
static bool (*dump_step(const struct request *q))(struct client *, struct reply *)
{
	const struct rtgenmsg *m = mnl_nlmsg_get_payload(q->head);

	if (q->head->nlmsg_type == RTM_GETLINK)
		return m->rtgen_family == AF_UNSPEC || m->rtgen_family == AF_INET || m->rtgen_family == AF_PACKET
			? link_step : nothing_step;
	if (m->rtgen_family != AF_UNSPEC && m->rtgen_family != AF_INET)
		return nothing_step;
	if (q->head->nlmsg_type == RTM_GETADDR)
		return address_step;
	if (q->head->nlmsg_type == RTM_GETRULE)
		return rtnl_rule_step;
	return q->head->nlmsg_type == RTM_GETROUTE ? rtnl_route_step : neigh_step;
}

int rtnl_get(struct request *q)
{
	if ((q->head->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) {
		dump_start(q->client, q->head->nlmsg_seq, dump_step(q));
		return 0;
	}
	if (q->head->nlmsg_type == RTM_GETLINK)
		return link_get(q);
	if (q->head->nlmsg_type == RTM_GETROUTE)
		return rtnl_route_get(q);
	if (q->head->nlmsg_type == RTM_GETNEIGH)
		return neigh_get(q);
	return rtnl_fail(q, -EOPNOTSUPP, "addresses and rules come as a dump (NLM_F_DUMP) only");
}
