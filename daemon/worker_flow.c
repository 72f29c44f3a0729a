/*
 * Which worker. The kernel puts the TCP segments of each connection into the queues of one worker
 * (steer.c). All else comes to the first: ARP, which concerns every stack, as each finds its
 * neighbours itself; ICMP errors, which concern the one whose segment they quote; fragments,
 * of which the first worker's stack makes the whole; and what it has all of, UDP and echo.
 */
#include "daemon/worker.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

#define ARP_OP (ETH_HLEN + 6)
#define ARP_SENDER (ETH_HLEN + 14)
#define ARP_TARGET (ETH_HLEN + 24)
#define ARP_END (ETH_HLEN + 28)
#define ARP_REQUEST 1
#define ICMP_HEADER 8u
#define PORTS 4u /* bytes */

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load32(const uint8_t *p)
{
	return (uint32_t)load16(p) << 16 | load16(p + 2);
}

/* ---- by addresses ---- */

static unsigned worker_between(const struct daemon *d, const struct stack_endpoint *local,
			       const struct stack_endpoint *remote)
{
	return steer_worker(&d->workers->steer, load32(remote->addr.byte + 12), load32(local->addr.byte + 12),
			    (uint32_t)remote->port << 16 | local->port);
}

bool worker_ours(void *daemon, const struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	const struct daemon *d = daemon;

	return worker_between(d, local, remote) == d->worker;
}

struct daemon *worker_for(struct daemon *d, const struct stack_endpoint *local, const struct stack_endpoint *remote)
{
	struct stack_endpoint from;
	struct stack_way way;

	if (!d->workers)
		return d;
	if (!local || local->port == 0) /* its stack chooses a port that suits */
		return worker_at(d, d->workers->turn++ % d->workers->count);
	from = *local;
	if (stack_route_find(worker_first(d)->stack, &remote->addr, &way) != 0 || way.kind == STACK_WAY_LOCAL)
		return worker_first(d); /* it does not get anywhere, or never leaves the stack */
	if (stack_addr_is_any(&from.addr))
		from.addr = way.source;
	return worker_at(d, worker_between(d, &from, remote));
}

/* ---- by frames ---- */

/* An IPv4 header's length when there is one, followed by `more` bytes; else 0. */
static size_t header_length(const uint8_t *packet, size_t len, size_t more)
{
	size_t header = len > 0 && packet[0] >> 4 == IPVERSION ? (size_t)(packet[0] & 0xf) * 4 : 0;

	return header >= sizeof(struct iphdr) && len >= header + more ? header : 0;
}

static unsigned fragment_bits(const uint8_t *packet)
{
	return load16(packet + offsetof(struct iphdr, frag_off));
}

/* Where the segment goes that begins this packet; one that we sent (`reply`) is turned round. */
static unsigned worker_of_packet(const struct daemon *d, const uint8_t *packet, size_t len, bool reply)
{
	size_t header = header_length(packet, len, PORTS);

	if (header == 0 || packet[offsetof(struct iphdr, protocol)] != IPPROTO_TCP ||
	    (fragment_bits(packet) & IP_OFFMASK))
		return 0; /* the last: it has no ports */
	uint32_t source = load32(packet + offsetof(struct iphdr, saddr));
	uint32_t destination = load32(packet + offsetof(struct iphdr, daddr)), ports = load32(packet + header);
	if (reply)
		return steer_worker(&d->workers->steer, destination, source, ports << 16 | ports >> 16);
	return steer_worker(&d->workers->steer, source, destination, ports);
}

static bool icmp_is_error(uint8_t type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* 0, too, when it is for the first worker, or a fragment, which the first makes a whole of. */
static unsigned worker_of_icmp(const struct daemon *d, const uint8_t *packet, size_t len)
{
	size_t header = header_length(packet, len, ICMP_HEADER);

	if (header == 0 || packet[offsetof(struct iphdr, protocol)] != IPPROTO_ICMP || !icmp_is_error(packet[header]) ||
	    (fragment_bits(packet) & (IP_MF | IP_OFFMASK)))
		return 0;
	header += ICMP_HEADER;
	return worker_of_packet(d, packet + header, len - header, true);
}

static bool is_ours(const struct daemon *d, uint32_t addr)
{
	struct stack_address_info a;

	for (size_t i = 0; stack_address_get(d->stack, i, &a); i++)
		if (load32(a.addr.byte + 12) == addr)
			return true;
	return false;
}

/*
 * Who asks for a neighbour of theirs concerns nobody. The rest does: replies, requests for us and claims
 * to an address of ours, and who says of himself where he is now, which is a request too.
 */
static void give_arp(struct daemon *d, const struct stack_frame *frame)
{
	struct stack_frame arp = *frame;

	arp.len = ARP_END; /* and not what it was filled up with */
	if (frame->len < arp.len)
		return;
	uint32_t sender = load32(frame->data + ARP_SENDER), target = load32(frame->data + ARP_TARGET);
	if (load16(frame->data + ARP_OP) == ARP_REQUEST && sender != target && !is_ours(d, target) && !is_ours(d, sender))
		return;
	for (unsigned i = 1; i < d->workers->count; i++)
		worker_give(d, i, true, NULL, 0, &arp);
}

bool worker_took(struct daemon *d, const struct stack_frame *frame)
{
	size_t link = d->config.tun ? 0 : ETH_HLEN;

	if (frame->len < link)
		return false;
	if (link > 0 && load16(frame->data + offsetof(struct ethhdr, h_proto)) == ETH_P_ARP) {
		give_arp(d, frame);
		return false;
	}
	if (link > 0 && load16(frame->data + offsetof(struct ethhdr, h_proto)) != ETH_P_IP)
		return false;
	unsigned i = worker_of_icmp(d, frame->data + link, frame->len - link);
	if (i > 0)
		worker_give(d, i, false, NULL, 0, frame);
	return i > 0;
}

bool worker_elsewhere(void *daemon, const uint8_t *packet, size_t len)
{
	struct daemon *d = daemon;
	struct ethhdr ethernet = {.h_proto = htons(ETH_P_IP)};

	if (d->worker > 0)
		return false;
	unsigned i = worker_of_packet(d, packet, len, false);
	if (i == 0)
		i = worker_of_icmp(d, packet, len);
	if (i == 0)
		return false;
	memcpy(ethernet.h_dest, d->config.stack.mac, sizeof(ethernet.h_dest));
	worker_give(d, i, false, &ethernet, d->config.tun ? 0 : sizeof(ethernet),
		    &(struct stack_frame){.data = packet, .len = len});
	return true;
}

bool worker_need_not_say(const struct stack_output *out)
{
	const uint8_t *frame = out->iov[0].iov_base;

	if (out->iov[0].iov_len < ARP_TARGET + 4 || load16(frame + offsetof(struct ethhdr, h_proto)) != ETH_P_ARP)
		return false;
	uint32_t sender = load32(frame + ARP_SENDER);
	return load16(frame + ARP_OP) != ARP_REQUEST || sender == 0 || sender == load32(frame + ARP_TARGET);
}
