#!/usr/bin/env python3
"""A TCP proxy for tests: records what passes and can harm it.

  proxy.py PORT TARGET RECORD MODE

MODE: pass; flip N (one bit of the N-th byte from the dialler is turned over); replay N (what came in the N-th read from
the dialler is sent twice); cut N (the connection ends in the middle of the N-th read). The mode holds for connections
that begin while the file RECORD.arm exists.
"""
import os, socket, sys, threading

port, target, record, mode = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
n = int(sys.argv[5]) if len(sys.argv) > 5 else 0
out = open(record, "ab", buffering=0)


def pump(src, dst, harm):
    seen = reads = 0
    try:
        while True:
            data = src.recv(65536)
            if not data:
                break
            out.write(data)
            if harm and mode == "flip" and seen <= n < seen + len(data):
                data = bytearray(data)
                data[n - seen] ^= 1
            seen += len(data)
            if harm and mode == "cut" and reads == n:
                dst.sendall(data[: len(data) // 2])
                break
            dst.sendall(data)
            if harm and mode == "replay" and reads == n:
                dst.sendall(data)
            reads += 1
    except OSError:
        pass
    for s in (src, dst):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen(16)
print("ready", flush=True)
while True:
    a, _ = server.accept()
    harm = mode != "pass" and os.path.exists(record + ".arm")
    b = socket.create_connection(("127.0.0.1", target))
    for s in (a, b):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=pump, args=(a, b, harm), daemon=True).start()
    threading.Thread(target=pump, args=(b, a, False), daemon=True).start()
