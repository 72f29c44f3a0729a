/*
 * The users of the simulated stacks: connections whose ends write, read and close by a plan, and
 * datagrams. What is sent follows from a key and an offset, so each received byte is checked
 * against what must stand there, and nothing has to be remembered.
 */
#ifndef BYWAY_TESTS_SIM_APP_H
#define BYWAY_TESTS_SIM_APP_H

#include "sim.h"

#define APP_CONNS 40
#define APP_PORT 1000 /* connection i listens here + i */
#define UDP_PORT 5000

enum app_close {
	CLOSE_WHEN_SENT,  /* shutdown after the last byte, then read on to the peer's end */
	CLOSE_AFTER_PEER, /* shutdown when the peer has ended and all is sent */
	CLOSE_AND_FORGET, /* stack_close as soon as all is sent and received */
	CLOSE_ABORT,      /* stack_abort in the middle */
	CLOSE_UNREAD,     /* stack_close in the middle, read or not */
	CLOSE_KILLED,     /* somebody calls stack_destroy in the middle */
	CLOSE_NEVER       /* stays open until something else ends it */
};

enum app_take { TAKE_ALL, TAKE_SOME, TAKE_NOTHING };

/* What one end does. */
struct end_plan {
	uint32_t total;                /* bytes to send */
	uint32_t write_max, read_max;  /* bytes at a time, at least 1 */
	uint64_t write_gap, read_gap;  /* microseconds between two; 0: as fast as can be */
	enum app_take take;            /* of what is offered straight from the frame */
	enum app_close close;
	uint32_t close_at;             /* CLOSE_ABORT, _UNREAD, _KILLED: after so many bytes received or sent */
	uint64_t shut_at;              /* not before this time; 0: no matter */
	bool fastopen;                 /* the one that connects: with its first bytes (RFC 7413) */
	bool nodelay, lend;            /* lend: stack_send_space instead of stack_send */
	uint64_t keepalive;            /* idle time; 0: off */
	uint16_t local_port;           /* of the one that connects; 0: any */
};

enum app_kind { APP_END, APP_LISTENER, APP_UDP };

struct end {
	enum app_kind kind; /* first: what a user pointer points to */
	struct app *app;
	struct conn *conn;
	struct sim_node *node;
	struct sock *sock;  /* NULL: not yet, or given back */
	struct end_plan plan;
	uint64_t id;
	uint64_t key;       /* of what it sends */
	uint64_t sent, received;
	uint64_t next_write, next_read;
	bool poked;         /* data came straight from a frame: look what it leads to */
	bool connected, readable, writable, shut, got_eof, got_closed, done;
	int error;          /* positive errno */
};

struct conn {
	enum app_kind kind; /* APP_LISTENER */
	struct app *app;
	struct end end[2];  /* 0 connects to 1 */
	struct sock *listener;
	uint16_t port;
	uint32_t backlog;
	uint64_t start;
	bool started;
	bool simultaneous;  /* both connect */
	bool may_fail;      /* an error is no fault (somebody aborts, vanishes, has no memory) */
};

struct datagrams {
	enum app_kind kind; /* APP_UDP */
	struct app *app;
	struct sim_node *from, *to;
	struct sock *out, *in;
	uint64_t key, next, gap, received, lost_for_room;
	uint32_t left, sequence, size_max;
	bool direct;        /* the datagram callback takes them */
	bool may_repeat;
	bool over;          /* the last has been sent and had time to arrive */
	uint8_t seen[256];  /* by sequence */
};

struct app {
	struct sim *sim;
	struct conn conn[APP_CONNS];
	unsigned conn_count;
	struct datagrams udp;
	/* called after each moment; for scenarios that wait for a state */
	void (*hook)(struct app *app);
	void *hook_arg;
};

void app_init(struct app *app, struct sim *sim);
struct conn *app_conn(struct app *app, struct sim_node *from, struct sim_node *to, uint64_t start);
void app_datagrams(struct app *app, struct sim_node *from, struct sim_node *to, uint32_t count, uint32_t size_max);
/* Every end has finished, one way or another. */
bool app_finished(struct app *app);
void conn_close_listener(struct conn *c);
/* Gives back listeners and datagram sockets. */
void app_close_listeners(struct app *app);
/* Fails the run unless every byte arrived and both ends closed in order. */
void app_verify(struct app *app);
/* Now, from outside the plan (scenarios). */
void end_shutdown(struct end *e);
void end_close(struct end *e);
enum tcp_state end_state(struct end *e);

#endif
