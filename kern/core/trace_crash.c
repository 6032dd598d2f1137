/* The end of the trace, for crash reports: the last records of all CPUs in order of time. */
#include <arch/machine.h>
#include <core/crash.h>
#include <core/percpu.h>
#include <core/trace.h>

#define TAIL_RECORDS 32u
#define TAIL_CPUS    256u

struct tail_record { struct trace_record r; u32 cpu; };

/* The newest of the CPUs' records that back[] has not passed yet. */
static bool newest(u8 back[TAIL_CPUS], struct tail_record *out)
{
	struct trace_record r;
	bool found = false;

	for (u32 c = 0; c < MIN(cpu_count(), TAIL_CPUS); c++) {
		if (!trace_peek(c, back[c], &r) || (found && r.tsc <= out->r.tsc))
			continue;
		*out = (struct tail_record){ r, c };
		found = true;
	}
	if (found)
		back[out->cpu]++;
	return found;
}

void trace_crash_step(struct crash_report *report)
{
	static const char *const phases[] = { "", " begins", " ends", "" };
	struct tail_record tail[TAIL_RECORDS];
	u8 back[TAIL_CPUS] = { 0 };
	u32 n = 0;

	while (trace_mask && n < TAIL_RECORDS && newest(back, &tail[n]))
		n++;
	for (u32 i = n; i-- > 0;) {
		const struct trace_record *r = &tail[i].r;
		u64 ago = (tail[0].r.tsc - r->tsc) * 1000 / (arch_tsc_khz() / 1000 ?: 1);

		crash_tail(report, "-%llu.%03llu us cpu %u tid %u %s%s %#llx %#llx", (unsigned long long)ago / 1000,
			   (unsigned long long)ago % 1000, tail[i].cpu, r->tid, trace_event_name(r->event), phases[r->event & 3],
			   (unsigned long long)r->arg[0], (unsigned long long)r->arg[1]);
	}
}
