/* For crash reports: the last system calls of the running thread. */
#include <abi/syscall.h>
#include <core/crash.h>
#include <proc/task.h>

void syscall_crash_step(struct crash_report *r)
{
	struct thread *t = thread_current();
	struct task *self = (struct task *)t;
	u32 n = ARRAY_LEN(self->last_syscalls);
	bool told = r->signal;			/* a trap, not a call, brought a program here */

	if (!t || !task_is_user(t))
		return;
	for (u32 i = 0; i < n && r->ncalls < CRASH_CALLS; i++) {
		u32 at = (self->last_syscall_pos + i) % n;
		struct crash_call c = { .nr = self->last_syscalls[at][0], .result = (i64)self->last_syscalls[at][1] };

		/* The ring starts as zeros; position n - 1 is the newest. */
		if (!c.nr && !c.result && !r->ncalls)
			continue;
		c.running = i == n - 1 && !told && task_frame(self)->orig_rax != ~0ull;
		c.name = syscall_name((u32)c.nr);
		r->calls[r->ncalls++] = c;
	}
}
