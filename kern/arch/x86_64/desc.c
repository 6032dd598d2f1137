/*
 * Descriptor tables of each CPU.  The GDT gives programs the selectors they
 * see on Linux; there is no 32-bit user code segment, so that user mode cannot
 * leave 64-bit mode.
 */
#include <base/string.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 iomap;
} PACKED;

struct idt_gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_mid;
	u32 offset_high, reserved;
};

struct table_ptr {
	u16 limit;
	u64 base;
} PACKED;

static DEFINE_PER_CPU(struct tss, cpu_tss) ALIGNED(64);
static DEFINE_PER_CPU(u64, cpu_gdt)[16] ALIGNED(64);
static struct idt_gate idt[256] ALIGNED(4096) SECTION(".bss.page_aligned");

#define GATE_INTERRUPT 0x8e
#define GATE_USER      0xee		/* INT3, INTO: user mode may use the instruction */

static void gate_set(u32 vec, u8 ist, u8 type)
{
	u64 at = (u64)trap_stubs + 16 * vec;

	idt[vec] = (struct idt_gate){ at, SEL_KERNEL_CS, ist, type, at >> 16, at >> 32, 0 };
}

INIT_TEXT void trap_init(void)
{
	for (u32 v = 0; v < 256; v++)
		gate_set(v, 0, GATE_INTERRUPT);
	gate_set(3, 0, GATE_USER);
	gate_set(4, 0, GATE_USER);
	gate_set(8, 1, GATE_INTERRUPT);
	gate_set(2, 2, GATE_INTERRUPT);
	gate_set(18, 3, GATE_INTERRUPT);
	gate_set(1, 4, GATE_INTERRUPT);
}

void desc_init_cpu(u32 cpu)
{
	u64 *gdt = *arch_this_cpu_ptr(&cpu_gdt);
	struct tss *tss = arch_this_cpu_ptr(&cpu_tss);
	u64 base = (u64)tss, limit = sizeof(*tss) - 1;
	struct table_ptr gp = { sizeof(cpu_gdt) - 1, (u64)gdt }, ip = { sizeof(idt) - 1, (u64)idt };

	memset(gdt, 0, sizeof(cpu_gdt));
	gdt[2] = 0x00af9b000000ffffull;
	gdt[3] = 0x00cf93000000ffffull;
	gdt[5] = 0x00cff3000000ffffull;
	gdt[6] = 0x00affb000000ffffull;
	gdt[8] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[9] = base >> 32;
	/* CPU number as a segment limit, as Linux offers it to getcpu without a system call. */
	gdt[15] = 0x0040f50000000000ull | (cpu & 0xfff);
	tss->iomap = sizeof(*tss);
	__asm__ volatile("lgdt %0" :: "m"(gp));
	__asm__ volatile("lidt %0" :: "m"(ip));
	__asm__ volatile("ltr %w0" :: "r"(SEL_TSS));
	__asm__ volatile("lldt %w0" :: "r"(0));
	__asm__ volatile("mov %0, %%ss" :: "r"(SEL_KERNEL_DS));
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" :: "r"(0));
	if (cpu_has.rdtscp)
		msr_write(MSR_TSC_AUX, cpu);
}

void desc_set_rsp0(u64 top)
{
	arch_this_cpu_ptr(&cpu_tss)->rsp[0] = top;
	arch_this_cpu_ptr(&percpu_head)->kernel_stack = top - 8;	/* SYSCALL's frame starts below ss */
}

/* tops[0..3]: double fault, NMI, machine check, debug. */
void desc_set_ist(u32 cpu, const u64 tops[4])
{
	struct tss *tss = arch_per_cpu_ptr(&cpu_tss, cpu);

	for (u32 i = 0; i < 4; i++)
		tss->ist[i] = tops[i];
}
