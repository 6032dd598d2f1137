/*
 * The life of an address space: NEW -> IN USE (users > 0) -> EMPTY (torn down by
 * the last user, still pinned by refs) -> freed.
 *
 * S1  While users > 0 the users together hold one reference.
 * S2  An EMPTY space has no areas and no tables but its root, and is loaded on no
 *     CPU, not even lazily.
 */
#include <arch/cpu.h>
#include <base/bitmap.h>
#include <sched/sched.h>
#include <vm/audit.h>
#include <vm/verify.h>

#include "vm.h"

spinlock_t aspace_all_lock = SPINLOCK_INIT(LR_AUDIT);
struct list aspace_all = LIST_INIT(aspace_all);
static struct slab_cache *aspace_cache;
static atomic64_t last_id;

static void no_file(void *file)
{
}

static u64 cycles_random(void)
{
	return hash_u64(cpu_cycles() ^ (u64)atomic64_read(&last_id) << 48);
}

struct vm_file_hooks vm_file_hooks = { .get = no_file, .put = no_file };
u64 (*vm_random_u64)(void) = cycles_random;

u64 vm_new_id(void)
{
	return (u64)atomic64_add(&last_id, 1);
}

void vm_init(void)
{
	pgtable_init();
	area_init();
	pagecache_init();
	image_init();
	huge_init();
	aspace_cache = slab_cache_create("aspace", sizeof(struct aspace), 0);
	vm_zero_page = page_alloc(0, PAGE_KERNEL, ALLOC_ZERO);
	VERIFY(vm_zero_page);
	sched_aspace_switch = aspace_switch;
}

static void set_defaults(struct aspace *as)
{
	rwlock_init(&as->lock, LR_ASPACE);
	spin_init(&as->pgt_lock, LR_PGTABLE);
	ref_init(&as->refs);
	atomic_set(&as->users, 1);
	as->id = vm_new_id();
	atomic64_set(&as->table_pages, 1);
	as->mmap_base = USER_TOP - HUGE_SIZE * 64;
	as->stack_limit = as->data_limit = as->as_limit = as->memlock_limit = ~0ull;
	as->dumpable = 1;
}

static void space_free(struct aspace *as)
{
	if (as->cpus != &as->cpus_inline)
		kfree(as->cpus);
	slab_free(aspace_cache, as);
}

static void list_space(struct aspace *as)
{
	GUARD_SPIN(&aspace_all_lock);
	list_push_back(&aspace_all, &as->link);
}

static void unlist_space(struct aspace *as)
{
	GUARD_SPIN(&aspace_all_lock);
	list_remove(&as->link);
}

/* A pinned space stays on the list, so its neighbour can be found from it. */
struct aspace *aspace_next(struct aspace *prev)
{
	struct aspace *as = NULL;
	struct list *l;

	spin_lock(&aspace_all_lock);
	for (l = prev ? prev->link.next : aspace_all.next; l != &aspace_all; l = l->next) {
		as = container_of(l, struct aspace, link);
		if (load_acquire(&as->ran) && ref_try_get(&as->refs))
			break;
	}
	spin_unlock(&aspace_all_lock);
	if (prev)
		aspace_put(prev);
	return l != &aspace_all ? as : NULL;
}

struct aspace *space_create(struct area_set *set)
{
	struct aspace *as = slab_alloc(aspace_cache);
	u32 words = BITMAP_WORDS(cpu_count());
	struct page *root;

	if (!as)
		return NULL;
	memset(as, 0, set ? offsetof(struct aspace, auxv) : sizeof(*as));
	as->cpus = words > 1 ? kzalloc(words * sizeof(u64)) : &as->cpus_inline;
	root = as->cpus ? pgtable_root_alloc() : NULL;
	if (root && !set)
		set = area_set_create();
	if (!root || !set) {
		if (root)
			pgtable_root_free(root);
		space_free(as);
		return NULL;
	}
	as->root = page_to_pfn(root);
	set_defaults(as);
	area_set_join(set, as);
	list_space(as);
	return as;
}

struct aspace *aspace_create(void)
{
	return space_create(NULL);
}

struct aspace *aspace_get(struct aspace *as)
{
	ref_get(&as->refs);
	return as;
}

void aspace_put(struct aspace *as)
{
	if (!ref_put(&as->refs))
		return;
	rwlock_unshared(&as->lock);
	VERIFY(!as->areas.root && !pfn_to_page(as->root)->used);	/* inv. S2 */
	unlist_space(as);
	pgtable_root_free(pfn_to_page(as->root));
	space_free(as);
}

void aspace_use(struct aspace *as)
{
	VERIFY(atomic_add(&as->users, 1) > 1);
}

bool aspace_try_use(struct aspace *as)
{
	return atomic_inc_unless_zero(&as->users);
}

/*
 * Nobody runs here any more, so one round of tlb_leave() stands for every flush.
 * Areas leave their objects before the tables go: rmap walks only linked ones.
 */
static void aspace_teardown(struct aspace *as)
{
	struct list dead = LIST_INIT(dead);
	void *exe;

	ASSERT(thread_current()->aspace != as);
	rwlock_write(&as->lock);
	tlb_leave(as);
	huge_space_forget(as);
	if (unlikely(as->asked))
		fork_unlearn(as);
	area_unlink_all(as, &dead);
	image_tables_end(as);
	pgtable_destroy(as);
	image_space_end(as);
	exe = as->exe_file;
	as->exe_file = NULL;
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	if (exe)
		vm_file_hooks.put(exe);
}

void aspace_unuse(struct aspace *as)
{
	if (!atomic_dec_is_zero(&as->users))
		return;
	verify_exit(as);
	audit_space(as, "exit");
	aspace_teardown(as);
	aspace_put(as);					/* inv. S1 */
}

/* --- brk ------------------------------------------------------------------- */

static int brk_grow(struct aspace *as, u64 from, u64 to, u64 want, struct list *dead) MUST_HOLD(&as->lock)
{
	struct area like = { .start = from, .end = to,
			     .flags = VM_READ | VM_WRITE | VM_MAY | VM_HEAP | as->def_flags };
	struct area *a = area_find(as, from);
	int err;

	if (to < from || to > USER_TOP || (a && area_low_guard(a) < to))
		return -ENOMEM;
	if (want - as->brk_start + (as->data_end - as->data_start) > as->data_limit)
		return -ENOMEM;
	err = map_check_limits(as, (to - from) >> PAGE_SHIFT, like.flags);
	if (!err && as->nareas >= VM_MAX_AREAS)
		err = -ENOMEM;
	return err ? err : map_insert(as, &like, dead);
}

u64 aspace_brk(struct aspace *as, u64 want)
{
	struct list dead = LIST_INIT(dead);
	u64 was, old, new = ALIGN_UP(want, PAGE_SIZE);
	bool fill = false;
	int err = 0;

	if (want < as->brk_start)		/* a question; the start stays as exec set it */
		return READ_ONCE(as->brk);
	rwlock_write(&as->lock);
	was = as->brk;
	old = ALIGN_UP(was, PAGE_SIZE);
	err = areas_own(as, &dead);
	if (err) {
		/* the break stays where it is */
	} else if (new > old || new < want) {
		err = brk_grow(as, old, new, want, &dead);
		fill = !err && (as->def_flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED;
	} else if (new < old) {
		err = map_remove(as, new, old, &dead);
	}
	if (!err)
		as->brk = want;
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	if (fill)
		aspace_populate(as, old, new - old);
	return err ? was : want;
}
