/*
 * The edge of the stack: frames in and out, and packets to ourselves.
 *
 * Out, it does what the link cannot: the transport checksum, and cutting a large TCP segment,
 * or a row of UDP datagrams, into frames. Inside the stack a checksum field holds only the pseudo header's sum until
 * here. Packets to ourselves never leave, so they need neither.
 */
#include "checksum.h"
#include "net.h"

#define UDP_CSUM_OFFSET 6u

static const uint8_t mac_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* ---- in ---- */

static void ethernet_input(struct stack *s, const struct stack_frame *frame)
{
	struct eth_header eth;
	bool group;

	if (eth_parse(frame->data, frame->len, &eth)) {
		COUNT(s, link_in_short);
		return;
	}
	group = memcmp(eth.dst, mac_broadcast, 6) == 0; /* no multicast group is ever joined */
	if (!group && memcmp(eth.dst, s->cfg.mac, 6) != 0) {
		COUNT(s, link_in_not_ours);
		return;
	}
	if (eth.type == ETH_TYPE_ARP) {
		arp_input(s, frame->data + ETH_HEADER, frame->len - ETH_HEADER);
	} else if (eth.type == ETH_TYPE_IP4) {
		ip4_input(s, &(struct ip4_packet){
			.data = frame->data + ETH_HEADER, .len = frame->len - ETH_HEADER,
			.csum_good = frame->csum_good, .broadcast = group,
			.gso_size = frame->gso_size, .gso_udp = frame->gso_udp,
		});
	} else {
		COUNT(s, link_in_type);
	}
}

void link_input(struct stack *s, const struct stack_frame *frame)
{
	COUNT(s, link_in);
	COUNT_ADD(s, link_in_bytes, frame->len);
	if (s->cfg.link == STACK_LINK_ETHERNET) {
		ethernet_input(s, frame);
	} else if (frame->len == 0) {
		COUNT(s, link_in_short);
	} else if (frame->data[0] >> 4 != 4) {
		COUNT(s, link_in_type);
	} else {
		ip4_input(s, &(struct ip4_packet){
			.data = frame->data, .len = frame->len,
			.csum_good = frame->csum_good, .gso_size = frame->gso_size, .gso_udp = frame->gso_udp,
		});
	}
}

/* ---- out ---- */

static bool is_udp(const struct tx *tx)
{
	return tx->csum_offset == UDP_CSUM_OFFSET;
}

void tx_finish_checksum(struct tx *tx)
{
	uint8_t *transport = tx->head + tx->transport;
	uint64_t sum = checksum_add(0, transport, TX_HEADROOM - tx->transport);
	uint16_t checksum;

	if (!tx->csum_partial)
		return;
	checksum = checksum_finish(checksum_iov(sum, tx->data, tx->data_count, 0));
	if (checksum == 0 && is_udp(tx))
		checksum = 0xffff; /* RFC 768: 0 would say that there is none */
	store16(transport + tx->csum_offset, checksum);
	tx->csum_partial = false;
}

unsigned iov_slice(const struct iovec *in, unsigned count, size_t offset, size_t len, struct iovec *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count && len > 0; i++) {
		size_t take;

		if (offset >= in[i].iov_len) {
			offset -= in[i].iov_len;
			continue;
		}
		take = min_size(in[i].iov_len - offset, len);
		out[n++] = (struct iovec){(uint8_t *)in[i].iov_base + offset, take};
		len -= take;
		offset = 0;
	}
	return n;
}

static void transmit(struct stack *s, struct tx *tx)
{
	uint16_t header = (uint16_t)(TX_HEADROOM - tx->start);
	struct stack_output out; /* of iov[] only what is in use is set */

	out.iov_count = tx->data_count + 1;
	out.len = header + tx->data_len;
	out.csum_partial = tx->csum_partial;
	out.csum_start = tx->csum_partial ? (uint16_t)(tx->transport - tx->start) : 0;
	out.csum_offset = tx->csum_partial ? tx->csum_offset : 0;
	out.gso_size = tx->gso_size;
	out.header_len = tx->gso_size ? header : 0;
	out.gso_udp = tx->gso_size && is_udp(tx);
	out.iov[0] = (struct iovec){tx->head + tx->start, header};
	for (unsigned i = 0; i < tx->data_count; i++)
		out.iov[i + 1] = tx->data[i];
	if (!s->ops.transmit(s->context, &out)) {
		COUNT(s, link_out_failed);
		return;
	}
	COUNT(s, link_out);
	COUNT_ADD(s, link_out_bytes, out.len);
}

static void finish_and_transmit(struct stack *s, struct tx *tx)
{
	if (!(s->cfg.offload & STACK_OFFLOAD_CSUM))
		tx_finish_checksum(tx);
	transmit(s, tx);
}

static size_t link_header(const struct stack *s)
{
	return s->cfg.link == STACK_LINK_ETHERNET ? ETH_HEADER : 0;
}

/* One's complement: the pseudo header's sum with its length field changed (RFC 1624). */
static uint16_t pseudo_relength(uint16_t sum, uint32_t old_len, uint32_t new_len)
{
	uint32_t v = (uint32_t)sum + (uint16_t)~old_len + new_len;

	v = (v & 0xffff) + (v >> 16);
	return (uint16_t)((v & 0xffff) + (v >> 16));
}

/* What may be fragmented on its way has an identification of its own, each; with DF they are counted. */
static uint16_t id_step(struct stack *s, const struct tx *whole, const uint8_t *ip, uint32_t offset)
{
	bool dont_fragment = ip[6] & 0x40;

	if (is_udp(whole) && !dont_fragment && offset > 0)
		return (uint16_t)(ip4_next_id(s) - load16(ip + 4));
	return (uint16_t)(offset / whole->gso_size);
}

/* The piece of `len` payload bytes at `offset`, as a frame of its own. */
static void cut(struct stack *s, const struct tx *whole, uint32_t offset, uint32_t len, struct tx *piece)
{
	uint32_t transport_len = TX_HEADROOM - whole->transport;
	uint8_t *transport = piece->head + whole->transport;
	uint8_t *ip = piece->head + whole->start + link_header(s);
	uint8_t *sum = transport + whole->csum_offset;

	tx_init(piece);
	memcpy(piece->head + whole->start, whole->head + whole->start, TX_HEADROOM - whole->start);
	piece->start = whole->start;
	piece->transport = whole->transport;
	piece->csum_partial = true;
	piece->csum_offset = whole->csum_offset;
	piece->data_count = iov_slice(whole->data, whole->data_count, offset, len, piece->data);
	piece->data_len = len;
	ip4_make_whole(ip, (uint16_t)((size_t)(transport - ip) + transport_len + len), id_step(s, whole, ip, offset));
	if (is_udp(whole))
		udp_cut(transport, (uint16_t)(UDP_HEADER + len));
	else
		tcp_cut(transport, offset, offset + len == whole->data_len);
	store16(sum, pseudo_relength(load16(sum), transport_len + whole->data_len, transport_len + len));
}

static void segment(struct stack *s, const struct tx *whole)
{
	struct tx piece;

	COUNT(s, link_gso_software);
	for (uint32_t offset = 0; offset < whole->data_len; offset += piece.data_len) {
		cut(s, whole, offset, min_u32(whole->gso_size, whole->data_len - offset), &piece);
		finish_and_transmit(s, &piece);
	}
}

void link_output(struct stack *s, struct tx *tx)
{
	unsigned needs = is_udp(tx) ? STACK_OFFLOAD_USO4 : STACK_OFFLOAD_TSO4;

	if (tx->data_len <= tx->gso_size)
		tx->gso_size = 0;
	if (tx->gso_size == 0)
		finish_and_transmit(s, tx);
	else if (s->cfg.offload & needs)
		transmit(s, tx);
	else
		segment(s, tx);
}

/* ---- to ourselves ---- */

static size_t loop_size(uint32_t len)
{
	return sizeof(struct loop_packet) + len;
}

void tx_copy(const struct tx *tx, uint8_t *out)
{
	size_t n = TX_HEADROOM - tx->start;

	memcpy(out, tx->head + tx->start, n);
	for (unsigned i = 0; i < tx->data_count; i++) {
		memcpy(out + n, tx->data[i].iov_base, tx->data[i].iov_len);
		n += tx->data[i].iov_len;
	}
}

void loopback_output(struct stack *s, struct tx *tx)
{
	uint32_t len = TX_HEADROOM - tx->start + tx->data_len;
	struct loop_packet *p = mem_alloc_raw(&s->mem, MEM_LOOPBACK, loop_size(len));

	if (!p) {
		COUNT(s, loopback_drops);
		return;
	}
	p->next = NULL;
	p->len = len;
	p->gso_size = tx->data_len > tx->gso_size ? tx->gso_size : 0;
	p->gso_udp = is_udp(tx);
	tx_copy(tx, p->data);
	*s->loop_tail = p;
	s->loop_tail = &p->next;
	COUNT(s, loopback);
}

static struct loop_packet *loop_pop(struct stack *s)
{
	struct loop_packet *p = s->loop_head;

	if (p) {
		s->loop_head = p->next;
		if (!s->loop_head)
			s->loop_tail = &s->loop_head;
	}
	return p;
}

bool loopback_run(struct stack *s, unsigned max)
{
	struct loop_packet *p;

	for (; max > 0 && (p = loop_pop(s)); max--) {
		ip4_input(s, &(struct ip4_packet){
			.data = p->data, .len = p->len, .csum_good = true,
			.loopback = true, .gso_size = p->gso_size, .gso_udp = p->gso_udp,
		});
		mem_free(&s->mem, MEM_LOOPBACK, p, loop_size(p->len));
	}
	return s->loop_head;
}

void loopback_free(struct stack *s)
{
	struct loop_packet *p;

	while ((p = loop_pop(s)))
		mem_free(&s->mem, MEM_LOOPBACK, p, loop_size(p->len));
}
