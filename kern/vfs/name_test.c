/* Names: path walk, permissions, create, link, rename, listing under change, mounts; every allocation failing.
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
	CHECK_EQ(vfs_readlink(&tc, AT_FDCWD, "/d/up", buf, 4), 4);
	CHECK_EQ(vfs_readlink(&tc, AT_FDCWD, "/d/f", buf, 4), -EINVAL);
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

TEST(names, create_and_remove_errors)
{
	struct kstat st;

	vfs_start();
	CHECK_EQ(t_mkdir("/d"), 0);
	CHECK_EQ(t_mkdir("/d"), -EEXIST);
	CHECK_EQ(t_mkdir("/d/"), -EEXIST);
	CHECK_EQ(t_mkdir("/e/"), 0);
	CHECK_EQ(t_mkdir("/x/y"), -ENOENT);
	CHECK_EQ(t_mkdir("/"), -EEXIST);
	CHECK_EQ(t_mkdir("/d/."), -EEXIST);
	CHECK_EQ(t_touch("/d/f"), 0);
	CHECK_EQ(t_touch("/d/g/"), -EISDIR);
	CHECK_EQ(t_rmdir("/d"), -ENOTEMPTY);
	CHECK_EQ(t_rmdir("/d/f"), -ENOTDIR);
	CHECK_EQ(t_rmdir("/d/."), -EINVAL);
	CHECK_EQ(t_rmdir("/d/.."), -ENOTEMPTY);
	CHECK_EQ(t_rmdir("/"), -EBUSY);
	CHECK_EQ(t_unlink("/d"), -EISDIR);
	CHECK_EQ(t_unlink("/d/f/"), -ENOTDIR);
	CHECK_EQ(t_unlink("/d/absent"), -ENOENT);
	CHECK_EQ(t_open("/d/f", O_CREAT | O_EXCL | O_WRONLY, 0600), -EEXIST);
	CHECK_EQ(t_open("/d", O_WRONLY, 0), -EISDIR);
	CHECK_EQ(t_open("/d", O_CREAT, 0), -EISDIR);
	CHECK_EQ(t_open("/d/f", O_DIRECTORY, 0), -ENOTDIR);
	CHECK_EQ(t_stat("/", &st), 0);
	CHECK_EQ(st.nlink, 4);
	CHECK_EQ(t_rmdir("/e"), 0);
	CHECK_EQ(t_stat("/", &st), 0);
	CHECK_EQ(st.nlink, 3);
	CHECK_EQ(st.size, 60);
}

TEST(names, open_creates_through_a_dangling_link)
{
	struct kstat st;

	vfs_start();
	CHECK_EQ(t_mkdir("/d"), 0);
	CHECK_EQ(t_symlink("d/new", "/l"), 0);
	CHECK_EQ(t_symlink("/l", "/ll"), 0);
	CHECK_EQ(t_open("/l", O_CREAT | O_EXCL | O_WRONLY, 0600), -EEXIST);
	CHECK_EQ(t_touch("/ll"), 0);
	CHECK_EQ(t_stat("/d/new", &st), 0);
	CHECK_EQ(t_symlink("self", "/self"), 0);
	CHECK_EQ(t_touch("/self"), -ELOOP);
	CHECK_EQ(t_symlink("/absent/x", "/far"), 0);
	CHECK_EQ(t_touch("/far"), -ENOENT);
	CHECK_EQ(t_symlink("/d", "/ld"), 0);
	CHECK_EQ(t_touch("/ld"), -EISDIR);
	CHECK_EQ(t_symlink("/", "/lr"), 0);
	CHECK_EQ(t_touch("/lr"), -EISDIR);
}

TEST(names, hard_links_and_unlinked_files)
{
	struct kstat st;
	char buf[8] = "";
	int fd;

	vfs_start();
	t_spit("/a", "text");
	CHECK_EQ(t_link("/a", "/b"), 0);
	CHECK_EQ(t_link("/a", "/b"), -EEXIST);
	CHECK_EQ(t_stat("/b", &st), 0);
	CHECK_EQ(st.nlink, 2);
	CHECK_EQ(t_unlink("/a"), 0);
	fd = t_open("/b", O_RDWR, 0);
	CHECK_EQ(t_unlink("/b"), 0);
	CHECK_EQ(vfs_stat_file(t_file(fd), &st), 0);
	CHECK_EQ(st.nlink, 0);
	CHECK_EQ(t_pread(fd, buf, 4, 0), 4);
	CHECK_STR_EQ(buf, "text");
	CHECK_EQ(vfs_link(&tc, fd, "", AT_FDCWD, "/c", AT_EMPTY_PATH), -ENOENT);
	CHECK_EQ(t_close(fd), 0);
	CHECK_EQ(t_mkdir("/d"), 0);
	CHECK_EQ(t_link("/d", "/e"), -EPERM);
	fd = t_open("/d", O_TMPFILE | O_RDWR, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(vfs_link(&tc, fd, "", AT_FDCWD, "/c", AT_EMPTY_PATH), 0);
	CHECK_EQ(t_stat("/c", &st), 0);
	CHECK_EQ(st.nlink, 1);
}

TEST(names, rename_rules)
{
	struct kstat st;

	vfs_start();
	CHECK_EQ(t_mkdir("/a"), 0);
	CHECK_EQ(t_mkdir("/a/b"), 0);
	CHECK_EQ(t_mkdir("/c"), 0);
	CHECK_EQ(t_touch("/f"), 0);
	CHECK_EQ(t_touch("/g"), 0);
	CHECK_EQ(t_rename("/a", "/a/b/x", 0), -EINVAL);
	CHECK_EQ(t_rename("/a/b", "/a", 0), -ENOTEMPTY);
	CHECK_EQ(t_rename("/f", "/a", 0), -EISDIR);
	CHECK_EQ(t_rename("/a", "/f", 0), -ENOTDIR);
	CHECK_EQ(t_rename("/f", "/h/", 0), -ENOTDIR);
	CHECK_EQ(t_rename("/absent", "/h", 0), -ENOENT);
	CHECK_EQ(t_rename("/f", "/g", RENAME_NOREPLACE), -EEXIST);
	CHECK_EQ(t_rename("/f", "/h", RENAME_EXCHANGE), -ENOENT);
	CHECK_EQ(t_rename("/a/.", "/h", 0), -EBUSY);
	CHECK_EQ(t_rename("/f", "/g", 0), 0);
	CHECK_EQ(t_exists("/f"), -ENOENT);
	CHECK_EQ(t_rename("/a", "/c", 0), 0);		/* an empty directory is replaced */
	CHECK_EQ(t_stat("/c/b", &st), 0);
	CHECK_EQ(t_stat("/", &st), 0);
	CHECK_EQ(st.nlink, 3);
	CHECK_EQ(t_rename("/c", "/g", RENAME_EXCHANGE), 0);
	CHECK_EQ(t_stat("/g/b", &st), 0);
	CHECK_EQ(t_rename("/g/b", "/top", 0), 0);
	CHECK_EQ(t_stat("/g", &st), 0);
	CHECK_EQ(st.nlink, 2);
	CHECK_EQ(t_rename("/c", "/c", 0), 0);
	CHECK_EQ(t_rename("/top", "/g/t", RENAME_WHITEOUT), 0);
	CHECK_EQ(t_lstat("/top", &st), 0);
	CHECK_EQ(st.mode & S_IFMT, S_IFCHR);
	CHECK_EQ(st.rdev, 0);
	CHECK_EQ(t_rename("/g", "/g/t/x", RENAME_WHITEOUT), -EINVAL);
	CHECK_EQ(t_rename("/c", "/g", RENAME_WHITEOUT | RENAME_EXCHANGE), -EINVAL);
}

/* A name space as a plain set of strings; every operation is done on both and the answers compared. */
#define NAMES 24u
static bool model_has[NAMES], model_dir[NAMES];

static void name_of(u32 i, char *buf)
{
	if (i < 4)
		fmt_snprintf(buf, 16, "/d%u", i);
	else
		fmt_snprintf(buf, 16, "/d%u/n%u", (i - 4) % 4, (i - 4) / 4);
}

static bool model_parent_ok(u32 i) { return i < 4 || (model_has[(i - 4) % 4] && model_dir[(i - 4) % 4]); }
static bool model_empty(u32 i)
{
	for (u32 k = 0; i < 4 && k < (NAMES - 4) / 4; k++)
		if (model_has[4 + i + 4 * k])
			return false;
	return true;
}

static void model_step(void)
{
	u32 i = (u32)host_random_below(NAMES), j = 4 + (u32)host_random_below(NAMES - 4);
	char a[16], b[16];
	int err;

	name_of(i, a);
	name_of(j, b);
	switch (host_random_below(5)) {
	case 0:
		err = t_mkdir(a);
		CHECK_EQ(err == 0, model_parent_ok(i) && !model_has[i]);
		if (!err)
			model_has[i] = model_dir[i] = true;
		break;
	case 1:
		if (i < 4)
			break;
		err = t_touch(a);
		CHECK_EQ(err == 0, model_parent_ok(i) && !(model_has[i] && model_dir[i]));
		if (!err && !model_has[i]) {
			model_has[i] = true;
			model_dir[i] = false;
		}
		break;
	case 2:
		err = t_unlink(a);
		CHECK_EQ(err == 0, model_parent_ok(i) && model_has[i] && !model_dir[i]);
		if (!err)
			model_has[i] = false;
		break;
	case 3:
		err = t_rmdir(a);
		CHECK_EQ(err == 0, model_parent_ok(i) && model_has[i] && model_dir[i] && model_empty(i));
		if (!err)
			model_has[i] = false;
		break;
	case 4:
		if (i < 4 || i == j)
			break;
		err = t_rename(a, b, 0);
		CHECK_EQ(err == 0, model_parent_ok(i) && model_has[i] && model_parent_ok(j) &&
			 (!model_has[j] || model_dir[i] == model_dir[j]));
		if (!err) {
			model_has[i] = false;
			model_has[j] = true;
			model_dir[j] = model_dir[i];
		}
		break;
	}
}

TEST(names, random_operations_match_a_model)
{
	struct kstat st;
	char a[16];

	vfs_start();
	for (u32 n = 0; n < 20000; n++) {
		model_step();
		if (n % 50)
			continue;
		for (u32 i = 0; i < NAMES; i++) {
			name_of(i, a);
			CHECK_EQ(t_lstat(a, &st) == 0, model_parent_ok(i) && model_has[i]);
		}
	}
}

/* Listing. */
struct lister { struct dir_sink sink; u32 room, n; u64 pos; u8 seen[256]; char last[NAME_MAX + 1]; };

static bool lister_emit(struct dir_sink *s, const char *name, u32 len, u64 ino, u32 dtype, u64 next)
{
	struct lister *l = container_of(s, struct lister, sink);

	if (!l->room)
		return false;
	l->room--;
	l->n++;
	if (name[0] == 'f') {
		u32 i = 0;

		for (u32 k = 1; k < len; k++)
			i = i * 10 + (u32)(name[k] - '0');
		l->seen[i]++;
	}
	return true;
}

TEST(listing, entries_are_seen_once_while_others_come_and_go)
{
	struct lister l = { .sink.emit = lister_emit };
	char name[32];
	int fd;

	vfs_start();
	CHECK_EQ(t_mkdir("/d"), 0);
	for (u32 i = 0; i < 100; i++) {
		fmt_snprintf(name, sizeof(name), "/d/f%u", i);
		CHECK_EQ(t_touch(name), 0);
	}
	fd = t_open("/d", O_RDONLY, 0);
	for (u32 round = 0; round < 200; round++) {
		u32 before = l.n;

		l.room = 3;
		CHECK_EQ(file_readdir(t_file(fd), &l.sink), 0);
		if (l.n == before)
			break;
		fmt_snprintf(name, sizeof(name), "/d/x%u", round);
		CHECK_EQ(t_touch(name), 0);
		if (round % 3 == 0)
			CHECK_EQ(t_unlink(name), 0);
		if (round >= 50 && round < 60) {	/* what was not reached yet and is gone is not seen */
			fmt_snprintf(name, sizeof(name), "/d/g%u", round);
			(void)t_exists(name);
		}
	}
	for (u32 i = 0; i < 100; i++)
		CHECK_EQ(l.seen[i], 1);
	CHECK_EQ(t_unlink("/d/f5"), 0);
	CHECK_EQ(file_lseek(t_file(fd), 0, SEEK_SET), 0);
	memset(l.seen, 0, sizeof(l.seen));
	l.room = 1000;
	CHECK_EQ(file_readdir(t_file(fd), &l.sink), 0);
	CHECK_EQ(l.seen[5], 0);
	CHECK_EQ(l.seen[6], 1);
}

TEST(listing, removing_all_while_listing)
{
	char name[32];
	u32 left = 60;
	int fd;

	vfs_start();
	CHECK_EQ(t_mkdir("/d"), 0);
	for (u32 i = 0; i < left; i++) {
		fmt_snprintf(name, sizeof(name), "/d/f%u", i);
		CHECK_EQ(t_touch(name), 0);
	}
	fd = t_open("/d", O_RDONLY, 0);
	while (left) {
		struct lister l = { .sink.emit = lister_emit, .room = 7 };
		u32 was = left;

		CHECK_EQ(file_readdir(t_file(fd), &l.sink), 0);
		for (u32 i = 0; i < 60; i++)
			if (l.seen[i]) {
				fmt_snprintf(name, sizeof(name), "/d/f%u", i);
				CHECK_EQ(t_unlink(name), 0);
				left--;
			}
		NEED(left < was || was == 60);
	}
	CHECK_EQ(t_rmdir("/d"), 0);
	struct lister l = { .sink.emit = lister_emit, .room = 7 };
	CHECK_EQ(file_readdir(t_file(fd), &l.sink), -ENOENT);
}

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
