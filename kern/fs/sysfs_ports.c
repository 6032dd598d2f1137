/* /sys/class/virtio-ports: one directory for each port of a virtio console. */
#include <base/errno.h>
#include <dev/virtio.h>
#include <fs/fs.h>
#include "proc_priv.h"

static bool port_of(const void *node, struct virtio_port_info *out)
{
	u32 minor = ((const struct synth_node *)node)->id;

	for (u32 i = 0; virtio_port_describe(i, out); i++)
		if (out->minor == minor)
			return true;
	return false;
}

static int name_show(struct seq *s, void *node)
{
	struct virtio_port_info port;

	if (!port_of(node, &port))
		return -ENODEV;
	seq_printf(s, "%s\n", port.name ? port.name : "");
	return 0;
}

static int dev_show(struct seq *s, void *node)
{
	struct virtio_port_info port;

	if (!port_of(node, &port))
		return -ENODEV;
	seq_printf(s, "%u:%u\n", port.major, port.minor);
	return 0;
}

static int uevent_show(struct seq *s, void *node)
{
	struct virtio_port_info port;

	if (!port_of(node, &port))
		return -ENODEV;
	seq_printf(s, "MAJOR=%u\nMINOR=%u\nDEVNAME=%s\n", port.major, port.minor, port.device);
	return 0;
}

#define PORT_FILE(n, fn) { .name = (n), .mode = S_IFREG | 0444, .flags = SYNTH_SYSFS, .show = (fn) }
#define END		 { .name = NULL }
static struct synth_entry name_file = PORT_FILE("name", name_show);

/* A port without a name has no file for it either, as on Linux; it may get one later. */
static int name_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	struct virtio_port_info port;

	if (strcmp(name, "name") || !port_of(dir, &port) || !port.name)
		return -ENOENT;
	*out = (struct synth_node){ .e = &name_file, .id = dir->id };
	return 0;
}

static int name_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	struct synth_node file = { 0 };

	if (from || name_find(dir, "name", &file))
		return -ENOENT;
	str_copy(out->name, "name", sizeof(out->name));
	out->dtype = S_IFREG >> 12;
	out->ino = synth_ino(dir, &name_file);
	return 0;
}

static const struct synth_dir name_dir = { .find = name_find, .next = name_next };
static struct synth_entry port_files[] = { PORT_FILE("dev", dev_show), PORT_FILE("uevent", uevent_show), END };
static struct synth_entry port_entry = {
	.name = "PORT", .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .children = port_files, .dir = &name_dir,
};

static int port_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	struct virtio_port_info port;

	for (u32 i = 0; virtio_port_describe(i, &port); i++) {
		if (strcmp(port.device, name))
			continue;
		*out = (struct synth_node){ .e = &port_entry, .id = port.minor };
		return 0;
	}
	return -ENOENT;
}

static int port_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	struct virtio_port_info port;

	for (u32 i = 0; virtio_port_describe(i, &port); i++) {
		if (port.minor < from)
			continue;
		str_copy(out->name, port.device, sizeof(out->name));
		out->key = port.minor;
		out->dtype = S_IFDIR >> 12;
		out->ino = synth_ino(dir, &port_entry) + ((u64)port.minor << 16);
		return 0;
	}
	return -ENOENT;
}

const struct synth_dir sysfs_ports_dir = { .find = port_find, .next = port_next };

void sysfs_ports_number(void)
{
	synth_number(&port_entry);
	synth_number(&name_file);
}
