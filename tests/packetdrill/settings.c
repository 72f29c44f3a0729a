/*
 * What a script sets about the stack, under the names that the host's sysctls have: the public
 * scripts call `sysctl`, and a stand-in for it writes them to a file; our own scripts name them
 * in `--so_flags`.
 */
#include "tests/packetdrill/world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000u

static unsigned long number(const char *text)
{
	return strtoul(text, NULL, 0);
}

/* "4096 540000 15728640": the least, the first and the largest size. A single one is fixed. */
static void set_sizes(const char *text, uint32_t *first, uint32_t *max)
{
	const char *space = strchr(text, ' '), *last = strrchr(text, ' ');

	*first = (uint32_t)number(space ? space + 1 : text);
	*max = last != space ? (uint32_t)number(last + 1) : 0;
}

static void set_timestamps(struct stack_config *c, const char *v) { c->timestamps = number(v) != 0; }
static void set_sack(struct stack_config *c, const char *v) { c->sack = number(v) != 0; }
static void set_scaling(struct stack_config *c, const char *v) { c->window_scaling = number(v) != 0; }
static void set_rmem(struct stack_config *c, const char *v) { set_sizes(v, &c->recv_buffer, &c->recv_buffer_max); }
static void set_wmem(struct stack_config *c, const char *v) { set_sizes(v, &c->send_buffer, &c->send_buffer_max); }
static void set_syn(struct stack_config *c, const char *v) { c->syn_retries = (uint8_t)number(v); }
static void set_synack(struct stack_config *c, const char *v) { c->synack_retries = (uint8_t)number(v); }
static void set_data(struct stack_config *c, const char *v) { c->data_retries = (uint8_t)number(v); }
static void set_orphan(struct stack_config *c, const char *v) { c->orphan_retries = (uint8_t)number(v); }
static void set_fin(struct stack_config *c, const char *v) { c->fin_wait_2 = number(v) * SECOND; }
static void set_ka_time(struct stack_config *c, const char *v) { c->keepalive_idle = number(v) * SECOND; }
static void set_ka_interval(struct stack_config *c, const char *v) { c->keepalive_interval = number(v) * SECOND; }
static void set_ka_probes(struct stack_config *c, const char *v) { c->keepalive_probes = (uint8_t)number(v); }
static void set_quick(struct stack_config *c, const char *v) { c->quick_acks = (uint8_t)number(v); }
static void set_notsent_lowat(struct stack_config *c, const char *v) { c->notsent_lowat = (uint32_t)number(v); }
static void set_frame(struct stack_config *c, const char *v) { c->frame_segments = (uint8_t)number(v); }
static void set_slow_start_limit(struct stack_config *c, const char *v) { c->slow_start_limit = (uint8_t)number(v); }
static void set_probe_ack_delay(struct stack_config *c, const char *v) { c->probe_ack_delay = number(v) * 1000; }
static void set_rto_margin(struct stack_config *c, const char *v) { c->rto_margin = number(v) * 1000; }
static void set_mtu(struct stack_config *c, const char *v) { c->mtu = (uint16_t)number(v); }

static void set_mtu_probing(struct stack_config *c, const char *v)
{
	static const enum stack_mtu_probing modes[] = {STACK_MTU_PROBE_OFF, STACK_MTU_PROBE_BLACK_HOLE, STACK_MTU_PROBE_ALWAYS};

	if (number(v) < sizeof(modes) / sizeof(modes[0]))
		c->mtu_probing = modes[number(v)];
}

static void set_tso(struct stack_config *c, const char *v)
{
	c->offload = number(v) ? STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4 : 0;
}

static void set_ecn(struct stack_config *c, const char *v)
{
	static const enum stack_ecn modes[] = {STACK_ECN_OFF, STACK_ECN_ASK, STACK_ECN_ACCEPT};

	if (number(v) < sizeof(modes) / sizeof(modes[0]))
		c->ecn = modes[number(v)];
}

static void set_fastopen(struct stack_config *c, const char *v) { c->fastopen = (unsigned)number(v); }
static void set_fastopen_pause(struct stack_config *c, const char *v) { c->fastopen_pause = number(v) * SECOND; }

/* Four numbers of 32 bits, each stored with its low byte first, as the host has it. */
static void set_fastopen_key(struct stack_config *c, const char *v)
{
	unsigned part[4];

	if (sscanf(v, "%8x-%8x-%8x-%8x", &part[0], &part[1], &part[2], &part[3]) != 4)
		return;
	for (unsigned i = 0; i < 16; i++)
		c->fastopen_keys.key[0][i] = (uint8_t)(part[i / 4] >> (8 * (i % 4)));
	c->fastopen_keys.count = 1;
}

static void set_congestion(struct stack_config *c, const char *v)
{
	const char *name = strcmp(v, "reno") == 0 ? "newreno" : v;

	if (stack_congestion_control_known(name))
		snprintf(c->congestion_control, sizeof(c->congestion_control), "%s", name);
}

static const struct {
	const char *name;
	void (*set)(struct stack_config *config, const char *value);
} table[] = {
	{"tcp_timestamps", set_timestamps},
	{"tcp_sack", set_sack},
	{"tcp_window_scaling", set_scaling},
	{"tcp_rmem", set_rmem},
	{"tcp_wmem", set_wmem},
	{"tcp_syn_retries", set_syn},
	{"tcp_synack_retries", set_synack},
	{"tcp_retries2", set_data},
	{"tcp_orphan_retries", set_orphan},
	{"tcp_fin_timeout", set_fin},
	{"tcp_keepalive_time", set_ka_time},
	{"tcp_keepalive_intvl", set_ka_interval},
	{"tcp_keepalive_probes", set_ka_probes},
	{"tcp_ecn", set_ecn},
	{"tcp_mtu_probing", set_mtu_probing},
	{"tcp_congestion_control", set_congestion},
	{"quick_acks", set_quick},
	{"tcp_notsent_lowat", set_notsent_lowat},
	{"slow_start_limit", set_slow_start_limit},
	{"probe_ack_delay", set_probe_ack_delay},
	{"rto_margin", set_rto_margin},
	{"tcp_fastopen", set_fastopen},
	{"tcp_fastopen_key", set_fastopen_key},
	{"tcp_fastopen_blackhole_timeout_sec", set_fastopen_pause},
	{"tcp_min_tso_segs", set_frame},
	{"mtu", set_mtu},
	{"tso", set_tso},
};

static bool apply(struct world *w, const char *name, const char *value)
{
	struct in_addr address;

	if (strcmp(name, "address") == 0 && inet_pton(AF_INET, value, &address) == 1) {
		w->address = stack_addr_v4(&address);
		return true;
	}
	if (strcmp(name, "gso_size") == 0) {
		w->gso_size = (uint16_t)number(value);
		return true;
	}
	if (strcmp(name, "tcp_metrics") == 0) {
		if (w->stack)
			stack_fastopen_forget(w->stack);
		return true;
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(name, table[i].name) == 0) {
			table[i].set(&w->config, value);
			return true;
		}
	return false;
}

bool settings_apply(struct world *w, const char *text)
{
	char *copy = strdup(text ? text : ""), *rest = copy, *line;
	bool known = true;

	while (rest && (line = strsep(&rest, ",\n"))) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		known = apply(w, line, value) && known;
	}
	free(copy);
	return known;
}
