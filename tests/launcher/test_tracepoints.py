"""Every line of spec/trace.tbl, and every kind of page fault, is recorded in a real run."""
import json
import os
import subprocess

from tap import BOOT_LIMIT, SAKER, TOP, case, cpus, equal, holds, scratch

PROGRAM = os.path.join(TOP, "tests/launcher/tracepoints.c")


def names_in(events):
    """The tracepoints that a recording shows.  A switch is where a thread's slice on a CPU ends; a call has its own name."""
    for event in events:
        if event["ph"] == "X" and event["cat"] == "running":
            yield "sched.switch"
        elif event["ph"] in "Xi":
            yield "syscall.call" if event["name"].startswith("syscall.") else event["name"]


@case("trace: every tracepoint of the table and every kind of fault is recorded", only="saker")
def every_tracepoint():
    with open(os.path.join(TOP, "build/gen/trace.json"), encoding="ascii") as file:
        table = json.load(file)
    with scratch() as top:
        os.mkdir(top + "/root")
        subprocess.run(["gcc", "-O1", "-static", "-pthread", "-o", top + "/root/all", PROGRAM], check=True)
        done = subprocess.run([SAKER, "trace", "--timeout", str(BOOT_LIMIT), *cpus(2), "--boot", "--ring", "64M", "-o", "t.json",
                               "--rootfs", top + "/root", "--", "/all"], cwd=top, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=BOOT_LIMIT + 30, check=False)
        equal((done.returncode, done.stdout), (0, b"seen\n"), f"status and stdout; {done.stderr[-500:]!r}")
        with open(top + "/t.json", encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
    missing = {point["name"] for point in table["points"]} - set(names_in(events))
    equal(missing, set(), "tracepoints not recorded")
    kinds = {event["args"]["kind"] for event in events if event["name"] == "fault.kind"}
    equal(set(table["enums"]["kind"].values()) - kinds, set(), "kinds of fault not recorded")
    holds(not any(isinstance(kind, int) for kind in kinds), f"kinds without a name: {kinds}")
