/*
 * SO_TIMESTAMPING of what is sent: when the last byte of a send was handed down (SCHED), went out
 * (SND) and was acknowledged (ACK). Reports wait in the order of the events.
 * The link is at hand, so the first two are one moment.
 */
#include "tests/packetdrill/calls.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <string.h>

#define SECOND 1000000u

int timestamping_set(struct file *f, const void *value, socklen_t len)
{
	int flags;

	if (len < sizeof(flags))
		return -EINVAL;
	memcpy(&flags, value, sizeof(flags));
	if ((flags & SOF_TIMESTAMPING_OPT_ID) && !(f->stamping & SOF_TIMESTAMPING_OPT_ID))
		f->stamp_base = f->queued;
	f->stamping = (unsigned)flags;
	return 0;
}

void timestamping_sent(struct file *f)
{
	if (f->stamping && f->stamps_count < STAMPS_MAX)
		f->stamps[f->stamps_count++] = f->queued;
}

static void report(struct world *w, struct file *f, unsigned asked, unsigned type, uint64_t end)
{
	if ((f->stamping & asked) && f->reports_count < REPORTS_MAX)
		f->reports[f->reports_count++] = (struct report){w->now, type, (uint32_t)(end - 1 - f->stamp_base)};
}

void timestamping_look(struct world *w, struct file *f)
{
	struct stack_tcb_info t;

	if (f->stamps_acked == f->stamps_count)
		return;
	stack_tcb_held(f->sock, w->now, &t);
	for (; f->stamps_out < f->stamps_count && f->stamps[f->stamps_out] <= t.bytes_sent; f->stamps_out++) {
		report(w, f, SOF_TIMESTAMPING_TX_SCHED, SCM_TSTAMP_SCHED, f->stamps[f->stamps_out]);
		report(w, f, SOF_TIMESTAMPING_TX_SOFTWARE, SCM_TSTAMP_SND, f->stamps[f->stamps_out]);
	}
	for (; f->stamps_acked < f->stamps_out && f->stamps[f->stamps_acked] <= t.bytes_acked; f->stamps_acked++)
		report(w, f, SOF_TIMESTAMPING_TX_ACK, SCM_TSTAMP_ACK, f->stamps[f->stamps_acked]);
}

ptrdiff_t timestamping_receive(struct file *f, struct msghdr *msg)
{
	const struct report *r = &f->reports[f->reports_told];
	struct { struct sock_extended_err error; struct sockaddr_in offender; } report;
	struct scm_timestamping times = {0};
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (f->reports_told == f->reports_count)
		return -EAGAIN;
	f->reports_told++;
	msg->msg_flags = MSG_ERRQUEUE | MSG_TRUNC; /* of what was sent nothing comes along */
	if (msg->msg_controllen < CMSG_SPACE(sizeof(times)) + CMSG_SPACE(sizeof(report))) {
		msg->msg_controllen = 0;
		msg->msg_flags |= MSG_CTRUNC;
		return 0;
	}
	times.ts[0] = (struct timespec){(time_t)(r->at / SECOND), (long)(r->at % SECOND) * 1000};
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(times)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_TIMESTAMPING};
	memcpy(CMSG_DATA(c), &times, sizeof(times));
	c = (void *)((char *)c + CMSG_SPACE(sizeof(times)));
	memset(&report, 0, sizeof(report));
	report.error = (struct sock_extended_err){.ee_errno = ENOMSG, .ee_origin = SO_EE_ORIGIN_TIMESTAMPING,
						  .ee_info = r->type, .ee_data = r->key};
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(report)), .cmsg_level = SOL_IP, .cmsg_type = IP_RECVERR};
	memcpy(CMSG_DATA(c), &report, sizeof(report));
	msg->msg_controllen = CMSG_SPACE(sizeof(times)) + CMSG_SPACE(sizeof(report));
	return 0;
}
