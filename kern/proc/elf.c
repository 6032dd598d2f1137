/*
 * ELF files as plans.  All arithmetic is on untrusted 64-bit numbers: sums are
 * checked for wrap-around before use.
 */
#include <base/errno.h>
#include <base/string.h>
#include "elf.h"

#define ET_EXEC 2u
#define ET_DYN	3u
#define EM_X86_64 62u
#define PT_LOAD	  1u
#define PT_INTERP 3u
#define PT_GNU_STACK 0x6474e551u
#define PF_X 1u
#define PF_W 2u
#define PF_R 4u
#define ADDR_LIMIT 0x00007ffffffff000ull

struct phdr { u32 type, flags; u64 off, vaddr, filesz, memsz, align; };

static u16 get16(const u8 *p) { return (u16)(p[0] | p[1] << 8); }
static u32 get32(const u8 *p) { return (u32)get16(p) | (u32)get16(p + 2) << 16; }
static u64 get64(const u8 *p) { return (u64)get32(p) | (u64)get32(p + 4) << 32; }

static struct phdr get_phdr(const u8 *phdrs, u32 i)
{
	const u8 *p = phdrs + (u64)i * ELF_PHDR_SIZE;

	return (struct phdr){
		.type = get32(p), .flags = get32(p + 4), .off = get64(p + 8), .vaddr = get64(p + 16),
		.filesz = get64(p + 32), .memsz = get64(p + 40), .align = get64(p + 48),
	};
}

int elf_parse_head(const u8 *buf, u64 len, bool interp, struct elf_head *out)
{
	static const u8 magic[4] = { 0x7f, 'E', 'L', 'F' };
	int bad = interp ? -ELIBBAD : -ENOEXEC;

	if (len < ELF_HEADER_SIZE || memcmp(buf, magic, 4))
		return bad;
	out->type = get16(buf + 16);
	if ((out->type != ET_EXEC && out->type != ET_DYN) || get16(buf + 18) != EM_X86_64)
		return bad;
	out->entry = get64(buf + 24);
	out->phoff = get64(buf + 32);
	out->phnum = get16(buf + 56);
	if (get16(buf + 54) != ELF_PHDR_SIZE || !out->phnum || out->phnum > ELF_MAX_PHDRS)
		return bad;
	return 0;
}

u32 elf_count_segments(const u8 *phdrs, u32 n)
{
	u32 count = 0;

	for (u32 i = 0; i < n; i++)
		count += get32(phdrs + (u64)i * ELF_PHDR_SIZE) == PT_LOAD;
	return count;
}

/* Linux checks these while it maps, when the old program is gone already. */
static bool segment_is_sane(const struct phdr *ph)
{
	u64 skew = ph->vaddr & ~PAGE_MASK;

	if (ph->vaddr >= ADDR_LIMIT || ph->filesz > ph->memsz || ph->memsz > ADDR_LIMIT || ADDR_LIMIT - ph->memsz < ph->vaddr)
		return false;
	/* The offset must fall on the same place in its page, and exist as a number. */
	return !ph->filesz || ((ph->off & ~PAGE_MASK) == skew && ph->off < 1ull << 62);
}

static void note_segment(struct exec_plan *p, const struct phdr *ph)
{
	u64 start = ph->vaddr & PAGE_MASK, file_end = ph->vaddr + ph->filesz, end = ph->vaddr + ph->memsz;
	u64 last = ALIGN_UP(end, PAGE_SIZE);

	p->segments[p->nsegments++] = (struct exec_segment){
		.start = start, .file_len = ph->filesz ? ALIGN_UP(file_end, PAGE_SIZE) - start : 0,
		.off = ph->off - (ph->vaddr - start), .file_end = file_end, .end = end,
		.read = ph->flags & PF_R, .write = ph->flags & PF_W, .exec = ph->flags & PF_X,
	};
	if (p->nsegments == 1 || start < p->min)
		p->min = start;
	p->max = MAX(p->max, last);
	p->brk = MAX(p->brk, end);
	if (IS_POW2(ph->align))
		p->align = MAX(p->align, ph->align);
	if ((ph->flags & PF_X) && ph->vaddr < p->code_start)
		p->code_start = ph->vaddr;
	if ((ph->flags & PF_X) && file_end > p->code_end)
		p->code_end = file_end;
	p->data_start = MAX(p->data_start, ph->vaddr);
	p->data_end = MAX(p->data_end, file_end);
}

static void add_segment(const struct elf_head *h, struct exec_plan *p, const struct phdr *ph)
{
	if (!segment_is_sane(ph)) {
		p->doomed = true;
		return;
	}
	if (ph->off <= h->phoff && h->phoff - ph->off < ph->filesz)
		p->phdr = h->phoff - ph->off + ph->vaddr;
	note_segment(p, ph);
}

int elf_build_plan(const struct elf_head *h, const u8 *phdrs, struct exec_plan *p)
{
	p->dynamic = h->type == ET_DYN;
	p->entry = h->entry;
	p->phnum = h->phnum;
	p->align = PAGE_SIZE;
	p->code_start = ~0ull;
	for (u32 i = 0; i < h->phnum; i++) {
		struct phdr ph = get_phdr(phdrs, i);

		switch (ph.type) {
		case PT_LOAD:
			add_segment(h, p, &ph);
			break;
		case PT_INTERP:
			if (p->interp_len)
				break;			/* the first one counts */
			if (ph.filesz > ELF_INTERP_MAX || ph.filesz < 2)
				return -ENOEXEC;
			p->interp_off = ph.off;
			p->interp_len = ph.filesz;
			break;
		case PT_GNU_STACK:
			p->stack_exec = ph.flags & PF_X;
			break;
		}
	}
	if (p->dynamic && !p->nsegments)
		p->doomed = true;
	if (p->code_start == ~0ull)
		p->code_start = 0;
	return 0;
}

/* --- scripts ------------------------------------------------------------------------ */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

int script_parse(char *buf, struct script_line *out)
{
	char *at = buf + 2, *last = buf + SCRIPT_LINE - 1, *end;

	if (buf[0] != '#' || buf[1] != '!')
		return -ENOEXEC;
	for (end = at; end <= last && *end != '\n'; end++)
		;
	if (end > last) {				/* cut: the interpreter's name at least must be whole */
		char *p = at;

		while (p <= last && is_blank(*p))
			p++;
		while (p <= last && !is_blank(*p) && *p)
			p++;
		if (p > last)
			return -ENOEXEC;
		end = last;
	}
	*end = '\0';
	while (end > at && is_blank(end[-1]))
		*--end = '\0';
	while (is_blank(*at))
		at++;
	if (!*at)
		return -ENOEXEC;
	out->interp = at;
	out->arg = NULL;
	while (*at && !is_blank(*at))
		at++;
	if (!*at)
		return 0;
	*at++ = '\0';
	while (is_blank(*at))
		at++;
	if (*at)
		out->arg = at;
	return 0;
}
