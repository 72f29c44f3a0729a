/*
 * Frames into a live stack.
 *
 * Input: two bytes that configure the world, then records (see record.h). A record is a frame
 * or a call of the owner, after a step of time. So that fuzzing gets behind checksums and
 * sequence numbers, a record's mode says what is to be put right in its frame: lengths and
 * checksums, the addresses and ports of a connection that lives, and sequence numbers counted
 * from that connection's own.
 */
#include "record.h"
#include "world.h"

#include "stack/checksum.h"

/* Where things are in a frame that is being put right. */
struct layout {
	uint8_t *ip, *transport;
	size_t ip_len, transport_len;
	bool fragment;
};

/* False: too short for an IPv4 packet, or another version. */
static bool find_headers(uint8_t *frame, size_t len, bool ethernet, struct layout *l)
{
	size_t at = ethernet ? ETH_HEADER : 0, header;

	if (len < at + IP4_HEADER || (ethernet && load16(frame + 12) != ETH_TYPE_IP4))
		return false;
	l->ip = frame + at;
	l->ip_len = len - at;
	header = (l->ip[0] & 0x0fu) * 4;
	if (header < IP4_HEADER || header > l->ip_len)
		return false;
	l->transport = l->ip + header;
	l->transport_len = l->ip_len - header;
	l->fragment = load16(l->ip + 6) & 0x3fff;
	return true;
}

/* SACK blocks of a segment, counted from SND.UNA. */
static void aim_sack(struct layout *l, uint32_t snd_una)
{
	size_t header = (l->transport[12] >> 4) * 4u, i = TCP_HEADER, len;

	for (; i + 1 < header && header <= l->transport_len && l->transport[i] != 0; i += len) {
		len = l->transport[i] == 1 ? 1 : l->transport[i + 1];
		if (len == 0 || len > header - i)
			return;
		for (size_t block = 2; l->transport[i] == 5 && block + 4 <= len; block += 4)
			store32(l->transport + i + block, load32(l->transport + i + block) + snd_una);
	}
}

/* From `remote` to `local`, as the connection's next segment would come. */
static void aim(struct layout *l, const struct stack_tcb_info *tcb, bool sequence)
{
	memcpy(l->ip + 12, tcb->sock.remote.addr.byte + 12, 4);
	memcpy(l->ip + 16, tcb->sock.local.addr.byte + 12, 4);
	if (l->fragment || l->ip[9] != IP_PROTO_TCP || l->transport_len < TCP_HEADER)
		return;
	store16(l->transport, tcb->sock.remote.port);
	store16(l->transport + 2, tcb->sock.local.port);
	if (!sequence)
		return;
	store32(l->transport + 4, load32(l->transport + 4) + tcb->rcv_nxt);
	store32(l->transport + 8, load32(l->transport + 8) + tcb->snd_una);
	aim_sack(l, tcb->snd_una);
}

/* The same of an ICMP error: what it quotes is a segment of ours. */
static void aim_quote(struct layout *l, const struct stack_tcb_info *tcb, bool sequence)
{
	struct layout quoted = {.ip = l->transport + ICMP_HEADER};
	size_t header;

	if (l->fragment || l->ip[9] != IP_PROTO_ICMP || l->transport_len < ICMP_HEADER + IP4_HEADER + 8)
		return;
	header = (quoted.ip[0] & 0x0fu) * 4;
	if (header < IP4_HEADER || l->transport_len < ICMP_HEADER + header + 8)
		return;
	quoted.transport = quoted.ip + header;
	memcpy(l->ip + 16, tcb->sock.local.addr.byte + 12, 4);
	memcpy(quoted.ip + 12, tcb->sock.local.addr.byte + 12, 4);
	memcpy(quoted.ip + 16, tcb->sock.remote.addr.byte + 12, 4);
	store16(quoted.transport, tcb->sock.local.port);
	store16(quoted.transport + 2, tcb->sock.remote.port);
	if (sequence)
		store32(quoted.transport + 4, load32(quoted.transport + 4) + tcb->snd_una);
}

/* As the client that the last SYN-ACK went to; a timestamp option echoes that of the SYN-ACK. */
static void answer_syn_ack(struct layout *l, const struct world *w)
{
	const struct tcp_segment *s = &w->syn_ack;

	if (!w->has_syn_ack || l->fragment || l->ip[9] != IP_PROTO_TCP || l->transport_len < TCP_HEADER)
		return;
	memcpy(l->ip + 12, w->syn_ack_ip.dst.byte + 12, 4);
	memcpy(l->ip + 16, w->syn_ack_ip.src.byte + 12, 4);
	store16(l->transport, s->dport);
	store16(l->transport + 2, s->sport);
	store32(l->transport + 4, load32(l->transport + 4) + s->ack.v);
	store32(l->transport + 8, load32(l->transport + 8) + s->seq.v + 1);
	if (l->transport_len >= TCP_HEADER + 12 && memcmp(l->transport + TCP_HEADER, "\1\1\x08\x0a", 4) == 0)
		store32(l->transport + TCP_HEADER + 8, load32(l->transport + TCP_HEADER + 8) + s->opt.ts_value);
}

static void repair_transport(struct layout *l)
{
	static const struct { uint8_t proto; uint16_t field, least; } sums[] = {
		{IP_PROTO_TCP, 16, TCP_HEADER}, {IP_PROTO_UDP, 6, UDP_HEADER}, {IP_PROTO_ICMP, 2, ICMP_HEADER},
	};
	struct stack_addr src = stack_addr_v4(l->ip + 12), dst = stack_addr_v4(l->ip + 16);

	for (size_t i = 0; i < ARRAY_SIZE(sums) && !l->fragment; i++) {
		uint64_t sum = 0;

		if (l->ip[9] != sums[i].proto || l->transport_len < sums[i].least)
			continue;
		if (sums[i].proto == IP_PROTO_UDP)
			store16(l->transport + 4, (uint16_t)l->transport_len);
		if (sums[i].proto != IP_PROTO_ICMP)
			sum = checksum_pseudo(&src, &dst, sums[i].proto, l->transport_len);
		store16(l->transport + sums[i].field, 0);
		store16(l->transport + sums[i].field,
			checksum_finish(checksum_add(sum, l->transport, l->transport_len)));
	}
}

static void repair_ip(struct layout *l)
{
	l->ip[0] = (uint8_t)(0x40 | (l->ip[0] & 0x0f));
	store16(l->ip + 2, (uint16_t)l->ip_len);
	store16(l->ip + 10, 0);
	store16(l->ip + 10, checksum_finish(checksum_add(0, l->ip, (size_t)(l->transport - l->ip))));
}

static void repair(struct world *w, const struct record *r, uint8_t *frame, size_t len)
{
	struct stack_tcb_info tcb;
	struct layout l;

	if (w->ethernet && (r->mode & RECORD_FIX_IP) && len >= 6 && !mac_is_group(frame))
		memcpy(frame, w->config.mac, 6);
	if (!find_headers(frame, len, w->ethernet, &l))
		return;
	if (r->mode & RECORD_ANSWER)
		answer_syn_ack(&l, w);
	else if ((r->mode & RECORD_AIM) && world_connection(w, r->connection, &tcb)) {
		if (l.ip[9] == IP_PROTO_ICMP)
			aim_quote(&l, &tcb, r->mode & RECORD_SEQUENCE);
		else
			aim(&l, &tcb, r->mode & RECORD_SEQUENCE);
	}
	if (r->mode & RECORD_FIX_TRANSPORT)
		repair_transport(&l);
	if (r->mode & RECORD_FIX_IP)
		repair_ip(&l);
}

/* A link may only claim what virtio can: a good checksum, and merged segments of TCP or datagrams of UDP. */
static uint16_t merged_size(struct world *w, const uint8_t *frame, size_t len, bool *udp)
{
	size_t at = w->ethernet ? ETH_HEADER : 0;

	*udp = len > at + IP4_HEADER + UDP_HEADER && frame[at + 9] == IP_PROTO_UDP;
	if (*udp)
		return frame[at + 5]; /* the identification's, as good as any */
	return len > at + IP4_HEADER + TCP_HEADER && frame[at + 9] == IP_PROTO_TCP ? 500 : 0;
}

static void play_frame(struct world *w, const struct record *r, struct input bytes)
{
	bool good = r->mode & RECORD_CSUM_GOOD, udp = false;
	uint8_t *frame = malloc(bytes.left ? bytes.left : 1);

	memcpy(frame, bytes.p, bytes.left);
	repair(w, r, frame, bytes.left);
	uint16_t merged = good ? merged_size(w, frame, bytes.left, &udp) : 0;
	world_frame(w, frame, bytes.left, good, merged, udp, !(r->mode & RECORD_BATCH));
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct record r;
	struct world w;

	world_start(&w, &in);
	for (unsigned i = 0; i < RECORDS_MAX && in.left > 0; i++) {
		struct input bytes = record_read(&in, &r);

		if (r.step > 0)
			world_pass(&w, r.step);
		if (r.mode & RECORD_OWNER) {
			world_owner_act(&w, &bytes);
			world_settle(&w);
		} else {
			play_frame(&w, &r, bytes);
		}
	}
	world_settle(&w);
	world_end(&w);
	return 0;
}
