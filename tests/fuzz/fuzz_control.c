/*
 * Messages on the control socket: the daemon's conversations, requests and owners' sockets
 * with an event loop and a stack behind them, and clients that the input plays. No link: this
 * file defines link_transmit and its kin, so the linker leaves daemon/link.c out.
 *
 * Input: one byte of who the clients are (bit 0: not the administrator, bit 1: may open
 * sockets all the same), then steps of two bytes, big-endian, and what they send:
 *
 *      bit 15   afterwards the client reads what was answered
 *      bit 14   first the owner closes the descriptor that it got last
 *      bit 13   first the owner writes into it and reads from it
 *      bit 12   the second client sends
 *      bits 0 to 11   length of the packet that follows; 4095: one that is too long
 *
 * Checks: every answer is whole netlink, every error has a text, nothing leaks: no client, no
 * endpoint, no account, no descriptor (rows L1, L2, L6).
 */
#include "fuzz.h"

#include "daemon/control.h"
#include "daemon/owner.h"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CLIENTS 2
#define HELD 32
#define STEPS_MAX 64
#define TURNS_MAX 2000 /* of the loop for one step: more means that it never rests */
#define TOO_LONG 4095
#define INODE_MARK "\xfeINODE\xfe"

struct fake {
	struct daemon daemon;
	int client[CLIENTS];
	int held[HELD]; /* owners' descriptors */
	unsigned held_count;
};

/* ---- instead of link.c ---- */

unsigned link_offload(const struct link *l)
{
	(void)l;
	return 0;
}

bool link_transmit(void *daemon, const struct stack_output *out)
{
	(void)daemon;
	(void)out;
	return true;
}

bool link_poll(struct daemon *d)
{
	(void)d;
	return false;
}

bool link_read_on(struct daemon *d)
{
	(void)d;
	return false;
}

const char *link_name(const struct link *l)
{
	(void)l;
	return "fuzz0";
}

/* ---- as daemon.c hands the stack's calls on ---- */

static size_t on_receive(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	struct endpoint *e = user;

	(void)context;
	return e && e->ops->receive ? e->ops->receive(e, sock, data, len) : 0;
}

static bool on_datagram(void *context, struct sock *sock, void *user, const struct stack_endpoint *from,
			const struct stack_arrival *how, const void *data, size_t len)
{
	struct endpoint *e = user;

	(void)context, (void)sock;
	return e && e->ops->datagram && e->ops->datagram(e, from, how, data, len);
}

/* ---- start and end ---- */

static void start_stack(struct daemon *d)
{
	struct stack_ops ops = {.transmit = link_transmit, .receive = on_receive, .datagram = on_datagram};
	struct config *c = &d->config;

	FUZZ_CHECK(config_read(c, NULL, "none", NULL, 0), "the defaults are wrong");
	c->sockets_per_user = 20;
	c->stack.half_open_max = 16;
	d->stack = stack_new(&c->stack, &ops, d, daemon_now());
	FUZZ_CHECK(d->stack, "no stack");
	FUZZ_CHECK(stack_address_add(d->stack, daemon_now(), &c->address[0].addr, c->address[0].prefix) == 0, "no address");
}

static void start_control(struct daemon *d)
{
	struct control *k = calloc(1, sizeof(*k));

	k->daemon = d;
	k->fd = -1;
	k->in = malloc(BYWAY_MESSAGE_MAX);
	k->out = malloc(BYWAY_MESSAGE_MAX);
	d->control = k;
}

static void add_client(struct fake *f, unsigned i, uint8_t who)
{
	int pair[2];

	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "no pair");
	f->client[i] = pair[1];
	client_new(f->daemon.control, pair[0]);
	struct client *c = f->daemon.control->clients;
	FUZZ_CHECK(c, "no client");
	c->admin = !(who & 1);
	c->opener = c->admin || (who & 2);
	if (who & 1)
		c->owner.uid = 1000 + i;
}

static void start(struct fake *f, uint8_t who)
{
	*f = (struct fake){.held_count = 0};
	FUZZ_CHECK(sd_event_new(&f->daemon.loop) >= 0 && loop_start(&f->daemon) >= 0, "no event loop");
	start_stack(&f->daemon);
	start_control(&f->daemon);
	for (unsigned i = 0; i < CLIENTS; i++)
		add_client(f, i, who);
}

static void run_loop(struct fake *f)
{
	for (unsigned i = 0; loop_poll(&f->daemon); i++)
		FUZZ_CHECK(i < TURNS_MAX, "the loop does not come to rest");
}

static void close_last(struct fake *f)
{
	if (f->held_count > 0)
		close(f->held[--f->held_count]);
}

static void finish(struct fake *f)
{
	struct daemon *d = &f->daemon;

	for (unsigned i = 0; i < CLIENTS; i++)
		close(f->client[i]);
	run_loop(f);
	FUZZ_CHECK(!d->control->clients && d->control->client_count == 0, "clients that are gone are still there");
	control_close(d);
	while (f->held_count > 0)
		close_last(f);
	run_loop(f);
	endpoints_close_all(d, true);
	FUZZ_CHECK(!d->endpoints && d->endpoint_count == 0 && d->connections == 0, "endpoints are left");
	FUZZ_CHECK(!d->accounts, "an account is left");
	FUZZ_CHECK(d->shared[SHARE_CORKED] == 0 && d->shared[SHARE_WIDE] == 0 && d->shared[SHARE_ROOMY] == 0,
		   "%zu bytes wait for their rest, %zu pairs are wide",
		   d->shared[SHARE_CORKED], d->shared[SHARE_WIDE]);
	FUZZ_CHECK(!d->rings && d->shared[SHARE_RINGS] == 0 && d->count.ring_memory == 0, "%zu bytes of rings are left",
		   d->shared[SHARE_RINGS]);
	FUZZ_CHECK(d->files_given == 0, "%u files are left", (unsigned)d->files_given);
	index_free(d);
	source_free(d);
	stack_shutdown_all(d->stack, daemon_now(), true);
	const char *wrong = stack_check(d->stack);
	FUZZ_CHECK(!wrong, "%s", wrong);
	stack_free(d->stack);
	loop_end(d);
}

/* ---- what clients do ---- */

static int find_text(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
		*(bool *)arg = mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0;
	return MNL_CB_OK;
}

static void check_answer(const struct nlmsghdr *head)
{
	bool text = false;

	if (head->nlmsg_type != NLMSG_ERROR)
		return;
	FUZZ_CHECK(mnl_nlmsg_get_payload_len(head) >= sizeof(struct nlmsgerr), "a short error");
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(head);
	FUZZ_CHECK(e->error <= 0 && e->error > -4096, "error %d", e->error);
	if (e->error == 0)
		return; /* an acknowledgment */
	mnl_attr_parse(head, sizeof(*e), find_text, &text);
	FUZZ_CHECK(text, "error %d without a text", e->error);
}

static void keep_descriptors(struct fake *f, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (const char *)c + at, sizeof(fd));
			if (f->held_count == HELD)
				close_last(f);
			f->held[f->held_count++] = fd;
		}
	}
}

/* One packet of answers; false: none is there. */
static bool read_answer(struct fake *f, int client)
{
	static uint8_t buffer[BYWAY_MESSAGE_MAX] __attribute__((aligned(8)));
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(BYWAY_RING_DESCRIPTORS * sizeof(int))];
	} control;
	struct iovec iov = {buffer, sizeof(buffer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(client, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int left = (int)n;

	if (n <= 0)
		return false;
	FUZZ_CHECK(!(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)), "an answer that is too long");
	keep_descriptors(f, &msg);
	for (const struct nlmsghdr *head = (const void *)buffer; left > 0; head = mnl_nlmsg_next(head, &left)) {
		FUZZ_CHECK(mnl_nlmsg_ok(head, left), "an answer that is not whole");
		check_answer(head);
	}
	return true;
}

static void read_answers(struct fake *f, int client)
{
	while (read_answer(f, client))
		run_loop(f);
}

/* The packet in hand is written over the positions of a ring whose bell came last, which is then rung. */
static void use_ring(const struct fake *f, int bell, struct input packet)
{
	static const uint64_t one = 1;

	if (f->held_count >= BYWAY_RING_DESCRIPTORS &&
	    pwrite(f->held[f->held_count - BYWAY_RING_DESCRIPTORS], packet.p, packet.left, 0) >= 0 &&
	    write(bell, &one, sizeof(one)) < 0)
		return; /* it is full */
}

/* Into the descriptor that came last, and out of it: data, or a connection that a listening one accepted. */
static void use_last(struct fake *f, struct input packet)
{
	uint8_t buffer[4096];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {buffer, sizeof(buffer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	if (f->held_count == 0)
		return;
	int fd = f->held[f->held_count - 1];
	memset(buffer, 'o', sizeof(buffer));
	if (send(fd, buffer, sizeof(struct byway_datagram) + 20, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
		use_ring(f, fd, packet);
	if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) >= 0) /* an empty message may have one */
		keep_descriptors(f, &msg);
}

/* Where a message has INODE_MARK and a number stands the inode of the descriptor that came as that, from 0. */
static void fill_inodes(const struct fake *f, uint8_t *packet, size_t len)
{
	for (uint8_t *p = packet; (p = memmem(p, len - (size_t)(p - packet), INODE_MARK, sizeof(INODE_MARK) - 1)) != NULL; p++) {
		size_t at = (size_t)(p - packet);
		struct stat st;

		if (at + sizeof(uint64_t) > len || p[7] >= f->held_count || fstat(f->held[p[7]], &st) != 0)
			continue;
		uint64_t inode = st.st_ino;
		memcpy(p, &inode, sizeof(inode));
	}
}

static void send_packet(const struct fake *f, int client, struct input packet, bool too_long)
{
	static const uint8_t zeros[BYWAY_MESSAGE_MAX + 1];
	uint8_t data[TOO_LONG];

	if (too_long) {
		send(client, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (packet.left > 0) {
		memcpy(data, packet.p, packet.left);
		fill_inodes(f, data, packet.left);
		send(client, data, packet.left, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

static void step(struct fake *f, struct input *in)
{
	uint16_t head = input_u16(in);
	int client = f->client[head >> 12 & 1];

	if (head & 0x4000)
		close_last(f);
	struct input packet = input_take(in, (head & 0xfff) == TOO_LONG ? 0 : head & 0xfff);
	if (head & 0x2000)
		use_last(f, packet);
	send_packet(f, client, packet, (head & 0xfff) == TOO_LONG);
	run_loop(f);
	if (head & 0x8000)
		read_answers(f, client);
}

static unsigned count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned n = 0;

	while (folder && readdir(folder))
		n++;
	if (folder)
		closedir(folder);
	return n;
}

/* Refusals are logged; here they are expected. */
static void mute(void)
{
	static FILE *nowhere;

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	if (nowhere)
		stderr = nowhere;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct fake f;

	mute();
	unsigned before = count_descriptors();
	start(&f, input_u8(&in));
	for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++)
		step(&f, &in);
	finish(&f);
	unsigned after = count_descriptors();
	FUZZ_CHECK(after == before, "%u descriptors before, %u after", before, after);
	return 0;
}
