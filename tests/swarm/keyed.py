#!/usr/bin/env python3
"""A client of one streamed completion with an Idempotency-Key.

keyed.py SOCKET KEY BODY [last=ID] [kill=PID after=N]

Prints what it heard as JSON: text, the id of the last event, the ids of answers, whether the stream
came to its end, what its end says of tokens and times, and the error if it brought one. With kill, the
process is killed as soon as N events with text are here.
"""
import json
import os
import signal
import socket
import sys


def events(sock):
    """Yields (id, data) of each whole event; chunked framing is undone."""
    raw = sock.makefile("rb")
    status = raw.readline()
    while raw.readline() not in (b"\r\n", b""):
        pass
    if b" 200 " not in status:
        yield None, json.dumps({"error": status.decode() + raw.read().decode(errors="replace")})
        return
    pending = b""
    try:
        while True:
            size = int(raw.readline(), 16)
            chunk = raw.read(size)
            raw.readline()
            if size == 0 or len(chunk) < size:
                return
            pending += chunk
            while b"\n\n" in pending:
                event, pending = pending.split(b"\n\n", 1)
                fields = dict(l.split(": ", 1) for l in event.decode().split("\n") if ": " in l)
                if "data" in fields:
                    yield fields.get("id"), fields["data"]
    except (ValueError, OSError):  # cut off
        return


def main():
    path, key, body = sys.argv[1:4]
    options = dict(a.split("=", 1) for a in sys.argv[4:])
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(path)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\n"
    if "last" in options:
        head += f"Last-Event-ID: {options['last']}\r\n"
    sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    heard = {"text": "", "last": None, "answers": [], "done": False, "error": None, "events": 0,
             "timings": {}}
    for number, data in events(sock):
        heard["last"] = number or heard["last"]
        if data == "[DONE]":
            heard["done"] = True
            break
        event = json.loads(data)
        heard["error"] = event.get("error") or heard["error"]
        heard["timings"] = event.get("timings", heard["timings"])
        if event.get("id") and event["id"] not in heard["answers"]:
            heard["answers"].append(event["id"])
        for choice in event.get("choices", []):
            heard["text"] += choice["text"]
            heard["events"] += 1
        if "kill" in options and heard["events"] == int(options["after"]):
            os.kill(int(options["kill"]), signal.SIGKILL)
    print(json.dumps(heard))


main()
