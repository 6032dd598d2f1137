"""The three streams and the exit status."""
import hashlib
import os
import subprocess

from tap import BOOT_LIMIT, case, command, equal, holds, run


@case("streams: echo prints its words and nothing else")
def echo():
    run("echo", "hi").check(0, b"hi\n", b"")


@case("streams: a pipe through cat")
def cat():
    run("cat", stdin=b"hi\n").check(0, b"hi\n", b"")


@case("streams: 1 MiB of random bytes arrives whole")
def big_input():
    data = os.urandom(1 << 20)
    done = run("sha256sum", stdin=data, options=["--timeout", "200"])
    done.check(0, hashlib.sha256(data).hexdigest().encode() + b"  -\n", b"")


@case("streams: every byte value survives both ways")
def binary():
    data = bytes(range(256)) * 400 + b"no newline at the end"
    run("cat", stdin=data).check(0, data, b"")


@case("streams: 1 MiB of output arrives whole")
def big_output():
    done = run("sh", "-c", "head -c 1048576 /dev/zero | tr '\\000' x")
    done.check(0, b"x" * (1 << 20), b"")


@case("streams: stdout and stderr stay apart")
def apart():
    script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done"
    run("sh", "-c", script).check(0, b"out1\nout2\nout3\n", b"err1\nerr2\nerr3\n")


@case("streams: end of file reaches the command")
def end_of_file():
    run("wc", "-c").check(0, b"0\n")


@case("streams: input that nobody reads does not hold anything up")
def unread_input():
    run("true", stdin=b"x" * (4 << 20)).check(0, b"", b"")


@case("streams: the command stops when its reader goes away")
def reader_gone():
    child = subprocess.Popen(command(cmd=["sh", "-c", "yes; echo $? >&2"]),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    equal(child.stdout.read(2), b"y\n", "first line")
    child.stdout.close()
    err = child.stderr.read()
    child.wait(BOOT_LIMIT)
    equal(err, b"141\n", "yes ended by SIGPIPE, on stderr")


@case("streams: closed descriptors are empty streams")
def closed():
    argv = command(cmd=["sh", "-c", "cat; echo ok >&2"])
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&-', "sh", *argv], capture_output=True,
                          timeout=BOOT_LIMIT + 30, check=False)
    equal(done.stderr[-3:], b"ok\n", f"stderr {done.stderr!r}")


@case("streams: a file as stdin and as stdout")
def files():
    with open(__file__, "rb") as file:
        text = file.read()
    with open(__file__, "rb") as file:
        done = subprocess.run(command(cmd=["cat"]), stdin=file, capture_output=True,
                              timeout=BOOT_LIMIT + 30, check=False)
    equal((done.returncode, done.stdout, done.stderr), (0, text, b""), "result")


@case("streams: without CMD a script comes from stdin")
def script():
    run(stdin=b"echo $((6 * 7)); exit 4\n").check(4, b"42\n", b"")


@case("status: exit codes arrive")
def codes():
    run("sh", "-c", "exit 7").check(7, b"", b"")
    run("sh", "-c", "exit 255").check(255, b"", b"")
    run("false").check(1, b"", b"")


@case("status: killed by a signal is 128 + N")
def killed():
    run("sh", "-c", "kill -9 $$").check(137, b"", b"")
    run("sh", "-c", "kill -SEGV $$").check(139, b"", b"")


@case("status: not found is 127")
def not_found():
    for name in ("no-such-command", "/bin/no-such-command", "/etc/passwd/x"):
        done = run(name)
        done.check(127, b"", None)
        holds(name.encode() in done.err, done.err)


@case("status: not executable is 126")
def not_executable():
    for name in ("/etc/passwd", "/etc"):
        done = run(name)
        done.check(126, b"", None)
        holds(name.encode() in done.err, done.err)


@case("status: a process left behind does not delay the end")
def left_behind():
    run("sh", "-c", "sleep 1000 & echo begun; exit 3").check(3, b"begun\n", b"")


@case("status: orphans are reaped")
def orphans():
    script = ("for i in 1 2 3 4 5; do (sleep 0 & exit) ; done; sleep 1;"
              "grep -l '^State:.Z' /proc/[0-9]*/status; true")
    run("sh", "-c", script).check(0, b"", b"")
