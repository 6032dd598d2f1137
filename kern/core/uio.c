/* See core/uio.h. */
#include <arch/usercopy.h>
#include <base/string.h>
#include <core/uio.h>

static void init_vec(struct uio *u, bool user, const struct uio_seg *seg, u32 nseg)
{
	*u = (struct uio){ .seg = seg, .nseg = nseg, .user = user };
	for (u32 i = 0; i < nseg; i++)
		u->resid += seg[i].len;
}

void uio_init_kernel_vec(struct uio *u, const struct uio_seg *seg, u32 nseg)
{
	init_vec(u, false, seg, nseg);
}

void uio_init_user_vec(struct uio *u, const struct uio_seg *seg, u32 nseg)
{
	init_vec(u, true, seg, nseg);
}

/* Bytes at the cursor in the current segment, after skipping used-up ones. */
static u64 room(struct uio *u)
{
	while (u->nseg && u->off == u->seg->len) {
		if (u->nseg == 1)
			return 0;
		u->seg++;
		u->nseg--;
		u->off = 0;
	}
	return u->nseg ? u->seg->len - u->off : 0;
}

static void step(struct uio *u, u64 n)
{
	u->off += n;
	u->resid -= n;
}

u64 uio_copy_in_slow(struct uio *u, void *dst, u64 n)
{
	u64 done = 0;

	while (done < n) {
		u64 len = MIN(room(u), n - done), left = 0, at;

		if (!len)
			break;
		at = u->seg->base + u->off;
		if (u->user)
			left = user_copy_in((char *)dst + done, UPTR(at), len);
		else
			memcpy((char *)dst + done, (const void *)at, len);
		step(u, len - left);
		done += len - left;
		if (left)
			break;
	}
	return done;
}

u64 uio_copy_out_slow(struct uio *u, const void *src, u64 n)
{
	u64 done = 0;

	while (done < n) {
		u64 len = MIN(room(u), n - done), left = 0, at;

		if (!len)
			break;
		at = u->seg->base + u->off;
		if (u->user)
			left = user_copy_out(UPTR(at), (const char *)src + done, len);
		else
			memcpy((void *)at, (const char *)src + done, len);
		step(u, len - left);
		done += len - left;
		if (left)
			break;
	}
	return done;
}

u64 uio_zero_out(struct uio *u, u64 n)
{
	u64 done = 0;

	while (done < n) {
		u64 len = MIN(room(u), n - done), left = 0, at;

		if (!len)
			break;
		at = u->seg->base + u->off;
		if (u->user)
			left = user_zero(UPTR(at), len);
		else
			memset((void *)at, 0, len);
		step(u, len - left);
		done += len - left;
		if (left)
			break;
	}
	return done;
}

void uio_advance_slow(struct uio *u, u64 n)
{
	while (n) {
		u64 len = MIN(room(u), n);

		if (!len)
			return;
		step(u, len);
		n -= len;
	}
}

void uio_rewind(struct uio *u, u64 n)
{
	u->resid += n;
	while (n > u->off) {
		n -= u->off;
		u->seg--;
		u->nseg++;
		u->off = u->seg->len;
	}
	u->off -= n;
}
