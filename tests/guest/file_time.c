/* File times: who changes atime, mtime, ctime; utimensat and its older relatives. */
#include "tap.h"

#include <sys/time.h>
#include <utime.h>

#define LONG_AGO	1000000

static const struct timespec ago[2] = { { LONG_AGO, 11 }, { LONG_AGO, 22 } };

static struct stat times(const char *name)
{
	struct stat st;

	tap_must(lstat(name, &st));
	return st;
}

static void make_old(const char *name)
{
	tap_must(utimensat(AT_FDCWD, name, ago, AT_SYMLINK_NOFOLLOW));
}

static void utimensat_sets_both(void)
{
	struct stat st;

	tap_spit("f", "");
	make_old("f");
	st = times("f");
	tap_eq(st.st_atim.tv_sec, LONG_AGO);
	tap_eq(st.st_atim.tv_nsec, 11);
	tap_eq(st.st_mtim.tv_sec, LONG_AGO);
	tap_eq(st.st_mtim.tv_nsec, 22);
	tap_ok(st.st_ctim.tv_sec > LONG_AGO);
}

static void utime_now_and_omit(void)
{
	struct stat st;

	tap_spit("f", "");
	make_old("f");
	tap_must(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 0, UTIME_OMIT },
							{ 0, UTIME_NOW } }, 0));
	st = times("f");
	tap_eq(st.st_atim.tv_sec, LONG_AGO);
	tap_ok(st.st_mtim.tv_sec > LONG_AGO);
	make_old("f");
	tap_must(utimensat(AT_FDCWD, "f", NULL, 0));
	st = times("f");
	tap_ok(st.st_atim.tv_sec > LONG_AGO && st.st_mtim.tv_sec > LONG_AGO);
	make_old("f");
	tap_must(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 0, UTIME_OMIT },
							{ 0, UTIME_OMIT } }, 0));
	tap_eq(times("f").st_mtim.tv_sec, LONG_AGO);
}

static void utimensat_on_links_and_descriptors(void)
{
	tap_spit("f", "");
	tap_must(symlink("f", "l"));
	make_old("l");
	tap_eq(times("l").st_mtim.tv_sec, LONG_AGO);
	tap_ok(times("f").st_mtim.tv_sec > LONG_AGO);
	tap_must(utimensat(AT_FDCWD, "l", ago, 0));
	tap_eq(times("f").st_mtim.tv_sec, LONG_AGO);
	int fd = tap_file("g", "");
	tap_must(futimens(fd, ago));
	tap_eq(times("g").st_mtim.tv_nsec, 22);
}

static void utimensat_errors(void)
{
	struct timespec bad[2] = { { 0, 1000000000 }, { 0, 0 } };

	tap_spit("f", "");
	tap_err(syscall(SYS_utimensat, AT_FDCWD, "f", bad, 0), EINVAL);
	bad[0].tv_nsec = -1;
	tap_err(syscall(SYS_utimensat, AT_FDCWD, "f", bad, 0), EINVAL);
	tap_err(syscall(SYS_utimensat, AT_FDCWD, "absent", ago, 0), ENOENT);
	tap_err(syscall(SYS_utimensat, AT_FDCWD, "f", ago, 0x8000), EINVAL);
	tap_err(syscall(SYS_utimensat, 777, "f", ago, 0), EBADF);
	tap_err(syscall(SYS_utimensat, 777, NULL, ago, 0), EBADF);
	tap_efault_each(p, syscall(SYS_utimensat, AT_FDCWD, "f", p, 0));
	tap_efault_each(p, syscall(SYS_utimensat, AT_FDCWD, p, ago, 0));
}

static void who_may_set_times(void)
{
	tap_spit("f", "");
	tap_must(chmod("f", 0666));
	tap_spit("g", "");
	tap_must(chmod("g", 0644));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_eq(utimensat(AT_FDCWD, "f", NULL, 0), 0);	/* may write: may say now */
		tap_err(utimensat(AT_FDCWD, "f", ago, 0), EPERM);
		tap_err(utimensat(AT_FDCWD, "g", NULL, 0), EACCES);
		tap_err(utimensat(AT_FDCWD, "g", ago, 0), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void the_older_calls(void)
{
	struct timeval tv[2] = { { 50, 600 }, { 70, 800 } };
	struct utimbuf ub = { 90, 91 };

	tap_spit("f", "");
	tap_eq(syscall(SYS_utimes, "f", tv), 0);
	tap_eq(times("f").st_atim.tv_nsec, 600000);
	tap_eq(times("f").st_mtim.tv_sec, 70);
	tap_eq(syscall(SYS_utime, "f", &ub), 0);
	tap_eq(times("f").st_mtim.tv_sec, 91);
	tap_eq(syscall(SYS_futimesat, AT_FDCWD, "f", tv), 0);
	tap_eq(times("f").st_mtim.tv_sec, 70);
	tv[0].tv_usec = 1000000;
	tap_err(syscall(SYS_utimes, "f", tv), EINVAL);
	tap_efault_each(p, syscall(SYS_utimes, "f", p));
	tap_efault_each(p, syscall(SYS_utime, "f", p));
	tap_efault_each(p, syscall(SYS_futimesat, AT_FDCWD, "f", p));
	tap_eq(syscall(SYS_utime, "f", NULL), 0);
	tap_ok(times("f").st_mtim.tv_sec > LONG_AGO);
}

static void writing_changes_mtime_and_ctime(void)
{
	int fd = tap_file("f", "abc");

	make_old("f");
	tap_eq(write(fd, "", 0), 0);
	tap_eq(times("f").st_mtim.tv_sec, LONG_AGO);	/* nothing written, nothing changed */
	tap_eq(write(fd, "x", 1), 1);
	tap_ok(times("f").st_mtim.tv_sec > LONG_AGO);
	tap_eq(times("f").st_atim.tv_sec, LONG_AGO);
	make_old("f");
	tap_must(ftruncate(fd, 1));
	tap_ok(times("f").st_mtim.tv_sec > LONG_AGO);
	make_old("f");
	tap_must(close(tap_must(open("f", O_WRONLY | O_TRUNC))));
	tap_ok(times("f").st_mtim.tv_sec > LONG_AGO);
}

static void reading_changes_atime_as_relatime_does(void)
{
	char c;
	int fd = tap_file("f", "abc");

	make_old("f");					/* atime <= mtime: a read is noted */
	tap_eq(read(fd, &c, 1), 1);
	tap_ok(times("f").st_atim.tv_sec > LONG_AGO);
	tap_eq(times("f").st_mtim.tv_sec, LONG_AGO);
	make_old("f");
	int quiet = tap_must(open("f", O_RDONLY | O_NOATIME));
	tap_eq(read(quiet, &c, 1), 1);
	tap_eq(times("f").st_atim.tv_sec, LONG_AGO);
}

static void metadata_changes_ctime_only(void)
{
	struct stat a, b;

	tap_spit("f", "");
	make_old("f");
	a = times("f");
	usleep(20000);
	tap_must(chmod("f", 0600));
	b = times("f");
	tap_eq(b.st_mtim.tv_sec, LONG_AGO);
	tap_ok(b.st_ctim.tv_sec > a.st_ctim.tv_sec || b.st_ctim.tv_nsec > a.st_ctim.tv_nsec);
	a = b;
	usleep(20000);
	tap_must(link("f", "g"));
	b = times("f");
	tap_ok(b.st_ctim.tv_sec > a.st_ctim.tv_sec || b.st_ctim.tv_nsec > a.st_ctim.tv_nsec);
}

static void directories_note_their_changes(void)
{
	tap_must(mkdir("d", 0755));
	make_old("d");
	tap_spit("d/f", "");
	tap_ok(times("d").st_mtim.tv_sec > LONG_AGO);
	make_old("d");
	tap_spit("d/f", "more");			/* contents are not the directory's */
	tap_eq(times("d").st_mtim.tv_sec, LONG_AGO);
	tap_must(unlink("d/f"));
	tap_ok(times("d").st_mtim.tv_sec > LONG_AGO);
}

static void times_before_1970_and_far_ahead(void)
{
	struct timespec t[2] = { { -5, 0 }, { 1l << 33, 0 } };

	tap_spit("f", "");
	tap_must(utimensat(AT_FDCWD, "f", t, 0));
	tap_eq(times("f").st_atim.tv_sec, -5);
	tap_eq(times("f").st_mtim.tv_sec, 1l << 33);
}

TAP_MAIN(
	CASE(utimensat_sets_both),
	CASE(utime_now_and_omit),
	CASE(utimensat_on_links_and_descriptors),
	CASE(utimensat_errors),
	CASE(who_may_set_times),
	CASE(the_older_calls),
	CASE(writing_changes_mtime_and_ctime),
	CASE(reading_changes_atime_as_relatime_does),
	CASE(metadata_changes_ctime_only),
	CASE(directories_note_their_changes),
	CASE(times_before_1970_and_far_ahead),
)
