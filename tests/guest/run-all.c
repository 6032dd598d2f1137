/*
 * The guest's side of tests/guest/run: execute each test program in turn.
 *
 * usage: run-all [-r N] [-p N] [NAME | NAME:CASE]...
 * Without names, every program in /tests/list (one name per line), N times over.
 * -p: all limits are N times longer, here and in the programs (TAP_PATIENCE).
 * The programs write KTAP to the standard output they inherit; this one adds
 *	# begin NAME
 *	# end NAME exit|signal|limit N
 * around it.  Exit status 1 when a program failed.  No pipes and no threads
 * here: it must work on a kernel that can do little more than run it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_LIMIT	600
#define NAMES_MAX	512

static volatile sig_atomic_t limit_hit;
static int patience = 1;

static void limit_expired(int sig)
{
	(void)sig;
	limit_hit = 1;
}

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	char buf[256];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n > 0 && write(1, buf, n) != n)
		_exit(3);
}

static void program_exec(const char *name)
{
	char path[256], limits[32], *argv[3], *colon;
	char *envp[] = { "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "TERM=dumb", limits, NULL };

	snprintf(limits, sizeof(limits), "TAP_PATIENCE=%d", patience);
	snprintf(path, sizeof(path), "/tests/bin/%s", name);
	colon = strchr(path, ':');
	if (colon)
		*colon = 0;
	argv[0] = path;
	argv[1] = colon ? colon + 1 : NULL;
	argv[2] = NULL;
	signal(SIGALRM, SIG_DFL);
	execve(path, argv, envp);
	say("# cannot execute %s: %s\n", path, strerror(errno));
	_exit(127);
}

/* 0 if the program ended well. */
static int program_run(const char *name)
{
	const char *how = "exit";
	int st = 0;

	say("# begin %s\n", name);
	pid_t kid = fork();
	if (kid == 0)
		program_exec(name);
	if (kid < 0) {
		say("# end %s exit 126\n", name);
		return 1;
	}
	limit_hit = 0;
	alarm(PROGRAM_LIMIT * patience);
	while (waitpid(kid, &st, 0) < 0) {
		if (errno == EINTR && !limit_hit)
			continue;
		kill(kid, SIGKILL);
		waitpid(kid, &st, 0);
		how = "limit";
		break;
	}
	alarm(0);
	if (how[0] == 'e' && WIFSIGNALED(st))
		how = "signal";
	say("# end %s %s %d\n", name, how, WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
	return st != 0;
}

static int list_read(char *buf, size_t size, char **names)
{
	int fd = open("/tests/list", O_RDONLY), n = 0;
	ssize_t have = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (have < 0) {
		say("# cannot read /tests/list: %s\n", strerror(errno));
		exit(2);
	}
	close(fd);
	buf[have] = 0;
	for (char *s = strtok(buf, "\n"); s && n < NAMES_MAX; s = strtok(NULL, "\n"))
		names[n++] = s;
	return n;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = limit_expired };
	static char list[16384], *names[NAMES_MAX];
	int n, repeat = 1, bad = 0, opt;

	while ((opt = getopt(argc, argv, "r:p:")) != -1)
		*(opt == 'p' ? &patience : &repeat) = atoi(optarg);
	sigaction(SIGALRM, &sa, NULL);
	n = optind < argc ? argc - optind : list_read(list, sizeof(list), names);
	for (int r = 0; r < repeat; r++)
		for (int i = 0; i < n; i++)
			bad |= program_run(optind < argc ? argv[optind + i] : names[i]);
	return bad;
}
