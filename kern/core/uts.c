/*
 * The answer of uname(2), kept ready.  Readers copy it straight to user memory
 * and look afterwards whether it changed meanwhile: nothing may be held over
 * such a copy, and names change once in a system's life.
 */
#include <base/atomic.h>
#include <base/string.h>
#include <core/lock.h>
#include <core/uts.h>

static spinlock_t uts_lock = SPINLOCK_INIT(LR_FS_PRIV);
static struct uts_text text = {
	.sysname = UTS_SYSNAME, .nodename = "(none)", .release = UTS_RELEASE, .version = UTS_VERSION, .machine = UTS_MACHINE,
	.domainname = "(none)",
};						/* written under uts_lock */
static u64 changes;				/* odd while text is written.  Written under uts_lock */

const struct uts_text *uts_begin(u64 *seq)
{
	*seq = load_acquire(&changes);
	return &text;
}

bool uts_changed(u64 seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return unlikely(seq & 1 || READ_ONCE(changes) != seq);
}

static char *name_of(enum uts_name which) { return which == UTS_NODENAME ? text.nodename : text.domainname; }

void uts_get(enum uts_name which, char *out)
{
	GUARD_SPIN(&uts_lock);
	memcpy(out, name_of(which), UTS_LEN + 1);
}

void uts_set(enum uts_name which, const char *name, u32 len)
{
	GUARD_SPIN(&uts_lock);
	WRITE_ONCE(changes, changes + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memset(name_of(which), 0, UTS_LEN + 1);
	memcpy(name_of(which), name, len);
	store_release(&changes, changes + 1);
}
