/*
 * Owners' endpoints by the inode of the owner's descriptor, which is how somebody who holds the
 * descriptor names its socket; and how those that are gone have ended, for SO_ERROR after the
 * daemon has closed its end.
 *
 * The table doubles when it holds as many endpoints as buckets. The epitaphs are a ring: a
 * later one overwrites the oldest.
 */
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS_FIRST 256
#define EPITAPHS 1024 /* a power of two */

struct epitaph {
	ino_t inode;
	uid_t uid;
	int error; /* positive errno; 0: told */
};

struct owner_index {
	struct endpoint **bucket;
	size_t buckets, count;
	struct epitaph epitaph[EPITAPHS];
	unsigned next; /* epitaph to be overwritten */
};

static struct endpoint **bucket_of(struct endpoint **buckets, size_t count, ino_t inode)
{
	/* Inodes of sockets are handed out in sequence: neighbours spread by themselves. */
	return &buckets[inode & (count - 1)];
}

static int grow(struct owner_index *x)
{
	size_t count = x->buckets ? 2 * x->buckets : BUCKETS_FIRST;
	struct endpoint **buckets = calloc(count, sizeof(struct endpoint *));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < x->buckets; i++) {
		while (x->bucket[i]) {
			struct endpoint *e = x->bucket[i], **to = bucket_of(buckets, count, e->inode);
			x->bucket[i] = e->same_bucket;
			e->same_bucket = *to;
			*to = e;
		}
	}
	free(x->bucket);
	x->bucket = buckets;
	x->buckets = count;
	return 0;
}

int index_add(struct endpoint *e)
{
	struct daemon *d = e->daemon;

	if (!d->index)
		d->index = calloc(1, sizeof(*d->index));
	if (!d->index || (d->index->count >= d->index->buckets && grow(d->index) < 0 && d->index->buckets == 0))
		return -ENOMEM;
	struct endpoint **to = bucket_of(d->index->bucket, d->index->buckets, e->inode);
	e->same_bucket = *to;
	*to = e;
	d->index->count++;
	return 0;
}

void index_remove(struct endpoint *e)
{
	struct owner_index *x = e->daemon->index;
	struct endpoint **link = bucket_of(x->bucket, x->buckets, e->inode);

	while (*link != e)
		link = &(*link)->same_bucket;
	*link = e->same_bucket;
	x->count--;
}

static struct endpoint *find(struct daemon *d, ino_t inode)
{
	if (!d->index || d->index->buckets == 0)
		return NULL;
	struct endpoint *e = *bucket_of(d->index->bucket, d->index->buckets, inode);
	while (e && e->inode != inode)
		e = e->same_bucket;
	return e;
}

struct endpoint *owner_find(struct daemon *d, ino_t inode)
{
	struct endpoint *e = NULL;

	for (unsigned i = 0; i < worker_count(d) && !e; i++)
		e = find(worker_at(d, i), inode);
	return e;
}

void index_bury(struct endpoint *e, int error)
{
	struct owner_index *x = e->daemon->index;

	if (e->inode == 0)
		return; /* a forward's: nobody can ask by it, and there may be no index */
	x->epitaph[x->next++ & (EPITAPHS - 1)] =
		(struct epitaph){.inode = e->inode, .uid = e->owner.uid, .error = error};
}

static int epitaph(struct daemon *d, ino_t inode, uid_t uid)
{
	for (unsigned i = 0; d->index && i < EPITAPHS; i++) {
		struct epitaph *p = &d->index->epitaph[i];
		if (p->error && p->inode == inode && p->uid == uid) {
			int error = p->error;
			p->error = 0;
			return error;
		}
	}
	return 0;
}

int owner_epitaph(struct daemon *d, ino_t inode, uid_t uid)
{
	int error = 0;

	for (unsigned i = 0; i < worker_count(d) && !error; i++)
		error = epitaph(worker_at(d, i), inode, uid);
	return error;
}

void index_free(struct daemon *d)
{
	if (d->index)
		free(d->index->bucket);
	free(d->index);
	d->index = NULL;
}
