/* What the files that answer packetdrill's calls share. */
#ifndef BYWAY_PACKETDRILL_CALLS_H
#define BYWAY_PACKETDRILL_CALLS_H

#include "tests/packetdrill/world.h"

#include <poll.h>

/* One try of a call: its result, or a negative errno; -EAGAIN: it would block. */
typedef ptrdiff_t (*attempt)(struct world *w, struct file *f, void *argument);

/* Tries until it does not block any more, or `until`. The world is locked. */
ptrdiff_t call_blocking(struct world *w, struct file *f, attempt try, void *argument, bool nonblock, stack_time until);
/* A negative errno becomes -1 and errno. */
ptrdiff_t call_result(ptrdiff_t result);

/* The connection that accept would return, kept until it does; NULL: none. */
struct sock *next_accepted(struct file *f);

/* ---- fastopen.c ---- */
/* A connect that only notes where to, since the SYN can carry what is written first. */
bool fastopen_connect_waits(struct world *w, struct file *f, const struct stack_endpoint *remote);
/* Sends the SYN with what it can carry of the data; returns that, or a negative errno. */
ptrdiff_t fastopen_connect(struct world *w, struct file *f, const struct stack_endpoint *remote,
			   const void *data, size_t len);

/* ---- zerocopy.c ---- */
/* A send with MSG_ZEROCOPY has queued data. */
void zerocopy_sent(struct file *f);
/* recvmsg with MSG_ERRQUEUE. */
ptrdiff_t zerocopy_receive(struct world *w, struct file *f, struct msghdr *msg);

/* ---- timestamping.c ---- */
/* A send has queued data. */
void timestamping_sent(struct file *f);
/* recvmsg with MSG_ERRQUEUE. */
ptrdiff_t timestamping_receive(struct file *f, struct msghdr *msg);

int call_poll(void *context, struct pollfd *fds, nfds_t count, int timeout);
int call_epoll_create(void *context, int size);
int call_epoll_ctl(void *context, int epfd, int op, int fd, struct epoll_event *event);
int call_epoll_wait(void *context, int epfd, struct epoll_event *events, int count, int timeout);

#endif
