"""Packets: as a script writes them, as bytes, and the comparison of the two.

Numbers are a script's: sequence numbers count from the initial ones, as `Connection` (connection.py) maps them.
"""
import re
import socket
import struct
from dataclasses import dataclass, replace

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = (1 << i for i in range(9))
LETTERS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, ".": ACK, "U": URG, "E": ECE, "W": CWR, "A": AE}
ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}

EOL, NOP, MSS, WSCALE, SACK_OK, SACK, TIMESTAMP, MD5, FAST_OPEN, EXPERIMENT = 0, 1, 2, 3, 4, 5, 8, 19, 34, 254
FAST_OPEN_EXPERIMENT = b"\xf9\x89"

ICMP_TYPES = {
    "echo_reply": 0, "unreachable": 3, "source_quench": 4, "redirect": 5, "echo_request": 8, "time_exceeded": 11,
    "parameter_problem": 12, "timestamp_request": 13, "timestamp_reply": 14, "information_request": 15,
    "information_reply": 16, "address_mask_request": 17, "address_mask_reply": 18,
}
ICMP_CODES = {
    "net_unreachable": 0, "host_unreachable": 1, "protocol_unreachable": 2, "port_unreachable": 3, "frag_needed": 4,
    "source_route_failed": 5, "net_unknown": 6, "host_unknown": 7, "source_host_isolated": 8, "net_prohibited": 9,
    "host_prohibited": 10, "net_unreachable_for_tos": 11, "host_unreachable_for_tos": 12, "packet_filtered": 13,
    "precedence_violation": 14, "precedence_cutoff": 15,
}


class Bad(Exception):
    """Bytes that are no packet."""


@dataclass
class Ip:
    """What a script says about the IP header: None is nothing."""
    tos: int = None
    ecn: tuple = None  # the codes that are right; one, in an inbound packet
    ttl: int = None


@dataclass
class Tcp:
    outbound: bool
    ip: Ip
    flags: int
    seq: int
    length: int          # of the payload, which is zeros
    ack: int
    window: int          # None: any
    urgent: int
    options: list        # (kind, value); None: any
    ports: tuple = (0, 0)  # 0: the connection's
    ace: bool = False    # the flags E, W and A are a number, and compared as one
    time: int = None     # when it was sent
    zeros: bool = True   # the payload is what it should be
    option_space: int = None  # bytes of the options, of a packet that was sent


@dataclass
class Icmp:
    outbound: bool
    ip: Ip
    type: int
    code: int
    mtu: int
    id: int
    seq: int             # of the segment it is about
    length: int          # of its payload


# ---- from a script ----

def parse(parser):
    outbound = parser.need(re.compile("[<>]"), "a packet")[0] == ">"
    ip = parse_ip(parser)
    if parser.take(re.compile(r"icmp\b")):
        if outbound:
            raise parser.wrong("outbound ICMP cannot be checked")
        return parse_icmp(parser, ip)
    if parser.take(re.compile(r"(udp|ipv4|ipv6|gre|GREv0|mpls|encap)\b")):
        raise parser.wrong("only TCP and ICMP over IPv4 can be played")
    return parse_tcp(parser, outbound, ip)


def parse_ip(parser):
    ip = Ip()
    opening = parser.take(re.compile(r"[\[(]"))
    if not opening:
        return ip
    word = parser.need(re.compile(r"\w+"), "tos, ttl or ECN")[0]
    if word in ECN:
        ip.ecn = (ECN[word],)
    elif word == "ect01":
        ip.ecn = (ECN["ect0"], ECN["ect1"])
    elif word == "tos":
        ip.tos = parser.number("tos", 255)
    elif word == "ttl":
        ip.ttl = parser.number("ttl", 255)
    else:
        raise parser.wrong(f"unknown: {word}")
    parser.need("]" if opening[0] == "[" else ")", "a closing bracket")
    return ip


def parse_flags(parser):
    text = parser.need(re.compile(r"(-|[FSRPUEWA]*\.[0-7]?|[FSRPUEWA]+[0-7]?)(?=\s)"), "TCP flags")[1]
    flags = 0
    for letter in text:
        flags |= LETTERS.get(letter, 0)
    number = text[-1].isdigit() and int(text[-1])
    if number is not False and flags & (ECE | CWR | AE):
        raise parser.wrong("flags both as letters and as a number")
    if number:
        flags |= (ECE if number & 1 else 0) | (CWR if number & 2 else 0) | (AE if number & 4 else 0)
    return flags, bool(number)


def parse_range(parser):
    """Start and length of "1:101(100)"."""
    start = parser.number("a sequence number")
    parser.need(":", "':'")
    end = parser.number("a sequence number")
    parser.need("(", "'('")
    length = parser.number("a length", 65535)
    parser.need(")", "')'")
    if end != start + length:
        raise parser.wrong("sequence numbers and length do not agree")
    return start, length


def parse_tcp(parser, outbound, ip):
    ports = parser.take(re.compile(r"(\d+)\s*>\s*(\d+)(?=\s)"))
    flags, ace = parse_flags(parser)
    seq, length = parse_range(parser)
    ack = parser.number("ack") if parser.take(re.compile(r"ack\b")) else 0
    window = parser.number("win", 65535) if parser.take(re.compile(r"win\b")) else None
    urgent = parser.number("urg", 65535) if parser.take(re.compile(r"urg\b")) else 0
    options = parse_options(parser)
    if not outbound and window is None:
        raise parser.wrong("an inbound packet needs a window")
    if not outbound and (options is None or ip.ecn and len(ip.ecn) > 1):
        raise parser.wrong("an inbound packet cannot leave it open")
    return Tcp(outbound, ip, flags, seq, length, ack, window, urgent, options,
               (int(ports[1]), int(ports[2])) if ports else (0, 0), ace)


def parse_options(parser):
    """A list, or None for `<...>`."""
    options = []
    if not parser.take("<"):
        return options
    if parser.take("..."):
        parser.need(">", "'>'")
        return None
    while True:
        options.append(parse_option(parser))
        if parser.take(">"):
            break
        parser.need(",", "',' or '>'")
    space = options_len(options)
    if space % 4:
        raise parser.wrong("the options do not fill words of 32 bits")
    if space > 40:
        raise parser.wrong("the options are too long")
    return options


def parse_option(parser):
    name = parser.need(re.compile(r"\w+"), "a TCP option")[0]
    if name in ("nop", "eol"):
        return (NOP if name == "nop" else EOL, b"")
    if name == "mss":
        return (MSS, struct.pack("!H", parser.number("mss", 65535)))
    if name == "wscale":
        return (WSCALE, bytes([parser.number("wscale", 255)]))
    if name == "sackOK":
        return (SACK_OK, b"")
    if name == "sack":
        return (SACK, parse_sack(parser))
    if name == "TS":
        parser.need(re.compile(r"val\b"), "val")
        value = parser.number("val")
        parser.need(re.compile(r"ecr\b"), "ecr")
        return (TIMESTAMP, struct.pack("!II", value, parser.number("ecr")))
    if name == "FO":
        return (FAST_OPEN, parse_hex(parser))
    if name == "FOEXP":
        return (EXPERIMENT, FAST_OPEN_EXPERIMENT + parse_hex(parser))
    if name == "md5":
        return (MD5, parse_hex(parser))
    raise parser.wrong(f"unknown TCP option {name}")


def parse_sack(parser):
    blocks = b""
    while not blocks or parser.take(re.compile(r"(?=\d)")):
        left = parser.number("the left edge")
        parser.need(":", "':'")
        blocks += struct.pack("!II", left, parser.number("the right edge"))
    return blocks


def parse_hex(parser):
    word = parser.take(re.compile(r"\w+"))
    text = parser.defines.get(word[0], word[0]) if word else ""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise parser.wrong(f"not hexadecimal: {text}") from None


def parse_icmp(parser, ip):
    kind = icmp_number(parser, ICMP_TYPES, "type")
    code = 0
    if parser.take(re.compile(r"(?!mtu\b|id\b)(?=[A-Za-z])")):
        code = icmp_number(parser, ICMP_CODES, "code")
    mtu = parser.number("mtu", 65535) if parser.take(re.compile(r"mtu\b")) else None
    number = parser.number("id", 65535) if parser.take(re.compile(r"id\b")) else 0
    seq = length = 0
    if parser.take("["):
        seq, length = parse_range(parser)
        parser.need("]", "']'")
    if mtu is not None and (kind, code) != (3, 4):
        raise parser.wrong("only unreachable frag_needed has an mtu")
    return Icmp(False, ip, kind, code, mtu, number, seq, length)


def icmp_number(parser, names, what):
    word = parser.word(f"an ICMP {what}")
    if word in names:
        return names[word]
    number = re.fullmatch(what + r"_(\d+)", word)
    if not number or int(number[1]) > 255:
        raise parser.wrong(f"unknown ICMP {what} {word}")
    return int(number[1])


# ---- to bytes, and back ----

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_bytes(ip, protocol, source, destination, body, total=None):
    tos = ip.tos or 0
    if ip.ecn:
        tos = ip.ecn[0]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(body) if total is None else total, 0, 0,
                         ip.ttl or 255, protocol, 0, socket.inet_aton(source), socket.inet_aton(destination))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def option_bytes(options):
    data = b""
    for kind, value in options:
        data += bytes([kind]) if kind in (EOL, NOP) else bytes([kind, 2 + len(value)]) + value
    return data


def options_len(options):
    return len(option_bytes(options))


def pseudo_header(source, destination, length):
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 6, length)


def tcp_bytes(tcp, source, destination, ports):
    options = option_bytes(tcp.options)
    offset_flags = (20 + len(options)) // 4 << 12 | tcp.flags
    segment = struct.pack("!HHIIHHHH", *ports, tcp.seq, tcp.ack, offset_flags, tcp.window, 0, tcp.urgent)
    segment += options + bytes(tcp.length)
    check = checksum(pseudo_header(source, destination, len(segment)) + segment)
    return ip_bytes(tcp.ip, 6, source, destination, segment[:16] + struct.pack("!H", check) + segment[18:])


def icmp_bytes(icmp, local, remote, ports):
    """About a segment that `local` sent to `remote`."""
    segment = struct.pack("!HHI", *ports, icmp.seq)
    about = ip_bytes(Ip(ttl=64), 6, local, remote, segment, 40 + icmp.length)
    head = struct.pack("!BBHHH", icmp.type, icmp.code, 0, icmp.id, icmp.mtu or 0) + about
    head = head[:2] + struct.pack("!H", checksum(head)) + head[4:]
    return ip_bytes(icmp.ip, 1, remote, local, head)


def read_options(data):
    options = []
    while data:
        if data[0] in (EOL, NOP):
            options.append((data[0], b""))
            data = data[1:]
            continue
        if len(data) < 2 or not 2 <= data[1] <= len(data):
            raise Bad("a TCP option's length is wrong")
        options.append((data[0], data[2:data[1]]))
        data = data[data[1]:]
    return options


def read(data, time):
    """(source, destination, ports, Tcp) of an IPv4 packet; None: it is no TCP."""
    if len(data) < 20 or data[0] != 0x45:
        raise Bad("no IPv4 header without options")
    _, tos, total, _, _, ttl, protocol, _ = struct.unpack("!BBHHHBBH", data[:12])
    if checksum(data[:20]):
        raise Bad("the IP checksum is wrong")
    if total != len(data):
        raise Bad(f"the IP length is {total}, the packet's {len(data)}")
    if protocol != 6:
        return None
    source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
    segment = data[20:]
    if len(segment) < 20 or checksum(pseudo_header(source, destination, len(segment)) + segment):
        raise Bad("the TCP checksum is wrong")
    *ports, seq, ack, offset_flags, window, _, urgent = struct.unpack("!HHIIHHHH", segment[:20])
    header = (offset_flags >> 12) * 4
    if header < 20 or header > len(segment):
        raise Bad("the TCP header's length is wrong")
    if offset_flags & 0xe00:
        raise Bad("reserved bits of the TCP header are set")
    payload = segment[header:]
    return source, destination, tuple(ports), Tcp(
        True, Ip(tos, None, ttl), offset_flags & 0x1ff, seq, len(payload), ack, window, urgent,
        read_options(segment[20:header]), time=time, zeros=not any(payload), option_space=header - 20)


# ---- segments of what a script calls one packet ----

def follows(first, last, wanted):
    """Why `last` is no further piece of the packet that `first` is a piece of; None: it is one."""
    if not first.length:
        return "this is sent before it"
    same = ("ack", "window", "urgent", "option_space")
    for name in same:
        if getattr(first, name) != getattr(last, name):
            return f"a piece has another {name}"
    if (first.flags ^ last.flags) & ~(FIN | PSH | CWR) or first.ip.ttl != last.ip.ttl:
        return "a piece has other flags, or another ttl"
    if last.length != first.length and last.length < wanted:
        return "a piece but the last is shorter"
    return None


def joined(pieces):
    first, last = pieces[0], pieces[-1]
    return replace(first, length=sum(piece.length for piece in pieces), zeros=all(piece.zeros for piece in pieces),
                   flags=first.flags | last.flags & (FIN | PSH))


# ---- comparison ----

def flag_text(flags):
    return "".join(letter for letter, bit in LETTERS.items() if flags & bit) or "-"


def option_text(kind, value):
    if kind == TIMESTAMP and len(value) == 8:
        return "TS val {} ecr {}".format(*struct.unpack("!II", value))
    if kind == SACK and len(value) % 8 == 0:
        return "sack " + " ".join("{}:{}".format(*pair) for pair in struct.iter_unpack("!II", value))
    names = {NOP: "nop", EOL: "eol", SACK_OK: "sackOK", MSS: "mss", WSCALE: "wscale", FAST_OPEN: "FO"}
    if kind in (MSS, WSCALE) and value:
        return f"{names[kind]} {int.from_bytes(value, 'big')}"
    return " ".join([names.get(kind, f"kind {kind}"), value.hex()]).strip()


def text(tcp):
    words = [flag_text(tcp.flags), f"{tcp.seq}:{tcp.seq + tcp.length}({tcp.length})"]
    if tcp.flags & ACK:
        words.append(f"ack {tcp.ack}")
    if tcp.window is not None:
        words.append(f"win {tcp.window}")
    if tcp.urgent:
        words.append(f"urg {tcp.urgent}")
    if tcp.options is None:
        words.append("<...>")
    elif tcp.options:
        words.append("<" + ",".join(option_text(*option) for option in tcp.options) + ">")
    return " ".join(words)


def differs_ip(script, sent):
    if script.ecn and sent.tos & 3 not in script.ecn:
        return f"ECN is {sent.tos & 3}"
    if script.tos is not None and sent.tos != script.tos:
        return f"tos is {sent.tos:#x}"
    if script.ttl is not None and sent.ttl != script.ttl:
        return f"ttl is {sent.ttl}"
    return None


def differs_options(script, sent):
    """Timestamps are the connection's to compare, with its clock."""
    if script is None:
        return None
    if [kind for kind, _ in script] != [kind for kind, _ in sent]:
        return "the options differ"
    for ours, theirs in zip(script, sent):
        if ours != theirs and ours[0] != TIMESTAMP:
            return f"the option is {option_text(*theirs)}"
    return None


def differs(script, sent):
    """What of a packet that was sent is not as the script says; None: nothing."""
    if sent.length != script.length:
        return f"the payload is {sent.length} bytes"
    if sent.flags != script.flags:
        return f"the flags are {flag_text(sent.flags)}"
    for name in ("seq", "ack", "urgent"):
        if getattr(script, name) != getattr(sent, name):
            return f"{name} is {getattr(sent, name)}"
    if script.window is not None and sent.window != script.window:
        return f"win is {sent.window}"
    if not sent.zeros:
        return "the payload is not what was written"
    return differs_ip(script.ip, sent.ip) or differs_options(script.options, sent.options)
