"""The program that has the stack inside (host.c), and the memory of the calls that it makes."""
import subprocess


class Died(Exception):
    """The program ended by itself: a crash, or a sanitizer's finding."""


class Memory:
    """What a call's pointers point to. Addresses become known in the host; here they are offsets."""

    def __init__(self):
        self.data = bytearray()
        self.fixes = []
        self.tail = 0

    def put(self, data):
        """An argument that is the address of `data`."""
        self.data += bytes(-len(self.data) % 8)
        at = len(self.data)
        self.data += data
        return f"@{at}"

    def zeros(self, length):
        """An argument that is the address of this many zeros, which are not given back; the last thing to be put."""
        self.data += bytes(-len(self.data) % 8)
        self.tail += length
        return f"@{len(self.data) + self.tail - length}"

    def point(self, at, target):
        """Makes the 8 bytes at one address the other address."""
        self.fixes.append(f"*{at[1:]}{target}")

    def text(self):
        return (self.data.hex() or "-") + (f"+{self.tail}" if self.tail else "")


class Reply:
    def __init__(self, line):
        result, error, now, memory = line.split(" ")
        self.result, self.errno, self.now = int(result), int(error), int(now)
        self.memory = b"" if memory == "-" else bytes.fromhex(memory)

    def at(self, address, length):
        at = int(address[1:])
        return self.memory[at:at + length]


class Host:
    def __init__(self, program, settings, environment):
        self.process = subprocess.Popen([program, settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment)
        self.now = self.ask("usleep 0").now

    def line(self, request):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Died(self.end() or "the host ended")
        return line.rstrip("\n")

    def ask(self, request):
        reply = Reply(self.line(request))
        return reply

    def call(self, name, memory, arguments, blocking):
        words = ["start"] if blocking else []
        words += [name, memory.text(), *memory.fixes, *map(str, arguments)]
        reply = self.ask(" ".join(words))
        self.now = reply.now
        return reply

    def outcome(self):
        """The reply to the call that was started; None: it still blocks."""
        line = self.line("outcome")
        return None if line == "running" else Reply(line)

    def sleep(self, microseconds):
        self.now = self.ask(f"usleep {microseconds}").now

    def inject(self, data):
        self.now = self.ask("inject " + data.hex()).now

    def next(self, wait):
        """(time, bytes) of the next packet that was sent; None: there is none."""
        reply = self.ask("next" if wait else "sent")
        self.now = self.ask("usleep 0").now
        return (reply.now, reply.memory) if reply.result else None

    def end(self):
        """What the program had to complain about."""
        try:
            _, complaints = self.process.communicate(timeout=20)
        except (BrokenPipeError, ValueError):
            complaints = self.process.stderr.read()
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "the host hangs"
        if self.process.returncode or complaints:
            return f"the host ended with status {self.process.returncode}\n{complaints}"
        return ""
