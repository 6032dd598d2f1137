/* File system types and superblocks.  The list of types only grows; it is read without a lock. */
#include "vfs_private.h"

static struct list types = LIST_INIT(types);	/* type_lock to change */
static spinlock_t type_lock = SPINLOCK_INIT(LR_FS_PRIV);
static atomic_t next_minor;

void fs_register(struct fs_type *t)
{
	GUARD_SPIN(&type_lock);
	list_push_back(&types, &t->link);
}

struct fs_type *fs_find(const char *name)
{
	struct fs_type *t;

	list_for_each(t, &types, link)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}

struct fs_type *fs_at(u32 i)
{
	struct fs_type *t;

	list_for_each(t, &types, link)
		if (!i--)
			return t;
	return NULL;
}

struct superblock *superblock_create(const struct fs_type *t, u32 flags)
{
	struct superblock *sb = kzalloc(sizeof(*sb));

	if (!sb)
		return NULL;
	ref_init(&sb->refs);
	ref_init(&sb->holders);
	sb->type = t;
	sb->dev = dev_make(0, (u32)atomic_add(&next_minor, 1));
	sb->block_size = PAGE_SIZE;
	sb->flags = flags & (MS_RDONLY | MS_SYNCHRONOUS | MS_MANDLOCK | MS_DIRSYNC | MS_LAZYTIME);
	sb->max_bytes = INT64_MAX;
	spin_init(&sb->lock, LR_FS_PRIV);
	return sb;
}

void superblock_put(struct superblock *sb)
{
	if (!ref_put(&sb->refs))
		return;
	if (sb->type && sb->type->unmount)
		sb->type->unmount(sb);
	else
		superblock_kill_tree(sb);
	superblock_let_go(sb);
}

/* A walk under rcu may still look at the flags. */
static void superblock_free_rcu(struct rcu_head *h)
{
	kfree(container_of(h, struct superblock, rcu));
}

void superblock_let_go(struct superblock *sb)
{
	if (ref_put(&sb->holders))
		rcu_defer(&sb->rcu, superblock_free_rcu);
}

static u64 statfs_flags(const struct path *p, const struct superblock *sb)
{
	u32 m = p && p->mnt ? p->mnt->flags : 0;
	u64 out = 0x20 | (sb->flags & (MS_RDONLY | MS_SYNCHRONOUS | MS_MANDLOCK));

	out |= m & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	if (m & MS_NOATIME)
		out |= 0x400;
	if (m & MS_NODIRATIME)
		out |= 0x800;
	if (m & MS_RELATIME)
		out |= 0x1000;
	if (m & MS_NOSYMFOLLOW)
		out |= 0x2000;
	return out;
}

static int statfs_of(struct superblock *sb, const struct path *p, struct kstatfs *st)
{
	int err = 0;

	*st = (struct kstatfs){ .type = sb->magic, .bsize = sb->block_size, .namelen = NAME_MAX };
	if (sb->type && sb->type->statfs)
		err = sb->type->statfs(sb, st);
	if (!st->frsize)
		st->frsize = st->bsize;
	st->fsid = sb->dev;
	st->flags = statfs_flags(p, sb);
	return err;
}

int vfs_statfs(const struct path *p, struct kstatfs *st)
{
	return statfs_of(p->dentry->vnode->sb, p, st);
}

int vfs_statfs_file(struct file *f, struct kstatfs *st)
{
	return statfs_of(f->vnode->sb, &f->path, st);
}
