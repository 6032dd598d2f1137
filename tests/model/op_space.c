/* Fork and exit. */
#include "model.h"
#include "../../kern/vm/vm_testlib.h"

/* A page with content of its own, if one is soon found. */
static u64 written(u32 s)
{
	u32 page = pick_page();

	for (u32 tries = 0; tries < 12 && !ref.page[s][page].has; tries++)
		page = pick_page();
	return page_va(page);
}

/* Copied by fork: neither side faults when it writes. */
static bool both_write(struct aspace *a, struct aspace *b, u64 va)
{
	u8 *mine = walk_access(a, va, VM_WRITE), *its = walk_access(b, va, VM_WRITE);

	return mine && its && mine != its;
}

void op_fork(u32 s)
{
	u32 kid;
	bool fails = chance(15);
	struct fork_writes w = { .at = { written(s), written(s) + 8 }, .n = (u32)below(3) };

	for (kid = 0; kid < nspaces && space[kid]; kid++)
		;
	if (kid == nspaces)
		return;
	DOING("space %u forks %u%s", s, kid, fails ? ", out of memory" : "");
	if (fails)
		host_fail_at((u32)below(20));
	int err = aspace_fork(space[s], &w, &space[kid]);

	host_fail_at(~0u);
	if (fails && err == -ENOMEM)
		return;
	EXPECT(err, 0);
	EXPECT(space[kid]->set == space[s]->set, !space[s]->locked_pages && !space[s]->nofork);
	area_forks += space[kid]->set == space[s]->set;
	for (u32 i = 0; i < w.n; i++)
		pages_parted += both_write(space[s], space[kid], w.at[i]);
	program[kid] = program[s];
	memcpy(ref.page[kid], ref.page[s], sizeof(ref.page[s]));
	for (u32 i = 0; i < PAGES; i++) {
		struct ref_page *p = &ref.page[kid][i];

		p->locked = false;
		if (p->wipe)
			p->has = false;
		if (p->dontfork)
			memset(p, 0, sizeof(*p));
	}
}

void end_space(u32 s)
{
	u64 id = space[s]->id;

	machine_forget_thread(space[s]);
	aspace_unuse(space[s]);
	space[s] = NULL;
	program[s] = -1;
	memset(ref.page[s], 0, sizeof(ref.page[s]));
	if (machine_audit_dead(id))
		panic("%s", machine_audit_dead(id));
}

static u32 spaces_alive(void)
{
	u32 n = 0;

	for (u32 i = 0; i < nspaces; i++)
		n += space[i] != NULL;
	return n;
}

void op_exit(u32 s)
{
	if (spaces_alive() < 2)
		return;
	DOING("space %u exits", s);
	end_space(s);
}
