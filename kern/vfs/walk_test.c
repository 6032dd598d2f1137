/* Path walk: dots, links, permissions, roots.
 * host-sources: @vfs @vm
 */
#include "vfs_testlib.h"

void mem_free_boot_range(u64 start, u64 end) {}

TEST(walk, dots_slashes_and_missing)
{
	struct kstat a, b;

	vfs_start();
	CHECK_EQ(t_mkdir("/a"), 0);
	CHECK_EQ(t_mkdir("/a/b"), 0);
	CHECK_EQ(t_touch("/a/b/f"), 0);
	CHECK_EQ(t_stat("//a/./b/../b//f", &a), 0);
	CHECK_EQ(t_stat("/a/b/f", &b), 0);
	CHECK_EQ(a.ino, b.ino);
	CHECK_EQ(t_stat("/../../a", &a), 0);
	CHECK_EQ(t_stat("/a/b/f/", &a), -ENOTDIR);
	CHECK_EQ(t_stat("/a/b/f/x", &a), -ENOTDIR);
	CHECK_EQ(t_stat("/a/x", &a), -ENOENT);
	CHECK_EQ(t_stat("/a/x/y", &a), -ENOENT);
	CHECK_EQ(t_stat("", &a), -ENOENT);
	CHECK_EQ(t_chdir("/a"), 0);
	CHECK_EQ(t_stat("b/f", &a), 0);
	CHECK_EQ(t_stat("../a/b/f", &a), 0);
}

TEST(walk, long_names)
{
	static char name[600];
	struct kstat st;

	vfs_start();
	name[0] = '/';
	memset(name + 1, 'n', 255);
	CHECK_EQ(t_touch(name), 0);
	CHECK_EQ(t_stat(name, &st), 0);
	name[200] = 'm';
	CHECK_EQ(t_stat(name, &st), -ENOENT);
	name[256] = 'n';
	CHECK_EQ(t_stat(name, &st), -ENAMETOOLONG);
	CHECK_EQ(t_touch(name), -ENAMETOOLONG);
	CHECK_EQ(t_mkdir("/short"), 0);
	name[256] = 0;
	name[200] = 'n';
	CHECK_EQ(t_rename(name, "/short/s", 0), 0);
	CHECK_EQ(t_rename("/short/s", name, 0), 0);
	CHECK_EQ(t_stat(name, &st), 0);
	CHECK_EQ(t_touch("/t"), 0);
	CHECK_EQ(t_rename("/t", name, RENAME_EXCHANGE), 0);
	CHECK_EQ(t_stat("/t", &st), 0);
	CHECK_EQ(t_unlink(name), 0);
}

TEST(walk, symlinks)
{
	char name[32], to[32], buf[16];
	struct kstat st;
	struct uio to_buf;

	vfs_start();
	CHECK_EQ(t_mkdir("/d"), 0);
	CHECK_EQ(t_touch("/d/f"), 0);
	CHECK_EQ(t_symlink("d", "/rel"), 0);
	CHECK_EQ(t_symlink("/d/f", "/abs"), 0);
	CHECK_EQ(t_symlink("d/", "/slash"), 0);
	CHECK_EQ(t_symlink("d/f/", "/bad"), 0);
	CHECK_EQ(t_symlink("../rel/./f", "/d/up"), 0);
	CHECK_EQ(t_stat("/rel/f", &st), 0);
	CHECK_EQ(t_stat("/abs", &st), 0);
	CHECK_EQ(t_stat("/slash", &st), 0);
	CHECK(S_ISDIR(st.mode));
	CHECK_EQ(t_stat("/bad", &st), -ENOTDIR);
	CHECK_EQ(t_stat("/rel/up", &st), 0);
	CHECK_EQ(t_lstat("/rel/up", &st), 0);
	CHECK(S_ISLNK(st.mode));
	CHECK_EQ(t_lstat("/rel/", &st), 0);
	CHECK(S_ISDIR(st.mode));
	uio_init_kernel(&to_buf, buf, 4);
	CHECK_EQ(vfs_readlink(&tc, AT_FDCWD, "/d/up", &to_buf), 4);
	uio_init_kernel(&to_buf, buf, 4);
	CHECK_EQ(vfs_readlink(&tc, AT_FDCWD, "/d/f", &to_buf), -EINVAL);
	CHECK_EQ(t_symlink("loop", "/loop"), 0);
	CHECK_EQ(t_stat("/loop", &st), -ELOOP);
	CHECK_EQ(t_stat("/loop/x", &st), -ELOOP);
	for (u32 i = 0; i <= 41; i++) {
		fmt_snprintf(name, sizeof(name), "/l%u", i);
		fmt_snprintf(to, sizeof(to), i ? "l%u" : "d/f", i - 1);
		CHECK_EQ(t_symlink(to, name), 0);
	}
	CHECK_EQ(t_stat("/l39", &st), 0);
	CHECK_EQ(t_stat("/l40", &st), -ELOOP);
	CHECK_EQ(t_open("/abs", O_RDONLY | O_NOFOLLOW, 0), -ELOOP);
}

TEST(walk, nested_links_keep_the_rest)
{
	struct kstat st;

	vfs_start();
	CHECK_EQ(t_mkdir("/a"), 0);
	CHECK_EQ(t_mkdir("/a/b"), 0);
	CHECK_EQ(t_mkdir("/a/b/c"), 0);
	CHECK_EQ(t_touch("/a/b/c/f"), 0);
	CHECK_EQ(t_symlink("/a", "/la"), 0);
	CHECK_EQ(t_symlink("/la/b", "/lb"), 0);
	CHECK_EQ(t_symlink("/lb/../b/c", "/lc"), 0);
	CHECK_EQ(t_stat("/lc/../c/f", &st), 0);
	CHECK_EQ(t_stat("/lc/f/", &st), -ENOTDIR);
	CHECK_EQ(t_stat("/lb/c/../../b/c/f", &st), 0);
}

TEST(walk, search_permission_and_owner)
{
	struct kstat st;

	vfs_start();
	CHECK_EQ(vfs_mkdir(&tc, AT_FDCWD, "/p", 0700), 0);
	CHECK_EQ(t_touch("/p/f"), 0);
	as_user();
	CHECK_EQ(t_stat("/p/f", &st), -EACCES);
	CHECK_EQ(t_stat("/p/absent", &st), -EACCES);
	CHECK_EQ(t_stat("/p", &st), 0);
	CHECK_EQ(t_touch("/p/g"), -EACCES);
	CHECK_EQ(t_unlink("/p/f"), -EACCES);
	as_root();
	CHECK_EQ(t_touch("/f"), 0);
	as_user();
	CHECK_EQ(t_open("/f", O_WRONLY, 0), -EACCES);
	CHECK_EQ(t_open("/f", O_RDONLY | O_NOATIME, 0), -EPERM);
	as_root();
	CHECK_EQ(vfs_mkdir(&tc, AT_FDCWD, "/sticky", 01777), 0);
	CHECK_EQ(t_touch("/sticky/f"), 0);
	as_user();
	CHECK_EQ(t_touch("/sticky/mine"), 0);
	CHECK_EQ(t_unlink("/sticky/f"), -EPERM);
	CHECK_EQ(t_rename("/sticky/mine", "/sticky/f", 0), -EPERM);
	CHECK_EQ(t_unlink("/sticky/mine"), 0);
}

TEST(walk, chroot_is_a_wall)
{
	char text[64];
	struct path p;
	struct kstat st;

	vfs_start();
	CHECK_EQ(t_mkdir("/r"), 0);
	CHECK_EQ(t_mkdir("/r/in"), 0);
	CHECK_EQ(t_touch("/out"), 0);
	CHECK_EQ(vfs_walk(&tc, AT_FDCWD, "/r", 0, &p), 0);
	CHECK_EQ(vfs_chroot(&tc, &p), 0);
	path_put(&p);
	CHECK_EQ(vfs_getcwd(&tc, text, sizeof(text)), 14);
	CHECK_STR_EQ(text, "(unreachable)/");
	CHECK_EQ(t_chdir("/in"), 0);
	CHECK_EQ(vfs_getcwd(&tc, text, sizeof(text)), 3);
	CHECK_STR_EQ(text, "/in");
	CHECK_EQ(t_stat("../../../out", &st), -ENOENT);
	CHECK_EQ(t_stat("/../in", &st), 0);
}

TEST(walk, resolve_flags)
{
	struct path p;
	int fd;

	vfs_start();
	CHECK_EQ(t_mkdir("/d"), 0);
	CHECK_EQ(t_mkdir("/d/e"), 0);
	CHECK_EQ(t_symlink("/e", "/d/abs"), 0);
	CHECK_EQ(t_symlink("e", "/d/rel"), 0);
	fd = t_open("/d", O_RDONLY | O_DIRECTORY, 0);
	CHECK_EQ(vfs_walk(&tc, fd, "../d", WALK_BENEATH, &p), -EXDEV);
	CHECK_EQ(vfs_walk(&tc, fd, "/d", WALK_BENEATH, &p), -EXDEV);
	CHECK_EQ(vfs_walk(&tc, fd, "abs", WALK_BENEATH | WALK_FOLLOW, &p), -EXDEV);
	CHECK_EQ(vfs_walk(&tc, fd, "rel", WALK_NO_SYMLINKS | WALK_FOLLOW, &p), -ELOOP);
	CHECK_EQ(vfs_walk(&tc, fd, "e/../e", WALK_BENEATH, &p), 0);
	path_put(&p);
	CHECK_EQ(vfs_walk(&tc, fd, "abs", WALK_IN_ROOT | WALK_FOLLOW, &p), 0);
	path_put(&p);
	CHECK_EQ(vfs_walk(&tc, fd, "../../e", WALK_IN_ROOT, &p), 0);
	path_put(&p);
	CHECK_EQ(vfs_walk(&tc, fd, "", WALK_EMPTY, &p), 0);
	path_put(&p);
	CHECK_EQ(vfs_walk(&tc, 77, "e", 0, &p), -EBADF);
}
