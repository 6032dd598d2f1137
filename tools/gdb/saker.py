"""Commands for gdb that know Saker's objects.

    ./saker run --gdb -- CMD                        waits; in another terminal:
    gdb -x tools/gdb/saker.py build/kern/saker.elf  (build/kern-debug/saker.elf for a DEBUG=1 kernel)
    (gdb) target remote :1234

    saker ps            processes and threads
    saker maps PID      areas of an address space
    saker pte ADDR [PID]  the entries that translate ADDR, level by level (no PID: of the selected CPU)
    saker page PFN      the frame's struct page
    saker locks         spinlocks that are taken; what each CPU and thread holds (DEBUG=1 kernels)
    saker runq          run queues
    saker trace [N]     the last records of the tracer (debug=trace)
    saker bt PID        kernel backtrace of a thread, wherever it is
    saker crash         why the kernel panicked, and where, with source lines (a core, or a stopped machine)

build/kern/saker.elf is the kernel with its types and lines; build/saker.elf, which boots, is the same stripped.
"""
import os
import sys

import gdb

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
DIRECT = 0xFFFF888000000000
VMEMMAP = 0xFFFFEA0000000000
PTE_ADDR = 0x000FFFFFFFFFF000
PTE_BITS = ((1 << 0, "P"), (1 << 1, "W"), (1 << 2, "U"), (1 << 5, "A"), (1 << 6, "D"), (1 << 7, "H"), (1 << 8, "G"))
VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 1, 2, 4, 8
CHAIN = 40          # frames of a backtrace


def value(text):
    return gdb.parse_and_eval(text)


def kind(name):
    return gdb.lookup_type("struct " + name)


def container(pointer, name, member):
    """The struct of that name whose member pointer points to."""
    offset = next(f.bitpos // 8 for f in kind(name).fields() if f.name == member)
    return gdb.Value(int(pointer) - offset).cast(kind(name).pointer())


def each(head, name, member):
    """Elements of a struct list."""
    start, at = int(head.address), head["next"]
    while int(at) != start:
        yield container(at, name, member)
        at = at["next"]


def tree(node, name, member):
    """Elements of a struct rb_tree below node, in order."""
    if int(node):
        yield from tree(node["child"][0], name, member)
        yield container(node, name, member)
        yield from tree(node["child"][1], name, member)


def memory(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return int.from_bytes(memory(address, 8), "little")


def text(array):
    return array.string(errors="replace").split("\0")[0] if int(array[0]) else ""


def per_cpu(symbol, name, cpu):
    at = int(value(f"&{symbol}")) + int(value("percpu_offsets")[cpu])
    return gdb.Value(at).cast(kind(name).pointer())


def cpus():
    return range(int(value("percpu_ncpus")))


def processes(at=None):
    """Every process, parents before their children."""
    at = at or value("init_process")
    if int(at):
        yield at
        for child in each(at["children"], "process", "sibling"):
            yield from processes(child)


def threads():
    for process in processes():
        for task in each(process["threads"], "task", "thread_link"):
            yield process, task


def find(word_of_pid):
    number = int(value(word_of_pid))
    for process, task in threads():
        if int(task["tid"]) == number:
            return process, task
    raise gdb.GdbError(f"no thread has the number {number}")


def state_of(task):
    exited = int(task["exit_state"])
    if exited >= 2:
        return "Z"
    return "RSDDTtXN"[int(task["thread"]["state"])]


def path_of(file):
    """The name of a struct file, from its dentries."""
    file = file.cast(kind("file").pointer())
    dentry, names = file["path"]["dentry"], []
    if not int(dentry):
        return text(file["anon_name"]) if int(file["anon_name"]) else "?"
    while int(dentry["parent"]) != int(dentry):
        names.append(dentry["name"].string(errors="replace", length=int(dentry["name_len"])))
        dentry = dentry["parent"]
    return "/" + "/".join(reversed(names))


def ps(_):
    print("  PID   TID  PPID S CPU NAME")
    for process, task in threads():
        parent = int(process["parent"]["pid"]) if int(process["parent"]) else 0
        print(f"{int(process['pid']):5} {int(task['tid']):5} {parent:5} {state_of(task)} {int(task['thread']['cpu']):3} "
              f"{text(task['thread']['name'])}")


def maps(words):
    process, _ = find(words[0])
    space = process["aspace"]
    if not int(space):
        print("no address space: it has ended")
        return
    for area in tree(space["areas"]["root"], "area", "node"):
        flags = int(area["flags"])
        rights = "".join(letter if flags & bit else "-" for bit, letter in (
            (VM_READ, "r"), (VM_WRITE, "w"), (VM_EXEC, "x"))) + ("s" if flags & VM_SHARED else "p")
        name = path_of(area["file"]) if int(area["file"]) else ""
        print(f"{int(area['start']):012x}-{int(area['end']):012x} {rights} {int(area['off']):08x} {name}".rstrip())


def bits_of(entry):
    return "".join(letter if entry & bit else "-" for bit, letter in PTE_BITS) + ("" if entry >> 63 else "X")


def pte(words):
    address = int(value(words[0])) & (1 << 64) - 1
    if len(words) > 1:
        process, _ = find(words[1])
        table = int(process["aspace"]["root"]["v"]) << 12
    else:
        table = int(value("$cr3")) & PTE_ADDR
    for level in (3, 2, 1, 0):
        index = address >> (12 + 9 * level) & 511
        entry = word(DIRECT + table + 8 * index)
        print(f"level {level} [{index:3}] {entry:#018x} {bits_of(entry)}")
        if not entry & 1:
            print("not present")
            return
        table = entry & PTE_ADDR
        if level == 0 or entry & 1 << 7:
            frame = (table >> 12) + (address >> 12 & (1 << 9 * level) - 1)
            print(f"{address:#x} is in frame {frame:#x}")
            return


def page(words):
    number = int(value(words[0]))
    frame = gdb.Value(VMEMMAP).cast(kind("page").pointer()) + number
    use = gdb.Value(int(frame["use"])).cast(gdb.lookup_type("enum page_use"))
    print(f"frame {number:#x} (physical {number << 12:#x}): {use}, refs {int(frame['refs']['v'])}, "
          f"order {int(frame['order'])}, flags {int(frame['flags']):#x}, owner {int(frame['owner']):#x}, index {int(frame['index'])}")


def global_locks():
    """(name, lock) of every spinlock that is a variable of its own.  Names may be used in several files."""
    listing = gdb.execute("info variables -q -t spinlock_t", to_string=True)
    source = None
    for line in listing.splitlines():
        if line.startswith("File "):
            source = line[len("File "):].rstrip(":")
        elif line.endswith(";"):
            name = line.rstrip(";").split()[-1].partition("[")[0]
            lock = value(f"'{source}'::{name}")
            if lock.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
                yield from ((f"{name}[{i}] ({source})", lock[i]) for i in range(lock.type.range()[1] + 1))
            else:
                yield f"{name} ({source})", lock


def locks(_):
    taken = [name for name, lock in global_locks() if int(lock["locked"])]
    print("taken: " + (", ".join(taken) or "none of the global spinlocks"))
    for cpu in cpus():
        queue = per_cpu("sched_runq", "runq", cpu)
        if int(queue["lock"]["locked"]):
            print(f"taken: run queue of CPU {cpu}")
    try:
        kind("held_spins")
    except gdb.error:
        print("this kernel does not record who holds what: build it with DEBUG=1")
        return
    for cpu in cpus():
        held = per_cpu("held_spins", "held_spins", cpu)
        for i in range(int(held["n"])):
            lock, where = held["h"][i]["lock"], int(held["h"][i]["where"])
            print(f"CPU {cpu} holds {symbol(int(lock))} at {int(lock):#x}, rank {int(lock['rank'])}, taken in {symbol(where)}")
    for _, task in threads():
        thread = task["thread"]
        for i in range(int(thread["held_locks"])):
            print(f"thread {int(task['tid'])} holds lock {int(thread['held'][i]['lock']):#x} rank {int(thread['held'][i]['rank'])}")


def thread_name(thread):
    return text(thread["name"])


def runq(_):
    for cpu in cpus():
        queue = per_cpu("sched_runq", "runq", cpu)
        waiting = [thread_name(t) for t in tree(queue["fair"]["root"], "thread", "run_node")]
        for level in range(1, 100):
            if int(queue["rt_bitmap"][level // 64]) >> level % 64 & 1:
                waiting += [f"{thread_name(t)} (rt {level})" for t in each(queue["rt"][level], "thread", "run_link")]
        print(f"CPU {cpu}: runs {thread_name(queue['current'])}, {int(queue['nr'])} wait: {', '.join(waiting) or '-'}; "
              f"{int(queue['switches'])} switches, {int(queue['steals'])} steals")


def trace_names():
    sys.path.insert(0, os.path.join(TOP, "tools"))
    from saker import trace_read
    return [point["name"] for point in trace_read.Table(TOP).points]


def trace(words):
    count = int(value(words[0])) if words else 20
    table = int(value("outbox_header")["trace_pa"])
    if not table:
        print("the tracer is off: --debug trace")
        return
    names, records = trace_names(), []
    for cpu in cpus():
        ring = gdb.Value(DIRECT + word(DIRECT + table + 8 * cpu)).cast(kind("trace_ring").pointer())
        head, mask = int(ring["head"]), int(ring["mask"])
        for i in range(max(0, head - min(count, mask)), head):
            one = ring["record"][i & mask]
            records.append((int(one["tsc"]), cpu, int(one["tid"]), int(one["event"]), int(one["arg"][0]), int(one["arg"][1])))
    for tsc, cpu, tid, event, first, second in sorted(records)[-count:]:
        number, phase = event >> 2, ("", " begin", " end")[event & 3]
        name = names[number] if number < len(names) else f"event {number}"
        print(f"{tsc} CPU {cpu} thread {tid}: {name}{phase} {first:#x} {second:#x}")


def symbol(address):
    return gdb.execute(f"info symbol {address}", to_string=True).split(" in section")[0].strip()


def saved_frames(stack):
    """(instruction, frame pointer) pairs of a thread that is off its CPU: arch_switch_stack() left r15 r14 r13 r12 rbx rbp rip."""
    frame, at = word(stack + 40), word(stack + 48)
    yield at
    for _ in range(CHAIN):
        if frame < 1 << 63:
            return
        at, frame = word(frame + 8), word(frame)
        if at < 1 << 63:
            return
        yield at


def bt(words):
    _, task = find(words[0])
    thread = task["thread"]
    if int(thread["on_cpu"]):
        cpu = int(thread["cpu"])
        print(f"runs on CPU {cpu}:")
        gdb.execute(f"thread apply {cpu + 1} backtrace")
        return
    for number, at in enumerate(saved_frames(int(thread["arch"]["ksp"]))):
        print(f"#{number:<2} {at:#018x} {symbol(at)}")
    frame = gdb.Value(int(thread["arch"]["kstack_top"])).cast(kind("trapframe").pointer()) - 1
    print(f"user: rip {int(frame['rip']):#x} rsp {int(frame['rsp']):#x} call {int(frame['orig_rax']) & 0xFFFFFFFF}")


def crash(_):
    report = gdb.lookup_static_symbol("report", gdb.SYMBOL_VAR_DOMAIN).value()
    if not int(report["kind"]):
        print("the kernel has not panicked")
        return
    print(f"{report['kind'].string()}: {text(report['reason'])}")
    for number in range(int(report["nframes"])):
        address = int(report["frames"][number])
        exact = number == 0 and report["pc_exact"]
        line = gdb.find_pc_line(address if exact else address - 1)
        place = f" at {line.symtab.filename}:{line.line}" if line.symtab else ""
        print(f"#{number:<2} {address:#018x} {symbol(address if exact else address - 1)}{place}")


COMMANDS = {"ps": (ps, 0), "maps": (maps, 1), "pte": (pte, 1), "page": (page, 1), "locks": (locks, 0), "runq": (runq, 0),
            "trace": (trace, 0), "bt": (bt, 1), "crash": (crash, 0)}


class Saker(gdb.Command):
    """Saker's objects: saker ps|maps PID|pte ADDR [PID]|page PFN|locks|runq|trace [N]|bt PID|crash"""

    def __init__(self):
        super().__init__("saker", gdb.COMMAND_DATA)

    def complete(self, line, _):
        return [name for name in COMMANDS if name.startswith(line)]

    def invoke(self, line, _):
        words = gdb.string_to_argv(line)
        command, least = COMMANDS.get(words[0] if words else None, (None, 0))
        if not command or len(words) - 1 < least:
            raise gdb.GdbError(self.__doc__)
        command(words[1:])


Saker()
gdb.execute("set python print-stack message")
