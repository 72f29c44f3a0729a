/* Reads the table of sockets with sock_diag, as ss does. */
#include "cli/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct socket_table *table;
	uint8_t protocol;
};

static struct socket_row *row_new(struct socket_table *t)
{
	if (t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct socket_row *rows = realloc(t->rows, room * sizeof(*rows));
		if (!rows)
			return NULL;
		t->rows = rows;
		t->room = room;
	}
	struct socket_row *row = &t->rows[t->count++];
	*row = (struct socket_row){0};
	return row;
}

static void take_address(struct byway_address *out, const __be32 addr[4], __be16 port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(out->addr, mapped, sizeof(mapped));
	memcpy(out->addr + sizeof(mapped), &addr[0], 4);
	out->port = ntohs(port);
}

static void take_string(struct socket_row *row, const struct nlattr *a, const char *format)
{
	char text[17];

	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
		return;
	snprintf(text, sizeof(text), "%s", mnl_attr_get_str(a));
	snprintf(row->opener_name, sizeof(row->opener_name), format, text);
}

static int take_attribute(const struct nlattr *a, void *arg)
{
	struct socket_row *row = arg;

	if (mnl_attr_get_type(a) == BYWAY_DIAG_PID && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		row->opener = mnl_attr_get_u32(a);
	else if (mnl_attr_get_type(a) == BYWAY_DIAG_COMM)
		take_string(row, a, "%s");
	else if (mnl_attr_get_type(a) == BYWAY_DIAG_SERVICE)
		take_string(row, a, "[%s]");
	return MNL_CB_OK;
}

static int take_socket(const struct nlmsghdr *m, void *arg)
{
	const struct inet_diag_msg *d = mnl_nlmsg_get_payload(m);
	struct reader *reader = arg;
	struct socket_row *row;

	if (m->nlmsg_type != SOCK_DIAG_BY_FAMILY || mnl_nlmsg_get_payload_len(m) < sizeof(*d))
		return MNL_CB_ERROR;
	row = row_new(reader->table);
	if (!row)
		return MNL_CB_ERROR;
	row->id = (uint64_t)d->id.idiag_cookie[1] << 32 | d->id.idiag_cookie[0];
	row->recv_q = d->idiag_rqueue;
	row->send_q = d->idiag_wqueue;
	row->uid = d->idiag_uid;
	row->inode = d->idiag_inode;
	row->state = d->idiag_state;
	row->protocol = reader->protocol;
	take_address(&row->local, d->id.idiag_src, d->id.idiag_sport);
	take_address(&row->remote, d->id.idiag_dst, d->id.idiag_dport);
	return mnl_attr_parse(m, sizeof(*d), take_attribute, row);
}

static int read_protocol(struct byway *b, struct socket_table *t, uint8_t protocol, uint32_t states)
{
	struct reader reader = {.table = t, .protocol = protocol};
	struct nlmsghdr *m = talk_begin(b, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(m, sizeof(*req));

	req->sdiag_family = AF_INET;
	req->sdiag_protocol = protocol;
	req->idiag_states = states;
	return talk_exchange(b, m, take_socket, &reader, NULL);
}

static int compare_rows(const void *a, const void *b)
{
	const struct socket_row *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* A table that changes while it is read may show a socket twice: the later word counts no less. */
static void sort_unique(struct socket_table *t)
{
	size_t kept = 0;

	if (t->count)
		qsort(t->rows, t->count, sizeof(*t->rows), compare_rows);
	for (size_t i = 0; i < t->count; i++)
		if (kept == 0 || t->rows[kept - 1].id != t->rows[i].id)
			t->rows[kept++] = t->rows[i];
	t->count = kept;
}

int sockets_read(struct byway *b, struct socket_table *t, unsigned protocols, uint32_t states)
{
	static const uint8_t each[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP}; /* in the order of the bits */

	*t = (struct socket_table){0};
	for (unsigned i = 0; i < sizeof(each); i++) {
		if (!(protocols & 1u << i) || read_protocol(b, t, each[i], states) == 0)
			continue;
		int error = errno;
		sockets_free(t);
		errno = error;
		return -1;
	}
	sort_unique(t);
	return 0;
}

void sockets_free(struct socket_table *t)
{
	free(t->rows);
	*t = (struct socket_table){0};
}
