/*
 * Samples of what runs, taken in the timer interrupt.
 *
 * Stacks are followed by frame pointers, with reads that may fail: the kernel's up
 * to its entry, then the user's from the registers it was entered with.  Functions
 * that keep no frame pointer are passed over.  Idle time is not sampled.
 * The timer's callback runs with interrupts off and takes no lock but the outbox's.
 */
#include <arch/cpu.h>
#include <arch/trap.h>
#include <arch/usercopy.h>
#include <core/clock.h>
#include <core/cmdline.h>
#include <core/outbox.h>
#include <core/percpu.h>
#include <core/timer.h>
#include <proc/profile.h>
#include "proc.h"

#define PROFILE_HZ_MAX 10000u
#define KERNEL_HALF    0xffff800000000000ull

static DEFINE_PER_CPU(struct timer, profile_timer);
static u64 period_ns;			/* 0: off; const after the first profile_start_cpu() */
MUST_USE int kernel_read_u64_nofault(u64 addr, u64 *out);

/* Reads the pair { next frame, return address } at fp. */
static bool read_frame(u64 fp, u64 pair[2])
{
	if (fp & 7)
		return false;
	if (fp >= KERNEL_HALF)
		return !kernel_read_u64_nofault(fp, &pair[0]) && !kernel_read_u64_nofault(fp + 8, &pair[1]);
	return fp >= PAGE_SIZE && fp < USER_TOP - 16 && !user_copy_in_nofault(pair, UPTR(fp), 16);
}

/* ip, and the return addresses of the frames from *fp on, as long as they lie in the same half.  How many.  *fp: where
 * the chain left that half or ended. */
static u16 walk(u64 ip, u64 *fp, u64 *out)
{
	bool kernel = ip >= KERNEL_HALF;
	u64 pair[2];
	u16 n = 0;

	out[n++] = ip;
	while (n < PROFILE_DEPTH && (*fp >= KERNEL_HALF) == kernel && read_frame(*fp, pair)) {
		if (!pair[1] || (pair[1] >= KERNEL_HALF) != kernel)
			break;
		out[n++] = pair[1];
		if (kernel == (pair[0] >= KERNEL_HALF) && pair[0] <= *fp)
			break;
		*fp = pair[0];
	}
	return n;
}

static void sample(const struct trapframe *tf)
{
	struct thread *thread = thread_current();
	struct profile_sample s;
	const struct trapframe *user = tf;
	u64 fp = tf->rbp;

	if (!thread->aspace && !task_is_user(thread) && !thread->trace_id)
		return;				/* idle */
	memset(&s, 0, offsetof(struct profile_sample, addr));
	s.tsc = cpu_cycles();
	memcpy(s.comm, thread->name, sizeof(s.comm));
	if (!trapframe_is_user(tf)) {
		s.nkernel = walk(tf->rip, &fp, s.addr);
		user = arch_thread_frame(&thread->arch);
		/* In a system call the program's rbp is not in its frame but where the kernel's chain ends. */
		if (user->orig_rax == ~0ull)
			fp = user->rbp;
	}
	if (task_is_user(thread)) {
		s.pid = ((struct task *)thread)->proc->pid;
		s.tid = ((struct task *)thread)->tid;
		if (thread->aspace && trapframe_is_user(user))
			s.nuser = walk(user->rip, &fp, s.addr + s.nkernel);
	}
	outbox_write_nowait(OUTBOX_SAMPLE, &s, offsetof(struct profile_sample, addr) + 8u * (s.nkernel + s.nuser));
}

static void tick(struct timer *t)
{
	sample(arch_irq_frame());
	timer_arm(t, MAX(t->when_ns, clock_mono_ns() - period_ns) + period_ns);
}

void profile_start_cpu(void)
{
	struct timer *t = this_cpu_ptr(&profile_timer);
	u64 hz = MIN(cmdline_get_u64("profile", 0), (u64)PROFILE_HZ_MAX);

	if (!hz || !outbox_active())
		return;
	period_ns = NSEC_PER_SEC / hz;
	timer_init(t, tick);
	timer_arm(t, clock_mono_ns() + period_ns);
}

static void say_map(struct task *self, const struct area *a)
{
	struct profile_map m = { .pid = self->proc->pid, .kind = PROFILE_MAP, .start = a->start, .end = a->end, .offset = a->off };
	const struct file *file = a->file;
	i64 n = vfs_path_text(&self->vfs, &file->path, m.path, sizeof(m.path));

	if (n > 0)
		outbox_write(OUTBOX_MAP, &m, (u32)(offsetof(struct profile_map, path) + n));
}

/* The first area at or after addr; says it if it is a file's and executable.  Where it ends, 0: there is none. */
static u64 say_area(struct task *self, u64 addr)
{
	struct area a;

	if (aspace_area_hold(self->thread.aspace, addr, &a))
		return 0;
	if (a.file && a.flags & VM_EXEC)
		say_map(self, &a);
	if (a.file)
		vm_file_hooks.put(a.file);
	return a.end;
}

void profile_exec(struct task *self)
{
	struct profile_map m = { .pid = self->proc->pid, .kind = PROFILE_EXEC };

	if (likely(!period_ns) || !self->thread.aspace)
		return;
	outbox_write(OUTBOX_MAP, &m, offsetof(struct profile_map, path));
	for (u64 at = 0; (at = say_area(self, at)) != 0;)
		;
}

void profile_mmap(struct task *self, u64 addr)
{
	if (unlikely(period_ns))
		(void)say_area(self, addr);
}

void profile_fork(const struct task *parent, const struct task *child)
{
	if (likely(!period_ns) || child->proc == parent->proc)
		return;

	struct profile_map m = { .pid = child->proc->pid, .kind = PROFILE_FORK, .start = parent->proc->pid };

	outbox_write(OUTBOX_MAP, &m, offsetof(struct profile_map, path));
}
