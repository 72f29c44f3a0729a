"""Plays one script: events in their order, each at its time, against the stack in the host.

Time is the host's, in microseconds, and moves only when it is told to. An outbound packet is
waited for and then compared, its time included; so a packet that nobody expects fails at the next
one that somebody does, or at the script's end.
"""
import os
import pathlib
import re
import struct
import subprocess
import tempfile

import calls
import constants
import packet
from connection import Connection, Unmapped
from host import Died, Host
from packet import ACK, SYN
from script import Code, Command, Syscall, Wrong, parse

FIRST_PORT = 40000


class Failed(Exception):
    """The stack did not do what a line says."""

    def __init__(self, line, why):
        super().__init__(why)
        self.line = line


class Player:
    def __init__(self, script, wishes, program, options, directory):
        self.script = script
        self.options = options
        self.directory = directory
        self.local = options.get("local_ip", "198.18.0.2")
        self.remote = options.get("remote_ip", "192.0.2.1")
        self.bind_port = int(options.get("bind_port", 8080))
        self.connect_port = int(options.get("connect_port", 8080))
        self.tolerance = int(options.get("tolerance_usecs", 4000))
        self.tolerance_percent = float(options.get("tolerance_percent", 12.5))
        self.tick = int(options.get("tcp_ts_tick_usecs", 0))
        # Where a stand-in for sysctl writes what it was asked for (settings.c).
        self.sysctl = tempfile.NamedTemporaryFile(prefix="sysctl-")
        self.environment = {**os.environ, "BYWAY_SYSCTL": self.sysctl.name}
        merged = f",gso_size={options['mss']}" if "mss" in options else ""
        self.host = Host(program, f"address={self.local},{wishes}{merged}", self.environment)
        self.begin = self.host.now
        self.files = {}          # descriptors: the script's to the host's
        self.connections = []
        self.current = None      # the connection that packets are of
        self.next_port = FIRST_PORT
        self.last = None         # the event before
        self.started = None      # the call that may block, and has not ended yet
        self.result_fd = None
        self.variables = dict(constants.CODE)

    # ---- descriptors and connections, for calls.py ----

    def fd(self, script_fd):
        if script_fd not in self.files:
            raise calls.Unplayable(f"there is no descriptor {script_fd}")
        return self.files[script_fd]

    def by_fd(self, script_fd):
        for connection in reversed(self.connections):
            if connection.script_fd == script_fd:
                return connection
        raise calls.Unplayable(f"{script_fd} is no socket")

    def new_connection(self, script_fd=-1, fd=-1):
        self.current = Connection(script_fd=script_fd, fd=fd)
        self.connections.append(self.current)
        if fd >= 0:
            self.files[script_fd] = fd
        return self.current

    def accepted(self, port, script_fd, fd):
        for connection in self.connections:
            if connection.remote_port == port and connection.state in ("SYN-ACK sent", "open"):
                connection.script_fd, connection.fd = script_fd, fd
                self.files[script_fd] = fd
                return
        raise calls.Mismatch(f"accept gave a connection from port {port}, which the script does not know")

    def closed(self, script_fd):
        del self.files[script_fd]

    # ---- time ----

    def now(self):
        return self.host.now - self.begin

    def set_time(self, event):
        """Makes the event's times count from the script's start. Inbound packets in a row count from each other."""
        base = 0
        if event.kind.startswith("relative"):
            in_a_row = self.last and inbound(self.last) and inbound(event)
            base = self.last.start if in_a_row else self.now()
        elif event.kind == "any":
            base = self.now()
        event.start += base
        event.end += base
        if isinstance(event.action, Syscall) and event.action.end is not None:
            event.action.end += base

    def wait(self, event):
        if event.start > self.now():
            self.host.sleep(event.start - self.now())
        self.check_time(event.kind, event.start, event.end, self.now(), event.line, "this")

    def allowed(self, start):
        """How far from its time an event may be."""
        since = start - self.last.start if self.last else 0
        return max(self.tolerance, self.tolerance_percent / 100 * since)

    def check_time(self, kind, start, end, found, line, what):
        if kind == "any":
            return
        tolerance = self.allowed(start)
        if not start - tolerance <= found <= end + tolerance:
            wanted = f"{start / 1e6:.6f}" + (f"~{end / 1e6:.6f}" if end != start else "")
            raise Failed(line, f"{what} was to be at {wanted} s, and is at {found / 1e6:.6f} s")

    # ---- events ----

    def play(self):
        self.command(self.script.prepare, 1)
        for event in self.script.events:
            self.finish_started(False)
            self.set_time(event)
            action = event.action
            if isinstance(action, Syscall):
                self.syscall(event, action)
            elif isinstance(action, Command):
                self.wait(event)
                self.command(action.text, event.line)
            elif isinstance(action, Code):
                self.code(event, action)
            elif action.outbound:
                self.outbound(event, action)
            else:
                self.inbound(event, action)
            self.last = event
        self.finish_started()
        self.nothing_left()

    def end(self):
        """Closes everything; what the host had to complain about."""
        self.command(self.script.clean_up, self.last.line if self.last else 1, False)
        for shown in ("sockets", "counters"):
            pathlib.Path(f"{self.sysctl.name}.{shown}").unlink(missing_ok=True)
        self.sysctl.close()
        return self.host.end()

    def command(self, text, line, must=True):
        """Scripts prepare a kernel with commands, as root: they run only where somebody has made a place for it."""
        if not text:
            return
        if "commands" not in self.options:
            if must:
                raise Wrong(line, "commands are not run without --commands")
            return
        if subprocess.run(text, shell=True, cwd=self.directory, env=self.environment,
                          stdout=subprocess.DEVNULL, check=False).returncode and must:
            raise Failed(line, f"the command failed: {text}")

    # ---- system calls ----

    def syscall(self, event, syscall):
        self.wait(event)
        self.finish_started()
        try:
            self.result_fd = syscall.result
            call = calls.prepare(self, syscall)
        except (calls.Unplayable, TypeError, ValueError, AttributeError, LookupError, struct.error, OverflowError) as error:
            raise Wrong(event.line, f"{syscall.name}: {error}") from None
        blocking = syscall.end is not None
        reply = self.host.call(call.name, call.memory, call.arguments, blocking)
        if blocking:
            self.started = event, syscall, call
        else:
            self.check_reply(event, syscall, call, reply)

    def finish_started(self, must=True):
        """Looks at what came of the call that may block, if it has ended; it must have before the next one."""
        if not self.started:
            return
        event, syscall, call = self.started
        reply = self.host.outcome()
        if reply is None:
            if must:
                raise Failed(event.line, f"{syscall.name} still blocks")
            return
        self.started = None
        tolerance = max(self.tolerance, self.tolerance_percent / 100 * (syscall.end - event.start))
        if abs(reply.now - self.begin - syscall.end) > tolerance:
            raise Failed(event.line, f"{syscall.name} was to return at {syscall.end / 1e6:.6f} s, "
                                     f"and did at {(reply.now - self.begin) / 1e6:.6f} s")
        self.check_reply(event, syscall, call, reply)

    def check_reply(self, event, syscall, call, reply):
        wanted = syscall.result
        right = wanted == reply.result or (call.result_is_fd and wanted >= 0 and reply.result >= 0)
        if not right:
            why = f" with {os.strerror(reply.errno)}" if reply.errno else ""
            raise Failed(event.line, f"{syscall.name} was to return {wanted}, and did {reply.result}{why}")
        if syscall.error is not None and syscall.error != reply.errno:
            raise Failed(event.line, f"{syscall.name} was to fail with {os.strerror(syscall.error)}, "
                                     f"and did with {os.strerror(reply.errno)}")
        if call.check and reply.result >= 0:
            self.result_fd = wanted
            try:
                call.check(reply)
            except calls.Unplayable as error:
                raise Wrong(event.line, f"{syscall.name}: {error}") from None
            except calls.Mismatch as error:
                raise Failed(event.line, f"{syscall.name}: {error}") from None

    # ---- packets ----

    def inbound(self, event, script):
        self.wait(event)
        connection = self.current
        if isinstance(script, packet.Icmp):
            if connection is None:
                raise Wrong(event.line, "there is no connection for this packet")
            about = packet.replace(script, seq=script.seq + connection.isn & 0xffffffff)
            self.host.inject(packet.icmp_bytes(about, self.local, self.remote,
                                               (connection.local_port, connection.remote_port)))
            return
        connection = self.inbound_connection(script)
        try:
            sent = connection.to_link(script, "tcp_ts_ecr_scaled" in self.options)
        except Unmapped as error:
            raise Failed(event.line, str(error)) from None
        ports = script.ports[0] or connection.remote_port, script.ports[1] or connection.local_port
        self.host.inject(packet.tcp_bytes(sent, self.remote, self.local, ports))

    def inbound_connection(self, script):
        """The current one, or a new one that comes to the listening socket."""
        connection = self.current
        if connection is None or connection.state == "listening":
            connection = self.new_connection()
            connection.state = "SYN received"
            connection.local_port = self.bind_port
            connection.remote_port = self.next_port
            connection.remote_isn = script.seq
            self.next_port += 1
        elif connection.state == "SYN-ACK sent" and script.flags & ACK:
            connection.state = "open"
        elif connection.state == "SYN sent" and script.flags & SYN and script.flags & ACK:
            connection.state = "open"
            connection.remote_isn = script.seq
        return connection

    def outbound(self, event, script):
        connection = self.current
        if connection is None:
            raise Wrong(event.line, "there is no connection for this packet")
        if connection.state == "connecting" and script.flags & SYN and not script.flags & ACK:
            connection.state = "SYN sent"
            connection.script_isn = script.seq
        pieces = [self.piece(event, script, connection)]
        while sum(piece.length for piece in pieces) < script.length and "strict_segments" not in self.options:
            before = pieces[-1]
            pieces.append(self.piece(event, script, connection))
            wanted = script.length - sum(piece.length for piece in pieces[:-1])
            why = packet.follows(before, pieces[-1], wanted)
            if pieces[-1].seq != before.seq + before.length & 0xffffffff:
                why = "a piece does not follow the one before"
            if why:
                raise Failed(event.line, self.compared(script, pieces, why))
        self.compare(event, script, connection, pieces)

    def piece(self, event, script, connection):
        """The next packet of the connection, its numbers the script's."""
        sent = self.next_packet(event.line, connection, True)
        if sent is None:
            self.finish_started(False)
            raise Failed(event.line, f"nothing is sent any more\n  script: {packet.text(script)}")
        if connection.state == "SYN received" and script.flags & SYN and script.flags & ACK:
            connection.state = "SYN-ACK sent"
            connection.script_isn, connection.isn = script.seq, sent.seq
        return connection.from_link(sent)

    def next_packet(self, line, connection, wait):
        """Packets that are not of the connection are passed over."""
        while True:
            found = self.host.next(wait)
            if found is None:
                return None
            try:
                parsed = packet.read(found[1], found[0] - self.begin)
            except packet.Bad as error:
                raise Failed(line, f"{error}: {found[1].hex()}") from None
            if parsed is None:
                continue
            source, destination, ports, sent = parsed
            if (source, destination, ports[1]) != (self.local, self.remote, connection.remote_port):
                continue
            if connection.state == "SYN sent" and not connection.local_port and sent.flags & (SYN | ACK) == SYN:
                connection.local_port, connection.isn = ports[0], sent.seq
            if ports[0] == connection.local_port:
                return sent

    def compare(self, event, script, connection, pieces):
        sent = packet.joined(pieces)
        why = packet.differs(script, sent) or connection.timestamp_differs(
            script, sent, self.tick, max(self.tolerance, self.tolerance_percent / 100 * event.start))
        if why:
            raise Failed(event.line, self.compared(script, pieces, why))
        self.check_time(event.kind, event.start, event.end, sent.time, event.line, "the packet")

    @staticmethod
    def compared(script, pieces, why):
        lines = [why, "  script: " + packet.text(script)]
        lines += [f"  sent:   {packet.text(piece)} at {piece.time / 1e6:.6f}" for piece in pieces]
        return "\n".join(lines)

    def nothing_left(self):
        connection = self.current
        left = self.next_packet(self.last.line, connection, False) if connection else None
        if left:
            raise Failed(self.last.line, f"sent, and not in the script: {packet.text(connection.from_link(left))} "
                                         f"at {left.time / 1e6:.6f}")

    # ---- code ----

    def code(self, event, code):
        self.wait(event)
        self.finish_started(False)
        if self.current is None or self.current.fd < 0:
            raise Wrong(event.line, "there is no socket that the code could be about")
        for name, read in (("TCP_INFO", constants.tcp_info), ("TCP_CC_INFO", constants.bbr_info),
                           ("SO_MEMINFO", constants.meminfo)):
            data = self.get_option(event, name)
            if len(data) >= 20:
                self.variables.update(read(data))
        try:
            exec(compile(code.text, f"line {event.line}", "exec"), self.variables)
        except Exception as error:
            values = ", ".join(f"{name} {self.variables[name]}" for name in sorted(self.variables)
                               if name in code.text and name.startswith(("tcpi_", "bbr_", "SK_")))
            raise Failed(event.line, f"{type(error).__name__}: {error or code.text.strip()} ({values})") from None

    def get_option(self, event, name):
        memory = calls.Memory()
        where, space = memory.put(bytes(512)), memory.put((512).to_bytes(4, "little"))
        level = constants.value("SOL_SOCKET" if name.startswith("SO_") else "IPPROTO_TCP")
        reply = self.host.call("getsockopt", memory, [self.current.fd, level, constants.value(name), where, space], False)
        if reply.result < 0:
            raise Failed(event.line, f"getsockopt {name}: {os.strerror(reply.errno)}")
        return reply.at(where, int.from_bytes(reply.at(space, 4), "little"))


def inbound(event):
    return isinstance(event.action, (packet.Tcp, packet.Icmp)) and not event.action.outbound


def settings(text):
    """What a script wants of the stack: its lines "// settings: name=value,..."."""
    return ",".join(re.findall(r"^// settings: (.*)$", text, re.M))


def play(path, text, program, options, defines):
    """None, or what is wrong: "FILE:LINE: why". A script's own options win over `options`."""
    name, directory = os.path.basename(path), os.path.dirname(path) or "."
    player, line, why = None, 1, ""
    try:
        script = parse(text, defines)
        script.options.pop("commands", None)  # not a script's to say
        player = Player(script, settings(text), program, {**options, **script.options}, directory)
        player.play()
    except (Wrong, Failed) as error:
        line, why = error.line, str(error)
    except Died as error:
        line, why = player.last.line if player and player.last else 1, str(error)
    finally:
        ended = player.end() if player else ""
    why = why or ended
    return f"{name}:{line}: {why}" if why else None
