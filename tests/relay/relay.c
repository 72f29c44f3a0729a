/*
 * A piece of network between two TAPs: what comes out of one goes into the other, later, or
 * never, or twice, or out of turn, as the options say.
 *
 *   relay [OPTION...] TAP TAP      makes both, prints "ready", runs until SIGTERM or SIGINT
 *
 *   --delay USEC       each way                     --loss PPM        frames in a million, each way
 *   --rate BITS        a second, each way           --duplicate PPM
 *   --queue BYTES      that wait for the rate       --reorder PPM     frames that come late,
 *   --seed N           of every chance              --reorder-by USEC by so much
 *
 * The TAPs have no offload, so frames are as a wire carries them, and each is lost or kept by
 * itself. ARP is never touched. What happens to the n-th frame of a direction depends on the seed
 * and n alone. At the end one line a direction says what was done.
 *
 * Needs nothing but the host: it judges Byway and the kernel alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 65550
#define BATCH 64
#define MILLION 1000000u
#define NANOSECOND UINT64_C(1)
#define MICROSECOND (1000 * NANOSECOND)
#define SECOND (MICROSECOND * MILLION)

struct frame {
	struct frame *earlier, *later;
	uint64_t at; /* when it arrives, ns */
	size_t len;
	uint8_t data[];
};

/* What the path does; the same both ways. Chances are in a million. */
struct path {
	uint64_t delay, reorder_by; /* ns */
	uint64_t rate;              /* bits a second; 0: no limit */
	uint64_t queue;             /* bytes */
	uint32_t loss, duplicate, reorder;
};

struct direction {
	const char *from, *to;
	int in, out;
	uint64_t random;
	uint64_t free_at;            /* when the rate lets the next frame go, ns */
	struct frame *first, *last;  /* on their way, in order of arrival */
	uint64_t frames, lost, full, duplicated, reordered, refused;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* splitmix64 */
static bool chance(struct direction *d, uint32_t in_a_million)
{
	uint64_t z = d->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return ((z >> 32) * MILLION >> 32) < in_a_million;
}

static int open_tap(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		die("/dev/net/tun");
	if (strlen(name) >= sizeof(r.ifr_name)) {
		errno = ENAMETOOLONG;
		die(name);
	}
	strcpy(r.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &r) < 0)
		die(name);
	return fd;
}

/* In order of arrival; of two at the same moment the one that was sent first is first. */
static void enqueue(struct direction *d, const uint8_t *data, size_t len, uint64_t at)
{
	struct frame *f = malloc(sizeof(*f) + len), *before = d->last;

	if (!f)
		die("malloc");
	while (before && before->at > at)
		before = before->earlier;
	*f = (struct frame){.earlier = before, .later = before ? before->later : d->first, .at = at, .len = len};
	memcpy(f->data, data, len);
	*(f->later ? &f->later->earlier : &d->last) = f;
	*(before ? &before->later : &d->first) = f;
}

static bool is_arp(const uint8_t *data, size_t len)
{
	return len >= 14 && data[12] == 0x08 && data[13] == 0x06;
}

/* The bottleneck: false when its queue has no room; otherwise when the frame has left it. */
static bool through_bottleneck(struct direction *d, const struct path *p, size_t len, uint64_t *at)
{
	uint64_t start = d->free_at > *at ? d->free_at : *at;

	if (p->rate == 0)
		return true;
	if ((start - *at) / MICROSECOND * p->rate / 8 / MILLION + len > p->queue)
		return false;
	*at = d->free_at = start + len * 8 * SECOND / p->rate;
	return true;
}

/* Every chance is drawn for every frame, so that one frame's fate does not move the next one's. */
static void take(struct direction *d, const struct path *p, const uint8_t *data, size_t len, uint64_t at)
{
	bool lost = chance(d, p->loss), twice = chance(d, p->duplicate), late = chance(d, p->reorder);

	d->frames++;
	if (is_arp(data, len)) {
		enqueue(d, data, len, at + p->delay);
		return;
	}
	if (lost) {
		d->lost++;
		return;
	}
	if (!through_bottleneck(d, p, len, &at)) {
		d->full++;
		return;
	}
	at += p->delay + (late ? p->reorder_by : 0);
	d->reordered += late;
	d->duplicated += twice;
	enqueue(d, data, len, at);
	if (twice)
		enqueue(d, data, len, at);
}

static void receive(struct direction *d, const struct path *p)
{
	uint8_t data[FRAME_MAX];

	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t n = read(d->in, data, sizeof(data));

		if (n <= 0) {
			if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO)
				die(d->from); /* its namespace has ended, and so has it */
			return;
		}
		take(d, p, data, (size_t)n, now_ns());
	}
}

static void deliver(struct direction *d, uint64_t now)
{
	while (d->first && d->first->at <= now) {
		struct frame *f = d->first;

		if (write(d->out, f->data, f->len) != (ssize_t)f->len)
			d->refused++; /* that interface is down, or its kernel has no room */
		d->first = f->later;
		*(f->later ? &f->later->earlier : &d->last) = NULL;
		free(f);
	}
}

static void wait_for_work(struct direction d[2], const sigset_t *mask)
{
	struct pollfd p[2] = {{.fd = d[0].in, .events = POLLIN}, {.fd = d[1].in, .events = POLLIN}};
	uint64_t next = UINT64_MAX, now = now_ns(), wait;
	struct timespec t;

	for (unsigned i = 0; i < 2; i++)
		if (d[i].first && d[i].first->at < next)
			next = d[i].first->at;
	wait = next > now ? next - now : 0;
	t = (struct timespec){.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
	if (ppoll(p, 2, next == UINT64_MAX ? NULL : &t, mask) < 0 && errno != EINTR)
		die("ppoll");
}

static void run(struct direction d[2], const struct path *p)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked, before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1);
	puts("ready");
	fflush(stdout);
	while (!ended) {
		wait_for_work(d, &before);
		for (unsigned i = 0; i < 2; i++) {
			receive(&d[i], p);
			deliver(&d[i], now_ns());
		}
	}
}

static void report(struct direction *d)
{
	printf("%s to %s: frames %" PRIu64 " lost %" PRIu64 " queue-full %" PRIu64 " duplicated %" PRIu64
	       " reordered %" PRIu64 " refused %" PRIu64 "\n", d->from, d->to, d->frames, d->lost, d->full, d->duplicated,
	       d->reordered, d->refused);
	while (d->first) {
		struct frame *f = d->first;

		d->first = f->later;
		free(f);
	}
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0') {
		fprintf(stderr, "relay: %s is no number\n", text);
		exit(2);
	}
	return value;
}

static uint64_t parse(int argc, char **argv, struct path *p)
{
	static const struct option options[] = {
		{"delay", 1, NULL, 'd'}, {"rate", 1, NULL, 'r'}, {"queue", 1, NULL, 'q'}, {"loss", 1, NULL, 'l'},
		{"duplicate", 1, NULL, '2'}, {"reorder", 1, NULL, 'o'}, {"reorder-by", 1, NULL, 'b'},
		{"seed", 1, NULL, 's'}, {NULL, 0, NULL, 0},
	};
	uint64_t seed = 1;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'd': p->delay = number(optarg) * MICROSECOND; break;
		case 'b': p->reorder_by = number(optarg) * MICROSECOND; break;
		case 'r': p->rate = number(optarg); break;
		case 'q': p->queue = number(optarg); break;
		case 'l': p->loss = (uint32_t)number(optarg); break;
		case '2': p->duplicate = (uint32_t)number(optarg); break;
		case 'o': p->reorder = (uint32_t)number(optarg); break;
		case 's': seed = number(optarg); break;
		default: exit(2);
		}
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: relay [OPTION...] TAP TAP\n");
		exit(2);
	}
	return seed;
}

int main(int argc, char **argv)
{
	struct path path = {.queue = UINT64_C(1) << 20, .reorder_by = 1000 * MICROSECOND};
	uint64_t seed = parse(argc, argv, &path);
	const char *a = argv[optind], *b = argv[optind + 1];
	int tap_a = open_tap(a), tap_b = open_tap(b);
	struct direction d[2] = {
		{.from = a, .to = b, .in = tap_a, .out = tap_b, .random = seed},
		{.from = b, .to = a, .in = tap_b, .out = tap_a, .random = ~seed},
	};

	run(d, &path);
	report(&d[0]);
	report(&d[1]);
	return 0;
}
