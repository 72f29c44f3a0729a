#!/usr/bin/env python3
"""A station of its own on the link (198.18.0.77, by AF_PACKET), which says how many answers it got.

    stations.py arp-ask IFACE ADDRESS                  answers to one ARP request
    stations.py fragments IFACE MAC ADDRESS PORT COUNT   connections to an echo service that began with a SYN in two
                                                     fragments, went on with whole segments, and got their echo
"""
import socket
import struct
import sys
import time

from frames import BROADCAST, address, arp, checksum, mac

US = address("198.18.0.77")
OUR_MAC = bytes.fromhex("02aabbccdd77")
MORE = 0x2000
SYN, PSH, ACK = 2, 8, 16


def open_wire(iface):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((iface, 0))
    wire.settimeout(0.2)
    return wire


def received(wire, seconds):
    """Frames to us, for a while; ARP requests for us are answered."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            frame = wire.recv(70000)
        except TimeoutError:
            continue
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == US:
            wire.send(arp(frame[6:12], 2, OUR_MAC, US, frame[28:32]))
        elif frame[:6] == OUR_MAC:
            yield frame


def segment(target, sport, dport, seq, ack, flags, data=b""):
    header = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, (10 if flags == SYN else 5) << 4, flags, 30000, 0, 0)
    whole = header + (b"\1" * 20 if flags == SYN else b"") + data
    pseudo = US + target + struct.pack("!BBH", 0, 6, len(whole))
    return whole[:16] + struct.pack("!H", checksum(pseudo + whole + b"\0" * (len(whole) % 2))) + whole[18:]


def packet(target_mac, target, payload, ident=0, fragment=0):
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, fragment, 64, 6, 0) + US + target
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return target_mac + OUR_MAC + b"\x08\x00" + header + payload


def ask(iface, target):
    wire = open_wire(iface)
    wire.send(arp(BROADCAST, 1, OUR_MAC, US, address(target)))
    return sum(f[12:14] == b"\x08\x06" and f[20:22] == b"\0\2" for f in received(wire, 1))


def fragments(iface, target_mac, target, port, count):
    wire, target_mac, target, port = open_wire(iface), mac(target_mac), address(target), int(port)
    echoed = set()
    for i in range(int(count)):
        whole = segment(target, 30000 + i, port, 1000, 0, SYN)
        wire.send(packet(target_mac, target, whole[:24], 500 + i, MORE))
        wire.send(packet(target_mac, target, whole[24:], 500 + i, 3))
    for frame in received(wire, 40):  # a SYN-ACK that had to wait for our ARP reply comes after 1, 3, 7 or 15 s
        tcp = frame[14 + (frame[14] & 15) * 4:14 + struct.unpack("!H", frame[16:18])[0]]
        _, ours, seq, _, offset, flags = struct.unpack("!HHIIBB", tcp[:14])
        if flags & SYN:
            wire.send(packet(target_mac, target, segment(target, ours, port, 1001, seq + 1, ACK | PSH, b"hello")))
        elif tcp[(offset >> 4) * 4:].startswith(b"hello"):
            echoed.add(ours)
        if len(echoed) == int(count):
            break
    return len(echoed)


def main(what, *args):
    print({"arp-ask": ask, "fragments": fragments}[what](*args))


main(*sys.argv[1:])
