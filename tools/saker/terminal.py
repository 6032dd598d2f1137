"""The host's terminal: raw while a command in the guest has it, restored on every way out."""
import fcntl
import os
import struct
import termios


def window_size(fds):
    """(rows, columns, x, y) of the first terminal among fds; zeros: unknown."""
    for fd in fds:
        try:
            return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
        except OSError:
            continue
    return (0, 0, 0, 0)


class Raw:
    """Puts stdin into raw mode; does nothing where it is no terminal."""

    def __init__(self):
        self.saved = None
        self.on = False
        if os.isatty(0):
            self.saved = termios.tcgetattr(0)

    def enter(self):
        if self.saved is None:
            return
        mode = termios.tcgetattr(0)
        mode[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP |
                     termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG |
                     termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        # What was typed ahead is the command's input: TCSANOW keeps it.
        termios.tcsetattr(0, termios.TCSANOW, mode)
        self.on = True

    def leave(self):
        if self.on:
            self.on = False
            try:
                termios.tcsetattr(0, termios.TCSADRAIN, self.saved)
            except OSError:
                pass
