/*
 * Symlinks on a walk: who may follow, where the text comes from, and how it
 * becomes the current text.  w->hold keeps that text alive: nothing under rcu,
 * the link's vnode, or a buffer that was read (marked by its lowest bit).
 */
#include "vfs_private.h"

#define HOLD_BUFFER 1ull

u32 sysctl_protected_symlinks = 1;

void walk_hold_drop(const struct walk *w, u64 hold)
{
	if (w->rcu || !hold)
		return;
	if (hold & HOLD_BUFFER)
		kfree((void *)(hold & ~HOLD_BUFFER));
	else
		vnode_put((struct vnode *)hold);
}

static int may_follow(struct walk *w, struct vnode *link, bool final)
{
	struct vnode *dir = w->d->vnode;

	if ((w->flags & WALK_NO_SYMLINKS) || (w->mnt->flags & MS_NOSYMFOLLOW))
		return -ELOOP;
	if (w->links >= SYMLINK_MAX_FOLLOW)
		return -ELOOP;
	w->links++;
	if (!final || !sysctl_protected_symlinks || w->cred->fsuid == link->uid)
		return 0;
	if ((dir->mode & (S_ISVTX | 0002)) != (S_ISVTX | 0002) || dir->uid == link->uid)
		return 0;
	return -EACCES;
}

static int jump_magic(struct walk *w, struct vnode *vn)
{
	struct path p = { 0 };
	int err;

	if (w->flags & WALK_NO_MAGIC)
		return -ELOOP;
	if (w->flags & (WALK_BENEATH | WALK_IN_ROOT))
		return -EXDEV;
	err = vn->ops->follow(vn, &p);
	if (err)
		return err;
	if (p.mnt != w->mnt && (w->flags & WALK_NO_XDEV)) {
		path_put(&p);
		return -EXDEV;
	}
	walk_set_position(w, p.mnt, p.dentry);
	return 0;
}

/* The text of a link, kept alive by *hold. */
static int link_text(struct walk *w, struct vnode *vn, const char **text, u64 *hold)
{
	char *buf;
	i64 n;

	if (vn->link_text) {
		*text = vn->link_text;
		*hold = w->rcu ? 0 : (u64)vnode_get(vn);
		return 0;
	}
	if (w->rcu)
		return -ECHILD;
	if (!vn->ops->readlink)
		return -EINVAL;
	buf = kmalloc(PATH_MAX);
	if (!buf)
		return -ENOMEM;
	n = vn->ops->readlink(vn, buf, PATH_MAX - 1);
	if (n < 0) {
		kfree(buf);
		return (int)n;
	}
	buf[n] = 0;
	*text = buf;
	*hold = (u64)buf | HOLD_BUFFER;
	return 0;
}

static void push_text(struct walk *w, const char *text, u64 hold)
{
	if (*w->p) {
		w->frames[w->depth++] = (struct walk_frame){ w->p, w->hold };
	} else {
		walk_hold_drop(w, w->hold);
	}
	w->hold = hold;
	w->p = text;
}

int walk_follow_link(struct walk *w, struct vnode *vn, bool final)
{
	const char *text = NULL;
	u64 hold = 0;
	int err = may_follow(w, vn, final);

	if (err)
		return err;
	if (vn->ops->follow)
		return w->rcu ? -ECHILD : jump_magic(w, vn);
	err = link_text(w, vn, &text, &hold);
	if (err)
		return err;
	vnode_access(w->mnt, vn);
	if (!*text) {
		walk_hold_drop(w, hold);
		return -ENOENT;
	}
	push_text(w, text, hold);
	if (*text != '/')
		return 0;
	if (w->flags & WALK_BENEATH)
		return -EXDEV;
	walk_set_root(w);
	if ((w->flags & WALK_NO_XDEV) && w->root_mnt != w->mnt)
		return -EXDEV;
	walk_set_position_copy(w, w->root_mnt, w->root_d);
	return 0;
}
