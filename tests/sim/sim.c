/*
 * The clock and the wire. Frames wait in a heap, ordered by arrival and then by sending, so that
 * a run depends on nothing but its seed.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX (65535 + 14)
#define MILLION 1000000u
#define SETTLE_MAX 10000 /* rounds of run and events at one moment */

/* ---- chance ---- */

uint64_t sim_random(struct sim *sim)
{
	uint64_t z = sim->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t sim_below(struct sim *sim, uint32_t n)
{
	return (uint32_t)((sim_random(sim) >> 32) * n >> 32);
}

uint32_t sim_between(struct sim *sim, uint32_t low, uint32_t high)
{
	return low + sim_below(sim, high - low + 1);
}

bool sim_chance(struct sim *sim, uint32_t in_a_million)
{
	return in_a_million > 0 && sim_below(sim, MILLION) < in_a_million;
}

/* ---- reports ---- */

void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list args;
	int n;

	if (sim->failed)
		return;
	sim->failed = true;
	n = snprintf(sim->failure, sizeof(sim->failure), "at %.6f s: ", (double)sim->now / SIM_SECOND);
	va_start(args, format);
	vsnprintf(sim->failure + n, sizeof(sim->failure) - (size_t)n, format, args);
	va_end(args);
	sim_trace(sim, "FAILED %s", sim->failure);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (!sim->trace)
		return;
	printf("%12.6f ", (double)sim->now / SIM_SECOND);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void trace_frame(struct sim_node *from, const uint8_t *data, size_t len, const char *fate)
{
	char line[200];

	if (!from->sim->trace)
		return;
	frame_print(from, data, len, line, sizeof(line));
	sim_trace(from->sim, ".%u %s %s", from->index + 1, line, fate);
}

/* ---- the heap of frames ---- */

static bool earlier(const struct sim_frame *a, const struct sim_frame *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void heap_push(struct sim *sim, struct sim_frame *f)
{
	size_t i = sim->heap_count++;

	if (i == sim->heap_size) {
		sim->heap_size = sim->heap_size ? 2 * sim->heap_size : 64;
		sim->heap = realloc(sim->heap, sim->heap_size * sizeof(struct sim_frame *));
	}
	while (i > 0 && earlier(f, sim->heap[(i - 1) / 2])) {
		sim->heap[i] = sim->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	sim->heap[i] = f;
}

static struct sim_frame *heap_pop(struct sim *sim)
{
	struct sim_frame *top = sim->heap[0], *last = sim->heap[--sim->heap_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sim->heap_count) {
		if (child + 1 < sim->heap_count && earlier(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!earlier(sim->heap[child], last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return top;
}

/* ---- the wire ---- */

/*
 * When a frame that is sent now arrives; false: lost, or the queue is full. ARP is neither lost
 * nor queued: else three requests in a row would be, now and then, and a neighbour that does not
 * answer is a rightful end of a connection.
 */
static bool arrival(struct sim_node *from, size_t len, bool arp, uint64_t *at)
{
	struct sim *sim = from->sim;
	struct sim_link *l = &from->link;
	uint64_t now_ns = 1000 * sim->now, leaves_ns = now_ns;

	if (!arp && sim_chance(sim, l->loss))
		return false;
	if (!arp && l->bandwidth) {
		if (l->free_at_ns > leaves_ns)
			leaves_ns = l->free_at_ns;
		if ((leaves_ns - now_ns) / 1000 * l->bandwidth / SIM_SECOND > l->queue)
			return false;
		leaves_ns += len * 1000 * SIM_SECOND / l->bandwidth;
		l->free_at_ns = leaves_ns;
	}
	*at = leaves_ns / 1000 + l->delay + (l->jitter ? sim_below(sim, (uint32_t)l->jitter) : 0);
	if (!l->reorder && !arp && *at < l->last_arrival)
		*at = l->last_arrival;
	if (!arp)
		l->last_arrival = *at;
	if (l->coalesce)
		*at = (*at + l->coalesce - 1) / l->coalesce * l->coalesce;
	return true;
}

/* One flipped bit, which no sum of RFC 1071 misses, or a lost end, or rubbish behind the end. */
static void corrupt(struct sim_node *from, struct sim_frame *f)
{
	struct sim *sim = from->sim;
	size_t link = frame_link_header(from), bit;

	switch (sim_below(sim, 4)) {
	case 0:
		f->len = sim_below(sim, (uint32_t)f->len);
		break;
	case 1:
		memset(f->data + f->len, (int)sim_below(sim, 256), 32);
		f->len += sim_below(sim, 32);
		break;
	case 2:
	case 3:
		/* not the hardware addresses: they are not covered by any sum */
		bit = link * 8 + sim_below(sim, (uint32_t)frame_protected(from, f->data, f->len) * 8);
		f->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		break;
	}
}

/* A black hole: a router that drops what is too big for it, without ICMP. */
static bool too_big(const struct sim_node *from, size_t len, uint16_t gso_size)
{
	size_t packet = gso_size ? gso_size + 60u : len - frame_link_header(from);

	return from->link.mtu && packet > from->link.mtu;
}

static void put_on_wire(struct sim_node *from, unsigned to, const uint8_t *data, size_t len, uint16_t gso_size)
{
	struct sim *sim = from->sim;
	bool arp = frame_protected(from, data, len) == 0;
	struct sim_frame *f;
	const char *fate = "";
	uint64_t at;

	if (from->off || (sim->app.lose && sim->app.lose(sim->app.context, from, data, len)) ||
	    too_big(from, len, gso_size) || !arrival(from, len, arp, &at)) {
		trace_frame(from, data, len, "LOST");
		return;
	}
	f = malloc(sizeof(*f) + len + 32);
	*f = (struct sim_frame){.at = at, .order = sim->order++, .from = from->index, .to = to, .gso_size = gso_size, .len = len};
	memcpy(f->data, data, len);
	if (!arp && sim_chance(sim, from->link.corrupt)) {
		corrupt(from, f);
		fate = "CORRUPTED";
	}
	trace_frame(from, data, len, fate);
	heap_push(sim, f);
}

/* From whom, to whom, and still as one large segment? */
struct sending {
	struct sim_node *from;
	uint16_t gso_size;
};

static void send_frame(void *arg, const uint8_t *data, size_t len)
{
	const struct sending *s = arg;
	struct sim *sim = s->from->sim;
	unsigned to = frame_destination(s->from, data, len);
	unsigned copies = sim_chance(sim, s->from->link.duplicate) ? 2 : 1;

	while (copies-- > 0)
		for (unsigned i = 0; i < sim->node_count; i++)
			if (i != s->from->index && (to == i || to == SIM_NODES))
				put_on_wire(s->from, i, data, len, s->gso_size);
}

static void watch(struct sim_node *from, const struct stack_output *out, const uint8_t *data, size_t len)
{
	const char *wrong = frame_check(from, out, data, len);
	struct frame_tcp seg;

	if (!wrong && frame_tcp(from, data, len, &seg))
		wrong = flow_check(from->sim->flows, &seg);
	if (wrong) {
		trace_frame(from, data, len, "WRONG");
		sim_fail(from->sim, "node %u sends a bad frame: %s", from->index + 1, wrong);
	}
}

static bool transmit(void *context, const struct stack_output *out)
{
	struct sending s = {.from = context};
	uint8_t data[FRAME_MAX];
	size_t len = 0;

	for (unsigned i = 0; i < out->iov_count; i++) {
		if (len + out->iov[i].iov_len > sizeof(data)) {
			sim_fail(s.from->sim, "node %u sends a frame of more than 64 KiB", s.from->index + 1);
			return false;
		}
		memcpy(data + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += out->iov[i].iov_len;
	}
	s.from->frames++;
	frame_complete_checksum(out, data, len);
	watch(s.from, out, data, len);
	if (s.from->sim->failed)
		return false;
	if (out->gso_size && !sim_chance(s.from->sim, s.from->link.pass_whole)) {
		frame_cut(s.from, data, len, out->gso_size, send_frame, &s);
	} else {
		s.gso_size = out->gso_size;
		send_frame(&s, data, len);
	}
	return true;
}

static size_t receive(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	struct sim_node *node = context;
	struct sim_app *app = &node->sim->app;

	return user ? app->receive(app->context, node, sock, user, data, len) : 0;
}

static bool datagram(void *context, struct sock *sock, void *user, const struct stack_endpoint *from,
		     const struct stack_arrival *how, const void *data, size_t len)
{
	struct sim_node *node = context;
	struct sim_app *app = &node->sim->app;

	(void)sock;
	(void)how;
	return user && app->datagram(app->context, node, user, from, data, len);
}

/* ---- nodes ---- */

void sim_init(struct sim *sim, uint64_t seed, bool trace)
{
	*sim = (struct sim){.random = seed, .seed = seed, .trace = trace};
	sim->now = 1 + sim_random(sim) % (1000 * SIM_SECOND);
	sim->flows = flows_new();
}

void sim_done(struct sim *sim)
{
	for (unsigned i = 0; i < sim->node_count; i++)
		stack_free(sim->node[i].stack);
	while (sim->heap_count > 0)
		free(heap_pop(sim));
	free(sim->heap);
	flows_free(sim->flows);
}

struct sim_node *sim_node_add(struct sim *sim, struct stack_config *cfg)
{
	static const struct stack_ops ops = {.transmit = transmit, .receive = receive, .datagram = datagram};
	unsigned index = sim->node_count++;
	struct sim_node *node = &sim->node[index];
	uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(index + 1)}, addr[4] = {192, 0, 2, (uint8_t)(index + 1)};

	for (unsigned i = 0; i < sizeof(cfg->seed); i++)
		cfg->seed[i] = (uint8_t)sim_random(sim);
	memcpy(cfg->mac, mac, sizeof(mac));
	*node = (struct sim_node){.sim = sim, .index = index, .cfg = *cfg, .addr = stack_addr_v4(addr), .touched = true};
	node->stack = stack_new(cfg, &ops, node, sim->now);
	if (!node->stack)
		sim_fail(sim, "stack_new refuses the configuration");
	else if (stack_address_add(node->stack, sim->now, &node->addr, 24) != 0)
		sim_fail(sim, "stack_address_add refuses the address");
	return node;
}

static bool visit(void *arg, const struct stack_sock_info *info)
{
	struct sim_node *node = arg;
	struct stack_tcb_info tcb;

	if (!stack_tcb(node->stack, node->sim->now, info->id, &tcb) || tcb.sock.id != info->id ||
	    tcb.sock.state != info->state)
		sim_fail(node->sim, "node %u: socket %" PRIu64 " is listed and cannot be looked into", node->index + 1, info->id);
	return true;
}

/* What an operator does meanwhile. */
static void look_into(struct sim_node *node)
{
	uint64_t cursor = 0;

	while (stack_walk(node->stack, &cursor, 5, visit, node))
		;
}

static void check_node(struct sim_node *node)
{
	const char *wrong = stack_check(node->stack), *name;
	uint64_t used, limit, total = 0;

	if (wrong)
		sim_fail(node->sim, "node %u: stack_check: %s", node->index + 1, wrong);
	for (size_t i = 0; (name = stack_memory(node->stack, i, &used, &limit)); i++) {
		total += strcmp(name, "total") == 0 ? 0 : used;
		if (limit && used > limit)
			sim_fail(node->sim, "node %u: %s uses %" PRIu64 " of %" PRIu64 " bytes", node->index + 1, name, used, limit);
	}
	if (node->sim->steps % 16 == 0)
		look_into(node);
	if (total > node->cfg.mem_total)
		sim_fail(node->sim, "node %u uses %" PRIu64 " bytes in all", node->index + 1, total);
}

/* Runs the stack and hands out its events until it has nothing more to do at this moment. */
static void settle(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct stack_event event;

	for (unsigned round = 0; !sim->failed; round++) {
		bool more = stack_run(node->stack, sim->now);

		while (stack_next_event(node->stack, &event)) {
			more = true;
			sim->app.event(sim->app.context, node, &event);
		}
		if (sim->check_every == 0 || sim->steps % sim->check_every == 0)
			check_node(node);
		if (!more)
			break;
		if (round == SETTLE_MAX)
			sim_fail(sim, "node %u never comes to rest", node->index + 1);
	}
	node->touched = false;
}

static void note_deadline(struct sim_node *node)
{
	uint64_t deadline = stack_deadline(node->stack);

	if (deadline <= node->sim->now)
		sim_fail(node->sim, "node %u: a deadline in the past after stack_run", node->index + 1);
	if (deadline == node->deadline)
		return;
	node->deadline = node->wake = deadline;
	if (deadline != STACK_NEVER && node->late)
		node->wake += sim_below(node->sim, (uint32_t)node->late);
}

static void deliver(struct sim *sim)
{
	while (sim->heap_count > 0 && sim->heap[0]->at <= sim->now) {
		struct sim_frame *f = heap_pop(sim);
		struct sim_node *to = &sim->node[f->to];
		struct stack_frame frame = {.data = f->data, .len = f->len, .gso_size = f->gso_size};

		if (!to->off && !sim->failed) {
			stack_input(to->stack, sim->now, &frame);
			to->touched = true;
		}
		free(f);
	}
}

static uint64_t next_time(struct sim *sim)
{
	uint64_t next = sim->app.next(sim->app.context);

	if (sim->heap_count > 0 && sim->heap[0]->at < next)
		next = sim->heap[0]->at;
	for (unsigned i = 0; i < sim->node_count; i++) {
		const struct sim_node *node = &sim->node[i];
		uint64_t at = node->touched ? sim->now : node->wake;

		if (at < next)
			next = at;
	}
	return next;
}

bool sim_step(struct sim *sim)
{
	uint64_t next = next_time(sim);

	if (sim->failed || next == STACK_NEVER)
		return false;
	if (next > sim->now)
		sim->now = next;
	sim->steps++;
	deliver(sim);
	if (!sim->failed && sim->app.next(sim->app.context) <= sim->now)
		sim->app.run(sim->app.context);
	for (unsigned i = 0; i < sim->node_count && !sim->failed; i++) {
		struct sim_node *node = &sim->node[i];

		if (!node->touched && node->wake > sim->now)
			continue;
		settle(node);
		note_deadline(node);
	}
	return !sim->failed;
}

void sim_baseline(struct sim_node *node)
{
	uint64_t limit;

	for (size_t i = 0; stack_memory(node->stack, i, &node->baseline[i], &limit); i++)
		;
}

const char *sim_leak(struct sim_node *node)
{
	uint64_t used, limit;
	const char *name;

	for (size_t i = 0; (name = stack_memory(node->stack, i, &used, &limit)); i++)
		if (used > node->baseline[i] && strcmp(name, "table") != 0 && strcmp(name, "neighbours") != 0 &&
		    strcmp(name, "total") != 0 && strcmp(name, "fastopen") != 0)
			return name;
	return NULL;
}
