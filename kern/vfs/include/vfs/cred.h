/*
 * Credentials: immutable once published, shared by reference, replaced whole.
 * Capabilities as capabilities(7), 64-bit sets.  Errors: none.
 */
#pragma once

#include <base/refcount.h>
#include <core/rcu.h>

#define CRED_MAX_GROUPS 65536u

struct cred {
	refcount_t refs;
	u32 uid, euid, suid, fsuid;
	u32 gid, egid, sgid, fsgid;
	u64 cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
	u32 securebits;
	bool no_new_privs;
	bool keep_caps;
	u32 ngroups;
	u32 *groups;			/* owned, sorted */
	struct rcu_head rcu;
};

enum { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
	CAP_LINUX_IMMUTABLE, CAP_NET_BIND_SERVICE, CAP_NET_BROADCAST, CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_IPC_OWNER,
	CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_SYS_PACCT, CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_NICE,
	CAP_SYS_RESOURCE, CAP_SYS_TIME, CAP_SYS_TTY_CONFIG, CAP_MKNOD, CAP_LEASE, CAP_AUDIT_WRITE, CAP_AUDIT_CONTROL, CAP_SETFCAP,
	CAP_MAC_OVERRIDE, CAP_MAC_ADMIN, CAP_SYSLOG, CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND, CAP_AUDIT_READ, CAP_PERFMON, CAP_BPF,
	CAP_CHECKPOINT_RESTORE, CAP_LAST = CAP_CHECKPOINT_RESTORE };
#define CAP_FULL ((1ull << (CAP_LAST + 1)) - 1)

static inline bool cred_can(const struct cred *c, u32 cap) { return (c->cap_effective >> cap) & 1; }
bool cred_in_group(const struct cred *c, u32 gid);		/* fsgid or a supplementary group */
struct cred *cred_get(const struct cred *c);
void cred_put(const struct cred *c);
MUST_USE struct cred *cred_dup(const struct cred *c);		/* private copy to edit, refs == 1; NULL: no memory */
extern struct cred cred_root;					/* the first process' */
DEFINE_AUTO(cred, struct cred *, cred_put)
