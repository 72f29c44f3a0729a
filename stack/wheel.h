/*
 * A hierarchical timing wheel (Varghese and Lauck 1987, scheme 7): setting, moving and
 * cancelling a timer cost the same with ten timers and with ten million.
 *
 * WHEEL_LEVELS levels of 64 slots; a slot of level 0 is WHEEL_TICK microseconds wide, of
 * level n 64^n ticks. A timer fires at the first wheel_expire at or after its time, never
 * before. Bitmaps find the next slot in use without looking at empty ones.
 */
#ifndef BYWAY_STACK_WHEEL_H
#define BYWAY_STACK_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_LEVELS 5
#define WHEEL_SLOTS 64
#define WHEEL_TICK_SHIFT 8 /* 256 microseconds */

/* What a timer belongs to; its owner is found with CONTAINER_OF. */
enum timer_kind { TIMER_TCB, TIMER_HALF_OPEN, TIMER_TIME_WAIT, TIMER_NEIGHBOUR, TIMER_REASSEMBLY, TIMER_ADDRESS, TIMER_REST };

struct timer {
	struct timer *next, **link; /* link: what points to us; NULL: not armed */
	uint64_t at : 56;           /* microseconds */
	uint64_t kind : 8;          /* enum timer_kind */
};

struct wheel {
	uint64_t tick;                 /* ticks that have passed */
	uint64_t used[WHEEL_LEVELS];   /* bit i: slot i holds a timer */
	struct timer *slot[WHEEL_LEVELS][WHEEL_SLOTS];
	struct timer *due;             /* already expired, not yet popped */
	uint64_t armed;                /* timers armed */
};

void wheel_init(struct wheel *w, uint64_t now);
/* Arms or moves. A time in the past fires at the next wheel_expire. */
void timer_set(struct wheel *w, struct timer *t, uint64_t at);
void timer_cancel(struct wheel *w, struct timer *t);
static inline bool timer_armed(const struct timer *t) { return t->link != 0; }
/* Advances to now and pops one timer that is due (disarmed), or NULL. Call until NULL. */
struct timer *wheel_expire(struct wheel *w, uint64_t now);
/* When wheel_expire has something to do next (a timer or a cascade); UINT64_MAX: never. */
uint64_t wheel_next(const struct wheel *w);

#endif
