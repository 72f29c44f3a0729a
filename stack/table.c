/*
 * The demultiplexing table: linear hashing (Litwin 1980) over a keyed hash.
 *
 * Invariants: bucket i holds the entries whose hash ends in i, in as many bits as `buckets`
 * makes significant for i; `count` is the number of entries with `hashed` set. A bucket is
 * split when there are more entries than buckets, and joined when there are fewer than a
 * quarter. When a segment cannot be allocated, the table stays as it is and chains get longer.
 * A port's uses are the connections with it, unless pages_lost; a page has a port that is used, but
 * for one at most.
 */
#include "table.h"

#include <assert.h>
#include <sodium/crypto_shorthash.h>

/*
 * A listener's key is hashed for each segment of a handshake, and a connection's when it changes its form, so
 * hashes are kept for a while. Their places are by ports and local address, which is no secret: who makes many keys for one
 * place has us hash, as if none were kept.
 */
static struct table_hash *hash_place(struct table *t, const struct flow_key *key)
{
	uint32_t ports = key->lport | (uint32_t)key->rport << 16;

	return &t->hash[(key->local ^ ports) * 2654435769u >> (32 - TABLE_HASH_BITS)];
}

static uint32_t hash_key(struct table *t, const struct flow_key *key)
{
	struct table_hash *h = hash_place(t, key);
	uint64_t hash;

	static_assert(sizeof(hash) == crypto_shorthash_BYTES && sizeof(t->key) == crypto_shorthash_KEYBYTES, "SipHash");
	if (h->kept && memcmp(&h->key, key, sizeof(*key)) == 0)
		return h->hash;
	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key, FLOW_KEY_LEN, t->key);
	*h = (struct table_hash){*key, (uint32_t)hash, true};
	return h->hash;
}

static uint32_t hash_pcb(struct table *t, const struct pcb *p)
{
	struct flow_key key = flow_key_of(p);

	return hash_key(t, &key);
}

/* Bits that are significant for the buckets that are already split in this round. */
static uint32_t hash_mask(const struct table *t)
{
	return t->buckets == 1 ? 0 : UINT32_MAX >> __builtin_clz(t->buckets - 1);
}

static uint32_t bucket_index(const struct table *t, uint32_t hash)
{
	uint32_t mask = hash_mask(t), i = hash & mask;

	return i < t->buckets ? i : i & (mask >> 1);
}

static unsigned segment_of(uint32_t bucket)
{
	return bucket == 0 ? 0 : 32 - (unsigned)__builtin_clz(bucket);
}

/* The first bucket of a segment; a segment has as many buckets as there are before it. */
static uint32_t segment_first(unsigned segment)
{
	return segment == 0 ? 0 : UINT32_C(1) << (segment - 1);
}

static size_t segment_bytes(unsigned segment)
{
	return (segment == 0 ? 1 : segment_first(segment)) * sizeof(struct pcb *);
}

static struct pcb **bucket(const struct table *t, uint32_t i)
{
	unsigned segment = segment_of(i);

	return &t->segment[segment][i - segment_first(segment)];
}

static struct pcb **bucket_of(struct table *t, const struct pcb *p)
{
	return bucket(t, bucket_index(t, hash_pcb(t, p)));
}

/* The bucket that `i` was split from, and into which it is joined. */
static uint32_t bucket_parent(uint32_t i)
{
	return i - segment_first(segment_of(i));
}

bool table_init(struct table *t, struct mem *m, const uint8_t key[16])
{
	*t = (struct table){.mem = m, .buckets = 1};
	memcpy(t->key, key, sizeof(t->key));
	t->segment[0] = mem_alloc(m, MEM_TABLE, segment_bytes(0));
	return t->segment[0] != NULL;
}

void table_done(struct table *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(t->segment); i++)
		mem_free(t->mem, MEM_TABLE, t->segment[i], segment_bytes(i));
	for (unsigned i = 0; i < ARRAY_SIZE(t->page); i++)
		mem_free(t->mem, MEM_TABLE, t->page[i], sizeof(*t->page[i]));
	*t = (struct table){0};
}

/* ---- local ports of connections ---- */

static bool is_connection(const struct pcb *p)
{
	return p->rport != 0 && !pcb_is_datagram(p);
}

static void port_use(struct table *t, uint16_t port)
{
	struct port_page **page = &t->page[port >> 8];

	if (!*page)
		*page = mem_alloc(t->mem, MEM_TABLE, sizeof(**page));
	if (t->unused == page)
		t->unused = NULL;
	if (*page)
		(*page)->ports += (*page)->uses[port & 255]++ == 0;
	else
		t->pages_lost = true;
}

static void port_leave(struct table *t, uint16_t port)
{
	struct port_page **page = &t->page[port >> 8];

	if (!*page || (*page)->uses[port & 255] == 0) /* it came while there was no memory */
		return;
	(*page)->ports -= --(*page)->uses[port & 255] == 0;
	if ((*page)->ports > 0)
		return;
	if (t->unused) {
		mem_free(t->mem, MEM_TABLE, *t->unused, sizeof(**t->unused));
		*t->unused = NULL;
	}
	t->unused = page; /* the next connection may have this port again */
}

bool table_port_used(const struct table *t, uint16_t lport)
{
	const struct port_page *page = t->page[lport >> 8];

	return t->pages_lost || (page && page->uses[lport & 255] > 0);
}

/* Splits one bucket; entries keep their order. False: no memory, or as large as can be. */
static bool table_grow(struct table *t)
{
	uint32_t added = t->buckets;
	unsigned segment = segment_of(added);
	struct pcb **from, **to;

	if (added == UINT32_C(1) << 31)
		return false;
	if (!t->segment[segment]) {
		t->segment[segment] = mem_alloc(t->mem, MEM_TABLE, segment_bytes(segment));
		if (!t->segment[segment])
			return false;
	}
	t->buckets++;
	from = bucket(t, bucket_parent(added));
	to = bucket(t, added);
	while (*from) {
		struct pcb *p = *from;

		if (bucket_index(t, hash_pcb(t, p)) != added) {
			from = &p->hash_next;
			continue;
		}
		*from = p->hash_next;
		p->hash_next = NULL;
		*to = p;
		to = &p->hash_next;
	}
	return true;
}

/* Joins the last bucket to the one that it was split from. */
static void table_shrink(struct table *t)
{
	uint32_t last = t->buckets - 1;
	unsigned segment = segment_of(last);
	struct pcb **from = bucket(t, last), **to = bucket(t, bucket_parent(last));

	while (*to)
		to = &(*to)->hash_next;
	*to = *from;
	*from = NULL;
	t->buckets--;
	if (last == segment_first(segment)) {
		mem_free(t->mem, MEM_TABLE, t->segment[segment], segment_bytes(segment));
		t->segment[segment] = NULL;
	}
}

void table_insert(struct table *t, struct pcb *p)
{
	struct pcb **head;

	t->count++;
	/* two: to catch up after a time without memory */
	for (unsigned i = 0; i < 2 && t->count > t->buckets; i++)
		if (!table_grow(t))
			break;
	if (is_connection(p))
		port_use(t, p->lport);
	head = bucket_of(t, p);
	p->hash_next = *head;
	p->hashed = true;
	*head = p;
}

/* What points to an entry that is in the table. */
static struct pcb **table_link(struct table *t, const struct pcb *p)
{
	struct pcb **link = bucket_of(t, p);

	while (*link != p)
		link = &(*link)->hash_next;
	return link;
}

/* It leaves the table. */
static void forget(struct table *t, const struct pcb *p)
{
	if (t->recent == p)
		t->recent = NULL;
	if (t->named == p)
		t->named = NULL;
}

static inline bool same_key(const struct pcb *p, const struct flow_key *key)
{
	static_assert(offsetof(struct pcb, owner) - offsetof(struct pcb, local) == offsetof(struct flow_key, proto),
		      "they begin alike");
	return memcmp(&p->local, key, offsetof(struct flow_key, proto)) == 0 && flow_v4(p) == key->v4 &&
	       pcb_proto(p) == key->proto;
}

static inline bool has_key(const struct pcb *p, const struct flow_key *key)
{
	return same_key(p, key) && !p->past;
}

bool table_pass(struct table *t, struct pcb *p)
{
	const struct flow_key key = flow_key_of(p);

	for (const struct pcb *q = *bucket_of(t, p); q; q = q->hash_next)
		if (q->past && same_key(q, &key))
			return false;
	forget(t, p);
	p->past = true;
	return true;
}

void table_remove(struct table *t, struct pcb *p)
{
	struct pcb **link;

	if (!p->hashed)
		return;
	forget(t, p);
	if (is_connection(p))
		port_leave(t, p->lport);
	link = table_link(t, p);
	*link = p->hash_next;
	p->hash_next = NULL;
	p->hashed = false;
	t->count--;
	while (t->buckets > 1 && t->count < t->buckets / 4)
		table_shrink(t);
}

void table_replace(struct table *t, struct pcb *old, struct pcb *new_pcb)
{
	struct pcb **link = table_link(t, old);

	forget(t, old);
	new_pcb->hash_next = old->hash_next;
	new_pcb->hashed = true;
	*link = new_pcb;
	old->hash_next = NULL;
	old->hashed = false;
}

/* What to look for, as a control block keeps it. False: nobody has such an address. */
static inline bool make_key(struct flow_key *key, enum stack_proto proto, const struct stack_addr *local, uint16_t lport,
		     const struct stack_addr *remote, uint16_t rport)
{
	static const struct stack_addr any;

	*key = (struct flow_key){.lport = lport, .rport = rport, .proto = (uint8_t)proto};
	if (addr_is_v4(local)) {
		key->local = addr_word(local);
		key->v4 = FLOW_LOCAL_V4;
	} else if (!addr_eq(local, &any)) {
		return false;
	}
	if (addr_is_v4(remote)) {
		key->remote = addr_word(remote);
		key->v4 |= FLOW_REMOTE_V4;
	} else if (!addr_eq(remote, &any)) {
		return false;
	}
	return true;
}

/* Segments come in rows: the last that was found is asked first, if nothing else can have its key. */
struct pcb *table_find(struct table *t, enum stack_proto proto, const struct stack_addr *local, uint16_t lport,
		       const struct stack_addr *remote, uint16_t rport)
{
	struct flow_key key;
	struct pcb *p;

	if (!make_key(&key, proto, local, lport, remote, rport))
		return NULL;
	if (t->recent && has_key(t->recent, &key))
		return t->recent;
	p = *bucket(t, bucket_index(t, hash_key(t, &key)));
	while (p && !has_key(p, &key))
		p = p->hash_next;
	if (p && proto == STACK_TCP && rport != 0)
		t->recent = p;
	return p;
}

struct pcb *table_find_next(const struct pcb *p)
{
	struct flow_key key = flow_key_of(p);
	struct pcb *next = p->hash_next;

	while (next && !has_key(next, &key))
		next = next->hash_next;
	return next;
}

static uint32_t reverse_bits(uint32_t v)
{
	v = __builtin_bswap32(v);
	v = (v & 0x0f0f0f0fu) << 4 | (v >> 4 & 0x0f0f0f0fu);
	v = (v & 0x33333333u) << 2 | (v >> 2 & 0x33333333u);
	return (v & 0x55555555u) << 1 | (v >> 1 & 0x55555555u);
}

/* How many values of the bit-reversed hash share bucket i. */
static uint64_t bucket_span(const struct table *t, uint32_t i)
{
	uint32_t mask = hash_mask(t), half = mask - (mask >> 1);
	uint32_t own = half != 0 && (i | half) < t->buckets ? mask : mask >> 1;

	return UINT64_C(1) << (32 - (unsigned)__builtin_popcount(own));
}

/*
 * The cursor is a place on the line of bit-reversed hashes. There a bucket is an interval, and
 * splitting or joining buckets cuts or merges neighbouring intervals: whatever happens between
 * two calls, what lies ahead of the cursor stays ahead of it. When visit returned false, the
 * walk stands still at that bucket.
 */
bool table_walk(const struct table *t, uint64_t *cursor, size_t batch, bool (*visit)(void *arg, struct pcb *p),
		void *arg)
{
	size_t seen = 0;

	while (*cursor < UINT64_C(1) << 32) {
		uint32_t i = bucket_index(t, reverse_bits((uint32_t)*cursor));
		uint64_t span = bucket_span(t, i);

		if (seen >= batch)
			return true;
		for (struct pcb *p = *bucket(t, i); p; p = p->hash_next, seen++)
			if (!visit(arg, p))
				return true;
		*cursor = (*cursor & ~(span - 1)) + span;
	}
	return false;
}
