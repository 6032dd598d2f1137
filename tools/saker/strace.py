"""`saker strace`: runs a command and shows its system calls, in the format of Linux's strace.

The kernel (kern/abi/strace.c, debug=strace) decodes calls and sends pieces of lines; here they become
lines: which thread's, unfinished or resumed, filtered, counted.
"""
import os
import re
import struct

from . import options as option_words, outbox
from .error import Fatal

HELP = """\
usage: ./saker strace [options] [options of run] -- CMD [ARG...]

Run CMD as `saker run` does and show its system calls, signals and end.

  -f              its threads and children too
  -c              only count: calls, errors, time from entry to exit
  -e LIST         only these calls: open,close or !open or all or none, or the classes %file (takes
                  a name of a file), %desc (takes or returns a descriptor); also as -e trace=LIST.
                  -e signal=LIST: only these signals
  -o FILE         lines go to FILE instead of stderr
  -q              no message for a new process
  -T              time from entry to exit after each line

The status is CMD's.
"""
RECORD = struct.Struct("<QIIHB5x")
ENTER, LEAVE, FAILED, SIGNAL, END, ENTER_PART = range(1, 7)
COLUMN = 40
RING = "1M"
FLAGS = {"-f": "follow", "-c": "count", "-q": "quiet", "-T": "times"}


class Wishes:
    def __init__(self):
        self.follow = self.count = self.quiet = self.times = False
        self.output = None
        self.trace, self.signals = None, None


class Names:
    """A set of names from a list of -e: bare, or all but those after a !."""

    def __init__(self, text, known, expand, what):
        self.inverse = text.startswith("!")
        self.names = set()
        for word in text.lstrip("!").split(","):
            if word in ("all", "none"):
                self.inverse ^= word == "all"
                continue
            words = expand(word)
            if words is None or not words <= known:
                raise Fatal(f"strace: -e: invalid {what} '{word}'", 2)
            self.names |= words

    def __contains__(self, name):
        return (name in self.names) != self.inverse


def call_table(top):
    """{name: (has a path, has or returns a descriptor)} from spec/syscalls.tbl."""
    table = {}
    with open(os.path.join(top, "spec/syscalls.tbl"), encoding="ascii") as file:
        for line in file:
            if line[:1].isdigit():
                head, args = line.split("|")[:2]
                _, name, _, result = head.split()
                table[name] = (":upath" in args, bool(re.search(r":(dir)?fd\b|int2", args)) or result == "fd")
    return table


def _filter(top, wishes, text):
    kind, equals, names = text.partition("=")
    if not equals:
        kind, names = "trace", text
    if kind == "signal":
        import signal
        known = {one.name for one in signal.Signals} | {f"SIGRT_{n}" for n in range(1, 33)}
        wishes.signals = Names(names, known, lambda word: {
            word if word.startswith("SIG") else "SIG" + word}, "signal")
        return
    if kind not in ("trace", "t"):
        raise Fatal(f"strace: -e {kind}=: not here: trace= and signal= are", 2)
    table = call_table(top)
    classes = {"%file": {n for n, c in table.items() if c[0]},
               "%desc": {n for n, c in table.items() if c[1]}}
    wishes.trace = Names(names, set(table), lambda word: classes.get(word) if word[:1] == "%" else {
        word}, "system call")


def parse(top, args):
    wishes = Wishes()
    own, rest = option_words.take("strace", HELP, args, {"-e": 1, "-o": 1, **dict.fromkeys(FLAGS, 0)})
    for word, values in own:
        if word == "-o":
            wishes.output = values[0]
        elif word == "-e":
            _filter(top, wishes, values[0])
        else:
            setattr(wishes, FLAGS[word], True)
    options = option_words.parse(top, rest)
    if not options.command:
        raise Fatal("strace: needs a command\nTry './saker strace --help'.", 2)
    return wishes, options


class Call:
    """One that a thread is in."""

    def __init__(self, name, text, ns, whole):
        self.name, self.text, self.ns, self.whole = name, text, ns, whole


class Counts:
    """-c."""

    def __init__(self):
        self.rows = {}

    def add(self, name, ns, failed):
        row = self.rows.setdefault(name, [0, 0, 0])
        row[0] += ns
        row[1] += 1
        row[2] += failed

    def text(self):
        rule = "------ ----------- ----------- --------- --------- ----------------\n"
        lines = ["% time     seconds  usecs/call     calls    errors syscall\n", rule]
        total = [sum(row[i] for row in self.rows.values()) for i in range(3)]

        def line(row, name):
            share = 100 * row[0] / total[0] if total[0] else 0
            each = row[0] // 1000 // row[1] if row[1] else 0
            return f"{share:6.2f} {row[0] / 1e9:11.6f} {each:11d} {row[1]:9d} {row[2] or '':>9} {name}\n"
        for name, row in sorted(self.rows.items(), key=lambda item: (-item[1][0], item[0])):
            lines.append(line(row, name))
        return "".join(lines + [rule, line(total, "total")])


class Printer:
    """Records in, lines out."""

    def __init__(self, wishes, write):
        self.wishes, self.write = wishes, write
        self.threads = {}       # tid: its Call or None
        self.first = None
        self.current = None     # whose line is not ended
        self.column = 0
        self.counts = Counts()

    def put(self, text):
        self.column += len(text)
        self.write(text)

    def end_line(self, text=""):
        self.put(text + "\n")
        self.current, self.column = None, 0

    def begin(self, tid):
        if self.current is not None:
            self.end_line(" <unfinished ...>")
        if not self.wishes.follow:
            return
        if self.wishes.output:
            self.put(f"{tid:<5} ")
        elif len(self.threads) > 1:
            self.put(f"[pid {tid:5}] ")

    def meet(self, tid):
        if tid in self.threads:
            return
        self.threads[tid] = None
        if self.first is None:
            self.first = tid
        elif not self.wishes.quiet and not self.wishes.count:
            if self.current is not None and not self.wishes.output:
                self.end_line(" <unfinished ...>")
            message(f"strace: Process {tid} attached\n")

    def resume(self, tid, call):
        if self.current != tid:
            self.begin(tid)
            self.put(f"<... {call.name} resumed>")

    def result(self, text):
        self.put(" ")
        self.end_line(" " * (COLUMN - self.column) + "= " + text)

    def enter(self, tid, ns, text, whole):
        call = Call(text.partition("(")[0], text, ns, whole)
        self.threads[tid] = call
        if self.shown(call):
            self.begin(tid)
            self.put(text)
            self.current = tid

    def shown(self, call):
        return not self.wishes.count and (self.wishes.trace is None or call.name in self.wishes.trace)

    def leave(self, tid, ns, text, failed):
        call = self.threads[tid]
        self.threads[tid] = None
        if call is None:
            return
        if self.wishes.count:
            if self.wishes.trace is None or call.name in self.wishes.trace:
                self.counts.add(call.name, ns - call.ns, failed)
            return
        if not self.shown(call):
            return
        self.resume(tid, call)
        rest, _, result = text.rpartition("\t")
        self.put(rest)
        self.result(result + (f" <{(ns - call.ns) / 1e9:.6f}>" if self.wishes.times else ""))

    def alone(self, tid, text):
        if not self.wishes.count:
            self.begin(tid)
            self.end_line(text)

    def signal(self, tid, text):
        name = text.split()[1]
        if self.wishes.signals is None or name in self.wishes.signals or name == "stopped":
            self.alone(tid, text)

    def end(self, tid, text):
        call = self.threads[tid]
        if call and self.shown(call):
            self.resume(tid, call)
            self.put(")" if call.whole else " <unfinished ...>)")
            self.result("?")
        self.alone(tid, text)
        del self.threads[tid]

    def record(self, _, payload):
        ns, tid, _, _, kind = RECORD.unpack_from(payload)
        text = payload[RECORD.size:].decode("latin-1")
        self.meet(tid)
        if kind in (ENTER, ENTER_PART):
            self.enter(tid, ns, text, kind == ENTER)
        elif kind in (LEAVE, FAILED):
            self.leave(tid, ns, text, kind == FAILED)
        elif kind == SIGNAL:
            self.signal(tid, text)
        elif kind == END:
            self.end(tid, text)

    def finish(self):
        """The machine ended: what is left open stays so."""
        if self.current is not None:
            self.end_line(" <unfinished ...>")
        if self.wishes.count:
            self.write(self.counts.text())


def message(text):
    os.write(2, text.encode())


def writer(path):
    """A function that writes text whole, to stderr or to a new file."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666) if path else 2
    except OSError as error:
        raise Fatal(f"strace: {path}: {error.strerror}", 2) from None

    def write(text):
        data = text.encode("latin-1")
        while data:
            data = data[os.write(fd, data):]
    return write


def attach(options, printer, follow):
    options.debug_quiet = not options.debug
    options.debug = ",".join(filter(None, ("strace", options.debug)))
    options.outbox = RING
    options.append = " ".join(filter(None, (options.append, "strace=follow" if follow else None)))
    options.on_record[outbox.STRACE] = printer.record


def run_followed(options):
    """`saker run --debug strace`."""
    wishes = Wishes()
    wishes.follow = True
    printer = Printer(wishes, writer(None))
    options.append = " ".join(filter(None, (options.append, "strace=follow")))
    options.outbox = RING
    options.on_record[outbox.STRACE] = printer.record
    from . import run as runner
    status = runner.run(options)
    printer.finish()
    return status


def run(top, args):
    wishes, options = parse(top, args)
    printer = Printer(wishes, writer(wishes.output))
    attach(options, printer, wishes.follow)
    from . import run as runner
    status = runner.run(options)
    printer.finish()
    return status
