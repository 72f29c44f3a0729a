#!/usr/bin/env python3
"""Counts what ran, from meson's JUnit reports: `N passed, N failed, N skipped`.

Each subtest of a TAP program counts once; a program that failed without saying which subtest
counts as one failure. Skipped tests are listed with their reasons.
"""
import sys
import xml.etree.ElementTree as xml


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None:
        return "skipped"
    return "passed"


def name_of(suite, case):
    return f"{suite.get('name')}: {case.get('name')}"


def main(reports):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for report in reports:
        try:
            root = xml.parse(report).getroot()
        except (OSError, xml.ParseError) as error:
            print(f"{report}: {error}")
            counts["failed"] += 1
            continue
        for suite in root.iter("testsuite"):
            results = [(case, outcome(case)) for case in suite.iter("testcase")]
            declared = int(suite.get("failures") or 0) + int(suite.get("errors") or 0)
            if declared and not any(result == "failed" for _, result in results):
                counts["failed"] += 1
                print(f"FAILED {suite.get('name')}: the program failed outside its tests")
            for case, result in results:
                counts[result] += 1
                if result == "failed":
                    print(f"FAILED {name_of(suite, case)}")
                if result == "skipped":
                    skipped = case.find("skipped")
                    reason = skipped.get("message") or skipped.text or "no reason given"
                    print(f"SKIPPED {name_of(suite, case)}: {reason}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
