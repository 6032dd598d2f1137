"""The launcher's side of the channel to the agent.  guest/frame.h is the definition."""
import binascii
import struct

from .error import Fatal

START, STDIN, WINSIZE, SIGNAL, CLOSE, BYE = 1, 2, 3, 4, 5, 6
HELLO, OUT, WIRE_CREDIT, STDIN_CREDIT, STDIN_CLOSED, EXIT = 32, 33, 34, 35, 36, 37
STDIN_WINDOW = 65536
VERSION = 1
COOKED = 8

_MAGIC = b"\xa5\x53"
_HEADER = struct.Struct("<2sBBII")
_MAX = 8 << 20


def frame(kind, arg=0, payload=b""):
    head = _HEADER.pack(_MAGIC, kind, arg, len(payload), 0)[:8]
    return head + struct.pack("<I", binascii.crc32(payload, binascii.crc32(head))) + payload


def start_payload(window, cwd, argv, env):
    strings = [cwd, *argv, *(f"{name}={value}" for name, value in env.items())]
    blob = b"".join(text.encode(errors="surrogateescape") + b"\0" for text in strings)
    return struct.pack("<4HII", *window, len(argv), len(env)) + blob


def u32(payload):
    return struct.unpack("<I", payload)[0]


class Reader:
    """Cuts frames out of what a port delivers."""

    def __init__(self):
        self.buffer = bytearray()
        self.synced = False

    def feed(self, data):
        self.buffer += data
        while True:
            if not self.synced:
                # A kernel that probes the port may send anything before the agent opens it.
                at = self.buffer.find(_MAGIC + bytes((HELLO,)))
                if at < 0:
                    del self.buffer[:max(0, len(self.buffer) - 2)]
                    return
                del self.buffer[:at]
            if len(self.buffer) < _HEADER.size:
                return
            magic, kind, arg, length, crc = _HEADER.unpack_from(self.buffer)
            if magic != _MAGIC or length > _MAX:
                raise Fatal("bytes were lost or damaged between the guest and the launcher")
            end = _HEADER.size + length
            if len(self.buffer) < end:
                return
            payload = bytes(self.buffer[_HEADER.size:end])
            if binascii.crc32(payload, binascii.crc32(self.buffer[:8])) != crc:
                raise Fatal("bytes were damaged between the guest and the launcher")
            self.synced = True
            del self.buffer[:end]
            yield kind, arg, payload
