/*
 * byway run: runs a program with its IPv4 sockets on the stack.
 *
 * Three processes. This one stands for the program: signals that are sent to it go to the
 * program, and it ends as the program ended. The supervisor answers the trapped calls, and
 * stays until the last process with the filter is gone. It is the program's parent and the
 * reaper of its descendants, so that it may look into them where only ancestors may (Yama). The
 * program loads the filter and waits until the supervisor has the notification descriptor.
 */
#include "cli/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_CANNOT_RUN 126 /* as shells have it */
#define EXIT_NOT_FOUND 127

struct start {
	char **argv;
	sigset_t mask;   /* what the program shall have */
	int to_parent;   /* supervisor -> parent: the program's pid, then its wait status */
	int ready[2];    /* program -> supervisor: the notification descriptor's number, or -errno */
	int go[2];       /* supervisor -> program: exec */
};

/* ---- the program ---- */

static void run_program(struct start *s)
{
	char ack;

	close(s->ready[0]);
	close(s->go[1]);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int fd = filter_load(proc_wanted(s->argv[0]));
	if (write(s->ready[1], &fd, sizeof(fd)) != sizeof(fd) || fd < 0 || read(s->go[0], &ack, 1) != 1)
		_exit(EXIT_CANNOT_RUN);
	close(fd);
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
	execvp(s->argv[0], s->argv);
	int error = errno;
	cli_fail("run: %s: %s", s->argv[0], strerror(error));
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

/* ---- the supervisor ---- */

/* What the terminal sends to all its processes is not for the supervisor. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGALRM,
				      SIGUSR1, SIGUSR2};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* What was inherited and is not ours: all of ours are close-on-exec, and what was inherited is not. */
static void close_inherited(void)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *e;

	while (folder && (e = readdir(folder)) != NULL) {
		int fd = atoi(e->d_name);
		if (fd > 2 && fd != dirfd(folder) && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			close(fd);
	}
	if (folder)
		closedir(folder);
}

/* Holds nothing that somebody waits for the end of. */
static void let_go(bool verbose)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct rlimit files;

	close_inherited();
	for (int fd = 0; fd < (verbose ? 2 : 3); fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int fail_number(int error, const char *what)
{
	return cli_fail("run: %s: %s", what, strerror(error < 0 ? -error : error));
}

/* Takes the notification descriptor over and lets the program go. 0 or after saying what is wrong -1. */
static int take_over(struct run *run, struct start *s, pid_t child)
{
	int number;

	close(s->ready[1]);
	close(s->go[0]);
	if (read(s->ready[0], &number, sizeof(number)) != sizeof(number))
		number = -ECHILD;
	if (number < 0) {
		fail_number(number, "the system call filter cannot be loaded");
		return -1;
	}
	run->notify = tracee_descriptor(run, child, number);
	if (run->notify < 0) {
		fail_number(run->notify, "the filter's descriptor cannot be taken over");
		return -1;
	}
	fcntl(run->notify, F_SETFD, FD_CLOEXEC);
	return write(s->go[1], "g", 1) == 1 ? 0 : -1;
}

static void supervise(struct run *run, struct start *s)
{
	sigset_t child_ended;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigemptyset(&child_ended);
	sigaddset(&child_ended, SIGCHLD);
	pid_t child = fork();
	if (child == 0)
		run_program(s);
	ignore_signals();
	sigprocmask(SIG_SETMASK, &child_ended, NULL);
	int signals = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
	run->table = table_new();
	if (child < 0 || signals < 0 || !run->table || take_over(run, s, child) < 0)
		_exit(EXIT_CANNOT_RUN);
	close(s->ready[0]);
	close(s->go[1]);
	if (write(s->to_parent, &child, sizeof(child)) != sizeof(child))
		_exit(EXIT_CANNOT_RUN);
	let_go(run->verbose);
	notify_loop(run, signals, s->to_parent, child);
	_exit(0);
}

/* ---- the parent ---- */

/* Signals that somebody sends to us go to the program; what the kernel sends, it sends to both. */
static void pass_on(int signals, pid_t program)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		if (program > 0 && info.ssi_signo != SIGCHLD && info.ssi_code <= 0)
			kill(program, (int)info.ssi_signo);
}

/* Ends as the program did. */
static int end_as(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	struct rlimit none = {0};
	sigset_t all;
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

/* Reads the program's pid, then its status; -1: the supervisor ended without. */
static int await_end(int from, int signals, int *status)
{
	struct pollfd p[2] = {{.fd = from, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	pid_t program = 0;

	for (;;) {
		/* Signals wait until there is a program. */
		if (poll(p, program ? 2 : 1, -1) < 0 && errno != EINTR)
			return -1;
		if (program && p[1].revents)
			pass_on(signals, program);
		if (!p[0].revents)
			continue;
		if (read(from, program ? status : &program, sizeof(int)) != sizeof(int))
			return -1;
		if (program && *status != -1)
			return 0;
	}
}

static void forwarded(sigset_t *set)
{
	static const int passed[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGWINCH};

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		sigaddset(set, passed[i]);
}

static int start(struct run *run, char **argv)
{
	struct start s = {.argv = argv};
	int link[2], status = -1;
	sigset_t set;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0 || pipe2(s.ready, O_CLOEXEC) < 0 ||
	    pipe2(s.go, O_CLOEXEC) < 0)
		return fail_number(errno, "starting");
	forwarded(&set);
	sigprocmask(SIG_BLOCK, &set, &s.mask);
	s.to_parent = link[1];
	pid_t supervisor = fork();
	if (supervisor < 0)
		return fail_number(errno, "starting");
	if (supervisor == 0) {
		close(link[0]);
		supervise(run, &s);
	}
	byway_close(run->byway);
	close(link[1]);
	close(s.ready[0]), close(s.ready[1]), close(s.go[0]), close(s.go[1]);
	int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || await_end(link[0], signals, &status) < 0)
		return EXIT_CANNOT_RUN;
	return end_as(status);
}

static int run_with(struct run *run, const struct cli *cli, char **argv)
{
	run->path = cli->socket;
	run->byway = cli_open(cli);
	if (!run->byway)
		return CLI_FAILURE;
	talk_often(run->byway);
	names_start(run);
	return start(run, argv);
}

int run_start(const struct cli *cli, char **argv)
{
	struct run run = {.notify = -1, .epoll = -1, .filler = -1};

	return run_with(&run, cli, argv);
}

static int run(struct cli *cli, const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"verbose", no_argument, NULL, 'v'}, CLI_OPTIONS};
	struct run run = {.notify = -1, .epoll = -1, .filler = -1};
	int c;

	while ((c = cli_option(cli, self, argc, argv, "+vh", options)) != -1) {
		if (c == CLI_OPTION_END)
			return cli->status;
		run.verbose = true;
	}
	if (optind >= argc)
		return cli_usage(self, "a program is needed");
	return run_with(&run, cli, argv + optind);
}

const struct command command_run = {
	.name = "run",
	.arguments = "[--verbose] [--] PROGRAM [ARGUMENTS]",
	.summary = "Runs a program with its IPv4 sockets on the stack",
	.help = "The program and all that it starts use the stack in place of the host's TCP and UDP.\n"
		"Other sockets stay the host's. It ends with the program's exit status.\n\n"
		"  -v, --verbose         say once of each kind what the program asks for in vain\n",
	.run = run,
};
