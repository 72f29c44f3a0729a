/*
 * Congestion control over a bottleneck, as figures: what share of the path each algorithm takes
 * with and without loss, how even a paced flow is, and how two flows of BBR share.
 *
 *   test_rates          as TAP
 *   test_rates --all    every figure, without judging it
 */
#include "app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECOND UINT64_C(1000)
#define PERCENT 10000u /* of a million */
#define STEP_LIMIT 20000000u
#define HEADERS 52u    /* IP, TCP and timestamps: what a full segment carries beside its payload */
#define MTU 1500u

struct path {
	const char *cc;
	bool pacing;
	uint64_t bandwidth; /* bytes a second */
	uint64_t delay;     /* one way */
	uint32_t queue;     /* bytes */
	uint32_t loss;
	unsigned flows;
	uint64_t stagger;   /* the second starts that much later */
	uint64_t seconds;   /* what is sent would take so long at the full bandwidth */
	bool sack_off;
};

struct outcome {
	double share;       /* of what the path allows */
	double jain;
	double rtt;         /* mean of the smoothed RTT, in units of the path's */
	uint64_t retransmissions;
};

static struct run {
	struct sim sim;
	struct app app;
} run;

static void add_node(const struct path *p, bool sender)
{
	struct stack_config c;
	struct sim_node *node;

	stack_config_default(&c);
	c.probe = STACK_PROBE_OFF;
	c.link = STACK_LINK_IP;
	c.mtu = MTU;
	c.offload = STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
	c.send_buffer = c.recv_buffer = 4u << 20;
	c.pacing = p->pacing;
	c.sack = !p->sack_off;
	snprintf(c.congestion_control, sizeof(c.congestion_control), "%s", p->cc);
	node = sim_node_add(&run.sim, &c);
	node->link = (struct sim_link){.delay = p->delay};
	if (sender) {
		node->link.bandwidth = p->bandwidth;
		node->link.queue = p->queue;
		node->link.loss = p->loss;
	}
}

static void start(const struct path *p, uint64_t seed)
{
	sim_init(&run.sim, seed, false);
	app_init(&run.app, &run.sim);
	add_node(p, true);
	add_node(p, false);
	for (unsigned i = 0; i < p->flows; i++) {
		struct conn *c = app_conn(&run.app, &run.sim.node[0], &run.sim.node[1], run.sim.now + i * p->stagger);

		c->end[0].plan.total = (uint32_t)(p->bandwidth * p->seconds / p->flows * (p->flows > 1 ? 2 : 1));
		c->end[0].plan.write_max = 1u << 20;
		c->end[1].plan.read_max = 1u << 20;
		c->end[1].plan.take = TAKE_ALL;
	}
}

static uint64_t counter(const struct sim_node *node, const char *name)
{
	for (size_t i = 0; i < stack_counter_count(); i++)
		if (strcmp(stack_counter_name(i), name) == 0)
			return stack_counter(node->stack, i);
	return 0;
}

static double smoothed_rtt(struct sim_node *node)
{
	struct stack_tcb_info t;

	if (!run.app.conn[0].end[0].id || !stack_tcb(node->stack, run.sim.now, run.app.conn[0].end[0].id, &t))
		return 0;
	return (double)t.srtt;
}

/* Two flows: their shares from the second's start plus a settling time on, until one has all it was to send. */
static struct outcome play(const struct path *p, uint64_t seed)
{
	struct outcome o = {0};
	uint64_t began, from, got[2] = {0}, last[2] = {0}, samples = 0, next = 0;
	double ideal = (double)p->bandwidth * (MTU - HEADERS) / MTU * (1 - (double)p->loss / 1e6);

	start(p, seed);
	began = run.sim.now;
	from = began + (p->flows > 1 ? p->stagger + p->seconds * SIM_SECOND / 4 : 0);
	while (run.sim.steps < STEP_LIMIT && sim_step(&run.sim)) {
		bool over = false;

		for (unsigned i = 0; i < p->flows; i++) {
			last[i] = run.app.conn[i].end[1].received;
			if (run.sim.now < from)
				got[i] = last[i];
			over |= last[i] >= run.app.conn[i].end[0].plan.total;
		}
		if (run.sim.now >= next) {
			o.rtt += smoothed_rtt(&run.sim.node[0]);
			samples++;
			next = run.sim.now + 100 * MILLISECOND;
		}
		if (over || run.sim.now > from + 20 * p->seconds * SIM_SECOND)
			break;
	}
	double sum = 0, squares = 0, elapsed = (double)(run.sim.now - from) / SIM_SECOND;

	for (unsigned i = 0; i < p->flows; i++) {
		double rate = (double)(last[i] - got[i]) / elapsed;

		sum += rate;
		squares += rate * rate;
	}
	o.share = sum / ideal;
	o.jain = squares > 0 ? sum * sum / (p->flows * squares) : 0;
	o.rtt /= (double)(samples ? samples : 1) * 2 * (double)p->delay;
	o.retransmissions = counter(&run.sim.node[0], "tcp.retransmissions");
	if (run.sim.failed)
		printf("# %s\n", run.sim.failure);
	sim_done(&run.sim);
	return o;
}

static int print_all(void)
{
	static const char *const algorithms[] = {"newreno", "cubic", "bbr"};
	static const uint32_t losses[] = {0, 1 * PERCENT / 10, PERCENT, 5 * PERCENT};
	static const struct { uint64_t bandwidth, delay; uint32_t queue; } paths[] = {
		{1250000, 10 * MILLISECOND, 25000}, {12500000, 10 * MILLISECOND, 250000},
		{12500000, 10 * MILLISECOND, 25000}, {1250000, 100 * MILLISECOND, 250000},
		{12500000, 500, 60000},
	};

	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		for (unsigned j = 0; j < 4; j++)
			for (unsigned k = 0; k < 4; k++) {
				struct path p = {
					.cc = algorithms[k % 3], .pacing = k == 3, .bandwidth = paths[i].bandwidth,
					.delay = paths[i].delay, .queue = paths[i].queue, .loss = losses[j], .flows = 1, .seconds = 20,
				};
				struct outcome o;

				if (k == 3)
					p.cc = "cubic";
				o = play(&p, 1);
				printf("%4.0f Mbit/s %5.1f ms queue %6u loss %4.1f %%  %-8s%s share %.3f rtt %.2f again %" PRIu64 "\n",
				       (double)p.bandwidth * 8 / 1e6, 2 * (double)p.delay / 1000, p.queue, (double)p.loss / PERCENT,
				       p.cc, p.pacing ? " paced" : "      ", o.share, o.rtt, o.retransmissions);
				fflush(stdout);
			}
	for (unsigned seed = 0; seed < 4; seed++) {
		struct path p = {"bbr", false, 1250000, 10 * MILLISECOND, 50000, 0, 2, SIM_SECOND, 60, false};
		struct outcome o = play(&p, seed);

		printf("two flows of bbr: Jain %.3f share %.3f\n", o.jain, o.share);
	}
	return 0;
}

/* A figure that must lie between two bounds; each is well off what was measured when it was written. */
static const struct goal {
	const char *name;
	struct path path;
	double share_min, rtt_max, jain_min;
} goals[] = {
#define PATH(cc, pacing, megabit, ms, queue, loss, flows, stagger, seconds) \
	{cc, pacing, megabit * 125000, ms * MILLISECOND / 2, queue, loss, flows, stagger, seconds, false}
	{"newreno_fills_the_path", PATH("newreno", false, 10, 20, 25000, 0, 1, 0, 20), 0.97, 1.9, 0},
	{"cubic_fills_the_path", PATH("cubic", false, 10, 20, 25000, 0, 1, 0, 20), 0.97, 2.1, 0},
	{"bbr_fills_the_path", PATH("bbr", false, 10, 20, 25000, 0, 1, 0, 20), 0.94, 1.35, 0},
	{"bbr_fills_a_fast_path", PATH("bbr", false, 100, 20, 250000, 0, 1, 0, 20), 0.94, 1.2, 0},
	{"bbr_fills_a_long_path", PATH("bbr", false, 10, 200, 250000, 0, 1, 0, 20), 0.85, 1.25, 0},
	{"bbr_fills_a_short_path", PATH("bbr", false, 100, 1, 60000, 0, 1, 0, 20), 0.94, 4.0, 0},
	{"bbr_with_a_shallow_queue", PATH("bbr", false, 100, 20, 25000, 0, 1, 0, 20), 0.85, 1.2, 0},
	{"bbr_with_a_deep_queue_keeps_it_short", PATH("bbr", false, 10, 20, 1000000, 0, 1, 0, 20), 0.94, 1.6, 0},
	{"cubic_with_a_shallow_queue_paced", PATH("cubic", true, 100, 20, 25000, 0, 1, 0, 20), 0.85, 1.2, 0},
	{"newreno_loss_1_percent", PATH("newreno", false, 10, 20, 25000, PERCENT, 1, 0, 20), 0.55, 2, 0},
	{"cubic_loss_1_percent", PATH("cubic", false, 10, 20, 25000, PERCENT, 1, 0, 20), 0.62, 2, 0},
	{"bbr_loss_1_percent", PATH("bbr", false, 10, 20, 25000, PERCENT, 1, 0, 20), 0.85, 1.4, 0},
	{"bbr_loss_1_percent_fast", PATH("bbr", false, 100, 20, 250000, PERCENT, 1, 0, 20), 0.65, 1.4, 0},
	{"bbr_loss_1_percent_on_a_long_path", PATH("bbr", false, 20, 400, 1000000, PERCENT, 1, 0, 120), 0.65, 1.8, 0},
	{"bbr_loss_5_percent", PATH("bbr", false, 10, 20, 25000, 5 * PERCENT, 1, 0, 20), 0.40, 1.4, 0},
	{"cubic_loss_5_percent", PATH("cubic", false, 10, 20, 25000, 5 * PERCENT, 1, 0, 20), 0.20, 2, 0},
	{"two_flows_of_bbr_share", PATH("bbr", false, 10, 20, 50000, 0, 2, SIM_SECOND, 60), 0.94, 3, 0.95},
	{"two_flows_of_bbr_share_a_fast_path", PATH("bbr", false, 50, 20, 125000, 0, 2, SIM_SECOND, 40), 0.94, 3, 0.9},
#undef PATH
};
#define GOALS (sizeof(goals) / sizeof(goals[0]))

static bool judge(unsigned i)
{
	const struct goal *g = &goals[i];
	struct outcome o = play(&g->path, i);
	bool good = o.share >= g->share_min && o.rtt <= g->rtt_max && o.jain >= g->jain_min && !run.sim.failed;

	printf("%sok %u - %s\n# share %.3f (at least %.2f) RTT %.2f times the path's (at most %.2f)", good ? "" : "not ", i + 1,
	       g->name, o.share, g->share_min, o.rtt, g->rtt_max);
	if (g->path.flows > 1)
		printf(" Jain %.3f (at least %.2f)", o.jain, g->jain_min);
	putchar('\n');
	return good;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;

	if (argc > 1 && strcmp(argv[1], "--all") == 0)
		return print_all();
	printf("1..%zu\n", GOALS);
	for (unsigned i = 0; i < GOALS; i++)
		failed += !judge(i);
	return failed > 0;
}
