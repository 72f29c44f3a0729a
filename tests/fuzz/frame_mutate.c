/*
 * Mutations that know the records of fuzz_frame's input: without them nearly every change of
 * a length would turn all that follows into noise. Linked into the libFuzzer build only.
 */
#include "record.h"

#define CONFIG_BYTES 2u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Where a record begins and how long it is, header included. */
struct span {
	size_t at, len;
};

static unsigned split(const uint8_t *data, size_t size, struct span spans[RECORDS_MAX])
{
	struct input in = {data, size};
	unsigned count = 0;
	struct record r;

	input_take(&in, CONFIG_BYTES);
	while (count < RECORDS_MAX && in.left > 0) {
		const uint8_t *start = in.p;

		record_read(&in, &r);
		spans[count].at = (size_t)(start - data);
		spans[count++].len = (size_t)(in.p - start);
	}
	return count;
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

/* The bytes of a record, with its length field kept right. */
static size_t mutate_bytes(uint8_t *data, size_t size, size_t max_size, struct span s)
{
	size_t behind = size - s.at - s.len, old = s.len > RECORD_HEADER ? s.len - RECORD_HEADER : 0;
	size_t room = max_size - s.at - RECORD_HEADER - behind, len;
	uint8_t *piece, *rest;

	if (s.len < RECORD_HEADER || max_size < size || room == 0)
		return size;
	room = room > 2000 ? 2000 : room;
	if (old > room)
		return size;
	piece = malloc(room);
	rest = malloc(behind ? behind : 1);
	memcpy(piece, data + s.at + RECORD_HEADER, old);
	memcpy(rest, data + s.at + s.len, behind);
	len = LLVMFuzzerMutate(piece, old, room);
	memcpy(data + s.at + RECORD_HEADER, piece, len);
	memcpy(data + s.at + RECORD_HEADER + len, rest, behind);
	data[s.at + 4] = (uint8_t)(len >> 8);
	data[s.at + 5] = (uint8_t)len;
	free(piece);
	free(rest);
	return s.at + RECORD_HEADER + len + behind;
}

/* Mode, connection or time step. */
static size_t mutate_header(uint8_t *data, size_t size, struct span s, unsigned *seed)
{
	size_t field = next_random(seed) % 4;

	if (s.len <= field)
		return size;
	if (field == 0)
		data[s.at] ^= (uint8_t)(1u << next_random(seed) % 8);
	else
		data[s.at + field] = (uint8_t)next_random(seed);
	return size;
}

static size_t copy_record(uint8_t *data, size_t size, size_t max_size, struct span from, struct span to)
{
	uint8_t *copy;

	if (size + from.len > max_size)
		return size;
	copy = malloc(from.len);
	memcpy(copy, data + from.at, from.len);
	memmove(data + to.at + from.len, data + to.at, size - to.at);
	memcpy(data + to.at, copy, from.len);
	free(copy);
	return size + from.len;
}

static size_t drop_record(uint8_t *data, size_t size, struct span s)
{
	memmove(data + s.at, data + s.at + s.len, size - s.at - s.len);
	return size - s.len;
}

/* A segment for a connection: TCP with random flags and sequence numbers near the expected ones. */
static size_t add_segment(uint8_t *data, size_t size, size_t max_size, size_t at, unsigned *seed)
{
	static const uint8_t flags[] = {0x10, 0x10, 0x18, 0x11, 0x02, 0x12, 0x04, 0x14, 0x30, 0x00, 0x13, 0xff};
	static const int near[] = {0, 0, 0, 1, -1, 100, 1460, 65535, -65535, 0x7fffffff};
	uint8_t r[RECORD_HEADER + 14 + 20 + 32 + 64] = {0x0f, (uint8_t)next_random(seed), 0x0a, 1};
	size_t payload = next_random(seed) % 2 ? next_random(seed) % 64 : 0, sack = next_random(seed) % 3 ? 0 : 12;
	size_t link = data[0] & 1 ? 0 : 14, headers = link + 20 + 20 + sack, len = RECORD_HEADER + headers + payload;
	uint8_t *ip = r + RECORD_HEADER + link, *tcp = ip + 20;
	uint32_t seq = (uint32_t)near[next_random(seed) % 10], ack = (uint32_t)near[next_random(seed) % 10];
	uint32_t left = next_random(seed) % 8 * 730, right = left + next_random(seed) % 4 * 730;

	if (size + len > max_size)
		return size;
	if (next_random(seed) % 8 == 0)
		r[0] = 0x83; /* answers the last SYN-ACK */
	r[5] = (uint8_t)(len - RECORD_HEADER);
	if (link > 0)
		memcpy(r + RECORD_HEADER, (const uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, 14);
	memcpy(ip, (const uint8_t[]){0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6}, 10);
	for (int i = 0; i < 4; i++) {
		tcp[4 + i] = (uint8_t)(seq >> (24 - 8 * i));
		tcp[8 + i] = (uint8_t)(ack >> (24 - 8 * i));
		tcp[24 + i] = (uint8_t)(left >> (24 - 8 * i));
		tcp[28 + i] = (uint8_t)(right >> (24 - 8 * i));
	}
	if (sack)
		memcpy(tcp + 20, (const uint8_t[]){1, 1, 5, 10}, 4);
	tcp[12] = (uint8_t)((20 + sack) << 2);
	tcp[13] = flags[next_random(seed) % sizeof(flags)];
	tcp[14] = (uint8_t)next_random(seed);
	memmove(data + at + len, data + at, size - at);
	memcpy(data + at, r, len);
	return size + len;
}

/* One call of an owner. */
static size_t add_call(uint8_t *data, size_t size, size_t max_size, size_t at, unsigned *seed)
{
	uint8_t r[RECORD_HEADER + 5] = {0x20, 0, 0, 0, 0, 5};

	if (size + sizeof(r) > max_size)
		return size;
	for (size_t i = RECORD_HEADER; i < sizeof(r); i++)
		r[i] = (uint8_t)next_random(seed);
	r[RECORD_HEADER + 1] %= 6; /* one of the sockets that the world begins with, mostly */
	memmove(data + at + sizeof(r), data + at, size - at);
	memcpy(data + at, r, sizeof(r));
	return size + sizeof(r);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	struct span spans[RECORDS_MAX];
	unsigned count = size > CONFIG_BYTES ? split(data, size, spans) : 0;
	struct span one, other;

	if (count == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	one = spans[next_random(&seed) % count];
	other = spans[next_random(&seed) % count];
	switch (next_random(&seed) % 12) {
	case 0: return LLVMFuzzerMutate(data, size, max_size);
	case 1: return mutate_header(data, size, one, &seed);
	case 2: return copy_record(data, size, max_size, one, other);
	case 3: return drop_record(data, size, one);
	case 4: case 5: case 6: return add_segment(data, size, max_size, one.at, &seed);
	case 7: case 8: return add_call(data, size, max_size, one.at, &seed);
	default: return mutate_bytes(data, size, max_size, one);
	}
}
