/*
 * Out of memory: one process dies so that the others go on.  The one whose death
 * frees most (resident pages and tables, moved by oom_score_adj) is chosen; pid 1
 * never is.  While a victim still has memory to give back nobody else is killed.
 */
#include <mem/mem.h>
#include <proc/view.h>
#include "proc.h"

#define OOM_ADJ_NEVER  (-1000)
#define OOM_WAIT_NS    (20 * NSEC_PER_MSEC)
#define OOM_GIVE_UP_NS (2 * NSEC_PER_SEC)

static spinlock_t oom_lock = SPINLOCK_INIT(LR_PROC);
static struct process *victim;		/* oom_lock; reference */
static u64 victim_since;		/* oom_lock */
static u64 kills;			/* oom_lock to change */

u64 oom_kills(void) { return READ_ONCE(kills); }

/* Pages that p's death would free, adjusted; 0: not to be killed.  Counters only: nothing here may allocate or sleep. */
static u64 badness(struct process *p, u64 total)
{
	i64 points;

	if (p == init_process || p->oom_score_adj == OOM_ADJ_NEVER || p->group_exiting)
		return 0;
	spin_lock(&p->lock);
	points = p->aspace ? (i64)(READ_ONCE(p->aspace->rss) + (u64)atomic64_read(&p->aspace->table_pages)) : 0;
	spin_unlock(&p->lock);
	if (!points)
		return 0;
	points += (i64)p->oom_score_adj * (i64)total / 1000;
	return points > 0 ? (u64)points : 1;
}

/* Linux's scale: 0 never, 667 nothing to gain, 2000 * 2 / 3 at most. */
u32 process_oom_score(struct process *p)
{
	i64 total = (i64)mem_total_pages(), points;

	if (p == init_process || p->oom_score_adj == OOM_ADJ_NEVER)
		return 0;
	spin_lock(&p->lock);
	points = p->aspace ? (i64)(READ_ONCE(p->aspace->rss) + (u64)atomic64_read(&p->aspace->table_pages)) : 0;
	spin_unlock(&p->lock);
	if (!points)
		return 0;
	points += (i64)p->oom_score_adj * total / 1000;
	points = (1000 + points * 1000 / total) * 2 / 3;
	return points > 0 ? (u32)points : 0;
}

static struct process *choose(u64 *pages)
{
	struct process *best = NULL;
	u64 most = 0, total = mem_total_pages();

	GUARD_SPIN(&proc_table_lock);
	for (u32 nr = pid_next_used_locked(2); nr; nr = pid_next_used_locked(nr + 1)) {
		struct process *p = process_of_slot(pid_slot(nr), nr);
		u64 points = p ? badness(p, total) : 0;

		if (points > most) {
			most = points;
			best = p;
		}
	}
	*pages = most;
	return best ? process_get(best) : NULL;
}

/* True: an earlier victim is still on its way out. */
static bool victim_pending(void)
{
	struct process *gone = NULL;
	bool pending = false;

	spin_lock(&oom_lock);
	if (victim) {
		pending = READ_ONCE(victim->aspace) && clock_mono_ns() - victim_since < OOM_GIVE_UP_NS;
		if (!pending)
			gone = MOVE(victim);
	}
	spin_unlock(&oom_lock);
	if (gone)
		process_put(gone);
	return pending;
}

static void kill_victim(struct process *p, u64 pages)
{
	struct process *old;
	u64 irq;

	char name[16] = "?";
	u64 total = 0;

	spin_lock(&p->lock);
	if (p->aspace)
		total = p->aspace->total_pages;
	spin_unlock(&p->lock);
	irq = spin_lock_irq(&p->sig_lock);
	if (p->leader && !p->reaped)
		str_copy(name, p->leader->thread.name, sizeof(name));
	spin_unlock_irq(&p->sig_lock, irq);
	log_err("Out of memory: Killed process %u (%s) total-vm:%llukB, rss and tables:%llukB, oom_score_adj:%d", p->pid, name,
		(unsigned long long)total * 4, (unsigned long long)pages * 4, p->oom_score_adj);
	spin_lock(&oom_lock);
	old = victim;
	victim = process_get(p);
	victim_since = clock_mono_ns();
	kills++;
	spin_unlock(&oom_lock);
	p->oom_victim = true;
	irq = spin_lock_irq(&p->sig_lock);
	DISCARD(signal_kill_group_locked(p, SIGKILL));	/* false: dying already, which is as good */
	spin_unlock_irq(&p->sig_lock, irq);
	if (old)
		process_put(old);
}

/* Set as mem_oom_hook.  True: memory may be free now, try again. */
static bool out_of_memory(void)
{
	struct process *p;
	u64 pages;

	if (!task_is_user(thread_current()) || thread_fatal_pending())
		return false;
	if (!victim_pending()) {
		p = choose(&pages);
		if (!p) {
			log_err("Out of memory and no process can be killed");
			return false;
		}
		kill_victim(p, pages);
		process_put(p);
	}
	if (thread_fatal_pending())
		return false;
	DISCARD(sched_sleep_until(clock_mono_ns() + OOM_WAIT_NS, false));	/* not interruptible: always 0 */
	return !thread_fatal_pending();
}

void oom_init(void) { mem_oom_hook = out_of_memory; }
