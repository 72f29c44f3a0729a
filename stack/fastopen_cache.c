/*
 * What a client remembers of servers for TCP Fast Open (RFC 7413 4.1.3): the cookie, the MSS,
 * and that Fast Open did not work (4.1.3.1).
 *
 * A table of fixed size, allocated by the first connection that uses Fast Open. The entry that
 * was used longest ago makes room for a new one. The cookie belongs to a pair of addresses; a
 * failure to one port of it, since what is in the way may look at that (4.1.3.1).
 *
 * After a failure Fast Open rests for cfg.fastopen_pause, and twice as long after each further
 * one in a row; 0: it never rests.
 */
#include "tcp.h"

#define PEERS 256u
#define PAUSE_DOUBLINGS 6u

/* How to ask for a cookie. The older form is tried once, by a server that ignored the other. */
enum ask {
	ASK_STANDARD,
	ASK_EXPERIMENTAL,
	ASK_STANDARD_ONLY
};

struct fastopen_peer {
	struct stack_addr local, remote; /* all zero: free */
	uint64_t used;                   /* count of uses of the table when this one was used last */
	stack_time paused_until;
	uint16_t paused_port;
	uint16_t mss;                    /* the peer's option; 0: not known */
	uint8_t failures;                /* in a row */
	uint8_t ask;                     /* enum ask */
	bool experimental;               /* the form in which the cookie came */
	uint8_t cookie_len;              /* bytes; 0: none */
	uint8_t cookie[TCP_FASTOPEN_MAX];
};

static struct fastopen_peer *peer_find(struct stack *s, const struct pcb *p)
{
	struct stack_addr local = pcb_local_addr(p), remote = pcb_remote_addr(p);

	for (size_t i = 0; s->fastopen_peers && i < PEERS; i++) {
		struct fastopen_peer *peer = &s->fastopen_peers[i];

		if (addr_eq(&peer->remote, &remote) && addr_eq(&peer->local, &local)) {
			peer->used = ++s->fastopen_uses;
			return peer;
		}
	}
	return NULL;
}

/* The one there is, or the one that was used longest ago. NULL: no memory. */
static struct fastopen_peer *peer_make(struct stack *s, const struct pcb *p)
{
	struct fastopen_peer *peer = peer_find(s, p);

	if (peer)
		return peer;
	if (!s->fastopen_peers)
		s->fastopen_peers = mem_alloc(&s->mem, MEM_FASTOPEN, PEERS * sizeof(*s->fastopen_peers));
	if (!s->fastopen_peers)
		return NULL;
	peer = s->fastopen_peers;
	for (size_t i = 1; i < PEERS; i++)
		if (s->fastopen_peers[i].used < peer->used)
			peer = &s->fastopen_peers[i];
	*peer = (struct fastopen_peer){.local = pcb_local_addr(p), .remote = pcb_remote_addr(p), .used = ++s->fastopen_uses};
	return peer;
}

void fastopen_recall(struct stack *s, const struct pcb *p, struct fastopen_memory *m)
{
	const struct fastopen_peer *peer = peer_find(s, p);

	*m = (struct fastopen_memory){0};
	if (!peer)
		return;
	m->paused = peer->paused_port == p->rport && s->now < peer->paused_until;
	m->mss = peer->mss;
	m->experimental = peer->cookie_len > 0 ? peer->experimental : peer->ask == ASK_EXPERIMENTAL;
	m->cookie_len = peer->cookie_len;
	memcpy(m->cookie, peer->cookie, sizeof(m->cookie));
}

static void take_cookie(struct fastopen_peer *peer, const struct tcp_options *o)
{
	peer->experimental = o->fastopen_experimental;
	peer->cookie_len = o->fastopen_len;
	memcpy(peer->cookie, o->fastopen, o->fastopen_len);
}

void fastopen_learn(struct stack *s, const struct pcb *p, uint16_t mss, const struct tcp_options *o)
{
	struct fastopen_peer *peer = peer_make(s, p);

	if (!peer)
		return;
	peer->mss = mss;
	if (o->has_fastopen && o->fastopen_len > 0)
		take_cookie(peer, o);
}

void fastopen_ignored(struct stack *s, const struct pcb *p)
{
	struct fastopen_peer *peer = peer_make(s, p);

	if (peer && peer->cookie_len == 0 && peer->ask != ASK_STANDARD_ONLY)
		peer->ask++;
}

void fastopen_failed(struct stack *s, const struct pcb *p)
{
	struct fastopen_peer *peer = s->cfg.fastopen_pause ? peer_make(s, p) : NULL;

	COUNT(s, tcp_fastopen_active_fails);
	if (!peer)
		return;
	peer->paused_port = p->rport;
	peer->paused_until = s->now + (s->cfg.fastopen_pause << peer->failures);
	if (peer->failures < PAUSE_DOUBLINGS)
		peer->failures++;
}

void fastopen_worked(struct stack *s, const struct pcb *p)
{
	struct fastopen_peer *peer = peer_find(s, p);

	COUNT(s, tcp_fastopen_active);
	if (peer)
		peer->failures = 0;
}

void stack_fastopen_forget(struct stack *s)
{
	mem_free(&s->mem, MEM_FASTOPEN, s->fastopen_peers, PEERS * sizeof(*s->fastopen_peers));
	s->fastopen_peers = NULL;
}
