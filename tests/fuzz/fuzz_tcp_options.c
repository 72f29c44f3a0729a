/*
 * TCP headers and options: whatever parses holds only valid values, and is the same after it
 * was written and parsed again.
 *
 * Input: one byte of flags (bit 0: SYN, bit 1: the rest is a whole segment, not options), then
 * the bytes.
 */
#include "fuzz.h"

#include "stack/wire/wire.h"

static void check_values(const struct tcp_options *o, bool syn)
{
	FUZZ_CHECK(o->sack_count <= ARRAY_SIZE(o->sack), "%u SACK blocks", o->sack_count);
	FUZZ_CHECK(o->window_scale <= 14, "window scale %u", o->window_scale);
	FUZZ_CHECK(syn || (!o->has_mss && !o->has_window_scale && !o->sack_permitted),
		   "an option of SYN in a segment without");
	FUZZ_CHECK(!syn || o->sack_count == 0, "SACK in a SYN");
}

/* `again` has as many of the SACK blocks as fit beside the other options. */
static void check_same(const struct tcp_options *o, const struct tcp_options *again)
{
	FUZZ_CHECK(o->has_mss == again->has_mss && o->mss == again->mss, "MSS %u, %u", o->mss, again->mss);
	FUZZ_CHECK(o->has_window_scale == again->has_window_scale && o->window_scale == again->window_scale,
		   "window scale %u, %u", o->window_scale, again->window_scale);
	FUZZ_CHECK(o->sack_permitted == again->sack_permitted, "SACK permitted");
	FUZZ_CHECK(o->has_timestamp == again->has_timestamp && o->ts_value == again->ts_value &&
		   o->ts_echo == again->ts_echo, "timestamps %u, %u", o->ts_value, again->ts_value);
	FUZZ_CHECK(again->sack_count <= o->sack_count && (again->sack_count > 0) == (o->sack_count > 0),
		   "%u SACK blocks, %u", o->sack_count, again->sack_count);
	FUZZ_CHECK(memcmp(o->sack, again->sack, again->sack_count * sizeof(o->sack[0])) == 0, "SACK blocks differ");
}

static void round_trip(const struct tcp_segment *seg)
{
	static const struct stack_addr nobody;
	size_t size = tcp_header_size(seg);
	uint8_t *header = malloc(size);
	struct tcp_segment again;

	FUZZ_CHECK(size >= TCP_HEADER && size <= TCP_HEADER + TCP_OPTIONS_MAX && size % 4 == 0, "header of %zu", size);
	tcp_write(header, seg, 0);
	const char *wrong = tcp_parse(header, size, &nobody, &nobody, true, &again);
	FUZZ_CHECK(!wrong, "%s", wrong);
	FUZZ_CHECK(again.sport == seg->sport && again.dport == seg->dport && seq_eq(again.seq, seg->seq) &&
		   seq_eq(again.ack, seg->ack) && again.flags == seg->flags && again.window == seg->window &&
		   again.urgent == seg->urgent && again.len == 0, "a field changed");
	check_same(&seg->opt, &again.opt);
	free(header);
}

static void options_only(const uint8_t *p, size_t len, bool syn)
{
	struct tcp_segment seg = {.flags = syn ? TCP_SYN : TCP_ACK};

	if (len > TCP_OPTIONS_MAX)
		len = TCP_OPTIONS_MAX;
	tcp_options_parse(p, len, syn, &seg.opt);
	check_values(&seg.opt, syn);
	round_trip(&seg);
}

static void whole_segment(const uint8_t *p, size_t len)
{
	struct stack_addr src = {{[15] = 1}}, dst = {{[15] = 2}};
	struct tcp_segment seg;

	tcp_parse(p, len, &src, &dst, false, &seg);
	if (tcp_parse(p, len, &src, &dst, true, &seg))
		return;
	FUZZ_CHECK(seg.data >= p + TCP_HEADER && seg.data + seg.len == p + len, "payload outside the segment");
	check_values(&seg.opt, seg.flags & TCP_SYN);
	round_trip(&seg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t flags = input_u8(&in);
	uint8_t *copy = malloc(in.left ? in.left : 1); /* of its own, so that its end is watched */

	memcpy(copy, in.p, in.left);
	if (flags & 2)
		whole_segment(copy, in.left);
	else
		options_only(copy, in.left, flags & 1);
	free(copy);
	return 0;
}
