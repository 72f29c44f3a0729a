/*
 * setsockopt and getsockopt, as far as the stack has them. What it lacks is refused with
 * ENOPROTOOPT, so that a script which needs it fails where it asks for it.
 */
#include "tests/packetdrill/world.h"

#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#define SECOND 1000000u

/* TCP options of the host that the stack knows, and what one of the host's units is in the stack's. */
static const struct {
	int level, name;
	enum stack_option option;
	unsigned unit;
} known[] = {
	{SOL_SOCKET, SO_KEEPALIVE, STACK_OPT_KEEPALIVE, 1},
	{SOL_SOCKET, SO_SNDBUF, STACK_OPT_SEND_BUFFER, 2}, /* as the host: twice what was asked for */
	{SOL_SOCKET, SO_RCVBUF, STACK_OPT_RECV_BUFFER, 2},
	{IPPROTO_TCP, TCP_NODELAY, STACK_OPT_NODELAY, 1},
	{IPPROTO_TCP, TCP_KEEPIDLE, STACK_OPT_KEEPALIVE_IDLE, SECOND},
	{IPPROTO_TCP, TCP_KEEPINTVL, STACK_OPT_KEEPALIVE_INTERVAL, SECOND},
	{IPPROTO_TCP, TCP_KEEPCNT, STACK_OPT_KEEPALIVE_PROBES, 1},
};

static int known_index(int level, int name)
{
	for (int i = 0; i < (int)(sizeof(known) / sizeof(known[0])); i++)
		if (known[i].level == level && known[i].name == name)
			return i;
	return -1;
}

void file_apply_wishes(struct file *f)
{
	for (unsigned i = 0; i <= STACK_OPT_BROADCAST; i++)
		if (f->wishes.set[i])
			stack_set_option(f->sock, (enum stack_option)i, f->wishes.value[i]);
}

static int set_known(struct file *f, int i, int value)
{
	if (value < 0)
		return -EINVAL;
	f->wishes.set[known[i].option] = true;
	f->wishes.value[known[i].option] = (uint64_t)value * known[i].unit;
	if (f->connecting || f->connected)
		return stack_set_option(f->sock, known[i].option, f->wishes.value[known[i].option]);
	return 0;
}

static int set_timeout(stack_time *timeout, const void *value, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, value, sizeof(tv));
	*timeout = (stack_time)tv.tv_sec * SECOND + (stack_time)tv.tv_usec;
	return 0;
}

static int set_linger(struct file *f, const void *value, socklen_t len)
{
	struct linger linger;

	if (len < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, value, sizeof(linger));
	f->reset_on_close = linger.l_onoff && linger.l_linger == 0;
	return 0;
}

int option_set(struct file *f, int level, int name, const void *value, socklen_t len)
{
	int i = known_index(level, name), number = 0;

	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(f, value, len);
	if (level == SOL_SOCKET && name == SO_RCVTIMEO)
		return set_timeout(&f->recv_timeout, value, len);
	if (level == SOL_SOCKET && name == SO_SNDTIMEO)
		return set_timeout(&f->send_timeout, value, len);
	if (len < sizeof(number))
		return -EINVAL;
	memcpy(&number, value, sizeof(number));
	if (i >= 0)
		return set_known(f, i, number);
	/* A new stack has no connection in TIME-WAIT that could be in the way. */
	if (level == SOL_SOCKET && name == SO_REUSEADDR)
		return 0;
	return -ENOPROTOOPT;
}

/* ---- getsockopt ---- */

static uint8_t host_state(enum tcp_state state)
{
	switch (state) {
	case TCP_ESTABLISHED: return 1;
	case TCP_SYN_SENT: return 2;
	case TCP_SYN_RECEIVED: return 3;
	case TCP_FIN_WAIT_1: return 4;
	case TCP_FIN_WAIT_2: return 5;
	case TCP_TIME_WAIT: return 6;
	case TCP_CLOSED: return 7;
	case TCP_CLOSE_WAIT: return 8;
	case TCP_LAST_ACK: return 9;
	case TCP_LISTEN: return 10;
	case TCP_CLOSING: return 11;
	}
	return 0;
}

/* TCP_CA_Open, _Recovery and _Loss. The stack has no word for Linux's Disorder and CWR. */
static uint8_t host_recovery(const char *name)
{
	if (!name || strcmp(name, "open") == 0)
		return 0;
	return strcmp(name, "loss") == 0 ? 4 : 3;
}

static uint32_t segments(uint64_t bytes, const struct stack_tcb_info *t)
{
	return t->mss_send ? (uint32_t)((bytes + t->mss_send - 1) / t->mss_send) : 0;
}

static void info_of_path(struct tcp_info *i, const struct stack_tcb_info *t)
{
	i->tcpi_rto = (uint32_t)t->rto;
	i->tcpi_rtt = (uint32_t)t->srtt;
	i->tcpi_rttvar = (uint32_t)t->rttvar;
	i->tcpi_min_rtt = (uint32_t)t->rtt_min;
	i->tcpi_snd_mss = t->mss_send;
	i->tcpi_advmss = t->mss_recv;
	i->tcpi_pmtu = t->mtu;
	i->tcpi_snd_cwnd = segments(t->cwnd, t);
	i->tcpi_snd_ssthresh = t->ssthresh >= 1u << 30 ? INT_MAX : segments(t->ssthresh, t);
	i->tcpi_snd_wnd = t->snd_wnd;
}

static void info_of_flow(struct tcp_info *i, const struct stack_tcb_info *t)
{
	uint32_t out = t->snd_nxt - t->snd_una;

	i->tcpi_unacked = segments(out, t);
	i->tcpi_sacked = segments(t->sacked, t);
	i->tcpi_lost = segments(t->lost, t);
	i->tcpi_retransmits = (uint8_t)t->retries;
	i->tcpi_backoff = (uint8_t)t->backoff;
	i->tcpi_total_retrans = (uint32_t)t->retransmissions;
	i->tcpi_bytes_acked = t->bytes_acked;
	i->tcpi_bytes_received = t->bytes_received;
	i->tcpi_bytes_sent = t->bytes_sent;
	i->tcpi_bytes_retrans = t->bytes_retransmitted;
	i->tcpi_segs_in = (uint32_t)t->segments_in;
	i->tcpi_segs_out = (uint32_t)t->segments_out;
	i->tcpi_rcv_ooopack = (uint32_t)t->ooo_in;
	i->tcpi_notsent_bytes = t->sock.send_q > out ? (uint32_t)(t->sock.send_q - out) : 0;
}

/* What the stack does not keep is 0; so is what the script's TCP_INFO has past ours. */
static int get_info(struct world *w, struct file *f, void *value, socklen_t len)
{
	struct tcp_info info = {0};
	struct stack_tcb_info t;

	if (!stack_tcb(w->stack, w->now, stack_id(f->sock), &t))
		return -EINVAL;
	info.tcpi_state = host_state(t.sock.state);
	info.tcpi_ca_state = host_recovery(t.recovery);
	info.tcpi_options = (uint8_t)((t.opt_timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (t.opt_sack ? TCPI_OPT_SACK : 0) |
				      (t.opt_window_scaling ? TCPI_OPT_WSCALE : 0));
	info.tcpi_snd_wscale = t.snd_scale & 15;
	info.tcpi_rcv_wscale = t.rcv_scale & 15;
	info_of_path(&info, &t);
	info_of_flow(&info, &t);
	memset(value, 0, len);
	memcpy(value, &info, len < sizeof(info) ? len : sizeof(info));
	return 0;
}

static int give_int(void *value, socklen_t *len, int number)
{
	if (*len > sizeof(number))
		*len = sizeof(number);
	memcpy(value, &number, *len);
	return 0;
}

static int get_known(struct world *w, struct file *f, int i, void *value, socklen_t *len)
{
	const struct stack_config *c = &w->config;
	uint64_t number = f->wishes.value[known[i].option];

	if (f->wishes.set[known[i].option])
		return give_int(value, len, (int)(number / (known[i].level == SOL_SOCKET ? 1 : known[i].unit)));
	switch (known[i].option) {
	case STACK_OPT_NODELAY: case STACK_OPT_KEEPALIVE: case STACK_OPT_BROADCAST: number = 0; break;
	case STACK_OPT_KEEPALIVE_IDLE: number = c->keepalive_idle / SECOND; break;
	case STACK_OPT_KEEPALIVE_INTERVAL: number = c->keepalive_interval / SECOND; break;
	case STACK_OPT_KEEPALIVE_PROBES: number = c->keepalive_probes; break;
	case STACK_OPT_SEND_BUFFER: number = c->send_buffer; break;
	case STACK_OPT_RECV_BUFFER: number = c->recv_buffer; break;
	}
	return give_int(value, len, (int)number);
}

/* Bytes queued and the limits; the host's other columns are about its own bookkeeping. */
static int get_meminfo(struct world *w, struct file *f, void *value, socklen_t *len)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	struct stack_tcb_info t;

	if (!stack_tcb(w->stack, w->now, stack_id(f->sock), &t))
		return -EINVAL;
	info[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)t.sock.recv_q;
	info[SK_MEMINFO_RCVBUF] = (uint32_t)t.recv_buffer;
	info[SK_MEMINFO_WMEM_QUEUED] = (uint32_t)t.sock.send_q;
	info[SK_MEMINFO_SNDBUF] = (uint32_t)t.send_buffer;
	if (*len > sizeof(info))
		*len = sizeof(info);
	memcpy(value, info, *len);
	return 0;
}

static int get_tcb(struct world *w, struct file *f, int name, void *value, socklen_t *len)
{
	struct stack_tcb_info t;

	if (!stack_tcb(w->stack, w->now, stack_id(f->sock), &t))
		return -EINVAL;
	if (name == TCP_MAXSEG)
		return give_int(value, len, t.mss_send);
	strncpy(value, strcmp(t.cc_name, "newreno") == 0 ? "reno" : t.cc_name, *len);
	return 0;
}

int option_get(struct world *w, struct file *f, int level, int name, void *value, socklen_t *len)
{
	int i = known_index(level, name), error = f->error;

	if (i >= 0)
		return get_known(w, f, i, value, len);
	if (level == SOL_SOCKET && name == SO_ERROR) {
		f->error = 0;
		return give_int(value, len, error);
	}
	if (level == IPPROTO_TCP && name == TCP_INFO)
		return get_info(w, f, value, *len);
	if (level == IPPROTO_TCP && name == TCP_CC_INFO)
		return (int)(*len = 0); /* as the host does for an algorithm that has nothing to tell */
	if (level == SOL_SOCKET && name == SO_MEMINFO)
		return get_meminfo(w, f, value, len);
	if (level == IPPROTO_TCP && (name == TCP_MAXSEG || name == TCP_CONGESTION))
		return get_tcb(w, f, name, value, len);
	return -ENOPROTOOPT;
}
