"""The agent's streams over a virtio port, and ports that the host connects and leaves."""
import hashlib
import os
import socket
import subprocess
import time

from tap import BOOT_LIMIT, case, command, cpus, equal, holds, run, scratch

WIRE = "for f in /proc/1/fd/*; do readlink $f; done | grep -E 'vport|ttyS'; "


def pair(*options, cmd):
    return subprocess.Popen(command(*options, cmd=cmd), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def whole(size, *options):
    data = os.urandom(size)
    done = run("sh", "-c", WIRE + "sha256sum", stdin=data, options=options)
    return done, hashlib.sha256(data).hexdigest().encode() + b"  -\n"


@case("ports: on microvm the agent has one")
def microvm():
    done, text = whole(1 << 20)
    done.check(0, b"/dev/vport0p1\n" + text, b"")


@case("ports: on q35 the agent has one")
def q35():
    done, text = whole(1 << 20, "--machine", "q35")
    done.check(0, b"/dev/vport0p1\n" + text, b"")


@case("ports: /proc/interrupts says how a machine's virtio device interrupts, and counts")
def interrupts():
    for machine, chip in (("q35", b"PCI-MSI"), ("microvm", b"IO-APIC")):
        done = run("grep", "virtio", "/proc/interrupts", options=["--machine", machine])
        done.check(0, None, b"")
        rows = [line.split() for line in done.out.splitlines()]
        holds(rows and all(chip in row for row in rows), f"{machine}: {done.out}")
        holds(sum(int(row[1]) for row in rows) > 0, f"{machine}: no interrupt is counted: {done.out}")


@case("ports: without one the agent uses the serial port")
def serial():
    for machine in ("microvm", "q35"):
        done, text = whole(30000, "--machine", machine, "--append", "saker.port=", "--timeout", "200")
        done.check(0, b"/dev/ttyS1\n" + text, b"")


@case("ports: 4 MiB go there and back at once")
def both_ways():
    data = os.urandom(4 << 20)
    done = run("cat", stdin=data, options=cpus(2))
    equal(hashlib.sha256(done.out).digest(), hashlib.sha256(data).digest(), f"{len(done.out)} bytes")
    done.check(0, None, b"")


@case("ports: a slow reader gets everything")
def slow_reader():
    child = pair(cmd=["sh", "-c", "head -c 3000000 /dev/zero | tr '\\000' y; echo done >&2"])
    child.stdin.close()
    equal(child.stdout.read(1), b"y", "first byte")
    time.sleep(1.5)
    equal(len(child.stdout.read()), 2999999, "bytes")
    equal(child.stderr.read(), b"done\n", "stderr")
    equal(child.wait(BOOT_LIMIT), 0, "status")


@case("ports: either stream may end before the other")
def half_closed():
    data = b"x" * 200000
    run("sh", "-c", "exec >&-; wc -c >&2", stdin=data).check(0, b"", b"200000\n")
    run("sh", "-c", "cat > /dev/null; seq 1 20000", stdin=data).check(
        0, b"".join(b"%d\n" % i for i in range(1, 20001)), b"")
    run("sh", "-c", "head -c 10; exec <&-; seq 1 3", stdin=data).check(0, b"x" * 10 + b"1\n2\n3\n", b"")


@case("ports: a reader that is killed in the middle stops the command")
def reader_killed():
    reader, theirs = os.pipe()
    child = subprocess.Popen(command(cmd=["sh", "-c", "yes | cat; echo over >&2"]), stdin=subprocess.DEVNULL,
                             stdout=theirs, stderr=subprocess.PIPE)
    sink = subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL)
    os.close(reader)
    os.close(theirs)
    time.sleep(2)
    sink.kill()
    sink.wait()
    equal(child.stderr.read(), b"over\n", "stderr")
    equal(child.wait(BOOT_LIMIT), 0, "status")


# A port of the test's own; the script finds it by name, and what it says goes through the agent's.
GUEST = """
until n=$(grep -l '^test.host$' /sys/class/virtio-ports/*/name 2>/dev/null); do :; done
d=/dev/$(basename $(dirname $n))
echo alone $(wc -c < $d); timeout 1 sh -c "echo lost > $d"; echo wait $?
for turn in 1 2; do
	exec 5<> $d
	echo connect; read go
	until l=$(head -n 1 <&5) && [ "$l" ]; do :; done
	echo "heard $l" >&5
	echo left $(cat <&5)
	exec 5>&-
done
"""


def talk(child, path, word):
    equal(child.stdout.readline(), b"connect\n", "guest")
    with socket.socket(socket.AF_UNIX) as host:
        host.settimeout(BOOT_LIMIT)
        host.connect(path)
        child.stdin.write(b"go\n")
        child.stdin.flush()
        host.sendall(word + b"\n")
        said = b""
        while not said.endswith(b"\n"):
            part = host.recv(100)
            holds(part, "the guest hung up")
            said += part
        equal(said, b"heard " + word + b"\n", "host")
        # What is sent before hanging up arrives.
        host.sendall(b"bye " + word)
    equal(child.stdout.readline(), b"left bye " + word + b"\n", "guest")


@case("ports: the host connects, hangs up and comes back")
def hang_up():
    with scratch() as top:
        path = os.path.join(top, "host")
        child = pair("--qemu", "-device virtio-serial-device,id=test,max_ports=2 "
                     f"-chardev socket,id=host,path={path},server=on,wait=off "
                     "-device virtserialport,bus=test.0,chardev=host,name=test.host", cmd=["sh", "-c", GUEST])
        equal(child.stdout.readline(), b"alone 0\n", "a read with nobody there")
        equal(child.stdout.readline(), b"wait 143\n", "a write with nobody there waits")
        talk(child, path, b"one")
        talk(child, path, b"two")
        child.stdin.close()
        equal(child.stderr.read(), b"Terminated\n", "stderr: the shell about the write that waited")
        equal(child.wait(BOOT_LIMIT), 0, "status")
