/*
 * From the initramfs to the first instruction of init: mount the root, unpack
 * the archive, open the console, exec.  What goes wrong here is the user's
 * image, so it ends in one clear line (panic_boot), never in a backtrace.
 */
#include <arch/machine.h>
#include <base/string.h>
#include <core/cmdline.h>
#include <core/log.h>
#include <core/panic.h>
#include <mem/mem.h>
#include <proc/task.h>
#include <vfs/vfs.h>
#include "init.h"

#define MAX_INIT_ARGS 64

static char init_path[256];
static const char *init_argv[MAX_INIT_ARGS + 2];
static u32 init_argc;
static const char *const init_envp[] = { "HOME=/", "TERM=linux", "PATH=/sbin:/usr/sbin:/bin:/usr/bin", NULL };
static struct path root_path;

void init_mount_root(void)
{
	int err = vfs_mount_root("rootfs", NULL, &root_path);

	if (err)
		panic_boot("cannot mount the root file system: error %d", -err);
}

void init_unpack_initramfs(struct bootinfo *bi)
{
	const char *why = "";
	u64 at = 0;
	int err;

	if (!bi->initrd_size)
		panic_boot("no initramfs: start Saker with an archive (QEMU: -initrd FILE)");
	err = initramfs_unpack(bi->initrd_start, bi->initrd_size, &why, &at);
	if (err)
		panic_boot("initramfs is damaged at byte %llu: %s", (unsigned long long)at, why);
}

static void add_arg(const char *word, void *arg)
{
	if (init_argc < MAX_INIT_ARGS)
		init_argv[1 + init_argc++] = word;
}

static void open_console(struct task *self)
{
	struct file *f;
	int err = vfs_open(&self->vfs, AT_FDCWD, "/dev/console", &(struct open_how_k){ .flags = 2 }, &f);

	if (err) {
		log_warn("cannot open /dev/console: error %d", -err);
		return;
	}
	for (int fd = 0; fd < 3; fd++)
		DISCARD(fdtable_install(self->vfs.fds, file_get(f), false, 3));
	file_put(f);
}

/* Linux's built-in archive brings these; they may exist already, so failure does not matter. */
static void make_console_node(struct task *self)
{
	DISCARD(vfs_mkdir(&self->vfs, AT_FDCWD, "/dev", 0755));
	DISCARD(vfs_mkdir(&self->vfs, AT_FDCWD, "/root", 0700));
	DISCARD(vfs_mknod(&self->vfs, AT_FDCWD, "/dev/console", 0020600, dev_make(5, 1)));
}

void init_first_process(void *arg)
{
	static const char *const fallbacks[] = { "/sbin/init", "/etc/init", "/bin/init", "/bin/sh" };
	struct task *self = task_current();
	int err;

	make_console_node(self);
	open_console(self);
	cmdline_for_each_init_arg(add_arg, NULL);
	if (!cmdline_get("rdinit", init_path, sizeof(init_path)) && !cmdline_get("init", init_path, sizeof(init_path)))
		str_copy(init_path, "/init", sizeof(init_path));
	init_argv[0] = init_path;
	err = process_exec_kernel(self, init_path, init_argv, init_envp);
	if (!err)
		return;
	log_err("cannot run %s: error %d", init_path, -err);
	for (u32 i = 0; i < ARRAY_LEN(fallbacks) && !cmdline_has("rdinit"); i++) {
		init_argv[0] = fallbacks[i];
		if (!process_exec_kernel(self, fallbacks[i], init_argv, init_envp))
			return;
	}
	panic_boot("no working init found: %s: error %d", init_path, -err);
}
