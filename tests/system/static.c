/* A static program that makes its system calls itself: echoes one line over the address and port given. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char line[64];

	if (argc != 3)
		return 2;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || syscall(SYS_connect, fd, &to, sizeof(to)) < 0) {
		perror("connect");
		return 1;
	}
	syscall(SYS_write, fd, "from a static program\n", 22);
	long n = syscall(SYS_read, fd, line, sizeof(line));
	return n == 22 && syscall(SYS_write, 1, line, n) == n ? 0 : 1;
}
