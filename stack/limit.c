/*
 * Token buckets. Time only moves them forward; a bucket that was never used is full.
 * Invariant: tokens <= burst * LIMIT_EVENT after each call.
 */
#include "core.h"

bool limit_allow(struct limit *l, stack_time now, uint32_t rate, uint32_t burst)
{
	uint64_t full = (uint64_t)burst * LIMIT_EVENT;
	stack_time elapsed = now > l->last ? now - l->last : 0;

	if (l->last == 0 || (rate > 0 && elapsed > full / rate))
		l->tokens = full;
	else
		l->tokens = min_u64(full, l->tokens + elapsed * rate);
	l->last = max_u64(now, 1);
	if (l->tokens < LIMIT_EVENT)
		return false;
	l->tokens -= LIMIT_EVENT;
	return true;
}
