/*
 * The outbox: what the kernel hands to the launcher through memory that both
 * map, on any machine and without a driver.  `saker trace` and its kin start QEMU with
 * RAM in a file, find outbox_header at its link address and read from there; a
 * kernel that ended by a crash is read in the same way.
 *
 * One ring of bytes carries records { u32 length, u16 type, u16 cpu, payload, padding
 * to 8 }.  The kernel moves head, the launcher moves tail; both only grow, and
 * the place in the ring is the count modulo its size.  The per-CPU rings of
 * core/trace.h are announced here too.
 *
 * Memory for it is taken at boot and only if the command line asks: outbox=SIZE, or a
 * debug= word that writes here.  Without it a write is refused by one test.
 *
 * Lock: outbox_lock (rank OUTBOX, irq), inside outbox.c.
 */
#pragma once

#include <base/attrs.h>

struct bootinfo;

enum outbox_type {
	OUTBOX_STRACE = 1,	/* text: whole lines of strace */
	OUTBOX_SAMPLE = 2,	/* struct profile_sample (proc/profile.h) */
	OUTBOX_MAP = 3,		/* struct profile_map: where the code is that samples speak of */
};

#define OUTBOX_MAGIC   0x316f626f72656b53ull	/* "Skerobo1" */
#define OUTBOX_VERSION 1u

/* Offsets are part of the protocol: tools/saker/outbox.py. */
struct outbox_header {
	u64 magic;		/* set last: everything else is valid */
	u32 version, ncpus;
	u64 tsc_khz;		/* 0 until the clock is calibrated */
	u64 mono_tsc;		/* TSC at monotonic 0 */
	u64 ring_pa, ring_size;	/* physical, below the PCI hole; a power of two; 0: no ring */
	u64 trace_pa;		/* physical: ncpus words, the physical addresses of struct trace_ring; 0: no trace */
	u64 dropped;		/* records refused for lack of room */
	u64 head;		/* guest writes */
	u64 pad[7];
	u64 tail;		/* launcher writes */
	u32 attached;		/* launcher writes: somebody reads, waiting for room makes sense */
	u32 pad2[13];
};
_Static_assert(sizeof(struct outbox_header) == 192, "the launcher knows the layout");

extern struct outbox_header outbox_header;

/* Boot, after debug_init() and before mem_init(): takes the memory. */
void outbox_init(struct bootinfo *bi);
/* After arch_init_late(): tells the launcher how fast the TSC runs. */
void outbox_publish_clock(void);

static inline bool outbox_active(void) { return unlikely(outbox_header.ring_size); }

/*
 * Writes one record whole.  False: dropped and counted (there is no ring, the record is
 * larger than a quarter of it, or it is full and nobody reads).  Waits for room while the launcher is
 * attached: with interrupts as the caller has them, by spinning, for as long as the launcher takes.
 * So not from interrupts, and under no lock that an interrupt handler takes.
 */
bool outbox_write(enum outbox_type type, const void *data, u32 len);
/* Never waits.  Context: any but NMI. */
bool outbox_write_nowait(enum outbox_type type, const void *data, u32 len);
