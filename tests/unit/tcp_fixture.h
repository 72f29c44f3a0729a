/*
 * A stack with one peer that the test plays itself: segments go in by feed(), and what the
 * stack sends is taken out one by one. Sequence numbers are relative: the peer's from its ISS
 * (PEER_ISS), ours from the control block's. The link is bare IP with all offloads, so a
 * segment comes out as TCP made it.
 */
#ifndef BYWAY_TESTS_TCP_FIXTURE_H
#define BYWAY_TESTS_TCP_FIXTURE_H

#include "stack/tcp.h"
#include "suite.h"

#define PEER_ISS 0xffffff00u /* wraps early in every test */
#define PEER_PORT 4000
#define OUR_PORT 80
#define PEER_MSS 1460
#define PEER_WINDOW 60000
#define SENT_MAX 256

struct captured {
	struct ip4_header ip;
	struct tcp_segment seg;
	uint8_t data[70000];
};

struct fixture {
	struct stack *s;
	stack_time now;
	struct captured *sent; /* what the stack sent, oldest first */
	unsigned sent_count, sent_read;
	struct sock *listener, *sock;
	struct stack_addr us, peer;
	bool reader_takes;  /* the receive op takes everything */
	bool batch;        /* frames come in one batch: nothing goes out before run() */
	size_t reader_took;
	bool timestamps;    /* the peer uses them */
	uint32_t ts;
	uint8_t tos;        /* of the packets fed */
};

void fixture_start(struct fixture *f, void (*change)(struct stack_config *c));
void fixture_end(struct fixture *f); /* fails when memory was not given back */

/* A segment from the peer; seq relative to PEER_ISS, ack relative to our ISS. */
void feed(struct fixture *f, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* A connection with an RTT of 10 ms and so many full segments sent or queued, 10 ms ago. */
void bring_to_flight(struct fixture *f, bool sack, uint32_t segments);
/* An ACK up to segment `ack` that SACKs the segments [left, right), counted from 0; right <= left: no block. */
void feed_sack_of(struct fixture *f, uint32_t ack, uint32_t left, uint32_t right);
/* The same with every field in the test's hand; seq and ack absolute, ports and data filled in. */
void feed_segment(struct fixture *f, struct tcp_segment *seg, uint32_t len);
/* A whole IP packet. */
void feed_packet(struct fixture *f, const uint8_t *packet, size_t len, bool csum_good);
/* Runs what is due now. */
void run(struct fixture *f);
/* Lets time pass in steps, running all that comes due. */
void pass(struct fixture *f, stack_time time);

/* The next segment the stack sent; fails the test when there is none. */
struct captured *take(struct fixture *f);
void expect_nothing(struct fixture *f);
/* Takes one and compares: flags exactly (PSH aside); seq and ack relative; len. */
struct captured *expect(struct fixture *f, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);

struct tcb *tcb_now(struct fixture *f); /* of f->sock */
enum tcp_state state_now(struct fixture *f); /* by the table: survives TIME-WAIT; CLOSED when gone */
unsigned events_now(struct fixture *f, int *error); /* all events of f->sock, gathered */

/* Brings a fresh connection into a state, by segments alone; all output taken. */
void bring_to(struct fixture *f, enum tcp_state state);
/* RCV.NXT in that state, relative to PEER_ISS, and SND.NXT relative to our ISS. */
uint32_t rcv_nxt_rel(struct fixture *f);
uint32_t snd_nxt_rel(struct fixture *f);

/* setsockopt with an int; fails the test when the stack refuses it. */
void set_int(struct fixture *f, struct sock *sock, int level, int name, int value);

#endif
