/* Addresses of the programs under byway run: IPv4 plain, or mapped into IPv6 as the host does it. */
#include "cli/run.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define IN6_LEAST 24 /* bytes of a struct sockaddr_in6 before it had a scope */

int address_read(const struct call *c, uint64_t at, uint32_t len, uint8_t family, int other,
		 struct byway_address *out)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_storage room;
	} sa;
	uint32_t least = family == AF_INET6 ? IN6_LEAST : sizeof(sa.in4);

	memset(&sa, 0, sizeof(sa));
	if (len > sizeof(sa.room) || len < sizeof(sa.any.sa_family))
		return -EINVAL;
	if (!tracee_read(c, at, &sa, len))
		return -EFAULT;
	if (sa.any.sa_family == AF_UNSPEC) {
		sa.any.sa_family = AF_INET; /* what bind may take it for */
		talk_address_from(out, &sa.any, sizeof(sa.room));
		return 1;
	}
	if (len < least)
		return -EINVAL;
	if (sa.any.sa_family != family)
		return -EAFNOSUPPORT;
	return talk_address_from(out, &sa.any, sizeof(sa.room)) ? 0 : other;
}

bool address_is_any(const struct byway_address *a)
{
	static const uint8_t none[16], mapped[16] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->addr, none, sizeof(none)) == 0 || memcmp(a->addr, mapped, sizeof(mapped)) == 0;
}

void address_there(struct byway_address *a)
{
	static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

	if (address_is_any(a))
		memcpy(a->addr, loopback, sizeof(loopback));
}

unsigned address_make(struct sockaddr_in6 *out, uint8_t family, const struct byway_address *a)
{
	struct sockaddr_in *in4 = (void *)out;
	memset(out, 0, sizeof(*out));
	if (family == AF_INET6) {
		out->sin6_family = AF_INET6;
		out->sin6_port = htons(a->port);
		memcpy(&out->sin6_addr, a->addr, sizeof(a->addr));
		return sizeof(*out);
	}
	in4->sin_family = AF_INET;
	in4->sin_port = htons(a->port);
	if (!address_is_any(a))
		memcpy(&in4->sin_addr, a->addr + 12, 4);
	return sizeof(*in4);
}

int address_copy(const struct call *c, uint64_t at, uint64_t len_at, const void *sa, uint32_t size)
{
	uint32_t room;

	if (!tracee_peek(c, len_at, &room, sizeof(room)))
		return -EFAULT;
	if ((int32_t)room < 0)
		return -EINVAL;
	return tracee_give(c, at, sa, room < size ? room : size, len_at, size) ? 0 : -EFAULT;
}

int address_write(const struct call *c, uint64_t at, uint64_t len_at, uint8_t family, const struct byway_address *a)
{
	struct sockaddr_in6 sa;
	unsigned size = address_make(&sa, family, a);

	return address_copy(c, at, len_at, &sa, size);
}
