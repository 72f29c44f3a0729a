/*
 * Path MTUs that were found to be smaller than the link's, by destination (RFC 1191 6.4): what
 * one connection has learned, the next one knows. An entry is forgotten after ten minutes
 * (6.3), so that a path that has become wider is found again.
 *
 * What a message says about a datagram counts for datagrams alone, and has a table of its own: nothing tells it
 * from one that somebody made up who knows or guesses a port.
 *
 * The table has a fixed size, a destination has one place in it, and which one nobody outside
 * knows: whoever fills it costs others only what they had learned.
 */
#include "net.h"

#define PATH_MTU_LIFE SECONDS(600) /* RFC 1191 6.3 */

static struct path_mtu *place(struct stack *s, struct path_mtus *all, const struct stack_addr *dst)
{
	return &all->place[keyed_hash(s->key_port, dst, sizeof(*dst)) % ARRAY_SIZE(all->place)];
}

static uint16_t known(struct stack *s, struct path_mtus *all, const struct stack_addr *dst)
{
	const struct path_mtu *p;

	if (s->now >= all->until) /* nothing is known of anybody: the usual case */
		return s->cfg.mtu;
	p = place(s, all, dst);
	if (s->now >= p->expires || memcmp(&p->dst, dst, sizeof(*dst)) != 0)
		return s->cfg.mtu;
	return (uint16_t)min_u32(p->mtu, s->cfg.mtu);
}

static void learn(struct stack *s, struct path_mtus *all, const struct stack_addr *dst, uint16_t mtu)
{
	struct path_mtu *p = place(s, all, dst);

	*p = (struct path_mtu){*dst, s->now + PATH_MTU_LIFE, mtu};
	all->until = p->expires;
}

uint16_t path_mtu_get(struct stack *s, const struct stack_addr *dst)
{
	return known(s, &s->path_mtus, dst);
}

void path_mtu_set(struct stack *s, const struct stack_addr *dst, uint16_t mtu)
{
	learn(s, &s->path_mtus, dst, mtu);
}

uint16_t path_mtu_of_datagrams(struct stack *s, const struct stack_addr *dst)
{
	return (uint16_t)min_u32(path_mtu_get(s, dst), known(s, &s->datagram_path_mtus, dst));
}

void path_mtu_too_big(struct stack *s, const struct stack_addr *dst, uint16_t mtu)
{
	mtu = (uint16_t)max_u32(mtu, PATH_MTU_MIN); /* old routers do not say it (RFC 1191 5): the least, then */
	if (mtu < path_mtu_of_datagrams(s, dst))
		learn(s, &s->datagram_path_mtus, dst, mtu);
}
