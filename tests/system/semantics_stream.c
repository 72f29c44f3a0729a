/* More of what TCP sockets do: flags, files, readiness, names, states and options. */
#include "semantics.h"

#include <sys/mman.h>
#include <sys/stat.h>

/* ---- bytes ---- */

static void case_peek_again(void)
{
	int fd = connect_to(peer, HELLO);

	await(fd, POLLIN);
	T(recv(fd, buffer, 3, MSG_PEEK));
	T(recv(fd, buffer, 100, MSG_PEEK));
	T(recv(fd, buffer, 2, 0));
	T(recv(fd, buffer, 100, MSG_PEEK));
	say("%.3s", buffer);
}

static void case_peek_empty(void)
{
	int fd = connect_to(peer, ECHO);

	T(recv(fd, buffer, 3, MSG_PEEK | MSG_DONTWAIT));
	T(shutdown(fd, SHUT_WR));
	await(fd, POLLIN);
	T(recv(fd, buffer, 3, MSG_PEEK));
	T(recv(fd, buffer, 3, MSG_PEEK));
}

static void case_peek_all(void)
{
	int fd = connect_to(peer, ECHO);

	write(fd, "abcd", 4);
	T(recv(fd, buffer, 4, MSG_PEEK | MSG_WAITALL));
	T(recv(fd, buffer, 4, MSG_WAITALL));
}

static void case_waitall_ended(void)
{
	int fd = connect_to(peer, HELLO);

	T(recv(fd, buffer, 100, MSG_WAITALL));
	T(recv(fd, buffer, 100, MSG_WAITALL));
}

static void case_waitall_timeout(void)
{
	int fd = connect_to(peer, ECHO);
	struct timeval t = {.tv_usec = 100000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	write(fd, "abc", 3);
	await(fd, POLLIN);
	T(recv(fd, buffer, 100, MSG_WAITALL));
	T(recv(fd, buffer, 100, MSG_WAITALL));
}

static void case_waitall_interrupted(void)
{
	int fd = connect_to(peer, ECHO);

	write(fd, "abc", 3);
	await(fd, POLLIN);
	alarm_in(100000, 0);
	T(recv(fd, buffer, 100, MSG_WAITALL));
}

static void case_waitall_dontwait(void)
{
	int fd = connect_to(peer, ECHO);

	write(fd, "abc", 3);
	await(fd, POLLIN);
	settle();
	T(recv(fd, buffer, 100, MSG_WAITALL | MSG_DONTWAIT));
	T(recv(fd, buffer, 100, MSG_WAITALL | MSG_DONTWAIT));
}

static void case_nothing(void)
{
	int fd = connect_to(peer, ECHO);

	T(write(fd, "", 0));
	T(send(fd, "", 0, 0));
	settle();
	T(recv(fd, buffer, 10, MSG_DONTWAIT));
	T(read(fd, buffer, 0));
	T(writev(fd, NULL, 0));
	T(readv(fd, NULL, 0));
}

static void case_more(void)
{
	int fd = connect_to(peer, ECHO);

	T(send(fd, "ab", 2, MSG_MORE));
	T(send(fd, "cd", 2, 0));
	T(recv(fd, buffer, 4, MSG_WAITALL));
	T(send(fd, "ef", 2, MSG_EOR));
	T(recv(fd, buffer, 2, MSG_WAITALL));
	T(send(fd, "gh", 2, MSG_CONFIRM | MSG_DONTROUTE));
	T(recv(fd, buffer, 2, MSG_WAITALL));
}

static void case_cork(void)
{
	int fd = connect_to(peer, ECHO);

	set_int(fd, IPPROTO_TCP, TCP_CORK, 1);
	T(write(fd, "ab", 2));
	settle();
	T(recv(fd, buffer, 4, MSG_DONTWAIT));
	set_int(fd, IPPROTO_TCP, TCP_CORK, 0);
	T(recv(fd, buffer, 2, MSG_WAITALL));
}

static void case_vectors_many(void)
{
	int fd = connect_to(peer, COUNT);
	static struct iovec v[1025];

	for (int i = 0; i < 1025; i++)
		v[i] = (struct iovec){"x", 1};
	T(writev(fd, v, 1024));
	T(writev(fd, v, 1025));
	volatile int negative = -1;
	T(writev(fd, v, negative));
	shutdown(fd, SHUT_WR);
	ssize_t n = recv(fd, buffer, 100, MSG_WAITALL);
	say("%.*s", (int)n, buffer);
}

static void case_message_bad(void)
{
	int fd = connect_to(peer, ECHO);
	struct iovec bad = {(void *)8, 5}, good = {"abc", 3};
	struct msghdr m = {.msg_iov = &bad, .msg_iovlen = 1};

	T(sendmsg(fd, &m, 0));
	m.msg_iov = (void *)8;
	T(sendmsg(fd, &m, 0));
	m = (struct msghdr){.msg_iov = &good, .msg_iovlen = 1};
	T(sendmsg(fd, &m, MSG_NOSIGNAL));
	T(recv(fd, buffer, 3, MSG_WAITALL));
	T(recvmsg(fd, (void *)8, 0));
	m.msg_iovlen = 0;
	T(sendmsg(fd, &m, 0));
}

static void case_plural_empty(void)
{
	int fd = connect_to(peer, ECHO);
	struct iovec in[2] = {{buffer, 2}, {buffer + 10, 2}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &in[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &in[1], .msg_iovlen = 1}}};

	T(recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL));
	T(recvmmsg(fd, m, 0, MSG_DONTWAIT, NULL));
	T(sendmmsg(fd, m, 0, 0));
	write(fd, "abc", 3);
	await(fd, POLLIN);
	settle();
	T(recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL));
	say("%u %u", m[0].msg_len, m[1].msg_len);
}

static void case_sendfile_offset(void)
{
	int fd = connect_to(peer, COUNT), file = open("/proc/self/exe", O_RDONLY);
	off_t at = 100;

	T(sendfile(fd, file, &at, 1000));
	T(at);
	T(lseek(file, 0, SEEK_CUR));
	T(sendfile(fd, file, NULL, 500));
	T(lseek(file, 0, SEEK_CUR));
	T(sendfile(file, fd, NULL, 10));
	shutdown(fd, SHUT_WR);
	ssize_t n = recv(fd, buffer, 100, MSG_WAITALL);
	say("%.*s", (int)n, buffer);
}

static void case_splice_through(void)
{
	int from = connect_to(peer, HELLO), to = connect_to(peer, COUNT), p[2];

	pipe(p);
	await(from, POLLIN);
	settle();
	T(splice(from, NULL, p[1], NULL, 100, SPLICE_F_MOVE));
	T(splice(p[0], NULL, to, NULL, 100, SPLICE_F_MOVE | SPLICE_F_MORE));
	T(splice(from, NULL, p[1], NULL, 100, 0));
	shutdown(to, SHUT_WR);
	ssize_t n = recv(to, buffer, 100, MSG_WAITALL);
	say("%.*s", (int)n, buffer);
}

static void case_splice_empty(void)
{
	int fd = connect_to(peer, ECHO), p[2];

	pipe(p);
	nonblock(fd);
	T(splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	T(splice(fd, &(off_t){0}, p[1], NULL, 100, 0));
}

static void case_not_a_file(void)
{
	int fd = connect_to(peer, ECHO);
	struct stat st;

	T(lseek(fd, 0, SEEK_SET));
	T(pread(fd, buffer, 1, 0));
	T(pwrite(fd, "x", 1, 0));
	T(fsync(fd));
	T(ftruncate(fd, 0));
	T(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	T(fstat(fd, &st));
	T(S_ISSOCK(st.st_mode));
}

static void case_stdio(void)
{
	int fd = connect_to(peer, ECHO);
	FILE *f = fdopen(fd, "r+");

	T(fprintf(f, "line\n"));
	T(fflush(f));
	T(fgets(buffer, 100, f) != NULL);
	say("%.4s", buffer);
	T(fclose(f));
	T(write(fd, "x", 1));
}

static void case_descriptor_flags(void)
{
	int fd = connect_to(peer, ECHO), one = 1;

	T(fcntl(fd, F_GETFL) & O_ACCMODE);
	T(ioctl(fd, FIONBIO, &one));
	T(fcntl(fd, F_GETFL) & O_NONBLOCK);
	T(read(fd, buffer, 1));
	T(fcntl(fd, F_SETFD, FD_CLOEXEC));
	T(fcntl(fd, F_GETFD));
	T(ioctl(fd, FIOCLEX, NULL));
	T(ioctl(fd, 0x12345678, &one));
}

static volatile sig_atomic_t signals;
static void count_signal(int signal) { (void)signal; signals++; }

static void case_signal_driven(void)
{
	int fd = connect_to(peer, ECHO);

	signal(SIGIO, count_signal);
	T(fcntl(fd, F_SETOWN, getpid()));
	T(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
	T(write(fd, "x", 1));
	for (int i = 0; i < 30 && !signals; i++)
		usleep(10000);
	T(signals > 0);
}

/* ---- readiness ---- */

static void case_select_read(void)
{
	int fd = connect_to(peer, HELLO);
	struct timeval t = {2, 0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	T(select(fd + 1, &in, NULL, NULL, &t));
	T(FD_ISSET(fd, &in) != 0);
}

static void case_ppoll_signal(void)
{
	int fd = connect_to(peer, ECHO);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec t = {2, 0};

	alarm_in(50000, SA_RESTART);
	T(ppoll(&p, 1, &t, NULL));
	write(fd, "x", 1);
	T(ppoll(&p, 1, &t, NULL));
}

static void case_pselect_mask(void)
{
	int fd = connect_to(peer, ECHO);
	struct timespec t = {0, 150000000};
	sigset_t blocked;
	fd_set in;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGALRM);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	alarm_in(50000, 0);
	T(pselect(fd + 1, &in, NULL, NULL, &t, &blocked));
}

static void case_poll_closed(void)
{
	int fd = connect_to(peer, ECHO);

	close(fd);
	ready("closed", fd);
	T(recv(fd, buffer, 1, 0));
	T(close(fd));
	T(shutdown(fd, SHUT_WR));
	name("own", fd, getsockname);
}

static void case_poll_ended(void)
{
	int fd = connect_to(peer, HELLO);

	await(fd, POLLIN);
	settle();
	ready("data and end", fd);
	T(recv(fd, buffer, 100, 0));
	ready("end", fd);
	T(shutdown(fd, SHUT_WR));
	settle();
	ready("both ends", fd);
}

static void case_poll_listener(void)
{
	int l = listener(0, 5);

	ready("idle", l);
	int fd = connect_to(own, port_of(l));
	await(l, POLLIN);
	ready("pending", l);
	OK(accept(l, NULL, NULL));
	ready("taken", l);
	close(fd);
}

static void case_epoll_modify(void)
{
	int fd = connect_to(peer, ECHO), e = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};

	T(epoll_ctl(e, EPOLL_CTL_ADD, fd, &event));
	T(epoll_ctl(e, EPOLL_CTL_ADD, fd, &event));
	epoll_once(e, 0);
	event.events = EPOLLOUT;
	T(epoll_ctl(e, EPOLL_CTL_MOD, fd, &event));
	epoll_once(e, 0);
	T(epoll_ctl(e, EPOLL_CTL_DEL, fd, NULL));
	epoll_once(e, 0);
	T(epoll_ctl(e, EPOLL_CTL_MOD, fd, &event));
}

static void case_epoll_closed(void)
{
	int fd = connect_to(peer, HELLO), copy = dup(fd), e = epoll_create1(0);

	epoll_ctl(e, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
	close(fd);
	epoll_once(e, 1000);
	close(copy);
	epoll_once(e, 0);
}

static void case_epoll_exclusive(void)
{
	int l = listener(0, 5), e = epoll_create1(0), f = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};

	T(epoll_ctl(e, EPOLL_CTL_ADD, l, &event));
	T(epoll_ctl(f, EPOLL_CTL_ADD, l, &event));
	connect_to(own, port_of(l));
	await(l, POLLIN);
	epoll_once(e, 1000);
}

static void case_epoll_edge_end(void)
{
	int fd[2], e = epoll_create1(0);

	both(fd);
	epoll_ctl(e, EPOLL_CTL_ADD, fd[0], &(struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET});
	epoll_once(e, 50);
	shutdown(fd[1], SHUT_WR);
	epoll_once(e, 1000);
	epoll_once(e, 50);
}

static void case_epoll_edge_rest(void)
{
	int fd[2], e = epoll_create1(0);

	both(fd);
	epoll_ctl(e, EPOLL_CTL_ADD, fd[0], &(struct epoll_event){.events = EPOLLIN | EPOLLET});
	write(fd[1], "ab", 2);
	epoll_once(e, 1000);
	T(read(fd[0], buffer, 1));
	epoll_once(e, 50);
	write(fd[1], "c", 1);
	epoll_once(e, 1000);
	T(read(fd[0], buffer, 10));
}

static void case_epoll_nested(void)
{
	int fd = connect_to(peer, HELLO), e = epoll_create1(0), outer = epoll_create1(0);

	epoll_ctl(e, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
	epoll_ctl(outer, EPOLL_CTL_ADD, e, &(struct epoll_event){.events = EPOLLIN});
	epoll_once(outer, 1000);
}

/* ---- states ---- */

static void case_accept_nonblock_not_inherited(void)
{
	int l = listener(0, 5);

	nonblock(l);
	T(accept(l, NULL, NULL));
	connect_to(own, port_of(l));
	await(l, POLLIN);
	int fd = accept(l, NULL, NULL);
	T(fcntl(fd, F_GETFL) & O_NONBLOCK);
	T(fcntl(fd, F_GETFD));
}

static void case_accept_flags_bad(void)
{
	int l = listener(0, 5);

	T(accept4(l, NULL, NULL, 0x5));
	T(accept4(l, NULL, NULL, SOCK_STREAM));
	nonblock(l);
	T(accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
	T(accept4(socket(AF_INET, SOCK_STREAM, 0), NULL, NULL, 0));
}

static void case_accept_bad_address(void)
{
	int l = listener(0, 5);
	socklen_t len = (socklen_t)-1;
	struct sockaddr_in a;

	connect_to(own, port_of(l));
	await(l, POLLIN);
	T(accept(l, (void *)&a, &len));
	connect_to(own, port_of(l));
	await(l, POLLIN);
	len = sizeof(a);
	T(accept(l, (void *)8, &len));
}

static void case_backlog_zero(void)
{
	int l = listener(0, 0);

	OK(connect_to(own, port_of(l)));
	await(l, POLLIN);
	OK(accept(l, NULL, NULL));
}

static void case_listener_options(void)
{
	int l = listener(0, 5), n = -1;

	get_int("SO_ACCEPTCONN", l, SOL_SOCKET, SO_ACCEPTCONN);
	get_int("SO_ERROR", l, SOL_SOCKET, SO_ERROR);
	T(ioctl(l, FIONREAD, &n));
	T(ioctl(l, SIOCOUTQ, &n));
	T(connect(l, (void *)&(struct sockaddr_in){.sin_family = AF_INET}, sizeof(struct sockaddr_in)));
	name("peer", l, getpeername);
	name("own", l, getsockname);
}

static void case_names_after_reset(void)
{
	int fd = connect_to(peer, RESET);

	await(fd, POLLIN);
	settle();
	last_error(fd);
	last_error(fd);
	name("peer", fd, getpeername);
	T(write(fd, "x", 0));
	T(shutdown(fd, SHUT_RDWR));
}

static void case_names_after_end(void)
{
	int fd = connect_to(peer, HELLO);

	T(recv(fd, buffer, 100, MSG_WAITALL));
	name("peer", fd, getpeername);
	name("own", fd, getsockname);
	T(connect(fd, (void *)&(struct sockaddr_in){.sin_family = AF_INET, .sin_port = 1}, sizeof(struct sockaddr_in)));
}

static void case_shutdown_again(void)
{
	int fd = connect_to(peer, HOLD);

	T(shutdown(fd, SHUT_WR));
	T(shutdown(fd, SHUT_WR));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(shutdown(fd, SHUT_RD));
	T(recv(fd, buffer, 1, MSG_DONTWAIT));
}

static void case_shutdown_flushes(void)
{
	int fd = connect_to(peer, COUNT);
	size_t total = 0;

	nonblock(fd);
	for (ssize_t n; total < 3000000; total += n > 0 ? (size_t)n : 0) {
		n = write(fd, buffer, 100000);
		if (n < 0)
			await(fd, POLLOUT);
	}
	T(shutdown(fd, SHUT_WR));
	await(fd, POLLIN);
	settle();
	ssize_t n = recv(fd, buffer, 100, 0);
	say("%d", (int)n == (int)strlen("got 3000000") && total >= 3000000);
}

static void case_close_other_thread_end(void)
{
	int fd[2];

	both(fd);
	if (fork() == 0) {
		usleep(50000);
		shutdown(fd[0], SHUT_RDWR);
		_exit(0);
	}
	T(read(fd[0], buffer, 1));
	T(read(fd[1], buffer, 1));
}

static void case_both_close(void)
{
	int fd[2];

	both(fd);
	T(shutdown(fd[0], SHUT_WR));
	T(shutdown(fd[1], SHUT_WR));
	T(read(fd[0], buffer, 1));
	T(read(fd[1], buffer, 1));
	ready("closed", fd[0]);
	T(close(fd[0]));
	T(close(fd[1]));
}

static void case_linger_waits(void)
{
	int fd = connect_to(peer, COUNT);
	struct linger l = {1, 2};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	T(write(fd, buffer, 100000));
	T(close(fd));
}

static void case_reset_unread_both(void)
{
	int fd[2];

	both(fd);
	write(fd[0], "abc", 3);
	await(fd[1], POLLIN);
	close(fd[1]);
	await(fd[0], POLLIN);
	T(read(fd[0], buffer, 1));
	last_error(fd[0]);
}

/* ---- addresses ---- */

static void case_connect_any(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET};

	T(bind(l, (void *)&a, sizeof(a)));
	T(listen(l, 5));
	a.sin_port = htons((uint16_t)port_of(l));
	T(connect(fd, (void *)&a, sizeof(a)));
	OK(accept(l, NULL, NULL));
	struct sockaddr_in b;
	socklen_t len = sizeof(b);
	T(getpeername(fd, (void *)&b, &len));
	say("%s", inet_ntoa(b.sin_addr));
}

static void case_loopback(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at("127.0.0.5", 0), b;
	socklen_t len = sizeof(b);

	T(bind(l, (void *)&a, sizeof(a)));
	T(listen(l, 5));
	a.sin_port = htons((uint16_t)port_of(l));
	T(connect(fd, (void *)&a, sizeof(a)));
	OK(accept(l, (void *)&b, &len));
	say("from %s", inet_ntoa(b.sin_addr));
}

static void case_reuseport(void)
{
	int one = socket(AF_INET, SOCK_STREAM, 0), two = socket(AF_INET, SOCK_STREAM, 0), three = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(own, 6211);

	set_int(one, SOL_SOCKET, SO_REUSEPORT, 1);
	set_int(two, SOL_SOCKET, SO_REUSEPORT, 1);
	T(bind(one, (void *)&a, sizeof(a)));
	T(listen(one, 5));
	T(bind(two, (void *)&a, sizeof(a)));
	T(listen(two, 5));
	T(bind(three, (void *)&a, sizeof(a)));
}

static void case_reuse_while_listening(void)
{
	int l = listener(6212, 5), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(own, 6212), any = {.sin_family = AF_INET, .sin_port = htons(6212)};

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	T(bind(fd, (void *)&a, sizeof(a)));
	T(bind(fd, (void *)&any, sizeof(any)));
	close(l);
	T(bind(fd, (void *)&a, sizeof(a)));
	T(listen(fd, 1));
}

static void case_bind_any_and_one(void)
{
	int one = socket(AF_INET, SOCK_STREAM, 0), two = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(own, 6213), any = {.sin_family = AF_INET, .sin_port = htons(6213)};

	T(bind(one, (void *)&any, sizeof(any)));
	T(bind(two, (void *)&a, sizeof(a)));
	name("own", one, getsockname);
}

static void case_ports_differ(void)
{
	int one = bound(SOCK_STREAM, 0), two = bound(SOCK_STREAM, 0);

	T(port_of(one) != port_of(two));
	T(port_of(one) >= 1024);
}

static void case_same_port_two_peers(void)
{
	int one = socket(AF_INET, SOCK_STREAM, 0), two = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(own, 6214), echo = at(peer, ECHO), count = at(peer, COUNT);

	set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
	T(bind(one, (void *)&a, sizeof(a)));
	T(bind(two, (void *)&a, sizeof(a)));
	T(connect(one, (void *)&echo, sizeof(echo)));
	T(connect(two, (void *)&echo, sizeof(echo)));
	T(connect(two, (void *)&count, sizeof(count)));
}

/* ---- options ---- */

static void case_options_more(void)
{
	int fd = connect_to(peer, ECHO);

	OPTION(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	OPTION(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	OPTION(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
	OPTION(fd, IPPROTO_TCP, TCP_INQ, 1);
	OPTION(fd, SOL_SOCKET, SO_RCVLOWAT, 10);
	OPTION(fd, SOL_SOCKET, SO_SNDLOWAT, 10);
	OPTION(fd, SOL_SOCKET, SO_ACCEPTCONN, 1);
	OPTION(fd, SOL_SOCKET, SO_PROTOCOL, 1);
	OPTION(fd, SOL_SOCKET, SO_DOMAIN, 1);
}

static void case_options_listener(void)
{
	int l = listener(0, 5);

	OPTION(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	OPTION(l, IPPROTO_TCP, TCP_FASTOPEN, 5);
	OPTION(l, IPPROTO_TCP, TCP_FASTOPEN, -1);
	OPTION(l, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	OPTION(l, IPPROTO_TCP, TCP_SYNCNT, 0);
	OPTION(l, IPPROTO_TCP, TCP_KEEPINTVL, 40000);
}

static void case_options_ip_more(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	OPTION(fd, IPPROTO_IP, IP_TOS, 0xff);
	OPTION(fd, IPPROTO_IP, IP_RECVERR, 1);
	OPTION(fd, IPPROTO_IP, IP_FREEBIND, 1);
	OPTION(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	OPTION(fd, IPPROTO_IP, IP_MTU, 1);
	OPTION(fd, IPPROTO_IP, IP_MTU_DISCOVER, 17);
	OPTION(fd, IPPROTO_IP, IP_RECVTTL, 1);
	OPTION(fd, IPPROTO_IP, IP_TTL, 0);
}

static void case_options_time(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval t = {.tv_sec = 1, .tv_usec = 1000000};

	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	t.tv_usec = -1;
	T(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	T(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, 4));
	t = (struct timeval){.tv_sec = -5};
	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	OPTION(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
}

static void case_options_fresh(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = 4;
	int value = 7;

	T(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
	len = 0;
	T(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
	T(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, buffer, &(socklen_t){20}));
	T(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nodev9", 6));
	T(setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &value, 2));
	T(getsockopt(fd, IPPROTO_UDP, 1, &value, &len));
	T(setsockopt(fd, IPPROTO_UDP, 1, &value, sizeof(value)));
}

static void case_user_timeout_kept(void)
{
	int l = listener(0, 5), fd;

	set_int(l, IPPROTO_TCP, TCP_USER_TIMEOUT, 1234);
	set_int(l, SOL_SOCKET, SO_RCVBUF, 20000);
	set_int(l, IPPROTO_IP, IP_TTL, 9);
	set_int(l, IPPROTO_IP, IP_TOS, 8);
	connect_to(own, port_of(l));
	fd = accept(l, NULL, NULL);
	get_int("TCP_USER_TIMEOUT", fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
	get_int("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF);
	get_int("IP_TTL", fd, IPPROTO_IP, IP_TTL);
	get_int("IP_TOS", fd, IPPROTO_IP, IP_TOS);
}

/* ---- fast open ---- */

static void case_fastopen_send(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(peer, ECHO), closed = at(peer, CLOSED);

	T(sendto(fd, "abc", 3, MSG_FASTOPEN, (void *)&a, sizeof(a)));
	T(recv(fd, buffer, 3, MSG_WAITALL));
	T(sendto(fd, "abc", 3, MSG_FASTOPEN, (void *)&a, sizeof(a)));
	name("peer", fd, getpeername);
	T(sendto(socket(AF_INET, SOCK_STREAM, 0), "abc", 3, MSG_FASTOPEN, (void *)&closed, sizeof(closed)));
	T(sendto(socket(AF_INET, SOCK_STREAM, 0), "abc", 3, MSG_FASTOPEN, (void *)&a, 4));
}

static void case_fastopen_nonblock(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(peer, ECHO);

	T(sendto(fd, "abc", 3, MSG_FASTOPEN, (void *)&a, sizeof(a)));
	T(await(fd, POLLOUT));
	last_error(fd);
	T(send(fd, "abc", 3, 0));
	await(fd, POLLIN);
	T(recv(fd, buffer, 10, 0));
}

static void case_fastopen_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(peer, ECHO);

	OPTION(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	T(connect(fd, (void *)&a, sizeof(a)));
	T(write(fd, "abc", 3));
	T(recv(fd, buffer, 3, MSG_WAITALL));
	T(set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
}

const struct semantics_case stream_cases[] = {
	STREAM(SEMANTICS_ROW)
};
