/*
 * The world that packetdrill sees: one libstack on a bare IP link, in virtual time.
 *
 * Time moves only when packetdrill sleeps, looks at the clock or waits for a packet, and stops
 * at each deadline of the stack on its way, so a run is the same on a slow machine.
 *
 * Two threads come in: packetdrill's main thread, which drives time, and the one that makes the
 * system calls a script marks as blocking. `lock` guards everything. When the main thread has
 * made a step while the other one waits in a call, it hands over and goes on only after that
 * thread waits again or has left its call and read the clock: otherwise a call would seem to end
 * later than the segment that ended it.
 */
#ifndef BYWAY_PACKETDRILL_WORLD_H
#define BYWAY_PACKETDRILL_WORLD_H

#include "stack/stack.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define FILES_MAX 1024    /* descriptor numbers that can be ours */
#define EPOLL_WATCHES 16u /* descriptors in one epoll set */

struct packet {
	struct packet *next;
	stack_time at; /* when the stack sent it */
	size_t len;
	uint8_t data[];
};

#define SENDS_MAX 64u /* sends with MSG_ZEROCOPY that nobody has been told of yet */

/* SO_TIMESTAMPING */
#define STAMPS_MAX 16u /* sends that are watched */
#define REPORTS_MAX (3 * STAMPS_MAX)
struct report {
	stack_time at;
	uint32_t type; /* SCM_TSTAMP_* */
	uint32_t key;  /* the last byte's number */
};

struct watch {
	int fd;
	struct epoll_event event;
	uint32_t reported; /* edge-triggered: what was told already, */
	unsigned news;     /* and of which events of the file */
};

/* One descriptor. Its number is that of a real one (on /dev/null), so that a stray close() of it harms nobody. */
struct file {
	int fd;
	bool epoll;              /* an epoll set; else a TCP socket */
	struct watch watch[EPOLL_WATCHES];
	unsigned watches;
	struct sock *sock;
	bool listening;
	struct sock *accepted;   /* listening: taken from the stack, not yet asked for */
	bool connecting;         /* SYN sent, no outcome yet */
	bool deferred;           /* connect is done for the caller; the SYN waits for data */
	struct stack_endpoint remote; /* deferred: where to */
	bool connected;          /* was established at some time */
	bool dead;               /* the stack said that the connection is gone */
	bool read_shut;          /* shutdown(SHUT_RD) */
	bool nonblock;
	int error;               /* not told yet: SO_ERROR */
	unsigned news;           /* events so far: an edge for epoll */
	stack_time recv_timeout; /* 0: none */
	stack_time send_timeout;
	/* MSG_ZEROCOPY */
	bool zerocopy;               /* SO_ZEROCOPY */
	uint64_t queued;             /* bytes that sends have taken */
	uint64_t sends[SENDS_MAX];   /* where each one ended, by its number */
	uint32_t sends_count, sends_told; /* how many there were; how many recvmsg has reported, */
	uint32_t sends_seen;              /* and how many an edge has */
	/* SO_TIMESTAMPING */
	unsigned stamping;           /* SOF_TIMESTAMPING_* */
	uint64_t stamp_base;         /* `queued` when keys began to count */
	uint64_t stamps[STAMPS_MAX]; /* where each send ended */
	uint32_t stamps_count, stamps_out, stamps_acked; /* how many; of them gone out, and acknowledged */
	struct report reports[REPORTS_MAX];
	uint32_t reports_count, reports_told;
};

struct world {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	pthread_t driver;     /* packetdrill's main thread */
	bool waiting;         /* the other thread is inside a blocking call */
	bool handed_over;     /* and it is its turn */
	bool left;            /* it has left its call since the driver slept last */
	stack_time wait_until;
	stack_time now;
	struct stack *stack;
	struct stack_config config;
	struct stack_addr address;
	uint64_t icmp_ignored;       /* as counted when it was written down last */
	char sockets[2048];          /* the table of them, likewise */
	uint16_t gso_size;           /* of what comes in: longer ones are merged from segments of this size; 0: none is */
	long settings_read;          /* bytes of the file of settings */
	struct packet *head, **tail; /* sent, not yet looked at */
	struct file *file[FILES_MAX];
};

/* Settings are "name=value", separated by commas or line ends; false: one has a name we do not have. */
bool settings_apply(struct world *w, const char *text);

struct world *world_new(const char *settings);
void world_free(struct world *w);

void world_lock(struct world *w);
void world_unlock(struct world *w);

/* Sends what may be sent now. */
void world_output(struct world *w);
/* Runs the stack at the present time and lets a waiting call see what came of it. */
void world_step(struct world *w);
/* Moves time on to `to`, stopping at each deadline. */
void world_advance(struct world *w, stack_time to);
/* The next time at which something happens by itself. */
stack_time world_deadline(const struct world *w);
/* Blocks a call until something happened: 0, or -EAGAIN at `until`, or -EDEADLK when nothing ever will. */
int world_wait(struct world *w, stack_time until);
/* The calling thread has left its call: true when it had been waiting there. */
bool world_left(struct world *w);
void world_input(struct world *w, const void *data, size_t len);

/* A new descriptor, or NULL. */
struct file *file_new(struct world *w);
/* NULL: not one of ours. */
struct file *file_get(struct world *w, int fd);
void file_free(struct world *w, struct file *f);

/* POLL* bits that hold now. */
short file_ready(struct world *w, struct file *f);

/* ---- proc.c ---- */
/* Writes down what a host would show of itself now. */
void proc_write(struct world *w);

/* ---- zerocopy.c ---- */
/* Sends that are acknowledged and not reported yet. */
uint32_t zerocopy_done(struct world *w, struct file *f);

/* ---- timestamping.c ---- */
int timestamping_set(struct file *f, const void *value, socklen_t len);
/* Something may have gone out, or been acknowledged. */
void timestamping_look(struct world *w, struct file *f);

int option_set(struct world *w, struct file *f, int level, int name, const void *value, socklen_t len);
int option_get(struct world *w, struct file *f, int level, int name, void *value, socklen_t *len);
/* An option's value as an int; 0 when there is none. */
int option_number(struct world *w, struct file *f, int level, int name);

#endif
