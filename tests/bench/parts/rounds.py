"""Works x systems. In each round every system has its turn at the same work, one after the other,
each round beginning with another one; so what the machine does meanwhile falls on all of them.
Ratios are made within a round, and their median is what counts.
"""
import statistics
import sys
import time

from . import measure, systems, works


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """Half of the way from the least to the largest, as a share of the median."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def present(values):
    return [v for v in values if v is not None]


def summary(values):
    there = present(values)
    return {"values": values, "median": median(there), "spread": spread(there) if there else None}


def ratios(values, reference):
    """Round by round; one with a hole is left out."""
    return [v / r for v, r in zip(values, reference) if v is not None and r]


def reached(value, target, more):
    """Which step of a target a figure reaches: "then", "first" or "no"."""
    for step in ("then", "first"):
        if value >= getattr(target, step) if more else value <= getattr(target, step):
            return step
    return "no"


def best_peer(row_systems, more):
    there = [(s["median"], key) for key, s in row_systems.items()
             if key in works.PEERS and s.get("median") is not None]
    return (max(there) if more else min(there))[1] if there else None


def judge(target, metric, row_systems):
    """A target against what was measured; None where one of the two is missing."""
    def measured(key):
        return row_systems.get(key, {}).get("median") is not None

    against = best_peer(row_systems, metric.more) if target.against == works.BEST_PEER else target.against
    if not measured(target.system) or (target.against and not (against and measured(against))):
        return None
    values = row_systems[target.system]["values"]
    values = ratios(values, row_systems[against]["values"]) if against else present(values)
    if not values:
        return None
    return {"system": target.system, "against": against, "peer": target.against == works.BEST_PEER,
            "value": median(values), "spread": spread(values), "first": target.first, "then": target.then,
            "reached": reached(median(values), target, metric.more)}


def mean_cpu(runs):
    costs = [r["cpu"] for r in runs if r and "cpu" in r]
    return {part: median([c[part] for c in costs]) for part in (costs[0] if costs else ())}


def row(work, metric, runs, reasons):
    """runs: system -> one dictionary of figures a round, None for a run that failed."""
    table = {}
    for key in work.systems:
        if any(runs.get(key, ())):
            table[key] = summary([r.get(metric.name) if r else None for r in runs[key]])
            if metric is work.metrics[0] and work.per:
                table[key]["cpu"] = mean_cpu(runs[key])
        else:
            table[key] = {"why": reasons.get(key, "was not measured")}
    return {"id": work.id + ("." + metric.title if metric.title else ""), "work": work.id,
            "title": ", ".join(t for t in (work.title, metric.title) if t), "unit": metric.unit,
            "better": "more" if metric.more else "less", "per": work.per, "systems": table,
            "targets": [j for j in (judge(t, metric, table) for t in metric.targets) if j]}


def say(text):
    print(text, file=sys.stderr, flush=True)


def start_all(work, build, scratch, running, reasons):
    """Fills in the systems that take part, and the reasons of those that cannot."""
    for key in work.systems:
        system = systems.CLASSES[key](build, scratch)
        try:
            system.start(systems.Setting(work.offload, work.busy))
            running[key] = system
        except (systems.Unavailable, OSError) as e:
            reasons[key] = str(e)
            say(f"  {work.id}: {system.title}: {e}")


SETTLE_SECONDS = 0.05  # what came for a process while it was stopped


def alone(work, running, key):
    """Where systems poll, the others do not run while one is measured."""
    if not work.busy:
        return
    for other, system in running.items():
        system.pause(other != key)
    time.sleep(SETTLE_SECONDS)


def one_round(number, work, running, seconds, runs, reasons):
    keys = list(running)
    turn = number % len(keys) if keys else 0
    for key in keys[turn:] + keys[:turn]:
        if runs[key][-2:] == [None, None]:  # it will not do better, and each try may take its whole limit
            runs[key].append(None)
            continue
        alone(work, running, key)
        try:
            runs[key].append(measure.MEASUREMENTS[work.measurement](running[key], work, seconds))
        except (measure.Failed, systems.Unavailable, OSError) as e:
            reasons[key] = str(e)
            runs[key].append(None)
            say(f"  {work.id}: {running[key].title}: {e}")


def run_work(work, build, scratch, count, seconds):
    """The rows of one work."""
    reasons = {}
    running = {}
    try:
        start_all(work, build, scratch, running, reasons)
        runs = {key: [] for key in running}
        for number in range(work.rounds or count):
            one_round(number, work, running, seconds, runs, reasons)
    finally:
        for system in running.values():
            system.stop()
    return [row(work, metric, runs, reasons) for metric in work.metrics]


def run(chosen, build, scratch, count, seconds):
    rows = []
    for work in chosen:
        say(f"{work.title} ...")
        rows += run_work(work, build, scratch, count, seconds)
    return rows
