/*
 * MSG_ZEROCOPY as the host answers it on a path that has to copy: each send is reported on the
 * error queue when its data is acknowledged, as copied. Reports of sends in a row are one.
 */
#include "tests/packetdrill/calls.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

void zerocopy_sent(struct file *f)
{
	if (f->zerocopy && f->sends_count - f->sends_told < SENDS_MAX)
		f->sends[f->sends_count++ % SENDS_MAX] = f->queued;
}

uint32_t zerocopy_done(struct world *w, struct file *f)
{
	struct stack_tcb_info t;
	uint32_t n = 0;

	if (f->sends_count == f->sends_told)
		return 0;
	if (f->dead || !stack_tcb(w->stack, w->now, stack_id(f->sock), &t))
		return f->sends_count - f->sends_told;
	while (f->sends_told + n < f->sends_count && f->sends[(f->sends_told + n) % SENDS_MAX] <= t.bytes_acked)
		n++;
	return n;
}

ptrdiff_t zerocopy_receive(struct world *w, struct file *f, struct msghdr *msg)
{
	uint32_t n = zerocopy_done(w, f);
	struct { struct sock_extended_err error; struct sockaddr_in offender; } report;
	struct cmsghdr *c = msg->msg_controllen >= CMSG_SPACE(sizeof(report)) ? CMSG_FIRSTHDR(msg) : NULL;

	if (n == 0)
		return -EAGAIN;
	memset(&report, 0, sizeof(report));
	report.error.ee_origin = SO_EE_ORIGIN_ZEROCOPY;
	report.error.ee_code = SO_EE_CODE_ZEROCOPY_COPIED;
	report.error.ee_info = f->sends_told;
	report.error.ee_data = f->sends_told + n - 1;
	f->sends_told += n;
	msg->msg_flags = MSG_ERRQUEUE;
	if (!c) {
		msg->msg_controllen = 0;
		msg->msg_flags |= MSG_CTRUNC;
		return 0;
	}
	c->cmsg_level = SOL_IP;
	c->cmsg_type = IP_RECVERR;
	c->cmsg_len = CMSG_LEN(sizeof(report));
	memcpy(CMSG_DATA(c), &report, sizeof(report));
	msg->msg_controllen = CMSG_SPACE(sizeof(report));
	return 0;
}
