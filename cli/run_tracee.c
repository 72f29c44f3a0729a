/* A process under byway run from outside: its memory, and copies of its descriptors. */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIDFD_OF_THREAD O_EXCL /* PIDFD_THREAD, Linux 6.9 */

/* The process of a thread, for kernels whose pidfds are of processes alone. */
static pid_t process_of(pid_t tid)
{
	char path[32], line[128];
	int pid = tid;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	FILE *f = fopen(path, "re");
	if (!f)
		return tid;
	while (fgets(line, sizeof(line), f) && sscanf(line, "Tgid: %d", &pid) != 1)
		;
	fclose(f);
	return pid;
}

static int open_thread(pid_t tid)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_OF_THREAD);

	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_pidfd_open, process_of(tid), 0);
	return fd;
}

int tracee_descriptor(pid_t tid, int fd)
{
	int pidfd = open_thread(tid);

	if (pidfd < 0)
		return -errno;
	int copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	int error = errno;
	close(pidfd);
	return copy < 0 ? -error : copy;
}

int tracee_flags(pid_t tid, int fd)
{
	char path[48], line[64];
	unsigned flags = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, fd);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f) && sscanf(line, "flags: %o", &flags) != 1)
		;
	fclose(f);
	return (int)flags;
}

bool call_valid(const struct call *c)
{
	uint64_t id = c->id;

	return ioctl(c->run->notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

bool tracee_read(const struct call *c, uint64_t from, void *to, size_t len)
{
	struct iovec local = {to, len}, remote = {(void *)(uintptr_t)from, len};

	/* Valid after reading: the number may have become another process's in between. */
	return process_vm_readv(c->tid, &local, 1, &remote, 1, 0) == (ssize_t)len && call_valid(c);
}

bool tracee_write(const struct call *c, uint64_t to, const void *from, size_t len)
{
	struct iovec local = {(void *)(uintptr_t)from, len}, remote = {(void *)(uintptr_t)to, len};

	return len == 0 || (call_valid(c) && process_vm_writev(c->tid, &local, 1, &remote, 1, 0) == (ssize_t)len);
}

ssize_t tracee_gather(const struct call *c, const struct iovec *from, size_t pieces, void *to, size_t len)
{
	struct iovec local = {to, len};
	ssize_t n = len == 0 ? 0 : process_vm_readv(c->tid, &local, 1, from, pieces, 0);

	return n >= 0 && call_valid(c) ? n : -EFAULT;
}

ssize_t tracee_scatter(const struct call *c, const struct iovec *to, size_t pieces, const void *from, size_t len)
{
	struct iovec local = {(void *)(uintptr_t)from, len};

	if (len == 0 || pieces == 0)
		return 0;
	if (!call_valid(c))
		return -EFAULT;
	ssize_t n = process_vm_writev(c->tid, &local, 1, to, pieces, 0);
	return n >= 0 ? n : -EFAULT;
}
