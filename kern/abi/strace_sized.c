/*
 * strace: structures whose size is in the call or in themselves.
 */
#include <abi/stat.h>
#include "abi.h"
#include "strace.h"

#define ULL(v)	 ((unsigned long long)(v))
#define CPUS_MAX 1024u
#define HOW_MAX	 64u			/* bytes of an open_how that are looked at */

/* len bytes of a mask. */
static void put_cpuset(struct strace_line *l, u64 at, u64 len)
{
	u8 mask[CPUS_MAX / 8];
	const char *between = "";

	len = MIN(len, sizeof(mask));
	if (!at || user_copy_in(mask, UPTR(at), len)) {
		put_pointer(l, at);
		return;
	}
	put(l, "[");
	for (u32 cpu = 0; cpu < len * 8; cpu++)
		if (mask[cpu / 8] >> (cpu % 8) & 1) {
			put(l, "%s%u", between, cpu);
			between = " ";
		}
	put(l, "]");
}

static void put_attr_values(struct strace_line *l, const struct sched_attr_k *a, u32 size)
{
	put(l, ", sched_policy=");
	put_value(l, SYSCALL_SET_SCHED, a->policy);
	put(l, ", sched_flags=");
	put_set(l, SYSCALL_SET_SCHED_FLAGS, a->flags);
	put(l, ", sched_nice=%d, sched_priority=%u, sched_runtime=%llu, sched_deadline=%llu, sched_period=%llu", a->nice, a->priority,
	    ULL(a->runtime), ULL(a->deadline), ULL(a->period));
	if (size >= sizeof(*a))
		put(l, ", sched_util_min=%u, sched_util_max=%u", a->util_min, a->util_max);
}

/* room: of sched_getattr, which says so in an argument; 0: the structure says it. */
static void put_sched_attr(struct strace_line *l, u64 at, u32 room)
{
	struct sched_attr_k a = { 0 };
	u32 size;

	if (!at || user_copy_in(&a.size, UPTR(at), sizeof(a.size))) {
		put_pointer(l, at);
		return;
	}
	size = a.size || room ? a.size : SCHED_ATTR_SIZE_VER0;
	if (size >= SCHED_ATTR_SIZE_VER0 && user_copy_in(&a, UPTR(at), MIN(size, sizeof(a)))) {
		put_pointer(l, at);
		return;
	}
	put(l, "{size=%u", a.size);
	if (size >= SCHED_ATTR_SIZE_VER0)
		put_attr_values(l, &a, size);
	put(l, size > sizeof(a) ? ", ...}" : "}");
}

/* The kernel's own size comes back where the structure is too large for it, or too small. */
void put_setattr(struct strace_line *l)
{
	u32 size;

	if (!l->leaving) {
		put(l, "%d, ", (i32)l->arg[0]);
		put_sched_attr(l, l->arg[1], 0);
		return;
	}
	if (l->ret == -E2BIG && !user_copy_in(&size, UPTR(l->arg[1]), sizeof(size)))
		put(l, " => {size=%u}", size);
	put(l, ", %u", (u32)l->arg[2]);
}

static bool any_set(const u8 *p, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (p[i])
			return true;
	return false;
}

static void put_open_how(struct strace_line *l, u64 at, u64 size)
{
	struct { struct open_how_user_k how; u8 more[HOW_MAX - sizeof(struct open_how_user_k)]; } h = { 0 };
	const struct open_how_user_k *how = &h.how;
	u64 more;

	size = MIN(size, sizeof(h));
	if (!at || size < sizeof(*how) || user_copy_in(&h, UPTR(at), size)) {
		put_pointer(l, at);
		return;
	}
	put(l, "{flags=");
	put_set(l, SYSCALL_SET_OPEN, how->flags);
	if (how->mode || how->flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		put(l, ", mode=%#03llo", ULL(how->mode));
	put(l, ", resolve=");
	put_set(l, SYSCALL_SET_RESOLVE, how->resolve);
	more = size - sizeof(*how);
	if (any_set(h.more, more)) {
		put(l, ", /* bytes %zu..%llu */ \"", sizeof(*how), ULL(size - 1));
		for (u64 i = 0; i < more; i++)
			put(l, "\\x%02x", h.more[i]);
		put(l, "\"");
	}
	put(l, "}");
}

bool put_sized(struct strace_line *l, u32 i, u64 at)
{
	const struct syscall_arg *a = &l->args[i];

	switch (a->detail) {
	case SYSCALL_STRUCT_CPUSET:
		put_cpuset(l, at, l->leaving ? (u64)l->ret : (u32)l->arg[1]);
		return true;
	case SYSCALL_STRUCT_SCHED_ATTR:
		put_sched_attr(l, at, (u32)l->arg[2]);
		return true;
	case SYSCALL_STRUCT_OPEN_HOW:
		put_open_how(l, at, l->arg[3]);
		return true;
	}
	return false;
}
