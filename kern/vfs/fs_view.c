/* Root and working directory of processes; names from user memory. */
#include "vfs_private.h"
#include <arch/usercopy.h>

/* Most names are short: they live in small buffers.  A longer one gets room for PATH_MAX. */
#define SMALL_TEXT 240u

static struct slab_cache *view_cache, *small_cache, *large_cache;

struct fs_view *fs_view_create(void)
{
	struct fs_view *v = slab_zalloc(view_cache);

	if (!v)
		return NULL;
	ref_init(&v->refs);
	spin_init(&v->lock, LR_FILE);
	v->umask = 022;
	v->root = v->cwd = ns_root;
	path_get(&v->root);
	path_get(&v->cwd);
	return v;
}

struct fs_view *fs_view_dup(struct fs_view *v)
{
	struct fs_view *n = slab_zalloc(view_cache);

	if (!n)
		return NULL;
	ref_init(&n->refs);
	spin_init(&n->lock, LR_FILE);
	GUARD_SPIN(&v->lock);
	n->umask = v->umask;
	n->root = v->root;
	n->cwd = v->cwd;
	path_get(&n->root);
	path_get(&n->cwd);
	return n;
}

struct fs_view *fs_view_get(struct fs_view *v)
{
	ref_get(&v->refs);
	return v;
}

void fs_view_put(struct fs_view *v)
{
	if (!ref_put(&v->refs))
		return;
	path_put(&v->root);
	path_put(&v->cwd);
	slab_free(view_cache, v);
}

void fs_view_root(struct fs_view *v, struct path *out)
{
	GUARD_SPIN(&v->lock);
	*out = v->root;
	path_get(out);
}

void fs_view_cwd(struct fs_view *v, struct path *out)
{
	GUARD_SPIN(&v->lock);
	*out = v->cwd;
	path_get(out);
}

int pathbuf_from_user(uptr_t p, struct pathbuf **out)
{
	struct pathbuf *b = slab_alloc(small_cache);
	i64 n;

	if (!b)
		return -ENOMEM;
	n = user_str_copy_in(b->text, p, SMALL_TEXT);
	if (n == -ENAMETOOLONG) {
		slab_free(small_cache, b);
		b = slab_alloc(large_cache);
		if (!b)
			return -ENOMEM;
		n = user_str_copy_in(b->text, p, PATH_MAX);
		if (n >= 0 && n < SMALL_TEXT)
			n = -EFAULT;	/* shrank while it was read: the length tells which cache it is from */
		if (n < 0)
			slab_free(large_cache, b);
	} else if (n < 0) {
		slab_free(small_cache, b);
	}
	if (n < 0)
		return (int)n;
	b->len = (u32)n;
	*out = b;
	return 0;
}

int pathbuf_from_kernel(const char *s, struct pathbuf **out)
{
	usize n = strlen(s);
	struct pathbuf *b;

	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	b = slab_alloc(n < SMALL_TEXT ? small_cache : large_cache);
	if (!b)
		return -ENOMEM;
	memcpy(b->text, s, n + 1);
	b->len = (u32)n;
	*out = b;
	return 0;
}

void pathbuf_free(struct pathbuf *p)
{
	slab_free(p->len < SMALL_TEXT ? small_cache : large_cache, p);
}

void fs_view_init(void)
{
	view_cache = slab_cache_create("fs_view", sizeof(struct fs_view), 0);
	small_cache = slab_cache_create("name", sizeof(struct pathbuf) + SMALL_TEXT, 0);
	large_cache = slab_cache_create("name_long", sizeof(struct pathbuf) + PATH_MAX, 0);
}
