/*
 * Bulk into a socket pair: how it is cut into messages, and how much lies there.
 *
 * What a message of AF_UNIX costs depends on its size, and not evenly. A pair by itself, from core
 * to core (Linux 6.18), CPU time of both ends: messages of 32,580 to 36,000 bytes take 165 to
 * 195 ms a GB; those of 32,000 and less, and of 44,000 and more, 245 to 320. Of those in the middle
 * the kernel keeps 16 KiB in one piece and five pages beside it, of which the last comes by itself;
 * of the others it gets groups of pages alone, which seem to wander from the core that reads to the
 * one that writes through a list that both lock. Another kernel may not care.
 *
 * A pair holds 200 KiB at first, which is three frames: its ends wake each other for each of
 * them. So one that was full, and whose owner has read most of that, is widened. An owner that
 * reads nothing is given no more, and of wide ones there are so many, of which a user has a share.
 *
 * What lies in the other direction is a matter of the owner's descriptor, and that is nobody else's
 * once it has it. So the ends of a user's first connections (accepted, or made by a connect that
 * waits) are wide from the beginning, which takes no memory until the owner writes faster than the
 * peer reads. With it, bulk from an owner makes a quarter of the context switches (46,000 to 11,000
 * a GB, client and all).
 */
#include "daemon/owner.h"

#include <sys/socket.h>
#include <sys/uio.h>

#define MESSAGE 36000u         /* bytes, at most; a frame of 65,160 is two of 32,580 */
#define MESSAGES 16u           /* at a time */
#define WIDE (1 << 20)         /* SO_SNDBUF, bytes; the kernel doubles it, and net.core.wmem_max may make it less */

/* The next `len` bytes of *from, which moves on by them. Returns the pieces. */
static unsigned slice(struct iovec **from, size_t len, struct iovec *to)
{
	unsigned n = 0;

	while (len > 0) {
		struct iovec *f = *from;
		size_t part = f->iov_len < len ? f->iov_len : len;

		to[n++] = (struct iovec){f->iov_base, part};
		f->iov_base = (char *)f->iov_base + part;
		f->iov_len -= part;
		len -= part;
		if (f->iov_len == 0)
			(*from)++;
	}
	return n;
}

/* Messages of one size, but for the last. Returns how many. */
static unsigned cut(struct mmsghdr *m, struct iovec *pieces, struct iovec *iov, size_t len)
{
	unsigned count = (unsigned)((len + MESSAGE - 1) / MESSAGE);
	size_t each = (len + count - 1) / count;

	for (unsigned i = 0; i < count; i++) {
		size_t size = len < each ? len : each;

		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = pieces, .msg_iovlen = slice(&iov, size, pieces)}};
		pieces += m[i].msg_hdr.msg_iovlen;
		len -= size;
	}
	return count;
}

ssize_t pair_send(int fd, struct iovec *iov, size_t len)
{
	struct mmsghdr m[MESSAGES];
	struct iovec pieces[PAIR_PIECES + MESSAGES];
	ssize_t taken = 0;

	if (len <= iov->iov_len && len <= MESSAGE) /* as an answer is: the plainest call takes the least time */
		return send(fd, iov->iov_base, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	int sent = sendmmsg(fd, m, cut(m, pieces, iov, len), MSG_DONTWAIT | MSG_NOSIGNAL);

	for (int i = 0; i < sent; i++)
		taken += m[i].msg_len;
	return sent < 0 ? -1 : taken;
}

void pair_widen(struct stream *s)
{
	const int size = WIDE;

	if (s->wide || s->foreign || !share_take(&s->endpoint, SHARE_WIDE, 1))
		return;
	s->wide = true;
	if (setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
		pair_narrow(s);
}

void pair_narrow(struct stream *s)
{
	share_return(&s->endpoint, SHARE_WIDE, s->wide);
	s->wide = false;
}

int pair_room(struct stream *s)
{
	s->roomy = share_take(&s->endpoint, SHARE_ROOMY, 1);
	return s->roomy ? WIDE : (int)BYWAY_SEND_BUFFER;
}

void pair_forget(struct stream *s)
{
	pair_narrow(s);
	share_return(&s->endpoint, SHARE_ROOMY, s->roomy);
	s->roomy = false;
}
