/* The Internet checksum (RFC 1071). Sums are kept unfolded in 64 bits, in host order of 16-bit words. */
#ifndef BYWAY_STACK_CHECKSUM_H
#define BYWAY_STACK_CHECKSUM_H

#include "stack.h"

#include <string.h>

/* Adds len bytes to a sum. Pieces must have even length, except the last (see checksum_iov). */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);
/* The sum of a header: a whole number of 32-bit words, few of them. */
static inline uint64_t checksum_header(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (; len > 0; len -= 4, p += 4) {
		uint32_t word;

		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	return sum;
}
/* The same over pieces of any length, odd ones too; `skip` bytes at the start are left out. */
uint64_t checksum_iov(uint64_t sum, const struct iovec *iov, unsigned count, size_t skip);
/* The pseudo header of RFC 9293 3.1 (IPv4-mapped addresses: IPv4's, else RFC 8200 8.1). */
uint64_t checksum_pseudo(const struct stack_addr *src, const struct stack_addr *dst, uint8_t proto, size_t len);
/* 16 bits as they lie in memory. The halves of a 32-bit sum, added both ways round, carry into the upper one. */
static inline uint16_t checksum_fold_native(uint64_t sum)
{
	uint64_t folded = (sum & 0xffffffff) + (sum >> 32);
	uint32_t word = (uint32_t)folded + (uint32_t)(folded >> 32);

	return (uint16_t)((word + (word >> 16 | word << 16)) >> 16);
}

/* Folded, not complemented, as the two bytes to store big-endian with store16. */
static inline uint16_t checksum_fold(uint64_t sum)
{
	uint16_t native = checksum_fold_native(sum);
	uint8_t bytes[2];

	memcpy(bytes, &native, 2);
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* Folded and complemented: what goes into a header with store16; 0 when summing a correct packet. */
static inline uint16_t checksum_finish(uint64_t sum)
{
	return (uint16_t)~checksum_fold(sum);
}

#endif
