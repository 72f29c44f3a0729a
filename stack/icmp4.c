/*
 * ICMP (RFC 792, RFC 1122 3.2.2, RFC 5927): echo, the errors that we send, and those about
 * packets of ours, which go to the transport that sent them. Replies to what a ping socket asked
 * go there (ping.c).
 *
 * Whatever we send because a stranger sent something passes one rate limit. Redirects and
 * source quench are ignored (RFC 6633; redirects are an attack more often than a help).
 */
#include "net.h"

#include <errno.h>

/* RFC 1812 4.3.2.3: as much of the packet as makes the error 576 bytes long. */
#define QUOTE_MAX (576u - IP4_HEADER - ICMP_HEADER)
#define TOS_INTERNETWORK_CONTROL 0xc0 /* RFC 1812 4.3.2.5 */

/*
 * Row C3: one limit for everybody would let an outsider count from another address how many
 * answers its victim got (CVE-2020-25705). So each answer costs between one event and two.
 */
static bool may_answer(struct stack *s, const struct ip_info *ip)
{
	struct limit *l = &s->icmp_limit;

	if (ip->loopback)
		return true;
	if (!limit_allow(l, s->now, s->cfg.icmp_rate, s->cfg.icmp_burst)) {
		COUNT(s, icmp_rate_limited);
		return false;
	}
	l->tokens -= min_u64(l->tokens, random_u64(s) % LIMIT_EVENT);
	return true;
}

static void message_output(struct stack *s, const struct ip_params *params, const struct icmp4_header *h,
			   const uint8_t *payload, size_t len)
{
	struct tx tx;

	tx_init(&tx);
	icmp4_write(tx_push(&tx, ICMP_HEADER), h, payload, len);
	tx.transport = tx.start;
	if (len > 0)
		tx_add(&tx, payload, len);
	(void)ip_output(s, &tx, params); /* counted there; nobody waits for an answer */
}

/* ---- errors that we send ---- */

static bool is_unicast(const struct stack *s, const struct stack_addr *a)
{
	return !address_is_broadcast(s, a) && !address_is_multicast(a) && a->byte[12] != 0;
}

/* RFC 1122 3.2.2: what no error may be about. */
static bool error_allowed(struct stack *s, const struct ip_info *ip)
{
	struct ip4_header h;
	struct icmp4_header about;

	if (!is_unicast(s, &ip->dst) || !is_unicast(s, &ip->src))
		return false;
	if (address_is_loopback(&ip->src) && !ip->loopback)
		return false;
	if (ip4_parse_quoted(ip->ip, ip->ip_len, &h))
		return true; /* less than 8 bytes of payload: not ICMP */
	if (h.fragment_offset > 0)
		return false;
	if (h.proto != IP_PROTO_ICMP)
		return true;
	if (icmp4_parse(ip->ip + h.header_len, ip->ip_len - h.header_len, true, &about))
		return false;
	return about.type == ICMP_ECHO || about.type == ICMP_ECHO_REPLY;
}

void icmp4_error(struct stack *s, const struct ip_info *ip, enum icmp4_type type, uint8_t code, uint32_t rest)
{
	struct icmp4_header h = {.type = (uint8_t)type, .code = code, .rest = rest};
	struct ip_params params = {
		.src = ip->dst, .dst = ip->src, .proto = IP_PROTO_ICMP,
		.ttl = s->cfg.ttl, .tos = TOS_INTERNETWORK_CONTROL,
	};

	if (!error_allowed(s, ip) || !may_answer(s, ip))
		return;
	COUNT(s, icmp_errors_out);
	message_output(s, &params, &h, ip->ip, min_size(ip->ip_len, QUOTE_MAX));
}

/* ---- echo ---- */

static void echo_input(struct stack *s, const struct ip_info *ip, const struct icmp4_header *request,
		       const uint8_t *p, size_t len)
{
	struct icmp4_header h = {.type = ICMP_ECHO_REPLY, .rest = request->rest};
	struct ip_params params = {
		.src = ip->dst, .dst = ip->src, .proto = IP_PROTO_ICMP,
		.ttl = s->cfg.ttl, .tos = ip->tos, /* RFC 1122 3.2.2.6 */
	};

	COUNT(s, icmp_echo_in);
	if (ip->broadcast) { /* 3.2.2.6 allows to say nothing: else we are an amplifier (row C2) */
		COUNT(s, icmp_in_ignored);
		return;
	}
	if (!may_answer(s, ip))
		return;
	COUNT(s, icmp_echo_out);
	message_output(s, &params, &h, p + ICMP_HEADER, len - ICMP_HEADER);
}

/* ---- errors about our packets ---- */

/* Code of a destination unreachable -> errno, as the host's own sockets have it. */
static const int unreachable_errno[] = {
	ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP, ENETUNREACH,
	EHOSTDOWN, ENONET, ENETUNREACH, EHOSTUNREACH, ENETUNREACH, EHOSTUNREACH, EHOSTUNREACH,
	EHOSTUNREACH, EHOSTUNREACH,
};

/* False: means nothing to a transport. */
static bool error_meaning(uint8_t type, uint8_t code, uint32_t rest, struct net_error *e)
{
	*e = (struct net_error){.type = type, .code = code};
	if (type == ICMP_TIME_EXCEEDED) {
		e->error = EHOSTUNREACH;
	} else if (type == ICMP_PARAMETER_PROBLEM) {
		e->error = EPROTO;
	} else if (type == ICMP_UNREACHABLE && code < ARRAY_SIZE(unreachable_errno)) {
		e->error = unreachable_errno[code];
		e->hard = code == ICMP_PROTOCOL_UNREACHABLE || code == ICMP_PORT_UNREACHABLE;
		e->mtu = code == ICMP_FRAGMENTATION_NEEDED ? (uint16_t)rest : 0; /* RFC 1191 4 */
	}
	return e->error != 0;
}

/* False: no transport of ours sent such a packet. */
static bool to_transport(struct stack *s, const struct ip4_header *quoted, const struct quoted_ports *ports,
			 const struct net_error *e)
{
	struct stack_endpoint local = {quoted->src, ports->sport};
	struct stack_endpoint remote = {quoted->dst, ports->dport};

	if (quoted->proto == IP_PROTO_TCP)
		tcp_error(s, &local, &remote, ports->seq, e);
	else if (quoted->proto == IP_PROTO_UDP)
		udp_error(s, &local, &remote, e);
	else if (quoted->proto == IP_PROTO_ICMP && e->quoted[0] == ICMP_ECHO)
		ping_error(s, &local.addr, &remote.addr, load16(e->quoted + 4), e);
	else
		return false;
	return true;
}

void icmp4_deliver_error(struct stack *s, const struct stack_addr *offender, const uint8_t *quoted, size_t len,
			 uint8_t type, uint8_t code, uint32_t rest)
{
	struct ip4_header h;
	struct quoted_ports ports;
	struct net_error e;

	if (ip4_parse_quoted(quoted, len, &h)) { /* row C1 */
		COUNT(s, icmp_in_bad);
		return;
	}
	if (h.fragment_offset > 0 || !address_is_ours(s, &h.src, true) ||
	    !quoted_parse(quoted + h.header_len, len - h.header_len, &ports) || !error_meaning(type, code, rest, &e)) {
		COUNT(s, icmp_in_ignored);
		return;
	}
	e.offender = offender ? *offender : h.src;
	e.whole = h.dont_fragment ? h.total_len : 0;
	e.quoted = quoted + h.header_len;
	e.quoted_len = len - h.header_len;
	if (to_transport(s, &h, &ports, &e))
		COUNT(s, icmp_in_errors);
	else
		COUNT(s, icmp_in_ignored);
}

/* Packets between our own addresses were never on the link: an error about one from there is forged. */
static bool quotes_loopback(struct stack *s, const uint8_t *quoted, size_t len)
{
	struct ip4_header h;

	return ip4_parse_quoted(quoted, len, &h) == NULL &&
	       (address_is_loopback(&h.src) || address_is_ours(s, &h.dst, true));
}

static void error_input(struct stack *s, const struct ip_info *ip, const struct icmp4_header *h,
			const uint8_t *quoted, size_t len)
{
	if (ip->broadcast || (!ip->loopback && quotes_loopback(s, quoted, len))) {
		COUNT(s, icmp_in_ignored);
		return;
	}
	icmp4_deliver_error(s, &ip->src, quoted, len, h->type, h->code, h->rest);
}

void icmp4_input(struct stack *s, const struct ip_info *ip, const uint8_t *p, size_t len)
{
	struct icmp4_header h;

	COUNT(s, icmp_in);
	if (icmp4_parse(p, len, ip->csum_good, &h)) {
		COUNT(s, icmp_in_bad);
		return;
	}
	switch (h.type) {
	case ICMP_ECHO:
		echo_input(s, ip, &h, p, len);
		break;
	case ICMP_ECHO_REPLY:
		if (!ping_input(s, ip, p, len))
			COUNT(s, icmp_in_ignored);
		break;
	case ICMP_UNREACHABLE:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		error_input(s, ip, &h, p + ICMP_HEADER, len - ICMP_HEADER);
		break;
	default: /* RFC 1122 3.2.2: an unknown type is silently discarded */
		COUNT(s, icmp_in_ignored);
		break;
	}
}
