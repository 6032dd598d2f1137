/*
 * Virtqueues against a device in simulated RAM: an honest one, and one that
 * writes whatever it likes into the memory it shares with the driver.
 * host-sources: kern/dev/virtio/ring.c
 */
#include <mem/page.h>
#include <test/test.h>
#include "ring.h"

#define QUEUE 8u
#define BUFS  64u

static struct virtq q;
static struct virtq_slot slots[QUEUE];
static struct page *shared, *data;
static u16 seen;			/* of the avail ring, by the device */
static u64 seed = 88172645463325252ull;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static u8 *piece(u32 i) { return (u8 *)page_addr(data) + i * (PAGE_SIZE / BUFS); }

static void set_up(bool event_idx)
{
	shared = page_alloc(0, PAGE_KERNEL, ALLOC_ZERO);
	data = page_alloc(0, PAGE_KERNEL, ALLOC_ZERO);
	q = (struct virtq){ 0 };
	virtq_init(&q, 3, QUEUE, page_addr(shared), slots, event_idx);
	seen = 0;
}

static void tear_down(void)
{
	page_put(shared);
	page_put(data);
}

/* The device: the next chain it was given; false: none. */
static bool device_next(u16 *head)
{
	if (seen == q.avail->idx)
		return false;
	*head = q.avail->ring[seen++ % QUEUE];
	return true;
}

static void device_use(u32 id, u32 len)
{
	q.used->ring[q.used->idx % QUEUE] = (struct virtq_used_elem){ id, len };
	q.used->idx++;
}

static int add(u32 first, u32 nread, u32 nwrite, void *token)
{
	struct virtq_buf b[QUEUE + 1];

	for (u32 i = 0; i < nread + nwrite; i++)
		b[i] = (struct virtq_buf){ piece(first + i), 16 + i };
	return virtq_add(&q, b, nread, nwrite, token);
}

TEST(virtq, a_chain_goes_out_and_comes_back)
{
	u32 len = 99, token;
	u16 head;

	set_up(false);
	CHECK(!virtq_take(&q, &len));
	NEED(!add(0, 2, 1, &token));
	CHECK(!device_next(&head));			/* not published yet */
	CHECK(virtq_publish(&q));
	CHECK(!virtq_publish(&q));			/* nothing new */
	NEED(device_next(&head));

	struct virtq_desc *d = &q.desc[head];

	CHECK_EQ(d->addr, page_to_paddr(data).v);
	CHECK_EQ(d->len, 16u);
	CHECK_EQ(d->flags, 1u);
	d = &q.desc[d->next];
	CHECK_EQ(d->len, 17u);
	CHECK_EQ(d->flags, 1u);
	d = &q.desc[d->next];
	CHECK_EQ(d->len, 18u);
	CHECK_EQ(d->flags, 2u);
	device_use(head, 18);
	CHECK(virtq_pending(&q));
	CHECK(virtq_take(&q, &len) == &token);
	CHECK_EQ(len, 18u);
	CHECK(!virtq_pending(&q) && !virtq_take(&q, &len));
	CHECK_EQ(q.nfree, QUEUE);
	tear_down();
}

TEST(virtq, is_full_when_no_descriptor_is_left)
{
	u32 token;

	set_up(true);
	CHECK_EQ(add(0, 0, 0, &token), -ENOSPC);
	CHECK_EQ(add(0, 5, 4, &token), -ENOSPC);
	CHECK_EQ(add(0, 3, 3, &token), 0);
	CHECK_EQ(add(0, 2, 1, &token), -ENOSPC);
	CHECK_EQ(add(0, 1, 1, &token), 0);
	CHECK_EQ(add(0, 1, 0, &token), -ENOSPC);
	CHECK(virtq_detach(&q) == &token && virtq_detach(&q) == &token && !virtq_detach(&q));
	CHECK_EQ(q.nfree, QUEUE);
	tear_down();
}

TEST(virtq, notifies_and_interrupts_as_the_flags_say)
{
	u32 token, len;

	set_up(false);
	NEED(!add(0, 1, 0, &token));
	q.used->flags = 1;
	CHECK(!virtq_publish(&q));
	NEED(!add(0, 1, 0, &token));
	q.used->flags = 0;
	CHECK(virtq_publish(&q));
	virtq_mute(&q);
	CHECK_EQ(q.avail->flags, 1u);
	CHECK(!virtq_listen(&q));
	CHECK_EQ(q.avail->flags, 0u);
	device_use(0, 0);
	CHECK(virtq_listen(&q));			/* it came meanwhile */
	CHECK(virtq_take(&q, &len) != NULL);
	tear_down();
}

/* For every distance between the event and what is published, across the wrap of the counters. */
TEST(virtq, event_indices_wrap)
{
	u32 token, len;
	u16 head;

	set_up(true);
	for (u32 i = 0; i < 70000; i++) {
		u16 *avail_event = (u16 *)&q.used->ring[QUEUE], at = (u16)i;

		*avail_event = (u16)(at + i % 3 - 1);	/* before, at, behind the one that is added */
		NEED(!add(i % 8, 1, 0, &token));
		CHECK_EQ(virtq_publish(&q), i % 3 == 1);
		NEED(device_next(&head));
		CHECK(!virtq_listen(&q));
		CHECK_EQ(q.avail->ring[QUEUE], at);
		virtq_mute(&q);
		CHECK_EQ(q.avail->ring[QUEUE], (u16)(at - 1));
		device_use(head, 0);
		NEED(virtq_take(&q, &len) == &token);
	}
	CHECK_EQ(q.avail->flags, 0u);
	tear_down();
}

static void expect_broken(u32 id, u32 len, u16 ahead)
{
	u32 token, n = 0;

	set_up(false);
	NEED(!add(0, 1, 2, &token));			/* room: 17 + 18 */
	DISCARD(virtq_publish(&q));
	device_use(id, len);
	q.used->idx += ahead;
	CHECK(!virtq_take(&q, &n));
	CHECK(q.broken != NULL);
	CHECK_EQ(add(3, 1, 0, &token), -EIO);
	CHECK(!virtq_publish(&q) && !virtq_pending(&q) && !virtq_take(&q, &n));
	CHECK(virtq_detach(&q) == &token && !virtq_detach(&q));
	tear_down();
}

TEST(virtq, a_device_that_lies_is_found_out)
{
	expect_broken(QUEUE, 0, 0);			/* no such descriptor */
	expect_broken(~0u, 0, 0);
	expect_broken(1, 0, 0);				/* inside a chain */
	expect_broken(5, 0, 0);				/* free */
	expect_broken(0, 36, 0);			/* one byte too many */
	expect_broken(0, ~0u, 0);
	expect_broken(0, 35, 1);			/* two chains back of one that was out */
	expect_broken(0, 35, 0xfffe);			/* backwards */
}

/* Else whoever gives buffers back as they come, and shows them later, would never be done. */
TEST(virtq, what_the_device_was_not_shown_it_cannot_use)
{
	u32 token, n;

	set_up(false);
	NEED(!add(0, 1, 0, &token));
	DISCARD(virtq_publish(&q));
	device_use(0, 0);
	NEED(virtq_take(&q, &n) == &token);
	NEED(!add(0, 1, 0, &token));
	device_use(0, 0);
	CHECK(!virtq_take(&q, &n));
	CHECK(q.broken != NULL);
	CHECK(virtq_detach(&q) == &token);
	tear_down();
}

/* Scribbles over everything the device can write to, between the driver's calls. */
static void device_scribbles(void)
{
	u8 *p = page_addr(shared);

	for (u32 n = rnd() % 40; n; n--)
		p[rnd() % virtq_bytes(QUEUE)] = (u8)rnd();
	if (rnd() % 2)
		q.used->idx = (u16)(q.last_used + rnd() % 3);
}

/* The driver's side of the bargain: every token comes back at most once, and nothing is lost. */
TEST(virtq, a_hostile_device_cannot_upset_the_driver)
{
	static u8 tokens[QUEUE];

	set_up(false);
	for (u32 round = 0; round < 20000; round++) {
		bool out[QUEUE] = { false };
		u32 len = 0, count = 0;

		memset(page_addr(shared), 0, PAGE_SIZE);
		memset(&q, 0, sizeof(q));
		virtq_init(&q, 3, QUEUE, page_addr(shared), slots, rnd() % 2);
		for (u32 step = 0; step < 60; step++) {
			u32 i = rnd() % QUEUE;
			u8 *t;

			if (!out[i] && !add(0, 1, rnd() % 3, &tokens[i]))
				out[i] = true;
			DISCARD(virtq_publish(&q));
			device_scribbles();
			while ((t = virtq_take(&q, &len))) {
				NEED(t >= tokens && t < tokens + QUEUE && out[t - tokens]);
				NEED(len <= 17 + 18);
				out[t - tokens] = false;
			}
			DISCARD(virtq_listen(&q));
		}
		for (u8 *t; (t = virtq_detach(&q)); out[t - tokens] = false)
			NEED(t >= tokens && t < tokens + QUEUE && out[t - tokens]);
		for (u32 i = 0; i < QUEUE; i++)
			count += out[i];
		NEED(CHECK_EQ(count, 0u) && CHECK_EQ(q.nfree, QUEUE));
	}
	tear_down();
}
