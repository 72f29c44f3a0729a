"""A name server that says 198.18.7.7 to every question for an address. Argument: its own address.

A name that begins with "big" has 60 addresses, which fit no datagram: over UDP the answer is cut
(TC), over TCP it is whole. A name that begins with "none" does not exist.
"""
import socket
import struct
import sys
import threading


def answer_to(query, over_tcp):
    end = query.index(b"\0", 12) + 5
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    name = query[13:13 + query[12]]
    count = 60 if name.startswith(b"big") else 1
    cut = count > 1 and not over_tcp
    if name.startswith(b"none") or kind != 1 or cut:
        count = 0
    flags = 0x8180 | (3 if name.startswith(b"none") else 0) | (0x0200 if cut else 0)
    records = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([198, 18, 7, 7 + i]) for i in range(count))
    return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + query[12:end] + records


def serve_tcp(listener):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                whole = answer_to(stream.read(struct.unpack("!H", head)[0]), True)
                connection.sendall(struct.pack("!H", len(whole)) + whole)


listener = socket.create_server((sys.argv[1], 53))
threading.Thread(target=serve_tcp, args=(listener,), daemon=True).start()
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    query, sender = server.recvfrom(4096)
    server.sendto(answer_to(query, False), sender)
