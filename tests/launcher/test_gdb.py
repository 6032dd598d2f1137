"""--gdb, and the commands of tools/gdb/saker.py in a real session."""
import os
import shutil
import socket
import subprocess

from tap import BOOT_LIMIT, TOP, case, command, holds

SCRIPT = os.path.join(TOP, "tools/gdb/saker.py")
ELF = os.path.join(TOP, "build/kern/saker.elf")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def session(commands, options=(), cmd=("sleep", "1000")):
    """gdb's output for commands, given where the command is about to sleep."""
    port = free_port()
    machine = subprocess.Popen(command(f"--gdb={port}", *options, cmd=cmd), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    words = [shutil.which("gdb") or "gdb", "-nx", "-batch", "-x", SCRIPT, ELF]
    for one in ("set pagination off", "set tcp connect-timeout 20", f"target remote 127.0.0.1:{port}",
                "hbreak sys_nanosleep", "continue", *commands, "kill"):
        words += ["-ex", one]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_LIMIT,
                              check=False)
    finally:
        machine.kill()
        machine.communicate()
    holds("sys_nanosleep (self=" in done.stdout, f"the breakpoint was hit: {done.stdout[-800:]} {done.stderr[-800:]}")
    return done.stdout + done.stderr


def wants(output, *texts):
    for text in texts:
        holds(text in output, f"gdb says {text!r}: {output[-2500:]}")


@case("gdb: processes, areas, entries, frames, queues, locks", only="saker")
def objects():
    output = session(["saker ps", "saker maps 2", "saker pte 0x400000 2", "saker page 0x400", "saker runq", "saker locks",
                      "saker bt 2", "saker trace", "saker nonsense"], ("--smp", "2"))
    wants(output, "  PID   TID  PPID S CPU NAME", " sleep\n", "000000400000-", "/bin/busybox", "level 3 [  0]",
          "0x400000 is in frame", "frame 0x400 (physical 0x400000):", "CPU 0: runs", "CPU 1: runs",
          "taken: ", "build it with DEBUG=1", "runs on CPU",
          "syscall_dispatch", "the tracer is off", "saker ps|maps PID")


@case("gdb: the tracer's last records", only="saker")
def records():
    output = session(["saker trace 5"], ("--debug", "trace"))
    wants(output, "syscall.call begin")


@case("gdb: the stack of a thread that sleeps", only="saker")
def sleeper():
    output = session(["saker bt 1", "saker locks"])
    wants(output, "sched_switch", "syscall_dispatch", "user: rip 0x", "none of the global spinlocks")
