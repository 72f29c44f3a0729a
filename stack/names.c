/* Texts for enumerations. Each table is as long as its enumeration, or this does not compile. */
#include "tcp.h"

static const char *const state_names[] = {
	[TCP_CLOSED] = "CLOSED", [TCP_LISTEN] = "LISTEN", [TCP_SYN_SENT] = "SYN-SENT",
	[TCP_SYN_RECEIVED] = "SYN-RECEIVED", [TCP_ESTABLISHED] = "ESTABLISHED",
	[TCP_FIN_WAIT_1] = "FIN-WAIT-1", [TCP_FIN_WAIT_2] = "FIN-WAIT-2",
	[TCP_CLOSE_WAIT] = "CLOSE-WAIT", [TCP_CLOSING] = "CLOSING", [TCP_LAST_ACK] = "LAST-ACK",
	[TCP_TIME_WAIT] = "TIME-WAIT",
};
_Static_assert(ARRAY_SIZE(state_names) == TCP_STATE_COUNT, "a name for each state");

static const char *const cause_names[] = {
	[CAUSE_ACTIVE_OPEN] = "connect: SYN sent",
	[CAUSE_PASSIVE_OPEN] = "listen",
	[CAUSE_SYN_RECEIVED] = "SYN received",
	[CAUSE_SYN_ACK_RECEIVED] = "SYN and ACK of our SYN received",
	[CAUSE_ACK_OF_SYN] = "ACK of our SYN received",
	[CAUSE_CLOSE] = "owner closed",
	[CAUSE_SHUTDOWN] = "owner shut down sending",
	[CAUSE_FIN_RECEIVED] = "FIN received",
	[CAUSE_ACK_OF_FIN] = "ACK of our FIN received",
	[CAUSE_RST_RECEIVED] = "RST received",
	[CAUSE_RST_SENT] = "RST sent",
	[CAUSE_TIMEOUT] = "no answer, retries exhausted",
	[CAUSE_ABORT] = "owner aborted",
	[CAUSE_ICMP] = "ICMP error received",
	[CAUSE_DESTROYED] = "killed by the administrator",
	[CAUSE_TIME_WAIT_OVER] = "2 MSL passed",
	[CAUSE_NO_MEMORY] = "memory budget exhausted",
	[CAUSE_FIN_WAIT_2_OVER] = "no FIN from the peer in time",
};
_Static_assert(ARRAY_SIZE(cause_names) == CAUSE_COUNT, "a name for each cause");

static const char *const timer_names[] = {
	[STACK_TIMER_REXMT] = "retransmit", [STACK_TIMER_PERSIST] = "persist",
	[STACK_TIMER_DELACK] = "delayed-ack", [STACK_TIMER_KEEPALIVE] = "keepalive",
	[STACK_TIMER_FIN_WAIT_2] = "fin-wait-2", [STACK_TIMER_LOSS_PROBE] = "loss-probe",
	[STACK_TIMER_REORDER] = "reorder", [STACK_TIMER_PACE] = "pacing", [STACK_TIMER_TIME_WAIT] = "time-wait",
};
_Static_assert(ARRAY_SIZE(timer_names) == STACK_TIMER_COUNT, "a name for each timer");
_Static_assert((int)TCB_PACE == (int)STACK_TIMER_PACE && (int)TCB_REST == (int)STACK_TIMER_TIME_WAIT,
	       "a tcb's deadlines are in the order of enum stack_timer");

static const struct { const char *name, *help; } counter_names[] = {
#define COUNTER_NAME(id, name, help) {name, help},
	STACK_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};
_Static_assert(ARRAY_SIZE(counter_names) == COUNTER_COUNT, "a name for each counter");

const char *stack_tcp_state_name(enum tcp_state state)
{
	return (unsigned)state < ARRAY_SIZE(state_names) ? state_names[state] : "?";
}

const char *tcp_cause_name(enum tcp_cause cause)
{
	return (unsigned)cause < ARRAY_SIZE(cause_names) ? cause_names[cause] : "?";
}

const char *stack_timer_name(enum stack_timer timer)
{
	return (unsigned)timer < ARRAY_SIZE(timer_names) ? timer_names[timer] : "?";
}

size_t stack_counter_count(void)
{
	return COUNTER_COUNT;
}

const char *stack_counter_name(size_t i)
{
	return i < COUNTER_COUNT ? counter_names[i].name : NULL;
}

const char *stack_counter_help(size_t i)
{
	return i < COUNTER_COUNT ? counter_names[i].help : NULL;
}

uint64_t stack_counter(const struct stack *s, size_t i)
{
	return i == COUNT_mem_failures ? s->mem.failures : i < COUNTER_COUNT ? s->counter[i] : 0;
}

uint64_t stack_bytes_moved(const struct stack *s)
{
	return s->counter[COUNT_tcp_in_bytes] + s->counter[COUNT_tcp_out_bytes];
}

bool stack_half_open_full(const struct stack *s)
{
	return s->half_open_count >= s->cfg.half_open_max;
}
