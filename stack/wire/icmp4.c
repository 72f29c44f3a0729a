/* ICMP headers (RFC 792). A message that parsed has its 8 bytes and a good checksum. */
#include "../checksum.h"
#include "wire.h"

const char *icmp4_parse(const uint8_t *p, size_t len, bool csum_good, struct icmp4_header *out)
{
	if (len < ICMP_HEADER)
		return "ICMP message shorter than its header";
	if (!csum_good && checksum_finish(checksum_add(0, p, len)) != 0)
		return wire_bad_checksum;
	out->type = p[0];
	out->code = p[1];
	out->rest = load32(p + 4);
	return NULL;
}

void icmp4_write(uint8_t *p, const struct icmp4_header *h, const void *payload, size_t payload_len)
{
	uint64_t sum;

	p[0] = h->type;
	p[1] = h->code;
	store16(p + 2, 0);
	store32(p + 4, h->rest);
	sum = checksum_add(0, p, ICMP_HEADER);
	store16(p + 2, checksum_finish(checksum_add(sum, payload, payload_len)));
}
