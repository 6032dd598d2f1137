/*
 * epoll(7).
 *
 * An entry ties one (file, descriptor number) to one epoll file.  It waits on
 * the target's wait queues with a callback that puts the entry on the ready
 * list; epoll_wait() takes entries from there, asks the target again and
 * reports what is still true.  Level-triggered entries go back on the list.
 *
 * Locks: big_lock (rank EPOLL, sleeping) orders changes of the graph: ADD of an
 * epoll file into another, and removal when a target is closed.  ep->lock
 * (rank EPOLL, sleeping, taken nested inside big_lock) guards the entry tree;
 * ep->ready_lock (rank EPOLL_READY, irq) the ready list, taken by the callback.
 * Life: an entry dies by DEL, by the close of its target (file.epolls), or with
 * the epoll file; it is on no queue before it is freed.
 */
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/rbtree.h>
#include <core/clock.h>
#include <ipc/eventfd.h>
#include <mem/slab.h>
#include <sched/mutex.h>
#include "ipc_priv.h"

#define EPOLLEXCLUSIVE (1u << 28)
#define EPOLLWAKEUP    (1u << 29)
#define EPOLLONESHOT   (1u << 30)
#define EPOLLET	       (1u << 31)
#define PRIVATE_BITS   (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define EXCLUSIVE_OK   (POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE | 0x3c0u)
#define MAX_NESTS      5u
#define MAX_QUEUES     4u
#define MAX_VISITS     1000u	/* epoll files looked at by one EPOLL_CTL_ADD */

struct ep_entry;
struct ep_hook {			/* one queue of the target */
	struct waiter waiter;
	struct waitq *queue;
	struct ep_entry *entry;
};

struct ep_entry {
	struct rb_node node;		/* ep->lock */
	struct list ready;		/* ep->ready_lock */
	struct list by_file;		/* file's watchers: big_lock */
	struct epoll *ep;		/* const */
	struct file *file;		/* const; not a reference: the close removes the entry */
	int fd;				/* const */
	u32 events;			/* ep->lock and ready_lock to change, either to read; 0 interest: one-shot used up */
	u64 data;			/* ep->lock */
	struct ep_hook hooks[MAX_QUEUES];
	u32 nhooks;
};

struct epoll {
	struct file *file;		/* const after creation; not a reference: the file owns us */
	mutex_t lock;
	struct rb_tree entries GUARDED_BY(&lock);
	spinlock_t ready_lock;
	struct list ready GUARDED_BY(&ready_lock);
	struct waitq wait;		/* epoll_wait() callers */
	struct waitq poll_wait;		/* those who poll the epoll file itself */
};

/* file.epolls: who watches a file. */
struct watchers { struct list entries; };

static mutex_t big_lock;
static struct slab_cache *entry_cache;
static const struct file_ops epoll_fops;

static struct epoll *file_epoll(struct file *f)
{
	return f->ops == &epoll_fops ? f->priv : NULL;
}

/* --- entries --------------------------------------------------------------- */

static bool entry_before(const struct file *f, int fd, const struct ep_entry *e)
{
	return f != e->file ? f < e->file : fd < e->fd;
}

static struct ep_entry *entry_find(struct epoll *ep, struct file *f, int fd) MUST_HOLD(&ep->lock)
{
	struct rb_node *n = ep->entries.root;

	while (n) {
		struct ep_entry *e = container_of(n, struct ep_entry, node);

		if (e->file == f && e->fd == fd)
			return e;
		n = n->child[!entry_before(f, fd, e)];
	}
	return NULL;
}

static void entry_insert(struct epoll *ep, struct ep_entry *e) MUST_HOLD(&ep->lock)
{
	struct rb_node **link = &ep->entries.root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->child[!entry_before(e->file, e->fd, container_of(parent, struct ep_entry, node))];
	}
	rb_insert(&ep->entries, &e->node, parent, link);
}

static void make_ready(struct ep_entry *e)
{
	struct epoll *ep = e->ep;
	u64 irq = spin_lock_irq(&ep->ready_lock);
	bool add = (e->events & ~PRIVATE_BITS) && !list_linked(&e->ready);

	if (add)
		list_push_back(&ep->ready, &e->ready);
	spin_unlock_irq(&ep->ready_lock, irq);
}

static void wake_waiters(struct epoll *ep)
{
	waitq_wake(&ep->wait, 1, POLLIN);
	if (waitq_active(&ep->poll_wait))
		waitq_wake(&ep->poll_wait, ~0u, POLLIN | POLLRDNORM);
}

/*
 * The target's queue was woken; any context, its lock (rank WAITQ) held: the
 * ready list's lock is ordered after it, the epoll's own queues are nested.
 */
static bool entry_wake(struct waiter *w, u32 key)
{
	struct ep_hook *h = container_of(w, struct ep_hook, waiter);
	struct ep_entry *e = h->entry;

	if (key != ~0u && !(key & READ_ONCE(e->events)))	/* POLLERR, POLLHUP are in there unless a one-shot is used up */
		return false;
	make_ready(e);
	waitq_wake_nested(&e->ep->wait, 1, POLLIN);
	if (waitq_active(&e->ep->poll_wait))
		waitq_wake_nested(&e->ep->poll_wait, ~0u, POLLIN | POLLRDNORM);
	return true;
}

struct hook_table {
	struct poll_table pt;
	struct ep_entry *entry;
};

static void hook_add(struct poll_table *pt, struct waitq *q)
{
	struct ep_entry *e = container_of(pt, struct hook_table, pt)->entry;

	if (e->nhooks == MAX_QUEUES)
		return;
	struct ep_hook *h = &e->hooks[e->nhooks++];

	waiter_init(&h->waiter);
	h->waiter.wake = entry_wake;
	h->waiter.exclusive = e->events & EPOLLEXCLUSIVE;
	h->entry = e;
	h->queue = q;
	waitq_add(q, &h->waiter);
}

static u32 entry_poll(struct ep_entry *e)
{
	return file_poll(e->file, NULL) & e->events & ~PRIVATE_BITS;
}

static void entry_unhook(struct ep_entry *e)
{
	for (u32 i = 0; i < e->nhooks; i++)
		waitq_remove(e->hooks[i].queue, &e->hooks[i].waiter);
	e->nhooks = 0;
}

/* Takes the entry out of everything and frees it. */
static void entry_destroy(struct epoll *ep, struct ep_entry *e) MUST_HOLD(&big_lock) MUST_HOLD(&ep->lock)
{
	entry_unhook(e);
	u64 irq = spin_lock_irq(&ep->ready_lock);

	list_remove(&e->ready);
	spin_unlock_irq(&ep->ready_lock, irq);
	rb_remove(&ep->entries, &e->node);
	list_remove(&e->by_file);
	slab_free(entry_cache, e);
}

/* --- control ---------------------------------------------------------------- */

/* Entries come and go under big_lock and ep->lock: either is enough to look at them. */
static struct rb_node *entries_first(struct epoll *ep) MUST_HOLD(&big_lock) NO_LOCK_ANALYSIS
{
	return rb_first(&ep->entries);
}

/* Depth of the epoll graph below ep; > MAX_NESTS or meeting `avoid` means a loop, too deep or too many. */
static u32 graph_depth(struct epoll *ep, struct epoll *avoid, u32 depth, u32 *visits) MUST_HOLD(&big_lock)
{
	u32 deepest = depth;

	if (ep == avoid || depth > MAX_NESTS || ++*visits > MAX_VISITS)
		return MAX_NESTS + 1;
	for (struct rb_node *n = entries_first(ep); n; n = rb_next(n)) {
		struct epoll *below = file_epoll(container_of(n, struct ep_entry, node)->file);

		if (below)
			deepest = MAX(deepest, graph_depth(below, avoid, depth + 1, visits));
		if (deepest > MAX_NESTS)
			break;
	}
	return deepest;
}

/* The longest chain of epoll files that watch ep; wake-ups climb it by recursion, so it has to be short as well. */
static u32 graph_height(struct epoll *ep, u32 height, u32 *visits) MUST_HOLD(&big_lock)
{
	struct watchers *w = ep->file->epolls;
	u32 highest = height;
	struct ep_entry *e;

	if (height > MAX_NESTS || ++*visits > MAX_VISITS)
		return MAX_NESTS + 1;
	if (!w)
		return height;
	list_for_each(e, &w->entries, by_file) {
		highest = MAX(highest, graph_height(e->ep, height + 1, visits));
		if (highest > MAX_NESTS)
			break;
	}
	return highest;
}

static int watch_file(struct file *f, struct ep_entry *e) MUST_HOLD(&big_lock)
{
	struct watchers *w = f->epolls;

	if (!w) {
		w = kmalloc(sizeof(*w));
		if (!w)
			return -ENOMEM;
		list_init(&w->entries);
		WRITE_ONCE(f->epolls, w);
	}
	list_push_back(&w->entries, &e->by_file);
	return 0;
}

static int entry_add(struct epoll *ep, int fd, struct file *target, const struct epoll_event_k *ev)
	MUST_HOLD(&big_lock) MUST_HOLD(&ep->lock)
{
	struct ep_entry *e = slab_zalloc(entry_cache);
	int err;

	if (!e)
		return -ENOMEM;
	e->ep = ep;
	e->file = target;
	e->fd = fd;
	e->events = ev->events | POLLERR | POLLHUP;
	e->data = ev->data;
	list_init(&e->ready);
	err = watch_file(target, e);
	if (err) {
		slab_free(entry_cache, e);
		return err;
	}
	entry_insert(ep, e);
	struct hook_table ht = { .pt = { .add = hook_add }, .entry = e };

	if (file_poll(target, &ht.pt) & e->events & ~PRIVATE_BITS) {
		make_ready(e);
		wake_waiters(ep);
	}
	return 0;
}

static int entry_modify(struct epoll *ep, struct ep_entry *e, const struct epoll_event_k *ev) MUST_HOLD(&ep->lock)
{
	if ((e->events | ev->events) & EPOLLEXCLUSIVE)
		return -EINVAL;
	u64 irq = spin_lock_irq(&ep->ready_lock);

	e->events = ev->events | POLLERR | POLLHUP;
	spin_unlock_irq(&ep->ready_lock, irq);
	e->data = ev->data;
	if (entry_poll(e)) {
		make_ready(e);
		wake_waiters(ep);
	}
	return 0;
}

static int check_target(struct epoll *ep, u32 op, struct file *target, const struct epoll_event_k *ev) MUST_HOLD(&big_lock)
{
	struct epoll *inner = file_epoll(target);
	u32 visits = 0;

	if (ev && (ev->events & EPOLLEXCLUSIVE)) {
		if (op == 3 || inner || (ev->events & ~EXCLUSIVE_OK))
			return -EINVAL;
	}
	if (op == 1 && inner && graph_depth(inner, ep, 1, &visits) + graph_height(ep, 0, &visits) > MAX_NESTS)
		return -ELOOP;
	return 0;
}

int epoll_control(struct file *epf, u32 op, int fd, struct file *target, const struct epoll_event_k *ev)
{
	struct epoll *ep = file_epoll(epf);
	struct ep_entry *e;

	if (!target->ops->poll)
		return -EPERM;
	if (!ep || target == epf)
		return -EINVAL;
	GUARD_MUTEX(&big_lock);
	int err = check_target(ep, op, target, op == 2 ? NULL : ev);

	if (err)
		return err;
	mutex_lock_nested(&ep->lock);
	e = entry_find(ep, target, fd);
	switch (op) {
	case 1:
		err = e ? -EEXIST : entry_add(ep, fd, target, ev);
		break;
	case 2:
		err = e ? 0 : -ENOENT;
		if (e)
			entry_destroy(ep, e);
		break;
	case 3:
		err = e ? entry_modify(ep, e, ev) : -ENOENT;
		break;
	default:
		err = -EINVAL;
	}
	mutex_unlock(&ep->lock);
	return err;
}

/* vfs: last reference of a file that was watched. */
void epoll_file_closed(struct file *f)
{
	struct watchers *w;
	struct ep_entry *e, *tmp;

	GUARD_MUTEX(&big_lock);
	w = f->epolls;
	if (!w)
		return;
	list_for_each_safe(e, tmp, &w->entries, by_file) {
		struct epoll *ep = e->ep;

		mutex_lock_nested(&ep->lock);
		entry_destroy(ep, e);
		mutex_unlock(&ep->lock);
	}
	f->epolls = NULL;
	kfree(w);
}

/* --- waiting ----------------------------------------------------------------- */

static struct ep_entry *take_ready(struct epoll *ep)
{
	GUARD_IRQ(&ep->ready_lock);
	struct ep_entry *e = list_first(&ep->ready, struct ep_entry, ready);

	if (e)
		list_remove(&e->ready);
	return e;
}

static void put_back(struct epoll *ep, struct list *again)
{
	GUARD_IRQ(&ep->ready_lock);
	list_splice_back(&ep->ready, again);
}

static void keep(struct epoll *ep, struct ep_entry *e, struct list *again)
{
	GUARD_IRQ(&ep->ready_lock);
	if (!list_linked(&e->ready))
		list_push_back(again, &e->ready);
}

/*
 * One step of a harvest: what becomes of the entry that was reported last (a one-shot is silent until EPOLL_CTL_MOD, an
 * edge-triggered one until it is woken), and the next one.  NULL: none, or no more wanted; those kept are ready again.
 */
static struct ep_entry *next_ready(struct epoll *ep, struct ep_entry *reported, struct list *again, bool more)
{
	GUARD_IRQ(&ep->ready_lock);
	struct ep_entry *e = more ? list_first(&ep->ready, struct ep_entry, ready) : NULL;

	if (reported && reported->events & EPOLLONESHOT)
		reported->events &= PRIVATE_BITS;
	else if (reported && !(reported->events & EPOLLET) && !list_linked(&reported->ready))
		list_push_back(again, &reported->ready);
	if (e)
		list_remove(&e->ready);
	else
		list_splice_back(&ep->ready, again);
	return e;
}

/* Reports up to max events.  Count or -EFAULT when the very first could not be copied. */
static i64 harvest(struct epoll *ep, uptr_t out, u32 max)
{
	struct list again = LIST_INIT(again);
	struct ep_entry *e, *reported = NULL;
	bool more = true;
	i64 n = 0;

	mutex_lock(&ep->lock);
	while ((e = next_ready(ep, reported, &again, more))) {
		struct epoll_event_k ev = { entry_poll(e), e->data };

		reported = NULL;
		if (!ev.events)
			continue;
		if (user_put(uptr_add(out, (u64)n * sizeof(ev)), &ev)) {
			make_ready(e);
			n = n ? n : -EFAULT;
			more = false;
			continue;
		}
		reported = e;
		more = ++n < max;
	}
	mutex_unlock(&ep->lock);
	return n;
}

static bool has_ready(struct epoll *ep)
{
	return !list_empty_hint(&ep->ready);
}

i64 epoll_wait_user(struct file *epf, uptr_t events, u32 max, u64 deadline_ns)
{
	struct epoll *ep = file_epoll(epf);

	if (!ep)
		return -EINVAL;
	for (;;) {
		if (has_ready(ep)) {
			i64 n = harvest(ep, events, max);

			if (n) {
				if (has_ready(ep) && waitq_active(&ep->wait))
					waitq_wake(&ep->wait, 1, POLLIN);
				return n;
			}
		}
		if (deadline_ns <= clock_mono_ns())
			return 0;
		int err = WAIT_LOOP_(&ep->wait, has_ready(ep), THREAD_SLEEP_INTR, true, deadline_ns);

		if (err)
			return err == -ETIMEDOUT ? 0 : -EINTR;
	}
}

/* An epoll file is readable when one of its entries really has something. */
static u32 epoll_poll(struct file *f, struct poll_table *pt)
{
	struct epoll *ep = f->priv;
	u32 ev = 0;

	poll_wait(pt, &ep->poll_wait);
	if (!has_ready(ep))
		return 0;
	struct list again = LIST_INIT(again);
	struct ep_entry *e;

	mutex_lock_nested(&ep->lock);
	while (!ev && (e = take_ready(ep))) {
		if (entry_poll(e)) {
			ev = POLLIN | POLLRDNORM;
			keep(ep, e, &again);
		}
	}
	put_back(ep, &again);
	mutex_unlock(&ep->lock);
	/* An epoll_wait() that looked while the list was ours went to sleep. */
	if (ev && waitq_active(&ep->wait))
		waitq_wake(&ep->wait, 1, POLLIN);
	return ev;
}

static void epoll_fdinfo(struct file *f, struct seq *s)
{
	struct epoll *ep = f->priv;

	GUARD_MUTEX(&ep->lock);
	for (struct rb_node *n = rb_first(&ep->entries); n; n = rb_next(n)) {
		struct ep_entry *e = container_of(n, struct ep_entry, node);

		seq_printf(s, "tfd: %8d events: %8x data: %16llx  pos:%lli ino:%llx sdev:%llx\n", e->fd, e->events,
			   (unsigned long long)e->data, (long long)e->file->pos,
			   (unsigned long long)(e->file->vnode ? e->file->vnode->ino : 0), 0ull);
	}
}

static void epoll_release(struct file *f)
{
	struct epoll *ep = f->priv;
	struct rb_node *n;

	mutex_lock(&big_lock);
	mutex_lock_nested(&ep->lock);
	while ((n = rb_first(&ep->entries)))
		entry_destroy(ep, container_of(n, struct ep_entry, node));
	mutex_unlock(&ep->lock);
	mutex_unlock(&big_lock);
	kfree(ep);
}

static const struct file_ops epoll_fops = { .poll = epoll_poll, .show_fdinfo = epoll_fdinfo, .release = epoll_release };

int epoll_create_file(struct file **out)
{
	struct epoll *ep = kzalloc(sizeof(*ep));

	if (!ep)
		return -ENOMEM;
	mutex_init(&ep->lock, LR_EPOLL);
	spin_init(&ep->ready_lock, LR_EPOLL_READY);
	spin_unshared(&ep->ready_lock);
	list_init(&ep->ready);
	waitq_init(&ep->wait);
	waitq_init(&ep->poll_wait);
	*out = file_create_anon(&epoll_fops, "anon_inode:[eventpoll]", FILE_READ | FILE_WRITE | FILE_STREAM, 2, ep);
	if (!*out) {
		kfree(ep);
		return -ENOMEM;
	}
	ep->file = *out;
	return 0;
}

void epoll_init(void)
{
	mutex_init(&big_lock, LR_EPOLL);
	entry_cache = slab_cache_create("epoll", sizeof(struct ep_entry), 0);
	file_epoll_hook = epoll_file_closed;
}
