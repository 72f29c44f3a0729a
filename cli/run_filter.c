/*
 * Which system calls stop for the supervisor. A filter sees numbers, not what pointers point to:
 * what can be told apart by them is (families, addresses given or not); the other calls on
 * sockets are trapped and, where they are none of ours, go on in the kernel.
 *
 * Not trapped: read, write, recv and send (but with MSG_MORE) and what else moves bytes on a connected descriptor,
 * poll, select, epoll, close, dup, fcntl.
 */
#include "cli/run.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <sys/ioctl.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* Whatever their arguments. */
static const int calls[] = {
	SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(connect), SCMP_SYS(accept), SCMP_SYS(accept4),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(io_uring_setup),
};

static const int families[] = {AF_INET, AF_INET6};
static const int netlinks[] = {NETLINK_ROUTE, NETLINK_SOCK_DIAG};

/* Requests about queues and interfaces; those that change something would meet the host's. */
static const unsigned requests[] = {
	FIONREAD, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR,
	SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFMETRIC, SIOCGIFTXQLEN,
	SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFDSTADDR, SIOCSIFBRDADDR, SIOCSIFNETMASK, SIOCSIFMTU, SIOCSIFHWADDR,
	SIOCSIFMETRIC, SIOCSIFNAME, SIOCSIFTXQLEN, SIOCADDRT, SIOCDELRT, SIOCSARP, SIOCDARP,
};

static int add_sockets(scmp_filter_ctx f)
{
	int error = 0;

	for (size_t i = 0; i < COUNT_OF(families) && !error; i++)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(socket), 1,
					 SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)families[i]));
	for (size_t i = 0; i < COUNT_OF(netlinks) && !error; i++)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(socket), 2,
					 SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK),
					 SCMP_A2_32(SCMP_CMP_EQ, (uint32_t)netlinks[i]));
	return error;
}

static int add_rules(scmp_filter_ctx f, bool proc)
{
	int error = add_sockets(f);

	if (proc && !error)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(openat), 0);

	for (size_t i = 0; i < COUNT_OF(calls) && !error; i++)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, calls[i], 0);
	for (size_t i = 0; i < COUNT_OF(requests) && !error; i++)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(ioctl), 1,
					 SCMP_A1_32(SCMP_CMP_EQ, requests[i]));
	/* With an address. */
	if (!error)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_NE, 0));
	/* The beginning of a datagram, perhaps: a socket pair has no word for it. */
	if (!error)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(sendto), 2, SCMP_A4(SCMP_CMP_EQ, 0),
					 SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_MORE, MSG_MORE));
	if (!error)
		error = seccomp_rule_add(f, SCMP_ACT_NOTIFY, SCMP_SYS(recvfrom), 1, SCMP_A4(SCMP_CMP_NE, 0));
	return error;
}

int filter_load(bool proc)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

	if (!f)
		return -EPERM;
	/* Programs of another architecture on this machine would reach the host's sockets: they do not run. */
	seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	int error = add_rules(f, proc);
	if (!error)
		error = seccomp_load(f);
	int fd = error ? error : seccomp_notify_fd(f);
	seccomp_release(f);
	return fd;
}
