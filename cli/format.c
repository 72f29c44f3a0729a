/* Numbers, times and addresses as people read them, and strings as JSON has them. */
#include "cli/cli.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_any(const struct byway_address *a)
{
	static const uint8_t zero[16];

	return memcmp(a->addr, zero, sizeof(zero)) == 0 ||
	       (memcmp(a->addr, mapped, sizeof(mapped)) == 0 && memcmp(a->addr + 12, zero, 4) == 0);
}

const char *format_address(char *out, const struct byway_address *a)
{
	char host[INET6_ADDRSTRLEN + 2] = "*", number[INET6_ADDRSTRLEN], port[8] = "*";

	if (!is_any(a) && memcmp(a->addr, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, a->addr + 12, host, sizeof(host));
	else if (!is_any(a))
		snprintf(host, sizeof(host), "[%s]", inet_ntop(AF_INET6, a->addr, number, sizeof(number)));
	if (a->port)
		snprintf(port, sizeof(port), "%u", a->port);
	snprintf(out, FORMAT_ADDRESS, "%s:%s", host, port);
	return out;
}

const char *format_count(char *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *at = out;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = 0;
	return out;
}

const char *format_bytes(char *out, uint64_t n)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	char count[FORMAT_NUMBER];
	double value = (double)n / 1024;
	unsigned unit = 0;

	format_count(count, n);
	if (n < 1024 * 1024) {
		snprintf(out, FORMAT_TEXT, "%s byte%s", count, n == 1 ? "" : "s");
		return out;
	}
	for (; value >= 1023.95 && unit < 5; unit++)
		value /= 1024;
	snprintf(out, FORMAT_TEXT, "%s bytes (%.1f %s)", count, value, units[unit]);
	return out;
}

/* Three digits that count: "1.23", "12.3", "123". */
static void three_digits(char *out, double value, const char *unit)
{
	snprintf(out, FORMAT_TEXT, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
}

const char *format_usec(char *out, uint64_t usec)
{
	uint64_t s = usec / 1000000;

	if (usec < 1000)
		snprintf(out, FORMAT_TEXT, "%llu us", (unsigned long long)usec);
	else if (usec < 999500)
		three_digits(out, (double)usec / 1e3, "ms");
	else if (usec < 60 * UINT64_C(1000000))
		three_digits(out, (double)usec / 1e6, "s");
	else if (s < 3600)
		snprintf(out, FORMAT_TEXT, "%llu min %llu s", (unsigned long long)s / 60, (unsigned long long)s % 60);
	else if (s < 86400)
		snprintf(out, FORMAT_TEXT, "%llu h %llu min", (unsigned long long)s / 3600,
			 (unsigned long long)s % 3600 / 60);
	else
		snprintf(out, FORMAT_TEXT, "%llu d %llu h", (unsigned long long)s / 86400,
			 (unsigned long long)s % 86400 / 3600);
	return out;
}

const char *format_seq(char *out, uint32_t seq, const uint32_t *base, const char *name)
{
	char distance[FORMAT_NUMBER];

	if (!base) {
		snprintf(out, FORMAT_TEXT, "%u", seq);
		return out;
	}
	uint32_t ahead = seq - *base;
	bool behind = ahead > INT32_MAX;
	format_count(distance, behind ? 0 - ahead : ahead);
	snprintf(out, FORMAT_TEXT, "%u (%s%c%s)", seq, name, behind ? '-' : '+', distance);
	return out;
}

const char *format_state(unsigned state, bool udp)
{
	static const char *const names[] = {
		NULL, "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
		"CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING",
	};

	if (state == 0 || state >= sizeof(names) / sizeof(names[0]))
		return "UNKNOWN";
	return udp && state == 7 ? "UNCONN" : names[state];
}

void format_json_string(FILE *out, const char *text, size_t len)
{
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}
