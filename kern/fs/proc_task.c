/* The small files of /proc/PID. */
#include "proc_priv.h"

int proc_comm_show(struct seq *s, void *node)
{
	AUTO(task) t = synth_task(node);
	char name[16];

	if (!t)
		return -ESRCH;
	memcpy(name, t->thread.name, sizeof(name));
	name[sizeof(name) - 1] = 0;
	seq_printf(s, "%s\n", name);
	return 0;
}

i64 proc_comm_write(struct synth_node *n, char *text, usize len)
{
	AUTO(task) t = synth_task(n);
	char name[16] = "";

	if (!t)
		return -ESRCH;
	if (t->proc != task_current()->proc)
		return -EINVAL;
	memcpy(name, text, MIN(len, sizeof(name) - 1));
	memcpy(t->thread.name, name, sizeof(name));
	return (i64)len;
}

int proc_personality_show(struct seq *s, void *node)
{
	AUTO(task) t = synth_task(node);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%08x\n", t->personality);
	return 0;
}

/* A running task's registers are not in memory. */
int proc_syscall_show(struct seq *s, void *node)
{
	AUTO(task) t = synth_task(node);
	const struct trapframe *f;

	if (!t)
		return -ESRCH;
	if (t != task_current() && task_state_letter(t) == 'R') {
		seq_printf(s, "running\n");
		return 0;
	}
	if (task_state_letter(t) == 'Z') {
		seq_printf(s, "0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n");
		return 0;
	}
	f = task_frame(t);
	if (f->orig_rax == ~0ull)
		seq_printf(s, "-1 0x%llx 0x%llx\n", LLU(f->rsp), LLU(f->rip));
	else
		seq_printf(s, "%llu 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx\n", LLU((u32)f->orig_rax), LLU(f->rdi), LLU(f->rsi),
			   LLU(f->rdx), LLU(f->r10), LLU(f->r8), LLU(f->r9), LLU(f->rsp), LLU(f->rip));
	return 0;
}

/* The kernel's own addresses are nobody's business: what Linux shows when it cannot tell. */
int proc_wchan_show(struct seq *s, void *node)
{
	AUTO(task) t = synth_task(node);

	if (!t)
		return -ESRCH;
	seq_putc(s, '0');
	return 0;
}

int proc_schedstat_show(struct seq *s, void *node)
{
	AUTO(task) t = synth_task(node);
	u64 user, sys;

	if (!t)
		return -ESRCH;
	sched_thread_times(&t->thread, &user, &sys);
	seq_printf(s, "%llu %llu %llu\n", LLU(user + sys), LLU(t->thread.delay_ns), LLU(t->thread.nvcsw + t->thread.nivcsw + 1));
	return 0;
}

int proc_cgroup_show(struct seq *s, void *node)
{
	AUTO(task) t = synth_task(node);

	if (!t)
		return -ESRCH;
	return 0;			/* no hierarchy, no line */
}

/* --- the OOM killer's wishes --------------------------------------------------- */

#define ADJ_MAX	    1000
#define OLD_ADJ_MIN (-17)
#define OLD_ADJ_MAX 15

int proc_oom_score_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%u\n", process_oom_score(n->proc));
	return 0;
}

static i64 set_adj(struct synth_node *n, i64 adj, usize len)
{
	bool may_lower = cred_can(vfs_self()->cred, CAP_SYS_RESOURCE);
	AUTO(task) t = synth_task(n);

	if (!t)
		return -ESRCH;
	GUARD_SPIN(&n->proc->lock);
	if (adj < n->proc->oom_score_adj_min && !may_lower)
		return -EACCES;
	n->proc->oom_score_adj = (i32)adj;
	if (may_lower)
		n->proc->oom_score_adj_min = (i32)adj;
	return (i64)len;
}

int proc_oom_adj_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	i32 adj = READ_ONCE(n->proc->oom_score_adj);
	AUTO(task) t = synth_task(n);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%d\n", adj == ADJ_MAX ? OLD_ADJ_MAX : MIN(adj * -OLD_ADJ_MIN / ADJ_MAX, OLD_ADJ_MAX));
	return 0;
}

i64 proc_oom_adj_write(struct synth_node *n, char *text, usize len)
{
	i64 v;

	if (proc_parse_int(text, &v))
		return -EINVAL;
	if ((v < OLD_ADJ_MIN || v > OLD_ADJ_MAX))
		return -EINVAL;
	return set_adj(n, v == OLD_ADJ_MAX ? ADJ_MAX : v * ADJ_MAX / -OLD_ADJ_MIN, len);
}

int proc_oom_score_adj_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);

	if (!t)
		return -ESRCH;
	seq_printf(s, "%d\n", READ_ONCE(n->proc->oom_score_adj));
	return 0;
}

i64 proc_oom_score_adj_write(struct synth_node *n, char *text, usize len)
{
	i64 v;

	if (proc_parse_int(text, &v) || v < -ADJ_MAX || v > ADJ_MAX)
		return -EINVAL;
	return set_adj(n, v, len);
}

/* --- timer slack, children, io --------------------------------------------------- */

static bool may_see_slack(struct synth_node *n)
{
	return n->proc == task_current()->proc || cred_can(vfs_self()->cred, CAP_SYS_NICE);
}

int proc_timerslack_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);

	if (!t)
		return -ESRCH;
	if (!may_see_slack(n))
		return -EPERM;
	seq_printf(s, "%u\n", t->timer_slack_ns);
	return 0;
}

i64 proc_timerslack_write(struct synth_node *n, char *text, usize len)
{
	AUTO(task) t = synth_task(n);
	i64 v;

	if (proc_parse_int(text, &v) || v < 0)
		return -EINVAL;
	if (!t)
		return -ESRCH;
	if (!may_see_slack(n))
		return -EPERM;
	t->timer_slack_ns = v ? (u32)MIN(v, (i64)UINT32_MAX) : 50000;
	return (i64)len;
}

int proc_children_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);

	if (!t)
		return -ESRCH;
	for (u32 pid = process_child_after(n->proc, t, 0); pid; pid = process_child_after(n->proc, t, pid))
		seq_printf(s, "%u ", pid);
	return 0;
}

int proc_io_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);
	struct io_counts io;

	if (!t)
		return -ESRCH;
	process_io_counts(n->proc, n->task, &io);
	seq_printf(s, "rchar: %llu\nwchar: %llu\nsyscr: %llu\nsyscw: %llu\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n",
		   LLU(io.rchar), LLU(io.wchar), LLU(io.syscr), LLU(io.syscw));
	return 0;
}
