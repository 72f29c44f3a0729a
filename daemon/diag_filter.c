/*
 * Byte code of sock_diag's filters (linux/inet_diag.h, enum INET_DIAG_BC_*), checked and run.
 *
 * Invariants that diag_filter_check makes sure of and diag_filter_run rests on: every step goes
 * forward, by at least its operation's own size; it leads to the beginning of another operation,
 * to the end (accepted), or one word past the end (refused).
 */
#include "daemon/diag_filter.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <string.h>
#include <sys/socket.h>

#define WORD sizeof(struct inet_diag_bc_op)

static struct inet_diag_bc_op op_at(const void *program, size_t at)
{
	struct inet_diag_bc_op op;

	memcpy(&op, (const uint8_t *)program + at, sizeof(op));
	return op;
}

static struct inet_diag_hostcond host_at(const void *program, size_t at)
{
	struct inet_diag_hostcond host;

	memcpy(&host, (const uint8_t *)program + at + WORD, sizeof(host));
	return host;
}

/* ---- checking ---- */

/* Bytes of the host condition at `at` with its address; 0: it is malformed. */
static size_t host_size(const void *program, size_t at, size_t len)
{
	size_t size = WORD + sizeof(struct inet_diag_hostcond), addr = 0;

	if (len - at < size)
		return 0;
	struct inet_diag_hostcond host = host_at(program, at);
	if (host.family == AF_INET)
		addr = 4;
	else if (host.family == AF_INET6)
		addr = 16;
	else if (host.family != AF_UNSPEC)
		return 0;
	return host.prefix_len <= 8 * addr && len - at >= size + addr ? size + addr : 0;
}

/* Bytes of the operation at `at` with its operands; 0: unknown or cut short. */
static size_t op_size(const void *program, size_t at, size_t len)
{
	size_t size = WORD;

	switch (op_at(program, at).code) {
	case INET_DIAG_BC_NOP: case INET_DIAG_BC_JMP: case INET_DIAG_BC_AUTO:
		break;
	case INET_DIAG_BC_S_GE: case INET_DIAG_BC_S_LE: case INET_DIAG_BC_S_EQ:
	case INET_DIAG_BC_D_GE: case INET_DIAG_BC_D_LE: case INET_DIAG_BC_D_EQ:
		size += WORD; /* whose `no` is the port */
		break;
	case INET_DIAG_BC_S_COND: case INET_DIAG_BC_D_COND:
		return host_size(program, at, len);
	case INET_DIAG_BC_DEV_COND:
		size += sizeof(uint32_t);
		break;
	case INET_DIAG_BC_MARK_COND:
		size += sizeof(struct inet_diag_markcond);
		break;
	default: /* control groups: nothing that a stack outside the kernel knows */
		return 0;
	}
	return len - at >= size ? size : 0;
}

/* The `yes` steps lead through all operations; marks where each begins, by words. */
static bool check_operations(const void *program, size_t len, bool *begins)
{
	for (size_t at = 0; at < len;) {
		size_t size = len - at >= WORD ? op_size(program, at, len) : 0;
		uint8_t yes = size ? op_at(program, at).yes : 0;

		if (size == 0 || yes < size || yes % WORD || yes > len - at)
			return false;
		begins[at / WORD] = true;
		at += yes;
	}
	return true;
}

static bool check_branches(const void *program, size_t len, const bool *begins)
{
	for (size_t at = 0; at < len; at += op_at(program, at).yes) {
		struct inet_diag_bc_op op = op_at(program, at);

		if (op.code == INET_DIAG_BC_NOP)
			continue;
		if (op.no < op_size(program, at, len) || op.no % WORD || op.no > len - at + WORD ||
		    !begins[(at + op.no) / WORD])
			return false;
	}
	return true;
}

int diag_filter_check(const void *program, size_t len)
{
	bool begins[DIAG_FILTER_MAX / WORD + 2] = {false};

	if (len > DIAG_FILTER_MAX)
		return -EMSGSIZE;
	if (len < WORD || len % WORD || !check_operations(program, len, begins))
		return -EINVAL;
	begins[len / WORD] = begins[len / WORD + 1] = true; /* accepted, refused */
	return check_branches(program, len, begins) ? 0 : -EINVAL;
}

/* ---- running ---- */

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return memcmp(a, b, bytes) == 0 && (rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0);
}

/* The stack's sockets are IPv4: a condition on IPv6 addresses never holds. */
static bool host_holds(const void *program, size_t at, const uint8_t addr[4], uint16_t port)
{
	struct inet_diag_hostcond host = host_at(program, at);
	const uint8_t *wanted = (const uint8_t *)program + at + WORD + sizeof(host);

	if (host.port != -1 && host.port != port)
		return false;
	return host.family == AF_UNSPEC || (host.family == AF_INET && bits_equal(addr, wanted, host.prefix_len));
}

static uint32_t word_after(const void *program, size_t at, size_t i)
{
	uint32_t value;

	memcpy(&value, (const uint8_t *)program + at + WORD + 4 * i, sizeof(value));
	return value;
}

static bool holds(const void *program, size_t at, const struct diag_subject *s)
{
	uint8_t code = op_at(program, at).code;

	switch (code) {
	case INET_DIAG_BC_NOP: return true;
	case INET_DIAG_BC_AUTO: return s->port_chosen;
	case INET_DIAG_BC_S_EQ: return s->sport == op_at(program, at + WORD).no;
	case INET_DIAG_BC_S_GE: return s->sport >= op_at(program, at + WORD).no;
	case INET_DIAG_BC_S_LE: return s->sport <= op_at(program, at + WORD).no;
	case INET_DIAG_BC_D_EQ: return s->dport == op_at(program, at + WORD).no;
	case INET_DIAG_BC_D_GE: return s->dport >= op_at(program, at + WORD).no;
	case INET_DIAG_BC_D_LE: return s->dport <= op_at(program, at + WORD).no;
	case INET_DIAG_BC_S_COND: return host_holds(program, at, s->src, s->sport);
	case INET_DIAG_BC_D_COND: return host_holds(program, at, s->dst, s->dport);
	case INET_DIAG_BC_DEV_COND: return word_after(program, at, 0) == s->ifindex;
	case INET_DIAG_BC_MARK_COND: return word_after(program, at, 0) == 0; /* no socket has a mark */
	default: return false; /* INET_DIAG_BC_JMP */
	}
}

bool diag_filter_run(const void *program, size_t len, const struct diag_subject *subject)
{
	size_t at = 0;

	while (at < len) {
		struct inet_diag_bc_op op = op_at(program, at);

		at += holds(program, at, subject) ? op.yes : op.no;
	}
	return at == len;
}
