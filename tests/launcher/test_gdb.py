"""--gdb, and the commands of tools/gdb/saker.py in a real session."""
import os
import re
import shutil
import socket
import subprocess

from tap import BOOT_LIMIT, TOP, case, command, cpus, holds

SCRIPT = os.path.join(TOP, "tools/gdb/saker.py")
ELF = os.path.join(TOP, "build/kern/saker.elf")
DEBUG_KERNEL, DEBUG_ELF = "build/saker-debug.elf", os.path.join(TOP, "build/kern-debug/saker.elf")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def read_until(pipe, mark):
    """What comes up to mark, the machine's own time limit at the latest."""
    found = b""
    while mark not in found:
        piece = os.read(pipe.fileno(), 65536)
        if not piece:
            break
        found += piece
    return found


def session(commands, options=(), cmd=("sleep", "1000"), stop="sys_nanosleep", until=None, elf=ELF):
    """gdb's output for commands, given where stop is called: the command is about to sleep.  And the program's:
    what it wrote may still be on its way then, so until, if given, is waited for with the machine running again."""
    port = free_port()
    machine = subprocess.Popen(command(f"--gdb={port}", *options, cmd=cmd), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    words = [shutil.which("gdb") or "gdb", "-nx", "-batch", "-x", SCRIPT, elf]
    for one in ("set pagination off", "set tcp connect-timeout 20", f"target remote 127.0.0.1:{port}",
                f"hbreak {stop}", "continue", *commands, "detach" if until else "kill"):
        words += ["-ex", one]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_LIMIT,
                              check=False)
        printed = read_until(machine.stdout, until) if until else b""
    finally:
        machine.kill()
        machine.communicate()
    holds(f"{stop} (" in done.stdout, f"the breakpoint was hit: {done.stdout[-800:]} {done.stderr[-800:]}")
    return done.stdout + done.stderr, printed.decode()


def wants(output, *texts):
    for text in texts:
        holds(text in output, f"gdb says {text!r}: {output[-2500:]}")


@case("gdb: processes, areas, entries, frames, queues, locks", only="saker")
def objects():
    output, _ = session(["saker ps", "saker maps 2", "saker pte 0x400000 2", "saker page 0x400", "saker runq", "saker locks",
                      "saker bt 2", "saker trace", "saker nonsense"], cpus(2))
    wants(output, "  PID   TID  PPID S CPU NAME", " sleep\n", "000000400000-", "/bin/busybox", "level 3 [  0]",
          "0x400000 is in frame", "frame 0x400 (physical 0x400000):", "CPU 0: runs", "CPU 1: runs",
          "taken: ", "build it with DEBUG=1", "runs on CPU",
          "syscall_entry", "the tracer is off", "saker ps|maps PID")


@case("gdb: the tracer's last records", only="saker")
def records():
    output, _ = session(["saker trace 5"], ("--debug", "trace"))
    wants(output, "syscall.call begin")


@case("gdb: the stack of a thread that sleeps", only="saker")
def sleeper():
    output, _ = session(["saker bt 3", "saker locks"], stop="sys_sync", cmd=(
        "sh", "-c", "sleep 1000 & until grep -q '(sleep) S' /proc/$!/stat; do :; done; sync"))
    wants(output, "sched_switch", "sys_nanosleep", "syscall_entry", "user: rip 0x", "none of the global spinlocks")


@case("gdb: saker maps says what /proc/PID/maps says, saker ps what ps says", only="saker")
def the_same():
    output, printed = session(["saker maps 2", "saker ps"], cmd=(
        "sh", "-c", "cat /proc/$$/maps; echo end; sleep 1000; :"), until=b"end\n")
    wanted = []
    for line in printed.splitlines()[:-1]:
        span, rights, offset, _, _, *name = line.split()
        start, end = (int(word, 16) for word in span.split("-"))
        if name and not name[0].startswith("["):
            wanted.append(f"{start:012x}-{end:012x} {rights} {int(offset, 16):08x} {name[0]}")
        else:
            wanted.append(f"{start:012x}-{end:012x} {rights}")
    holds(len(wanted) > 5, f"maps: {printed}")
    for line in wanted:
        holds(line in output, f"gdb has no {line!r}: {output}")
    # On CPUs of their own the shell may still be on its way from fork to the wait, the agent from what it read.
    for line in (r" +1 +1 +0 [RS] +\d init", r" +2 +2 +1 [RS] +\d sh", r" +4 +4 +2 R +\d sleep"):
        holds(re.search(f"^{line}$", output, re.M), f"no {line!r}: {output}")


@case("gdb: an entry, its frame and the bytes in it belong together", only="saker")
def translation():
    output, _ = session(["saker pte 0x400000 2",
                         'python frame = int(gdb.execute("saker pte 0x400000 2", to_string=True).split()[-1], 16)',
                         'python gdb.execute(f"saker page {frame:#x}")',
                         'python gdb.execute(f"x/s 0xffff888000000001 + {frame << 12:#x}")',
                         "saker pte 0x10000 2", "saker pte &init_process"])
    entry = re.search(r"level 0 \[  0\] (0x[0-9a-f]+) P-UA", output)
    holds(entry, output)
    frame = int(entry.group(1), 16) >> 12 & (1 << 40) - 1
    holds(re.search(f"0x400000 is in frame {frame:#x}$", output, re.M), output)
    found = re.search(f"frame {frame:#x} .physical {frame << 12:#x}.: PAGE_[A-Z]+, refs ([0-9]+)", output)
    holds(found and int(found.group(1)) >= 1, output)
    holds('"ELF\\002' in output, f"the file begins there: {output}")
    holds("not present" in output, output)
    holds(re.search(r"0xffffffff80[0-9a-f]+ is in frame", output), f"a kernel address: {output}")


@case("gdb: a lock that is held is named, and by the file it is in", only="saker")
def held():
    output, _ = session(["saker locks", "saker runq"], cmd=("sh", "-c", "true & true"), options=cpus(2), stop="notify_parent_exit_locked")
    wants(output, "taken: ", "proc_table_lock (kern/proc/pid.c)", "CPU 0: runs ", "CPU 1: runs ")


@case("gdb: a debug kernel knows who holds a lock, and where it was taken", only="saker")
def holders():
    subprocess.run(["make", "-s", "-f", "mk/kernel.mk", "DEBUG=1", "kernel"], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    output, _ = session(["saker locks"], cmd=("sh", "-c", "true & true"), options=("--kernel", os.path.join(TOP, DEBUG_KERNEL), *cpus(2)),
                        stop="notify_parent_exit_locked", elf=DEBUG_ELF)
    holds(re.search(r"^CPU \d+ holds proc_table_lock at 0x[0-9a-f]+, rank 44, taken in \w+ \+ \d+$", output, re.M), output[-1500:])
    holds("build it with DEBUG=1" not in output, output[-1500:])


@case("gdb: the newest record of a trace is the call that is being made", only="saker")
def newest():
    # With a second CPU the newest record may be that one's.
    output, _ = session(["saker trace 1", "saker bt 2"], ("--smp", "1", "--debug", "trace"))
    wants(output, "thread 2: syscall.call begin 0x23 ", "runs on CPU 0:", "#0  sys_nanosleep (")
