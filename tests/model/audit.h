/* The audit of design section 6 over all spaces and objects: NULL, or what is wrong. */
#pragma once

#include "../../kern/vm/vm.h"

const char *audit_all(struct aspace **as, u32 nas, struct vm_object **obj, u32 nobj, struct page **image, u32 nimage);
