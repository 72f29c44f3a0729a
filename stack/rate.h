/*
 * Delivery rate (draft-cheng-iccrg-delivery-rate-estimation): how fast the network delivers,
 * measured with each ACK from what was sent and when. Knows nothing of sockets.
 *
 * Byte counts and microseconds are of 32 bits and wrap; only differences are used, and those of
 * what is in flight are small.
 */
#ifndef BYWAY_STACK_RATE_H
#define BYWAY_STACK_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Of a connection. */
struct rate {
	uint32_t delivered;    /* C.delivered: bytes acknowledged or SACKed so far */
	uint32_t delivered_us; /* C.delivered_time */
	uint32_t sent_us;      /* C.first_send_time: of the window that is being measured */
	uint32_t lost;         /* C.lost: bytes taken for lost so far */
	uint32_t limited;      /* C.app_limited: until `delivered` has passed this, valid while is_limited */
	uint32_t bytes, interval; /* the last good sample, microseconds; interval 0: none */
	bool is_limited;       /* the application has had too little to send */
	bool was_limited;      /* so the last good sample says no more than "at least" */
};

/* As it stood when a segment went out: P.* */
struct rate_mark {
	uint32_t delivered, delivered_us, sent_us, lost;
	uint32_t flight;       /* with the segment, bytes */
	bool limited;
};

/* What one ACK tells. */
struct rate_sample {
	uint64_t now;
	uint32_t delivered;       /* C.delivered */
	uint32_t prior_delivered; /* C.delivered when the newest segment acknowledged went out */
	uint32_t lost;            /* C.lost */
	uint32_t acked;           /* bytes newly acknowledged or SACKed */
	uint32_t bytes, interval; /* delivered in so many microseconds; interval 0: no measurement */
	uint32_t sent_flight;     /* in flight when that segment had gone out; 0: no segment */
	uint32_t sent_lost;       /* taken for lost since it went out */
	uint32_t rtt;             /* of that segment; 0: none */
	uint32_t flight;          /* in the network now, bytes */
	bool limited;             /* the application had too little to send */
	bool cwnd_limited;        /* the window was in full use */
	bool recovery;            /* losses are being repaired */
};

/* Something goes out while `flight` bytes were out: the mark it takes along. */
static inline void rate_sent(struct rate *r, uint64_t now, uint32_t flight, uint32_t len, struct rate_mark *m)
{
	if (flight == 0)
		r->sent_us = r->delivered_us = (uint32_t)now;
	*m = (struct rate_mark){r->delivered, r->delivered_us, r->sent_us, r->lost, flight + len, r->is_limited};
}

/* Nothing more to send, while the window would let out more: `flight` bytes are out. */
static inline void rate_limited(struct rate *r, uint32_t flight)
{
	r->limited = r->delivered + flight;
	r->is_limited = true;
}

/*
 * `acked` bytes have arrived, the newest of which went out at `sent_at` with the mark m (NULL:
 * not known). An interval shorter than min_rtt is none: what came is a burst of ACKs. Fills in *s
 * but for flight, cwnd_limited and recovery.
 */
void rate_acked(struct rate *r, uint32_t acked, const struct rate_mark *m, uint64_t sent_at, uint32_t min_rtt,
		uint64_t now, struct rate_sample *s);
/* Bytes a second of a sample, at most UINT32_MAX. */
uint32_t rate_of(uint32_t bytes, uint32_t interval);

#endif
