/*
 * Exec images: what the first exec of a file leaves behind for the next.
 *
 * An image belongs to one state of one object (identity and generation): the
 * reader's parsed headers (plan, opaque here), the areas as they came out, the
 * frames that can be mapped at once, and leaf tables made ready.  The object
 * holds one reference while the image is current; any change of content, the
 * object's end or memory pressure drop it, and every space that maps the
 * image holds another until it is torn down.  docs/exec-image.md.
 *
 * The caller keeps writers away from the file (vnode_deny_write) from before
 * vm_image_find() until the space is complete.  Everything here may sleep, and
 * is called without locks unless it says otherwise.
 */
#pragma once

#include <vm/aspace.h>

struct vm_image;

enum vm_image_form {
	IMAGE_OFF,		/* plans are kept, pages come by faults */
	IMAGE_BLOCK,		/* assembled 2 MiB copies, mapped as 4 KiB entries, copied into each space's tables */
	IMAGE_TABLES,		/* the cache's own frames, by ready leaf tables where the address allows */
	IMAGE_HUGE,		/* as TABLES; 2 MiB entries, of copies, for text that fills them */
};
/* Before the first exec.  limit: pages that an image maps at once (prefault_limit=). */
void vm_image_configure(enum vm_image_form form, u64 limit);

/* The current image of obj with a new reference, or NULL. */
MUST_USE struct vm_image *vm_image_find(struct vm_object *obj);
/* A new image without areas for obj as it was at that generation; plan is the image's, freed by free_plan.  NULL: no memory. */
MUST_USE struct vm_image *vm_image_create(u64 generation, void *plan, void (*free_plan)(void *plan));
/* obj keeps a reference, unless its generation has moved on. */
void vm_image_attach(struct vm_image *im, struct vm_object *obj);
void vm_image_put(struct vm_image *im);
void *vm_image_plan(struct vm_image *im);

/* Where a program is to go: [min, max) of its headers plus bias, which is 0 unless it is movable. */
struct vm_image_place { u64 min, max, bias; bool movable, interp; struct vm_object *obj; void *file; };
/*
 * Gives an empty range of as the image's areas and whatever pages and tables it has.
 * -ENOENT, -EEXIST, -ENOMEM: nothing was mapped, go the long way.
 */
MUST_USE int vm_image_map(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl);
/* After the long way: learns the areas and collects the pages, if nobody has, and maps these in as too. */
void vm_image_learn(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl);

/* A page that as got from an image: for verify.  keep: bytes of the file in it, zero behind. */
struct vm_image_page { u64 va, off; struct page *frame; u32 keep; };
/* The first page at or after va that as mapped from its images (it may have been replaced since).  False: none. */
MUST_USE bool vm_image_next_page(struct aspace *as, u64 va, struct vm_image_page *out);
/* fn for every frame of every image, current or not, and how many references the image holds on it; under a spinlock.  For audit. */
void vm_image_for_each_frame(void (*fn)(struct page *pg, u32 refs, void *arg), void *arg);
