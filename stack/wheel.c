/*
 * Hierarchical timing wheel.
 *
 * A timer due at tick e stands at the level of the highest 6-bit digit in which e differs from
 * the current tick, in the slot of that digit. So:
 *   - every timer of level n is due before every timer of level n + 1;
 *   - a timer is 1 to 63 slots ahead of its level's current slot, which is always empty;
 *   - when time advances, exactly the slots that the level's hand passes must be looked at, and
 *     each timer in them is due or moves to a lower level: one visit a timer, however far the jump.
 * The top level is a ring: times past its horizon wait in its farthest slot and are looked at
 * again there.
 */
#include "wheel.h"

#include "types.h"

#define DIGIT 6
#define SLOT_MASK (WHEEL_SLOTS - 1)
#define TIME_MAX ((UINT64_C(1) << 56) - 1) /* struct timer's `at` */

static unsigned level_shift(unsigned level)
{
	return DIGIT * level;
}

static uint64_t rotate_left(uint64_t v, unsigned n)
{
	return v << (n & 63) | v >> (-n & 63);
}

static uint64_t rotate_right(uint64_t v, unsigned n)
{
	return v >> (n & 63) | v << (-n & 63);
}

/* The first tick that is not before the timer's time. */
static uint64_t due_tick(const struct timer *t)
{
	return ((uint64_t)t->at + (1u << WHEEL_TICK_SHIFT) - 1) >> WHEEL_TICK_SHIFT;
}

static void list_push(struct timer **head, struct timer *t)
{
	t->next = *head;
	t->link = head;
	if (t->next)
		t->next->link = &t->next;
	*head = t;
}

static void list_remove(struct timer *t)
{
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->link = NULL;
}

static void place(struct wheel *w, struct timer *t)
{
	uint64_t due = due_tick(t), ahead;
	unsigned level, slot;

	if (due <= w->tick) {
		list_push(&w->due, t);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(due ^ w->tick)) / DIGIT;
	if (level >= WHEEL_LEVELS)
		level = WHEEL_LEVELS - 1;
	ahead = (due >> level_shift(level)) - (w->tick >> level_shift(level));
	slot = (unsigned)((w->tick >> level_shift(level)) + min_u64(ahead, WHEEL_SLOTS - 1)) & SLOT_MASK;
	list_push(&w->slot[level][slot], t);
	w->used[level] |= UINT64_C(1) << slot;
}

void wheel_init(struct wheel *w, uint64_t now)
{
	*w = (struct wheel){.tick = now >> WHEEL_TICK_SHIFT};
}

void timer_set(struct wheel *w, struct timer *t, uint64_t at)
{
	timer_cancel(w, t);
	t->at = min_u64(at, TIME_MAX) & TIME_MAX;
	w->armed++;
	place(w, t);
}

void timer_cancel(struct wheel *w, struct timer *t)
{
	struct timer **link = t->link;
	uintptr_t offset;

	if (!link)
		return;
	list_remove(t);
	w->armed--;
	offset = (uintptr_t)link - (uintptr_t)w->slot;
	if (*link == NULL && offset < sizeof(w->slot)) {
		size_t i = offset / sizeof(w->slot[0][0]);

		w->used[i / WHEEL_SLOTS] &= ~(UINT64_C(1) << (i % WHEEL_SLOTS));
	}
}

static void replace_slot(struct wheel *w, unsigned level, unsigned slot)
{
	struct timer *t = w->slot[level][slot];

	w->slot[level][slot] = NULL;
	w->used[level] &= ~(UINT64_C(1) << slot);
	while (t) {
		struct timer *next = t->next;

		place(w, t);
		t = next;
	}
}

/* The slots of a level that its hand passes or reaches on the way from one tick to another. */
static uint64_t passed_slots(unsigned level, uint64_t from, uint64_t to)
{
	uint64_t first = (from >> level_shift(level)) + 1, count = (to >> level_shift(level)) + 1 - first;

	if (count >= WHEEL_SLOTS)
		return UINT64_MAX;
	return rotate_left((UINT64_C(1) << count) - 1, (unsigned)first & SLOT_MASK);
}

/* Far slots first, so that what is due earlier comes to stand before what is due later. */
static void advance(struct wheel *w, uint64_t to)
{
	uint64_t from = w->tick;
	unsigned digits = (63 - (unsigned)__builtin_clzll(from ^ to)) / DIGIT + 1; /* above them no hand moves */

	w->tick = to;
	for (unsigned level = digits < WHEEL_LEVELS ? digits : WHEEL_LEVELS; level-- > 0;) {
		uint64_t passed = w->used[level] & passed_slots(level, from, to);
		unsigned hand = (unsigned)(from >> level_shift(level)) & SLOT_MASK;

		for (uint64_t ring = rotate_right(passed, hand); ring != 0;) {
			unsigned farthest = 63 - (unsigned)__builtin_clzll(ring);

			ring &= ~(UINT64_C(1) << farthest);
			replace_slot(w, level, (hand + farthest) & SLOT_MASK);
		}
	}
}

struct timer *wheel_expire(struct wheel *w, uint64_t now)
{
	struct timer *t;

	if (now >> WHEEL_TICK_SHIFT > w->tick)
		advance(w, now >> WHEEL_TICK_SHIFT);
	t = w->due;
	if (t) {
		list_remove(t);
		w->armed--;
	}
	return t;
}

uint64_t wheel_next(const struct wheel *w)
{
	if (w->due)
		return w->tick << WHEEL_TICK_SHIFT;
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		uint64_t hand = w->tick >> level_shift(level);

		if (w->used[level] != 0) {
			hand += (unsigned)__builtin_ctzll(rotate_right(w->used[level], (unsigned)hand & SLOT_MASK));
			return hand << level_shift(level) << WHEEL_TICK_SHIFT;
		}
	}
	return UINT64_MAX;
}
