/*
 * Integers that know what they are: big-endian ones and sequence numbers are types of their
 * own, so that a forgotten swap or a plain `<` between sequence numbers does not compile.
 */
#ifndef BYWAY_STACK_TYPES_H
#define BYWAY_STACK_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Big-endian integers as they stand in a packet; alignment 1. */
typedef struct { uint8_t b[2]; } be16;
typedef struct { uint8_t b[4]; } be32;

static inline uint16_t be16_get(be16 v) { return (uint16_t)(v.b[0] << 8 | v.b[1]); }
static inline be16 be16_make(uint16_t v) { return (be16){{(uint8_t)(v >> 8), (uint8_t)v}}; }
static inline uint32_t be32_get(be32 v)
{
	return (uint32_t)v.b[0] << 24 | (uint32_t)v.b[1] << 16 | (uint32_t)v.b[2] << 8 | v.b[3];
}
static inline be32 be32_make(uint32_t v)
{
	return (be32){{(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}};
}
static inline uint16_t load16(const uint8_t *p) { be16 v; memcpy(&v, p, 2); return be16_get(v); }
static inline uint32_t load32(const uint8_t *p) { be32 v; memcpy(&v, p, 4); return be32_get(v); }
static inline void store16(uint8_t *p, uint16_t v) { be16 b = be16_make(v); memcpy(p, &b, 2); }
static inline void store32(uint8_t *p, uint32_t v) { be32 b = be32_make(v); memcpy(p, &b, 4); }

/* A TCP sequence number (RFC 9293 3.4): arithmetic modulo 2^32. */
typedef struct { uint32_t v; } seq32;

static inline seq32 seq_make(uint32_t v) { return (seq32){v}; }
static inline seq32 seq_add(seq32 a, uint32_t n) { return (seq32){a.v + n}; }
static inline seq32 seq_sub(seq32 a, uint32_t n) { return (seq32){a.v - n}; }
/* a - b, signed: how far a is ahead of b. */
static inline int32_t seq_diff(seq32 a, seq32 b) { return (int32_t)(a.v - b.v); }
static inline bool seq_lt(seq32 a, seq32 b) { return seq_diff(a, b) < 0; }
static inline bool seq_leq(seq32 a, seq32 b) { return seq_diff(a, b) <= 0; }
static inline bool seq_gt(seq32 a, seq32 b) { return seq_diff(a, b) > 0; }
static inline bool seq_geq(seq32 a, seq32 b) { return seq_diff(a, b) >= 0; }
static inline bool seq_eq(seq32 a, seq32 b) { return a.v == b.v; }
static inline seq32 seq_max(seq32 a, seq32 b) { return seq_gt(a, b) ? a : b; }
/* start <= a < start + len */
static inline bool seq_in(seq32 a, seq32 start, uint32_t len) { return a.v - start.v < len; }

static inline uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

#endif
