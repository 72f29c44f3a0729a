/*
 * IPv4 headers (RFC 791, RFC 1122 3.2.1). A header that parsed has 20 <= header_len <=
 * total_len <= the bytes that are there, a good checksum and a TTL above 0.
 */
#include "../checksum.h"
#include "wire.h"

#define FLAG_DF 0x4000u
#define FLAG_MF 0x2000u
#define OFFSET_MASK 0x1fffu /* in units of 8 bytes */

const char wire_bad_checksum[] = "checksum";

static void fields_read(const uint8_t *p, struct ip4_header *out)
{
	uint16_t fragment = load16(p + 6);

	out->header_len = (uint16_t)((p[0] & 0x0f) * 4);
	out->tos = p[1];
	out->total_len = load16(p + 2);
	out->id = load16(p + 4);
	out->dont_fragment = fragment & FLAG_DF;
	out->more_fragments = fragment & FLAG_MF;
	out->fragment_offset = (uint16_t)((fragment & OFFSET_MASK) * 8);
	out->ttl = p[8];
	out->proto = p[9];
	out->src = stack_addr_v4(p + 12);
	out->dst = stack_addr_v4(p + 16);
}

static const char *header_read(const uint8_t *p, size_t len, struct ip4_header *out)
{
	if (len < IP4_HEADER)
		return "packet shorter than an IPv4 header";
	if (p[0] >> 4 != 4)
		return "IP version";
	fields_read(p, out);
	if (out->header_len < IP4_HEADER || out->header_len > len)
		return "IPv4 header length";
	if (out->total_len < out->header_len)
		return "IPv4 total length below the header's";
	return NULL;
}

/* Most have no options, and then there is nothing to count. */
static uint64_t header_sum(const uint8_t *p, size_t header_len)
{
	return header_len == IP4_HEADER ? checksum_header(p, IP4_HEADER) : checksum_header(p, header_len);
}

const char *ip4_parse(const uint8_t *p, size_t len, struct ip4_header *out)
{
	const char *wrong = header_read(p, len, out);

	if (wrong)
		return wrong;
	if (out->total_len > len)
		return "IPv4 total length above the packet's";
	if (out->ttl == 0)
		return "IPv4 TTL";
	if (checksum_finish(header_sum(p, out->header_len)) != 0)
		return wire_bad_checksum;
	return NULL;
}

const char *ip4_parse_quoted(const uint8_t *p, size_t len, struct ip4_header *out)
{
	const char *wrong = header_read(p, len, out);

	if (wrong)
		return wrong;
	if (len < out->header_len + 8u) /* RFC 1122 3.2.2: at least 8 bytes behind the header */
		return "quote too short";
	return NULL;
}

static void checksum_set(uint8_t *p, size_t header_len)
{
	store16(p + 10, 0);
	store16(p + 10, checksum_finish(checksum_header(p, header_len)));
}

void ip4_write(uint8_t *p, const struct ip4_header *h)
{
	unsigned fragment = h->fragment_offset / 8u;

	fragment |= h->dont_fragment ? FLAG_DF : 0;
	fragment |= h->more_fragments ? FLAG_MF : 0;
	p[0] = 0x45;
	p[1] = h->tos;
	store16(p + 2, h->total_len);
	store16(p + 4, h->id);
	store16(p + 6, (uint16_t)fragment);
	p[8] = h->ttl;
	p[9] = h->proto;
	memcpy(p + 12, h->src.byte + 12, 4);
	memcpy(p + 16, h->dst.byte + 12, 4);
	checksum_set(p, IP4_HEADER);
}

void ip4_make_whole(uint8_t *p, uint16_t total_len, uint16_t id_offset)
{
	store16(p + 2, total_len);
	store16(p + 4, (uint16_t)(load16(p + 4) + id_offset));
	store16(p + 6, load16(p + 6) & FLAG_DF);
	checksum_set(p, (p[0] & 0x0f) * 4u);
}

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_LOOSE_SOURCE_ROUTE 131
#define OPTION_STRICT_SOURCE_ROUTE 137

enum ip4_option_result ip4_check_options(const uint8_t *p, size_t header_len, uint8_t *pointer)
{
	size_t i = IP4_HEADER;

	while (i < header_len && p[i] != OPTION_END) {
		if (p[i] == OPTION_NOP) {
			i++;
			continue;
		}
		*pointer = (uint8_t)i;
		if (p[i] == OPTION_LOOSE_SOURCE_ROUTE || p[i] == OPTION_STRICT_SOURCE_ROUTE)
			return IP4_OPTIONS_SOURCE_ROUTE;
		if (i + 1 >= header_len)
			return IP4_OPTIONS_BAD;
		*pointer = (uint8_t)(i + 1);
		if (p[i + 1] < 2 || p[i + 1] > header_len - i)
			return IP4_OPTIONS_BAD;
		i += p[i + 1];
	}
	return IP4_OPTIONS_GOOD;
}
