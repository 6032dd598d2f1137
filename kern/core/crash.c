/* See core/crash.h: gathering. */
#include <base/fmt.h>
#include <base/string.h>
#include <core/crash.h>
#include <core/panic.h>
#include <arch/usercopy.h>

#include "crash_steps.h"

#define KERNEL_HALF 0xffff800000000000ull

static crash_step steps[CRASH_STEPS_MAX];	/* const after boot */
static u32 nsteps;
MUST_USE int kernel_read_u64_nofault(u64 addr, u64 *out);

void crash_step_add(crash_step step)
{
	if (nsteps < CRASH_STEPS_MAX)
		steps[nsteps++] = step;
}

bool crash_step_run(struct crash_report *r, u32 i)
{
	if (i >= nsteps)
		return false;
	steps[i](r);
	return true;
}

void crash_gather(struct crash_report *r)
{
	for (u32 i = 0; crash_step_run(r, i); i++)
		;
}

static int read_word(u64 addr, bool user, u64 *out)
{
	if (user)
		return user_copy_in_nofault(out, UPTR(addr), 8) ? -1 : 0;
	return addr < KERNEL_HALF ? -1 : kernel_read_u64_nofault(addr, out);
}

void crash_walk(struct crash_report *r, u64 fp, bool user)
{
	while (r->nframes < CRASH_FRAMES && fp && !(fp & 7)) {
		u64 next, ret;

		if (read_word(fp, user, &next) || read_word(fp + 8, user, &ret) || !ret)
			return;
		r->frames[r->nframes++] = ret;
		if (next <= fp)
			return;
		fp = next;
	}
}

void crash_tail(struct crash_report *r, const char *fmt, ...)
{
	usize used = strnlen(r->tail, CRASH_TAIL), room = CRASH_TAIL - used;
	va_list ap;
	usize n;

	va_start(ap, fmt);
	n = (usize)fmt_vsnprintf(r->tail + used, room, fmt, ap);
	va_end(ap);
	if (n + 2 > room)
		r->tail[used] = 0;
	else
		memcpy(r->tail + used + n, "\n", 2);
}
