/*
 * Who sent a datagram and how it came, as a file that travels beside it (SCM_RIGHTS): the payload stays alone in
 * its message, so that read(2) on an unconnected socket gives what the host gives, and whoever
 * asks for the sender finds it in the file.
 *
 * Files are kept for senders that write again: a table by hash, a collision takes the place.
 * They are sealed, so nobody can change what another will read.
 */
#include "daemon/owner.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOURCES 64 /* kept, a power of two */

struct owner_sources {
	struct {
		struct byway_source source;
		int fd; /* 0: free */
	} slot[SOURCES];
};

static unsigned slot_of(const struct byway_source *s)
{
	uint32_t h = s->from.port + s->ttl + s->error + s->segment;

	for (unsigned i = 12; i < sizeof(s->from.addr); i++)
		h = h * 31 + s->from.addr[i] + s->to.addr[i];
	return (h ^ h >> 8) & (SOURCES - 1);
}

static int make_file(const struct byway_source *source)
{
	int fd = memfd_create("byway-source", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (write(fd, source, sizeof(*source)) == (ssize_t)sizeof(*source) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	close(fd);
	return -1;
}

int source_file(struct daemon *d, const struct byway_source *source)
{
	if (!d->sources)
		d->sources = calloc(1, sizeof(*d->sources));
	if (!d->sources)
		return -1;
	unsigned i = slot_of(source);
	if (d->sources->slot[i].fd > 0 && memcmp(&d->sources->slot[i].source, source, sizeof(*source)) == 0)
		return d->sources->slot[i].fd;
	int fd = make_file(source);
	if (fd < 0)
		return -1;
	if (d->sources->slot[i].fd > 0)
		close(d->sources->slot[i].fd);
	d->sources->slot[i].source = *source;
	d->sources->slot[i].fd = fd;
	return fd;
}

void source_free(struct daemon *d)
{
	for (unsigned i = 0; d->sources && i < SOURCES; i++)
		if (d->sources->slot[i].fd > 0)
			close(d->sources->slot[i].fd);
	free(d->sources);
	d->sources = NULL;
}
