#!/usr/bin/python3
"""Reads spec/syscalls.tbl and spec/flags.tbl; writes what is made from them.

usage: syscalls.py {protos|flags|info|table|docs|json} > FILE    (run at the top of the tree)

protos  sys_protos.h     prototypes of every sys_NAME and the table's size
flags   flags.h          #define of every flag
info    syscall_info.h   the layout and enumerations of the metadata
table   syscall_table.c  dispatch table, its stubs, and the metadata
docs    docs/syscalls.md
json    syscalls.json    the grammar that the fuzzer reads
"""
import json
import re
import sys

SCALARS = {
    "fd": "int", "dirfd": "int", "int": "int", "uint": "u32", "long": "i64", "ulong": "u64",
    "size": "u64", "off": "i64", "pid": "i32", "uid": "u32", "gid": "u32", "mode": "u32",
    "dev": "u32", "sig": "int", "clock": "int", "addr": "u64", "hex": "u64", "hex32": "u32", "cmode": "u32",
    "ioctlarg": "u64", "fcntlarg": "u64", "prctlarg": "u64", "futexarg": "u64",
}
POINTERS = ("upath", "ustr", "argv", "envp", "ptr", "ostr", "sockaddr", "osockaddr", "sockoptarg")
DIRECTIONS = ("in", "out", "io")
STATES = ("supported", "partial", "absent")
RESULTS = ("zero", "fd", "size", "long", "pid", "addr", "none", "octal", "poll", "select", "fcntl", "time")
RESTARTS = ("no", "sys", "nohand", "block", "always")
WIDTHS = {"32": "u32", "64": "u64", "int": "int"}
REGS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
BANNER = "generated from spec/syscalls.tbl and spec/flags.tbl: do not edit"


def fail(where, text):
    sys.exit(f"{where}: {text}")


def number(text):
    if re.fullmatch(r"-?0[0-7]+", text):
        return int(text, 8)
    return int(text, 0)


def read_flags(path="spec/flags.tbl"):
    sets, current = {}, None
    for n, line in enumerate(open(path), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == "set":
            if words[2] not in WIDTHS or words[1] in sets:
                fail(f"{path}:{n}", "bad set")
            current = sets[words[1]] = {"width": words[2], "flags": []}
        else:
            value = number(words[1])
            mask = number(words[2]) if len(words) > 2 else None
            current["flags"].append((words[0], words[1], value, mask))
    return sets


class Arg:
    def __init__(self, text, sets, where):
        m = re.fullmatch(r"(\w+):(@|=)?(\w+)(?:\((\w+)\))?(?:\[(\w+)\])?", text)
        if not m:
            fail(where, f"bad argument {text}")
        self.name, mark, self.kind, self.struct, self.len = m.groups()
        self.dir = self.set = None
        if mark:
            if self.kind not in sets:
                fail(where, f"no flag set {self.kind}")
            self.set = self.kind
            self.kind = "flags" if mark == "@" else "enum"
            self.ctype = WIDTHS[sets[self.set]["width"]]
        elif self.kind in DIRECTIONS:
            self.dir, self.kind = self.kind, "struct" if self.struct else "bytes"
            self.ctype = "uptr_t"
        elif self.kind in POINTERS:
            self.ctype = "uptr_t"
        elif self.kind in SCALARS:
            self.ctype = SCALARS[self.kind]
        else:
            fail(where, f"unknown kind {self.kind}")


class Call:
    def __init__(self, line, sets, where):
        fields = [f.strip() for f in line.split("|", 3)]
        head = fields[0].split()
        if len(head) != 4 or len(fields) < 3:
            fail(where, "expected NR NAME STATE RESULT | ARGS | RESTART")
        self.nr, self.name, self.state, self.result = int(head[0]), head[1], head[2], head[3]
        self.args = [Arg(a, sets, where) for a in fields[1].split()]
        self.restart, *marks = fields[2].split() or [""]
        self.frame = marks == ["frame"]
        self.note = fields[3] if len(fields) > 3 else ""
        if self.state not in STATES or self.result not in RESULTS or self.restart not in RESTARTS or \
                marks not in ([], ["frame"]):
            fail(where, "bad state, result or restart")
        if len(self.args) > 6:
            fail(where, "more than six arguments")
        if self.state == "partial" and not self.note:
            fail(where, "partial: say what is missing")


def read_calls(sets, path="spec/syscalls.tbl"):
    calls = []
    for n, line in enumerate(open(path), 1):
        if line.startswith("#") or not line.strip():
            continue
        calls.append(Call(line.rstrip("\n"), sets, f"{path}:{n}"))
        if n > 1 and len(calls) > 1 and calls[-1].nr <= calls[-2].nr:
            fail(f"{path}:{n}", "numbers must grow")
    return calls


def out_protos(calls, sets):
    print(f"/* {BANNER} */\n#pragma once\n\n#include <base/types.h>\n\nstruct task;\n")
    print(f"#define SYSCALL_COUNT {calls[-1].nr + 1}u\n")
    for c in calls:
        if c.state != "absent":
            args = "".join(f", {a.ctype} {a.name}" for a in c.args)
            print(f"i64 sys_{c.name}(struct task *self{args});")


def out_flags(calls, sets):
    print(f"/* {BANNER} */\n#pragma once\n")
    seen = {}
    for s in sets.values():
        for name, text, value, _ in s["flags"]:
            if seen.setdefault(name, value) != value:
                fail("spec/flags.tbl", f"{name} has two values")
    for s in sets.values():
        for name, text, value, _ in s["flags"]:
            if name in seen:
                del seen[name]
                print(f"#ifndef {name}\n#define {name} {'(' + text + ')' if value < 0 else text}\n#endif")


def upper(words, prefix):
    return ", ".join(f"{prefix}_{w.upper()}" for w in words)


def out_info(calls, sets):
    structs = struct_names(calls)
    print(f"""/* {BANNER} */
#pragma once

#include <base/types.h>

/* Metadata of every call, for the tracer: names are offsets into syscall_strings. */
enum syscall_state {{ {upper(STATES, 'SYSCALL')} }};
enum syscall_result {{ {upper(RESULTS, 'SYSCALL_RET')} }};
enum syscall_restart {{ {upper(RESTARTS, 'SYSCALL_RESTART')} }};
enum syscall_kind {{
	{upper(SCALARS, 'SYSCALL_ARG')},
	{upper(POINTERS, 'SYSCALL_ARG')},
	SYSCALL_ARG_BYTES, SYSCALL_ARG_STRUCT, SYSCALL_ARG_FLAGS, SYSCALL_ARG_ENUM,
}};
enum syscall_nr {{
	{', '.join(f'SYSCALL_NR_{c.name.upper()} = {c.nr}' for c in calls)},
}};
enum syscall_set {{ {upper(sets, 'SYSCALL_SET')} }};
enum syscall_dir {{ SYSCALL_DIR_NONE, SYSCALL_DIR_IN, SYSCALL_DIR_OUT, SYSCALL_DIR_IO }};
enum syscall_struct {{
	{upper(structs, 'SYSCALL_STRUCT')},
}};
struct syscall_arg {{
	u16 name;
	u8 kind;	/* enum syscall_kind */
	u8 detail;	/* flag set, or enum syscall_struct */
	u8 dir;		/* enum syscall_dir, of pointers */
	u8 len;		/* index + 1 of the argument that counts elements or bytes; 0: one */
	u8 width;	/* of flags and enumerations: 64, 32 or (int) 0 */
}};
struct syscall_info {{
	u16 name;	/* 0: no such number */
	u16 first_arg;	/* in syscall_args */
	u8 nargs, state, result, restart;
}};
struct syscall_flag {{
	u64 value, mask;
	u16 name;
}};
struct syscall_flag_set {{
	u16 first, count;	/* in syscall_flags */
}};
extern const char syscall_strings[];
extern const struct syscall_arg syscall_args[];
extern const struct syscall_info syscall_infos[];
extern const struct syscall_flag syscall_flags[];
extern const struct syscall_flag_set syscall_flag_sets[];""")


def struct_names(calls):
    return sorted({a.struct for c in calls for a in c.args if a.struct})


class Strings:
    def __init__(self):
        self.at, self.text, self.size = {}, [], 0
        self.add("")

    def add(self, s):
        if s not in self.at:
            self.at[s] = self.size
            self.text.append(s)
            self.size += len(s) + 1
        return self.at[s]


def stub(c):
    vals = []
    for a, reg in zip(c.args, REGS):
        v = f"tf->{reg}"
        vals.append(f"UPTR({v})" if a.ctype == "uptr_t" else f"({a.ctype}){v}")
    print(f"static i64 do_{c.name}(struct task *self, const struct trapframe *tf)\n{{")
    print(f"\treturn sys_{c.name}({', '.join(['self'] + vals)});\n}}")


def out_table(calls, sets):
    s, args, infos = Strings(), [], []
    structs, set_names = struct_names(calls), list(sets)
    print(f"/* {BANNER} */\n#include <arch/upcall.h>\n#include <abi/sys_protos.h>\n"
          "#include <abi/syscall.h>\n#include <abi/syscall_info.h>\n")
    for c in calls:
        if c.state != "absent":
            stub(c)
    by_nr = {c.nr: c for c in calls}
    for table in "syscall_table", "syscall_fast":
        print(f"\nconst syscall_fn_t {table}[SYSCALL_COUNT] = {{")
        for nr in range(calls[-1].nr + 1):
            c = by_nr.get(nr)
            fn = f"do_{c.name}" if c and c.state != "absent" else "syscall_absent"
            print(f"\t{'syscall_needs_frame' if table == 'syscall_fast' and c and c.frame else fn},\t/* {nr} */")
        print("};")
    print(f'\n/* For the entry code, as a number. */\n'
          f'__asm__(".globl syscall_count\\n.set syscall_count, {calls[-1].nr + 1}");\n')
    for nr in range(calls[-1].nr + 1):
        c = by_nr.get(nr)
        if not c:
            infos.append("{ 0, 0, 0, SYSCALL_ABSENT, 0, 0 }")
            continue
        infos.append(f"{{ {s.add(c.name)}, {len(args)}, {len(c.args)}, SYSCALL_{c.state.upper()}, "
                     f"SYSCALL_RET_{c.result.upper()}, SYSCALL_RESTART_{c.restart.upper()} }}")
        names = [a.name for a in c.args]
        for a in c.args:
            detail = f"SYSCALL_STRUCT_{a.struct.upper()}" if a.struct else \
                set_names.index(a.set) if a.set else 0
            direction = f"SYSCALL_DIR_{(a.dir or 'none').upper()}"
            length = names.index(a.len) + 1 if a.len else 0
            width = {"64": 64, "32": 32, "int": 0}[sets[a.set]["width"]] if a.set else 0
            args.append(f"{{ {s.add(a.name)}, SYSCALL_ARG_{a.kind.upper()}, {detail}, {direction}, {length}, {width} }}")
    flags, fsets = [], []
    for fs in sets.values():
        fsets.append(f"{{ {len(flags)}, {len(fs['flags'])} }}")
        for name, _, value, mask in fs["flags"]:
            v, m = value & (2**64 - 1), (value if mask is None else mask) & (2**64 - 1)
            flags.append(f"{{ {v:#x}, {m:#x}, {s.add(name)} }}")
    if s.size > 65535:
        fail("strings", "pool is larger than 64 KiB")
    for ctype, name, rows in (("struct syscall_info", "syscall_infos", infos),
                              ("struct syscall_arg", "syscall_args", args),
                              ("struct syscall_flag", "syscall_flags", flags),
                              ("struct syscall_flag_set", "syscall_flag_sets", fsets)):
        print(f"const {ctype} {name}[] = {{")
        for r in rows:
            print(f"\t{r},")
        print("};\n")
    print("const char syscall_strings[] =")
    print("\n".join(f'\t"{t}\\0"' for t in s.text) + ";")


def out_docs(calls, sets):
    count = {st: sum(c.state == st for c in calls) for st in STATES}
    print(f"""# System calls

<!-- {BANNER}; `tools/gen/syscalls.py docs > docs/syscalls.md` -->

The x86-64 calls of Linux 6.1 and the later ones known so far: {count['supported']} supported,
{count['partial']} partial, {count['absent']} absent. An absent call returns `-ENOSYS`, as on a kernel
built without that feature, and so does a number that is not in the list. A flag that is not known is
refused with the error that Linux gives for it. *Restart* says what a signal does to a call that
sleeps: `sys` is restarted under SA_RESTART, `nohand` only when no handler ran, `block` goes on with
the time that is left, `no` fails with `EINTR` or never sleeps.

| Nr | Call | State | Restart | What is missing |
|---:|---|---|---|---|""")
    for c in calls:
        print(f"| {c.nr} | `{c.name}` | {c.state} | {c.restart} | {c.note} |")


def out_json(calls, sets):
    rows = [{"nr": c.nr, "name": c.name, "state": c.state, "result": c.result, "restart": c.restart,
             "args": [{k: v for k, v in (("name", a.name), ("kind", a.kind), ("set", a.set), ("dir", a.dir),
                                         ("struct", a.struct), ("len", a.len), ("type", a.ctype)) if v}
                      for a in c.args]} for c in calls]
    flags = {n: {"width": s["width"], "values": [{"name": f[0], "value": f[2], "mask": f[2] if f[3] is None else f[3]}
                                                 for f in s["flags"]]} for n, s in sets.items()}
    json.dump({"calls": rows, "sets": flags}, sys.stdout, indent=1)
    print()


def main():
    sets = read_flags()
    calls = read_calls(sets)
    writers = {"protos": out_protos, "flags": out_flags, "info": out_info, "table": out_table,
               "docs": out_docs, "json": out_json}
    if len(sys.argv) != 2 or sys.argv[1] not in writers:
        sys.exit(__doc__)
    writers[sys.argv[1]](calls, sets)


main()
