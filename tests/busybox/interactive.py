"""A person at the shell, played by pexpect through a pseudo-terminal of the host."""
import os

import machine
import pexpect

PROMPT = r"[#$] (\x1b\[6n)?"
LIMIT = 120 * machine.PATIENCE
LEFT, RIGHT, UP, DOWN, BACKSPACE = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B", "\x7f"


class Person:
    def __init__(self):
        argv = machine.command(["--timeout", str(600 * machine.PATIENCE)], [])[:-1]
        self.tty = pexpect.spawn(argv[0], argv[1:], dimensions=(24, 80), timeout=LIMIT,
                                 encoding="utf-8", cwd=machine.TOP,
                                 env={**os.environ, "TERM": "vt100"})
        self.tty.expect(PROMPT)

    def ask(self, keys, answer):
        """Types keys and Enter; the answer is a line of its own, then the prompt."""
        self.tty.send(keys + "\r")
        self.tty.expect(r"\n" + answer)
        self.tty.expect(PROMPT)


def editing(one):
    one.ask("echo abX" + BACKSPACE + "c", "abc\r\n")
    one.ask("echo ac" + LEFT + "b", "abc\r\n")
    one.ask("cho home" + "\x01" + "e", "home\r\n")
    one.ask("echo gone\x15echo kept", "kept\r\n")
    one.ask("echo two words\x17three", "two three\r\n")


def history(one):
    one.ask("echo first", "first\r\n")
    one.ask("echo second", "second\r\n")
    one.ask(UP + UP, "first\r\n")
    one.ask(UP + UP + DOWN, "(first|second)\r\n")


def completion(one):
    one.ask("mkdir -p /tmp/tab && : >/tmp/tab/unmistakable && echo made", "made\r\n")
    one.ask("ls /tmp/tab/unm\t", "/tmp/tab/unmistakable\r\n")


def interrupt(one):
    one.tty.send("sleep 1000\r")
    one.tty.expect(r"sleep 1000\r\n")
    one.tty.expect(pexpect.TIMEOUT, timeout=2)
    one.tty.send("\x03")
    one.tty.expect(PROMPT)
    one.ask("echo st=$?", "st=130\r\n")
    one.tty.send("echo never\x03")
    one.tty.expect(PROMPT)
    one.ask("echo on", "on\r\n")


def stop(one):
    one.tty.send("sleep 1000\r")
    one.tty.expect(r"sleep 1000\r\n")
    one.tty.expect(pexpect.TIMEOUT, timeout=2)
    one.tty.send("\x1a")
    one.tty.expect("Stopped")
    one.tty.expect(PROMPT)
    one.ask("jobs", r"\[1\].*Stopped.*sleep 1000\r\n")
    one.ask("bg", r"\[1\].*sleep 1000\r\n")
    one.ask("jobs", r"\[1\].*Running.*sleep 1000\r\n")
    one.tty.send("fg\r")
    one.tty.expect(r"\nsleep 1000\r\n")
    one.tty.expect(pexpect.TIMEOUT, timeout=2)
    one.tty.send("\x03")
    one.tty.expect(PROMPT)


def background_read(one):
    one.tty.send("cat &\r")
    one.tty.expect(PROMPT)
    one.tty.expect(pexpect.TIMEOUT, timeout=1)
    one.ask("", r".*Stopped \(tty input\).*cat\r\n")
    one.ask("kill -KILL %1; wait %1; echo ended", "(.*Killed.*\r\n)?ended\r\n")


def end_of_input(one):
    one.tty.send("cat\r")
    one.tty.expect(r"cat\r\n")
    one.tty.send("line\r")
    one.tty.expect("line\r\nline\r\n")
    one.tty.send("\x04")
    one.tty.expect(PROMPT)


def vi(one):
    one.tty.send("vi /tmp/note\r")
    one.tty.expect("1/1")
    one.tty.send("ifirst line\rsecond line\x1b")
    one.tty.expect(pexpect.TIMEOUT, timeout=1)
    one.tty.send(":wq\r")
    one.tty.expect(PROMPT)
    one.ask("cat /tmp/note", "first line\r\nsecond line\r\n")


def top(one):
    one.ask("top -b -n1 | head -n 1", "Mem: .*used.*\r\n")


def stty(one):
    one.ask("stty -echo; stty -a | grep -o -e '-echo '; stty echo", "-echo \r\n")
    one.ask("stty size", "24 80\r\n")


def resize(one):
    one.tty.setwinsize(30, 100)
    one.tty.expect(pexpect.TIMEOUT, timeout=1)
    one.ask("stty size", "30 100\r\n")


def leave(one):
    one.tty.send("exit 3\r")
    # A second try counts where the shell has a stopped job.
    if one.tty.expect(["stopped jobs.*" + PROMPT, pexpect.EOF]) == 0:
        one.tty.send("exit 3\r")
        one.tty.expect(pexpect.EOF)
    one.tty.close()
    if one.tty.exitstatus != 3:
        raise AssertionError(f"status {one.tty.exitstatus}")


STEPS = (("line editing", editing), ("history", history), ("completion", completion),
         ("Ctrl-C", interrupt), ("Ctrl-Z, jobs, bg, fg", stop),
         ("a background job that reads stops", background_read), ("Ctrl-D ends cat", end_of_input),
         ("vi writes a file", vi), ("top -b -n1", top), ("stty", stty), ("resize", resize),
         ("exit with a status", leave))


def run(report, words):
    """One session; a step that fails is reported and a new session goes on behind it."""
    steps = [(name, step) for name, step in STEPS
             if not words or any(word in f"interactive: {name}" for word in words)]
    one = None
    for name, step in steps:
        try:
            one = one or Person()
            step(one)
        except (AssertionError, pexpect.ExceptionPexpect) as error:
            report.result(False, f"interactive: {name}", str(error)[:3000])
            if one:
                one.tty.close(force=True)
            one = None
        else:
            report.result(True, f"interactive: {name}")
    if one and one.tty.isalive():
        one.tty.close(force=True)
