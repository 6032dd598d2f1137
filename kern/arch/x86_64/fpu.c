/*
 * FPU, SSE and AVX state.
 *
 * The registers of a CPU belong to the user thread that ran there last.  A
 * thread's area is up to date whenever the thread is not running; its
 * registers are loaded again unless at->fpu_cpu and the CPU's owner agree that
 * they are still there.  The kernel itself uses no FPU registers.
 */
#include <arch/cpu.h>
#include <arch/debug.h>
#include <arch/upcall.h>
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/percpu.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define XFEATURES_KNOWN 0xe7ull	/* x87, SSE, AVX, AVX-512 */
#define FXSAVE_SIZE	512u
#define XHEADER_SIZE	64u
#define FXSAVE_SSE	160u	/* before: x87, with reserved bytes between; then XMM registers, without */
#define FXSAVE_UNUSED	416u	/* from here on the legacy area holds nothing of the processor's */
#define AREA_AVX_END	832u	/* x87, SSE and AVX lie close together; what follows is as CPUID says */
#define SW_OFFSET	464u	/* sw_reserved in the legacy area */
#define FP_MAGIC1	0x46505853u
#define FP_MAGIC2	0x46505845u

/* Linux's struct _fpx_sw_bytes. */
struct sw_bytes {
	u32 magic1, extended_size;
	u64 xfeatures;
	u32 xstate_size, padding[7];
};

static u64 xfeatures READ_MOSTLY;
static u32 fpu_size READ_MOSTLY = FXSAVE_SIZE;
static u32 mxcsr_mask READ_MOSTLY = 0xffbf;
static u8 fpu_init_image[1024] ALIGNED(64);	/* legacy area and header; the rest of an initial area is zero */
static DEFINE_PER_CPU(void *, fpu_owner);

static void area_save(void *area)
{
	if (!cpu_has.xsave)
		__asm__ volatile("fxsave64 (%0)" :: "r"(area) : "memory");
	else if (cpu_has.xsaveopt)
		__asm__ volatile("xsaveopt64 (%0)" :: "r"(area), "a"((u32)xfeatures), "d"((u32)(xfeatures >> 32)) : "memory");
	else
		__asm__ volatile("xsave64 (%0)" :: "r"(area), "a"((u32)xfeatures), "d"((u32)(xfeatures >> 32)) : "memory");
}

/* All components, also those in their initial state: nothing stale is left in the area. */
static void area_save_full(void *area)
{
	if (!cpu_has.xsave)
		__asm__ volatile("fxsave64 (%0)" :: "r"(area) : "memory");
	else
		__asm__ volatile("xsave64 (%0)" :: "r"(area), "a"((u32)xfeatures), "d"((u32)(xfeatures >> 32)) : "memory");
}

static void area_load(const void *area)
{
	if (cpu_has.xsave)
		__asm__ volatile("xrstor64 (%0)" :: "r"(area), "a"((u32)xfeatures), "d"((u32)(xfeatures >> 32)) : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" :: "r"(area) : "memory");
}

INIT_TEXT void fpu_init_boot(void)
{
	u32 mask;

	if (!cpu_has.xsave || cpu_has.max_leaf < 0xd) {
		cpu_has.xsave = cpu_has.xsaveopt = false;
		return;
	}
	xfeatures = cpuid(0xd, 0).eax & XFEATURES_KNOWN;
	if ((xfeatures & 3) != 3)
		xfeatures = 3;
	if ((xfeatures & 0xe0) != 0xe0)
		xfeatures &= 7;
	/* CR4.OSXSAVE is needed to set XCR0, and XCR0 to learn the size. */
	cr4_write(cr4_read() | CR4_OSXSAVE | CR4_OSFXSR);
	__asm__ volatile("xsetbv" :: "c"(0), "a"((u32)xfeatures), "d"(0));
	fpu_size = cpuid(0xd, 0).ebx;
	__asm__ volatile("fninit");
	__asm__ volatile("fxsave64 (%0)" :: "r"(fpu_init_image) : "memory");
	memcpy(&mask, fpu_init_image + 28, 4);
	if (mask)
		mxcsr_mask = mask;
}

void fpu_init_cpu(void)
{
	u32 mxcsr = 0x1f80;

	if (cpu_has.xsave)
		__asm__ volatile("xsetbv" :: "c"(0), "a"((u32)xfeatures), "d"((u32)(xfeatures >> 32)));
	__asm__ volatile("fninit");
	__asm__ volatile("ldmxcsr %0" :: "m"(mxcsr));
	this_cpu_write(fpu_owner, NULL);
}

/* The state of a fresh program: x87 control word 0x37f, MXCSR 0x1f80, registers zero. */
static void area_set_initial(void *area)
{
	u16 fcw = 0x37f;
	u32 mxcsr = 0x1f80;

	memset(area, 0, fpu_size);
	memcpy((u8 *)area + 0, &fcw, 2);
	memcpy((u8 *)area + 24, &mxcsr, 4);
	memcpy((u8 *)area + 28, &mxcsr_mask, 4);
}

/* What an XSAVE of all components leaves alone: debuggers and core files get the area as it is. */
static void area_clear_gaps(u8 *area)
{
	memset(area, 0, FXSAVE_SSE);
	memset(area + FXSAVE_UNUSED, 0, (cpu_has.xsave ? FXSAVE_SIZE + XHEADER_SIZE : FXSAVE_SIZE) - FXSAVE_UNUSED);
	if (xfeatures & ~7ull)				/* components that may have room between them */
		memset(area + AREA_AVX_END, 0, fpu_size - AREA_AVX_END);
}

/* The state of the running program, for its child; of a fresh one where there is none. */
static void area_fill(u8 *area)
{
	if (!this_cpu_read(arch_current)->fpu) {
		area_set_initial(area);
		return;
	}
	area_clear_gaps(area);
	u64 irq = irq_save();

	area_save_full(area);
	irq_restore(irq);
}

/* kmalloc() promises no alignment: the raw pointer is kept in front of the area. */
int fpu_area_alloc(struct arch_thread *at)
{
	u8 *raw = kmalloc(fpu_size + 64 + sizeof(void *)), *area;

	if (!raw)
		return -ENOMEM;
	area = (u8 *)ALIGN_UP((u64)raw + sizeof(void *), 64);
	((void **)area)[-1] = raw;
	area_fill(area);
	at->fpu = area;
	at->fpu_cpu = ~0u;
	return 0;
}

void fpu_area_free(struct arch_thread *at)
{
	void *area = at->fpu;

	at->fpu = NULL;			/* first: a thread frees its own on its way out, and a switch must not save there */
	if (area)
		kfree(((void **)area)[-1]);
}

/* Interrupts off in these two. */
void fpu_switch_out(struct arch_thread *at)
{
	if (at->fpu)
		area_save(at->fpu);
}

void fpu_switch_in(struct arch_thread *at)
{
	u32 cpu = cpu_id();

	if (!at->fpu || (at->fpu_cpu == cpu && this_cpu_read(fpu_owner) == at->fpu))
		return;
	area_load(at->fpu);
	at->fpu_cpu = cpu;
	this_cpu_write(fpu_owner, at->fpu);
}

/* Loads the running thread's area, whatever the registers hold.  Interrupts off. */
static void reload(struct arch_thread *at)
{
	at->fpu_cpu = ~0u;
	fpu_switch_in(at);
}

void fpu_reset_current(struct arch_thread *at)
{
	u64 irq = irq_save();

	if (at->fpu) {
		area_set_initial(at->fpu);
		reload(at);
	}
	irq_restore(irq);
}

u32 arch_fpu_frame_size(void) { return cpu_has.xsave ? fpu_size + 4 : FXSAVE_SIZE; }

/* The part of a frame that the processor reads but does not write: it follows the legacy part, and the state the header. */
struct frame_middle {
	struct sw_bytes sw;
	u64 header[8];
};

/* One instruction that moves the running program's registers from or to its own memory.  False: it faulted. */
#define USER_STATE_MOVE(name, insn)									\
	static MUST_USE bool name(uptr_t at, u64 which)							\
	{												\
		__asm__ goto(STAC "1:\t" insn " (%0)\n2:\t" CLAC EXTABLE_RANGE("1b", "2b", "%l[fault]")	\
			     :: "r"(at.v), "a"((u32)which), "d"((u32)(which >> 32)) : "memory" : fault);	\
		return true;										\
	fault:												\
		__asm__ volatile(CLAC ::: "memory");							\
		return false;										\
	}
USER_STATE_MOVE(user_xsave, "xsave64")
USER_STATE_MOVE(user_xrstor, "xrstor64")
USER_STATE_MOVE(user_fxsave, "fxsave64")
USER_STATE_MOVE(user_fxrstor, "fxrstor64")

/* The registers go straight to the frame: what XSAVE leaves alone there is the program's own memory. */
int arch_fpu_save_user(uptr_t dst)
{
	struct frame_middle mid = { .sw = { FP_MAGIC1, fpu_size + 4, xfeatures, fpu_size, { 0 } } };
	u32 magic2 = FP_MAGIC2;
	u64 present;

	if (!user_range_ok(dst, arch_fpu_frame_size()))
		return -EFAULT;
	if (!cpu_has.xsave)
		return user_fxsave(dst, 0) ? 0 : -EFAULT;
	if (user_put(uptr_add(dst, SW_OFFSET), &mid) || !user_xsave(dst, xfeatures) || user_get(&present, uptr_add(dst, FXSAVE_SIZE)))
		return -EFAULT;
	present |= 3;			/* programs may edit the legacy part in place: it always counts */
	if (user_put(uptr_add(dst, FXSAVE_SIZE), &present))
		return -EFAULT;
	return user_put(uptr_add(dst, fpu_size), &magic2);
}

/* Which features the frame carries.  As Linux: only the legacy ones without our marks. */
static int frame_features(uptr_t src, u64 *features)
{
	struct sw_bytes sw;
	u32 magic2;

	*features = 0;
	if (user_get(&sw, uptr_add(src, SW_OFFSET)))
		return -EFAULT;
	if (sw.magic1 != FP_MAGIC1 || sw.xstate_size < FXSAVE_SIZE + XHEADER_SIZE || sw.xstate_size > fpu_size ||
	    sw.xstate_size > sw.extended_size)
		return 0;
	if (!user_get(&magic2, uptr_add(src, sw.xstate_size)) && magic2 == FP_MAGIC2)
		*features = sw.xfeatures & xfeatures;
	return 0;
}

/*
 * Straight from the frame, too: what the processor refuses (reserved bits of MXCSR and of the header) is an error.  A fault or a
 * switch may leave the registers half loaded, never another thread's.
 */
static bool frame_load(uptr_t src)
{
	u64 features = 0;

	if (!cpu_has.xsave)
		return user_fxrstor(src, 0);
	if (frame_features(src, &features))
		return false;
	if (features != xfeatures)
		__asm__ volatile("xrstor64 (%0)" :: "r"(fpu_init_image), "a"((u32)xfeatures), "d"((u32)(xfeatures >> 32)) : "memory");
	return features ? user_xrstor(src, features) : user_fxrstor(src, 0);
}

int arch_fpu_load_user(uptr_t src)
{
	if (user_range_ok(src, arch_fpu_frame_size()) && frame_load(src))
		return 0;
	fpu_reset_current(this_cpu_read(arch_current));
	return -EFAULT;
}

/* --- a debugger's view of a thread that is off its CPU ----------------------------- */

u32 arch_fpu_state_size(void) { return cpu_has.xsave ? fpu_size : 0; }

/* XSAVE leaves components that are in their initial state out of the area: what lies there then is old. */
void arch_fpu_get(const struct arch_thread *at, void *buf, u32 size)
{
	u8 *out = buf;
	u64 present = 3, sw[6] = { xfeatures };

	memcpy(out, at->fpu, size);
	if (!cpu_has.xsave)
		return;
	memcpy(&present, (u8 *)at->fpu + FXSAVE_SIZE, 8);
	if (!(present & 1)) {
		memcpy(out, fpu_init_image, 24);
		memcpy(out + 32, fpu_init_image + 32, 128);
	}
	if (!(present & 2))
		memset(out + 160, 0, 256);
	for (u32 i = 2; i < 64 && size > FXSAVE_SIZE; i++)
		if ((xfeatures & ~present) >> i & 1)
			memset(out + cpuid(0xd, i).ebx, 0, cpuid(0xd, i).eax);
	if (size > FXSAVE_SIZE)
		memcpy(out + SW_OFFSET, sw, sizeof(sw));	/* where debuggers look for XCR0 */
}

int arch_fpu_set(struct arch_thread *at, const void *buf, u32 size)
{
	u8 *area = at->fpu;
	u64 header[8];
	u32 mxcsr;

	memcpy(&mxcsr, (const u8 *)buf + 24, 4);
	if (mxcsr & ~mxcsr_mask)
		return -EINVAL;
	if (size > FXSAVE_SIZE) {
		memcpy(header, (const u8 *)buf + FXSAVE_SIZE, sizeof(header));
		if (header[0] & ~xfeatures)
			return -EINVAL;
		for (u32 i = 1; i < 8; i++)
			if (header[i])
				return -EINVAL;
	}
	memcpy(area, buf, size);
	memset(area + SW_OFFSET, 0, sizeof(struct sw_bytes));
	if (size == FXSAVE_SIZE && cpu_has.xsave)
		area[FXSAVE_SIZE] |= 3;
	at->fpu_cpu = ~0u;			/* loaded when it runs next */
	return 0;
}
