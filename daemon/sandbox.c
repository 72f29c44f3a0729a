/*
 * What is left of the daemon's rights once its interface is up: no capability, no way to get
 * one back (no_new_privs), and a list of system calls. A call that is not on the list kills
 * the process, so that a foothold in the parser of a packet is the end and not a beginning;
 * the service manager starts the daemon anew and the journal names the call (SECCOMP audit).
 *
 * The list is by what the daemon does while it runs: its loop, its descriptors, reading the
 * configuration again and looking up groups (both open files), logging, memory.
 */
#include "daemon/worker.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static const int calls[] = {
	/* loop and time */
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_create1), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(signalfd4),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	/* bytes */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(sendto),
	SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
	/* descriptors */
	SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(dup3), SCMP_SYS(fcntl), SCMP_SYS(shutdown), SCMP_SYS(bind),
	SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(eventfd2),
	/* files: configuration, groups, /proc */
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat),
	SCMP_SYS(statx), SCMP_SYS(lseek), SCMP_SYS(pread64), SCMP_SYS(access), SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(getdents64), SCMP_SYS(fstatfs),
	/* memory and the process */
	SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
	SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrlimit),
	SCMP_SYS(prlimit64), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(tgkill), SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* What an ioctl may ask for. */
static const unsigned long requests[] = {
	FIONREAD, SIOCATMARK, SIOCOUTQ, TCGETS, TUNSETIFF, TUNSETVNETHDRSZ, TUNSETOFFLOAD, TUNSETSTEERINGEBPF, SIOCGIFINDEX, SIOCGIFNAME,
};

/* Pairs for owners, netlink, and the name services' sockets. */
static const int families[] = {AF_UNIX, AF_NETLINK};

/* `forwards`: sockets of the host, to reach its servers. */
static int allow_all(scmp_filter_ctx filter, bool forwards)
{
	int error = 0;

	for (size_t i = 0; i < COUNT_OF(calls) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; i < COUNT_OF(requests) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					 SCMP_A1_32(SCMP_CMP_EQ, (uint32_t)requests[i]));
	for (size_t i = 0; i < COUNT_OF(families) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
					 SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)families[i]));
	/* Interface names are asked for over whatever socket there is: refused, not fatal. */
	if (!error)
		error = seccomp_rule_add(filter, forwards ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
					 SCMP_A0_32(SCMP_CMP_EQ, AF_INET));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
					 SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
	return error;
}

/* The other workers' threads are there, and get it too. */
static int filter_calls(bool forwards, bool threads)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (!filter)
		return -EPERM; /* libseccomp does not say why; a filter that forbids seccomp(2) is the usual reason */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: each call costs the same */
	if (threads)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	int error = allow_all(filter, forwards);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

static int drop_capabilities(void)
{
	capng_get_caps_process();
	/* The bounding set needs CAP_SETPCAP, which only root has; the unit bounds it otherwise. */
	bool bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_ALL);
	if (bounds)
		capng_apply(CAPNG_SELECT_BOUNDS);
	return capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) == 0 ? 0 : -EPERM;
}

/* Sanitizers bring calls of their own, and look into the process with ptrace. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

int sandbox_enter(struct daemon *d)
{
	if (!d->config.sandbox)
		return workers_run(d);
	int error = drop_capabilities();
	if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		error = -errno;
	if (!error && (error = workers_run(d)) != 0) /* capabilities are a thread's own: theirs are what ours have become */
		return error;
	if (!error && !SANITIZED)
		error = filter_calls(d->config.forwards > 0, d->workers != NULL);
	if (error)
		daemon_log(LOG_ERR, "the sandbox cannot be set up: %s; set [Control] Sandbox=no to do without",
			   strerror(-error));
	return error;
}
