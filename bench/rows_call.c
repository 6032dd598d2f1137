/* System calls that need no file: identity, signals, scheduling, limits, time. */
#define _GNU_SOURCE
#include "bench.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define CALLS(name, call) static void name(unsigned long n)	\
{								\
	while (n--)						\
		CHECK((call) >= 0);				\
}

static struct utsname names;
static struct rlimit limit;
static struct timespec when;
static struct sigaction action;
static sigset_t set;
static volatile unsigned long caught;

CALLS(run_getpid, syscall(SYS_getpid))
CALLS(run_getppid, syscall(SYS_getppid))
CALLS(run_getuid, syscall(SYS_getuid))
CALLS(run_uname, syscall(SYS_uname, &names))
CALLS(run_sigaction, sigaction(SIGUSR2, &action, NULL))
CALLS(run_sigprocmask, syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8))
CALLS(run_sched_yield, sched_yield())
CALLS(run_getpriority, syscall(SYS_getpriority, PRIO_PROCESS, 0))
CALLS(run_getrlimit, syscall(SYS_getrlimit, RLIMIT_NOFILE, &limit))
CALLS(run_prlimit64, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit))
/* Through the C library, hence through the vDSO where the kernel has one. */
CALLS(run_clock_gettime, clock_gettime(CLOCK_MONOTONIC, &when))

static void on_signal(int signo)
{
	(void)signo;
	caught++;
}

static void begin_signal(void)
{
	action.sa_handler = on_signal;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
}

static void run_signal_delivery(unsigned long n)
{
	int pid = getpid();
	unsigned long before = caught;

	for (unsigned long i = 0; i < n; i++)
		CHECK(kill(pid, SIGUSR1) == 0);
	CHECK(caught == before + n);
}

const struct row rows_call[] = {
	{ "getpid", run_getpid, 2000, 0, 0 },
	{ "getppid", run_getppid, 2000, 0, 0 },
	{ "getuid", run_getuid, 2000, 0, 0 },
	{ "uname", run_uname, 1000, 0, 0 },
	{ "sigaction", run_sigaction, 1000, begin_signal, 0 },
	{ "sigprocmask", run_sigprocmask, 1000, begin_signal, 0 },
	{ "signal_delivery", run_signal_delivery, 500, begin_signal, 0 },
	{ "sched_yield", run_sched_yield, 1000, 0, 0 },
	{ "getpriority", run_getpriority, 1000, 0, 0 },
	{ "getrlimit", run_getrlimit, 1000, 0, 0 },
	{ "prlimit64", run_prlimit64, 1000, 0, 0 },
	{ "clock_gettime", run_clock_gettime, 1000, 0, 0 },
	{ 0 },
};
