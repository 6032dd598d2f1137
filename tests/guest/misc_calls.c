/*
 * Calls that belong to no family here: pivot_root, handles, I/O priority, sched attributes,
 * keys.
 */
#include "tap.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

struct sched_attr_ {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void pivot_root_swaps_roots(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct stat st;

		/* where there are no mount name spaces the errors below still have to be right */
		if (unshare(CLONE_NEWNS) < 0)
			tap_eq(errno, EINVAL);
		else
			tap_must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		tap_must(mkdir("new", 0755));
		tap_must(mount("new", "new", "tmpfs", 0, NULL));
		tap_must(mkdir("new/old", 0755));
		tap_spit("new/mark", "");
		tap_err(syscall(SYS_pivot_root, "new", "absent"), ENOENT);
		tap_err(syscall(SYS_pivot_root, ".", "new"), EINVAL);
		/* the initial root of a machine without disks cannot be pivoted away from */
		if (syscall(SYS_pivot_root, "new", "new/old") < 0) {
			tap_eq(errno, EINVAL);
			tap_must(umount("new"));
			tap_leave();
		}
		tap_must(chdir("/"));
		tap_eq(stat("/mark", &st), 0);
		tap_eq(stat("/old/proc", &st), 0);
		tap_eq(umount2("/old", MNT_DETACH), 0);
		tap_leave();
	}
	tap_join(kid);
	tap_efault_each(p, syscall(SYS_pivot_root, p, "x"));
	kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(syscall(SYS_pivot_root, ".", "."), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void a_mount_namespace_of_ones_own(void)
{
	tap_must(mkdir("m", 0755));
	pid_t kid = tap_fork();
	if (kid == 0) {
		if (unshare(CLONE_NEWNS) < 0) {
			tap_eq(errno, EINVAL);
			tap_leave();
		}
		tap_must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		tap_must(mount("x", "m", "tmpfs", 0, NULL));
		tap_spit("m/inside", "");
		tap_leave();
	}
	tap_join(kid);
	tap_ok(!tap_exists("m/inside"));
}

static void sched_attributes(void)
{
	struct sched_attr_ a = { 0 };

	tap_eq(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0), 0);
	tap_eq(a.policy, SCHED_OTHER);
	tap_eq(a.nice, 0);
	a.nice = 7;
	tap_eq(syscall(SYS_sched_setattr, 0, &a, 0), 0);
	tap_eq(getpriority(PRIO_PROCESS, 0), 7);
	tap_err(syscall(SYS_sched_getattr, 0, &a, 8, 0), EINVAL);
	tap_err(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 1), EINVAL);
	tap_err(syscall(SYS_sched_getattr, 4000000, &a, sizeof(a), 0), ESRCH);
	tap_efault_each(p, syscall(SYS_sched_getattr, 0, p, sizeof(a), 0));
	tap_efault_each(p, syscall(SYS_sched_setattr, 0, p, 0));
	a.policy = 99;
	tap_err(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
}

static void io_priorities(void)
{
	tap_ok(syscall(SYS_ioprio_get, 1, 0) >= 0);
	tap_eq(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3), 0);
	tap_eq(syscall(SYS_ioprio_get, 1, 0), 2 << 13 | 3);
	tap_err(syscall(SYS_ioprio_get, 9, 0), EINVAL);
	tap_err(syscall(SYS_ioprio_get, 1, 4000000), ESRCH);
	tap_err(syscall(SYS_ioprio_set, 1, 0, 7 << 13), EINVAL);
}

static void protection_keys(void)
{
	char *p = tap_pages(1);
	long key = syscall(SYS_pkey_alloc, 0, 0);

	tap_ok(key > 0 || (key == -1 && (errno == ENOSPC || errno == ENOSYS)));
	bool present = key > 0;
	tap_err(syscall(SYS_pkey_free, 200), EINVAL);
	tap_eq(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1), 0);	/* -1: plain mprotect */
	tap_err(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, 99), EINVAL);
	if (present) {
		tap_eq(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ | PROT_WRITE, key), 0);
		p[0] = 1;
		tap_eq(syscall(SYS_pkey_free, key), 0);
	}
	tap_err(syscall(SYS_pkey_alloc, 1, 0), EINVAL);
}

static void file_handles(void)
{
	struct { unsigned bytes; int type; unsigned char h[128]; } fh = { .bytes = 0 };
	int mnt = -1;

	tap_spit("f", "x");
	long r = syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mnt, 0);
	if (r == -1 && (errno == EOPNOTSUPP || errno == ENOSYS))
		return;
	tap_eq(r, -1);
	tap_eq(errno, EOVERFLOW);			/* says how much it needs */
	tap_ok(fh.bytes > 0 && fh.bytes <= 128);
	tap_eq(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mnt, 0), 0);
	int dir = tap_must(open(".", O_RDONLY));
	int fd = tap_must((int)syscall(SYS_open_by_handle_at, dir, &fh, O_RDONLY));
	char c = 0;
	tap_eq(read(fd, &c, 1), 1);
	tap_eq(c, 'x');
	tap_err(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mnt, 0x8000), EINVAL);
	fh.bytes = 200;
	tap_err(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mnt, 0), EINVAL);
	tap_efault_each(p, syscall(SYS_name_to_handle_at, AT_FDCWD, "f", p, &mnt, 0));
}

static void effective_ids_and_the_rest(void)
{
	tap_eq(getegid(), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1001);
		tap_eq(geteuid(), 1000);
		tap_eq(getegid(), 1001);
		tap_err(syscall(SYS_vhangup), EPERM);
		tap_err(syscall(SYS_swapoff, "x"), EPERM);
		tap_err(syscall(SYS_clock_adjtime, 0, &(char[256]){ 1 }), EPERM);
		tap_leave();
	}
	tap_join(kid);
	tap_err(syscall(SYS_swapoff, "/no/such"), ENOENT);
	tap_err(syscall(SYS_swapon, "/no/such", 0), ENOENT);
	tap_ok(syscall(SYS_clock_adjtime, 0, &(char[256]){ 0 }) >= 0);
	tap_err(syscall(SYS_clock_adjtime, 99, &(char[256]){ 0 }), EINVAL);
}

static void restart_syscall_without_cause_is_eintr(void)
{
	tap_err(syscall(SYS_restart_syscall), EINTR);
}

TAP_MAIN(
	CASE(pivot_root_swaps_roots),
	CASE(a_mount_namespace_of_ones_own),
	CASE(sched_attributes),
	CASE(io_priorities),
	CASE(protection_keys),
	CASE(file_handles),
	CASE(effective_ids_and_the_rest),
	CASE(restart_syscall_without_cause_is_eintr),
)
