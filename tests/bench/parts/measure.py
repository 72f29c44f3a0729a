"""One run of one work on one system: a dictionary of its metrics, and "cpu": seconds per unit of
work that the stack's process, the program behind it and the client took, user and system together.

What the kernel does for a packet is charged to the process that happens to run, usually the one
that sent it: the figure of one process alone says less than their sum.
"""
import os
import resource
import select
import socket
import struct
import subprocess
import time

from . import systems

HELD = 8000      # connections for the memory of one
REST_SECONDS = 2.5  # after which a connection through which nothing moves is idle
IDLE_SECONDS = 2
SETTLE_SECONDS = 8  # a new address is announced, the host's kernel looks after its neighbour


class Failed(Exception):
    """Why a run gave no figure."""


# ---- processes ----

def tasks(pid):
    try:
        return [int(t) for t in os.listdir(f"/proc/{pid}/task")] if pid else []
    except OSError:
        return []


def cpu_seconds(pid):
    """Of all its threads; from the scheduler's clock, which is finer than that of /proc/PID/stat."""
    total = 0
    for task in tasks(pid):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        except OSError:
            continue
    return total / 1e9


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def status_value(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise Failed(f"/proc/{pid}/status has no {key}")


def pin(system, how):
    """Where stack and program may run; returns the start of the client's command line, which has the first core."""
    if how is None:
        return []
    cores = sorted(os.sched_getaffinity(0))
    if how != "one" and len(cores) < 2:
        raise Failed("needs two cores")
    other = cores[0] if how == "one" else cores[1]
    program = cores[0] if how == "apart" and system.stack else other
    for pid, core in ((system.stack, other), (system.program, program)):
        for task in tasks(pid):
            os.sched_setaffinity(task, {core})
    return ["taskset", "-c", str(cores[0])]


# ---- the load tool ----

def parse(line):
    """NAME VALUE UNIT, again and again."""
    words = line.split()
    return {words[i]: float(words[i + 1]) for i in range(0, len(words) - 2, 3)}


def total(figures):
    """Of several tools that ran at the same time."""
    return {name: sum(f[name] for f in figures) for name in figures[0]}


def load(system, work, seconds):
    words = [*pin(system, work.pin), *system.prefix,
             *system.load(work.command[0], system.address, str(seconds), *work.command[1:])]
    before = [cpu_seconds(system.stack), cpu_seconds(system.program), children_seconds()]
    tools = [subprocess.Popen(["timeout", "--kill-after=1", str(seconds + 8), *words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(work.flows)]
    said = [tool.communicate() for tool in tools]
    after = [cpu_seconds(system.stack), cpu_seconds(system.program), children_seconds()]
    for tool, (_, error) in zip(tools, said):
        if tool.returncode:
            raise Failed(error.strip() or f"the load tool ended with {tool.returncode}")
    figures = total([parse(out) for out, _ in said])
    units = figures["bytes"] / 1e9 if work.per == "GB" else figures["count"]
    figures["cpu"] = {}
    for name, pid, a, b in zip(("stack", "program", "client"), (system.stack, system.program, True), before, after):
        if pid:
            figures["cpu"][name] = (b - a) / max(units, 1e-9)
    return figures


# ---- from the start to the first answer ----

def echo_request(number):
    """ICMP echo request; the kernel fills in nothing of it."""
    packet = struct.pack("!BBHHH", 8, 0, 0, 0x4257, number & 0xffff)
    total = sum(struct.unpack("!4H", packet))
    total = (total & 0xffff) + (total >> 16)
    return packet[:2] + struct.pack("!H", ~total & 0xffff) + packet[4:]


def pinged(sock, address, seconds=5.0):
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        try:
            sock.sendto(echo_request(number), (address, 0))
        except OSError:  # no interface, no route yet
            pass
        number += 1
        if select.select([sock], [], [], 0.001)[0]:
            packet = sock.recv(2048)
            if packet[20] == 0 and packet[24:26] == b"\x42\x57":
                return
    raise Failed("no ping was answered")


def start(system, work, seconds):
    system.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        begin = time.monotonic()
        system.daemon(systems.Setting())
        pinged(sock, system.address)
        return {"ms": (time.monotonic() - begin) * 1e3}


# ---- at rest ----

def memory(system, work, seconds):
    before = status_value(system.stack, "RssAnon")
    words = [*system.prefix, *system.load("hold", system.address, "30", str(HELD))]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as client:
        ready = select.select([client.stdout], [], [], 20)[0]
        line = client.stdout.readline() if ready else ""
        time.sleep(REST_SECONDS)
        after = status_value(system.stack, "RssAnon")
        client.terminate()
        if not line.startswith("held"):
            raise Failed("not all connections came about: " + client.stderr.read().strip())
    return {"bytes": (after - before) * 1024 / HELD}


def switches(pid):
    total = 0
    for task in tasks(pid):
        total += status_value(f"{pid}/task/{task}", "voluntary_ctxt_switches")
    return total


def idle(system, work, seconds):
    time.sleep(max(0.0, system.started + SETTLE_SECONDS - time.monotonic()))
    before = switches(system.stack)
    time.sleep(IDLE_SECONDS)
    return {"switches": switches(system.stack) - before}


MEASUREMENTS = {"load": load, "start": start, "memory": memory, "idle": idle}
