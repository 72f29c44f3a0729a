/* See rate.h. */
#include "rate.h"

#include "types.h"

uint32_t rate_of(uint32_t bytes, uint32_t interval)
{
	return interval ? (uint32_t)min_u64((uint64_t)bytes * 1000000 / interval, UINT32_MAX) : 0;
}

/* The last good sample for those who look in; one that the application held back counts if it is no less. */
static void keep(struct rate *r, const struct rate_sample *s)
{
	if (s->limited && (uint64_t)s->bytes * r->interval < (uint64_t)r->bytes * s->interval)
		return;
	r->bytes = s->bytes;
	r->interval = s->interval;
	r->was_limited = s->limited;
}

/* Draft 3.3, UpdateRateSample and GenerateRateSample. */
void rate_acked(struct rate *r, uint32_t acked, const struct rate_mark *m, uint64_t sent_at, uint32_t min_rtt,
		uint64_t now, struct rate_sample *s)
{
	uint32_t send_elapsed, ack_elapsed;

	*s = (struct rate_sample){.now = now, .acked = acked, .lost = r->lost};
	if (acked > 0) {
		r->delivered += acked;
		r->delivered_us = (uint32_t)now;
	}
	s->delivered = s->prior_delivered = r->delivered;
	if (r->is_limited && (int32_t)(r->delivered - r->limited) > 0)
		r->is_limited = false;
	if (!m || acked == 0)
		return;
	send_elapsed = (uint32_t)sent_at - m->sent_us;
	ack_elapsed = (uint32_t)now - m->delivered_us;
	r->sent_us = (uint32_t)sent_at;
	s->prior_delivered = m->delivered;
	s->sent_flight = m->flight;
	s->sent_lost = r->lost - m->lost;
	s->limited = m->limited;
	s->rtt = (uint32_t)max_u64(min_u64(now - sent_at, UINT32_MAX), 1);
	s->bytes = r->delivered - m->delivered;
	s->interval = max_u32(send_elapsed, ack_elapsed);
	if (s->interval < min_rtt || s->interval == 0)
		s->interval = 0;
	else
		keep(r, s);
}
