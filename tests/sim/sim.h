/*
 * A simulated network in virtual time: stacks, the wire between them, and the clock.
 *
 * Everything that happens follows from one seed, so a failure replays. The wire delays, loses,
 * duplicates, reorders, corrupts, shapes and cuts; whatever a stack puts on it is checked first,
 * by code that shares nothing with the stack (frame.c, flow.c). Time jumps from one thing to do
 * to the next.
 */
#ifndef BYWAY_TESTS_SIM_H
#define BYWAY_TESTS_SIM_H

#include "stack/stack.h"

#define SIM_NODES 3
#define SIM_SECOND UINT64_C(1000000)

struct sim;

/* One direction: from a node onto the wire. Chances are in a million. */
struct sim_link {
	uint64_t delay, jitter;          /* microseconds */
	bool reorder;                    /* jitter may let a frame overtake another */
	uint32_t loss, duplicate, corrupt;
	uint64_t bandwidth;              /* bytes a second; 0: no limit */
	uint32_t queue;                  /* bytes that wait for the bandwidth; more are dropped */
	uint64_t coalesce;               /* arrivals are rounded up to this; 0: not */
	uint32_t pass_whole;             /* chance that a large segment is not cut (receive offload) */
	uint32_t mtu;                    /* larger IP packets vanish, and nobody says so; 0: none do */
	uint64_t free_at_ns;             /* when the bandwidth lets the next frame go, nanoseconds */
	uint64_t last_arrival;
};

struct sim_node {
	struct sim *sim;
	unsigned index;
	struct stack *stack;
	struct stack_config cfg;
	struct stack_addr addr;
	struct sim_link link;
	bool off;               /* vanished: sends and hears nothing */
	bool touched;           /* needs stack_run */
	uint64_t late;          /* its loop wakes up to so much after a deadline, microseconds */
	uint64_t deadline, wake;
	uint64_t frames;        /* sent */
	uint64_t baseline[32];  /* bytes used by memory class when it was idle */
};

/* A frame on the wire. */
struct sim_frame {
	uint64_t at, order;     /* when it arrives; ties in order of sending */
	unsigned from, to;
	uint16_t gso_size;
	size_t len;
	uint8_t data[];
};

/* What the user of the stacks does. */
struct sim_app {
	void *context;
	void (*event)(void *context, struct sim_node *node, const struct stack_event *event);
	size_t (*receive)(void *context, struct sim_node *node, struct sock *sock, void *user, const void *data, size_t len);
	bool (*datagram)(void *context, struct sim_node *node, void *user, const struct stack_endpoint *from,
			 const void *data, size_t len);
	uint64_t (*next)(void *context); /* when run has something to do */
	void (*run)(void *context);
	/* The wire loses this frame, chance or not. May be NULL. */
	bool (*lose)(void *context, struct sim_node *from, const uint8_t *data, size_t len);
};

struct flows; /* flow.c */

struct sim {
	uint64_t now, random, order, seed, steps;
	bool trace;
	unsigned node_count;
	struct sim_node node[SIM_NODES];
	struct sim_app app;
	struct sim_frame **heap;
	size_t heap_count, heap_size;
	struct flows *flows;
	uint64_t check_every; /* steps between two looks at every invariant of a stack; 0: each time */
	bool failed;
	char failure[300];
};

void sim_init(struct sim *sim, uint64_t seed, bool trace);
void sim_done(struct sim *sim);
/* Address 192.0.2.(1 + index)/24; cfg's seed and hardware address are set here. */
struct sim_node *sim_node_add(struct sim *sim, struct stack_config *cfg);
/* Does what is due next. False: nothing is left to do, or the run has failed. */
bool sim_step(struct sim *sim);
/* The user has called into this node's stack. */
static inline void sim_touch(struct sim_node *node) { node->touched = true; }

/* Notes the first failure; the run ends. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint64_t sim_random(struct sim *sim);
uint32_t sim_below(struct sim *sim, uint32_t n); /* 0 to n - 1; n 0: 0 */
uint32_t sim_between(struct sim *sim, uint32_t low, uint32_t high); /* both included */
bool sim_chance(struct sim *sim, uint32_t in_a_million);

/* Memory: what is used now is what an idle stack uses; NULL, or the class that uses more. */
void sim_baseline(struct sim_node *node);
const char *sim_leak(struct sim_node *node);

/* ---- frame.c: what a frame must look like ---- */

/* The link header's size. */
size_t frame_link_header(const struct sim_node *node);
/* Fills in the checksum that the stack left to the link. */
void frame_complete_checksum(const struct stack_output *out, uint8_t *data, size_t len);
/* NULL, or what is wrong with a frame that a node sends. */
const char *frame_check(const struct sim_node *node, const struct stack_output *out, const uint8_t *data, size_t len);
/* Cuts a large TCP segment; calls emit for each piece. */
void frame_cut(const struct sim_node *node, const uint8_t *data, size_t len, uint16_t gso_size,
	       void (*emit)(void *arg, const uint8_t *data, size_t len), void *arg);
/* Node index by destination; SIM_NODES: everybody else. */
unsigned frame_destination(const struct sim_node *node, const uint8_t *data, size_t len);
/*
 * Bytes after the link header in which one flipped bit is always noticed: all of a packet, the IP
 * header of a fragment (flips in two fragments may cancel out in the sum of the whole), 0 of ARP.
 */
size_t frame_protected(const struct sim_node *node, const uint8_t *data, size_t len);

/* The fields of a TCP segment, for flow.c and the trace. */
struct frame_tcp {
	uint8_t src[4], dst[4];
	uint16_t sport, dport, window;
	uint32_t seq, ack, len;
	uint8_t flags;
	int window_scale; /* -1: no such option */
};
bool frame_tcp(const struct sim_node *node, const uint8_t *data, size_t len, struct frame_tcp *out);
/* One line. */
void frame_print(const struct sim_node *node, const uint8_t *data, size_t len, char *out, size_t size);

/* ---- flow.c: what a sequence of segments must look like ---- */
struct flows *flows_new(void);
void flows_free(struct flows *flows);
/* NULL, or which rule a segment that a node sends breaks. */
const char *flow_check(struct flows *flows, const struct frame_tcp *seg);
/* Sequence and acknowledgment numbers relative to the initial ones. */
void flow_relative(struct flows *flows, const struct frame_tcp *seg, uint32_t *seq, uint32_t *ack);

#endif
