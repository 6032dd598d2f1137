/* /sys: what programs ask about processors and memory. */
#include <core/percpu.h>
#include <fs/fs.h>
#include "proc_priv.h"

#define SYSFS_MAGIC 0x62656572u

static int cpus_show(struct seq *s, void *node)
{
	if (cpu_count() > 1)
		seq_printf(s, "0-%u\n", cpu_count() - 1);
	else
		seq_printf(s, "0\n");
	return 0;
}

#define SYS_FILE(n, m, fn) { .name = (n), .mode = S_IFREG | (m), .flags = SYNTH_SYSFS, .show = (fn) }
#define SYS_DIR(n, c)	   { .name = (n), .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .children = (c) }

static struct synth_entry cpu_entries[] = {
	SYS_FILE("online", 0444, cpus_show),
	SYS_FILE("possible", 0444, cpus_show),
	SYS_FILE("present", 0444, cpus_show),
	{ .name = NULL },
};
static struct synth_entry system_entries[] = { SYS_DIR("cpu", cpu_entries), { .name = NULL } };
static struct synth_entry devices_entries[] = { SYS_DIR("system", system_entries), { .name = NULL } };
static struct synth_entry root_entries[] = {
	SYS_DIR("block", NULL), SYS_DIR("bus", NULL), SYS_DIR("class", NULL), SYS_DIR("dev", NULL), SYS_DIR("devices", devices_entries),
	SYS_DIR("firmware", NULL), SYS_DIR("fs", NULL), SYS_DIR("kernel", NULL), SYS_DIR("module", NULL), SYS_DIR("power", NULL),
	{ .name = NULL },
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
	the_sb = synth_mount(&sysfs_type, &root, SYSFS_MAGIC);
	fs_register(&sysfs_type);
}
