/* Open files: descriptor tables, locks, quotas, seals, holes, attributes, text files.
 * host-sources: @vfs @vm
 */
#include "vfs_testlib.h"

void mem_free_boot_range(u64 start, u64 end) {}

static struct file *some_file(void)
{
	struct file *f = file_create_anon(&seq_file_ops, "x", FILE_READ, 0, NULL);

	VERIFY(f);
	f->ops = NULL;
	return f;
}

TEST(fdtable, lowest_first_and_limits)
{
	struct fdtable *t;

	vfs_start();
	t = fdtable_create();
	for (int i = 0; i < 200; i++)
		CHECK_EQ(fdtable_install(t, some_file(), false, 1024), i);
	CHECK_EQ(fdtable_install(t, some_file(), false, 200), -EMFILE);
	CHECK_EQ(fdtable_close(t, 150), 0);
	CHECK_EQ(fdtable_close(t, 3), 0);
	CHECK_EQ(fdtable_close(t, 3), -EBADF);
	CHECK_EQ(fdtable_close(t, -1), -EBADF);
	CHECK_EQ(fdtable_install(t, some_file(), true, 1024), 3);
	CHECK_EQ(fdtable_get_cloexec(t, 3), 1);
	CHECK_EQ(fdtable_reserve(t, 100, false, 1024), 150);
	CHECK_EQ(fdtable_close(t, 150), -EBADF);
	CHECK_EQ(fdtable_dup_to(t, 1, 150, false, 1024), -EBUSY);
	fdtable_unreserve(t, 150);
	CHECK_EQ(fdtable_dup_to(t, 1, 700, true, 1024), 700);
	CHECK_EQ(fdtable_dup_to(t, 1, 1024, true, 1024), -EBADF);
	CHECK_EQ(fdtable_dup_to(t, 150, 5, true, 1024), -EBADF);
	CHECK_EQ(fdtable_next(t, 199), 199);
	CHECK_EQ(fdtable_next(t, 200), 700);
	CHECK_EQ(fdtable_next(t, 701), -1);
	fdtable_close_on_exec(t);
	CHECK_EQ(fdtable_next(t, 200), -1);
	CHECK_EQ(fdtable_get_cloexec(t, 3), -EBADF);
	CHECK_EQ(fdtable_close_range(t, 10, ~0u, false), 0);
	CHECK_EQ(fdtable_next(t, 4), 4);
	CHECK_EQ(fdtable_next(t, 10), -1);
	CHECK_EQ(fdtable_close_range(t, 5, 4, false), -EINVAL);
	fdtable_put(t);
}

TEST(fdtable, copies_and_sharing)
{
	struct fdtable *t, *n;
	struct fd_ref r;
	struct file *f;

	vfs_start();
	t = fdtable_create();
	for (int i = 0; i < 130; i++)
		CHECK_EQ(fdtable_install(t, some_file(), i & 1, 1024), i);
	CHECK_EQ(fdtable_reserve(t, 0, false, 1024), 130);
	n = fdtable_dup(t);
	CHECK_EQ(fdtable_count(n), 130);
	CHECK_EQ(fdtable_get_cloexec(n, 129), 1);
	CHECK_EQ(ref_read(&t->files[7]->refs), 2);
	r = fd_borrow(t, 7, false);
	CHECK(!r.owned);
	fd_return(&r);
	(void)fdtable_get(t);
	r = fd_borrow(t, 7, false);
	CHECK(r.owned);
	CHECK_EQ(ref_read(&r.file->refs), 3);
	fd_return(&r);
	fdtable_put(t);
	f = fdtable_file(t, 500, false);
	CHECK(!f);
	fdtable_put(n);
	CHECK_EQ(ref_read(&t->files[7]->refs), 1);
	fdtable_put(t);
}

TEST(fdtable, growth_without_memory_changes_nothing)
{
	vfs_start();
	EVERY_ALLOC_FAILS_ONCE(n) {
		struct fdtable *t = fdtable_create();
		int err = t ? fdtable_reserve(t, 500, false, 1024) : -ENOMEM;

		CHECK(err == 500 || err == -ENOMEM);
		if (t && err < 0)
			CHECK_EQ(t->size, 64);
		if (t)
			fdtable_put(t);
	}
}

/* Locks: a second table stands for a second process. */
static int lock_as(struct fdtable *who, struct file *f, u32 type, u64 a, u64 b)
{
	struct fdtable *own = tc.fds;
	struct file_lock_req rq = { a, b, type, who == own ? 1 : 2, false, false };
	int err;

	tc.fds = who;
	err = file_posix_lock(f, &rq);
	tc.fds = own;
	return err;
}

static bool count_line(u32 i, const char *line, void *arg)
{
	(*(u32 *)arg)++;
	return true;
}

static u32 lock_count(void)
{
	u32 n = 0;

	vfs_for_each_lock(count_line, &n);
	return n;
}

TEST(locks, ranges_split_merge_and_conflict)
{
	struct fdtable *other;
	struct file *f;
	int fd;

	vfs_start();
	other = fdtable_create();
	fd = t_open("/f", O_CREAT | O_RDWR, 0600);
	f = t_file(fd);
	CHECK_EQ(lock_as(tc.fds, f, F_WRLCK, 0, 99), 0);
	CHECK_EQ(lock_as(tc.fds, f, F_UNLCK, 40, 59), 0);
	CHECK_EQ(lock_count(), 2);
	CHECK_EQ(lock_as(other, f, F_WRLCK, 40, 59), 0);
	CHECK_EQ(lock_as(other, f, F_RDLCK, 39, 39), -EAGAIN);
	CHECK_EQ(lock_as(other, f, F_RDLCK, 60, ~0ull), -EAGAIN);
	CHECK_EQ(lock_as(other, f, F_UNLCK, 0, ~0ull), 0);
	CHECK_EQ(lock_as(tc.fds, f, F_WRLCK, 40, 59), 0);
	CHECK_EQ(lock_count(), 1);
	CHECK_EQ(lock_as(tc.fds, f, F_RDLCK, 10, 20), 0);
	CHECK_EQ(lock_count(), 3);
	CHECK_EQ(lock_as(other, f, F_RDLCK, 12, 15), 0);
	CHECK_EQ(lock_as(other, f, F_WRLCK, 12, 15), -EAGAIN);
	CHECK_EQ(lock_as(tc.fds, f, F_WRLCK, 10, 20), -EAGAIN);
	file_locks_close(f, other);
	CHECK_EQ(lock_as(tc.fds, f, F_WRLCK, 10, 20), 0);
	CHECK_EQ(lock_count(), 1);
	struct file_lock_req rq = { 5, 5, F_RDLCK, 9, true, false };
	CHECK_EQ(file_posix_test(f, &rq), 0);
	CHECK_EQ(rq.type, F_WRLCK);
	CHECK_EQ(rq.start, 0);
	CHECK_EQ(rq.end, 99);
	CHECK_EQ(t_close(fd), 0);
	CHECK_EQ(lock_count(), 0);
	fdtable_put(other);
}

TEST(locks, random_ranges_match_a_model)
{
	static u8 owner_of[64], type_of[64];
	struct fdtable *who[2];
	struct file *f;

	vfs_start();
	who[0] = tc.fds;
	who[1] = fdtable_create();
	f = t_file(t_open("/f", O_CREAT | O_RDWR, 0600));
	for (u32 n = 0; n < 5000; n++) {
		u64 a = host_random_below(64), b = a + host_random_below(64 - a);
		u32 o = (u32)host_random_below(2), type = (u32)host_random_below(3);
		bool clash = false;
		int err = lock_as(who[o], f, type, a, b);

		/* model: per byte up to one writer; readers of both kept as bit masks in owner_of */
		for (u64 i = a; i <= b; i++)
			if (type != F_UNLCK && (owner_of[i] & ~(1u << o)) && (type == F_WRLCK || type_of[i] == F_WRLCK))
				clash = true;
		CHECK_EQ(err, clash ? -EAGAIN : 0);
		for (u64 i = a; i <= b && !err; i++) {
			owner_of[i] &= (u8)~(1u << o);
			if (type != F_UNLCK) {
				owner_of[i] |= (u8)(1u << o);
				type_of[i] = (u8)type;
			}
		}
	}
	CHECK_EQ(lock_as(who[0], f, F_UNLCK, 0, ~0ull), 0);
	CHECK_EQ(lock_as(who[1], f, F_UNLCK, 0, ~0ull), 0);
	CHECK_EQ(lock_count(), 0);
	fdtable_put(who[1]);
}

TEST(locks, flock_belongs_to_the_file)
{
	struct file *a, *b;
	int fda, fdb;

	vfs_start();
	fda = t_open("/f", O_CREAT | O_RDWR, 0600);
	fdb = t_open("/f", O_RDONLY, 0);
	a = t_file(fda);
	b = t_file(fdb);
	CHECK_EQ(file_flock(a, LOCK_SH), 0);
	CHECK_EQ(file_flock(b, LOCK_SH | LOCK_NB), 0);
	CHECK_EQ(file_flock(b, LOCK_EX | LOCK_NB), -EAGAIN);
	CHECK_EQ(file_flock(a, LOCK_EX | LOCK_NB), 0);	/* b's conversion gave its lock up */
	CHECK_EQ(lock_as(tc.fds, a, F_WRLCK, 0, 9), 0);	/* the families do not meet */
	CHECK_EQ(file_flock(a, 77), -EINVAL);
	CHECK_EQ(t_close(fda), 0);
	CHECK_EQ(file_flock(b, LOCK_EX | LOCK_NB), 0);
	CHECK_EQ(t_close(fdb), 0);
	CHECK_EQ(lock_count(), 0);
}

TEST(tmpfs, quota_of_pages_and_inodes)
{
	static char page[PAGE_SIZE];
	struct kstatfs sf;
	struct path p;
	char name[16];
	int fd, n = 0;

	vfs_start();
	CHECK_EQ(t_mkdir("/m"), 0);
	CHECK_EQ(vfs_mount(&tc, "a", "/m", "tmpfs", 0, "size=64k,nr_inodes=10,mode=0711,uid=12,gid=34"), 0);
	CHECK_EQ(vfs_mount(&tc, "a", "/m", "tmpfs", 0, "nonsense=1"), -EINVAL);
	CHECK_EQ(vfs_mount(&tc, "a", "/m", "tmpfs", 0, "size=banana"), -EINVAL);
	CHECK_EQ(vfs_walk(&tc, AT_FDCWD, "/m", 0, &p), 0);
	CHECK_EQ(p.dentry->vnode->mode, S_IFDIR | 0711);
	CHECK_EQ(p.dentry->vnode->gid, 34);
	fd = t_open("/m/f", O_CREAT | O_RDWR, 0600);
	while (t_pwrite(fd, page, PAGE_SIZE, (u64)n * PAGE_SIZE) == PAGE_SIZE)
		n++;
	CHECK_EQ(n, 16);
	CHECK_EQ(t_pwrite(fd, page, 10, 16 * PAGE_SIZE), -ENOSPC);
	CHECK_EQ(vfs_statfs(&p, &sf), 0);
	CHECK_EQ(sf.bfree, 0);
	CHECK_EQ(vfs_ftruncate(&tc, t_file(fd), PAGE_SIZE), 0);
	CHECK_EQ(vfs_statfs(&p, &sf), 0);
	CHECK_EQ(sf.bfree, 15);
	CHECK_EQ(file_fallocate(t_file(fd), 0, 0, 17 * PAGE_SIZE), -ENOSPC);
	CHECK_EQ(file_fallocate(t_file(fd), 0, 0, 16 * PAGE_SIZE), 0);
	CHECK_EQ(vfs_mount(&tc, "a", "/m", "tmpfs", MS_REMOUNT, "size=32k"), -EINVAL);
	for (n = 0; n < 20; n++) {
		fmt_snprintf(name, sizeof(name), "/m/i%d", n);
		if (t_touch(name))
			break;
	}
	CHECK_EQ(n, 8);
	CHECK_EQ(t_mkdir("/m/d"), -ENOSPC);
	CHECK_EQ(t_unlink("/m/i0"), 0);
	rcu_barrier();
	CHECK_EQ(t_mkdir("/m/d"), 0);
	path_put(&p);
}

TEST(tmpfs, holes_and_punching)
{
	static char page[PAGE_SIZE];
	struct kstat st;
	struct file *f;
	int fd;

	vfs_start();
	memset(page, 'a', sizeof(page));
	fd = t_open("/f", O_CREAT | O_RDWR, 0600);
	f = t_file(fd);
	CHECK_EQ(t_pwrite(fd, page, PAGE_SIZE, 2 * PAGE_SIZE), PAGE_SIZE);
	CHECK_EQ(t_stat("/f", &st), 0);
	CHECK_EQ(st.size, 3 * PAGE_SIZE);
	CHECK_EQ(st.blocks, 8);
	CHECK_EQ(file_lseek(f, 0, SEEK_DATA), 2 * (i64)PAGE_SIZE);
	CHECK_EQ(file_lseek(f, 0, SEEK_HOLE), 0);
	CHECK_EQ(file_lseek(f, 2 * PAGE_SIZE, SEEK_HOLE), 3 * (i64)PAGE_SIZE);
	CHECK_EQ(file_lseek(f, 3 * PAGE_SIZE, SEEK_DATA), -ENXIO);
	CHECK_EQ(file_fallocate(f, 3, 2 * PAGE_SIZE, PAGE_SIZE), 0);
	CHECK_EQ(t_stat("/f", &st), 0);
	CHECK_EQ(st.blocks, 0);
	CHECK_EQ(file_fallocate(f, 2, 0, PAGE_SIZE), -EOPNOTSUPP);
	CHECK_EQ(file_fallocate(f, 0x10, 0, PAGE_SIZE), -EOPNOTSUPP);
	CHECK_EQ(file_fallocate(f, 0, 0, 0), -EINVAL);
	CHECK_EQ(file_fallocate(f, 0, 0x7ffffffffffff000, 0x10000), -EFBIG);
}

TEST(tmpfs, file_size_limit_and_append)
{
	struct file *f;
	char buf[16] = "";
	int fd;

	vfs_start();
	tc.fsize_limit = 8;
	fd = t_open("/f", O_CREAT | O_RDWR | O_APPEND, 04755);
	f = t_file(fd);
	CHECK_EQ(t_pwrite(fd, "12345", 5, 0), 5);
	CHECK_EQ(t_pwrite(fd, "67890", 5, 0), 3);
	CHECK_EQ(t_pwrite(fd, "x", 1, 0), -EFBIG);
	CHECK_EQ(sigxfsz_seen, 1);
	CHECK_EQ(t_pread(fd, buf, 16, 0), 8);
	CHECK_STR_EQ(buf, "12345678");
	CHECK_EQ(vfs_ftruncate(&tc, f, 9), -EFBIG);
	CHECK_EQ(f->vnode->mode & S_ISUID, S_ISUID);	/* root's writes keep it */
	tc.fsize_limit = ~0ull;
	as_user();
	CHECK_EQ(t_pwrite(fd, "x", 1, 0), 1);
	CHECK_EQ(f->vnode->mode & S_ISUID, 0);
}

TEST(files, running_programs_are_not_written)
{
	struct file *f;
	int fd;

	vfs_start();
	fd = t_open("/f", O_CREAT | O_RDWR, 0755);
	f = t_file(fd);
	CHECK_EQ(vnode_deny_write(f->vnode), -ETXTBSY);
	struct vnode *vn = vnode_get(f->vnode);
	CHECK_EQ(t_close(fd), 0);
	CHECK_EQ(vnode_deny_write(vn), 0);
	CHECK_EQ(t_open("/f", O_WRONLY, 0), -ETXTBSY);
	CHECK_EQ(t_open("/f", O_RDONLY | O_TRUNC, 0), -ETXTBSY);
	vnode_allow_write(vn);
	fd = t_open("/f", O_WRONLY, 0);
	CHECK(fd >= 0);
	vnode_put(vn);
}

TEST(files, seals)
{
	struct file *f;

	vfs_start();
	CHECK_EQ(memfd_create_file("x", 0, &f), 0);
	CHECK_EQ(file_get_seals(f), F_SEAL_SEAL);
	CHECK_EQ(file_add_seals(f, F_SEAL_WRITE), -EPERM);
	char text[64];
	CHECK(vfs_path_text(&tc, &f->path, text, sizeof(text)) > 0);
	CHECK_STR_EQ(text, "/memfd:x (deleted)");
	file_put(f);
	CHECK_EQ(memfd_create_file("x", MFD_ALLOW_SEALING, &f), 0);
	int fd = fdtable_install(tc.fds, f, false, 1024);
	CHECK_EQ(vfs_ftruncate(&tc, f, 100), 0);
	CHECK_EQ(file_add_seals(f, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	CHECK_EQ(vfs_ftruncate(&tc, f, 50), -EPERM);
	CHECK_EQ(vfs_ftruncate(&tc, f, 150), -EPERM);
	CHECK_EQ(t_pwrite(fd, "xy", 2, 99), 1);
	CHECK_EQ(t_pwrite(fd, "x", 1, 100), -EPERM);
	CHECK_EQ(file_add_seals(f, F_SEAL_WRITE), 0);
	CHECK_EQ(t_pwrite(fd, "x", 1, 0), -EPERM);
	CHECK_EQ(file_add_seals(f, 0x1000), -EINVAL);
}

TEST(files, extended_attributes)
{
	char buf[64];
	struct vnode *vn;
	int fd;

	vfs_start();
	fd = t_open("/f", O_CREAT | O_RDWR, 0666);
	vn = t_file(fd)->vnode;
	CHECK_EQ(vfs_setxattr(&tc, vn, "trusted.a", "1", 1, 0), 0);
	CHECK_EQ(vfs_setxattr(&tc, vn, "trusted.a", "22", 2, 1), -EEXIST);
	CHECK_EQ(vfs_setxattr(&tc, vn, "trusted.b", "22", 2, 2), -ENODATA);
	CHECK_EQ(vfs_setxattr(&tc, vn, "trusted.a", "22", 2, 2), 0);
	CHECK_EQ(vfs_setxattr(&tc, vn, "user.a", "1", 1, 0), -EOPNOTSUPP);
	CHECK_EQ(vfs_getxattr(&tc, vn, "trusted.a", buf, 1), -ERANGE);
	CHECK_EQ(vfs_getxattr(&tc, vn, "trusted.a", buf, 0), 2);
	CHECK_EQ(vfs_getxattr(&tc, vn, "trusted.x", buf, 9), -ENODATA);
	CHECK_EQ(vfs_listxattr(&tc, vn, buf, sizeof(buf)), 10);
	as_user();
	CHECK_EQ(vfs_listxattr(&tc, vn, buf, sizeof(buf)), 0);
	CHECK_EQ(vfs_setxattr(&tc, vn, "trusted.b", "1", 1, 0), -EPERM);
	as_root();
	CHECK_EQ(vfs_removexattr(&tc, vn, "trusted.a"), 0);
	CHECK_EQ(vfs_removexattr(&tc, vn, "trusted.a"), -ENODATA);
}

TEST(files, chmod_and_chown_rules)
{
	struct kstat st;
	struct path p;

	vfs_start();
	CHECK_EQ(t_touch("/f"), 0);
	CHECK_EQ(vfs_walk(&tc, AT_FDCWD, "/f", 0, &p), 0);
	as_user();
	CHECK_EQ(vfs_chmod(&tc, &p, 0600), -EPERM);
	CHECK_EQ(vfs_chown(&tc, &p, 1000, ~0u), -EPERM);
	as_root();
	CHECK_EQ(vfs_chown(&tc, &p, 1000, 5), 0);
	as_user();
	CHECK_EQ(vfs_chmod(&tc, &p, 06755), 0);
	CHECK_EQ(vfs_stat_path(&p, &st), 0);
	CHECK_EQ(st.mode & 07777, 04755);		/* not in group 5: no setgid */
	CHECK_EQ(vfs_chown(&tc, &p, ~0u, 1000), 0);
	CHECK_EQ(vfs_stat_path(&p, &st), 0);
	CHECK_EQ(st.mode & 07777, 0755);
	CHECK_EQ(vfs_chown(&tc, &p, 0, ~0u), -EPERM);
	CHECK_EQ(vfs_chown(&tc, &p, ~0u, 7), -EPERM);
	path_put(&p);
}

static int show_lines(struct seq *s, void *arg)
{
	for (u32 i = 0; i < *(u32 *)arg; i++)
		seq_printf(s, "line %u\n", i);
	return 0;
}

TEST(files, text_files_grow_and_refill)
{
	static char buf[70000];
	u32 lines = 5000;
	struct file *f;
	u64 pos = 0;
	struct uio u;

	vfs_start();
	f = some_file();
	CHECK_EQ(seq_file_open(f, show_lines, &lines), 0);
	uio_init_kernel(&u, buf, sizeof(buf));
	i64 n = file_read(f, &u, NULL);
	CHECK_EQ(n, 10 * 7 + 90 * 8 + 900 * 9 + 4000 * 10);
	lines = 1;
	CHECK_EQ(file_lseek(f, 0, SEEK_SET), 0);
	uio_init_kernel(&u, buf, sizeof(buf));
	CHECK_EQ(file_read(f, &u, &pos), 7);
	file_put(f);
}
