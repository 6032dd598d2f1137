"""`saker run`: one machine, one command, its three streams and its exit status."""
import _socket
import os
import time

from . import qemu, rootfs
from .error import Fatal


def _spawn(argv, fds):
    """Starts QEMU with fds (ours -> its number) in a process group of its own: Ctrl-C at the
    terminal is for the guest."""
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0)]
    # Through high numbers first, so that no target is overwritten while it is still a source.
    for i, (ours, _) in enumerate(fds):
        actions.append((os.POSIX_SPAWN_DUP2, ours, 100 + i))
    for i, (_, theirs) in enumerate(fds):
        actions.append((os.POSIX_SPAWN_DUP2, 100 + i, theirs))
        actions.append((os.POSIX_SPAWN_CLOSE, 100 + i))
    try:
        return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setpgroup=0)
    except OSError as error:
        raise Fatal(f"{argv[0]}: {error.strerror}") from None


class Machine:
    """A running QEMU: its process and the descriptors that lead to it.

    The agent speaks over a port of a virtio console where the guest has a driver for it, else over
    its second serial port.  Which it is shows when it says HELLO: agents has both until then."""

    def __init__(self, options):
        options.port = options.machine in qemu.PORT_DEVICES
        accel = qemu.accelerator(options.accel)
        initrd, init, initrd_fd = rootfs.prepare(options)
        try:
            os.close(os.open(options.kernel, os.O_RDONLY))
        except OSError as error:
            raise Fatal(f"{options.kernel}: {error.strerror}") from None
        self.outbox = None
        if options.outbox:
            from .outbox import Outbox
            self.outbox = Outbox(options)
        self.monitor = None
        if options.core:
            from .core import Monitor
            self.monitor = Monitor()
        argv = qemu.command_line(options, accel, init, initrd)
        console, console_qemu = _socket.socketpair()
        wires = [(_socket.socketpair(), number) for number, there in
                 ((qemu.AGENT_FD, True), (qemu.PORT_FD, options.port)) if there]
        self.errors, errors_qemu = os.pipe()
        fds = [(errors_qemu, 1), (errors_qemu, 2), (console_qemu.detach(), qemu.CONSOLE_FD),
               *((theirs.detach(), number) for (_, theirs), number in wires)]
        if initrd_fd is not None:
            fds.append((initrd_fd, qemu.INITRD_FD))
        if self.outbox:
            fds.append((self.outbox.fd, qemu.RAM_FD))
        if self.monitor:
            fds.append((self.monitor.theirs.detach(), qemu.MONITOR_FD))
        self.pid = _spawn(argv, fds)
        for ours, _ in fds[1:]:
            os.close(ours)
        self.console = console.detach()
        self.agents = [ours.detach() for (ours, _), _ in wires]
        for fd in (self.console, *self.agents, self.errors):
            os.set_blocking(fd, False)
        self.status = None

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is not None

    def kill(self):
        if not self.ended():
            os.kill(self.pid, 9)
            _, self.status = os.waitpid(self.pid, 0)


def run(options):
    started = time.monotonic()
    machine = Machine(options)
    try:
        # Imported while QEMU starts.
        from .session import Session
        session = Session(options, machine, started)
        return session.run()
    finally:
        machine.kill()
