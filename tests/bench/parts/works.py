"""What is measured and what it has to reach: data alone.

A work is one invocation of the load tool, or another measurement of `measure`. It gives one or
more metrics, each a row of the table. A target is a ratio against another system in the same
run, or an absolute figure; it has two steps.
"""
import dataclasses

KERNEL = "kernel"
BEST_PEER = "best peer"
PEERS = ("lwip", "slirp4netns", "pasta")
ALL = (KERNEL, "inside", "owner") + PEERS
RINGS = (KERNEL, "inside", "owner", "ring") + PEERS  # where data moves
EVERY = RINGS + ("workers",)


@dataclasses.dataclass(frozen=True)
class Target:
    system: str
    first: float
    then: float
    against: str | None = KERNEL  # a system, BEST_PEER, or None: an absolute figure


@dataclasses.dataclass(frozen=True)
class Metric:
    name: str  # as the measurement calls it
    title: str
    unit: str
    more: bool  # more is better
    targets: tuple = ()


@dataclasses.dataclass(frozen=True)
class Work:
    id: str
    title: str
    explain: str  # for the page: one or two sentences for people who learn
    metrics: tuple
    command: tuple = ()  # of the load tool: its verb and what follows the seconds
    measurement: str = "load"  # a function of measure.py
    systems: tuple = ALL
    offload: bool = True
    busy: bool = False  # busy polling (Byway), spinning (lwIP)
    # "one" core for all; "two": the client on one, the server's side on the other; "apart": the stack
    # has the other for itself
    pin: str | None = None
    per: str | None = None  # what CPU time is counted against: "GB" or "transaction"
    rounds: int | None = None  # where one look is enough
    flows: int = 1  # load tools at once


def bulk(inside, owner=None, peers=3.0):
    targets = [Target("inside", *inside)]
    if owner:
        targets += [Target("owner", *owner), Target("ring", *owner)]
    targets.append(Target("inside", 1.0, peers, BEST_PEER))
    return (Metric("bulk", "", "Gbit/s", True, tuple(targets)),)


def round_trip(inside, owner):
    targets = (Target("inside", *inside), Target("owner", *owner), Target("ring", *owner),
               Target("inside", 1.0, 1.0, BEST_PEER))
    return Metric("p50", "p50", "µs", False, targets), Metric("p99", "p99", "µs", False)


WORKS = (
    Work("bulk-in", "bulk into the stack",
         "One connection; the client writes as fast as it may to the discard service (port 9) for a second. With "
         "offloads, so a frame carries up to 64 KiB.",
         bulk((0.8, 1.1), (0.5, 0.8)), ("out",), per="GB", systems=RINGS),
    Work("bulk-out", "bulk out of the stack",
         "The same, the other way: the client reads from chargen (port 19).",
         bulk((0.8, 1.1), (0.5, 0.8)), ("in",), per="GB", systems=RINGS),
    Work("bulk-in-off", "bulk in, offloads off",
         "No segmentation or checksum offload anywhere: each packet of 1,500 bytes is a frame of its own and every "
         "byte is summed by the two ends. For slirp4netns and pasta the MTU goes down from 65,520 to 1,500.",
         bulk((0.5, 1.0)), ("out",), offload=False, per="GB"),
    Work("bulk-out-off", "bulk out, offloads off", "The same, out of the stack.",
         bulk((0.5, 1.0)), ("in",), offload=False, per="GB"),
    Work("flows-out-off", "four at once out, offloads off",
         "Four clients read from chargen at the same time, without offloads: a daemon with one worker beside one with "
         "two. Two can carry at most what the machine's cores have left: on two cores, which the clients and the kernel "
         "use in part, it is the sum of all work that limits them, where one worker is limited by one core.",
         (Metric("bulk", "", "Gbit/s", True, (Target("workers", 1.0, 1.3, "inside"),)),), ("in",), offload=False, per="GB",
         systems=(KERNEL, "inside", "workers"), flows=4),
    Work("flows-skip-off", "sixteen at once out, thrown away",
         "One client with sixteen connections to chargen, without offloads, which has its kernel throw away what came "
         "(MSG_TRUNC) and is woken for 256 KiB at a time only: beside the daemon's work its own is small, so two cores "
         "have room for two workers.",
         (Metric("bulk", "", "Gbit/s", True, (Target("workers", 1.3, 1.7, "inside"),)),), ("skip", "16"), offload=False, per="GB",
         systems=(KERNEL, "inside", "workers")),
    Work("rr-two", "round trip, two cores",
         "One byte to echo (port 7) and back, without Nagle's delay, again and again; the client is pinned to one core, "
         "stack and server to another, so each trip wakes another core twice; between stack and owner it is a switch "
         "of processes.",
         round_trip((1.0, 0.8), (1.9, 1.4)), ("rr",), pin="two", per="transaction", systems=RINGS),
    Work("rr-one", "round trip, one core",
         "The same with everything pinned to one core: a wake-up is a switch of processes, and what is left is the work.",
         round_trip((1.0, 0.8), (1.9, 1.4)), ("rr",), pin="one", per="transaction", systems=RINGS),
    Work("rr-busy", "round trip, busy polling",
         "With busy polling on request the stack looks at its descriptors for a while before it sleeps; lwIP spins all "
         "the time. The stack has a core for itself, the client and an owner share the other; kernel to kernel is as "
         "on two cores.",
         round_trip((0.3, 0.3), (0.7, 0.7)), ("rr",), systems=(KERNEL, "inside", "owner", "ring", "lwip"), busy=True, pin="apart",
         per="transaction"),
    Work("crr-1", "connections, one at once",
         "Connect to echo, one byte each way, close from both sides, again: handshake, teardown and the look-ups.",
         (Metric("crr", "", "/s", True, (Target("inside", 1.0, 1.0, BEST_PEER),)),), ("crr", "1"), per="transaction"),
    Work("crr-64", "connections, 64 at once",
         "The same with 64 such connections at any time.",
         (Metric("crr", "", "/s", True, (Target("inside", 1.5, 2.0), Target("owner", 0.6, 1.0),
                                         Target("inside", 1.0, 1.0, BEST_PEER))),), ("crr", "64"), per="transaction"),
    Work("start", "start to first ping",
         "From the start of the process until the host's kernel has the answer to a ping; pings go out every millisecond.",
         (Metric("ms", "", "ms", False, (Target("inside", 50, 20, None),)),), measurement="start", systems=("inside",)),
    Work("memory", "an idle connection",
         "What the stack's process grows by for each of 8,000 established connections without data, everything counted "
         "(pages, tables, allocator).",
         (Metric("bytes", "", "B", False, (Target("inside", 512, 256, None),)),), measurement="memory",
         systems=("inside", "lwip"), rounds=1),
    Work("idle", "wake-ups while idle",
         "Context switches of the stack's process in two seconds without traffic, eight seconds after its start (there is no "
         "service manager's watchdog here).",
         (Metric("switches", "", "in 2 s", False, (Target("inside", 0, 0, None),)),), measurement="idle",
         systems=("inside", "owner") + PEERS, rounds=1),
)


def asked(only, name):
    """A list, comma between, asks for a work by its name or, if none is called so, by its beginning."""
    names = [n for n in (only or "").split(",") if n]
    known = {w.id for w in WORKS}
    return any(name == n or (n not in known and name.startswith(n)) for n in names)


def chosen(only, systems=None):
    """Of all works, or of those asked for; with all systems, or with some of theirs."""
    keep = set(systems.split(",")) if systems else set(EVERY)
    return [dataclasses.replace(w, systems=tuple(s for s in w.systems if s in keep)) for w in WORKS
            if (not only or asked(only, w.id)) and keep & set(w.systems)]
