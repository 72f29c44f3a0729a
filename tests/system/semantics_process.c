/* Sockets and processes: fork, vfork, daemons, descriptors that are passed, threads, io_uring, interfaces. */
#include "semantics.h"

#include <linux/io_uring.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- processes ---- */

static void pass_to(int fd)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	execl("/proc/self/exe", "semantics", "pass", number, own, peer, NULL);
	_exit(1);
}

static void case_vfork(void)
{
	int fd = connect_to(peer, ECHO), status = 0;
	pid_t child = vfork();

	if (child == 0)
		pass_to(fd);
	waitpid(child, &status, 0);
	T(status);
	T(write(fd, "y", 1));
	T(read(fd, buffer, 1));
}

static void case_daemon(void)
{
	int l = listener(0, 5), port = port_of(l);

	if (fork() == 0) {
		setsid();
		if (fork() > 0)
			_exit(0);
		int fd = accept(l, NULL, NULL);
		write(fd, "from the daemon", 15);
		_exit(0);
	}
	wait(NULL);
	close(l);
	int fd = connect_to(own, port);
	T(recv(fd, buffer, 15, MSG_WAITALL));
	say("%.15s", buffer);
}

static void case_cloexec(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
	struct sockaddr_in a = at(peer, ECHO);

	T(connect(fd, (void *)&a, sizeof(a)));
	pid_t child = fork();
	if (child == 0)
		pass_to(fd);
	waitpid(child, &status, 0);
	T(fcntl(fd, F_GETFD));
}

static void case_child_closes(void)
{
	int fd = connect_to(peer, ECHO);

	if (fork() == 0) {
		close(fd);
		_exit(0);
	}
	wait(NULL);
	settle();
	T(write(fd, "x", 1));
	T(read(fd, buffer, 1));
	if (fork() == 0) {
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	wait(NULL);
	T(read(fd, buffer, 1));
}

static void case_parent_gone(void)
{
	int l = listener(0, 5), port = port_of(l), fd;

	if (fork() == 0) {
		if (fork() == 0) {
			fd = connect_to(own, port);
			settle();
			write(fd, "orphan", 6);
			_exit(0);
		}
		_exit(0);
	}
	wait(NULL);
	fd = accept(l, NULL, NULL);
	T(recv(fd, buffer, 6, MSG_WAITALL));
	T(read(fd, buffer, 1));
}

static void case_child_binds(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fork() == 0) {
		struct sockaddr_in a = at(own, 6401);
		T(bind(fd, (void *)&a, sizeof(a)));
		T(listen(fd, 3));
		_exit(0);
	}
	wait(NULL);
	name("own", fd, getsockname);
	get_int("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
	OK(connect_to(own, 6401));
	OK(accept(fd, NULL, NULL));
}

static void case_duplicates(void)
{
	int fd = connect_to(peer, ECHO), copy = dup3(fd, 200, O_CLOEXEC), third = fcntl(fd, F_DUPFD, 300);

	T(copy);
	T(third);
	T(fcntl(copy, F_GETFD));
	T(fcntl(copy, F_SETFL, O_NONBLOCK));
	T(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	close(copy);
	T(write(third, "x", 1));
	await(third, POLLIN);
	T(read(third, buffer, 1));
	T(syscall(SYS_close_range, 300, 300, 0));
	T(write(third, "x", 1));
}

static void case_dup_over(void)
{
	int one = connect_to(peer, ECHO), two = connect_to(peer, HELLO);

	T(dup2(two, one) == one);
	T(recv(one, buffer, 5, MSG_WAITALL));
	name("peer", one, getpeername);
}

/* ---- descriptors that are passed ---- */

static void case_rights_udp(void)
{
	int pair[2], fd = bound(SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), from;
	socklen_t len = sizeof(from);

	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	if (fork() == 0) {
		close(fd);
		int got = take_descriptor(pair[1]);
		T(sendto(got, "abc", 3, 0, (void *)&a, sizeof(a)));
		T(recvfrom(got, buffer, 10, 0, (void *)&from, &len));
		from_text(&from, len);
		_exit(0);
	}
	ssize_t passed = pass_descriptor(pair[0], fd);
	close(fd);
	wait(NULL); /* so that the child says its lines first */
	T(passed);
}

static void case_rights_in_flight(void)
{
	int pair[2], fd = connect_to(peer, ECHO);

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	T(pass_descriptor(pair[0], fd));
	close(fd);
	settle();
	fd = take_descriptor(pair[1]);
	T(write(fd, "x", 1));
	T(read(fd, buffer, 1));
	name("peer", fd, getpeername);
}

static void case_rights_dropped(void)
{
	int pair[2], fd[2];

	both(fd);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	T(pass_descriptor(pair[0], fd[0]));
	close(fd[0]);
	close(pair[0]);
	close(pair[1]);
	await(fd[1], POLLIN);
	T(read(fd[1], buffer, 1));
}

static void case_local_sockets(void)
{
	int pair[2], one = 1;
	struct ucred who;
	socklen_t len = sizeof(who);
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0semantics"};

	T(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	T(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &who, &len));
	T(who.pid == getpid());
	T(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
	T(bind(l, (void *)&a, sizeof(sa_family_t) + 10));
	T(listen(l, 1));
	T(connect(c, (void *)&a, sizeof(sa_family_t) + 10));
	OK(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	T(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
}

/* ---- threads ---- */

static void *thread_echo(void *arg)
{
	char byte = *(char *)arg;
	int fd = connect_to(peer, ECHO);

	for (int i = 0; i < 20; i++)
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1 || byte != *(char *)arg)
			return NULL;
	close(fd);
	return arg;
}

static void case_threads_connect(void)
{
	char bytes[8];
	pthread_t t[8];
	void *result;
	int n = 0;

	for (int i = 0; i < 8; i++) {
		bytes[i] = (char)('a' + i);
		pthread_create(&t[i], NULL, thread_echo, &bytes[i]);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &result);
		n += result != NULL;
	}
	T(n);
}

static void *thread_read(void *arg)
{
	char byte;

	return (void *)(intptr_t)recv(*(int *)arg, &byte, 1, 0);
}

static void case_threads_one_reads(void)
{
	int fd = connect_to(peer, ECHO);
	pthread_t t;
	void *result;

	pthread_create(&t, NULL, thread_read, &fd);
	settle();
	T(write(fd, "x", 1));
	pthread_join(t, &result);
	T((intptr_t)result);
}

/* ---- io_uring ---- */

struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
};

static bool ring_new(struct ring *r, unsigned flags)
{
	struct io_uring_params p = {.flags = flags};

	r->fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (r->fd < 0)
		return false;
	char *ring = mmap(NULL, p.sq_off.array + 4096 + p.cq_off.cqes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->sqe = mmap(NULL, 4 * sizeof(*r->sqe), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQES);
	r->sq_tail = (void *)(ring + p.sq_off.tail);
	r->sq_mask = (void *)(ring + p.sq_off.ring_mask);
	r->sq_array = (void *)(ring + p.sq_off.array);
	r->cq_head = (void *)(ring + p.cq_off.head);
	r->cq_tail = (void *)(ring + p.cq_off.tail);
	r->cq_mask = (void *)(ring + p.cq_off.ring_mask);
	r->cqe = (void *)(ring + p.cq_off.cqes);
	return ring != MAP_FAILED && r->sqe != MAP_FAILED;
}

/* One operation; what it returned. */
static long ring_do(struct ring *r, int op, int fd, void *data, unsigned len, uint64_t off)
{
	unsigned tail = *r->sq_tail, i = tail & *r->sq_mask;

	r->sqe[i] = (struct io_uring_sqe){.opcode = (uint8_t)op, .fd = fd, .addr = (uintptr_t)data, .len = len, .off = off};
	if (op == IORING_OP_POLL_ADD)
		r->sqe[i].poll32_events = POLLIN;
	r->sq_array[i] = i;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	unsigned head = *r->cq_head;
	int result = r->cqe[head & *r->cq_mask].res;
	__atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static void case_uring_read_write(void)
{
	int fd = connect_to(peer, ECHO);
	struct ring r;

	if (!ring_new(&r, 0)) {
		say("no io_uring");
		return;
	}
	T(ring_do(&r, IORING_OP_WRITE, fd, "hello", 5, 0));
	T(ring_do(&r, IORING_OP_READ, fd, buffer, 100, 0));
	say("%.5s", buffer);
	struct iovec v = {"again", 5};
	T(ring_do(&r, IORING_OP_WRITEV, fd, &v, 1, 0));
	T(ring_do(&r, IORING_OP_POLL_ADD, fd, NULL, 0, 0));
	T(ring_do(&r, IORING_OP_RECV, fd, buffer, 100, 0));
	T(ring_do(&r, IORING_OP_SEND, fd, "third", 5, 0));
	T(ring_do(&r, IORING_OP_RECV, fd, buffer, 100, 0));
	T(ring_do(&r, IORING_OP_SHUTDOWN, fd, NULL, SHUT_WR, 0));
	T(ring_do(&r, IORING_OP_READ, fd, buffer, 100, 0));
	T(ring_do(&r, IORING_OP_CLOSE, fd, NULL, 0, 0));
	T(fcntl(fd, F_GETFD));
}

static void case_uring_registered(void)
{
	int fd = connect_to(peer, ECHO);
	struct iovec v = {buffer, 4096};
	struct ring r;

	if (!ring_new(&r, 0))
		return;
	T(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &v, 1));
	memcpy(buffer, "fixed", 5);
	T(ring_do(&r, IORING_OP_WRITE_FIXED, fd, buffer, 5, 0));
	T(ring_do(&r, IORING_OP_READ_FIXED, fd, buffer, 100, 0));
	T(syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	T(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, &fd, 1));
}

static void case_uring_socket(void)
{
	struct ring r;

	if (!ring_new(&r, 0))
		return;
	OK(ring_do(&r, 45 /* IORING_OP_SOCKET */, AF_INET, NULL, 0, SOCK_STREAM));
}

static void case_uring_accept(void)
{
	int l = listener(0, 5);
	struct ring r;

	if (!ring_new(&r, 0))
		return;
	connect_to(own, port_of(l));
	await(l, POLLIN);
	OK(ring_do(&r, IORING_OP_ACCEPT, l, NULL, 0, 0));
}

static void case_uring_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(peer, ECHO);
	struct ring r;

	if (!ring_new(&r, 0))
		return;
	T(ring_do(&r, IORING_OP_CONNECT, fd, &a, 0, sizeof(a)));
}

static void case_uring_own_thread(void)
{
	struct ring r;

	OK(ring_new(&r, IORING_SETUP_SQPOLL) - 1);
	T(syscall(SYS_io_uring_setup, 0, NULL));
	T(syscall(SYS_io_uring_setup, 4, (void *)8));
}

/* ---- interfaces ---- */

static void case_interface_errors(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq r = {.ifr_name = "nodev9"};
	struct ifconf c = {0};

	T(ioctl(fd, SIOCGIFADDR, &r));
	T(ioctl(fd, SIOCGIFFLAGS, &r));
	T(ioctl(fd, SIOCGIFINDEX, &r));
	T(ioctl(fd, SIOCGIFMTU, &r));
	r.ifr_ifindex = 9999;
	T(ioctl(fd, SIOCGIFNAME, &r));
	T(ioctl(fd, SIOCGIFADDR, (void *)8));
	T(ioctl(fd, SIOCGIFCONF, &c));
	T(c.ifc_len > 0);
}

static void case_interface_names(void)
{
	struct if_nameindex *list = if_nameindex();
	int n = 0;

	for (struct if_nameindex *i = list; i && i->if_index; i++)
		n += if_nametoindex(i->if_name) == i->if_index;
	T(n >= 1);
	T(if_nametoindex("nodev9"));
}

static void case_interface_own(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), found = 0;
	struct ifreq rows[16];
	struct ifconf c = {.ifc_len = sizeof(rows), .ifc_req = rows};

	T(ioctl(fd, SIOCGIFCONF, &c));
	for (size_t i = 0; i < (size_t)c.ifc_len / sizeof(rows[0]); i++) {
		struct sockaddr_in *a = (void *)&rows[i].ifr_addr;
		if (a->sin_addr.s_addr != inet_addr(own))
			continue;
		found++;
		T(ioctl(fd, SIOCGIFADDR, &rows[i]));
		T(a->sin_addr.s_addr == inet_addr(own));
		T(ioctl(fd, SIOCGIFNETMASK, &rows[i]));
		T(ntohl(a->sin_addr.s_addr) == 0xffffff00);
		T(ioctl(fd, SIOCGIFMTU, &rows[i]));
		T(rows[i].ifr_mtu);
		T(ioctl(fd, SIOCGIFFLAGS, &rows[i]));
		T((rows[i].ifr_flags & (IFF_UP | IFF_RUNNING | IFF_LOOPBACK)) == (IFF_UP | IFF_RUNNING));
	}
	T(found);
}

const struct semantics_case process_cases[] = {
	PROCESS(SEMANTICS_ROW)
};
