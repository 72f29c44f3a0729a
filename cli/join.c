/*
 * Joins standard input and output with a descriptor of the stack, as nc does: bytes as they
 * are, each direction ending by itself. The end of input becomes a half close; the peer's end
 * of stream ends the output. Nothing waits for one direction while the other could move: a
 * full standard output never stops what goes out.
 */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BUFFER 65536         /* bytes; holds any datagram */
#define DATAGRAM_SEND 16384  /* bytes of input that become one datagram at most */

/* One direction. */
struct flow {
	const struct join *join;
	int from, to;
	bool outward;   /* from standard input to the stack */
	bool ended;     /* nothing more comes from `from` */
	bool finished;  /* and all of it was passed on, with the end itself */
	bool broken;    /* finished, because `to` takes no more */
	size_t at, len; /* what waits in data */
	struct sockaddr_in *peer; /* unconnected datagrams: who wrote last; port 0: nobody yet */
	uint8_t data[BUFFER];
};

/* ---- reading and writing ---- */

static ssize_t flow_read(struct flow *f)
{
	socklen_t len = sizeof(*f->peer);

	if (f->outward)
		return read(f->from, f->data, f->join->datagram ? DATAGRAM_SEND : sizeof(f->data));
	if (f->join->unconnected)
		return byway_recvfrom(f->from, f->data, sizeof(f->data), MSG_DONTWAIT, (void *)f->peer, &len);
	return recv(f->from, f->data, sizeof(f->data), MSG_DONTWAIT);
}

/* A pipe that can be written to may still block when it is given more than its room. */
static ssize_t write_output(int fd, const void *data, size_t len)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
		return S_ISSOCK(st.st_mode) ? send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) : write(fd, data, len);
	ssize_t n = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
	if (n >= 0 || errno != EOPNOTSUPP)
		return n;
	/* Kernels before 6.3: what poll promises is room for PIPE_BUF bytes (pipe(7)). */
	return write(fd, data, len < PIPE_BUF ? len : PIPE_BUF);
}

static ssize_t flow_write(const struct flow *f)
{
	const uint8_t *data = f->data + f->at;
	size_t len = f->len - f->at;

	if (!f->outward)
		return write_output(f->to, data, len);
	if (f->join->unconnected)
		return byway_sendto(f->to, data, len, MSG_DONTWAIT, (void *)f->peer, sizeof(*f->peer));
	return send(f->to, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool not_now(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* ---- one direction ---- */

/* False: it failed, errno. */
static bool flow_fill(struct flow *f, short events)
{
	ssize_t n = flow_read(f);

	if (n < 0)
		return not_now();
	/* A datagram may be empty; only a descriptor that has hung up has ended. */
	if (n == 0 && !f->outward && f->join->datagram && !(events & POLLHUP))
		return true;
	f->at = 0;
	f->len = (size_t)n;
	f->ended = n == 0;
	return true;
}

static bool flow_drain(struct flow *f)
{
	ssize_t n = flow_write(f);

	if (n < 0)
		return not_now();
	f->at += (size_t)n;
	if (f->at >= f->len)
		f->at = f->len = 0;
	return true;
}

/* Passes the end on. */
static void flow_end(struct flow *f)
{
	if (f->finished || !f->ended || f->len)
		return;
	if (f->outward && !f->join->datagram)
		shutdown(f->to, SHUT_WR);
	f->finished = true;
}

/* What to wait for; fd -1: nothing. */
static void flow_wait(const struct flow *f, struct pollfd *from, struct pollfd *to)
{
	bool nobody = f->outward && f->join->unconnected && f->peer->sin_port == 0;

	*from = (struct pollfd){.fd = -1};
	*to = (struct pollfd){.fd = -1};
	if (!f->finished && f->len)
		*to = (struct pollfd){.fd = f->to, .events = POLLOUT};
	else if (!f->finished && !f->ended && !nobody)
		*from = (struct pollfd){.fd = f->from, .events = POLLIN};
}

/* False: it failed, errno. */
static bool flow_move(struct flow *f, const struct pollfd *from, const struct pollfd *to)
{
	if (from->revents && !flow_fill(f, from->revents))
		return false;
	if ((to->revents || from->revents) && f->len && !flow_drain(f))
		return false;
	flow_end(f);
	return true;
}

/* ---- both ---- */

static int join_fail(const struct join *j, const struct flow *f)
{
	bool reading = f->len == 0;
	int error = errno;

	if (f->outward == reading)
		return cli_fail("standard %s: %s", reading ? "input" : "output", strerror(error));
	return cli_fail("%s: %s", j->name, strerror(error));
}

/*
 * The stack does not take what we write: what it still has for us is read before the reason,
 * which reading brings to light.
 */
static bool outward_broken(struct flow *out)
{
	if (errno != EPIPE && errno != ECONNRESET)
		return false;
	out->len = 0;
	out->ended = out->finished = out->broken = true;
	return true;
}

static bool join_ended(const struct join *j, const struct flow *out, const struct flow *in, bool terminal)
{
	/* Who sits at a terminal wants the prompt back when the peer has said all. */
	if (in->finished && (terminal || j->datagram))
		return true;
	return in->finished && out->finished;
}

/* The peer has said all and we have not; the connection is watched all the same, it may be reset. */
static void watch_connection(const struct flow *out, const struct flow *in, struct pollfd *p)
{
	if (in->finished && !out->finished && p->fd < 0)
		*p = (struct pollfd){.fd = in->from};
}

/* Moves what poll said may move. 1: go on; otherwise the exit status, negated. */
static int join_move(const struct join *j, struct flow *out, struct flow *in, const struct pollfd p[4])
{
	if (!in->finished && !flow_move(in, &p[2], &p[3]))
		return -join_fail(j, in);
	if (in->finished && !out->finished && (p[2].revents & (POLLHUP | POLLERR))) {
		errno = ECONNRESET;
		return -cli_fail("%s: %s", j->name, strerror(errno));
	}
	if (!flow_move(out, &p[0], &p[1]) && (out->len == 0 || !outward_broken(out)))
		return -join_fail(j, out);
	return 1;
}

static int join_loop(const struct join *j, struct flow *out, struct flow *in)
{
	bool terminal = isatty(STDIN_FILENO);
	struct pollfd p[4];
	int more = 1;

	while (more > 0 && !join_ended(j, out, in, terminal)) {
		int timeout = j->datagram && out->finished ? j->linger : -1;

		flow_wait(out, &p[0], &p[1]);
		flow_wait(in, &p[2], &p[3]);
		watch_connection(out, in, &p[2]);
		int n = poll(p, 4, timeout);
		if (n == 0)
			return CLI_OK;
		if (n < 0 && errno != EINTR)
			return cli_fail("poll: %s", strerror(errno));
		if (n > 0)
			more = join_move(j, out, in, p);
	}
	if (more > 0 && out->broken)
		return cli_fail("%s: %s", j->name, strerror(EPIPE));
	return more > 0 ? CLI_OK : -more;
}

int join(const struct join *j)
{
	static struct flow out, in;
	struct sockaddr_in peer = {0};

	signal(SIGPIPE, SIG_IGN); /* writing says EPIPE instead */
	memset(&out, 0, offsetof(struct flow, data));
	memset(&in, 0, offsetof(struct flow, data));
	out.join = in.join = j;
	out.peer = in.peer = &peer;
	out.outward = true;
	out.from = STDIN_FILENO;
	in.to = STDOUT_FILENO;
	out.to = in.from = j->fd;
	return join_loop(j, &out, &in);
}
