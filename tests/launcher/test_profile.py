"""`saker profile` and /proc/saker/metrics."""
import os
import re
import shutil
import subprocess

from tap import BOOT_LIMIT, SAKER, case, cpus, equal, holds, run, scratch


def profile(*words, top=None):
    done = subprocess.run([SAKER, "profile", "--timeout", str(BOOT_LIMIT), *words], cwd=top,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_LIMIT + 30,
                          check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def folded(text):
    out = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        out[tuple(stack.split(";"))] = int(count)
    return out


SPIN = r"""
#include <unistd.h>
volatile unsigned long sink;
__attribute__((noinline)) void inner_loop(unsigned long n) { while (n--) sink += n; }
__attribute__((noinline)) void outer_call(unsigned long n) { inner_loop(n); sink++; }
int main(void) { for (int i = 0; i < 20; i++) { outer_call(10000000); getppid(); } return 3; }
"""


@case("profile: user functions by name, in their order, from the ELF file of the root", only="saker")
def user():
    with scratch() as top:
        os.mkdir(top + "/root")
        with open(top + "/spin.c", "w", encoding="ascii") as file:
            file.write(SPIN)
        subprocess.run(["gcc", "-O0", "-static", "-fno-pie", "-no-pie", "-fno-omit-frame-pointer", "-o",
                        top + "/root/spin", top + "/spin.c"], check=True)
        status, _, err = profile("--rootfs", top + "/root", "--folded", "f", "-o", "p.svg", "--",
                                 "/spin", top=top)
        equal(status, 3, f"status; {err}")
        with open(top + "/f", encoding="utf-8") as file:
            stacks = folded(file.read())
        with open(top + "/p.svg", encoding="utf-8") as file:
            holds("inner_loop" in file.read(), "flame graph")
    total = sum(stacks.values())
    inner = sum(count for stack, count in stacks.items()
                if stack[0] == "spin" and stack[-1] == "inner_loop" and
                stack[-3:-1] == ("main", "outer_call"))
    holds(total >= 20 and inner > total * 0.6, f"{inner} of {total} samples: {max(stacks, key=stacks.get)}")
    holds("inner_loop" in err, err)


LIBRARY = """
volatile unsigned long sink;
__attribute__((noinline)) static void hidden_loop(unsigned long n) { while (n--) sink += n; }
void library_call(unsigned long n) { hidden_loop(n); sink++; }
"""
CALLER = """
#include <sys/wait.h>
#include <unistd.h>
void library_call(unsigned long n);
__attribute__((noinline)) static void in_child(void) { for (int i = 0; i < 10; i++) library_call(10000000); }
int main(void)
{
	if (!fork()) { in_child(); _exit(0); }
	return wait(0) < 0;
}
"""


def compile_to(path, source, *flags):
    with open(path + ".c", "w", encoding="ascii") as file:
        file.write(source)
    subprocess.run(["gcc", "-O0", "-fno-omit-frame-pointer", "-o", path, path + ".c", *flags], check=True)
    os.unlink(path + ".c")


def samples_of(top, program):
    status, _, err = profile("--rootfs", top + "/root", "--folded", "f", "-o", "p.svg", "--", program, top=top)
    equal(status, 0, f"status; {err}")
    with open(top + "/f", encoding="utf-8") as file:
        return folded(file.read())


@case("profile: a static program at a random address", only="saker")
def static_pie():
    with scratch() as top:
        os.mkdir(top + "/root")
        compile_to(top + "/root/pie", LIBRARY + CALLER, "-static-pie")
        stacks = samples_of(top, "/pie")
    total = sum(stacks.values())
    inner = sum(count for stack, count in stacks.items()
                if stack[-4:] == ("main", "in_child", "library_call", "hidden_loop"))
    holds(total >= 20 and inner > total * 0.6, f"{inner} of {total} samples: {max(stacks, key=stacks.get)}")


@case("profile: functions of a shared library, in a child of the program that mapped it", only="saker")
def shared_library():
    with scratch() as top:
        root = top + "/root"
        os.makedirs(root + "/lib64")
        compile_to(root + "/lib64/libloop.so", LIBRARY, "-shared", "-fPIC")
        compile_to(root + "/dynamic", CALLER, "-L", root + "/lib64", "-lloop", "-Wl,-rpath,/lib64")
        for name in ("libc.so.6", "ld-linux-x86-64.so.2"):
            found = subprocess.run(["gcc", "-print-file-name=" + name], check=True, capture_output=True).stdout
            shutil.copy(os.path.realpath(found.decode().strip()), root + "/lib64/" + name)
        stacks = samples_of(top, "/dynamic")
        # Stripped, it keeps the names that others call it by.
        subprocess.run(["strip", root + "/lib64/libloop.so"], check=True)
        stripped = samples_of(top, "/dynamic")
    total = sum(stacks.values())
    inner = sum(count for stack, count in stacks.items()
                if stack[-4:] == ("main", "in_child", "library_call", "hidden_loop"))
    holds(total >= 20 and inner > total * 0.6, f"{inner} of {total} samples: {max(stacks, key=stacks.get)}")
    holds(any("library_call" in stack and stack[-1].startswith("[libloop.so+0x") for stack in stripped),
          f"stripped: {max(stripped, key=stripped.get)}")


@case("profile: kernel functions lie on the user's stack", only="saker")
def kernel():
    with scratch() as top:
        status, _, err = profile("--folded", "f", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=1M",
                                 "count=2000", top=top)
        equal(status, 0, "status")
        with open(top + "/f", encoding="utf-8") as file:
            stacks = folded(file.read())
    calls = [stack for stack in stacks if stack[0] == "dd" and "syscall_entry" in stack]
    holds(calls, f"no system call in {list(stacks)[:5]}; {err}")
    below = [stack[1] for stack in calls if stack[1].startswith("[busybox+0x")]
    holds(len(below) > len(calls) // 2, f"the program below the call: {calls[:3]}")


LABEL = r'[a-z]+="[^"{}]*"'
SAMPLE = re.compile(rf"(saker_[a-z_]+)(\{{{LABEL}(?:,{LABEL})*\}})? ([0-9]+)$")


def metrics(text):
    """{name or name{label}: value}, after a check of the format."""
    out, declared = {}, set()
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["#", "TYPE"]:
            holds(words[2] not in declared and words[3] in ("gauge", "counter"), line)
            declared.add(words[2])
            continue
        if words[:2] == ["#", "HELP"]:
            continue
        found = SAMPLE.match(line)
        holds(found and found.group(1) in declared, f"not a sample: {line}")
        name = found.group(1) + (found.group(2) or "")
        holds(name not in out, f"twice, which Prometheus refuses: {line}")
        out[name] = int(found.group(3))
    return out


@case("metrics: Prometheus text with what the kernel counts", only="saker")
def plain_metrics():
    done = run("sh", "-c", "/bin/true; cat /proc/saker/metrics")
    done.check(0, None)
    found = metrics(done.out.decode())
    for name in ('saker_memory_pages{use="free"}', 'saker_page_faults_total{kind="anonymous"}',
                 "saker_tables_shared_total", "saker_tlb_flushes_total",
                 'saker_context_switches_total{cpu="0"}', 'saker_interrupts_total{source="timer"}'):
        holds(found.get(name, 0) > 0, f"{name} is {found.get(name)}")
    holds(not any(name.startswith("saker_syscalls_total") for name in found), "calls uncounted")


ABSENT = """
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
	char line[256];
	FILE *metrics;
	for (int i = 0; i < 3; i++) syscall(400);
	for (int i = 0; i < 2; i++) syscall(100000);
	metrics = fopen("/proc/saker/metrics", "r");
	while (metrics && fgets(line, sizeof(line), metrics)) fputs(line, stdout);
	return !metrics;
}
"""
KINDS = ("zero_page", "anonymous", "file_map", "file_copy", "shared_write", "copy", "reuse", "huge", "spurious", "fill", "grow")


@case("metrics: allocator, caches, images, kinds of fault, tables, flushes, run queues, unknown calls by number", only="saker")
def all_groups():
    with scratch() as top:
        os.mkdir(top + "/root")
        compile_to(top + "/root/absent", ABSENT, "-static")
        done = run("/absent", options=["--rootfs", top + "/root", *cpus(2)])
    done.check(0, None)
    found = metrics(done.out.decode())
    wanted = [f"saker_memory_free_blocks{{order=\"{order}\"}}" for order in range(10)]
    wanted += [f"saker_page_faults_total{{kind=\"{kind}\"}}" for kind in KINDS]
    wanted += [f"saker_{name}{{cpu=\"{cpu}\"}}" for cpu in (0, 1) for name in (
        "runnable_threads", "context_switches_total", "wakeups_total", "steals_total", "run_delay_nanoseconds_total", "idle_nanoseconds_total")]
    wanted += [f"saker_{name}" for name in ("tables_shared_total", "tables_copied_total", "tables_taken_total", "images_built_total",
                                            "images_mapped_total", "tlb_flushes_total", "tlb_remote_flushes_total", "page_faults_major_total",
                                            "memory_cpu_cached_pages", "memory_reclaimed_pages_total", "memory_alloc_failures_total")]
    equal([name for name in wanted if name not in found], [], "missing")
    objects = {name.partition("{")[2]: value for name, value in found.items() if name.startswith("saker_slab_objects{")}
    room = {name.partition("{")[2]: value for name, value in found.items() if name.startswith("saker_slab_capacity{")}
    holds(len(objects) > 10 and objects.keys() == room.keys() and all(objects[one] <= room[one] for one in room), f"{objects} {room}")
    holds(found["saker_images_built_total"] >= 1, "an image was made")
    # 334 is rseq, which the C library asks for.
    absent = {name: value for name, value in found.items() if name.startswith("saker_absent") and '"334"' not in name}
    equal(absent, {'saker_absent_syscalls_total{nr="400"}': 3, 'saker_absent_syscalls_total{nr="unknown"}': 2}, "calls that are not there")


@case("metrics: --debug metrics counts system calls by name, with their time", only="saker")
def call_metrics():
    done = run("sh", "-c", "/bin/true; /bin/true; sleep 0.1; cat /proc/saker/metrics",
               options=["--debug", "metrics"])
    done.check(0, None, None)
    found = metrics(done.out.decode())
    holds(found['saker_syscalls_total{call="execve"}'] >= 4, "execve")
    ended = sum(value for name, value in found.items() if name.startswith("saker_syscalls_ended"))
    begun = sum(value for name, value in found.items() if name.startswith("saker_syscalls_total"))
    holds(0 < ended < begun, f"{begun} begun, {ended} ended")
    slept = found.get('saker_syscall_nanoseconds_total{call="clock_nanosleep"}', 0) + found.get(
        'saker_syscall_nanoseconds_total{call="nanosleep"}', 0)
    holds(slept >= 100_000_000, f"slept {slept} ns")
