"""QEMU's command line: one for all kernels, so that a comparison compares kernels."""
import os

from .error import Fatal

# microvm: ACPI for power-off and CPUs (GED), the RTC for the date; no PIC.  The PIT stays as the
# one clock of known frequency; it costs nothing unless a kernel reads it.
MACHINES = {"microvm": "microvm,acpi=on,pic=off,pit=on,rtc=on", "q35": "q35"}
CONSOLE_FD, AGENT_FD, INITRD_FD, RAM_FD, MONITOR_FD, PORT_FD = 3, 4, 5, 6, 7, 8
# The agent's port on a virtio console.  A port takes two queues, and port 0 is for a terminal.
PORT = "saker.agent"
PORT_DEVICES = {"microvm": ["-global", "virtio-mmio.force-legacy=false",
                            "-device", "virtio-serial-device,id=saker,max_ports=2"],
                "q35": ["-device", "virtio-serial-pci,id=saker,max_ports=2,disable-legacy=on"]}
# What Debian's kernels have as modules.
PORT_MODULES = {"microvm": ("drivers/virtio/virtio_ring", "drivers/virtio/virtio",
                            "drivers/virtio/virtio_mmio", "drivers/char/virtio_console"),
                "q35": ("drivers/virtio/virtio_ring", "drivers/virtio/virtio",
                        "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci_modern_dev",
                        "drivers/virtio/virtio_pci", "drivers/char/virtio_console")}


def find_program(name):
    for directory in (os.environ.get("PATH") or "/usr/bin:/bin").split(":"):
        path = os.path.join(directory or ".", name)
        if os.access(path, os.X_OK):
            return path
    return None


def kvm_problem():
    """Why KVM is no use here, or None.  A /dev/kvm on a CPU without vmx or svm emulates kernel
    code and is slower than TCG."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("flags"):
                if not {"vmx", "svm"} & set(line.split()):
                    return "the CPU has neither vmx nor svm"
                break
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    return None


def accelerator(wanted):
    if wanted == "auto":
        wanted = os.environ.get("SAKER_ACCEL", "auto")
    if wanted == "auto":
        return "tcg" if kvm_problem() else "kvm"
    if wanted == "kvm":
        problem = kvm_problem()
        if problem:
            raise Fatal(f"--accel kvm: {problem}", 2)
    return wanted


def tsc_khz(top):
    """TCG's time-stamp counter is the host's, and on a busy host a guest cannot calibrate it in
    reasonable time: Linux on microvm then hangs.  Measured once per host boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    cache = os.path.join(top, "build/tsc-khz.cache")
    try:
        with open(cache, encoding="ascii") as file:
            seen, khz = file.read().split()
        if seen == boot:
            return khz
    except (OSError, ValueError):
        pass
    helper = os.path.join(top, "build/tsc-khz")
    if not os.access(helper, os.X_OK):
        return None
    with os.popen(helper) as output:
        khz = output.read().strip()
    if not khz.isdigit():
        return None
    temporary = f"{cache}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{boot} {khz}\n")
    os.rename(temporary, cache)
    return khz


def kernel_line(options, accel, init):
    # panic=-1 restarts at once, and -no-reboot makes that the end of QEMU.
    # With --core the machine has to be there still.
    words = ["console=ttyS0", "quiet", "panic=0" if options.core else "panic=-1", "saker.agent=ttyS1", f"rdinit={init}"]
    if accel == "tcg":
        khz = "1000000" if "icount" in options.qemu else tsc_khz(options.top)
        if khz:
            words.append(f"tsc_early_khz={khz}")
    if options.debug:
        words.append(f"debug={options.debug}")
    if options.port:
        words.append(f"saker.port={PORT}")
    if options.outbox:
        words.append(f"outbox={options.outbox}")
    if options.append:
        words.append(options.append)
    return " ".join(words)


def command_line(options, accel, init, initrd):
    """The argument vector.  CONSOLE_FD, AGENT_FD and PORT_FD are sockets, opened by the launcher."""
    program = find_program("qemu-system-x86_64")
    if not program:
        raise Fatal("qemu-system-x86_64 is not installed; run tools/setup")
    machine, ram = MACHINES[options.machine], []
    if options.outbox:
        machine += ",memory-backend=ram"
        ram = ["-object", f"memory-backend-file,id=ram,size={options.mem},share=on,"
               f"mem-path=/proc/self/fd/{RAM_FD}"]
    argv = [program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-M", machine, "-accel", accel,
            "-cpu", "host" if accel == "kvm" else "max",
            "-smp", str(options.smp), "-m", options.mem,
            "-chardev", f"socket,id=console,fd={CONSOLE_FD}", "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,fd={AGENT_FD}",
            "-device", "isa-serial,index=1,chardev=agent",
            "-kernel", options.kernel, "-initrd", initrd,
            "-append", kernel_line(options, accel, init), *ram]
    if options.port:
        argv += [*PORT_DEVICES[options.machine], "-chardev", f"socket,id=port,fd={PORT_FD}",
                 "-device", f"virtserialport,bus=saker.0,chardev=port,name={PORT}"]
    if options.core:
        argv += ["-chardev", f"socket,id=monitor,fd={MONITOR_FD}", "-mon", "chardev=monitor,mode=control"]
    if options.gdb:
        argv += ["-S", "-gdb", f"tcp:127.0.0.1:{options.gdb}"]
    if options.qemu:
        import shlex
        argv += shlex.split(options.qemu)
    # QEMU must not outlive a launcher that was killed.
    reaper = find_program("setpriv")
    return [reaper, "--pdeathsig", "KILL", *argv] if reaper else argv
