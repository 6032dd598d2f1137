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

/* What an XSAVE of all components leaves alone: signal frames take the area to programs as it is. */
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
	at->fpu_loading = false;
	return 0;
}

void fpu_area_free(struct arch_thread *at)
{
	if (at->fpu)
		kfree(((void **)at->fpu)[-1]);
	at->fpu = NULL;
}

/* Interrupts off in these two. */
void fpu_switch_out(struct arch_thread *at)
{
	if (at->fpu && !at->fpu_loading)
		area_save(at->fpu);
}

void fpu_switch_in(struct arch_thread *at)
{
	u32 cpu = cpu_id();

	if (!at->fpu || at->fpu_loading || (at->fpu_cpu == cpu && this_cpu_read(fpu_owner) == at->fpu))
		return;
	area_load(at->fpu);
	at->fpu_cpu = cpu;
	this_cpu_write(fpu_owner, at->fpu);
}

/* Loads the running thread's area, whatever the registers hold.  Interrupts off. */
static void reload(struct arch_thread *at)
{
	at->fpu_loading = false;
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

/*
 * The area goes out as it is, with the software's bytes filled in for the moment (XSAVE and XRSTOR leave them alone).
 * A switch during the copy saves the same registers again; only the header may then lack a bit, so it goes last.
 */
int arch_fpu_save_user(uptr_t dst)
{
	u8 *area = this_cpu_read(arch_current)->fpu;
	struct sw_bytes *sw = (struct sw_bytes *)(area + SW_OFFSET);
	u64 irq = irq_save(), left, bv;
	u32 magic2 = FP_MAGIC2;

	area_save_full(area);
	irq_restore(irq);
	if (!cpu_has.xsave)
		return user_copy_out(dst, area, FXSAVE_SIZE) ? -EFAULT : 0;
	*sw = (struct sw_bytes){ FP_MAGIC1, fpu_size + 4, xfeatures, fpu_size, { 0 } };
	left = user_copy_out(dst, area, fpu_size);
	*sw = (struct sw_bytes){ 0 };
	bv = *(u64 *)(area + FXSAVE_SIZE) | 3;	/* programs may edit the legacy part in place: it always counts */
	if (left || user_put(uptr_add(dst, FXSAVE_SIZE), &bv))
		return -EFAULT;
	return user_put(uptr_add(dst, fpu_size), &magic2);
}

/* Does the frame carry our extended state?  As Linux: else only the legacy part counts. */
static bool frame_extended(uptr_t src, const u8 *area, u64 *features)
{
	struct sw_bytes sw;
	u32 magic2;

	memcpy(&sw, area + SW_OFFSET, sizeof(sw));
	if (!cpu_has.xsave || sw.magic1 != FP_MAGIC1 || sw.xstate_size < FXSAVE_SIZE + XHEADER_SIZE ||
	    sw.xstate_size > fpu_size || sw.xstate_size > sw.extended_size)
		return false;
	if (user_get(&magic2, uptr_add(src, sw.xstate_size)) || magic2 != FP_MAGIC2)
		return false;
	*features = sw.xfeatures & xfeatures;
	return true;
}

static int frame_header_check(u8 *area, u64 features)
{
	u64 h[8];

	memcpy(h, area + FXSAVE_SIZE, sizeof(h));
	for (u32 i = 1; i < 8; i++)
		if (h[i])
			return -EINVAL;
	h[0] &= features;
	memcpy(area + FXSAVE_SIZE, h, sizeof(h));
	return 0;
}

/* Fills the area; registers are dead meanwhile (fpu_loading). */
static int frame_load(struct arch_thread *at, uptr_t src)
{
	u8 *area = at->fpu;
	u64 features = 3;
	u32 mxcsr;
	int err = 0;

	if (user_copy_in(area, src, FXSAVE_SIZE))
		return -EFAULT;
	if (fpu_size > FXSAVE_SIZE)
		memset(area + FXSAVE_SIZE, 0, fpu_size - FXSAVE_SIZE);
	if (frame_extended(src, area, &features)) {
		if (user_copy_in(area + FXSAVE_SIZE, uptr_add(src, FXSAVE_SIZE), fpu_size - FXSAVE_SIZE))
			return -EFAULT;
		err = frame_header_check(area, features);
	} else if (cpu_has.xsave) {
		memcpy(area + FXSAVE_SIZE, &features, 8);
	}
	memcpy(&mxcsr, area + 24, 4);
	mxcsr &= mxcsr_mask;
	memcpy(area + 24, &mxcsr, 4);
	memset(area + SW_OFFSET, 0, sizeof(struct sw_bytes));
	return err;
}

int arch_fpu_load_user(uptr_t src)
{
	struct arch_thread *at = this_cpu_read(arch_current);
	u64 irq;
	int err;

	at->fpu_loading = true;
	barrier();
	err = frame_load(at, src);
	irq = irq_save();
	if (err)
		area_set_initial(at->fpu);
	reload(at);
	irq_restore(irq);
	return err;
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
