"""The tables beside the main one: what a flood of SYNs leaves of a transfer, a lossy path shared
with the kernel's TCP, and costs in instructions, which no noise of the machine can move.
"""
import json
import os
import re
import subprocess
import time

from . import measure, rounds, systems, works

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


# ---- SYNs at line rate ----

FLOODED = (("flood-in", "bulk in under a SYN flood", ("out",)), ("flood-out", "bulk out under a SYN flood", ("in",)))


def hardware_address(ip):
    shown = systems.command("ip", "neigh", "show", ip)
    found = re.search(r"lladdr (\S+)", shown)
    if not found:
        raise systems.Unavailable(f"no hardware address of {ip}")
    return found.group(1)


def under_flood(stack, wire, work, seconds):
    """Gbit/s to the stack while SYNs for it go out on an interface as fast as that takes them."""
    words = [os.path.join(stack.build, "tests/bench/flood"), wire, hardware_address(stack.ip), stack.ip, "7",
             str(seconds + 0.5)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as flood:
        time.sleep(0.2)
        try:
            return measure.load(stack, work, seconds)["bulk"]
        finally:
            flood.wait()


def flood(build, scratch, count, seconds):
    """The same flood at the stack's TAP and at an interface that drops it: the machine is as busy both times."""
    stack, kernel = systems.Inside(build, scratch), systems.Kernel(build, scratch)
    rows = []
    try:
        stack.start(systems.Setting())
        kernel.start(systems.Setting())
        for name, title, command in FLOODED:
            work = works.Work(name, title, "", (), command, per="GB")
            values = [(under_flood(stack, "v0", work, seconds), under_flood(stack, stack.interface, work, seconds))
                      for _ in range(count)]
            beside, under = [list(v) for v in zip(*values)]
            rows.append({"id": name, "title": title, "unit": "Gbit/s", "beside": rounds.summary(beside),
                         "under": rounds.summary(under), "ratio": rounds.median(rounds.ratios(under, beside))})
    finally:
        stack.stop()
        kernel.stop()
    return rows


# ---- the relay ----

def relay(build, count, seconds):
    limit = 60 + count * seconds * 14
    done = subprocess.run([os.path.join(HERE, "relay"), build, str(count), str(seconds)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=limit)
    rows = []
    for line in done.stdout.splitlines():
        words = line.split("\t")
        if len(words) == 4:
            rows.append({"title": words[0], "unit": "Mbit/s", "kernel": float(words[1]), "byway": float(words[2]),
                         "ratio": float(words[3])})
    if done.returncode or not rows:
        raise systems.Unavailable("the relay: " + (done.stderr.strip().splitlines() or ["no figures"])[-1])
    return rows


# ---- instructions ----

SEGMENT = 1448  # bytes of data, with timestamps
SHORT, LONG = 8, 24  # MiB: what both share, the handshake and the start, falls out of the difference


def collected(*words):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode or not found:
        raise systems.Unavailable("callgrind: " + (done.stderr.strip().splitlines() or ["no count"])[-1])
    return int(found.group(1))


def more_instructions(few, many, units):
    """What one of the units takes by which the second command does more than the first."""
    return (collected(*many) - collected(*few)) / units


def segment_instructions(build):
    program = os.path.join(build, "tests/bench/segments")
    value = more_instructions((program, str(SHORT)), (program, str(LONG)), (LONG - SHORT) * 2 ** 20 / SEGMENT)
    return {"value": value, "first": 3000, "then": 1500,
            "reached": "then" if value <= 1500 else "first" if value <= 3000 else "no"}


def connection_costs(build, counts):
    """What one of few connections and one of very many costs: a list of {"connections": N, what: figure}."""
    program = os.path.join(build, "tests/bench/cost")
    if not os.path.exists(program):
        return []
    done = subprocess.run([program, "--json", *map(str, counts)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=600)
    if done.returncode:
        raise systems.Unavailable("cost: " + (done.stderr.strip().splitlines() or ["no figures"])[-1])
    return json.loads(done.stdout)


def cost(build, counts):
    return {"segment": segment_instructions(build), "connections": connection_costs(build, counts)}


# ---- shards on threads ----

THREADS = 2
# What one unit is, its name in the table, and how many of them each thread does for callgrind.
SHARDED = (("loop", "arithmetic alone", None), ("bulk", "segments of bulk", 10000), ("rr", "requests with their answers", 10000),
           ("crr", "connections", 2000))


def sharded(program, work, threads, seconds):
    done = subprocess.run([program, work, str(threads), str(seconds)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=seconds + 30)
    if done.returncode:
        raise systems.Unavailable("shards: " + (done.stderr.strip().splitlines() or ["no figures"])[-1])
    return measure.parse(done.stdout)


def shard_instructions(program, work, threads, units):
    few, many = [(program, work, str(threads), "0", str(n)) for n in (units, 3 * units)]
    return more_instructions(few, many, 2 * units * threads)


def shard_row(program, work, title, units, count, seconds):
    counts = (1, THREADS)
    runs = [[sharded(program, work, n, seconds) for n in counts] for _ in range(count)]
    rates, costs = [[[r[i][what] for r in runs] for i in range(len(counts))] for what in ("rate", "cost")]
    row = {"work": work, "title": title, "threads": THREADS, "one": rounds.summary(rates[0]), "all": rounds.summary(rates[1]),
           "ratio": rounds.median(rounds.ratios(rates[1], rates[0])),
           "cost": rounds.median(rounds.ratios(costs[1], costs[0]))}
    if units:
        row["instructions"] = [shard_instructions(program, work, n, units) for n in counts]
    return row


def shards(build, count, seconds):
    """The same work in one thread and in several, each with a stack of its own."""
    if len(os.sched_getaffinity(0)) < THREADS:
        raise systems.Unavailable(f"needs {THREADS} cores")
    program = os.path.join(build, "tests/bench/shards")
    return [shard_row(program, *what, count, seconds) for what in SHARDED]
