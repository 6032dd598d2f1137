/* See core/crash.h: the two forms of a report.  Nothing here allocates, locks or sleeps. */
#include <base/fmt.h>
#include <base/string.h>
#include <core/crash.h>
#include <core/panic.h>

#define PIECE 160u			/* bytes of JSON on a line of the console */
typedef unsigned long long ull;

/* --- text ------------------------------------------------------------------ */

static PRINTF_LIKE(2, 3) void putf(crash_put put, const char *fmt, ...)
{
	char line[320];
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(line);
}

static const struct { const char *name; u16 at; } regs[] = {
#define REG(r) { #r, __builtin_offsetof(struct trapframe, r) }
	REG(rip), REG(rsp), REG(rbp), REG(rflags), REG(rax), REG(rbx), REG(rcx), REG(rdx), REG(rsi), REG(rdi), REG(r8), REG(r9),
	REG(r10), REG(r11), REG(r12), REG(r13), REG(r14), REG(r15), REG(cs), REG(ss),
#undef REG
};

static u64 reg(const struct crash_report *r, u32 i) { return *(const u64 *)((const u8 *)&r->regs + regs[i].at); }

/* A call of panic() has saved the first four only. */
static u32 known_registers(const struct crash_report *r)
{
	return !r->regs.rip ? 0 : r->pc_exact ? ARRAY_LEN(regs) : 4;
}

static void text_registers(const struct crash_report *r, crash_put put)
{
	for (u32 i = 0; i < known_registers(r); i++)
		putf(put, "%6s: %016llx%s", regs[i].name, (ull)reg(r, i), i % 4 == 3 ? "\n" : "  ");
	if (r->fault_addr)
		putf(put, "fault address: %#llx\n", (ull)r->fault_addr);
}

/* A return address may lie just behind its function. */
static const char *frame_symbol(const struct crash_report *r, u32 i, u64 *off)
{
	bool exact = i == 0 && r->pc_exact;
	const char *name = symbol_lookup(r->frames[i] - !exact, off);

	*off += !exact;
	return name;
}

static void text_frames(const struct crash_report *r, crash_put put)
{
	put("Call trace:\n");
	for (u32 i = 0; i < r->nframes; i++) {
		const struct crash_area *a = &r->frame_areas[i];
		u64 off = 0;
		const char *name = frame_symbol(r, i, &off);

		if (name)
			putf(put, " [<%016llx>] %s+%#llx\n", (ull)r->frames[i], name, (ull)off);
		else if (a->end)
			putf(put, " [<%016llx>] %s+%#llx\n", (ull)r->frames[i], a->name[0] ? a->name : "anonymous",
			     (ull)(r->frames[i] - a->start + a->off));
		else
			putf(put, " [<%016llx>]\n", (ull)r->frames[i]);
	}
}

static void text_process(const struct crash_report *r, crash_put put)
{
	if (r->nareas)
		put("Areas near the fault:\n");
	for (u32 i = 0; i < r->nareas; i++) {
		const struct crash_area *a = &r->areas[i];

		putf(put, " %012llx-%012llx %s %08llx %s%s\n", (ull)a->start, (ull)a->end, a->rights, (ull)a->off, a->name,
		     r->fault_addr >= a->start && r->fault_addr < a->end ? "  <- fault" : "");
	}
	if (r->ncalls)
		put("Last system calls:\n");
	for (u32 i = 0; i < r->ncalls; i++) {
		const struct crash_call *c = &r->calls[i];

		if (c->running)
			putf(put, " %s (%llu) running\n", c->name ? c->name : "?", (ull)c->nr);
		else
			putf(put, " %s (%llu) = %lld\n", c->name ? c->name : "?", (ull)c->nr, (long long)c->result);
	}
}

/* Texts may be longer than a line of putf(). */
void crash_print_text(const struct crash_report *r, crash_put put)
{
	put(r->notes);
	if (r->pid)
		putf(put, "CPU: %u  process: %u  thread: %u  name: %s\n", r->cpu, r->pid, r->tid, r->thread);
	else
		putf(put, "CPU: %u  thread: %s\n", r->cpu, r->thread[0] ? r->thread : "none");
	text_registers(r, put);
	text_frames(r, put);
	text_process(r, put);
	if (r->tail[0]) {
		put("Trace:\n");
		put(r->tail);
	}
	if (r->nfailed)
		putf(put, "%u parts of this report faulted and are missing\n", r->nfailed);
}

/* --- JSON ------------------------------------------------------------------ */

struct json {
	crash_put put;
	u32 n;
	bool first;			/* no comma before the next member */
	char line[PIECE + 1];
};

static void json_char(struct json *j, char c)
{
	j->line[j->n++] = c;
	if (j->n < PIECE)
		return;
	j->line[j->n] = 0;
	j->put("crash-json: ");
	j->put(j->line);
	j->put("\n");
	j->n = 0;
}

static void json_raw(struct json *j, const char *s)
{
	while (*s)
		json_char(j, *s++);
}

static void json_string(struct json *j, const char *s)
{
	char hex[8];

	json_char(j, '"');
	for (; *s; s++) {
		u8 c = (u8)*s;

		if (c == '"' || c == '\\') {
			json_char(j, '\\');
			json_char(j, (char)c);
		} else if (c < 0x20 || c >= 0x7f) {
			fmt_snprintf(hex, sizeof(hex), "\\u%04x", c);
			json_raw(j, hex);
		} else {
			json_char(j, (char)c);
		}
	}
	json_char(j, '"');
}

static void json_key(struct json *j, const char *key)
{
	if (!j->first)
		json_char(j, ',');
	j->first = false;
	if (!key)
		return;
	json_string(j, key);
	json_char(j, ':');
}

static void json_text(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_string(j, s);
}

static void json_number(struct json *j, const char *key, i64 v)
{
	char text[24];

	fmt_snprintf(text, sizeof(text), "%lld", (long long)v);
	json_key(j, key);
	json_raw(j, text);
}

/* Addresses are strings: a reader's numbers may not hold 64 bits. */
static void json_hex(struct json *j, const char *key, u64 v)
{
	char text[24];

	fmt_snprintf(text, sizeof(text), "%#llx", (ull)v);
	json_text(j, key, text);
}

static void json_open(struct json *j, const char *key, char c)
{
	json_key(j, key);
	json_char(j, c);
	j->first = true;
}

static void json_close(struct json *j, char c)
{
	json_char(j, c);
	j->first = false;
}

static void json_area(struct json *j, const char *key, const struct crash_area *a)
{
	json_open(j, key, '{');
	json_hex(j, "start", a->start);
	json_hex(j, "end", a->end);
	json_hex(j, "offset", a->off);
	json_text(j, "rights", a->rights);
	json_text(j, "name", a->name);
	json_close(j, '}');
}

static void json_frames(const struct crash_report *r, struct json *j)
{
	json_open(j, "frames", '[');
	for (u32 i = 0; i < r->nframes; i++) {
		u64 off = 0;
		const char *name = frame_symbol(r, i, &off);

		json_open(j, NULL, '{');
		json_hex(j, "address", r->frames[i]);
		if (name) {
			json_text(j, "function", name);
			json_number(j, "offset", (i64)off);
		}
		if (r->frame_areas[i].end)
			json_area(j, "area", &r->frame_areas[i]);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_process(const struct crash_report *r, struct json *j)
{
	json_open(j, "areas", '[');
	for (u32 i = 0; i < r->nareas; i++)
		json_area(j, NULL, &r->areas[i]);
	json_close(j, ']');
	json_open(j, "calls", '[');
	for (u32 i = 0; i < r->ncalls; i++) {
		const struct crash_call *c = &r->calls[i];

		json_open(j, NULL, '{');
		json_number(j, "number", (i64)c->nr);
		json_text(j, "name", c->name ? c->name : "");
		if (!c->running)
			json_number(j, "result", c->result);
		json_close(j, '}');
	}
	json_close(j, ']');
}

void crash_print_json(const struct crash_report *r, crash_put put)
{
	struct json json = { .put = put, .first = true }, *j = &json;

	json_open(j, NULL, '{');
	json_text(j, "kind", r->kind);
	json_text(j, "reason", r->reason);
	json_text(j, "notes", r->notes);
	json_number(j, "cpu", r->cpu);
	json_text(j, "thread", r->thread);
	json_number(j, "pid", r->pid);
	json_number(j, "tid", r->tid);
	json_number(j, "signal", r->signal);
	json_hex(j, "fault_address", r->fault_addr);
	json_open(j, "registers", '{');
	for (u32 i = 0; i < known_registers(r); i++)
		json_hex(j, regs[i].name, reg(r, i));
	json_close(j, '}');
	json_frames(r, j);
	json_process(r, j);
	json_text(j, "trace", r->tail);
	json_number(j, "parts_missing", r->nfailed);
	json_close(j, '}');
	j->line[j->n] = 0;
	putf(put, "crash-json: %s\ncrash-json-end\n", j->line);
}
