#!/usr/bin/env python3
"""Holds libbyway together, one TAP line a rule: what byway.h declares is what the library exports, what
its symbol map promises, and what a manual page tells of.

Arguments: the project's folder, and the built libbyway.so.
"""
import pathlib
import re
import subprocess
import sys


def declared(root):
    return set(re.findall(r"\b(byway_\w+)\(", (root / "client/byway.h").read_text()))


def exported(library):
    """Names that other programs can link to, with the version they have."""
    table = subprocess.run(["readelf", "--dyn-syms", "-W", library], capture_output=True, text=True, check=True).stdout
    symbols = set()
    for line in table.splitlines():
        cells = line.split()
        if len(cells) >= 8 and cells[3] in ("FUNC", "OBJECT") and cells[4] == "GLOBAL" and cells[6] not in ("UND", "ABS"):
            symbols.add(cells[7])
    return symbols


def promised(root):
    return set(re.findall(r"^\t(byway_\w+);$", (root / "client/byway.map").read_text(), re.M))


def differ(what, names, reference):
    yield from (f"{name} is not {what}" for name in sorted(reference - names))
    yield from (f"{name} is {what}, and not in byway.h" for name in sorted(names - reference))


def section(page, title):
    found = re.search(rf"^\.Sh {title}\n(.*?)(?=^\.Sh |\Z)", page, re.M | re.S)
    return found.group(1) if found else ""


def described(root):
    page = (root / "docs/libbyway.3").read_text()
    functions = declared(root)
    yield from differ("under NAME of libbyway.3", set(re.findall(r"^\.Nm (byway_\w+)", section(page, "NAME"), re.M)), functions)
    yield from differ("under SYNOPSIS of libbyway.3",
                      set(re.findall(r"^\.F[no] (byway_\w+)", section(page, "SYNOPSIS"), re.M)), functions)
    text = section(page, "DESCRIPTION")
    yield from (f"{name} is not described in libbyway.3" for name in sorted(functions) if not re.search(rf"\b{name}\b", text))


def pages(root):
    names = set(re.findall(r"'(byway_\w+)'", (root / "docs/meson.build").read_text()))
    yield from differ("a manual page by its name (docs/meson.build)", names, declared(root))


def main(root, library):
    root = pathlib.Path(root)
    rules = [
        ("libbyway exports the functions of byway.h, as BYWAY_0, and nothing else",
         list(differ("exported", exported(library), {f"{name}@@BYWAY_0" for name in declared(root)}))),
        ("its symbol map names each", list(differ("in byway.map", promised(root), declared(root)))),
        ("libbyway.3 describes each", list(described(root))),
        ("each has a manual page by its name", list(pages(root))),
    ]
    print(f"1..{len(rules)}")
    for number, (title, broken) in enumerate(rules, 1):
        for line in broken:
            print(f"# {line}")
        print(f"{'not ' if broken else ''}ok {number} - {title}")
    return 1 if any(broken for title, broken in rules) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
