/*
 * Which regions to empty.  Pure but for the state of the frames: no lock (the zone's, where it says so).
 */
#pragma once

#include "buddy.h"

#define COMPACT_REGIONS 16u		/* emptied in one run */

struct compact {
	u32 n;
	struct { u64 region; u32 load; } pick[COMPACT_REGIONS];	/* fewest frames to move first */
	u64 next;			/* where to look on; of machines too large to be looked at in one run */
	u64 regions;			/* that there are; const */
	u64 *stuck;			/* bitmap: regions that did not become free */
};

/* The best, by a look without the lock: no more than the holes between other movable frames have room for. */
void compact_choose(struct compact *c, const struct buddy *b);
/* Isolates those of them that still would do.  How many.  Zone lock held. */
u32 compact_isolate(struct compact *c, struct buddy *b);
/* They are ordinary again.  How many are free.  Zone lock held. */
u32 compact_release(struct compact *c, struct buddy *b);
