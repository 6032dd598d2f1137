/* Private to core: one step at a time, for panic. */
#pragma once

#include <core/crash.h>

#define CRASH_STEPS_MAX 8u

bool crash_step_run(struct crash_report *r, u32 i);	/* false: there is no step i */
