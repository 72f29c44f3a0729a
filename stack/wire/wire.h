/*
 * Wire formats. A header is validated once, into a host-order struct that can only hold valid
 * values; nothing outside stack/wire reads or writes a header's bytes. This layer knows
 * nothing of control blocks. Parsers return NULL when the header is good, or which check failed
 * (static text, for counters and traces).
 */
#ifndef BYWAY_STACK_WIRE_H
#define BYWAY_STACK_WIRE_H

#include "../stack.h"
#include "../types.h"

/* What a parser returns when (only) a checksum is wrong; compare the pointer. */
extern const char wire_bad_checksum[];

/* ---- Ethernet II ---- */
#define ETH_HEADER 14u
#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_ARP 0x0806
struct eth_header {
	uint8_t dst[6], src[6];
	uint16_t type;
};
const char *eth_parse(const uint8_t *p, size_t len, struct eth_header *out);
void eth_write(uint8_t *p, const struct eth_header *h);
static inline bool mac_is_group(const uint8_t mac[6]) { return mac[0] & 1; }

/* ---- ARP for IPv4 over Ethernet (RFC 826) ---- */
#define ARP_SIZE 28u
#define ARP_REQUEST 1
#define ARP_REPLY 2
struct arp_packet {
	uint16_t op;
	uint8_t sender_mac[6], target_mac[6];
	struct stack_addr sender, target;
};
/* Refuses wrong types and lengths, and a sender that is a group or zero MAC or a bad address (row E2). */
const char *arp_parse(const uint8_t *p, size_t len, struct arp_packet *out);
void arp_write(uint8_t *p, const struct arp_packet *a);

/* ---- IPv4 (RFC 791) ---- */
#define IP4_HEADER 20u
#define IP_PROTO_ICMP 1
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17
struct ip4_header {
	struct stack_addr src, dst;
	uint16_t header_len, total_len; /* bytes; what follows total_len is padding */
	uint16_t id;
	uint16_t fragment_offset; /* bytes */
	bool dont_fragment, more_fragments;
	uint8_t ttl, proto, tos;
};
/* Checks version, lengths, checksum. Options are checked by ip4_check_options. */
const char *ip4_parse(const uint8_t *p, size_t len, struct ip4_header *out);
/* The same of a packet cut short, as an ICMP error quotes it: the header and 8 bytes behind it are there. */
const char *ip4_parse_quoted(const uint8_t *p, size_t len, struct ip4_header *out);
/* Without options; computes the header checksum. */
void ip4_write(uint8_t *p, const struct ip4_header *h);
/* Edits a header in place: total length, id moved on by id_offset, no longer a fragment, checksum. */
void ip4_make_whole(uint8_t *p, uint16_t total_len, uint16_t id_offset);
enum ip4_option_result { IP4_OPTIONS_GOOD, IP4_OPTIONS_SOURCE_ROUTE, IP4_OPTIONS_BAD };
/* Walks the options, bounded by the header; *pointer: offset in the header of the offending byte. */
enum ip4_option_result ip4_check_options(const uint8_t *p, size_t header_len, uint8_t *pointer);

/* ---- ICMP (RFC 792) ---- */
#define ICMP_HEADER 8u
enum icmp4_type {
	ICMP_ECHO_REPLY = 0, ICMP_UNREACHABLE = 3, ICMP_SOURCE_QUENCH = 4, ICMP_REDIRECT = 5,
	ICMP_ECHO = 8, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETER_PROBLEM = 12
};
enum icmp4_unreachable {
	ICMP_NET_UNREACHABLE = 0, ICMP_HOST_UNREACHABLE = 1, ICMP_PROTOCOL_UNREACHABLE = 2,
	ICMP_PORT_UNREACHABLE = 3, ICMP_FRAGMENTATION_NEEDED = 4
};
struct icmp4_header {
	uint8_t type, code;
	uint32_t rest; /* the header's second word: id and sequence, MTU, pointer */
};
/* Checks length and, unless csum_good, the checksum. */
const char *icmp4_parse(const uint8_t *p, size_t len, bool csum_good, struct icmp4_header *out);
/* The header; the payload is summed, not copied. */
void icmp4_write(uint8_t *p, const struct icmp4_header *h, const void *payload, size_t payload_len);

/* ---- UDP (RFC 768) ---- */
#define UDP_HEADER 8u
struct udp_header {
	uint16_t sport, dport;
	uint16_t len; /* header and payload */
};
/* Checks the length and, unless csum_good or the sender left it out, the checksum. */
const char *udp_parse(const uint8_t *p, size_t len, const struct stack_addr *src,
		      const struct stack_addr *dst, bool csum_good, struct udp_header *out);
/* checksum: as it goes into the field (0 becomes 0xffff is the caller's). */
void udp_write(uint8_t *p, const struct udp_header *h, uint16_t checksum);
/* Makes the header of a row of datagrams that of one, of `len` bytes with its header; not the checksum. */
void udp_cut(uint8_t *p, uint16_t len);

/* ---- TCP (RFC 9293 3.1) ---- */
#define TCP_HEADER 20u
#define TCP_OPTIONS_MAX 40u
#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u
#define TCP_FASTOPEN_MAX 16u /* bytes of a Fast Open cookie (RFC 7413 4.1.1): 4 to 16, an even number */
struct tcp_options {
	bool has_mss, has_window_scale, has_timestamp, sack_permitted;
	bool has_fastopen;          /* in a SYN */
	bool fastopen_experimental; /* in the form that it had before it got a number of its own */
	uint8_t fastopen_len;       /* bytes of cookie; 0: asks for one */
	uint8_t sack_count;         /* up to 4 */
	/* of what there is */
	uint8_t window_scale;       /* clamped to 14 (RFC 7323 2.3) */
	uint16_t mss;
	uint32_t ts_value, ts_echo;
	struct { seq32 left, right; } sack[4];
	uint8_t fastopen[TCP_FASTOPEN_MAX];
};
struct tcp_segment {
	uint16_t sport, dport;
	seq32 seq, ack;
	uint8_t flags;
	uint16_t window; /* unscaled */
	uint16_t urgent;
	struct tcp_options opt;
	const uint8_t *data; /* payload, in the frame */
	uint32_t len;        /* payload bytes, without SYN and FIN */
	uint32_t gso_size;   /* not 0: several segments merged */
};
/* SEG.LEN of RFC 9293: payload, SYN and FIN. */
static inline uint32_t tcp_seg_len(const struct tcp_segment *s)
{
	return s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
}
/* Checks lengths and, unless csum_good, the checksum. A malformed option ends option parsing. */
const char *tcp_parse(const uint8_t *p, size_t len, const struct stack_addr *src,
		      const struct stack_addr *dst, bool csum_good, struct tcp_segment *out);
/* Option parsing by itself (bounded by len, never loops on lengths 0 and 1). */
void tcp_options_parse(const uint8_t *p, size_t len, bool syn, struct tcp_options *out);
/* Bytes that tcp_write needs: header and options, a multiple of 4, 20 to 60. */
size_t tcp_header_size(const struct tcp_segment *s);
/* Header and options; the checksum field is set to `checksum`. p has tcp_header_size bytes. */
void tcp_write(uint8_t *p, const struct tcp_segment *s, uint16_t checksum);
/*
 * Edits a header in place for one piece of a large segment, `offset` bytes into its payload:
 * sequence number, FIN and PSH only on the last piece, CWR only on the first.
 */
void tcp_cut(uint8_t *p, uint32_t offset, bool last);
/* The first 8 bytes of a quoted TCP or UDP header in an ICMP error. */
struct quoted_ports {
	uint16_t sport, dport;
	seq32 seq; /* TCP only */
};
bool quoted_parse(const uint8_t *p, size_t len, struct quoted_ports *out);

#endif
