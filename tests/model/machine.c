/* See machine.h. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <arch/cpu.h>
#include <core/lock.h>
#include <core/percpu.h>
#include <sched/pressure.h>
#include <sched/sched.h>
#include <test/test.h>
#include "../../kern/vm/vm.h"
#include "machine.h"

#define TLB_SIZE 64u
#define HUGE_TLB_SIZE 8u
#define PSC_SIZE 8u

struct tlb_entry { u64 tag, va; pfn_t frame; bool write; };	/* of a 2 MiB entry: va and frame of its start */
struct psc_entry { u64 tag, region; pfn_t leaf; bool write; };

static struct cpu {
	u64 root, tag;
	struct tlb_entry tlb[TLB_SIZE], huge[HUGE_TLB_SIZE];
	struct psc_entry psc[PSC_SIZE];
} cpus[MODEL_CPUS];
static struct thread threads[MODEL_CPUS];

u32 model_cpu;
DEFINE_PER_CPU(struct thread *, cpu_current);
void (*sched_aspace_switch)(void *prev_aspace, void *next_aspace);
bool host_irq_on = true;
u8 *host_ram;
struct page *page_array;
static u32 spin_depth;

__attribute__((constructor(101))) static void machine_create(void)
{
	usize size = (usize)HOST_RAM_FRAMES << PAGE_SHIFT;
	u8 *p = mmap(NULL, size + (4 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	host_ram = (u8 *)ALIGN_UP((u64)p, 4 << 20);
	page_array = mmap(NULL, HOST_RAM_FRAMES * sizeof(struct page), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (u32 i = 0; i < MODEL_CPUS; i++)
		cpu_current[i] = &threads[i];
}

/* --- memory management unit ------------------------------------------------ */

void *mmu_phys_to_virt(paddr_t p) { return host_ram + p.v; }
paddr_t mmu_virt_to_phys(const void *v) { return PADDR((u64)v - (u64)host_ram); }
void mmu_init_root(pfn_t root) {}
void smp_flush_kernel(u64 start, u64 end) {}

static void drop(struct cpu *c, u64 tag, u64 va, bool all)
{
	for (u32 i = 0; i < TLB_SIZE; i++)
		if (c->tlb[i].tag == tag && (all || c->tlb[i].va == (va & PAGE_MASK)))
			c->tlb[i].tag = 0;
	for (u32 i = 0; i < HUGE_TLB_SIZE; i++)
		if (c->huge[i].tag == tag && (all || c->huge[i].va == ALIGN_DOWN(va, HUGE_SIZE)))
			c->huge[i].tag = 0;
	/* INVLPG empties the paging-structure caches of its tag whatever the address. */
	for (u32 i = 0; i < PSC_SIZE; i++)
		if (c->psc[i].tag == tag)
			c->psc[i].tag = 0;
}

void mmu_switch(pfn_t root, u64 aspace_id)
{
	cpus[model_cpu].root = root.v;
	cpus[model_cpu].tag = aspace_id;
}

void mmu_switch_kernel(void) { cpus[model_cpu].root = cpus[model_cpu].tag = 0; }
void mmu_flush_page(u64 va) { drop(&cpus[model_cpu], cpus[model_cpu].tag, va, false); }
void mmu_flush_all(void) { drop(&cpus[model_cpu], cpus[model_cpu].tag, 0, true); }
void mmu_flush_tag(u64 aspace_id) { drop(&cpus[model_cpu], aspace_id, 0, true); }

static pte_t *table_at(pfn_t f) { return mmu_phys_to_virt(pfn_to_paddr(f)); }

/* The leaf table by cache or by walk.  *huge: a 2 MiB entry, which leaf is the frame of. */
static bool find_leaf(struct cpu *c, u64 va, pfn_t *leaf, bool *write, bool *huge)
{
	struct psc_entry *p = &c->psc[(va >> HUGE_SHIFT) % PSC_SIZE];
	pfn_t t = PFN(c->root);

	*huge = false;
	if (p->tag == c->tag && p->region == va >> HUGE_SHIFT) {
		*leaf = p->leaf;
		*write = p->write;
		return true;
	}
	*write = true;
	for (u32 level = 3; level; level--) {
		pte_t e = table_at(t)[mmu_index(va, level)];

		if (!pte_present(e))
			return false;
		*write &= pte_writable(e);
		t = pte_pfn(e);
		*huge = pte_huge(e);
		if (*huge)
			VERIFY(level == 1 && !(t.v % HUGE_PAGES));
	}
	*leaf = t;
	if (*huge)
		return true;
	*p = (struct psc_entry){ c->tag, va >> HUGE_SHIFT, t, *write };
	return true;
}

static struct tlb_entry *translate(u64 va)
{
	struct cpu *c = &cpus[model_cpu];
	struct tlb_entry *t = &c->tlb[(va >> PAGE_SHIFT) % TLB_SIZE], *h = &c->huge[(va >> HUGE_SHIFT) % HUGE_TLB_SIZE];
	bool write, huge;
	pfn_t leaf;

	if (!c->root)
		return NULL;
	if (t->tag == c->tag && t->va == (va & PAGE_MASK))
		return t;
	if (h->tag == c->tag && h->va == ALIGN_DOWN(va, HUGE_SIZE))
		return h;
	if (!find_leaf(c, va, &leaf, &write, &huge))
		return NULL;
	if (huge) {
		*h = (struct tlb_entry){ c->tag, ALIGN_DOWN(va, HUGE_SIZE), leaf, write };
		return h;
	}
	pte_t e = table_at(leaf)[mmu_index(va, 0)];

	if (!pte_present(e))
		return NULL;
	*t = (struct tlb_entry){ c->tag, va & PAGE_MASK, pte_pfn(e), write && pte_writable(e) };
	return t;
}

u8 *machine_access(u64 va, bool write)
{
	struct tlb_entry *t = translate(va);

	if (t && (!write || t->write))
		return (u8 *)mmu_phys_to_virt(pfn_to_paddr(t->frame)) + (va - t->va);
	if (t)
		drop(&cpus[model_cpu], t->tag, va, false);	/* a fault drops what it used */
	t = translate(va);
	if (t && (!write || t->write))
		return (u8 *)mmu_phys_to_virt(pfn_to_paddr(t->frame)) + (va - t->va);
	return NULL;
}

void machine_speculate(u64 va)
{
	(void)translate(va);
}

static const char *audit_huge(struct aspace *as, struct tlb_entry *t)
{
	pte_t *dir = pgtable_dir_slot(as, t->va, NULL);

	if (!dir || !pte_present(*dir) || !pte_huge(*dir) || pte_pfn(*dir).v != t->frame.v)
		return "stale 2 MiB TLB entry";
	return t->write && !pte_writable(*dir) ? "stale 2 MiB TLB entry: still writable" : NULL;
}

const char *machine_audit(struct aspace *as)
{
	for (u32 c = 0; c < MODEL_CPUS; c++)
		for (u32 i = 0; i < HUGE_TLB_SIZE; i++) {
			const char *err = cpus[c].huge[i].tag == as->id ? audit_huge(as, &cpus[c].huge[i]) : NULL;

			if (err)
				return err;
		}
	for (u32 c = 0; c < MODEL_CPUS; c++)
		for (u32 i = 0; i < TLB_SIZE; i++) {
			struct tlb_entry *t = &cpus[c].tlb[i];

			if (t->tag != as->id)
				continue;
			pte_t *dir = pgtable_dir_slot(as, t->va, NULL);

			if (!dir || !pte_present(*dir) || pte_huge(*dir))
				return "stale TLB entry: no table";
			pte_t e = *leaf_slot(pte_page(*dir), t->va);

			if (!pte_present(e) || pte_pfn(e).v != t->frame.v)
				return "stale TLB entry: other frame";
			if (t->write && !(pte_writable(e) && pte_writable(*dir)))
				return "stale TLB entry: still writable";
		}
	for (u32 c = 0; c < MODEL_CPUS; c++)
		for (u32 i = 0; i < PSC_SIZE; i++) {
			struct psc_entry *p = &cpus[c].psc[i];

			if (p->tag != as->id)
				continue;
			pte_t *dir = pgtable_dir_slot(as, p->region << HUGE_SHIFT, NULL);

			if (!dir || !pte_present(*dir) || pte_huge(*dir) || pte_pfn(*dir).v != p->leaf.v)
				return "stale paging-structure entry";
			if (p->write && !pte_writable(*dir))
				return "stale paging-structure entry: still writable";
		}
	return NULL;
}

const char *machine_audit_dead(u64 id)
{
	for (u32 c = 0; c < MODEL_CPUS; c++)
		if (cpus[c].tag == id)
			return "dead space is loaded";
	return NULL;
}

/* --- processors ------------------------------------------------------------ */

u32 cpu_id(void) { return model_cpu; }
u32 cpu_count(void) { return MODEL_CPUS; }
bool cpu_is_online(u32 cpu) { return cpu < MODEL_CPUS; }

void machine_run(u32 cpu, struct aspace *as)
{
	struct thread *t = &threads[cpu];
	void *prev = t->aspace;

	model_cpu = cpu;
	t->aspace = as;
	aspace_switch(prev, as);
}

struct aspace *machine_thread_aspace(u32 cpu) { return threads[cpu].aspace; }

void machine_forget_thread(struct aspace *as)
{
	for (u32 c = 0; c < MODEL_CPUS; c++)
		if (threads[c].aspace == as)
			threads[c].aspace = NULL;
}

/* For what CPUs do to caches of their own, which the fakes have not. */
void smp_call_others(void (*fn)(void *arg), void *arg)
{
}

void smp_call_mask(const u64 *mask, void (*fn)(void *arg), void *arg)
{
	u32 self = model_cpu;
	u64 bits = mask[0];

	VERIFY(host_irq_on);
	for (u32 c = 0; c < MODEL_CPUS; c++)
		if (c != self && bits >> c & 1) {
			model_cpu = c;
			host_irq_on = false;
			fn(arg);
			host_irq_on = true;
		}
	model_cpu = self;
}

void sched_resched_if_needed(void) { assert_may_sleep(); }
void pressure_memory(bool begins) {}
void spin_init(spinlock_t *l, enum lock_rank rank) { *l = (spinlock_t){ .rank = (u16)rank }; }
void spin_lock(spinlock_t *l)
{
	VERIFY(!l->holder);
	l->holder = 1;
	spin_depth++;
}
void spin_lock_nested(spinlock_t *l) { spin_lock(l); }
void spin_unlock(spinlock_t *l)
{
	VERIFY(l->holder);
	l->holder = 0;
	spin_depth--;
}
bool spin_is_held(const spinlock_t *l) { return l->holder; }
void assert_may_sleep(void) { VERIFY(!spin_depth && host_irq_on); }

/* --- what the fakes ask for ------------------------------------------------ */

static u32 fail_countdown = ~0u;
static bool fail_hit;
static i64 live_objects, live_pages;
static u64 random_state;

void model_seed(u64 seed) { random_state = seed; }
u64 model_random(void)
{
	u64 x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

u64 host_live_allocs(void) { return (u64)live_objects; }
u64 host_live_pages(void) { return (u64)live_pages; }
void host_count_alloc(i64 objects, i64 pages)
{
	live_objects += objects;
	live_pages += pages;
}

void host_fail_at(u32 n)
{
	fail_countdown = n;
	fail_hit = false;
}
bool host_fail_hit(void) { return fail_hit; }

bool host_alloc_should_fail(void)
{
	if (fail_countdown == ~0u || fail_countdown--)
		return false;
	fail_hit = true;
	return true;
}
