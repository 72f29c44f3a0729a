/*
 * What all kinds of owners' endpoints need: AF_UNIX pairs, a budget for each user, the
 * number of bytes that an owner has not read yet, and errors in words.
 */
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- budgets ---- */

/* The endpoints of one user. */
struct account {
	struct account *next;
	uid_t uid;
	unsigned count;
	size_t shared[OWNER_SHARES]; /* what they have of it */
};

/* Half of each is one user's at most, half of the rest the next one's, and so on. Of rings the configuration says it. */
static const size_t share_most[OWNER_SHARES] = {
	[SHARE_WIDE] = 128,         /* ends of two MiB: it is the kernel's memory */
	[SHARE_ROOMY] = 128,        /* the same */
	[SHARE_CORKED] = 4u << 20,  /* bytes: programs send the rest at once */
};

static struct account **account_find(struct daemon *d, uid_t uid)
{
	struct account **a = &d->accounts;

	while (*a && (*a)->uid != uid)
		a = &(*a)->next;
	return a;
}

/* Counts one endpoint against its user's budget. 0, or -errno and why. */
static int admit_locked(struct daemon *d, const struct owner *who, const char **why)
{
	struct account *a = *account_find(d, who->uid);

	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a) {
			*why = "the daemon is out of memory";
			return -ENOMEM;
		}
		a->uid = who->uid;
		a->next = d->accounts;
		d->accounts = a;
	}
	if (a->count >= d->config.sockets_per_user) {
		*why = "this user has as many sockets as [Control] SocketsPerUser= allows";
		return -EMFILE;
	}
	a->count++;
	return 0;
}

static int admit(struct daemon *d, const struct owner *who, const char **why)
{
	workers_lock(d);
	int error = admit_locked(worker_first(d), who, why);
	workers_unlock(d);
	return error;
}

static void release(struct daemon *d, uid_t uid)
{
	workers_lock(d);
	struct account **link = account_find(worker_first(d), uid), *a = *link;
	if (--a->count == 0) {
		*link = a->next;
		free(a);
	}
	workers_unlock(d);
}

/* An endpoint's user has an account. */
static bool take_locked(struct daemon *d, uid_t uid, enum owner_share what, size_t amount)
{
	struct account *a = *account_find(d, uid);
	size_t most = what == SHARE_RINGS ? d->config.ring_memory : share_most[what];

	if (a->shared[what] + d->shared[what] + 2 * amount > most)
		return false;
	a->shared[what] += amount;
	d->shared[what] += amount;
	return true;
}

bool share_take(struct endpoint *e, enum owner_share what, size_t amount)
{
	workers_lock(e->daemon);
	bool taken = take_locked(worker_first(e->daemon), e->owner.uid, what, amount);
	workers_unlock(e->daemon);
	return taken;
}

void share_return(struct endpoint *e, enum owner_share what, size_t amount)
{
	if (amount == 0)
		return;
	workers_lock(e->daemon);
	struct daemon *d = worker_first(e->daemon);
	(*account_find(d, e->owner.uid))->shared[what] -= amount;
	d->shared[what] -= amount;
	workers_unlock(e->daemon);
}

/* ---- pairs ---- */

static int make_pair(int type, bool nonblock, int fd[2], const char **why)
{
	/* Nothing of ours rests on O_NONBLOCK: it is as the owner wants its end. */
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0, fd) != 0) {
		*why = errno == EMFILE || errno == ENFILE ? "the daemon is out of file descriptors (LimitNOFILE=)" :
							    "the daemon cannot make a socket pair";
		return -errno;
	}
	return 0;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

void *owner_new_bare(struct daemon *d, const struct owner *who, size_t size, int *error, const char **why)
{
	struct endpoint *e;

	*error = admit(d, who, why);
	if (*error)
		return NULL;
	e = calloc(1, size);
	if (!e) {
		release(d, who->uid);
		*error = -ENOMEM;
		*why = "the daemon is out of memory";
		return NULL;
	}
	e->daemon = d;
	e->owner = *who;
	return e;
}

void *owner_new(struct daemon *d, const struct owner *who, size_t size, int type, bool nonblock, int fd[2],
		int *error, const char **why)
{
	struct endpoint *e = owner_new_bare(d, who, size, error, why);

	if (!e)
		return NULL;
	*error = make_pair(type, nonblock, fd, why);
	if (*error) {
		owner_free(e);
		return NULL;
	}
	e->family = AF_INET;
	e->inode = inode_of(fd[1]);
	*error = index_add(e);
	if (!*error)
		return e;
	*why = "the daemon is out of memory";
	e->inode = 0;
	close(fd[0]);
	close(fd[1]);
	owner_free(e);
	return NULL;
}

void *owner_become(struct endpoint *old, size_t size)
{
	struct endpoint *e = calloc(1, size);

	if (!e)
		return NULL;
	index_remove(old);
	*e = *old;
	free(old);
	index_add(e); /* the table has room: one was just taken out */
	return e;
}

void owner_close(const struct endpoint *e, int fd)
{
	if (e->guarded && !e->daemon->stopping)
		shutdown(fd, SHUT_RDWR);
	close(fd);
}

void owner_free(struct endpoint *e)
{
	if (e->inode)
		index_remove(e);
	release(e->daemon, e->owner.uid);
	free(e);
}

/* ---- unread bytes ---- */

#define EXACT_UP_TO 2000 /* endpoints; the kernel looks an inode up by walking over all sockets */

static int attr_queue(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == UNIX_DIAG_RQLEN && mnl_attr_get_payload_len(attr) >= sizeof(uint32_t))
		*(int64_t *)arg = mnl_attr_get_u32(attr); /* struct unix_diag_rqlen: udiag_rqueue first */
	return MNL_CB_OK;
}

/* What lies in the receive queue of the AF_UNIX socket `inode` (unix_diag), or -1. */
static int64_t ask_kernel(ino_t inode)
{
	char buffer[1024];
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	struct unix_diag_req *r = mnl_nlmsg_put_extra_header(n, sizeof(*r));
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int64_t queued = -1;

	if (!nl)
		return -1;
	n->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	n->nlmsg_flags = NLM_F_REQUEST;
	r->sdiag_family = AF_UNIX;
	r->udiag_states = ~0u;
	r->udiag_ino = (uint32_t)inode;
	r->udiag_show = UDIAG_SHOW_RQLEN;
	r->udiag_cookie[0] = r->udiag_cookie[1] = ~0u;
	/* The kernel answers before sendto returns. */
	ssize_t len = mnl_socket_sendto(nl, n, n->nlmsg_len) < 0 ? -1 : mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
	if (len > 0 && mnl_nlmsg_ok(n, (int)len) && n->nlmsg_type == SOCK_DIAG_BY_FAMILY)
		mnl_attr_parse(n, sizeof(struct unix_diag_msg), attr_queue, &queued);
	mnl_socket_close(nl);
	return queued;
}

uint64_t owner_unread(struct daemon *d, int fd, ino_t inode, uint64_t most)
{
	int memory = 0; /* what the kernel charges us for: 0 means that all was read, else more than the bytes */

	if (ioctl(fd, SIOCOUTQ, &memory) != 0 || memory <= 1)
		return 0;
	int64_t exact = d->endpoint_count <= EXACT_UP_TO ? ask_kernel(inode) : -1;
	if (exact >= 0)
		return (uint64_t)exact;
	return (uint64_t)memory < most ? (uint64_t)memory : most;
}

/* ---- words ---- */

const char *owner_error(int error)
{
	switch (error < 0 ? -error : error) {
	case ECONNREFUSED: return "the peer refused the connection";
	case ECONNRESET: return "the peer reset the connection";
	case ECONNABORTED: return "the connection was aborted";
	case ETIMEDOUT: return "no answer from the peer";
	case EHOSTUNREACH: return "the neighbour or host does not answer";
	case ENETUNREACH: return "no route to the address";
	case EADDRINUSE: return "the port is in use";
	case EADDRNOTAVAIL: return "the address is not the stack's, or no port is free";
	case EACCES: return "the address is a broadcast address, which was not asked for";
	case ENOBUFS: return "the stack is out of memory or sockets ([Stack] Memory=, SocketsMax=)";
	case EINVAL: return "the address or port is not valid for this";
	default: return strerror(error < 0 ? -error : error);
	}
}

struct byway_address owner_address(const struct stack_endpoint *e)
{
	struct byway_address a = {.port = e->port};

	memcpy(a.addr, e->addr.byte, sizeof(a.addr));
	return a;
}

/*
 * A listening socket's port can be had again at once after a restart of its owner: nobody can say
 * SO_REUSEADDR between the parts of one request.
 */
struct sock *owner_socket(struct daemon *d, const struct owner *who, enum stack_proto proto, int *error,
			  const char **why)
{
	static const int yes = 1;
	struct sock *sock = stack_socket(d->stack, proto, who->uid, NULL);

	if (!sock) {
		*error = -ENOBUFS;
		*why = owner_error(ENOBUFS);
		return NULL;
	}
	*error = 0;
	if (proto == STACK_TCP)
		*error = stack_setsockopt(sock, daemon_now(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (*error)
		*why = owner_error(*error);
	else if (worker_first(d)->wanted)
		*error = options_apply(sock, worker_first(d)->wanted, why);
	if (!*error)
		return sock;
	stack_close(sock, daemon_now());
	return NULL;
}

#define CLOSED_MAX 64u /* endpoints of one port that are looked after at once */

/*
 * Has the endpoint of a worker on that port dealt with that is the n-th of those which their owners have
 * closed; but for the one of `sock`, which is in use.
 */
static bool catch_up(struct daemon *d, const struct sock *sock, uint16_t port, unsigned *n)
{
	struct stack_sock_info info;

	for (struct endpoint *e = d->endpoints; e; e = e->next) {
		struct watch *w = e->ops->watch ? e->ops->watch(e) : NULL;
		if (!w || !w->ready || !e->sock || e->sock == sock)
			continue;
		stack_info(e->sock, &info);
		struct pollfd p = {.fd = w->fd};
		if (info.local.port != port || poll(&p, 1, 0) != 1 || !(p.revents & POLLHUP) || (*n)-- > 0)
			continue;
		w->ready(w->arg, (uint32_t)(uint16_t)p.revents); /* e may be gone, and others with it; as epoll has the bits */
		return true;
	}
	return false;
}

static bool catch_up_any(struct daemon *d, const struct sock *sock, uint16_t port, unsigned n)
{
	bool caught = false;

	for (unsigned i = 0; i < worker_count(d) && !caught; i++)
		caught = catch_up(worker_at(d, i), sock, port, &n);
	return caught;
}

static uint64_t endpoints_of_all(struct daemon *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < worker_count(d); i++)
		sum += worker_at(d, i)->endpoint_count;
	return sum;
}

static int bind_if_all_agree(struct daemon *d, struct sock *sock, const struct stack_endpoint *local)
{
	int error = local->port != 0 ? worker_may_bind(d, sock, local) : 0;

	return error ? error : stack_bind(sock, local);
}

/*
 * close(2) of a descriptor is no request: the loop learns of it when it looks at the descriptor, which
 * may be after the request that came next.
 */
int owner_take(struct daemon *d, struct sock *sock, const struct stack_endpoint *local)
{
	int error = bind_if_all_agree(d, sock, local);
	unsigned staying = 0; /* those that still have bytes to send */

	for (unsigned i = 0; error == -EADDRINUSE && local->port != 0 && i < CLOSED_MAX; i++) {
		uint64_t had = endpoints_of_all(d);
		if (!catch_up_any(d, sock, local->port, staying))
			break;
		staying += endpoints_of_all(d) == had;
		error = bind_if_all_agree(d, sock, local);
	}
	return error;
}

int owner_bind(struct daemon *d, struct sock *sock, const struct stack_endpoint *local, const char **why)
{
	if (!local || (local->port == 0 && stack_addr_is_any(&local->addr)))
		return 0;
	int error = owner_take(d, sock, local);
	if (error)
		*why = owner_error(error);
	return error;
}
