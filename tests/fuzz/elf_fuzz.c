/* ELF headers and script lines from outside: no input may read or write out of bounds, and a plan that is not
 * doomed stays inside user space.
 * host-sources: kern/proc/elf.c
 */
#include <stdlib.h>
#include <base/bug.h>
#include <base/string.h>
#include "proc/elf.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void try_plan(const u8 *data, size_t size, bool interp)
{
	struct elf_head h;
	struct exec_plan *p;

	if (elf_parse_head(data, size, interp, &h))
		return;
	if (h.phoff > size || (u64)h.phnum * ELF_PHDR_SIZE > size - h.phoff)
		return;
	p = calloc(1, sizeof(*p) + elf_count_segments(data + h.phoff, h.phnum) * sizeof(struct exec_segment));
	if (p && !elf_build_plan(&h, data + h.phoff, p)) {
		for (u32 i = 0; i < p->nsegments; i++) {
			const struct exec_segment *s = &p->segments[i];

			VERIFY(s->start <= s->end && s->end <= 0x7ffffffff000ull);
			VERIFY(!s->file_len || (s->start + s->file_len <= 0x7ffffffff000ull && !(s->off & 0xfff)));
			VERIFY(s->start >= p->min && s->end <= p->max);
		}
	}
	free(p);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char line[SCRIPT_LINE];
	struct script_line l;

	try_plan(data, size, false);
	try_plan(data, size, true);
	memset(line, 0, sizeof(line));
	memcpy(line, data, MIN(size, sizeof(line)));
	if (!script_parse(line, &l)) {
		VERIFY(l.interp >= line && l.interp < line + sizeof(line) && *l.interp);
		VERIFY(strnlen(l.interp, SCRIPT_LINE) < SCRIPT_LINE);
		VERIFY(!l.arg || (l.arg > l.interp && l.arg < line + sizeof(line)));
	}
	return 0;
}
