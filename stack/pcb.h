/*
 * What every entry of the demultiplexing table begins with: sockets and connections of every
 * form. The forms have different sizes; `kind` tells which it is.
 */
#ifndef BYWAY_STACK_PCB_H
#define BYWAY_STACK_PCB_H

#include "stack.h"
#include "types.h"

#include <assert.h>

enum pcb_kind {
	PCB_BOUND,     /* struct sock: a TCP socket that is neither listening nor connected */
	PCB_LISTEN,    /* struct listener */
	PCB_HALF,      /* struct half_open: SYN-RECEIVED, made by a listener */
	PCB_TCB,       /* struct tcb */
	PCB_TIME_WAIT, /* struct time_wait */
	PCB_UDP,       /* struct udp_sock */
	PCB_PING       /* the same: echo requests and their replies, the port is the identifier */
};

struct pcb {
	struct pcb *hash_next;
	uint64_t id : 48;          /* unique in this stack; a connection keeps it through its forms */
	uint64_t kind : 8;         /* enum pcb_kind */
	uint64_t state : 4;        /* enum tcp_state */
	uint64_t hashed : 1;       /* in the table */
	uint64_t error_told : 1;   /* of a socket that somebody holds: SO_ERROR has told its error */
	uint64_t port_given : 1;   /* its owner asked for this local port */
	struct stack_addr local;   /* any: every address */
	struct stack_addr remote;  /* any and rport 0: not connected */
	uint16_t lport, rport;
	uint32_t owner;            /* as given to stack_socket */
};
static_assert(sizeof(struct pcb) == 56, "it is in every connection");

/* A new id; 48 bits last for eight years at a million a second. */
#define PCB_ID(n) ((n) & ((UINT64_C(1) << 48) - 1))

/* Whose port space it is in. */
static inline enum stack_proto pcb_proto(const struct pcb *p)
{
	return p->kind == PCB_UDP ? STACK_UDP : p->kind == PCB_PING ? STACK_PING : STACK_TCP;
}

static inline bool pcb_is_datagram(const struct pcb *p)
{
	return pcb_proto(p) != STACK_TCP;
}

static inline bool addr_is_v4(const struct stack_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->byte, mapped, sizeof(mapped)) == 0;
}

static inline bool addr_eq(const struct stack_addr *a, const struct stack_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

#endif
