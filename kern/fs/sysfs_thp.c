/*
 * /sys/kernel/mm/transparent_hugepage: the policy of vm/huge.h as text.  A
 * mode that does not exist here (huge pages of shared memory, a huge zero
 * page) reads as off and cannot be switched on.
 */
#include <fs/fs.h>
#include <vm/huge.h>
#include "proc_priv.h"

#define LLU(x) ((unsigned long long)(x))

/* --- one word of several ------------------------------------------------------------ */

struct choice { u32 *at; const char *const *words; };

static int choice_show(struct seq *s, void *node)
{
	const struct choice *c = ((struct synth_node *)node)->e->data;
	u32 now = READ_ONCE(*c->at);

	for (u32 i = 0; c->words[i]; i++)
		seq_printf(s, i == now ? "%s[%s]" : "%s%s", i ? " " : "", c->words[i]);
	seq_putc(s, '\n');
	return 0;
}

static usize word_length(const char *text)
{
	usize n = strlen(text);

	while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	return n;
}

static i64 choice_write(struct synth_node *n, char *text, usize len)
{
	const struct choice *c = n->e->data;
	usize length = word_length(text);

	for (u32 i = 0; c->words[i]; i++) {
		if (strlen(c->words[i]) != length || memcmp(text, c->words[i], length))
			continue;
		WRITE_ONCE(*c->at, i);
		return (i64)len;
	}
	return -EINVAL;
}

/* As enum huge_mode and enum huge_effort have them. */
static const char *const enabled_words[] = { "always", "madvise", "never", NULL };
static const char *const defrag_words[] = { "always", "defer", "defer+madvise", "madvise", "never", NULL };
static const struct choice enabled = { &huge_policy.enabled, enabled_words };
static const struct choice defrag = { &huge_policy.effort, defrag_words };

/* --- numbers ------------------------------------------------------------------------- */

struct setting { u32 *at; u32 max; };

static int setting_show(struct seq *s, void *node)
{
	seq_printf(s, "%u\n", READ_ONCE(*((const struct setting *)((struct synth_node *)node)->e->data)->at));
	return 0;
}

static i64 setting_write(struct synth_node *n, char *text, usize len)
{
	const struct setting *set = n->e->data;
	i64 v;

	text[word_length(text)] = 0;
	if (proc_parse_int(text, &v) || v < 0 || v > set->max)
		return -EINVAL;
	WRITE_ONCE(*set->at, (u32)v);
	huge_policy_changed();
	return (i64)len;
}

static int counter_show(struct seq *s, void *node)
{
	seq_printf(s, "%llu\n", LLU(atomic64_read(((struct synth_node *)node)->e->data)));
	return 0;
}

static int fixed_show(struct seq *s, void *node)
{
	seq_printf(s, "%s\n", (const char *)((struct synth_node *)node)->e->data);
	return 0;
}

static const struct setting scan_ms = { &huge_policy.scan_ms, UINT32_MAX };
static const struct setting alloc_ms = { &huge_policy.alloc_ms, UINT32_MAX };
static const struct setting scan_pages = { &huge_policy.scan_pages, UINT32_MAX };
static const struct setting max_none = { &huge_policy.max_none, HUGE_PAGES - 1 };
static const struct setting collapse = { &huge_policy.collapse, 1 };

#define SETTING(n, set)	  { .name = (n), .mode = S_IFREG | 0644, .flags = SYNTH_SYSFS, .show = setting_show, \
			    .write = setting_write, .data = &(set) }
#define CHOICE(n, choice) { .name = (n), .mode = S_IFREG | 0644, .flags = SYNTH_SYSFS, .show = choice_show, \
			    .write = choice_write, .data = &(choice) }
#define COUNTER(n, at)	  { .name = (n), .mode = S_IFREG | 0444, .flags = SYNTH_SYSFS, .show = counter_show, .data = (at) }
#define FIXED(n, text)	  { .name = (n), .mode = S_IFREG | 0444, .flags = SYNTH_SYSFS, .show = fixed_show, .data = (text) }

static struct synth_entry khugepaged_entries[] = {
	SETTING("alloc_sleep_millisecs", alloc_ms),
	SETTING("defrag", collapse),
	COUNTER("full_scans", &huge_stats.runs),
	SETTING("max_ptes_none", max_none),
	FIXED("max_ptes_shared", "0"),
	COUNTER("pages_collapsed", &huge_stats.collapse),
	SETTING("pages_to_scan", scan_pages),
	SETTING("scan_sleep_millisecs", scan_ms),
	{ .name = NULL },
};

struct synth_entry sysfs_thp_entries[] = {
	CHOICE("defrag", defrag),
	CHOICE("enabled", enabled),
	FIXED("hpage_pmd_size", "2097152"),
	{ .name = "khugepaged", .mode = S_IFDIR | 0755, .flags = SYNTH_SYSFS, .children = khugepaged_entries },
	FIXED("shmem_enabled", "always within_size advise [never] deny force"),
	FIXED("use_zero_page", "0"),
	{ .name = NULL },
};
