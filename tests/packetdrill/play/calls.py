"""System calls: what a script says about each, made into a call of the host, and what came of it compared.

Each function takes the player and the arguments as the script has them, and returns a `Call`.
"""
import platform
import socket
import struct
from dataclasses import dataclass

from host import Memory
from script import ANYTHING, Struct

LINGER, POLLFD, MSGHDR = "=ii", "=ihh", "=QIxxxxQQQQixxxx"
EPOLL_EVENT = "=IQ" if platform.machine() in ("x86_64", "i686") else "=IxxxxQ"
FASTOPEN = 0x20000000


class Mismatch(Exception):
    """A call, or what it gave back, is not as the script says."""


class Unplayable(Exception):
    """What the script asks for is wrong or cannot be played."""


@dataclass
class Call:
    name: str
    memory: Memory
    arguments: list
    check: object = None   # called with the reply when the result was right
    result_is_fd: bool = False


def want(condition, what):
    if not condition:
        raise Unplayable(what)


def integers(arguments, *places):
    for place in places:
        want(isinstance(arguments[place], int), f"argument {place + 1} is no number")
    return [arguments[place] for place in places]


def expect(what, script, found):
    if script is not ANYTHING and script != found:
        raise Mismatch(f"{what}: expected {script}, found {found}")


def sockaddr(ip, port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(ip))


# ---- making connections ----

def call_socket(player, arguments):
    domain = socket.AF_INET if arguments[0] is ANYTHING else arguments[0]

    def check(reply):
        player.new_connection(player.result_fd, reply.result)

    return Call("socket", Memory(), [domain, *integers(arguments, 1, 2)], check, True)


def call_bind(player, arguments):
    memory = Memory()
    where = memory.put(sockaddr(player.local, player.bind_port))
    return Call("bind", memory, [player.fd(arguments[0]), where, 16])


def call_listen(player, arguments):
    fd = player.fd(arguments[0])

    def check(reply):
        player.by_fd(arguments[0]).state = "listening"

    return Call("listen", Memory(), [fd, *integers(arguments, 1)], check)


def call_accept(player, arguments):
    memory = Memory()
    where, length = memory.put(bytes(16)), memory.put(struct.pack("=I", 16))

    def check(reply):
        port = struct.unpack("!H", reply.at(where, 4)[2:])[0]
        player.accepted(port, player.result_fd, reply.result)

    return Call("accept", memory, [player.fd(arguments[0]), where, length], check, True)


def call_connect(player, arguments):
    memory = Memory()
    where = memory.put(peer(player, arguments[0], arguments[1]))
    return Call("connect", memory, [player.fd(arguments[0]), where, 16])


def peer(player, script_fd, script_address):
    """The address to connect to; a family instead of `...` is one without an address."""
    connection = player.by_fd(script_fd)
    if isinstance(script_address, int):
        if script_address == socket.AF_UNSPEC:
            connection.state = "new"
        return struct.pack("=H14x", script_address)
    if connection.state == "new":
        connection.state = "connecting"
        connection.remote_port = player.connect_port
        player.current = connection
    return sockaddr(player.remote, player.connect_port)


# ---- data ----

def buffer(memory, script, length):
    """`...` is memory that is there, NULL is not; what a string says is not sent, as its place is nobody's concern."""
    if script == 0:
        return 0
    want(script is ANYTHING or isinstance(script, bytes), "data is `...`, NULL or a string")
    want(isinstance(length, int) and length >= 0, "the length is no number")
    return memory.zeros(length)


def one_buffer(name, flags):
    def call(player, arguments):
        memory = Memory()
        where = buffer(memory, arguments[1], arguments[2])
        return Call(name, memory, [player.fd(arguments[0]), where, *integers(arguments, *range(2, 3 + flags))])
    return call


def iovec(memory, pieces):
    """The address of an array of them."""
    want(isinstance(pieces, list) and all(isinstance(p, Struct) and len(p.members) == 2 for p in pieces),
         "an iovec is {..., LENGTH}")
    lengths = [piece.members["1"] for piece in pieces]
    data = b"".join(struct.pack("=QQ", 0, length) for length in lengths)
    array = memory.put(data + bytes(8))
    return array, lengths


def point_iovec(memory, array, pieces, lengths):
    """The buffers come after everything else, since their contents are not sent to the host or back."""
    for i, (piece, length) in enumerate(zip(pieces, lengths)):
        where = buffer(memory, piece.members["0"], length)
        if where:
            memory.point(f"@{int(array[1:]) + 16 * i}", where)


def vector(name):
    def call(player, arguments):
        memory = Memory()
        array, lengths = iovec(memory, arguments[1])
        want(arguments[2] == len(lengths), "the count is not that of the array")
        point_iovec(memory, array, arguments[1], lengths)
        return Call(name, memory, [player.fd(arguments[0]), array, *integers(arguments, 2)])
    return call


def call_sendto(player, arguments):
    memory = Memory()
    where = 0
    if arguments[3] & FASTOPEN or arguments[4] is not ANYTHING:
        where = memory.put(peer(player, arguments[0], arguments[4]))
    data = buffer(memory, arguments[1], arguments[2])
    return Call("sendto", memory, [player.fd(arguments[0]), data, *integers(arguments, 2, 3), where, 16 if where else 0])


def call_recvfrom(player, arguments):
    memory = Memory()
    where, length = memory.put(bytes(16)), memory.put(struct.pack("=I", 16))
    data = buffer(memory, arguments[1], arguments[2])
    return Call("recvfrom", memory, [player.fd(arguments[0]), data, *integers(arguments, 2, 3), where, length])


def message(memory, script, control_space):
    """The addresses of a msghdr and of its control data."""
    want(isinstance(script, Struct) and "msg_iov" in script.members, "a message is {msg_name(...)=..., msg_iov...}")
    pieces = script.members["msg_iov"]
    array, lengths = iovec(memory, pieces)
    control = memory.put(bytes(control_space)) if control_space else 0
    header = memory.put(struct.pack(MSGHDR, 0, 0, 0, len(pieces), 0, control_space, 0))
    memory.point(f"@{int(header[1:]) + 16}", array)
    if control:
        memory.point(f"@{int(header[1:]) + 32}", control)
    point_iovec(memory, array, pieces, lengths)
    return header, control


def call_sendmsg(player, arguments):
    memory = Memory()
    want(isinstance(arguments[1], Struct) and not arguments[1].members.get("msg_control"), "control data is not played")
    header, _ = message(memory, arguments[1], 0)
    return Call("sendmsg", memory, [player.fd(arguments[0]), header, *integers(arguments, 2)])


def control_messages(data):
    found = []
    while len(data) >= 16:
        length, level, kind = struct.unpack("=Qii", data[:16])
        if length < 16:
            break
        found.append((level, kind, data[16:length]))
        data = data[(length + 7) // 8 * 8:]
    return found


def call_recvmsg(player, arguments):
    memory = Memory()
    header, control = message(memory, arguments[1], 256)
    wanted = arguments[1].members

    def check(reply):
        *_, used, flags = struct.unpack(MSGHDR, reply.at(header, 56))
        expect("msg_flags", wanted.get("msg_flags", ANYTHING), flags)
        found = control_messages(reply.at(control, 256)[:used])
        if "msg_control" in wanted:
            check_control(wanted["msg_control"], found)

    return Call("recvmsg", memory, [player.fd(arguments[0]), header, *integers(arguments, 2)], check)


def check_control(wanted, found):
    expect("number of control messages", len(wanted), len(found))
    for script, (level, kind, data) in zip(wanted, found):
        want(isinstance(script, Struct) and "cmsg_data" in script.members, "{cmsg_level=, cmsg_type=, cmsg_data=}")
        expect("cmsg_level", script.members["cmsg_level"], level)
        expect("cmsg_type", script.members["cmsg_type"], kind)
        value = script.members["cmsg_data"]
        want(value is ANYTHING or isinstance(value, int), "cmsg_data other than a number is not played")
        expect("cmsg_data", value, int.from_bytes(data[:4], "little" if struct.pack("=H", 1)[0] else "big"))


# ---- the rest of a socket's calls ----

def numbers(name, places):
    def call(player, arguments):
        return Call(name, Memory(), [player.fd(arguments[0]), *integers(arguments, *range(1, places))])
    return call


def call_fcntl(player, arguments):
    more = integers(arguments, *range(1, len(arguments)))
    return Call("fcntl", Memory(), [player.fd(arguments[0]), *more])


def call_ioctl(player, arguments):
    memory = Memory()
    want(isinstance(arguments[2], list) and len(arguments[2]) == 1, "the value is [NUMBER]")
    where = memory.put(bytes(4))

    def check(reply):
        expect("the value", arguments[2][0], struct.unpack("=i", reply.at(where, 4))[0])

    return Call("ioctl", memory, [player.fd(arguments[0]), *integers(arguments, 1), where], check)


def call_close(player, arguments):
    def check(reply):
        player.closed(arguments[0])

    return Call("close", Memory(), [player.fd(arguments[0])], check)


def option_value(script, length):
    if isinstance(script, bytes):
        return script.ljust(length, b"\0")
    if isinstance(script, Struct) and set(script.members) == {"onoff", "linger"}:
        return struct.pack(LINGER, script.members["onoff"], script.members["linger"])
    want(isinstance(script, list) and script and all(isinstance(v, int) for v in script),
         "the value is [NUMBER], {onoff=, linger=} or a string")
    width = 8 if len(script) > 1 and length == 8 * len(script) else 4
    return b"".join((value & (1 << 8 * width) - 1).to_bytes(width, "little" if struct.pack("=H", 1)[0] else "big")
                    for value in script).ljust(length, b"\0")


def call_setsockopt(player, arguments):
    memory = Memory()
    length, = integers(arguments, 4)
    where = 0 if arguments[3] == 0 else memory.put(option_value(arguments[3], length))
    return Call("setsockopt", memory, [player.fd(arguments[0]), *integers(arguments, 1, 2), where, length])


def call_getsockopt(player, arguments):
    memory = Memory()
    want(isinstance(arguments[4], list) and len(arguments[4]) == 1, "the length is [NUMBER]")
    length = arguments[4][0]
    where, space = memory.put(bytes(length)), memory.put(struct.pack("=I", length))

    def check(reply):
        expect("the length", length, struct.unpack("=I", reply.at(space, 4))[0])
        if arguments[3] is not ANYTHING:
            expect("the value", option_value(arguments[3], length).hex(), reply.at(where, length).hex())

    return Call("getsockopt", memory, [player.fd(arguments[0]), *integers(arguments, 1, 2), where, space], check)


# ---- waiting ----

def call_poll(player, arguments):
    memory = Memory()
    want(isinstance(arguments[0], list) and all(isinstance(p, Struct) and {"fd", "events"} <= set(p.members)
                                                for p in arguments[0]), "[{fd=, events=, revents=}, ...]")
    polled = [p.members for p in arguments[0]]
    want(arguments[1] == len(polled), "the count is not that of the array")
    where = memory.put(b"".join(struct.pack(POLLFD, player.fd(p["fd"]), p["events"], 0) for p in polled))

    def check(reply):
        for i, p in enumerate(polled):
            found = struct.unpack(POLLFD, reply.at(where, 8 * len(polled))[8 * i:8 * i + 8])[2]
            expect(f"revents of {p['fd']}", p.get("revents", 0), found)

    return Call("poll", memory, [where, *integers(arguments, 1, 2)], check)


def call_epoll_create(player, arguments):
    def check(reply):
        player.files[player.result_fd] = reply.result

    return Call("epoll_create", Memory(), integers(arguments, 0), check, True)


def epoll_data(script):
    """Events and data: the data is the script's own, so no descriptor needs to be mapped."""
    want(isinstance(script, Struct) and "events" in script.members, "{events=, fd=}")
    data = [script.members[name] for name in ("fd", "ptr", "u32", "u64") if name in script.members]
    want(len(data) == 1, "one of fd, ptr, u32 and u64")
    return script.members["events"], data[0]


def call_epoll_ctl(player, arguments):
    memory = Memory()
    where = 0
    if arguments[3] != 0:
        where = memory.put(struct.pack(EPOLL_EVENT, *epoll_data(arguments[3])))
    return Call("epoll_ctl", memory, [player.fd(arguments[0]), *integers(arguments, 1), player.fd(arguments[2]), where])


def call_epoll_wait(player, arguments):
    memory = Memory()
    count, timeout = integers(arguments, 2, 3)
    size = struct.calcsize(EPOLL_EVENT)
    where = memory.put(bytes(max(count, 1) * size))
    wanted = arguments[1] if isinstance(arguments[1], list) else [arguments[1]]

    def check(reply):
        found = reply.at(where, max(count, 1) * size)
        for i, script in enumerate(wanted):
            events, data = struct.unpack(EPOLL_EVENT, found[size * i:size * (i + 1)])
            if script is not ANYTHING:
                expect("events", epoll_data(script)[0], events)
                expect("data", epoll_data(script)[1], data)

    return Call("epoll_wait", memory, [player.fd(arguments[0]), where, count, timeout], check)


# ---- pipes ----

def call_pipe(player, arguments):
    memory = Memory()
    want(isinstance(arguments[0], list) and len(arguments[0]) == 2, "pipe([FD, FD])")
    where = memory.put(bytes(8))

    def check(reply):
        player.files.update(zip(arguments[0], struct.unpack("=ii", reply.at(where, 8))))

    return Call("pipe", memory, [where], check)


def call_splice(player, arguments):
    want(arguments[1] == 0 and arguments[3] == 0, "an offset cannot be given")
    ends = player.fd(arguments[0]), 0, player.fd(arguments[2]), 0
    return Call("splice", Memory(), [*ends, *integers(arguments, 4, 5)])


# Name: how many arguments, at least and at most, and the function.
CALLS = {
    "socket": (3, 3, call_socket), "bind": (3, 3, call_bind), "listen": (2, 2, call_listen),
    "accept": (3, 3, call_accept), "connect": (3, 3, call_connect), "read": (3, 3, one_buffer("read", 0)),
    "recv": (4, 4, one_buffer("recv", 1)), "write": (3, 3, one_buffer("write", 0)),
    "send": (4, 4, one_buffer("send", 1)), "readv": (3, 3, vector("readv")), "writev": (3, 3, vector("writev")),
    "recvfrom": (6, 6, call_recvfrom), "sendto": (6, 6, call_sendto), "recvmsg": (3, 3, call_recvmsg),
    "sendmsg": (3, 3, call_sendmsg), "fcntl": (2, 3, call_fcntl), "ioctl": (3, 3, call_ioctl),
    "close": (1, 1, call_close), "shutdown": (2, 2, numbers("shutdown", 2)),
    "setsockopt": (5, 5, call_setsockopt), "getsockopt": (5, 5, call_getsockopt), "poll": (3, 3, call_poll),
    "epoll_create": (1, 1, call_epoll_create), "epoll_ctl": (4, 4, call_epoll_ctl),
    "epoll_wait": (4, 4, call_epoll_wait), "pipe": (1, 1, call_pipe), "splice": (6, 6, call_splice),
}


def prepare(player, syscall):
    if syscall.name not in CALLS:
        raise Unplayable(f"unknown system call {syscall.name}")
    least, most, function = CALLS[syscall.name]
    want(least <= len(syscall.arguments) <= most, f"{syscall.name} has {len(syscall.arguments)} arguments")
    return function(player, syscall.arguments)
