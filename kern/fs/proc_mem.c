/* /proc/PID/cmdline, environ, auxv, mem: the memory of another process, a page at a time. */
#include "proc_priv.h"
#include <core/uio.h>

/* Appends [from, to); stops where memory cannot be read, or after a NUL if asked.  False: stopped. */
static bool put_memory(struct seq *s, struct aspace *as, u64 from, u64 to, bool one_string)
{
	char *page = kmalloc(PAGE_SIZE);
	bool whole = page != NULL;

	while (whole && from < to && !s->overflow) {
		u64 n = MIN(to - from, PAGE_SIZE - (from & (PAGE_SIZE - 1)));
		i64 got = aspace_access(as, from, page, n, false, false);
		char *nul;

		if (got <= 0) {
			whole = false;
			break;
		}
		nul = one_string ? memchr(page, 0, (usize)got) : NULL;
		seq_write(s, page, nul ? (usize)(nul - page) + 1 : (usize)got);
		whole = !nul && (u64)got == n;
		from += (u64)got;
	}
	kfree(page);
	return whole;
}

/* A program that wrote a longer title over its arguments has no NUL at their end: then one string counts. */
int proc_cmdline_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);
	AUTO(aspace) as = process_aspace_get(n->proc);
	char last = 0;

	if (!t)
		return -ESRCH;
	if (!as || as->arg_start >= as->arg_end)
		return 0;
	if (aspace_access(as, as->arg_end - 1, &last, 1, false, false) == 1 && last)
		DISCARD(put_memory(s, as, as->arg_start, as->env_start == as->arg_end ? as->env_end : as->arg_end, true));
	else
		DISCARD(put_memory(s, as, as->arg_start, as->arg_end, false));	/* what cannot be read is left out */
	return 0;
}

int proc_environ_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);
	AUTO(aspace) as = process_aspace_get(n->proc);

	if (!t)
		return -ESRCH;
	if (as && as->env_end)
		DISCARD(put_memory(s, as, as->env_start, as->env_end, false));	/* as above */
	return 0;
}

int proc_auxv_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	AUTO(task) t = synth_task(n);
	AUTO(aspace) as = process_aspace_get(n->proc);
	usize words = 0;

	if (!t)
		return -ESRCH;
	if (!as)
		return 0;
	while (words < ARRAY_LEN(as->auxv) && as->auxv[words])
		words += 2;
	words = MIN(words + 2, ARRAY_LEN(as->auxv));
	seq_write(s, as->auxv, words * sizeof(u64));
	return 0;
}

/* --- mem -------------------------------------------------------------------- */

/* The space that was there at open is what is read, whatever the process executes later. */
static int mem_open(struct vnode *vn, struct file *f)
{
	AUTO(aspace) as = process_aspace_get(synth_node(vn)->proc);

	f->priv = as ? aspace_get(as) : NULL;
	return 0;
}

static void mem_release(struct file *f)
{
	if (f->priv)
		aspace_put(f->priv);
}

static i64 mem_chunk(struct aspace *as, struct uio *u, u64 at, char *page, u64 n, bool write)
{
	i64 got;

	if (write && uio_copy_in(u, page, n) != n)
		return -EFAULT;
	got = aspace_access(as, at, page, n, write, true);
	if (got <= 0)
		return -EIO;
	if (!write && uio_copy_out(u, page, (u64)got) != (u64)got)
		return -EFAULT;
	return got;
}

static i64 mem_rw(struct file *f, struct uio *u, u64 *pos, bool write)
{
	struct aspace *held = f->priv;
	AUTO(aspace) as = held && aspace_try_use(held) ? held : NULL;
	AUTO(kptr) page = NULL;
	i64 done = 0, n = 0;

	if (!as)
		return 0;
	page = kmalloc(PAGE_SIZE);
	if (!page)
		return -ENOMEM;
	while (u->resid && !thread_fatal_pending()) {
		u64 want = MIN(u->resid, PAGE_SIZE - (*pos & (PAGE_SIZE - 1)));

		n = mem_chunk(as, u, *pos, page, want, write);
		if (n < 0)
			break;
		*pos += (u64)n;
		done += n;
		if ((u64)n < want)
			break;
	}
	return done ? done : MIN(n, 0);
}

static i64 mem_read(struct file *f, struct uio *dst, u64 *pos) { return mem_rw(f, dst, pos, false); }
static i64 mem_write(struct file *f, struct uio *src, u64 *pos) { return mem_rw(f, src, pos, true); }

static i64 mem_lseek(struct file *f, i64 off, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	f->pos = whence == SEEK_SET ? (u64)off : f->pos + (u64)off;
	return (i64)f->pos;
}

const struct file_ops proc_mem_fops = {
	.open = mem_open, .release = mem_release, .read = mem_read, .write = mem_write, .lseek = mem_lseek,
};
