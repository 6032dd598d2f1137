/* Start-up of the module, in order of need. */
#include "vfs_private.h"

void vfs_init(void)
{
	vnode_init();
	dentry_init();
	mount_init();
	file_init();
	fdtable_init();
	fs_view_init();
	tmpfs_init();
	memfd_init();
	hugetlb_init();
}
