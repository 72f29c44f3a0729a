/*
 * TCP's control blocks in their forms, and what the files tcp_*.c share. Nobody else
 * includes this, except socket.c and info.c.
 *
 *   struct listener    LISTEN: the accept queue; the half-open ones find it through the table
 *   struct half_open   SYN-RECEIVED made by a listener: no buffers, no queue
 *   struct conn        everything from ESTABLISHED on, and our own opens: what its holder has, with
 *   struct tcb           what it needs while anything moves, or
 *   struct rest          what is left of that while nothing does (tcp_rest.c)
 *   struct time_wait   TIME-WAIT: what answers late segments, and no more
 *
 * Sequence space of a tcb (RFC 9293 3.3.1). The send queue's first byte is at snd_una, or at
 * iss + 1 while our SYN is not acknowledged; the FIN follows its last byte:
 *
 *   snd_una            snd_rtx              snd_nxt            queue's end    FIN
 *      |--- sent, to be sent again ---|--- sent ---|--- not sent yet ---|-----|
 *
 * snd_rtx == snd_nxt when nothing is to be sent again. With SACK the scoreboard knows what is
 * to be sent again, and snd_rtx stays at snd_nxt.
 */
#ifndef BYWAY_STACK_TCP_H
#define BYWAY_STACK_TCP_H

#include "cc.h"
#include "net.h"
#include "rate.h"
#include "rtt.h"
#include "scoreboard.h"

#define TCP_MSS_DEFAULT 536U /* RFC 9293 3.7.1 */
#define TCP_MSS_MIN 88u      /* less than this would make a peer's option an attack (row T6) */
#define TCP_MTU_MIN PATH_MTU_MIN /* row C5 */
#define TCP_WINDOW_UNSCALED 65535u
#define PACING_UNLIMITED UINT32_MAX

/* Deadlines of one tcb; the order is that of enum stack_timer. */
enum tcb_timer {
	TCB_REXMT, TCB_PERSIST, TCB_DELACK, TCB_KEEPALIVE, TCB_FIN_WAIT_2,
	TCB_LOSS_PROBE, /* RFC 8985 7: TLP */
	TCB_REORDER,    /* RFC 8985 6.2: waits for what may only be late */
	TCB_PACE,       /* what is paced may go on */
	TCB_REST,       /* is it idle? Shown to nobody */
	TCB_TIMER_COUNT
};

#define TCB_NEVER UINT32_MAX

/* Why a state changed; the texts are in names.c. */
enum tcp_cause {
	CAUSE_ACTIVE_OPEN, CAUSE_PASSIVE_OPEN, CAUSE_SYN_RECEIVED, CAUSE_SYN_ACK_RECEIVED,
	CAUSE_ACK_OF_SYN, CAUSE_CLOSE, CAUSE_SHUTDOWN, CAUSE_FIN_RECEIVED, CAUSE_ACK_OF_FIN,
	CAUSE_RST_RECEIVED, CAUSE_RST_SENT, CAUSE_TIMEOUT, CAUSE_ABORT, CAUSE_ICMP, CAUSE_DESTROYED,
	CAUSE_TIME_WAIT_OVER, CAUSE_NO_MEMORY, CAUSE_FIN_WAIT_2_OVER,
	CAUSE_COUNT
};
const char *tcp_cause_name(enum tcp_cause cause);

/* A stretch of data that came out of order. Sorted by seq; never touching or overlapping. */
#define OOO_LATEST 4u /* as many as one ACK has blocks */
struct ooo_range {
	struct ooo_range *next;
	seq32 seq;
	struct byteq data;
};
/* As many as the data in them pays for: whoever sends single bytes makes us look through few (row T8). */
#define OOO_RANGES_MAX 1024u
#define OOO_RANGES_LEAST 64u

/* What came out of order or twice; allocated while there is something of it to keep or to report. */
struct ooo {
	struct ooo_range *head;
	/* Which took something in last, the latest first: the next segment belongs to [0] most often; NULL: no more of them. */
	struct ooo_range *latest[OOO_LATEST];
	uint32_t bytes;
	uint16_t ranges;
	bool fin;     /* the peer's FIN has come before its data */
	seq32 fin_seq;
	seq32 recent; /* start of what came last: the first SACK block (RFC 2018 4) */
	seq32 dsack_left, dsack_right; /* duplicate to report (RFC 2883); equal: none */
};

enum tcp_recovery {
	RECOVERY_OPEN, /* no loss known */
	RECOVERY_FAST, /* a loss was found by ACKs: NewReno (RFC 6582), or RACK and PRR with SACK */
	RECOVERY_LOSS, /* after a timeout: what had waited longest counts as lost (RFC 8985 6.3); without SACK all of it */
	RECOVERY_CWR   /* no loss, but a mark (RFC 3168): with SACK the window goes down as in a recovery */
};

/* RFC 5682: what has gone out since the timeout. */
enum frto {
	FRTO_OFF,
	FRTO_HEAD, /* the first segment, again */
	FRTO_NEW   /* then new data up to `recover` and two segments; the rest waits for what the ACK tells */
};

/* Needed only around a recovery or a loss probe, see tcp_undo.c. */
struct recovery {
	struct cc cc;        /* before it; valid while `undo` or `doubtful` */
	uint32_t delivered, out, flight; /* RFC 9937: prr_delivered, prr_out, RecoverFS, bytes */
	uint32_t ts;         /* our timestamp when something was first sent again; 0: nothing yet */
	uint32_t doubtful;   /* bytes sent again that no D-SACK has reported */
	uint32_t probe_flight; /* bytes in flight when the loss probe went out */
	seq32 probe_end;     /* SND.NXT after it had */
	uint32_t probe_ts;   /* our timestamp then */
	seq32 start, end;    /* SND.UNA at its beginning; SND.NXT when it was over */
	uint8_t frto;        /* enum frto */
	bool undo;           /* a timestamp can still undo it */
	bool probe_again;    /* the probe was a retransmission */
	bool twice;          /* a retransmission was lost too */
};

/* The byte at RCV.UP - 1. */
enum urgent { URGENT_NONE, URGENT_UNREAD, URGENT_READ };

/* What the sender is held up by. */
enum tcp_limit { LIMIT_IDLE, LIMIT_NONE, LIMIT_WINDOW, LIMIT_BUFFER };

struct tcp_change { uint8_t state, cause; }; /* what it changed to, and why */

/*
 * Of a connection through which nothing moves: the fields of its tcb that are not as in a new one.
 * The first of them are in sock.spare (tcp_rest.c).
 */
struct rest {
	uint32_t send_limit, recv_limit, rcv_space, rcv_rtt;
	uint32_t srtt, rttvar, rtt_min;
	uint32_t cwnd, ssthresh;
	uint32_t delivery_rate; /* of the last sample, bytes a second */
	uint32_t data_received_ms, last_received_ms, last_sent_ms, ts_recent_ms;
	uint16_t mss_peer, mtu, mss_seen, syn_bytes;
	uint8_t reorder_steps, quick;
	uint8_t cc; /* cc_number */
	uint8_t snd_scale : 4, rcv_scale : 4;
	uint8_t fastopen_failure : 2;
	uint8_t reorder_persist : 5;
	bool ts_on : 1, ws_on : 1, sack_on : 1, ecn_on : 1, pingpong : 1, reordering : 1;
	bool mtu_carried : 1, send_fixed : 1, recv_fixed : 1, fastopen : 1, syn_data : 1, rate_limited : 1;
};

#define HISTORY_EARLY 2u /* state changes that every connection has */
#define HISTORY_LATE (STACK_HISTORY - HISTORY_EARLY)

/* What few connections have, or late in their life: made when it is needed (tcp_state.c). */
struct extra {
	struct timer timer; /* at rest: the keepalive */
	struct conn *conn;
	uint64_t bytes_retransmitted;
	uint32_t dupacks_in, ooo_in;
	uint32_t limited_ms[2]; /* by the peer's window, and by the buffer */
	uint16_t reorder_degree, reorder_seen; /* segments that data was overtaken by at most, and how often */
};

/* A connection: what its holder and the table know it by, through its whole life. */
struct conn {
	struct sock sock;
	union {
		struct tcb *tcb;
		struct extra *extra; /* while at_rest; else the tcb has it */
	};
	stack_time created;
	uint64_t bytes_acked, bytes_received;
	uint32_t segments_in, segments_out, data_in, data_out, retransmissions;
	uint32_t busy_ms;    /* there was something to send */
	uint32_t second_ms;  /* when the second of the changes was; the first was at `created` */
	struct tcp_change history[HISTORY_EARLY];
	uint8_t history_first; /* the state before the first */
	uint8_t history_count : 7;
	bool at_rest : 1;    /* nothing moves: there is no tcb, and `rest` is all that is left of it */
	union {
		struct rest rest; /* valid while at_rest */
		struct {          /* the changes after the first ones: one with such a history is never at rest again */
			uint32_t late_ms[HISTORY_LATE];
			struct tcp_change late[HISTORY_LATE];
		};
	};
};

/*
 * In the order in which a segment in the middle of a stream needs them, for it to touch few cache
 * lines: the first block with every segment, the second with data that comes, the third with data
 * that goes and its ACKs; the rest now and then. Whole lines long, and aligned to them (pool.h).
 */
struct tcb {
	struct conn *conn;
	struct stack *stack;
	struct tcb *dirty_next, **dirty_link; /* in stack->dirty; link NULL: not queued */

	/* send sequence space */
	seq32 snd_una, snd_nxt;
	uint32_t snd_wnd, max_snd_wnd; /* bytes, scaled */
	seq32 snd_wl1, snd_wl2;
	/* receive sequence space */
	seq32 rcv_nxt;
	seq32 rcv_adv; /* right edge of the window as advertised; never moves left */

	seq32 last_ack_sent; /* RFC 7323 4.3 */
	uint32_t ts_recent;  /* RFC 7323 4.3 */
	union {
		uint32_t ts_recent_ms; /* ts_on: our ms clock when it was set */
		uint32_t rcv_mark_at;  /* else: when the sample for rcv_rtt began, as rcv_began */
	};
	uint32_t deadline[TCB_TIMER_COUNT]; /* ticks of the wheel, modulo 2^32; TCB_NEVER: not running */
	struct ooo *ooo; /* NULL: nothing */
	struct recovery *rec; /* NULL: there is none, or no memory for it */
	stack_time last_received;
	uint8_t snd_scale : 4, rcv_scale : 4;

	bool held : 1;        /* somebody has the handle */
	bool user_closed : 1; /* the owner is gone for good */
	bool ack_now : 1;     /* an ACK must go out */
	bool rtx_one : 1;     /* fast recovery: send the segment at snd_una again */
	bool fin_queued : 1;  /* our FIN follows the send queue */
	bool fin_sent : 1;    /* snd_nxt includes it */
	bool fin_received : 1;
	bool syn_acked : 1;
	bool rtt_timing : 1;
	bool nodelay : 1;
	bool cork : 1;        /* TCP_CORK: only full segments, for as long as the persist timer lets it */
	bool more : 1;        /* more follows what was written last: it waits for that, or for the next ACK */
	bool unpushed : 1;    /* and is not pushed */
	bool keepalive : 1;
	bool pingpong : 1;    /* both sides talk: ACKs wait for data to ride on */
	bool ts_on : 1, ws_on : 1, sack_on : 1, ecn_on : 1;
	bool ecn_echo : 1;    /* we saw a mark: ECE on every ACK until the peer says CWR */
	bool ecn_cwr : 1;     /* we have reduced: CWR goes with the next new data */
	bool want_write : 1;  /* the writer found no room: tell it when there is */
	bool reordering : 1;  /* seen on this connection */
	bool probe_out : 1;   /* a loss probe is unanswered */
	bool detached : 1;    /* a struct time_wait has taken its place in the table */
	bool override : 1;    /* the persist timer is the sender's SWS override, not for a probe */
	bool push_all : 1;    /* the override has fired: send what there is */
	uint8_t limit : 2;    /* enum tcp_limit: since limit_ms */
	uint8_t urgent : 2;   /* enum urgent */
	bool urgent_out : 1;  /* we have sent urgent data that is not acknowledged */
	bool stalled : 1;     /* stalled_ms is valid: timeouts or probes since, and nothing acknowledged */
	bool paced : 1;
	bool pace_waits : 1;  /* there is something that waits for pace_at */
	bool cwnd_limited : 1; /* the window was full when max_flight was noted */
	bool send_fixed : 1, recv_fixed : 1; /* send_limit, recv_limit do not grow */
	bool mtu_carried : 1; /* a full segment of this size has been acknowledged */
	bool fastopen : 1;    /* our open uses Fast Open (RFC 7413): our first SYN does */
	bool fastopen_no_cookie : 1; /* and does not ask for a cookie */
	bool fastopen_pending : 1; /* opened early: in SYN-RECEIVED, and data may be sent */
	bool fastopen_offer : 1;   /* our SYN-ACK brings a new cookie, */
	bool fastopen_experimental : 1; /* in the older form */
	bool syn_data : 1;    /* data in a SYN was taken */
	uint8_t fastopen_failure : 2; /* enum stack_fastopen_failure */
	uint8_t recovery : 2; /* enum tcp_recovery */
	uint8_t reorder_persist : 5; /* recoveries without D-SACK until reorder_steps is one again */
	/* sizes: payload bytes of a full segment, each way */
	uint16_t mss;      /* what we send: peer's MSS or path MTU, less our options */
	uint16_t mss_seen; /* the largest segment that came */
	uint8_t quick;    /* so many more ACKs are not delayed (TCP_QUICKACK) */
	uint8_t keepalive_sent;

	/* ---- data that comes ---- */
	uint16_t ato_ms;     /* what an ACK is delayed by: follows the gaps between segments; 0: no data yet */
	struct byteq rcvq;
	uint32_t recv_limit; /* bytes */
	/* tuning of the receive window (tcp_buffer.c) */
	uint32_t rcv_space;    /* bytes that the reader took in the best round trip so far */
	uint32_t rcv_rtt;      /* round-trip time as the receiver sees it, microseconds; 0: not known */
	seq32 rcv_taken;       /* up to where the reader had read when this round trip began */
	uint32_t rcv_began;    /* when it did: low bits of the clock, microseconds */
	uint32_t rcv_mark;     /* of the RTT sample: with timestamps the last echo, else RCV.NXT at its end */
	/* acknowledging */
	uint32_t ack_bytes;  /* received since our last ACK */
	uint32_t data_received_ms; /* when data came last, or could come first */
	struct timer timer;        /* at the soonest deadline, or before */

	/* ---- data that goes, loss and congestion ---- */
	struct byteq sndq;
	struct records *records; /* tcp_record.c; NULL: there are none */
	struct mtu_search *mtu_search; /* tcp_mtu.c; NULL: nothing to look for */
	uint32_t send_limit; /* bytes */
	uint32_t max_flight; /* most in flight at once in this round trip, or in the last one when the window was full */
	struct cc cc;
	struct scoreboard board;
	struct rate rate;    /* of delivery */
	struct rtt rtt;
	seq32 snd_rtx;
	const struct cc_ops *cc_ops;
	uint64_t bytes_sent;
	stack_time last_sent, rtt_started;
	/* with SACK: RACK-TLP (RFC 8985) */
	uint64_t rack_at;     /* when the most recently sent of what was delivered went out */
	seq32 rack_end, fack; /* its end; the highest end delivered */
	uint32_t rack_rtt;    /* its round-trip time */
	seq32 flight_end;    /* the round trip of max_flight is over when this is acknowledged */
	uint32_t cwnd_ms;    /* when the window was last full, or was cut for not being used */
	seq32 snd_small; /* end of the last segment sent that was not full (Nagle, as Minshall has it) */
	seq32 round_end; /* a round trip of the congestion control ends when this is acknowledged */
	seq32 recover;  /* recovery ends when this is acknowledged */
	uint32_t ts_offset;  /* of our timestamps, so that they do not tell our uptime */
	uint32_t limit_ms; /* since when it is held up as `limit` says */
	uint16_t not_pushed; /* bytes that have gone since the last PSH, or more than that */
	uint16_t confirm_s;  /* second in which the neighbour was last confirmed */
	uint8_t retries;  /* timeouts or probes in a row */
	uint8_t reorder_steps; /* quarters of the least RTT (RFC 8985 6.2, step 4) */
	int16_t soft_error; /* positive errno, reported when we give up (RFC 1122 4.2.3.9) */

	/* ---- now and then ---- */
	uint16_t dupacks;
	uint16_t mss_peer; /* the peer's option */
	uint16_t mtu;      /* of the path */
	uint16_t syn_bytes;  /* of our SYN's data that the answer acknowledged */
	struct extra *extra;       /* NULL: there has been no need */
	struct listener *listener; /* whose accept queue holds it; NULL: accepted, or our own open */
	stack_time pace_at;  /* nothing new before that, when paced */
	seq32 iss, irs;
	seq32 rcv_up;  /* behind the last urgent byte; valid while `urgent` */
	seq32 snd_up; /* behind the last urgent byte that we have written; valid while urgent_out */
	seq32 ecn_point; /* no further reduction for marks until more than this is acknowledged */
	seq32 rtt_seq;  /* sample ends when this is acknowledged; valid while rtt_timing */
	seq32 reorder_until;  /* the reordering window stays wide until this is acknowledged */
	uint32_t stalled_ms; /* since when nothing was acknowledged (the user timeout), milliseconds */
	uint32_t challenge_ms; /* no challenge ACK before that, milliseconds */
};

struct listener {
	struct sock sock;
	struct sock *accept_head, **accept_tail; /* by event_next and event_link: of what nobody holds, no event speaks */
	uint32_t accept_length, accept_limit; /* connections */
	uint32_t half_open;
	uint64_t refused; /* handshakes held up by a full queue */
	/* Fast Open (RFC 7413 5.1) */
	uint32_t fastopen_pending, fastopen_held; /* connections opened early, and slots taken by a RST, */
	stack_time fastopen_held_until;           /* all until then */
};

struct half_open {
	struct pcb pcb;
	struct timer timer;
	seq32 iss, irs;
	uint32_t created_ms;
	uint32_t ts_recent;
	uint16_t mss;         /* the peer's */
	uint16_t rcv_wnd;     /* as our SYN-ACK says it */
	uint8_t snd_scale : 4, rcv_scale : 4; /* as announced; 0 without ws_on */
	uint8_t retries;
	bool ts_on : 1, ws_on : 1, sack_ok : 1, ecn_ok : 1;
	bool retransmitted : 1; /* Karn: no RTT sample from the handshake */
	bool cookie : 1;        /* not in the table: a SYN cookie answers */
	bool deferred : 1;      /* complete, but TCP_DEFER_ACCEPT waits for data */
	bool blocked : 1;       /* complete, but the accept queue was full */
	bool fastopen_offer : 1, fastopen_experimental : 1; /* the SYN-ACK brings a Fast Open cookie; its form */
};

/* Room for half-open connections; there is one more for each time that the limit was raised. */
struct half_slab {
	struct half_slab *next;
	uint32_t count; /* entries */
	struct half_open entry[];
};

/*
 * 64 bytes: what servers that close first have most of. The list's pointers are of 48 bits, which is
 * what a process has addresses of; a block that lies elsewhere is not taken (tcp_timewait.c).
 */
struct time_wait {
	struct pcb pcb; /* the id is that of the connection */
	uint64_t next : 48, window : 16; /* window: as we last advertised, unscaled */
	uint64_t previous : 48, ts_on : 1;
	uint32_t expires_ms;
	seq32 rcv_nxt, snd_nxt;
	uint32_t ts_recent;
};

static inline struct conn *conn_of(struct sock *sock) { return CONTAINER_OF(sock, struct conn, sock); }
/* NULL: at rest. */
static inline struct tcb *conn_tcb(const struct conn *c) { return c->at_rest ? NULL : c->tcb; }
static inline const struct conn *conn_of_const(const struct sock *sock) { return CONTAINER_OF(sock, const struct conn, sock); }
static inline enum tcp_state tcb_state(const struct tcb *t) { return (enum tcp_state)t->conn->sock.pcb.state; }
static inline struct stack *tcb_stack(const struct tcb *t) { return t->stack; }
static inline struct stack_endpoint pcb_local(const struct pcb *p) { return (struct stack_endpoint){pcb_local_addr(p), p->lport}; }
static inline struct stack_endpoint pcb_remote(const struct pcb *p) { return (struct stack_endpoint){pcb_remote_addr(p), p->rport}; }
static inline uint32_t to_ms(stack_time t) { return (uint32_t)(t / 1000); }
/* Milliseconds of 32 bits, as small records keep them, to the time that they mean: not after now. */
static inline stack_time from_ms(stack_time now, uint32_t ms) { return now - MILLISECONDS((uint32_t)(to_ms(now) - ms)); }
/* Our timestamp clock: milliseconds. */
static inline uint32_t ts_now(const struct stack *s, uint32_t offset) { return to_ms(s->now) + offset; }
/* Is something taken for lost, or was it when this round trip began? */
static inline bool tcb_repairing(const struct tcb *t)
{
	return t->recovery == RECOVERY_FAST || t->recovery == RECOVERY_LOSS;
}
static inline uint32_t tcb_flight(const struct tcb *t) { return t->snd_nxt.v - t->snd_una.v; }
/* Bytes believed to be in the network. */
static inline uint32_t tcb_pipe(const struct tcb *t)
{
	return t->sack_on ? scoreboard_pipe(&t->board, tcb_flight(t)) : tcb_flight(t);
}
/* SND.UNA < seq =< SND.NXT: what ends at seq awaits its ACK. Any other mark is past, be it by more than 2^31. */
static inline bool tcb_awaited(const struct tcb *t, seq32 seq) { return seq_in(seq, seq_add(t->snd_una, 1), tcb_flight(t)); }
/* The sequence number of the send queue's first byte. */
static inline seq32 tcb_queue_seq(const struct tcb *t) { return t->syn_acked ? t->snd_una : seq_add(t->iss, 1); }

/* ---- tcp_state.c: the one door for state changes, life and death of a tcb ---- */
struct tcb *tcb_new(struct stack *s, uint32_t owner, void *user);
void tcb_set_state(struct tcb *t, enum tcp_state state, enum tcp_cause cause);
/* Notes a change in the history without making it (one that happened in another form). */
void tcb_note(struct tcb *t, uint32_t ms, enum tcp_state from, enum tcp_state to, enum tcp_cause cause);
/* The connection has ended with an error (positive errno; 0: in order): tells the owner, or frees it. */
void tcb_end(struct tcb *t, int error, enum tcp_cause cause);
void tcb_free(struct tcb *t);
/* As it is before anything is known of the peer. */
void tcb_init(struct tcb *t, struct conn *c);
/* What it has had no need for yet; NULL: no memory, and what would be noted there is not. */
struct extra *conn_extra(struct conn *c);
#define COUNT_EXTRA(t, field, n)                              \
	do {                                                  \
		struct extra *extra_ = conn_extra((t)->conn); \
		if (extra_)                                   \
			extra_->field += (n);                 \
	} while (0)
/* What is noted there, or nothing. */
extern const struct extra extra_none;
static inline const struct extra *conn_noted(const struct conn *c)
{
	const struct extra *extra = c->at_rest ? c->extra : c->tcb->extra;

	return extra ? extra : &extra_none;
}
/* What it holds beside itself. */
void tcb_memory_free(struct tcb *t);
/* Fills in what is kept of sock_options in the control block itself (sockopt.c). */
void tcb_take_options(struct tcb *t);
/* Tells the holder; of a connection that nobody holds no event speaks. */
void tcb_event(struct tcb *t, unsigned events);
/* Something may be sent: tcp_output at the end of the batch. */
void tcb_dirty(struct tcb *t);
void tcb_clean(struct tcb *t);
/* May data still arrive? */
bool tcp_state_receives(enum tcp_state state);

/* ---- tcp_rest.c: connections at rest ---- */
/* Its tcb, made again if it is at rest. NULL: no memory. */
struct tcb *conn_make(struct conn *c); /* of one at rest */
static inline struct tcb *conn_wake(struct conn *c) { return c->at_rest ? conn_make(c) : c->tcb; }
/* The same for a call of the holder's, which a budget does not refuse; also NULL when it is no connection. */
struct tcb *tcb_of(struct sock *sock);
/* Its tcb to look at, made in *room if it is at rest. */
const struct tcb *conn_look(const struct conn *c, struct tcb *room);
/* TCB_REST: nothing has moved for a while? Then it is at rest, the tcb is gone, and the answer is true. */
bool tcb_rest(struct tcb *t);
/* Something has moved: sees to it that one day it is looked at. */
void tcb_rest_later(struct tcb *t);
/* It is at rest from now on: all that the tcb held has been given back or taken over. */
void conn_leave(struct tcb *t);
/* The end of one that is, without a word to the peer. */
void conn_free(struct conn *c);
void conn_timer(struct stack *s, struct timer *timer); /* TIMER_REST */

/* ---- tcp_timer.c ---- */
void tcb_timer_set(struct tcb *t, enum tcb_timer which, stack_time at);
void tcb_timer_stop(struct tcb *t, enum tcb_timer which);
/* STACK_NEVER: not running. */
stack_time tcb_deadline(const struct tcb *t, enum tcb_timer which);
static inline bool tcb_timer_runs(const struct tcb *t, enum tcb_timer which) { return t->deadline[which] != TCB_NEVER; }
void tcb_timers_stop(struct tcb *t);
void tcb_rexmt_start(struct tcb *t); /* one RTO from now */
void tcb_keepalive_start(struct tcb *t);
/* The owner is gone and the peer has our FIN. False: TCP_LINGER2 lets nothing wait for the peer's, the tcb is gone. */
bool tcb_fin_wait_2_start(struct tcb *t);
void tcp_timer(struct stack *s, struct timer *timer); /* TIMER_TCB */

/* ---- tcp_ack.c: the send side's reaction to ACKs ---- */
/* SND.UNA =< SEG.ACK =< SND.NXT; duplicate: as RFC 5681 2 defines it. */
void tcp_ack(struct tcb *t, const struct tcp_segment *seg, bool duplicate);
/* Bytes of the send queue that have not gone out yet. */
uint32_t tcp_unsent(const struct tcb *t);
/* Tells a writer that waits, when a good part of the queue is free, and TCP_NOTSENT_LOWAT allows more. */
void tcp_wake_writer(struct tcb *t);
/* A round-trip time for the RTO, microseconds. */
void tcp_rtt_take(struct tcb *t, uint64_t rtt);
/* The same, once a round trip: of something sent once, at `sent`, that was just delivered. */
void tcp_rtt_sample(struct tcb *t, stack_time sent);
void tcp_rtt_by_timestamp(struct tcb *t, const struct tcp_segment *seg);
/* A round-trip time for the congestion control, microseconds. */
void tcp_cc_sample(struct tcb *t, uint32_t rtt);
void tcp_update_window(struct tcb *t, const struct tcp_segment *seg);
bool tcp_fin_acked(const struct tcb *t);

/* ---- tcp_cc.c ---- */
/* The connection is established: the algorithm's state begins. */
void tcp_cc_start(struct tcb *t);
void tcp_cc_free(struct tcb *t);
/* Goes on after a rest; the algorithm is one without state_size. */
void tcp_cc_resume(struct tcb *t, const struct cc_ops *ops, uint32_t cwnd, uint32_t ssthresh);
/* Another algorithm, at any time; the window stays. -ENOENT: no such algorithm, -ENOMEM. */
int tcp_cc_change(struct tcb *t, const char *name);
/* The socket's limit (SO_MAX_PACING_RATE) is another. */
void tcp_pacing_changed(struct tcb *t);
/* An ACK with SACK that delivered something (d) or found a loss, after detection. */
void tcp_rate_ack(struct tcb *t, const struct delivery *d);
/* Every ACK of new data without SACK. */
void tcp_rate_ack_plain(struct tcb *t);
/* There is something to send and nothing in flight: after a silence the window decays. */
void tcp_cc_idle(struct tcb *t);
/*
 * FlightSize for a reduction (RFC 5681 3.1): what was in flight before the ACKs of this
 * batch, which output has not answered yet, and without limited transmit's part (RFC 5681 3.2, step 2).
 */
uint32_t tcp_cc_flight(const struct tcb *t);
/* The retransmission timer has fired, and the scoreboard says what is lost. */
void tcp_cc_timeout(struct tcb *t);
/* An ACK of `acked` new bytes, to the algorithm; limited: the window was in full use. */
void tcp_cc_acked(struct tcb *t, uint32_t acked, bool limited);
/* After output. full: the window is in full use; nothing_left: the application has nothing more. */
void tcp_cwnd_used(struct tcb *t, bool full, bool nothing_left);
/* RFC 7661 4.1: may the window grow? In slow start half of it in use is enough, for it will be twice as large. */
static inline bool tcp_cwnd_limited(const struct tcb *t)
{
	return t->cwnd_limited || (t->cc.cwnd < t->cc.ssthresh && t->cc.cwnd < 2 * t->max_flight);
}

/* ---- tcp_pace.c ---- */
/* Bytes a second; PACING_UNLIMITED: not paced. */
uint32_t tcp_pacing_rate(const struct tcb *t);
/* What a paced connection may send at once, now; 0: it waits for pace_at. head: what the peer needs first, again. */
uint32_t tcp_pace_room(const struct tcb *t, bool head);
void tcp_pace_sent(struct tcb *t, uint32_t len);
/*
 * Payload bytes of one frame: what the algorithm's rate sends in a millisecond, more to a peer that is
 * near; half of either window at most, so that ACKs come while the rest is on its way.
 */
uint32_t tcp_frame_limit(const struct tcb *t);
/* The rate may be another now: what went out at the old one is waited for a second at most. */
void tcp_pace_again(struct tcb *t);

/* ---- tcp_newreno.c: recovery without SACK ---- */
/* An ACK of `acked` new bytes. True: the retransmission timer restarts. */
bool newreno_ack(struct tcb *t, const struct tcp_segment *seg, uint32_t acked, bool limited);
void newreno_duplicate(struct tcb *t);
void newreno_timeout(struct tcb *t);

/* ---- tcp_recovery.c: recovery with SACK ---- */
/* Every ACK, after SND.UNA has moved: marks, detects, enters and leaves recovery, sets cwnd. `acked`: bytes SND.UNA moved. */
void sack_ack(struct tcb *t, const struct tcp_segment *seg, uint32_t acked, bool limited);
void sack_timeout(struct tcb *t);
void sack_reorder_timeout(struct tcb *t);
/* False: there was nothing to probe with. */
bool sack_probe_timeout(struct tcb *t);
/* A mark; the algorithm has set ssthresh, and the window goes there from `cwnd`. False: no memory for that, or the window is lower. */
bool sack_mark(struct tcb *t, uint32_t cwnd);
/* After something was sent: when to probe for a lost tail. */
void sack_schedule_probe(struct tcb *t);
/* The SACK option for a segment that goes out now. */
void sack_fill(struct tcb *t, struct tcp_options *o);

/* ---- tcp_undo.c ---- */
/* The state of a recovery or loss probe, made if there is none; NULL: no memory. */
struct recovery *recovery_get(struct tcb *t);
void recovery_free(struct tcb *t);
/* Before the first reduction of a recovery. */
void undo_begin(struct tcb *t);
/* `len` bytes have gone out again. */
void undo_resent(struct tcb *t, uint32_t len);
/* The recovery is over; a D-SACK can still come. */
void undo_end(struct tcb *t);
/* None can any more. */
void undo_forget(struct tcb *t);
/* An ACK of new data; again_at: when the oldest that it delivers and that went more than once last went, 0: nothing did. */
void undo_by_timestamp(struct tcb *t, const struct tcp_segment *seg, stack_time again_at);
void undo_by_dsack(struct tcb *t, seq32 left, seq32 right);
/* A timeout. */
void frto_start(struct tcb *t);
/* The ACKs after it. original: data sent once, and before the timeout, was delivered; moved: SND.UNA has. */
void frto_ack(struct tcb *t, bool original, bool moved);
/* Is new data to go before the rest of what counts as lost? Then bytes of it, whatever cwnd is (step 2b). */
static inline bool frto_waits(const struct tcb *t) { return t->rec && t->rec->frto == FRTO_NEW; }
uint32_t frto_room(const struct tcb *t);

/* ---- tcp_ecn.c (RFC 3168) ---- */
#define IP_ECN_MASK 3u
#define IP_ECT0 2u
#define IP_CE 3u
/* A segment of a connection that uses ECN has come in. */
void ecn_input(struct tcb *t, const struct ip_info *ip, const struct tcp_segment *seg);
/* The congestion window was reduced, for whatever reason (6.1.2): marks of the same window are answered with it. */
void ecn_reduced(struct tcb *t);
/* Flags for an outgoing segment; new_data: carries payload for the first time. Returns the IP ECN field. */
uint8_t ecn_output(struct tcb *t, struct tcp_segment *seg, bool new_data);

/* ---- tcp_data.c: the receive side ---- */
void tcp_receive_text(struct tcb *t, struct tcp_segment *seg);
void tcp_ooo_clear(struct tcb *t);
/* [left, right) had come before: the next ACK reports it. */
void tcp_ooo_duplicate(struct tcb *t, seq32 left, seq32 right);
/* A FIN has come before what is in front of it; of two that disagree the first counts. */
void tcp_ooo_fin(struct tcb *t, seq32 fin);
/* Frees the record when there is nothing left in it. */
void tcp_ooo_trim(struct tcb *t);
/* The last range that starts at or before seq; NULL: none does. */
struct ooo_range *tcp_ooo_range(const struct tcb *t, seq32 seq);
static inline struct ooo_range *tcb_ranges(const struct tcb *t) { return t->ooo ? t->ooo->head : NULL; }
/* Has the FIN come, when what is in front of it has? */
static inline bool tcb_fin_kept(const struct tcb *t) { return t->ooo && t->ooo->fin && seq_eq(t->ooo->fin_seq, t->rcv_nxt); }
uint32_t tcp_receive_space(const struct tcb *t);
/* The window to advertise now; moves rcv_adv. Returns the header's field. */
uint16_t tcp_window_field(struct tcb *t);
/* After the reader took data: is it worth telling the peer? */
void tcp_window_update(struct tcb *t);

/* ---- tcp_delack.c: when data received is acknowledged ---- */
/* Data has come in order; before the ACK for it is decided on. */
void delack_data_received(struct tcb *t);
/* `len` bytes in order: an ACK now, or soon. */
void delack_start(struct tcb *t, uint32_t len);
/* The peer needs ACKs to find its pace (again): the next ones are not delayed. */
void delack_quick(struct tcb *t);
void delack_data_sent(struct tcb *t);
void delack_timeout(struct tcb *t);

/* ---- tcp_out.c ---- */
/* Sends what may be sent; true: more could be, later in this run. */
bool tcp_output(struct tcb *t);
void tcp_send_syn(struct tcb *t);
void tcp_send_ack(struct tcb *t);   /* at once */
void tcp_send_rst(struct tcb *t);
/* With the number that the sender of `to` awaits: what is in flight may be lost, and no other is believed at once (RFC 5961 3.2). */
void tcp_answer_rst(struct tcb *t, const struct tcp_segment *to);
void tcp_challenge_ack(struct tcb *t);
void tcp_send_probe(struct tcb *t, bool keepalive);
/* Sends the first segment again (RTO, fast retransmit). */
void tcp_retransmit_head(struct tcb *t);
/* One segment, new if there is and the peer's window allows, else the last again: then true. */
bool tcp_send_loss_probe(struct tcb *t);
/* A segment without a tcb: RST, ACK of a half-open or TIME-WAIT connection, SYN-ACK. */
int tcp_send_bare(struct stack *s, const struct pcb *from, struct tcp_segment *seg);
/* The same, with the options of this socket. */
int tcp_send_from(const struct sock *sock, const struct pcb *from, struct tcp_segment *seg);
/* The RST that a segment to no connection gets (RFC 9293 3.10.7.1), rate-limited. */
void tcp_refuse(struct stack *s, const struct ip_info *ip, const struct tcp_segment *seg);
uint16_t tcp_mss_announced(const struct stack *s);
/* The same for one socket, as TCP_MAXSEG has it. */
uint16_t tcp_mss_offered(const struct sock *sock);
void tcp_set_mss(struct tcb *t);
/* Payload of a full segment in packets of `mtu` bytes. */
uint16_t tcp_mss_for(const struct tcb *t, uint16_t mtu);
uint8_t tcp_window_scale(uint32_t buffer);

/* ---- tcp_buffer.c: sizes of the buffers ---- */
/* As large as they may become by themselves. */
uint32_t tcp_send_limit_max(const struct stack *s);
uint32_t tcp_recv_limit_max(const struct stack *s);
/* The same of the socket that a SYN or a SYN-ACK goes out for. */
uint32_t sock_recv_limit_max(const struct sock *sock);
void tcp_buffers_init(struct tcb *t);
/* The owner's wish: no more tuning. */
void tcp_set_send_limit(struct tcb *t, uint64_t bytes);
void tcp_set_recv_limit(struct tcb *t, uint64_t bytes);
/* The connection is established. */
void tcp_receive_tune_start(struct tcb *t);
/* A segment with data in order has come: does it end a sample of the round-trip time? Then take it. */
static inline bool tcp_receive_sample_due(const struct tcb *t, const struct tcp_segment *seg)
{
	return !t->recv_fixed &&
	       (t->ts_on ? seg->opt.ts_echo != t->rcv_mark : seq_geq(t->rcv_nxt, seq_make(t->rcv_mark)));
}
void tcp_receive_sample(struct tcb *t, const struct tcp_segment *seg);
/* The reader may have taken something: has a round trip passed? Then see how much. */
static inline bool tcp_receive_tune_due(const struct tcb *t)
{
	return !t->recv_fixed && (uint32_t)tcb_stack(t)->now - t->rcv_began >= t->rcv_rtt;
}
void tcp_receive_tune(struct tcb *t);
/* The writer found too little room. */
void tcp_send_tune(struct tcb *t);
/* Bytes that a write may add to the send queue. */
size_t tcp_send_room(const struct tcb *t);
/* Is there so much room that a writer who waits should be told? */
bool tcp_send_ready(const struct tcb *t);

/* ---- tcp_mtu.c: path MTU without ICMP (RFC 4821); those marked * only with mtu_search ---- */
/* The connection is being established; the MSS may change. */
void tcp_mtu_start(struct tcb *t);
void tcp_mtu_free(struct tcb *t);
size_t tcp_mtu_memory(const struct tcb *t);
void tcp_mtu_info(const struct tcb *t, struct stack_tcb_info *out);
/* The first full segment of this size was acknowledged. */
void tcp_mtu_confirmed(struct tcb *t);
/* The retransmission timer has fired; `retries` counts it. */
void tcp_mtu_timeout(struct tcb *t);
/* A router says that packets of more than `mtu` bytes do not pass (RFC 1191). */
void tcp_mtu_too_big(struct tcb *t, uint16_t mtu);
/* * Bytes of payload for a probe, if one is due; 0: none. */
uint32_t tcp_mtu_probe_len(struct tcb *t);
/* * The bytes that must wait to be sent for it to be worth while. */
uint32_t tcp_mtu_probe_needs(const struct tcb *t, uint32_t len);
void tcp_mtu_probe_sent(struct tcb *t, seq32 seq, uint32_t len); /* * */
void tcp_mtu_acked(struct tcb *t); /* * SND.UNA has moved */
void tcp_mtu_lost(struct tcb *t);  /* * the scoreboard has found losses */
/* What is lost is the probe and nothing else: no sign of congestion. */
bool tcp_mtu_excused(const struct tcb *t);

/* ---- tcp_in.c ---- */
/* RFC 9293 3.10.7.4 for a segment of a connection in SYN-RECEIVED or later. */
void tcp_segment_arrives(struct tcb *t, const struct ip_info *ip, struct tcp_segment *seg);
/* Our SYN was acknowledged, or the handshake was completed by a listener. */
void tcb_established(struct tcb *t, enum tcp_cause cause);
/* Data may be sent from ISS + 1 on. */
void tcb_start_sending(struct tcb *t);

/* ---- tcp_listen.c ---- */
struct listener *listener_new(struct stack *s, struct sock *bound, uint32_t backlog);
void listener_close(struct listener *l);
struct tcb *listener_accept(struct listener *l);
void listener_unqueue(struct tcb *t); /* a queued connection died */
/* The one that a segment from `remote` is for: of several that share the port each gets its part (SO_REUSEPORT). */
struct listener *listener_find(struct stack *s, const struct stack_endpoint *local, const struct stack_endpoint *remote);
void listener_segment(struct listener *l, const struct ip_info *ip, const struct tcp_segment *seg);
void half_open_segment(struct stack *s, struct half_open *h, const struct ip_info *ip, struct tcp_segment *seg);
void half_open_timer(struct stack *s, struct timer *timer);
void half_open_free(struct stack *s, struct half_open *h);
/* Room for as many as the configuration allows. False: no memory, it stays as it was. */
bool half_open_pool_grow(struct stack *s);
void half_open_pool_free(struct stack *s);
/* isn >= floor + 1 when floor_set: takes the place of a TIME-WAIT connection (RFC 6191). */
void listener_syn(struct listener *l, const struct ip_info *ip, const struct tcp_segment *seg,
		  bool floor_set, seq32 floor);
seq32 tcp_isn(struct stack *s, const struct pcb *p);
/* Of our timestamps (RFC 7323 5.4: they tell nobody our uptime). */
uint32_t tcp_ts_offset(const struct stack *s, const struct pcb *p);

/* The handshake is complete, or data came before it: a full control block, in the accept queue; its place in the
 * table is the caller's. NULL: no room. */
struct tcb *tcb_from_half_open(struct stack *s, const struct half_open *h, struct listener *l,
			       const struct tcp_segment *seg);

/* ---- tcp_fastopen.c (RFC 7413) ---- */
/* A SYN that a listener has room for. True: it has opened a connection; false: an ordinary handshake, as h says. */
bool fastopen_syn(struct listener *l, const struct ip_info *ip, const struct tcp_segment *seg, struct half_open *h);
/* A cookie for the peer. */
void fastopen_offer(struct stack *s, const struct pcb *p, bool experimental, struct tcp_options *o);
struct fastopen_request {
	const void *data;
	size_t len;
	size_t taken; /* out: bytes that go in the SYN */
};
/* The socket's, or the stack's; count 0: made from the seed. */
const struct stack_fastopen_keys *fastopen_keys(const struct sock *sock);
/* Before our SYN. */
void fastopen_open(struct tcb *t, struct fastopen_request *r);
void fastopen_syn_option(struct tcb *t, struct tcp_options *o);
/* Our SYN was acknowledged, and SND.UNA is behind it: takes the ACK of its data. */
void fastopen_syn_acked(struct tcb *t, const struct tcp_segment *seg);
/* The same when both have opened at once: data of our SYN is in flight. */
void fastopen_both_opened(struct tcb *t);
void fastopen_state_change(struct tcb *t, enum tcp_state from, enum tcp_state to, enum tcp_cause cause);

/* ---- tcp_record.c ---- */
/* A record ends there, in what is queued. */
void record_add(struct tcb *t, seq32 end);
/* The next three only of a tcb that has records. */
/* How much of `len` bytes from `seq` belongs to one record. */
uint32_t records_limit(const struct tcb *t, seq32 seq, uint32_t len);
/* Does a record end there? */
bool record_ends(const struct tcb *t, seq32 seq);
/* SND.UNA has moved. */
void records_acked(struct tcb *t);
void records_clear(struct tcb *t);

/* ---- tcp_urgent.c ---- */
/* A segment with URG, cut to the window. */
void urgent_input(struct tcb *t, const struct tcp_segment *seg);
/* While there is a mark: n bytes in order have come. */
void urgent_arrived(struct tcb *t, seq32 from, uint32_t n);
/* `old` bytes are cut off the segment's beginning. */
void urgent_cut(struct tcp_segment *seg, uint32_t old);
/* How much of the receive queue a read may take now, and how many bytes in front of it are left out. */
uint32_t urgent_readable(const struct tcb *t, uint32_t *skip);
/* What nobody has read. */
uint32_t urgent_unread(const struct tcb *t);
/* As SIOCINQ has it. */
uint32_t urgent_in_front(const struct tcb *t);
/* n bytes of what is readable are read: returns the bytes of the queue that are behind the reader. */
uint32_t urgent_passed(struct tcb *t, uint32_t n);
/* While urgent_out, before a segment goes. */
void urgent_output(struct tcb *t, struct tcp_segment *seg);

/* ---- fastopen_cache.c ---- */
struct fastopen_memory {
	bool paused;        /* it failed not long ago */
	bool experimental;  /* the form of the option */
	uint16_t mss;       /* the peer's; 0: not known */
	uint8_t cookie_len; /* bytes; 0: none */
	uint8_t cookie[TCP_FASTOPEN_MAX];
};
void fastopen_recall(struct stack *s, const struct pcb *p, struct fastopen_memory *m);
/* From a SYN-ACK: the MSS, and the cookie if it brings one. */
void fastopen_learn(struct stack *s, const struct pcb *p, uint16_t mss, const struct tcp_options *o);
/* It brings none, though asked. */
void fastopen_ignored(struct stack *s, const struct pcb *p);
/* RFC 7413 4.1.3.1: a negative response, or none. */
void fastopen_failed(struct stack *s, const struct pcb *p);
void fastopen_worked(struct stack *s, const struct pcb *p);

/* ---- tcp_cookie.c ---- */
/* Our initial sequence number for a handshake that is not kept. */
seq32 cookie_make(struct stack *s, struct half_open *h);
/* The timestamp of its SYN-ACK, which carries options. */
uint32_t cookie_timestamp(const struct stack *s, const struct half_open *h);
enum cookie_verdict {
	COOKIE_BAD,           /* forged, too old, or none at all */
	COOKIE_GOOD,
	COOKIE_LATER_SEGMENT  /* of a good one, but not the segment that completes the handshake */
};
/* An ACK that no half-open entry waits for. COOKIE_GOOD: *h is as the entry would have been. */
enum cookie_verdict cookie_check(struct stack *s, const struct ip_info *ip, const struct tcp_segment *seg,
				 struct half_open *h);

/* ---- tcp_chrono.c ---- */
/* Something may have changed in what holds the sender up. */
void tcp_chrono(struct tcb *t);
/* Microseconds of it so far. */
uint64_t tcp_limited(const struct tcb *t, enum tcp_limit limit);

/* ---- tcp_timewait.c ---- */
/* Takes the tcb's place in the table; the tcb is freed, or stays with its holder, detached. */
void time_wait_enter(struct tcb *t);
void time_wait_segment(struct stack *s, struct time_wait *w, const struct ip_info *ip, struct tcp_segment *seg);
void time_wait_timer(struct stack *s);
stack_time time_wait_expires(const struct stack *s, const struct time_wait *w);
void time_wait_free(struct stack *s, struct time_wait *w);

/* ---- tcp_user.c: the calls of RFC 9293 3.10.1 to 3.10.5 ---- */
/* `fastopen`: NULL, or the SYN may carry data. */
int tcp_connect(struct sock **sock, const struct stack_endpoint *local, const struct stack_endpoint *remote,
		struct fastopen_request *fastopen);
void tcp_shutdown(struct tcb *t, enum tcp_cause cause);
void tcp_close(struct tcb *t);
void tcp_abort(struct tcb *t, enum tcp_cause cause, int error);

#endif
