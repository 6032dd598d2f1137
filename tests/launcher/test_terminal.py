"""Runs whose streams are terminals, driven through a pseudo-terminal."""
import os
import pty
import select
import subprocess
import termios
import time

import pexpect

from tap import BOOT_LIMIT, TOP, KERNEL, case, command, cpus, equal, holds

PROMPT = r"[#$] (\x1b\[6n)?"


def shell(*options):
    argv = command(*options)[:-1]
    child = pexpect.spawn(argv[0], argv[1:], dimensions=(31, 97), timeout=BOOT_LIMIT,
                          encoding="utf-8", env={**os.environ, "TERM": "xterm"})
    child.expect(PROMPT)
    return child


def ask(child, line, answer):
    child.sendline(line)
    child.expect(r"\r\n" + answer)
    child.expect(PROMPT)


@case("terminal: a session: tty, size, Ctrl-C, Ctrl-Z, fg, resize, exit status")
def session():
    child = shell()
    ask(child, "tty", "/dev/pts/0")
    ask(child, "stty size", "31 97")
    ask(child, "echo $TERM", "xterm")
    child.sendline("echo go; sleep 1000")
    child.expect(r"\r\ngo")
    time.sleep(1)
    child.sendcontrol("c")
    child.expect(PROMPT)
    ask(child, "echo st=$?", "st=130")
    child.sendline("echo go; sleep 1000")
    child.expect(r"\r\ngo")
    time.sleep(1)
    child.sendcontrol("z")
    child.expect("Stopped")
    child.expect(PROMPT)
    child.sendline("fg")
    child.expect(r"\r\nsleep 1000")
    time.sleep(1)
    child.sendcontrol("c")
    child.expect(PROMPT)
    child.setwinsize(40, 120)
    time.sleep(1)
    ask(child, "stty size", "40 120")
    child.sendline("exit 6")
    child.expect(pexpect.EOF)
    child.close()
    equal(child.exitstatus, 6, "status")


@case("terminal: Ctrl-D ends the shell")
def end_of_file():
    child = shell()
    child.sendcontrol("d")
    child.expect(pexpect.EOF)
    child.close()
    equal(child.exitstatus, 0, "status")


@case("terminal: a resize reaches the foreground job as SIGWINCH")
def winch():
    child = shell()
    child.sendline("sh -c 'trap \"echo got winch\" WINCH; echo go; while :; do sleep 1; done'")
    child.expect(r"\r\ngo")
    child.setwinsize(20, 50)
    child.expect(r"\r\ngot winch")
    child.sendcontrol("c")
    child.expect(PROMPT)
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()


class Pty:
    """A terminal of the host for some of the launcher's descriptors."""

    def __init__(self):
        self.master, self.slave = pty.openpty()

    def read_until_end(self, child):
        data = b""
        limit = time.monotonic() + BOOT_LIMIT
        while time.monotonic() < limit:
            if select.select([self.master], [], [], 0.2)[0]:
                data += os.read(self.master, 65536)
            elif child.poll() is not None:
                return data
        child.kill()
        raise AssertionError(f"no end; so far {data!r}")

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@case("terminal: output to a terminal from a pipe has one carriage return")
def output_only():
    screen = Pty()
    child = subprocess.Popen(command(cmd=["sh", "-c", "cat; [ -t 1 ] && echo terminal"]),
                             stdin=subprocess.PIPE, stdout=screen.slave, stderr=subprocess.PIPE)
    child.stdin.write(b"hi\n")
    child.stdin.close()
    equal(screen.read_until_end(child), b"hi\r\nterminal\r\n", "screen")
    equal(child.stderr.read(), b"", "stderr")
    screen.close()


@case("terminal: input from a terminal, output to a pipe: echo stays on the terminal")
def input_only():
    screen = Pty()
    child = subprocess.Popen(command(cmd=["sh", "-c", "echo ready >&2; head -n 1"]),
                             stdin=screen.slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(child.stderr.readline(), b"ready\n", "stderr")
    os.write(screen.master, b"typed\r")
    shown = screen.read_until_end(child)
    equal(child.stdout.read(), b"typed\n", "stdout")
    equal(shown, b"typed\r\n", "screen")
    equal(child.returncode, 0, "status")
    screen.close()


@case("terminal: its mode is restored, whatever the end")
def restored():
    for cmd, options, status in ((["true"], [], 0), (["sleep", "100"], ["--timeout", "6"], 124),
                                 (["true"], ["--append", "rdinit=/none"], 125)):
        screen = Pty()
        before = termios.tcgetattr(screen.slave)
        child = subprocess.Popen(command(*options, cmd=cmd), stdin=screen.slave,
                                 stdout=screen.slave, stderr=screen.slave)
        screen.read_until_end(child)
        equal(child.returncode, status, "status")
        equal(termios.tcgetattr(screen.slave), before, f"mode after status {status}")
        screen.close()


@case("terminal: without the launcher /init is a shell on the console")
def console():
    kernel = "build/linux/vmlinuz" if KERNEL == "linux" else "build/saker.elf"
    child = pexpect.spawn("qemu-system-x86_64", [
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel", "tcg",
        "-cpu", "max", "-M", "q35", "-m", "256M", "-serial", "stdio", "-kernel", kernel, "-smp", cpus(1)[1],
        "-initrd", "build/initramfs.cpio",
        "-append", "console=ttyS0 quiet panic=-1 " + os.environ.get("SAKER_TEST_APPEND", "")],
        cwd=TOP, timeout=BOOT_LIMIT, encoding="utf-8")
    child.expect(PROMPT)
    ask(child, "tty", "/dev/(console|ttyS0)")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    holds(child.exitstatus == 0, f"QEMU's status is {child.exitstatus}: no power-off")
