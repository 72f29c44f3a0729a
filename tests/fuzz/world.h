/*
 * A live stack for the frame target: a listening TCP socket, a connection in ESTABLISHED, one
 * in SYN-SENT, two UDP sockets, and one peer that the input plays. The world watches what the
 * stack does: each frame that it sends must be valid, each invariant must hold, no budget may
 * be exceeded, the stack must come to rest, and all must be given back at the end.
 */
#ifndef BYWAY_TESTS_FUZZ_WORLD_H
#define BYWAY_TESTS_FUZZ_WORLD_H

#include "fuzz.h"

#include "stack/wire/wire.h"

#define SLOTS 16
#define CONNECTIONS_MAX 64
#define ARP_WANTED 4

/* A socket that the world's owner holds. */
struct slot {
	struct sock *sock; /* NULL: free */
	bool listening;
};

struct world {
	struct stack *s;
	stack_time now;
	bool ethernet, takes;      /* the link; the receive op takes everything */
	bool resolves;             /* the peer answers ARP requests */
	bool abrupt;               /* ends by stack_free, with everything open */
	struct stack_config config;
	struct slot slot[SLOTS];
	bool was_ours[256];        /* 192.0.2.x was taken away: connections from it live on until they end */
	bool has_syn_ack;
	struct ip4_header syn_ack_ip; /* the last SYN-ACK that was sent */
	struct tcp_segment syn_ack;
	struct stack_addr wanted[ARP_WANTED]; /* ARP requests that the peer has to answer */
	unsigned wanted_count;
};

extern const uint8_t world_us[4], world_peer[4], world_gateway[4];
extern const uint8_t world_peer_mac[6];

/* Two bytes of the input choose link, offloads, budgets and the like. */
void world_start(struct world *w, struct input *in);
/* Ends everything in order or at once, and checks that nothing is left. */
void world_end(struct world *w);

/* A frame; `run` false: the next one belongs to the same batch. */
void world_frame(struct world *w, const uint8_t *data, size_t len, bool csum_good, uint16_t gso_size, bool gso_udp,
		 bool run);
/* Lets time pass, stopping at each deadline on the way. */
void world_pass(struct world *w, stack_time time);
/* Runs what is due, and checks. */
void world_settle(struct world *w);

#define CONNECTION_NEWEST 255u
/* The n-th (modulo their number, oldest first) or newest TCP connection of the stack; false: there is none. */
bool world_connection(struct world *w, unsigned n, struct stack_tcb_info *out);

/* ---- world_owner.c: what local processes do ---- */

/* One call on one socket, chosen by the input. */
void world_owner_act(struct world *w, struct input *in);
/* A free slot, or NULL. */
struct slot *world_slot(struct world *w);
void world_close(struct world *w, struct slot *slot, bool abort);
/* Opens the sockets that a world begins with. */
void world_open_sockets(struct world *w);
void world_accept(struct world *w, struct slot *listener);

/* ---- world_output.c ---- */

/* stack_ops.transmit: checks the frame, and notes whom an ARP request asks for. */
bool world_transmit(void *context, const struct stack_output *out);

#endif
