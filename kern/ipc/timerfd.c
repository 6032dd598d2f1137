/*
 * timerfd_create(2).  Real-time clocks are armed as monotonic deadlines; a step
 * of the clock is noticed when the timer fires (it re-arms if too early) and by
 * TFD_TIMER_CANCEL_ON_SET, which compares the clock's offset.
 * Lock: t->lock (rank EPOLL_READY is above; this one is rank DEV, irq: the timer
 * callback takes it).
 */
#include <base/errno.h>
#include <core/clock.h>
#include <core/timer.h>
#include <core/uio.h>
#include <ipc/eventfd.h>
#include <mem/slab.h>

#define O_NONBLOCK	   04000u
#define TIMER_ABSTIME	   1u
#define CANCEL_ON_SET	   2u
enum { CLK_REALTIME = 0, CLK_MONOTONIC = 1, CLK_BOOTTIME = 7, CLK_REALTIME_ALARM = 8, CLK_BOOTTIME_ALARM = 9 };

struct timerfd {
	struct timer timer;
	spinlock_t lock;
	u64 next_ns GUARDED_BY(&lock);		/* monotonic deadline, 0: disarmed */
	u64 interval_ns GUARDED_BY(&lock);
	u64 ticks GUARDED_BY(&lock);
	u64 real_target GUARDED_BY(&lock);	/* absolute real-time deadline, 0: not one */
	u64 real_offset GUARDED_BY(&lock);	/* real - monotonic when armed */
	bool cancel_on_set GUARDED_BY(&lock);
	bool expired GUARDED_BY(&lock);		/* fired, interval not yet re-armed */
	bool real;				/* const: a real-time clock */
	struct waitq wait;
};

static u64 offset_now(void)
{
	return clock_real_ns() - clock_mono_ns();
}

/* The offset is derived from two readings: a difference below this is reading noise. */
static bool offset_moved(u64 a, u64 b)
{
	u64 d = a > b ? a - b : b - a;

	return d > NSEC_PER_MSEC;
}

static void timerfd_fire(struct timer *timer)
{
	struct timerfd *t = container_of(timer, struct timerfd, timer);
	u64 irq = spin_lock_irq(&t->lock);

	if (t->next_ns && t->real_target && clock_real_ns() < t->real_target) {
		t->next_ns = clock_mono_ns() + (t->real_target - clock_real_ns());
		timer_arm(&t->timer, t->next_ns);
	} else if (t->next_ns > clock_mono_ns()) {
		timer_arm(&t->timer, t->next_ns);	/* set anew while this call waited for the lock */
	} else if (t->next_ns) {
		t->ticks++;
		t->real_target = 0;
		t->expired = t->interval_ns != 0;
		if (!t->expired)
			t->next_ns = 0;
	}
	spin_unlock_irq(&t->lock, irq);
	waitq_wake(&t->wait, ~0u, POLLIN | POLLRDNORM);
}

/*
 * An interval timer that fired stays quiet until somebody looks: then the
 * intervals that passed are counted in one step.  A 1 ns interval therefore
 * costs one interrupt per read, not one per nanosecond.
 */
static void catch_up(struct timerfd *t) MUST_HOLD(&t->lock)
{
	u64 now = clock_mono_ns(), missed;

	if (!t->expired)
		return;
	missed = now > t->next_ns ? (now - t->next_ns) / t->interval_ns : 0;
	t->expired = false;
	t->ticks += missed;
	t->next_ns += (missed + 1) * t->interval_ns;
	timer_arm(&t->timer, t->next_ns);
}

static bool cancelled(struct timerfd *t) MUST_HOLD(&t->lock)
{
	return t->cancel_on_set && offset_moved(t->real_offset, offset_now());
}

static bool timerfd_ready(struct timerfd *t)
{
	GUARD_IRQ(&t->lock);
	return t->ticks || cancelled(t);
}

static i64 timerfd_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct timerfd *t = f->priv;
	u64 n;

	if (dst->resid < sizeof(n))
		return -EINVAL;
	for (;;) {
		u64 irq = spin_lock_irq(&t->lock);
		bool off = cancelled(t);

		catch_up(t);
		n = t->ticks;
		t->ticks = 0;
		if (off)
			t->real_offset = offset_now();
		spin_unlock_irq(&t->lock, irq);
		if (off)
			return -ECANCELED;
		if (n)
			break;
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		int err = waitq_wait_intr(&t->wait, timerfd_ready(t));

		if (err)
			return err;
	}
	return uio_copy_out(dst, &n, sizeof(n)) == sizeof(n) ? (i64)sizeof(n) : -EFAULT;
}

static u32 timerfd_poll(struct file *f, struct poll_table *pt)
{
	struct timerfd *t = f->priv;

	poll_wait(pt, &t->wait);
	return timerfd_ready(t) ? POLLIN : 0;
}

static void timerfd_release(struct file *f)
{
	struct timerfd *t = f->priv;

	timer_cancel(&t->timer);
	kfree(t);
}

static const struct file_ops timerfd_fops = { .read = timerfd_read, .poll = timerfd_poll, .release = timerfd_release };

int timerfd_create_file(u32 clock, u32 flags, struct file **out)
{
	if (flags & ~(O_NONBLOCK | 02000000u))
		return -EINVAL;
	if (clock != CLK_REALTIME && clock != CLK_MONOTONIC && clock != CLK_BOOTTIME && clock != CLK_REALTIME_ALARM && clock != CLK_BOOTTIME_ALARM)
		return -EINVAL;
	if (clock >= CLK_REALTIME_ALARM && !cred_can(vfs_self()->cred, CAP_WAKE_ALARM))
		return -EPERM;
	struct timerfd *t = kzalloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	spin_init(&t->lock, LR_DEV);
	waitq_init(&t->wait);
	timer_init(&t->timer, timerfd_fire);
	t->real = clock == CLK_REALTIME || clock == CLK_REALTIME_ALARM;
	*out = file_create_anon(&timerfd_fops, "anon_inode:[timerfd]", FILE_READ | FILE_WRITE | FILE_STREAM, 2 | (flags & O_NONBLOCK), t);
	if (!*out) {
		kfree(t);
		return -ENOMEM;
	}
	return 0;
}

static void read_spec(struct timerfd *t, u64 out[2]) MUST_HOLD(&t->lock)
{
	catch_up(t);
	u64 now = clock_mono_ns();

	out[0] = t->interval_ns;
	out[1] = !t->next_ns ? 0 : t->next_ns > now ? t->next_ns - now : 1;
}

int timerfd_settime(struct file *f, u32 flags, const u64 spec[2], u64 old[2])
{
	struct timerfd *t = f->ops == &timerfd_fops ? f->priv : NULL;

	if (!t || (flags & ~(TIMER_ABSTIME | CANCEL_ON_SET)))
		return -EINVAL;
	timer_cancel(&t->timer);
	u64 irq = spin_lock_irq(&t->lock);
	u64 now = clock_mono_ns(), when = spec[1];

	read_spec(t, old);
	t->ticks = 0;
	t->interval_ns = spec[0];
	t->real_target = 0;
	t->real_offset = offset_now();
	t->cancel_on_set = t->real && (flags & TIMER_ABSTIME) && (flags & CANCEL_ON_SET);
	t->next_ns = 0;
	t->expired = false;
	timer_try_cancel(&t->timer);		/* read_spec may have armed it */
	if (when && !(flags & TIMER_ABSTIME)) {
		t->next_ns = now + when < now ? ~0ull - 1 : now + when;
	} else if (when && t->real) {
		t->real_target = when;
		t->next_ns = when > t->real_offset ? MAX(when - t->real_offset, 1ull) : 1;
	} else if (when) {
		t->next_ns = when;
	}
	if (t->next_ns)
		timer_arm(&t->timer, t->next_ns);
	spin_unlock_irq(&t->lock, irq);
	return 0;
}

int timerfd_gettime(struct file *f, u64 out[2])
{
	struct timerfd *t = f->ops == &timerfd_fops ? f->priv : NULL;

	if (!t)
		return -EINVAL;
	GUARD_IRQ(&t->lock);
	read_spec(t, out);
	return 0;
}
