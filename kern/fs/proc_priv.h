/* What the files of /proc share.  show functions get a struct synth_node *. */
#pragma once

#include <base/fmt.h>
#include <core/clock.h>
#include "proc_text.h"
#include "synth.h"

#define USER_HZ	    100u
#define NSEC_TICK   (NSEC_PER_SEC / USER_HZ)	/* what stat files count in */
#define PAGES_TO_KB(n) ((unsigned long long)(n) << (PAGE_SHIFT - 10))
#define LLU(x)	    ((unsigned long long)(x))

#define FILE_ENTRY(n, m, fn)	{ .name = (n), .mode = S_IFREG | (m), .show = (fn) }
#define DIR_ENTRY(n, m, c)	{ .name = (n), .mode = S_IFDIR | (m), .children = (c) }

extern struct synth_entry proc_tgid_entry;	/* proc_pid.c: the directory of a process */
extern const struct synth_dir proc_pids;
void proc_pid_init(struct superblock *sb);

extern struct synth_entry proc_sys_entries[];	/* proc_sysctl.c */
extern struct synth_entry proc_net_entries[];	/* proc_system.c */

/* proc_fd.c */
extern const struct synth_dir proc_fd_dir, proc_fdinfo_dir;
/* Text of a place, truncated to size, as readlink wants it.  Pipes and sockets by number. */
MUST_USE i64 proc_path_text(const struct path *p, char *buf, usize size);

/* proc_links.c */
i64 proc_exe_readlink(struct synth_node *n, char *buf, usize size);
int proc_exe_follow(struct synth_node *n, struct path *out);
i64 proc_cwd_readlink(struct synth_node *n, char *buf, usize size);
int proc_cwd_follow(struct synth_node *n, struct path *out);
i64 proc_root_readlink(struct synth_node *n, char *buf, usize size);
int proc_root_follow(struct synth_node *n, struct path *out);

/* proc_status.c */
int proc_stat_show(struct seq *s, void *node);
int proc_task_stat_show(struct seq *s, void *node);
int proc_statm_show(struct seq *s, void *node);
int proc_status_show(struct seq *s, void *node);
int proc_limits_show(struct seq *s, void *node);
/* proc_task.c: small ones */
int proc_comm_show(struct seq *s, void *node);
i64 proc_comm_write(struct synth_node *n, char *text, usize len);
int proc_personality_show(struct seq *s, void *node);
int proc_syscall_show(struct seq *s, void *node);
int proc_wchan_show(struct seq *s, void *node);
int proc_schedstat_show(struct seq *s, void *node);
int proc_cgroup_show(struct seq *s, void *node);
int proc_oom_score_show(struct seq *s, void *node);
int proc_oom_adj_show(struct seq *s, void *node);
i64 proc_oom_adj_write(struct synth_node *n, char *text, usize len);
int proc_oom_score_adj_show(struct seq *s, void *node);
i64 proc_oom_score_adj_write(struct synth_node *n, char *text, usize len);
int proc_timerslack_show(struct seq *s, void *node);
i64 proc_timerslack_write(struct synth_node *n, char *text, usize len);
int proc_children_show(struct seq *s, void *node);
int proc_io_show(struct seq *s, void *node);
/* proc_maps.c */
int proc_maps_show(struct seq *s, void *node);
int proc_smaps_show(struct seq *s, void *node);
int proc_smaps_rollup_show(struct seq *s, void *node);
extern const struct file_ops proc_pagemap_fops;
/* Sizes by kind of area, in pages. */
struct proc_area_sums { u64 data, stack, exec; };
void proc_area_sums(struct aspace *as, struct proc_area_sums *out);
/* proc_mem.c */
int proc_cmdline_show(struct seq *s, void *node);
int proc_environ_show(struct seq *s, void *node);
int proc_auxv_show(struct seq *s, void *node);
extern const struct file_ops proc_mem_fops;
/* proc_pressure.c */
extern struct synth_entry proc_pressure_entries[];
/* proc_metrics.c */
int proc_metrics_show(struct seq *s, void *node);
/* proc_mounts.c */
int proc_mounts_show(struct seq *s, void *node);
int proc_mountinfo_show(struct seq *s, void *node);
int proc_mountstats_show(struct seq *s, void *node);
int proc_filesystems_show(struct seq *s, void *node);

extern struct synth_entry sysfs_thp_entries[];	/* sysfs_thp.c */
/* sysfs_ports.c */
extern const struct synth_dir sysfs_ports_dir;
void sysfs_ports_number(void);
