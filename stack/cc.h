/*
 * Congestion control (RFC 5681): an algorithm is a table of functions on a small state.
 * It knows nothing of sockets. Windows in bytes, times in microseconds.
 */
#ifndef BYWAY_STACK_CC_H
#define BYWAY_STACK_CC_H

#include <stdbool.h>
#include <stdint.h>

struct cc {
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t acked;          /* bytes counted towards the next increase (RFC 3465) */
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
};
extern const struct cc_ops cc_newreno;

#endif
