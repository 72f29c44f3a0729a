/*
 * Ethernet II headers, and ARP for IPv4 over Ethernet (RFC 826, RFC 894).
 * An arp_packet that parsed comes from one station: sender hardware address unicast and not
 * zero, sender address one that a host can have, or 0.0.0.0 in a request (RFC 5227 probe).
 */
#include "wire.h"

const char *eth_parse(const uint8_t *p, size_t len, struct eth_header *out)
{
	if (len < ETH_HEADER)
		return "frame shorter than its header";
	memcpy(out->dst, p, 6);
	memcpy(out->src, p + 6, 6);
	out->type = load16(p + 12);
	return NULL;
}

void eth_write(uint8_t *p, const struct eth_header *h)
{
	memcpy(p, h->dst, 6);
	memcpy(p + 6, h->src, 6);
	store16(p + 12, h->type);
}

/* Hardware type Ethernet, protocol type IPv4, their address lengths. */
static const uint8_t arp_fixed[6] = {0, 1, 0x08, 0x00, 6, 4};

static bool sender_mac_good(const uint8_t mac[6])
{
	static const uint8_t zero[6];

	return !mac_is_group(mac) && memcmp(mac, zero, 6) != 0;
}

static bool sender_addr_good(const uint8_t *a, uint16_t op)
{
	if (load32(a) == 0)
		return op == ARP_REQUEST;
	return a[0] != 0 && a[0] != 127 && a[0] < 224; /* no loopback, multicast, broadcast */
}

const char *arp_parse(const uint8_t *p, size_t len, struct arp_packet *out)
{
	if (len < ARP_SIZE)
		return "ARP packet too short";
	if (memcmp(p, arp_fixed, sizeof(arp_fixed)) != 0)
		return "ARP hardware or protocol type or length";
	out->op = load16(p + 6);
	if (out->op != ARP_REQUEST && out->op != ARP_REPLY)
		return "ARP operation";
	if (!sender_mac_good(p + 8))
		return "ARP sender hardware address";
	if (!sender_addr_good(p + 14, out->op))
		return "ARP sender address";
	memcpy(out->sender_mac, p + 8, 6);
	out->sender = stack_addr_v4(p + 14);
	memcpy(out->target_mac, p + 18, 6);
	out->target = stack_addr_v4(p + 24);
	return NULL;
}

void arp_write(uint8_t *p, const struct arp_packet *a)
{
	memcpy(p, arp_fixed, sizeof(arp_fixed));
	store16(p + 6, a->op);
	memcpy(p + 8, a->sender_mac, 6);
	memcpy(p + 14, a->sender.byte + 12, 4);
	memcpy(p + 18, a->target_mac, 6);
	memcpy(p + 24, a->target.byte + 12, 4);
}
