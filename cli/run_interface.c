/*
 * ioctl(2) about interfaces (netdevice(7)) of programs under byway run: the stack's link to the
 * outside with its addresses, as the daemon tells them by rtnetlink; it cannot be changed this way. Further addresses are named "LINK:1" and
 * so on, as the host's aliases are.
 */
#include "cli/run.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define ADDRESSES 16

struct interface {
	char name[IFNAMSIZ];
	int index, mtu;
	short flags;
	uint16_t type; /* ARPHRD_* */
	uint8_t mac[6];
	struct {
		struct in_addr addr;
		uint8_t prefix;
	} address[ADDRESSES];
	unsigned addresses;
};

static int take_link_attr(const struct nlattr *a, void *arg)
{
	struct interface *i = arg;
	size_t len = mnl_attr_get_payload_len(a);

	if (mnl_attr_get_type(a) == IFLA_IFNAME)
		snprintf(i->name, sizeof(i->name), "%.*s", (int)len, mnl_attr_get_str(a));
	else if (mnl_attr_get_type(a) == IFLA_MTU && len == sizeof(uint32_t))
		i->mtu = (int)mnl_attr_get_u32(a);
	else if (mnl_attr_get_type(a) == IFLA_ADDRESS && len == sizeof(i->mac))
		memcpy(i->mac, mnl_attr_get_payload(a), sizeof(i->mac));
	return MNL_CB_OK;
}

static int take_address_attr(const struct nlattr *a, void *arg)
{
	struct interface *i = arg;

	if (mnl_attr_get_type(a) == IFA_LOCAL && mnl_attr_get_payload_len(a) == sizeof(struct in_addr))
		memcpy(&i->address[i->addresses].addr, mnl_attr_get_payload(a), sizeof(struct in_addr));
	return MNL_CB_OK;
}

static int take_message(const struct nlmsghdr *m, void *arg)
{
	struct interface *i = arg;
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(m);
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(m);

	if (m->nlmsg_type == RTM_NEWLINK && m->nlmsg_len >= NLMSG_LENGTH(sizeof(*link))) {
		if (link->ifi_flags & IFF_LOOPBACK)
			return MNL_CB_OK;
		i->index = link->ifi_index;
		i->flags = (short)link->ifi_flags;
		i->type = link->ifi_type;
		return mnl_attr_parse(m, sizeof(*link), take_link_attr, i);
	}
	if (m->nlmsg_type != RTM_NEWADDR || m->nlmsg_len < NLMSG_LENGTH(sizeof(*address)) || i->addresses == ADDRESSES ||
	    address->ifa_scope == RT_SCOPE_HOST)
		return MNL_CB_OK;
	i->address[i->addresses].prefix = address->ifa_prefixlen;
	mnl_attr_parse(m, sizeof(*address), take_address_attr, i);
	i->addresses++;
	return MNL_CB_OK;
}

static int interface_get(struct run *run, struct interface *i)
{
	*i = (struct interface){0};
	for (unsigned step = 0; step < 2; step++) {
		struct nlmsghdr *m = talk_begin(run->byway, step ? RTM_GETADDR : RTM_GETLINK, NLM_F_DUMP);
		struct rtgenmsg *general = mnl_nlmsg_put_extra_header(m, sizeof(*general));
		general->rtgen_family = step ? AF_INET : AF_UNSPEC;
		if (talk_exchange(run->byway, m, take_message, i, NULL) < 0)
			return -ENODEV;
	}
	return 0;
}

/* The name of the n-th address. */
static void address_name(const struct interface *i, unsigned n, char out[IFNAMSIZ])
{
	if (n == 0)
		memcpy(out, i->name, IFNAMSIZ);
	else
		snprintf(out, IFNAMSIZ, "%.12s:%u", i->name, n % 100);
}

/* Which address `name` means; -1: no interface of ours. */
static int address_of(const struct interface *i, const char *name)
{
	char one[IFNAMSIZ];

	if (strncmp(name, i->name, IFNAMSIZ) == 0)
		return 0;
	for (unsigned n = 1; n < i->addresses; n++) {
		address_name(i, n, one);
		if (strncmp(name, one, IFNAMSIZ) == 0)
			return (int)n;
	}
	return -1;
}

static void put_address(struct sockaddr *out, in_addr_t addr)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = addr};

	memcpy(out, &in, sizeof(in));
}

static int64_t list(struct call *c, const struct interface *i)
{
	struct ifreq row[ADDRESSES];
	struct ifconf conf;
	unsigned rows = i->addresses;

	if (!tracee_read(c, c->data.args[2], &conf, sizeof(conf)))
		return -EFAULT;
	memset(row, 0, sizeof(row));
	for (unsigned n = 0; n < rows; n++) {
		address_name(i, n, row[n].ifr_name);
		put_address(&row[n].ifr_addr, i->address[n].addr.s_addr);
	}
	if (conf.ifc_buf && conf.ifc_len / (int)sizeof(row[0]) < (int)rows)
		rows = conf.ifc_len < 0 ? 0 : (unsigned)conf.ifc_len / sizeof(row[0]);
	if (conf.ifc_buf && !tracee_write(c, (uintptr_t)conf.ifc_buf, row, rows * sizeof(row[0])))
		return -EFAULT;
	conf.ifc_len = (int)(rows * sizeof(row[0]));
	return tracee_write(c, c->data.args[2], &conf, sizeof(conf)) ? 0 : -EFAULT;
}

/* What one request about the n-th address asks for. 0 or -errno. */
static int fill(const struct interface *i, unsigned n, unsigned request, struct ifreq *r)
{
	in_addr_t addr = i->address[n].addr.s_addr;
	uint8_t prefix = i->address[n].prefix;
	in_addr_t mask = prefix ? htonl(~0u << (32 - prefix)) : 0;

	switch (request) {
	case SIOCGIFFLAGS: r->ifr_flags = i->flags; return 0;
	case SIOCGIFMTU: r->ifr_mtu = i->mtu; return 0;
	case SIOCGIFINDEX: r->ifr_ifindex = i->index; return 0;
	case SIOCGIFMETRIC: r->ifr_metric = 0; return 0;
	case SIOCGIFHWADDR:
		memset(&r->ifr_hwaddr, 0, sizeof(r->ifr_hwaddr));
		r->ifr_hwaddr.sa_family = i->type;
		memcpy(r->ifr_hwaddr.sa_data, i->mac, sizeof(i->mac));
		return 0;
	}
	if (n >= i->addresses)
		return -EADDRNOTAVAIL;
	switch (request) {
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR: put_address(&r->ifr_addr, addr); return 0;
	case SIOCGIFNETMASK: put_address(&r->ifr_addr, mask); return 0;
	case SIOCGIFBRDADDR: put_address(&r->ifr_addr, addr | ~mask); return 0;
	}
	return -EINVAL;
}

int64_t interface_ioctl(struct call *c, unsigned request)
{
	struct interface i;
	struct ifreq r;
	int error = interface_get(c->run, &i), n = 0;

	if (error)
		return error;
	if (request == SIOCGIFCONF)
		return list(c, &i);
	if (!tracee_read(c, c->data.args[2], &r, sizeof(r)))
		return -EFAULT;
	if (request == SIOCGIFNAME) {
		if (r.ifr_ifindex != i.index)
			return -ENODEV;
		memcpy(r.ifr_name, i.name, sizeof(r.ifr_name));
	} else {
		n = address_of(&i, r.ifr_name);
		error = n < 0 ? -ENODEV : fill(&i, (unsigned)n, request, &r);
	}
	if (error)
		return error;
	return tracee_write(c, c->data.args[2], &r, sizeof(r)) ? 0 : -EFAULT;
}

/* ---- SO_BINDTODEVICE: there is one device to the outside, so a socket that is bound to it is as before ---- */

int64_t device_set(struct call *c)
{
	char name[IFNAMSIZ] = "";
	uint32_t len = (uint32_t)c->data.args[4];
	struct interface i;

	if (!tracee_read(c, c->data.args[3], name, len < sizeof(name) - 1 ? len : sizeof(name) - 1))
		return -EFAULT;
	if (name[0] && (interface_get(c->run, &i) != 0 || strncmp(name, i.name, IFNAMSIZ) != 0)) {
		run_note(c->run, 10, "there is no device %s to bind to", name);
		return -ENODEV;
	}
	c->sock->on_device = name[0] != 0;
	return 0;
}

int64_t device_get(struct call *c)
{
	struct interface i = {0};
	uint32_t len, size;

	if (!tracee_read(c, c->data.args[4], &len, sizeof(len)))
		return -EFAULT;
	if (c->sock->on_device && interface_get(c->run, &i) != 0)
		return -ENODEV;
	size = c->sock->on_device ? (uint32_t)strnlen(i.name, IFNAMSIZ - 1) + 1 : 0;
	if (size && len < IFNAMSIZ)
		return -EINVAL;
	if (!tracee_write(c, c->data.args[3], i.name, size) || !tracee_write(c, c->data.args[4], &size, sizeof(size)))
		return -EFAULT;
	return 0;
}
