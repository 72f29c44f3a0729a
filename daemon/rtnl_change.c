/*
 * What the administrator changes by rtnetlink: addresses and neighbours here, routes in
 * rtnl_route.c. Links stay as the configuration made them; who asks is told where that is.
 *
 * Nothing of it is written to the configuration: a restart brings back what that says. Every
 * change is logged with who made it, and told to the subscribers of its group.
 */
#include "daemon/rtnl.h"
#include "daemon/worker.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <string.h>

/* ---- addresses ---- */

enum address_row { LOCAL, ADDRESS, BROADCAST, LABEL, FLAGS, CACHEINFO, PROTO, ADDRESS_ROWS };
static const struct rtnl_attribute address_rows[ADDRESS_ROWS] = {
	[LOCAL] = {IFA_LOCAL, 4, "IFA_LOCAL"}, [ADDRESS] = {IFA_ADDRESS, 4, "IFA_ADDRESS"},
	[BROADCAST] = {IFA_BROADCAST, 4, "IFA_BROADCAST"}, [LABEL] = {IFA_LABEL, 0, "IFA_LABEL"},
	[FLAGS] = {IFA_FLAGS, 4, "IFA_FLAGS"},
	[CACHEINFO] = {IFA_CACHEINFO, sizeof(struct ifa_cacheinfo), "IFA_CACHEINFO"}, [PROTO] = {11 /* IFA_PROTO */, 1, "IFA_PROTO"},
};

static void put_address_new(struct reply *r, const void *arg)
{
	rtnl_put_address(r, RTM_NEWADDR, arg);
}

static void put_address_deleted(struct reply *r, const void *arg)
{
	rtnl_put_address(r, RTM_DELADDR, arg);
}

static bool address_present(const struct daemon *d, const struct stack_addr *addr, struct stack_address_info *out)
{
	for (size_t i = 0; stack_address_get(d->stack, i, out); i++)
		if (memcmp(&out->addr, addr, sizeof(*addr)) == 0)
			return true;
	return false;
}

static int address_wanted(struct request *q, const struct nlattr **found, struct stack_addr *out)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(q->head);
	int error = rtnl_attributes(q, sizeof(*m), address_rows, ADDRESS_ROWS, true, found);

	if (error)
		return error;
	if (m->ifa_family != AF_INET)
		return rtnl_fail(q, -EAFNOSUPPORT, "there is IPv4 only");
	if (!found[LOCAL] && !found[ADDRESS])
		return rtnl_fail(q, -EINVAL, "the message lacks IFA_LOCAL");
	*out = rtnl_address(found[LOCAL] ? found[LOCAL] : found[ADDRESS]);
	return rtnl_link_check(q, m->ifa_index);
}

/* What an address can have with the kernel's, and here not. */
static int address_extras(struct request *q, const struct nlattr **found)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(q->head);
	uint32_t flags = found[FLAGS] ? mnl_attr_get_u32(found[FLAGS]) : m->ifa_flags;
	struct ifa_cacheinfo life = {.ifa_valid = UINT32_MAX};

	if (found[CACHEINFO])
		memcpy(&life, mnl_attr_get_payload(found[CACHEINFO]), sizeof(life));
	if (found[LOCAL] && found[ADDRESS] &&
	    memcmp(mnl_attr_get_payload(found[LOCAL]), mnl_attr_get_payload(found[ADDRESS]), 4) != 0)
		return rtnl_fail(q, -EOPNOTSUPP, "addresses have no peer");
	if ((flags & ~(uint32_t)IFA_F_PERMANENT) != 0 || life.ifa_valid != UINT32_MAX)
		return rtnl_fail(q, -EOPNOTSUPP, "addresses have no flags and live until they are deleted");
	if (m->ifa_scope != RT_SCOPE_UNIVERSE)
		return rtnl_fail(q, -EOPNOTSUPP, "addresses have scope global");
	if (found[LABEL] && (mnl_attr_validate(found[LABEL], MNL_TYPE_NUL_STRING) < 0 ||
			     strcmp(mnl_attr_get_str(found[LABEL]), link_name(q->daemon->link)) != 0))
		return rtnl_fail(q, -EOPNOTSUPP, "addresses have no label but the link's name");
	return 0;
}

static int address_new(struct request *q)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(q->head);
	const struct nlattr *found[ADDRESS_ROWS];
	struct stack_address_info info;
	struct stack *all[WORKERS_MAX];
	struct stack_addr addr;
	int error = address_wanted(q, found, &addr);

	if (!error)
		error = address_extras(q, found);
	if (error)
		return error;
	if ((q->head->nlmsg_flags & NLM_F_REPLACE) && address_present(q->daemon, &addr, &info) &&
	    info.prefix == m->ifa_prefixlen)
		return 0;
	error = network_address_add(all, worker_stacks(q->daemon, all), &addr, m->ifa_prefixlen);
	if (error == -EEXIST)
		return rtnl_fail(q, error, "the stack has this address");
	if (error == -EINVAL)
		return rtnl_fail(q, error, "no host can have this address in a prefix of this length");
	if (error)
		return rtnl_fail(q, error, "the stack has as many addresses or routes as it can");
	if (address_present(q->daemon, &addr, &info))
		control_notify(q->client->control, NETLINK_ROUTE, RTNLGRP_IPV4_IFADDR, NULL, put_address_new, &info);
	return 0;
}

static int address_delete(struct request *q)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(q->head);
	const struct nlattr *found[ADDRESS_ROWS];
	struct stack_address_info info;
	struct stack_addr addr;
	int error = address_wanted(q, found, &addr);

	if (error)
		return error;
	if (!address_present(q->daemon, &addr, &info) || (found[ADDRESS] && info.prefix != m->ifa_prefixlen))
		return rtnl_fail(q, -EADDRNOTAVAIL, "the stack does not have this address");
	for (unsigned i = 0; i < worker_count(q->daemon); i++)
		stack_address_remove(worker_at(q->daemon, i)->stack, &addr);
	control_notify(q->client->control, NETLINK_ROUTE, RTNLGRP_IPV4_IFADDR, NULL, put_address_deleted, &info);
	return 0;
}

/* ---- neighbours ---- */

enum neigh_row { NEIGH_DST, LLADDR, CACHE, PROBES, NEIGH_ROWS };
static const struct rtnl_attribute neigh_rows[NEIGH_ROWS] = {
	[NEIGH_DST] = {NDA_DST, 4, "NDA_DST"}, [LLADDR] = {NDA_LLADDR, 6, "NDA_LLADDR"},
	[CACHE] = {NDA_CACHEINFO, 0, "NDA_CACHEINFO"}, [PROBES] = {NDA_PROBES, 0, "NDA_PROBES"},
};

static void put_neigh_new(struct reply *r, const void *arg)
{
	rtnl_put_neigh(r, RTM_NEWNEIGH, arg);
}

static void put_neigh_deleted(struct reply *r, const void *arg)
{
	rtnl_put_neigh(r, RTM_DELNEIGH, arg);
}

static int neigh_wanted(struct request *q, const struct nlattr **found, struct stack_addr *out)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(q->head);
	int error = rtnl_attributes(q, sizeof(*m), neigh_rows, NEIGH_ROWS, true, found);

	if (error)
		return error;
	if (m->ndm_family != AF_INET)
		return rtnl_fail(q, -EAFNOSUPPORT, "there is IPv4 only");
	if (!found[NEIGH_DST])
		return rtnl_fail(q, -EINVAL, "the message lacks NDA_DST");
	if (m->ndm_flags & (NTF_PROXY | NTF_SELF | NTF_MASTER))
		return rtnl_fail(q, -EOPNOTSUPP, "there are no proxy neighbours and no bridge");
	*out = rtnl_address(found[NEIGH_DST]);
	return rtnl_link_check(q, (uint32_t)m->ndm_ifindex);
}

/* The stack's state for the kernel's; false: not one to be set. */
static bool neigh_state(uint16_t nud, enum stack_neigh_state *out)
{
	if (nud == NUD_PERMANENT || nud == NUD_NOARP)
		*out = STACK_NEIGH_PERMANENT;
	else if (nud == NUD_REACHABLE)
		*out = STACK_NEIGH_REACHABLE;
	else if (nud == NUD_STALE)
		*out = STACK_NEIGH_STALE;
	else
		return false;
	return true;
}

/* By any worker: each finds its neighbours itself. */
static bool neigh_known(struct daemon *d, const struct stack_addr *addr, struct stack_neigh_info *info)
{
	bool known = false;

	for (unsigned i = 0; i < worker_count(d) && !known; i++)
		known = stack_neigh_find(worker_at(d, i)->stack, addr, info);
	return known;
}

static int neigh_new(struct request *q)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(q->head);
	uint16_t flags = q->head->nlmsg_flags;
	const struct nlattr *found[NEIGH_ROWS];
	struct stack_neigh_info info;
	enum stack_neigh_state state;
	struct stack *all[WORKERS_MAX];
	struct stack_addr addr;
	int error = neigh_wanted(q, found, &addr);

	if (error)
		return error;
	bool present = neigh_known(q->daemon, &addr, &info);
	if (present && (flags & NLM_F_EXCL))
		return rtnl_fail(q, -EEXIST, "there is an entry for this neighbour");
	if (!present && !(flags & NLM_F_CREATE))
		return rtnl_fail(q, -ENOENT, "this neighbour is not known");
	if (!neigh_state(m->ndm_state, &state))
		return rtnl_fail(q, -EOPNOTSUPP, "states to be set are permanent, noarp, reachable and stale");
	if (!found[LLADDR])
		return rtnl_fail(q, -EINVAL, "the message lacks NDA_LLADDR");
	error = network_neigh_set(all, worker_stacks(q->daemon, all), &addr, mnl_attr_get_payload(found[LLADDR]), state);
	if (error == -EINVAL)
		return rtnl_fail(q, error, "no neighbour can have this address");
	if (error)
		return rtnl_fail(q, error, error == -EOPNOTSUPP ? "a TUN has no neighbours" : "the cache is full");
	if (stack_neigh_find(q->daemon->stack, &addr, &info))
		control_notify(q->client->control, NETLINK_ROUTE, RTNLGRP_NEIGH, NULL, put_neigh_new, &info);
	return 0;
}

static int neigh_delete(struct request *q)
{
	const struct nlattr *found[NEIGH_ROWS];
	struct stack_neigh_info info;
	struct stack_addr addr;
	int error = neigh_wanted(q, found, &addr);

	if (error)
		return error;
	if (!neigh_known(q->daemon, &addr, &info))
		return rtnl_fail(q, -ENOENT, "this neighbour is not known");
	for (unsigned i = 0; i < worker_count(q->daemon); i++)
		stack_neigh_remove(worker_at(q->daemon, i)->stack, daemon_now(), &addr);
	control_notify(q->client->control, NETLINK_ROUTE, RTNLGRP_NEIGH, NULL, put_neigh_deleted, &info);
	return 0;
}

/* ---- links ---- */

enum link_row { IFNAME, MTU, HARDWARE, EXT_MASK, LINK_ROWS };
static const struct rtnl_attribute link_rows[LINK_ROWS] = {
	[IFNAME] = {IFLA_IFNAME, 0, "IFLA_IFNAME"}, [MTU] = {IFLA_MTU, 4, "IFLA_MTU"},
	[HARDWARE] = {IFLA_ADDRESS, 6, "IFLA_ADDRESS"}, [EXT_MASK] = {IFLA_EXT_MASK, 4, "IFLA_EXT_MASK"},
};

/* What is already so may be asked for. */
static int link_set(struct request *q)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(q->head);
	const struct config *c = &q->daemon->config;
	const struct nlattr *found[LINK_ROWS];

	if (m->ifi_index != LINK_INDEX && m->ifi_index != LINK_LO)
		return rtnl_fail(q, -ENODEV, "there are lo and the link to the outside, and no others can be made");
	int error = rtnl_attributes(q, sizeof(*m), link_rows, LINK_ROWS, true, found);
	if (!error)
		error = rtnl_link_check(q, (uint32_t)m->ifi_index);
	if (error)
		return error;
	if ((m->ifi_change & IFF_UP) && !(m->ifi_flags & IFF_UP))
		return rtnl_fail(q, -EOPNOTSUPP, "the link is up as long as bywayd runs");
	if (found[MTU] && mnl_attr_get_u32(found[MTU]) != c->mtu)
		return rtnl_fail(q, -EOPNOTSUPP, "the MTU is [Link] MTU= of the configuration and changes with a restart");
	if (found[HARDWARE] && memcmp(mnl_attr_get_payload(found[HARDWARE]), c->stack.mac, 6) != 0)
		return rtnl_fail(q, -EOPNOTSUPP, "the hardware address is [Link] MACAddress= of the configuration");
	if (found[IFNAME] && (mnl_attr_validate(found[IFNAME], MNL_TYPE_NUL_STRING) < 0 ||
			      strcmp(mnl_attr_get_str(found[IFNAME]), link_name(q->daemon->link)) != 0))
		return rtnl_fail(q, -EOPNOTSUPP, "the name is [Link] Name= of the configuration");
	return 0;
}

static int link_delete(struct request *q)
{
	return rtnl_fail(q, -EOPNOTSUPP, "the links are there as long as bywayd runs");
}

/* ---- the request ---- */

static const struct {
	uint16_t type;
	const char *what; /* for the log; NULL: changes nothing */
	int (*change)(struct request *q);
} changes[] = {
	{RTM_NEWADDR, "added an address", address_new},
	{RTM_DELADDR, "deleted an address", address_delete},
	{RTM_NEWROUTE, "set a route", rtnl_route_new},
	{RTM_DELROUTE, "deleted a route", rtnl_route_delete},
	{RTM_NEWNEIGH, "set a neighbour", neigh_new},
	{RTM_DELNEIGH, "deleted a neighbour", neigh_delete},
	{RTM_NEWLINK, NULL, link_set},
	{RTM_SETLINK, NULL, link_set},
	{RTM_DELLINK, NULL, link_delete},
};

int rtnl_change(struct request *q)
{
	const struct owner *who = &q->client->owner;
	size_t i = 0;

	while (changes[i].type != q->head->nlmsg_type)
		i++;
	int error = changes[i].change(q);
	if (error)
		return error;
	daemon_kick(q->daemon);
	if (changes[i].what && control_may_log(q->client->control))
		daemon_log(LOG_INFO, "control: %s (pid %d, uid %u) %s", who->comm[0] ? who->comm : "a process",
			   (int)who->pid, who->uid, changes[i].what);
	if (q->head->nlmsg_flags & NLM_F_ACK)
		reply_error(q->client, q->head, 0, NULL, 0);
	return 0;
}
