/*
 * What the stack knows, told by Byway's own messages: one control block (BYWAY_GET_TCB), the
 * counters (BYWAY_GET_STATS) and the daemon itself (BYWAY_GET_STATUS).
 */
#include "daemon/control.h"
#include "daemon/worker.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define COUNTERS_A_MESSAGE 16

/* ---- the control block ---- */

/* Forms of a control block, as bits. */
#define FULL (1u << 0)
#define HALF_OPEN (1u << 1)
#define TIME_WAIT (1u << 2)
#define LISTEN (1u << 3)
#define BOUND (1u << 4)
#define UDP (1u << 5)

static unsigned form_bit(const char *form)
{
	static const struct {
		const char *name;
		unsigned bit;
	} forms[] = {{"full", FULL},     {"half-open", HALF_OPEN}, {"time-wait", TIME_WAIT},
		     {"listen", LISTEN}, {"bound", BOUND},         {"udp", UDP}};

	for (size_t i = 0; form && i < sizeof(forms) / sizeof(forms[0]); i++)
		if (strcmp(forms[i].name, form) == 0)
			return forms[i].bit;
	return 0;
}

/* A number of struct stack_tcb_info: told when the form is in `always`, in others when it is not 0. */
struct field {
	uint16_t attr;
	uint16_t offset;
	uint8_t size;
	uint8_t always;
};

#define FIELD(id, member, always) \
	{BYWAY_TCB_##id, offsetof(struct stack_tcb_info, member), sizeof(((struct stack_tcb_info *)0)->member), always}

static const struct field fields[] = {
	FIELD(ISS, iss, FULL),
	FIELD(SND_UNA, snd_una, FULL),
	FIELD(SND_NXT, snd_nxt, FULL),
	FIELD(SND_WND, snd_wnd, FULL),
	FIELD(SND_UP, snd_up, FULL),
	FIELD(SND_WL1, snd_wl1, FULL),
	FIELD(SND_WL2, snd_wl2, FULL),
	FIELD(MAX_SND_WND, max_snd_wnd, FULL),
	FIELD(SND_SCALE, snd_scale, FULL),
	FIELD(IRS, irs, FULL),
	FIELD(RCV_NXT, rcv_nxt, FULL),
	FIELD(RCV_WND, rcv_wnd, FULL),
	FIELD(RCV_UP, rcv_up, FULL),
	FIELD(RCV_ADV, rcv_adv, FULL),
	FIELD(RCV_SCALE, rcv_scale, FULL),
	FIELD(MSS_SEND, mss_send, FULL),
	FIELD(MSS_RECV, mss_recv, FULL),
	FIELD(MSS_PEER, mss_peer, 0),
	FIELD(MTU, mtu, 0),
	FIELD(CWND, cwnd, FULL),
	FIELD(FLIGHT, flight, FULL),
	FIELD(SACKED, sacked, FULL),
	FIELD(LOST, lost, FULL),
	FIELD(REORDERING, reordering, FULL),
	FIELD(RECOVER, recover, 0),
	FIELD(DUPACKS, dupacks, FULL),
	FIELD(SRTT, srtt, 0),
	FIELD(RTTVAR, rttvar, 0),
	FIELD(RTT_MIN, rtt_min, 0),
	FIELD(RTO, rto, 0),
	FIELD(BACKOFF, backoff, FULL),
	FIELD(RETRIES, retries, FULL),
	FIELD(HALF_OPEN, sock.half_open, LISTEN),
	FIELD(SEND_BUFFER, send_buffer, FULL),
	FIELD(RECV_BUFFER, recv_buffer, FULL | UDP),
	FIELD(OOO_BYTES, ooo_bytes, FULL),
	FIELD(OOO_RANGES, ooo_ranges, FULL),
	FIELD(MEMORY, memory, FULL | HALF_OPEN | TIME_WAIT | LISTEN | BOUND | UDP),
	FIELD(BYTES_SENT, bytes_sent, FULL),
	FIELD(BYTES_ACKED, bytes_acked, FULL),
	FIELD(BYTES_RECEIVED, bytes_received, FULL),
	FIELD(BYTES_RETRANSMITTED, bytes_retransmitted, FULL),
	FIELD(SEGMENTS_IN, segments_in, FULL),
	FIELD(SEGMENTS_OUT, segments_out, FULL),
	FIELD(RETRANSMISSIONS, retransmissions, FULL),
	FIELD(DUPACKS_IN, dupacks_in, FULL),
	FIELD(OOO_IN, ooo_in, FULL),
	FIELD(DROPS, sock.drops, LISTEN | UDP),
	FIELD(OPT_TIMESTAMPS, opt_timestamps, FULL),
	FIELD(OPT_WINDOW_SCALING, opt_window_scaling, FULL),
	FIELD(OPT_SACK, opt_sack, FULL),
	FIELD(OPT_ECN, opt_ecn, FULL),
	FIELD(NODELAY, nodelay, FULL),
	FIELD(KEEPALIVE, keepalive, FULL),
	FIELD(PACING_RATE, pacing_rate, 0),
	FIELD(DELIVERY_RATE, delivery_rate, 0),
	FIELD(DELIVERY_LIMITED, delivery_limited, 0),
	FIELD(BBR_BW, bbr_bw, 0),
	FIELD(BBR_MIN_RTT, bbr_min_rtt, 0),
	FIELD(BBR_PACING_GAIN, bbr_pacing_gain, 0),
	FIELD(BBR_CWND_GAIN, bbr_cwnd_gain, 0),
	FIELD(BBR_INFLIGHT_HI, bbr_inflight_hi, 0),
	FIELD(BBR_INFLIGHT_LO, bbr_inflight_lo, 0),
	FIELD(RCV_SPACE, rcv_space, FULL),
	FIELD(RCV_RTT, rcv_rtt, 0),
	FIELD(MTU_HIGH, mtu_high, 0),
	FIELD(MTU_PROBE, mtu_probe, 0),
	FIELD(SYN_DATA, syn_data, FULL),
};

static uint64_t field_value(const struct field *f, const struct stack_tcb_info *t)
{
	const char *at = (const char *)t + f->offset;
	uint64_t value = 0;

	/* The machine's own order: the low end of `value` is where a shorter integer lies. */
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	if (f->size == sizeof(u8))
		value = (memcpy(&u8, at, sizeof(u8)), u8);
	else if (f->size == sizeof(u16))
		value = (memcpy(&u16, at, sizeof(u16)), u16);
	else if (f->size == sizeof(u32))
		value = (memcpy(&u32, at, sizeof(u32)), u32);
	else
		memcpy(&value, at, sizeof(value));
	return value;
}

static void put_numbers(struct reply *r, const struct stack_tcb_info *t, unsigned form)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint64_t value = field_value(&fields[i], t);

		if (value || (fields[i].always & form))
			reply_u64(r, fields[i].attr, value);
	}
}

static const char *state_name(const struct stack_sock_info *info)
{
	if (info->proto != STACK_TCP && info->state == TCP_CLOSED)
		return "UNCONN";
	return stack_tcp_state_name(info->state);
}

static void put_owner(struct reply *r, const struct stack_sock_info *info)
{
	const struct endpoint *e = sock_endpoint(info);
	char name[32];

	reply_u64(r, BYWAY_TCB_UID, info->owner);
	if (!e)
		return;
	if (e->service) {
		snprintf(name, sizeof(name), "[%s]", e->service);
		reply_string(r, BYWAY_TCB_PROCESS, name);
		return;
	}
	reply_u64(r, BYWAY_TCB_PID, (uint64_t)e->owner.pid);
	reply_string(r, BYWAY_TCB_PROCESS, e->owner.comm);
	if (e->inode)
		reply_u64(r, BYWAY_TCB_INODE, e->inode);
}

static void put_identity(struct reply *r, const struct stack_tcb_info *t, stack_time now)
{
	const struct stack_sock_info *info = &t->sock;

	reply_u64(r, BYWAY_TCB_ID, info->id);
	reply_string(r, BYWAY_TCB_PROTOCOL, info->proto == STACK_TCP ? "TCP" : "UDP");
	reply_string(r, BYWAY_TCB_STATE, state_name(info));
	reply_string(r, BYWAY_TCB_FORM, t->form);
	reply_address(r, BYWAY_TCB_LOCAL, &info->local);
	if (info->remote.port)
		reply_address(r, BYWAY_TCB_REMOTE, &info->remote);
	put_owner(r, info);
	if (t->created) /* not every form of a control block keeps it */
		reply_u64(r, BYWAY_TCB_AGE, now - t->created);
	if (t->error)
		reply_u64(r, BYWAY_TCB_ERROR, (uint64_t)t->error);
}

static void put_queues(struct reply *r, const struct stack_sock_info *info, unsigned form)
{
	uint64_t recv_q, send_q;

	sock_queues(info, &recv_q, &send_q);
	if (info->state == TCP_LISTEN) {
		reply_u64(r, BYWAY_TCB_ACCEPT_LENGTH, recv_q);
		reply_u64(r, BYWAY_TCB_ACCEPT_LIMIT, send_q);
		return;
	}
	if (!(form & (FULL | UDP)))
		return;
	reply_u64(r, BYWAY_TCB_RECV_Q, recv_q);
	reply_u64(r, BYWAY_TCB_SEND_Q, send_q);
}

static void put_timers(struct reply *r, const struct stack_tcb_info *t, stack_time now)
{
	static const uint16_t attr[STACK_TIMER_COUNT] = {
		[STACK_TIMER_REXMT] = BYWAY_TCB_TIMER_REXMT,
		[STACK_TIMER_PERSIST] = BYWAY_TCB_TIMER_PERSIST,
		[STACK_TIMER_DELACK] = BYWAY_TCB_TIMER_DELACK,
		[STACK_TIMER_KEEPALIVE] = BYWAY_TCB_TIMER_KEEPALIVE,
		[STACK_TIMER_FIN_WAIT_2] = BYWAY_TCB_TIMER_FIN_WAIT_2,
		[STACK_TIMER_LOSS_PROBE] = BYWAY_TCB_TIMER_LOSS_PROBE,
		[STACK_TIMER_REORDER] = BYWAY_TCB_TIMER_REORDER,
		[STACK_TIMER_PACE] = BYWAY_TCB_TIMER_PACE,
		[STACK_TIMER_TIME_WAIT] = BYWAY_TCB_TIMER_TIME_WAIT,
	};

	for (unsigned i = 0; i < STACK_TIMER_COUNT; i++)
		if (t->timer[i] != STACK_NEVER)
			reply_u64(r, attr[i], t->timer[i] > now ? t->timer[i] - now : 0);
}

static void put_history(struct reply *r, const struct stack_tcb_info *t, stack_time now)
{
	struct {
		struct byway_change change;
		char cause[80];
	} h;

	for (unsigned i = 0; i < t->history_count && i < STACK_HISTORY; i++) {
		const struct stack_change *c = &t->history[i];
		size_t len = c->cause ? strnlen(c->cause, sizeof(h.cause)) : 0;

		h.change = (struct byway_change){.ago = now - c->at};
		snprintf(h.change.from, sizeof(h.change.from), "%s", stack_tcp_state_name(c->from));
		snprintf(h.change.to, sizeof(h.change.to), "%s", stack_tcp_state_name(c->to));
		memcpy(h.cause, c->cause ? c->cause : "", len);
		reply_put(r, BYWAY_TCB_CHANGE, sizeof(h.change) + len, &h);
	}
}

int control_get_tcb(struct request *q)
{
	uint64_t id = mnl_attr_get_u64(q->attr[BYWAY_A_ID]);
	stack_time now = daemon_now();
	struct stack_tcb_info t;
	struct reply r;

	if (!stack_tcb(worker_of(q->daemon, id)->stack, now, id, &t))
		return request_fail(q, -ENOENT, "there is no socket %llu", (unsigned long long)id);
	if (!client_may_see(q->client, t.sock.owner))
		return request_deny(q, -EACCES, "socket %llu belongs to user %u", (unsigned long long)id, t.sock.owner);
	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	reply_message(&r, BYWAY_TCB, 0);
	put_identity(&r, &t, now);
	put_numbers(&r, &t, form_bit(t.form));
	reply_string(&r, BYWAY_TCB_CC, t.cc_name);
	reply_string(&r, BYWAY_TCB_RECOVERY, t.recovery);
	reply_string(&r, BYWAY_TCB_BBR_MODE, t.bbr_mode);
	if (t.ssthresh && t.ssthresh != UINT32_MAX) /* which it is until the first loss: arbitrarily high */
		reply_u64(&r, BYWAY_TCB_SSTHRESH, t.ssthresh);
	put_queues(&r, &t.sock, form_bit(t.form));
	if (worker_count(q->daemon) > 1)
		reply_u64(&r, BYWAY_TCB_WORKER, worker_of(q->daemon, id)->worker);
	if (t.sock.proto == STACK_TCP)
		put_timers(&r, &t, now);
	put_history(&r, &t, now);
	reply_send(&r, -1);
	return 0;
}

/* ---- counters ---- */

static void put_counter(struct reply *r, const char *name, uint64_t value, const char *help)
{
	struct nlattr *nest = mnl_attr_nest_start_check(r->head, CONTROL_MESSAGE, BYWAY_A_COUNTER);

	if (!nest)
		return;
	reply_string(r, BYWAY_A_NAME, name);
	reply_u64(r, BYWAY_A_VALUE, value);
	reply_string(r, BYWAY_A_HELP, help);
	mnl_attr_nest_end(r->head, nest);
}

/* The i-th class of memory of all workers; NULL past the last. */
static const char *memory_of_all(struct daemon *d, size_t i, uint64_t *used, uint64_t *limit)
{
	const char *class = NULL;

	*used = *limit = 0;
	for (unsigned k = 0; k < worker_count(d); k++) {
		uint64_t its_used, its_limit;
		class = stack_memory(worker_at(d, k)->stack, i, &its_used, &its_limit);
		if (!class)
			return NULL;
		*used += its_used;
		*limit = its_limit == UINT64_MAX ? its_limit : *limit + its_limit;
	}
	return class;
}

/* A class of memory as two counters; false past the last. */
static bool put_memory(struct reply *r, struct daemon *d, size_t i)
{
	uint64_t used, limit;
	char name[64], help[96];
	const char *class = memory_of_all(d, i, &used, &limit);

	if (!class)
		return false;
	snprintf(name, sizeof(name), "memory.%s.used", class);
	snprintf(help, sizeof(help), "bytes of %s in use now", class);
	put_counter(r, name, used, help);
	snprintf(name, sizeof(name), "memory.%s.limit", class);
	snprintf(help, sizeof(help), "bytes of %s allowed", class);
	if (limit && limit != UINT64_MAX)
		put_counter(r, name, limit, help);
	return true;
}

/* The i-th counter of the daemon itself; false past the last. */
static bool put_own(struct reply *r, struct daemon *d, size_t i)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} all[] = {
#define ROW(identifier, name, help) {name, help, offsetof(struct daemon_counters, identifier)},
		DAEMON_COUNTERS(ROW)
#undef ROW
	};
	uint64_t sum = 0, value;

	if (i >= sizeof(all) / sizeof(all[0]))
		return false;
	for (unsigned k = 0; k < worker_count(d); k++) {
		memcpy(&value, (const char *)&worker_at(d, k)->count + all[i].offset, sizeof(value));
		sum += value;
	}
	put_counter(r, all[i].name, sum, all[i].help);
	return true;
}

static uint64_t counter_of_all(struct daemon *d, size_t i)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < worker_count(d); k++)
		sum += stack_counter(worker_at(d, k)->stack, i);
	return sum;
}

/* What each of several workers does, so that it can be seen whether they share the work; false past the last. */
static bool put_worker(struct reply *r, struct daemon *d, size_t i)
{
	static const char *const names[] = {"connections", "link_reads", "link_writes"};
	static const char *const help[] = {"TCP connections that it has", "system calls of it that read a frame",
					   "system calls of it that wrote a frame"};
	const size_t rows = sizeof(names) / sizeof(names[0]);
	char name[64];

	if (worker_count(d) == 1 || i >= rows * worker_count(d))
		return false;
	const struct daemon *w = worker_at(d, (unsigned)(i / rows));
	const uint64_t values[] = {w->connections, w->count.link_reads, w->count.link_writes};
	snprintf(name, sizeof(name), "worker.%u.%s", w->worker, names[i % rows]);
	put_counter(r, name, values[i % rows], help[i % rows]);
	return true;
}

/* The cursor counts through the counters, the stack's and our own, each worker's, and then through the classes of memory. */
static bool stats_step(struct client *c, struct reply *r)
{
	struct daemon *d = c->control->daemon;
	size_t count = stack_counter_count(), ours = sizeof(d->count) / sizeof(uint64_t);
	size_t each = worker_count(d) > 1 ? 3 * worker_count(d) : 0;

	while (!reply_full(r)) {
		reply_message(r, BYWAY_STATS, 0);
		for (unsigned n = 0; n < COUNTERS_A_MESSAGE; n++, c->dump.cursor++) {
			size_t i = (size_t)c->dump.cursor;
			if (i < count)
				put_counter(r, stack_counter_name(i), counter_of_all(d, i), stack_counter_help(i));
			else if (i < count + ours)
				put_own(r, d, i - count);
			else if (i < count + ours + each)
				put_worker(r, d, i - count - ours);
			else if (!put_memory(r, d, i - count - ours - each))
				return false;
		}
	}
	return true;
}

int control_get_stats(struct request *q)
{
	dump_start(q->client, q->head->nlmsg_seq, stats_step);
	return 0;
}

/* ---- status ---- */

int control_get_status(struct request *q)
{
	const struct daemon *d = q->daemon;
	struct reply r;

	reply_open(&r, q->client, q->head->nlmsg_seq, 0);
	reply_message(&r, BYWAY_STATUS, 0);
	reply_string(&r, BYWAY_A_VERSION, BYWAY_VERSION);
	reply_string(&r, BYWAY_A_LINK_NAME, link_name(d->link));
	reply_u32(&r, BYWAY_A_LINK_MTU, d->config.mtu);
	reply_string(&r, BYWAY_A_LINK_TYPE, d->config.tun ? "tun" : "tap");
	reply_u64(&r, BYWAY_A_UPTIME, daemon_now() - d->started);
	for (unsigned i = 0; i < d->config.resolvers; i++)
		reply_address(&r, BYWAY_A_RESOLVER, &d->config.resolver[i]);
	reply_send(&r, -1);
	return 0;
}
