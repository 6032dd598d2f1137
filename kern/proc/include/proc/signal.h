/*
 * Signals: sets, actions, queues, delivery.  All state of a process and its
 * threads is under process.sig_lock (irq) unless noted.
 */
#pragma once

#include <base/list.h>
#include <base/refcount.h>
#include <core/lock.h>
#include <sched/wait.h>

struct task;
struct process;
struct trapframe;
struct file;

enum { SIGHUP = 1, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM,
	SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF,
	SIGWINCH, SIGIO, SIGPWR, SIGSYS, SIGRTMIN = 32, SIGMAX = 64 };

struct sigset64 { u64 bits; };
#define SIGBIT(s) (1ull << ((s) - 1))

struct sigaction_k { u64 handler, flags, restorer; u64 mask; };	/* the kernel ABI layout of rt_sigaction */
struct sigaltstack_k { u64 sp; u32 flags, pad; u64 size; };
/* 128 bytes as user space sees it. */
struct siginfo_k {
	i32 signo, err, code, pad;
	union {
		struct { i32 pid; u32 uid; u64 value; } rt;		/* kill, sigqueue */
		struct { i32 tid, overrun; u64 value; } timer;
		struct { i32 pid; u32 uid; i32 status, pad; i64 utime, stime; } chld;
		struct { u64 addr; i16 addr_lsb; } fault;
		struct { i64 band; i32 fd; } poll;
		struct { u64 call_addr; i32 nr; u32 arch; } sys;
		u64 raw[14];
	};
};
_Static_assert(sizeof(struct siginfo_k) == 128, "siginfo is 128 bytes");
struct sigevent_k { u64 value; i32 signo, notify, tid; };

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE (-1)
#define SI_TIMER (-2)
#define SI_MESGQ (-3)
#define SI_ASYNCIO (-4)
#define SI_SIGIO (-5)
#define SI_TKILL (-6)

struct sigqueue {
	struct sigset64 set;
	struct list items;		/* struct sigitem, in order */
};

struct sighand {
	refcount_t refs;
	spinlock_t lock;		/* shared between processes only with CLONE_SIGHAND without CLONE_THREAD: same rank, taken inside sig_lock */
	u64 used;			/* bit sig - 1: action[sig] holds; else it is the default and the slot means nothing.  lock */
	struct sigaction_k action[SIGMAX + 1];	/* sighand_action() reads it */
};

#define SIG_DFL_K 0ull
#define SIG_IGN_K 1ull
#define SA_NOCLDSTOP_K	0x00000001ull
#define SA_NOCLDWAIT_K	0x00000002ull
#define SA_SIGINFO_K	0x00000004ull
#define SA_UNSUPPORTED_K 0x00000400ull
#define SA_RESTORER_K	0x04000000ull
#define SA_ONSTACK_K	0x08000000ull
#define SA_RESTART_K	0x10000000ull
#define SA_NODEFER_K	0x40000000ull
#define SA_RESETHAND_K	0x80000000ull

/* Sends.  info NULL: SI_KERNEL.  0, -EAGAIN (queue limit, real-time signals).  Context: any. */
int signal_send_task(struct task *t, u32 sig, const struct siginfo_k *info);
int signal_send_process(struct process *p, u32 sig, const struct siginfo_k *info);
/* To every member; caller checks rights.  0 or -ESRCH. */
int signal_send_pgrp(u32 pgid, u32 sig, const struct siginfo_k *info);
/* A fault of the running task: cannot be blocked or ignored (then it kills). */
void signal_force(u32 sig, i32 code, u64 addr);
/* kill(2) family with permission checks; sig 0 only checks. */
MUST_USE int signal_kill(struct task *self, i32 pid, u32 sig);
MUST_USE int signal_tgkill(struct task *self, i32 tgid, i32 tid, u32 sig);	/* tgid <= 0: tkill */
MUST_USE int signal_queueinfo(struct task *self, i32 tgid, i32 tid, u32 sig, const struct siginfo_k *info);	/* tid 0: process */
MUST_USE int signal_action(struct task *self, u32 sig, const struct sigaction_k *act, struct sigaction_k *old);
void signal_set_blocked(struct task *self, struct sigset64 mask);	/* KILL and STOP removed; recomputes TF_SIGNAL */
struct sigset64 signal_pending_set(struct task *self);			/* private | shared, blocked ones */
/* Temporary mask for sigsuspend, ppoll, pselect, epoll_pwait: old mask is restored after delivery (TF_NOTIFY). */
void signal_mask_temporary(struct task *self, struct sigset64 mask);
void signal_mask_restore_now(struct task *self);			/* the call finished without a signal */
/* Takes one pending signal of set: number, 0 (none).  For sigtimedwait and signalfd. */
MUST_USE u32 signal_take(struct task *self, struct sigset64 set, struct siginfo_k *out);
MUST_USE i64 signal_timedwait(struct task *self, struct sigset64 set, struct siginfo_k *out, u64 deadline_ns);
MUST_USE i64 signal_sigreturn(struct task *self);
MUST_USE int signal_altstack(struct task *self, const struct sigaltstack_k *ss, struct sigaltstack_k *old);
bool signal_ignored(struct task *self, u32 sig);			/* ignored or blocked: the tty's test for SIGTTIN/TTOU */
MUST_USE int signalfd_file(struct task *self, struct sigset64 mask, u32 flags, struct file **out);
MUST_USE int signalfd_change(struct file *f, struct sigset64 mask);	/* -EINVAL: not a signalfd */
const char *signal_name(u32 sig);
