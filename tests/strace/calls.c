/*
 * A program for strace to look at: system calls of many kinds, in an order and with
 * results that are the same on every kernel.  Names of cases are its arguments.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449		/* musl's headers are older */
#endif

static char page[65536];

static void files(void)
{
	struct stat st;
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	struct iovec v[2] = { { "first ", 6 }, { "second\n\t\"quoted\" \1\0012\377", 20 } };

	writev(fd, v, 2);
	pwrite(fd, "a string that is longer than thirty-two bytes", 45, 100);
	lseek(fd, 0, SEEK_SET);
	v[0].iov_base = page;
	v[0].iov_len = 4;
	v[1].iov_base = page + 100;
	v[1].iov_len = 1000;
	readv(fd, v, 2);
	pread(fd, page, 10, 100);
	syscall(SYS_fstat, fd, &st);
	syscall(SYS_stat, "file", &st);
	syscall(SYS_stat, "/dev/null", &st);
	syscall(SYS_stat, "missing", &st);
	syscall(SYS_lstat, "/", &st);
	ftruncate(fd, 4096);
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8192);
	fsync(fd);
	syscall(SYS_close, fd);
	syscall(SYS_close, 1000);
	openat(AT_FDCWD, "missing", O_RDONLY | O_NOFOLLOW | O_DIRECTORY | O_NONBLOCK);
	open("", O_WRONLY | O_APPEND);
	syscall(SYS_open, NULL, O_RDONLY);
}

static void names(void)
{
	char buf[4096];
	struct timespec ts[2] = { { 1000000000, 5 }, { 0, UTIME_OMIT } };

	mkdir("dir", 0755);
	symlink("target", "dir/link");
	readlink("dir/link", buf, sizeof(buf));
	link("dir/link", "dir/hard");
	rename("dir/hard", "dir/other");
	syscall(SYS_renameat2, AT_FDCWD, "dir/other", AT_FDCWD, "dir/link", 1);
	chmod("dir", 01777);
	syscall(SYS_mknod, "dir/fifo", S_IFIFO | 0600, 0);
	syscall(SYS_mknodat, AT_FDCWD, "dir/null", S_IFCHR | 0600, 0x103);
	syscall(SYS_chown, "dir", -1, 5);
	access("dir", R_OK | W_OK);
	access("dir", F_OK);
	syscall(SYS_faccessat, AT_FDCWD, "dir/no", X_OK);
	utimensat(AT_FDCWD, "dir", ts, 0);
	utimensat(AT_FDCWD, "dir", NULL, AT_SYMLINK_NOFOLLOW);
	umask(027);
	umask(022);
	chdir("dir");
	getcwd(buf, sizeof(buf));
	chdir("..");
	unlink("dir/null");
	unlinkat(AT_FDCWD, "dir/fifo", 0);
	unlink("dir/other");
	unlink("dir/link");
	int fd = open("dir", O_RDONLY | O_DIRECTORY);

	syscall(SYS_getdents64, fd, buf, sizeof(buf));
	close(fd);
	unlinkat(AT_FDCWD, "dir", AT_REMOVEDIR);
	rmdir("dir");
}

static void descriptors(void)
{
	int p[2], fd;
	struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };

	syscall(SYS_pipe, p);
	pipe2(p, O_CLOEXEC | O_NONBLOCK);
	fcntl(p[0], F_GETFD);
	fcntl(p[0], F_SETFD, 0);
	fcntl(p[0], F_GETFL);
	fcntl(p[0], F_SETFL, O_RDONLY | O_APPEND);
	fd = fcntl(p[0], F_DUPFD_CLOEXEC, 10);
	syscall(SYS_dup2, p[0], 20);
	dup3(p[0], 21, O_CLOEXEC);
	dup3(p[0], p[0], 0);
	close(fd);
	ioctl(p[0], FIONREAD, &fd);
	ioctl(p[0], TCGETS, page);
	ioctl(p[0], TIOCGWINSZ, page);
	fd = open("locked", O_RDWR | O_CREAT, 0666);
	fcntl(fd, F_SETLK, &lk);
	fcntl(fd, F_GETLK, &lk);
	flock(fd, LOCK_EX | LOCK_NB);
	unlink("locked");
	eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC);
	inotify_init1(IN_CLOEXEC);
	inotify_add_watch(7, "/tmp", IN_CREATE | IN_DELETE | IN_ONLYDIR);
	memfd_create("name", MFD_CLOEXEC);
}

static void waiting(void)
{
	struct pollfd f[2];
	struct timeval tv = { 0, 1000 };
	struct timespec ts = { 0, 1000 };
	struct epoll_event e = { EPOLLIN | EPOLLET, { .u64 = 77 } }, out[4];
	int p[2], ep;
	fd_set in, o;

	syscall(SYS_pipe, p);
	f[0] = (struct pollfd){ p[0], POLLIN, 0 };
	f[1] = (struct pollfd){ p[1], POLLOUT | POLLRDHUP, 0 };
	syscall(SYS_poll, f, 1, 0);
	syscall(SYS_poll, f, 2, -1);
	write(p[1], "x", 1);
	syscall(SYS_poll, f, 2, 1000);
	FD_ZERO(&in);
	FD_ZERO(&o);
	FD_SET(p[0], &in);
	FD_SET(p[1], &o);
	syscall(SYS_select, p[1] + 1, &in, &o, NULL, NULL);
	syscall(SYS_select, 0, NULL, NULL, NULL, &tv);
	ep = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
	epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
	epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL);
	syscall(SYS_epoll_wait, ep, out, 4, -1);
	syscall(SYS_epoll_wait, ep, out, 4, 0);
	syscall(SYS_nanosleep, &ts, NULL);
	syscall(SYS_nanosleep, &ts, &ts);
	ts.tv_nsec = -1;
	syscall(SYS_nanosleep, &ts, NULL);
}

static void sockets(void)
{
	struct sockaddr_un a = { AF_UNIX, "sock" }, abs = { AF_UNIX, "\0hidden" };
	union { char buf[CMSG_SPACE(8)]; struct cmsghdr h; } c = { .h = { .cmsg_len = CMSG_LEN(8), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec v = { page, 7 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), k, pair[2], one = 1;
	socklen_t len = sizeof(a);

	((int *)CMSG_DATA(&c.h))[0] = 0;
	((int *)CMSG_DATA(&c.h))[1] = 1;
	bind(s, (void *)&a, sizeof(a));
	listen(s, 5);
	k = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(k, (void *)&a, sizeof(a.sun_family) + 5);
	syscall(SYS_accept, s, page, &len);
	len = sizeof(a);
	getsockname(s, (void *)page, &len);
	bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&abs, sizeof(a.sun_family) + 7);
	connect(k, (void *)&abs, sizeof(a.sun_family) + 7);
	setsockopt(k, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	sendto(pair[0], "message", 7, MSG_NOSIGNAL, NULL, 0);
	recvfrom(pair[1], page, 100, MSG_PEEK, NULL, NULL);
	sendmsg(pair[0], &m, MSG_DONTWAIT);
	shutdown(pair[0], SHUT_RDWR);
	unlink("sock");
	len = 4;
	getsockopt(k, SOL_SOCKET, SO_TYPE, &one, &len);
	recvmsg(pair[1], &m, 0);
	socket(60, SOCK_RAW, 0);
}

static void memory(void)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int fd = open("mapped", O_RDWR | O_CREAT, 0600);

	ftruncate(fd, 8192);
	mmap(NULL, 4096, PROT_NONE, MAP_SHARED, fd, 4096);
	mprotect(p, 4096, PROT_READ | PROT_EXEC);
	madvise(p, 4096, MADV_DONTNEED);
	msync(p, 4096, MS_SYNC | MS_INVALIDATE);
	mremap(p, 8192, 4096, 0);
	mlock(p, 4096);
	munlock(p, 4096);
	munmap(p, 4096);
	munmap((void *)1, 4096);
	syscall(SYS_brk, NULL);
	unlink("mapped");
}

static void limits(void)
{
	struct rlimit r = { 1000, 2048 };
	struct utsname u;
	struct rlimit64 { unsigned long cur, max; } l;

	syscall(SYS_getrlimit, RLIMIT_CORE, &r);
	r.rlim_cur = 16;
	r.rlim_max = RLIM_INFINITY;
	syscall(SYS_setrlimit, RLIMIT_CORE, &r);
	syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &l);
	uname(&u);
	getpriority(PRIO_PROCESS, 0);
	setpriority(PRIO_PROCESS, 0, 5);
	sched_yield();
	getuid();
	setuid(0);
	setresgid(-1, 0, 0);
	prctl(PR_SET_NAME, "a-name-that-is-too-long");
	prctl(PR_GET_NAME, page);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_GET_DUMPABLE);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	sethostname("(none)", 6);
	syscall(5000, 1, 2, 3, 4, 5, 6);
}

static volatile int count;
static void on_signal(int sig) { count += sig; }
static void on_info(int sig, siginfo_t *si, void *uc) { count += sig + si->si_code + (uc != NULL); }

static void signals(void)
{
	struct sigaction a = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER };
	struct itimerval it = { { 0, 0 }, { 0, 1000 } };
	union sigval v = { .sival_int = 42 };
	sigset_t set;
	stack_t ss = { .ss_sp = page, .ss_size = 16384 };

	sigaction(SIGUSR1, &a, NULL);
	sigaddset(&a.sa_mask, SIGINT);
	a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
	a.sa_sigaction = on_info;
	sigaltstack(&ss, NULL);
	sigaction(SIGUSR2, &a, &a);
	raise(SIGUSR1);
	sigqueue(getpid(), SIGUSR2, v);
	a.sa_handler = on_signal;
	sigaction(SIGALRM, &a, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGRTMIN + 2);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
	setitimer(ITIMER_REAL, &it, NULL);
	sigemptyset(&set);
	sigsuspend(&set);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	raise(SIGWINCH);
	sigfillset(&set);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, page, 8);
	raise(SIGUSR2);
	sigpending(&set);
	alarm(100);
	alarm(0);
}

static void children(void)
{
	sigset_t set;
	siginfo_t si;
	struct rusage ru;
	int st;
	pid_t kid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);		/* its moment is chance */
	sigprocmask(SIG_BLOCK, &set, NULL);
	kid = fork();
	if (!kid)
		_exit(3);
	syscall(SYS_waitid, P_PID, kid, &si, WEXITED | WNOWAIT, NULL);
	syscall(SYS_wait4, kid, &st, WUNTRACED | WCONTINUED, &ru);
	kid = fork();
	if (!kid) {
		kill(getpid(), SIGKILL);
		pause();
	}
	waitpid(kid, &st, 0);
	kid = fork();
	if (!kid)
		*(volatile int *)0 = 1;
	waitpid(kid, &st, 0);
	waitpid(-1, &st, WNOHANG);
	kid = vfork();
	if (!kid)
		_exit(4);
	syscall(SYS_wait4, -1, NULL, __WALL, NULL);
}

static int in_thread(void *arg)
{
	syscall(SYS_exit, arg != NULL);
	return 0;
}

static void threads(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	static volatile int word;
	pid_t tid = clone(in_thread, stack + sizeof(stack),
			  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID,
			  NULL, &word, NULL, &word);
	struct timespec ts = { 0, 1000 };

	(void)tid;
	while (word)
		;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
	syscall(SYS_futex, &word, FUTEX_WAIT, 1, NULL);
	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts);
	syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, NULL, NULL, ~0u);
	syscall(SYS_futex, &word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 3);
	syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE, 1, 2, &ts, 0);
	syscall(SYS_set_robust_list, page, 24);
}

static void clocks(void)
{
	struct itimerspec its = { { 1, 0 }, { 100, 5 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL);
	timerfd_settime(fd, 0, &its, NULL);
	syscall(SYS_clock_gettime, 77, &its);
	its.it_value.tv_nsec = 10;
	its.it_value.tv_sec = 0;
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &its.it_value, NULL);
}

static void messages(void)
{
	static char a[40], b[40];
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "nobody" };
	struct iovec v[3] = { { "one", 3 }, { "two and ", 8 }, { "a half", 6 } };
	struct mmsghdr m[3] = { { .msg_hdr = { .msg_iov = v, .msg_iovlen = 1 } },
				{ .msg_hdr = { .msg_iov = v + 1, .msg_iovlen = 2 } } };
	struct timespec none = { 0, 0 }, second = { 1, 0 };
	int s[2];

	socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
	bind(s[0], (struct sockaddr *)&to, 9);
	m[2].msg_hdr = (struct msghdr){ .msg_iov = (void *)8, .msg_iovlen = 1 };
	syscall(SYS_sendmmsg, s[0], m, 3, MSG_DONTWAIT);
	m[2].msg_hdr = (struct msghdr){ .msg_iov = v, .msg_iovlen = 3, .msg_name = page, .msg_namelen = 50 };
	syscall(SYS_sendmsg, s[0], &m[1].msg_hdr, 0);
	v[0] = (struct iovec){ page + 200, 4 };
	v[1] = (struct iovec){ page + 300, 4 };
	syscall(SYS_recvmsg, s[1], &m[2].msg_hdr, 0);
	v[0] = (struct iovec){ a, sizeof(a) };
	v[1] = (struct iovec){ b, sizeof(b) };
	m[0].msg_hdr.msg_name = page;
	m[0].msg_hdr.msg_namelen = sizeof(to);
	m[1].msg_hdr.msg_iovlen = 1;
	syscall(SYS_recvmmsg, s[1], m, 2, MSG_DONTWAIT, &second);
	syscall(SYS_recvmmsg, s[1], m, 2, MSG_DONTWAIT, NULL);
	syscall(SYS_recvmmsg, s[1], m, 1, MSG_DONTWAIT, &none);
	syscall(SYS_recvmmsg, 77, m, 1, 0, &none);
	syscall(SYS_recvmmsg, s[1], NULL, 0, 0, NULL);
	m[0].msg_hdr.msg_name = &to;
	m[0].msg_hdr.msg_namelen = 9;
	syscall(SYS_sendmmsg, s[0], m, 2, 0);
	syscall(SYS_sendmmsg, 77, m, 1, MSG_NOSIGNAL);
	syscall(SYS_sendmmsg, s[0], 8, 1, 0);
	syscall(SYS_sendmmsg, s[0], m, 0, 0);
}

static void scheduling(void)
{
	struct { unsigned size, policy; unsigned long flags; int nice; unsigned priority; unsigned long run, deadline, period;
		 unsigned min, max; } attr = { .size = 48, .policy = SCHED_BATCH, .nice = 3 };
	unsigned long mask[16] = { 1 };

	syscall(SYS_sched_setattr, 0, &attr, 0);
	syscall(SYS_sched_getattr, 0, page, 48, 0);
	syscall(SYS_sched_getattr, 0, page, 56, 0);
	attr.policy = SCHED_FIFO;
	attr.nice = 0;
	attr.priority = 7;
	attr.flags = 1ul << 40;
	syscall(SYS_sched_setattr, 0, &attr, 0);
	attr.flags = 0;
	attr.policy = 77;
	syscall(SYS_sched_setattr, 0, &attr, 1);
	syscall(SYS_sched_setattr, 0, &attr, 0);
	attr.size = 64;
	syscall(SYS_sched_setattr, 0, &attr, 0);
	syscall(SYS_sched_getattr, 0, page, 72, 0);
	attr.size = 56;
	attr.flags = 0x21;
	attr.min = 10;
	syscall(SYS_sched_setattr, 0, &attr, 0);
	attr.size = 10;
	syscall(SYS_sched_setattr, 0, &attr, 0);
	syscall(SYS_sched_setattr, 0, NULL, 0);
	syscall(SYS_sched_setattr, 0, 8, 0);
	syscall(SYS_sched_getattr, 0, page, 4, 0);
	syscall(SYS_sched_getattr, 99999, page, 48, 0);
	syscall(SYS_sched_getaffinity, 0, sizeof(mask), page);
	syscall(SYS_sched_getaffinity, 0, 3, page);
	syscall(SYS_sched_getaffinity, 0, sizeof(mask), NULL);
	syscall(SYS_sched_setaffinity, 0, 8, mask);
	mask[0] = 0x29;
	mask[1] = 1;
	syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask);
	syscall(SYS_sched_setaffinity, 0, 2, mask);
	syscall(SYS_sched_setaffinity, 0, 0, mask);
	syscall(SYS_sched_setaffinity, 0, 8, NULL);
	syscall(SYS_sched_setaffinity, 99999, 8, mask);
	mask[0] = 0;
	syscall(SYS_sched_setaffinity, 0, 8, mask);
}

static void timers(void)
{
	struct sigevent ev = { .sigev_signo = SIGUSR1, .sigev_notify = SIGEV_SIGNAL, .sigev_value.sival_int = 5 };
	struct itimerspec its = { { 0, 0 }, { 100, 5 } };
	struct timex tx = { 0 };
	int id = 0;

	syscall(SYS_timer_create, CLOCK_REALTIME, &ev, &id);
	syscall(SYS_timer_settime, id, 0, &its, page);
	syscall(SYS_timer_gettime, 99, &its);
	syscall(SYS_timer_getoverrun, id);
	syscall(SYS_timer_delete, id);
	ev.sigev_notify = SIGEV_NONE;
	syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id);
	ev.sigev_notify = SIGEV_THREAD;
	syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id);
	syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id);
	ev.sigev_notify = 4;			/* SIGEV_THREAD_ID */
	ev.sigev_value.sival_ptr = page;
	((int *)&ev)[4] = 99999;
	syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id);
	ev.sigev_notify = 77;
	syscall(SYS_timer_create, CLOCK_BOOTTIME, &ev, &id);
	syscall(SYS_timer_create, CLOCK_MONOTONIC, 8, &id);
	syscall(SYS_timer_create, 77, NULL, &id);
	syscall(SYS_adjtimex, &tx);
	syscall(SYS_adjtimex, NULL);
	syscall(SYS_clock_adjtime, CLOCK_REALTIME, &tx);
	tx.modes = ADJ_OFFSET | ADJ_STATUS;
	tx.status = STA_PLL | STA_UNSYNC;
	syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &tx);
}

static void opening(void)
{
	struct { unsigned long flags, mode, resolve, more[2]; } how = { .flags = O_RDWR | O_CREAT | O_CLOEXEC, .mode = 0600 };

	syscall(SYS_openat2, AT_FDCWD, "file2", &how, 24);
	how.flags = O_RDONLY;
	how.mode = 0;
	how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
	syscall(SYS_openat2, AT_FDCWD, "/etc/words", &how, 24);
	how.resolve = 0x1000;
	syscall(SYS_openat2, AT_FDCWD, "file2", &how, 24);
	how.resolve = 0;
	how.mode = 0755;
	syscall(SYS_openat2, AT_FDCWD, "file2", &how, 24);
	how.mode = 0;
	syscall(SYS_openat2, AT_FDCWD, "file2", &how, 40);
	how.more[0] = 3;
	syscall(SYS_openat2, AT_FDCWD, "file2", &how, 32);
	syscall(SYS_openat2, AT_FDCWD, "file2", &how, 16);
	syscall(SYS_openat2, AT_FDCWD, NULL, NULL, 24);
	syscall(SYS_openat2, AT_FDCWD, "file2", 8, 24);
}

static void waitv(void)
{
	static unsigned word = 5;
	struct { unsigned long val, addr; unsigned flags, pad; } w[2] = {
		{ 5, (unsigned long)&word, 2 | FUTEX_PRIVATE_FLAG, 0 }, { 6, (unsigned long)&word, 2, 0 } };
	struct timespec past = { 0, 5 };

	syscall(SYS_futex_waitv, w, 2, 0, NULL, 0);
	syscall(SYS_futex_waitv, w, 1, 0, &past, CLOCK_MONOTONIC);
	syscall(SYS_futex_waitv, w, 1, 7, NULL, CLOCK_REALTIME);
	syscall(SYS_futex_waitv, w, 0, 0, NULL, 0);
	syscall(SYS_futex_waitv, NULL, 1, 0, NULL, 0);
	w[0].flags = 0x40;
	w[0].pad = 1;
	syscall(SYS_futex_waitv, w, 1, 0, NULL, 77);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*fn)(void); } cases[] = {
		{ "files", files }, { "names", names }, { "descriptors", descriptors }, { "waiting", waiting },
		{ "sockets", sockets }, { "memory", memory }, { "limits", limits }, { "signals", signals },
		{ "children", children }, { "threads", threads }, { "clocks", clocks },
		{ "messages", messages }, { "scheduling", scheduling }, { "timers", timers }, { "opening", opening }, { "waitv", waitv },
	};

	for (int i = 1; i < argc; i++)
		for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
			if (!strcmp(argv[i], cases[c].name))
				cases[c].fn();
	return 0;
}
