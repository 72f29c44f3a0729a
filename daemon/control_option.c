/*
 * Socket options over the control socket: BYWAY_SET_OPTION and BYWAY_GET_OPTION on a socket that is
 * named by its id or by the inode of its owner's descriptor, and the options that a socket is to
 * have before it is opened (BYWAY_A_OPTIONS). Values and errors are the stack's, which are the host's.
 */
#include "daemon/control.h"
#include "daemon/worker.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* ---- one socket ---- */

static struct endpoint *find(const struct request *q, struct sock **sock)
{
	const struct nlattr *id = q->attr[BYWAY_A_ID], *inode = q->attr[BYWAY_A_INODE];
	struct endpoint *e;

	if (inode) {
		e = owner_find(q->daemon, (ino_t)mnl_attr_get_u64(inode));
		*sock = e ? e->sock : NULL;
	} else {
		*sock = stack_sock(worker_of(q->daemon, mnl_attr_get_u64(id))->stack, mnl_attr_get_u64(id));
		e = *sock ? stack_user(*sock) : NULL;
	}
	return *sock ? e : NULL;
}

/* The socket, if the caller may touch it, and what it is the daemon's as; else NULL and *error. */
static struct endpoint *allowed(struct request *q, struct sock **sock, int *error)
{
	struct endpoint *e;

	if (!q->attr[BYWAY_A_ID] == !q->attr[BYWAY_A_INODE]) {
		*error = request_fail(q, -EINVAL, "one attribute of ID and INODE is needed");
		return NULL;
	}
	e = find(q, sock);
	if (!e) {
		*error = request_fail(q, -ENOENT, "there is no such socket");
		return NULL;
	}
	if (e->service ? q->client->admin : client_may_change(q->client, e->owner.uid))
		return e;
	*error = request_deny(q, -EACCES, "socket %llu belongs to user %u", (unsigned long long)stack_id(*sock),
			      e->owner.uid);
	return NULL;
}

static int option_failed(struct request *q, int error, uint32_t level, uint32_t name)
{
	return request_fail(q, error, "option %u of level %u: %s", name, level, strerror(-error));
}

int control_set_option(struct request *q)
{
	uint32_t level = mnl_attr_get_u32(q->attr[BYWAY_A_OPTION_LEVEL]);
	uint32_t name = mnl_attr_get_u32(q->attr[BYWAY_A_OPTION_NAME]);
	const struct nlattr *value = q->attr[BYWAY_A_OPTION_VALUE];
	int error = 0;
	struct sock *sock;
	struct endpoint *e = allowed(q, &sock, &error);

	if (!e)
		return error;
	error = stack_setsockopt(sock, daemon_now(), (int)level, (int)name,
				 value ? mnl_attr_get_payload(value) : NULL, value ? mnl_attr_get_payload_len(value) : 0);
	if (error)
		return option_failed(q, error, level, name);
	owner_sock_option_set(e);
	daemon_kick(e->daemon);
	reply_error(q->client, q->head, 0, NULL, 0);
	return 0;
}

/* Beside what the stack has queued, what lies in the descriptors. */
static int get_queue(const struct endpoint *e, const struct sock *sock, uint32_t request, int *value)
{
	int error = stack_ioctl(sock, request, value);
	uint64_t recv_q = 0, send_q = 0;

	if (error || !e->ops->queued)
		return error;
	e->ops->queued((struct endpoint *)(uintptr_t)e, &recv_q, &send_q);
	*value += (int)(request == SIOCINQ ? recv_q : send_q);
	return 0;
}

int control_get_option(struct request *q)
{
	uint32_t level = mnl_attr_get_u32(q->attr[BYWAY_A_OPTION_LEVEL]);
	uint32_t name = mnl_attr_get_u32(q->attr[BYWAY_A_OPTION_NAME]);
	_Alignas(8) uint8_t value[BYWAY_OPTION_VALUE_MAX] = {0};
	size_t len = sizeof(value);
	struct reply r;
	int error = 0, number;
	struct sock *sock;
	const struct endpoint *e = allowed(q, &sock, &error);

	if (!e)
		return error;
	if (q->attr[BYWAY_A_OPTION_LENGTH] && mnl_attr_get_u32(q->attr[BYWAY_A_OPTION_LENGTH]) < len)
		len = mnl_attr_get_u32(q->attr[BYWAY_A_OPTION_LENGTH]);
	if (level == BYWAY_LEVEL_IOCTL) {
		error = get_queue(e, sock, name, &number);
		len = len < sizeof(number) ? len : sizeof(number);
		memcpy(value, &number, error ? 0 : len);
	} else {
		error = stack_getsockopt(sock, daemon_now(), (int)level, (int)name, value, &len);
	}
	if (error)
		return option_failed(q, error, level, name);
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	reply_message(&r, BYWAY_OPTION, 0);
	reply_put(&r, BYWAY_A_OPTION_VALUE, len, value);
	reply_send(&r, -1);
	return 0;
}

/* ---- before a socket is opened ---- */

int options_apply(struct sock *sock, const struct options_wanted *wanted, const char **why)
{
	size_t at = 0;

	while (at < wanted->len) {
		struct byway_option o;
		size_t left = wanted->len - at;
		int error = -EINVAL;

		if (left >= sizeof(o)) {
			memcpy(&o, wanted->data + at, sizeof(o));
			if (o.len <= BYWAY_OPTION_VALUE_MAX && o.len <= left - sizeof(o))
				error = stack_setsockopt(sock, daemon_now(), o.level, o.name, wanted->data + at + sizeof(o), o.len);
		}
		if (error) {
			*why = "an option is not valid for the socket";
			return error;
		}
		at += sizeof(o) + ((size_t)o.len + 7) / 8 * 8;
	}
	return 0;
}
