"""What a local process may try on the control socket (rows L1 to L3). usage: hostile.py WHAT SOCKET [ARGUMENT]"""
import array
import os
import select
import socket
import struct
import sys
import time

STATUS, CONNECT, SOCKET, DIAG, ERROR, DONE = 0x108, 0x100, 0x103, 20, 2, 3
REQUEST, DUMP = 1, 0x300
INODE, FAMILY = 18, 24


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(path)
    s.settimeout(10)
    return s


def message(kind, payload=b"", flags=REQUEST, seq=1, length=None):
    return struct.pack("=IHHII", 16 + len(payload) if length is None else length, kind, flags, seq, 0) + payload


def dump():
    return message(DIAG, struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + bytes(48), REQUEST | DUMP)


def text_of(packet):
    """errno and words of an NLMSG_ERROR."""
    length, kind = struct.unpack_from("=IH", packet)
    assert kind == ERROR, kind
    at, words = 16 + 4 + 16, ""
    while at + 4 <= length:
        size, attr = struct.unpack_from("=HH", packet, at)
        if attr == 1:
            words = packet[at + 4 : at + size].rstrip(b"\0").decode()
        at += (size + 3) & ~3
    return struct.unpack_from("=i", packet, 16)[0], words


def kinds(packet):
    """The types of the messages in it."""
    while len(packet) >= 16:
        length, kind = struct.unpack_from("=IH", packet)
        yield kind
        packet = packet[max(16, (length + 3) & ~3) :]


def malformed(path):
    """Each gets an error in words, or the end of the conversation."""
    deep = b""
    for _ in range(100):
        deep = struct.pack("=HH", 4 + len(deep), 0x8001) + deep
    cases = {
        "unknown type": message(0x7FF),
        "attribute too long": message(CONNECT, struct.pack("=HH", 400, 1)),
        "attribute too short": message(CONNECT, struct.pack("=HH", 3, 1)),
        "nested deep": message(CONNECT, deep),
        "cut short": message(STATUS)[:10],
        "longer than the packet": message(STATUS, length=4000),
        "length of 2^31": message(STATUS, length=1 << 31),
        "no length": message(STATUS, length=0),
        "nothing": b"",
        "noise": bytes(range(256)) * 16,
    }
    for name, packet in cases.items():
        s = connect(path)
        try:
            s.send(packet)
            s.send(message(STATUS, seq=2))
            answer = s.recv(70000)
            if answer and struct.unpack_from("=IH", answer)[1] == ERROR:
                error, words = text_of(answer)
                assert error < 0 and words, (name, error, words)
                print(f"{name}: {words}")
            else:
                print(f"{name}: {'ended' if not answer else 'passed over'}")
        except (BrokenPipeError, ConnectionResetError):
            print(f"{name}: ended")
        s.close()


def storm(path, count):
    """So many requests, a hundred in a packet, while another conversation is served: its worst wait in ms."""
    many, other, worst, sent, got = connect(path), connect(path), 0.0, 0, 0
    many.setblocking(False)
    packet = message(0x7FF) * 100
    while got < count:
        readable, writable, _ = select.select([many], [many] if sent < count else [], [], 10)
        if writable:
            try:
                sent += 100 * (many.send(packet) > 0)
            except BlockingIOError:
                pass
        if readable:
            answer = many.recv(70000)
            at = 0
            while at < len(answer):
                at += (struct.unpack_from("=I", answer, at)[0] + 3) & ~3
                got += 1
        if sent % 10000 == 0:
            began = time.monotonic()
            other.send(message(STATUS))
            assert other.recv(70000)
            worst = max(worst, time.monotonic() - began)
    print(got, round(worst * 1000))


def silent(path, count):
    """Says nothing on so many conversations, and stays."""
    held = []
    for _ in range(count):
        try:
            held.append(connect(path))
        except OSError as e:
            print(e)
            break
    print("ready", len(held), flush=True)
    sys.stdin.read()


def deaf(path, count):
    """Asks for so many dumps on each of four conversations and reads nothing."""
    held = [connect(path) for _ in range(4)]
    for s in held:
        s.setblocking(False)
        for _ in range(count):
            try:
                s.send(dump())
            except (BlockingIOError, BrokenPipeError):
                break
    print("ready", flush=True)
    sys.stdin.read()


def gifts(path, count):
    """Sends descriptors that nobody asked for."""
    s = connect(path)
    r, w = os.pipe()
    for _ in range(count):
        s.sendmsg([message(STATUS)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [r, w] * 30))])
        assert s.recv(70000)
    print("done", flush=True)
    sys.stdin.read()


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def guard(path):
    """A copy of the daemon's end of a connection under way to 198.18.0.77, made blocking, and the bytes parked there taken out."""
    sock_open, sock_connect, sock_guard, protocol, remote = 0x140, 0x143, 0x14B, 1, 3
    s = connect(path)

    def ask(kind, *attributes):
        s.send(message(kind, b"".join(attributes)))
        _, extra, _, _ = s.recvmsg(65536, 64)
        return array.array("i", extra[0][2][:4])[0] if extra else None

    fd = ask(sock_open, attribute(protocol, b"\6"), attribute(FAMILY, b"\2"))
    inode = attribute(INODE, struct.pack("=Q", os.fstat(fd).st_ino))
    end = socket.socket(fileno=ask(sock_guard, inode))
    end.setblocking(True)
    to = bytes(10) + b"\xff\xff" + socket.inet_aton("198.18.0.77") + struct.pack("=H", 9999) + bytes(6)
    ask(sock_connect, inode, attribute(remote, to))
    print("drained", len(end.recv(1 << 20, socket.MSG_DONTWAIT)))
    print("ready", flush=True)
    sys.stdin.read()


def abandoned(path, count):
    """Sockets that are closed while the daemon has their bind to any port before it, and no port is free."""
    sock_open, sock_bind, protocol, local = 0x140, 0x141, 1, 2
    s = connect(path)

    def ask(kind, *attributes):
        s.send(message(kind, b"".join(attributes)))
        _, extra, _, _ = s.recvmsg(65536, 64)
        return array.array("i", extra[0][2][:4])[0] if extra else None

    def bind(fd):
        inode = attribute(INODE, struct.pack("=Q", os.fstat(fd).st_ino))
        return message(sock_bind, inode + attribute(local, bytes(10) + b"\xff\xff" + bytes(12)))

    kept, refused = [], 0
    for kind in b"\x06", b"\x11":
        kept.append(ask(sock_open, attribute(protocol, kind), attribute(FAMILY, b"\2")))
        s.send(bind(kept[-1]))
        s.recv(65536)
        for _ in range(count):
            fd = ask(sock_open, attribute(protocol, kind), attribute(FAMILY, b"\2"))
            request = bind(fd)
            s.send(dump())
            s.send(request)
            os.close(fd)
            answers = 0
            while answers < 2:
                packet = s.recv(1 << 18)
                assert packet, "the daemon has ended"
                for answer in kinds(packet):
                    answers += answer in (DONE, ERROR, SOCKET)
                    refused += answer == ERROR
    print("refused", refused)
    print("ready", flush=True)
    sys.stdin.read()


def main():
    what, path, *rest = sys.argv[1:]
    {"malformed": malformed, "storm": storm, "silent": silent, "deaf": deaf, "gifts": gifts, "guard": guard, "abandoned": abandoned}[what](path, *map(int, rest))


main()
