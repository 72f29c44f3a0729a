/*
 * Congestion control (RFC 5681): an algorithm is a table of functions on a small state.
 * It knows nothing of sockets. Windows in bytes, times in microseconds, rates in bytes a second.
 *
 * What goes in: ACKs, losses, timeouts, and for an algorithm that wants it a sample of the
 * delivery rate with every ACK (rate.h). What comes out: cwnd, ssthresh and a pacing rate.
 */
#ifndef BYWAY_STACK_CC_H
#define BYWAY_STACK_CC_H

#include "rate.h"

#include <stdbool.h>
#include <stdint.h>

#define CC_SSTHRESH_NONE UINT32_MAX /* no loss yet */
#define CC_CWND_MAX (UINT32_C(1) << 30) /* the largest window there is (RFC 7323 2.3) */

struct bbr; /* cc_bbr.c */

struct cc {
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t acked;          /* bytes counted towards the next increase (RFC 3465) */
	uint32_t pacing_rate;    /* what the algorithm asks for; 0: nothing */
	union {
		struct {
			uint32_t w_max; /* cwnd at the last reduction, bytes */
			uint32_t prior; /* cwnd before the last reduction */
			union {
				struct { /* congestion avoidance */
					uint32_t epoch_ms;  /* when it began */
					uint32_t last_ms;   /* the last ACK of it */
					uint32_t origin;    /* the curve's plateau, bytes */
					uint32_t k_ms;      /* from the epoch to the plateau, milliseconds */
					uint32_t w_est;     /* what Reno would have, bytes; 0: has not begun */
					uint32_t est_acked; /* as `acked`, for w_est */
				};
				struct { /* the first slow start: HyStart++ (RFC 9406) */
					uint32_t rtt_last, rtt_now, rtt_baseline; /* least of a round; UINT32_MAX: none */
					uint8_t samples;    /* in this round */
					uint8_t css_rounds; /* of conservative slow start; 0: not in it */
				};
			};
		} cubic;
		struct bbr *bbr; /* state_size bytes of the caller's */
	};
};

/* What BBR believes of the path, for those who look in. */
struct cc_bbr_info {
	const char *mode;    /* "startup", "drain", "probe-bw-down", ... */
	uint64_t bw;         /* bytes a second */
	uint32_t min_rtt;    /* microseconds; 0: not known */
	uint32_t pacing_gain, cwnd_gain; /* times 256 */
	uint32_t inflight_hi, inflight_lo; /* bytes; UINT32_MAX: none */
};

struct cc_ops {
	const char *name;
	uint16_t state_size; /* bytes of zeroed memory that the caller hangs into `struct cc` before init; 0: none */
	/*
	 * A new connection; mss in bytes; srtt of the handshake, 0: none. Initial window of
	 * RFC 6928: 10 segments.
	 */
	void (*init)(struct cc *c, uint32_t mss, uint64_t srtt, uint64_t now);
	/* `acked` new bytes while not recovering; limited: the window was in full use (RFC 7661 4.1). */
	void (*acked)(struct cc *c, uint32_t acked, uint32_t mss, bool limited, uint64_t now, uint64_t srtt);
	/* Loss found by duplicate ACKs with `flight` bytes out: sets ssthresh and cwnd (RFC 5681 3.2). */
	void (*lost)(struct cc *c, uint32_t flight, uint32_t mss, uint64_t now);
	/* Retransmission timeout (RFC 5681 3.1): ssthresh only the first time for one loss. */
	void (*timed_out)(struct cc *c, uint32_t flight, uint32_t mss, bool first, uint64_t now);
	/* The window was not used and falls to `cwnd`, which is no more than it is (RFC 2861 3). */
	void (*unused)(struct cc *c, uint32_t cwnd, uint64_t now);
	/* A round-trip time was measured; round: a window's worth has been acknowledged. May be NULL. */
	void (*sample)(struct cc *c, uint32_t rtt, bool round);
	/*
	 * Every ACK, in recovery too. May be NULL. An algorithm that has it owns cwnd: proportional
	 * rate reduction stays out, and what it has in ssthresh is the window to go back to.
	 */
	void (*rate)(struct cc *c, const struct rate_sample *r, uint32_t mss);
	/* May be NULL. */
	void (*info)(const struct cc *c, struct cc_bbr_info *out);
};
extern const struct cc_ops cc_newreno, cc_cubic, cc_bbr;

/* By name, or NULL. */
const struct cc_ops *cc_find(const char *name);
/* A small number for each, and back. */
unsigned cc_number(const struct cc_ops *ops);
const struct cc_ops *cc_by_number(unsigned number);

/* RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)) */
static inline uint32_t cc_initial_window(uint32_t mss)
{
	uint32_t floor = 2 * mss > 14600 ? 2 * mss : 14600;

	return 10 * mss < floor ? 10 * mss : floor;
}

/*
 * RFC 2861 3: a window that was not used is not to be trusted, but slow start may go back near to
 * where it was.
 */
static inline void cc_shrink(struct cc *c, uint32_t cwnd)
{
	uint32_t most = c->cwnd / 4 * 3;

	if (c->ssthresh < most)
		c->ssthresh = most;
	c->cwnd = cwnd;
	c->acked = 0;
}

/*
 * Bytes that a paced sender lets out at once: a millisecond's worth, in whole segments, at
 * least one below 1.2 Mbit/s and two above, at most 64 KB (draft-ietf-ccwg-bbr 5.6.3).
 */
static inline uint32_t cc_send_quantum(uint32_t rate, uint32_t mss)
{
	uint32_t least = rate < 150000 ? mss : 2 * mss, most = 65160 - 65160 % mss, n = rate / 1000;

	n -= n % mss;
	if (most < least)
		most = least;
	return n < least ? least : n > most ? most : n;
}

#endif
