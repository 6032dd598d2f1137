/* Any bytes as names for every call that takes one: errors, never a panic; afterwards everything can be removed.
 * host-sources: @vfs @vm
 */
#include "../../kern/vfs/vfs_testlib.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
void mem_free_boot_range(u64 start, u64 end) {}

/* One operation: a code and two names, NUL-terminated. */
static const u8 *one(const u8 *p, const u8 *end)
{
	static char name[2][PATH_MAX];
	struct kstat st;
	u8 op = *p++;

	for (u32 i = 0; i < 2; i++) {
		u32 n = 0;

		while (p < end && *p && n < PATH_MAX - 1)
			name[i][n++] = (char)*p++;
		name[i][n] = 0;
		p += p < end;
	}
	switch (op % 14) {
	case 0: (void)t_mkdir(name[0]); break;
	case 1: (void)t_touch(name[0]); break;
	case 2: (void)t_symlink(name[0], name[1]); break;
	case 3: (void)t_link(name[0], name[1]); break;
	case 4: (void)t_unlink(name[0]); break;
	case 5: (void)t_rmdir(name[0]); break;
	case 6: (void)t_rename(name[0], name[1], 0); break;
	case 7: (void)t_rename(name[0], name[1], RENAME_EXCHANGE); break;
	case 8: (void)t_stat(name[0], &st); (void)t_lstat(name[1], &st); break;
	case 9: (void)t_chdir(name[0]); break;
	case 10: DISCARD(vfs_mount(&tc, name[0], name[1], "tmpfs", 0, NULL)); break;
	case 11: DISCARD(vfs_mount(&tc, name[0], name[1], NULL, MS_BIND | MS_REC, NULL)); break;
	case 12: DISCARD(vfs_umount(&tc, name[0], op & 64 ? MNT_DETACH : 0)); break;
	case 13: {
		struct path p0;

		if (!vfs_walk(&tc, AT_FDCWD, name[0], op & 64 ? WALK_BENEATH : WALK_FOLLOW, &p0)) {
			static char text[PATH_MAX];

			DISCARD(vfs_path_text(&tc, &p0, text, sizeof(text)));
			path_put(&p0);
		}
		break;
	}
	}
	return p;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static bool started;
	static struct fs_view *outer;
	const u8 *end = data + size;
	struct path p;

	if (!started) {
		vfs_start();
		sysctl_mount_max = 500;		/* recursive binds double: the limit is met, not the patience */
		outer = tc.fs;
		started = true;
	}
	VERIFY(!t_mkdir("/x"));
	VERIFY(!vfs_mount(&tc, "x", "/x", "tmpfs", 0, "nr_inodes=500"));
	VERIFY(!vfs_walk(&tc, AT_FDCWD, "/x", 0, &p));
	tc.fs = fs_view_dup(outer);
	VERIFY(!vfs_chroot(&tc, &p) && !vfs_chdir(&tc, &p));
	path_put(&p);
	for (u32 n = 0; data < end && n < 60; n++)
		data = one(data, end);
	fs_view_put(tc.fs);
	tc.fs = outer;
	while (!vfs_umount(&tc, "/x", MNT_DETACH))
		;			/* the input may have mounted more, or taken its root away */
	VERIFY(!t_rmdir("/x"));
	rcu_barrier();
	return 0;
}
