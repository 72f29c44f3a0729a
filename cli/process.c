/*
 * Who has a socket's endpoint open: every descriptor of every process, by its inode in /proc,
 * as `ss -p` looks. An endpoint may be open in several processes; the one that opened it is
 * shown when it still does, else the one with the lowest number.
 */
#include "cli/sockets.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The rows with an endpoint, by its inode. */
struct index {
	struct socket_row **rows;
	size_t count;
};

static int compare_inodes(const void *a, const void *b)
{
	const struct socket_row *const *x = a, *const *y = b;

	return ((*x)->inode > (*y)->inode) - ((*x)->inode < (*y)->inode);
}

static int compare_key(const void *key, const void *element)
{
	const struct socket_row *const *row = element;
	uint32_t inode = *(const uint32_t *)key;

	return (inode > (*row)->inode) - (inode < (*row)->inode);
}

static struct index index_make(struct socket_table *t)
{
	struct index x = {.rows = calloc(t->count + 1, sizeof(*x.rows))};

	for (size_t i = 0; x.rows && i < t->count; i++)
		if (t->rows[i].inode)
			x.rows[x.count++] = &t->rows[i];
	if (x.count)
		qsort(x.rows, x.count, sizeof(*x.rows), compare_inodes);
	return x;
}

static struct socket_row *index_find(const struct index *x, uint32_t inode)
{
	struct socket_row **found = bsearch(&inode, x->rows, x->count, sizeof(*x->rows), compare_key);

	return found ? *found : NULL;
}

static void read_name(uint32_t pid, char *out, size_t size)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(out, (int)size, f))
		out[strcspn(out, "\n")] = 0;
	fclose(f);
}

/* A process has this row's endpoint open. They come in the order of their numbers. */
static void row_found(struct socket_row *row, uint32_t pid)
{
	if (row->pid && pid != row->opener)
		return;
	row->pid = pid;
	read_name(pid, row->process, sizeof(row->process));
}

static void look_at_descriptor(const struct index *x, int folder, const char *name, uint32_t pid)
{
	char link[64];
	uint32_t inode;
	ssize_t n = readlinkat(folder, name, link, sizeof(link) - 1);

	if (n <= 0)
		return;
	link[n] = 0;
	if (sscanf(link, "socket:[%u]", &inode) != 1)
		return;
	struct socket_row *row = index_find(x, inode);
	if (row)
		row_found(row, pid);
}

static void look_at_process(const struct index *x, uint32_t pid)
{
	char path[32];
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	DIR *folder = opendir(path);
	if (!folder)
		return;
	while ((entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]))
			look_at_descriptor(x, dirfd(folder), entry->d_name, pid);
	closedir(folder);
}

static void look_at_processes(const struct index *x)
{
	struct dirent *entry;
	DIR *folder = opendir("/proc");

	if (!folder)
		return;
	while ((entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]))
			look_at_process(x, (uint32_t)strtoul(entry->d_name, NULL, 10));
	closedir(folder);
}

void sockets_find_processes(struct socket_table *t)
{
	struct index x = index_make(t);

	if (x.count)
		look_at_processes(&x);
	free(x.rows);
	for (size_t i = 0; i < t->count; i++) {
		struct socket_row *row = &t->rows[i];
		if (row->pid)
			continue;
		row->pid = row->opener;
		memcpy(row->process, row->opener_name, sizeof(row->process));
	}
}
