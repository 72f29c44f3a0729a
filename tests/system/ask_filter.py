"""Under byway run: dumps TCP sockets with filters in byte code and prints what each brings: how many
sockets, or the error. ss filters once more what it gets, so it cannot show who did it."""
import socket
import struct

SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLMSG_DONE, BYTECODE = 20, 2, 3, 1
JMP, S_EQ = 1, 11


def ask(netlink, code):
    """Sockets in the answer, or a negative errno."""
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + bytes(48)
    request += struct.pack("=HH", 4 + len(code), BYTECODE) + code
    netlink.send(struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, 0x301, 1, 0) + request)
    count = 0
    while True:
        packet = netlink.recv(65536)
        while packet:
            length, kind = struct.unpack_from("=IH", packet)
            if kind == NLMSG_DONE:
                return count
            if kind == NLMSG_ERROR:
                return struct.unpack_from("=i", packet, 16)[0]
            count += 1
            packet = packet[(length + 3) & ~3:]


def source_port(port):
    return struct.pack("=BBHBBH", S_EQ, 8, 12, 0, 0, port)


def main():
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    for_ever = struct.pack("=BBH", JMP, 4, 0)
    print(*(ask(netlink, code) for code in (source_port(7), source_port(8), for_ever, source_port(7)[:4], source_port(7))))


main()
