/*
 * What is known of descriptors: a cache of fixed size, four places for each hash. The key is
 * the kernel's socket cookie, which is never used for a second socket. What falls out is asked
 * of the daemon again, and only remembered options are lost.
 */
#include "cli/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SETS 4096 /* a power of two */
#define WAYS 4

struct table {
	struct run_socket place[SETS][WAYS];
	uint8_t next[SETS]; /* the place that is given up next */
};

struct table *table_new(void)
{
	return calloc(1, sizeof(struct table));
}

static struct run_socket *set_of(struct table *t, uint64_t cookie, uint8_t **next)
{
	size_t i = (cookie ^ cookie >> 12) & (SETS - 1);

	if (next)
		*next = &t->next[i];
	return t->place[i];
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

static bool is_local(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

struct run_socket *table_add(struct run *run, int fd, uint64_t inode)
{
	uint64_t cookie = cookie_of(fd);
	uint8_t *next;
	struct run_socket *set = set_of(run->table, cookie, &next), *s = NULL;
	struct stat st;

	for (unsigned i = 0; i < WAYS && !s; i++)
		if (set[i].cookie == 0 || set[i].cookie == cookie)
			s = &set[i];
	if (!s)
		s = &set[(*next)++ % WAYS];
	memset(s, 0, sizeof(*s));
	s->cookie = cookie;
	s->inode = inode;
	if (!inode && fstat(fd, &st) == 0)
		s->inode = st.st_ino;
	s->family = AF_INET;
	return s;
}

static uint8_t kind_from(const struct sock_reply *r)
{
	bool udp = r->protocol != IPPROTO_TCP;

	switch ((enum byway_sock_state)r->state) {
	case BYWAY_SOCK_NEW: return udp ? RUN_UDP : RUN_TCP;
	case BYWAY_SOCK_LISTENING: return RUN_LISTENER;
	case BYWAY_SOCK_CONNECTING: return RUN_CONNECTING;
	case BYWAY_SOCK_CONNECTED: return udp ? RUN_UDP_PEER : RUN_CONNECTED;
	}
	return RUN_FOREIGN;
}

/* From the daemon: somebody else's socket that came here by SCM_RIGHTS or an inherited descriptor. */
static struct run_socket *learn(struct run *run, int fd)
{
	struct sock_reply r = {0};
	struct run_socket *s = table_add(run, fd, 0);

	s->kind = RUN_FOREIGN;
	if (daemon_get(run, s->inode, &r) == 0) {
		s->kind = kind_from(&r);
		s->family = r.family;
		s->ping = r.protocol == IPPROTO_ICMP;
		s->local = r.local;
		s->remote = r.remote;
	}
	return s;
}

struct run_socket *table_find(struct run *run, int fd)
{
	uint64_t cookie = cookie_of(fd);
	struct run_socket *set = set_of(run->table, cookie, NULL), *s = NULL;

	if (cookie == 0)
		return NULL;
	for (unsigned i = 0; i < WAYS && !s; i++)
		if (set[i].cookie == cookie)
			s = &set[i];
	if (!s)
		s = is_local(fd) ? learn(run, fd) : NULL;
	return s && s->kind != RUN_FOREIGN ? s : NULL;
}
