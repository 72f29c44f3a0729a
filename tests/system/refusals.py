"""Asks for what it may not have, one message after the other (client/protocol.h), with time between
them, because the daemon's log has a limit. Becomes user 65534 first. Prints each request and its errno.

        refusals.py open            as somebody who may not open sockets
        refusals.py others INODE ID  as somebody who may, about a socket of another user
"""
import errno
import os
import socket
import struct
import sys
import time

REQUEST = 1
CONNECT, LISTEN, DATAGRAM, GET_TCB, SET_OPTION, GET_OPTION = 0x100, 0x101, 0x102, 0x104, 0x10A, 0x10B
SOCK_OPEN, SOCK_BIND, SOCK_LISTEN, SOCK_CONNECT, SOCK_SEND, SOCK_GET, SOCK_ERROR, SOCK_SHUTDOWN = range(0x140, 0x148)
NETLINK, SOCK_RECVERR = 0x148, 0x14A
PROTOCOL, LOCAL, REMOTE, ID, INODE, LEVEL, NAME, FAMILY, DATA = 1, 2, 3, 8, 18, 19, 20, 24, 27


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def address(text, port):
    return bytes(10) + b"\xff\xff" + socket.inet_aton(text) + struct.pack("=H6x", port)


def u8(kind, n):
    return attribute(kind, struct.pack("=B", n))


def u32(kind, n):
    return attribute(kind, struct.pack("=I", n))


def u64(kind, n):
    return attribute(kind, struct.pack("=Q", n))


def opening():
    there = attribute(REMOTE, address("198.18.0.1", 9))
    here = attribute(LOCAL, address("198.18.0.2", 7000))
    return [("CONNECT", CONNECT, u8(PROTOCOL, 6) + there), ("LISTEN", LISTEN, here), ("DATAGRAM", DATAGRAM, there),
            ("SOCK_OPEN", SOCK_OPEN, u8(PROTOCOL, 6) + u8(FAMILY, 2)), ("SOCK_OPEN ping", SOCK_OPEN, u8(PROTOCOL, 1) + u8(FAMILY, 2))]


def others(inode, number):
    about, there = u64(INODE, inode), attribute(REMOTE, address("198.18.0.1", 9))
    option = u32(LEVEL, 1) + u32(NAME, 2)
    diag = struct.pack("=BBBBI", 2, 6, 0, 0, 0xFFFFFFFF) + bytes(40) + struct.pack("=II", number & 0xFFFFFFFF, number >> 32)
    admin = [("NEWADDR", 20, 8), ("DELADDR", 21, 8), ("NEWROUTE", 24, 12), ("DELROUTE", 25, 12), ("NEWNEIGH", 28, 12),
             ("DELNEIGH", 29, 12), ("NEWLINK", 16, 16), ("DELLINK", 17, 16), ("SETLINK", 19, 16)]
    return [("LISTEN port 80", LISTEN, attribute(LOCAL, address("0.0.0.0", 80))),
            ("SOCK_BIND", SOCK_BIND, about + attribute(LOCAL, address("198.18.0.2", 7001))), ("SOCK_LISTEN", SOCK_LISTEN, about),
            ("SOCK_CONNECT", SOCK_CONNECT, about + there), ("SOCK_SEND", SOCK_SEND, about + there + attribute(DATA, b"x")),
            ("SOCK_GET", SOCK_GET, about), ("SOCK_ERROR", SOCK_ERROR, about), ("SOCK_RECVERR", SOCK_RECVERR, about),
            ("SOCK_SHUTDOWN", SOCK_SHUTDOWN, about), ("GET_TCB", GET_TCB, u64(ID, number)),
            ("SET_OPTION", SET_OPTION, u64(ID, number) + option), ("GET_OPTION", GET_OPTION, about + option)] + \
           [("RTM_" + name, kind, bytes(size), 0) for name, kind, size in admin] + \
           [("DIAG", 20, diag, 4), ("DESTROY", 21, diag, 4)]


def ask(kind, body, netlink=None):
    """`netlink`: a conversation that speaks NETLINK_ROUTE (0) or NETLINK_SOCK_DIAG (4), whose numbers overlap."""
    c = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    c.connect(os.environ["BYWAY_SOCKET"])
    messages = [] if netlink is None else [(NETLINK, u8(PROTOCOL, netlink))]
    messages.append((kind, body))
    for kind, body in messages:
        c.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST, 1, 0) + body)
        answer = c.recv(65536)
    length, kind = struct.unpack_from("=IH", answer)
    return -struct.unpack_from("=i", answer, 16)[0] if kind == 2 else 0


def main():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    requests = opening() if sys.argv[1] == "open" else others(int(sys.argv[2]), int(sys.argv[3]))
    for name, *request in requests:
        error = ask(*request)
        print(name, errno.errorcode.get(error, error), flush=True)
        time.sleep(0.25)


main()
