/*
 * Filters in byte code (INET_DIAG_REQ_BYTECODE): conditions on addresses and ports that ss
 * compiles from `dport = :80` and sends along with a dump.
 *
 * A program is a sequence of operations; each says how many bytes to go on when its condition
 * holds and how many when not. It accepts a socket by ending exactly at its end. It comes from
 * whoever may connect to the control socket, so it is checked once, as a whole, before it is run.
 */
#ifndef BYWAY_DAEMON_DIAG_FILTER_H
#define BYWAY_DAEMON_DIAG_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIAG_FILTER_MAX 4096 /* bytes of a program; ss needs about 20 for a condition */

/* What of a socket a program can ask for. */
struct diag_subject {
	uint8_t src[4], dst[4];  /* IPv4 addresses, network order */
	uint16_t sport, dport;   /* host order */
	uint32_t ifindex;        /* of the link that it is bound to; 0: none */
	bool port_chosen;        /* the stack chose the local port */
};

/* 0: the program can be run; -EINVAL, or -EMSGSIZE when it is longer than DIAG_FILTER_MAX. */
int diag_filter_check(const void *program, size_t len);
/* Runs a checked program: true: the socket is wanted. At most len / 4 steps. */
bool diag_filter_run(const void *program, size_t len, const struct diag_subject *subject);

#endif
