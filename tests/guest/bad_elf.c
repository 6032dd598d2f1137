/*
 * Hostile and odd ELF files: each exec fails with the right errno, or the new program
 * dies by the right signal; the caller lives.  Programs are built byte by byte.
 */
#include "tap.h"

#include <elf.h>

#define BASE	0x10000000ul

/* exit(42) */
static const unsigned char code_exit[] = {
	0xbf, 42, 0, 0, 0,				/* mov $42, %edi */
	0xb8, 231, 0, 0, 0,				/* mov $231, %eax: exit_group */
	0x0f, 0x05,
};

struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[4];
	unsigned char code[64];
};

static struct image good(void)
{
	struct image im = {
		.eh = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			.e_entry = BASE + offsetof(struct image, code),
			.e_phoff = offsetof(struct image, ph),
			.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
					.e_phnum = 1,
		},
		.ph[0] = {
			.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = BASE, .p_paddr = BASE,
			.p_filesz = sizeof(struct image), .p_memsz = sizeof(struct image),
			.p_align = PAGE,
		},
	};

	memcpy(im.code, code_exit, sizeof(code_exit));
	return im;
}

static void put(const void *bytes, size_t n)
{
	int fd = tap_must(open("prog", O_CREAT | O_TRUNC | O_WRONLY, 0755));

	tap_need(write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}

/* The errno of exec as a negative number, or the wait status of what ran. */
static int try(const void *bytes, size_t n)
{
	int p[2], err = 0;

	put(bytes, n);
	tap_must(pipe2(p, O_CLOEXEC));
	pid_t kid = tap_fork();
	if (kid == 0) {
		execl("./prog", "prog", NULL);
		err = errno;
		write(p[1], &err, sizeof(err));
		_exit(0);
	}
	close(p[1]);
	read(p[0], &err, sizeof(err));
	close(p[0]);
	int st = tap_status(kid);
	return err ? -err : st;
}

static int try_image(struct image im)
{
	return try(&im, sizeof(im));
}

static bool died(int st)
{
	return st > 0 && WIFSIGNALED(st);
}

static void a_good_one_runs(void)
{
	tap_eq(try_image(good()), 42 << 8);
}

static void a_good_pie_runs(void)
{
	struct image im = good();

	im.eh.e_type = ET_DYN;
	im.eh.e_entry -= BASE;
	im.ph[0].p_vaddr = im.ph[0].p_paddr = 0;
	tap_eq(try_image(im), 42 << 8);
}

static void every_truncation_of_the_header(void)
{
	struct image im = good();

	for (size_t n = 0; n < sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr); n++) {
		int r = try(&im, n);

		/* never success; ENOEXEC, or EIO where the table is cut */
		if (!tap_ok(r == -ENOEXEC || r == -EIO))
			tap_note("cut at %zu: %d", n, r);
	}
}

static void wrong_identification(void)
{
	for (int i = 0; i < 4; i++) {
		struct image im = good();

		im.eh.e_ident[i] ^= 0x20;
		tap_eq(try_image(im), -ENOEXEC);
	}
	struct image im = good();
	im.eh.e_machine = EM_ARM;
	tap_eq(try_image(im), -ENOEXEC);
	im = good();
	im.eh.e_machine = EM_386;
	im.eh.e_ident[EI_CLASS] = ELFCLASS32;
	tap_ok(try_image(im) != 42 << 8);
	im = good();
	im.eh.e_type = ET_REL;
	tap_eq(try_image(im), -ENOEXEC);
	im.eh.e_type = ET_CORE;
	tap_eq(try_image(im), -ENOEXEC);
	im.eh.e_type = 0xffff;
	tap_eq(try_image(im), -ENOEXEC);
}

static void bad_program_header_tables(void)
{
	struct image im = good();

	im.eh.e_phentsize = 55;
	tap_eq(try_image(im), -ENOEXEC);
	im = good();
	im.eh.e_phentsize = 0xffff;
	tap_eq(try_image(im), -ENOEXEC);
	im = good();
	im.eh.e_phnum = 0;
	tap_eq(try_image(im), -ENOEXEC);
	im = good();
	im.eh.e_phnum = 0xffff;
	tap_ok(try_image(im) < 0);
	im = good();
	im.eh.e_phoff = 1ul << 62;
	tap_ok(try_image(im) < 0);
	im = good();
	im.eh.e_phoff = -8ul;
	tap_ok(try_image(im) < 0);
	im = good();
	im.eh.e_phoff = sizeof(im) - 8;
	tap_ok(try_image(im) < 0);
}

static void segments_out_of_this_world(void)
{
	static const unsigned long where[] = {
		0x7ffffffff000, 0xffff800000000000, -4096ul, 1ul << 56,
	};

	for (unsigned i = 0; i < ARRAY_LEN(where); i++) {
		struct image im = good();

		im.ph[0].p_vaddr = where[i];
		int r = try_image(im);
		if (!tap_ok(r < 0 || died(r)))
			tap_note("at %#lx: %d", where[i], r);
	}
}

static void sizes_that_lie(void)
{
	struct image im = good();

	im.ph[0].p_filesz = im.ph[0].p_memsz + 1;	/* more in the file than in memory */
	int r = try_image(im);
	tap_ok(r < 0 || died(r));
	im = good();
	im.ph[0].p_memsz = 1ul << 47;
	r = try_image(im);
	tap_ok(r < 0 || died(r));
	im = good();
	im.ph[0].p_memsz = -1ul;
	r = try_image(im);
	tap_ok(r < 0 || died(r));
	im = good();
	im.ph[0].p_offset = 1ul << 40;			/* far beyond the file */
	r = try_image(im);
	tap_ok(r < 0 || died(r));
	im = good();
	im.ph[0].p_offset = -PAGE;
	r = try_image(im);
	tap_ok(r < 0 || died(r));
	im = good();
	im.ph[0].p_offset = 1;				/* not congruent with its address */
	r = try_image(im);
	tap_ok(r < 0 || died(r));
}

static void no_load_segment(void)
{
	struct image im = good();

	im.ph[0].p_type = PT_NOTE;
	int r = try_image(im);
	tap_ok(r < 0 || died(r));
}

static void an_entry_point_into_nowhere(void)
{
	struct image im = good();

	im.eh.e_entry = 0x123456;
	int r = try_image(im);
	tap_ok(died(r) && WTERMSIG(r) == SIGSEGV);
	im.eh.e_entry = (unsigned long)BAD_KERNEL;
	r = try_image(im);
	tap_ok(r < 0 || (died(r) && WTERMSIG(r) == SIGSEGV));
	im.eh.e_entry = 0;
	r = try_image(im);
	tap_ok(died(r) && WTERMSIG(r) == SIGSEGV);
	im = good();
	im.ph[0].p_flags = PF_R;			/* no right to execute */
	r = try_image(im);
	tap_ok(died(r) && WTERMSIG(r) == SIGSEGV);
}

static void an_interpreter_that_is_not_there(void)
{
	struct image im = good();
	static const char path[] = "/no/such/ld.so";

	im.eh.e_phnum = 2;
	im.ph[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = offsetof(struct image, code) + 32,
				 .p_filesz = sizeof(path), .p_memsz = sizeof(path) };
	memcpy(im.code + 32, path, sizeof(path));
	tap_eq(try_image(im), -ENOENT);
	im.ph[1].p_filesz = 1;
	tap_ok(try_image(im) < 0);
	im.ph[1].p_filesz = 5000;
	tap_ok(try_image(im) < 0);
	im.ph[1].p_filesz = 8;				/* no NUL at the end */
	tap_eq(try_image(im), -ENOEXEC);
	memcpy(im.code + 32, "/tmp", 5);
	im.ph[1].p_filesz = 5;
	tap_eq(try_image(im), -EACCES);
	memcpy(im.code + 32, "./prog2", 8);
	im.ph[1].p_filesz = 8;
	tap_spit("prog2", "this is no ELF file, but it is long enough to be read as a header ..");
	tap_must(chmod("prog2", 0755));
	tap_ok(try_image(im) == -ELIBBAD || try_image(im) == -ENOEXEC);
}

static void overlapping_and_unsorted_segments(void)
{
	struct image im = good();

	im.eh.e_phnum = 2;
	im.ph[1] = im.ph[0];
	im.ph[1].p_vaddr = BASE - 16 * PAGE;		/* lower than the first */
	int r = try_image(im);
	tap_ok(r == 42 << 8 || r < 0 || died(r));
	im.ph[1].p_vaddr = BASE;			/* the very same place */
	r = try_image(im);
	tap_ok(r == 42 << 8 || r < 0 || died(r));
}

static void bss_is_zero_to_the_end_of_its_page(void)
{
	/* scan from the end of the file's bytes to the end of memsz; exit(1) at a nonzero byte */
	static const unsigned char code[] = {
		0xbf, 0, 0, 0, 0x20,			/* mov $0x20000000, %edi */
		0xb9, 0, 0, 0, 0,			/* mov $count, %ecx   (at 6) */
		0x80, 0x3f, 0,				/* 1: cmpb $0, (%rdi) */
		0x75, 14,				/* jne 2f */
		0xff, 0xc7,				/* inc %edi */
		0xff, 0xc9,				/* dec %ecx */
		0x75, 0xf5,				/* jnz 1b */
		0xbf, 42, 0, 0, 0,			/* mov $42, %edi */
		0xeb, 6, 0x90,				/* jmp 3f */
		0xbf, 1, 0, 0, 0,			/* 2: mov $1, %edi */
		0xb8, 231, 0, 0, 0, 0x0f, 0x05,		/* 3: exit_group */
	};
	struct { struct image im; unsigned char rest[2 * PAGE]; } f;

	memset(&f, 0xee, sizeof(f));
	f.im = good();
	f.im.eh.e_phnum = 2;
	memcpy(f.im.code, code, sizeof(code));
	unsigned off = 100;				/* file bytes end 100 into the page */
	f.im.ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0,
				   .p_vaddr = 0x20000000, .p_filesz = off, .p_memsz = 3 * PAGE,
				   .p_align = PAGE };
	unsigned start = 0x20000000 + off, count = 3 * PAGE - off;
	memcpy(f.im.code + 1, &start, 4);
	memcpy(f.im.code + 6, &count, 4);
	tap_eq(try(&f, sizeof(f)), 42 << 8);
	/* and the page cache did not learn those zeros */
	unsigned char back[4096];
	int fd = tap_must(open("prog", O_RDONLY));
	tap_eq(pread(fd, back, sizeof(back), 0), 4096);
	tap_eq(memcmp(back, &f, sizeof(back)), 0);
	tap_eq(try(&f, sizeof(f)), 42 << 8);
}

static void a_stack_marked_executable_or_not(void)
{
	struct image im = good();
	static const unsigned char code[] = {
		0x68, 0xc3, 0, 0, 0,			/* push $0xc3: a ret on the stack */
		0xff, 0xd4,				/* call *%rsp */
		0xbf, 42, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05,
	};

	memcpy(im.code, code, sizeof(code));
	im.eh.e_phnum = 2;
	im.ph[1] = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W };
	int r = try_image(im);
	tap_ok(died(r) && WTERMSIG(r) == SIGSEGV);
	im.ph[1].p_flags |= PF_X;
	tap_eq(try_image(im), 42 << 8);
}

static void many_headers_with_random_bytes(void)
{
	unsigned long seed = 12345;

	for (int round = 0; round < 150; round++) {
		struct image im = good();
		unsigned char *b = (void *)&im;

		for (int k = 0; k < 3; k++) {
			seed = seed * 6364136223846793005ul + 1442695040888963407ul;
			b[16 + (seed >> 33) % (offsetof(struct image, ph[1]) - 16)] = seed >> 50;
		}
		int r = try_image(im);
		/* anything but a hang or a crash of the kernel */
		tap_ok(r < 0 || died(r) || WIFEXITED(r));
	}
}

TAP_MAIN(
	CASE(a_good_one_runs),
	CASE(a_good_pie_runs),
	CASE(every_truncation_of_the_header),
	CASE(wrong_identification),
	CASE(bad_program_header_tables),
	CASE(segments_out_of_this_world),
	CASE(sizes_that_lie),
	CASE(no_load_segment),
	CASE(an_entry_point_into_nowhere),
	CASE(an_interpreter_that_is_not_there),
	CASE(overlapping_and_unsorted_segments),
	CASE(bss_is_zero_to_the_end_of_its_page),
	CASE(a_stack_marked_executable_or_not),
	CASE(many_headers_with_random_bytes),
)
