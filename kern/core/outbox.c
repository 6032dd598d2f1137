/*
 * The outbox (core/outbox.h).
 *
 * Invariants:
 *  1. tail <= head <= tail + ring_size; the launcher moves only tail, we only head.
 *  2. Bytes below head are complete: head moves with release order after the copy.
 * A tail that breaks (1) is not believed: the write is dropped.
 */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <arch/mmu.h>
#include <base/string.h>
#include <core/cmdline.h>
#include <core/debug.h>
#include <core/lock.h>
#include <core/log.h>
#include <core/outbox.h>
#include <core/percpu.h>

#define RING_DEFAULT (1u << 20)
#define RING_LEAST   (64u << 10)
#define LOW_MEMORY   (2ull << 30)	/* below it physical addresses are offsets in the RAM file on every machine */

struct outbox_record { u32 length; u16 type, cpu; };

struct outbox_header outbox_header ALIGNED(64);
static u8 *ring;			/* const after outbox_init() */
static u64 ring_mask;			/* const after outbox_init() */
static spinlock_t outbox_lock = SPINLOCK_INIT(LR_OUTBOX);	/* guards head and the bytes behind it */

static u64 wanted_size(const struct bootinfo *bi)
{
	u64 size = cmdline_get_u64("outbox", debug_flags & ~(u32)DEBUG_METRICS ? RING_DEFAULT : 0), ram = 0, pow = RING_LEAST;

	for (u32 i = 0; i < bi->nram; i++)
		ram += bi->ram[i].end - bi->ram[i].start;
	size = MIN(size, ram / 8);
	while (pow * 2 <= size)
		pow *= 2;
	return size < RING_LEAST ? 0 : pow;
}

void outbox_init(struct bootinfo *bi)
{
	u64 size = wanted_size(bi);
	paddr_t pa;

	if (!size)
		return;
	pa = boot_alloc(bi, size);
	if (pa.v + size > LOW_MEMORY) {
		log_warn("outbox: no memory below 2 GiB");
		return;
	}
	ring = mmu_phys_to_virt(pa);
	ring_mask = size - 1;
	outbox_header.version = OUTBOX_VERSION;
	outbox_header.ncpus = cpu_count();
	outbox_header.ring_pa = pa.v;
	outbox_header.ring_size = size;
	store_release(&outbox_header.magic, OUTBOX_MAGIC);
}

void outbox_publish_clock(void)
{
	outbox_header.mono_tsc = cpu_cycles() - arch_clock_ns() * arch_tsc_khz() / 1000000;
	store_release(&outbox_header.tsc_khz, (u64)arch_tsc_khz());
}

static u64 put_bytes(u64 at, const void *data, u64 len)
{
	u64 first = MIN(len, ring_mask + 1 - (at & ring_mask));

	memcpy(ring + (at & ring_mask), data, first);
	memcpy(ring, (const u8 *)data + first, len - first);
	return at + len;
}

/* With the lock held. */
static bool try_put(enum outbox_type type, const void *data, u32 len)
{
	struct outbox_record rec = { len, (u16)type, (u16)cpu_id() };
	u64 head = outbox_header.head, need = ALIGN_UP(sizeof(rec) + (u64)len, 8);
	u64 used = head - __atomic_load_n(&outbox_header.tail, __ATOMIC_ACQUIRE);

	if (used > ring_mask + 1 || need > ring_mask + 1 - used)
		return false;
	put_bytes(put_bytes(head, &rec, sizeof(rec)), data, len);
	store_release(&outbox_header.head, head + need);
	return true;
}

static void count_drop(void) { __atomic_fetch_add(&outbox_header.dropped, 1, __ATOMIC_RELAXED); }

static bool fits_ever(u32 len)
{
	if (outbox_header.ring_size && len <= outbox_header.ring_size / 4)
		return true;
	count_drop();
	return false;
}

static bool put_locked(enum outbox_type type, const void *data, u32 len)
{
	GUARD_IRQ(&outbox_lock);
	return try_put(type, data, len);
}

bool outbox_write_nowait(enum outbox_type type, const void *data, u32 len)
{
	if (!fits_ever(len))
		return false;
	if (put_locked(type, data, len))
		return true;
	count_drop();
	return false;
}

bool outbox_write(enum outbox_type type, const void *data, u32 len)
{
	if (!fits_ever(len))
		return false;
	while (!put_locked(type, data, len)) {
		if (!READ_ONCE(outbox_header.attached)) {
			count_drop();
			return false;
		}
		cpu_relax();
	}
	return true;
}
