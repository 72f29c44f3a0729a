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

/* What tells flows apart, and is hashed: the first FLOW_KEY_LEN bytes of it. */
struct flow_key {
	uint32_t local, remote; /* as in struct pcb */
	uint16_t lport, rport;
	uint8_t proto;          /* enum stack_proto */
	uint8_t v4;             /* FLOW_* */
	uint16_t zero;
};

#define TABLE_HASH_BITS 8

/* The hash of a key that was asked for lately. */
struct table_hash {
	struct flow_key key;
	uint32_t hash;
	bool kept; /* else: none */
};

/* How many TCP connections have a local port, for 256 ports that begin alike. */
struct port_page {
	uint32_t ports; /* that are not 0 */
	uint32_t uses[256];
};

struct table {
	uint8_t key[16];
	struct mem *mem;
	struct pcb **segment[33]; /* segment 0: bucket 0; segment k: buckets 2^(k-1) to 2^k - 1 */
	uint32_t buckets;         /* in use, at least 1 */
	uint32_t count;           /* entries */
	struct pcb *recent;       /* the TCP connection found last; or NULL */
	struct pcb *named;        /* whose id was last said to be looked for; or NULL */
	struct port_page *page[256]; /* NULL: none of its ports is used */
	struct port_page **unused; /* a place among these whose page is kept though no port is used; or NULL */
	bool pages_lost;          /* one could not be had: nothing is known of ports any more */
	struct table_hash hash[1 << TABLE_HASH_BITS]; /* each in its place */
};

#define FLOW_KEY_LEN offsetof(struct flow_key, zero)
#define FLOW_LOCAL_V4 1u
#define FLOW_REMOTE_V4 2u

static inline uint8_t flow_v4(const struct pcb *p)
{
	return (uint8_t)((p->local_v4 ? FLOW_LOCAL_V4 : 0) | (p->remote_v4 ? FLOW_REMOTE_V4 : 0));
}

static inline struct flow_key flow_key_of(const struct pcb *p)
{
	return (struct flow_key){
		.local = p->local, .remote = p->remote, .lport = p->lport, .rport = p->rport,
		.proto = (uint8_t)pcb_proto(p),
		.v4 = flow_v4(p),
	};
}

/* False: out of memory. */
bool table_init(struct table *t, struct mem *m, const uint8_t key[16]);
void table_done(struct table *t); /* entries are the caller's */
void table_insert(struct table *t, struct pcb *p); /* never fails: a full table only gets slower */
void table_remove(struct table *t, struct pcb *p);
/*
 * It stays, for walks, until table_remove; but nobody finds it by its key any more. False: one with the same
 * key is past already, and more of them would be in the way of whoever looks for that key.
 */
bool table_pass(struct table *t, struct pcb *p);
struct pcb *table_find(struct table *t, enum stack_proto proto, const struct stack_addr *local, uint16_t lport,
		       const struct stack_addr *remote, uint16_t rport);
/* The next entry with the same key, or NULL. */
struct pcb *table_find_next(const struct pcb *p);
/* Takes the place of `old`, which has the same key (change of form). */
void table_replace(struct table *t, struct pcb *old, struct pcb *new_pcb);
/* False: no TCP connection, in whatever form, has this local port. Bound and listening sockets are none. */
bool table_port_used(const struct table *t, uint16_t lport);
/* Visits whole buckets from *cursor, until `batch` entries were seen or visit returned false; false at the end. */
bool table_walk(const struct table *t, uint64_t *cursor, size_t batch,
		bool (*visit)(void *arg, struct pcb *p), void *arg);

#endif
