/*
 * Rules of routing as rtnetlink tells them: the stack has one table, and looks first whether a
 * destination is itself; that is what the kernel's first and second rule say. They cannot be
 * changed.
 */
#include "daemon/rtnl.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define MAIN_PRIORITY 32766 /* as the kernel's */

static void put_rule(struct reply *r, uint8_t table, uint32_t priority)
{
	struct fib_rule_hdr *m = reply_message(r, RTM_NEWRULE, sizeof(*m));

	m->family = AF_INET;
	m->table = table;
	m->action = FR_ACT_TO_TBL;
	reply_u32(r, FRA_TABLE, table);
	if (priority)
		reply_u32(r, FRA_PRIORITY, priority);
}

bool rtnl_rule_step(struct client *c, struct reply *r)
{
	(void)c;
	put_rule(r, RT_TABLE_LOCAL, 0);
	put_rule(r, RT_TABLE_MAIN, MAIN_PRIORITY);
	return false;
}
