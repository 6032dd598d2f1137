/*
 * The object as a whole: birth, death, holes, and shared anonymous memory,
 * which is an object that owns itself.
 */
#include <vm/audit.h>

#include "vm.h"


/* Index of the first page at or after index that is data (or hole): ~0 when there is none below end. */
static u64 seek_index(struct vm_object *obj, u64 index, u64 end, bool data)
{
	while (index < end) {
		u64 at = index;

		spin_lock(&obj->tree_lock);
		struct page *pg = radix_next(obj->root, &at, end - 1);

		spin_unlock(&obj->tree_lock);
		bool backed = pagecache_is_backed(obj, index);
		bool is_data = backed || (pg && at == index);

		if (is_data == data)
			return index;
		/* Data goes on page by page; a hole up to the next cached page. */
		index = is_data ? index + 1 : pg ? at : end;
	}
	return ~0ull;
}

i64 vm_object_seek(struct vm_object *obj, u64 off, bool data)
{
	u64 size = READ_ONCE(obj->size), index;

	if (off >= size)
		return -ENXIO;
	index = seek_index(obj, off >> PAGE_SHIFT, DIV_ROUND_UP(size, PAGE_SIZE), data);
	if (index == ~0ull)
		return data ? -ENXIO : (i64)size;
	return (i64)MIN(MAX(off, index << PAGE_SHIFT), size);
}

void vm_object_content_changed(struct vm_object *obj)
{
	(void)__atomic_add_fetch(&obj->generation, 1, __ATOMIC_SEQ_CST);
	if (unlikely(READ_ONCE(obj->image)))
		vm_image_detach(obj);
}

void vm_object_init(struct vm_object *obj, const struct vm_object_ops *ops, u64 size)
{
	memset(obj, 0, sizeof(*obj));
	obj->ops = ops;
	obj->id = vm_new_id();
	obj->size = size;
	obj->backing_size = ~0ull;
	spin_init(&obj->tree_lock, LR_PAGE_CACHE);
	rwlock_init(&obj->lock, LR_VM_OBJECT);
	spin_init(&obj->areas_lock, LR_VNODE_STATE);
	spin_unshared(&obj->areas_lock);
	list_init(&obj->areas);
	if (debug_on(DEBUG_AUDIT))
		audit_link_object(obj);
}

void vm_object_destroy(struct vm_object *obj)
{
	spin_unshared(&obj->areas_lock);
	spin_unshared(&obj->tree_lock);
	VERIFY(list_empty(&obj->areas));
	if (obj->image)
		vm_image_detach(obj);
	if (obj->root)
		pagecache_drop(obj, 0, ~0ull >> PAGE_SHIFT);
	VERIFY_CMP(obj->npages, ==, 0ull);
	if (debug_on(DEBUG_AUDIT))
		audit_unlink_object(obj);
}

void vm_object_get(struct vm_object *obj)
{
	obj->get_owner(obj);
}

void vm_object_put(struct vm_object *obj)
{
	obj->put_owner(obj);
}

/* --- shared anonymous memory ----------------------------------------------- */

struct anon_object {
	struct vm_object obj;
	refcount_t refs;
};

static void anon_get(struct vm_object *obj)
{
	ref_get(&container_of(obj, struct anon_object, obj)->refs);
}

static void anon_put(struct vm_object *obj)
{
	struct anon_object *ao = container_of(obj, struct anon_object, obj);

	if (!ref_put(&ao->refs))
		return;
	vm_object_destroy(obj);
	kfree(ao);
}

static const struct vm_object_ops anon_ops = { 0 };

struct vm_object *vm_object_create_anon(u64 size)
{
	struct anon_object *ao = kmalloc(sizeof(*ao));

	if (!ao)
		return NULL;
	vm_object_init(&ao->obj, &anon_ops, size);
	ao->obj.flags = VM_OBJECT_SWAPLESS;
	ao->obj.get_owner = anon_get;
	ao->obj.put_owner = anon_put;
	ref_init(&ao->refs);
	return &ao->obj;
}
