/*
 * Neighbours on an Ethernet (RFC 826, RFC 1122 2.3.2) and the defence of our own addresses
 * (RFC 5227).
 *
 * The cache is small and cannot be crowded out: an entry is made only because we have a packet
 * to send or because somebody asks for an address of ours, never by a reply or announcement;
 * when it is full the least recently used entry goes, but one that packets were sent to lately
 * and that answers is passed over. States are those of neighbour unreachability detection
 * (RFC 4861 7.3): REACHABLE turns STALE by the clock alone, so an idle cache has no timers.
 *
 * Invariants: every entry is in one hash chain and in the ring of use, newest first at
 * s->neighbours; packets wait only in INCOMPLETE and FAILED; a timer runs only in INCOMPLETE,
 * PROBE, and in FAILED while packets wait to be reported.
 */
#include "net.h"

#include <assert.h>
#include <errno.h>

#define REACHABLE_TIME SECONDS(30)     /* RFC 4861 10: REACHABLE_TIME */
#define DELAY_FIRST_PROBE SECONDS(5)   /* RFC 4861 10: DELAY_FIRST_PROBE_TIME */
#define RETRANS_TIME SECONDS(1)        /* RFC 1122 2.3.2.1: at most one request a second */
#define REQUESTS_MAX 3u                /* multicast or unicast, RFC 4861 10 */
#define FAILED_TIME SECONDS(3)         /* no new request before that */
#define WAITING_MAX 3u                 /* RFC 1122 2.3.2.2: at least one */
#define RECENTLY SECONDS(60)           /* used since then: spared by eviction */
#define REPLY_RATE 1000u
#define REPLY_BURST 100u

#define PROBE_NUM 3u                   /* RFC 5227 1.1 */
#define PROBE_MIN SECONDS(1)
#define ANNOUNCE_WAIT SECONDS(2)
#define ANNOUNCE_NUM 2u
#define ANNOUNCE_INTERVAL SECONDS(2)
#define DEFEND_INTERVAL SECONDS(10)

/* A copy of a packet that waits for its neighbour's hardware address. */
struct waiting {
	struct waiting *next;
	uint32_t len;        /* bytes of data[] */
	uint16_t header_len; /* of them, IP and transport headers */
	uint16_t transport;  /* where the transport header starts */
	uint16_t gso_size;
	uint8_t csum_offset;
	bool csum_partial;
	uint8_t data[];      /* IP header first */
};

struct neighbour {
	struct neighbour *hash_next;
	struct neighbour *newer, *older; /* ring of use */
	struct stack_addr addr;
	uint8_t mac[6];                  /* not in INCOMPLETE and FAILED */
	uint8_t state;                   /* enum stack_neigh_state; see state_now */
	uint8_t tries;                   /* requests sent in INCOMPLETE or PROBE */
	uint8_t queued;                  /* packets in `first` */
	stack_time updated;              /* last change of state */
	stack_time confirmed;            /* last proof that it answers, in REACHABLE */
	stack_time used;                 /* last packet to it; 0: never */
	struct waiting *first;           /* oldest first */
	struct timer timer;
};

static const uint8_t mac_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t mac_zero[6];
static const struct stack_addr addr_any = {{[10] = 0xff, [11] = 0xff}};

/* ---- frames ---- */

static void frame_output(struct stack *s, const uint8_t dst[6], uint16_t type, struct tx *tx)
{
	struct eth_header eth = {.type = type};

	memcpy(eth.dst, dst, 6);
	memcpy(eth.src, s->cfg.mac, 6);
	eth_write(tx_push(tx, ETH_HEADER), &eth);
	link_output(s, tx);
}

static void packet_output(struct stack *s, const uint8_t dst[6], struct tx *tx)
{
	frame_output(s, dst, ETH_TYPE_IP4, tx);
}

/* To `dst` on the link; target_mac is what the packet says. */
static void arp_send(struct stack *s, uint16_t op, const uint8_t dst[6], const uint8_t target_mac[6],
		     const struct stack_addr *sender, const struct stack_addr *target)
{
	struct arp_packet a = {.op = op, .sender = *sender, .target = *target};
	struct tx tx;

	memcpy(a.sender_mac, s->cfg.mac, 6);
	memcpy(a.target_mac, target_mac, 6);
	tx_init(&tx);
	arp_write(tx_push(&tx, ARP_SIZE), &a);
	frame_output(s, dst, ETH_TYPE_ARP, &tx);
}

static void request_send(struct stack *s, struct neighbour *n, const uint8_t dst[6])
{
	struct route_result route = {0};

	n->tries++;
	timer_set(&s->wheel, &n->timer, s->now + RETRANS_TIME);
	if (route_lookup(s, &n->addr, &route) != 0)
		return; /* our address there is gone meanwhile */
	COUNT(s, arp_requests_out);
	arp_send(s, ARP_REQUEST, dst, mac_zero, &route.source, &n->addr);
}

/* ---- the cache ---- */

static struct neighbour **bucket(struct stack *s, const struct stack_addr *addr)
{
	return &s->neighbour_bucket[keyed_hash(s->key_random, addr, sizeof(*addr)) % NEIGHBOUR_BUCKETS];
}

static struct neighbour *neighbour_find(struct stack *s, const struct stack_addr *addr)
{
	struct neighbour *n = s->neighbours;

	if (n && addr_eq(&n->addr, addr)) /* the one that was used last */
		return n;
	n = *bucket(s, addr);
	while (n && !addr_eq(&n->addr, addr))
		n = n->hash_next;
	return n;
}

static void ring_insert(struct stack *s, struct neighbour *n)
{
	struct neighbour *head = s->neighbours;

	n->older = head ? head : n;
	n->newer = head ? head->newer : n;
	n->older->newer = n;
	n->newer->older = n;
	s->neighbours = n;
}

static void ring_remove(struct stack *s, struct neighbour *n)
{
	n->newer->older = n->older;
	n->older->newer = n->newer;
	if (s->neighbours == n)
		s->neighbours = n->older == n ? NULL : n->older;
}

static void ring_touch(struct stack *s, struct neighbour *n)
{
	if (s->neighbours == n)
		return;
	ring_remove(s, n);
	ring_insert(s, n);
}

static size_t waiting_size(uint32_t len)
{
	return sizeof(struct waiting) + len;
}

static void waiting_free(struct stack *s, struct waiting *w)
{
	mem_free(&s->mem, MEM_NEIGHBOUR, w, waiting_size(w->len));
}

/* The oldest packet that waits, or NULL. */
static struct waiting *waiting_pop(struct neighbour *n)
{
	struct waiting *w = n->first;

	if (w) {
		n->first = w->next;
		n->queued--;
	}
	return w;
}

static void waiting_drop(struct stack *s, struct neighbour *n)
{
	waiting_free(s, waiting_pop(n));
	COUNT(s, arp_queue_drops);
}

static void neighbour_free(struct stack *s, struct neighbour *n)
{
	struct neighbour **link = bucket(s, &n->addr);

	while (*link != n)
		link = &(*link)->hash_next;
	*link = n->hash_next;
	s->neighbour_permanent -= n->state == STACK_NEIGH_PERMANENT;
	ring_remove(s, n);
	timer_cancel(&s->wheel, &n->timer);
	while (n->first)
		waiting_drop(s, n);
	s->neighbour_count--;
	mem_free(&s->mem, MEM_NEIGHBOUR, n, sizeof(*n));
}

static bool answers(const struct neighbour *n)
{
	return n->state != STACK_NEIGH_INCOMPLETE && n->state != STACK_NEIGH_FAILED;
}

static bool spared(const struct stack *s, const struct neighbour *n)
{
	return n->state == STACK_NEIGH_PERMANENT || (answers(n) && n->used != 0 && s->now - n->used <= RECENTLY);
}

/*
 * Makes room for one entry, unless all are permanent. An entry that is spared goes to the front,
 * so a flood pays for passing it over once in a whole turn of the ring.
 */
static void evict(struct stack *s)
{
	struct neighbour *oldest;

	COUNT(s, arp_cache_full);
	if (s->neighbour_permanent == s->neighbour_count)
		return;
	oldest = s->neighbours->newer;
	for (uint32_t i = 0; i < s->neighbour_count && spared(s, oldest); i++) {
		s->neighbours = oldest;
		oldest = oldest->newer;
	}
	while (oldest->state == STACK_NEIGH_PERMANENT)
		oldest = oldest->newer;
	neighbour_free(s, oldest);
}

static struct neighbour *neighbour_new(struct stack *s, const struct stack_addr *addr)
{
	struct neighbour **chain = bucket(s, addr);
	struct neighbour *n;

	if (s->neighbour_count >= s->cfg.neighbours_max)
		evict(s);
	n = mem_alloc(&s->mem, MEM_NEIGHBOUR, sizeof(*n));
	if (!n && s->neighbours) { /* waiting packets have used up the budget */
		evict(s);
		n = mem_alloc(&s->mem, MEM_NEIGHBOUR, sizeof(*n));
	}
	if (!n) {
		COUNT(s, arp_cache_full);
		return NULL;
	}
	n->addr = *addr;
	n->state = STACK_NEIGH_STALE;
	n->updated = s->now;
	n->timer.kind = TIMER_NEIGHBOUR;
	n->hash_next = *chain;
	*chain = n;
	ring_insert(s, n);
	s->neighbour_count++;
	return n;
}

/* ---- states ---- */

static void set_state(struct stack *s, struct neighbour *n, enum stack_neigh_state state)
{
	s->neighbour_permanent -= n->state == STACK_NEIGH_PERMANENT;
	s->neighbour_permanent += state == STACK_NEIGH_PERMANENT;
	n->state = (uint8_t)state;
	n->updated = s->now;
	n->tries = 0;
	timer_cancel(&s->wheel, &n->timer);
	if (state == STACK_NEIGH_REACHABLE)
		n->confirmed = s->now;
}

static enum stack_neigh_state state_now(const struct stack *s, const struct neighbour *n)
{
	if (n->state == STACK_NEIGH_REACHABLE && s->now - n->confirmed >= REACHABLE_TIME)
		return STACK_NEIGH_STALE;
	return n->state;
}

static void resolve_start(struct stack *s, struct neighbour *n)
{
	set_state(s, n, STACK_NEIGH_INCOMPLETE);
	request_send(s, n, mac_broadcast);
}

static void waiting_push(struct stack *s, struct neighbour *n, const struct tx *tx)
{
	uint32_t header_len = TX_HEADROOM - tx->start;
	uint32_t len = header_len + tx->data_len;
	struct waiting *w, **end = &n->first;

	if (n->queued == WAITING_MAX)
		waiting_drop(s, n);
	w = mem_alloc_raw(&s->mem, MEM_NEIGHBOUR, waiting_size(len));
	if (!w) {
		COUNT(s, arp_queue_drops);
		return;
	}
	*w = (struct waiting){
		.len = len, .header_len = (uint16_t)header_len,
		.transport = (uint16_t)(tx->transport - tx->start), .gso_size = tx->gso_size,
		.csum_offset = tx->csum_offset, .csum_partial = tx->csum_partial,
	};
	tx_copy(tx, w->data);
	while (*end)
		end = &(*end)->next;
	*end = w;
	n->queued++;
}

static void waiting_send(struct stack *s, const struct neighbour *n, const struct waiting *w)
{
	struct tx tx;

	tx_init(&tx);
	memcpy(tx_push(&tx, w->header_len), w->data, w->header_len);
	tx.transport = (uint16_t)(tx.start + w->transport);
	tx.gso_size = w->gso_size;
	tx.csum_offset = w->csum_offset;
	tx.csum_partial = w->csum_partial;
	if (w->len > w->header_len)
		tx_add(&tx, w->data + w->header_len, w->len - w->header_len);
	packet_output(s, n->mac, &tx);
}

/* The hardware address is known now. */
static void waiting_flush(struct stack *s, struct neighbour *n)
{
	struct waiting *w;

	while ((w = waiting_pop(n))) {
		waiting_send(s, n, w);
		waiting_free(s, w);
	}
}

/*
 * Tells the senders of what waited (row E5; RFC 1122 2.4: the link reports destination
 * unreachable). Only from a timer: a sender may end its connection at this, or send again,
 * which may evict the entry. So the packets are taken off it first.
 */
static void waiting_report(struct stack *s, struct neighbour *n)
{
	struct waiting *next = n->first;

	n->first = NULL;
	n->queued = 0;
	while (next) {
		struct waiting *w = next;

		next = w->next;
		icmp4_deliver_error(s, NULL, w->data, w->len, ICMP_UNREACHABLE, ICMP_HOST_UNREACHABLE, 0);
		waiting_free(s, w);
	}
}

/* The neighbour told its hardware address; `answer`: because we asked. */
static void learned(struct stack *s, struct neighbour *n, const uint8_t mac[6], bool answer)
{
	bool changed = !answers(n) || memcmp(n->mac, mac, 6) != 0;
	bool was_known = answers(n);

	if (n->state == STACK_NEIGH_PERMANENT)
		return;
	memcpy(n->mac, mac, 6);
	if (answer && (!was_known || !changed))
		set_state(s, n, STACK_NEIGH_REACHABLE);
	else if (changed) /* RFC 4861 7.2.5: another address is tried before it is trusted */
		set_state(s, n, STACK_NEIGH_STALE);
	waiting_flush(s, n);
}

/* ---- out ---- */

/* RFC 1112 6.4 for a group, else broadcast. */
static void group_output(struct stack *s, const struct stack_addr *dst, struct tx *tx)
{
	uint8_t mac[6] = {0x01, 0x00, 0x5e, dst->byte[13] & 0x7f, dst->byte[14], dst->byte[15]};

	packet_output(s, address_is_multicast(dst) ? mac : mac_broadcast, tx);
}

static void neighbour_output(struct stack *s, struct neighbour *n, struct tx *tx)
{
	n->used = s->now;
	switch (state_now(s, n)) {
	case STACK_NEIGH_FAILED:
		if (s->now - n->updated >= FAILED_TIME)
			resolve_start(s, n);
		else /* reported by the timer, when the sender is done with this packet */
			timer_set(&s->wheel, &n->timer, s->now);
		waiting_push(s, n, tx);
		break;
	case STACK_NEIGH_INCOMPLETE:
		waiting_push(s, n, tx);
		break;
	case STACK_NEIGH_STALE:
		set_state(s, n, STACK_NEIGH_PROBE);
		timer_set(&s->wheel, &n->timer, s->now + DELAY_FIRST_PROBE);
		packet_output(s, n->mac, tx);
		break;
	case STACK_NEIGH_REACHABLE:
	case STACK_NEIGH_PROBE:
	case STACK_NEIGH_PERMANENT:
		packet_output(s, n->mac, tx);
		break;
	}
}

void arp_output(struct stack *s, const struct stack_addr *next_hop, bool broadcast, struct tx *tx)
{
	struct neighbour *n;

	if (s->cfg.link == STACK_LINK_IP) {
		link_output(s, tx);
		return;
	}
	if (broadcast) {
		group_output(s, next_hop, tx);
		return;
	}
	n = neighbour_find(s, next_hop);
	if (n) {
		ring_touch(s, n);
	} else {
		n = neighbour_new(s, next_hop);
		if (!n)
			return;
		resolve_start(s, n);
	}
	neighbour_output(s, n, tx);
}

void arp_confirm(struct stack *s, const struct stack_addr *next_hop)
{
	struct neighbour *n;

	if (s->cfg.link == STACK_LINK_IP)
		return;
	n = neighbour_find(s, next_hop);
	if (!n || !answers(n) || n->state == STACK_NEIGH_PERMANENT)
		return;
	if (state_now(s, n) == STACK_NEIGH_REACHABLE)
		n->confirmed = s->now;
	else
		set_state(s, n, STACK_NEIGH_REACHABLE);
}

/* ---- timers ---- */

static void resolve_timer(struct stack *s, struct neighbour *n)
{
	if (n->tries < REQUESTS_MAX) {
		request_send(s, n, mac_broadcast);
		return;
	}
	COUNT(s, arp_failed);
	set_state(s, n, STACK_NEIGH_FAILED);
	waiting_report(s, n);
}

static void probe_timer(struct stack *s, struct neighbour *n)
{
	if (n->tries < REQUESTS_MAX) {
		request_send(s, n, n->mac);
		return;
	}
	/* RFC 4861 7.3.3: the entry goes; the next packet asks everybody again. */
	COUNT(s, arp_failed);
	neighbour_free(s, n);
}

void arp_timer(struct stack *s, struct timer *t)
{
	struct neighbour *n = CONTAINER_OF(t, struct neighbour, timer);

	switch ((enum stack_neigh_state)n->state) {
	case STACK_NEIGH_INCOMPLETE:
		resolve_timer(s, n);
		break;
	case STACK_NEIGH_PROBE:
		probe_timer(s, n);
		break;
	case STACK_NEIGH_FAILED:
		waiting_report(s, n);
		break;
	case STACK_NEIGH_REACHABLE:
	case STACK_NEIGH_STALE:
	case STACK_NEIGH_PERMANENT:
		break; /* no timer runs */
	}
}

/* ---- our addresses (RFC 5227) ---- */

static void announce(struct stack *s, const struct address *a)
{
	COUNT(s, arp_announcements_out);
	arp_send(s, ARP_REQUEST, mac_broadcast, mac_zero, &a->addr, &a->addr);
}

static void address_timer_random(struct stack *s, struct address *a, stack_time min)
{
	timer_set(&s->wheel, &a->timer, s->now + min + random_u64(s) % SECONDS(1));
}

void arp_address_start(struct stack *s, struct address *a)
{
	a->announcements_left = ANNOUNCE_NUM;
	a->probes_left = s->cfg.probe == STACK_PROBE_OFF ? 0 : PROBE_NUM;
	a->tentative = s->cfg.probe == STACK_PROBE_STRICT;
	routes_changed(s);
	if (a->tentative)
		address_timer_random(s, a, 0); /* 2.1.1: PROBE_WAIT */
	else
		arp_address_timer(s, &a->timer);
}

static void address_probe(struct stack *s, struct address *a)
{
	COUNT(s, arp_probes_out);
	arp_send(s, ARP_REQUEST, mac_broadcast, mac_zero, &addr_any, &a->addr);
	if (--a->probes_left > 0)
		address_timer_random(s, a, PROBE_MIN);
	else
		timer_set(&s->wheel, &a->timer, s->now + ANNOUNCE_WAIT);
}

void arp_address_timer(struct stack *s, struct timer *t)
{
	struct address *a = CONTAINER_OF(t, struct address, timer);

	if (a->probes_left > 0) {
		address_probe(s, a);
		return;
	}
	a->tentative = false;
	routes_changed(s);
	announce(s, a);
	if (--a->announcements_left > 0)
		timer_set(&s->wheel, &a->timer, s->now + ANNOUNCE_INTERVAL);
}

static void report_conflict(struct stack *s, struct address *a, const uint8_t mac[6])
{
	a->conflict = true;
	s->notice = (struct stack_event){.events = STACK_EVENT_CONFLICT, .addr = a->addr};
	memcpy(s->notice.mac, mac, 6);
	s->has_notice = true;
}

/* Row E4. */
static void address_conflict(struct stack *s, struct address *a, const uint8_t mac[6])
{
	COUNT(s, arp_conflicts);
	if (a->tentative) { /* 2.1.1: not to be used */
		if (!a->conflict)
			report_conflict(s, a, mac);
		timer_cancel(&s->wheel, &a->timer);
		return;
	}
	/* 2.4 (c): keep it, and defend it no more often than this. */
	if (a->defended != 0 && s->now - a->defended < DEFEND_INTERVAL)
		return;
	a->defended = max_u64(s->now, 1);
	COUNT(s, arp_defences);
	announce(s, a);
	report_conflict(s, a, mac);
}

/* The address of ours that this packet claims, or NULL. */
static struct address *claimed(struct stack *s, const struct arp_packet *p)
{
	struct address *a = address_find(s, &p->sender);

	if (a || p->op != ARP_REQUEST || !stack_addr_is_any(&p->sender))
		return a;
	a = address_find(s, &p->target); /* 2.1.1: somebody probes for it as well */
	return a && a->tentative ? a : NULL;
}

/* ---- in ---- */

static bool on_link(struct stack *s, const struct stack_addr *addr)
{
	struct route_result route = {0};

	return route_lookup(s, addr, &route) == 0 && !route.loopback && !route.broadcast &&
	       addr_eq(&route.next_hop, addr);
}

static void answer(struct stack *s, const struct arp_packet *request)
{
	if (!limit_allow(&s->arp_limit, s->now, REPLY_RATE, REPLY_BURST)) {
		COUNT(s, arp_rate_limited);
		return;
	}
	COUNT(s, arp_replies_out);
	arp_send(s, ARP_REPLY, request->sender_mac, request->sender_mac, &request->target, &request->sender);
}

static void request_input(struct stack *s, const struct arp_packet *p)
{
	bool for_us = address_is_ours(s, &p->target, false);
	struct neighbour *n = neighbour_find(s, &p->sender);

	/* RFC 826: who asks for us is about to talk to us. Others only refresh what is there (row E3). */
	if (!n && for_us && on_link(s, &p->sender))
		n = neighbour_new(s, &p->sender);
	if (n)
		learned(s, n, p->sender_mac, false);
	if (for_us)
		answer(s, p);
}

static void reply_input(struct stack *s, const struct arp_packet *p)
{
	struct neighbour *n = neighbour_find(s, &p->sender);
	bool asked = n && n->tries > 0;

	if (!asked)
		COUNT(s, arp_in_unsolicited);
	if (n)
		learned(s, n, p->sender_mac, asked);
}

void arp_input(struct stack *s, const uint8_t *p, size_t len)
{
	struct arp_packet packet;
	struct address *ours;

	COUNT(s, arp_in);
	if (arp_parse(p, len, &packet) || address_is_broadcast(s, &packet.sender)) {
		COUNT(s, arp_in_bad);
		return;
	}
	if (memcmp(packet.sender_mac, s->cfg.mac, 6) == 0)
		return; /* our own, come back (RFC 5227 2.1.1) */
	ours = claimed(s, &packet);
	if (ours)
		address_conflict(s, ours, packet.sender_mac);
	else if (packet.op == ARP_REQUEST)
		request_input(s, &packet);
	else
		reply_input(s, &packet);
}

/* ---- looking in, and the administrator ---- */

static void fill_info(const struct stack *s, const struct neighbour *n, struct stack_neigh_info *out)
{
	*out = (struct stack_neigh_info){
		.addr = n->addr, .state = state_now(s, n), .updated = n->updated, .queued = n->queued,
	};
	memcpy(out->mac, n->mac, 6);
}

bool stack_neigh_get(const struct stack *s, size_t i, struct stack_neigh_info *out)
{
	const struct neighbour *n = s->neighbours;

	if (i >= s->neighbour_count)
		return false;
	while (i-- > 0)
		n = n->older;
	fill_info(s, n, out);
	return true;
}

bool stack_neigh_find(struct stack *s, const struct stack_addr *addr, struct stack_neigh_info *out)
{
	const struct neighbour *n = neighbour_find(s, addr);

	if (n)
		fill_info(s, n, out);
	return n != NULL;
}

static bool settable(enum stack_neigh_state state)
{
	return state == STACK_NEIGH_PERMANENT || state == STACK_NEIGH_REACHABLE || state == STACK_NEIGH_STALE;
}

int stack_neigh_set(struct stack *s, stack_time now, const struct stack_addr *addr, const uint8_t mac[6],
		    enum stack_neigh_state state)
{
	struct neighbour *n = neighbour_find(s, addr);

	stack_at(s, now);
	if (s->cfg.link == STACK_LINK_IP)
		return -EOPNOTSUPP;
	if (!settable(state) || (mac[0] & 1) || stack_addr_is_any(addr) || address_is_multicast(addr) ||
	    address_is_loopback(addr) || address_is_broadcast(s, addr) || address_find(s, addr))
		return -EINVAL;
	if (state == STACK_NEIGH_PERMANENT && s->neighbour_permanent >= s->cfg.neighbours_max / 2)
		return -ENOBUFS;
	if (!n)
		n = neighbour_new(s, addr);
	if (!n)
		return -ENOBUFS;
	memcpy(n->mac, mac, 6);
	set_state(s, n, state);
	waiting_flush(s, n);
	return 0;
}

int stack_neigh_remove(struct stack *s, stack_time now, const struct stack_addr *addr)
{
	struct neighbour *n = neighbour_find(s, addr);

	stack_at(s, now);
	if (!n)
		return -ENOENT;
	neighbour_free(s, n);
	return 0;
}

const char *stack_neigh_state_name(enum stack_neigh_state state)
{
	static const char *const name[] = {"INCOMPLETE", "REACHABLE", "STALE", "PROBE", "FAILED", "PERMANENT"};

	static_assert(ARRAY_SIZE(name) == STACK_NEIGH_PERMANENT + 1, "a name for each state");
	return name[state];
}

void arp_free(struct stack *s)
{
	while (s->neighbours)
		neighbour_free(s, s->neighbours);
}
