/* Names: create, link, rename, against a model; listing under change.
 * host-sources: @vfs @vm
 */
#include "vfs_testlib.h"

void mem_free_boot_range(u64 start, u64 end) {}

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
