/*
 * The Internet checksum against the plainest way to write it, over random data, lengths,
 * alignments and pieces.
 */
#include "stack/checksum.h"
#include "stack/types.h"
#include "suite.h"

#define SIZE 4096u

static uint8_t data[SIZE + 16];

static void fill(uint64_t seed)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)test_random(&seed);
}

/* RFC 1071 1: 16-bit words in network order, an odd byte padded with zero. */
static uint16_t reference(const uint8_t *p, size_t len, uint32_t start)
{
	uint32_t sum = start;

	for (size_t i = 0; i < len; i++) {
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

/* The two zeros of one's complement are one value. */
static bool same(uint16_t a, uint16_t b)
{
	return a % 0xffff == b % 0xffff;
}

START_TEST(every_length_and_alignment)
{
	bool good = true;

	fill(1);
	for (size_t offset = 0; offset < 16; offset++)
		for (size_t len = 0; len < 300; len++)
			good &= same(checksum_fold(checksum_add(0, data + offset, len)),
				     reference(data + offset, len, 0));
	ck_assert(good);
}
END_TEST

START_TEST(sums_add_up)
{
	uint64_t sum;

	fill(2);
	sum = checksum_add(checksum_add(0, data, 100), data + 100, 901);
	ck_assert_uint_eq(checksum_fold(sum), reference(data, 1001, 0));
	ck_assert_uint_eq(checksum_finish(sum), (uint16_t)~reference(data, 1001, 0));
}
END_TEST

START_TEST(carries_are_not_lost)
{
	static uint8_t ones[65536];
	uint64_t sum = UINT64_MAX;

	memset(ones, 0xff, sizeof(ones));
	ck_assert(same(checksum_fold(checksum_add(0, ones, sizeof(ones))), 0xffff));
	ones[65534] = 0;
	ones[65535] = 1;
	for (int i = 0; i < 1000; i++)
		sum = checksum_add(sum, ones, sizeof(ones));
	ck_assert(same(checksum_fold(sum), 1000));
}
END_TEST

START_TEST(pieces_of_any_length)
{
	uint64_t seed = 3;
	bool good = true;

	fill(4);
	for (int round = 0; round < 20000; round++) {
		struct iovec iov[8];
		size_t len = 0, skip;

		for (size_t i = 0; i < ARRAY_SIZE(iov); i++) {
			size_t n = test_below(&seed, i % 3 ? 40 : 3);

			iov[i] = (struct iovec){data + len, n};
			len += n;
		}
		skip = test_below(&seed, (uint32_t)len + 1);
		good &= same(checksum_fold(checksum_iov(0, iov, ARRAY_SIZE(iov), skip)),
			     reference(data + skip, len - skip, 0));
	}
	ck_assert(good);
}
END_TEST

START_TEST(a_correct_packet_sums_to_zero)
{
	fill(5);
	store16(data + 10, 0);
	store16(data + 10, checksum_finish(checksum_add(0, data, 777)));
	ck_assert_uint_eq(checksum_finish(checksum_add(0, data, 777)), 0);
	data[400] ^= 0x40;
	ck_assert_uint_ne(checksum_finish(checksum_add(0, data, 777)), 0);
}
END_TEST

START_TEST(pseudo_header_of_ip4)
{
	static const uint8_t plain[12] = {198, 18, 0, 1, 198, 18, 0, 2, 0, 17, 0x12, 0x34};
	struct stack_addr src = stack_addr_v4(plain), dst = stack_addr_v4(plain + 4);

	ck_assert_uint_eq(checksum_fold(checksum_pseudo(&src, &dst, 17, 0x1234)), reference(plain, 12, 0));
}
END_TEST

START_TEST(pseudo_header_of_ip6)
{
	uint8_t plain[40] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1, [16] = 0xfe, [17] = 0x80, [31] = 2,
			     [33] = 1, [34] = 2, [35] = 3, [39] = 6};
	struct stack_addr src, dst;

	memcpy(src.byte, plain, 16);
	memcpy(dst.byte, plain + 16, 16);
	ck_assert_uint_eq(checksum_fold(checksum_pseudo(&src, &dst, 6, 0x010203)), reference(plain, 40, 0));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("checksum");

	suite_add(s, "every length and alignment", every_length_and_alignment);
	suite_add(s, "sums add up", sums_add_up);
	suite_add(s, "carries are not lost", carries_are_not_lost);
	suite_add(s, "pieces of any length", pieces_of_any_length);
	suite_add(s, "a correct packet sums to zero", a_correct_packet_sums_to_zero);
	suite_add(s, "pseudo header of IPv4", pseudo_header_of_ip4);
	suite_add(s, "pseudo header of IPv6", pseudo_header_of_ip6);
	return suite_run(s);
}
