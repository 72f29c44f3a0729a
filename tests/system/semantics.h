/* What the files of semantics share: the transcript, addresses and connections, and the lists of cases. */
#ifndef BYWAY_TESTS_SEMANTICS_H
#define BYWAY_TESTS_SEMANTICS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT 8 /* seconds of one case */
#define SETTLE 60000 /* microseconds until what was sent has arrived for sure */
#define BUFFER (1 << 20)

/* The peer's ports. */
enum { ECHO = 9001, HELLO, RESET, COUNT, HOLD, FLOOD, BACK, UDP_ECHO, CLOSED = 9999 };

extern const char *own, *peer;
extern char buffer[BUFFER];

/* One step: the call as written, what it returned, and why not. */
long show(const char *text, long result);
#define T(call) show(#call, (long)(call))
/* The same where only success counts: descriptors. */
long show_ok(const char *text, long result);
#define OK(call) show_ok(#call, (long)(call))
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

void settle(void);
void ready(const char *what, int fd);
int await(int fd, short events);
void last_error(int fd);
void get_int(const char *what, int fd, int level, int name);
int set_int(int fd, int level, int name, int value);
void one_option(const char *what, int fd, int level, int option, int value);
#define OPTION(fd, level, option, value) one_option(#option, fd, level, option, value)

struct sockaddr_in at(const char *host, int port);
void name(const char *what, int fd, int (*get)(int, struct sockaddr *, socklen_t *));
void from_text(const struct sockaddr_in *a, socklen_t len);
int bound(int type, int port);
int listener(int port, int backlog);
int port_of(int fd);
int connect_to(const char *host, int port);
int call_back(int port, char action);
int accepted(char action);
void both(int fd[2]);
void nonblock(int fd);
void alarm_in(int usec, int flags);
int epoll_once(int e, int ms);
int pass_descriptor(int over, int fd);
int take_descriptor(int over);

struct semantics_case {
	const char *name;
	void (*run)(void);
};
#define SEMANTICS_ROW(id) {#id, case_##id},
#define SEMANTICS_ONE(id) +1

#define STREAM(X) \
	X(peek_again) X(peek_empty) X(peek_all) X(waitall_ended) X(waitall_timeout) X(waitall_interrupted) \
	X(waitall_dontwait) X(nothing) X(more) X(cork) X(vectors_many) X(message_bad) X(plural_empty) \
	X(sendfile_offset) X(splice_through) X(splice_empty) X(not_a_file) X(stdio) X(descriptor_flags) \
	X(signal_driven) X(select_read) X(ppoll_signal) X(pselect_mask) X(poll_closed) X(poll_ended) \
	X(poll_listener) X(epoll_modify) X(epoll_closed) X(epoll_exclusive) X(epoll_edge_end) \
	X(epoll_edge_rest) X(epoll_nested) X(accept_nonblock_not_inherited) X(accept_flags_bad) \
	X(accept_bad_address) X(backlog_zero) X(listener_options) X(names_after_reset) X(names_after_end) \
	X(shutdown_again) X(shutdown_flushes) X(close_other_thread_end) X(both_close) X(linger_waits) \
	X(reset_unread_both) X(connect_any) X(loopback) X(reuseport) X(reuse_while_listening) \
	X(bind_any_and_one) X(ports_differ) X(same_port_two_peers) X(options_more) X(options_listener) \
	X(options_ip_more) X(options_time) X(options_fresh) X(user_timeout_kept) X(fastopen_send) \
	X(fastopen_nonblock) X(fastopen_connect)
#define DATAGRAM(X) \
	X(udp_zero) X(udp_flags) X(udp_pieces) X(udp_more) X(udp_more_unconnected) X(udp_more_errors) X(udp_peek_truncated) X(udp_short_reads) X(udp_address_overrides) \
	X(udp_other_peer) X(udp_connect_errors) X(udp_bound_then_connected) X(udp_shared_port) \
	X(udp_broadcast) X(udp_to_itself) X(udp_forked) X(udp_closed_port_freed) X(udp_select) X(udp_nonblock) \
	X(udp_plural_error) X(udp_plural_limit) X(udp_options) X(udp_control) X(udp_control_room) \
	X(udp_control_connected) X(udp_timestamp) X(udp_send_control) X(udp_refused_message) \
	X(udp_refused_send) X(udp_refused_asked) X(udp_refused_unconnected) X(udp_error_queue) \
	X(tcp_error_queue) X(ping_kinds) X(ping_echo) X(ping_bad) X(ping_bind) X(ping_connected) X(ping_ttl) \
	X(ping_unreachable) X(udp_segment_options) X(udp_segment) X(udp_segment_disconnect) X(udp_segment_refused) X(udp_segment_control) \
	X(udp_together)
#define PROCESS(X) \
	X(vfork) X(daemon) X(cloexec) X(child_closes) X(parent_gone) X(child_binds) X(duplicates) X(dup_over) \
	X(rights_udp) X(rights_in_flight) X(rights_dropped) X(local_sockets) X(threads_connect) \
	X(threads_one_reads) X(uring_read_write) X(uring_registered) X(uring_socket) X(uring_accept) \
	X(uring_connect) X(uring_own_thread) X(interface_errors) X(interface_names) X(interface_own)
enum { STREAM_CASES = STREAM(SEMANTICS_ONE), DATAGRAM_CASES = DATAGRAM(SEMANTICS_ONE), PROCESS_CASES = PROCESS(SEMANTICS_ONE) };
extern const struct semantics_case stream_cases[STREAM_CASES], datagram_cases[DATAGRAM_CASES], process_cases[PROCESS_CASES];

#endif
