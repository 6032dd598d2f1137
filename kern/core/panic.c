/*
 * The end of the kernel.  Uses nothing that can be broken: no locks, no heap,
 * no log; text goes out by polled serial.  The first CPU here reports, the
 * others are stopped; a second fault in the report ends it at once.
 */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <arch/smp.h>
#include <arch/trap.h>
#include <base/fmt.h>
#include <core/clock.h>
#include <core/cmdline.h>
#include <core/panic.h>
#include <core/percpu.h>

i32 panic_timeout;
void (*panic_flush_hook)(void);
static u32 panic_cpu;			/* atomic: reporting CPU + 1, 0: none */
MUST_USE int kernel_read_u64_nofault(u64 addr, u64 *out);

void panic_read_cmdline(void)
{
	char text[16];

	if (!cmdline_get("panic", text, sizeof(text)))
		return;
	panic_timeout = text[0] == '-' ? -1 : (i32)cmdline_get_u64("panic", 0);
}

static void out(const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			arch_early_putc('\r');
		arch_early_putc(*s);
	}
}

static PRINTF_LIKE(1, 2) void outf(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	out(line);
}

/* back: addr is a return address, which may lie just behind its function. */
static void out_symbol(u64 addr, u32 back)
{
	u64 off;
	const char *name = symbol_lookup(addr - back, &off);

	if (name)
		outf(" [<%016llx>] %s+%#llx\n", (unsigned long long)addr, name, (unsigned long long)off + back);
	else
		outf(" [<%016llx>]\n", (unsigned long long)addr);
}

void panic_backtrace(u64 fp, u32 depth)
{
	for (u32 i = 0; i < depth && fp && !(fp & 7); i++) {
		u64 next, ret;

		if (fp < 0xffff800000000000ull || kernel_read_u64_nofault(fp, &next) ||
		    kernel_read_u64_nofault(fp + 8, &ret) || !ret)
			return;
		out_symbol(ret, 1);
		if (next <= fp)
			return;
		fp = next;
	}
}

static NORETURN void finish(void)
{
	if (panic_timeout > 0) {
		u64 end = clock_mono_ns() + panic_timeout * NSEC_PER_SEC;

		while (clock_mono_ns() < end)
			cpu_relax();
	}
	if (panic_timeout)
		machine_reboot();
	out("---[ end Kernel panic ]---\n");
	cpu_halt_forever();
}

/* Returns on the first CPU that comes here, for the first time. */
static void claim(void)
{
	u32 none = 0, me = cpu_id() + 1;

	irq_disable();
	if (__atomic_compare_exchange_n(&panic_cpu, &none, me, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		arch_stop_others();
		if (panic_flush_hook)
			panic_flush_hook();
		return;
	}
	if (none == me) {
		out("\nfault inside the panic report\n");
		finish();
	}
	cpu_halt_forever();
}

static void out_registers(const struct trapframe *tf)
{
	outf("CPU: %u  rip: %016llx  rsp: %016llx  rflags: %08llx  error: %llx\n", cpu_id(),
	     (unsigned long long)tf->rip, (unsigned long long)tf->rsp, (unsigned long long)tf->rflags,
	     (unsigned long long)tf->orig_rax);
	outf("rax: %016llx rbx: %016llx rcx: %016llx\n", (unsigned long long)tf->rax, (unsigned long long)tf->rbx,
	     (unsigned long long)tf->rcx);
	outf("rdx: %016llx rsi: %016llx rdi: %016llx\n", (unsigned long long)tf->rdx, (unsigned long long)tf->rsi,
	     (unsigned long long)tf->rdi);
	outf("rbp: %016llx r8:  %016llx r9:  %016llx\n", (unsigned long long)tf->rbp, (unsigned long long)tf->r8,
	     (unsigned long long)tf->r9);
	outf("r10: %016llx r11: %016llx r12: %016llx\n", (unsigned long long)tf->r10, (unsigned long long)tf->r11,
	     (unsigned long long)tf->r12);
	outf("r13: %016llx r14: %016llx r15: %016llx\n", (unsigned long long)tf->r13, (unsigned long long)tf->r14,
	     (unsigned long long)tf->r15);
	outf("cs: %llx ss: %llx\n", (unsigned long long)tf->cs, (unsigned long long)tf->ss);
}

static void out_reason(const char *fmt, va_list ap)
{
	char reason[256];

	fmt_vsnprintf(reason, sizeof(reason), fmt, ap);
	outf("\nKernel panic - not syncing: %s\n", reason);
}

void panic(const char *fmt, ...)
{
	va_list ap;

	claim();
	va_start(ap, fmt);
	out_reason(fmt, ap);
	va_end(ap);
	outf("CPU: %u\nCall trace:\n", cpu_id());
	panic_backtrace((u64)__builtin_frame_address(0), 32);
	finish();
}

void panic_trap(struct trapframe *tf, const char *fmt, ...)
{
	va_list ap;

	claim();
	va_start(ap, fmt);
	out_reason(fmt, ap);
	va_end(ap);
	out_registers(tf);
	out("Call trace:\n");
	out_symbol(tf->rip, 0);
	panic_backtrace(tf->rbp, 32);
	finish();
}

void panic_boot(const char *fmt, ...)
{
	va_list ap;

	claim();
	va_start(ap, fmt);
	out_reason(fmt, ap);
	va_end(ap);
	finish();
}

NORETURN void __stack_chk_fail(void);
void __stack_chk_fail(void)
{
	panic("stack protector: %p overran its frame", __builtin_return_address(0));
}
