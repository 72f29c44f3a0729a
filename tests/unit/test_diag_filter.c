/*
 * The byte code of sock_diag's filters: what is refused before it runs (row L1), and that the
 * rest decides as the kernel does. Programs are laid out as ss compiles them.
 */
#include "daemon/diag_filter.h"
#include "suite.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <string.h>
#include <sys/socket.h>

static const struct diag_subject web = {
	.src = {198, 18, 0, 2}, .dst = {198, 18, 0, 77}, .sport = 80, .dport = 50000,
};

struct program {
	_Alignas(4) uint8_t code[2 * DIAG_FILTER_MAX];
	size_t len;
};

static void op(struct program *p, uint8_t code, uint8_t yes, uint16_t no)
{
	struct inet_diag_bc_op o = {code, yes, no};

	memcpy(p->code + p->len, &o, sizeof(o));
	p->len += sizeof(o);
}

static void port_op(struct program *p, uint8_t code, uint8_t yes, uint16_t no, uint16_t port)
{
	op(p, code, yes, no);
	op(p, 0, 0, port);
}

static void host_op(struct program *p, uint8_t code, uint16_t no, uint8_t family, uint8_t bits, int port,
		    const void *addr, size_t len)
{
	struct inet_diag_hostcond h = {.family = family, .prefix_len = bits, .port = port};

	op(p, code, (uint8_t)(4 + sizeof(h) + len), no);
	memcpy(p->code + p->len, &h, sizeof(h));
	p->len += sizeof(h);
	if (len)
		memcpy(p->code + p->len, addr, len);
	p->len += len;
}

/* What the program says; it must be one that can be run. */
static bool says(const struct program *p)
{
	ck_assert_int_eq(diag_filter_check(p->code, p->len), 0);
	return diag_filter_run(p->code, p->len, &web);
}

static int checked(const struct program *p)
{
	return diag_filter_check(p->code, p->len);
}

START_TEST(ports_are_compared)
{
	static const struct {
		uint8_t code;
		uint16_t port;
		bool holds;
	} cases[] = {
		{INET_DIAG_BC_S_EQ, 80, true}, {INET_DIAG_BC_S_EQ, 81, false},
		{INET_DIAG_BC_S_GE, 80, true}, {INET_DIAG_BC_S_GE, 81, false},
		{INET_DIAG_BC_S_LE, 80, true}, {INET_DIAG_BC_S_LE, 79, false},
		{INET_DIAG_BC_D_EQ, 50000, true}, {INET_DIAG_BC_D_EQ, 80, false},
		{INET_DIAG_BC_D_GE, 50001, false}, {INET_DIAG_BC_D_LE, 50000, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct program p = {.len = 0};

		port_op(&p, cases[i].code, 8, 12, cases[i].port);
		ck_assert_int_eq(says(&p), cases[i].holds);
	}
}
END_TEST

START_TEST(addresses_are_compared_by_prefix)
{
	static const uint8_t net[4] = {198, 18, 0, 64}, other[16] = {0};
	static const struct {
		uint8_t family, bits;
		int port;
		size_t len;
		bool holds;
	} cases[] = {
		{AF_INET, 24, -1, 4, true}, {AF_INET, 28, -1, 4, true}, {AF_INET, 29, -1, 4, false},
		{AF_INET, 24, 50000, 4, true}, {AF_INET, 24, 80, 4, false}, {AF_UNSPEC, 0, 50000, 0, true},
		{AF_UNSPEC, 0, 1, 0, false}, {AF_INET6, 0, -1, 16, false}, {AF_INET, 0, -1, 4, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct program p = {.len = 0};

		host_op(&p, INET_DIAG_BC_D_COND, (uint16_t)(16 + cases[i].len), cases[i].family, cases[i].bits,
			cases[i].port, cases[i].len == 4 ? net : other, cases[i].len);
		ck_assert_int_eq(says(&p), cases[i].holds);
	}
}
END_TEST

/* not A; A and B; A or B, as ss writes them. */
START_TEST(conditions_are_combined)
{
	struct program not = {.len = 0}, and = {.len = 0}, or = {.len = 0};

	port_op(&not, INET_DIAG_BC_S_EQ, 8, 12, 80);
	op(&not, INET_DIAG_BC_JMP, 4, 8);
	ck_assert(!says(&not));
	port_op(&and, INET_DIAG_BC_S_EQ, 8, 20, 80);
	port_op(&and, INET_DIAG_BC_D_EQ, 8, 12, 50000);
	ck_assert(says(&and));
	and.code[14] = 0; /* the second port */
	ck_assert(!says(&and));
	port_op(&or, INET_DIAG_BC_S_EQ, 8, 12, 443);
	op(&or, INET_DIAG_BC_JMP, 4, 12);
	port_op(&or, INET_DIAG_BC_S_EQ, 8, 12, 80);
	ck_assert(says(&or));
	or.code[6] = 80, or.code[7] = 0;
	ck_assert(says(&or));
	or.code[18] = 81, or.code[6] = 81;
	ck_assert(!says(&or));
}
END_TEST

START_TEST(what_cannot_be_run_is_refused)
{
	static const struct {
		uint8_t code, yes;
		uint16_t no;
	} cases[] = {
		{INET_DIAG_BC_NOP, 0, 0},       /* stays where it is */
		{INET_DIAG_BC_JMP, 4, 0},       /* for ever */
		{INET_DIAG_BC_JMP, 4, 6},       /* between words */
		{INET_DIAG_BC_JMP, 4, 12},      /* far past the end */
		{INET_DIAG_BC_JMP, 8, 4},       /* `yes` past the end */
		{INET_DIAG_BC_JMP, 3, 4},
		{INET_DIAG_BC_S_EQ, 4, 8},      /* without its port */
		{INET_DIAG_BC_S_COND, 4, 8},    /* without its condition */
		{INET_DIAG_BC_DEV_COND, 4, 8},
		{INET_DIAG_BC_MARK_COND, 4, 8},
		{INET_DIAG_BC_CGROUP_COND, 4, 8},
		{200, 4, 8},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct program p = {.len = 0};

		op(&p, cases[i].code, cases[i].yes, cases[i].no);
		ck_assert_int_eq(checked(&p), -EINVAL);
	}
}
END_TEST

START_TEST(lengths_are_checked)
{
	static const uint8_t addr[16];
	struct program empty = {.len = 0}, odd = {.len = 0}, inside = {.len = 0}, family = {.len = 0}, bits = {.len = 0};
	struct program most = {.len = 0};

	ck_assert_int_eq(checked(&empty), -EINVAL);
	op(&odd, INET_DIAG_BC_NOP, 4, 0);
	odd.len = 3;
	ck_assert_int_eq(checked(&odd), -EINVAL);
	port_op(&inside, INET_DIAG_BC_S_EQ, 8, 12, 80); /* whose `no` leads into the next one's port */
	port_op(&inside, INET_DIAG_BC_S_EQ, 8, 12, 80);
	ck_assert_int_eq(checked(&inside), -EINVAL);
	host_op(&family, INET_DIAG_BC_S_COND, 32, AF_UNIX, 0, -1, addr, 16);
	ck_assert_int_eq(checked(&family), -EINVAL);
	host_op(&bits, INET_DIAG_BC_S_COND, 20, AF_INET, 33, -1, addr, 4);
	ck_assert_int_eq(checked(&bits), -EINVAL);
	for (unsigned i = 0; i < DIAG_FILTER_MAX / 4; i++)
		op(&most, INET_DIAG_BC_NOP, 4, 0);
	ck_assert(says(&most));
	op(&most, INET_DIAG_BC_NOP, 4, 0);
	ck_assert_int_eq(checked(&most), -EMSGSIZE);
}
END_TEST

/* Whatever passes the check ends, inside of the program. */
START_TEST(any_bytes_are_refused_or_end)
{
	uint64_t random = 0x5eed;
	unsigned good = 0;

	for (unsigned run = 0; run < 400000; run++) {
		struct program p = {.len = 4 * (1 + test_below(&random, 8))};

		for (size_t i = 0; i < p.len; i += 4) {
			p.code[i] = (uint8_t)test_below(&random, 13);
			p.code[i + 1] = (uint8_t)(4 * test_below(&random, 6));
			p.code[i + 2] = (uint8_t)(4 * test_below(&random, 9));
			p.code[i + 3] = 0;
		}
		uint8_t *exact = malloc(p.len); /* so that a sanitizer sees a read past the end */
		memcpy(exact, p.code, p.len);
		if (diag_filter_check(exact, p.len) == 0) {
			diag_filter_run(exact, p.len, &web);
			good++;
		}
		free(exact);
	}
	ck_assert_uint_gt(good, 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("diag_filter");

	suite_add(s, "ports are compared", ports_are_compared);
	suite_add(s, "addresses are compared by prefix", addresses_are_compared_by_prefix);
	suite_add(s, "conditions are combined", conditions_are_combined);
	suite_add(s, "L1 what cannot be run is refused", what_cannot_be_run_is_refused);
	suite_add(s, "L1 lengths are checked", lengths_are_checked);
	suite_add(s, "L1 any bytes are refused or end", any_bytes_are_refused_or_end);
	return suite_run(s);
}
