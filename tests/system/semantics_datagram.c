/* More of what datagram sockets do: what travels beside a datagram, errors, ping sockets. */
#include "semantics.h"

#include <linux/errqueue.h>
#include <linux/udp.h>
#include <netinet/ip_icmp.h>

/* ---- one datagram ---- */

static int udp_to(int port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, port);

	connect(fd, (void *)&a, sizeof(a));
	return fd;
}

/* Two sockets of ours, the first bound. */
static struct sockaddr_in udp_pair(int fd[2])
{
	fd[0] = bound(SOCK_DGRAM, 0);
	fd[1] = socket(AF_INET, SOCK_DGRAM, 0);
	return at(own, port_of(fd[0]));
}

static void case_udp_zero(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd), from;
	socklen_t len = sizeof(from);

	T(sendto(fd[1], "", 0, 0, (void *)&a, sizeof(a)));
	await(fd[0], POLLIN);
	ready("empty", fd[0]);
	T(recvfrom(fd[0], buffer, 10, MSG_DONTWAIT, (void *)&from, &len));
	from_text(&from, len);
	T(recvfrom(fd[0], buffer, 10, MSG_DONTWAIT, (void *)&from, &len));
}

static void case_udp_flags(void)
{
	int fd = udp_to(UDP_ECHO);

	T(send(fd, "x", 1, MSG_OOB));
	T(send(fd, "x", 1, MSG_CONFIRM));
	T(recv(fd, buffer, 100, MSG_WAITALL));
	T(recv(fd, buffer, 1, MSG_OOB | MSG_DONTWAIT));
	T(send(fd, "abc", 3, MSG_DONTROUTE));
	T(recv(fd, buffer, 100, 0));
	T(recv(fd, (void *)8, 10, MSG_DONTWAIT));
}

/* As many pieces as there may be, and one more. */
static void case_udp_pieces(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO);
	static struct iovec v[1025];
	static char letters[] = "abcdefgh", got[2000];
	struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = v, .msg_iovlen = 1024};

	for (int i = 0; i < 1025; i++)
		v[i] = (struct iovec){&letters[i % 8], 1};
	T(sendmsg(fd, &m, 0));
	for (int i = 0; i < 1025; i++)
		v[i] = (struct iovec){got + i, 1};
	T(recvmsg(fd, &m, 0));
	say("%.16s %.8s, truncated %d", got, got + 1016, (m.msg_flags & MSG_TRUNC) != 0);
	m.msg_iovlen = 1025;
	T(sendmsg(fd, &m, 0));
	T(recvmsg(fd, &m, MSG_DONTWAIT));
}

static void echoed(int fd)
{
	memset(buffer, 0, 100);
	T(recv(fd, buffer, 99, 0));
	say("%s", buffer);
}

static void case_udp_more(void)
{
	int fd = udp_to(UDP_ECHO);
	struct msghdr m = {.msg_iov = &(struct iovec){"msg", 3}, .msg_iovlen = 1};

	T(send(fd, "before", 6, 0));
	T(send(fd, "ab", 2, MSG_MORE));
	T(send(fd, "cd", 2, MSG_MORE));
	T(send(fd, "ef", 2, 0));
	echoed(fd);
	echoed(fd);
	T(sendmsg(fd, &m, MSG_MORE));
	T(write(fd, "written", 7));
	echoed(fd);
	T(send(fd, "g", 1, MSG_MORE));
	T(sendmsg(fd, &m, 0));
	echoed(fd);
	T(send(fd, "alone", 5, 0));
	echoed(fd);
}

static void case_udp_more_unconnected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), other = at(peer, CLOSED);

	T(sendto(fd, "ab", 2, MSG_MORE, (void *)&a, sizeof(a)));
	T(send(fd, "cd", 2, MSG_MORE));
	T(send(fd, "ef", 2, 0));
	echoed(fd);
	T(sendto(fd, "x", 1, MSG_MORE, (void *)&a, sizeof(a)));
	T(sendto(fd, "y", 1, 0, (void *)&other, sizeof(other)));
	echoed(fd);
	T(sendto(fd, "unsent", 6, MSG_MORE, (void *)&a, sizeof(a)));
	T(close(fd));
}

static void case_udp_more_errors(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), far = at("203.0.113.5", 9);
	static char half[40000];

	T(send(fd, "x", 1, MSG_MORE));
	T(sendto(fd, "x", 1, MSG_MORE, (void *)&far, sizeof(far)));
	T(sendto(fd, half, sizeof(half), MSG_MORE, (void *)&a, sizeof(a)));
	T(sendto(fd, half, sizeof(half), 0, (void *)&a, sizeof(a)));
	T(sendto(fd, "z", 1, 0, (void *)&a, sizeof(a)));
	echoed(fd);
}

static void case_udp_peek_truncated(void)
{
	int fd = udp_to(UDP_ECHO);
	struct iovec iov = {buffer, 2};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	send(fd, "0123456789", 10, 0);
	await(fd, POLLIN);
	T(recv(fd, buffer, 2, MSG_PEEK | MSG_TRUNC));
	T(recvmsg(fd, &m, MSG_PEEK));
	say("truncated %d", (m.msg_flags & MSG_TRUNC) != 0);
	T(recvmsg(fd, &m, MSG_TRUNC));
	T(recv(fd, buffer, 2, MSG_DONTWAIT));
}

static void case_udp_short_reads(void)
{
	int fd = udp_to(UDP_ECHO);
	char a[2], b[3];
	struct iovec v[2] = {{a, 2}, {b, 3}};

	send(fd, "01234567", 8, 0);
	send(fd, "second", 6, 0);
	T(readv(fd, v, 2));
	say("%.2s %.3s", a, b);
	T(read(fd, buffer, 100));
}

static void case_udp_address_overrides(void)
{
	int fd[2], c = udp_to(UDP_ECHO);
	struct sockaddr_in a = udp_pair(fd);
	struct msghdr m = {.msg_iov = &(struct iovec){"msg", 3}, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof(a)};

	T(sendto(c, "x", 1, 0, (void *)&a, sizeof(a)));
	T(sendmsg(c, &m, 0));
	await(fd[0], POLLIN);
	T(recv(fd[0], buffer, 10, 0));
	T(recv(fd[0], buffer, 10, 0));
	T(write(c, "yz", 2));
	T(read(c, buffer, 10));
}

static void case_udp_other_peer(void)
{
	int fd = udp_to(CLOSED);
	struct sockaddr_in a = at(peer, UDP_ECHO);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(write(fd, "abc", 3));
	T(recvfrom(fd, buffer, 10, 0, NULL, NULL));
	name("peer", fd, getpeername);
}

static void case_udp_connect_errors(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), all = at("255.255.255.255", 9), far = at("203.0.113.5", 9);

	T(connect(fd, (void *)&a, 4));
	T(connect(fd, (void *)8, sizeof(a)));
	T(connect(fd, (void *)&far, sizeof(far)));
	a.sin_family = AF_UNIX;
	T(connect(fd, (void *)&a, sizeof(a)));
	(void)all;
	name("peer", fd, getpeername);
	name("own", fd, getsockname);
}

static void case_udp_bound_then_connected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(6301)}, a = at(peer, UDP_ECHO);

	T(bind(fd, (void *)&any, sizeof(any)));
	name("own", fd, getsockname);
	T(connect(fd, (void *)&a, sizeof(a)));
	name("own", fd, getsockname);
	T(bind(fd, (void *)&any, sizeof(any)));
	T(send(fd, "x", 1, 0));
	T(recv(fd, buffer, 10, 0));
}

static void case_udp_shared_port(void)
{
	int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(own, 6302);

	set_int(one, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(two, SOL_SOCKET, SO_REUSEADDR, 1);
	T(bind(one, (void *)&a, sizeof(a)));
	T(bind(two, (void *)&a, sizeof(a)));
}

static void case_udp_broadcast(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at("198.18.0.255", 9);

	T(sendto(fd, "x", 1, 0, (void *)&a, sizeof(a)));
	T(connect(fd, (void *)&a, sizeof(a)));
	T(set_int(fd, SOL_SOCKET, SO_BROADCAST, 1));
	T(sendto(fd, "x", 1, 0, (void *)&a, sizeof(a)));
	T(connect(fd, (void *)&a, sizeof(a)));
	T(send(fd, "x", 1, 0));
}

static void case_udp_to_itself(void)
{
	int fd = bound(SOCK_DGRAM, 0);
	struct sockaddr_in a = at(own, port_of(fd)), from;
	socklen_t len = sizeof(from);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(send(fd, "me", 2, 0));
	T(recvfrom(fd, buffer, 10, 0, (void *)&from, &len));
	say("own %d", from.sin_addr.s_addr == a.sin_addr.s_addr && from.sin_port == a.sin_port);
}

static void case_udp_forked(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd), from;
	socklen_t len = sizeof(from);

	if (fork() == 0) {
		T(sendto(fd[1], "child", 5, 0, (void *)&a, sizeof(a)));
		_exit(0);
	}
	wait(NULL); /* so that the child says its line first */
	T(recvfrom(fd[0], buffer, 10, 0, (void *)&from, &len));
	T(close(fd[0]));
}

static void case_udp_closed_port_freed(void)
{
	struct sockaddr_in a = at(own, 6303);

	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);
		T(bind(fd, (void *)&a, sizeof(a)));
		close(fd);
		settle();
	}
}

static void case_udp_select(void)
{
	int fd = udp_to(UDP_ECHO);
	struct timeval t = {2, 0};
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	ready("idle", fd);
	send(fd, "x", 1, 0);
	T(select(fd + 1, &in, NULL, NULL, &t));
	ready("arrived", fd);
}

static void case_udp_nonblock(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in from, a = at(own, 0);
	socklen_t len = sizeof(from);
	struct msghdr m = {.msg_iov = &(struct iovec){buffer, 10}, .msg_iovlen = 1};

	bind(fd, (void *)&a, sizeof(a));
	T(recv(fd, buffer, 10, 0));
	T(recvfrom(fd, buffer, 10, 0, (void *)&from, &len));
	T(recvmsg(fd, &m, 0));
	struct mmsghdr mm = {.msg_hdr = m};
	T(recvmmsg(fd, &mm, 1, 0, NULL));
}

static void case_udp_plural_error(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), none = at(peer, 0);
	struct iovec v = {"ab", 2};
	struct mmsghdr m[3] = {0};

	for (int i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_name = i == 1 ? &none : &a, .msg_namelen = sizeof(a)};
	T(sendmmsg(fd, m, 3, 0));
	say("%u", m[0].msg_len);
	T(sendmmsg(fd, m + 1, 1, 0));
	T(recv(fd, buffer, 10, 0));
}

static void case_udp_plural_limit(void)
{
	int fd = udp_to(UDP_ECHO);
	struct iovec v[2] = {{buffer, 10}, {buffer + 10, 10}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};

	send(fd, "a", 1, 0);
	send(fd, "b", 1, 0);
	settle();
	T(recvmmsg(fd, m, 1, 0, NULL));
	T(recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL));
	T(recvmmsg(fd, m, 2, MSG_DONTWAIT, NULL));
}

static void case_udp_options(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	OPTION(fd, IPPROTO_IP, IP_PKTINFO, 1);
	OPTION(fd, IPPROTO_IP, IP_RECVTTL, 1);
	OPTION(fd, IPPROTO_IP, IP_RECVTOS, 1);
	OPTION(fd, IPPROTO_IP, IP_RECVERR, 1);
	OPTION(fd, IPPROTO_IP, IP_RETOPTS, 1);
	OPTION(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	OPTION(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	OPTION(fd, IPPROTO_IP, IP_TOS, 0x88);
	OPTION(fd, SOL_SOCKET, SO_PROTOCOL, 1);
	OPTION(fd, SOL_SOCKET, SO_ACCEPTCONN, 1);
}

/* ---- what comes beside a datagram ---- */

static void show_control(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int value = *CMSG_DATA(c);
		if (c->cmsg_level == SOL_SOCKET)
			say("socket %d, %d bytes", c->cmsg_type, (int)c->cmsg_len);
		else if (c->cmsg_type == IP_PKTINFO)
			say("to own %d, %d bytes", inet_addr(own) == ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr, (int)c->cmsg_len);
		else if (c->cmsg_type != IP_RECVERR)
			say("ip %d: %d, %d bytes", c->cmsg_type, value, (int)c->cmsg_len);
	}
	say("flags %#x, control %zu", m->msg_flags, m->msg_controllen);
}

static ssize_t receive_with(int fd, size_t room, int flags)
{
	static _Alignas(struct cmsghdr) char control[512];
	struct sockaddr_in from = {0};
	struct msghdr m = {.msg_iov = &(struct iovec){buffer, 100}, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = room, .msg_name = &from, .msg_namelen = sizeof(from)};
	ssize_t n = recvmsg(fd, &m, flags);

	if (n < 0)
		return n;
	from_text(&from, m.msg_namelen);
	show_control(&m);
	return n;
}

static void case_udp_control(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd);

	T(sendto(fd[1], "a", 1, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd[0], 512, 0));
	set_int(fd[0], IPPROTO_IP, IP_PKTINFO, 1);
	set_int(fd[0], IPPROTO_IP, IP_RECVTTL, 1);
	set_int(fd[0], IPPROTO_IP, IP_RECVTOS, 1);
	set_int(fd[1], IPPROTO_IP, IP_TTL, 9);
	set_int(fd[1], IPPROTO_IP, IP_TOS, 0x10);
	T(sendto(fd[1], "a", 1, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd[0], 512, 0));
	set_int(fd[0], IPPROTO_IP, IP_PKTINFO, 0);
	T(sendto(fd[1], "a", 1, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd[0], 512, MSG_PEEK));
	T(receive_with(fd[0], 512, 0));
}

static void case_udp_control_room(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd);

	set_int(fd[0], IPPROTO_IP, IP_PKTINFO, 1);
	set_int(fd[0], IPPROTO_IP, IP_RECVTTL, 1);
	T(sendto(fd[1], "a", 1, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd[0], 0, 0));
	T(sendto(fd[1], "a", 1, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd[0], CMSG_SPACE(sizeof(struct in_pktinfo)), 0));
}

static void case_udp_control_connected(void)
{
	int fd = udp_to(UDP_ECHO);

	set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
	T(send(fd, "a", 1, 0));
	T(receive_with(fd, 512, 0));
	T(send(fd, "b", 1, 0));
	T(recv(fd, buffer, 10, 0));
}

static void case_udp_timestamp(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd);

	set_int(fd[0], SOL_SOCKET, SO_TIMESTAMP, 1);
	T(sendto(fd[1], "a", 1, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd[0], 512, 0));
	set_int(fd[0], SOL_SOCKET, SO_TIMESTAMPNS, 1);
	T(sendto(fd[1], "a", 1, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd[0], 512, 0));
}

/* These bytes with one control message. */
static ssize_t send_bytes(int fd, struct sockaddr_in *to, struct iovec bytes, int level, int type, const void *value, size_t len)
{
	_Alignas(struct cmsghdr) char control[64] = {0};
	struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_name = to,
			   .msg_namelen = to ? sizeof(*to) : 0, .msg_control = control, .msg_controllen = CMSG_SPACE(len)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	return sendmsg(fd, &m, 0);
}

static ssize_t send_with(int fd, struct sockaddr_in *to, int level, int type, const void *value, size_t len)
{
	return send_bytes(fd, to, (struct iovec){"c", 1}, level, type, value, len);
}

static void case_udp_send_control(void)
{
	int fd[2], ttl = 5, tos = 0x20, bad = 300;
	struct sockaddr_in a = udp_pair(fd);
	struct in_pktinfo info = {0}, other = {0};

	inet_pton(AF_INET, own, &info.ipi_spec_dst);
	inet_pton(AF_INET, "192.0.2.77", &other.ipi_spec_dst);
	set_int(fd[0], IPPROTO_IP, IP_RECVTTL, 1);
	set_int(fd[0], IPPROTO_IP, IP_RECVTOS, 1);
	T(send_with(fd[1], &a, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)));
	T(receive_with(fd[0], 512, 0));
	T(send_with(fd[1], &a, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
	T(receive_with(fd[0], 512, 0));
	T(send_with(fd[1], &a, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)));
	T(receive_with(fd[0], 512, 0));
	T(send_with(fd[1], &a, IPPROTO_IP, IP_PKTINFO, &other, sizeof(other)));
	T(send_with(fd[1], &a, IPPROTO_IP, IP_TTL, &bad, sizeof(bad)));
	T(send_with(fd[1], &a, IPPROTO_IP, 200, &ttl, sizeof(ttl)));
	T(send_with(fd[1], &a, SOL_SOCKET, 200, &ttl, sizeof(ttl)));
	connect(fd[1], (void *)&a, sizeof(a));
	T(send_with(fd[1], NULL, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)));
	T(receive_with(fd[0], 512, 0));
}

/* ---- errors ---- */

static void case_udp_refused_message(void)
{
	int fd = udp_to(CLOSED);
	struct msghdr m = {.msg_iov = &(struct iovec){buffer, 10}, .msg_iovlen = 1};
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	send(fd, "x", 1, 0);
	T(recvfrom(fd, buffer, 10, 0, (void *)&from, &len));
	T(recvfrom(fd, buffer, 10, MSG_DONTWAIT, (void *)&from, &len));
	send(fd, "x", 1, 0);
	settle();
	T(recvmsg(fd, &m, MSG_DONTWAIT));
	T(recvmsg(fd, &m, MSG_DONTWAIT));
}

static void case_udp_refused_send(void)
{
	int fd = udp_to(CLOSED);
	struct sockaddr_in a = at(peer, CLOSED);
	struct msghdr m = {.msg_iov = &(struct iovec){"x", 1}, .msg_iovlen = 1};

	send(fd, "x", 1, 0);
	settle();
	T(sendmsg(fd, &m, 0));
	T(sendmsg(fd, &m, 0));
	settle();
	T(sendto(fd, "x", 1, 0, (void *)&a, sizeof(a)));
	settle();
	last_error(fd);
}

static void case_udp_refused_asked(void)
{
	int fd = udp_to(CLOSED);

	send(fd, "x", 1, 0);
	settle();
	last_error(fd);
	last_error(fd);
	T(recv(fd, buffer, 1, MSG_DONTWAIT));
}

static void case_udp_refused_unconnected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	T(sendto(fd, "x", 1, 0, (void *)&a, sizeof(a)));
	settle();
	T(sendto(fd, "x", 1, 0, (void *)&a, sizeof(a)));
	last_error(fd);
}

static void case_udp_error_queue(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, CLOSED), to = {0}, from;
	_Alignas(struct cmsghdr) char control[512];
	struct msghdr m = {.msg_iov = &(struct iovec){buffer, 100}, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = sizeof(control), .msg_name = &to, .msg_namelen = sizeof(to)};
	socklen_t len = sizeof(from);

	T(recvmsg(fd, &m, MSG_ERRQUEUE));
	set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	T(sendto(fd, "quoted", 6, 0, (void *)&a, sizeof(a)));
	T(recvfrom(fd, buffer, 10, 0, (void *)&from, &len));
	m.msg_controllen = sizeof(control);
	T(recvmsg(fd, &m, MSG_ERRQUEUE));
	say("%.6s, flags %#x", buffer, m.msg_flags);
	from_text(&to, m.msg_namelen);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	const struct sock_extended_err *e = (void *)CMSG_DATA(c);
	say("%d %d, %d bytes: %s origin %d type %d code %d info %u", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len,
	    strerrorname_np((int)e->ee_errno), e->ee_origin, e->ee_type, e->ee_code, e->ee_info);
	say("by peer %d", ((const struct sockaddr_in *)SO_EE_OFFENDER(e))->sin_addr.s_addr == inet_addr(peer));
	T(recvmsg(fd, &m, MSG_ERRQUEUE));
	T(sendto(fd, "x", 1, 0, (void *)&a, sizeof(a)));
}

static void case_tcp_error_queue(void)
{
	int fd = connect_to(peer, ECHO);
	struct msghdr m = {.msg_iov = &(struct iovec){buffer, 100}, .msg_iovlen = 1};

	T(recvmsg(fd, &m, MSG_ERRQUEUE));
}

/* ---- ping sockets ---- */

static int ping_socket(void) { return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }

static void case_ping_kinds(void)
{
	OK(ping_socket());
	OK(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP));
	OK(socket(AF_INET, SOCK_STREAM, IPPROTO_ICMP));
	get_int("SO_TYPE", ping_socket(), SOL_SOCKET, SO_TYPE);
	get_int("SO_PROTOCOL", ping_socket(), SOL_SOCKET, SO_PROTOCOL);
	ready("fresh", ping_socket());
}

static void case_ping_echo(void)
{
	int fd = ping_socket();
	struct sockaddr_in a = at(peer, 0), from;
	socklen_t len = sizeof(from);
	struct icmphdr h = {.type = ICMP_ECHO, .un.echo = {.id = 1, .sequence = htons(7)}};
	const struct icmphdr *got = (void *)buffer;
	char message[12];

	memcpy(message, &h, 8);
	memcpy(message + 8, "data", 4);
	T(sendto(fd, message, 12, 0, (void *)&a, sizeof(a)));
	T(recvfrom(fd, buffer, 100, 0, (void *)&from, &len));
	say("type %d code %d sequence %d, %.4s, port %d", got->type, got->code, ntohs(got->un.echo.sequence), buffer + 8, ntohs(from.sin_port));
	T(ntohs(got->un.echo.id) == port_of(fd));
	name("peer", fd, getpeername);
	T(recv(fd, buffer, 100, MSG_DONTWAIT));
}

static void case_ping_bad(void)
{
	int fd = ping_socket();
	struct sockaddr_in a = at(peer, 0), far = at("203.0.113.5", 0);
	char message[12] = {ICMP_ECHO};

	T(sendto(fd, message, 7, 0, (void *)&a, sizeof(a)));
	T(sendto(fd, message, 12, 0, (void *)&far, sizeof(far)));
	T(sendto(fd, message, 12, MSG_OOB, (void *)&a, sizeof(a)));
	message[1] = 1;
	T(sendto(fd, message, 12, 0, (void *)&a, sizeof(a)));
	message[0] = ICMP_ECHOREPLY, message[1] = 0;
	T(sendto(fd, message, 12, 0, (void *)&a, sizeof(a)));
	message[0] = ICMP_ECHO;
	T(sendto(fd, message, 12, 0, (void *)&a, 4));
	T(listen(fd, 1));
	T(accept(fd, NULL, NULL));
}

static void case_ping_bind(void)
{
	int fd = ping_socket(), other = ping_socket();
	struct sockaddr_in a = at(own, 777), b = at("192.0.2.9", 0);

	T(bind(fd, (void *)&b, sizeof(b)));
	T(bind(fd, (void *)&a, sizeof(a)));
	T(bind(fd, (void *)&a, sizeof(a)));
	T(bind(other, (void *)&a, sizeof(a)));
	T(port_of(fd));
}

static void case_ping_connected(void)
{
	int fd = ping_socket();
	struct sockaddr_in a = at(peer, 1025);
	char message[12] = {ICMP_ECHO};

	T(connect(fd, (void *)&a, sizeof(a)));
	name("peer", fd, getpeername);
	T(write(fd, message, 12));
	T(read(fd, buffer, 100));
	T(buffer[0]);
}

static void case_ping_ttl(void)
{
	int fd = ping_socket();
	struct sockaddr_in a = at(peer, 0);
	char message[12] = {ICMP_ECHO};

	OPTION(fd, IPPROTO_IP, IP_TTL, 9);
	set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
	T(sendto(fd, message, 12, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd, 512, 0));
}

static void case_ping_unreachable(void)
{
	int fd = ping_socket();
	struct sockaddr_in a = at("198.18.0.203", 0);
	struct timeval t = {.tv_sec = 5};
	char message[12] = {ICMP_ECHO};

	set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	T(sendto(fd, message, 12, 0, (void *)&a, sizeof(a)));
	T(receive_with(fd, 512, 0));
}

/* ---- many with one call ---- */

static void case_udp_segment_options(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0), value = 1200;

	OPTION(fd, IPPROTO_UDP, UDP_SEGMENT, 1200);
	OPTION(fd, IPPROTO_UDP, UDP_GRO, 5);
	OPTION(fd, IPPROTO_UDP, UDP_GRO, 0);
	T(set_int(fd, IPPROTO_UDP, UDP_SEGMENT, -1));
	T(set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 65536));
	T(set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 65535));
	T(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, 2));
	T(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, (void *)8, 4));
	get_int("UDP_SEGMENT", fd, IPPROTO_UDP, UDP_SEGMENT);
	T(set_int(tcp, IPPROTO_UDP, UDP_SEGMENT, 1200));
	T(set_int(ping_socket(), IPPROTO_UDP, UDP_SEGMENT, 1200));
}

/* What comes, and of what lengths. */
static void lengths(int fd)
{
	ssize_t n;

	settle();
	while ((n = recv(fd, buffer, 70000, MSG_DONTWAIT)) >= 0)
		say("%zd bytes", n);
}

static ssize_t send_cut(int fd, struct sockaddr_in *to, size_t len, const void *value, size_t size)
{
	return send_bytes(fd, to, (struct iovec){buffer, len}, IPPROTO_UDP, UDP_SEGMENT, value, size);
}

static void case_udp_segment(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd);
	uint16_t size = 300, none = 0;

	T(send_cut(fd[1], &a, 1000, &size, sizeof(size)));
	lengths(fd[0]);
	set_int(fd[1], IPPROTO_UDP, UDP_SEGMENT, 400);
	T(sendto(fd[1], buffer, 1000, 0, (void *)&a, sizeof(a)));
	lengths(fd[0]);
	T(send_cut(fd[1], &a, 600, &size, sizeof(size)));
	lengths(fd[0]);
	T(send_cut(fd[1], &a, 1000, &none, sizeof(none)));
	lengths(fd[0]);
	T(sendto(fd[1], buffer, 400, 0, (void *)&a, sizeof(a)));
	T(sendto(fd[1], buffer, 0, 0, (void *)&a, sizeof(a)));
	lengths(fd[0]);
	connect(fd[1], (void *)&a, sizeof(a));
	T(write(fd[1], buffer, 1000));
	T(send_cut(fd[1], NULL, 600, &size, sizeof(size)));
	lengths(fd[0]);
}

/* The options stay when the peer goes. */
static void case_udp_segment_disconnect(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd), none = {.sin_family = AF_UNSPEC};

	set_int(fd[1], IPPROTO_UDP, UDP_SEGMENT, 400);
	set_int(fd[1], IPPROTO_IP, IP_TTL, 9);
	set_int(fd[1], SOL_SOCKET, SO_BROADCAST, 1);
	T(connect(fd[1], (void *)&a, sizeof(a)));
	T(connect(fd[1], (void *)&none, sizeof(none)));
	get_int("UDP_SEGMENT", fd[1], IPPROTO_UDP, UDP_SEGMENT);
	get_int("IP_TTL", fd[1], IPPROTO_IP, IP_TTL);
	get_int("SO_BROADCAST", fd[1], SOL_SOCKET, SO_BROADCAST);
	T(sendto(fd[1], buffer, 1000, 0, (void *)&a, sizeof(a)));
	lengths(fd[0]);
}

static void case_udp_segment_refused(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO);
	uint16_t large = 1473, fits = 1472, one = 1;

	T(send_cut(fd, &a, 100, &large, sizeof(large)));
	T(send_cut(fd, &a, 1473, &large, sizeof(large)));
	T(send_cut(fd, &a, 4000, &large, sizeof(large)));
	T(send_cut(fd, &a, 4000, &fits, sizeof(fits)));
	lengths(fd);
	T(send_cut(fd, &a, 129, &one, sizeof(one)));
	T(send_cut(fd, &a, 65508, &fits, sizeof(fits)));
	T(send_cut(fd, &a, 65507, &fits, sizeof(fits)));
}

static void case_udp_segment_control(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), wide = 300;
	struct sockaddr_in a = at(peer, UDP_ECHO);
	uint16_t size = 300;

	T(send_cut(fd, &a, 1000, &wide, sizeof(wide)));
	T(send_cut(fd, &a, 1000, &size, 1));
	T(send_with(fd, &a, IPPROTO_UDP, UDP_GRO, &wide, sizeof(wide)));
	T(send_with(fd, &a, IPPROTO_UDP, 200, &size, sizeof(size)));
}

static ssize_t receive_together(int fd, size_t room, size_t control_room)
{
	_Alignas(struct cmsghdr) char control[64];
	struct msghdr m = {.msg_iov = &(struct iovec){buffer, room}, .msg_iovlen = 1, .msg_control = control,
			   .msg_controllen = control_room};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		say("level %d type %d: %d, %d bytes", c->cmsg_level, c->cmsg_type, *(int *)(void *)CMSG_DATA(c), (int)c->cmsg_len);
	say("flags %#x", n < 0 ? 0 : m.msg_flags);
	return n;
}

static void case_udp_together(void)
{
	int fd[2];
	struct sockaddr_in a = udp_pair(fd);
	uint16_t size = 300;

	set_int(fd[0], IPPROTO_UDP, UDP_GRO, 1);
	set_int(fd[0], IPPROTO_IP, IP_RECVTTL, 1);
	for (int i = 0; i < 4; i++)
		T(send_cut(fd[1], &a, 1000, &size, sizeof(size)));
	T(sendto(fd[1], buffer, 100, 0, (void *)&a, sizeof(a)));
	settle();
	T(receive_together(fd[0], 70000, 64));
	T(receive_together(fd[0], 500, 64));
	T(receive_together(fd[0], 70000, 0));
	T(recv(fd[0], buffer, 70000, MSG_DONTWAIT));
	T(receive_together(fd[0], 70000, 64));
	T(receive_together(fd[0], 70000, 64));
}

const struct semantics_case datagram_cases[] = {
	DATAGRAM(SEMANTICS_ROW)
};
