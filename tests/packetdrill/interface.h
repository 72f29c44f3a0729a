/* How the adapter is called: by packetdrill, which loads it, and by host.c, which is linked with it. */
#ifndef BYWAY_PACKETDRILL_INTERFACE_H
#define BYWAY_PACKETDRILL_INTERFACE_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

/* packetdrill's table of functions, in its order. Each gets `userdata` first. */
struct packetdrill_interface {
	void *userdata;
	void (*free)(void *w);
	int (*socket)(void *w, int domain, int type, int protocol);
	int (*bind)(void *w, int fd, const struct sockaddr *addr, socklen_t len);
	int (*listen)(void *w, int fd, int backlog);
	int (*accept)(void *w, int fd, struct sockaddr *addr, socklen_t *len);
	int (*connect)(void *w, int fd, const struct sockaddr *addr, socklen_t len);
	ssize_t (*read)(void *w, int fd, void *data, size_t len);
	ssize_t (*readv)(void *w, int fd, const struct iovec *iov, int count);
	ssize_t (*recv)(void *w, int fd, void *data, size_t len, int flags);
	ssize_t (*recvfrom)(void *w, int fd, void *data, size_t len, int flags, struct sockaddr *from, socklen_t *from_len);
	ssize_t (*recvmsg)(void *w, int fd, struct msghdr *msg, int flags);
	ssize_t (*write)(void *w, int fd, const void *data, size_t len);
	ssize_t (*writev)(void *w, int fd, const struct iovec *iov, int count);
	ssize_t (*send)(void *w, int fd, const void *data, size_t len, int flags);
	ssize_t (*sendto)(void *w, int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len);
	ssize_t (*sendmsg)(void *w, int fd, const struct msghdr *msg, int flags);
	int (*fcntl)(void *w, int fd, int command, ...);
	int (*ioctl)(void *w, int fd, unsigned long request, ...);
	int (*close)(void *w, int fd);
	int (*shutdown)(void *w, int fd, int how);
	int (*getsockopt)(void *w, int fd, int level, int name, void *value, socklen_t *len);
	int (*setsockopt)(void *w, int fd, int level, int name, const void *value, socklen_t len);
	int (*poll)(void *w, struct pollfd *fds, nfds_t count, int timeout);
	int (*netdev_send)(void *w, const void *data, size_t len);
	int (*netdev_receive)(void *w, void *data, size_t *len, long long *microseconds);
	int (*usleep)(void *w, useconds_t microseconds);
	int (*gettimeofday)(void *w, struct timeval *tv, struct timezone *tz);
	int (*epoll_create)(void *w, int size);
	int (*epoll_ctl)(void *w, int epfd, int op, int fd, struct epoll_event *event);
	int (*epoll_wait)(void *w, int epfd, struct epoll_event *events, int count, int timeout);
	int (*pipe)(void *w, int fds[2]);
	int (*splice)(void *w, int in, loff_t *in_at, int out, loff_t *out_at, size_t len, unsigned flags);
};

/* Fills the table; `flags` are settings (settings.c). Ends the process when they are wrong. */
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *table);

#endif
