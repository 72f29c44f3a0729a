#!/usr/bin/env python3
"""Holds the bench to its word, as TAP: its statistics and verdicts, the table and the page from
results that are written down here, and one short run of everything, whose figures nobody looks at.

    test_bench.py BUILDDIR
"""
import json
import os
import subprocess
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
from parts import extras, measure, page, rounds, systems, tables, works  # noqa: E402

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench")


class Skip(Exception):
    """Why a test cannot run here."""


def equal(got, expected):
    assert got == expected, f"{got!r} is not {expected!r}"


WORK = works.Work("bulk-in", "bulk into the stack", "One connection.",
                  (works.Metric("bulk", "", "Gbit/s", True,
                                (works.Target("inside", 0.8, 1.1), works.Target("owner", 0.5, 0.8),
                                 works.Target("inside", 1, 3, works.BEST_PEER))),), ("out",), per="GB")


def run_of(gbits, stack=None):
    cpu = {"client": 0.2, "program": 0.3} if stack is None else {"client": 0.2, "stack": stack}
    return {"bulk": gbits, "cpu": cpu}


def canned():
    """As a run of three rounds leaves them: one run failed, one system was not there."""
    runs = {"kernel": [run_of(30.0), run_of(20.0), run_of(40.0)], "inside": [run_of(27.0, 0.1), run_of(19.0, 0.3), None],
            "lwip": [run_of(3.0, 3.0), run_of(2.0, 2.5), run_of(4.0, 2.0)], "pasta": [run_of(9.0, 1), run_of(5.0, 1), run_of(6.0, 1)]}
    row = rounds.row(WORK, WORK.metrics[0], runs, {"slirp4netns": "slirp4netns is not installed"})
    return {"version": 1, "date": "2001-02-03 04:05", "command": "./dev bench",
            "machine": {"cpu": "A | B", "cores": 2, "kernel": "6.0", "load": 0.1, "peers": {"passt": "1"}, "commit": "abc"},
            "settings": {"rounds": 3, "seconds": 1.0}, "rows": [row],
            "flood": [{"id": "flood-in", "title": "bulk in under a SYN flood", "unit": "Gbit/s",
                       "beside": rounds.summary([10.0]), "under": rounds.summary([9.0]), "ratio": 0.9}],
            "relay": [{"title": "1 % loss, out of it", "unit": "Mbit/s", "kernel": 50.0, "byway": 60.0, "ratio": 1.2}],
            "cost": {"segment": {"value": 2500.0, "first": 3000, "then": 1500, "reached": "first"},
                     "connections": [{"connections": 1000, "bytes": 300.5, "look-up": 99, "ACK": 100},
                                     {"connections": 1000000, "bytes": 250.0, "look-up": 118, "ACK": 130}]},
            "shards": [{"work": "bulk", "title": "segments of bulk", "threads": 2, "one": rounds.summary([4000.0]),
                        "all": rounds.summary([7600.0]), "ratio": 1.9, "cost": 1.03, "instructions": [1475.0, 1476.0]}],
            "failed": {}}


# ---- the tests ----

def median_and_spread(_):
    equal(rounds.median([3, 1, 2]), 2)
    equal(rounds.median([]), None)
    equal(rounds.spread([8, 10, 12]), 0.2)
    equal(rounds.spread([0, 0]), 0.0)
    equal(rounds.summary([None, 4.0])["median"], 4.0)


def ratios_are_made_within_a_round(_):
    equal(rounds.ratios([10, None, 30], [20, 10, 10]), [0.5, 3.0])
    equal(rounds.ratios([1], [0]), [])


def targets_are_judged(_):
    target = works.Target("inside", 0.8, 1.1)
    equal([rounds.reached(v, target, True) for v in (0.79, 0.8, 1.1)], ["no", "first", "then"])
    target = works.Target("inside", 1.9, 1.4)
    equal([rounds.reached(v, target, False) for v in (1.91, 1.9, 1.4)], ["no", "first", "then"])


def the_row_of_a_work(_):
    row = canned()["rows"][0]
    equal(row["systems"]["inside"]["values"], [27.0, 19.0, None])
    equal(row["systems"]["inside"]["cpu"], {"client": 0.2, "stack": 0.2})
    equal(row["systems"]["slirp4netns"], {"why": "slirp4netns is not installed"})
    equal(row["systems"]["owner"], {"why": "was not measured"})
    verdicts = [(t["system"], t["against"], round(t["value"], 3), t["reached"]) for t in row["targets"]]
    equal(verdicts, [("inside", "kernel", 0.925, "first"), ("inside", "pasta", 3.4, "then")])


def a_line_of_the_load_tool(_):
    equal(measure.parse("p50 47.1 us p99 72.0 us count 9 trips\n"), {"p50": 47.1, "p99": 72.0, "count": 9.0})


def works_are_chosen_by_name(_):
    equal([w.id for w in works.chosen("bulk-in,rr")], ["bulk-in", "rr-two", "rr-one", "rr-busy"])
    equal(len(works.chosen(None)), len(works.WORKS))
    equal(works.chosen("flood"), [])
    equal([(w.id, w.systems) for w in works.chosen("start,crr-1", "kernel,inside")],
          [("crr-1", ("kernel", "inside")), ("start", ("inside",))])
    equal(len({w.id for w in works.WORKS}), len(works.WORKS))


def nobody_polls_beside_the_one_that_is_measured(_):
    """As a spinning peer once did, on the core of the stack that was measured."""
    class Process(systems.System):
        def begin(self, setting):
            self.stack = self.spawn("sleep", "60").pid

        def answers(self, address=None):
            return True

    def state(system):
        with open(f"/proc/{system.stack}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0]

    seen = []
    work = works.Work("rr-busy", "", "", (), measurement="states", busy=True)
    with tempfile.TemporaryDirectory() as scratch:
        running = {name: Process("", scratch) for name in ("lwip", "inside")}
        for system in running.values():
            system.start(systems.Setting())
        measure.MEASUREMENTS["states"] = lambda system, *_: seen.append([state(s) == "T" for s in running.values()])
        try:
            rounds.one_round(0, work, running, 0, {name: [] for name in running}, {})
        finally:
            del measure.MEASUREMENTS["states"]
            for system in running.values():
                system.stop()
    equal(seen, [[False, True], [True, False]])


def the_table(_):
    text = tables.text(json.loads(json.dumps(canned())))
    for expected in ("bulk into the stack, Gbit/s", "23", "not installed", "Byway inside / kernel to kernel", "first reached",
                     "≥ 0.8", "both reached", "200 + · + 200", "0.80", "0.90", "1.20", "2,500 instructions", "1,000,000", "1,476"):
        assert expected in text, f"{expected!r} is not in:\n{text}"
    assert "not quiet" not in text


def the_page(_):
    text = page.render(canned())
    for expected in ("2001-02-03", "A | B", "| bulk into the stack, Gbit/s |", "abc", "passt 1", "| 0.90 |", "| segments of bulk | 4,000 | 7,600 | 1.90 | 1.03 | 1,475 | 1,476 |", "| look-up, instructions | 99 | 118 | ≤ 1.2 times | reached |",
                     "| ACK, instructions | 100 | 130 | ≤ 1.2 times | not reached |",
                     "| memory, idle, bytes by its own account | 300 | 250 | ≤ 512, ≤ 256 | both reached |"):
        assert expected in text, f"{expected!r} is not in:\n{text}"
    widths = {line.count("|") for line in tables_of(text)[0]}
    equal(len(widths), 1)


def tables_of(text):
    blocks = [[line for line in block.splitlines() if line.startswith("|")] for block in text.split("\n\n")]
    return [b for b in blocks if b]


def shards_work_on_threads(build):
    program = os.path.join(build, "tests/bench/shards")
    for work in ("bulk", "rr", "crr"):
        for threads in (1, 2, 5):
            assert extras.sharded(program, work, threads, 0.1)["rate"] > 0, (work, threads)


def namespaces(build):
    words = ["unshare", *(["-r"] if os.geteuid() else []), "-n", "-m", "--pid", "--fork", "--mount-proc",
             "ip", "tuntap", "add", "dev", "probe", "mode", "tap"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip("no TAP in namespaces of our own: " + done.stderr.strip())


def a_short_run(build):
    namespaces(build)
    done = subprocess.run([sys.executable, BENCH, build, "--quick", "--only", "rr-one,bulk-in", "--rounds", "1", "--seconds",
                           "0.2", "--json", "-"], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    equal([r["id"] for r in results["rows"]], ["bulk-in", "rr-one.p50", "rr-one.p99"])
    for row in results["rows"]:
        for key in ("kernel", "inside", "owner"):
            assert row["systems"][key].get("median", 0) > 0, f"{row['id']}, {key}: {row['systems'][key]}"
        for key in works.PEERS:
            entry = row["systems"][key]
            assert entry.get("median", 0) > 0 or entry["why"], f"{row['id']}, {key}: {entry}"
    assert results["rows"][0]["systems"]["owner"]["cpu"]["stack"] > 0


TESTS = (median_and_spread, ratios_are_made_within_a_round, targets_are_judged, the_row_of_a_work, a_line_of_the_load_tool,
         works_are_chosen_by_name, nobody_polls_beside_the_one_that_is_measured, the_table, the_page,
         shards_work_on_threads, a_short_run)


def main(build):
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        try:
            test(build)
            print(f"ok {number} {name}", flush=True)
        except Skip as why:
            print(f"ok {number} {name} # SKIP {why}", flush=True)
        except Exception:  # whatever it is, the others run
            failed += 1
            print(f"not ok {number} {name}")
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
