/*
 * Which of the interface's queues a frame comes through, in the kernel, for two ends.
 *
 * It keeps a flood of SYNs apart from everything else: a worker has a queue for each TCP segment that
 * has SYN and no ACK, and one for the rest (row S1). A flood then fills its own queue and is
 * dropped there, in the sender's time, while the segments of connections come through the other.
 * The daemon reads a bounded number of SYNs a turn.
 *
 * And with several workers it keeps each connection on one of them, by a hash of its addresses and
 * ports that worker_flow.c makes, too: multilinear, with random keys (Lemire and Kaser, "Strongly
 * universal string hashing is fast"). What is not TCP over IPv4, and fragments, which do not all
 * have ports, come to the first worker.
 *
 * An eBPF program, because that is what TUNSETSTEERINGEBPF takes. It needs CAP_BPF where the
 * system has unprivileged BPF off; without it there is one queue.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define IP_PROTOCOL 9
#define IP_FRAGMENT 6
#define IP_SOURCE 12
#define IP_DESTINATION 16
#define TCP_FLAGS 13
#define FLAG_SYN 0x02
#define FLAG_ACK 0x10
/* Loads from the frame want it in R6; what they load is in R0, in host order. */
#define LOAD(size, at) {.code = BPF_LD | (size) | BPF_ABS, .imm = (at)}
#define LOAD_AT_R7(size, at) {.code = BPF_LD | (size) | BPF_IND, .src_reg = BPF_REG_7, .imm = (at)}
#define OP(op, reg, value) {.code = BPF_ALU64 | (op) | BPF_K, .dst_reg = (reg), .imm = (value)}
#define COPY(to, from) {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from)}
/* Goes on if R0 is the value, else skips so many instructions. */
#define UNLESS(value, skip) {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = (skip), .imm = (value)}
#define OP_WITH(op, to, from) {.code = BPF_ALU64 | (op) | BPF_X, .dst_reg = (to), .src_reg = (from)}
/* Two instructions. */
#define CONSTANT(reg, value) \
	{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (reg), .imm = (int32_t)(uint32_t)(value)}, \
	{.imm = (int32_t)(uint32_t)((value) >> 32)}
#define JUMP(skip) {.code = BPF_JMP | BPF_JA, .off = (skip)}
#define RETURN {.code = BPF_JMP | BPF_EXIT}

static int load(const struct bpf_insn *program, size_t count)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.insn_cnt = (uint32_t)count;
	attr.license = (uint64_t)(uintptr_t)"Dual MIT/GPL";
	memcpy(attr.prog_name, "byway_steer", sizeof("byway_steer"));
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd;
}

unsigned steer_worker(const struct steer *s, uint32_t source, uint32_t destination, uint32_t ports)
{
	uint64_t h = s->key[0] + s->key[1] * source + s->key[2] * destination + s->key[3] * ports;

	return s->workers > 1 ? (unsigned)((h >> 32) % s->workers) : 0;
}

#define SKIP_TO_END 100 /* in place of a distance, until the program's length is known */
#define PROGRAM_MAX 64

/* R9: 1 for a SYN, 0 for another TCP segment; R7: its IP header's length. What is none ends the program with 0. */
static size_t tell_syns(struct bpf_insn *out, int ip)
{
	/* A load past the frame's end ends the program with 0, too. */
	const struct bpf_insn program[] = {
		COPY(BPF_REG_6, BPF_REG_1),
		LOAD(BPF_B, ip),
		COPY(BPF_REG_7, BPF_REG_0),
		OP(BPF_AND, BPF_REG_7, 0x0f),
		OP(BPF_LSH, BPF_REG_7, 2), /* the IP header's length */
		OP(BPF_AND, BPF_REG_0, 0xf0),
		UNLESS(IPVERSION << 4, SKIP_TO_END), /* ARP begins with 0, IPv6 with 6 */
		LOAD(BPF_B, ip + IP_PROTOCOL),
		UNLESS(IPPROTO_TCP, SKIP_TO_END),
		LOAD(BPF_H, ip + IP_FRAGMENT),
		OP(BPF_AND, BPF_REG_0, IP_MF | IP_OFFMASK),
		UNLESS(0, SKIP_TO_END),
		LOAD_AT_R7(BPF_B, ip + TCP_FLAGS),
		OP(BPF_AND, BPF_REG_0, FLAG_SYN | FLAG_ACK),
		OP(BPF_MOV, BPF_REG_9, 1),
		UNLESS(FLAG_SYN, 1),
		JUMP(1),
		OP(BPF_MOV, BPF_REG_9, 0),
	};

	memcpy(out, program, sizeof(program));
	return COUNT_OF(program);
}

/* R8 += key * R0. */
static size_t add_product(struct bpf_insn *out, uint64_t key)
{
	const struct bpf_insn program[] = {
		CONSTANT(BPF_REG_1, key),
		OP_WITH(BPF_MUL, BPF_REG_0, BPF_REG_1),
		OP_WITH(BPF_ADD, BPF_REG_8, BPF_REG_0),
	};

	memcpy(out, program, sizeof(program));
	return COUNT_OF(program);
}

/* R8: steer_worker of the segment. */
static size_t tell_worker(struct bpf_insn *out, int ip, const struct steer *s)
{
	const struct bpf_insn words[] = {LOAD(BPF_W, ip + IP_SOURCE), LOAD(BPF_W, ip + IP_DESTINATION),
					 LOAD_AT_R7(BPF_W, ip)};
	const struct bpf_insn begin[] = {CONSTANT(BPF_REG_8, s->key[0])};
	const struct bpf_insn end[] = {OP(BPF_RSH, BPF_REG_8, 32), OP(BPF_MOD, BPF_REG_8, (int)s->workers)};
	size_t n = COUNT_OF(begin);

	memcpy(out, begin, sizeof(begin));
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		out[n++] = words[i];
		n += add_product(out + n, s->key[i + 1]);
	}
	memcpy(out + n, end, sizeof(end));
	return n + COUNT_OF(end);
}

/* The queue for R8 and R9; and for what skips to the end. */
static size_t answer(struct bpf_insn *out, bool workers)
{
	const struct bpf_insn program[] = {
		COPY(BPF_REG_0, BPF_REG_9),
		RETURN,
		OP(BPF_MOV, BPF_REG_0, 0),
		RETURN,
	};
	const struct bpf_insn first[] = {OP(BPF_LSH, BPF_REG_8, 1), OP_WITH(BPF_ADD, BPF_REG_9, BPF_REG_8)};
	size_t n = workers ? COUNT_OF(first) : 0;

	memcpy(out, first, n * sizeof(first[0]));
	memcpy(out + n, program, sizeof(program));
	return n + COUNT_OF(program);
}

int steer_program(bool tun, const struct steer *s)
{
	const int ip = tun ? 0 : ETH_HLEN;
	struct bpf_insn program[PROGRAM_MAX];
	size_t n = tell_syns(program, ip);

	if (s->workers > 1)
		n += tell_worker(program + n, ip, s);
	n += answer(program + n, s->workers > 1);
	for (size_t i = 0; i < n; i++)
		if (program[i].off == SKIP_TO_END)
			program[i].off = (short)(n - 2 - (i + 1));
	return load(program, n);
}
