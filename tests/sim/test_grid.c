/*
 * The grid of goodput, repair times and fairness, against the table that is kept with the source.
 *
 *   test_grid TABLE            as TAP; fails where a figure is worse than the table's
 *   test_grid --write TABLE    renews the table
 *   test_grid --quick TABLE    every fifth figure, for a slow build
 *
 * A figure is worse by a tenth. Where a path loses or reorders at random the least change of the
 * stack changes which packets are lost, and one figure moves by a third for no reason: there it is
 * the mean over all such paths that may not be worse by a tenth, and one alone not by a half. So it is
 * with the time that a latecomer takes.
 *
 * A line of the table: NAME VALUE ALLOWED SHARE. Names begin with the kind of the figure:
 * goodput (kbit/s; what the path allows), repair (microseconds; the round trip), fairness
 * (Jain's index; 1) or latecomer (seconds; 1). Share is VALUE / ALLOWED, for the reader.
 */
#include "measure.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FIGURES_MAX 1000
#define NAME 120
#define TOLERANCE 0.10
#define TOLERANCE_RANDOM 0.50
#define FAIR 0.9 /* of two flows, one has twice what the other has */
#define QUICK 5

struct figure {
	char name[NAME];
	double value, allowed;
};

static struct figure measured[FIGURES_MAX], table[FIGURES_MAX];
static unsigned measured_count, table_count, skipped;
static bool quick;

/* The next one's place, or NULL when this one is left out. */
static struct figure *next_figure(void)
{
	if (quick && ++skipped % QUICK != 0)
		return NULL;
	if (measured_count == FIGURES_MAX) {
		fprintf(stderr, "test_grid: more than %u figures\n", FIGURES_MAX);
		exit(2);
	}
	return &measured[measured_count++];
}

/* ---- the axes ---- */

static void goodput_cell(struct cell cell)
{
	struct figure *f = next_figure();
	int n;

	if (!f)
		return;
	n = snprintf(f->name, sizeof(f->name), "goodput:");
	cell_name(&cell, f->name + n, sizeof(f->name) - (size_t)n);
	f->value = measure_goodput(&cell) / 125;
	f->allowed = measure_allowed(&cell) / 125;
}

static void goodput(const char *cc)
{
	/* delay each way, bandwidth: a network of microseconds, a city, a thin line, the other side of the world */
	static const struct { uint64_t delay, bandwidth; } paths[] = {
		{50, 25000000}, {10000, 12500000}, {10000, 250000}, {200000, 2500000},
	};

	/* where much is lost the queue is never full: one length of it is enough */
	for (unsigned p = 0; p < COUNT(paths); p++)
		for (unsigned loss = 0; loss < CELL_LOSSES; loss++)
			for (unsigned quarters = cell_loss[loss] < 10000 ? 1 : 4; quarters <= 4; quarters += 3)
				goodput_cell((struct cell){.cc = cc, .delay = paths[p].delay, .bandwidth = paths[p].bandwidth,
							   .loss = cell_loss[loss], .quarters = quarters});
	for (unsigned p = 0; p < COUNT(paths); p++)
		goodput_cell((struct cell){.cc = cc, .delay = paths[p].delay, .bandwidth = paths[p].bandwidth,
					   .reorder = true, .quarters = 4});
}

static void repair(const char *cc)
{
	static const struct loss_pattern patterns[] = {
		{"first", 0, 1, 1}, {"middle", 5, 1, 1}, {"last", 9, 1, 1}, {"last-two", 8, 2, 1}, {"last-five", 5, 5, 1},
		{"all", 0, 10, 1}, {"first-twice", 0, 1, 2}, {"last-twice", 9, 1, 2},
	};
	static const uint64_t delays[] = {50, 10000, 200000};

	for (unsigned d = 0; d < COUNT(delays); d++)
		for (unsigned p = 0; p < COUNT(patterns); p++) {
			struct figure *f = next_figure();

			if (!f)
				continue;
			snprintf(f->name, sizeof(f->name), "repair:%s,lost=%s,delay=%uus", cc, patterns[p].name,
				 (unsigned)delays[d]);
			f->value = measure_repair(&patterns[p], delays[d], cc);
			f->allowed = 2 * (double)delays[d];
		}
}

static void fairness(const char *cc)
{
	static const unsigned flows[] = {2, 8};

	for (unsigned i = 0; i < COUNT(flows); i++) {
		struct figure *f = next_figure();

		if (!f)
			continue;
		snprintf(f->name, sizeof(f->name), "fairness:%s,flows=%u", cc, flows[i]);
		f->value = measure_fairness(flows[i], cc);
		f->allowed = 1;
	}
}

static void latecomer(const char *cc)
{
	struct figure *seconds = next_figure(), *jain = next_figure();
	struct latecomer late;

	if (!seconds && !jain)
		return;
	late = measure_latecomer(cc);
	if (seconds) {
		snprintf(seconds->name, sizeof(seconds->name), "latecomer:%s", cc);
		seconds->value = late.seconds;
		seconds->allowed = 1;
	}
	if (jain) {
		snprintf(jain->name, sizeof(jain->name), "fairness:%s,latecomer", cc);
		jain->value = late.jain;
		jain->allowed = 1;
	}
}

/* ---- the table ---- */

static int write_table(const char *path)
{
	FILE *out = fopen(path, "w");

	if (!out)
		return perror(path), 1;
	fprintf(out, "# Renewed by: test_grid --write. What the figures are: tests/sim/README.md\n");
	for (unsigned i = 0; i < measured_count; i++)
		fprintf(out, "%-74s %12.2f %12.2f %7.3f\n", measured[i].name, measured[i].value, measured[i].allowed,
			measured[i].value / measured[i].allowed);
	return fclose(out) == 0 ? 0 : 1;
}

static bool read_table(const char *path)
{
	FILE *in = fopen(path, "r");
	char line[300];

	if (!in)
		return perror(path), false;
	while (table_count < FIGURES_MAX && fgets(line, sizeof(line), in))
		if (line[0] != '#' && sscanf(line, "%119s %lf %lf", table[table_count].name, &table[table_count].value,
					     &table[table_count].allowed) == 3)
			table_count++;
	fclose(in);
	return true;
}

static const struct figure *find(const struct figure *in, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(in[i].name, name) == 0)
			return &in[i];
	return NULL;
}

static bool is_random_path(const struct figure *f)
{
	return strncmp(f->name, "goodput:", 8) == 0 && (!strstr(f->name, "loss=0%") || strstr(f->name, "reorder"));
}

/* A figure that chance moves. */
static bool is_random(const struct figure *f)
{
	return strncmp(f->name, "latecomer:", 10) == 0 || is_random_path(f);
}

/* The new figure over the old one, or its inverse, so that less than 1 is worse; 0: none. */
static double progress(const struct figure *f, const struct figure *was, bool less_is_better)
{
	if (f->value <= 0)
		return 0;
	return less_is_better ? was->value / f->value : f->value / was->value;
}

/* Prints what is worth saying; false: worse than it was. */
static bool compare(const struct figure *f, bool less_is_better)
{
	const struct figure *was = find(table, table_count, f->name);
	double least = 1 - (is_random(f) ? TOLERANCE_RANDOM : TOLERANCE);

	if (!was)
		printf("# %s: not in the table, %.2f of %.2f\n", f->name, f->value, f->allowed);
	if (was ? progress(f, was, less_is_better) >= least : f->value > 0)
		return true;
	printf("# %s: %.2f, was %.2f\n", f->name, f->value, was ? was->value : 0);
	return false;
}

/* All paths with random loss together, by the geometric mean. */
static bool compare_random(const char *cc)
{
	double sum = 0, mean;
	unsigned n = 0;

	for (unsigned i = 0; i < measured_count; i++) {
		const struct figure *f = &measured[i], *was = find(table, table_count, f->name);

		if (!was || !is_random_path(f) || strncmp(f->name + 8, cc, strlen(cc)) != 0 || progress(f, was, false) == 0)
			continue;
		sum += log(progress(f, was, false));
		n++;
	}
	mean = n > 0 ? exp(sum / n) : 1;
	printf("# %s over %u paths with random loss: %.3f of what it was\n", cc, n, mean);
	return quick || mean >= 1 - TOLERANCE;
}

/* What the table has and nobody measured has got lost. */
static bool all_measured(const char *kind)
{
	bool all = true;

	for (unsigned i = 0; i < table_count && !quick; i++) {
		if (strncmp(table[i].name, kind, strlen(kind)) != 0 || find(measured, measured_count, table[i].name))
			continue;
		printf("# %s: in the table, and not measured\n", table[i].name);
		all = false;
	}
	return all;
}

static bool judge_figures(const char *kind, bool less_is_better, double least)
{
	bool passed = all_measured(kind);

	for (unsigned i = 0; i < measured_count; i++) {
		const struct figure *f = &measured[i];

		if (strncmp(f->name, kind, strlen(kind)) != 0)
			continue;
		passed &= compare(f, less_is_better);
		if (f->value >= least)
			continue;
		printf("# %s: %.2f, less than %.2f\n", f->name, f->value, least);
		passed = false;
	}
	return passed;
}

static bool judge_random(void)
{
	bool passed = true;

	for (unsigned i = 0; cell_congestion_control(i); i++)
		passed &= compare_random(cell_congestion_control(i));
	return passed;
}

static int tell(unsigned number, bool passed, const char *title)
{
	printf("%s %u - %s\n", passed ? "ok" : "not ok", number, title);
	return passed ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool renew = argc == 3 && strcmp(argv[1], "--write") == 0;
	int failed;

	quick = argc == 3 && strcmp(argv[1], "--quick") == 0;
	if (argc != 2 && !renew && !quick)
		return fprintf(stderr, "usage: test_grid [--write | --quick] TABLE\n"), 2;
	for (unsigned i = 0; cell_congestion_control(i); i++) {
		goodput(cell_congestion_control(i));
		repair(cell_congestion_control(i));
		fairness(cell_congestion_control(i));
		latecomer(cell_congestion_control(i));
	}
	if (renew)
		return write_table(argv[2]);
	if (!read_table(argv[argc - 1]))
		return 2;
	printf("1..5\n");
	failed = tell(1, judge_figures("goodput:", false, 0), "no path gives less than it did");
	failed += tell(2, judge_random(), "paths with random loss together give no less than they did");
	failed += tell(3, judge_figures("repair:", true, 0), "no loss takes longer to repair than it did");
	failed += tell(4, judge_figures("fairness:", false, FAIR), "flows share a bottleneck");
	failed += tell(5, judge_figures("latecomer:", true, 0), "a connection that begins late gets its share as soon as it did");
	return failed > 0;
}
