/*
 * Intrusive doubly linked lists.  The user provides locking and owns the
 * elements.  A node that is on no list points to itself (list_node_init).
 */
#pragma once

#include <base/attrs.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(l) { &(l), &(l) }

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return READ_ONCE(l->next) == l; }
/* list_empty() without the list's lock: whoever acts on the answer takes the lock and looks again. */
#define list_empty_hint(l) ({ const struct list *hint_ = (l); READ_ONCE(hint_->next) == hint_; })
static inline bool list_linked(const struct list *n) { return !list_empty(n); }

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next)
{
	n->next = next;
	n->prev = prev;
	next->prev = n;
	prev->next = n;
}

static inline void list_push_front(struct list *l, struct list *n) { list_insert_between(n, l, l->next); }
static inline void list_push_back(struct list *l, struct list *n) { list_insert_between(n, l->prev, l); }
static inline void list_insert_after(struct list *pos, struct list *n) { list_insert_between(n, pos, pos->next); }
static inline void list_insert_before(struct list *pos, struct list *n) { list_insert_between(n, pos->prev, pos); }

/* Unlinks and leaves the node initialised: removing twice is harmless. */
static inline void list_remove(struct list *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
	list_init(n);
}

/* Moves all of src to the end of dst; src is empty afterwards. */
static inline void list_splice_back(struct list *dst, struct list *src)
{
	if (list_empty(src))
		return;
	src->next->prev = dst->prev;
	dst->prev->next = src->next;
	src->prev->next = dst;
	dst->prev = src->prev;
	list_init(src);
}

#define list_entry(n, T, m)	  container_of(n, T, m)
#define list_first(l, T, m)	  (list_empty(l) ? (T *)NULL : list_entry((l)->next, T, m))
#define list_last(l, T, m)	  (list_empty(l) ? (T *)NULL : list_entry((l)->prev, T, m))
#define list_next(e, l, m)	  ((e)->m.next == (l) ? NULL : list_entry((e)->m.next, __typeof__(*(e)), m))
#define list_for_each(e, l, m)							\
	for (e = list_entry((l)->next, __typeof__(*e), m); &e->m != (l);		\
	     e = list_entry(e->m.next, __typeof__(*e), m))
/* The current element may be removed or freed in the body. */
#define list_for_each_safe(e, tmp, l, m)						\
	for (e = list_entry((l)->next, __typeof__(*e), m),				\
	    tmp = list_entry(e->m.next, __typeof__(*e), m);				\
	     &e->m != (l); e = tmp, tmp = list_entry(tmp->m.next, __typeof__(*e), m))

static inline struct list *list_pop_front(struct list *l)
{
	struct list *n = l->next;

	if (n == l)
		return NULL;
	list_remove(n);
	return n;
}
