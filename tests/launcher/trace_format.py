"""
What is wrong with a trace, by the Trace Event Format (Google, 2016), as Perfetto and chrome://tracing read it.

Complete events (X) of one track nest: the importers drop what overlaps in part.  They add ts and dur in floating point,
speedscope from the first event of a track on, so no end may lie on another, or on the start behind it.  Qt Creator wants
names to have a ts, and its clock starts with the first event in the file.  A flow has one start (s) and one end
(f) that follows it; both bind to the slice around them on their track (bp "e" for the end).
"""
NEEDED = {"X": ("ts", "dur", "tid"), "i": ("ts", "tid", "s"), "s": ("ts", "tid", "id"), "f": ("ts", "tid", "id"), "M": ("args", "tid", "ts")}
METADATA = {"process_name": "name", "thread_name": "name", "process_sort_index": "sort_index", "thread_sort_index": "sort_index",
            "process_labels": "labels"}
DIGIT = 0.001           # microseconds: times are written with three digits
ROUNDED = 1.1 * DIGIT


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def of_event(event):
    if not isinstance(event, dict) or event.get("ph") not in NEEDED:
        yield "not an event of a known phase"
        return
    for field in ("name", "pid", *NEEDED[event["ph"]]):
        if field not in event:
            yield f"{field} is missing"
    for field in ("ts", "dur"):
        if field in event and not (number(event[field]) and event[field] >= 0):
            yield f"{field} is {event[field]!r}"
    for field in ("pid", "tid"):
        if field in event and not isinstance(event[field], int):
            yield f"{field} is {event[field]!r}"
    if event["ph"] == "i" and event.get("s") not in ("g", "p", "t"):
        yield f"scope is {event.get('s')!r}"
    if event["ph"] == "M" and METADATA.get(event.get("name")) not in (event.get("args") or {}):
        yield "metadata of no known kind, or without its value"


def nesting(slices):
    """Slices of one track that overlap in part."""
    open_until = []
    for start, end in sorted(slices, key=lambda one: (one[0], -one[1])):
        while open_until and open_until[-1] <= start - DIGIT / 2:
            open_until.pop()
        # What began with the last record of all has no length, and lies on the end of what it is in.
        if open_until and end > open_until[-1] - DIGIT / 2 and end > start:
            yield f"a slice from {start} to {end} begins in one that ends at {open_until[-1]}"
        open_until.append(end)


def flows(events, tracks):
    ends = {}
    for event in events:
        if event["ph"] in "sf":
            ends.setdefault((event.get("cat"), event["name"], event["id"]), []).append(event)
    for key, pair in ends.items():
        if sorted(event["ph"] for event in pair) != ["f", "s"]:
            yield f"flow {key} has {[event['ph'] for event in pair]}"
            continue
        start, end = sorted(pair, key=lambda event: event["ph"], reverse=True)
        if end["ts"] < start["ts"]:
            yield f"flow {key} ends at {end['ts']} before it starts"
        for event in (start, end):
            if not any(low - ROUNDED <= event["ts"] <= high + ROUNDED
                       for low, high in tracks.get((event["pid"], event["tid"]), ())):
                yield f"flow {key}: its {event['ph']} at {event['ts']} lies in no slice"


def complaints(trace):
    """One line for each thing that is wrong; nothing: it is well-formed."""
    if not isinstance(trace, dict) or not isinstance(trace.get("traceEvents"), list):
        return ["no list of traceEvents"]
    if trace.get("displayTimeUnit", "ms") not in ("ms", "ns"):
        return ["displayTimeUnit"]
    found = [f"{what}: {event}" for event in trace["traceEvents"] for what in of_event(event)]
    if found:
        return found
    tracks, named = {}, set()
    times = [event["ts"] for event in trace["traceEvents"]]
    if times != sorted(times):
        found.append("events are not in order of time")
    for event in trace["traceEvents"]:
        track = event["pid"], event.get("tid")
        if event["ph"] == "X":
            tracks.setdefault(track, []).append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "M" and event["name"] == "thread_name":
            named.add(track)
    for track, slices in tracks.items():
        if track not in named:
            found.append(f"track {track} has no name")
        found += [f"track {track}: {what}" for what in nesting(slices)]
    return found + list(flows(trace["traceEvents"], tracks))
