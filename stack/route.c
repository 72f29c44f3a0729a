/*
 * Our addresses, and the way to others: longest prefix match over a small table (RFC 1122
 * 3.3.1). An address brings a route to its prefix, and takes with it all routes that go
 * through it. What the table does not hold: ourselves (own addresses, 127.0.0.0/8) and
 * broadcast and multicast, which are decided before.
 *
 * Invariant: the source of a route in use is one of our addresses.
 */
#include "net.h"

#include <errno.h>

static uint32_t v4(const struct stack_addr *a)
{
	return load32(a->byte + 12);
}

static uint32_t mask(uint8_t prefix)
{
	return prefix ? UINT32_MAX << (32 - prefix) : 0;
}

static bool in_prefix(const struct stack_addr *a, const struct stack_addr *net, uint8_t prefix)
{
	return ((v4(a) ^ v4(net)) & mask(prefix)) == 0;
}

/* ---- kinds of address ---- */

bool address_is_multicast(const struct stack_addr *addr)
{
	return addr->byte[12] >> 4 == 0xe && addr_is_v4(addr);
}

bool address_is_loopback(const struct stack_addr *addr)
{
	return addr->byte[12] == 127 && addr_is_v4(addr);
}

/* The address of ours whose prefix has `addr` as its directed broadcast. */
static const struct address *directed_broadcast(const struct stack *s, const struct stack_addr *addr)
{
	uint32_t to = v4(addr);

	for (size_t i = 0; i < s->address_top; i++) {
		const struct address *a = &s->address[i];

		if (to != 0 && a->broadcast == to && a->used) /* 0: a prefix without one */
			return a;
	}
	return NULL;
}

bool address_is_broadcast(const struct stack *s, const struct stack_addr *addr)
{
	return (v4(addr) == UINT32_MAX || directed_broadcast(s, addr)) && addr_is_v4(addr);
}

struct address *address_find(struct stack *s, const struct stack_addr *addr)
{
	for (size_t i = 0; i < s->address_top; i++)
		if (s->address[i].used && addr_eq(&s->address[i].addr, addr))
			return &s->address[i];
	return NULL;
}

bool address_is_ours(const struct stack *s, const struct stack_addr *addr, bool loopback)
{
	if (loopback && address_is_loopback(addr))
		return true;
	for (size_t i = 0; i < s->address_top; i++)
		if (s->address[i].used && addr_eq(&s->address[i].addr, addr))
			return !s->address[i].tentative;
	return false;
}

/* ---- lookup ---- */

static const struct address *first_address(const struct stack *s)
{
	for (size_t i = 0; i < s->address_top; i++)
		if (s->address[i].used && !s->address[i].tentative)
			return &s->address[i];
	return NULL;
}

static const struct route *best_route(const struct stack *s, const struct stack_addr *dst)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < s->route_top; i++) {
		const struct route *r = &s->route[i];

		if (r->used && in_prefix(dst, &r->dest, r->prefix) && (!best || r->prefix > best->prefix) &&
		    address_is_ours(s, &r->source, false))
			best = r;
	}
	return best;
}

/* Fills all but the source, and returns the source to use unless the caller has one; NULL: no way. */
static const struct stack_addr *lookup(struct stack *s, const struct stack_addr *dst, struct route_result *out)
{
	static const struct stack_addr localhost =
		{{[10] = 0xff, [11] = 0xff, [12] = 127, [13] = 0, [14] = 0, [15] = 1}};
	const struct address *a = address_find(s, dst);
	const struct route *r;

	out->next_hop = *dst;
	out->loopback = address_is_loopback(dst) || a;
	out->broadcast = !out->loopback && (address_is_broadcast(s, dst) || address_is_multicast(dst));
	if (a)
		return a->tentative ? NULL : &a->addr;
	if (out->loopback)
		return &localhost;
	if (out->broadcast) {
		a = directed_broadcast(s, dst);
		if (!a || a->tentative)
			a = first_address(s);
		return a ? &a->addr : NULL;
	}
	r = best_route(s, dst);
	if (!r)
		return NULL;
	if (!stack_addr_is_any(&r->gateway))
		out->next_hop = r->gateway;
	return &r->source;
}

static int look_up(struct stack *s, const struct stack_addr *dst)
{
	const struct stack_addr *source;

	s->way.known = false;
	if (!addr_is_v4(dst) || stack_addr_is_any(dst))
		return -ENETUNREACH;
	source = lookup(s, dst, &s->way.route);
	if (!source)
		return -ENETUNREACH;
	s->way.route.source = *source;
	s->way.dst = *dst;
	s->way.known = true;
	return 0;
}

/* Packets go in rows, so the way of the last one is remembered. */
int route_lookup(struct stack *s, const struct stack_addr *dst, struct route_result *out)
{
	struct stack_addr source = out->source;

	if (!(s->way.known && addr_eq(dst, &s->way.dst)) && look_up(s, dst) != 0)
		return -ENETUNREACH;
	*out = s->way.route;
	if (!stack_addr_is_any(&source))
		out->source = source;
	return 0;
}

int stack_route_find(struct stack *s, const struct stack_addr *dest, struct stack_way *out)
{
	struct route_result route = {0};

	if (route_lookup(s, dest, &route) != 0)
		return -ENETUNREACH;
	*out = (struct stack_way){.kind = STACK_WAY_UNICAST, .source = route.source};
	if (route.loopback)
		out->kind = STACK_WAY_LOCAL;
	else if (route.broadcast)
		out->kind = address_is_multicast(dest) ? STACK_WAY_MULTICAST : STACK_WAY_BROADCAST;
	if (!addr_eq(&route.next_hop, dest))
		out->gateway = route.next_hop;
	return 0;
}

/* ---- routes ---- */

static struct route *route_find(struct stack *s, const struct stack_addr *dest, uint8_t prefix,
				bool from_address)
{
	for (size_t i = 0; i < ROUTE_MAX; i++) {
		struct route *r = &s->route[i];

		if (r->used && r->from_address == from_address && r->prefix == prefix && addr_eq(&r->dest, dest))
			return r;
	}
	return NULL;
}

static int route_insert(struct stack *s, const struct route *route)
{
	for (size_t i = 0; i < ROUTE_MAX; i++) {
		if (!s->route[i].used) {
			s->route[i] = *route;
			s->route[i].used = true;
			s->route_top = (size_t)max_u64(s->route_top, i + 1);
			return 0;
		}
	}
	return -ENOSPC;
}

/* The address of ours whose prefix has this neighbour in it. */
static const struct address *connected_address(const struct stack *s, const struct stack_addr *neighbour)
{
	const struct address *best = NULL;

	for (size_t i = 0; i < s->address_top; i++) {
		const struct address *a = &s->address[i];

		if (a->used && in_prefix(neighbour, &a->addr, a->prefix) && (!best || a->prefix > best->prefix))
			best = a;
	}
	return best;
}

int stack_route_set(struct stack *s, const struct stack_route_info *route, bool replace)
{
	bool on_link = stack_addr_is_any(&route->gateway);
	const struct address *a = on_link ? first_address(s) : connected_address(s, &route->gateway);
	struct route r = {.prefix = route->prefix, .used = true};
	struct route *old;

	if (r.prefix > 32 || (v4(&route->dest) & ~mask(r.prefix)) != 0)
		return -EINVAL;
	r.dest = stack_addr_v4(route->dest.byte + 12);
	if (!a || address_find(s, &route->gateway) || address_is_broadcast(s, &route->gateway))
		return -ENETUNREACH;
	if (!stack_addr_is_any(&route->source))
		a = address_find(s, &route->source);
	if (!a)
		return -EADDRNOTAVAIL;
	old = route_find(s, &r.dest, r.prefix, false);
	if ((old && !replace) || route_find(s, &r.dest, r.prefix, true))
		return -EEXIST;
	routes_changed(s);
	r.source = a->addr;
	if (!on_link)
		r.gateway = route->gateway;
	if (!old)
		return route_insert(s, &r);
	*old = r;
	return 0;
}

int stack_route_add(struct stack *s, const struct stack_addr *dest, uint8_t prefix,
		    const struct stack_addr *gateway)
{
	struct stack_route_info route = {.dest = *dest, .gateway = *gateway, .prefix = prefix};

	return stack_route_set(s, &route, false);
}

int stack_route_remove(struct stack *s, const struct stack_addr *dest, uint8_t prefix)
{
	struct stack_addr key = stack_addr_v4(dest->byte + 12);
	struct route *r = route_find(s, &key, prefix, false);

	if (!r)
		return route_find(s, &key, prefix, true) ? -EPERM : -ESRCH;
	routes_changed(s);
	r->used = false;
	return 0;
}

bool stack_route_get(const struct stack *s, size_t i, struct stack_route_info *out)
{
	for (size_t k = 0; k < ROUTE_MAX; k++) {
		const struct route *r = &s->route[k];

		if (r->used && i-- == 0) {
			*out = (struct stack_route_info){
				.dest = r->dest, .gateway = r->gateway, .source = r->source,
				.prefix = r->prefix, .from_address = r->from_address,
			};
			return true;
		}
	}
	return false;
}

/* ---- addresses ---- */

/* An address that a host can have in a prefix of this length (RFC 1122 3.2.1.3, RFC 3021). */
static bool host_address(const struct stack_addr *addr, uint8_t prefix)
{
	uint32_t host;

	if (!addr_is_v4(addr) || prefix > 32 || addr->byte[12] == 0 || addr->byte[12] >= 224 || address_is_loopback(addr))
		return false;
	host = v4(addr) & ~mask(prefix);
	return prefix > 30 || (host != 0 && host != ~mask(prefix));
}

static struct address *address_free_slot(struct stack *s)
{
	for (size_t i = 0; i < ADDRESS_MAX; i++)
		if (!s->address[i].used)
			return &s->address[i];
	return NULL;
}

int stack_address_add(struct stack *s, stack_time now, const struct stack_addr *addr, uint8_t prefix)
{
	struct address *a = address_free_slot(s);
	struct route connected = {.source = *addr, .prefix = prefix, .from_address = true};
	uint8_t net[4];

	stack_at(s, now);
	if (!host_address(addr, prefix))
		return -EINVAL;
	if (address_find(s, addr))
		return -EEXIST;
	if (!a)
		return -ENOSPC;
	store32(net, v4(addr) & mask(prefix));
	connected.dest = stack_addr_v4(net);
	if (route_insert(s, &connected) != 0)
		return -ENOSPC;
	s->good_pair = 0;
	routes_changed(s);
	*a = (struct address){.addr = *addr, .prefix = prefix, .used = true};
	a->broadcast = prefix <= 30 ? v4(addr) | ~mask(prefix) : 0;
	s->address_top = (size_t)max_u64(s->address_top, (uint64_t)(a - s->address) + 1);
	a->timer.kind = TIMER_ADDRESS;
	if (s->cfg.link == STACK_LINK_ETHERNET)
		arp_address_start(s, a);
	return 0;
}

int stack_address_remove(struct stack *s, const struct stack_addr *addr)
{
	struct address *a = address_find(s, addr);

	if (!a)
		return -EADDRNOTAVAIL;
	timer_cancel(&s->wheel, &a->timer);
	s->good_pair = 0;
	routes_changed(s);
	a->used = false;
	for (size_t i = 0; i < ROUTE_MAX; i++)
		if (s->route[i].used && addr_eq(&s->route[i].source, addr))
			s->route[i].used = false;
	return 0;
}

bool stack_address_get(const struct stack *s, size_t i, struct stack_address_info *out)
{
	for (size_t k = 0; k < ADDRESS_MAX; k++) {
		const struct address *a = &s->address[k];

		if (a->used && i-- == 0) {
			*out = (struct stack_address_info){
				.addr = a->addr, .prefix = a->prefix,
				.tentative = a->tentative, .conflict = a->conflict,
			};
			return true;
		}
	}
	return false;
}
