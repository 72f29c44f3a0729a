/*
 * Runs a fuzz target over the files of its corpus, one TAP line a file, without libFuzzer.
 * Arguments: files, or folders whose files are taken in the order of their names.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static unsigned done, failed;

static uint8_t *read_all(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	struct stat st;
	uint8_t *data;

	if (!file || fstat(fileno(file), &st) != 0)
		return NULL;
	/* One byte more than an empty file needs; no more, so that reads past the end are seen. */
	data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
	*size = data ? fread(data, 1, (size_t)st.st_size, file) : 0;
	fclose(file);
	return data;
}

/* A failure in the target ends the process; the file's name is printed before, so that it is known. */
static void run_file(const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t size = 0;
	uint8_t *data = read_all(path, &size);

	printf("# %s\n", path);
	fflush(stdout);
	done++;
	if (!data) {
		failed++;
		printf("not ok %u - %s: %s\n", done, path, strerror(errno));
		return;
	}
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("ok %u - %s\n", done, slash ? slash + 1 : path);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_folder(const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, visible, alphasort);
	char file[4096];

	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name);
		run_file(file);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

int main(int argc, char **argv)
{
	struct stat st;

	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			run_folder(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("1..%u\n", done);
	return failed > 0 || done == 0;
}
