/*
 * /proc/sys.  One table; each number says where it lives and what it may be.
 * What cannot change here, because nothing reads a variable for it, has equal
 * bounds: writing the value it has is fine, another one is -EINVAL, as for any
 * value out of range.  What this kernel does not have is not listed.
 */
#include <core/log.h>
#include <core/panic.h>
#include <core/uts.h>
#include <dev/random.h>
#include <ipc/eventfd.h>
#include <ipc/pipe.h>
#include <ipc/socket.h>
#include <mem/mem.h>
#include <sched/mutex.h>
#include <vm/huge.h>
#include "proc_priv.h"

struct number {
	u32 *at;		/* NULL: constant, min == max */
	i64 min, max;
	bool is_signed;
};

static const struct number *number_of(const struct synth_node *n) { return n->e->data; }

static int number_show(struct seq *s, void *node)
{
	const struct number *x = number_of(node);

	if (!x->at)
		seq_printf(s, "%lld\n", (long long)x->min);
	else if (x->is_signed)
		seq_printf(s, "%d\n", (i32)READ_ONCE(*x->at));
	else
		seq_printf(s, "%u\n", READ_ONCE(*x->at));
	return 0;
}

/* The first word counts. */
static int first_number(char *text, i64 *out)
{
	while (*text == ' ' || *text == '\t' || *text == '\n')
		text++;
	for (char *p = text; *p; p++)
		if (*p == ' ' || *p == '\t' || *p == '\n') {
			*p = 0;
			break;
		}
	return proc_parse_int(text, out);
}

static i64 number_write(struct synth_node *n, char *text, usize len)
{
	const struct number *x = number_of(n);
	i64 v;

	if (first_number(text, &v) || v < x->min || v > x->max)
		return -EINVAL;
	if (x->at)
		WRITE_ONCE(*x->at, (u32)v);
	return (i64)len;
}

#define SYSCTL_DIR(n, c) { .name = (n), .mode = S_IFDIR | 0555, .flags = SYNTH_SYSCTL, .children = (c) }
#define SYSCTL_FILE(n, m, fn, wr) { .name = (n), .mode = S_IFREG | (m), .flags = SYNTH_SYSCTL, .show = (fn), .write = (wr) }
#define NUMBER_(n, m, ...) \
	{ .name = (n), .mode = S_IFREG | (m), .flags = SYNTH_SYSCTL | SYNTH_NUMBER, .show = number_show, .write = number_write, \
	  .data = &(const struct number){ __VA_ARGS__ } }
#define NUMBER(n, p, lo, hi)  NUMBER_(n, 0644, (p), (lo), (hi), false)
#define INTEGER(n, p, lo, hi) NUMBER_(n, 0644, (u32 *)(p), (lo), (hi), true)
#define CONSTANT(n, v)	      NUMBER_(n, 0644, NULL, (v), (v), false)
#define FIXED(n, v)	      NUMBER_(n, 0444, NULL, (v), (v), false)
#define END		      { .name = NULL }

/* --- texts ---------------------------------------------------------------------- */

static int text_show(struct seq *s, void *node)
{
	seq_printf(s, "%s\n", (const char *)((struct synth_node *)node)->e->data);
	return 0;
}
#define TEXT(n, t) { .name = (n), .mode = S_IFREG | 0444, .flags = SYNTH_SYSCTL, .show = text_show, .data = (t) }

static int uts_show(struct seq *s, enum uts_name which)
{
	char name[UTS_LEN + 1];

	uts_get(which, name);
	seq_printf(s, "%s\n", name);
	return 0;
}

static i64 uts_write(enum uts_name which, const char *text, usize len)
{
	usize n = 0;

	while (n < len && n < UTS_LEN && text[n] && text[n] != '\n')
		n++;
	uts_set(which, text, (u32)n);
	return (i64)len;
}

static int hostname_show(struct seq *s, void *node) { return uts_show(s, UTS_NODENAME); }
static int domainname_show(struct seq *s, void *node) { return uts_show(s, UTS_DOMAINNAME); }
static i64 hostname_write(struct synth_node *n, char *text, usize len) { return uts_write(UTS_NODENAME, text, len); }
static i64 domainname_write(struct synth_node *n, char *text, usize len) { return uts_write(UTS_DOMAINNAME, text, len); }

/* --- random ----------------------------------------------------------------------- */

/* Version 4: random, as RFC 4122 marks it. */
static void make_uuid(u8 *b)
{
	random_bytes(b, 16);
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
}

static int uuid_show(struct seq *s, void *node)
{
	u8 b[16];

	make_uuid(b);
	proc_uuid(s, b);
	return 0;
}

static int boot_id_show(struct seq *s, void *node)
{
	static spinlock_t lock = SPINLOCK_INIT(LR_FS_PRIV);
	static u8 id[16] GUARDED_BY(&lock);
	u8 fresh[16];

	make_uuid(fresh);
	spin_lock(&lock);
	if (!id[8])				/* bits of the version are never all zero */
		memcpy(id, fresh, sizeof(id));
	memcpy(fresh, id, sizeof(id));
	spin_unlock(&lock);
	proc_uuid(s, fresh);
	return 0;
}

static int entropy_show(struct seq *s, void *node)
{
	seq_printf(s, "%u\n", random_ready() ? 256 : 0);
	return 0;
}

static struct synth_entry random_entries[] = {
	SYSCTL_FILE("boot_id", 0444, boot_id_show, NULL),
	SYSCTL_FILE("entropy_avail", 0444, entropy_show, NULL),
	FIXED("poolsize", 256),
	SYSCTL_FILE("uuid", 0444, uuid_show, NULL),
	END,
};

/* --- kernel ------------------------------------------------------------------------- */

/* Console level, and the three levels that nothing sets here. */
static int printk_show(struct seq *s, void *node)
{
	seq_printf(s, "%u\t4\t1\t7\n", log_console_level());
	return 0;
}

static i64 printk_write(struct synth_node *n, char *text, usize len)
{
	i64 v;

	if (first_number(text, &v) || v < 0 || v > INT32_MAX)
		return -EINVAL;
	log_set_console_level((u32)MIN(v, 15));
	return (i64)len;
}

static struct synth_entry kernel_entries[] = {
	TEXT("arch", UTS_MACHINE),
	FIXED("cap_last_cap", CAP_LAST),
	SYSCTL_FILE("domainname", 0644, domainname_show, domainname_write),
	SYSCTL_FILE("hostname", 0644, hostname_show, hostname_write),
	FIXED("ngroups_max", CRED_MAX_GROUPS),
	TEXT("osrelease", UTS_RELEASE),
	TEXT("ostype", UTS_SYSNAME),
	CONSTANT("overflowgid", 65534),
	CONSTANT("overflowuid", 65534),
	INTEGER("panic", &panic_timeout, INT32_MIN, INT32_MAX),
	NUMBER("pid_max", &sysctl_pid_max, 301, 1 << 22),
	SYSCTL_FILE("printk", 0644, printk_show, printk_write),
	SYSCTL_DIR("random", random_entries),
	INTEGER("randomize_va_space", &sysctl_randomize_va_space, INT32_MIN, INT32_MAX),
	CONSTANT("sched_child_runs_first", 0),
	CONSTANT("sched_rr_timeslice_ms", 100),
	CONSTANT("sysctl_writes_strict", 1),
	CONSTANT("tainted", 0),
	NUMBER("threads-max", &sysctl_threads_max, 20, 0x3fffffff),
	TEXT("version", UTS_VERSION),
	END,
};

/* --- fs -------------------------------------------------------------------------------- */

static u64 live_objects(const char *cache)
{
	const char *name;
	u64 active, total;
	u32 size;

	for (u32 i = 0; slab_describe(i, &name, &active, &total, &size); i++)
		if (!strcmp(name, cache))
			return active;
	return 0;
}

static int file_nr_show(struct seq *s, void *node)
{
	seq_printf(s, "%llu\t0\t%lld\n", LLU(live_objects("file")), (long long)INT64_MAX);
	return 0;
}

static int inode_nr_show(struct seq *s, void *node)
{
	seq_printf(s, "%llu\t0\n", LLU(live_objects("vnode")));
	return 0;
}

static int inode_state_show(struct seq *s, void *node)
{
	seq_printf(s, "%llu\t0\t0\t0\t0\t0\t0\n", LLU(live_objects("vnode")));
	return 0;
}

/* Rounded up to what a ring of slots can hold, as F_SETPIPE_SZ does. */
static i64 pipe_max_write(struct synth_node *n, char *text, usize len)
{
	u32 size = PAGE_SIZE;
	i64 v;

	if (first_number(text, &v) || v < 0 || v > 1l << 31)
		return -EINVAL;
	while (size < v)
		size <<= 1;
	WRITE_ONCE(sysctl_pipe_max_size, size);
	return (i64)len;
}

static int pipe_max_show(struct seq *s, void *node)
{
	seq_printf(s, "%u\n", READ_ONCE(sysctl_pipe_max_size));
	return 0;
}

static struct synth_entry epoll_entries[] = { CONSTANT("max_user_watches", INT64_MAX), END };
static struct synth_entry inotify_entries[] = {
	NUMBER("max_queued_events", &sysctl_inotify_max_queued, 0, INT32_MAX),
	CONSTANT("max_user_instances", INT32_MAX),
	CONSTANT("max_user_watches", INT32_MAX),
	END,
};
static struct synth_entry fs_entries[] = {
	SYSCTL_DIR("epoll", epoll_entries),
	CONSTANT("file-max", INT64_MAX),
	SYSCTL_FILE("file-nr", 0444, file_nr_show, NULL),
	SYSCTL_FILE("inode-nr", 0444, inode_nr_show, NULL),
	SYSCTL_FILE("inode-state", 0444, inode_state_show, NULL),
	SYSCTL_DIR("inotify", inotify_entries),
	NUMBER("mount-max", &sysctl_mount_max, 1, INT32_MAX),
	CONSTANT("nr_open", FDTABLE_HARD_MAX),
	CONSTANT("overflowgid", 65534),
	CONSTANT("overflowuid", 65534),
	SYSCTL_FILE("pipe-max-size", 0644, pipe_max_show, pipe_max_write),
	CONSTANT("pipe-user-pages-hard", 0),
	CONSTANT("pipe-user-pages-soft", 0),
	NUMBER("protected_fifos", &sysctl_protected_fifos, 0, 2),
	NUMBER("protected_hardlinks", &sysctl_protected_hardlinks, 0, 1),
	NUMBER("protected_regular", &sysctl_protected_regular, 0, 2),
	NUMBER("protected_symlinks", &sysctl_protected_symlinks, 0, 1),
	CONSTANT("suid_dumpable", 0),
	END,
};

/* --- vm, net ------------------------------------------------------------------------------ */

static i64 drop_caches_write(struct synth_node *n, char *text, usize len)
{
	i64 v;

	if (first_number(text, &v) || v < 1 || v > 4)
		return -EINVAL;
	mem_reclaim(mem_total_pages());
	return (i64)len;
}

static i64 compact_memory_write(struct synth_node *n, char *text, usize len)
{
	i64 v;

	if (first_number(text, &v) || v != 1)
		return -EINVAL;
	while (vm_compact() && !thread_fatal_pending())
		;
	return (i64)len;
}

static int min_free_show(struct seq *s, void *node)
{
	seq_printf(s, "%llu\n", (unsigned long long)mem_reserve_pages() * (PAGE_SIZE / 1024));
	return 0;
}

static struct synth_entry vm_entries[] = {
	SYSCTL_FILE("compact_memory", 0200, NULL, compact_memory_write),
	SYSCTL_FILE("drop_caches", 0200, NULL, drop_caches_write),
	CONSTANT("legacy_va_layout", 0),
	CONSTANT("max_map_count", 65530),
	SYSCTL_FILE("min_free_kbytes", 0444, min_free_show, NULL),	/* from the size of RAM */
	CONSTANT("mmap_min_addr", 65536),
	CONSTANT("oom_kill_allocating_task", 0),
	CONSTANT("overcommit_kbytes", 0),
	CONSTANT("overcommit_memory", 1),	/* every mapping is granted; the OOM killer settles the rest */
	CONSTANT("overcommit_ratio", 50),
	CONSTANT("panic_on_oom", 0),
	CONSTANT("swappiness", 60),
	END,
};

static struct synth_entry core_entries[] = { CONSTANT("somaxconn", 4096), END };
static struct synth_entry unix_entries[] = { NUMBER("max_dgram_qlen", &sysctl_unix_max_dgram_qlen, 0, INT32_MAX), END };
static struct synth_entry net_entries[] = { SYSCTL_DIR("core", core_entries), SYSCTL_DIR("unix", unix_entries), END };

struct synth_entry proc_sys_entries[] = {
	SYSCTL_DIR("fs", fs_entries),
	SYSCTL_DIR("kernel", kernel_entries),
	SYSCTL_DIR("net", net_entries),
	SYSCTL_DIR("vm", vm_entries),
	END,
};
