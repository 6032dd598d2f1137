/*
 * KTAP, checks and the small helpers of tap.h.
 *
 * Output goes through write(2) alone: no buffer is shared with a forked child.
 */
#include "tap.h"

#include <dirent.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <time.h>

#define LIMIT_DEFAULT	40
#define STATUS_SKIP	77

static _Atomic int tap_failures;
static volatile sig_atomic_t limit_hit;
volatile sig_atomic_t tap_ticks;

static void out_str(const char *s, size_t n)
{
	while (n > 0) {
		ssize_t w = write(1, s, n);

		if (w < 0 && errno != EINTR)
			return;
		if (w > 0) {
			s += w;
			n -= w;
		}
	}
}

static void out_line(const char *prefix, const char *fmt, va_list ap)
{
	char buf[1024];
	int n = snprintf(buf, sizeof(buf), "%s", prefix);

	n += vsnprintf(buf + n, sizeof(buf) - n - 1, fmt, ap);
	if (n > (int)sizeof(buf) - 2)
		n = sizeof(buf) - 2;
	for (int i = 0; i < n; i++)
		if (buf[i] == '\n')
			buf[i] = ' ';
	buf[n++] = '\n';
	out_str(buf, n);
}

static void __attribute__((format(printf, 1, 2))) out(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	out_line("", fmt, ap);
	va_end(ap);
}

void tap_note(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	out_line("# ", fmt, ap);
	va_end(ap);
	errno = saved;
}

bool tap_check(bool good, const char *file, int line, const char *fmt, ...)
{
	char where[96];
	va_list ap;

	if (good)
		return true;
	tap_failures++;
	const char *base = strrchr(file, '/');
	snprintf(where, sizeof(where), "# %s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	out_line(where, fmt, ap);
	va_end(ap);
	return false;
}

bool tap_check_eq(long got, long want, const char *file, int line, const char *what)
{
	int err = errno;

	return tap_check(got == want, file, line,
			 "%s: expected %ld (%#lx), got %ld (%#lx), errno %d", what, want, want,
			 got, got, err);
}

bool tap_check_err(long got, int err, int want, const char *file, int line, const char *what)
{
	if (got == -1)
		return tap_check(err == want, file, line, "%s: expected errno %d %s, got %d %s",
				 what, want, strerror(want), err, strerror(err));
	return tap_check(false, file, line, "%s: expected errno %d %s, got result %ld", what, want,
			 strerror(want), got);
}

bool tap_check_str(const char *got, const char *want, const char *file, int line,
		   const char *what)
{
	return tap_check(got && strcmp(got, want) == 0, file, line,
			 "%s: expected \"%s\", got \"%s\"", what, want, got ? got : "(null)");
}

void tap_leave(void)
{
	_exit(tap_failures ? 1 : 0);
}

void tap_skip(const char *why)
{
	tap_note("SKIP %s", why);
	_exit(tap_failures ? 1 : STATUS_SKIP);
}

/* -- running cases -------------------------------------------------------- */

static void limit_expired(int sig)
{
	(void)sig;
	limit_hit = 1;
}

static void tree_remove(const char *path)
{
	char sub[512];
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode))
			tree_remove(sub);
		else
			unlink(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void scratch_remove(const char *dir)
{
	char own[128];

	snprintf(own, sizeof(own), "%s/own", dir);
	umount2(own, MNT_DETACH);
	tree_remove(dir);
}

void tap_own_mount(void)
{
	tap_must(mkdir("own", 0777));
	tap_must(mount("own", "own", "tmpfs", 0, "mode=0777,nr_inodes=20000"));
	tap_must(chdir("own"));
}

static void case_child(const struct tap_case *c, const char *dir)
{
	setpgid(0, 0);
	signal(SIGALRM, SIG_DFL);
	tap_failures = 0;
	if (dir[0] && chdir(dir) < 0)
		tap_note("no scratch directory %s: errno %d", dir, errno);
	c->fn();
	tap_leave();
}

/* How many times longer than usual things may take: a kernel that checks itself is slow (run-all -p). */
static unsigned patience(void)
{
	const char *n = getenv("TAP_PATIENCE");

	return n && atoi(n) > 1 ? (unsigned)atoi(n) : 1;
}

/* Runs one case; its wait status, or -1 when the time limit ended it. */
static int case_run(const struct tap_case *c, const char *dir)
{
	unsigned limit = (c->limit ? c->limit : LIMIT_DEFAULT) * patience();
	int st = 0;
	pid_t kid = fork();

	if (kid < 0) {
		tap_note("fork: errno %d", errno);
		return 1 << 8;
	}
	if (kid == 0)
		case_child(c, dir);
	setpgid(kid, kid);
	limit_hit = 0;
	alarm(limit);
	while (waitpid(kid, &st, 0) < 0) {
		if (errno == EINTR && !limit_hit)
			continue;
		tap_note("timed out after %u s", limit);
		kill(-kid, SIGKILL);
		kill(kid, SIGKILL);
		waitpid(kid, &st, 0);
		alarm(0);
		return -1;
	}
	alarm(0);
	kill(-kid, SIGKILL);				/* what the case left behind */
	return st;
}

/* The name as printed and as matched by filters. */
static const char *case_name(const struct tap_case *c)
{
	static char name[160];
	size_t i;

	for (i = 0; c->name[i] && i < sizeof(name) - 1; i++)
		name[i] = c->name[i] == '_' && !strchr(c->name, ' ') ? ' ' : c->name[i];
	name[i] = 0;
	return name;
}

static bool case_report(const struct tap_case *c, int no, int st)
{
	bool good = st >= 0 && WIFEXITED(st) && WEXITSTATUS(st) == 0;
	bool skip = st >= 0 && WIFEXITED(st) && WEXITSTATUS(st) == STATUS_SKIP;

	if (st >= 0 && WIFSIGNALED(st))
		tap_note("killed by signal %d %s", WTERMSIG(st), strsignal(WTERMSIG(st)));
	out("%sok %d %s%s", good || skip ? "" : "not ", no,
	    case_name(c), skip ? " # SKIP" : "");
	return good || skip;
}

static bool case_wanted(const struct tap_case *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(case_name(c), argv[i]))
			return true;
	return argc < 2;
}

int tap_main(int argc, char **argv, const struct tap_case *cases, int n)
{
	struct sigaction sa = { .sa_handler = limit_expired };
	const char *base = strrchr(argv[0], '/');
	int total = 0, no = 0, bad = 0;
	char dir[96];

	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (int i = 0; i < n; i++)
			out("%s", case_name(&cases[i]));
		return 0;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGALRM, &sa, NULL);
	umask(022);
	for (int i = 0; i < n; i++)
		total += case_wanted(&cases[i], argc, argv);
	out("KTAP version 1");
	out("1..%d", total);
	snprintf(dir, sizeof(dir), "/tmp/%s.%d", base ? base + 1 : argv[0], (int)getpid());
	for (int i = 0; i < n; i++) {
		if (!case_wanted(&cases[i], argc, argv))
			continue;
		bool made = mkdir(dir, 0777) == 0 && chmod(dir, 0777) == 0;
		int st = case_run(&cases[i], made ? dir : "");

		bad += !case_report(&cases[i], ++no, st);
		if (made)
			scratch_remove(dir);
	}
	return bad ? 1 : 0;
}

/* -- children ------------------------------------------------------------- */

pid_t tap_fork(void)
{
	pid_t kid = fork();

	if (kid == 0)
		tap_failures = 0;
	if (!tap_check(kid >= 0, "fork", 0, "errno %d", errno))
		tap_leave();
	return kid;
}

int tap_status(pid_t kid)
{
	int st = -1;

	while (waitpid(kid, &st, 0) < 0) {
		if (errno == EINTR)
			continue;
		tap_fail("waitpid(%d): errno %d", (int)kid, errno);
		return -1;
	}
	return st;
}

bool tap_join_at(pid_t kid, const char *file, int line)
{
	int st = tap_status(kid);

	return tap_check(st == 0, file, line, "child: expected exit status 0, got %s %d",
			 WIFSIGNALED(st) ? "signal" : "exit status",
			 WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
}

bool tap_killed_at(pid_t kid, int sig, const char *file, int line)
{
	int st = tap_status(kid);

	return tap_check(WIFSIGNALED(st) && WTERMSIG(st) == sig, file, line,
			 "child: expected death by signal %d, got wait status %#x", sig, st);
}

/* -- memory --------------------------------------------------------------- */

static void *pages_map(int n, int prot, int flags)
{
	void *p = mmap(NULL, n * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);

	tap_need(p != MAP_FAILED);
	return p;
}

void *tap_pages(int n)
{
	return pages_map(n, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

void *tap_shared(int n)
{
	return pages_map(n, PROT_READ | PROT_WRITE, MAP_SHARED);
}

char *tap_page_edge(int n)
{
	int pages = (n + PAGE - 1) / PAGE + (n == 0);
	char *p = pages_map(pages + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	tap_must(munmap(p + pages * PAGE, PAGE));
	return p + pages * PAGE - n;
}

void *tap_page_none(void)
{
	return pages_map(1, PROT_NONE, MAP_PRIVATE);
}

void *tap_page_ro(void)
{
	return pages_map(1, PROT_READ, MAP_PRIVATE);
}

void tap_bad_ptrs(void *ptr[TAP_BAD_PTRS])
{
	ptr[0] = (void *)8;				/* NULL itself often means "absent" */
	ptr[1] = BAD_KERNEL;
	ptr[2] = BAD_HOLE;
	ptr[3] = tap_page_none();
	ptr[4] = tap_page_edge(0);
}

/* -- time ----------------------------------------------------------------- */

void tap_tick(int sig)
{
	(void)sig;
	tap_ticks++;
}

void tap_ticker(void (*fn)(int), int flags)
{
	struct itimerval it = { { 0, 10000 }, { 0, 10000 } };
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	tap_must(sigaction(SIGALRM, &sa, NULL));
	tap_must(setitimer(ITIMER_REAL, &it, NULL));
}

void tap_ticker_stop(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

long tap_msec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void tap_await_state(pid_t pid, char state)
{
	char name[48], buf[512];
	int seen = 0;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	for (;;) {
		long n = tap_slurp(name, buf, sizeof(buf));
		char *p = n > 0 ? strrchr(buf, ')') : NULL;

		tap_need(p != NULL);
		seen = p[2] == state ? seen + 1 : 0;
		if (seen == 2)
			return;
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
}

/* -- files ---------------------------------------------------------------- */

int tap_file(const char *name, const char *text)
{
	int fd = tap_must(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
	size_t n = strlen(text);

	tap_need(write(fd, text, n) == (ssize_t)n);
	tap_need(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

long tap_slurp(const char *name, char *buf, size_t size)
{
	int fd = open(name, O_RDONLY);
	size_t have = 0;
	ssize_t n = -1;

	buf[0] = 0;
	if (fd < 0)
		return -1;
	while (have < size - 1 && (n = read(fd, buf + have, size - 1 - have)) > 0)
		have += n;
	close(fd);
	buf[have] = 0;
	return n < 0 && have == 0 ? -1 : (long)have;
}

void tap_spit(const char *name, const char *text)
{
	close(tap_file(name, text));
}

bool tap_exists(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

void tap_become(uid_t uid, gid_t gid)
{
	tap_must(setgroups(0, NULL));
	tap_must(setresgid(gid, gid, gid));
	tap_must(setresuid(uid, uid, uid));
}
