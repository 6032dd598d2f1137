/*
 * /proc/pressure: cpu, memory, io (Linux: Documentation/accounting/psi.rst).  Triggers, which are made by writing, are
 * not there; nothing waits for a disk yet, so io is zero.
 */
#include <core/clock.h>
#include <sched/pressure.h>

#include "proc_priv.h"

static void line(struct seq *s, const char *name, enum pressure_kind kind, enum pressure_state state)
{
	struct pressure p;

	pressure_read(kind, state, &p);
	seq_printf(s, "%s avg10=%u.%02u avg60=%u.%02u avg300=%u.%02u total=%llu\n", name, p.avg[0] / 100, p.avg[0] % 100,
		   p.avg[1] / 100, p.avg[1] % 100, p.avg[2] / 100, p.avg[2] % 100, LLU(p.total_ns / NSEC_PER_USEC));
}

static int show(struct seq *s, enum pressure_kind kind)
{
	line(s, "some", kind, PRESSURE_SOME);
	line(s, "full", kind, PRESSURE_FULL);
	return 0;
}

static int cpu_show(struct seq *s, void *node) { return show(s, PRESSURE_CPU); }
static int memory_show(struct seq *s, void *node) { return show(s, PRESSURE_MEMORY); }
static int io_show(struct seq *s, void *node) { return show(s, PRESSURE_IO); }

/* As a Linux that was told to keep no pressure answers. */
static i64 no_trigger(struct synth_node *n, char *text, usize len) { return -EOPNOTSUPP; }

#define PRESSURE_FILE(n, fn) { .name = (n), .mode = S_IFREG | 0666, .show = (fn), .write = no_trigger }

struct synth_entry proc_pressure_entries[] = {
	PRESSURE_FILE("io", io_show), PRESSURE_FILE("cpu", cpu_show), PRESSURE_FILE("memory", memory_show), { .name = NULL },
};
