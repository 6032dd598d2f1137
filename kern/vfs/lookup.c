/*
 * One name in one directory: the cache first, then the file system.  A name
 * that the cache has but the file system disowns (ops->revalidate) is dropped
 * and looked up again.
 */
#include "vfs_private.h"

/* Shared lock, the file system fills a fresh dentry; the first of two racers wins. */
static int lookup_slow(struct dentry *dir, const char *name, u32 len, struct dentry **out)
{
	struct vnode *dv = dir->vnode;
	AUTO(dentry) d = dentry_create(dir, name, len);
	struct dentry *other;
	int err;

	if (!d)
		return -ENOMEM;
	err = dv->ops->lookup(dv, d);
	if (err)
		return err;
	if (dentry_unhashed(d) && (d->vnode || dv->sb->type->cache_negative)) {
		other = dentry_hash_unique(d);
		if (other) {
			*out = other;
			return 0;
		}
	}
	*out = MOVE(d);
	return 0;
}

static bool still_right(struct dentry *dir, struct dentry *d)
{
	const struct vnode_ops *ops = d->vnode ? d->vnode->ops : dir->vnode->ops;

	return !ops->revalidate || ops->revalidate(d);
}

static struct dentry *lookup_valid(struct dentry *dir, const char *name, u32 len, u32 hash)
{
	struct dentry *d = dentry_find(dir, name, len, hash);

	if (!d || still_right(dir, d))
		return d;
	dentry_unhash(d);
	dentry_put(d);
	return NULL;
}

static int lookup_missing(struct dentry *dir, const char *name, u32 len, struct dentry **out)
{
	if (dir->vnode->ops->lookup)
		return lookup_slow(dir, name, len, out);
	*out = dentry_create(dir, name, len);
	return *out ? 0 : -ENOMEM;
}

int dentry_lookup_locked(struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry **out)
{
	struct dentry *d = lookup_valid(dir, name, len, hash);

	if (d) {
		*out = d;
		return 0;
	}
	return lookup_missing(dir, name, len, out);
}

int dentry_lookup(struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry **out)
{
	struct dentry *d = lookup_valid(dir, name, len, hash);

	if (d) {
		*out = d;
		return 0;
	}
	if (!dir->vnode->ops->lookup)
		return -ENOENT;
	GUARD_SHARED(&dir->vnode->lock);
	return lookup_slow(dir, name, len, out);
}
