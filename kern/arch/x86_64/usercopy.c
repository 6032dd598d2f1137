/*
 * User memory.  Each access sits between STAC and CLAC and has an entry in the
 * exception table; the page-fault handler first asks vm_fault_user() and, when
 * that fails, continues at the fixup (trap.c).
 * Whole words first, then bytes: after a fault in a word the byte loop finds
 * the exact end.  `rep movsq` runs at full speed on processors with fast
 * strings too, so there is one variant.
 */
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/percpu.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define USER_LIMIT 0x00007ffffffff000ull
#define ONES	   0x0101010101010101ull

DEFINE_PER_CPU(u32, usercopy_nofault_depth);

/* The address, or 0 when the range leaves user memory: also on a mispredicted path. */
static ALWAYS_INLINE u64 user_clamp(uptr_t p, u64 n)
{
	u64 mask, last = USER_LIMIT - n;

	__asm__("cmp %1, %2\n\tsbb %0, %0" : "=r"(mask) : "r"(p.v), "r"(last) : "cc");
	return p.v & ~mask;
}

static u64 copy_long(void *dst, const void *src, u64 n)
{
	u64 left = n / 8;

	__asm__ volatile(STAC
		"1: rep movsq\n\t"
		"mov %[tail], %%rcx\n\t"
		"2: rep movsb\n\t"
		"3: " CLAC
		".pushsection .text.fixup, \"ax\"\n\t"
		"4: lea (%[tail], %%rcx, 8), %%rcx\n\t"
		"jmp 2b\n\t"
		".popsection\n\t"
		EXTABLE_TEXT("1b", "4b") EXTABLE_TEXT("2b", "3b")
		: "+c"(left), "+D"(dst), "+S"(src) : [tail] "r"(n % 8) : "memory");
	return left;
}

/*
 * Indexed from the end of the last whole word: i counts up to 0 through the words, and on through the tail, so
 * that it tells after a fault anywhere from where the bytes are to be tried one by one.
 */
static u64 copy_short(void *dst, const void *src, u64 n)
{
	u64 words = n & ~7ull, tail = n & 7, i = -words, t;

	__asm__ volatile(STAC
		"10: cmp $-32, %[i]\n\t"
		"jg 2f\n\t"
		"1: mov (%[s], %[i]), %[t]\n\tmov %[t], (%[d], %[i])\n\t"
		"mov 8(%[s], %[i]), %[t]\n\tmov %[t], 8(%[d], %[i])\n\t"
		"mov 16(%[s], %[i]), %[t]\n\tmov %[t], 16(%[d], %[i])\n\t"
		"mov 24(%[s], %[i]), %[t]\n\tmov %[t], 24(%[d], %[i])\n\t"
		"add $32, %[i]\n\t"
		"cmp $-32, %[i]\n\t"
		"jle 1b\n\t"
		"2: test %[i], %[i]\n\t"
		"jz 4f\n\t"
		"3: mov (%[s], %[i]), %[t]\n\tmov %[t], (%[d], %[i])\n\t"
		"add $8, %[i]\n\t"
		"jnz 3b\n\t"
		"4: test %[tail], %[tail]\n\t"
		"jz 8f\n\t"
		"testb $4, %b[tail]\n\t"
		"jz 5f\n\t"
		"movl (%[s]), %k[t]\n\tmovl %k[t], (%[d])\n\t"
		"add $4, %[i]\n\t"
		"5: testb $2, %b[tail]\n\t"
		"jz 6f\n\t"
		"movw (%[s], %[i]), %w[t]\n\tmovw %w[t], (%[d], %[i])\n\t"
		"add $2, %[i]\n\t"
		"6: testb $1, %b[tail]\n\t"
		"jz 8f\n\t"
		"movb (%[s], %[i]), %b[t]\n\tmovb %b[t], (%[d], %[i])\n\t"
		"inc %[i]\n\t"
		"8: " CLAC
		".pushsection .text.fixup, \"ax\"\n\t"
		"7: cmp %[i], %[tail]\n\t"
		"je 8b\n\t"
		"9: movb (%[s], %[i]), %b[t]\n\tmovb %b[t], (%[d], %[i])\n\t"
		"11: inc %[i]\n\t"
		"jmp 7b\n\t"
		".popsection\n\t"
		EXTABLE_RANGE("10b", "8b", "7b") EXTABLE_RANGE("9b", "11b", "8b")
		: [i] "+r"(i), [t] "=&q"(t)
		: [s] "r"((const u8 *)src + words), [d] "r"((u8 *)dst + words), [tail] "q"(tail) : "memory", "cc");
	return tail - i;
}

/* Bytes not copied. */
static ALWAYS_INLINE u64 copy_raw(void *dst, const void *src, u64 n)
{
	return n <= 96 ? copy_short(dst, src, n) : copy_long(dst, src, n);
}

u64 user_copy_in(void *dst, uptr_t src, u64 n)
{
	if (unlikely(!user_range_ok(src, n)))
		return n;
	return copy_raw(dst, (const void *)user_clamp(src, n), n);
}

u64 user_copy_out(uptr_t dst, const void *src, u64 n)
{
	if (unlikely(!user_range_ok(dst, n)))
		return n;
	return copy_raw((void *)user_clamp(dst, n), src, n);
}

u64 user_zero(uptr_t dst, u64 n)
{
	u64 left = n / 8, at;

	if (unlikely(!user_range_ok(dst, n)))
		return n;
	at = user_clamp(dst, n);
	__asm__ volatile(STAC
		"1: rep stosq\n\t"
		"mov %[tail], %%rcx\n\t"
		"2: rep stosb\n\t"
		"3: " CLAC
		".pushsection .text.fixup, \"ax\"\n\t"
		"4: lea (%[tail], %%rcx, 8), %%rcx\n\t"
		"jmp 2b\n\t"
		".popsection\n\t"
		EXTABLE_TEXT("1b", "4b") EXTABLE_TEXT("2b", "3b")
		: "+c"(left), "+D"(at) : "a"(0), [tail] "r"(n % 8) : "memory");
	return left;
}

u64 user_copy_in_nofault(void *dst, uptr_t src, u64 n)
{
	u64 left;

	this_cpu_inc(usercopy_nofault_depth);
	left = user_copy_in(dst, src, n);
	this_cpu_add(usercopy_nofault_depth, -1);
	return left;
}

u64 user_copy_out_nofault(uptr_t dst, const void *src, u64 n)
{
	u64 left;

	this_cpu_inc(usercopy_nofault_depth);
	left = user_copy_out(dst, src, n);
	this_cpu_add(usercopy_nofault_depth, -1);
	return left;
}

/* Between user_open() and user_close(). */
#define LOAD_USER(insn, cons, T, name)						\
static ALWAYS_INLINE bool name(u64 at, T *out)					\
{										\
	T v;									\
										\
	__asm__ goto("1: " insn " %1, %0\n\t" EXTABLE_TEXT("1b", "%l[fault]")	\
		     : cons(v) : "m"(*(const T *)at) :: fault);			\
	*out = v;								\
	return true;								\
fault:										\
	return false;								\
}
LOAD_USER("movq", "=r", u64, load_user_8)
LOAD_USER("movl", "=r", u32, load_user_4)
LOAD_USER("movb", "=q", u8, load_user_1)

static ALWAYS_INLINE void user_open(void) { __asm__ volatile(STAC ::: "memory"); }
static ALWAYS_INLINE void user_close(void) { __asm__ volatile(CLAC ::: "memory"); }

/* The loop of str_scan(), with user memory open; room: bytes that are max's and below the end of user memory. */
static ALWAYS_INLINE i64 str_scan_open(char *dst, u64 base, u64 room)
{
	u64 i = 0, end, v;
	u8 c;

	while (i < room) {
		end = i + MIN(room - i, PAGE_SIZE - ((base + i) & ~PAGE_MASK));
		/* A word inside one page faults only where its first byte would. */
		for (; i + 8 <= end; i += 8) {
			if (!load_user_8(base + i, &v))
				return -EFAULT;
			if (dst)
				__builtin_memcpy(dst + i, &v, 8);
			v = (v - ONES) & ~v & (ONES << 7);
			if (v)
				return i + __builtin_ctzll(v) / 8;
		}
		for (; i < end; i++) {
			if (!load_user_1(base + i, &c))
				return -EFAULT;
			if (dst)
				dst[i] = c;
			if (!c)
				return i;
		}
	}
	return room;
}

/* Looks for a NUL in at most max bytes, copying to dst unless it is NULL: length, max if there is none, -EFAULT. */
static ALWAYS_INLINE i64 str_scan(char *dst, uptr_t src, u64 max)
{
	u64 room, base;
	i64 n;

	if (src.v >= USER_LIMIT)
		return max ? -EFAULT : 0;
	base = user_clamp(src, 0);
	room = MIN(max, USER_LIMIT - base);
	user_open();
	n = str_scan_open(dst, base, room);
	user_close();
	return n == (i64)room && room != max ? -EFAULT : n;
}

i64 user_strnlen(uptr_t s, u64 max)
{
	i64 n = str_scan(NULL, s, max);

	return n == (i64)max ? n + 1 : n;
}

NONNULL i64 user_str_copy_in(char *dst, uptr_t src, u64 size)
{
	i64 n = str_scan(dst, src, size);

	return n == (i64)size ? -ENAMETOOLONG : n;
}

int user_load_u32_nofault(uptr_t p, u32 *out)
{
	bool ok;

	if (!user_range_ok(p, 4))
		return -EFAULT;
	this_cpu_inc(usercopy_nofault_depth);
	user_open();
	ok = load_user_4(user_clamp(p, 4), out);
	user_close();
	this_cpu_add(usercopy_nofault_depth, -1);
	return ok ? 0 : -EFAULT;
}

static bool cas_raw(u64 at, u32 *expect, u32 desired)
{
	__asm__ goto(STAC "1: lock cmpxchgl %[d], (%[p])\n\t" CLAC EXTABLE_TEXT("1b", "%l[fault]")
		     : "+a"(*expect) : [d] "r"(desired), [p] "r"(at) : "memory", "cc" : fault);
	return true;
fault:
	__asm__ volatile(CLAC ::: "memory");
	return false;
}

int user_cas_u32_nofault(uptr_t p, u32 expect, u32 desired, u32 *old)
{
	u32 seen = expect;
	bool ok;

	if (!user_range_ok(p, 4))
		return -EFAULT;
	this_cpu_inc(usercopy_nofault_depth);
	ok = cas_raw(user_clamp(p, 4), &seen, desired);
	this_cpu_add(usercopy_nofault_depth, -1);
	if (!ok)
		return -EFAULT;
	*old = seen;
	return 0;
}

int user_futex_op_nofault(uptr_t p, u32 op, u32 arg, u32 *old)
{
	u32 seen, want;
	int err = user_load_u32_nofault(p, &seen);

	for (;;) {
		u32 was = seen;

		if (err)
			return err;
		switch (op) {
		case 0: want = arg; break;
		case 1: want = was + arg; break;
		case 2: want = was | arg; break;
		case 3: want = was & ~arg; break;
		case 4: want = was ^ arg; break;
		default: return -ENOSYS;
		}
		err = user_cas_u32_nofault(p, was, want, &seen);
		if (!err && seen == was) {
			*old = was;
			return 0;
		}
	}
}

int kernel_read_u64_nofault(u64 addr, u64 *out)
{
	bool ok = false;
	u64 v = 0;

	this_cpu_inc(usercopy_nofault_depth);
	__asm__ volatile("1: mov (%2), %0\n\t"
			 "movb $1, %1\n\t"
			 "2:\n\t"
			 EXTABLE_TEXT("1b", "2b")
			 : "+r"(v), "+q"(ok) : "r"(addr) : "memory");
	this_cpu_add(usercopy_nofault_depth, -1);
	*out = v;
	return ok ? 0 : -EFAULT;
}
