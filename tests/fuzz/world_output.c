/* See world.h: every frame that the stack sends has to be a valid one. */
#include "world.h"

#include "stack/checksum.h"

#define FRAME_MAX (ETH_HEADER + 65535u)
#define ICMP_ERROR_MAX 576u /* RFC 1812 4.3.2.3 */

/* The whole frame in one piece; the caller frees it. */
static uint8_t *gather(const struct stack_output *out)
{
	uint8_t *frame;
	size_t len = 0;

	FUZZ_CHECK(out->iov_count >= 1 && out->iov_count <= STACK_IOV_MAX, "%u pieces", out->iov_count);
	for (unsigned i = 0; i < out->iov_count; i++)
		len += out->iov[i].iov_len;
	FUZZ_CHECK(len == out->len && len <= FRAME_MAX, "%zu bytes in pieces of %zu", out->len, len);
	frame = malloc(len ? len : 1);
	len = 0;
	for (unsigned i = 0; i < out->iov_count; i++) {
		memcpy(frame + len, out->iov[i].iov_base, out->iov[i].iov_len);
		len += out->iov[i].iov_len;
	}
	return frame;
}

static bool is_ours(const struct world *w, const struct stack_addr *addr)
{
	struct stack_address_info info;

	for (size_t i = 0; stack_address_get(w->s, i, &info); i++)
		if (memcmp(&info.addr, addr, sizeof(*addr)) == 0)
			return true;
	return false;
}

/* What the link does when it is left the checksum. */
static void finish_checksum(uint8_t *frame, const struct stack_output *out)
{
	uint16_t sum;

	if (!out->csum_partial)
		return;
	FUZZ_CHECK(out->csum_start + out->csum_offset + 2u <= out->len, "checksum outside the frame");
	sum = checksum_finish(checksum_add(0, frame + out->csum_start, out->len - out->csum_start));
	store16(frame + out->csum_start + out->csum_offset, sum);
}

static void check_tcp(struct world *w, const struct ip4_header *ip, const uint8_t *p, size_t len)
{
	struct tcp_segment seg;
	const char *wrong = tcp_parse(p, len, &ip->src, &ip->dst, false, &seg);
	uint8_t kind;

	FUZZ_CHECK(!wrong, "%s", wrong);
	kind = seg.flags & (TCP_SYN | TCP_FIN | TCP_RST);
	FUZZ_CHECK((kind & (kind - 1)) == 0, "flags %#x", seg.flags);
	FUZZ_CHECK(seg.flags & (TCP_SYN | TCP_ACK | TCP_RST), "flags %#x", seg.flags);
	FUZZ_CHECK(seg.len == 0 || !(seg.flags & (TCP_SYN | TCP_RST)) || seg.opt.fastopen_len > 0,
		   "SYN or RST with %u bytes", seg.len);
	FUZZ_CHECK(seg.sport != 0 && seg.dport != 0, "port 0");
	if ((seg.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK)) {
		w->has_syn_ack = true;
		w->syn_ack_ip = *ip;
		w->syn_ack = seg;
		w->syn_ack.data = NULL;
	}
}

static void check_transport(struct world *w, const struct ip4_header *ip, const uint8_t *p, size_t len)
{
	const char *wrong = NULL;
	struct icmp4_header icmp;
	struct udp_header udp;

	if (ip->fragment_offset > 0 || ip->more_fragments)
		return;
	if (ip->proto == IP_PROTO_TCP) {
		check_tcp(w, ip, p, len);
	} else if (ip->proto == IP_PROTO_UDP) {
		wrong = udp_parse(p, len, &ip->src, &ip->dst, false, &udp);
	} else {
		FUZZ_CHECK(ip->proto == IP_PROTO_ICMP, "protocol %u", ip->proto);
		wrong = icmp4_parse(p, len, false, &icmp);
		FUZZ_CHECK(wrong || icmp.type == ICMP_ECHO_REPLY || ip->total_len <= ICMP_ERROR_MAX,
			   "an error of %u bytes", ip->total_len);
	}
	FUZZ_CHECK(!wrong, "%s", wrong);
}

static void check_ip(struct world *w, const uint8_t *p, size_t len, const struct stack_output *out)
{
	struct ip4_header ip;
	const char *wrong = ip4_parse(p, len, &ip);

	FUZZ_CHECK(!wrong, "%s", wrong);
	FUZZ_CHECK(ip.total_len == len, "a packet of %u bytes in %zu", ip.total_len, len);
	FUZZ_CHECK(is_ours(w, &ip.src) || w->was_ours[ip.src.byte[15]], "not from one of our addresses");
	FUZZ_CHECK(!is_ours(w, &ip.dst), "to ourselves, by the link");
	if (out->gso_size) {
		unsigned needs = out->gso_udp ? STACK_OFFLOAD_USO4 : STACK_OFFLOAD_TSO4;

		FUZZ_CHECK(w->config.offload & needs && out->csum_partial, "left to a link that cannot");
		FUZZ_CHECK(out->gso_udp == (ip.proto == IP_PROTO_UDP), "pieces of another transport");
		FUZZ_CHECK(out->gso_size + out->header_len - (out->len - len) <= w->config.mtu, "pieces above the MTU");
	} else {
		FUZZ_CHECK(len <= w->config.mtu, "%zu bytes are above the MTU", len);
	}
	FUZZ_CHECK(!out->csum_partial || (w->config.offload & STACK_OFFLOAD_CSUM), "left to a link that cannot");
	check_transport(w, &ip, p + ip.header_len, len - ip.header_len);
}

static void check_arp(struct world *w, const uint8_t *p, size_t len)
{
	struct arp_packet arp;
	const char *wrong = arp_parse(p, len, &arp);

	FUZZ_CHECK(!wrong, "%s", wrong);
	FUZZ_CHECK(memcmp(arp.sender_mac, w->config.mac, 6) == 0, "another's hardware address");
	if (arp.op == ARP_REQUEST && !stack_addr_is_any(&arp.sender) && !is_ours(w, &arp.target) && w->resolves &&
	    w->wanted_count < ARP_WANTED)
		w->wanted[w->wanted_count++] = arp.target;
}

static void check_ethernet(struct world *w, const uint8_t *frame, const struct stack_output *out)
{
	struct eth_header eth;
	const char *wrong = eth_parse(frame, out->len, &eth);

	FUZZ_CHECK(!wrong, "%s", wrong);
	FUZZ_CHECK(memcmp(eth.src, w->config.mac, 6) == 0, "another's hardware address");
	if (eth.type == ETH_TYPE_ARP) {
		check_arp(w, frame + ETH_HEADER, out->len - ETH_HEADER);
		return;
	}
	FUZZ_CHECK(eth.type == ETH_TYPE_IP4, "type %#x", eth.type);
	check_ip(w, frame + ETH_HEADER, out->len - ETH_HEADER, out);
}

bool world_transmit(void *context, const struct stack_output *out)
{
	struct world *w = context;
	uint8_t *frame = gather(out);

	finish_checksum(frame, out);
	if (w->ethernet)
		check_ethernet(w, frame, out);
	else
		check_ip(w, frame, out->len, out);
	free(frame);
	return true;
}
