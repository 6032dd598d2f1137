/*
 * Text files whose content is made when it is read.  The text is made whole
 * at the first read and again at each read at offset 0; the buffer doubles
 * until show fits.  State is guarded by the file's pos_lock (or its single user);
 * concurrent pread calls take a lock of their own.
 */
#include "vfs_private.h"
#include <base/fmt.h>

#define SEQ_MAX (64u << 20)

struct seq_state {
	mutex_t lock;			/* rank FILE_POS, nested: guards the rest */
	struct seq seq;
	bool filled;
	int (*show)(struct seq *s, void *arg);
	void *arg;
};

void seq_write(struct seq *s, const void *p, usize n)
{
	if (s->overflow || n > s->size - s->len) {
		s->overflow = true;
		return;
	}
	memcpy(s->buf + s->len, p, n);
	s->len += n;
}

void seq_putc(struct seq *s, char c)
{
	seq_write(s, &c, 1);
}

void seq_printf(struct seq *s, const char *fmt, ...)
{
	usize room = s->size - s->len;
	va_list ap;
	int n;

	if (s->overflow)
		return;
	va_start(ap, fmt);
	n = fmt_vsnprintf(s->buf + s->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (usize)n >= room)
		s->overflow = true;
	else
		s->len += (usize)n;
}

void seq_escape(struct seq *s, const char *text, const char *chars)
{
	for (; *text; text++) {
		if (strchr(chars, *text))
			seq_printf(s, "\\%03o", (unsigned)(u8)*text);
		else
			seq_putc(s, *text);
	}
}

static int fill(struct seq_state *st)
{
	usize size = st->seq.size ? st->seq.size : PAGE_SIZE;

	for (;;) {
		int err;

		if (size != st->seq.size) {
			kfree(st->seq.buf);
			st->seq.buf = kmalloc(size);
			st->seq.size = st->seq.buf ? size : 0;
			if (!st->seq.buf)
				return -ENOMEM;
		}
		st->seq.len = 0;
		st->seq.overflow = false;
		err = st->show(&st->seq, st->arg);
		if (err)
			return err;
		if (!st->seq.overflow)
			break;
		size *= 2;
		if (size > SEQ_MAX)
			return -ENOMEM;
	}
	st->filled = true;
	return 0;
}

static i64 seq_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct seq_state *st = f->priv;
	u64 n, done;
	int err = 0;

	mutex_lock_nested(&st->lock);		/* below the file's own pos_lock, which has the same rank */
	done = 0;
	if (!st->filled || !*pos) {
		err = fill(st);
	}
	if (!err && *pos < st->seq.len && dst->resid) {
		n = MIN(dst->resid, st->seq.len - *pos);
		done = uio_copy_out(dst, st->seq.buf + *pos, n);
		*pos += done;
		err = done ? 0 : -EFAULT;
	}
	mutex_unlock(&st->lock);
	return done ? (i64)done : err;
}

static i64 seq_lseek(struct file *f, i64 off, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	return file_generic_lseek(f, off, whence, 0);
}

static void seq_release(struct file *f)
{
	struct seq_state *st = f->priv;

	kfree(st->seq.buf);
	kfree(st);
}

int seq_file_open(struct file *f, int (*show)(struct seq *s, void *arg), void *arg)
{
	struct seq_state *st = kzalloc(sizeof(*st));

	if (!st)
		return -ENOMEM;
	mutex_init(&st->lock, LR_FILE_POS);
	st->show = show;
	st->arg = arg;
	f->priv = st;
	f->ops = &seq_file_ops;
	f->mode |= FILE_PREAD;
	return 0;
}

const struct file_ops seq_file_ops = { .read = seq_read, .lseek = seq_lseek, .release = seq_release };
