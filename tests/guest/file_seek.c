/* lseek with holes, truncate, ftruncate, fallocate: sizes and sparse files. */
#include "tap.h"

#include <linux/falloc.h>

static void seek_set_cur_end(void)
{
	int fd = tap_file("f", "0123456789");

	tap_eq(lseek(fd, 4, SEEK_SET), 4);
	tap_eq(lseek(fd, 3, SEEK_CUR), 7);
	tap_eq(lseek(fd, -7, SEEK_CUR), 0);
	tap_eq(lseek(fd, -2, SEEK_END), 8);
	tap_eq(lseek(fd, 100, SEEK_END), 110);
	tap_err(lseek(fd, -1, SEEK_SET), EINVAL);
	tap_err(lseek(fd, -200, SEEK_CUR), EINVAL);
	tap_err(lseek(fd, 0, 99), EINVAL);
	tap_eq(lseek(fd, 0, SEEK_CUR), 110);		/* failures move nothing */
	tap_err(lseek(fd, 0x7fffffffffffffff, SEEK_CUR), EINVAL);
}

static void a_seek_alone_does_not_grow_a_file(void)
{
	struct stat st;
	char c;
	int fd = tap_file("f", "ab");

	tap_eq(lseek(fd, 1000, SEEK_SET), 1000);
	tap_eq(read(fd, &c, 1), 0);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 2);
}

static void holes_and_data_are_found(void)
{
	int fd = tap_file("f", "");

	tap_must(ftruncate(fd, 16 * PAGE));
	tap_eq(pwrite(fd, "x", 1, 4 * PAGE), 1);
	tap_eq(pwrite(fd, "y", 1, 9 * PAGE + 100), 1);
	tap_eq(lseek(fd, 0, SEEK_DATA), 4 * PAGE);
	tap_eq(lseek(fd, 0, SEEK_HOLE), 0);
	tap_eq(lseek(fd, 4 * PAGE, SEEK_HOLE), 5 * PAGE);
	tap_eq(lseek(fd, 4 * PAGE + 7, SEEK_DATA), 4 * PAGE + 7);
	tap_eq(lseek(fd, 5 * PAGE, SEEK_DATA), 9 * PAGE);
	tap_eq(lseek(fd, 9 * PAGE, SEEK_HOLE), 10 * PAGE);
	tap_err(lseek(fd, 10 * PAGE, SEEK_DATA), ENXIO);
	tap_eq(lseek(fd, 10 * PAGE, SEEK_HOLE), 10 * PAGE);
	tap_err(lseek(fd, 16 * PAGE, SEEK_DATA), ENXIO);
	tap_err(lseek(fd, 16 * PAGE, SEEK_HOLE), ENXIO);
	tap_err(lseek(fd, -1, SEEK_DATA), ENXIO);
}

static void the_end_of_a_file_is_a_hole(void)
{
	int fd = tap_file("f", "abc");

	tap_eq(lseek(fd, 0, SEEK_HOLE), 3);
	tap_eq(lseek(fd, 1, SEEK_DATA), 1);
	tap_err(lseek(fd, 3, SEEK_DATA), ENXIO);
}

static void sparse_files_use_few_blocks(void)
{
	struct stat st;
	int fd = tap_file("f", "");

	tap_must(ftruncate(fd, 1l << 40));
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 1l << 40);
	tap_eq(st.st_blocks, 0);
	tap_eq(pwrite(fd, "e", 1, (1l << 40) - 1), 1);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_blocks, 8);
	char c = 1;
	tap_eq(pread(fd, &c, 1, 1l << 39), 1);
	tap_eq(c, 0);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_blocks, 8);			/* reading a hole allocates nothing */
}

static void truncate_cuts_and_grows(void)
{
	char buf[32];
	int fd = tap_file("f", "0123456789");

	tap_must(truncate("f", 4));
	tap_eq(lseek(fd, 0, SEEK_END), 4);
	tap_must(truncate("f", 8));
	tap_eq(pread(fd, buf, 32, 0), 8);
	tap_eq(memcmp(buf, "0123\0\0\0\0", 8), 0);	/* what was cut does not come back */
	tap_must(ftruncate(fd, 0));
	tap_eq(pread(fd, buf, 32, 0), 0);
}

static void truncate_in_the_middle_of_a_page_clears_the_rest(void)
{
	char *p = tap_pages(2);
	int fd = tap_file("f", "");

	memset(p, 'a', 2 * PAGE);
	tap_eq(write(fd, p, 2 * PAGE), 2 * PAGE);
	tap_must(ftruncate(fd, PAGE + 10));
	tap_must(ftruncate(fd, 2 * PAGE));
	tap_eq(pread(fd, p, 2 * PAGE, 0), 2 * PAGE);
	tap_eq(p[PAGE + 9], 'a');
	for (unsigned i = PAGE + 10; i < 2 * PAGE; i++)
		tap_need(p[i] == 0);
}

static void truncate_errors(void)
{
	tap_spit("f", "x");
	tap_must(mkdir("d", 0755));
	tap_must(chmod("f", 0444));
	tap_err(truncate("absent", 0), ENOENT);
	tap_err(truncate("d", 0), EISDIR);
	tap_err(truncate("f/x", 0), ENOTDIR);
	tap_err(truncate("f", -1), EINVAL);
	tap_efault_each(p, truncate(p, 0));
	tap_err(ftruncate(777, 0), EBADF);
	int p[2];
	tap_must(pipe(p));
	tap_err(ftruncate(p[1], 0), EINVAL);
	int r = tap_must(open("f", O_RDONLY));
	tap_err(ftruncate(r, 0), EINVAL);
	int w = tap_must(open("f", O_WRONLY));
	tap_err(ftruncate(w, -1), EINVAL);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(truncate("f", 0), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void truncate_follows_symlinks(void)
{
	struct stat st;

	tap_spit("f", "12345");
	tap_must(symlink("f", "l"));
	tap_must(truncate("l", 2));
	tap_must(stat("f", &st));
	tap_eq(st.st_size, 2);
}

static void truncate_cuts_a_shared_mapping(void)
{
	int fd = tap_file("f", "");
	tap_must(ftruncate(fd, 2 * PAGE));
	char *m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	tap_need(m != MAP_FAILED);
	memset(m, 'x', 2 * PAGE);
	tap_must(ftruncate(fd, PAGE / 2));
	tap_eq(m[PAGE / 2 - 1], 'x');
	tap_eq(m[PAGE / 2], 0);				/* the rest of the last page is zero */
	pid_t kid = tap_fork();
	if (kid == 0) {
		(void)*(volatile char *)(m + PAGE);
		_exit(0);
	}
	tap_killed(kid, SIGBUS);
	tap_must(ftruncate(fd, 2 * PAGE));
	tap_eq(*(volatile char *)(m + PAGE), 0);
}

static void fallocate_reserves(void)
{
	struct stat st;
	int fd = tap_file("f", "ab");

	tap_must(fallocate(fd, 0, 0, 3 * PAGE));
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 3 * PAGE);
	tap_eq(st.st_blocks, 24);
	tap_must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE));
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 3 * PAGE);
	tap_err(fallocate(fd, 0, 0, 0), EINVAL);
	tap_err(fallocate(fd, 0, -1, 10), EINVAL);
	tap_err(fallocate(777, 0, 0, 10), EBADF);
	tap_err(fallocate(fd, 0, 0x7ffffffffffff000, 0x10000), EFBIG);
	int r = tap_must(open("f", O_RDONLY));
	tap_err(fallocate(r, 0, 0, 10), EBADF);
	int p[2];
	tap_must(pipe(p));
	tap_err(fallocate(p[1], 0, 0, 10), ESPIPE);
}

static void fallocate_punches_holes(void)
{
	struct stat st;
	char *p = tap_pages(4);
	int fd = tap_file("f", "");

	memset(p, 'a', 4 * PAGE);
	tap_eq(write(fd, p, 4 * PAGE), 4 * PAGE);
	tap_must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE - 10, PAGE + 20));
	tap_eq(pread(fd, p, 4 * PAGE, 0), 4 * PAGE);
	tap_eq(p[PAGE - 11], 'a');
	tap_eq(p[2 * PAGE + 10], 'a');
	for (unsigned i = PAGE - 10; i < 2 * PAGE + 10; i++)
		tap_need(p[i] == 0);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 4 * PAGE);
	tap_eq(st.st_blocks, 24);			/* one whole page went */
	tap_err(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE), EOPNOTSUPP);
	tap_err(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE), EOPNOTSUPP);
	tap_err(fallocate(fd, 0x4000, 0, PAGE), EOPNOTSUPP);
}

static void truncate_drops_setuid_for_others(void)
{
	struct stat st;

	tap_spit("f", "12345");
	tap_must(chown("f", 1000, 1000));
	tap_must(chmod("f", 06777));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_must(truncate("f", 1));
		tap_leave();
	}
	tap_join(kid);
	tap_must(stat("f", &st));
	tap_eq(st.st_mode & 07777, 0777);
}

static void write_drops_setuid_for_others(void)
{
	struct stat st;

	tap_spit("f", "12345");
	tap_must(chown("f", 1000, 1000));
	tap_must(chmod("f", 06777));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(2000, 2000);
		int fd = tap_must(open("f", O_WRONLY));
		tap_eq(write(fd, "x", 1), 1);
		tap_leave();
	}
	tap_join(kid);
	tap_must(stat("f", &st));
	tap_eq(st.st_mode & 07777, 0777);
}

TAP_MAIN(
	CASE(seek_set_cur_end),
	CASE(a_seek_alone_does_not_grow_a_file),
	CASE(holes_and_data_are_found),
	CASE(the_end_of_a_file_is_a_hole),
	CASE(sparse_files_use_few_blocks),
	CASE(truncate_cuts_and_grows),
	CASE(truncate_in_the_middle_of_a_page_clears_the_rest),
	CASE(truncate_errors),
	CASE(truncate_follows_symlinks),
	CASE(truncate_cuts_a_shared_mapping),
	CASE(fallocate_reserves),
	CASE(fallocate_punches_holes),
	CASE(truncate_drops_setuid_for_others),
	CASE(write_drops_setuid_for_others),
)
