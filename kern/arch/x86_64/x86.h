/*
 * x86-64 instructions, registers and layout constants.  Private to arch.
 * Also read by assembly (constants only).
 */
#pragma once

#define KERNEL_OFFSET 0xffffffff80000000

#define SEL_KERNEL_CS 0x10
#define SEL_KERNEL_DS 0x18
#define SEL_USER_DS   0x2b	/* as on Linux: programs see these numbers */
#define SEL_USER_CS   0x33
#define SEL_TSS	      0x40

#define MSR_APIC_BASE	   0x1b
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_X2APIC	   0x800
#define MSR_EFER	   0xc0000080
#define MSR_STAR	   0xc0000081
#define MSR_LSTAR	   0xc0000082
#define MSR_CSTAR	   0xc0000083
#define MSR_FMASK	   0xc0000084
#define MSR_FS_BASE	   0xc0000100
#define MSR_GS_BASE	   0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX	   0xc0000103

#define EFER_SCE 0x1
#define EFER_LME 0x100
#define EFER_NXE 0x800

#define CR0_PE 0x1
#define CR0_MP 0x2
#define CR0_EM 0x4
#define CR0_TS 0x8
#define CR0_NE 0x20
#define CR0_WP 0x10000
#define CR0_AM 0x40000
#define CR0_PG 0x80000000

#define CR4_PAE	       0x20
#define CR4_MCE	       0x40
#define CR4_PGE	       0x80
#define CR4_OSFXSR     0x200
#define CR4_OSXMMEXCPT 0x400
#define CR4_UMIP       0x800
#define CR4_FSGSBASE   0x10000
#define CR4_PCIDE      0x20000
#define CR4_OSXSAVE    0x40000
#define CR4_SMEP       0x100000
#define CR4_SMAP       0x200000

#define RFLAGS_FIXED 0x2
#define RFLAGS_TF    0x100
#define RFLAGS_IF    0x200
#define RFLAGS_DF    0x400
#define RFLAGS_IOPL  0x3000
#define RFLAGS_NT    0x4000
#define RFLAGS_RF    0x10000
#define RFLAGS_AC    0x40000
/* What user mode may choose: arithmetic flags, TF, DF, NT, RF, AC, ID. */
#define RFLAGS_USER  0x254dd5

/* What ptrace may: arithmetic flags, TF, DF, NT, RF, AC. */
#define RFLAGS_PTRACE 0x54dd5

/* Offsets in struct trapframe. */
#define TF_R15	    0
#define TF_R14	    8
#define TF_R13	    16
#define TF_R12	    24
#define TF_RBP	    32
#define TF_RBX	    40
#define TF_R11	    48
#define TF_R10	    56
#define TF_R9	    64
#define TF_R8	    72
#define TF_RAX	    80
#define TF_RCX	    88
#define TF_RDX	    96
#define TF_RSI	    104
#define TF_RDI	    112
#define TF_ORIG_RAX 120
#define TF_RIP	    128
#define TF_CS	    136
#define TF_RFLAGS   144
#define TF_RSP	    152
#define TF_SS	    160
#define TF_SIZE	    168

/* Offsets in struct arch_thread, and of the thread's flags behind it. */
#define AT_CALL_AT     44
#define AT_CALL_NR     112
#define AT_CALL_RESULT 368
#define AT_FLAGS       624

/* Offsets in struct percpu_head (fixed: the compiler reads the canary at %gs:0x28). */
#define PCPU_SELF    0x00
#define PCPU_KSTACK  0x08
#define PCPU_SCRATCH 0x10
#define PCPU_CANARY  0x28

/* Vectors. */
#define VEC_DEVICE_FIRST 0x30
#define VEC_DEVICE_LAST	 0xdf
#define VEC_TIMER	 0xec
#define VEC_RESCHEDULE	 0xed
#define VEC_CALL	 0xee
#define VEC_FLUSH	 0xef
#define VEC_ERROR	 0xfe
#define VEC_SPURIOUS	 0xff

#ifdef __ASSEMBLER__
/* Three-byte NOPs that become STAC or CLAC at boot where the CPU has SMAP. */
.macro SMAP_SITE last
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .smap_sites, "a"
	.balign 4
	.long 771b - ., \last
	.popsection
.endm
#define STAC SMAP_SITE 0xcb
#define CLAC SMAP_SITE 0xca
#else

#include <arch/io.h>
#include <arch/usercopy_fixed.h>
#include <base/attrs.h>

/* The one instruction at a label. */
#define EXTABLE_TEXT(insn, fixup) EXTABLE_RANGE(insn, insn " + 1", fixup)

static inline u64 msr_read(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (u64)hi << 32;
}
static inline void msr_write(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" :: "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

struct cpuid_regs { u32 eax, ebx, ecx, edx; };
static inline struct cpuid_regs cpuid(u32 leaf, u32 sub)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(sub));
	return r;
}

#define DEFINE_CR(n)								\
static inline u64 cr##n##_read(void)						\
{										\
	u64 v;									\
										\
	__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v) :: "memory");		\
	return v;								\
}										\
static inline void cr##n##_write(u64 v) { __asm__ volatile("mov %0, %%cr" #n :: "r"(v) : "memory"); }
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)

static inline u64 fs_base_read(void) { u64 v; __asm__ volatile("rdfsbase %0" : "=r"(v)); return v; }
static inline void fs_base_write(u64 v) { __asm__ volatile("wrfsbase %0" :: "r"(v)); }

/* Section boundaries from saker.ld. */
extern char __image_start[], __image_end[], __text_start[], __text_end[], __rodata_start[], __rodata_end[];
extern char __init_text_start[], __init_text_end[], __init_data_start[], __init_data_end[];
extern char __data_start[], __data_end[], __percpu_load[], __percpu_size[];
static inline u64 image_phys(const void *p) { return (u64)p - KERNEL_OFFSET; }
#endif
