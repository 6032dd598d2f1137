/* Path walk: dots, slashes, symlinks and their limits; openat2 resolve flags; at-family bases. */
#include "tap.h"

#include <linux/openat2.h>
#include <sys/mount.h>

static long openat2(int dfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .mode = mode, .resolve = resolve };

	return syscall(SYS_openat2, dfd, path, &how, sizeof(how));
}

static void dots_and_slashes(void)
{
	tap_must(mkdir("a", 0755));
	tap_must(mkdir("a/b", 0755));
	tap_spit("a/b/f", "");
	static const char *const same[] = {
		"a/b/f", "./a/b/f", "a//b///f", "a/./b/./f", "a/b/../b/f", "a/../a/b/f",
		"./././a/b/../../a/b/f", ".//a/b/f",
	};
	struct stat first, st;
	tap_must(stat("a/b/f", &first));
	for (unsigned i = 0; i < ARRAY_LEN(same); i++) {
		tap_eq(stat(same[i], &st), 0);
		tap_eq(st.st_ino, first.st_ino);
	}
	tap_err(stat("a/b/f/.", &st), ENOTDIR);
	tap_err(stat("a/b/f/..", &st), ENOTDIR);
	tap_err(stat("a/absent/../b/f", &st), ENOENT);
	tap_eq(stat("/../../..//tmp", &st), 0);
}

static void symlink_targets(void)
{
	struct stat st;
	char cwd[256], abs[300];

	tap_need(getcwd(cwd, sizeof(cwd)) != NULL);
	tap_must(mkdir("d", 0755));
	tap_spit("d/f", "abc");
	tap_must(symlink("f", "d/rel"));
	tap_must(symlink("../d", "d/up"));
	snprintf(abs, sizeof(abs), "%s/d/f", cwd);
	tap_must(symlink(abs, "abs"));
	tap_must(symlink("d/", "slash"));
	tap_must(symlink("/", "root"));
	tap_eq(stat("d/rel", &st), 0);			/* relative to the link's directory */
	tap_eq(stat("d/up/up/up/f", &st), 0);
	tap_eq(stat("abs", &st), 0);
	tap_eq(stat("slash/f", &st), 0);
	tap_eq(stat("root/tmp", &st), 0);
	tap_err(stat("abs/", &st), ENOTDIR);
	tap_must(symlink("d/f/", "fileslash"));
	tap_err(stat("fileslash", &st), ENOTDIR);
}

static void forty_links_and_no_more(void)
{
	struct stat st;
	char a[16], b[16];

	tap_spit("l0", "");
	for (int i = 1; i <= 41; i++) {
		snprintf(a, sizeof(a), "l%d", i - 1);
		snprintf(b, sizeof(b), "l%d", i);
		tap_must(symlink(a, b));
	}
	tap_eq(stat("l40", &st), 0);
	tap_err(stat("l41", &st), ELOOP);
	/* links in the middle count as well */
	tap_must(symlink(".", "here"));
	char path[300] = "";
	for (int i = 0; i < 40; i++)
		strcat(path, "here/");
	strcat(path, "l0");
	tap_eq(stat(path, &st), 0);
	char more[310];
	snprintf(more, sizeof(more), "here/%s", path);
	tap_err(stat(more, &st), ELOOP);
}

static void loops(void)
{
	struct stat st;

	tap_must(symlink("b", "a"));
	tap_must(symlink("a", "b"));
	tap_err(stat("a", &st), ELOOP);
	tap_err(open("a", O_CREAT | O_RDWR, 0600), ELOOP);
	tap_err(mkdir("a/x", 0755), ELOOP);
	tap_eq(lstat("a", &st), 0);
	tap_eq(unlink("a"), 0);
	tap_err(stat("b", &st), ENOENT);
}

static void a_path_of_4095_bytes(void)
{
	char path[4200];
	struct stat st;

	tap_spit("f", "");
	memset(path, '/', sizeof(path));
	path[0] = '.';
	path[4094] = 'f';
	path[4095] = 0;
	tap_eq(stat(path, &st), 0);
	path[4095] = '/';
	path[4094] = '/';
	path[4095] = 'f';
	path[4096] = 0;
	tap_err(stat(path, &st), ENAMETOOLONG);
}

static void a_component_of_255_bytes(void)
{
	char name[600];
	struct stat st;

	memset(name, 'c', 255);
	name[255] = 0;
	tap_must(mkdir(name, 0755));
	strcat(name, "/x");
	tap_spit(name, "");
	tap_eq(stat(name, &st), 0);
	memset(name, 'c', 256);
	strcpy(name + 256, "/x");
	tap_err(stat(name, &st), ENAMETOOLONG);
}

static void search_permission_along_the_way(void)
{
	struct stat st;

	tap_must(mkdir("a", 0755));
	tap_must(mkdir("a/b", 0700));
	tap_spit("a/b/f", "");
	tap_must(mkdir("x", 0711));
	tap_spit("x/f", "");
	tap_must(chmod("x", 0711));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(stat("a/b/f", &st), EACCES);
		tap_err(stat("a/b/..", &st), EACCES);
		tap_eq(stat("a/b", &st), 0);
		tap_eq(stat("x/f", &st), 0);		/* may pass, may not list */
		tap_err(open("x", O_RDONLY), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void openat_follows_a_moved_directory(void)
{
	tap_must(mkdir("d", 0755));
	int d = tap_must(open("d", O_RDONLY | O_DIRECTORY));
	tap_must(rename("d", "e"));
	tap_must(close(tap_must(openat(d, "f", O_CREAT | O_RDWR, 0600))));
	tap_ok(tap_exists("e/f"));
	struct stat a, b;
	tap_must(fstatat(d, "..", &a, 0));
	tap_must(stat(".", &b));
	tap_eq(a.st_ino, b.st_ino);
}

static void the_whole_at_family_takes_a_base(void)
{
	struct stat st;
	struct timespec ts[2] = { { 5, 0 }, { 6, 0 } };
	char buf[16] = "";

	tap_must(mkdir("d", 0755));
	int d = tap_must(open("d", O_PATH | O_DIRECTORY));
	tap_eq(mkdirat(d, "sub", 0755), 0);
	tap_eq(mknodat(d, "fifo", S_IFIFO | 0600, 0), 0);
	tap_must(close(tap_must(openat(d, "f", O_CREAT | O_RDWR, 0600))));
	tap_eq(symlinkat("f", d, "l"), 0);
	tap_eq(readlinkat(d, "l", buf, 16), 1);
	tap_eq(linkat(d, "f", d, "g", 0), 0);
	tap_eq(renameat(d, "g", d, "h"), 0);
	tap_eq(fchmodat(d, "h", 0640, 0), 0);
	tap_eq(fchownat(d, "h", 1, 2, 0), 0);
	tap_eq(faccessat(d, "h", R_OK, 0), 0);
	tap_eq(utimensat(d, "h", ts, 0), 0);
	tap_eq(fstatat(d, "h", &st, 0), 0);
	tap_eq(st.st_mode & 07777, 0640);
	tap_eq(st.st_uid, 1);
	tap_eq(st.st_mtim.tv_sec, 6);
	tap_eq(unlinkat(d, "h", 0), 0);
	tap_eq(unlinkat(d, "sub", AT_REMOVEDIR), 0);
	tap_ok(tap_exists("d/f") && tap_exists("d/fifo") && !tap_exists("d/h"));
}

static void openat2_arguments(void)
{
	struct open_how how = { .flags = O_RDONLY };
	struct { struct open_how how; uint64_t extra; } big = { .how = how };

	tap_spit("f", "");
	tap_must(close(tap_must((int)openat2(AT_FDCWD, "f", O_RDONLY, 0, 0))));
	tap_err(openat2(AT_FDCWD, "f", O_RDONLY, 0600, 0), EINVAL);	/* mode without O_CREAT */
	tap_err(openat2(AT_FDCWD, "f", 1ull << 40, 0, 0), EINVAL);
	tap_err(openat2(AT_FDCWD, "f", O_RDONLY, 0, 0x8000), EINVAL);
	tap_err(openat2(AT_FDCWD, "g", O_CREAT | O_RDWR, 010000, 0), EINVAL);
	tap_err(syscall(SYS_openat2, AT_FDCWD, "f", &how, 8), EINVAL);
	tap_must(close(tap_must((int)syscall(SYS_openat2, AT_FDCWD, "f", &big, sizeof(big)))));
	big.extra = 1;
	tap_err(syscall(SYS_openat2, AT_FDCWD, "f", &big, sizeof(big)), E2BIG);
	tap_efault_each(p, syscall(SYS_openat2, AT_FDCWD, "f", p, sizeof(how)));
}

static void openat2_resolve_flags(void)
{
	tap_must(mkdir("d", 0755));
	tap_must(mkdir("d/m", 0755));
	tap_spit("f", "");
	tap_spit("d/f", "");
	tap_must(symlink("f", "d/in"));
	tap_must(symlink("../f", "d/out"));
	tap_must(symlink("/f", "d/abs"));
	int d = tap_must(open("d", O_RDONLY));
	tap_must((int)openat2(d, "in", O_RDONLY, 0, RESOLVE_BENEATH));
	tap_err(openat2(d, "out", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	tap_err(openat2(d, "../f", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	tap_err(openat2(d, "/tmp", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	tap_must((int)openat2(d, "../f", O_RDONLY, 0, RESOLVE_IN_ROOT));
	tap_must((int)openat2(d, "abs", O_RDONLY, 0, RESOLVE_IN_ROOT));
	tap_err(openat2(d, "in", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
	tap_must((int)openat2(d, "f", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
	tap_err(openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
	tap_must(mount("none", "d/m", "tmpfs", 0, NULL));
	tap_err(openat2(d, "m", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
	tap_must(umount("d/m"));
	tap_must((int)openat2(d, "m", O_RDONLY, 0, RESOLVE_NO_XDEV));
}

static void creating_through_a_dangling_link(void)
{
	tap_must(mkdir("d", 0755));
	tap_must(symlink("d/new", "l"));
	tap_must(close(tap_must(open("l", O_CREAT | O_WRONLY, 0600))));
	tap_ok(tap_exists("d/new"));
	tap_must(symlink("absent/new", "m"));
	tap_err(open("m", O_CREAT | O_WRONLY, 0600), ENOENT);
	tap_must(symlink("d/other", "n"));
	tap_err(mkdir("n", 0755), EEXIST);
	tap_ok(!tap_exists("d/other"));
}

TAP_MAIN(
	CASE(dots_and_slashes),
	CASE(symlink_targets),
	CASE(forty_links_and_no_more),
	CASE(loops),
	CASE(a_path_of_4095_bytes),
	CASE(a_component_of_255_bytes),
	CASE(search_permission_along_the_way),
	CASE(openat_follows_a_moved_directory),
	CASE(the_whole_at_family_takes_a_base),
	CASE(openat2_arguments),
	CASE(openat2_resolve_flags),
	CASE(creating_through_a_dangling_link),
)
