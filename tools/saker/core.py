"""`saker run --core FILE`: the guest's memory and registers as an ELF core, made by QEMU, for gdb:

    gdb build/kern/saker.elf FILE

Addresses are virtual, as the first CPU maps them: the whole kernel, and the program that ran there.
"""
import json
import os
import select
import socket
import time

from .error import Fatal

PATIENCE = 120.0


class Monitor:
    """The launcher's end of QEMU's control socket (QMP)."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.buffer = b""
        self.end = None

    def message(self):
        while b"\n" not in self.buffer:
            left = self.end - time.monotonic()
            if left <= 0 or not select.select([self.ours], [], [], left)[0]:
                raise Fatal("--core: QEMU does not answer")
            data = self.ours.recv(65536)
            if not data:
                raise Fatal("--core: the machine ended before its memory could be saved")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def command(self, name, **arguments):
        self.ours.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self.message()
            if "error" in answer:
                raise Fatal(f"--core: {name}: {answer['error']['desc']}")
            if "return" in answer:
                return

    def save(self, path):
        self.end = time.monotonic() + PATIENCE
        try:
            self.message()                      # the greeting
            self.command("qmp_capabilities")
            self.command("stop")
            self.command("dump-guest-memory", paging=True, protocol="file:" + os.path.abspath(path))
        except OSError as error:
            raise Fatal(f"--core {path}: {error.strerror}") from None
