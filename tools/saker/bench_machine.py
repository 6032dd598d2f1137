"""One boot of the benchmark program as process 1, with no launcher protocol in between: its lines
come over the serial console.  The command line is the launcher's own, the same for every kernel."""
import os
import subprocess
import tempfile
import time
import _socket

from . import cpio, qemu
from .error import Fatal
from .options import Options
from .outbox import Outbox
from .run import _spawn

# The counter charges an iteration of a rep instruction as an instruction.  A kernel that clears a
# page bytewise, because the CPU says that is fast (ERMS), would be charged 4096 where one that
# clears it by words is charged 512 for the same work: so no kernel is told.
ICOUNT = "-icount shift=0,sleep=off -cpu max,-erms,-fsrm"
MEM = "1536M"
LINUX = "build/linux/vmlinuz"
# Name in report.json, kernel, words added to its command line.
KERNELS = {"saker": ("build/saker.elf", ""), "linux": (LINUX, ""),
           "linux_mitigations_off": (LINUX, "mitigations=off")}


class Boot:
    """What one boot said.  rows: {name: [per iteration, ...]}, points: {(curve, x): figure}."""

    def __init__(self):
        self.rows, self.points, self.failures = {}, {}, []
        self.order = []
        self.boot = self.free_kib = None
        self.ended = False
        self.seconds = 0.0

    def line(self, text, unit):
        words = text.split()
        if words[:1] == ["boot"] and len(words) == 3:
            self.boot, self.free_kib = int(words[1]) / unit, int(words[2])
        elif words[:1] == ["row"] and len(words) == 4:
            self.rows.setdefault(words[1], []).append(int(words[3]) / int(words[2]) / unit)
            self.order.append((words[1], int(words[2])))
        elif words[:1] == ["point"] and len(words) == 5:
            self.points[words[1], int(words[2])] = int(words[4]) / int(words[3]) / unit
            self.order.append((words[1], int(words[3])))
        elif words[:1] == ["fail"] and len(words) > 1:
            self.failures.append((words[1], " ".join(words[2:])))
        elif words == ["end"]:
            self.ended = True
        else:
            return False
        return True


def initrd(top, words):
    """The root and, behind it, the words for this boot."""
    fd = os.memfd_create("bench", 0)
    with open(fd, "wb", buffering=1 << 20, closefd=False) as file:
        with open(os.path.join(top, "build/bench/root.cpio"), "rb") as root:
            file.write(root.read())
        file.write(b"\0" * (-file.tell() % 4096))
        archive = cpio.Archive(file)
        archive.add("bench/args", 0o100644, data=(" ".join(words) + "\n").encode())
        archive.finish()
    return fd


def arguments(top, kernel, icount, mem, extra, ring=None):
    path, append = KERNELS[kernel]
    options = Options(top)
    options.kernel = os.path.join(top, os.environ.get("SAKER_BENCH_KERNEL", path)
                                  if kernel == "saker" else path)
    if not os.path.exists(options.kernel):
        raise Fatal(f"{path} is missing; run make setup all")
    options.append = append
    options.mem = mem
    options.qemu = " ".join(([ICOUNT] if icount else []) + ([extra] if extra else []))
    if ring:
        options.outbox = "64K"
        options.append += f" debug=trace trace_ring={ring}"
    accel = "tcg" if icount or extra else qemu.accelerator("auto")
    return options, qemu.command_line(options, accel, "/bench/bench",
                                      f"/proc/self/fd/{qemu.INITRD_FD}")


def ticks_per_ns(top, icount):
    if icount:
        return 1.0
    khz = qemu.tsc_khz(top)
    if not khz:
        raise Fatal("build/tsc-khz is missing; run make")
    return int(khz) / 1e6


def _lines(console, pid, timeout):
    """The console's lines, until the machine ends or stays silent too long."""
    import select
    held, deadline = b"", time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([console], [], [], left)[0]:
            yield None
            return
        data = os.read(console, 65536)
        if not data:
            return
        held += data
        *whole, held = held.split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").strip("\r")


def boot(top, kernel, words, icount=True, mem=MEM, extra="", timeout=200, progress=None,
         recorder=None, ring=None):
    """Runs one boot to its end and says what it measured.  recorder: of trace_read, gets the spans."""
    result = Boot()
    unit = ticks_per_ns(top, icount)
    options, argv = arguments(top, kernel, icount, mem, extra, ring)
    outbox = Outbox(options) if recorder else None
    console, console_qemu = _socket.socketpair()
    agent, agent_qemu = _socket.socketpair()
    log = tempfile.TemporaryFile()
    fd = initrd(top, words)
    started = time.monotonic()
    fds = [(log.fileno(), 1), (log.fileno(), 2), (console_qemu.fileno(), qemu.CONSOLE_FD),
           (agent_qemu.fileno(), qemu.AGENT_FD), (fd, qemu.INITRD_FD)]
    pid = _spawn(argv, fds + ([(outbox.fd, qemu.RAM_FD)] if outbox else []))
    for one in (console_qemu, agent_qemu):
        one.close()
    os.close(fd)
    tail = []
    try:
        for line in _lines(console.fileno(), pid, timeout):
            if line is None:
                result.failures.append(("machine", f"no end within {timeout} s"))
                break
            if not result.line(line, unit):
                tail = (tail + [line])[-12:]
            elif progress:
                progress(kernel, line)
            if result.ended:
                break
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        if recorder:
            recorder.poll(outbox)
        console.close()
        agent.close()
    log.seek(0)
    result.seconds = time.monotonic() - started
    if not result.ended and not result.failures:
        said = log.read().decode(errors="replace").splitlines() + tail
        result.failures.append(("machine", "ended early: " + " / ".join(said[-6:])))
    return result


def symbols(path):
    """[(address, name)] of an ELF file's code, sorted."""
    text = subprocess.run(["nm", "-n", path], stdout=subprocess.PIPE, check=True, text=True).stdout
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tTwW":
            found.append((int(words[0], 16), words[2]))
    return found


def count(top, kernel, words, blocks, timeout=300):
    """A boot under the counting plugin: (Boot, [(user, kernel, [(pc, length, runs)], (port, mmio))])."""
    marks = dict((name, at) for at, name in symbols(os.path.join(top, "build/bench/bench")))
    with tempfile.NamedTemporaryFile("r") as out:
        plugin = (f"-plugin {top}/build/bench/count.so,begin={marks['bench_mark_begin']:#x},"
                  f"end={marks['bench_mark_end']:#x},out={out.name},blocks={int(blocks)}")
        result = boot(top, kernel, words, True, MEM, plugin, timeout)
        counts = []
        for line in out:
            fields = line.split()
            if fields[0] == "count":
                counts.append((int(fields[1]), int(fields[2]), [], (int(fields[3]), int(fields[4]))))
            elif len(fields) == 4:
                counts[-1][2].append((int(fields[1], 16), int(fields[2]), int(fields[3])))
    return result, counts
