"""The connection that a script is about, and the mapping of its numbers to those on the link.

A script's sequence numbers count from 0 in a SYN and from 1 after it, on both sides; the addresses
and ports are the player's. The peer's numbers on the link are the script's own; the stack's are
what the stack chose.
"""
import struct
from dataclasses import dataclass, field, replace

from packet import ACK, SACK, SYN, TIMESTAMP

MASK = 0xffffffff


class Unmapped(Exception):
    """A script's number that has no counterpart."""


@dataclass
class Connection:
    state: str = "new"   # listening, connecting, SYN sent, SYN received, SYN-ACK sent, open
    script_fd: int = -1
    fd: int = -1         # in the host
    local_port: int = 0
    remote_port: int = 0
    script_isn: int = 0  # what the script calls the stack's initial sequence number,
    isn: int = 0         # and what it is
    remote_isn: int = 0  # both in the script and on the link
    timestamps: dict = field(default_factory=dict)  # the script's to the stack's
    first_timestamp: tuple = None                   # the first pair of them

    def local_offset(self, syn):
        """What added to a script's number of ours makes it the link's."""
        return self.isn - self.script_isn if syn else self.isn

    def remote_offset(self, syn):
        return 0 if syn else self.remote_isn

    # ---- to the stack ----

    def to_link(self, tcp, scaled):
        syn = tcp.flags & SYN
        options = [self.option_to_link(option, tcp.flags, scaled) for option in tcp.options]
        ack = tcp.ack + self.local_offset(syn) if tcp.flags & ACK else tcp.ack
        return replace(tcp, seq=tcp.seq + self.remote_offset(syn) & MASK, ack=ack & MASK, options=options)

    def option_to_link(self, option, flags, scaled):
        kind, value = option
        if kind == SACK:
            return kind, shifted(value, self.local_offset(flags & SYN))
        if kind == TIMESTAMP and flags & ACK:
            value, echo = struct.unpack("!II", value)
            return kind, struct.pack("!II", value, self.timestamp_to_link(echo, scaled))
        return option

    def timestamp_to_link(self, echo, scaled):
        if echo in self.timestamps:
            return self.timestamps[echo]
        if not scaled or not self.first_timestamp:
            raise Unmapped(f"ecr {echo} is no timestamp that the stack has sent")
        script, sent = self.first_timestamp
        return echo - script + sent & MASK

    # ---- from the stack ----

    def from_link(self, tcp):
        syn = tcp.flags & SYN
        options = [(kind, shifted(value, -self.remote_offset(syn)) if kind == SACK else value)
                   for kind, value in tcp.options]
        ack = tcp.ack - self.remote_offset(syn) if tcp.flags & ACK else tcp.ack
        return replace(tcp, seq=tcp.seq - self.local_offset(syn) & MASK, ack=ack & MASK, options=options)

    def timestamp_differs(self, script, sent, tick, tolerance):
        """Learns what the script calls the stack's timestamp; with a tick, the clock is checked by it, and the echo."""
        ours = [value for kind, value in script.options or () if kind == TIMESTAMP]
        theirs = [value for kind, value in sent.options if kind == TIMESTAMP]
        if not ours or not theirs:
            return None
        value, echo = struct.unpack("!II", ours[0])
        sent_value, sent_echo = struct.unpack("!II", theirs[0])
        self.timestamps[value] = sent_value
        if not self.first_timestamp:
            self.first_timestamp = value, sent_value
        first, first_sent = self.first_timestamp
        found = sent_value - first_sent + first & MASK
        away = (found - value + 0x80000000 & MASK) - 0x80000000
        if tick and abs(away) * tick > tolerance:
            return f"TS val is {found}"
        if tick and sent_echo != echo:
            return f"TS ecr is {sent_echo}"
        return None


def shifted(blocks, offset):
    """The edges of SACK blocks, moved."""
    edges = struct.unpack(f"!{len(blocks) // 4}I", blocks[:len(blocks) // 4 * 4])
    return struct.pack(f"!{len(edges)}I", *((edge + offset) & MASK for edge in edges))
