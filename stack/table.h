/*
 * The demultiplexing table: SipHash-2-4 with a secret key, so that nobody outside can choose
 * collisions, and linear hashing, so that it grows and shrinks one bucket at a time.
 *
 * Key: (protocol, local address, local port, remote address, remote port). Several entries may
 * have one key (bound sockets); lookups return the first. The protocol follows from the kind
 * (pcb_proto).
 */
#ifndef BYWAY_STACK_TABLE_H
#define BYWAY_STACK_TABLE_H

#include "mem.h"
#include "pcb.h"

/* What is hashed of a flow: of IPv4 the four bytes that differ, for each block costs. Not of fixed length, which tells them apart. */
struct flow_key {
	uint8_t byte[37];
	uint8_t len;
};

#define TABLE_HASH_BITS 6

/* The hash of a key that was asked for lately. */
struct table_hash {
	struct flow_key key; /* len 0: none */
	uint32_t hash;
};

struct table {
	uint8_t key[16];
	struct mem *mem;
	struct pcb **segment[33]; /* segment 0: bucket 0; segment k: buckets 2^(k-1) to 2^k - 1 */
	uint32_t buckets;         /* in use, at least 1 */
	uint32_t count;           /* entries */
	struct pcb *recent;       /* the TCP connection found last; or NULL */
	struct table_hash hash[1 << TABLE_HASH_BITS]; /* each in its place */
};

static inline struct flow_key flow_key(enum stack_proto proto, const struct stack_addr *local, uint16_t lport,
				       const struct stack_addr *remote, uint16_t rport)
{
	struct flow_key k;
	unsigned skip = addr_is_v4(local) && addr_is_v4(remote) ? 12 : 0, n = 16 - skip;

	memcpy(k.byte, local->byte + skip, 4);
	if (n == 16)
		memcpy(k.byte + 4, local->byte + 4, 12);
	memcpy(k.byte + n, remote->byte + skip, 4);
	if (n == 16)
		memcpy(k.byte + 20, remote->byte + 4, 12);
	memcpy(k.byte + 2 * n, &lport, 2);
	memcpy(k.byte + 2 * n + 2, &rport, 2);
	k.byte[2 * n + 4] = (uint8_t)proto;
	k.len = (uint8_t)(2 * n + 5);
	return k;
}

/* False: out of memory. */
bool table_init(struct table *t, struct mem *m, const uint8_t key[16]);
void table_done(struct table *t); /* entries are the caller's */
void table_insert(struct table *t, struct pcb *p); /* never fails: a full table only gets slower */
void table_remove(struct table *t, struct pcb *p);
struct pcb *table_find(struct table *t, enum stack_proto proto, const struct stack_addr *local, uint16_t lport,
		       const struct stack_addr *remote, uint16_t rport);
/* The next entry with the same key, or NULL. */
struct pcb *table_find_next(const struct pcb *p);
/* Takes the place of `old`, which has the same key (change of form). */
void table_replace(struct table *t, struct pcb *old, struct pcb *new_pcb);
/* Visits whole buckets from *cursor, until `batch` entries were seen or visit returned false; false at the end. */
bool table_walk(const struct table *t, uint64_t *cursor, size_t batch,
		bool (*visit)(void *arg, struct pcb *p), void *arg);

#endif
