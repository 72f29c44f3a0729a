#!/usr/bin/env python3
"""One TCP connection of the host, and how it ended: "end of file", "reset" or what else happened.

    peer.py connect|listen ADDRESS PORT read|write

read: only reads; write: sends without end and never reads. Says "connected" first.
"""
import select
import socket
import sys


def connection(where, target):
    if where == "connect":
        return socket.create_connection(target, timeout=10)
    with socket.create_server(target) as server:
        server.settimeout(10)
        return server.accept()[0]


def read(peer):
    while peer.recv(65536):
        pass
    return "end of file"


def write(peer):
    data = bytes(65536)
    peer.setblocking(False)
    while True:
        if not select.select([], [peer], [], 20)[1]:
            return "nothing"
        peer.send(data)


def main(where, address, port, what):
    peer = connection(where, (address, int(port)))
    print("connected", flush=True)
    peer.settimeout(20)
    try:
        print({"read": read, "write": write}[what](peer))
    except (ConnectionResetError, BrokenPipeError):
        print("reset")
    except TimeoutError:
        print("nothing")


if __name__ == "__main__":
    main(*sys.argv[1:])
