"""./saker: the commands, and what a user is told when one does not exist."""
import os
import sys

from .error import Fatal

USAGE = """\
usage: ./saker run [options] [--] [CMD [ARG...]]   boot, run CMD, exit with its status
       ./saker test [--full] [--kernel linux] [GROUP|NAME...]   TAP on stdout
       ./saker bench [--icount] [NAME...] [--against FILE]   Saker against Linux
       ./saker trace [-e GROUPS] [-o FILE] -- CMD  where the time goes, span by span
       ./saker strace [-f] [-c] [-e LIST] [-o FILE] -- CMD   its system calls, as strace shows them
       ./saker profile [-o FILE] -- CMD            where the time goes, by samples of stacks
       ./saker bisect [options] -- CMD             the first page mapped ahead that makes CMD fail
       ./saker crash [--svg FILE] FILE             reports that run --crash FILE kept
       ./saker doctor                              what this host has
       ./saker run --help                          the options of run
"""


def run(top, args):
    from . import options, run as runner
    wishes = options.parse(top, args)
    if "strace" in (wishes.debug or "").split(","):
        from . import strace as tracer
        return tracer.run_followed(wishes)
    return runner.run(wishes)


def test(top, args):
    from . import tests
    return tests.run(top, args)


def bench(top, args):
    from . import bench as board
    return board.run(top, args)


def trace(top, args):
    from . import trace as tracer
    return tracer.run(top, args)


def profile(top, args):
    from . import profile as profiler
    return profiler.run(top, args)


def strace(top, args):
    from . import strace as tracer
    return tracer.run(top, args)


def bisect(top, args):
    from . import bisect as search
    return search.run(top, args)


def crash(top, args):
    from . import report
    return report.run(top, args)


def doctor(top, args):
    from . import doctor as report
    return report.run(top, args)


def command(top, args):
    name = args[0] if args else None
    if name in ("help", "--help", "-h"):
        print(USAGE, end="")
        return 0
    known = {"run": run, "test": test, "bench": bench, "trace": trace, "strace": strace, "profile": profile,
             "bisect": bisect, "crash": crash, "doctor": doctor}
    if name not in known:
        sys.stderr.write(USAGE)
        return 2
    return known[name](top, args[1:])


def fill_closed():
    """A closed stream is an empty one: its number must not go to a file that is opened later."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", os.O_RDWR)
            os.set_inheritable(fd, True)


def main(top, args):
    fill_closed()
    try:
        status = command(top, args)
        if sys.stdout:
            sys.stdout.flush()
    except Fatal as error:
        os.write(2, f"saker: {error}\n".encode())
        status = error.status
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 141
    # Nothing is left to do at exit: children are gone, files are closed by the kernel.
    os._exit(status)
