/*
 * Address spaces.
 *
 * An aspace is a sorted set of areas plus a page table.  Areas of the same
 * kind merge.  as->lock (rank ASPACE) guards the areas: shared to look one up,
 * exclusive to change; gen counts changes so that a fault that slept notices.
 * Entries are changed under the page table's lock; frames and tables that were
 * mapped are freed only through struct gather (vm/gather.h).
 */
#pragma once

#include <base/rbtree.h>
#include <sched/futex.h>
#include <sched/mutex.h>
#include <vm/object.h>

#define VM_READ	     (1u << 0)
#define VM_WRITE     (1u << 1)
#define VM_EXEC	     (1u << 2)
#define VM_SHARED    (1u << 3)
#define VM_GROWSDOWN (1u << 4)
#define VM_LOCKED    (1u << 5)
#define VM_DONTFORK  (1u << 6)
#define VM_WIPEFORK  (1u << 7)
#define VM_MAYWRITE  (1u << 8)	/* mprotect may add WRITE (shared mapping of a writable descriptor) */
#define VM_HUGE	     (1u << 9)	/* MADV_HUGEPAGE */
#define VM_NOHUGE    (1u << 10)
#define VM_NORESERVE (1u << 11)
#define VM_STACK     (1u << 12)	/* /proc names */
#define VM_HEAP	     (1u << 13)
#define VM_VDSO	     (1u << 14)	/* [vvar], or with MAYEXEC [vdso] */
#define VM_DONTDUMP  (1u << 15)
#define VM_MAYEXEC   (1u << 16)
#define VM_MAYREAD   (1u << 17)
#define VM_LOCKONFAULT (1u << 18)	/* with VM_LOCKED: mlock2(MLOCK_ONFAULT) */
#define VM_PROT	     (VM_READ | VM_WRITE | VM_EXEC)
#define VM_MAY	     (VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)

struct vm_image;
struct area_set;

struct area {
	struct rb_node node;
	struct list object_link;	/* obj->areas */
	struct area_set *set;		/* the spaces that have it (areaset.c).  As start and end */
	u64 start, end;			/* page-aligned, [start, end) */
	u64 sub_low, sub_end, sub_gap;	/* of the subtree, while the space is indexed (gap.c, inv. A5).  lock exclusive */
	u32 flags;			/* VM_* */
	struct vm_object *obj;		/* NULL: private anonymous.  Holds a reference through get_owner/put_owner */
	u64 off;			/* byte offset in obj of start, page-aligned */
	u64 file_end;			/* private file areas: address past which pages are zero-filled anonymous (0: none).  ELF .bss tail:
					   bytes in [file_end, page end) of the last file page are zero in the private copy */
	void *file;			/* struct file for /proc/maps and permissions (opaque; held by file_get/put hooks), or NULL */
};

struct aspace {
	rwlock_t lock;			/* rank ASPACE */
	struct rb_tree areas GUARDED_BY(&lock);
	struct area_set *set;		/* spaces with the same areas, until one changes them.  lock exclusive to change */
	struct list set_link;		/* under the set's lock */
	struct area *last_hit;		/* cache: guarded by lock exclusive, or any when valid under shared */
	u64 gen GUARDED_BY(&lock);
	u64 hint_base, hint_top, hint_hole;	/* of the search for a hole (gap.c, inv. A4).  lock exclusive */
	refcount_t refs;		/* users of the struct (pins) */
	u32 lessons;			/* copies on write that the next fork is still to learn from; atomic */
	bool asked;			/* at its end it is looked at which of the pages copied early it wrote; const after fork */
	atomic_t users;			/* threads that run in it: at 0 it is torn down */
	pfn_t root;			/* top table; const after create */
	spinlock_t pgt_lock;		/* rank PGTABLE: table structure and entries */
	u64 id;				/* never reused; tag of PCID schemes */
	u64 *cpus;			/* bitmap, atomic: CPUs that may hold translations */
	u64 brk_start, brk, stack_top, mmap_base, stack_limit;
	u64 arg_start, arg_end, env_start, env_end, code_start, code_end, data_start, data_end;
	u64 nareas GUARDED_BY(&lock), total_pages, locked_pages;
	u64 data_pages GUARDED_BY(&lock);	/* private writable, not stack: what RLIMIT_DATA limits */
	u64 nofork GUARDED_BY(&lock);	/* areas with VM_DONTFORK or VM_WIPEFORK */
	u32 def_flags GUARDED_BY(&lock);	/* VM_LOCKED | VM_LOCKONFAULT after mlockall(MCL_FUTURE) */
	u64 cpus_inline;		/* storage of cpus on machines of up to 64 CPUs */
	atomic64_t anon_pages, file_pages, shmem_pages;	/* resident, as of the last aspace_rss_pages(); exact numbers live in the leaf tables */
	atomic64_t table_pages;		/* page-table frames */
	u64 rss;			/* pgt_lock: running estimate, for peak_rss */
	u64 nhuge;			/* pgt_lock to write: 2 MiB entries (vm/huge.c); read anywhere as a hint */
	u64 peak_rss, peak_total;
	u64 data_limit, as_limit, memlock_limit;			/* rlimits, copied in by proc */
	atomic64_t min_faults, maj_faults;
	void *exe_file;			/* struct file, opaque; vm_file_hooks */
	/* The program's and its interpreter's, while their entries may be in the tables.  Const while there are users. */
	struct { struct vm_image *image; u64 bias; } images[2];
	u32 dumpable;
	struct list huge_link;		/* khuge.c's list, under its lock, with huge_listed */
	u64 huge_cursor;		/* where the background collapse goes on; its own */
	bool huge_listed;
	u32 no_huge;			/* bool: PR_SET_THP_DISABLE; read anywhere */
	struct list link;		/* aspace_all, under its lock */
	bool ran;			/* set by the first switch to it: until then fork and exec fill it, without its locks */
	u32 membarrier;			/* MEMBARRIER_CMD_REGISTER_* made so far; atomic (abi) */
	u64 auxv[2 * 24];		/* as put on the stack, for /proc/PID/auxv.  Last: fork fills it, space_create() need not */
};

/* vfs tells vm how to hold a file that a mapping names. */
struct vm_file_hooks {
	void (*get)(void *file);
	void (*put)(void *file);	/* may sleep; called with no lock held */
};
extern struct vm_file_hooks vm_file_hooks;

void vm_init(void);
/* An empty space with users == 1, refs == 1.  NULL: no memory. */
MUST_USE struct aspace *aspace_create(void);
struct aspace *aspace_get(struct aspace *as);
void aspace_put(struct aspace *as);
void aspace_use(struct aspace *as);		/* users + 1 (CLONE_VM) */
MUST_USE bool aspace_try_use(struct aspace *as);	/* false: the last user is gone */
/* Goes through all spaces that ever ran: the next one, pinned, or NULL.  Drops the pin of prev (NULL: from the first on). */
MUST_USE struct aspace *aspace_next(struct aspace *prev);
/*
 * users - 1; the last unmaps everything (sleeps) and drops the one reference that the users hold
 * together: no aspace_put() after it.  The caller's thread->aspace must not be as any more.
 */
void aspace_unuse(struct aspace *as);
void aspace_switch(void *prev, void *next);	/* for sched_aspace_switch; interrupts off */
/* Addresses whose pages both sides of a fork are about to write. */
#define FORK_WRITES 2u
struct fork_writes {
	u64 at[FORK_WRITES];
	u32 n;
};
/*
 * fork: copy-on-write duplicate of the current space; what w (or NULL) names is copied at once if it can be.
 * 0, -ENOMEM (nothing changed).
 */
MUST_USE int aspace_fork(struct aspace *from, const struct fork_writes *w, struct aspace **out);

/*
 * VM_MAY* say what mprotect may grant later: for a file mapping the caller sets
 * them (a shared mapping of a read-only descriptor has no VM_MAYWRITE); none
 * set means all.  What VM_PROT grants now is always included, and a private
 * mapping may always become writable.
 */
struct map_request {
	u64 addr;		/* hint, or the place when fixed */
	u64 len;		/* > 0; rounded up */
	u32 flags;		/* VM_* */
	bool fixed, noreplace, populate;
	bool below_4g;		/* MAP_32BIT: in the first 2 GiB */
	bool allow_low;		/* may map below mmap_min_addr (CAP_SYS_RAWIO) */
	struct vm_object *obj;	/* NULL: anonymous (shared anonymous: caller makes an object) */
	u64 off;
	u64 file_end;		/* see struct area */
	void *file;
};
/* Address, or -EINVAL, -ENOMEM, -EEXIST (noreplace), -EPERM, -EAGAIN (VM_LOCKED past RLIMIT_MEMLOCK). */
MUST_USE i64 aspace_map(struct aspace *as, const struct map_request *rq);
MUST_USE int aspace_unmap(struct aspace *as, u64 addr, u64 len);		/* -EINVAL, -ENOMEM (split) */
MUST_USE int aspace_protect(struct aspace *as, u64 addr, u64 len, u32 prot, bool growsdown);	/* -EINVAL -ENOMEM -EACCES */
MUST_USE i64 aspace_remap(struct aspace *as, u64 old, u64 old_len, u64 new_len, u32 flags, u64 new_addr);	/* MREMAP_* */
MUST_USE int aspace_advise(struct aspace *as, u64 addr, u64 len, int advice);
MUST_USE int aspace_sync(struct aspace *as, u64 addr, u64 len, int flags);
MUST_USE int aspace_mincore(struct aspace *as, u64 addr, u64 len, uptr_t vec);
MUST_USE int aspace_lock_range(struct aspace *as, u64 addr, u64 len, bool lock, bool on_fault);
MUST_USE int aspace_lock_all(struct aspace *as, int flags);
u64 aspace_brk(struct aspace *as, u64 want);	/* the new or unchanged break, as brk(2) */
/* Faults pages in ahead of use (populate, eager exec).  Stops at the first that cannot be had. */
void aspace_populate(struct aspace *as, u64 addr, u64 len);

/* Copies the area that covers addr (or the next one above, exact == false) for /proc and checks.  -ENOENT. */
MUST_USE int aspace_area_at(struct aspace *as, u64 addr, bool exact, struct area *out);
/* As aspace_area_at(exact == false) with no lock: crash reports, when nobody runs any more. */
MUST_USE int aspace_area_peek(struct aspace *as, u64 addr, struct area *out);
/* As aspace_area_at(exact == false), with a reference on out->file (vm_file_hooks), which is the caller's to drop. */
MUST_USE int aspace_area_hold(struct aspace *as, u64 addr, struct area *out);
struct area_usage { u64 pss_dirty, pss_anon, pss_file, pss_shmem, rss, pss, shared_clean, shared_dirty, private_clean, private_dirty, anon, huge, file_huge, referenced, locked; };	/* bytes */
void aspace_area_usage(struct aspace *as, u64 start, u64 end, struct area_usage *out);
u64 aspace_rss_pages(struct aspace *as);		/* counts the resident pages and refreshes anon_pages, file_pages, shmem_pages */
/* The same sequence numbers name spaces and objects: keys of futexes never mix them up. */
u64 vm_new_id(void);
/* Other process' memory (/proc/PID/mem, process_vm_readv, ptrace).  Bytes moved (short at the first bad page) or -EIO.
 * force: ptrace's right to break write protection of private pages. */
MUST_USE i64 aspace_access(struct aspace *as, u64 addr, void *kbuf, u64 len, bool write, bool force);
/* Kernel-side start of a page of user memory: new page reference, writable copy if write.  -EFAULT, -ENOMEM. */
MUST_USE int aspace_pin_page(struct aspace *as, u64 addr, bool write, struct page **out);
MUST_USE int vm_futex_key(uptr_t uaddr, bool shared, struct futex_key *out);	/* current space; -EFAULT, -EINVAL (unaligned) */
/* The current thread's space (user threads only). */
static inline struct aspace *aspace_current(void) { return thread_current()->aspace; }
/* Raw leaf entry and its level for va (1: a 2 MiB entry, whose frame is the head of its block); .v == 0 when absent. */
pte_t pgtable_lookup_entry(struct aspace *as, u64 va, u32 *level);
/* Random placement: page-aligned offsets for stack, mmap and PIE; 0 with ADDR_NO_RANDOMIZE. */
extern u64 (*vm_random_u64)(void);	/* set by dev's generator */
