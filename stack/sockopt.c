/*
 * setsockopt, getsockopt and the queue ioctls, with the host's numbers, ranges and errors
 * (socket(7), tcp(7), ip(7)).
 *
 * An option is a row of a table. Most are a field of struct sock_options with a range, and
 * perhaps somebody to tell of the change; others have functions of their own. A socket gets a
 * struct sock_options when something is changed for the first time, takes it along from form to
 * form, and a listener shares its own with the connections that it accepts, until one changes it.
 *
 * A control block keeps what output and input look at all the time (nodelay, limits) in fields
 * of its own, which tcb_take_options fills.
 */
#include "tcp.h"

#include <errno.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define KEEPALIVE_MAX 32767      /* seconds, as the host */
#define RETRIES_MAX 127
#define LINGER2_MAX 120          /* seconds */
#define TIMEOUT_MAX 120          /* seconds, the longest timeout of a SYN-ACK that TCP_DEFER_ACCEPT counts with */
#define SEND_BUFFER_MIN 4608     /* bytes, after doubling; the host's figures */
#define RECV_BUFFER_MIN 2304
#define BUFFER_LIMIT 212992u     /* the least that an owner may ask for, whatever the configuration */
#define MSS_MOST 32767
#define QUICK_ACKS 16            /* segments that TCP_QUICKACK lasts for */
#define FASTOPEN_MOST 4096       /* connections opened early at a time, the host's figure */

/* ---- where the values are ---- */

void sock_options_default(struct stack *s)
{
	s->defaults = (struct sock_options){
		.pacing_limit = UINT64_MAX,
		.keepalive_idle_ms = to_ms(s->cfg.keepalive_idle),
		.keepalive_interval_ms = to_ms(s->cfg.keepalive_interval),
		.keepalive_probes = s->cfg.keepalive_probes,
		.recv_lowat = 1,
		.mtu_discover = IP_PMTUDISC_WANT,
	};
}

static struct sock_options *own(struct sock *sock)
{
	struct sock_options *o;

	if (sock->options && sock->options->users == 1)
		return sock->options;
	o = mem_alloc(&sock->stack->mem, MEM_SOCKET, sizeof(*o));
	if (!o)
		return NULL;
	*o = *sock_options(sock);
	o->users = 1;
	sock_options_free(sock);
	sock->options = o;
	return o;
}

void sock_options_inherit(struct sock *to, const struct sock *from)
{
	to->options = from->options;
	if (to->options)
		to->options->users++;
}

void sock_options_free(struct sock *sock)
{
	if (sock->options && --sock->options->users == 0)
		mem_free(&sock->stack->mem, MEM_SOCKET, sock->options, sizeof(*sock->options));
	sock->options = NULL;
}

/* The host's "closed or listening": options of the handshake can still be set. */
static bool before_connection(const struct sock *sock)
{
	return sock->pcb.kind == PCB_BOUND || sock->pcb.kind == PCB_LISTEN;
}

/* ---- who is told of a change ---- */

void tcb_take_options(struct tcb *t)
{
	const struct sock_options *o = sock_options(&t->conn->sock);

	t->nodelay = o->nodelay;
	t->cork = o->cork;
	t->keepalive = o->keepalive;
	if (o->send_buffer)
		tcp_set_send_limit(t, o->send_buffer);
	if (o->recv_buffer)
		tcp_set_recv_limit(t, o->recv_buffer);
	if (o->cc_ops)
		t->cc_ops = o->cc_ops;
}

/* On: what waits goes now, corked or not. */
static void nodelay_changed(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (!t)
		return;
	t->nodelay = sock->options->nodelay;
	if (t->nodelay)
		t->push_all = t->sndq.len > 0;
	tcb_dirty(t);
}

/* Off: what was held goes, if Nagle has nothing against it. */
static void cork_changed(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (!t)
		return;
	t->cork = sock->options->cork;
	if (!t->cork && t->nodelay)
		t->push_all = t->sndq.len > 0;
	tcb_dirty(t);
}

static void keepalive_changed(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (!t)
		return;
	t->keepalive = sock->options->keepalive;
	tcb_keepalive_start(t);
}

static void writer_changed(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (t)
		tcp_wake_writer(t);
}

static void send_buffer_changed(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (!t)
		return;
	tcp_set_send_limit(t, sock->options->send_buffer);
	tcp_wake_writer(t);
}

static void recv_buffer_changed(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (t)
		tcp_set_recv_limit(t, sock->options->recv_buffer);
	else if (pcb_is_datagram(&sock->pcb))
		CONTAINER_OF(sock, struct udp_sock, sock)->limit = sock->options->recv_buffer;
}

static void broadcast_changed(struct sock *sock)
{
	if (pcb_is_datagram(&sock->pcb))
		CONTAINER_OF(sock, struct udp_sock, sock)->broadcast = sock->options->broadcast;
}

/* Both are fresh, or datagram sockets: what a connection keeps beside its options is not copied. */
int stack_copy_options(struct sock *to, const struct sock *from)
{
	struct sock_options *o;

	if (!from->options) {
		sock_options_free(to);
		return 0;
	}
	o = own(to);
	if (!o)
		return -ENOMEM;
	*o = *from->options;
	o->users = 1;
	recv_buffer_changed(to);
	broadcast_changed(to);
	return 0;
}

/* Off: nobody asks for them any more. */
static void recv_err_changed(struct sock *sock)
{
	if (pcb_is_datagram(&sock->pcb) && !sock->options->recv_err)
		failure_free_all(udp_of(sock));
}

static void path_changed(struct sock *sock)
{
	struct tcb *t = tcb_of(sock);

	if (t && t->syn_acked)
		tcp_set_mss(t);
}

/* ---- options with functions of their own: setting ---- */

static int take_int(const void *value, size_t len, int *out)
{
	if (len < sizeof(*out))
		return -EINVAL;
	memcpy(out, value, sizeof(*out));
	return 0;
}

static uint32_t buffer_limit(uint32_t configured)
{
	return max_u32(configured, BUFFER_LIMIT);
}

/* "The kernel doubles this value": half of it is for bookkeeping there. Too much is cut, not refused. */
static uint32_t buffer_size(int asked, uint32_t configured, uint32_t least)
{
	uint32_t most = min_u32(buffer_limit(configured), INT_MAX / 2);

	return max_u32(2 * (asked < 0 ? most : min_u32((uint32_t)asked, most)), least);
}

static int set_sndbuf(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	sock->options->send_buffer = buffer_size(n, tcp_send_limit_max(sock->stack), SEND_BUFFER_MIN);
	send_buffer_changed(sock);
	return 0;
}

static int set_rcvbuf(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	sock->options->recv_buffer = buffer_size(n, tcp_recv_limit_max(sock->stack), RECV_BUFFER_MIN);
	recv_buffer_changed(sock);
	return 0;
}

static int set_rcvlowat(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	n = n < 0 ? INT_MAX : n;
	sock->options->recv_lowat = min_u32(max_u32((uint32_t)n, 1), max_u32(sock_recv_buffer(sock) / 2, 1));
	return 0;
}

/* Higher ones are the administrator's there. */
static int set_priority(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	if (n < 0 || n > 6)
		return -EPERM;
	sock->options->priority = (uint8_t)n;
	return 0;
}

static int set_linger(struct sock *sock, const void *value, size_t len)
{
	struct linger linger;

	if (len < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, value, sizeof(linger));
	sock->options->linger = linger.l_onoff != 0;
	if (linger.l_onoff)
		sock->options->linger_s = (uint32_t)linger.l_linger;
	return 0;
}

/* An unsigned long, or 32 bits whose highest value means no limit. */
static int set_pacing(struct sock *sock, const void *value, size_t len)
{
	uint64_t rate;
	uint32_t rate32;
	struct tcb *t = tcb_of(sock);

	if (len < sizeof(rate32))
		return -EINVAL;
	memcpy(&rate32, value, sizeof(rate32));
	rate = rate32 == UINT32_MAX ? UINT64_MAX : rate32;
	if (len >= sizeof(rate))
		memcpy(&rate, value, sizeof(rate));
	sock->options->pacing_limit = rate;
	if (t)
		tcp_pacing_changed(t);
	return 0;
}

static int set_maxseg(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	if (n != 0 && (n < (int)TCP_MSS_MIN || n > MSS_MOST))
		return -EINVAL;
	sock->options->maxseg = (uint16_t)n;
	return 0;
}

static int set_linger2(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	sock->options->linger2_ms = n < 0 ? -1 : (n > LINGER2_MAX ? LINGER2_MAX : n) * 1000;
	return 0;
}

/* The host's doubling of the SYN-ACK's timeout: `retries` of them take how many seconds? */
static unsigned retries_to_seconds(unsigned retries)
{
	unsigned timeout = 1, period = 0;

	for (unsigned i = 0; i < retries; i++) {
		period += timeout;
		timeout = min_u32(2 * timeout, TIMEOUT_MAX);
	}
	return period;
}

static int set_defer_accept(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);
	uint8_t retries = 0;

	if (error)
		return error;
	while (n > 0 && retries < UINT8_MAX && retries_to_seconds(retries) < (unsigned)n)
		retries++;
	sock->options->defer_accept = retries;
	return 0;
}

static int set_window_clamp(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	if (n == 0 && sock->pcb.state != TCP_CLOSED)
		return -EINVAL;
	sock->options->window_clamp = n == 0 ? 0 : max_u32((uint32_t)n, RECV_BUFFER_MIN / 2);
	return 0;
}

/* Acknowledges at once from now on, and what waits; an even value (not 0): only this once. */
static int set_quickack(struct sock *sock, const void *value, size_t len)
{
	struct tcb *t = tcb_of(sock);
	int n, error = take_int(value, len, &n);

	if (error || !t)
		return error;
	t->pingpong = n == 0 || !(n & 1);
	t->quick = n != 0 ? QUICK_ACKS : 0;
	if (n != 0 && t->ack_bytes > 0) {
		t->ack_now = true;
		tcb_dirty(t);
	}
	return 0;
}

/* The host calls New Reno "reno". */
static const char *host_cc_name(const struct cc_ops *ops)
{
	return ops == &cc_newreno ? "reno" : ops->name;
}

static const struct cc_ops *cc_of(const struct sock *sock)
{
	const struct sock_options *o = sock_options(sock);

	if (sock->pcb.kind == PCB_TCB) {
		const struct conn *c = conn_of_const(sock);

		return c->at_rest ? cc_by_number(c->rest.cc) : c->tcb->cc_ops;
	}
	return o->cc_ops ? o->cc_ops : cc_find(sock->stack->cfg.congestion_control);
}

static int set_congestion(struct sock *sock, const void *value, size_t len)
{
	char name[16] = "";
	const struct cc_ops *ops;
	struct tcb *t;

	if (len < 1)
		return -EINVAL;
	memcpy(name, value, min_size(len, sizeof(name) - 1));
	ops = strcmp(name, "reno") == 0 ? &cc_newreno : cc_find(name);
	if (!ops)
		return -ENOENT;
	sock->options->cc_ops = ops;
	t = tcb_of(sock);
	return t ? tcp_cc_change(t, ops->name) : 0;
}

/* How many connections may be open before their handshake is complete (RFC 7413 5.1). */
static int set_fastopen(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	if (n < 0 || !before_connection(sock))
		return -EINVAL;
	sock->options->fastopen_limit = min_u32((uint32_t)n, FASTOPEN_MOST);
	return 0;
}

/* One key, or two, the second for cookies made before. */
static int set_fastopen_key(struct sock *sock, const void *value, size_t len)
{
	struct stack_fastopen_keys *keys = &sock->options->fastopen_keys;

	if (len != sizeof(keys->key[0]) && len != sizeof(keys->key))
		return -EINVAL;
	memcpy(keys->key, value, len);
	keys->count = (uint8_t)(len / sizeof(keys->key[0]));
	return 0;
}

static int set_fastopen_connect(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	if (n < 0 || n > 1)
		return -EINVAL;
	if (!(sock->stack->cfg.fastopen & STACK_FASTOPEN_CLIENT))
		return -EOPNOTSUPP;
	if (sock->pcb.kind != PCB_BOUND)
		return -EINVAL;
	sock->options->fastopen_connect = n;
	return 0;
}

static int set_fastopen_no_cookie(struct sock *sock, const void *value, size_t len)
{
	int n, error = take_int(value, len, &n);

	if (error)
		return error;
	if (n < 0 || n > 1 || !before_connection(sock))
		return -EINVAL;
	sock->options->fastopen_no_cookie = n;
	return 0;
}

/* Its ECN bits are the transport's. */
static int set_tos(struct sock *sock, int n)
{
	sock->options->tos = (uint8_t)(n & ~(int)IP_ECN_MASK);
	return 0;
}

static int set_ttl(struct sock *sock, int n)
{
	if (n != -1 && (n < 1 || n > 255))
		return -EINVAL;
	sock->options->ttl = n == -1 ? 0 : (uint8_t)n;
	return 0;
}

/* ---- getting ---- */

static int give(void *value, size_t *len, const void *what, size_t size)
{
	*len = min_size(*len, size);
	memcpy(value, what, *len);
	return 0;
}

static int give_int(void *value, size_t *len, int n)
{
	return give(value, len, &n, sizeof(n));
}

/* Its connection's control block, if it has one. */
static const struct tcb *look(const struct sock *sock, struct tcb *room)
{
	return sock->pcb.kind == PCB_TCB ? conn_look(conn_of_const(sock), room) : NULL;
}

static int get_sndbuf(struct sock *sock, void *value, size_t *len)
{
	const struct sock_options *o = sock_options(sock);
	uint32_t size = o->send_buffer ? o->send_buffer : sock->stack->cfg.send_buffer;
	struct tcb room;
	const struct tcb *t = look(sock, &room);

	return give_int(value, len, (int)(t ? t->send_limit : size));
}

static int get_rcvbuf(struct sock *sock, void *value, size_t *len)
{
	const struct sock_options *o = sock_options(sock);
	uint32_t size = o->recv_buffer ? o->recv_buffer : sock->stack->cfg.recv_buffer;
	struct tcb room;
	const struct tcb *t = look(sock, &room);

	return give_int(value, len, (int)(t ? t->recv_limit : size));
}

static int get_one(struct sock *sock, void *value, size_t *len)
{
	(void)sock;
	return give_int(value, len, 1);
}

/* Tells of an error once; until the connection is gone, what may become one (ICMP) is only looked at. */
static int get_error(struct sock *sock, void *value, size_t *len)
{
	struct tcb *t = sock->pcb.kind == PCB_TCB ? conn_tcb(conn_of(sock)) : NULL;
	int error;

	if (sock->pcb.kind == PCB_TCB && !t) /* one at rest has no error */
		return give_int(value, len, 0);
	error = sock->pcb.error_told ? 0 : sock->error;

	sock->pcb.error_told = true;
	if (pcb_is_datagram(&sock->pcb)) {
		sock->error = 0;
		sock->pcb.error_told = false;
	}
	if (!error && t && !sock->error) {
		sock->pcb.error_told = false;
		error = t->soft_error;
		t->soft_error = 0;
	}
	return give_int(value, len, error);
}

static int get_type(struct sock *sock, void *value, size_t *len)
{
	return give_int(value, len, pcb_is_datagram(&sock->pcb) ? SOCK_DGRAM : SOCK_STREAM);
}

static int get_protocol(struct sock *sock, void *value, size_t *len)
{
	static const int protocol[] = {[STACK_TCP] = IPPROTO_TCP, [STACK_UDP] = IPPROTO_UDP, [STACK_PING] = IPPROTO_ICMP};

	return give_int(value, len, protocol[pcb_proto(&sock->pcb)]);
}

static int get_domain(struct sock *sock, void *value, size_t *len)
{
	(void)sock;
	return give_int(value, len, AF_INET);
}

static int get_acceptconn(struct sock *sock, void *value, size_t *len)
{
	return give_int(value, len, sock->pcb.kind == PCB_LISTEN);
}

static int get_linger(struct sock *sock, void *value, size_t *len)
{
	const struct sock_options *o = sock_options(sock);
	struct linger linger = {.l_onoff = o->linger, .l_linger = (int)o->linger_s};

	return give(value, len, &linger, sizeof(linger));
}

static int get_pacing(struct sock *sock, void *value, size_t *len)
{
	uint64_t rate = sock_options(sock)->pacing_limit;

	if (*len >= sizeof(rate))
		return give(value, len, &rate, sizeof(rate));
	return give_int(value, len, (int)(uint32_t)min_u64(rate, UINT32_MAX));
}

static int get_cookie(struct sock *sock, void *value, size_t *len)
{
	uint64_t id = sock->pcb.id;

	if (*len < sizeof(id))
		return -EINVAL;
	return give(value, len, &id, sizeof(id));
}

/* Bytes queued and the limits; the host's other columns are about its own bookkeeping. */
static int get_meminfo(struct sock *sock, void *value, size_t *len)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	struct stack_sock_info q;
	size_t n = sizeof(int);

	stack_info(sock, &q);
	if (sock->pcb.kind != PCB_LISTEN) {
		info[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)q.recv_q;
		info[SK_MEMINFO_WMEM_QUEUED] = (uint32_t)q.send_q;
	}
	get_rcvbuf(sock, &info[SK_MEMINFO_RCVBUF], &n);
	get_sndbuf(sock, &info[SK_MEMINFO_SNDBUF], &n);
	info[SK_MEMINFO_DROPS] = (uint32_t)q.drops;
	return give(value, len, info, sizeof(info));
}

static int get_maxseg(struct sock *sock, void *value, size_t *len)
{
	const struct sock_options *o = sock_options(sock);

	struct tcb room;
	const struct tcb *t = look(sock, &room);

	if (t)
		return give_int(value, len, t->mss);
	return give_int(value, len, o->maxseg ? o->maxseg : (int)TCP_MSS_DEFAULT);
}

static int get_syncnt(struct sock *sock, void *value, size_t *len)
{
	uint8_t n = sock_options(sock)->syn_retries;

	return give_int(value, len, n ? n : sock->stack->cfg.syn_retries);
}

static int get_linger2(struct sock *sock, void *value, size_t *len)
{
	int32_t ms = sock_options(sock)->linger2_ms;

	if (ms == 0)
		return give_int(value, len, (int)(sock->stack->cfg.fin_wait_2 / SECONDS(1)));
	return give_int(value, len, ms < 0 ? -1 : ms / 1000);
}

static int get_defer_accept(struct sock *sock, void *value, size_t *len)
{
	return give_int(value, len, (int)retries_to_seconds(sock_options(sock)->defer_accept));
}

static int get_quickack(struct sock *sock, void *value, size_t *len)
{
	struct tcb room;
	const struct tcb *t = look(sock, &room);

	return give_int(value, len, !t || !t->pingpong);
}

static int get_congestion(struct sock *sock, void *value, size_t *len)
{
	char name[16] = "";
	const char *text = host_cc_name(cc_of(sock));

	memcpy(name, text, min_size(strlen(text), sizeof(name) - 1));
	return give(value, len, name, sizeof(name));
}

static int get_info(struct sock *sock, void *value, size_t *len)
{
	struct stack_tcb_info t;
	struct tcp_info info;

	stack_tcb_held(sock, sock->stack->now, &t);
	stack_tcp_info(&t, sock->stack->now, &info);
	return give(value, len, &info, sizeof(info));
}

/* Neither CUBIC nor New Reno has anything to tell there. */
static int get_cc_info(struct sock *sock, void *value, size_t *len)
{
	struct cc_bbr_info bbr;
	struct tcp_bbr_info out = {0};

	struct tcb room;
	const struct tcb *t = look(sock, &room);

	if (!t || !t->syn_acked || !t->cc_ops->info)
		return give(value, len, &out, 0);
	t->cc_ops->info(&t->cc, &bbr);
	out.bbr_bw_lo = (uint32_t)bbr.bw;
	out.bbr_bw_hi = (uint32_t)(bbr.bw >> 32);
	out.bbr_min_rtt = bbr.min_rtt;
	out.bbr_pacing_gain = bbr.pacing_gain;
	out.bbr_cwnd_gain = bbr.cwnd_gain;
	return give(value, len, &out, sizeof(out));
}

/* Our timestamp clock as the peer sees it. */
static int get_timestamp(struct sock *sock, void *value, size_t *len)
{
	struct tcb room;
	const struct tcb *t = look(sock, &room);
	uint32_t offset = t ? t->ts_offset : 0;

	return give_int(value, len, (int)ts_now(sock->stack, offset));
}

/* Keys that were set; those made from the seed are nobody's business. */
static int get_fastopen_key(struct sock *sock, void *value, size_t *len)
{
	const struct stack_fastopen_keys *keys = fastopen_keys(sock);

	return give(value, len, keys->key, keys->count * sizeof(keys->key[0]));
}

/* A value that fits in a byte may be asked for as one (ip(7)). */
static int give_small(void *value, size_t *len, int n)
{
	uint8_t byte = (uint8_t)n;

	if (*len > 0 && *len < sizeof(n) && n >= 0 && n <= UINT8_MAX)
		return give(value, len, &byte, sizeof(byte));
	return give_int(value, len, n);
}

static int get_ttl(struct sock *sock, void *value, size_t *len)
{
	uint8_t ttl = sock_options(sock)->ttl;

	return give_small(value, len, ttl ? ttl : sock->stack->cfg.ttl);
}

static int get_mtu(struct sock *sock, void *value, size_t *len)
{
	if (sock->pcb.rport == 0 || before_connection(sock))
		return -ENOTCONN;
	if (sock->pcb.kind == PCB_TCB)
		return give_small(value, len, tcb_of(sock)->mtu);
	const struct stack_addr peer = pcb_remote_addr(&sock->pcb);
	return give_small(value, len, path_mtu_of_datagrams(sock->stack, &peer));
}

/* ---- the table ---- */

struct option {
	int level, name;
	/* a field of struct sock_options: where, its size, and what one of the host's units is in ours */
	uint16_t offset;
	uint8_t size;
	bool flag;        /* anything but 0 is 1 */
	uint32_t unit;
	int least, most;  /* others are -EINVAL */
	void (*changed)(struct sock *sock); /* may be NULL */
	/* instead of the field; NULL: the option cannot be set, or got */
	int (*set)(struct sock *sock, const void *value, size_t len);
	int (*set_small)(struct sock *sock, int value); /* a byte will do */
	int (*get)(struct sock *sock, void *value, size_t *len);
};

#define FIELD(field) .offset = offsetof(struct sock_options, field), .size = sizeof(((struct sock_options *)0)->field)
#define NUMBER(field, first, last) FIELD(field), .unit = 1, .least = (first), .most = (last)
#define FLAG(field) FIELD(field), .unit = 1, .flag = true, .least = 0, .most = 1

static const struct option options[] = {
	{SOL_SOCKET, SO_REUSEADDR, FLAG(reuse_addr)},
	{SOL_SOCKET, SO_REUSEPORT, FLAG(reuse_port)},
	{SOL_SOCKET, SO_KEEPALIVE, FLAG(keepalive), .changed = keepalive_changed},
	{SOL_SOCKET, SO_BROADCAST, FLAG(broadcast), .changed = broadcast_changed},
	{SOL_SOCKET, SO_OOBINLINE, FLAG(oob_inline)},
	{SOL_SOCKET, SO_PRIORITY, NUMBER(priority, 0, 6), .set = set_priority},
	{SOL_SOCKET, SO_SNDBUF, .set = set_sndbuf, .get = get_sndbuf},
	{SOL_SOCKET, SO_RCVBUF, .set = set_rcvbuf, .get = get_rcvbuf},
	{SOL_SOCKET, SO_SNDLOWAT, .get = get_one},
	{SOL_SOCKET, SO_RCVLOWAT, NUMBER(recv_lowat, 0, INT_MAX), .set = set_rcvlowat},
	{SOL_SOCKET, SO_LINGER, .set = set_linger, .get = get_linger},
	{SOL_SOCKET, SO_MAX_PACING_RATE, .set = set_pacing, .get = get_pacing},
	{SOL_SOCKET, SO_ERROR, .get = get_error},
	{SOL_SOCKET, SO_TYPE, .get = get_type},
	{SOL_SOCKET, SO_PROTOCOL, .get = get_protocol},
	{SOL_SOCKET, SO_DOMAIN, .get = get_domain},
	{SOL_SOCKET, SO_ACCEPTCONN, .get = get_acceptconn},
	{SOL_SOCKET, SO_COOKIE, .get = get_cookie},
	{SOL_SOCKET, SO_MEMINFO, .get = get_meminfo},

	{IPPROTO_TCP, TCP_NODELAY, FLAG(nodelay), .changed = nodelay_changed},
	{IPPROTO_TCP, TCP_CORK, FLAG(cork), .changed = cork_changed},
	{IPPROTO_TCP, TCP_KEEPIDLE, FIELD(keepalive_idle_ms), .unit = 1000, .least = 1, .most = KEEPALIVE_MAX,
	 .changed = keepalive_changed},
	{IPPROTO_TCP, TCP_KEEPINTVL, FIELD(keepalive_interval_ms), .unit = 1000, .least = 1, .most = KEEPALIVE_MAX},
	{IPPROTO_TCP, TCP_KEEPCNT, NUMBER(keepalive_probes, 1, RETRIES_MAX)},
	{IPPROTO_TCP, TCP_SYNCNT, NUMBER(syn_retries, 1, RETRIES_MAX), .get = get_syncnt},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, NUMBER(user_timeout_ms, 0, INT_MAX)},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, NUMBER(notsent_lowat, INT_MIN, INT_MAX), .changed = writer_changed},
	{IPPROTO_TCP, TCP_INQ, NUMBER(inq, 0, 1)},
	{IPPROTO_TCP, TCP_MAXSEG, .set = set_maxseg, .get = get_maxseg},
	{IPPROTO_TCP, TCP_LINGER2, .set = set_linger2, .get = get_linger2},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, .set = set_defer_accept, .get = get_defer_accept},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, NUMBER(window_clamp, 0, INT_MAX), .set = set_window_clamp},
	{IPPROTO_TCP, TCP_QUICKACK, .set = set_quickack, .get = get_quickack},
	{IPPROTO_TCP, TCP_CONGESTION, .set = set_congestion, .get = get_congestion},
	{IPPROTO_TCP, TCP_INFO, .get = get_info},
	{IPPROTO_TCP, TCP_CC_INFO, .get = get_cc_info},
	{IPPROTO_TCP, TCP_TIMESTAMP, .get = get_timestamp},
	{IPPROTO_TCP, TCP_FASTOPEN, NUMBER(fastopen_limit, 0, INT_MAX), .set = set_fastopen},
	{IPPROTO_TCP, TCP_FASTOPEN_KEY, .set = set_fastopen_key, .get = get_fastopen_key},
	{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, NUMBER(fastopen_connect, 0, 1), .set = set_fastopen_connect},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, NUMBER(fastopen_no_cookie, 0, 1), .set = set_fastopen_no_cookie},

	{IPPROTO_UDP, UDP_SEGMENT, NUMBER(segment, 0, UINT16_MAX)},
	{IPPROTO_UDP, UDP_GRO, FLAG(merged)},

	{IPPROTO_IP, IP_TOS, NUMBER(tos, 0, UINT8_MAX), .set_small = set_tos},
	{IPPROTO_IP, IP_TTL, .set_small = set_ttl, .get = get_ttl},
	{IPPROTO_IP, IP_RECVTOS, FLAG(recv_tos)},
	{IPPROTO_IP, IP_RECVTTL, FLAG(recv_ttl)},
	{IPPROTO_IP, IP_PKTINFO, FLAG(packet_info)},
	{IPPROTO_IP, IP_RECVERR, FLAG(recv_err), .changed = recv_err_changed},
	{IPPROTO_IP, IP_FREEBIND, FLAG(freebind)},
	{IPPROTO_IP, IP_MTU_DISCOVER, NUMBER(mtu_discover, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT), .changed = path_changed},
	{IPPROTO_IP, IP_MTU, .get = get_mtu},
};

static const struct option *find(const struct sock *sock, int level, int name)
{
	if (level == IPPROTO_TCP && pcb_is_datagram(&sock->pcb))
		return NULL;
	if (level == IPPROTO_UDP && sock->pcb.kind != PCB_UDP)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].level == level && options[i].name == name)
			return &options[i];
	return NULL;
}

static void field_store(struct sock_options *o, const struct option *row, uint32_t v)
{
	uint8_t *at = (uint8_t *)o + row->offset;
	uint16_t v16 = (uint16_t)v;

	if (row->size == 1)
		*at = (uint8_t)v;
	else if (row->size == 2)
		memcpy(at, &v16, sizeof(v16));
	else
		memcpy(at, &v, sizeof(v));
}

static int field_load(const struct sock_options *o, const struct option *row)
{
	const uint8_t *at = (const uint8_t *)o + row->offset;
	uint16_t v16;
	uint32_t v;

	if (row->size == 1)
		return *at;
	if (row->size == 2) {
		memcpy(&v16, at, sizeof(v16));
		return v16;
	}
	memcpy(&v, at, sizeof(v));
	return (int)(v / row->unit);
}

/* Of level IPPROTO_IP a byte is enough, and nothing at all is 0. */
static int option_value(const struct option *row, const void *value, size_t len, int *out)
{
	*out = 0;
	if (len >= sizeof(*out) || row->level != IPPROTO_IP)
		return take_int(value, len, out);
	if (len > 0)
		*out = *(const uint8_t *)value;
	return 0;
}

static int set_field(struct sock *sock, const struct option *row, int n)
{
	if (row->flag)
		n = n != 0;
	if (n < row->least || n > row->most)
		return -EINVAL;
	field_store(sock->options, row, (uint32_t)n * row->unit);
	if (row->changed)
		row->changed(sock);
	return 0;
}

int stack_setsockopt(struct sock *sock, stack_time now, int level, int name, const void *value, size_t len)
{
	const struct option *row = find(sock, level, name);
	int n, error;

	stack_at(sock->stack, now);
	if (!row || (!row->set && !row->set_small && !row->size))
		return -ENOPROTOOPT;
	if (!own(sock))
		return -ENOMEM;
	if (row->set)
		return row->set(sock, value, len);
	error = option_value(row, value, len, &n);
	if (error)
		return error;
	return row->set_small ? row->set_small(sock, n) : set_field(sock, row, n);
}

int stack_getsockopt(struct sock *sock, stack_time now, int level, int name, void *value, size_t *len)
{
	const struct option *row = find(sock, level, name);
	int n;

	stack_at(sock->stack, now);
	if (!row || (!row->get && !row->size))
		return -ENOPROTOOPT;
	if (row->get)
		return row->get(sock, value, len);
	n = field_load(sock_options(sock), row);
	return level == IPPROTO_IP ? give_small(value, len, n) : give_int(value, len, n);
}

/* ---- ioctl ---- */

static uint32_t written(const struct tcb *t)
{
	return t->sndq.len + (t->fin_queued && !tcp_fin_acked(t) ? 1u : 0u);
}

int stack_ioctl(const struct sock *sock, unsigned long request, int *value)
{
	struct tcb room;
	const struct tcb *t = look(sock, &room);
	struct stack_sock_info info;

	if (request != SIOCINQ && request != SIOCATMARK && request != SIOCOUTQ && request != SIOCOUTQNSD)
		return -ENOTTY;
	if (sock->pcb.kind == PCB_LISTEN)
		return -EINVAL;
	stack_info(sock, &info);
	*value = 0;
	if (request == SIOCATMARK)
		*value = stack_at_mark(sock);
	else if (request == SIOCINQ)
		*value = (int)(t ? urgent_in_front(t) : info.recv_q);
	else if (t && t->syn_acked && request == SIOCOUTQ)
		*value = (int)written(t);
	else if (t && t->syn_acked && !t->detached)
		*value = (int)(written(t) - tcb_flight(t));
	return 0;
}
