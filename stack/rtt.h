/* Round-trip time and retransmission timeout (RFC 6298). Knows nothing of sockets. Microseconds. */
#ifndef BYWAY_STACK_RTT_H
#define BYWAY_STACK_RTT_H

#include <stdint.h>

struct rtt {
	uint32_t srtt;    /* smoothed, times 8; 0: no sample yet */
	uint32_t rttvar;  /* variation, times 4 */
	uint32_t min;     /* least sample; UINT32_MAX: none */
	uint32_t rto;     /* without backoff */
	uint8_t backoff;  /* doublings in force */
};
void rtt_init(struct rtt *r, uint64_t initial_rto);
struct rtt_limits {
	uint64_t min, max; /* of the RTO */
	uint64_t margin;   /* what it has beside SRTT, at least */
};
/* A sample (Karn's rule is the caller's); ends the backoff. */
void rtt_sample(struct rtt *r, uint64_t sample, const struct rtt_limits *limits);
/* Goes on from what was measured before; srtt 0: nothing was. */
void rtt_resume(struct rtt *r, uint32_t srtt, uint32_t rttvar, uint32_t min, const struct rtt_limits *limits);
void rtt_back_off(struct rtt *r);
void rtt_reset_backoff(struct rtt *r);
/* With backoff, clamped to rto_max. */
uint64_t rtt_timeout(const struct rtt *r, uint64_t rto_max);

#endif
