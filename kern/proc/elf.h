/*
 * What exec needs to know of a program file, as pure functions over its bytes:
 * no file, no memory map, no locks.  Compiles on the host, where the fuzzer runs
 * it.  A plan says what to map; exec_map.c carries it out.
 *
 * Linux refuses some damaged files with an errno, before the old program is
 * gone; others it finds out about too late, and the process dies of SIGSEGV.
 * plan.doomed marks the second kind.
 */
#pragma once

#include <base/attrs.h>

#define ELF_HEADER_SIZE	 64u
#define ELF_PHDR_SIZE	 56u
#define ELF_MAX_PHDRS	 (65536u / ELF_PHDR_SIZE)
#define ELF_INTERP_MAX	 4096u
#define SCRIPT_LINE	 256u			/* bytes of a file that exec looks at first */

/* One PT_LOAD, in pages; addresses before the bias of a position-independent program. */
struct exec_segment {
	u64 start, file_len;		/* pages backed by the file: [start, start + file_len) */
	u64 off;			/* file offset of start */
	u64 file_end;			/* first byte past the file's data; zero-filled from there */
	u64 end;			/* first byte past the segment in memory */
	bool read, write, exec;
};

struct exec_plan {
	bool dynamic;			/* ET_DYN: may be put anywhere */
	bool stack_exec;
	bool doomed;			/* Linux would kill the process half way: SIGSEGV */
	u64 entry, phdr;		/* addresses before the bias */
	u32 phnum;
	u64 min, max;			/* pages covered: [min, max) */
	u64 align;			/* largest p_align that is a power of two, at least a page */
	u64 brk;			/* highest end of a segment */
	u64 code_start, code_end, data_start, data_end;
	u64 interp_off, interp_len;	/* in the file; 0: none.  interp_len counts the NUL */
	char *interp;			/* read in by exec.c; owned */
	u32 nsegments;
	struct exec_segment segments[];
};

struct elf_head { u16 type; u64 entry, phoff; u32 phnum; };

/* Looks at the first bytes.  0, or -ENOEXEC (-ELIBBAD for an interpreter). */
MUST_USE int elf_parse_head(const u8 *buf, u64 len, bool interp, struct elf_head *out);
/* Number of PT_LOAD among n headers of ELF_PHDR_SIZE bytes: the size of the plan. */
u32 elf_count_segments(const u8 *phdrs, u32 n);
/* Fills plan (zeroed, room for elf_count_segments()).  0, or -ENOEXEC. */
MUST_USE int elf_build_plan(const struct elf_head *h, const u8 *phdrs, struct exec_plan *plan);

/* First line of a script.  Strings point into buf, which is changed (NULs). */
struct script_line { const char *interp, *arg; };	/* arg NULL: none */
/* buf: SCRIPT_LINE bytes, zero past the end of the file.  0, -ENOEXEC (no script, or a line that cannot be used). */
MUST_USE int script_parse(char *buf, struct script_line *out);
