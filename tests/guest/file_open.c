/* open, openat, creat, close: every flag, every documented error. */
#include "tap.h"

#include <sys/ioctl.h>

static void creat_truncates_and_writes_only(void)
{
	char c;

	tap_spit("f", "old contents");
	int fd = tap_must(creat("f", 0600));
	tap_eq(lseek(fd, 0, SEEK_END), 0);
	tap_eq(write(fd, "x", 1), 1);
	tap_err(read(fd, &c, 1), EBADF);
	struct stat st;
	tap_must(fstat(fd, &st));
	tap_eq(st.st_mode & 07777, 0644);		/* the mode is for new files only */
}

static void lowest_descriptor_is_used(void)
{
	int a = tap_file("a", ""), b = tap_file("b", ""), c = tap_file("c", "");

	tap_eq(b, a + 1);
	tap_eq(c, a + 2);
	close(a);
	close(b);
	tap_eq(open("a", O_RDONLY), a);
	tap_eq(open("a", O_RDONLY), b);
}

static void access_modes_are_enforced(void)
{
	char c = 'x';

	tap_spit("f", "1");
	int r = tap_must(open("f", O_RDONLY)), w = tap_must(open("f", O_WRONLY));
	tap_err(write(r, &c, 1), EBADF);
	tap_err(read(w, &c, 1), EBADF);
	tap_err(ftruncate(r, 0), EINVAL);
	tap_eq(read(r, &c, 1), 1);
	tap_eq(write(w, &c, 1), 1);
	/* 3 asks for both rights and gives neither */
	int n = tap_must(open("f", 3));
	tap_err(read(n, &c, 1), EBADF);
	tap_err(write(n, &c, 1), EBADF);
}

static void o_excl_refuses_what_exists(void)
{
	tap_spit("f", "1");
	tap_must(symlink("nowhere", "dangling"));
	tap_err(open("f", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	tap_err(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	tap_must(mkdir("d", 0755));
	tap_err(open("d", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	tap_ok(!tap_exists("nowhere"));
	tap_must(close(tap_must(open("dangling", O_CREAT | O_WRONLY, 0600))));
	tap_ok(tap_exists("nowhere"));			/* without O_EXCL the target is made */
}

static void o_trunc_empties(void)
{
	char buf[8];

	tap_spit("f", "12345");
	int fd = tap_must(open("f", O_RDWR | O_TRUNC));
	tap_eq(read(fd, buf, sizeof(buf)), 0);
}

static void o_append_writes_at_the_end(void)
{
	char buf[32];

	tap_spit("f", "abc");
	int fd = tap_must(open("f", O_RDWR | O_APPEND));
	tap_eq(lseek(fd, 0, SEEK_CUR), 0);
	tap_eq(write(fd, "d", 1), 1);
	tap_eq(lseek(fd, 0, SEEK_CUR), 4);
	tap_eq(lseek(fd, 0, SEEK_SET), 0);
	tap_eq(write(fd, "e", 1), 1);
	tap_eq(pwrite(fd, "f", 1, 0), 1);		/* Linux appends here too */
	tap_eq(lseek(fd, 0, SEEK_CUR), 5);
	tap_slurp("f", buf, sizeof(buf));
	tap_str(buf, "abcdef");
}

static void o_append_is_atomic_between_processes(void)
{
	enum { KIDS = 4, LINES = 100, LEN = 50 };
	static char all[KIDS * LINES * LEN + 8];
	pid_t kid[KIDS];
	int count[KIDS] = { 0 };

	tap_spit("log", "");
	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			char line[LEN];
			int fd = tap_must(open("log", O_WRONLY | O_APPEND));

			memset(line, 'a' + k, LEN);
			for (int i = 0; i < LINES; i++)
				tap_eq(write(fd, line, LEN), LEN);
			tap_leave();
		}
	}
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
	tap_eq(tap_slurp("log", all, sizeof(all)), KIDS * LINES * LEN);
	for (int i = 0; i < KIDS * LINES; i++) {
		for (int j = 1; j < LEN; j++)
			tap_need(all[i * LEN + j] == all[i * LEN]);
		count[all[i * LEN] - 'a']++;
	}
	for (int k = 0; k < KIDS; k++)
		tap_eq(count[k], LINES);
}

static void o_directory_wants_a_directory(void)
{
	tap_spit("f", "");
	tap_must(mkdir("d", 0755));
	tap_must(symlink("d", "l"));
	tap_err(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	tap_must(close(tap_must(open("d", O_RDONLY | O_DIRECTORY))));
	tap_must(close(tap_must(open("l", O_RDONLY | O_DIRECTORY))));
	tap_err(open("absent", O_RDONLY | O_DIRECTORY), ENOENT);
}

static void directories_open_for_reading_only(void)
{
	char c;

	tap_must(mkdir("d", 0755));
	tap_err(open("d", O_WRONLY), EISDIR);
	tap_err(open("d", O_RDWR), EISDIR);
	tap_err(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
	tap_err(open("d", O_RDONLY | O_TRUNC), EISDIR);
	int fd = tap_must(open("d", O_RDONLY));
	tap_err(read(fd, &c, 1), EISDIR);
	tap_err(write(fd, &c, 1), EBADF);
	tap_err(ftruncate(fd, 0), EINVAL);
}

static void o_nofollow_refuses_a_last_symlink(void)
{
	tap_spit("f", "");
	tap_must(mkdir("d", 0755));
	tap_spit("d/g", "");
	tap_must(symlink("f", "l"));
	tap_must(symlink("d", "ld"));
	tap_err(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	tap_err(open("ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	tap_must(close(tap_must(open("ld/g", O_RDONLY | O_NOFOLLOW))));
	tap_must(close(tap_must(open("f", O_RDONLY | O_NOFOLLOW))));
}

static void o_path_gives_a_name_and_no_data(void)
{
	struct stat st;
	char c, buf[64];

	tap_spit("f", "data");
	tap_must(symlink("f", "l"));
	tap_must(mkdir("d", 0755));
	tap_spit("d/g", "deep");
	int fd = tap_must(open("f", O_PATH));
	tap_err(read(fd, &c, 1), EBADF);
	tap_err(write(fd, &c, 1), EBADF);
	tap_err(lseek(fd, 0, SEEK_SET), EBADF);
	tap_err(syscall(SYS_fchmod, fd, 0600), EBADF);
	tap_err(ftruncate(fd, 0), EBADF);
	tap_err(ioctl(fd, FIONREAD, &st), EBADF);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 4);
	tap_eq(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	int l = tap_must(open("l", O_PATH | O_NOFOLLOW));
	tap_must(fstat(l, &st));
	tap_ok(S_ISLNK(st.st_mode));
	tap_eq(readlinkat(l, "", buf, sizeof(buf)), 1);
	int d = tap_must(open("d", O_PATH));
	int g = tap_must(openat(d, "g", O_RDONLY));
	tap_eq(read(g, buf, sizeof(buf)), 4);
	tap_must(fchdir(d));
	tap_ok(tap_exists("g"));
}

static void o_cloexec_sets_the_flag(void)
{
	int a = tap_must(open("f", O_CREAT | O_RDWR, 0600));
	int b = tap_must(open("f", O_RDWR | O_CLOEXEC));

	tap_eq(fcntl(a, F_GETFD), 0);
	tap_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	tap_eq(fcntl(b, F_GETFL) & O_CLOEXEC, 0);
}

static void getfl_reports_what_was_asked(void)
{
	int fd = tap_must(open("f", O_CREAT | O_RDWR | O_APPEND | O_NONBLOCK | O_TRUNC, 0600));

	tap_eq(fcntl(fd, F_GETFL), O_RDWR | O_APPEND | O_NONBLOCK | 0100000);
	int r = tap_must(open("f", O_RDONLY | O_NOATIME));
	tap_eq(fcntl(r, F_GETFL), O_RDONLY | O_NOATIME | 0100000);
}

static void mode_is_cut_by_umask(void)
{
	struct stat st;

	umask(027);
	close(tap_must(open("f", O_CREAT | O_WRONLY, 0777)));
	tap_must(stat("f", &st));
	tap_eq(st.st_mode & 07777, 0750);
	umask(0);
	close(tap_must(open("g", O_CREAT | O_WRONLY, 07777)));
	tap_must(stat("g", &st));
	tap_eq(st.st_mode & 07777, 07777);
}

static void a_new_file_without_rights_is_open_anyway(void)
{
	tap_must(chmod(".", 0777));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		int fd = tap_must(open("f", O_CREAT | O_RDWR, 0));
		tap_eq(write(fd, "x", 1), 1);
		tap_err(open("f", O_RDWR), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void path_errors(void)
{
	char longname[300], longpath[5000];

	memset(longname, 'n', sizeof(longname));
	longname[256] = 0;
	memset(longpath, '/', sizeof(longpath));
	longpath[4999] = 0;
	tap_spit("f", "");
	tap_must(symlink("loop", "loop"));
	tap_err(open("", O_RDONLY), ENOENT);
	tap_err(open("absent/x", O_RDONLY | O_CREAT, 0600), ENOENT);
	tap_err(open("f/x", O_RDONLY), ENOTDIR);
	tap_err(open("f/", O_RDONLY), ENOTDIR);
	tap_err(open("new/", O_CREAT | O_WRONLY, 0600), EISDIR);
	tap_err(open("loop", O_RDONLY), ELOOP);
	tap_err(open("loop/x", O_RDONLY), ELOOP);
	tap_err(open(longname, O_RDONLY | O_CREAT, 0600), ENAMETOOLONG);
	tap_err(open(longpath, O_RDONLY), ENAMETOOLONG);
	longname[255] = 0;
	tap_must(close(tap_must(open(longname, O_CREAT | O_RDWR, 0600))));
	tap_efault_each(p, open(p, O_RDONLY));
	tap_err(open(NULL, O_RDONLY), EFAULT);
}

static void name_at_the_end_of_a_page(void)
{
	char *p = tap_page_edge(2);

	tap_spit("f", "");
	memcpy(p, "f", 2);
	tap_must(close(tap_must(open(p, O_RDONLY))));
	memcpy(p, "ff", 2);				/* no NUL before the hole */
	tap_err(open(p, O_RDONLY), EFAULT);
}

static void openat_descriptor_errors(void)
{
	int f = tap_file("f", "");

	tap_err(openat(f, "x", O_RDONLY), ENOTDIR);
	tap_err(openat(999, "x", O_RDONLY), EBADF);
	tap_err(openat(-1, "x", O_RDONLY), EBADF);
	tap_must(close(tap_must(openat(999, "/", O_RDONLY))));
	tap_must(close(tap_must(openat(AT_FDCWD, "f", O_RDONLY))));
}

static void permission_is_checked(void)
{
	tap_spit("r", "");
	tap_spit("secret", "");
	tap_must(chmod("r", 0444));
	tap_must(chmod("secret", 0));
	tap_must(mkdir("shut", 0700));
	tap_spit("shut/f", "");
	tap_must(close(tap_must(open("secret", O_RDWR))));	/* root may */
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(open("secret", O_RDONLY), EACCES);
		tap_err(open("r", O_WRONLY), EACCES);
		tap_err(open("r", O_RDONLY | O_TRUNC), EACCES);
		tap_err(open("shut/f", O_RDONLY), EACCES);
		tap_err(open("shut/new", O_WRONLY | O_CREAT, 0600), EACCES);
		tap_err(open("r", O_RDONLY | O_NOATIME), EPERM);
		tap_must(close(tap_must(open("r", O_RDONLY))));
		tap_leave();
	}
	tap_join(kid);
}

static void running_programs_cannot_be_written(void)
{
	static char buf[1 << 16];
	int in = tap_must(open("/proc/self/exe", O_RDONLY));
	int outfd = tap_must(open("prog", O_CREAT | O_WRONLY, 0755));
	ssize_t n;
	int fd[2];

	while ((n = read(in, buf, sizeof(buf))) > 0)
		tap_eq(write(outfd, buf, n), n);
	pid_t writer = tap_fork();
	if (writer == 0) {
		execl("./prog", "prog", "-l", NULL);
		tap_eq(errno, ETXTBSY);			/* still open for writing here */
		tap_leave();
	}
	tap_join(writer);
	close(outfd);
	tap_must(pipe2(fd, O_CLOEXEC));
	tap_must(symlink("/bin/sleep", "s"));
	pid_t kid = tap_fork();
	if (kid == 0) {
		dup2(fd[0], 0);
		dup2(tap_must(open("/dev/null", O_WRONLY)), 1);
		execl("./prog", "prog", "-l", NULL);
		_exit(9);
	}
	tap_join(kid);
	tap_must(close(tap_must(open("prog", O_WRONLY))));	/* it has ended */
	tap_err(open("/proc/self/exe", O_WRONLY), ETXTBSY);
}

static void close_errors(void)
{
	tap_err(close(-1), EBADF);
	tap_err(close(12345), EBADF);
	int fd = tap_file("f", "");
	tap_eq(close(fd), 0);
	tap_err(close(fd), EBADF);
	tap_err(fcntl(fd, F_GETFD), EBADF);
}

static void descriptors_run_out_at_the_limit(void)
{
	int last = -1, fd;

	tap_spit("f", "");
	pid_t kid = tap_fork();
	if (kid == 0) {
		struct { unsigned long cur, max; } lim = { 20, 20 };

		tap_must(syscall(SYS_prlimit64, 0, 7 /* RLIMIT_NOFILE */, &lim, NULL));
		while ((fd = open("f", O_RDONLY)) >= 0)
			last = fd;
		tap_eq(errno, EMFILE);
		tap_eq(last, 19);
		int p[2];
		tap_err(pipe(p), EMFILE);
		tap_err(dup(0), EMFILE);
		tap_err(dup2(0, 20), EBADF);
		tap_err(fcntl(0, F_DUPFD, 20), EINVAL);
		tap_leave();
	}
	tap_join(kid);
}

static void many_descriptors(void)
{
	enum { N = 600 };
	struct { unsigned long cur, max; } lim = { 4096, 4096 };
	static int fds[N];

	tap_spit("f", "z");
	tap_must(syscall(SYS_prlimit64, 0, 7, &lim, NULL));
	for (int i = 0; i < N; i++)
		fds[i] = tap_must(open("f", O_RDONLY));
	tap_eq(fds[N - 1], fds[0] + N - 1);
	for (int i = 0; i < N; i++) {
		char c = 0;

		tap_need(read(fds[i], &c, 1) == 1 && c == 'z');
	}
	for (int i = 0; i < N; i++)
		tap_need(close(fds[i]) == 0);
}

TAP_MAIN(
	CASE(creat_truncates_and_writes_only),
	CASE(lowest_descriptor_is_used),
	CASE(access_modes_are_enforced),
	CASE(o_excl_refuses_what_exists),
	CASE(o_trunc_empties),
	CASE(o_append_writes_at_the_end),
	CASE(o_append_is_atomic_between_processes),
	CASE(o_directory_wants_a_directory),
	CASE(directories_open_for_reading_only),
	CASE(o_nofollow_refuses_a_last_symlink),
	CASE(o_path_gives_a_name_and_no_data),
	CASE(o_cloexec_sets_the_flag),
	CASE(getfl_reports_what_was_asked),
	CASE(mode_is_cut_by_umask),
	CASE(a_new_file_without_rights_is_open_anyway),
	CASE(path_errors),
	CASE(name_at_the_end_of_a_page),
	CASE(openat_descriptor_errors),
	CASE(permission_is_checked),
	CASE(running_programs_cannot_be_written),
	CASE(close_errors),
	CASE(descriptors_run_out_at_the_limit),
	CASE(many_descriptors),
)
