"""The player notices what is wrong:

        test_play.py HOST SCRIPT...

Each script is changed in one place at a time, where it says what the stack does, and has to fail
for it, at the changed line where that is certain. Besides, texts that are no scripts are refused.
Reports TAP.
"""
import multiprocessing
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "play"))
import player  # noqa: E402

STRICT = {"tolerance_percent": "0", "tcp_ts_tick_usecs": "1000"}
OUTBOUND = re.compile(r"(\S+)( > )(\S+)( \d+:\d+\(\d+\).*)")


def replaced(pattern, change, line):
    """The line with the last match changed; None: it has none."""
    found = None
    for found in re.finditer(pattern, line):
        pass
    return line[:found.start()] + change(found) + line[found.end():] if found else None


def more(found):
    return found[1] + str(int(found[2]) + 1)


# ---- one change each: the line, changed, or None when there is nothing of the kind ----

def change_seq(line):
    if not OUTBOUND.match(line) or "S" in OUTBOUND.match(line)[3]:  # a SYN's number is the script's to choose
        return None
    return replaced(r"( )(\d+):(\d+)\(", lambda m: f" {int(m[2]) + 1}:{int(m[3]) + 1}(", line.split(" <")[0])


def change_length(line):
    return OUTBOUND.match(line) and replaced(
        r"(\d+):(\d+)\((\d+)\)", lambda m: f"{m[1]}:{int(m[2]) + 1}({int(m[3]) + 1})", line)


def change_ack(line):
    return OUTBOUND.match(line) and replaced(r"(ack )(\d+)", more, line)


def change_window(line):
    """One less than the most: no stack of ours sends it by chance."""
    if not OUTBOUND.match(line):
        return None
    if " win " in line:
        return replaced(r"(win )(\d+)", more, line)
    return replaced(r"(\)|ack \d+)(?= <|$)", lambda m: m[0] + " win 65534", line)


def change_flags(line):
    return OUTBOUND.match(line) and OUTBOUND.sub(
        lambda m: m[1] + m[2] + (m[3].replace("P", "") if "P" in m[3] else "P" + m[3]) + m[4], line)


def change_ecn_flag(line):
    return OUTBOUND.match(line) and OUTBOUND.sub(
        lambda m: m[1] + m[2] + (m[3].replace("E", "") if "E" in m[3] else "E" + m[3]) + m[4], line)


def change_option_value(line):
    return OUTBOUND.match(line) and replaced(r"((?:mss|wscale|sack|ecr) )(\d+)", more, line)


def change_timestamp(line):
    return OUTBOUND.match(line) and replaced(r"(TS val )(\d+)", lambda m: m[1] + str(int(m[2]) + 50), line)


def change_options(line):
    return OUTBOUND.match(line) and replaced(r"nop,nop", lambda m: "eol,eol", line)


def change_time(line):
    """10 ms later; a range is moved."""
    if not OUTBOUND.match(line) or line.startswith("*"):
        return None
    time, rest = line.split(" ", 1)
    moved = re.sub(r"\d*\.\d+|\d+", lambda m: f"{float(m[0]) + 1:.6f}" if "~" in time else f"{float(m[0]) + .01:.6f}",
                   time)
    return moved + " " + rest


def change_return_time(line):
    return replaced(r"^(\S+\.\.\.)(\d*\.\d+|\d+) ", lambda m: f"{m[1]}{float(m[2]) + .01:.6f} ", line)


def change_result(line):
    if re.search(r"\b(socket|accept|epoll_create)\(", line):  # descriptors are mapped
        return None
    return replaced(r"(\) = )(\d+)", more, line)


def change_errno(line):
    return replaced(r"(= -1 )(E[A-Z]+)", lambda m: m[1] + ("EBADF" if m[2] != "EBADF" else "EINVAL"), line)


def change_success(line):
    return replaced(r"\) = \d+$", lambda m: ") = -1 EINVAL (Invalid argument)", line)


def change_option_read(line):
    return "getsockopt(" in line and replaced(r"(, \[)(\d+)(?=\], \[)", more, line)


def change_readiness(line):
    return "poll(" in line and replaced(r"revents=[\w|]+", lambda m: "revents=POLLNVAL", line)


def change_assertion(line):
    return "%{" in line and replaced(r"assert (.*?)(?=,|\s*\}%)", lambda m: f"assert not ({m[1]})", line)


def repeat_packet(line):
    return line + "\n" + line if OUTBOUND.match(line) else None


def drop_packet(line):
    """One that is sent at once: another could be sent after the script's end."""
    return "" if OUTBOUND.match(line) and line.startswith("+0 ") else None


# Whether the failure is at the changed line.
CHANGES = {
    change_seq: True, change_length: False, change_ack: True, change_window: True, change_flags: True,
    change_ecn_flag: True, change_option_value: True, change_timestamp: False, change_options: True, change_time: True,
    change_return_time: True, change_result: True, change_errno: True, change_success: True,
    change_option_read: True, change_readiness: True, change_assertion: True, repeat_packet: False, drop_packet: False,
}


def changed(text, change, turn):
    """(line number, text) with one line changed; which of them depends on the turn."""
    lines = text.split("\n")
    found = [(i, new) for i, line in enumerate(lines) if not line.startswith("//") and (new := change(line)) is not None
             and new is not False and new != line]
    if not found:
        return None
    at, new = found[turn % len(found)]
    return at + 1, "\n".join(lines[:at] + [new] + lines[at + 1:])


def script_findings(job):
    """How many changes there were, and what was not noticed of them."""
    program, path, turn = job
    with open(path, encoding="utf-8") as file:
        text = file.read()
    wrong = player.play(path, text, program, STRICT, {})
    if wrong:
        return 0, [f"fails unchanged: {wrong}"]
    count, findings = 0, []
    for change, at_line in CHANGES.items():
        mutant = changed(text, change, turn)
        if not mutant:
            continue
        count += 1
        wrong = player.play(path, mutant[1], program, STRICT, {})
        where = f"{os.path.basename(path)}:{mutant[0]}"
        if not wrong:
            findings.append(f"{where}: {change.__name__} is not noticed: " + mutant[1].split("\n")[mutant[0] - 1])
        elif at_line and not wrong.startswith(where + ":"):
            findings.append(f"{where}: {change.__name__} is noticed elsewhere: {wrong}")
    return count, findings


# ---- texts that are no scripts: the line, and a part of the complaint ----

SOCKET = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
OPEN = SOCKET + """+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32000 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 32000
+0 accept(3, ..., ...) = 4
"""
WRONG_TEXTS = {
    "// settings: tcp_nonsense=1\n" + SOCKET: (1, "wrong settings"),
    "": (1, "the first event"),
    "+1 close(3) = 0\n": (1, "the first event"),
    SOCKET + "+0 close(3)\n": (3, "expected '='"),
    SOCKET + "+0 close(3) = 0 )\n": (2, "expected a time"),
    SOCKET + "+0 frobnicate(3) = 0\n": (2, "unknown system call"),
    SOCKET + "+0 close(3, 4) = 0\n": (2, "2 arguments"),
    SOCKET + "+0 close(7) = 0\n": (2, "no descriptor 7"),
    SOCKET + "\n+0 setsockopt(3, SOL_TCP, TCP_NONSENSE, [1], 4) = 0\n": (3, "unknown constant TCP_NONSENSE"),
    SOCKET + "+0 close(3) = -1 ENONSENSE (no)\n": (2, "unknown errno"),
    SOCKET + "+0 < X 0:0(0) win 1000\n": (2, "expected TCP flags"),
    SOCKET + "+0 < S 0:1(0) win 1000\n": (2, "do not agree"),
    SOCKET + "+0 < S 0:0(0)\n": (3, "needs a window"),
    SOCKET + "+0 < S 0:0(0) win 65536\n": (2, "out of range"),
    SOCKET + "+0 < S 0:0(0) win 1000 <mss>\n": (2, "expected mss"),
    SOCKET + "+0 < S 0:0(0) win 1000 <nop>\n": (2, "words of 32 bits"),
    SOCKET + "+0 < S 0:0(0) win 1000 <frob 3>\n": (2, "unknown TCP option"),
    SOCKET + "+0 < icmp unreachable no_such_code [0:0(0)]\n": (2, "unknown ICMP code"),
    SOCKET + "+0 `false`\n": (2, "commands are not run"),
    "`false`\n" + SOCKET: (1, "commands are not run"),
    "--commands\n`false`\n" + SOCKET: (1, "commands are not run"),
    SOCKET + "+0 poll([{fd=3, events=POLLIN}], 2, 0) = 0\n": (2, "the count is not"),
    SOCKET + "+0~+1 close(3) = 0\n": (2, "range of time"),
    SOCKET + "+1~+0 > S 0:0(0)\n": (2, "backwards"),
    SOCKET + "+0 %{ assert tcpi_state == 1 }%\n": (2, "tcpi_state 7"),
    OPEN + "+0 %{ assert tcpi_snd_mss == 1000 and tcpi_state == TCP_ESTABLISHED }%\n+0 close(4) = 1\n": (9, "close was"),
    OPEN + "+0 %{ assert tcpi_snd_mss == 1001 }%\n": (8, "AssertionError"),
    OPEN + "+0 %{ assert no_such_name }%\n": (8, "NameError"),
    SOCKET + "+0 connect(3, ..., ...) = 0\n+0 > S 0:0(0) <...>\n": (2, "connect was to return 0"),
    SOCKET + "+0...0.1 connect(3, ..., ...) = 0\n+0 > S 0:0(0) <...>\n": (2, "still blocks"),
}


def text_findings(program):
    findings = []
    for text, (line, part) in WRONG_TEXTS.items():
        wrong = player.play("text.pkt", text, program, STRICT, {}) or "nothing"
        if not wrong.startswith(f"text.pkt:{line}: ") or part not in wrong:
            findings.append(f"expected line {line}, {part!r}; found {wrong} for {text!r}")
    if not player.play("text.pkt", SOCKET, "/bin/false", STRICT, {}):
        findings.append("a host that dies is not noticed")
    return len(WRONG_TEXTS) + 1, findings


def report(number, name, count, findings):
    print(f"{'not ok' if findings else 'ok'} {number} - {name}: {count} changes")
    for finding in findings:
        print("# " + finding.replace("\n", "\n# "))


def main(program, paths):
    failed = False
    print(f"1..{len(paths) + 1}")
    with multiprocessing.Pool(os.cpu_count() or 1) as pool:
        jobs = [(program, path, turn) for turn, path in enumerate(paths)]
        for i, (count, findings) in enumerate(pool.imap(script_findings, jobs)):
            report(i + 1, os.path.basename(paths[i]).removesuffix(".pkt"), count, findings)
            failed = failed or bool(findings)
    count, findings = text_findings(program)
    report(len(paths) + 1, "texts that are no scripts", count, findings)
    return 1 if failed or findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
