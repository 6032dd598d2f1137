"""`saker doctor`: what this host has, what it lacks, what to do about it."""
import os
import re
import subprocess

from . import qemu


def line(good, what, advice=""):
    print(f"{'ok  ' if good else 'MISS'}  {what}" + (f"\n      {advice}" if advice else ""))
    return good


def output(*argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
                              text=True).stdout
    except OSError:
        return ""


def packages(top):
    """The packages that tools/setup wants: read there, so that the two cannot disagree."""
    with open(os.path.join(top, "tools/setup"), encoding="utf-8") as file:
        found = re.search(r'^base="([^"]*)"', file.read(), re.M)
    return found.group(1).split()


def run(top, _args):
    good = True
    path = qemu.find_program("qemu-system-x86_64")
    version = output(path, "--version").split("\n")[0] if path else "qemu-system-x86_64"
    good &= line(bool(path), version, "" if path else "make setup")

    problem = qemu.kvm_problem()
    if problem:
        line(True, f"no KVM ({problem}): --accel auto is TCG",
             "" if "CPU" in problem else "a member of the group kvm may open /dev/kvm")
    else:
        line(True, "KVM: --accel auto is KVM")
    if os.environ.get("SAKER_ACCEL"):
        line(True, f"SAKER_ACCEL={os.environ['SAKER_ACCEL']} replaces auto")

    missing = []
    for package in packages(top):
        state = output("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package)
        if not state.startswith("ii"):
            missing.append(package)
    good &= line(not missing, "Debian packages" if not missing else
                 f"Debian packages: {' '.join(missing)}", "make setup" if missing else "")

    for name, how in (("saker.elf", "make"), ("saker.bzImage", "make"),
                      ("initramfs.cpio", "make"), ("agent.cpio", "make"), ("tsc-khz", "make"),
                      ("busybox/busybox", "make"), ("linux/vmlinuz", "make setup")):
        there = os.path.exists(os.path.join(top, "build", name))
        good &= line(there, f"build/{name}", "" if there else how)
    print(f"      {os.cpu_count()} CPUs")
    return 0 if good else 1
