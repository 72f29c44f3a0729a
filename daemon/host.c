/*
 * The host's side of the link, over rtnetlink (libmnl): its address, its MTU and its being up
 * are set once, before privileges go; afterwards a second socket listens for somebody changing
 * them and reports it (bad-inputs L9). Setting them back is not ours: the capability is gone,
 * and an administrator may have meant it.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct host {
	struct daemon *daemon;
	struct mnl_socket *monitor;
	sd_event_source *io;
	unsigned index; /* of the interface */
	bool up;        /* as last seen */
	uint32_t mtu;   /* as last seen, bytes */
};

/* ---- setting ---- */

/* The text that the kernel adds to an error (NLMSGERR_ATTR_MSG), or "". */
static int attr_text(const struct nlattr *attr, void *arg)
{
	const char **text = arg;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*text = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static const char *error_text(const struct nlmsghdr *n)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(n);
	const char *text = "";
	size_t skip = sizeof(*e);

	if (!(n->nlmsg_flags & NLM_F_ACK_TLVS))
		return text;
	if (!(n->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	mnl_attr_parse(n, (unsigned)skip, attr_text, &text);
	return text;
}

/* Sends one request and waits for the kernel's word on it; `what` names it in a message. */
static int request(struct mnl_socket *nl, struct nlmsghdr *n, const char *name, const char *what)
{
	char answer[4096];
	const struct nlmsghdr *a = (const struct nlmsghdr *)(const void *)answer;

	n->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_sendto(nl, n, n->nlmsg_len) < 0)
		return -errno;
	ssize_t len = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (len < 0)
		return -errno;
	if (!mnl_nlmsg_ok(a, (int)len) || a->nlmsg_type != NLMSG_ERROR ||
	    mnl_nlmsg_get_payload_len(a) < sizeof(struct nlmsgerr))
		return -EPROTO;
	int error = ((const struct nlmsgerr *)mnl_nlmsg_get_payload(a))->error;
	if (error) {
		const char *text = error_text(a);
		daemon_log(LOG_ERR, "interface %s: setting %s failed: %s%s%s", name, what, strerror(-error),
			   *text ? ": " : "", text);
	}
	return error;
}

static int set_address(struct mnl_socket *nl, const struct config *c, unsigned index, const char *name)
{
	char buffer[256];
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(n, sizeof(*a));
	const uint8_t *v4 = c->host.addr.byte + 12;

	n->nlmsg_type = RTM_NEWADDR;
	n->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = c->host.prefix;
	a->ifa_index = index;
	mnl_attr_put(n, IFA_LOCAL, 4, v4);
	mnl_attr_put(n, IFA_ADDRESS, 4, v4);
	if (c->host.prefix < 31) {
		uint32_t broadcast;
		memcpy(&broadcast, v4, 4);
		broadcast |= htonl(~0u >> c->host.prefix);
		mnl_attr_put(n, IFA_BROADCAST, 4, &broadcast);
	}
	return request(nl, n, name, "its address ([Link] HostAddress=)");
}

static int set_link(struct mnl_socket *nl, const struct config *c, unsigned index, const char *name)
{
	char buffer[256];
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(n, sizeof(*i));

	n->nlmsg_type = RTM_NEWLINK;
	i->ifi_family = AF_UNSPEC;
	i->ifi_index = (int)index;
	i->ifi_flags = i->ifi_change = IFF_UP;
	mnl_attr_put_u32(n, IFLA_MTU, c->mtu);
	return request(nl, n, name, "its MTU ([Link] MTU=) and up");
}

int host_configure(struct daemon *d)
{
	const char *name = link_name(d->link);
	unsigned index = if_nametoindex(name);
	int one = 1;
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int error = errno;
		daemon_log(LOG_ERR, "rtnetlink: %s", strerror(error));
		if (nl)
			mnl_socket_close(nl);
		return -error;
	}
	mnl_socket_setsockopt(nl, NETLINK_EXT_ACK, &one, sizeof(one));
	int error = d->config.has_host ? set_address(nl, &d->config, index, name) : 0;
	if (!error)
		error = set_link(nl, &d->config, index, name);
	mnl_socket_close(nl);
	if (d->host)
		d->host->index = index;
	return error;
}

/* ---- watching ---- */

static int attr_mtu(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == IFLA_MTU && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		*(uint32_t *)arg = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static void link_changed(struct host *h, const struct nlmsghdr *n)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(n);
	const char *name = link_name(h->daemon->link);
	uint32_t mtu = h->mtu;

	if ((unsigned)i->ifi_index != h->index)
		return;
	mnl_attr_parse(n, sizeof(*i), attr_mtu, &mtu);
	bool up = (i->ifi_flags & IFF_UP) && n->nlmsg_type == RTM_NEWLINK;
	if (up != h->up)
		daemon_log(up ? LOG_NOTICE : LOG_WARNING, "interface %s was %s", name,
			   up ? "set up again" : n->nlmsg_type == RTM_NEWLINK ? "set down: nothing comes through" : "removed");
	if (mtu != h->mtu)
		daemon_log(LOG_WARNING, "interface %s: the host's side now has MTU %u, the stack has %u; "
			   "set [Link] MTU= and restart to have both the same", name, mtu, h->daemon->config.mtu);
	h->up = up;
	h->mtu = mtu;
}

/* Whether the address in the message is the one that we set. */
static int attr_local(const struct nlattr *attr, void *arg)
{
	const uint8_t **local = arg;

	if (mnl_attr_get_type(attr) == IFA_LOCAL && mnl_attr_get_payload_len(attr) == 4)
		*local = mnl_attr_get_payload(attr);
	return MNL_CB_OK;
}

static void address_changed(struct host *h, const struct nlmsghdr *n)
{
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(n);
	const struct config *c = &h->daemon->config;
	const uint8_t *local = NULL;
	char text[INET6_ADDRSTRLEN];

	if (a->ifa_index != h->index || a->ifa_family != AF_INET || !c->has_host)
		return;
	mnl_attr_parse(n, sizeof(*a), attr_local, &local);
	if (!local || memcmp(local, c->host.addr.byte + 12, 4) != 0)
		return;
	bool gone = n->nlmsg_type == RTM_DELADDR;
	daemon_log(gone ? LOG_WARNING : LOG_NOTICE, "interface %s: the host's address %s %s",
		   link_name(h->daemon->link), addr_text(&c->host.addr, text),
		   gone ? "was removed: the host no longer reaches the stack" : "is there");
}

static int on_message(const struct nlmsghdr *n, void *arg)
{
	size_t len = mnl_nlmsg_get_payload_len(n);

	if ((n->nlmsg_type == RTM_NEWLINK || n->nlmsg_type == RTM_DELLINK) && len >= sizeof(struct ifinfomsg))
		link_changed(arg, n);
	else if ((n->nlmsg_type == RTM_NEWADDR || n->nlmsg_type == RTM_DELADDR) && len >= sizeof(struct ifaddrmsg))
		address_changed(arg, n);
	return MNL_CB_OK;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct host *h = arg;
	char buffer[8192];

	(void)source;
	(void)fd;
	(void)events;
	/* ENOBUFS: messages were lost in a storm of changes; the next one tells the state again. */
	ssize_t len = mnl_socket_recvfrom(h->monitor, buffer, sizeof(buffer));
	if (len > 0)
		mnl_cb_run(buffer, (size_t)len, 0, 0, on_message, h);
	return 0;
}

int host_watch(struct daemon *d)
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	d->host = h;
	h->daemon = d;
	h->index = if_nametoindex(link_name(d->link));
	h->up = true;
	h->mtu = d->config.mtu;
	h->monitor = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!h->monitor || mnl_socket_bind(h->monitor, RTMGRP_LINK | RTMGRP_IPV4_IFADDR, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return sd_event_add_io(d->loop, &h->io, mnl_socket_get_fd(h->monitor), EPOLLIN, on_readable, h);
}

void host_close(struct daemon *d)
{
	if (!d->host)
		return;
	sd_event_source_disable_unref(d->host->io);
	if (d->host->monitor)
		mnl_socket_close(d->host->monitor);
	free(d->host);
	d->host = NULL;
}
