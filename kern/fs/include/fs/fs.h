/* Synthetic file systems: each registers its type with vfs. */
#pragma once

#include <base/attrs.h>

void procfs_init(void);
void sysfs_init(void);
void devfs_init(void);		/* devtmpfs: nodes of every registered chardev; follows later registrations */
/* /proc/sys values that other layers read. */
extern u32 sysctl_pid_max, sysctl_overcommit, sysctl_randomize_va_space;
