/* read, write, pread, pwrite, readv, writev, preadv2, pwritev2: counts, offsets, page ends. */
#include "tap.h"

#include <limits.h>
#include <linux/fs.h>
#include <sys/uio.h>

/* The raw calls: the offset comes in two halves. */
#define READV2(fd, v, n, off, fl)	syscall(SYS_preadv2, (fd), (v), (n), (long)(off), 0l, (fl))
#define WRITEV2(fd, v, n, off, fl)	syscall(SYS_pwritev2, (fd), (v), (n), (long)(off), 0l, (fl))

static void read_and_write_move_the_offset(void)
{
	char buf[16] = "";
	int fd = tap_file("f", "0123456789");

	tap_eq(read(fd, buf, 4), 4);
	tap_eq(lseek(fd, 0, SEEK_CUR), 4);
	tap_eq(write(fd, "AB", 2), 2);
	tap_eq(read(fd, buf, 16), 4);
	tap_eq(read(fd, buf, 16), 0);
	tap_slurp("f", buf, sizeof(buf));
	tap_str(buf, "0123AB6789");
}

static void pread_and_pwrite_do_not(void)
{
	char buf[16] = "";
	int fd = tap_file("f", "0123456789");

	tap_eq(pread(fd, buf, 3, 5), 3);
	tap_eq(memcmp(buf, "567", 3), 0);
	tap_eq(pwrite(fd, "XY", 2, 9), 2);
	tap_eq(lseek(fd, 0, SEEK_CUR), 0);
	tap_eq(lseek(fd, 0, SEEK_END), 11);
	tap_eq(pread(fd, buf, 3, 11), 0);
	tap_eq(pread(fd, buf, 3, 1000), 0);
	tap_err(pread(fd, buf, 3, -1), EINVAL);
	tap_err(pwrite(fd, buf, 3, -1), EINVAL);
}

static void zero_bytes(void)
{
	int fd = tap_file("f", "abc");

	tap_eq(read(fd, NULL, 0), 0);
	tap_eq(write(fd, NULL, 0), 0);
	tap_eq(pread(fd, NULL, 0, 0), 0);
	tap_eq(pwrite(fd, NULL, 0, 0), 0);
	tap_eq(lseek(fd, 0, SEEK_END), 3);
	tap_err(read(-1, NULL, 0), EBADF);
	tap_err(write(-1, NULL, 0), EBADF);
}

static void bad_descriptors(void)
{
	char c;
	struct iovec v = { &c, 1 };

	tap_err(read(777, &c, 1), EBADF);
	tap_err(write(777, &c, 1), EBADF);
	tap_err(pread(777, &c, 1, 0), EBADF);
	tap_err(pwrite(777, &c, 1, 0), EBADF);
	tap_err(readv(777, &v, 1), EBADF);
	tap_err(writev(777, &v, 1), EBADF);
	tap_err(preadv(777, &v, 1, 0), EBADF);
	tap_err(pwritev(777, &v, 1, 0), EBADF);
	tap_err(lseek(777, 0, SEEK_SET), EBADF);
}

static void bad_pointers(void)
{
	int fd = tap_file("f", "some text that is there");

	tap_efault_each(p, read(fd, p, 8));
	tap_eq(lseek(fd, 0, SEEK_CUR), 0);
	tap_efault_each(p, pread(fd, p, 8, 0));
	tap_efault_each(p, write(fd, p, 8));
	tap_efault_each(p, pwrite(fd, p, 8, 0));
	tap_efault_each(p, readv(fd, p, 1));
	tap_efault_each(p, writev(fd, p, 1));
	tap_efault_each(p, readv(fd, &((struct iovec){ p, 8 }), 1));
	tap_efault_each(p, writev(fd, &((struct iovec){ p, 8 }), 1));
	tap_err(read(fd, NULL, 8), EFAULT);
	tap_err(write(fd, NULL, 8), EFAULT);
	tap_err(read(fd, tap_page_ro(), 8), EFAULT);
	tap_eq(lseek(fd, 0, SEEK_END), 23);
}

static void read_stops_at_a_page_end(void)
{
	char *p = tap_page_edge(5);
	int fd = tap_file("f", "0123456789");

	tap_eq(read(fd, p, 10), 5);
	tap_eq(memcmp(p, "01234", 5), 0);
	tap_eq(lseek(fd, 0, SEEK_CUR), 5);
	tap_eq(pread(fd, p, 100, 2), 5);
	tap_eq(memcmp(p, "23456", 5), 0);
	tap_eq(read(fd, p, 5), 5);
}

static void write_stops_at_a_page_end(void)
{
	char *p = tap_page_edge(5), buf[16] = "";
	int fd = tap_file("f", "");

	memcpy(p, "abcde", 5);
	ssize_t n = write(fd, p, 10);
	/* tmpfs writes what it could reach, or nothing of the page */
	tap_ok(n == 5 || (n == -1 && errno == EFAULT));
	tap_eq(lseek(fd, 0, SEEK_END), n > 0 ? n : 0);
	tap_eq(pread(fd, buf, 16, 0), n > 0 ? n : 0);
}

static void a_transfer_over_many_pages(void)
{
	enum { N = 10 * 4096 + 123 };
	unsigned char *a = tap_pages(11), *b = tap_pages(11);
	int fd = tap_file("f", "");

	for (int i = 0; i < N; i++)
		a[i] = i * 7 + (i >> 9);
	tap_eq(write(fd, a, N), N);
	tap_eq(pread(fd, b, N, 0), N);
	tap_eq(memcmp(a, b, N), 0);
	tap_eq(pread(fd, b, 5000, 4000), 5000);
	tap_eq(memcmp(a + 4000, b, 5000), 0);
	tap_eq(pwrite(fd, a, 4097, 4095), 4097);
	tap_eq(pread(fd, b, 4097, 4095), 4097);
	tap_eq(memcmp(a, b, 4097), 0);
	tap_eq(lseek(fd, 0, SEEK_END), N);
}

static void a_buffer_may_be_the_file_itself(void)
{
	int fd = tap_file("f", "");
	tap_must(ftruncate(fd, 2 * PAGE));
	char *m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	tap_need(m != MAP_FAILED);
	memset(m, 'q', PAGE);
	tap_eq(pwrite(fd, m, PAGE, PAGE), PAGE);
	tap_eq(m[PAGE], 'q');
	tap_eq(m[2 * PAGE - 1], 'q');
	tap_eq(pwrite(fd, m, PAGE, 0), PAGE);		/* onto itself */
	tap_eq(pread(fd, m, PAGE, 0), PAGE);
	tap_eq(m[0], 'q');
}

static void vectors_scatter_and_gather(void)
{
	char a[4] = "", b[4] = "", c[8] = "";
	struct iovec w[] = { { "ab", 2 }, { NULL, 0 }, { "cdef", 4 }, { "g", 1 } };
	struct iovec r[] = { { a, 3 }, { b, 0 }, { b, 3 }, { c, 8 } };
	int fd = tap_file("f", "");

	tap_eq(writev(fd, w, 4), 7);
	tap_eq(preadv(fd, r, 4, 0), 7);
	tap_str(a, "abc");
	tap_str(b, "def");
	tap_str(c, "g");
	tap_eq(lseek(fd, 0, SEEK_SET), 0);
	tap_eq(readv(fd, r, 2), 3);
	tap_eq(pwritev(fd, w, 1, 100), 2);
	tap_eq(lseek(fd, 0, SEEK_END), 102);
	tap_eq(readv(fd, r, 4), 0);
}

static void vector_limits(void)
{
	static struct iovec v[IOV_MAX + 1];
	char c = 'x';
	int fd = tap_file("f", "");

	for (int i = 0; i <= IOV_MAX; i++)
		v[i] = (struct iovec){ &c, 1 };
	tap_eq(writev(fd, v, IOV_MAX), IOV_MAX);
	tap_err(syscall(SYS_writev, fd, v, (long)IOV_MAX + 1), EINVAL);
	tap_err(syscall(SYS_readv, fd, v, -1l), EINVAL);
	tap_eq(writev(fd, v, 0), 0);
	tap_eq(readv(fd, v, 0), 0);
	v[1].iov_len = (size_t)-1;
	tap_err(writev(fd, v, 2), EINVAL);
	tap_err(preadv(fd, v, 1, -1), EINVAL);
}

static void a_vector_with_a_bad_part_transfers_the_good_part(void)
{
	char a[4] = "", *none = tap_page_none();
	struct iovec r[] = { { a, 3 }, { none, 4 } };
	int fd = tap_file("f", "0123456789");

	tap_eq(readv(fd, r, 2), 3);
	tap_str(a, "012");
	tap_eq(lseek(fd, 0, SEEK_CUR), 3);
}

static void preadv2_flags(void)
{
	char a[8] = "";
	struct iovec v = { a, 4 };
	int fd = tap_file("f", "0123456789");

	tap_eq(READV2(fd, &v, 1, -1, 0), 4);		/* -1: the file's own offset */
	tap_eq(lseek(fd, 0, SEEK_CUR), 4);
	tap_eq(READV2(fd, &v, 1, 8, 0), 2);
	tap_err(READV2(fd, &v, 1, 0, 0x40000000), EOPNOTSUPP);
	tap_eq(WRITEV2(fd, &v, 1, 0, RWF_APPEND), 4);
	tap_eq(lseek(fd, 0, SEEK_END), 14);
	tap_eq(WRITEV2(fd, &v, 1, 0, RWF_DSYNC), 4);
	tap_err(READV2(fd, &v, 1, -2, 0), EINVAL);
}

static void positions_on_a_pipe(void)
{
	int p[2];
	char c;

	tap_must(pipe(p));
	tap_err(pread(p[0], &c, 1, 0), ESPIPE);
	tap_err(pwrite(p[1], &c, 1, 0), ESPIPE);
	tap_err(lseek(p[0], 0, SEEK_CUR), ESPIPE);
	tap_err(preadv(p[0], &((struct iovec){ &c, 1 }), 1, 0), ESPIPE);
}

static void the_offset_is_shared_by_dup_and_fork(void)
{
	char buf[8] = "";
	int fd = tap_file("f", "0123456789");
	int d = tap_must(dup(fd));

	tap_eq(read(fd, buf, 2), 2);
	tap_eq(lseek(d, 0, SEEK_CUR), 2);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(d, buf, 3), 3);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(lseek(fd, 0, SEEK_CUR), 5);
	int other = tap_must(open("f", O_RDONLY));
	tap_eq(lseek(other, 0, SEEK_CUR), 0);
}

static void a_write_past_the_end_leaves_zeros(void)
{
	char buf[4096];
	int fd = tap_file("f", "ab");

	tap_eq(pwrite(fd, "z", 1, 4000), 1);
	tap_eq(pread(fd, buf, sizeof(buf), 0), 4001);
	tap_eq(memcmp(buf, "ab", 2), 0);
	for (int i = 2; i < 4000; i++)
		tap_need(buf[i] == 0);
	tap_eq(buf[4000], 'z');
}

static void huge_counts_are_cut(void)
{
	char buf[16];
	int fd = tap_file("f", "0123456789");
	char *p = tap_pages(1);

	tap_err(read(fd, p, (size_t)-1), EFAULT);	/* wraps around the address space */
	tap_err(write(fd, p, (size_t)-1), EFAULT);
	tap_eq(lseek(fd, 0, SEEK_SET), 0);
	tap_eq(read(fd, p, 0x7fffffff), 10);
	(void)buf;
}

static void the_size_limit_sends_sigxfsz(void)
{
	struct { unsigned long cur, max; } lim = { 100, 100 };
	static char big[200];
	int fd = tap_file("f", "");

	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(syscall(SYS_prlimit64, 0, 1 /* RLIMIT_FSIZE */, &lim, NULL));
		tap_eq(write(fd, big, 200), 100);	/* as much as fits */
		signal(SIGXFSZ, SIG_IGN);
		tap_err(write(fd, big, 1), EFBIG);
		tap_err(ftruncate(fd, 101), EFBIG);
		tap_eq(pwrite(fd, big, 10, 95), 5);
		signal(SIGXFSZ, SIG_DFL);
		write(fd, big, 1);
		_exit(9);
	}
	tap_killed(kid, SIGXFSZ);
}

static void write_updates_size_for_other_openers(void)
{
	struct stat st;
	char buf[8];
	int a = tap_file("f", ""), b = tap_must(open("f", O_RDONLY));

	tap_eq(read(b, buf, 8), 0);
	tap_eq(write(a, "xyz", 3), 3);
	tap_must(fstat(b, &st));
	tap_eq(st.st_size, 3);
	tap_eq(read(b, buf, 8), 3);
}

TAP_MAIN(
	CASE(read_and_write_move_the_offset),
	CASE(pread_and_pwrite_do_not),
	CASE(zero_bytes),
	CASE(bad_descriptors),
	CASE(bad_pointers),
	CASE(read_stops_at_a_page_end),
	CASE(write_stops_at_a_page_end),
	CASE(a_transfer_over_many_pages),
	CASE(a_buffer_may_be_the_file_itself),
	CASE(vectors_scatter_and_gather),
	CASE(vector_limits),
	CASE(a_vector_with_a_bad_part_transfers_the_good_part),
	CASE(preadv2_flags),
	CASE(positions_on_a_pipe),
	CASE(the_offset_is_shared_by_dup_and_fork),
	CASE(a_write_past_the_end_leaves_zeros),
	CASE(huge_counts_are_cut),
	CASE(the_size_limit_sends_sigxfsz),
	CASE(write_updates_size_for_other_openers),
)
