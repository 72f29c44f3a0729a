/*
 * What a host shows of its TCP in /proc, for stand-ins of the commands with which scripts look there:
 * its counters (nstat) and its sockets (/proc/net/tcp). Both are files beside the one in which the
 * stand-in for sysctl writes.
 */
#include "tests/packetdrill/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *beside(const char *suffix)
{
	const char *path = getenv("BYWAY_SYSCTL");
	char name[4096];

	if (!path)
		return NULL;
	snprintf(name, sizeof(name), "%s.%s", path, suffix);
	return fopen(name, "we");
}

/* What the host would have counted under its name. */
static void counters_write(struct world *w)
{
	uint64_t ignored = 0;
	FILE *file;

	for (size_t i = 0; i < stack_counter_count(); i++)
		if (strcmp(stack_counter_name(i), "icmp.in_ignored") == 0)
			ignored = stack_counter(w->stack, i);
	file = ignored != w->icmp_ignored ? beside("counters") : NULL;
	if (!file)
		return;
	fprintf(file, "TcpExtOutOfWindowIcmps %llu\n", (unsigned long long)(ignored - w->icmp_ignored));
	fclose(file);
	w->icmp_ignored = ignored;
}

struct table {
	char text[2048];
	size_t len;
};

static void add(struct table *t, const struct stack_endpoint *e)
{
	uint32_t address;

	memcpy(&address, e->addr.byte + 12, sizeof(address));
	t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%08X:%04X ", address, e->port);
}

/* A line: number, both ends, state, in the host's columns. */
static bool add_socket(void *context, const struct stack_sock_info *info)
{
	/* The host's numbers of the states. */
	static const uint8_t state[TCP_STATE_COUNT] = {
		[TCP_CLOSED] = 7, [TCP_LISTEN] = 10, [TCP_SYN_SENT] = 2, [TCP_SYN_RECEIVED] = 3, [TCP_ESTABLISHED] = 1,
		[TCP_FIN_WAIT_1] = 4, [TCP_FIN_WAIT_2] = 5, [TCP_CLOSE_WAIT] = 8, [TCP_CLOSING] = 11, [TCP_LAST_ACK] = 9,
		[TCP_TIME_WAIT] = 6,
	};
	struct table *t = context;

	if (info->proto != STACK_TCP || info->state == TCP_CLOSED || t->len + 64 > sizeof(t->text))
		return true;
	t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%4u: ", (unsigned)info->id);
	add(t, &info->local);
	add(t, &info->remote);
	t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%02X \n", state[info->state]);
	return true;
}

/* When it is not what it was. */
static void sockets_write(struct world *w)
{
	struct table table = {.len = 0};
	uint64_t cursor = 0;
	FILE *file;

	while (stack_walk(w->stack, &cursor, SIZE_MAX, add_socket, &table))
		continue;
	file = strcmp(table.text, w->sockets) != 0 ? beside("sockets") : NULL;
	if (!file)
		return;
	fputs(table.text, file);
	fclose(file);
	memcpy(w->sockets, table.text, sizeof(table.text));
}

void proc_write(struct world *w)
{
	if (!getenv("BYWAY_SYSCTL"))
		return;
	counters_write(w);
	sockets_write(w);
}
