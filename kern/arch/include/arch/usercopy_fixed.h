/*
 * Copies of a few known bytes to and from user memory, where the caller stands:
 * no call, no loop, two instructions a word.  Included by arch/usercopy.h, and
 * by x86_64 code for the macros.  tests/host has its own.
 */
#pragma once

#include <base/attrs.h>

/* A fault between the labels `first` and `end` continues at `fixup`. */
#define EXTABLE_RANGE(first, end, fixup) \
	".pushsection .extable, \"a\"\n\t.balign 4\n\t.long " first " - ., " end " - ., " fixup " - .\n\t.popsection\n\t"
/* Three-byte NOPs that become STAC or CLAC at boot where the CPU has SMAP. */
#define SMAP_SITE_TEXT(last) \
	"771: .byte 0x0f, 0x1f, 0x00\n\t.pushsection .smap_sites, \"a\"\n\t.balign 4\n\t" \
	".long 771b - ., " last "\n\t.popsection\n\t"
#define STAC SMAP_SITE_TEXT("0xcb")
#define CLAC SMAP_SITE_TEXT("0xca")

#define USER_COPY_FIXED_MAX 144		/* bytes: beyond it a call costs less code than it costs time */

/*
 * The address, or the first one that no program can have mapped: also on a mispredicted path.  A short range
 * that begins below it and ends above runs into that page, too.
 */
static ALWAYS_INLINE u64 user_clamp_start(u64 p)
{
	u64 limit = 0x00007ffffffff000ull;

	__asm__("cmpq %1, %0\n\tcmovaq %1, %0" : "+r"(p) : "r"(limit) : "cc");
	return p;
}

/* Words, then a last 4, 2 and 1 byte.  t: the register between source and destination. */
#define COPY_FIXED_TEXT							\
	".set ucf_at, 0\n\t"						\
	".rept %c[n] / 8\n\t"						\
	"movq ucf_at(%[s]), %%rax\n\tmovq %%rax, ucf_at(%[d])\n\t.set ucf_at, ucf_at + 8\n\t" \
	".endr\n\t"							\
	".if %c[n] & 4\n\t"						\
	"movl ucf_at(%[s]), %%eax\n\tmovl %%eax, ucf_at(%[d])\n\t.set ucf_at, ucf_at + 4\n\t" \
	".endif\n\t"							\
	".if %c[n] & 2\n\t"						\
	"movw ucf_at(%[s]), %%ax\n\tmovw %%ax, ucf_at(%[d])\n\t.set ucf_at, ucf_at + 2\n\t" \
	".endif\n\t"							\
	".if %c[n] & 1\n\t"						\
	"movb ucf_at(%[s]), %%al\n\tmovb %%al, ucf_at(%[d])\n\t"	\
	".endif\n\t"

/* true: all n bytes moved.  n: a constant.  Which side is the user's does not matter to the instructions. */
static ALWAYS_INLINE bool user_move_fixed(void *d, const void *s, const u64 n)
{
	__asm__ goto(STAC "1:" COPY_FIXED_TEXT "2:" CLAC EXTABLE_RANGE("1b", "2b", "%l[fault]")
		     :: [d] "r"(d), [s] "r"(s), [n] "i"(n) : "rax", "memory" : fault);
	return true;
fault:
	__asm__ volatile(CLAC ::: "memory");
	return false;
}

static ALWAYS_INLINE bool user_in_fixed(void *dst, uptr_t src, const u64 n)
{
	return user_move_fixed(dst, (const void *)user_clamp_start(src.v), n);
}
static ALWAYS_INLINE bool user_out_fixed(uptr_t dst, const void *src, const u64 n)
{
	return user_move_fixed((void *)user_clamp_start(dst.v), src, n);
}
