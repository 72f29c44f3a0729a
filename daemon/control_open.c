/*
 * Opening sockets for local processes: BYWAY_CONNECT, BYWAY_LISTEN and BYWAY_DATAGRAM. The work
 * is in owner_* of endpoint.c; here is who may, and the answer with its descriptor.
 */
#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG_MAX 65535    /* connections that may wait on one listening socket */

/* An optional address; all zero when it is not there. Null-mapped and plain any are the same. */
static struct stack_endpoint request_address(const struct request *q, enum byway_attr attr)
{
	struct stack_endpoint e = {0};
	struct byway_address a;

	if (!q->attr[attr])
		return e;
	memcpy(&a, mnl_attr_get_payload(q->attr[attr]), sizeof(a));
	memcpy(e.addr.byte, a.addr, sizeof(a.addr));
	e.port = a.port;
	return e;
}

static bool address_is_ip4(const struct stack_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return stack_addr_is_any(a) || memcmp(a->byte, mapped, sizeof(mapped)) == 0;
}

static int address_check(struct request *q, enum byway_attr attr, const struct stack_endpoint *e)
{
	if (address_is_ip4(&e->addr))
		return 0;
	q->bad_attr = (uint32_t)((const char *)q->attr[attr] - (const char *)q->head);
	return request_fail(q, -EAFNOSUPPORT, "attribute %s is not an IPv4 address",
			    attr == BYWAY_A_LOCAL ? "LOCAL" : "REMOTE");
}

static int local_check(struct request *q, const struct stack_endpoint *local)
{
	int error = address_check(q, BYWAY_A_LOCAL, local);

	return error ? error : access_bind(q, local);
}

/* The two addresses of a request, checked. */
int request_addresses(struct request *q, struct stack_endpoint *local, struct stack_endpoint *remote)
{
	int error = opener_check(q);

	*local = request_address(q, BYWAY_A_LOCAL);
	*remote = request_address(q, BYWAY_A_REMOTE);
	if (!error)
		error = local_check(q, local);
	if (!error && q->attr[BYWAY_A_REMOTE])
		error = address_check(q, BYWAY_A_REMOTE, remote);
	return error;
}

/* The same of a request that opens a socket: its peer has a port. */
static int open_addresses(struct request *q, struct stack_endpoint *local, struct stack_endpoint *remote)
{
	int error = request_addresses(q, local, remote);

	if (!error && q->attr[BYWAY_A_REMOTE] && remote->port == 0)
		return request_fail(q, -EADDRNOTAVAIL, "attribute REMOTE has port 0");
	return error;
}

/* BYWAY_SOCKET with the descriptor, which is closed here. */
static void answer_socket(struct client *c, uint32_t seq, const struct endpoint *e, int fd)
{
	struct stack_sock_info info = {0};
	struct reply r;

	if (e && e->sock)
		stack_info(e->sock, &info);
	reply_open(&r, c, seq, 0);
	reply_message(&r, BYWAY_SOCKET, 0);
	reply_u64(&r, BYWAY_A_ID, info.id);
	reply_address(&r, BYWAY_A_LOCAL, &info.local);
	if (info.remote.port)
		reply_address(&r, BYWAY_A_REMOTE, &info.remote);
	reply_send(&r, fd);
}

static int open_failed(struct request *q, int error, const char *why)
{
	return request_fail(q, error, "%s", why ? why : strerror(-error));
}

/* ---- connect ---- */

static void pending_free(struct pending *p)
{
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	p->client->pending_count--;
	free(p);
}

void pending_cancel_all(struct client *c)
{
	while (c->pending) {
		owner_connect_cancel(c->pending->endpoint);
		pending_free(c->pending);
	}
}

static struct pending *pending_new(struct client *c, uint32_t seq)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct pending){.client = c, .next = c->pending, .link = &c->pending, .seq = seq, .starting = true};
	if (p->next)
		p->next->link = &p->next;
	c->pending = p;
	c->pending_count++;
	return p;
}

static void connect_ended(void *arg, int error, const char *why, int fd, struct endpoint *e)
{
	struct pending *p = arg;
	struct client *c = p->client;
	struct nlmsghdr request = {.nlmsg_type = BYWAY_CONNECT, .nlmsg_seq = p->seq};

	if (error)
		reply_error(c, &request, -error, why ? why : strerror(error), 0);
	else
		answer_socket(c, p->seq, e, fd);
	p->ended = true;
	if (!p->starting)
		pending_free(p);
}

static int connect_wait(struct request *q, const struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	struct client *c = q->client;
	const char *why = NULL;
	int error = 0;

	if (c->pending_count >= CONTROL_PENDING)
		return request_fail(q, -ENOBUFS, "%u connects of this conversation are under way already",
				    CONTROL_PENDING);
	struct pending *p = pending_new(c, q->head->nlmsg_seq);
	if (!p)
		return request_fail(q, -ENOMEM, "out of memory");
	p->endpoint = owner_connect(q->daemon, &c->owner, local, remote, request_flag(q, BYWAY_A_NODELAY),
				    connect_ended, p, &error, &why);
	bool failed = !p->endpoint && !p->ended;
	p->starting = false;
	if (p->ended || failed)
		pending_free(p);
	return failed ? open_failed(q, error, why) : 0;
}

static int connect_now(struct request *q, const struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	struct endpoint *e = NULL;
	const char *why = NULL;
	int fd = -1;

	int error = owner_connect_nonblock(q->daemon, &q->client->owner, local, remote,
					   request_flag(q, BYWAY_A_NODELAY), &fd, &e, &why);
	if (error)
		return open_failed(q, error, why);
	answer_socket(q->client, q->head->nlmsg_seq, e, fd);
	return 0;
}

static int open_stream(struct request *q)
{
	struct stack_endpoint local, remote;
	uint8_t protocol = mnl_attr_get_u8(q->attr[BYWAY_A_PROTOCOL]);
	int error = open_addresses(q, &local, &remote);

	if (error)
		return error;
	if (protocol != IPPROTO_TCP)
		return request_fail(q, -EPROTONOSUPPORT, "attribute PROTOCOL is %u, not %u (TCP); "
				    "BYWAY_DATAGRAM opens UDP", protocol, IPPROTO_TCP);
	return request_flag(q, BYWAY_A_NONBLOCK) ? connect_now(q, &local, &remote)
						 : connect_wait(q, &local, &remote);
}

/* ---- listen, datagram ---- */

unsigned request_backlog(const struct request *q)
{
	uint32_t n = q->attr[BYWAY_A_BACKLOG] ? mnl_attr_get_u32(q->attr[BYWAY_A_BACKLOG]) : 0;

	if (n == 0)
		return q->daemon->config.backlog;
	return n < BACKLOG_MAX ? n : BACKLOG_MAX;
}

static int open_listener(struct request *q)
{
	struct stack_endpoint local, remote;
	struct endpoint *e = NULL;
	const char *why = NULL;
	int fd = -1, error = open_addresses(q, &local, &remote);

	if (error)
		return error;
	error = owner_listen(q->daemon, &q->client->owner, &local, request_backlog(q), &fd, &e, &why);
	if (error)
		return open_failed(q, error, why);
	answer_socket(q->client, q->head->nlmsg_seq, e, fd);
	return 0;
}

static int open_datagram(struct request *q)
{
	struct stack_endpoint local, remote;
	struct endpoint *e = NULL;
	const char *why = NULL;
	int fd = -1, error = open_addresses(q, &local, &remote);

	if (error)
		return error;
	error = owner_datagram(q->daemon, &q->client->owner, &local, q->attr[BYWAY_A_REMOTE] ? &remote : NULL,
			       request_flag(q, BYWAY_A_BROADCAST), &fd, &e, &why);
	if (error)
		return open_failed(q, error, why);
	answer_socket(q->client, q->head->nlmsg_seq, e, fd);
	return 0;
}

/* ---- all three, with the options that the socket is to have ---- */

static int open_with_options(struct request *q, int (*open)(struct request *q))
{
	const struct nlattr *a = q->attr[BYWAY_A_OPTIONS];
	const struct nlattr *data = q->attr[BYWAY_A_DATA];
	struct options_wanted wanted = {0};
	int error;

	if (a) {
		wanted.data = mnl_attr_get_payload(a);
		wanted.len = mnl_attr_get_payload_len(a);
	}
	if (data) {
		wanted.first = mnl_attr_get_payload(data);
		wanted.first_len = mnl_attr_get_payload_len(data);
	}
	if (wanted.first_len > BYWAY_CONNECT_DATA_MAX)
		return request_fail(q, -EMSGSIZE, "attribute DATA has more than %d bytes", BYWAY_CONNECT_DATA_MAX);
	q->daemon->wanted = &wanted;
	error = open(q);
	q->daemon->wanted = NULL;
	return error;
}

int control_connect(struct request *q)
{
	return open_with_options(q, open_stream);
}

int control_listen(struct request *q)
{
	return open_with_options(q, open_listener);
}

int control_datagram(struct request *q)
{
	return open_with_options(q, open_datagram);
}
