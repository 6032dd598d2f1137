/*
 * Counts and times of system calls by number: debug=metrics.  Every task is then watched
 * (TF_TRACE), so the usual path of a call is the same with and without this.
 */
#include <abi/syscall.h>
#include <abi/sys_protos.h>
#include <arch/cpu.h>
#include <arch/machine.h>
#include <core/debug.h>
#include <core/log.h>
#include <core/percpu.h>
#include <mem/slab.h>

struct call_count { u64 calls, ended, ticks; };

static struct call_count *counts;	/* cpu_count() rows of SYSCALL_COUNT; const after boot; each CPU changes its own row */

void syscall_metrics_init(void)
{
	if (!debug_on(DEBUG_METRICS))
		return;
	counts = kzalloc((usize)cpu_count() * SYSCALL_COUNT * sizeof(*counts));
	if (!counts)
		log_warn("metrics: no memory to count system calls");
}

static struct call_count *here(u32 nr) { return &counts[(u64)cpu_id() * SYSCALL_COUNT + nr]; }

u64 syscall_metrics_enter(u32 nr)
{
	if (!counts || nr >= SYSCALL_COUNT)
		return 0;
	here(nr)->calls++;
	return cpu_cycles();
}

void syscall_metrics_exit(u32 nr, u64 start)
{
	if (!start)
		return;
	here(nr)->ended++;
	here(nr)->ticks += cpu_cycles() - start;
}

bool syscall_totals(u32 nr, u64 *calls, u64 *ended, u64 *ns)
{
	u64 ticks = 0;

	*calls = *ended = 0;
	if (!counts || nr >= SYSCALL_COUNT)
		return false;
	for (u32 c = 0; c < cpu_count(); c++) {
		const struct call_count *one = &counts[(u64)c * SYSCALL_COUNT + nr];

		*calls += READ_ONCE(one->calls);
		*ended += READ_ONCE(one->ended);
		ticks += READ_ONCE(one->ticks);
	}
	*ns = ticks / arch_tsc_khz() * 1000000 + ticks % arch_tsc_khz() * 1000000 / arch_tsc_khz();
	return true;
}
