/*
 * Names of unix sockets: unix(7).  Pathnames live in the file system: the
 * socket's vnode points to the bound socket (vnode.sock, state_lock).  Abstract
 * names are in one table under table_lock.
 */
#include <base/fmt.h>
#include <base/string.h>
#include <dev/random.h>
#include <mem/slab.h>
#include "unix_priv.h"

#define S_IFSOCK 0140000u
#define S_IFMT	 0170000u
#define AUTOBIND_TRIES 0x100000u

static mutex_t bind_lock;			/* one bind at a time: addr is set once */
static spinlock_t table_lock = SPINLOCK_INIT(LR_FS_PRIV);
static struct list abstract = LIST_INIT(abstract);	/* table_lock */

void unix_addr_put(struct unix_addr *a)
{
	if (a && ref_put(&a->refs))
		kfree(a);
}

void unix_addr_copy(const struct unix_addr *a, struct sockaddr_k *sa, u32 *len)
{
	sa->family = AF_UNIX;
	*len = 2;
	if (!a)
		return;
	memcpy(sa->data, a->path, a->len - 2);
	*len = a->len;
}

int unix_check_addr(const struct sockaddr_k *sa, u32 len)
{
	return len < 2 || len > 2 + UNIX_PATH_MAX || sa->family != AF_UNIX ? -EINVAL : 0;
}

static struct unix_addr *addr_make(const char *path, u32 n)
{
	struct unix_addr *a = kzalloc(sizeof(*a));

	if (!a)
		return NULL;
	ref_init(&a->refs);
	memcpy(a->path, path, n);
	a->len = 2 + n;
	return a;
}

static struct usock *abstract_find(const struct unix_addr *a, u32 type) MUST_HOLD(&table_lock)
{
	struct usock *u;

	list_for_each(u, &abstract, abstract_link)
		if (u->addr->len == a->len && !memcmp(u->addr->path, a->path, a->len - 2) && (!type || u->base.type == type))
			return u;
	return NULL;
}

/* Takes over a. */
static int abstract_bind(struct usock *u, struct unix_addr *a)
{
	GUARD_SPIN(&table_lock);
	if (abstract_find(a, u->base.type)) {
		unix_addr_put(a);
		return -EADDRINUSE;
	}
	WRITE_ONCE(u->addr, a);
	list_push_back(&abstract, &u->abstract_link);
	return 0;
}

static int autobind_locked(struct usock *u) MUST_HOLD(&bind_lock)
{
	char path[7] = { 0 };
	u32 n = (u32)random_u64();

	for (u32 i = 0; i < AUTOBIND_TRIES; i++, n++) {
		fmt_snprintf(path + 1, 6, "%05x", n & 0xfffff);
		struct unix_addr *a = addr_make(path, 6);

		if (!a)
			return -ENOMEM;
		if (!abstract_bind(u, a))
			return 0;
	}
	return -ENOSPC;
}

int unix_autobind(struct usock *u)
{
	if (READ_ONCE(u->addr))
		return 0;
	GUARD_MUTEX(&bind_lock);
	return u->addr ? 0 : autobind_locked(u);
}

/* The node just made becomes u's.  Somebody may have put another file in its place already. */
static int node_bind(struct usock *u, struct vnode *vn)
{
	GUARD_SPIN(&vn->state_lock);
	if ((vn->mode & S_IFMT) != S_IFSOCK || vn->sock)
		return -EADDRINUSE;
	vn->sock = u;
	return 0;
}

static int path_bind(struct usock *u, struct unix_addr *a)
{
	struct vfs_caller *c = vfs_self();
	struct path p;
	int err = vfs_mknod(c, AT_FDCWD, a->path, S_IFSOCK | (0777 & ~c->fs->umask), 0);

	if (err)
		return err == -EEXIST ? -EADDRINUSE : err;
	err = vfs_walk(c, AT_FDCWD, a->path, 0, &p);
	if (err)
		return err;
	struct vnode *vn = vnode_get(p.dentry->vnode);

	path_put(&p);
	err = node_bind(u, vn);
	if (err) {
		vnode_put(vn);
		return err;
	}
	u->bound = vn;
	a->len = 2 + (u32)strlen(a->path) + 1;
	WRITE_ONCE(u->addr, a);
	return 0;
}

int unix_bind(struct socket *s, const struct sockaddr_k *sa, u32 len)
{
	struct usock *u = unix_of(s);
	int err = unix_check_addr(sa, len);

	if (err)
		return err;
	GUARD_MUTEX(&bind_lock);
	if (u->addr)
		return len == 2 ? 0 : -EINVAL;
	if (len == 2)
		return autobind_locked(u);
	struct unix_addr *a = addr_make(sa->data, len - 2);

	if (!a)
		return -ENOMEM;
	if (!sa->data[0])
		return abstract_bind(u, a);
	err = path_bind(u, a);
	if (err)
		unix_addr_put(a);
	return err;
}

void unix_unbind(struct usock *u)
{
	if (u->bound) {
		spin_lock(&u->bound->state_lock);
		if (u->bound->sock == u)
			u->bound->sock = NULL;
		spin_unlock(&u->bound->state_lock);
		vnode_put(u->bound);
		u->bound = NULL;
	}
	GUARD_SPIN(&table_lock);
	list_remove(&u->abstract_link);
}

static int find_path(const struct sockaddr_k *sa, u32 len, struct usock **out)
{
	struct vfs_caller *c = vfs_self();
	char name[UNIX_PATH_MAX + 1] = { 0 };
	struct path p;
	int err;

	memcpy(name, sa->data, len - 2);
	err = vfs_walk(c, AT_FDCWD, name, WALK_FOLLOW, &p);
	if (err)
		return err;
	struct vnode *vn = p.dentry->vnode;

	err = vfs_permission(c->cred, &p, 2);
	if (!err) {
		spin_lock(&vn->state_lock);
		struct usock *u = (vn->mode & S_IFMT) == S_IFSOCK ? vn->sock : NULL;

		if (u && ref_try_get(&u->refs))
			*out = u;
		else
			err = -ECONNREFUSED;
		spin_unlock(&vn->state_lock);
	}
	path_put(&p);
	return err;
}

static int find_abstract(const struct sockaddr_k *sa, u32 len, u32 type, struct usock **out)
{
	struct unix_addr a = { .len = len };

	memcpy(a.path, sa->data, len - 2);
	GUARD_SPIN(&table_lock);
	struct usock *u = abstract_find(&a, type);

	if (!u || !ref_try_get(&u->refs))
		return -ECONNREFUSED;
	*out = u;
	return 0;
}

int unix_find(const struct sockaddr_k *sa, u32 len, u32 type, struct usock **out)
{
	struct usock *u = NULL;
	int err = unix_check_addr(sa, len);

	if (err)
		return err;
	if (len == 2)
		return -EINVAL;
	err = sa->data[0] ? find_path(sa, len, &u) : find_abstract(sa, len, type, &u);
	if (err)
		return err;
	if (u->base.type != type) {
		usock_put(u);
		return -EPROTOTYPE;
	}
	*out = u;
	return 0;
}

int unix_name(struct socket *s, bool peer, struct sockaddr_k *sa, u32 *len)
{
	struct usock *u = unix_of(s);

	if (!peer) {
		unix_addr_copy(READ_ONCE(u->addr), sa, len);
		return 0;
	}
	AUTO(usock) p = unix_peer_get(u);

	if (!p)
		return -ENOTCONN;
	unix_addr_copy(READ_ONCE(p->addr), sa, len);
	return 0;
}

void unix_addr_init(void)
{
	mutex_init(&bind_lock, LR_MOUNT_NS);	/* outermost: mknod under it takes every lock of the file system */
}
