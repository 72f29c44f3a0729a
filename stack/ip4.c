/*
 * IPv4 (RFC 791, RFC 1122 3.2 and 3.3): what comes in is checked and handed to a transport,
 * what goes out gets its header, a route, and is fragmented when it is too big and may be.
 *
 * Nothing is forwarded. A packet that a transport sees has a source that a host can have and
 * a destination of ours, and it is whole.
 */
#include "net.h"

#include <errno.h>

/* ---- in ---- */

/* Rows I2: no host can have sent this to us. */
static bool source_good(struct stack *s, const struct ip4_header *h, bool loopback)
{
	if (h->src.byte[12] == 0) /* 0/8, RFC 1122 3.2.1.3 (a) and (b) */
		return false;
	if (address_is_broadcast(s, &h->src) || address_is_multicast(&h->src))
		return false;
	if (loopback)
		return true;
	/* (g) loopback addresses stay inside; our own come only from ourselves (LAND). */
	return !address_is_loopback(&h->src) && !address_find(s, &h->src);
}

/* RFC 1122 3.2.1.3, and 3.3.6: a link-layer broadcast carries an IP broadcast or is dropped. No address of ours is one. */
static bool destination_good(struct stack *s, const struct ip4_header *h, const struct ip4_packet *p, bool *broadcast)
{
	*broadcast = p->broadcast;
	if (!p->broadcast && address_is_ours(s, &h->dst, p->loopback))
		return true;
	return *broadcast = address_is_broadcast(s, &h->dst);
}

static struct ip_info info_of(const struct ip4_header *h, const uint8_t *packet)
{
	return (struct ip_info){
		.src = h->src, .dst = h->dst, .ip = packet, .ip_len = h->total_len,
		.ttl = h->ttl, .tos = h->tos,
	};
}

/* Row I3. True: go on. */
static bool options_good(struct stack *s, const struct ip4_header *h, const struct ip_info *info)
{
	uint8_t pointer;

	if (h->header_len == IP4_HEADER ||
	    ip4_check_options(info->ip, h->header_len, &pointer) == IP4_OPTIONS_GOOD)
		return true;
	COUNT(s, ip_in_options);
	icmp4_error(s, info, ICMP_PARAMETER_PROBLEM, 0, (uint32_t)pointer << 24);
	return false;
}

static void deliver(struct stack *s, const struct ip4_header *h, const struct ip_info *info)
{
	const uint8_t *payload = info->ip + h->header_len;
	size_t len = (size_t)h->total_len - h->header_len;

	switch (h->proto) {
	case IP_PROTO_ICMP:
		COUNT(s, ip_delivered);
		icmp4_input(s, info, payload, len);
		break;
	case IP_PROTO_TCP:
		COUNT(s, ip_delivered);
		tcp_input(s, info, payload, len);
		break;
	case IP_PROTO_UDP:
		COUNT(s, ip_delivered);
		udp_input(s, info, payload, len);
		break;
	default: /* row I6; RFC 1122 3.2.2.1 */
		COUNT(s, ip_in_unknown_proto);
		icmp4_error(s, info, ICMP_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE, 0);
		break;
	}
}

static void fragment_input(struct stack *s, const struct ip4_header *h, const struct ip_info *fragment)
{
	struct ip4_header whole;
	struct ip_info info;
	uint8_t *packet;
	size_t len;

	if (!reasm_input(s, h, fragment->ip, &packet, &len))
		return;
	bool elsewhere = s->ops.elsewhere && s->ops.elsewhere(s->context, packet, len);
	if (!elsewhere && ip4_parse(packet, len, &whole) == NULL) {
		info = info_of(&whole, packet);
		info.broadcast = fragment->broadcast;
		info.loopback = fragment->loopback;
		deliver(s, &whole, &info);
	}
	reasm_release(s, packet, len);
}

/* Packets come in rows, so what was found out for one need not be again. */
static uint64_t pair_of(const struct ip4_header *h)
{
	return (uint64_t)load32(h->src.byte + 12) << 32 | load32(h->dst.byte + 12);
}

/* False: dropped and counted. */
static bool header_input(struct stack *s, const struct ip4_packet *p, struct ip4_header *h, bool *broadcast)
{
	const char *wrong = ip4_parse(p->data, p->len, h);

	if (wrong) {
		if (wrong == wire_bad_checksum)
			COUNT(s, ip_in_bad_checksum);
		else
			COUNT(s, ip_in_bad_header);
		return false;
	}
	if (s->good_pair != 0 && pair_of(h) == s->good_pair && !p->loopback && !p->broadcast)
		return true;
	if (!source_good(s, h, p->loopback)) {
		COUNT(s, ip_in_bad_source);
		return false;
	}
	if (!destination_good(s, h, p, broadcast)) {
		COUNT(s, ip_in_not_ours);
		return false;
	}
	if (!p->loopback && !*broadcast)
		s->good_pair = pair_of(h);
	return true;
}

void ip4_input(struct stack *s, const struct ip4_packet *p)
{
	struct ip4_header h;
	struct ip_info info;
	bool broadcast = false;

	COUNT(s, ip_in);
	if (!header_input(s, p, &h, &broadcast))
		return;
	info = info_of(&h, p->data);
	info.csum_good = p->csum_good;
	info.gso_size = p->gso_size;
	info.gso_udp = p->gso_udp;
	info.loopback = p->loopback;
	info.broadcast = broadcast;
	if (!options_good(s, &h, &info))
		return;
	if (h.more_fragments || h.fragment_offset > 0)
		fragment_input(s, &h, &info);
	else
		deliver(s, &h, &info);
}

/* ---- out ---- */

/*
 * Identification (RFC 6864): a packet that may be fragmented gets the next of 65,536 that all
 * differ, in an order nobody outside knows (RFC 7739 1: a plain counter tells how much we
 * send). A Feistel network turns the counter into it.
 */
uint16_t ip4_next_id(struct stack *s)
{
	uint16_t counter = s->ip_id_counter++;
	uint8_t left = (uint8_t)(counter >> 8), right = (uint8_t)counter;

	for (uint8_t round = 0; round < 4; round++) {
		const uint8_t in[2] = {round, right};
		uint8_t mixed = (uint8_t)(left ^ (uint8_t)keyed_hash(s->key_ip_id, in, sizeof(in)));

		left = right;
		right = mixed;
	}
	return (uint16_t)(left << 8 | right);
}

/* Sends one fragment: the bytes of `payload` at `offset`. */
static void fragment_output(struct stack *s, const struct iovec *payload, unsigned count,
			    const struct ip4_header *whole, const struct route_result *route,
			    uint16_t offset, uint16_t len)
{
	struct ip4_header h = *whole;
	struct tx tx;

	tx_init(&tx);
	tx.data_count = iov_slice(payload, count, offset, len, tx.data);
	tx.data_len = len;
	h.fragment_offset = offset;
	h.more_fragments = offset + len < whole->total_len - (int)IP4_HEADER;
	h.total_len = (uint16_t)(IP4_HEADER + len);
	ip4_write(tx_push(&tx, IP4_HEADER), &h);
	COUNT(s, frag_out);
	arp_output(s, &route->next_hop, route->broadcast, &tx);
}

/* RFC 791 3.2. `tx` has no IP header yet. */
static int fragment_all(struct stack *s, struct tx *tx, const struct ip4_header *h, const struct route_result *route,
			uint16_t mtu)
{
	uint16_t step = (uint16_t)((mtu - IP4_HEADER) & ~7u);
	uint16_t total = (uint16_t)(h->total_len - IP4_HEADER);
	struct iovec payload[TX_PIECES];

	if (tx->data_count == TX_PIECES) /* no room for the transport header as a piece */
		return -EMSGSIZE;
	tx_finish_checksum(tx);
	payload[0] = (struct iovec){tx->head + tx->start, TX_HEADROOM - tx->start};
	memcpy(payload + 1, tx->data, tx->data_count * sizeof(tx->data[0]));
	for (uint32_t offset = 0; offset < total; offset += step)
		fragment_output(s, payload, tx->data_count + 1, h, route, (uint16_t)offset,
				(uint16_t)min_u32(step, total - offset));
	return 0;
}

/* The link's largest frame that this packet becomes, link header left out. */
static uint32_t largest_frame(const struct tx *tx, uint32_t total)
{
	return tx->gso_size && tx->data_len > tx->gso_size ? total - tx->data_len + tx->gso_size : total;
}

static int routed_output(struct stack *s, struct tx *tx, struct ip4_header *h, const struct route_result *route,
			 uint16_t mtu)
{
	bool too_big = !route->loopback && largest_frame(tx, h->total_len) > mtu;

	if (too_big && h->dont_fragment) {
		COUNT(s, ip_out_too_big);
		return -EMSGSIZE;
	}
	if (!h->dont_fragment)
		h->id = ip4_next_id(s);
	COUNT(s, ip_out);
	if (too_big)
		return fragment_all(s, tx, h, route, mtu);
	ip4_write(tx_push(tx, IP4_HEADER), h);
	if (route->loopback)
		loopback_output(s, tx);
	else
		arp_output(s, &route->next_hop, route->broadcast, tx);
	return 0;
}

int ip_output(struct stack *s, struct tx *tx, const struct ip_params *params)
{
	struct route_result route = {.source = params->src};
	uint32_t total = IP4_HEADER + TX_HEADROOM - tx->start + tx->data_len;
	struct ip4_header h = {
		.dst = params->dst, .total_len = (uint16_t)total, .ttl = params->ttl,
		.proto = params->proto, .tos = params->tos, .dont_fragment = params->dont_fragment,
	};

	/* RFC 1122 3.2.1.3 (g): a loopback source stays inside. */
	if (route_lookup(s, &params->dst, &route) != 0 ||
	    (address_is_loopback(&route.source) && !route.loopback)) {
		COUNT(s, ip_out_no_route);
		return -ENETUNREACH;
	}
	if (route.broadcast && !params->may_broadcast)
		return -EACCES;
	if (total > UINT16_MAX)
		return -EMSGSIZE;
	h.src = route.source;
	return routed_output(s, tx, &h, &route, params->mtu ? params->mtu : s->cfg.mtu);
}

void ip_confirm(struct stack *s, const struct stack_addr *src, const struct stack_addr *dst)
{
	struct route_result route = {.source = *src};

	if (route_lookup(s, dst, &route) == 0 && !route.loopback && !route.broadcast)
		arp_confirm(s, &route.next_hop);
}
