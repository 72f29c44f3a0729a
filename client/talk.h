/*
 * The conversation with the daemon, for libbyway's own files and the CLI: requests out,
 * answers in. Not installed.
 */
#ifndef BYWAY_TALK_H
#define BYWAY_TALK_H

#include "client/byway.h"
#include "client/protocol.h"

#include <libmnl/libmnl.h>
#include <stdbool.h>

#define TALK_PATIENCE 10000   /* milliseconds for an answer, connects excepted */
#define TALK_REQUEST_MAX 4096 /* bytes of one request of ours */

struct byway {
	int fd;
	uint32_t seq;               /* of the request in hand */
	uint64_t last_id;           /* of the last descriptor made */
	struct byway_address local; /* its own address */
	char error[256];            /* what was said about the last failure */
	bool refused;               /* the last failure is the daemon's answer: nothing was done */
	bool timed;                 /* talk_often: reading ends by itself after TALK_PATIENCE */
	uint32_t preset_len;        /* bytes of `preset` */
	_Alignas(8) uint8_t preset[BYWAY_OPTIONS_MAX]; /* BYWAY_A_OPTIONS of the next socket */
	_Alignas(8) uint8_t request[TALK_REQUEST_MAX];
	_Alignas(8) uint8_t answer[BYWAY_MESSAGE_MAX];
};

/* Begins a request in b->request; add attributes to it with libmnl. */
struct nlmsghdr *talk_begin(struct byway *b, uint16_t type, uint16_t flags);
/*
 * Sends it and hands every answer to `each` until the last one. `*fd`, when wanted, is the
 * descriptor that came along, or -1. 0, or -1 with errno and byway_error set.
 */
int talk_exchange(struct byway *b, struct nlmsghdr *request, mnl_cb_t each, void *arg, int *fd);
/* The same with several: `count` places, of which those that got none are -1. */
int talk_exchange_all(struct byway *b, struct nlmsghdr *request, mnl_cb_t each, void *arg, int *fd, unsigned count);
/* For who asks often and gives the conversation to nobody: one system call less for each answer. */
void talk_often(struct byway *b);
/* Keeps the words; sets errno and returns -1. */
int talk_fail(struct byway *b, int error, const char *text);

/* option.c: adds what byway_presetsockopt was told, once. */
void option_put_presets(struct byway *b, struct nlmsghdr *m);

/* From and to the host's addresses. False: not IPv4, nor IPv6 with a mapped IPv4 address. */
bool talk_address_from(struct byway_address *out, const struct sockaddr *sa, socklen_t len);
/* As accept(2): *len is the room, then the size. Always IPv4. */
void talk_address_to(struct sockaddr *sa, socklen_t *len, const struct byway_address *in);

#endif
