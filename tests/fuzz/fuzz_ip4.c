/*
 * The parsers of Ethernet, ARP, IPv4, ICMP, UDP and quoted headers: whatever parses holds only
 * valid values, what is written parses again as the same, and no byte past the end is read.
 *
 * Input: one byte that chooses the parser, then the bytes.
 */
#include "fuzz.h"

#include "stack/checksum.h"
#include "stack/wire/wire.h"

static void try_ethernet(const uint8_t *p, size_t len)
{
	uint8_t again[ETH_HEADER];
	struct eth_header h;

	if (eth_parse(p, len, &h))
		return;
	eth_write(again, &h);
	FUZZ_CHECK(memcmp(p, again, sizeof(again)) == 0, "another header");
}

static void try_arp(const uint8_t *p, size_t len)
{
	uint8_t again[ARP_SIZE];
	struct arp_packet a;

	if (arp_parse(p, len, &a))
		return;
	FUZZ_CHECK(!mac_is_group(a.sender_mac), "the sender has a group address");
	arp_write(again, &a);
	FUZZ_CHECK(memcmp(p, again, sizeof(again)) == 0, "another packet");
}

/* Every header that parses can be written, and then differs at most in its options. */
static void ip4_round_trip(const struct ip4_header *h)
{
	struct ip4_header plain = *h, again;
	uint8_t *packet;

	plain.header_len = IP4_HEADER;
	if (plain.total_len < IP4_HEADER)
		return;
	packet = calloc(1, plain.total_len);
	ip4_write(packet, &plain);
	const char *wrong = ip4_parse(packet, plain.total_len, &again);
	FUZZ_CHECK(!wrong, "%s", wrong);
	FUZZ_CHECK(again.total_len == plain.total_len && again.id == plain.id && again.ttl == plain.ttl &&
		   again.fragment_offset == plain.fragment_offset && again.proto == plain.proto &&
		   again.dont_fragment == plain.dont_fragment && again.more_fragments == plain.more_fragments &&
		   memcmp(&again.src, &plain.src, 16) == 0 && memcmp(&again.dst, &plain.dst, 16) == 0,
		   "a field changed");
	free(packet);
}

static void try_options(const uint8_t *p, size_t header_len)
{
	uint8_t pointer = 0;

	if (ip4_check_options(p, header_len, &pointer) != IP4_OPTIONS_GOOD)
		FUZZ_CHECK(pointer >= IP4_HEADER && pointer <= header_len, "the pointer is %u of %zu", pointer, header_len);
}

static void try_ip4(const uint8_t *p, size_t len)
{
	struct ip4_header h;

	if (ip4_parse(p, len, &h))
		return;
	FUZZ_CHECK(h.header_len >= IP4_HEADER && h.header_len <= h.total_len && h.total_len <= len,
		   "lengths %u, %u of %zu", h.header_len, h.total_len, len);
	FUZZ_CHECK(h.ttl > 0, "TTL 0");
	try_options(p, h.header_len);
	ip4_round_trip(&h);
}

/* The same behind a good checksum and with a total length that fits. */
static void try_ip4_repaired(uint8_t *p, size_t len)
{
	size_t header_len;

	if (len < IP4_HEADER)
		return;
	p[0] = (uint8_t)(0x40 | (p[0] & 0x0f));
	header_len = (p[0] & 0x0f) * 4u;
	if (header_len < IP4_HEADER || header_len > len)
		return;
	store16(p + 2, (uint16_t)(len < 65535 ? len : 65535));
	store16(p + 10, 0);
	store16(p + 10, checksum_finish(checksum_add(0, p, header_len)));
	try_ip4(p, len);
}

static void try_quoted(const uint8_t *p, size_t len)
{
	struct quoted_ports ports;
	struct ip4_header h;

	if (ip4_parse_quoted(p, len, &h))
		return;
	FUZZ_CHECK(h.header_len + 8u <= len, "the quote ends before 8 bytes of transport header");
	FUZZ_CHECK(quoted_parse(p + h.header_len, len - h.header_len, &ports), "8 bytes are enough");
}

static void try_icmp(const uint8_t *p, size_t len)
{
	struct icmp4_header h, again;
	uint8_t header[ICMP_HEADER];

	icmp4_parse(p, len, false, &h);
	if (icmp4_parse(p, len, true, &h))
		return;
	FUZZ_CHECK(len >= ICMP_HEADER, "header past the end");
	icmp4_write(header, &h, NULL, 0);
	const char *wrong = icmp4_parse(header, sizeof(header), false, &again);
	FUZZ_CHECK(!wrong, "%s", wrong);
	FUZZ_CHECK(again.type == h.type && again.code == h.code && again.rest == h.rest, "a field changed");
}

static void try_udp(const uint8_t *p, size_t len)
{
	struct stack_addr src = {{[15] = 1}}, dst = {{[15] = 2}};
	uint8_t header[UDP_HEADER];
	struct udp_header h;

	udp_parse(p, len, &src, &dst, false, &h);
	if (udp_parse(p, len, &src, &dst, true, &h))
		return;
	FUZZ_CHECK(h.len >= UDP_HEADER && h.len <= len, "length %u of %zu", h.len, len);
	udp_write(header, &h, load16(p + 6));
	FUZZ_CHECK(memcmp(header, p, sizeof(header)) == 0, "another header");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t which = input_u8(&in);
	size_t len = in.left;
	uint8_t *copy = malloc(len ? len : 1); /* of its own, so that its end is watched */

	memcpy(copy, in.p, len);
	switch (which % 7) {
	case 0: try_ethernet(copy, len); break;
	case 1: try_arp(copy, len); break;
	case 2: try_ip4(copy, len); break;
	case 3: try_ip4_repaired(copy, len); break;
	case 4: try_quoted(copy, len); break;
	case 5: try_icmp(copy, len); break;
	case 6: try_udp(copy, len); break;
	}
	free(copy);
	return 0;
}
