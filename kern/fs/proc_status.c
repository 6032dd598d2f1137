/* /proc/PID/stat, statm, status, limits. */
#include "proc_priv.h"
#include <core/percpu.h>

#define PF_EXITING    0x00000004u
#define PF_FORKNOEXEC 0x00000040u
#define PF_RANDOMIZE  0x00400000u
#define ADDR_NO_RANDOMIZE 0x0040000u

/* One task and the space it runs in (NULL: none any more). */
struct subject {
	struct task *t;
	struct aspace *as;
	struct task_view v;
};

static void subject_put(struct subject *x)
{
	if (x->as)
		aspace_unuse(x->as);
	if (x->t)
		task_put(x->t);
}

static int subject_get(struct synth_node *n, bool whole, struct subject *x)
{
	int err;

	*x = (struct subject){ .t = synth_task(n) };
	if (!x->t)
		return -ESRCH;
	err = task_view_get(x->t, whole, &x->v);
	if (err) {
		task_put(x->t);
		return err;
	}
	x->as = process_aspace_get(n->proc);
	return 0;
}

static u32 task_flags(const struct subject *x)
{
	u32 flags = x->v.did_exec ? 0 : PF_FORKNOEXEC;

	if (x->v.exiting)
		flags |= PF_EXITING;
	if (x->as && sysctl_randomize_va_space && !(x->t->personality & ADDR_NO_RANDOMIZE))
		flags |= PF_RANDOMIZE;
	return flags;
}

/* Fields 4 to 22. */
static void stat_identity(struct seq *s, const struct subject *x)
{
	const struct task_view *v = &x->v;
	i32 prio = v->policy == SCHED_FIFO || v->policy == SCHED_RR ? -1 - (i32)v->rt_prio : v->nice + 20;

	seq_printf(s, "%u (%s) %c %u %u %u %u %d %u", v->tid, v->comm, v->state, v->ppid, v->pgid, v->sid, v->tty_nr, v->tpgid,
		   task_flags(x));
	seq_printf(s, " %llu %llu %llu %llu %llu %llu %llu %llu", LLU(v->min_faults), LLU(v->child_min_faults), LLU(v->maj_faults),
		   LLU(v->child_maj_faults), LLU(v->user_ns / NSEC_TICK), LLU(v->sys_ns / NSEC_TICK),
		   LLU(v->child_user_ns / NSEC_TICK), LLU(v->child_sys_ns / NSEC_TICK));
	seq_printf(s, " %d %d %u 0 %llu", prio, v->nice, v->nthreads, LLU(v->start_ns / NSEC_TICK));
}

static int stat_common(struct seq *s, struct synth_node *n, bool whole)
{
	struct subject x;
	int err = subject_get(n, whole, &x);
	bool may = !err && synth_may_inspect(n);
	struct aspace *as = x.as, *shown = may ? as : NULL;
	const struct task_view *v = &x.v;
	const u64 low = 0x7fffffff;

	if (err)
		return err;
	stat_identity(s, &x);
	seq_printf(s, " %llu %llu %llu", as ? LLU(as->total_pages << PAGE_SHIFT) : 0, as ? LLU(aspace_rss_pages(as)) : 0,
		   LLU(process_rlimit(n->proc, RLIMIT_RSS)));
	seq_printf(s, " %llu %llu %llu 0 0", shown ? LLU(as->code_start) : as ? 1 : 0, shown ? LLU(as->code_end) : as ? 1 : 0,
		   shown ? LLU(as->stack_top) : 0);
	seq_printf(s, " %llu %llu %llu %llu %u 0 0", LLU(v->pending & low), LLU(v->blocked & low), LLU(v->ignored & low),
		   LLU(v->caught & low), may && v->state != 'R');
	seq_printf(s, " %d %u %u %u 0 0 0", v->exit_signal, v->cpu, v->rt_prio, v->policy);
	if (shown)
		seq_printf(s, " %llu %llu %llu %llu %llu %llu %llu", LLU(as->data_start), LLU(as->data_end), LLU(as->brk_start),
			   LLU(as->arg_start), LLU(as->arg_end), LLU(as->env_start), LLU(as->env_end));
	else
		seq_printf(s, " 0 0 0 0 0 0 0");
	seq_printf(s, " %d\n", may ? v->exit_code : 0);
	subject_put(&x);
	return 0;
}

int proc_stat_show(struct seq *s, void *node) { return stat_common(s, node, true); }
int proc_task_stat_show(struct seq *s, void *node) { return stat_common(s, node, false); }

static u64 text_pages(const struct aspace *as)
{
	return (ALIGN_UP(as->code_end, PAGE_SIZE) - ALIGN_DOWN(as->code_start, PAGE_SIZE)) >> PAGE_SHIFT;
}

int proc_statm_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);
	AUTO(aspace) as = process_aspace_get(n->proc);
	struct proc_area_sums sums;
	u64 rss;

	if (!t)
		return -ESRCH;
	if (!as) {
		seq_printf(s, "0 0 0 0 0 0 0\n");
		return 0;
	}
	proc_area_sums(as, &sums);
	rss = aspace_rss_pages(as);
	seq_printf(s, "%llu %llu %llu %llu 0 %llu 0\n", LLU(as->total_pages), LLU(rss), LLU(rss - (u64)atomic64_read(&as->anon_pages)),
		   LLU(text_pages(as)), LLU(sums.data + sums.stack));
	return 0;
}

/* --- status ------------------------------------------------------------------ */

static const char *state_text(char c)
{
	switch (c) {
	case 'R': return "R (running)";
	case 'S': return "S (sleeping)";
	case 'D': return "D (disk sleep)";
	case 'T': return "T (stopped)";
	case 't': return "t (tracing stop)";
	case 'Z': return "Z (zombie)";
	}
	return "X (dead)";
}

/* One line whatever the name is made of. */
static void put_name(struct seq *s, const char *name)
{
	for (; *name; name++) {
		if (*name == '\n')
			seq_printf(s, "\\n");
		else if (*name == '\\')
			seq_printf(s, "\\\\");
		else
			seq_putc(s, *name);
	}
}

static void status_names(struct seq *s, const struct subject *x)
{
	const struct task_view *v = &x->v;
	struct fs_view *fs = task_fs_view_get(x->t);

	seq_printf(s, "Name:\t");
	put_name(s, v->comm);
	if (fs) {
		seq_printf(s, "\nUmask:\t%#04o", READ_ONCE(fs->umask));
		fs_view_put(fs);
	}
	seq_printf(s, "\nState:\t%s\nTgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t%u", state_text(v->state), v->tgid, v->tid,
		   v->ppid, v->tracer);
}

static void status_cred(struct seq *s, const struct subject *x, const struct cred *c)
{
	struct fdtable *fds = task_fdtable_get(x->t);

	seq_printf(s, "\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u", c->uid, c->euid, c->suid, c->fsuid, c->gid, c->egid, c->sgid,
		   c->fsgid);
	seq_printf(s, "\nFDSize:\t%u\nGroups:\t", fds ? READ_ONCE(fds->size) : 0);
	if (fds)
		fdtable_put(fds);
	for (u32 i = 0; i < c->ngroups; i++)
		seq_printf(s, "%s%u", i ? " " : "", c->groups[i]);
	seq_printf(s, " \n");
}

static void kb(struct seq *s, const char *name, u64 pages)
{
	seq_printf(s, "%s:\t%8llu kB\n", name, PAGES_TO_KB(pages));
}

static void status_memory(struct seq *s, struct aspace *as)
{
	u64 rss = aspace_rss_pages(as), text;
	struct proc_area_sums sums;

	proc_area_sums(as, &sums);
	text = MIN(text_pages(as), sums.exec);
	kb(s, "VmPeak", MAX(as->peak_total, as->total_pages));
	kb(s, "VmSize", as->total_pages);
	kb(s, "VmLck", as->locked_pages);
	kb(s, "VmPin", 0);
	kb(s, "VmHWM", MAX(as->peak_rss, rss));
	kb(s, "VmRSS", rss);
	kb(s, "RssAnon", (u64)atomic64_read(&as->anon_pages));
	kb(s, "RssFile", (u64)atomic64_read(&as->file_pages));
	kb(s, "RssShmem", (u64)atomic64_read(&as->shmem_pages));
	kb(s, "VmData", sums.data);
	kb(s, "VmStk", sums.stack);
	kb(s, "VmExe", text);
	kb(s, "VmLib", sums.exec - text);
	kb(s, "VmPTE", (u64)atomic64_read(&as->table_pages));
	kb(s, "VmSwap", 0);
}

static void status_signals(struct seq *s, const struct task_view *v)
{
	seq_printf(s, "Threads:\t%u\nSigQ:\t%u/%llu\n", v->nthreads, v->sig_queued, LLU(v->sig_limit));
	seq_printf(s, "SigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n", LLU(v->pending),
		   LLU(v->shared_pending), LLU(v->blocked), LLU(v->ignored), LLU(v->caught));
}

static void status_rights(struct seq *s, const struct subject *x, const struct cred *c)
{
	u64 mask[4] = { 0 };
	u32 cpus = MIN(cpu_count(), 256u);

	seq_printf(s, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n",
		   LLU(c->cap_inheritable), LLU(c->cap_permitted), LLU(c->cap_effective), LLU(c->cap_bounding), LLU(c->cap_ambient));
	seq_printf(s, "NoNewPrivs:\t%u\nSeccomp:\t%d\n", c->no_new_privs, x->t->seccomp_mode);
	seq_printf(s, "Speculation_Store_Bypass:\tunknown\nSpeculationIndirectBranch:\tunsupported\n");
	sched_get_affinity(&x->t->thread, mask, cpus);
	seq_printf(s, "Cpus_allowed:\t");
	proc_mask_hex(s, mask, cpus);
	seq_printf(s, "\nCpus_allowed_list:\t");
	proc_mask_list(s, mask, cpus);
	seq_printf(s, "\nvoluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n", LLU(x->v.nvcsw), LLU(x->v.nivcsw));
}

int proc_status_show(struct seq *s, void *node)
{
	const struct cred *c;
	struct subject x;
	int err = subject_get(node, false, &x);

	if (err)
		return err;
	c = task_cred_get(x.t);
	status_names(s, &x);
	status_cred(s, &x, c);
	if (x.as) {
		status_memory(s, x.as);
		seq_printf(s, "CoreDumping:\t0\n");
	}
	status_signals(s, &x.v);
	status_rights(s, &x, c);
	cred_put(c);
	subject_put(&x);
	return 0;
}

/* --- limits ------------------------------------------------------------------- */

static void limit_value(struct seq *s, u64 v)
{
	if (v == ~0ull)
		seq_printf(s, "%-20s ", "unlimited");
	else
		seq_printf(s, "%-20llu ", LLU(v));
}

int proc_limits_show(struct seq *s, void *node)
{
	static const char *const names[RLIMITS][2] = {
		{ "Max cpu time", "seconds" }, { "Max file size", "bytes" }, { "Max data size", "bytes" }, { "Max stack size", "bytes" },
		{ "Max core file size", "bytes" }, { "Max resident set", "bytes" }, { "Max processes", "processes" },
		{ "Max open files", "files" }, { "Max locked memory", "bytes" }, { "Max address space", "bytes" },
		{ "Max file locks", "locks" }, { "Max pending signals", "signals" }, { "Max msgqueue size", "bytes" },
		{ "Max nice priority", NULL }, { "Max realtime priority", NULL }, { "Max realtime timeout", "us" },
	};
	struct synth_node *n = node;
	struct rlimit64 l[RLIMITS];
	AUTO(task) t = synth_task(n);

	if (!t)
		return -ESRCH;
	spin_lock(&n->proc->lock);
	memcpy(l, n->proc->rlim, sizeof(l));
	spin_unlock(&n->proc->lock);
	seq_printf(s, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (u32 i = 0; i < RLIMITS; i++) {
		seq_printf(s, "%-25s ", names[i][0]);
		limit_value(s, l[i].cur);
		limit_value(s, l[i].max);
		if (names[i][1])
			seq_printf(s, "%-10s\n", names[i][1]);
		else
			seq_putc(s, '\n');
	}
	return 0;
}
