/*
 * The directories of processes and tasks: tables, lookup by number, listing in
 * the order of the numbers.  When a task is released its names are dropped, so
 * that no cache keeps it in memory.
 */
#include "proc_priv.h"

static struct superblock *proc_sb;	/* const after boot */


#define LINK_ENTRY(n, rd, fo) { .name = (n), .mode = S_IFLNK | 0777, .readlink = (rd), .follow = (fo) }
#define PEEK_ENTRY(n, m, fn)  { .name = (n), .mode = S_IFREG | (m), .flags = SYNTH_PTRACE, .show = (fn) }
#define PLACED_ENTRY(n, m, fn) { .name = (n), .mode = S_IFREG | (m), .flags = SYNTH_PLACE, .show = (fn) }
#define WRITE_ENTRY(n, m, fn, wr) { .name = (n), .mode = S_IFREG | (m), .show = (fn), .write = (wr) }

/* Names that a process and a task have in common, in Linux's order. */
#define FD_NAMES \
	{ .name = "fd", .mode = S_IFDIR | 0500, .flags = SYNTH_INO_FD, .dir = &proc_fd_dir }, \
	{ .name = "fdinfo", .mode = S_IFDIR | 0555, .dir = &proc_fdinfo_dir }, \
	DIR_ENTRY("net", 0555, proc_net_entries), \
	PEEK_ENTRY("environ", 0400, proc_environ_show), \
	PEEK_ENTRY("auxv", 0400, proc_auxv_show), \
	FILE_ENTRY("status", 0444, proc_status_show), \
	PEEK_ENTRY("personality", 0400, proc_personality_show), \
	FILE_ENTRY("limits", 0444, proc_limits_show), \
	WRITE_ENTRY("comm", 0644, proc_comm_show, proc_comm_write), \
	PEEK_ENTRY("syscall", 0400, proc_syscall_show), \
	FILE_ENTRY("cmdline", 0444, proc_cmdline_show)
#define MEMORY_NAMES \
	FILE_ENTRY("statm", 0444, proc_statm_show), \
	PEEK_ENTRY("maps", 0444, proc_maps_show)
#define PLACE_NAMES \
	{ .name = "mem", .mode = S_IFREG | 0600, .flags = SYNTH_PTRACE, .fops = &proc_mem_fops }, \
	LINK_ENTRY("cwd", proc_cwd_readlink, proc_cwd_follow), \
	LINK_ENTRY("root", proc_root_readlink, proc_root_follow), \
	LINK_ENTRY("exe", proc_exe_readlink, proc_exe_follow), \
	PLACED_ENTRY("mounts", 0444, proc_mounts_show), \
	PLACED_ENTRY("mountinfo", 0444, proc_mountinfo_show)
#define LATE_NAMES \
	PEEK_ENTRY("smaps", 0444, proc_smaps_show), \
	PEEK_ENTRY("smaps_rollup", 0444, proc_smaps_rollup_show), \
	{ .name = "pagemap", .mode = S_IFREG | 0400, .flags = SYNTH_PTRACE, .fops = &proc_pagemap_fops }, \
	FILE_ENTRY("wchan", 0444, proc_wchan_show), \
	FILE_ENTRY("schedstat", 0444, proc_schedstat_show), \
	FILE_ENTRY("cgroup", 0444, proc_cgroup_show), \
	FILE_ENTRY("oom_score", 0444, proc_oom_score_show), \
	WRITE_ENTRY("oom_adj", 0644, proc_oom_adj_show, proc_oom_adj_write), \
	WRITE_ENTRY("oom_score_adj", 0644, proc_oom_score_adj_show, proc_oom_score_adj_write), \
	PEEK_ENTRY("io", 0400, proc_io_show)

static struct synth_entry task_entries[] = {
	FD_NAMES,
	FILE_ENTRY("stat", 0444, proc_task_stat_show),
	MEMORY_NAMES,
	FILE_ENTRY("children", 0444, proc_children_show),
	PLACE_NAMES,
	LATE_NAMES,
	{ .name = NULL },
};

static struct synth_entry task_entry = { .name = "TID", .mode = S_IFDIR | 0555, .children = task_entries };

static int tasks_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	struct task *t;
	u32 tid;

	if (synth_parse_id(name, &tid))
		return -ENOENT;
	t = task_find(tid);
	if (!t || t->proc != dir->proc) {
		if (t)
			task_put(t);
		return -ENOENT;
	}
	WRITE_ONCE(t->in_proc, true);
	*out = (struct synth_node){ .e = &task_entry, .proc = process_get(t->proc), .task = t };
	return 0;
}

static int tasks_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	AUTO(task) t = process_thread_next(dir->proc, (u32)from);

	if (!t)
		return -ENOENT;
	fmt_snprintf(out->name, sizeof(out->name), "%u", t->tid);
	out->key = t->tid;
	out->dtype = S_IFDIR >> 12;
	out->ino = synth_ino(&(struct synth_node){ .proc = t->proc, .task = t }, &task_entry);
	return 0;
}

static const struct synth_dir tasks = { .find = tasks_find, .next = tasks_next };

static struct synth_entry tgid_entries[] = {
	{ .name = "task", .mode = S_IFDIR | 0555, .flags = SYNTH_TASKS, .dir = &tasks },
	FD_NAMES,
	FILE_ENTRY("stat", 0444, proc_stat_show),
	MEMORY_NAMES,
	PLACE_NAMES,
	PLACED_ENTRY("mountstats", 0400, proc_mountstats_show),
	LATE_NAMES,
	WRITE_ENTRY("timerslack_ns", 0666, proc_timerslack_show, proc_timerslack_write),
	{ .name = NULL },
};

struct synth_entry proc_tgid_entry = { .name = "PID", .mode = S_IFDIR | 0555, .children = tgid_entries };

/* /proc/N is found for every task N, but listed only for processes. */
static int pids_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	struct task *t;
	u32 tid;

	if (synth_parse_id(name, &tid))
		return -ENOENT;
	t = task_find(tid);
	if (!t)
		return -ENOENT;
	WRITE_ONCE(t->in_proc, true);
	*out = (struct synth_node){ .e = &proc_tgid_entry, .proc = process_get(t->proc), .task = t };
	if (tid == t->proc->pid) {
		out->task = NULL;
		task_put(t);
	}
	return 0;
}

static int pids_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	AUTO(process) p = from < UINT32_MAX ? process_next((u32)from) : NULL;

	if (!p)
		return -ENOENT;
	fmt_snprintf(out->name, sizeof(out->name), "%u", p->pid);
	out->key = p->pid;
	out->dtype = S_IFDIR >> 12;
	out->ino = synth_ino(&(struct synth_node){ .proc = p }, &proc_tgid_entry);
	return 0;
}

const struct synth_dir proc_pids = { .find = pids_find, .next = pids_next };

static void forget_child(struct dentry *dir, u32 nr)
{
	char name[16];
	int n = fmt_snprintf(name, sizeof(name), "%u", nr);
	AUTO(dentry) d = dentry_lookup_cached(dir, name, (u32)n);

	if (d)
		dentry_prune(d);
}

/* The task has no number any more: nothing new can be found below its names. */
static void forget_task(u32 tgid, u32 tid)
{
	char name[16];
	int n;

	forget_child(proc_sb->root, tid);
	if (tid == tgid)
		return;
	n = fmt_snprintf(name, sizeof(name), "%u", tgid);
	AUTO(dentry) d = dentry_lookup_cached(proc_sb->root, name, (u32)n);
	AUTO(dentry) tasks_dir = d ? dentry_lookup_cached(d, "task", 4) : NULL;

	if (tasks_dir)
		forget_child(tasks_dir, tid);
}

void proc_pid_init(struct superblock *sb)
{
	synth_number(&proc_tgid_entry);
	synth_number(&task_entry);
	proc_sb = sb;
	proc_released_hook = forget_task;
}
