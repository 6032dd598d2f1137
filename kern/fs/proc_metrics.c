/*
 * /proc/saker/metrics: what the kernel counts, in Prometheus' text form.  A metric's
 * HELP and TYPE lines come first, then its samples.
 */
#include <core/irq.h>
#include <core/outbox.h>
#include <core/stat.h>
#include <fs/fs.h>
#include <mem/mem.h>
#include <vm/huge.h>
#include "proc_priv.h"

bool (*procfs_syscall_totals)(u32 nr, u64 *calls, u64 *ended, u64 *ns);

static const char *const kind_names[] = { TRACE_KIND_NAMES };

static void head(struct seq *s, const char *name, const char *type, const char *help)
{
	seq_printf(s, "# HELP saker_%s %s\n# TYPE saker_%s %s\n", name, help, name, type);
}

static void plain(struct seq *s, const char *name, const char *type, const char *help, u64 v)
{
	head(s, name, type, help);
	seq_printf(s, "saker_%s %llu\n", name, LLU(v));
}

static void labelled(struct seq *s, const char *name, const char *label, const char *value, u64 v)
{
	seq_printf(s, "saker_%s{%s=\"%s\"} %llu\n", name, label, value, LLU(v));
}

static void memory(struct seq *s)
{
	struct mem_stats m;

	mem_stats(&m);
	const struct { const char *kind; u64 pages; } kinds[] = {
		{ "free", m.free }, { "slab", m.slab }, { "kernel_stack", m.kernel_stack }, { "table", m.tables }, { "anon", m.anon },
		{ "file", m.file }, { "image", m.image }, { "kernel", m.kernel }, { "vmalloc", m.vmalloc },
	};

	plain(s, "memory_total_pages", "gauge", "Frames of RAM that the allocator manages.", m.total);
	head(s, "memory_pages", "gauge", "Frames by use.");
	for (u32 i = 0; i < ARRAY_LEN(kinds); i++)
		labelled(s, "memory_pages", "use", kinds[i].kind, kinds[i].pages);
	plain(s, "memory_cpu_cached_pages", "gauge", "Free frames in per-CPU caches.", m.cached_free);
	head(s, "memory_free_blocks", "gauge", "Free blocks of the buddy allocator by order.");
	for (u32 o = 0; o < ARRAY_LEN(m.free_by_order); o++)
		seq_printf(s, "saker_memory_free_blocks{order=\"%u\"} %llu\n", o, LLU(m.free_by_order[o]));
	plain(s, "memory_reclaim_runs_total", "counter", "Runs of reclaim.", m.reclaim_runs);
	plain(s, "memory_reclaimed_pages_total", "counter", "Frames that reclaim freed.", m.reclaimed);
	plain(s, "memory_drains_total", "counter", "Times that the per-CPU caches were emptied for want of memory.", m.drains);
	plain(s, "memory_alloc_failures_total", "counter", "Allocations that found no memory.", m.alloc_failures);
	plain(s, "memory_zeroed_hits_total", "counter", "Zeroed frames taken from the pool that idle CPUs fill.", m.zeroed_hits);
}

static void slabs(struct seq *s)
{
	const char *name;
	u64 active, total;
	u32 size;

	head(s, "slab_objects", "gauge", "Objects in use by cache.");
	for (u32 i = 0; slab_describe(i, &name, &active, &total, &size); i++)
		labelled(s, "slab_objects", "cache", name, active);
	head(s, "slab_capacity", "gauge", "Objects that there is memory for, by cache.");
	for (u32 i = 0; slab_describe(i, &name, &active, &total, &size); i++)
		labelled(s, "slab_capacity", "cache", name, total);
}

static void huge_pages(struct seq *s)
{
	const struct { const char *what; u64 n; } rows[] = {
		{ "fault", (u64)atomic64_read(&huge_stats.fault_alloc) }, { "fault_fallback", (u64)atomic64_read(&huge_stats.fault_fallback) },
		{ "split", (u64)atomic64_read(&huge_stats.split) }, { "collapse", (u64)atomic64_read(&huge_stats.collapse) },
		{ "collapse_failed", (u64)atomic64_read(&huge_stats.collapse_failed) },
	};

	head(s, "huge_pages_total", "counter", "What happened to 2 MiB pages.");
	for (u32 i = 0; i < ARRAY_LEN(rows); i++)
		labelled(s, "huge_pages_total", "event", rows[i].what, rows[i].n);
	plain(s, "compact_runs_total", "counter", "Runs of compaction.", (u64)atomic64_read(&compact_stats.runs));
	plain(s, "compact_moved_pages_total", "counter", "Frames that compaction moved.", (u64)atomic64_read(&compact_stats.moved));
	plain(s, "compact_freed_blocks_total", "counter", "Blocks of 2 MiB that came free by it.",
	      (u64)atomic64_read(&compact_stats.freed));
}

static void faults(struct seq *s)
{
	head(s, "page_faults_total", "counter", "Faults in user memory by what was done.");
	for (u32 i = 0; i < ARRAY_LEN(kind_names); i++)
		labelled(s, "page_faults_total", "kind", kind_names[i], stat_sum(STAT_FAULT + i));
	plain(s, "page_faults_major_total", "counter", "Faults that waited for data.", stat_sum(STAT_FAULT_MAJOR));
	plain(s, "tables_shared_total", "counter", "Leaf tables that fork shared.", stat_sum(STAT_TABLE_SHARED));
	plain(s, "area_sets_copied_total", "counter", "Areas shared since fork that a change copied, all of a space's at once.", stat_sum(STAT_AREAS_COPIED));
	plain(s, "tables_copied_total", "counter", "Shared leaf tables that a write copied.", stat_sum(STAT_TABLE_COPIED));
	plain(s, "tables_taken_total", "counter", "Shared leaf tables whose last other user had gone.", stat_sum(STAT_TABLE_TAKEN));
	plain(s, "images_built_total", "counter", "Exec images made.", stat_sum(STAT_IMAGE_BUILT));
	plain(s, "images_mapped_total", "counter", "Programs entered from an image.", stat_sum(STAT_IMAGE_MAPPED));
	plain(s, "tlb_flushes_total", "counter", "Flushes of a range of an address space.", stat_sum(STAT_TLB_FLUSH));
	plain(s, "tlb_remote_flushes_total", "counter", "Of these, those that asked other CPUs.", stat_sum(STAT_TLB_REMOTE));
}

/* One metric of the scheduler for every CPU; offset: of a u64 in struct sched_stats. */
static void per_cpu_sched(struct seq *s, const char *name, const char *type, const char *help, usize offset)
{
	struct sched_stats st;

	head(s, name, type, help);
	for_each_cpu(c) {
		sched_stats(c, &st);
		seq_printf(s, "saker_%s{cpu=\"%u\"} %llu\n", name, c, LLU(*(u64 *)((char *)&st + offset)));
	}
}

static void scheduler(struct seq *s)
{
	static const struct { const char *name, *type, *help; usize offset; } rows[] = {
		{ "context_switches_total", "counter", "Switches to another thread.", offsetof(struct sched_stats, switches) },
		{ "wakeups_total", "counter", "Threads woken.", offsetof(struct sched_stats, wakeups) },
		{ "steals_total", "counter", "Threads taken from another CPU's queue.", offsetof(struct sched_stats, steals) },
		{ "reschedule_ipis_total", "counter", "Interrupts sent to make another CPU look.", offsetof(struct sched_stats, ipis) },
		{ "runnable_threads", "gauge", "Threads running or queued.", offsetof(struct sched_stats, runnable) },
		{ "idle_nanoseconds_total", "counter", "Time without a thread to run.", offsetof(struct sched_stats, idle_ns) },
		{ "run_delay_nanoseconds_total", "counter", "Time threads waited in the queue.", offsetof(struct sched_stats, delay_ns) },
	};

	for (u32 i = 0; i < ARRAY_LEN(rows); i++)
		per_cpu_sched(s, rows[i].name, rows[i].type, rows[i].help, rows[i].offset);
	plain(s, "processes", "gauge", "Processes, zombies included.", process_count());
	plain(s, "threads", "gauge", "Threads of processes.", thread_count_all());
}

static void interrupts(struct seq *s)
{
	static const struct { const char *name; enum stat which; } local[] = {
		{ "timer", STAT_IRQ_TIMER }, { "reschedule", STAT_IRQ_RESCHEDULE }, { "call", STAT_IRQ_CALL }, { "flush", STAT_IRQ_FLUSH },
	};
	struct irq_description d;
	u64 sum;

	head(s, "interrupts_total", "counter", "Interrupts by source.");
	for (u32 i = 0; i < ARRAY_LEN(local); i++)
		labelled(s, "interrupts_total", "source", local[i].name, stat_sum(local[i].which));
	for (u32 i = 0; irq_describe(i, &d); i++) {
		sum = 0;
		for_each_cpu(c)
			sum += irq_count(i, c);
		seq_printf(s, "saker_interrupts_total{source=\"%s\",irq=\"%u\"} %llu\n", d.name, d.number, LLU(sum));
	}
}

#define SYSCALL_LIMIT 512u

static void syscall_rows(struct seq *s, const char *name, const char *help, u32 which)
{
	u64 v[3];

	head(s, name, "counter", help);
	for (u32 nr = 0; nr < SYSCALL_LIMIT; nr++) {
		const char *call = procfs_syscall_name(nr);

		if (call && procfs_syscall_totals(nr, &v[0], &v[1], &v[2]) && v[0])
			labelled(s, name, "call", call, v[which]);
	}
}

static void syscalls(struct seq *s)
{
	u64 unused;

	if (procfs_syscall_totals && procfs_syscall_totals(0, &unused, &unused, &unused)) {
		syscall_rows(s, "syscalls_total", "System calls begun.", 0);
		syscall_rows(s, "syscalls_ended_total", "System calls that returned.", 1);
		syscall_rows(s, "syscall_nanoseconds_total", "Time from begin to return, sleeps included.", 2);
	}
	head(s, "absent_syscalls_total", "counter", "Calls refused with ENOSYS, by number.");
	for (u32 nr = 0; procfs_absent_count && nr < SYSCALL_LIMIT; nr++)
		if (procfs_absent_count(nr))
			seq_printf(s, "saker_absent_syscalls_total{nr=\"%u\"} %llu\n", nr, LLU(procfs_absent_count(nr)));
	if (procfs_absent_count && procfs_absent_count(~0u))
		labelled(s, "absent_syscalls_total", "nr", "unknown", procfs_absent_count(~0u));
}

int proc_metrics_show(struct seq *s, void *node)
{
	plain(s, "uptime_nanoseconds", "gauge", "Time since boot.", clock_mono_ns());
	memory(s);
	slabs(s);
	faults(s);
	huge_pages(s);
	scheduler(s);
	interrupts(s);
	syscalls(s);
	plain(s, "outbox_dropped_total", "counter", "Records for the launcher that found no room.", READ_ONCE(outbox_header.dropped));
	return 0;
}
