/* Processes and threads. */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char *resident;
static unsigned long resident_size;

static void run_fork_exit(unsigned long n)
{
	while (n--) {
		int pid = fork();

		if (pid == 0)
			_exit(0);
		CHECK(pid > 0);
		bench_reap(pid);
	}
}

static void run_vfork_exit(unsigned long n)
{
	while (n--) {
		int pid = vfork();

		if (pid == 0)
			_exit(0);
		CHECK(pid > 0);
		bench_reap(pid);
	}
}

/* fork, then waitid, which takes the child away. */
static void run_waitid(unsigned long n)
{
	siginfo_t info;

	while (n--) {
		int pid = fork();

		if (pid == 0)
			_exit(7);
		CHECK(pid > 0);
		CHECK(waitid(P_PID, pid, &info, WEXITED) == 0);
		CHECK(info.si_status == 7);
	}
}

static void *thread_nothing(void *arg)
{
	return arg;
}

static void run_thread_create(unsigned long n)
{
	while (n--) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, thread_nothing, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
}

static void resident_make(unsigned long size)
{
	resident_size = size;
	resident = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(resident != MAP_FAILED);
	/* 4 KiB pages on every kernel: the row is about page tables. */
	madvise(resident, size, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < size; i += 4096)
		((volatile char *)resident)[i] = 1;
}

static void resident_1m(void) { resident_make(1ul << 20); }
static void resident_64m(void) { resident_make(64ul << 20); }
static void resident_1024m(void) { resident_make(1ul << 30); }
static void resident_end(void) { munmap(resident, resident_size); }

static void run_posix_spawn(unsigned long n)
{
	static char *const argv[] = { "/bin/true", NULL };
	static char *const envp[] = { NULL };

	while (n--) {
		pid_t pid;

		CHECK(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, envp) == 0);
		bench_reap(pid);
	}
}

static void run_exec_true(unsigned long n)
{
	while (n--)
		bench_spawn((char *[]){ "/bin/true", NULL });
}

static void run_shell_noop(unsigned long n)
{
	while (n--)
		bench_shell("true");
}

static void run_pipe_grep(unsigned long n)
{
	while (n--)
		bench_shell("grep apple /tmp/lines100 >/dev/null");
}

static void run_sed_pipeline(unsigned long n)
{
	while (n--)
		bench_shell("sed -e s/apple/pear/ -e s/tree/bush/ /tmp/lines200 >/dev/null");
}

static void run_sort_uniq(unsigned long n)
{
	while (n--)
		bench_shell("sort /tmp/lines200 | uniq >/dev/null");
}

static void run_tar_extract(unsigned long n)
{
	while (n--)
		bench_shell("tar xf /tmp/tree.tar -C /tmp/extract");
}

static void begin_lines(void)
{
	bench_file("/tmp/lines100", 2200, "apple tree %03lu line %lu\n");
	bench_file("/tmp/lines200", 4400, "apple tree %03lu line %lu\n");
}

static void begin_tar(void)
{
	bench_shell("mkdir -p /tmp/pack/d1 /tmp/pack/d2 /tmp/extract; cd /tmp/pack; "
		    "for i in 1 2 3 4 5 6 7 8 9 10; do echo text $i >d1/f$i; echo text $i >d2/g$i; "
		    "done; tar cf /tmp/tree.tar d1 d2");
}

const struct row rows_process[] = {
	{ "waitid", run_waitid, 30, 0, 0 },
	{ "thread_create", run_thread_create, 50, 0, 0 },
	{ "fork_exit", run_fork_exit, 30, 0, 0 },
	{ "vfork_exit", run_vfork_exit, 30, 0, 0 },
	{ "fork_rss_1M", run_fork_exit, 16, resident_1m, resident_end },
	{ "fork_rss_64M", run_fork_exit, 4, resident_64m, resident_end },
	{ "fork_rss_1024M", run_fork_exit, 2, resident_1024m, resident_end },
	{ "posix_spawn", run_posix_spawn, 16, 0, 0 },
	{ "exec_true", run_exec_true, 16, 0, 0 },
	{ "shell_noop", run_shell_noop, 16, 0, 0 },
	{ "pipe_grep", run_pipe_grep, 8, begin_lines, 0 },
	{ "sed_pipeline", run_sed_pipeline, 8, begin_lines, 0 },
	{ "sort_uniq", run_sort_uniq, 8, begin_lines, 0 },
	{ "tar_extract", run_tar_extract, 4, begin_tar, 0 },
	{ 0 },
};
