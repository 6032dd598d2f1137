/*
 * Vnodes: life, ownership, times, permission bits, counted openness.
 * The struct is freed past rcu so that a walk without references may read the
 * mode bits of a vnode that is just dying; everything it owns but link_text
 * goes at once.
 */
#include "vfs_private.h"
#include <core/clock.h>

static struct slab_cache *vnode_cache;
static const struct vnode_ops no_ops;	/* of vnodes without any: callers need not ask */

void (*vfs_notify_hook)(struct vnode *vn, struct dentry *d, u32 mask, u32 cookie, const char *name);
void (*vfs_watch_drop_hook)(struct vnode *vn);
void (*vfs_exec_image_drop)(void *image);

static void object_get_owner(struct vm_object *obj)
{
	vnode_get(container_of(obj, struct vnode, object));
}

static void object_put_owner(struct vm_object *obj)
{
	vnode_put(container_of(obj, struct vnode, object));
}

struct vnode *vnode_create(struct superblock *sb, u64 ino, u32 mode, const struct vnode_ops *ops, const struct file_ops *fops)
{
	struct vnode *vn = slab_zalloc(vnode_cache);

	if (!vn)
		return NULL;
	ref_init(&vn->refs);
	vn->mode = mode;
	vn->nlink = 1;
	vn->ino = ino ? ino : (u64)atomic64_add(&sb->next_ino, 1);
	ref_get(&sb->holders);
	vn->sb = sb;
	vn->ops = ops ? ops : &no_ops;
	vn->fops = fops;
	vn->generation = 1;
	rwlock_init(&vn->lock, LR_VNODE);
	spin_init(&vn->state_lock, LR_VNODE_STATE);
	vnode_touch(vn, ATTR_ATIME | ATTR_MTIME | ATTR_CTIME);
	vn->btime = vn->mtime;
	if (S_ISREG(mode)) {
		vm_object_init(&vn->object, NULL, 0);
		vn->object.get_owner = object_get_owner;
		vn->object.put_owner = object_put_owner;
	}
	return vn;
}

struct vnode *vnode_get(struct vnode *vn)
{
	ref_get(&vn->refs);
	return vn;
}

static void vnode_free_rcu(struct rcu_head *h)
{
	struct vnode *vn = container_of(h, struct vnode, rcu);

	kfree(vn->link_text);
	slab_free(vnode_cache, vn);
}

void vnode_put(struct vnode *vn)
{
	if (!ref_put(&vn->refs))
		return;
	vnode_drop_image(vn);
	if (vn->watches && vfs_watch_drop_hook)
		vfs_watch_drop_hook(vn);
	if (vn->locks)
		vnode_locks_free(vn);
	if (S_ISREG(vn->mode))
		vm_object_destroy(&vn->object);
	if (vn->ops && vn->ops->release)
		vn->ops->release(vn);
	if (vn->xattrs)
		vnode_xattrs_free(vn);
	superblock_let_go(vn->sb);
	rcu_defer(&vn->rcu, vnode_free_rcu);
}

void vnode_drop_image(struct vnode *vn)
{
	void *image;

	if (likely(!READ_ONCE(vn->exec_image)))
		return;
	spin_lock(&vn->state_lock);
	image = MOVE(vn->exec_image);
	spin_unlock(&vn->state_lock);
	if (image && vfs_exec_image_drop)
		vfs_exec_image_drop(image);
}

void vnode_touch(struct vnode *vn, u32 which)
{
	struct timespec64 now = time_from_ns(clock_real_ns());

	if (which & ATTR_ATIME)
		vn->atime = now;
	if (which & ATTR_MTIME)
		vn->mtime = now;
	if (which & ATTR_CTIME)
		vn->ctime = now;
}

/* relatime: only when the old value would not tell that the file was read since its last change, or is a day old. */
void vnode_access(struct mount *m, struct vnode *vn)
{
	u32 mf = m ? m->flags : 0;
	struct timespec64 now;

	if ((mf & (MS_NOATIME | MS_RDONLY)) || (vn->flags & VN_NOATIME) || (vn->sb->flags & (MS_NOATIME | MS_RDONLY)))
		return;
	if (S_ISDIR(vn->mode) && (mf & MS_NODIRATIME))
		return;
	if ((mf & MS_RELATIME) && time_cmp(&vn->mtime, &vn->atime) < 0 && time_cmp(&vn->ctime, &vn->atime) < 0) {
		if (clock_real_ns() / 1000000000ull < (u64)vn->atime.sec + 86400)
			return;
	}
	now = time_from_ns(clock_real_ns());
	vn->atime = now;
}

void vnode_init_owner(struct vnode *vn, const struct vnode *dir, u32 mode)
{
	struct vfs_caller *c = vfs_self();
	const struct cred *cr = caller_cred(c);

	vn->uid = cr->fsuid;
	vn->gid = cr->fsgid;
	if (dir && (dir->mode & S_ISGID)) {
		vn->gid = dir->gid;
		if (S_ISDIR(mode))
			mode |= S_ISGID;
		else if ((mode & (S_ISGID | 010)) == (S_ISGID | 010) && !cred_in_group(cr, vn->gid) && !cred_can(cr, CAP_FSETID))
			mode &= ~S_ISGID;
	}
	vn->mode = mode;
}

void vnode_apply_attr(struct vnode *vn, const struct vnode_attr *a)
{
	if (a->valid & ATTR_UID)
		vn->uid = a->uid;
	if (a->valid & ATTR_GID)
		vn->gid = a->gid;
	if (a->valid & ATTR_MODE)
		vn->mode = (vn->mode & S_IFMT) | (a->mode & 07777);
	if (a->valid & ATTR_ATIME)
		vn->atime = a->atime;
	if (a->valid & ATTR_MTIME)
		vn->mtime = a->mtime;
	if (a->valid & ATTR_CTIME)
		vn->ctime = a->ctime;
}

void vnode_lock_two(struct vnode *a, struct vnode *b) NO_LOCK_ANALYSIS	/* in the order of addresses; may be one */
{
	if (a == b) {
		rwlock_write(&a->lock);
		return;
	}
	if ((u64)a > (u64)b) {
		struct vnode *t = a;

		a = b;
		b = t;
	}
	rwlock_write(&a->lock);
	rwlock_write_nested(&b->lock);
}

void vnode_unlock_two(struct vnode *a, struct vnode *b) NO_LOCK_ANALYSIS
{
	if (a != b)
		rwlock_write_end(&b->lock);
	rwlock_write_end(&a->lock);
}

int vnode_deny_write(struct vnode *vn)
{
	GUARD_SPIN(&vn->state_lock);
	if (vn->writers > 0)
		return -ETXTBSY;
	vn->writers--;
	return 0;
}

void vnode_allow_write(struct vnode *vn)
{
	GUARD_SPIN(&vn->state_lock);
	vn->writers++;
}

int vnode_get_write(struct vnode *vn)
{
	GUARD_SPIN(&vn->state_lock);
	if (vn->writers < 0)
		return -ETXTBSY;
	vn->writers++;
	return 0;
}

void vnode_put_write(struct vnode *vn)
{
	GUARD_SPIN(&vn->state_lock);
	vn->writers--;
}

static int mode_permission(const struct cred *cr, const struct vnode *vn, u32 want)
{
	u32 mode = vn->mode;

	if (cr->fsuid == vn->uid)
		mode >>= 6;
	else if ((((mode >> 3) ^ mode) & want) && cred_in_group(cr, vn->gid))
		mode >>= 3;
	if (!(want & ~mode & 7))
		return 0;
	if (S_ISDIR(vn->mode)) {
		if (!(want & MAY_WRITE) && cred_can(cr, CAP_DAC_READ_SEARCH))
			return 0;
		return cred_can(cr, CAP_DAC_OVERRIDE) ? 0 : -EACCES;
	}
	if (want == MAY_READ && cred_can(cr, CAP_DAC_READ_SEARCH))
		return 0;
	if ((!(want & MAY_EXEC) || (vn->mode & 0111)) && cred_can(cr, CAP_DAC_OVERRIDE))
		return 0;
	return -EACCES;
}

int vnode_permission(const struct cred *cr, struct vnode *vn, u32 want)
{
	u32 fmt = vn->mode & S_IFMT;
	int err;

	if ((want & MAY_WRITE) && (vn->sb->flags & MS_RDONLY) && (fmt == S_IFREG || fmt == S_IFDIR || fmt == S_IFLNK))
		return -EROFS;
	err = mode_permission(cr, vn, want & 7);
	if (!err && vn->ops && vn->ops->permission)
		err = vn->ops->permission(vn, want & 7);
	return err;
}

int vfs_permission(const struct cred *cr, const struct path *p, u32 want)
{
	struct vnode *vn = p->dentry->vnode;
	u32 fmt = vn->mode & S_IFMT;

	if ((want & MAY_EXEC) && fmt == S_IFREG && p->mnt && (p->mnt->flags & MS_NOEXEC))
		return -EACCES;
	if ((want & MAY_WRITE) && p->mnt && (p->mnt->flags & MS_RDONLY) &&
	    (fmt == S_IFREG || fmt == S_IFDIR || fmt == S_IFLNK)) {
		int err = vnode_permission(cr, vn, want);

		return err ? err : -EROFS;
	}
	return vnode_permission(cr, vn, want);
}

const struct cred *caller_cred(const struct vfs_caller *c)
{
	return c ? c->cred : &cred_root;
}

u32 caller_umask(const struct vfs_caller *c)
{
	return c ? READ_ONCE(c->fs->umask) : 0;
}

bool caller_owns(const struct cred *cr, const struct vnode *vn)
{
	return cr->fsuid == vn->uid || cred_can(cr, CAP_FOWNER);
}

u32 vnode_suid_kill(const struct cred *cr, u32 mode)
{
	if (!S_ISREG(mode) || !(mode & (S_ISUID | S_ISGID)) || cred_can(cr, CAP_FSETID))
		return mode;
	mode &= ~S_ISUID;
	return mode & 010 ? mode & ~S_ISGID : mode;
}

void vnode_init(void)
{
	vnode_cache = slab_cache_create("vnode", sizeof(struct vnode), 64);
}
