#!/usr/bin/env python3
"""A port of the loopback that is free, and stays so while the daemon that has it is restarted.

    free_port.py [udp]

The kernel gives connections that go out any port of its range (ip_local_port_range) that is free at that moment: one of
those may be taken while a test's daemon is away. So this one is below.
"""
import random
import socket
import sys

LEAST = 10000


def free_port(kind=socket.SOCK_STREAM):
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
            end = int(f.read().split()[0])
    except OSError:
        end = 32768
    for _ in range(1000):
        port = random.randrange(LEAST, max(end, LEAST + 1000))
        with socket.socket(type=kind) as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("free_port.py: no port is free")


if __name__ == "__main__":
    print(free_port(socket.SOCK_DGRAM if sys.argv[1:] == ["udp"] else socket.SOCK_STREAM))
