/*
 * A record of fuzz_frame's input, big-endian:
 *
 *      mode (1) connection (1) time step (2) length (2) bytes (length)
 *
 * The time step is value << shift microseconds, the value in its low 8 bits and the shift in the
 * 5 above: from nothing to about four minutes.
 */
#ifndef BYWAY_TESTS_FUZZ_RECORD_H
#define BYWAY_TESTS_FUZZ_RECORD_H

#include "fuzz.h"

enum record_mode {
	RECORD_FIX_IP = 1 << 0,        /* destination MAC, version, total length, header checksum */
	RECORD_FIX_TRANSPORT = 1 << 1, /* UDP length; TCP, UDP and ICMP checksum */
	RECORD_AIM = 1 << 2,           /* addresses and ports of a connection */
	RECORD_SEQUENCE = 1 << 3,      /* with AIM: SEQ is relative to RCV.NXT, ACK and SACK to SND.UNA */
	RECORD_CSUM_GOOD = 1 << 4,     /* the link vouches for the checksum, and has merged segments */
	RECORD_OWNER = 1 << 5,         /* not a frame but a call of an owner */
	RECORD_BATCH = 1 << 6,         /* the next record comes before the stack runs */
	RECORD_ANSWER = 1 << 7         /* answers the last SYN-ACK sent, of which there may be no state (cookies) */
};

#define RECORD_HEADER 6u
#define RECORDS_MAX 400u
#define STEP_MAX (240u * 1000000u) /* microseconds */

struct record {
	uint8_t mode, connection; /* connection: which one, by age */
	uint32_t step;            /* microseconds before it */
	uint16_t len;             /* bytes that follow */
};

/* Returns the record's bytes; fewer than its length at the end of the input. */
static inline struct input record_read(struct input *in, struct record *r)
{
	uint16_t step;
	uint64_t us;

	r->mode = input_u8(in);
	r->connection = input_u8(in);
	step = input_u16(in);
	r->len = input_u16(in);
	us = (uint64_t)(step & 0xff) << (step >> 8 & 0x1f);
	r->step = us > STEP_MAX ? STEP_MAX : (uint32_t)us;
	return input_take(in, r->len);
}

#endif
