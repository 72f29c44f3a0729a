/*
 * setsockopt and getsockopt: the stack's, except for what makes calls wait and what was told of an
 * error already, which are the adapter's.
 */
#include "tests/packetdrill/world.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#define SECOND 1000000u

static int set_timeout(stack_time *timeout, const void *value, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, value, sizeof(tv));
	*timeout = (stack_time)tv.tv_sec * SECOND + (stack_time)tv.tv_usec;
	return 0;
}

int option_set(struct world *w, struct file *f, int level, int name, const void *value, socklen_t len)
{
	if (level == SOL_SOCKET && name == SO_RCVTIMEO)
		return set_timeout(&f->recv_timeout, value, len);
	if (level == SOL_SOCKET && name == SO_SNDTIMEO)
		return set_timeout(&f->send_timeout, value, len);
	if (level == SOL_SOCKET && name == SO_ZEROCOPY) {
		if (len < sizeof(int))
			return -EINVAL;
		f->zerocopy = *(const int *)value;
		return 0;
	}
	if (level == SOL_SOCKET && name == SO_TIMESTAMPING)
		return timestamping_set(f, value, len);
	/* Nothing here looks at marks. */
	if (level == SOL_SOCKET && name == SO_MARK)
		return len < sizeof(int) ? -EINVAL : 0;
	return stack_setsockopt(f->sock, w->now, level, name, value, len);
}

static int give_int(void *value, socklen_t *len, int number)
{
	if (*len > sizeof(number))
		*len = sizeof(number);
	memcpy(value, &number, *len);
	return 0;
}

int option_get(struct world *w, struct file *f, int level, int name, void *value, socklen_t *len)
{
	size_t room = *len;
	int error = f->error;

	if (level == SOL_SOCKET && name == SO_ERROR && error) {
		f->error = 0;
		return give_int(value, len, error);
	}
	if (level == SOL_SOCKET && name == SO_ERROR && f->dead)
		return give_int(value, len, 0);
	if (level == IPPROTO_TCP && name == TCP_INFO) /* a script may know fields that ours does not have */
		memset(value, 0, room);
	error = stack_getsockopt(f->sock, w->now, level, name, value, &room);
	if (!error && !(level == IPPROTO_TCP && name == TCP_INFO))
		*len = (socklen_t)room;
	return error;
}

int option_number(struct world *w, struct file *f, int level, int name)
{
	int number = 0;
	size_t len = sizeof(number);

	return stack_getsockopt(f->sock, w->now, level, name, &number, &len) ? 0 : number;
}
