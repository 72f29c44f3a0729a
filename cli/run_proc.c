/*
 * What `ss -s` reads beside sock_diag: sums that the kernel keeps in files of /proc/net. A
 * program that is called ss finds the stack's sums in three of them. For others the opening of
 * files is not trapped: it would cost every program some 30 microseconds for each file.
 */
#include "cli/run.h"
#include "cli/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* sock_diag's numbers of states. */
enum { ESTABLISHED = 1, SYN_RECV = 3, TIME_WAIT = 6, CLOSE_WAIT = 8, LISTEN = 10 };

/* What the files tell. */
struct sums {
	unsigned tcp, udp;
	unsigned established; /* CurrEstab of RFC 4022: ESTABLISHED and CLOSE-WAIT */
	unsigned time_wait;
	unsigned orphans;     /* connections that nobody holds any more */
};

bool proc_wanted(const char *program)
{
	const char *slash = strrchr(program, '/');

	return strcmp(slash ? slash + 1 : program, "ss") == 0;
}

static bool is_orphan(const struct socket_row *row)
{
	return row->inode == 0 && row->opener_name[0] != '[' && row->state != LISTEN && row->state != SYN_RECV;
}

static int sums_read(struct run *run, struct sums *s)
{
	struct socket_table t = {0};

	if (sockets_read(run->byway, &t, SOCKETS_TCP | SOCKETS_UDP, UINT32_MAX) < 0)
		return -errno;
	for (size_t i = 0; i < t.count; i++) {
		const struct socket_row *row = &t.rows[i];

		if (row->protocol == IPPROTO_UDP) {
			s->udp++;
			continue;
		}
		s->time_wait += row->state == TIME_WAIT;
		s->tcp += row->state != TIME_WAIT;
		s->established += row->state == ESTABLISHED || row->state == CLOSE_WAIT;
		s->orphans += row->state != TIME_WAIT && is_orphan(row);
	}
	sockets_free(&t);
	return 0;
}

static void write_sockstat(FILE *f, const struct sums *s)
{
	fprintf(f, "sockets: used %u\nTCP: inuse %u orphan %u tw %u alloc %u mem 0\n", s->tcp + s->udp, s->tcp, s->orphans,
		s->time_wait, s->tcp);
	fprintf(f, "UDP: inuse %u mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n", s->udp);
}

static void write_sockstat6(FILE *f, const struct sums *s)
{
	(void)s;
	fputs("TCP6: inuse 0\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n", f);
}

static void write_snmp(FILE *f, const struct sums *s)
{
	fprintf(f, "Tcp: CurrEstab\nTcp: %u\n", s->established);
}

static const struct {
	const char *path;
	void (*write)(FILE *f, const struct sums *s);
} files[] = {
	{"/proc/net/sockstat", write_sockstat},
	{"/proc/net/sockstat6", write_sockstat6},
	{"/proc/net/snmp", write_snmp},
};

/* A file in memory as the file `i`, or -errno. */
static int file_make(struct run *run, size_t i)
{
	struct sums sums = {0};
	int error = sums_read(run, &sums), fd = error ? error : memfd_create(files[i].path, MFD_CLOEXEC);
	int copy = fd < 0 ? fd : dup(fd);
	FILE *f = copy < 0 ? NULL : fdopen(copy, "w");

	if (!f) {
		if (copy >= 0)
			close(copy);
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENFILE;
	}
	files[i].write(f, &sums);
	fclose(f);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Only what is opened by its full name is recognized. */
int64_t on_openat(struct call *c)
{
	char path[32];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		size_t len = strlen(files[i].path) + 1;

		if (!tracee_read(c, c->data.args[1], path, len) || memcmp(path, files[i].path, len) != 0)
			continue;
		int fd = file_make(c->run, i);
		if (fd < 0)
			return fd;
		c->result_fd = fd;
		c->result_flags = (uint32_t)c->data.args[2] & O_CLOEXEC;
		return RUN_INSTALL;
	}
	return RUN_CONTINUE;
}
