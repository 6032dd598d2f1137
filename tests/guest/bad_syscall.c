/* System calls as no program makes them: unknown numbers, wild arguments, wrong instructions. */
#include "tap.h"


static void unknown_numbers_are_enosys(void)
{
	static const long nr[] = {
		336, 400, 423, 468, 511, 1000, 0x7fffffff, 0x80000000, -1, -4096,
	};

	for (unsigned i = 0; i < ARRAY_LEN(nr); i++)
		if (!tap_err(syscall(nr[i], 0, 0, 0, 0, 0, 0), ENOSYS))
			tap_note("number %ld", nr[i]);
}

static void only_the_low_half_of_the_number_counts(void)
{
	tap_eq(syscall(SYS_getpid | 1l << 40), getpid());
	tap_eq(syscall(SYS_getpid | 0xffffffffl << 32), getpid());
}

static void calls_that_were_never_there(void)
{
	static const long nr[] = {
		SYS__sysctl, SYS_create_module, SYS_get_kernel_syms, SYS_query_module,
		SYS_nfsservctl, SYS_getpmsg, SYS_putpmsg, SYS_afs_syscall, SYS_tuxcall,
		SYS_security, SYS_epoll_ctl_old, SYS_epoll_wait_old, SYS_vserver,
	};

	for (unsigned i = 0; i < ARRAY_LEN(nr); i++)
		if (!tap_err(syscall(nr[i], 0, 0, 0, 0, 0, 0), ENOSYS))
			tap_note("number %ld", nr[i]);
}

static void unknown_calls_change_no_register_but_three(void)
{
	unsigned long rax = 5000, rdi = 0x11, rsi = 0x22, rdx = 0x33, rbx = 0x55;

	asm volatile("syscall" : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+b"(rbx)
		     :: "rcx", "r11", "memory");
	tap_eq(rax, -ENOSYS);
	tap_eq(rdi, 0x11);
	tap_eq(rsi, 0x22);
	tap_eq(rdx, 0x33);
	tap_eq(rbx, 0x55);
}

static void rcx_and_r11_as_the_instruction_leaves_them(void)
{
	unsigned long rcx, r11, rip, fl;

	asm volatile("pushfq; pop %3; lea 1f(%%rip), %2; mov $39, %%eax; syscall\n"
		     "1: mov %%rcx, %0; mov %%r11, %1"
		     : "=&r"(rcx), "=&r"(r11), "=&r"(rip), "=&r"(fl) :: "rax", "rcx", "r11",
		     "memory");
	tap_eq(rcx, rip);
	tap_eq(r11 & 0xfff & ~0x8d5, fl & 0xfff & ~0x8d5);	/* but for arithmetic flags */
}

static void descriptors_of_every_size(void)
{
	static const long fd[] = { -1, -100, 1 << 20, 0x7fffffff, 0x80000000, 0xffffffff };
	char c;

	for (unsigned i = 0; i < ARRAY_LEN(fd); i++) {
		tap_err(syscall(SYS_read, fd[i], &c, 1), EBADF);
		tap_err(syscall(SYS_write, fd[i], &c, 1), EBADF);
		tap_err(syscall(SYS_close, fd[i]), EBADF);
		tap_err(syscall(SYS_fcntl, fd[i], F_GETFL, 0), EBADF);
		tap_err(syscall(SYS_lseek, fd[i], 0, 0), EBADF);
		tap_err(syscall(SYS_ioctl, fd[i], 0, 0), EBADF);
		tap_err(syscall(SYS_fsync, fd[i]), EBADF);
		tap_err(syscall(SYS_dup, fd[i]), EBADF);
	}
	/* only the low 32 bits of a descriptor count */
	int f = tap_file("f", "x");
	tap_eq(syscall(SYS_pread64, f | 0x700000000, &c, 1, 0), 1);
}

static void calls_that_touch_nothing_with_random_arguments(void)
{
	static const long nr[] = {
		SYS_read, SYS_write, SYS_lseek, SYS_mprotect, SYS_ioctl, SYS_pread64, SYS_readv,
		SYS_access, SYS_madvise, SYS_dup2, SYS_getitimer, SYS_sendfile, SYS_socket,
		SYS_connect, SYS_accept, SYS_sendto, SYS_recvfrom, SYS_bind, SYS_listen,
		SYS_getsockopt, SYS_fcntl, SYS_ftruncate, SYS_getdents, SYS_readlink, SYS_fchmod,
		SYS_getrlimit, SYS_getrusage, SYS_sysinfo, SYS_times, SYS_getgroups,
		SYS_rt_sigpending, SYS_utime, SYS_statfs, SYS_getpriority, SYS_sched_getparam,
		SYS_mlock, SYS_munlock, SYS_getxattr, SYS_futex, SYS_sched_getaffinity,
		SYS_getdents64, SYS_fadvise64, SYS_timer_settime, SYS_clock_getres,
		SYS_epoll_wait, SYS_epoll_ctl, SYS_waitid, SYS_openat, SYS_newfstatat,
		SYS_readlinkat, SYS_splice, SYS_tee, SYS_vmsplice, SYS_utimensat, SYS_signalfd,
		SYS_eventfd, SYS_fallocate, SYS_timerfd_settime, SYS_accept4, SYS_dup3,
		SYS_preadv, SYS_recvmmsg, SYS_prlimit64, SYS_sendmmsg, SYS_getcpu, SYS_statx,
		SYS_mincore, SYS_msync,
	};
	unsigned long s = 42;

	pid_t kid = tap_fork();
	if (kid == 0) {
		/* a wild address may hit something of ours: then this child alone dies */
		for (int fd = 0; fd < 64; fd++)
			close(fd);
		for (int round = 0; round < 60; round++)
			for (unsigned i = 0; i < ARRAY_LEN(nr); i++) {
				unsigned long a[6];

				if (nr[i] == SYS_futex)
					continue;	/* might wait for ever */
				for (int k = 0; k < 6; k++) {
					s = s * 6364136223846793005ul + 1442695040888963407ul;
					a[k] = s >> (s >> 58);
					if (a[k] % 5 == 0)
						a[k] = -(a[k] & 0xffff);
				}
				a[3] |= 1ul << 63;	/* negative times and offsets do not wait */
				syscall(nr[i], a[0], a[1], a[2], a[3], a[4], a[5]);
			}
		_exit(0);
	}
	int st = tap_status(kid);
	tap_ok(WIFEXITED(st) || WIFSIGNALED(st));
	tap_eq(getppid() > 0, 1);
}

static void the_32_bit_gate_is_no_back_door(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		int r;

		/* exit is 1 there; a kernel without the gate sends SIGSEGV */
		asm volatile("int $0x80" : "=a"(r) : "a"(1), "b"(0) : "memory");
		_exit(9);
	}
	int st = tap_status(kid);
	tap_ok(st == 0 || (WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV));
	kid = tap_fork();
	if (kid == 0) {
		asm volatile("sysenter");
		_exit(9);
	}
	st = tap_status(kid);
	tap_ok(st != 9 << 8);
}

static void a_system_call_at_the_end_of_the_world(void)
{
	unsigned char *p = (unsigned char *)tap_page_edge(2);
	unsigned char *page = (void *)((uintptr_t)p & -PAGE);

	pid_t kid = tap_fork();
	if (kid == 0) {
		p[0] = 0x0f;
		p[1] = 0x05;				/* returns to an unmapped page */
		mprotect(page, PAGE, PROT_READ | PROT_EXEC);
		asm volatile("mov $39, %%eax; jmp *%0" :: "r"(p) : "rax", "rcx", "r11");
		_exit(9);
	}
	tap_killed(kid, SIGSEGV);
	/* the very last page below the hole: the return address would not be canonical */
	char *top = (char *)(1ul << 47) - PAGE;
	void *got = mmap(top, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (got == MAP_FAILED)
		return;					/* refused: that is the other safe answer */
	kid = tap_fork();
	if (kid == 0) {
		top[4094] = 0x0f;
		top[4095] = 0x05;
		asm volatile("mov $39, %%eax; jmp *%0" :: "r"(top + 4094) : "rax", "rcx", "r11");
		_exit(9);
	}
	tap_ok(WIFSIGNALED(tap_status(kid)));
}

TAP_MAIN(
	CASE(unknown_numbers_are_enosys),
	CASE(only_the_low_half_of_the_number_counts),
	CASE(calls_that_were_never_there),
	CASE(unknown_calls_change_no_register_but_three),
	CASE(rcx_and_r11_as_the_instruction_leaves_them),
	CASE(descriptors_of_every_size),
	CASE(calls_that_touch_nothing_with_random_arguments),
	CASE(the_32_bit_gate_is_no_back_door),
	CASE(a_system_call_at_the_end_of_the_world),
)
