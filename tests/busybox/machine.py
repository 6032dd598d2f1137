"""Machines for the groups suite, busybox, boot and stress: lines of a guest's output, TAP for us.

Environment: SAKER_TEST_KERNEL=saker|linux (saker), SAKER_TEST_FULL=1 for the long form, SAKER_TEST_SMP=N for
machines with so many CPUs, SAKER_TEST_APPEND for words on the kernel's command line (debug=verify,audit),
where the launcher puts them.
"""
import os
import queue
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SAKER = os.path.join(TOP, "saker")
KERNEL = os.environ.get("SAKER_TEST_KERNEL") or "saker"
FULL = bool(os.environ.get("SAKER_TEST_FULL"))
SMP = os.environ.get("SAKER_TEST_SMP")
APPEND = os.environ.get("SAKER_TEST_APPEND")
# A kernel that checks itself takes its time: limits are so many times longer.
PROVED = "debug=" in (APPEND or "")
PATIENCE = 4 if PROVED else 1
# How long a machine may stay silent.  A busy host's TCG is slow; a hang lasts for ever.
SILENCE = 240


class Report:
    """TAP on stdout; threads may share one."""

    def __init__(self):
        self.count = self.bad = 0
        self.lock = threading.Lock()
        print("TAP version 13", flush=True)

    def result(self, good, name, *notes):
        with self.lock:
            self.count += 1
            self.bad += not good
            print(f"{'ok' if good else 'not ok'} {self.count} - {name.replace('#', '<hash>')}")
            for note in notes:
                for line in note.splitlines() or [""]:
                    print(f"  # {line}")
            sys.stdout.flush()

    def note(self, text):
        with self.lock:
            print(f"# {text}", flush=True)

    def finish(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.bad or not self.count else 0


def command(options, cmd, kernel=KERNEL):
    words = [SAKER, "run", *options]
    if kernel != "saker":
        words += ["--kernel", kernel]
    return [*words, "--", *cmd]


class Boot:
    """A running machine whose output is read line by line.  silent: it stopped talking and was
    ended; status: the launcher's, once the lines are over."""

    def __init__(self, options, cmd, silence=SILENCE, kernel=KERNEL):
        self.silence = silence * PATIENCE
        self.silent = False
        self.status = None
        self.started = time.monotonic()
        self.child = subprocess.Popen(command(options, cmd, kernel), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=TOP)
        self.queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for raw in self.child.stdout:
            self.queue.put(raw)
        self.queue.put(None)

    def lines(self):
        while True:
            try:
                raw = self.queue.get(timeout=self.silence)
            except queue.Empty:
                self.silent = True
                self.child.kill()
                self.silence = 10
                continue
            if raw is None:
                break
            yield raw.decode(errors="backslashreplace").rstrip("\r\n")
        self.status = self.child.wait()

    def how(self):
        return "no output for too long" if self.silent else f"launcher status {self.status}"


def applets(name):
    """Lines for mkinitramfs: `name`'s BusyBox at /bin/busybox with a link per applet."""
    if name == "musl":
        return ("file /bin/busybox 755 build/busybox/busybox\n"
                "applets build/busybox/busybox.links /bin/busybox\n")
    listed = subprocess.run(["/bin/busybox", "--list-full"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.split()
    return "file /bin/busybox 755 /bin/busybox\n" + "".join(
        f"slink /{path} /bin/busybox\n" for path in listed if path != "bin/busybox")


def root_spec(name, out):
    """Writes guest/rootfs.spec with `name`'s BusyBox (musl or debian) to the path out."""
    with open(os.path.join(TOP, "guest/rootfs.spec"), encoding="utf-8") as file:
        lines = [line for line in file
                 if not line.startswith("applets") and not line.startswith("file\t/bin/busybox")]
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="utf-8") as file:
        file.writelines(lines)
        file.write(applets(name))


def pack(out, *inputs):
    subprocess.run([os.path.join(TOP, "tools/mkinitramfs"), "-o", out, *inputs], cwd=TOP,
                   check=True)
