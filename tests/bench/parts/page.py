"""The results as a page. The text around the figures is here; every figure comes from the results,
so that the page cannot say what the bench did not print."""
from . import tables, works

INTRO = """\
# Performance

What Byway does beside the host's own TCP and beside other stacks of user space, on one machine, in one run. \
`{command} --write docs/performance.md` wrote this page: every figure on it was printed by that run, and running it again replaces them all. \
A machine moves from day to day, above all a virtual one, so a figure by itself says little: compare within the page.

- date: {date}, Byway at commit {commit}
- machine: {cpu}, {cores} cores, Linux {kernel}; load average {load:.2f} at the start{noise}
- peers, as Debian packages them: {peers}
- each figure is the median of {rounds} runs of {seconds:g} s; ± is half of the range from the least to the largest, as a share of the median

`./dev bench` installs what it needs, builds with optimisation and takes about twelve minutes; `--quick` takes two, \
`--only bulk` some works only, `--json FILE` keeps every single value, `--write PAGE` writes such a page.
"""

SETUPS = """\
## Who is measured

The client is the same program on the kernel's sockets each time, and the services are echo (port 7), discard (9) \
and chargen (19). What differs is who ends the connection at the other side. All of it is in network namespaces \
that the bench makes and that end with it.

```
kernel to kernel        the reference: two namespaces, one kernel

  client ─ kernel TCP ─ veth ════ veth ─ kernel TCP ─ server


Byway inside, lwIP      the service is in the process that has the stack; nobody else is woken

  client ─ kernel TCP ─ TAP ════ bywayd: TCP, echo/discard/chargen
                        TAP ════ lwIP:   TCP, echo/discard/chargen


Byway, owner            a program of its own behind the daemon, through libbyway

  client ─ kernel TCP ─ TAP ════ bywayd: TCP ═ socket pair ═ server


Byway, ring             the same, through memory that the two share; a bell when one of them sleeps

  client ─ kernel TCP ─ TAP ════ bywayd: TCP ═ rings ═ server


slirp4netns, pasta      the client is in a namespace behind them; they end its connection
                        and open another one, through the kernel's sockets

  client ─ kernel TCP ─ TAP ════ TCP of slirp4netns or pasta ─ kernel TCP ─ loopback ─ server
```

A frame to a TAP or from it is one system call of the stack's process, and on two cores one wake-up of it; a frame \
over veth is a function call. So a stack of user space starts behind, and catches up by moving more with each call: \
a TAP with offloads carries up to 64 KiB in a frame. lwIP and the TAPs that slirp4netns and pasta use have no such \
offload; the latter two raise the MTU to 65,520 instead. lwIP is Debian's library with the configuration it was \
built with, among others windows of 64 KiB.
"""

RATIOS = """\
## The targets

Ratios are made within a round, where the systems ran one right after the other, and the median of these counts. \
For each there is a first target and a further one.
"""

CPU = """\
## What it costs

CPU time, user and system together: the process with the stack + the program behind it + the client. What the \
kernel does for a frame is charged to the process that happens to run, often the one that sent it, so the sum says \
most. A dot: there is no such process.
"""

CPU_RATIOS = """\
All of it together as a ratio to kernel to kernel, less is better. This moves least when the machine is busy with \
something else.
"""

FLOOD = """\
## Under a flood of SYNs

SYNs from spoofed addresses as fast as an interface takes them, while a transfer runs to the stack. Beside: the \
flood goes to an interface that drops it, so the machine is as busy. Under it: it goes to the stack's own.
"""

RELAY = """\
## Behind a path that loses

A relay delays by 10 ms each way and loses packets at random, or limits both peers to 100 Mbit/s together; the \
kernel's TCP and the stack are behind it side by side at the same time, both with CUBIC. Into it: data to the stack \
or to the kernel in its place; out of it: from there. When they share, a ratio above 1 says that the kernel's \
connection yields.
"""

COST = """\
## In memory

Without a TAP and without system calls, instructions counted by callgrind: repeatable, whatever else the machine \
does. First two stacks that talk to each other; then one stack with many connections, of which the cost of a single \
one is counted.
"""

SHARDS = """\
## On several threads

Workers share nothing on their way with data, and here is what that gives without a TAP, without clients and without \
system calls: each thread has a stack that is one shard of all, and at the other end of a wire in memory the peers \
whose segments the steering of a TAP's queues would give it. The ratio is what the threads do together beside one; the \
first row, arithmetic in the processor's registers, is what the machine had to give at that time. Time of one: what \
the processor spends on one of them, threads beside one thread; it says what cores that were free would do, where \
they were not. Instructions by callgrind.
"""


def cell(text):
    return text.replace("|", "\\|")


def markdown(rows):
    head = "| " + " | ".join(cell(c) for c in rows[0]) + " |"
    rule = "| --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([head, rule, *("| " + " | ".join(" ".join(cell(c).split()) for c in r) + " |" for r in rows[1:])]) + "\n"


def intro(results):
    m, s = results["machine"], results["settings"]
    peers = ", ".join(f"{name} {version}" for name, version in m["peers"].items()) or "none installed"
    noise = "" if m["load"] <= 0.5 * m["cores"] else ": it was **not quiet**, figures are low and spreads wide"
    return INTRO.format(command=results["command"], date=results["date"], commit=m["commit"] or "unknown", cpu=m["cpu"],
                        cores=m["cores"], kernel=m["kernel"], load=m["load"], noise=noise, peers=peers,
                        rounds=s["rounds"], seconds=s["seconds"])


def explained(results):
    seen = {r["work"] for r in results["rows"]}
    return "\n".join(f"- **{w.title}** (`{w.id}`): {w.explain}" for w in works.WORKS if w.id in seen) + "\n"


def main_part(results):
    out = ["## What is measured\n", explained(results), "## The figures\n", markdown(tables.measured(results))]
    reasons = tables.reasons(results)
    if reasons:
        out.append("Without a figure:\n\n" + "\n".join("- " + r for r in reasons) + "\n")
    out += [RATIOS, markdown(tables.ratios(results))]
    if tables.cpu(results):
        out += [CPU, markdown(tables.cpu(results))]
    if tables.cpu_ratios(results):
        out += [CPU_RATIOS, markdown(tables.cpu_ratios(results))]
    return out


def render(results):
    out = [intro(results), SETUPS]
    if results["rows"]:
        out += main_part(results)
    if results.get("flood"):
        out += [FLOOD, markdown(tables.flood(results))]
    if results.get("relay"):
        out += [RELAY, markdown(tables.relay(results))]
    if results.get("cost"):
        out += [COST, "- " + tables.segment(results) + "\n"]
        if tables.connections(results):
            out.append(markdown(tables.connections(results)))
    if results.get("shards"):
        out += [SHARDS, markdown(tables.shards(results))]
    for name, why in results.get("failed", {}).items():
        out.append(f"Not measured: {name}: {why}\n")
    return "\n".join(out)
