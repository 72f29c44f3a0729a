#!/usr/bin/env python3
"""The service manager's side of the watchdog, and what makes a thread hang.

    watchdog.py hear SOCKET    says "ping" for each WATCHDOG=1 that it is sent
    watchdog.py freeze TID     stops one thread alone, says "ready", and lets it go when its input ends
"""
import ctypes
import os
import socket
import sys

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17


def hear(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        print("ready", flush=True)
        while True:
            for line in s.recv(4096).split(b"\n"):
                if line == b"WATCHDOG=1":
                    print("ping", flush=True)


def freeze(tid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (SEIZE, INTERRUPT):
        if libc.ptrace(request, int(tid), None, None):
            sys.exit("ptrace: " + os.strerror(ctypes.get_errno()))
    os.waitpid(int(tid), 0x40000000)  # __WALL
    print("ready", flush=True)
    sys.stdin.read()
    libc.ptrace(DETACH, int(tid), None, None)


{"hear": hear, "freeze": freeze}[sys.argv[1]](sys.argv[2])
