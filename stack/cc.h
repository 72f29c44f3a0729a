/*
 * Congestion control (RFC 5681): an algorithm is a table of functions on a small state.
 * It knows nothing of sockets. Windows in bytes, times in microseconds.
 */
#ifndef BYWAY_STACK_CC_H
#define BYWAY_STACK_CC_H

#include <stdbool.h>
#include <stdint.h>

#define CC_SSTHRESH_NONE UINT32_MAX /* no loss yet */
#define CC_CWND_MAX (UINT32_C(1) << 30) /* the largest window there is (RFC 7323 2.3) */

struct cc {
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t acked;          /* bytes counted towards the next increase (RFC 3465) */
	union {
		struct {
			uint64_t epoch;     /* when this congestion avoidance began; 0: has not */
			uint32_t w_max;     /* cwnd at the last reduction, bytes */
			uint32_t origin;    /* the curve's plateau, bytes */
			uint32_t k_ms;      /* from the epoch to the plateau, milliseconds */
			uint32_t w_est;     /* what Reno would have, bytes */
			uint32_t est_acked; /* as `acked`, for w_est */
			uint32_t prior;     /* cwnd before the last reduction */
			/* HyStart++ (RFC 9406) */
			uint32_t rtt_last, rtt_now, rtt_baseline; /* least of a round; UINT32_MAX: none */
			uint8_t samples;    /* in this round */
			uint8_t css_rounds; /* of conservative slow start; 0: not in it */
		} cubic;
	};
};

struct cc_ops {
	const char *name;
	/* A new connection; mss in bytes. Initial window of RFC 6928: 10 segments. */
	void (*init)(struct cc *c, uint32_t mss);
	/* `acked` new bytes while not recovering; limited: the window was in full use (RFC 7661 4.1). */
	void (*acked)(struct cc *c, uint32_t acked, uint32_t mss, bool limited, uint64_t now, uint64_t srtt);
	/* Loss found by duplicate ACKs with `flight` bytes out: sets ssthresh and cwnd (RFC 5681 3.2). */
	void (*lost)(struct cc *c, uint32_t flight, uint32_t mss, uint64_t now);
	/* Retransmission timeout (RFC 5681 3.1): ssthresh only the first time for one loss. */
	void (*timed_out)(struct cc *c, uint32_t flight, uint32_t mss, bool first, uint64_t now);
	/* Idle for longer than the RTO (RFC 5681 4.1). */
	void (*idle)(struct cc *c, uint32_t mss);
	/* A round-trip time was measured; round: a window's worth has been acknowledged. May be NULL. */
	void (*sample)(struct cc *c, uint32_t rtt, bool round);
};
extern const struct cc_ops cc_newreno, cc_cubic;

/* By name, or NULL. */
const struct cc_ops *cc_find(const char *name);

/* RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)) */
static inline uint32_t cc_initial_window(uint32_t mss)
{
	uint32_t floor = 2 * mss > 14600 ? 2 * mss : 14600;

	return 10 * mss < floor ? 10 * mss : floor;
}

#endif
