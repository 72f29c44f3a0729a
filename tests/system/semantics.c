/*
 * What sockets do, call by call: a transcript of results, errnos and readiness that does not
 * depend on timing. Run once on the host's sockets and once under byway run, the two must be the
 * same; semantics.bats compares them, and semantics.known lists what is not, with the reason.
 *
 *      semantics peer ADDRESS        the other end, on the host's sockets in both runs
 *      semantics test OWN PEER       the cases
 *      semantics pass FD             a program that was started with a descriptor
 *
 * Each case runs in a process of its own, so that it cannot disturb the next. More cases are in
 * semantics_stream.c, semantics_datagram.c and semantics_process.c.
 */
#include "semantics.h"

const char *own, *peer;
char buffer[BUFFER];

/* ---- the transcript ---- */

/* One step: the call as written, what it returned, and why not. */
long show(const char *text, long result)
{
	if (result < 0)
		printf("  %s = %s\n", text, strerrorname_np(errno));
	else
		printf("  %s = %ld\n", text, result);
	fflush(stdout);
	return result;
}
long show_ok(const char *text, long result)
{
	printf("  %s: %s\n", text, result < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
	return result;
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("  ");
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
}

void settle(void) { usleep(SETTLE); }

static void events_text(unsigned e, char *out)
{
	static const struct { unsigned bit; const char *word; } names[] = {
		{POLLIN, "IN"}, {POLLPRI, "PRI"}, {POLLOUT, "OUT"}, {POLLRDHUP, "RDHUP"}, {POLLERR, "ERR"},
		{POLLHUP, "HUP"}, {POLLNVAL, "NVAL"},
	};

	*out = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (e & names[i].bit)
			sprintf(out + strlen(out), "%s%s", *out ? "|" : "", names[i].word);
	if (!*out)
		strcpy(out, "-");
}

/* What poll says now. */
void ready(const char *what, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
	char text[80];

	poll(&p, 1, 0);
	events_text((unsigned)p.revents, text);
	say("poll %s: %s", what, text);
}

/* Waits until one of the events is there. */
int await(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 3000);
}

void last_error(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		say("SO_ERROR: failed %s", strerrorname_np(errno));
	else
		say("SO_ERROR: %s", error ? strerrorname_np(error) : "0");
}

void get_int(const char *what, int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len) < 0)
		say("%s: %s", what, strerrorname_np(errno));
	else
		say("%s: %d", what, value);
}

int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* ---- addresses ---- */

struct sockaddr_in at(const char *host, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, host, &a.sin_addr);
	return a;
}

static const char *who(const struct sockaddr_in *a)
{
	char host[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &a->sin_addr, host, sizeof(host));
	return strcmp(host, own) == 0 ? "own" : strcmp(host, peer) == 0 ? "peer" : strcmp(host, "0.0.0.0") == 0 ? "any" : "?";
}

/* An address without what differs from run to run. */
void name(const char *what, int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	if (get(fd, (void *)&a, &len) < 0)
		say("%s: %s", what, strerrorname_np(errno));
	else
		say("%s: %s, port %s, family %d, %u bytes", what, who(&a),
		    a.sin_port == 0 ? "0" : ntohs(a.sin_port) < 10000 ? "fixed" : "some", a.sin_family, len);
}

int bound(int type, int port)
{
	int fd = socket(AF_INET, type, 0);
	struct sockaddr_in a = at(own, port);

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (void *)&a, sizeof(a)) < 0)
		say("bind: %s", strerrorname_np(errno));
	return fd;
}

int listener(int port, int backlog)
{
	int fd = bound(SOCK_STREAM, port);

	if (listen(fd, backlog) < 0)
		say("listen: %s", strerrorname_np(errno));
	return fd;
}

int port_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	getsockname(fd, (void *)&a, &len);
	return ntohs(a.sin_port);
}

int connect_to(const char *host, int port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(host, port);

	if (connect(fd, (void *)&a, sizeof(a)) < 0)
		say("connect: %s", strerrorname_np(errno));
	return fd;
}

/* Asks the peer to connect back to `port` and to do `action`. The control connection. */
int call_back(int port, char action)
{
	int fd = connect_to(peer, BACK);

	dprintf(fd, "%d %c\n", port, action);
	return fd;
}

/* A connection that the peer opened. */
int accepted(char action)
{
	int l = listener(0, 5), c = call_back(port_of(l), action), fd = accept(l, NULL, NULL);

	(void)c;
	if (fd < 0)
		say("accept: %s", strerrorname_np(errno));
	close(l);
	return fd;
}

/* Both ends ours. */
void both(int fd[2])
{
	int l = listener(0, 5);

	fd[0] = connect_to(own, port_of(l));
	fd[1] = accept(l, NULL, NULL);
	close(l);
}

void nonblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

/* ---- cases: sockets that are nothing yet ---- */

static void case_socket_kinds(void)
{
	OK(socket(AF_INET, SOCK_STREAM, 0));
	OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	OK(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	OK(socket(AF_INET, SOCK_DGRAM, 0));
	OK(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
	OK(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	OK(socket(AF_INET, SOCK_SEQPACKET, 0));
	OK(socket(AF_INET, SOCK_RDM, 0));
	OK(socket(AF_INET, 77, 0));
	OK(socket(AF_INET, SOCK_STREAM, 999));
	OK(socket(AF_INET6, SOCK_STREAM, 0));
	OK(socket(AF_UNIX, SOCK_STREAM, 0));
	int pair[2];
	OK(socketpair(AF_INET, SOCK_STREAM, 0, pair));
}

static void case_socket_flags(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	T(fcntl(fd, F_GETFD));
	T(fcntl(fd, F_GETFL) & O_NONBLOCK);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	T(fcntl(fd, F_GETFD));
	T(fcntl(fd, F_GETFL) & O_NONBLOCK);
	T(fcntl(fd, F_GETFL) & O_ACCMODE);
}

static void case_socket_identity(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);

	for (int i = 0; i < 2; i++) {
		int fd = i ? udp : tcp;
		get_int("type", fd, SOL_SOCKET, SO_TYPE);
		get_int("domain", fd, SOL_SOCKET, SO_DOMAIN);
		get_int("protocol", fd, SOL_SOCKET, SO_PROTOCOL);
		get_int("listening", fd, SOL_SOCKET, SO_ACCEPTCONN);
		get_int("error", fd, SOL_SOCKET, SO_ERROR);
		name("own", fd, getsockname);
		name("peer", fd, getpeername);
	}
	get_int("listening", listener(0, 1), SOL_SOCKET, SO_ACCEPTCONN);
}

static void case_fresh_tcp_names(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(shutdown(fd, SHUT_WR));
	T(shutdown(fd, SHUT_RDWR));
	T(accept(fd, NULL, NULL));
	last_error(fd);
}

static void case_fresh_tcp_io(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(recv(fd, buffer, 1, 0));
}

static void case_fresh_tcp_poll(void) { ready("fresh", socket(AF_INET, SOCK_STREAM, 0)); }
static void case_fresh_udp_poll(void) { ready("fresh", socket(AF_INET, SOCK_DGRAM, 0)); }

static void case_not_a_socket(void)
{
	int fd = open("/dev/null", O_RDWR), closed = 999;
	struct sockaddr_in a = at(own, 0);

	T(bind(fd, (void *)&a, sizeof(a)));
	T(listen(fd, 1));
	T(connect(fd, (void *)&a, sizeof(a)));
	T(accept(fd, NULL, NULL));
	T(getsockname(fd, (void *)&a, &(socklen_t){sizeof(a)}));
	T(bind(closed, (void *)&a, sizeof(a)));
	T(connect(closed, (void *)&a, sizeof(a)));
	T(accept(closed, NULL, NULL));
	T(shutdown(closed, SHUT_RD));
}

/* ---- bind ---- */

static void case_bind_errors(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(own, 0), foreign = at("192.0.2.77", 0);

	T(bind(fd, (void *)&a, 4));
	T(bind(fd, (void *)&a, 1000));
	T(bind(fd, (void *)8, sizeof(a)));
	T(bind(fd, (void *)&foreign, sizeof(foreign)));
	a.sin_family = AF_INET6;
	T(bind(fd, (void *)&a, sizeof(a)));
	a.sin_family = AF_UNIX;
	T(bind(fd, (void *)&a, sizeof(a)));
	a.sin_family = AF_INET;
	T(bind(fd, (void *)&a, sizeof(a)));
	T(bind(fd, (void *)&a, sizeof(a)));
	name("own", fd, getsockname);
}

static void case_bind_unspec(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_UNSPEC};

	T(bind(fd, (void *)&a, sizeof(a)));
	name("own", fd, getsockname);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	a = at(own, 0);
	a.sin_family = AF_UNSPEC;
	T(bind(fd, (void *)&a, sizeof(a)));
}

static void case_bind_in_use(void)
{
	int l = listener(6001, 1), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(own, 6001), any = at("0.0.0.0", 6001);

	(void)l;
	T(bind(fd, (void *)&a, sizeof(a)));
	T(bind(fd, (void *)&any, sizeof(any)));
	T(set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	T(bind(fd, (void *)&a, sizeof(a)));
}

static void case_bind_tcp_udp_apart(void)
{
	int t = bound(SOCK_STREAM, 6002), u = bound(SOCK_DGRAM, 6002);

	name("tcp", t, getsockname);
	name("udp", u, getsockname);
}

static void case_bind_after_close(void)
{
	for (int i = 0; i < 3; i++) {
		int l = listener(6003, 1);
		name("own", l, getsockname);
		close(l);
	}
}

static void case_bind_reuse_time_wait(void)
{
	int l = listener(6004, 1), c = connect_to(own, 6004), s = accept(l, NULL, NULL);

	close(s);
	close(c);
	close(l);
	settle();
	l = listener(6004, 1);
	name("own", l, getsockname);
}

static void case_getsockname_errors(void)
{
	int fd = bound(SOCK_STREAM, 6005);
	struct sockaddr_in a;
	socklen_t len = (socklen_t)-1;

	T(getsockname(fd, (void *)&a, &len));
	len = sizeof(a);
	T(getsockname(fd, (void *)8, &len));
	T(getsockname(fd, (void *)&a, (void *)8));
	len = 4;
	T(getsockname(fd, (void *)&a, &len));
	say("length %u", len);
	len = 0;
	T(getsockname(fd, NULL, &len));
	say("length %u", len);
}

/* ---- listen, accept ---- */

static void case_listen_twice(void)
{
	int l = listener(0, 1);

	T(listen(l, 10));
	T(listen(l, 0));
	T(listen(l, -1));
	name("own", l, getsockname);
	name("peer", l, getpeername);
}

static void case_listen_unbound(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	T(listen(fd, 5));
	name("own", fd, getsockname);
	int c = connect_to(own, port_of(fd));
	name("peer", c, getpeername);
	OK(accept(fd, NULL, NULL));
}

static void case_listen_errors(void)
{
	int fd = connect_to(peer, ECHO);

	T(listen(fd, 5));
	T(listen(socket(AF_INET, SOCK_DGRAM, 0), 5));
	T(accept(fd, NULL, NULL));
	T(accept(socket(AF_INET, SOCK_DGRAM, 0), NULL, NULL));
}

static void case_listener_io(void)
{
	int l = listener(0, 5);
	struct sockaddr_in a = at(peer, ECHO);

	nonblock(l);
	ready("listener", l);
	T(accept(l, NULL, NULL));
	T(connect(l, (void *)&a, sizeof(a)));
	T(bind(l, (void *)&a, sizeof(a)));
}

static void case_listener_read(void)
{
	int l = listener(0, 5);

	nonblock(l);
	T(recv(l, buffer, 1, 0));
	T(send(l, "x", 1, MSG_NOSIGNAL));
}

static void case_accept_poll(void)
{
	int l = listener(0, 5), c = call_back(port_of(l), 'h');

	(void)c;
	T(await(l, POLLIN));
	ready("listener", l);
	int fd = accept(l, NULL, NULL);
	OK(fd);
	settle();
	ready("listener", l);
	T(recv(fd, buffer, 10, 0));
}

static void case_accept_address(void)
{
	int l = listener(0, 5), c = call_back(port_of(l), 'h');
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	(void)c;
	int fd = accept(l, (void *)&a, &len);
	OK(fd);
	say("from %s, %u bytes", who(&a), len);
	name("own", fd, getsockname);
	name("peer", fd, getpeername);
	T(port_of(fd) == port_of(l));
}

static void case_accept_short_address(void)
{
	int l = listener(0, 5), c = call_back(port_of(l), 'h');
	struct sockaddr_in a = {0};
	socklen_t len = 2;

	(void)c;
	OK(accept(l, (void *)&a, &len));
	say("family %d, %u bytes, port %d", a.sin_family, len, a.sin_port);
}

static void case_accept_flags(void)
{
	int l = listener(0, 5), c = call_back(port_of(l), 'h');

	(void)c;
	T(accept4(l, NULL, NULL, 4));
	int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	T(fcntl(fd, F_GETFD));
	T(fcntl(fd, F_GETFL) & O_NONBLOCK);
	c = call_back(port_of(l), 'h');
	nonblock(l);
	await(l, POLLIN);
	fd = accept(l, NULL, NULL);
	T(fcntl(fd, F_GETFD));
	T(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void case_accept_timeout(void)
{
	int l = listener(0, 5);
	struct timeval t = {.tv_usec = 50000};

	T(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	T(accept(l, NULL, NULL));
}

static void on_signal(int signal) { (void)signal; }

void alarm_in(int usec, int flags)
{
	struct sigaction a = {.sa_handler = on_signal, .sa_flags = flags};

	sigaction(SIGALRM, &a, NULL);
	ualarm((useconds_t)usec, 0);
}

static void case_accept_interrupted(void)
{
	int l = listener(0, 5);

	alarm_in(50000, 0);
	T(accept(l, NULL, NULL));
}

static void case_accept_restarted(void)
{
	int l = listener(0, 5), port = port_of(l);

	alarm_in(50000, SA_RESTART);
	if (fork() == 0) {
		usleep(200000);
		call_back(port, 'h');
		_exit(0);
	}
	int fd = accept(l, NULL, NULL);
	OK(fd);
	T(recv(fd, buffer, 10, 0));
}

static void case_accept_in_child(void)
{
	int l = listener(0, 5);

	if (fork() == 0) {
		int fd = accept(l, NULL, NULL);
		recv(fd, buffer, 10, 0);
		write(fd, "from child", 10);
		_exit(0);
	}
	int port = port_of(l);
	close(l);
	int c = connect_to(own, port);
	T(write(c, "hi", 2));
	T(recv(c, buffer, 10, MSG_WAITALL));
}

static void case_accept_dup(void)
{
	int l = listener(0, 5), d = dup(l), c = call_back(port_of(l), 'h');

	(void)c;
	close(l);
	OK(accept(d, NULL, NULL));
	name("own", d, getsockname);
}

static void case_accept_many(void)
{
	int l = listener(0, 20), port = port_of(l), n = 0;

	for (int i = 0; i < 10; i++)
		connect_to(own, port);
	for (int i = 0; i < 10; i++)
		n += accept(l, NULL, NULL) >= 0;
	T(n);
	nonblock(l);
	T(accept(l, NULL, NULL));
}

static void case_accept_full_backlog(void)
{
	int l = listener(0, 1), port = port_of(l), fd[4], connected = 0;
	struct sockaddr_in a = at(own, port);

	for (int i = 0; i < 4; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd[i], (void *)&a, sizeof(a));
		usleep(20000);
	}
	for (int i = 0; i < 4; i++) {
		struct pollfd p = {.fd = fd[i], .events = POLLOUT};
		connected += poll(&p, 1, 0) == 1;
	}
	T(connected);
}

static void case_accept_reset_before(void)
{
	int l = listener(0, 5), c = connect_to(own, port_of(l));
	struct linger linger = {1, 0};

	setsockopt(c, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(c);
	settle();
	nonblock(l);
	ready("listener", l);
	int fd = accept(l, NULL, NULL);
	OK(fd);
	T(recv(fd, buffer, 1, 0));
}

static void case_accept_closed_before(void)
{
	int l = listener(0, 5), c = call_back(port_of(l), 'c');

	(void)c;
	await(l, POLLIN);
	settle();
	int fd = accept(l, NULL, NULL);
	OK(fd);
	T(recv(fd, buffer, 10, 0));
	T(recv(fd, buffer, 10, 0));
}

static void case_listener_closed_with_pending(void)
{
	int l = listener(0, 5), c = connect_to(own, port_of(l));

	await(l, POLLIN);
	close(l);
	settle();
	ready("client", c);
	T(recv(c, buffer, 1, 0));
	T(recv(c, buffer, 1, 0));
}

static void case_listener_shutdown(void)
{
	int l = listener(0, 5);
	struct sockaddr_in a = at(own, port_of(l));

	nonblock(l);
	T(shutdown(l, SHUT_RDWR));
	T(accept(l, NULL, NULL));
	int c = socket(AF_INET, SOCK_STREAM, 0);
	T(connect(c, (void *)&a, sizeof(a)));
}

static void case_accept_epoll_edge(void)
{
	int l = listener(0, 5), e = epoll_create1(0), port = port_of(l);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	epoll_ctl(e, EPOLL_CTL_ADD, l, &event);
	T(epoll_wait(e, &event, 1, 50));
	connect_to(own, port);
	T(epoll_wait(e, &event, 1, 1000));
	T(epoll_wait(e, &event, 1, 50));
	OK(accept(l, NULL, NULL));
	connect_to(own, port);
	T(epoll_wait(e, &event, 1, 1000));
	OK(accept(l, NULL, NULL));
}

static void case_accept_epoll_before_listen(void)
{
	int l = bound(SOCK_STREAM, 6010), e = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};

	epoll_ctl(e, EPOLL_CTL_ADD, l, &event);
	T(listen(l, 5));
	connect_to(own, 6010);
	T(epoll_wait(e, &event, 1, 1000));
	OK(accept(l, NULL, NULL));
}

/* ---- connect ---- */

static void case_connect_names(void)
{
	int fd = connect_to(peer, ECHO);

	name("own", fd, getsockname);
	name("peer", fd, getpeername);
	last_error(fd);
	ready("connected", fd);
}

static void case_connect_bound(void)
{
	int fd = bound(SOCK_STREAM, 6020);
	struct sockaddr_in a = at(peer, ECHO);

	T(connect(fd, (void *)&a, sizeof(a)));
	name("own", fd, getsockname);
	T(bind(fd, (void *)&a, sizeof(a)));
}

static void case_connect_twice(void)
{
	int fd = connect_to(peer, ECHO);
	struct sockaddr_in a = at(peer, ECHO);

	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_errors(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(peer, ECHO);

	T(connect(fd, (void *)&a, 4));
	T(connect(fd, (void *)8, sizeof(a)));
	T(connect(fd, (void *)&a, 1));
	a.sin_family = AF_INET6;
	T(connect(fd, (void *)&a, sizeof(a)));
	a = at("203.0.113.5", 80);
	T(connect(fd, (void *)&a, sizeof(a)));
	a = at(peer, ECHO);
	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_port_zero(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(peer, 0);

	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_broadcast(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at("255.255.255.255", 80);

	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_refused(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	T(connect(fd, (void *)&a, sizeof(a)));
	last_error(fd);
	name("peer", fd, getpeername);
}

static void case_connect_refused_again(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(connect(fd, (void *)&a, sizeof(a)));
	a = at(peer, ECHO);
	T(connect(fd, (void *)&a, sizeof(a)));
	T(write(fd, "x", 1));
	T(read(fd, buffer, 1));
}

static void case_connect_nonblock(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(peer, ECHO);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(await(fd, POLLOUT));
	ready("connected", fd);
	last_error(fd);
	T(connect(fd, (void *)&a, sizeof(a)));
	T(connect(fd, (void *)&a, sizeof(a)));
	name("peer", fd, getpeername);
}

static void case_connect_nonblock_refused(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(await(fd, POLLOUT));
	ready("refused", fd);
	last_error(fd);
	last_error(fd);
	name("peer", fd, getpeername);
}

static void case_connect_nonblock_refused_read(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(await(fd, POLLOUT));
	T(read(fd, buffer, 1));
	T(read(fd, buffer, 1));
}

static void case_connect_nonblock_refused_write(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(await(fd, POLLOUT));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void case_connect_nonblock_refused_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(await(fd, POLLOUT));
	T(connect(fd, (void *)&a, sizeof(a)));
}

/* To an address on the link where nobody is: the handshake stays open for a while. */
static void case_connect_in_progress(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at("198.18.0.200", 80);

	T(connect(fd, (void *)&a, sizeof(a)));
	ready("in progress", fd);
	T(connect(fd, (void *)&a, sizeof(a)));
	last_error(fd);
	name("peer", fd, getpeername);
	name("own", fd, getsockname);
	T(shutdown(fd, SHUT_WR));
}

static void case_connect_in_progress_io(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at("198.18.0.200", 80);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(recv(fd, buffer, 1, 0));
}

static void case_connect_unreachable_host(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at("198.18.0.200", 80);

	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_timeout(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at("198.18.0.201", 80);
	struct timeval t = {.tv_usec = 100000};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	T(connect(fd, (void *)&a, sizeof(a)));
	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_interrupted(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at("198.18.0.202", 80);

	alarm_in(50000, 0);
	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_unspec(void)
{
	int fd = connect_to(peer, ECHO);
	struct sockaddr_in a = {.sin_family = AF_UNSPEC};

	T(connect(fd, (void *)&a, sizeof(a)));
	name("peer", fd, getpeername);
}

static void case_connect_epoll(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), e = epoll_create1(0);
	struct sockaddr_in a = at(peer, ECHO);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLIN | EPOLLET};
	char text[80];

	T(connect(fd, (void *)&a, sizeof(a)));
	epoll_ctl(e, EPOLL_CTL_ADD, fd, &event);
	T(epoll_wait(e, &event, 1, 2000));
	events_text(event.events, text);
	say("%s", text);
}

static void case_connect_self_refused(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(own, CLOSED);

	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_connect_select(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = at(peer, CLOSED);
	fd_set in, out, err;
	struct timeval t = {2, 0};

	T(connect(fd, (void *)&a, sizeof(a)));
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&err);
	FD_SET(fd, &out);
	T(select(fd + 1, NULL, &out, NULL, &t));
	FD_SET(fd, &in);
	FD_SET(fd, &err);
	T(select(fd + 1, &in, &out, &err, &t));
	say("%d %d %d", FD_ISSET(fd, &in) != 0, FD_ISSET(fd, &out) != 0, FD_ISSET(fd, &err) != 0);
	last_error(fd);
}

/* ---- bytes ---- */

static void case_echo(void)
{
	int fd = connect_to(peer, ECHO);

	T(write(fd, "hello", 5));
	T(recv(fd, buffer, 5, MSG_WAITALL));
	T(shutdown(fd, SHUT_WR));
	T(read(fd, buffer, 5));
	ready("ended", fd);
}

static void case_peek(void)
{
	int fd = connect_to(peer, HELLO);

	T(await(fd, POLLIN));
	T(recv(fd, buffer, 2, MSG_PEEK));
	T(recv(fd, buffer, 5, MSG_WAITALL));
	say("%.5s", buffer);
	T(recv(fd, buffer, 5, 0));
}

static void case_recv_flags(void)
{
	int fd = connect_to(peer, ECHO);

	T(recv(fd, buffer, 1, MSG_DONTWAIT));
	T(recv(fd, buffer, 0, MSG_DONTWAIT));
	T(recv(fd, (void *)8, 5, MSG_DONTWAIT));
	T(write(fd, "0123456789", 10));
	await(fd, POLLIN);
	settle();
	T(recv(fd, buffer, 4, MSG_TRUNC));
	T(recv(fd, buffer, 10, 0));
}

static void case_recv_bad_pointer(void)
{
	int fd = connect_to(peer, HELLO);

	await(fd, POLLIN);
	T(recv(fd, (void *)8, 5, 0));
	T(send(fd, (void *)8, 5, 0));
}

static void case_recv_timeout(void)
{
	int fd = connect_to(peer, ECHO);
	struct timeval t = {.tv_usec = 50000}, got = {0};

	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	T(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &(socklen_t){sizeof(got)}));
	T(got.tv_sec == 0 && got.tv_usec > 0 && got.tv_usec < 100000);
	T(recv(fd, buffer, 1, 0));
}

static void case_recv_interrupted(void)
{
	int fd = connect_to(peer, ECHO);

	alarm_in(50000, 0);
	T(recv(fd, buffer, 1, 0));
}

static void case_send_blocked(void)
{
	int fd = connect_to(peer, HOLD);
	ssize_t n = 1, total = 0;

	nonblock(fd);
	for (int refused = 0; refused < 10 && total < 1 << 28; refused = n > 0 ? 0 : refused + 1) {
		n = send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
		total += n > 0 ? n : 0;
		if (n < 0)
			usleep(20000); /* an ACK may make room, and the buffer may grow by it */
	}
	T(n);
	T(total > 100000);
	ready("blocked", fd);
}

static void case_send_timeout(void)
{
	int fd = connect_to(peer, HOLD);
	struct timeval t = {.tv_usec = 50000};
	ssize_t n = 1;

	T(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)));
	for (int i = 0; n > 0 && i < 1000; i++)
		n = send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
	T(n);
}

static void case_vectors(void)
{
	int fd = connect_to(peer, ECHO);
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
	char a[2], b[8];
	struct iovec in[2] = {{a, 2}, {b, 8}};

	T(writev(fd, out, 3));
	await(fd, POLLIN);
	settle();
	T(readv(fd, in, 2));
	say("%.2s %.3s", a, b);
}

static void case_messages(void)
{
	int fd = connect_to(peer, ECHO);
	struct iovec out[2] = {{"ab", 2}, {"cde", 3}}, in = {buffer, 100};
	struct sockaddr_in a = {0};
	struct msghdr m = {.msg_iov = out, .msg_iovlen = 2};

	T(sendmsg(fd, &m, 0));
	await(fd, POLLIN);
	settle();
	m = (struct msghdr){.msg_iov = &in, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof(a)};
	T(recvmsg(fd, &m, 0));
	say("name %u bytes, control %zu, flags %d", m.msg_namelen, m.msg_controllen, m.msg_flags);
	T(sendmsg(fd, (void *)8, 0));
	m.msg_iovlen = 100000;
	T(sendmsg(fd, &m, 0));
}

static void case_stream_with_addresses(void)
{
	int fd = connect_to(peer, ECHO);
	struct sockaddr_in a = at("192.0.2.1", 7);
	socklen_t len = sizeof(a);

	T(sendto(fd, "abc", 3, 0, (void *)&a, sizeof(a)));
	await(fd, POLLIN);
	T(recvfrom(fd, buffer, 10, 0, (void *)&a, &len));
	say("name %u bytes", len);
	struct msghdr m = {.msg_iov = &(struct iovec){"xyz", 3}, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof(a)};
	T(sendmsg(fd, &m, 0));
	await(fd, POLLIN);
	T(read(fd, buffer, 10));
}

static void case_plural_stream(void)
{
	int fd = connect_to(peer, ECHO);
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &(struct iovec){"ab", 2}, .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &(struct iovec){"cd", 2}, .msg_iovlen = 1}}};

	T(sendmmsg(fd, m, 2, 0));
	say("%u %u", m[0].msg_len, m[1].msg_len);
	T(recv(fd, buffer, 4, MSG_WAITALL));
}

static void case_files(void)
{
	int fd = connect_to(peer, COUNT), file = open("/proc/self/exe", O_RDONLY), p[2];

	T(sendfile(fd, file, NULL, 10000));
	pipe(p);
	T(write(p[1], buffer, 5000));
	T(splice(p[0], NULL, fd, NULL, 5000, 0));
	T(shutdown(fd, SHUT_WR));
	ssize_t n = recv(fd, buffer, 100, MSG_WAITALL);
	say("%.*s", (int)n, buffer);
}

static void case_splice_in(void)
{
	int fd = connect_to(peer, HELLO), p[2];

	pipe(p);
	await(fd, POLLIN);
	T(splice(fd, NULL, p[1], NULL, 5, 0));
	T(read(p[0], buffer, 10));
}

static void case_large_in(void)
{
	int fd = connect_to(peer, FLOOD);
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, buffer, 70000)) > 0)
		total += (size_t)n;
	T(total);
	T(n);
}

static void case_large_out(void)
{
	int fd = connect_to(peer, COUNT);
	size_t total = 0;

	memset(buffer, 'x', sizeof(buffer));
	for (int i = 0; i < 5; i++)
		total += (size_t)write(fd, buffer, sizeof(buffer));
	T(total);
	shutdown(fd, SHUT_WR);
	ssize_t n = recv(fd, buffer, 100, MSG_WAITALL);
	say("%.*s", (int)n, buffer);
}

static void case_readable_bytes(void)
{
	int fd = connect_to(peer, HELLO), n = -1;

	await(fd, POLLIN);
	settle();
	T(ioctl(fd, FIONREAD, &n));
	T(n);
	read(fd, buffer, 2);
	T(ioctl(fd, FIONREAD, &n));
	T(n);
}

static void case_unsent_bytes(void)
{
	int fd = connect_to(peer, ECHO), n = -1;

	write(fd, "hello", 5);
	settle();
	T(ioctl(fd, SIOCOUTQ, &n));
	T(n);
	T(ioctl(fd, SIOCATMARK, &n));
	T(n);
}

static void case_low_water(void)
{
	int fd[2];

	both(fd);
	T(set_int(fd[0], SOL_SOCKET, SO_RCVLOWAT, 5));
	get_int("RCVLOWAT", fd[0], SOL_SOCKET, SO_RCVLOWAT);
}

static void case_urgent(void)
{
	int fd[2];

	both(fd);
	T(send(fd[0], "ab", 2, MSG_OOB));
	settle();
	ready("urgent", fd[1]);
	T(recv(fd[1], buffer, 1, MSG_OOB | MSG_DONTWAIT));
}

/* ---- ends ---- */

static void case_shutdown_write(void)
{
	int fd = connect_to(peer, COUNT);

	T(shutdown(fd, SHUT_WR));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	ssize_t n = recv(fd, buffer, 100, MSG_WAITALL);
	say("%.*s", (int)n, buffer);
}

static void case_shutdown_read(void)
{
	int fd[2];

	both(fd);
	T(shutdown(fd[0], SHUT_RD));
	T(recv(fd[0], buffer, 1, 0));
	ready("shut", fd[0]);
	T(send(fd[0], "still", 5, MSG_NOSIGNAL));
	T(recv(fd[1], buffer, 5, 0));
}

static void case_shutdown_both(void)
{
	int fd[2];

	both(fd);
	T(shutdown(fd[0], SHUT_RDWR));
	ready("shut", fd[0]);
	T(recv(fd[0], buffer, 1, 0));
	T(send(fd[0], "x", 1, MSG_NOSIGNAL));
	settle();
	ready("other", fd[1]);
	T(recv(fd[1], buffer, 1, 0));
}

static void case_shutdown_bad(void)
{
	int fd = connect_to(peer, ECHO);

	T(shutdown(fd, 7));
	T(shutdown(fd, SHUT_WR));
	T(shutdown(fd, SHUT_WR));
}

static void case_close_then_read(void)
{
	int fd[2];

	both(fd);
	write(fd[0], "last", 4);
	close(fd[0]);
	settle();
	ready("closed by the other", fd[1]);
	T(recv(fd[1], buffer, 10, 0));
	T(recv(fd[1], buffer, 10, 0));
	T(recv(fd[1], buffer, 10, 0));
	last_error(fd[1]);
}

static void case_close_then_write(void)
{
	int fd[2];

	both(fd);
	close(fd[0]);
	settle();
	T(send(fd[1], "a", 1, MSG_NOSIGNAL));
	settle();
	ready("after the reset", fd[1]);
	T(send(fd[1], "b", 1, MSG_NOSIGNAL));
	T(recv(fd[1], buffer, 1, 0));
}

static void case_close_unread(void)
{
	int fd[2];

	both(fd);
	write(fd[1], "unread", 6);
	settle();
	close(fd[0]);
	settle();
	ready("reset", fd[1]);
	T(recv(fd[1], buffer, 1, 0));
	T(recv(fd[1], buffer, 1, 0));
	T(send(fd[1], "b", 1, MSG_NOSIGNAL));
}

static void case_linger_zero(void)
{
	int fd[2];
	struct linger l = {1, 0};

	both(fd);
	T(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	close(fd[0]);
	settle();
	ready("reset", fd[1]);
	last_error(fd[1]);
	T(recv(fd[1], buffer, 1, 0));
}

static void case_reset_by_peer(void)
{
	int fd = connect_to(peer, RESET);

	await(fd, POLLIN);
	settle();
	ready("reset", fd);
	T(recv(fd, buffer, 1, 0));
	T(recv(fd, buffer, 1, 0));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	name("peer", fd, getpeername);
}

static void case_reset_error(void)
{
	int fd = connect_to(peer, RESET);

	await(fd, POLLIN);
	settle();
	last_error(fd);
	last_error(fd);
	T(recv(fd, buffer, 1, 0));
}

static void case_reset_write(void)
{
	int fd = connect_to(peer, RESET);

	await(fd, POLLIN);
	settle();
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void case_half_closed_by_peer(void)
{
	int fd = accepted('h');

	T(recv(fd, buffer, 10, MSG_WAITALL));
	ready("half closed", fd);
	T(send(fd, "answer", 6, MSG_NOSIGNAL));
	settle();
	ready("half closed", fd);
	last_error(fd);
}

static void case_broken_pipe(void)
{
	int fd = connect_to(peer, COUNT);
	struct sigaction a = {.sa_handler = on_signal};
	sigset_t pending;

	sigemptyset(&pending);
	sigaddset(&pending, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pending, NULL);
	sigaction(SIGPIPE, &a, NULL);
	shutdown(fd, SHUT_WR);
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	sigpending(&pending);
	T(sigismember(&pending, SIGPIPE));
	T(write(fd, "x", 1));
	sigpending(&pending);
	T(sigismember(&pending, SIGPIPE));
}

static void case_exit_without_close(void)
{
	int l = listener(0, 5), port = port_of(l);

	if (fork() == 0) {
		int c = connect_to(own, port);
		write(c, "bye", 3);
		_exit(0);
	}
	int fd = accept(l, NULL, NULL);
	T(recv(fd, buffer, 10, MSG_WAITALL));
}

static void case_killed(void)
{
	int l = listener(0, 5), port = port_of(l);
	pid_t child = fork();

	if (child == 0) {
		connect_to(own, port);
		pause();
	}
	int fd = accept(l, NULL, NULL);
	kill(child, SIGKILL);
	T(recv(fd, buffer, 10, 0));
}

/* ---- epoll ---- */

int epoll_once(int e, int ms)
{
	struct epoll_event event = {0};
	char text[80];
	int n = epoll_wait(e, &event, 1, ms);

	events_text(event.events, text);
	say("epoll: %d %s", n, text);
	return n;
}

static void case_epoll_level(void)
{
	int fd[2], e = epoll_create1(0);

	both(fd);
	epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &(struct epoll_event){.events = EPOLLIN | EPOLLRDHUP});
	epoll_once(e, 0);
	write(fd[0], "ab", 2);
	epoll_once(e, 1000);
	epoll_once(e, 1000);
	read(fd[1], buffer, 10);
	epoll_once(e, 50);
	shutdown(fd[0], SHUT_WR);
	epoll_once(e, 1000);
	epoll_once(e, 1000);
}

static void case_epoll_edge(void)
{
	int fd[2], e = epoll_create1(0);

	both(fd);
	epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &(struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET});
	epoll_once(e, 0);
	write(fd[0], "ab", 2);
	epoll_once(e, 1000);
	epoll_once(e, 50);
	write(fd[0], "cd", 2);
	epoll_once(e, 1000);
	read(fd[1], buffer, 1);
	epoll_once(e, 50);
	read(fd[1], buffer, 10);
	write(fd[0], "e", 1);
	epoll_once(e, 1000);
	close(fd[0]);
	epoll_once(e, 1000);
}

static void case_epoll_edge_out(void)
{
	int fd[2], e = epoll_create1(0);

	both(fd);
	nonblock(fd[0]);
	epoll_ctl(e, EPOLL_CTL_ADD, fd[0], &(struct epoll_event){.events = EPOLLOUT | EPOLLET});
	epoll_once(e, 1000);
	epoll_once(e, 50);
	while (send(fd[0], buffer, 65536, MSG_NOSIGNAL) > 0 || (usleep(20000), send(fd[0], buffer, 65536, MSG_NOSIGNAL)) > 0)
		;
	epoll_once(e, 0);
	nonblock(fd[1]);
	for (int i = 0; i < 200; i++) {
		while (read(fd[1], buffer, sizeof(buffer)) > 0)
			;
		usleep(1000);
	}
	epoll_once(e, 1000);
	epoll_once(e, 50);
}

static void case_epoll_oneshot(void)
{
	int fd[2], e = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};

	both(fd);
	epoll_ctl(e, EPOLL_CTL_ADD, fd[1], &event);
	write(fd[0], "a", 1);
	epoll_once(e, 1000);
	epoll_once(e, 50);
	epoll_ctl(e, EPOLL_CTL_MOD, fd[1], &event);
	epoll_once(e, 1000);
}

static void case_epoll_reset(void)
{
	int fd = connect_to(peer, RESET), e = epoll_create1(0);

	await(fd, POLLIN);
	epoll_ctl(e, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP});
	epoll_once(e, 1000);
}

/* ---- descriptors that travel ---- */

static void case_dup(void)
{
	int fd = connect_to(peer, ECHO), d = dup(fd);

	close(fd);
	name("peer", d, getpeername);
	T(write(d, "x", 1));
	T(read(d, buffer, 1));
	T(dup2(d, 100));
	name("peer", 100, getpeername);
}

static void case_fork(void)
{
	int fd = connect_to(peer, ECHO);

	if (fork() == 0) {
		name("peer", fd, getpeername);
		T(write(fd, "x", 1));
		_exit(0);
	}
	wait(NULL);
	T(read(fd, buffer, 1));
}

static void case_exec(void)
{
	int fd = connect_to(peer, ECHO);
	char number[16];

	snprintf(number, sizeof(number), "%d", fd);
	if (fork() == 0) {
		execl("/proc/self/exe", "semantics", "pass", number, own, peer, NULL);
		_exit(1);
	}
	wait(NULL);
}

int pass_descriptor(int over, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr m = {.msg_iov = &(struct iovec){"f", 1}, .msg_iovlen = 1, .msg_control = space,
			   .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return (int)sendmsg(over, &m, 0);
}

int take_descriptor(int over)
{
	char space[CMSG_SPACE(sizeof(int))] = {0}, byte;
	struct msghdr m = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1, .msg_control = space,
			   .msg_controllen = sizeof(space)};
	int fd = -1;

	if (recvmsg(over, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void case_rights(void)
{
	int pair[2], fd = connect_to(peer, ECHO);

	T(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	if (fork() == 0) {
		int got = take_descriptor(pair[1]);
		settle();
		name("peer", got, getpeername);
		T(write(got, "y", 1));
		T(read(got, buffer, 1));
		_exit(0);
	}
	ssize_t passed = pass_descriptor(pair[0], fd);
	wait(NULL); /* so that the child says its lines first */
	T(passed);
	int l = listener(0, 5);
	if (fork() == 0) {
		int got = take_descriptor(pair[1]);
		settle();
		OK(accept(got, NULL, NULL));
		_exit(0);
	}
	passed = pass_descriptor(pair[0], l);
	connect_to(own, port_of(l));
	wait(NULL);
	T(passed);
}

static void *thread_accept(void *arg)
{
	return (void *)(intptr_t)accept(*(int *)arg, NULL, NULL);
}

static void case_threads(void)
{
	int l = listener(0, 5);
	pthread_t t[4];
	void *result;
	int n = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread_accept, &l);
	for (int i = 0; i < 4; i++)
		connect_to(own, port_of(l));
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &result);
		n += (intptr_t)result >= 0;
	}
	T(n);
}

/* ---- UDP ---- */

void from_text(const struct sockaddr_in *a, socklen_t len)
{
	say("from %s port %s, %u bytes", who(a), ntohs(a->sin_port) < 10000 ? "fixed" : "some", len);
}

static void case_udp_echo(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), from = {0};
	socklen_t len = sizeof(from);

	T(sendto(fd, "hello", 5, 0, (void *)&a, sizeof(a)));
	name("own", fd, getsockname);
	name("peer", fd, getpeername);
	T(recvfrom(fd, buffer, 100, 0, (void *)&from, &len));
	from_text(&from, len);
	ready("read", fd);
	T(recv(fd, buffer, 100, MSG_DONTWAIT));
}

static void case_udp_plain_read(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO);

	sendto(fd, "hello", 5, 0, (void *)&a, sizeof(a));
	T(read(fd, buffer, 100));
	say("%.5s", buffer);
	sendto(fd, "again", 5, 0, (void *)&a, sizeof(a));
	T(recv(fd, buffer, 100, 0));
	say("%.5s", buffer);
}

static void case_udp_connected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), from = {0};
	socklen_t len = sizeof(from);

	T(connect(fd, (void *)&a, sizeof(a)));
	name("own", fd, getsockname);
	name("peer", fd, getpeername);
	T(send(fd, "abc", 3, 0));
	T(recv(fd, buffer, 100, 0));
	T(write(fd, "defg", 4));
	T(recvfrom(fd, buffer, 100, 0, (void *)&from, &len));
	from_text(&from, len);
	T(sendto(fd, "hi", 2, 0, (void *)&a, sizeof(a)));
	T(read(fd, buffer, 100));
	T(connect(fd, (void *)&a, sizeof(a)));
}

static void case_udp_disconnect(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), none = {.sin_family = AF_UNSPEC};

	T(connect(fd, (void *)&a, sizeof(a)));
	T(connect(fd, (void *)&none, sizeof(none)));
	name("peer", fd, getpeername);
	T(send(fd, "abc", 3, 0));
	T(sendto(fd, "abc", 3, 0, (void *)&a, sizeof(a)));
	T(recv(fd, buffer, 100, 0));
}

static void case_udp_unconnected_send(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct msghdr m = {.msg_iov = &(struct iovec){"x", 1}, .msg_iovlen = 1};

	T(send(fd, "abc", 3, 0));
	T(write(fd, "abc", 3));
	T(sendmsg(fd, &m, 0));
}

static void case_udp_send_errors(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), zero = at(peer, 0), far = at("203.0.113.5", 9);
	struct sockaddr_in all = at("255.255.255.255", 9);

	T(sendto(fd, buffer, 65508, 0, (void *)&a, sizeof(a)));
	T(sendto(fd, buffer, 65535, 0, (void *)&a, sizeof(a)));
	T(sendto(fd, buffer, 70000, 0, (void *)&a, sizeof(a)));
	T(sendto(fd, "x", 1, 0, (void *)&a, 4));
	T(sendto(fd, "x", 1, 0, (void *)8, sizeof(a)));
	T(sendto(fd, (void *)8, 1, 0, (void *)&a, sizeof(a)));
	T(sendto(fd, "x", 1, 0, (void *)&zero, sizeof(zero)));
	T(sendto(fd, "x", 1, 0, (void *)&far, sizeof(far)));
	T(sendto(fd, "x", 1, 0, (void *)&all, sizeof(all)));
	T(sendto(fd, "x", 1, MSG_OOB, (void *)&a, sizeof(a)));
}

static void case_udp_sizes(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO);

	connect(fd, (void *)&a, sizeof(a));
	T(send(fd, buffer, 0, 0));
	T(recv(fd, buffer, 100, 0));
	T(send(fd, buffer, 1472, 0));
	T(recv(fd, buffer, 2000, 0));
	T(send(fd, buffer, 20000, 0));
	T(recv(fd, buffer, 30000, 0));
	T(send(fd, buffer, 65507, 0));
	T(recv(fd, buffer, 70000, 0));
}

static void case_udp_truncated(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), from = {0};
	struct iovec iov = {buffer, 3};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof(from)};

	sendto(fd, "0123456789", 10, 0, (void *)&a, sizeof(a));
	T(recvmsg(fd, &m, 0));
	say("flags %d, name %u", m.msg_flags, m.msg_namelen);
	from_text(&from, m.msg_namelen);
	sendto(fd, "0123456789", 10, 0, (void *)&a, sizeof(a));
	T(recvmsg(fd, &m, MSG_TRUNC));
	sendto(fd, "0123456789", 10, 0, (void *)&a, sizeof(a));
	T(recv(fd, buffer, 3, 0));
	sendto(fd, "0123456789", 10, 0, (void *)&a, sizeof(a));
	T(recv(fd, buffer, 3, MSG_TRUNC));
	T(recv(fd, buffer, 3, MSG_DONTWAIT));
}

static void case_udp_peek(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO), from = {0};
	socklen_t len = sizeof(from);

	sendto(fd, "abc", 3, 0, (void *)&a, sizeof(a));
	T(recvfrom(fd, buffer, 10, MSG_PEEK, (void *)&from, &len));
	from_text(&from, len);
	T(recv(fd, buffer, 10, MSG_PEEK));
	T(recv(fd, buffer, 10, 0));
	T(recv(fd, buffer, 10, MSG_DONTWAIT));
}

static void case_udp_plural(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO);
	char text[3][10];
	struct iovec out[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}}, in[3];
	struct mmsghdr m[3] = {0};

	for (int i = 0; i < 3; i++)
		m[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof(a)};
	T(sendmmsg(fd, m, 3, 0));
	say("%u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	settle();
	for (int i = 0; i < 3; i++) {
		in[i] = (struct iovec){text[i], 10};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
	}
	T(recvmmsg(fd, m, 3, MSG_WAITFORONE, NULL));
	say("%u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
}

static void case_udp_plural_connected(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO);
	struct iovec out[2] = {{"a", 1}, {"bb", 2}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};

	connect(fd, (void *)&a, sizeof(a));
	T(sendmmsg(fd, m, 2, 0));
	T(recv(fd, buffer, 10, 0));
	T(recv(fd, buffer, 10, 0));
}

static void case_udp_refused(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, CLOSED);

	connect(fd, (void *)&a, sizeof(a));
	T(send(fd, "x", 1, 0));
	settle();
	ready("refused", fd);
	T(recv(fd, buffer, 1, MSG_DONTWAIT));
	T(recv(fd, buffer, 1, MSG_DONTWAIT));
	T(send(fd, "x", 1, 0));
	settle();
	T(send(fd, "x", 1, 0));
	last_error(fd);
}

static void case_udp_filter(void)
{
	int fd = bound(SOCK_DGRAM, 6100), other = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in me = at(own, 6100), a = at(peer, UDP_ECHO);

	connect(fd, (void *)&a, sizeof(a));
	T(sendto(other, "x", 1, 0, (void *)&me, sizeof(me)));
	settle();
	T(recv(fd, buffer, 1, MSG_DONTWAIT));
}

static void case_udp_bind(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(own, 6101), b = at("192.0.2.9", 0);

	T(bind(fd, (void *)&b, sizeof(b)));
	T(bind(fd, (void *)&a, sizeof(a)));
	T(bind(fd, (void *)&a, sizeof(a)));
	T(bind(other, (void *)&a, sizeof(a)));
	name("own", fd, getsockname);
	T(listen(fd, 1));
	T(shutdown(fd, SHUT_RDWR));
	T(accept(fd, NULL, NULL));
}

static void case_udp_shutdown(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(peer, UDP_ECHO);

	connect(fd, (void *)&a, sizeof(a));
	T(shutdown(fd, SHUT_WR));
	T(send(fd, "x", 1, MSG_NOSIGNAL));
	T(shutdown(fd, SHUT_RD));
	T(recv(fd, buffer, 1, MSG_DONTWAIT));
}

static void case_udp_timeout(void)
{
	int fd = bound(SOCK_DGRAM, 0);
	struct timeval t = {.tv_usec = 50000};
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	T(recv(fd, buffer, 1, 0));
	T(recvfrom(fd, buffer, 1, 0, (void *)&from, &len));
}

static void case_udp_interrupted(void)
{
	int fd = bound(SOCK_DGRAM, 0);
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	alarm_in(50000, 0);
	T(recvfrom(fd, buffer, 1, 0, (void *)&from, &len));
}

static void case_udp_readable_bytes(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), n = -1;
	struct sockaddr_in a = at(peer, UDP_ECHO);

	sendto(fd, "abc", 3, 0, (void *)&a, sizeof(a));
	sendto(fd, "defg", 4, 0, (void *)&a, sizeof(a));
	settle();
	T(ioctl(fd, FIONREAD, &n));
	T(n);
	T(ioctl(fd, SIOCOUTQ, &n));
	T(n);
}

static void case_udp_epoll_edge(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), e = epoll_create1(0);
	struct sockaddr_in a = at(peer, UDP_ECHO);

	epoll_ctl(e, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN | EPOLLET});
	sendto(fd, "a", 1, 0, (void *)&a, sizeof(a));
	epoll_once(e, 1000);
	epoll_once(e, 50);
	sendto(fd, "b", 1, 0, (void *)&a, sizeof(a));
	epoll_once(e, 1000);
}

/* ---- options ---- */

void one_option(const char *what, int fd, int level, int option, int value)
{
	get_int(what, fd, level, option);
	int result = set_int(fd, level, option, value);
	say("%s = %d: %s", what, value, result < 0 ? strerrorname_np(errno) : "ok");
	get_int(what, fd, level, option);
}

static void case_options_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	OPTION(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	OPTION(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	OPTION(fd, SOL_SOCKET, SO_KEEPALIVE, 7);
	OPTION(fd, SOL_SOCKET, SO_BROADCAST, 1);
	OPTION(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	OPTION(fd, SOL_SOCKET, SO_DONTROUTE, 1);
	OPTION(fd, SOL_SOCKET, SO_PRIORITY, 3);
	OPTION(fd, SOL_SOCKET, SO_TYPE, 1);
	OPTION(fd, SOL_SOCKET, SO_ERROR, 1);
	OPTION(fd, SOL_SOCKET, 9999, 1);
}

static void case_options_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	OPTION(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	OPTION(fd, IPPROTO_TCP, TCP_CORK, 1);
	OPTION(fd, IPPROTO_TCP, TCP_KEEPIDLE, 100);
	OPTION(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
	OPTION(fd, IPPROTO_TCP, TCP_KEEPCNT, 5);
	OPTION(fd, IPPROTO_TCP, TCP_KEEPIDLE, 0);
	OPTION(fd, IPPROTO_TCP, TCP_KEEPCNT, 1000);
	OPTION(fd, IPPROTO_TCP, TCP_SYNCNT, 3);
	OPTION(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	OPTION(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 5000);
	OPTION(fd, IPPROTO_TCP, TCP_LINGER2, 10);
	OPTION(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
	OPTION(fd, IPPROTO_TCP, TCP_MAXSEG, 10);
	OPTION(fd, IPPROTO_TCP, 9999, 1);
}

static void case_options_ip(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	OPTION(fd, IPPROTO_IP, IP_TOS, 16);
	OPTION(fd, IPPROTO_IP, IP_TTL, 33);
	OPTION(fd, IPPROTO_IP, IP_TTL, 300);
	OPTION(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	OPTION(fd, IPPROTO_IP, 9999, 1);
	OPTION(fd, 77, 1, 1);
}

static void case_options_buffers(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	for (int i = 0; i < 2; i++) {
		static const int size[] = {10000, 1};
		int result = set_int(fd, SOL_SOCKET, SO_SNDBUF, size[i]);
		say("SO_SNDBUF %d: %d", size[i], result);
		get_int("SO_SNDBUF", fd, SOL_SOCKET, SO_SNDBUF);
		result = set_int(fd, SOL_SOCKET, SO_RCVBUF, size[i]);
		say("SO_RCVBUF %d: %d", size[i], result);
		get_int("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF);
	}
}

static void case_options_form(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), value = 1;
	socklen_t len;

	T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 1));
	T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 8));
	T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)8, 4));
	T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, (socklen_t)-1));
	len = 1;
	T(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
	say("length %u", len);
	len = 100;
	T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
	say("length %u", len);
	T(getsockopt(fd, SOL_SOCKET, SO_TYPE, (void *)8, &len));
	T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, (void *)8));
	len = (socklen_t)-1;
	T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
}

static void case_options_linger(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct linger l = {9, 9};
	socklen_t len = sizeof(l);

	T(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	say("%d %d, %u bytes", l.l_onoff, l.l_linger, len);
	l = (struct linger){1, 5};
	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	T(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len));
	say("%d %d", l.l_onoff, l.l_linger);
	T(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
}

static void case_options_inherited(void)
{
	int l = listener(0, 5), fd;

	set_int(l, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(l, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	connect_to(own, port_of(l));
	fd = accept(l, NULL, NULL);
	get_int("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY);
	get_int("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE);
	get_int("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE);
	get_int("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR);
}

static void case_options_congestion(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[16] = "";
	socklen_t len = sizeof(text);

	T(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len));
	say("%d, %u bytes", text[0] != 0, len);
	T(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
}

static void case_options_info(void)
{
	int fd = connect_to(peer, ECHO);
	struct tcp_info i = {0};
	socklen_t len = sizeof(i);

	T(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	T(i.tcpi_state);
	T(i.tcpi_snd_mss > 500);
	get_int("TCP_MAXSEG positive", fd, IPPROTO_TCP, TCP_SYNCNT);
}

static void case_options_udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	OPTION(fd, SOL_SOCKET, SO_BROADCAST, 1);
	OPTION(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	OPTION(fd, IPPROTO_IP, IP_TTL, 5);
	OPTION(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	OPTION(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* ---- IPv6 sockets with IPv4 in them ---- */

static struct sockaddr_in6 at6(const char *host, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	inet_pton(AF_INET6, host, &a.sin6_addr);
	return a;
}

static void name6(const char *what, int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	if (get(fd, (void *)&a, &len) < 0)
		say("%s: %s", what, strerrorname_np(errno));
	else
		say("%s: %s, family %d, %u bytes", what, IN6_IS_ADDR_V4MAPPED(&a.sin6_addr) ? "mapped" :
		    IN6_IS_ADDR_UNSPECIFIED(&a.sin6_addr) ? "any" : "?", a.sin6_family, len);
}

static void case_v6_dual_listener(void)
{
	int l = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 a = at6("::", 6200), from = {0};
	socklen_t len = sizeof(from);

	T(set_int(l, IPPROTO_IPV6, IPV6_V6ONLY, 0));
	T(bind(l, (void *)&a, sizeof(a)));
	T(listen(l, 5));
	name6("own", l, getsockname);
	int c = connect_to(own, 6200), fd = accept(l, (void *)&from, &len);
	say("from %s, %u bytes", IN6_IS_ADDR_V4MAPPED(&from.sin6_addr) ? "mapped" : "?", len);
	name6("own", fd, getsockname);
	name6("peer", fd, getpeername);
	name("client's peer", c, getpeername);
}

static void case_v6_mapped_connect(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	char text[64];
	struct sockaddr_in6 a;
	struct sockaddr_in four = at(peer, ECHO);

	snprintf(text, sizeof(text), "::ffff:%s", peer);
	a = at6(text, ECHO);
	T(connect(fd, (void *)&a, 10));
	T(connect(fd, (void *)&four, sizeof(four)));
	T(connect(fd, (void *)&a, sizeof(a)));
	name6("own", fd, getsockname);
	name6("peer", fd, getpeername);
	T(write(fd, "x", 1));
	T(read(fd, buffer, 1));
}

static void case_v6_unreachable(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 a = at6("2001:db8::1", 80);

	T(connect(fd, (void *)&a, sizeof(a)));
	T(bind(fd, (void *)&a, sizeof(a)));
	name6("own", fd, getsockname);
}

static void case_v6_only(void)
{
	int six = socket(AF_INET6, SOCK_STREAM, 0), four = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in6 a = at6("::", 6201);
	struct sockaddr_in b = at("0.0.0.0", 6201);

	T(set_int(six, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	get_int("V6ONLY", six, IPPROTO_IPV6, IPV6_V6ONLY);
	T(bind(six, (void *)&a, sizeof(a)));
	T(bind(four, (void *)&b, sizeof(b)));
	T(listen(six, 5));
	T(listen(four, 5));
	connect_to(own, 6201);
	nonblock(six);
	T(accept(six, NULL, NULL));
	OK(accept(four, NULL, NULL));
}

static void case_v6_udp(void)
{
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	char text[64];
	struct sockaddr_in6 a, from = {0};
	socklen_t len = sizeof(from);

	snprintf(text, sizeof(text), "::ffff:%s", peer);
	a = at6(text, UDP_ECHO);
	T(sendto(fd, "abc", 3, 0, (void *)&a, sizeof(a)));
	T(recvfrom(fd, buffer, 10, 0, (void *)&from, &len));
	say("from %s, %u bytes", IN6_IS_ADDR_V4MAPPED(&from.sin6_addr) ? "mapped" : "?", len);
}

#define CASES(X) \
	X(socket_kinds) X(socket_flags) X(socket_identity) X(fresh_tcp_names) X(fresh_tcp_io) X(fresh_tcp_poll) \
	X(fresh_udp_poll) X(not_a_socket) X(bind_errors) X(bind_unspec) X(bind_in_use) X(bind_tcp_udp_apart) \
	X(bind_after_close) X(bind_reuse_time_wait) X(getsockname_errors) X(listen_twice) X(listen_unbound) \
	X(listen_errors) X(listener_io) X(listener_read) X(accept_poll) X(accept_address) X(accept_short_address) \
	X(accept_flags) X(accept_timeout) X(accept_interrupted) X(accept_restarted) X(accept_in_child) X(accept_dup) \
	X(accept_many) X(accept_full_backlog) X(accept_reset_before) X(accept_closed_before) \
	X(listener_closed_with_pending) X(listener_shutdown) X(accept_epoll_edge) X(accept_epoll_before_listen) \
	X(connect_names) X(connect_bound) X(connect_twice) X(connect_errors) X(connect_port_zero) X(connect_broadcast) \
	X(connect_refused) X(connect_refused_again) X(connect_nonblock) X(connect_nonblock_refused) \
	X(connect_nonblock_refused_read) X(connect_nonblock_refused_write) X(connect_nonblock_refused_connect) \
	X(connect_in_progress) X(connect_in_progress_io) X(connect_unreachable_host) X(connect_timeout) \
	X(connect_interrupted) X(connect_unspec) X(connect_epoll) X(connect_self_refused) X(connect_select) X(echo) \
	X(peek) X(recv_flags) X(recv_bad_pointer) X(recv_timeout) X(recv_interrupted) X(send_blocked) X(send_timeout) \
	X(vectors) X(messages) X(stream_with_addresses) X(plural_stream) X(files) X(splice_in) X(large_in) X(large_out) \
	X(readable_bytes) X(unsent_bytes) X(low_water) X(urgent) X(shutdown_write) X(shutdown_read) X(shutdown_both) \
	X(shutdown_bad) X(close_then_read) X(close_then_write) X(close_unread) X(linger_zero) X(reset_by_peer) \
	X(reset_error) X(reset_write) X(half_closed_by_peer) X(broken_pipe) X(exit_without_close) X(killed) \
	X(epoll_level) X(epoll_edge) X(epoll_edge_out) X(epoll_oneshot) X(epoll_reset) X(dup) X(fork) X(exec) X(rights) \
	X(threads) X(udp_echo) X(udp_plain_read) X(udp_connected) X(udp_disconnect) X(udp_unconnected_send) \
	X(udp_send_errors) X(udp_sizes) X(udp_truncated) X(udp_peek) X(udp_plural) X(udp_plural_connected) \
	X(udp_refused) X(udp_filter) X(udp_bind) X(udp_shutdown) X(udp_timeout) X(udp_interrupted) \
	X(udp_readable_bytes) X(udp_epoll_edge) X(options_socket) X(options_tcp) X(options_ip) X(options_buffers) \
	X(options_form) X(options_linger) X(options_inherited) X(options_congestion) X(options_info) X(options_udp) \
	X(v6_dual_listener) X(v6_mapped_connect) X(v6_unreachable) X(v6_only) X(v6_udp)

static const struct semantics_case first_cases[] = {
	CASES(SEMANTICS_ROW)
};

static const struct {
	const struct semantics_case *cases;
	size_t count;
} groups[] = {
	{first_cases, sizeof(first_cases) / sizeof(first_cases[0])},
	{stream_cases, STREAM_CASES},
	{datagram_cases, DATAGRAM_CASES},
	{process_cases, PROCESS_CASES},
};

/* One case, in a process of its own; its children die with it. */
static void run_case(const struct semantics_case *c)
{
	int status = 0;

	printf("[%s]\n", c->name);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		setpgid(0, 0);
		alarm(LIMIT);
		c->run();
		exit(0);
	}
	waitpid(child, &status, 0);
	kill(-child, SIGKILL);
	if (WIFSIGNALED(status))
		printf("  ended by %s\n", sigabbrev_np(WTERMSIG(status)));
}

/* ---- the other end ---- */

static void pump_echo(int fd)
{
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		if (write(fd, buffer, (size_t)n) != n)
			return;
}

static void serve_count(int fd)
{
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		total += (size_t)n;
	dprintf(fd, "got %zu", total);
}

static void reset_on_close(int fd)
{
	struct linger l = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* "PORT ACTION": connects to that port of who asks, says "hi", then closes, resets or half-closes. */
static void serve_back(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int port = 0;
	char action = 0;
	ssize_t n = read(fd, buffer, 100);

	getpeername(fd, (void *)&a, &len);
	buffer[n > 0 ? n : 0] = 0;
	if (sscanf(buffer, "%d %c", &port, &action) != 2)
		return;
	a.sin_port = htons((uint16_t)port);
	int back = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(back, (void *)&a, sizeof(a)) < 0)
		return;
	write(back, "hi", 2);
	if (action == 'r')
		reset_on_close(back);
	if (action == 'h') {
		shutdown(back, SHUT_WR);
		read(back, buffer, sizeof(buffer));
		pause();
	}
}

static void serve(int port, int fd)
{
	switch (port) {
	case ECHO:
		pump_echo(fd);
		break;
	case HELLO:
		write(fd, "hello", 5);
		break;
	case RESET:
		usleep(SETTLE / 2); /* the connect is through by then */
		reset_on_close(fd);
		break;
	case COUNT:
		serve_count(fd);
		break;
	case HOLD:
		sleep(LIMIT);
		break;
	case FLOOD:
		memset(buffer, 'f', sizeof(buffer));
		write(fd, buffer, 1000000);
		break;
	case BACK:
		serve_back(fd);
		break;
	}
}

static void peer_port(const char *address, int port)
{
	struct sockaddr_in a = at(address, port);
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&a, sizeof(a)) < 0 || listen(l, 64) < 0)
		exit(1);
	for (;;) {
		int fd = accept(l, NULL, NULL);
		if (fork() == 0) {
			alarm(2 * LIMIT);
			serve(port, fd);
			_exit(0);
		}
		close(fd);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

static void peer_udp(const char *address)
{
	struct sockaddr_in a = at(address, UDP_ECHO);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (bind(fd, (void *)&a, sizeof(a)) < 0)
		exit(1);
	for (;;) {
		socklen_t len = sizeof(a);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (void *)&a, &len);
		if (n >= 0)
			sendto(fd, buffer, (size_t)n, 0, (void *)&a, len);
	}
}

static int be_peer(const char *address)
{
	setpgid(0, 0);
	signal(SIGPIPE, SIG_IGN);
	for (int port = ECHO; port < UDP_ECHO; port++)
		if (fork() == 0)
			peer_port(address, port);
	peer_udp(address);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "peer") == 0)
		return be_peer(argv[2]);
	if (argc == 5 && strcmp(argv[1], "pass") == 0) {
		int fd = atoi(argv[2]);
		own = argv[3], peer = argv[4];
		name("peer", fd, getpeername);
		T(write(fd, "x", 1));
		T(read(fd, buffer, 1));
		return 0;
	}
	if (argc < 4 || strcmp(argv[1], "test") != 0)
		return 2;
	own = argv[2], peer = argv[3];
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		for (size_t j = 0; j < groups[i].count; j++)
			if (argc == 4 || strcmp(argv[4], groups[i].cases[j].name) == 0)
				run_case(&groups[i].cases[j]);
	return 0;
}
