/* File layouts of the x86-64 Linux ABI: stat, statx, statfs, directory entries, locks.  Pure data. */
#pragma once

#include <base/types.h>

struct stat_k {
	u64 dev, ino, nlink;
	u32 mode, uid, gid, pad0;
	u64 rdev;
	i64 size, blksize, blocks;
	u64 atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
	i64 unused[3];
};
_Static_assert(sizeof(struct stat_k) == 144, "struct stat is 144 bytes");

struct statx_time_k { i64 sec; u32 nsec; i32 pad; };
struct statx_k {
	u32 mask, blksize;
	u64 attributes;
	u32 nlink, uid, gid;
	u16 mode, pad0;
	u64 ino, size, blocks, attributes_mask;
	struct statx_time_k atime, btime, ctime, mtime;
	u32 rdev_major, rdev_minor, dev_major, dev_minor;
	u64 mnt_id;
	u32 dio_mem_align, dio_offset_align;
	u64 spare[12];
};
_Static_assert(sizeof(struct statx_k) == 256, "struct statx is 256 bytes");
#define STATX_ATTR_MOUNT_ROOT 0x2000u
#define STATX_RESERVED	      0x80000000u

struct statfs_k {
	i64 type, bsize;
	u64 blocks, bfree, bavail, files, ffree;
	i32 fsid[2];
	i64 namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct statfs_k) == 120, "struct statfs is 120 bytes");
#define ST_VALID 0x20

struct dirent64_k {		/* header: the name follows at offset 19 */
	u64 ino;
	i64 off;
	u16 reclen;
	u8 type;
} __attribute__((packed));
struct dirent_old_k {		/* header: the name follows at offset 18, the type is the record's last byte */
	u64 ino, off;
	u16 reclen;
} __attribute__((packed));

struct flock_k {
	i16 type, whence;
	i64 start, len;
	i32 pid;
};
_Static_assert(sizeof(struct flock_k) == 32, "struct flock is 32 bytes");
struct f_owner_ex_k { i32 type, pid; };
#define F_OWNER_TID  0
#define F_OWNER_PID  1
#define F_OWNER_PGRP 2

struct open_how_user_k { u64 flags, mode, resolve; };
#define OPEN_HOW_SIZE_VER0 24
#define RESOLVE_NO_XDEV	      0x01
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS   0x04
#define RESOLVE_BENEATH	      0x08
#define RESOLVE_IN_ROOT	      0x10
#define RESOLVE_CACHED	      0x20
