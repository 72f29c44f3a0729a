/*
 * The link: a TAP or TUN made over /dev/net/tun. Every frame has a struct virtio_net_hdr in
 * front (IFF_VNET_HDR), which carries checksum and segmentation work between the host's kernel
 * and us, so that one frame may be a TCP segment of 64 KiB. The interface lives as long as the
 * descriptors: closing them leaves nothing behind.
 *
 * Where the kernel takes our steering program (steer.c) there are two queues: one for SYNs and one
 * for everything else, for each worker. A turn reads few SYNs. When there are more half-open connections than may be,
 * and others carry data, their queue then rests for a multiple of the time that the turn took: a
 * flood fills it, is dropped there in the sender's time, and costs the connections a twentieth of
 * ours. Otherwise there is one queue.
 *
 * When the interface goes away under us (bad-inputs L9) the descriptor reports an error; it is
 * then opened anew with growing pauses. Privileges are gone by then, so this works for an
 * interface that the administrator made for us (`ip tuntap add ... user`); where we may not,
 * the daemon ends with an error and the service manager starts it again with what it needs.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Since Linux 6.2. The kernel takes both or none of the first. */
#define TUN_F_USO 0x60          /* TUN_F_USO4 | TUN_F_USO6 */
#define VNET_GSO_UDP_L4 5       /* VIRTIO_NET_HDR_GSO_UDP_L4 */

#define DEVICE "/dev/net/tun"
#define FRAMES_PER_TURN 64
#define FRAME_SMALL 2048u /* whoever sends such a one by itself waits for the answer */
#define LONE_TURNS 16u    /* of them, before the queue is asked again for what came meanwhile */
#define DOUBT_MAX 63u     /* calls of link_read_on that do not look, when it was in vain again and again */
#define BYTES_PER_TURN (256u << 10) /* then the answer is due: the sender waits for it, and what it sent grows cold */
#define SYNS_PER_TURN 16
#define SYN_REST 19u              /* times as long as a turn of SYNs took; SYNs have a twentieth then */
#define SYN_REST_MAX 10000u       /* microseconds: the turn was interrupted, and a client waits */
#define BUSY 20000u               /* microseconds that a connection counts after it has moved data */
#define QUEUES 2
#define FRAME_MAX (65536u + 256u) /* a full segment, its headers and the virtio header */
#define RETRY_FIRST 100000u       /* microseconds to the first try to reopen */
#define RETRY_MAX 5000000u

struct link {
	struct daemon *daemon;
	int fd[QUEUES];          /* -1: the interface is away; [1], the SYNs', also where there is one queue */
	int program;             /* that tells SYNs from the rest; negative: not to be had */
	unsigned offload;        /* STACK_OFFLOAD_*, as the kernel agreed to */
	struct watch io[QUEUES];
	sd_event_source *rest;   /* runs while the SYNs' queue is not read */
	stack_time rest_until;   /* it is not, before that, if it is also before */
	stack_time busy_until;   /* connections have moved data a moment ago */
	uint64_t moved;          /* stack_bytes_moved() when it was last looked at */
	sd_event_source *retry;  /* runs while the interface is away */
	stack_time pause;        /* to the next try, microseconds */
	uint8_t lone;            /* turns in a row that brought one small frame */
	uint8_t doubt, skip;     /* calls of link_read_on that do not look, after one that found nothing; of them, still to come */
	bool write_failed;       /* reported once, until a write succeeds */
	char name[IFNAMSIZ];
	uint8_t frame[FRAME_MAX];
};

/* ---- opening ---- */

static void explain_open(const struct config *c, int error)
{
	(void)c;
	if (error == ENOENT || error == ENODEV)
		daemon_log(LOG_ERR, DEVICE ": %s; load the kernel's tun module (modprobe tun)", strerror(error));
	else
		daemon_log(LOG_ERR, DEVICE ": %s; run as root, or let this user read and write it", strerror(error));
}

static void explain_setiff(const struct config *c, int error)
{
	const char *remedy = "see [Link] Name= and Type=";

	if (error == EBUSY)
		remedy = "another program holds it; stop that one or choose another [Link] Name=";
	else if (error == EPERM)
		remedy = "making an interface needs the capability CAP_NET_ADMIN; start as root or by systemd";
	else if (error == EINVAL)
		remedy = "another program holds it, or it is of another type; stop that one or choose another [Link] Name=";
	daemon_log(LOG_ERR, "interface %s: %s; %s", c->link_name, strerror(error), remedy);
}

/* Checksums and segmentation by the kernel, as far as it has them; none is fine too. */
static unsigned negotiate_offload(int fd, bool wanted)
{
	if (wanted && ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_USO)) == 0)
		return STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4 | STACK_OFFLOAD_USO4;
	if (wanted && ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)) == 0)
		return STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
	if (wanted && ioctl(fd, TUNSETOFFLOAD, (unsigned long)TUN_F_CSUM) == 0)
		return STACK_OFFLOAD_CSUM;
	ioctl(fd, TUNSETOFFLOAD, 0UL);
	return 0;
}

/* A descriptor of a queue of the configured interface, or negative errno, which *explain puts in words. */
static int open_queue(const struct config *c, struct link *l, short flags, void (**explain)(const struct config *, int))
{
	struct ifreq ifr = {.ifr_flags = (short)((c->tun ? IFF_TUN : IFF_TAP) | IFF_NO_PI | IFF_VNET_HDR | flags)};
	int header = sizeof(struct virtio_net_hdr);
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	*explain = explain_open;
	if (fd < 0)
		return -errno;
	*explain = explain_setiff;
	memcpy(ifr.ifr_name, c->link_name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &ifr) != 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) != 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	memcpy(l->name, ifr.ifr_name, IFNAMSIZ);
	return fd;
}

static void close_queues(struct link *l)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		if (l->fd[i] >= 0)
			close(l->fd[i]);
		l->fd[i] = -1;
	}
}

static void close_all(struct link *l)
{
	for (unsigned i = 0; i < worker_count(l->daemon); i++)
		close_queues(worker_at(l->daemon, i)->link);
}

/*
 * All queues of an interface that did not exist, and the program between them. One that somebody
 * made for us has one queue; and one with several would let a second daemon in (IFF_TUN_EXCL).
 * 0 or negative errno, which *explain puts in words where it is not about the program.
 */
static int open_all(const struct config *c, struct link *l, void (**explain)(const struct config *, int))
{
	int error = l->program < 0 ? l->program : 0;

	for (unsigned i = 0; !error && i < QUEUES * worker_count(l->daemon); i++) {
		struct link *of = worker_at(l->daemon, i / QUEUES)->link;
		int *fd = &of->fd[i % QUEUES];
		*fd = open_queue(c, of, (short)(i == 0 ? IFF_MULTI_QUEUE | IFF_TUN_EXCL : IFF_MULTI_QUEUE), explain);
		error = *fd < 0 ? *fd : 0;
	}
	if (!error && ioctl(l->fd[0], TUNSETSTEERINGEBPF, &l->program) != 0)
		error = -errno;
	if (error)
		close_all(l);
	return error;
}

/* Several workers need several queues: with one they would be one after all. */
static void explain_workers(const struct config *c, int error)
{
	const char *remedy = "an interface that exists already, or that another program holds, has one queue; "
			     "remove it, or choose another [Link] Name=";

	if (error == EPERM || error == EACCES)
		remedy = "that needs the capabilities CAP_NET_ADMIN and CAP_BPF; start as root or by systemd";
	daemon_log(LOG_ERR, "[Worker] Count=%u: interface %s cannot have a queue for each worker (%s): %s; or set Count=1",
		   c->workers, c->link_name, strerror(error), remedy);
}

/* There are several, and with one it might have gone well. */
static bool is_about_workers(const struct link *l, int error)
{
	return worker_count(l->daemon) > 1 && (l->program < 0 || error == -EBUSY || error == -EINVAL ||
					       error == -EPERM || error == -EACCES);
}

/* The queues of the configured interface; 0 or negative errno, explained. */
static int open_interface(const struct config *c, struct link *l)
{
	void (*explain)(const struct config *, int) = explain_setiff;
	int error = open_all(c, l, &explain);

	if (error && worker_count(l->daemon) > 1) {
		if (is_about_workers(l, error))
			explain = explain_workers;
		explain(c, -error);
		return error;
	}
	if (error) {
		l->fd[0] = open_queue(c, l, 0, &explain);
		if (l->fd[0] < 0) {
			explain(c, -l->fd[0]);
			return l->fd[0];
		}
	}
	for (unsigned i = 0; i < worker_count(l->daemon); i++) {
		struct link *of = worker_at(l->daemon, i)->link;
		of->offload = negotiate_offload(of->fd[0], c->offload);
	}
	return 0;
}

static int link_new(struct daemon *d)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->daemon = d;
	l->fd[0] = l->fd[1] = -1;
	l->program = -EBADF;
	d->link = l;
	return 0;
}

int link_open(struct daemon *d)
{
	const struct steer one = {.workers = 1};
	int error = 0;

	for (unsigned i = 0; i < worker_count(d) && !error; i++)
		error = link_new(worker_at(d, i));
	if (error)
		return error;
	struct link *l = d->link;
	l->program = steer_program(d->config.tun, d->workers ? &d->workers->steer : &one);
	if (l->program < 0 && !d->workers)
		daemon_log(LOG_INFO, "SYNs share a queue with all else, so a flood of them can crowd connections out: "
			   "no steering program (%s); it needs the capability CAP_BPF", strerror(-l->program));
	error = open_interface(&d->config, l);
	return error && is_about_workers(l, error) ? -ENOTSUP : error;
}

/* ---- in ---- */

static void input_frame(struct daemon *d, const uint8_t *data, size_t len, stack_time now)
{
	struct virtio_net_hdr h;

	if (len < sizeof(h))
		return;
	memcpy(&h, data, sizeof(h));
	bool tcp4 = (h.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4;
	bool udp = h.gso_type == VNET_GSO_UDP_L4;
	const struct stack_frame frame = {
		.data = data + sizeof(h),
		.len = len - sizeof(h),
		/* NEEDS_CSUM: the frame never left this machine, its sum is still to be made. */
		.csum_good = (h.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0,
		.gso_size = tcp4 || udp ? h.gso_size : 0,
		.gso_udp = udp,
	};
	if (!d->workers || d->worker > 0 || !worker_took(d, &frame))
		stack_input(d->stack, now, &frame);
	loop_accept(d); /* before its data comes */
}

static int on_retry(sd_event_source *source, uint64_t usec, void *arg);

static void stop_reading(struct link *l)
{
	for (unsigned i = 0; i < QUEUES; i++)
		loop_unwatch(l->daemon, &l->io[i]);
	l->rest = sd_event_source_disable_unref(l->rest);
}

static void link_lost(struct link *l, int error)
{
	if (l->daemon->worker == 0)
		daemon_log(LOG_ERR, "interface %s was taken away (%s); trying to open it again", l->name, strerror(error));
	stop_reading(l);
	close_queues(l);
	if (l->daemon->worker > 0)
		return; /* the first opens it for all */
	l->pause = RETRY_FIRST;
	sd_event_add_time_relative(l->daemon->loop, &l->retry, CLOCK_MONOTONIC, l->pause, 1000, on_retry, l);
	loop_touched(l->daemon);
}

/*
 * Reading until the queue is empty costs one call that finds nothing. After a small frame that came
 * alone, as the ones before did, there is most likely nothing; the loop's next wait finds what there is.
 */
static bool is_lone(struct link *l, unsigned frame, size_t bytes)
{
	if (frame > 0 || bytes > FRAME_SMALL || l->lone == 0)
		return false;
	l->lone = (uint8_t)((l->lone + 1) % LONE_TURNS);
	return true;
}

/* Up to `limit` frames of one queue, read at `now`. */
static void read_frames(struct link *l, int fd, uint32_t events, unsigned limit, stack_time now)
{
	struct daemon_counters *count = &l->daemon->count;
	size_t bytes = 0;

	for (unsigned i = 0; i < limit && bytes < BYTES_PER_TURN; i++) {
		ssize_t n = read(fd, l->frame, sizeof(l->frame));
		if (n >= 0) {
			count->link_reads++;
			input_frame(l->daemon, l->frame, (size_t)n, now);
			bytes += (size_t)n;
			if (is_lone(l, i, bytes)) {
				l->daemon->timely = true;
				break;
			}
			continue;
		}
		count->link_reads_empty++;
		/* EBADFD: the interface is gone; EIO: it is going. */
		if (errno != EAGAIN && errno != EINTR)
			link_lost(l, errno);
		else if (i == 0 && (events & EPOLLERR))
			link_lost(l, ENODEV);
		l->lone = i <= 1 && bytes <= FRAME_SMALL;
		break;
	}
	daemon_kick(l->daemon);
}

/* One frame of the first queue; 0: there is none. Whoever sent it waits since just now, so the clock is asked again. */
static size_t read_one(struct link *l)
{
	struct daemon *d = l->daemon;
	ssize_t n = l->fd[0] >= 0 ? read(l->fd[0], l->frame, sizeof(l->frame)) : -1;

	if (n <= 0) {
		d->count.link_reads_empty++;
		return 0; /* if something is wrong, the next wait says so */
	}
	d->count.link_reads++;
	d->now = daemon_now();
	d->timely = true;
	input_frame(d, l->frame, (size_t)n, d->now);
	daemon_kick(d);
	return (size_t)n;
}

bool link_poll(struct daemon *d)
{
	return d->link && read_one(d->link) > 0;
}

bool link_read_on(struct daemon *d)
{
	struct link *l = d->link;
	size_t bytes;

	if (!l || l->lone == 0)
		return false;
	if (l->skip > 0) {
		l->skip--;
		return false;
	}
	bytes = read_one(l);
	if (bytes == 0) {
		l->skip = l->doubt = (uint8_t)(l->doubt < DOUBT_MAX ? 2u * l->doubt + 1 : DOUBT_MAX);
		return false;
	}
	l->doubt = 0;
	l->lone = (uint8_t)(bytes > FRAME_SMALL ? 0 : (l->lone + 1) % LONE_TURNS);
	return true;
}

static void on_frames(void *link, uint32_t events)
{
	struct link *l = link;

	read_frames(l, l->fd[0], events, FRAMES_PER_TURN, l->daemon->now);
}

static void note_use(struct link *l, stack_time now)
{
	uint64_t moved = stack_bytes_moved(l->daemon->stack);

	if (moved != l->moved)
		l->busy_until = now + BUSY;
	l->moved = moved;
}

static void on_syns(void *link, uint32_t events)
{
	struct link *l = link;
	stack_time now = daemon_now(), rest;

	note_use(l, now);
	if (stack_half_open_full(l->daemon->stack) && now < l->busy_until && now < l->rest_until &&
	    !(events & EPOLLERR)) {
		l->daemon->count.syn_rests++;
		loop_rewatch(l->daemon, &l->io[1], 0);
		sd_event_source_set_time(l->rest, l->rest_until);
		sd_event_source_set_enabled(l->rest, SD_EVENT_ONESHOT);
		loop_touched(l->daemon);
		return;
	}
	read_frames(l, l->fd[1], events, SYNS_PER_TURN, now);
	rest = (daemon_now() - now) * SYN_REST;
	l->rest_until = now + (rest < SYN_REST_MAX ? rest : SYN_REST_MAX);
}

static int on_rested(sd_event_source *source, uint64_t usec, void *arg)
{
	struct link *l = arg;

	(void)source, (void)usec;
	loop_rewatch(l->daemon, &l->io[1], EPOLLIN);
	return 0;
}

/* The SYNs' queue, with the timer that ends its rest. */
static int start_syns(struct link *l)
{
	sd_event *loop = l->daemon->loop;
	int error = sd_event_add_time(loop, &l->rest, CLOCK_MONOTONIC, 0, 100, on_rested, l);

	if (error >= 0)
		error = sd_event_source_set_enabled(l->rest, SD_EVENT_OFF);
	return error < 0 ? error : loop_watch(l->daemon, &l->io[1], l->fd[1], EPOLLIN, on_syns, l);
}

int link_start(struct daemon *d)
{
	struct link *l = d->link;

	int error = loop_watch(d, &l->io[0], l->fd[0], EPOLLIN, on_frames, l);

	return error >= 0 && l->fd[1] >= 0 ? start_syns(l) : error;
}

/* ---- coming back ---- */

static void link_back(struct link *l)
{
	struct daemon *d = l->daemon;

	l->retry = sd_event_source_disable_unref(l->retry);
	l->write_failed = false;
	host_configure(d);
	for (unsigned i = 0; i < worker_count(d); i++)
		if (link_start(worker_at(d, i)) < 0)
			sd_event_exit(d->loop, EXIT_FAILURE);
	daemon_log(LOG_NOTICE, "interface %s is back", l->name);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *arg)
{
	struct link *l = arg;
	unsigned had = l->offload;

	(void)usec;
	workers_hold(l->daemon);
	for (unsigned i = 1; i < worker_count(l->daemon); i++) {
		stop_reading(worker_at(l->daemon, i)->link); /* that have not noticed */
		close_queues(worker_at(l->daemon, i)->link);
	}
	int error = open_interface(&l->daemon->config, l);
	bool back = error == 0 && l->offload == had;
	if (back)
		link_back(l);
	workers_release(l->daemon);
	if (back)
		return 0;
	if (error == 0 || error == -EPERM || error == -EACCES) {
		daemon_log(LOG_ERR, "interface %s cannot be had again by this process; ending, to be started anew",
			   l->name);
		return sd_event_exit(l->daemon->loop, EXIT_FAILURE);
	}
	l->pause = l->pause * 2 < RETRY_MAX ? l->pause * 2 : RETRY_MAX;
	sd_event_source_set_time_relative(source, l->pause);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- out ---- */

static struct virtio_net_hdr output_header(const struct stack_output *out)
{
	struct virtio_net_hdr h = {0};

	if (out->csum_partial) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = out->csum_start;
		h.csum_offset = out->csum_offset;
	}
	if (out->gso_size) {
		h.gso_type = out->gso_udp ? VNET_GSO_UDP_L4 : VIRTIO_NET_HDR_GSO_TCPV4;
		h.gso_size = out->gso_size;
		h.hdr_len = out->header_len;
	}
	return h;
}

/* A small frame in one piece costs less, copying included: the kernel looks at each piece of a gather list. */
static ssize_t write_small(int fd, const struct virtio_net_hdr *h, const struct stack_output *out)
{
	uint8_t frame[sizeof(*h) + FRAME_SMALL];
	size_t len = sizeof(*h);

	memcpy(frame, h, sizeof(*h));
	for (unsigned i = 0; i < out->iov_count; i++) {
		memcpy(frame + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += out->iov[i].iov_len;
	}
	return write(fd, frame, len);
}

static ssize_t write_pieces(int fd, struct virtio_net_hdr *h, const struct stack_output *out)
{
	struct iovec iov[STACK_IOV_MAX + 1] = {{h, sizeof(*h)}};

	memcpy(iov + 1, out->iov, out->iov_count * sizeof(*iov));
	return writev(fd, iov, (int)out->iov_count + 1);
}

bool link_transmit(void *daemon, const struct stack_output *out)
{
	struct link *l = ((struct daemon *)daemon)->link;
	struct virtio_net_hdr h = output_header(out);

	if (!l || l->fd[0] < 0)
		return false;
	if (l->daemon->worker > 0 && !l->daemon->config.tun && worker_need_not_say(out))
		return true;
	l->daemon->count.link_writes++;
	if ((out->len <= FRAME_SMALL ? write_small(l->fd[0], &h, out) : write_pieces(l->fd[0], &h, out)) >= 0) {
		l->write_failed = false;
		return true;
	}
	/* EIO: the host's side is down, which host.c reports. Others are worth a line, once. */
	if (!l->write_failed && errno != EAGAIN && errno != EIO && errno != EBADFD) {
		daemon_log(LOG_WARNING, "interface %s took no frame: %s", l->name, strerror(errno));
		l->write_failed = true;
	}
	return false;
}

unsigned link_offload(const struct link *l)
{
	return l->offload;
}

const char *link_name(const struct link *l)
{
	return l->name;
}

void link_close(struct daemon *d)
{
	struct link *l = d->link;

	if (!l)
		return;
	stop_reading(l);
	sd_event_source_disable_unref(l->retry);
	close_queues(l);
	if (l->program >= 0)
		close(l->program);
	free(l);
	d->link = NULL;
}
