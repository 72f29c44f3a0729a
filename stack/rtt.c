/*
 * RTT estimation and RTO (RFC 6298).
 *
 * Fixed point as in Jacobson's paper: srtt holds 8 SRTT and rttvar 4 RTTVAR, so that the gains
 * of 1/8 and 1/4 are shifts and nothing is lost to rounding. Samples are clamped so that neither
 * can overflow.
 */
#include "rtt.h"

#include "types.h"

#define GRANULARITY 256u             /* microseconds: the timing wheel's tick */
#define SAMPLE_MAX (UINT32_MAX / 16) /* 268 s; above any sensible rto_max */
#define BACKOFF_MAX 31u

void rtt_init(struct rtt *r, uint64_t initial_rto)
{
	*r = (struct rtt){.min = UINT32_MAX, .rto = (uint32_t)min_u64(initial_rto, UINT32_MAX)};
}

/* RFC 6298 2.2 and 2.3: RTO <- SRTT + max (G, K*RTTVAR) */
static void set_rto(struct rtt *r, const struct rtt_limits *limits)
{
	uint64_t rto = (uint64_t)r->srtt / 8 + max_u64(max_u32(GRANULARITY, r->rttvar), limits->margin);

	r->rto = (uint32_t)min_u64(min_u64(max_u64(rto, limits->min), limits->max), UINT32_MAX);
}

void rtt_resume(struct rtt *r, uint32_t srtt, uint32_t rttvar, uint32_t min, const struct rtt_limits *limits)
{
	r->srtt = srtt;
	r->rttvar = rttvar;
	r->min = min;
	if (srtt > 0)
		set_rto(r, limits);
}

void rtt_sample(struct rtt *r, uint64_t sample, const struct rtt_limits *limits)
{
	uint32_t rtt = (uint32_t)max_u64(min_u64(sample, SAMPLE_MAX), 1);

	if (r->srtt == 0) {
		/* 2.2: SRTT <- R, RTTVAR <- R/2 */
		r->srtt = 8 * rtt;
		r->rttvar = 2 * rtt;
	} else {
		/* 2.3: RTTVAR first, with the old SRTT */
		uint32_t old = r->srtt / 8, error = rtt > old ? rtt - old : old - rtt;

		r->rttvar = r->rttvar - r->rttvar / 4 + error;
		r->srtt = r->srtt - old + rtt;
	}
	r->min = min_u32(r->min, rtt);
	set_rto(r, limits);
	r->backoff = 0;
}

void rtt_back_off(struct rtt *r)
{
	if (r->backoff < BACKOFF_MAX)
		r->backoff++;
}

void rtt_reset_backoff(struct rtt *r)
{
	r->backoff = 0;
}

uint64_t rtt_timeout(const struct rtt *r, uint64_t rto_max)
{
	return min_u64((uint64_t)r->rto << r->backoff, rto_max);
}
