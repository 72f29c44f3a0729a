/*
 * lwIP as a peer for the bench: the services that bywayd has (echo on 7, discard on 9, chargen on
 * 19) in lwIP's own process, over its raw API, on a TAP.
 *
 *   lwip IFACE ADDRESS/LENGTH [spin]
 *
 * The library is Debian's, with the configuration it was built with (its lwipopts.h: windows of
 * 64 KiB, no offload on a TAP). It is built for threads; this runs it in one, without the thread of
 * its sockets, which costs it least. "spin" polls the TAP without sleeping. Ends with SIGTERM.
 */
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FRAME 2048
#define FRAMES_PER_TURN 64 /* timers get their turn under load */
#define BACKLOG 255

static char block[65536];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- the TAP as lwIP's interface ---- */

static int tap_open(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0)
		die(name);
	return fd;
}

/* The library was built to hand over each frame in one piece. */
static err_t tap_output(struct netif *n, struct pbuf *p)
{
	ssize_t sent = write((int)(intptr_t)n->state, p->payload, p->len);

	return sent == p->tot_len ? ERR_OK : ERR_BUF;
}

static err_t tap_init(struct netif *n)
{
	n->name[0] = 't';
	n->name[1] = 'p';
	n->mtu = 1500;
	n->hwaddr_len = ETH_HWADDR_LEN;
	memcpy(n->hwaddr, "\x02\x00\x00\x00\x00\x4c", ETH_HWADDR_LEN);
	n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
	n->output = etharp_output;
	n->linkoutput = tap_output;
	return ERR_OK;
}

static void tap_read(struct netif *n)
{
	char frame[FRAME];

	for (int i = 0; i < FRAMES_PER_TURN; i++) {
		ssize_t len = read((int)(intptr_t)n->state, frame, sizeof(frame));
		struct pbuf *p = len > 0 ? pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM) : NULL;

		if (!p)
			return;
		pbuf_take(p, frame, (u16_t)len);
		if (n->input(p, n) != ERR_OK)
			pbuf_free(p);
	}
}

/* ---- the services ---- */

static err_t closed(struct tcp_pcb *pcb)
{
	if (tcp_close(pcb) == ERR_OK)
		return ERR_OK;
	tcp_abort(pcb);
	return ERR_ABRT;
}

/* ERR_MEM: lwIP keeps the data and offers it again. */
static err_t echo_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
	(void)arg;
	(void)error;
	if (!p)
		return closed(pcb);
	if (tcp_sndbuf(pcb) < p->tot_len)
		return ERR_MEM;
	for (struct pbuf *q = p; q; q = q->next)
		if (tcp_write(pcb, q->payload, q->len, TCP_WRITE_FLAG_COPY) != ERR_OK)
			return ERR_MEM;
	tcp_recved(pcb, p->tot_len);
	pbuf_free(p);
	return tcp_output(pcb);
}

static err_t discard_receive(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
	(void)arg;
	(void)error;
	if (!p)
		return closed(pcb);
	tcp_recved(pcb, p->tot_len);
	pbuf_free(p);
	return ERR_OK;
}

static err_t chargen_fill(void *arg, struct tcp_pcb *pcb, u16_t acked)
{
	u16_t room;

	(void)arg;
	(void)acked;
	while ((room = (u16_t)LWIP_MIN(tcp_sndbuf(pcb), TCP_MSS)) > 0)
		if (tcp_write(pcb, block, room, 0) != ERR_OK)
			break;
	return tcp_output(pcb);
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t error)
{
	if (error != ERR_OK || !pcb)
		return ERR_VAL;
	tcp_nagle_disable(pcb);
	tcp_recv(pcb, pcb->local_port == 7 ? echo_receive : discard_receive);
	if (pcb->local_port != 19)
		return ERR_OK;
	tcp_sent(pcb, chargen_fill);
	return chargen_fill(arg, pcb, 0);
}

static void listen_on(u16_t port)
{
	struct tcp_pcb *pcb = tcp_new();

	if (!pcb || tcp_bind(pcb, IP_ADDR_ANY, port) != ERR_OK || !(pcb = tcp_listen_with_backlog(pcb, BACKLOG)))
		die("listen");
	tcp_accept(pcb, accepted);
}

/* ---- the loop ---- */

static void run(struct netif *n, bool spin)
{
	struct pollfd p = {.fd = (int)(intptr_t)n->state, .events = POLLIN};

	for (;;) {
		u32_t sleep = sys_timeouts_sleeptime();

		if (!spin)
			poll(&p, 1, sleep > 1000 ? 1000 : (int)sleep);
		tap_read(n);
		sys_check_timeouts();
	}
}

int main(int argc, char **argv)
{
	struct netif n = {0};
	ip4_addr_t address, mask, none = {0};
	char *length = argc > 2 ? strchr(argv[2], '/') : NULL;

	if (!length)
		return fputs("usage: lwip IFACE ADDRESS/LENGTH [spin]\n", stderr), 2;
	*length++ = '\0';
	address.addr = inet_addr(argv[2]);
	mask.addr = htonl(~0u << (32 - atoi(length)));
	lwip_init();
	if (!netif_add(&n, &address, &mask, &none, (void *)(intptr_t)tap_open(argv[1]), tap_init, ethernet_input))
		die("netif_add");
	netif_set_default(&n);
	netif_set_up(&n);
	listen_on(7);
	listen_on(9);
	listen_on(19);
	run(&n, argc > 3 && strcmp(argv[3], "spin") == 0);
}
