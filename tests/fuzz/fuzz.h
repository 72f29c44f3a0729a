/*
 * What the fuzz targets share: a cursor over the input and the check that ends a run.
 *
 * A target is one LLVMFuzzerTestOneInput. Linked with libFuzzer it is fuzzed; linked with
 * replay.c it runs the files of its corpus, which works with every compiler.
 */
#ifndef BYWAY_TESTS_FUZZ_H
#define BYWAY_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run like a crash does, so that libFuzzer keeps the input. Not by stderr, which targets may mute. */
#define FUZZ_CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			dprintf(STDERR_FILENO, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
			dprintf(STDERR_FILENO, __VA_ARGS__); \
			dprintf(STDERR_FILENO, "\n"); \
			abort(); \
		} \
	} while (0)

/* The part of the input that was not used yet. */
struct input {
	const uint8_t *p;
	size_t left; /* bytes */
};

/* Past the end everything reads as 0. */
static inline uint8_t input_u8(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint16_t input_u16(struct input *in)
{
	uint16_t high = input_u8(in);

	return (uint16_t)(high << 8 | input_u8(in));
}

static inline uint32_t input_u32(struct input *in)
{
	uint32_t high = input_u16(in);

	return high << 16 | input_u16(in);
}

/* At most n bytes; the rest of the input when there are fewer. */
static inline struct input input_take(struct input *in, size_t n)
{
	struct input piece = {in->p, n < in->left ? n : in->left};

	in->p += piece.left;
	in->left -= piece.left;
	return piece;
}

#endif
