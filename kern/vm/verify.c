/* See vm/verify.h. */
#include <core/log.h>
#include <core/panic.h>
#include <sched/sched.h>
#include <vm/audit.h>
#include <vm/image.h>
#include <vm/verify.h>

#include "vm.h"

struct verify_stats verify_stats;

struct verify {
	struct aspace *as;
	const char *event;
	struct area area;		/* a copy; its file is held */
	bool fresh;			/* the program has not run: every entry shows what its area promises */
	u8 *want;			/* one page */
};

/* Copies of the archive's frames by frame number.  const once the archive is unpacked, but for files made later. */
static u8 **kept;

void verify_init(void)
{
	if (!debug_on(DEBUG_VERIFY))
		return;
	kept = vmalloc(page_frames_end() * sizeof(*kept));
	if (!kept)
		log_warn("verify: no memory for copies of the archive");
}

void verify_keep_page(const struct page *pg)
{
	u8 **slot = kept ? &kept[page_to_pfn(pg).v] : NULL;

	if (!slot)
		return;
	if (!*slot)
		*slot = kmalloc(PAGE_SIZE);
	if (!*slot)
		return;
	memcpy(*slot, page_addr(pg), PAGE_SIZE);
	verify_stats.kept++;
}

/* --- the report ------------------------------------------------------------ */

static void note_mapping(const struct verify *v, u64 va, pte_t e)
{
	const struct area *a = &v->area;
	char who[64] = "unknown";

	panic_note("entry: %#llx at %#llx, frame %#llx (%s, count %u)", (unsigned long long)e.v, (unsigned long long)va,
		   (unsigned long long)pte_pfn(e).v, audit_use_name(pte_page(e)), page_refs(pte_page(e)));
	panic_note("area: %#llx-%#llx %c%c%c%c %s, offset %#llx, file part ends at %#llx", (unsigned long long)a->start,
		   (unsigned long long)a->end, a->flags & VM_READ ? 'r' : '-', a->flags & VM_WRITE ? 'w' : '-',
		   a->flags & VM_EXEC ? 'x' : '-', a->flags & VM_SHARED ? 's' : 'p', a->obj ? "file" : "anonymous",
		   (unsigned long long)a->off, (unsigned long long)(a->obj && !a->file_end ? a->end : a->file_end));
	if (audit_space_owner)
		audit_space_owner(v->as, who, sizeof(who));
	panic_note("space: %llu of process %s", (unsigned long long)v->as->id, who);
}

/* As 4 KiB, whatever maps it. */
static pte_t entry_at(const struct verify *v, u64 va)
{
	GUARD_SPIN(&v->as->pgt_lock);
	return pgtable_entry(v->as, va);
}

static void compare(const struct verify *v, u64 va, pte_t e)
{
	const u8 *got = page_addr(pte_page(e));
	u32 i = 0;

	verify_stats.pages++;
	/* A file that was written meanwhile has taken its old page out of every space first. */
	if (!memcmp(got, v->want, PAGE_SIZE) || entry_at(v, va).v != e.v)
		return;
	while (got[i] == v->want[i])
		i++;
	note_mapping(v, va, e);
	panic("verify at %s: sub-page %llu of %#llx: byte %#x is 0x%02x, expected 0x%02x", v->event,
	      (unsigned long long)((va % HUGE_SIZE) >> PAGE_SHIFT), (unsigned long long)ALIGN_DOWN(va, HUGE_SIZE), i, got[i],
	      v->want[i]);
}

/* --- what a page should hold ------------------------------------------------ */

/* The file's bytes for index, not by way of the cache where there is another.  False: the frame pg is the only copy. */
static bool file_bytes(struct vm_object *obj, u64 index, const struct page *pg, u8 *want)
{
	AUTO(page) cached = pagecache_lookup(obj, index);
	AUTO(page) image = NULL;

	if (cached && cached->use == PAGE_FILE && cached->flags & PAGE_F_DIRTY) {
		memcpy(want, page_addr(cached), PAGE_SIZE);
		return cached != pg;
	}
	if (!pagecache_is_backed(obj, index))
		return false;
	if (obj->ops->borrow_page)
		image = obj->ops->borrow_page(obj, index);
	if (!image)
		return false;
	const u8 *copy = kept ? kept[page_to_pfn(image).v] : NULL;

	if (!copy && image == pg)
		return false;
	memcpy(want, copy ? copy : page_addr(image), PAGE_SIZE);
	return true;
}

/* Bytes past the end of the file or of the area's file part are zero. */
static void cut(const struct area *a, u64 va, u64 off, u8 *want)
{
	u64 size = READ_ONCE(a->obj->size), keep = size > off ? MIN(size - off, PAGE_SIZE) : 0;

	if (a->file_end)
		keep = a->file_end > va ? MIN(keep, a->file_end - va) : 0;
	memset(want + keep, 0, PAGE_SIZE - keep);
}

static void check_page(struct verify *v, u64 va, pte_t e)
{
	const struct area *a = &v->area;
	u64 off = a->off + (va - a->start);

	if (!a->obj || (a->file_end && va >= a->file_end))
		memset(v->want, 0, PAGE_SIZE);
	else if (!file_bytes(a->obj, off >> PAGE_SHIFT, pte_page(e), v->want))
		return;
	else
		cut(a, va, off, v->want);
	compare(v, va, e);
}

/* Does e show what the area promises, now? */
static bool wanted(const struct verify *v, pte_t e)
{
	if (!pte_live(e) || pte_kind(e) == KIND_ZERO)
		return false;
	return v->fresh || (v->area.obj && pte_kind(e) == KIND_FILE && pte_page(e)->use == PAGE_IMAGE);
}

static void check_area(struct verify *v)
{
	const struct area *a = &v->area;

	if (a->flags & (VM_STACK | VM_VDSO) || (a->obj && !a->file))
		return;
	for (u64 va = a->start; va < a->end; va += PAGE_SIZE) {
		pte_t e;

		if (!(va % HUGE_SIZE) || va == a->start) {
			GUARD_SPIN(&v->as->pgt_lock);
			pte_t *dir = pgtable_dir_slot(v->as, va, NULL);

			if (!dir || !pte_live(*dir)) {
				va = ALIGN_DOWN(va, HUGE_SIZE) + HUGE_SIZE - PAGE_SIZE;
				continue;
			}
		}
		e = entry_at(v, va);
		if (wanted(v, e))
			check_page(v, va, e);
	}
}

static void check_space(struct verify *v)
{
	v->want = kmalloc(PAGE_SIZE);
	if (!v->want)
		return;
	for (u64 at = 0; !aspace_area_hold(v->as, at, &v->area); at = v->area.end) {
		check_area(v);
		if (v->area.file)
			vm_file_hooks.put(v->area.file);
	}
	kfree(v->want);
	verify_stats.spaces++;
}

/* For bisect: which page is the last that prefault_limit= let in. */
static void tell_last_ahead(struct aspace *as)
{
	struct vm_image_page at, last = { 0 };
	u64 n = 0, va = 0;
	struct area a;

	for (; vm_image_next_page(as, va, &at); va = at.va + PAGE_SIZE, n++)
		last = at;
	if (!n || aspace_area_at(as, last.va, true, &a))
		return;
	log_info("verify: %s: %llu pages mapped ahead, the last at %#llx: file page %llu, area %#llx-%#llx %c%c%c",
		 thread_current()->name, (unsigned long long)n, (unsigned long long)last.va,
		 (unsigned long long)(last.off >> PAGE_SHIFT), (unsigned long long)a.start, (unsigned long long)a.end,
		 a.flags & VM_READ ? 'r' : '-', a.flags & VM_WRITE ? 'w' : '-', a.flags & VM_EXEC ? 'x' : '-');
}

void verify_exec_now(struct aspace *as)
{
	struct verify v = { .as = as, .event = "exec", .fresh = true };

	tell_last_ahead(as);
	check_space(&v);
}

void verify_exit_now(struct aspace *as)
{
	struct verify v = { .as = as, .event = "exit" };

	check_space(&v);
}
