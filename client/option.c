/* libbyway: options of the stack's sockets, asked of the daemon by the descriptor's inode. */
#include "client/talk.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct nlmsghdr *begin(struct byway *b, uint16_t type, int fd, int level, int name)
{
	struct nlmsghdr *m = talk_begin(b, type, 0);
	struct stat st;

	if (fstat(fd, &st) < 0) {
		talk_fail(b, errno, strerror(errno));
		return NULL;
	}
	if (!S_ISSOCK(st.st_mode)) {
		talk_fail(b, ENOTSOCK, "the descriptor is not a socket");
		return NULL;
	}
	mnl_attr_put_u64(m, BYWAY_A_INODE, st.st_ino);
	mnl_attr_put_u32(m, BYWAY_A_OPTION_LEVEL, (uint32_t)level);
	mnl_attr_put_u32(m, BYWAY_A_OPTION_NAME, (uint32_t)name);
	return m;
}

static int take_nothing(const struct nlmsghdr *m, void *arg)
{
	(void)m;
	(void)arg;
	return MNL_CB_OK;
}

int byway_setsockopt(struct byway *b, int fd, int level, int name, const void *value, socklen_t len)
{
	struct nlmsghdr *m = begin(b, BYWAY_SET_OPTION, fd, level, name);

	if (!m)
		return -1;
	if (len > 0 && !value)
		return talk_fail(b, EFAULT, "there is no value");
	if (len > BYWAY_OPTION_VALUE_MAX)
		return talk_fail(b, EINVAL, "the value is too long");
	mnl_attr_put(m, BYWAY_A_OPTION_VALUE, len, value);
	return talk_exchange(b, m, take_nothing, NULL, NULL);
}

struct taken {
	void *value;
	socklen_t room, len;
	bool found;
};

static int take_value(const struct nlattr *a, void *arg)
{
	struct taken *taken = arg;
	size_t len = mnl_attr_get_payload_len(a);

	if (mnl_attr_get_type(a) != BYWAY_A_OPTION_VALUE)
		return MNL_CB_OK;
	taken->found = true;
	taken->len = len < taken->room ? (socklen_t)len : taken->room;
	memcpy(taken->value, mnl_attr_get_payload(a), taken->len);
	return MNL_CB_OK;
}

static int take_option(const struct nlmsghdr *m, void *arg)
{
	return m->nlmsg_type == BYWAY_OPTION ? mnl_attr_parse(m, 0, take_value, arg) : MNL_CB_ERROR;
}

int byway_getsockopt(struct byway *b, int fd, int level, int name, void *value, socklen_t *len)
{
	struct nlmsghdr *m = begin(b, BYWAY_GET_OPTION, fd, level, name);
	struct taken taken = {value, *len, 0, false};

	if (!m)
		return -1;
	mnl_attr_put_u32(m, BYWAY_A_OPTION_LENGTH, *len);
	if (talk_exchange(b, m, take_option, &taken, NULL) < 0)
		return -1;
	if (!taken.found)
		return talk_fail(b, EBADMSG, "the answer has no value");
	*len = taken.len;
	return 0;
}

int byway_ioctl(struct byway *b, int fd, unsigned long request, int *value)
{
	socklen_t len = sizeof(*value);

	return byway_getsockopt(b, fd, BYWAY_LEVEL_IOCTL, (int)request, value, &len);
}

int byway_presetsockopt(struct byway *b, int level, int name, const void *value, socklen_t len)
{
	struct byway_option o = {.level = level, .name = name, .len = len};
	size_t room = sizeof(b->preset) - b->preset_len, padded = ((size_t)len + 7) / 8 * 8;

	if (len > BYWAY_OPTION_VALUE_MAX)
		return talk_fail(b, EINVAL, "the value is too long");
	if (room < sizeof(o) + padded)
		return talk_fail(b, ENOBUFS, "too many options wait for the next socket");
	memset(b->preset + b->preset_len, 0, sizeof(o) + padded);
	memcpy(b->preset + b->preset_len, &o, sizeof(o));
	memcpy(b->preset + b->preset_len + sizeof(o), value, len);
	b->preset_len += (uint32_t)(sizeof(o) + padded);
	return 0;
}

void option_put_presets(struct byway *b, struct nlmsghdr *m)
{
	if (b->preset_len > 0)
		mnl_attr_put(m, BYWAY_A_OPTIONS, b->preset_len, b->preset);
	b->preset_len = 0;
}
