/* The list of all endpoints: services' and owners' sockets of the stack. */
#include "daemon/daemon.h"

void endpoint_link(struct daemon *d, struct endpoint *e)
{
	e->next = d->endpoints;
	e->previous = NULL;
	if (e->next)
		e->next->previous = e;
	d->endpoints = e;
	d->endpoint_count++;
	d->connections += e->connection;
}

void endpoint_unlink(struct daemon *d, struct endpoint *e)
{
	if (e->previous)
		e->previous->next = e->next;
	else
		d->endpoints = e->next;
	if (e->next)
		e->next->previous = e->previous;
	d->endpoint_count--;
	d->connections -= e->connection;
}

/* Closing one may close others with it (a listener and what waits in it), so each step starts anew. */
void endpoints_close_all(struct daemon *d, bool abort)
{
	while (d->endpoints)
		d->endpoints->ops->close(d->endpoints, abort);
}
