/*
 * A static program that makes its system calls itself. With an address and a port it echoes one line over them;
 * "listen PORT" writes what the first client sends to standard output, "send ADDRESS PORT" sends standard input.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long must(long result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static long tcp(void)
{
	return must(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), "socket");
}

static long connected(const char *address, const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	long fd = tcp();

	inet_pton(AF_INET, address, &to.sin_addr);
	must(syscall(SYS_connect, fd, &to, sizeof(to)), "connect");
	return fd;
}

static long accepted(const char *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	long fd = tcp();

	must(syscall(SYS_bind, fd, &at, sizeof(at)), "bind");
	must(syscall(SYS_listen, fd, 5), "listen");
	return must(syscall(SYS_accept, fd, NULL, NULL), "accept");
}

static int copy(long from, long to)
{
	static char block[65536];
	long n;

	while ((n = must(syscall(SYS_read, from, block, sizeof(block)), "read")) > 0)
		for (long done = 0; done < n;)
			done += must(syscall(SYS_write, to, block + done, n - done), "write");
	return 0;
}

static int echo(long fd)
{
	char line[64];

	must(syscall(SYS_write, fd, "from a static program\n", 22), "write");
	long n = must(syscall(SYS_read, fd, line, sizeof(line)), "read");
	return n == 22 && syscall(SYS_write, 1, line, n) == n ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "listen") == 0)
		return copy(accepted(argv[2]), 1);
	if (argc == 4 && strcmp(argv[1], "send") == 0)
		return copy(0, connected(argv[2], argv[3]));
	return argc == 3 ? echo(connected(argv[1], argv[2])) : 2;
}
