/* arch/usercopy.h: user addresses are host addresses; page 0 and one chosen range fault. */
#include <arch/usercopy.h>
#include <test/test.h>

static u64 bad_start, bad_end;

void host_user_bad(const void *start, u64 len)
{
	bad_start = (u64)start;
	bad_end = bad_start + len;
}

/* Bytes of [p, p + n) before the first that faults. */
static u64 good_bytes(uptr_t p, u64 n)
{
	if (p.v < PAGE_SIZE || !user_range_ok(p, n))
		return 0;
	if (bad_end > bad_start && p.v < bad_end && p.v + n > bad_start)
		return p.v < bad_start ? bad_start - p.v : 0;
	return n;
}

u64 user_copy_in(void *dst, uptr_t src, u64 n)
{
	u64 ok = good_bytes(src, n);

	memcpy(dst, (void *)src.v, ok);
	return n - ok;
}

u64 user_copy_out(uptr_t dst, const void *src, u64 n)
{
	u64 ok = good_bytes(dst, n);

	memcpy((void *)dst.v, src, ok);
	return n - ok;
}

u64 user_zero(uptr_t dst, u64 n)
{
	u64 ok = good_bytes(dst, n);

	memset((void *)dst.v, 0, ok);
	return n - ok;
}

u64 user_copy_in_nofault(void *dst, uptr_t src, u64 n) { return user_copy_in(dst, src, n); }
u64 user_copy_out_nofault(uptr_t dst, const void *src, u64 n) { return user_copy_out(dst, src, n); }

i64 user_strnlen(uptr_t s, u64 max)
{
	for (u64 i = 0; i < max; i++) {
		if (!good_bytes(uptr_add(s, i), 1))
			return -EFAULT;
		if (!*(char *)(s.v + i))
			return (i64)i;
	}
	return (i64)max + 1;
}

i64 user_str_copy_in(char *dst, uptr_t src, u64 size)
{
	for (u64 i = 0; i < size; i++) {
		if (user_copy_in(dst + i, uptr_add(src, i), 1))
			return -EFAULT;
		if (!dst[i])
			return (i64)i;
	}
	return -ENAMETOOLONG;
}

int user_load_u32_nofault(uptr_t p, u32 *out)
{
	return user_copy_in(out, p, sizeof(*out)) ? -EFAULT : 0;
}

int user_cas_u32_nofault(uptr_t p, u32 expect, u32 desired, u32 *old)
{
	if (good_bytes(p, 4) != 4)
		return -EFAULT;
	*old = expect;
	(void)__atomic_compare_exchange_n((u32 *)p.v, old, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return 0;
}

int user_futex_op_nofault(uptr_t p, u32 op, u32 arg, u32 *old)
{
	u32 *w = (u32 *)p.v;

	if (good_bytes(p, 4) != 4)
		return -EFAULT;
	*old = *w;
	switch (op) {
	case 0: *w = arg; return 0;
	case 1: *w += arg; return 0;
	case 2: *w |= arg; return 0;
	case 3: *w &= ~arg; return 0;
	case 4: *w ^= arg; return 0;
	default: return -ENOSYS;
	}
}
