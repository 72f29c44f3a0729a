/*
 * libbyway against a daemon that the test plays (the answer lies ready before the call), and
 * what the CLI parses and prints.
 */
#include "suite.h"

#include "cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the played daemon ---- */

struct played {
	struct byway *b;
	int fd; /* the daemon's end of the conversation */
};

static struct played played_open(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct played p;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/byway-test-%d.sock", (int)getpid());
	unlink(addr.sun_path);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (void *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	p.b = byway_open(addr.sun_path);
	ck_assert_ptr_nonnull(p.b);
	p.fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(p.fd, 0);
	close(listener);
	unlink(addr.sun_path);
	return p;
}

static void played_close(struct played *p)
{
	byway_close(p->b);
	if (p->fd >= 0)
		close(p->fd);
}

/* One packet; the descriptors go along and are closed here. */
static void played_send(const struct played *p, const void *data, size_t len, int *fds, unsigned count)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	char space[CMSG_SPACE(4 * sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count) {
		msg.msg_control = space;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(p->fd, &msg, MSG_NOSIGNAL), (ssize_t)len);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

static void played_answer(const struct played *p, uint32_t seq, uint64_t id, int *fds, unsigned count)
{
	struct byway_address local = {.addr = {[10] = 0xff, 0xff, 198, 18, 0, 2}, .port = 49152};
	_Alignas(8) char buffer[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);

	m->nlmsg_type = BYWAY_SOCKET;
	m->nlmsg_seq = seq;
	mnl_attr_put_u64(m, BYWAY_A_ID, id);
	mnl_attr_put(m, BYWAY_A_LOCAL, sizeof(local), &local);
	mnl_attr_put_u64(m, 0x3000, 1); /* from the future: skipped */
	played_send(p, m, m->nlmsg_len, fds, count);
}

static void played_error(const struct played *p, int error, const char *text)
{
	_Alignas(8) char buffer[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);

	m->nlmsg_type = NLMSG_ERROR;
	m->nlmsg_flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
	m->nlmsg_seq = 1;
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(m, sizeof(*e));
	e->error = error;
	if (text)
		mnl_attr_put_strz(m, NLMSGERR_ATTR_MSG, text);
	played_send(p, m, m->nlmsg_len, NULL, 0);
}

static const struct sockaddr_in peer = {.sin_family = AF_INET};

static int do_connect(struct played *p, unsigned flags)
{
	return byway_connect(p->b, (const void *)&peer, sizeof(peer), NULL, 0, flags);
}

/* A pipe whose reading end is given away: writing to *out tells whether that end is still open. */
static int gift(int *out)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	*out = fds[1];
	return fds[0];
}

static bool is_open_elsewhere(int writing_end)
{
	signal(SIGPIPE, SIG_IGN);
	bool open = write(writing_end, "x", 1) == 1;
	close(writing_end);
	return open;
}

/* ---- libbyway ---- */

START_TEST(a_descriptor_comes_with_the_answer)
{
	struct played p = played_open();
	struct sockaddr_in local;
	socklen_t len = sizeof(local);
	int writing, reading = gift(&writing);

	played_answer(&p, 1, 77, &reading, 1);
	int fd = do_connect(&p, BYWAY_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_uint_eq(byway_last_id(p.b), 77);
	ck_assert_int_eq(byway_last_local(p.b, (void *)&local, &len), 0);
	ck_assert_uint_eq(ntohs(local.sin_port), 49152);
	ck_assert_uint_eq(ntohl(local.sin_addr.s_addr), 0xc6120002);
	close(fd);
	ck_assert(!is_open_elsewhere(writing));
	played_close(&p);
}
END_TEST

START_TEST(an_error_keeps_its_errno_and_its_words)
{
	struct played p = played_open();

	played_error(&p, -EHOSTUNREACH, "the neighbour does not answer");
	ck_assert_int_eq(do_connect(&p, 0), -1);
	ck_assert_int_eq(errno, EHOSTUNREACH);
	ck_assert_str_eq(byway_error(p.b), "the neighbour does not answer");
	played_close(&p);
}
END_TEST

START_TEST(an_error_without_words_has_those_of_its_errno)
{
	struct played p = played_open();

	played_error(&p, -ECONNREFUSED, NULL);
	ck_assert_int_eq(do_connect(&p, 0), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	ck_assert_str_eq(byway_error(p.b), strerror(ECONNREFUSED));
	played_close(&p);
}
END_TEST

START_TEST(an_answer_to_an_older_request_is_passed_over)
{
	struct played p = played_open();
	int old, now, old_end = gift(&old), now_end = gift(&now);

	played_answer(&p, 4000, 1, &old_end, 1);
	played_answer(&p, 1, 2, &now_end, 1);
	int fd = do_connect(&p, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(byway_last_id(p.b), 2);
	ck_assert(!is_open_elsewhere(old));
	ck_assert(is_open_elsewhere(now));
	close(fd);
	played_close(&p);
}
END_TEST

START_TEST(more_descriptors_than_one_are_closed)
{
	struct played p = played_open();
	int first, second, fds[2];

	fds[0] = gift(&first);
	fds[1] = gift(&second);
	played_answer(&p, 1, 2, fds, 2);
	int fd = do_connect(&p, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert(is_open_elsewhere(first));
	ck_assert(!is_open_elsewhere(second));
	close(fd);
	played_close(&p);
}
END_TEST

START_TEST(a_missing_descriptor_is_an_error)
{
	struct played p = played_open();

	played_answer(&p, 1, 2, NULL, 0);
	ck_assert_int_eq(do_connect(&p, 0), -1);
	ck_assert_int_eq(errno, EMFILE);
	played_close(&p);
}
END_TEST

START_TEST(a_daemon_that_hangs_up_is_an_error)
{
	struct played p = played_open();

	close(p.fd);
	p.fd = -1;
	ck_assert_int_eq(do_connect(&p, 0), -1);
	ck_assert(errno == ECONNRESET || errno == EPIPE);
	played_close(&p);
}
END_TEST

/* The lengths that matter: 0, below the header, past the packet, and those that are negative when signed. */
START_TEST(a_malformed_answer_is_an_error)
{
	static const uint32_t lengths[] = {0, 15, 17, 4096, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct played p = played_open();
		struct nlmsghdr m = {.nlmsg_len = lengths[i], .nlmsg_type = BYWAY_SOCKET, .nlmsg_seq = 1};

		played_send(&p, &m, sizeof(m), NULL, 0);
		ck_assert_int_eq(do_connect(&p, 0), -1);
		ck_assert_int_eq(errno, EBADMSG);
		played_close(&p);
	}
}
END_TEST

START_TEST(addresses_are_ip4_or_mapped)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
	struct byway_address a;

	ck_assert(talk_address_from(&a, (void *)&in6, sizeof(in6))); /* any */
	ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
	ck_assert(talk_address_from(&a, (void *)&in6, sizeof(in6)));
	ck_assert_uint_eq(a.port, 80);
	ck_assert_uint_eq(a.addr[12], 192);
	ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr), 1);
	ck_assert(!talk_address_from(&a, (void *)&in6, sizeof(in6)));
	ck_assert(!talk_address_from(&a, (void *)&peer, sizeof(peer) - 1));
	ck_assert(!talk_address_from(&a, NULL, 0));
}
END_TEST

START_TEST(accept_takes_the_descriptor_and_the_peer)
{
	struct byway_accepted accepted = {.remote = {.addr = {[10] = 0xff, 0xff, 192, 0, 2, 9}, .port = 1234}};
	struct sockaddr_in remote;
	socklen_t len = sizeof(remote);
	int pair[2], writing, reading = gift(&writing);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	struct played p = {.fd = pair[0]};
	played_send(&p, &accepted, sizeof(accepted), &reading, 1);
	int fd = byway_accept(pair[1], (void *)&remote, &len, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	ck_assert_uint_eq(ntohs(remote.sin_port), 1234);
	ck_assert_uint_eq(ntohl(remote.sin_addr.s_addr), 0xc0000209);
	close(fd);
	close(writing);
	close(pair[0]);
	ck_assert_int_eq(byway_accept(pair[1], NULL, NULL, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	close(pair[1]);
}
END_TEST

START_TEST(datagrams_carry_their_peer)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0xc6120001)};
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char data[8];
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	ck_assert_int_eq(byway_sendto(pair[0], "abc", 3, 0, (void *)&to, sizeof(to)), 3);
	ck_assert_int_eq(byway_recvfrom(pair[1], data, sizeof(data), 0, (void *)&from, &len), 3);
	ck_assert_int_eq(memcmp(data, "abc", 3), 0);
	ck_assert_int_eq(memcmp(&to, &from, sizeof(to)), 0);
	ck_assert_int_eq(byway_sendto(pair[0], "abc", 3, 0, NULL, 0), -1);
	ck_assert_int_eq(errno, EDESTADDRREQ);
	ck_assert_int_eq(send(pair[0], "short", 5, 0), 5);
	ck_assert_int_eq(byway_recvfrom(pair[1], data, sizeof(data), 0, NULL, NULL), -1);
	ck_assert_int_eq(errno, EBADMSG);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* ---- what the CLI prints ---- */

START_TEST(numbers_are_grouped)
{
	char out[FORMAT_TEXT];

	ck_assert_str_eq(format_count(out, 0), "0");
	ck_assert_str_eq(format_count(out, 999), "999");
	ck_assert_str_eq(format_count(out, 1000), "1,000");
	ck_assert_str_eq(format_count(out, UINT64_MAX), "18,446,744,073,709,551,615");
	ck_assert_str_eq(format_bytes(out, 1), "1 byte");
	ck_assert_str_eq(format_bytes(out, 1460), "1,460 bytes");
	ck_assert_str_eq(format_bytes(out, 64 << 20), "67,108,864 bytes (64.0 MiB)");
	ck_assert_str_eq(format_bytes(out, UINT64_C(1) << 30), "1,073,741,824 bytes (1.0 GiB)");
}
END_TEST

START_TEST(times_have_the_unit_that_fits)
{
	static const struct {
		uint64_t usec;
		const char *text;
	} cases[] = {{0, "0 us"}, {999, "999 us"}, {1000, "1.00 ms"}, {12345, "12.3 ms"}, {200000, "200 ms"},
		     {999499, "999 ms"}, {999500, "1.00 s"}, {12300000, "12.3 s"}, {59990000, "60.0 s"},
		     {200000000, "3 min 20 s"}, {UINT64_C(7500000000), "2 h 5 min"},
		     {UINT64_C(273600000000), "3 d 4 h"}};
	char out[FORMAT_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(format_usec(out, cases[i].usec), cases[i].text);
}
END_TEST

START_TEST(sequence_numbers_are_relative_across_the_wrap)
{
	uint32_t base = 0xfffffff0;
	char out[FORMAT_TEXT];

	ck_assert_str_eq(format_seq(out, 100, NULL, NULL), "100");
	ck_assert_str_eq(format_seq(out, base, &base, "ISS"), "4294967280 (ISS+0)");
	ck_assert_str_eq(format_seq(out, base + 1461, &base, "ISS"), "1445 (ISS+1,461)");
	ck_assert_str_eq(format_seq(out, base - 1, &base, "IRS"), "4294967279 (IRS-1)");
}
END_TEST

START_TEST(addresses_are_printed_without_their_mapping)
{
	struct byway_address a = {0};
	char out[FORMAT_ADDRESS];

	ck_assert_str_eq(format_address(out, &a), "*:*");
	a.port = 7;
	ck_assert_str_eq(format_address(out, &a), "*:7");
	a.addr[10] = a.addr[11] = 0xff;
	ck_assert_str_eq(format_address(out, &a), "*:7");
	memcpy(a.addr + 12, (uint8_t[]){198, 18, 0, 2}, 4);
	ck_assert_str_eq(format_address(out, &a), "198.18.0.2:7");
	inet_pton(AF_INET6, "2001:db8::1", a.addr);
	ck_assert_str_eq(format_address(out, &a), "[2001:db8::1]:7");
}
END_TEST

START_TEST(json_strings_are_escaped)
{
	static const char text[] = "a\"b\\c\n\x01\x7f\xc3\xa9";
	char out[64] = {0};
	FILE *f = fmemopen(out, sizeof(out), "w");

	format_json_string(f, text, sizeof(text) - 1);
	fclose(f);
	ck_assert_str_eq(out, "\"a\\\"b\\\\c\\u000a\\u0001\\u007f\xc3\xa9\"");
}
END_TEST

START_TEST(states_have_the_names_of_the_rfc)
{
	ck_assert_str_eq(format_state(1, false), "ESTABLISHED");
	ck_assert_str_eq(format_state(7, false), "CLOSED");
	ck_assert_str_eq(format_state(7, true), "UNCONN");
	ck_assert_str_eq(format_state(11, false), "CLOSING");
	ck_assert_str_eq(format_state(0, false), "UNKNOWN");
	ck_assert_str_eq(format_state(12, false), "UNKNOWN");
}
END_TEST

/* ---- what the CLI parses ---- */

START_TEST(states_are_read_by_either_name)
{
	const char *bad = NULL;
	int len = 0;

	for (unsigned n = 1; n <= 11; n++)
		ck_assert_uint_eq(parse_states(format_state(n, false), &bad, &len), 1u << n);
	ck_assert_uint_eq(parse_states("listening,Estab,unconn", &bad, &len), 1u << 10 | 1u << 1 | 1u << 7);
	ck_assert_uint_eq(parse_states("all", &bad, &len), 0xffe);
	ck_assert_uint_eq(parse_states("listen,nonsense,estab", &bad, &len), 0);
	ck_assert_int_eq(len, 8);
	ck_assert_int_eq(strncmp(bad, "nonsense", 8), 0);
	ck_assert_uint_eq(parse_states("", &bad, &len), 0);
	ck_assert_uint_eq(parse_states("listen,", &bad, &len), 0);
}
END_TEST

START_TEST(ports_and_ids_are_whole_numbers)
{
	uint16_t port = 0;
	uint64_t id;

	ck_assert(parse_port("65535", &port) && port == 65535);
	ck_assert(parse_port("0", &port) && port == 0);
	static const char *const wrong[] = {"", "-1", "+1", " 1", "1 ", "65536", "7x", "0x7", "99999999999999999999"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert(!parse_port(wrong[i], &port));
	ck_assert(parse_id("18446744073709551615", &id) && id == UINT64_MAX);
	ck_assert(!parse_id("18446744073709551616", &id));
	ck_assert(!parse_id("0", &id));
}
END_TEST

START_TEST(addresses_and_prefixes_are_numeric)
{
	struct sockaddr_in e;
	struct prefix p;

	ck_assert(parse_endpoint("198.18.0.2:80", &e) && ntohs(e.sin_port) == 80);
	ck_assert(parse_endpoint("198.18.0.2", &e) && e.sin_port == 0);
	ck_assert(!parse_endpoint("198.18.0.2:", &e));
	ck_assert(!parse_endpoint("localhost:80", &e));
	ck_assert(!parse_endpoint("198.18.0.2.198.18.0.2.198.18.0.2", &e));
	ck_assert(parse_prefix("198.18.0.0/15", &p) && p.len == 15);
	ck_assert(parse_prefix("198.18.0.2", &p) && p.len == 32);
	ck_assert(!parse_prefix("198.18.0.0/33", &p));
	ck_assert(!parse_prefix("198.18.0.0/", &p));
}
END_TEST

START_TEST(prefixes_contain_what_they_should)
{
	struct byway_address a = {.addr = {[10] = 0xff, 0xff, 198, 19, 255, 255}};
	struct prefix p;

	ck_assert(parse_prefix("198.18.0.0/15", &p) && prefix_contains(&p, &a));
	ck_assert(parse_prefix("198.18.0.0/16", &p) && !prefix_contains(&p, &a));
	ck_assert(parse_prefix("0.0.0.0/0", &p) && prefix_contains(&p, &a));
	ck_assert(parse_prefix("198.19.255.255", &p) && prefix_contains(&p, &a));
	ck_assert(parse_prefix("198.19.255.254", &p) && !prefix_contains(&p, &a));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("protocol");

	suite_add(s, "a_descriptor_comes_with_the_answer", a_descriptor_comes_with_the_answer);
	suite_add(s, "an_error_keeps_its_errno_and_its_words", an_error_keeps_its_errno_and_its_words);
	suite_add(s, "an_error_without_words_has_those_of_its_errno", an_error_without_words_has_those_of_its_errno);
	suite_add(s, "an_answer_to_an_older_request_is_passed_over", an_answer_to_an_older_request_is_passed_over);
	suite_add(s, "more_descriptors_than_one_are_closed", more_descriptors_than_one_are_closed);
	suite_add(s, "a_missing_descriptor_is_an_error", a_missing_descriptor_is_an_error);
	suite_add(s, "a_daemon_that_hangs_up_is_an_error", a_daemon_that_hangs_up_is_an_error);
	suite_add(s, "a_malformed_answer_is_an_error", a_malformed_answer_is_an_error);
	suite_add(s, "addresses_are_ip4_or_mapped", addresses_are_ip4_or_mapped);
	suite_add(s, "accept_takes_the_descriptor_and_the_peer", accept_takes_the_descriptor_and_the_peer);
	suite_add(s, "datagrams_carry_their_peer", datagrams_carry_their_peer);
	suite_add(s, "numbers_are_grouped", numbers_are_grouped);
	suite_add(s, "times_have_the_unit_that_fits", times_have_the_unit_that_fits);
	suite_add(s, "sequence_numbers_are_relative_across_the_wrap", sequence_numbers_are_relative_across_the_wrap);
	suite_add(s, "addresses_are_printed_without_their_mapping", addresses_are_printed_without_their_mapping);
	suite_add(s, "json_strings_are_escaped", json_strings_are_escaped);
	suite_add(s, "states_have_the_names_of_the_rfc", states_have_the_names_of_the_rfc);
	suite_add(s, "states_are_read_by_either_name", states_are_read_by_either_name);
	suite_add(s, "ports_and_ids_are_whole_numbers", ports_and_ids_are_whole_numbers);
	suite_add(s, "addresses_and_prefixes_are_numeric", addresses_and_prefixes_are_numeric);
	suite_add(s, "prefixes_contain_what_they_should", prefixes_contain_what_they_should);
	return suite_run(s);
}
