/*
 * getsockopt, setsockopt and ioctl of programs under byway run. What the descriptor itself does
 * (timeouts, low-water marks) the kernel does; what says what a socket is, is answered here.
 */
#include "cli/run.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

/* ---- remembered options ---- */

static struct run_option *option_find(struct run_socket *s, int level, int name)
{
	for (unsigned i = 0; i < RUN_OPTIONS; i++)
		if (s->option[i].name && s->option[i].level == level && s->option[i].name == name)
			return &s->option[i];
	return NULL;
}

static void option_keep(struct run_socket *s, int level, int name, int value)
{
	struct run_option *o = option_find(s, level, name);

	for (unsigned i = 0; i < RUN_OPTIONS && !o; i++)
		if (!s->option[i].name)
			o = &s->option[i];
	if (o)
		*o = (struct run_option){.level = (uint16_t)level, .name = (uint16_t)name, .value = value};
}

/* Options that change nothing here and are remembered, and what they are until they are set. */
static const struct {
	int level, name, initial;
} plain[] = {
	{IPPROTO_IPV6, IPV6_TCLASS, 0}, {IPPROTO_IPV6, IPV6_RECVERR, 0}, {IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64}, {SOL_SOCKET, SO_DONTROUTE, 0},
	{IPPROTO_IP, IP_RETOPTS, 0}, {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0},
};

static const int *plain_initial(int level, int name)
{
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (plain[i].level == level && plain[i].name == name)
			return &plain[i].initial;
	return NULL;
}

/* The kernel's own answer is right on our descriptor, too. */
static bool is_native(const struct run_socket *s, int level, int name)
{
	/* Of a datagram's way through the descriptor; that through the stack takes no time to speak of. */
	if (level == SOL_SOCKET && run_is_datagram(s) &&
	    (name == SO_TIMESTAMP_OLD || name == SO_TIMESTAMPNS_OLD || name == SO_TIMESTAMP_NEW || name == SO_TIMESTAMPNS_NEW))
		return true;
	return level == SOL_SOCKET &&
	       (name == SO_RCVTIMEO_OLD || name == SO_SNDTIMEO_OLD || name == SO_RCVTIMEO_NEW ||
		name == SO_SNDTIMEO_NEW || name == SO_RCVLOWAT || name == SO_COOKIE || name == SO_SNDLOWAT);
}

/* ---- getsockopt ---- */

static int pending_error(struct call *c)
{
	struct run_socket *s = c->sock;
	struct sock_reply r = {0};
	int native = 0;
	socklen_t len = sizeof(native);

	if (run_is_datagram(s))
		return -datagram_error(c);
	struct pollfd p = {.fd = c->fd};
	if (poll(&p, 1, 0) == 0)
		return 0; /* no error and no hangup: the usual case needs no question */
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &native, &len);
	if (daemon_last_error(c->run, s->inode, &r) == 0 && r.error) {
		/* A connection that ended shows it in the descriptor, too, until somebody has read it there. */
		if (s->kind == RUN_CONNECTED && native == 0)
			return 0;
		if (s->kind == RUN_CONNECTING)
			s->kind = RUN_FAILED;
		return (int)r.error;
	}
	return native;
}

/* What a socket is, as an int; false: not one of these. */
static bool identity(struct call *c, int name, int *value)
{
	const struct run_socket *s = c->sock;

	switch (name) {
	case SO_ERROR: *value = pending_error(c); return true;
	case SO_TYPE: *value = run_is_datagram(s) ? SOCK_DGRAM : SOCK_STREAM; return true;
	case SO_DOMAIN: *value = s->family; return true;
	case SO_PROTOCOL: *value = s->ping ? IPPROTO_ICMP : run_is_datagram(s) ? IPPROTO_UDP : IPPROTO_TCP; return true;
	case SO_ACCEPTCONN: *value = s->kind == RUN_LISTENER; return true;
	default: return false;
	}
}

static bool level_known(const struct run_socket *s, int level)
{
	return level == SOL_SOCKET || level == IPPROTO_IP || level == (run_is_datagram(s) ? IPPROTO_UDP : IPPROTO_TCP);
}

/* From the stack. */
static int64_t get_from_stack(struct call *c, int level, int name)
{
	_Alignas(8) uint8_t value[BYWAY_OPTION_VALUE_MAX];
	uint32_t room, len;

	if (!tracee_read(c, c->data.args[4], &room, sizeof(room)))
		return -EFAULT;
	if ((int32_t)room < 0)
		return -EINVAL;
	len = room < sizeof(value) ? room : sizeof(value);
	int error = daemon_get_option(c->run, c->sock->inode, level, name, value, &len);
	if (error == -ENOENT)
		return -EINVAL; /* the connection is gone */
	if (error == -ENOPROTOOPT && !level_known(c->sock, level))
		return -EOPNOTSUPP;
	if (error)
		return error;
	return tracee_give(c, c->data.args[3], value, len, c->data.args[4], len) ? 0 : -EFAULT;
}

/* An int, cut at the room there is. */
static int64_t give_int(struct call *c, int value)
{
	uint32_t len;

	if (!tracee_peek(c, c->data.args[4], &len, sizeof(len)))
		return -EFAULT;
	if ((int32_t)len < 0)
		return -EINVAL;
	len = len < sizeof(value) ? len : sizeof(value);
	return tracee_give(c, c->data.args[3], &value, len, c->data.args[4], len) ? 0 : -EFAULT;
}

int64_t on_getsockopt(struct call *c)
{
	int level = call_int(c, 1), name = call_int(c, 2), value = 0;

	if (c->sock->kind == RUN_NETLINK)
		return netlink_getsockopt(c);
	if (is_native(c->sock, level, name))
		return RUN_CONTINUE;
	if (level == SOL_SOCKET && identity(c, name, &value))
		return give_int(c, value);
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return device_get(c);
	bool v6 = level == IPPROTO_IPV6 && c->sock->family == AF_INET6;
	const int *initial = plain_initial(level, name);
	const struct run_option *o = option_find(c->sock, level, name);
	if (v6 && name == IPV6_V6ONLY)
		return give_int(c, c->sock->v6_only);
	if (initial && (v6 || level != IPPROTO_IPV6))
		return give_int(c, o ? o->value : *initial);
	if (v6)
		return -ENOPROTOOPT;
	int64_t result = get_from_stack(c, level, name);
	if (result == -ENOPROTOOPT || result == -EOPNOTSUPP)
		run_note(c->run, 7, "getsockopt level %d option %d is not to be had", level, name);
	return result;
}

/* ---- setsockopt ---- */

static int64_t set_in_stack(struct call *c, int level, int name, int len)
{
	_Alignas(8) uint8_t value[BYWAY_OPTION_VALUE_MAX];

	if (len > (int)sizeof(value))
		len = sizeof(value);
	if (!tracee_read(c, c->data.args[3], value, (size_t)len))
		return -EFAULT;
	int error = daemon_set_option(c->run, c->sock->inode, level, name, value, (uint32_t)len);
	int number = value[0];
	if (len >= (int)sizeof(number))
		memcpy(&number, value, sizeof(number));
	if (!error && len > 0)
		control_option_set(c->sock, level, name, number);
	if (error == -ENOPROTOOPT)
		run_note(c->run, 8, "setsockopt level %d option %d is not to be had", level, name);
	/* ENOENT: of an unknown algorithm, or the connection is gone and takes any option. */
	return error == -ENOENT && !(level == IPPROTO_TCP && name == TCP_CONGESTION) ? 0 : error;
}

/* What the stack has no word for. */
static int64_t set_here(struct call *c, int level, int name, int len)
{
	bool v6_only = level == IPPROTO_IPV6 && name == IPV6_V6ONLY;
	int value;

	if (!v6_only && !plain_initial(level, name))
		return -ENOPROTOOPT;
	if (len < (int)sizeof(value))
		return -EINVAL;
	if (!tracee_read(c, c->data.args[3], &value, sizeof(value)))
		return -EFAULT;
	if (v6_only)
		c->sock->v6_only = value != 0;
	else
		option_keep(c->sock, level, name, value);
	return 0;
}

int64_t on_setsockopt(struct call *c)
{
	int level = call_int(c, 1), name = call_int(c, 2), len = call_int(c, 4);

	if (c->sock->kind == RUN_NETLINK)
		return netlink_setsockopt(c);
	if (is_native(c->sock, level, name))
		return RUN_CONTINUE;
	if (len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
		return device_set(c);
	bool v6 = level == IPPROTO_IPV6;
	if (v6 ? c->sock->family == AF_INET6 : plain_initial(level, name) != NULL)
		return set_here(c, level, name, len);
	return set_in_stack(c, level, name, len);
}

/* ---- ioctl ---- */

int64_t on_ioctl(struct call *c)
{
	int value = 0;

	switch ((unsigned)c->data.args[1]) {
	case FIONREAD: {
		char byte;
		if (c->sock->kind == RUN_LISTENER)
			return -EINVAL;
		if (!run_is_datagram(c->sock))
			return RUN_CONTINUE;
		ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		value = n > 0 ? (int)n : 0;
		return tracee_write(c, c->data.args[2], &value, sizeof(value)) ? 0 : -EFAULT;
	}
	case SIOCOUTQ:
	case SIOCOUTQNSD: {
		uint32_t len = sizeof(value);
		int error = daemon_get_option(c->run, c->sock->inode, BYWAY_LEVEL_IOCTL, call_int(c, 1), &value, &len);
		if (error && error != -ENOENT)
			return error;
		return tracee_write(c, c->data.args[2], &value, sizeof(value)) ? 0 : -EFAULT;
	}
	case SIOCATMARK:
		if (run_is_datagram(c->sock))
			return -EINVAL;
		return tracee_write(c, c->data.args[2], &value, sizeof(value)) ? 0 : -EFAULT;
	default:
		return interface_ioctl(c, (unsigned)c->data.args[1]);
	}
}
