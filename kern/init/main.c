/*
 * Start-up order.  Each step may use everything above it in this list and
 * nothing below: the list is the order of the layers.  The boot CPU runs
 * kernel_main() to its end and becomes its own idle loop; the rest of the boot
 * (unpacking, first program) happens in a thread, where sleeping is allowed.
 */
#include <abi/strace.h>
#include <abi/syscall.h>
#include <arch/machine.h>
#include <arch/smp.h>
#include <arch/upcall.h>
#include <core/clock.h>
#include <core/cmdline.h>
#include <core/crash.h>
#include <core/debug.h>
#include <core/log.h>
#include <core/outbox.h>
#include <core/panic.h>
#include <core/rcu.h>
#include <core/watchdog.h>
#include <core/trace.h>
#include <dev/random.h>
#include <dev/tty.h>
#include <fs/fs.h>
#include <ipc/eventfd.h>
#include <mem/mem.h>
#include <mem/slab.h>
#include <proc/profile.h>
#include <proc/task.h>
#include <sched/futex.h>
#include <sched/sched.h>
#include <vfs/vfs.h>
#include <vm/aspace.h>
#include <vm/audit.h>
#include <vm/huge.h>
#include <vm/verify.h>
#include "init.h"

static struct bootinfo *boot;

static void read_log_options(void)
{
	if (cmdline_has("debug"))
		log_set_console_level(LOG_DEBUG + 1);
	else if (cmdline_has("quiet"))
		log_set_console_level(LOG_WARN);
	log_set_console_level((u32)cmdline_get_u64("loglevel", log_console_level()));
	panic_read_cmdline();
	debug_init();
}

/* Runs as a kernel worker: may sleep. */
static void boot_thread(void *arg)
{
	u32 cpus = arch_smp_start();

	log_info("smp: %u of %u CPUs run", cpus, cpu_count());
	vdso_init();
	arch_init_memory_release(mem_free_boot_range);
	watchdog_init();
	audit_init();
	verify_init();
	dev_init();
	init_mount_root();
	init_unpack_initramfs(boot);
	if (process_create_init(init_first_process, NULL))
		panic_boot("no memory for the first process");
}

void kernel_main(struct bootinfo *bi)
{
	boot = bi;
	cmdline_init(bi->cmdline);
	read_log_options();
	outbox_init(bi);
	trace_init(bi);
	mem_init(bi);
	mem_init_slab();
	arch_init_late();
	outbox_publish_clock();
	sched_init();
	rcu_start();
	random_init();
	futex_init();
	vm_init();
	huge_start();
	vfs_init();
	ipc_init();
	proc_init();
	strace_init();
	procfs_absent_count = syscall_absent_count;
	procfs_syscall_name = syscall_name;
	procfs_syscall_totals = syscall_totals;
	syscall_metrics_init();
	profile_start_cpu();
	crash_step_add(syscall_crash_step);
	crash_step_add(trace_crash_step);
	procfs_init();
	sysfs_init();
	devfs_init();
	log_info("Saker: boot by %s, %llu MiB of RAM", bi->protocol, (unsigned long long)mem_total_pages() >> 8);
	if (!thread_spawn_kernel("boot", boot_thread, NULL))
		panic_boot("no memory for the boot thread");
	sched_start_cpu();
}

void kernel_main_secondary(u32 cpu)
{
	arch_init_secondary(cpu);
	profile_start_cpu();
	sched_start_cpu();
}
