"""The options of `saker run`.  Written by hand: argparse takes longer to import than all the rest."""
import os
import sys

from .error import Fatal

HELP = """\
usage: ./saker run [options] [--] [CMD [ARG...]]

Boot a machine, run CMD in it as a user program with this terminal's or pipe's streams, and exit
with CMD's exit status.  Without CMD: a shell.

  --rootfs DIR|CPIO|IMAGE  the root file system (default: BusyBox, build/initramfs.cpio)
  --smp N                  CPUs (1)
  --mem SIZE               memory: 512M, 2G; a bare number is MiB (512M)
  --accel auto|kvm|tcg     auto: KVM where the CPU has it and /dev/kvm opens (auto)
  --machine microvm|q35    QEMU machine (microvm)
  --kernel FILE            any kernel of the Linux boot protocol; `linux`: Debian's, from build/
  --debug LIST             the kernel's debug= list; shows the kernel's log on stderr
  --append STR             words added to the kernel's command line
  --timeout S              end after S seconds with status 124
  --share HOST:GUEST       (no such device yet)
  --gdb[=PORT]             wait for a debugger on a TCP port (1234): tools/gdb/saker.py
  --log FILE               keep the kernel's log
  --crash FILE             keep crash reports as JSON, one on a line
  --core FILE              at the end, whatever it is, save the guest's memory for gdb
  --qemu STR               words added to QEMU's command line

exit status: CMD's; 128+N killed by signal N; 127 not found; 126 not executable; 125 the kernel
panicked or never got as far as CMD (its log is on stderr); 124 timeout; 2 bad option.
Environment: SAKER_ACCEL replaces `auto`.  For tests: SAKER_TEST_SMP replaces the 1 CPU, and
SAKER_TEST_APPEND is more words for the kernel's command line, before those of --append.
"""
VALUES = {"rootfs", "smp", "mem", "accel", "machine", "kernel", "debug", "append", "timeout",
          "share", "log", "crash", "core", "qemu"}


class Options:
    """What the user asked for, checked."""

    def __init__(self, top):
        self.top = top
        self.rootfs = None
        self.smp = 1
        self.mem = "512M"
        self.accel = "auto"
        self.machine = "microvm"
        self.kernel = os.path.join(top, "build/saker.elf")
        self.debug = None
        self.append = ""
        self.timeout = None
        self.share = None
        self.gdb = None
        self.log = None
        self.crash = None
        self.core = None
        self.qemu = ""
        self.command = []
        self.port = False       # a virtio port for the agent: tools/saker/run.py
        # Set by the commands that read the guest's memory: tools/saker/outbox.py.
        self.outbox = None
        self.debug_quiet = False
        self.on_record = {}
        self.on_poll = None


def bad(text):
    return Fatal(f"{text}\nTry './saker run --help'.", 2)


def _number(name, text, kind, least):
    try:
        value = kind(text)
    except ValueError:
        value = least
        text = f"{text}"
    else:
        if value > least or (kind is int and value == least):
            return value
    raise bad(f"{name}: {text}: not a number in range")


def _size(text):
    digits = text[:-1] if text[-1:] in tuple("KMGTkmgt") else text
    if not digits.isascii() or not digits.isdigit() or int(digits) == 0:
        raise bad(f"--mem: {text}: not a size like 512M or 2G")
    return text.upper() if digits != text else text + "M"


def _choice(name, text, known):
    if text not in known:
        raise bad(f"--{name}: {text}: not one of {', '.join(known)}")
    return text


def _set(options, name, value):
    if name == "smp":
        options.smp = _number("--smp", value, int, 1)
    elif name == "timeout":
        options.timeout = _number("--timeout", value, float, 0)
    elif name == "mem":
        options.mem = _size(value)
    elif name == "accel":
        options.accel = _choice(name, value, ("auto", "kvm", "tcg"))
    elif name == "machine":
        options.machine = _choice(name, value, ("microvm", "q35"))
    elif name == "kernel":
        linux = os.path.join(options.top, "build/linux/vmlinuz")
        options.kernel = linux if value == "linux" else value
    elif name == "share":
        raise Fatal("--share: no such device yet", 2)
    else:
        setattr(options, name, value)


def show_help(text):
    sys.stdout.write(text)
    sys.stdout.flush()
    os._exit(0)


def _own(word, takes):
    """[(word, value or None)] if word is a command's own: whole, --word=value, -oFILE, or letters as -fc."""
    name, equals, value = word.partition("=")
    if word in takes:
        return [(word, None)]
    if word.startswith("--"):
        return [(name, value)] if equals and takes.get(name) == 1 else []
    if takes.get(word[:2]) == 1:
        return [(word[:2], word[2:])]
    letters = ["-" + letter for letter in word[1:]]
    return [(one, None) for one in letters] if all(takes.get(one) == 0 for one in letters) else []


def take(command, text, args, takes):
    """For commands that run a program: their own words out of those before CMD, and the others.

    takes: {word: how many values it has}.  Returns [(word, [value...])...] and what parse() is to
    have.  text is what --help prints.
    """
    own, rest, at = [], [], 0
    while at < len(args) and args[at].startswith("-") and args[at] != "--":
        word = args[at]
        at += 1
        if word in ("-h", "--help"):
            show_help(text)
        found = _own(word, takes)
        if not found:
            rest.append(word)
        count = 0 if found and found[0][1] is not None else \
            takes[found[0][0]] if found else int(word[2:] in VALUES)
        if at + count > len(args):
            raise Fatal(f"{command}: {word} needs a value\nTry './saker {command} --help'.", 2)
        values = args[at:at + count]
        at += count
        if not found:
            rest += values
        own += [(one, values if value is None else [value]) for one, value in found]
    return own, rest + args[at:]


def parse(top, args):
    options = Options(top)
    if os.environ.get("SAKER_TEST_SMP"):
        options.smp = _number("SAKER_TEST_SMP", os.environ["SAKER_TEST_SMP"], int, 1)
    at = 0
    while at < len(args) and args[at].startswith("-"):
        word = args[at]
        at += 1
        if word == "--":
            break
        if word in ("-h", "--help"):
            show_help(HELP)
        name, has_value, value = word[2:].partition("=")
        if name == "gdb" and word.startswith("--"):
            options.gdb = _number("--gdb", value, int, 1) if has_value else 1234
        elif word.startswith("--") and name in VALUES:
            if not has_value:
                if at == len(args):
                    raise bad(f"--{name} needs a value")
                value = args[at]
                at += 1
            _set(options, name, value)
        else:
            raise bad(f"{word}: no such option")
    options.command = args[at:]
    options.append = " ".join(filter(None, (os.environ.get("SAKER_TEST_APPEND"), options.append)))
    return options
