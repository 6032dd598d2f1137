/*
 * Synthetic trees: /proc and /sys.
 *
 * A tree is made of tables of struct synth_entry.  A vnode comes into being
 * when its name is looked up and goes with its dentry; both are cache.  Below a
 * PID directory a vnode holds the process (and the task, under task/), and its
 * names are checked against them at each walk (revalidate).
 * Tables are const after synth_number().  Locks: none of its own.
 */
#pragma once

#include <base/string.h>
#include <mem/slab.h>
#include <proc/view.h>
#include <vfs/vfs.h>

struct synth_entry;

struct synth_node {
	const struct synth_entry *e;
	struct process *proc;		/* reference, or NULL */
	struct task *task;		/* reference; NULL: the leader, whoever that is */
	u32 id;				/* fd/N, fdinfo/N, cpuN */
	u32 mode;			/* instead of the entry's; 0: the entry's */
};

struct synth_item { char name[16]; u64 ino; u32 dtype; u64 key; };

/* Names that no table lists.  dir's vnode lock is held shared. */
struct synth_dir {
	/* Fills out (zeroed; references in it are the caller's).  0 or -ENOENT. */
	int (*find)(const struct synth_node *dir, const char *name, struct synth_node *out);
	/* The first with key >= from.  0 or -ENOENT. */
	int (*next)(const struct synth_node *dir, u64 from, struct synth_item *out);
};

struct synth_entry {
	const char *name;		/* NULL ends a table */
	u32 mode;			/* S_IF* | permissions */
	u32 flags;			/* SYNTH_* */
	int (*show)(struct seq *s, void *node);
	/* text is NUL-terminated, at most PAGE_SIZE bytes.  Bytes taken or -errno. */
	i64 (*write)(struct synth_node *n, char *text, usize len);
	struct synth_entry *children;
	const struct synth_dir *dir;
	const struct file_ops *fops;	/* instead of show and write */
	i64 (*readlink)(struct synth_node *n, char *buf, usize size);
	int (*follow)(struct synth_node *n, struct path *out);
	const void *data;
	u32 ino;			/* set by synth_number() */
};
#define SYNTH_PTRACE (1u << 0)		/* opening asks for the right to look into the process: -EACCES */
#define SYNTH_SYSCTL (1u << 1)		/* /proc/sys: mode bits bind root too */
#define SYNTH_SYSFS  (1u << 2)		/* writing needs a writer */
#define SYNTH_TASKS  (1u << 3)		/* the directory of the process' tasks: each counts as a link */
#define SYNTH_PLACE  (1u << 5)		/* opening asks that the process still has a place in the tree: -EINVAL */
#define SYNTH_NUMBER (1u << 4)		/* a write that does not start at 0 is ignored */

#define SYNTH_INO_FD	 (1u << 21)
#define SYNTH_INO_FDINFO (1u << 22)

void synth_init(void);
void synth_number(struct synth_entry *root);	/* numbers the whole tree; boot */
/* The superblock of the tree under root. */
MUST_USE struct superblock *synth_mount(const struct fs_type *t, struct synth_entry *root, u64 magic);
u64 synth_ino(const struct synth_node *dir, const struct synth_entry *e);	/* of e in dir */
static inline struct synth_node *synth_node(const struct vnode *vn) { return vn->priv; }
/* The task the node speaks of: new reference; NULL: released. */
MUST_USE struct task *synth_task(const struct synth_node *n);
/* May the running task look into n's process? */
bool synth_may_inspect(const struct synth_node *n);

DEFINE_AUTO(task, struct task *, task_put)
DEFINE_AUTO(process, struct process *, process_put)
DEFINE_AUTO(aspace, struct aspace *, aspace_unuse)
