/*
 * Changes of the network while the daemon runs, in every worker's stack or in none: what one refuses is
 * taken back in those that had agreed. Addresses and routes are the same in all of them, so that all
 * agree; but each has neighbours and memory of its own.
 */
#include "daemon/worker.h"

#include <string.h>

unsigned worker_stacks(struct daemon *d, struct stack *all[WORKERS_MAX])
{
	unsigned count = worker_count(d);

	for (unsigned i = 0; i < count; i++)
		all[i] = worker_at(d, i)->stack;
	return count;
}

int network_address_add(struct stack *const *all, unsigned count, const struct stack_addr *addr, uint8_t prefix)
{
	int error = 0;
	unsigned done;

	for (done = 0; done < count && !error; done++)
		error = stack_address_add(all[done], daemon_now(), addr, prefix);
	for (unsigned i = 0; error && i + 1 < done; i++)
		stack_address_remove(all[i], addr);
	return error;
}

bool network_route_present(const struct stack *s, const struct stack_route_info *wanted, struct stack_route_info *out)
{
	for (size_t i = 0; stack_route_get(s, i, out); i++)
		if (out->prefix == wanted->prefix && memcmp(out->dest.byte + 12, wanted->dest.byte + 12, 4) == 0)
			return true;
	return false;
}

int network_route_set(struct stack *const *all, unsigned count, const struct stack_route_info *route, bool replace)
{
	struct stack_route_info before;
	bool had = network_route_present(all[0], route, &before);
	int error = 0;
	unsigned done;

	for (done = 0; done < count && !error; done++)
		error = stack_route_set(all[done], route, replace);
	for (unsigned i = 0; error && i + 1 < done; i++) {
		if (had)
			stack_route_set(all[i], &before, true);
		else
			stack_route_remove(all[i], &route->dest, route->prefix);
	}
	return error;
}

/* What an entry that was there is set to again; one without a hardware address is looked for again when it is needed. */
static void neigh_restore(struct stack *s, const struct stack_addr *addr, const struct stack_neigh_info *before)
{
	bool known = before && before->state != STACK_NEIGH_INCOMPLETE && before->state != STACK_NEIGH_FAILED;

	if (known)
		stack_neigh_set(s, daemon_now(), addr, before->mac,
				before->state == STACK_NEIGH_PROBE ? STACK_NEIGH_STALE : before->state);
	else
		stack_neigh_remove(s, daemon_now(), addr);
}

int network_neigh_set(struct stack *const *all, unsigned count, const struct stack_addr *addr, const uint8_t mac[6],
		      enum stack_neigh_state state)
{
	struct stack_neigh_info before[WORKERS_MAX];
	bool had[WORKERS_MAX];
	int error = 0;
	unsigned done;

	for (done = 0; done < count && !error; done++) {
		had[done] = stack_neigh_find(all[done], addr, &before[done]);
		error = stack_neigh_set(all[done], daemon_now(), addr, mac, state);
	}
	for (unsigned i = 0; error && i + 1 < done; i++)
		neigh_restore(all[i], addr, had[i] ? &before[i] : NULL);
	return error;
}
