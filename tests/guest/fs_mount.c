/* mount, umount2, bind mounts, tmpfs options, statfs, chroot, pivot_root. */
#include "tap.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

static bool listed(const char *point)
{
	static char buf[32768];
	char cwd[256], want[400];

	tap_need(getcwd(cwd, sizeof(cwd)) != NULL);
	snprintf(want, sizeof(want), " %s/%s ", cwd, point);
	tap_need(tap_slurp("/proc/self/mounts", buf, sizeof(buf)) > 0);
	return strstr(buf, want) != NULL;
}

static void tmpfs_covers_and_uncovers(void)
{
	tap_must(mkdir("m", 0755));
	tap_spit("m/under", "");
	tap_eq(mount("src", "m", "tmpfs", 0, NULL), 0);
	tap_ok(!tap_exists("m/under"));
	tap_ok(listed("m"));
	tap_spit("m/over", "");
	struct stat a, b;
	tap_must(stat("m", &a));
	tap_must(stat(".", &b));
	tap_ok(a.st_dev != b.st_dev);
	tap_must(stat("m/..", &a));
	tap_eq(a.st_ino, b.st_ino);
	tap_eq(umount("m"), 0);
	tap_ok(tap_exists("m/under") && !tap_exists("m/over"));
	tap_ok(!listed("m"));
}

static void mounts_stack(void)
{
	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", 0, NULL));
	tap_spit("m/a", "");
	tap_must(mount("b", "m", "tmpfs", 0, NULL));
	tap_spit("m/b", "");
	tap_ok(!tap_exists("m/a"));
	tap_must(umount("m"));
	tap_ok(tap_exists("m/a") && !tap_exists("m/b"));
	tap_must(umount("m"));
	tap_err(umount("m"), EINVAL);
}

static void a_busy_mount_stays(void)
{
	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", 0, NULL));
	int fd = tap_file("m/f", "kept");
	tap_err(umount("m"), EBUSY);
	close(fd);
	tap_must(mkdir("m/d", 0755));
	tap_must(chdir("m/d"));
	tap_err(umount("../../m"), EBUSY);
	tap_must(chdir("../.."));
	tap_must(mount("b", "m/d", "tmpfs", 0, NULL));
	tap_err(umount("m"), EBUSY);
	tap_must(umount("m/d"));
	tap_eq(umount("m"), 0);
}

static void a_lazy_umount_lets_users_finish(void)
{
	char buf[8] = "";

	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", 0, NULL));
	int fd = tap_file("m/f", "kept");
	tap_eq(umount2("m", MNT_DETACH), 0);
	tap_ok(!tap_exists("m/f"));
	tap_eq(read(fd, buf, 8), 4);
	tap_str(buf, "kept");
	tap_eq(write(fd, "x", 1), 1);
}

static void bind_shows_the_same_tree(void)
{
	struct stat a, b;

	tap_must(mkdir("a", 0755));
	tap_must(mkdir("b", 0755));
	tap_spit("a/f", "x");
	tap_must(mount("a", "b", NULL, MS_BIND, NULL));
	tap_must(stat("a/f", &a));
	tap_must(stat("b/f", &b));
	tap_eq(a.st_ino, b.st_ino);
	tap_eq(a.st_dev, b.st_dev);
	tap_spit("b/g", "");
	tap_ok(tap_exists("a/g"));
	tap_err(rename("a/f", "b/h"), EXDEV);		/* across mounts, though one tree */
	tap_err(link("a/f", "b/h"), EXDEV);
	tap_must(umount("b"));
	tap_ok(!tap_exists("b/f"));
}

static void bind_of_a_file(void)
{
	char buf[8];

	tap_spit("a", "aaa");
	tap_spit("b", "b");
	tap_must(mount("a", "b", NULL, MS_BIND, NULL));
	tap_slurp("b", buf, sizeof(buf));
	tap_str(buf, "aaa");
	tap_err(unlink("b"), EBUSY);
	tap_must(umount("b"));
	tap_slurp("b", buf, sizeof(buf));
	tap_str(buf, "b");
	tap_must(mkdir("d", 0755));
	tap_err(mount("a", "d", NULL, MS_BIND, NULL), ENOTDIR);
	tap_err(mount("d", "b", NULL, MS_BIND, NULL), ENOTDIR);
}

static void bind_takes_submounts_only_with_rec(void)
{
	tap_must(mkdir("a", 0755));
	tap_must(mkdir("a/m", 0755));
	tap_must(mkdir("b", 0755));
	tap_must(mount("x", "a/m", "tmpfs", 0, NULL));
	tap_spit("a/m/f", "");
	tap_must(mount("a", "b", NULL, MS_BIND, NULL));
	tap_ok(!tap_exists("b/m/f"));
	tap_must(umount("b"));
	tap_must(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
	tap_ok(tap_exists("b/m/f"));
	tap_must(umount("b/m"));
	tap_must(umount("b"));
	tap_must(umount("a/m"));
}

static void readonly_and_remount(void)
{
	struct statvfs vfs;

	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", MS_RDONLY, NULL));
	tap_err(open("m/f", O_CREAT | O_RDWR, 0600), EROFS);
	tap_err(mkdir("m/d", 0755), EROFS);
	tap_must(statvfs("m", &vfs));
	tap_eq(vfs.f_flag & ST_RDONLY, ST_RDONLY);
	tap_must(mount("a", "m", "tmpfs", MS_REMOUNT, NULL));
	int fd = tap_file("m/f", "x");
	tap_err(mount("a", "m", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
	close(fd);
	tap_must(mount("a", "m", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL));
	tap_err(open("m/f", O_WRONLY), EROFS);
	tap_err(unlink("m/f"), EROFS);
	tap_err(chmod("m/f", 0600), EROFS);
	tap_err(truncate("m/f", 0), EROFS);
	tap_err(access("m/f", W_OK), EROFS);
	tap_must(umount("m"));
}

static void a_bind_can_be_readonly_alone(void)
{
	tap_must(mkdir("a", 0755));
	tap_must(mkdir("b", 0755));
	tap_spit("a/f", "");
	tap_must(mount("a", "b", NULL, MS_BIND, NULL));
	tap_must(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	tap_err(open("b/f", O_WRONLY), EROFS);
	tap_must(close(tap_must(open("a/f", O_WRONLY))));
	tap_must(umount("b"));
}

static void noexec_nosuid_nodev(void)
{
	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", MS_NOEXEC | MS_NODEV, NULL));
	int fd = tap_must(open("m/sh", O_CREAT | O_WRONLY, 0755));
	tap_eq(write(fd, "#!/bin/sh\nexit 0\n", 17), 17);
	close(fd);
	tap_err(execl("m/sh", "sh", NULL), EACCES);
	tap_err(access("m/sh", X_OK), EACCES);
	tap_must(mknod("m/null", S_IFCHR | 0666, 0x103));
	tap_err(open("m/null", O_RDONLY), EACCES);
	fd = tap_must(open("m/sh", O_RDONLY));
	tap_err((long)mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), EPERM);
	close(fd);
	tap_must(umount("m"));
}

static void tmpfs_options(void)
{
	struct stat st;
	struct statfs sf;

	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", 0, "mode=0711,uid=12,gid=34,size=64k,nr_inodes=20"));
	tap_must(stat("m", &st));
	tap_eq(st.st_mode & 07777, 0711);
	tap_eq(st.st_uid, 12);
	tap_eq(st.st_gid, 34);
	tap_must(statfs("m", &sf));
	tap_eq(sf.f_type, 0x01021994);
	tap_eq(sf.f_blocks, 16);
	tap_eq(sf.f_bfree, 16);
	tap_eq(sf.f_bsize, 4096);
	tap_eq(sf.f_files, 20);
	tap_eq(sf.f_namelen, 255);
	tap_must(umount("m"));
	tap_err(mount("a", "m", "tmpfs", 0, "nonsense=1"), EINVAL);
	tap_err(mount("a", "m", "tmpfs", 0, "size=banana"), EINVAL);
}

static void a_full_tmpfs_says_enospc(void)
{
	static char page[4096];
	char name[32];
	int n = 0;
	struct statfs sf;

	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", 0, "size=64k,nr_inodes=10"));
	int fd = tap_file("m/f", "");
	while (write(fd, page, sizeof(page)) == sizeof(page))
		n++;
	tap_eq(errno, ENOSPC);
	tap_eq(n, 16);
	tap_must(statfs("m", &sf));
	tap_eq(sf.f_bfree, 0);
	tap_must(ftruncate(fd, 4096));
	tap_must(statfs("m", &sf));
	tap_eq(sf.f_bfree, 15);
	close(fd);
	for (n = 0; n < 50; n++) {
		snprintf(name, sizeof(name), "m/i%d", n);
		fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			break;
		close(fd);
	}
	tap_eq(errno, ENOSPC);
	tap_eq(n, 8);					/* the root and f are two of the ten */
	tap_err(mkdir("m/d", 0755), ENOSPC);
	tap_must(unlink("m/i0"));
	tap_eq(mkdir("m/d", 0755), 0);
	tap_must(umount("m"));
}

static void a_write_fault_beyond_the_size_is_sigbus(void)
{
	tap_must(mkdir("m", 0755));
	tap_must(mount("a", "m", "tmpfs", 0, "size=16k"));
	int fd = tap_file("m/f", "");
	tap_must(ftruncate(fd, 64 * 1024));
	char *p = mmap(NULL, 64 * 1024, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_need(p != MAP_FAILED);
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int i = 0; i < 16; i++)
			p[i * PAGE] = 1;
		_exit(0);
	}
	tap_killed(kid, SIGBUS);
	munmap(p, 64 * 1024);
	close(fd);
	tap_must(umount("m"));
}

static void mount_errors(void)
{
	tap_spit("f", "");
	tap_must(mkdir("m", 0755));
	tap_err(mount("a", "absent", "tmpfs", 0, NULL), ENOENT);
	tap_err(mount("a", "f", "tmpfs", 0, NULL), ENOTDIR);
	tap_err(mount("a", "m", "nosuchfs", 0, NULL), ENODEV);
	tap_err(mount("a", "m", NULL, 0, NULL), EINVAL);
	tap_err(mount("absent", "m", NULL, MS_BIND, NULL), ENOENT);
	tap_err(mount("a", "m", "tmpfs", MS_REMOUNT, NULL), EINVAL);
	tap_efault_each(p, mount("a", p, "tmpfs", 0, NULL));
	tap_efault_each(p, mount("a", "m", p, 0, NULL));
	tap_efault_each(p, mount(p, "m", "tmpfs", 0, NULL));
	tap_err(umount("m"), EINVAL);
	tap_err(umount("absent"), ENOENT);
	tap_err(umount2("m", 0x100), EINVAL);
	tap_efault_each(p, umount(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(mount("a", "m", "tmpfs", 0, NULL), EPERM);
		tap_err(umount("m"), EPERM);
		tap_err(chroot("m"), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void move_and_umount_nofollow(void)
{
	tap_must(mkdir("p", 0755));
	tap_must(mount("p", "p", "tmpfs", 0, NULL));
	tap_must(mount(NULL, "p", NULL, MS_PRIVATE, NULL));
	tap_must(mkdir("p/a", 0755));
	tap_must(mkdir("p/b", 0755));
	tap_must(mount("x", "p/a", "tmpfs", 0, NULL));
	tap_spit("p/a/f", "");
	tap_must(mount("p/a", "p/b", NULL, MS_MOVE, NULL));
	tap_ok(tap_exists("p/b/f") && !tap_exists("p/a/f"));
	tap_must(symlink("b", "p/l"));
	tap_err(umount2("p/l", UMOUNT_NOFOLLOW), EINVAL);
	tap_eq(umount2("p/l", 0), 0);
	tap_must(umount("p"));
}

static void statfs_of_known_kinds(void)
{
	struct statfs sf;
	int fd = tap_file("f", ""), p[2];

	tap_must(statfs("/proc", &sf));
	tap_eq(sf.f_type, 0x9fa0);
	tap_must(fstatfs(fd, &sf));
	tap_eq(sf.f_bsize, 4096);
	tap_must(pipe(p));
	tap_must(fstatfs(p[0], &sf));
	tap_eq(sf.f_type, 0x50495045);
	tap_err(statfs("absent", &sf), ENOENT);
	tap_err(fstatfs(777, &sf), EBADF);
	tap_efault_each(q, syscall(SYS_statfs, "f", q));
	tap_efault_each(q, syscall(SYS_statfs, q, &sf));
	tap_efault_each(q, syscall(SYS_fstatfs, fd, q));
}

static void chroot_is_a_new_root(void)
{
	char buf[64];

	tap_must(mkdir("r", 0755));
	tap_must(mkdir("r/tmp", 0755));
	tap_spit("r/f", "");
	tap_spit("outside", "");
	tap_must(symlink("/f", "r/l"));
	pid_t kid = tap_fork();
	if (kid == 0) {
		struct stat st;

		tap_eq(chroot("r"), 0);
		tap_eq(stat("/f", &st), 0);
		tap_eq(stat("outside", &st), 0);	/* the working directory is as it was */
		tap_must(chdir("/"));
		tap_eq(stat("../../../f", &st), 0);
		tap_eq(stat("l", &st), 0);		/* absolute links start at the new root */
		tap_err(stat("/outside", &st), ENOENT);
		tap_str(getcwd(buf, sizeof(buf)), "/");
		tap_err(chroot("/absent"), ENOENT);
		tap_err(chroot("/f"), ENOTDIR);
		tap_efault_each(p, chroot(p));
		tap_leave();
	}
	tap_join(kid);
	struct stat st;
	tap_eq(stat("/proc", &st), 0);
}

static void getcwd_outside_the_root(void)
{
	char buf[300];

	tap_must(mkdir("r", 0755));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(chroot("r"));
		tap_need(syscall(SYS_getcwd, buf, sizeof(buf)) > 0);
		tap_eq(strncmp(buf, "(unreachable)", 13), 0);
		tap_leave();
	}
	tap_join(kid);
}

#define MOUNT_MAX "/proc/sys/fs/mount-max"

static int mounts_listed(void)
{
	static char buf[65536];
	int n = 0;

	tap_need(tap_slurp("/proc/self/mounts", buf, sizeof(buf)) > 0);
	for (const char *p = buf; (p = strchr(p, '\n')) != NULL; p++)
		n++;
	return n;
}

/* Each recursive bind of m below itself takes as many mounts as there are: a few calls would fill all memory. */
static void mounts_have_a_limit(void)
{
	char was[32], now[32], name[16];
	int before, at_end = 0, full = 0;

	tap_must(mkdir("m", 0755));
	tap_must(mount("src", "m", "tmpfs", 0, NULL));
	tap_need(tap_slurp(MOUNT_MAX, was, sizeof(was)) > 0);
	tap_ok(atoi(was) >= 1000);
	before = mounts_listed();
	tap_spit(MOUNT_MAX, "1\n");
	tap_must(mkdir("m/x", 0755));
	tap_err(mount("src", "m/x", "tmpfs", 0, NULL), ENOSPC);
	tap_err(mount("m", "m/x", NULL, MS_BIND, NULL), ENOSPC);
	snprintf(now, sizeof(now), "%d\n", before + 20);
	tap_spit(MOUNT_MAX, now);
	for (int i = 0; i < 10 && !full; i++) {
		snprintf(name, sizeof(name), "m/%d", i);
		tap_must(mkdir(name, 0755));
		at_end = mounts_listed();
		full = mount("m", name, NULL, MS_BIND | MS_REC, NULL) < 0 ? errno : 0;
	}
	tap_eq(full, ENOSPC);
	tap_eq(mounts_listed(), at_end);			/* none of what did not fit */
	tap_ok(at_end > before + 5 && at_end <= before + 20);
	tap_spit(MOUNT_MAX, was);
	tap_eq(mount("m", name, NULL, MS_BIND | MS_REC, NULL), 0);
	tap_ok(mounts_listed() > at_end + 5);
	tap_eq(umount2("m", MNT_DETACH), 0);
	tap_eq(mounts_listed(), before - 1);
}

TAP_MAIN(
	CASE(tmpfs_covers_and_uncovers),
	CASE(mounts_stack),
	CASE(a_busy_mount_stays),
	CASE(a_lazy_umount_lets_users_finish),
	CASE(bind_shows_the_same_tree),
	CASE(bind_of_a_file),
	CASE(bind_takes_submounts_only_with_rec),
	CASE(readonly_and_remount),
	CASE(a_bind_can_be_readonly_alone),
	CASE(noexec_nosuid_nodev),
	CASE(tmpfs_options),
	CASE(a_full_tmpfs_says_enospc),
	CASE(a_write_fault_beyond_the_size_is_sigbus),
	CASE(mount_errors),
	CASE(move_and_umount_nofollow),
	CASE(statfs_of_known_kinds),
	CASE(chroot_is_a_new_root),
	CASE(getcwd_outside_the_root),
	CASE(mounts_have_a_limit),
)
