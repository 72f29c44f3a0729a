/*
 * Two stacks in memory, one connection, no checksums, no system calls in the transfer: what one full data segment costs both ends, acknowledgements included. Run
 * under callgrind for instructions; `segments MEBIBYTES`. Frames are cut to the MSS (no
 * offload) so that a segment here is what others count as one.
 */
#include "stack/stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE 4096
#define FRAME 2048

struct wire {
	struct stack *to;
	uint8_t (*frame)[FRAME];
	size_t len[QUEUE];
	unsigned head, tail;
};

struct end {
	struct stack *stack;
	struct wire *out;
	uint64_t received;
};

static bool transmit(void *context, const struct stack_output *o)
{
	struct end *e = context;
	struct wire *w = e->out;
	size_t len = 0;

	if (w->tail - w->head == QUEUE || o->len > FRAME)
		return false;
	for (unsigned i = 0; i < o->iov_count; i++) {
		memcpy(w->frame[w->tail % QUEUE] + len, o->iov[i].iov_base, o->iov[i].iov_len);
		len += o->iov[i].iov_len;
	}
	w->len[w->tail++ % QUEUE] = len;
	return true;
}

static size_t receive(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	struct end *e = context;

	(void)sock;
	(void)user;
	(void)data;
	e->received += len;
	return len;
}

static void start(struct end *e, struct wire *out, uint8_t last)
{
	struct stack_ops ops = {.transmit = transmit, .receive = receive};
	uint8_t address[4] = {198, 18, 0, last};
	struct stack_addr addr = stack_addr_v4(address);
	struct stack_config c;

	stack_config_default(&c);
	c.link = STACK_LINK_IP;
	c.offload = STACK_OFFLOAD_CSUM; /* nobody sums: the receiver is told that it is good */
	c.seed[0] = last;
	e->out = out;
	e->stack = stack_new(&c, &ops, e, 0);
	out->frame = calloc(QUEUE, FRAME);
	if (!e->stack || !out->frame || stack_address_add(e->stack, 0, &addr, 24))
		abort();
}

static void carry(struct wire *w, struct stack *to, stack_time now)
{
	while (w->head != w->tail) {
		struct stack_frame f = {.data = w->frame[w->head % QUEUE], .len = w->len[w->head % QUEUE], .csum_good = true};

		w->head++;
		stack_input(to, now, &f);
	}
	while (stack_run(to, now))
		;
}

/* What came before the connection was accepted. */
static size_t drain(struct sock *sock, stack_time now)
{
	struct iovec iov[16];
	unsigned n = 16;
	size_t len, sum = 0;

	while ((len = stack_recv_peek(sock, iov, &n)) > 0) {
		stack_recv_consume(sock, now, len);
		sum += len;
		n = 16;
	}
	return sum;
}

int main(int argc, char **argv)
{
	uint64_t total = (uint64_t)(argc > 1 ? atoi(argv[1]) : 64) << 20, sent = 0;
	struct end a = {0}, b = {0};
	static struct wire ab, ba;
	uint8_t address[4] = {198, 18, 0, 2};
	struct stack_endpoint server = {.addr = stack_addr_v4(address), .port = 9};
	struct sock *listener, *client, *peer = NULL;
	stack_time now = 0;
	int one;

	start(&a, &ab, 1);
	start(&b, &ba, 2);
	listener = stack_socket(b.stack, STACK_TCP, 0, &one);
	client = stack_socket(a.stack, STACK_TCP, 0, &one);
	if (stack_bind(listener, &server) || stack_listen(&listener, 1) || stack_connect(&client, now, &server))
		abort();
	while (b.received < total && now < 1000000000) {
		struct iovec iov[8];
		unsigned n = 8;
		size_t room = sent < total ? stack_send_space(client, 65536, iov, &n) : 0;

		if (room > total - sent)
			room = (size_t)(total - sent);
		if (sent < total)
			stack_send_commit(client, now, room);
		sent += room;
		while (stack_run(a.stack, now))
			;
		carry(&ab, b.stack, now);
		if (!peer && (peer = stack_accept(listener))) {
			stack_set_user(peer, &one);
			b.received += drain(peer, now);
		}
		carry(&ba, a.stack, now);
		now += 50;
	}
	printf("%llu bytes\n", (unsigned long long)b.received);
	stack_free(a.stack);
	stack_free(b.stack);
	free(ab.frame);
	free(ba.frame);
	return b.received == total ? 0 : 1;
}
