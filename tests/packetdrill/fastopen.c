/* TCP Fast Open as the host offers it to a client: MSG_FASTOPEN, and connect with TCP_FASTOPEN_CONNECT. */
#include "tests/packetdrill/calls.h"

#include <linux/tcp.h>
#include <netinet/in.h>

bool fastopen_connect_waits(struct world *w, struct file *f, const struct stack_endpoint *remote)
{
	if (!option_number(w, f, IPPROTO_TCP, TCP_FASTOPEN_CONNECT) || !stack_fastopen_known(f->sock, remote))
		return false;
	f->deferred = true;
	f->remote = *remote;
	return true;
}

ptrdiff_t fastopen_connect(struct world *w, struct file *f, const struct stack_endpoint *remote,
			   const void *data, size_t len)
{
	ptrdiff_t taken = stack_connect_data(&f->sock, w->now, remote, data, len);

	if (taken < 0)
		return taken;
	stack_set_user(f->sock, f);
	f->deferred = false;
	f->connecting = true;
	return taken;
}
