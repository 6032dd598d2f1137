/*
 * The generator.  One global key (pool) and one key per CPU.
 *
 * States: EMPTY (nothing mixed in), READY (256 bits credited).  A per-CPU key
 * is derived from the pool whenever the pool's generation moved on.
 * Invariants: 1. a key that produced output is replaced by the first 32 bytes
 * of its own stream before the output leaves (fast key erasure), and what a CPU
 * has in stock is erased as it leaves, so earlier output cannot be recomputed.
 * A stock is of the pool's present generation, or thrown away.  2. no hardware random instruction runs after
 * boot: they exit to the hypervisor.
 * Locks: pool.lock (rank RNG, irq).  Per-CPU keys: interrupts off.
 */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/lock.h>
#include <core/percpu.h>
#include <dev/random.h>
#include <sched/wait.h>
#include <vm/aspace.h>

#define SEED_BITS 256u

static struct {
	spinlock_t lock;
	u32 key[8] GUARDED_BY(&lock);
	u32 credit GUARDED_BY(&lock);
	u64 generation;			/* written under lock, read anywhere */
} pool = { .lock = SPINLOCK_INIT(LR_RNG), .generation = 1 };

/* A start of a program takes about eight words, which would be as many blocks one by one. */
#define STOCK_BLOCKS 4u

struct cpu_rng {
	u32 key[8];
	u64 generation;
	u32 left;			/* bytes at the end of stock that nobody has got yet */
	u8 stock[STOCK_BLOCKS * 64];
};
static DEFINE_PER_CPU(struct cpu_rng, cpu_rng);
static struct waitq ready_wait = WAITQ_INIT(ready_wait);

/* Runs the generator once: the first half of the block becomes the next key, out gets up to 32 bytes. */
static void erase_and_take(u32 key[8], u8 out[32])
{
	static const u32 nonce[3];
	u8 block[64];

	chacha20_block(key, 0, nonce, block);
	memcpy(key, block, 32);
	memcpy(out, block + 32, 32);
	memset(block, 0, sizeof(block));
	barrier();
}

void random_mix(const void *p, usize n, u32 credit_bits)
{
	const u8 *b = p;
	bool woke = false;
	u64 irq = spin_lock_irq(&pool.lock);

	while (n) {
		u8 chunk[32] = { 0 }, dropped[32];
		usize k = MIN(n, sizeof(chunk));

		memcpy(chunk, b, k);
		for (u32 i = 0; i < 8; i++) {
			u32 w;

			memcpy(&w, chunk + 4 * i, 4);
			pool.key[i] ^= w;
		}
		erase_and_take(pool.key, dropped);
		b += k;
		n -= k;
	}
	if (credit_bits && pool.credit < SEED_BITS) {
		pool.credit = MIN(pool.credit + credit_bits, SEED_BITS);
		woke = pool.credit == SEED_BITS;
	}
	WRITE_ONCE(pool.generation, pool.generation + 1);
	spin_unlock_irq(&pool.lock, irq);
	if (woke)
		waitq_wake_all(&ready_wait);
}

bool random_ready(void)
{
	return READ_ONCE(pool.credit) >= SEED_BITS;
}

static void restock(struct cpu_rng *r)
{
	static const u32 nonce[3];

	if (unlikely(r->generation != READ_ONCE(pool.generation))) {
		spin_lock(&pool.lock);
		erase_and_take(pool.key, (u8 *)r->key);
		r->generation = pool.generation;
		spin_unlock(&pool.lock);
	}
	for (u32 i = 0; i < STOCK_BLOCKS; i++)
		chacha20_block(r->key, i, nonce, r->stock + i * 64);
	memcpy(r->key, r->stock, sizeof(r->key));
	memset(r->stock, 0, sizeof(r->key));
	r->left = sizeof(r->stock) - sizeof(r->key);
}

/* Up to 32 bytes of this CPU's stock. */
static void take(void *out, usize n)
{
	u64 irq = irq_save();
	struct cpu_rng *r = this_cpu_ptr(&cpu_rng);

	if (unlikely(r->left < n || r->generation != READ_ONCE(pool.generation)))
		restock(r);
	u8 *from = r->stock + sizeof(r->stock) - r->left;

	memcpy(out, from, n);
	memset(from, 0, n);
	barrier();
	r->left -= (u32)n;
	irq_restore(irq);
}

void random_bytes(void *buf, usize n)
{
	static const u32 nonce[3];
	u32 key[8], counter = 0;
	u8 block[64], *out = buf;

	if (n <= sizeof(key)) {
		take(out, n);
		return;
	}
	take(key, sizeof(key));			/* good for this once */
	for (; n; counter++) {
		usize k = MIN(n, sizeof(block));

		chacha20_block(key, counter, nonce, block);
		memcpy(out, block, k);
		out += k;
		n -= k;
	}
	memset(key, 0, sizeof(key));
	memset(block, 0, sizeof(block));
	barrier();
}

u64 random_u64(void)
{
	u64 v;

	take(&v, sizeof(v));
	return v;
}

i64 random_read_user(uptr_t buf, u64 len, u32 flags)
{
	u8 chunk[256];
	u64 done = 0;

	if (!random_ready() && !(flags & 4)) {
		if (flags & 1)
			return -EAGAIN;
		int err = waitq_wait_intr(&ready_wait, random_ready());

		if (err)
			return err;
	}
	len = MIN(len, 0x1ffffffull);		/* random(4): what one call gives at most */
	while (done < len) {
		u64 k = MIN(len - done, sizeof(chunk));

		random_bytes(chunk, k);
		u64 left = user_copy_out(uptr_add(buf, done), chunk, k);

		done += k - left;
		if (left)
			return done ? (i64)done : -EFAULT;
		if (done % PAGE_SIZE == 0 && done < len) {
			if (thread_signal_pending())
				break;
			sched_resched_if_needed();
		}
	}
	memset(chunk, 0, sizeof(chunk));
	barrier();
	return (i64)done;
}

/*
 * Timing of a memory-touching loop: what is left where the CPU offers no
 * random instruction (old machines, plain TCG CPUs).  Each sample is credited
 * with one bit, as its low bits vary with caches and the host's scheduling.
 */
static void seed_from_timing(void)
{
	u64 sample[8];

	for (u32 i = 0; i < SEED_BITS; i += 8) {
		for (u32 k = 0; k < 8; k++) {
			volatile u8 sink[256];

			for (u32 j = 0; j < sizeof(sink); j += 1 + (u32)(cpu_cycles() & 3))
				sink[j] = (u8)j;
			sample[k] = cpu_cycles() ^ (u64)sink[0];
		}
		random_mix(sample, sizeof(sample), 8);
	}
}

void random_init(void)
{
	u64 seed[8];
	u32 good = 0;

	for (u32 i = 0; i < ARRAY_LEN(seed); i++)
		good += arch_hw_random(&seed[i]);
	random_mix(seed, sizeof(seed), good * 32);
	seed[0] = clock_real_ns();
	seed[1] = cpu_cycles();
	random_mix(seed, 16, 0);
	if (!random_ready())
		seed_from_timing();
	vm_random_u64 = random_u64;
}
