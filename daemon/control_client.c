/*
 * One conversation on the control socket: its queue of answers, its requests, who it is.
 *
 * Requests are read only when the answers before have been taken, so a client's queue stays
 * as long as one turn makes it (control.h). Descriptors that a client sends unasked are never
 * installed: packets are read by recv, which has no room for them.
 */
#include "daemon/control.h"
#include "daemon/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- output ---- */

void client_hang_up(struct client *c)
{
	shutdown(c->fd, SHUT_RDWR);
}

static ssize_t packet_write(int sock, const void *data, size_t len, const int *fd, unsigned fds)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(BYWAY_RING_DESCRIPTORS * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds > 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(fds * sizeof(int));
		memcpy(CMSG_DATA(head), fd, fds * sizeof(int));
	}
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void close_all(const int *fd, unsigned fds)
{
	for (unsigned i = 0; i < fds; i++)
		close(fd[i]);
}

static void packet_free(struct packet *p)
{
	close_all(p->fd, p->fds);
	free(p);
}

static void client_drop_queue(struct client *c)
{
	while (c->out) {
		struct packet *p = c->out;
		c->out = p->next;
		packet_free(p);
	}
	c->out_tail = &c->out;
	c->out_bytes = 0;
}

static bool client_enqueue(struct client *c, const void *data, size_t len, const int *fd, unsigned fds)
{
	struct packet *p = malloc(sizeof(*p) + len);

	if (!p)
		return false;
	*p = (struct packet){.fds = fds, .len = len};
	for (unsigned i = 0; i < fds; i++)
		p->fd[i] = fd[i];
	memcpy(p->data, data, len);
	if (!c->out)
		c->moved = daemon_now();
	*c->out_tail = p;
	c->out_tail = &p->next;
	c->out_bytes += len;
	return true;
}

bool client_busy(const struct client *c)
{
	return c->out || c->dump.step || c->rest;
}

/* What a client is waited for. Idle: its next request. Otherwise: room for the rest of the work. */
static void client_wait(struct client *c)
{
	bool busy = client_busy(c);

	loop_rewatch(c->control->daemon, &c->watch, busy ? EPOLLOUT : EPOLLIN);
	if (busy)
		control_watch(c->control);
}

static void client_send(struct client *c, const void *data, size_t len, const int *fd, unsigned fds)
{
	if (!c->out && packet_write(c->fd, data, len, fd, fds) >= 0) {
		close_all(fd, fds);
		return;
	}
	if ((c->out || errno == EAGAIN) && client_enqueue(c, data, len, fd, fds)) {
		client_wait(c);
		return;
	}
	close_all(fd, fds);
	client_hang_up(c);
}

/* False: the client cannot be written to any more. */
static bool client_flush(struct client *c)
{
	while (c->out) {
		struct packet *p = c->out;

		if (packet_write(c->fd, p->data, p->len, p->fd, p->fds) < 0)
			return errno == EAGAIN;
		c->out = p->next;
		if (!c->out)
			c->out_tail = &c->out;
		c->out_bytes -= p->len;
		packet_free(p);
	}
	return true;
}

/* ---- answers ---- */

void reply_open(struct reply *r, struct client *c, uint32_t seq, uint16_t flags)
{
	*r = (struct reply){.client = c, .seq = seq, .flags = flags, .buffer = c->control->out};
}

static void reply_end_message(struct reply *r)
{
	if (r->head)
		r->len += NLMSG_ALIGN((size_t)r->head->nlmsg_len);
	r->head = NULL;
}

static void reply_flush(struct reply *r, const int *fd, unsigned fds)
{
	reply_end_message(r);
	if (r->len)
		client_send(r->client, r->buffer, r->len, fd, fds);
	else
		close_all(fd, fds);
	r->len = 0;
}

void *reply_message(struct reply *r, uint16_t type, size_t header)
{
	reply_end_message(r);
	if (r->len + CONTROL_MESSAGE > BYWAY_MESSAGE_MAX)
		reply_flush(r, NULL, 0);
	r->head = mnl_nlmsg_put_header(r->buffer + r->len);
	r->head->nlmsg_type = type;
	r->head->nlmsg_flags = r->flags;
	r->head->nlmsg_seq = r->seq;
	r->head->nlmsg_pid = r->client->netlink_port;
	return mnl_nlmsg_put_extra_header(r->head, header);
}

void reply_put(struct reply *r, uint16_t type, size_t len, const void *data)
{
	mnl_attr_put_check(r->head, CONTROL_MESSAGE, type, len, data);
}

void reply_u32(struct reply *r, uint16_t type, uint32_t value)
{
	reply_put(r, type, sizeof(value), &value);
}

void reply_u64(struct reply *r, uint16_t type, uint64_t value)
{
	reply_put(r, type, sizeof(value), &value);
}

void reply_string(struct reply *r, uint16_t type, const char *text)
{
	if (text)
		mnl_attr_put_strz_check(r->head, CONTROL_MESSAGE, type, text);
}

void reply_address(struct reply *r, uint16_t type, const struct stack_endpoint *endpoint)
{
	struct byway_address a = {.port = endpoint->port};

	if (!stack_addr_is_any(&endpoint->addr))
		memcpy(a.addr, endpoint->addr.byte, sizeof(a.addr));
	reply_put(r, type, sizeof(a), &a);
}

bool reply_full(const struct reply *r)
{
	return r->len + (r->head ? r->head->nlmsg_len : 0) >= CONTROL_PACKET;
}

void reply_send_all(struct reply *r, const int *fd, unsigned fds)
{
	reply_flush(r, fd, fds);
}

void reply_send(struct reply *r, int fd)
{
	reply_flush(r, &fd, fd >= 0);
}

void reply_error(struct client *c, const struct nlmsghdr *request, int error, const char *text, uint32_t bad_attr)
{
	struct reply r;

	reply_open(&r, c, request->nlmsg_seq, NLM_F_CAPPED | NLM_F_ACK_TLVS);
	struct nlmsgerr *e = reply_message(&r, NLMSG_ERROR, sizeof(*e));
	e->error = error;
	e->msg = *request;
	reply_string(&r, NLMSGERR_ATTR_MSG, text);
	if (bad_attr)
		reply_u32(&r, NLMSGERR_ATTR_OFFS, bad_attr);
	reply_send(&r, -1);
}

/* ---- dumps ---- */

void dump_start(struct client *c, uint32_t seq, bool (*step)(struct client *c, struct reply *r))
{
	c->dump = (struct dump){.seq = seq, .step = step};
}

static void dump_end(struct client *c)
{
	free(c->dump.filter);
	c->dump.filter = NULL;
	c->dump.step = NULL;
}

/* One packet of the dump; the last one ends with NLMSG_DONE. */
static void dump_turn(struct client *c)
{
	struct reply r;

	reply_open(&r, c, c->dump.seq, NLM_F_MULTI);
	if (!c->dump.step(c, &r)) {
		memset(reply_message(&r, NLMSG_DONE, sizeof(int32_t)), 0, sizeof(int32_t));
		dump_end(c);
	}
	reply_send(&r, -1);
}

/* ---- input ---- */

static bool client_ready(const struct client *c)
{
	return !c->dump.step && c->out_bytes < CONTROL_QUEUE;
}

/* A message whose length does not fit its packet: what follows in the packet cannot be told apart. */
static void packet_refuse(struct client *c, const struct nlmsghdr *head, int left)
{
	struct nlmsghdr none = {0};

	if (left >= (int)sizeof(*head))
		reply_error(c, head, -EINVAL, "the message's length is below its header's or above the packet's", 0);
	else
		reply_error(c, &none, -EINVAL, "the packet ends inside a message header", 0);
}

/* iproute2 sends its whole buffer: zeros behind the message. */
static bool packet_is_padding(const uint8_t *data, const struct nlmsghdr *head, int left)
{
	return (const uint8_t *)head != data && left >= (int)sizeof(*head) && head->nlmsg_len == 0;
}

/* Answers messages of a packet while *budget lasts; returns the bytes that are left for later. */
static size_t packet_handle(struct client *c, const uint8_t *data, size_t len, unsigned *budget)
{
	const struct nlmsghdr *head = (const void *)data;
	int left = (int)len;

	while (left > 0) {
		unsigned cost = 1;

		if (packet_is_padding(data, head, left))
			return 0;
		if (*budget == 0 || !client_ready(c))
			return (size_t)left;
		bool whole = byway_message_ok(head, (size_t)left);
		if (whole)
			cost = request_handle(c, head);
		else
			packet_refuse(c, head, left);
		*budget -= cost < *budget ? cost : *budget;
		if (!whole)
			return 0;
		head = mnl_nlmsg_next(head, &left);
	}
	return 0;
}

static bool client_keep_rest(struct client *c, const uint8_t *data, size_t len)
{
	free(c->rest);
	c->rest = NULL;
	c->rest_len = len;
	if (len == 0)
		return true;
	c->rest = malloc(len);
	if (!c->rest)
		return false;
	memcpy(c->rest, data, len);
	return true;
}

static bool client_handle_rest(struct client *c, unsigned *budget)
{
	uint8_t *in = c->control->in;
	size_t len = c->rest_len;

	memcpy(in, c->rest, len);
	size_t left = packet_handle(c, in, len, budget);
	return client_keep_rest(c, in + len - left, left);
}

/* Reads and answers one packet. False: the client is gone, or broke the rules of the socket. */
static bool client_receive(struct client *c, unsigned *budget, bool *empty)
{
	uint8_t *in = c->control->in;
	ssize_t n = recv(c->fd, in, BYWAY_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);

	*empty = n < 0 && (errno == EAGAIN || errno == EINTR);
	if (n <= 0)
		return *empty;
	if (n > BYWAY_MESSAGE_MAX) {
		reply_error(c, (const void *)in, -EMSGSIZE, "the packet is too long", 0);
		(*budget)--;
		return true;
	}
	size_t left = packet_handle(c, in, (size_t)n, budget);
	return client_keep_rest(c, in + (size_t)n - left, left);
}

static bool client_requests(struct client *c)
{
	unsigned budget = CONTROL_TURN;
	bool empty = false;

	while (budget > 0 && !empty && !c->out && client_ready(c)) {
		bool alive = c->rest ? client_handle_rest(c, &budget) : client_receive(c, &budget, &empty);
		if (!alive)
			return false;
	}
	return true;
}

/* ---- clients ---- */

void client_free(struct client *c)
{
	pending_cancel_all(c);
	client_drop_queue(c);
	loop_unwatch(c->control->daemon, &c->watch);
	close(c->fd);
	free(c->rest);
	dump_end(c);
	free(c->gids);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->control->client_count--;
	if (c->groups)
		control_groups_changed(c->control);
	free(c);
}

static bool client_turn(struct client *c)
{
	c->moved = daemon_now();
	if (!client_flush(c))
		return false;
	if (!c->out && !client_requests(c))
		return false;
	if (!c->out && c->dump.step)
		dump_turn(c);
	client_wait(c);
	return true;
}

static void on_client(void *client, uint32_t events)
{
	struct client *c = client;
	struct daemon *d = c->control->daemon;

	workers_hold(d);
	/* A client that has closed wants no answer; what it still had to say is not carried out. */
	if ((events & (EPOLLHUP | EPOLLERR)) || !client_turn(c))
		client_free(c);
	workers_release(d);
}

static void client_read_name(struct owner *who)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)who->pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(who->comm, sizeof(who->comm), f))
		who->comm[0] = 0;
	who->comm[strcspn(who->comm, "\n")] = 0;
	fclose(f);
}

/* NULL, or why there is no room for this client. */
static const char *client_refusal(const struct client *c)
{
	const struct control *k = c->control;
	unsigned same = 0;

	if (c->admin)
		return k->client_count < CONTROL_CLIENTS ? NULL : "too many conversations on the control socket";
	if (k->client_count >= CONTROL_CLIENTS - CONTROL_CLIENTS_RESERVED)
		return "too many conversations on the control socket";
	for (const struct client *other = k->clients; other; other = other->next)
		same += other->owner.uid == c->owner.uid;
	return same < CONTROL_CLIENTS_UID ? NULL : "too many conversations of this user on the control socket";
}

static void client_link(struct client *c)
{
	struct control *k = c->control;

	c->next = k->clients;
	c->link = &k->clients;
	if (c->next)
		c->next->link = &c->next;
	k->clients = c;
	k->client_count++;
}

void client_new(struct control *k, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	struct nlmsghdr none = {0};

	if (!c) {
		close(fd);
		return;
	}
	c->control = k;
	c->fd = fd;
	c->out_tail = &c->out;
	int error = access_identify(c);
	client_read_name(&c->owner);
	const char *why = error ? "no credentials" : client_refusal(c);
	if (!error && !why)
		error = loop_watch(k->daemon, &c->watch, fd, EPOLLIN, on_client, c);
	if (why) {
		reply_error(c, &none, -EUSERS, why, 0);
		if (control_may_log(k))
			daemon_log(LOG_NOTICE, "control: refused to %s (pid %d, uid %u): %s", c->owner.comm,
				   (int)c->owner.pid, c->owner.uid, why);
	}
	if (why || error) {
		client_drop_queue(c);
		close(fd);
		free(c->gids);
		free(c);
		return;
	}
	client_link(c);
}
