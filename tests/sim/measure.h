/*
 * Measurements in virtual time: what one path gives, how long a loss takes to repair, how flows
 * share. Every figure follows from its arguments alone.
 */
#ifndef BYWAY_TESTS_SIM_MEASURE_H
#define BYWAY_TESTS_SIM_MEASURE_H

#include "cell.h"

/*
 * Bytes a second that one connection brings to its reader: slow start included on a path that
 * loses nothing; over some seeds and without slow start on one that loses or reorders at random.
 * 0 when something goes wrong, which is printed as a TAP comment.
 */
double measure_goodput(const struct cell *cell);
/* What the path allows that connection, bytes a second: see README.md for the model. */
double measure_allowed(const struct cell *cell);

/* Which of the ten segments of a burst are lost, and the first of them how often. */
struct loss_pattern {
	const char *name;
	unsigned first, count, times;
};
/* Microseconds from the sending of the first lost segment until the reader has everything. */
double measure_repair(const struct loss_pattern *pattern, uint64_t delay, const char *cc);

/*
 * Jain's index of `flows` over one bottleneck, the last of which begins late: 1, all have the
 * same; 1 / flows, one has everything.
 */
double measure_fairness(unsigned flows, const char *cc);

/*
 * A connection that begins 3 s after another, over 100 Mbit/s, 20 ms and a queue of one round trip: how many
 * seconds it takes until it has, over five of them, four fifths of what the other has; and Jain's index of
 * seconds 40 to 100.
 */
struct latecomer {
	double seconds, jain;
};
struct latecomer measure_latecomer(const char *cc);

#endif
