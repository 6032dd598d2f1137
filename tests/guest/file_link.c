/* link, linkat, symlink, readlink, unlink, unlinkat: names, counts, unlinked-but-open files. */
#include "tap.h"

static nlink_t links(const char *name)
{
	struct stat st;

	tap_must(lstat(name, &st));
	return st.st_nlink;
}

static void hard_links_share_one_file(void)
{
	char buf[8] = "";
	struct stat a, b;

	tap_spit("a", "one");
	tap_eq(link("a", "b"), 0);
	tap_must(stat("a", &a));
	tap_must(stat("b", &b));
	tap_eq(a.st_ino, b.st_ino);
	tap_eq(a.st_nlink, 2);
	tap_spit("b", "two");
	tap_slurp("a", buf, sizeof(buf));
	tap_str(buf, "two");
	tap_must(unlink("a"));
	tap_eq(links("b"), 1);
}

static void link_errors(void)
{
	tap_spit("f", "");
	tap_must(mkdir("d", 0755));
	tap_spit("g", "");
	tap_err(link("absent", "x"), ENOENT);
	tap_err(link("f", "g"), EEXIST);
	tap_err(link("f", "f"), EEXIST);
	tap_err(link("d", "x"), EPERM);
	tap_err(link("f", "absent/x"), ENOENT);
	tap_err(link("f/x", "y"), ENOTDIR);
	tap_err(link("f", ""), ENOENT);
	tap_err(link("", "x"), ENOENT);
	tap_err(link("f", "x/"), ENOENT);
	tap_err(link("f", "/dev/x"), EXDEV);
	tap_efault_each(p, link(p, "x"));
	tap_efault_each(p, link("f", p));
	tap_err(linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x8000), EINVAL);
	tap_err(linkat(777, "f", AT_FDCWD, "x", 0), EBADF);
	tap_err(linkat(AT_FDCWD, "f", 777, "x", 0), EBADF);
}

static void link_of_a_symlink_links_the_symlink(void)
{
	struct stat st;

	tap_spit("f", "");
	tap_must(symlink("f", "l"));
	tap_must(link("l", "l2"));
	tap_must(lstat("l2", &st));
	tap_ok(S_ISLNK(st.st_mode));
	tap_must(linkat(AT_FDCWD, "l", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW));
	tap_must(lstat("f2", &st));
	tap_ok(S_ISREG(st.st_mode));
}

static void linkat_from_a_descriptor(void)
{
	char path[64];
	int fd = tap_file("f", "abc");

	tap_must(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
	tap_eq(links("f"), 2);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	tap_must(linkat(AT_FDCWD, path, AT_FDCWD, "h", AT_SYMLINK_FOLLOW));
	tap_eq(links("f"), 3);
	tap_must(unlink("f"));
	tap_must(unlink("g"));
	tap_must(unlink("h"));
	tap_err(linkat(fd, "", AT_FDCWD, "i", AT_EMPTY_PATH), ENOENT);	/* no name is left */
}

static void an_unlinked_file_lives_while_open(void)
{
	struct stat st;
	char buf[8] = "";
	int fd = tap_file("f", "alive");

	tap_must(unlink("f"));
	tap_err(stat("f", &st), ENOENT);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_nlink, 0);
	tap_eq(read(fd, buf, 8), 5);
	tap_str(buf, "alive");
	tap_eq(write(fd, "!", 1), 1);
	int again = tap_file("f", "new");
	tap_eq(pread(fd, buf, 8, 0), 6);
	tap_eq(pread(again, buf, 8, 0), 3);
}

static void an_unlinked_file_lives_while_mapped(void)
{
	int fd = tap_file("f", "mapped");
	char *m = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	tap_need(m != MAP_FAILED);
	close(fd);
	tap_must(unlink("f"));
	tap_eq(memcmp(m, "mapped", 7), 0);
}

static void unlink_errors(void)
{
	tap_spit("f", "");
	tap_must(mkdir("d", 0755));
	tap_err(unlink("absent"), ENOENT);
	tap_err(unlink("d"), EISDIR);
	tap_err(unlink("f/"), ENOTDIR);
	tap_err(unlink("f/x"), ENOTDIR);
	tap_err(unlink(""), ENOENT);
	tap_err(unlink("."), EISDIR);
	tap_err(unlink(".."), EISDIR);
	tap_err(unlink("/"), EISDIR);
	tap_efault_each(p, unlink(p));
	tap_err(unlinkat(AT_FDCWD, "f", 0x1000), EINVAL);
	tap_err(unlinkat(777, "f", 0), EBADF);
	tap_err(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	tap_eq(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR), 0);
}

static void unlink_needs_the_directory(void)
{
	tap_must(mkdir("ro", 0755));
	tap_spit("ro/f", "");
	tap_must(chmod("ro/f", 0777));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(unlink("ro/f"), EACCES);
		tap_err(link("ro/f", "ro/g"), EACCES);
		tap_err(symlink("x", "ro/l"), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void symlinks_hold_any_text(void)
{
	char text[4096], buf[4200];

	tap_must(symlink("../x//y/ z", "l"));
	tap_eq(readlink("l", buf, sizeof(buf)), 10);
	tap_eq(memcmp(buf, "../x//y/ z", 10), 0);
	memset(text, 'p', sizeof(text));
	text[4095] = 0;
	tap_must(symlink(text, "long"));
	tap_eq(readlink("long", buf, sizeof(buf)), 4095);
	struct stat st;
	tap_must(lstat("long", &st));
	tap_eq(st.st_size, 4095);
}

static void symlink_errors(void)
{
	static char text[5000];

	memset(text, 'p', 4096);
	tap_spit("f", "");
	tap_err(symlink("x", "f"), EEXIST);
	tap_err(symlink("", "l"), ENOENT);
	tap_err(symlink("x", ""), ENOENT);
	tap_err(symlink("x", "absent/l"), ENOENT);
	tap_err(symlink("x", "f/l"), ENOTDIR);
	tap_err(symlink(text, "l"), ENAMETOOLONG);
	tap_efault_each(p, symlink(p, "l"));
	tap_efault_each(p, symlink("x", p));
	tap_err(symlinkat("x", 777, "l"), EBADF);
}

static void readlink_cuts_without_a_nul(void)
{
	char buf[8] = "........";

	tap_must(symlink("target", "l"));
	tap_eq(readlink("l", buf, 3), 3);
	tap_eq(memcmp(buf, "tar.....", 8), 0);
	tap_eq(readlink("l", buf, 6), 6);
	tap_eq(buf[6], '.');
}

static void readlink_errors(void)
{
	char buf[8];

	tap_spit("f", "");
	tap_must(symlink("target", "l"));
	tap_err(readlink("f", buf, 8), EINVAL);
	tap_err(readlink("absent", buf, 8), ENOENT);
	tap_err(readlink(".", buf, 8), EINVAL);
	tap_err(syscall(SYS_readlink, "l", buf, 0), EINVAL);
	tap_err(syscall(SYS_readlink, "l", buf, -1), EINVAL);
	tap_efault_each(p, syscall(SYS_readlink, p, buf, 8));
	tap_efault_each(p, syscall(SYS_readlink, "l", p, 8));
	tap_err(readlinkat(777, "l", buf, 8), EBADF);
	char *edge = tap_page_edge(3);
	tap_eq(readlink("l", edge, 3), 3);
	tap_err(readlink("l", edge, 6), EFAULT);
}

static void many_links_to_one_file(void)
{
	char name[16];

	tap_spit("f", "");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		tap_must(link("f", name));
	}
	tap_eq(links("f"), 201);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		tap_must(unlink(name));
	}
	tap_eq(links("f"), 1);
}

static void mknod_errors(void)
{
	tap_spit("f", "");
	tap_err(mknod("f", S_IFREG | 0600, 0), EEXIST);
	tap_err(mknod("x", S_IFDIR | 0700, 0), EPERM);
	tap_err(mknod("x", 0170000, 0), EINVAL);
	tap_err(mknod("absent/x", S_IFREG, 0), ENOENT);
	tap_efault_each(p, mknod(p, S_IFREG, 0));
	tap_eq(mknod("plain", 0644, 0), 0);		/* type 0 means a regular file */
	struct stat st;
	tap_must(stat("plain", &st));
	tap_eq(st.st_mode, S_IFREG | 0644);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(mknod("dev", S_IFCHR | 0600, 0x103), EPERM);
		tap_eq(mknod("fifo", S_IFIFO | 0600, 0), 0);
		tap_leave();
	}
	tap_join(kid);
}

TAP_MAIN(
	CASE(hard_links_share_one_file),
	CASE(link_errors),
	CASE(link_of_a_symlink_links_the_symlink),
	CASE(linkat_from_a_descriptor),
	CASE(an_unlinked_file_lives_while_open),
	CASE(an_unlinked_file_lives_while_mapped),
	CASE(unlink_errors),
	CASE(unlink_needs_the_directory),
	CASE(symlinks_hold_any_text),
	CASE(symlink_errors),
	CASE(readlink_cuts_without_a_nul),
	CASE(readlink_errors),
	CASE(many_links_to_one_file),
	CASE(mknod_errors),
)
