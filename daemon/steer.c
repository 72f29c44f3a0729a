/*
 * Keeps a flood of SYNs apart from everything else, in the kernel: the interface gets a second
 * queue, and this program sends each TCP segment that has SYN and no ACK there (row S1). A flood
 * then fills its own queue and is dropped there, in the sender's time, while the segments of
 * connections come through the other. The daemon reads a bounded number of SYNs a turn.
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

int steer_program(bool tun)
{
	const int ip = tun ? 0 : ETH_HLEN;
	/* A load past the frame's end ends the program with 0, which is the ordinary queue. */
	const struct bpf_insn program[] = {
		COPY(BPF_REG_6, BPF_REG_1),
		LOAD(BPF_B, ip),
		COPY(BPF_REG_7, BPF_REG_0),
		OP(BPF_AND, BPF_REG_7, 0x0f),
		OP(BPF_LSH, BPF_REG_7, 2), /* the IP header's length */
		OP(BPF_AND, BPF_REG_0, 0xf0),
		UNLESS(IPVERSION << 4, 10), /* ARP begins with 0, IPv6 with 6 */
		LOAD(BPF_B, ip + IP_PROTOCOL),
		UNLESS(IPPROTO_TCP, 8),
		LOAD(BPF_H, ip + IP_FRAGMENT),
		OP(BPF_AND, BPF_REG_0, IP_OFFMASK),
		UNLESS(0, 5),
		LOAD_AT_R7(BPF_B, ip + TCP_FLAGS),
		OP(BPF_AND, BPF_REG_0, FLAG_SYN | FLAG_ACK),
		UNLESS(FLAG_SYN, 2),
		OP(BPF_MOV, BPF_REG_0, 1),
		RETURN,
		OP(BPF_MOV, BPF_REG_0, 0),
		RETURN,
	};
	return load(program, COUNT_OF(program));
}
