/*
 * What connections cost one stack, by themselves: bytes of memory for an idle one, and instructions
 * for what happens to one, with few connections and with very many. No TAP, no system call on the
 * way; the peers are packets made here, checksums are taken for good, frames carry one segment.
 *
 *   cost [--json] [CONNECTIONS...]          the table; without numbers 1000 and 1000000
 *   cost --check CONNECTIONS BYTES          fails when an idle connection costs more than BYTES, in the
 *                                           stack's own account or in the process's resident memory
 *
 * The instructions come from callgrind, which this program runs itself, each operation by itself;
 * where it is not installed the table says "-". What is handed over and taken back at the edge (one
 * call of stack_input, stack_run, transmit) is included, the making of the packets is not.
 */
#include "stack/tcp.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION ((void)0)
#define CALLGRIND_STOP_INSTRUMENTATION ((void)0)
#define CALLGRIND_ZERO_STATS ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

#define SAMPLE 1000u     /* connections that an operation is done to, each once */
#define BATCH 500u       /* handshakes at a time */
#define PORTS 40000u     /* of one peer's address */
#define OUR_PORT 7
#define PEER_WINDOW 50000
#define DATA 1000        /* bytes of a segment */

/* One connection as its peer knows it: 16 bytes, so that a million of them are few beside the stack's. */
struct peer {
	struct sock *sock;
	uint32_t seq, ack;
};

struct bench {
	struct stack *s;
	struct sock *listener;
	stack_time now;
	struct peer *peer;
	uint32_t count;
	struct stack_addr us;
	uint32_t sent_seq, sent_ack; /* of the last segment that the stack sent */
	uint64_t sent;
};

/* ---- what callgrind counts ---- */

static void count_begin(void)
{
	CALLGRIND_ZERO_STATS;
	CALLGRIND_START_INSTRUMENTATION;
}

/* NULL: it is forgotten. */
static void count_end(const char *name)
{
	CALLGRIND_STOP_INSTRUMENTATION;
	if (name)
		CALLGRIND_DUMP_STATS_AT(name);
}

/* ---- the edge ---- */

static bool transmit(void *context, const struct stack_output *o)
{
	struct bench *b = context;
	const uint8_t *p = o->iov[0].iov_base;

	b->sent_seq = load32(p + 24);
	b->sent_ack = load32(p + 28);
	b->sent++;
	return true;
}

static size_t receive(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	(void)context;
	(void)sock;
	(void)user;
	(void)data;
	return len;
}

static struct stack_addr peer_address(uint32_t i)
{
	uint8_t four[4] = {198, 19, (uint8_t)(i / PORTS >> 8), (uint8_t)(i / PORTS)};

	return stack_addr_v4(four);
}

static size_t make(const struct bench *b, uint32_t i, uint8_t flags, uint32_t len, uint8_t *out)
{
	const struct peer *p = &b->peer[i];
	struct tcp_segment seg = {
		.sport = (uint16_t)(1024 + i % PORTS), .dport = OUR_PORT, .seq = seq_make(p->seq),
		.ack = seq_make(flags & TCP_ACK ? p->ack : 0), .flags = flags, .window = PEER_WINDOW,
	};
	struct ip4_header ip = {.src = peer_address(i), .dst = b->us, .header_len = 20, .ttl = 64, .proto = IP_PROTO_TCP};

	seg.opt.has_timestamp = true;
	seg.opt.ts_value = to_ms(b->now);
	if (flags & TCP_SYN) {
		seg.opt.has_mss = seg.opt.sack_permitted = seg.opt.has_window_scale = true;
		seg.opt.mss = 1460;
		seg.opt.window_scale = 7;
	}
	ip.total_len = (uint16_t)(20 + tcp_header_size(&seg) + len);
	ip4_write(out, &ip);
	tcp_write(out + 20, &seg, 0);
	return ip.total_len;
}

static void feed(struct bench *b, const uint8_t *packet, size_t len)
{
	struct stack_frame frame = {.data = packet, .len = len, .csum_good = true};

	stack_input(b->s, b->now, &frame);
}

static void run(struct bench *b)
{
	struct stack_event event;

	while (stack_run(b->s, b->now))
		;
	while (stack_next_event(b->s, &event))
		;
}

static void pass(struct bench *b, stack_time time)
{
	stack_time end = b->now + time;

	while (stack_deadline(b->s) <= end) {
		b->now = max_u64(b->now, stack_deadline(b->s));
		run(b);
	}
	b->now = end;
}

/* ---- opening ---- */

static void accept_one(struct bench *b, uint32_t i)
{
	b->peer[i].sock = stack_accept(b->listener);
	if (!b->peer[i].sock)
		abort();
	stack_set_user(b->peer[i].sock, b);
}

static void open_one(struct bench *b, uint32_t i)
{
	uint8_t packet[128];
	struct peer *p = &b->peer[i];

	p->seq = i * 7919;
	feed(b, packet, make(b, i, TCP_SYN, 0, packet));
	p->seq++;
	p->ack = b->sent_seq + 1;
	feed(b, packet, make(b, i, TCP_ACK, 0, packet));
	accept_one(b, i);
}

static void open_all(struct bench *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		open_one(b, i);
		if (i % BATCH == BATCH - 1) {
			run(b);
			pass(b, MILLISECONDS(50));
		}
	}
	b->count = count;
	pass(b, SECONDS(5));
}

static void start(struct bench *b, uint32_t count)
{
	struct stack_ops ops = {.transmit = transmit, .receive = receive};
	static const uint8_t four[4] = {198, 18, 0, 1};
	struct stack_endpoint local = {.port = OUR_PORT};
	struct stack_config c;

	stack_config_default(&c);
	c.link = STACK_LINK_IP;
	c.offload = STACK_OFFLOAD_CSUM;
	c.mem_total = (size_t)4 << 30;
	c.sockets_max = count + 2 * SAMPLE;
	b->now = SECONDS(1000);
	b->us = stack_addr_v4(four);
	b->peer = malloc((count + 2 * SAMPLE) * sizeof(*b->peer));
	b->s = stack_new(&c, &ops, b, b->now);
	if (!b->s || !b->peer || stack_address_add(b->s, b->now, &b->us, 15))
		abort();
	memset(b->peer, 0xff, (count + 2 * SAMPLE) * sizeof(*b->peer)); /* resident before anything is measured */
	b->listener = stack_socket(b->s, STACK_TCP, 0, NULL);
	if (!b->listener || stack_bind(b->listener, &local) || stack_listen(&b->listener, 2 * SAMPLE))
		abort();
}

static void stop(struct bench *b)
{
	stack_free(b->s);
	free(b->peer);
}

/* ---- memory ---- */

static uint64_t resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long long pages = 0;

	if (!f || fscanf(f, "%*u %llu", &pages) != 1)
		abort();
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t accounted(struct bench *b)
{
	uint64_t used, limit;
	size_t i = 0;

	while (strcmp(stack_memory(b->s, i, &used, &limit), "total"))
		i++;
	return used;
}

struct memory {
	double own, resident; /* bytes a connection */
};

static struct memory measure_memory(uint32_t count)
{
	struct bench b = {0};
	uint64_t own, before;
	struct memory m;

	start(&b, count);
	own = accounted(&b);
	before = resident();
	open_all(&b, count);
	m.own = (double)(accounted(&b) - own) / count;
	m.resident = (double)(resident() - before) / count;
	if (b.s->sockets != count + 1 || b.s->counter[COUNT_tcp_rests] < count)
		abort();
	stop(&b);
	return m;
}

/* ---- instructions ---- */

static const char *const operations[] = {
	"handshake", "segment to one at rest", "segment received", "segment sent", "ACK received", "timer", "look-up",
};
#define OPERATIONS ARRAY_SIZE(operations)

/* The i-th of those that operations are done to: all over the table. */
static uint32_t chosen(const struct bench *b, uint32_t i)
{
	return (uint32_t)((uint64_t)i * b->count / SAMPLE);
}

/* The same segment of all that are chosen, made before it is counted; `runs`: with what the stack does at the batch's end. */
static void feed_chosen(struct bench *b, const char *name, uint8_t flags, uint32_t len)
{
	uint8_t (*packet)[100 + DATA] = calloc(SAMPLE, sizeof(*packet));
	size_t *size = calloc(SAMPLE, sizeof(*size));

	for (uint32_t i = 0; i < SAMPLE; i++) {
		size[i] = make(b, chosen(b, i), flags, len, packet[i]);
		b->peer[chosen(b, i)].seq += len;
	}
	count_begin();
	for (uint32_t i = 0; i < SAMPLE; i++) {
		feed(b, packet[i], size[i]);
		stack_run(b->s, b->now);
	}
	count_end(name);
	free(packet);
	free(size);
	run(b);
}

static void send_chosen(struct bench *b, const char *name)
{
	static const uint8_t data[DATA];

	count_begin();
	for (uint32_t i = 0; i < SAMPLE; i++) {
		stack_send(b->peer[chosen(b, i)].sock, b->now, data, sizeof(data));
		stack_run(b->s, b->now);
	}
	count_end(name);
	for (uint32_t i = 0; i < SAMPLE; i++)
		b->peer[chosen(b, i)].ack += DATA;
}

/* Delayed ACKs of all that are chosen come due. */
static void fire_timers(struct bench *b, const char *name)
{
	b->now += MILLISECONDS(300);
	count_begin();
	while (stack_run(b->s, b->now))
		;
	count_end(name);
}

static void look_up(struct bench *b, const char *name)
{
	uint32_t found = 0;

	count_begin();
	for (uint32_t i = 0; i < SAMPLE; i++) {
		uint32_t n = chosen(b, i);
		struct stack_addr remote = peer_address(n);

		found += table_find(&b->s->table, STACK_TCP, &b->us, OUR_PORT, &remote, (uint16_t)(1024 + n % PORTS)) != NULL;
	}
	count_end(name);
	if (found != SAMPLE)
		abort();
}

/* New ones: all their SYNs, then all that completes them. */
static void open_more(struct bench *b, const char *name)
{
	uint8_t (*packet)[128] = calloc(SAMPLE, sizeof(*packet));
	size_t *size = calloc(SAMPLE, sizeof(*size));
	struct peer *p = &b->peer[b->count];

	for (uint32_t i = 0; i < SAMPLE; i++) {
		p[i].seq = i;
		size[i] = make(b, b->count + i, TCP_SYN, 0, packet[i]);
		p[i].seq++;
	}
	count_begin();
	for (uint32_t i = 0; i < SAMPLE; i++) {
		feed(b, packet[i], size[i]);
		p[i].ack = b->sent_seq + 1;
	}
	count_end(name);
	for (uint32_t i = 0; i < SAMPLE; i++)
		size[i] = make(b, b->count + i, TCP_ACK, 0, packet[i]);
	count_begin();
	for (uint32_t i = 0; i < SAMPLE; i++) {
		feed(b, packet[i], size[i]);
		accept_one(b, b->count + i);
	}
	count_end(name);
	free(packet);
	free(size);
	run(b);
}

/* The body of what callgrind runs: one operation after the other. */
static void operate(uint32_t count)
{
	struct bench b = {0};

	start(&b, count);
	open_all(&b, count);
	open_more(&b, operations[0]);
	feed_chosen(&b, operations[1], TCP_ACK, DATA);
	feed_chosen(&b, operations[2], TCP_ACK, DATA);
	send_chosen(&b, operations[3]);
	feed_chosen(&b, operations[4], TCP_ACK, 0);
	pass(&b, MILLISECONDS(500));
	for (unsigned i = 0; i < 16; i++) { /* until ACKs are delayed */
		send_chosen(&b, NULL);
		feed_chosen(&b, NULL, TCP_ACK, 0);
	}
	feed_chosen(&b, NULL, TCP_ACK, 100);
	fire_timers(&b, operations[5]);
	look_up(&b, operations[6]);
	stop(&b);
}

/* One file of callgrind's: adds its total to the operation that its trigger names. */
static void read_dump(const char *path, double *instructions)
{
	char line[256], name[64] = "";
	unsigned long long total = 0;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "desc: Trigger: Client Request: %63[^\n]", name);
		sscanf(line, "totals: %llu", &total);
	}
	if (f)
		fclose(f);
	for (size_t i = 0; i < OPERATIONS; i++)
		if (strcmp(name, operations[i]) == 0)
			instructions[i] += (double)total / SAMPLE;
}

/* False: there is no callgrind. */
static bool measure_instructions(uint32_t count, double *instructions)
{
	char dir[] = "/tmp/byway-cost-XXXXXX", self[512], command[1200], path[64];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0 || !mkdtemp(dir))
		return false;
	self[len] = '\0';
	snprintf(command, sizeof(command), "valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file=%s/out "
		 "'%s' --operate %u >/dev/null 2>&1", dir, self, count);
	len = system(command);
	for (unsigned i = 1; i < 100; i++) {
		snprintf(path, sizeof(path), "%s/out.%u", dir, i);
		read_dump(path, instructions);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/out", dir);
	unlink(path);
	rmdir(dir);
	return len == 0 && instructions[0] > 0;
}

/* ---- the table ---- */

#define COLUMNS 8

struct column {
	uint32_t count;
	struct memory memory;
	double instructions[OPERATIONS];
	bool counted;
};

static void print_row(const char *name, const struct column *c, int n, double (*value)(const struct column *c, size_t i),
		      size_t i)
{
	printf("%-44s", name);
	for (int k = 0; k < n; k++)
		if (value(&c[k], i) > 0)
			printf("%12.0f", value(&c[k], i));
		else
			printf("%12s", "-");
	printf("\n");
}

static double own_of(const struct column *c, size_t i) { return i == 0 ? c->memory.own : c->memory.resident; }
static double instructions_of(const struct column *c, size_t i) { return c->counted ? c->instructions[i] : 0; }
static double count_of(const struct column *c, size_t i) { return (double)(c->count + i); }

static void print_table(const struct column *c, int n)
{
	print_row("connections", c, n, count_of, 0);
	print_row("bytes of an idle one, the stack's account", c, n, own_of, 0);
	print_row("bytes of an idle one, resident", c, n, own_of, 1);
	for (size_t i = 0; i < OPERATIONS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "instructions: %s", operations[i]);
		print_row(name, c, n, instructions_of, i);
	}
}

static void print_json(const struct column *c, int n)
{
	printf("[");
	for (int k = 0; k < n; k++) {
		printf("%s\n{\"connections\": %u, \"bytes\": %.1f, \"resident\": %.1f", k ? "," : "", c[k].count,
		       c[k].memory.own, c[k].memory.resident);
		for (size_t i = 0; c[k].counted && i < OPERATIONS; i++)
			printf(", \"%s\": %.0f", operations[i], c[k].instructions[i]);
		printf("}");
	}
	printf("\n]\n");
}

static int check(uint32_t count, double most)
{
	struct memory m = measure_memory(count);

	printf("%u connections at rest: %.1f bytes each, %.1f resident\n", count, m.own, m.resident);
	return m.own <= most && m.resident <= most ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	struct column column[COLUMNS] = {{.count = 1000}, {.count = 1000000}};
	int n = argc - 1 - json;

	mallopt(M_MMAP_THRESHOLD, 128 << 10); /* as in bywayd */
	if (argc == 4 && strcmp(argv[1], "--check") == 0)
		return check((uint32_t)atoi(argv[2]), atof(argv[3]));
	if (argc == 3 && strcmp(argv[1], "--operate") == 0) {
		operate((uint32_t)atoi(argv[2]));
		return 0;
	}
	for (int i = 0; i < n && i < COLUMNS; i++)
		column[i].count = (uint32_t)max_u32((uint32_t)atoi(argv[1 + json + i]), SAMPLE);
	n = n == 0 ? 2 : n < COLUMNS ? n : COLUMNS;
	for (int i = 0; i < n; i++) {
		column[i].memory = measure_memory(column[i].count);
		column[i].counted = measure_instructions(column[i].count, column[i].instructions);
	}
	if (json)
		print_json(column, n);
	else
		print_table(column, n);
	return 0;
}
