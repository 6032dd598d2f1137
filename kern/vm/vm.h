/*
 * Private face of the memory heart: what its files share.  README.md has the
 * states, the numbered invariants and the lock protocol that the comments cite.
 */
#pragma once

#include <base/errno.h>
#include <base/list.h>
#include <base/string.h>
#include <core/lock.h>
#include <core/percpu.h>
#include <mem/block.h>
#include <mem/mem.h>
#include <mem/page.h>
#include <mem/slab.h>
#include <sched/mutex.h>
#include <vm/aspace.h>
#include <vm/gather.h>
#include <vm/object.h>

#define VM_MAX_AREAS	  65530u	/* vm.max_map_count */
#define VM_MIN_ADDR	  0x10000ul	/* vm.mmap_min_addr */
#define VM_STACK_GAP	  (256 * PAGE_SIZE)
#define VM_AROUND	  (16 * PAGE_SIZE)
#define VM_SMALL_AREA	  (16 * PAGE_SIZE)	/* anonymous and writable: no zero page for reads */

/*
 * Soft bits of a leaf entry.  PTE_KIND says what is counted where; a frame of
 * kind ZERO is the shared zero frame and owns no reference.
 */
#define PTE_SHARED	PTE_SOFT0	/* of a shared mapping: keeps its W when the table is unshared */
#define PTE_BORROWED	PTE_SOFT3	/* of an exec image's frame or table, which the image owns: the entry has no reference (image.c, inv. I1) */
#define PTE_KIND_SHIFT	10
#define PTE_KIND(k)	((u64)(k) << PTE_KIND_SHIFT)
enum pte_kind { KIND_ANON, KIND_FILE, KIND_SHMEM, KIND_ZERO, KINDS };

static inline enum pte_kind pte_kind(pte_t e) { return (e.v >> PTE_KIND_SHIFT) & 3; }
static inline bool pte_live(pte_t e) { return e.v != 0; }	/* present, or parked by PROT_NONE */
/* pfn_to_page(pte_pfn(e)), with one shift: the address has the frame's number times PAGE_SIZE, page_array times sizeof *. */
static inline struct page *pte_page(pte_t e)
{
	return (struct page *)((u8 *)page_array + (e.v & PTE_ADDR) / (PAGE_SIZE / sizeof(struct page)));
}
static inline bool pte_counted(pte_t e) { return pte_kind(e) != KIND_ZERO; }	/* in rss */
static inline bool pte_owns(pte_t e) { return pte_kind(e) != KIND_ZERO && !(e.v & PTE_BORROWED); }
/* A private frame that nobody else owns: what may be written in place (fault.c, inv. F1) if the leaf is OWNED. */
static inline bool pte_sole_owner(pte_t e)
{
	return pte_kind(e) == KIND_ANON && !(e.v & PTE_BORROWED) && page_refs(pte_page(e)) == 1;
}
static inline bool pte_is_shared(pte_t e) { return e.v & PTE_SHARED; }
/* The 4 KiB entry that says for va what the 2 MiB entry e says. */
static inline pte_t pte_of_huge(pte_t e, u64 va)
{
	return (pte_t){ (e.v & ~PTE_HUGE) + ((u64)mmu_index(va, 0) << PAGE_SHIFT) };
}
/* The same frame with the same rights: what the processor may set by itself left out. */
static inline bool pte_same(pte_t a, pte_t b) { return !((a.v ^ b.v) & ~(PTE_ACCESSED | PTE_DIRTY)); }

/*
 * What the struct page of a table remembers about its entries: who may change the table may change it.
 * private: a summary, bit g set when one of entries [8g, 8g + 8) may be live.  index, by kind: live entries of a leaf,
 * 2 MiB entries of a directory.
 */
#define TABLE_GROUP 8u
struct __attribute__((may_alias)) leaf_count { u16 n[KINDS]; };
static inline struct leaf_count *leaf_count(struct page *t) { return (struct leaf_count *)&t->index; }
static inline u32 huge_entries(struct page *pd)
{
	struct leaf_count *c = leaf_count(pd);

	return (u32)c->n[KIND_ANON] + c->n[KIND_FILE] + c->n[KIND_SHMEM];
}
/* Which of two loops is for pd's entries. */
static inline bool mostly_huge(struct page *pd) { return huge_entries(pd) > pd->used / 2; }
static inline u64 table_groups(const struct page *t) { return t->private; }
static inline u32 group_first(u64 groups) { return (u32)__builtin_ctzll(groups) * TABLE_GROUP; }
/* Summary bits of the groups that have an entry in [first, end), or only such (inside). */
static inline u64 groups_touching(u32 first, u32 end)
{
	u32 lo = first / TABLE_GROUP, hi = (end - 1) / TABLE_GROUP;

	return (~0ull << lo) & (~0ull >> (63 - hi));
}
static inline bool groups_inside(u64 groups, u32 first, u32 end)
{
	u32 lo = (first + TABLE_GROUP - 1) / TABLE_GROUP, hi = end / TABLE_GROUP;
	u64 in = lo < hi ? (~0ull << lo) & (~0ull >> (64 - hi)) : 0;

	return !(groups & ~in);
}
static inline pte_t *table_entries(struct page *t) { return page_addr(t); }
/*
 * t's first live entry at or after at.  There is one: who counts down from t->used knows.  Most tables have an entry or
 * two, so nothing is looked at behind the last.
 */
static ALWAYS_INLINE pte_t *table_seek(const struct page *t, pte_t *at)
{
	for (;; at++) {
		u64 group = ((u64)at & ~PAGE_MASK) / (TABLE_GROUP * sizeof(*at));

		if (!((u64)at % (TABLE_GROUP * sizeof(*at)))) {
			at += group_first(table_groups(t) >> group);
			at += (at[0].v | at[1].v | at[2].v | at[3].v) ? 0 : 4;
			at += (at[0].v | at[1].v) ? 0 : 2;
		}
		if (pte_live(*at))
			return at;
	}
}
/* The entry at `at` is gone: the summary says so if it was its group's last, or walks would look at the group for ever. */
static inline void table_group_drop(struct page *t, const pte_t *at)
{
	u64 group = ((u64)at & ~PAGE_MASK) / (TABLE_GROUP * sizeof(*at)), any = 0;

	for (u32 i = 0; i < TABLE_GROUP; i++)
		any |= table_entries(t)[group * TABLE_GROUP + i].v;
	if (!any)
		t->private &= ~(1ull << group);
}
static inline u64 leaf_rss(struct page *leaf)
{
	const struct leaf_count *c = leaf_count(leaf);

	return c->n[KIND_ANON] + c->n[KIND_FILE] + c->n[KIND_SHMEM];
}
/* Entries [first, end) of a leaf change: what a READY one has to undo before its next use.  A bit stands for 16 entries. */
#define TOUCH_GROUP 16u
static inline void leaf_touch(struct page *leaf, u32 first, u32 end)
{
	leaf->touched |= (~0u << first / TOUCH_GROUP) & (~0u >> (31 - (end - 1) / TOUCH_GROUP));
}
/* Entries [i, i + TABLE_GROUP) are as the image made them: BORROWED, without W. */
static inline bool leaf_pristine(const struct page *leaf, u32 i)
{
	return leaf->flags & PAGE_F_READY && !(leaf->touched >> i / TOUCH_GROUP & 1);
}
static inline pte_t *leaf_slot(struct page *t, u64 va) { return &table_entries(t)[mmu_index(va, 0)]; }

extern struct page *vm_zero_page;
/* Every space from its birth to its last pin, oldest first (aspace.c). */
extern spinlock_t aspace_all_lock;
extern struct list aspace_all GUARDED_BY(&aspace_all_lock);

static inline void tables_add(struct aspace *as, i64 n)
{
	atomic64_set(&as->table_pages, atomic64_read(&as->table_pages) + n);
}

/* pgtable.c, table.c: all with as->pgt_lock held unless said otherwise. */
void pgtable_init(void);
MUST_USE struct page *pgtable_table_alloc(void);		/* no lock; zeroed, one user */
void pgtable_table_free(struct page *t);			/* all entries zero: never linked, or flushed and cleared */
MUST_USE struct page *pgtable_root_alloc(void);
void pgtable_root_free(struct page *root);			/* user half empty */
u64 pgtable_cached(void);					/* zeroed tables that wait for their next use */
void pgtable_for_each_spare(void (*fn)(struct page *t, void *arg), void *arg);	/* every CPU's; the machine is held */
void pgtable_cache_drain(void);					/* this CPU's */
/* The entry that points to va's leaf table or is its 2 MiB entry, or NULL.  *pd (optional): the directory it is in. */
pte_t *pgtable_dir_slot(struct aspace *as, u64 va, struct page **pd);
struct page *pgtable_leaf(struct aspace *as, u64 va);		/* or NULL; perhaps shared: read only.  None under a 2 MiB entry */
pte_t pgtable_entry(struct aspace *as, u64 va);			/* a 4 KiB entry in any case; .v == 0: absent */
/*
 * Takes pgt_lock and returns va's leaf table, built if absent and private to
 * as: the one gate through which entries are changed (inv. T2).  A 2 MiB entry
 * is split.  May sleep before it locks.  -ENOMEM: not locked.
 */
MUST_USE int pgtable_leaf_for_write(struct aspace *as, u64 va, struct page **leaf) TRY_ACQUIRES(0, &as->pgt_lock);
/* As pgtable_leaf_for_write, for a 2 MiB entry or a ready table at base: the directory and the slot in it, empty or not. */
MUST_USE int pgtable_dir_for_write(struct aspace *as, u64 base, struct page **pd, pte_t **slot) TRY_ACQUIRES(0, &as->pgt_lock);
pte_t *pgtable_next_entry(struct aspace *as, u64 *va, u64 end, u32 level);	/* as pgtable_next_dir, of any level above the leaves */
/*
 * Live directory entry at or after *va, below end: a leaf table or a 2 MiB entry (pte_huge).  Moves *va to the first
 * address it covers in range; NULL: none.
 */
static inline pte_t *pgtable_next_dir(struct aspace *as, u64 *va, u64 end)
{
	pte_t *dir;

	if (*va >= end)
		return NULL;
	dir = pgtable_dir_slot(as, *va, NULL);		/* as a rule it is the one at *va: no search */
	return dir && pte_live(*dir) ? dir : pgtable_next_entry(as, va, end, 1);
}
u32 pgtable_next_live(struct page *t, u32 i);			/* index of t's first live entry at or after i, or TABLE_ENTRIES */
struct page *pgtable_next_leaf(struct aspace *as, u64 *va, u64 end);	/* as next_dir: leaf tables alone */
void leaf_set(struct aspace *as, struct page *leaf, u64 va, pte_t e);		/* was absent */
/* Sets those of n consecutive entries that are live in e; their slots are absent. */
void leaf_set_run(struct aspace *as, struct page *leaf, u64 va, const pte_t *e, u32 n);
pte_t leaf_clear(struct aspace *as, struct page *leaf, u64 va);			/* was live; the reference goes to the caller */
void leaf_change(struct aspace *as, struct page *leaf, u64 va, pte_t e);	/* live to live */
/* Live to live with another frame or fewer rights where another CPU may still use the old entry: no one sees both. */
void leaf_replace(struct aspace *as, struct page *leaf, u64 va, pte_t e);
/* t, empty and in no entry, gets what the SHARED leaf old has. */
void leaf_copy(struct page *old, struct page *t);
/* Detaches va's leaf table or 2 MiB entry, counted out of as, into the gather; empty upper tables follow.  True: flush. */
MUST_USE bool pgtable_detach_leaf(struct gather *g, u64 va);
/* No lock, after the flush: one user less; the last one's leaf drops the frames its entries own. */
void pgtable_leaf_drop(struct page *leaf);
void pgtable_destroy(struct aspace *as);			/* no lock: nobody runs in or looks at as any more */
spinlock_t *pgtable_share_lock(struct page *leaf);
/* A leaf leaves its directory, counted out of as; pd stays, perhaps empty.  Flush, then pgtable_leaf_drop(). */
void pgtable_unlink_leaf(struct aspace *as, struct page *pd, pte_t *slot);
/* A table enters its upper table, as OWNED. */
void pgtable_link(struct aspace *as, struct page *upper, pte_t *slot, struct page *t);

/* image.c, for the life of spaces and objects. */
void image_init(void);
void vm_image_detach(struct vm_object *obj);			/* its content changes, or it ends */
void image_space_fork(struct aspace *to, const struct aspace *from);
void image_tables_end(struct aspace *as);			/* before pgtable_destroy(): takes back what can be used again */
void image_space_end(struct aspace *as);			/* after it */
u32 vm_image_mappers(struct aspace *as, u64 va);		/* spaces that map the image with a BORROWED entry at va */

/* huge.c: 2 MiB entries.  pgt_lock held. */
static inline u64 huge_base(u64 va) { return ALIGN_DOWN(va, HUGE_SIZE); }
void pgtable_link_leaf(pte_t *slot, struct page *t);		/* pgtable.c: a table of one user, with W */
pte_t huge_entry_for(const struct area *a, struct page *head, bool write);
void huge_set(struct aspace *as, struct page *pd, pte_t *slot, pte_t e);	/* was absent; takes over one owner's share of the block */
pte_t huge_clear(struct aspace *as, struct page *pd, pte_t *slot);	/* the share goes to the caller; pd stays, perhaps empty */
void huge_init(void);
void huge_count(struct aspace *as, struct page *pd, enum pte_kind kind, i64 n);
/* Puts the empty table t in the entry's place, filled with what it said. */
void huge_split(struct aspace *as, struct page *pd, pte_t *slot, u64 va, struct page *t);
bool huge_wanted(const struct aspace *as, const struct area *a, u64 va);		/* no lock but as->lock: may va's 2 MiB become one entry? */
bool huge_worth_reclaim(const struct area *a);		/* is a block worth reclaiming for? */
bool huge_is_at(struct aspace *as, u64 va);		/* takes pgt_lock */
/*
 * collapse.c: the table at base, inside a, becomes a 2 MiB entry if at most max_none of its pages are absent.  as->lock
 * exclusive.  -EINVAL: it may not; -EAGAIN: not now (shared, pinned); -ENOMEM: no block; -EEXIST: it is one already.
 */
MUST_USE int huge_collapse(struct aspace *as, const struct area *a, u64 base, u32 max_none) MUST_HOLD(&as->lock);
/* khuge.c: a fault took 4 KiB where 2 MiB were wanted; as has ended (as->lock exclusive). */
void huge_space_note(struct aspace *as);
void huge_space_forget(struct aspace *as) MUST_HOLD(&as->lock);

/* tlb (gather.c) */
bool tlb_elsewhere(struct aspace *as);				/* some other CPU may hold translations */
void tlb_flush(struct aspace *as, u64 start, u64 end);		/* everywhere, waits; pgt_lock may be held */
void tlb_flush_local(struct aspace *as, u64 va);		/* this CPU, one page */
void tlb_leave(struct aspace *as);				/* every CPU stops using as */

/* area.c: as->lock held exclusive to change, either way to look. */
void area_init(void);
struct area *area_find(struct aspace *as, u64 addr) MUST_HOLD_SHARED(&as->lock);		/* first with end > addr */
struct area *area_next(struct area *a);
struct area *area_prev(struct area *a);
struct area *area_alloc(void);					/* NULL: no memory */
struct area *area_dup(const struct area *a);			/* unlinked, with its own references; NULL */
void area_copy(struct area *b, const struct area *a);		/* the same into b, whose content is nothing yet */
void area_link_after(struct area *a, struct area *origin);	/* onto its object's list, if it has one; NULL: at the end */
void area_insert(struct aspace *as, struct area *a) MUST_HOLD(&as->lock);		/* linked everywhere, counted */
/* The same where its neighbours are known, NULL where it has none: no way down the tree. */
void area_insert_between(struct aspace *as, struct area *a, struct area *prev, struct area *next) MUST_HOLD(&as->lock);
void area_insert_list(struct aspace *as, struct list *fresh, struct vm_object *obj) MUST_HOLD(&as->lock);	/* each is anonymous or of obj */
void area_insert_after(struct aspace *as, struct area *a, struct area *origin) MUST_HOLD(&as->lock);	/* fork: behind origin in the object's list */
/* Out of the tree and the object's list, onto dead. */
void area_unlink(struct area *a, struct list *dead);
void area_unlink_all(struct aspace *as, struct list *dead) MUST_HOLD(&as->lock);	/* as dies: out of its set, perhaps the last */
void area_unlink_tree(const struct rb_tree *areas, struct list *dead);
void area_free_list(struct list *dead);				/* no lock held: drops what they hold */
void area_split(struct area *a, u64 at, struct area *upper);	/* upper: an area_dup of a */
void area_merge(struct area *a, struct area *b, struct list *dead);	/* a swallows its right neighbour */
void area_set_range(struct area *a, u64 start, u64 end);	/* grows or shrinks in place, off follows start */
void area_set_flags(struct area *a, u32 flags);
/* Splits so that no area crosses start or end.  -ENOMEM: nothing changed. */
MUST_USE int area_isolate(struct aspace *as, u64 start, u64 end) MUST_HOLD(&as->lock);
bool area_can_merge(const struct area *a, const struct area *b);	/* a right below b */
void area_merge_range(struct aspace *as, u64 start, u64 end, struct list *dead) MUST_HOLD(&as->lock);
/* gap.c.  Highest (or lowest, up) place for len bytes in [low, high); 0: none. */
u64 area_find_gap(struct aspace *as, u64 len, u64 low, u64 high, bool up) MUST_HOLD(&as->lock);
u64 area_low_guard(const struct area *a);			/* start less the stack's guard gap */
bool area_covers(struct aspace *as, u64 start, u64 end) MUST_HOLD_SHARED(&as->lock);	/* no hole */
/* The hole below the area `above` (NULL: behind the last) may have grown.  For the hint of the search. */
void area_hole_made(struct aspace *as, struct area *above) MUST_HOLD(&as->lock);

/* aspace.c: aspace_create() as a member of set, auxv left to the caller; NULL: of one of its own. */
MUST_USE struct aspace *space_create(struct area_set *set);

#define FORK_LEARNED 2u
/* areaset.c: the spaces that share one tree of areas.  aspace_create() and fork make each space a member of one. */
struct area_set {
	spinlock_t lock;			/* rank AREA_SET */
	u32 nspaces;				/* lock to change; inv. A7 when it may be read without */
	struct list spaces GUARDED_BY(&lock);	/* aspace.set_link; parents before their children */
	u64 parted[FORK_LEARNED];		/* pages that a child copied first after a fork, 0: none.  Hints, atomic (fork.c) */
	u32 forks;				/* as it */
};
void area_set_init(void);
MUST_USE struct area_set *area_set_create(void);		/* no space in it yet; NULL: no memory */
void area_set_join(struct area_set *set, struct aspace *as);
void area_set_inherit(struct aspace *to, const struct aspace *from) MUST_HOLD(&from->lock);	/* what a new member sees: tree and sums */
void area_set_leave(struct aspace *as, struct list *dead) MUST_HOLD(&as->lock);
MUST_USE int areas_copy(struct aspace *as, struct list *dead) MUST_HOLD(&as->lock);
/* Before any change of an area: as is the only one to see its areas.  Pointers to areas are void.  -ENOMEM: nothing changed. */
MUST_USE static inline int areas_own(struct aspace *as, struct list *dead) MUST_HOLD(&as->lock)
{
	return likely(READ_ONCE(as->set->nspaces) == 1) ? 0 : areas_copy(as, dead);
}

/* Splits at the edges and sets flags in the whole range; merges.  -ENOMEM: nothing changed. */
MUST_USE int area_change_flags(struct aspace *as, u64 start, u64 end, u32 set, u32 clear, struct list *dead) MUST_HOLD(&as->lock);

/* map.c */
MUST_USE int map_check_limits(struct aspace *as, u64 pages, u32 flags) MUST_HOLD_SHARED(&as->lock);
void map_clear_range(struct aspace *as, u64 start, u64 end);	/* lock exclusive or areas gone: entries out, flushed, freed */
/* Unmaps what is there.  -ENOMEM: nothing changed.  Lock exclusive. */
MUST_USE int map_remove(struct aspace *as, u64 start, u64 end, struct list *dead) MUST_HOLD(&as->lock);
/* Makes the leaf tables of the range private to as; edges: only those that it covers in part.  Lock exclusive. */
MUST_USE int map_own_tables(struct aspace *as, u64 start, u64 end, bool edges) MUST_HOLD(&as->lock);
/* A new area like *like, merged with its neighbours where it can be.  -ENOMEM.  The range is free. */
MUST_USE int map_insert(struct aspace *as, const struct area *like, struct list *dead) MUST_HOLD(&as->lock);
u64 map_overlap(struct aspace *as, u64 start, u64 end) MUST_HOLD_SHARED(&as->lock);	/* bytes that areas cover */
static inline bool flags_count_data(u32 f)
{
	return (f & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) == VM_WRITE;
}

/* fork.c: as copied the page at va on a write.  as->lock shared. */
void fork_learn(struct aspace *as, u64 va);
/* as, which nobody uses any more, was asked. */
void fork_unlearn(struct aspace *as);

/* fault.c */
#define FAULT_FORCE (1u << 31)		/* with VM_WRITE or VM_READ: ptrace's right */
/* Resolves one access.  want: one of VM_READ, VM_WRITE, VM_EXEC.  0, -EFAULT, -EACCES, -EIO, -ENOMEM. */
MUST_USE int vm_fault(struct aspace *as, u64 addr, u32 want, bool present);
pte_t pgtable_entry_for(const struct area *a, struct page *pg, bool write);

/* stack.c: the area above va comes down to it.  No lock held.  -EFAULT: it may not. */
MUST_USE int stack_grow(struct aspace *as, u64 va);

/* pagecache.c, radix.c, rmap.c, reclaim.c */
void pagecache_init(void);
void radix_init(void);
struct page *radix_get(void *root, u64 index);
/* The slots of index and what follows it in its node, *n in all; NULL: all *n are empty.  Slots may be NULL. */
struct page **radix_run(void **root, u64 index, u32 *n);
/* Next present index at or after *index: its page, *index moved; NULL: none up to last. */
struct page *radix_next(void *root, u64 *index, u64 last);
struct radix_spare { void *nodes; u32 n, need; };
/* -EAGAIN: needs a node, call radix_spare_add() with the lock dropped.  -EEXIST.  The run's form stops at the first slot
 * that is taken and at the end of a node, after at least one page. */
MUST_USE int radix_insert_run(void **root, u64 index, struct page **pages, u32 n, u32 *done, struct radix_spare *spare);
MUST_USE int radix_insert(void **root, u64 index, struct page *pg, struct radix_spare *spare);
void radix_replace(void **root, u64 index, struct page *pg);
struct page *radix_remove(void **root, u64 index);
/* Takes out the pages from the first at or after *index on that follow each other in one node: how many; *index is the first's. */
u32 radix_remove_run(void **root, u64 *index, u64 last, struct page **out, u32 max);
MUST_USE int radix_spare_add(struct radix_spare *spare);
void radix_spare_drop(struct radix_spare *spare);

/* Quota of ops: pages turn DIRTY, or DIRTY ones left the cache. */
static inline int pagecache_reserve(struct vm_object *obj, u64 index, u32 n)
{
	return obj->ops->reserve_pages ? obj->ops->reserve_pages(obj, index, n) : 0;
}
static inline void pagecache_unreserve(struct vm_object *obj, u64 index, u32 n)
{
	if (n && obj->ops->pages_gone)
		obj->ops->pages_gone(obj, index, n);
}
/* A page for a slot of obj, in no slot yet; its bytes are the caller's to set unless flags have ALLOC_ZERO. */
static inline struct page *pagecache_new_page(struct vm_object *obj, u64 index, u32 flags)
{
	struct page *pg = page_alloc(0, PAGE_FILE, ALLOC_USER | flags);

	if (pg) {
		pg->owner = obj;
		pg->index = index;
		pg->flags |= PAGE_F_UPTODATE;		/* nobody else knows it */
	}
	return pg;
}
/* New references to the cached pages from index on, up to the first that is missing: how many (0 to max). */
u32 pagecache_lookup_run(struct vm_object *obj, u64 index, u32 max, struct page **out);
/* Empty slots from index on, up to the first that is not (0 to max). */
u32 pagecache_count_holes(struct vm_object *obj, u64 index, u32 max);
/* Slots take over the references of pages[0..n): how many of them, up to the first that was taken or until memory runs out;
 * none if pages were dropped since removals. */
u32 pagecache_insert_run(struct vm_object *obj, u64 index, struct page **pages, u32 n, u64 removals);
/* Inv. P4, before the size grows. */
void pagecache_zero_past_end(struct vm_object *obj);

/* A page that can be mapped: cached, or made so.  write: dirty and the object's own frame.  obj->lock not held. */
MUST_USE int pagecache_for_fault(struct vm_object *obj, u64 index, bool write, bool *did_io);
/* May a shared mapping write to pg of obj?  Else pagecache_for_fault(write) first. */
bool pagecache_writable(const struct vm_object *obj, const struct page *pg);
/* obj->lock exclusive: unmaps pages [first, last] everywhere.  cows: private copies too.  only: just entries of this frame. */
void rmap_unmap(struct vm_object *obj, u64 first, u64 last, bool cows, const struct page *only);
/* Would an empty slot be data to read?  Else it is a hole. */
bool pagecache_is_backed(const struct vm_object *obj, u64 index);
/* Drops the slots of [first, last]: nothing maps them any more, or the object dies. */
void pagecache_drop(struct vm_object *obj, u64 first, u64 last);
void lru_add(struct page *pg);
void lru_remove_listed(struct page *pg);
static inline void lru_touch(struct page *pg)
{
	if ((READ_ONCE(pg->flags) & (PAGE_F_LRU | PAGE_F_ACTIVE)) == PAGE_F_LRU)
		bits_set(&pg->flags, PAGE_F_ACTIVE);
}
static inline void lru_remove(struct page *pg)
{
	if (unlikely(READ_ONCE(pg->flags) & PAGE_F_LRU))
		lru_remove_listed(pg);
}
void reclaim_init(void);
void compact_drain(void);				/* compact.c: free frames in CPUs' caches are everybody's again; sleeps */
/* reclaim: takes a clean page with no other owner out of obj's cache.  True: pg's cache reference is the caller's. */
MUST_USE bool pagecache_evict(struct vm_object *obj, struct page *pg);
