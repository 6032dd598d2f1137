/*
 * The system-call boundary.  The hot path is a bound check, one call through
 * the table and four stores for the crash report's ring (the call that runs is
 * syscall_nr, those that ended are in the ring); everything that only watched
 * threads need is behind TF_TRACE.
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
	return READ_ONCE(absent_calls[MIN(nr, SYSCALL_COUNT)]);
}

const char *syscall_name(u32 nr)
{
	if (nr >= SYSCALL_COUNT || !syscall_infos[nr].name)
		return NULL;
	return syscall_strings + syscall_infos[nr].name;
}

static NOINLINE i64 dispatch_told(struct task *self, struct trapframe *tf)
{
	bool wanted, told = self->watched & WATCH_STRACE;
	u64 started;
	u32 nr;

	if (told)
		strace_enter(self, tf);
	wanted = !(self->thread.flags & TF_TRACE) || ptrace_syscall_enter(self);
	nr = (u32)tf->orig_rax;		/* the tracer may have changed it; -1: no call, rax is as it left it */

	started = syscall_metrics_enter(nr);
	trace_syscall_call_begin(nr, tf->rdi);
	if (wanted && nr < SYSCALL_COUNT)
		tf->rax = (u64)syscall_table[nr](self, tf);
	else if (wanted && nr != ~0u)
		tf->rax = (u64)syscall_absent(self, tf);
	trace_syscall_call_end((i64)tf->rax);
	syscall_metrics_exit(nr, started);
	if (told)
		strace_leave(self, tf);
	if (READ_ONCE(self->thread.flags) & TF_TRACE)
		ptrace_syscall_exit(self);
	return (i64)tf->rax;
}

/*
 * A span and nothing else, the case of most traced calls, keeps nothing in registers over the calls but the result.
 * WATCH_SPANS says that the group is recorded.
 */
static NOINLINE i64 dispatch_watched(struct trapframe *tf, u32 nr)
{
	struct task *self = task_current();
	i64 ret;

	if (self->watched != WATCH_SPANS)
		return dispatch_told(self, tf);
	trace_record(TRACE_SYSCALL_CALL << 2 | TRACE_BEGIN, nr, tf->rdi);
	self = task_current();
	tf = task_frame(self);
	nr = (u32)self->syscall_nr;
	ret = likely(nr < SYSCALL_COUNT) ? syscall_table[nr](self, tf) : syscall_absent(self, tf);
	trace_record(TRACE_SYSCALL_CALL << 2 | TRACE_END, (u64)ret, 0);
	return ret;
}

i64 syscall_dispatch(struct trapframe *tf, u32 nr)
{
	struct task *self = task_current();
	i64 ret;
	u32 pos;

	self->syscall_nr = nr;
	if (unlikely(READ_ONCE(self->thread.flags) & (TF_TRACE | TF_SPANS)))
		ret = dispatch_watched(tf, nr);
	else if (likely(nr < SYSCALL_COUNT))
		ret = syscall_table[nr](self, tf);
	else
		ret = syscall_absent(self, tf);
	/* Read again rather than kept over the call: registers that need not be saved. */
	self = task_current();
	pos = self->last_syscall_pos % ARRAY_LEN(self->last_syscalls);
	self->last_syscall_pos = pos + 1;
	self->last_syscalls[pos][0] = self->syscall_nr;
	self->last_syscalls[pos][1] = (u64)ret;
	return ret;
}
