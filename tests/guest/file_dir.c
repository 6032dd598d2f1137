/* mkdir, rmdir, chdir, fchdir, getcwd, getdents64: directories, and listing them under change. */
#include "tap.h"

#include <dirent.h>

struct ent {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static long dents_read(int fd, void *buf, size_t n)
{
	return syscall(SYS_getdents64, fd, buf, n);
}

static void make_files(const char *dir, int n)
{
	char name[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s/f%03d", dir, i);
		tap_spit(name, "");
	}
}

static void mkdir_sets_mode_and_dots(void)
{
	struct stat st;

	umask(022);
	tap_must(mkdir("d", 0777));
	tap_must(stat("d", &st));
	tap_eq(st.st_mode, S_IFDIR | 0755);
	tap_must(mkdir("e", 01777));
	tap_must(stat("e", &st));
	tap_eq(st.st_mode & 07777, 01755);
	tap_ok(tap_exists("d/.") && tap_exists("d/.."));
	tap_must(mkdir("d/slash/", 0755));
}

static void mkdir_errors(void)
{
	char name[300];

	memset(name, 'n', 299);
	name[299] = 0;
	tap_spit("f", "");
	tap_must(symlink("absent", "l"));
	tap_err(mkdir("f", 0755), EEXIST);
	tap_err(mkdir("l", 0755), EEXIST);
	tap_err(mkdir(".", 0755), EEXIST);
	tap_err(mkdir("/", 0755), EEXIST);
	tap_err(mkdir("absent/d", 0755), ENOENT);
	tap_err(mkdir("f/d", 0755), ENOTDIR);
	tap_err(mkdir("", 0755), ENOENT);
	tap_err(mkdir(name, 0755), ENAMETOOLONG);
	tap_efault_each(p, mkdir(p, 0755));
	tap_err(mkdirat(777, "d", 0755), EBADF);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(mkdir("ro", 0755));
		tap_become(1000, 1000);
		tap_err(mkdir("ro/d", 0755), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void rmdir_errors(void)
{
	tap_spit("f", "");
	tap_must(mkdir("d", 0755));
	tap_must(mkdir("d/e", 0755));
	tap_must(symlink("d", "l"));
	tap_err(rmdir("d"), ENOTEMPTY);
	tap_err(rmdir("d/e/.."), ENOTEMPTY);
	tap_err(rmdir("d/e/."), EINVAL);
	tap_err(rmdir("f"), ENOTDIR);
	tap_err(rmdir("l"), ENOTDIR);
	tap_err(rmdir("absent"), ENOENT);
	tap_err(rmdir("/"), EBUSY);
	tap_efault_each(p, rmdir(p));
	tap_eq(rmdir("d/e/"), 0);
	tap_eq(rmdir("d"), 0);
}

static void a_removed_directory_stays_usable_by_its_holders(void)
{
	char buf[256];

	tap_must(mkdir("d", 0755));
	int fd = tap_must(open("d", O_RDONLY));
	tap_must(chdir("d"));
	tap_must(rmdir("../d"));
	tap_err(open("x", O_CREAT | O_RDWR, 0600), ENOENT);
	tap_err(mkdir("x", 0755), ENOENT);
	tap_err(getcwd(buf, sizeof(buf)) ? 0 : -1, ENOENT);
	tap_err(dents_read(fd, buf, sizeof(buf)), ENOENT);
	struct stat st;
	tap_must(fstat(fd, &st));
	tap_eq(st.st_nlink, 0);
	tap_must(chdir(".."));
}

static void chdir_and_getcwd(void)
{
	char a[256], b[300], want[300];

	tap_need(getcwd(a, sizeof(a)) != NULL);
	tap_must(mkdir("d", 0755));
	tap_must(symlink("d", "l"));
	tap_must(chdir("l"));
	tap_need(getcwd(b, sizeof(b)) != NULL);
	snprintf(want, sizeof(want), "%s/d", a);
	tap_str(b, want);
	tap_must(rename("../d", "../moved"));
	tap_need(getcwd(b, sizeof(b)) != NULL);
	snprintf(want, sizeof(want), "%s/moved", a);
	tap_str(b, want);
	tap_must(chdir("/"));
	tap_eq(syscall(SYS_getcwd, b, sizeof(b)), 2);
	tap_str(b, "/");
	tap_must(chdir(".."));
	tap_str(getcwd(b, sizeof(b)), "/");
}

static void chdir_errors(void)
{
	tap_spit("f", "");
	tap_must(mkdir("shut", 0700));
	tap_err(chdir("f"), ENOTDIR);
	tap_err(chdir("absent"), ENOENT);
	tap_err(chdir(""), ENOENT);
	tap_efault_each(p, chdir(p));
	int fd = tap_must(open("f", O_RDONLY));
	tap_err(fchdir(fd), ENOTDIR);
	tap_err(fchdir(777), EBADF);
	pid_t kid = tap_fork();
	if (kid == 0) {
		int d = tap_must(open("shut", O_RDONLY));

		tap_become(1000, 1000);
		tap_err(chdir("shut"), EACCES);
		tap_err(fchdir(d), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void getcwd_errors(void)
{
	char buf[4];

	tap_err(syscall(SYS_getcwd, buf, 4l), ERANGE);
	tap_err(syscall(SYS_getcwd, buf, 0l), ERANGE);
	tap_efault_each(p, syscall(SYS_getcwd, p, 256l));
}

static void the_working_directory_belongs_to_the_process(void)
{
	char a[256], b[256];

	tap_must(mkdir("d", 0755));
	tap_need(getcwd(a, sizeof(a)) != NULL);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(chdir("d"));
		tap_leave();
	}
	tap_join(kid);
	tap_str(getcwd(b, sizeof(b)), a);
}

static void getdents_lists_everything_once(void)
{
	static char seen[300], buf[700];
	int dots = 0;
	long n;

	tap_must(mkdir("d", 0755));
	make_files("d", 300);
	int fd = tap_must(open("d", O_RDONLY | O_DIRECTORY));
	while ((n = dents_read(fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n;) {
			struct ent *e = (void *)(buf + at);

			tap_eq(e->len % 8, 0);
			tap_need(e->len >= 24 && at + e->len <= n);
			if (e->name[0] == '.') {
				dots++;
				tap_eq(e->type, DT_DIR);
			} else {
				tap_eq(e->type, DT_REG);
				seen[atoi(e->name + 1)]++;
			}
			tap_ok(e->ino != 0);
			at += e->len;
		}
	}
	tap_eq(n, 0);
	tap_eq(dots, 2);
	for (int i = 0; i < 300; i++)
		tap_need(seen[i] == 1);
	tap_eq(dents_read(fd, buf, sizeof(buf)), 0);	/* stays at the end */
}

static void getdents_errors(void)
{
	char buf[64];
	int f = tap_file("f", "");

	tap_must(mkdir("d", 0755));
	tap_spit("d/a-name-that-needs-some-room", "");
	int fd = tap_must(open("d", O_RDONLY));
	tap_err(dents_read(f, buf, sizeof(buf)), ENOTDIR);
	tap_err(dents_read(777, buf, sizeof(buf)), EBADF);
	tap_err(dents_read(fd, buf, 10), EINVAL);
	tap_efault_each(p, dents_read(fd, p, 4096));
	tap_must(lseek(fd, 0, SEEK_SET));
	tap_eq(dents_read(fd, buf, 24), 24);		/* "." alone fits */
	tap_eq(dents_read(fd, buf, 24), 24);
	tap_err(dents_read(fd, buf, 24), EINVAL);
	tap_ok(dents_read(fd, buf, 64) > 24);		/* nothing was skipped */
}

static void getdents_types(void)
{
	static char buf[4096];
	int left = 0;

	tap_must(mkdir("d", 0755));
	tap_must(mkdir("d/dir", 0755));
	tap_spit("d/reg", "");
	tap_must(symlink("x", "d/lnk"));
	tap_must(mknod("d/fifo", S_IFIFO | 0600, 0));
	tap_must(mknod("d/sock", S_IFSOCK | 0600, 0));
	tap_must(mknod("d/chr", S_IFCHR | 0600, 0x103));
	int fd = tap_must(open("d", O_RDONLY));
	long n = dents_read(fd, buf, sizeof(buf));
	for (long at = 0; at < n; at += ((struct ent *)(buf + at))->len) {
		struct ent *e = (void *)(buf + at);
		int want = strcmp(e->name, "reg") == 0 ? DT_REG :
			   strcmp(e->name, "lnk") == 0 ? DT_LNK :
			   strcmp(e->name, "fifo") == 0 ? DT_FIFO :
			   strcmp(e->name, "sock") == 0 ? DT_SOCK :
			   strcmp(e->name, "chr") == 0 ? DT_CHR : DT_DIR;
		tap_eq(e->type, want);
		left++;
	}
	tap_eq(left, 8);
}

static void removing_while_listing_loses_nothing(void)
{
	static char buf[256];
	char name[64];
	int removed = 0;
	long n;

	tap_must(mkdir("d", 0755));
	make_files("d", 200);
	int fd = tap_must(open("d", O_RDONLY));
	while ((n = dents_read(fd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n; at += ((struct ent *)(buf + at))->len) {
			struct ent *e = (void *)(buf + at);

			if (e->name[0] == '.')
				continue;
			snprintf(name, sizeof(name), "d/%s", e->name);
			tap_must(unlink(name));
			removed++;
		}
	tap_eq(removed, 200);
	tap_eq(rmdir("d"), 0);
}

static void old_entries_are_seen_once_while_others_come_and_go(void)
{
	static char buf[200], seen[100];
	char name[64];
	int round = 0;
	long n;

	tap_must(mkdir("d", 0755));
	make_files("d", 100);
	int fd = tap_must(open("d", O_RDONLY));
	while ((n = dents_read(fd, buf, sizeof(buf))) > 0 && round < 1000) {
		for (long at = 0; at < n; at += ((struct ent *)(buf + at))->len) {
			struct ent *e = (void *)(buf + at);

			if (e->name[0] == 'f')
				seen[atoi(e->name + 1)]++;
		}
		snprintf(name, sizeof(name), "d/g%d", round);
		if (round < 20)
			tap_spit(name, "");
		snprintf(name, sizeof(name), "d/g%d", round++ - 5);
		unlink(name);
	}
	for (int i = 0; i < 100; i++)
		tap_need(seen[i] == 1);
}

static void offsets_can_be_returned_to(void)
{
	char first[32], again[32];
	struct dirent *e;
	long pos = 0;

	tap_must(mkdir("d", 0755));
	make_files("d", 50);
	DIR *d = opendir("d");
	tap_need(d != NULL);
	for (int i = 0; i < 20; i++) {
		pos = telldir(d);
		e = readdir(d);
		tap_need(e != NULL);
		snprintf(first, sizeof(first), "%s", e->d_name);
	}
	while (readdir(d))
		;
	seekdir(d, pos);
	e = readdir(d);
	tap_need(e != NULL);
	snprintf(again, sizeof(again), "%s", e->d_name);
	tap_str(again, first);
	int n = 0;
	rewinddir(d);
	while (readdir(d))
		n++;
	tap_eq(n, 52);
	closedir(d);
}

static void a_deep_tree(void)
{
	char buf[8192];
	int depth = 300;

	for (int i = 0; i < depth; i++) {
		tap_must(mkdir("a-directory-name", 0755));
		tap_must(chdir("a-directory-name"));
	}
	tap_err(syscall(SYS_getcwd, buf, sizeof(buf)), ENAMETOOLONG);
	for (int i = 0; i < depth; i++) {
		tap_must(chdir(".."));
		tap_must(rmdir("a-directory-name"));
	}
}

static void odd_names(void)
{
	static const char *const name[] = {
		" ", "a b", "\n", "\t\x01\x7f", "\xff\xfe", "-rf", "...", "*", "\xc3\xa9",
		"a\\b", "'", "\"",
	};

	for (unsigned i = 0; i < ARRAY_LEN(name); i++)
		tap_spit(name[i], "x");
	DIR *d = opendir(".");
	struct dirent *e;
	unsigned found = 0;
	while ((e = readdir(d)))
		for (unsigned i = 0; i < ARRAY_LEN(name); i++)
			found += strcmp(e->d_name, name[i]) == 0;
	closedir(d);
	tap_eq(found, ARRAY_LEN(name));
}

static void setgid_directories_pass_the_group_on(void)
{
	struct stat st;

	tap_must(mkdir("d", 0755));
	tap_must(chown("d", 0, 77));
	tap_must(chmod("d", 02755));
	tap_spit("d/f", "");
	tap_must(mkdir("d/e", 0755));
	tap_must(stat("d/f", &st));
	tap_eq(st.st_gid, 77);
	tap_must(stat("d/e", &st));
	tap_eq(st.st_gid, 77);
	tap_eq(st.st_mode & 07777, 02755);
}

TAP_MAIN(
	CASE(mkdir_sets_mode_and_dots),
	CASE(mkdir_errors),
	CASE(rmdir_errors),
	CASE(a_removed_directory_stays_usable_by_its_holders),
	CASE(chdir_and_getcwd),
	CASE(chdir_errors),
	CASE(getcwd_errors),
	CASE(the_working_directory_belongs_to_the_process),
	CASE(getdents_lists_everything_once),
	CASE(getdents_errors),
	CASE(getdents_types),
	CASE(removing_while_listing_loses_nothing),
	CASE(old_entries_are_seen_once_while_others_come_and_go),
	CASE(offsets_can_be_returned_to),
	CASE(a_deep_tree),
	CASE(odd_names),
	CASE(setgid_directories_pass_the_group_on),
)
