"""Signals sent to the launcher reach the guest's foreground job."""
import os
import signal
import subprocess
import time

from tap import BOOT_LIMIT, case, command, equal, holds


def start(*cmd, options=()):
    """A machine whose command prints `ready` when it is."""
    child = subprocess.Popen(command(*options, cmd=cmd), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(child.stdout.readline(), b"ready\n", "first line")
    return child


def finish(child):
    """Its result.  stdin stays open until the end: an end of file must not race with the signal."""
    child.wait(timeout=BOOT_LIMIT)
    out, err = child.communicate()
    return child.returncode, out, err


# A builtin waits, not a child: a shell that learns of a child's death first would report it on stderr.
# It waits for a second at a time: what comes between its look at the traps and its read() is seen at the next one.
TRAP = "trap 'echo {0}; exit 21' {0}; echo ready; while :; do read -t 1 line; done"


@case("signals: INT, TERM, HUP, USR1 and QUIT are the command's to handle")
def forwarded():
    for name in ("INT", "TERM", "HUP", "USR1", "QUIT"):
        child = start("sh", "-c", TRAP.format(name))
        child.send_signal(getattr(signal, "SIG" + name))
        equal(finish(child), (21, name.encode() + b"\n", b""), name)


# The job's programs must run: INT is lost on a child of BusyBox's shell that still has the shell's handler.
JOB = """(until grep -qx sleep /proc/[0-9]*/comm && grep -qx cat /proc/[0-9]*/comm; do :; done 2>/dev/null; echo ready) &
sleep 1000 | cat; echo not reached"""


@case("signals: INT ends the whole foreground job")
def interrupt_job():
    child = start("sh", "-c", JOB)
    child.send_signal(signal.SIGINT)
    equal(finish(child), (130, b"", b""), "result")


@case("signals: before the command runs they end the launcher")
def early():
    # -S: a machine whose CPUs do not run never gets as far as the command, however fast it boots.
    child = subprocess.Popen(command("--qemu", "-S", cmd=["true"]), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             start_new_session=True)
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    status, out, _ = finish(child)
    holds(status in (143, -15), f"status {status}")
    equal(out, b"", "stdout")


@case("signals: insisting ends a command that does not listen")
def insist():
    child = start("sh", "-c", "trap '' INT; echo ready; while :; do sleep 1; done")
    for _ in range(3):
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
    equal(finish(child)[0], 130, "status")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def running(pid):
    """A process whose parent has gone may stay a zombie where nobody reaps it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@case("signals: a killed launcher leaves no machine behind")
def killed():
    child = start("sh", "-c", "echo ready; sleep 1000")
    machines = children(child.pid)
    holds(machines, "the launcher has no child")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    for _ in range(100):
        if not any(running(pid) for pid in machines):
            return
        time.sleep(0.1)
    raise AssertionError("QEMU still runs")
