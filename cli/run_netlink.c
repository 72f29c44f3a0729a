/*
 * Netlink sockets of programs under byway run (ss, ip, getifaddrs): each is a conversation with
 * the daemon of its own, which speaks rtnetlink and sock_diag. Packets keep their boundaries;
 * what is particular to a netlink socket, its addresses and options, is answered here.
 */
#include "cli/run.h"

#include "client/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>

int64_t netlink_socket(struct call *c, int type, int protocol)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (kind != SOCK_RAW && kind != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	int fd = daemon_netlink(c->run, (uint8_t)protocol, (uint32_t)c->tid);
	if (fd < 0)
		return fd;
	if (type & SOCK_NONBLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	struct run_socket *s = table_add(c->run, fd, 0);
	s->kind = RUN_NETLINK;
	s->netlink = (uint8_t)protocol;
	s->port_id = (uint32_t)c->tid;
	c->result_fd = fd;
	return RUN_INSTALL;
}

/* What happens in these groups comes as messages of its own; there is no answer to wait for. */
static int64_t groups_set(struct call *c, uint32_t groups)
{
	_Alignas(NLMSG_ALIGNTO) char buffer[64];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);

	m->nlmsg_type = BYWAY_NETLINK_GROUPS;
	m->nlmsg_flags = NLM_F_REQUEST;
	mnl_attr_put_u64(m, BYWAY_A_VALUE, groups);
	if (send(c->fd, m, m->nlmsg_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -ENOBUFS;
	c->sock->groups = groups;
	return 0;
}

int64_t netlink_bind(struct call *c)
{
	struct sockaddr_nl nl;

	if (c->data.args[2] < sizeof(nl))
		return -EINVAL;
	if (!tracee_read(c, c->data.args[1], &nl, sizeof(nl)))
		return -EFAULT;
	if (nl.nl_family != AF_NETLINK)
		return -EINVAL;
	return nl.nl_groups == c->sock->groups ? 0 : groups_set(c, nl.nl_groups);
}

int64_t netlink_name(struct call *c, bool peer)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = peer ? 0 : c->sock->port_id,
				 .nl_groups = peer ? 0 : c->sock->groups};

	return address_copy(c, c->data.args[1], c->data.args[2], &nl, sizeof(nl));
}

unsigned netlink_sender(struct sockaddr_in6 *out)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};

	memset(out, 0, sizeof(*out));
	memcpy(out, &nl, sizeof(nl));
	return sizeof(nl);
}

int64_t netlink_setsockopt(struct call *c)
{
	int name = call_int(c, 2), group = 0;

	if (call_int(c, 1) != SOL_NETLINK)
		return RUN_CONTINUE;
	if (name != NETLINK_ADD_MEMBERSHIP && name != NETLINK_DROP_MEMBERSHIP)
		return 0;
	if (c->data.args[4] < sizeof(group))
		return -EINVAL;
	if (!tracee_read(c, c->data.args[3], &group, sizeof(group)))
		return -EFAULT;
	if (group < 1 || group > 32)
		return name == NETLINK_ADD_MEMBERSHIP ? -EINVAL : 0;
	uint32_t bit = 1u << (group - 1);
	return groups_set(c, name == NETLINK_ADD_MEMBERSHIP ? c->sock->groups | bit : c->sock->groups & ~bit);
}

int64_t netlink_getsockopt(struct call *c)
{
	int level = call_int(c, 1), name = call_int(c, 2), value;

	if (level == SOL_SOCKET && name == SO_DOMAIN)
		value = AF_NETLINK;
	else if (level == SOL_SOCKET && name == SO_TYPE)
		value = SOCK_RAW;
	else if (level == SOL_SOCKET && name == SO_PROTOCOL)
		value = c->sock->netlink;
	else
		return level == SOL_SOCKET ? RUN_CONTINUE : -ENOPROTOOPT;
	return address_copy(c, c->data.args[3], c->data.args[4], &value, sizeof(value));
}
