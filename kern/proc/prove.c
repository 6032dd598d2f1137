/*
 * What the reports of lower layers need to know of processes: who runs in a space, and, for crash reports,
 * the thread, the areas near a fault and the names of what is mapped there.
 */
#include <base/fmt.h>
#include <core/crash.h>
#include <core/debug.h>
#include <vm/audit.h>
#include "proc.h"

#define NEAR 4u				/* areas on either side of the fault */
#define AREAS_MAX 100000u

/* Called on the way to a panic: what process_next() holds is never given back. */
static void name_space_owner(const struct aspace *as, char *buf, u32 size)
{
	struct process *p;
	u32 n = 0;

	buf[0] = 0;
	for (u32 from = 1; (p = process_next(from)) != NULL && n < size; from = p->pid + 1)
		if (READ_ONCE(p->aspace) == as)
			n += (u32)fmt_snprintf(buf + n, size - n, "%s%u (%s)", n ? ", " : "", p->pid, p->leader->thread.name);
	if (!n)
		str_copy(buf, "none (new or dead)", size);
}

/* --- steps of a crash report --------------------------------------------------- */

static bool of_user(const struct crash_report *r) { return r->signal; }

static void step_thread(struct crash_report *r)
{
	struct thread *t = thread_current();

	if (!t)
		return;
	str_copy(r->thread, t->name, sizeof(r->thread));
	if (!task_is_user(t))
		return;
	r->pid = ((struct task *)t)->proc->pid;
	r->tid = ((struct task *)t)->tid;
}

/* In a panic without the lock: who holds it may be stopped. */
static bool area_at(const struct crash_report *r, struct aspace *as, u64 addr, struct area *out)
{
	return of_user(r) ? !aspace_area_hold(as, addr, out) : !aspace_area_peek(as, addr, out);
}

static void area_done(const struct crash_report *r, struct area *a)
{
	if (of_user(r) && a->file)
		file_put(a->file);
}

static void describe(const struct area *a, struct crash_area *out)
{
	const struct file *f = a->file;
	u32 flags = a->flags;

	*out = (struct crash_area){ .start = a->start, .end = a->end, .off = a->off };
	fmt_snprintf(out->rights, sizeof(out->rights), "%c%c%c%c", flags & VM_READ ? 'r' : '-', flags & VM_WRITE ? 'w' : '-',
		     flags & VM_EXEC ? 'x' : '-', flags & VM_SHARED ? 's' : 'p');
	if (f && f->path.dentry)
		str_copy(out->name, f->path.dentry->name, sizeof(out->name));
	else if (flags & (VM_STACK | VM_HEAP | VM_VDSO))
		str_copy(out->name, flags & VM_STACK ? "[stack]" : flags & VM_HEAP ? "[heap]" : "[vdso]", sizeof(out->name));
}

/* NEAR areas below addr, the one that covers it, NEAR above. */
static void step_areas(struct crash_report *r)
{
	struct thread *t = thread_current();
	struct aspace *as = t && task_is_user(t) ? t->aspace : NULL;
	u64 addr = r->fault_addr && r->fault_addr < USER_TOP ? r->fault_addr : as ? task_frame(task_current())->rip : 0;
	u32 above = 0;
	struct area a;

	for (u64 at = 0, n = 0; as && n < AREAS_MAX && above <= NEAR && area_at(r, as, at, &a); n++) {
		if (a.end <= addr && r->nareas == NEAR) {
			memmove(r->areas, r->areas + 1, (NEAR - 1) * sizeof(r->areas[0]));
			r->nareas--;
		}
		if (r->nareas < CRASH_AREAS)
			describe(&a, &r->areas[r->nareas++]);
		above += a.end > addr;
		at = a.end;
		area_done(r, &a);
	}
}

static void step_frame_areas(struct crash_report *r)
{
	struct thread *t = thread_current();
	struct area a;

	for (u32 i = 0; t && task_is_user(t) && t->aspace && i < r->nframes; i++) {
		if (r->frames[i] >= USER_TOP || !area_at(r, t->aspace, r->frames[i], &a))
			continue;
		if (a.start <= r->frames[i])
			describe(&a, &r->frame_areas[i]);
		area_done(r, &a);
	}
}

/* --- a program's fatal fault (debug=crash) ----------------------------------------- */

static struct { u32 busy; u32 n; char text[LOG_TEXT_MAX]; } line;

static void put_log(const char *s)
{
	for (; *s; s++) {
		if (*s != '\n' && line.n + 1 < sizeof(line.text)) {
			line.text[line.n++] = *s;
		} else if (*s == '\n') {
			line.text[line.n] = 0;
			line.n = 0;
			log_err("%s", line.text);
		}
	}
}

static struct crash_report *user_report(struct task *self, u32 sig)
{
	struct crash_report *r = kzalloc(sizeof(*r));

	if (!r)
		return NULL;
	r->kind = "user";
	r->signal = sig;
	r->cpu = cpu_id();
	r->regs = *task_frame(self);
	r->pc_exact = true;
	r->fault_addr = self->trap_no == 14 ? self->trap_addr : 0;
	fmt_snprintf(r->reason, sizeof(r->reason), "%s[%u]: killed by SIG%s: trap %llu, error %#llx", self->thread.name,
		     self->tid, signal_name(sig), (unsigned long long)self->trap_no, (unsigned long long)self->trap_err);
	r->frames[r->nframes++] = r->regs.rip;
	crash_walk(r, r->regs.rbp, true);
	crash_gather(r);
	return r;
}

void proc_crash_report(struct task *self, u32 sig)
{
	struct crash_report *r = user_report(self, sig);

	if (!r)
		return;
	while (__atomic_exchange_n(&line.busy, 1, __ATOMIC_ACQUIRE))
		sched_yield_cpu();
	put_log(r->reason);
	put_log("\n");
	crash_print_text(r, put_log);
	crash_print_json(r, put_log);
	__atomic_store_n(&line.busy, 0, __ATOMIC_RELEASE);
	kfree(r);
}

void proc_prove_init(void)
{
	audit_space_owner = name_space_owner;
	crash_step_add(step_thread);
	crash_step_add(step_areas);
	crash_step_add(step_frame_areas);
}
