/*
 * What a frame must look like, written from RFC 791, 9293 and 768 and sharing nothing with the
 * stack: a mistake there is not repeated here.
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define ETHERNET 14u
#define IP_SIZE 20u
#define TCP 6
#define UDP 17
#define TCP_FIN 0x01
#define TCP_PSH 0x08

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* RFC 1071, folded and not complemented. */
static uint32_t sum(uint64_t start, const uint8_t *p, size_t len)
{
	uint64_t total = start;

	for (size_t i = 0; i + 1 < len; i += 2)
		total += get16(p + i);
	if (len & 1)
		total += (uint32_t)p[len - 1] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

static uint32_t pseudo(const uint8_t *ip, size_t transport_len)
{
	return sum(ip[9] + transport_len, ip + 12, 8);
}

size_t frame_link_header(const struct sim_node *node)
{
	return node->cfg.link == STACK_LINK_ETHERNET ? ETHERNET : 0;
}

/* The IP packet, or NULL for another protocol. */
static const uint8_t *ip_of(const struct sim_node *node, const uint8_t *data, size_t len)
{
	size_t link = frame_link_header(node);

	if (len < link + IP_SIZE || (link && get16(data + 12) != 0x0800))
		return NULL;
	return data + link;
}

static bool is_fragment(const uint8_t *ip)
{
	return (get16(ip + 6) & 0x3fff) != 0;
}

void frame_complete_checksum(const struct stack_output *out, uint8_t *data, size_t len)
{
	uint32_t s;

	if (!out->csum_partial || len < (size_t)out->csum_start + out->csum_offset + 2)
		return;
	s = ~sum(0, data + out->csum_start, len - out->csum_start) & 0xffff;
	if (s == 0)
		s = 0xffff;
	put16(data + out->csum_start + out->csum_offset, s);
}

static const char *check_transport(const uint8_t *ip, size_t len)
{
	const uint8_t *p = ip + IP_SIZE;

	len -= IP_SIZE;
	if (ip[9] == TCP && (len < 20 || (size_t)(p[12] >> 4) * 4 < 20 || (size_t)(p[12] >> 4) * 4 > len))
		return "TCP header length";
	if (ip[9] == UDP && (len < 8 || get16(p + 4) != len))
		return "UDP length";
	if (ip[9] == UDP && get16(p + 6) == 0)
		return "UDP without a checksum";
	if ((ip[9] == TCP || ip[9] == UDP) && sum(pseudo(ip, len), p, len) != 0xffff)
		return "transport checksum";
	if (ip[9] == 1 && sum(0, p, len) != 0xffff)
		return "ICMP checksum";
	return NULL;
}

static const char *check_ip(const struct sim_node *node, const struct stack_output *out, const uint8_t *ip, size_t len)
{
	if (ip[0] != 0x45)
		return "IP version or header length";
	if (get16(ip + 2) != len)
		return "IP total length is not the frame's";
	if (sum(0, ip, IP_SIZE) != 0xffff)
		return "IP header checksum";
	if (memcmp(ip + 12, node->addr.byte + 12, 4) != 0)
		return "IP source is not the node's address";
	if (ip[8] == 0)
		return "TTL 0";
	if (out->gso_size == 0 && len > node->cfg.mtu)
		return "larger than the MTU";
	if (is_fragment(ip))
		return ip[9] == TCP ? "TCP in fragments" : NULL;
	return check_transport(ip, len);
}

static const char *check_offload(const struct sim_node *node, const struct stack_output *out, size_t len)
{
	size_t link = frame_link_header(node);

	if (out->len != len)
		return "len is not the sum of the pieces";
	if (out->csum_partial && !(node->cfg.offload & STACK_OFFLOAD_CSUM))
		return "checksum left to a link that has no such offload";
	if (out->gso_size == 0)
		return NULL;
	if (!(node->cfg.offload & STACK_OFFLOAD_TSO4) || !out->csum_partial)
		return "segmentation left to a link that has no such offload";
	if (out->header_len < link + 40 || out->header_len > link + 80 || out->header_len >= len)
		return "header_len";
	if (out->header_len - link + out->gso_size > node->cfg.mtu)
		return "gso_size makes frames larger than the MTU";
	if (len - out->header_len <= out->gso_size)
		return "gso_size of a segment that needs no cutting";
	return NULL;
}

const char *frame_check(const struct sim_node *node, const struct stack_output *out, const uint8_t *data, size_t len)
{
	size_t link = frame_link_header(node);
	const char *wrong = check_offload(node, out, len);

	if (wrong)
		return wrong;
	if (link && (len < link || memcmp(data + 6, node->cfg.mac, 6) != 0))
		return "source hardware address";
	if (link && get16(data + 12) == 0x0806)
		return len == link + 28 ? NULL : "ARP length";
	if (link && get16(data + 12) != 0x0800)
		return "Ethernet type";
	if (len < link + IP_SIZE)
		return "too short for IP";
	return check_ip(node, out, data + link, len - link);
}

void frame_cut(const struct sim_node *node, const uint8_t *data, size_t len, uint16_t gso_size,
	       void (*emit)(void *arg, const uint8_t *data, size_t len), void *arg)
{
	size_t link = frame_link_header(node), tcp = link + IP_SIZE;
	size_t header = tcp + (size_t)(data[tcp + 12] >> 4) * 4;
	uint8_t piece[65536 + ETHERNET];

	for (size_t at = header; at < len; at += gso_size) {
		size_t n = len - at < gso_size ? len - at : gso_size;

		memcpy(piece, data, header);
		memcpy(piece + header, data + at, n);
		put16(piece + link + 2, (uint32_t)(header - link + n));
		put16(piece + link + 4, get16(data + link + 4) + (uint32_t)((at - header) / gso_size));
		put16(piece + link + 10, 0);
		put16(piece + link + 10, ~sum(0, piece + link, IP_SIZE));
		put32(piece + tcp + 4, get32(data + tcp + 4) + (uint32_t)(at - header));
		if (at + n < len)
			piece[tcp + 13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
		put16(piece + tcp + 16, 0);
		put16(piece + tcp + 16, ~sum(pseudo(piece + link, header - tcp + n), piece + tcp, header - tcp + n));
		emit(arg, piece, header + n);
	}
}

unsigned frame_destination(const struct sim_node *node, const uint8_t *data, size_t len)
{
	const struct sim *sim = node->sim;
	const uint8_t *ip = ip_of(node, data, len);

	for (unsigned i = 0; i < sim->node_count; i++) {
		const struct sim_node *to = &sim->node[i];

		if (frame_link_header(node) ? memcmp(data, to->cfg.mac, 6) == 0
					    : ip && memcmp(ip + 16, to->addr.byte + 12, 4) == 0)
			return i;
	}
	return SIM_NODES;
}

size_t frame_protected(const struct sim_node *node, const uint8_t *data, size_t len)
{
	const uint8_t *ip = ip_of(node, data, len);

	if (!ip)
		return 0;
	return is_fragment(ip) ? IP_SIZE : len - frame_link_header(node);
}

static int window_scale_option(const uint8_t *p, size_t len)
{
	for (size_t i = 20; i < len && p[i] != 0;) {
		if (p[i] == 1) {
			i++;
			continue;
		}
		if (i + 2 > len || p[i + 1] < 2)
			break;
		if (p[i] == 3)
			return p[i + 2];
		i += p[i + 1];
	}
	return -1;
}

bool frame_tcp(const struct sim_node *node, const uint8_t *data, size_t len, struct frame_tcp *out)
{
	const uint8_t *ip = ip_of(node, data, len), *p;
	size_t header;

	if (!ip || ip[9] != TCP || is_fragment(ip))
		return false;
	p = ip + IP_SIZE;
	header = (size_t)(p[12] >> 4) * 4;
	*out = (struct frame_tcp){
		.sport = (uint16_t)get16(p), .dport = (uint16_t)get16(p + 2),
		.seq = get32(p + 4), .ack = get32(p + 8), .flags = p[13], .window = (uint16_t)get16(p + 14),
		.len = (uint32_t)(get16(ip + 2) - IP_SIZE - header),
		.window_scale = window_scale_option(p, header),
	};
	memcpy(out->src, ip + 12, 4);
	memcpy(out->dst, ip + 16, 4);
	return true;
}

static void print_tcp(const struct sim_node *node, const struct frame_tcp *t, char *out, size_t size)
{
	static const char letters[] = "FSRPAUEC";
	char flags[9];
	unsigned n = 0;
	uint32_t seq, ack;

	for (unsigned i = 0; i < 8; i++)
		if (t->flags & 1u << i)
			flags[n++] = letters[i];
	flags[n] = '\0';
	flow_relative(node->sim->flows, t, &seq, &ack);
	snprintf(out, size, "TCP %u > .%u:%u [%s] seq %u:%u ack %u win %u", t->sport, t->dst[3], t->dport, flags, seq,
		 seq + t->len, ack, t->window);
}

void frame_print(const struct sim_node *node, const uint8_t *data, size_t len, char *out, size_t size)
{
	const uint8_t *ip = ip_of(node, data, len);
	struct frame_tcp tcp;

	if (frame_tcp(node, data, len, &tcp))
		print_tcp(node, &tcp, out, size);
	else if (ip && is_fragment(ip))
		snprintf(out, size, "fragment of protocol %u, offset %u%s, %zu bytes", ip[9],
			 (get16(ip + 6) & 0x1fff) * 8, ip[6] & 0x20 ? "+" : "", len);
	else if (ip && ip[9] == UDP)
		snprintf(out, size, "UDP %u > %u, %u bytes", get16(ip + 20), get16(ip + 22), get16(ip + 24) - 8);
	else if (ip && ip[9] == 1)
		snprintf(out, size, "ICMP type %u code %u", ip[20], ip[21]);
	else if (!ip && len >= 42)
		snprintf(out, size, "ARP %s .%u for .%u", get16(data + 20) == 1 ? "request" : "reply", data[31], data[41]);
	else
		snprintf(out, size, "%zu bytes", len);
}
