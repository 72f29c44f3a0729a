"""Our own player of packetdrill scripts; reports them as TAP:

        play HOST [OPTION...] SCRIPT...

HOST is the program that has the stack inside. The options are named as packetdrill's are, and are
for scripts that do not have them at their head: --local_ip=, --remote_ip=, --tolerance_usecs=,
--tolerance_percent=, --tcp_ts_tick_usecs=, --strict_segments, --tcp_ts_ecr_scaled; besides, -D NAME=VALUE.
With --commands the commands in scripts are run, which change the machine: `public` makes a place for them.
"""
import multiprocessing
import os
import signal
import sys

import player

SECONDS = 30  # that one script may take


class Arguments:
    def __init__(self, words):
        self.program, self.options, self.defines, self.paths = words[0], {}, {}, []
        rest = iter(words[1:])
        for word in rest:
            if word == "-D":
                name, _, self.defines[name] = next(rest).partition("=")
            elif word.startswith("--"):
                name, _, self.options[name] = word[2:].partition("=")
            else:
                self.paths.append(word)

    def play(self, path):
        signal.signal(signal.SIGALRM, hangs)
        signal.alarm(SECONDS)
        try:
            with open(path, encoding="utf-8") as file:
                return player.play(path, file.read(), self.program, self.options, self.defines)
        except OSError as error:
            return f"{path}: {error}"
        finally:
            signal.alarm(0)


def hangs(*_):
    raise TimeoutError(f"takes longer than {SECONDS} s")


def main(words):
    arguments = Arguments(words)
    failed = 0
    print(f"1..{len(arguments.paths)}")
    with multiprocessing.Pool(min(os.cpu_count() or 1, len(arguments.paths) or 1)) as pool:
        for i, wrong in enumerate(pool.imap(arguments.play, arguments.paths)):
            name = os.path.basename(arguments.paths[i]).removesuffix(".pkt")
            print(f"{'not ok' if wrong else 'ok'} {i + 1} - {name}")
            if wrong:
                failed = 1
                print("# " + "\n# ".join(wrong.split("\n")[:40]))
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
