/*
 * debug=audit: the memory manager's own account, checked at exec, fork and exit.
 * A breach is a panic whose report names the frame, the entry, the area and the process.
 * See docs/observability.md.  Sleeps; no lock held.
 */
#pragma once

#include <core/debug.h>
#include <vm/aspace.h>

struct audit_stats {
	u64 spaces, tables, entries;	/* checked under each space's locks; approximate with several CPUs */
	u64 counts, frames;		/* counts of all owners, and frames that had some */
	u64 pending;			/* frames with a reference too many at the last count: pins, or leaks to be */
};
extern struct audit_stats audit_stats;
/* Set once by proc: "PID NAME" of a process that runs in as.  Takes PROC_TABLE. */
extern void (*audit_space_owner)(const struct aspace *as, char *buf, u32 size);

void audit_init(void);			/* once, threads run */
void audit_space_now(struct aspace *as, const char *event);
/* Every object is known to the audit from its birth on, as every space is anyhow. */
void audit_link_object(struct vm_object *obj);
void audit_unlink_object(struct vm_object *obj);
static inline void audit_space(struct aspace *as, const char *event)
{
	if (debug_on(DEBUG_AUDIT))
		audit_space_now(as, event);
}
const char *audit_use_name(const struct page *pg);
