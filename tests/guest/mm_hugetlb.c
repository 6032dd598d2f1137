/*
 * MAP_HUGETLB and memfd_create(MFD_HUGETLB) where no huge pages are reserved: the file is
 * there, has a size and reads as zeros, but nobody gets a page of it.
 */
#include "tap.h"

#include <linux/falloc.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#define HUGE	(2ul << 20)
#define RW	(PROT_READ | PROT_WRITE)
#define SIZE(n)	((unsigned)(n) << 26)
#ifndef F_ADD_SEALS
#define F_ADD_SEALS	1033
#define F_GET_SEALS	1034
#endif
#define SEAL_SEAL	1
#define SEAL_SHRINK	2
#define SEAL_GROW	4
#define SEAL_WRITE	8
#define SEAL_FUTURE	16
#define HUGETLBFS	0x958458f6

static int memfd(unsigned flags)
{
	return syscall(SYS_memfd_create, "x", flags);
}

/* A sealable one of two pages. */
static int two_pages(void)
{
	int fd = tap_must(memfd(MFD_HUGETLB | MFD_ALLOW_SEALING));

	tap_must(ftruncate(fd, 2 * HUGE));
	return fd;
}

static void no_pages_are_reserved(void)
{
	char text[4096], *p;

	tap_ok(mmap(NULL, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) == MAP_FAILED);
	tap_eq(errno, ENOMEM);
	tap_need(tap_slurp("/proc/meminfo", text, sizeof(text)) > 0);
	p = strstr(text, "HugePages_Total:");
	tap_ok(p && strtol(p + 16, NULL, 10) == 0);
	p = strstr(text, "Hugepagesize:");
	tap_ok(p && strtol(p + 13, NULL, 10) == 2048);
}

static void flags_and_page_sizes(void)
{
	struct stat st;

	for (unsigned flags = MFD_HUGETLB; flags < 8; flags++) {
		int fd = tap_must(memfd(flags));

		tap_eq(fcntl(fd, F_GETFD), flags & MFD_CLOEXEC ? FD_CLOEXEC : 0);
		tap_eq(fcntl(fd, F_GET_SEALS), flags & MFD_ALLOW_SEALING ? 0 : SEAL_SEAL);
		close(fd);
	}
	close(tap_must(memfd(MFD_HUGETLB | SIZE(21))));
	tap_err(memfd(MFD_HUGETLB | SIZE(20)), ENODEV);
	tap_err(memfd(MFD_HUGETLB | SIZE(12)), ENODEV);
	tap_err(memfd(MFD_HUGETLB | SIZE(1)), ENODEV);
	tap_err(memfd(MFD_HUGETLB | SIZE(63)), ENODEV);
	tap_err(memfd(SIZE(21)), EINVAL);
	tap_err(memfd(MFD_HUGETLB | 16), EINVAL);
	tap_efault_each(p, syscall(SYS_memfd_create, p, MFD_HUGETLB));
	tap_efault_each(p, syscall(SYS_memfd_create, p, MFD_HUGETLB | SIZE(20)));

	int giant = memfd(MFD_HUGETLB | SIZE(30));	/* where the processor has them */
	if (giant < 0) {
		tap_eq(errno, ENODEV);
		return;
	}
	tap_must(fstat(giant, &st));
	tap_eq(st.st_blksize, 1l << 30);
	tap_err(ftruncate(giant, HUGE), EINVAL);
	tap_must(ftruncate(giant, 1l << 30));
}

static void what_stat_says(void)
{
	int fd = tap_must(memfd(MFD_HUGETLB)), plain = tap_must(memfd(0));
	char path[32], link[64];
	struct stat st, other;
	struct statfs sf;

	tap_must(ftruncate(fd, 3 * HUGE));
	tap_must(fstat(fd, &st));
	tap_must(fstat(plain, &other));
	tap_eq(st.st_mode, S_IFREG | 0777);
	tap_eq(st.st_size, 3 * HUGE);
	tap_eq(st.st_blksize, HUGE);
	tap_eq(st.st_blocks, 0);
	tap_eq(st.st_nlink, 0);
	tap_eq(st.st_uid, geteuid());
	tap_ok(st.st_dev != other.st_dev);
	tap_must(fstatfs(fd, &sf));
	tap_eq(sf.f_type, HUGETLBFS);
	tap_eq(sf.f_bsize, HUGE);
	tap_eq(sf.f_frsize, HUGE);
	tap_eq(sf.f_blocks, 0);
	tap_eq(sf.f_files, 0);
	tap_must(fchmod(fd, 0640));
	tap_must(fchown(fd, 7, 8));
	tap_must(fstat(fd, &st));
	tap_ok((st.st_mode & 07777) == 0640 && st.st_uid == 7 && st.st_gid == 8);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = tap_must(readlink(path, link, sizeof(link) - 1));
	link[n] = 0;
	tap_str(link, "/memfd:x (deleted)");
}

static void sizes_are_whole_pages(void)
{
	int fd = tap_must(memfd(MFD_HUGETLB));

	tap_err(ftruncate(fd, 1), EINVAL);
	tap_err(ftruncate(fd, PAGE), EINVAL);
	tap_err(ftruncate(fd, HUGE + 1), EINVAL);
	tap_err(ftruncate(fd, -1), EINVAL);
	tap_must(ftruncate(fd, 0));
	tap_must(ftruncate(fd, HUGE));
	tap_must(ftruncate(fd, 1l << 62));
	tap_eq(lseek(fd, 0, SEEK_END), 1l << 62);
	tap_must(ftruncate(fd, 2 * HUGE));
	tap_eq(lseek(fd, 0, SEEK_END), 2 * HUGE);
	tap_eq(lseek(fd, 4096, SEEK_DATA), 4096);
	tap_eq(lseek(fd, 4096, SEEK_HOLE), 2 * HUGE);
	tap_err(lseek(fd, 2 * HUGE, SEEK_DATA), ENXIO);
}

static void it_reads_as_zeros(void)
{
	char buf[64], want[64] = { 0 };
	struct iovec v = { buf, 5 };
	int fd = tap_must(memfd(MFD_HUGETLB));

	tap_eq(read(fd, buf, 10), 0);
	tap_must(ftruncate(fd, HUGE));
	memset(buf, 7, sizeof(buf));
	tap_eq(read(fd, buf, sizeof(buf)), sizeof(buf));
	tap_eq(memcmp(buf, want, sizeof(buf)), 0);
	tap_eq(lseek(fd, 0, SEEK_CUR), sizeof(buf));
	tap_eq(pread(fd, buf, 10, HUGE - 4), 4);
	tap_eq(pread(fd, buf, 10, HUGE), 0);
	tap_eq(pread(fd, buf, 10, 9 * HUGE), 0);
	tap_eq(pread(fd, buf, 0, 0), 0);
	tap_eq(readv(fd, &v, 1), 5);
	tap_efault_each(p, pread(fd, p, 10, 0));
	struct pollfd pf = { fd, POLLIN | POLLOUT, 0 };
	tap_eq(poll(&pf, 1, 0), 1);
	tap_eq(pf.revents, POLLIN | POLLOUT);
	tap_must(fsync(fd));
}

static void it_cannot_be_written(void)
{
	int fd = two_pages(), p[2], file = tap_file("f", "abcdef"), null = tap_must(open("/dev/null", O_WRONLY));
	struct iovec v = { "abc", 3 };
	off_t at = 0;
	loff_t in = 0, out = 0;

	tap_err(write(fd, "abc", 3), EINVAL);
	tap_err(write(fd, "", 0), EINVAL);
	tap_err(pwrite(fd, "abc", 3, 0), EINVAL);
	tap_err(writev(fd, &v, 1), EINVAL);
	tap_must(pipe(p));
	tap_eq(write(p[1], "abc", 3), 3);
	tap_err(splice(p[0], NULL, fd, &out, 3, 0), EINVAL);
	tap_err(splice(fd, &in, p[1], NULL, 3, 0), EINVAL);
	tap_err(sendfile(fd, file, &at, 3), EINVAL);
	tap_err(sendfile(null, fd, &at, 3), EINVAL);
	tap_err(copy_file_range(file, &in, fd, &out, 3, 0), EXDEV);
	tap_err(copy_file_range(fd, &in, file, &out, 3, 0), EXDEV);
}

static void must_not_map(int prot, int flags, int fd, off_t off, int err)
{
	void *p = mmap(NULL, HUGE, prot, flags, fd, off);

	if (!tap_ok(p == MAP_FAILED) || !tap_eq(errno, err))
		tap_note("prot %d flags %#x offset %ld", prot, flags, (long)off);
}

static void it_cannot_be_mapped(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, RW };
	int fd = two_pages();

	for (int i = 0; i < 3; i++) {
		must_not_map(prots[i], MAP_SHARED, fd, 0, ENOMEM);
		must_not_map(prots[i], MAP_PRIVATE, fd, HUGE, ENOMEM);
		must_not_map(prots[i], MAP_PRIVATE | MAP_HUGETLB, fd, 0, ENOMEM);
	}
	must_not_map(RW, MAP_SHARED, fd, 8 * HUGE, ENOMEM);
	must_not_map(RW, MAP_SHARED, fd, PAGE, EINVAL);
	tap_ok(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENOMEM);
	tap_ok(mmap((void *)0x10001000, HUGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED && errno == EINVAL);
	tap_ok(mmap((void *)0x10000000, HUGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED && errno == ENOMEM);
	must_not_map(RW, MAP_PRIVATE | MAP_HUGETLB, tap_file("f", "x"), 0, EINVAL);
	tap_eq(lseek(fd, 0, SEEK_END), 2 * HUGE);
}

static void nothing_can_be_allocated(void)
{
	int fd = two_pages();
	struct rlimit few = { HUGE, HUGE };

	tap_err(fallocate(fd, 0, 0, HUGE), ENOSPC);
	tap_err(fallocate(fd, 0, 0, PAGE), ENOSPC);
	tap_err(fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * HUGE, HUGE), ENOSPC);
	tap_eq(lseek(fd, 0, SEEK_END), 2 * HUGE);
	tap_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE), 0);
	tap_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, PAGE), 0);
	tap_err(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, HUGE), EOPNOTSUPP);
	signal(SIGXFSZ, SIG_IGN);
	tap_must(setrlimit(RLIMIT_FSIZE, &few));
	tap_err(ftruncate(fd, 3 * HUGE), EFBIG);
	tap_err(fallocate(fd, 0, 2 * HUGE, HUGE), EFBIG);
	tap_err(fallocate(fd, FALLOC_FL_KEEP_SIZE, 2 * HUGE, HUGE), EFBIG);
	tap_must(ftruncate(fd, HUGE));
}

static void seals_hold(void)
{
	int fd = two_pages();
	char path[32];

	tap_must(fcntl(fd, F_ADD_SEALS, SEAL_SHRINK));
	tap_err(ftruncate(fd, HUGE), EPERM);
	tap_err(ftruncate(fd, 1), EINVAL);
	tap_must(ftruncate(fd, 3 * HUGE));
	tap_must(fcntl(fd, F_ADD_SEALS, SEAL_GROW));
	tap_err(ftruncate(fd, 4 * HUGE), EPERM);
	tap_err(fallocate(fd, 0, 2 * HUGE, 2 * HUGE), EPERM);
	tap_err(fallocate(fd, FALLOC_FL_KEEP_SIZE, 2 * HUGE, 2 * HUGE), EPERM);
	tap_must(fcntl(fd, F_ADD_SEALS, SEAL_WRITE));
	tap_err(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE), EPERM);
	must_not_map(RW, MAP_SHARED, fd, 0, EPERM);
	must_not_map(RW, MAP_PRIVATE, fd, 0, ENOMEM);
	must_not_map(PROT_READ, MAP_SHARED, fd, 0, ENOMEM);
	tap_eq(fcntl(fd, F_GET_SEALS), SEAL_SHRINK | SEAL_GROW | SEAL_WRITE);
	tap_must(fcntl(fd, F_ADD_SEALS, SEAL_SEAL));
	tap_err(fcntl(fd, F_ADD_SEALS, SEAL_WRITE), EPERM);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	tap_err(open(path, O_RDWR | O_TRUNC), EPERM);
	int again = tap_must(open(path, O_RDONLY));
	tap_err(fcntl(again, F_ADD_SEALS, SEAL_WRITE), EPERM);
	tap_err(write(again, "x", 1), EBADF);
	must_not_map(RW, MAP_SHARED, again, 0, EACCES);
	fd = two_pages();
	tap_must(fcntl(fd, F_ADD_SEALS, SEAL_FUTURE));
	must_not_map(RW, MAP_SHARED, fd, 0, EPERM);
	tap_err(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE), EPERM);
}

static void it_is_no_program(void)
{
	int fd = two_pages();
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = tap_must(open(path, O_RDONLY | O_CLOEXEC));
	close(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", again);
	tap_err(execl(path, "x", NULL), ENOEXEC);
}

TAP_MAIN(CASE(no_pages_are_reserved), CASE(flags_and_page_sizes), CASE(what_stat_says), CASE(sizes_are_whole_pages),
	 CASE(it_reads_as_zeros), CASE(it_cannot_be_written), CASE(it_cannot_be_mapped), CASE(nothing_can_be_allocated),
	 CASE(seals_hold), CASE(it_is_no_program))
