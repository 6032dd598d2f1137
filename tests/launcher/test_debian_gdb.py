"""Debian's gdb in the guest: a session with a static program prints what it prints on Debian's kernel."""
import os
import re
import shutil
import subprocess

from tap import SAKER, TOP, case, equal, holds, scratch

PROGRAM = r"""
#include <stdio.h>
int watched;
__attribute__((noinline)) int inner(int depth, const char *text) { watched = depth; return depth ? inner(depth - 1, text) + 1 : puts(text); }
int main(int argc, char **argv) { int local = argc + 41; return inner(3, "said") - local > 0; }
"""
COMMANDS = """set pagination off
break inner if depth == 1
run
bt
up 3
info locals
print watched = 77
delete
stepi
info registers rip
watch watched
continue
continue
x/2i $pc
finish
kill
"""
LIMIT = 100


def build_root(root, gdb):
    """gdb with its libraries, its own files and the modules that its Python starts with."""
    listing = subprocess.run(["ldd", gdb], capture_output=True, text=True, check=True).stdout
    for path in [gdb, *re.findall(r"(?:=> |^\s+)(/\S+)", listing, re.M)]:
        target = root + ("/usr/bin/gdb" if path == gdb else path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)
    python = "/usr/lib/" + re.search(r"lib(python3\.[0-9]+)\.so", listing).group(1)
    ignored = shutil.ignore_patterns("__pycache__", "test", "config-*", "site-packages", "dist-packages")
    for path in ("/usr/share/gdb", python):
        shutil.copytree(path, root + path, ignore=ignored, symlinks=True)
    for name in ("bin", "proc", "sys", "dev", "tmp"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    shutil.copy(os.path.join(TOP, "build/busybox/busybox"), root + "/bin/sh")


def session(root, *kernel):
    env = {name: value for name, value in os.environ.items() if name != "SAKER_TEST_APPEND" or not kernel}
    done = subprocess.run([SAKER, "run", *kernel, "--mem", "1G", "--rootfs", root, "--timeout", str(LIMIT), "--", "/usr/bin/gdb", "-nx", "-batch",
                           "-x", "/commands", "/program"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=LIMIT + 30, check=False, env=env)
    return done.returncode, re.sub(r"\(process \d+\)", "(process N)", done.stdout.decode()), done.stderr.decode()


@case("gdb in the guest: breakpoint, backtrace, locals, step, hardware watchpoint, as on Linux", only="saker")
def debian_gdb():
    gdb = shutil.which("gdb")
    with scratch() as top:
        build_root(top + "/root", gdb)
        with open(top + "/p.c", "w", encoding="ascii") as file:
            file.write(PROGRAM)
        with open(top + "/root/commands", "w", encoding="ascii") as file:
            file.write(COMMANDS)
        subprocess.run(["gcc", "-g", "-O0", "-static", "-fno-pie", "-no-pie", "-o", top + "/root/program", top + "/p.c"], check=True)
        here, linux = session(top + "/root"), session(top + "/root", "--kernel", "linux")
    equal(linux[0], 0, f"status on Linux; {linux[1:]}")
    for text in ("#1  0x", "in main (argc=1", "local = 42", "$1 = 77", "Hardware watchpoint 2", "Old value = 77", "Value returned is $2 = 5", "(process N) killed"):
        holds(text in linux[1], f"the session shows {text!r}: {linux[1]}")
    equal(here, linux, "status, stdout and stderr")
