/* The kernel's own symbol table (tools/gen/ksyms.py): text symbols by ascending address. */
#include <core/panic.h>

extern const u32 ksyms_count, ksyms_addrs[], ksyms_name_offs[];
extern const char ksyms_names[];
extern char __text_start[], __init_text_end[];

#define TEXT_HIGH 0xffffffff00000000ull

const char *symbol_lookup(u64 addr, u64 *offset)
{
	u32 lo = 0, hi = ksyms_count;

	if (addr < (u64)__text_start || addr >= (u64)__init_text_end || !hi || (u32)addr < ksyms_addrs[0])
		return NULL;
	while (hi - lo > 1) {
		u32 mid = lo + (hi - lo) / 2;

		if (ksyms_addrs[mid] <= (u32)addr)
			lo = mid;
		else
			hi = mid;
	}
	*offset = addr - (TEXT_HIGH | ksyms_addrs[lo]);
	return ksyms_names + ksyms_name_offs[lo];
}
