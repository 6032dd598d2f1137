/* The audit of design section 6 over all spaces and objects: NULL, or what is wrong. */
#pragma once

#include "../../kern/vm/vm.h"

/* Parts of one audit: */
extern char audit_text[256];
#define FAIL(...) ({ snprintf(audit_text, sizeof(audit_text), __VA_ARGS__); return audit_text; })
bool own(struct page *pg);		/* one owner more.  True: the first in this audit */
const char *audit_leaf_itself(struct page *leaf, u64 base);
/* audit_image.c: the images that these spaces and objects hold, and what they own. */
const char *audit_images(struct aspace **as, u32 nas, struct vm_object **obj, u32 nobj);
/* A BORROWED directory entry: the image's leaf table for base, which the space holds. */
const char *audit_borrowed_table(struct aspace *as, u64 base, pte_t dir);
/* A BORROWED entry.  *copied: its frame is not the cache's. */
const char *audit_borrowed(struct aspace *as, u64 va, pte_t e, bool *copied);

const char *audit_all(struct aspace **as, u32 nas, struct vm_object **obj, u32 nobj, struct page **image, u32 nimage);
