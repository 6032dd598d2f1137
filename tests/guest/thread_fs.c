/* Several CPUs in the file system and in one descriptor table: races that must end well. */
#include "tap.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#define N	4

static volatile int stop;

static void run(void *(*fn)(void *))
{
	pthread_t t[N];
	void *r;

	for (long i = 0; i < N; i++)
		tap_need(pthread_create(&t[i], NULL, fn, (void *)i) == 0);
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], &r);
		tap_eq((long)r, 0);
	}
}

static void *create_and_unlink_own(void *arg)
{
	char name[32];
	long bad = 0;

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%ld.%d", (long)arg, i);
		int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);

		bad |= fd < 0;
		bad |= write(fd, name, 5) != 5;
		bad |= close(fd) != 0;
		bad |= unlink(name) != 0;
	}
	return (void *)bad;
}

static void parallel_creation_in_one_directory(void)
{
	run(create_and_unlink_own);
	DIR *d = opendir(".");
	int n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	tap_eq(n, 2);
}

static long winners;

static void *excl_race(void *arg)
{
	char name[32];

	(void)arg;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "once%d", i);
		int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);

		if (fd >= 0) {
			__atomic_fetch_add(&winners, 1, __ATOMIC_RELAXED);
			close(fd);
		} else if (errno != EEXIST) {
			return (void *)1;
		}
	}
	return NULL;
}

static void o_excl_has_one_winner(void)
{
	run(excl_race);
	tap_eq(winners, 200);
}

static void *rename_round(void *arg)
{
	static const char *const name[] = { "a", "b", "c", "d" };
	unsigned s = (long)arg * 77 + 1;

	for (int i = 0; i < 500; i++) {
		s = s * 1103515245 + 12345;
		const char *from = name[(s >> 8) & 3], *to = name[(s >> 12) & 3];

		if (rename(from, to) < 0 && errno != ENOENT)
			return (void *)1;
	}
	return NULL;
}

static void renames_keep_one_file_at_least(void)
{
	int left = 0;

	tap_spit("a", "the one");
	tap_spit("b", "another");
	run(rename_round);
	left = tap_exists("a") + tap_exists("b") + tap_exists("c") + tap_exists("d");
	tap_ok(left >= 1 && left <= 2);
}

static void *rename_dirs(void *arg)
{
	/* moving directories into each other must neither loop nor deadlock */
	for (int i = 0; i < 300; i++) {
		long r;

		switch (((long)arg + i) & 3) {
		case 0: r = rename("x", "y/x"); break;
		case 1: r = rename("y/x", "x"); break;
		case 2: r = rename("y", "x/y"); break;
		default: r = rename("x/y", "y"); break;
		}
		if (r < 0 && errno != ENOENT && errno != EINVAL && errno != ENOTEMPTY)
			return (void *)(long)errno;
	}
	return NULL;
}

static void directories_never_become_their_own_child(void)
{
	tap_must(mkdir("x", 0755));
	tap_must(mkdir("y", 0755));
	run(rename_dirs);
	int found = tap_exists("x") + tap_exists("y") + tap_exists("x/y") + tap_exists("y/x");
	tap_eq(found, 2);
}

static int shared_fd;

static void *append_lines(void *arg)
{
	char line[16];

	for (int i = 0; i < 300; i++) {
		int n = snprintf(line, sizeof(line), "%ld.%03d\n", (long)arg, i);

		if (write(shared_fd, line, n) != n)
			return (void *)1;
	}
	return NULL;
}

static void writes_through_one_descriptor_do_not_overlap(void)
{
	static char all[N * 300 * 6 + 8];
	int seen[N] = { 0 };

	shared_fd = tap_file("log", "");
	run(append_lines);
	tap_eq(tap_slurp("log", all, sizeof(all)), N * 300 * 6);
	for (int i = 0; i < N * 300; i++) {
		tap_need(all[i * 6 + 5] == '\n');
		int who = all[i * 6] - '0', no = atoi(all + i * 6 + 2);
		tap_need(who >= 0 && who < N && no == seen[who]);
		seen[who]++;
	}
}

static void *open_close_dup(void *arg)
{
	long bad = 0;

	(void)arg;
	for (int i = 0; i < 500; i++) {
		int fd = open("f", O_RDONLY), d = dup(fd);
		char c = 0;

		bad |= fd < 0 || d < 0;
		bad |= pread(d, &c, 1, 0) != 1 || c != 'q';
		close(fd);
		bad |= pread(d, &c, 1, 0) != 1 || c != 'q';
		close(d);
	}
	return (void *)bad;
}

static void one_table_many_users(void)
{
	tap_spit("f", "q");
	int before = tap_must(open("/dev/null", O_RDONLY));
	close(before);
	run(open_close_dup);
	tap_eq(open("/dev/null", O_RDONLY), before);	/* nothing leaked */
}

static void *close_under_readers(void *arg)
{
	char c;

	if ((long)arg == 0) {
		for (int i = 0; i < 400; i++) {
			int fd = open("f", O_RDONLY);

			dup2(fd, 100);
			close(fd);
			close(100);
		}
		stop = 1;
		return NULL;
	}
	while (!stop) {
		ssize_t n = pread(100, &c, 1, 0);

		if (!(n == 1 && c == 'q') && !(n == -1 && errno == EBADF))
			return (void *)1;
	}
	return NULL;
}

static void closing_under_a_reader(void)
{
	tap_spit("f", "q");
	run(close_under_readers);
}

static int pipes[2];
static long moved;

static void *pipe_users(void *arg)
{
	char buf[64];

	if ((long)arg & 1) {
		for (int i = 0; i < 2000; i++)
			if (write(pipes[1], "0123456789", 10) != 10)
				return (void *)1;
		if (__atomic_add_fetch(&moved, 1, __ATOMIC_SEQ_CST) == N / 2)
			close(pipes[1]);
		return NULL;
	}
	long got = 0;
	for (ssize_t n; (n = read(pipes[0], buf, 10)) > 0; got += n)
		;
	__atomic_fetch_add(&winners, got, __ATOMIC_SEQ_CST);
	return NULL;
}

static void a_pipe_with_many_ends(void)
{
	tap_must(pipe(pipes));
	run(pipe_users);
	tap_eq(winners, N / 2 * 2000 * 10);
}

static void *lookup_storm(void *arg)
{
	struct stat st;
	long bad = 0;

	if ((long)arg == 0) {
		for (int i = 0; i < 300; i++) {
			bad |= rename("d/e", "d/g") != 0;
			bad |= rename("d/g", "d/e") != 0;
		}
		stop = 1;
		return (void *)bad;
	}
	while (!stop) {
		if (stat("d/e/f", &st) < 0 && errno != ENOENT)
			bad = 1;
		if (stat("d/e/../e/f", &st) < 0 && errno != ENOENT)
			bad = 1;
		char buf[256];
		if (syscall(SYS_getcwd, buf, sizeof(buf)) < 0)
			bad = 1;
	}
	return (void *)bad;
}

static void lookups_while_names_change(void)
{
	tap_must(mkdir("d", 0755));
	tap_must(mkdir("d/e", 0755));
	tap_spit("d/e/f", "");
	run(lookup_storm);
}

static void *write_or_truncate(void *arg)
{
	static char block[8192];
	int fd = open("f", O_RDWR);

	for (int i = 0; i < 200; i++) {
		if ((long)arg == 0) {
			if (ftruncate(fd, (i % 5) * 3000) < 0)
				return (void *)1;
		} else if ((long)arg == 1) {
			if (pwrite(fd, block, sizeof(block), (i % 7) * 1000) != sizeof(block))
				return (void *)1;
		} else if (pread(fd, block, 0, 0) < 0) {
			return (void *)1;
		}
	}
	close(fd);
	return NULL;
}

static void writing_against_truncation(void)
{
	tap_spit("f", "");
	run(write_or_truncate);
	struct stat st;
	tap_must(stat("f", &st));
	tap_ok(st.st_size <= 6000 + 8192);
}

static void *socket_churn(void *arg)
{
	long bad = 0;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		int sv[2];
		char c = 0;

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
			return (void *)1;
		bad |= write(sv[0], "s", 1) != 1;
		bad |= read(sv[1], &c, 1) != 1 || c != 's';
		close(sv[0]);
		bad |= read(sv[1], &c, 1) != 0;
		close(sv[1]);
	}
	return (void *)bad;
}

/* Descriptor 100 is one file or closed; what was its file a moment ago becomes another one under another number. */
static ino_t mine;

static void *reopen_or_look(void *arg)
{
	struct stat st;
	long bad = 0;

	if ((long)arg == 0) {
		for (int i = 0; i < 20000 && !bad; i++) {
			int fd = open("mine", O_RDONLY);

			bad |= dup2(fd, 100) != 100 || close(fd) != 0 || close(100) != 0;
			fd = open("other", O_RDONLY);
			bad |= close(fd) != 0;
			bad |= i == 10000 && dup2(2, 1000) != 1000;	/* the table grows under the others */
		}
		stop = 1;
		return (void *)bad;
	}
	while (!stop && !bad)
		bad |= fstat(100, &st) ? errno != EBADF : st.st_ino != mine;
	return (void *)bad;
}

static void a_closed_descriptor_is_never_another_file(void)
{
	struct stat st;

	tap_spit("mine", "m");
	tap_spit("other", "o");
	tap_must(stat("mine", &st));
	mine = st.st_ino;
	run(reopen_or_look);
}

static void socket_pairs_in_parallel(void)
{
	run(socket_churn);
}

TAP_MAIN(
	CASE(parallel_creation_in_one_directory),
	CASE(o_excl_has_one_winner),
	CASE(renames_keep_one_file_at_least),
	CASE(directories_never_become_their_own_child),
	CASE(writes_through_one_descriptor_do_not_overlap),
	CASE(one_table_many_users),
	CASE(closing_under_a_reader),
	CASE(a_pipe_with_many_ends),
	CASE(lookups_while_names_change),
	CASE(writing_against_truncation),
	CASE(a_closed_descriptor_is_never_another_file),
	CASE(socket_pairs_in_parallel),
)
