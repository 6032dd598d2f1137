/* memfd_create(2): tmpfs files without a place.  They live on a tmpfs of their own that is never mounted by name. */
#include "vfs_private.h"

static struct superblock *memfd_sb;	/* const after boot */

#define NAME_LIMIT 249u			/* NAME_MAX less "memfd:" */

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

int memfd_create_file(const char *name, u32 flags, struct file **out)
{
	struct vfs_caller *c = vfs_self();
	struct path p = { 0 };
	struct vnode *vn;
	int err;

	if (strlen(name) > NAME_LIMIT || (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING)))
		return -EINVAL;
	err = ramfs_vnode(memfd_sb, NULL, S_IFREG | 0777, 0, &vn);
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
