/*
 * The conversation with the daemon: netlink messages in packets (client/protocol.h).
 *
 * One request is in hand at a time, known by its sequence number. Answers to an older one
 * (whose caller was interrupted by a signal) are passed over, and descriptors that come with
 * anything but the answer asked for are closed.
 */
#include "client/talk.h"

#include <errno.h>
#include <poll.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 4 /* looked for in a packet; the protocol sends BYWAY_RING_DESCRIPTORS at most */

int talk_fail(struct byway *b, int error, const char *text)
{
	snprintf(b->error, sizeof(b->error), "%s", text);
	errno = error;
	return -1;
}

static int fail_errno(struct byway *b)
{
	int error = errno;

	return talk_fail(b, error, strerror(error));
}

struct nlmsghdr *talk_begin(struct byway *b, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(b->request);

	m->nlmsg_type = type;
	m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	m->nlmsg_seq = ++b->seq;
	return m;
}

static int send_request(struct byway *b, const struct nlmsghdr *m)
{
	ssize_t n;

	do
		n = send(b->fd, m, m->nlmsg_len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? fail_errno(b) : 0;
}

static void close_all(const int *fd, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

/* The first descriptors of a packet, or -1; others are closed. */
static void take_descriptors(struct msghdr *msg, int fds[DESCRIPTORS_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < DESCRIPTORS_MAX; i++)
		fds[i] = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;
			memcpy(&fd, (char *)c + at, sizeof(fd));
			if (count < DESCRIPTORS_MAX)
				fds[count++] = fd;
			else
				close(fd);
		}
	}
}

static const char unanswered[] = "the daemon does not answer";

void talk_often(struct byway *b)
{
	struct timeval patience = {.tv_sec = TALK_PATIENCE / 1000};

	b->timed = setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0;
}

/* A daemon that is stopped must not stop its users: 0 when there is something to read, else -1. */
static int await_packet(struct byway *b, int patience)
{
	struct pollfd p = {.fd = b->fd, .events = POLLIN};
	int n;

	if (b->timed && patience >= 0)
		return 0;
	do
		n = poll(&p, 1, patience);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_errno(b);
	return n > 0 ? 0 : talk_fail(b, ETIMEDOUT, unanswered);
}

/* One packet; its length, or -1. */
static ssize_t receive_packet(struct byway *b, int fds[DESCRIPTORS_MAX])
{
	struct iovec iov = {.iov_base = b->answer, .iov_len = sizeof(b->answer)};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(b->fd, &msg, MSG_CMSG_CLOEXEC);

	if (n < 0 && errno == EAGAIN)
		return talk_fail(b, ETIMEDOUT, unanswered);
	if (n < 0)
		return fail_errno(b);
	take_descriptors(&msg, fds);
	if (n == 0)
		return talk_fail(b, ECONNRESET, "the daemon ended the conversation");
	if (msg.msg_flags & MSG_TRUNC)
		return talk_fail(b, EBADMSG, "the daemon's answer is too long");
	return n;
}

struct error_text { const char *text; };

static int find_text(const struct nlattr *a, void *arg)
{
	struct error_text *found = arg;

	if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		found->text = mnl_attr_get_str(a);
	return MNL_CB_OK;
}

/* NLMSG_ERROR: 0 when it says that all went well, else -1 with errno and the text that came along. */
static int take_error(struct byway *b, const struct nlmsghdr *m)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);
	struct error_text found = {0};
	unsigned at = sizeof(*e);

	if (mnl_nlmsg_get_payload_len(m) < sizeof(*e))
		return talk_fail(b, EBADMSG, "the daemon's error message is too short");
	if (e->error == 0)
		return 0;
	b->refused = m->nlmsg_seq != 0;
	if (!(m->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len >= sizeof(e->msg))
		at += NLMSG_ALIGN(e->msg.nlmsg_len - (unsigned)sizeof(e->msg));
	if ((m->nlmsg_flags & NLM_F_ACK_TLVS) && at <= mnl_nlmsg_get_payload_len(m))
		mnl_attr_parse(m, at, find_text, &found);
	int error = e->error < 0 && e->error > -4096 ? -e->error : EBADMSG;
	return talk_fail(b, error, found.text ? found.text : strerror(error));
}

/* What is left to do after a message: wait for more of them (1), nothing (0), or it failed (-1). */
static int take_message(struct byway *b, const struct nlmsghdr *m, mnl_cb_t each, void *arg)
{
	/* Sequence number 0: about the conversation as a whole, which ends. */
	if (m->nlmsg_type == NLMSG_ERROR && (m->nlmsg_seq == b->seq || m->nlmsg_seq == 0))
		return take_error(b, m);
	if (m->nlmsg_seq != b->seq)
		return 1;
	if (m->nlmsg_type == NLMSG_DONE)
		return 0;
	if (each && each(m, arg) < 0)
		return talk_fail(b, EBADMSG, "the daemon's answer is malformed");
	return (m->nlmsg_flags & NLM_F_MULTI) ? 1 : 0;
}

/* The messages of one packet, as take_message; *ours: one of them was for the request in hand. */
static int take_packet(struct byway *b, ssize_t len, mnl_cb_t each, void *arg, bool *ours)
{
	const struct nlmsghdr *m = (const void *)b->answer;
	int left = (int)len, more = 1;

	*ours = false;
	while (more > 0 && left > 0) {
		if (!byway_message_ok(m, (size_t)left))
			return talk_fail(b, EBADMSG, "the daemon's answer is malformed");
		*ours |= m->nlmsg_seq == b->seq;
		more = take_message(b, m, each, arg);
		m = mnl_nlmsg_next(m, &left);
	}
	return more;
}

/* Those wanted go into `fd`, others are closed. Leaves errno alone. */
static void keep_descriptors(const int came[DESCRIPTORS_MAX], bool wanted, int *fd, unsigned count)
{
	int error = errno;
	unsigned kept = wanted && count > 0 && fd[0] < 0 ? count : 0;

	for (unsigned i = 0; i < kept; i++)
		fd[i] = came[i];
	close_all(came + kept, DESCRIPTORS_MAX - kept);
	errno = error;
}

int talk_exchange(struct byway *b, struct nlmsghdr *request, mnl_cb_t each, void *arg, int *fd)
{
	return talk_exchange_all(b, request, each, arg, fd, fd ? 1 : 0);
}

int talk_exchange_all(struct byway *b, struct nlmsghdr *request, mnl_cb_t each, void *arg, int *fd, unsigned count)
{
	/* A connect is answered when the handshake has ended, which its own timeouts see to. */
	int more = 1, patience = request->nlmsg_type == BYWAY_CONNECT ? -1 : TALK_PATIENCE;
	bool ours = false;

	b->error[0] = 0;
	b->refused = false;
	for (unsigned i = 0; i < count; i++)
		fd[i] = -1;
	/* What the daemon said before it hung up is worth more than our failure to send. */
	if (send_request(b, request) < 0 && errno != EPIPE)
		return -1;
	while (more > 0) {
		int came[DESCRIPTORS_MAX] = {-1, -1, -1, -1};
		ssize_t n = await_packet(b, patience) < 0 ? -1 : receive_packet(b, came);
		more = n < 0 ? -1 : take_packet(b, n, each, arg, &ours);
		keep_descriptors(came, ours && more == 0, fd, count);
	}
	return more;
}

/* ---- addresses ---- */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool talk_address_from(struct byway_address *out, const struct sockaddr *sa, socklen_t len)
{
	const struct sockaddr_in *in4 = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	*out = (struct byway_address){0};
	if (sa && len >= sizeof(*in4) && sa->sa_family == AF_INET) {
		out->port = ntohs(in4->sin_port);
		if (in4->sin_addr.s_addr == htonl(INADDR_ANY))
			return true;
		memcpy(out->addr, mapped, sizeof(mapped));
		memcpy(out->addr + sizeof(mapped), &in4->sin_addr, sizeof(in4->sin_addr));
		return true;
	}
	if (!sa || len < sizeof(*in6) || sa->sa_family != AF_INET6)
		return false;
	out->port = ntohs(in6->sin6_port);
	memcpy(out->addr, &in6->sin6_addr, sizeof(out->addr));
	return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

void talk_address_to(struct sockaddr *sa, socklen_t *len, const struct byway_address *in)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(in->port)};

	if (!sa || !len)
		return;
	memcpy(&in4.sin_addr, in->addr + sizeof(mapped), sizeof(in4.sin_addr));
	memcpy(sa, &in4, *len < sizeof(in4) ? *len : sizeof(in4));
	*len = sizeof(in4);
}
