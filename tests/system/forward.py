#!/usr/bin/env python3
"""A server of the host for the tests of forwards; serves one connection (or datagram) and ends.

    forward.py echo ADDRESS PORT|PATH        sends back what comes, then ends its side
    forward.py half ADDRESS PORT             ends its side first, then reads all: prints its length
    forward.py reset ADDRESS PORT            reads a byte and resets
    forward.py outcome ADDRESS PORT          sends a byte, reads; prints "end of file" or "reset"
    forward.py proxy ADDRESS PORT            prints the addresses of the PROXY header, then echoes
    forward.py datagram ADDRESS PORT         sends three datagrams back

and clients: forward.py client-half|client-reset|client-outcome ADDRESS PORT
"""
import socket
import struct
import sys

LINGER_ZERO = struct.pack("ii", 1, 0)


def read_all(peer):
    data = b""
    while piece := peer.recv(1 << 16):
        data += piece
    return data


def outcome(peer):
    try:
        read_all(peer)
        print("end of file")
    except ConnectionResetError:
        print("reset")


def echo(peer):
    while piece := peer.recv(1 << 16):
        peer.sendall(piece)
    peer.shutdown(socket.SHUT_WR)


def proxy(peer):
    header = peer.recv(28, socket.MSG_WAITALL)
    assert header[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", header
    source, to, source_port, to_port = struct.unpack("!4s4sHH", header[16:])
    print(socket.inet_ntoa(source), source_port, socket.inet_ntoa(to), to_port, flush=True)
    echo(peer)


def half(peer):
    peer.sendall(b"first\n")
    peer.shutdown(socket.SHUT_WR)
    print(len(read_all(peer)))


def reset(peer):
    peer.recv(1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)


def client_half(peer):
    assert read_all(peer) == b"first\n"
    peer.sendall(bytes(100000))
    peer.shutdown(socket.SHUT_WR)


def client_reset(peer):
    peer.sendall(b"x")
    reset(peer)


def client_outcome(peer):
    try:
        peer.sendall(b"x")
    except ConnectionResetError:
        return print("reset")
    outcome(peer)


def datagram(where):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(where)
        door.settimeout(20)
        print("ready", flush=True)
        for _ in range(3):
            data, peer = door.recvfrom(65536)
            door.sendto(data, peer)


def greeted_outcome(peer):
    peer.sendall(b"!")
    outcome(peer)


SERVERS = {"echo": echo, "half": half, "reset": reset, "outcome": greeted_outcome, "proxy": proxy}
CLIENTS = {"client-half": client_half, "client-reset": client_reset, "client-outcome": client_outcome}


def open_server(address, port):
    if address == "unix":
        door = socket.socket(socket.AF_UNIX)
        door.bind(port)
        door.listen()
        return door
    return socket.create_server((address, int(port)))


def main(what, address, port):
    if what == "datagram":
        return datagram((address, int(port)))
    if what in CLIENTS:
        try:
            peer = socket.create_connection((address, int(port)), timeout=20)
        except ConnectionResetError:  # at once, so that connect already tells
            return print("reset")
    else:
        with open_server(address, port) as door:
            door.settimeout(20)
            print("ready", flush=True)
            peer = door.accept()[0]
    with peer:
        peer.settimeout(20)
        (SERVERS | CLIENTS)[what](peer)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
