#!/usr/bin/env python3
"""Holds the rules of the design, one TAP line a rule: who includes whom, that the stack is pure,
how the source is written, that the RFC table points at things that exist.

Arguments: the project's folder, the built libstack.a, and meson's b_sanitize option ("none" in a
plain build: sanitizers add symbols and data of their own).
"""
import ipaddress
import pathlib
import re
import subprocess
import sys

LINES_MAX = 80  # of a function
CODE = ("stack", "daemon", "client", "cli")
SCRIPTS = {".py", ".sh", ".bats", ".bash"}

# What each folder may include of ours, as prefixes of the path from the project's root.
FOLDERS = {
    "stack": ("stack/",),
    "daemon": ("daemon/", "stack/stack.h", "client/protocol.h", "client/ring.h"),
    "client": ("client/",),
    "cli": ("cli/", "client/"),
}

# All that libstack.a may need from outside: memory, bytes, and the keyed hash.
UNDEFINED_ALLOWED = {
    "memcpy", "memset", "memmove", "memcmp", "bcmp", "strlen", "strcmp", "strstr",
    "malloc", "calloc", "free", "crypto_shorthash",
    "__popcountdi2", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail",
}
# <string.h> and <stdlib.h> again as fortified or built-in variants.
UNDEFINED_FORTIFIED = re.compile(r"__(memcpy|memset|memmove)_chk$")
MEMBER = r"File: .*?([^/()\[\]]+)[)\]]?$"  # as readelf names an archive's files
SANITIZER = re.compile(r"__unnamed_\d+$|_*(asan|ubsan|sanitizer|lsan|tsan|msan|sancov|gcov|llvm_gcov|llvm_prf)_|"
                       r"__asan|__ubsan|__sanitizer|__gcov|__odr_asan|__start___sancov|__stop___sancov|__emutls")

# Addresses that tests and scripts may mention: for benchmarks, documentation, oneself, everybody.
NETWORKS = [ipaddress.ip_network(n) for n in (
    "198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "127.0.0.0/8", "0.0.0.0/32",
    "255.255.255.255/32", "224.0.0.0/4", "2001:db8::/32", "fd00::/8", "fe80::/10", "ff00::/8", "::/128", "::1/128",
    "::ffff:0:0/96")]
# Others, with the reason.
ADDRESSES = {
    "10.0.0.0": "an example of a route in the configuration's messages and their tests",
    "240.0.0.1": "an address of the reserved class E, which no host may have",
    "198.18.0.256": "not an address: the configuration has to refuse it",
    "300.0.0.1": "not an address: the command line has to refuse it",
}


class Project:
    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(self._tracked())

    def _tracked(self):
        """The files of the repository: build folders, hidden ones and fuzz inputs are not looked at."""
        for path in self.root.rglob("*"):
            parts = path.relative_to(self.root).parts
            if not path.is_file() or any(p.startswith((".", "build")) and p != ".ci" for p in parts[:-1]):
                continue
            if "corpus" not in parts and "__pycache__" not in parts and not path.name.startswith("."):
                yield path

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def of(self, folders, suffixes):
        return [f for f in self.files if f.suffix in suffixes and self.name(f).split("/")[0] in folders]


def text_of(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def without_comments(text):
    """C source with comments blanked, lines kept."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def lines_with(pattern, text):
    return [(text.count("\n", 0, m.start()) + 1, m.group().strip()) for m in re.finditer(pattern, text)]


# ---- who includes whom ----

def includes(project, path):
    """Paths of ours that a file includes directly."""
    for line in text_of(path).splitlines():
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m:
            continue
        beside = (path.parent / m.group(1)).resolve()
        found = beside if beside.is_file() else project.root / m.group(1)
        yield m.group(1), found


def relative(project, path):
    try:
        return path.relative_to(project.root).as_posix()
    except ValueError:
        return str(path)


def rule_includes(folder):
    def check(project):
        for path in project.of((folder,), {".c", ".h"}):
            for written, found in includes(project, path):
                target = relative(project, found)
                if not target.startswith(FOLDERS[folder]):
                    yield f"{project.name(path)} includes {written}"
    return check


def everything_included(project, path, seen):
    for _, found in includes(project, path):
        if found.is_file() and found not in seen:
            seen.add(found)
            everything_included(project, found, seen)
    return seen


def stack_files(project, pattern):
    return [f for f in project.of(("stack",), {".c", ".h"}) if re.fullmatch(pattern, project.name(f))]


def rule_wire(project):
    allowed = {"stack/stack.h", "stack/types.h", "stack/wire/wire.h", "stack/checksum.h"}
    for path in stack_files(project, r"stack/wire/.*"):
        for found in everything_included(project, path, set()) - {path}:
            if relative(project, found) not in allowed:
                yield f"{project.name(path)} sees {relative(project, found)}"


def rule_no_sockets(project):
    sockets = {"stack/core.h", "stack/pcb.h", "stack/tcp.h", "stack/net.h", "stack/table.h"}
    for path in stack_files(project, r"stack/(cc.*\.[ch]|rtt\.[ch]|types\.h)"):
        for found in everything_included(project, path, set()):
            if relative(project, found) in sockets:
                yield f"{project.name(path)} sees {relative(project, found)}"


def rule_tcp_link(project):
    for path in stack_files(project, r"stack/tcp.*\.[ch]"):
        for line, word in lines_with(r"\b(?:eth|ETH|arp|ARP|mac)_\w+|\bmac\b|\bether\w*", without_comments(text_of(path))):
            yield f"{project.name(path)}:{line}: {word}"


# ---- the library ----

def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rule_undefined(library):
    def check(_project):
        defined, wanted = set(), set()
        for line in run("nm", library).splitlines():
            m = re.match(r"[0-9a-f]* +(\w) (\S+)$", line)
            if m:
                (wanted if m.group(1) in "Uw" else defined).add(m.group(2))
        if "stack_new" not in defined:
            yield f"{library} does not look like libstack"
        for name in sorted(wanted - defined - UNDEFINED_ALLOWED):
            if not UNDEFINED_FORTIFIED.match(name) and not SANITIZER.match(name):
                yield name
    return check


def writable_sections(library):
    """(member, index) to (section, size) of what is mapped writable and not only for relocations."""
    found, member = {}, ""
    for line in run("readelf", "-SW", library).splitlines():
        m = re.match(MEMBER, line)
        member = m.group(1) if m else member
        m = re.match(r"\s*\[\s*(\d+)\] (\S+)\s+\S+\s+\S+\s+\S+\s+([0-9a-f]+)\s+\S+\s+(\S*)", line)
        if m and "W" in m.group(4) and "A" in m.group(4) and not m.group(2).startswith(".data.rel.ro"):
            found[member, m.group(1)] = (m.group(2), int(m.group(3), 16))
    return found


def rule_writable_symbols(library):
    def check(_project):
        sections, member = writable_sections(library), ""
        for line in run("readelf", "-sW", library).splitlines():
            m = re.match(MEMBER, line)
            member = m.group(1) if m else member
            fields = line.split()
            if len(fields) < 8 or fields[3] not in ("OBJECT", "COMMON", "TLS", "NOTYPE"):
                continue
            name, place = fields[7], fields[6]
            if SANITIZER.match(name) or name.startswith("."):
                continue
            if place == "COM" or ((member, place) in sections and fields[3] != "NOTYPE"):
                yield f"{member}: {name}"
    return check


def rule_writable_sections(library):
    def check(_project):
        for (member, _), (section, size) in writable_sections(library).items():
            if size > 0:
                yield f"{member}: {size} bytes of {section}"
    return check


# ---- how the source is written ----

def rule_default(project):
    """Where -Wswitch-enum has to see a new value of an enum. Bytes off the wire can have any value."""
    wire_bytes = {("stack/ip4.c", "h->proto"), ("stack/icmp4.c", "h.type")}
    for path in project.of(("stack",), {".c", ".h"}):
        text = without_comments(text_of(path))
        for m in re.finditer(r"\bdefault\s*:", text):
            switches = re.findall(r"\bswitch \((.*)\) \{", text[:m.start()])
            if not switches or (project.name(path), switches[-1]) not in wire_bytes:
                yield f"{project.name(path)}:{text.count(chr(10), 0, m.start()) + 1}"


def rule_calls(project):
    """System calls and clocks show as undefined symbols; headers that promise them are not included at all."""
    allowed = {"errno.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "sys/uio.h", "sodium.h", "assert.h",
               "sodium/crypto_shorthash.h", "limits.h",
               # the numbers of the host's socket options; a call that they promise would be an undefined symbol
               "linux/inet_diag.h", "linux/sock_diag.h", "linux/sockios.h", "linux/tcp.h", "linux/udp.h", "netinet/in.h", "sys/ioctl.h", "sys/socket.h"}
    for path in project.of(("stack",), {".c", ".h"}):
        for line, what in lines_with(r"#\s*include\s*<[^>]+>", text_of(path)):
            if what.split("<")[1].rstrip(">") not in allowed:
                yield f"{project.name(path)}:{line}: {what}"


def rule_function_length(project):
    sources = [str(f) for f in project.of(CODE, {".c", ".h"})]
    for line in run("ctags", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+ne", "-f", "-", *sources).splitlines():
        fields = line.split("\t")
        numbers = dict(f.split(":", 1) for f in fields[3:] if ":" in f)
        if "line" not in numbers or "end" not in numbers:
            continue
        length = int(numbers["end"]) - int(numbers["line"]) + 1
        if length > LINES_MAX:
            yield f"{project.name(pathlib.Path(fields[1]))}: {fields[0]} has {length} lines"


def rule_opening_comment(project):
    for path in project.files:
        text = text_of(path)
        if path.suffix in {".c", ".h"} and not text.startswith(("/*", "//")):
            yield project.name(path)
        elif path.suffix in SCRIPTS or text.startswith("#!"):
            lines = [line for line in text.splitlines() if line.strip()]
            start = 1 if lines and lines[0].startswith("#!") else 0
            if len(lines) <= start or not lines[start].lstrip().startswith(("#", '"""', "'''", 'r"""')):
                yield project.name(path)


def rule_leftovers(project):
    for path in project.of((*CODE, "tests", "systemd"), {".c", ".h", *SCRIPTS}):
        if path == pathlib.Path(__file__).resolve():
            continue
        for line, word in lines_with(r"(?:#|//|/?\*)\s*(?:TODO|FIXME|XXX|HACK)\b|#\s*if\s+0\b", text_of(path)):
            yield f"{project.name(path)}:{line}: {word}"


def rule_machine_paths(project):
    for path in project.files:
        if path == pathlib.Path(__file__).resolve():
            continue
        for line, word in lines_with(r"(?<![\w.$}/-])/(?:home|root|work|Users|mnt)/[\w./-]*", text_of(path)):
            yield f"{project.name(path)}:{line}: {word}"


def address_allowed(text):
    if text in ADDRESSES:
        return True
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in n for n in NETWORKS if n.version == address.version)


def is_section_number(text):
    """`3.10.7.4` of an RFC, not an address; but nobody numbers sections 8.8.8.8."""
    parts = text.split(".")
    return len(parts[0]) == 1 and len(set(parts)) > 1


def rule_addresses(project):
    scripts = [f for f in project.files if project.name(f).startswith(("tests/", ".ci/")) or project.name(f) == "dev"]
    for path in scripts:
        if path == pathlib.Path(__file__).resolve():
            continue
        for line, word in lines_with(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)", text_of(path)):
            if not is_section_number(word) and not address_allowed(word):
                yield f"{project.name(path)}:{line}: {word}"


# ---- the RFC table ----

def table_rows(text):
    """Cells of the rows of tables that have a column `where` and one `test`, by these names."""
    header = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if not cells:
            header = None
        elif "where" in cells and "test" in cells:
            header = cells
        elif header and len(cells) == len(header) and not set(cells[0]) <= set("-: "):
            yield number, dict(zip(header, cells))


def rfc_rows(project):
    path = project.root / "docs/rfc.md"
    return list(table_rows(text_of(path))) if path.is_file() else []


def rule_rfc_code(project):
    sources = {}
    for number, row in rfc_rows(project):
        for file, symbol in re.findall(r"`([\w/.]+): (\w+)`", row["where"]):
            path = next((p for p in (project.root / "stack" / file, project.root / file) if p.is_file()), None)
            if not path:
                yield f"docs/rfc.md:{number}: no file {file}"
                continue
            if path not in sources:
                sources[path] = text_of(path)
            if not re.search(rf"\b{symbol}\b", sources[path]):
                yield f"docs/rfc.md:{number}: no {symbol} in {file}"


def rule_rfc_tests(project):
    tests = "\n".join(text_of(f) for f in project.files if project.name(f).startswith("tests/"))
    words = set(re.findall(r"\w+", tests))
    for number, row in rfc_rows(project):
        for name in re.findall(r"`([^`]+)`", row["test"]):
            if name not in words and name not in tests:
                yield f"docs/rfc.md:{number}: no test {name}"


def rule_rfc_filled(project):
    rows = rfc_rows(project)
    if len(rows) < 50:
        yield f"only {len(rows)} rows with the columns `where` and `test` were found"
    for number, row in rows:
        if not row["test"]:
            yield f"docs/rfc.md:{number}: the cell `test` is empty; a row without a test says so"


# ---- the table of programs ----

def program_rows(project):
    """(line, program, what was done) of the table in byway(1) that tests/bench/programs measures."""
    inside = False
    for number, line in enumerate(text_of(project.root / "docs/byway.1").splitlines(), 1):
        if line.startswith(".It program Ta version"):
            inside = True
        elif line == ".El":
            inside = False
        elif inside:
            cells = [c.strip() for c in line.removeprefix(".It ").split(" Ta ")]
            yield number, cells[0], cells[2]


def rule_programs_tested(project):
    titles = "\n".join(re.findall(r'^@test "(.*)" \{', "\n".join(text_of(f) for f in project.files
                                                                if f.suffix == ".bats"), re.M))
    for number, program, _ in program_rows(project):
        if not re.search(rf"(?<![\w.]){re.escape(program)}(?![\w.]\w)", titles):
            yield f"docs/byway.1:{number}: no test has {program} in its name"


def rule_programs_measured(project):
    bench = re.findall(r"^row (\S+) .*? (?:\S*/s|ms) \w+ (.*)$", text_of(project.root / "tests/bench/programs"), re.M)
    shown = [(program, what) for _, program, what in program_rows(project)]
    for missing in sorted(set(bench) - set(shown)):
        yield f"docs/byway.1 has no row {': '.join(missing)}"
    for other in sorted(set(shown) - set(bench)):
        yield f"tests/bench/programs has no row {': '.join(other)}"


# ---- the run ----

def rules(library, sanitize):
    for folder in FOLDERS:
        yield f"{folder} includes only {', '.join(FOLDERS[folder])}", rule_includes(folder), None
    yield "wire formats know nothing of control blocks", rule_wire, None
    yield "congestion control, RTT and sequence numbers know no sockets", rule_no_sockets, None
    yield "TCP knows nothing of Ethernet and ARP", rule_tcp_link, None
    yield "the stack includes no system header but of memory and numbers", rule_calls, None
    yield "libstack needs nothing but memory, bytes and the keyed hash", rule_undefined(library), None
    yield "libstack has no variable that can be written", rule_writable_symbols(library), None
    yield ("libstack has no byte that can be written", rule_writable_sections(library),
           None if sanitize == "none" else f"b_sanitize={sanitize} adds data of its own")
    yield "no default in a switch over an enum in the stack", rule_default, None
    yield f"no function has more than {LINES_MAX} lines", rule_function_length, None
    yield "every source file opens with a comment", rule_opening_comment, None
    yield "nothing is left to do in a comment, nothing commented out", rule_leftovers, None
    yield "no path of one machine", rule_machine_paths, None
    yield "tests and scripts mention only addresses kept for such use", rule_addresses, None
    yield "the RFC table names code that exists", rule_rfc_code, None
    yield "the RFC table names tests that exist", rule_rfc_tests, None
    yield "the RFC table has no empty test", rule_rfc_filled, None
    yield "each program of the table in byway(1) has a test of its name", rule_programs_tested, None
    yield "the table of programs has the rows that are measured", rule_programs_measured, None


def missing_tool(check):
    needed = "ctags" if check is rule_function_length else "readelf"
    try:
        subprocess.run([needed, "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"{needed} is not installed"
    return None


def main(root, library, sanitize):
    project = Project(root)
    failed = 0
    all_rules = list(rules(library, sanitize))
    print(f"1..{len(all_rules)}")
    for number, (title, check, skip) in enumerate(all_rules, 1):
        skip = skip or missing_tool(check)
        broken = [] if skip else list(check(project))
        for line in broken:
            print(f"# {line}")
        failed += bool(broken)
        print(f"{'not ' if broken else ''}ok {number} - {title}{' # SKIP ' + skip if skip else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
