#!/usr/bin/env python3
"""Symbol table for backtraces: `nm -n` on stdin -> assembly on stdout (see kern/core/ksyms.c).  --data: variables too."""
import re
import sys

BY_LINKER = re.compile(r"\.|__.*_(start|end|load|size)$")     # marks of the linker script, labels


def read_symbols(lines, kinds):
    """Symbols of these kinds as (address, name), one per address, ascending."""
    syms = {}
    for line in lines:
        parts = line.split()
        if len(parts) != 3 or parts[1] not in kinds:
            continue
        addr, name = int(parts[0], 16), parts[2]
        if addr < 0xFFFFFFFF80000000 or BY_LINKER.match(name):
            continue
        old = syms.get(addr)
        if old is None or (parts[1].isupper() and old[1].islower()):
            syms[addr] = (name, parts[1])
    return [(a, syms[a][0]) for a in sorted(syms)]


def main():
    syms = [] if "--empty" in sys.argv else read_symbols(sys.stdin, "tTdDbBrR" if "--data" in sys.argv else "tT")
    out = [".section .ksyms, \"a\"", ".balign 8",
           ".globl ksyms_count, ksyms_addrs, ksyms_name_offs, ksyms_names",
           "ksyms_count: .long %d" % len(syms), "ksyms_addrs:"]
    out += [".long 0x%x" % (a & 0xFFFFFFFF) for a, _ in syms]
    out.append("ksyms_name_offs:")
    off = 0
    for _, name in syms:
        out.append(".long %d" % off)
        off += len(name) + 1
    out.append("ksyms_names:")
    out += ['.asciz "%s"' % name for _, name in syms]
    out += [".byte 0", ".section .note.GNU-stack, \"\", @progbits"]
    print("\n".join(out))


main()
