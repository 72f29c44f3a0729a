/*
 * Netlink sockets of programs under byway run (ss, ip, getifaddrs): each is a conversation with
 * the daemon of its own, which speaks rtnetlink and sock_diag. Packets keep their boundaries;
 * what is particular to a netlink socket, its addresses and options, is answered here.
 */
#include "cli/run.h"

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
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	struct run_socket *s = table_add(c->run, fd);
	s->kind = RUN_NETLINK;
	s->netlink = (uint8_t)protocol;
	s->port_id = (uint32_t)c->tid;
	c->result_fd = fd;
	return RUN_INSTALL;
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
	if (nl.nl_groups)
		run_note(c->run, 6, "netlink groups stay silent");
	return 0;
}

int64_t netlink_name(struct call *c, bool peer)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = peer ? 0 : c->sock->port_id};

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
	return call_int(c, 1) == SOL_NETLINK ? 0 : RUN_CONTINUE;
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
