/*
 * The Internet checksum (RFC 1071).
 *
 * A sum is kept as 64 bits with end-around carry. 2^64 - 1 is a multiple of 2^16 - 1, so
 * folding it at the end gives the same as adding 16-bit words (RFC 1071 2(C)); and since the
 * sum does not depend on byte order (2(B)), words are read as they lie in memory and only the
 * result is swapped.
 */
#include "checksum.h"
#include "types.h"

static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
	uint64_t sum = a + b;

	return sum + (sum < b);
}

static inline uint64_t word_at(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t a = 0, b = 0, c = 0;

	/* Four sums that do not wait for each other's carry. */
	for (; len >= 32; len -= 32, p += 32) {
		sum = add_carry(sum, word_at(p));
		a = add_carry(a, word_at(p + 8));
		b = add_carry(b, word_at(p + 16));
		c = add_carry(c, word_at(p + 24));
	}
	for (; len >= 8; len -= 8, p += 8)
		sum = add_carry(sum, word_at(p));
	if (len > 0) {
		uint64_t rest = 0; /* an odd last byte is padded with zero on its right */

		memcpy(&rest, p, len);
		sum = add_carry(sum, rest);
	}
	return add_carry(add_carry(sum, a), add_carry(b, c));
}

uint64_t checksum_iov(uint64_t sum, const struct iovec *iov, unsigned count, size_t skip)
{
	bool odd = false; /* the pieces before ended in the middle of a word */

	for (unsigned i = 0; i < count; i++) {
		size_t left_out = min_size(skip, iov[i].iov_len);
		size_t len = iov[i].iov_len - left_out;

		skip -= left_out;
		if (len == 0)
			continue;
		const uint8_t *p = (const uint8_t *)iov[i].iov_base + left_out;
		if (odd) /* RFC 1071 2(B): a sum of swapped words is the swapped sum */
			sum = add_carry(sum, __builtin_bswap16(checksum_fold_native(checksum_add(0, p, len))));
		else
			sum = checksum_add(sum, p, len);
		odd ^= len & 1;
	}
	return sum;
}

static bool is_v4(const struct stack_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->byte, mapped, sizeof(mapped)) == 0;
}

uint64_t checksum_pseudo(const struct stack_addr *src, const struct stack_addr *dst, uint8_t proto, size_t len)
{
	uint8_t tail[8] = {0};
	uint64_t sum;

	store32(tail, (uint32_t)len);
	tail[7] = proto;
	sum = checksum_header(tail, sizeof(tail));
	if (is_v4(dst))
		return sum + checksum_header(src->byte + 12, 4) + checksum_header(dst->byte + 12, 4);
	return sum + checksum_header(src->byte, 16) + checksum_header(dst->byte, 16);
}
