/* For crash reports: the last system calls of the running thread. */
#include <abi/syscall.h>
#include <core/crash.h>
#include <proc/task.h>

static void add_call(struct crash_report *r, struct crash_call c)
{
	if (r->ncalls == CRASH_CALLS)
		return;
	c.name = syscall_name((u32)c.nr);
	r->calls[r->ncalls++] = c;
}

void syscall_crash_step(struct crash_report *r)
{
	struct thread *t = thread_current();
	struct task *self = (struct task *)t;
	u32 n = ARRAY_LEN(self->last_syscalls);

	if (!t || !task_is_user(t))
		return;
	/* A trap, not a call, brought a program with a signal here. */
	bool running = !r->signal && task_frame(self)->orig_rax != ~0ull;

	for (u32 i = running; i < n; i++) {
		const u64 *one = self->last_syscalls[(self->last_syscall_pos + i) % n];

		/* The ring starts as zeros. */
		if (one[0] || one[1] || r->ncalls)
			add_call(r, (struct crash_call){ .nr = one[0], .result = (i64)one[1] });
	}
	if (running)
		add_call(r, (struct crash_call){ .nr = self->syscall_nr, .running = true });
}
