/* ELF files as plans, script lines: good, cut short, hostile.
 * host-sources: kern/proc/elf.c
 */
#include <stdlib.h>
#include <test/test.h>
#include "elf.h"

#define ET_EXEC 2
#define ET_DYN 3

static void put(u8 *p, u64 v, u32 n)
{
	for (u32 i = 0; i < n; i++)
		p[i] = (u8)(v >> 8 * i);
}

static void make_head(u8 *b, u16 type, u32 phnum)
{
	memset(b, 0, ELF_HEADER_SIZE);
	memcpy(b, "\177ELF\2\1\1", 7);
	put(b + 16, type, 2);
	put(b + 18, 62, 2);
	put(b + 24, 0x401000, 8);
	put(b + 32, 64, 8);
	put(b + 54, 56, 2);
	put(b + 56, phnum, 2);
}

static void make_phdr(u8 *p, u32 type, u32 flags, u64 off, u64 va, u64 filesz, u64 memsz)
{
	memset(p, 0, ELF_PHDR_SIZE);
	put(p, type, 4);
	put(p + 4, flags, 4);
	put(p + 8, off, 8);
	put(p + 16, va, 8);
	put(p + 32, filesz, 8);
	put(p + 40, memsz, 8);
	put(p + 48, 0x1000, 8);
}

static struct exec_plan *plan_of(u16 type, const u8 *phdrs, u32 n, int *err)
{
	struct elf_head h = { .type = type, .entry = 0x401000, .phoff = 64, .phnum = n };
	u32 k = elf_count_segments(phdrs, n);
	struct exec_plan *p = calloc(1, sizeof(*p) + k * sizeof(struct exec_segment));

	*err = elf_build_plan(&h, phdrs, p);
	return p;
}

TEST(elf, head_is_checked)
{
	u8 b[ELF_HEADER_SIZE];
	struct elf_head h;

	make_head(b, ET_EXEC, 3);
	CHECK_EQ(elf_parse_head(b, sizeof(b), false, &h), 0);
	CHECK_EQ(h.phnum, 3);
	CHECK_EQ(h.entry, 0x401000);
	for (u64 len = 0; len < sizeof(b); len++)
		CHECK_EQ(elf_parse_head(b, len, false, &h), -ENOEXEC);
	make_head(b, 1, 3);
	CHECK_EQ(elf_parse_head(b, sizeof(b), false, &h), -ENOEXEC);
	CHECK_EQ(elf_parse_head(b, sizeof(b), true, &h), -ELIBBAD);
	make_head(b, ET_DYN, 0);
	CHECK_EQ(elf_parse_head(b, sizeof(b), false, &h), -ENOEXEC);
	make_head(b, ET_DYN, 1171);
	CHECK_EQ(elf_parse_head(b, sizeof(b), false, &h), -ENOEXEC);
	make_head(b, ET_DYN, 1170);
	CHECK_EQ(elf_parse_head(b, sizeof(b), false, &h), 0);
	put(b + 54, 32, 2);
	CHECK_EQ(elf_parse_head(b, sizeof(b), false, &h), -ENOEXEC);
}

TEST(elf, the_layout_of_a_small_program)
{
	u8 ph[3 * ELF_PHDR_SIZE];
	int err;

	make_phdr(ph, 1, 5, 0, 0x400000, 0x1234, 0x1234);
	make_phdr(ph + 56, 1, 6, 0x1ff0, 0x402ff0, 0x20, 0x3000);
	make_phdr(ph + 112, 0x6474e551, 6, 0, 0, 0, 0);
	struct exec_plan *p = plan_of(ET_EXEC, ph, 3, &err);

	CHECK_EQ(err, 0);
	CHECK(!p->doomed && !p->dynamic && !p->stack_exec);
	CHECK_EQ(p->nsegments, 2);
	CHECK_EQ(p->min, 0x400000);
	CHECK_EQ(p->max, 0x406000);
	CHECK_EQ(p->brk, 0x405ff0);
	CHECK_EQ(p->phdr, 0x400040);
	CHECK_EQ(p->segments[0].file_len, 0x2000);
	CHECK_EQ(p->segments[1].start, 0x402000);
	CHECK_EQ(p->segments[1].off, 0x1000);
	CHECK_EQ(p->segments[1].file_len, 0x2000);
	CHECK_EQ(p->segments[1].file_end, 0x403010);
	CHECK_EQ(p->segments[1].end, 0x405ff0);
	CHECK(p->segments[1].write && !p->segments[1].exec);
	free(p);
}

TEST(elf, lies_about_sizes_and_places_doom)
{
	static const struct { u64 off, va, filesz, memsz; } bad[] = {
		{ 0, 0x400000, 0x2000, 0x1000 },			/* more in the file than in memory */
		{ 0, 0x400000, 0x10, 1ull << 47 },			/* too large */
		{ 0, 0x400000, 0x10, ~0ull },
		{ 0, 0x7ffffffff000, 0x10, 0x10 },			/* past the end */
		{ 0, ~0ull - 0xfff, 0x10, 0x2000 },			/* wraps */
		{ 8, 0x400000, 0x10, 0x10 },				/* not on the same place in its page */
		{ ~0ull - 0xfff, 0x400000, 0x10, 0x10 },
	};

	for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
		u8 ph[ELF_PHDR_SIZE];
		int err;

		make_phdr(ph, 1, 5, bad[i].off, bad[i].va, bad[i].filesz, bad[i].memsz);
		struct exec_plan *p = plan_of(ET_EXEC, ph, 1, &err);

		CHECK_EQ(err, 0);
		if (!CHECK(p->doomed))
			host_check_failed(__FILE__, __LINE__, "case %u", i);
		free(p);
	}
}

TEST(elf, a_library_without_segments_is_doomed)
{
	u8 ph[ELF_PHDR_SIZE];
	int err;

	make_phdr(ph, 4, 4, 0, 0, 0, 0);
	struct exec_plan *p = plan_of(ET_DYN, ph, 1, &err);

	CHECK(p->doomed);
	free(p);
	p = plan_of(ET_EXEC, ph, 1, &err);
	CHECK(!p->doomed);			/* it runs, into nowhere */
	free(p);
}

TEST(elf, interpreter_names)
{
	u8 ph[ELF_PHDR_SIZE];
	int err;

	make_phdr(ph, 3, 4, 0x200, 0, 1, 1);
	free(plan_of(ET_DYN, ph, 1, &err));
	CHECK_EQ(err, -ENOEXEC);
	make_phdr(ph, 3, 4, 0x200, 0, 4097, 4097);
	free(plan_of(ET_DYN, ph, 1, &err));
	CHECK_EQ(err, -ENOEXEC);
	make_phdr(ph, 3, 4, 0x200, 0, 28, 28);
	struct exec_plan *p = plan_of(ET_EXEC, ph, 1, &err);

	CHECK_EQ(err, 0);
	CHECK_EQ(p->interp_off, 0x200);
	CHECK_EQ(p->interp_len, 28);
	free(p);
}

/* --- scripts ---------------------------------------------------------------- */

static int parse(char buf[SCRIPT_LINE], const char *text, struct script_line *l)
{
	memset(buf, 0, SCRIPT_LINE);
	memcpy(buf, text, MIN(strlen(text), (usize)SCRIPT_LINE));
	return script_parse(buf, l);
}

TEST(script, lines)
{
	char buf[SCRIPT_LINE];
	struct script_line l;

	CHECK_EQ(parse(buf, "#!/bin/sh\necho", &l), 0);
	CHECK_STR_EQ(l.interp, "/bin/sh");
	CHECK(!l.arg);
	CHECK_EQ(parse(buf, "#!  \t/bin/sh  \t -e -x \t\n", &l), 0);
	CHECK_STR_EQ(l.interp, "/bin/sh");
	CHECK_STR_EQ(l.arg, "-e -x");
	CHECK_EQ(parse(buf, "#!/bin/sh", &l), 0);
	CHECK_STR_EQ(l.interp, "/bin/sh");
	CHECK_EQ(parse(buf, "#!\n", &l), -ENOEXEC);
	CHECK_EQ(parse(buf, "#!   \n", &l), -ENOEXEC);
	CHECK_EQ(parse(buf, "#!", &l), -ENOEXEC);
	CHECK_EQ(parse(buf, "echo\n", &l), -ENOEXEC);
}

TEST(script, long_lines)
{
	char buf[SCRIPT_LINE], text[SCRIPT_LINE * 2 + 1];
	struct script_line l;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	memcpy(text, "#!/", 3);
	CHECK_EQ(parse(buf, text, &l), -ENOEXEC);	/* the name itself is cut */
	text[20] = ' ';
	CHECK_EQ(parse(buf, text, &l), 0);		/* only the argument is */
	CHECK_EQ(strlen(l.interp), 18);
	CHECK_EQ(strlen(l.arg), SCRIPT_LINE - 1 - 21);
}
