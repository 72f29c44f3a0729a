/*
 * BYWAY_SOCK_*: sockets that are opened step by step (owner_socket.c). Who may name a socket by
 * its inode is who may see it: its user, and the administrator. BYWAY_NETLINK: a conversation
 * that a program holds for a netlink socket.
 */
#include "daemon/control.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

static uint64_t request_u64(const struct request *q, enum byway_attr attr)
{
	return q->attr[attr] ? mnl_attr_get_u64(q->attr[attr]) : 0;
}

/* The endpoint that the request names, or NULL after request_fail with *error. */
static struct endpoint *request_endpoint(struct request *q, int *error)
{
	uint64_t inode = request_u64(q, BYWAY_A_INODE);
	struct endpoint *e = owner_find(q->daemon, (ino_t)inode);

	if (e && e->sock && client_may_change(q->client, e->owner.uid))
		return e;
	if (e && e->sock)
		*error = request_deny(q, -ENOENT, "the socket with inode %llu belongs to user %u",
				      (unsigned long long)inode, e->owner.uid);
	else
		*error = request_fail(q, -ENOENT, "no socket of yours has the inode %llu", (unsigned long long)inode);
	return NULL;
}

/* BYWAY_SOCKET about e; fd (or -1) goes along, and a value unless it is NULL. */
static int answer_with(struct request *q, const struct endpoint *e, int fd, const uint64_t *value)
{
	struct stack_sock_info info;
	uint8_t protocol, state = (uint8_t)owner_sock_state(e);
	struct reply r;

	stack_info(e->sock, &info);
	protocol = info.proto == STACK_TCP ? IPPROTO_TCP : info.proto == STACK_UDP ? IPPROTO_UDP : IPPROTO_ICMP;
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	reply_message(&r, BYWAY_SOCKET, 0);
	reply_u64(&r, BYWAY_A_ID, info.id);
	reply_address(&r, BYWAY_A_LOCAL, &info.local);
	if (info.remote.port)
		reply_address(&r, BYWAY_A_REMOTE, &info.remote);
	reply_u64(&r, BYWAY_A_INODE, e->inode);
	reply_put(&r, BYWAY_A_PROTOCOL, sizeof(protocol), &protocol);
	reply_put(&r, BYWAY_A_FAMILY, sizeof(e->family), &e->family);
	reply_put(&r, BYWAY_A_STATE, sizeof(state), &state);
	if (value)
		reply_u64(&r, BYWAY_A_VALUE, *value);
	reply_send(&r, fd);
	return 0;
}

static int answer(struct request *q, const struct endpoint *e, int fd)
{
	return answer_with(q, e, fd, NULL);
}

static int done(struct request *q, int error, const char *why, const struct endpoint *e)
{
	return error ? request_fail(q, error, "%s", why) : answer(q, e, -1);
}

int control_sock_open(struct request *q)
{
	uint8_t protocol = mnl_attr_get_u8(q->attr[BYWAY_A_PROTOCOL]);
	struct endpoint *e = NULL;
	const char *why = "";
	int fd = -1, error = opener_check(q);

	if (error)
		return error;
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_ICMP)
		return request_fail(q, -EPROTONOSUPPORT, "attribute PROTOCOL is %u, not TCP, UDP or ICMP", protocol);
	error = owner_sock_open(q->daemon, &q->client->owner,
				protocol == IPPROTO_UDP ? STACK_UDP : protocol == IPPROTO_TCP ? STACK_TCP : STACK_PING,
				mnl_attr_get_u8(q->attr[BYWAY_A_FAMILY]), &fd, &e, &why);
	return error ? request_fail(q, error, "%s", why) : answer(q, e, fd);
}

int control_sock_bind(struct request *q)
{
	struct stack_endpoint local, remote;
	const char *why = "";
	int error = request_addresses(q, &local, &remote);
	struct endpoint *e = error ? NULL : request_endpoint(q, &error);

	return e ? done(q, owner_sock_bind(e, &local, &why), why, e) : error;
}

int control_sock_listen(struct request *q)
{
	const char *why = "";
	int error = opener_check(q);
	struct endpoint *e = error ? NULL : request_endpoint(q, &error);

	if (!e)
		return error;
	error = owner_sock_listen(&e, request_backlog(q), &why);
	return done(q, error, why, e);
}

int control_sock_connect(struct request *q)
{
	struct stack_endpoint local, remote;
	const struct nlattr *data = q->attr[BYWAY_A_DATA];
	struct iovec first = {0};
	uint64_t taken;
	const char *why = "";
	int error = request_addresses(q, &local, &remote);
	struct endpoint *e = error ? NULL : request_endpoint(q, &error);

	if (!e)
		return error;
	if (data)
		first = (struct iovec){mnl_attr_get_payload(data), mnl_attr_get_payload_len(data)};
	error = owner_sock_connect(e, q->attr[BYWAY_A_REMOTE] ? &remote : NULL, data ? &first : NULL, &why);
	if (error)
		return request_fail(q, error, "%s", why);
	taken = first.iov_len;
	return answer_with(q, e, -1, data ? &taken : NULL);
}

/* Who may not bind to an address may not send from there. */
static int take_departure(struct request *q, struct stack_departure *how)
{
	struct stack_endpoint source = {0};
	struct byway_departure d;

	*how = (struct stack_departure){.tos = -1};
	if (!q->attr[BYWAY_A_DEPARTURE])
		return 0;
	memcpy(&d, mnl_attr_get_payload(q->attr[BYWAY_A_DEPARTURE]), sizeof(d));
	how->ttl = d.ttl;
	how->tos = d.has_tos ? d.tos : -1;
	how->has_segment = d.has_segment != 0;
	how->segment = d.segment;
	memcpy(source.addr.byte, d.source.addr, sizeof(source.addr.byte));
	how->source = source.addr;
	return access_bind(q, &source);
}

int control_sock_send(struct request *q)
{
	struct stack_endpoint local, remote;
	struct stack_departure how;
	const struct nlattr *data = q->attr[BYWAY_A_DATA];
	const char *why = "";
	int error = request_addresses(q, &local, &remote);
	struct endpoint *e = error ? NULL : request_endpoint(q, &error);

	if (e)
		error = take_departure(q, &how);
	if (!e || error)
		return error;
	error = owner_sock_send(e, &remote, &how, mnl_attr_get_payload(data), mnl_attr_get_payload_len(data),
				request_flag(q, BYWAY_A_MORE), &why);
	return done(q, error, why, e);
}

int control_sock_get(struct request *q)
{
	int error = 0;
	struct endpoint *e = request_endpoint(q, &error);

	return e ? answer(q, e, -1) : error;
}

int control_sock_recverr(struct request *q)
{
	uint8_t quoted[1024];
	struct byway_failure out;
	struct reply r;
	int error = 0;
	struct endpoint *e = request_endpoint(q, &error);
	ptrdiff_t n = e ? owner_sock_recverr(e, &out, quoted, sizeof(quoted)) : error;

	if (n < 0)
		return e ? request_fail(q, (int)n, "no error is kept") : error;
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	reply_message(&r, BYWAY_SOCKET, 0);
	reply_put(&r, BYWAY_A_FAILURE, sizeof(out), &out);
	reply_put(&r, BYWAY_A_DATA, (size_t)n < sizeof(quoted) ? (size_t)n : sizeof(quoted), quoted);
	reply_send(&r, -1);
	return 0;
}

int control_sock_error(struct request *q)
{
	ino_t inode = (ino_t)request_u64(q, BYWAY_A_INODE);
	int error = 0, last = 0;
	struct endpoint *e = owner_find(q->daemon, inode);
	struct reply r;

	if (e && e->sock && !request_endpoint(q, &error))
		return error;
	if (e && e->sock)
		last = owner_sock_pending(e);
	else if (!e)
		last = owner_epitaph(q->daemon, inode, q->client->owner.uid);
	if (!e && !last)
		return request_fail(q, -ENOENT, "nothing is known of inode %llu", (unsigned long long)inode);
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	reply_message(&r, BYWAY_SOCKET, 0);
	reply_u32(&r, BYWAY_A_ERROR, (uint32_t)last);
	reply_send(&r, -1);
	return 0;
}

int control_sock_shutdown(struct request *q)
{
	int error = 0;
	struct endpoint *e = request_endpoint(q, &error);

	if (!e)
		return error;
	if (owner_sock_state(e) != BYWAY_SOCK_LISTENING)
		return request_fail(q, -ENOTCONN, "the socket does not listen");
	e->ops->close(e, false);
	reply_error(q->client, q->head, 0, NULL, 0);
	return 0;
}

int control_sock_guard(struct request *q)
{
	int error = 0;
	struct endpoint *e = request_endpoint(q, &error);
	int fd = e ? owner_sock_guard(e) : -1;

	if (!e)
		return error;
	return fd < 0 ? request_fail(q, fd, "the socket is connected, or the daemon is out of descriptors") : answer(q, e, fd);
}

int control_netlink(struct request *q)
{
	struct client *c = q->client;
	uint8_t protocol = mnl_attr_get_u8(q->attr[BYWAY_A_PROTOCOL]);

	if (protocol != NETLINK_ROUTE && protocol != NETLINK_SOCK_DIAG)
		return request_fail(q, -EPROTONOSUPPORT, "attribute PROTOCOL is %u, not NETLINK_ROUTE or "
				    "NETLINK_SOCK_DIAG", protocol);
	reply_error(c, q->head, 0, NULL, 0);
	c->netlink = true;
	c->netlink_protocol = protocol;
	c->netlink_port = (uint32_t)request_u64(q, BYWAY_A_VALUE);
	return 0;
}

int control_sock_ring(struct request *q)
{
	int fd[BYWAY_RING_DESCRIPTORS], error = 0;
	struct endpoint *e = request_endpoint(q, &error);
	uint64_t size = request_u64(q, BYWAY_A_VALUE);
	const char *why = "";
	struct reply r;

	if (!e)
		return error;
	error = owner_sock_ring(e, &size, fd, &why);
	if (error)
		return request_fail(q, error, "%s", why);
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	reply_message(&r, BYWAY_SOCKET, 0);
	reply_u64(&r, BYWAY_A_VALUE, size);
	reply_send_all(&r, fd, BYWAY_RING_DESCRIPTORS);
	return 0;
}
