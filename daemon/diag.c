/*
 * Requests about the stack's sockets in the kernel's own words: sock_diag (sock_diag(7)).
 *
 * A dump goes through the table with stack_walk, a packet of answers a turn, and may bring a
 * filter in byte code. Ordinary users see their own sockets. Families and protocols that the
 * stack has not are known all the same: there are no such sockets, which is no error.
 *
 * Who has subscribed (SKNLGRP_INET_TCP_DESTROY and its kin) is told of every end of a socket.
 */
#include "daemon/diag.h"
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define WALK_BATCH 256 /* sockets looked at in a turn of the loop */

/* A filter that a dump carries. */
struct diag_program {
	size_t len;
	uint8_t code[];
};

/* ---- what is asked for ---- */

static uint8_t diag_protocol(enum stack_proto proto)
{
	return proto == STACK_TCP ? IPPROTO_TCP : proto == STACK_UDP ? IPPROTO_UDP : IPPROTO_ICMP;
}

/* Fixed header and attributes of a request. False: it is cut short. */
static bool request_read(const struct request *q, struct inet_diag_req_v2 *req)
{
	if (mnl_nlmsg_get_payload_len(q->head) < sizeof(*req))
		return false;
	memcpy(req, mnl_nlmsg_get_payload(q->head), sizeof(*req));
	return true;
}

/* Byway has IPv4, TCP, UDP and ping sockets (which the kernel's sock_diag does not show). */
static bool diag_known(const struct inet_diag_req_v2 *req)
{
	return (req->sdiag_family == AF_INET || req->sdiag_family == AF_UNSPEC) &&
	       (req->sdiag_protocol == IPPROTO_TCP || req->sdiag_protocol == IPPROTO_UDP ||
		req->sdiag_protocol == IPPROTO_ICMP);
}

/* INET_DIAG_REQ_BYTECODE of a dump. 0 or after request_fail. */
static int filter_take(struct request *q, const struct nlattr *a, struct diag_program **out)
{
	size_t len = mnl_attr_get_payload_len(a);
	int error = diag_filter_check(mnl_attr_get_payload(a), len);
	struct diag_program *p = error || *out ? NULL : malloc(sizeof(*p) + len);

	q->bad_attr = (uint32_t)((const char *)a - (const char *)q->head);
	if (error == -EMSGSIZE)
		return request_fail(q, error, "the filter has %zu bytes, more than %d", len, DIAG_FILTER_MAX);
	if (error || *out)
		return request_fail(q, -EINVAL, *out ? "a second filter" : "the filter is malformed");
	if (!p)
		return request_fail(q, -ENOMEM, "the daemon is out of memory");
	q->bad_attr = 0;
	p->len = len;
	memcpy(p->code, mnl_attr_get_payload(a), len);
	*out = p;
	return 0;
}

/* Attributes of a dump: the filter, and a protocol whose number has no room in the header (MPTCP). */
static int attributes_take(struct request *q, struct diag_program **filter, bool *other_protocol)
{
	const char *end = (const char *)q->head + q->head->nlmsg_len;
	const struct nlattr *a = mnl_nlmsg_get_payload_offset(q->head, sizeof(struct inet_diag_req_v2));
	int error = 0;

	for (; !error && mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a)) {
		if (mnl_attr_get_type(a) == INET_DIAG_REQ_BYTECODE)
			error = filter_take(q, a, filter);
		else if (mnl_attr_get_type(a) == INET_DIAG_REQ_PROTOCOL && mnl_attr_get_payload_len(a) == sizeof(uint32_t))
			*other_protocol = mnl_attr_get_u32(a) > UINT8_MAX;
	}
	return error;
}

/* ---- the dump ---- */

static bool filter_accepts(const struct diag_program *filter, const struct stack_sock_info *info)
{
	struct diag_subject s = {.sport = info->local.port, .dport = info->remote.port, .port_chosen = info->port_chosen};

	if (!filter)
		return true;
	memcpy(s.src, info->local.addr.byte + 12, 4);
	memcpy(s.dst, info->remote.addr.byte + 12, 4);
	return diag_filter_run(filter->code, filter->len, &s);
}

static bool diag_wanted(const struct client *c, const struct stack_sock_info *info)
{
	const struct inet_diag_req_v2 *want = &c->dump.diag;
	uint8_t protocol = diag_protocol(info->proto);

	return want->sdiag_protocol == protocol && (want->idiag_states & (1u << diag_state(info->state))) &&
	       (!want->id.idiag_sport || want->id.idiag_sport == htons(info->local.port)) &&
	       (!want->id.idiag_dport || want->id.idiag_dport == htons(info->remote.port)) &&
	       client_may_see(c, info->owner) && filter_accepts(c->dump.filter, info);
}

static void put_socket(struct reply *r, const struct stack_sock_info *info, uint8_t ext)
{
	stack_time now = daemon_now();
	struct stack_tcb_info t;

	if (stack_tcb_of(worker_of(r->client->control->daemon, info->id)->stack, now, info, &t))
		diag_put(r, &t, ext, now);
}

static bool diag_visit(void *arg, const struct stack_sock_info *info)
{
	struct reply *r = arg;
	bool again = info->state == TCP_LISTEN && r->client->dump.worker > 0; /* there is one in every worker */

	if (!again && diag_wanted(r->client, info))
		put_socket(r, info, r->client->dump.diag.idiag_ext);
	return true;
}

/* Small batches, so that a packet does not get much longer than it should; reply_message takes care of the rest. */
static bool diag_step(struct client *c, struct reply *r)
{
	const unsigned batch = 16;
	struct daemon *d = c->control->daemon;

	for (unsigned seen = 0; seen < WALK_BATCH && !reply_full(r); seen += batch) {
		if (stack_walk(worker_at(d, c->dump.worker)->stack, &c->dump.cursor, batch, diag_visit, r))
			continue;
		c->dump.cursor = 0;
		if (++c->dump.worker == worker_count(d))
			return false;
	}
	return true;
}

static bool diag_nothing(struct client *c, struct reply *r)
{
	(void)c, (void)r;
	return false;
}

static int diag_dump(struct request *q)
{
	struct client *c = q->client;
	struct diag_program *filter = NULL;
	struct inet_diag_req_v2 req;
	bool known = request_read(q, &req) && diag_known(&req), other_protocol = false;
	int error = known ? attributes_take(q, &filter, &other_protocol) : 0;

	if (error) {
		free(filter);
		return error;
	}
	dump_start(c, q->head->nlmsg_seq, known && !other_protocol ? diag_step : diag_nothing);
	c->dump.filter = filter;
	if (known)
		c->dump.diag = req;
	return 0;
}

/* ---- one socket ---- */

/* The socket with these addresses, as the kernel finds one whose cookie is not known. */
struct search {
	const struct inet_diag_sockid *id;
	uint8_t protocol;
	bool found;
	struct stack_sock_info info;
};

static bool same_address(const __be32 wanted[4], const struct stack_addr *addr)
{
	static const uint8_t any[4];

	return memcmp(&wanted[0], stack_addr_is_any(addr) ? any : addr->byte + 12, 4) == 0;
}

static bool search_visit(void *arg, const struct stack_sock_info *info)
{
	struct search *s = arg;

	if (s->found || diag_protocol(info->proto) != s->protocol ||
	    s->id->idiag_sport != htons(info->local.port) || s->id->idiag_dport != htons(info->remote.port) ||
	    !same_address(s->id->idiag_src, &info->local.addr) || !same_address(s->id->idiag_dst, &info->remote.addr))
		return !s->found;
	s->found = true;
	s->info = *info;
	return false;
}

/* In one worker. */
static bool find_in(struct stack *stack, const struct inet_diag_sockid *id, uint8_t protocol, struct stack_sock_info *info)
{
	struct search s = {.id = id, .protocol = protocol};
	uint64_t cursor = 0;

	while (!s.found && stack_walk(stack, &cursor, SIZE_MAX, search_visit, &s))
		;
	if (s.found)
		*info = s.info;
	return s.found;
}

/* Who has seen a list names the addresses too: then nothing has to be looked through. */
static void name_it(struct stack *stack, const struct inet_diag_req_v2 *req, uint64_t id)
{
	struct stack_endpoint local = {.port = ntohs(req->id.idiag_sport)}, remote = {.port = ntohs(req->id.idiag_dport)};
	static const __be32 any;

	if (memcmp(&req->id.idiag_src[0], &any, sizeof(any)))
		local.addr = stack_addr_v4(&req->id.idiag_src[0]);
	if (memcmp(&req->id.idiag_dst[0], &any, sizeof(any)))
		remote.addr = stack_addr_v4(&req->id.idiag_dst[0]);
	stack_name(stack, req->sdiag_protocol == IPPROTO_UDP ? STACK_UDP : STACK_TCP, &local, &remote, id);
}

static bool find_by_address(struct daemon *d, const struct inet_diag_req_v2 *req, struct stack_sock_info *info)
{
	bool found = false;

	for (unsigned i = 0; i < worker_count(d) && !found; i++)
		found = find_in(worker_at(d, i)->stack, &req->id, req->sdiag_protocol, info);
	return found;
}

/*
 * Kills it; a listening one in every worker: an owner's with those of its group, as others may have its
 * address too (SO_REUSEPORT), and the daemon's own by the address. 0 or -ENOENT.
 */
static int destroy(struct daemon *d, const struct stack_sock_info *info)
{
	struct stack_sock_info other;
	struct inet_diag_sockid id = {.idiag_sport = htons(info->local.port)};
	unsigned its = (unsigned)(info->id % worker_count(d));
	struct endpoint *e = info->user;

	if (info->state == TCP_LISTEN && e && endpoint_is_listener(e)) {
		listener_destroy(e);
		return 0;
	}
	if (!stack_addr_is_any(&info->local.addr))
		memcpy(&id.idiag_src[0], info->local.addr.byte + 12, 4);
	for (unsigned i = 0; i < worker_count(d) && info->state == TCP_LISTEN; i++)
		if (i != its && find_in(worker_at(d, i)->stack, &id, IPPROTO_TCP, &other) && other.state == TCP_LISTEN)
			stack_destroy(worker_at(d, i)->stack, daemon_now(), other.id);
	return stack_destroy(worker_at(d, its)->stack, daemon_now(), info->id);
}

/* The one socket that a request is about; `refused`: the error for who may not. */
static int diag_find(struct request *q, int refused, uint8_t *ext, struct stack_sock_info *info)
{
	struct inet_diag_req_v2 req;

	if (!request_read(q, &req))
		return request_fail(q, -EINVAL, "the request about a socket is cut short");
	*ext = req.idiag_ext;
	uint64_t id = (uint64_t)req.id.idiag_cookie[1] << 32 | req.id.idiag_cookie[0];
	if (!diag_known(&req))
		return request_fail(q, -ENOENT, "there are TCP and UDP sockets over IPv4 only");
	name_it(worker_of(q->daemon, id)->stack, &req, id);
	if (id == UINT64_MAX ? !find_by_address(q->daemon, &req, info) : !stack_find(worker_of(q->daemon, id)->stack, id, info))
		return request_fail(q, -ENOENT, "there is no socket %llu", (unsigned long long)id);
	if (!client_may_see(q->client, info->owner))
		return request_deny(q, refused, "socket %llu belongs to user %u", (unsigned long long)info->id, info->owner);
	return 0;
}

int diag_get(struct request *q)
{
	struct stack_sock_info info;
	struct reply r;
	uint8_t ext;

	if ((q->head->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP)
		return diag_dump(q);
	int error = diag_find(q, -EACCES, &ext, &info);
	if (error)
		return error;
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	put_socket(&r, &info, ext);
	reply_send(&r, -1);
	return 0;
}

int diag_destroy(struct request *q)
{
	struct stack_sock_info info;
	uint8_t ext;
	int error = diag_find(q, -EPERM, &ext, &info);

	if (!error && !client_may_change(q->client, info.owner))
		error = request_deny(q, -EPERM, "socket %llu belongs to user %u, who may kill it",
				     (unsigned long long)info.id, info.owner);
	if (error)
		return error;
	error = destroy(q->daemon, &info);
	if (error)
		return request_fail(q, error, "socket %llu: %s", (unsigned long long)info.id, strerror(-error));
	daemon_kick(q->daemon);
	if (q->head->nlmsg_flags & NLM_F_ACK)
		reply_error(q->client, q->head, 0, NULL, 0);
	return 0;
}

/* ---- events ---- */

static void put_ended(struct reply *r, const void *arg)
{
	const struct stack_tcb_info *last = arg;
	uint8_t protocol = diag_protocol(last->sock.proto);

	diag_put(r, last, 1 << (INET_DIAG_INFO - 1), daemon_now());
	reply_put(r, INET_DIAG_PROTOCOL, sizeof(protocol), &protocol);
}

static bool ended_seen(const struct client *c, const void *arg)
{
	const struct stack_tcb_info *last = arg;

	return client_may_see(c, last->sock.owner);
}

void diag_ended(void *daemon, const struct stack_tcb_info *last)
{
	struct daemon *d = daemon;

	if (last->sock.proto == STACK_PING)
		return; /* there is no group for these */
	if (d->worker > 0 && last->listened)
		return; /* the first worker's is the one that is told of, as it is the one that is shown */
	if (worker_alone(d)) {
		worker_keep_end(d, last);
		return;
	}
	unsigned group = last->sock.proto == STACK_TCP ? SKNLGRP_INET_TCP_DESTROY : SKNLGRP_INET_UDP_DESTROY;

	control_notify(worker_first(d)->control, NETLINK_SOCK_DIAG, group, ended_seen, put_ended, last);
}
