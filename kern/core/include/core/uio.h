/*
 * A cursor over scattered memory, user or kernel: what read, write, splice and
 * sendmsg move bytes through.  Copies may be partial when user memory faults.
 * Context: may sleep when the memory is the user's (the fault is handled).
 */
#pragma once

#include <arch/usercopy.h>
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
	u64 no_pos;		/* the position of a file that has none, for read and write operations; means nothing */
	struct uio_seg one;	/* storage of the single-segment forms */
};

static inline void uio_init_one(struct uio *u, bool user, u64 base, u64 len)
{
	u->seg = &u->one;
	u->nseg = 1;
	u->user = user;
	u->append = false;
	u->off = 0;
	u->resid = len;
	u->one = (struct uio_seg){ base, len };
}
static inline void uio_init_kernel(struct uio *u, void *buf, u64 len) { uio_init_one(u, false, (u64)buf, len); }
static inline void uio_init_user(struct uio *u, uptr_t buf, u64 len) { uio_init_one(u, true, buf.v, len); }
void uio_init_kernel_vec(struct uio *u, const struct uio_seg *seg, u32 nseg);
/* total: the sum of the lengths, which the caller has checked. */
static inline void uio_init_user_total(struct uio *u, const struct uio_seg *seg, u32 nseg, u64 total)
{
	u->seg = seg;
	u->nseg = nseg;
	u->user = true;
	u->append = false;
	u->off = 0;
	u->resid = total;
}
void uio_init_user_vec(struct uio *u, const struct uio_seg *seg, u32 nseg);	/* lengths checked by the caller */

/* The forms that know segments and the kernel's own memory: through the inline ones below. */
u64 uio_copy_in_slow(struct uio *u, void *dst, u64 n);
u64 uio_copy_out_slow(struct uio *u, const void *src, u64 n);
void uio_advance_slow(struct uio *u, u64 n);

/* Are the next n bytes in the current segment, and it the user's? */
static inline bool uio_is_plain(const struct uio *u, u64 n) { return likely(u->user && n <= u->seg->len - u->off); }
static inline void uio_step(struct uio *u, u64 n)
{
	u->off += n;
	u->resid -= n;
}

/* Copies n bytes (at most resid) to/from the cursor and advances.  Returns bytes moved: fewer than MIN(n, resid) means a fault. */
static inline u64 uio_copy_in(struct uio *u, void *dst, u64 n)		/* memory -> dst: the source of a write */
{
	if (!uio_is_plain(u, n))
		return uio_copy_in_slow(u, dst, n);
	n -= user_copy_in(dst, UPTR(u->seg->base + u->off), n);
	uio_step(u, n);
	return n;
}
static inline u64 uio_copy_out(struct uio *u, const void *src, u64 n)	/* src -> memory: the target of a read */
{
	if (!uio_is_plain(u, n))
		return uio_copy_out_slow(u, src, n);
	n -= user_copy_out(UPTR(u->seg->base + u->off), src, n);
	uio_step(u, n);
	return n;
}
/* One object, with resid enough for it, by a copy of known size: true if it moved. */
#define uio_get(u, dst) uio_get_fixed((u), (dst), sizeof(*(dst)))
#define uio_put(u, src) uio_put_fixed((u), (src), sizeof(*(src)))
static ALWAYS_INLINE bool uio_get_fixed(struct uio *u, void *dst, const u64 n)
{
	if (!uio_is_plain(u, n))
		return uio_copy_in_slow(u, dst, n) == n;
	if (!user_in_fixed(dst, UPTR(u->seg->base + u->off), n))
		return false;
	uio_step(u, n);
	return true;
}
static ALWAYS_INLINE bool uio_put_fixed(struct uio *u, const void *src, const u64 n)
{
	if (!uio_is_plain(u, n))
		return uio_copy_out_slow(u, src, n) == n;
	if (!user_out_fixed(UPTR(u->seg->base + u->off), src, n))
		return false;
	uio_step(u, n);
	return true;
}
static inline void uio_advance(struct uio *u, u64 n)
{
	if (uio_is_plain(u, n))
		uio_step(u, n);
	else
		uio_advance_slow(u, n);
}
u64 uio_zero_out(struct uio *u, u64 n);
/* Takes back n bytes moved since init (for short device writes). */
void uio_rewind(struct uio *u, u64 n);
