/*
 * The daemon's life: link, stack, host's side, services and control socket are made in this
 * order, then privileges go, then systemd is told. SIGHUP reads the configuration again;
 * SIGTERM ends in order: every connection gets its FIN and two seconds to have it answered.
 */
#include "daemon/owner.h"
#include "daemon/worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#define STOP_PATIENCE 2000000u /* microseconds for the peers to answer our FINs */

/* ---- the stack ---- */

static size_t on_receive(void *context, struct sock *sock, void *user, const void *data, size_t len)
{
	struct endpoint *e = user;

	(void)context;
	return e && e->ops->receive ? e->ops->receive(e, sock, data, len) : 0;
}

static bool on_datagram(void *context, struct sock *sock, void *user, const struct stack_endpoint *from,
			const struct stack_arrival *how, const void *data, size_t len)
{
	struct endpoint *e = user;

	(void)context;
	(void)sock;
	return e && e->ops->datagram && e->ops->datagram(e, from, how, data, len);
}

static const struct stack_ops stack_ops = {
	.transmit = link_transmit,
	.receive = on_receive,
	.datagram = on_datagram,
	.ended = diag_ended,
};

/* The same of one stack among several. */
static const struct stack_ops shard_ops = {
	.transmit = link_transmit,
	.receive = on_receive,
	.datagram = on_datagram,
	.ended = diag_ended,
	.ours = worker_ours,
	.elsewhere = worker_elsewhere,
};

/*
 * A hardware address that stays the same from start to start, so that neighbours keep their
 * entries: from the machine's id and the interface's name, marked as locally administered.
 */
static void make_mac(const char *name, uint8_t mac[6])
{
	static const sd_id128_t application =
		SD_ID128_MAKE(6b, 1d, 2f, 57, 0c, 91, 4a, 7e, 93, 5c, 60, 3f, a8, 14, d2, 7b);
	sd_id128_t id = {0};
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	sd_id128_get_machine_app_specific(application, &id); /* without one, the name has to do */
	for (size_t i = 0; i < sizeof(id.bytes); i++)
		hash = (hash ^ id.bytes[i]) * 0x100000001b3;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	memcpy(mac, &hash, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
}

/* What the stack's configuration takes from elsewhere than [Stack], [TCP] and [ICMP]. */
static void complete_config(struct daemon *d, struct config *c)
{
	static const uint8_t none[6];

	c->stack.link = c->tun ? STACK_LINK_IP : STACK_LINK_ETHERNET;
	c->stack.mtu = (uint16_t)c->mtu;
	c->stack.offload = link_offload(d->link);
	memcpy(c->stack.mac, c->mac, 6);
	if (memcmp(c->mac, none, 6) == 0)
		make_mac(c->link_name, c->stack.mac);
	worker_share(d, &c->stack);
}

static int random_seed(uint8_t *seed, size_t len)
{
	return getrandom(seed, len, 0) == (ssize_t)len ? 0 : -errno;
}

/* The default route (dest all zero) and [Network] Route=. */
static int add_routes(struct daemon *d, const struct config *c)
{
	static const struct stack_addr any = {{[10] = 0xff, [11] = 0xff}};
	char text[INET6_ADDRSTRLEN];
	int error = 0;

	if (!stack_addr_is_any(&c->gateway))
		error = stack_route_add(d->stack, &any, 0, &c->gateway);
	if (error)
		daemon_log(LOG_ERR, "gateway %s: %s", addr_text(&c->gateway, text), strerror(-error));
	for (unsigned i = 0; i < c->routes && !error; i++) {
		const struct config_route *r = &c->route[i];
		error = stack_route_add(d->stack, &r->dest.addr, r->dest.prefix, &r->gateway);
		if (error)
			daemon_log(LOG_ERR, "route to %s/%u: %s", addr_text(&r->dest.addr, text), r->dest.prefix,
				   strerror(-error));
	}
	return error;
}

static int start_stack(struct daemon *d)
{
	struct config *c = &d->config;

	complete_config(d, c);
	int error = random_seed(c->stack.seed, sizeof(c->stack.seed));
	if (error) {
		daemon_log(LOG_ERR, "no random numbers to be had: %s", strerror(-error));
		return error;
	}
	d->stack = stack_new(&c->stack, d->workers ? &shard_ops : &stack_ops, d, daemon_now());
	if (!d->stack) {
		daemon_log(LOG_ERR, "the stack could not be made; [Stack] Memory= is too small for it");
		return -ENOMEM;
	}
	return 0;
}

/* Once the host's side is up, so that the first announcement is heard. */
static int start_addresses(struct daemon *d)
{
	struct config *c = &d->config;
	char text[INET6_ADDRSTRLEN];
	int error = 0;

	for (unsigned i = 0; i < c->addresses && !error; i++) {
		error = stack_address_add(d->stack, daemon_now(), &c->address[i].addr, c->address[i].prefix);
		if (error)
			daemon_log(LOG_ERR, "address %s: %s", addr_text(&c->address[i].addr, text), strerror(-error));
	}
	return error ? error : add_routes(d, c);
}

/* ---- reload ---- */

static bool has_address(const struct config *c, const struct config_prefix *p)
{
	for (unsigned i = 0; i < c->addresses; i++)
		if (memcmp(&c->address[i].addr, &p->addr, sizeof(p->addr)) == 0 && c->address[i].prefix == p->prefix)
			return true;
	return false;
}

/* Addresses that went are removed with their routes, new ones added, other routes replaced. */
static void reload_network(struct daemon *d, const struct config *old, const struct config *new)
{
	static const struct stack_addr any = {{[10] = 0xff, [11] = 0xff}};

	if (!stack_addr_is_any(&old->gateway))
		stack_route_remove(d->stack, &any, 0);
	for (unsigned i = 0; i < old->routes; i++)
		stack_route_remove(d->stack, &old->route[i].dest.addr, old->route[i].dest.prefix);
	for (unsigned i = 0; i < old->addresses; i++)
		if (!has_address(new, &old->address[i]))
			stack_address_remove(d->stack, &old->address[i].addr);
	for (unsigned i = 0; i < new->addresses; i++)
		if (!has_address(old, &new->address[i]))
			stack_address_add(d->stack, daemon_now(), &new->address[i].addr, new->address[i].prefix);
	add_routes(d, new);
}

/* What cannot change while the daemon runs keeps its value, and is named. */
static void keep_fixed(const struct config *old, struct config *new)
{
	if (old->tun != new->tun || strcmp(old->link_name, new->link_name) != 0 || old->mtu != new->mtu ||
	    old->offload != new->offload || memcmp(old->mac, new->mac, 6) != 0 || old->has_host != new->has_host ||
	    memcmp(&old->host, &new->host, sizeof(old->host)) != 0)
		daemon_log(LOG_WARNING, "reload: [Link] takes effect at the next start");
	if (strcmp(old->socket_path, new->socket_path) != 0 || strcmp(old->group, new->group) != 0 ||
	    old->sandbox != new->sandbox)
		daemon_log(LOG_WARNING, "reload: [Control] Socket=, Group= and Sandbox= take effect at the next start");
	if (old->workers != new->workers)
		daemon_log(LOG_WARNING, "reload: [Worker] Count= takes effect at the next start");
	if (old->forwards != new->forwards ||
	    memcmp(old->forward, new->forward, old->forwards * sizeof(old->forward[0])) != 0)
		daemon_log(LOG_WARNING, "reload: [Forward] sections take effect at the next start");
	new->workers = old->workers;
	new->forwards = old->forwards;
	memcpy(new->forward, old->forward, sizeof(new->forward));
	new->tun = old->tun;
	new->mtu = old->mtu;
	new->offload = old->offload;
	new->host = old->host;
	new->has_host = old->has_host;
	new->sandbox = old->sandbox;
	memcpy(new->mac, old->mac, 6);
	memcpy(new->link_name, old->link_name, sizeof(new->link_name));
	memcpy(new->socket_path, old->socket_path, sizeof(new->socket_path));
	memcpy(new->group, old->group, sizeof(new->group));
}

static void reload_worker(struct daemon *d, struct config new)
{
	struct config old = d->config;

	complete_config(d, &new);
	memcpy(new.stack.seed, old.stack.seed, sizeof(new.stack.seed));
	d->config = new;
	stack_reconfigure(d->stack, &new.stack);
	reload_network(d, &old, &new);
}

static void reload(struct daemon *d)
{
	struct config new, old = d->config;

	if (!config_load(&new, d->config_path, d->overrides, d->override_count)) {
		daemon_log(LOG_ERR, "reload: the configuration is wrong; going on with the old one");
		return;
	}
	keep_fixed(&old, &new);
	for (unsigned i = 0; i < worker_count(d); i++)
		reload_worker(worker_at(d, i), new);
	access_reload(d->control);
	for (unsigned i = 0; i < worker_count(d); i++) {
		services_start(worker_at(d, i));
		daemon_kick(worker_at(d, i));
	}
	daemon_log(LOG_NOTICE, "configuration read again");
}

/* ---- signals ---- */

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct daemon *d = arg;

	(void)source;
	(void)info;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)daemon_now());
	workers_hold(d);
	if (!d->stopping)
		reload(d);
	workers_release(d);
	sd_notify(0, "READY=1");
	loop_status(d);
	return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *arg)
{
	struct daemon *d = arg;

	(void)source;
	(void)usec;
	return sd_event_exit(d->loop, 0);
}

/* No new connections; those there are get their FIN. */
static void close_worker(struct daemon *d)
{
	d->stopping = true;
	services_stop(d);
	forwards_stop(d);
	endpoints_close_all(d, false);
	stack_shutdown_all(d->stack, daemon_now(), false);
	daemon_kick(d);
}

/* First: in order. Again: at once. */
static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct daemon *d = arg;

	(void)source;
	(void)info;
	if (d->stopping)
		return sd_event_exit(d->loop, 0);
	sd_notify(0, "STOPPING=1\nSTATUS=closing connections");
	workers_hold(d);
	d->stopping = true;
	control_close(d);
	for (unsigned i = 0; i < worker_count(d); i++)
		close_worker(worker_at(d, i));
	workers_release(d);
	return sd_event_add_time_relative(d->loop, &d->stop_timer, CLOCK_MONOTONIC, STOP_PATIENCE, 1000, on_patience, d);
}

static int add_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	int error = sd_event_add_signal(d->loop, NULL, SIGTERM, on_terminate, d);
	if (error >= 0)
		error = sd_event_add_signal(d->loop, NULL, SIGINT, on_terminate, d);
	if (error >= 0)
		error = sd_event_add_signal(d->loop, NULL, SIGHUP, on_hangup, d);
	return error;
}

/* ---- start and end ---- */

/* One descriptor a connection: as many as we are allowed. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * A stream's buffers come and go many thousand times a second. What they leave at the heap's end
 * stays ours up to this size: to give it back and take it again costs more than the copying.
 */
#define HEAP_KEPT (64 << 20)
/*
 * What is larger has a mapping of its own, which goes back when it is freed: the stack's pools count on
 * that. Said explicitly, for the allocator raises it otherwise with what it sees freed.
 */
#define HEAP_LARGEST (128 << 10)

static int start_loop(struct daemon *d)
{
	int error = sd_event_default(&d->loop);

	if (error >= 0)
		error = add_signals(d);
	if (error >= 0)
		error = loop_start(d);
	if (error < 0)
		daemon_log(LOG_ERR, "event loop: %s", strerror(-error));
	return error < 0 ? error : 0;
}

/* `start` for one worker after the other. */
static int each_worker(struct daemon *d, int (*start)(struct daemon *d))
{
	int error = 0;

	for (unsigned i = 0; i < worker_count(d) && error >= 0; i++)
		error = start(worker_at(d, i));
	return error;
}

/* From `link_start` on the stack answers; everything that needs privileges comes before the sandbox. */
static int start(struct daemon *d)
{
	int error = start_loop(d);

	if (!error)
		error = workers_new(d);
	if (!error && (error = watchdog_start(d)) < 0)
		daemon_log(LOG_ERR, "watchdog: %s", strerror(-error));
	if (error >= 0)
		error = link_open(d);
	if (!error)
		error = each_worker(d, start_stack);
	if (!error)
		error = host_configure(d);
	if (!error)
		error = each_worker(d, start_addresses);
	if (!error)
		error = each_worker(d, services_start);
	if (!error)
		error = control_open(d);
	if (!error)
		error = each_worker(d, forwards_start);
	if (!error && (error = host_watch(d)) >= 0 && (error = each_worker(d, link_start)) >= 0)
		error = sandbox_enter(d);
	return error < 0 ? error : 0;
}

/* Of each worker; first the others, whose endpoints may wait for an answer of the first. */
static void finish_worker(struct daemon *d)
{
	d->stopping = true; /* whatever the reason */
	if (d->stack) {
		services_stop(d);
		forwards_stop(d);
		endpoints_close_all(d, true);
		forwards_free(d);
		stack_shutdown_all(d->stack, daemon_now(), true);
		stack_run(d->stack, daemon_now());
		stack_free(d->stack);
	}
	index_free(d);
	source_free(d);
	link_close(d);
}

static void finish(struct daemon *d)
{
	workers_end(d);
	d->stopping = true;
	control_close(d);
	for (unsigned i = worker_count(d); i-- > 0;)
		finish_worker(worker_at(d, i));
	host_close(d);
	workers_free(d);
	watchdog_end(d);
	sd_event_source_disable_unref(d->stop_timer);
	loop_end(d);
}

int daemon_main(struct daemon *d)
{
	int status = EXIT_FAILURE;

	d->started = daemon_now();
	raise_descriptor_limit();
	mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
	mallopt(M_MMAP_THRESHOLD, HEAP_LARGEST);
	int error = start(d);
	if (error == 0) {
		workers_release(d);
		sd_notify(0, "READY=1");
		loop_status(d);
		daemon_kick(d);
		status = loop_run(d);
	} else if (error == -ENOTSUP && d->workers) {
		status = CONFIG_EXIT;
	}
	finish(d);
	return status;
}
