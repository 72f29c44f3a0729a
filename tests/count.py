#!/usr/bin/env python3
"""Counts what ran, from meson's logs (testlog.json): `N passed, N failed, N skipped`.

Each subtest of a TAP program counts once; any other program counts once as a whole. A program
that failed without saying which subtest counts as one failure. Skipped tests are listed with
their reasons, failed ones with the end of what they said.
"""
import itertools
import json
import re
import sys

TAP_LINE = re.compile(r"^(not )?ok\b *(\d*) *-? *([^#]*)(?:# *(SKIP|TODO)\b *(.*))?$", re.IGNORECASE)


LINES_OF_A_FAILURE = 12


def tap_results(text):
    """(name, outcome, reason) of each line of a TAP stream; a failure's reason is what follows it."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        match = TAP_LINE.match(line)
        if match:
            failed, number, name, directive, reason = match.groups()
            outcome = "failed" if failed else "passed"
            if directive and directive.upper() == "SKIP":
                outcome = "skipped"
            if outcome == "failed":
                said = itertools.takewhile(lambda line: not TAP_LINE.match(line), lines[at + 1:])
                reason = "".join("\n    " + line for line in list(said)[-LINES_OF_A_FAILURE:])
            yield (name.strip() or number, outcome, (reason or "").rstrip())
        elif line.startswith("1..0"):
            yield ("all of it", "skipped", line.partition("#")[2].replace("SKIP", "").strip())


def results(test):
    """The results of one program, its own one added when its subtests do not explain it."""
    found = list(tap_results(test.get("stdout") or ""))
    outcome = {"OK": "passed", "SKIP": "skipped"}.get(test["result"], "failed")
    if not found or (outcome == "failed" and all(result != "failed" for _, result, _ in found)):
        said = ((test.get("stdout") or "") + (test.get("stderr") or "")).splitlines()
        if outcome != "failed":
            said = []
        found.append(("the program", outcome, "\n    ".join([test["result"], *said[-LINES_OF_A_FAILURE:]])))
    return found


def main(logs):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for log in logs:
        try:
            with open(log, encoding="utf-8", errors="replace") as lines:
                tests = [json.loads(line) for line in lines]
        except (OSError, ValueError) as error:
            print(f"FAILED {log}: {error}")
            counts["failed"] += 1
            continue
        for test in tests:
            for name, outcome, reason in results(test):
                counts[outcome] += 1
                if outcome != "passed":
                    print(f"{outcome.upper()} {test['name']}: {name}" + (f": {reason}" if reason else ""))
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
