"""Root file systems: directories, archives, Debian's BusyBox, damaged ones."""
import os
import shutil
import subprocess

from tap import TOP, case, equal, holds, run, scratch

MUSL = os.path.join(TOP, "build/busybox/busybox")
STATIC = "/bin/busybox"


def busybox_root(top, busybox, applets=("sh", "cat", "ls", "echo", "sha256sum", "stat")):
    os.makedirs(top + "/bin")
    shutil.copy(busybox, top + "/bin/busybox")
    os.chmod(top + "/bin/busybox", 0o755)
    for applet in applets:
        os.symlink("busybox", f"{top}/bin/{applet}")
    return top


def archive(root, path):
    with open(path, "wb") as out:
        names = subprocess.run(["find", ".", "-print0"], cwd=root, capture_output=True,
                               check=True).stdout
        subprocess.run(["cpio", "-o0", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root,
                       input=names, stdout=out, check=True)
    return path


@case("roots: a directory is packed on the fly")
def directory():
    with scratch() as top:
        root = busybox_root(top + "/root", MUSL)
        os.makedirs(root + "/data/deep")
        with open(root + "/data/one", "wb") as file:
            file.write(bytes(range(256)) * 100)
        os.link(root + "/data/one", root + "/data/deep/two")
        os.chmod(root + "/data", 0o751)
        script = ("stat -c '%h %a %s' /data/one; stat -c '%a' /data; [ /data/one -ef "
                  "/data/deep/two ] && echo same; sha256sum </data/deep/two; ls -A /")
        expected = subprocess.run(["sha256sum"], input=bytes(range(256)) * 100,
                                  capture_output=True, check=True).stdout
        done = run("sh", "-c", script, options=["--rootfs", root])
        done.check(0, None)
        lines = done.out.split(b"\n")
        equal(lines[0], b"2 %o 25600" % (os.stat(root + "/data/one").st_mode & 0o777), "stat")
        equal(lines[1:3], [b"751", b"same"], "lines")
        equal(lines[3] + b"\n", expected, "checksum")
        holds(b".saker-agent" not in done.out, f"the agent shows: {done.out!r}")


@case("roots: an archive that cpio(1) wrote")
def cpio_archive():
    with scratch() as top:
        path = archive(busybox_root(top + "/root", MUSL), top + "/root.cpio")
        run("echo", "from", "cpio", options=["--rootfs", path]).check(0, b"from cpio\n")


@case("roots: Debian's busybox-static")
def busybox_static():
    with scratch() as top:
        root = busybox_root(top + "/root", STATIC)
        done = run("sh", "-c", "busybox | cat; exit 5", options=["--rootfs", root])
        done.check(5, None)
        holds(b"Debian" in done.out.split(b"\n")[0], done.out[:200])


@case("roots: a root without a shell runs its program, and only that")
def bare():
    with scratch() as top:
        os.makedirs(top + "/root")
        shutil.copy(MUSL, top + "/root/cat")
        os.chmod(top + "/root/cat", 0o755)
        run("/cat", options=["--rootfs", top + "/root"], stdin=b"bare").check(0, b"bare")
        run(options=["--rootfs", top + "/root"]).check(127, b"", None)


@case("roots: damaged archives exit 125 with the kernel's report")
def damaged():
    with scratch() as top:
        path = archive(busybox_root(top + "/root", MUSL), top + "/root.cpio")
        with open(path, "rb") as file:
            good = file.read()
        second = good.index(b"070701", 6)
        damages = {"garbage": b"070701" + b"\xa5garbage!" * 5000,
                   "second header": good[:second] + b"?" * 6 + good[second + 6:],
                   "cut short": good[:len(good) // 2]}
        for name, data in damages.items():
            with open(top + "/bad.cpio", "wb") as file:
                file.write(data)
            done = run("true", options=["--rootfs", top + "/bad.cpio"])
            done.check(125, b"", None)
            holds(len(done.err.splitlines()) >= 2, f"{name}: stderr is {done.err!r}")


@case("roots: no init in the root exits 125")
def no_init():
    done = run("true", options=["--append", "rdinit=/nonexistent"])
    done.check(125, b"", None)
    holds(b"saker: " in done.err, done.err)


@case("roots: too little memory exits 125 with one clear line", only="saker")
def tiny():
    # The archive goes to the top of RAM: with 4 MiB over the kernel's own memory, its zeroed part included.
    for machine in ("microvm", "q35"):
        done = run("true", options=["--mem", "5M", "--machine", machine, "--timeout", "30"])
        done.check(125, b"", None)
        holds(b"memory" in done.err or b"RAM" in done.err, f"stderr is {done.err!r}")
