/*
 * Several workers ([Worker] Count=): each is a struct daemon with a stack, queues of the link, a
 * loop, endpoints, services and forwards of its own. The first runs on the main thread and has
 * everything else too: signals, control socket, the host's side, sd_notify, UDP and ICMP. The
 * others run on threads. A flow stays on one worker (steer.c); on the data path nothing is shared.
 *
 * The rules, without which this would be a lottery:
 * - A worker works with its own lock held and sleeps without it. Nobody else wants that lock but the
 *   main thread, which takes all of them (workers_hold) before it looks into another worker or
 *   changes it: between workers_hold and workers_release the process is as good as single-threaded.
 * - A worker never waits for the main thread, and never touches what is the main thread's. What it
 *   has to tell it leaves with itself, and rings a bell.
 * - The main thread hands frames over by an inbox with a lock of its own, and waits for nobody.
 * - That a worker turns at all the watchdog asks by a flag, and waits for nobody.
 * - What users share (their budget) and a listener's descriptor have locks of their own, taken when a
 *   socket opens, closes or is accepted, and inside which no other lock of these is taken but the
 *   first one inside the second.
 *
 * With one worker daemon.workers is NULL: there is no thread, no lock and no descriptor for any of it.
 */
#ifndef BYWAY_DAEMON_WORKER_H
#define BYWAY_DAEMON_WORKER_H

#include "daemon/daemon.h"

/* How many there are. */
unsigned worker_count(const struct daemon *d);
/* The i-th, from any of them; 0: the first. */
struct daemon *worker_at(struct daemon *d, unsigned i);
/* The one whose socket has this id. */
struct daemon *worker_of(struct daemon *d, uint64_t id);
/* The first, from any of them. */
struct daemon *worker_first(struct daemon *d);
/* It runs on its own thread just now, and not under the hand of the main thread. */
bool worker_alone(const struct daemon *d);

/* ---- worker.c ---- */

/* Makes those of d->config.workers beside the first, held. 0 or negative errno, logged. */
int workers_new(struct daemon *d);
/* Starts their threads, which wait for workers_release. 0 or negative errno, logged. */
int workers_run(struct daemon *d);
/* Ends the threads; they stay held. */
void workers_end(struct daemon *d);
void workers_free(struct daemon *d);
/* Of the main thread: until workers_release, as often, no other worker works. */
void workers_hold(struct daemon *d);
/* They find out what has changed. */
void workers_release(struct daemon *d);
/* Every connection of every worker has ended. */
bool workers_idle(struct daemon *d);
/* Connections of the other workers, as they have last said. */
uint64_t workers_connections(const struct daemon *d);
/* What the stack of a worker gets for its share of [Stack]. */
void worker_share(const struct daemon *d, struct stack_config *c);
/* Of the main thread, without a lock: the i-th is to turn at least once, idle or not; and has it? */
void worker_ask(struct daemon *d, unsigned i);
bool worker_answered(struct daemon *d, unsigned i);
/* Around what users share. */
void workers_lock(struct daemon *d);
void workers_unlock(struct daemon *d);

/* ---- of a worker on its own thread, for the main thread ---- */

/* An event that belongs into a conversation on the control socket. */
void worker_keep_event(struct endpoint *e, const struct stack_event *event);
/* The endpoint goes. */
void worker_forget(struct daemon *d, const struct endpoint *e);
/* A socket has ended, which somebody wants to know. */
void worker_keep_end(struct daemon *d, const struct stack_tcb_info *last);
/* Its number of connections has changed, or it is idle while the daemon ends. */
void worker_ring(struct daemon *d);
/* After a pass: once, when it is idle while the daemon ends. */
void worker_passed(struct daemon *d);

/* ---- worker_flow.c: which worker ---- */

/* Where a connection from `local` (port 0: any) to `remote` has to be opened. */
struct daemon *worker_for(struct daemon *d, const struct stack_endpoint *local, const struct stack_endpoint *remote);
/* stack_ops.ours and stack_ops.elsewhere. */
bool worker_ours(void *daemon, const struct stack_endpoint *local, const struct stack_endpoint *remote);
bool worker_elsewhere(void *daemon, const uint8_t *packet, size_t len);
/* A frame of the first worker's queue: true when it was for another one alone, which was given it. */
bool worker_took(struct daemon *d, const struct stack_frame *frame);
/* Of ARP, the others send no more than requests for their neighbours: the first answers, probes, announces and defends for all. */
bool worker_need_not_say(const struct stack_output *out);
/* By the main thread: into the inbox of worker i; dropped when that is full. In two pieces: `head` may be NULL. */
void worker_give(struct daemon *d, unsigned i, bool arp, const void *head, size_t head_len,
		 const struct stack_frame *frame);

/* ---- worker_place.c: owners' sockets among them; all of the main thread, which holds them ---- */

/* A TCP socket of another worker with the options and the address of one that is not connected. NULL and *error. */
struct sock *worker_copy_socket(struct daemon *to, const struct sock *sock, int *error);
/* Would the others let it be bound there? 0 or -EADDRINUSE and the like. */
int worker_may_bind(struct daemon *d, const struct sock *sock, const struct stack_endpoint *local);

/* ---- worker_network.c: run-time changes, in every stack of `all` or in none; 0 or what the stack's own say ---- */

/* Their stacks; held. Returns how many. */
unsigned worker_stacks(struct daemon *d, struct stack *all[WORKERS_MAX]);
int network_address_add(struct stack *const *all, unsigned count, const struct stack_addr *addr, uint8_t prefix);
/* The route that a stack has to this prefix. */
bool network_route_present(const struct stack *s, const struct stack_route_info *wanted, struct stack_route_info *out);
int network_route_set(struct stack *const *all, unsigned count, const struct stack_route_info *route, bool replace);
int network_neigh_set(struct stack *const *all, unsigned count, const struct stack_addr *addr, const uint8_t mac[6],
		      enum stack_neigh_state state);

struct workers {
	struct daemon *first;
	unsigned count;
	unsigned holds;                 /* of the main thread, nested */
	unsigned turn;                  /* whose is the next connection that may be anybody's */
	struct steer steer;
	uint8_t fastopen_seed[16];      /* one for all, as any of them may get the next SYN */
	struct worker *of[WORKERS_MAX]; /* [0] NULL */
};

#endif
