/* What forward.c (doors, TCP) and forward_udp.c share. */
#ifndef BYWAY_DAEMON_FORWARD_H
#define BYWAY_DAEMON_FORWARD_H

#include "daemon/owner.h"

#include <sys/socket.h>
#include <sys/un.h>

struct sessions; /* forward_udp.c */

/* One [Forward "NAME"]. Its door is on the stack (inwards) or on the host. */
struct forward {
	struct endpoint endpoint;      /* the stack's listening or datagram socket; without a sock outwards */
	struct config_forward config;
	sd_event_source *source;       /* of the host's door */
	int fd;                        /* the host's door; -1: none */
	struct sessions *sessions;     /* UDP; NULL: TCP */
	stack_time complained;         /* when a failure was last logged */
	uint32_t failures;             /* since then */
};

/* A place of the host as an address; its length. */
union host_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
};
socklen_t forward_host_address(const struct config_place *p, union host_address *out);
/* A non-blocking socket of the host for a place, or negative errno. */
int forward_host_socket(const struct config_place *p);
/* Says in the log why something could not be forwarded, at most once in ten seconds. */
void forward_failed(struct forward *f, int error);
/* Its connections and sessions count as the daemon's own user's. */
struct owner forward_owner(void);

/* endpoint_ops.close of the stack's door. */
void forward_door_close(struct endpoint *e, bool abort);

/* ---- forward_udp.c ---- */
int forward_udp_start(struct forward *f);
void forward_udp_stop(struct forward *f);

#endif
