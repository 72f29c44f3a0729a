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

#define PAYLOAD_MAX 65507u /* bytes of one datagram */

struct cork {
	struct stack_endpoint to;
	struct stack_departure how;
	size_t len;
	uint8_t data[];
};

void cork_free(struct cork **cork, struct endpoint *e)
{
	if (*cork)
		share_return(e, SHARE_CORKED, sizeof(**cork) + (*cork)->len);
	free(*cork);
	*cork = NULL;
}

/* What can be told before all of it is there. 0 or a negative errno. */
static int begin(struct cork **cork, struct endpoint *e, const struct stack_endpoint *to, const struct stack_departure *how)
{
	struct stack_way way;

	if (to->port == 0)
		return -EDESTADDRREQ;
	if (stack_route_find(e->daemon->stack, &to->addr, &way) != 0)
		return -ENETUNREACH;
	if (!share_take(e, SHARE_CORKED, sizeof(**cork)))
		return -ENOBUFS;
	*cork = calloc(1, sizeof(**cork));
	if (!*cork) {
		share_return(e, SHARE_CORKED, sizeof(**cork));
		return -ENOBUFS;
	}
	(*cork)->to = *to;
	(*cork)->how = *how;
	return 0;
}

static int append(struct cork **cork, struct endpoint *e, const void *data, size_t len)
{
	size_t whole = (*cork)->len + len;

	if (whole > PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!share_take(e, SHARE_CORKED, len))
		return -ENOBUFS;
	struct cork *longer = realloc(*cork, sizeof(**cork) + whole);
	if (!longer) {
		share_return(e, SHARE_CORKED, len);
		return -ENOBUFS;
	}
	if (len > 0)
		memcpy(longer->data + longer->len, data, len);
	longer->len = whole;
	*cork = longer;
	return 0;
}

int cork_write(struct cork **cork, struct endpoint *e, const struct stack_endpoint *to, const struct stack_departure *how,
	       const void *data, size_t len, bool more)
{
	int error = *cork ? 0 : begin(cork, e, to, how);

	if (!error)
		error = append(cork, e, data, len);
	if (!error && more)
		return 0;
	if (!error) {
		ptrdiff_t n = stack_sendmsg(e->sock, daemon_now(), &(*cork)->to, &(*cork)->how, (*cork)->data, (*cork)->len);
		error = n < 0 ? (int)n : 0;
	}
	cork_free(cork, e); /* an error costs all of it, as it does on the host */
	return error;
}
