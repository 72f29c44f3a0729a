"""The results as text: measured figures, ratios with their targets, CPU time, and the extras."""
from . import systems, works

MARKS = {"then": "both reached", "first": "first reached", "no": "not reached"}


def number(value):
    """Three figures that matter, no exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.4f}"


def percent(share):
    if share is None:
        return ""
    return f"±{share * 100:.0f}%" if share < 10 else "±>999%"


def grid(rows, heading=True):
    """Columns as wide as they need to be; the first to the left, the others to the right."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip()
             for r in rows]
    if heading:
        lines.insert(1, "-" * max(len(line) for line in lines))
    return lines


# ---- what was measured ----

def columns(results):
    return [key for key in works.EVERY if any(key in r["systems"] for r in results["rows"])]


def figure(entry):
    if entry is None:
        return ""
    if "why" in entry:
        return "-"
    return f"{number(entry['median'])} {percent(entry['spread']):>5}" if entry["spread"] else number(entry["median"])


def measured(results):
    keys = columns(results)
    table = [["", *(systems.TITLES[k] for k in keys)]]
    for r in results["rows"]:
        table.append([f"{r['title']}, {r['unit']}", *(figure(r["systems"].get(k)) for k in keys)])
    return table


def reasons(results):
    """Why a system has no figure, once for each reason."""
    seen = {}
    for r in results["rows"]:
        for key, entry in r["systems"].items():
            if "why" in entry:
                seen.setdefault((systems.TITLES[key], entry["why"]), []).append(r["work"])
    return [f"{title}, {', '.join(dict.fromkeys(ids))}: {why}" for (title, why), ids in seen.items()]


# ---- targets ----

def compared(target):
    against = target["against"]
    if against is None:
        return systems.TITLES[target["system"]]
    peer = "best peer, " if target["peer"] else ""
    return f"{systems.TITLES[target['system']]} / {peer}{systems.TITLES[against]}"


def ratios(results):
    table = [["", "compared", "value", "", "first", "then", ""]]
    for r in results["rows"]:
        sign = "≥" if r["better"] == "more" else "≤"
        for t in r["targets"]:
            # an absolute figure has its unit, a ratio has none
            name = r["title"] if t["against"] else f"{r['title']}, {r['unit']}"
            table.append([name, compared(t), number(t["value"]) if not t["against"] else f"{t['value']:.2f}",
                          percent(t["spread"]) if t["spread"] else "", f"{sign} {t['first']:g}", f"{sign} {t['then']:g}",
                          MARKS[t["reached"]]])
    return table


# ---- CPU time ----

def cpu_cell(entry, per):
    cost = (entry or {}).get("cpu")
    if not cost:
        return ""
    scale = 1e3 if per == "GB" else 1e6
    parts = [number(cost[p] * scale) if cost.get(p) is not None else "·" for p in ("stack", "program", "client")]
    return " + ".join(parts)


def cpu(results):
    keys = [k for k in columns(results) if any(r["systems"].get(k, {}).get("cpu") for r in results["rows"])]
    table = [["", *(systems.TITLES[k] for k in keys)]]
    for r in results["rows"]:
        if any("cpu" in s for s in r["systems"].values()):
            unit = "ms a GB" if r["per"] == "GB" else "µs a transaction"
            table.append([f"{r['title'].removesuffix(', p50')}, {unit}",
                          *(cpu_cell(r["systems"].get(k), r["per"]) for k in keys)])
    return table if len(table) > 1 else []


def cpu_ratios(results):
    """Everybody's time together, against that of kernel to kernel."""
    table = []
    for r in results["rows"]:
        sums = {key: sum(entry["cpu"].values()) for key, entry in r["systems"].items() if entry.get("cpu")}
        if sums.get(works.KERNEL):
            table.append((r["title"].removesuffix(", p50"), {k: v / sums[works.KERNEL] for k, v in sums.items()}))
    keys = [k for k in columns(results) if k != works.KERNEL and any(k in ratio for _, ratio in table)]
    if not keys:
        return []
    return [["", *(systems.TITLES[k] for k in keys)],
            *([title, *(f"{ratio[k]:.2f}" if k in ratio else "" for k in keys)] for title, ratio in table)]


# ---- extras ----

def flood(results):
    table = [["", "beside", "under it", "ratio"]]
    for r in results.get("flood") or []:
        table.append([f"{r['title']}, {r['unit']}", figure(r["beside"]), figure(r["under"]), f"{r['ratio']:.2f}"])
    return table


def relay(results):
    table = [["", "kernel", "Byway", "ratio"]]
    for r in results.get("relay") or []:
        table.append([f"{r['title']}, {r['unit']}", number(r["kernel"]), number(r["byway"]), f"{r['ratio']:.2f}"])
    return table


def shards(results):
    rows = results.get("shards") or []
    if not rows:
        return []
    n = rows[0]["threads"]
    table = [["a second", "one thread", f"{n} threads", "ratio", "time of one", "instructions of one", f"with {n} threads"]]
    for r in rows:
        counted = [number(v) for v in r.get("instructions", ())] or ["", ""]
        table.append([r["title"], figure(r["one"]), figure(r["all"]), f"{r['ratio']:.2f}", f"{r['cost']:.2f}", *counted])
    return table


def segment(results):
    s = results["cost"]["segment"]
    return (f"one data segment of 1,448 bytes, both ends and the acknowledgements: {number(s['value'])} instructions "
            f"(≤ {s['first']:g}, then ≤ {s['then']:g}: {MARKS[s['reached']]})")


# How the figures of `cost` are called that are not instructions.
MEMORY = {"bytes": "memory, idle, bytes by its own account", "resident": "memory, idle, bytes of the process"}
# What a connection may take, and how much more what is done to one of many may cost.
BYTES = (512, 256)
GROWTH = 1.2


def connections(results):
    """Rows are what is counted, columns the number of connections; the last one says how the first is to the last."""
    columns = results["cost"].get("connections") or []
    if not columns:
        return []
    table = [["one of so many connections", *(f"{c['connections']:,}" for c in columns), "targets", ""]]
    for key in (k for k in columns[0] if k != "connections"):
        values = [c.get(key) for c in columns]
        shown = [number(v) if v is not None else "-" for v in values]
        if key in MEMORY:
            target, mark = f"≤ {BYTES[0]}, ≤ {BYTES[1]}", MARKS[step(values[-1], BYTES)]
        elif len(values) > 1 and values[0]:
            target, mark = f"≤ {GROWTH:g} times", "reached" if values[-1] <= GROWTH * values[0] else "not reached"
        else:
            target, mark = "", ""
        table.append([MEMORY.get(key, key + ", instructions"), *shown, target, mark])
    return table


def step(value, limits):
    return "then" if value <= limits[1] else "first" if value <= limits[0] else "no"


# ---- all of it ----

def machine(results):
    m, s = results["machine"], results["settings"]
    lines = [f"{results['date']}  {results['command']}",
             f"{m['cpu']}, {m['cores']} cores, kernel {m['kernel']}, load {m['load']:.2f} at the start; "
             f"medians of {s['rounds']} runs of {s['seconds']:g} s, ± half of the range"]
    if m["load"] > 0.5 * m["cores"]:
        lines.append("The machine was not quiet: figures are low and spreads wide.")
    return lines


def text(results):
    out = machine(results)
    if results["rows"]:
        out += ["", *grid(measured(results)), *reasons(results)]
        if len(ratios(results)) > 1:
            out += ["", "Ratios within a round, their median, and the targets", *grid(ratios(results))]
        if cpu(results):
            out += ["", "CPU time, user and system: the stack's process + the program behind it + the client",
                    *grid(cpu(results))]
        if cpu_ratios(results):
            out += ["", "CPU time, all together, against kernel to kernel", *grid(cpu_ratios(results))]
    if results.get("flood"):
        out += ["", "SYNs at line rate, at an interface that drops them and at the stack's", *grid(flood(results))]
    if results.get("relay"):
        out += ["", "Behind a relay, 10 ms each way, CUBIC against CUBIC, sharing where it says so",
                *grid(relay(results))]
    if results.get("cost"):
        out += ["", "In memory, instructions by callgrind", segment(results)]
        if connections(results):
            out += ["", *grid(connections(results))]
    if shards(results):
        out += ["", "In memory, a stack of its own for each thread; time of one: the processor's, against that with one thread",
                *grid(shards(results))]
    out += ["", *(f"{name}: {why}" for name, why in results.get("failed", {}).items())]
    return "\n".join(out).rstrip() + "\n"
