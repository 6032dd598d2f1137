/*
 * signalfd: pending signals of the reader as records to read.  Sleepers wait on
 * a static queue chosen by the sighand's address, so that nothing they registered
 * on can go away before them; a collision only wakes somebody in vain.
 */
#include <core/uio.h>
#include <vfs/file.h>
#include "proc.h"

#define SIGNALFD_QUEUES 32u
#define O_NONBLOCK_K	04000u
#define O_CLOEXEC_K	02000000u

static struct waitq queues[SIGNALFD_QUEUES];
static atomic_t signalfd_count;		/* open signalfds: 0 keeps sending cheap */

struct signalfd_record {
	u32 signo;
	i32 err, code;
	u32 pid, uid;
	i32 fd;
	u32 tid, band, overrun, trapno;
	i32 status, value;
	u64 ptr, utime, stime, addr;
	u16 addr_lsb, pad0;
	i32 sys;
	u64 call_addr;
	u32 arch;
	u8 pad[28];
};
_Static_assert(sizeof(struct signalfd_record) == 128, "the ABI's layout");

static struct waitq *queue_of(const struct sighand *sh) { return &queues[hash_u64((u64)sh) % SIGNALFD_QUEUES]; }

void signalfd_notify(struct sighand *sh)
{
	if (atomic_read(&signalfd_count))
		waitq_wake_all(queue_of(sh));
}

static u64 wanted(struct file *f) { return __atomic_load_n((u64 *)f->priv, __ATOMIC_RELAXED); }

static u32 signalfd_poll(struct file *f, struct poll_table *pt)
{
	struct task *self = task_current();

	poll_wait(pt, queue_of(self->proc->sighand));
	GUARD_IRQ(&self->proc->sig_lock);
	return (self->pending.set.bits | self->proc->shared_pending.set.bits) & wanted(f) ? POLLIN | POLLRDNORM : 0;
}

static void fill_record(struct signalfd_record *r, const struct siginfo_k *i)
{
	memset(r, 0, sizeof(*r));
	r->signo = (u32)i->signo;
	r->err = i->err;
	r->code = i->code;
	if (i->code == SI_TIMER) {
		r->tid = (u32)i->timer.tid;
		r->overrun = (u32)i->timer.overrun;
		r->ptr = i->timer.value;
		r->value = (i32)i->timer.value;
	} else if (i->code > SI_USER && i->code < SI_KERNEL && (SIGBIT(i->signo) & SIG_SYNC_MASK)) {
		r->addr = i->fault.addr;
		r->addr_lsb = (u16)i->fault.addr_lsb;
	} else if (i->code > SI_USER && i->code < SI_KERNEL && i->signo == SIGCHLD) {
		r->pid = (u32)i->chld.pid;
		r->uid = i->chld.uid;
		r->status = i->chld.status;
		r->utime = (u64)i->chld.utime;
		r->stime = (u64)i->chld.stime;
	} else if (i->code > SI_USER && i->code < SI_KERNEL) {
		r->band = (u32)i->poll.band;
		r->fd = i->poll.fd;
	} else {
		r->pid = (u32)i->rt.pid;
		r->uid = i->rt.uid;
		r->ptr = i->rt.value;
		r->value = (i32)i->rt.value;
	}
}

static int wait_signal(struct file *f, struct siginfo_k *info, bool nonblock)
{
	struct task *self = task_current();
	u32 sig = signal_take(self, (struct sigset64){ wanted(f) }, info);

	if (sig)
		return 0;
	if (nonblock)
		return -EAGAIN;
	return waitq_wait_intr(queue_of(self->proc->sighand),
			       (sig = signal_take(self, (struct sigset64){ wanted(f) }, info)) != 0);
}

static i64 signalfd_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct signalfd_record rec;
	struct siginfo_k info;
	i64 done = 0;

	if (dst->resid < sizeof(rec))
		return -EINVAL;
	while (dst->resid >= sizeof(rec)) {
		int err = wait_signal(f, &info, done || (f->flags & O_NONBLOCK_K));

		if (err)
			return done ? done : err;
		fill_record(&rec, &info);
		if (uio_copy_out(dst, &rec, sizeof(rec)) != sizeof(rec))
			return done ? done : -EFAULT;
		done += (i64)sizeof(rec);
	}
	return done;
}

static void signalfd_release(struct file *f)
{
	atomic_dec(&signalfd_count);
	kfree(f->priv);
}

static void signalfd_fdinfo(struct file *f, struct seq *s)
{
	seq_printf(s, "sigmask:\t%016llx\n", (unsigned long long)wanted(f));
}

static const struct file_ops signalfd_ops = {
	.read = signalfd_read, .poll = signalfd_poll, .release = signalfd_release, .show_fdinfo = signalfd_fdinfo,
};

int signalfd_file(struct task *self, struct sigset64 mask, u32 flags, struct file **out)
{
	u64 *set;

	if (flags & ~(O_NONBLOCK_K | O_CLOEXEC_K))
		return -EINVAL;
	set = kmalloc(sizeof(*set));
	if (!set)
		return -ENOMEM;
	*set = mask.bits & ~SIG_KERNEL_ONLY;
	*out = file_create_anon(&signalfd_ops, "anon_inode:[signalfd]", FILE_READ | FILE_WRITE | FILE_STREAM,
				(flags & O_NONBLOCK_K) | 2, set);
	if (!*out) {
		kfree(set);
		return -ENOMEM;
	}
	atomic_inc(&signalfd_count);
	return 0;
}

int signalfd_change(struct file *f, struct sigset64 mask)
{
	if (f->ops != &signalfd_ops)
		return -EINVAL;
	__atomic_store_n((u64 *)f->priv, mask.bits & ~SIG_KERNEL_ONLY, __ATOMIC_RELAXED);
	waitq_wake_all(queue_of(task_current()->proc->sighand));
	return 0;
}

void signalfd_init(void)
{
	for (u32 i = 0; i < SIGNALFD_QUEUES; i++)
		waitq_init(&queues[i]);
}
