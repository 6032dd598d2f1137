/* O_TMPFILE and memfd_create: files that begin without a name; seals. */
#include "tap.h"

#include <linux/memfd.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS	1033
#define F_GET_SEALS	1034
#endif
#define SEAL_SEAL	1
#define SEAL_SHRINK	2
#define SEAL_GROW	4
#define SEAL_WRITE	8
#define SEAL_FUTURE	16

static int memfd(const char *name, unsigned flags)
{
	return syscall(SYS_memfd_create, name, flags);
}

static void a_tmpfile_has_no_name(void)
{
	struct stat st;
	char buf[8] = "";
	int fd = tap_must(open(".", O_TMPFILE | O_RDWR, 0640));

	tap_must(fstat(fd, &st));
	tap_eq(st.st_nlink, 0);
	tap_eq(st.st_mode, S_IFREG | 0640);
	tap_eq(write(fd, "text", 4), 4);
	tap_eq(pread(fd, buf, 8, 0), 4);
	tap_err(rmdir("."), EINVAL);
}

static void a_tmpfile_can_be_given_a_name(void)
{
	char path[64], buf[8];
	struct stat st;
	int fd = tap_must(open(".", O_TMPFILE | O_WRONLY, 0600));

	tap_eq(write(fd, "text", 4), 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	tap_eq(linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW), 0);
	tap_must(stat("f", &st));
	tap_eq(st.st_nlink, 1);
	tap_eq(tap_slurp("f", buf, sizeof(buf)), 4);
	tap_eq(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH), 0);
	tap_must(stat("f", &st));
	tap_eq(st.st_nlink, 2);
}

static void a_tmpfile_with_o_excl_cannot(void)
{
	int fd = tap_must(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));

	tap_err(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH), ENOENT);
}

static void tmpfile_errors(void)
{
	tap_spit("f", "");
	tap_err(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	tap_err(open("f", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
	tap_err(open("absent", O_TMPFILE | O_RDWR, 0600), ENOENT);
	tap_must(mkdir("d", 0755));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(open("d", O_TMPFILE | O_RDWR, 0600), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void a_memfd_is_a_file(void)
{
	struct stat st;
	char link[64], path[32], buf[8];
	int fd = tap_must(memfd("some name", MFD_CLOEXEC));

	tap_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	tap_must(fstat(fd, &st));
	tap_ok(S_ISREG(st.st_mode));
	tap_eq(st.st_mode & 0777, 0777);
	tap_eq(st.st_nlink, 0);
	tap_eq(write(fd, "abc", 3), 3);
	tap_eq(pread(fd, buf, 8, 0), 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = tap_must(readlink(path, link, sizeof(link) - 1));
	link[n] = 0;
	tap_str(link, "/memfd:some name (deleted)");
	int again = tap_must(open(path, O_RDONLY));
	tap_eq(read(again, buf, 8), 3);
	tap_must(ftruncate(fd, 2 * PAGE));
	char *m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_need(m != MAP_FAILED);
	tap_eq(memcmp(m, "abc", 3), 0);
	m[PAGE] = 'm';
	tap_eq(pread(fd, buf, 1, PAGE), 1);
	tap_eq(buf[0], 'm');
}

static void memfd_errors(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[249] = 0;
	tap_must(close(tap_must(memfd(name, 0))));
	name[249] = 'n';
	name[250] = 0;
	tap_err(memfd(name, 0), EINVAL);
	tap_err(memfd("x", 0x8000), EINVAL);
	tap_efault_each(p, memfd(p, 0));
}

static void without_allow_sealing_it_is_sealed(void)
{
	int fd = tap_must(memfd("x", 0));

	tap_eq(fcntl(fd, F_GET_SEALS), SEAL_SEAL);
	tap_err(fcntl(fd, F_ADD_SEALS, SEAL_WRITE), EPERM);
}

static void size_seals(void)
{
	int fd = tap_must(memfd("x", MFD_ALLOW_SEALING));

	tap_eq(fcntl(fd, F_GET_SEALS), 0);
	tap_must(ftruncate(fd, 100));
	tap_eq(fcntl(fd, F_ADD_SEALS, SEAL_SHRINK), 0);
	tap_err(ftruncate(fd, 50), EPERM);
	tap_eq(ftruncate(fd, 200), 0);
	tap_eq(fcntl(fd, F_ADD_SEALS, SEAL_GROW), 0);
	tap_err(ftruncate(fd, 300), EPERM);
	tap_err(pwrite(fd, "x", 1, 200), EPERM);
	tap_eq(pwrite(fd, "x", 1, 199), 1);
	tap_eq(fcntl(fd, F_GET_SEALS), SEAL_SHRINK | SEAL_GROW);
	tap_eq(fcntl(fd, F_ADD_SEALS, SEAL_SEAL), 0);
	tap_err(fcntl(fd, F_ADD_SEALS, SEAL_WRITE), EPERM);
	tap_err(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL);
}

static void the_write_seal(void)
{
	int fd = tap_must(memfd("x", MFD_ALLOW_SEALING));

	tap_must(ftruncate(fd, PAGE));
	char *m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_need(m != MAP_FAILED);
	tap_err(fcntl(fd, F_ADD_SEALS, SEAL_WRITE), EBUSY);
	tap_must(munmap(m, PAGE));
	tap_eq(fcntl(fd, F_ADD_SEALS, SEAL_WRITE), 0);
	tap_err(write(fd, "x", 1), EPERM);
	tap_err((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	tap_need(m != MAP_FAILED);
	m[0] = 'p';
}

static void the_future_write_seal_keeps_old_mappings(void)
{
	char c = 0;
	int fd = tap_must(memfd("x", MFD_ALLOW_SEALING));

	tap_must(ftruncate(fd, PAGE));
	char *m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_need(m != MAP_FAILED);
	tap_eq(fcntl(fd, F_ADD_SEALS, SEAL_FUTURE), 0);
	m[0] = 'k';
	tap_eq(pread(fd, &c, 1, 0), 1);
	tap_eq(c, 'k');
	tap_err(write(fd, "x", 1), EPERM);
	tap_err((long)mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
}

static void seals_on_other_files(void)
{
	int p[2];

	tap_must(pipe(p));
	tap_err(fcntl(p[0], F_GET_SEALS), EINVAL);
	tap_err(fcntl(777, F_GET_SEALS), EBADF);
}

static void a_memfd_can_be_executed(void)
{
	static char buf[1 << 16];
	ssize_t n;
	int in = tap_must(open("/proc/self/exe", O_RDONLY));
	int fd = tap_must(memfd("prog", MFD_CLOEXEC));
	char *argv[] = { "prog", "-l", NULL }, *envp[] = { NULL };

	while ((n = read(in, buf, sizeof(buf))) > 0)
		tap_eq(write(fd, buf, n), n);
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int ro = tap_must(open(path, O_RDONLY | O_CLOEXEC));
	close(fd);					/* a writer would be ETXTBSY */
	pid_t kid = tap_fork();
	if (kid == 0) {
		dup2(tap_must(open("/dev/null", O_WRONLY)), 1);
		syscall(SYS_execveat, ro, "", argv, envp, AT_EMPTY_PATH);
		_exit(9);
	}
	tap_join(kid);
}

TAP_MAIN(
	CASE(a_tmpfile_has_no_name),
	CASE(a_tmpfile_can_be_given_a_name),
	CASE(a_tmpfile_with_o_excl_cannot),
	CASE(tmpfile_errors),
	CASE(a_memfd_is_a_file),
	CASE(memfd_errors),
	CASE(without_allow_sealing_it_is_sealed),
	CASE(size_seals),
	CASE(the_write_seal),
	CASE(the_future_write_seal_keeps_old_mappings),
	CASE(seals_on_other_files),
	CASE(a_memfd_can_be_executed),
)
