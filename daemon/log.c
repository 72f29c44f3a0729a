/*
 * Messages of the daemon: lines on standard error. Under systemd that is the journal, which
 * takes the priority from a "<N>" in front; JOURNAL_STREAM tells whether it listens there
 * (systemd.exec(5)), so that a terminal never sees the marks.
 */
#include "daemon/daemon.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool journal_reads(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st) != 0)
		return false;
	return st.st_dev == device && st.st_ino == inode;
}

void daemon_log(int priority, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (journal_reads())
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "bywayd: %s\n", line);
}
