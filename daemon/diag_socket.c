/*
 * One socket of the stack as sock_diag(7) tells it: struct inet_diag_msg and the attributes that
 * idiag_ext asks for, so that the host's ss can read it. Beside the kernel's attributes there
 * are those of enum byway_diag_attr.
 *
 * As with the kernel's own, a half-open connection and one in TIME-WAIT are no more than their
 * addresses and their timer.
 */
#include "daemon/diag.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* idiag_state: the kernel's numbers (include/net/tcp_states.h). */
enum diag_state {
	DIAG_ESTABLISHED = 1, DIAG_SYN_SENT, DIAG_SYN_RECV, DIAG_FIN_WAIT_1, DIAG_FIN_WAIT_2, DIAG_TIME_WAIT,
	DIAG_CLOSE, DIAG_CLOSE_WAIT, DIAG_LAST_ACK, DIAG_LISTEN, DIAG_CLOSING
};

/* INET_DIAG_SHUTDOWN: RCV_SHUTDOWN and SEND_SHUTDOWN of the kernel. */
enum { DIAG_SHUT_RECEIVE = 1, DIAG_SHUT_SEND = 2 };

/* idiag_timer: which timer idiag_expires is of. */
enum diag_timer { DIAG_TIMER_OFF, DIAG_TIMER_REXMT, DIAG_TIMER_KEEPALIVE, DIAG_TIMER_TIME_WAIT, DIAG_TIMER_PERSIST };

uint8_t diag_state(enum tcp_state state)
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

/* ---- identity and timer ---- */

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

/* ---- options and shutdown ---- */

static int option_of(const struct stack_sock_info *info, int name)
{
	const struct endpoint *e = sock_endpoint(info);
	int value = 0;
	size_t len = sizeof(value);

	if (!e || !e->sock || stack_getsockopt(e->sock, daemon_now(), IPPROTO_IP, name, &value, &len) != 0)
		return 0;
	return value;
}

static void put_options(struct reply *r, const struct stack_tcb_info *t, uint8_t ext)
{
	struct inet_diag_sockopt options = {
		.is_icsk = t->sock.proto == STACK_TCP,
		.freebind = option_of(&t->sock, IP_FREEBIND) != 0,
		.recverr = option_of(&t->sock, IP_RECVERR) != 0,
		.bind_address_no_port = option_of(&t->sock, IP_BIND_ADDRESS_NO_PORT) != 0,
	};
	uint8_t shut = (uint8_t)((t->fin_received ? DIAG_SHUT_RECEIVE : 0) | (t->fin_sent ? DIAG_SHUT_SEND : 0));
	uint8_t tos = (uint8_t)option_of(&t->sock, IP_TOS);

	reply_put(r, INET_DIAG_SHUTDOWN, sizeof(shut), &shut);
	reply_put(r, INET_DIAG_SOCKOPT, sizeof(options), &options);
	if (ext & (1 << (INET_DIAG_TOS - 1)))
		reply_put(r, INET_DIAG_TOS, sizeof(tos), &tos);
}

/* ---- the message ---- */

static void put_extensions(struct reply *r, const struct stack_tcb_info *t, uint8_t ext, stack_time now)
{
	put_options(r, t, ext);
	put_memory(r, t, ext);
	if (t->sock.proto != STACK_TCP)
		return;
	if (ext & (1 << (INET_DIAG_INFO - 1)))
		put_info(r, t, now);
	if (ext & (1 << (INET_DIAG_CONG - 1)))
		reply_string(r, INET_DIAG_CONG, t->cc_name);
}

void diag_put(struct reply *r, const struct stack_tcb_info *t, uint8_t ext, stack_time now)
{
	struct inet_diag_msg *m = reply_message(r, SOCK_DIAG_BY_FAMILY, sizeof(*m));
	enum tcp_state state = t->sock.state;

	fill_identity(m, &t->sock);
	fill_timer(m, t, now);
	put_owner(r, &t->sock);
	if (state != TCP_TIME_WAIT && state != TCP_SYN_RECEIVED)
		put_extensions(r, t, ext, now);
}
