/*
 * Bad pointers, in bulk: for every call of the table each pointer argument in turn is
 * NULL (where that means nothing), a kernel address, a hole, PROT_NONE, and the end of
 * a page; the answer is EFAULT.  The other arguments are good.
 */
#include "tap.h"

#include <grp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

/* Arguments: a number, or one of these for what set_up() prepared. */
enum {
	A_FD = 1 << 20,		/* a readable and writable file */
	A_DIR,			/* a directory */
	A_PIPE_R,
	A_PIPE_W,
	A_SOCK,			/* one end of a connected pair */
	A_BOUND,		/* a bound datagram socket */
	A_EPOLL,
	A_INOTIFY,
	A_BUF,			/* a good buffer of a page, zeroed */
	A_PATH,			/* the name of a file */
	A_NEWPATH,		/* a name that is free */
	A_SELF,			/* our process number */
	A_BADPTR,		/* the argument on trial */
};

struct row {
	const char *name;
	long nr;
	long arg[6];
};

static const struct row rows[] = {
	{ "open", SYS_open, { A_BADPTR, O_RDONLY } },
	{ "creat", SYS_creat, { A_BADPTR, 0600 } },
	{ "openat", SYS_openat, { AT_FDCWD, A_BADPTR, O_RDONLY } },
	{ "read", SYS_read, { A_FD, A_BADPTR, 16 } },
	{ "write", SYS_write, { A_FD, A_BADPTR, 16 } },
	{ "pread64", SYS_pread64, { A_FD, A_BADPTR, 16, 0 } },
	{ "pwrite64", SYS_pwrite64, { A_FD, A_BADPTR, 16, 0 } },
	{ "readv", SYS_readv, { A_FD, A_BADPTR, 1 } },
	{ "writev", SYS_writev, { A_FD, A_BADPTR, 1 } },
	{ "preadv", SYS_preadv, { A_FD, A_BADPTR, 1, 0, 0 } },
	{ "pwritev", SYS_pwritev, { A_FD, A_BADPTR, 1, 0, 0 } },
	{ "preadv2", SYS_preadv2, { A_FD, A_BADPTR, 1, 0, 0, 0 } },
	{ "pwritev2", SYS_pwritev2, { A_FD, A_BADPTR, 1, 0, 0, 0 } },
	{ "stat path", SYS_stat, { A_BADPTR, A_BUF } },
	{ "stat buf", SYS_stat, { A_PATH, A_BADPTR } },
	{ "lstat path", SYS_lstat, { A_BADPTR, A_BUF } },
	{ "lstat buf", SYS_lstat, { A_PATH, A_BADPTR } },
	{ "fstat", SYS_fstat, { A_FD, A_BADPTR } },
	{ "newfstatat path", SYS_newfstatat, { AT_FDCWD, A_BADPTR, A_BUF, 0 } },
	{ "newfstatat buf", SYS_newfstatat, { AT_FDCWD, A_PATH, A_BADPTR, 0 } },
	{ "statx path", SYS_statx, { AT_FDCWD, A_BADPTR, 0, 0, A_BUF } },
	{ "statx buf", SYS_statx, { AT_FDCWD, A_PATH, 0, 0, A_BADPTR } },
	{ "statfs path", SYS_statfs, { A_BADPTR, A_BUF } },
	{ "statfs buf", SYS_statfs, { A_PATH, A_BADPTR } },
	{ "fstatfs", SYS_fstatfs, { A_FD, A_BADPTR } },
	{ "access", SYS_access, { A_BADPTR, 0 } },
	{ "faccessat", SYS_faccessat, { AT_FDCWD, A_BADPTR, 0 } },
	{ "faccessat2", SYS_faccessat2, { AT_FDCWD, A_BADPTR, 0, 0 } },
	{ "pipe", SYS_pipe, { A_BADPTR } },
	{ "pipe2", SYS_pipe2, { A_BADPTR, 0 } },
	{ "getdents64", SYS_getdents64, { A_DIR, A_BADPTR, 4096 } },
	{ "getdents", SYS_getdents, { A_DIR, A_BADPTR, 4096 } },
	{ "getcwd", SYS_getcwd, { A_BADPTR, 4096 } },
	{ "chdir", SYS_chdir, { A_BADPTR } },
	{ "chroot", SYS_chroot, { A_BADPTR } },
	{ "mkdir", SYS_mkdir, { A_BADPTR, 0755 } },
	{ "mkdirat", SYS_mkdirat, { AT_FDCWD, A_BADPTR, 0755 } },
	{ "rmdir", SYS_rmdir, { A_BADPTR } },
	{ "unlink", SYS_unlink, { A_BADPTR } },
	{ "unlinkat", SYS_unlinkat, { AT_FDCWD, A_BADPTR, 0 } },
	{ "link old", SYS_link, { A_BADPTR, A_NEWPATH } },
	{ "link new", SYS_link, { A_PATH, A_BADPTR } },
	{ "linkat old", SYS_linkat, { AT_FDCWD, A_BADPTR, AT_FDCWD, A_NEWPATH, 0 } },
	{ "linkat new", SYS_linkat, { AT_FDCWD, A_PATH, AT_FDCWD, A_BADPTR, 0 } },
	{ "symlink text", SYS_symlink, { A_BADPTR, A_NEWPATH } },
	{ "symlink path", SYS_symlink, { A_PATH, A_BADPTR } },
	{ "symlinkat text", SYS_symlinkat, { A_BADPTR, AT_FDCWD, A_NEWPATH } },
	{ "symlinkat path", SYS_symlinkat, { A_PATH, AT_FDCWD, A_BADPTR } },
	{ "readlink path", SYS_readlink, { A_BADPTR, A_BUF, 100 } },
	{ "readlink buf", SYS_readlink, { (long)"/proc/self", A_BADPTR, 100 } },
	{ "readlinkat path", SYS_readlinkat, { AT_FDCWD, A_BADPTR, A_BUF, 100 } },
	{ "readlinkat buf", SYS_readlinkat, { AT_FDCWD, (long)"/proc/self", A_BADPTR, 100 } },
	{ "rename old", SYS_rename, { A_BADPTR, A_NEWPATH } },
	{ "rename new", SYS_rename, { A_PATH, A_BADPTR } },
	{ "renameat old", SYS_renameat, { AT_FDCWD, A_BADPTR, AT_FDCWD, A_NEWPATH } },
	{ "renameat new", SYS_renameat, { AT_FDCWD, A_PATH, AT_FDCWD, A_BADPTR } },
	{ "renameat2 old", SYS_renameat2, { AT_FDCWD, A_BADPTR, AT_FDCWD, A_NEWPATH, 0 } },
	{ "renameat2 new", SYS_renameat2, { AT_FDCWD, A_PATH, AT_FDCWD, A_BADPTR, 0 } },
	{ "mknod", SYS_mknod, { A_BADPTR, S_IFREG | 0600, 0 } },
	{ "mknodat", SYS_mknodat, { AT_FDCWD, A_BADPTR, S_IFREG | 0600, 0 } },
	{ "chmod", SYS_chmod, { A_BADPTR, 0600 } },
	{ "fchmodat", SYS_fchmodat, { AT_FDCWD, A_BADPTR, 0600 } },
	{ "chown", SYS_chown, { A_BADPTR, 0, 0 } },
	{ "lchown", SYS_lchown, { A_BADPTR, 0, 0 } },
	{ "fchownat", SYS_fchownat, { AT_FDCWD, A_BADPTR, 0, 0, 0 } },
	{ "truncate", SYS_truncate, { A_BADPTR, 0 } },
	{ "utime path", SYS_utime, { A_BADPTR, 0 } },
	{ "utimensat times", SYS_utimensat, { AT_FDCWD, A_PATH, A_BADPTR, 0 } },
	{ "utimensat path", SYS_utimensat, { AT_FDCWD, A_BADPTR, 0, 0 } },
	{ "execve", SYS_execve, { A_BADPTR, 0, 0 } },
	{ "execveat", SYS_execveat, { AT_FDCWD, A_BADPTR, 0, 0, 0 } },
	{ "wait4 status", SYS_rt_sigpending, { A_BADPTR, 8 } },
	{ "uname", SYS_uname, { A_BADPTR } },
	{ "sysinfo", SYS_sysinfo, { A_BADPTR } },
	{ "getrlimit", SYS_getrlimit, { RLIMIT_CORE, A_BADPTR } },
	{ "setrlimit", SYS_setrlimit, { RLIMIT_CORE, A_BADPTR } },
	{ "prlimit64 new", SYS_prlimit64, { 0, RLIMIT_CORE, A_BADPTR, 0 } },
	{ "prlimit64 old", SYS_prlimit64, { 0, RLIMIT_CORE, 0, A_BADPTR } },
	{ "getrusage", SYS_getrusage, { 0, A_BADPTR } },
	{ "times", SYS_times, { A_BADPTR } },
	{ "gettimeofday", SYS_gettimeofday, { A_BADPTR, 0 } },
	{ "gettimeofday zone", SYS_gettimeofday, { 0, A_BADPTR } },
	{ "settimeofday", SYS_settimeofday, { A_BADPTR, 0 } },
	{ "clock_gettime", SYS_clock_gettime, { 0, A_BADPTR } },
	{ "clock_settime", SYS_clock_settime, { 0, A_BADPTR } },
	{ "clock_getres", SYS_clock_getres, { 0, A_BADPTR } },
	{ "nanosleep", SYS_nanosleep, { A_BADPTR, 0 } },
	{ "clock_nanosleep", SYS_clock_nanosleep, { 1, 0, A_BADPTR, 0 } },
	{ "setitimer", SYS_setitimer, { 0, A_BADPTR, 0 } },
	{ "setitimer old", SYS_setitimer, { 0, A_BUF, A_BADPTR } },
	{ "getitimer", SYS_getitimer, { 0, A_BADPTR } },
	{ "timer_create", SYS_timer_create, { 1, 0, A_BADPTR } },
	{ "rt_sigaction new", SYS_rt_sigaction, { SIGUSR1, A_BADPTR, 0, 8 } },
	{ "rt_sigaction old", SYS_rt_sigaction, { SIGUSR1, 0, A_BADPTR, 8 } },
	{ "rt_sigprocmask new", SYS_rt_sigprocmask, { 0, A_BADPTR, 0, 8 } },
	{ "rt_sigprocmask old", SYS_rt_sigprocmask, { 0, 0, A_BADPTR, 8 } },
	{ "rt_sigsuspend", SYS_rt_sigsuspend, { A_BADPTR, 8 } },
	{ "rt_sigtimedwait", SYS_rt_sigtimedwait, { A_BADPTR, 0, 0, 8 } },
	{ "rt_sigqueueinfo", SYS_rt_sigqueueinfo, { A_SELF, SIGUSR1, A_BADPTR } },
	{ "sigaltstack new", SYS_sigaltstack, { A_BADPTR, 0 } },
	{ "sigaltstack old", SYS_sigaltstack, { 0, A_BADPTR } },
	{ "signalfd4", SYS_signalfd4, { -1, A_BADPTR, 8, 0 } },
	{ "poll", SYS_poll, { A_BADPTR, 1, 0 } },
	{ "ppoll", SYS_ppoll, { A_BADPTR, 1, A_BUF, 0, 8 } },
	{ "select read", SYS_select, { 8, A_BADPTR, 0, 0, A_BUF } },
	{ "select write", SYS_select, { 8, 0, A_BADPTR, 0, A_BUF } },
	{ "select except", SYS_select, { 8, 0, 0, A_BADPTR, A_BUF } },
	{ "select time", SYS_select, { 0, 0, 0, 0, A_BADPTR } },
	{ "pselect6 mask", SYS_pselect6, { 0, 0, 0, 0, A_BUF, A_BADPTR } },
	{ "epoll_ctl", SYS_epoll_ctl, { A_EPOLL, EPOLL_CTL_ADD, A_PIPE_R, A_BADPTR } },
	{ "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, A_BADPTR } },
	{ "bind", SYS_bind, { A_SOCK, A_BADPTR, 20 } },
	{ "connect", SYS_connect, { A_BOUND, A_BADPTR, 20 } },
	{ "getsockname addr", SYS_getsockname, { A_BOUND, A_BADPTR, (long)&(int){ 20 } } },
	{ "getsockname len", SYS_getsockname, { A_BOUND, A_BUF, A_BADPTR } },
	{ "getsockopt value", SYS_getsockopt, { A_SOCK, SOL_SOCKET, SO_TYPE, A_BADPTR,
			(long)&(int){ 4 } } },
	{ "getsockopt len", SYS_getsockopt, { A_SOCK, SOL_SOCKET, SO_TYPE, A_BUF, A_BADPTR } },
	{ "setsockopt", SYS_setsockopt, { A_SOCK, SOL_SOCKET, SO_SNDBUF, A_BADPTR, 4 } },
	{ "sendto data", SYS_sendto, { A_SOCK, A_BADPTR, 10, 0, 0, 0 } },
	{ "sendto addr", SYS_sendto, { A_BOUND, A_BUF, 10, 0, A_BADPTR, 20 } },
	{ "sendmsg", SYS_sendmsg, { A_SOCK, A_BADPTR, 0 } },
	{ "recvmsg", SYS_recvmsg, { A_SOCK, A_BADPTR, MSG_DONTWAIT } },
	{ "sched_getparam", SYS_sched_getparam, { 0, A_BADPTR } },
	{ "sched_setparam", SYS_sched_setparam, { 0, A_BADPTR } },
	{ "sched_getaffinity", SYS_sched_getaffinity, { 0, 128, A_BADPTR } },
	{ "sched_setaffinity", SYS_sched_setaffinity, { 0, 8, A_BADPTR } },
	{ "sched_rr_get_interval", SYS_sched_rr_get_interval, { 0, A_BADPTR } },
	{ "getgroups", SYS_getgroups, { 100, A_BADPTR } },
	{ "setgroups", SYS_setgroups, { 2, A_BADPTR } },
	{ "getresuid", SYS_getresuid, { A_BADPTR, A_BUF, A_BUF } },
	{ "getresgid", SYS_getresgid, { A_BUF, A_BUF, A_BADPTR } },
	{ "getrandom", SYS_getrandom, { A_BADPTR, 16, 0 } },
	{ "getcpu", SYS_getcpu, { A_BADPTR, 0, 0 } },
	{ "mincore", SYS_mincore, { A_BUF, 4096, A_BADPTR } },
	{ "mount target", SYS_mount, { (long)"none", A_BADPTR, (long)"tmpfs", 0, 0 } },
	{ "mount type", SYS_mount, { (long)"none", A_PATH, A_BADPTR, 0, 0 } },
	{ "umount2", SYS_umount2, { A_BADPTR, 0 } },
	{ "sethostname", SYS_sethostname, { A_BADPTR, 4 } },
	{ "setdomainname", SYS_setdomainname, { A_BADPTR, 4 } },
	{ "inotify_add_watch", SYS_inotify_add_watch, { A_INOTIFY, A_BADPTR, 1 } },
	{ "memfd_create", SYS_memfd_create, { A_BADPTR, 0 } },
	{ "setxattr path", SYS_setxattr, { A_BADPTR, (long)"trusted.a", A_BUF, 1, 0 } },
	{ "setxattr name", SYS_setxattr, { A_PATH, A_BADPTR, A_BUF, 1, 0 } },
	{ "setxattr value", SYS_setxattr, { A_PATH, (long)"trusted.a", A_BADPTR, 1, 0 } },
	{ "getxattr name", SYS_getxattr, { A_PATH, A_BADPTR, A_BUF, 1 } },
	{ "removexattr name", SYS_removexattr, { A_PATH, A_BADPTR } },
	{ "sendfile offset", SYS_sendfile, { A_FD, A_FD, A_BADPTR, 1 } },
	{ "splice offset", SYS_splice, { A_FD, A_BADPTR, A_PIPE_W, 0, 10, 0 } },
	{ "vmsplice", SYS_vmsplice, { A_PIPE_W, A_BADPTR, 1, 0 } },
	{ "copy_file_range", SYS_copy_file_range, { A_FD, A_BADPTR, A_FD, 0, 1, 0 } },
	{ "clone3", SYS_clone3, { A_BADPTR, 88 } },
	{ "capget", SYS_capget, { A_BADPTR, A_BUF } },
	{ "prctl set name", SYS_prctl, { 15, A_BADPTR } },
	{ "prctl get name", SYS_prctl, { 16, A_BADPTR } },
	{ "arch_prctl get fs", SYS_arch_prctl, { 0x1003, A_BADPTR } },
	{ "get_robust_list", SYS_get_robust_list, { 0, A_BADPTR, A_BUF } },
	{ "fcntl getlk", SYS_fcntl, { A_FD, F_GETLK, A_BADPTR } },
	{ "fcntl setlk", SYS_fcntl, { A_FD, F_SETLK, A_BADPTR } },
	{ "ioctl fionread", SYS_ioctl, { A_PIPE_R, 0x541b, A_BADPTR } },
	{ "openat2 how", SYS_openat2, { AT_FDCWD, A_PATH, A_BADPTR, 24 } },
	{ "adjtimex", SYS_adjtimex, { A_BADPTR } },
	{ "mq or swap: swapon", SYS_swapon, { A_BADPTR, 0 } },
	{ "acct", SYS_acct, { A_BADPTR } },
	{ "process_vm_readv", SYS_process_vm_readv, { A_SELF, A_BADPTR, 1, A_BUF, 1, 0 } },
	{ "futex wait", SYS_futex, { A_BADPTR, 0, 0, 0, 0, 0 } },
	{ "timerfd_create then settime", SYS_timerfd_settime, { A_FD, 0, A_BADPTR, 0 } },
};

static long fd, dir, pipefd[2], sock, bound, ep, in;
static char *buf;

static void set_up(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "bound" };
	int p[2], sv[2];

	fd = tap_file("file", "some text in the file");
	dir = tap_must(open(".", O_RDONLY | O_DIRECTORY));
	tap_must(pipe(p));
	pipefd[0] = p[0];
	pipefd[1] = p[1];
	tap_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	sock = sv[0];
	bound = tap_must(socket(AF_UNIX, SOCK_DGRAM, 0));
	tap_must(bind(bound, (void *)&a, sizeof(a)));
	ep = tap_must(epoll_create1(0));
	in = tap_must(inotify_init1(0));
	tap_must(setgroups(2, (gid_t[]){ 7, 8 }));
	buf = tap_pages(1);
}

static long value(long a, void *bad)
{
	switch (a) {
	case A_FD: return fd;
	case A_DIR: return dir;
	case A_PIPE_R: return pipefd[0];
	case A_PIPE_W: return pipefd[1];
	case A_SOCK: return sock;
	case A_BOUND: return bound;
	case A_EPOLL: return ep;
	case A_INOTIFY: return in;
	case A_BUF: return (long)buf;
	case A_PATH: return (long)"file";
	case A_NEWPATH: return (long)"a-free-name";
	case A_SELF: return getpid();
	case A_BADPTR: return (long)bad;
	}
	return a;
}

static bool is_absent(const struct row *r)
{
	/* calls a kernel may be built without */
	return (r->nr == SYS_swapon || r->nr == SYS_acct || r->nr == SYS_process_vm_readv) &&
	       errno == ENOSYS;
}

static void try(const struct row *r, void *bad)
{
	long a[6], got;

	for (int i = 0; i < 6; i++)
		a[i] = value(r->arg[i], bad);
	memset(buf, 0, PAGE);
	errno = 0;
	got = syscall(r->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (got == -1 && (errno == EFAULT || is_absent(r)))
		return;
	tap_fail("%s with %p: expected EFAULT, got %ld errno %d %s", r->name, bad, got, errno,
		 strerror(errno));
}

static void sweep(int from, int to)
{
	void *bad[TAP_BAD_PTRS];

	set_up();
	tap_bad_ptrs(bad);
	for (int i = from; i < to; i++)
		for (int b = 0; b < TAP_BAD_PTRS; b++)
			try(&rows[i], bad[b]);
}

#define STEP	20

static void rows_0_to_19(void) { sweep(0, STEP); }
static void rows_20_to_39(void) { sweep(STEP, 2 * STEP); }
static void rows_40_to_59(void) { sweep(2 * STEP, 3 * STEP); }
static void rows_60_to_79(void) { sweep(3 * STEP, 4 * STEP); }
static void rows_80_to_99(void) { sweep(4 * STEP, 5 * STEP); }
static void rows_100_to_119(void) { sweep(5 * STEP, 6 * STEP); }
static void rows_120_to_139(void) { sweep(6 * STEP, 7 * STEP); }
static void rows_from_140(void) { sweep(7 * STEP, ARRAY_LEN(rows)); }

/* Structures that end with a page: whole they are fine, one byte less is EFAULT. */
static void structures_at_the_end_of_a_page(void)
{
	static const struct { const char *name; long nr, a0; int size; } out[] = {
		{ "uname", SYS_uname, -1, 390 }, { "sysinfo", SYS_sysinfo, -1, 112 },
		{ "times", SYS_times, -1, 32 }, { "getitimer", SYS_getitimer, 0, 32 },
		{ "getrlimit", SYS_getrlimit, 0, 16 }, { "getrusage", SYS_getrusage, 0, 144 },
		{ "clock_gettime", SYS_clock_gettime, 1, 16 },
		{ "clock_getres", SYS_clock_getres, 1, 16 },
		{ "sched_getparam", SYS_sched_getparam, 0, 4 }, { "fstat", SYS_fstat, 1, 144 },
		{ "fstatfs", SYS_fstatfs, 1, 120 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(out); i++) {
		char *whole = tap_page_edge(out[i].size), *cut = tap_page_edge(out[i].size - 1);
		bool one = out[i].a0 < 0;

		if (!tap_ok(syscall(out[i].nr, one ? (long)whole : out[i].a0, whole) >= 0))
			tap_note("%s, whole", out[i].name);
		if (!tap_err(syscall(out[i].nr, one ? (long)cut : out[i].a0, cut), EFAULT))
			tap_note("%s, cut", out[i].name);
	}
}

static void names_that_end_with_the_page(void)
{
	static const long nr[] = {
		SYS_access, SYS_chdir, SYS_rmdir, SYS_unlink, SYS_chmod, SYS_truncate,
	};
	char *whole = tap_page_edge(4), *open_end = tap_page_edge(4);

	memcpy(whole, "abc", 4);
	memcpy(open_end, "abcd", 4);
	for (unsigned i = 0; i < ARRAY_LEN(nr); i++) {
		tap_err(syscall(nr[i], whole, 0), ENOENT);
		tap_err(syscall(nr[i], open_end, 0), EFAULT);
	}
}

static void ranges_that_wrap_around(void)
{
	set_up();
	tap_err(syscall(SYS_read, fd, -16l, 100), EFAULT);
	tap_err(syscall(SYS_write, fd, -16l, 100), EFAULT);
	tap_err(syscall(SYS_getrandom, -8l, 64, 0), EFAULT);
	tap_err(syscall(SYS_read, fd, (1ul << 47) - 8, 64), EFAULT);
	struct iovec v = { (void *)-16ul, 100 };
	tap_err(syscall(SYS_writev, fd, &v, 1), EFAULT);
}

TAP_MAIN(
	CASE(rows_0_to_19),
	CASE(rows_20_to_39),
	CASE(rows_40_to_59),
	CASE(rows_60_to_79),
	CASE(rows_80_to_99),
	CASE(rows_100_to_119),
	CASE(rows_120_to_139),
	CASE(rows_from_140),
	CASE(structures_at_the_end_of_a_page),
	CASE(names_that_end_with_the_page),
	CASE(ranges_that_wrap_around),
)
