/*
 * execve and execveat: arguments, environment, scripts, what survives, what is refused.
 * The program executes itself with the arguments "child" and a name of what to show.
 */
#include "tap.h"

#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;

static char self[512];

/* What a child prints: on its standard output, for the parent to compare. */
static int child_main(int argc, char **argv)
{
	const char *what = argv[2];
	struct sigaction sa;
	sigset_t set;

	if (strcmp(what, "args") == 0) {
		for (int i = 0; i < argc; i++)
			dprintf(1, "[%s]", argv[i]);
		for (int i = 0; environ[i]; i++)
			dprintf(1, "{%s}", environ[i]);
	} else if (strcmp(what, "count") == 0) {
		size_t bytes = 0;
		int n = 0;

		for (int i = 3; i < argc; i++)
			bytes += strlen(argv[i]);
		for (; environ[n]; n++)
			bytes += strlen(environ[n]);
		dprintf(1, "%d %d %zu", argc - 3, n, bytes);
	} else if (strcmp(what, "signals") == 0) {
		sigprocmask(SIG_BLOCK, NULL, &set);
		dprintf(1, "%d", sigismember(&set, SIGUSR1));
		sigpending(&set);
		dprintf(1, "%d", sigismember(&set, SIGUSR1));
		sigaction(SIGUSR2, NULL, &sa);
		dprintf(1, "%d", sa.sa_handler == SIG_DFL);
		sigaction(SIGHUP, NULL, &sa);
		dprintf(1, "%d", sa.sa_handler == SIG_IGN);
		stack_t ss;
		sigaltstack(NULL, &ss);
		dprintf(1, "%d", ss.ss_flags == SS_DISABLE);
	} else if (strcmp(what, "name") == 0) {
		char name[17] = "", path[128];

		prctl(PR_GET_NAME, name);
		ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = 0;
		dprintf(1, "%s %s", name, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	} else if (strcmp(what, "pid") == 0) {
		dprintf(1, "%d", getpid());
	}
	return 0;
}

/* Run with this; its output, as text. */
static const char *run(const char *path, char *const argv[], char *const envp[])
{
	static char out[70000];
	size_t have = 0;
	ssize_t n;
	int p[2];

	tap_must(pipe2(p, O_CLOEXEC));
	pid_t kid = tap_fork();
	if (kid == 0) {
		dup2(p[1], 1);
		execve(path, argv, envp);
		dprintf(p[1], "errno %d", errno);
		_exit(1);
	}
	close(p[1]);
	while ((n = read(p[0], out + have, sizeof(out) - 1 - have)) > 0)
		have += n;
	close(p[0]);
	out[have] = 0;
	tap_status(kid);
	return out;
}

#define RUN(...) run(self, (char *[]){ "prog", "child", __VA_ARGS__, NULL }, (char *[]){ NULL })

static void script(const char *name, const char *text, mode_t mode)
{
	tap_spit(name, text);
	tap_must(chmod(name, mode));
}

static void arguments_and_environment_arrive(void)
{
	tap_str(run(self, (char *[]){ "prog", "child", "args", "", "a b", "\xff", NULL },
		    (char *[]){ "A=1", "", "B", "A=2", NULL }),
		"[prog][child][args][][a b][\xff]{A=1}{}{B}{A=2}");
	tap_str(RUN("args"), "[prog][child][args]");
}

static void null_argv_and_envp(void)
{
	/* Linux since 5.18 makes argv[0] "" */
	pid_t kid = tap_fork();
	if (kid == 0) {
		syscall(SYS_execve, "/bin/true", NULL, NULL);
		_exit(99);
	}
	int st = tap_status(kid);
	tap_ok(WIFEXITED(st) && WEXITSTATUS(st) != 99);
}

static void scripts_run_their_interpreter(void)
{
	char text[700];

	snprintf(text, sizeof(text), "#!%s child\n", self);
	script("s", text, 0755);
	/* interpreter, its one argument, the script's path, then the caller's arguments */
	snprintf(text, sizeof(text), "[%s][child][args]", self);
	tap_must(symlink("s", "args"));
	tap_str(run("args", (char *[]){ "ignored", NULL }, (char *[]){ NULL }), text);
	snprintf(text, sizeof(text), "[%s][child][args][x][y]", self);
	tap_str(run("args", (char *[]){ "ignored", "x", "y", NULL }, (char *[]){ NULL }), text);
}

static void the_rest_of_the_line_is_one_argument(void)
{
	script("s", "#! /bin/sh -e  \necho \"$0\" \"$#\" \"$-\" >&1\n", 0755);
	const char *out = run("./s", (char *[]){ "s", "1", "2", NULL }, (char *[]){ NULL });
	tap_ok(strncmp(out, "./s 2 ", 6) == 0 && strchr(out + 6, 'e'));
	script("t", "#!/bin/echo a  b\tc \t\n", 0755);
	tap_str(run("./t", (char *[]){ "t", NULL }, (char *[]){ NULL }), "a  b\tc ./t\n");
}

static void scripts_nest_four_deep_and_no_deeper(void)
{
	char name[16], text[64];

	script("s0", "#!/bin/echo\n", 0755);
	for (int i = 1; i <= 6; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(text, sizeof(text), "#!./s%d\n", i - 1);
		script(name, text, 0755);
	}
	tap_ok(strstr(run("./s4", (char *[]){ "x", NULL }, (char *[]){ NULL }),
			"./s3 ./s4") != NULL);
	tap_str(run("./s6", (char *[]){ "x", NULL }, (char *[]){ NULL }), "errno 40");
}

static void script_errors(void)
{
	static char text[1000];
	char *argv[] = { "x", NULL };

	script("empty", "", 0755);
	script("nointerp", "#!\n", 0755);
	script("spaces", "#!   \n", 0755);
	script("absent", "#!/no/such/interpreter\n", 0755);
	script("dir", "#!/tmp\n", 0755);
	script("plain", "echo hello\n", 0755);
	tap_err(execve("./empty", argv, NULL), ENOEXEC);
	tap_err(execve("./nointerp", argv, NULL), ENOEXEC);
	tap_err(execve("./spaces", argv, NULL), ENOEXEC);
	tap_err(execve("./absent", argv, NULL), ENOENT);
	tap_err(execve("./dir", argv, NULL), EACCES);
	tap_err(execve("./plain", argv, NULL), ENOEXEC);
	memset(text, '/', 999);
	memcpy(text, "#!", 2);
	script("long", text, 0755);
	tap_err(execve("./long", argv, NULL), ENOEXEC);	/* the interpreter's name is cut */
}

static void path_errors(void)
{
	char *argv[] = { "x", NULL }, name[300];

	memset(name, 'n', 299);
	name[299] = 0;
	script("noexec", "#!/bin/sh\n", 0644);
	tap_must(mkdir("d", 0755));
	tap_must(mknod("fifo", S_IFIFO | 0777, 0));
	tap_err(execve("absent", argv, NULL), ENOENT);
	tap_err(execve("", argv, NULL), ENOENT);
	tap_err(execve("noexec", argv, NULL), EACCES);	/* root too needs one x bit */
	tap_err(execve("d", argv, NULL), EACCES);
	tap_err(execve("fifo", argv, NULL), EACCES);
	tap_err(execve("noexec/x", argv, NULL), ENOTDIR);
	tap_err(execve(name, argv, NULL), ENAMETOOLONG);
	tap_must(symlink("loop", "loop"));
	tap_err(execve("loop", argv, NULL), ELOOP);
	script("root", "#!/bin/sh\n", 0700);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(execve("root", argv, NULL), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void bad_pointers(void)
{
	char *argv[] = { "x", NULL };

	tap_efault_each(p, execve(p, argv, NULL));
	tap_efault_each(p, execve("/bin/true", p, NULL));
	tap_efault_each(p, execve("/bin/true", argv, p));
	tap_efault_each(p, execve("/bin/true", ((char *[]){ "x", p, NULL }), NULL));
	tap_efault_each(p, execve("/bin/true", argv, ((char *[]){ p, NULL })));
	char **edge = (char **)tap_page_edge(16);
	edge[0] = edge[1] = "x";			/* no NULL before the hole */
	tap_err(execve("/bin/true", edge, NULL), EFAULT);
	char *text = tap_page_edge(3);
	memcpy(text, "abc", 3);
	tap_err(execve("/bin/true", ((char *[]){ "x", text, NULL }), NULL), EFAULT);
}

static void many_and_long_arguments(void)
{
	enum { N = 4000 };
	static char *argv[N + 4], big[131072];
	char want[64];

	argv[0] = "prog";
	argv[1] = "child";
	argv[2] = "count";
	for (int i = 0; i < N; i++)
		argv[3 + i] = "0123456789";
	snprintf(want, sizeof(want), "%d 0 %d", N, N * 10);
	tap_str(run(self, argv, (char *[]){ NULL }), want);
	memset(big, 'b', sizeof(big));
	big[131071] = 0;
	argv[3] = big;
	argv[4] = NULL;
	tap_str(run(self, argv, (char *[]){ "E=5", NULL }), "1 1 131074");
}

static void too_much_is_e2big(void)
{
	static char *argv[4000], big[131073];

	memset(big, 'b', sizeof(big));
	big[131072] = 0;
	tap_err(execve("/bin/true", ((char *[]){ "x", big, NULL }), NULL), E2BIG);
	big[100000] = 0;
	for (int i = 0; i < 100; i++)
		argv[i] = big;				/* ten megabytes */
	tap_err(execve("/bin/true", argv, NULL), E2BIG);
	pid_t kid = tap_fork();
	if (kid == 0) {
		struct rlimit rl = { 1 << 20, 1 << 20 };

		tap_must(setrlimit(RLIMIT_STACK, &rl));
		argv[3] = NULL;
		tap_err(execve("/bin/true", argv, NULL), E2BIG);	/* over a quarter of it */
		tap_leave();
	}
	tap_join(kid);
}

static void signals_over_exec(void)
{
	sigset_t set;
	stack_t ss = { .ss_sp = tap_pages(4), .ss_size = 4 * PAGE };

	signal(SIGUSR2, tap_tick);
	signal(SIGHUP, SIG_IGN);
	tap_must(sigaltstack(&ss, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t kid = tap_fork();
	if (kid == 0) {
		/* pending is kept over exec (not over fork), hence raised in here */
		int p[2];
		char out[16] = "";

		tap_must(pipe(p));
		pid_t k2 = fork();
		if (k2 == 0) {
			raise(SIGUSR1);
			dup2(p[1], 1);
			execl(self, "prog", "child", "signals", NULL);
			_exit(1);
		}
		tap_join(k2);
		tap_eq(read(p[0], out, 15), 5);
		tap_str(out, "11111");
		tap_leave();
	}
	tap_join(kid);
}

static void the_name_is_the_last_component(void)
{
	char want[200];
	const char *base = strrchr(self, '/') + 1;

	snprintf(want, sizeof(want), "%.15s %s", base, base);
	tap_str(RUN("name"), want);
	script("a-very-long-script-name", "#!/bin/sh\nexec cat /proc/self/comm\n", 0755);
	tap_must(symlink(self, "0123456789abcdefgh"));
	tap_ok(strncmp(run("./0123456789abcdefgh", (char *[]){ "x", "child", "name", NULL },
			   (char *[]){ NULL }), "0123456789abcde ", 16) == 0);
}

static void the_process_number_stays(void)
{
	int p[2];
	char out[16] = "", want[16];

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		dup2(p[1], 1);
		execl(self, "prog", "child", "pid", NULL);
		_exit(1);
	}
	tap_join(kid);
	read(p[0], out, 15);
	snprintf(want, sizeof(want), "%d", kid);
	tap_str(out, want);
}

static void a_failed_exec_changes_nothing(void)
{
	char *argv[] = { "x", NULL };
	int fd = tap_must(open("/dev/null", O_RDONLY | O_CLOEXEC));

	signal(SIGUSR1, tap_tick);
	script("bad", "not a program", 0755);
	tap_err(execve("./bad", argv, NULL), ENOEXEC);
	tap_ok(fcntl(fd, F_GETFD) >= 0);
	raise(SIGUSR1);
	tap_eq(tap_ticks, 1);
}

static void execveat_forms(void)
{
	char *argv[] = { "prog", NULL }, *envp[] = { NULL };
	int fd = tap_must(open("/bin", O_RDONLY | O_DIRECTORY));
	int exe = tap_must(open("/bin/true", O_PATH));

	pid_t kid = tap_fork();
	if (kid == 0) {
		char *av[] = { "true", NULL };

		syscall(SYS_execveat, fd, "true", av, envp, 0);
		_exit(9);
	}
	tap_join(kid);
	kid = tap_fork();
	if (kid == 0) {
		char *av[] = { "true", NULL };

		syscall(SYS_execveat, exe, "", av, envp, AT_EMPTY_PATH);
		_exit(9);
	}
	tap_join(kid);
	tap_err(syscall(SYS_execveat, 777, "x", argv, envp, 0), EBADF);
	tap_err(syscall(SYS_execveat, exe, "", argv, envp, 0), ENOENT);
	tap_err(syscall(SYS_execveat, fd, "true", argv, envp, 0x8000), EINVAL);
	tap_must(symlink("/bin/true", "l"));
	tap_err(syscall(SYS_execveat, AT_FDCWD, "l", argv, envp, AT_SYMLINK_NOFOLLOW), ELOOP);
	script("s", "#!/bin/sh\nexit 0\n", 0755);
	int s = tap_must(open("s", O_RDONLY | O_CLOEXEC));
	tap_err(syscall(SYS_execveat, s, "", argv, envp, AT_EMPTY_PATH), ENOENT);
}

static void a_chain_of_execs(void)
{
	script("loop", "#!/bin/sh\nn=$1\n[ $n = 0 ] && exit 33\nexec ./loop $((n-1))\n", 0755);
	pid_t kid = tap_fork();
	if (kid == 0) {
		execl("./loop", "loop", "20", NULL);
		_exit(9);
	}
	tap_eq(WEXITSTATUS(tap_status(kid)), 33);
}

static const struct tap_case all[] = {
	CASE(arguments_and_environment_arrive),
	CASE(null_argv_and_envp),
	CASE(scripts_run_their_interpreter),
	CASE(the_rest_of_the_line_is_one_argument),
	CASE(scripts_nest_four_deep_and_no_deeper),
	CASE(script_errors),
	CASE(path_errors),
	CASE(bad_pointers),
	CASE(many_and_long_arguments),
	CASE(too_much_is_e2big),
	CASE(signals_over_exec),
	CASE(the_name_is_the_last_component),
	CASE(the_process_number_stays),
	CASE(a_failed_exec_changes_nothing),
	CASE(execveat_forms),
	CASE(a_chain_of_execs),
};

int main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "child") == 0)
		return child_main(argc, argv);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		snprintf(self, sizeof(self), "%s", argv[0]);
	return tap_main(argc, argv, all, ARRAY_LEN(all));
}
