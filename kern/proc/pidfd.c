/*
 * pidfd: a descriptor that names a process.  It becomes readable when the
 * process is a zombie or gone; it keeps the struct, not the process.
 */
#include <vfs/file.h>
#include "proc.h"

#define O_NONBLOCK_K 04000u

static u32 pidfd_poll(struct file *f, struct poll_table *pt)
{
	struct process *p = f->priv;

	poll_wait(pt, &p->exit_wait);
	GUARD_SPIN(&proc_table_lock);
	return p->reaped || (p->leader->exit_state == TASK_ZOMBIE && p->nthreads == 1) ? POLLIN | POLLRDNORM : 0;
}

static void pidfd_release(struct file *f) { process_put(f->priv); }

static void pidfd_fdinfo(struct file *f, struct seq *s)
{
	struct process *p = f->priv;
	i32 nr = p->reaped ? -1 : (i32)p->pid;

	seq_printf(s, "Pid:\t%d\nNSpid:\t%d\n", nr, nr);
}

static const struct file_ops pidfd_ops = { .poll = pidfd_poll, .release = pidfd_release, .show_fdinfo = pidfd_fdinfo };

int pidfd_create(struct process *p, u32 flags, struct file **out)
{
	struct file *f = file_create_anon(&pidfd_ops, "anon_inode:[pidfd]", FILE_READ | FILE_WRITE | FILE_STREAM, flags | 2, p);

	if (!f)
		return -ENOMEM;
	process_get(p);
	*out = f;
	return 0;
}

int pidfd_open_file(u32 pid, u32 flags, struct file **out)
{
	struct task *t;
	int err;

	if (flags & ~O_NONBLOCK_K)
		return -EINVAL;
	t = task_find(pid);
	if (!t)
		return -ESRCH;
	err = t->proc->pid != pid ? -EINVAL : pidfd_create(t->proc, flags, out);
	task_put(t);
	return err;
}

struct process *pidfd_process(struct file *f) { return f->ops == &pidfd_ops ? f->priv : NULL; }
