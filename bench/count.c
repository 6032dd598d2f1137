/*
 * A QEMU plugin that counts the instructions between the benchmark's two marks, user and kernel
 * apart, and how often each kernel block ran.
 *
 * Arguments: begin=ADDR,end=ADDR (the marks, user addresses), out=FILE, blocks=1 for the list of
 * kernel blocks.  Lines written at each end mark: `count USER KERNEL PORT MMIO`, then `block PC N RUNS`.
 * PORT: IN and OUT instructions that ran.  MMIO: loads and stores of the kernel that reached a device.
 * Only what it uses of QEMU's plugin interface (version 1) is declared here.
 * One virtual CPU: the counters are not locked.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

#define EXPORT __attribute__((visibility("default")))
#define PLUGIN_NO_REGISTERS	0
#define PLUGIN_ADD_U64		0
#define PLUGIN_LOADS_AND_STORES	3

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
	void (*call)(unsigned int cpu, uint32_t info, uint64_t at, void *data), int registers, int which, void *data);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t at);
_Bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *where);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
	void (*call)(plugin_id id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
	void (*call)(unsigned int cpu, void *data), int registers, void *data);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *at,
	uint64_t value);

EXPORT int qemu_plugin_version = 1;

/* One per (address, length) ever translated; found again after QEMU flushes its translations. */
struct block {
	uint64_t	pc;
	uint64_t	length;
	uint64_t	ports;		/* IN and OUT instructions in it */
	uint64_t	runs;
	struct block	*next;
};

#define BUCKETS 65536
static struct block *buckets[BUCKETS];
static uint64_t mark_begin, mark_end, mmio;
static int want_blocks;
static FILE *out;

static struct block *block_get(uint64_t pc, uint64_t length)
{
	struct block **bucket = &buckets[(pc ^ pc >> 16) % BUCKETS];
	struct block *block;

	for (block = *bucket; block; block = block->next)
		if (block->pc == pc && block->length == length)
			return block;
	block = calloc(1, sizeof(*block));
	if (!block)
		abort();
	block->pc = pc;
	block->length = length;
	block->next = *bucket;
	*bucket = block;
	return block;
}

static void on_begin(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	mmio = 0;
	for (int i = 0; i < BUCKETS; i++)
		for (struct block *block = buckets[i]; block; block = block->next)
			block->runs = 0;
}

static void on_end(unsigned int cpu, void *data)
{
	uint64_t user = 0, kernel = 0, ports = 0;

	(void)cpu;
	(void)data;
	for (int i = 0; i < BUCKETS; i++)
		for (struct block *block = buckets[i]; block; block = block->next)
			if (block->pc >> 63) {
				kernel += block->runs * block->length;
				ports += block->runs * block->ports;
			} else {
				user += block->runs * block->length;
			}
	fprintf(out, "count %llu %llu %llu %llu\n", (unsigned long long)user, (unsigned long long)kernel,
		(unsigned long long)ports, (unsigned long long)mmio);
	for (int i = 0; want_blocks && i < BUCKETS; i++)
		for (struct block *block = buckets[i]; block; block = block->next)
			if (block->runs && block->pc >> 63)
				fprintf(out, "block %llx %llu %llu\n", (unsigned long long)block->pc,
					(unsigned long long)block->length,
					(unsigned long long)block->runs);
	fflush(out);
}

/* IN, OUT, INS, OUTS with any prefixes. */
static int is_port_access(const struct qemu_plugin_insn *insn)
{
	const uint8_t *code = qemu_plugin_insn_data(insn);
	size_t size = qemu_plugin_insn_size(insn), i = 0;

	while (i < size && (code[i] == 0x66 || code[i] == 0xf2 || code[i] == 0xf3))
		i++;
	return i < size && ((code[i] & 0xf4) == 0xe4 || (code[i] & 0xfc) == 0x6c);
}

static void on_access(unsigned int cpu, uint32_t info, uint64_t at, void *data)
{
	struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, at);

	(void)cpu;
	(void)data;
	if (where && qemu_plugin_hwaddr_is_io(where))
		mmio++;
}

/* Kernel code only: programs have no devices, and the callback costs more than the access. */
static void watch_devices(struct qemu_plugin_tb *tb, struct block *block)
{
	size_t n = qemu_plugin_tb_n_insns(tb);

	block->ports = 0;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		block->ports += is_port_access(insn);
		qemu_plugin_register_vcpu_mem_cb(insn, on_access, PLUGIN_NO_REGISTERS, PLUGIN_LOADS_AND_STORES, NULL);
	}
}

static void on_translate(plugin_id id, struct qemu_plugin_tb *tb)
{
	uint64_t pc = qemu_plugin_tb_vaddr(tb);
	struct block *block = block_get(pc, qemu_plugin_tb_n_insns(tb));

	(void)id;
	if (pc >> 63)
		watch_devices(tb, block);
	if (pc == mark_begin)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_begin, PLUGIN_NO_REGISTERS, NULL);
	if (pc == mark_end)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_end, PLUGIN_NO_REGISTERS, NULL);
	qemu_plugin_register_vcpu_tb_exec_inline(tb, PLUGIN_ADD_U64, &block->runs, 1);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "begin=", 6))
			mark_begin = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "end=", 4))
			mark_end = strtoull(argv[i] + 4, NULL, 0);
		else if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
		else if (!strcmp(argv[i], "blocks=1"))
			want_blocks = 1;
	}
	if (!out || !mark_begin || !mark_end)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
