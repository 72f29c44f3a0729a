/*
 * The configuration: a file and --set arguments, taken apart at zero bytes (the file comes
 * first). What is accepted makes a stack; what is refused is refused with a message that says
 * where the mistake is (row L8).
 */
#include "fuzz.h"

#include "daemon/daemon.h"

#define OVERRIDES 8u
#define NAME "fuzz.conf"

/* The texts of the input: `file` and up to OVERRIDES more, zero-terminated copies. */
struct texts {
	char *file;
	char *override[OVERRIDES];
	unsigned overrides;
};

static char *next_text(struct input *in)
{
	const uint8_t *end = in->left ? memchr(in->p, 0, in->left) : NULL;
	struct input text = input_take(in, end ? (size_t)(end - in->p) : in->left);

	if (end)
		input_take(in, 1);
	return strndup((const char *)text.p, text.left);
}

static void split(struct input *in, struct texts *t)
{
	t->file = next_text(in);
	for (t->overrides = 0; t->overrides < OVERRIDES && in->left > 0; t->overrides++)
		t->override[t->overrides] = next_text(in);
}

static void check_text(const char *text, size_t size)
{
	FUZZ_CHECK(memchr(text, 0, size), "a text without an end");
}

static bool transmit(void *context, const struct stack_output *out)
{
	(void)context;
	(void)out;
	return true;
}

static void check_accepted(struct config *c)
{
	struct stack_ops ops = {.transmit = transmit};
	struct stack *s;

	check_text(c->link_name, sizeof(c->link_name));
	check_text(c->socket_path, sizeof(c->socket_path));
	check_text(c->group, sizeof(c->group));
	FUZZ_CHECK(c->mtu >= 68 && c->mtu <= 65535, "MTU %u", c->mtu);
	FUZZ_CHECK(c->addresses <= CONFIG_ADDRESSES && c->routes <= CONFIG_ROUTES, "too many addresses or routes");
	c->stack.mtu = (uint16_t)c->mtu;
	s = stack_new(&c->stack, &ops, NULL, 0);
	FUZZ_CHECK(s, "a configuration that was accepted makes no stack");
	for (unsigned i = 0; i < c->addresses; i++)
		FUZZ_CHECK(stack_address_add(s, 0, &c->address[i].addr, c->address[i].prefix) == 0, "address %u", i);
	for (unsigned i = 0; i < c->routes; i++)
		stack_route_add(s, &c->route[i].dest.addr, c->route[i].dest.prefix, &c->route[i].gateway);
	stack_free(s);
}

/* One line that says where: in the file, or in which --set. */
static void check_message(const char *text, size_t len)
{
	static const char program[] = "bywayd: ";
	const char *where = text + strlen(program);

	FUZZ_CHECK(len > strlen(program) && memcmp(text, program, strlen(program)) == 0, "message \"%s\"", text);
	FUZZ_CHECK(strncmp(where, NAME ":", strlen(NAME) + 1) == 0 || strncmp(where, "--set ", 6) == 0, "message \"%s\"", text);
	FUZZ_CHECK(text[len - 1] == '\n', "message \"%s\"", text);
}

/* Reads it with standard error kept in memory. */
static void read_config(const struct texts *t)
{
	char *message = NULL;
	size_t message_len = 0;
	FILE *saved = stderr, *file = fmemopen(t->file, strlen(t->file), "r");
	struct config c;

	stderr = open_memstream(&message, &message_len);
	bool good = config_read(&c, file, NAME, t->override, t->overrides);
	fclose(stderr);
	stderr = saved;
	if (good)
		FUZZ_CHECK(message_len == 0, "accepted with \"%s\"", message);
	else
		check_message(message, message_len);
	if (good)
		check_accepted(&c);
	if (file)
		fclose(file);
	free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct texts t;

	split(&in, &t);
	read_config(&t);
	free(t.file);
	for (unsigned i = 0; i < t.overrides; i++)
		free(t.override[i]);
	return 0;
}
