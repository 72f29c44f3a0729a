/*
 * The grid: what a path can be like, every combination of it once. test_sim holds conversations
 * in each cell; test_grid measures on some of the axes.
 */
#ifndef BYWAY_TESTS_SIM_CELL_H
#define BYWAY_TESTS_SIM_CELL_H

#include "sim.h"

#define CELL_LOSSES 5

/* One combination. */
struct cell {
	uint32_t loss;      /* in a million, each way */
	bool reorder, duplicate;
	uint64_t delay;     /* each way, microseconds */
	uint64_t bandwidth; /* bytes a second, each way */
	uint32_t quarters;  /* the bottleneck's queue, in quarters of what the path holds */
	const char *cc;
};

extern const uint32_t cell_loss[CELL_LOSSES];

/* Names of the congestion controls that this stack has; NULL past the last. */
const char *cell_congestion_control(unsigned i);
unsigned cell_congestion_controls(void);

unsigned cell_count(void);
struct cell cell_get(unsigned i);
/* What the path holds: bytes that arrive in one round trip. */
uint64_t cell_bdp(const struct cell *cell);
/* The link of either end; the queue has room for four packets at least. */
struct sim_link cell_link(const struct cell *cell, uint16_t mtu);
void cell_name(const struct cell *cell, char *out, size_t size);

#endif
