"""A name server that says 198.18.7.7 to every question for an address. Argument: its own address."""
import socket
import struct
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    query, sender = server.recvfrom(4096)
    end = query.index(b"\0", 12) + 5
    kind = struct.unpack("!H", query[end - 4:end - 2])[0]
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([198, 18, 7, 7]) if kind == 1 else b""
    head = query[:2] + b"\x81\x80\0\1" + struct.pack("!H", 1 if answer else 0) + b"\0\0\0\0"
    server.sendto(head + query[12:end] + answer, sender)
