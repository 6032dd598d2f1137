/* Mounts; every allocation failing in turn; trees that die.
 * host-sources: @vfs @vm
 */
#include "vfs_testlib.h"

void mem_free_boot_range(u64 start, u64 end) {}

/* Mounts. */
static int t_mount(const char *at, const char *opts, u64 flags) { return vfs_mount(&tc, "src", at, "tmpfs", flags, opts); }

TEST(mounts, cover_stack_and_uncover)
{
	struct kstat a, b;

	vfs_start();
	CHECK_EQ(t_mkdir("/m"), 0);
	CHECK_EQ(t_touch("/m/under"), 0);
	CHECK_EQ(t_mount("/m", NULL, 0), 0);
	CHECK_EQ(t_exists("/m/under"), -ENOENT);
	CHECK_EQ(t_touch("/m/over"), 0);
	CHECK_EQ(t_stat("/m/..", &a), 0);
	CHECK_EQ(t_stat("/", &b), 0);
	CHECK_EQ(a.ino, b.ino);
	CHECK_EQ(a.dev, b.dev);
	CHECK_EQ(t_rmdir("/m"), -EBUSY);
	CHECK_EQ(t_rename("/m", "/n", 0), -EBUSY);
	CHECK_EQ(t_mount("/m", NULL, 0), 0);
	CHECK_EQ(t_exists("/m/over"), -ENOENT);
	CHECK_EQ(vfs_umount(&tc, "/m", 0), 0);
	CHECK_EQ(t_exists("/m/over"), 0);
	CHECK_EQ(t_rename("/m/over", "/over", 0), -EXDEV);
	int fd = t_open("/m/over", O_RDONLY, 0);
	CHECK_EQ(vfs_umount(&tc, "/m", 0), -EBUSY);
	CHECK_EQ(t_close(fd), 0);
	rcu_barrier();
	CHECK_EQ(vfs_umount(&tc, "/m", 0), 0);
	CHECK_EQ(vfs_umount(&tc, "/m", 0), -EINVAL);
	CHECK_EQ(t_exists("/m/under"), 0);
}

TEST(mounts, lazy_bind_move)
{
	struct kstat st;

	vfs_start();
	CHECK_EQ(t_mkdir("/a"), 0);
	CHECK_EQ(t_mkdir("/a/m"), 0);
	CHECK_EQ(t_mkdir("/b"), 0);
	CHECK_EQ(t_mount("/a/m", NULL, 0), 0);
	CHECK_EQ(t_touch("/a/m/f"), 0);
	CHECK_EQ(vfs_mount(&tc, "/a", "/b", NULL, MS_BIND, NULL), 0);
	CHECK_EQ(t_exists("/b/m/f"), -ENOENT);
	CHECK_EQ(vfs_umount(&tc, "/b", 0), 0);
	CHECK_EQ(vfs_mount(&tc, "/a", "/b", NULL, MS_BIND | MS_REC, NULL), 0);
	CHECK_EQ(t_exists("/b/m/f"), 0);
	CHECK_EQ(vfs_umount(&tc, "/b", 0), -EBUSY);
	CHECK_EQ(vfs_umount(&tc, "/b", MNT_DETACH), 0);
	CHECK_EQ(t_exists("/b/m"), -ENOENT);
	CHECK_EQ(t_mkdir("/c"), 0);
	CHECK_EQ(vfs_mount(&tc, "/a/m", "/c", NULL, MS_MOVE, NULL), 0);
	CHECK_EQ(t_exists("/c/f"), 0);
	CHECK_EQ(t_exists("/a/m/f"), -ENOENT);
	int fd = t_open("/c/f", O_RDWR, 0);
	CHECK_EQ(vfs_umount(&tc, "/c", MNT_DETACH), 0);
	CHECK_EQ(t_pwrite(fd, "x", 1, 0), 1);
	CHECK_EQ(vfs_stat_file(t_file(fd), &st), 0);
	CHECK_EQ(t_close(fd), 0);
	CHECK_EQ(vfs_mount(&tc, "/", "/a", NULL, MS_BIND | MS_REC, NULL), 0);
	CHECK_EQ(t_exists("/a/a/m"), 0);
	CHECK_EQ(vfs_umount(&tc, "/a", 0), 0);
}

TEST(mounts, readonly)
{
	vfs_start();
	CHECK_EQ(t_mkdir("/m"), 0);
	CHECK_EQ(t_mount("/m", NULL, MS_RDONLY), 0);
	CHECK_EQ(t_touch("/m/f"), -EROFS);
	CHECK_EQ(t_mkdir("/m/d"), -EROFS);
	CHECK_EQ(t_mount("/m", NULL, MS_REMOUNT), 0);
	int fd = t_open("/m/f", O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(t_mount("/m", NULL, MS_REMOUNT | MS_RDONLY), -EBUSY);
	CHECK_EQ(t_close(fd), 0);
	CHECK_EQ(t_mount("/m", NULL, MS_REMOUNT | MS_RDONLY), 0);
	CHECK_EQ(t_open("/m/f", O_WRONLY, 0), -EROFS);
	CHECK_EQ(t_unlink("/m/f"), -EROFS);
	CHECK_EQ(vfs_umount(&tc, "/m", 0), 0);
	CHECK_EQ(t_mkdir("/b"), 0);
	t_spit("/m/f", "");
	CHECK_EQ(vfs_mount(&tc, "/m", "/b", NULL, MS_BIND, NULL), 0);
	CHECK_EQ(vfs_mount(&tc, NULL, "/b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	CHECK_EQ(t_open("/b/f", O_WRONLY, 0), -EROFS);
	fd = t_open("/m/f", O_WRONLY, 0);
	CHECK(fd >= 0);
}

TEST(mounts, pivot_root)
{
	vfs_start();
	CHECK_EQ(t_mkdir("/base"), 0);
	CHECK_EQ(t_mount("/base", NULL, 0), 0);
	CHECK_EQ(t_mkdir("/base/new"), 0);
	CHECK_EQ(t_mount("/base/new", NULL, 0), 0);
	CHECK_EQ(t_mkdir("/base/new/old"), 0);
	struct path p;
	CHECK_EQ(vfs_walk(&tc, AT_FDCWD, "/base", 0, &p), 0);
	CHECK_EQ(vfs_chroot(&tc, &p), 0);
	CHECK_EQ(vfs_chdir(&tc, &p), 0);
	path_put(&p);
	CHECK_EQ(vfs_pivot_root(&tc, "/new", "/new/old"), 0);
	CHECK_EQ(t_exists("/old/new"), 0);
	CHECK_EQ(t_exists("/new"), -ENOENT);
	CHECK_EQ(vfs_umount(&tc, "/old", MNT_DETACH), 0);
	CHECK_EQ(t_exists("/old/new"), -ENOENT);
}

/* Memory. */
static void busy_round(void)
{
	struct kstat st;
	int fd;

	(void)t_mkdir("/w");
	(void)t_mkdir("/w/a-name-that-is-too-long-for-the-dentry-itself");
	fd = t_open("/w/f", O_CREAT | O_RDWR, 0600);
	if (fd >= 0) {
		(void)t_pwrite(fd, "0123456789", 10, 4090);
		(void)t_close(fd);
	}
	(void)t_symlink("f", "/w/l");
	(void)t_link("/w/f", "/w/hard");
	(void)t_stat("/w/l", &st);
	(void)t_rename("/w/f", "/w/a-name-that-is-too-long-for-the-dentry-itself/another-one-of-that-kind-or-longer", 0);
	(void)t_rename("/w/hard", "/w/l", RENAME_EXCHANGE);
	(void)t_mount("/w/a-name-that-is-too-long-for-the-dentry-itself", "size=1m", 0);
	(void)t_touch("/w/a-name-that-is-too-long-for-the-dentry-itself/x");
	DISCARD(vfs_umount(&tc, "/w/a-name-that-is-too-long-for-the-dentry-itself", MNT_DETACH));
}

static void clean_up(void)
{
	static const char *const files[] = { "/w/f", "/w/l", "/w/hard",
		"/w/a-name-that-is-too-long-for-the-dentry-itself/another-one-of-that-kind-or-longer",
		"/w/a-name-that-is-too-long-for-the-dentry-itself/x" };

	for (u32 i = 0; i < ARRAY_LEN(files); i++)
		(void)t_unlink(files[i]);
	(void)t_rmdir("/w/a-name-that-is-too-long-for-the-dentry-itself");
	CHECK(t_rmdir("/w") == 0 || t_exists("/w") == -ENOENT);
	rcu_barrier();
}

TEST(memory, nothing_leaks_when_an_allocation_fails)
{
	u64 objects, pages;

	vfs_start();
	busy_round();
	clean_up();
	rcu_barrier();
	objects = host_live_allocs();
	pages = host_live_pages();
	for (u32 n = 0; n < 80; n++) {
		host_fail_at(n);
		busy_round();
		host_fail_at(~0u);
		clean_up();
		if (!CHECK_EQ(host_live_allocs(), objects) || !CHECK_EQ(host_live_pages(), pages))
			break;
	}
}

TEST(memory, a_deep_tree_dies_without_recursion)
{
	u64 objects;

	vfs_start();
	CHECK_EQ(t_mkdir("/m"), 0);
	rcu_barrier();
	objects = host_live_allocs();
	CHECK_EQ(t_mount("/m", "nr_inodes=0", 0), 0);
	CHECK_EQ(t_chdir("/m"), 0);
	for (u32 i = 0; i < 10000; i++) {
		NEED(t_mkdir("d") == 0);
		NEED(t_chdir("d") == 0);
	}
	CHECK_EQ(t_chdir("/"), 0);
	CHECK_EQ(vfs_umount(&tc, "/m", 0), 0);
	rcu_barrier();
	CHECK_EQ(host_live_allocs(), objects);
}
