"""Our own player of packetdrill scripts:

        play HOST SCRIPT [OPTION...]

HOST is the program that has the stack inside. The options are named as packetdrill's are, and win
over those at the head of a script: --local_ip=, --remote_ip=, --so_flags=, --tolerance_usecs=,
--tolerance_percent=, --tcp_ts_tick_usecs=, --strict_segments, --tcp_ts_ecr_scaled, -D NAME=VALUE.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import player  # noqa: E402


def main(arguments):
    program, path = arguments[:2]
    options, defines = {}, {}
    rest = iter(arguments[2:])
    for word in rest:
        name, _, value = (next(rest) if word == "-D" else word[2:]).partition("=")
        (defines if word == "-D" else options)[name] = value
    with open(path, encoding="utf-8") as file:
        text = file.read()
    wrong = player.play(os.path.basename(path), text, program, options, defines, os.path.dirname(path) or ".")
    if wrong:
        print(wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
