/*
 * Two or more stacks on a simulated network.
 *
 *   test_sim [SEEDS [FIRST]]   random scenarios, one a seed
 *   test_sim --trace SEED      one of them, each packet on a line
 *   test_sim --grid [SEEDS [FIRST]]   conversations in the cells of the grid, in turn (cell.h)
 *   test_sim --grid-trace SEED        one of those
 *   test_sim --scenarios       the named scenarios, as TAP
 *   test_sim --scenario NAME [SEED]   one of those, with trace
 *
 * A run passes when each byte arrived once and in order, both ends closed in order, every check
 * of stack_check and of the wire held at each step, all memory is back, and all that in bounded
 * time.
 */
#include "app.h"
#include "cell.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECOND UINT64_C(1000)
#define PERCENT 10000u /* of a million */
#define TIME_LIMIT (6 * 3600 * SIM_SECOND)
#define DRAIN_LIMIT (2 * 3600 * SIM_SECOND)
#define UDP_MAX 65507u
#define STEP_LIMIT 3000000u

struct run {
	struct sim sim;
	struct app app;
};

/* ---- nodes ---- */

static void config_clean(struct stack_config *c)
{
	stack_config_default(c);
	c->probe = STACK_PROBE_OFF;
	c->half_open_max = 32;
	c->time_wait = 10 * SIM_SECOND;
	c->send_buffer = c->recv_buffer = 64 << 10;
	c->send_buffer_max = c->recv_buffer_max = 0; /* they do not grow */
	c->syn_retries = c->synack_retries = 12;
	c->data_retries = c->orphan_retries = 30;
	c->fastopen = STACK_FASTOPEN_CLIENT | STACK_FASTOPEN_SERVER | STACK_FASTOPEN_ALL_LISTENERS;
	c->fastopen_pause = SIM_SECOND;
}

static bool toss(struct sim *sim)
{
	return sim_below(sim, 2);
}

/* All magnitudes alike. */
static uint32_t log_between(struct sim *sim, uint32_t low, uint32_t high)
{
	unsigned steps = 0;

	while (low << steps < high)
		steps++;
	steps = sim_below(sim, steps + 1);
	return sim_between(sim, low << steps >> 1 > low ? low << steps >> 1 : low, low << steps < high ? low << steps : high);
}

static void config_random(struct sim *sim, struct stack_config *c, enum stack_link_type link, uint16_t mtu)
{
	static const unsigned offloads[] = {0, STACK_OFFLOAD_CSUM, STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4};

	config_clean(c);
	snprintf(c->congestion_control, sizeof(c->congestion_control), "%s",
		 cell_congestion_control((unsigned)(sim->seed % cell_congestion_controls())));
	c->pacing = sim_below(sim, 4) == 0;
	c->link = link;
	c->mtu = mtu;
	c->offload = offloads[sim_below(sim, 3)];
	c->probe = toss(sim) ? STACK_PROBE_OFF : STACK_PROBE_OPTIMISTIC;
	c->send_buffer = log_between(sim, 2048, 512 << 10);
	c->recv_buffer = log_between(sim, 2048, 512 << 10);
	c->send_buffer_max = toss(sim) ? 0 : log_between(sim, 16384, 4 << 20);
	c->recv_buffer_max = toss(sim) ? 0 : log_between(sim, 16384, 4 << 20);
	c->mtu_probing = (enum stack_mtu_probing)sim_below(sim, 3);
	c->time_wait = sim_between(sim, 1, 60) * SIM_SECOND;
	c->delayed_ack = sim_between(sim, 1, 200) * MILLISECOND;
	c->rto_min = sim_between(sim, 10, 1000) * MILLISECOND;
	c->rto_max = 60 * SIM_SECOND;
	c->rest_after = log_between(sim, 1, 2000000);
	c->timestamps = sim_below(sim, 3) > 0;
	c->window_scaling = sim_below(sim, 3) > 0;
}

/* What every node holds for good: the pool of half-open entries comes with the first listener. */
static struct sim_node *node_ready(struct sim_node *node)
{
	struct sock *sock = stack_socket(node->stack, STACK_TCP, 0, NULL);
	struct stack_endpoint local = {.port = 1};

	if (!sock || stack_bind(sock, &local) != 0 || stack_listen(&sock, 1) != 0)
		sim_fail(node->sim, "cannot listen on an idle stack");
	else
		stack_close(sock, node->sim->now);
	sim_baseline(node);
	return node;
}

static struct sim_node *add_node(struct run *run, struct stack_config *cfg)
{
	struct sim_node *node = sim_node_add(&run->sim, cfg);

	return run->sim.failed ? node : node_ready(node);
}

/* ---- links ---- */

static void link_random(struct sim *sim, struct sim_link *l, bool rough)
{
	*l = (struct sim_link){.delay = log_between(sim, 10, 200000), .coalesce = toss(sim) ? 0 : log_between(sim, 10, 5000)};
	if (toss(sim))
		l->bandwidth = log_between(sim, 5000, 100000000);
	if (l->bandwidth)
		l->queue = log_between(sim, 10000, 1000000);
	if (!rough) {
		l->pass_whole = sim_below(sim, 3) * 40 * PERCENT;
		return;
	}
	l->jitter = toss(sim) ? 0 : log_between(sim, 10, 100000);
	l->reorder = toss(sim);
	l->loss = toss(sim) ? 0 : log_between(sim, 1000, 20 * PERCENT);
	l->duplicate = toss(sim) ? 0 : log_between(sim, 1000, 20 * PERCENT);
	l->corrupt = toss(sim) ? 0 : log_between(sim, 1000, 10 * PERCENT);
	l->mtu = sim_below(sim, 6) == 0 ? sim_between(sim, 576, 2000) : 0;
}

static void link_all(struct run *run, const struct sim_link *l)
{
	for (unsigned i = 0; i < run->sim.node_count; i++)
		run->sim.node[i].link = *l;
}

/* What the ends of a connection are going to do. */
static void trace_plan(struct run *run, const struct conn *c)
{
	static const char *const closes[] = {"when sent", "after peer", "and forget", "abort", "unread", "killed", "never"};
	static const char *const takes[] = {"all", "some", "nothing"};

	for (unsigned i = 0; i < 2; i++) {
		const struct end_plan *p = &c->end[i].plan;

		sim_trace(&run->sim, "%u .%u %s: %u bytes, writes %u every %" PRIu64 ", reads %u every %" PRIu64
			  ", takes %s, closes %s at %u%s%s%s%s", c->port, c->end[i].node->index + 1, i ? "server" : "client",
			  p->total, p->write_max, p->write_gap, p->read_max, p->read_gap, takes[p->take], closes[p->close],
			  p->close_at, p->shut_at ? " later" : "", p->lend ? " lend" : "",
			  c->simultaneous ? " simultaneous" : "", c->may_fail ? " may fail" : "");
	}
}

/* ---- running ---- */

static bool leaks(struct run *run)
{
	for (unsigned i = 0; i < run->sim.node_count; i++)
		if (sim_leak(&run->sim.node[i]))
			return true;
	return false;
}

static bool within_limits(struct run *run, uint64_t until, const char *what)
{
	if (run->sim.now > until || run->sim.steps > STEP_LIMIT)
		sim_fail(&run->sim, "%s after %.0f s and %" PRIu64 " steps", what, (double)run->sim.now / SIM_SECOND,
			 run->sim.steps);
	return !run->sim.failed;
}

static void report_unfinished(struct run *run)
{
	for (unsigned i = 0; i < run->app.conn_count; i++)
		for (unsigned j = 0; j < 2; j++) {
			struct end *e = &run->app.conn[i].end[j];

			if (!e->done)
				sim_fail(&run->sim, "%s %u never ends (%s), sent %" PRIu64 "/%u received %" PRIu64,
					 j ? "server" : "client", run->app.conn[i].port,
					 stack_tcp_state_name(end_state(e)), e->sent, e->plan.total, e->received);
		}
}

/* Until every end has finished. */
static void run_connections(struct run *run)
{
	uint64_t until = run->sim.now + TIME_LIMIT;

	while (!app_finished(&run->app) && within_limits(run, until, "not finished")) {
		if (!sim_step(&run->sim)) {
			report_unfinished(run);
			return;
		}
		if (run->app.hook)
			run->app.hook(&run->app);
	}
}

/* Until TIME-WAIT and orphans are over and all memory is back. */
static void run_drain(struct run *run)
{
	uint64_t until = run->sim.now + DRAIN_LIMIT;

	if (run->sim.failed)
		return;
	app_close_listeners(&run->app);
	while ((leaks(run) || run->sim.heap_count > 0) && within_limits(run, until, "memory is not back"))
		if (!sim_step(&run->sim))
			break;
	for (unsigned i = 0; i < run->sim.node_count && !run->sim.failed; i++)
		if (sim_leak(&run->sim.node[i]))
			sim_fail(&run->sim, "node %u does not give back memory: %s", i + 1, sim_leak(&run->sim.node[i]));
}

static void run_to_end(struct run *run)
{
	for (unsigned i = 0; i < run->app.conn_count; i++)
		trace_plan(run, &run->app.conn[i]);
	run_connections(run);
	if (!run->sim.failed)
		app_verify(&run->app);
	run_drain(run);
}

/* ---- random scenarios ---- */

static void plan_random(struct sim *sim, struct end_plan *p, uint32_t most)
{
	p->total = sim_below(sim, 4) == 0 ? 0 : log_between(sim, 1, most);
	p->write_max = log_between(sim, 1, 131072);
	p->read_max = log_between(sim, 1, 65536);
	p->take = (enum app_take)sim_below(sim, 3);
	p->close = (enum app_close)sim_below(sim, 3);
	p->nodelay = toss(sim);
	p->lend = toss(sim);
	/* many tiny pieces take long without telling more */
	while (p->total / p->write_max > 2000)
		p->total /= 2;
	if (sim_below(sim, 3) == 0 && p->total / p->write_max < 300)
		p->write_gap = log_between(sim, 10, 500000);
}

/* The reader's pace depends on what the other end sends. */
static void plan_reader(struct sim *sim, struct end_plan *p, const struct end_plan *peer)
{
	while (peer->total / p->read_max > 2000)
		p->read_max *= 2;
	if (sim_below(sim, 4) == 0 && peer->total / p->read_max < 100)
		p->read_gap = log_between(sim, 1000, 2000000);
}

/* Memory may run out: an error is no fault then, and a peer that lost its own is noticed. */
static void conn_may_fail(struct conn *c)
{
	c->may_fail = true;
	c->end[0].plan.keepalive = c->end[1].plan.keepalive = 20 * SIM_SECOND;
}

static void plan_breakage(struct sim *sim, struct conn *c)
{
	struct end *e = &c->end[sim_below(sim, 2)], *other = &c->end[e == &c->end[0]];

	e->plan.close = (enum app_close)sim_between(sim, CLOSE_ABORT, CLOSE_KILLED);
	e->plan.close_at = sim_below(sim, e->plan.total + other->plan.total + 1) / 2;
	if (e->plan.close_at > e->plan.total && e->plan.close_at > other->plan.total)
		e->plan.close_at = 0;
	conn_may_fail(c);
}

static void conn_random(struct run *run, uint32_t most)
{
	struct sim *sim = &run->sim;
	struct sim_node *from = &sim->node[sim_below(sim, sim->node_count)], *to = &sim->node[sim_below(sim, sim->node_count)];
	struct conn *c;

	if (from == to && sim_below(sim, 4) > 0)
		to = &sim->node[(from->index + 1) % sim->node_count];
	c = app_conn(&run->app, from, to, sim->now + (toss(sim) ? 0 : log_between(sim, 1, 5000000)));
	c->backlog = 1 + sim_below(sim, 4);
	for (unsigned i = 0; i < 2; i++)
		plan_random(sim, &c->end[i].plan, most);
	for (unsigned i = 0; i < 2; i++)
		plan_reader(sim, &c->end[i].plan, &c->end[!i].plan);
	if (c->end[0].plan.close == CLOSE_AFTER_PEER && c->end[1].plan.close == CLOSE_AFTER_PEER)
		c->end[sim_below(sim, 2)].plan.close = CLOSE_WHEN_SENT;
	if (from != to && sim_below(sim, 10) == 0)
		c->simultaneous = true;
	if (sim_below(sim, 10) == 0)
		c->end[0].plan.shut_at = c->end[1].plan.shut_at = c->start + log_between(sim, 1000, 10000000);
	if (sim_below(sim, 12) == 0)
		plan_breakage(sim, c);
}

static void udp_random(struct run *run, uint16_t mtu)
{
	struct sim *sim = &run->sim;
	struct sim_node *from = &sim->node[sim_below(sim, 2)];

	app_datagrams(&run->app, from, &sim->node[!from->index], sim_between(sim, 1, 60),
		      toss(sim) && mtu < UDP_MAX ? mtu : log_between(sim, 100, 8000));
	run->app.udp.direct = toss(sim);
	for (unsigned i = 0; i < sim->node_count; i++)
		run->app.udp.may_repeat |= sim->node[i].link.duplicate > 0;
}

static void scenario_random(struct run *run)
{
	static const uint16_t mtus[] = {296, 576, 1280, 1500, 1500, 1500, 9000, 65535};
	struct sim *sim = &run->sim;
	enum stack_link_type link = toss(sim) ? STACK_LINK_ETHERNET : STACK_LINK_IP;
	uint16_t mtu = mtus[sim_below(sim, 8)];
	unsigned nodes = sim_below(sim, 4) == 0 ? 3 : 2, conns = log_between(sim, 1, 8);
	bool rough = sim_below(sim, 3) > 0, short_of_memory = sim_below(sim, 12) == 0;

	for (unsigned i = 0; i < nodes && !sim->failed; i++) {
		struct stack_config cfg;
		struct sim_node *node;

		config_random(sim, &cfg, link, mtu);
		if (short_of_memory)
			cfg.mem_total = log_between(sim, 20000, 200000);
		node = add_node(run, &cfg);
		link_random(sim, &node->link, rough);
		if (cfg.mtu_probing == STACK_MTU_PROBE_OFF)
			node->link.mtu = 0;
		node->late = toss(sim) ? 0 : log_between(sim, 100, 20000);
	}
	for (unsigned i = 0; i < conns && !sim->failed; i++)
		conn_random(run, (rough ? 150000 : 500000) / conns);
	for (unsigned i = 0; i < conns && short_of_memory && !sim->failed; i++)
		conn_may_fail(&run->app.conn[i]);
	if (!sim->failed && sim_below(sim, 4) == 0)
		udp_random(run, mtu);
	run_to_end(run);
}

/* The seed chooses the cell, so that each is visited; chance decides everything else. */
static void scenario_cell(struct run *run)
{
	static const uint16_t mtus[] = {576, 1500, 1500, 9000};
	struct sim *sim = &run->sim;
	struct cell cell = cell_get((unsigned)(sim->seed % cell_count()));
	enum stack_link_type link = toss(sim) ? STACK_LINK_ETHERNET : STACK_LINK_IP;
	uint16_t mtu = mtus[sim_below(sim, 4)];
	unsigned conns = sim_between(sim, 1, 3);
	char name[100];

	cell_name(&cell, name, sizeof(name));
	sim_trace(sim, "%s", name);
	for (unsigned i = 0; i < 2 && !sim->failed; i++) {
		struct stack_config cfg;
		struct sim_node *node;

		config_random(sim, &cfg, link, mtu);
		snprintf(cfg.congestion_control, sizeof(cfg.congestion_control), "%s", cell.cc);
		node = add_node(run, &cfg);
		node->link = cell_link(&cell, mtu);
		node->late = toss(sim) ? 0 : log_between(sim, 100, 20000);
	}
	for (unsigned i = 0; i < conns && !sim->failed; i++)
		conn_random(run, 1000000 / conns);
	run_to_end(run);
}

/* ---- named scenarios ---- */

static void two_nodes(struct run *run, uint16_t mtu)
{
	for (unsigned i = 0; i < 2; i++) {
		struct stack_config cfg;

		config_clean(&cfg);
		cfg.mtu = mtu;
		cfg.link = run->sim.seed & 1 ? STACK_LINK_ETHERNET : STACK_LINK_IP;
		if (run->sim.seed & 2)
			cfg.offload = STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
		add_node(run, &cfg);
	}
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND});
}

static struct conn *transfer(struct run *run, uint32_t there, uint32_t back)
{
	struct conn *c = app_conn(&run->app, &run->sim.node[0], &run->sim.node[1], run->sim.now);

	c->end[0].plan.total = there;
	c->end[1].plan.total = back;
	return c;
}

/* A transfer both ways over one kind of link. */
static void transfer_over(struct run *run, const struct sim_link *link)
{
	two_nodes(run, 1500);
	link_all(run, link);
	transfer(run, 200000, 100000);
	run_to_end(run);
}

static uint64_t counter(struct sim_node *node, const char *name)
{
	for (size_t i = 0; i < stack_counter_count(); i++)
		if (strcmp(stack_counter_name(i), name) == 0)
			return stack_counter(node->stack, i);
	sim_fail(node->sim, "no counter %s", name);
	return 0;
}

/* The scenario must really have met what it is named after. */
static void expect_counted(struct run *run, const char *name)
{
	if (counter(&run->sim.node[0], name) + counter(&run->sim.node[1], name) == 0)
		sim_fail(&run->sim, "%s is 0", name);
}

static void no_loss(struct run *run)
{
	transfer_over(run, &(struct sim_link){.delay = 5 * MILLISECOND});
	if (counter(&run->sim.node[0], "tcp.retransmissions") + counter(&run->sim.node[1], "tcp.retransmissions"))
		sim_fail(&run->sim, "retransmissions on a link that loses nothing");
}

static void loss_1_percent(struct run *run)
{
	transfer_over(run, &(struct sim_link){.delay = 5 * MILLISECOND, .loss = PERCENT});
}

static void loss_20_percent(struct run *run)
{
	transfer_over(run, &(struct sim_link){.delay = 5 * MILLISECOND, .loss = 20 * PERCENT});
	expect_counted(run, "tcp.retransmissions");
}

/* Data is lost, in order otherwise, and no ACK is: every recovery had a reason, and none is undone. */
static void losses_are_not_undone(struct run *run)
{
	two_nodes(run, 1500);
	run->sim.node[0].link.loss = 5 * PERCENT;
	transfer(run, 2000000, 0);
	run_to_end(run);
	expect_counted(run, "tcp.retransmissions");
	if (counter(&run->sim.node[0], "tcp.spurious_recoveries") > 0)
		sim_fail(&run->sim, "the repair of a loss is taken for a mistake");
}

static void reordering(struct run *run)
{
	transfer_over(run, &(struct sim_link){.delay = 5 * MILLISECOND, .jitter = 5 * MILLISECOND, .reorder = true});
}

static void duplication(struct run *run)
{
	transfer_over(run, &(struct sim_link){.delay = 5 * MILLISECOND, .duplicate = 30 * PERCENT});
}

static void corruption(struct run *run)
{
	transfer_over(run, &(struct sim_link){.delay = 5 * MILLISECOND, .corrupt = 10 * PERCENT});
	expect_counted(run, "tcp.retransmissions");
}

static void narrow_link(struct run *run)
{
	transfer_over(run, &(struct sim_link){.delay = 20 * MILLISECOND, .bandwidth = 50000, .queue = 15000});
	expect_counted(run, "tcp.retransmissions");
}

static void large_segments(struct run *run)
{
	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 1 * MILLISECOND, .pass_whole = 70 * PERCENT});
	transfer(run, 300000, 300000);
	run_to_end(run);
}

/* Room for everything, so every datagram must arrive, in one piece or in many. */
static void tiny_mtu(struct run *run)
{
	two_nodes(run, 296);
	transfer(run, 20000, 20000);
	app_datagrams(&run->app, &run->sim.node[0], &run->sim.node[1], 50, 8000);
	run->app.udp.next += SIM_SECOND; /* the neighbour is known by then: only few packets can wait for that */
	run_to_end(run);
	if (run->app.udp.received + run->app.udp.lost_for_room != 50)
		sim_fail(&run->sim, "%" PRIu64 " of 50 datagrams arrived", run->app.udp.received);
	expect_counted(run, "ip4.fragments_out");
}

static void slow_reader(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	c = transfer(run, 300000, 0);
	c->end[1].plan.read_max = 5000;
	c->end[1].plan.read_gap = SIM_SECOND / 2;
	run_to_end(run);
}

/* ---- buffers that grow ---- */

/* The configuration as it comes; one way, `total` bytes. */
static struct conn *default_transfer(struct run *run, const struct sim_link *link, uint32_t total)
{
	for (unsigned i = 0; i < 2; i++) {
		struct stack_config cfg;

		stack_config_default(&cfg);
		cfg.link = STACK_LINK_IP;
		cfg.offload = STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
		cfg.probe = STACK_PROBE_OFF;
		cfg.time_wait = SIM_SECOND;
		cfg.timestamps = !(run->sim.seed & 1);
		add_node(run, &cfg);
	}
	link_all(run, link);
	return transfer(run, total, 0);
}

/* 1 Gbit/s over 100 ms: 12.5 MB in flight, where both buffers begin with 128 KiB. */
static void long_fat_pipe(struct run *run)
{
	const struct sim_link link = {.delay = 50 * MILLISECOND, .bandwidth = 125000000, .queue = 16 << 20};
	uint64_t start;
	double rate;

	default_transfer(run, &link, 500000000);
	start = run->sim.now;
	run_connections(run);
	rate = 5e8 * SIM_SECOND / (double)(run->sim.now - start);
	sim_trace(&run->sim, "%.0f bytes a second", rate);
	if (rate < 0.7 * (double)link.bandwidth)
		sim_fail(&run->sim, "%.0f bytes a second of %" PRIu64, rate, link.bandwidth);
	app_verify(&run->app);
	run_drain(run);
}

/* What the server's stack holds for its reader, at most. */
static void watch_memory(struct app *app)
{
	uint64_t *most = app->hook_arg, used, limit;
	const char *name;

	for (size_t i = 0; (name = stack_memory(app->sim->node[1].stack, i, &used, &limit)); i++)
		if (strcmp(name, "receive") == 0 && used > *most)
			*most = used;
}

static void slow_reader_holds_little(struct run *run)
{
	uint64_t most = 0;
	struct conn *c = default_transfer(run, &(struct sim_link){.delay = 5 * MILLISECOND}, 2000000);

	c->end[1].plan.read_max = 20000;
	c->end[1].plan.read_gap = SIM_SECOND / 5;
	run->app.hook = watch_memory;
	run->app.hook_arg = &most;
	run_to_end(run);
	if (most > 320 << 10) /* the first size, in chunks that are not full */
		sim_fail(&run->sim, "%" PRIu64 " bytes for a reader of 50 kB a second", most);
}

/* ---- path MTU without ICMP ---- */

static void black_hole(struct run *run)
{
	uint64_t start;

	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .mtu = sim_between(&run->sim, 576, 1499)});
	transfer(run, 3000000, 3000000);
	start = run->sim.now;
	run_to_end(run);
	expect_counted(run, "tcp.mtu_black_holes");
	if (run->app.conn[0].end[0].plan.total > 0 && run->sim.now - start > 200 * SIM_SECOND)
		sim_fail(&run->sim, "it took %.1f s", (double)(run->sim.now - start) / SIM_SECOND);
}

/* The MTU that the client's connection uses, while there is one. */
static void watch_mtu(struct app *app)
{
	struct stack_tcb_info tcb;
	uint16_t *mtu = app->hook_arg;
	struct end *e = &app->conn[0].end[0];

	if (e->id && stack_tcb(e->node->stack, app->sim->now, e->id, &tcb) && strcmp(tcb.form, "full") == 0)
		*mtu = tcb.mtu;
}

/* After the fall the search comes within 8 bytes of what the path carries, and no probe shrinks the window. */
static void black_hole_then_search(struct run *run)
{
	uint16_t found = 0, mtu = (uint16_t)sim_between(&run->sim, 1100, 1499);

	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .mtu = mtu});
	transfer(run, 8000000, 0);
	run->app.hook = watch_mtu;
	run->app.hook_arg = &found;
	run_to_end(run);
	if (found > mtu || found + 8 < mtu)
		sim_fail(&run->sim, "found %u where %u bytes pass", found, mtu);
	expect_counted(run, "tcp.mtu_probes_lost");
	if (counter(&run->sim.node[0], "tcp.fast_retransmits") > 0)
		sim_fail(&run->sim, "a lost probe was taken for congestion");
}

/* The narrow place goes away after a while; ten minutes later the connection has found out. */
static void wider(struct app *app)
{
	if (app->sim->now > app->conn[0].start + 60 * SIM_SECOND)
		app->sim->node[0].link.mtu = 0;
	watch_mtu(app);
}

static void path_becomes_wider(struct run *run)
{
	uint16_t found = 0;
	struct conn *c;

	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .mtu = 1300});
	c = transfer(run, 9000000, 0);
	c->end[0].plan.write_max = 50000;
	c->end[0].plan.write_gap = 5 * SIM_SECOND;
	run->app.hook = wider;
	run->app.hook_arg = &found;
	run_to_end(run);
	if (found != 1500)
		sim_fail(&run->sim, "still %u bytes", found);
}

/* The reader sleeps until probes of the closed window have backed off. */
static void zero_window(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .loss = 30 * PERCENT});
	c = transfer(run, 200000, 0);
	c->end[1].plan.read_gap = 100 * SIM_SECOND;
	run_to_end(run);
	expect_counted(run, "tcp.zero_window_probes");
}

/* The wire is cut while the reader takes what had closed the window: only probes can find out. */
static void cut_while_reading(struct app *app)
{
	uint64_t since = app->sim->now - app->conn[0].start;

	app->sim->node[1].off = since > 5 * SIM_SECOND && since < 60 * SIM_SECOND;
}

static void window_update_lost(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	c = transfer(run, 150000, 0);
	c->end[1].plan.read_gap = 1;
	c->end[1].next_read = run->sim.now + 10 * SIM_SECOND;
	run->app.hook = cut_while_reading;
	run_to_end(run);
	expect_counted(run, "tcp.zero_window_probes");
}

static void one_byte_writes(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	c = transfer(run, 1000, 1000);
	c->end[0].plan.write_max = c->end[1].plan.write_max = 1;
	c->end[0].plan.write_gap = c->end[1].plan.write_gap = 2 * MILLISECOND;
	c->end[0].plan.nodelay = true;
	run_to_end(run);
}

static void many_connections(struct run *run)
{
	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .loss = PERCENT, .bandwidth = 1000000, .queue = 50000});
	for (unsigned i = 0; i < APP_CONNS; i++)
		transfer(run, 20000, 20000);
	run_to_end(run);
}

/* One connection after the other, each with data in its SYN as soon as a cookie is known. */
static void fastopen_loss(struct run *run)
{
	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .loss = 20 * PERCENT});
	for (unsigned i = 0; i < APP_CONNS; i++) {
		struct conn *c = transfer(run, 3000, 3000);

		c->start = run->sim.now + i * SIM_SECOND;
		c->end[0].plan.fastopen = true;
	}
	run_to_end(run);
	expect_counted(run, "tcp.fastopen_passive");
	expect_counted(run, "tcp.fastopen_active");
	expect_counted(run, "tcp.fastopen_active_fails");
}

/* Notes which states an end goes through. */
static void note_states(struct app *app)
{
	unsigned *seen = app->hook_arg;

	for (unsigned i = 0; i < 2; i++)
		*seen |= 1u << end_state(&app->conn[0].end[i]);
}

static void expect_state(struct run *run, unsigned seen, enum tcp_state state)
{
	if (!(seen & 1u << state))
		sim_fail(&run->sim, "nobody was in %s", stack_tcp_state_name(state));
}

static void simultaneous_close(struct run *run)
{
	unsigned seen = 0;
	struct conn *c;

	two_nodes(run, 1500);
	c = transfer(run, 5000, 5000);
	c->end[0].plan.shut_at = c->end[1].plan.shut_at = run->sim.now + SIM_SECOND;
	run->app.hook = note_states;
	run->app.hook_arg = &seen;
	run_to_end(run);
	expect_state(run, seen, TCP_CLOSING);
}

static void simultaneous_open(struct run *run)
{
	unsigned seen = 0;

	two_nodes(run, 1500);
	transfer(run, 5000, 5000)->simultaneous = true;
	run->app.hook = note_states;
	run->app.hook_arg = &seen;
	run_to_end(run);
	expect_state(run, seen, TCP_SYN_RECEIVED);
}

static void loopback(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	c = app_conn(&run->app, &run->sim.node[0], &run->sim.node[0], run->sim.now);
	c->end[0].plan.total = c->end[1].plan.total = 200000;
	run_to_end(run);
}

static void abort_reaches_the_peer(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	c = transfer(run, 0, 50000);
	c->may_fail = true;
	c->end[0].plan.close = CLOSE_ABORT;
	c->end[0].plan.close_at = 20000;
	c->end[1].plan.close = CLOSE_NEVER;
	run_to_end(run);
	if (c->end[1].error != ECONNRESET)
		sim_fail(&run->sim, "the peer of an abort sees %s", strerror(c->end[1].error));
}

static void close_with_unread_data_resets(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	c = transfer(run, 50000, 0);
	c->may_fail = true;
	c->end[1].plan.take = TAKE_NOTHING;
	c->end[1].plan.read_gap = 1000 * SIM_SECOND;
	c->end[1].plan.read_max = 1;
	c->end[1].plan.close = CLOSE_UNREAD;
	c->end[1].plan.close_at = 1;
	c->end[0].plan.close = CLOSE_NEVER;
	run_to_end(run);
	if (c->end[0].error != ECONNRESET)
		sim_fail(&run->sim, "the peer of a close with unread data sees %s", strerror(c->end[0].error));
}

/* Closed without a byte unread; what the peer sends then reaches nobody, and it must learn that. */
static void data_after_close_resets(struct run *run)
{
	struct conn *c;

	two_nodes(run, 1500);
	c = transfer(run, 100000, 0);
	c->may_fail = true;
	c->end[1].plan.close = CLOSE_UNREAD;
	c->end[1].plan.shut_at = run->sim.now + SIM_SECOND;
	c->end[0].plan.close = CLOSE_NEVER;
	c->end[0].plan.write_max = 1000;
	c->end[0].plan.write_gap = 50 * MILLISECOND;
	run_to_end(run);
	if (c->end[0].error != ECONNRESET)
		sim_fail(&run->sim, "who sends to a closed socket sees %s", strerror(c->end[0].error));
	if (c->end[0].sent > 50000)
		sim_fail(&run->sim, "who sends to a closed socket learns it late");
}

/* Half a minute without a frame in either direction. */
static void outage_hook(struct app *app)
{
	uint64_t start = app->conn[0].start + 50 * MILLISECOND;

	app->sim->node[1].off = app->sim->now > start && app->sim->now < start + 30 * SIM_SECOND;
}

static void outage(struct run *run)
{
	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .bandwidth = 1000000, .queue = 50000});
	transfer(run, 300000, 300000);
	run->app.hook = outage_hook;
	run_to_end(run);
	expect_counted(run, "tcp.timeouts");
}

/* The one that waits for the ACK of its FIN hears nothing for a while. */
static void deaf_in_last_ack(struct app *app)
{
	uint64_t *until = app->hook_arg;

	if (*until == 0 && end_state(&app->conn[0].end[1]) == TCP_LAST_ACK)
		*until = app->sim->now + 100 * MILLISECOND;
	app->sim->node[1].off = app->sim->now < *until;
}

static void last_ack_lost(struct run *run)
{
	uint64_t until = 0;

	two_nodes(run, 1500);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .jitter = 1});
	transfer(run, 100, 100)->end[1].plan.close = CLOSE_AFTER_PEER;
	run->app.hook = deaf_in_last_ack;
	run->app.hook_arg = &until;
	run_to_end(run);
	expect_counted(run, "tcp.timeouts");
	if (counter(&run->sim.node[0], "tcp.resets_out") > 0)
		sim_fail(&run->sim, "TIME-WAIT answers the FIN that comes again with RST");
}

/* ---- a second connection with the ports of the first ---- */

#define LOCAL_PORT 2000

/* When the second may start, given the initial sequence number of the first. */
struct again {
	uint64_t (*when)(const struct again *a);
	struct run *run;
	uint32_t iss;    /* first connection's, of the end that is looked at */
	uint64_t iss_at; /* when it was chosen */
};

static void again_hook(struct app *app)
{
	struct again *a = app->hook_arg;
	struct conn *first = &app->conn[0], *second = &app->conn[1];
	struct end *e = &first->end[a->run->sim.seed >> 1 & 1];
	struct stack_tcb_info info;

	if (a->iss_at == 0 && e->id && stack_tcb(e->node->stack, app->sim->now, e->id, &info) && info.iss) {
		a->iss = info.iss;
		a->iss_at = info.created;
	}
	if (second->start != STACK_NEVER || !first->end[0].done || !first->end[1].done)
		return;
	conn_close_listener(first);
	second->start = a->when(a);
}

static void connect_again(struct run *run, struct again *a)
{
	struct conn *first, *second;

	two_nodes(run, 1500);
	first = transfer(run, 10, 10);
	second = transfer(run, 200000, 200000);
	second->port = first->port;
	second->start = STACK_NEVER;
	first->end[0].plan.local_port = second->end[0].plan.local_port = LOCAL_PORT;
	first->end[0].plan.close = CLOSE_AFTER_PEER; /* TIME-WAIT is at the server */
	a->run = run;
	run->app.hook = again_hook;
	run->app.hook_arg = a;
	run_to_end(run);
}

/* RFC 6528: M ticks every 4 microseconds, so it is known when the numbers of one pair of ports come to the wrap. */
static uint64_t at_the_wrap(const struct again *a)
{
	uint32_t before = sim_below(&a->run->sim, 100000);
	uint64_t wait = (uint32_t)(0 - before - a->iss) * UINT64_C(4);

	return a->iss_at + wait + (wait > 60 * SIM_SECOND ? 0 : UINT64_C(4) << 32);
}

static void sequence_wrap(struct run *run)
{
	connect_again(run, &(struct again){.when = at_the_wrap});
}

static uint64_t at_once(const struct again *a)
{
	return a->run->sim.now;
}

static void time_wait_reused(struct run *run)
{
	connect_again(run, &(struct again){.when = at_once});
	expect_counted(run, "tcp.time_wait_reused");
}

/* ---- budgets ---- */

/* A stack with little memory under many connections: some fail, none harms another, all memory returns. */
static void budget_exhaustion(struct run *run)
{
	unsigned done = 0;
	struct stack_config cfg;

	config_clean(&cfg);
	add_node(run, &cfg);
	cfg.mem_total = 150 << 10;
	cfg.sockets_max = 70;
	add_node(run, &cfg);
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND, .loss = PERCENT});
	for (unsigned i = 0; i < APP_CONNS; i++) {
		struct conn *c = transfer(run, 30000, 30000);

		c->may_fail = true;
		c->start = run->sim.now + i * 10 * MILLISECOND;
		c->end[0].plan.keepalive = c->end[1].plan.keepalive = 20 * SIM_SECOND;
		c->end[1].plan.read_gap = i % 2 ? 50 * MILLISECOND : 0;
	}
	run_to_end(run);
	for (unsigned i = 0; i < APP_CONNS; i++)
		done += run->app.conn[i].end[1].received == 30000;
	if (done == 0)
		sim_fail(&run->sim, "not one connection came through");
	expect_counted(run, "memory.failures");
}

/* ---- a peer vanishes in each state: the other ends by itself (row T14) ---- */

/* What the surviving end waits for before the other vanishes. */
struct vanishing {
	enum tcp_state state;
	bool listener_half_open; /* SYN-RECEIVED in its half-open form */
	bool gone;
	unsigned survivor;       /* which end */
	uint32_t after;          /* bytes that the survivor must have received */
};

static bool half_open_seen(struct app *app)
{
	struct stack_sock_info info;
	struct conn *c = &app->conn[0];

	return c->listener && stack_find(c->end[1].node->stack, stack_id(c->listener), &info) && info.half_open > 0;
}

static void vanish_hook(struct app *app)
{
	struct vanishing *v = app->hook_arg;
	struct end *survivor = &app->conn[0].end[v->survivor], *gone = &app->conn[0].end[!v->survivor];

	if (v->gone || (v->listener_half_open ? !half_open_seen(app) : end_state(survivor) != v->state) ||
	    survivor->received < v->after)
		return;
	v->gone = true;
	gone->node->off = true;
	sim_trace(app->sim, ".%u vanishes", gone->node->index + 1);
	if (gone->sock)
		stack_abort(gone->sock, app->sim->now);
	gone->sock = NULL;
	gone->done = true;
	if (v->listener_half_open)
		survivor->done = true;
}

static void vanish_base(struct run *run)
{
	for (unsigned i = 0; i < 2; i++) {
		struct stack_config cfg;

		config_clean(&cfg);
		cfg.link = run->sim.seed & 1 ? STACK_LINK_ETHERNET : STACK_LINK_IP;
		cfg.syn_retries = cfg.synack_retries = 4;
		cfg.data_retries = 8;
		cfg.orphan_retries = 5;
		cfg.rto_max = 20 * SIM_SECOND;
		add_node(run, &cfg);
	}
	link_all(run, &(struct sim_link){.delay = 5 * MILLISECOND});
}

static void vanish_run(struct run *run, struct conn *c, struct vanishing *v)
{
	struct end *survivor = &c->end[v->survivor];

	c->may_fail = true;
	run->app.hook = vanish_hook;
	run->app.hook_arg = v;
	run_to_end(run);
	if (run->sim.failed)
		return;
	if (!v->gone)
		sim_fail(&run->sim, "%s was never reached", stack_tcp_state_name(v->state));
	else if (survivor->plan.keepalive && survivor->error != ETIMEDOUT && survivor->error != EHOSTUNREACH)
		sim_fail(&run->sim, "the survivor sees %s", strerror(survivor->error));
}

static void vanish_syn_sent(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 10, 10);
	vanish_run(run, c, &(struct vanishing){.state = TCP_SYN_SENT});
	if (c->end[0].error != ETIMEDOUT && c->end[0].error != EHOSTUNREACH)
		sim_fail(&run->sim, "a connect that nobody answers ends with %s", strerror(c->end[0].error));
}

static void vanish_half_open(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 10, 10);
	vanish_run(run, c, &(struct vanishing){.state = TCP_SYN_RECEIVED, .listener_half_open = true, .survivor = 1});
}

static void vanish_syn_received(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 10, 10);
	c->simultaneous = true;
	vanish_run(run, c, &(struct vanishing){.state = TCP_SYN_RECEIVED});
}

/* The survivor is client or server by seed, has data on its way or not. */
static void vanish_established(struct run *run)
{
	bool busy = run->sim.seed & 2;
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 300000, 300000);
	for (unsigned i = 0; i < 2; i++) {
		if (!busy)
			c->end[i].plan.total = 100;
		c->end[i].plan.close = CLOSE_NEVER;
		c->end[i].plan.keepalive = 30 * SIM_SECOND;
	}
	vanish_run(run, c, &(struct vanishing){.state = TCP_ESTABLISHED, .survivor = run->sim.seed >> 2 & 1,
					       .after = busy ? 50000 : 100});
}

static void vanish_fin_wait_1(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, run->sim.seed & 2 ? 0 : 3000, 0);
	c->end[1].plan.close = CLOSE_AFTER_PEER;
	vanish_run(run, c, &(struct vanishing){.state = TCP_FIN_WAIT_1});
}

static void vanish_fin_wait_2_held(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 100, 0);
	c->end[0].plan.keepalive = 30 * SIM_SECOND;
	c->end[1].plan.close = CLOSE_NEVER;
	vanish_run(run, c, &(struct vanishing){.state = TCP_FIN_WAIT_2});
}

static void vanish_fin_wait_2_orphan(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 100, 0);
	c->end[0].plan.close = CLOSE_AND_FORGET;
	c->end[1].plan.close = CLOSE_NEVER;
	vanish_run(run, c, &(struct vanishing){.state = TCP_FIN_WAIT_2});
}

static void vanish_close_wait(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, run->sim.seed & 2 ? 100000 : 0, 0);
	c->end[0].plan.close = CLOSE_NEVER;
	c->end[0].plan.keepalive = 30 * SIM_SECOND;
	c->end[0].plan.write_gap = 20 * MILLISECOND;
	c->end[0].plan.write_max = 2000;
	vanish_run(run, c, &(struct vanishing){.state = TCP_CLOSE_WAIT});
}

static void vanish_closing(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 100, 100);
	c->end[0].plan.shut_at = c->end[1].plan.shut_at = run->sim.now + SIM_SECOND;
	vanish_run(run, c, &(struct vanishing){.state = TCP_CLOSING});
}

static void vanish_last_ack(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 0, 100);
	c->end[0].plan.close = CLOSE_AFTER_PEER;
	vanish_run(run, c, &(struct vanishing){.state = TCP_LAST_ACK});
}

static void vanish_time_wait(struct run *run)
{
	struct conn *c;

	vanish_base(run);
	c = transfer(run, 100, 0);
	c->end[1].plan.close = CLOSE_AFTER_PEER;
	vanish_run(run, c, &(struct vanishing){.state = TCP_TIME_WAIT});
}

/* ---- the program ---- */

static const struct scenario {
	const char *name;
	void (*play)(struct run *run);
	unsigned seeds;
} scenarios[] = {
	{"no_loss", no_loss, 8},
	{"loss_1_percent", loss_1_percent, 20},
	{"loss_20_percent", loss_20_percent, 20},
	{"losses_are_not_undone", losses_are_not_undone, 40},
	{"reordering", reordering, 20},
	{"duplication", duplication, 20},
	{"corruption", corruption, 20},
	{"narrow_link", narrow_link, 8},
	{"large_segments", large_segments, 20},
	{"tiny_mtu", tiny_mtu, 8},
	{"slow_reader", slow_reader, 8},
	{"zero_window", zero_window, 8},
	{"window_update_lost", window_update_lost, 4},
	{"one_byte_writes", one_byte_writes, 4},
	{"many_connections", many_connections, 8},
	{"fastopen_loss", fastopen_loss, 20},
	{"simultaneous_close", simultaneous_close, 8},
	{"simultaneous_open", simultaneous_open, 8},
	{"loopback", loopback, 4},
	{"data_after_close_resets", data_after_close_resets, 8},
	{"outage", outage, 8},
	{"last_ack_lost", last_ack_lost, 8},
	{"sequence_wrap", sequence_wrap, 16},
	{"time_wait_reused", time_wait_reused, 8},
	{"abort_reaches_the_peer", abort_reaches_the_peer, 8},
	{"close_with_unread_data_resets", close_with_unread_data_resets, 8},
	{"budget_exhaustion", budget_exhaustion, 20},
	{"T14_vanish_syn_sent", vanish_syn_sent, 4},
	{"T14_vanish_half_open", vanish_half_open, 4},
	{"T14_vanish_syn_received", vanish_syn_received, 4},
	{"T14_vanish_established", vanish_established, 8},
	{"T14_vanish_fin_wait_1", vanish_fin_wait_1, 4},
	{"T14_vanish_fin_wait_2_held", vanish_fin_wait_2_held, 4},
	{"T14_vanish_fin_wait_2_orphan", vanish_fin_wait_2_orphan, 4},
	{"T14_vanish_close_wait", vanish_close_wait, 4},
	{"T14_vanish_closing", vanish_closing, 4},
	{"T14_vanish_last_ack", vanish_last_ack, 4},
	{"T14_vanish_time_wait", vanish_time_wait, 4},
	{"long_fat_pipe", long_fat_pipe, 2},
	{"slow_reader_holds_little", slow_reader_holds_little, 4},
	{"black_hole", black_hole, 20},
	{"black_hole_then_search", black_hole_then_search, 20},
	{"path_becomes_wider", path_becomes_wider, 4},
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

static struct run current;

/* True: passed. Otherwise current.sim.failure says why, until the next play. */
static bool play(void (*scenario)(struct run *run), uint64_t seed, bool trace)
{
	sim_init(&current.sim, seed, trace);
	app_init(&current.app, &current.sim);
	scenario(&current);
	sim_done(&current.sim);
	return !current.sim.failed;
}

static int play_named(const struct scenario *s, unsigned number)
{
	for (uint64_t seed = 0; seed < s->seeds; seed++) {
		if (play(s->play, seed, false))
			continue;
		printf("not ok %u - %s\n# seed %" PRIu64 " failed: %s\n# replay: test_sim --scenario %s %" PRIu64 "\n", number,
		       s->name, seed, current.sim.failure, s->name, seed);
		return 1;
	}
	printf("ok %u - %s\n", number, s->name);
	return 0;
}

static int play_all_named(void)
{
	int failed = 0;

	printf("1..%zu\n", SCENARIOS);
	for (unsigned i = 0; i < SCENARIOS; i++)
		failed += play_named(&scenarios[i], i + 1);
	return failed > 0;
}

static int trace_named(const char *name, uint64_t seed)
{
	for (unsigned i = 0; i < SCENARIOS; i++) {
		if (strcmp(scenarios[i].name, name) != 0)
			continue;
		return play(scenarios[i].play, seed, true) ? 0 : 1;
	}
	fprintf(stderr, "test_sim: no scenario %s\n", name);
	return 2;
}

/* A way to make a scenario out of a seed, and the option that replays one. */
struct draw {
	void (*scenario)(struct run *run);
	const char *replay;
};

static int play_seeds(const struct draw *draw, uint64_t count, uint64_t first)
{
	uint64_t failed = 0, steps = 0;

	for (uint64_t seed = first; seed < first + count; seed++) {
		if (!play(draw->scenario, seed, false)) {
			failed++;
			printf("seed %" PRIu64 " failed: %s\n  replay: test_sim %s %" PRIu64 "\n", seed,
			       current.sim.failure, draw->replay, seed);
			fflush(stdout);
		}
		steps += current.sim.steps;
	}
	printf("%" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64 " steps\n", count, failed, steps);
	return failed > 0;
}

static int trace_seed(const struct draw *draw, uint64_t seed)
{
	bool passed = play(draw->scenario, seed, true);

	printf("seed %" PRIu64 " %s %s\n", seed, passed ? "passed" : "failed:", current.sim.failure);
	return passed ? 0 : 1;
}

static uint64_t argument(int argc, char **argv, int i, uint64_t otherwise)
{
	return i < argc ? strtoull(argv[i], NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
	static const struct draw random = {scenario_random, "--trace"}, grid = {scenario_cell, "--grid-trace"};

	if (argc > 1 && strcmp(argv[1], "--scenarios") == 0)
		return play_all_named();
	if (argc > 2 && strcmp(argv[1], "--scenario") == 0)
		return trace_named(argv[2], argument(argc, argv, 3, 0));
	if (argc > 2 && strcmp(argv[1], "--trace") == 0)
		return trace_seed(&random, argument(argc, argv, 2, 0));
	if (argc > 2 && strcmp(argv[1], "--grid-trace") == 0)
		return trace_seed(&grid, argument(argc, argv, 2, 0));
	if (argc > 1 && strcmp(argv[1], "--grid") == 0)
		return play_seeds(&grid, argument(argc, argv, 2, cell_count()), argument(argc, argv, 3, 0));
	return play_seeds(&random, argument(argc, argv, 1, 2000), argument(argc, argv, 2, 0));
}
