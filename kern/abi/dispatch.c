/*
 * The system-call boundary, for what the entry code does not call by itself
 * (arch/upcall.h): watched calls, those that need a whole frame, absent numbers.
 */
#include <abi/strace.h>
#include <abi/syscall.h>
#include <abi/syscall_info.h>
#include <abi/sys_protos.h>
#include <arch/upcall.h>
#include <base/errno.h>
#include <core/trace.h>
#include <proc/ptrace.h>

static u64 absent_calls[SYSCALL_COUNT + 1];	/* atomic */

i64 syscall_absent(struct task *self, const struct trapframe *tf)
{
	u64 nr = (u32)tf->orig_rax;

	__atomic_fetch_add(&absent_calls[MIN(nr, (u64)SYSCALL_COUNT)], 1, __ATOMIC_RELAXED);
	return -ENOSYS;
}

u64 syscall_absent_count(u32 nr)
{
	if (nr != ~0u && nr >= SYSCALL_COUNT)
		return 0;
	return READ_ONCE(absent_calls[MIN(nr, SYSCALL_COUNT)]);
}

const char *syscall_name(u32 nr)
{
	if (nr >= SYSCALL_COUNT || !syscall_infos[nr].name)
		return NULL;
	return syscall_strings + syscall_infos[nr].name;
}

static inline i64 call(struct task *self, const struct trapframe *tf, u32 nr)
{
	return likely(nr < SYSCALL_COUNT) ? syscall_table[nr](self, tf) : syscall_absent(self, tf);
}

static NOINLINE i64 dispatch_traced(struct task *self, struct trapframe *tf)
{
	bool wanted, told = self->watched & WATCH_STRACE;
	u64 started;
	u32 nr;

	if (told)
		strace_enter(self, tf);
	wanted = ptrace_syscall_enter(self);
	nr = (u32)tf->orig_rax;		/* the tracer may have changed it; -1: no call, rax is as it left it */

	started = syscall_metrics_enter(nr);
	trace_syscall_call_begin(nr, tf->rdi);
	if (wanted && nr != ~0u)
		tf->rax = (u64)call(self, tf, nr);
	trace_syscall_call_end((i64)tf->rax);
	syscall_metrics_exit(nr, started);
	if (told)
		strace_leave(self, tf);
	ptrace_syscall_exit(self);
	return (i64)tf->rax;
}

static NOINLINE i64 dispatch_counted(struct task *self, const struct trapframe *tf)
{
	u32 nr = (u32)tf->orig_rax;
	u64 started = syscall_metrics_enter(nr);
	i64 ret;

	trace_syscall_call_begin(nr, tf->rdi);
	ret = call(self, tf, nr);
	trace_syscall_call_end(ret);
	syscall_metrics_exit(nr, started);
	return ret;
}

/* A span and nothing else, the case of most watched calls, keeps nothing in registers over the calls but the result. */
i64 syscall_spanned(struct task *self, const struct trapframe *tf)
{
	i64 ret;

	if (self->watched != WATCH_SPANS)
		return dispatch_counted(self, tf);
	trace_record(TRACE_SYSCALL_CALL << 2 | TRACE_BEGIN, (u32)tf->orig_rax, tf->rdi);
	self = task_current();
	tf = task_frame(self);
	ret = call(self, tf, (u32)tf->orig_rax);
	trace_record(TRACE_SYSCALL_CALL << 2 | TRACE_END, (u64)ret, 0);
	return ret;
}

i64 syscall_dispatch(struct trapframe *tf)
{
	struct task *self = task_current();
	u32 flags = READ_ONCE(self->thread.flags);

	if (flags & TF_TRACE)
		return dispatch_traced(self, tf);
	return flags & TF_SPANS ? syscall_spanned(self, tf) : call(self, tf, (u32)tf->orig_rax);
}
