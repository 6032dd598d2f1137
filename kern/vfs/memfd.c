/*
 * memfd_create(2): tmpfs files without a place, on a tmpfs of their own that is never mounted by name; and files of huge
 * pages (hugetlb.c).
 */
#include "vfs_private.h"

static struct superblock *memfd_sb;	/* const after boot */

#define NAME_LIMIT 249u			/* NAME_MAX less "memfd:" */
#define PLAIN_FLAGS (MFD_CLOEXEC | MFD_ALLOW_SEALING)

static int memfd_dentry(const char *name, struct vnode *vn, struct dentry **out)
{
	char *text = kmalloc(NAME_MAX + 32);
	usize n;

	if (!text) {
		vnode_put(vn);
		return -ENOMEM;
	}
	n = str_copy(text, "/memfd:", NAME_MAX + 32);
	n += str_copy(text + n, name, NAME_MAX + 32 - n);
	(void)str_copy(text + n, " (deleted)", NAME_MAX + 32 - n);
	*out = dentry_create_anon(vn, text);
	kfree(text);
	return *out ? 0 : -ENOMEM;
}

static int memfd_vnode(u32 flags, struct vnode **out)
{
	u32 shift = flags >> MFD_HUGE_SHIFT;

	if (flags & MFD_HUGETLB)
		return hugetlb_vnode(shift ? shift : HUGE_SHIFT, S_IFREG | 0777, out);
	return ramfs_vnode(memfd_sb, NULL, S_IFREG | 0777, 0, out);
}

bool memfd_flags_valid(u32 flags)
{
	return !(flags & ~(flags & MFD_HUGETLB ? PLAIN_FLAGS | MFD_HUGETLB | MFD_HUGE_MASK << MFD_HUGE_SHIFT : PLAIN_FLAGS));
}

int memfd_create_file(const char *name, u32 flags, struct file **out)
{
	struct vfs_caller *c = vfs_self();
	struct path p = { 0 };
	struct vnode *vn;
	int err;

	if (strlen(name) > NAME_LIMIT || !memfd_flags_valid(flags))
		return -EINVAL;
	err = memfd_vnode(flags, &vn);
	if (err)
		return err;
	vn->uid = caller_cred(c)->fsuid;
	vn->gid = caller_cred(c)->fsgid;
	vn->nlink = 0;
	vn->seals = flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL;
	err = memfd_dentry(name, vn, &p.dentry);
	if (err)
		return err;
	p.mnt = mount_get(anon_mount);
	err = vfs_open_path(c, &p, O_RDWR, out);
	path_put(&p);
	return err;
}

void memfd_init(void)
{
	int err = ramfs_mount_simple(fs_find("tmpfs"), 0, 0700, 0x01021994, &memfd_sb);

	VERIFY(!err);
}
