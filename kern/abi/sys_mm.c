/* Memory: mmap and its kin.  The rules of areas are vm's; here is what the arguments mean. */
#include <proc/profile.h>
#include <sched/sched.h>
#include "abi.h"

#define READ_IMPLIES_EXEC 0x0400000u
#define PROT_KNOWN	  (PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)
#define MAP_TYPE	  0xfull
#define MAP_LEGACY	  (MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | \
			   MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
			   MAP_HUGETLB | MAP_32BIT | MAP_FIXED_NOREPLACE | 0x4000000ull)
_Static_assert(VM_READ == PROT_READ && VM_WRITE == PROT_WRITE && VM_EXEC == PROT_EXEC, "protection bits are used as they are");

static u32 prot_to_vm(struct task *self, u64 prot)
{
	u32 vm = (u32)prot & VM_PROT;

	if ((vm & VM_READ) && (self->personality & READ_IMPLIES_EXEC))
		vm |= VM_EXEC;
	return vm;
}

/* Whether the task may lock len more bytes at all: mlock's own checks come before vm's. */
int mlock_check(struct task *self, u64 len)
{
	struct aspace *as = aspace_current();

	if (is_cap(self, CAP_IPC_LOCK))
		return 0;
	if (!READ_ONCE(as->memlock_limit))
		return -EPERM;
	if (READ_ONCE(as->locked_pages) * PAGE_SIZE + len > READ_ONCE(as->memlock_limit))
		return -ENOMEM;
	return 0;
}

static int map_flags(struct task *self, struct map_request *rq, u64 prot, u64 flags)
{
	rq->flags = prot_to_vm(self, prot);
	rq->fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	rq->noreplace = flags & MAP_FIXED_NOREPLACE;
	rq->below_4g = flags & MAP_32BIT;
	rq->allow_low = is_cap(self, CAP_SYS_RAWIO);
	rq->populate = (flags & MAP_LOCKED) || ((flags & MAP_POPULATE) && !(flags & MAP_NONBLOCK));
	if (flags & MAP_NORESERVE)
		rq->flags |= VM_NORESERVE;
	if (flags & MAP_GROWSDOWN)
		rq->flags |= VM_GROWSDOWN;
	if (flags & MAP_LOCKED) {
		if (!is_cap(self, CAP_IPC_LOCK) && !READ_ONCE(aspace_current()->memlock_limit))
			return -EPERM;
		rq->flags |= VM_LOCKED;
	}
	return 0;
}

static i64 map_anonymous(struct aspace *as, struct map_request *rq, u64 flags)
{
	i64 addr;

	rq->flags |= VM_MAY;
	rq->off = 0;
	switch (flags & MAP_TYPE) {
	case MAP_PRIVATE:
		return aspace_map(as, rq);
	case MAP_SHARED:
		break;
	default:
		return -EINVAL;
	}
	if (flags & MAP_GROWSDOWN)
		return -EINVAL;
	rq->flags |= VM_SHARED;
	rq->obj = vm_object_create_anon(rq->len);
	if (!rq->obj)
		return -ENOMEM;
	addr = aspace_map(as, rq);
	vm_object_put(rq->obj);		/* the area has its own reference */
	return addr;
}

static i64 map_file(struct task *self, struct aspace *as, struct map_request *rq, u64 flags, int fd)
{
	i64 addr;
	int err;

	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (flags & MAP_HUGETLB && !file_is_hugetlb(r.file))
		return -EINVAL;
	switch (flags & MAP_TYPE) {
	case MAP_SHARED_VALIDATE:
		if (flags & ~(u64)(MAP_LEGACY | MAP_TYPE))
			return -EOPNOTSUPP;
		rq->flags |= VM_SHARED;
		break;
	case MAP_SHARED:
		rq->flags |= VM_SHARED;
		break;
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (flags & MAP_GROWSDOWN)
		return -EINVAL;
	rq->file = r.file;
	err = file_mmap(r.file, rq);
	addr = err ? err : aspace_map(as, rq);
	if (addr >= 0 && rq->flags & VM_EXEC)
		profile_mmap(self, (u64)addr);
	return addr;
}

i64 sys_mmap(struct task *self, u64 addr, u64 len, u64 prot, u64 flags, int fd, u64 offset)
{
	struct map_request rq = { .addr = addr, .off = offset };
	int err;

	if (offset & ~PAGE_MASK)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		/* A bad descriptor is told before anything about the length. */
		AUTO_FD r = fd_use(self, fd);

		if (!r.file)
			return -EBADF;
	}
	if (!len)
		return -EINVAL;
	rq.len = ALIGN_UP(len, PAGE_SIZE);
	if (!rq.len || rq.len > USER_TOP)
		return -ENOMEM;
	if (offset + rq.len < offset)
		return -EOVERFLOW;
	if ((flags & MAP_ANONYMOUS) && (flags & MAP_HUGETLB))
		return -ENOMEM;		/* no huge pages are reserved */
	err = map_flags(self, &rq, prot, flags);
	if (err)
		return err;
	if (!rq.fixed)
		rq.addr = ALIGN_DOWN(rq.addr, PAGE_SIZE);
	if (flags & MAP_ANONYMOUS)
		return map_anonymous(aspace_current(), &rq, flags);
	return map_file(self, aspace_current(), &rq, flags, fd);
}

i64 sys_munmap(struct task *self, u64 addr, u64 len)
{
	return aspace_unmap(aspace_current(), addr, len);
}

i64 sys_mprotect(struct task *self, u64 addr, u64 len, u64 prot)
{
	u64 grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);

	if (prot & ~(u64)(PROT_KNOWN | PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (!len)
		return 0;
	if (addr + ALIGN_UP(len, PAGE_SIZE) <= addr)
		return -ENOMEM;
	if (grows & PROT_GROWSUP)
		return -EINVAL;		/* no area grows up on x86 */
	return aspace_protect(aspace_current(), addr, len, prot_to_vm(self, prot), grows);
}

/* Protection keys, on a processor that has none: only key -1, "no key", exists. */
i64 sys_pkey_mprotect(struct task *self, u64 addr, u64 len, u64 prot, int pkey)
{
	return pkey == -1 ? sys_mprotect(self, addr, len, prot) : -EINVAL;
}

i64 sys_pkey_alloc(struct task *self, u64 flags, u64 rights)
{
	return flags || (rights & ~3ull) ? -EINVAL : -ENOSPC;
}

i64 sys_pkey_free(struct task *self, int pkey)
{
	return -EINVAL;
}

i64 sys_brk(struct task *self, u64 brk)
{
	return (i64)aspace_brk(aspace_current(), brk);
}

i64 sys_mremap(struct task *self, u64 addr, u64 old_len, u64 new_len, u64 flags, u64 new_addr)
{
	if (flags & ~(u64)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	old_len = ALIGN_UP(old_len, PAGE_SIZE);
	new_len = ALIGN_UP(new_len, PAGE_SIZE);
	if (!new_len || ((flags & MREMAP_DONTUNMAP) && old_len != new_len))
		return -EINVAL;
	return aspace_remap(aspace_current(), addr, old_len, new_len, (u32)flags, new_addr);
}

i64 sys_madvise(struct task *self, u64 addr, u64 len, int advice)
{
	return aspace_advise(aspace_current(), addr, len, advice);
}

i64 sys_msync(struct task *self, u64 addr, u64 len, int flags)
{
	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || (addr & ~PAGE_MASK))
		return -EINVAL;
	if ((flags & MS_ASYNC) && (flags & MS_SYNC))
		return -EINVAL;
	if (addr + ALIGN_UP(len, PAGE_SIZE) < addr || ALIGN_UP(len, PAGE_SIZE) < len)
		return -ENOMEM;
	return len ? aspace_sync(aspace_current(), addr, len, flags) : 0;
}

i64 sys_mincore(struct task *self, u64 addr, u64 len, uptr_t vec)
{
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (!user_range_ok(UPTR(addr), len))
		return -ENOMEM;
	if (!user_range_ok(vec, DIV_ROUND_UP(len, PAGE_SIZE)))
		return -EFAULT;
	return len ? aspace_mincore(aspace_current(), addr, len, vec) : 0;
}

static i64 lock_range(struct task *self, u64 addr, u64 len, bool on_fault)
{
	u64 start = ALIGN_DOWN(addr, PAGE_SIZE);
	u64 size = ALIGN_UP(len + (addr - start), PAGE_SIZE);
	int err;

	if (size < len)
		return len ? -EINVAL : 0;
	err = mlock_check(self, size);
	if (err || !size)
		return err;
	if (start + size < start)
		return -EINVAL;
	return aspace_lock_range(aspace_current(), start, size, true, on_fault);
}

i64 sys_mlock(struct task *self, u64 addr, u64 len)
{
	return lock_range(self, addr, len, false);
}

i64 sys_mlock2(struct task *self, u64 addr, u64 len, int flags)
{
	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	return lock_range(self, addr, len, flags & MLOCK_ONFAULT);
}

i64 sys_munlock(struct task *self, u64 addr, u64 len)
{
	u64 start = ALIGN_DOWN(addr, PAGE_SIZE);
	u64 size = ALIGN_UP(len + (addr - start), PAGE_SIZE);

	if (start + size < start)
		return -EINVAL;
	return size ? aspace_lock_range(aspace_current(), start, size, false, false) : 0;
}

i64 sys_mlockall(struct task *self, int flags)
{
	struct aspace *as = aspace_current();

	if (!flags || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
		return -EINVAL;
	if (!is_cap(self, CAP_IPC_LOCK)) {
		if (!as->memlock_limit)
			return -EPERM;
		if ((flags & MCL_CURRENT) && READ_ONCE(as->total_pages) * PAGE_SIZE > as->memlock_limit)
			return -ENOMEM;
	}
	return aspace_lock_all(as, flags);
}

i64 sys_munlockall(struct task *self)
{
	return aspace_lock_all(aspace_current(), 0);
}

#define MEMFD_NAME_MAX 249u

i64 sys_memfd_create(struct task *self, uptr_t name, u32 flags)
{
	AUTO(kptr) text = NULL;
	struct file *f = NULL;
	int err;

	if (!memfd_flags_valid(flags))
		return -EINVAL;
	err = user_strdup(name, MEMFD_NAME_MAX + 1, -EINVAL, (char **)&text);
	if (!err)
		err = memfd_create_file(text, flags, &f);
	return err ? err : fd_install_new(self, f, flags & MFD_CLOEXEC);
}

static void fence_here(void *arg)
{
	memory_fence();
}

#define MEMBARRIER_KNOWN (MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED | \
			  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED | \
			  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE | \
			  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)

/* Every form is one interrupt on each other CPU: its return is serialising, so it also synchronises cores. */
i64 sys_membarrier(struct task *self, int cmd, u32 flags, int cpu)
{
	struct aspace *as = aspace_current();

	if (flags)
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return MEMBARRIER_KNOWN;
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		bits_set(&as->membarrier, (u32)cmd);
		return 0;
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
		if (!(READ_ONCE(as->membarrier) & (u32)cmd << 1))
			return -EPERM;
		break;
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
		break;
	default:
		return -EINVAL;
	}
	memory_fence();
	if (cpu_count() > 1)
		smp_call_others(fence_here, NULL);
	memory_fence();
	return 0;
}
