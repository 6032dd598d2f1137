/* kern/vm/khuge.c: no background on the host; tests collapse by hand. */
#include <vm/huge.h>
#include "../../kern/vm/vm.h"

void huge_space_note(struct aspace *as) {}
void huge_space_forget(struct aspace *as) {}
void huge_policy_changed(void) {}
void huge_start(void) {}
