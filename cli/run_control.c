/*
 * What travels beside datagrams, for programs under byway run: where and how one came (IP_PKTINFO,
 * IP_RECVTTL, IP_RECVTOS, and the time, which the kernel notes on the descriptor), that several came
 * together (UDP_GRO), how one is to go or several are (UDP_SEGMENT), and ICMP errors (IP_RECVERR).
 *
 * An error shows as an empty message whose file says so (protocol.h). It is taken out of the
 * descriptor here, and the daemon asked for the error itself: another call may have had it.
 */
#include "cli/run.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define MARKERS_MAX 64 /* errors of one socket that are passed over at once; a pair has room for fewer */
enum { LOOPBACK_INDEX = 1, LINK_INDEX = 2 }; /* of interfaces, as the daemon's rtnetlink has it */

/* ---- what the program wants to be told ---- */

static const struct {
	int level, name;
	uint8_t bit;
} tells[] = {{IPPROTO_IP, IP_PKTINFO, RUN_TELLS_PKTINFO}, {IPPROTO_IP, IP_RECVTTL, RUN_TELLS_TTL},
	     {IPPROTO_IP, IP_RECVTOS, RUN_TELLS_TOS}, {IPPROTO_IP, IP_RECVERR, RUN_TELLS_ERRORS},
	     {IPPROTO_UDP, UDP_GRO, RUN_TELLS_SEGMENT}};

void control_option_set(struct run_socket *s, int level, int name, int value)
{
	for (size_t i = 0; i < sizeof(tells) / sizeof(tells[0]); i++)
		if (tells[i].level == level && tells[i].name == name)
			s->tells = (uint8_t)(value ? s->tells | tells[i].bit : s->tells & ~tells[i].bit);
}

static bool is_told(struct call *c, enum run_tells what)
{
	struct run_socket *s = c->sock;

	for (size_t i = 0; i < sizeof(tells) / sizeof(tells[0]) && !s->tells_known; i++) {
		int value = 0;
		uint32_t len = sizeof(value);
		if (daemon_get_option(c->run, s->inode, tells[i].level, tells[i].name, &value, &len) == 0)
			control_option_set(s, tells[i].level, tells[i].name, value);
	}
	s->tells_known = true;
	return s->tells & what;
}

/* ---- receiving ---- */

static void take_control(struct msghdr *m, struct arrival *a, int *file)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET)
			continue;
		if (h->cmsg_type == SCM_RIGHTS) {
			memcpy(file, CMSG_DATA(h), sizeof(*file));
		} else if (h->cmsg_len <= sizeof(a->stamp)) {
			memcpy(a->stamp, h, h->cmsg_len);
			a->stamp_len = h->cmsg_len;
		}
	}
}

/* One message as it lies in the descriptor. */
static ssize_t take_message(int fd, void *data, size_t len, int flags, struct arrival *a)
{
	_Alignas(struct cmsghdr) char control[RUN_CONTROL];
	struct iovec iov = {data, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_TRUNC);
	int file = -1;

	a->known = false;
	a->stamp_len = 0;
	a->source = (struct byway_source){0};
	if (n < 0)
		return -errno;
	take_control(&m, a, &file);
	if (file >= 0) {
		a->known = pread(file, &a->source, sizeof(a->source), 0) == (ssize_t)sizeof(a->source);
		close(file);
	}
	return n;
}

static bool is_marker(ssize_t n, const struct arrival *a)
{
	return n == 0 && a->known && a->source.error;
}

/* Takes out what tells of errors at the head of the descriptor. True: there was something. */
static bool pass_markers(int fd)
{
	struct arrival a;
	uint8_t byte;
	unsigned n = 0;

	while (n < MARKERS_MAX && is_marker(take_message(fd, &byte, 1, MSG_PEEK, &a), &a)) {
		take_message(fd, &byte, 1, 0, &a);
		n++;
	}
	return n > 0;
}

static int ask_error(struct call *c)
{
	struct sock_reply r = {0};

	return daemon_last_error(c->run, c->sock->inode, &r) == 0 ? -(int)r.error : 0;
}

int datagram_error(struct call *c)
{
	return pass_markers(c->fd) ? ask_error(c) : 0;
}

/* Takes the next datagram, or passes over what tells of an error. The bytes, -errno, or a marker. */
static ssize_t take_next(struct call *c, void *data, size_t len, int flags, struct arrival *a)
{
	/* What is kept goes on showing as long as nobody has asked for it. */
	bool stays = c->sock->kind != RUN_NETLINK && is_told(c, RUN_TELLS_ERRORS);
	ssize_t n = take_message(c->fd, data, len, flags | (stays ? MSG_PEEK : 0), a);
	int error;

	if (!is_marker(n, a))
		return stays && !(flags & MSG_PEEK) ? take_message(c->fd, data, len, flags, a) : n;
	if (!stays && (flags & MSG_PEEK))
		pass_markers(c->fd);
	error = ask_error(c);
	if (!error && stays)
		pass_markers(c->fd);
	return error;
}

ssize_t datagram_receive(struct call *c, void *data, size_t len, int flags, struct arrival *a)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
	ssize_t n;

	do
		n = take_next(c, data, len, flags, a);
	while (is_marker(n, a));
	if (n == 0 && !a->known && poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP))
		return -ENETDOWN; /* the daemon is gone */
	return n;
}

/* ---- control messages that come ---- */

/* Appends one, if the caller has room for it; else says so in the flags, as the host does. */
static void append(struct msghdr *out, size_t room, int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
	char *at = (char *)out->msg_control + out->msg_controllen;

	if (out->msg_controllen + CMSG_LEN(len) > room) {
		out->msg_flags |= MSG_CTRUNC;
		return;
	}
	memcpy(at, &h, sizeof(h));
	memcpy(at + CMSG_LEN(0), data, len);
	out->msg_controllen += out->msg_controllen + CMSG_SPACE(len) <= room ? CMSG_SPACE(len) : CMSG_LEN(len);
}

static void append_arrival(struct call *c, struct msghdr *out, size_t room, const struct byway_source *s)
{
	bool own = memcmp(s->from.addr, s->to.addr, sizeof(s->to.addr)) == 0 || s->from.addr[12] == 127;
	struct in_pktinfo info = {.ipi_ifindex = own ? LOOPBACK_INDEX : LINK_INDEX};
	int ttl = s->ttl, segment = s->segment;

	memcpy(&info.ipi_addr, s->to.addr + 12, sizeof(info.ipi_addr));
	info.ipi_spec_dst = info.ipi_addr;
	if (segment && is_told(c, RUN_TELLS_SEGMENT))
		append(out, room, IPPROTO_UDP, UDP_GRO, &segment, sizeof(segment));
	if (is_told(c, RUN_TELLS_PKTINFO))
		append(out, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	if (is_told(c, RUN_TELLS_TTL))
		append(out, room, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (is_told(c, RUN_TELLS_TOS))
		append(out, room, IPPROTO_IP, IP_TOS, &s->tos, sizeof(s->tos));
}

/* What was built, to the caller, whose message's header is changed. */
static int give(struct call *c, struct msghdr *m, const struct msghdr *out)
{
	if (out->msg_controllen && !tracee_write(c, (uintptr_t)m->msg_control, out->msg_control, out->msg_controllen))
		return -EFAULT;
	m->msg_controllen = out->msg_controllen;
	m->msg_flags |= out->msg_flags;
	return 0;
}

int control_write(struct call *c, struct msghdr *m, const struct arrival *a)
{
	_Alignas(struct cmsghdr) char control[RUN_CONTROL] = {0};
	struct msghdr out = {.msg_control = control};
	size_t room = m->msg_control ? m->msg_controllen : 0;

	if (room > sizeof(control))
		room = sizeof(control);
	if (c->sock->kind == RUN_NETLINK) {
		m->msg_controllen = 0;
		return 0;
	}
	if (a->stamp_len) {
		const struct cmsghdr *h = (const void *)a->stamp;
		append(&out, room, h->cmsg_level, h->cmsg_type, a->stamp + CMSG_LEN(0), a->stamp_len - CMSG_LEN(0));
	}
	if (a->known)
		append_arrival(c, &out, room, &a->source);
	return give(c, m, &out);
}

/* ---- control messages that go ---- */

static int take_segment(const struct cmsghdr *h, struct byway_departure *out, bool *any)
{
	if (h->cmsg_type != UDP_SEGMENT || h->cmsg_len != CMSG_LEN(sizeof(out->segment)))
		return -EINVAL;
	memcpy(&out->segment, CMSG_DATA(h), sizeof(out->segment));
	out->has_segment = 1;
	*any = true;
	return 0;
}

static int take_one(struct call *c, const struct cmsghdr *h, struct byway_departure *out, bool *any)
{
	size_t len = h->cmsg_len - CMSG_LEN(0);
	struct in_pktinfo info;
	int value = 0;

	if (h->cmsg_level == SOL_SOCKET)
		return h->cmsg_type == SCM_RIGHTS || h->cmsg_type == SCM_CREDENTIALS ? 0 : -EINVAL;
	if (h->cmsg_level == IPPROTO_UDP && !c->sock->ping)
		return take_segment(h, out, any);
	if (h->cmsg_level != IPPROTO_IP)
		return 0;
	memcpy(&value, CMSG_DATA(h), len < sizeof(value) ? len : sizeof(value));
	*any = true;
	if (h->cmsg_type == IP_PKTINFO && len == sizeof(info)) {
		static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
		memcpy(&info, CMSG_DATA(h), sizeof(info));
		if (info.ipi_spec_dst.s_addr) {
			memcpy(out->source.addr, mapped, sizeof(mapped));
			memcpy(out->source.addr + 12, &info.ipi_spec_dst, sizeof(info.ipi_spec_dst));
		}
	} else if (h->cmsg_type == IP_TTL && len == sizeof(value) && value >= 1 && value <= 255) {
		out->ttl = (uint8_t)value;
	} else if (h->cmsg_type == IP_TOS && (len == sizeof(value) || len == 1) && value >= 0 && value <= 255) {
		out->has_tos = 1;
		out->tos = (uint8_t)value;
	} else {
		run_note(c->run, 9, "control message level %d type %d is not to be had", h->cmsg_level, h->cmsg_type);
		return -EINVAL;
	}
	return 0;
}

int control_read(struct call *c, const struct msghdr *m, struct byway_departure *out, bool *any)
{
	_Alignas(struct cmsghdr) char control[RUN_CONTROL] = {0};
	struct msghdr in = {.msg_control = control, .msg_controllen = m->msg_controllen};
	int error = 0;

	if (!m->msg_control || m->msg_controllen == 0)
		return 0;
	if (m->msg_controllen > sizeof(control))
		return -ENOBUFS;
	if (!tracee_read(c, (uintptr_t)m->msg_control, control, m->msg_controllen))
		return -EFAULT;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&in); h && !error; h = CMSG_NXTHDR(&in, h)) {
		bool whole = h->cmsg_len >= CMSG_LEN(0) && h->cmsg_len <= (size_t)(control + in.msg_controllen - (char *)h);
		error = whole ? take_one(c, h, out, any) : -EINVAL;
	}
	return error;
}

/* ---- errors that are kept ---- */

static int next_failure(struct call *c, struct byway_failure *f, void *data, uint32_t *len)
{
	uint32_t room = *len;
	int error = daemon_recverr(c->run, c->sock->inode, f, data, len);

	if (error != -EAGAIN || !pass_markers(c->fd))
		return error;
	*len = room; /* one may have come meanwhile */
	return daemon_recverr(c->run, c->sock->inode, f, data, len);
}

static int give_failure(struct call *c, struct message *m, const struct byway_failure *f)
{
	_Alignas(struct cmsghdr) char control[RUN_CONTROL] = {0};
	struct msghdr out = {.msg_control = control, .msg_flags = MSG_ERRQUEUE};
	size_t room = m->head.msg_control ? m->head.msg_controllen : 0;
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in offender;
	} e = {.ee = {.ee_errno = f->error, .ee_origin = SO_EE_ORIGIN_ICMP, .ee_type = f->type, .ee_code = f->code,
		      .ee_info = f->info},
	       .offender = {.sin_family = AF_INET}};

	memcpy(&e.offender.sin_addr, f->offender.addr + 12, sizeof(e.offender.sin_addr));
	append(&out, room < sizeof(control) ? room : sizeof(control), IPPROTO_IP, IP_RECVERR, &e, sizeof(e));
	return give(c, &m->head, &out);
}

int64_t failure_receive(struct call *c, struct message *m, int flags)
{
	uint8_t data[1024];
	uint32_t len = sizeof(data), room = 0;
	struct byway_failure f;
	struct sockaddr_in6 to;
	int error = next_failure(c, &f, data, &len);

	if (error)
		return error;
	for (size_t i = 0; i < m->pieces && room < len; i++)
		room += (uint32_t)(m->piece[i].iov_len < len - room ? m->piece[i].iov_len : len - room);
	ssize_t n = tracee_scatter(c, m->piece, m->pieces, data, room);
	if (n < 0)
		return n;
	m->head.msg_flags = len > room ? MSG_TRUNC : 0;
	uint32_t size = address_make(&to, c->sock->family, &f.to);
	if (m->head.msg_name) {
		if (!tracee_write(c, (uintptr_t)m->head.msg_name, &to, m->head.msg_namelen < size ? m->head.msg_namelen : size))
			return -EFAULT;
		m->head.msg_namelen = size;
	}
	error = give_failure(c, m, &f);
	return error ? error : flags & MSG_TRUNC ? (int64_t)len : n;
}
