/*
 * The stack as a program, for our own player of scripts (play/):
 *
 *      host SETTINGS
 *
 * A request is a line on standard input, the reply to it a line on standard output. It is a
 * program of its own, and not a library in the player's process, so that every sanitizer runs
 * with it unchanged, and so that a crash of the stack is no crash of the player.
 *
 *      NAME MEMORY ARGUMENT...        a call, made by the thread that drives time
 *      start NAME MEMORY ARGUMENT...  a call that may block, made by the other thread;
 *                                     the reply comes when it blocks or has ended
 *      outcome                        the reply to the call that was started, or "running"
 *      usleep MICROSECONDS            time moves on
 *      inject BYTES                   a packet arrives
 *      next, sent                     takes the next packet: waits for one, or looks for one
 *
 * MEMORY and BYTES are hexadecimal, `-` for none; `+N` after it adds N bytes of zeros. An ARGUMENT is a number, `@N` for the address
 * of the memory's byte N, or `*N@M`, which is no argument but writes the address of byte M to
 * byte N. The reply is "RESULT ERRNO NOW MEMORY": times in microseconds, memory after the call.
 */
#include "tests/packetdrill/interface.h"
#include "tests/packetdrill/world.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 8
#define PACKET_MAX 65535

struct call {
	ptrdiff_t (*function)(const intptr_t *argument);
	uint8_t *memory;
	size_t len;                      /* of the memory that the reply repeats */
	intptr_t argument[ARGUMENTS_MAX];
	ptrdiff_t result;
	int error;
	stack_time end;
};

static const char digits[] = "0123456789abcdef";
static struct packetdrill_interface table;

/* The call on the other thread. What `started` has at its end is final once `ended` is set, under the world's lock. */
static struct call started;
static pthread_t other;
static bool running, ended;

/* ---- the calls ---- */

#define NUMBER(i) ((int)argument[i])
#define SIZE(i) ((size_t)argument[i])
#define ADDRESS(i) ((void *)argument[i])
#define CALL(name, ...) \
	static ptrdiff_t do_##name(const intptr_t *argument) { return table.name(table.userdata, __VA_ARGS__); }

CALL(socket, NUMBER(0), NUMBER(1), NUMBER(2))
CALL(bind, NUMBER(0), ADDRESS(1), (socklen_t)SIZE(2))
CALL(listen, NUMBER(0), NUMBER(1))
CALL(accept, NUMBER(0), ADDRESS(1), ADDRESS(2))
CALL(connect, NUMBER(0), ADDRESS(1), (socklen_t)SIZE(2))
CALL(read, NUMBER(0), ADDRESS(1), SIZE(2))
CALL(readv, NUMBER(0), ADDRESS(1), NUMBER(2))
CALL(recv, NUMBER(0), ADDRESS(1), SIZE(2), NUMBER(3))
CALL(recvfrom, NUMBER(0), ADDRESS(1), SIZE(2), NUMBER(3), ADDRESS(4), ADDRESS(5))
CALL(recvmsg, NUMBER(0), ADDRESS(1), NUMBER(2))
CALL(write, NUMBER(0), ADDRESS(1), SIZE(2))
CALL(writev, NUMBER(0), ADDRESS(1), NUMBER(2))
CALL(send, NUMBER(0), ADDRESS(1), SIZE(2), NUMBER(3))
CALL(sendto, NUMBER(0), ADDRESS(1), SIZE(2), NUMBER(3), ADDRESS(4), (socklen_t)SIZE(5))
CALL(sendmsg, NUMBER(0), ADDRESS(1), NUMBER(2))
CALL(fcntl, NUMBER(0), NUMBER(1), NUMBER(2))
CALL(ioctl, NUMBER(0), (unsigned long)SIZE(1), ADDRESS(2))
CALL(close, NUMBER(0))
CALL(shutdown, NUMBER(0), NUMBER(1))
CALL(getsockopt, NUMBER(0), NUMBER(1), NUMBER(2), ADDRESS(3), ADDRESS(4))
CALL(setsockopt, NUMBER(0), NUMBER(1), NUMBER(2), ADDRESS(3), (socklen_t)SIZE(4))
CALL(poll, ADDRESS(0), (nfds_t)SIZE(1), NUMBER(2))
CALL(epoll_create, NUMBER(0))
CALL(epoll_ctl, NUMBER(0), NUMBER(1), NUMBER(2), ADDRESS(3))
CALL(epoll_wait, NUMBER(0), ADDRESS(1), NUMBER(2), NUMBER(3))
CALL(pipe, ADDRESS(0))
CALL(splice, NUMBER(0), ADDRESS(1), NUMBER(2), ADDRESS(3), SIZE(4), (unsigned)NUMBER(5))

static const struct {
	const char *name;
	ptrdiff_t (*function)(const intptr_t *argument);
} functions[] = {
	{"socket", do_socket}, {"bind", do_bind}, {"listen", do_listen}, {"accept", do_accept},
	{"connect", do_connect}, {"read", do_read}, {"readv", do_readv}, {"recv", do_recv},
	{"recvfrom", do_recvfrom}, {"recvmsg", do_recvmsg}, {"write", do_write}, {"writev", do_writev},
	{"send", do_send}, {"sendto", do_sendto}, {"sendmsg", do_sendmsg}, {"fcntl", do_fcntl},
	{"ioctl", do_ioctl}, {"close", do_close}, {"shutdown", do_shutdown}, {"getsockopt", do_getsockopt},
	{"setsockopt", do_setsockopt}, {"poll", do_poll}, {"epoll_create", do_epoll_create},
	{"epoll_ctl", do_epoll_ctl}, {"epoll_wait", do_epoll_wait}, {"pipe", do_pipe}, {"splice", do_splice},
};

/* ---- requests and replies ---- */

static _Noreturn void die(const char *why, const char *what)
{
	fprintf(stderr, "host: %s: %s\n", why, what);
	exit(EXIT_FAILURE);
}

static int digit_value(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	if (!at)
		die("not hexadecimal", (const char[]){c, '\0'});
	return (int)(at - digits);
}

/* "HEX+N": `len` bytes that are given, and N more that are zero and that no reply repeats. */
static uint8_t *from_hex(const char *text, size_t *len)
{
	size_t digits_len = strcspn(text, "+");
	size_t more = text[digits_len] ? strtoull(text + digits_len + 1, NULL, 10) : 0;
	uint8_t *bytes;

	*len = *text == '-' ? 0 : digits_len / 2;
	bytes = calloc(1, *len + more + 1);
	if (!bytes)
		die("no memory", text);
	for (size_t i = 0; i < *len; i++)
		bytes[i] = (uint8_t)(digit_value(text[2 * i]) << 4 | digit_value(text[2 * i + 1]));
	return bytes;
}

static void reply(ptrdiff_t result, int error, stack_time now, const uint8_t *bytes, size_t len)
{
	printf("%td %d %" PRIu64 " ", result, error, (uint64_t)now);
	for (size_t i = 0; i < len; i++) {
		putchar(digits[bytes[i] >> 4]);
		putchar(digits[bytes[i] & 15]);
	}
	puts(len ? "" : "-");
	fflush(stdout);
}

static stack_time now(void)
{
	struct world *w = table.userdata;
	stack_time at;

	world_lock(w);
	at = w->now;
	world_unlock(w);
	return at;
}

static void add_argument(struct call *call, unsigned *count, const char *word)
{
	size_t at, target;

	if (sscanf(word, "*%zu@%zu", &at, &target) == 2) {
		uint8_t *address = call->memory + target;

		if (at + sizeof(address) > call->len)
			die("outside the memory", word);
		memcpy(call->memory + at, &address, sizeof(address));
		return;
	}
	if (*count == ARGUMENTS_MAX)
		die("too many arguments", word);
	if (sscanf(word, "@%zu", &target) == 1)
		call->argument[(*count)++] = (intptr_t)(call->memory + target);
	else
		call->argument[(*count)++] = (intptr_t)strtoll(word, NULL, 10);
}

static void parse(struct call *call, const char *name, char *rest)
{
	const char *word = strsep(&rest, " ");
	unsigned count = 0;

	*call = (struct call){0};
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strcmp(name, functions[i].name) == 0)
			call->function = functions[i].function;
	if (!call->function || !word)
		die("unknown request", name);
	call->memory = from_hex(word, &call->len);
	while ((word = strsep(&rest, " ")))
		add_argument(call, &count, word);
}

static void answer(struct call *call)
{
	reply(call->result, call->error, call->end, call->memory, call->len);
	free(call->memory);
}

static void perform(struct call *call)
{
	errno = 0;
	call->result = call->function(call->argument);
	call->error = call->result < 0 ? errno : 0;
}

/* ---- the other thread ---- */

static void *other_thread(void *context)
{
	struct world *w = context;

	perform(&started);
	world_lock(w);
	started.end = w->now;
	ended = true;
	if (!world_left(w))
		pthread_cond_broadcast(&w->turn);
	world_unlock(w);
	return NULL;
}

static void start(char *rest)
{
	struct world *w = table.userdata;
	const char *name = strsep(&rest, " ");

	if (running)
		die("a call is running", name);
	parse(&started, name, rest);
	running = true;
	ended = false;
	if (pthread_create(&other, NULL, other_thread, w))
		die("no thread", name);
	world_lock(w);
	while (!ended && !w->waiting)
		pthread_cond_wait(&w->turn, &w->lock);
	world_unlock(w);
	reply(0, 0, now(), NULL, 0);
}

static void outcome(void)
{
	struct world *w = table.userdata;
	bool done;

	world_lock(w);
	done = running && ended;
	world_unlock(w);
	if (!done) {
		puts("running");
		fflush(stdout);
		return;
	}
	pthread_join(other, NULL);
	running = false;
	answer(&started);
}

/* ---- the link ---- */

static void inject(const char *hex)
{
	size_t len;
	uint8_t *bytes = from_hex(hex, &len);

	table.netdev_send(table.userdata, bytes, len);
	free(bytes);
	reply(0, 0, now(), NULL, 0);
}

/* The result is the length, the time at which the packet was sent; 0 bytes: there is none. */
static void next(bool wait)
{
	struct world *w = table.userdata;
	static uint8_t data[PACKET_MAX];
	size_t len = sizeof(data);
	long long at = 0;
	bool any;

	world_lock(w);
	any = wait || w->head;
	world_unlock(w);
	if (any)
		table.netdev_receive(w, data, &len, &at);
	else
		len = 0;
	reply((ptrdiff_t)len, 0, (stack_time)at, data, len);
}

static void serve(char *line)
{
	const char *name = strsep(&line, " ");

	if (strcmp(name, "start") == 0) {
		start(line);
	} else if (strcmp(name, "outcome") == 0) {
		outcome();
	} else if (strcmp(name, "inject") == 0 && line) {
		inject(line);
	} else if (strcmp(name, "next") == 0 || strcmp(name, "sent") == 0) {
		next(*name == 'n');
	} else if (strcmp(name, "usleep") == 0 && line) {
		struct world *w = table.userdata;

		world_lock(w);
		world_advance(w, w->now + strtoull(line, NULL, 10));
		world_unlock(w);
		reply(0, 0, now(), NULL, 0);
	} else {
		struct call call;

		parse(&call, name, line);
		perform(&call);
		call.end = now();
		answer(&call);
	}
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (argc != 2)
		die("usage", "host SETTINGS");
	packetdrill_interface_init(argv[1], &table);
	while ((len = getline(&line, &size, stdin)) > 0) {
		line[len - 1] = '\0';
		serve(line);
	}
	free(line);
	if (running) /* the script has failed already; its call cannot be ended */
		_exit(EXIT_FAILURE);
	table.free(table.userdata);
	return EXIT_SUCCESS;
}
