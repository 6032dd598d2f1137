#!/usr/bin/python3
"""Reads spec/trace.tbl; writes what is made from it.

usage: trace.py {header|json|docs} > FILE    (run at the top of the tree)

header  core/trace_events.h  numbers, groups, recorders
json    trace.json           the decoder's table
docs    docs/tracepoints.md
"""
import json
import re
import sys

WIDE = {"u64": "u64", "i64": "i64", "hex": "u64"}
HALF = {"u32": "u32", "i32": "i32", "errno": "i32", "sysno": "u32", "vector": "u32",
        "state": "u32", "rank": "u32", "kind": "u32"}
BANNER = "generated from spec/trace.tbl: do not edit"


def fail(number, text):
    sys.exit(f"spec/trace.tbl:{number}: {text}")


def place(args, number):
    """[(name, type, word, half or None)]: wide ones take a word, the others share."""
    out, word, half = [], 0, 0
    for text in args:
        name, _, kind = text.partition(":")
        if kind == "str16" and not out:
            out.append((name, kind, 0, None))
            word = 2
        elif kind in WIDE:
            word, half = word + (half > 0), 0
            out.append((name, kind, word, None))
            word += 1
        elif kind in HALF:
            out.append((name, kind, word, half))
            word, half = (word, 1) if half == 0 else (word + 1, 0)
        else:
            fail(number, f"{text}: not name:type")
    if word + (half > 0) > 2:
        fail(number, "more than two words of arguments")
    return out


def read(path="spec/trace.tbl"):
    points, enums = [], {}
    for number, line in enumerate(open(path, encoding="ascii"), 1):
        line = line.partition("#")[0]
        if not line.strip():
            continue
        if line.startswith("enum "):
            enums[line.split()[1]] = line.split()[2:]
            continue
        head, _, text = line.partition("\t: ")
        words = head.split()
        if len(words) < 2 or not re.fullmatch(r"[a-z0-9]+\.[a-z0-9_]+", words[0]) or \
                words[1] not in ("span", "event") or not text:
            fail(number, "not NAME KIND ARGS : TEXT")
        args = words[2:]
        at = args.index("->") if "->" in args else len(args)
        points.append({"name": words[0], "kind": words[1], "text": text.strip(),
                       "args": place(args[:at], number), "end": place(args[at + 1:], number)})
    return points, enums


def parameter(arg):
    name, kind, _, _ = arg
    return f"const char {name}[16]" if kind == "str16" else f"{WIDE.get(kind) or HALF[kind]} {name}"


def words_of(args):
    words = ["0", "0"]
    for name, kind, word, half in args:
        if kind == "str16":
            return [f"trace_text({name}, 0)", f"trace_text({name}, 1)"]
        value = f"(u64){name}" if half is None else f"(u64)(u32){name}{' << 32' if half else ''}"
        words[word] = value if words[word] == "0" else f"{words[word]} | {value}"
    return words


def recorder(point, suffix, phase, args):
    name = point["name"].replace(".", "_")
    group = point["name"].split(".")[0].upper()
    first, second = words_of(args)
    parameters = ", ".join(map(parameter, args)) or "void"
    return (f"static inline void trace_{name}{suffix}({parameters})\n{{\n"
            f"\tif (unlikely(trace_mask & TRACE_GROUP_{group}))\n"
            f"\t\ttrace_record(TRACE_{name.upper()} << 2 | {phase}, {first}, {second});\n}}\n")


def header(points, enums):
    groups = list(dict.fromkeys(point["name"].split(".")[0] for point in points))
    if len(groups) > 32:
        sys.exit("spec/trace.tbl: more than 32 groups")
    print(f"/* {BANNER}. */\n#pragma once\n\nenum trace_group {{")
    for bit, group in enumerate(groups):
        print(f"\tTRACE_GROUP_{group.upper()} = 1u << {bit},")
    print("};\n#define TRACE_GROUP_NAMES " + ", ".join(f'"{group}"' for group in groups))
    for name, values in enums.items():
        print(f"\nenum trace_{name} {{")
        for value in values:
            print(f"\tTRACE_{name.upper()}_{value.upper()},")
        print("};")
        names = ", ".join(f'"{value}"' for value in values)
        print(f"#define TRACE_{name.upper()}_NAMES {names}")
    print("\nenum trace_event {")
    for point in points:
        print(f"\tTRACE_{point['name'].replace('.', '_').upper()},")
    print("};")
    print("#define TRACE_EVENT_NAMES " + ", ".join(f'"{point["name"]}"' for point in points) + "\n")
    for point in points:
        if point["kind"] == "event":
            print(recorder(point, "", "TRACE_INSTANT", point["args"]))
        else:
            print(recorder(point, "_begin", "TRACE_BEGIN", point["args"]))
            print(recorder(point, "_end", "TRACE_END", point["end"]))
            if not point["args"] and not point["end"]:
                name = point["name"].replace(".", "_")
                print(f"static inline void trace_{name}_leave(char *unused) {{ trace_{name}_end(); }}\n")


def table(points, enums):
    def columns(args):
        return [{"name": name, "type": kind, "word": word, "half": half}
                for name, kind, word, half in args]
    ranks = {}
    for line in open("spec/lockorder.tbl", encoding="ascii"):
        words = line.partition("#")[0].split()
        if words:
            ranks[words[0]] = words[1]
    json.dump({"enums": {**{name: dict(enumerate(values)) for name, values in enums.items()},
                         "rank": ranks},
               "points": [{**point, "args": columns(point["args"]), "end": columns(point["end"])}
                          for point in points]}, sys.stdout, indent=1)
    print()


def docs(points, _):
    print(f"# Tracepoints\n\n<!-- {BANNER} -->\n\n"
          "`./saker trace -e GROUPS` records some groups; without `-e` all. How to read a trace: `observability.md`.\n\n"
          "| name | kind | arguments | at the end | meaning |\n|---|---|---|---|---|")
    for point in points:
        names = [", ".join(f"{arg[0]}" for arg in point[part]) for part in ("args", "end")]
        print(f"| `{point['name']}` | {point['kind']} | {names[0]} | {names[1]} | {point['text']} |")


if __name__ == "__main__":
    {"header": header, "json": table, "docs": docs}[sys.argv[1]](*read())
