/*
 * /proc/PID/maps, smaps, smaps_rollup, pagemap.
 *
 * One area may hold a file's pages and, past file_end, zero-filled ones: these
 * are shown as two lines, as Linux has two mappings there.
 */
#include <mem/block.h>
#include <vm/huge.h>
#include "proc_priv.h"
#include <core/uio.h>
#include <mem/page.h>

#define NAME_COLUMN 73u
#define ANON_SHARED_DEV 1u		/* dev 00:01: the kernel's own tmpfs */

/* The part of an area that one line shows. */
struct piece {
	const struct area *a;
	u64 start, end;
	bool file;		/* pages of a->file; else anonymous */
};

typedef void (*piece_fn)(struct seq *s, struct aspace *as, const struct piece *p, void *arg);

static void pieces_of(struct seq *s, struct aspace *as, const struct area *a, piece_fn fn, void *arg)
{
	u64 edge = a->file && a->file_end ? ALIGN_UP(a->file_end, PAGE_SIZE) : 0;
	struct piece p = { a, a->start, a->end, a->file != NULL };

	if (edge && edge < a->end) {
		p.end = MAX(edge, a->start);
		if (p.end > p.start)
			fn(s, as, &p, arg);
		p = (struct piece){ a, MAX(edge, a->start), a->end, false };
	}
	fn(s, as, &p, arg);
}

static void for_each_piece(struct seq *s, struct aspace *as, piece_fn fn, void *arg)
{
	struct area a;

	for (u64 at = 0; !aspace_area_hold(as, at, &a); at = a.end) {
		pieces_of(s, as, &a, fn, arg);
		if (a.file)
			file_put(a.file);
		if (s && s->overflow)
			return;
	}
}

/* NULL: no name. */
static const char *anon_name(const struct aspace *as, const struct piece *p)
{
	if (p->a->flags & VM_VDSO)
		return p->a->flags & VM_MAYEXEC ? "[vdso]" : "[vvar]";
	if (p->a->obj && !p->a->file)
		return "/dev/zero (deleted)";
	if (p->start < as->brk && p->end > as->brk_start)
		return "[heap]";
	return p->a->flags & VM_STACK ? "[stack]" : NULL;
}

static void file_name(struct seq *s, struct file *f)
{
	char *text = kmalloc(PATH_MAX);
	struct path place;
	i64 n;

	if (text && !file_get_path(f, &place)) {
		n = proc_path_text(&place, text, PATH_MAX - 1);
		if (n > 0) {
			text[n] = 0;
			seq_escape(s, text, "\n");
		}
		path_put(&place);
	}
	kfree(text);
}

static void pad_to_name(struct seq *s, usize line)
{
	while (!s->overflow && s->len - line < NAME_COLUMN)
		seq_putc(s, ' ');
}

static void show_line(struct seq *s, struct aspace *as, const struct piece *p, void *arg)
{
	const struct area *a = p->a;
	struct vnode *vn = p->file ? ((struct file *)a->file)->vnode : NULL;
	const char *name = p->file ? NULL : anon_name(as, p);
	u64 dev = 0, ino = 0, off = 0;
	usize line = s->len;

	if (vn) {
		dev = vn->sb->dev;
		ino = vn->ino;
		off = a->off + (p->start - a->start);
	} else if (a->obj && !a->file && !(a->flags & VM_VDSO)) {
		dev = ANON_SHARED_DEV;
		ino = a->obj->id;
		off = a->off;
	}
	seq_printf(s, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ", LLU(p->start), LLU(p->end),
		   a->flags & VM_READ ? 'r' : '-',
		   a->flags & VM_WRITE ? 'w' : '-', a->flags & VM_EXEC ? 'x' : '-', a->flags & VM_SHARED ? 's' : 'p', LLU(off),
		   dev_major(dev), dev_minor(dev), LLU(ino));
	if (p->file || name)
		pad_to_name(s, line);
	if (p->file)
		file_name(s, a->file);
	else if (name)
		seq_printf(s, "%s", name);
	seq_putc(s, '\n');
}

static int with_space(struct seq *s, struct synth_node *n, void (*fn)(struct seq *s, struct aspace *as))
{
	AUTO(task) t = synth_task(n);
	AUTO(aspace) as = process_aspace_get(n->proc);

	if (!t)
		return -ESRCH;
	if (as)
		fn(s, as);
	return 0;
}

static void all_lines(struct seq *s, struct aspace *as) { for_each_piece(s, as, show_line, NULL); }

int proc_maps_show(struct seq *s, void *node) { return with_space(s, node, all_lines); }

/* --- sums ---------------------------------------------------------------------- */

static void add_sums(struct seq *s, struct aspace *as, const struct piece *p, void *arg)
{
	struct proc_area_sums *sums = arg;
	u64 pages = (p->end - p->start) >> PAGE_SHIFT;

	if (p->a->flags & VM_STACK)
		sums->stack += pages;
	else if ((p->a->flags & (VM_EXEC | VM_WRITE)) == VM_EXEC)
		sums->exec += pages;
}

void proc_area_sums(struct aspace *as, struct proc_area_sums *out)
{
	*out = (struct proc_area_sums){ 0 };
	for_each_piece(NULL, as, add_sums, out);
	GUARD_SHARED(&as->lock);
	out->data = as->data_pages;
}

/* --- smaps ----------------------------------------------------------------------- */

static void kb_line(struct seq *s, const char *name, u64 bytes)
{
	seq_printf(s, "%-16s%8llu kB\n", name, LLU(bytes >> 10));
}

static void usage_tail(struct seq *s, const struct area_usage *u)
{
	kb_line(s, "Shared_Clean:", u->shared_clean);
	kb_line(s, "Shared_Dirty:", u->shared_dirty);
	kb_line(s, "Private_Clean:", u->private_clean);
	kb_line(s, "Private_Dirty:", u->private_dirty);
	kb_line(s, "Referenced:", u->referenced);
	kb_line(s, "Anonymous:", u->anon);
	kb_line(s, "LazyFree:", 0);
	kb_line(s, "AnonHugePages:", u->huge);
	kb_line(s, "ShmemPmdMapped:", 0);
	kb_line(s, "FilePmdMapped:", u->file_huge);
	kb_line(s, "Shared_Hugetlb:", 0);
	seq_printf(s, "Private_Hugetlb: %7u kB\n", 0);
	kb_line(s, "Swap:", 0);
	kb_line(s, "SwapPss:", 0);
	kb_line(s, "Locked:", u->locked);
}

static void vm_flags(struct seq *s, const struct area *a)
{
	static const struct { u32 flag; const char *text; } names[] = {
		{ VM_READ, "rd" }, { VM_WRITE, "wr" }, { VM_EXEC, "ex" }, { VM_SHARED, "sh" },
		{ VM_MAYREAD, "mr" }, { VM_MAYWRITE, "mw" },
		{ VM_MAYEXEC, "me" }, { VM_SHARED, "ms" }, { VM_GROWSDOWN, "gd" }, { VM_LOCKED, "lo" }, { VM_DONTFORK, "dc" },
		{ VM_LOCKONFAULT, "lf" }, { VM_NORESERVE, "nr" }, { VM_WIPEFORK, "wf" }, { VM_DONTDUMP, "dd" }, { VM_HUGE, "hg" }, { VM_NOHUGE, "nh" },
	};

	seq_printf(s, "VmFlags: ");
	for (u32 i = 0; i < ARRAY_LEN(names); i++)
		if (a->flags & names[i].flag)
			seq_printf(s, "%s ", names[i].text);
	seq_putc(s, '\n');
}

static void show_smap(struct seq *s, struct aspace *as, const struct piece *p, void *arg)
{
	struct area_usage u;

	show_line(s, as, p, NULL);
	aspace_area_usage(as, p->start, p->end, &u);
	kb_line(s, "Size:", p->end - p->start);
	kb_line(s, "KernelPageSize:", PAGE_SIZE);
	kb_line(s, "MMUPageSize:", PAGE_SIZE);
	kb_line(s, "Rss:", u.rss);
	kb_line(s, "Pss:", u.pss);
	kb_line(s, "Pss_Dirty:", u.pss_dirty);
	usage_tail(s, &u);
	seq_printf(s, "THPeligible:    %d\n", huge_area_eligible(as, p->a) && ALIGN_UP(p->start, HUGE_SIZE) + HUGE_SIZE <= p->end);
	vm_flags(s, p->a);
}

static void all_smaps(struct seq *s, struct aspace *as) { for_each_piece(s, as, show_smap, NULL); }

int proc_smaps_show(struct seq *s, void *node) { return with_space(s, node, all_smaps); }

struct rollup { struct area_usage u; u64 start, end; };

static void add_usage(struct seq *s, struct aspace *as, const struct piece *p, void *arg)
{
	struct rollup *r = arg;
	struct area_usage u;
	u64 *to = (u64 *)&r->u, *from = (u64 *)&u;

	aspace_area_usage(as, p->start, p->end, &u);
	for (u32 i = 0; i < sizeof(u) / sizeof(u64); i++)
		to[i] += from[i];
	if (!r->end)
		r->start = p->start;
	r->end = p->end;
}

static void rollup(struct seq *s, struct aspace *as)
{
	struct rollup r = { .end = 0 };
	usize line = s->len;

	for_each_piece(NULL, as, add_usage, &r);
	seq_printf(s, "%08llx-%08llx ---p 00000000 00:00 0 ", LLU(r.start), LLU(r.end));
	pad_to_name(s, line);
	seq_printf(s, "[rollup]\n");
	kb_line(s, "Rss:", r.u.rss);
	kb_line(s, "Pss:", r.u.pss);
	kb_line(s, "Pss_Dirty:", r.u.pss_dirty);
	kb_line(s, "Pss_Anon:", r.u.pss_anon);
	kb_line(s, "Pss_File:", r.u.pss_file);
	kb_line(s, "Pss_Shmem:", r.u.pss_shmem);
	usage_tail(s, &r.u);
}

int proc_smaps_rollup_show(struct seq *s, void *node) { return with_space(s, node, rollup); }

/* --- pagemap ------------------------------------------------------------------------ */

#define PM_PRESENT   (1ull << 63)
#define PM_FILE	     (1ull << 61)
#define PM_EXCLUSIVE (1ull << 56)

/* Frame numbers stay hidden, as Linux hides them from who has no CAP_SYS_ADMIN. */
static u64 pagemap_word(struct aspace *as, u64 va)
{
	struct area a;
	struct page *pg;
	pte_t e;
	u32 level;
	u64 out;

	if (aspace_area_at(as, va, true, &a))
		return 0;
	e = pgtable_lookup_entry(as, va, &level);
	if (!pte_present(e) || !pfn_valid(pte_pfn(e)))
		return 0;
	pg = pfn_to_page(pte_pfn(e));
	out = PM_PRESENT;
	if (pg->use == PAGE_FILE || pg->use == PAGE_IMAGE)
		out |= PM_FILE;
	else if ((level ? block_frame_refs(pg, mmu_index(va, 0)) : page_refs(pg)) == 1)
		out |= PM_EXCLUSIVE;
	return out;
}

static i64 pagemap_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct synth_node *n = synth_node(f->vnode);
	AUTO(aspace) as = process_aspace_get(n->proc);
	u64 last = USER_TOP >> PAGE_SHIFT, word;
	i64 done = 0;

	if ((*pos | dst->resid) & 7)
		return -EINVAL;
	if (!as)
		return 0;
	while (dst->resid && *pos / 8 < last) {
		word = pagemap_word(as, *pos / 8 << PAGE_SHIFT);
		if (uio_copy_out(dst, &word, sizeof(word)) != sizeof(word))
			return done ? done : -EFAULT;
		*pos += sizeof(word);
		done += sizeof(word);
		if (!(*pos & 0xffff))
			sched_resched_if_needed();
		if (thread_fatal_pending())
			break;
	}
	return done;
}

static i64 pagemap_lseek(struct file *f, i64 off, int whence)
{
	return whence == SEEK_END ? -EINVAL : file_generic_lseek(f, off, whence, 0);
}

const struct file_ops proc_pagemap_fops = { .read = pagemap_read, .lseek = pagemap_lseek };
