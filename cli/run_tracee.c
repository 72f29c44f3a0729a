/*
 * A process under byway run from outside: its memory, and copies of its descriptors.
 *
 * The pidfds of the threads that called last are kept, and watched: a call costs no new one, and the end of a thread
 * is known at once. One whose thread is gone gives no descriptors, whoever has the number then.
 */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
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

/* *lasting: it is of the thread alone, or of a process whose number the thread has. */
static int open_thread(pid_t tid, bool *lasting)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_OF_THREAD);

	*lasting = true;
	if (fd >= 0 || errno != EINVAL)
		return fd;
	pid_t process = process_of(tid);
	*lasting = process == tid;
	return (int)syscall(SYS_pidfd_open, process, 0);
}

static void forget(struct run *run, struct tracee *t)
{
	epoll_ctl(run->epoll, EPOLL_CTL_DEL, t->pidfd, NULL);
	close(t->pidfd);
	t->tid = 0;
}

/* Takes the place of another. */
static void keep(struct run *run, pid_t tid, int pidfd)
{
	struct tracee *t = &run->tracees[tid % RUN_TRACEES];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = t};

	if (t->tid)
		forget(run, t);
	*t = (struct tracee){tid, pidfd};
	epoll_ctl(run->epoll, EPOLL_CTL_ADD, pidfd, &event);
}

bool tracee_over(struct run *run, const void *mark)
{
	for (unsigned i = 0; i < RUN_TRACEES; i++)
		if (mark == &run->tracees[i]) {
			if (run->tracees[i].tid)
				forget(run, &run->tracees[i]);
			return true;
		}
	return false;
}

int tracee_descriptor(struct run *run, pid_t tid, int fd)
{
	struct tracee *t = &run->tracees[tid % RUN_TRACEES];
	bool lasting;
	int copy = t->tid == tid ? (int)syscall(SYS_pidfd_getfd, t->pidfd, fd, 0) : -1;

	if (t->tid == tid && (copy >= 0 || errno != ESRCH))
		return copy < 0 ? -errno : copy;
	int pidfd = open_thread(tid, &lasting);
	if (pidfd < 0)
		return -errno;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	int error = errno;
	if (lasting && run->epoll >= 0)
		keep(run, tid, pidfd);
	else
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

bool tracee_peek(const struct call *c, uint64_t from, void *to, size_t len)
{
	struct iovec local = {to, len}, remote = {(void *)(uintptr_t)from, len};

	return process_vm_readv(c->tid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

bool tracee_read(const struct call *c, uint64_t from, void *to, size_t len)
{
	/* Valid after reading: the number may have become another process's in between. */
	return tracee_peek(c, from, to, len) && call_valid(c);
}

bool tracee_write(const struct call *c, uint64_t to, const void *from, size_t len)
{
	struct iovec local = {(void *)(uintptr_t)from, len}, remote = {(void *)(uintptr_t)to, len};

	return len == 0 || (call_valid(c) && process_vm_writev(c->tid, &local, 1, &remote, 1, 0) == (ssize_t)len);
}

bool tracee_give(const struct call *c, uint64_t to, const void *from, uint32_t len, uint64_t len_at, uint32_t told)
{
	struct iovec local[2] = {{(void *)(uintptr_t)from, len}, {&told, sizeof(told)}};
	struct iovec remote[2] = {{(void *)(uintptr_t)to, len}, {(void *)(uintptr_t)len_at, sizeof(told)}};

	return call_valid(c) && process_vm_writev(c->tid, local, 2, remote, 2, 0) == (ssize_t)(len + sizeof(told));
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
