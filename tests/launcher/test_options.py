"""What the launcher accepts, refuses and passes on."""
import os
import subprocess

from tap import KERNEL, SAKER, case, command, equal, holds, run, scratch

# Time enough to boot on a busy host.
TIMEOUT = "60" if KERNEL == "linux" else "20"


def saker(*args):
    done = subprocess.run([SAKER, *args], capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@case("options: nonsense exits 2 with a line on stderr")
def nonsense():
    for words in (["--nonsense"], ["--smp"], ["--smp", "0"], ["--smp", "x"], ["--mem", "12Q"],
                  ["--mem", "0"], ["--accel", "hvf"], ["--machine", "pc"], ["--timeout", "-1"],
                  ["-x"], ["--rootfs", "/nonexistent/root"]):
        status, out, err = saker("run", *words, "--", "true")
        equal((words, status, out), (words, 2, b""), "result")
        holds(err.startswith(b"saker: "), f"{words}: stderr is {err!r}")


@case("options: absent devices and commands say so and exit 2")
def absent():
    status, _, err = saker("run", "--share", "/tmp:/mnt", "--", "true")
    equal((status, err), (2, b"saker: --share: no such device yet\n"), "--share")
    with scratch() as top:
        with open(top + "/disk.img", "wb") as file:
            file.truncate(1 << 20)
        status, _, err = saker("run", "--rootfs", top + "/disk.img", "--", "true")
        equal(status, 2, "disk image")
        holds(b"no such device yet" in err, err)
    for name in ("strace", "bisect"):
        equal(saker(name)[0], 2, name)
    equal(saker()[0], 2, "no command")


@case("options: a kernel that is not there exits 125")
def no_kernel():
    status, _, err = saker("run", "--kernel", "/nonexistent/kernel", "--", "true")
    equal(status, 125, "status")
    holds(b"No such file" in err, err)


@case("options: what is no kernel exits 125 with QEMU's words")
def bad_kernel():
    with scratch() as top:
        with open(top + "/kernel", "wb") as file:
            file.write(b"\x7fELF" + b"no" * 4000)
        status, _, err = saker("run", "--kernel", top + "/kernel", "--timeout", "20", "--", "true")
        equal(status, 125, f"status ({err!r})")


@case("options: timeout exits 124")
def timeout():
    done = run("sh", "-c", "echo begun; sleep 1000", options=["--timeout", TIMEOUT])
    done.check(124, b"begun\n", None)
    holds(b"timeout" in done.err, done.err)


@case("options: --smp is the number of CPUs")
def smp():
    run("nproc", options=["--smp", "2"]).check(0, b"2\n")


@case("options: --mem is the size of memory")
def mem():
    script = "while read name kib rest; do [ $name = MemTotal: ] && echo $kib; done </proc/meminfo; :"
    done = run("sh", "-c", script, options=["--mem=256M"])
    done.check(0, None)
    holds(180 * 1024 < int(done.out) <= 256 * 1024, f"MemTotal {done.out!r}")


@case("options: --append reaches the kernel's command line")
def append():
    done = run("cat", "/proc/cmdline", options=["--append", "saker.word=17 other"])
    done.check(0, None)
    holds(done.out.endswith(b"saker.word=17 other\n"), done.out)


@case("options: SAKER_TEST_SMP and SAKER_TEST_APPEND are for every machine that does not say otherwise")
def tests_own():
    env = {"SAKER_TEST_SMP": "3", "SAKER_TEST_APPEND": "one=1"}
    done = run("sh", "-c", "nproc; cat /proc/cmdline", options=["--append", "two=2"], env=env)
    done.check(0, None)
    holds(done.out.startswith(b"3\n") and done.out.endswith(b" one=1 two=2\n"), done.out)
    run("nproc", options=["--smp", "2"], env=env).check(0, b"2\n")
    equal(run("true", env={"SAKER_TEST_SMP": "none"}).status, 2, "status")


@case("options: the words of several debug= lists add up", only="saker")
def debug_lists():
    done = run("sh", "-c", "/bin/true; grep -c 'syscalls_total{' /proc/saker/metrics; cat /proc/saker/proof",
               options=["--debug", "metrics", "--append", "debug=audit debug=verify"])
    done.check(0, None, None)
    calls, *proof = done.out.split(b"\n")
    counts = dict(line.split() for line in proof if line)
    holds(int(calls) > 3 and int(counts[b"audit_spaces"]) > 0 and int(counts[b"verify_pages"]) > 0, done.out)


@case("options: --machine q35 behaves the same")
def q35():
    run("sh", "-c", "cat; echo err >&2; exit 9", options=["--machine", "q35"],
        stdin=b"abc").check(9, b"abc", b"err\n")


@case("options: --log keeps the kernel's log, and off the streams")
def log():
    with scratch() as top:
        path = os.path.join(top, "log")
        run("true", options=["--log", path, "--append", "loglevel=7 ignore_loglevel"]).check(
            0, b"", b"")
        holds(os.path.exists(path), "no log")


@case("options: words after CMD are CMD's, byte for byte")
def words():
    odd = ["--smp", "a b", "", "*", "$HOME", "line\nfeed", "\udcff\udc80", "-x"]
    expected = b"".join(b"<" + os.fsencode(word) + b">" for word in odd)
    run("printf", "<%s>", *odd).check(0, expected)


@case("options: a long argument list arrives whole")
def long_list():
    argument = "x" * 60000
    run("sh", "-c", 'echo "$#" "${#1}"', "sh", argument, *["y"] * 300).check(0, b"301 60000\n")


@case("options: the environment has a path and a home, and nothing of the host's")
def environment():
    done = run("env", env={"SECRET_OF_THE_HOST": "1"})
    done.check(0, None)
    names = {line.split(b"=")[0] for line in done.out.splitlines()}
    holds({b"PATH", b"HOME", b"USER"} <= names, names)
    holds(not names & {b"SECRET_OF_THE_HOST", b"TERM"}, names)


@case("options: a command line is built without a shell in between")
def direct():
    equal(command(cmd=["a"])[-2:], ["--", "a"], "command")
    run("/bin/echo", "$(id)").check(0, b"$(id)\n")


@case("options: strace, trace and profile take their own words before CMD, whole, joined and together")
def own_words():
    with scratch() as top:
        status, out, err = saker("strace", "-cf", "-e", "trace=write", "--timeout=60", f"-o{top}/s", "--", "echo", "-e", "x")
        equal((status, out, err), (0, b"x\n", b""), "strace")
        with open(top + "/s", encoding="ascii") as file:
            holds(" write\n" in file.read(), "counted")
        status, _, err = saker("trace", f"--flame={top}/f", "-o", top + "/t", "--timeout", "60", "--", "true")
        equal(status, 0, err)
        holds(os.path.exists(top + "/f") and os.path.exists(top + "/t"), "trace's files")
    for words in (["strace", "-e"], ["strace", "-fo"], ["trace", "--flame"], ["trace", "--diff", "a"], ["profile", "--hz"],
                  ["strace", "-fz", "--", "true"], ["trace", "--nonsense", "--", "true"], ["profile", "--timeout"]):
        status, out, err = saker(*words)
        equal((words, status, out), (words, 2, b""), "result")
        holds(err.startswith(b"saker: "), f"{words}: {err!r}")
    for name in ("strace", "trace", "profile"):
        status, out, _ = saker(name, "--help")
        holds(status == 0 and out.startswith(b"usage: ./saker " + name.encode()), out)
