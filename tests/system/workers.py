#!/usr/bin/env python3
"""What workers.bats needs of programs: sockets of whatever stack they run on.

    workers.py serve ADDRESS PORT COUNT          echoes on so many connections, then ends
    workers.py connect ADDRESS PORT COUNT [PORT] so many connections, one after the other, each with 20,000
                                                 bytes there and back; bound to ports from the last one on
    workers.py hold ADDRESS PORT COUNT           opens so many, says "ready", and keeps them for a minute
"""
import os
import socket
import sys
import threading
import time

BYTES = 20000


def echo(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


def serve(address, port, count):
    with socket.create_server((address, port), backlog=128) as listener:
        print("ready", flush=True)
        listener.settimeout(60)
        threads = []
        for _ in range(count):
            threads.append(threading.Thread(target=echo, args=(listener.accept()[0],)))
            threads[-1].start()
        for thread in threads:
            thread.join()
    print("served", count)


def there_and_back(connection):
    data = os.urandom(BYTES)
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    got = b""
    while len(got) < len(data):
        piece = connection.recv(65536)
        if not piece:
            break
        got += piece
    sender.join()
    return got == data


def connect(address, port, count, first=None):
    for i in range(count):
        with socket.socket() as s:
            s.settimeout(20)
            if first:
                s.bind(("0.0.0.0", first + i))
            s.connect((address, port))
            if not there_and_back(s):
                sys.exit(f"connection {i} from {s.getsockname()} brought back something else")
    print("connected", count)


def hold(address, port, count):
    held = [socket.create_connection((address, port), 20) for _ in range(count)]
    print("ready", flush=True)
    time.sleep(60)
    for connection in held:
        connection.close()


def main():
    what, address, *numbers = sys.argv[1:]
    {"serve": serve, "connect": connect, "hold": hold}[what](address, *map(int, numbers))


main()
