/* Host and domain name. */
#include <base/string.h>
#include <core/lock.h>
#include <core/uts.h>

static spinlock_t uts_lock = SPINLOCK_INIT(LR_FS_PRIV);
static char names[UTS_NAMES][UTS_LEN + 1] GUARDED_BY(&uts_lock) = { "(none)", "(none)" };

void uts_get(enum uts_name which, char *out)
{
	GUARD_SPIN(&uts_lock);
	memcpy(out, names[which], UTS_LEN + 1);
}

void uts_set(enum uts_name which, const char *name, u32 len)
{
	GUARD_SPIN(&uts_lock);
	memset(names[which], 0, UTS_LEN + 1);
	memcpy(names[which], name, len);
}
