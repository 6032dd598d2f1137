/* mount, umount, pivot_root, swap. */
#include "abi.h"

#define MS_MGC_VAL  0xc0ed0000ull
#define MS_MGC_MASK 0xffff0000ull

/* Mount data: up to a page; what cannot be read past the first byte counts as zeros. */
static int mount_data(uptr_t p, char **out)
{
	char *buf;
	u64 left;

	if (uptr_is_null(p))
		return 0;
	buf = kzalloc(PAGE_SIZE);
	if (!buf)
		return -ENOMEM;
	left = user_copy_in(buf, p, PAGE_SIZE - 1);
	if (left == PAGE_SIZE - 1) {
		kfree(buf);
		return -EFAULT;
	}
	memset(buf + (PAGE_SIZE - 1 - left), 0, left + 1);
	*out = buf;
	return 0;
}

static int optional_text(uptr_t p, char **out)
{
	return uptr_is_null(p) ? 0 : user_strdup(p, PAGE_SIZE, -EINVAL, out);
}

i64 sys_mount(struct task *self, uptr_t source, uptr_t target, uptr_t type, u64 flags, uptr_t data)
{
	AUTO(kptr) t = NULL;
	AUTO(kptr) s = NULL;
	AUTO(kptr) d = NULL;
	AUTO(pathbuf) at = NULL;
	int err = optional_text(type, (char **)&t);

	if (!err)
		err = optional_text(source, (char **)&s);
	if (!err)
		err = mount_data(data, (char **)&d);
	if (!err)
		err = pathbuf_from_user(target, &at);
	if (err)
		return err;
	if (!is_cap(self, CAP_SYS_ADMIN))
		return -EPERM;
	if ((flags & MS_MGC_MASK) == MS_MGC_VAL)
		flags &= ~MS_MGC_MASK;
	return vfs_mount(&self->vfs, s, at->text, t, flags, d);
}

i64 sys_umount2(struct task *self, uptr_t target, int flags)
{
	AUTO(pathbuf) at = NULL;
	int err;

	if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -EINVAL;
	err = pathbuf_from_user(target, &at);
	if (err)
		return err;
	if (!is_cap(self, CAP_SYS_ADMIN))
		return -EPERM;
	return vfs_umount(&self->vfs, at->text, flags);
}

i64 sys_pivot_root(struct task *self, uptr_t new_root, uptr_t put_old)
{
	AUTO(pathbuf) n = NULL;
	AUTO(pathbuf) o = NULL;
	int err;

	if (!is_cap(self, CAP_SYS_ADMIN))
		return -EPERM;
	err = pathbuf_from_user(new_root, &n);
	if (!err)
		err = pathbuf_from_user(put_old, &o);
	return err ? err : vfs_pivot_root(&self->vfs, n->text, o->text);
}

/* There is no swap space: every file is one that cannot be used. */
i64 sys_swapon(struct task *self, uptr_t path, int flags)
{
	AUTO_PATH p = { 0 };
	int err;

	if (!is_cap(self, CAP_SYS_ADMIN))
		return -EPERM;
	err = user_walk(self, AT_FDCWD, path, WALK_FOLLOW, &p);
	return err ? err : -EINVAL;
}

i64 sys_swapoff(struct task *self, uptr_t path)
{
	return sys_swapon(self, path, 0);
}
