/* stat, lstat, fstat, newfstatat, statx, access, faccessat, faccessat2. */
#include "tap.h"

#include <linux/stat.h>
#include <sys/sysmacros.h>

#define STATX(dfd, path, flags, mask, st) \
	syscall(SYS_statx, (dfd), (path), (flags), (mask), (st))

static void regular_file_fields(void)
{
	struct stat st, dir;

	tap_spit("f", "hello");
	tap_must(chmod("f", 0640));
	tap_must(chown("f", 12, 34));
	tap_must(stat("f", &st));
	tap_must(stat(".", &dir));
	tap_eq(st.st_mode, S_IFREG | 0640);
	tap_eq(st.st_uid, 12);
	tap_eq(st.st_gid, 34);
	tap_eq(st.st_size, 5);
	tap_eq(st.st_nlink, 1);
	tap_eq(st.st_dev, dir.st_dev);
	tap_ok(st.st_ino != 0 && st.st_ino != dir.st_ino);
	tap_eq(st.st_blksize, 4096);
	tap_eq(st.st_blocks, 8);
}

static void types_are_told_apart(void)
{
	struct stat st;
	int p[2];

	tap_must(mkdir("d", 0755));
	tap_must(symlink("0123456789", "l"));
	tap_must(mknod("fifo", S_IFIFO | 0600, 0));
	tap_must(mknod("sock", S_IFSOCK | 0600, 0));
	tap_must(mknod("chr", S_IFCHR | 0600, makedev(1, 3)));
	tap_must(mknod("blk", S_IFBLK | 0600, makedev(7, 300)));
	tap_must(stat("d", &st));
	tap_ok(S_ISDIR(st.st_mode));
	tap_must(lstat("l", &st));
	tap_ok(S_ISLNK(st.st_mode));
	tap_eq(st.st_size, 10);
	tap_eq(st.st_mode & 0777, 0777);
	tap_must(stat("fifo", &st));
	tap_ok(S_ISFIFO(st.st_mode));
	tap_must(stat("sock", &st));
	tap_ok(S_ISSOCK(st.st_mode));
	tap_must(stat("chr", &st));
	tap_ok(S_ISCHR(st.st_mode));
	tap_eq(st.st_rdev, makedev(1, 3));
	tap_must(stat("blk", &st));
	tap_ok(S_ISBLK(st.st_mode));
	tap_eq(st.st_rdev, makedev(7, 300));
	tap_must(pipe(p));
	tap_must(fstat(p[0], &st));
	tap_ok(S_ISFIFO(st.st_mode));
}

static void directory_link_counts(void)
{
	struct stat st;

	tap_must(mkdir("d", 0755));
	tap_must(stat("d", &st));
	tap_eq(st.st_nlink, 2);
	tap_must(mkdir("d/a", 0755));
	tap_must(mkdir("d/b", 0755));
	tap_spit("d/f", "");
	tap_must(stat("d", &st));
	tap_eq(st.st_nlink, 4);
	tap_must(rmdir("d/a"));
	tap_must(stat("d", &st));
	tap_eq(st.st_nlink, 3);
}

static void symlinks_are_followed_or_not(void)
{
	struct stat st;

	tap_spit("f", "abc");
	tap_must(symlink("f", "l"));
	tap_must(symlink("absent", "dangling"));
	tap_must(stat("l", &st));
	tap_ok(S_ISREG(st.st_mode));
	tap_must(lstat("l", &st));
	tap_ok(S_ISLNK(st.st_mode));
	tap_must(fstatat(AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW));
	tap_ok(S_ISLNK(st.st_mode));
	tap_err(stat("dangling", &st), ENOENT);
	tap_must(lstat("dangling", &st));
	tap_must(mkdir("d", 0755));
	tap_must(symlink("d", "ld"));
	tap_must(lstat("ld/", &st));			/* a slash follows */
	tap_ok(S_ISDIR(st.st_mode));
}

static void stat_errors(void)
{
	struct stat st;
	char name[300];

	memset(name, 'a', 299);
	name[299] = 0;
	tap_spit("f", "");
	tap_err(stat("absent", &st), ENOENT);
	tap_err(stat("", &st), ENOENT);
	tap_err(stat("f/", &st), ENOTDIR);
	tap_err(stat("f/x", &st), ENOTDIR);
	tap_err(stat(name, &st), ENAMETOOLONG);
	tap_err(fstat(777, &st), EBADF);
	tap_err(fstat(-1, &st), EBADF);
	tap_err(syscall(SYS_newfstatat, AT_FDCWD, "f", &st, 0x8000000), EINVAL);
	tap_err(syscall(SYS_newfstatat, 777, "f", &st, 0), EBADF);
	tap_efault_each(p, syscall(SYS_stat, p, &st));
	tap_efault_each(p, syscall(SYS_lstat, p, &st));
	tap_efault_each(p, syscall(SYS_stat, "f", p));
	tap_efault_each(p, syscall(SYS_lstat, "f", p));
	tap_efault_each(p, syscall(SYS_fstat, 1, p));
	tap_efault_each(p, syscall(SYS_newfstatat, AT_FDCWD, p, &st, 0));
	tap_efault_each(p, syscall(SYS_newfstatat, AT_FDCWD, "f", p, 0));
	tap_err(syscall(SYS_stat, "f", NULL), EFAULT);
}

static void stat_into_the_end_of_a_page(void)
{
	tap_spit("f", "abc");
	struct stat *whole = (void *)tap_page_edge(144);
	char *half = tap_page_edge(143);

	tap_eq(syscall(SYS_stat, "f", whole), 0);
	tap_eq(whole->st_size, 3);
	tap_err(syscall(SYS_stat, "f", half), EFAULT);
}

static void empty_path_means_the_descriptor(void)
{
	struct stat st;
	int fd = tap_file("f", "abcd");

	tap_eq(syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH), 0);
	tap_eq(st.st_size, 4);
	tap_err(syscall(SYS_newfstatat, fd, "", &st, 0), ENOENT);
	tap_err(syscall(SYS_newfstatat, fd, "x", &st, AT_EMPTY_PATH), ENOTDIR);
	tap_eq(syscall(SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH), 0);
	tap_ok(S_ISDIR(st.st_mode));
}

static void statx_agrees_with_stat(void)
{
	struct statx x;
	struct stat st;

	tap_spit("f", "hello");
	tap_must(stat("f", &st));
	memset(&x, 0xaa, sizeof(x));
	tap_eq(STATX(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x), 0);
	tap_eq(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	tap_eq(x.stx_mode, st.st_mode);
	tap_eq(x.stx_ino, st.st_ino);
	tap_eq(x.stx_size, 5);
	tap_eq(x.stx_nlink, 1);
	tap_eq(x.stx_blksize, st.st_blksize);
	tap_eq(x.stx_blocks, st.st_blocks);
	tap_eq(makedev(x.stx_dev_major, x.stx_dev_minor), st.st_dev);
	tap_eq(x.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	tap_eq(x.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
}

static void statx_birth_time_and_flags(void)
{
	struct statx x;
	int fd = tap_file("f", "hello");

	tap_eq(STATX(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &x), 0);
	tap_eq(x.stx_mask & STATX_BTIME, STATX_BTIME);
	tap_ok(x.stx_btime.tv_sec > 0 || x.stx_btime.tv_nsec > 0);
	tap_must(symlink("f", "l"));
	tap_eq(STATX(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x), 0);
	tap_ok(S_ISLNK(x.stx_mode));
	tap_err(STATX(AT_FDCWD, "f", 0, 0x80000000, &x), EINVAL);
	tap_err(STATX(AT_FDCWD, "f", AT_STATX_SYNC_TYPE, 0, &x), EINVAL);
	tap_err(STATX(AT_FDCWD, "f", 0x10000000, 0, &x), EINVAL);
	tap_err(STATX(AT_FDCWD, "absent", 0, 0, &x), ENOENT);
	tap_err(STATX(777, "f", 0, 0, &x), EBADF);
	tap_efault_each(p, STATX(AT_FDCWD, p, 0, 0, &x));
	tap_efault_each(p, STATX(AT_FDCWD, "f", 0, 0, p));
}

static void access_for_root(void)
{
	tap_spit("f", "");
	tap_must(chmod("f", 0));
	tap_eq(access("f", F_OK), 0);
	tap_eq(access("f", R_OK | W_OK), 0);
	tap_err(access("f", X_OK), EACCES);		/* nobody may execute it */
	tap_must(chmod("f", 0001));
	tap_eq(access("f", X_OK), 0);
	tap_err(access("absent", F_OK), ENOENT);
	tap_err(access("f/x", F_OK), ENOTDIR);
	tap_err(access("f", 8), EINVAL);
	tap_efault_each(p, access(p, F_OK));
}

static void access_asks_the_real_user(void)
{
	tap_spit("f", "");
	tap_must(chmod("f", 0600));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(setresuid(1000, 0, 0));	/* effective root */
		tap_err(access("f", R_OK), EACCES);
		tap_must(close(tap_must(open("f", O_RDONLY))));
		tap_eq(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS), 0);
		tap_err(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, 0), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void access_by_class(void)
{
	tap_spit("f", "");
	tap_must(chown("f", 1000, 2000));
	tap_must(chmod("f", 0462));
	static const struct { uid_t u; gid_t g; int yes; } who[] = {
		{ 1000, 2000, R_OK }, { 1001, 2000, R_OK | W_OK }, { 1001, 2001, W_OK },
		{ 1000, 9, R_OK },
	};
	for (unsigned i = 0; i < ARRAY_LEN(who); i++) {
		pid_t kid = tap_fork();
		if (kid == 0) {
			tap_become(who[i].u, who[i].g);
			for (int m = 1; m < 8; m++)
				tap_eq(access("f", m), (m & ~who[i].yes) ? -1 : 0);
			tap_leave();
		}
		tap_join(kid);
	}
}

static void faccessat2_flags(void)
{
	tap_must(symlink("absent", "l"));
	tap_eq(syscall(SYS_faccessat2, AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	tap_err(syscall(SYS_faccessat2, AT_FDCWD, "l", F_OK, 0), ENOENT);
	tap_err(syscall(SYS_faccessat2, AT_FDCWD, "l", F_OK, 1), EINVAL);
	tap_err(syscall(SYS_faccessat2, 777, "l", F_OK, 0), EBADF);
	int fd = tap_file("f", "");
	tap_eq(syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH), 0);
	tap_err(syscall(SYS_faccessat, fd, "x", R_OK), ENOTDIR);
}

TAP_MAIN(
	CASE(regular_file_fields),
	CASE(types_are_told_apart),
	CASE(directory_link_counts),
	CASE(symlinks_are_followed_or_not),
	CASE(stat_errors),
	CASE(stat_into_the_end_of_a_page),
	CASE(empty_path_means_the_descriptor),
	CASE(statx_agrees_with_stat),
	CASE(statx_birth_time_and_flags),
	CASE(access_for_root),
	CASE(access_asks_the_real_user),
	CASE(access_by_class),
	CASE(faccessat2_flags),
)
