/*
 * io_uring(7) of programs under byway run. A ring's operations do not pass the filter: one that
 * opens a socket would open it on the host, unseen. So the ring is made here, with the kernel's
 * own restrictions (io_uring_register(2)): every operation but IORING_OP_SOCKET, which fails with
 * EACCES. Reads and writes on endpoints go as on any descriptor.
 *
 * A ring that belongs to one task, or has a kernel thread of its own, would be the supervisor's
 * then: such flags are refused as a kernel refuses what it does not know, and programs do without.
 */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OP_SOCKET 45       /* IORING_OP_SOCKET, of Linux 5.19 */
#define OPERATIONS_MAX 128 /* numbers of operations that are looked at */
#define REGISTER_MAX 48    /* the same of what io_uring_register does */
/* What does not depend on who makes the ring; COOP_TASKRUN, TASKRUN_FLAG, SQE128, CQE32, NO_SQARRAY are newer than some headers. */
#define FLAGS_KNOWN (IORING_SETUP_IOPOLL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | \
		     1u << 8 | 1u << 9 | 1u << 10 | 1u << 11 | 1u << 16)

static int ring_register(int fd, unsigned what, void *arg, unsigned count)
{
	return (int)syscall(SYS_io_uring_register, fd, what, arg, count);
}

/* Operations that the kernel has, but for the one. How many. */
static unsigned allow_operations(int fd, struct io_uring_restriction *out)
{
	_Alignas(8) uint8_t room[sizeof(struct io_uring_probe) + OPERATIONS_MAX * sizeof(struct io_uring_probe_op)] = {0};
	const struct io_uring_probe *p = (const void *)room;
	unsigned n = 0;

	if (ring_register(fd, IORING_REGISTER_PROBE, room, OPERATIONS_MAX) < 0)
		return 0;
	for (unsigned i = 0; i < p->ops_len && i < OPERATIONS_MAX; i++)
		if (p->ops[i].op != OP_SOCKET)
			out[n++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = p->ops[i].op};
	return n;
}

/* 0 or -errno. */
static int restrict_ring(int fd)
{
	struct io_uring_restriction r[OPERATIONS_MAX + REGISTER_MAX + 1];
	unsigned fixed = allow_operations(fd, r);

	if (fixed == 0)
		return -EPERM;
	r[fixed++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = 0xff};
	for (unsigned i = 0; i < REGISTER_MAX; i++)
		r[fixed + i] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = (uint8_t)i};
	/* The kernel does not say how many it knows, and takes none when there is one that it does not. */
	for (unsigned n = REGISTER_MAX; n > 0; n--)
		if (ring_register(fd, IORING_REGISTER_RESTRICTIONS, r, fixed + n) == 0)
			return ring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) == 0 ? 0 : -errno;
	return -EPERM;
}

int64_t on_io_uring_setup(struct call *c)
{
	struct io_uring_params p;

	if (!tracee_read(c, c->data.args[1], &p, sizeof(p)))
		return -EFAULT;
	if (p.flags & ~FLAGS_KNOWN) {
		run_note(c->run, 11, "io_uring_setup flags %#x are not to be had", p.flags & ~FLAGS_KNOWN);
		return -EINVAL;
	}
	p.flags |= IORING_SETUP_R_DISABLED;
	int fd = (int)syscall(SYS_io_uring_setup, (unsigned)c->data.args[0], &p);
	int error = fd < 0 ? -errno : restrict_ring(fd);
	p.flags &= ~(unsigned)IORING_SETUP_R_DISABLED;
	if (!error && !tracee_write(c, c->data.args[1], &p, sizeof(p)))
		error = -EFAULT;
	if (error) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	run_note(c->run, 12, "io_uring's own operations on sockets do not reach the stack");
	c->result_fd = fd;
	c->result_flags = O_CLOEXEC;
	return RUN_INSTALL;
}
