#!/usr/bin/env python3
"""Takes as much as a user gets of what the daemon has so much of for all. Each says what it has got, and keeps
it until its input ends.

    share.py corks ADDRESS COUNT      datagrams of 60,000 bytes of which more is to come (MSG_MORE), at most so many
    share.py readers PORT COUNT       accepts so many connections, and reads each whenever a lot has come
    share.py writers ADDRESS PORT COUNT   opens so many connections and writes a megabyte to each
"""
import selectors
import socket
import sys
import time

MEGABYTE = bytes(1 << 20)


def corks(address, count):
    held = []
    for _ in range(int(count)):
        held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            held[-1].sendto(bytes(60000), socket.MSG_MORE, (address, 9))
        except OSError:
            return held[:-1]
    return held


def read_all(connection):
    selector = selectors.DefaultSelector()
    selector.register(connection, selectors.EVENT_READ)
    left = len(MEGABYTE)
    while left > 0 and selector.select(20):
        time.sleep(0.01)
        left -= len(connection.recv(left))


def readers(port, count):
    listener = socket.create_server(("", int(port)), backlog=128)
    print("ready", flush=True)
    held = []
    for _ in range(int(count)):
        held.append(listener.accept()[0])
        read_all(held[-1])
    return held


def writers(address, port, count):
    held = []
    for _ in range(int(count)):
        held.append(socket.create_connection((address, int(port)), 20))
        held[-1].sendall(MEGABYTE)
    return held


def main():
    held = {"corks": corks, "readers": readers, "writers": writers}[sys.argv[1]](*sys.argv[2:])
    print("got", len(held), flush=True)
    sys.stdin.read()


main()
