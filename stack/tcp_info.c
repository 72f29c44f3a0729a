/*
 * The host's struct tcp_info (tcp(7), TCP_INFO) of a control block: one place for getsockopt,
 * sock_diag and the tests. What counts in packets there is in full segments here.
 */
#include "stack.h"
#include "types.h"

#include <limits.h>
#include <linux/tcp.h>

#define REORDERING_FIRST 3 /* segments; net.ipv4.tcp_reordering at first */

/* tcpi_state: the host's numbers. */
static uint8_t host_state(enum tcp_state state)
{
	static const uint8_t number[TCP_STATE_COUNT] = {
		[TCP_ESTABLISHED] = 1, [TCP_SYN_SENT] = 2, [TCP_SYN_RECEIVED] = 3, [TCP_FIN_WAIT_1] = 4,
		[TCP_FIN_WAIT_2] = 5, [TCP_TIME_WAIT] = 6, [TCP_CLOSED] = 7, [TCP_CLOSE_WAIT] = 8,
		[TCP_LAST_ACK] = 9, [TCP_LISTEN] = 10, [TCP_CLOSING] = 11,
	};

	return number[state];
}

static uint32_t clamp32(uint64_t v)
{
	return (uint32_t)min_u64(v, UINT32_MAX);
}

static uint8_t clamp8(uint64_t v)
{
	return (uint8_t)min_u64(v, UINT8_MAX);
}

/* Full segments, the last of them perhaps not. */
static uint32_t segments(const struct stack_tcb_info *t, uint64_t bytes)
{
	return t->mss_send ? clamp32((bytes + t->mss_send - 1) / t->mss_send) : 0;
}

/* Milliseconds since; of what never was, since the beginning of the connection. */
static uint32_t since(const struct stack_tcb_info *t, stack_time now, stack_time at)
{
	return clamp32((now - (at ? at : t->created)) / 1000);
}

static uint8_t host_ca_state(const struct stack_tcb_info *t)
{
	if (t->recovery && strcmp(t->recovery, "fast-recovery") == 0)
		return TCP_CA_Recovery;
	if (t->recovery && strcmp(t->recovery, "loss") == 0)
		return TCP_CA_Loss;
	if (t->recovery && strcmp(t->recovery, "cwr") == 0)
		return TCP_CA_CWR;
	return t->dupacks || t->sacked ? TCP_CA_Disorder : TCP_CA_Open;
}

/* What was lost and is on its way again counts as lost on the host until it has arrived; a loss probe does not. */
static uint32_t lost_and_resent(const struct stack_tcb_info *t)
{
	uint8_t state = host_ca_state(t);

	return state == TCP_CA_Recovery || state == TCP_CA_Loss ? t->sent_again : 0;
}

static uint8_t host_options(const struct stack_tcb_info *t)
{
	return (uint8_t)((t->opt_timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (t->opt_sack ? TCPI_OPT_SACK : 0) |
			 (t->opt_window_scaling ? TCPI_OPT_WSCALE : 0) | (t->opt_ecn ? TCPI_OPT_ECN : 0) |
			 (t->syn_data ? TCPI_OPT_SYN_DATA : 0));
}

static void fill_sizes(const struct stack_tcb_info *t, struct tcp_info *out)
{
	out->tcpi_snd_wscale = t->snd_scale & 15u;
	out->tcpi_rcv_wscale = t->rcv_scale & 15u;
	out->tcpi_snd_mss = t->mss_send;
	out->tcpi_rcv_mss = t->mss_seen;
	out->tcpi_advmss = t->mss_recv;
	out->tcpi_pmtu = t->mtu;
	out->tcpi_snd_wnd = t->snd_wnd;
	out->tcpi_rcv_ssthresh = t->window_clamp ? min_u32(t->window_clamp, t->rcv_wnd) : t->rcv_wnd;
	out->tcpi_rcv_space = t->rcv_wnd;
	out->tcpi_snd_cwnd = t->mss_send ? t->cwnd / t->mss_send : 0;
	out->tcpi_snd_ssthresh = t->mss_send && t->ssthresh < INT_MAX ? t->ssthresh / t->mss_send : INT_MAX;
	out->tcpi_pacing_rate = t->pacing_rate ? t->pacing_rate : UINT64_MAX;
	out->tcpi_max_pacing_rate = t->pacing_limit;
}

static void fill_flight(const struct stack_tcb_info *t, struct tcp_info *out)
{
	uint32_t flight = t->snd_nxt - t->snd_una;

	out->tcpi_ca_state = host_ca_state(t);
	out->tcpi_retransmits = clamp8(t->retries);
	out->tcpi_probes = clamp8(t->probes);
	out->tcpi_backoff = clamp8(t->backoff);
	out->tcpi_unacked = segments(t, flight);
	out->tcpi_sacked = segments(t, t->sacked);
	out->tcpi_lost = segments(t, t->lost + lost_and_resent(t));
	out->tcpi_retrans = segments(t, t->sent_again);
	out->tcpi_reordering = max_u32(t->reorder_degree, REORDERING_FIRST);
	out->tcpi_notsent_bytes = clamp32(t->sock.send_q > flight ? t->sock.send_q - flight : 0);
}

static void fill_times(const struct stack_tcb_info *t, stack_time now, struct tcp_info *out)
{
	out->tcpi_rto = clamp32(t->rto);
	out->tcpi_ato = t->ato;
	out->tcpi_rtt = clamp32(t->srtt);
	out->tcpi_rttvar = clamp32(t->rttvar);
	out->tcpi_min_rtt = clamp32(t->rtt_min);
	out->tcpi_last_data_sent = since(t, now, t->last_data_sent);
	out->tcpi_last_data_recv = since(t, now, t->last_data_received);
	out->tcpi_last_ack_recv = since(t, now, t->last_ack_received);
	out->tcpi_busy_time = t->busy;
	out->tcpi_rwnd_limited = t->window_limited;
	out->tcpi_sndbuf_limited = t->buffer_limited;
}

static void fill_counters(const struct stack_tcb_info *t, struct tcp_info *out)
{
	out->tcpi_total_retrans = clamp32(t->retransmissions);
	out->tcpi_bytes_acked = t->bytes_acked;
	out->tcpi_bytes_received = t->bytes_received;
	out->tcpi_bytes_sent = t->bytes_sent + t->bytes_retransmitted;
	out->tcpi_bytes_retrans = t->bytes_retransmitted;
	out->tcpi_segs_in = clamp32(t->segments_in);
	out->tcpi_segs_out = clamp32(t->segments_out);
	out->tcpi_data_segs_in = t->data_segments_in;
	out->tcpi_data_segs_out = t->data_segments_out;
	out->tcpi_delivered = t->delivered;
	out->tcpi_delivered_ce = t->delivered_ce;
	out->tcpi_delivery_rate = t->delivery_rate;
	out->tcpi_delivery_rate_app_limited = t->delivery_limited;
	out->tcpi_dsack_dups = t->dsacks_in;
	out->tcpi_reord_seen = t->reorder_seen;
	out->tcpi_rcv_ooopack = clamp32(t->ooo_in);
}

void stack_tcp_info(const struct stack_tcb_info *t, stack_time now, struct tcp_info *out)
{
	*out = (struct tcp_info){.tcpi_state = host_state(t->sock.state)};
	out->tcpi_max_pacing_rate = UINT64_MAX;
	if (t->sock.state == TCP_LISTEN) { /* the accept queue's length and limit */
		out->tcpi_unacked = clamp32(t->sock.recv_q);
		out->tcpi_sacked = clamp32(t->sock.send_q);
		out->tcpi_reordering = REORDERING_FIRST;
		return;
	}
	out->tcpi_options = host_options(t);
	out->tcpi_fastopen_client_fail = t->fastopen_failure & 3u;
	fill_sizes(t, out);
	fill_flight(t, out);
	fill_times(t, now, out);
	fill_counters(t, out);
}
