/*
 * rename(2) and renameat2(2).
 *
 * The RENAME mutex is held when two directories are involved, so that no
 * directory becomes its own ancestor; it also orders the two directory locks
 * (ancestor first).  The victim is locked last.
 */
#include "vfs_private.h"

static mutex_t rename_lock = { .rank = LR_RENAME, .wait = WAITQ_INIT(rename_lock.wait) };

struct rename {
	const struct cred *cred;
	struct walk *ow, *nw;
	struct dentry *o, *n;
	u32 flags;
	bool o_below_n;		/* the new place is an ancestor of the old directory */
};

/* May be one, which needs no rename_lock. */
static void lock_dirs(struct vnode *a, struct vnode *b, const struct dentry *ad, const struct dentry *bd)
	ACQUIRES(&a->lock, &b->lock) NO_LOCK_ANALYSIS
{
	if (a == b) {
		rwlock_write(&a->lock);
		return;
	}
	mutex_lock(&rename_lock);
	if (dentry_is_below(ad, bd)) {
		rwlock_write(&b->lock);
		rwlock_write_nested(&a->lock);
	} else {
		rwlock_write(&a->lock);
		rwlock_write_nested(&b->lock);
	}
}

static void unlock_dirs(struct vnode *a, struct vnode *b) RELEASES(&a->lock, &b->lock) NO_LOCK_ANALYSIS
{
	rwlock_write_end(&a->lock);
	if (a == b)
		return;
	rwlock_write_end(&b->lock);
	mutex_unlock(&rename_lock);
}

static int check_slashes(const struct rename *r)
{
	bool odir = S_ISDIR(r->o->vnode->mode);

	if (r->flags & RENAME_EXCHANGE) {
		if (!r->n->vnode)
			return -ENOENT;
		if (!S_ISDIR(r->n->vnode->mode) && r->nw->need_dir)
			return -ENOTDIR;
	}
	if (!odir && (r->ow->need_dir || (!(r->flags & RENAME_EXCHANGE) && r->nw->need_dir)))
		return -ENOTDIR;
	return 0;
}

static int check_tree(const struct rename *r)
{
	if (S_ISDIR(r->o->vnode->mode) && dentry_is_below(r->nw->d, r->o))
		return -EINVAL;
	if (r->n->vnode && S_ISDIR(r->n->vnode->mode) && dentry_is_below(r->ow->d, r->n))
		return r->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	return 0;
}

static int check_rights(const struct rename *r)
{
	struct vnode *ov = r->o->vnode, *nv = r->n->vnode;
	bool odir = S_ISDIR(ov->mode), same = r->ow->d == r->nw->d;
	int err = may_delete(r->cred, r->ow->d, r->o, odir);

	if (err)
		return err;
	if (!nv)
		err = may_create(r->cred, r->nw->d);
	else if (r->flags & RENAME_EXCHANGE)
		err = may_delete(r->cred, r->nw->d, r->n, S_ISDIR(nv->mode));
	else
		err = may_delete(r->cred, r->nw->d, r->n, odir);
	if (err)
		return err;
	if (!r->ow->d->vnode->ops->rename)
		return -EPERM;
	if (!same && odir)
		err = vnode_permission(r->cred, ov, MAY_WRITE);
	if (!err && !same && (r->flags & RENAME_EXCHANGE) && S_ISDIR(nv->mode))
		err = vnode_permission(r->cred, nv, MAY_WRITE);
	if (!err && (dentry_is_mountpoint(r->o) || dentry_is_mountpoint(r->n)))
		err = -EBUSY;
	return err;
}

static void tell(const struct rename *r, const char *old_name, bool is_dir, struct vnode *victim)
{
	static atomic_t cookie;
	u32 ck = (u32)atomic_add(&cookie, 1), dirbit = is_dir ? IN_ISDIR : 0;

	notify(r->ow->d->vnode, r->o, IN_MOVED_FROM | dirbit, ck, old_name);
	notify(r->nw->d->vnode, r->o, IN_MOVED_TO | dirbit, ck, r->o->name);
	if (victim)
		notify(victim, NULL, IN_ATTRIB, 0, NULL);
	notify(r->o->vnode, NULL, IN_MOVE_SELF, 0, NULL);
}

/* The file system's part. */
static int move_names(const struct rename *r)
{
	struct vnode *od = r->ow->d->vnode, *nd = r->nw->d->vnode, *victim = r->n->vnode;
	u32 flags = r->flags & ~RENAME_WHITEOUT;

	if (!victim)
		return od->ops->rename(od, r->o, nd, r->n, flags);
	rwlock_write_nested(&victim->lock);
	int err = od->ops->rename(od, r->o, nd, r->n, flags);

	rwlock_write_end(&victim->lock);
	return err;
}

static int move(struct rename *r)
{
	struct vnode *od = r->ow->d->vnode, *nd = r->nw->d->vnode, *victim = r->n->vnode;
	bool is_dir = S_ISDIR(r->o->vnode->mode), exchange = r->flags & RENAME_EXCHANGE;
	struct dentry_move mv = { NULL };
	char *old_name = NULL;
	int err;

	if (od->watches || nd->watches) {
		old_name = kstrdup(r->o->name);
		if (!old_name)
			return -ENOMEM;
	}
	err = exchange ? 0 : dentry_move_prepare(&mv, r->n);
	if (err)
		goto out;
	err = move_names(r);
	if (err) {
		dentry_move_abort(&mv);
		goto out;
	}
	if (exchange)
		dentry_exchange(r->o, r->n);
	else
		dentry_move_commit(&mv, r->o, r->n);
	tell(r, old_name ? old_name : "", is_dir, exchange ? NULL : victim);
	if (exchange && old_name) {
		struct rename back = *r;

		back.ow = r->nw;
		back.nw = r->ow;
		back.o = r->n;
		tell(&back, r->o->name, S_ISDIR(victim->mode), NULL);
	}
out:
	kfree(old_name);
	return err;
}

/* RENAME_WHITEOUT leaves a device 0:0 under the old name; it is made before anything moves and published after. */
static int whiteout_make(const struct rename *r, struct dentry **out)
{
	struct vnode *od = r->ow->d->vnode;
	struct dentry *d;
	int err;

	*out = NULL;
	if (!(r->flags & RENAME_WHITEOUT))
		return 0;
	if (!od->ops->mknod)
		return -EINVAL;
	d = dentry_create(r->ow->d, r->o->name, r->o->name_len);
	if (!d)
		return -ENOMEM;
	err = od->ops->mknod(od, d, S_IFCHR, 0);
	if (err)
		dentry_put(d);
	else
		*out = d;
	return err;
}

static void whiteout_finish(const struct rename *r, struct dentry *d, int err)
{
	struct vnode *od = r->ow->d->vnode;

	if (!d)
		return;
	if (!err)
		dentry_hash_add(d);
	else
		DISCARD(od->ops->unlink(od, d));	/* it was never seen */
	dentry_put(d);
}

/* Directories locked, everything checked. */
static int commit(struct rename *r)
{
	struct dentry *white;
	int err = whiteout_make(r, &white);

	if (err)
		return err;
	err = move(r);
	whiteout_finish(r, white, err);
	return err;
}

static int rename_locked(struct rename *r)
{
	AUTO(dentry) o = NULL;
	AUTO(dentry) n = NULL;
	int err = dentry_lookup_locked(r->ow->d, r->ow->last, r->ow->last_len, r->ow->last_hash, &o);

	if (!err && !o->vnode)
		err = -ENOENT;
	if (!err)
		err = dentry_lookup_locked(r->nw->d, r->nw->last, r->nw->last_len, r->nw->last_hash, &n);
	if (!err && (r->flags & RENAME_NOREPLACE) && n->vnode)
		err = -EEXIST;
	if (err)
		return err;
	r->o = o;
	r->n = n;
	err = check_slashes(r);
	if (!err)
		err = check_tree(r);
	if (!err && o->vnode == n->vnode)
		return 0;
	if (!err)
		err = check_rights(r);
	return err ? err : commit(r);
}

static int rename_walks(struct vfs_caller *c, struct walk *ow, struct walk *nw, u32 flags)
{
	struct rename r = { .cred = caller_cred(c), .ow = ow, .nw = nw, .flags = flags };
	struct vnode *od = ow->d->vnode, *nd = nw->d->vnode;
	int err;

	if (ow->mnt != nw->mnt)
		return -EXDEV;
	if (ow->last_type != LAST_NORMAL)
		return -EBUSY;
	if (nw->last_type != LAST_NORMAL)
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	err = mount_write_begin(ow->mnt);
	if (err)
		return err;
	lock_dirs(od, nd, ow->d, nw->d);
	err = rename_locked(&r);
	unlock_dirs(od, nd);
	mount_write_end(ow->mnt);
	return err;
}

int vfs_rename(struct vfs_caller *c, int odfd, const char *o, int ndfd, const char *n, u32 flags)
{
	struct walk *w;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
		return -EINVAL;
	if ((flags & RENAME_WHITEOUT) && !cred_can(caller_cred(c), CAP_MKNOD))
		return -EPERM;
	w = kmalloc(2 * sizeof(*w));		/* two walks are too much for the stack */
	if (!w)
		return -ENOMEM;
	err = walk_to_parent(&w[0], c, odfd, o, 0);
	if (!err) {
		err = walk_to_parent(&w[1], c, ndfd, n, 0);
		if (!err) {
			err = rename_walks(c, &w[0], &w[1], flags);
			walk_end(&w[1]);
		}
		walk_end(&w[0]);
	}
	kfree(w);
	return err;
}
