/*
 * UDP headers (RFC 768), and the ports that an ICMP error quotes.
 * A header that parsed has 8 <= len <= the packet's payload; bytes behind len are ignored.
 */
#include "../checksum.h"
#include "wire.h"

static bool left_out(const uint8_t *p, const struct stack_addr *dst)
{
	/* RFC 768: 0 is "no checksum"; RFC 8200 8.1 takes that away from IPv6. */
	return load16(p + 6) == 0 && dst->byte[10] == 0xff && dst->byte[11] == 0xff && dst->byte[0] == 0;
}

const char *udp_parse(const uint8_t *p, size_t len, const struct stack_addr *src,
		      const struct stack_addr *dst, bool csum_good, struct udp_header *out)
{
	uint64_t sum;

	if (len < UDP_HEADER)
		return "datagram shorter than a UDP header";
	out->sport = load16(p);
	out->dport = load16(p + 2);
	out->len = load16(p + 4);
	if (out->len < UDP_HEADER)
		return "UDP length below the header's";
	if (out->len > len)
		return "UDP length above the packet's";
	if (csum_good || left_out(p, dst))
		return NULL;
	sum = checksum_pseudo(src, dst, IP_PROTO_UDP, out->len);
	if (load16(p + 6) == 0 || checksum_finish(checksum_add(sum, p, out->len)) != 0)
		return wire_bad_checksum;
	return NULL;
}

void udp_write(uint8_t *p, const struct udp_header *h, uint16_t checksum)
{
	store16(p, h->sport);
	store16(p + 2, h->dport);
	store16(p + 4, h->len);
	store16(p + 6, checksum);
}

void udp_cut(uint8_t *p, uint16_t len)
{
	store16(p + 4, len);
}

bool quoted_parse(const uint8_t *p, size_t len, struct quoted_ports *out)
{
	if (len < 8)
		return false;
	out->sport = load16(p);
	out->dport = load16(p + 2);
	out->seq = seq_make(load32(p + 4));
	return true;
}
