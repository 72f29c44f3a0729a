/* What config.c (the table and the file) and config_value.c (how values are written) share. */
#ifndef BYWAY_DAEMON_CONFIG_H
#define BYWAY_DAEMON_CONFIG_H

#include "daemon/daemon.h"

/* One key of the configuration file. */
struct config_key {
	const char *section, *name;
	/*
	 * Stores the value; `first`: forget what is there (a repeating key came from the defaults
	 * or from an earlier source). NULL, or what is wrong with the text.
	 */
	const char *(*parse)(struct config *c, const struct config_key *key, const char *text, bool first);
	uint64_t min, max;   /* of numbers, sizes (bytes) and durations (microseconds) */
	const char *expects; /* what to write instead; NULL: said from the limits */
	uint16_t offset;     /* in struct config */
	uint8_t width;       /* bytes of the field there */
	bool repeats;        /* may be given more than once */
};

const char *config_bool(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_number(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_size(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_duration(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_string(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_link_type(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_link_name(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_mac(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_host(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_address(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_gateway(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_route(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_congestion_control(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_ecn(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_mtu_probing(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_fastopen(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_probe(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_ports(struct config *c, const struct config_key *key, const char *text, bool first);

/* ---- config_access.c ---- */
const char *config_who(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_bind_ports(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_bind_addresses(struct config *c, const struct config_key *key, const char *text, bool first);
const char *config_dns(struct config *c, const struct config_key *key, const char *text, bool first);

/* ---- config_forward.c ---- */
/* The NAME of a section called `Forward "NAME"` (without the brackets, `len` bytes), or false. */
bool config_forward_name(const char *section, size_t len, char name[CONFIG_NAME_MAX]);
/* One key of that section; NULL, or what is wrong with it and what to write. `replace`: a second value is no mistake. */
const char *config_forward(struct config *c, const char *forward, const char *key, const char *text, bool replace);
/* What the keys of one forward must agree on; decides which end is the stack's. NULL, or what is wrong. */
const char *config_forward_check(const struct config *c, struct config_forward *f);

/* Writes what `key` expects, for a message. */
void config_expects(const struct config_key *key, char *out, size_t size);

/* The first `prefix` bits of both IPv4 addresses are the same. */
bool config_same_prefix(const struct stack_addr *a, const struct stack_addr *b, uint8_t prefix);

#endif
