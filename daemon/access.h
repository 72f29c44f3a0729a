/*
 * Who may do what, [Access] of the configuration: lists of users and groups, and ports and
 * addresses that are kept for some of them. access.c asks, config_access.c reads the keys.
 */
#ifndef BYWAY_DAEMON_ACCESS_H
#define BYWAY_DAEMON_ACCESS_H

#include "stack/stack.h"

#include <stdbool.h>
#include <stdint.h>

#define ACCESS_NAMES 16  /* users and groups of one list */
#define ACCESS_RULES 16  /* BindPorts=, and as many BindAddresses= */
#define ACCESS_RANGES 16 /* ranges of ports, or addresses, of one rule */

/* Users and groups, as numbers: names are looked up when the configuration is read. */
struct access_list {
	bool given; /* the key is in the configuration */
	bool all;   /* everybody */
	uint8_t count;
	struct {
		bool group;
		uint32_t id; /* of the group or the user */
	} who[ACCESS_NAMES];
};

/* Ports that are kept for some. */
struct access_ports {
	struct access_list who;
	uint8_t count;
	struct {
		uint16_t first, last;
	} range[ACCESS_RANGES];
};

/* Local addresses that are kept for some. */
struct access_addresses {
	struct access_list who;
	uint8_t count;
	struct stack_addr address[ACCESS_RANGES];
};

struct access {
	struct access_list see;        /* See=own: everybody's sockets, to look at */
	struct access_list open;       /* Open=, not given: the members of [Control] Group= */
	struct access_list privileged; /* BindPrivileged=: every port below 1024 */
	struct access_list administer; /* Administer=, beside root and the daemon's own user */
	struct access_ports port[ACCESS_RULES]; /* BindPorts=WHO: PORTS, may repeat */
	uint8_t ports;
	struct access_addresses address[ACCESS_RULES]; /* BindAddresses=WHO: ADDRESSES, may repeat */
	uint8_t addresses;
};

#endif
