/*
 * The recorder, and its rings.
 *
 * A record's slot is taken by one XADD on the ring's head, which an interrupt
 * cannot split; an interrupt that comes between that and the stores takes the
 * next slots.  So each record is written by one flow of control, and no two write
 * the same slot until the ring has gone round.  The reader knows by the lap
 * number that a slot was taken but never filled (a crash in between).
 * Records of one CPU may be out of order by one interrupt: the reader sorts.
 */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <arch/mmu.h>
#include <base/string.h>
#include <core/cmdline.h>
#include <core/debug.h>
#include <core/log.h>
#include <core/outbox.h>
#include <core/percpu.h>
#include <core/trace.h>

#define RING_DEFAULT (1u << 20)		/* bytes per CPU */
#define RING_LEAST   (16u << 10)
#define RECORDS_MAX  (1u << (TRACE_LAP_SHIFT + 15))	/* more, and an old record could not be told from a new one */

u32 trace_mask;
static DEFINE_PER_CPU(struct trace_ring *, trace_ring);	/* const after trace_init() */
static DEFINE_PER_CPU(u32, trace_tid);			/* the running thread; written at each switch */
static u32 workers;					/* atomic */
static const char *const group_names[] = { TRACE_GROUP_NAMES };
static const char *const event_names[] = { TRACE_EVENT_NAMES };

void trace_record(u32 event, u64 a0, u64 a1)
{
	struct trace_ring *ring = this_cpu_read(trace_ring);
	u64 tsc = cpu_cycles(), i = cpu_local_fetch_add(&ring->head, 1);
	struct trace_record *r = &ring->record[i & ring->mask];

	r->tsc = tsc;
	r->tid = this_cpu_read(trace_tid);
	r->event = (u16)event;
	r->arg[0] = a0;
	r->arg[1] = a1;
	barrier();
	r->lap = (u16)(i >> TRACE_LAP_SHIFT);	/* last: the record is whole */
}

void trace_switch(u32 prev, u32 next, u32 state)
{
	trace_sched_switch(prev, next, state);
	this_cpu_write(trace_tid, next);
}

u32 trace_worker_id(const char *name)
{
	u32 id = TRACE_WORKER_TID + __atomic_add_fetch(&workers, 1, __ATOMIC_RELAXED);
	char text[16] = { 0 };

	str_copy(text, name, sizeof(text));
	trace_task_worker(id, trace_text(text, 0));
	return id;
}

bool trace_peek(u32 cpu, u64 back, struct trace_record *out)
{
	struct trace_ring *ring = trace_mask ? *per_cpu_ptr(&trace_ring, cpu) : NULL;
	u64 head, i;

	if (!ring)
		return false;
	head = READ_ONCE(ring->head);
	if (back >= head || back > ring->mask)
		return false;
	i = head - 1 - back;
	*out = ring->record[i & ring->mask];
	return out->lap == (u16)(i >> TRACE_LAP_SHIFT);
}

const char *trace_event_name(u32 event)
{
	return event >> 2 < ARRAY_LEN(event_names) ? event_names[event >> 2] : "?";
}

/* ---- start ---- */

/* trace=exec,fork; task always: without it nobody has a name. */
static u32 wanted_groups(void)
{
	u32 mask = 0;

	if (!cmdline_has("trace"))
		return ~0u;
	for (u32 i = 0; i < ARRAY_LEN(group_names); i++)
		if (cmdline_list_has("trace", group_names[i]))
			mask |= 1u << i;
	return mask ? mask | TRACE_GROUP_TASK : 0;
}

static u64 wanted_records(const struct bootinfo *bi)
{
	u64 size = cmdline_get_u64("trace_ring", RING_DEFAULT), ram = 0, n = 1;

	for (u32 i = 0; i < bi->nram; i++)
		ram += bi->ram[i].end - bi->ram[i].start;
	size = MAX(MIN(size, ram / 8 / cpu_count()), (u64)RING_LEAST);
	while (n * 2 * sizeof(struct trace_record) <= size && n < RECORDS_MAX)
		n *= 2;
	return n;
}

static u64 ring_create(struct bootinfo *bi, u32 cpu, u64 records)
{
	paddr_t pa = boot_alloc(bi, sizeof(struct trace_ring) + records * sizeof(struct trace_record));
	struct trace_ring *ring = mmu_phys_to_virt(pa);

	ring->mask = records - 1;
	ring->cpu = cpu;
	for (u64 i = 0; i < records; i++)
		ring->record[i].lap = 0xffff;		/* none of lap 0 */
	*per_cpu_ptr(&trace_ring, cpu) = ring;
	return pa.v;
}

void trace_init(struct bootinfo *bi)
{
	u32 groups = debug_on(DEBUG_TRACE) && outbox_active() ? wanted_groups() : 0;
	u64 records = wanted_records(bi), *table;
	paddr_t pa;

	if (!groups)
		return;
	pa = boot_alloc(bi, cpu_count() * sizeof(u64));
	table = mmu_phys_to_virt(pa);
	for (u32 c = 0; c < cpu_count(); c++)
		table[c] = ring_create(bi, c, records);
	outbox_header.trace_pa = pa.v;
	barrier();
	trace_mask = groups;
}
