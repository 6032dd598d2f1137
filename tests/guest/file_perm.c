/* chmod, chown and friends; umask; sticky, setuid and setgid bits; who may change what. */
#include "tap.h"

#include <grp.h>
#include <sys/sysmacros.h>

static mode_t mode_of(const char *name)
{
	struct stat st;

	tap_must(stat(name, &st));
	return st.st_mode & 07777;
}

static void chmod_sets_all_twelve_bits(void)
{
	tap_spit("f", "");
	for (mode_t m = 0; m <= 07777; m = m * 2 + 1) {
		tap_eq(chmod("f", m), 0);
		tap_eq(mode_of("f"), m);
	}
	tap_eq(chmod("f", 0170644), 0);			/* type bits are ignored */
	tap_eq(mode_of("f"), 0644);
	int fd = tap_must(open("f", O_RDONLY));
	tap_eq(fchmod(fd, 0600), 0);
	tap_eq(mode_of("f"), 0600);
	tap_must(symlink("f", "l"));
	tap_eq(chmod("l", 0604), 0);
	tap_eq(mode_of("f"), 0604);
}

static void chmod_errors(void)
{
	tap_spit("f", "");
	tap_err(chmod("absent", 0600), ENOENT);
	tap_err(chmod("f/x", 0600), ENOTDIR);
	tap_err(syscall(SYS_fchmod, 777, 0600), EBADF);
	tap_efault_each(p, syscall(SYS_chmod, p, 0600));
	tap_err(syscall(SYS_fchmodat, 777, "f", 0600), EBADF);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(chmod("f", 0777), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void an_owner_may_chmod_but_not_set_a_foreign_setgid(void)
{
	tap_spit("f", "");
	tap_must(chown("f", 1000, 2000));
	tap_spit("g", "");
	tap_must(chown("g", 1000, 1000));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_eq(chmod("f", 02755), 0);
		tap_eq(mode_of("f"), 0755);		/* silently dropped: not in group 2000 */
		tap_eq(chmod("g", 06755), 0);
		tap_eq(mode_of("g"), 06755);
		tap_leave();
	}
	tap_join(kid);
}

static void chown_changes_what_it_is_told(void)
{
	struct stat st;

	tap_spit("f", "");
	tap_eq(chown("f", 5, 6), 0);
	tap_eq(chown("f", -1, 7), 0);
	tap_eq(chown("f", 8, -1), 0);
	tap_must(stat("f", &st));
	tap_eq(st.st_uid, 8);
	tap_eq(st.st_gid, 7);
	tap_must(symlink("f", "l"));
	tap_eq(lchown("l", 9, 9), 0);
	tap_must(stat("f", &st));
	tap_eq(st.st_uid, 8);
	tap_must(lstat("l", &st));
	tap_eq(st.st_uid, 9);
	tap_eq(chown("l", 10, 10), 0);
	tap_must(stat("f", &st));
	tap_eq(st.st_uid, 10);
	int fd = tap_must(open("f", O_RDONLY));
	tap_eq(fchown(fd, 11, 11), 0);
	tap_eq(fchownat(fd, "", 12, 12, AT_EMPTY_PATH), 0);
	tap_eq(fchownat(AT_FDCWD, "l", 13, 13, AT_SYMLINK_NOFOLLOW), 0);
	tap_must(lstat("l", &st));
	tap_eq(st.st_uid, 13);
	tap_must(stat("f", &st));
	tap_eq(st.st_uid, 12);
}

static void chown_errors(void)
{
	tap_spit("f", "");
	tap_err(chown("absent", 0, 0), ENOENT);
	tap_err(syscall(SYS_fchown, 777, 0, 0), EBADF);
	tap_err(fchownat(777, "f", 0, 0, 0), EBADF);
	tap_err(syscall(SYS_fchownat, AT_FDCWD, "f", 0, 0, 0x8000), EINVAL);
	tap_efault_each(p, syscall(SYS_chown, p, 0, 0));
	tap_efault_each(p, syscall(SYS_lchown, p, 0, 0));
	tap_must(chown("f", 1000, 1000));
	pid_t kid = tap_fork();
	if (kid == 0) {
		gid_t g[] = { 1500 };

		tap_must(setgroups(1, g));
		tap_must(setresgid(1000, 1000, 1000));
		tap_must(setresuid(1000, 1000, 1000));
		tap_err(chown("f", 0, -1), EPERM);
		tap_err(chown("f", -1, 2000), EPERM);
		tap_eq(chown("f", -1, 1500), 0);	/* a group of mine */
		tap_eq(chown("f", 1000, 1000), 0);
		tap_leave();
	}
	tap_join(kid);
}

static void chown_drops_setuid(void)
{
	tap_spit("f", "");
	tap_must(chmod("f", 06755));
	tap_must(chown("f", 1000, 1000));
	tap_eq(mode_of("f"), 0755);
	tap_must(chmod("f", 06745));			/* setgid without group x is not one */
	tap_must(chown("f", 1001, 1001));
	tap_eq(mode_of("f"), 02745);
	tap_must(mkdir("d", 0755));
	tap_must(chmod("d", 06755));
	tap_must(chown("d", 1000, 1000));
	tap_eq(mode_of("d"), 06755);			/* directories keep theirs */
}

static void umask_returns_the_old_one(void)
{
	umask(0123);
	tap_eq(umask(0777), 0123);
	tap_eq(umask(07777), 0777);
	tap_eq(umask(022), 0777);			/* only nine bits */
	umask(077);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(umask(0), 077);			/* inherited */
		tap_leave();
	}
	tap_join(kid);
	tap_eq(umask(022), 077);
}

static void umask_applies_to_all_makers(void)
{
	umask(0137);
	tap_must(mkdir("d", 0777));
	tap_eq(mode_of("d"), 0640);
	tap_must(mknod("p", S_IFIFO | 0777, 0));
	tap_eq(mode_of("p"), 0640);
	close(tap_must(open("f", O_CREAT, 0777)));
	tap_eq(mode_of("f"), 0640);
	tap_must(symlink("f", "l"));
	struct stat st;
	tap_must(lstat("l", &st));
	tap_eq(st.st_mode & 0777, 0777);
	umask(022);
}

static void sticky_directories_protect_files_of_others(void)
{
	tap_must(mkdir("d", 0777));
	tap_must(chmod("d", 01777));
	tap_spit("d/root", "");
	tap_spit("d/mine", "");
	tap_must(chown("d/mine", 1000, 1000));
	tap_must(mkdir("own", 01777));
	tap_must(chmod("own", 01777));
	tap_must(chown("own", 1000, 1000));
	tap_spit("own/root", "");
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(unlink("d/root"), EPERM);
		tap_eq(unlink("d/mine"), 0);
		tap_eq(unlink("own/root"), 0);		/* the directory's owner may */
		tap_leave();
	}
	tap_join(kid);
}

static void supplementary_groups_count(void)
{
	tap_spit("f", "x");
	tap_must(chown("f", 0, 3000));
	tap_must(chmod("f", 0060));
	pid_t kid = tap_fork();
	if (kid == 0) {
		gid_t g[] = { 2999, 3000, 3001 };

		tap_must(setgroups(3, g));
		tap_must(setresgid(1000, 1000, 1000));
		tap_must(setresuid(1000, 1000, 1000));
		tap_must(close(tap_must(open("f", O_RDWR))));
		tap_leave();
	}
	tap_join(kid);
}

static void fsuid_decides_about_files(void)
{
	tap_spit("f", "x");
	tap_must(chown("f", 1000, 1000));
	tap_must(chmod("f", 0600));
	tap_spit("r", "x");
	tap_must(chmod("r", 0600));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(syscall(SYS_setfsuid, 1000), 0);
		tap_eq(syscall(SYS_setfsuid, -1), 1000);
		tap_must(close(tap_must(open("f", O_RDWR))));
		tap_err(open("r", O_RDONLY), EACCES);
		tap_eq(geteuid(), 0);
		tap_eq(syscall(SYS_setfsgid, 77), 0);
		tap_eq(syscall(SYS_setfsgid, -1), 77);
		tap_leave();
	}
	tap_join(kid);
}

static void an_open_descriptor_keeps_its_rights(void)
{
	char c;

	tap_spit("f", "secret");
	tap_must(chmod("f", 0600));
	int fd = tap_must(open("f", O_RDWR));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_eq(read(fd, &c, 1), 1);
		tap_eq(write(fd, "x", 1), 1);
		tap_err(open("f", O_RDONLY), EACCES);
		tap_err(fchmod(fd, 0777), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

/* A name that is there is EEXIST whatever else would be wrong, if its directory may be searched. */
static void an_existing_name_hides_other_errors(void)
{
	tap_must(mkdir("d", 0755));
	tap_must(mkdir("d/sub", 0755));
	tap_spit("d/f", "");
	tap_must(symlink("nowhere", "d/dangling"));
	tap_must(mkdir("closed", 0755));
	tap_must(mkdir("closed/sub", 0755));
	tap_must(chmod("closed", 0644));
	tap_must(chmod(".", 0755));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(setgroups(0, NULL));
		tap_must(setresgid(1000, 1000, 1000));
		tap_must(setresuid(1000, 1000, 1000));
		tap_err(mkdir("d/sub", 0755), EEXIST);
		tap_err(mkdir("d/sub/", 0755), EEXIST);
		tap_err(mkdir("d/f", 0755), EEXIST);
		tap_err(mkdir("d/dangling", 0755), EEXIST);
		tap_err(mknod("d/f", S_IFREG | 0644, 0), EEXIST);
		tap_err(mknod("d/f", S_IFCHR | 0644, makedev(1, 3)), EEXIST);
		tap_err(symlink("x", "d/dangling"), EEXIST);
		tap_err(mkdir("d/new", 0755), EACCES);
		tap_err(mkdir("closed/sub", 0755), EACCES);
		tap_err(mkdir("d/f/x", 0755), ENOTDIR);
		tap_leave();
	}
	tap_join(kid);
	for (int i = 0; i < 3; i++) {
		tap_eq(rmdir("d/sub"), 0);
		tap_eq(mkdir("d/sub", 0755), 0);
		tap_err(mkdir("d/sub", 0755), EEXIST);
		tap_eq(rename("d/sub", "d/other"), 0);
		tap_eq(mkdir("d/sub", 0755), 0);
		tap_eq(rmdir("d/other"), 0);
	}
}

TAP_MAIN(
	CASE(chmod_sets_all_twelve_bits),
	CASE(chmod_errors),
	CASE(an_owner_may_chmod_but_not_set_a_foreign_setgid),
	CASE(chown_changes_what_it_is_told),
	CASE(chown_errors),
	CASE(chown_drops_setuid),
	CASE(umask_returns_the_old_one),
	CASE(umask_applies_to_all_makers),
	CASE(sticky_directories_protect_files_of_others),
	CASE(supplementary_groups_count),
	CASE(fsuid_decides_about_files),
	CASE(an_open_descriptor_keeps_its_rights),
	CASE(an_existing_name_hides_other_errors),
)
