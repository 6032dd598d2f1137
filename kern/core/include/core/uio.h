/*
 * A cursor over scattered memory, user or kernel: what read, write, splice and
 * sendmsg move bytes through.  Copies may be partial when user memory faults.
 * Context: may sleep when the memory is the user's (the fault is handled).
 */
#pragma once

#include <base/attrs.h>

struct uio_seg {
	u64 base;		/* user or kernel address */
	u64 len;
};

struct uio {
	const struct uio_seg *seg;
	u32 nseg;		/* segments left, the current one included */
	bool user;		/* base is a user address */
	bool append;		/* source of a write that goes to the end whatever the file's flags (RWF_APPEND) */
	u64 off;		/* in the current segment */
	u64 resid;		/* bytes left in all segments */
	struct uio_seg one;	/* storage of the single-segment forms */
};

void uio_init_kernel(struct uio *u, void *buf, u64 len);
void uio_init_user(struct uio *u, uptr_t buf, u64 len);
void uio_init_user_vec(struct uio *u, const struct uio_seg *seg, u32 nseg);	/* lengths checked by the caller */
/* Copies n bytes (at most resid) to/from the cursor and advances.  Returns bytes moved: fewer than MIN(n, resid) means a fault. */
u64 uio_copy_in(struct uio *u, void *dst, u64 n);	/* memory -> dst: the source of a write */
u64 uio_copy_out(struct uio *u, const void *src, u64 n);	/* src -> memory: the target of a read */
u64 uio_zero_out(struct uio *u, u64 n);
void uio_advance(struct uio *u, u64 n);
/* Takes back n bytes moved since init (for short device writes). */
void uio_rewind(struct uio *u, u64 n);
