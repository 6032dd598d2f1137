/* cpio: good and damaged archives, and the unpacking of the initramfs into the root.
 * host-sources: @vfs @vm
 */
#include "vfs_testlib.h"
#include "cpio.h"

#define AREA (1u << 20)			/* where the archive lies in simulated RAM */

static u8 *ar;
static u64 ar_len, ar_phys, freed_bytes;
static u64 freed_at[64], nfreed;

void mem_free_boot_range(u64 start, u64 end)
{
	CHECK_EQ(start & ~PAGE_MASK, 0);
	CHECK_EQ(end & ~PAGE_MASK, 0);
	CHECK(start >= ar_phys && end <= ar_phys + ALIGN_UP(ar_len, PAGE_SIZE));
	freed_bytes += end - start;
	if (nfreed < ARRAY_LEN(freed_at))
		freed_at[nfreed++] = start;
	memset(mmu_phys_to_virt(PADDR(start)), 0x6b, end - start);
}

static void ar_begin(void)
{
	struct page *pg;

	vfs_start();
	pg = page_alloc(8, PAGE_KERNEL, ALLOC_ZERO);	/* 1 MiB */
	VERIFY(pg);
	ar = page_addr(pg);
	ar_phys = page_to_paddr(pg).v;
	ar_len = 0;
	freed_bytes = nfreed = 0;
}

struct spec { const char *name; u32 mode, ino, nlink, mtime; const void *data; u64 size; bool aligned; u32 rdev; };

static void ar_add(const struct spec *s)
{
	u64 namesize = strlen(s->name) + 1;
	u32 f[13] = { s->ino, s->mode, 3, 4, s->nlink ? s->nlink : 1, s->mtime, (u32)s->size, 0, 0, s->rdev >> 8, s->rdev & 255, 0, 0 };

	if (s->aligned) {
		while ((ar_len + 110 + namesize) & ~PAGE_MASK)
			namesize++;
	}
	f[11] = (u32)namesize;
	memcpy(ar + ar_len, "070701", 6);
	for (u32 i = 0; i < 13; i++) {
		char hex[9];

		fmt_snprintf(hex, sizeof(hex), "%08x", f[i]);
		memcpy(ar + ar_len + 6 + 8 * i, hex, 8);
	}
	memcpy(ar + ar_len + 110, s->name, strlen(s->name));
	ar_len = ALIGN_UP(ar_len + 110 + namesize, 4ull);
	if (s->size)
		memcpy(ar + ar_len, s->data, s->size);
	ar_len = ALIGN_UP(ar_len + s->size, 4ull);
}

static void ar_end(void) { ar_add(&(struct spec){ .name = "TRAILER!!!" }); }

static int unpack(const char **why, u64 *at)
{
	*why = "";
	return initramfs_unpack(ar_phys, ar_len, why, at);
}

static u8 big[3 * PAGE_SIZE + 100];

static void fill_big(void)
{
	for (usize i = 0; i < sizeof(big); i++)
		big[i] = (u8)(i / PAGE_SIZE * 31 + i % 251 + 1);
}

static void sample(void)
{
	fill_big();
	ar_add(&(struct spec){ "d", S_IFDIR | 0750, .mtime = 1000 });
	ar_add(&(struct spec){ "d/small", S_IFREG | 04711, .mtime = 2000, .data = "hello", .size = 5 });
	ar_add(&(struct spec){ "d/big", S_IFREG | 0644, .data = big, .size = sizeof(big), .aligned = true });
	ar_add(&(struct spec){ "d/odd", S_IFREG | 0644, .data = big, .size = sizeof(big) });
	ar_add(&(struct spec){ "link", S_IFLNK | 0777, .data = "d/small", .size = 7 });
	ar_add(&(struct spec){ "null", S_IFCHR | 0666, .rdev = 0x103 });
	ar_add(&(struct spec){ "h1", S_IFREG | 0600, .ino = 9, .nlink = 2 });
	ar_add(&(struct spec){ "h2", S_IFREG | 0600, .ino = 9, .nlink = 2, .data = "both", .size = 4 });
	ar_add(&(struct spec){ "no/parent", S_IFREG | 0600, .data = "x", .size = 1 });
	ar_end();
}

static bool same_as_big(const char *name)
{
	static u8 back[sizeof(big) + 10];
	int fd = t_open(name, O_RDONLY, 0);
	bool same = t_pread(fd, back, sizeof(back), 0) == sizeof(big) && !memcmp(back, big, sizeof(big));

	CHECK_EQ(t_close(fd), 0);
	return same;
}

TEST(initramfs, everything_arrives)
{
	const char *why;
	struct kstat st;
	u64 at;

	ar_begin();
	sample();
	CHECK_EQ(unpack(&why, &at), 0);
	CHECK_STR_EQ(why, "");
	CHECK_EQ(t_stat("/d", &st), 0);
	CHECK_EQ(st.mode, S_IFDIR | 0750);
	CHECK_EQ(st.mtime.sec, 1000);
	CHECK_EQ(st.uid, 3);
	CHECK_EQ(st.gid, 4);
	CHECK_EQ(t_lstat("/link", &st), 0);
	CHECK_EQ(st.mode, S_IFLNK | 0777);
	CHECK_EQ(st.size, 7);
	CHECK_EQ(t_stat("/link", &st), 0);
	CHECK_STR_EQ(t_slurp("/link"), "hello");
	CHECK_EQ(t_stat("/d/small", &st), 0);
	CHECK_EQ(st.mode, S_IFREG | 04711);
	CHECK_EQ(st.mtime.sec, 2000);
	CHECK(same_as_big("/d/big"));
	CHECK(same_as_big("/d/odd"));
	CHECK_EQ(t_stat("/d/big", &st), 0);
	CHECK_EQ(st.blocks, 32);
	CHECK_EQ(t_stat("/null", &st), 0);
	CHECK_EQ(st.rdev, dev_make(1, 3));
	CHECK_STR_EQ(t_slurp("/h1"), "both");
	CHECK_EQ(t_stat("/h2", &st), 0);
	CHECK_EQ(st.nlink, 2);
	CHECK_EQ(t_exists("/no"), -ENOENT);
}

TEST(initramfs, aligned_data_stays_where_it_is)
{
	const char *why;
	struct page *pg;
	struct path p;
	u64 at, end;

	ar_begin();
	sample();
	end = ar_len;
	CHECK_EQ(unpack(&why, &at), 0);
	CHECK_EQ(vfs_walk(&tc, AT_FDCWD, "/d/big", 0, &p), 0);
	CHECK(p.dentry->vnode->flags & VN_IMMUTABLE);
	CHECK_EQ(pagecache_get(&p.dentry->vnode->object, 1, &pg), 0);
	CHECK_EQ(pg->use, PAGE_IMAGE);
	CHECK((u8 *)page_addr(pg) >= ar && (u8 *)page_addr(pg) < ar + end);
	page_put(pg);
	/* The tail shares its frame with the next header: it is a copy, zero after the end. */
	CHECK_EQ(pagecache_get(&p.dentry->vnode->object, 3, &pg), 0);
	CHECK_EQ(((u8 *)page_addr(pg))[99], big[3 * PAGE_SIZE + 99]);
	for (u32 i = 100; i < PAGE_SIZE; i++)
		NEED(((u8 *)page_addr(pg))[i] == 0);
	page_put(pg);
	CHECK_EQ(freed_bytes, ALIGN_DOWN(end, PAGE_SIZE) - 3 * PAGE_SIZE);
	path_put(&p);
}

TEST(initramfs, in_place_files_can_be_changed)
{
	const char *why;
	struct kstat st;
	u8 back[16];
	u64 at;
	int fd;

	ar_begin();
	sample();
	CHECK_EQ(unpack(&why, &at), 0);
	fd = t_open("/d/big", O_RDWR, 0);
	CHECK_EQ(t_pwrite(fd, "XYZ", 3, PAGE_SIZE + 5), 3);
	CHECK_EQ(t_pread(fd, back, 8, PAGE_SIZE + 3), 8);
	CHECK_EQ(back[1], big[PAGE_SIZE + 4]);
	CHECK_EQ(back[2], 'X');
	CHECK_EQ(back[5], big[PAGE_SIZE + 8]);
	CHECK_EQ(t_stat("/d/big", &st), 0);
	CHECK_EQ(st.blocks, 32);
	CHECK(!(t_file(fd)->vnode->flags & VN_IMMUTABLE));
	CHECK_EQ(vfs_ftruncate(&tc, t_file(fd), PAGE_SIZE + 6), 0);
	CHECK_EQ(vfs_ftruncate(&tc, t_file(fd), 3 * PAGE_SIZE), 0);
	CHECK_EQ(t_pread(fd, back, 4, PAGE_SIZE + 4), 4);
	CHECK_EQ(back[0], big[PAGE_SIZE + 4]);
	CHECK_EQ(back[1], 'X');
	CHECK_EQ(back[2], 0);			/* the old bytes do not come back */
	CHECK_EQ(t_pread(fd, back, 4, 2 * PAGE_SIZE), 4);
	CHECK_EQ(back[0], 0);
	CHECK_EQ(t_stat("/d/big", &st), 0);
	CHECK_EQ(st.blocks, 16);
	CHECK_EQ(vfs_ftruncate(&tc, t_file(fd), 0), 0);
	CHECK_EQ(t_stat("/d/big", &st), 0);
	CHECK_EQ(st.blocks, 0);
	CHECK_EQ(t_close(fd), 0);
	CHECK_EQ(t_unlink("/d/big"), 0);
}

TEST(initramfs, later_entries_replace_earlier_ones)
{
	const char *why;
	struct kstat st;
	u64 at;

	ar_begin();
	ar_add(&(struct spec){ "a", S_IFREG | 0644, .data = "old and long", .size = 12 });
	ar_add(&(struct spec){ "b", S_IFDIR | 0755 });
	ar_add(&(struct spec){ "c", S_IFLNK | 0777, .data = "a", .size = 1 });
	ar_end();
	ar_len = ALIGN_UP(ar_len, 512ull);		/* padding, then a second archive */
	ar_add(&(struct spec){ "a", S_IFREG | 0600, .data = "new", .size = 3 });
	ar_add(&(struct spec){ "b", S_IFREG | 0644, .data = "file", .size = 4 });
	ar_add(&(struct spec){ "c", S_IFLNK | 0777, .data = "b", .size = 1 });
	ar_end();
	CHECK_EQ(unpack(&why, &at), 0);
	CHECK_STR_EQ(t_slurp("/a"), "new");
	CHECK_STR_EQ(t_slurp("/c"), "file");
	CHECK_EQ(t_stat("/a", &st), 0);
	CHECK_EQ(st.mode & 07777, 0600);
}

TEST(initramfs, refusals_say_why)
{
	static const struct { const char *magic; u64 n; const char *word; } bad[] = {
		{ "\x1f\x8b\x08", 3, "gzip" }, { "\xfd" "7zXZ", 6, "xz" }, { "BZh9", 4, "bzip2" },
		{ "\x28\xb5\x2f\xfd", 4, "zstd" }, { "070707", 6, "newc" }, { "garbage!", 8, "no cpio header" },
	};
	const char *why;
	u64 at;

	ar_begin();
	CHECK_EQ(unpack(&why, &at), -ENOENT);
	for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
		memset(ar, 0, 256);
		memcpy(ar, bad[i].magic, bad[i].n);
		ar_len = 256;
		CHECK_EQ(unpack(&why, &at), -EINVAL);
		CHECK(strstr(why, bad[i].word) != NULL);
		CHECK_EQ(at, 0);
	}
}

TEST(initramfs, every_cut_is_found)
{
	const char *why;
	u64 full, at;

	ar_begin();
	ar_add(&(struct spec){ "a", S_IFREG | 0644, .data = "some text", .size = 9 });
	ar_add(&(struct spec){ "b", S_IFREG | 0644, .data = "more", .size = 4 });
	full = ar_len;
	for (ar_len = 1; ar_len < full; ar_len++) {
		int err = unpack(&why, &at);

		CHECK(err == -EINVAL || ar_len == 124 + 0 || err == 0);
		if (err)
			CHECK(why[0] != 0);
		CHECK(at <= ar_len);
	}
}

TEST(initramfs, damaged_headers_never_panic)
{
	const char *why;
	u64 at, full;
	u8 *copy;

	ar_begin();
	sample();
	full = ar_len;
	copy = kmemdup(ar, full);
	for (u32 n = 0; n < 300; n++) {
		memcpy(ar, copy, full);
		ar_len = full;
		for (u32 k = 0; k < 3; k++)
			ar[host_random_below(800)] = (u8)host_random();
		struct cpio_entry e;
		u64 pos = 0;

		while (cpio_next(ar, ar_len, &pos, &e, &why) == 1)
			CHECK(pos <= ar_len);
		(void)at;
	}
	kfree(copy);
}

TEST(initramfs, checksums_are_checked)
{
	struct cpio_entry e;
	const char *why = "";
	u64 pos = 0;

	ar_begin();
	ar_add(&(struct spec){ "a", S_IFREG | 0644, .data = "abc", .size = 3 });
	ar[5] = '2';
	memcpy(ar + 6 + 8 * 12, "00000126", 8);
	CHECK_EQ(cpio_next(ar, ar_len, &pos, &e, &why), 1);
	CHECK_EQ(e.size, 3);
	pos = 0;
	ar[6 + 8 * 12 + 7] = '7';
	CHECK_EQ(cpio_next(ar, ar_len, &pos, &e, &why), -EINVAL);
	CHECK_STR_EQ(why, "a checksum is wrong");
}
