#!/usr/bin/env python3
"""COUNT connections at once to ADDRESS PORT, each with data of its own that must come back.

Connects all, says "connected", waits for a line on standard input, exchanges BYTES on each in
both directions at the same time, closes all. Exit status 0 when every byte came back right.
"""
import random
import selectors
import socket
import sys


class Peer:
    def __init__(self, number, target, length):
        self.data = random.Random(number).randbytes(length)
        self.sent = 0
        self.back = bytearray()
        self.socket = socket.create_connection(target, timeout=20)

    def writable(self):
        self.sent += self.socket.send(self.data[self.sent : self.sent + 16384])
        if self.sent == len(self.data):
            self.socket.shutdown(socket.SHUT_WR)
        return self.sent < len(self.data)

    def readable(self):
        piece = self.socket.recv(65536)
        self.back += piece
        return len(piece) > 0


def exchange(peers):
    selector = selectors.DefaultSelector()
    for peer in peers:
        peer.socket.setblocking(False)
        selector.register(peer.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, peer)
    while selector.get_map():
        ready = selector.select(timeout=30)
        if not ready:
            sys.exit("nothing happened for 30 s")
        for key, events in ready:
            peer = key.data
            if events & selectors.EVENT_WRITE and not peer.writable():
                selector.modify(peer.socket, selectors.EVENT_READ, peer)
            if events & selectors.EVENT_READ and not peer.readable():
                selector.unregister(peer.socket)
                peer.socket.close()


def main(address, port, count, length):
    peers = [Peer(i, (address, int(port)), int(length)) for i in range(int(count))]
    print("connected", flush=True)
    sys.stdin.readline()
    exchange(peers)
    wrong = sum(bytes(peer.back) != peer.data for peer in peers)
    if wrong:
        sys.exit(f"{wrong} of {count} connections got other data back")
    print("all right", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
