/* Prints how many IPv4 addresses getaddrinfo finds for a name, and the first; the test builds it with musl. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
	char text[INET_ADDRSTRLEN];
	unsigned count = 0;
	int error = argc == 2 ? getaddrinfo(argv[1], "80", &hints, &list) : EAI_NONAME;

	if (error) {
		puts(gai_strerror(error));
		return 1;
	}
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		count++;
	const struct sockaddr_in *first = (const void *)list->ai_addr;
	printf("%u %s\n", count, inet_ntop(AF_INET, &first->sin_addr, text, sizeof(text)));
	freeaddrinfo(list);
	return 0;
}
