/*
 * Extended attributes in memory: trusted.* and security.*, as tmpfs has them
 * (user.* and ACLs are refused there with EOPNOTSUPP).  List under vn->lock.
 */
#include "vfs_private.h"

#define XATTR_NAME_MAX 255u
#define XATTR_SIZE_MAX 65536u
#define XATTR_LIST_MAX 65536u
#define XATTR_CREATE  1
#define XATTR_REPLACE 2

struct xattr {
	struct xattr *next;
	usize size;
	char *value;
	char name[];
};

static int check_name(const char *name)
{
	usize n = strlen(name);

	if (!n || n > XATTR_NAME_MAX)
		return -ERANGE;
	if (str_has_prefix(name, "trusted."))
		return name[8] ? 0 : -EINVAL;
	if (str_has_prefix(name, "security."))
		return name[9] ? 0 : -EINVAL;
	return -EOPNOTSUPP;
}

static bool is_trusted(const char *name)
{
	return str_has_prefix(name, "trusted.");
}

static int may_write(const struct cred *cr, const struct vnode *vn, const char *name)
{
	if (vn->sb->flags & MS_RDONLY)
		return -EROFS;
	if (!strcmp(name, "security.capability"))
		return cred_can(cr, CAP_SETFCAP) ? 0 : -EPERM;
	return cred_can(cr, CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static struct xattr **find(struct vnode *vn, const char *name)
{
	struct xattr **p = (struct xattr **)&vn->xattrs;

	while (*p && strcmp((*p)->name, name))
		p = &(*p)->next;
	return p;
}

static void xattr_free(struct xattr *x)
{
	kfree(x->value);
	kfree(x);
}

void vnode_xattrs_free(struct vnode *vn)
{
	struct xattr *x = MOVE(vn->xattrs), *next;

	for (; x; x = next) {
		next = x->next;
		xattr_free(x);
	}
}

i64 vfs_getxattr(struct vfs_caller *c, struct vnode *vn, const char *name, void *buf, usize size)
{
	struct xattr *x;
	int err = check_name(name);

	if (err)
		return err;
	if (is_trusted(name) && !cred_can(caller_cred(c), CAP_SYS_ADMIN))
		return -ENODATA;
	GUARD_SHARED(&vn->lock);
	x = *find(vn, name);
	if (!x)
		return -ENODATA;
	if (!size)
		return (i64)x->size;
	if (x->size > size)
		return -ERANGE;
	memcpy(buf, x->value, x->size);
	return (i64)x->size;
}

static struct xattr *xattr_new(const char *name, const void *val, usize size)
{
	usize n = strlen(name) + 1;
	struct xattr *x = kmalloc(sizeof(*x) + n);

	if (!x)
		return NULL;
	x->next = NULL;
	x->size = size;
	x->value = kmalloc(size ? size : 1);
	if (!x->value) {
		kfree(x);
		return NULL;
	}
	if (size)
		memcpy(x->value, val, size);
	memcpy(x->name, name, n);
	return x;
}

/* vn exclusive.  *x becomes what is to be freed. */
static int replace(struct vnode *vn, struct xattr **x, int flags)
{
	struct xattr **at = find(vn, (*x)->name), *old = *at;

	if (old && (flags & XATTR_CREATE))
		return -EEXIST;
	if (!old && (flags & XATTR_REPLACE))
		return -ENODATA;
	(*x)->next = old ? old->next : NULL;
	*at = *x;
	*x = old;
	vnode_touch(vn, ATTR_CTIME);
	return 0;
}

int vfs_setxattr(struct vfs_caller *c, struct vnode *vn, const char *name, const void *val, usize size, int flags)
{
	struct xattr *x;
	int err;

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	err = check_name(name);
	if (!err)
		err = may_write(caller_cred(c), vn, name);
	if (err)
		return err;
	x = xattr_new(name, val, size);
	if (!x)
		return -ENOMEM;
	rwlock_write(&vn->lock);
	err = replace(vn, &x, flags);
	rwlock_write_end(&vn->lock);
	if (x)
		xattr_free(x);
	if (!err)
		notify(vn, NULL, IN_ATTRIB, 0, NULL);
	return err;
}

i64 vfs_listxattr(struct vfs_caller *c, struct vnode *vn, char *buf, usize size)
{
	bool all = cred_can(caller_cred(c), CAP_SYS_ADMIN);
	usize used = 0;

	GUARD_SHARED(&vn->lock);
	for (struct xattr *x = vn->xattrs; x; x = x->next) {
		usize n = strlen(x->name) + 1;

		if (is_trusted(x->name) && !all)
			continue;
		if (size) {
			if (used + n > size)
				return -ERANGE;
			memcpy(buf + used, x->name, n);
		}
		used += n;
	}
	return used > XATTR_LIST_MAX ? -E2BIG : (i64)used;
}

int vfs_removexattr(struct vfs_caller *c, struct vnode *vn, const char *name)
{
	struct xattr **at, *x;
	int err = check_name(name);

	if (!err)
		err = may_write(caller_cred(c), vn, name);
	if (err)
		return err;
	rwlock_write(&vn->lock);
	at = find(vn, name);
	x = *at;
	if (x) {
		*at = x->next;
		vnode_touch(vn, ATTR_CTIME);
	}
	rwlock_write_end(&vn->lock);
	if (!x)
		return -ENODATA;
	xattr_free(x);
	notify(vn, NULL, IN_ATTRIB, 0, NULL);
	return 0;
}
