/*
 * Guards: of each socket that listens, or is bound to receive datagrams, the supervisor holds a copy of the daemon's
 * end (client/protocol.h). An interface of the host that goes away leaves such sockets as they are, only nobody comes;
 * with a guard a daemon that ends leaves them so, too. Without it they would hang up, and servers that accept whenever
 * the descriptor polls readable would try for ever, with all of a processor.
 *
 * A guard is given up when the descriptor hangs up: its last holder has closed it, or somebody has ended the socket.
 * So it is when a UDP socket gets a peer: what is written there would wait for a daemon that does not come.
 */
#include "cli/run.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct guard {
	int fd;
	uint64_t inode; /* of the socket that it guards */
	struct guard *next;
};

void guard_keep(struct run *run, const struct run_socket *s)
{
	/* Half of our descriptors are for calls, which need them more. */
	struct guard *g = run->guard_count < sysconf(_SC_OPEN_MAX) / 2 ? malloc(sizeof(*g)) : NULL;
	struct epoll_event event = {.data.ptr = g}; /* no event asked for: EPOLLHUP comes always */
	int fd;

	if (!g || daemon_guard(run, s->inode, &fd) < 0) {
		free(g);
		return;
	}
	if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		close(fd);
		free(g);
		return;
	}
	*g = (struct guard){fd, s->inode, run->guards};
	run->guards = g;
	run->guard_count++;
}

static void give_up(struct run *run, struct guard **link)
{
	struct guard *g = *link;

	/* The daemon holds the same socket: closing our descriptor would leave it watched. */
	epoll_ctl(run->epoll, EPOLL_CTL_DEL, g->fd, NULL);
	close(g->fd);
	*link = g->next;
	run->guard_count--;
	free(g);
}

void guard_drop(struct run *run, const struct run_socket *s)
{
	struct guard **link = &run->guards;

	while (*link && (*link)->inode != s->inode)
		link = &(*link)->next;
	if (*link)
		give_up(run, link);
}

void guard_over(struct run *run, const void *mark)
{
	struct guard **link = &run->guards;

	while (*link && *link != mark)
		link = &(*link)->next;
	if (*link)
		give_up(run, link);
}
