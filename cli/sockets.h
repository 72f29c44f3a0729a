/* The stack's sockets as the CLI holds them: read from the daemon, and joined with their processes. */
#ifndef BYWAY_CLI_SOCKETS_H
#define BYWAY_CLI_SOCKETS_H

#include "cli/cli.h"

struct socket_row {
	uint64_t id;
	uint64_t recv_q, send_q; /* bytes; listening: the accept queue's length and limit */
	struct byway_address local, remote;
	uint32_t uid;
	uint32_t inode;     /* of the owner's descriptor, 0: none */
	uint32_t opener;    /* the process that opened it, 0: a service, or nobody's any more */
	uint32_t pid;       /* the process that has it open, 0: none found */
	uint8_t state;      /* sock_diag's number */
	uint8_t protocol;   /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP (a ping socket) */
	char opener_name[24]; /* "[echo]": a service of the daemon */
	char process[24];     /* the name of pid */
};

struct socket_table {
	struct socket_row *rows; /* sorted by id */
	size_t count, room;
};

/* Protocols of sockets, as bits. */
enum { SOCKETS_TCP = 1, SOCKETS_UDP = 2, SOCKETS_PING = 4, SOCKETS_ALL = 7 };
/* All sockets of the protocols and states asked for. 0, or -1 with errno and byway_error set. */
int sockets_read(struct byway *b, struct socket_table *t, unsigned protocols, uint32_t states);
void sockets_free(struct socket_table *t);
/* Fills in pid and process: who has the endpoint open now, by /proc; where nobody is seen, who opened it. */
void sockets_find_processes(struct socket_table *t);

#endif
