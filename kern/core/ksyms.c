/* The kernel's own symbol table (tools/gen/ksyms.py) by ascending address: functions, in debug builds variables too. */
#include <base/fmt.h>
#include <core/panic.h>

extern const u32 ksyms_count, ksyms_addrs[], ksyms_name_offs[];
extern const char ksyms_names[];
extern char __text_start[], __init_text_end[], __image_end[];

#define TEXT_HIGH 0xffffffff00000000ull

/* The last symbol at or below addr, which lies in the kernel; ksyms_count: none. */
static u32 symbol_below(u64 addr)
{
	u32 lo = 0, hi = ksyms_count;

	if (!hi || (u32)addr < ksyms_addrs[0])
		return ksyms_count;
	while (hi - lo > 1) {
		u32 mid = lo + (hi - lo) / 2;

		if (ksyms_addrs[mid] <= (u32)addr)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static bool in_text(u64 addr) { return addr >= (u64)__text_start && addr < (u64)__init_text_end; }

/* Without variables in the table, the last function is below all data: that is no name for it. */
static const char *object_lookup(u64 addr, u64 *offset)
{
	u32 at = addr >= (u64)__text_start && addr < (u64)__image_end ? symbol_below(addr) : ksyms_count;
	u64 start = at < ksyms_count ? TEXT_HIGH | ksyms_addrs[at] : 0;

	if (!start || in_text(start) != in_text(addr))
		return NULL;
	*offset = addr - start;
	return ksyms_names + ksyms_name_offs[at];
}

const char *symbol_lookup(u64 addr, u64 *offset)
{
	return in_text(addr) ? object_lookup(addr, offset) : NULL;
}

const char *place_name(char buf[PLACE_LEN], u64 addr)
{
	u64 offset;
	const char *name = object_lookup(addr, &offset);

	if (name)
		fmt_snprintf(buf, PLACE_LEN, "%#llx (%s+%#llx)", (unsigned long long)addr, name, (unsigned long long)offset);
	else
		fmt_snprintf(buf, PLACE_LEN, "%#llx", (unsigned long long)addr);
	return buf;
}
