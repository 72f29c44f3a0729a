/* sock_diag, what its files share: diag.c (requests, dumps, events), diag_socket.c (one socket), diag_filter.c. */
#ifndef BYWAY_DAEMON_DIAG_H
#define BYWAY_DAEMON_DIAG_H

#include "daemon/control.h"
#include "daemon/diag_filter.h"

/* ---- diag_socket.c ---- */

/* The kernel's number of a state (idiag_state, and as a bit of idiag_states). */
uint8_t diag_state(enum tcp_state state);
/* Adds the message about one socket; ext: the bits of idiag_ext. */
void diag_put(struct reply *r, const struct stack_tcb_info *t, uint8_t ext, stack_time now);

#endif
