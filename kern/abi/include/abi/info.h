/* Layouts of the x86-64 Linux ABI about processes and the system.  Pure data. */
#pragma once

#include <abi/time.h>

struct utsname_k { char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65]; };
_Static_assert(sizeof(struct utsname_k) == 390, "struct new_utsname is 390 bytes");

struct sysinfo_k {
	i64 uptime;
	u64 loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	u16 procs, pad;
	u64 totalhigh, freehigh;
	u32 mem_unit;
};
_Static_assert(sizeof(struct sysinfo_k) == 112, "struct sysinfo is 112 bytes");

struct rusage_user_k {
	struct timeval_k utime, stime;
	i64 maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};
_Static_assert(sizeof(struct rusage_user_k) == 144, "struct rusage is 144 bytes");

struct clone_args_user_k {
	u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
#define CLONE_ARGS_SIZE_VER0 64

struct sched_attr_k {
	u32 size, policy;
	u64 flags;
	i32 nice;
	u32 priority;
	u64 runtime, deadline, period;
	u32 util_min, util_max;
};
#define SCHED_ATTR_SIZE_VER0 48

struct cap_header_k { u32 version; i32 pid; };
struct cap_data_k { u32 effective, permitted, inheritable; };
#define CAP_VERSION_1 0x19980330u
#define CAP_VERSION_2 0x20071026u
#define CAP_VERSION_3 0x20080522u

struct sigevent_user_k { u64 value; i32 signo, notify, tid; i32 pad[11]; };
_Static_assert(sizeof(struct sigevent_user_k) == 64, "struct sigevent is 64 bytes");

struct futex_waitv_k { u64 val, uaddr; u32 flags, reserved; };
struct robust_list_head_k { u64 next; i64 offset; u64 pending; };

struct pollfd_k { i32 fd; i16 events, revents; };
struct sigset_arg_k { u64 set, size; };		/* sixth argument of pselect6 */

struct msghdr_user_k {
	u64 name;
	i32 namelen, pad0;
	u64 iov, iovlen, control, controllen;
	u32 flags, pad1;
};
_Static_assert(sizeof(struct msghdr_user_k) == 56, "struct msghdr is 56 bytes");
struct mmsghdr_user_k { struct msghdr_user_k hdr; u32 len, pad; };
