"""The loop between the host's streams and the agent.

States: booting (until HELLO), running, done (EXIT is in, or the machine ended without it).
Nothing in the loop blocks but poll(); output is written only as far as the reader takes it, and
while much waits, the wire is left alone, which stops the command in the guest.
"""
import os
import re
import select
import signal
import time

from . import crash, terminal, wire
from .error import Fatal

PANIC = re.compile(rb"(?m)^(?:\[[ .0-9]+\] )?(?:Kernel panic|kernel panic|panic:|PANIC)")
SETTLE = 0.5           # seconds without a byte end a report that nothing else ends
PANIC_END = b"---[ end Kernel panic"
PANIC_GRACE = 10.0     # of silence after its report, where the machine does not end by itself
LOG_KEPT = 1 << 20
QUEUE_FULL = 1 << 18
OUTBOX_INTERVAL = 0.005
PIECE = 4096           # poll() says writable when a pipe takes this much
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
             signal.SIGUSR2)
INSIST = 3             # so many of one signal within INSIST_TIME end a guest that does not
INSIST_TIME = 2.0


class Output:
    """One of the host's descriptors and what waits for it."""

    def __init__(self, fd):
        self.fd = fd
        self.queue = bytearray()
        self.gone = False

    def write(self):
        """Writes a piece.  False when the reader has gone, once."""
        try:
            done = os.write(self.fd, self.queue[:PIECE])
        except BlockingIOError:
            return True
        except OSError:
            self.gone = True
            self.queue.clear()
            return False
        del self.queue[:done]
        return True


class Session:
    def __init__(self, options, machine, started):
        self.options = options
        self.machine = machine
        self.ttys = [os.isatty(fd) for fd in range(3)]
        self.raw = terminal.Raw()
        # Frame OUT 0 is the pseudo-terminal's output, which goes to a terminal of the host.
        screen = next((fd for fd in (1, 2, 0) if self.ttys[fd]), 1)
        self.outputs = [Output(screen), Output(1), Output(2)]
        # One for each way the agent may speak; the first HELLO leaves one.
        self.readers = {fd: wire.Reader() for fd in machine.agents}
        self.agent = -1
        self.log = bytearray()
        self.log_file = None
        self.reports = None
        self.panic_at = None
        self.errors = b""
        self.tx = bytearray()
        self.credit = 0
        self.stdin_credit = wire.STDIN_WINDOW
        self.stdin_open = True
        self.running = False
        self.exit = None
        self.ending = None
        self.deadline = started + options.timeout if options.timeout else None
        self.signals = []
        self.recent = []

    # Signals

    def signals_set_up(self):
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGWINCH, signal.SIGCHLD, signal.SIGTSTP):
            if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGCHLD:
                signal.signal(number, lambda number, frame: self.signals.append(number))

    def signals_handle(self):
        try:
            os.read(self.wake_read, 512)
        except BlockingIOError:
            pass
        pending, self.signals = self.signals, []
        for number in pending:
            if number == signal.SIGWINCH:
                self.send_window()
            elif number == signal.SIGTSTP:
                self.raw.leave()
                os.kill(os.getpid(), signal.SIGSTOP)
                self.raw.enter()
                self.send_window()
            elif number in FORWARDED:
                self.forward(number)

    def forward(self, number):
        now = time.monotonic()
        self.recent = [one for one in self.recent
                       if one[0] == number and now - one[1] < INSIST_TIME]
        self.recent.append((number, now))
        if not self.running or len(self.recent) >= INSIST:
            self.ending = 128 + number
        else:
            self.send(wire.SIGNAL, int(number))
            if number == signal.SIGHUP and self.deadline is None:
                self.deadline = now + INSIST_TIME

    # To the agent

    def send(self, kind, arg=0, payload=b""):
        self.tx += wire.frame(kind, arg, payload)

    def send_window(self):
        if self.running and any(self.ttys):
            import struct
            size = terminal.window_size(range(3))
            self.send(wire.WINSIZE, 0, struct.pack("<4H", *size))

    def send_start(self):
        options = self.options
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh"}
        flags = sum(1 << fd for fd in range(3) if self.ttys[fd])
        if flags:
            env["TERM"] = os.environ.get("TERM", "vt100")
        if not self.ttys[0]:
            flags |= wire.COOKED
        argv = options.command or (["sh", "-l"] if self.ttys[0] else ["sh"])
        window = terminal.window_size(range(3)) if flags else (0, 0, 0, 0)
        self.send(wire.START, flags, wire.start_payload(window, "/", argv, env))
        self.running = True

    def flush_wire(self):
        while self.tx and self.credit:
            try:
                done = os.write(self.agent, self.tx[:self.credit])
            except BlockingIOError:
                return
            except OSError:
                self.tx.clear()     # QEMU's end is seen elsewhere
                return
            del self.tx[:done]
            self.credit -= done

    def read_stdin(self):
        try:
            data = os.read(0, min(8192, self.stdin_credit))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.stdin_open = False
        self.stdin_credit -= len(data)
        self.send(wire.STDIN, 0, data)

    # From the machine

    def read_wire(self, fd):
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close_wire(fd)
            return
        for kind, arg, payload in self.readers[fd].feed(data):
            if self.agent < 0:
                self.agent = fd
                for other in [one for one in self.readers if one != fd]:
                    self.close_wire(other)
            self.frame(kind, arg, payload)

    def close_wire(self, fd):
        os.close(fd)
        del self.readers[fd]

    def frame(self, kind, arg, payload):
        if kind == wire.HELLO:
            if arg != wire.VERSION:
                raise Fatal(f"the agent in this root speaks version {arg} of the protocol, "
                            f"not {wire.VERSION}; run make")
            self.credit = wire.u32(payload)
            self.send_start()
        elif kind == wire.OUT:
            output = self.outputs[arg]
            if not output.gone:
                output.queue += payload
        elif kind == wire.WIRE_CREDIT:
            self.credit += wire.u32(payload)
        elif kind == wire.STDIN_CREDIT:
            self.stdin_credit += wire.u32(payload)
        elif kind == wire.STDIN_CLOSED:
            self.stdin_open = False
        elif kind == wire.EXIT:
            self.exit = arg
            self.send(wire.BYE)

    def read_console(self):
        try:
            data = os.read(self.machine.console, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            os.close(self.machine.console)
            self.machine.console = -1
            return
        if self.log_file is not None:
            os.write(self.log_file, data)
        if self.reports:
            self.reports.feed(data)
        if self.options.debug and not self.options.debug_quiet:
            self.outputs[2].queue += data
        self.log += data
        del self.log[:-LOG_KEPT]
        if self.panic_at is not None or PANIC.search(self.log, max(0, len(self.log) - 65536)):
            self.panic_at = time.monotonic()

    def read_errors(self):
        try:
            data = os.read(self.machine.errors, 65536)
        except BlockingIOError:
            return
        self.errors += data
        if not data:
            os.close(self.machine.errors)
            self.machine.errors = -1

    # The loop

    def poll_set(self):
        poll = select.poll()
        poll.register(self.wake_read, select.POLLIN)
        # Pipes that nobody reads wait at the host; the guest then waits for them.
        crowded = any(len(output.queue) > QUEUE_FULL for output in self.outputs)
        machine = self.machine
        for fd in self.readers:
            events = (0 if crowded else select.POLLIN) | (
                select.POLLOUT if self.tx and self.credit else 0)
            if events:
                poll.register(fd, events)
        for fd in (machine.console, machine.errors):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        if self.stdin_open and self.running and self.stdin_credit and len(self.tx) < 16384:
            poll.register(0, select.POLLIN)
        for fd in {output.fd for output in self.outputs if output.queue}:
            if fd != 0 or not self.stdin_open:
                poll.register(fd, select.POLLOUT)
            else:
                poll.register(fd, select.POLLOUT | select.POLLIN)
        return poll

    def wait(self):
        limits = [limit for limit in (
            self.deadline, self.panic_at and self.panic_at + PANIC_GRACE) if limit]
        if self.machine.outbox:
            limits.append(time.monotonic() + OUTBOX_INTERVAL)
        timeout = None
        if limits:
            timeout = max(0, min(limits) - time.monotonic()) * 1000 + 1
        return self.poll_set().poll(timeout)

    def step(self):
        for fd, events in self.wait():
            if fd == self.wake_read:
                self.signals_handle()
            elif fd in self.readers:
                if events & ~select.POLLOUT:
                    self.read_wire(fd)
            elif fd == self.machine.console:
                self.read_console()
            elif fd == self.machine.errors:
                self.read_errors()
            else:
                if fd == 0 and events & ~select.POLLOUT and self.stdin_open:
                    self.read_stdin()
                self.write_outputs(fd, events)
        self.flush_wire()
        self.read_outbox()

    def read_outbox(self):
        if self.machine.outbox:
            self.machine.outbox.drain()
            if self.options.on_poll:
                self.options.on_poll(self.machine.outbox)

    def write_outputs(self, fd, events):
        for number, output in enumerate(self.outputs):
            if output.fd == fd and output.queue and events & ~select.POLLIN:
                if not output.write() and number:
                    self.send(wire.CLOSE, number)

    def verdict(self):
        """The exit status, or None while the machine runs."""
        if self.exit is not None:
            return self.exit
        if self.ending is not None:
            return self.ending
        now = time.monotonic()
        if self.panic_at is not None and (now >= self.panic_at + PANIC_GRACE or
                                          PANIC_END in self.log[-64:]):
            return self.failed("the kernel panicked")
        if self.deadline is not None and now >= self.deadline:
            if self.options.timeout and self.deadline - self.options.timeout <= now:
                self.say(f"timeout after {self.options.timeout:g} s")
            return 124
        if not self.readers and self.machine.ended():
            if self.panic_at is not None:
                return self.failed("the kernel panicked")
            return self.failed("the machine ended before the command did" if self.running else
                               "the machine ended before it could run the command")
        return None

    def run(self):
        if self.options.log:
            try:
                self.log_file = os.open(self.options.log,
                                        os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            except OSError as error:
                raise Fatal(f"--log {self.options.log}: {error.strerror}", 2) from None
        if self.options.crash:
            try:
                self.reports = crash.Reports(open(self.options.crash, "wb"))
            except OSError as error:
                raise Fatal(f"--crash {self.options.crash}: {error.strerror}", 2) from None
        if self.options.gdb:
            self.say(f"waiting for a debugger: target remote :{self.options.gdb}")
        self.signals_set_up()
        self.raw.enter()
        try:
            status = self.verdict()
            while status is None:
                self.step()
                status = self.verdict()
            self.settle()
            if self.machine.monitor:
                self.machine.monitor.save(self.options.core)
            self.flush_wire()
            self.machine.kill()
            self.read_outbox()
            self.drain()
        finally:
            self.raw.leave()
        return status

    def settle(self):
        """A program's crash report is on its way through the serial port when the command has ended; a panic's
        last line is, when its beginning shows the end, and a core is to have CPUs that have come to rest."""
        while (self.reports or self.machine.monitor) and self.machine.console >= 0 and \
                select.select([self.machine.console], [], [], SETTLE)[0]:
            self.read_console()

    def drain(self):
        """What the command wrote still goes out, as slowly as its reader likes."""
        for output in self.outputs:
            while output.queue and not output.gone:
                poll = select.poll()
                poll.register(output.fd, select.POLLOUT)
                try:
                    poll.poll()
                    output.write()
                except InterruptedError:
                    pass
                if {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} & set(self.signals):
                    return

    # Failure

    def say(self, text):
        end = b"\r\n" if self.raw.on else b"\n"
        self.outputs[2].queue += b"saker: " + text.encode() + end

    def failed(self, text):
        for read, name in ((self.read_console, "console"), (self.read_errors, "errors")):
            for _ in range(256):
                before = len(self.log) + len(self.errors)
                if getattr(self.machine, name) < 0:
                    break
                read()
                if before == len(self.log) + len(self.errors):
                    break
        report = self.errors
        if not self.options.debug or self.options.debug_quiet:
            report += crash.without_json(self.log[-65536:].replace(b"\r\n", b"\n"))
        if report and not report.endswith(b"\n"):
            report += b"\n"
        if self.raw.on:
            report = report.replace(b"\n", b"\r\n")
        self.outputs[2].queue += report
        self.say(text)
        return 125
