/*
 * What a sequence of TCP segments must look like to somebody who watches the wire: nothing is
 * sent past the window that the peer offered, nothing is acknowledged that was not sent, and an
 * offered window is not taken back (RFC 9293 3.8.6).
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define FLOWS 256
#define SYN 0x02
#define RST 0x04
#define ACK 0x10
#define FIN 0x01

/* One direction of a connection, as its sender showed it. */
struct flow {
	uint8_t src[4], dst[4];
	uint16_t sport, dport;
	bool used, scaled, acked;
	uint8_t scale;
	uint32_t iss;      /* of its SYN */
	uint32_t sent;     /* one past the highest sequence number sent */
	uint32_t edge;     /* right edge of the window that it offers; valid when acked */
};

struct flows {
	unsigned next; /* to be reused */
	struct flow flow[FLOWS];
};

struct flows *flows_new(void)
{
	return calloc(1, sizeof(struct flows));
}

void flows_free(struct flows *flows)
{
	free(flows);
}

static struct flow *find(struct flows *flows, const uint8_t *src, uint16_t sport, const uint8_t *dst, uint16_t dport)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *f = &flows->flow[i];

		if (f->used && f->sport == sport && f->dport == dport && memcmp(f->src, src, 4) == 0 &&
		    memcmp(f->dst, dst, 4) == 0)
			return f;
	}
	return NULL;
}

static struct flow *start(struct flows *flows, struct flow *f, const struct frame_tcp *seg)
{
	if (!f)
		f = &flows->flow[flows->next++ % FLOWS];
	*f = (struct flow){
		.sport = seg->sport, .dport = seg->dport, .used = true, .iss = seg->seq, .sent = seg->seq,
		.scaled = seg->window_scale >= 0,
		.scale = (uint8_t)(seg->window_scale > 0 ? seg->window_scale : 0),
	};
	memcpy(f->src, seg->src, 4);
	memcpy(f->dst, seg->dst, 4);
	return f;
}

static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static const char *check_sent(struct flow *f, const struct flow *peer, const struct frame_tcp *seg)
{
	uint32_t end = seg->seq + seg->len + !!(seg->flags & SYN) + !!(seg->flags & FIN);

	/* a probe of a closed window is one byte (3.8.6.1), and a FIN may wait behind it */
	if (seg->len > 0 && peer && peer->acked && after(seg->seq + seg->len, peer->edge + 1))
		return "data beyond the offered window";
	if (after(end, f->sent))
		f->sent = end;
	return NULL;
}

static const char *check_acked(struct flow *f, const struct flow *peer, const struct frame_tcp *seg)
{
	unsigned scale = f->scaled && peer && peer->scaled && !(seg->flags & SYN) ? f->scale : 0;
	uint32_t edge = seg->ack + ((uint32_t)seg->window << scale);

	if (!peer)
		return NULL;
	if (after(seg->ack, peer->sent))
		return "acknowledges what was never sent";
	/* the window field cannot say the last bits, nor that of a SYN large windows: that is no shrinking */
	if (f->acked && !(seg->flags & SYN) && after(f->edge, edge + (1u << f->scale) - 1))
		return "takes back an offered window";
	if (!f->acked || after(edge, f->edge))
		f->edge = edge;
	f->acked = true;
	return NULL;
}

const char *flow_check(struct flows *flows, const struct frame_tcp *seg)
{
	struct flow *f = find(flows, seg->src, seg->sport, seg->dst, seg->dport);
	struct flow *peer = find(flows, seg->dst, seg->dport, seg->src, seg->sport);
	const char *wrong;

	if ((seg->flags & SYN) && (!f || f->iss != seg->seq))
		f = start(flows, f, seg);
	if (!f || (seg->flags & RST))
		return NULL;
	wrong = check_sent(f, peer, seg);
	if (!wrong && (seg->flags & ACK))
		wrong = check_acked(f, peer, seg);
	return wrong;
}

void flow_relative(struct flows *flows, const struct frame_tcp *seg, uint32_t *seq, uint32_t *ack)
{
	const struct flow *f = find(flows, seg->src, seg->sport, seg->dst, seg->dport);
	const struct flow *peer = find(flows, seg->dst, seg->dport, seg->src, seg->sport);

	*seq = seg->seq - (f ? f->iss : 0);
	*ack = seg->flags & ACK ? seg->ack - (peer ? peer->iss : 0) : 0;
}
