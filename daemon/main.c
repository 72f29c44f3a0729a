/* bywayd's options. The work is in daemon.c. */
#include "daemon/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG BYWAY_SYSCONFDIR "/byway/bywayd.conf"
#define OVERRIDES_MAX 64
#define EXIT_USAGE 64 /* EX_USAGE of sysexits.h */

struct options {
	const char *config; /* NULL: the default, which need not exist */
	char *overrides[OVERRIDES_MAX];
	unsigned override_count;
	bool check;
};

static void usage(FILE *out)
{
	fputs("Usage: bywayd [OPTION]...\n"
	      "A TCP/IP stack of its own on a TAP or TUN device, for local processes.\n\n"
	      "  -c, --config FILE             read FILE instead of " DEFAULT_CONFIG "\n"
	      "  -s, --set SECTION.KEY=VALUE   override a key of the configuration; may repeat\n"
	      "      --check                   check the configuration and exit\n"
	      "      --foreground              accepted and implied: bywayd never forks\n"
	      "  -h, --help                    show this help\n"
	      "      --version                 show the version\n\n"
	      "Exit status: 0 ended in order, 1 failed, 64 wrong options, 78 wrong configuration.\n",
	      out);
}

static void add_override(struct options *o, char *text)
{
	if (o->override_count == OVERRIDES_MAX) {
		fprintf(stderr, "bywayd: more than %d --set; use a configuration file\n", OVERRIDES_MAX);
		exit(EXIT_USAGE);
	}
	o->overrides[o->override_count++] = text;
}

enum { OPTION_CHECK = 256, OPTION_FOREGROUND, OPTION_VERSION };

static void parse_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"set", required_argument, NULL, 's'},
		{"check", no_argument, NULL, OPTION_CHECK},
		{"foreground", no_argument, NULL, OPTION_FOREGROUND},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, OPTION_VERSION},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
		if (c == 'c') {
			o->config = optarg;
		} else if (c == 's') {
			add_override(o, optarg);
		} else if (c == OPTION_CHECK) {
			o->check = true;
		} else if (c == 'h') {
			usage(stdout);
			exit(EXIT_SUCCESS);
		} else if (c == OPTION_VERSION) {
			puts("bywayd " BYWAY_VERSION);
			exit(EXIT_SUCCESS);
		} else if (c != OPTION_FOREGROUND) {
			fputs("Try 'bywayd --help'.\n", stderr);
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "bywayd: unexpected argument '%s'\nTry 'bywayd --help'.\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

/* The file to read: what was asked for, else the default if there is one, else none. */
static const char *config_path(const struct options *o)
{
	if (o->config)
		return o->config;
	return access(DEFAULT_CONFIG, F_OK) == 0 || errno != ENOENT ? DEFAULT_CONFIG : NULL;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct daemon d = {0};

	parse_options(&o, argc, argv);
	d.config_path = config_path(&o);
	d.overrides = o.overrides;
	d.override_count = o.override_count;
	if (!config_load(&d.config, d.config_path, o.overrides, o.override_count))
		return CONFIG_EXIT;
	if (o.check) {
		printf("%s: good\n", d.config_path ? d.config_path : "configuration (defaults)");
		return EXIT_SUCCESS;
	}
	return daemon_main(&d);
}
