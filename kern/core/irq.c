/*
 * Device interrupts: which handlers a vector has.  One vector per line; lines
 * are never given back.  Handlers are appended under the lock and read by the
 * interrupt without one.
 */
#include <arch/irqchip.h>
#include <base/errno.h>
#include <core/irq.h>
#include <core/lock.h>
#include <core/log.h>
#include <core/percpu.h>

#define IRQ_LINES    (IRQ_VECTOR_LAST - IRQ_VECTOR_FIRST + 1)
#define IRQ_HANDLERS 8u
#define GSI_MSI	     (~0u)

struct irq_line {
	u32 gsi;			/* GSI_MSI: message-signalled */
	u32 nhandlers;			/* atomic release; grows */
	struct {
		irq_handler_t fn;
		void *arg;
		const char *name;
	} handler[IRQ_HANDLERS];
};

DECLARE_PER_CPU(u32, irq_depth);
static spinlock_t irq_lock = SPINLOCK_INIT(LR_IPI);
static struct irq_line lines[IRQ_LINES];
static u32 nlines;			/* atomic; grows under the lock */
static DEFINE_PER_CPU(u32, irq_counts)[IRQ_LINES];

bool in_interrupt(void) { return this_cpu_read(irq_depth); }

void irq_dispatch(u32 vector)
{
	u32 i = vector - IRQ_VECTOR_FIRST;
	struct irq_line *l = &lines[i];

	if (i >= load_acquire(&nlines))
		return;
	(*this_cpu_ptr(&irq_counts))[i]++;
	for (u32 h = 0, n = load_acquire(&l->nhandlers); h < n; h++)
		(void)l->handler[h].fn(l->handler[h].arg);
}

static int add_handler(struct irq_line *l, irq_handler_t fn, void *arg, const char *name)
{
	u32 n = l->nhandlers;

	if (n == IRQ_HANDLERS)
		return -ENOMEM;
	l->handler[n].fn = fn;
	l->handler[n].arg = arg;
	l->handler[n].name = name;
	store_release(&l->nhandlers, n + 1);
	return 0;
}

/* A line for gsi, existing or new; NULL: all vectors are taken. */
static struct irq_line *line_get(u32 gsi)
{
	for (u32 i = 0; gsi != GSI_MSI && i < nlines; i++)
		if (lines[i].gsi == gsi)
			return &lines[i];
	if (nlines == IRQ_LINES)
		return NULL;
	lines[nlines].gsi = gsi;
	store_release(&nlines, nlines + 1);
	return &lines[nlines - 1];
}

int irq_request(u32 gsi, irq_handler_t fn, void *arg, const char *name)
{
	GUARD_IRQ(&irq_lock);
	struct irq_line *l = line_get(gsi);
	int err = l ? add_handler(l, fn, arg, name) : -ENOMEM;

	if (!err && l->nhandlers == 1) {
		err = arch_irq_route(gsi, IRQ_VECTOR_FIRST + (l - lines));
		if (err)
			l->nhandlers = 0;
	}
	return err;
}

int irq_request_isa(u32 isa, irq_handler_t fn, void *arg, const char *name)
{
	return irq_request(arch_irq_isa_to_gsi(isa), fn, arg, name);
}

int irq_request_msi(irq_handler_t fn, void *arg, const char *name, u64 *addr, u32 *data)
{
	GUARD_IRQ(&irq_lock);
	struct irq_line *l = line_get(GSI_MSI);
	int err = l ? add_handler(l, fn, arg, name) : -ENOMEM;

	if (!err)
		arch_msi_compose(IRQ_VECTOR_FIRST + (l - lines), addr, data);
	return err;
}

bool irq_describe(u32 i, struct irq_description *d)
{
	if (i >= load_acquire(&nlines))
		return false;
	d->msi = lines[i].gsi == GSI_MSI;
	d->number = d->msi ? IRQ_VECTOR_FIRST + i : lines[i].gsi;
	d->name = lines[i].nhandlers ? lines[i].handler[0].name : "";
	return true;
}

u64 irq_count(u32 i, u32 cpu) { return READ_ONCE((*per_cpu_ptr(&irq_counts, cpu))[i]); }
