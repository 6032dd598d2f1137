"""Crash reports and core files: `run --crash`, `run --core`, `saker crash`, and gdb on what they keep."""
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as xml

from tap import BOOT_LIMIT, SAKER, TOP, case, equal, holds, run, scratch

SCRIPT = os.path.join(TOP, "tools/gdb/saker.py")
ELF = os.path.join(TOP, "build/kern/saker.elf")
# The program that is to be the first process ends at once.
PANIC = ["--append", "rdinit=/bin/true", "--mem", "64M"]
REASON = "Attempted to kill init! exitcode=0x00000000"


def reports(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def gdb(core, *commands):
    words = [shutil.which("gdb") or "gdb", "-nx", "-batch", "-x", SCRIPT]
    for one in ("set pagination off", f"core-file {core}", *commands):
        words += ["-ex", one]
    done = subprocess.run([*words, ELF], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_LIMIT, check=False)
    return done.stdout + done.stderr


@case("crash: a panic gives one report, as text and as JSON, symbolised the same in both", only="saker")
def panic():
    with scratch() as top:
        done = run("true", options=[*PANIC, "--crash", top + "/crash"])
        equal(done.status, 125, "status")
        found = reports(top + "/crash")
    equal(len(found), 1, "reports")
    report, text = found[0], done.err.decode()
    equal((report["kind"], report["reason"], report["pid"], report["tid"]), ("panic", REASON, 1, 1), "report")
    functions = [frame.get("function") for frame in report["frames"]]
    holds(functions[0] == "task_exit" and {"sys_exit_group", "syscall_whole"} <= set(functions), functions)
    for frame in report["frames"]:
        line = f"[<{int(frame['address'], 16):016x}>] {frame['function']}+{frame['offset']:#x}"
        holds(line in text, f"no {line} in {text}")
    equal(report["calls"][-1], {"number": 231, "name": "exit_group"}, "the call that runs")
    holds(" exit_group (231) running" in text and " arch_prctl (158) = 0" in text, text)
    holds({"busybox", "[stack]"} <= {area["name"] for area in report["areas"]}, report["areas"])
    holds({"rip", "rsp", "rbp"} <= set(report["registers"]), report["registers"])
    equal(report["parts_missing"], 0, "parts missing")
    holds("crash-json" not in text, "JSON in the text")


FAULT = "#include <stdio.h>\nint main(void) { int *volatile p = (int *)0x1234; puts(\"here\"); fflush(stdout); return *p; }\n"


@case("crash: a program's fatal fault, when asked for", only="saker")
def fault():
    with scratch() as top:
        os.mkdir(top + "/root")
        with open(top + "/f.c", "w", encoding="ascii") as file:
            file.write(FAULT)
        subprocess.run(["gcc", "-static", "-o", top + "/root/faulty", top + "/f.c"], check=True)
        options = ["--rootfs", top + "/root", "--crash", top + "/crash"]
        done = run("/faulty", options=[*options, "--debug", "crash"])
        equal((done.status, done.out), (139, b"here\n"), "status and output")
        found = reports(top + "/crash")
        equal(run("/faulty", options=options).status, 139, "status without debug=crash")
        equal(reports(top + "/crash"), [], "reports without debug=crash")
    equal(len(found), 1, "reports")
    report, text = found[0], done.err.decode()
    equal((report["kind"], report["signal"], report["fault_address"]), ("user", 11, "0x1234"), "report")
    holds(report["reason"].startswith("faulty["), report["reason"])
    equal(report["frames"][0]["area"]["name"], "faulty", "where")
    equal((report["calls"][-1]["name"], report["calls"][-1]["result"]), ("write", 5), "last call")
    holds("killed by SIGSEGV" in text and "fault address: 0x1234" in text, text)


@case("crash: `saker crash` shows a kept report, and draws it", only="saker")
def shown():
    with scratch() as top:
        run("true", options=[*PANIC, "--crash", top + "/crash"])
        done = subprocess.run([SAKER, "crash", "--svg", top + "/c.svg", top + "/crash"], capture_output=True, text=True, check=False)
        equal((done.returncode, done.stderr), (0, ""), "saker crash")
        picture = "".join(xml.parse(top + "/c.svg").getroot().itertext())
        for text in (REASON, "task_exit+0x", "syscall_whole+0x", "exit_group (231) running", "thread 1 of process 1"):
            holds(text in done.stdout and text in picture, f"{text}: {done.stdout}")
        for name, status in (("/missing", 2), ("/c.svg", 2)):
            equal(subprocess.run([SAKER, "crash", top + name], capture_output=True, check=False).returncode, status, name)


@case("core: gdb opens a panic's core: symbols, a backtrace, processes, where it panicked", only="saker")
def core():
    with scratch() as top:
        done = run("true", options=[*PANIC, "--core", top + "/core"])
        equal(done.status, 125, "status")
        output = gdb(top + "/core", "print init_process->pid", "print panic_timeout", "thread apply all backtrace",
                     "info symbol $rip", "saker crash", "saker ps", "saker maps 1", "saker runq")
    for text in ("$1 = 1\n", "$2 = 0\n", "#0  cpu_halt_forever () at kern/arch/x86_64/cpu.c:", " in finish () at kern/core/panic.c:",
                 "cpu_halt_forever", f"panic: {REASON}", "/bin/busybox", ": runs true"):
        holds(text in output, f"gdb says {text!r}: {output}")
    holds(re.search(r"#2 .* sys_exit_group \+ \d+ at kern/abi/sys_process.c:\d+", output), output)
    holds(re.search(r"^ +1 +1 +0 R +\d true$", output, re.M), output)


@case("core: a run that ends well has one too, with the sleeping threads' stacks", only="saker")
def healthy():
    with scratch() as top:
        run("sh", "-c", "sleep 1000 & until grep -q '(sleep) S' /proc/$!/stat; do :; done; exec true",
            options=["--mem", "64M", "--core", top + "/core"]).check(0)
        output = gdb(top + "/core", "saker crash", "saker ps", "saker bt 3")
    holds("the kernel has not panicked" in output, output)
    holds(re.search(r"^ +3 +3 +\d+ S +\d sleep$", output, re.M), output)
    holds("sched_switch" in output and "syscall_entry" in output and "nanosleep" in output, output)
