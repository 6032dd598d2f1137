/*
 * Exec images: life, lookup, mapping.
 *
 * A current image (obj != NULL) is on the list and has one reference from its
 * object.  Whatever ends that (a change of content, the object's death, memory
 * pressure) takes it off and drops that reference; spaces that map it go on with
 * the frames they have, as Linux's do with pages that left the cache.
 *
 * I1  An entry with PTE_BORROWED is only in tables of spaces that hold the image
 *     (as->images), and in the image's own.  It owns no reference: the image owns
 *     its frames, one reference for each entry, two on a template and on a leaf
 *     table that it lends, so that nobody can take himself for the sole owner.
 * I2  A BORROWED entry never has W.  A write copies the page as any private
 *     write does; the image's frames never change but through the file.
 * I3  Areas are linked to the object before entries are, and the generation is
 *     compared under obj->lock shared when they are: rmap either finds them, or
 *     the image was out of date and nothing is entered (rmap.c, inv. R1).
 * I4  Frames are the cache's own, so that rmap knows them.  A template and the
 *     copies of a block are not: writers are kept away from a program while it
 *     runs, and an interpreter's pages are never taken from a block.
 *
 * image_lock is held for list operations only.
 */
#include <core/stat.h>
#include "image.h"

spinlock_t image_lock = SPINLOCK_INIT(LR_VM_IMAGE);
enum vm_image_form image_form = IMAGE_TABLES;
u64 image_limit = IMAGE_MAX_PAGES;
static struct list current_images = LIST_INIT(current_images);	/* image_lock */
static struct list all_images = LIST_INIT(all_images);		/* image_lock */

void vm_image_configure(enum vm_image_form form, u64 limit)
{
	image_form = form;
	image_limit = MIN(limit, IMAGE_MAX_PAGES);
}

/* --- life ------------------------------------------------------------------ */

struct vm_image *vm_image_create(u64 generation, void *plan, void (*free_plan)(void *plan))
{
	struct vm_image *im = kzalloc(sizeof(*im));

	if (!im)
		return NULL;
	ref_init(&im->refs);
	list_init(&im->link);
	im->generation = generation;
	im->plan = plan;
	im->free_plan = free_plan;
	GUARD_SPIN(&image_lock);
	list_push_back(&all_images, &im->all_link);
	return im;
}

void vm_image_put(struct vm_image *im)
{
	if (!im || !ref_put(&im->refs))
		return;
	spin_lock(&image_lock);
	list_remove(&im->all_link);
	spin_unlock(&image_lock);
	image_body_free(im->body);
	im->free_plan(im->plan);
	kfree(im);
}

void *vm_image_plan(struct vm_image *im)
{
	return im->plan;
}

/* image_lock held; the object's reference is the caller's to drop. */
static void detach_locked(struct vm_image *im)
{
	im->obj->image = NULL;
	im->obj = NULL;
	list_remove(&im->link);
}

void vm_image_detach(struct vm_object *obj)
{
	spin_lock(&image_lock);
	struct vm_image *im = obj->image;

	if (im)
		detach_locked(im);
	spin_unlock(&image_lock);
	vm_image_put(im);
}

static u64 generation_of(const struct vm_object *obj)
{
	return __atomic_load_n(&obj->generation, __ATOMIC_ACQUIRE);
}

void vm_image_attach(struct vm_image *im, struct vm_object *obj)
{
	spin_lock(&image_lock);
	struct vm_image *old = obj->image;

	if (old)
		detach_locked(old);
	/* A change that comes after this look may miss the image: then vm_image_find() sees its generation. */
	if (generation_of(obj) == im->generation) {
		ref_get(&im->refs);
		im->obj = obj;
		WRITE_ONCE(obj->image, im);
		list_push_back(&current_images, &im->link);
	}
	spin_unlock(&image_lock);
	vm_image_put(old);
}

/* More pages could be had now than when it was built? */
static bool outgrown(const struct vm_image *im, const struct vm_object *obj)
{
	const struct image_body *b = load_acquire(&im->body);

	return b && b->npages < b->wanted && READ_ONCE(obj->npages) > b->cached;
}

struct vm_image *vm_image_find(struct vm_object *obj)
{
	GUARD_SPIN(&image_lock);
	struct vm_image *im = obj->image;

	if (!im || im->generation != generation_of(obj) || outgrown(im, obj))
		return NULL;
	ref_get(&im->refs);
	list_remove(&im->link);
	list_push_back(&current_images, &im->link);
	return im;
}

/* --- memory pressure ------------------------------------------------------- */

/* The least recently used image that nobody maps or is about to. */
static struct vm_image *take_idle(void)
{
	struct vm_image *im;

	GUARD_SPIN(&image_lock);
	list_for_each(im, &current_images, link)
		if (ref_read(&im->refs) == 1) {
			detach_locked(im);
			return im;
		}
	return NULL;
}

/* The cache's frames come free when the cache is asked next; only the image's own count here. */
static u64 image_shrink(struct mem_shrinker *s, u64 want)
{
	struct vm_image *im;
	u64 freed = 0;

	while (freed < want && (im = take_idle()) != NULL) {
		const struct image_body *b = im->body;

		for (u32 i = 0; b && i < b->ntables; i++)
			freed += pte_live(b->tables[i].huge) ? HUGE_SIZE / PAGE_SIZE : 1 + b->tables[i].nready;
		vm_image_put(im);
		freed++;
	}
	return freed;
}

static struct mem_shrinker image_shrinker = { .name = "exec images", .order = 1, .shrink = image_shrink };

void image_init(void)
{
	mem_shrinker_add(&image_shrinker);
}

/* --- mapping --------------------------------------------------------------- */

static void space_hold(struct vm_image *im, struct aspace *as, u64 bias)
{
	u32 i = as->images[0].image != NULL;

	VERIFY(!as->images[i].image);
	ref_get(&im->refs);
	atomic_inc(&im->mappers);
	as->images[i].image = im;
	as->images[i].bias = bias;
}

void image_space_fork(struct aspace *to, const struct aspace *from)
{
	for (u32 i = 0; i < ARRAY_LEN(from->images); i++)
		if (from->images[i].image)
			space_hold(from->images[i].image, to, from->images[i].bias);
}

void image_space_end(struct aspace *as)
{
	for (u32 i = 0; i < ARRAY_LEN(as->images); i++) {
		struct vm_image *im = as->images[i].image;

		if (!im)
			continue;
		as->images[i].image = NULL;
		atomic_dec(&im->mappers);
		vm_image_put(im);
	}
}

void image_tables_end(struct aspace *as)
{
	for (u32 i = 0; i < ARRAY_LEN(as->images); i++)
		if (as->images[i].image)
			image_tables_take_back(as->images[i].image, as);
}

/* The areas are there.  Whatever does not succeed is left to faults. */
static void enter(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl)
{
	struct image_body *b = im->body;

	GUARD_SHARED(&pl->obj->lock);
	if (generation_of(pl->obj) != im->generation ||		/* inv. I3 */
	    (b->copied && pl->interp))				/* inv. I4 */
		return;
	space_hold(im, as, pl->bias);				/* inv. I1 */
	if (b->ntables && !pl->interp) {			/* inv. I4 */
		image_tables_plug(b, as);
		return;
	}
	for (u32 i = 0; i < b->nareas; i++)
		image_entries_copy(&b->areas[i], as, pl->bias);
}

static int check_room(const struct image_body *b, struct aspace *as, u64 start, u64 end)
{
	rwlock_unshared(&as->lock);				/* exec's new space: nobody runs in it yet */
	if (end < start || end > USER_TOP || start < VM_MIN_ADDR || map_overlap(as, start, end))
		return -EEXIST;
	if (as->total_pages + b->pages > as->as_limit >> PAGE_SHIFT || b->pages > mem_total_pages() ||
	    as->data_pages + b->data_pages > as->data_limit >> PAGE_SHIFT || as->def_flags)
		return -ENOMEM;
	return 0;
}

static void fill_area(struct area *a, const struct image_area *ia, const struct vm_image_place *pl)
{
	a->start = ia->start + pl->bias;
	a->end = ia->end + pl->bias;
	a->flags = ia->flags;
	a->off = ia->off;
	a->file_end = ia->file_end ? ia->file_end + pl->bias : 0;
	if (!ia->file)
		return;
	a->obj = pl->obj;
	a->file = pl->file;
	vm_object_get(a->obj);
	vm_file_hooks.get(a->file);
}

static int add_areas(const struct image_body *b, struct aspace *as, const struct vm_image_place *pl)
{
	struct list fresh = LIST_INIT(fresh);

	for (u32 i = 0; i < b->nareas; i++) {
		struct area *a = area_alloc();

		if (!a) {
			area_free_list(&fresh);
			return -ENOMEM;
		}
		fill_area(a, &b->areas[i], pl);
		list_push_back(&fresh, &a->object_link);
	}
	GUARD_EXCL(&as->lock);
	area_insert_list(as, &fresh, pl->obj);
	return 0;
}

int vm_image_map(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl)
{
	struct image_body *b = load_acquire(&im->body);
	int err;

	if (!b)
		return -ENOENT;
	err = check_room(b, as, b->start + pl->bias, b->end + pl->bias);
	if (!err)
		err = add_areas(b, as, pl);
	if (!err) {
		stat_inc(STAT_IMAGE_MAPPED);
		enter(im, as, pl);
	}
	return err;
}

void vm_image_learn(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl)
{
	/* There is one, and this space was refused it or came too early: it does without. */
	if (image_form == IMAGE_OFF || load_acquire(&im->body))
		return;
	struct image_body *b = image_build(as, pl);

	if (!b)
		return;
	spin_lock(&image_lock);
	if (im->body || generation_of(pl->obj) != im->generation) {
		spin_unlock(&image_lock);
		image_body_free(b);
		return;
	}
	store_release(&im->body, b);
	spin_unlock(&image_lock);
	stat_inc(STAT_IMAGE_BUILT);
	enter(im, as, pl);
}

/* --- looking --------------------------------------------------------------- */

u32 vm_image_mappers(struct aspace *as, u64 va)
{
	for (u32 i = 0; i < ARRAY_LEN(as->images); i++) {
		struct vm_image *im = as->images[i].image;
		u64 at = va - as->images[i].bias;

		if (im && at >= im->body->start && at < im->body->end)
			return MAX((u32)atomic_read(&im->mappers), 1u);
	}
	return 1;
}

void vm_image_for_each_frame(void (*fn)(struct page *pg, u32 refs, void *arg), void *arg)
{
	struct vm_image *im;

	GUARD_SPIN(&image_lock);
	list_for_each(im, &all_images, all_link) {
		const struct image_body *b = im->body;

		for (u32 i = 0; b && i < b->nareas; i++)
			for (u32 k = 0; k < b->areas[i].nentries; k++) {
				pte_t e = b->areas[i].entries[k];

				if (pte_live(e))
					fn(pte_page(e), pte_huge(e) ? 1 : image_refs(e), arg);
			}
		for (u32 i = 0; b && i < b->ntables; i++)
			image_table_owned(&b->tables[i], fn, arg);
	}
}

/* The first page of an image at or after va, as addressed in as, if it is below out->va. */
static void first_page(const struct image_body *b, u64 bias, u64 va, struct vm_image_page *out)
{
	for (u32 i = 0; i < b->nareas; i++) {
		const struct image_area *ia = &b->areas[i];
		u64 start = ia->start + bias, skip = va > start ? (va - start) >> PAGE_SHIFT : 0;

		for (u64 k = skip; k < ia->nentries; k++) {
			u64 at = start + (k << PAGE_SHIFT);

			if (!pte_live(ia->entries[k]))
				continue;
			if (at < out->va) {
				out->va = at;
				out->off = ia->off + (k << PAGE_SHIFT);
				out->frame = pte_page(ia->entries[k]);
				out->keep = ia->tail && k + 1 == ia->nentries ? (u32)(ia->file_end & ~PAGE_MASK) : (u32)PAGE_SIZE;
			}
			break;
		}
	}
}

bool vm_image_next_page(struct aspace *as, u64 va, struct vm_image_page *out)
{
	*out = (struct vm_image_page){ .va = ~0ull };
	va = ALIGN_UP(va, PAGE_SIZE);
	for (u32 i = 0; i < ARRAY_LEN(as->images); i++)
		if (as->images[i].image)
			first_page(as->images[i].image->body, as->images[i].bias, va, out);
	return out->va != ~0ull;
}
