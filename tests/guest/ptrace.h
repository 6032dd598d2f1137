#pragma once
/* What the ptrace tests share: the calls as the kernel has them, stops, a child to trace. */
#include "tap.h"
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <time.h>

#define STOP_AT(st, sig)	(WIFSTOPPED(st) && (st) >> 8 == (int)(sig))
#define EVENT(e)		(SIGTRAP | (e) << 8)
#define SYSGOOD			(SIGTRAP | 0x80)

/* musl has the names of sys/ptrace.h as an enum or as macros, depending on its age. */
#define REQ_SEIZE		0x4206
#define REQ_INTERRUPT		0x4207
#define REQ_LISTEN		0x4208
#define REQ_PEEKSIGINFO		0x4209
#define REQ_GETSIGMASK		0x420a
#define REQ_SETSIGMASK		0x420b
#define REQ_GET_SYSCALL_INFO	0x420e
#define REQ_GETREGSET		0x4204
#define REQ_SETREGSET		0x4205
#define OPT_SYSGOOD		0x1
#define OPT_FORK		0x2
#define OPT_VFORK		0x4
#define OPT_CLONE		0x8
#define OPT_EXEC		0x10
#define OPT_VFORKDONE		0x20
#define OPT_EXIT		0x40
#define OPT_EXITKILL		0x100000

static inline long pt(long req, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, req, (long)pid, addr, data);
}

static inline long pt_word(pid_t pid, unsigned long addr)
{
	long word = 0;

	tap_must(pt(PTRACE_PEEKDATA, pid, addr, (unsigned long)&word));
	return word;
}

static inline struct user_regs_struct pt_regs(pid_t pid)
{
	struct user_regs_struct r;

	tap_must(pt(PTRACE_GETREGS, pid, 0, (unsigned long)&r));
	return r;
}

static inline siginfo_t pt_info(pid_t pid)
{
	siginfo_t info;

	tap_must(pt(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
	return info;
}

static inline int pt_wait(pid_t pid)
{
	int st = -1;

	tap_eq(waitpid(pid, &st, __WALL), pid);
	return st;
}

#define pt_go(pid, req)		tap_must(pt((req), (pid), 0, 0))
#define pt_want(pid, sig) do {						\
	int pt_st_ = pt_wait(pid);					\
	if (!tap_check(STOP_AT(pt_st_, (sig)), __FILE__, __LINE__,	\
		       "status %#x is no stop with %#x", pt_st_, (unsigned)(sig)))	\
		tap_leave();						\
} while (0)

/* A child that asked to be traced, runs fn and exits with its value; stopped by SIGSTOP. */
static inline pid_t pt_child(int (*fn)(void))
{
	pid_t kid = tap_must(fork());

	if (!kid) {
		if (pt(PTRACE_TRACEME, 0, 0, 0))
			_exit(99);
		raise(SIGSTOP);
		_exit(fn());
	}
	pt_want(kid, SIGSTOP);
	return kid;
}
