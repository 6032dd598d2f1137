/*
 * Credentials: user and group ids as credentials(7), capabilities as
 * capabilities(7).  Each change edits a private copy and commits it whole.
 */
#include "abi.h"

#define SECBIT_NO_SETUID_FIXUP (1u << 2)
#define NGROUPS_MAX	       65536
#define UNCHANGED	       (~0u)
#define CAP_BIT(c)	       (1ull << (c))
#define CAP_FS_SET	       (CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_MKNOD) | CAP_BIT(CAP_DAC_OVERRIDE) | \
				CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_FSETID) | \
				CAP_BIT(CAP_LINUX_IMMUTABLE) | CAP_BIT(CAP_MAC_OVERRIDE))

i64 sys_getuid(struct task *self)
{
	return self->vfs.cred->uid;
}

i64 sys_geteuid(struct task *self)
{
	return self->vfs.cred->euid;
}

i64 sys_getgid(struct task *self)
{
	return self->vfs.cred->gid;
}

i64 sys_getegid(struct task *self)
{
	return self->vfs.cred->egid;
}

/* What a change of user ids does to the capabilities. */
static void caps_follow_uid(const struct cred *old, struct cred *new)
{
	bool had_root = !old->uid || !old->euid || !old->suid;
	bool has_root = !new->uid || !new->euid || !new->suid;

	if (old->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (had_root && !has_root) {
		if (!old->keep_caps) {
			new->cap_permitted = 0;
			new->cap_effective = 0;
		}
		/* Even with kept capabilities: exec by a plain user is to drop them. */
		new->cap_ambient = 0;
	}
	if (!old->euid && new->euid)
		new->cap_effective = 0;
	if (old->euid && !new->euid)
		new->cap_effective = new->cap_permitted;
}

static i64 commit_uids(struct task *self, struct cred *new)
{
	caps_follow_uid(self->vfs.cred, new);
	task_commit_cred(self, new);
	return 0;
}

i64 sys_setuid(struct task *self, u32 uid)
{
	const struct cred *old = self->vfs.cred;
	struct cred *new;

	if (uid == UNCHANGED)
		return -EINVAL;
	if (!is_cap(self, CAP_SETUID) && uid != old->uid && uid != old->suid)
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (is_cap(self, CAP_SETUID))
		new->uid = new->suid = uid;
	new->euid = new->fsuid = uid;
	return commit_uids(self, new);
}

i64 sys_setreuid(struct task *self, u32 ruid, u32 euid)
{
	const struct cred *old = self->vfs.cred;
	struct cred *new;

	if (!is_cap(self, CAP_SETUID)) {
		if (ruid != UNCHANGED && ruid != old->uid && ruid != old->euid)
			return -EPERM;
		if (euid != UNCHANGED && euid != old->uid && euid != old->euid && euid != old->suid)
			return -EPERM;
	}
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (ruid != UNCHANGED)
		new->uid = ruid;
	if (euid != UNCHANGED)
		new->euid = euid;
	if (ruid != UNCHANGED || (euid != UNCHANGED && euid != old->uid))
		new->suid = new->euid;
	new->fsuid = new->euid;
	return commit_uids(self, new);
}

static bool one_of(u32 id, u32 a, u32 b, u32 c)
{
	return id == UNCHANGED || id == a || id == b || id == c;
}

i64 sys_setresuid(struct task *self, u32 ruid, u32 euid, u32 suid)
{
	const struct cred *old = self->vfs.cred;
	struct cred *new;

	if (!is_cap(self, CAP_SETUID) &&
	    (!one_of(ruid, old->uid, old->euid, old->suid) || !one_of(euid, old->uid, old->euid, old->suid) ||
	     !one_of(suid, old->uid, old->euid, old->suid)))
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (ruid != UNCHANGED)
		new->uid = ruid;
	if (euid != UNCHANGED)
		new->euid = euid;
	if (suid != UNCHANGED)
		new->suid = suid;
	new->fsuid = new->euid;
	return commit_uids(self, new);
}

static i64 put_three(uptr_t a, u32 av, uptr_t b, u32 bv, uptr_t c, u32 cv)
{
	return user_put(a, &av) || user_put(b, &bv) || user_put(c, &cv) ? -EFAULT : 0;
}

i64 sys_getresuid(struct task *self, uptr_t ruid, uptr_t euid, uptr_t suid)
{
	const struct cred *c = self->vfs.cred;

	return put_three(ruid, c->uid, euid, c->euid, suid, c->suid);
}

/* Returns the old id in every case: failure shows only in a second call. */
i64 sys_setfsuid(struct task *self, u32 uid)
{
	const struct cred *old = self->vfs.cred;
	u32 was = old->fsuid;
	struct cred *new;

	if (uid == UNCHANGED || uid == was)
		return was;
	if (!is_cap(self, CAP_SETUID) && uid != old->uid && uid != old->euid && uid != old->suid)
		return was;
	new = cred_dup(old);
	if (!new)
		return was;
	new->fsuid = uid;
	if (!(old->securebits & SECBIT_NO_SETUID_FIXUP)) {
		if (!was && uid)
			new->cap_effective &= ~CAP_FS_SET;
		if (was && !uid)
			new->cap_effective |= CAP_FS_SET & new->cap_permitted;
	}
	task_commit_cred(self, new);
	return was;
}

i64 sys_setgid(struct task *self, u32 gid)
{
	const struct cred *old = self->vfs.cred;
	struct cred *new;

	if (gid == UNCHANGED)
		return -EINVAL;
	if (!is_cap(self, CAP_SETGID) && gid != old->gid && gid != old->sgid)
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (is_cap(self, CAP_SETGID))
		new->gid = new->sgid = gid;
	new->egid = new->fsgid = gid;
	task_commit_cred(self, new);
	return 0;
}

i64 sys_setregid(struct task *self, u32 rgid, u32 egid)
{
	const struct cred *old = self->vfs.cred;
	struct cred *new;

	if (!is_cap(self, CAP_SETGID)) {
		if (rgid != UNCHANGED && rgid != old->gid && rgid != old->egid)
			return -EPERM;
		if (egid != UNCHANGED && egid != old->gid && egid != old->egid && egid != old->sgid)
			return -EPERM;
	}
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (rgid != UNCHANGED)
		new->gid = rgid;
	if (egid != UNCHANGED)
		new->egid = egid;
	if (rgid != UNCHANGED || (egid != UNCHANGED && egid != old->gid))
		new->sgid = new->egid;
	new->fsgid = new->egid;
	task_commit_cred(self, new);
	return 0;
}

i64 sys_setresgid(struct task *self, u32 rgid, u32 egid, u32 sgid)
{
	const struct cred *old = self->vfs.cred;
	struct cred *new;

	if (!is_cap(self, CAP_SETGID) &&
	    (!one_of(rgid, old->gid, old->egid, old->sgid) || !one_of(egid, old->gid, old->egid, old->sgid) ||
	     !one_of(sgid, old->gid, old->egid, old->sgid)))
		return -EPERM;
	new = cred_dup(old);
	if (!new)
		return -ENOMEM;
	if (rgid != UNCHANGED)
		new->gid = rgid;
	if (egid != UNCHANGED)
		new->egid = egid;
	if (sgid != UNCHANGED)
		new->sgid = sgid;
	new->fsgid = new->egid;
	task_commit_cred(self, new);
	return 0;
}

i64 sys_getresgid(struct task *self, uptr_t rgid, uptr_t egid, uptr_t sgid)
{
	const struct cred *c = self->vfs.cred;

	return put_three(rgid, c->gid, egid, c->egid, sgid, c->sgid);
}

i64 sys_setfsgid(struct task *self, u32 gid)
{
	const struct cred *old = self->vfs.cred;
	u32 was = old->fsgid;
	struct cred *new;

	if (gid == UNCHANGED || gid == was)
		return was;
	if (!is_cap(self, CAP_SETGID) && gid != old->gid && gid != old->egid && gid != old->sgid)
		return was;
	new = cred_dup(old);
	if (!new)
		return was;
	new->fsgid = gid;
	task_commit_cred(self, new);
	return was;
}

i64 sys_getgroups(struct task *self, int size, uptr_t list)
{
	const struct cred *c = self->vfs.cred;

	if (size < 0)
		return -EINVAL;
	if (size) {
		if ((u32)size < c->ngroups)
			return -EINVAL;
		if (user_copy_out(list, c->groups, c->ngroups * sizeof(u32)))
			return -EFAULT;
	}
	return c->ngroups;
}

static void sift_down(u32 *v, u32 at, u32 n)
{
	for (u32 kid; (kid = 2 * at + 1) < n; at = kid) {
		u32 t;

		if (kid + 1 < n && v[kid + 1] > v[kid])
			kid++;
		if (v[at] >= v[kid])
			return;
		t = v[at];
		v[at] = v[kid];
		v[kid] = t;
	}
}

/* Heap sort: the list comes from the user and may hold 65536 numbers. */
static void groups_sort(u32 *v, u32 n)
{
	for (u32 i = n / 2; i-- > 0;)
		sift_down(v, i, n);
	for (u32 end = n; end > 1; end--) {
		u32 t = v[0];

		v[0] = v[end - 1];
		v[end - 1] = t;
		sift_down(v, 0, end - 1);
	}
}

i64 sys_setgroups(struct task *self, int size, uptr_t list)
{
	AUTO(kptr) groups = NULL;
	struct cred *new;

	if (!is_cap(self, CAP_SETGID))
		return -EPERM;
	if ((u32)size > NGROUPS_MAX)
		return -EINVAL;
	if (size) {
		groups = kmalloc((u32)size * sizeof(u32));
		if (!groups)
			return -ENOMEM;
		if (user_copy_in(groups, list, (u32)size * sizeof(u32)))
			return -EFAULT;
		for (int i = 0; i < size; i++)
			if (((u32 *)groups)[i] == UNCHANGED)
				return -EINVAL;
		groups_sort(groups, (u32)size);
	}
	new = cred_dup(self->vfs.cred);
	if (!new)
		return -ENOMEM;
	kfree(new->groups);
	new->groups = MOVE(groups);
	new->ngroups = (u32)size;
	task_commit_cred(self, new);
	return 0;
}

/* Words per set of a capability header's version.  An unknown version is answered with ours. */
static int cap_words(uptr_t header, struct cap_header_k *h, u32 *words)
{
	if (user_get(h, header))
		return -EFAULT;
	switch (h->version) {
	case CAP_VERSION_1:
		*words = 1;
		return 0;
	case CAP_VERSION_2:
	case CAP_VERSION_3:
		*words = 2;
		return 0;
	default: {
		u32 ours = CAP_VERSION_3;

		return user_put(header, &ours) ? -EFAULT : -EINVAL;
	}
	}
}

i64 sys_capget(struct task *self, uptr_t header, uptr_t data)
{
	struct cap_header_k h;
	struct cap_data_k d[2];
	u32 words = 0;
	int err = cap_words(header, &h, &words);

	if (err || uptr_is_null(data))
		return uptr_is_null(data) && err == -EINVAL ? 0 : err;
	if (h.pid < 0)
		return -EINVAL;
	AUTO(task) t = task_of_pid(self, h.pid);
	if (!t)
		return -ESRCH;
	const struct cred *c = task_cred_get(t);
	for (u32 i = 0; i < 2; i++)
		d[i] = (struct cap_data_k){ (u32)(c->cap_effective >> 32 * i), (u32)(c->cap_permitted >> 32 * i),
					    (u32)(c->cap_inheritable >> 32 * i) };
	cred_put(c);
	return user_copy_out(data, d, words * sizeof(d[0])) ? -EFAULT : 0;
}

static int capset_check(const struct cred *old, u64 eff, u64 perm, u64 inh)
{
	if (!cred_can(old, CAP_SETPCAP) && (inh & ~(old->cap_inheritable | old->cap_permitted)))
		return -EPERM;
	if (inh & ~(old->cap_inheritable | old->cap_bounding))
		return -EPERM;
	if (perm & ~old->cap_permitted)
		return -EPERM;
	return eff & ~perm ? -EPERM : 0;
}

i64 sys_capset(struct task *self, uptr_t header, uptr_t data)
{
	struct cap_header_k h;
	struct cap_data_k d[2] = { 0 };
	u32 words = 0;
	u64 eff, perm, inh;
	struct cred *new;
	int err = cap_words(header, &h, &words);

	if (err)
		return err;
	if (h.pid && (u32)h.pid != self->tid)
		return -EPERM;
	if (user_copy_in(d, data, words * sizeof(d[0])))
		return -EFAULT;
	eff = (d[0].effective | (u64)d[1].effective << 32) & CAP_FULL;
	perm = (d[0].permitted | (u64)d[1].permitted << 32) & CAP_FULL;
	inh = (d[0].inheritable | (u64)d[1].inheritable << 32) & CAP_FULL;
	err = capset_check(self->vfs.cred, eff, perm, inh);
	if (err)
		return err;
	new = cred_dup(self->vfs.cred);
	if (!new)
		return -ENOMEM;
	new->cap_effective = eff;
	new->cap_permitted = perm;
	new->cap_inheritable = inh;
	new->cap_ambient &= perm & inh;
	task_commit_cred(self, new);
	return 0;
}
