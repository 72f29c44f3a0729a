/*
 * The stack's sockets, told as the kernel tells its own: sock_diag (sock_diag(7)), so that the
 * host's ss can read them. Beside the kernel's attributes there are those of
 * enum byway_diag_attr.
 *
 * A dump goes through the table with stack_walk, a packet of answers a turn. Ordinary users
 * see their own sockets. A filter in byte code (INET_DIAG_REQ_BYTECODE) is not run: ss runs
 * the same filter on what it gets.
 */
#include "daemon/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>

#define WALK_BATCH 256 /* sockets looked at in a turn of the loop */

/* idiag_state: the kernel's numbers (include/net/tcp_states.h). */
enum diag_state {
	DIAG_ESTABLISHED = 1, DIAG_SYN_SENT, DIAG_SYN_RECV, DIAG_FIN_WAIT_1, DIAG_FIN_WAIT_2, DIAG_TIME_WAIT,
	DIAG_CLOSE, DIAG_CLOSE_WAIT, DIAG_LAST_ACK, DIAG_LISTEN, DIAG_CLOSING
};

/* idiag_timer: which timer idiag_expires is of. */
enum diag_timer { DIAG_TIMER_OFF, DIAG_TIMER_REXMT, DIAG_TIMER_KEEPALIVE, DIAG_TIMER_TIME_WAIT, DIAG_TIMER_PERSIST };

static uint8_t diag_state(enum tcp_state state)
{
	switch (state) {
	case TCP_CLOSED: return DIAG_CLOSE;
	case TCP_LISTEN: return DIAG_LISTEN;
	case TCP_SYN_SENT: return DIAG_SYN_SENT;
	case TCP_SYN_RECEIVED: return DIAG_SYN_RECV;
	case TCP_ESTABLISHED: return DIAG_ESTABLISHED;
	case TCP_FIN_WAIT_1: return DIAG_FIN_WAIT_1;
	case TCP_FIN_WAIT_2: return DIAG_FIN_WAIT_2;
	case TCP_CLOSE_WAIT: return DIAG_CLOSE_WAIT;
	case TCP_CLOSING: return DIAG_CLOSING;
	case TCP_LAST_ACK: return DIAG_LAST_ACK;
	case TCP_TIME_WAIT: return DIAG_TIME_WAIT;
	}
	return DIAG_CLOSE;
}

void sock_queues(const struct stack_sock_info *info, uint64_t *recv_q, uint64_t *send_q)
{
	struct endpoint *e = sock_endpoint(info);
	uint64_t recv_held = 0, send_held = 0;

	if (e && e->ops->queued)
		e->ops->queued(e, &recv_held, &send_held);
	*recv_q = info->recv_q + recv_held;
	*send_q = info->send_q + send_held;
}

static uint32_t clamp32(uint64_t v)
{
	return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

/* ---- one socket ---- */

static void put_address(__be32 out[4], __be16 *port, const struct stack_endpoint *e)
{
	if (!stack_addr_is_any(&e->addr))
		memcpy(&out[0], e->addr.byte + 12, 4);
	*port = htons(e->port);
}

static void fill_identity(struct inet_diag_msg *m, const struct stack_sock_info *info)
{
	const struct endpoint *e = sock_endpoint(info);
	uint64_t recv_q, send_q;

	sock_queues(info, &recv_q, &send_q);
	m->idiag_family = AF_INET;
	m->idiag_state = diag_state(info->state);
	put_address(m->id.idiag_src, &m->id.idiag_sport, &info->local);
	put_address(m->id.idiag_dst, &m->id.idiag_dport, &info->remote);
	m->id.idiag_cookie[0] = (uint32_t)info->id;
	m->id.idiag_cookie[1] = (uint32_t)(info->id >> 32);
	m->idiag_rqueue = clamp32(recv_q);
	m->idiag_wqueue = clamp32(send_q);
	m->idiag_uid = info->owner;
	m->idiag_inode = e ? (uint32_t)e->inode : 0;
}

/* The timer that the kernel would show: the one that resends, else the one that waits. */
static void fill_timer(struct inet_diag_msg *m, const struct stack_tcb_info *t, stack_time now)
{
	static const struct {
		enum stack_timer timer;
		enum diag_timer shown;
	} order[] = {{STACK_TIMER_LOSS_PROBE, DIAG_TIMER_REXMT},
		     {STACK_TIMER_REXMT, DIAG_TIMER_REXMT},
		     {STACK_TIMER_PERSIST, DIAG_TIMER_PERSIST},
		     {STACK_TIMER_TIME_WAIT, DIAG_TIMER_TIME_WAIT},
		     {STACK_TIMER_FIN_WAIT_2, DIAG_TIMER_KEEPALIVE},
		     {STACK_TIMER_KEEPALIVE, DIAG_TIMER_KEEPALIVE}};

	m->idiag_retrans = (uint8_t)(t->retries < UINT8_MAX ? t->retries : UINT8_MAX);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		stack_time due = t->timer[order[i].timer];
		if (due == STACK_NEVER)
			continue;
		m->idiag_timer = (uint8_t)order[i].shown;
		m->idiag_expires = clamp32(due > now ? (due - now) / 1000 : 0);
		return;
	}
}

/* tcp(7), TCP_INFO. */
static void put_info(struct reply *r, const struct stack_tcb_info *t, stack_time now)
{
	struct tcp_info i;

	stack_tcp_info(t, now, &i);
	reply_put(r, INET_DIAG_INFO, sizeof(i), &i);
}

static void put_memory(struct reply *r, const struct stack_tcb_info *t, uint8_t ext)
{
	uint32_t recv = t->sock.state == TCP_LISTEN ? 0 : clamp32(t->sock.recv_q + t->ooo_bytes);
	uint32_t send = t->sock.state == TCP_LISTEN ? 0 : clamp32(t->sock.send_q);
	struct inet_diag_meminfo m = {.idiag_rmem = recv, .idiag_wmem = send, .idiag_tmem = send};
	uint32_t sk[SK_MEMINFO_VARS] = {
		[SK_MEMINFO_RMEM_ALLOC] = recv,
		[SK_MEMINFO_RCVBUF] = clamp32(t->recv_buffer),
		[SK_MEMINFO_WMEM_ALLOC] = send,
		[SK_MEMINFO_SNDBUF] = clamp32(t->send_buffer),
		[SK_MEMINFO_WMEM_QUEUED] = send,
		[SK_MEMINFO_DROPS] = clamp32(t->sock.drops),
	};

	if (ext & (1 << (INET_DIAG_MEMINFO - 1)))
		reply_put(r, INET_DIAG_MEMINFO, sizeof(m), &m);
	if (ext & (1 << (INET_DIAG_SKMEMINFO - 1)))
		reply_put(r, INET_DIAG_SKMEMINFO, sizeof(sk), sk);
}

static void put_owner(struct reply *r, const struct stack_sock_info *info)
{
	const struct endpoint *e = sock_endpoint(info);

	if (e && e->service)
		reply_string(r, BYWAY_DIAG_SERVICE, e->service);
	if (e && !e->service) {
		reply_u32(r, BYWAY_DIAG_PID, (uint32_t)e->owner.pid);
		reply_string(r, BYWAY_DIAG_COMM, e->owner.comm);
	}
	if (info->drops)
		reply_u64(r, BYWAY_DIAG_DROPS, info->drops);
}

/* Which extensions cost a look into the control block. */
#define EXT_TCB ((1 << (INET_DIAG_INFO - 1)) | (1 << (INET_DIAG_CONG - 1)) | \
		 (1 << (INET_DIAG_SKMEMINFO - 1)) | (1 << (INET_DIAG_MEMINFO - 1)))

static void put_socket(struct reply *r, struct daemon *d, const struct stack_sock_info *info, uint8_t ext)
{
	struct inet_diag_msg *m = reply_message(r, SOCK_DIAG_BY_FAMILY, sizeof(*m));
	stack_time now = daemon_now();
	struct stack_tcb_info t;

	fill_identity(m, info);
	put_owner(r, info);
	if (!(ext & EXT_TCB) || !stack_tcb_of(d->stack, now, info, &t))
		return;
	fill_timer(m, &t, now);
	put_memory(r, &t, ext);
	if (info->proto == STACK_UDP)
		return;
	if (ext & (1 << (INET_DIAG_INFO - 1)))
		put_info(r, &t, now);
	if (ext & (1 << (INET_DIAG_CONG - 1)))
		reply_string(r, INET_DIAG_CONG, t.cc_name);
}

/* ---- the dump ---- */

static bool diag_wanted(const struct client *c, const struct stack_sock_info *info)
{
	const struct inet_diag_req_v2 *want = &c->dump.diag;
	uint8_t protocol = info->proto == STACK_TCP ? IPPROTO_TCP : IPPROTO_UDP;

	return want->sdiag_protocol == protocol && (want->idiag_states & (1u << diag_state(info->state))) &&
	       (!want->id.idiag_sport || want->id.idiag_sport == htons(info->local.port)) &&
	       (!want->id.idiag_dport || want->id.idiag_dport == htons(info->remote.port)) &&
	       client_may_see(c, info->owner);
}

static bool diag_visit(void *arg, const struct stack_sock_info *info)
{
	struct reply *r = arg;

	if (diag_wanted(r->client, info))
		put_socket(r, r->client->control->daemon, info, r->client->dump.diag.idiag_ext);
	return true;
}

/* Small batches, so that a packet does not get much longer than it should; reply_message takes care of the rest. */
static bool diag_step(struct client *c, struct reply *r)
{
	const unsigned batch = 16;

	for (unsigned seen = 0; seen < WALK_BATCH && !reply_full(r); seen += batch)
		if (!stack_walk(c->control->daemon->stack, &c->dump.cursor, batch, diag_visit, r))
			return false;
	return true;
}

static bool diag_nothing(struct client *c, struct reply *r)
{
	(void)c, (void)r;
	return false;
}

/* Byway has IPv4, TCP and UDP; of other families and protocols there are no sockets, which is no error. */
static bool diag_known(const struct inet_diag_req_v2 *req)
{
	return (req->sdiag_family == AF_INET || req->sdiag_family == AF_UNSPEC) &&
	       (req->sdiag_protocol == IPPROTO_TCP || req->sdiag_protocol == IPPROTO_UDP);
}

static uint64_t diag_cookie(const struct inet_diag_req_v2 *req)
{
	return (uint64_t)req->id.idiag_cookie[1] << 32 | req->id.idiag_cookie[0];
}

/* The one socket that a request is about. */
static int diag_find(struct request *q, const struct inet_diag_req_v2 *req, struct stack_sock_info *info)
{
	uint64_t id = diag_cookie(req);

	if (!diag_known(req) || !stack_find(q->daemon->stack, id, info))
		return request_fail(q, -ENOENT, "there is no socket %llu", (unsigned long long)id);
	if (!client_may_see(q->client, info->owner))
		return request_deny(q, -EACCES, "socket %llu belongs to user %u", (unsigned long long)id, info->owner);
	return 0;
}

int diag_get(struct request *q)
{
	struct client *c = q->client;
	struct stack_sock_info info;
	struct reply r;

	memcpy(&c->dump.diag, mnl_nlmsg_get_payload(q->head), sizeof(c->dump.diag));
	if ((q->head->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) {
		dump_start(c, q->head->nlmsg_seq, diag_known(&c->dump.diag) ? diag_step : diag_nothing);
		return 0;
	}
	int error = diag_find(q, &c->dump.diag, &info);
	if (error)
		return error;
	reply_open(&r, c, q->head->nlmsg_seq, 0);
	put_socket(&r, q->daemon, &info, c->dump.diag.idiag_ext);
	reply_send(&r, -1);
	return 0;
}

int diag_destroy(struct request *q)
{
	struct inet_diag_req_v2 req;
	struct stack_sock_info info;

	memcpy(&req, mnl_nlmsg_get_payload(q->head), sizeof(req));
	int error = diag_find(q, &req, &info);
	if (error)
		return error;
	error = stack_destroy(q->daemon->stack, daemon_now(), info.id);
	if (error)
		return request_fail(q, error, "socket %llu: %s", (unsigned long long)info.id, strerror(-error));
	daemon_kick(q->daemon);
	if (q->head->nlmsg_flags & NLM_F_ACK)
		reply_error(q->client, q->head, 0, NULL, 0);
	return 0;
}
