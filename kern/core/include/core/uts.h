/*
 * Who this kernel says it is: uname(2), /proc/version, /proc/sys/kernel.
 * The two names that can be set are copied under a lock.  Context: any.
 */
#pragma once

#include <base/attrs.h>

#define UTS_LEN	    64
#define UTS_SYSNAME "Linux"
#define UTS_RELEASE "6.1.0-saker"
#define UTS_VERSION "#1 SMP Saker"
#define UTS_MACHINE "x86_64"

/* struct new_utsname of the ABI. */
struct uts_text {
	char sysname[UTS_LEN + 1], nodename[UTS_LEN + 1], release[UTS_LEN + 1], version[UTS_LEN + 1], machine[UTS_LEN + 1],
		domainname[UTS_LEN + 1];
};

/* A reader that must not hold a lock: do { t = uts_begin(&seq); use t; } while (uts_changed(seq)); */
const struct uts_text *uts_begin(u64 *seq);
bool uts_changed(u64 seq);

enum uts_name { UTS_NODENAME, UTS_DOMAINNAME, UTS_NAMES };

/* Copies at most UTS_LEN bytes and the NUL into out[UTS_LEN + 1]. */
void uts_get(enum uts_name which, char *out);
/* len <= UTS_LEN, checked by the caller. */
void uts_set(enum uts_name which, const char *name, u32 len);
