/*
 * Reassembly (RFC 791 3.2, RFC 815, RFC 1122 3.3.2).
 *
 * A datagram is a sorted list of its fragments. An exact copy of a fragment is ignored; any
 * other overlap drops the datagram (as RFC 5722 has it for IPv6), so what is put together
 * does not depend on the order of arrival. What cannot be part of a datagram drops it too.
 *
 * Memory: all within MEM_FRAGMENT. Sources hash, keyed, to slots; a slot uses at most a quarter
 * of the budget and of the datagrams, so that a source crowds out only itself, and a search
 * looks at no more than SLOT_DATAGRAMS datagrams and FRAGMENTS_MAX fragments however many are
 * held (row I5). When all bytes or datagrams are out, the oldest datagram of the slot that uses
 * most of them goes: a datagram that completes does so long before it is the oldest.
 */
#include "net.h"

#define REASSEMBLY_TIME SECONDS(30) /* RFC 1122 3.3.2 asks for 60 to 120; RFC 8200 and others have less */
#define DATAGRAMS_MAX 256u
#define SLOT_DATAGRAMS (DATAGRAMS_MAX / 4)
#define FRAGMENTS_MAX 64u
#define HEADER_MAX 60u
#define QUOTE_MAX 548u
#define ECN_MASK 3u
#define ECN_CE 3u
#define TCP_FIRST_MIN TCP_HEADER /* RFC 1858 3: a first fragment must show the TCP header */

struct fragment {
	struct fragment *next;
	uint16_t offset; /* of data[] in the datagram's payload */
	uint16_t len;
	uint8_t data[];
};

struct reassembly {
	struct reassembly *next;     /* in the slot, newer */
	struct reasm_slot *slot;
	struct stack_addr src, dst;  /* src, dst, id, proto: RFC 791's buffer identifier */
	uint16_t id;
	uint8_t proto;
	bool has_first, has_last;
	uint8_t ecn;                 /* bit n: a fragment had the ECN field n */
	uint8_t header[HEADER_MAX];  /* of the first fragment, once it is here */
	uint16_t header_len;
	uint16_t total;              /* payload of the datagram, once the last fragment is here */
	uint32_t received;           /* bytes in fragments */
	uint32_t count;              /* fragments */
	struct fragment *head;       /* sorted by offset, disjoint */
	struct timer timer;
};

/* A fragment as it came. */
struct piece {
	const struct ip4_header *h;
	const uint8_t *packet; /* its IP header */
	const uint8_t *data;
	uint16_t offset, len;
};

static struct reasm_slot *slot_of(struct stack *s, const struct stack_addr *src)
{
	return &s->reasm_slot[keyed_hash(s->reasm_key, src, sizeof(*src)) % REASM_SLOTS];
}

static struct reassembly *find(const struct reasm_slot *slot, const struct ip4_header *h)
{
	struct reassembly *r = slot->oldest;

	while (r && !(r->id == h->id && r->proto == h->proto && addr_eq(&r->src, &h->src) && addr_eq(&r->dst, &h->dst)))
		r = r->next;
	return r;
}

/* ---- memory ---- */

static void release(struct stack *s, struct reasm_slot *slot, void *p, size_t size)
{
	slot->bytes -= size;
	mem_free(&s->mem, MEM_FRAGMENT, p, size);
}

static size_t fragment_size(size_t len)
{
	return sizeof(struct fragment) + len;
}

static void drop(struct stack *s, struct reassembly *r)
{
	struct reassembly **link = &r->slot->oldest;
	struct fragment *f;

	while (*link != r)
		link = &(*link)->next;
	*link = r->next;
	timer_cancel(&s->wheel, &r->timer);
	while ((f = r->head)) {
		r->head = f->next;
		release(s, r->slot, f, fragment_size(f->len));
	}
	r->slot->count--;
	s->reassembly_count--;
	release(s, r->slot, r, sizeof(*r));
}

static void evict(struct stack *s, struct reassembly *r)
{
	COUNT(s, frag_dropped);
	drop(s, r);
}

/* The oldest datagram of a slot that is not `keep`, or NULL. */
static struct reassembly *oldest_but(const struct reasm_slot *slot, const struct reassembly *keep)
{
	return slot->oldest && slot->oldest == keep ? keep->next : slot->oldest;
}

static size_t bytes_of(const struct reasm_slot *slot)
{
	return slot->bytes;
}

static size_t datagrams_of(const struct reasm_slot *slot)
{
	return slot->count;
}

/* The oldest datagram of the slot that uses most, `keep` left out, or NULL. */
static struct reassembly *victim(struct stack *s, const struct reassembly *keep,
				 size_t (*use)(const struct reasm_slot *slot))
{
	struct reassembly *best = NULL;

	for (size_t i = 0; i < REASM_SLOTS; i++) {
		struct reassembly *r = oldest_but(&s->reasm_slot[i], keep);

		if (r && (!best || use(r->slot) > use(best->slot)))
			best = r;
	}
	return best;
}

/* Memory from the budget, at the price of other datagrams than `keep`; NULL: there is none left to take from. */
static void *take(struct stack *s, size_t size, const struct reassembly *keep)
{
	struct reassembly *r;
	void *p;

	if (size > s->cfg.mem_fragments)
		return NULL;
	while (!(p = mem_alloc_raw(&s->mem, MEM_FRAGMENT, size)) && (r = victim(s, keep, bytes_of)))
		evict(s, r);
	return p;
}

/* The same, charged to a slot and within its share. */
static void *slot_take(struct stack *s, struct reasm_slot *slot, size_t size, const struct reassembly *keep)
{
	struct reassembly *r;
	void *p;

	while (slot->bytes + size > s->cfg.mem_fragments / 4) {
		r = oldest_but(slot, keep);
		if (!r)
			return NULL;
		evict(s, r);
	}
	p = take(s, size, keep);
	if (p)
		slot->bytes += size;
	return p;
}

static struct reassembly *start(struct stack *s, struct reasm_slot *slot, const struct ip4_header *h)
{
	struct reassembly **link = &slot->oldest;
	struct reassembly *r;

	if (slot->count >= SLOT_DATAGRAMS)
		evict(s, slot->oldest);
	else if (s->reassembly_count >= DATAGRAMS_MAX)
		evict(s, victim(s, NULL, datagrams_of));
	r = slot_take(s, slot, sizeof(*r), NULL);
	if (!r)
		return NULL;
	*r = (struct reassembly){
		.slot = slot, .src = h->src, .dst = h->dst, .id = h->id, .proto = h->proto,
	};
	r->timer.kind = TIMER_REASSEMBLY;
	timer_set(&s->wheel, &r->timer, s->now + REASSEMBLY_TIME);
	while (*link)
		link = &(*link)->next;
	*link = r;
	slot->count++;
	s->reassembly_count++;
	return r;
}

/* ---- what a fragment may be ---- */

/* Row I4: these can be part of no datagram. */
static bool piece_good(const struct piece *p)
{
	if (p->len == 0 || (p->h->more_fragments && p->len % 8 != 0))
		return false;
	if ((uint32_t)p->h->header_len + p->offset + p->len > UINT16_MAX)
		return false; /* ping of death */
	if (p->h->proto != IP_PROTO_TCP)
		return true;
	/* RFC 1858 3.2.2 and 4.2, RFC 3128: fragments that hide or overwrite TCP's flags. */
	return p->offset == 0 ? p->len >= TCP_FIRST_MIN : p->offset >= TCP_FIRST_MIN;
}

/* Does its end agree with the last fragment's? */
static bool end_agrees(const struct reassembly *r, const struct piece *p)
{
	uint32_t end = (uint32_t)p->offset + p->len;
	const struct fragment *f = r->head;

	if (r->has_last)
		return p->h->more_fragments ? end < r->total : end == r->total;
	if (p->h->more_fragments)
		return true;
	while (f && f->next)
		f = f->next;
	return !f || (uint32_t)f->offset + f->len <= end;
}

enum place { PLACE_FREE, PLACE_DUPLICATE, PLACE_OVERLAP };

/* Where it belongs: *link is what will come behind it. */
static enum place find_place(struct reassembly *r, const struct piece *p, struct fragment ***link)
{
	struct fragment **l = &r->head;

	while (*l && (*l)->offset + (*l)->len <= p->offset)
		l = &(*l)->next;
	*link = l;
	if (!*l || p->offset + p->len <= (*l)->offset)
		return PLACE_FREE;
	if ((*l)->offset == p->offset && (*l)->len == p->len && memcmp((*l)->data, p->data, p->len) == 0)
		return PLACE_DUPLICATE;
	return PLACE_OVERLAP;
}

/* False: over the budget. */
static bool insert(struct stack *s, struct reassembly *r, const struct piece *p, struct fragment **link)
{
	struct fragment *f;

	if (r->count >= FRAGMENTS_MAX)
		return false;
	f = slot_take(s, r->slot, fragment_size(p->len), r);
	if (!f)
		return false;
	f->offset = p->offset;
	f->len = p->len;
	memcpy(f->data, p->data, p->len);
	f->next = *link;
	*link = f;
	r->count++;
	r->ecn |= (uint8_t)(1u << (p->packet[1] & ECN_MASK));
	r->received += p->len;
	if (p->offset == 0) {
		r->has_first = true;
		r->header_len = p->h->header_len;
		memcpy(r->header, p->packet, p->h->header_len);
	}
	if (!p->h->more_fragments) {
		r->has_last = true;
		r->total = (uint16_t)(p->offset + p->len);
	}
	return true;
}

/* True: it is in, or was before. */
static bool add(struct stack *s, struct reassembly *r, const struct piece *p)
{
	struct fragment **link;

	switch (find_place(r, p, &link)) {
	case PLACE_DUPLICATE:
		return true;
	case PLACE_OVERLAP:
		COUNT(s, frag_overlap);
		return false;
	case PLACE_FREE:
		break;
	}
	if (end_agrees(r, p) && insert(s, r, p, link))
		return true;
	COUNT(s, frag_dropped);
	return false;
}

/* ---- completion ---- */

/* RFC 3168 5.3: a mark must not be lost. Where a transport that cannot answer to it was marked too, the datagram is. */
static bool marks_kept(struct reassembly *r)
{
	if (!(r->ecn & 1u << ECN_CE))
		return true;
	r->header[1] |= ECN_CE;
	return !(r->ecn & 1u);
}

static bool assemble(struct stack *s, struct reassembly *r, uint8_t **out, size_t *out_len)
{
	size_t len = (size_t)r->header_len + r->total;
	uint8_t *packet = marks_kept(r) && len <= UINT16_MAX ? take(s, len, r) : NULL;

	if (!packet) {
		COUNT(s, frag_dropped);
		return false;
	}
	memcpy(packet, r->header, r->header_len);
	for (const struct fragment *f = r->head; f; f = f->next)
		memcpy(packet + r->header_len + f->offset, f->data, f->len);
	ip4_make_whole(packet, (uint16_t)len, 0);
	COUNT(s, frag_reassembled);
	*out = packet;
	*out_len = len;
	return true;
}

bool reasm_input(struct stack *s, const struct ip4_header *h, const uint8_t *packet,
		 uint8_t **out, size_t *out_len)
{
	struct piece p = {
		.h = h, .packet = packet, .data = packet + h->header_len,
		.offset = h->fragment_offset, .len = (uint16_t)(h->total_len - h->header_len),
	};
	struct reasm_slot *slot = slot_of(s, &h->src);
	struct reassembly *r = find(slot, h);
	bool whole = false;

	COUNT(s, frag_in);
	if (!piece_good(&p)) {
		COUNT(s, frag_dropped);
		if (r)
			drop(s, r);
		return false;
	}
	if (!r && !(r = start(s, slot, h))) {
		COUNT(s, frag_dropped);
		return false;
	}
	if (!add(s, r, &p)) {
		drop(s, r);
		return false;
	}
	if (r->has_first && r->has_last && r->received == r->total) {
		whole = assemble(s, r, out, out_len);
		drop(s, r);
	}
	return whole;
}

void reasm_release(struct stack *s, uint8_t *packet, size_t len)
{
	mem_free(&s->mem, MEM_FRAGMENT, packet, len);
}

/* ---- the end of waiting ---- */

/* RFC 1122 3.3.2: time exceeded, if the first fragment is there. */
static void report_timeout(struct stack *s, const struct reassembly *r)
{
	uint8_t quote[HEADER_MAX + QUOTE_MAX];
	size_t payload = min_size(r->head->len, QUOTE_MAX);

	memcpy(quote, r->header, r->header_len);
	memcpy(quote + r->header_len, r->head->data, payload);
	icmp4_error(s, &(struct ip_info){
		.src = r->src, .dst = r->dst, .ip = quote, .ip_len = r->header_len + payload,
	}, ICMP_TIME_EXCEEDED, 1, 0);
}

void reasm_timer(struct stack *s, struct timer *t)
{
	struct reassembly *r = CONTAINER_OF(t, struct reassembly, timer);

	COUNT(s, frag_timeout);
	if (r->has_first)
		report_timeout(s, r);
	drop(s, r);
}

void reasm_free(struct stack *s)
{
	for (size_t i = 0; i < REASM_SLOTS; i++)
		while (s->reasm_slot[i].oldest)
			drop(s, s->reasm_slot[i].oldest);
}
