/* Files of /proc about the whole system, and the root directory that lists them. */
#include <arch/machine.h>
#include <core/cmdline.h>
#include <core/irq.h>
#include <core/percpu.h>
#include <core/stat.h>
#include <core/uts.h>
#include <dev/tty.h>
#include <fs/fs.h>
#include <ipc/socket.h>
#include <mem/mem.h>
#include <vm/huge.h>
#include <vm/audit.h>
#include <vm/verify.h>
#include "proc_priv.h"

#define PROC_MAGIC 0x9fa0u

/* --- memory --------------------------------------------------------------------- */

static void mem_line(struct seq *s, const char *name, u64 pages)
{
	seq_printf(s, "%-16s%8llu kB\n", name, PAGES_TO_KB(pages));
}

static void meminfo_rest(struct seq *s, const struct mem_stats *m)
{
	mem_line(s, "AnonPages:", m->anon);
	mem_line(s, "Shmem:", m->file + m->image);
	mem_line(s, "KReclaimable:", 0);
	mem_line(s, "Slab:", m->slab);
	mem_line(s, "SReclaimable:", 0);
	mem_line(s, "SUnreclaim:", m->slab);
	mem_line(s, "KernelStack:", m->kernel_stack);
	mem_line(s, "PageTables:", m->tables);
	mem_line(s, "SecPageTables:", 0);
	mem_line(s, "NFS_Unstable:", 0);
	mem_line(s, "Bounce:", 0);
	mem_line(s, "WritebackTmp:", 0);
	mem_line(s, "VmallocTotal:", KVMALLOC_SIZE >> PAGE_SHIFT);
	mem_line(s, "VmallocUsed:", m->vmalloc);
	mem_line(s, "VmallocChunk:", 0);
	mem_line(s, "AnonHugePages:", huge_anon_blocks() * HUGE_PAGES);
	mem_line(s, "ShmemHugePages:", 0);
	mem_line(s, "ShmemPmdMapped:", 0);
	mem_line(s, "FileHugePages:", 0);
	mem_line(s, "FilePmdMapped:", 0);
	/* hugetlbfs has no reserved pages and gets none. */
	seq_printf(s, "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n");
	seq_printf(s, "Hugepagesize:       2048 kB\nHugetlb:               0 kB\n");
}

/*
 * Every file page is the only copy of its data (there is no swap and nothing to
 * write back to), so none of the page cache counts as available; it is listed
 * as shared memory, as Linux does with tmpfs.
 */
static int meminfo_show(struct seq *s, void *node)
{
	struct mem_stats m;
	u64 cache, free;

	mem_stats(&m);
	cache = m.file + m.image;
	free = m.free;
	mem_line(s, "MemTotal:", m.total);
	mem_line(s, "MemFree:", free);
	mem_line(s, "MemAvailable:", free);
	mem_line(s, "Buffers:", 0);
	mem_line(s, "Cached:", cache);
	mem_line(s, "SwapCached:", 0);
	mem_line(s, "Active:", 0);
	mem_line(s, "Inactive:", m.anon + cache);
	mem_line(s, "Active(anon):", 0);
	mem_line(s, "Inactive(anon):", m.anon + cache);
	mem_line(s, "Active(file):", 0);
	mem_line(s, "Inactive(file):", 0);
	mem_line(s, "Unevictable:", 0);
	mem_line(s, "Mlocked:", 0);
	mem_line(s, "SwapTotal:", 0);
	mem_line(s, "SwapFree:", 0);
	mem_line(s, "Dirty:", 0);
	mem_line(s, "Writeback:", 0);
	meminfo_rest(s, &m);
	return 0;
}

static int buddyinfo_show(struct seq *s, void *node)
{
	struct mem_stats m;

	mem_stats(&m);
	seq_printf(s, "Node 0, zone   Normal ");
	for (u32 o = 0; o < ARRAY_LEN(m.free_by_order); o++)
		seq_printf(s, "%6llu ", LLU(m.free_by_order[o]));
	seq_putc(s, '\n');
	return 0;
}

static int vmstat_show(struct seq *s, void *node)
{
	struct mem_stats m;
	u64 faults = 0;

	mem_stats(&m);
	seq_printf(s, "nr_free_pages %llu\nnr_inactive_anon %llu\nnr_anon_pages %llu\nnr_file_pages %llu\nnr_shmem %llu\n",
		   LLU(m.free), LLU(m.anon + m.file + m.image), LLU(m.anon), LLU(m.file + m.image), LLU(m.file + m.image));
	seq_printf(s, "nr_kernel_stack %llu\nnr_page_table_pages %llu\nnr_slab_unreclaimable %llu\n", LLU(PAGES_TO_KB(m.kernel_stack)),
		   LLU(m.tables), LLU(m.slab));
	for (u32 i = 0; i < TRACE_KIND_FILL; i++)	/* from there on: steps on the way */
		faults += stat_sum(STAT_FAULT + i);
	seq_printf(s, "pgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault %llu\npgmajfault %llu\npgsteal_direct %llu\n", LLU(faults),
		   LLU(stat_sum(STAT_FAULT_MAJOR)), LLU(m.reclaimed));
	seq_printf(s, "oom_kill %llu\nnr_tlb_remote_flush %llu\nnr_tlb_local_flush_one %llu\n", LLU(oom_kills()),
		   LLU(stat_sum(STAT_TLB_REMOTE)), LLU(stat_sum(STAT_TLB_FLUSH)));
	seq_printf(s, "nr_anon_transparent_hugepages %llu\n", LLU(huge_anon_blocks()));
	seq_printf(s, "thp_fault_alloc %llu\nthp_fault_fallback %llu\n", LLU(atomic64_read(&huge_stats.fault_alloc)),
		   LLU(atomic64_read(&huge_stats.fault_fallback)));
	seq_printf(s, "thp_collapse_alloc %llu\nthp_collapse_alloc_failed %llu\n", LLU(atomic64_read(&huge_stats.collapse)),
		   LLU(atomic64_read(&huge_stats.collapse_failed)));
	seq_printf(s, "thp_split_pmd %llu\npgmigrate_success %llu\n", LLU(atomic64_read(&huge_stats.split)),
		   LLU(atomic64_read(&compact_stats.moved)));
	return 0;
}

static int slabinfo_show(struct seq *s, void *node)
{
	const char *name;
	u64 active, total;
	u32 size;

	seq_printf(s, "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
		   " : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	for (u32 i = 0; slab_describe(i, &name, &active, &total, &size); i++) {
		u64 per = size < PAGE_SIZE ? PAGE_SIZE / size : 1;

		seq_printf(s, "%-17s %6llu %6llu %6u %4llu %4u : tunables %4u %4u %4u : slabdata %6llu %6llu %6u\n", name, LLU(active),
			   LLU(total), size, LLU(per), 1, 0, 0, 0, LLU(DIV_ROUND_UP(active, per)), LLU(DIV_ROUND_UP(total, per)), 0);
	}
	return 0;
}

/* --- processors and time ------------------------------------------------------------ */

static u64 ticks(u64 ns) { return ns / NSEC_TICK; }

static void cpu_line(struct seq *s, const struct sched_stats *st)
{
	seq_printf(s, " %llu 0 %llu %llu 0 %llu 0 0 0 0\n", LLU(ticks(st->user_ns)), LLU(ticks(st->sys_ns)), LLU(ticks(st->idle_ns)),
		   LLU(ticks(st->irq_ns)));
}

static void intr_line(struct seq *s)
{
	u64 per_line[64] = { 0 }, sum = 0;
	struct irq_description d;
	u32 last = 0;

	for (u32 i = 0; irq_describe(i, &d); i++) {
		u32 at = MIN(d.number, 63u);

		last = MAX(last, at);
		for_each_cpu(c) {
			per_line[at] += irq_count(i, c);
			sum += irq_count(i, c);
		}
	}
	seq_printf(s, "intr %llu", LLU(sum));
	for (u32 i = 0; i <= last; i++)
		seq_printf(s, " %llu", LLU(per_line[i]));
	seq_putc(s, '\n');
}

static int stat_show(struct seq *s, void *node)
{
	struct sched_stats all, one;

	sched_stats(~0u, &all);
	seq_printf(s, "cpu ");
	cpu_line(s, &all);
	for_each_cpu(c) {
		sched_stats(c, &one);
		seq_printf(s, "cpu%u", c);
		cpu_line(s, &one);
	}
	intr_line(s);
	seq_printf(s, "ctxt %llu\nbtime %llu\nprocesses %llu\nprocs_running %llu\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
		   LLU(all.switches), LLU(clock_boot_real_ns() / NSEC_PER_SEC), LLU(all.forks), LLU(all.runnable));
	return 0;
}

static int uptime_show(struct seq *s, void *node)
{
	u64 up = clock_mono_ns();
	struct sched_stats all;

	sched_stats(~0u, &all);
	seq_printf(s, "%llu.%02llu %llu.%02llu\n", LLU(up / NSEC_PER_SEC), LLU(up % NSEC_PER_SEC / NSEC_TICK),
		   LLU(all.idle_ns / NSEC_PER_SEC), LLU(all.idle_ns % NSEC_PER_SEC / NSEC_TICK));
	return 0;
}

static void load(struct seq *s, u64 v)
{
	v += 65536 / 200;			/* to the nearest hundredth */
	seq_printf(s, "%llu.%02llu ", LLU(v >> 16), LLU((v & 0xffff) * 100 >> 16));
}

static int loadavg_show(struct seq *s, void *node)
{
	struct sched_stats all;

	sched_stats(~0u, &all);
	load(s, all.load_1);
	load(s, all.load_5);
	load(s, all.load_15);
	seq_printf(s, "%llu/%u %u\n", LLU(all.runnable), thread_count_all(), last_pid());
	return 0;
}

static int cpuinfo_show(struct seq *s, void *node)
{
	char *text = kmalloc(PAGE_SIZE);

	if (!text)
		return -ENOMEM;
	for_each_cpu(c) {
		u32 n = arch_cpuinfo(c, text, PAGE_SIZE);

		seq_write(s, text, n);
	}
	kfree(text);
	return 0;
}

static int interrupts_show(struct seq *s, void *node)
{
	static const struct { const char *name, *what; enum stat which; } local[] = {
		{ "LOC", "Local timer interrupts", STAT_IRQ_TIMER }, { "RES", "Rescheduling interrupts", STAT_IRQ_RESCHEDULE },
		{ "CAL", "Function call interrupts", STAT_IRQ_CALL }, { "TLB", "TLB shootdowns", STAT_IRQ_FLUSH },
	};
	struct irq_description d;

	seq_printf(s, "%11s", "");
	for_each_cpu(c)
		seq_printf(s, "CPU%-8u", c);
	seq_putc(s, '\n');
	for (u32 i = 0; irq_describe(i, &d); i++) {
		seq_printf(s, "%3u: ", d.number);
		for_each_cpu(c)
			seq_printf(s, "%10llu ", LLU(irq_count(i, c)));
		seq_printf(s, " %8s %3u-%-8s  %s\n", d.msi ? "PCI-MSI" : "IO-APIC", d.number, "edge", d.name);
	}
	for (u32 i = 0; i < ARRAY_LEN(local); i++) {
		seq_printf(s, "%3s: ", local[i].name);
		for_each_cpu(c)
			seq_printf(s, "%10llu ", LLU(stat_of_cpu(local[i].which, c)));
		seq_printf(s, "  %s\n", local[i].what);
	}
	return 0;
}

static int softirqs_show(struct seq *s, void *node)
{
	static const char *const names[] = { "HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU" };

	seq_printf(s, "                    ");
	for_each_cpu(c)
		seq_printf(s, "CPU%-8u", c);
	seq_putc(s, '\n');
	for (u32 i = 0; i < ARRAY_LEN(names); i++) {
		seq_printf(s, "%12s:", names[i]);
		for_each_cpu(c)
			seq_printf(s, " %10u", 0);
		seq_putc(s, '\n');
	}
	return 0;
}

static int schedstat_show(struct seq *s, void *node)
{
	struct sched_stats st;

	seq_printf(s, "version 15\ntimestamp %llu\n", LLU(clock_mono_ns() / (4 * NSEC_PER_MSEC)));
	for_each_cpu(c) {
		sched_stats(c, &st);
		seq_printf(s, "cpu%u 0 0 %llu 0 %llu 0 %llu %llu %llu\n", c, LLU(st.switches), LLU(st.wakeups), LLU(st.user_ns + st.sys_ns),
			   LLU(st.delay_ns), LLU(st.switches));
	}
	return 0;
}

/* --- the kernel ------------------------------------------------------------------- */

static int version_show(struct seq *s, void *node)
{
	seq_printf(s, "%s version %s (saker@saker) (gcc %s) %s\n", UTS_SYSNAME, UTS_RELEASE, __VERSION__, UTS_VERSION);
	return 0;
}

static int cmdline_show(struct seq *s, void *node)
{
	seq_printf(s, "%s\n", cmdline_text());
	return 0;
}

/* One name per major number, as Linux's drivers call themselves. */
static int devices_show(struct seq *s, void *node)
{
	static const struct { u32 major, minor; const char *name; } known[] = {
		{ 1, 3, "mem" }, { 4, 64, "ttyS" }, { 5, 0, "/dev/tty" }, { 5, 1, "/dev/console" }, { 5, 2, "/dev/ptmx" },
		{ 10, 1, "misc" }, { 128, 0, "ptm" }, { 136, 0, "pts" },
	};

	seq_printf(s, "Character devices:\n");
	for (u32 i = 0; i < ARRAY_LEN(known); i++)
		if (chardev_find(dev_make(known[i].major, known[i].minor)))
			seq_printf(s, "%3u %s\n", known[i].major, known[i].name);
	seq_printf(s, "\nBlock devices:\n");
	return 0;
}

static int misc_show(struct seq *s, void *node)
{
	struct chardev *cd;

	for (u32 minor = 0; minor < 256; minor++) {
		cd = chardev_find(dev_make(10, minor));
		if (cd && cd->name)
			seq_printf(s, "%3u %s\n", minor, cd->name);
	}
	return 0;
}

static int tty_drivers_show(struct seq *s, void *node)
{
	static const struct { const char *name, *node; u32 major, first, last; const char *type; } known[] = {
		{ "/dev/tty", "/dev/tty", 5, 0, 0, "system:/dev/tty" }, { "/dev/console", "/dev/console", 5, 1, 1, "system:console" },
		{ "/dev/ptmx", "/dev/ptmx", 5, 2, 2, "system" }, { "serial", "/dev/ttyS", 4, 64, 67, "serial" },
		{ "pty_slave", "/dev/pts", 136, 0, 1048575, "pty:slave" },
	};
	char range[20];

	for (u32 i = 0; i < ARRAY_LEN(known); i++) {
		if (!chardev_find(dev_make(known[i].major, known[i].first)))
			continue;
		fmt_snprintf(range, sizeof(range), known[i].first == known[i].last ? "%7u" : "%u-%u", known[i].first, known[i].last);
		seq_printf(s, "%-20s %-13s %3u %s %s\n", known[i].name, known[i].node, known[i].major, range, known[i].type);
	}
	return 0;
}

static int tty_ldiscs_show(struct seq *s, void *node)
{
	seq_printf(s, "n_tty       0\n");
	return 0;
}

static struct synth_entry tty_entries[] = {
	FILE_ENTRY("drivers", 0444, tty_drivers_show), FILE_ENTRY("ldiscs", 0444, tty_ldiscs_show), { .name = NULL },
};

static int swaps_show(struct seq *s, void *node)
{
	seq_printf(s, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static int partitions_show(struct seq *s, void *node) { return 0; }
static int empty_show(struct seq *s, void *node) { return 0; }

static int execdomains_show(struct seq *s, void *node)
{
	seq_printf(s, "0-0\tLinux           \t[kernel]\n");
	return 0;
}

static bool lock_line(u32 i, const char *line, void *arg)
{
	seq_printf(arg, "%s\n", line);
	return true;
}

static int locks_show(struct seq *s, void *node)
{
	vfs_for_each_lock(lock_line, s);
	return 0;
}

/* E enabled, C behind /dev/console, p shows the log, a usable at any time. */
static int consoles_show(struct seq *s, void *node)
{
	struct tty *t = tty_console();
	char device[16];

	if (!t)
		return 0;
	fmt_snprintf(device, sizeof(device), "%u:%u", dev_major(tty_rdev(t)), dev_minor(tty_rdev(t)));
	seq_printf(s, "%-20s -W- (EC p a) %7s\n", tty_name(t), device);
	return 0;
}

/* --- what is missing ------------------------------------------------------------------ */

u64 (*procfs_absent_count)(u32 nr);
const char *(*procfs_syscall_name)(u32 nr);

#define SYSCALL_LIMIT 512u

/* Number, name and how often the call was refused because this kernel does not have it. */
static int absent_show(struct seq *s, void *node)
{
	for (u32 nr = 0; procfs_absent_count && nr < SYSCALL_LIMIT; nr++) {
		const char *name = procfs_syscall_name(nr);
		u64 n = procfs_absent_count(nr);

		if (name && n)
			seq_printf(s, "%u %s %llu\n", nr, name, LLU(n));
	}
	if (procfs_absent_count && procfs_absent_count(~0u))
		seq_printf(s, "- unknown %llu\n", LLU(procfs_absent_count(~0u)));
	return 0;
}

static int proof_show(struct seq *s, void *node)
{
	seq_printf(s, "audit_spaces %llu\naudit_tables %llu\naudit_entries %llu\naudit_counts %llu\naudit_frames %llu\n"
		      "audit_pending %llu\n", LLU(audit_stats.spaces), LLU(audit_stats.tables), LLU(audit_stats.entries),
		   LLU(audit_stats.counts), LLU(audit_stats.frames), LLU(audit_stats.pending));
	seq_printf(s, "verify_spaces %llu\nverify_pages %llu\nverify_kept %llu\n", LLU(verify_stats.spaces),
		   LLU(verify_stats.pages), LLU(verify_stats.kept));
	return 0;
}

static struct synth_entry saker_entries[] = {
	FILE_ENTRY("proof", 0444, proof_show), FILE_ENTRY("syscalls", 0444, absent_show),
	FILE_ENTRY("metrics", 0444, proc_metrics_show), { .name = NULL },
};

/* --- links -------------------------------------------------------------------------- */

static i64 put_link(const char *text, char *buf, usize size)
{
	usize n = MIN(strlen(text), size);

	memcpy(buf, text, n);
	return (i64)n;
}

static i64 self_readlink(struct synth_node *n, char *buf, usize size)
{
	char text[16];

	fmt_snprintf(text, sizeof(text), "%u", vfs_self()->tgid);
	return put_link(text, buf, size);
}

static i64 thread_self_readlink(struct synth_node *n, char *buf, usize size)
{
	char text[40];

	fmt_snprintf(text, sizeof(text), "%u/task/%u", vfs_self()->tgid, vfs_self()->pid);
	return put_link(text, buf, size);
}

static i64 text_readlink(struct synth_node *n, char *buf, usize size) { return put_link(n->e->data, buf, size); }

/* --- net ------------------------------------------------------------------------------ */

static int net_dev_show(struct seq *s, void *node)
{
	seq_printf(s, "Inter-|   Receive                                                |  Transmit\n"
		   " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n");
	return 0;
}

#define SO_ACCEPTCON 0x10000u

static void unix_line(const struct unix_info *i, void *arg)
{
	struct seq *s = arg;
	u32 state = i->ino ? (i->connected ? 3 : 1) : (i->connected ? 2 : 4);	/* SS_CONNECTED, ... */
	u32 len = i->path && i->path[0] ? (u32)strnlen(i->path, i->path_len) : i->path_len;

	seq_printf(s, "%016x: %08X %08X %08X %04X %02X %5llu", 0, i->refs, 0, i->listening ? SO_ACCEPTCON : 0, i->type, state, LLU(i->ino));
	if (i->path)
		seq_putc(s, ' ');
	for (u32 k = 0; i->path && k < len; k++)
		seq_putc(s, i->path[k] ? i->path[k] : '@');
	seq_putc(s, '\n');
}

static int net_unix_show(struct seq *s, void *node)
{
	seq_printf(s, "Num       RefCount Protocol Flags    Type St Inode Path\n");
	unix_for_each(unix_line, s);
	return 0;
}

struct synth_entry proc_net_entries[] = {
	FILE_ENTRY("unix", 0444, net_unix_show),
	FILE_ENTRY("dev", 0444, net_dev_show),
	{ .name = NULL },
};

/* --- the root ---------------------------------------------------------------------------- */

#define LINK_TO(n, t) { .name = (n), .mode = S_IFLNK | 0777, .readlink = text_readlink, .data = (t) }

static struct synth_entry root_entries[] = {
	LINK_TO("net", "self/net"),
	DIR_ENTRY("sys", 0555, proc_sys_entries),
	DIR_ENTRY("tty", 0555, tty_entries),
	FILE_ENTRY("misc", 0444, misc_show),
	FILE_ENTRY("stat", 0444, stat_show),
	FILE_ENTRY("locks", 0444, locks_show),
	DIR_ENTRY("saker", 0555, saker_entries),
	FILE_ENTRY("swaps", 0444, swaps_show),
	LINK_TO("mounts", "self/mounts"),
	FILE_ENTRY("uptime", 0444, uptime_show),
	FILE_ENTRY("vmstat", 0444, vmstat_show),
	FILE_ENTRY("cmdline", 0444, cmdline_show),
	FILE_ENTRY("cpuinfo", 0444, cpuinfo_show),
	FILE_ENTRY("devices", 0444, devices_show),
	FILE_ENTRY("loadavg", 0444, loadavg_show),
	FILE_ENTRY("meminfo", 0444, meminfo_show),
	FILE_ENTRY("modules", 0444, empty_show),
	FILE_ENTRY("version", 0444, version_show),
	FILE_ENTRY("consoles", 0444, consoles_show),
	FILE_ENTRY("slabinfo", 0400, slabinfo_show),
	FILE_ENTRY("softirqs", 0444, softirqs_show),
	FILE_ENTRY("buddyinfo", 0444, buddyinfo_show),
	FILE_ENTRY("diskstats", 0444, empty_show),
	FILE_ENTRY("schedstat", 0444, schedstat_show),
	FILE_ENTRY("interrupts", 0444, interrupts_show),
	DIR_ENTRY("pressure", 0555, proc_pressure_entries),
	FILE_ENTRY("partitions", 0444, partitions_show),
	FILE_ENTRY("execdomains", 0444, execdomains_show),
	FILE_ENTRY("filesystems", 0444, proc_filesystems_show),
	{ .name = "self", .mode = S_IFLNK | 0777, .readlink = self_readlink },
	{ .name = "thread-self", .mode = S_IFLNK | 0777, .readlink = thread_self_readlink },
	{ .name = NULL },
};

static struct synth_entry root = { .name = "/", .mode = S_IFDIR | 0555, .children = root_entries, .dir = &proc_pids };
static struct superblock *the_sb;	/* const after boot */

static int proc_mount(const struct fs_type *t, const char *source, u32 flags, const char *options, struct superblock **out)
{
	if (options && *options)
		return -EINVAL;
	ref_get(&the_sb->refs);
	*out = the_sb;
	return 0;
}

static int proc_statfs(struct superblock *sb, struct kstatfs *st)
{
	st->bsize = PAGE_SIZE;
	return 0;
}

static struct fs_type proc_type = { .name = "proc", .nodev = true, .mount = proc_mount, .statfs = proc_statfs };

void procfs_init(void)
{
	synth_init();
	synth_number(&root);
	the_sb = synth_mount(&proc_type, &root, PROC_MAGIC);
	proc_pid_init(the_sb);
	fs_register(&proc_type);
}
