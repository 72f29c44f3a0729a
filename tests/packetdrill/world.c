/* Virtual time, the packets that left, descriptors, and the hand-over between packetdrill's two threads. */
#include "tests/packetdrill/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define START 1000000000u    /* microseconds; not 0, so that "never" and "at once" differ */
#define DEFAULT_ADDRESS "198.18.0.2"

/* ---- frames out, frames in ---- */

/* What a link that the stack leaves the checksum to does. */
static void finish_checksum(uint8_t *data, size_t len, size_t start, size_t offset)
{
	uint64_t sum = 0;

	for (size_t i = start; i < len; i++)
		sum += (i - start) % 2 ? data[i] : (uint64_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	data[start + offset] = (uint8_t)(~sum >> 8);
	data[start + offset + 1] = (uint8_t)~sum;
}

static bool transmit(void *context, const struct stack_output *out)
{
	struct world *w = context;
	struct packet *p = malloc(sizeof(*p) + out->len);
	size_t at = 0;

	if (!p)
		return false;
	p->next = NULL;
	p->at = w->now;
	p->len = out->len;
	for (unsigned i = 0; i < out->iov_count; i++) {
		memcpy(p->data + at, out->iov[i].iov_base, out->iov[i].iov_len);
		at += out->iov[i].iov_len;
	}
	if (out->csum_partial)
		finish_checksum(p->data, p->len, out->csum_start, out->csum_offset);
	*w->tail = p;
	w->tail = &p->next;
	return true;
}

void world_input(struct world *w, const void *data, size_t len)
{
	struct stack_frame frame = {.data = data, .len = len, .gso_size = w->gso_size};

	stack_input(w->stack, w->now, &frame);
	world_step(w);
}

/* ---- making and ending ---- */

struct world *world_new(const char *settings)
{
	static const struct stack_ops ops = {.transmit = transmit};
	static const struct stack_addr everywhere = {.byte = {[10] = 0xff, [11] = 0xff}};
	struct world *w = calloc(1, sizeof(*w));
	struct in_addr local;

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->turn, NULL);
	w->driver = pthread_self();
	w->now = START;
	w->tail = &w->head;
	inet_pton(AF_INET, DEFAULT_ADDRESS, &local);
	w->address = stack_addr_v4(&local);
	stack_config_default(&w->config);
	w->config.link = STACK_LINK_IP;
	memcpy(w->config.seed, "packetdrill", 11);
	/* packetdrill looks at what the host's stack hands to its link: large segments, not yet cut. */
	w->config.offload = STACK_OFFLOAD_CSUM | STACK_OFFLOAD_TSO4;
	/* Linux's sizes, which the public scripts expect: a window scale of 8 comes of the first. */
	w->config.recv_buffer = 540000;
	w->config.recv_buffer_max = 15u << 20;
	w->config.send_buffer = 87040;
	w->config.send_buffer_max = 4u << 20;
	/* As a kernel's default is, too: a script of timeouts expects segments of one size. */
	w->config.mtu_probing = STACK_MTU_PROBE_OFF;
	w->config.fastopen_pause = 0; /* as the host, unless a script says otherwise; and what follows, too */
	w->config.slow_start_limit = 0;
	w->config.probe_ack_delay = 200000;
	w->config.rto_margin = 200000;
	if (settings_apply(w, settings))
		w->stack = stack_new(&w->config, &ops, w, w->now);
	if (!w->stack || stack_address_add(w->stack, w->now, &w->address, 16) ||
	    stack_route_add(w->stack, &everywhere, 0, &everywhere)) {
		world_free(w);
		return NULL;
	}
	return w;
}

void world_free(struct world *w)
{
	for (int fd = 0; fd < FILES_MAX; fd++)
		if (w->file[fd])
			file_free(w, w->file[fd]);
	if (w->stack)
		stack_free(w->stack);
	while (w->head) {
		struct packet *p = w->head;

		w->head = p->next;
		free(p);
	}
	pthread_cond_destroy(&w->turn);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void world_lock(struct world *w)
{
	pthread_mutex_lock(&w->lock);
}

void world_unlock(struct world *w)
{
	pthread_mutex_unlock(&w->lock);
}

/* ---- time ---- */

static bool is_driver(const struct world *w)
{
	return pthread_equal(w->driver, pthread_self());
}

static void note_event(struct file *f, const struct stack_event *event)
{
	f->news++;
	if (event->events & STACK_EVENT_CONNECTED) {
		f->connecting = false;
		f->connected = true;
	}
	if (event->events & STACK_EVENT_ERROR) {
		f->connecting = false;
		f->dead = true;
		f->error = event->error;
	}
}

void world_output(struct world *w)
{
	while (stack_run(w->stack, w->now))
		continue;
}

void world_step(struct world *w)
{
	struct stack_event event;

	world_output(w);
	while (stack_next_event(w->stack, &event))
		if (event.user)
			note_event(event.user, &event);
	proc_write(w);
	for (size_t i = 0; i < FILES_MAX; i++)
		if (w->file[i] && w->file[i]->stamping)
			timestamping_look(w, w->file[i]);
	if (!w->waiting || !is_driver(w))
		return;
	w->handed_over = true;
	pthread_cond_broadcast(&w->turn);
	while (w->handed_over)
		pthread_cond_wait(&w->turn, &w->lock);
}

stack_time world_deadline(const struct world *w)
{
	stack_time deadline = stack_deadline(w->stack);

	return w->waiting && w->wait_until < deadline ? w->wait_until : deadline;
}

void world_advance(struct world *w, stack_time to)
{
	stack_time next = world_deadline(w);

	while (next <= to) {
		if (next > w->now)
			w->now = next;
		world_step(w);
		next = world_deadline(w);
		if (next <= w->now)
			next = w->now + 1; /* a timer that is due stays due for no longer than its tick */
	}
	if (to > w->now)
		w->now = to;
}

static void give_back(struct world *w)
{
	w->handed_over = false;
	pthread_cond_broadcast(&w->turn);
}

int world_wait(struct world *w, stack_time until)
{
	if (w->now >= until)
		return -EAGAIN;
	if (is_driver(w)) { /* a call that the script does not mark as blocking, but blocks */
		stack_time next = world_deadline(w);

		if (next > until)
			next = until;
		if (next == STACK_NEVER)
			return -EDEADLK;
		world_advance(w, next);
		return 0;
	}
	w->waiting = true;
	w->wait_until = until;
	give_back(w);
	while (!w->handed_over)
		pthread_cond_wait(&w->turn, &w->lock);
	return 0;
}

bool world_left(struct world *w)
{
	if (!w->waiting || is_driver(w))
		return false;
	w->waiting = false;
	w->left = true;
	give_back(w);
	return true;
}

/* ---- descriptors ---- */

struct file *file_new(struct world *w)
{
	struct file *f;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	f = fd < FILES_MAX ? calloc(1, sizeof(*f)) : NULL;
	if (!f) {
		syscall(SYS_close, fd);
		return NULL;
	}
	f->fd = fd;
	w->file[fd] = f;
	return f;
}

struct file *file_get(struct world *w, int fd)
{
	return fd >= 0 && fd < FILES_MAX ? w->file[fd] : NULL;
}

void file_free(struct world *w, struct file *f)
{
	if (f->accepted)
		stack_close(f->accepted, w->now);
	if (f->sock)
		stack_close(f->sock, w->now);
	w->file[f->fd] = NULL;
	syscall(SYS_close, f->fd); /* not close(): the preloaded one leads here */
	free(f);
}
