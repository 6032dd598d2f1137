/* Files by whole pages: what a write leaves around its bytes, runs that end midway, pages that pipes share with a file. */
#include "tap.h"

#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { N = 40 * 4096 };

static unsigned char text[N], back[N];

static void fill_text(void)
{
	for (int i = 0; i < N; i++)
		text[i] = 1 + (i * 13 + (i >> 11)) % 255;
}

/* Frames that were full of something a moment ago. */
static void dirty_frames(void)
{
	int fd = tap_file("dirt", "");

	memset(back, 0xee, N);
	tap_eq(write(fd, back, N), N);
	close(fd);
	tap_must(unlink("dirt"));
}

static int all_zero(const unsigned char *p, long n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

static void what_a_write_does_not_cover_is_zero(void)
{
	static const int starts[] = { 0, 1, 100, 2048, 4000, 4095, 4096, 8191, 20000 };
	static const int sizes[] = { 1, 100, 2047, 2048, 2049, 4095, 4096, 4097, 10000, 70000 };

	fill_text();
	for (unsigned i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		for (unsigned j = 0; j < sizeof(sizes) / sizeof(*sizes); j++) {
			long at = starts[i], n = sizes[j];

			dirty_frames();
			int fd = tap_file("f", "");
			tap_need(ftruncate(fd, 0) == 0);
			tap_need(pwrite(fd, text, n, at) == n);
			tap_need(ftruncate(fd, N) == 0);
			tap_need(pread(fd, back, N, 0) == N);
			tap_ok(all_zero(back, at) && !memcmp(back + at, text, n) && all_zero(back + at + n, N - at - n));
			close(fd);
		}
}

static void a_bad_page_ends_a_long_write(void)
{
	unsigned char *p = tap_pages(10);
	int fd = tap_file("f", "");
	ssize_t n;

	fill_text();
	memcpy(p, text, 10 * PAGE);
	tap_must(munmap(p + 6 * PAGE, PAGE));
	n = pwrite(fd, p + 500, 9 * PAGE, 0);
	/* What it could reach, or the pages of the file that it could fill. */
	tap_ok(n == 6 * PAGE - 500 || n == 5 * PAGE);
	tap_eq(lseek(fd, 0, SEEK_END), n);
	tap_must(ftruncate(fd, 12 * PAGE));
	tap_eq(pread(fd, back, 12 * PAGE, 0), 12 * PAGE);
	tap_eq(memcmp(back, text + 500, n), 0);
	tap_ok(all_zero(back + n, 12 * PAGE - n));
}

static void pages_that_wait_past_the_end_are_used(void)
{
	int fd = tap_file("f", "");
	struct stat st;

	fill_text();
	tap_must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 3 * PAGE, 4 * PAGE));
	tap_eq(write(fd, text, 20 * PAGE + 7), 20 * PAGE + 7);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 20 * PAGE + 7);
	tap_eq(st.st_blocks, 21 * 8);
	tap_eq(pread(fd, back, N, 0), 20 * PAGE + 7);
	tap_eq(memcmp(back, text, 20 * PAGE + 7), 0);
}

static void a_full_file_system_takes_what_fits(void)
{
	fill_text();
	tap_must(mkdir("small", 0755));
	tap_must(mount("t", "small", "tmpfs", 0, "size=48k"));
	int fd = tap_must(open("small/f", O_RDWR | O_CREAT, 0644));
	tap_eq(write(fd, text, N), 12 * PAGE);
	tap_err(write(fd, text, 1), ENOSPC);
	tap_eq(pread(fd, back, N, 0), 12 * PAGE);
	tap_eq(memcmp(back, text, 12 * PAGE), 0);
	tap_must(ftruncate(fd, 2 * PAGE));
	tap_eq(pwrite(fd, text, N, 2 * PAGE), 10 * PAGE);
	close(fd);
	tap_must(umount("small"));
}

/* 30 pages, of which 10 to 19 are a hole; back has what it reads as. */
static int sparse_file(void)
{
	int fd = tap_file("sparse", "");

	fill_text();
	tap_need(pwrite(fd, text, 10 * PAGE, 0) == 10 * PAGE);
	tap_need(pwrite(fd, text, 10 * PAGE, 20 * PAGE) == 10 * PAGE);
	return fd;
}

static long drain(int fd, unsigned char *to, long max)
{
	long got = 0, n;

	while (got < max && (n = read(fd, to + got, max - got)) > 0)
		got += n;
	return got;
}

static void sendfile_of_a_sparse_file(void)
{
	int in = sparse_file(), out = tap_file("copy", ""), p[2];
	off_t off = 1234;
	long want = 30 * PAGE - 1234;

	tap_eq(sendfile(out, in, &off, N), want);
	tap_eq(off, 30 * PAGE);
	tap_eq(pread(out, back + 1234, N, 0), want);
	tap_eq(memcmp(back + 1234, text + 1234, 10 * PAGE - 1234), 0);
	tap_ok(all_zero(back + 10 * PAGE, 10 * PAGE));
	tap_eq(memcmp(back + 20 * PAGE, text, 10 * PAGE), 0);
	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		close(p[0]);
		off = 1234;
		while (sendfile(p[1], in, &off, N) > 0)
			;
		tap_eq(off, 30 * PAGE);
		tap_leave();
	}
	close(p[1]);
	memset(back, 1, N);
	tap_eq(drain(p[0], back + 1234, N - 1234), want);
	tap_eq(memcmp(back + 1234, text + 1234, 10 * PAGE - 1234), 0);
	tap_ok(all_zero(back + 10 * PAGE, 10 * PAGE));
	tap_eq(memcmp(back + 20 * PAGE, text, 10 * PAGE), 0);
	tap_join(kid);
}

static void sendfile_fills_a_pipe_and_stops(void)
{
	int in = tap_file("f", ""), p[2];

	fill_text();
	tap_eq(write(in, text, N), N);
	tap_must(lseek(in, 0, SEEK_SET));
	tap_must(pipe2(p, O_NONBLOCK));
	tap_eq(sendfile(p[1], in, NULL, N), 16 * PAGE);
	tap_eq(lseek(in, 0, SEEK_CUR), 16 * PAGE);
	tap_err(sendfile(p[1], in, NULL, N), EAGAIN);
	tap_eq(drain(p[0], back, N), 16 * PAGE);
	tap_eq(memcmp(back, text, 16 * PAGE), 0);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	tap_err(sendfile(p[1], in, NULL, N), EPIPE);
	tap_eq(lseek(in, 0, SEEK_CUR), 16 * PAGE);
}

static long bytes_written(void)
{
	char text[600] = "";
	int fd = tap_must(open("/proc/self/io", O_RDONLY));

	tap_need(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	char *at = strstr(text, "wchar: ");
	tap_need(at);
	return atol(at + 7);
}

static void sendfile_counts_as_a_write(void)
{
	int in = sparse_file(), p[2];
	off_t off = 0;

	tap_must(pipe(p));
	long before = bytes_written();
	tap_eq(sendfile(p[1], in, &off, 5000), 5000);
	tap_eq(bytes_written() - before, 5000);
}

/* A pipe holds the file's page, not its bytes. */
static void a_pipe_shares_the_pages_of_a_file(void)
{
	int fd = sparse_file(), p[2];
	off_t off = 0;

	tap_must(pipe(p));
	tap_eq(splice(fd, &off, p[1], NULL, 100, 0), 100);
	tap_eq(pwrite(fd, "changed", 7, 10), 7);
	tap_eq(read(p[0], back, 200), 100);
	tap_eq(memcmp(back, text, 10), 0);
	tap_eq(memcmp(back + 10, "changed", 7), 0);
	tap_eq(memcmp(back + 17, text + 17, 83), 0);
}

/* ... but writing to the pipe never writes to the file, nor does a write to a hole show. */
static void what_is_written_to_the_pipe_is_not_the_file_s(void)
{
	int fd = sparse_file(), p[2];
	off_t off = 0, hole = 12 * PAGE;

	tap_must(pipe(p));
	tap_eq(splice(fd, &off, p[1], NULL, 100, 0), 100);
	tap_eq(write(p[1], "into the pipe", 13), 13);
	tap_eq(read(p[0], back, 200), 113);
	tap_eq(write(p[1], "again", 5), 5);
	tap_eq(read(p[0], back, 200), 5);
	tap_eq(pread(fd, back, 1000, 0), 1000);
	tap_eq(memcmp(back, text, 1000), 0);
	tap_eq(splice(fd, &hole, p[1], NULL, 100, 0), 100);
	tap_eq(write(p[1], "into the pipe", 13), 13);
	tap_eq(pwrite(fd, "no hole", 7, 12 * PAGE), 7);
	tap_eq(read(p[0], back, 200), 113);
	tap_ok(all_zero(back, 100));
	int zero = tap_must(open("/dev/zero", O_RDONLY));
	tap_eq(read(zero, back, PAGE), PAGE);
	tap_ok(all_zero(back, PAGE));
	tap_eq(pread(fd, back, PAGE, 13 * PAGE), PAGE);
	tap_ok(all_zero(back, PAGE));
}

static void lent_pages_outlive_the_file(void)
{
	int fd = sparse_file(), p[2];
	off_t off = PAGE;

	tap_must(pipe(p));
	tap_eq(splice(fd, &off, p[1], NULL, 3 * PAGE, 0), 3 * PAGE);
	tap_must(ftruncate(fd, 0));
	tap_must(unlink("sparse"));
	close(fd);
	dirty_frames();
	tap_eq(drain(p[0], back, 3 * PAGE), 3 * PAGE);
	tap_eq(memcmp(back, text + PAGE, 3 * PAGE), 0);
}

TAP_MAIN(
	CASE(what_a_write_does_not_cover_is_zero),
	CASE(a_bad_page_ends_a_long_write),
	CASE(pages_that_wait_past_the_end_are_used),
	CASE(a_full_file_system_takes_what_fits),
	CASE(sendfile_of_a_sparse_file),
	CASE(sendfile_fills_a_pipe_and_stops),
	CASE(sendfile_counts_as_a_write),
	CASE(a_pipe_shares_the_pages_of_a_file),
	CASE(what_is_written_to_the_pipe_is_not_the_file_s),
	CASE(lent_pages_outlive_the_file),
)
