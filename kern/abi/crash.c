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
	const struct arch_thread *at;
	bool running, full;

	if (!t || !task_is_user(t))
		return;
	at = &t->arch;
	/* At call_at is the running call, or else the oldest one.  A trap, not a call, brought a program with a signal. */
	running = !r->signal && arch_thread_frame(at)->orig_rax != ~0ull;
	full = at->call_nr[ARCH_CALLS - 1] != ARCH_CALL_NONE;
	for (u32 i = running; i < ARCH_CALLS; i++) {
		u32 slot = (at->call_at / 8 + i) % ARCH_CALLS;

		if (full || slot < at->call_at / 8)
			add_call(r, (struct crash_call){ .nr = at->call_nr[slot], .result = at->call_result[slot] });
	}
	if (running)
		add_call(r, (struct crash_call){ .nr = at->call_nr[at->call_at / 8], .running = true });
}
