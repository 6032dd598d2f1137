/* Character devices: numbers to drivers.  The list only grows. */
#include "vfs_private.h"

static struct list devices = LIST_INIT(devices);	/* lock to change, read freely */
static spinlock_t devices_lock = SPINLOCK_INIT(LR_FS_PRIV);

int (*fifo_open_hook)(struct vnode *vn, struct file *f);

static void (*watcher)(struct chardev *cd);

void chardev_register(struct chardev *cd)
{
	spin_lock(&devices_lock);
	list_push_back(&devices, &cd->link);
	spin_unlock(&devices_lock);
	if (watcher)
		watcher(cd);
}

void chardev_watch(void (*fn)(struct chardev *cd))
{
	struct chardev *cd;

	watcher = fn;
	list_for_each(cd, &devices, link)
		fn(cd);
}

struct chardev *chardev_find(u64 rdev)
{
	u32 major = dev_major(rdev), minor = dev_minor(rdev);
	struct chardev *cd;

	list_for_each(cd, &devices, link)
		if (cd->major == major && minor - cd->minor < cd->count)
			return cd;
	return NULL;
}

static int chardev_open(struct vnode *vn, struct file *f)
{
	struct chardev *cd = S_ISCHR(vn->mode) ? chardev_find(vn->rdev) : NULL;

	if (!cd)
		return -ENXIO;
	f->ops = cd->ops;
	f->priv = cd->priv;
	return cd->ops->open ? cd->ops->open(vn, f) : 0;
}

static int fifo_open(struct vnode *vn, struct file *f)
{
	return fifo_open_hook ? fifo_open_hook(vn, f) : -ENXIO;
}

const struct file_ops chardev_fops = { .open = chardev_open };
const struct file_ops fifo_fops = { .open = fifo_open };
