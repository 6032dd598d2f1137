/* Reader of newc cpio archives (070701, and 070702 with checksums), several in a row.  Pure: works on bytes in memory. */
#pragma once

#include <base/attrs.h>

struct cpio_entry {
	const char *name;		/* NUL-terminated, in the archive */
	const u8 *data;
	u64 data_at;			/* offset of data */
	u64 size;
	u32 ino, mode, uid, gid, nlink, mtime, dev_major, dev_minor, rdev_major, rdev_minor;
	bool trailer;			/* "TRAILER!!!": links do not reach past it */
};

/*
 * The entry at *pos; *pos moves past it.  1: entry, 0: end of the input,
 * -EINVAL: damaged, *why says how and *pos where.
 */
MUST_USE int cpio_next(const u8 *buf, u64 size, u64 *pos, struct cpio_entry *e, const char **why);
