/* Requests to the daemon (client/protocol.h, BYWAY_SOCK_*). Each is answered at once. */
#include "cli/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int take_attr(const struct nlattr *a, void *arg)
{
	struct sock_reply *r = arg;
	const void *p = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case BYWAY_A_LOCAL:
		memcpy(&r->local, p, len < sizeof(r->local) ? len : sizeof(r->local));
		break;
	case BYWAY_A_REMOTE:
		memcpy(&r->remote, p, len < sizeof(r->remote) ? len : sizeof(r->remote));
		break;
	case BYWAY_A_PROTOCOL:
		r->protocol = mnl_attr_get_u8(a);
		break;
	case BYWAY_A_FAMILY:
		r->family = mnl_attr_get_u8(a);
		break;
	case BYWAY_A_STATE:
		r->state = mnl_attr_get_u8(a);
		break;
	case BYWAY_A_FAILURE:
		memcpy(&r->failure, p, len < sizeof(r->failure) ? len : sizeof(r->failure));
		break;
	case BYWAY_A_INODE:
		r->inode = mnl_attr_get_u64(a);
		break;
	case BYWAY_A_OPTION_VALUE:
	case BYWAY_A_DATA:
		r->value_len = len < r->value_len ? (uint32_t)len : r->value_len;
		if (r->value)
			memcpy(r->value, p, r->value_len);
		break;
	case BYWAY_A_VALUE:
		r->taken = mnl_attr_get_u64(a);
		break;
	case BYWAY_A_ERROR:
		r->error = len == sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
		break;
	}
	return MNL_CB_OK;
}

static int take_reply(const struct nlmsghdr *m, void *arg)
{
	if (m->nlmsg_type != BYWAY_SOCKET && m->nlmsg_type != BYWAY_OPTION)
		return MNL_CB_ERROR;
	return mnl_attr_parse(m, 0, take_attr, arg);
}

/* The daemon may have been started anew: the conversation is, too. */
static bool reopen(struct run *run)
{
	struct byway *b = byway_open(run->path);

	if (!b)
		return false;
	byway_close(run->byway);
	talk_often(b);
	run->byway = b;
	return true;
}

static int exchange(struct run *run, struct nlmsghdr *m, struct sock_reply *out, int *fd)
{
	struct sock_reply unused = {0};
	void *to = out ? out : &unused;

	if (talk_exchange(run->byway, m, take_reply, to, fd) == 0)
		return 0;
	int error = errno;
	if (run->byway->error[0] && error != ECONNRESET && error != EPIPE)
		return -error;
	if (!reopen(run))
		return -ENETDOWN;
	m->nlmsg_seq = ++run->byway->seq;
	return talk_exchange(run->byway, m, take_reply, to, fd) == 0 ? 0 : -errno;
}

/* A request about the socket `inode`, not in the conversation's own buffer: that may be replaced. */
static struct nlmsghdr *begin(struct run *run, void *buffer, uint16_t type, uint64_t inode)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);

	m->nlmsg_type = type;
	m->nlmsg_flags = NLM_F_REQUEST;
	m->nlmsg_seq = ++run->byway->seq;
	if (inode)
		mnl_attr_put_u64(m, BYWAY_A_INODE, inode);
	return m;
}

#define REQUEST 256 /* bytes; all but a datagram fit */

int daemon_open(struct run *run, uint8_t protocol, uint8_t family, int *fd, uint64_t *inode)
{
	struct sock_reply r = {0};
	_Alignas(8) uint8_t buffer[REQUEST];
	struct nlmsghdr *m = begin(run, buffer, BYWAY_SOCK_OPEN, 0);

	mnl_attr_put_u8(m, BYWAY_A_PROTOCOL, protocol);
	mnl_attr_put_u8(m, BYWAY_A_FAMILY, family);
	int error = exchange(run, m, &r, fd);
	*inode = r.inode;
	return error == 0 && *fd < 0 ? -EMFILE : error;
}

int daemon_bind(struct run *run, uint64_t inode, const struct byway_address *local, struct sock_reply *out)
{
	_Alignas(8) uint8_t buffer[REQUEST];
	struct nlmsghdr *m = begin(run, buffer, BYWAY_SOCK_BIND, inode);

	mnl_attr_put(m, BYWAY_A_LOCAL, sizeof(*local), local);
	return exchange(run, m, out, NULL);
}

int daemon_listen(struct run *run, uint64_t inode, uint32_t backlog, struct sock_reply *out)
{
	_Alignas(8) uint8_t buffer[REQUEST];
	struct nlmsghdr *m = begin(run, buffer, BYWAY_SOCK_LISTEN, inode);

	mnl_attr_put_u32(m, BYWAY_A_BACKLOG, backlog);
	return exchange(run, m, out, NULL);
}

int daemon_connect(struct run *run, uint64_t inode, const struct byway_address *remote, const struct iovec *first,
		   struct sock_reply *out)
{
	_Alignas(8) uint8_t buffer[REQUEST + BYWAY_CONNECT_DATA_MAX];
	struct nlmsghdr *m = begin(run, buffer, BYWAY_SOCK_CONNECT, inode);

	if (remote)
		mnl_attr_put(m, BYWAY_A_REMOTE, sizeof(*remote), remote);
	if (first)
		mnl_attr_put(m, BYWAY_A_DATA,
			     first->iov_len < BYWAY_CONNECT_DATA_MAX ? first->iov_len : BYWAY_CONNECT_DATA_MAX, first->iov_base);
	return exchange(run, m, out, NULL);
}

int daemon_send(struct run *run, uint64_t inode, const struct byway_address *remote, const struct byway_departure *how,
		bool more, const void *data, size_t len)
{
	_Alignas(8) static uint8_t buffer[BYWAY_MESSAGE_MAX];
	struct nlmsghdr *m = begin(run, buffer, BYWAY_SOCK_SEND, inode);

	mnl_attr_put(m, BYWAY_A_REMOTE, sizeof(*remote), remote);
	if (how)
		mnl_attr_put(m, BYWAY_A_DEPARTURE, sizeof(*how), how);
	if (more)
		mnl_attr_put(m, BYWAY_A_MORE, 0, NULL);
	if (!mnl_attr_put_check(m, sizeof(buffer), BYWAY_A_DATA, len, data))
		return -EMSGSIZE;
	return exchange(run, m, NULL, NULL);
}

int daemon_shutdown(struct run *run, uint64_t inode)
{
	_Alignas(8) uint8_t buffer[REQUEST];

	return exchange(run, begin(run, buffer, BYWAY_SOCK_SHUTDOWN, inode), NULL, NULL);
}

static void put_option(struct nlmsghdr *m, int level, int name)
{
	mnl_attr_put_u32(m, BYWAY_A_OPTION_LEVEL, (uint32_t)level);
	mnl_attr_put_u32(m, BYWAY_A_OPTION_NAME, (uint32_t)name);
}

int daemon_set_option(struct run *run, uint64_t inode, int level, int name, const void *value, uint32_t len)
{
	_Alignas(8) uint8_t buffer[REQUEST + BYWAY_OPTION_VALUE_MAX];
	struct nlmsghdr *m = begin(run, buffer, BYWAY_SET_OPTION, inode);

	put_option(m, level, name);
	mnl_attr_put(m, BYWAY_A_OPTION_VALUE, len, value);
	return exchange(run, m, NULL, NULL);
}

int daemon_get_option(struct run *run, uint64_t inode, int level, int name, void *value, uint32_t *len)
{
	_Alignas(8) uint8_t buffer[REQUEST];
	struct nlmsghdr *m = begin(run, buffer, BYWAY_GET_OPTION, inode);
	struct sock_reply r = {.value = value, .value_len = *len};

	put_option(m, level, name);
	mnl_attr_put_u32(m, BYWAY_A_OPTION_LENGTH, *len);
	int error = exchange(run, m, &r, NULL);
	*len = r.value_len;
	return error;
}

static int ask(struct run *run, uint16_t type, uint64_t inode, struct sock_reply *out)
{
	_Alignas(8) uint8_t buffer[REQUEST];

	return exchange(run, begin(run, buffer, type, inode), out, NULL);
}

int daemon_get(struct run *run, uint64_t inode, struct sock_reply *out)
{
	return ask(run, BYWAY_SOCK_GET, inode, out);
}

int daemon_last_error(struct run *run, uint64_t inode, struct sock_reply *out)
{
	return ask(run, BYWAY_SOCK_ERROR, inode, out);
}

int daemon_recverr(struct run *run, uint64_t inode, struct byway_failure *out, void *data, uint32_t *len)
{
	struct sock_reply r = {.value = data, .value_len = *len};
	int error = ask(run, BYWAY_SOCK_RECVERR, inode, &r);

	*out = r.failure;
	*len = r.value_len;
	return error;
}

int daemon_guard(struct run *run, uint64_t inode, int *fd)
{
	_Alignas(8) uint8_t buffer[REQUEST];
	int error = exchange(run, begin(run, buffer, BYWAY_SOCK_GUARD, inode), NULL, fd);

	return error == 0 && *fd < 0 ? -EMFILE : error;
}

int daemon_netlink(struct run *run, uint8_t protocol, uint32_t port_id)
{
	struct byway *b = byway_open(run->path);
	int fd = -1;

	if (!b)
		return -ENOBUFS;
	struct nlmsghdr *m = talk_begin(b, BYWAY_NETLINK, 0);
	mnl_attr_put_u8(m, BYWAY_A_PROTOCOL, protocol);
	mnl_attr_put_u64(m, BYWAY_A_VALUE, port_id);
	if (talk_exchange(b, m, NULL, NULL, NULL) == 0) {
		fd = b->fd;
		b->fd = -1;
	} else {
		fd = -errno;
	}
	byway_close(b);
	return fd;
}
