/*
 * The log ring: fixed slots, the newest LOG_SLOTS records.
 * Lock: ring (rank LOG, irq).  Sinks are called without a lock, as they have
 * their own; the list of sinks only grows.
 */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <base/errno.h>
#include <base/fmt.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/lock.h>
#include <core/log.h>

#define LOG_SLOTS 256u

static spinlock_t ring_lock = SPINLOCK_INIT(LR_LOG);
static struct log_record ring[LOG_SLOTS] GUARDED_BY(&ring_lock);
static u64 ring_next GUARDED_BY(&ring_lock);		/* seq of the next record */
static spinlock_t early_lock = SPINLOCK_INIT(LR_CONSOLE);
static struct log_sink *sinks;				/* atomic push, never removed */
static u32 console_level = LOG_WARN;			/* atomic */
void (*log_notify)(void);

void log_set_console_level(u32 level) { WRITE_ONCE(console_level, level); }
u32 log_console_level(void) { return READ_ONCE(console_level); }

void log_sink_add(struct log_sink *sink)
{
	sink->next = __atomic_load_n(&sinks, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&sinks, &sink->next, sink, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

static void early_write(const char *text, usize len)
{
	u64 irq = spin_lock_irq(&early_lock);

	for (usize i = 0; i < len; i++) {
		if (text[i] == '\n')
			arch_early_putc('\r');
		arch_early_putc(text[i]);
	}
	spin_unlock_irq(&early_lock, irq);
}

static void console_write(const struct log_record *r)
{
	char line[300];
	struct log_sink *s = load_acquire(&sinks);
	int n = fmt_scnprintf(line, sizeof(line), "[%5llu.%06llu] %s\n", (unsigned long long)r->time_ns / NSEC_PER_SEC,
			      (unsigned long long)(r->time_ns % NSEC_PER_SEC / 1000), r->text);

	if (!s)
		early_write(line, n);
	for (; s; s = s->next)
		s->write(line, n);
}

/* An NMI may have interrupted the holder: gives up after a while, the record is then only printed. */
static bool ring_lock_try_hard(void) NO_LOCK_ANALYSIS
{
	for (u32 i = 0; i < 1u << 20; i++) {
		if (spin_try_lock(&ring_lock))
			return true;
		cpu_relax();
	}
	return false;
}

static void ring_put(struct log_record *r) NO_LOCK_ANALYSIS
{
	u64 irq = irq_save();

	if (ring_lock_try_hard()) {
		r->seq = ring_next++;
		ring[r->seq % LOG_SLOTS] = *r;
		spin_unlock(&ring_lock);
	}
	irq_restore(irq);
}

void log_printf(enum log_level level, const char *fmt, ...)
{
	struct log_record r = { .time_ns = clock_mono_ns(), .level = level };
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(r.text, sizeof(r.text), fmt, ap);
	va_end(ap);
	r.len = strlen(r.text);
	if (r.len && r.text[r.len - 1] == '\n')
		r.text[--r.len] = 0;
	ring_put(&r);
	if (level <= log_console_level())
		console_write(&r);
	if (log_notify)
		log_notify();
}

u64 log_next_seq(void)
{
	GUARD_IRQ(&ring_lock);
	return ring_next;
}

u64 log_first_seq(void)
{
	GUARD_IRQ(&ring_lock);
	return ring_next > LOG_SLOTS ? ring_next - LOG_SLOTS : 0;
}

int log_read(u64 seq, struct log_record *out)
{
	GUARD_IRQ(&ring_lock);
	if (seq >= ring_next)
		return -ENOENT;
	if (ring_next > LOG_SLOTS && seq < ring_next - LOG_SLOTS)
		seq = ring_next - LOG_SLOTS;
	*out = ring[seq % LOG_SLOTS];
	return 0;
}
