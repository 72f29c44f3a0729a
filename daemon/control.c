/*
 * The control socket's listener: made here or passed by systemd, its file, its clients'
 * number. What a client says is in control_client.c, the protocol is client/protocol.h.
 */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define ACCEPT_TURN 16       /* clients accepted in a turn of the loop */
#define ACCEPT_RETRY 200000  /* microseconds until accepting again when descriptors ran out */
#define STALL_PERIOD 5000000 /* microseconds between looks for clients that do not read */

/* ---- the listener ---- */

static int on_retry(sd_event_source *source, uint64_t when, void *arg)
{
	struct control *k = arg;
	(void)source, (void)when;

	sd_event_source_set_enabled(k->source, SD_EVENT_ON);
	return 0;
}

/* Out of descriptors or memory: the backlog waits a moment, rather than waking the loop for ever. */
static void listener_pause(struct control *k, int error)
{
	daemon_log(LOG_WARNING, "control: accept: %s; trying again in %d ms", strerror(error), ACCEPT_RETRY / 1000);
	sd_event_source_set_enabled(k->source, SD_EVENT_OFF);
	sd_event_source_set_time_relative(k->retry, ACCEPT_RETRY);
	sd_event_source_set_enabled(k->retry, SD_EVENT_ONESHOT);
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct control *k = arg;
	(void)source, (void)events;

	for (unsigned i = 0; i < ACCEPT_TURN; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				listener_pause(k, errno);
			return 0;
		}
		client_new(k, client);
	}
	return 0;
}

/* Hangs up on clients that have left their answers unread for too long. */
static int on_stall(sd_event_source *source, uint64_t when, void *arg)
{
	struct control *k = arg;
	stack_time now = daemon_now();
	(void)when;

	for (struct client *c = k->clients; c; c = c->next) {
		if (!client_busy(c) || now - c->moved <= CONTROL_STALL)
			continue;
		if (control_may_log(k))
			daemon_log(LOG_NOTICE, "control: %s (pid %d, uid %u) does not read its answers: disconnected",
				   c->owner.comm, (int)c->owner.pid, c->owner.uid);
		client_hang_up(c);
	}
	for (struct client *c = k->clients; c; c = c->next)
		if (client_busy(c))
			control_watch(k);
	(void)source;
	return 0;
}

/* Only while somebody's answers wait: an idle daemon sleeps. */
void control_watch(struct control *k)
{
	int enabled;

	if (sd_event_source_get_enabled(k->stall, &enabled) < 0 || enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(k->stall, STALL_PERIOD);
	sd_event_source_set_enabled(k->stall, SD_EVENT_ONESHOT);
	loop_touched(k->daemon);
}

/* ---- opening ---- */

/* The socket that systemd made for us, -1: none, or a negative errno below that. */
static int listener_inherited(void)
{
	int n = sd_listen_fds(0);

	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++)
		if (sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0) {
			fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
			return fd;
		}
	if (n > 0)
		daemon_log(LOG_WARNING, "control: none of the %d descriptors passed by systemd is a listening "
			    "SOCK_SEQPACKET socket (ListenSequentialPacket=); making one", n);
	return -1;
}

int control_clear_path(const struct sockaddr_un *addr, int type, const char *key)
{
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		daemon_log(LOG_ERR, "control: %s exists and is not a socket; remove it, or change %s",
			  addr->sun_path, key);
		return -EADDRINUSE;
	}
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, (const void *)addr, sizeof(*addr)) < 0 ? errno : 0;
	close(fd);
	if (error == ECONNREFUSED && unlink(addr->sun_path) == 0)
		return 0;
	daemon_log(LOG_ERR, "control: another program answers on %s; stop it, or change %s", addr->sun_path, key);
	return -EADDRINUSE;
}

static void listener_make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = 0;
		mkdir(folder, 0755); /* there already: fine; not possible: bind says so */
	}
}

void control_give_to_group(struct daemon *d, const char *path)
{
	const struct control *k = d->control;

	if (k->has_group && chown(path, (uid_t)-1, k->group) < 0)
		daemon_log(LOG_WARNING, "control: cannot give %s to the group: %s", path, strerror(errno));
}

/* A socket file that root, the daemon's user and the group may use; everybody, where [Access] names others. */
static int listener_bind(struct control *k, int fd, const struct sockaddr_un *addr)
{
	struct stat st;

	mode_t mask = umask(access_beyond_group(&k->daemon->config.access) ? 0111 : 0117);
	int error = bind(fd, (const void *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	umask(mask);
	if (error)
		return error;
	control_give_to_group(k->daemon, addr->sun_path);
	if (stat(addr->sun_path, &st) == 0) {
		k->file_dev = st.st_dev;
		k->file_inode = st.st_ino;
	}
	k->bound = true;
	return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

/* The descriptor, or a negative errno, logged. */
static int listener_make(struct control *k, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	listener_make_folder(path);
	int error = control_clear_path(&addr, SOCK_SEQPACKET, "[Control] Socket=");
	if (error)
		return error;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = listener_bind(k, fd, &addr);
	if (error) {
		daemon_log(LOG_ERR, "control: cannot listen on %s: %s", path, strerror(-error));
		close(fd);
		return error;
	}
	return fd;
}

static void control_find_group(struct control *k)
{
	const char *name = k->daemon->config.group;
	const struct group *g = name[0] ? getgrnam(name) : NULL;

	k->has_group = g != NULL;
	if (g)
		k->group = g->gr_gid;
	else if (name[0] && !k->daemon->config.access.open.given)
		daemon_log(LOG_NOTICE, "control: there is no group \"%s\": only root may open sockets", name);
}

static int control_add_sources(struct control *k)
{
	sd_event *loop = k->daemon->loop;
	int error = sd_event_add_io(loop, &k->source, k->fd, EPOLLIN, on_listener, k);

	if (error >= 0)
		error = sd_event_add_time_relative(loop, &k->retry, CLOCK_MONOTONIC, ACCEPT_RETRY, 0, on_retry, k);
	if (error >= 0)
		error = sd_event_source_set_enabled(k->retry, SD_EVENT_OFF);
	if (error >= 0)
		error = sd_event_add_time_relative(loop, &k->stall, CLOCK_MONOTONIC, STALL_PERIOD, STALL_PERIOD,
						   on_stall, k);
	if (error >= 0)
		error = sd_event_source_set_enabled(k->stall, SD_EVENT_OFF);
	return error < 0 ? error : 0;
}

int control_open(struct daemon *d)
{
	struct control *k = calloc(1, sizeof(*k));
	int error = -ENOMEM;

	if (!k)
		return error;
	d->control = k;
	k->daemon = d;
	k->in = malloc(BYWAY_MESSAGE_MAX);
	k->out = malloc(BYWAY_MESSAGE_MAX);
	control_find_group(k);
	k->fd = listener_inherited();
	if (k->fd < 0)
		k->fd = listener_make(k, d->config.socket_path);
	if (k->fd < 0)
		error = k->fd;
	else if (k->in && k->out)
		error = control_add_sources(k);
	if (error)
		control_close(d);
	return error;
}

static void listener_close(struct control *k)
{
	struct stat st;
	const char *path = k->daemon->config.socket_path;

	if (k->fd >= 0)
		close(k->fd);
	/* The file may be another daemon's by now. */
	if (k->bound && stat(path, &st) == 0 && st.st_dev == k->file_dev && st.st_ino == k->file_inode)
		unlink(path);
}

void control_close(struct daemon *d)
{
	struct control *k = d->control;

	if (!k)
		return;
	while (k->clients)
		client_free(k->clients);
	sd_event_source_disable_unref(k->source);
	sd_event_source_disable_unref(k->retry);
	sd_event_source_disable_unref(k->stall);
	listener_close(k);
	free(k->in);
	free(k->out);
	free(k->notice);
	free(k);
	d->control = NULL;
}
