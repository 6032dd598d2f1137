/* Credentials: reference counting and group membership.  Immutable once published; freed past rcu. */
#include <mem/slab.h>
#include <base/string.h>
#include <vfs/cred.h>

struct cred cred_root = {
	.refs = { ATOMIC(1) },
	.cap_effective = CAP_FULL,
	.cap_permitted = CAP_FULL,
	.cap_bounding = CAP_FULL,
};

bool cred_in_group(const struct cred *c, u32 gid)
{
	u32 lo = 0, hi = c->ngroups;

	if (c->fsgid == gid)
		return true;
	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (c->groups[mid] == gid)
			return true;
		if (c->groups[mid] < gid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

struct cred *cred_get(const struct cred *c)
{
	struct cred *w = (struct cred *)c;	/* the count is not part of what is immutable */

	ref_get(&w->refs);
	return w;
}

static void cred_free(struct rcu_head *h)
{
	struct cred *c = container_of(h, struct cred, rcu);

	kfree(c->groups);
	kfree(c);
}

void cred_put(const struct cred *c)
{
	struct cred *w = (struct cred *)c;

	if (ref_put(&w->refs))
		rcu_defer(&w->rcu, cred_free);
}

struct cred *cred_dup(const struct cred *c)
{
	struct cred *n = kmemdup(c, sizeof(*c));

	if (!n)
		return NULL;
	ref_init(&n->refs);
	n->groups = NULL;
	if (c->ngroups) {
		n->groups = kmemdup(c->groups, c->ngroups * sizeof(u32));
		if (!n->groups) {
			kfree(n);
			return NULL;
		}
	}
	return n;
}
