/* The Internet checksum (RFC 1071). Sums are kept unfolded in 64 bits, in host order of 16-bit words. */
#ifndef BYWAY_STACK_CHECKSUM_H
#define BYWAY_STACK_CHECKSUM_H

#include "stack.h"

/* Adds len bytes to a sum. Pieces must have even length, except the last (see checksum_iov). */
uint64_t checksum_add(uint64_t sum, const void *data, size_t len);
/* The same over pieces of any length, odd ones too; `skip` bytes at the start are left out. */
uint64_t checksum_iov(uint64_t sum, const struct iovec *iov, unsigned count, size_t skip);
/* The pseudo header of RFC 9293 3.1 (IPv4-mapped addresses: IPv4's, else RFC 8200 8.1). */
uint64_t checksum_pseudo(const struct stack_addr *src, const struct stack_addr *dst, uint8_t proto, size_t len);
/* Folded, not complemented, as the two bytes to store big-endian with store16. */
uint16_t checksum_fold(uint64_t sum);
/* Folded and complemented: what goes into a header with store16; 0 when summing a correct packet. */
uint16_t checksum_finish(uint64_t sum);

#endif
