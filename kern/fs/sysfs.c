/*
 * /sys: what programs ask about processors (nproc, lscpu, C libraries), the
 * terminals and other character devices by class, and the directories that
 * others are mounted on.  Empty where Linux lists hardware that is not there.
 */
#include <core/percpu.h>
#include <dev/tty.h>
#include <fs/fs.h>
#include "proc_priv.h"

#define SYSFS_MAGIC 0x62656572u

#define SYS_FILE(n, m, fn) { .name = (n), .mode = S_IFREG | (m), .flags = SYNTH_SYSFS, .show = (fn) }
#define SYS_TEXT(n, t)	   { .name = (n), .mode = S_IFREG | 0444, .flags = SYNTH_SYSFS, .show = text_show, .data = (t) }
#define SYS_DIR(n, c)	   { .name = (n), .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .children = (c) }
#define END		   { .name = NULL }

static int text_show(struct seq *s, void *node)
{
	seq_printf(s, "%s\n", (const char *)((struct synth_node *)node)->e->data);
	return 0;
}

/* --- processors ------------------------------------------------------------------ */

#define CPU_WORDS 16u

static u32 shown_cpus(void) { return MIN(cpu_count(), CPU_WORDS * 64); }

static void online_mask(u64 *mask)
{
	memset(mask, 0, CPU_WORDS * sizeof(u64));
	for (u32 c = 0; c < shown_cpus(); c++)
		if (cpu_is_online(c))
			mask[c / 64] |= 1ull << (c % 64);
}

static int online_show(struct seq *s, void *node)
{
	u64 mask[CPU_WORDS];

	online_mask(mask);
	proc_mask_list(s, mask, shown_cpus());
	seq_putc(s, '\n');
	return 0;
}

/* Exists, but did not start. */
static int offline_show(struct seq *s, void *node)
{
	u64 mask[CPU_WORDS];

	online_mask(mask);
	for (u32 i = 0; i < CPU_WORDS; i++)
		mask[i] = ~mask[i];
	proc_mask_list(s, mask, shown_cpus());
	seq_putc(s, '\n');
	return 0;
}

static int possible_show(struct seq *s, void *node)
{
	seq_printf(s, cpu_count() > 1 ? "0-%u\n" : "%u\n", cpu_count() - 1);
	return 0;
}

static int kernel_max_show(struct seq *s, void *node)
{
	seq_printf(s, "%u\n", cpu_count() - 1);
	return 0;
}

/* Every CPU is a core of its own in one package: what /proc/cpuinfo says too. */
static int core_id_show(struct seq *s, void *node)
{
	seq_printf(s, "%u\n", ((struct synth_node *)node)->id);
	return 0;
}

static int zero_show(struct seq *s, void *node)
{
	seq_printf(s, "0\n");
	return 0;
}

static void own_mask(void *node, u64 *mask)
{
	u32 id = ((struct synth_node *)node)->id;

	memset(mask, 0, CPU_WORDS * sizeof(u64));
	mask[id / 64] = 1ull << (id % 64);
}

static int own_hex_show(struct seq *s, void *node)
{
	u64 mask[CPU_WORDS];

	own_mask(node, mask);
	proc_mask_hex(s, mask, shown_cpus());
	seq_putc(s, '\n');
	return 0;
}

static int own_list_show(struct seq *s, void *node)
{
	seq_printf(s, "%u\n", ((struct synth_node *)node)->id);
	return 0;
}

static int all_hex_show(struct seq *s, void *node)
{
	u64 mask[CPU_WORDS];

	online_mask(mask);
	proc_mask_hex(s, mask, shown_cpus());
	seq_putc(s, '\n');
	return 0;
}

static struct synth_entry topology_entries[] = {
	SYS_FILE("core_cpus", 0444, own_hex_show), SYS_FILE("core_cpus_list", 0444, own_list_show),
	SYS_FILE("core_id", 0444, core_id_show),
	SYS_FILE("core_siblings", 0444, all_hex_show), SYS_FILE("core_siblings_list", 0444, online_show),
	SYS_FILE("die_cpus", 0444, all_hex_show), SYS_FILE("die_cpus_list", 0444, online_show), SYS_FILE("die_id", 0444, zero_show),
	SYS_FILE("package_cpus", 0444, all_hex_show), SYS_FILE("package_cpus_list", 0444, online_show),
	SYS_FILE("physical_package_id", 0444, zero_show),
	SYS_FILE("thread_siblings", 0444, own_hex_show), SYS_FILE("thread_siblings_list", 0444, own_list_show),
	END,
};
static struct synth_entry one_cpu_entries[] = { SYS_DIR("topology", topology_entries), END };
static struct synth_entry one_cpu = SYS_DIR("cpuN", one_cpu_entries);

static int cpu_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	u32 id;

	if (!str_has_prefix(name, "cpu") || synth_parse_id(name + 3, &id) || id >= shown_cpus())
		return -ENOENT;
	*out = (struct synth_node){ .e = &one_cpu, .id = id };
	return 0;
}

static int cpu_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	if (from >= shown_cpus())
		return -ENOENT;
	fmt_snprintf(out->name, sizeof(out->name), "cpu%u", (u32)from);
	out->key = from;
	out->dtype = S_IFDIR >> 12;
	out->ino = synth_ino(dir, &one_cpu) + (from << 16);
	return 0;
}

static const struct synth_dir cpu_dir = { .find = cpu_find, .next = cpu_next };

static struct synth_entry cpu_entries[] = {
	SYS_TEXT("isolated", ""),
	SYS_FILE("kernel_max", 0444, kernel_max_show),
	SYS_FILE("offline", 0444, offline_show),
	SYS_FILE("online", 0444, online_show),
	SYS_FILE("possible", 0444, possible_show),
	SYS_FILE("present", 0444, possible_show),
	END,
};

/* --- classes of character devices ---------------------------------------------------- */

/* What a class directory holds: devices of one major number. */
struct class_device { const char *name; u32 major, minor; };

static const struct class_device mem_class[] = {
	{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 }, { "kmsg", 1, 11 }, { NULL, 0, 0 },
};
static const struct class_device tty_class[] = {
	{ "console", 5, 1 }, { "ptmx", 5, 2 }, { "tty", 5, 0 }, { "ttyS0", 4, 64 }, { "ttyS1", 4, 65 }, { "ttyS2", 4, 66 },
	{ "ttyS3", 4, 67 }, { NULL, 0, 0 },
};

static const struct class_device *device_of(const struct synth_node *n)
{
	const struct class_device *class = n->e->data;

	return &class[n->id];
}

static int dev_show(struct seq *s, void *node)
{
	const struct class_device *d = device_of(node);

	seq_printf(s, "%u:%u\n", d->major, d->minor);
	return 0;
}

static int uevent_show(struct seq *s, void *node)
{
	const struct class_device *d = device_of(node);
	const struct chardev *cd = chardev_find(dev_make(d->major, d->minor));

	seq_printf(s, "MAJOR=%u\nMINOR=%u\nDEVNAME=%s\n", d->major, d->minor, d->name);
	if (cd && cd->mode != 0600 && d->major != 4)
		seq_printf(s, "DEVMODE=%#o\n", cd->mode);
	return 0;
}

static int active_show(struct seq *s, void *node)
{
	struct tty *t = tty_console();

	if (t)
		seq_printf(s, "%s\n", tty_name(t));
	return 0;
}

#define DEVICE_FILES(class) \
	{ .name = "dev", .mode = S_IFREG | 0444, .flags = SYNTH_SYSFS, .show = dev_show, .data = (class) }, \
	{ .name = "uevent", .mode = S_IFREG | 0444, .flags = SYNTH_SYSFS, .show = uevent_show, .data = (class) }
static struct synth_entry mem_files[] = { DEVICE_FILES(mem_class), END };
static struct synth_entry tty_files[] = { DEVICE_FILES(tty_class), END };
static struct synth_entry console_files[] = { SYS_FILE("active", 0444, active_show), DEVICE_FILES(tty_class), END };
static struct synth_entry mem_device = SYS_DIR("MEM", mem_files);
static struct synth_entry tty_device = SYS_DIR("TTY", tty_files);
static struct synth_entry console_device = SYS_DIR("CONSOLE", console_files);

static const struct synth_entry *entry_of(const struct class_device *d)
{
	if (d->major == 1)
		return &mem_device;
	return d == tty_class ? &console_device : &tty_device;
}

static bool device_exists(const struct class_device *d)
{
	return chardev_find(dev_make(d->major, d->minor)) != NULL;
}

static int class_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	const struct class_device *class = dir->e->data;

	for (u32 i = 0; class[i].name; i++) {
		if (strcmp(class[i].name, name) || !device_exists(&class[i]))
			continue;
		*out = (struct synth_node){ .e = entry_of(&class[i]), .id = i };
		return 0;
	}
	return -ENOENT;
}

static int class_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	const struct class_device *class = dir->e->data;

	for (u64 i = 0; class[i].name; i++) {
		if (i < from || !device_exists(&class[i]))
			continue;
		str_copy(out->name, class[i].name, sizeof(out->name));
		out->key = i;
		out->dtype = S_IFDIR >> 12;
		out->ino = synth_ino(dir, entry_of(&class[i])) + (i << 16);
		return 0;
	}
	return -ENOENT;
}

static const struct synth_dir class_dir = { .find = class_find, .next = class_next };

/* --- the tree -------------------------------------------------------------------------- */

static struct synth_entry kernel_mm_entries[] = { SYS_DIR("transparent_hugepage", sysfs_thp_entries), END };
static struct synth_entry kernel_entries[] = { SYS_DIR("mm", kernel_mm_entries), SYS_TEXT("uevent_seqnum", "0"), END };
static struct synth_entry system_entries[] = {
	{ .name = "cpu", .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .children = cpu_entries, .dir = &cpu_dir }, END,
};
static struct synth_entry devices_entries[] = { SYS_DIR("system", system_entries), SYS_DIR("virtual", NULL), END };
static struct synth_entry class_entries[] = {
	{ .name = "mem", .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .dir = &class_dir, .data = mem_class },
	{ .name = "tty", .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .dir = &class_dir, .data = tty_class },
	{ .name = "virtio-ports", .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .dir = &sysfs_ports_dir },
	END,
};
static struct synth_entry fs_entries[] = { SYS_DIR("cgroup", NULL), END };
static struct synth_entry dev_entries[] = { SYS_DIR("block", NULL), SYS_DIR("char", NULL), END };
static struct synth_entry root_entries[] = {
	SYS_DIR("block", NULL), SYS_DIR("bus", NULL), SYS_DIR("class", class_entries), SYS_DIR("dev", dev_entries),
	SYS_DIR("devices", devices_entries), SYS_DIR("firmware", NULL), SYS_DIR("fs", fs_entries), SYS_DIR("kernel", kernel_entries),
	SYS_DIR("module", NULL), SYS_DIR("power", NULL),
	END,
};
static struct synth_entry root = { .name = "/", .mode = S_IFDIR | 0555, .flags = SYNTH_SYSFS, .children = root_entries };
static struct superblock *the_sb;	/* const after boot */

static int sysfs_mount(const struct fs_type *t, const char *source, u32 flags, const char *options, struct superblock **out)
{
	ref_get(&the_sb->refs);
	*out = the_sb;
	return 0;
}

static struct fs_type sysfs_type = { .name = "sysfs", .nodev = true, .mount = sysfs_mount };

void sysfs_init(void)
{
	synth_number(&root);
	synth_number(&one_cpu);
	synth_number(&mem_device);
	synth_number(&tty_device);
	synth_number(&console_device);
	sysfs_ports_number();
	the_sb = synth_mount(&sysfs_type, &root, SYSFS_MAGIC);
	fs_register(&sysfs_type);
}
