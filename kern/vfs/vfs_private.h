/*
 * What the files of kern/vfs share.
 *
 * Lock order inside the module: MOUNT_NS mutex, RENAME mutex, FILE_POS,
 * vnode locks (parent before child), dcache_lock, VNODE_STATE, FILE.
 * walk_seq is odd while names or mounts move (writers hold dcache_lock); a
 * walk without references is right only if it is even and unchanged at the end.
 */
#pragma once

#include <base/list.h>
#include <base/string.h>
#include <core/lock.h>
#include <core/rcu.h>
#include <core/uio.h>
#include <mem/slab.h>
#include <sched/mutex.h>
#include <vfs/vfs.h>

extern spinlock_t dcache_lock;		/* rank DENTRY_HASH: hash chains, tree links, names, mount links */
extern u32 walk_seq;

static inline u32 walk_seq_read(void) { return load_acquire(&walk_seq); }
static inline bool walk_seq_changed(u32 seen)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return (seen & 1) || READ_ONCE(walk_seq) != seen;
}
static inline void walk_seq_write_begin(void)
{
	WRITE_ONCE(walk_seq, walk_seq + 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline void walk_seq_write_end(void) { store_release(&walk_seq, walk_seq + 1); }

/* Hash of a name, one byte at a time; NAME_HASH_END mixes the directory in. */
/* A name is hashed eight bytes at a time; the last word, of 0 to 7 bytes, has zeros past the name's end. */
#define NAME_HASH_INIT 0ull
static inline u64 name_hash_word(u64 h, u64 word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}
static inline u32 name_hash_end(u64 h, const struct dentry *parent)
{
	return ((u32)h ^ (u32)((u64)parent >> 6) ^ (u32)((u64)parent >> 22)) * 0x9e3779b1u;
}
u32 name_hash(const struct dentry *parent, const char *name, u32 len);

/* dentry.c */
void dentry_init(void);
struct dentry *dentry_find_rcu(const struct dentry *parent, const char *name, u32 len, u32 hash);
struct dentry *dentry_find(struct dentry *parent, const char *name, u32 len, u32 hash);	/* with a reference, or NULL */
/* Hashes d unless the name is there: then returns the other one with a reference. */
struct dentry *dentry_hash_unique(struct dentry *d);
struct dentry *dentry_parent_get(struct dentry *d);
bool dentry_is_below(const struct dentry *d, const struct dentry *top);	/* equal counts; RENAME or dcache_lock held */
MUST_USE struct dentry *dentry_create_anon(struct vnode *vn, const char *name);	/* takes over vn */
/* o becomes the child n->name of n->parent.  Prepared memory makes the commit unable to fail. */
struct dentry_move { char *name; };
MUST_USE int dentry_move_prepare(struct dentry_move *mv, const struct dentry *n);
void dentry_move_abort(struct dentry_move *mv);
void dentry_move_commit(struct dentry_move *mv, struct dentry *o, struct dentry *n);
void dentry_exchange(struct dentry *a, struct dentry *b);
static inline bool dentry_unhashed(const struct dentry *d) { return READ_ONCE(d->flags) & DN_UNHASHED; }
static inline bool dentry_is_root(const struct dentry *d) { return d->parent == d; }

void superblock_let_go(struct superblock *sb);		/* a vnode's hold on the struct */

/* mount.c */
extern mutex_t mount_ns_lock;
extern struct list mount_list;		/* MOUNT_NS and dcache_lock to change, either to read: attached mounts in order */
extern struct path ns_root;
extern struct mount *anon_mount;	/* of files without a place */
extern struct superblock *anon_sb;
void mount_init(void);
struct mount *mount_find_rcu(struct mount *m, struct dentry *d);
struct mount *mount_find(struct mount *m, struct dentry *d);			/* new reference */
bool mount_parent(struct mount *m, struct path *out);				/* references; false: none */
MUST_USE int mount_room(void);							/* for one mount more: 0, -ENOSPC.  MOUNT_NS held */
MUST_USE struct mount *mount_create(struct superblock *sb, struct dentry *root, u32 flags, const char *source);
void mount_attach(struct mount *m, const struct path *at);			/* MOUNT_NS held */
void mount_detach(struct mount *m);						/* MOUNT_NS held; drops the tree's reference */
void mount_unplace(struct mount *m, struct path *at);				/* MOUNT_NS held */
void mount_detach_tree(struct mount *m);
struct mount *mount_tree_next(struct mount *m, struct mount *top);		/* pre-order */
void path_follow_mounts(struct path *p);
bool mount_is_readonly(const struct mount *m);
bool dentry_is_mountpoint(const struct dentry *d);

/* walk.c */
enum walk_last { LAST_NORMAL, LAST_DOT, LAST_DOTDOT, LAST_ROOT };
struct walk_frame { const char *rest; u64 hold; };
struct walk {
	struct vfs_caller *caller;
	const struct cred *cred;
	u32 flags;
	bool rcu;			/* positions are borrowed under rcu, not referenced */
	bool parent_only, need_dir, rooted, absolute;
	u8 last_type;
	u32 seq, links, depth;
	struct mount *mnt, *root_mnt;
	struct dentry *d, *root_d;
	const char *p;			/* what is left of the current text */
	u64 hold;			/* keeps the current text: vnode, or buffer | 1 */
	const char *last;
	u32 last_len, last_hash;	/* hash: of a LAST_NORMAL name, below d */
	struct walk_frame frames[SYMLINK_MAX_FOLLOW];
};
/* A walk to the parent with references, that may go on through a symlink in the last place. */
MUST_USE int walk_to_parent(struct walk *w, struct vfs_caller *c, int dfd, const char *name, u32 flags);
MUST_USE int walk_lookup_last(struct walk *w, struct dentry **out);	/* may be negative */
/* Consumes the child (a symlink).  0: stands at the next parent, or (last_type LAST_ROOT) at the place itself. */
MUST_USE int walk_follow_last(struct walk *w, struct dentry *link);
void walk_end(struct walk *w);
void walk_set_position(struct walk *w, struct mount *m, struct dentry *d);	/* ref mode: takes the references over */
void walk_set_position_copy(struct walk *w, struct mount *m, struct dentry *d);	/* ref mode: takes its own */
void walk_set_root(struct walk *w);						/* w->root_*, if not there yet */
void walk_hold_drop(const struct walk *w, u64 hold);
/* vn is a symlink in the current directory: its text becomes the current one, or (magic links) the place is changed. */
MUST_USE int walk_follow_link(struct walk *w, struct vnode *vn, bool final);
MUST_USE int dentry_lookup(struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry **out);	/* dir's lock not held */
MUST_USE int dentry_lookup_locked(struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry **out);	/* for change */

/* Shared checks. */
const struct cred *caller_cred(const struct vfs_caller *c);
MUST_USE int may_create(const struct cred *cr, struct dentry *dir);
MUST_USE int may_delete(const struct cred *cr, struct dentry *dir, struct dentry *victim, bool isdir);
bool caller_owns(const struct cred *cr, const struct vnode *vn);	/* owner or CAP_FOWNER */
u32 caller_umask(const struct vfs_caller *c);
void vnode_drop_image(struct vnode *vn);	/* content is about to change: exec image goes */
MUST_USE int vnode_setattr(struct vnode *vn, const struct vnode_attr *a);	/* takes vn->lock */
MUST_USE int vnode_setattr_locked(struct vnode *vn, const struct vnode_attr *a);
void vnode_access(struct mount *m, struct vnode *vn);	/* atime by the mount's rules */
u32 vnode_suid_kill(const struct cred *cr, u32 mode);	/* mode after a write by cr */
void vnode_locks_free(struct vnode *vn);
void vnode_xattrs_free(struct vnode *vn);
void file_locks_release(struct file *f);		/* last reference: flock and OFD locks */
MUST_USE int vfs_create_at(struct vfs_caller *c, struct walk *w, u32 mode, struct dentry **out);
MUST_USE struct file *file_alloc(void);
void file_init(void);
void fdtable_init(void);
void fs_view_init(void);
void tmpfs_init(void);
void memfd_init(void);
void hugetlb_init(void);
extern const struct vnode_ops hugetlb_file_ops;
MUST_USE int hugetlb_vnode(u32 shift, u32 mode, struct vnode **out);	/* pages of 2^shift bytes.  -ENODEV: no such; -ENOMEM */
void vnode_init(void);

static inline struct timespec64 time_from_ns(u64 ns)
{
	return (struct timespec64){ (i64)(ns / 1000000000ull), (u32)(ns % 1000000000ull) };
}
static inline int time_cmp(const struct timespec64 *a, const struct timespec64 *b)
{
	if (a->sec != b->sec)
		return a->sec < b->sec ? -1 : 1;
	return a->nsec < b->nsec ? -1 : a->nsec > b->nsec;
}

/* ramfs.c */
extern const struct vm_object_ops ramfs_object_ops;
MUST_USE int ramfs_charge_inode(struct superblock *sb);
/* The file's bytes are the size bytes at physical address phys, page-aligned, owned by the caller so far.  Whole pages are
 * taken over as they are; the tail is copied unless zeros follow it up to limit.  New file, nothing in it.  -ENOMEM. */
MUST_USE int ramfs_file_set_image(struct vnode *vn, u64 phys, u64 size, u64 limit);
u64 ramfs_image_bytes(const struct vnode *vn);	/* of whole frames that were taken over */
MUST_USE int vfs_link_path(struct vfs_caller *c, struct path *old, int ndfd, const char *n);

/* Tells inotify, but only when somebody may listen. */
static inline void notify(struct vnode *vn, struct dentry *d, u32 mask, u32 cookie, const char *name)
{
	if (!vfs_notify_hook)
		return;
	if (vn->watches || (!name && d && d->parent->vnode && d->parent->vnode->watches))
		vfs_notify_hook(vn, d, mask | (!name && S_ISDIR(vn->mode) ? IN_ISDIR : 0), cookie, name);
}
