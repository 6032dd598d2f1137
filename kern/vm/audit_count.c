/*
 * debug=audit, second part: each frame's owners against its count, over all spaces and
 * caches at once, with the other CPUs held (sched/stop.h), so that no entry, table or slot
 * is half changed.
 *
 * Exact at every such moment, for every frame:
 *   - owners <= count: an owner takes its reference before it can be found and drops
 *     it after.  One owner too many would free the frame under the others;
 *   - a frame with an owner is not free, and a spare table has no link;
 *   - C1: no frame in a slot has a private entry with W.
 * A count above the owners may be a pin of a thread that sleeps (user copy, exec, a
 * pipe).  Anonymous frames are pinned for moments only: one that is over in SUSPECT_SEEN
 * counts in a row and for SUSPECT_NS is leaked.
 */
#include <core/clock.h>
#include <core/cmdline.h>
#include <core/log.h>
#include <sched/stop.h>
#include <vm/audit.h>
#include <vm/image.h>

#include "audit.h"

#define FRAME_CACHED  (1u << 31)	/* in a slot */
#define FRAME_WRITTEN (1u << 30)	/* a private entry with W */
#define FRAME_SPARE   (1u << 29)	/* table that waits for its next use */
#define FRAME_OWNERS  (FRAME_SPARE - 1)

#define SUSPECTS     64u
#define SUSPECT_SEEN 4u
#define SUSPECT_NS   (10 * NSEC_PER_SEC)

struct suspect {
	u64 pfn;
	u32 over, seen;
	u64 since;
	u64 round;
};

static spinlock_t list_lock = SPINLOCK_INIT(LR_AUDIT);
static struct list objects GUARDED_BY(&list_lock) = LIST_INIT(objects);

/* Whoever holds the machine. */
static u32 *frames;
static u64 nframes;
static struct suspect suspects[SUSPECTS];
static u64 rounds;

static u64 every = 16, events;		/* const; statistics */

void audit_link_object(struct vm_object *obj)
{
	GUARD_SPIN(&list_lock);
	list_push_back(&objects, &obj->audit_link);
}

void audit_unlink_object(struct vm_object *obj)
{
	GUARD_SPIN(&list_lock);
	list_remove(&obj->audit_link);
}

/* --- marking --------------------------------------------------------------- */

static u32 mark(struct audit *a, struct page *pg, u32 flags)
{
	u64 pfn = page_to_pfn(pg).v;

	a->frame = pg;
	if (pfn >= nframes || !pfn_valid(PFN(pfn)))
		audit_breach(a, "an owner names a frame that is not RAM");
	frames[pfn] = (frames[pfn] + 1) | flags;
	return frames[pfn] & FRAME_OWNERS;
}

static void mark_leaf(struct audit *a, struct page *leaf, u64 base)
{
	for (u64 groups = table_groups(leaf); groups; groups &= groups - 1)
		for (u32 i = group_first(groups), end = i + TABLE_GROUP; i < end; i++) {
			pte_t e = table_entries(leaf)[i];

			if (!pte_live(e) || !pte_owns(e))
				continue;
			a->e = e;
			a->va = base + i * PAGE_SIZE;
			DISCARD(mark(a, pte_page(e), pte_writable(e) && !pte_is_shared(e) ? FRAME_WRITTEN : 0));
		}
}

/* It owns every frame of its block. */
static void mark_huge(struct audit *a, pte_t e, u64 va)
{
	a->e = e;
	a->va = va;
	a->level = 1;
	for (u32 i = 0; i < BLOCK_FRAMES; i++)
		DISCARD(mark(a, pte_page(e) + i, pte_writable(e) ? FRAME_WRITTEN : 0));
}

static void mark_table(struct audit *a, struct page *t, u32 level, u64 base)
{
	u32 end = level == 3 ? TABLE_ENTRIES / 2 : TABLE_ENTRIES;

	for (u32 i = 0; i < end; i++) {
		pte_t e = table_entries(t)[i];
		u64 va = base + i * mmu_level_size(level);

		if (!pte_live(e))
			continue;
		if (level == 1 && pte_huge(e)) {
			mark_huge(a, e, va);
			continue;
		}
		a->va = va;
		audit_table_link(a, pte_page(e), e, level);
		/* A leaf that is shared owns its frames once; one that an image lends has no owner here, and owns nothing. */
		if ((level == 1 && e.v & PTE_BORROWED) || mark(a, pte_page(e), 0) > 1)
			continue;
		if (level > 1)
			mark_table(a, pte_page(e), level - 1, va);
		else
			mark_leaf(a, pte_page(e), va);
	}
}

static void mark_spaces(struct audit *a)
{
	spin_unshared(&aspace_all_lock);		/* the machine is held */
	list_for_each(a->as, &aspace_all, link) {
		struct page *root = pfn_to_page(a->as->root);

		DISCARD(mark(a, root, 0));
		mark_table(a, root, 3, 0);
	}
	a->as = NULL;
	a->e.v = 0;
}

static void mark_objects(struct audit *a)
{
	struct vm_object *obj;
	struct page *pg;

	spin_unshared(&list_lock);			/* the machine is held */
	list_for_each(obj, &objects, audit_link) {
		spin_unshared(&obj->tree_lock);
		for (u64 index = 0; (pg = radix_next(obj->root, &index, ~0ull >> PAGE_SHIFT)) != NULL; index++)
			DISCARD(mark(a, pg, FRAME_CACHED));
	}
}

static void mark_image(struct page *pg, u32 refs, void *arg)
{
	while (refs--)
		DISCARD(mark(arg, pg, 0));
}

static void mark_spare(struct page *t, void *arg)
{
	DISCARD(mark(arg, t, FRAME_SPARE));
}

/* --- judging --------------------------------------------------------------- */

/* Does the directory entry at va own pg, itself or by an entry of its leaf? */
static bool entry_names(struct audit *a, pte_t dir, u64 va, const struct page *pg)
{
	if (!pte_huge(dir) && pte_page(dir) == pg) {
		a->va = va;
		a->level = 1;
		a->e = dir;
		return true;
	}
	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		a->va = va + i * PAGE_SIZE;
		a->level = pte_huge(dir);
		a->e = pte_huge(dir) ? pte_of_huge(dir, a->va) : table_entries(pte_page(dir))[i];
		if (pte_live(a->e) && pte_page(a->e) == pg)
			return true;
	}
	return false;
}

/* For the report: an entry that owns the frame, its area and its space. */
static bool find_entry(struct audit *a, const struct page *pg)
{
	spin_unshared(&aspace_all_lock);		/* the machine is held: no list and no tree is half changed */
	list_for_each(a->as, &aspace_all, link) {
		pte_t *dir;

		for (u64 va = 0; (dir = pgtable_next_dir(a->as, &va, USER_TOP)) != NULL; va += HUGE_SIZE) {
			va = ALIGN_DOWN(va, HUGE_SIZE);
			if (entry_names(a, *dir, va, pg)) {
				rwlock_unshared(&a->as->lock);
				a->area = area_find(a->as, a->va);
				return true;
			}
		}
	}
	a->as = NULL;
	a->e.v = 0;
	return false;
}

static NORETURN void frame_breach(struct audit *a, struct page *pg, const char *what)
{
	u32 owners = frames[page_to_pfn(pg).v] & FRAME_OWNERS;

	DISCARD(find_entry(a, pg));
	a->frame = pg;
	audit_breach(a, "%s (owners %u, count %u)", what, owners, audit_refs(pg));
}

static struct suspect *suspect_slot(u64 pfn)
{
	struct suspect *free = NULL;

	for (u32 i = 0; i < SUSPECTS; i++) {
		struct suspect *s = &suspects[i];

		if (s->seen && s->pfn == pfn && s->round == rounds - 1)
			return s;
		if (!s->seen || s->round < rounds - 1)
			free = s;
	}
	if (free)
		free->seen = 0;
	return free;
}

static void suspect(struct audit *a, struct page *pg, u32 over)
{
	u64 pfn = page_to_pfn(pg).v, now = clock_mono_ns();
	struct suspect *s = suspect_slot(pfn);

	if (!s)
		return;				/* the table is full: those in it are decided first */
	if (!s->seen || s->over != over)
		*s = (struct suspect){ .pfn = pfn, .over = over, .since = now };
	s->seen++;
	s->round = rounds;
	audit_stats.pending++;
	if (s->seen >= SUSPECT_SEEN && now - s->since >= SUSPECT_NS)
		frame_breach(a, pg, "a frame has more references than owners: leaked");
}

static void judge(struct audit *a, struct page *pg, u32 f)
{
	u32 owners = f & FRAME_OWNERS, refs = audit_refs(pg);

	if (owners && audit_is_free(pg))
		frame_breach(a, pg, "a frame is free and mapped");
	if (f & FRAME_SPARE && owners > 1)
		frame_breach(a, pg, "a freed table is still linked");
	if (f & FRAME_CACHED && f & FRAME_WRITTEN)
		frame_breach(a, pg, "C1: a cached page is writable through a private mapping");
	if (owners > refs)
		frame_breach(a, pg, "a frame has more owners than its count says");
	if (owners < refs && audit_head(pg)->use == PAGE_ANON)
		suspect(a, pg, refs - owners);
	audit_stats.frames += !!owners;
}

static void count_held(struct audit *a)
{
	memset(frames, 0, nframes * sizeof(*frames));
	rounds++;
	audit_stats.pending = 0;
	mark_spaces(a);
	mark_objects(a);
	vm_image_for_each_frame(mark_image, a);
	pgtable_for_each_spare(mark_spare, a);
	for (u64 pfn = 0; pfn < nframes; pfn++) {
		if (!(pfn % (HUGE_SIZE / PAGE_SIZE)) && !page_chunk_online(PFN(pfn)))
			pfn += HUGE_SIZE / PAGE_SIZE - 1;
		else
			judge(a, pfn_to_page(PFN(pfn)), frames[pfn]);
	}
	audit_stats.counts++;
}

void audit_count_all(const char *event)
{
	struct audit a = { .event = event };

	if (!frames || __atomic_fetch_add(&events, 1, __ATOMIC_RELAXED) % every)
		return;
	sched_stop_others();
	count_held(&a);
	sched_resume_others();
}

void audit_init(void)
{
	if (!debug_on(DEBUG_AUDIT))
		return;
	every = MAX(cmdline_get_u64("audit_every", every), 1ull);
	nframes = page_frames_end();
	frames = vmalloc(nframes * sizeof(*frames));
	if (!frames || sched_stop_init()) {
		log_warn("audit: no memory to count owners: spaces are checked one by one only");
		frames = NULL;
	}
}
