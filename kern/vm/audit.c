/*
 * debug=audit: areas against page tables at exec, fork and exit.
 *
 * One space is checked under as->lock exclusive and pgt_lock, where its areas, its
 * tables and its entries stand still (a table shared after fork: under its share lock
 * too).  What can be said of it then is exact:
 *   - every entry lies in an area and gives no more than the area does;
 *   - C1: what a private mapping may write is anonymous; what an area shows of a
 *     file is the frame in the slot of that page, and never where the file's part has
 *     ended (boundary page, .bss, an anonymous area);
 *   - no entry names a frame that is free; tables are tables; T1;
 *   - used, the summary and the counts by kind of each table are what it holds.
 * The owners of frames need all spaces at once: audit_count.c.
 */
#include <base/fmt.h>
#include <core/cmdline.h>
#include <core/debug.h>
#include <core/panic.h>
#include <vm/audit.h>

#include "audit.h"
#include "image.h"

#define REPORT_LINE 256u

struct audit_stats audit_stats;
void (*audit_space_owner)(const struct aspace *as, char *buf, u32 size);

static const char *const use_names[PAGE_USES] = { "FREE", "CACHED", "RESERVED", "KERNEL", "SLAB", "TABLE", "ANON",
						   "FILE", "IMAGE", "KSTACK" };

const char *audit_use_name(const struct page *pg)
{
	return pg->use < PAGE_USES ? use_names[pg->use] : "?";
}

/* --- the report ------------------------------------------------------------ */

static void note_area(const struct area *a)
{
	if (!a) {
		panic_note("area: none");
		return;
	}
	panic_note("area: %#llx-%#llx %c%c%c%c %s, offset %#llx, file part ends at %#llx", (unsigned long long)a->start,
		   (unsigned long long)a->end, a->flags & VM_READ ? 'r' : '-', a->flags & VM_WRITE ? 'w' : '-',
		   a->flags & VM_EXEC ? 'x' : '-', a->flags & VM_SHARED ? 's' : 'p', a->obj ? "file" : "anonymous",
		   (unsigned long long)a->off, (unsigned long long)(a->obj && !a->file_end ? a->end : a->file_end));
}

static void note_frame(const struct page *pg)
{
	if (!pfn_valid(page_to_pfn(pg))) {
		panic_note("frame: %#llx, no RAM", (unsigned long long)page_to_pfn(pg).v);
		return;
	}
	panic_note("frame: %#llx, %s, count %u, flags %#x, index %#llx", (unsigned long long)page_to_pfn(pg).v,
		   audit_use_name(audit_head(pg)), audit_refs(pg), pg->flags, (unsigned long long)pg->index);
}

void audit_breach(const struct audit *a, const char *fmt, ...)
{
	char line[REPORT_LINE], who[64] = "unknown";
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (a->frame)
		note_frame(a->frame);
	if (a->e.v)
		panic_note("entry: %#llx at %#llx, level %u", (unsigned long long)a->e.v, (unsigned long long)a->va, a->level);
	if (a->as) {
		note_area(a->area);
		if (audit_space_owner)
			audit_space_owner(a->as, who, sizeof(who));
		panic_note("space: %llu of process %s", (unsigned long long)a->as->id, who);
	}
	panic("audit at %s: %s", a->event, line);
}

/* --- entries --------------------------------------------------------------- */

static void check_frame(struct audit *a)
{
	if (!pfn_valid(page_to_pfn(a->frame)))
		audit_breach(a, "an entry names a frame that is not RAM");
	if (audit_is_free(a->frame))
		audit_breach(a, "a frame is free and mapped");
}

static void check_rights(struct audit *a)
{
	u32 flags = a->area->flags;
	bool shared = flags & VM_SHARED;

	if (pte_present(a->e) && !(flags & VM_PROT))
		audit_breach(a, "an entry is wider than its area: present where nothing is allowed");
	if (pte_writable(a->e) && !(flags & VM_WRITE))
		audit_breach(a, "an entry is wider than its area: writable");
	if (!(a->e.v & PTE_NX) && !(flags & VM_EXEC))
		audit_breach(a, "an entry is wider than its area: executable");
	if (pte_is_shared(a->e) != shared)
		audit_breach(a, "an entry is of a %s mapping, its area is not", shared ? "private" : "shared");
	if (!pte_writable(a->e))
		return;
	if (a->e.v & PTE_BORROWED)
		audit_breach(a, "I2: an exec image's page is writable");
	if (!shared && a->frame->use != PAGE_ANON)
		audit_breach(a, "C1: a cached page is writable through a private mapping");
	if (shared && !(a->frame->use == PAGE_FILE && a->frame->flags & PAGE_F_DIRTY))
		audit_breach(a, "F2: a clean page is writable through a shared mapping");
}

/* The slot may be on its way to another frame: then rmap has obj->lock, and comes for the entry. */
static void check_slot(struct audit *a, u64 index)
{
	struct vm_object *obj = a->area->obj;
	struct page *pg;

	if (!rwlock_try_read(&obj->lock))
		return;
	spin_lock(&obj->tree_lock);
	pg = radix_get(obj->root, index);
	spin_unlock(&obj->tree_lock);
	rwlock_read_end(&obj->lock);
	if (pg != a->frame)
		audit_breach(a, "stale: not the page that the file's cache has for index %#llx (frame %#llx)",
			     (unsigned long long)index, pg ? (unsigned long long)page_to_pfn(pg).v : 0ull);
}

static void check_source(struct audit *a)
{
	const struct area *ar = a->area;
	enum pte_kind kind = pte_kind(a->e);

	if ((kind == KIND_ZERO) != (a->frame == vm_zero_page))
		audit_breach(a, "an entry of kind %u and the zero frame do not go together", kind);
	if (kind == KIND_ZERO)
		return;
	if ((kind == KIND_ANON) != (a->frame->use == PAGE_ANON))
		audit_breach(a, "an entry of kind %u names a frame of use %s", kind, audit_use_name(a->frame));
	if (kind == KIND_ANON)
		return;
	if (!ar->obj)
		audit_breach(a, "a page of a file's cache in an anonymous area");
	if (ar->file_end && a->va + PAGE_SIZE > ar->file_end)
		audit_breach(a, "a boundary page is served from the cache: the file's part ends at %#llx",
			     (unsigned long long)ar->file_end);
	if ((a->e.v & PTE_BORROWED && image_form == IMAGE_BLOCK) || image_huge_has(a->as, a->frame))
		return;					/* an assembled copy: verify compares it */
	check_slot(a, (ar->off + (a->va - ar->start)) >> PAGE_SHIFT);
}

static void check_entry(struct audit *a)
{
	rwlock_assert_write(&a->as->lock);
	struct area *ar = area_find(a->as, a->va);

	a->frame = pte_page(a->e);
	a->area = ar && ar->start <= a->va ? ar : NULL;
	check_frame(a);
	if (!a->area)
		audit_breach(a, "an entry outside every area");
	if (a->e.v & PTE_BORROWED && !a->as->images[0].image)
		audit_breach(a, "I1: an exec image's page in a space that holds no image");
	check_rights(a);
	check_source(a);
	audit_stats.entries++;
}

/* Inv. H1; all 512 frames are there. */
static void check_huge(struct audit *a)
{
	struct page *head = pte_page(a->e);

	if (a->va % HUGE_SIZE || page_to_pfn(head).v % BLOCK_FRAMES)
		audit_breach(a, "a 2 MiB entry is not aligned");
	check_entry(a);
	if (a->area->start > a->va || a->area->end < a->va + HUGE_SIZE)
		audit_breach(a, "H1: a 2 MiB entry lies in more than one area");
	if (pte_kind(a->e) != KIND_ANON && !image_huge_has(a->as, head))
		audit_breach(a, "a 2 MiB entry of kind %u", pte_kind(a->e));
	for (u32 i = 1; i < BLOCK_FRAMES; i++) {
		a->frame = head + i;
		check_frame(a);
	}
}

/* --- tables ---------------------------------------------------------------- */

void audit_table_link(struct audit *a, struct page *t, pte_t e, u32 level)
{
	a->frame = t;
	a->e = e;
	a->level = level;
	a->area = NULL;
	if (!pfn_valid(page_to_pfn(t)))
		audit_breach(a, "a directory entry names a frame that is not RAM");
	if (t->use != PAGE_TABLE || !page_refs(t))
		audit_breach(a, "a freed table is still linked");
	if (level > 1 && page_refs(t) != 1)
		audit_breach(a, "an upper table has %u users", page_refs(t));
	if (level == 1 && pte_writable(e) && page_refs(t) != 1)
		audit_breach(a, "T1: a writable directory entry points to a table with %u users", page_refs(t));
	if (level == 1 && e.v & PTE_BORROWED && (pte_writable(e) || page_refs(t) != 2))
		audit_breach(a, "T5: a borrowed table has %u users and not the image alone", page_refs(t));
}

void audit_table_summary(struct audit *a, struct page *t, u32 level)
{
	struct leaf_count n = { { 0 } };
	const pte_t *e = table_entries(t);
	u32 used = 0, end = level == 3 ? TABLE_ENTRIES / 2 : TABLE_ENTRIES;

	for (u32 i = 0; i < end; i++) {
		if (!pte_live(e[i]))
			continue;
		used++;
		n.n[pte_kind(e[i])] += level == 0 || pte_huge(e[i]);
		if (!(table_groups(t) >> (i / TABLE_GROUP) & 1))
			audit_breach(a, "a table's summary misses entry %u", i);
	}
	if (used != t->used)
		audit_breach(a, "a level %u table counts %u entries and has %u", level, t->used, used);
	if (level <= 1 && memcmp(&n, leaf_count(t), sizeof(n)))
		audit_breach(a, "a table's counts by kind are wrong: anon %u file %u shmem %u zero %u counted", n.n[KIND_ANON],
			     n.n[KIND_FILE], n.n[KIND_SHMEM], n.n[KIND_ZERO]);
	audit_stats.tables++;
}

static void check_leaf(struct audit *a, struct page *leaf, u64 base)
{
	pte_t link = a->e;

	audit_table_summary(a, leaf, 0);
	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		a->e = table_entries(leaf)[i];
		a->va = base + i * PAGE_SIZE;
		a->level = 0;
		if (pte_live(a->e))
			check_entry(a);
	}
	a->e = link;
}

static void check_table(struct audit *a, struct page *t, u32 level, u64 base)
{
	u32 end = level == 3 ? TABLE_ENTRIES / 2 : TABLE_ENTRIES;

	audit_table_summary(a, t, level);
	for (u32 i = 0; i < end; i++) {
		pte_t e = table_entries(t)[i];
		struct page *child = pte_page(e);

		if (!pte_live(e))
			continue;
		a->va = base + i * mmu_level_size(level);
		if (level == 1 && pte_huge(e)) {
			a->e = e;
			a->level = 1;
			check_huge(a);
			continue;
		}
		audit_table_link(a, child, e, level);
		if (level > 1) {
			check_table(a, child, level - 1, a->va);
		} else if (page_refs(child) > 1) {
			GUARD_SPIN(pgtable_share_lock(child));
			check_leaf(a, child, a->va);
		} else {
			check_leaf(a, child, a->va);
		}
	}
}

/* --- the events ------------------------------------------------------------ */

void audit_space_now(struct aspace *as, const char *event)
{
	struct audit a = { .event = event, .as = as };

	rwlock_write(&as->lock);
	spin_lock(&as->pgt_lock);
	a.frame = pfn_to_page(as->root);
	check_table(&a, a.frame, 3, 0);
	audit_stats.spaces++;
	spin_unlock(&as->pgt_lock);
	rwlock_write_end(&as->lock);
	audit_count_all(event);
}
