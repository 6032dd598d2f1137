/*
 * Overload: fork bombs under a limit, memory hogs, deep trees, full file systems, too many
 * files.
 */
#include "tap.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>

static void a_fork_bomb_under_a_limit(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct rlimit rl = { 30, 30 };

		setrlimit(RLIMIT_NPROC, &rl);
		tap_become(31337, 31337);
		setpgid(0, 0);
		for (int i = 0; i < 12; i++)
			fork();				/* 4096 if nothing stopped it */
		for (;;)
			pause();
	}
	setpgid(kid, kid);
	usleep(200000);
	pid_t mine = tap_fork();			/* others are not affected */
	if (mine == 0)
		_exit(0);
	tap_join(mine);
	kill(-kid, SIGKILL);
	tap_killed(kid, SIGKILL);
	while (kill(-kid, 0) == 0)
		usleep(1000);
}

static void a_memory_hog_within_its_limit_gets_enomem(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct rlimit rl = { 24 << 20, 24 << 20 };
		int n = 0;

		setrlimit(RLIMIT_AS, &rl);
		for (;;) {
			char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (p == MAP_FAILED)
				break;
			memset(p, 1, 1 << 20);
			n++;
		}
		tap_eq(errno, ENOMEM);
		tap_ok(n >= 10 && n <= 24);
		tap_leave();
	}
	tap_join(kid);
}

static void the_hog_is_killed_when_memory_ends(void)
{
	struct sysinfo si;
	int fd;

	tap_must(sysinfo(&si));
	if (si.totalram * si.mem_unit > 1ul << 30)
		tap_skip("a machine with so much memory is not to be filled");
	pid_t innocent = tap_fork();
	while (innocent == 0)
		pause();
	pid_t kid = tap_fork();
	if (kid == 0) {
		fd = open("/proc/self/oom_score_adj", O_WRONLY);
		if (fd >= 0)
			write(fd, "1000", 4);
		for (;;) {
			char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (p == MAP_FAILED)
				_exit(1);		/* refused: also an answer */
			memset(p, 1, 1 << 20);
		}
	}
	int st = tap_status(kid);
	tap_ok((WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL) ||
			(WIFEXITED(st) && WEXITSTATUS(st) == 1));
	tap_eq(waitpid(innocent, NULL, WNOHANG), 0);	/* the small one was spared */
	kill(innocent, SIGKILL);
	tap_killed(innocent, SIGKILL);
	char *p = tap_pages(500);			/* and memory is back */
	memset(p, 1, 500 * PAGE);
}

static void ten_thousand_nested_directories(void)
{
	enum { DEPTH = 10000 };
	int made = 0, fd;

	/* a small machine's /tmp has too few inodes */
	tap_own_mount();
	while (made < DEPTH && mkdir("d", 0755) == 0 && chdir("d") == 0)
		made++;
	tap_eq(made, DEPTH);
	fd = tap_must(open("f", O_CREAT | O_RDWR, 0600));
	close(fd);
	tap_must(unlink("f"));
	int gone = 0;
	while (gone < made && chdir("..") == 0 && rmdir("d") == 0)
		gone++;
	tap_eq(gone, made);
}

static void a_full_tmpfs_recovers(void)
{
	static char block[65536];
	char name[32];
	int fd, files = 0;

	tap_must(mkdir("m", 0755));
	tap_must(mount("none", "m", "tmpfs", 0, "size=2m,nr_inodes=500"));
	for (int round = 0; round < 3; round++) {
		fd = tap_file("m/big", "");
		while (write(fd, block, sizeof(block)) > 0)
			;
		tap_eq(errno, ENOSPC);
		close(fd);
		tap_must(unlink("m/big"));
		for (files = 0; files < 1000; files++) {
			snprintf(name, sizeof(name), "m/f%d", files);
			if (mknod(name, S_IFREG | 0600, 0) < 0)
				break;
		}
		tap_eq(errno, ENOSPC);
		tap_ok(files > 400 && files < 500);
		while (files-- > 0) {
			snprintf(name, sizeof(name), "m/f%d", files);
			tap_must(unlink(name));
		}
	}
	struct statfs sf;
	tap_must(statfs("m", &sf));
	tap_eq(sf.f_bfree, sf.f_blocks);
	tap_must(umount("m"));
}

static void descriptors_to_the_last(void)
{
	struct rlimit rl = { 1024, 1024 };
	int n = 0;

	tap_must(setrlimit(RLIMIT_NOFILE, &rl));
	while (socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
		n++;
	tap_eq(errno, EMFILE);
	tap_ok(n > 1000);
	tap_must(syscall(SYS_close_range, 3, ~0u, 0));
	tap_must(socket(AF_UNIX, SOCK_STREAM, 0));
}

static void rapid_forks(void)
{
	for (int i = 0; i < 400; i++) {
		pid_t kid = fork();

		if (kid == 0)
			_exit(i & 63);
		tap_need(kid > 0);
		tap_need(WEXITSTATUS(tap_status(kid)) == (i & 63));
	}
}

static void a_storm_of_signals(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		for (int s = 1; s < 32; s++)
			if (s != SIGTERM)
				signal(s, tap_tick);
		for (;;)
			pause();
	}
	tap_await_state(kid, 'S');
	for (int i = 0; i < 3000; i++)
		tap_need(kill(kid, i % 2 ? SIGUSR1 : SIGUSR2) == 0);
	tap_must(kill(kid, SIGTERM));
	tap_killed(kid, SIGTERM);
}

static void execs_in_parallel(void)
{
	enum { KIDS = 4 };
	pid_t kid[KIDS];

	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			for (int i = 0; i < 25; i++) {
				pid_t p = vfork();

				if (p == 0) {
					execl("/bin/true", "true", NULL);
					_exit(99);
				}
				tap_need(tap_status(p) == 0);
			}
			tap_leave();
		}
	}
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
}

static void a_chain_of_symlinked_directories(void)
{
	char name[64];

	tap_must(mkdir("d0", 0755));
	for (int i = 1; i < 30; i++) {
		snprintf(name, sizeof(name), "d%d", i - 1);
		char link[64];
		snprintf(link, sizeof(link), "d%d", i);
		tap_must(symlink(name, link));
	}
	tap_spit("d29/f", "x");
	tap_ok(tap_exists("d0/f"));
}

TAP_MAIN(
	CASE(a_fork_bomb_under_a_limit),
	CASE(a_memory_hog_within_its_limit_gets_enomem),
	CASE_SLOW(the_hog_is_killed_when_memory_ends, 240),
	CASE_SLOW(ten_thousand_nested_directories, 120),
	CASE(a_full_tmpfs_recovers),
	CASE(descriptors_to_the_last),
	CASE_SLOW(rapid_forks, 120),
	CASE(a_storm_of_signals),
	CASE_SLOW(execs_in_parallel, 120),
	CASE(a_chain_of_symlinked_directories),
)
