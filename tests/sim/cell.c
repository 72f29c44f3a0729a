/* The axes of the grid. A cell's index counts through them, congestion control fastest. */
#include "cell.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PERCENT 10000u

const uint32_t cell_loss[CELL_LOSSES] = {0, PERCENT / 10, PERCENT, 5 * PERCENT, 20 * PERCENT};
static const uint64_t delays[] = {50, 10000, 200000};
static const uint64_t bandwidths[] = {125000, 2500000, 125000000};
static const uint32_t queues[] = {1, 4, 16};
static const char *const algorithms[] = {"cubic", "newreno", "bbr"};

const char *cell_congestion_control(unsigned i)
{
	for (unsigned a = 0; a < COUNT(algorithms); a++)
		if (stack_congestion_control_known(algorithms[a]) && i-- == 0)
			return algorithms[a];
	return NULL;
}

unsigned cell_congestion_controls(void)
{
	unsigned n = 0;

	while (cell_congestion_control(n))
		n++;
	return n;
}

unsigned cell_count(void)
{
	return cell_congestion_controls() * (unsigned)(CELL_LOSSES * 2 * 2 * COUNT(delays) * COUNT(bandwidths) * COUNT(queues));
}

/* Takes one axis off the index. */
static unsigned digit(unsigned *i, size_t n)
{
	unsigned d = *i % (unsigned)n;

	*i /= (unsigned)n;
	return d;
}

struct cell cell_get(unsigned i)
{
	struct cell c;

	c.cc = cell_congestion_control(digit(&i, cell_congestion_controls()));
	c.loss = cell_loss[digit(&i, CELL_LOSSES)];
	c.reorder = digit(&i, 2);
	c.duplicate = digit(&i, 2);
	c.delay = delays[digit(&i, COUNT(delays))];
	c.bandwidth = bandwidths[digit(&i, COUNT(bandwidths))];
	c.quarters = queues[digit(&i, COUNT(queues))];
	return c;
}

uint64_t cell_bdp(const struct cell *cell)
{
	return cell->bandwidth * 2 * cell->delay / SIM_SECOND;
}

struct sim_link cell_link(const struct cell *cell, uint16_t mtu)
{
	uint64_t queue = cell_bdp(cell) * cell->quarters / 4;

	return (struct sim_link){
		.delay = cell->delay, .bandwidth = cell->bandwidth,
		.queue = (uint32_t)(queue < 4u * mtu ? 4u * mtu : queue), .loss = cell->loss,
		.duplicate = cell->duplicate ? 5 * PERCENT : 0, .reorder = cell->reorder,
		.jitter = cell->reorder ? 100 + cell->delay / 2 : 0,
	};
}

void cell_name(const struct cell *cell, char *out, size_t size)
{
	snprintf(out, size, "%s,loss=%g%%%s%s,delay=%" PRIu64 "us,rate=%" PRIu64 "kbit,queue=%g", cell->cc,
		 (double)cell->loss / PERCENT, cell->reorder ? ",reorder" : "", cell->duplicate ? ",duplicate" : "",
		 cell->delay, cell->bandwidth / 125, cell->quarters / 4.0);
}
