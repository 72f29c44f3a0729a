/*
 * MSG_MORE of datagram sockets: what is written with it waits, and the next write without it sends
 * all of that as one datagram, to where the first of them was to go (udp(7)). The others' addresses
 * are not looked at, as the host does not.
 *
 * Only a program under `byway run` can say so (BYWAY_SOCK_SEND), but what it writes into its descriptor
 * may be the rest.
 */
#include "daemon/owner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_MAX 65507u    /* bytes of one datagram */
#define CORKED_MAX (4u << 20) /* bytes of all that wait: programs send the rest at once */

struct cork {
	struct stack_endpoint to;
	struct stack_departure how;
	size_t len;
	uint8_t data[];
};

void cork_free(struct cork **cork, struct daemon *d)
{
	if (*cork)
		d->corked -= sizeof(**cork) + (*cork)->len;
	free(*cork);
	*cork = NULL;
}

/* What can be told before all of it is there. 0 or a negative errno. */
static int begin(struct cork **cork, struct daemon *d, const struct stack_endpoint *to, const struct stack_departure *how)
{
	struct stack_way way;

	if (to->port == 0)
		return -EDESTADDRREQ;
	if (stack_route_find(d->stack, &to->addr, &way) != 0)
		return -ENETUNREACH;
	*cork = calloc(1, sizeof(**cork));
	if (!*cork)
		return -ENOBUFS;
	d->corked += sizeof(**cork);
	(*cork)->to = *to;
	(*cork)->how = *how;
	return 0;
}

static int append(struct cork **cork, struct daemon *d, const void *data, size_t len)
{
	size_t whole = (*cork)->len + len;

	if (whole > PAYLOAD_MAX)
		return -EMSGSIZE;
	struct cork *longer = d->corked + len <= CORKED_MAX ? realloc(*cork, sizeof(**cork) + whole) : NULL;
	if (!longer)
		return -ENOBUFS;
	d->corked += len;
	if (len > 0)
		memcpy(longer->data + longer->len, data, len);
	longer->len = whole;
	*cork = longer;
	return 0;
}

int cork_write(struct cork **cork, struct endpoint *e, const struct stack_endpoint *to, const struct stack_departure *how,
	       const void *data, size_t len, bool more)
{
	int error = *cork ? 0 : begin(cork, e->daemon, to, how);

	if (!error)
		error = append(cork, e->daemon, data, len);
	if (!error && more)
		return 0;
	if (!error) {
		ptrdiff_t n = stack_sendmsg(e->sock, daemon_now(), &(*cork)->to, &(*cork)->how, (*cork)->data, (*cork)->len);
		error = n < 0 ? (int)n : 0;
	}
	cork_free(cork, e->daemon); /* an error costs all of it, as it does on the host */
	return error;
}
