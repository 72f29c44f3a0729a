/*
 * What every entry of the demultiplexing table begins with: sockets and connections of every
 * form. The forms have different sizes; `kind` tells which it is.
 *
 * Addresses are kept in four bytes each, with 16 a connection in TIME-WAIT would cost a third more: an
 * IPv4 address as it stands in a packet, or none. Everywhere else they have 16.
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
	uint64_t kind : 3;         /* enum pcb_kind */
	uint64_t state : 4;        /* enum tcp_state */
	uint64_t hashed : 1;       /* in the table */
	uint64_t error_told : 1;   /* of a socket that somebody holds: SO_ERROR has told its error */
	uint64_t port_given : 1;   /* its owner asked for this local port */
	uint64_t local_v4 : 1;     /* has a local address; 0: every one */
	uint64_t remote_v4 : 1;    /* has a remote one; 0 and rport 0: not connected */
	uint64_t past : 1;         /* in the table, but not to be found: its key is for others (table_pass) */
	uint32_t local, remote;    /* as in a packet; 0 without *_v4, but see sock_park */
	uint16_t lport, rport;
	uint32_t owner;            /* as given to stack_socket */
};
static_assert(sizeof(struct pcb) == 32, "it is in every connection");
static_assert(PCB_PING < 1 << 3, "a kind fits");

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

/* Of an IPv4 address, its four bytes. */
static inline uint32_t addr_word(const struct stack_addr *a)
{
	uint32_t word;

	memcpy(&word, a->byte + 12, sizeof(word));
	return word;
}

static inline struct stack_addr addr_of_word(bool v4, uint32_t word)
{
	static const uint8_t mapped[4] = {0, 0, 0xff, 0xff};
	uint32_t prefix, mask = v4 ? UINT32_MAX : 0;
	struct stack_addr a = {{0}};

	memcpy(&prefix, mapped, sizeof(prefix));
	prefix &= mask;
	word &= mask;
	memcpy(a.byte + 8, &prefix, sizeof(prefix));
	memcpy(a.byte + 12, &word, sizeof(word));
	return a;
}

static inline struct stack_addr pcb_local_addr(const struct pcb *p) { return addr_of_word(p->local_v4, p->local); }
static inline struct stack_addr pcb_remote_addr(const struct pcb *p) { return addr_of_word(p->remote_v4, p->remote); }

/* While it is not in the table. Any address that is not of IPv4 is none. */
static inline void pcb_set_local(struct pcb *p, const struct stack_addr *a)
{
	p->local_v4 = addr_is_v4(a);
	p->local = p->local_v4 ? addr_word(a) : 0;
}

static inline void pcb_set_remote(struct pcb *p, const struct stack_addr *a)
{
	p->remote_v4 = addr_is_v4(a);
	p->remote = p->remote_v4 ? addr_word(a) : 0;
}

#endif
