/* Synthetic file systems: each registers its type with vfs. */
#pragma once

#include <base/attrs.h>

void procfs_init(void);
void sysfs_init(void);
void devfs_init(void);		/* devtmpfs: nodes of every registered chardev; follows later registrations */
/* How often system call nr was refused with -ENOSYS; its name, NULL: none.  Set by abi: /proc/saker/syscalls. */
extern u64 (*procfs_absent_count)(u32 nr);
extern const char *(*procfs_syscall_name)(u32 nr);
/* As abi's syscall_totals(): /proc/saker/metrics. */
extern bool (*procfs_syscall_totals)(u32 nr, u64 *calls, u64 *ended, u64 *ns);
