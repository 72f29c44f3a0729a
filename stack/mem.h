/*
 * Memory with budgets. Every allocation of the stack is charged to a class; an allocation
 * past the class's limit or the whole stack's fails like one that is out of memory, so no
 * input can make the stack grow past its configuration.
 */
#ifndef BYWAY_STACK_MEM_H
#define BYWAY_STACK_MEM_H

#include "pool.h"

#include <stddef.h>
#include <stdint.h>

enum mem_class {
	MEM_SOCKET,    /* control blocks, listeners, UDP sockets */
	MEM_SEND,      /* send queues */
	MEM_RECV,      /* in-order receive queues, queued datagrams */
	MEM_OOO,       /* out-of-order data */
	MEM_HALF,      /* half-open connections */
	MEM_TIME_WAIT, /* connections in TIME-WAIT */
	MEM_FRAGMENT,  /* incomplete IP datagrams */
	MEM_NEIGHBOUR, /* ARP cache and packets that wait there */
	MEM_LOOPBACK,  /* packets to ourselves on their way */
	MEM_TABLE,     /* demultiplexing table */
	MEM_FASTOPEN,  /* what servers gave us for TCP Fast Open */
	MEM_CLASS_COUNT
};

/* Blocks of these kinds come out of a pool each. */
enum mem_pool {
	POOL_SOCK, POOL_CONN, POOL_TCB, POOL_EXTRA, POOL_TIME_WAIT,
	POOL_SENT,      /* records of the scoreboard */
	POOL_RECOVERY, POOL_OOO, POOL_OOO_RANGE, POOL_RECORDS,
	MEM_POOL_COUNT
};

/*
 * What is charged is what callers ask for. A pool's room that no block uses is charged to nobody, but it
 * counts against the total when more is asked for: all but the first chunk of each pool.
 */
struct mem {
	size_t used[MEM_CLASS_COUNT];  /* bytes */
	size_t limit[MEM_CLASS_COUNT]; /* bytes; 0: only the total limits it */
	size_t total, total_limit;     /* bytes */
	uint64_t failures;             /* allocations refused */
	struct pool pool[MEM_POOL_COUNT];
	size_t pooled;                 /* bytes of used[] that lie in pools */
	uint32_t chunks;               /* of all pools, but for the first of each */
	void *spare;                   /* a block of MEM_SPARE bytes that was freed; or NULL */
};

#define MEM_SPARE 256u /* bytes: what a queue of a few bytes takes and gives back again and again */

/* Zeroed memory, or NULL when over a budget or out of memory. The caller owns it. */
void *mem_alloc(struct mem *m, enum mem_class class, size_t size);
/* Not zeroed. */
void *mem_alloc_raw(struct mem *m, enum mem_class class, size_t size);
/* `size` as given to mem_alloc. NULL is fine. */
void mem_free(struct mem *m, enum mem_class class, void *p, size_t size);
/* As mem_alloc, out of a pool: `size` is the same for all of its blocks. */
void *mem_take(struct mem *m, enum mem_class class, enum mem_pool pool, size_t size);
void *mem_take_raw(struct mem *m, enum mem_class class, enum mem_pool pool, size_t size); /* not zeroed */
/* Past any budget: for what our own side asks for, which is bounded by what it holds. */
void *mem_take_always(struct mem *m, enum mem_class class, enum mem_pool pool, size_t size);
/* As mem_free, of what mem_take gave. */
void mem_give(struct mem *m, enum mem_class class, enum mem_pool pool, void *p, size_t size);
/* The end: all has been given back. */
void mem_done(struct mem *m);
/* Books memory that stays where it is to another class (never refused). */
void mem_move(struct mem *m, enum mem_class from, enum mem_class to, size_t size);
/*
 * How many bytes a queue that holds `held` of them may still grow by: it may be as long as what
 * is left for all others, and no longer; and the last sixteenth of the budget is for queues of
 * MEM_SMALL_QUEUE bytes at most. So while long queues stand still (rows T13, U3), there is room
 * for those that move.
 */
#define MEM_SMALL_QUEUE 2048u
size_t mem_share(const struct mem *m, size_t held);
const char *mem_class_name(enum mem_class class);

#endif
