/* Private to init: the pieces of the boot thread. */
#pragma once

#include <base/attrs.h>

struct bootinfo;

void init_mount_root(void);
void init_unpack_initramfs(struct bootinfo *bi);
void init_first_process(void *arg);	/* runs as pid 1 in kernel mode, ends in user mode */
