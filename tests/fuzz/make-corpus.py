#!/usr/bin/env python3
"""Writes the seeds of the fuzz corpus: tests/fuzz/corpus/<target>/<name>.

A seed that shows a known kind of bad input is named after its row (E: Ethernet and ARP,
I: IP, C: ICMP, S and T: TCP, U: UDP, L: local processes), others after what they do. Inputs
that fuzzing found are kept beside them under the name `found-...`; they are not made here.

The format of frame seeds is in record.h and world.c; in short: two bytes that configure the
stack, then records of a frame or an owner's call. All multi-byte numbers are big-endian, but
those of control messages are in host order, as netlink has them.
"""
import pathlib
import struct
import sys

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"

US_MAC, PEER_MAC, OTHER_MAC = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\2\0\0\0\0\x33"
BROADCAST_MAC = b"\xff" * 6
US, PEER, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.77"

# record.h
FIX_IP, FIX_TRANSPORT, AIM, SEQUENCE, CSUM_GOOD, OWNER, BATCH, ANSWER = (1 << i for i in range(8))
FIX = FIX_IP | FIX_TRANSPORT
LIVE = FIX | AIM | SEQUENCE
# world_owner.c
(SEND, FILL, RECEIVE, CONSUME, SHUTDOWN, CLOSE, ABORT, ACCEPT, CONNECT, CONNECT_SELF, LISTEN, DATAGRAM,
 SENDTO, RECVFROM, OPTION, DESTROY, ADDRESS, ROUTE, RECONFIGURE, PING, SENDMSG, RECVERR, SEND_URGENT, RECV_URGENT,
 CONNECT_DATA) = range(25)
# The slots of world_open_sockets, and the one that is filled next.
LISTENER, SYN_SENT, UDP_BOUND, UDP_CONNECTED, ESTABLISHED, NEXT = range(6)
# Connections by age: our own open, the one in ESTABLISHED; the newest.
C_SYN_SENT, C_ESTABLISHED, C_NEWEST = 0, 1, 255

FIN, SYN, RST, PSH, ACK, URG = (1 << i for i in range(6))


# ---- formats ----

def address(text):
    return bytes(int(part) for part in text.split("."))


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ethernet(payload, kind=0x0800, dst=US_MAC, src=PEER_MAC):
    return dst + src + struct.pack(">H", kind) + payload


def arp(op, sender, target, mac=PEER_MAC, target_mac=bytes(6), hardware=1, protocol=0x0800, sizes=(6, 4)):
    return struct.pack(">HHBBH", hardware, protocol, *sizes, op) + mac + address(sender) + target_mac + address(target)


def ip(payload, proto, src=PEER, dst=US, ttl=64, ident=1, fragment=0, options=b"", total=None, words=None):
    words = 5 + len(options) // 4 if words is None else words
    total = 20 + len(options) + len(payload) if total is None else total
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, total, ident, fragment, ttl, proto, 0) + address(src) + address(dst)
    head += options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def tcp(flags, seq=0, ack=0, sport=4000, dport=80, window=60000, options=b"", data=b"", urgent=0, words=None):
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4 if words is None else words
    return struct.pack(">HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff, words << 4, flags, window, 0,
                       urgent) + options + data


def udp(dport, data=b"", sport=2000, length=None, total=0):
    return struct.pack(">HHHH", sport, dport, 8 + len(data) if length is None else length, total) + data


def icmp(kind, code=0, rest=0, data=b""):
    head = struct.pack(">BBHI", kind, code, 0, rest)
    return head[:2] + struct.pack(">H", checksum(head + data)) + head[4:] + data


def timestamps(value, echo=0):
    return b"\1\1\x08\x0a" + struct.pack(">II", value, echo)


# ---- frame seeds ----

def record(mode, data, connection=0, step=0):
    return struct.pack(">BBHH", mode, connection, step, len(data)) + data


def frame(data, mode=0, connection=0, step=0):
    return record(mode, data, connection, step)


def packet(data, mode=0, connection=0, step=0):
    return frame(ethernet(data), mode, connection, step)


def segment(flags, seq=0, ack=0, connection=C_ESTABLISHED, step=0, mode=LIVE, ts=1001, **more):
    options = more.pop("options", b"") + (timestamps(ts) if ts is not None else b"")
    return packet(ip(tcp(flags, seq, ack, options=options, **more), 6), mode, connection, step)


def call(act, slot=0, n=0, x=0, step=0):
    return record(OWNER, struct.pack(">BBHB", act, slot, n, x), step=step)


ROUND_TRIP = 14 << 8 | 2  # a step of 32 milliseconds


def wait(seconds):
    return call(CONSUME, 15, step=20 << 8 | seconds)


def world(*records, a=0, b=0):
    return bytes([a, b]) + b"".join(records)


def handshake(port, source=PEER, options=b"\2\4\5\xb4"):
    """A complete one on port 80."""
    syn = packet(ip(tcp(SYN, 1000, sport=port, options=options), 6, src=source), FIX)
    return syn + packet(ip(tcp(ACK, 0, 1), 6), LIVE, C_NEWEST)


def ethernet_seeds():
    yield "E1-short", world(frame(US_MAC + PEER_MAC), frame(b""), frame(US_MAC))
    yield "E1-unknown-type", world(frame(ethernet(bytes(46), 0x86dd)), frame(ethernet(bytes(46), 0x0003)))
    yield "E1-not-ours", world(frame(ethernet(ip(icmp(8), 1), dst=OTHER_MAC)),
                               frame(ethernet(ip(icmp(8), 1), dst=b"\1\0\x5e\0\0\1")))
    bad = [arp(1, PEER, US, hardware=6), arp(1, PEER, US, protocol=0x86dd), arp(1, PEER, US, sizes=(8, 4)),
           arp(1, PEER, US, sizes=(6, 16)), arp(1, PEER, US, mac=BROADCAST_MAC), arp(1, PEER, US, mac=b"\1\0\x5e\0\0\1"),
           arp(1, PEER, US, mac=bytes(6)), arp(3, PEER, US), arp(1, "255.255.255.255", US), arp(1, "224.0.0.1", US),
           arp(2, "127.0.0.1", US), arp(1, PEER, US)[:20]]
    yield "E2-bad-arp", world(*(frame(ethernet(a, 0x0806, BROADCAST_MAC)) for a in bad))
    yield "E3-unsolicited-reply", world(frame(ethernet(arp(2, OTHER, US, OTHER_MAC, US_MAC), 0x0806)))
    yield "E3-gratuitous-flood", world(*(
        frame(ethernet(arp(1 + i % 2, f"192.0.2.{i}", f"192.0.2.{i}", b"\2\1\0\0\0" + bytes([i])), 0x0806, BROADCAST_MAC))
        for i in range(10, 90)))
    claim = frame(ethernet(arp(1, US, US, OTHER_MAC), 0x0806, BROADCAST_MAC))
    yield "E4-address-claimed", world(claim, claim, wait(11), claim)
    yield "E4-address-probed", world(*[frame(ethernet(arp(1, "0.0.0.0", US, OTHER_MAC), 0x0806, BROADCAST_MAC))] * 3, b=2)
    yield "E5-silent-neighbour", world(*(call(SENDTO, UDP_BOUND, 500, 77) for _ in range(12)), wait(5),
                                       call(SENDTO, UDP_BOUND, 1, 77), wait(30), call(CONNECT, 0, 7), wait(30), b=1)
    request = frame(ethernet(arp(1, PEER, US), 0x0806, BROADCAST_MAC))
    yield "arp-request", world(request, request)


def fragment(data, offset, more, ident=7, proto=17, src=PEER, mode=0):
    return packet(ip(data, proto, src=src, ident=ident, fragment=offset // 8 | (0x2000 if more else 0)), mode)


def ip_seeds():
    echo = icmp(8, 0, 1, b"x" * 32)
    yield "I1-lengths", world(packet(ip(echo, 1, total=19)), packet(ip(echo, 1, total=200)), packet(ip(echo, 1, words=4)),
                              packet(ip(echo, 1, words=15)), packet(b"\x45" * 10))
    yield "I1-checksum-ttl", world(packet(ip(echo, 1)[:10] + b"\0\0" + ip(echo, 1)[12:]), packet(ip(echo, 1, ttl=0)))
    yield "I1-padding", world(packet(ip(echo, 1) + bytes(20)))
    yield "I2-bad-source", world(*(packet(ip(echo, 1, src=s)) for s in
                                   ("255.255.255.255", "192.0.2.255", "224.0.0.1", "127.0.0.1", US, "0.0.0.0")))
    yield "I2-land", world(packet(ip(tcp(SYN, sport=80), 6, src=US), FIX))
    route = b"\x83\x07\x04" + address(OTHER) + b"\0"
    yield "I3-source-route", world(packet(ip(echo, 1, options=route)), packet(ip(echo, 1, options=b"\x89" + route[1:])))
    yield "I3-bad-options", world(*(packet(ip(echo, 1, options=o)) for o in
                                    (b"\x07\x00\x04\0", b"\x07\x01\x04\0", b"\x07\x28\x04\0", b"\1\1\1\x44", b"\x44\x03\x05\0")))
    yield "I3-good-options", world(packet(ip(echo, 1, options=b"\x07\x07\x04\0\0\0\0\1")),
                                   packet(ip(udp(9), 17, options=b"\x07\x27\x04" + bytes(37)), FIX))
    whole = udp(53, b"d" * 60)
    yield "I4-teardrop", world(fragment(whole[:40], 0, True), fragment(whole[24:], 24, False),
                               fragment(whole[:48], 0, True, 8), fragment(b"xxxx", 24, False, 8))
    yield "I4-ping-of-death", world(fragment(b"\x08\0\0\0" + bytes(1000), 0, True, proto=1),
                                    fragment(bytes(1400), 65528, False, proto=1), fragment(b"x" * 8, 65528, True, proto=1))
    yield "I4-not-of-8", world(fragment(whole[:21], 0, True), fragment(whole[21:], 24, False))
    first = tcp(SYN)
    yield "I4-cut-inside-header", world(fragment(first[:8], 0, True, proto=6), fragment(first[8:], 8, False, proto=6))
    yield "I4-offset-8", world(fragment(first, 0, True, proto=6), fragment(first[8:], 8, False, proto=6))
    yield "I4-after-the-last", world(fragment(whole[48:], 48, False), fragment(bytes(16), 80, True), fragment(bytes(8), 40, False))
    yield "I4-reassembled", world(fragment(whole[24:48], 24, True), fragment(whole[48:], 48, False), fragment(whole[:24], 0, True),
                                  call(RECVFROM, UDP_BOUND))
    yield "I4-echo-in-fragments", world(
        fragment(icmp(8, 0, 1, b"y" * 1480)[:736], 0, True, proto=1), fragment(icmp(8, 0, 1, b"y" * 1480)[736:], 736, False, proto=1),
        a=1 << 3, b=8)
    yield "I5-never-complete", world(*(fragment(bytes(8), 8 * i, True, i % 7) for i in range(1, 60)), wait(100))
    yield "I5-many-sources", world(*(fragment(bytes(304), 1600, True, i, src=f"198.51.100.{i}") for i in range(1, 40)),
                                   fragment(whole[:24], 0, True), fragment(whole[24:], 24, False))
    yield "I5-random-offsets", world(*(fragment(bytes(8), (i * 7919) % 8000 * 8, True) for i in range(60)), wait(60))
    yield "I6-protocols", world(packet(ip(ip(echo, 1), 4)), packet(ip(b"x" * 20, 47)), packet(ip(b"", 255)))


def icmp_seeds():
    yield "C1-short", world(packet(ip(b"\x08\0\0\0", 1)), packet(ip(icmp(3, 3, 0, b"\x45" + bytes(10)), 1)),
                            packet(ip(icmp(3, 3, 0, ip(b"", 6)), 1)), packet(ip(icmp(3, 3, 0, ip(b"1234567", 6, US, PEER)), 1)))
    group = ethernet(ip(icmp(8), 1, dst="192.0.2.255"), dst=BROADCAST_MAC)
    yield "C2-no-answer", world(frame(group), frame(ethernet(ip(udp(9), 17, dst="192.0.2.255"), dst=BROADCAST_MAC), FIX_TRANSPORT),
                                packet(ip(icmp(3, 1, 0, ip(icmp(3), 1, US, PEER)), 1)), fragment(udp(9), 8, False))
    yield "C3-flood", world(*(packet(ip(udp(i), 17), FIX | BATCH) for i in range(100, 350)))
    quote = ip(tcp(ACK)[:8], 6, US, PEER)
    error = [packet(ip(icmp(kind, code, rest, quote), 1), FIX | AIM | seq, connection)
             for kind, code, rest, seq, connection in (
                 (3, 3, 0, 0, 1), (4, 0, 0, 0, 1), (3, 4, 1000, 0, 1), (3, 3, 0, SEQUENCE, 0), (3, 4, 0, SEQUENCE, 1))]
    yield "C4-outside", world(call(SEND, ESTABLISHED, 3000), *error[:3])
    for name, code, rest in ("host", 1, 0), ("port", 3, 0), ("protocol", 2, 0), ("mtu-0", 4, 0), ("mtu-68", 4, 68), ("mtu-1000", 4, 1000):
        yield f"C5-{name}", world(call(SEND, ESTABLISHED, 9000),
                                  packet(ip(icmp(3, code, rest, quote), 1), LIVE, C_ESTABLISHED), wait(3), wait(60))
        yield f"C5-{name}-connecting", world(packet(ip(icmp(3, code, rest, quote), 1), LIVE, C_SYN_SENT), wait(60))
    yield "echo", world(packet(ip(icmp(8, 0, 0x10001, b"abc" * 10), 1)), packet(ip(icmp(0, 0, 1), 1)),
                        packet(ip(icmp(13, 0, 1, bytes(12)), 1)))
    yield "C5-udp", world(call(SENDTO, UDP_CONNECTED, 10), packet(ip(icmp(3, 3, 0, ip(udp(2000, sport=1000), 17, US, PEER)), 1)),
                          call(SENDTO, UDP_CONNECTED, 10), call(RECVFROM, UDP_CONNECTED))
    # Identifier 1000: replies whole, short and too long for the reader, errors with quotes of all lengths.
    quotes = [packet(ip(icmp(3, code, 0, ip(icmp(kind, 0, 1000 << 16, b"q" * n), 1, US, PEER)), 1))
              for code, kind, n in ((3, 8, 0), (1, 8, 30), (3, 0, 30), (2, 8, 700), (4, 8, 30), (1, 8, 1))]
    replies = [packet(ip(icmp(0, 0, 1000 << 16 | 1, b"r" * n), 1)) for n in (0, 1, 56, 1400)]
    for x in range(4):
        yield f"ping-{x}", world(call(PING, 0, 1, x), call(SENDMSG, NEXT, 56, 0), *replies, *[call(RECVFROM, NEXT)] * 5, *quotes * 6,
                                 *[call(RECVERR, NEXT, n) for n in (0, 9, 599)], call(SENDMSG, NEXT, 0x4138, 15), call(SENDMSG, NEXT, 3))


def opening_seeds():
    cookie = b"\x22\x0a" + b"cookie77"
    answer = packet(ip(tcp(SYN | ACK, 5000, 1, sport=9, dport=0, options=b"\2\4\5\xb4" + cookie), 6), LIVE, C_NEWEST)
    yield "fastopen-client", world(call(CONNECT_DATA, 0, 90, 9), answer, call(CONNECT_DATA, 0, 3000, 9), answer, call(CONNECT_DATA, 0, 1, 9),
                                   wait(1), call(CLOSE, NEXT), wait(60))
    yield "S1-syn-flood", world(*(packet(ip(tcp(SYN, i, sport=i), 6, src=f"198.51.100.{i}"), FIX | BATCH) for i in range(1, 60)),
                                wait(60))
    flood = b"".join(packet(ip(tcp(SYN, i, sport=i, options=timestamps(9) + b"\2\4\5\xb4\3\3\7\1\1\4\2"), 6), FIX) for i in range(1, 12))
    answer = packet(ip(tcp(ACK, 0, 0, options=timestamps(10)), 6), FIX | ANSWER)
    yield "S4-cookie", world(flood, answer, call(ACCEPT), segment(ACK, 0, 0, C_NEWEST, ts=11, data=b"in"), call(RECEIVE, 5, 10))
    yield "S4-cookie-replayed", world(flood, answer, call(ACCEPT), call(ABORT, 5), answer, wait(200), answer)
    yield "S4-cookie-forged", world(flood, packet(ip(tcp(ACK, 0, 1), 6), FIX | ANSWER), packet(ip(tcp(ACK, 5, 0), 6), FIX | ANSWER),
                                    packet(ip(tcp(ACK | PSH, 0, 0, data=b"early"), 6), FIX | ANSWER), call(ACCEPT))
    kinds = (SYN | FIN, SYN | RST, 0, 0xff, FIN, RST, URG, SYN | FIN | RST | PSH | ACK | URG, ACK, SYN | ACK)
    for name, port in ("listener", 80), ("closed-port", 81):
        yield f"S2-{name}", world(*(packet(ip(tcp(f, 5, 6, sport=i + 100, dport=port), 6), FIX) for i, f in enumerate(kinds)))
    yield "S4-forged-ack", world(packet(ip(tcp(SYN, 1), 6), FIX), packet(ip(tcp(ACK, 2, 12345), 6), FIX),
                                 packet(ip(tcp(SYN, 9, sport=77), 6), FIX), packet(ip(tcp(ACK, 0, 5), 6), LIVE, C_NEWEST))
    yield "S5-queue-full", world(*(handshake(p) for p in range(200, 208)), wait(2), call(ACCEPT), call(ACCEPT), wait(60))
    yield "simultaneous-open", world(segment(SYN, 77, 0, C_SYN_SENT, ts=None), segment(ACK | SYN, -1, 1, C_SYN_SENT, ts=None),
                                     call(SEND, SYN_SENT, 100))
    yield "connected", world(segment(SYN | ACK, 77, 1, C_SYN_SENT, options=b"\2\4\5\xb4\3\3\7\1", ts=5),
                             call(SEND, SYN_SENT, 5000), segment(ACK, 0, 1460, C_SYN_SENT, ts=6), wait(5))
    yield "refused", world(segment(RST | ACK, 0, 1, C_SYN_SENT, ts=None), call(RECEIVE, SYN_SENT, 10))
    yield "T5-wrong-ack", world(segment(RST | ACK, 0, 99, C_SYN_SENT, ts=None), segment(SYN | ACK, 0, 0, C_SYN_SENT, ts=None))
    yield "no-answer", world(wait(100), call(SEND, SYN_SENT, 1))


def receiving_seeds():
    for name, seq in ("exact", 0), ("in-window", 10), ("outside", -10), ("far", 0x7fffffff):
        yield f"T1-rst-{name}", world(segment(RST, seq, ts=None), segment(ACK, 0, 0))
    yield "T2-syn", world(segment(SYN, 5), segment(SYN | ACK, 0, 1), segment(SYN, -1))
    yield "T3-ack", world(segment(ACK, 0, 100000, data=b"x"), segment(ACK, 0, -100000, data=b"x"), segment(ACK, 0, 1))
    yield "T4-challenges", world(*(segment(RST, 10 + i, ts=None, mode=LIVE | BATCH) for i in range(40)))
    yield "T6-options", world(*(packet(ip(tcp(SYN, 7, sport=300 + i, options=o), 6), FIX) for i, o in enumerate(
        (b"\2\4\0\0", b"\2\4\0\1", b"\2\4\0\x30", b"\2\0", b"\2\1", b"\2\x28\1\1", b"\3\3\xff", b"\x08\x0a\0", b"\5\2", b"\xfe\x02"))))
    yield "T6-data-offset", world(segment(ACK, 0, 0, words=4), segment(ACK, 0, 0, words=15), segment(ACK, 0, 0, data=b"ok"))
    blocks = (9, 5), (1, 2), (0xfffffff0, 9), (1460, 99999), (0, 1460), (730, 731), (2920, 4380), (1460, 2920), (7, 7)
    sacks = [segment(ACK, 0, 0, step=ROUND_TRIP, options=b"\1\1\5\x0a" + struct.pack(">II", left, right)) for left, right in blocks]
    yield "T7-sack", world(call(SEND, ESTABLISHED, 15000), *sacks, wait(1), *sacks, wait(9))
    yield "T7-sack-tiny", world(call(SEND, ESTABLISHED, 15000), *(
        segment(ACK, 0, 0, mode=LIVE | BATCH, options=b"\1\1\5\x0a" + struct.pack(">II", 2 * i, 2 * i + 1)) for i in range(1, 90)), wait(3))
    yield "recovery", world(call(SEND, ESTABLISHED, 15000), segment(
        ACK, 0, 0, step=ROUND_TRIP, options=b"\1\1\5\x0a" + struct.pack(">II", 1448, 7000)),
        segment(ACK, 0, 1448, step=ROUND_TRIP), segment(ACK, 0, 7000, step=ROUND_TRIP), wait(1), segment(ACK, 0, 2000))
    yield "recovery-without-sack", world(call(SEND, ESTABLISHED, 15000), *[segment(ACK, 0, 0, step=ROUND_TRIP)] * 5,
                                         segment(ACK, 0, 1448), segment(ACK, 0, 9000, step=ROUND_TRIP), wait(1), b=96)
    yield "T8-one-byte", world(*(segment(ACK, 2 * i, 0, data=b"z", mode=LIVE | BATCH) for i in range(1, 120)),
                               segment(ACK, 0, 0, data=b"a" * 250), call(RECEIVE, ESTABLISHED, 1000))
    yield "T9-acks", world(call(SEND, ESTABLISHED, 19000), *(segment(ACK, 0, 0) for _ in range(6)), segment(ACK, 0, 1),
                           segment(ACK, 0, 700), segment(ACK, 0, 9000), segment(ACK, 0, 19000), wait(3))
    yield "T10-window", world(call(SEND, ESTABLISHED, 15000), segment(ACK, 0, 100, window=1), segment(ACK, 0, 200, window=0),
                              wait(20), segment(ACK, 0, 300, options=b"\1\3\3\x0e", window=65535))
    yield "T11-timestamps", world(segment(ACK, 0, 0, ts=1), segment(ACK, 0, 0, ts=0x80001000, data=b"x"),
                                  segment(ACK, 0, 0, ts=2000, data=b"y"), segment(ACK, 0, 0, ts=None, data=b"z"),
                                  segment(ACK, 500000, 0, ts=90000, data=b"z"))
    yield "T12-urgent", world(*(segment(ACK | URG, 0, 0, urgent=u, data=b"urgent") for u in (0, 1, 6, 7, 65535)),
                              packet(ip(tcp(SYN | URG, 1, sport=9, urgent=9), 6), FIX))
    reads = [call(act, ESTABLISHED, 3, x) for act, x in ((RECV_URGENT, 1), (RECEIVE, 0), (RECV_URGENT, 0), (RECEIVE, 0), (CONSUME, 0))]
    yield "T12-urgent-read", world(*(segment(ACK | URG, 0, 0, urgent=u, data=b"urgent") + b"".join(reads) for u in (1, 3, 6, 40, 65535)),
                                   segment(ACK, 0, 0, data=b"x" * 90), *reads, call(OPTION, ESTABLISHED, 1 << 7 | 10, 3), *reads)
    yield "T12-urgent-sent", world(call(SEND_URGENT, ESTABLISHED, 1), call(SEND, ESTABLISHED, 3000), call(SEND_URGENT, ESTABLISHED, 2999),
                                   segment(ACK, 0, 1), segment(ACK, 0, 1, window=0), call(SEND_URGENT, ESTABLISHED, 5), wait(3), segment(ACK, 0, 3000))
    yield "T13-zero-window", world(call(SEND, ESTABLISHED, 9000), segment(ACK, 0, 0, window=0),
                                   *(segment(ACK, 0, 0, window=0, step=21 << 8 | 3) for _ in range(8)), wait(200))
    yield "T13-zero-window-closed", world(call(SEND, ESTABLISHED, 9000), call(CLOSE, ESTABLISHED), segment(ACK, 0, 0, window=0),
                                          wait(200))
    yield "T15-flipped", world(packet(ip(tcp(SYN), 6), FIX_IP), packet(ip(tcp(SYN), 6), FIX_TRANSPORT),
                               segment(ACK, 0, 0, mode=FIX_IP | AIM | SEQUENCE, data=b"x"))
    data = segment(ACK | PSH, 0, 0, data=b"hello, stack" * 40)
    yield "in-order", world(data, data, data, call(RECEIVE, ESTABLISHED, 700), data, wait(1))
    yield "taken-at-once", world(data, data, data, segment(ACK | FIN, 0, 0), a=64)
    yield "out-of-order", world(segment(ACK, 1000, 0, data=b"b" * 500), segment(ACK, 500, 0, data=b"c" * 700),
                                segment(ACK, 3000, 0, data=b"d" * 90), data, segment(ACK, -200, 0, data=b"e" * 4000))
    merged = packet(ip(tcp(ACK, 0, 0, options=timestamps(1002), data=b"m" * 4000), 6), LIVE | CSUM_GOOD, C_ESTABLISHED)
    yield "merged", world(merged, merged, call(RECEIVE, ESTABLISHED, 9000), merged)
    yield "small-budget", world(data * 20, call(SEND, ESTABLISHED, 19000), call(CONNECT, 0, 99), call(CONNECT_SELF, 0, 0, 0),
                                handshake(501), handshake(502), a=32)


def ending_seeds():
    fin = segment(ACK | FIN, 0, 0)
    for name, first in ("none", b""), ("shutdown", call(SHUTDOWN, ESTABLISHED)), ("fin", fin), ("close", call(CLOSE, ESTABLISHED)):
        for then, second in ("none", b""), ("fin", fin), ("ack", segment(ACK, 0, 1)), ("fin-ack", segment(ACK | FIN, 0, 1)), (
                "close", call(CLOSE, ESTABLISHED)), ("abort", call(ABORT, ESTABLISHED)), ("rst", segment(RST, 0, ts=None)):
            yield f"T14-{name}-{then}", world(first, second, wait(2), segment(ACK, 1, 1), wait(100))
    yield "T5-time-wait", world(call(SHUTDOWN, ESTABLISHED), segment(ACK, 0, 1), fin, segment(RST, 0, ts=None), segment(RST, 1, ts=None),
                                segment(ACK, 0, 0, data=b"late"), segment(SYN, 100000, ts=5000), wait(9), segment(ACK, 0, 0))
    yield "unread-data", world(segment(ACK, 0, 0, data=b"unread"), call(CLOSE, ESTABLISHED))
    yield "retransmission", world(call(SEND, ESTABLISHED, 12000), wait(1), wait(4), segment(ACK, 0, 4000), wait(2), wait(200))
    yield "keepalive", world(call(OPTION, ESTABLISHED, 1, 1), call(OPTION, ESTABLISHED, 60000, 2), wait(1), wait(200), wait(200))
    yield "destroyed", world(call(DESTROY, 0, 0), call(DESTROY, 0, 0), handshake(600), call(DESTROY, 0, 0))
    yield "to-ourselves", world(call(CONNECT_SELF, 0, 0, 0), call(ACCEPT), call(SEND, 5, 15000), call(RECEIVE, 6, 9000),
                                call(SHUTDOWN, 5), call(RECEIVE, 6, 20000), call(CLOSE, 6), wait(9))
    yield "to-loopback-closed", world(call(CONNECT_SELF, 0, 4242, 3), wait(3))
    yield "sent-in-place", world(call(FILL, ESTABLISHED, 9000, 50), segment(ACK, 0, 5000), call(FILL, ESTABLISHED, 65000, 0),
                                 *(segment(ACK, 0, 3000) for _ in range(9)), a=24)
    yield "address-removed", world(call(ADDRESS, 0, 0, 1), call(SEND, ESTABLISHED, 50), wait(9), call(ADDRESS, 0, 1, 1),
                                   call(ADDRESS, 0, 1, 9), call(ROUTE, 0, 1, 24), call(ROUTE, 0, 0, 24))
    yield "reconfigured", world(call(RECONFIGURE, 0, 300), handshake(700), call(RECONFIGURE, 0, 1), call(SEND, ESTABLISHED, 9000))
    yield "stopped-while-resolving", world(a=128, b=1)
    yield "stopped", world(call(SEND, ESTABLISHED, 9000), segment(ACK, 100, 0, data=b"x"), a=128)


def udp_seeds():
    yield "U1-lengths", world(packet(ip(udp(53, b"x" * 8, length=7), 17), FIX_IP), packet(ip(udp(53, b"x" * 8, length=90), 17), FIX_IP),
                              packet(ip(udp(53)[:6], 17), FIX_IP), packet(ip(udp(53, b"trailing", length=10), 17), FIX_IP))
    yield "U1-checksum", world(packet(ip(udp(53, b"none"), 17)), packet(ip(udp(53, b"bad", total=0x1234), 17)),
                               packet(ip(udp(53, b"good"), 17), FIX))
    yield "U2-closed-port", world(packet(ip(udp(9), 17), FIX), packet(ip(udp(9), 17, dst="192.0.2.255"), FIX_TRANSPORT))
    yield "U3-flood", world(*(packet(ip(udp(53, b"f" * 1000), 17), FIX | BATCH) for _ in range(40)), call(RECVFROM, UDP_BOUND), a=32)
    merged = packet(ip(udp(53, b"m" * 900), 17, ident=100), FIX_IP | CSUM_GOOD)
    option = lambda n: call(OPTION, UDP_BOUND, n, 7)  # a value from bit 7 up, UDP_GRO in bit 0, else UDP_SEGMENT
    for name, a in ("cut", 0), ("left", 24):
        yield f"row-{name}", world(option(500 << 7), call(SENDTO, UDP_BOUND, 9000, 2), call(SENDTO, UDP_BOUND, 65535, 2),
                                   option(1 << 7), call(SENDTO, UDP_BOUND, 200, 2), a=a)
    yield "row-merged", world(merged, call(RECVFROM, UDP_BOUND), option(1 << 7 | 1), merged, call(RECVFROM, UDP_BOUND),
                              packet(ip(udp(53, b"m" * 900), 17, ident=1), FIX_IP | CSUM_GOOD), merged)
    yield "datagrams", world(packet(ip(udp(53, b"q"), 17), FIX), call(SENDTO, UDP_BOUND, 9000, 2), call(RECVFROM, UDP_BOUND),
                             packet(ip(udp(1000, b"r"), 17), FIX), packet(ip(udp(1000, b"r", 2001), 17), FIX), b=8)
    yield "departures", world(*(call(SENDMSG, slot, n, x) for slot in (UDP_BOUND, UDP_CONNECTED, ESTABLISHED)
                                for n in (0, 0x0105, 0xff65) for x in (0, 1, 6, 8, 0xfc, 0x7d)))


def on_ip_link(data):
    """The same records without Ethernet headers."""
    out, at = bytearray([data[0] | 1, data[1]]), 2
    while at < len(data):
        mode, connection, step, length = struct.unpack_from(">BBHH", data, at)
        body = data[at + 6:at + 6 + length]
        if not mode & OWNER:
            body = body[14:]
        out += struct.pack(">BBHH", mode, connection, step, len(body)) + body
        at += 6 + length
    return bytes(out)


def frame_seeds():
    for seeds in ethernet_seeds, ip_seeds, icmp_seeds, opening_seeds, receiving_seeds, ending_seeds, udp_seeds:
        yield from seeds()
    for name, data in (*opening_seeds(), *receiving_seeds()):
        if name[0] not in "ST":
            yield f"ip-{name}", on_ip_link(data)


# ---- the parsers ----

def parser_seeds():
    echo = ip(icmp(8, 0, 1, b"data"), 1)
    parsers = {
        "ethernet": (0, [ethernet(echo), b"\xff" * 13]),
        "arp": (1, [arp(1, PEER, US), arp(2, PEER, US), arp(1, "0.0.0.0", US)]),
        "ip4": (2, [echo, ip(b"", 6, options=b"\x07\x07\x04\0\0\0\0\1"), ip(b"x" * 8, 17, fragment=0x2001)]),
        "ip4-repaired": (3, [echo, ip(b"", 6, options=b"\x83\x07\x04\0\0\0\0\1"), ip(b"", 6, options=b"\x44\x28\x05\0")]),
        "quoted": (4, [ip(tcp(ACK)[:8], 6, US, PEER), ip(b"1234567", 17)]),
        "icmp": (5, [icmp(8, 0, 1, b"x"), icmp(3, 4, 576, echo), b"\x08\0\0"]),
        "udp": (6, [udp(53, b"x"), udp(53, b"x", length=7), udp(53, b"", length=70)]),
    }
    for name, (number, packets) in parsers.items():
        for i, data in enumerate(packets):
            yield f"{name}-{i}", bytes([number]) + data


def tcp_option_seeds():
    options = {
        "all-of-syn": b"\2\4\5\xb4\4\2" + timestamps(1)[2:] + b"\1\3\3\7",
        "T6-mss-0": b"\2\4\0\0", "T6-length-0": b"\2\0\1\1", "T6-length-1": b"\3\1", "T6-past-end": b"\x08\x0a\1\1",
        "T7-sack-4": b"\1\1\5\x22" + struct.pack(">8I", *range(8)),
        "T7-sack-odd": b"\5\x0b" + bytes(9), "T7-sack-none": b"\5\2",
        "T7-sack-and-timestamps": timestamps(5) + b"\1\1\5\x1a" + struct.pack(">6I", *range(6)),
        "T10-scale-255": b"\3\3\xff", "unknown": b"\xfd\4\0\0\x1e\3\1", "end-in-the-middle": b"\1\0\2\4\5\xb4",
        "twice": b"\2\4\1\1\2\4\2\2", "nops": b"\1" * 40,
    }
    for name, data in options.items():
        yield f"{name}-syn", b"\1" + data
        yield name, b"\0" + data
    yield "segment", b"\2" + tcp(SYN, 1, options=options["all-of-syn"], data=b"data")
    yield "T6-data-offset", b"\2" + tcp(ACK, 1, words=15)


# ---- the daemon ----

def attribute(kind, data=b""):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(kind, data=b"", flags=1, seq=1, length=None):
    length = 16 + len(data) if length is None else length
    return struct.pack("=IHHII", length, kind, flags, seq, 0) + data + bytes(-len(data) % 4)


def byway_address(text, port):
    return bytes(10) + b"\xff\xff" + address(text) + struct.pack("=H", port) + bytes(6)


def control(*packets, who=0, flags=0x8000):
    """A byte of who asks, then packets with flags and length in front (fuzz_control.c)."""
    return bytes([who]) + b"".join(struct.pack(">H", len(p) | flags) + p for p in packets)


def netlink(protocol):
    return message(0x148, attribute(1, bytes([protocol])) + attribute(11, struct.pack("=Q", 77)))


def route_changes():
    """rtnetlink: groups, then addresses, routes and neighbours made, asked for and deleted."""
    addr = struct.pack("=BBBBI", 2, 24, 0, 0, 2) + attribute(2, address("198.18.0.9"))
    route = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 4, 0, 1, 0) + attribute(1, address("192.0.2.0")) + attribute(5, address(PEER))
    get = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 0, 0, 0, 0, 0) + attribute(1, address("192.0.2.1"))
    neigh = struct.pack("=BBHiHBB", 2, 0, 0, 2, 0x80, 0, 0) + attribute(1, address("198.18.0.8")) + attribute(2, PEER_MAC)
    link = struct.pack("=BBHiII", 0, 0, 0, 2, 0, 0) + attribute(4, struct.pack("=I", 1400))
    return control(netlink(0), message(0x149, attribute(11, struct.pack("=Q", 0x55))), message(20, addr, 0x605),
                   message(24, route, 0x605), message(26, get), message(28, neigh, 0x605), message(30, neigh),
                   message(16, link, 5), message(24, route, 0x505), message(29, neigh, 5), message(25, route, 5),
                   message(21, addr, 5), message(25, route, 5), message(18, b"\0\0\0\0", 0x301))


def diag_filters(request):
    """sock_diag: ends are told, filters good and bad, killed by addresses alone."""
    port = struct.pack("=BBHBBH", 11, 8, 12, 0, 0, 7777)
    host = struct.pack("=BBHBBHi", 7, 16, 20, 2, 24, 0, -1) + address(US)
    loop = struct.pack("=BBH", 1, 4, 0)
    bound = request[:8] + struct.pack(">HH", 7777, 0) + bytes(36) + b"\xff" * 8
    return control(message(0x101, attribute(2, byway_address(US, 7777))), netlink(4), message(0x149, attribute(11, b"\1" + bytes(7))),
                   *(message(20, request + attribute(1, f), 0x301) for f in (port, host + port, loop, port[:4])),
                   message(20, b"\1\0" + bytes(22), 0x301), message(20, bound), message(21, bound, 5))


def inode(n):
    """The inode of the n-th descriptor that came (fuzz_control.c puts it in)."""
    return attribute(18, b"\xfeINODE\xfe" + bytes([n]))


def option(kind, which, level, name, value=b""):
    return message(kind, which + attribute(19, struct.pack("=I", level)) + attribute(20, struct.pack("=I", name)) + value)


def control_socket_seeds(protocol, local, remote):
    """Sockets opened step by step, and options."""
    opened, bind, listen, connect, send, get, error, shutdown = range(0x140, 0x148)
    setopt, getopt = 0x10a, 0x10b
    tcp, udp = (message(opened, attribute(1, bytes([p])) + attribute(24, b"\2")) for p in (6, 17))
    back = attribute(3, byway_address(US, 7777))
    server = tcp, message(bind, inode(0) + local), message(listen, inode(0) + attribute(4, struct.pack("=I", 5)))
    yield "step-listen", control(*server, message(listen, inode(0)), message(get, inode(0)), message(connect, inode(0) + back),
                                 message(shutdown, inode(0)), message(get, inode(0)))
    yield "step-connect", control(*server, tcp, message(connect, inode(1) + back), b"", b"", message(get, inode(1)),
                                  message(connect, inode(1) + back), message(listen, inode(1)), message(shutdown, inode(1)))
    yield "step-refused", control(tcp, message(connect, inode(0) + back), b"", message(error, inode(0)), message(get, inode(0)))
    yield "step-datagram", control(udp, udp, message(bind, inode(0) + local), *[message(send, inode(1) + back + attribute(27, b"x" * 30))] * 40,
                                   message(connect, inode(1) + back), message(connect, inode(1)), message(listen, inode(1)))
    more, to_any = attribute(31), attribute(3, byway_address("0.0.0.0", 0))
    yield "step-datagram-more", control(
        udp, udp, message(bind, inode(0) + local), message(send, inode(1) + to_any + attribute(27, b"x") + more),
        *[message(send, inode(1) + back + attribute(27, b"x" * 3000) + more)] * 23, message(send, inode(1) + back + attribute(27, b"y")),
        message(send, inode(1) + back + attribute(27, b"x") + more), message(send, inode(1) + to_any + attribute(27)),
        message(send, inode(1) + back + attribute(27, b"z") + more), message(connect, inode(1) + back),
        message(connect, inode(1)), message(send, inode(0) + attribute(3, byway_address("203.0.113.5", 9)) + attribute(27) + more))
    # A departure from an address of ours, and errors that are kept.
    leaves = attribute(30, byway_address(US, 0) + b"\x09\x01\x40" + bytes(5))
    yield "step-departure", control(udp, option(setopt, inode(0), 0, 11, attribute(21, b"\1\0\0\0")),
                                    message(send, inode(0) + attribute(3, byway_address(US, 9)) + leaves + attribute(27, b"quoted")),
                                    message(0x14a, inode(0)), message(error, inode(0)), message(0x14a, inode(0)),
                                    option(getopt, inode(0), 1, 4), flags=0xa000)
    guard = 0x14b
    yield "step-guard", control(*server, message(guard, inode(0)), message(get, inode(0)), udp, message(bind, inode(2) + local), message(guard, inode(2)),
                                tcp, message(connect, inode(4) + back), message(guard, inode(4)), message(shutdown, inode(0)), message(guard, inode(0)))
    ring = 0x14c
    # With itself, by the address that the configuration has if it says nothing.
    own = byway_address("198.18.0.2", 7777)
    kept = (tcp, message(bind, inode(0) + attribute(2, own)), message(listen, inode(0)), tcp,
            message(connect, inode(1) + attribute(3, own)), b"", b"")

    def positions(read, written, ended=0, waits=0, unread=0):
        return (bytes(64) + struct.pack("=Q", read) + bytes(56) + struct.pack("=QI", written, ended) + bytes(52) + bytes(64) +
                struct.pack("=I", waits) + bytes(60) + bytes(64) + struct.pack("=III", 0, 0, unread))

    yield "step-ring", control(*kept, message(ring, inode(1) + attribute(11, struct.pack("=Q", 0x10000))), message(ring, inode(1)),
                               message(ring, inode(0)), message(0x10b, inode(1))) + control(
                                   positions(0, 100), positions(0, 0x10000, 0, 3), positions(0, 0x10064, 1), b"", flags=0xa000)[1:]
    yield "step-ring-lies", control(*kept, message(ring, inode(1) + attribute(11, struct.pack("=Q", 0x10000)))) + control(
        positions(0, 0x10001), b"", flags=0xa000)[1:]
    yield "step-ring-dies", control(*kept, message(ring, inode(1))) + control(positions(0, 5, 0, 0, 1), flags=0xa000)[1:] + control(
        b"", b"", b"", b"", flags=0xc000)[1:]
    yield "L7-ring", control(tcp, message(ring, inode(0)), udp, message(ring, inode(1)), *[
        message(ring, inode(0) + attribute(11, struct.pack("=Q", size))) for size in (1, 1 << 16, 1 << 62)])
    yield "step-lent", control(tcp, udp) + control(message(bind, inode(0) + local), message(send, inode(1) + back + attribute(27, b"x")),
                                                   message(get, inode(0)), option(setopt, inode(0), 1, 9), flags=0x9000)[1:]
    yield "L6-others-inode", control(tcp, udp, who=3) + control(
        message(bind, inode(0) + local), message(listen, inode(0)), message(connect, inode(1) + back), message(error, inode(0)),
        message(get, inode(0)), option(setopt, inode(0), 1, 9, attribute(21, b"\1\0\0\0")), option(getopt, inode(1), 1, 7), flags=0x9000)[1:]
    yield "options", control(tcp, *(option(setopt, inode(0), level, name, attribute(21, b"\xff\xff\xff\x7f" * 4)) + option(
        getopt, inode(0), level, name) for level in (0, 1, 6) for name in range(20)))
    yield "options-queue", control(tcp, *(option(getopt, inode(0), 0x42570000, name) for name in (0x541b, 0x5411, 0x894b, 0)))
    yield "L1-options", control(tcp, option(setopt, inode(0), 1, 9, attribute(21)), option(setopt, b"", 1, 9),
                                option(setopt, inode(0) + attribute(8, bytes(8)), 1, 9), option(setopt, inode(0), 1, 9, attribute(21, bytes(513))),
                                option(getopt, inode(0), 1, 9, attribute(22, bytes(4))))
    for name, value in (("short", b"\1\0\0"), ("long", struct.pack("=iiII", 1, 9, 0xffffffff, 0)),
                        ("good", struct.pack("=iiIIIxxxx", 1, 9, 4, 0, 1) * 2)):
        yield "options-before-" + name, control(message(0x101, local + attribute(23, value)), message(0x100, protocol + remote + attribute(23, value)))


def control_seeds():
    connect, listen, datagram, tcb, stats, status = 0x100, 0x101, 0x102, 0x104, 0x106, 0x108
    diag, destroy = 20, 21
    protocol, local, remote = attribute(1, b"\6"), attribute(2, byway_address(US, 7777)), attribute(3, byway_address(PEER, 80))
    request = struct.pack("=BBBBI", 2, 6, 0xff, 0, 0xffffffff) + bytes(48)
    yield "connect", control(message(connect, protocol + remote))
    yield "connect-nonblock", control(message(connect, protocol + remote + attribute(6) + attribute(5)))
    yield "connect-self", control(message(listen, local), message(connect, protocol + attribute(3, byway_address(US, 7777))),
                                  message(connect, protocol + attribute(3, byway_address("127.0.0.1", 7777)) + attribute(6)))
    yield "listen", control(message(listen, local + attribute(4, struct.pack("=I", 5))), message(listen, local))
    yield "datagram", control(message(datagram, local), message(datagram, remote + attribute(7)), message(datagram))
    yield "look", control(message(status), message(stats, flags=0x301), message(tcb, attribute(8, struct.pack("=Q", 1))))
    yield "diag", control(message(listen, local), message(diag, request, 0x301), message(diag, request[:8] + bytes(40) + struct.pack("=II", 1, 0)),
                          message(destroy, request[:8] + bytes(40) + struct.pack("=II", 1, 0)))
    yield "route", control(*(message(kind, b"\2\0\0\0", 0x301) for kind in (18, 22, 26, 30)))
    yield "several", control(message(status) + message(status, seq=2) + message(0x999, seq=3) + message(listen, local, seq=4))
    yield "L1-short", control(message(status)[:8], message(status, length=15), message(status, length=400),
                              message(status, length=0x80000000), message(status, length=0xa0000000), message(status, length=0xc0bd0000), b"")
    yield "L1-unknown", control(message(0x1ff), message(0), message(3), message(status, flags=0))
    yield "L1-attributes", control(message(connect), message(connect, protocol + protocol + remote),
                                   message(connect, attribute(1, b"\6\6") + remote), message(connect, attribute(200, b"x") + protocol),
                                   message(listen, local + attribute(8, bytes(8))), message(listen, local + b"\2\0"),
                                   message(listen, struct.pack("=HH", 2, 2)), message(listen, struct.pack("=HH", 200, 2)))
    yield "route-changes", route_changes()
    yield "diag-filter", diag_filters(request)
    nested = b""
    for _ in range(100):
        nested = attribute(0x8000 | 9, nested)
    yield "L1-nested", control(message(listen, local + nested))
    yield "L1-no-payload", control(message(diag), message(diag, request[:20]), message(destroy, b"\2"), message(18))
    yield "L6-not-allowed", control(message(listen, attribute(2, byway_address(US, 80))), message(diag, request, 0x301),
                                    message(connect, protocol + remote), who=1)
    yield "L6-user", control(message(listen, attribute(2, byway_address(US, 80))), message(listen, local),
                             message(diag, request, 0x301), message(destroy, request), who=3)
    ourselves = protocol + attribute(3, byway_address(US, 7777)) + attribute(6)
    idle = [b""] * 4
    yield "L4-writes-and-dies", control(message(listen, local), message(connect, ourselves), *idle, flags=0xa000) + control(
        *idle, flags=0x6000)[1:]
    yield "L4-dies-connecting", control(message(connect, protocol + remote + attribute(6))) + control(*idle, flags=0xc000)[1:]
    yield "L4-accepted", control(message(listen, local), message(connect, protocol + attribute(3, byway_address(US, 7777)))) + control(
        *idle, flags=0xc000)[1:] + control(*idle, flags=0xa000)[1:]
    yield from control_socket_seeds(protocol, local, remote)
    yield "L2-never-reads", control(*[message(stats, flags=0x301)] * 30, flags=0)
    yield "L1-too-long", b"\0\x8f\xff\x8f\xff"
    yield "L7-budget", control(*(message(datagram, seq=i) for i in range(25)))
    yield "L7-in-use", control(message(listen, local), message(listen, local), message(connect, protocol + local + remote))


def config_seeds():
    seeds = {
        "empty": "", "comments": "# one\n; two\n\n",
        "whole": "[Link]\nType=tap\nName=byway1\nMTU=1400\nHostAddress=198.18.0.1/24\nMACAddress=02:00:5e:10:00:02\nOffload=no\n"
                 "[Network]\nAddress=198.18.0.2/24\nAddress=198.18.0.3/24\nGateway=198.18.0.1\nRoute=192.0.2.0/24 198.18.0.9\n"
                 "[Control]\nSocket=/run/byway/other.sock\nGroup=byway\nSocketsPerUser=5\n"
                 "[Services]\nEcho=yes\nDiscard=true\nDaytime=on\nChargen=1\n"
                 "[Stack]\nMemory=64M\nSocketsMax=100\nHalfOpenMax=10\nTimeWaitMax=10\nAddressProbe=strict\n"
                 "[TCP]\nSendBuffer=64K\nReceiveBuffer=1M\nPortRange=40000-50000\nMinRTO=200ms\nMaxRTO=60s\nTimeWait=1min\n"
                 "[ICMP]\nRate=10\nBurst=5\n",
        "access": "[Network]\nDNS=198.18.0.1\nDNS=198.18.0.9\n[Access]\nSee=all\nOpen=root @0 7\nBindPrivileged=@7\nAdminister=root\n"
                  "BindPorts=root @7: 80,443, 8000-8099\nBindPorts=9: 53\nBindAddresses=root: 198.18.0.3,198.18.0.4\n",
        "L8-who": "[Access]\nOpen=root @no-such-group\n", "L8-rule": "[Access]\nBindPorts=80\n",
        "L8-range": "[Access]\nBindPorts=root: 9-8\n", "L8-many-who": "[Access]\nSee=" + "7 " * 40 + "\n",
        "L8-dns": "[Network]\nDNS=127.0.0.53\n",
        "tun": "[Link]\nType=tun\nMTU=65535\nHostAddress=\n",
        "overrides": "[Link]\nMTU=1400\n\0Link.MTU=900\0Network.Address=192.0.2.1/24\0Link.HostAddress=192.0.2.2/24",
        "L8-override": "\0Link", "L8-section": "[Nothing]\n", "L8-key": "[Link]\nNothing=1\n", "L8-no-section": "MTU=1\n",
        "L8-twice": "[Link]\nMTU=1400\nMTU=1400\n", "L8-number": "[Link]\nMTU=99999999999999999999\n",
        "L8-address": "[Network]\nAddress=198.18.0.256/24\n", "L8-prefix": "[Network]\nAddress=198.18.0.2/33\n",
        "L8-broadcast": "[Network]\nAddress=198.18.0.255/24\n", "L8-same": "[Network]\nAddress=198.18.0.1/24\n",
        "L8-gateway": "[Network]\nGateway=192.0.2.1\n", "L8-route": "[Network]\nRoute=198.18.0.0\n",
        "L8-mac": "[Link]\nMACAddress=01:00:5e:00:00:01\n", "L8-line": "[Link]\nMTU\n", "L8-long": "[Link]\nName=" + "x" * 300,
        "L8-many": "[Network]\n" + "Address=198.18.0.9/24\n" * 20, "L8-duration": "[TCP]\nMinRTO=10years\nMaxRTO=1ms\n",
        "L8-ports": "[TCP]\nPortRange=50000-40000\n", "L8-size": "[Stack]\nMemory=1Z\n", "L8-heading": "[Link\nMTU=1400\n",
        "continued": "[Network]\nAddress=198.18.0.2/24\n  198.18.0.4/24\n", "spaces": " [Link] \n MTU = 1400 ; remark\n", "bom": "\ufeff[Link]\n",
    }
    for name, text in seeds.items():
        yield name, text.encode()


def main():
    targets = {"frame": frame_seeds, "ip4": parser_seeds, "tcp_options": tcp_option_seeds, "control": control_seeds,
               "config": config_seeds}
    total = 0
    for target, seeds in targets.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith("found-"):
                old.unlink()
        for name, data in seeds():
            (folder / name).write_bytes(data)
        total += sum(f.stat().st_size for f in folder.iterdir())
    print(f"{total} bytes in {CORPUS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
