/*
 * The memory devices of major 1: null, zero, full, random, urandom, kmsg.
 * mem(4), null(4), full(4), random(4); /dev/kmsg as Documentation/ABI of Linux describes.
 */
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/fmt.h>
#include <base/string.h>
#include <core/log.h>
#include <core/uio.h>
#include <dev/random.h>
#include <dev/tty.h>
#include <mem/slab.h>
#include <vfs/vfs.h>
#include <vm/aspace.h>

#define RNDGETENTCNT   0x80045200u
#define RNDADDTOENTCNT 0x40045201u
#define RNDADDENTROPY  0x40085203u
#define RNDZAPENTCNT   0x5204u
#define RNDCLEARPOOL   0x5206u
#define RNDRESEEDCRNG  0x5207u

static i64 null_read(struct file *f, struct uio *dst, u64 *pos)
{
	return 0;
}

static i64 null_write(struct file *f, struct uio *src, u64 *pos)
{
	u64 n = src->resid;

	uio_advance(src, n);
	return (i64)n;
}

static i64 mem_lseek(struct file *f, i64 off, int whence)
{
	return f->pos = 0;
}

static i64 zero_read(struct file *f, struct uio *dst, u64 *pos)
{
	u64 done = 0, want = dst->resid;

	while (done < want) {
		u64 k = uio_zero_out(dst, MIN(want - done, PAGE_SIZE));

		done += k;
		if (!k)
			return done ? (i64)done : -EFAULT;
		if (thread_signal_pending())
			break;
		sched_resched_if_needed();
	}
	return (i64)done;
}

/* Shared mappings of /dev/zero are shared anonymous memory, private ones plain anonymous memory. */
static int zero_mmap(struct file *f, struct map_request *rq)
{
	rq->obj = NULL;
	rq->off = 0;
	if (rq->flags & VM_SHARED) {
		rq->obj = vm_object_create_anon(rq->len);
		if (!rq->obj)
			return -ENOMEM;
	}
	return 0;
}

static i64 full_write(struct file *f, struct uio *src, u64 *pos)
{
	return -ENOSPC;
}

static i64 random_read(struct file *f, struct uio *dst, u64 *pos)
{
	u8 chunk[256];
	u64 done = 0, want = dst->resid;

	while (done < want) {
		u64 k = MIN(want - done, sizeof(chunk));

		random_bytes(chunk, k);
		u64 moved = uio_copy_out(dst, chunk, k);

		done += moved;
		if (moved < k)
			return done ? (i64)done : -EFAULT;
		if (done % PAGE_SIZE == 0 && done < want) {	/* shorter reads are whole, signal or not: random(4) */
			if (thread_signal_pending())
				break;
			sched_resched_if_needed();
		}
	}
	memset(chunk, 0, sizeof(chunk));
	return (i64)done;
}

static i64 random_write(struct file *f, struct uio *src, u64 *pos)
{
	u8 chunk[64];
	u64 done = 0, want = src->resid;

	while (done < want) {
		u64 k = uio_copy_in(src, chunk, MIN(want - done, sizeof(chunk)));

		if (!k)
			return done ? (i64)done : -EFAULT;
		random_mix(chunk, k, 0);
		done += k;
		if (done % PAGE_SIZE == 0 && done < want) {
			if (thread_signal_pending())
				break;
			sched_resched_if_needed();
		}
	}
	return (i64)done;
}

/* random(4): the ioctls of entropy accounting. */
static i64 random_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct { i32 bits, len; } head;
	i32 v = random_ready() ? 256 : 0;
	u8 chunk[64];

	if (cmd == RNDGETENTCNT)
		return user_put(UPTR(arg), &v);
	if (cmd != RNDADDTOENTCNT && cmd != RNDADDENTROPY && cmd != RNDZAPENTCNT && cmd != RNDCLEARPOOL && cmd != RNDRESEEDCRNG)
		return -EINVAL;
	if (!cred_can(vfs_self()->cred, CAP_SYS_ADMIN))
		return -EPERM;
	if (cmd == RNDRESEEDCRNG) {
		if (!random_ready())
			return -ENODATA;
		random_mix(NULL, 0, 0);
		return 0;
	}
	if (cmd == RNDADDTOENTCNT) {
		if (user_get(&v, UPTR(arg)))
			return -EFAULT;
		if (v < 0)
			return -EINVAL;
		random_mix(NULL, 0, (u32)v);
		return 0;
	}
	if (cmd != RNDADDENTROPY)		/* zap and clear do nothing since Linux 5.18 */
		return 0;
	if (user_get(&head, UPTR(arg)))
		return -EFAULT;
	if (head.bits < 0 || head.len < 0)
		return -EINVAL;
	for (u64 done = 0; done < (u64)head.len; done += sizeof(chunk)) {
		u64 n = MIN((u64)head.len - done, sizeof(chunk));

		if (user_copy_in(chunk, UPTR(arg + sizeof(head) + done), n))
			return -EFAULT;
		random_mix(chunk, n, 0);
	}
	random_mix(NULL, 0, (u32)head.bits);
	return 0;
}

static u32 always_ready(struct file *f, struct poll_table *pt)
{
	return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
}

/* kmsg: each reader has its own position, in file.priv as a sequence number. */
static struct waitq kmsg_wait = WAITQ_INIT(kmsg_wait);

static void kmsg_notify(void)
{
	waitq_wake(&kmsg_wait, ~0u, POLLIN | POLLRDNORM);
}

static int kmsg_open(struct vnode *vn, struct file *f)
{
	f->priv = (void *)log_first_seq();
	f->mode |= FILE_STREAM;
	return 0;
}

static i64 kmsg_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct log_record rec;
	char line[320];
	u64 seq = (u64)f->priv;

	while (log_read(seq, &rec)) {
		if (f->flags & 04000)		/* O_NONBLOCK */
			return -EAGAIN;
		int err = waitq_wait_intr(&kmsg_wait, log_next_seq() > seq);

		if (err)
			return err;
	}
	int n = fmt_scnprintf(line, sizeof(line), "%u,%llu,%llu,-;%.*s\n", rec.level, (unsigned long long)rec.seq,
			      (unsigned long long)rec.time_ns / 1000, (int)rec.len, rec.text);
	if ((u64)n > dst->resid)
		return -EINVAL;
	f->priv = (void *)(rec.seq + 1);
	return uio_copy_out(dst, line, (u64)n) == (u64)n ? n : -EFAULT;
}

static i64 kmsg_write(struct file *f, struct uio *src, u64 *pos)
{
	char line[1024];
	u64 n = src->resid, level = LOG_WARN;
	const char *text = line, *end;

	if (n >= sizeof(line))
		return -EINVAL;
	if (uio_copy_in(src, line, n) != n)
		return -EFAULT;
	line[n] = 0;
	if (line[0] == '<' && !str_to_u64(line + 1, 10, &level, &end) && *end == '>')
		text = end + 1;
	usize len = strlen(text);

	if (len && text[len - 1] == '\n')
		len--;
	log_printf((enum log_level)(level & 7), "%.*s", (int)len, text);
	return (i64)n;
}

static i64 kmsg_lseek(struct file *f, i64 off, int whence)
{
	if (off)
		return -ESPIPE;
	switch (whence) {
	case 0: f->priv = (void *)log_first_seq(); return 0;
	case 2: f->priv = (void *)log_next_seq(); return 0;
	default: return -EINVAL;
	}
}

static u32 kmsg_poll(struct file *f, struct poll_table *pt)
{
	poll_wait(pt, &kmsg_wait);
	return log_next_seq() > (u64)f->priv ? POLLIN | POLLRDNORM : 0;
}

static const struct file_ops null_fops = { .read = null_read, .write = null_write, .lseek = mem_lseek, .poll = always_ready };
static const struct file_ops zero_fops = { .read = zero_read, .write = null_write, .lseek = mem_lseek, .poll = always_ready, .mmap = zero_mmap };
static const struct file_ops full_fops = { .read = zero_read, .write = full_write, .lseek = mem_lseek, .poll = always_ready };
static const struct file_ops random_fops = { .read = random_read, .write = random_write, .lseek = mem_lseek, .poll = always_ready,
					    .ioctl = random_ioctl };
static const struct file_ops kmsg_fops = {
	.read = kmsg_read, .write = kmsg_write, .lseek = kmsg_lseek, .poll = kmsg_poll, .open = kmsg_open,
};

static struct chardev devices[] = {
	{ .major = 1, .minor = 3, .count = 1, .name = "null", .ops = &null_fops, .mode = 0666 },
	{ .major = 1, .minor = 5, .count = 1, .name = "zero", .ops = &zero_fops, .mode = 0666 },
	{ .major = 1, .minor = 7, .count = 1, .name = "full", .ops = &full_fops, .mode = 0666 },
	{ .major = 1, .minor = 8, .count = 1, .name = "random", .ops = &random_fops, .mode = 0666 },
	{ .major = 1, .minor = 9, .count = 1, .name = "urandom", .ops = &random_fops, .mode = 0666 },
	{ .major = 1, .minor = 11, .count = 1, .name = "kmsg", .ops = &kmsg_fops, .mode = 0644 },
};

void memdev_init(void)
{
	for (u32 i = 0; i < ARRAY_LEN(devices); i++)
		chardev_register(&devices[i]);
	log_notify = kmsg_notify;
}
