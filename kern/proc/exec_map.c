/*
 * exec: the new address space.  Layout as Linux x86-64: stack at the top, below
 * it a gap for the stack to grow, mmap from there downwards; programs with an
 * interpreter two thirds up, static position-independent ones and interpreters at
 * the top of the mmap region; the break after the program.
 *
 * What cannot be mapped dooms the exec: Linux finds out after the old program is
 * gone and kills with SIGSEGV.
 */
#include <core/trace.h>
#include "exec.h"

#define STACK_FIRST	 (132ull << 10)
#define STACK_RND_PAGES	 0x3fffffull		/* 22 bits */
#define STACK_RND_BYTES	 8192u			/* left free at the top */
#define MMAP_RND_PAGES	 0xfffffffull		/* 28 bits */
#define STACK_GAP	 (256ull * PAGE_SIZE)
#define MMAP_GAP_MIN	 (128ull << 20)
#define MMAP_GAP_MAX	 (USER_TOP / 6 * 5)
#define ELF_DYN_BASE	 (USER_TOP / 3 * 2)
#define BRK_RND		 0x02000000ull

static u64 random_pages(const struct exec_ctx *x, u64 mask) { return x->randomize ? (vm_random_u64() & mask) << PAGE_SHIFT : 0; }

/* rnd: the random part, in pages. */
static u64 choose_mmap_base(const struct exec_ctx *x, u64 stack_limit, u64 rnd)
{
	u64 pad = STACK_GAP + (x->randomize ? STACK_RND_PAGES << PAGE_SHIFT : 0);
	u64 gap = stack_limit > MMAP_GAP_MAX ? MMAP_GAP_MIN : stack_limit;

	if (gap + pad > gap)
		gap += pad;
	gap = MIN(MAX(gap, MMAP_GAP_MIN), MMAP_GAP_MAX);
	return ALIGN_UP(USER_TOP - gap - (rnd << PAGE_SHIFT), PAGE_SIZE);
}

int exec_space_create(struct exec_ctx *x)
{
	struct process *p = x->self->proc;
	struct map_request rq = { .fixed = true };
	TRACE_SPAN(exec_image_map);
	struct aspace *as = aspace_create();
	/* One draw for the three places: 22, 28 and 13 bits of it. */
	u64 rnd = x->randomize ? vm_random_u64() : 0, top;
	i64 at;

	if (!as)
		return -ENOMEM;
	x->as = as;
	rlimit_apply_aspace(as, p);
	as->no_huge = aspace_current() && aspace_current()->no_huge;	/* survives exec */
	if (x->secure && as->stack_limit > 8ull << 20)
		as->stack_limit = 8ull << 20;
	top = USER_TOP - ((rnd & STACK_RND_PAGES) << PAGE_SHIFT);
	as->stack_top = top;
	x->rnd = x->randomize ? vm_random_u64() : 0;
	as->mmap_base = choose_mmap_base(x, as->stack_limit, rnd >> 22 & MMAP_RND_PAGES);
	rq.addr = top - STACK_FIRST;
	rq.len = STACK_FIRST;
	rq.flags = VM_READ | VM_WRITE | VM_MAY | VM_GROWSDOWN | VM_STACK | (x->plan->stack_exec ? VM_EXEC : 0);
	at = aspace_map(as, &rq);
	x->p = top - 8 - (rnd >> 50) % STACK_RND_BYTES;
	return at < 0 ? -ENOMEM : 0;
}

/* --- segments ------------------------------------------------------------------------------- */

static u32 prot_of(const struct exec_segment *s)
{
	return (s->read ? VM_READ : 0) | (s->write ? VM_WRITE : 0) | (s->exec ? VM_EXEC : 0) | VM_MAY;
}

static int map_file_part(struct exec_ctx *x, struct file *f, const struct exec_segment *s, u64 bias, bool first)
{
	struct map_request rq = {
		.addr = s->start + bias, .len = s->file_len, .flags = prot_of(s), .fixed = true, .noreplace = first,
		.off = s->off, .allow_low = cred_can(x->cred, CAP_SYS_RAWIO),
	};
	int err = file_mmap(f, &rq);
	i64 at;

	if (err)
		return err;
	if (s->end > s->file_end && (s->file_end & ~PAGE_MASK))
		rq.file_end = s->file_end + bias;	/* .bss begins inside the last page */
	at = aspace_map(x->as, &rq);
	return at < 0 ? (int)at : 0;
}

static int map_zero_part(struct exec_ctx *x, const struct exec_segment *s, u64 bias, bool first)
{
	u64 from = s->file_len ? s->start + s->file_len : s->start, to = ALIGN_UP(s->end, PAGE_SIZE);
	struct map_request rq = {
		.addr = from + bias, .len = to - from, .flags = prot_of(s), .fixed = true, .noreplace = first,
		.allow_low = cred_can(x->cred, CAP_SYS_RAWIO),
	};
	i64 at;

	if (to <= from)
		return 0;
	at = aspace_map(x->as, &rq);
	return at < 0 ? (int)at : 0;
}

static int map_segments(struct exec_ctx *x, struct file *f, const struct exec_plan *plan, u64 bias)
{
	for (u32 i = 0; i < plan->nsegments; i++) {
		const struct exec_segment *s = &plan->segments[i];
		bool first = i == 0;
		int err = 0;

		if (s->file_len) {
			err = map_file_part(x, f, s, bias, first);
			first = false;
		}
		if (!err)
			err = map_zero_part(x, s, bias, first);
		if (err)
			return err;
	}
	return 0;
}

/* The image knows the areas and has pages, or learns them now. */
static int map_image(struct exec_ctx *x, struct vm_image *image, struct file *f, const struct exec_plan *plan, u64 bias)
{
	const struct vm_image_place place = {
		.min = plan->min, .max = plan->max, .bias = bias, .movable = plan->dynamic, .interp = image == x->interp_image,
		.obj = &f->vnode->object, .file = f,
	};
	int err;

	if (!vm_image_map(image, x->as, &place))
		return 0;
	err = map_segments(x, f, plan, bias);
	if (!err) {
		TRACE_SPAN(exec_image_build);
		vm_image_learn(image, x->as, &place);
	}
	return err;
}

/* At the top of the mmap region, below `top`. */
static bool bias_below(const struct exec_plan *plan, u64 top, u64 *bias)
{
	u64 span = plan->max - plan->min;
	u64 align = plan->align < 1ull << 40 ? plan->align : PAGE_SIZE;	/* absurd ones are not honoured */

	if (!plan->nsegments || span >= top)
		return false;
	*bias = ALIGN_DOWN(top - span, align) - ALIGN_DOWN(plan->min, align);
	return true;
}

static bool program_bias(struct exec_ctx *x)
{
	const struct exec_plan *p = x->plan;
	u64 base;

	x->bias = 0;
	if (!p->dynamic)
		return true;
	if (!p->interp)
		return bias_below(p, x->as->mmap_base, &x->bias);
	if (!p->nsegments)
		return false;
	base = ELF_DYN_BASE + random_pages(x, MMAP_RND_PAGES);
	if (p->align < 1ull << 40)
		base = ALIGN_DOWN(base, p->align);
	x->bias = (base & PAGE_MASK) - p->min;
	return true;
}

static void set_break(struct exec_ctx *x)
{
	const struct exec_plan *p = x->plan;
	u64 brk = ALIGN_UP(p->brk + x->bias, PAGE_SIZE);

	if (x->randomize && sysctl_randomize_va_space > 1) {
		if (p->dynamic && !p->interp)
			brk = ELF_DYN_BASE & PAGE_MASK;
		brk += ((x->rnd >> 32) % BRK_RND) & PAGE_MASK;
	}
	x->as->brk_start = x->as->brk = brk;
}

static void note_layout(struct exec_ctx *x)
{
	const struct exec_plan *p = x->plan;
	struct aspace *as = x->as;

	as->code_start = p->code_start + x->bias;
	as->code_end = p->code_end + x->bias;
	as->data_start = p->data_start + x->bias;
	as->data_end = p->data_end + x->bias;
}

static int map_interpreter(struct exec_ctx *x)
{
	const struct exec_plan *p = x->interp_plan;
	u64 bias = 0;
	int err;

	if (p->doomed || (p->dynamic && !bias_below(p, x->as->mmap_base, &bias)))
		return -EINVAL;
	err = map_image(x, x->interp_image, x->interp_file, p, bias);
	if (err)
		return err;
	x->interp_base = p->dynamic ? bias : p->min;
	x->entry = p->entry + bias;
	return 0;
}

void exec_map_program(struct exec_ctx *x)
{
	TRACE_SPAN(exec_image_map);
	int err = x->plan->doomed || !program_bias(x) ? -EINVAL : map_image(x, x->image, x->file, x->plan, x->bias);

	x->entry = x->plan->entry + x->bias;
	if (!err && x->interp_plan)
		err = map_interpreter(x);
	if (!err && x->entry >= USER_TOP)
		err = -EINVAL;
	if (!err)
		err = exec_map_vdso(x);
	if (err) {
		x->doomed = true;
		return;
	}
	set_break(x);
	note_layout(x);
}
