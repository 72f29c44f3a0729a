/*
 * What holds the sender up (RFC 4898's SndLim, tcp(7)'s busy_time and its parts): the time in which
 * there was something to send, and how much of it the peer's window or the send buffer was in the way.
 * The window is not, while the congestion window is in the way as well.
 */
#include "tcp.h"

static enum tcp_limit limit_now(const struct tcb *t)
{
	uint32_t unsent, next, flight = tcb_flight(t);

	if (!t->syn_acked || t->detached || (t->sndq.len == 0 && flight == 0))
		return LIMIT_IDLE;
	unsent = tcp_unsent(t);
	next = min_u32(unsent, t->mss);
	if (next > 0 && flight + next > t->snd_wnd && tcb_pipe(t) + next <= t->cc.cwnd)
		return LIMIT_WINDOW;
	return unsent == 0 && t->want_write ? LIMIT_BUFFER : LIMIT_NONE;
}

/* `ms` more of what has been. */
static void add(struct tcb *t, enum tcp_limit limit, uint32_t ms)
{
	switch (limit) {
	case LIMIT_IDLE:
		break;
	case LIMIT_NONE:
		t->conn->busy_ms += ms;
		break;
	case LIMIT_WINDOW:
		COUNT_EXTRA(t, limited_ms[0], ms);
		break;
	case LIMIT_BUFFER:
		COUNT_EXTRA(t, limited_ms[1], ms);
		break;
	}
}

void tcp_chrono(struct tcb *t)
{
	enum tcp_limit now = limit_now(t);
	uint32_t ms = to_ms(tcb_stack(t)->now);

	if (now == t->limit)
		return;
	add(t, (enum tcp_limit)t->limit, ms - t->limit_ms);
	t->limit = (unsigned)now & 3u;
	t->limit_ms = ms;
}

uint64_t tcp_limited(const struct tcb *t, enum tcp_limit limit)
{
	const struct extra *extra = conn_noted(t->conn);
	uint32_t ms = limit == LIMIT_NONE ? t->conn->busy_ms : extra->limited_ms[limit == LIMIT_BUFFER];

	return MILLISECONDS(ms + (limit == t->limit ? to_ms(tcb_stack(t)->now) - t->limit_ms : 0));
}
