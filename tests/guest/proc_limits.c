/* getrlimit, setrlimit, prlimit64; priorities; sched_* basics; getcpu; personality; prctl. */
#include "tap.h"

#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void every_limit_can_be_read(void)
{
	struct rlimit rl;

	for (int r = 0; r < 16; r++) {
		tap_eq(getrlimit(r, &rl), 0);
		tap_ok(rl.rlim_cur <= rl.rlim_max);
	}
	tap_must(getrlimit(RLIMIT_STACK, &rl));
	tap_eq(rl.rlim_cur, 8 << 20);
	tap_err(syscall(SYS_getrlimit, 16, &rl), EINVAL);
	tap_err(syscall(SYS_setrlimit, 16, &rl), EINVAL);
	tap_efault_each(p, syscall(SYS_getrlimit, 0, p));
	tap_efault_each(p, syscall(SYS_setrlimit, 0, p));
	tap_efault_each(p, syscall(SYS_prlimit64, 0, 0, p, NULL));
	tap_efault_each(p, syscall(SYS_prlimit64, 0, 0, NULL, p));
}

static void limits_go_down_and_not_up(void)
{
	struct rlimit rl = { 100, 200 }, old;

	tap_must(setrlimit(RLIMIT_CORE, &rl));
	rl = (struct rlimit){ 300, 200 };
	tap_err(setrlimit(RLIMIT_CORE, &rl), EINVAL);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		rl = (struct rlimit){ 150, 200 };
		tap_eq(setrlimit(RLIMIT_CORE, &rl), 0);
		rl = (struct rlimit){ 150, 300 };
		tap_err(setrlimit(RLIMIT_CORE, &rl), EPERM);
		tap_leave();
	}
	tap_join(kid);
	rl = (struct rlimit){ 1000, 1000 };
	tap_eq(setrlimit(RLIMIT_CORE, &rl), 0);		/* root may */
	tap_eq(prlimit(0, RLIMIT_CORE, NULL, &old), 0);
	tap_eq(old.rlim_cur, 1000);
}

static void prlimit_of_another_process(void)
{
	struct rlimit rl = { 11, 22 }, old;
	pid_t kid = tap_fork();

	while (kid == 0)
		pause();
	tap_eq(prlimit(kid, RLIMIT_NOFILE, &rl, &old), 0);
	tap_ok(old.rlim_cur > 22);
	tap_eq(prlimit(kid, RLIMIT_NOFILE, NULL, &old), 0);
	tap_eq(old.rlim_cur, 11);
	tap_err(prlimit(4000000, RLIMIT_NOFILE, NULL, &old), ESRCH);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void the_cpu_limit_sends_xcpu_then_kill(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct rlimit rl = { 1, 2 };

		setrlimit(RLIMIT_CPU, &rl);
		signal(SIGXCPU, tap_tick);
		while (tap_ticks == 0)
			;
		for (;;)
			;
	}
	tap_killed(kid, SIGKILL);
}

static void the_data_limit(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct rlimit rl = { 8 << 20, 8 << 20 };

		tap_must(setrlimit(RLIMIT_DATA, &rl));
		tap_err((long)mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
		tap_ok(mmap(NULL, 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		       MAP_FAILED);
		tap_leave();
	}
	tap_join(kid);
}

static void nice_and_priorities(void)
{
	tap_eq(getpriority(PRIO_PROCESS, 0), 0);
	tap_eq(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20);	/* the raw call: 20 - nice */
	tap_eq(setpriority(PRIO_PROCESS, 0, 5), 0);
	tap_eq(getpriority(PRIO_PROCESS, 0), 5);
	tap_eq(setpriority(PRIO_PROCESS, 0, 100), 0);
	tap_eq(getpriority(PRIO_PROCESS, 0), 19);
	tap_eq(setpriority(PRIO_PROCESS, 0, -100), 0);
	tap_eq(getpriority(PRIO_PROCESS, 0), -20);
	tap_eq(setpriority(PRIO_PGRP, 0, 1), 0);
	tap_eq(getpriority(PRIO_PGRP, 0), 1);
	tap_err(setpriority(9, 0, 1), EINVAL);
	tap_err(setpriority(PRIO_PROCESS, 4000000, 1), ESRCH);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(setpriority(PRIO_PROCESS, 0, 0), EACCES);
		tap_eq(setpriority(PRIO_PROCESS, 0, 3), 0);
		tap_err(setpriority(PRIO_PROCESS, 1, 5), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void scheduler_policy(void)
{
	struct sched_param sp = { .sched_priority = 0 };

	tap_eq(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
	tap_eq(syscall(SYS_sched_getparam, 0, &sp), 0);
	tap_eq(sp.sched_priority, 0);
	tap_eq(syscall(SYS_sched_get_priority_max, SCHED_FIFO), 99);
	tap_eq(syscall(SYS_sched_get_priority_min, SCHED_FIFO), 1);
	tap_eq(syscall(SYS_sched_get_priority_max, SCHED_OTHER), 0);
	tap_err(syscall(SYS_sched_get_priority_max, 99), EINVAL);
	tap_eq(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &sp), 0);
	tap_eq(syscall(SYS_sched_getscheduler, 0), SCHED_BATCH);
	tap_eq(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &sp), 0);
	sp.sched_priority = 5;
	tap_err(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &sp), EINVAL);
	tap_err(syscall(SYS_sched_setscheduler, 0, 99, &sp), EINVAL);
	tap_err(syscall(SYS_sched_getscheduler, 4000000), ESRCH);
	tap_err(syscall(SYS_sched_getscheduler, -1), EINVAL);
	tap_efault_each(p, syscall(SYS_sched_getparam, 0, p));
	tap_efault_each(p, syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, p));
	struct timespec ts;
	tap_eq(syscall(SYS_sched_rr_get_interval, 0, &ts), 0);
	tap_efault_each(p, syscall(SYS_sched_rr_get_interval, 0, p));
	tap_eq(sched_yield(), 0);
}

static void affinity(void)
{
	unsigned long mask[128] = { 0 };
	unsigned cpu = 99, node = 99;
	long n = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);

	tap_ok(n > 0 && n % 8 == 0);
	tap_ok(mask[0] & 1);
	for (int i = 0; i < 64; i++) {
		unsigned long one = 1ul << i;

		if (!(mask[0] & one))
			continue;
		tap_eq(syscall(SYS_sched_setaffinity, 0, 8, &one), 0);
		tap_eq(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
		tap_eq(cpu, i);
		tap_eq(node, 0);
	}
	unsigned long none = 0;
	tap_err(syscall(SYS_sched_setaffinity, 0, 8, &none), EINVAL);
	tap_err(syscall(SYS_sched_setaffinity, 4000000, sizeof(mask), mask), ESRCH);
	tap_err(syscall(SYS_sched_getaffinity, 0, 1, mask), EINVAL);
	tap_efault_each(p, syscall(SYS_sched_getaffinity, 0, sizeof(mask), p));
	tap_efault_each(p, syscall(SYS_sched_setaffinity, 0, 8, p));
	tap_efault_each(p, syscall(SYS_getcpu, p, NULL, NULL));
	tap_efault_each(p, syscall(SYS_getcpu, NULL, p, NULL));
	tap_must(syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask));
	pid_t kid = tap_fork();
	if (kid == 0) {
		unsigned long mine[128] = { 0 };

		tap_ok(syscall(SYS_sched_getaffinity, 0, sizeof(mine), mine) > 0);
		tap_eq(mine[0], mask[0]);
		tap_leave();
	}
	tap_join(kid);
}

static void prctl_name(void)
{
	char name[17] = "", comm[32];

	tap_eq(prctl(PR_SET_NAME, "a-name-longer-than-fits"), 0);
	tap_eq(prctl(PR_GET_NAME, name), 0);
	tap_str(name, "a-name-longer-t");
	tap_slurp("/proc/self/comm", comm, sizeof(comm));
	tap_str(comm, "a-name-longer-t\n");
	tap_efault_each(p, prctl(PR_SET_NAME, p));
	tap_efault_each(p, prctl(PR_GET_NAME, p));
}

static void prctl_pdeathsig(void)
{
	int p[2], sig = -1;
	char c;

	tap_eq(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
	tap_eq(prctl(PR_GET_PDEATHSIG, &sig), 0);
	tap_eq(sig, SIGUSR1);
	tap_err(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
	tap_efault_each(q, prctl(PR_GET_PDEATHSIG, q));
	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		int ready[2];

		tap_must(pipe(ready));
		if (fork() == 0) {
			tap_eq(prctl(PR_GET_PDEATHSIG, &sig), 0);
			tap_eq(sig, 0);			/* not inherited */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(p[0]);
			write(ready[1], "r", 1);
			for (;;)
				pause();
		}
		read(ready[0], &c, 1);
		_exit(0);
	}
	close(p[1]);
	tap_join(kid);
	tap_eq(read(p[0], &c, 1), 0);			/* the grandchild died with its parent */
}

static void prctl_others(void)
{
	tap_eq(prctl(PR_GET_DUMPABLE), 1);
	tap_eq(prctl(PR_SET_DUMPABLE, 0), 0);
	tap_eq(prctl(PR_GET_DUMPABLE), 0);
	tap_err(prctl(PR_SET_DUMPABLE, 5), EINVAL);
	tap_eq(prctl(PR_GET_KEEPCAPS), 0);
	tap_eq(prctl(PR_SET_KEEPCAPS, 1), 0);
	tap_eq(prctl(PR_GET_KEEPCAPS), 1);
	tap_err(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
	tap_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	tap_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	tap_err(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	tap_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	tap_eq(prctl(PR_SET_TIMERSLACK, 12345), 0);
	tap_eq(prctl(PR_GET_TIMERSLACK), 12345);
	tap_err(prctl(987654), EINVAL);
	int v = -1;
	tap_eq(prctl(PR_GET_CHILD_SUBREAPER, &v), 0);
	tap_eq(v, 0);
}

static void arch_prctl_bases(void)
{
	unsigned long fs = 0, gs = 0, old;
	static long mark = 0x1122334455667788;

	tap_eq(syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &fs), 0);
	tap_eq(*(unsigned long *)fs, fs);		/* the thread block starts with itself */
	tap_eq(syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &old), 0);
	tap_eq(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, &mark), 0);
	tap_eq(syscall(SYS_arch_prctl, 0x1004, &gs), 0);
	tap_eq(gs, (long)&mark);
	long seen;
	asm volatile("mov %%gs:0, %0" : "=r"(seen));
	tap_eq(seen, mark);
	sched_yield();
	pid_t kid = tap_fork();
	if (kid == 0) {
		asm volatile("mov %%gs:0, %0" : "=r"(seen));
		_exit(seen == mark ? 0 : 1);
	}
	tap_join(kid);
	tap_err(syscall(SYS_arch_prctl, 0x1001, BAD_KERNEL), EPERM);
	tap_err(syscall(SYS_arch_prctl, 0x1002, BAD_KERNEL), EPERM);
	tap_err(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
	tap_efault_each(p, syscall(SYS_arch_prctl, 0x1003, p));
}

static void personality_reads(void)
{
	tap_eq(syscall(SYS_personality, 0xffffffff), 0);
	tap_eq(syscall(SYS_personality, 0x0040000), 0);	/* ADDR_NO_RANDOMIZE */
	tap_eq(syscall(SYS_personality, 0xffffffff), 0x0040000);
}

TAP_MAIN(
	CASE(every_limit_can_be_read),
	CASE(limits_go_down_and_not_up),
	CASE(prlimit_of_another_process),
	CASE(the_cpu_limit_sends_xcpu_then_kill),
	CASE(the_data_limit),
	CASE(nice_and_priorities),
	CASE(scheduler_policy),
	CASE(affinity),
	CASE(prctl_name),
	CASE(prctl_pdeathsig),
	CASE(prctl_others),
	CASE(arch_prctl_bases),
	CASE(personality_reads),
)
