/* rename, renameat, renameat2: replacement, directories, flags, errors. */
#include "tap.h"

#include <linux/fs.h>
#include <sys/mount.h>

#define RENAME2(a, b, fl) syscall(SYS_renameat2, AT_FDCWD, (a), AT_FDCWD, (b), (fl))

static ino_t ino(const char *name)
{
	struct stat st;

	tap_must(lstat(name, &st));
	return st.st_ino;
}

static void a_file_moves(void)
{
	tap_spit("a", "text");
	ino_t i = ino("a");
	tap_eq(rename("a", "b"), 0);
	tap_ok(!tap_exists("a"));
	tap_eq(ino("b"), i);
	tap_must(mkdir("d", 0755));
	tap_eq(rename("b", "d/c"), 0);
	tap_eq(ino("d/c"), i);
	tap_eq(rename("d/c", "d/c"), 0);		/* onto itself: nothing happens */
	tap_eq(ino("d/c"), i);
}

static void an_existing_file_is_replaced(void)
{
	char buf[8];
	int old;

	tap_spit("a", "new");
	old = tap_file("b", "old");
	ino_t i = ino("a");
	tap_eq(rename("a", "b"), 0);
	tap_eq(ino("b"), i);
	tap_slurp("b", buf, sizeof(buf));
	tap_str(buf, "new");
	tap_eq(read(old, buf, 8), 3);			/* the replaced one is open still */
	tap_eq(memcmp(buf, "old", 3), 0);
	struct stat st;
	tap_must(fstat(old, &st));
	tap_eq(st.st_nlink, 0);
}

static void two_names_of_one_file_stay(void)
{
	tap_spit("a", "x");
	tap_must(link("a", "b"));
	tap_eq(rename("a", "b"), 0);
	tap_ok(tap_exists("a") && tap_exists("b"));
}

static void directories_move(void)
{
	struct stat st;

	tap_must(mkdir("a", 0755));
	tap_must(mkdir("a/sub", 0755));
	tap_spit("a/f", "");
	tap_must(mkdir("p", 0755));
	tap_eq(rename("a", "p/b"), 0);
	tap_ok(tap_exists("p/b/sub") && tap_exists("p/b/f"));
	tap_must(stat("p", &st));
	tap_eq(st.st_nlink, 3);
	ino_t parent = ino("p/b/..");
	tap_eq(parent, ino("p"));
	tap_eq(rename("p/b/", "q"), 0);			/* a slash is fine for directories */
	tap_eq(ino("q/.."), ino("."));
	tap_must(stat("p", &st));
	tap_eq(st.st_nlink, 2);
}

static void an_empty_directory_is_replaced(void)
{
	struct stat st;

	tap_must(mkdir("a", 0755));
	tap_spit("a/f", "");
	tap_must(mkdir("b", 0755));
	ino_t i = ino("a");
	tap_eq(rename("a", "b"), 0);
	tap_eq(ino("b"), i);
	tap_ok(tap_exists("b/f"));
	tap_must(stat(".", &st));
	tap_eq(st.st_nlink, 3);
}

static void directory_errors(void)
{
	tap_spit("f", "");
	tap_must(mkdir("d", 0755));
	tap_must(mkdir("full", 0755));
	tap_spit("full/x", "");
	tap_must(mkdir("d/sub", 0755));
	tap_err(rename("f", "d"), EISDIR);
	tap_err(rename("d", "f"), ENOTDIR);
	tap_err(rename("d", "full"), ENOTEMPTY);
	tap_err(rename("d", "d/x"), EINVAL);
	tap_err(rename("d", "d/sub/x"), EINVAL);
	tap_err(rename("d/sub", "d"), ENOTEMPTY);
	tap_err(rename("f", "new/"), ENOTDIR);
	tap_err(rename("f/", "new"), ENOTDIR);
	tap_err(rename(".", "x"), EBUSY);
	tap_err(rename("d", "."), EBUSY);
	tap_err(rename("d/..", "x"), EBUSY);
}

static void path_errors(void)
{
	char name[300];

	memset(name, 'n', 299);
	name[299] = 0;
	tap_spit("f", "");
	tap_err(rename("absent", "x"), ENOENT);
	tap_err(rename("f", "absent/x"), ENOENT);
	tap_err(rename("f", ""), ENOENT);
	tap_err(rename("", "f"), ENOENT);
	tap_err(rename("f/x", "y"), ENOTDIR);
	tap_err(rename("f", name), ENAMETOOLONG);
	tap_err(rename("f", "/dev/x"), EXDEV);
	tap_efault_each(p, rename(p, "x"));
	tap_efault_each(p, rename("f", p));
	tap_err(renameat(777, "f", AT_FDCWD, "x"), EBADF);
	tap_err(renameat(AT_FDCWD, "f", 777, "x"), EBADF);
	int fd = tap_must(open("f", O_RDONLY));
	tap_err(renameat(fd, "f", AT_FDCWD, "x"), ENOTDIR);
	tap_ok(tap_exists("f"));
}

static void symlinks_are_moved_not_followed(void)
{
	char buf[8] = "";

	tap_must(mkdir("d", 0755));
	tap_must(symlink("d", "l"));
	tap_eq(rename("l", "m"), 0);
	tap_eq(readlink("m", buf, 8), 1);
	tap_spit("f", "");
	tap_eq(rename("f", "m"), 0);			/* replaces the link, not d */
	struct stat st;
	tap_must(lstat("m", &st));
	tap_ok(S_ISREG(st.st_mode));
	tap_ok(tap_exists("d"));
}

static void noreplace(void)
{
	tap_spit("a", "1");
	tap_spit("b", "2");
	tap_err(RENAME2("a", "b", RENAME_NOREPLACE), EEXIST);
	tap_eq(RENAME2("a", "c", RENAME_NOREPLACE), 0);
	tap_ok(!tap_exists("a") && tap_exists("c"));
	tap_err(RENAME2("c", "c", RENAME_NOREPLACE), EEXIST);
}

static void exchange(void)
{
	struct stat st;

	tap_spit("f", "1");
	tap_must(mkdir("p", 0755));
	tap_must(mkdir("p/d", 0755));
	tap_spit("p/d/x", "");
	ino_t f = ino("f"), d = ino("p/d");
	tap_eq(RENAME2("f", "p/d", RENAME_EXCHANGE), 0);
	tap_eq(ino("f"), d);
	tap_eq(ino("p/d"), f);
	tap_ok(tap_exists("f/x"));
	tap_eq(ino("f/.."), ino("."));
	tap_must(stat("p", &st));
	tap_eq(st.st_nlink, 2);
	tap_must(stat(".", &st));
	tap_eq(st.st_nlink, 4);
	tap_err(RENAME2("f", "absent", RENAME_EXCHANGE), ENOENT);
	tap_err(RENAME2("f", "f/x", RENAME_EXCHANGE), EINVAL);
}

static void flag_errors(void)
{
	tap_spit("a", "1");
	tap_spit("b", "2");
	tap_err(RENAME2("a", "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	tap_err(RENAME2("a", "b", RENAME_EXCHANGE | RENAME_WHITEOUT), EINVAL);
	tap_err(RENAME2("a", "b", 8), EINVAL);
	tap_err(RENAME2("a", "b", 0x80000000), EINVAL);
}

static void permissions(void)
{
	tap_must(mkdir("ro", 0755));
	tap_spit("ro/f", "");
	tap_must(mkdir("w", 0777));
	tap_must(chmod("w", 0777));
	tap_must(mkdir("sticky", 01777));
	tap_must(chmod("sticky", 01777));
	tap_spit("sticky/root", "");
	tap_spit("w/rootfile", "");
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(rename("ro/f", "w/f"), EACCES);
		tap_eq(rename("w/rootfile", "w/g"), 0);	/* the directory decides */
		tap_err(rename("w/g", "ro/g"), EACCES);
		tap_err(rename("sticky/root", "w/root"), EPERM);
		tap_spit("sticky/mine", "");
		tap_err(rename("sticky/mine", "sticky/root"), EPERM);
		tap_eq(rename("sticky/mine", "sticky/mine2"), 0);
		tap_leave();
	}
	tap_join(kid);
}

static void a_mount_point_stays(void)
{
	tap_must(mkdir("m", 0755));
	tap_must(mkdir("d", 0755));
	tap_must(mount("none", "m", "tmpfs", 0, NULL));
	tap_err(rename("m", "x"), EBUSY);
	tap_err(rename("d", "m"), EBUSY);
	tap_spit("m/f", "");
	tap_err(rename("m/f", "f"), EXDEV);
	tap_must(umount("m"));
	tap_eq(rename("m", "x"), 0);
}

static void times_change(void)
{
	struct stat a, b;
	struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };

	tap_must(mkdir("d", 0755));
	tap_spit("d/f", "");
	tap_must(utimensat(AT_FDCWD, "d/f", old, 0));
	tap_must(utimensat(AT_FDCWD, "d", old, 0));
	tap_must(rename("d/f", "d/g"));
	tap_must(stat("d", &a));
	tap_must(stat("d/g", &b));
	tap_ok(a.st_mtim.tv_sec > 1000);
	tap_eq(b.st_mtim.tv_sec, 1000);
	tap_ok(b.st_ctim.tv_sec > 1000);
}

static void replacement_is_atomic_for_readers(void)
{
	tap_spit("f", "x");
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int i = 0; i < 300; i++) {
			tap_spit("tmp", "x");
			tap_must(rename("tmp", "f"));
		}
		tap_leave();
	}
	for (int i = 0; i < 300; i++) {
		char c = 0;
		int fd = tap_must(open("f", O_RDONLY));	/* never absent */

		tap_need(read(fd, &c, 1) == 1 && c == 'x');
		close(fd);
	}
	tap_join(kid);
}

TAP_MAIN(
	CASE(a_file_moves),
	CASE(an_existing_file_is_replaced),
	CASE(two_names_of_one_file_stay),
	CASE(directories_move),
	CASE(an_empty_directory_is_replaced),
	CASE(directory_errors),
	CASE(path_errors),
	CASE(symlinks_are_moved_not_followed),
	CASE(noreplace),
	CASE(exchange),
	CASE(flag_errors),
	CASE(permissions),
	CASE(a_mount_point_stays),
	CASE(times_change),
	CASE(replacement_is_atomic_for_readers),
)
