/*
 * inotify(7).
 *
 * A mark ties one vnode to one inotify file.  Marks hold no reference to the
 * vnode: vfs tells when it goes (vfs_watch_drop_hook), and the marks go with it.
 * Lock: one lock (rank FS_PRIV) for all marks and queues; vnode.watches is read
 * without it as the quick test, so files that nobody watches pay one load.
 */
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/uio.h>
#include <ipc/eventfd.h>
#include <mem/slab.h>
#include "ipc_priv.h"

#define IN_UNMOUNT     0x2000u
#define IN_Q_OVERFLOW  0x4000u
#define IN_IGNORED     0x8000u
#define IN_EXCL_UNLINK 0x04000000u
#define IN_MASK_CREATE 0x10000000u
#define IN_MASK_ADD    0x20000000u
#define IN_ONESHOT     0x80000000u
#define IN_ALL_EVENTS  0xfffu
#define IN_VALID       (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | 0x01000000u | 0x02000000u | IN_EXCL_UNLINK | \
			IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)
u32 sysctl_inotify_max_queued = 16384;
#define FIONREAD       0x541bu
#define O_NONBLOCK     04000u

struct in_event {
	struct list link;
	struct { i32 wd; u32 mask, cookie, len; } head;	/* as user space reads it */
	char name[];					/* head.len bytes, zero-padded */
};

struct inotify {
	struct list events;
	u32 nevents;
	u32 bytes;			/* of all queued events */
	struct list marks;		/* in order of wd */
	i32 next_wd;
	struct waitq wait;
};

struct mark {
	struct list by_vnode, by_inotify;
	struct inotify *in;
	struct vnode *vn;		/* not a reference */
	i32 wd;
	u32 mask;
};

struct vnode_watches { struct list marks; };

static spinlock_t in_lock = SPINLOCK_INIT(LR_FS_PRIV);
static const struct file_ops inotify_fops;

static bool same_as_last(struct inotify *in, i32 wd, u32 mask, u32 cookie, const char *name) MUST_HOLD(&in_lock)
{
	struct in_event *e = list_last(&in->events, struct in_event, link);

	return e && e->head.wd == wd && e->head.mask == mask && e->head.cookie == cookie &&
	       !strcmp(e->head.len ? e->name : "", name ? name : "");
}

static void queue_event(struct inotify *in, i32 wd, u32 mask, u32 cookie, const char *name) MUST_HOLD(&in_lock)
{
	u32 len = name ? ALIGN_UP((u32)strlen(name) + 1, 16u) : 0;

	if (same_as_last(in, wd, mask, cookie, name))
		return;
	if (in->nevents >= READ_ONCE(sysctl_inotify_max_queued)) {
		wd = -1;
		mask = IN_Q_OVERFLOW;
		cookie = len = 0;
		if (same_as_last(in, wd, mask, cookie, NULL))
			return;
	}
	struct in_event *e = kmalloc_atomic(sizeof(*e) + len);

	if (!e)
		return;			/* no memory in atomic context: the event is lost, as on Linux */
	e->head.wd = wd;
	e->head.mask = mask;
	e->head.cookie = cookie;
	e->head.len = len;
	if (len)
		str_copy(e->name, name, len);
	list_push_back(&in->events, &e->link);
	in->nevents++;
	in->bytes += (u32)sizeof(e->head) + len;
	if (waitq_active(&in->wait))
		waitq_wake(&in->wait, ~0u, POLLIN | POLLRDNORM);
}

/* Unlinks and frees; the vnode's list head goes with its last mark. */
static void mark_destroy(struct mark *m, bool ignored) MUST_HOLD(&in_lock)
{
	struct vnode_watches *w = m->vn->watches;

	if (ignored)
		queue_event(m->in, m->wd, IN_IGNORED, 0, NULL);
	list_remove(&m->by_vnode);
	list_remove(&m->by_inotify);
	if (list_empty(&w->marks)) {
		WRITE_ONCE(m->vn->watches, NULL);
		kfree(w);
	}
	kfree(m);
}

static void tell(struct vnode *vn, u32 mask, u32 cookie, const char *name, bool unlinked) MUST_HOLD(&in_lock)
{
	struct vnode_watches *w = vn->watches;
	struct mark *m, *tmp;

	if (!w)
		return;
	list_for_each_safe(m, tmp, &w->marks, by_vnode) {
		bool last = &tmp->by_vnode == &w->marks;

		if (!(m->mask & mask & IN_ALL_EVENTS) || (unlinked && name && (m->mask & IN_EXCL_UNLINK)))
			continue;
		queue_event(m->in, m->wd, mask, cookie, name);
		if (m->mask & IN_ONESHOT)
			mark_destroy(m, true);
		if (last)
			break;		/* w may be gone */
	}
}

static void notify(struct vnode *vn, struct dentry *d, u32 mask, u32 cookie, const char *name)
{
	struct vnode *dir = NULL;
	char own[NAME_MAX + 1];

	if (!name && d && d->parent && d->parent != d && !(mask & (IN_DELETE_SELF | IN_MOVE_SELF)))
		dir = READ_ONCE(d->parent->vnode);
	bool tell_dir = dir && READ_ONCE(dir->watches);

	if (!READ_ONCE(vn->watches) && !tell_dir)
		return;
	if (tell_dir)
		dentry_name_copy(d, own);
	GUARD_SPIN(&in_lock);
	if (tell_dir)
		tell(dir, mask, cookie, own, d->flags & DN_UNHASHED);
	tell(vn, mask, cookie, name, false);
}

static void drop_watches(struct vnode *vn)
{
	GUARD_SPIN(&in_lock);
	struct vnode_watches *w;

	while ((w = vn->watches))
		mark_destroy(list_first(&w->marks, struct mark, by_vnode), true);
}

/* --- watches ---------------------------------------------------------------- */

static struct mark *mark_by_wd(struct inotify *in, i32 wd) MUST_HOLD(&in_lock)
{
	struct mark *m;

	list_for_each(m, &in->marks, by_inotify)
		if (m->wd == wd)
			return m;
	return NULL;
}

/* Few watch one file, one may watch very many: the file's list is the short one. */
static struct mark *mark_of_vnode(struct inotify *in, struct vnode *vn) MUST_HOLD(&in_lock)
{
	struct vnode_watches *w = vn->watches;
	struct mark *m;

	if (!w)
		return NULL;
	list_for_each(m, &w->marks, by_vnode)
		if (m->in == in)
			return m;
	return NULL;
}

static i64 mark_change(struct mark *m, u32 mask) MUST_HOLD(&in_lock)
{
	if (mask & IN_MASK_CREATE)
		return -EEXIST;
	m->mask = mask & IN_MASK_ADD ? m->mask | mask : mask;
	return m->wd;
}

i64 inotify_add(struct file *f, const struct path *p, u32 mask)
{
	struct inotify *in = f->ops == &inotify_fops ? f->priv : NULL;
	struct vnode *vn = p->dentry->vnode;

	if (!in || !(mask & IN_VALID) || (mask & IN_MASK_ADD && mask & IN_MASK_CREATE))
		return -EINVAL;
	int err = vfs_permission(vfs_self()->cred, p, 4);

	if (err)
		return err;
	AUTO(kptr) w = kzalloc(sizeof(struct vnode_watches));
	AUTO(kptr) fresh = kzalloc(sizeof(struct mark));

	if (!w || !fresh)
		return -ENOMEM;
	GUARD_SPIN(&in_lock);
	struct mark *m = mark_of_vnode(in, vn);

	if (m)
		return mark_change(m, mask);
	if (!vn->watches) {
		struct vnode_watches *nw = MOVE(w);

		list_init(&nw->marks);
		WRITE_ONCE(vn->watches, nw);
	}
	m = MOVE(fresh);
	m->in = in;
	m->vn = vn;
	m->wd = in->next_wd++;
	m->mask = mask;
	list_push_back(&((struct vnode_watches *)vn->watches)->marks, &m->by_vnode);
	list_push_back(&in->marks, &m->by_inotify);
	return m->wd;
}

int inotify_remove(struct file *f, i32 wd)
{
	struct inotify *in = f->ops == &inotify_fops ? f->priv : NULL;

	if (!in)
		return -EINVAL;
	GUARD_SPIN(&in_lock);
	struct mark *m = mark_by_wd(in, wd);

	if (!m)
		return -EINVAL;
	mark_destroy(m, true);
	return 0;
}

/* --- the file ---------------------------------------------------------------- */

static struct in_event *take_event(struct inotify *in, u64 room, bool *too_small)
{
	GUARD_SPIN(&in_lock);
	struct in_event *e = list_first(&in->events, struct in_event, link);

	if (!e || sizeof(e->head) + e->head.len > room) {
		*too_small = e;
		return NULL;
	}
	list_remove(&e->link);
	in->nevents--;
	in->bytes -= (u32)sizeof(e->head) + e->head.len;
	return e;
}

static i64 inotify_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct inotify *in = f->priv;
	bool too_small = false;
	i64 done = 0;

	for (;;) {
		struct in_event *e = take_event(in, dst->resid, &too_small);

		if (e) {
			u64 n = sizeof(e->head) + e->head.len, k = uio_copy_out(dst, &e->head, sizeof(e->head));

			k += uio_copy_out(dst, e->name, e->head.len);
			kfree(e);
			if (k < n)
				return done ? done : -EFAULT;
			done += (i64)n;
			continue;
		}
		if (done)
			return done;
		if (too_small)
			return -EINVAL;
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		int err = waitq_wait_intr(&in->wait, !list_empty(&in->events));

		if (err)
			return err;
	}
}

static u32 inotify_poll(struct file *f, struct poll_table *pt)
{
	struct inotify *in = f->priv;

	poll_wait(pt, &in->wait);
	return list_empty(&in->events) ? 0 : POLLIN | POLLRDNORM;
}

static i64 inotify_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct inotify *in = f->priv;
	i32 n = (i32)READ_ONCE(in->bytes);

	return cmd == FIONREAD ? user_put(UPTR(arg), &n) : -ENOTTY;
}

static void inotify_fdinfo(struct file *f, struct seq *s)
{
	struct inotify *in = f->priv;
	struct mark *m;

	GUARD_SPIN(&in_lock);
	list_for_each(m, &in->marks, by_inotify)
		seq_printf(s, "inotify wd:%x ino:%llx sdev:%llx mask:%x ignored_mask:0\n", (u32)m->wd, (unsigned long long)m->vn->ino,
			   (unsigned long long)m->vn->sb->dev, m->mask & IN_ALL_EVENTS);
}

static void inotify_release(struct file *f)
{
	struct inotify *in = f->priv;
	struct in_event *e, *tmp;

	spin_lock(&in_lock);
	while (!list_empty(&in->marks))
		mark_destroy(list_first(&in->marks, struct mark, by_inotify), false);
	spin_unlock(&in_lock);
	list_for_each_safe(e, tmp, &in->events, link)
		kfree(e);
	kfree(in);
}

static const struct file_ops inotify_fops = {
	.read = inotify_read, .poll = inotify_poll, .ioctl = inotify_ioctl, .show_fdinfo = inotify_fdinfo, .release = inotify_release,
};

int inotify_create_file(u32 flags, struct file **out)
{
	if (flags & ~(O_NONBLOCK | 02000000u))
		return -EINVAL;
	struct inotify *in = kzalloc(sizeof(*in));

	if (!in)
		return -ENOMEM;
	list_init(&in->events);
	list_init(&in->marks);
	waitq_init(&in->wait);
	in->next_wd = 1;
	*out = file_create_anon(&inotify_fops, "anon_inode:inotify", FILE_READ | FILE_STREAM, flags & O_NONBLOCK, in);
	if (!*out) {
		kfree(in);
		return -ENOMEM;
	}
	return 0;
}

void inotify_init(void)
{
	vfs_notify_hook = notify;
	vfs_watch_drop_hook = drop_watches;
}
