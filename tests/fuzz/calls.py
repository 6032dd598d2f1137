#!/usr/bin/python3
"""Random system calls in the guest: builds tests/fuzz/calls.c with the table of spec/syscalls.tbl and boots it.

usage: calls.py SECONDS [SEED [ROUNDS]].  On Saker a debug kernel (lock ranks, poison) with debug=verify,audit is
booted.  Environment: SAKER_TEST_KERNEL=saker|linux, SAKER_TEST_SMP (2).  The last line is the
number of rounds; exit status 1 if the kernel or the program did not stay whole.
"""
import json
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "busybox"))

import machine  # noqa: E402
from machine import KERNEL, TOP  # noqa: E402

OUT = os.path.join(TOP, "build/fuzz")
KINDS = {
    "fd": "FD", "dirfd": "DIRFD", "int": "SMALL", "uint": "SMALL", "ulong": "SMALL", "size": "SIZE", "pid": "PID",
    "uid": "ID", "gid": "ID", "mode": "MODE", "cmode": "MODE", "sig": "SIG", "addr": "ADDR", "upath": "PATH",
    "ustr": "STRING", "argv": "VECTOR", "envp": "VECTOR", "flags": "SET", "enum": "SET", "struct": "POINTER",
    "bytes": "POINTER", "ptr": "POINTER", "ostr": "POINTER", "sockaddr": "POINTER", "osockaddr": "POINTER",
    "sockoptarg": "POINTER", "ioctlarg": "POINTER",
}


def table(path):
    """calls.h: the sets of values and the calls that the kernel has."""
    with open(os.path.join(TOP, "build/gen/syscalls.json"), encoding="utf-8") as file:
        grammar = json.load(file)
    names = list(grammar["sets"])
    lines = []
    for number, name in enumerate(names):
        values = ", ".join(f"{value['value']}l" for value in grammar["sets"][name]["values"])
        lines.append(f"static const long set_{number}[] = {{ {values} }};")
    lines.append("static const struct set sets[] = {")
    lines += [f"\t{{ set_{n}, sizeof(set_{n}) / sizeof(long) }}," for n in range(len(names))]
    lines.append("};\nstatic const struct call calls[] = {")
    for call in grammar["calls"]:
        if call["state"] == "absent":
            continue
        args = ", ".join(
            f"{{ K_{KINDS.get(arg['kind'], 'ANY')}, {names.index(arg['set']) if 'set' in arg else 0} }}"
            for arg in call["args"])
        lines.append(f"\t{{ {call['nr']}, {{ {args} }} }},\t/* {call['name']} */")
    lines.append("};")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def root():
    """The default root with the program at /prog; its path."""
    os.makedirs(OUT, exist_ok=True)
    table(f"{OUT}/calls.h")
    subprocess.run(["musl-gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", f"-I{OUT}",
                    "-o", f"{OUT}/calls", os.path.join(HERE, "calls.c")], check=True)
    with open(f"{OUT}/calls.spec", "w", encoding="utf-8") as file:
        file.write("file /prog 755 build/fuzz/calls\n")
    machine.pack("build/fuzz/calls.cpio", "guest/rootfs.spec", "build/fuzz/calls.spec")
    return "build/fuzz/calls.cpio"


def main(words):
    seconds = int(words[0]) if words else 60
    options = ["--rootfs", root(), "--mem", "256M", "--smp", os.environ.get("SAKER_TEST_SMP", "2"),
               "--timeout", str(seconds * 3 + 120)]
    kernel = KERNEL
    if kernel == "saker":
        subprocess.run(["make", "-s", "-f", "mk/kernel.mk", "DEBUG=1", "kernel"], cwd=TOP, check=True,
                       stdout=subprocess.DEVNULL)
        options += ["--kernel", "build/saker-debug.elf", "--append", "debug=verify,audit"]
    seed = words[1] if len(words) > 1 else str(int(time.time()))
    boot = machine.Boot(options, ["/prog", str(seconds), seed, *words[2:]], kernel=kernel)
    lines = list(boot.lines())
    rounds = sum(line.startswith("round ") for line in lines)
    good = boot.status == 0 and lines[-1:] == ["calm"]
    if not good:
        print(f"{boot.how()}; from seed {seed}")
        print("\n".join(lines[-60:]))
    print(f"{rounds} rounds from seed {seed}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
