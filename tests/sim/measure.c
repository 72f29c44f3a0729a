/*
 * Two nodes with the configuration that bywayd has, and a link. Buffers begin at their first size
 * and grow, as they do in life: a figure falls when they lag behind.
 */
#include "measure.h"

#include "app.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MTU 1500
#define HEADERS 66    /* Ethernet, IP, TCP with timestamps */
#define PAYLOAD 1448
#define CHECK_EVERY 64
#define SEEDS 4       /* of a path that loses at random */
#define UNLIMITED UINT32_MAX
#define BURST 10
#define WARM_UP 200   /* segments before the burst: the round trip is known then */
#define GIVE_UP (1000000 * SIM_SECOND)

struct bed {
	struct sim sim;
	struct app app;
	/* repair: the segments of the burst, by their sequence numbers in order */
	const struct loss_pattern *pattern;
	uint32_t first_seq;   /* of the burst; valid when armed */
	uint64_t lost_at;     /* when the first was lost; 0: none yet */
	unsigned lost[BURST]; /* how often each */
	bool armed;
};

static struct bed bed;

static void bed_node(const char *cc)
{
	struct stack_config c;

	stack_config_default(&c);
	c.mtu = MTU;
	c.probe = STACK_PROBE_OFF;
	c.offload = STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
	snprintf(c.congestion_control, sizeof(c.congestion_control), "%s", cc);
	sim_node_add(&bed.sim, &c);
}

static void bed_up(const struct sim_link *link, const char *cc, uint64_t seed)
{
	memset(&bed, 0, sizeof(bed));
	sim_init(&bed.sim, seed, false);
	bed.sim.check_every = CHECK_EVERY;
	app_init(&bed.app, &bed.sim);
	bed_node(cc);
	bed_node(cc);
	bed.sim.node[0].link = bed.sim.node[1].link = *link;
}

static bool bed_down(const char *what)
{
	if (bed.sim.failed)
		printf("# %s: %s\n", what, bed.sim.failure);
	sim_done(&bed.sim);
	return !bed.sim.failed;
}

static struct conn *bed_conn(uint32_t total, uint64_t start)
{
	struct conn *c = app_conn(&bed.app, &bed.sim.node[0], &bed.sim.node[1], start);

	c->end[0].plan.total = total;
	c->end[0].plan.lend = c->end[1].plan.lend = true;
	c->end[0].plan.close = c->end[1].plan.close = CLOSE_NEVER;
	return c;
}

static void run_until(uint64_t at)
{
	while (bed.sim.now < at && sim_step(&bed.sim))
		;
}

/* ---- goodput ---- */

/* What was brought, and in which time, microseconds. */
struct run {
	double bytes;
	uint64_t time;
};

static void bed_goodput(const struct cell *cell, uint64_t seed)
{
	struct sim_link link = cell_link(cell, MTU);

	bed_up(&link, cell->cc, seed);
	bed_conn(UNLIMITED, bed.sim.now);
}

/* The same on every run, so slow start belongs to it: forty round trips and four thousand packets. */
static bool run_whole(const struct cell *cell, struct run *total)
{
	uint64_t trips = 40 * 2 * cell->delay, packets = 4000 * MTU * SIM_SECOND / cell->bandwidth;

	total->time = trips > packets ? trips : packets;
	bed_goodput(cell, 0);
	run_until(bed.sim.now + total->time);
	total->bytes = (double)bed.app.conn[0].end[1].received;
	return bed_down(cell->cc);
}

/* Until the count of bytes has come; false: it takes days. */
static bool run_bytes(double bytes)
{
	while ((double)bed.app.conn[0].end[1].received < bytes)
		if (bed.sim.now > GIVE_UP || !sim_step(&bed.sim)) {
			sim_fail(&bed.sim, "%.0f bytes take too long", bytes);
			return false;
		}
	return true;
}

/*
 * Where the path loses or reorders at random: what comes when slow start is over, for it ends by
 * chance; enough to meet forty losses at least.
 */
static bool run_settled(const struct cell *cell, uint64_t seed, struct run *total)
{
	double skip = 1000 * PAYLOAD, counted = (cell->loss > 0 && cell->loss < 10000 ? 10000 : 4000) * PAYLOAD;
	uint64_t start;

	bed_goodput(cell, seed);
	if (run_bytes(skip)) {
		start = bed.sim.now;
		run_bytes(skip + counted);
		total->time += bed.sim.now - start;
		total->bytes += counted;
	}
	return bed_down(cell->cc);
}

double measure_goodput(const struct cell *cell)
{
	struct run total = {0};
	bool random = cell->loss || cell->reorder, good = true;

	for (unsigned seed = 0; random && good && seed < SEEDS; seed++)
		good = run_settled(cell, seed, &total);
	if (!random)
		good = run_whole(cell, &total);
	return good ? total.bytes / ((double)total.time / SIM_SECOND) : 0;
}

/* RFC 9438 figure 5 for CUBIC, RFC 5348 3.1 (Padhye's) for Reno, which CUBIC is never below (RFC 9438 4.3). */
static double loss_limit(const struct cell *cell)
{
	double p = (double)cell->loss / 1e6, rtt = 2 * (double)cell->delay / SIM_SECOND;
	double rto = rtt + 0.2, timeouts = 3 * sqrt(3 * p / 8);
	double reno = 1 / (rtt * sqrt(2 * p / 3) + rto * (timeouts < 1 ? timeouts : 1) * p * (1 + 32 * p * p));
	double cubic = 1.054 * pow(rtt / p, 0.75) / rtt;

	return PAYLOAD * (strcmp(cell->cc, "newreno") == 0 || cubic < reno ? reno : cubic);
}

double measure_allowed(const struct cell *cell)
{
	double survives = 1 - (double)cell->loss / 1e6;
	double allowed = (double)cell->bandwidth * survives * PAYLOAD / (PAYLOAD + HEADERS);

	/* BBR does not take a loss for a reason to slow down */
	if (cell->loss == 0 || strcmp(cell->cc, "bbr") == 0)
		return allowed;
	return loss_limit(cell) < allowed ? loss_limit(cell) : allowed;
}

/* ---- repair ---- */

static bool lose(void *context, struct sim_node *from, const uint8_t *data, size_t len)
{
	const struct loss_pattern *p = bed.pattern;
	struct frame_tcp seg;
	unsigned i;

	(void)context;
	if (!p || from->index != 0 || !frame_tcp(from, data, len, &seg) || seg.len == 0)
		return false;
	if (!bed.armed) {
		bed.first_seq = seg.seq;
		bed.armed = true;
	}
	i = (seg.seq - bed.first_seq) / PAYLOAD;
	if (i < p->first || i >= p->first + p->count || bed.lost[i] >= (i == p->first ? p->times : 1))
		return false;
	bed.lost[i]++;
	if (bed.lost_at == 0)
		bed.lost_at = bed.sim.now;
	return true;
}

double measure_repair(const struct loss_pattern *pattern, uint64_t delay, const char *cc)
{
	uint64_t lost_at, done;
	struct conn *c;

	bed_up(&(struct sim_link){.delay = delay}, cc, 1);
	bed.sim.app.lose = lose;
	c = bed_conn(WARM_UP * PAYLOAD, bed.sim.now);
	run_until(bed.sim.now + 20 * delay + SIM_SECOND);
	bed.pattern = pattern;
	c->end[0].plan.total += BURST * PAYLOAD;
	while (c->end[1].received < c->end[0].plan.total && bed.sim.now < GIVE_UP && sim_step(&bed.sim))
		;
	if (c->end[1].received < c->end[0].plan.total)
		sim_fail(&bed.sim, "%s is never repaired", pattern->name);
	lost_at = bed.lost_at;
	done = bed.sim.now;
	if (!bed_down(cc))
		return 0;
	return lost_at ? (double)(done - lost_at) : 0;
}

/* ---- fairness ---- */

#define LATE 3      /* seconds: when the latecomer begins, */
#define LOOKED_AT 5 /* over how many its share is taken, */
#define SETTLED 40  /* from when on both count for Jain's index, */
#define OVER 100    /* and until when */

static double jain_of_two(double a, double b)
{
	return a + b > 0 ? (a + b) * (a + b) / (2 * (a * a + b * b)) : 0;
}

struct latecomer measure_latecomer(const char *cc)
{
	struct cell cell = {.delay = 10000, .bandwidth = 12500000, .quarters = 4, .cc = cc};
	struct sim_link link = cell_link(&cell, MTU);
	struct latecomer late = {.seconds = OVER};
	double got[2][OVER + 1] = {{0}};
	uint64_t start;

	bed_up(&link, cc, 1);
	start = bed.sim.now;
	bed_conn(UNLIMITED, start);
	bed_conn(UNLIMITED, start + LATE * SIM_SECOND);
	for (unsigned s = 1; s <= OVER; s++) {
		run_until(start + s * SIM_SECOND);
		for (unsigned i = 0; i < 2; i++)
			got[i][s] = (double)bed.app.conn[i].end[1].received;
		if (late.seconds == OVER && s >= LATE + LOOKED_AT &&
		    got[1][s] - got[1][s - LOOKED_AT] >= (got[0][s] - got[0][s - LOOKED_AT]) * 4 / 5)
			late.seconds = s - LATE;
	}
	late.jain = jain_of_two(got[0][OVER] - got[0][SETTLED], got[1][OVER] - got[1][SETTLED]);
	return bed_down(cc) ? late : (struct latecomer){0};
}

double measure_fairness(unsigned flows, const char *cc)
{
	struct cell cell = {.delay = 10000, .bandwidth = 2500000, .quarters = 4, .cc = cc};
	struct sim_link link = cell_link(&cell, MTU);
	uint64_t start, before[APP_CONNS];
	double sum = 0, squares = 0;

	bed_up(&link, cc, 1);
	start = bed.sim.now;
	for (unsigned i = 0; i < flows; i++)
		bed_conn(UNLIMITED, i + 1 < flows ? start : start + 10 * SIM_SECOND);
	run_until(start + 40 * SIM_SECOND);
	for (unsigned i = 0; i < flows; i++)
		before[i] = bed.app.conn[i].end[1].received;
	run_until(start + 120 * SIM_SECOND);
	for (unsigned i = 0; i < flows; i++) {
		double got = (double)(bed.app.conn[i].end[1].received - before[i]);

		sum += got;
		squares += got * got;
	}
	return bed_down(cc) && squares > 0 ? sum * sum / (flows * squares) : 0;
}
