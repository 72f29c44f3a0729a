/*
 * rtnetlink(7), what its files share: rtnl.c (requests: links, addresses, neighbours),
 * rtnl_change.c (what the administrator changes), rtnl_route.c (routes), rtnl_rule.c (rules).
 *
 * There are two links: lo, which is the stack's own 127.0.0.0/8, and the one to the outside,
 * whose name, MTU and hardware address are the daemon's side of the TAP or TUN as the stack
 * sees them. Error texts begin with the words that scripts know from strerror(3).
 */
#ifndef BYWAY_DAEMON_RTNL_H
#define BYWAY_DAEMON_RTNL_H

#include "daemon/control.h"

#include <linux/rtnetlink.h>

#define LINK_LO 1
#define LINK_INDEX 2

/* An attribute that a request may carry. */
struct rtnl_attribute {
	uint16_t type;
	uint16_t size; /* bytes; 0: any */
	const char *name;
};
/*
 * The attributes behind a fixed header of `header` bytes: found[i] is that of row i, or NULL.
 * strict: others are refused (-EOPNOTSUPP, with the offset of the one), else skipped. 0 or after
 * request_fail.
 */
int rtnl_attributes(struct request *q, size_t header, const struct rtnl_attribute *rows, size_t count, bool strict,
		    const struct nlattr **found);
/* The IPv4 address in an attribute of 4 bytes; NULL: any. */
struct stack_addr rtnl_address(const struct nlattr *a);
/* "strerror: what" as the text; returns the error. */
int rtnl_fail(struct request *q, int error, const char *what);
/* An index in a header or attribute is that of the link to the outside, or 0. 0 or after rtnl_fail. */
int rtnl_link_check(struct request *q, uint32_t index);

void rtnl_put_ip4(struct reply *r, uint16_t type, const struct stack_addr *a);

/* ---- one object as a message; `type` RTM_NEW* or RTM_DEL* ---- */
void rtnl_put_address(struct reply *r, uint16_t type, const struct stack_address_info *info);
void rtnl_put_neigh(struct reply *r, uint16_t type, const struct stack_neigh_info *info);
void rtnl_put_route(struct reply *r, uint16_t type, const struct stack_route_info *info);

/* ---- rtnl_route.c ---- */
bool rtnl_route_step(struct client *c, struct reply *r); /* of a dump */
/* rtnl_rule.c: a dump of rules. */
bool rtnl_rule_step(struct client *c, struct reply *r);
int rtnl_route_get(struct request *q);                   /* RTM_GETROUTE of one destination */
int rtnl_route_new(struct request *q);
int rtnl_route_delete(struct request *q);

#endif
